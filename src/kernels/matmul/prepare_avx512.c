/* Activations to integers with AVX-512, as prepare.c says. */
#include "kernels/cast/scalar.h"
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

void matmul_quantize_avx512(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    for (size_t at = 0; at < n; at += block) {
        __m512i largest = _mm512_setzero_si512();
        for (size_t i = at; i < at + block; i += 16)
            largest = _mm512_max_epu32(largest, _mm512_and_si512(_mm512_loadu_si512(x + i), magnitude));
        const uint32_t most = _mm512_reduce_max_epu32(largest);
        const float scale = cast_f32_from_bits(most) / 127.0f, inverse = 1.0f / scale;
        const bool zero = most < MATMUL_LEAST_BITS, broken = most >= 0x7f800000;
        const __mmask16 some = zero || broken ? 0 : 0xffff;
        d[at / block] = zero ? 0 : broken ? cast_f32_from_bits(0x7fc00000) : scale;
        for (size_t i = at; i < at + block; i += 32) {
            __m512i a = _mm512_maskz_cvtps_epi32(some, _mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_set1_ps(inverse)));
            __m512i b =
                _mm512_maskz_cvtps_epi32(some, _mm512_mul_ps(_mm512_loadu_ps(x + i + 16), _mm512_set1_ps(inverse)));
            __m256i v = _mm256_set_m128i(_mm512_cvtepi32_epi8(b), _mm512_cvtepi32_epi8(a));
            _mm256_storeu_si256((__m256i *)(q + i), v);
            __m256i fours = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), v), _mm256_set1_epi16(1));
            fours = _mm256_add_epi32(fours, _mm256_shuffle_epi32(fours, 0x4e));
            fours = _mm256_add_epi32(fours, _mm256_shuffle_epi32(fours, 0xb1));
            sums[i / 16] = (int16_t)_mm256_extract_epi16(fours, 0);
            sums[i / 16 + 1] = (int16_t)_mm256_extract_epi16(fours, 8);
        }
    }
}

#endif
