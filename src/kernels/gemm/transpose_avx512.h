/* 16 x 16 units of four bytes turned over. */
#ifndef KERNELS_GEMM_TRANSPOSE_AVX512_H
#define KERNELS_GEMM_TRANSPOSE_AVX512_H

#include <immintrin.h>

/* out[c]: unit c of the 16 lines, of which line i begins at line[i]. Quarters of lines are put together as they are
 * loaded, which leaves only turning 4 x 4 within each quarter of a vector to the one port that shuffles. */
static inline __attribute__((always_inline)) void transpose_16x16(const char *const line[16], __m512 out[16]) {
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        __m512 v[4], low[2], high[2];
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) { /* quarter q of lines r, r + 4, r + 8, r + 12 */
            v[r] = _mm512_castps128_ps512(_mm_loadu_ps((const float *)(const void *)(line[r] + 16 * q)));
            v[r] = _mm512_insertf32x4(v[r], _mm_loadu_ps((const float *)(const void *)(line[r + 4] + 16 * q)), 1);
            v[r] = _mm512_insertf32x4(v[r], _mm_loadu_ps((const float *)(const void *)(line[r + 8] + 16 * q)), 2);
            v[r] = _mm512_insertf32x4(v[r], _mm_loadu_ps((const float *)(const void *)(line[r + 12] + 16 * q)), 3);
        }
        low[0] = _mm512_unpacklo_ps(v[0], v[1]);
        high[0] = _mm512_unpackhi_ps(v[0], v[1]);
        low[1] = _mm512_unpacklo_ps(v[2], v[3]);
        high[1] = _mm512_unpackhi_ps(v[2], v[3]);
        out[4 * q] = _mm512_shuffle_ps(low[0], low[1], 0x44);
        out[4 * q + 1] = _mm512_shuffle_ps(low[0], low[1], 0xee);
        out[4 * q + 2] = _mm512_shuffle_ps(high[0], high[1], 0x44);
        out[4 * q + 3] = _mm512_shuffle_ps(high[0], high[1], 0xee);
    }
}

#endif
