/* General matrix products of training: C[m][n] = (C[m][n] +) sum over k of A(m, k) B(k, n), f32 sums.
 *
 * Unlike kernels/matmul, which fixes a row's bits whatever the company it is computed in, a product here is one whole:
 * each element of C is summed in an order that depends on m, n and k and the precision alone, not on threads, tasks or
 * where the operands lie. Within one instruction set that is the same bits always; between instruction sets the order
 * may differ. */
#ifndef KERNELS_GEMM_H
#define KERNELS_GEMM_H

#include <tola/tensor.h>

typedef enum gemm_precision {
    GEMM_F32,
    GEMM_BF16 /* both operands rounded to bf16 (to nearest even), sums f32; subnormal numbers may count as zero */
} gemm_precision;

/* A matrix in memory: row r at data + r * row_bytes, elements of `dtype` (what gemm_supports; rows of block types start
 * at a block). Not transposed, A's rows are m and B's rows are k; transposed, A's rows are k and B's rows are n.
 * `scale` multiplies every element (1: as they are); `round` rounds each scaled element through a type (f8_e4m3,
 * f8_e5m2; TOLA_DTYPE_NONE: not) and back, divided by the scale again: simulated fp8, where what lies beyond the type's
 * range becomes its largest number. As in hardware the scales are applied to the sums: operands are multiplied as the
 * 8-bit numbers that they are. */
typedef struct gemm_operand {
    const void *data;
    size_t row_bytes;
    tola_dtype dtype;
    bool transposed;
    tola_dtype round;
    float scale;
} gemm_operand;

typedef struct gemm_problem {
    size_t m, n, k;
    gemm_operand a, b;
    float *c; /* row i at c + i * c_stride */
    size_t c_stride;
    bool accumulate;
    gemm_precision precision;
} gemm_problem;

/* Floats of 8 bits and more, and block types. */
bool gemm_supports(tola_dtype dtype);

/* Into how many independent tasks the product is cut for so many threads, and the scratch of one thread (aligned to 64
 * by the caller), which serves products with a smaller m or k, too. Both depend on sizes, dtypes and precision, not on
 * pointers. */
size_t gemm_tasks(const gemm_problem *p, unsigned threads);
size_t gemm_scratch_bytes(const gemm_problem *p, unsigned threads);
void gemm_run(const gemm_problem *p, unsigned threads, size_t task, void *scratch);

#endif
