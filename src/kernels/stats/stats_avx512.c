/* The statistics of stats.h with AVX-512 (F, BW, VL, DQ).
 *
 * A block is looked through twice while it lies in the first-level cache: for its extremes (and whether all of it is
 * finite; if not, the definition does it), then for power sums and exponents. An element's sign and exponent, taken
 * relative to a base, make a code of 6 bits; two codes make the index of one counter, so that the store port, which
 * bounds every histogram, is used once for two elements. Code 0 of the exponent stands for "zero, or below the
 * window": those elements are looked at one by one, except that zeros are counted as a mask. */
#include "kernels/stats/stats_kernels.h"

#if defined(__x86_64__)
#include "kernels/stats/stats_window.h"
#include <immintrin.h>
#include <math.h>

#define STEP 32 /* elements an iteration, of each narrow type */

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

static inline void add_powers_f32(powers *low, powers *high, __m512 x, __m512d shift) {
    __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(x)), b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    add_powers(low, _mm512_sub_pd(a, shift));
    add_powers(high, _mm512_sub_pd(b, shift));
}

static inline void finish_powers(stats_acc *s, const powers *a, const powers *b, double shift, size_t n) {
    double sums[4] = { _mm512_reduce_add_pd(_mm512_add_pd(a->s1, b->s1)),
                       _mm512_reduce_add_pd(_mm512_add_pd(a->s2, b->s2)),
                       _mm512_reduce_add_pd(_mm512_add_pd(a->s3, b->s3)),
                       _mm512_reduce_add_pd(_mm512_add_pd(a->s4, b->s4)) };
    stats_merge_powers(s, n, shift, sums);
}

/* The mean of 16 elements, see stats.c. */
static inline double shift_of(__m512 x) {
    __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(x)), b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    return _mm512_reduce_add_pd(_mm512_add_pd(a, b)) / 16;
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

/* ---- the first look ---- */

typedef struct extremes {
    float min, max;
    bool finite;
} extremes;

#define DEFINE_LOOK(type, size)                                                            \
    static extremes look_##type(const uint8_t *p, size_t n) {                              \
        __m512 min = _mm512_set1_ps(INFINITY), max = _mm512_set1_ps(-INFINITY);            \
        __mmask16 odd = 0;                                                                 \
        for (size_t i = 0; i < n; i += STEP) {                                             \
            floats x = load_##type(p + i * size);                                          \
            min = _mm512_min_ps(min, _mm512_min_ps(x.a, x.b));                             \
            max = _mm512_max_ps(max, _mm512_max_ps(x.a, x.b));                             \
            odd |= _mm512_fpclass_ps_mask(x.a, 0x99) | _mm512_fpclass_ps_mask(x.b, 0x99);  \
        }                                                                                  \
        return (extremes){ _mm512_reduce_min_ps(min), _mm512_reduce_max_ps(max), !odd };   \
    }

DEFINE_LOOK(f32, 4)
DEFINE_LOOK(f16, 2)

static inline __m512i low_half(__m512i v) {
    return _mm512_srai_epi32(_mm512_slli_epi32(v, 16), 16);
}

/* bf16 in the order of two's complement: a sign bit turns the other bits over. */
static extremes look_bf16(const uint8_t *p, size_t n) {
    __m512i min = _mm512_set1_epi16(0x7fff), max = _mm512_set1_epi16(-0x8000);
    const __m512i magnitude = _mm512_set1_epi16(0x7fff);
    for (size_t i = 0; i < n; i += STEP) {
        __m512i x = _mm512_loadu_si512((const void *)(p + 2 * i));
        /* x ^ (sign & magnitude) */
        __m512i y = _mm512_ternarylogic_epi32(x, _mm512_srai_epi16(x, 15), magnitude, 0x78);
        min = _mm512_min_epi16(min, y);
        max = _mm512_max_epi16(max, y);
    }
    int low = _mm512_reduce_min_epi32(_mm512_min_epi32(_mm512_srai_epi32(min, 16), low_half(min)));
    int high = _mm512_reduce_max_epi32(_mm512_max_epi32(_mm512_srai_epi32(max, 16), low_half(max)));
    bool finite = high < 0x7f80 && low > ~0x7f80;
    uint32_t low_bits = (uint32_t)(uint16_t)(low < 0 ? low ^ 0x7fff : low) << 16;
    uint32_t high_bits = (uint32_t)(uint16_t)(high < 0 ? high ^ 0x7fff : high) << 16;
    return (extremes){ cast_f32_from_bits(low_bits), cast_f32_from_bits(high_bits), finite };
}

/* ---- the second look ---- */

/* Exponents relative to the window's base, 0 for all below it; in the low bytes of the lanes. */
static inline __m512i offsets(__m512 x, __m512i base) {
    __m512i exponent = _mm512_and_si512(_mm512_srli_epi32(_mm512_castps_si512(x), 23), _mm512_set1_epi32(0xff));
    return _mm512_subs_epu16(exponent, base);
}

static inline __m512i with_sign(__m512i offset, __m512 x) {
    /* offset | (x >> 26 & 0x20) */
    __m512i sign = _mm512_srli_epi32(_mm512_castps_si512(x), 26);
    return _mm512_ternarylogic_epi32(offset, sign, _mm512_set1_epi32(0x20), 0xf8);
}

/* The lanes in `below` hold zeros or numbers below the window. */
static void count_below(stats_acc *s, __m512 x, __mmask16 below) {
    __mmask16 zero = below & _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_EQ_OQ);
    unsigned zeros = (unsigned)__builtin_popcount(zero);
    s->zeros += zeros;
    s->histogram[128] += zeros;
    unsigned rest = (unsigned)(below & ~zero);
    if (!rest) return;
    uint32_t bits[16];
    _mm512_storeu_si512(bits, _mm512_castps_si512(x));
    for (; rest; rest &= rest - 1) window_count_one(s, bits[__builtin_ctz(rest)]);
}

/* Stores the keys of the STEP elements from i on, counts older ones; see window_keys. */
static inline void push_keys(window *w, window_keys *q, size_t i, __m512i v) {
    _mm256_store_si256((void *)(q->pairs + i / 2), _mm512_cvtepi32_epi16(v));
    if (i >= WINDOW_LAG) window_count(w, q->pairs + (i - WINDOW_LAG) / 2, STEP / 2);
}

#define DEFINE_BLOCK(type, size)                                                                  \
    static void block_##type(stats_acc *s, window *w, const uint8_t *p, size_t n, double shift) { \
        window_keys q;                                                                            \
        powers low = { 0 }, high = { 0 };                                                         \
        const __m512d shifts = _mm512_set1_pd(shift);                                             \
        const __m512i base = _mm512_set1_epi32(w->base);                                          \
        for (size_t i = 0; i < n; i += STEP) {                                                    \
            floats x = load_##type(p + i * size);                                                 \
            __m512i a = offsets(x.a, base), b = offsets(x.b, base);                               \
            __mmask16 below_a = _mm512_testn_epi32_mask(a, a), below_b = _mm512_testn_epi32_mask(b, b); \
            __m512i key = _mm512_or_si512(with_sign(a, x.a), _mm512_slli_epi32(with_sign(b, x.b), 6)); \
            add_powers_f32(&low, &high, x.a, shifts);                                              \
            add_powers_f32(&low, &high, x.b, shifts);                                              \
            push_keys(w, &q, i, key);                                                             \
            if (__builtin_expect(below_a | below_b, 0)) {                                         \
                count_below(s, x.a, below_a);                                                     \
                count_below(s, x.b, below_b);                                                     \
            }                                                                                     \
        }                                                                                         \
        window_drain(w, &q, n, STEP);                                                             \
        finish_powers(s, &low, &high, shift, n);                                                  \
    }

DEFINE_BLOCK(f32, 4)
DEFINE_BLOCK(f16, 2)

static void block_bf16(stats_acc *s, window *w, const uint8_t *p, size_t n, double shift) {
    window_keys q;
    powers low = { 0 }, high = { 0 };
    const __m512d shifts = _mm512_set1_pd(shift);
    const __m512i base = _mm512_set1_epi16((short)w->base), sign = _mm512_set1_epi16(0x20);
    const __m512i places = _mm512_set1_epi32(64 << 16 | 1);
    for (size_t i = 0; i < n; i += STEP) {
        __m512i x = _mm512_loadu_si512((const void *)(p + 2 * i));
        __m512i exponent = _mm512_and_si512(_mm512_srli_epi16(x, 7), _mm512_set1_epi16(0xff));
        __m512i offset = _mm512_subs_epu16(exponent, base);
        __mmask32 below = _mm512_testn_epi16_mask(offset, offset);
        __m512i code = _mm512_ternarylogic_epi32(offset, _mm512_srli_epi16(x, 10), sign, 0xf8);
        floats y = split_bf16(x);
        add_powers_f32(&low, &high, y.a, shifts);
        add_powers_f32(&low, &high, y.b, shifts);
        push_keys(w, &q, i, _mm512_madd_epi16(code, places));
        if (__builtin_expect(below != 0, 0)) {
            count_below(s, y.a, _mm512_testn_epi32_mask(offset, _mm512_set1_epi32(0xffff)));
            count_below(s, y.b, _mm512_testn_epi32_mask(offset, _mm512_set1_epi32((int)0xffff0000)));
        }
    }
    window_drain(w, &q, n, STEP);
    finish_powers(s, &low, &high, shift, n);
}

#define DEFINE_ADD(type, size)                                                         \
    static void add_##type(stats_acc *s, const void *data, size_t n) {                 \
        const uint8_t *p = data;                                                       \
        window w = { .base = -1 };                                                     \
        for (size_t at = 0; at < n; at += STATS_BLOCK) {                               \
            size_t m = n - at < STATS_BLOCK ? n - at : STATS_BLOCK, whole = m / STEP * STEP; \
            const uint8_t *b = p + at * size;                                          \
            extremes x = look_##type(b, whole);                                        \
            if (whole == 0 || !x.finite) {                                             \
                stats_scalar.type(s, b, m);                                            \
                continue;                                                              \
            }                                                                          \
            window_fit(&w, s, x.min, x.max, whole);                                    \
            window_extremes(s, x.min, x.max, whole);                                   \
            block_##type(s, &w, b, whole, shift_of(load_##type(b).a));                 \
            if (m > whole) stats_scalar.type(s, b + whole * size, m - whole);          \
        }                                                                              \
        window_flush(&w, s);                                                           \
    }

DEFINE_ADD(f32, 4)
DEFINE_ADD(f16, 2)
DEFINE_ADD(bf16, 2)

/* ---- f64 ---- */

static void add_f64(stats_acc *s, const void *data, size_t n) {
    stats_scalar.f64(s, data, n);
}

const stats_kernels stats_avx512 = { add_f32, add_f64, add_f16, add_bf16 };
#else
typedef int stats_avx512_is_for_x86; /* a translation unit may not be empty */
#endif
