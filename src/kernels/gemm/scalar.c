/* Products one fma at a time, which is their definition. */
#define GEMM_TABLE gemm_scalar
#define TILE_ROWS 4
#define TILE_VECTORS 4
#include "kernels/gemm/gemm_body.h"
