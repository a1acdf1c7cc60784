/* Rows made a few at a time, for matmul_prepare, which takes them as a part of all rows. */
#ifndef GRAPH_GATHER_H
#define GRAPH_GATHER_H

#include "kernels/matmul/matmul.h"

#include <stdint.h>

/* Where row 0 would be if row `first`, which is at `rows`, and its followers were preceded by all the others. */
static inline const float *matmul_row_zero(const void *rows, size_t first, size_t k) {
    return (const float *)((uintptr_t)rows - first * k * sizeof(float));
}

#endif
