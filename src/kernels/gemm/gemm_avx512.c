/* gemm_body.h with AVX-512: tiles of 14 x 32. */
#if defined(__x86_64__)
#define LANES_AVX512
#define GEMM_TABLE gemm_avx512
#define TILE_ROWS 14
#define TILE_VECTORS 2
#define GEMM_ALONG pack_along
#include "kernels/gemm/transpose_avx512.h"
#include <stddef.h>
#include <string.h>

/* Lines that are missing stand for the last one. */
static inline void pack_along(const char *src, size_t row_bytes, size_t width, size_t k, float *panel, size_t lines) {
    for (size_t first = 0; first < lines && first < width; first += 16) {
        const __mmask16 mask = lines - first < 16 ? (__mmask16)((1u << (lines - first)) - 1) : 0xffff;
        const char *line[16];
        for (size_t i = 0; i < 16; i++) line[i] = src + (first + i < width ? first + i : width - 1) * row_bytes;
        float *to = panel + first;
        size_t e = 0;
        for (; e + 16 <= k; e += 16) {
            __m512 v[16];
            transpose_16x16(line, v);
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++, to += lines) _mm512_mask_storeu_ps(to, mask, v[i]);
            for (int i = 0; i < 16; i++) line[i] += 64;
        }
        for (; e < k; e++, to += lines)
            for (size_t i = 0; i < 16 && first + i < lines; i++, line[i - 1] += 4) memcpy(to + i, line[i], 4);
    }
}

#include "kernels/gemm/gemm_body.h"
#else
typedef int gemm_avx512_is_empty;
#endif
