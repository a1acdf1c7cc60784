/* gemm_body.h with AVX2: tiles of 6 x 16. */
#if defined(__x86_64__)
#define LANES_AVX2
#define GEMM_TABLE gemm_avx2
#define TILE_ROWS 6
#define TILE_VECTORS 2
#include "kernels/gemm/gemm_body.h"
#else
typedef int gemm_avx2_is_empty;
#endif
