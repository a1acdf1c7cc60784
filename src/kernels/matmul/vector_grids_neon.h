/* The matrix-vector product of types with codebooks, with NEON.
 *
 * A codebook is looked up by number, one row after the other, so that a vector holds 16 elements of one row: their
 * codes as bytes with their signs, products as dwords, scaled and summed. Layouts of blocks: codes.c. */
#ifndef KERNELS_MATMUL_VECTOR_GRIDS_NEON_H
#define KERNELS_MATMUL_VECTOR_GRIDS_NEON_H

#include "kernels/matmul/vector_neon.h"
#include "kernels/matmul/vector_grids_words_body.h"

/* What goes with the codes of a block. */
typedef struct grid_parts {
    vi signs[2];         /* of the first and the last 128 elements, a bit each */
    uint16_t scales[16]; /* of each 16 elements */
} grid_parts;

static const uint8_t grid_spread[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 };
static const uint8_t grid_bit[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };

ALWAYS uint16x8_t odd_of(uint16x8_t v) { return vaddq_u16(vaddq_u16(v, v), vdupq_n_u16(1)); } /* 2 v + 1 */

/* Scales of each 16 elements, or of each 32. */
ALWAYS void set_scales(grid_parts *p, uint16x8_t first, uint16x8_t last) {
    vst1q_u16(p->scales, odd_of(first));
    vst1q_u16(p->scales + 8, odd_of(last));
}
ALWAYS void set_wide_scales(grid_parts *p, uint16x8_t v) { set_scales(p, vzip1q_u16(v, v), vzip2q_u16(v, v)); }

/* Seven signs in each byte, and the eighth that makes the number of minuses even. */
ALWAYS vi eight_of_seven(vi sevens) { return of_u8(vorrq_u8(u8(sevens), vshlq_n_u8(vcntq_u8(u8(sevens)), 7))); }

/* Dwords: four times seven signs of 8 elements, and above them a scale of four bits. */
ALWAYS vi signs_of_sevens(vi rest) {
    vi sevens = and(rest, set32(0x7f));
    sevens = or_and(sevens, shl32(rest, 1), set32(0x7f00));
    sevens = or_and(sevens, shl32(rest, 2), set32(0x7f0000));
    return eight_of_seven(or_and(sevens, shl32(rest, 3), set32(0x7f000000)));
}

ALWAYS void set_sevens(grid_parts *p, vi first, vi last) {
    p->signs[0] = signs_of_sevens(first);
    p->signs[1] = signs_of_sevens(last);
    set_wide_scales(p, vcombine_u16(vmovn_u32(vshrq_n_u32(u32(first), 28)), vmovn_u32(vshrq_n_u32(u32(last), 28))));
}

/* Nibbles, the low ones first. */
ALWAYS uint16x8_t nibbles(uint8x8_t low, uint8x8_t high, bool last) {
    return vmovl_u8(last ? vzip2_u8(low, high) : vzip1_u8(low, high));
}

/* Scales of four bits, two a byte: of 16 elements each. */
ALWAYS void set_nibbles(grid_parts *p, const uint8_t scales[8]) {
    const uint8x8_t v = vld1_u8(scales), low = vand_u8(v, vdup_n_u8(15)), high = vshr_n_u8(v, 4);
    set_scales(p, nibbles(low, high, false), nibbles(low, high, true));
}

/* Codes of elements 16 e and on by their activations and scale, added to acc. */
ALWAYS vi scaled(vi acc, vi codes, const int8_t *q, const grid_parts *p, size_t e) {
    return vmlaq_n_s32(acc, dot(codes, load_same(q + 16 * e)), p->scales[e]);
}

/* The same of codes without their signs. */
ALWAYS vi signed_product(vi acc, vi codes, const int8_t *q, const grid_parts *p, size_t e) {
    const vi bytes = pick8(p->signs[e / 8], add8(load_same(grid_spread), set8(2 * (int)(e % 8))));
    const int8x16_t minus = vreinterpretq_s8_u8(vtstq_u8(u8(bytes), vld1q_u8(grid_bit)));
    return scaled(acc, of_s8(vsubq_s8(veorq_s8(s8(codes), minus), minus)), q, p, e);
}

/* Codes 8 e + s: entries of -1, 0 and 1, and s -1 where a bit of `signs` is set, else 1. */
ALWAYS vi shifted_product(vi acc, vi entries, unsigned signs, uint8x16_t bits, const int8_t *q, const grid_parts *p,
                          size_t e) {
    const int8x16_t minus = vreinterpretq_s8_u8(vtstq_u8(vdupq_n_u8((uint8_t)signs), bits));
    const int8x16_t s = vorrq_s8(minus, vdupq_n_s8(1));
    return scaled(acc, of_s8(vaddq_s8(vshlq_n_s8(s8(entries), 3), s)), q, p, e);
}

ALWAYS vi entries(uint64_t a, uint64_t b) { return of_u8(vcombine_u8(vcreate_u8(a), vcreate_u8(b))); }

static inline vi grid_block_iq2_xxs(const uint8_t *b, const acts *x) {
    grid_parts p;
    set_sevens(&p, of_u32(vuzp2q_u32(u32(load_same(b + 2)), u32(load_same(b + 18)))),
               of_u32(vuzp2q_u32(u32(load_same(b + 34)), u32(load_same(b + 50)))));
    vi acc = zero();
#pragma GCC unroll 16
    for (size_t e = 0; e < 16; e++) {
        const uint8_t *at = b + 2 + e / 2 * 8 + e % 2 * 2;
        acc = signed_product(acc, entries(grid_iq2_xxs[at[0]], grid_iq2_xxs[at[1]]), x->q, &p, e);
    }
    return acc;
}

/* The high bytes of 16 words. */
ALWAYS vi high_bytes(const uint8_t *words) {
    return of_u8(vuzp2q_u8(u8(load_same(words)), u8(load_same(words + 16))));
}

static inline vi grid_block_iq2_xs(const uint8_t *b, const acts *x) {
    grid_parts p;
    set_nibbles(&p, b + 66);
    for (size_t h = 0; h < 2; h++)
        p.signs[h] = eight_of_seven(of_u8(vshrq_n_u8(u8(high_bytes(b + 2 + 32 * h)), 1)));
    vi acc = zero();
#pragma GCC unroll 16
    for (size_t e = 0; e < 16; e++) {
        const uint8_t *at = b + 2 + 4 * e;
        acc = signed_product(acc, entries(grid_iq2_xs[word_at(at) & 511], grid_iq2_xs[word_at(at + 2) & 511]), x->q,
                             &p, e);
    }
    return acc;
}

static inline vi grid_block_iq2_s(const uint8_t *b, const acts *x) {
    grid_parts p;
    set_nibbles(&p, b + 74);
    p.signs[0] = load_same(b + 34);
    p.signs[1] = load_same(b + 50);
    vi acc = zero();
#pragma GCC unroll 16
    for (size_t e = 0; e < 16; e++) {
        const uint8_t *at = b + 2 + 2 * e;
        const unsigned high = (unsigned)b[66 + e / 2] >> e % 2 * 4;
        acc = signed_product(acc, entries(grid_iq2_s[at[0] | (high << 8 & 0x300)],
                                          grid_iq2_s[at[1] | (high << 6 & 0x300)]), x->q, &p, e);
    }
    return acc;
}

static inline vi grid_block_iq3_xxs(const uint8_t *b, const acts *x) {
    grid_parts p;
    set_sevens(&p, load_same(b + 66), load_same(b + 82));
    vi acc = zero();
#pragma GCC unroll 16
    for (size_t e = 0; e < 16; e++) {
        const uint8_t *at = b + 2 + 4 * e;
        acc = signed_product(acc, entries(two(grid_iq3_xxs[at[0]], grid_iq3_xxs[at[1]]),
                                          two(grid_iq3_xxs[at[2]], grid_iq3_xxs[at[3]])), x->q, &p, e);
    }
    return acc;
}

static inline vi grid_block_iq3_s(const uint8_t *b, const acts *x) {
    grid_parts p;
    uint32_t scales;
    memcpy(&scales, b + 106, sizeof scales);
    const uint8x8_t four = vreinterpret_u8_u32(vdup_n_u32(scales));
    set_wide_scales(&p, nibbles(vand_u8(four, vdup_n_u8(15)), vshr_n_u8(four, 4), false));
    p.signs[0] = load_same(b + 74);
    p.signs[1] = load_same(b + 90);
    vi acc = zero();
#pragma GCC unroll 16
    for (size_t e = 0; e < 16; e++) {
        const uint8_t *at = b + 2 + 4 * e;
        const unsigned ninth = (unsigned)b[66 + e / 2] >> e % 2 * 4;
        uint32_t entry[4];
        for (int i = 0; i < 4; i++) entry[i] = grid_iq3_s[at[i] | (ninth << (8 - i) & 0x100)];
        acc = signed_product(acc, entries(two(entry[0], entry[1]), two(entry[2], entry[3])), x->q, &p, e);
    }
    return acc;
}

/* The same s for 32 elements. */
static inline vi grid_block_iq1_s(const uint8_t *b, const acts *x) {
    grid_parts p;
    const uint16x8_t heads = u16(load_same(b + 34));
    set_wide_scales(&p, vandq_u16(vshrq_n_u16(heads, 12), vdupq_n_u16(7)));
    vi acc = zero();
#pragma GCC unroll 16
    for (size_t e = 0; e < 16; e++) {
        const uint8_t *at = b + 2 + 2 * e;
        const unsigned head = word_at(b + 34 + e / 2 * 2), high = head >> e % 2 * 6;
        acc = shifted_product(acc, entries(grid_iq1[at[0] | (high << 8 & 0x700)],
                                           grid_iq1[at[1] | (high << 5 & 0x700)]),
                              head >> 8, vdupq_n_u8(0x80), x->q, &p, e);
    }
    return acc;
}

/* Four scales of three bits in a word. */
ALWAYS uint16x8_t threes(uint16x4_t first, uint16x4_t second) {
    static const int16_t down[8] = { 0, -3, -6, -9, 0, -3, -6, -9 };
    return vandq_u16(vshlq_u16(vcombine_u16(first, second), vld1q_s16(down)), vdupq_n_u16(7));
}

/* An s for each eight elements. */
static inline vi grid_block_iq1_m(const uint8_t *b, const acts *x) {
    grid_parts p;
    const uint16x4_t words = vreinterpret_u16_u8(vld1_u8(b + 48));
    set_scales(&p, threes(vdup_lane_u16(words, 0), vdup_lane_u16(words, 1)),
               threes(vdup_lane_u16(words, 2), vdup_lane_u16(words, 3)));
    const uint8x16_t bits = vcombine_u8(vdup_n_u8(0x08), vdup_n_u8(0x80));
    vi acc = zero();
#pragma GCC unroll 16
    for (size_t e = 0; e < 16; e++) {
        const unsigned head = b[32 + e];
        acc = shifted_product(acc, entries(grid_iq1[b[2 * e] | (head << 8 & 0x700)],
                                           grid_iq1[b[2 * e + 1] | (head << 4 & 0x700)]), head, bits, x->q, &p, e);
    }
    return acc;
}

ALWAYS vi grid_rows(grid_fn block, const rows *r, size_t j, const acts *x) { return block(row_at(r, 0, j), x); }

#include "kernels/matmul/vector_grids_body.h"

#endif
