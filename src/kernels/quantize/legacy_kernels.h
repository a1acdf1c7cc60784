/* The encoders of q4_0 .. q8_k by instruction set; inside kernels/quantize only. */
#ifndef KERNELS_QUANTIZE_LEGACY_KERNELS_H
#define KERNELS_QUANTIZE_LEGACY_KERNELS_H

#include "kernels/quantize/quantize.h"

typedef struct quantize_legacy_set {
    quantize_fn q4_0, q4_1, q5_0, q5_1, q8_0, q8_1, q8_k;
} quantize_legacy_set;

extern const quantize_legacy_set quantize_legacy_scalar, quantize_legacy_avx2, quantize_legacy_avx512,
    quantize_legacy_neon;

#endif
