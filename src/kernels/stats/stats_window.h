/* Counting exponents through a window, two elements an increment; for the instruction sets of the statistics.
 *
 * An element's code is sign << 5 | offset, where offset is its biased f32 exponent minus `base`, 0 where that is not
 * positive. Counter [second << 6 | first] counts pairs of codes. Offset 0 is counted elsewhere. */
#ifndef KERNELS_STATS_WINDOW_H
#define KERNELS_STATS_WINDOW_H

#include "kernels/cast/scalar.h"
#include "kernels/stats/stats_kernels.h"
#include <math.h>
#include <string.h>

#define WINDOW_CODES 64
#define WINDOW_OFFSETS 32

typedef struct window {
    int base;                                   /* biased exponent, 0 or more; -1 while the counters are not in use */
    uint64_t pairs;                             /* since the last flush, so that no counter overflows */
    uint32_t even[WINDOW_CODES * WINDOW_CODES]; /* two sets, so that equal neighbours do not wait for each other */
    uint32_t odd[WINDOW_CODES * WINDOW_CODES];
} window;

/* The keys of a block on their way to the counters. Counting lags WINDOW_LAG elements behind, so that a key is loaded
 * from the cache after its store has retired: forwarding parts of a wide store is slow, and the compiler, where it sees
 * the store, takes the keys out of the register one by one. */
#define WINDOW_LAG 128
typedef struct window_keys {
    _Alignas(64) uint16_t pairs[STATS_BLOCK / 2];
} window_keys;

static inline void window_count(window *w, const uint16_t *pairs, size_t count) {
    for (size_t k = 0; k < count; k += 2) {
        w->even[pairs[k]]++;
        w->odd[pairs[k + 1]]++;
    }
}

/* Counts what is left after the last of n elements. */
static inline void window_drain(window *w, const window_keys *q, size_t n, size_t step) {
    for (size_t i = n > WINDOW_LAG ? n - WINDOW_LAG : 0; i < n; i += step) window_count(w, q->pairs + i / 2, step / 2);
}

/* Adds the counters to the histogram and clears them. */
static inline void window_flush(window *w, stats_acc *s) {
    if (w->base < 0 || w->pairs == 0) return;
    uint64_t codes[WINDOW_CODES] = { 0 }, seconds[WINDOW_CODES];
    for (unsigned second = 0; second < WINDOW_CODES; second++) {
        const uint32_t *even = w->even + second * WINDOW_CODES, *odd = w->odd + second * WINDOW_CODES;
        uint64_t row = 0;
        for (unsigned first = 0; first < WINDOW_CODES; first++) {
            uint64_t count = (uint64_t)even[first] + odd[first];
            codes[first] += count;
            row += count;
        }
        seconds[second] = row;
    }
    for (unsigned code = 0; code < WINDOW_CODES; code++) codes[code] += seconds[code];
    for (unsigned code = 0; code < WINDOW_CODES; code++) {
        int offset = (int)(code % WINDOW_OFFSETS);
        if (offset > 0) s->histogram[stats_bin(code / WINDOW_OFFSETS, w->base + offset - 127)] += codes[code];
    }
    memset(w->even, 0, sizeof w->even);
    memset(w->odd, 0, sizeof w->odd);
    w->pairs = 0;
}

/* Moves the window so that n finite elements between min and max fit below its upper end, and not all far down. */
static inline void window_fit(window *w, stats_acc *s, float min, float max, size_t n) {
    float largest = fmaxf(fabsf(min), fabsf(max));
    int top = (int)(cast_f32_bits(largest) >> 23);
    bool fits = w->base >= 0 && top < w->base + WINDOW_OFFSETS && (top >= w->base + 8 || w->base == 0 || top == 0);
    if (!fits || w->pairs > UINT32_MAX - STATS_BLOCK) {
        window_flush(w, s);
        w->base = top > 26 ? top - 26 : 0;
    }
    w->pairs += n / 2;
}

static inline void window_extremes(stats_acc *s, float min, float max, size_t n) {
    s->count += n;
    /* Adding 0 takes the sign from a -0. */
    if ((double)min < s->min) s->min = (double)min + 0.0;
    if ((double)max > s->max) s->max = (double)max + 0.0;
}

/* One nonzero finite element, as f32 bits; subnormal ones lie below the histogram's range in any case. */
static inline void window_count_one(stats_acc *s, uint32_t bits) {
    s->histogram[stats_bin(bits >> 31, (int)(bits >> 23 & 0xff) - 127)]++;
}

#endif
