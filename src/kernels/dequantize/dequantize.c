/* Chooses the decoder of a type: the processor's own, else the scalar one. */
#include "kernels/dequantize/dequantize_kernels.h"

dequantize_fn dequantize_get_scalar(tola_dtype dtype) {
    static const dequantize_set *const sets[] = { &dequantize_legacy, &dequantize_k, &dequantize_iq,
                                                  &dequantize_small };
    if ((unsigned)dtype >= TOLA_DTYPE_COUNT) return NULL;
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++)
        if (sets[s]->of[dtype]) return sets[s]->of[dtype];
    return NULL;
}

dequantize_fn dequantize_get(tola_dtype dtype) {
    return dequantize_get_scalar(dtype);
}
