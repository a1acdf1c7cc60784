/* Chooses the decoder of a type: the processor's own, else the scalar one. */
#include "kernels/dequantize/dequantize_kernels.h"

#include "base/cpu.h"

dequantize_fn dequantize_get_scalar(tola_dtype dtype) {
    static const dequantize_set *const sets[] = { &dequantize_legacy, &dequantize_k, &dequantize_iq,
                                                  &dequantize_small };
    if ((unsigned)dtype >= TOLA_DTYPE_COUNT) return NULL;
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++)
        if (sets[s]->of[dtype]) return sets[s]->of[dtype];
    return NULL;
}

dequantize_fn dequantize_get(tola_dtype dtype) {
    const dequantize_set *own = NULL;
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: own = &dequantize_avx512; break;
    case CPU_AVX2: own = &dequantize_avx2; break;
#elif defined(__aarch64__)
    case CPU_NEON: own = &dequantize_neon; break;
#endif
    default: break;
    }
    return own && (unsigned)dtype < TOLA_DTYPE_COUNT && own->of[dtype] ? own->of[dtype] : dequantize_get_scalar(dtype);
}
