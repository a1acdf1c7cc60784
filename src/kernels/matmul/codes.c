/* Blocks of weights taken apart into integer codes, integer scales and f32 factors, one function a type.
 * Layouts: ggml-common.h (https://github.com/ggml-org/ggml), summed up beside each function; halves are f16,
 * little-endian. How the parts multiply is said in matmul.h. Any bytes are valid. */
#include "kernels/cast/scalar.h"
#include "kernels/dequantize/grids.h"
#include "kernels/matmul/matmul_kernels.h"

static unsigned word(const uint8_t *p) {
    return p[0] | (unsigned)p[1] << 8;
}

static uint32_t word32(const uint8_t *p) {
    return word(p) | (uint32_t)word(p + 2) << 16;
}

static float half(const uint8_t *p) {
    return cast_f32_from_bits(cast_f16_to_f32((uint16_t)word(p)));
}

/* n / 2 bytes, the first half of the elements in the low nibbles. */
static void nibbles(const uint8_t *qs, int n, int offset, int8_t *q) {
    for (int i = 0; i < n / 2; i++) {
        q[i] = (int8_t)((qs[i] & 15) - offset);
        q[i + n / 2] = (int8_t)((qs[i] >> 4) - offset);
    }
}

/* The same through a table of sixteen. */
static void looked_up(const uint8_t *qs, int n, const int8_t *table, int8_t *q) {
    for (int i = 0; i < n / 2; i++) {
        q[i] = table[qs[i] & 15];
        q[i + n / 2] = table[qs[i] >> 4];
    }
}

/* Adds 16 where a bit of the 32 is set. */
static void fifth_bits(uint32_t bits, int8_t *q) {
    for (int i = 0; i < 32; i++) q[i] = (int8_t)(q[i] + (int)(bits >> i & 1) * 16);
}

/* ---- small blocks ---- */

/* d, qs[16] */
static void q4_0(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    nibbles(b + 2, 32, 8, c->q);
}

/* d, m, qs[16] */
static void q4_1(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    c->min[0] = half(b + 2);
    nibbles(b + 4, 32, 0, c->q);
}

/* d, u32 fifth bits, qs[16] */
static void q5_0(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    nibbles(b + 6, 32, 16, c->q);
    fifth_bits(word32(b + 2), c->q);
}

/* d, m, u32 fifth bits, qs[16] */
static void q5_1(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    c->min[0] = half(b + 2);
    nibbles(b + 8, 32, 0, c->q);
    fifth_bits(word32(b + 4), c->q);
}

/* d, qs[32] */
static void q8_0(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    memcpy(c->q, b + 2, 32);
}

/* d, d times the sum of qs (not needed), qs[32] */
static void q8_1(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    memcpy(c->q, b + 4, 32);
}

/* d, qs[16] */
static void iq4_nl(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    looked_up(b + 2, 32, values_iq4, c->q);
}

/* e8m0 exponent, qs[16]; the codes are doubled, so that the scale is 2^(e - 128) */
static void mxfp4(const uint8_t *b, matmul_codes *c) {
    c->d[0] = cast_f32_from_bits(b[0] < 2 ? 0x200000u << b[0] : (uint32_t)(b[0] - 1) << 23);
    looked_up(b + 1, 32, values_fp4, c->q);
}

/* Half of a ue4m3: bias 7, the top bit unused, 0x7f (NaN in e4m3) is zero as in ggml. */
static float half_of_ue4m3(unsigned u) {
    unsigned e = u >> 3 & 15, m = u & 7;
    if (u == 0x7f) return 0;
    return e ? cast_f32_from_bits((e + 119) << 23 | m << 20) : (float)m * 0x1p-10f;
}

/* ue4m3 d[4], qs[32]: four groups of 16 */
static void nvfp4(const uint8_t *b, matmul_codes *c) {
    for (int g = 0; g < 4; g++) {
        c->d[g] = half_of_ue4m3(b[g]);
        looked_up(b + 4 + 8 * g, 16, values_fp4, c->q + 16 * g);
    }
}

/* d, two bits each, less one: 64 */
static void q2_0(const uint8_t *b, matmul_codes *c) {
    c->d[0] = c->d[1] = half(b);
    for (int i = 0; i < 64; i++) c->q[i] = (int8_t)((b[2 + i / 4] >> 2 * (i % 4) & 3) - 1);
}

/* ---- super-blocks ---- */

/* 64 bytes of two bits each, runs of 32 elements: four in the first 32 bytes, lowest bits first, four in the others. */
static void runs_of_two(const uint8_t *qs, int offset, int8_t *q) {
    for (int g = 0; g < 8; g++)
        for (int i = 0; i < 32; i++) q[32 * g + i] = (int8_t)((qs[g / 4 * 32 + i] >> g % 4 * 2 & 3) - offset);
}

/* Adds `what` to element 32 g + i where bit g of byte i is set. */
static void add_runs_of_one(const uint8_t *bits, int what, int8_t *q) {
    for (int g = 0; g < 8; g++)
        for (int i = 0; i < 32; i++) q[32 * g + i] = (int8_t)(q[32 * g + i] + (bits[i] >> g & 1) * what);
}

static void same_scale(matmul_codes *c) {
    for (int j = 0; j < 16; j++) c->sc[j] = 1;
}

/* d, one bit each: 128 of -1 and 1 */
static void q1_0(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    same_scale(c);
    for (int i = 0; i < 128; i++) c->q[i] = (int8_t)((b[2 + i / 8] >> i % 8 & 1) * 2 - 1);
}

/* scales[16] (scale low, minimum high), qs[64] (two bits; four runs of 32 to 32 bytes), d, dmin */
static void q2_k(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b + 80);
    c->min[0] = half(b + 82);
    for (int j = 0; j < 16; j++) {
        c->sc[j] = b[j] & 15;
        c->m[j] = b[j] >> 4;
    }
    runs_of_two(b + 16, 0, c->q);
}

/* hmask[32] (bit i of byte l: element 32 i + l; clear: less 4), qs[64] as q2_k, scales[12], d.
 * Scale j: four low bits in nibble j of the first eight bytes (first their low nibbles), two high bits in the last. */
static void q3_k(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b + 108);
    for (int j = 0; j < 16; j++) {
        int low = b[96 + j % 8] >> j / 8 * 4 & 15, high = b[104 + j % 4] >> j / 4 * 2 & 3;
        c->sc[j] = (int16_t)((low | high << 4) - 32);
    }
    runs_of_two(b + 32, 4, c->q);
    add_runs_of_one(b, 4, c->q);
}

/* Eight scales and eight minima of six bits in 12 bytes: the first four of each whole in bytes 0-3 and 4-7, of the
 * others the low four bits in bytes 8-11, the high two atop bytes 0-3 and 4-7. */
static void scales_of_k(const uint8_t *s, matmul_codes *c) {
    for (int j = 0; j < 16; j++) {
        int g = j / 2;
        c->sc[j] = (int16_t)(g < 4 ? s[g] & 63 : (s[g + 4] & 15) | s[g - 4] >> 6 << 4);
        c->m[j] = (int16_t)(g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | s[g] >> 6 << 4);
    }
}

/* d, dmin, scales[12], qs[128]: four runs of 64 elements in 32 bytes */
static void q4_k(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    c->min[0] = half(b + 2);
    scales_of_k(b + 4, c);
    for (int r = 0; r < 4; r++) nibbles(b + 16 + 32 * r, 64, 0, c->q + 64 * r);
}

/* d, dmin, scales[12], qh[32] (bit i of byte l: element 32 i + l), qs[128] */
static void q5_k(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    c->min[0] = half(b + 2);
    scales_of_k(b + 4, c);
    for (int r = 0; r < 4; r++) nibbles(b + 48 + 32 * r, 64, 0, c->q + 64 * r);
    add_runs_of_one(b + 16, 16, c->q);
}

/* ql[128] (low nibbles: elements 0-63 of each 128, high: 64-127), qh[64] (two bits; runs of 32), i8 scales[16], d */
static void q6_k(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b + 208);
    for (int j = 0; j < 16; j++) c->sc[j] = (int8_t)b[192 + j];
    runs_of_two(b + 128, 0, c->q);
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 64; i++) {
            int8_t *q = c->q + 128 * h + i;
            int low = b[64 * h + i];
            q[0] = (int8_t)((q[0] << 4 | (low & 15)) - 32);
            q[64] = (int8_t)((q[64] << 4 | low >> 4) - 32);
        }
}

/* f32 d, qs[256], sums (not needed) */
static void q8_k(const uint8_t *b, matmul_codes *c) {
    c->d[0] = cast_f32_from_bits(word32(b));
    same_scale(c);
    memcpy(c->q, b + 4, 256);
}

/* Seven signs, and the eighth that makes the number of minuses even. */
static unsigned eight_signs(uint32_t seven) {
    seven &= 127;
    return seven | (unsigned)__builtin_parity(seven) << 7;
}

static void with_signs(uint64_t entry, unsigned signs, int n, int8_t *q) {
    for (int i = 0; i < n; i++) {
        int8_t magnitude = (int8_t)(entry >> 8 * i);
        q[i] = (int8_t)(signs >> i & 1 ? -magnitude : magnitude);
    }
}

/* d, eight of: u8 index[4], u32 with four times seven signs and a scale of four bits */
static void iq2_xxs(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b) * 0.125f;
    for (int l = 0; l < 32; l++) {
        const uint8_t *group = b + 2 + l / 4 * 8;
        uint32_t rest = word32(group + 4);
        c->sc[l / 2] = (int16_t)(2 * (rest >> 28) + 1);
        with_signs(grid_iq2_xxs[group[l % 4]], eight_signs(rest >> l % 4 * 7), 8, c->q + 8 * l);
    }
}

/* d, u16 (index of 9 bits, seven signs)[32], scales[8]: nibbles */
static void iq2_xs(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b) * 0.125f;
    for (int l = 0; l < 32; l++) {
        unsigned u = word(b + 2 + 2 * l);
        c->sc[l / 2] = (int16_t)(2 * (b[66 + l / 4] >> l / 2 % 2 * 4 & 15) + 1);
        with_signs(grid_iq2_xs[u & 511], eight_signs(u >> 9), 8, c->q + 8 * l);
    }
}

/* d, index[32], signs[32], index bits 8 and 9 in qh[8], scales[8]: nibbles */
static void iq2_s(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b) * 0.125f;
    for (int l = 0; l < 32; l++) {
        unsigned index = b[2 + l] | (b[66 + l / 4] >> l % 4 * 2 & 3u) << 8;
        c->sc[l / 2] = (int16_t)(2 * (b[74 + l / 4] >> l / 2 % 2 * 4 & 15) + 1);
        with_signs(grid_iq2_s[index], b[34 + l], 8, c->q + 8 * l);
    }
}

/* d, index[64], u32 (four times seven signs, a scale of four bits)[8] */
static void iq3_xxs(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b) * 0.25f;
    for (int l = 0; l < 64; l++) {
        uint32_t rest = word32(b + 66 + l / 8 * 4);
        c->sc[l / 4] = (int16_t)(2 * (rest >> 28) + 1);
        with_signs(grid_iq3_xxs[b[2 + l]], eight_signs(rest >> l % 8 / 2 * 7) >> l % 2 * 4, 4, c->q + 4 * l);
    }
}

/* d, index[64], bit 8 of the indices in qh[8], signs[32], scales[4]: nibbles */
static void iq3_s(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    for (int l = 0; l < 64; l++) {
        unsigned index = b[2 + l] | (b[66 + l / 8] >> l % 8 & 1u) << 8;
        c->sc[l / 4] = (int16_t)(2 * (b[106 + l / 16] >> l / 8 % 2 * 4 & 15) + 1);
        with_signs(grid_iq3_s[index], b[74 + l / 2] >> l % 2 * 4, 4, c->q + 4 * l);
    }
}

/* Eight times a grid entry, plus or minus one: entry +- 1/8 as integers. */
static void shifted(uint64_t entry, bool minus, int8_t *q) {
    for (int i = 0; i < 8; i++) q[i] = (int8_t)((int8_t)(entry >> 8 * i) * 8 + (minus ? -1 : 1));
}

/* d, index[32], u16 qh[8]: four times three bits of index, a scale of three bits, the sign of the eighth */
static void iq1_s(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b) * 0.125f;
    for (int l = 0; l < 32; l++) {
        unsigned qh = word(b + 34 + l / 4 * 2);
        c->sc[l / 2] = (int16_t)(2 * (qh >> 12 & 7) + 1);
        shifted(grid_iq1[b[2 + l] | (qh >> l % 4 * 3 & 7) << 8], qh >> 15, c->q + 8 * l);
    }
}

/* index[32], nibbles qh[16]: three bits of index, the sign of the eighth; u16 scales[4]: four of three bits in each,
 * and above them four bits of d, the lowest first */
static void iq1_m(const uint8_t *b, matmul_codes *c) {
    unsigned d = 0;
    for (int i = 0; i < 4; i++) d |= word(b + 48 + 2 * i) >> 12 << 4 * i;
    c->d[0] = cast_f32_from_bits(cast_f16_to_f32((uint16_t)d)) * 0.125f;
    for (int l = 0; l < 32; l++) {
        unsigned qh = b[32 + l / 2] >> l % 2 * 4;
        c->sc[l / 2] = (int16_t)(2 * (word(b + 48 + l / 8 * 2) >> l / 2 % 4 * 3 & 7) + 1);
        shifted(grid_iq1[b[l] | (qh & 7) << 8], qh >> 3 & 1, c->q + 8 * l);
    }
}

/* d, u16 high two bits of the scales, their low nibbles [4], qs[128] */
static void iq4_xs(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b);
    for (int j = 0; j < 16; j++) {
        int g = j / 2, low = b[4 + g / 2] >> g % 2 * 4 & 15;
        c->sc[j] = (int16_t)((low | (int)(word(b + 2) >> 2 * g & 3) << 4) - 32);
    }
    for (int g = 0; g < 8; g++) looked_up(b + 8 + 16 * g, 32, values_iq4, c->q + 32 * g);
}

/* Digit n of a byte that holds five ternary digits as a fraction of 256, most significant first. */
static int8_t trit(uint8_t byte, int n) {
    static const uint8_t powers[] = { 1, 3, 9, 27, 81 };
    return (int8_t)(((uint8_t)(byte * powers[n]) * 3 >> 8) - 1);
}

/* qs[48]: five runs of 32 in the first 32 bytes, five of 16 in the others; qh[4]: four of 4; d */
static void tq1_0(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b + 52);
    same_scale(c);
    for (int i = 0; i < 160; i++) c->q[i] = trit(b[i % 32], i / 32);
    for (int i = 0; i < 80; i++) c->q[160 + i] = trit(b[32 + i % 16], i / 16);
    for (int i = 0; i < 16; i++) c->q[240 + i] = trit(b[48 + i % 4], i / 4);
}

/* qs[64] as q2_k, less one; d */
static void tq2_0(const uint8_t *b, matmul_codes *c) {
    c->d[0] = half(b + 64);
    same_scale(c);
    runs_of_two(b, 1, c->q);
}

static const matmul_type types[TOLA_DTYPE_COUNT] = {
    [TOLA_DTYPE_F32] = { .kind = MATMUL_F32 },
    [TOLA_DTYPE_F16] = { .kind = MATMUL_F16 },
    [TOLA_DTYPE_BF16] = { .kind = MATMUL_BF16 },
    [TOLA_DTYPE_F8_E4M3] = { .kind = MATMUL_BF16 },
    [TOLA_DTYPE_F8_E5M2] = { .kind = MATMUL_BF16 },
    [TOLA_DTYPE_Q4_0] = { MATMUL_SMALL, 32, false, 8, q4_0 },
    [TOLA_DTYPE_Q4_1] = { MATMUL_SMALL, 32, true, 0, q4_1 },
    [TOLA_DTYPE_Q5_0] = { MATMUL_SMALL, 32, false, 16, q5_0 },
    [TOLA_DTYPE_Q5_1] = { MATMUL_SMALL, 32, true, 0, q5_1 },
    [TOLA_DTYPE_Q8_0] = { MATMUL_SMALL, 32, false, 128, q8_0 },
    [TOLA_DTYPE_Q8_1] = { MATMUL_SMALL, 32, false, 128, q8_1 },
    [TOLA_DTYPE_Q2_0] = { MATMUL_SMALL, 32, false, 1, q2_0 },
    [TOLA_DTYPE_IQ4_NL] = { MATMUL_SMALL, 32, false, 128, iq4_nl },
    [TOLA_DTYPE_MXFP4] = { MATMUL_SMALL, 32, false, 12, mxfp4 },
    [TOLA_DTYPE_NVFP4] = { MATMUL_SMALL, 16, false, 12, nvfp4 },
    [TOLA_DTYPE_Q1_0] = { MATMUL_SUPER, 32, false, 1, q1_0 },
    [TOLA_DTYPE_Q2_K] = { MATMUL_SUPER, 16, true, 0, q2_k },
    [TOLA_DTYPE_Q3_K] = { MATMUL_SUPER, 16, false, 4, q3_k },
    [TOLA_DTYPE_Q4_K] = { MATMUL_SUPER, 32, true, 0, q4_k },
    [TOLA_DTYPE_Q5_K] = { MATMUL_SUPER, 32, true, 0, q5_k },
    [TOLA_DTYPE_Q6_K] = { MATMUL_SUPER, 16, false, 32, q6_k },
    [TOLA_DTYPE_Q8_K] = { MATMUL_SUPER, 32, false, 128, q8_k },
    [TOLA_DTYPE_IQ1_S] = { MATMUL_SUPER, 32, false, 16, iq1_s },
    [TOLA_DTYPE_IQ1_M] = { MATMUL_SUPER, 16, false, 16, iq1_m },
    [TOLA_DTYPE_IQ2_XXS] = { MATMUL_SUPER, 32, false, 64, iq2_xxs },
    [TOLA_DTYPE_IQ2_XS] = { MATMUL_SUPER, 16, false, 64, iq2_xs },
    [TOLA_DTYPE_IQ2_S] = { MATMUL_SUPER, 16, false, 64, iq2_s },
    [TOLA_DTYPE_IQ3_XXS] = { MATMUL_SUPER, 32, false, 64, iq3_xxs },
    [TOLA_DTYPE_IQ3_S] = { MATMUL_SUPER, 32, false, 16, iq3_s },
    [TOLA_DTYPE_IQ4_XS] = { MATMUL_SUPER, 32, false, 128, iq4_xs },
    [TOLA_DTYPE_TQ1_0] = { MATMUL_SUPER, 32, false, 1, tq1_0 },
    [TOLA_DTYPE_TQ2_0] = { MATMUL_SUPER, 32, false, 1, tq2_0 },
};

const matmul_type *matmul_type_get(tola_dtype weights) {
    return &types[(unsigned)weights < TOLA_DTYPE_COUNT ? weights : TOLA_DTYPE_NONE];
}
