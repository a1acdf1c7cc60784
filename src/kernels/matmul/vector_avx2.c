/* The matrix-vector product with AVX2. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include "kernels/matmul/vector_avx2.h"
#include "kernels/matmul/vector_body.h"

matmul_vector_fn matmul_vector_avx2(tola_dtype weights) {
    return vector_of(weights);
}
#endif
