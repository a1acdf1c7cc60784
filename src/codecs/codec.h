/* Between element types: any number type to any other, a run of elements at a time.
 *
 * Rules. Float to a narrower float rounds to nearest, ties to even, once (f64 and 64-bit integers are not rounded by
 * way of f32). Beyond the range: TOLA_OVERFLOW_IEEE gives infinity, or NaN in types that have none (e4m3, fnuz, e8m0);
 * f6 and f4, which have neither, saturate (and take NaN as 0). TOLA_OVERFLOW_SATURATE gives the largest finite number,
 * for infinity too where the new type is narrower. e8m0 has no sign and no zero: see kernels/cast/cast.h.
 * Float to integer rounds to nearest even, saturates, NaN gives 0. Integer to integer saturates. To bool: 0 is false,
 * everything else (NaN too) true. Complex converts to complex only.
 * Block types decode to f32 (kernels/dequantize) and go on from there. To block types: by way of f32, without
 * importance, made to fit as codec_quantize does, whatever the overflow mode.
 * NaN stays NaN; its payload need not survive except where from == to, which copies bytes. */
#ifndef CODECS_CODEC_H
#define CODECS_CODEC_H

#include <tola/transform.h>

/* Can codec_convert read / make elements of this type? Complex types too, from and to complex ones only. */
bool codec_decodes(tola_dtype dtype);
bool codec_encodes(tola_dtype dtype);
/* Converts `elements` elements (whole blocks of both types). src and dst may be unaligned and must not overlap.
 * *overflowed (may be NULL) grows by the finite inputs that became infinite, NaN or were clamped.
 * Thread-safe, no allocation. TOLA_E_UNSUPPORTED where the pair has no conversion. */
tola_status codec_convert(tola_dtype from, tola_dtype to, const void *src, void *dst, size_t elements,
                          tola_overflow overflow, uint64_t *overflowed);
/* The working type in which every value of `dtype` is exact: f32 for narrow floats, integers up to 16 bits and block
 * types (whose values are f32), f64 for f64, i32, u32; i64 and u64 have none and get f64, which rounds them; NONE for
 * complex and for what is no number. */
tola_dtype codec_exact(tola_dtype dtype);

/* What was in the way of encoding, as finite weights within the range of a type's scales are all that it can keep. */
typedef struct codec_faults {
    uint64_t nans;       /* became 0 */
    uint64_t infinities; /* became the largest magnitude that the type takes */
    uint64_t clamped;    /* finite ones beyond it, and so did these */
} codec_faults;

/* The largest magnitude that a block type takes: with it alone in a block, no scale leaves its format. 0 for all that
 * cannot be encoded. */
float codec_range(tola_dtype to);
/* One row to a block type: n f32 weights, whole blocks, `row` aligned and changed in place where *faults (may be NULL)
 * grows. importance: n weights, or NULL, see kernels/quantize/quantize.h. dst may be unaligned. Thread-safe, no
 * allocation. TOLA_E_UNSUPPORTED where the type cannot be encoded. */
tola_status codec_quantize(tola_dtype to, float *row, void *dst, size_t n, const float *importance,
                           codec_faults *faults);

#endif
