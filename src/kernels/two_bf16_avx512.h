/* A float as two bf16, x = x1 + x2: x1 the upper half of its bits or the nearest of 8 bits, x2 what is left. */
#ifndef KERNELS_TWO_BF16_AVX512_H
#define KERNELS_TWO_BF16_AVX512_H

#include <immintrin.h>

#define TWO_BF16_INLINE static inline __attribute__((always_inline, unused))

/* The upper half. */
TWO_BF16_INLINE __m512 bf16_cut(__m512 v) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32((int)0xffff0000)));
}

/* So that cutting it gives the nearest, away from zero when between two. Below 2^127. */
TWO_BF16_INLINE __m512 bf16_half_up(__m512 v) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(v), _mm512_set1_epi32(0x8000)));
}

TWO_BF16_INLINE __m512 bf16_nearest(__m512 v) { return bf16_cut(bf16_half_up(v)); }

/* The nearest, cut where that would be infinite; what is not finite stays so. */
TWO_BF16_INLINE __m512 bf16_rounded(__m512 v) {
    const __mmask16 fits = _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(0x1.ffp127f), _CMP_LT_OQ);
    return _mm512_mask_mov_ps(bf16_cut(v), fits, bf16_nearest(v));
}

/* The upper halves of 16 floats and of 16 more in the order 0, 16, 1, 17, and so on, which is the cheapest. */
TWO_BF16_INLINE __m512i bf16_pairs(__m512 low, __m512 high) {
    enum { PICK = 0xca }; /* of the second where the first has ones, else of the third */
    return _mm512_ternarylogic_epi32(_mm512_set1_epi32((int)0xffff0000), _mm512_castps_si512(high),
                                     _mm512_srli_epi32(_mm512_castps_si512(low), 16), PICK);
}

/* The same of the nearest. */
TWO_BF16_INLINE __m512i bf16_nearest_pairs(__m512 low, __m512 high) {
    return bf16_pairs(bf16_half_up(low), bf16_half_up(high));
}

#endif
