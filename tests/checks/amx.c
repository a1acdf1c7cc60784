/* AMX on processors with AVX-512 and without AMX: each of its instructions raises SIGILL, is read from the code, done
 * here and passed over. Linked into unit tests by amx.sh, whose --wrap makes them believe that they may use it.
 * Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 1, chapter 18; vol. 2, chapter 2.3 (VEX) and the
 * instructions' pages. What it does not know, or what they forbid, ends the program with the bytes of the code. */
#define _GNU_SOURCE
#include "base/cpu.h"
#include "kernels/tiles_amx.h"

#include <dlfcn.h>
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

/* ---- what the tests are told ---- */

const cpu_features *__real_cpu_get(void);
const cpu_features *__wrap_cpu_get(void);
bool __wrap_cpu_allow_amx(void);

static cpu_features features;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void pretend(void) {
    features = *__real_cpu_get();
    const bool able = features.avx512_vnni && features.avx512_bf16 && !getenv("TOLA_CPU");
    features.amx_int8 = features.amx_bf16 = able;
}

const cpu_features *__wrap_cpu_get(void) {
    pthread_once(&once, pretend);
    return &features;
}

bool __wrap_cpu_allow_amx(void) { return __wrap_cpu_get()->amx_int8; }

/* ---- tiles ---- */

enum { PLAIN, P66, PF3, PF2 }; /* VEX.pp */

typedef struct tiles {
    tiles_palette shape; /* id 0: none */
    _Alignas(64) uint8_t tile[8][16][64];
} tiles;

static __thread tiles here;
static unsigned long done;

static _Noreturn void stop(const char *why, const uint8_t *code) {
    char text[160];
    const int n = snprintf(text, sizeof text, "amx: %s: %02x %02x %02x %02x %02x %02x %02x\n", why, code[0], code[1],
                           code[2], code[3], code[4], code[5], code[6]);
    if (write(STDERR_FILENO, text, (size_t)n) != n) _exit(3);
    _exit(2);
}

static void clear_rows(uint8_t tile[16][64], size_t from) { memset(tile[from], 0, (16 - from) * 64); }

/* c + a b of pairs of bf16: first and second ones by themselves, fused; denormals are zero. */
static __attribute__((target("avx512f"))) void dot_bf16(uint8_t c[16][64], uint8_t a[16][64], uint8_t b[16][64],
                                                       size_t rows, size_t bytes, size_t pairs) {
    const unsigned before = _mm_getcsr();
    const __mmask16 some = (__mmask16)((1u << bytes / 4) - 1);
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    _mm_setcsr(0x9fc0); /* to nearest, no exceptions, denormals are zero on both sides */
    for (size_t m = 0; m < rows; m++) {
        __m512 first = _mm512_setzero_ps(), second = first;
        for (size_t k = 0; k < pairs; k++) {
            int x;
            memcpy(&x, a[m] + 4 * k, sizeof x);
            const __m512i xs = _mm512_set1_epi32(x), w = _mm512_load_si512(b[k]);
            first = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(xs, 16)),
                                    _mm512_castsi512_ps(_mm512_slli_epi32(w, 16)), first);
            second = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(xs, upper)),
                                     _mm512_castsi512_ps(_mm512_and_si512(w, upper)), second);
        }
        const __m512 sum = _mm512_add_ps(_mm512_load_ps(c[m]), _mm512_add_ps(first, second));
        _mm512_store_ps(c[m], _mm512_maskz_mov_ps(some, sum));
    }
    _mm_setcsr(before);
}

static int32_t byte_of(uint8_t byte, bool has_sign) { return has_sign ? (int8_t)byte : byte; }

/* c + a b of fours of bytes. */
static void dot_bytes(uint8_t c[16][64], uint8_t a[16][64], uint8_t b[16][64], size_t rows, size_t bytes, size_t fours,
                      bool a_sign, bool b_sign) {
    for (size_t m = 0; m < rows; m++) {
        int32_t sum[16] = { 0 };
        memcpy(sum, c[m], bytes);
        for (size_t k = 0; k < fours; k++)
            for (size_t i = 0; i < bytes; i++)
                sum[i / 4] += byte_of(a[m][4 * k + i % 4], a_sign) * byte_of(b[k][i], b_sign);
        memcpy(c[m], sum, sizeof sum);
    }
}

/* ---- instructions ---- */

typedef struct instruction {
    const uint8_t *code, *next;
    unsigned prefix, opcode, reg, rm, vvvv;
    bool memory;
    uint8_t *at;     /* memory: base + displacement */
    uint64_t stride; /* index x scale */
} instruction;

static uint64_t value_of(const greg_t *registers, unsigned n) {
    static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                   REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
    return (uint64_t)registers[order[n]];
}

static instruction decode(const uint8_t *code, const greg_t *registers) {
    if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || code[2] & 0x84) stop("no instruction of AMX", code);
    const unsigned x = code[1] & 0x40 ? 0 : 8, b = code[1] & 0x20 ? 0 : 8, mod = code[4] >> 6;
    instruction i = { .code = code, .next = code + 5, .prefix = code[2] & 3, .opcode = code[3] };
    i.vvvv = ~code[2] >> 3 & 15;
    i.reg = code[4] >> 3 & 7;
    i.rm = code[4] & 7;
    i.memory = mod != 3;
    if (!i.memory) return i;
    uint64_t base = 0;
    bool wide = mod == 2, relative = false;
    if (i.rm == 4) {
        const unsigned sib = *i.next++, index = (sib >> 3 & 7) | x;
        if (index != 4) i.stride = value_of(registers, index) << (sib >> 6);
        if ((sib & 7) == 5 && mod == 0) wide = true;
        else base = value_of(registers, (sib & 7) | b);
    } else if (i.rm == 5 && mod == 0) {
        wide = relative = true;
    } else {
        base = value_of(registers, i.rm | b);
    }
    if (wide) {
        int32_t displacement;
        memcpy(&displacement, i.next, sizeof displacement);
        base += (uint64_t)(int64_t)displacement;
        i.next += sizeof displacement;
    } else if (mod == 1) {
        base += (uint64_t)(int64_t)(int8_t)*i.next++;
    }
    if (relative) base += (uint64_t)(uintptr_t)i.next;
    i.at = (uint8_t *)(uintptr_t)base;
    return i;
}

static void configure(const instruction *i) {
    memset(&here, 0, sizeof here);
    if (!i->memory) return; /* tilerelease */
    memcpy(&here.shape, i->at + i->stride, sizeof here.shape);
    bool good = here.shape.id == 1;
    for (size_t t = 0; t < 8; t++) good = good && here.shape.rows[t] <= 16 && here.shape.bytes[t] <= 64;
    if (!good) stop("a palette that is none", i->code);
}

static void multiply(const instruction *i) {
    const unsigned c = i->reg, a = i->rm, b = i->vvvv;
    const tiles_palette *s = &here.shape;
    const size_t rows = s->rows[c], bytes = s->bytes[c], steps = s->bytes[a] / 4;
    if (i->memory || b > 7 || a == b || a == c || b == c || s->rows[a] != rows || s->bytes[b] != bytes ||
        s->rows[b] != steps)
        stop("tiles that do not fit", i->code);
    if (i->opcode == 0x5e)
        dot_bytes(here.tile[c], here.tile[a], here.tile[b], rows, bytes, steps, i->prefix >= PF3, i->prefix & 1);
    else if (i->prefix == PF3) dot_bf16(here.tile[c], here.tile[a], here.tile[b], rows, bytes, steps);
    else stop("unknown", i->code);
    clear_rows(here.tile[c], rows);
}

static void move(const instruction *i) {
    uint8_t(*tile)[64] = here.tile[i->reg];
    const size_t rows = here.shape.rows[i->reg], bytes = here.shape.bytes[i->reg];
    if (!i->memory || i->prefix == PLAIN) stop("unknown", i->code);
    if (i->prefix != PF3) memset(tile, 0, sizeof here.tile[0]);
    for (size_t r = 0; r < rows; r++)
        if (i->prefix == PF3) memcpy(i->at + r * i->stride, tile[r], bytes);
        else memcpy(tile[r], i->at + r * i->stride, bytes);
}

static void on_unknown(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    greg_t *const registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const instruction i = decode((const uint8_t *)(uintptr_t)registers[REG_RIP], registers);
    if (i.opcode == 0x49 && i.prefix == PLAIN) configure(&i);
    else if (here.shape.id == 0) stop("tiles without a palette", i.code);
    else if (i.opcode == 0x49 && i.prefix == PF2 && !i.memory) memset(here.tile[i.reg], 0, sizeof here.tile[0]);
    else if (i.opcode == 0x4b) move(&i);
    else if (i.opcode == 0x5c || i.opcode == 0x5e) multiply(&i);
    else stop("unknown", i.code);
    __atomic_fetch_add(&done, 1, __ATOMIC_RELAXED);
    registers[REG_RIP] = (greg_t)(uintptr_t)i.next;
}

/* ---- SIGILL stays ours: cmocka catches it, and threads block everything ---- */

static void *next_of(const char *name) {
    void *p = dlsym(RTLD_NEXT, name);
    if (!p) abort();
    return p;
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    int (*next)(int, const struct sigaction *, struct sigaction *);
    *(void **)&next = next_of("sigaction");
    return next(number, number == SIGILL && action && action->sa_sigaction != on_unknown ? NULL : action, old);
}

sighandler_t signal(int number, sighandler_t handler) {
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART }, old = { .sa_handler = SIG_DFL };
    return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
    int (*next)(int, const sigset_t *, sigset_t *);
    *(void **)&next = next_of("pthread_sigmask");
    sigset_t some;
    if (set) some = *set;
    if (set && how != SIG_UNBLOCK) sigdelset(&some, SIGILL);
    return next(how, set ? &some : NULL, old);
}

static __attribute__((constructor)) void begin(void) {
    const struct sigaction action = { .sa_sigaction = on_unknown, .sa_flags = SA_SIGINFO | SA_NODEFER };
    sigaction(SIGILL, &action, NULL);
}

/* A test that asked for AMX has used it. */
static __attribute__((destructor)) void end(void) {
    if (!features.amx_int8 || __real_cpu_get()->amx_int8 || done > 0) return;
    fputs("amx: nothing was run with it\n", stderr);
    _exit(1);
}
