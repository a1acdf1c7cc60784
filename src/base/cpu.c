/* Finding out, once, what the processor and the operating system let us use.
 * x86: CPUID leaves 1 and 7, XGETBV (Intel SDM vol. 2). aarch64: the kernel's HWCAP bits. Nothing else here. */
#include "base/cpu.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cpu_features features;

#if defined(__x86_64__)
#include <cpuid.h>

/* Which register files the operating system saves (XCR0). */
static uint64_t saved_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void detect(cpu_features *f) {
    unsigned a, b, c, d, c1, b7, c7, d7;
    if (!__get_cpuid(1, &a, &b, &c1, &d)) return;
    f->pclmul = (c1 & bit_PCLMUL) && (c1 & bit_SSE4_1);
    if (__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
        f->sha = (b7 & bit_SHA) && (c1 & bit_SSSE3) && (c1 & bit_SSE4_1);
    uint64_t state = c1 & bit_OSXSAVE ? saved_state() : 0;
    bool ymm = (state & 0x06) == 0x06, zmm = (state & 0xe6) == 0xe6;
    if (!ymm || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return;
    bool avx2 = (c1 & bit_AVX) && (c1 & bit_FMA) && (c1 & bit_F16C) && (b7 & bit_AVX2) && (b7 & bit_BMI) &&
                (b7 & bit_BMI2);
    if (avx2) f->level = CPU_AVX2;
    bool avx512 = avx2 && zmm && (b7 & bit_AVX512F) && (b7 & bit_AVX512BW) && (b7 & bit_AVX512VL) &&
                  (b7 & bit_AVX512DQ);
    if (!avx512) return;
    f->level = CPU_AVX512;
    f->avx512_vnni = c7 & bit_AVX512VNNI;
    f->avx512_vbmi = c7 & bit_AVX512VBMI;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) f->avx512_bf16 = a & (1u << 5);
    if (__get_cpuid(0, &a, &b, &c, &d)) f->slow_bf16 = b == signature_INTEL_ebx;
    bool tiles = (state & 0x60000) == 0x60000 && (d7 & (1u << 24));
    f->amx_int8 = tiles && f->avx512_vnni && (d7 & (1u << 25));
    f->amx_bf16 = tiles && f->avx512_bf16 && (d7 & (1u << 22));
}

/* Documentation/arch/x86/xstate.rst of Linux: tile data (state 18) is an extended feature that a process asks for. */
static bool ask_for_tiles(void) {
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM_ = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM_, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

#elif defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP2_I8MM
#define HWCAP2_I8MM (1 << 13)
#endif
#ifndef HWCAP2_BF16
#define HWCAP2_BF16 (1 << 14)
#endif
#ifndef HWCAP_ASIMDHP
#define HWCAP_ASIMDHP (1 << 10)
#endif
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif

static void detect(cpu_features *f) {
    unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
    f->level = CPU_NEON;
    f->neon_fp16 = one & HWCAP_ASIMDHP;
    f->neon_dotprod = one & HWCAP_ASIMDDP;
    f->neon_i8mm = two & HWCAP2_I8MM;
    f->neon_bf16 = two & HWCAP2_BF16;
}

#else
static void detect(cpu_features *f) {
    (void)f;
}
#endif

/* TOLA_CPU never raises the level: a name beyond the processor, or an unknown one, changes nothing. */
static void lower(cpu_features *f, const char *name) {
    cpu_level wanted;
    if (strcmp(name, "scalar") == 0 || strcmp(name, "sse") == 0) wanted = CPU_SCALAR;
    else if (strcmp(name, "avx2") == 0) wanted = CPU_AVX2;
    else if (f->level == CPU_AVX512 && strncmp(name, "avx512", 6) == 0) {
        bool bf16 = strcmp(name, "avx512bf16") == 0, vnni = bf16 || strcmp(name, "avx512vnni") == 0;
        if (!vnni && strcmp(name, "avx512") != 0) return;
        f->amx_int8 = f->amx_bf16 = false;
        if (bf16) f->slow_bf16 = false;
        if (!vnni) f->avx512_vnni = f->avx512_bf16 = f->avx512_vbmi = false;
        return;
    } else return;
    if (f->level == CPU_NEON && wanted != CPU_SCALAR) return;
    if (f->level <= wanted) return;
    bool pclmul = f->pclmul && wanted != CPU_SCALAR, sha = f->sha && wanted != CPU_SCALAR;
    *f = (cpu_features){ .level = wanted, .pclmul = pclmul, .sha = sha };
}

static void initialize(void) {
    detect(&features);
    const char *name = getenv("TOLA_CPU");
    if (name) lower(&features, name);
}

const cpu_features *cpu_get(void) {
    pthread_once(&once, initialize);
    return &features;
}

static pthread_once_t amx_once = PTHREAD_ONCE_INIT;
static bool amx_allowed;

static void allow_amx(void) {
#if defined(__x86_64__)
    const cpu_features *f = cpu_get();
    amx_allowed = (f->amx_int8 || f->amx_bf16) && ask_for_tiles();
#endif
}

bool cpu_allow_amx(void) {
    pthread_once(&amx_once, allow_amx);
    return amx_allowed;
}

const char *cpu_level_name(cpu_level level) {
    static const char *const names[] = { "scalar", "avx2", "avx512", "neon" };
    return (unsigned)level < sizeof names / sizeof *names ? names[level] : "?";
}
