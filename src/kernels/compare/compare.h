/* How far two runs of numbers are apart, in one pass.
 *
 * A pair of NaNs is equal, and so are +0 and -0 and equal infinities. A NaN against a number, or an infinity against
 * anything else, is infinitely far apart. The sums speak of pairs of finite numbers only, in f64; they are taken
 * over blocks of COMPARE_BLOCK pairs from the start of the run and added in order. */
#ifndef KERNELS_COMPARE_H
#define KERNELS_COMPARE_H

#include <stddef.h>
#include <stdint.h>

#define COMPARE_BLOCK 4096

typedef struct compare_acc {
    uint64_t count;   /* pairs seen */
    uint64_t changed; /* |a - b| > tolerance; with tolerance 0: a != b */
    uint64_t infinite; /* pairs that are infinitely far apart (counted in `changed` too) */
    double max_abs;   /* largest |a - b|; infinity where `infinite` > 0 */
    double diff2, a2, b2, ab; /* sums of (a - b)^2, a^2, b^2, a b over finite pairs */
} compare_acc;

void compare_init(compare_acc *c);
/* Adds n pairs; a and b need not be aligned. */
void compare_add_f32(compare_acc *c, const void *a, const void *b, size_t n, double tolerance);
void compare_add_f64(compare_acc *c, const void *a, const void *b, size_t n, double tolerance);
void compare_merge(compare_acc *into, const compare_acc *from);

#endif
