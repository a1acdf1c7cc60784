/* The encoders of q2_k .. q6_k one lane at a time, which is their definition, and the choice of instruction set. */
#define K_TABLE quantize_k_scalar
#include "kernels/quantize/k_body.h"
#include "base/cpu.h"

static const quantize_k_set *set_of(bool scalar) {
    if (scalar) return &quantize_k_scalar;
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &quantize_k_avx512;
    case CPU_AVX2: return &quantize_k_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return &quantize_k_neon;
#endif
    default: return &quantize_k_scalar;
    }
}

quantize_fn quantize_k_get(tola_dtype dtype, bool scalar) {
    const quantize_k_set *set = set_of(scalar);
    switch (dtype) {
    case TOLA_DTYPE_Q2_K: return set->q2_k;
    case TOLA_DTYPE_Q3_K: return set->q3_k;
    case TOLA_DTYPE_Q4_K: return set->q4_k;
    case TOLA_DTYPE_Q5_K: return set->q5_k;
    case TOLA_DTYPE_Q6_K: return set->q6_k;
    default: return NULL;
    }
}
