/* fit.c with AVX2: two registers hold the 16 partial sums. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "kernels/fit/fit.h"

typedef struct grid8 {
    __m256 inverse, zero, low, high;
} grid8;

static inline grid8 spread(fit_grid g, float low, float high) {
    return (grid8){ _mm256_set1_ps(g.inverse), _mm256_set1_ps(g.zero), _mm256_set1_ps(low), _mm256_set1_ps(high) };
}

static inline __m256 nearest(__m256 x, const grid8 *g) {
    __m256 v = _mm256_add_ps(_mm256_mul_ps(x, g->inverse), g->zero);
    v = _mm256_min_ps(_mm256_max_ps(v, g->low), g->high); /* max gives its second operand for NaN */
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline void add8(const float *x, const float *w, const grid8 *g, __m256 *xq, __m256 *qq) {
    __m256 v = _mm256_loadu_ps(x), q = _mm256_sub_ps(nearest(v, g), g->zero);
    __m256 wq = w ? _mm256_mul_ps(_mm256_loadu_ps(w), q) : q;
    *xq = _mm256_add_ps(*xq, _mm256_mul_ps(wq, v));
    *qq = _mm256_add_ps(*qq, _mm256_mul_ps(wq, q));
}

/* As fit_add_lanes: halves upon halves. */
static inline float add_lanes(__m256 a, __m256 b) {
    __m256 eight = _mm256_add_ps(a, b);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static void sums(const float *x, const float *w, size_t n, float low, float high, const fit_grid *grids, size_t count,
                 fit_sums *out) {
    size_t whole = n / 16 * 16, rest = n - whole;
    float tail_x[16] = { 0 }, tail_w[16] = { 0 }; /* zeros add nothing: (round(zero) - zero) is 0 */
    memcpy(tail_x, x + whole, rest * sizeof *x);
    if (w) memcpy(tail_w, w + whole, rest * sizeof *w);
    for (size_t c = 0; c < count; c++) {
        grid8 g = spread(grids[c], low, high);
        __m256 xq0 = _mm256_setzero_ps(), xq1 = xq0, qq0 = xq0, qq1 = xq0;
        for (size_t i = 0; i < whole; i += 16) {
            add8(x + i, w ? w + i : NULL, &g, &xq0, &qq0);
            add8(x + i + 8, w ? w + i + 8 : NULL, &g, &xq1, &qq1);
        }
        if (rest) {
            add8(tail_x, w ? tail_w : NULL, &g, &xq0, &qq0);
            add8(tail_x + 8, w ? tail_w + 8 : NULL, &g, &xq1, &qq1);
        }
        out[c] = (fit_sums){ add_lanes(xq0, xq1), add_lanes(qq0, qq1) };
    }
}

typedef struct float8 {
    __m256 most, least, inverse;
    __m256i power, magic;
} float8;

static inline void add_small8(const float *x, const float *w, const float8 *t, __m256 *xq, __m256 *qq) {
    __m256 v = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_loadu_ps(x));
    __m256 a = _mm256_min_ps(_mm256_mul_ps(v, t->inverse), t->most);
    __m256i bits = _mm256_and_si256(_mm256_castps_si256(_mm256_max_ps(a, t->least)), t->power);
    __m256 big = _mm256_castsi256_ps(_mm256_add_epi32(bits, t->magic));
    __m256 q = _mm256_sub_ps(_mm256_add_ps(a, big), big);
    __m256 wq = w ? _mm256_mul_ps(_mm256_loadu_ps(w), q) : q;
    *xq = _mm256_add_ps(*xq, _mm256_mul_ps(wq, v));
    *qq = _mm256_add_ps(*qq, _mm256_mul_ps(wq, q));
}

static void small_sums(const cast_small *type, const float *x, const float *w, size_t n, const float *inverses,
                       size_t count, fit_sums *out) {
    fit_float f = fit_float_of(type);
    float8 t = { _mm256_set1_ps(f.most), _mm256_set1_ps(f.least_normal), _mm256_setzero_ps(),
                 _mm256_set1_epi32(0x7f800000), _mm256_set1_epi32((int)f.magic) };
    size_t whole = n / 16 * 16, rest = n - whole;
    float tail_x[16] = { 0 }, tail_w[16] = { 0 };
    memcpy(tail_x, x + whole, rest * sizeof *x);
    if (w) memcpy(tail_w, w + whole, rest * sizeof *w);
    for (size_t c = 0; c < count; c++) {
        __m256 xq0 = _mm256_setzero_ps(), xq1 = xq0, qq0 = xq0, qq1 = xq0;
        t.inverse = _mm256_set1_ps(inverses[c]);
        for (size_t i = 0; i < whole; i += 16) {
            add_small8(x + i, w ? w + i : NULL, &t, &xq0, &qq0);
            add_small8(x + i + 8, w ? w + i + 8 : NULL, &t, &xq1, &qq1);
        }
        if (rest) {
            add_small8(tail_x, w ? tail_w : NULL, &t, &xq0, &qq0);
            add_small8(tail_x + 8, w ? tail_w + 8 : NULL, &t, &xq1, &qq1);
        }
        out[c] = (fit_sums){ add_lanes(xq0, xq1), add_lanes(qq0, qq1) };
    }
}

static void range(const float *x, size_t n, float *least, float *most) {
    __m256 lo = _mm256_setzero_ps(), hi = lo;
    for (size_t i = 0; i < n; i += 8) {
        float tail[8] = { 0 };
        if (n - i < 8) memcpy(tail, x + i, (n - i) * sizeof *x);
        __m256 v = _mm256_loadu_ps(n - i < 8 ? tail : x + i);
        lo = _mm256_min_ps(v, lo); /* the second operand for NaN */
        hi = _mm256_max_ps(v, hi);
    }
    float low[8], high[8];
    _mm256_storeu_ps(low, lo);
    _mm256_storeu_ps(high, hi);
    *least = *most = 0;
    for (unsigned k = 0; k < 8; k++) {
        *least = low[k] < *least ? low[k] : *least;
        *most = high[k] > *most ? high[k] : *most;
    }
}

static inline __m128i codes8(const float *x, const grid8 *g) {
    __m256i q = _mm256_cvtps_epi32(nearest(_mm256_loadu_ps(x), g));
    __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    return _mm_packs_epi16(h, h);
}

static void codes(const float *x, size_t n, float low, float high, fit_grid grid, int8_t *out) {
    grid8 g = spread(grid, low, high);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm_storel_epi64((__m128i *)(void *)(out + i), codes8(x + i, &g));
    if (i == n) return;
    float tail[8] = { 0 };
    int8_t q[16];
    memcpy(tail, x + i, (n - i) * sizeof *x);
    _mm_storeu_si128((__m128i *)(void *)q, codes8(tail, &g));
    memcpy(out + i, q, n - i);
}

const fit_kernels fit_avx2 = { sums, small_sums, range, codes };
#else
typedef int fit_avx2_is_empty;
#endif
