/* Between matmul.c and its paths: how prepared activations lie in memory, and what an instruction set provides. */
#ifndef KERNELS_MATMUL_KERNELS_H
#define KERNELS_MATMUL_KERNELS_H

#include "kernels/matmul/matmul.h"

/* Prepared activations of block types, each array row-major by token, each token's part aligned to 64 bytes:
 *   q    int8, k of them a token, zero-padded to q_stride
 *   d    f32, one for each d_block elements (32, 128 or 256, see matmul.h)
 *   sums int16, sums of q over each 16 elements (over 32: add two neighbours; |sum| <= 2032)
 * Of float types: x, f32 or bf16, row-major, zero-padded to x_stride; q, d and sums are NULL.
 * The tile path may keep more behind them. */
typedef struct matmul_acts {
    size_t k, tokens;
    const int8_t *q;
    const float *d;
    const int16_t *sums;
    size_t q_stride, d_stride, sums_stride; /* elements from token to token */
    unsigned d_block;
    const void *x;
    size_t x_stride;
} matmul_acts;

matmul_acts matmul_view(tola_dtype weights, size_t k, size_t tokens, const void *prepared);

/* One token, rows [0, count) of w: y[r]. The matrix-vector product, at the speed of memory; NULL where a type has none
 * for this processor (the tile path then serves, with the same bits). */
typedef void (*matmul_vector_fn)(const void *w, size_t row_bytes, const matmul_acts *x, size_t token, float *y,
                                 size_t count);
matmul_vector_fn matmul_vector_get(tola_dtype weights);        /* vector.c chooses */
matmul_vector_fn matmul_vector_avx512vnni(tola_dtype weights); /* vector_avx512vnni.c; and so on */
matmul_vector_fn matmul_vector_avx2(tola_dtype weights);
matmul_vector_fn matmul_vector_neon(tola_dtype weights);

/* The definition: one row with one token. */
float matmul_scalar_dot(tola_dtype weights, const void *row, const matmul_acts *x, size_t token);

#endif
