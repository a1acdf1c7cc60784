/* The blocks of 32 with f16 scales: q4_0, q4_1, q5_0, q5_1, q8_0, q8_1. Layouts: ggml-common.h
 * (https://github.com/ggml-org/ggml). Nibbles: the low ones are elements 0 .. 15, the high ones 16 .. 31. */
#include "kernels/dequantize/dequantize_kernels.h"

/* w = d (q - 8). d, qs[16] */
static void q4_0_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((b[2 + i] & 15) - 8) * d;
        out[i + 16] = (float)((b[2 + i] >> 4) - 8) * d;
    }
}

/* w = d q + m. d, m, qs[16] */
static void q4_1_block(const uint8_t *b, float *out) {
    float d = load_f16(b), m = load_f16(b + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)(b[4 + i] & 15) * d + m;
        out[i + 16] = (float)(b[4 + i] >> 4) * d + m;
    }
}

/* The fifth bit of element i is bit i of qh. */
static int five_bits(const uint8_t *qs, uint32_t qh, int i) {
    int low = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
    return low | (int)(qh >> i & 1) << 4;
}

/* w = d (q - 16). d, qh (32 bits), qs[16] */
static void q5_0_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    uint32_t qh = load_u32(b + 2);
    for (int i = 0; i < 32; i++) out[i] = (float)(five_bits(b + 6, qh, i) - 16) * d;
}

/* w = d q + m. d, m, qh (32 bits), qs[16] */
static void q5_1_block(const uint8_t *b, float *out) {
    float d = load_f16(b), m = load_f16(b + 2);
    uint32_t qh = load_u32(b + 4);
    for (int i = 0; i < 32; i++) out[i] = (float)five_bits(b + 8, qh, i) * d + m;
}

/* w = d q. d, i8 qs[32] */
static void q8_0_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int i = 0; i < 32; i++) out[i] = (float)(int8_t)b[2 + i] * d;
}

/* w = d q. d, the sum of the 32 values (for products), i8 qs[32] */
static void q8_1_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int i = 0; i < 32; i++) out[i] = (float)(int8_t)b[4 + i] * d;
}

#define ROWS(type, bytes) \
    static void type(const void *src, float *dst, size_t n) { each_block(src, dst, n, 32, bytes, type##_block); }
ROWS(q4_0, 18)
ROWS(q4_1, 20)
ROWS(q5_0, 22)
ROWS(q5_1, 24)
ROWS(q8_0, 34)
ROWS(q8_1, 36)

const dequantize_set dequantize_legacy = { .of = {
    [TOLA_DTYPE_Q4_0] = q4_0, [TOLA_DTYPE_Q4_1] = q4_1, [TOLA_DTYPE_Q5_0] = q5_0,
    [TOLA_DTYPE_Q5_1] = q5_1, [TOLA_DTYPE_Q8_0] = q8_0, [TOLA_DTYPE_Q8_1] = q8_1,
} };
