/* The casts of cast.h with AVX-512 (F, BW, VL, DQ): the same bits as cast.c. Chunks as in cast_avx2.c.
 * The instructions of AVX512_BF16 are not used: they take subnormal numbers for zero. */
#include "kernels/cast/cast.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define CHUNK 128

static inline __m512i load(const uint8_t *p) {
    return _mm512_loadu_si512((const void *)p);
}

static inline __m256i load_half(const uint8_t *p) {
    return _mm256_loadu_si256((const void *)p);
}

static inline __m128i load_quarter(const uint8_t *p) {
    return _mm_loadu_si128((const void *)p);
}

static inline void store(uint8_t *p, __m512i v) {
    _mm512_storeu_si512((void *)p, v);
}

static inline bool any_above(__m512i v, int32_t limit) {
    return _mm512_cmpgt_epi32_mask(v, _mm512_set1_epi32(limit)) != 0;
}

/* ---- widening ---- */

static uint64_t bf16_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512i low = _mm512_cvtepu16_epi32(load_half(s + 2 * i));
        __m512i high = _mm512_cvtepu16_epi32(load_half(s + 2 * i + 32));
        store(d + 4 * i, _mm512_slli_epi32(low, 16));
        store(d + 4 * i + 64, _mm512_slli_epi32(high, 16));
    }
    return cast_scalar.bf16_to_f32(s + 2 * i, d + 4 * i, n - i, saturate);
}

static uint64_t f16_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        store(d + 4 * i, _mm512_castps_si512(_mm512_cvtph_ps(load_half(s + 2 * i))));
        store(d + 4 * i + 64, _mm512_castps_si512(_mm512_cvtph_ps(load_half(s + 2 * i + 32))));
    }
    return cast_scalar.f16_to_f32(s + 2 * i, d + 4 * i, n - i, saturate);
}

static uint64_t f32_to_f64(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256 low = _mm256_castsi256_ps(load_half(s + 4 * i)), high = _mm256_castsi256_ps(load_half(s + 4 * i + 32));
        store(d + 8 * i, _mm512_castpd_si512(_mm512_cvtps_pd(low)));
        store(d + 8 * i + 64, _mm512_castpd_si512(_mm512_cvtps_pd(high)));
    }
    return cast_scalar.f32_to_f64(s + 4 * i, d + 8 * i, n - i, saturate);
}

/* e5m2 is the upper byte of an f16. */
static uint64_t e5m2_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i h = _mm256_slli_epi16(_mm256_cvtepu8_epi16(load_quarter(s + i)), 8);
        store(d + 4 * i, _mm512_castps_si512(_mm512_cvtph_ps(h)));
    }
    return cast_scalar.e5m2_to_f32(s + i, d + 4 * i, n - i, saturate);
}

/* The magnitude of an e4m3 moved up by 7 bits is an f16 that is 2^8 too small; subnormal ones too. */
static uint64_t e4m3_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff), nan_reads_as = _mm512_set1_epi32(0x43f00000); /* 480 */
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i v = _mm256_cvtepu8_epi16(load_quarter(s + i));
        __m256i sign = _mm256_slli_epi16(_mm256_and_si256(v, _mm256_set1_epi16(0x80)), 8);
        __m256i h = _mm256_or_si256(sign, _mm256_slli_epi16(_mm256_and_si256(v, _mm256_set1_epi16(0x7f)), 7));
        __m512i x = _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtph_ps(h), _mm512_set1_ps(256)));
        __mmask16 is_nan = _mm512_cmpeq_epi32_mask(_mm512_and_si512(x, magnitude), nan_reads_as);
        __m512i sign_only = _mm512_andnot_si512(magnitude, x);
        store(d + 4 * i, _mm512_mask_or_epi32(x, is_nan, sign_only, _mm512_set1_epi32(0x7fc00000)));
    }
    return cast_scalar.e4m3_to_f32(s + i, d + 4 * i, n - i, saturate);
}

/* ---- narrowing ---- */

static inline __m256i round_bf16(__m512i u) {
    __m512i lowest = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i sum = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), lowest);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(sum, 16));
}

static uint64_t f32_to_bf16(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        __m512i largest = _mm512_setzero_si512();
        for (size_t k = i; k < i + CHUNK; k += 16) {
            __m512i u = load(s + 4 * k);
            largest = _mm512_max_epi32(largest, _mm512_and_si512(u, magnitude));
            _mm256_storeu_si256((void *)(d + 2 * k), round_bf16(u));
        }
        if (any_above(largest, 0x7f7f7fff)) /* what rounds to infinity, and NaN */
            overflowed += cast_scalar.f32_to_bf16(s + 4 * i, d + 2 * i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f32_to_bf16(s + 4 * i, d + 2 * i, n - i, saturate);
}

static uint64_t f32_to_f16(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        __m512i largest = _mm512_setzero_si512();
        for (size_t k = i; k < i + CHUNK; k += 16) {
            __m512i u = load(s + 4 * k);
            largest = _mm512_max_epi32(largest, _mm512_and_si512(u, magnitude));
            __m256i h = _mm512_cvtps_ph(_mm512_castsi512_ps(u), _MM_FROUND_TO_NEAREST_INT);
            _mm256_storeu_si256((void *)(d + 2 * k), h);
        }
        if (any_above(largest, 0x477fefff)) /* from 65520 on */
            overflowed += cast_scalar.f32_to_f16(s + 4 * i, d + 2 * i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f32_to_f16(s + 4 * i, d + 2 * i, n - i, saturate);
}

static uint64_t f64_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const __m512d limit = _mm512_set1_pd(0x1.fffffep127);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        __mmask8 odd = 0;
        for (size_t k = i; k < i + CHUNK; k += 8) {
            __m512d x = _mm512_castsi512_pd(load(s + 8 * k));
            odd |= _mm512_cmp_pd_mask(_mm512_abs_pd(x), limit, _CMP_NLE_UQ);
            _mm256_storeu_si256((void *)(d + 4 * k), _mm256_castps_si256(_mm512_cvtpd_ps(x)));
        }
        if (odd) overflowed += cast_scalar.f64_to_f32(s + 8 * i, d + 4 * i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f64_to_f32(s + 8 * i, d + 4 * i, n - i, saturate);
}

/* The numbers of a cast_small, spread over a register. */
typedef struct spread {
    __m512i smallest, rebias, half, magic;
    __m128i shift, sign_shift;
    bool unsigned_zero;
} spread;

static inline spread spread_out(const cast_small *t) {
    int shift = 23 - t->mantissa;
    return (spread){ _mm512_set1_epi32((128 - t->bias) << 23),
                     _mm512_set1_epi32((127 - t->bias) << 23),
                     _mm512_set1_epi32((1 << (shift - 1)) - 1),
                     _mm512_set1_epi32((127 + 24 - t->bias - t->mantissa) << 23),
                     _mm_cvtsi32_si128(shift),
                     _mm_cvtsi32_si128(32 - t->bits),
                     t->unsigned_zero };
}

/* Codes with their sign; `largest` grows by the codes without it. */
static inline __m512i encode_small(__m512i u, const spread *t, __m512i *largest) {
    __m512i a = _mm512_and_si512(u, _mm512_set1_epi32(0x7fffffff));
    __m512i r = _mm512_sub_epi32(a, t->rebias);
    __m512i lowest = _mm512_and_si512(_mm512_srl_epi32(r, t->shift), _mm512_set1_epi32(1));
    __m512i normal = _mm512_srl_epi32(_mm512_add_epi32(_mm512_add_epi32(r, t->half), lowest), t->shift);
    __m512 sum = _mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(t->magic));
    __m512i subnormal = _mm512_sub_epi32(_mm512_castps_si512(sum), t->magic);
    __m512i code = _mm512_mask_mov_epi32(subnormal, _mm512_cmpge_epi32_mask(a, t->smallest), normal);
    *largest = _mm512_max_epi32(*largest, code);
    __m512i sign = _mm512_srl_epi32(_mm512_andnot_si512(_mm512_set1_epi32(0x7fffffff), u), t->sign_shift);
    if (t->unsigned_zero) sign = _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(code, code), sign);
    return _mm512_or_si512(code, sign);
}

static uint64_t f32_to_small(const cast_small *type, const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const spread t = spread_out(type);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        __m512i largest = _mm512_setzero_si512();
        for (size_t k = i; k < i + CHUNK; k += 16) {
            __m512i code = encode_small(load(s + 4 * k), &t, &largest);
            _mm_storeu_si128((void *)(d + k), _mm512_cvtepi32_epi8(code));
        }
        if (any_above(largest, type->max))
            overflowed += cast_scalar.f32_to_small(type, s + 4 * i, d + i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f32_to_small(type, s + 4 * i, d + i, n - i, saturate);
}

const cast_kernels cast_avx512 = { bf16_to_f32, f16_to_f32, f64_to_f32, e4m3_to_f32, e5m2_to_f32,
                                   f32_to_bf16, f32_to_f16, f32_to_f64, f32_to_small };
#else
typedef int cast_avx512_is_for_x86; /* a translation unit may not be empty */
#endif
