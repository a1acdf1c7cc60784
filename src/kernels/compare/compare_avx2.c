/* The comparison of compare.h with AVX2 and FMA. A block that holds a NaN or an infinity goes to the definition. */
#include "kernels/compare/compare_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>

typedef struct lanes {
    __m256d diff2, a2, b2, ab, max, finite;
    __m256i changed; /* minus the count */
} lanes;

/* x - x is 0 for finite x, NaN for the rest. */
static inline void add_lanes(lanes *l, __m256d x, __m256d y, __m256d tolerance) {
    __m256d d = _mm256_andnot_pd(_mm256_set1_pd(-0.0), _mm256_sub_pd(x, y));
    l->max = _mm256_max_pd(l->max, d);
    l->changed = _mm256_add_epi64(l->changed, _mm256_castpd_si256(_mm256_cmp_pd(d, tolerance, _CMP_GT_OQ)));
    l->diff2 = _mm256_fmadd_pd(d, d, l->diff2);
    l->a2 = _mm256_fmadd_pd(x, x, l->a2);
    l->b2 = _mm256_fmadd_pd(y, y, l->b2);
    l->ab = _mm256_fmadd_pd(x, y, l->ab);
    __m256d both = _mm256_add_pd(_mm256_sub_pd(x, x), _mm256_sub_pd(y, y));
    l->finite = _mm256_or_pd(l->finite, _mm256_cmp_pd(both, both, _CMP_UNORD_Q));
}

static inline lanes empty(void) {
    __m256d zero = _mm256_setzero_pd();
    return (lanes){ zero, zero, zero, zero, zero, zero, _mm256_setzero_si256() };
}

static inline double sum(__m256d a, __m256d b) {
    double v[4];
    _mm256_storeu_pd(v, _mm256_add_pd(a, b));
    return (v[0] + v[1]) + (v[2] + v[3]);
}

static inline bool all_finite(const lanes *a, const lanes *b) {
    return _mm256_movemask_pd(_mm256_or_pd(a->finite, b->finite)) == 0;
}

static inline void finish(compare_acc *c, const lanes *a, const lanes *b, size_t n) {
    double max[4];
    int64_t changed[4];
    _mm256_storeu_pd(max, _mm256_max_pd(a->max, b->max));
    _mm256_storeu_si256((void *)changed, _mm256_add_epi64(a->changed, b->changed));
    for (int i = 0; i < 4; i++) {
        if (max[i] > c->max_abs) c->max_abs = max[i];
        c->changed -= (uint64_t)changed[i];
    }
    c->count += n;
    c->diff2 += sum(a->diff2, b->diff2);
    c->a2 += sum(a->a2, b->a2);
    c->b2 += sum(a->b2, b->b2);
    c->ab += sum(a->ab, b->ab);
}

static void block_f32(compare_acc *c, const void *pa, const void *pb, size_t n, double tolerance) {
    const char *a = pa, *b = pb;
    lanes low = empty(), high = empty();
    const __m256d t = _mm256_set1_pd(tolerance);
    size_t whole = n / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        __m256 x = _mm256_loadu_ps((const void *)(a + 4 * i)), y = _mm256_loadu_ps((const void *)(b + 4 * i));
        add_lanes(&low, _mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_castps256_ps128(y)), t);
        add_lanes(&high, _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)), _mm256_cvtps_pd(_mm256_extractf128_ps(y, 1)), t);
    }
    if (all_finite(&low, &high)) finish(c, &low, &high, whole);
    else whole = 0;
    if (whole < n) compare_block_f32(c, a + 4 * whole, b + 4 * whole, n - whole, tolerance);
}

static inline __m256d load(const char *p) {
    return _mm256_loadu_pd((const void *)p);
}

static void block_f64(compare_acc *c, const void *pa, const void *pb, size_t n, double tolerance) {
    const char *a = pa, *b = pb;
    lanes low = empty(), high = empty();
    const __m256d t = _mm256_set1_pd(tolerance);
    size_t whole = n / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        add_lanes(&low, load(a + 8 * i), load(b + 8 * i), t);
        add_lanes(&high, load(a + 8 * i + 32), load(b + 8 * i + 32), t);
    }
    if (all_finite(&low, &high)) finish(c, &low, &high, whole);
    else whole = 0;
    if (whole < n) compare_block_f64(c, a + 8 * whole, b + 8 * whole, n - whole, tolerance);
}

const compare_kernels compare_avx2 = { block_f32, block_f64 };
#else
typedef int compare_avx2_is_for_x86; /* a translation unit may not be empty */
#endif
