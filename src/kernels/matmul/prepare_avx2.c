/* Activations to integers with AVX2, as prepare.c says. */
#include "kernels/cast/scalar.h"
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

static inline __m256i eight(const float *x, __m256 inverse, __m256i some) {
    return _mm256_and_si256(_mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse)), some);
}

void matmul_quantize_avx2(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff), ones = _mm256_set1_epi16(1);
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t at = 0; at < n; at += block) {
        __m256i largest = _mm256_setzero_si256();
        for (size_t i = at; i < at + block; i += 8) {
            const __m256i v = _mm256_castps_si256(_mm256_loadu_ps(x + i));
            largest = _mm256_max_epu32(largest, _mm256_and_si256(v, magnitude));
        }
        __m128i m = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
        m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
        m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
        const uint32_t most = (uint32_t)_mm_cvtsi128_si32(m);
        const float scale = cast_f32_from_bits(most) / 127.0f;
        const bool zero = most < MATMUL_LEAST_BITS, broken = most >= 0x7f800000;
        const __m256 inverse = _mm256_set1_ps(1.0f / scale);
        const __m256i some = _mm256_set1_epi32(zero || broken ? 0 : -1);
        d[at / block] = zero ? 0 : broken ? cast_f32_from_bits(0x7fc00000) : scale;
        for (size_t i = at; i < at + block; i += 32) {
            const __m256i a = eight(x + i, inverse, some), b = eight(x + i + 8, inverse, some);
            const __m256i c = eight(x + i + 16, inverse, some), e = eight(x + i + 24, inverse, some);
            /* Packing stays within halves: 4 of a, 4 of b, c, e, then the other ones. */
            __m256i v = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, e));
            v = _mm256_permutevar8x32_epi32(v, in_order);
            _mm256_storeu_si256((__m256i *)(q + i), v);
            __m256i fours = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), v), ones);
            fours = _mm256_add_epi32(fours, _mm256_shuffle_epi32(fours, 0x4e));
            fours = _mm256_add_epi32(fours, _mm256_shuffle_epi32(fours, 0xb1));
            sums[i / 16] = (int16_t)_mm256_extract_epi16(fours, 0);
            sums[i / 16 + 1] = (int16_t)_mm256_extract_epi16(fours, 8);
        }
    }
}

#endif
