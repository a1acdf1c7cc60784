/* Chooses the encoder of a type: each family of types is asked in turn. */
#include "kernels/quantize/quantize.h"

static quantize_fn find(tola_dtype dtype, bool scalar) {
    static quantize_fn (*const families[])(tola_dtype, bool) = {
        quantize_legacy_get, quantize_k_get, quantize_iq4_get, quantize_small_get, quantize_iq_get,
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        quantize_fn f = families[i](dtype, scalar);
        if (f) return f;
    }
    return NULL;
}

quantize_fn quantize_get(tola_dtype dtype) { return find(dtype, false); }
quantize_fn quantize_get_scalar(tola_dtype dtype) { return find(dtype, true); }
