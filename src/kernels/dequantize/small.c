/* One to four bits without super-block arithmetic: q1_0, q2_0, the ternary tq1_0 and tq2_0, the FP4 types mxfp4 and
 * nvfp4. Layouts: ggml-common.h (https://github.com/ggml-org/ggml); e2m1 and e8m0: OCP Microscaling Formats v1.0. */
#include "kernels/dequantize/dequantize_kernels.h"
#include "kernels/dequantize/grids.h"

/* w = d where the bit is set, else -d. d, bits[16], the lowest first */
static void q1_0_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int i = 0; i < 128; i++) out[i] = b[2 + i / 8] >> i % 8 & 1 ? d : -d;
}

/* w = d (q - 1). d, two bits each [16], the lowest first */
static void q2_0_block(const uint8_t *b, float *out) {
    float d = load_f16(b);
    for (int i = 0; i < 64; i++) out[i] = (float)((b[2 + i / 4] >> i % 4 * 2 & 3) - 1) * d;
}

/* `count` elements, one of each byte: a byte is a fraction of 256, whose digits in base 3 are five elements; 3^digit
 * moves the one wanted in front of the point. */
static void put_trits(float *out, float d, const uint8_t *b, int count, unsigned power) {
    for (int i = 0; i < count; i++) {
        unsigned fraction = b[i] * power & 255;
        out[i] = (float)((int)(fraction * 3 >> 8) - 1) * d;
    }
}

/* w = d (-1, 0 or 1). Five elements a byte: 32 bytes for 160 elements, 16 for 80, then four a byte: 4 for 16.
 * qs[48], qh[4], d */
static void tq1_0_block(const uint8_t *b, float *out) {
    static const uint8_t power[5] = { 1, 3, 9, 27, 81 };
    float d = load_f16(b + 52);
    for (int k = 0; k < 5; k++) put_trits(out + 32 * k, d, b, 32, power[k]);
    for (int k = 0; k < 5; k++) put_trits(out + 160 + 16 * k, d, b + 32, 16, power[k]);
    for (int k = 0; k < 4; k++) put_trits(out + 240 + 4 * k, d, b + 48, 4, power[k]);
}

/* w = d (q - 1); each 32 bytes hold 128 elements, 32 at a time, the lowest bits first. qs[64], d */
static void tq2_0_block(const uint8_t *b, float *out) {
    float d = load_f16(b + 64);
    for (int i = 0; i < 256; i++) out[i] = (float)((b[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3) - 1) * d;
}

/* Sixteen or thirty-two nibbles, the low ones first. */
static void put_fp4(float *out, float half, const uint8_t *qs, int bytes) {
    for (int i = 0; i < bytes; i++) {
        out[i] = (float)values_fp4[qs[i] & 15] * half;
        out[i + bytes] = (float)values_fp4[qs[i] >> 4] * half;
    }
}

/* e8m0 scale, qs[16] */
static void mxfp4_block(const uint8_t *b, float *out) {
    put_fp4(out, half_e8m0(b[0]), b + 1, 16);
}

/* Four groups of 16: e4m3 scales[4], qs[4][8] */
static void nvfp4_block(const uint8_t *b, float *out) {
    for (int g = 0; g < 4; g++) put_fp4(out + 16 * g, half_ue4m3(b[g]), b + 4 + 8 * g, 8);
}

#define ROWS(type, elements, bytes) \
    static void type(const void *src, float *dst, size_t n) { each_block(src, dst, n, elements, bytes, type##_block); }
ROWS(q1_0, 128, 18)
ROWS(q2_0, 64, 18)
ROWS(tq1_0, 256, 54)
ROWS(tq2_0, 256, 66)
ROWS(mxfp4, 32, 17)
ROWS(nvfp4, 64, 36)

const dequantize_set dequantize_small = { .of = {
    [TOLA_DTYPE_Q1_0] = q1_0,   [TOLA_DTYPE_Q2_0] = q2_0,   [TOLA_DTYPE_TQ1_0] = tq1_0,
    [TOLA_DTYPE_TQ2_0] = tq2_0, [TOLA_DTYPE_MXFP4] = mxfp4, [TOLA_DTYPE_NVFP4] = nvfp4,
} };
