/* Between compare.c and its instruction sets. */
#ifndef KERNELS_COMPARE_KERNELS_H
#define KERNELS_COMPARE_KERNELS_H

#include "kernels/compare/compare.h"

/* At most COMPARE_BLOCK pairs. */
typedef void (*compare_block_fn)(compare_acc *c, const void *a, const void *b, size_t n, double tolerance);

typedef struct compare_kernels {
    compare_block_fn f32, f64;
} compare_kernels;

extern const compare_kernels compare_scalar, compare_avx2, compare_avx512, compare_neon; /* where they exist */

/* The definition: where an instruction set meets NaNs or infinities it hands the block to these. */
void compare_block_f32(compare_acc *c, const void *a, const void *b, size_t n, double tolerance);
void compare_block_f64(compare_acc *c, const void *a, const void *b, size_t n, double tolerance);

#endif
