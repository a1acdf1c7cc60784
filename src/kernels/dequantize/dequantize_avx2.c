/* The decoders with AVX2 and F16C. */
#include "kernels/dequantize/vector.h"

#if defined(__x86_64__)
#include <immintrin.h>

static inline float half(const uint8_t *p) {
    return _cvtsh_ss(load_u16(p));
}

static inline u8x16 lookup(u8x16 table, u8x16 index) {
    return (u8x16)_mm_shuffle_epi8((__m128i)table, (__m128i)index);
}

static inline __m256 widen(__m128i code) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(code));
}

static inline void put(uint8_t *dst, i8x16 code, float scale) {
    __m128i low = (__m128i)code, high = _mm_unpackhi_epi64(low, low);
    _mm256_storeu_ps((void *)dst, _mm256_mul_ps(widen(low), _mm256_set1_ps(scale)));
    _mm256_storeu_ps((void *)(dst + 32), _mm256_mul_ps(widen(high), _mm256_set1_ps(scale)));
}

static inline void put_above(uint8_t *dst, i8x16 code, float scale, float min) {
    __m128i low = (__m128i)code, high = _mm_unpackhi_epi64(low, low);
    __m256 product = _mm256_mul_ps(widen(low), _mm256_set1_ps(scale));
    _mm256_storeu_ps((void *)dst, _mm256_sub_ps(product, _mm256_set1_ps(min)));
    product = _mm256_mul_ps(widen(high), _mm256_set1_ps(scale));
    _mm256_storeu_ps((void *)(dst + 32), _mm256_sub_ps(product, _mm256_set1_ps(min)));
}

#define VECTOR_TABLE dequantize_avx2
#include "kernels/dequantize/vector_body.h"
#endif
