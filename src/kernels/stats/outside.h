/* Between outside.c and its instruction sets. */
#ifndef KERNELS_STATS_OUTSIDE_H
#define KERNELS_STATS_OUTSIDE_H

#include "kernels/stats/stats.h"

typedef uint64_t (*outside_fn)(const void *data, size_t n, double low, double high, double *out, size_t cap);

typedef struct outside_kernels {
    outside_fn f32, f64, f16, bf16;
} outside_kernels;

extern const outside_kernels outside_scalar, outside_avx2, outside_avx512;

#endif
