/* The statistics of stats.h with AVX-512 (F, BW, VL, DQ).
 *
 * A block is looked through twice while it lies in the first-level cache: for its extremes (and whether all of it is
 * finite; if not, the definition does it), then for power sums and for exponents, see stats_window.h. */
#include "kernels/stats/stats_kernels.h"

#if defined(__x86_64__)
#include "kernels/stats/stats_window.h"
#include <immintrin.h>

#define STEP 32 /* elements an iteration */

/* ---- power sums ---- */

typedef struct powers {
    __m512d s1, s2, s3, s4;
} powers;

static inline void add_powers(powers *p, __m512d d) {
    __m512d d2 = _mm512_mul_pd(d, d);
    p->s1 = _mm512_add_pd(p->s1, d);
    p->s2 = _mm512_add_pd(p->s2, d2);
    p->s3 = _mm512_fmadd_pd(d2, d, p->s3);
    p->s4 = _mm512_fmadd_pd(d2, d2, p->s4);
}

static inline void add_powers_f32(powers *low, powers *high, __m512 x, bool centred, __m512d shift) {
    __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(x)), b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    add_powers(low, centred ? a : _mm512_sub_pd(a, shift));
    add_powers(high, centred ? b : _mm512_sub_pd(b, shift));
}

static inline void finish_powers(stats_acc *s, const powers *a, const powers *b, double shift, size_t n) {
    double sums[4] = { _mm512_reduce_add_pd(_mm512_add_pd(a->s1, b->s1)),
                       _mm512_reduce_add_pd(_mm512_add_pd(a->s2, b->s2)),
                       _mm512_reduce_add_pd(_mm512_add_pd(a->s3, b->s3)),
                       _mm512_reduce_add_pd(_mm512_add_pd(a->s4, b->s4)) };
    stats_merge_powers(s, n, shift, sums);
}

/* ---- loads: STEP elements as two registers of f32 ---- */

typedef struct floats {
    __m512 a, b;
} floats;

static inline floats load_f32(const uint8_t *p) {
    return (floats){ _mm512_loadu_ps((const void *)p), _mm512_loadu_ps((const void *)(p + 64)) };
}

static inline floats load_f16(const uint8_t *p) {
    return (floats){ _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)),
                     _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(p + 32))) };
}

/* Even elements and odd ones. */
static inline floats split_bf16(__m512i x) {
    return (floats){ _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                     _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000))) };
}

static inline floats load_bf16(const uint8_t *p) {
    return split_bf16(_mm512_loadu_si512((const void *)p));
}

/* The mean of 16 elements, see stats.c. */
static inline double mean_of(__m512 x) {
    __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(x)), b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    return _mm512_reduce_add_pd(_mm512_add_pd(a, b)) / 16;
}

/* ---- the first look ---- */

static bit_range look_32(const uint8_t *p, size_t n) {
    __m512i max = _mm512_set1_epi32(INT32_MIN), umax = _mm512_setzero_si512(), umin = _mm512_set1_epi32(-1);
    for (size_t i = 0; i < n; i += STEP) {
        __m512i a = _mm512_loadu_si512((const void *)(p + 4 * i));
        __m512i b = _mm512_loadu_si512((const void *)(p + 4 * i + 64));
        max = _mm512_max_epi32(max, _mm512_max_epi32(a, b));
        umax = _mm512_max_epu32(umax, _mm512_max_epu32(a, b));
    }
    bit_range r = { _mm512_reduce_max_epi32(max), _mm512_reduce_max_epu32(umax), 0 };
    if (!range_one_sign(&r)) return r;
    for (size_t i = 0; i < n; i += 16) umin = _mm512_min_epu32(umin, _mm512_loadu_si512((const void *)(p + 4 * i)));
    r.min_unsigned = _mm512_reduce_min_epu32(umin);
    return r;
}

static inline __m512i upper(__m512i v) {
    return _mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000));
}

static inline __m512i lower(__m512i v) {
    return _mm512_slli_epi32(v, 16);
}

/* 16-bit patterns, moved to the upper half. */
static bit_range look_16(const uint8_t *p, size_t n) {
    __m512i max = _mm512_set1_epi16(INT16_MIN), umax = _mm512_setzero_si512(), umin = _mm512_set1_epi32(-1);
    for (size_t i = 0; i < n; i += STEP) {
        __m512i x = _mm512_loadu_si512((const void *)(p + 2 * i));
        max = _mm512_max_epi16(max, x);
        umax = _mm512_max_epu16(umax, x);
    }
    bit_range r = { _mm512_reduce_max_epi32(_mm512_max_epi32(upper(max), lower(max))),
                    _mm512_reduce_max_epu32(_mm512_max_epu32(upper(umax), lower(umax))), 0 };
    if (!range_one_sign(&r)) return r;
    for (size_t i = 0; i < n; i += STEP) umin = _mm512_min_epu16(umin, _mm512_loadu_si512((const void *)(p + 2 * i)));
    r.min_unsigned = _mm512_reduce_min_epu32(_mm512_min_epu32(upper(umin), lower(umin)));
    return r;
}

/* ---- the second look ---- */

/* Lanes that the mask leaves out hold zeros or numbers below the window. */
static __attribute__((noinline)) void count_below(window *w, stats_acc *s, __m512 x, __mmask16 inside) {
    __mmask16 zero = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_EQ_OQ);
    unsigned zeros = (unsigned)__builtin_popcount(zero), rest = 0xffffu & ~(unsigned)(inside | zero);
    s->zeros += zeros;
    s->histogram[128] += zeros;
    if (!rest) return;
    uint32_t bits[16];
    _mm512_storeu_si512(bits, _mm512_castps_si512(x));
    for (; rest; rest &= rest - 1) window_count_one(w, s, bits[__builtin_ctz(rest)]);
}

/* Stores the keys of the STEP elements from i on, counts older ones. */
static inline void push_keys(window *w, size_t i, __m512i keys) {
    _mm512_store_si512((void *)(w->keys + i / 2 % WINDOW_RING), keys);
    if (i >= WINDOW_LAG) window_count(w, i - WINDOW_LAG, STEP / 2);
}

static inline __mmask16 in_window(__m512 x, __m512i limit) {
    __m512i magnitude = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
    return _mm512_cmpge_epi32_mask(magnitude, limit);
}

static inline __m512i code_of(__m512 x, __mmask16 inside, __m512i base) {
    return _mm512_maskz_sub_epi32(inside, _mm512_srli_epi32(_mm512_castps_si512(x), 23), base);
}

/* f32 and f16. `count` and `centred` are constants where this is called. */
#define DEFINE_BLOCK(type, size)                                                                           \
    static inline __attribute__((always_inline)) void block_##type(                                        \
        stats_acc *s, window *w, const uint8_t *p, size_t n, bool count, bool centred) {                   \
        powers low = { 0 }, high = { 0 };                                                                  \
        const double shift = centred ? 0 : mean_of(load_##type(p).a);                                      \
        const __m512d shifts = _mm512_set1_pd(shift);                                                      \
        const __m512i base = _mm512_set1_epi32(w->base), limit = _mm512_set1_epi32((w->base + 1) << 23);   \
        for (size_t i = 0; i < n; i += STEP) {                                                             \
            floats x = load_##type(p + i * size);                                                          \
            if (count) {                                                                                   \
                __mmask16 a = in_window(x.a, limit), b = in_window(x.b, limit);                            \
                __m512i second = _mm512_slli_epi32(code_of(x.b, b, base), 4);                              \
                push_keys(w, i, _mm512_or_si512(code_of(x.a, a, base), second));                           \
                if (__builtin_expect((a & b) != 0xffff, 0)) {                                              \
                    count_below(w, s, x.a, a);                                                             \
                    count_below(w, s, x.b, b);                                                             \
                }                                                                                          \
            }                                                                                              \
            add_powers_f32(&low, &high, x.a, centred, shifts);                                             \
            add_powers_f32(&low, &high, x.b, centred, shifts);                                             \
        }                                                                                                  \
        if (count) window_drain(w, n, STEP);                                                               \
        finish_powers(s, &low, &high, shift, n);                                                           \
    }

DEFINE_BLOCK(f32, 4)
DEFINE_BLOCK(f16, 2)

static inline __attribute__((always_inline)) void block_bf16(stats_acc *s, window *w, const uint8_t *p, size_t n,
                                                             bool count, bool centred) {
    powers low = { 0 }, high = { 0 };
    const double shift = centred ? 0 : mean_of(load_bf16(p).a);
    const __m512d shifts = _mm512_set1_pd(shift);
    const __m512i base = _mm512_set1_epi16((short)w->base), limit = _mm512_set1_epi16((short)((w->base + 1) << 7));
    const __m512i places = _mm512_set1_epi32(16 << 16 | 1);
    for (size_t i = 0; i < n; i += STEP) {
        __m512i x = _mm512_loadu_si512((const void *)(p + 2 * i));
        floats y = split_bf16(x);
        if (count) {
            __mmask32 inside = _mm512_cmpge_epi16_mask(_mm512_and_si512(x, _mm512_set1_epi16(0x7fff)), limit);
            __m512i code = _mm512_maskz_sub_epi16(inside, _mm512_srli_epi16(x, 7), base);
            push_keys(w, i, _mm512_madd_epi16(code, places));
            if (__builtin_expect(inside != 0xffffffff, 0)) {
                count_below(w, s, y.a, _mm512_test_epi32_mask(code, _mm512_set1_epi32(0xffff)));
                count_below(w, s, y.b, _mm512_test_epi32_mask(code, _mm512_set1_epi32((int)0xffff0000)));
            }
        }
        add_powers_f32(&low, &high, y.a, centred, shifts);
        add_powers_f32(&low, &high, y.b, centred, shifts);
    }
    if (count) window_drain(w, n, STEP);
    finish_powers(s, &low, &high, shift, n);
}

/* ---- runs ---- */

#include "kernels/stats/stats_runs.h"

DEFINE_ADD(f32, 4, look_32, 0x7f800000)
DEFINE_ADD(f16, 2, look_16, 0x7c000000)
DEFINE_ADD(bf16, 2, look_16, 0x7f800000)

static void add_f64(stats_acc *s, const void *data, size_t n) {
    stats_scalar.f64(s, data, n);
}

const stats_kernels stats_avx512 = { add_f32, add_f64, add_f16, add_bf16 };
#else
typedef int stats_avx512_is_for_x86; /* a translation unit may not be empty */
#endif
