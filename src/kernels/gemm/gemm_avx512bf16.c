/* gemm_body.h with units of two bf16: vdpbf16ps, tiles of 14 x 32. */
#if defined(__x86_64__)
#define LANES_AVX512
#define GEMM_TABLE gemm_avx512bf16
#define TILE_ROWS 14
#define TILE_VECTORS 2
#define GEMM_UNIT 2
#include "kernels/gemm/units_bf16_avx512.h"

static inline __m512 unit_product(__m512 x, __m512 y, __m512 sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
}

static void pack_a(bool along, const char *src, size_t row_bytes, size_t width, size_t k, void *panel) {
    pack_units(along, src, row_bytes, width, k, panel, TILE_ROWS);
}

static void pack_b(bool along, const char *src, size_t row_bytes, size_t width, size_t k, void *panel) {
    pack_units(along, src, row_bytes, width, k, panel, 16 * TILE_VECTORS);
}

#include "kernels/gemm/gemm_body.h"
#else
typedef int gemm_avx512bf16_is_empty;
#endif
