/* Between stats.c and its instruction sets. */
#ifndef KERNELS_STATS_KERNELS_H
#define KERNELS_STATS_KERNELS_H

#include "kernels/stats/stats.h"

typedef struct stats_kernels {
    void (*f32)(stats_acc *s, const void *data, size_t n);
    void (*f64)(stats_acc *s, const void *data, size_t n);
    void (*f16)(stats_acc *s, const void *data, size_t n);
    void (*bf16)(stats_acc *s, const void *data, size_t n);
} stats_kernels;

extern const stats_kernels stats_scalar, stats_avx2, stats_avx512, stats_neon; /* the last three where they exist */

/* Sums of powers of (x - shift) over n > 0 finite elements, merged into the moments of s (and n into s->finite). */
void stats_merge_powers(stats_acc *s, uint64_t n, double shift, const double sums[4]);
/* Which bin a nonzero finite element belongs to, given its sign and floor(log2|x|). */
static inline unsigned stats_bin(unsigned negative, int exponent) {
    int e = exponent < -64 ? -64 : exponent > 63 ? 63 : exponent;
    return negative ? (unsigned)(63 - e) : (unsigned)(129 + 64 + e);
}

#endif
