/* The super-blocks of 256 with quantized scales: q2_k .. q6_k, and q8_k, which products use. Layouts: ggml-common.h
 * (https://github.com/ggml-org/ggml). */
#include "kernels/dequantize/dequantize_kernels.h"

/* Two bits of element i: each 32 bytes hold 128 elements, 32 at a time, the lowest bits first. */
static int two_bits(const uint8_t *qs, int i) {
    return qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
}

/* Four bits of element i: each 32 bytes hold 64 elements, the low nibbles first. */
static int four_bits(const uint8_t *qs, int i) {
    return qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
}

/* Sixteen sub-blocks of 16: w = d s q - dmin m. (s | m << 4)[16], qs[64], d, dmin */
static void q2_k_block(const uint8_t *b, float *out) {
    float d = load_f16(b + 80), dmin = load_f16(b + 82);
    for (int j = 0; j < 16; j++) {
        float scale = d * (float)(b[j] & 15), min = dmin * (float)(b[j] >> 4);
        for (int i = 16 * j; i < 16 * j + 16; i++) out[i] = scale * (float)two_bits(b + 16, i) - min;
    }
}

/* Sixteen sub-blocks of 16: w = d (s - 32) (q - 4), the third bit of element i being bit i / 32 of hmask[i % 32].
 * hmask[32], qs[64], scales[12], d */
static void q3_k_block(const uint8_t *b, float *out) {
    float d = load_f16(b + 108);
    for (int j = 0; j < 16; j++) {
        float scale = d * (float)(scale_q3_k(b + 96, j) - 32);
        for (int i = 16 * j; i < 16 * j + 16; i++) {
            int q = two_bits(b + 32, i) | (b[i % 32] >> (i / 32) & 1) << 2;
            out[i] = scale * (float)(q - 4);
        }
    }
}

/* Eight sub-blocks of 32: w = d s q - dmin m. d, dmin, scales[12], qs[128] */
static void q4_k_block(const uint8_t *b, float *out) {
    float d = load_f16(b), dmin = load_f16(b + 2);
    for (int j = 0; j < 8; j++) {
        float scale = d * (float)scale_of(b + 4, j), min = dmin * (float)min_of(b + 4, j);
        for (int i = 32 * j; i < 32 * j + 32; i++) out[i] = scale * (float)four_bits(b + 16, i) - min;
    }
}

/* The same with a fifth bit: of element i, bit i / 32 of qh[i % 32]. d, dmin, scales[12], qh[32], qs[128] */
static void q5_k_block(const uint8_t *b, float *out) {
    const uint8_t *qh = b + 16;
    float d = load_f16(b), dmin = load_f16(b + 2);
    for (int j = 0; j < 8; j++) {
        float scale = d * (float)scale_of(b + 4, j), min = dmin * (float)min_of(b + 4, j);
        for (int i = 32 * j; i < 32 * j + 32; i++) {
            int q = four_bits(b + 48, i) | (qh[i % 32] >> j & 1) << 4;
            out[i] = scale * (float)q - min;
        }
    }
}

/* Sixteen sub-blocks of 16: w = d s (q - 32). ql: each 64 bytes hold 128 elements, the low nibbles first; qh as in
 * two_bits. ql[128], qh[64], i8 s[16], d */
static void q6_k_block(const uint8_t *b, float *out) {
    float d = load_f16(b + 208);
    for (int j = 0; j < 16; j++) {
        float scale = d * (float)(int8_t)b[192 + j];
        for (int i = 16 * j; i < 16 * j + 16; i++) {
            int low = b[i / 128 * 64 + i % 64] >> (i / 64 % 2 * 4) & 15;
            out[i] = scale * (float)((low | two_bits(b + 128, i) << 4) - 32);
        }
    }
}

/* w = d q. f32 d, i8 qs[256], i16 sums of each 16 of them (for products) */
static void q8_k_block(const uint8_t *b, float *out) {
    float d = cast_f32_from_bits(load_u32(b));
    for (int i = 0; i < 256; i++) out[i] = d * (float)(int8_t)b[4 + i];
}

#define ROWS(type, bytes) \
    static void type(const void *src, float *dst, size_t n) { each_block(src, dst, n, 256, bytes, type##_block); }
ROWS(q2_k, 84)
ROWS(q3_k, 110)
ROWS(q4_k, 144)
ROWS(q5_k, 176)
ROWS(q6_k, 210)
ROWS(q8_k, 292)

const dequantize_set dequantize_k = { .of = {
    [TOLA_DTYPE_Q2_K] = q2_k, [TOLA_DTYPE_Q3_K] = q3_k, [TOLA_DTYPE_Q4_K] = q4_k,
    [TOLA_DTYPE_Q5_K] = q5_k, [TOLA_DTYPE_Q6_K] = q6_k, [TOLA_DTYPE_Q8_K] = q8_k,
} };
