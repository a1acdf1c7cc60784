/* The matrix-vector product with AVX-512 as its first processors had it. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include "kernels/matmul/vector_avx512.h"
#include "kernels/matmul/vector_body.h"

matmul_vector_fn matmul_vector_avx512(tola_dtype weights) {
    return vector_of(weights);
}
#endif
