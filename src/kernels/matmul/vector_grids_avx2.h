/* The matrix-vector product of types with codebooks, with AVX2 (and for processors with AVX-512, too).
 *
 * A codebook is looked up by number, one row after the other, so that a vector holds 32 elements of one row: their
 * codes as bytes, the signs put on the activations instead, products as words by vpmaddubsw (at most 2 * 62 * 127, no
 * saturation), scaled and summed as dwords. Layouts of blocks: codes.c. */
#ifndef KERNELS_MATMUL_VECTOR_GRIDS_AVX2_H
#define KERNELS_MATMUL_VECTOR_GRIDS_AVX2_H

#include "kernels/matmul/vector_avx2.h"
#include "kernels/matmul/vector_grids_words_body.h"

/* What goes with the codes of a block, so that vpshufb finds that of 32 elements by one constant. */
typedef struct grid_parts {
    vi signs[2]; /* of the first and the last 128 elements, a bit each; the same in both lanes */
    vi scales;   /* word g of lane h: of elements 32 g + 16 h and on */
} grid_parts;

ALWAYS vi both_lanes(__m128i v) { return _mm256_broadcastsi128_si256(v); }

ALWAYS __m128i load_low(const void *p) { return _mm_loadl_epi64(p); } /* 8 bytes */

ALWAYS vi odd_of(vi v) { return add32(shl16(v, 1), set16(1)); } /* small words: 2 v + 1 */

ALWAYS void set_signs(grid_parts *p, vi bytes) {
    p->signs[0] = _mm256_permute2x128_si256(bytes, bytes, 0x00);
    p->signs[1] = _mm256_permute2x128_si256(bytes, bytes, 0x11);
}

/* Seven signs in each byte, and the eighth that makes the number of minuses even. */
ALWAYS void set_seven_signs(grid_parts *p, vi sevens) {
    static const uint8_t odd_bits[16] = { 0, 128, 128, 0, 128, 0, 0, 128, 128, 0, 0, 128, 0, 128, 128, 0 };
    vi low = pick8(load_same(odd_bits), and(sevens, set8(15)));
    vi high = pick8(load_same(odd_bits), and(shr16(sevens, 4), set8(15)));
    set_signs(p, _mm256_or_si256(sevens, _mm256_xor_si256(low, high)));
}

/* Dword g: four times seven signs of 8 elements, and above them a scale of four bits. */
ALWAYS void set_sevens(grid_parts *p, vi rest) {
    vi sevens = and(rest, set32(0x7f));
    sevens = or_and(sevens, shl32(rest, 1), set32(0x7f00));
    sevens = or_and(sevens, shl32(rest, 2), set32(0x7f0000));
    sevens = or_and(sevens, shl32(rest, 3), set32(0x7f000000));
    set_seven_signs(p, sevens);
    vi scales = shr32(rest, 28);
    __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(scales), _mm256_extracti128_si256(scales, 1));
    p->scales = odd_of(both_lanes(words));
}

/* Scales of four bits, two a byte: of 16 elements each. */
ALWAYS void set_nibbles(grid_parts *p, const uint8_t scales[8]) {
    __m128i words = _mm_cvtepu8_epi16(load_low(scales));
    vi both = _mm256_inserti128_si256(_mm256_castsi128_si256(words), _mm_srli_epi16(words, 4), 1);
    p->scales = odd_of(and(both, set16(15)));
}

/* The products of elements 32 `group` and on, words, by their scales, to dwords. */
ALWAYS vi scaled(vi acc, vi words, const grid_parts *p, int group) {
    return madd16(acc, words, pick8(p->scales, set16(0x0100 + 0x0202 * group)));
}

/* Codes without signs of elements 32 `group` and on. */
ALWAYS vi signed_product(vi acc, vi codes, const int8_t *q, const grid_parts *p, int group) {
    const vi spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const vi bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    vi signs = pick8(p->signs[group / 4], add8(spread, set8(4 * (group % 4))));
    vi minus = _mm256_cmpeq_epi8(and(signs, bit), bit);
    vi x = _mm256_loadu_si256((const __m256i *)(q + 32 * group));
    x = _mm256_sub_epi8(_mm256_xor_si256(x, minus), minus);
    return scaled(acc, dot(codes, x), p, group);
}

ALWAYS vi four(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    return _mm256_setr_epi64x((long long)a, (long long)b, (long long)c, (long long)d);
}

static inline vi grid_block_iq2_xxs(const uint8_t *b, const acts *x) {
    grid_parts p;
    __m256 first = _mm256_loadu_ps((const float *)(const void *)(b + 2));
    __m256 last = _mm256_loadu_ps((const float *)(const void *)(b + 34));
    vi odd = _mm256_castps_si256(_mm256_shuffle_ps(first, last, 0xdd));
    set_sevens(&p, _mm256_permute4x64_epi64(odd, 0xd8));
    vi acc = zero();
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        const uint8_t *at = b + 2 + 8 * g;
        acc = signed_product(acc, four(grid_iq2_xxs[at[0]], grid_iq2_xxs[at[1]], grid_iq2_xxs[at[2]],
                                       grid_iq2_xxs[at[3]]), x->q, &p, g);
    }
    return acc;
}

static inline vi grid_block_iq2_xs(const uint8_t *b, const acts *x) {
    grid_parts p;
    set_nibbles(&p, b + 66);
    vi first = _mm256_loadu_si256((const __m256i *)(b + 2)), last = _mm256_loadu_si256((const __m256i *)(b + 34));
    set_seven_signs(&p, _mm256_permute4x64_epi64(_mm256_packus_epi16(shr16(first, 9), shr16(last, 9)), 0xd8));
    vi acc = zero();
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        const uint8_t *at = b + 2 + 8 * g;
        acc = signed_product(acc, four(grid_iq2_xs[word_at(at) & 511], grid_iq2_xs[word_at(at + 2) & 511],
                                       grid_iq2_xs[word_at(at + 4) & 511], grid_iq2_xs[word_at(at + 6) & 511]),
                             x->q, &p, g);
    }
    return acc;
}

static inline vi grid_block_iq2_s(const uint8_t *b, const acts *x) {
    grid_parts p;
    set_nibbles(&p, b + 74);
    set_signs(&p, _mm256_loadu_si256((const __m256i *)(b + 34)));
    vi acc = zero();
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        const uint8_t *at = b + 2 + 4 * g;
        const unsigned high = b[66 + g];
        acc = signed_product(acc, four(grid_iq2_s[at[0] | (high << 8 & 0x300)], grid_iq2_s[at[1] | (high << 6 & 0x300)],
                                       grid_iq2_s[at[2] | (high << 4 & 0x300)],
                                       grid_iq2_s[at[3] | (high << 2 & 0x300)]), x->q, &p, g);
    }
    return acc;
}

static inline vi grid_block_iq3_xxs(const uint8_t *b, const acts *x) {
    grid_parts p;
    set_sevens(&p, _mm256_loadu_si256((const __m256i *)(b + 66)));
    vi acc = zero();
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        const uint8_t *at = b + 2 + 8 * g;
        uint64_t eight[4];
        for (int i = 0; i < 4; i++) eight[i] = two(grid_iq3_xxs[at[2 * i]], grid_iq3_xxs[at[2 * i + 1]]);
        acc = signed_product(acc, four(eight[0], eight[1], eight[2], eight[3]), x->q, &p, g);
    }
    return acc;
}

static inline vi grid_block_iq3_s(const uint8_t *b, const acts *x) {
    grid_parts p;
    uint32_t scales;
    memcpy(&scales, b + 106, sizeof scales);
    __m128i low = _mm_cvtsi32_si128((int)(scales & 0x0f0f0f0f));
    __m128i high = _mm_cvtsi32_si128((int)(scales >> 4 & 0x0f0f0f0f));
    p.scales = odd_of(both_lanes(_mm_cvtepu8_epi16(_mm_unpacklo_epi8(low, high))));
    set_signs(&p, _mm256_loadu_si256((const __m256i *)(b + 74)));
    vi acc = zero();
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        const uint8_t *at = b + 2 + 8 * g;
        const unsigned ninth = b[66 + g];
        uint64_t eight[4];
        for (int i = 0; i < 4; i++)
            eight[i] = two(grid_iq3_s[at[2 * i] | (ninth << (8 - 2 * i) & 0x100)],
                           grid_iq3_s[at[2 * i + 1] | (ninth << (7 - 2 * i) & 0x100)]);
        acc = signed_product(acc, four(eight[0], eight[1], eight[2], eight[3]), x->q, &p, g);
    }
    return acc;
}

/* By the sums of 16 activations: words of which lane 0 has the first eight. */
ALWAYS vi by_all_sums(vi words, const acts *x) {
    return _mm256_madd_epi16(words, _mm256_loadu_si256((const __m256i *)x->sums));
}

/* Codes 8 e + s, where e are entries of -1, 0 and 1, s 1 or -1, the same for 32 elements: 8 (e + 1), and s - 8 by the
 * sums of the activations. */
static inline vi grid_block_iq1_s(const uint8_t *b, const acts *x) {
    grid_parts p;
    const __m128i heads = _mm_loadu_si128((const __m128i *)(b + 34));
    p.scales = odd_of(both_lanes(_mm_and_si128(_mm_srli_epi16(heads, 12), _mm_set1_epi16(7))));
    vi acc = zero();
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        const uint8_t *at = b + 2 + 4 * g;
        const unsigned head = word_at(b + 34 + 2 * g);
        vi entries = four(grid_iq1[at[0] | (head << 8 & 0x700)], grid_iq1[at[1] | (head << 5 & 0x700)],
                          grid_iq1[at[2] | (head << 2 & 0x700)], grid_iq1[at[3] | (head >> 1 & 0x700)]);
        vi codes = add8(entries, set8(1));
        acc = scaled(acc, dot(codes, _mm256_loadu_si256((const __m256i *)(x->q + 32 * g))), &p, g);
    }
    __m128i less = _mm_sub_epi16(_mm_or_si128(_mm_srai_epi16(heads, 15), _mm_set1_epi16(1)), _mm_set1_epi16(8));
    less = _mm_mullo_epi16(less, _mm256_castsi256_si128(p.scales));
    vi words = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi16(less, less)),
                                       _mm_unpackhi_epi16(less, less), 1);
    return add32(shl32(acc, 3), by_all_sums(words, x));
}

/* Codes 8 e + s, s 1 or -1 of each eight elements: twice 4 (e + 1) + (s + 1) / 2, and -9 by the sums of the
 * activations. */
static inline vi grid_block_iq1_m(const uint8_t *b, const acts *x) {
    /* word g of lane h: bits 3 (2 g + h) % 4 and on of word g / 2, moved to the top */
    static const uint8_t twice[16] = { 0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7 };
    const vi up = four(0x0080200000802000, 0x0080200000802000, 0x0010040000100400, 0x0010040000100400);
    grid_parts p;
    p.scales = odd_of(shr16(mul16(pick8(both_lanes(load_low(b + 48)), load_same(twice)), up), 13));
    const __m128i heads = _mm_loadu_si128((const __m128i *)(b + 32)); /* four nibbles a word */
    const vi spread = four(0, 0, 0x0101010101010101, 0x0101010101010101);
    const vi bit = four(0x0808080808080808, 0x8080808080808080, 0x0808080808080808, 0x8080808080808080);
    vi acc = zero();
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        const uint8_t *at = b + 4 * g;
        const unsigned head = word_at(b + 32 + 2 * g);
        vi entries = four(grid_iq1[at[0] | (head << 8 & 0x700)], grid_iq1[at[1] | (head << 4 & 0x700)],
                          grid_iq1[at[2] | (head & 0x700)], grid_iq1[at[3] | (head >> 4 & 0x700)]);
        vi minus = and(pick8(both_lanes(heads), add8(spread, set8(2 * g))), bit);
        vi plus = _mm256_cmpeq_epi8(minus, zero()); /* -1 where s is 1 */
        vi codes = _mm256_sub_epi8(shl16(add8(entries, set8(1)), 2), plus);
        acc = scaled(acc, dot(codes, _mm256_loadu_si256((const __m256i *)(x->q + 32 * g))), &p, g);
    }
    const __m128i even = _mm256_castsi256_si128(p.scales), odd = _mm256_extracti128_si256(p.scales, 1);
    vi words = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi16(even, odd)),
                                       _mm_unpackhi_epi16(even, odd), 1);
    return add32(shl32(acc, 1), by_all_sums(mul16(words, set16(-9)), x));
}

/* Of rows (., j), each in its lane. */
ALWAYS vi grid_rows(grid_fn block, const rows *r, size_t j, const acts *x) {
    vi row0 = block(row_at(r, 0, j), x), row1 = block(row_at(r, 1, j), x);
    return add32(_mm256_permute2x128_si256(row0, row1, 0x20), _mm256_permute2x128_si256(row0, row1, 0x31));
}

#include "kernels/matmul/vector_grids_body.h"

#endif
