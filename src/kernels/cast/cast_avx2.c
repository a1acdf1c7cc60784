/* The casts of cast.h with AVX2 and F16C: the same bits as cast.c.
 *
 * Narrowing works in chunks. A chunk is converted as if nothing in it were NaN or beyond the range, while the largest
 * magnitude is tracked; where that shows otherwise, the chunk is done again by the definition, which also counts. */
#include "kernels/cast/cast.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define CHUNK 64

static inline __m256i load(const uint8_t *p) {
    return _mm256_loadu_si256((const void *)p);
}

static inline __m128i load_half(const uint8_t *p) {
    return _mm_loadu_si128((const void *)p);
}

static inline __m128i load_quarter(const uint8_t *p) {
    return _mm_loadl_epi64((const void *)p);
}

static inline void store(uint8_t *p, __m256i v) {
    _mm256_storeu_si256((void *)p, v);
}

static inline bool any_above(__m256i v, int32_t limit) {
    __m256i above = _mm256_cmpgt_epi32(v, _mm256_set1_epi32(limit));
    return !_mm256_testz_si256(above, above);
}

/* ---- widening ---- */

static uint64_t bf16_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i low = _mm256_cvtepu16_epi32(load_half(s + 2 * i));
        __m256i high = _mm256_cvtepu16_epi32(load_half(s + 2 * i + 16));
        store(d + 4 * i, _mm256_slli_epi32(low, 16));
        store(d + 4 * i + 32, _mm256_slli_epi32(high, 16));
    }
    return cast_scalar.bf16_to_f32(s + 2 * i, d + 4 * i, n - i, saturate);
}

static uint64_t f16_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        store(d + 4 * i, _mm256_castps_si256(_mm256_cvtph_ps(load_half(s + 2 * i))));
        store(d + 4 * i + 32, _mm256_castps_si256(_mm256_cvtph_ps(load_half(s + 2 * i + 16))));
    }
    return cast_scalar.f16_to_f32(s + 2 * i, d + 4 * i, n - i, saturate);
}

static uint64_t f32_to_f64(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128 low = _mm_castsi128_ps(load_half(s + 4 * i)), high = _mm_castsi128_ps(load_half(s + 4 * i + 16));
        store(d + 8 * i, _mm256_castpd_si256(_mm256_cvtps_pd(low)));
        store(d + 8 * i + 32, _mm256_castpd_si256(_mm256_cvtps_pd(high)));
    }
    return cast_scalar.f32_to_f64(s + 4 * i, d + 8 * i, n - i, saturate);
}

/* e5m2 is the upper byte of an f16. */
static uint64_t e5m2_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i h = _mm_slli_epi16(_mm_cvtepu8_epi16(load_quarter(s + i)), 8);
        store(d + 4 * i, _mm256_castps_si256(_mm256_cvtph_ps(h)));
    }
    return cast_scalar.e5m2_to_f32(s + i, d + 4 * i, n - i, saturate);
}

/* The magnitude of an e4m3 moved up by 7 bits is an f16 that is 2^8 too small; subnormal ones too. */
static uint64_t e4m3_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff), nan_reads_as = _mm256_set1_epi32(0x43f00000); /* 480 */
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i v = _mm_cvtepu8_epi16(load_quarter(s + i));
        __m128i sign = _mm_slli_epi16(_mm_and_si128(v, _mm_set1_epi16(0x80)), 8);
        __m128i h = _mm_or_si128(sign, _mm_slli_epi16(_mm_and_si128(v, _mm_set1_epi16(0x7f)), 7));
        __m256i x = _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtph_ps(h), _mm256_set1_ps(256)));
        __m256i is_nan = _mm256_cmpeq_epi32(_mm256_and_si256(x, magnitude), nan_reads_as);
        __m256i nan = _mm256_or_si256(_mm256_andnot_si256(magnitude, x), _mm256_set1_epi32(0x7fc00000));
        store(d + 4 * i, _mm256_blendv_epi8(x, nan, is_nan));
    }
    return cast_scalar.e4m3_to_f32(s + i, d + 4 * i, n - i, saturate);
}

/* ---- narrowing ---- */

static inline __m256i round_bf16(__m256i u) {
    __m256i lowest = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), lowest), 16);
}

static uint64_t f32_to_bf16(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        __m256i largest = _mm256_setzero_si256();
        for (size_t k = i; k < i + CHUNK; k += 16) {
            __m256i a = load(s + 4 * k), b = load(s + 4 * k + 32);
            largest = _mm256_max_epi32(largest, _mm256_and_si256(a, magnitude));
            largest = _mm256_max_epi32(largest, _mm256_and_si256(b, magnitude));
            __m256i packed = _mm256_packus_epi32(round_bf16(a), round_bf16(b));
            store(d + 2 * k, _mm256_permute4x64_epi64(packed, 0xd8));
        }
        if (any_above(largest, 0x7f7f7fff)) /* what rounds to infinity, and NaN */
            overflowed += cast_scalar.f32_to_bf16(s + 4 * i, d + 2 * i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f32_to_bf16(s + 4 * i, d + 2 * i, n - i, saturate);
}

static uint64_t f32_to_f16(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        __m256i largest = _mm256_setzero_si256();
        for (size_t k = i; k < i + CHUNK; k += 8) {
            __m256i u = load(s + 4 * k);
            largest = _mm256_max_epi32(largest, _mm256_and_si256(u, magnitude));
            __m128i h = _mm256_cvtps_ph(_mm256_castsi256_ps(u), _MM_FROUND_TO_NEAREST_INT);
            _mm_storeu_si128((void *)(d + 2 * k), h);
        }
        if (any_above(largest, 0x477fefff)) /* from 65520 on */
            overflowed += cast_scalar.f32_to_f16(s + 4 * i, d + 2 * i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f32_to_f16(s + 4 * i, d + 2 * i, n - i, saturate);
}

static uint64_t f64_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const __m256d sign = _mm256_set1_pd(-0.0), limit = _mm256_set1_pd(0x1.fffffep127);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        __m256d odd = _mm256_setzero_pd();
        for (size_t k = i; k < i + CHUNK; k += 4) {
            __m256d x = _mm256_castsi256_pd(load(s + 8 * k));
            odd = _mm256_or_pd(odd, _mm256_cmp_pd(_mm256_andnot_pd(sign, x), limit, _CMP_NLE_UQ));
            _mm_storeu_si128((void *)(d + 4 * k), _mm_castps_si128(_mm256_cvtpd_ps(x)));
        }
        if (_mm256_movemask_pd(odd)) overflowed += cast_scalar.f64_to_f32(s + 8 * i, d + 4 * i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f64_to_f32(s + 8 * i, d + 4 * i, n - i, saturate);
}

/* The numbers of a cast_small, spread over a register. */
typedef struct spread {
    __m256i smallest, rebias, half, magic;
    __m128i shift, sign_shift;
    bool unsigned_zero;
} spread;

static inline spread spread_out(const cast_small *t) {
    int shift = 23 - t->mantissa;
    return (spread){ _mm256_set1_epi32(((128 - t->bias) << 23) - 1),
                     _mm256_set1_epi32((127 - t->bias) << 23),
                     _mm256_set1_epi32((1 << (shift - 1)) - 1),
                     _mm256_set1_epi32((127 + 24 - t->bias - t->mantissa) << 23),
                     _mm_cvtsi32_si128(shift),
                     _mm_cvtsi32_si128(32 - t->bits),
                     t->unsigned_zero };
}

/* Codes with their sign; `largest` grows by the codes without it. */
static inline __m256i encode_small(__m256i u, const spread *t, __m256i *largest) {
    __m256i a = _mm256_and_si256(u, _mm256_set1_epi32(0x7fffffff));
    __m256i r = _mm256_sub_epi32(a, t->rebias);
    __m256i lowest = _mm256_and_si256(_mm256_srl_epi32(r, t->shift), _mm256_set1_epi32(1));
    __m256i normal = _mm256_srl_epi32(_mm256_add_epi32(_mm256_add_epi32(r, t->half), lowest), t->shift);
    __m256 sum = _mm256_add_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(t->magic));
    __m256i subnormal = _mm256_sub_epi32(_mm256_castps_si256(sum), t->magic);
    __m256i code = _mm256_blendv_epi8(subnormal, normal, _mm256_cmpgt_epi32(a, t->smallest));
    *largest = _mm256_max_epi32(*largest, code);
    __m256i sign = _mm256_srl_epi32(_mm256_andnot_si256(_mm256_set1_epi32(0x7fffffff), u), t->sign_shift);
    if (t->unsigned_zero) sign = _mm256_andnot_si256(_mm256_cmpeq_epi32(code, _mm256_setzero_si256()), sign);
    return _mm256_or_si256(code, sign);
}

static uint64_t f32_to_small(const cast_small *type, const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const spread t = spread_out(type);
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        __m256i largest = _mm256_setzero_si256();
        for (size_t k = i; k < i + CHUNK; k += 32) {
            __m256i c0 = encode_small(load(s + 4 * k), &t, &largest);
            __m256i c1 = encode_small(load(s + 4 * k + 32), &t, &largest);
            __m256i c2 = encode_small(load(s + 4 * k + 64), &t, &largest);
            __m256i c3 = encode_small(load(s + 4 * k + 96), &t, &largest);
            __m256i packed = _mm256_packus_epi16(_mm256_packus_epi32(c0, c1), _mm256_packus_epi32(c2, c3));
            store(d + k, _mm256_permutevar8x32_epi32(packed, in_order));
        }
        if (any_above(largest, type->max))
            overflowed += cast_scalar.f32_to_small(type, s + 4 * i, d + i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f32_to_small(type, s + 4 * i, d + i, n - i, saturate);
}

const cast_kernels cast_avx2 = { bf16_to_f32, f16_to_f32, f64_to_f32, e4m3_to_f32, e5m2_to_f32,
                                 f32_to_bf16, f32_to_f16, f32_to_f64, f32_to_small };
#else
typedef int cast_avx2_is_for_x86; /* a translation unit may not be empty */
#endif
