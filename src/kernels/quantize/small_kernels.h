/* Encoders of the small types, one table an instruction set: all from small_body.h. */
#ifndef KERNELS_QUANTIZE_SMALL_KERNELS_H
#define KERNELS_QUANTIZE_SMALL_KERNELS_H

#include "kernels/quantize/quantize.h"

typedef struct quantize_small {
    quantize_fn q1_0, q2_0, tq1_0, tq2_0, mxfp4, nvfp4;
} quantize_small;

extern const quantize_small quantize_small_scalar;
#if defined(__x86_64__)
extern const quantize_small quantize_small_avx2, quantize_small_avx512;
#endif

#endif
