/* The matrix-vector product with AVX-512 and its 8-bit products. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include "kernels/matmul/vector_avx512vnni.h"
#include "kernels/matmul/vector_body.h"

matmul_vector_fn matmul_vector_avx512vnni(tola_dtype weights) {
    return vector_of(weights);
}
#endif
