/* The definition of the sums, and the choice of instruction set. Rules: see fit.h. */
#include "kernels/fit/fit.h"

#include <math.h>

#include "base/cpu.h"
#include "kernels/cast/scalar.h"

/* Adding and subtracting 1.5 * 2^23 rounds |v| < 2^22 to the nearest whole number, ties to even. */
#define MAGIC 12582912.0f

static inline float round_clamped(float v, float low, float high) {
    v = v > low ? v : low; /* low for NaN */
    v = v < high ? v : high;
    return (v + MAGIC) - MAGIC;
}

static fit_sums grid_sums(const float *x, const float *w, size_t n, float low, float high, fit_grid g) {
    float xq[16] = { 0 }, qq[16] = { 0 };
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (unsigned k = 0; k < 16; k++) {
            float q = round_clamped(x[i + k] * g.inverse + g.zero, low, high) - g.zero;
            float wq = w ? w[i + k] * q : q;
            xq[k] += wq * x[i + k];
            qq[k] += wq * q;
        }
    for (unsigned k = 0; i < n; i++, k++) {
        float q = round_clamped(x[i] * g.inverse + g.zero, low, high) - g.zero;
        float wq = w ? w[i] * q : q;
        xq[k] += wq * x[i];
        qq[k] += wq * q;
    }
    return (fit_sums){ fit_add_lanes(xq), fit_add_lanes(qq) };
}

static void sums(const float *x, const float *w, size_t n, float low, float high, const fit_grid *grids, size_t count,
                 fit_sums *out) {
    for (size_t c = 0; c < count; c++) out[c] = grid_sums(x, w, n, low, high, grids[c]);
}

/* magnitude: of x * inverse, at most the largest. */
static inline float round_small(float magnitude, const fit_float *t) {
    float a = magnitude < t->most ? magnitude : t->most;
    float normal = a > t->least_normal ? a : t->least_normal;
    float magic = cast_f32_from_bits((cast_f32_bits(normal) & 0x7f800000) + t->magic);
    return (a + magic) - magic;
}

static void small_sums(const cast_small *type, const float *x, const float *w, size_t n, const float *inverses,
                       size_t count, fit_sums *out) {
    fit_float t = fit_float_of(type);
    for (size_t c = 0; c < count; c++) {
        float xq[16] = { 0 }, qq[16] = { 0 };
        for (size_t i = 0; i < n; i += 16)
            for (size_t k = 0; k < 16 && i + k < n; k++) {
                float magnitude = fabsf(x[i + k]), q = round_small(magnitude * inverses[c], &t);
                float wq = w ? w[i + k] * q : q;
                xq[k] += wq * magnitude;
                qq[k] += wq * q;
            }
        out[c] = (fit_sums){ fit_add_lanes(xq), fit_add_lanes(qq) };
    }
}

static void range(const float *x, size_t n, float *least, float *most) {
    *least = *most = 0;
    for (size_t i = 0; i < n; i++) {
        *least = x[i] < *least ? x[i] : *least;
        *most = x[i] > *most ? x[i] : *most;
    }
}

static void codes(const float *x, size_t n, float low, float high, fit_grid g, int8_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = (int8_t)(int)round_clamped(x[i] * g.inverse + g.zero, low, high);
}

const fit_kernels fit_scalar = { sums, small_sums, range, codes };

const fit_kernels *fit_get(void) {
#if defined(__x86_64__)
    switch (cpu_get()->level) {
    case CPU_AVX512: return &fit_avx512;
    case CPU_AVX2: return &fit_avx2;
    default: break;
    }
#endif
    return &fit_scalar;
}
