/* The types whose values come from codebooks: iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq4_nl, iq4_xs.
 * Layouts: ggml-common.h (https://github.com/ggml-org/ggml). Indices have no more bits than their table has entries. */
#include "kernels/dequantize/dequantize_kernels.h"
#include "kernels/dequantize/grids.h"

/* e2m1 is no codebook of this file's types, but the tables of sixteen stand together. */
const int8_t values_iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
const int8_t values_fp4[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* scale x magnitude x sign of `count` values of an entry. */
static void put(float *out, float scale, uint64_t entry, unsigned signs, int count) {
    for (int i = 0; i < count; i++) {
        float magnitude = scale * (float)(uint8_t)(entry >> (8 * i));
        out[i] = signs >> i & 1 ? -magnitude : magnitude;
    }
}

/* Eight groups of 32: four indices, then four times seven signs and a scale s of four bits;
 * w = d (s + 1/2) / 4 x entry. d, (u8 index[4], u32 signs and s)[8] */
static void iq2_xxs_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int g = 0; g < 8; g++, out += 32) {
        const uint8_t *index = b + 2 + 8 * g;
        uint32_t rest = load_u32(index + 4);
        float scale = d * (0.5f + (float)(rest >> 28)) * 0.25f;
        for (int l = 0; l < 4; l++) put(out + 8 * l, scale, grid_iq2_xxs[index[l]], eight_signs(rest >> 7 * l), 8);
    }
}

/* Sixteen sub-blocks of 16 with scales of four bits, as above. d, u16 (index of 9 bits, seven signs)[32], scales[8] */
static void iq2_xs_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int l = 0; l < 32; l++) {
        unsigned q = load_u16(b + 2 + 2 * l), s = b[66 + l / 4] >> (l / 2 % 2 * 4) & 15;
        put(out + 8 * l, d * (0.5f + (float)s) * 0.25f, grid_iq2_xs[q & 511], eight_signs(q >> 9), 8);
    }
}

/* The same with ten bits of index and eight signs. d, index[32], signs[32], index bits 8 and 9 in qh[8], scales[8] */
static void iq2_s_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int l = 0; l < 32; l++) {
        unsigned index = b[2 + l] | (b[66 + l / 4] >> (l % 4 * 2) & 3u) << 8, s = b[74 + l / 4] >> (l / 2 % 2 * 4) & 15;
        put(out + 8 * l, d * (0.5f + (float)s) * 0.25f, grid_iq2_s[index], b[34 + l], 8);
    }
}

/* Eight groups of 32: w = d (s + 1/2) / 2 x entry. d, index[64], u32 (four times seven signs, s of four bits)[8] */
static void iq3_xxs_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int g = 0; g < 8; g++) {
        uint32_t rest = load_u32(b + 66 + 4 * g);
        float scale = d * (0.5f + (float)(rest >> 28)) * 0.5f;
        for (int l = 0; l < 8; l++, out += 4)
            put(out, scale, grid_iq3_xxs[b[2 + 8 * g + l]], eight_signs(rest >> l / 2 * 7) >> l % 2 * 4, 4);
    }
}

/* Eight groups of 32: w = d (1 + 2 s) x entry. d, index[64], bit 8 of the indices in qh[8], signs[32], scales[4] */
static void iq3_s_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int l = 0; l < 64; l++) {
        unsigned index = b[2 + l] | (b[66 + l / 8] >> l % 8 & 1u) << 8, s = b[106 + l / 16] >> (l / 8 % 2 * 4) & 15;
        put(out + 4 * l, d * (float)(1 + 2 * s), grid_iq3_s[index], b[74 + l / 2] >> l % 2 * 4, 4);
    }
}

/* scale (entry +- 1/8) */
static void put_shifted(float *out, float scale, uint64_t entry, bool minus) {
    float delta = minus ? -0.125f : 0.125f;
    for (int i = 0; i < 8; i++) out[i] = scale * ((float)(int8_t)(entry >> (8 * i)) + delta);
}

/* Eight groups of 32: w = d (2 s + 1) (entry +- 1/8). d, index[32],
 * u16 qh[8]: four times three more bits of index, s of three bits, the sign of the eighth */
static void iq1_s_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int l = 0; l < 32; l++) {
        unsigned qh = load_u16(b + 34 + l / 4 * 2), index = b[2 + l] | (qh >> l % 4 * 3 & 7) << 8;
        put_shifted(out + 8 * l, d * (float)(2 * (qh >> 12 & 7) + 1), grid_iq1[index], qh >> 15);
    }
}

/* Sixteen sub-blocks of 16, as above. index[32], nibbles qh[16]: three more bits of index, the sign of the eighth;
 * u16 scales[4]: four of three bits in each, and above them four bits of d, the lowest first */
static void iq1_m_block(const uint8_t *b, float *out) {
    const uint8_t *scales = b + 48;
    unsigned half = 0;
    for (int k = 0; k < 4; k++) half |= (unsigned)load_u16(scales + 2 * k) >> 12 << 4 * k;
    float d = cast_f32_from_bits(cast_f16_to_f32((uint16_t)half));
    for (int l = 0; l < 32; l++) {
        unsigned qh = b[32 + l / 2] >> (l % 2 * 4), s = load_u16(scales + l / 8 * 2) >> (l / 2 % 4 * 3) & 7;
        put_shifted(out + 8 * l, d * (float)(2 * s + 1), grid_iq1[b[l] | (qh & 7) << 8], qh >> 3 & 1);
    }
}

/* Thirty-two nibbles, the low ones first, through the table. */
static void put_nibbles(float *out, float scale, const uint8_t *qs) {
    for (int i = 0; i < 16; i++) {
        out[i] = scale * (float)values_iq4[qs[i] & 15];
        out[i + 16] = scale * (float)values_iq4[qs[i] >> 4];
    }
}

/* d, qs[16] */
static void iq4_nl_block(const uint8_t *b, float *out) {
    put_nibbles(out, load_f16(b), b + 2);
}

/* Eight groups of 32: w = d (s - 32) x entry. d, u16 upper two bits of s, lower nibbles of s [4], qs[128] */
static void iq4_xs_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    unsigned high = load_u16(b + 2);
    for (int g = 0; g < 8; g++) {
        int s = (b[4 + g / 2] >> (g % 2 * 4) & 15) | (int)(high >> 2 * g & 3) << 4;
        put_nibbles(out + 32 * g, d * (float)(s - 32), b + 8 + 16 * g);
    }
}

#define ROWS(type, elements, bytes) \
    static void type(const void *src, float *dst, size_t n) { each_block(src, dst, n, elements, bytes, type##_block); }
ROWS(iq2_xxs, 256, 66)
ROWS(iq2_xs, 256, 74)
ROWS(iq2_s, 256, 82)
ROWS(iq3_xxs, 256, 98)
ROWS(iq3_s, 256, 110)
ROWS(iq1_s, 256, 50)
ROWS(iq1_m, 256, 56)
ROWS(iq4_nl, 32, 18)
ROWS(iq4_xs, 256, 136)

const dequantize_set dequantize_iq = { .of = {
    [TOLA_DTYPE_IQ2_XXS] = iq2_xxs, [TOLA_DTYPE_IQ2_XS] = iq2_xs, [TOLA_DTYPE_IQ2_S] = iq2_s,
    [TOLA_DTYPE_IQ3_XXS] = iq3_xxs, [TOLA_DTYPE_IQ3_S] = iq3_s,   [TOLA_DTYPE_IQ1_S] = iq1_s,
    [TOLA_DTYPE_IQ1_M] = iq1_m,     [TOLA_DTYPE_IQ4_NL] = iq4_nl, [TOLA_DTYPE_IQ4_XS] = iq4_xs,
} };
