/* What the instruction sets of the statistics share: counting exponents through a window, and extremes from integers.
 *
 * Every histogram is bound by the store port. So that one increment counts two elements, an element's code is short:
 * sign << 8 | offset, where offset is its biased f32 exponent minus the window's base if that is 1 to 15, and the whole
 * code is 0 otherwise. Counter [second code << 4 | first code] counts pairs; its index has 13 bits, of which 9 to 11
 * stay 0. What lies below the window is counted one by one, or, where that is much, by wide_count. */
#ifndef KERNELS_STATS_WINDOW_H
#define KERNELS_STATS_WINDOW_H

#include "kernels/cast/scalar.h"
#include "kernels/stats/stats_kernels.h"
#include <string.h>

#define WINDOW_TOP 15           /* the largest offset */
#define WINDOW_COUNTERS 0x2200  /* indices end at 0x11ff; data that another process changes between the two looks at it
                                   may make codes up to 0x1ff, which stay within this */
#define WINDOW_SETS 2           /* so that equal neighbours do not wait for each other */

/* Keys on their way to the counters. Counting lags WINDOW_LAG elements behind, so that a key is loaded from the cache
 * after its store has retired: forwarding parts of a wide store is slow, and the compiler, where it sees the store,
 * takes the keys out of the register one by one. */
#define WINDOW_LAG 128
#define WINDOW_RING 256 /* keys; more than WINDOW_LAG / 2 */

typedef struct window {
    int base;       /* biased exponent below the window, 0 or more; -1 while the counters are not in use */
    uint64_t pairs; /* since the last flush, so that no counter overflows */
    uint64_t below; /* elements that were counted one by one in the last block */
    _Alignas(64) uint32_t keys[WINDOW_RING];
    uint32_t counters[WINDOW_SETS][WINDOW_COUNTERS]; /* only the four runs of 256 that indices reach are ever cleared */
} window;

static inline size_t window_run(unsigned second_negative, unsigned first_negative) {
    return second_negative << 12 | first_negative << 8;
}

static inline void window_clear(window *w) {
    for (unsigned set = 0; set < WINDOW_SETS; set++)
        for (unsigned signs = 0; signs < 4; signs++)
            memset(w->counters[set] + window_run(signs >> 1, signs & 1), 0, 256 * sizeof(uint32_t));
    w->pairs = 0;
}

static inline void window_init(window *w) {
    w->base = -1;
    w->below = 0;
    window_clear(w);
}

/* Counts the `count` keys of the elements from `first` on. */
static inline void window_count(window *w, size_t first, size_t count) {
    const uint32_t *keys = w->keys + first / 2 % WINDOW_RING;
    for (size_t k = 0; k < count; k += 2) {
        uint64_t two; /* one load for two keys: loads and stores share their ports */
        memcpy(&two, keys + k, sizeof two);
        w->counters[0][(uint32_t)two]++;
        w->counters[1][two >> 32]++;
    }
}

/* Counts what is left after the last of n elements. */
static inline void window_drain(window *w, size_t n, size_t step) {
    for (size_t i = n > WINDOW_LAG ? n - WINDOW_LAG : 0; i < n; i += step) window_count(w, i, step / 2);
}

/* Adds the counters to the histogram and clears them. */
static inline void window_flush(window *w, stats_acc *s) {
    if (w->pairs == 0) return;
    uint64_t codes[2][16] = { { 0 } };
    for (unsigned signs = 0; signs < 4; signs++) {
        const uint32_t *even = w->counters[0] + window_run(signs >> 1, signs & 1);
        const uint32_t *odd = w->counters[1] + window_run(signs >> 1, signs & 1);
        for (unsigned i = 0; i < 256; i++) {
            uint64_t count = (uint64_t)even[i] + odd[i];
            codes[signs & 1][i & 15] += count;
            codes[signs >> 1][i >> 4] += count;
        }
    }
    for (int offset = 1; offset <= WINDOW_TOP; offset++) {
        s->histogram[stats_bin(0, w->base + offset - 127)] += codes[0][offset];
        s->histogram[stats_bin(1, w->base + offset - 127)] += codes[1][offset];
    }
    window_clear(w);
}

/* Moves the window so that n finite elements between min and max fit below its upper end, and most not below it. */
static inline void window_fit(window *w, stats_acc *s, float min, float max, size_t n) {
    uint32_t low = cast_f32_bits(min) & 0x7fffffff, high = cast_f32_bits(max) & 0x7fffffff;
    int top = (int)((low > high ? low : high) >> 23);
    bool fits = w->base >= 0 && top <= w->base + WINDOW_TOP && (top >= w->base + 10 || w->base == 0);
    if (!fits || w->pairs > UINT32_MAX - STATS_BLOCK) {
        window_flush(w, s);
        w->base = top > 13 ? top - 13 : 0; /* two binades left for later blocks */
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
static inline void window_count_one(window *w, stats_acc *s, uint32_t bits) {
    s->histogram[stats_bin(bits >> 31, (int)(bits >> 23 & 0xff) - 127)]++;
    w->below++;
}

/* ---- counting without a window ---- */

/* One increment an element, into a counter for each sign and exponent; zeros apart. */
typedef struct wide {
    uint32_t counters[512];
    uint32_t zeros;
} wide;

static inline void wide_count(wide *c, uint32_t bits) {
    bool zero = bits << 1 == 0;
    c->counters[bits >> 23] += !zero;
    c->zeros += zero;
}

static inline void wide_flush(const wide *c, stats_acc *s) {
    for (unsigned code = 0; code < 512; code++)
        if (c->counters[code]) s->histogram[stats_bin(code >> 8, (int)(code & 0xff) - 127)] += c->counters[code];
    s->zeros += c->zeros;
    s->histogram[128] += c->zeros;
}

/* ---- extremes ---- */

/* The largest as signed and as unsigned integers, and the smallest as unsigned ones (asked for only where all have one
 * sign): enough to find the extremes of floating-point numbers by their bits. */
typedef struct bit_range {
    int32_t max_signed;
    uint32_t max_unsigned, min_unsigned;
} bit_range;

/* `infinity`: the bits of +infinity in f32's, f16's or bf16's own format, all in the upper half of 32 bits. */
static inline bool range_finite(const bit_range *r, uint32_t infinity) {
    return r->max_signed < (int32_t)infinity && r->max_unsigned < (infinity | 0x80000000u);
}

static inline bool range_one_sign(const bit_range *r) {
    return r->max_signed < 0 || r->max_unsigned < 0x80000000u;
}

static inline uint32_t range_max(const bit_range *r) {
    return r->max_signed >= 0 ? (uint32_t)r->max_signed : r->min_unsigned;
}

static inline uint32_t range_min(const bit_range *r) {
    return r->max_unsigned >= 0x80000000u ? r->max_unsigned : r->min_unsigned;
}

/* Are moments about 0 as good as about the mean? Yes where both signs occur with like magnitudes: then the spread is
 * not small against the mean. */
static inline bool range_centred(float min, float max) {
    return min < 0 && max > 0 && max <= -16 * min && -min <= 16 * max;
}

#endif
