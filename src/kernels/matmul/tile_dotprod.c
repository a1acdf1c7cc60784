/* Many tokens with the 8-bit products of ARMv8.2. */
#if defined(__aarch64__)
#include "kernels/matmul/tile_neon_body.h"

const matmul_tile matmul_tile_dotprod = { tile_scratch, rows_neon, 32 };
#endif
