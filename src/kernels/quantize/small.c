/* The small types with what the compiler takes for granted, which defines them, and the choice among instruction sets.
 * On aarch64 that includes NEON. */
#define SMALL_TABLE quantize_small_scalar
#include "kernels/quantize/small_body.h"

#include "base/cpu.h"

static const quantize_small *choose(bool scalar) {
#if defined(__x86_64__)
    if (!scalar && cpu_get()->level == CPU_AVX512) return &quantize_small_avx512;
    if (!scalar && cpu_get()->level == CPU_AVX2) return &quantize_small_avx2;
#endif
    (void)scalar;
    return &quantize_small_scalar;
}

quantize_fn quantize_small_get(tola_dtype dtype, bool scalar) {
    const quantize_small *k = choose(scalar);
    switch (dtype) {
    case TOLA_DTYPE_Q1_0: return k->q1_0;
    case TOLA_DTYPE_Q2_0: return k->q2_0;
    case TOLA_DTYPE_TQ1_0: return k->tq1_0;
    case TOLA_DTYPE_TQ2_0: return k->tq2_0;
    case TOLA_DTYPE_MXFP4: return k->mxfp4;
    case TOLA_DTYPE_NVFP4: return k->nvfp4;
    default: return NULL;
    }
}
