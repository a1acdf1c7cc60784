/* CRC-32 by folding with carry-less multiplication, after "Fast CRC Computation for Generic Polynomials Using
 * PCLMULQDQ Instruction" (Gopal et al., Intel, 2009), reflected form. Called only where cpu_get() says so. */
#include "base/hash_crc32.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Moves `x` forward over the distance that the two constants in k stand for, onto `data`. */
static inline __m128i fold(__m128i x, __m128i k, __m128i data) {
    __m128i low = _mm_clmulepi64_si128(x, k, 0x00), high = _mm_clmulepi64_si128(x, k, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), data);
}

static inline __m128i load(const uint8_t *p) {
    return _mm_loadu_si128((const void *)p);
}

/* 128 bits to 32: fold to 96 and 64 bits, then Barrett reduction. */
static uint32_t reduce(__m128i x) {
    const __m128i k34 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0); /* x^96, x^160 (reflected, as the paper's k4, k3) */
    const __m128i k5 = _mm_set_epi64x(0, 0x163cd6124);            /* x^64 */
    const __m128i poly = _mm_set_epi64x(0x1f7011641, 0x1db710641); /* mu, P */
    const __m128i low32 = _mm_setr_epi32(-1, 0, -1, 0);
    x = _mm_xor_si128(_mm_clmulepi64_si128(x, k34, 0x10), _mm_srli_si128(x, 8));
    __m128i t = _mm_clmulepi64_si128(_mm_and_si128(x, low32), k5, 0x00);
    x = _mm_xor_si128(_mm_srli_si128(x, 4), t);
    t = _mm_clmulepi64_si128(_mm_and_si128(x, low32), poly, 0x10);
    t = _mm_clmulepi64_si128(_mm_and_si128(t, low32), poly, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(x, t), 1);
}

uint32_t crc32_fold_pclmul(uint32_t crc, const uint8_t *data, size_t bytes) {
    const __m128i k12 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4); /* over 512 bits */
    const __m128i k34 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0); /* over 128 bits */
    __m128i x0 = _mm_xor_si128(load(data), _mm_cvtsi32_si128((int)~crc));
    __m128i x1 = load(data + 16), x2 = load(data + 32), x3 = load(data + 48);
    data += 64;
    bytes -= 64;
    for (; bytes >= 64; data += 64, bytes -= 64) {
        x0 = fold(x0, k12, load(data));
        x1 = fold(x1, k12, load(data + 16));
        x2 = fold(x2, k12, load(data + 32));
        x3 = fold(x3, k12, load(data + 48));
    }
    x0 = fold(x0, k34, x1);
    x0 = fold(x0, k34, x2);
    x0 = fold(x0, k34, x3);
    for (; bytes >= 16; data += 16, bytes -= 16) x0 = fold(x0, k34, load(data));
    return ~reduce(x0);
}
#else
typedef int crc32_pclmul_is_for_x86; /* a translation unit may not be empty */
#endif
