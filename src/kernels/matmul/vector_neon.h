/* What vector_body.h is written in, for NEON, with the 8-bit products of ARMv8.2 where the file is compiled for them: a
 * vector is one row. Codes with a sign need no offset; those without are below 128. The words are those of
 * vector_avx512vnni.h, where they are explained. */
#ifndef KERNELS_MATMUL_VECTOR_NEON_H
#define KERNELS_MATMUL_VECTOR_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 1
#define ROWS 4

typedef int32x4_t vi;
typedef float32x4_t vf;

/* A vector as bytes, words, or without signs. */
static inline int8x16_t s8(vi a) { return vreinterpretq_s8_s32(a); }
static inline uint8x16_t u8(vi a) { return vreinterpretq_u8_s32(a); }
static inline int16x8_t s16(vi a) { return vreinterpretq_s16_s32(a); }
static inline uint16x8_t u16(vi a) { return vreinterpretq_u16_s32(a); }
static inline uint32x4_t u32(vi a) { return vreinterpretq_u32_s32(a); }
static inline int64x2_t s64(vi a) { return vreinterpretq_s64_s32(a); }
static inline vi of_s8(int8x16_t a) { return vreinterpretq_s32_s8(a); }
static inline vi of_u8(uint8x16_t a) { return vreinterpretq_s32_u8(a); }
static inline vi of_s16(int16x8_t a) { return vreinterpretq_s32_s16(a); }
static inline vi of_u16(uint16x8_t a) { return vreinterpretq_s32_u16(a); }
static inline vi of_u32(uint32x4_t a) { return vreinterpretq_s32_u32(a); }
static inline vi of_s64(int64x2_t a) { return vreinterpretq_s32_s64(a); }

/* ---- loads ---- */
static inline vi load_lanes(const uint8_t *const *lane, size_t at) { return of_u8(vld1q_u8(lane[0] + at)); }
static inline void load_lanes_twice(const uint8_t *const *lane, size_t at, vi out[2]) {
    out[0] = load_lanes(lane, at);
    out[1] = load_lanes(lane, at + 16);
}

static inline vi load_same(const void *p) { return of_u8(vld1q_u8(p)); }
static inline vf load_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static inline vi load_u8_as_i32(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return of_u32(vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four))))));
}

/* ---- bits ---- */
static inline vi zero(void) { return vdupq_n_s32(0); }
static inline vi set8(int x) { return of_s8(vdupq_n_s8((int8_t)x)); }
static inline vi set16(int x) { return of_s16(vdupq_n_s16((int16_t)x)); }
static inline vi set32(int x) { return vdupq_n_s32(x); }
static inline vi and(vi a, vi b) { return vandq_s32(a, b); }
static inline vi or_and(vi a, vi b, vi mask) { return vorrq_s32(a, vandq_s32(b, mask)); }
static inline vi shr16(vi a, int n) { return of_u16(vshlq_u16(u16(a), vdupq_n_s16((int16_t)-n))); }
static inline vi shl16(vi a, int n) { return of_u16(vshlq_u16(u16(a), vdupq_n_s16((int16_t)n))); }
static inline vi sar16(vi a, int n) { return of_s16(vshlq_s16(s16(a), vdupq_n_s16((int16_t)-n))); }
static inline vi shr32(vi a, int n) { return of_u32(vshlq_u32(u32(a), vdupq_n_s32(-n))); }
static inline vi shl32(vi a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
static inline vi pick8(vi table, vi at) { return of_u8(vqtbl1q_u8(u8(table), u8(at))); } /* 16 and above: zero */
static inline vi add8_where(vi a, vi bits, vi bit, vi x) {
    return of_u8(vaddq_u8(u8(a), vandq_u8(vtstq_u8(u8(bits), u8(bit)), u8(x))));
}
static inline vi add8_at_least(vi a, vi b, vi least) {
    return of_u8(vsubq_u8(u8(a), vcgeq_u8(u8(b), u8(least))));
}
static inline vi select32_equal(vi a, vi b, vi equal, vi other) { return vbslq_s32(vceqq_s32(a, b), equal, other); }

/* ---- integers ---- */
static inline vi add8(vi a, vi b) { return of_s8(vaddq_s8(s8(a), s8(b))); }
static inline vi mul16(vi a, vi b) { return of_s16(vmulq_s16(s16(a), s16(b))); }
static inline vi sub16(vi a, vi b) { return of_s16(vsubq_s16(s16(a), s16(b))); }
static inline vi add32(vi a, vi b) { return vaddq_s32(a, b); }
static inline vi sub32(vi a, vi b) { return vsubq_s32(a, b); }
static inline vi mul32(vi a, vi b) { return vmulq_s32(a, b); }
static inline vi lo8(vi a, vi b) { return of_s8(vzip1q_s8(s8(a), s8(b))); }
static inline vi hi8(vi a, vi b) { return of_s8(vzip2q_s8(s8(a), s8(b))); }
static inline vi lo16(vi a, vi b) { return of_s16(vzip1q_s16(s16(a), s16(b))); }
static inline vi hi16(vi a, vi b) { return of_s16(vzip2q_s16(s16(a), s16(b))); }
static inline vi lo32(vi a, vi b) { return vzip1q_s32(a, b); }
static inline vi hi32(vi a, vi b) { return vzip2q_s32(a, b); }
static inline vi lo64(vi a, vi b) { return of_s64(vzip1q_s64(s64(a), s64(b))); }
static inline vi hi64(vi a, vi b) { return of_s64(vzip2q_s64(s64(a), s64(b))); }
static inline vi madd16(vi acc, vi a, vi b) {
    int32x4_t low = vmull_s16(vget_low_s16(s16(a)), vget_low_s16(s16(b)));
    int32x4_t high = vmull_s16(vget_high_s16(s16(a)), vget_high_s16(s16(b)));
    return vaddq_s32(acc, vpaddq_s32(low, high));
}

static inline vi pairs_small(vi a, vi b) { return vpaddq_s32(a, b); }

/* ---- products: parts are dwords ---- */
static inline vi dot_add(vi part, vi codes, vi x) {
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(part, s8(codes), s8(x));
#else
    int16x8_t low = vmull_s8(vget_low_s8(s8(codes)), vget_low_s8(s8(x)));
    int16x8_t high = vmull_s8(vget_high_s8(s8(codes)), vget_high_s8(s8(x)));
    return vaddq_s32(part, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}
static inline vi dot(vi codes, vi x) { return dot_add(vdupq_n_s32(0), codes, x); }
static inline vi widen(vi part) { return part; }

#define SIGNED_OFFSET 0
static inline vi offset_codes(vi codes) { return codes; }
static inline vi dot_signed(vi codes, vi x) { return dot(codes, x); }
static inline vi dot_signed_add(vi part, vi codes, vi x) { return dot_add(part, codes, x); }
static inline vi sdot(vi acc, vi codes, vi x) { return dot_add(acc, codes, x); }

static inline vi scale_pair(vi acc, vi part0, vi part1, vi scales, int pair) {
    int16_t words[8];
    vst1q_s16(words, s16(scales));
    acc = vmlaq_n_s32(acc, part0, words[2 * pair]);
    return vmlaq_n_s32(acc, part1, words[2 * pair + 1]);
}

/* tile_body.h: an integer scale of a row, ready to multiply parts, and the products added to acc. */
static inline int32_t scale_word(int scale) { return scale; }
static inline vi scale_add(vi acc, vi part, vi scale) { return vmlaq_s32(acc, part, scale); }

/* ---- floats ---- */
static inline vf set_f(float x) { return vdupq_n_f32(x); }
static inline vf to_f(vi a) { return vcvtq_f32_s32(a); }
static inline vf as_f(vi a) { return vreinterpretq_f32_s32(a); }
static inline vf mul_f(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf fma_f(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf fnma_f(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
static inline vf low_f16(vi a) { return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(u32(a)))); }
static inline void store_f(float *p, vf a) { vst1q_f32(p, a); }

#endif
