/* The choice of a matrix-vector product for this processor. */
#include "base/cpu.h"
#include "kernels/matmul/matmul_kernels.h"

matmul_vector_fn matmul_vector_get(tola_dtype weights) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: {
        /* without 8-bit products, and in tables of codes, wider vectors gain nothing */
        const matmul_vector_fn vector = cpu_get()->avx512_vnni ? matmul_vector_avx512vnni(weights) : NULL;
        return vector ? vector : matmul_vector_avx2(weights);
    }
    case CPU_AVX2: return matmul_vector_avx2(weights);
#elif defined(__aarch64__)
    case CPU_NEON: return cpu_get()->neon_dotprod ? matmul_vector_dotprod(weights) : matmul_vector_neon(weights);
#endif
    default: (void)weights; return NULL;
    }
}
