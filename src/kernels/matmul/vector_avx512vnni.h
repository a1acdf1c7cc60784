/* What vector_body.h is written in, for AVX-512 with VNNI: a vector is 4 lanes of 128 bits, each of one row. */
#ifndef KERNELS_MATMUL_VECTOR_AVX512VNNI_H
#define KERNELS_MATMUL_VECTOR_AVX512VNNI_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 4
#define ROWS 16

typedef __m512i vi; /* bytes, words or dwords */
typedef __m512 vf;

/* ---- loads ---- */
static inline vi load_lanes(const uint8_t *const *lane, size_t at) {
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(lane[0] + at)));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(lane[1] + at)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(lane[2] + at)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(lane[3] + at)), 3);
}

/* The same of 32 bytes, in fewer steps than two of those. */
static inline void load_lanes_twice(const uint8_t *const *lane, size_t at, vi out[2]) {
    __m512i v[2];
    for (int i = 0; i < 2; i++)
        v[i] = _mm512_inserti64x4(
            _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(lane[2 * i] + at))),
            _mm256_loadu_si256((const __m256i *)(lane[2 * i + 1] + at)), 1);
    out[0] = _mm512_shuffle_i32x4(v[0], v[1], 0x88);
    out[1] = _mm512_shuffle_i32x4(v[0], v[1], 0xdd);
}

static inline vi load_same(const void *p) { /* 16 bytes to every lane */
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p));
}

static inline vf load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

static inline vi load_u8_as_i32(const uint8_t *p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}

/* ---- bits ---- */
static inline vi zero(void) { return _mm512_setzero_si512(); }
static inline vi set8(int x) { return _mm512_set1_epi8((char)x); }
static inline vi set16(int x) { return _mm512_set1_epi16((short)x); }
static inline vi set32(int x) { return _mm512_set1_epi32(x); }
static inline vi and(vi a, vi b) { return _mm512_and_si512(a, b); }
static inline vi or(vi a, vi b) { return _mm512_or_si512(a, b); }
static inline vi or_and(vi a, vi b, vi mask) { return _mm512_ternarylogic_epi64(a, b, mask, 0xf8); } /* a | b & mask */
static inline vi shr16(vi a, int n) { return _mm512_srli_epi16(a, (unsigned)n); }
static inline vi shl16(vi a, int n) { return _mm512_slli_epi16(a, (unsigned)n); }
static inline vi sar16(vi a, int n) { return _mm512_srai_epi16(a, (unsigned)n); }
static inline vi shr32(vi a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
static inline vi shl32(vi a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
static inline vi pick8(vi table, vi at) { return _mm512_shuffle_epi8(table, at); } /* in the lane; 0x80: zero */
static inline vi add8_where(vi a, vi bits, vi mask, vi x) { /* a + x where any bit of the mask is set */
    return _mm512_mask_add_epi8(a, _mm512_test_epi8_mask(bits, mask), a, x);
}
static inline vi add8_at_least(vi a, vi b, vi least) { /* a + (b >= least), unsigned */
    return _mm512_mask_add_epi8(a, _mm512_cmpge_epu8_mask(b, least), a, _mm512_set1_epi8(1));
}
static inline vi select32_equal(vi a, vi b, vi equal, vi other) { /* a == b ? equal : other */
    return _mm512_mask_blend_epi32(_mm512_cmpeq_epi32_mask(a, b), other, equal);
}

/* ---- integers ---- */
static inline vi add8(vi a, vi b) { return _mm512_add_epi8(a, b); }
static inline vi sub8(vi a, vi b) { return _mm512_sub_epi8(a, b); }
static inline vi mul16(vi a, vi b) { return _mm512_mullo_epi16(a, b); }
static inline vi sub16(vi a, vi b) { return _mm512_sub_epi16(a, b); }
static inline vi add32(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi sub32(vi a, vi b) { return _mm512_sub_epi32(a, b); }
static inline vi mul32(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
static inline vi lo8(vi a, vi b) { return _mm512_unpacklo_epi8(a, b); }
static inline vi hi8(vi a, vi b) { return _mm512_unpackhi_epi8(a, b); }
static inline vi lo16(vi a, vi b) { return _mm512_unpacklo_epi16(a, b); }
static inline vi hi16(vi a, vi b) { return _mm512_unpackhi_epi16(a, b); }
static inline vi lo32(vi a, vi b) { return _mm512_unpacklo_epi32(a, b); }
static inline vi hi32(vi a, vi b) { return _mm512_unpackhi_epi32(a, b); }
static inline vi lo64(vi a, vi b) { return _mm512_unpacklo_epi64(a, b); }
static inline vi hi64(vi a, vi b) { return _mm512_unpackhi_epi64(a, b); }

/* acc + a[2i] b[2i] + a[2i + 1] b[2i + 1], words to dwords */
static inline vi madd16(vi acc, vi a, vi b) {
    return _mm512_dpwssd_epi32(acc, a, b);
}

/* In each lane the sums of neighbouring dwords of a, then of b; dwords and sums fit 16 bits. */
static inline vi pairs_small(vi a, vi b) {
    return _mm512_madd_epi16(_mm512_packs_epi32(a, b), _mm512_set1_epi16(1));
}

/* ---- products ----
 * Of codes (unsigned, up to 63) and activations. A part is what a run of them leaves until `widen`, to dwords, or
 * `scale_pair`: here dwords, sums of four (vpdpbusd), with AVX2 words, sums of two. */
static inline vi dot(vi codes, vi x) {
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes, x);
}

static inline vi dot_add(vi part, vi codes, vi x) {
    return _mm512_dpbusd_epi32(part, codes, x);
}

static inline vi widen(vi part) {
    return part;
}

/* Codes of 8 bits with a sign. SIGNED_OFFSET is what has been added to them when `sdot` is given codes of a table; the
 * caller takes SIGNED_OFFSET times the sum of the activations off. */
#define SIGNED_OFFSET 128
static inline vi offset_codes(vi codes) { return _mm512_xor_si512(codes, _mm512_set1_epi8((char)0x80)); }
static inline vi sdot(vi acc, vi codes, vi x) { return _mm512_dpbusd_epi32(acc, codes, x); }

/* acc + part0 * scale[2 pair] + part1 * scale[2 pair + 1], scales as words in the row's lane. Parts fit 16 bits:
 * that of q6_k is at most 4 * 63 * 127, that of q5_k 8 * 31 * 127. */
static inline vi scale_pair(vi acc, vi part0, vi part1, vi scales, int pair) {
    const __m512i even = _mm512_set1_epi16((short)(0x0100 + 0x0404 * pair));
    const __m512i which = _mm512_add_epi8(even, _mm512_set_epi64(0x0202020202020202, 0, 0x0202020202020202, 0,
                                                                  0x0202020202020202, 0, 0x0202020202020202, 0));
    return _mm512_dpwssd_epi32(acc, _mm512_packs_epi32(part0, part1), _mm512_shuffle_epi8(scales, which));
}

/* ---- floats ---- */
static inline vf set_f(float x) { return _mm512_set1_ps(x); }
static inline vf to_f(vi a) { return _mm512_cvtepi32_ps(a); }
static inline vf as_f(vi a) { return _mm512_castsi512_ps(a); }
static inline vf mul_f(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf fma_f(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a b + c */
static inline vf fnma_f(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* -a b + c */
static inline vf low_f16(vi a) { /* the low half of each dword */
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a));
}
static inline void store_f(float *p, vf a) { _mm512_storeu_ps(p, a); }

#endif
