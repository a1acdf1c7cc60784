/* The matrix-vector product with NEON as every 64-bit ARM has it. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__aarch64__)
#include "kernels/matmul/vector_grids_neon.h"

matmul_vector_fn matmul_vector_neon(tola_dtype weights) {
    const matmul_vector_fn vector = vector_of(weights);
    return vector ? vector : grid_vector_of(weights);
}
#endif
