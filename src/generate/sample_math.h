/* Exponential and logarithm of doubles that give the same bits on every processor: no library call, whose variants for
 * fused multiply-add round differently, and nothing that a compiler may contract (the build says so). */
#ifndef GENERATE_SAMPLE_MATH_H
#define GENERATE_SAMPLE_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* x = n ln2 + r with |r| <= ln2 / 2; e^r by its series to r^13, whose rest is below 5e-18. */
static inline double exp_portable(double x) {
    const double shifter = 0x1.8p52; /* adding it rounds to an integer, which then lies in the low bits */
    const double ln2_high = 0x1.62e42fefa3800p-1, ln2_low = 0x1.ef35793c76730p-45;
    double bounded = x < -700.0 ? -700.0 : x > 700.0 ? 700.0 : x;
    double shifted = bounded * 0x1.71547652b82fep0 + shifter;
    double n = shifted - shifter;
    double r = (bounded - n * ln2_high) - n * ln2_low;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
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
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52; /* 2^n */
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return x < -700.0 ? 0.0 : p * scale;
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
