/* What vector_body.h is written in, for AVX2: a vector is 2 lanes of 128 bits, each of one row.
 *
 * Products of codes and activations are sums of two in 16 bits (vpmaddubsw), which no code up to 63 saturates.
 * The words are those of vector_avx512vnni.h, where they are explained. */
#ifndef KERNELS_MATMUL_VECTOR_AVX2_H
#define KERNELS_MATMUL_VECTOR_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 2
#define ROWS 8

typedef __m256i vi;
typedef __m256 vf;

/* ---- loads ---- */
static inline vi load_lanes(const uint8_t *const *lane, size_t at) {
    __m256i v = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(lane[0] + at)));
    return _mm256_inserti128_si256(v, _mm_loadu_si128((const __m128i *)(lane[1] + at)), 1);
}

static inline void load_lanes_twice(const uint8_t *const *lane, size_t at, vi out[2]) {
    out[0] = load_lanes(lane, at);
    out[1] = load_lanes(lane, at + 16);
}

static inline vi load_same(const void *p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
}

static inline vf load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

static inline vi load_u8_as_i32(const uint8_t *p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

/* ---- bits ---- */
static inline vi zero(void) { return _mm256_setzero_si256(); }
static inline vi set8(int x) { return _mm256_set1_epi8((char)x); }
static inline vi set16(int x) { return _mm256_set1_epi16((short)x); }
static inline vi set32(int x) { return _mm256_set1_epi32(x); }
static inline vi and(vi a, vi b) { return _mm256_and_si256(a, b); }
static inline vi or_and(vi a, vi b, vi mask) { return _mm256_or_si256(a, _mm256_and_si256(b, mask)); }
static inline vi shr16(vi a, int n) { return _mm256_srli_epi16(a, n); }
static inline vi shl16(vi a, int n) { return _mm256_slli_epi16(a, n); }
static inline vi sar16(vi a, int n) { return _mm256_srai_epi16(a, n); }
static inline vi shr32(vi a, int n) { return _mm256_srli_epi32(a, n); }
static inline vi shl32(vi a, int n) { return _mm256_slli_epi32(a, n); }
static inline vi pick8(vi table, vi at) { return _mm256_shuffle_epi8(table, at); }
static inline vi add8_where(vi a, vi bits, vi bit, vi x) {
    vi set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit), bit);
    return _mm256_add_epi8(a, _mm256_and_si256(set, x));
}
static inline vi add8_at_least(vi a, vi b, vi least) {
    return _mm256_sub_epi8(a, _mm256_cmpeq_epi8(_mm256_max_epu8(b, least), b));
}
static inline vi select32_equal(vi a, vi b, vi equal, vi other) {
    return _mm256_blendv_epi8(other, equal, _mm256_cmpeq_epi32(a, b));
}

/* ---- integers ---- */
static inline vi add8(vi a, vi b) { return _mm256_add_epi8(a, b); }
static inline vi mul16(vi a, vi b) { return _mm256_mullo_epi16(a, b); }
static inline vi sub16(vi a, vi b) { return _mm256_sub_epi16(a, b); }
static inline vi add32(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi sub32(vi a, vi b) { return _mm256_sub_epi32(a, b); }
static inline vi mul32(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
static inline vi lo8(vi a, vi b) { return _mm256_unpacklo_epi8(a, b); }
static inline vi hi8(vi a, vi b) { return _mm256_unpackhi_epi8(a, b); }
static inline vi lo16(vi a, vi b) { return _mm256_unpacklo_epi16(a, b); }
static inline vi hi16(vi a, vi b) { return _mm256_unpackhi_epi16(a, b); }
static inline vi lo32(vi a, vi b) { return _mm256_unpacklo_epi32(a, b); }
static inline vi hi32(vi a, vi b) { return _mm256_unpackhi_epi32(a, b); }
static inline vi lo64(vi a, vi b) { return _mm256_unpacklo_epi64(a, b); }
static inline vi hi64(vi a, vi b) { return _mm256_unpackhi_epi64(a, b); }
static inline vi madd16(vi acc, vi a, vi b) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }

static inline vi pairs_small(vi a, vi b) {
    return _mm256_madd_epi16(_mm256_packs_epi32(a, b), _mm256_set1_epi16(1));
}

/* ---- products: parts are words ---- */
static inline vi dot(vi codes, vi x) { return _mm256_maddubs_epi16(codes, x); }
static inline vi dot_add(vi part, vi codes, vi x) { return _mm256_add_epi16(part, _mm256_maddubs_epi16(codes, x)); }
static inline vi widen(vi part) { return _mm256_madd_epi16(part, _mm256_set1_epi16(1)); }

#define SIGNED_OFFSET 0 /* signs need none */
static inline vi offset_codes(vi codes) { return codes; }
static inline vi dot_signed(vi codes, vi x) { /* |codes| by x with their sign: at most 2 * 128 * 127, which fits */
    return _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes));
}
static inline vi dot_signed_add(vi part, vi codes, vi x) { return _mm256_add_epi16(part, dot_signed(codes, x)); }
static inline vi sdot(vi acc, vi codes, vi x) { return _mm256_add_epi32(acc, widen(dot_signed(codes, x))); }

static inline vi scale_pair(vi acc, vi part0, vi part1, vi scales, int pair) {
    vi even = _mm256_set1_epi16((short)(0x0100 + 0x0404 * pair));
    vi odd = _mm256_set1_epi16((short)(0x0302 + 0x0404 * pair));
    acc = madd16(acc, part0, _mm256_shuffle_epi8(scales, even));
    return madd16(acc, part1, _mm256_shuffle_epi8(scales, odd));
}

/* tile_body.h: an integer scale of a row, ready to multiply parts, and the products added to acc. */
static inline int32_t scale_word(int scale) { return (int32_t)((uint32_t)scale << 16 | (uint16_t)scale); }
static inline vi scale_add(vi acc, vi part, vi scale) { return madd16(acc, part, scale); }

/* ---- floats ---- */
static inline vf set_f(float x) { return _mm256_set1_ps(x); }
static inline vf to_f(vi a) { return _mm256_cvtepi32_ps(a); }
static inline vf as_f(vi a) { return _mm256_castsi256_ps(a); }
static inline vf mul_f(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf fma_f(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf fnma_f(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
static inline vf low_f16(vi a) {
    const __m256i low = _mm256_set_epi64x(-1, 0x0d0c090805040100, -1, 0x0d0c090805040100);
    a = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(a, low), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(a));
}
static inline void store_f(float *p, vf a) { _mm256_storeu_ps(p, a); }

#endif
