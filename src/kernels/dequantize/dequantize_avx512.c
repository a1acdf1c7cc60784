/* The decoders with AVX-512 (F, BW, VL, DQ). */
#include "kernels/dequantize/vector.h"

#if defined(__x86_64__)
#include <immintrin.h>

static inline float half(const uint8_t *p) {
    return _cvtsh_ss(load_u16(p));
}

static inline u8x16 lookup(u8x16 table, u8x16 index) {
    return (u8x16)_mm_shuffle_epi8((__m128i)table, (__m128i)index);
}

static inline __m512 widen(i8x16 code) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)code));
}

static inline void put(uint8_t *dst, i8x16 code, float scale) {
    _mm512_storeu_ps((void *)dst, _mm512_mul_ps(widen(code), _mm512_set1_ps(scale)));
}

static inline void put_above(uint8_t *dst, i8x16 code, float scale, float min) {
    __m512 product = _mm512_mul_ps(widen(code), _mm512_set1_ps(scale));
    _mm512_storeu_ps((void *)dst, _mm512_sub_ps(product, _mm512_set1_ps(min)));
}

#define VECTOR_TABLE dequantize_avx512
#include "kernels/dequantize/vector_body.h"
#endif
