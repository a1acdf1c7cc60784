/* Rows of f32 to block types.
 *
 * Inputs are finite and within the range that the type's scales can hold: codecs/codec.h sees to that. Where a format
 * defines the encoding (q4_0, q4_1, q5_0, q5_1, q8_0, q8_1, q8_k, tq1_0, tq2_0, mxfp4 in gguf-py and ggml's reference
 * functions) and no importance is given, the bits are those of the reference; every other type is encoded so that
 * sum(importance * (w - decoded)^2) is small. The result is the same on every instruction set, or where a search in
 * floating point makes that too dear, no worse, and the file says so. */
#ifndef KERNELS_QUANTIZE_H
#define KERNELS_QUANTIZE_H

#include <tola/tensor.h>

/* One row of n elements, whole blocks. importance: n weights >= 0 for the n columns (mean squares of activations, as in
 * an importance matrix), or NULL. src and dst may be unaligned and must not overlap. Thread-safe, no allocation. */
typedef void (*quantize_fn)(const float *src, void *dst, size_t n, const float *importance);

/* The kernel of a block type for this processor; NULL where the type cannot be encoded. */
quantize_fn quantize_get(tola_dtype dtype);
/* The one of the scalar files, for the checker. */
quantize_fn quantize_get_scalar(tola_dtype dtype);

/* The families of types, each with files of its own; quantize.c asks them in turn. NULL where it is not theirs. */
quantize_fn quantize_legacy_get(tola_dtype dtype, bool scalar); /* q4_0 q4_1 q5_0 q5_1 q8_0 q8_1 q8_k */
quantize_fn quantize_k_get(tola_dtype dtype, bool scalar);      /* q2_k .. q6_k */
quantize_fn quantize_iq4_get(tola_dtype dtype, bool scalar);    /* iq4_nl iq4_xs */
quantize_fn quantize_iq_get(tola_dtype dtype, bool scalar);     /* iq1_* iq2_* iq3_* */
quantize_fn quantize_small_get(tola_dtype dtype, bool scalar);  /* tq1_0 tq2_0 q1_0 q2_0 mxfp4 nvfp4 */

#endif
