/* Choosing scale and zero point of a group of weights that is kept in few bits. */
#ifndef CODECS_SCHEME_LINEAR_H
#define CODECS_SCHEME_LINEAR_H

#include <tola/tensor.h>

/* w = (code - zero) * scale, low <= code <= high: -2^(bits-1) .. 2^(bits-1) - 1. */
typedef struct linear_grid {
    float scale; /* a value of the dtype that scales are kept in; may be negative, never 0 */
    int8_t zero; /* 0 where symmetric */
} linear_grid;

/* The grid for n finite values with little sum(w * (x - decoded)^2), found by trying ways to clip the range and taking
 * the least-squares scale of each. weights: n numbers >= 0, or NULL. scale: f32, f16 or bf16. n may be 0. */
linear_grid linear_choose(const float *x, const float *weights, size_t n, unsigned bits, bool symmetric,
                          tola_dtype scale);
/* The codes of n values under a grid, plus 2^(bits-1), so that they start at 0. */
void linear_codes(const float *x, size_t n, unsigned bits, linear_grid grid, uint8_t *codes);

/* To the nearest number that `dtype` (f32, f16, bf16) holds; finite, and never so small (0 least of all)
 * that its inverse is not finite. */
float scale_round(float x, tola_dtype dtype);
/* The same as bytes of a part. */
void scale_store(const float *scales, size_t n, tola_dtype dtype, void *dst);

#endif
