/* The part of an instruction set's statistics that is the same in all: blocks, and which way each is counted. Included
 * by stats_<set>.c after it has defined STEP, look_32, look_16 and block_f32, block_f16, block_bf16. */
#ifndef KERNELS_STATS_RUNS_H
#define KERNELS_STATS_RUNS_H

static inline uint32_t bits_f32(const uint8_t *p, size_t i) {
    uint32_t u;
    memcpy(&u, p + 4 * i, 4);
    return u;
}

static inline uint32_t bits_f16(const uint8_t *p, size_t i) {
    return cast_f16_to_f32((uint16_t)(p[2 * i] | p[2 * i + 1] << 8));
}

static inline uint32_t bits_bf16(const uint8_t *p, size_t i) {
    return (uint32_t)(p[2 * i] | p[2 * i + 1] << 8) << 16;
}

static inline float value_f32(uint32_t bits) {
    return cast_f32_from_bits(bits);
}

static inline float value_f16(uint32_t bits) {
    return cast_f32_from_bits(cast_f16_to_f32((uint16_t)(bits >> 16)));
}

static inline float value_bf16(uint32_t bits) {
    return cast_f32_from_bits(bits);
}

#define DEFINE_ADD(type, size, look, infinity)                                                      \
    static void windowed_##type(stats_acc *s, window *w, const uint8_t *p, size_t n, bool centred) { \
        w->below = 0;                                                                               \
        if (centred) block_##type(s, w, p, n, true, true);                                          \
        else block_##type(s, w, p, n, true, false);                                                 \
    }                                                                                               \
    static void widely_##type(stats_acc *s, window *w, const uint8_t *p, size_t n) {                \
        wide c = { 0 };                                                                             \
        block_##type(s, w, p, n, false, false);                                                     \
        for (size_t i = 0; i < n; i++) wide_count(&c, bits_##type(p, i));                           \
        wide_flush(&c, s);                                                                          \
    }                                                                                               \
    static void add_##type(stats_acc *s, const void *data, size_t n) {                              \
        window w;                                                                                   \
        window_init(&w);                                                                            \
        size_t m = 0;                                                                               \
        for (const uint8_t *p = data; n > 0; n -= m, p += m * size) {                               \
            m = n < STATS_BLOCK ? n : STATS_BLOCK;                                                  \
            size_t whole = m / STEP * STEP;                                                         \
            bit_range r = look(p, whole);                                                           \
            if (whole == 0 || !range_finite(&r, infinity)) {                                        \
                stats_scalar.type(s, p, m);                                                         \
                continue;                                                                           \
            }                                                                                       \
            float min = value_##type(range_min(&r)), max = value_##type(range_max(&r));             \
            window_extremes(s, min, max, whole);                                                    \
            if (w.below > STATS_BLOCK / 8) {                                                        \
                widely_##type(s, &w, p, whole);                                                     \
                w.below -= w.below / 8; /* the window gets another chance after a while */          \
            } else {                                                                                \
                window_fit(&w, s, min, max, whole);                                                 \
                windowed_##type(s, &w, p, whole, range_centred(min, max));                          \
            }                                                                                       \
            if (m > whole) stats_scalar.type(s, p + whole * size, m - whole);                       \
        }                                                                                           \
        window_flush(&w, s);                                                                        \
    }

#endif
