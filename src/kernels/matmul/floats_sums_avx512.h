/* Sums of 16 lanes in the order of matmul.h, four at once. */
#ifndef KERNELS_MATMUL_FLOATS_SUMS_AVX512_H
#define KERNELS_MATMUL_FLOATS_SUMS_AVX512_H

#include <immintrin.h>

static inline __attribute__((always_inline)) void sums(const __m512 a[4], float out[4]) {
    __m512 two[2];
    for (int i = 0; i < 2; i++) /* lanes l + (l + 8), l < 8, of two sums side by side */
        two[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0x44),
                               _mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0xee));
    __m512 v = _mm512_add_ps(_mm512_shuffle_f32x4(two[0], two[1], 0x88), _mm512_shuffle_f32x4(two[0], two[1], 0xdd));
    v = _mm512_add_ps(v, _mm512_permute_ps(v, 0x4e));
    v = _mm512_add_ps(v, _mm512_permute_ps(v, 0xb1));
    const __m512i firsts = _mm512_castsi128_si512(_mm_setr_epi32(0, 4, 8, 12));
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, v)));
}

#endif
