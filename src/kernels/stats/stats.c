/* The readable definition of the statistics, and the choice of instruction set. Formulas: see stats.h. */
#include "kernels/stats/stats.h"
#include "base/cpu.h"
#include "kernels/cast/scalar.h"
#include "kernels/stats/stats_kernels.h"
#include <math.h>
#include <string.h>

void stats_init(stats_acc *s) {
    memset(s, 0, sizeof *s);
    s->min = INFINITY;
    s->max = -INFINITY;
}

/* ---- moments ---- */

/* Pebay's pairwise update: n elements with mean and central power sums m2..m4 join those of s. */
static void merge_moments(stats_acc *s, uint64_t n, double mean, double m2, double m3, double m4) {
    if (n == 0) return;
    if (s->finite == 0) { /* taken as they are, so that even huge numbers stay exact */
        s->finite = n;
        s->mean = mean;
        s->m2 = m2;
        s->m3 = m3;
        s->m4 = m4;
        return;
    }
    double na = (double)s->finite, nb = (double)n, all = na + nb;
    double d = mean - s->mean, d2 = d * d, a = na / all, b = nb / all;
    /* Products are ordered so that nothing as large as n^3 appears. */
    s->m4 += m4 + d2 * d2 * na * b * (a * a - a * b + b * b) + 6 * d2 * (a * a * m2 + b * b * s->m2) +
             4 * d * (a * m3 - b * s->m3);
    s->m3 += m3 + d2 * d * na * b * (a - b) + 3 * d * (a * m2 - b * s->m2);
    s->m2 += m2 + d2 * na * b;
    s->mean += d * b;
    s->finite += n;
}

void stats_merge_powers(stats_acc *s, uint64_t n, double shift, const double sums[4]) {
    double count = (double)n, d = sums[0] / count, d2 = d * d;
    double m2 = sums[1] - count * d2;
    double m3 = sums[2] - 3 * d * sums[1] + 2 * count * d2 * d;
    double m4 = sums[3] - 4 * d * sums[2] + 6 * d2 * sums[1] - 3 * count * d2 * d2;
    merge_moments(s, n, shift + d, m2 < 0 ? 0 : m2, m3, m4 < 0 ? 0 : m4);
}

void stats_merge(stats_acc *into, const stats_acc *from) {
    merge_moments(into, from->finite, from->mean, from->m2, from->m3, from->m4);
    into->count += from->count;
    into->zeros += from->zeros;
    into->nans += from->nans;
    into->infinities += from->infinities;
    if (from->min < into->min) into->min = from->min;
    if (from->max > into->max) into->max = from->max;
    for (int i = 0; i < TOLA_HISTOGRAM_BINS; i++) into->histogram[i] += from->histogram[i];
}

stats_derived stats_derive(const stats_acc *s) {
    double n = (double)s->finite;
    stats_derived r = { NAN, 0, NAN };
    if (s->finite == 0) return r;
    r.std = sqrt(s->m2 / n);
    r.norm = sqrt(s->m2 + n * s->mean * s->mean);
    if (s->m2 > 0) r.kurtosis = s->m4 / s->m2 / (s->m2 / n);
    return r;
}

/* ---- blocks ---- */

/* Counts, extremes and histogram of one element; true where it is finite. */
static bool classify(stats_acc *s, double x) {
    uint64_t u = cast_f64_bits(x);
    int exponent = (int)(u >> 52 & 0x7ff) - 1023;
    if (exponent == 1024) {
        if (u << 12) s->nans++;
        else s->infinities++;
        return false;
    }
    if (x == 0) {
        s->zeros++;
        s->histogram[128]++;
        x = 0; /* without its sign */
    } else {
        s->histogram[stats_bin(u >> 63, exponent)]++; /* subnormal f64 lie below 2^-64 in any case */
    }
    if (x < s->min) s->min = x;
    if (x > s->max) s->max = x;
    return true;
}

/* The mean of 16 elements: near the block's own, so that little cancels when the moments move there, and exact where
 * they are equal, because each sum doubles. Few elements: the first. */
static double shift_of(const double *x, size_t n) {
    double sums[16];
    if (n < 16) return x[0];
    memcpy(sums, x, sizeof sums);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) sums[i] += sums[i + half];
    return sums[0] / 16;
}

/* `x` is used up. */
static void block(stats_acc *s, double *x, size_t n) {
    size_t finite = 0;
    s->count += n;
    for (size_t i = 0; i < n; i++)
        if (classify(s, x[i])) x[finite++] = x[i];
    if (finite == 0) return;
    enum { LANES = 4 }; /* shorter sums round less */
    double shift = shift_of(x, finite), lanes[4][LANES] = { { 0 } }, sums[4];
    for (size_t i = 0; i < finite; i++) {
        double d = x[i] - shift, d2 = d * d;
        lanes[0][i % LANES] += d;
        lanes[1][i % LANES] += d2;
        lanes[2][i % LANES] += d2 * d;
        lanes[3][i % LANES] += d2 * d2;
    }
    for (int k = 0; k < 4; k++) sums[k] = (lanes[k][0] + lanes[k][1]) + (lanes[k][2] + lanes[k][3]);
    stats_merge_powers(s, finite, shift, sums);
}

static double load_f32(const uint8_t *p) {
    float x;
    memcpy(&x, p, sizeof x);
    return (double)x;
}

static double load_f64(const uint8_t *p) {
    double x;
    memcpy(&x, p, sizeof x);
    return x;
}

static double load_f16(const uint8_t *p) {
    return (double)cast_f32_from_bits(cast_f16_to_f32((uint16_t)(p[0] | p[1] << 8)));
}

static double load_bf16(const uint8_t *p) {
    return (double)cast_f32_from_bits(cast_bf16_to_f32((uint16_t)(p[0] | p[1] << 8)));
}

/* One function a type, so that the loads are inlined. */
#define DEFINE(type, size)                                                       \
    static void add_##type(stats_acc *s, const void *data, size_t n) {           \
        const uint8_t *p = data;                                                 \
        double x[STATS_BLOCK];                                                   \
        for (size_t at = 0; at < n; at += STATS_BLOCK) {                         \
            size_t m = n - at < STATS_BLOCK ? n - at : STATS_BLOCK;              \
            for (size_t i = 0; i < m; i++) x[i] = load_##type(p + (at + i) * size); \
            block(s, x, m);                                                      \
        }                                                                        \
    }

DEFINE(f32, 4)
DEFINE(f64, 8)
DEFINE(f16, 2)
DEFINE(bf16, 2)

const stats_kernels stats_scalar = { add_f32, add_f64, add_f16, add_bf16 };

/* ---- choice ---- */

static const stats_kernels *kernels(void) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &stats_avx512;
    case CPU_AVX2: return &stats_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return &stats_neon;
#endif
    default: return &stats_scalar;
    }
}

void stats_add_f32(stats_acc *s, const void *data, size_t n) {
    kernels()->f32(s, data, n);
}

void stats_add_f64(stats_acc *s, const void *data, size_t n) {
    kernels()->f64(s, data, n);
}

void stats_add_f16(stats_acc *s, const void *data, size_t n) {
    kernels()->f16(s, data, n);
}

void stats_add_bf16(stats_acc *s, const void *data, size_t n) {
    kernels()->bf16(s, data, n);
}
