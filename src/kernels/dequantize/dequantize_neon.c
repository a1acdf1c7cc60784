/* The decoders with NEON (ARMv8.0). */
#include "kernels/dequantize/vector.h"

#if defined(__aarch64__)
#include <arm_neon.h>

static inline float half(const uint8_t *p) {
    float16x4_t h = vreinterpret_f16_u16(vdup_n_u16(load_u16(p)));
    return vgetq_lane_f32(vcvt_f32_f16(h), 0);
}

static inline u8x16 lookup(u8x16 table, u8x16 index) {
    return (u8x16)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)index);
}

static inline void put_four(uint8_t *dst, int16x4_t code, float scale, float min, bool above) {
    float32x4_t x = vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(code)), scale);
    if (above) x = vsubq_f32(x, vdupq_n_f32(min));
    vst1q_u8(dst, vreinterpretq_u8_f32(x));
}

static inline void put_sixteen(uint8_t *dst, i8x16 code, float scale, float min, bool above) {
    int16x8_t low = vmovl_s8(vget_low_s8((int8x16_t)code)), high = vmovl_high_s8((int8x16_t)code);
    put_four(dst, vget_low_s16(low), scale, min, above);
    put_four(dst + 16, vget_high_s16(low), scale, min, above);
    put_four(dst + 32, vget_low_s16(high), scale, min, above);
    put_four(dst + 48, vget_high_s16(high), scale, min, above);
}

static inline void put(uint8_t *dst, i8x16 code, float scale) {
    put_sixteen(dst, code, scale, 0, false);
}

static inline void put_above(uint8_t *dst, i8x16 code, float scale, float min) {
    put_sixteen(dst, code, scale, min, true);
}

#define VECTOR_TABLE dequantize_neon
#include "kernels/dequantize/vector_body.h"
#endif
