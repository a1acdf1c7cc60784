/* The matrix-vector product with AVX2. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include "kernels/matmul/vector_avx2.h"
#include "kernels/matmul/vector_body.h"
#include "kernels/matmul/vector_grids_avx2.h"

matmul_vector_fn matmul_vector_avx2(tola_dtype weights) {
    const matmul_vector_fn vector = vector_of(weights);
    return vector ? vector : grid_vector_of(weights);
}
#endif
