/* The statistics of stats.h with AVX2, FMA and F16C. The method is that of stats_avx512.c. */
#include "kernels/stats/stats_kernels.h"

#if defined(__x86_64__)
#include "kernels/stats/stats_window.h"
#include <immintrin.h>
#include <math.h>

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

static inline void add_powers_f32(powers *low, powers *high, __m256 x, __m256d shift) {
    add_powers(low, _mm256_sub_pd(low_half(x), shift));
    add_powers(high, _mm256_sub_pd(high_half(x), shift));
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
static inline double shift_of(floats x) {
    return sum(_mm256_add_pd(low_half(x.a), high_half(x.a)), _mm256_add_pd(low_half(x.b), high_half(x.b))) / 16;
}

/* ---- the first look ---- */

typedef struct extremes {
    float min, max;
    bool finite;
} extremes;

static inline extremes reduce(__m256 min, __m256 max, __m256i largest) {
    float low[8], high[8];
    int32_t bits[8];
    _mm256_storeu_ps(low, min);
    _mm256_storeu_ps(high, max);
    _mm256_storeu_si256((void *)bits, largest);
    extremes e = { low[0], high[0], true };
    for (int i = 0; i < 8; i++) {
        if (low[i] < e.min) e.min = low[i];
        if (high[i] > e.max) e.max = high[i];
        if (bits[i] >= 0x7f800000) e.finite = false;
    }
    return e;
}

static inline __m256i magnitude(__m256 x) {
    return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
}

#define DEFINE_LOOK(type, size)                                                              \
    static extremes look_##type(const uint8_t *p, size_t n) {                                \
        __m256 min = _mm256_set1_ps(INFINITY), max = _mm256_set1_ps(-INFINITY);              \
        __m256i largest = _mm256_setzero_si256();                                            \
        for (size_t i = 0; i < n; i += STEP) {                                               \
            floats x = load_##type(p + i * size);                                            \
            min = _mm256_min_ps(min, _mm256_min_ps(x.a, x.b));                               \
            max = _mm256_max_ps(max, _mm256_max_ps(x.a, x.b));                               \
            largest = _mm256_max_epi32(largest, _mm256_max_epi32(magnitude(x.a), magnitude(x.b))); \
        }                                                                                    \
        return reduce(min, max, largest);                                                    \
    }

DEFINE_LOOK(f32, 4)
DEFINE_LOOK(f16, 2)
DEFINE_LOOK(bf16, 2)

/* ---- the second look ---- */

/* Exponents relative to the window's base, 0 for all below it; in the low bytes of the lanes. */
static inline __m256i offsets(__m256 x, __m256i base) {
    __m256i exponent = _mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(x), 23), _mm256_set1_epi32(0xff));
    return _mm256_subs_epu16(exponent, base);
}

static inline __m256i with_sign(__m256i offset, __m256 x) {
    __m256i sign = _mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(x), 26), _mm256_set1_epi32(0x20));
    return _mm256_or_si256(offset, sign);
}

static inline unsigned lanes_of(__m256i mask) {
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(mask));
}

/* Where `offset` is 0 lie zeros or numbers below the window. */
static void count_below(stats_acc *s, __m256 x, __m256i offset) {
    unsigned below = lanes_of(_mm256_cmpeq_epi32(offset, _mm256_setzero_si256()));
    unsigned zero = lanes_of(_mm256_castps_si256(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_EQ_OQ)));
    unsigned zeros = (unsigned)__builtin_popcount(zero), rest = below & ~zero;
    s->zeros += zeros;
    s->histogram[128] += zeros;
    if (!rest) return;
    uint32_t bits[8];
    _mm256_storeu_si256((void *)bits, _mm256_castps_si256(x));
    for (; rest; rest &= rest - 1) window_count_one(s, bits[__builtin_ctz(rest)]);
}

/* Stores the keys of the STEP elements from i on, counts older ones; see window_keys. */
static inline void push_keys(window *w, window_keys *q, size_t i, __m256i v) {
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(v, v), 0xd8);
    _mm_storeu_si128((void *)(q->pairs + i / 2), _mm256_castsi256_si128(packed));
    if (i >= WINDOW_LAG) window_count(w, q->pairs + (i - WINDOW_LAG) / 2, STEP / 2);
}

#define DEFINE_BLOCK(type, size)                                                                          \
    static void block_##type(stats_acc *s, window *w, const uint8_t *p, size_t n) {                       \
        window_keys q;                                                                                    \
        powers low = { 0 }, high = { 0 };                                                                 \
        const double shift = shift_of(load_##type(p));                                                    \
        const __m256d shifts = _mm256_set1_pd(shift);                                                     \
        const __m256i base = _mm256_set1_epi32(w->base), zero = _mm256_setzero_si256();                   \
        for (size_t i = 0; i < n; i += STEP) {                                                            \
            floats x = load_##type(p + i * size);                                                         \
            __m256i a = offsets(x.a, base), b = offsets(x.b, base);                                       \
            __m256i below = _mm256_or_si256(_mm256_cmpeq_epi32(a, zero), _mm256_cmpeq_epi32(b, zero));    \
            push_keys(w, &q, i, _mm256_or_si256(with_sign(a, x.a), _mm256_slli_epi32(with_sign(b, x.b), 6))); \
            add_powers_f32(&low, &high, x.a, shifts);                                                     \
            add_powers_f32(&low, &high, x.b, shifts);                                                     \
            if (__builtin_expect(!_mm256_testz_si256(below, below), 0)) {                                 \
                count_below(s, x.a, a);                                                                   \
                count_below(s, x.b, b);                                                                   \
            }                                                                                             \
        }                                                                                                 \
        window_drain(w, &q, n, STEP);                                                                     \
        finish_powers(s, &low, &high, shift, n);                                                          \
    }

DEFINE_BLOCK(f32, 4)
DEFINE_BLOCK(f16, 2)
DEFINE_BLOCK(bf16, 2)

#define DEFINE_ADD(type, size)                                                               \
    static void add_##type(stats_acc *s, const void *data, size_t n) {                       \
        const uint8_t *p = data;                                                             \
        window w = { .base = -1 };                                                           \
        for (size_t at = 0; at < n; at += STATS_BLOCK) {                                     \
            size_t m = n - at < STATS_BLOCK ? n - at : STATS_BLOCK, whole = m / STEP * STEP; \
            const uint8_t *b = p + at * size;                                                \
            extremes x = look_##type(b, whole);                                              \
            if (whole == 0 || !x.finite) {                                                   \
                stats_scalar.type(s, b, m);                                                  \
                continue;                                                                    \
            }                                                                                \
            window_fit(&w, s, x.min, x.max, whole);                                          \
            window_extremes(s, x.min, x.max, whole);                                         \
            block_##type(s, &w, b, whole);                                                   \
            if (m > whole) stats_scalar.type(s, b + whole * size, m - whole);                \
        }                                                                                    \
        window_flush(&w, s);                                                                 \
    }

DEFINE_ADD(f32, 4)
DEFINE_ADD(f16, 2)
DEFINE_ADD(bf16, 2)

static void add_f64(stats_acc *s, const void *data, size_t n) {
    stats_scalar.f64(s, data, n);
}

const stats_kernels stats_avx2 = { add_f32, add_f64, add_f16, add_bf16 };
#else
typedef int stats_avx2_is_for_x86; /* a translation unit may not be empty */
#endif
