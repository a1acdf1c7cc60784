/* Statistics of a run of numbers in one pass: counts, extremes, four moments, a histogram over sign and exponent.
 *
 * A run is cut into blocks of STATS_BLOCK elements from its start; each block's moments are taken about one of its own
 * elements in f64 and merged in order with the formulas of Pebay (Sandia report SAND2008-6212). A caller that wants
 * results that do not depend on its threads feeds fixed chunks (multiples of STATS_BLOCK) to separate accumulators
 * and merges those in order. Instruction sets agree exactly in counts, extremes and histogram, and to about 1e-13
 * relative in the moments. */
#ifndef KERNELS_STATS_H
#define KERNELS_STATS_H

#include <stddef.h>
#include <stdint.h>
#include <tola/insight.h>

#define STATS_BLOCK 4096

typedef struct stats_acc {
    uint64_t count;  /* elements seen */
    uint64_t zeros, nans, infinities; /* -0 is a zero */
    uint64_t finite; /* what the rest speaks of, zeros included */
    double min, max; /* +infinity and -infinity while nothing finite was seen; never -0 */
    double mean;     /* 0 while nothing finite was seen */
    double m2, m3, m4; /* sums of powers of (x - mean) */
    uint64_t histogram[TOLA_HISTOGRAM_BINS]; /* of finite elements, as tola/insight.h defines the bins */
} stats_acc;

void stats_init(stats_acc *s);
/* Adds n elements at `data`, which need not be aligned. No allocation; about 110 KiB of stack. */
void stats_add_f32(stats_acc *s, const void *data, size_t n);
void stats_add_f64(stats_acc *s, const void *data, size_t n);
void stats_add_f16(stats_acc *s, const void *data, size_t n);
void stats_add_bf16(stats_acc *s, const void *data, size_t n);
/* As if the elements of `from` had been added to `into` after its own. */
void stats_merge(stats_acc *into, const stats_acc *from);

typedef struct stats_derived {
    double std;      /* n in the denominator */
    double norm;     /* square root of the sum of squares; 0 for nothing */
    double kurtosis; /* m4 n / m2^2, 3 for a Gaussian */
} stats_derived;
/* std is NaN where nothing is finite, kurtosis also where all elements are equal. */
stats_derived stats_derive(const stats_acc *s);

/* Finite elements below `low` or above `high`: the outliers, once mean and deviation are known. */
uint64_t stats_outside_f32(const void *data, size_t n, double low, double high);
uint64_t stats_outside_f64(const void *data, size_t n, double low, double high);
uint64_t stats_outside_f16(const void *data, size_t n, double low, double high);
uint64_t stats_outside_bf16(const void *data, size_t n, double low, double high);
/* The same, and writes the first `cap` of them to `out`. */
uint64_t stats_collect_f32(const void *data, size_t n, double low, double high, double *out, size_t cap);
uint64_t stats_collect_f64(const void *data, size_t n, double low, double high, double *out, size_t cap);
uint64_t stats_collect_f16(const void *data, size_t n, double low, double high, double *out, size_t cap);
uint64_t stats_collect_bf16(const void *data, size_t n, double low, double high, double *out, size_t cap);

#endif
