/* Activations to integers with AVX-512, as prepare.c says. */
#include "kernels/cast/scalar.h"
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include "kernels/matmul/transpose_avx512.h"
#include <immintrin.h>

/* Lane i: the largest lane of m[i]. */
static inline __m512i largest_of_each(const __m512i m[16]) {
    __m512i two[8], four[4], eight[2];
    for (int i = 0; i < 8; i++)
        two[i] = _mm512_max_epu32(_mm512_unpacklo_epi32(m[2 * i], m[2 * i + 1]),
                                  _mm512_unpackhi_epi32(m[2 * i], m[2 * i + 1]));
    for (int i = 0; i < 4; i++)
        four[i] = _mm512_max_epu32(_mm512_unpacklo_epi64(two[2 * i], two[2 * i + 1]),
                                   _mm512_unpackhi_epi64(two[2 * i], two[2 * i + 1]));
    for (int i = 0; i < 2; i++)
        eight[i] = _mm512_max_epu32(_mm512_shuffle_i32x4(four[2 * i], four[2 * i + 1], 0x88),
                                    _mm512_shuffle_i32x4(four[2 * i], four[2 * i + 1], 0xdd));
    return _mm512_max_epu32(_mm512_shuffle_i32x4(eight[0], eight[1], 0x88),
                            _mm512_shuffle_i32x4(eight[0], eight[1], 0xdd));
}

/* 64 elements, the second 32 with a scale of their own. */
static inline __m512i sixty_four(const float *x, const float *inverse) {
    const __m512 first = _mm512_set1_ps(inverse[0]), second = _mm512_set1_ps(inverse[1]);
    const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), first));
    const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), first));
    const __m512i c = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 32), second));
    const __m512i e = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 48), second));
    /* Packing stays within lanes: 4 of a, 4 of b, c, e, then the next ones. */
    const __m512i v = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, e));
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}

/* Both quadwords of each lane: the sum of its bytes. */
static inline __m512i sums_of_lanes(__m512i v) {
    const __m512i sums = _mm512_sad_epu8(_mm512_xor_si512(v, _mm512_set1_epi8(-128)), _mm512_setzero_si512());
    return _mm512_sub_epi64(_mm512_add_epi64(sums, _mm512_shuffle_epi32(sums, 0x4e)), _mm512_set1_epi64(16 * 128));
}

/* 128 elements, 32 for each scale. */
static inline void put_128(const float *x, const float inverse[4], int8_t *q, int16_t *sums) {
    const __m512i a = sixty_four(x, inverse), b = sixty_four(x + 64, inverse + 2);
    _mm512_storeu_si512(q, a);
    _mm512_storeu_si512(q + 64, b);
    const __m128i both = _mm512_cvtepi64_epi16(_mm512_mask_blend_epi64(0xaa, sums_of_lanes(a), sums_of_lanes(b)));
    const __m128i in_order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    _mm_storeu_si128((__m128i *)sums, _mm_shuffle_epi8(both, in_order));
}

/* Sixteen blocks of 32 at once, scales side by side; false, and nothing done, where one is not finite. */
static inline bool sixteen_blocks(const float *x, int8_t *q, float *d, int16_t *sums) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i m[16];
    for (int i = 0; i < 16; i++)
        m[i] = _mm512_max_epu32(_mm512_and_si512(_mm512_loadu_si512(x + 32 * i), magnitude),
                                _mm512_and_si512(_mm512_loadu_si512(x + 32 * i + 16), magnitude));
    const __m512i most = largest_of_each(m);
    if (_mm512_cmpge_epu32_mask(most, _mm512_set1_epi32(0x7f800000)) != 0) return false;
    const __mmask16 some = _mm512_cmpge_epu32_mask(most, _mm512_set1_epi32(MATMUL_LEAST_BITS));
    const __m512 scale = _mm512_div_ps(_mm512_castsi512_ps(most), _mm512_set1_ps(127));
    float inverse[16];
    _mm512_storeu_ps(d, _mm512_maskz_mov_ps(some, scale));
    _mm512_storeu_ps(inverse, _mm512_maskz_div_ps(some, _mm512_set1_ps(1), scale)); /* 0 makes all of q 0 */
    for (int i = 0; i < 16; i += 4) put_128(x + 32 * i, inverse + i, q + 32 * i, sums + 2 * i);
    return true;
}

void matmul_quantize_avx512(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    for (size_t at = 0; at < n; at += block) {
        while (block == 32 && n - at >= 512 && sixteen_blocks(x + at, q + at, d + at / 32, sums + at / 16)) at += 512;
        if (at == n) return;
        __m512i largest = _mm512_setzero_si512();
        for (size_t i = at; i < at + block; i += 16)
            largest = _mm512_max_epu32(largest, _mm512_and_si512(_mm512_loadu_si512(x + i), magnitude));
        const uint32_t most = _mm512_reduce_max_epu32(largest);
        const float scale = cast_f32_from_bits(most) / 127.0f, inverse = 1.0f / scale;
        const bool zero = most < MATMUL_LEAST_BITS, broken = most >= 0x7f800000;
        const __mmask16 some = zero || broken ? 0 : 0xffff;
        d[at / block] = zero ? 0 : broken ? cast_f32_from_bits(0x7fc00000) : scale;
        const float same = zero ? 0 : inverse, four[4] = { same, same, same, same };
        size_t i = at;
        for (; !broken && i + 128 <= at + block; i += 128) put_128(x + i, four, q + i, sums + i / 16);
        for (; i < at + block; i += 32) {
            __m512i a = _mm512_maskz_cvtps_epi32(some, _mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_set1_ps(inverse)));
            __m512i b =
                _mm512_maskz_cvtps_epi32(some, _mm512_mul_ps(_mm512_loadu_ps(x + i + 16), _mm512_set1_ps(inverse)));
            __m256i v = _mm256_set_m128i(_mm512_cvtepi32_epi8(b), _mm512_cvtepi32_epi8(a));
            _mm256_storeu_si256((__m256i *)(q + i), v);
            __m256i fours = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), v), _mm256_set1_epi16(1));
            fours = _mm256_add_epi32(fours, _mm256_shuffle_epi32(fours, 0x4e));
            fours = _mm256_add_epi32(fours, _mm256_shuffle_epi32(fours, 0xb1));
            sums[i / 16] = (int16_t)_mm256_extract_epi16(fours, 0);
            sums[i / 16 + 1] = (int16_t)_mm256_extract_epi16(fours, 8);
        }
    }
}

/* The part of 16 tokens that lies in one tile: where element 0 of the first of them would be, and its lanes. */
typedef struct share {
    int32_t *to;
    __mmask16 lanes;
} share;

/* The tiles that tokens [first, first + count), at most 16, lie in. */
static size_t shares_of(const matmul_acts *x, size_t first, size_t count, share out[4]) {
    size_t n = 0, i = ((first + 1) * matmul_fours_tiles(x->tokens) - 1) / x->tokens;
    for (size_t t = first; t < first + count; i++) {
        const size_t begin = matmul_fours_begin(x->tokens, i), end = matmul_fours_begin(x->tokens, i + 1);
        const size_t to = end < first + count ? end : first + count;
        const unsigned lanes = (1u << (to - first)) - (1u << (t - first));
        out[n++] = (share){ (int32_t *)x->q_fours + i * x->k * 4 + first - begin, (__mmask16)lanes };
        t = to;
    }
    return n;
}

/* The largest sum of 16 magnitudes of a block. */
static int32_t most_of(const int8_t *q, size_t block) {
    __m512i most = _mm512_setzero_si512();
    for (size_t i = 0; i < block; i += 64) {
        const __m512i magnitude = _mm512_abs_epi8(_mm512_loadu_si512(q + i));
        const __m512i sums = _mm512_sad_epu8(magnitude, _mm512_setzero_si512());
        most = _mm512_max_epu32(most, _mm512_add_epi64(sums, _mm512_shuffle_epi32(sums, 0x4e)));
    }
    return (int32_t)_mm512_reduce_max_epu32(most);
}

void matmul_fours_avx512(const matmul_type *type, const matmul_acts *x, size_t first, size_t count) {
    share shares[4];
    const size_t n = shares_of(x, first, count, shares), width = type->group / 16, groups = x->k / type->group;
    __m512i v[16];
    for (size_t at = 0; at < x->k; at += 64) { /* rows are padded to 64 elements */
        for (size_t t = 0; t < 16; t++)
            v[t] = _mm512_loadu_si512(x->q + (first + (t < count ? t : 0)) * x->q_stride + at);
        transpose(v);
        for (size_t i = 0; i < 16 && at + 4 * i < x->k; i++)
            for (size_t s = 0; s < n; s++)
                _mm512_mask_storeu_epi32(shares[s].to + (at / 4 + i) * 16, shares[s].lanes, v[i]);
    }
    for (size_t b = 0; x->most && b < x->k / x->d_block; b++)
        for (size_t t = 0; t < count; t++)
            ((int32_t *)x->most)[b * x->across + first + t] =
                most_of(x->q + (first + t) * x->q_stride + b * x->d_block, x->d_block);
    for (size_t g = 0; x->first_across && g < groups; g += 16 / width) { /* 16 sums of 16 elements at a time */
        const size_t left = (groups - g) * width;
        const __mmask16 some = left < 16 ? (__mmask16)((1u << left) - 1) : 0xffff;
        for (size_t t = 0; t < 16; t++) {
            const int16_t *row = x->sums + (first + (t < count ? t : 0)) * x->sums_stride + g * width;
            v[t] = _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(some, row));
            if (width == 2) v[t] = _mm512_add_epi32(v[t], _mm512_srli_epi64(v[t], 32)); /* in even lanes */
            v[t] = _mm512_mullo_epi32(v[t], _mm512_set1_epi32(-type->offset));
        }
        transpose(v);
        for (size_t i = 0; i < 16 / width && g + i < groups; i++)
            _mm512_storeu_si512((int32_t *)x->first_across + (g + i) * x->across + first, v[width * i]);
    }
}

#endif
