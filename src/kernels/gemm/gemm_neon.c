/* gemm_body.h with NEON: tiles of 6 x 16. */
#if defined(__aarch64__)
#define LANES_NEON
#define GEMM_TABLE gemm_neon
#define TILE_ROWS 6
#define TILE_VECTORS 4
#include "kernels/gemm/gemm_body.h"
#else
typedef int gemm_neon_is_empty;
#endif
