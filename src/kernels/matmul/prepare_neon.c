/* Activations to integers with NEON, as prepare.c says. */
#include "kernels/cast/scalar.h"
#include "kernels/matmul/matmul_kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

static inline int16x4_t four(const float *x, float inverse, uint32x4_t some) {
    const int32x4_t v = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse));
    return vqmovn_s32(vandq_s32(v, vreinterpretq_s32_u32(some)));
}

void matmul_quantize_neon(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums) {
    for (size_t at = 0; at < n; at += block) {
        uint32x4_t largest = vdupq_n_u32(0);
        for (size_t i = at; i < at + block; i += 4) {
            const uint32x4_t v = vreinterpretq_u32_f32(vld1q_f32(x + i));
            largest = vmaxq_u32(largest, vandq_u32(v, vdupq_n_u32(0x7fffffff)));
        }
        const uint32_t most = vmaxvq_u32(largest);
        const float scale = cast_f32_from_bits(most) / 127.0f, inverse = 1.0f / scale;
        const bool zero = most < MATMUL_LEAST_BITS, broken = most >= 0x7f800000;
        const uint32x4_t some = vdupq_n_u32(zero || broken ? 0 : UINT32_MAX);
        d[at / block] = zero ? 0 : broken ? cast_f32_from_bits(0x7fc00000) : scale;
        for (size_t i = at; i < at + block; i += 16) {
            const int16x8_t a = vcombine_s16(four(x + i, inverse, some), four(x + i + 4, inverse, some));
            const int16x8_t b = vcombine_s16(four(x + i + 8, inverse, some), four(x + i + 12, inverse, some));
            const int8x16_t v = vcombine_s8(vqmovn_s16(a), vqmovn_s16(b));
            vst1q_s8(q + i, v);
            sums[i / 16] = vaddlvq_s8(v);
        }
    }
}

#endif
