/* The choice of a matrix-vector product for this processor. */
#include "base/cpu.h"
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
/* With the arithmetic of the best tile path (matmul_paths), so that one token has the bits of many. */
static matmul_vector_fn floats(tola_dtype weights) {
    const cpu_features *cpu = cpu_get();
    if (!matmul_wide(matmul_type_get(weights)))
        return cpu->amx_bf16 && cpu_allow_amx() ? matmul_vector_floats_amx(weights)
                                                : matmul_vector_floats_avx512bf16(weights);
    return cpu->level == CPU_AVX512 ? matmul_vector_floats_avx512(weights) : matmul_vector_floats_avx2(weights);
}
#elif defined(__aarch64__)
static matmul_vector_fn floats(tola_dtype weights) { return matmul_vector_floats_neon(weights); }
#endif

matmul_vector_fn matmul_vector_get(tola_dtype weights) {
#if defined(__x86_64__) || defined(__aarch64__)
    if (cpu_get()->level != CPU_SCALAR && matmul_floats(matmul_type_get(weights))) return floats(weights);
#endif
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

/* As the files of the paths say: ROWS of vector_*.h, STREAMS of floats_*.c. */
size_t matmul_streams(tola_dtype weights) {
    const matmul_vector_fn vector = matmul_vector_get(weights);
    if (!vector) return MATMUL_ROWS;
#if defined(__x86_64__)
    if (vector == matmul_vector_floats_avx512(weights) || vector == matmul_vector_floats_avx512bf16(weights)) return 8;
    if (vector == matmul_vector_avx2(weights)) return 8;
    if (vector == matmul_vector_floats_avx2(weights)) return 4;
    return 16; /* AVX-512, AMX */
#else
    return 4;
#endif
}
