/* Encoders of q1_0, q2_0, tq1_0, tq2_0, mxfp4 and nvfp4, included once by each instruction set, whose compiler flags
 * make of the same loops what the processor can do; the bits do not depend on it, since sums are kept in LANES parts
 * and never contracted. Layouts: kernels/dequantize/small.c. Everything is static but one table.
 *
 * Without importance tq1_0, tq2_0 and mxfp4 are what ggml's quantize_row_*_ref (ggml-quants.c) and gguf-py define.
 * Everything else makes sum(weight (w - decoded)^2) small, starting from what ggml does, which it never exceeds. */
#include "kernels/dequantize/dequantize_kernels.h"
#include "kernels/quantize/small_kernels.h"
#include <math.h>

#define LANES 16

/* A block's values and their weights, aligned and at hand. */
typedef struct block {
    float x[256], weight[256];
} block;

/* Columns that all have importance 0 weigh alike: they have an error, too. */
static inline void load(block *b, const float *src, const float *importance, size_t at, size_t n) {
    bool any = false;
    memcpy(b->x, (const char *)src + at * sizeof *src, n * sizeof *src);
    if (importance) {
        memcpy(b->weight, (const char *)importance + at * sizeof *importance, n * sizeof *importance);
        for (size_t i = 0; i < n; i++) any |= b->weight[i] > 0;
    }
    for (size_t i = 0; !any && i < n; i++) b->weight[i] = 1;
}

static inline float sum_lanes(const float v[LANES]) {
    float s[LANES];
    memcpy(s, v, sizeof s);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++) s[l] += s[l + width];
    return s[0];
}

static inline float largest_magnitude(const float *x, int n) {
    float lanes[LANES] = { 0 }, largest = 0;
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] = fabsf(x[i + l]) > lanes[l] ? fabsf(x[i + l]) : lanes[l];
    for (int l = 0; l < LANES; l++) largest = lanes[l] > largest ? lanes[l] : largest;
    return largest;
}

static inline float as_f16(float x) {
    return cast_f32_from_bits(cast_f16_to_f32(cast_f32_to_f16(cast_f32_bits(x))));
}

static inline void store_f16(uint8_t *p, float x) {
    uint16_t h = cast_f32_to_f16(cast_f32_bits(x));
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

/* ---- one bit ---- */

/* The best scale for given signs is the weighted mean of the magnitudes. */
static void q1_0(const float *src, void *dst, size_t n, const float *importance) {
    uint8_t *to = dst;
    block b;
    for (size_t at = 0; at < n; at += 128, to += 18) {
        load(&b, src, importance, at, 128);
        double sum = 0, weights = 0;
        for (int i = 0; i < 128; i++) {
            sum += (double)b.weight[i] * (double)fabsf(b.x[i]);
            weights += (double)b.weight[i];
        }
        store_f16(to, weights > 0 ? (float)(sum / weights) : 0);
        for (int k = 0; k < 16; k++) {
            unsigned bits = 0;
            for (int i = 0; i < 8; i++) bits |= (unsigned)(b.x[8 * k + i] >= 0) << i;
            to[2 + k] = (uint8_t)bits;
        }
    }
}

/* ---- -1, 0, 1, 2 ---- */

static inline float nearest_q2(float t) {
    return (float)((t > 0.5f) + (t > 1.5f) - (t < -0.5f));
}

/* The sums over the codes nearest to x / d: sum(w x q) and sum(w q^2), whose quotient is the best scale for them. */
static inline void fit_q2(const block *b, float d, float *xq, float *qq) {
    float lanes_xq[LANES] = { 0 }, lanes_qq[LANES] = { 0 }, inverse = 1 / d;
    for (int i = 0; i < 64; i += LANES)
        for (int l = 0; l < LANES; l++) {
            float q = nearest_q2(b->x[i + l] * inverse), wq = b->weight[i + l] * q;
            lanes_xq[l] += wq * b->x[i + l];
            lanes_qq[l] += wq * q;
        }
    *xq = sum_lanes(lanes_xq);
    *qq = sum_lanes(lanes_qq);
}

static inline float error_q2(const block *b, float d) {
    float lanes[LANES] = { 0 }, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 64; i += LANES)
        for (int l = 0; l < LANES; l++) {
            float e = b->x[i + l] - d * nearest_q2(b->x[i + l] * inverse);
            lanes[l] += b->weight[i + l] * e * e;
        }
    return sum_lanes(lanes);
}

/* Scales of both signs, as the codes are not symmetric; each is moved to where it fits its codes best. */
static inline float search_q2(const block *b, float largest) {
    float best = as_f16(largest), least = error_q2(b, best), most = 0, found = 0;
    for (int k = -21; k <= 21; k++) {
        float d = (float)k * 0.05f * largest, xq, qq;
        if (k > -5 && k < 5) continue;
        fit_q2(b, d, &xq, &qq);
        if (qq > 0 && xq * xq > most * qq) {
            most = xq * xq / qq;
            found = xq / qq;
        }
    }
    for (int k = 0; k < 3 && found != 0; k++) {
        float xq, qq, tried = as_f16(found), error = error_q2(b, tried);
        if (error < least) {
            least = error;
            best = tried;
        }
        fit_q2(b, found, &xq, &qq);
        if (!(qq > 0)) break;
        found = xq / qq;
    }
    return best;
}

static void q2_0(const float *src, void *dst, size_t n, const float *importance) {
    uint8_t *to = dst;
    block b;
    for (size_t at = 0; at < n; at += 64, to += 18) {
        load(&b, src, importance, at, 64);
        float largest = largest_magnitude(b.x, 64);
        /* Smaller ones are 0 as an f16, and their quotients leave f32. */
        float d = largest >= 0x1p-26f ? search_q2(&b, largest) : 0, inverse = d != 0 ? 1 / d : 0;
        store_f16(to, d);
        for (int k = 0; k < 16; k++) {
            unsigned bits = 0;
            for (int i = 0; i < 4; i++) bits |= (unsigned)((int)nearest_q2(b.x[4 * k + i] * inverse) + 1) << 2 * i;
            to[2 + k] = (uint8_t)bits;
        }
    }
}

/* ---- -1, 0, 1 ---- */

/* The scale that fits best where columns have importance: for each threshold the magnitudes above it are given their
 * weighted mean. */
static inline float search_ternary(const block *b, float largest) {
    float most = 0, best = largest;
    for (int k = 4; k <= 20; k++) {
        float above = 0.025f * (float)k * largest, lanes_x[LANES] = { 0 }, lanes_w[LANES] = { 0 };
        for (int i = 0; i < 256; i += LANES)
            for (int l = 0; l < LANES; l++) {
                float a = fabsf(b->x[i + l]), w = a >= above ? b->weight[i + l] : 0;
                lanes_x[l] += w * a;
                lanes_w[l] += w;
            }
        float x = sum_lanes(lanes_x), w = sum_lanes(lanes_w);
        if (w > 0 && x * x > most * w) {
            most = x * x / w;
            best = x / w;
        }
    }
    return best;
}

/* Codes 0, 1, 2 of 256 values, and their scale. */
static inline float ternary(const float *src, const float *importance, size_t at, uint8_t code[256]) {
    block b;
    load(&b, src, importance, at, 256);
    float d = largest_magnitude(b.x, 256);
    if (importance && d >= 0x1p-26f) d = search_ternary(&b, d);
    float inverse = d > 0 ? 1 / d : 0;
    for (int i = 0; i < 256; i++) { /* nearest, ties away from 0 */
        float t = b.x[i] * inverse;
        code[i] = (uint8_t)(1 + (t >= 0.5f) - (t <= -0.5f));
    }
    return d;
}

static void tq2_0(const float *src, void *dst, size_t n, const float *importance) {
    uint8_t *to = dst, code[256];
    for (size_t at = 0; at < n; at += 256, to += 66) {
        float d = ternary(src, importance, at, code);
        for (int half = 0; half < 2; half++)
            for (int i = 0; i < 32; i++) {
                const uint8_t *c = code + 128 * half + i;
                to[32 * half + i] = (uint8_t)(c[0] | c[32] << 2 | c[64] << 4 | c[96] << 6);
            }
        store_f16(to + 64, d);
    }
}

/* `count` bytes of five digits in base 3, the first one highest, `count` codes apart; as a fraction of 256, rounded up
 * so that decoding, which multiplies and cuts, finds them again. */
static inline void pack_trits(uint8_t *to, const uint8_t *code, int count) {
    for (int i = 0; i < count; i++) {
        unsigned q = 0;
        for (int k = 0; k < 5; k++) q = q * 3 + code[i + k * count];
        to[i] = (uint8_t)((q * 256 + 242) / 243);
    }
}

static void tq1_0(const float *src, void *dst, size_t n, const float *importance) {
    uint8_t *to = dst, code[256 + 4] = { 0 }; /* the last four bytes have four digits: the fifth is 0 */
    for (size_t at = 0; at < n; at += 256, to += 54) {
        float d = ternary(src, importance, at, code);
        pack_trits(to, code, 32);
        pack_trits(to + 32, code + 160, 16);
        pack_trits(to + 48, code + 240, 4);
        store_f16(to + 52, d);
    }
}

/* ---- e2m1 ---- */

/* The codes of n values nearest to x / half, ties to the smaller magnitude, zero without a sign; the weighted error.
 * `half` times a small number is exact: it is a power of two or has four significant bits. */
static inline float encode_fp4(const float *x, const float *weight, float half, int n, uint8_t *code) {
    float lanes[LANES] = { 0 };
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            float a = fabsf(x[i + l]);
            int c = (a > 0.5f * half) + (a > 1.5f * half) + (a > 2.5f * half) + (a > 3.5f * half) + (a > 5 * half) +
                    (a > 7 * half) + (a > 10 * half);
            /* 0 1 2 3 4 6 8 12 */
            float magnitude = (float)(c + (c > 4) + (c > 5) + 3 * (c > 6)), e = a - magnitude * half;
            code[i + l] = (uint8_t)(c | (c != 0 && x[i + l] < 0) << 3);
            lanes[l] += weight[i + l] * e * e;
        }
    return sum_lanes(lanes);
}

/* floor(log2f(a)) - 2 + 127 as the reference has it: the logarithm of what lies just below a power of two is rounded up
 * to a whole number. Not below 0, where the reference is undefined. */
static inline int exponent_mxfp4(float a) {
    uint32_t u = cast_f32_bits(a);
    if (u == 0) return 0;
    int e = (int)(u >> 23) - 127;
    if (u < 0x00800000 || (u & 0x7fffff) >= 0x7fff00) e = (int)floorf((float)log2((double)a));
    return e > 2 - 127 ? e - 2 + 127 : 0;
}

static void mxfp4(const float *src, void *dst, size_t n, const float *importance) {
    uint8_t *to = dst, code[32], other[32];
    block b;
    for (size_t at = 0; at < n; at += 32, to += 17) {
        load(&b, src, importance, at, 32);
        int e = exponent_mxfp4(largest_magnitude(b.x, 32)), best = e;
        float least = encode_fp4(b.x, b.weight, half_e8m0((uint8_t)e), 32, code);
        for (int k = e - 1; importance && k <= e + 1; k++) {
            if (k < 0 || k == e) continue;
            float error = encode_fp4(b.x, b.weight, half_e8m0((uint8_t)k), 32, other);
            if (!(error < least)) continue;
            least = error;
            best = k;
            memcpy(code, other, sizeof code);
        }
        to[0] = (uint8_t)best;
        for (int i = 0; i < 16; i++) to[1 + i] = (uint8_t)(code[i] | code[i + 16] << 4);
    }
}

/* The e4m3 nearest to x in 0 .. 448. */
static inline int nearest_ue4m3(float x) {
    if (x < 0x1p-6f) return (int)(x * 512 + 0.5f); /* up to 8, which is the first normal number */
    int e = (int)((cast_f32_bits(x) + 0x80000) >> 20) - ((127 - 7) << 3);
    return e > 0x7e ? 0x7e : e;
}

/* Sixteen values: the scale that puts the largest magnitude at 6, then those beside it. */
static inline int search_nvfp4(const float *x, const float *weight, uint8_t code[16]) {
    uint8_t other[16];
    int first = nearest_ue4m3(largest_magnitude(x, 16) / 6), best = first;
    float least = encode_fp4(x, weight, half_ue4m3((uint8_t)first), 16, code);
    for (int e = first - 5; e <= first + 5; e++) {
        if (e < 0 || e > 0x7e || e == first) continue;
        float error = encode_fp4(x, weight, half_ue4m3((uint8_t)e), 16, other);
        if (!(error < least)) continue;
        least = error;
        best = e;
        memcpy(code, other, sizeof other);
    }
    return best;
}

static void nvfp4(const float *src, void *dst, size_t n, const float *importance) {
    uint8_t *to = dst, code[16];
    block b;
    for (size_t at = 0; at < n; at += 64, to += 36) {
        load(&b, src, importance, at, 64);
        for (int g = 0; g < 4; g++) {
            to[g] = (uint8_t)search_nvfp4(b.x + 16 * g, b.weight + 16 * g, code);
            for (int i = 0; i < 8; i++) to[4 + 8 * g + i] = (uint8_t)(code[i] | code[i + 8] << 4);
        }
    }
}

const quantize_small SMALL_TABLE = { q1_0, q2_0, tq1_0, tq2_0, mxfp4, nvfp4 };
