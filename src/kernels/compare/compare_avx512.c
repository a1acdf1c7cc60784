/* The comparison of compare.h with AVX-512 (F, DQ). A block that holds a NaN or an infinity goes to the definition. */
#include "kernels/compare/compare_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>

typedef struct lanes {
    __m512d diff2, a2, b2, ab, max;
    __mmask8 odd; /* lanes that held a NaN or an infinity */
    uint64_t changed;
} lanes;

#define NOT_FINITE 0x99 /* quiet and signalling NaN, both infinities */

static inline void add_lanes(lanes *l, __m512d x, __m512d y, __m512d tolerance) {
    __m512d d = _mm512_abs_pd(_mm512_sub_pd(x, y));
    l->max = _mm512_max_pd(l->max, d);
    l->changed += (unsigned)__builtin_popcount(_mm512_cmp_pd_mask(d, tolerance, _CMP_GT_OQ));
    l->diff2 = _mm512_fmadd_pd(d, d, l->diff2);
    l->a2 = _mm512_fmadd_pd(x, x, l->a2);
    l->b2 = _mm512_fmadd_pd(y, y, l->b2);
    l->ab = _mm512_fmadd_pd(x, y, l->ab);
    l->odd |= _mm512_fpclass_pd_mask(x, NOT_FINITE) | _mm512_fpclass_pd_mask(y, NOT_FINITE);
}

static inline lanes empty(void) {
    __m512d zero = _mm512_setzero_pd();
    return (lanes){ zero, zero, zero, zero, zero, 0, 0 };
}

static inline void finish(compare_acc *c, const lanes *a, const lanes *b, size_t n) {
    double max = _mm512_reduce_max_pd(_mm512_max_pd(a->max, b->max));
    if (max > c->max_abs) c->max_abs = max;
    c->count += n;
    c->changed += a->changed + b->changed;
    c->diff2 += _mm512_reduce_add_pd(_mm512_add_pd(a->diff2, b->diff2));
    c->a2 += _mm512_reduce_add_pd(_mm512_add_pd(a->a2, b->a2));
    c->b2 += _mm512_reduce_add_pd(_mm512_add_pd(a->b2, b->b2));
    c->ab += _mm512_reduce_add_pd(_mm512_add_pd(a->ab, b->ab));
}

static inline __m512d widen(const char *p) {
    return _mm512_cvtps_pd(_mm256_loadu_ps((const void *)p));
}

static void block_f32(compare_acc *c, const void *pa, const void *pb, size_t n, double tolerance) {
    const char *a = pa, *b = pb;
    lanes low = empty(), high = empty();
    const __m512d t = _mm512_set1_pd(tolerance);
    size_t whole = n / 16 * 16;
    for (size_t i = 0; i < whole; i += 16) {
        add_lanes(&low, widen(a + 4 * i), widen(b + 4 * i), t);
        add_lanes(&high, widen(a + 4 * i + 32), widen(b + 4 * i + 32), t);
    }
    if (low.odd | high.odd) whole = 0;
    else finish(c, &low, &high, whole);
    if (whole < n) compare_block_f32(c, a + 4 * whole, b + 4 * whole, n - whole, tolerance);
}

static inline __m512d load(const char *p) {
    return _mm512_loadu_pd((const void *)p);
}

static void block_f64(compare_acc *c, const void *pa, const void *pb, size_t n, double tolerance) {
    const char *a = pa, *b = pb;
    lanes low = empty(), high = empty();
    const __m512d t = _mm512_set1_pd(tolerance);
    size_t whole = n / 16 * 16;
    for (size_t i = 0; i < whole; i += 16) {
        add_lanes(&low, load(a + 8 * i), load(b + 8 * i), t);
        add_lanes(&high, load(a + 8 * i + 64), load(b + 8 * i + 64), t);
    }
    if (low.odd | high.odd) whole = 0;
    else finish(c, &low, &high, whole);
    if (whole < n) compare_block_f64(c, a + 8 * whole, b + 8 * whole, n - whole, tolerance);
}

const compare_kernels compare_avx512 = { block_f32, block_f64 };
#else
typedef int compare_avx512_is_for_x86; /* a translation unit may not be empty */
#endif
