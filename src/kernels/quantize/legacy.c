/* The encoders of q4_0 .. q8_k one lane at a time, which is their definition, and the choice of instruction set. */
#define LEGACY_TABLE quantize_legacy_scalar
#include "kernels/quantize/legacy_body.h"
#include "base/cpu.h"

static const quantize_legacy_set *set_of(bool scalar) {
    if (scalar) return &quantize_legacy_scalar;
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &quantize_legacy_avx512;
    case CPU_AVX2: return &quantize_legacy_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return &quantize_legacy_neon;
#endif
    default: return &quantize_legacy_scalar;
    }
}

quantize_fn quantize_legacy_get(tola_dtype dtype, bool scalar) {
    const quantize_legacy_set *set = set_of(scalar);
    switch (dtype) {
    case TOLA_DTYPE_Q4_0: return set->q4_0;
    case TOLA_DTYPE_Q4_1: return set->q4_1;
    case TOLA_DTYPE_Q5_0: return set->q5_0;
    case TOLA_DTYPE_Q5_1: return set->q5_1;
    case TOLA_DTYPE_Q8_0: return set->q8_0;
    case TOLA_DTYPE_Q8_1: return set->q8_1;
    case TOLA_DTYPE_Q8_K: return set->q8_k;
    default: return NULL;
    }
}
