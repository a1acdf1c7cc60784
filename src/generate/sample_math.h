/* Exponential and logarithm of doubles that give the same bits on every processor: no library call, whose variants for
 * fused multiply-add round differently, and nothing that a compiler may contract (the build says so). */
#ifndef GENERATE_SAMPLE_MATH_H
#define GENERATE_SAMPLE_MATH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Two at once, in vectors that every processor here has; compilers see branches in the choice below -700 and would make
 * none of themselves. */
typedef double double_pair __attribute__((vector_size(16)));
typedef int64_t int64_pair __attribute__((vector_size(16)));

/* For x up to 700; 0 below -700. x = n ln2 + r with |r| <= ln2 / 2; e^r by its series to r^13, the rest below 5e-18. */
static inline double_pair exp_pair(double_pair x) {
    const double shifter = 0x1.8p52; /* adding it rounds to an integer, which then lies in the low bits */
    const double ln2_high = 0x1.62e42fefa3800p-1, ln2_low = 0x1.ef35793c76730p-45;
    int64_pair keep = x >= -700.0;
    double_pair bounded = (double_pair)((int64_pair)x & keep); /* 0 for what is masked away below */
    double_pair shifted = bounded * 0x1.71547652b82fep0 + shifter;
    double_pair n = shifted - shifter;
    double_pair r = (bounded - n * ln2_high) - n * ln2_low;
    double_pair p = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    double_pair scale = (double_pair)(((int64_pair)shifted + 1023) << 52); /* 2^n */
    return (double_pair)((int64_pair)(p * scale) & keep);
}

static inline double exp_portable(double x) { return exp_pair((double_pair){ x, x })[0]; }

/* In place. */
static inline void exp_all(double *x, size_t count) {
    for (size_t i = 0; i + 2 <= count; i += 2) {
        double_pair pair;
        memcpy(&pair, x + i, sizeof pair);
        pair = exp_pair(pair);
        memcpy(x + i, &pair, sizeof pair);
    }
    if (count % 2) x[count - 1] = exp_portable(x[count - 1]);
}

/* x = 2^n m with m around 1; ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| <= 0.172, by its series to s^23. */
static inline double log_portable(double x) {
    int n;
    double m = frexp(x, &n);
    if (m < 0.70710678118654752440) {
        m *= 2;
        n--;
    }
    double s = (m - 1) / (m + 1), q = s * s, sum = 0;
    for (int k = 23; k >= 1; k -= 2) sum = sum * q + 1.0 / k;
    return n * 0x1.62e42fefa39efp-1 + 2 * s * sum;
}

#endif
