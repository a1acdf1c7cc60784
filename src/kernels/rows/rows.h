/* What a network does to one row of floats at a time: norms, activations, rotations, softmax.
 *
 * The scalar file defines every bit; each instruction set gives the same. Sums along a row run in 16 lanes as in
 * kernels/matmul (lane l takes elements l, l + 16, ...; then s[l] += s[l + 8] for l < 8, and so on down to one), so
 * they depend on the row alone; squares join them by fma. exp, tanh and erf are this room's own, to within 2 ulp of the
 * true value, with the same bits everywhere (functions.h). Rows are n floats, any n, unaligned; in and out may be the
 * same row. NaN gives NaN, of no particular payload. */
#ifndef KERNELS_ROWS_H
#define KERNELS_ROWS_H

#include <stddef.h>
#include <stdint.h>

typedef enum row_function {
    ROW_SILU = 0,
    ROW_GELU,
    ROW_GELU_TANH,
    ROW_RELU,
    ROW_RELU2,
    ROW_SIGMOID,
    ROW_TANH,
    ROW_EXP,
    ROW_FUNCTIONS
} row_function;

typedef struct rows_kernels {
    void (*apply)(row_function f, const float *x, float *y, size_t n);
    /* y = f(gate) * up */
    void (*gated)(row_function f, const float *gate, const float *up, float *y, size_t n);
    /* gpt-oss: g = min(gate, limit), u = clamp(up, -limit, limit), y = g * sigmoid(1.702 g) * (u + 1) */
    void (*gated_clamped)(float limit, const float *gate, const float *up, float *y, size_t n);
    void (*add)(const float *a, const float *b, float *y, size_t n);
    void (*multiply)(const float *a, const float *b, float *y, size_t n);
    void (*scale)(float factor, const float *x, float *y, size_t n);
    /* y += factor * x, one rounding (fma) */
    void (*accumulate)(float factor, const float *x, float *y, size_t n);
    /* cap * tanh(x / cap) */
    void (*softcap)(float cap, const float *x, float *y, size_t n);
    /* y = x * r * (scale + offset), r = 1 / sqrt(mean(x^2) + eps); scale NULL: 1 and offset ignored */
    void (*rms_norm)(const float *x, const float *scale, float offset, float eps, float *y, size_t n);
    /* y = (x - mean) * r * scale + bias, each rounded, variance of x - mean in a second pass; bias may be NULL */
    void (*layer_norm)(const float *x, const float *scale, const float *bias, float eps, float *y, size_t n);
    /* Pairs of `pairs` x 2 floats turned by cosine[i], sine[i]: (a, b) -> (a c - b s, b c + a s), each product rounded.
     * Interleaved pairs are x[2i], x[2i+1], the others x[i], x[i + pairs]. */
    void (*rotate)(const float *cosine, const float *sine, size_t pairs, int interleaved, const float *x, float *y);
    float (*max)(const float *x, size_t n); /* -inf for n = 0; NaN where one is */
    /* y = exp(x - max), returns the sum of y */
    float (*exp_sum)(const float *x, float max, float *y, size_t n);
} rows_kernels;

const rows_kernels *rows_get(void);        /* for this processor */
const rows_kernels *rows_get_scalar(void); /* for the checker */

#endif
