/* The matrix-vector product with NEON and the 8-bit products of ARMv8.2. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__aarch64__)
#include "kernels/matmul/vector_grids_neon.h"

matmul_vector_fn matmul_vector_dotprod(tola_dtype weights) {
    const matmul_vector_fn vector = vector_of(weights);
    return vector ? vector : grid_vector_of(weights);
}
#endif
