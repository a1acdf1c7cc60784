/* The encoders of q2_k .. q6_k by instruction set; inside kernels/quantize only. */
#ifndef KERNELS_QUANTIZE_K_KERNELS_H
#define KERNELS_QUANTIZE_K_KERNELS_H

#include "kernels/quantize/quantize.h"

typedef struct quantize_k_set {
    quantize_fn q2_k, q3_k, q4_k, q5_k, q6_k;
} quantize_k_set;

extern const quantize_k_set quantize_k_scalar, quantize_k_avx2, quantize_k_avx512, quantize_k_neon;

#endif
