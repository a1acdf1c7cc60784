/* The statistics of stats.h with AVX2, FMA and F16C; the method is that of stats_avx512.c. */
#include "kernels/stats/stats_kernels.h"

#if defined(__x86_64__)
#include "kernels/stats/stats_window.h"
#include <immintrin.h>

#define STEP 16 /* elements an iteration */

/* ---- power sums ---- */

typedef struct powers {
    __m256d s1, s2, s3, s4;
} powers;

static inline void add_powers(powers *p, __m256d d) {
    __m256d d2 = _mm256_mul_pd(d, d);
    p->s1 = _mm256_add_pd(p->s1, d);
    p->s2 = _mm256_add_pd(p->s2, d2);
    p->s3 = _mm256_fmadd_pd(d2, d, p->s3);
    p->s4 = _mm256_fmadd_pd(d2, d2, p->s4);
}

static inline __m256d low_half(__m256 x) {
    return _mm256_cvtps_pd(_mm256_castps256_ps128(x));
}

static inline __m256d high_half(__m256 x) {
    return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
}

static inline void add_powers_f32(powers *low, powers *high, __m256 x, bool centred, __m256d shift) {
    add_powers(low, centred ? low_half(x) : _mm256_sub_pd(low_half(x), shift));
    add_powers(high, centred ? high_half(x) : _mm256_sub_pd(high_half(x), shift));
}

static inline double sum(__m256d a, __m256d b) {
    double v[4];
    _mm256_storeu_pd(v, _mm256_add_pd(a, b));
    return (v[0] + v[1]) + (v[2] + v[3]);
}

static inline void finish_powers(stats_acc *s, const powers *a, const powers *b, double shift, size_t n) {
    double sums[4] = { sum(a->s1, b->s1), sum(a->s2, b->s2), sum(a->s3, b->s3), sum(a->s4, b->s4) };
    stats_merge_powers(s, n, shift, sums);
}

/* ---- loads: STEP elements as two registers of f32 ---- */

typedef struct floats {
    __m256 a, b;
} floats;

static inline floats load_f32(const uint8_t *p) {
    return (floats){ _mm256_loadu_ps((const void *)p), _mm256_loadu_ps((const void *)(p + 32)) };
}

static inline floats load_f16(const uint8_t *p) {
    return (floats){ _mm256_cvtph_ps(_mm_loadu_si128((const void *)p)),
                     _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 16))) };
}

/* Even elements and odd ones. */
static inline floats load_bf16(const uint8_t *p) {
    __m256i x = _mm256_loadu_si256((const void *)p);
    return (floats){ _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)),
                     _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000))) };
}

/* The mean of 16 elements, see stats.c. */
static inline double mean_of(floats x) {
    return sum(_mm256_add_pd(low_half(x.a), high_half(x.a)), _mm256_add_pd(low_half(x.b), high_half(x.b))) / 16;
}

/* ---- the first look ---- */

static inline __m256i load(const uint8_t *p) {
    return _mm256_loadu_si256((const void *)p);
}

/* The smallest and largest of the lanes of three registers. */
static inline bit_range reduce(__m256i max, __m256i umax, __m256i umin) {
    int32_t a[8];
    uint32_t b[8], c[8];
    _mm256_storeu_si256((void *)a, max);
    _mm256_storeu_si256((void *)b, umax);
    _mm256_storeu_si256((void *)c, umin);
    bit_range r = { a[0], b[0], c[0] };
    for (int i = 1; i < 8; i++) {
        if (a[i] > r.max_signed) r.max_signed = a[i];
        if (b[i] > r.max_unsigned) r.max_unsigned = b[i];
        if (c[i] < r.min_unsigned) r.min_unsigned = c[i];
    }
    return r;
}

static bit_range look_32(const uint8_t *p, size_t n) {
    __m256i max = _mm256_set1_epi32(INT32_MIN), umax = _mm256_setzero_si256(), umin = _mm256_set1_epi32(-1);
    for (size_t i = 0; i < n; i += 8) {
        __m256i x = load(p + 4 * i);
        max = _mm256_max_epi32(max, x);
        umax = _mm256_max_epu32(umax, x);
    }
    bit_range r = reduce(max, umax, umin);
    if (!range_one_sign(&r)) return r;
    for (size_t i = 0; i < n; i += 8) umin = _mm256_min_epu32(umin, load(p + 4 * i));
    return reduce(max, umax, umin);
}

static inline __m256i upper(__m256i v) {
    return _mm256_and_si256(v, _mm256_set1_epi32((int)0xffff0000));
}

static inline __m256i lower(__m256i v) {
    return _mm256_slli_epi32(v, 16);
}

static inline bit_range reduce_16(__m256i max, __m256i umax, __m256i umin) {
    return reduce(_mm256_max_epi32(upper(max), lower(max)), _mm256_max_epu32(upper(umax), lower(umax)),
                  _mm256_min_epu32(upper(umin), lower(umin)));
}

/* 16-bit patterns, moved to the upper half. */
static bit_range look_16(const uint8_t *p, size_t n) {
    __m256i max = _mm256_set1_epi16(INT16_MIN), umax = _mm256_setzero_si256(), umin = _mm256_set1_epi32(-1);
    for (size_t i = 0; i < n; i += STEP) {
        __m256i x = load(p + 2 * i);
        max = _mm256_max_epi16(max, x);
        umax = _mm256_max_epu16(umax, x);
    }
    bit_range r = reduce_16(max, umax, umin);
    if (!range_one_sign(&r)) return r;
    for (size_t i = 0; i < n; i += STEP) umin = _mm256_min_epu16(umin, load(p + 2 * i));
    return reduce_16(max, umax, umin);
}

/* ---- the second look ---- */

static inline unsigned lanes_of(__m256i mask) {
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(mask));
}

/* Lanes that the mask leaves out hold zeros or numbers below the window. */
static __attribute__((noinline)) void count_below(window *w, stats_acc *s, __m256 x, __m256i inside) {
    unsigned zero = lanes_of(_mm256_castps_si256(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_EQ_OQ)));
    unsigned zeros = (unsigned)__builtin_popcount(zero), rest = 0xffu & ~(lanes_of(inside) | zero);
    s->zeros += zeros;
    s->histogram[128] += zeros;
    if (!rest) return;
    uint32_t bits[8];
    _mm256_storeu_si256((void *)bits, _mm256_castps_si256(x));
    for (; rest; rest &= rest - 1) window_count_one(w, s, bits[__builtin_ctz(rest)]);
}

/* Stores the keys of the STEP elements from i on, counts older ones. */
static inline void push_keys(window *w, size_t i, __m256i keys) {
    _mm256_store_si256((void *)(w->keys + i / 2 % WINDOW_RING), keys);
    if (i >= WINDOW_LAG) window_count(w, i - WINDOW_LAG, STEP / 2);
}

/* `below` is one less than the bits of the smallest magnitude inside. */
static inline __m256i in_window(__m256 x, __m256i below) {
    __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
    return _mm256_cmpgt_epi32(magnitude, below);
}

static inline __m256i code_of(__m256 x, __m256i inside, __m256i base) {
    return _mm256_and_si256(inside, _mm256_sub_epi32(_mm256_srli_epi32(_mm256_castps_si256(x), 23), base));
}

/* `count` and `centred` are constants where this is called. */
#define DEFINE_BLOCK(type, size)                                                                                \
    static inline __attribute__((always_inline)) void block_##type(                                             \
        stats_acc *s, window *w, const uint8_t *p, size_t n, bool count, bool centred) {                        \
        powers low = { 0 }, high = { 0 };                                                                       \
        const double shift = centred ? 0 : mean_of(load_##type(p));                                             \
        const __m256d shifts = _mm256_set1_pd(shift);                                                           \
        const __m256i base = _mm256_set1_epi32(w->base), below = _mm256_set1_epi32(((w->base + 1) << 23) - 1);  \
        for (size_t i = 0; i < n; i += STEP) {                                                                  \
            floats x = load_##type(p + i * size);                                                               \
            if (count) {                                                                                        \
                __m256i a = in_window(x.a, below), b = in_window(x.b, below);                                   \
                __m256i second = _mm256_slli_epi32(code_of(x.b, b, base), 4);                                   \
                push_keys(w, i, _mm256_or_si256(code_of(x.a, a, base), second));                                \
                if (__builtin_expect(lanes_of(_mm256_and_si256(a, b)) != 0xff, 0)) {                            \
                    count_below(w, s, x.a, a);                                                                  \
                    count_below(w, s, x.b, b);                                                                  \
                }                                                                                               \
            }                                                                                                   \
            add_powers_f32(&low, &high, x.a, centred, shifts);                                                  \
            add_powers_f32(&low, &high, x.b, centred, shifts);                                                  \
        }                                                                                                       \
        if (count) window_drain(w, n, STEP);                                                                    \
        finish_powers(s, &low, &high, shift, n);                                                                \
    }

DEFINE_BLOCK(f32, 4)
DEFINE_BLOCK(f16, 2)
DEFINE_BLOCK(bf16, 2)

/* ---- runs ---- */

#include "kernels/stats/stats_runs.h"

DEFINE_ADD(f32, 4, look_32, 0x7f800000)
DEFINE_ADD(f16, 2, look_16, 0x7c000000)
DEFINE_ADD(bf16, 2, look_16, 0x7f800000)

static void add_f64(stats_acc *s, const void *data, size_t n) {
    stats_scalar.f64(s, data, n);
}

const stats_kernels stats_avx2 = { add_f32, add_f64, add_f16, add_bf16 };
#else
typedef int stats_avx2_is_for_x86; /* a translation unit may not be empty */
#endif
