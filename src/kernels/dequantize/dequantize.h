/* Rows of block types to f32.
 *
 * The scalar files define what is right; every instruction set gives the same bits. A value is computed in f32 in the
 * order of operations of the format's reference decoder (gguf-py/gguf/quants.py, ggml-quants.c), so that results are
 * bit-exact with it. Any bytes are valid input: a scale of infinity or NaN gives what the arithmetic gives. */
#ifndef KERNELS_DEQUANTIZE_H
#define KERNELS_DEQUANTIZE_H

#include <tola/tensor.h>

/* n elements, whole blocks; src and dst may be unaligned and must not overlap. */
typedef void (*dequantize_fn)(const void *src, float *dst, size_t n);

/* The kernel of a block type for this processor; NULL for what is no block type. */
dequantize_fn dequantize_get(tola_dtype dtype);
/* The one of the scalar files, for the checker. */
dequantize_fn dequantize_get_scalar(tola_dtype dtype);

#endif
