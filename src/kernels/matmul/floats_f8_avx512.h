/* Float8 to bf16, exactly: 32 at once. */
#ifndef KERNELS_MATMUL_FLOATS_F8_AVX512_H
#define KERNELS_MATMUL_FLOATS_F8_AVX512_H

#include <immintrin.h>
#include <stdint.h>

/* Normal numbers keep their bits, `up` higher, with another bias of the exponent. Denormals, infinities and NaN stand
 * at either end of the magnitudes: those that, moved up by `ends` around 127, are below `some`; by their low five bits
 * they find their value in a table. */
static inline __attribute__((always_inline)) __m512i bf16_of_f8(const uint8_t *p, unsigned up, int bias, int ends,
                                                                int some, __m512i table) {
    const __m512i v = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p));
    const __m512i magnitude = _mm512_slli_epi16(v, 9); /* in the high bits */
    const __m512i turned = _mm512_add_epi16(magnitude, _mm512_set1_epi16((short)(ends << 9)));
    const __mmask32 special = _mm512_cmplt_epu16_mask(turned, _mm512_set1_epi16((short)(some << 9)));
    __m512i out = _mm512_add_epi16(_mm512_srli_epi16(magnitude, 9 - up), _mm512_set1_epi16((short)bias));
    out = _mm512_mask_permutexvar_epi16(out, special, v, table);
    return _mm512_ternarylogic_epi64(out, v, _mm512_set1_epi16((short)0x8000), 0xf8); /* out | v & sign */
}

/* Denormals m 2^-9, 0x7f is NaN. */
static inline __attribute__((always_inline)) __m512i bf16_of_e4m3(const uint8_t *p) {
    static const uint16_t table[32] = { 0,      0x3b00, 0x3b80, 0x3bc0, 0x3c00, 0x3c20,
                                        0x3c40, 0x3c60, [31] = 0x7fc0 };
    return bf16_of_f8(p, 4, 120 << 7, 1, 9, _mm512_loadu_si512(table));
}

/* Denormals m 2^-16, 0x7c is infinity, the three above are NaN. */
static inline __attribute__((always_inline)) __m512i bf16_of_e5m2(const uint8_t *p) {
    static const uint16_t table[32] = { 0, 0x3780, 0x3800, 0x3840, [28] = 0x7f80, 0x7fc0, 0x7fc0, 0x7fc0 };
    return bf16_of_f8(p, 5, 112 << 7, 4, 8, _mm512_loadu_si512(table));
}

#endif
