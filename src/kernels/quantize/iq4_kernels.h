/* The encoders of iq4_nl and iq4_xs by instruction set; inside kernels/quantize only. */
#ifndef KERNELS_QUANTIZE_IQ4_KERNELS_H
#define KERNELS_QUANTIZE_IQ4_KERNELS_H

#include "kernels/quantize/quantize.h"

typedef struct quantize_iq4_set {
    quantize_fn iq4_nl, iq4_xs;
} quantize_iq4_set;

extern const quantize_iq4_set quantize_iq4_scalar, quantize_iq4_avx2, quantize_iq4_avx512, quantize_iq4_neon;

#endif
