/* Numbers for tests, the same in every run. */
#ifndef UNIT_RANDOM_H
#define UNIT_RANDOM_H

#include <math.h>
#include <stdint.h>

static inline uint64_t unit_random(void) { /* xorshift64 (Marsaglia 2003) */
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static inline uint32_t unit_any(void) { return (uint32_t)(unit_random() >> 32); }

/* In (0, 1). */
static inline double unit_uniform(void) { return ((double)(unit_random() >> 11) + 0.5) * 0x1p-53; }

static inline float unit_between(float low, float high) { return low + (high - low) * (float)unit_uniform(); }

/* Of mean 0 and variance 1: Box and Muller 1958. */
static inline double unit_gaussian(void) {
    const double radius = sqrt(-2 * log(unit_uniform()));
    return radius * cos(6.283185307179586 * unit_uniform());
}

#endif
