/* The casts of cast.h with NEON (ARMv8.0): the same bits as cast.c. Chunks as in cast_avx2.c. */
#include "kernels/cast/cast.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define CHUNK 64

static inline uint32x4_t load_u32(const uint8_t *p) {
    return vreinterpretq_u32_u8(vld1q_u8(p));
}

static inline uint16x8_t load_u16(const uint8_t *p) {
    return vreinterpretq_u16_u8(vld1q_u8(p));
}

static inline void store_u32(uint8_t *p, uint32x4_t v) {
    vst1q_u8(p, vreinterpretq_u8_u32(v));
}

/* ---- widening ---- */

static uint64_t bf16_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint16x8_t h = load_u16(s + 2 * i);
        store_u32(d + 4 * i, vshll_n_u16(vget_low_u16(h), 16));
        store_u32(d + 4 * i + 16, vshll_n_u16(vget_high_u16(h), 16));
    }
    return cast_scalar.bf16_to_f32(s + 2 * i, d + 4 * i, n - i, saturate);
}

static inline void widen_f16(uint8_t *d, uint16x8_t h) {
    float16x8_t x = vreinterpretq_f16_u16(h);
    store_u32(d, vreinterpretq_u32_f32(vcvt_f32_f16(vget_low_f16(x))));
    store_u32(d + 16, vreinterpretq_u32_f32(vcvt_high_f32_f16(x)));
}

static uint64_t f16_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) widen_f16(d + 4 * i, load_u16(s + 2 * i));
    return cast_scalar.f16_to_f32(s + 2 * i, d + 4 * i, n - i, saturate);
}

static uint64_t f32_to_f64(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t x = vreinterpretq_f32_u32(load_u32(s + 4 * i));
        vst1q_u8(d + 8 * i, vreinterpretq_u8_f64(vcvt_f64_f32(vget_low_f32(x))));
        vst1q_u8(d + 8 * i + 16, vreinterpretq_u8_f64(vcvt_high_f64_f32(x)));
    }
    return cast_scalar.f32_to_f64(s + 4 * i, d + 8 * i, n - i, saturate);
}

/* e5m2 is the upper byte of an f16. */
static uint64_t e5m2_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) widen_f16(d + 4 * i, vshll_n_u8(vld1_u8(s + i), 8));
    return cast_scalar.e5m2_to_f32(s + i, d + 4 * i, n - i, saturate);
}

/* An f16 that is 2^8 too small, see cast_avx2.c; 480 stands for NaN. */
static inline uint32x4_t finish_e4m3(float32x4_t x) {
    const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
    uint32x4_t u = vreinterpretq_u32_f32(vmulq_n_f32(x, 256));
    uint32x4_t is_nan = vceqq_u32(vandq_u32(u, magnitude), vdupq_n_u32(0x43f00000));
    return vbslq_u32(is_nan, vorrq_u32(vbicq_u32(u, magnitude), vdupq_n_u32(0x7fc00000)), u);
}

static uint64_t e4m3_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint8x8_t v = vld1_u8(s + i);
        uint16x8_t sign = vshll_n_u8(vand_u8(v, vdup_n_u8(0x80)), 8);
        uint16x8_t h = vorrq_u16(sign, vshll_n_u8(vand_u8(v, vdup_n_u8(0x7f)), 7));
        float16x8_t x = vreinterpretq_f16_u16(h);
        store_u32(d + 4 * i, finish_e4m3(vcvt_f32_f16(vget_low_f16(x))));
        store_u32(d + 4 * i + 16, finish_e4m3(vcvt_high_f32_f16(x)));
    }
    return cast_scalar.e4m3_to_f32(s + i, d + 4 * i, n - i, saturate);
}

/* ---- narrowing ---- */

static inline uint16x4_t round_bf16(uint32x4_t u) {
    uint32x4_t lowest = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    return vshrn_n_u32(vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7fff)), lowest), 16);
}

static uint64_t f32_to_bf16(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        uint32x4_t largest = vdupq_n_u32(0);
        for (size_t k = i; k < i + CHUNK; k += 8) {
            uint32x4_t a = load_u32(s + 4 * k), b = load_u32(s + 4 * k + 16);
            largest = vmaxq_u32(largest, vmaxq_u32(vandq_u32(a, magnitude), vandq_u32(b, magnitude)));
            vst1q_u8(d + 2 * k, vreinterpretq_u8_u16(vcombine_u16(round_bf16(a), round_bf16(b))));
        }
        if (vmaxvq_u32(largest) > 0x7f7f7fff) /* what rounds to infinity, and NaN */
            overflowed += cast_scalar.f32_to_bf16(s + 4 * i, d + 2 * i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f32_to_bf16(s + 4 * i, d + 2 * i, n - i, saturate);
}

static uint64_t f32_to_f16(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        uint32x4_t largest = vdupq_n_u32(0);
        for (size_t k = i; k < i + CHUNK; k += 8) {
            uint32x4_t a = load_u32(s + 4 * k), b = load_u32(s + 4 * k + 16);
            largest = vmaxq_u32(largest, vmaxq_u32(vandq_u32(a, magnitude), vandq_u32(b, magnitude)));
            float16x4_t low = vcvt_f16_f32(vreinterpretq_f32_u32(a));
            vst1q_u8(d + 2 * k, vreinterpretq_u8_f16(vcvt_high_f16_f32(low, vreinterpretq_f32_u32(b))));
        }
        if (vmaxvq_u32(largest) > 0x477fefff) /* from 65520 on */
            overflowed += cast_scalar.f32_to_f16(s + 4 * i, d + 2 * i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f32_to_f16(s + 4 * i, d + 2 * i, n - i, saturate);
}

static uint64_t f64_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const float64x2_t limit = vdupq_n_f64(0x1.fffffep127);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        uint64x2_t within = vdupq_n_u64(UINT64_MAX);
        for (size_t k = i; k < i + CHUNK; k += 4) {
            float64x2_t a = vreinterpretq_f64_u8(vld1q_u8(s + 8 * k));
            float64x2_t b = vreinterpretq_f64_u8(vld1q_u8(s + 8 * k + 16));
            within = vandq_u64(within, vandq_u64(vcleq_f64(vabsq_f64(a), limit), vcleq_f64(vabsq_f64(b), limit)));
            vst1q_u8(d + 4 * k, vreinterpretq_u8_f32(vcvt_high_f32_f64(vcvt_f32_f64(a), b)));
        }
        if ((vgetq_lane_u64(within, 0) & vgetq_lane_u64(within, 1)) != UINT64_MAX)
            overflowed += cast_scalar.f64_to_f32(s + 8 * i, d + 4 * i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f64_to_f32(s + 8 * i, d + 4 * i, n - i, saturate);
}

/* The numbers of a cast_small, spread over a register. */
typedef struct spread {
    uint32x4_t smallest, rebias, half, magic;
    int32x4_t shift, sign_shift; /* negative: to the right */
    bool unsigned_zero;
} spread;

static inline spread spread_out(const cast_small *t) {
    int shift = 23 - t->mantissa;
    return (spread){ vdupq_n_u32((uint32_t)(128 - t->bias) << 23),
                     vdupq_n_u32((uint32_t)(127 - t->bias) << 23),
                     vdupq_n_u32((1u << (shift - 1)) - 1),
                     vdupq_n_u32((uint32_t)(127 + 24 - t->bias - t->mantissa) << 23),
                     vdupq_n_s32(-shift),
                     vdupq_n_s32(t->bits - 32),
                     t->unsigned_zero };
}

/* Codes with their sign; `largest` grows by the codes without it. */
static inline uint32x4_t encode_small(uint32x4_t u, const spread *t, uint32x4_t *largest) {
    uint32x4_t a = vandq_u32(u, vdupq_n_u32(0x7fffffff)), r = vsubq_u32(a, t->rebias);
    uint32x4_t lowest = vandq_u32(vshlq_u32(r, t->shift), vdupq_n_u32(1));
    uint32x4_t normal = vshlq_u32(vaddq_u32(vaddq_u32(r, t->half), lowest), t->shift);
    float32x4_t sum = vaddq_f32(vreinterpretq_f32_u32(a), vreinterpretq_f32_u32(t->magic));
    uint32x4_t subnormal = vsubq_u32(vreinterpretq_u32_f32(sum), t->magic);
    uint32x4_t code = vbslq_u32(vcgeq_u32(a, t->smallest), normal, subnormal);
    *largest = vmaxq_u32(*largest, code);
    uint32x4_t sign = vshlq_u32(vandq_u32(u, vdupq_n_u32(0x80000000u)), t->sign_shift);
    if (t->unsigned_zero) sign = vandq_u32(sign, vtstq_u32(code, code));
    return vorrq_u32(code, sign);
}

static uint64_t f32_to_small(const cast_small *type, const void *src, void *dst, size_t n, bool saturate) {
    const uint8_t *s = src;
    uint8_t *d = dst;
    const spread t = spread_out(type);
    uint64_t overflowed = 0;
    size_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        uint32x4_t largest = vdupq_n_u32(0);
        for (size_t k = i; k < i + CHUNK; k += 8) {
            uint32x4_t a = encode_small(load_u32(s + 4 * k), &t, &largest);
            uint32x4_t b = encode_small(load_u32(s + 4 * k + 16), &t, &largest);
            vst1_u8(d + k, vmovn_u16(vcombine_u16(vmovn_u32(a), vmovn_u32(b))));
        }
        if (vmaxvq_u32(largest) > type->max)
            overflowed += cast_scalar.f32_to_small(type, s + 4 * i, d + i, CHUNK, saturate);
    }
    return overflowed + cast_scalar.f32_to_small(type, s + 4 * i, d + i, n - i, saturate);
}

const cast_kernels cast_neon = { bf16_to_f32, f16_to_f32, f64_to_f32, e4m3_to_f32, e5m2_to_f32,
                                 f32_to_bf16, f32_to_f16, f32_to_f64, f32_to_small };
#else
typedef int cast_neon_is_for_arm; /* a translation unit may not be empty */
#endif
