/* The two sums that say how well a grid fits a run of numbers, for many grids at once.
 *
 * A grid has codes low .. high and stands for (code - zero) * scale. Taking each x to the nearest code,
 *     q = round(clamp(x * inverse + zero, low, high)) - zero,        sums: xq = sum(w x q), qq = sum(w q q),
 * the scale of least weighted square error for these codes is xq / qq, and that error is sum(w x x) - xq^2 / qq.
 * Rounding is to nearest even. Sums are taken in 16 interleaved parts that are added in a fixed order, without fused
 * multiplication, so that every instruction set gives the same bits. Where the codes are those of a small float, q is
 * the nearest one to x * inverse, ties to even, the largest for what lies beyond. */
#ifndef KERNELS_FIT_H
#define KERNELS_FIT_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/cast/cast.h"

typedef struct fit_grid {
    float inverse; /* 1 / scale, may be negative */
    float zero;    /* whole, low .. high */
} fit_grid;

typedef struct fit_sums {
    float xq, qq;
} fit_sums;

typedef struct fit_kernels {
    /* w: n weights >= 0, or NULL for 1. low, high: whole, within -128 .. 127. NaN counts as low. */
    void (*sums)(const float *x, const float *w, size_t n, float low, float high, const fit_grid *grids, size_t count,
                 fit_sums *sums);
    /* The same for the codes of a small float (finite values, inverses > 0). */
    void (*small_sums)(const cast_small *type, const float *x, const float *w, size_t n, const float *inverses,
                       size_t count, fit_sums *sums);
    /* The least and the largest of n values and 0. NaN is passed over. */
    void (*range)(const float *x, size_t n, float *least, float *most);
    /* The codes themselves, q + zero. */
    void (*codes)(const float *x, size_t n, float low, float high, fit_grid grid, int8_t *codes);
} fit_kernels;

const fit_kernels *fit_get(void);                          /* the kernels for this processor */
extern const fit_kernels fit_scalar, fit_avx2, fit_avx512; /* the last two on x86-64 */

/* How 16 partial sums become one. */
static inline float fit_add_lanes(const float lanes[16]) {
    float eight[8];
    for (int i = 0; i < 8; i++) eight[i] = lanes[i] + lanes[i + 8];
    return ((eight[0] + eight[4]) + (eight[2] + eight[6])) + ((eight[1] + eight[5]) + (eight[3] + eight[7]));
}

/* A small float as arithmetic sees it: adding and subtracting `magic`, 1.5 * 2^(23 - mantissa), times the power of two
 * below a magnitude rounds it to the mantissa's bits. Magnitudes below the smallest normal number count as that. */
typedef struct fit_float {
    float most, least_normal;
    uint32_t magic; /* to be added to the bits of the power of two */
} fit_float;

static inline fit_float fit_float_of(const cast_small *t) {
    int exponent = (t->max >> t->mantissa) - t->bias, low = 1 - t->bias;
    uint32_t m = t->max & ((1u << t->mantissa) - 1);
    union {
        uint32_t u;
        float f;
    } most = { (uint32_t)(exponent + 127) << 23 | m << (23 - t->mantissa) }, least = { (uint32_t)(low + 127) << 23 };
    return (fit_float){ most.f, least.f, (23u - t->mantissa) << 23 | 0x400000 };
}

#endif
