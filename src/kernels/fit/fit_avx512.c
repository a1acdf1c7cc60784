/* fit.c with AVX-512: one register holds the 16 partial sums. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/fit/fit.h"

#define NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

#define TOGETHER 4 /* grids: their sums do not wait for each other */

static inline __m512 nearest(__m512 x, __m512 inverse, __m512 zero, __m512 low, __m512 high) {
    __m512 v = _mm512_add_ps(_mm512_mul_ps(x, inverse), zero);
    v = _mm512_min_ps(_mm512_max_ps(v, low), high); /* max gives its second operand for NaN */
    return _mm512_roundscale_ps(v, NEAREST);
}

static inline __mmask16 rest(size_t n) { return (__mmask16)((1u << n) - 1); }

/* As fit_add_lanes: halves upon halves. */
static inline float add_lanes(__m512 lanes) {
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

typedef struct four {
    __m512 inverse[TOGETHER], zero[TOGETHER], xq[TOGETHER], qq[TOGETHER], low, high;
} four;

/* 16 values, of which `w` NULL says that they weigh 1; what is masked off is 0 and adds 0. */
static inline __attribute__((always_inline)) void add16(four *f, size_t grids, __m512 x, const float *w, __mmask16 m) {
    for (size_t k = 0; k < grids; k++) {
        __m512 q = _mm512_sub_ps(nearest(x, f->inverse[k], f->zero[k], f->low, f->high), f->zero[k]);
        __m512 wq = w ? _mm512_mul_ps(_mm512_maskz_loadu_ps(m, w), q) : q;
        f->xq[k] = _mm512_add_ps(f->xq[k], _mm512_mul_ps(wq, x));
        f->qq[k] = _mm512_add_ps(f->qq[k], _mm512_mul_ps(wq, q));
    }
}

static inline __attribute__((always_inline)) void add_all(const float *x, const float *w, size_t n, size_t grids,
                                                          four *f) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) add16(f, grids, _mm512_loadu_ps(x + i), w ? w + i : NULL, 0xffff);
    if (i < n) add16(f, grids, _mm512_maskz_loadu_ps(rest(n - i), x + i), w ? w + i : NULL, rest(n - i));
}

static void sums(const float *x, const float *w, size_t n, float low, float high, const fit_grid *grids, size_t count,
                 fit_sums *out) {
    four f = { .low = _mm512_set1_ps(low), .high = _mm512_set1_ps(high) };
    for (size_t c = 0; c < count; c += TOGETHER) {
        size_t have = count - c < TOGETHER ? count - c : TOGETHER;
        for (size_t k = 0; k < TOGETHER; k++) {
            const fit_grid *g = &grids[c + (k < have ? k : 0)];
            f.inverse[k] = _mm512_set1_ps(g->inverse);
            f.zero[k] = _mm512_set1_ps(g->zero);
            f.xq[k] = f.qq[k] = _mm512_setzero_ps();
        }
        if (have == 1)
            add_all(x, w, n, 1, &f);
        else if (w)
            add_all(x, w, n, TOGETHER, &f);
        else
            add_all(x, NULL, n, TOGETHER, &f);
        for (size_t k = 0; k < have; k++) out[c + k] = (fit_sums){ add_lanes(f.xq[k]), add_lanes(f.qq[k]) };
    }
}

static void small_sums(const cast_small *type, const float *x, const float *w, size_t n, const float *inverses,
                       size_t count, fit_sums *out) {
    fit_float t = fit_float_of(type);
    __m512 most = _mm512_set1_ps(t.most), least = _mm512_set1_ps(t.least_normal);
    __m512i power = _mm512_set1_epi32(0x7f800000), magic = _mm512_set1_epi32((int)t.magic);
    for (size_t c = 0; c < count; c++) {
        __m512 inverse = _mm512_set1_ps(inverses[c]), xq = _mm512_setzero_ps(), qq = xq;
        for (size_t i = 0; i < n; i += 16) {
            __mmask16 m = n - i < 16 ? rest(n - i) : 0xffff;
            __m512 v = _mm512_abs_ps(_mm512_maskz_loadu_ps(m, x + i));
            __m512 a = _mm512_min_ps(_mm512_mul_ps(v, inverse), most);
            __m512i bits = _mm512_and_si512(_mm512_castps_si512(_mm512_max_ps(a, least)), power);
            __m512 big = _mm512_castsi512_ps(_mm512_add_epi32(bits, magic));
            __m512 q = _mm512_sub_ps(_mm512_add_ps(a, big), big);
            __m512 wq = w ? _mm512_mul_ps(_mm512_maskz_loadu_ps(m, w + i), q) : q;
            xq = _mm512_add_ps(xq, _mm512_mul_ps(wq, v));
            qq = _mm512_add_ps(qq, _mm512_mul_ps(wq, q));
        }
        out[c] = (fit_sums){ add_lanes(xq), add_lanes(qq) };
    }
}

static void range(const float *x, size_t n, float *least, float *most) {
    __m512 lo = _mm512_setzero_ps(), hi = lo;
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_maskz_loadu_ps(n - i < 16 ? rest(n - i) : 0xffff, x + i);
        lo = _mm512_min_ps(v, lo); /* the second operand for NaN */
        hi = _mm512_max_ps(v, hi);
    }
    *least = _mm512_reduce_min_ps(lo);
    *most = _mm512_reduce_max_ps(hi);
}

static void codes(const float *x, size_t n, float low, float high, fit_grid g, int8_t *out) {
    __m512 lo = _mm512_set1_ps(low), hi = _mm512_set1_ps(high);
    __m512 inverse = _mm512_set1_ps(g.inverse), zero = _mm512_set1_ps(g.zero);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = n - i < 16 ? rest(n - i) : 0xffff;
        __m512 q = nearest(_mm512_maskz_loadu_ps(m, x + i), inverse, zero, lo, hi);
        _mm_mask_storeu_epi8(out + i, m, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(q)));
    }
}

const fit_kernels fit_avx512 = { sums, small_sums, range, codes };
#else
typedef int fit_avx512_is_empty;
#endif
