/* Matrices of f8_e4m3 under scales of 16 or 32 bits, encoded. */
#ifndef CODECS_SCHEME_F8_H
#define CODECS_SCHEME_F8_H

#include "codecs/scheme_parts.h"

/* The scale under which `largest` becomes 448, as `dtype` holds it; 1 for a largest magnitude of 0. */
float f8_scale(float largest, tola_dtype dtype);
/* `count` rows, whole blocks of rows of the grid but for the last: codes [count, cols], scales [blocks down, across] as
 * values of `dtype`. whole: the largest magnitude of the matrix where it has but one scale, else NULL. */
void f8_encode(const float *rows, uint64_t count, uint64_t cols, const scale_grid *grid, tola_dtype dtype,
               const float *whole, float *scales, uint8_t *codes);
/* The largest magnitude of n values, NaN passed over. */
float largest_of(const float *x, size_t n);

#endif
