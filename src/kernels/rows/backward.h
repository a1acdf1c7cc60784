/* Gradients of what rows.h computes, one row of n floats at a time: d is the gradient of the value, the result that of
 * an input. Results may lie where d does, unless said otherwise.
 *
 * Sums along a row run in 16 lanes as in rows.h, products joined by fma where the definition says so. Values agree with
 * the formulas to a few ulp; the same bits on every processor are promised where rows.h promises them of its parts. */
#ifndef KERNELS_ROWS_BACKWARD_H
#define KERNELS_ROWS_BACKWARD_H

#include "kernels/rows/rows.h"

/* out = f'(x) d, for functions of graph.h (all of row_function but ROW_EXP) */
void rows_apply_back(row_function f, const float *x, const float *d, float *out, size_t n);
/* y = f(gate) up: d_gate = f'(gate) up d, d_up = f(gate) d. d_gate and d_up lie apart from all inputs. */
void rows_gated_back(row_function f, const float *gate, const float *up, const float *d, float *d_gate, float *d_up,
                     size_t n);
/* The same of gated_clamped; what was clamped has no gradient. */
void rows_gated_clamped_back(float limit, const float *gate, const float *up, const float *d, float *d_gate,
                             float *d_up, size_t n);
/* y = cap tanh(x / cap): out = (1 - (y / cap)^2) d */
void rows_softcap_back(float cap, const float *y, const float *d, float *out, size_t n);
/* With u = x r, g = d (scale + offset): out = r (g - u mean(g u)). scale NULL: g = d. */
void rows_rms_norm_back(const float *x, const float *scale, float offset, float eps, const float *d, float *out,
                        size_t n);
/* With u = (x - mean) r, g = d scale: out = r (g - mean(g) - u mean(g u)) */
void rows_layer_norm_back(const float *x, const float *scale, float eps, const float *d, float *out, size_t n);
/* What a norm takes off and multiplies by: (0, r) of rms_norm, (mean, r) of layer_norm. */
void rows_norm_statistics(const float *x, int centred, float eps, float statistics[2], size_t n);
/* out += d (x - statistics[0]) statistics[1] */
void rows_norm_weight(const float *x, const float *d, const float statistics[2], float *out, size_t n);
float rows_dot(const float *a, const float *b, size_t n);
float rows_largest(const float *x, size_t n); /* of magnitudes; 0 for n = 0 */

#endif
