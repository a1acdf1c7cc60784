/* The matrix-vector product with NEON as every 64-bit ARM has it. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__aarch64__)
#include "kernels/matmul/vector_neon.h"
#include "kernels/matmul/vector_body.h"

matmul_vector_fn matmul_vector_neon(tola_dtype weights) {
    return vector_of(weights);
}
#endif
