/* Many tokens with NEON. */
#if defined(__aarch64__)
#include "kernels/matmul/tile_neon_body.h"

const matmul_tile matmul_tile_neon = { tile_scratch, rows_neon, 32 };
#endif
