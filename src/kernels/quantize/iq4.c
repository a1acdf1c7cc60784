/* The encoders of iq4_nl and iq4_xs one lane at a time, which is their definition, and the choice of a set. */
#define IQ4_TABLE quantize_iq4_scalar
#include "kernels/quantize/iq4_body.h"
#include "base/cpu.h"

static const quantize_iq4_set *set_of(bool scalar) {
    if (scalar) return &quantize_iq4_scalar;
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &quantize_iq4_avx512;
    case CPU_AVX2: return &quantize_iq4_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return &quantize_iq4_neon;
#endif
    default: return &quantize_iq4_scalar;
    }
}

quantize_fn quantize_iq4_get(tola_dtype dtype, bool scalar) {
    const quantize_iq4_set *set = set_of(scalar);
    switch (dtype) {
    case TOLA_DTYPE_IQ4_NL: return set->iq4_nl;
    case TOLA_DTYPE_IQ4_XS: return set->iq4_xs;
    default: return NULL;
    }
}
