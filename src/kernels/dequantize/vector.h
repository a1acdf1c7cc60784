/* Vectors of sixteen bytes, for the instruction-set files and vector_body.h. */
#ifndef KERNELS_DEQUANTIZE_VECTOR_H
#define KERNELS_DEQUANTIZE_VECTOR_H

#include "kernels/dequantize/dequantize_kernels.h"
#include "kernels/dequantize/grids.h"

typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef int8_t i8x16 __attribute__((vector_size(16)));

#endif
