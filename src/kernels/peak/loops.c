/* Loops that keep a processor's arithmetic units busy and touch nothing but registers.
 *
 * Written for the assembler, so that no compiler leaves anything out; the clobbers name what the text uses (the first
 * sixteen vectors). Sums start at zero and stay there: no operand makes an instruction slower. Instructions: Intel SDM
 * vol. 2 (VPDPBUSD, VDPBF16PS, TDPBUSD), Arm ARM (SDOT, SMMLA, BFMMLA). */
#include "kernels/peak/peak.h"

#include "base/cpu.h"

/* ---- any processor: four floats at a time, multiplied and added ---- */

typedef float four __attribute__((vector_size(16)));

static void loop_plain(size_t rounds) {
    four a[8] = { { 0 } }, factor = { 0.5f, 0.5f, 0.5f, 0.5f }, term = { 1, 1, 1, 1 };
    for (size_t i = 0; i < rounds; i++)
        for (int k = 0; k < 8; k++) a[k] = a[k] * factor + term;
    static volatile float sink;
    for (int k = 1; k < 8; k++) a[0] += a[k];
    sink = a[0][0] + a[0][1] + a[0][2] + a[0][3];
    (void)sink;
}

#if defined(__x86_64__)

#define CLOBBERS                                                                                                       \
    "xmm0", "xmm1", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",       \
        "xmm15", "cc"
/* Twelve chains, more than latency times units of any processor so far. */
#define TWELVE(op, r)                                                                                                  \
    op(r, "4") op(r, "5") op(r, "6") op(r, "7") op(r, "8") op(r, "9") op(r, "10") op(r, "11") op(r, "12") op(r, "13")  \
        op(r, "14") op(r, "15")
#define LOOP(name, op, r)                                                                                              \
    static void name(size_t rounds) {                                                                                  \
        __asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0\n\tvpxor %%xmm1, %%xmm1, %%xmm1\n\t"                            \
                         "1:\n\t" TWELVE(op, r) TWELVE(op, r) TWELVE(op, r) TWELVE(op, r)                              \
                         "dec %0\n\tjnz 1b\n\tvzeroupper"                                                              \
                         : "+r"(rounds)                                                                                \
                         :                                                                                             \
                         : CLOBBERS);                                                                                  \
    }
#define FMA(r, n) "vfmadd231ps %%" r "0, %%" r "1, %%" r n "\n\t"
#define DPBF16(r, n) "vdpbf16ps %%" r "0, %%" r "1, %%" r n "\n\t"
#define DPBUSD(r, n) "vpdpbusd %%" r "0, %%" r "1, %%" r n "\n\t"
/* The same product of fours before VNNI: pairs in 16 bits, pairs of those in 32, added. */
#define MADD(r, n)                                                                                                     \
    "vpmaddubsw %%" r "0, %%" r "1, %%" r n "\n\tvpmaddwd %%" r n ", %%" r "1, %%" r n "\n\tvpaddd %%" r n             \
    ", %%" r "0, %%" r n "\n\t"
LOOP(loop_fma_ymm, FMA, "ymm")
LOOP(loop_madd_ymm, MADD, "ymm")
LOOP(loop_fma_zmm, FMA, "zmm")
LOOP(loop_madd_zmm, MADD, "zmm")
LOOP(loop_bf16_zmm, DPBF16, "zmm")
LOOP(loop_vnni_zmm, DPBUSD, "zmm")

/* Four sums of 16 x 16 by tiles of 16 rows of 64 bytes. */
#define FOUR(op)                                                                                                       \
    op " %%tmm6, %%tmm4, %%tmm0\n\t" op " %%tmm6, %%tmm5, %%tmm1\n\t" op " %%tmm7, %%tmm4, %%tmm2\n\t" op              \
       " %%tmm7, %%tmm5, %%tmm3\n\t"
#define LOOP_OF_TILES(name, op)                                                                                        \
    static void name(size_t rounds) {                                                                                  \
        uint8_t palette[64] = { 1 };                                                                                   \
        for (int i = 0; i < 8; i++) palette[16 + 2 * i] = 64, palette[48 + i] = 16;                                    \
        __asm__ volatile("ldtilecfg (%1)\n\t1:\n\t" FOUR(op) FOUR(op) FOUR(op) FOUR(op)                                \
                         "dec %0\n\tjnz 1b\n\ttilerelease"                                                             \
                         : "+r"(rounds)                                                                                \
                         : "r"(palette)                                                                                \
                         : "memory", "cc");                                                                            \
    }
LOOP_OF_TILES(loop_bf16_tiles, "tdpbf16ps")
LOOP_OF_TILES(loop_int8_tiles, "tdpbusd")

const peak_loop *peak_loop_get(peak_kind kind) {
    static const peak_loop plain = { loop_plain, 8 * 4 * 2 };
    static const peak_loop fma_ymm = { loop_fma_ymm, 48 * 8 * 2 }, madd_ymm = { loop_madd_ymm, 48 * 32 * 2 };
    static const peak_loop fma_zmm = { loop_fma_zmm, 48 * 16 * 2 }, madd_zmm = { loop_madd_zmm, 48 * 64 * 2 };
    static const peak_loop bf16_zmm = { loop_bf16_zmm, 48 * 32 * 2 }, vnni_zmm = { loop_vnni_zmm, 48 * 64 * 2 };
    static const peak_loop bf16_tiles = { loop_bf16_tiles, 16 * 16 * 16 * 32 * 2 };
    static const peak_loop int8_tiles = { loop_int8_tiles, 16 * 16 * 16 * 64 * 2 };
    const cpu_features *cpu = cpu_get();
    const bool wide = cpu->level == CPU_AVX512, some = cpu->level == CPU_AVX2;
    switch (kind) {
    case PEAK_F32: return wide ? &fma_zmm : some ? &fma_ymm : &plain;
    case PEAK_BF16: return cpu->avx512_bf16 ? &bf16_zmm : NULL;
    case PEAK_INT8: return cpu->avx512_vnni ? &vnni_zmm : wide ? &madd_zmm : some ? &madd_ymm : NULL;
    case PEAK_BF16_TILES: return cpu->amx_bf16 && cpu_allow_amx() ? &bf16_tiles : NULL;
    case PEAK_INT8_TILES: return cpu->amx_int8 && cpu_allow_amx() ? &int8_tiles : NULL;
    default: return NULL;
    }
}

#elif defined(__aarch64__)

#define CLOBBERS                                                                                                       \
    "v0", "v1", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",   \
        "v27", "cc"
#define SIXTEEN(op, c)                                                                                                 \
    op(4, c) op(5, c) op(6, c) op(7, c) op(16, c) op(17, c) op(18, c) op(19, c) op(20, c) op(21, c) op(22, c)          \
        op(23, c) op(24, c) op(25, c) op(26, c) op(27, c)
#define CLEAR(n, code) "movi v" #n ".4s, #0\n\t"
/* By number, since assemblers differ in how they are told of instructions: v<n> += v0 * v1. */
#define PRODUCT(n, code) ".inst " code " | 1 << 16 | " #n "\n\t"
#define LOOP(name, code)                                                                                               \
    static void name(size_t rounds) {                                                                                  \
        __asm__ volatile("movi v0.4s, #0\n\tmovi v1.4s, #0\n\t" SIXTEEN(CLEAR, "")                                    \
                         "1:\n\t" SIXTEEN(PRODUCT, code) SIXTEEN(PRODUCT, code) "subs %0, %0, #1\n\tb.ne 1b"          \
                         : "+r"(rounds)                                                                                \
                         :                                                                                             \
                         : CLOBBERS);                                                                                  \
    }
LOOP(loop_fma, "0x4e20cc00")    /* fmla .4s */
LOOP(loop_sdot, "0x4e809400")   /* sdot .4s, .16b */
LOOP(loop_smmla, "0x4e80a400")  /* smmla .4s, .16b */
LOOP(loop_bfmmla, "0x6e40ec00") /* bfmmla .4s, .8h */

const peak_loop *peak_loop_get(peak_kind kind) {
    static const peak_loop plain = { loop_plain, 8 * 4 * 2 }, fma = { loop_fma, 32 * 4 * 2 };
    static const peak_loop sdot = { loop_sdot, 32 * 16 * 2 }, smmla = { loop_smmla, 32 * 32 * 2 };
    static const peak_loop bfmmla = { loop_bfmmla, 32 * 16 * 2 };
    const cpu_features *cpu = cpu_get();
    switch (kind) {
    case PEAK_F32: return cpu->level == CPU_NEON ? &fma : &plain;
    case PEAK_BF16: return cpu->neon_bf16 ? &bfmmla : NULL;
    case PEAK_INT8: return cpu->neon_i8mm ? &smmla : cpu->neon_dotprod ? &sdot : NULL;
    default: return NULL;
    }
}

#else

const peak_loop *peak_loop_get(peak_kind kind) {
    static const peak_loop plain = { loop_plain, 8 * 4 * 2 };
    return kind == PEAK_F32 ? &plain : NULL;
}

#endif
