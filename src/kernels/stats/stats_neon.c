/* The statistics of stats.h with NEON (ARMv8.0); the method is that of stats_avx512.c. */
#include "kernels/stats/stats_kernels.h"

#if defined(__aarch64__)
#include "kernels/stats/stats_window.h"
#include <arm_neon.h>

#define STEP 8 /* elements an iteration */

/* ---- power sums ---- */

typedef struct powers {
    float64x2_t s1, s2, s3, s4;
} powers;

static inline powers powers_none(void) {
    float64x2_t zero = vdupq_n_f64(0);
    return (powers){ zero, zero, zero, zero };
}

static inline void add_powers(powers *p, float64x2_t d) {
    float64x2_t d2 = vmulq_f64(d, d);
    p->s1 = vaddq_f64(p->s1, d);
    p->s2 = vaddq_f64(p->s2, d2);
    p->s3 = vfmaq_f64(p->s3, d2, d);
    p->s4 = vfmaq_f64(p->s4, d2, d2);
}

static inline void add_powers_f32(powers *low, powers *high, float32x4_t x, bool centred, float64x2_t shift) {
    float64x2_t a = vcvt_f64_f32(vget_low_f32(x)), b = vcvt_high_f64_f32(x);
    add_powers(low, centred ? a : vsubq_f64(a, shift));
    add_powers(high, centred ? b : vsubq_f64(b, shift));
}

static inline void finish_powers(stats_acc *s, const powers *a, const powers *b, double shift, size_t n) {
    double sums[4] = { vaddvq_f64(vaddq_f64(a->s1, b->s1)), vaddvq_f64(vaddq_f64(a->s2, b->s2)),
                       vaddvq_f64(vaddq_f64(a->s3, b->s3)), vaddvq_f64(vaddq_f64(a->s4, b->s4)) };
    stats_merge_powers(s, n, shift, sums);
}

/* ---- loads: STEP elements as two registers of f32 ---- */

typedef struct floats {
    float32x4_t a, b;
} floats;

static inline uint32x4_t load_u32(const uint8_t *p) {
    return vreinterpretq_u32_u8(vld1q_u8(p));
}

static inline uint16x8_t load_u16(const uint8_t *p) {
    return vreinterpretq_u16_u8(vld1q_u8(p));
}

static inline floats load_f32(const uint8_t *p) {
    return (floats){ vreinterpretq_f32_u32(load_u32(p)), vreinterpretq_f32_u32(load_u32(p + 16)) };
}

static inline floats load_f16(const uint8_t *p) {
    float16x8_t x = vreinterpretq_f16_u16(load_u16(p));
    return (floats){ vcvt_f32_f16(vget_low_f16(x)), vcvt_high_f32_f16(x) };
}

static inline floats load_bf16(const uint8_t *p) {
    uint16x8_t x = load_u16(p);
    return (floats){ vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(x), 16)),
                     vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(x), 16)) };
}

/* The mean of 8 elements: as in stats.c, exact where they are equal. */
static inline double mean_of(floats x) {
    float64x2_t a = vaddq_f64(vcvt_f64_f32(vget_low_f32(x.a)), vcvt_high_f64_f32(x.a));
    float64x2_t b = vaddq_f64(vcvt_f64_f32(vget_low_f32(x.b)), vcvt_high_f64_f32(x.b));
    return vaddvq_f64(vaddq_f64(a, b)) / 8;
}

/* ---- the first look ---- */

static bit_range look_32(const uint8_t *p, size_t n) {
    int32x4_t max = vdupq_n_s32(INT32_MIN);
    uint32x4_t umax = vdupq_n_u32(0), umin = vdupq_n_u32(UINT32_MAX);
    for (size_t i = 0; i < n; i += 4) {
        uint32x4_t x = load_u32(p + 4 * i);
        max = vmaxq_s32(max, vreinterpretq_s32_u32(x));
        umax = vmaxq_u32(umax, x);
        umin = vminq_u32(umin, x);
    }
    return (bit_range){ vmaxvq_s32(max), vmaxvq_u32(umax), vminvq_u32(umin) };
}

/* 16-bit patterns, moved to the upper half. */
static bit_range look_16(const uint8_t *p, size_t n) {
    int16x8_t max = vdupq_n_s16(INT16_MIN);
    uint16x8_t umax = vdupq_n_u16(0), umin = vdupq_n_u16(UINT16_MAX);
    for (size_t i = 0; i < n; i += STEP) {
        uint16x8_t x = load_u16(p + 2 * i);
        max = vmaxq_s16(max, vreinterpretq_s16_u16(x));
        umax = vmaxq_u16(umax, x);
        umin = vminq_u16(umin, x);
    }
    return (bit_range){ vmaxvq_s16(max) * 65536, (uint32_t)vmaxvq_u16(umax) << 16, (uint32_t)vminvq_u16(umin) << 16 };
}

/* ---- the second look ---- */

/* Lanes that the mask leaves out hold zeros or numbers below the window. */
static __attribute__((noinline)) void count_below(window *w, stats_acc *s, float32x4_t x, uint32x4_t inside) {
    uint32_t bits[4], in[4];
    vst1q_u32(bits, vreinterpretq_u32_f32(x));
    vst1q_u32(in, inside);
    for (int i = 0; i < 4; i++) {
        if (bits[i] << 1 == 0) {
            s->zeros++;
            s->histogram[128]++;
        } else if (!in[i]) {
            window_count_one(w, s, bits[i]);
        }
    }
}

/* Stores the keys of the STEP elements from i on, counts older ones. */
static inline void push_keys(window *w, size_t i, uint32x4_t keys) {
    vst1q_u32(w->keys + i / 2 % WINDOW_RING, keys);
    if (i >= WINDOW_LAG) window_count(w, i - WINDOW_LAG, STEP / 2);
}

static inline uint32x4_t in_window(float32x4_t x, uint32x4_t limit) {
    return vcgeq_u32(vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x7fffffff)), limit);
}

static inline uint32x4_t code_of(float32x4_t x, uint32x4_t inside, uint32x4_t base) {
    return vandq_u32(inside, vsubq_u32(vshrq_n_u32(vreinterpretq_u32_f32(x), 23), base));
}

/* `count` and `centred` are constants where this is called. */
#define DEFINE_BLOCK(type, size)                                                                              \
    static inline __attribute__((always_inline)) void block_##type(                                           \
        stats_acc *s, window *w, const uint8_t *p, size_t n, bool count, bool centred) {                      \
        powers low = powers_none(), high = powers_none();                                                     \
        const double shift = centred ? 0 : mean_of(load_##type(p));                                           \
        const float64x2_t shifts = vdupq_n_f64(shift);                                                        \
        const uint32x4_t base = vdupq_n_u32((uint32_t)w->base), limit = vdupq_n_u32((uint32_t)(w->base + 1) << 23); \
        for (size_t i = 0; i < n; i += STEP) {                                                                \
            floats x = load_##type(p + i * size);                                                             \
            if (count) {                                                                                      \
                uint32x4_t a = in_window(x.a, limit), b = in_window(x.b, limit);                              \
                push_keys(w, i, vorrq_u32(code_of(x.a, a, base), vshlq_n_u32(code_of(x.b, b, base), 4)));     \
                if (__builtin_expect(vminvq_u32(vandq_u32(a, b)) == 0, 0)) {                                  \
                    count_below(w, s, x.a, a);                                                                \
                    count_below(w, s, x.b, b);                                                                \
                }                                                                                             \
            }                                                                                                 \
            add_powers_f32(&low, &high, x.a, centred, shifts);                                                \
            add_powers_f32(&low, &high, x.b, centred, shifts);                                                \
        }                                                                                                     \
        if (count) window_drain(w, n, STEP);                                                                  \
        finish_powers(s, &low, &high, shift, n);                                                              \
    }

DEFINE_BLOCK(f32, 4)
DEFINE_BLOCK(f16, 2)
DEFINE_BLOCK(bf16, 2)

/* ---- runs ---- */

#include "kernels/stats/stats_runs.h"

DEFINE_ADD(f32, 4, look_32, 0x7f800000)
DEFINE_ADD(f16, 2, look_16, 0x7c000000)
DEFINE_ADD(bf16, 2, look_16, 0x7f800000)

static void add_f64(stats_acc *s, const void *data, size_t n) {
    stats_scalar.f64(s, data, n);
}

const stats_kernels stats_neon = { add_f32, add_f64, add_f16, add_bf16 };
#else
typedef int stats_neon_is_for_arm; /* a translation unit may not be empty */
#endif
