/* exp, tanh and erf on lanes, with the same bits in every instruction set: sums and fused products in a fixed order
 * (kernels/quantize/lanes.h says which set the including file has chosen). Polynomials are least-maximum fits made for
 * the ranges named beside them; test_rows holds each function against long double over its whole range. */
#ifndef KERNELS_ROWS_FUNCTIONS_H
#define KERNELS_ROWS_FUNCTIONS_H

#include "kernels/quantize/lanes.h"

/* v_power_low(n + LANES_ROUND): 2^n for whole n, -126 <= n <= 127; any bits for others. v_scale(x, n): x 2^n rounded
 * once, for x near 1 and |n| <= 200. v_signed(x, s): |x| with the sign of s. v_ordered: where x is a number. v_all:
 * every lane. v_load_pairs: a = p[0], p[2], ..., b = p[1], p[3], ...; v_store_pairs is its inverse. v_fold: 16 floats
 * in 16 / LANES vectors to one: s[l] + s[l + 8] for l < 8, then s[l] + s[l + 4] for l < 4, and so on. v_load_i8: LANES
 * bytes; v_load_low4, v_load_high4: half of each byte, less 8. v_load_half: f16. */
#if defined(LANES_AVX512) || defined(LANES_AVX2)
INLINE float lanes_fold8(__m256 x) {
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_shuffle_ps(a, a, 1)));
}
#endif

#if defined(LANES_AVX512)

INLINE float v_fold(const vf *s) {
    return lanes_fold8(_mm256_add_ps(_mm512_castps512_ps256(s[0]), _mm512_extractf32x8_ps(s[0], 1)));
}
INLINE vf v_load_i8(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
INLINE vf v_load_half(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE __m512i lanes_bytes(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
INLINE vf v_load_low4(const uint8_t *p) {
    __m512i q = _mm512_and_si512(lanes_bytes(p), _mm512_set1_epi32(15));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(q, _mm512_set1_epi32(8)));
}
INLINE vf v_load_high4(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_srli_epi32(lanes_bytes(p), 4), _mm512_set1_epi32(8)));
}
INLINE vf v_scale(vf x, vf n) { return _mm512_scalef_ps(x, n); }
INLINE vf v_signed(vf x, vf s) { return _mm512_or_ps(_mm512_abs_ps(x), _mm512_and_ps(s, _mm512_set1_ps(-0.0f))); }
INLINE vm v_ordered(vf x) { return _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q); }
INLINE bool v_all(vm m) { return m == 0xffff; }
INLINE void v_load_pairs(const float *p, vf *a, vf *b) {
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    vf x = v_load(p), y = v_load(p + LANES);
    *a = _mm512_permutex2var_ps(x, even, y);
    *b = _mm512_permutex2var_ps(x, _mm512_or_si512(even, _mm512_set1_epi32(1)), y);
}
INLINE void v_store_pairs(float *p, vf a, vf b) {
    const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    v_store(p, _mm512_permutex2var_ps(a, low, b));
    v_store(p + LANES, _mm512_permutex2var_ps(a, _mm512_or_si512(low, _mm512_set1_epi32(8)), b));
}

#else

#if defined(LANES_AVX2)

INLINE float v_fold(const vf *s) { return lanes_fold8(_mm256_add_ps(s[0], s[1])); }
INLINE vf v_load_i8(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
INLINE vf v_load_half(const uint8_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
INLINE __m256i lanes_bytes(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
INLINE vf v_load_low4(const uint8_t *p) {
    __m256i q = _mm256_and_si256(lanes_bytes(p), _mm256_set1_epi32(15));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(q, _mm256_set1_epi32(8)));
}
INLINE vf v_load_high4(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(lanes_bytes(p), 4), _mm256_set1_epi32(8)));
}
INLINE vf v_power_low(vf low) {
    __m256i n = _mm256_add_epi32(_mm256_castps_si256(low), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(n, 23));
}
INLINE vf v_signed(vf x, vf s) { return _mm256_or_ps(v_abs(x), _mm256_and_ps(s, _mm256_set1_ps(-0.0f))); }
INLINE vm v_ordered(vf x) { return _mm256_cmp_ps(x, x, _CMP_ORD_Q); }
INLINE bool v_all(vm m) { return _mm256_movemask_ps(m) == 0xff; }
INLINE void v_load_pairs(const float *p, vf *a, vf *b) {
    vf x = v_load(p), y = v_load(p + LANES);
    vf low = _mm256_permute2f128_ps(x, y, 0x20), high = _mm256_permute2f128_ps(x, y, 0x31);
    *a = _mm256_shuffle_ps(low, high, 0x88);
    *b = _mm256_shuffle_ps(low, high, 0xdd);
}
INLINE void v_store_pairs(float *p, vf a, vf b) {
    vf low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
    v_store(p, _mm256_permute2f128_ps(low, high, 0x20));
    v_store(p + LANES, _mm256_permute2f128_ps(low, high, 0x31));
}

#elif defined(LANES_NEON)

INLINE float v_fold(const vf *s) {
    vf a = vaddq_f32(vaddq_f32(s[0], s[2]), vaddq_f32(s[1], s[3]));
    float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}
INLINE vf v_load_half(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
INLINE uint8x8_t lanes_four(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpret_u8_u32(vdup_n_u32(four));
}
INLINE vf lanes_widen(int8x8_t x) { return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(x)))); }
INLINE vf v_load_i8(const uint8_t *p) { return lanes_widen(vreinterpret_s8_u8(lanes_four(p))); }
INLINE vf v_load_low4(const uint8_t *p) {
    return lanes_widen(vreinterpret_s8_u8(vsub_u8(vand_u8(lanes_four(p), vdup_n_u8(15)), vdup_n_u8(8))));
}
INLINE vf v_load_high4(const uint8_t *p) {
    return lanes_widen(vreinterpret_s8_u8(vsub_u8(vshr_n_u8(lanes_four(p), 4), vdup_n_u8(8))));
}
INLINE vf v_power_low(vf low) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vaddq_u32(vreinterpretq_u32_f32(low), vdupq_n_u32(127)), 23));
}
INLINE vf v_signed(vf x, vf s) { return vbslq_f32(vdupq_n_u32(0x80000000u), s, x); }
INLINE vm v_ordered(vf x) { return vceqq_f32(x, x); }
INLINE bool v_all(vm m) { return vminvq_u32(m) != 0; }
INLINE void v_load_pairs(const float *p, vf *a, vf *b) {
    float32x4x2_t x = vld2q_f32(p);
    *a = x.val[0];
    *b = x.val[1];
}
INLINE void v_store_pairs(float *p, vf a, vf b) { vst2q_f32(p, (float32x4x2_t){ { a, b } }); }

#else

INLINE float v_fold(const vf *s) {
    float sum[16];
    memcpy(sum, s, sizeof sum);
    for (int half = 8; half > 0; half /= 2)
        for (int l = 0; l < half; l++) sum[l] += sum[l + half];
    return sum[0];
}
INLINE vf v_load_i8(const uint8_t *p) { return (float)(int8_t)*p; }
INLINE vf v_load_half(const uint8_t *p) { return cast_f32_from_bits(cast_f16_to_f32((uint16_t)(p[0] | p[1] << 8))); }
INLINE vf v_load_low4(const uint8_t *p) { return (float)((*p & 15) - 8); }
INLINE vf v_load_high4(const uint8_t *p) { return (float)((*p >> 4) - 8); }
INLINE vf v_power_low(vf low) { return cast_f32_from_bits((cast_f32_bits(low) + 127) << 23); }
INLINE vf v_signed(vf x, vf s) { return copysignf(x, s); }
INLINE vm v_ordered(vf x) { return x == x; }
INLINE bool v_all(vm m) { return m; }
INLINE void v_load_pairs(const float *p, vf *a, vf *b) { *a = p[0], *b = p[1]; }
INLINE void v_store_pairs(float *p, vf a, vf b) { p[0] = a, p[1] = b; }

#endif

/* The first product is exact: |x| is near 1. */
INLINE vf v_scale(vf x, vf n) {
    vf half = v_add(v_mul(n, v_set(0.5f)), v_set(LANES_ROUND));
    vf rest = v_add(v_sub(n, v_sub(half, v_set(LANES_ROUND))), v_set(LANES_ROUND));
    return v_mul(v_mul(x, v_power_low(half)), v_power_low(rest));
}

#endif

/* Horner's rule: c[0] + x (c[1] + x (...)), degree + 1 coefficients. */
INLINE vf v_polynomial(const float *c, int degree, vf x) {
    vf y = v_set(c[degree]);
#pragma GCC unroll 16
    for (int i = degree - 1; i >= 0; i--) y = v_fma(y, x, v_set(c[i]));
    return y;
}

/* e^x = y 2^n with n whole and y within [0.7, 1.42]: n = round(x / ln 2), ln 2 in two parts (Cody, Waite 1980), and a
 * polynomial for |r| <= ln 2 / 2. n comes as it is and in the low bits of *low. |x| < 2^20. */
INLINE vf exp_parts(vf x, vf *n, vf *low) {
    static const float c[] = { 1, 1, 0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558f2p-5f, 0x1.123a2p-7f, 0x1.6a23ccp-10f };
    *low = v_fma(x, v_set(0x1.715476p0f), v_set(LANES_ROUND));
    *n = v_sub(*low, v_set(LANES_ROUND));
    vf r = v_fma(*n, v_set(-0x1.62e43p-1f), x);
    r = v_fma(*n, v_set(0x1.05c61p-29f), r);
    return v_polynomial(c, 6, r);
}

/* Bounds that keep NaN. Below -104 is nothing, above 89 infinity. */
INLINE vf row_exp(vf x) {
    vf n, low, y = exp_parts(v_max(v_set(-104), v_min(v_set(89), x)), &n, &low);
    return v_scale(y, n);
}

/* e^x for x <= 0 as a weight of softmax: 0 below -87, where it would be no normal number. */
INLINE vf row_weight(vf x) {
    vf n, low, y = exp_parts(x, &n, &low);
#if defined(LANES_AVX512)
    (void)low;
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(-87), _CMP_NLT_UQ), y, n);
#else
    return v_pick(v_less(x, v_set(-87)), v_set(0), v_mul(y, v_power_low(low)));
#endif
}

INLINE vf row_tanh(vf x) {
    static const float c[] = { -0x1.555554p-2f, 0x1.11106cp-3f,  -0x1.b9ef7cp-5f,
                               0x1.6394d8p-6f,  -0x1.0c213ep-7f, 0x1.197b62p-9f };
    vf t = v_abs(x), u = v_mul(x, x);
    vf small = v_fma(v_mul(x, u), v_polynomial(c, 5, u), x); /* |x| < 0.625 */
    vf large = v_sub(v_set(1), v_div(v_set(2), v_add(row_exp(v_add(t, t)), v_set(1))));
    return v_pick(v_less(t, v_set(0.625f)), small, v_signed(large, x));
}

INLINE vf row_erf(vf x) {
    static const float c[] = { 0x1.06eba8p-3f, -0x1.81273ep-2f,  0x1.ce2d2p-4f,  -0x1.b7fbb4p-6f,
                               0x1.5419f4p-8f, -0x1.a485e8p-11f, 0x1.4ae4c6p-14f };
    static const float log_erfc[] = { 0x1.8a583ap-13f, -0x1.212c0ep0f,  -0x1.443566p-1f, -0x1.bc151ap-4f,
                                      0x1.9d030ep-6f,  -0x1.138cccp-8f, 0x1.cec632p-12f, -0x1.6bd826p-16f };
    vf t = v_min(v_set(3.95f), v_abs(x)), u = v_mul(x, x);
    vf small = v_fma(x, v_polynomial(c, 6, u), x); /* |x| < 1 */
    vf large = v_sub(v_set(1), row_weight(v_polynomial(log_erfc, 7, t)));
    return v_pick(v_less(t, v_set(1)), small, v_signed(large, x));
}

INLINE vf row_sigmoid(vf x) { return v_div(v_set(1), v_add(v_set(1), row_exp(v_sub(v_set(0), x)))); }

#endif
