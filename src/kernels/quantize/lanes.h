/* LANES floats side by side, for the encoders: the file that includes this one says for which instruction set by
 * defining LANES_AVX512, LANES_AVX2, LANES_NEON, or nothing: one float, which is the definition.
 *
 * Every operation is that of IEEE 754, rounded to nearest, lane by lane, and min, max and pick say what they give for
 * equal numbers: a formula has the same bits in every set. There is no addition across lanes, on purpose. */
#ifndef KERNELS_QUANTIZE_LANES_H
#define KERNELS_QUANTIZE_LANES_H

#include "kernels/cast/scalar.h"
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))

/* x[i], wherever x points. */
INLINE float float_at(const float *x, int i) {
    float y;
    memcpy(&y, (const char *)x + (size_t)i * sizeof y, sizeof y);
    return y;
}

#if defined(LANES_AVX512)

#include <immintrin.h>
enum { LANES = 16 };
typedef __m512 vf;
typedef __mmask16 vm;
INLINE vf v_set(float x) { return _mm512_set1_ps(x); }
INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf v_abs(vf a) { return _mm512_abs_ps(a); }
INLINE vm v_less(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE vf v_pick(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
INLINE vf v_look32(const float *table, vf place) {
    return _mm512_permutex2var_ps(_mm512_loadu_ps(table), _mm512_castps_si512(place), _mm512_loadu_ps(table + 16));
}
INLINE void v_store_bytes(uint8_t *p, vf x) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(x)));
}
INLINE float v_highest(vf x) { return _mm512_reduce_max_ps(x); }
INLINE float v_lowest(vf x) { return _mm512_reduce_min_ps(x); }

#elif defined(LANES_AVX2)

#include <immintrin.h>
enum { LANES = 8 };
typedef __m256 vf;
typedef __m256 vm;
INLINE vf v_set(float x) { return _mm256_set1_ps(x); }
INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
INLINE vm v_less(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
INLINE vf v_pick(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
INLINE vf v_look32(const float *table, vf place) {
    return _mm256_i32gather_ps(table, _mm256_and_si256(_mm256_castps_si256(place), _mm256_set1_epi32(31)), 4);
}
INLINE void v_store_bytes(uint8_t *p, vf x) {
    __m256i i = _mm256_and_si256(_mm256_cvttps_epi32(x), _mm256_set1_epi32(0xff));
    __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(h, h));
}
INLINE __m128 lanes_fold(__m256 x, bool highest) {
    __m128 a = _mm256_castps256_ps128(x), b = _mm256_extractf128_ps(x, 1);
    a = highest ? _mm_max_ps(a, b) : _mm_min_ps(a, b);
    b = _mm_movehl_ps(a, a);
    a = highest ? _mm_max_ps(a, b) : _mm_min_ps(a, b);
    b = _mm_shuffle_ps(a, a, 1);
    return highest ? _mm_max_ps(a, b) : _mm_min_ps(a, b);
}
INLINE float v_highest(vf x) { return _mm_cvtss_f32(lanes_fold(x, true)); }
INLINE float v_lowest(vf x) { return _mm_cvtss_f32(lanes_fold(x, false)); }

#elif defined(LANES_NEON)

#include <arm_neon.h>
enum { LANES = 4 };
typedef float32x4_t vf;
typedef uint32x4_t vm;
INLINE vf v_set(float x) { return vdupq_n_f32(x); }
INLINE vf v_load(const float *p) { return vld1q_f32(p); }
INLINE void v_store(float *p, vf x) { vst1q_f32(p, x); }
INLINE vf v_add(vf a, vf b) { return vaddq_f32(a, b); }
INLINE vf v_sub(vf a, vf b) { return vsubq_f32(a, b); }
INLINE vf v_mul(vf a, vf b) { return vmulq_f32(a, b); }
INLINE vf v_div(vf a, vf b) { return vdivq_f32(a, b); }
INLINE vf v_sqrt(vf a) { return vsqrtq_f32(a); }
INLINE vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
INLINE vf v_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
INLINE vf v_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
INLINE vf v_abs(vf a) { return vabsq_f32(a); }
INLINE vm v_less(vf a, vf b) { return vcltq_f32(a, b); }
INLINE vf v_pick(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
INLINE vf v_look32(const float *table, vf place) {
    float out[4];
    uint32_t at[4];
    vst1q_u32(at, vreinterpretq_u32_f32(place));
    for (int i = 0; i < 4; i++) out[i] = table[at[i] & 31];
    return vld1q_f32(out);
}
INLINE void v_store_bytes(uint8_t *p, vf x) {
    uint8x8_t b = vmovn_u16(vcombine_u16(vmovn_u32(vreinterpretq_u32_s32(vcvtq_s32_f32(x))), vdup_n_u16(0)));
    uint32_t four = vget_lane_u32(vreinterpret_u32_u8(b), 0);
    memcpy(p, &four, sizeof four);
}
INLINE float v_highest(vf x) { return vmaxvq_f32(x); }
INLINE float v_lowest(vf x) { return vminvq_f32(x); }

#else

enum { LANES = 1 };
typedef float vf;
typedef bool vm;
INLINE vf v_set(float x) { return x; }
INLINE vf v_load(const float *p) { return float_at(p, 0); }
INLINE void v_store(float *p, vf x) { *p = x; }
INLINE vf v_add(vf a, vf b) { return a + b; }
INLINE vf v_sub(vf a, vf b) { return a - b; }
INLINE vf v_mul(vf a, vf b) { return a * b; }
INLINE vf v_div(vf a, vf b) { return a / b; }
INLINE vf v_sqrt(vf a) { return sqrtf(a); }
INLINE vf v_fma(vf a, vf b, vf c) { return fmaf(a, b, c); }
INLINE vf v_min(vf a, vf b) { return a < b ? a : b; }
INLINE vf v_max(vf a, vf b) { return a > b ? a : b; }
INLINE vf v_abs(vf a) { return fabsf(a); }
INLINE vm v_less(vf a, vf b) { return a < b; }
INLINE vf v_pick(vm m, vf a, vf b) { return m ? a : b; }
INLINE vf v_look32(const float *table, vf place) { return table[cast_f32_bits(place) & 31]; }
INLINE void v_store_bytes(uint8_t *p, vf x) { *p = (uint8_t)(int)x; }
INLINE float v_highest(vf x) { return x; }
INLINE float v_lowest(vf x) { return x; }

#endif

/* Adding this rounds |x| < 2^22 to the nearest whole number, ties to even; taking it away gives that number. While it
 * is there, the low bits are that number: v_look32(table of 32, place) is indexed by them. */
#define LANES_ROUND 0x1.8p23f

INLINE vf v_round(vf x) { return v_sub(v_add(x, v_set(LANES_ROUND)), v_set(LANES_ROUND)); }
/* To the eleven bits of an f16's mantissa (Dekker 1971, "A floating-point technique for extending the available
 * precision"); |x| < 2^100. */
INLINE vf v_half(vf x) {
    vf c = v_mul(x, v_set(8193));
    return v_sub(c, v_sub(c, x));
}
INLINE vf v_clamp(vf x, float low, float high) { return v_min(v_max(x, v_set(low)), v_set(high)); }

#endif
