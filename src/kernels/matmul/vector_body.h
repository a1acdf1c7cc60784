/* The matrix-vector product of block types, written once in the words of vector_avx512vnni.h, vector_avx2.h and
 * vector_neon.h; a file of an instruction set includes one of them and then this. Layouts of blocks: codes.c.
 *
 * Floats run in order of k within a row (matmul.h), so ROWS rows are taken at a time and a vector of floats holds one
 * number a row. Integers are exact in any order: a vector of codes holds 16 bytes of LANES rows, four such vectors make
 * ROWS, products are summed within each row's lane, and `sum4` adds the four dwords of every lane while it turns the
 * four vectors into one with a dword a row. Row (i, j) is lane i of vector j, dword j of lane i.
 *
 * The rows of a step are far apart: each of ROWS runs of rows is walked from end to end, a line at a time, which a
 * processor's prefetcher follows like so many plain reads. Neighbouring rows would be walked in pieces of a few
 * kilobytes, which it cannot: two thirds of the speed. */
#ifndef KERNELS_MATMUL_VECTOR_BODY_H
#define KERNELS_MATMUL_VECTOR_BODY_H

#include "kernels/dequantize/grids.h"
#include "kernels/matmul/matmul_kernels.h"

#define ALWAYS static inline __attribute__((always_inline))

enum {
    AHEAD = 768,  /* bytes from what is read to what is asked for, in each run */
    EARLY = 8,    /* blocks before their use scales are collected, so that these stores are long done */
    LINE = 64
};

/* ---- rows ---- */

typedef struct rows {
    const uint8_t *base[LANES];
    size_t step[4];
    unsigned odd; /* blocks gone over */
} rows;           /* row (i, j) is at base[i] + step[j] */

ALWAYS const uint8_t *row_at(const rows *r, size_t i, size_t j) {
    return r->base[i] + r->step[j];
}

/* 16 bytes of the rows (., j). */
ALWAYS vi load16(const rows *r, size_t j, size_t at) {
    return load_lanes(r->base, r->step[j] + at);
}

/* 16 and the next 16. */
ALWAYS void load32(const rows *r, size_t j, size_t at, vi out[2]) {
    load_lanes_twice(r->base, r->step[j] + at, out);
}

/* 2 bytes of each row. */
ALWAYS void collect16(const rows *r, size_t at, uint16_t out[ROWS]) {
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < 4; j++) memcpy(&out[4 * i + j], row_at(r, i, j) + at, sizeof *out);
}

ALWAYS void collect8(const rows *r, size_t at, uint8_t out[ROWS]) {
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < 4; j++) out[4 * i + j] = row_at(r, i, j)[at];
}

/* Goes on by a block and asks for the lines AHEAD, with every second one of small blocks. That is more often than once
 * a line; asking exactly once was a tenth slower. */
ALWAYS void rows_advance(rows *r, size_t bytes) {
    r->odd ^= 1;
    if (r->odd || bytes * 2 > LINE)
        for (size_t at = 0; at < bytes; at += LINE)
            for (size_t i = 0; i < LANES; i++)
                for (size_t j = 0; j < 4; j++) __builtin_prefetch(row_at(r, i, j) + AHEAD + at, 0, 2);
    for (size_t i = 0; i < LANES; i++) r->base[i] += bytes;
}

/* Asks for the line AHEAD of byte `at` of the rows (., j). Types of large blocks do so between their products: all
 * lines of a block at once would wait for one another, and the products behind them. */
ALWAYS void ask(const rows *r, size_t j, size_t at) {
    for (size_t i = 0; i < LANES; i++) __builtin_prefetch(row_at(r, i, j) + AHEAD + at, 0, 3);
}

/* ---- sums ---- */

/* Row (i, j): the sum of the dwords of lane i of v[j]. */
ALWAYS vi sum4(const vi v[4]) {
    vi ab = add32(lo32(v[0], v[1]), hi32(v[0], v[1]));
    vi cd = add32(lo32(v[2], v[3]), hi32(v[2], v[3]));
    return add32(lo64(ab, cd), hi64(ab, cd));
}

/* The same where those, and the sums of two of them, fit 16 bits. */
ALWAYS vi sum4_small(const vi v[4]) {
    return pairs_small(pairs_small(v[0], v[1]), pairs_small(v[2], v[3]));
}

/* Row (i, j): dword n of lane i of v[j]. */
ALWAYS vi dwords(const vi v[4], int n) {
    vi ab = n < 2 ? lo32(v[0], v[1]) : hi32(v[0], v[1]);
    vi cd = n < 2 ? lo32(v[2], v[3]) : hi32(v[2], v[3]);
    return n % 2 ? hi64(ab, cd) : lo64(ab, cd);
}

/* ---- the run over rows ---- */

/* The activations of one token, from some element on, as in matmul_acts. */
typedef struct acts {
    const int8_t *q;
    const float *d;
    const int16_t *sums;
    const int32_t *first;
} acts;

typedef vf (*step_fn)(rows r, acts x, size_t blocks);

ALWAYS void run_rows(const uint8_t *w, size_t row_bytes, const matmul_acts *x, size_t token, float *y, size_t count,
                     size_t block_elements, step_fn step) {
    const acts from = { x->q + token * x->q_stride, x->d + token * x->d_stride, x->sums + token * x->sums_stride,
                        x->first ? x->first + token * x->first_stride : NULL };
    for (size_t first = 0; first < count;) {
        size_t left = count - first, apart = matmul_apart(left, ROWS);
        for (size_t n = 0; n < apart; n++, first++) {
            /* where fewer than ROWS rows are left, the last one is taken several times */
            size_t last = left - 1 < (ROWS - 1) * apart ? left - 1 : (ROWS - 1) * apart, row[LANES];
            rows r = { .odd = 0 };
            for (size_t j = 0; j < 4; j++) r.step[j] = (j * apart < last ? j * apart : last) * row_bytes;
            for (size_t i = 0; i < LANES; i++) {
                row[i] = 4 * i * apart;
                if (row[i] + 3 * apart > last) row[i] = last < 3 * apart ? 0 : last - 3 * apart;
                r.base[i] = w + (first + row[i]) * row_bytes;
            }
            float all[ROWS];
            store_f(all, step(r, from, x->k / block_elements));
            for (size_t i = 0; i < LANES; i++)
                for (size_t j = 0; j < 4; j++)
                    if (row[i] + j * apart <= last) y[first + row[i] + j * apart] = all[4 * i + j];
        }
        first += left < ROWS ? left - 1 : (ROWS - 1) * apart;
    }
}

/* ---- small blocks ---- */

typedef enum small_codes { NIBBLES, NIBBLES_AND_BIT, SMALL_VALUES, LARGE_VALUES, BYTES } small_codes;

typedef struct small_type {
    unsigned bytes, qs; /* of a block; where its codes begin */
    small_codes codes;
    bool offset;   /* codes are stored that much above their values */
    bool e8m0;     /* the scale is one of these instead of f16 */
    bool minimum;  /* an f16 behind the scale */
    unsigned bits; /* where the fifth bits are, if any */
} small_type;

/* Codes of elements 0..15 and 16..31 of the rows (., j), as `dot` or, with a sign, `sdot` take them. */
ALWAYS void small_unpack(const small_type *t, const rows *r, size_t j, size_t at, vi head, vi *low, vi *high) {
    static const uint8_t spread_low[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 };
    static const uint8_t spread_high[16] = { 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3 };
    static const uint8_t each_bit[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    if (t->codes == BYTES) {
        vi both[2];
        load32(r, j, at + t->qs, both);
        *low = offset_codes(both[0]);
        *high = offset_codes(both[1]);
        return;
    }
    vi v = load16(r, j, at + t->qs);
    *low = and(v, set8(15));
    *high = and(shr16(v, 4), set8(15));
    if (t->codes == SMALL_VALUES || t->codes == LARGE_VALUES) {
        vi values = t->codes == LARGE_VALUES ? offset_codes(load_same(values_iq4))
                                             : add8(load_same(values_fp4), set8(12));
        *low = pick8(values, *low);
        *high = pick8(values, *high);
    } else if (t->codes == NIBBLES_AND_BIT) {
        vi first = set8((int)t->bits), mask = load_same(each_bit);
        *low = add8_where(*low, pick8(head, add8(load_same(spread_low), first)), mask, set8(16));
        *high = add8_where(*high, pick8(head, add8(load_same(spread_high), first)), mask, set8(16));
    }
}

/* 2^(e - 128): a denormal for e of 0 and 1. */
ALWAYS vf half_of_e8m0(vi e) {
    vi bits = shl32(sub32(e, set32(1)), 23);
    bits = select32_equal(e, set32(1), set32(0x400000), bits);
    return as_f(select32_equal(e, zero(), set32(0x200000), bits));
}

typedef struct small_scales {
    uint16_t d[2 * EARLY][ROWS], m[2 * EARLY][ROWS];
    uint8_t e[2 * EARLY][ROWS];
} small_scales;

ALWAYS void small_collect(const small_type *t, const rows *r, size_t ahead, size_t block, small_scales *to) {
    size_t at = ahead * t->bytes, slot = block % (2 * EARLY);
    if (t->e8m0) collect8(r, at, to->e[slot]);
    else collect16(r, at, to->d[slot]);
    if (t->minimum) collect16(r, at + 2, to->m[slot]);
}

/* The products of the block `at` bytes on, added to acc. */
ALWAYS vf small_block(const small_type *t, const rows *r, size_t at, acts x, const small_scales *scales, size_t slot,
                      vf acc) {
    const bool with_sign = t->codes == BYTES || t->codes == LARGE_VALUES, with_head = t->bits != 0;
    vi x0 = load_same(x.q), x1 = load_same(x.q + 16), head[4], sums[4];
    for (size_t j = 0; j < 4; j++) {
        vi low, high;
        head[j] = with_head ? load16(r, j, at) : zero();
        small_unpack(t, r, j, at, head[j], &low, &high);
        sums[j] = with_sign ? sdot(sdot(zero(), low, x0), high, x1) : widen(dot_add(dot(low, x0), high, x1));
    }
    vi both = dwords(head, 0); /* with a head: d, and m above it */
    vi isum = t->codes == NIBBLES ? sum4_small(sums) : sum4(sums); /* of eight products of at most 15 * 127 */
    if (t->offset) isum = add32(isum, set32(*x.first));
    vf d = t->e8m0 ? half_of_e8m0(load_u8_as_i32(scales->e[slot]))
           : with_head ? low_f16(both)
                       : load_f16(scales->d[slot]);
    acc = fma_f(to_f(isum), mul_f(d, set_f(*x.d)), acc);
    if (t->minimum) {
        vf m = with_head ? low_f16(shr32(both, 16)) : load_f16(scales->m[slot]);
        acc = fma_f(m, set_f(*x.d * (float)(x.sums[0] + x.sums[1])), acc);
    }
    return acc;
}

/* At the next block; there are `first` only of codes with an offset. */
ALWAYS acts small_next(const small_type *t, acts x) {
    return (acts){ x.q + 32, x.d + 1, x.sums + 2, t->offset ? x.first + 1 : x.first };
}

/* Two blocks at a time: half the bookkeeping, which is a fifth of the speed of q4_0. */
ALWAYS vf small_step(const small_type *t, rows r, acts x, size_t blocks) {
    const bool with_head = t->bits != 0;
    small_scales scales;
    vf acc = set_f(0);
    for (size_t b = 0; b < EARLY && b < blocks && !with_head; b++) small_collect(t, &r, b, b, &scales);
    for (size_t b = 0; b < blocks; b += 2) {
        /* sums of a base and a step are addresses that cost nothing: not to be made and kept one by one */
        for (size_t i = 0; i < LANES; i++) __asm__("" : "+r"(r.base[i]));
        for (size_t j = 1; j < 4; j++) __asm__("" : "+r"(r.step[j]));
        for (size_t p = 0; p < 2; p++)
            if (b + p + EARLY < blocks && !with_head) small_collect(t, &r, p + EARLY, b + p + EARLY, &scales);
        for (size_t p = 0; p < 2 && b + p < blocks; p++) {
            acc = small_block(t, &r, p * t->bytes, x, &scales, b % (2 * EARLY) + p, acc);
            x = small_next(t, x);
        }
        rows_advance(&r, 2 * t->bytes);
    }
    return acc;
}

/* Rows (i, j): the sums of the first two, and of the last two dwords of each lane. */
ALWAYS vi sum_low(const vi v[4]) { return add32(dwords(v, 0), dwords(v, 1)); }
ALWAYS vi sum_high(const vi v[4]) { return add32(dwords(v, 2), dwords(v, 3)); }

/* The f16 scales at the beginning of the first blocks. */
ALWAYS void collect_first(const rows *r, size_t bytes, size_t blocks, uint16_t (*d)[ROWS]) {
    for (size_t b = 0; b < EARLY && b < blocks; b++) collect16(r, b * bytes, d[b]);
}

/* Two groups of 32 elements; bits 2 s of byte i are element 4 i + s. */
ALWAYS vf q2_0_step(rows r, acts x, size_t blocks) {
    static const uint8_t by_four[16] = { 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15 };
    uint16_t d[2 * EARLY][ROWS];
    vf acc = set_f(0);
    collect_first(&r, 18, blocks, d);
    for (size_t b = 0; b < blocks; b++) {
        if (b + EARLY < blocks) collect16(&r, 18 * EARLY, d[(b + EARLY) % (2 * EARLY)]);
        vi in[4], sums[4];
        for (size_t i = 0; i < 4; i++) in[i] = pick8(load_same(x.q + 16 * i), load_same(by_four));
        for (size_t j = 0; j < 4; j++) {
            vi v = load16(&r, j, 2), part = dot(and(v, set8(3)), dwords(in, 0));
            for (int s = 1; s < 4; s++) part = dot_add(part, and(shr16(v, 2 * s), set8(3)), dwords(in, s));
            sums[j] = widen(part);
        }
        vf scale = load_f16(d[b % (2 * EARLY)]);
        acc = fma_f(to_f(add32(sum_low(sums), set32(x.first[0]))), mul_f(scale, set_f(x.d[0])), acc);
        acc = fma_f(to_f(add32(sum_high(sums), set32(x.first[1]))), mul_f(scale, set_f(x.d[1])), acc);
        rows_advance(&r, 18);
        x = (acts){ .q = x.q + 64, .d = x.d + 2, .first = x.first + 2 };
    }
    return acc;
}

/* Half of byte n of each dword as ue4m3: bias 7, the top bit unused, 0x7f alone is zero. */
ALWAYS vf half_of_ue4m3(vi scales, int n) {
    vi u = and(shr32(scales, 8 * n), set32(0xff));
    u = select32_equal(u, set32(0x7f), zero(), and(u, set32(0x7f)));
    return mul_f(low_f16(shl32(u, 7)), set_f(0x1p7f)); /* as f16 with bias 15: exact, and without denormals of f32 */
}

/* Four groups of 16 elements, in 8 bytes each: the low nibbles first. */
ALWAYS vf nvfp4_step(rows r, acts x, size_t blocks) {
    vf acc = set_f(0);
    vi values = add8(load_same(values_fp4), set8(12));
    for (size_t b = 0; b < blocks; b++) {
        vi head[4];
        for (size_t j = 0; j < 4; j++) head[j] = load16(&r, j, 0);
        vi scales = dwords(head, 0);
        for (int half = 0; half < 2; half++) {
            vi x0 = load_same(x.q), x1 = load_same(x.q + 16), low = lo64(x0, x1), high = hi64(x0, x1), sums[4];
            for (size_t j = 0; j < 4; j++) {
                vi v = load16(&r, j, 4 + 16 * (size_t)half);
                vi part = dot(pick8(values, and(v, set8(15))), low);
                sums[j] = widen(dot_add(part, pick8(values, and(shr16(v, 4), set8(15))), high));
            }
            vf d = mul_f(half_of_ue4m3(scales, 2 * half), set_f(*x.d));
            acc = fma_f(to_f(add32(sum_low(sums), set32(x.first[0]))), d, acc);
            d = mul_f(half_of_ue4m3(scales, 2 * half + 1), set_f(*x.d));
            acc = fma_f(to_f(add32(sum_high(sums), set32(x.first[1]))), d, acc);
            x = (acts){ .q = x.q + 32, .d = x.d + 1, .first = x.first + 2 };
        }
        rows_advance(&r, 36);
    }
    return acc;
}

/* ---- super-blocks ---- */

/* In each lane, the sum of `scales` (two vectors of eight words) by the sums of the activations. */
ALWAYS vi by_sums(vi scales0, vi scales1, const int16_t *sums) {
    return madd16(madd16(zero(), scales0, load_same(sums)), scales1, load_same(sums + 8));
}

ALWAYS vf super_add(vf acc, const vi sums[4], vf d, const acts *x) {
    return fma_f(to_f(sum4(sums)), mul_f(d, set_f(*x->d)), acc);
}

ALWAYS vf minima_add(vf acc, const vi minima[4], vf dmin, const acts *x) {
    return fnma_f(to_f(sum4(minima)), mul_f(dmin, set_f(*x->d)), acc);
}

ALWAYS void super_next_asked(rows *r, acts *x, size_t bytes) { /* `ask` has been called for what comes */
    for (size_t i = 0; i < LANES; i++) r->base[i] += bytes;
    *x = (acts){ .q = x->q + 256, .d = x->d + 1, .sums = x->sums + 16, .first = x->first };
}

ALWAYS void super_next(rows *r, acts *x, size_t bytes) {
    rows_advance(r, bytes);
    super_next_asked(r, x, 0);
}

/* Bit `from` of every byte at bit `to`, among others. */
ALWAYS vi bit_to(vi v, int from, int to) {
    return from > to ? shr16(v, from - to) : shl16(v, to - from);
}

/* Words 0..7: the six-bit scales of q4_k and q5_k in bytes 4..15 of each lane: the first four whole in bytes 0..3 of
 * these, of the others the low four bits in bytes 8..11, the high two atop bytes 0..3. Minima: likewise, with bytes
 * 4..7 and the high nibbles of bytes 8..11. */
ALWAYS vi k_scales(vi head) {
    static const uint8_t low[16] = { 4, 128, 5, 128, 6, 128, 7, 128, 12, 128, 13, 128, 14, 128, 15, 128 };
    static const uint8_t high[16] = { 128, 128, 128, 128, 128, 128, 128, 128, 4, 128, 5, 128, 6, 128, 7, 128 };
    static const uint16_t mask[8] = { 63, 63, 63, 63, 15, 15, 15, 15 };
    vi scales = and(pick8(head, load_same(low)), load_same(mask));
    return or_and(scales, shr16(pick8(head, load_same(high)), 2), set16(0x30));
}

ALWAYS vi k_minima(vi head) {
    static const uint8_t low[16] = { 8, 128, 9, 128, 10, 128, 11, 128, 12, 128, 13, 128, 14, 128, 15, 128 };
    static const uint8_t high[16] = { 128, 128, 128, 128, 128, 128, 128, 128, 8, 128, 9, 128, 10, 128, 11, 128 };
    static const uint16_t mask[8] = { 63, 63, 63, 63, 15, 15, 15, 15 };
    static const uint16_t up[8] = { 16, 16, 16, 16, 1, 1, 1, 1 };
    vi minima = and(shr16(mul16(pick8(head, load_same(low)), load_same(up)), 4), load_same(mask));
    return or_and(minima, shr16(pick8(head, load_same(high)), 2), set16(0x30));
}

/* q4_k, and q5_k, which has a fifth bit: bit i of byte l of 32 is that of element 32 i + l. */
ALWAYS vf q45_k_step(bool five, rows r, acts x, size_t blocks) {
    const size_t bytes = five ? 176 : 144, qs = five ? 48 : 16;
    vf acc = set_f(0);
    for (size_t b = 0; b < blocks; b++) {
        vi head[4], sums[4], minima[4];
        for (size_t j = 0; j < 4; j++) {
            head[j] = load16(&r, j, 0);
            vi scales = k_scales(head[j]), m = k_minima(head[j]);
            minima[j] = by_sums(lo16(m, m), hi16(m, m), x.sums);
            vi bits0 = zero(), bits1 = zero();
            if (five) {
                bits0 = load16(&r, j, 16);
                bits1 = load16(&r, j, 32);
            }
            sums[j] = zero();
            for (int p = 0; p < 4; p++) {
                const int8_t *q = x.q + 64 * p;
                vi v[2];
                if (LINE * (size_t)p < bytes) ask(&r, j, LINE * (size_t)p);
                load32(&r, j, qs + 32 * (size_t)p, v);
                vi low0 = and(v[0], set8(15)), low1 = and(v[1], set8(15));
                vi high0 = and(shr16(v[0], 4), set8(15)), high1 = and(shr16(v[1], 4), set8(15));
                if (five) {
                    low0 = or_and(low0, bit_to(bits0, 2 * p, 4), set8(16));
                    low1 = or_and(low1, bit_to(bits1, 2 * p, 4), set8(16));
                    high0 = or_and(high0, bit_to(bits0, 2 * p + 1, 4), set8(16));
                    high1 = or_and(high1, bit_to(bits1, 2 * p + 1, 4), set8(16));
                }
                vi part0 = dot_add(dot(low0, load_same(q)), low1, load_same(q + 16));
                vi part1 = dot_add(dot(high0, load_same(q + 32)), high1, load_same(q + 48));
                sums[j] = scale_pair(sums[j], part0, part1, scales, p);
            }
        }
        vi d = dwords(head, 0);
        acc = super_add(acc, sums, low_f16(d), &x);
        acc = minima_add(acc, minima, low_f16(shr32(d, 16)), &x);
        super_next_asked(&r, &x, bytes);
    }
    return acc;
}

ALWAYS vf q6_k_step(rows r, acts x, size_t blocks) {
    uint16_t d[2][ROWS];
    vf acc = set_f(0);
    if (blocks > 0) collect16(&r, 208, d[0]);
    for (size_t b = 0; b < blocks; b++) {
        vi sums[4];
        if (b + 1 < blocks) collect16(&r, 210 + 208, d[(b + 1) % 2]);
        for (size_t j = 0; j < 4; j++) {
            vi head = load16(&r, j, 192);
            const vi scales[2] = { sar16(lo8(zero(), head), 8), sar16(hi8(zero(), head), 8) };
            sums[j] = zero();
            for (size_t h = 0; h < 2; h++) {
                vi part[4][2], l0[2], l1[2], high[2];
                load32(&r, j, 64 * h, l0);
                load32(&r, j, 64 * h + 32, l1);
                load32(&r, j, 128 + 32 * h, high);
                for (size_t c = 0; c < 2; c++) {
                    ask(&r, j, LINE * (2 * h + c));
                    const int8_t *q = x.q + 128 * h + 16 * c;
                    const vi low[4] = { l0[c], l1[c], shr16(l0[c], 4), shr16(l1[c], 4) };
                    for (int s = 0; s < 4; s++) {
                        vi code = or_and(and(low[s], set8(15)), bit_to(high[c], 2 * s, 4), set8(0x30));
                        part[s][c] = dot(code, load_same(q + 32 * s));
                    }
                }
                for (int s = 0; s < 4; s++)
                    sums[j] = scale_pair(sums[j], part[s][0], part[s][1], scales[h], s);
            }
            sums[j] = sub32(sums[j], shl32(by_sums(scales[0], scales[1], x.sums), 5)); /* codes less 32 */
        }
        acc = super_add(acc, sums, load_f16(d[b % 2]), &x);
        super_next_asked(&r, &x, 210);
    }
    return acc;
}

/* The products of two-bit codes, four of 16 elements in bits 2 s of 16 bytes, 32 elements apart; with a third bit:
 * bit s of the byte of `bits`. */
ALWAYS void two_bits(vi v, bool three, vi bits, int bit, const int8_t *q, vi part[4]) {
    for (int s = 0; s < 4; s++) {
        vi code = and(shr16(v, 2 * s), set8(3));
        if (three) code = or_and(code, bit_to(bits, bit + s, 2), set8(4));
        part[s] = dot(code, load_same(q + 32 * s));
    }
}

ALWAYS vf q2_k_step(rows r, acts x, size_t blocks) {
    vf acc = set_f(0);
    for (size_t b = 0; b < blocks; b++) {
        vi sums[4], minima[4], tail[4];
        for (size_t j = 0; j < 4; j++) {
            vi head = load16(&r, j, 0), low = and(head, set8(15)), high = and(shr16(head, 4), set8(15));
            const vi scales[2] = { lo8(low, zero()), hi8(low, zero()) };
            tail[j] = load16(&r, j, 68); /* its last dword is d, dmin */
            minima[j] = by_sums(lo8(high, zero()), hi8(high, zero()), x.sums);
            sums[j] = zero();
            for (size_t h = 0; h < 2; h++) {
                vi part[2][4];
                for (size_t c = 0; c < 2; c++)
                    two_bits(load16(&r, j, 16 + 32 * h + 16 * c), false, zero(), 0, x.q + 128 * h + 16 * c, part[c]);
                for (int s = 0; s < 4; s++)
                    sums[j] = scale_pair(sums[j], part[0][s], part[1][s], scales[h], s);
            }
        }
        vi d = dwords(tail, 3);
        acc = super_add(acc, sums, low_f16(d), &x);
        acc = minima_add(acc, minima, low_f16(shr32(d, 16)), &x);
        super_next(&r, &x, 84);
    }
    return acc;
}

/* Scales of q3_k from bytes 2..13 of each lane: the low four bits of j and j + 8 are a byte's nibbles, the high two of
 * j, j + 4, j + 8 and j + 12 the pairs of bits of another. */
ALWAYS void q3_k_scales(vi head, vi scales[2]) {
    static const uint8_t low[16] = { 2, 128, 3, 128, 4, 128, 5, 128, 6, 128, 7, 128, 8, 128, 9, 128 };
    static const uint8_t high[16] = { 10, 128, 11, 128, 12, 128, 13, 128, 10, 128, 11, 128, 12, 128, 13, 128 };
    static const uint16_t up[8] = { 16, 16, 16, 16, 4, 4, 4, 4 };
    vi four = pick8(head, load_same(low)), two = mul16(pick8(head, load_same(high)), load_same(up));
    scales[0] = sub16(or_and(and(four, set16(15)), two, set16(0x30)), set16(32));
    scales[1] = sub16(or_and(shr16(four, 4), shr16(two, 4), set16(0x30)), set16(32));
}

ALWAYS vf q3_k_step(rows r, acts x, size_t blocks) {
    vf acc = set_f(0);
    for (size_t b = 0; b < blocks; b++) {
        vi sums[4], head[4];
        for (size_t j = 0; j < 4; j++) {
            vi scales[2];
            head[j] = load16(&r, j, 94); /* its last word is d */
            q3_k_scales(head[j], scales);
            const vi bits[2] = { load16(&r, j, 0), load16(&r, j, 16) };
            sums[j] = zero();
            for (size_t h = 0; h < 2; h++) {
                vi part[2][4];
                for (size_t c = 0; c < 2; c++)
                    two_bits(load16(&r, j, 32 + 32 * h + 16 * c), true, bits[c], 4 * (int)h, x.q + 128 * h + 16 * c,
                             part[c]);
                for (int s = 0; s < 4; s++)
                    sums[j] = scale_pair(sums[j], part[0][s], part[1][s], scales[h], s);
            }
            sums[j] = sub32(sums[j], shl32(by_sums(scales[0], scales[1], x.sums), 2)); /* codes less 4 */
        }
        acc = super_add(acc, sums, low_f16(shr32(dwords(head, 3), 16)), &x);
        super_next(&r, &x, 110);
    }
    return acc;
}

ALWAYS vf iq4_xs_step(rows r, acts x, size_t blocks) {
    const vi values = offset_codes(load_same(values_iq4));
    vf acc = set_f(0);
    for (size_t b = 0; b < blocks; b++) {
        vi head[4], sum = zero();
        for (size_t j = 0; j < 4; j++) head[j] = load16(&r, j, 0);
        vi d = dwords(head, 0), low = dwords(head, 1); /* d and the high bits of the scales; their low bits */
        for (int g = 0; g < 8; g++) {
            vi x0 = load_same(x.q + 32 * g), x1 = load_same(x.q + 32 * g + 16), sums[4];
            for (size_t j = 0; j < 4; j++) {
                vi v = load16(&r, j, 8 + 16 * (size_t)g);
                sums[j] = sdot(zero(), pick8(values, and(v, set8(15))), x0);
                sums[j] = sdot(sums[j], pick8(values, and(shr16(v, 4), set8(15))), x1);
            }
            vi isum = sum4(sums);
            if (SIGNED_OFFSET) isum = add32(isum, set32(x.first[g]));
            vi scale = or_and(and(shr32(low, 4 * g), set32(15)), shr32(d, 12 + 2 * g), set32(0x30));
            sum = add32(sum, mul32(isum, sub32(scale, set32(32))));
        }
        acc = fma_f(to_f(sum), mul_f(low_f16(d), set_f(*x.d)), acc);
        x.first += 8;
        super_next(&r, &x, 136);
    }
    return acc;
}

ALWAYS vf q8_k_step(rows r, acts x, size_t blocks) {
    vf acc = set_f(0);
    for (size_t b = 0; b < blocks; b++) {
        vi head[4], sums[4];
        for (size_t j = 0; j < 4; j++) {
            head[j] = load16(&r, j, 0);
            sums[j] = zero();
            for (size_t i = 0; i < 256; i += 16)
                sums[j] = sdot(sums[j], offset_codes(load16(&r, j, 4 + i)), load_same(x.q + i));
            if (SIGNED_OFFSET) sums[j] = sub32(sums[j], shl32(by_sums(set16(1), set16(1), x.sums), 7));
        }
        acc = super_add(acc, sums, as_f(dwords(head, 0)), &x);
        super_next(&r, &x, 292);
    }
    return acc;
}

/* ---- types of one or two bits without scales of groups ---- */

ALWAYS vf tq2_0_step(rows r, acts x, size_t blocks) {
    uint16_t d[ROWS];
    vf acc = set_f(0);
    for (size_t b = 0; b < blocks; b++) {
        vi sums[4], all = by_sums(set16(1), set16(1), x.sums);
        collect16(&r, 64, d);
        for (size_t j = 0; j < 4; j++) {
            vi part = zero();
            for (size_t i = 0; i < 64; i += 16) {
                vi v = load16(&r, j, i);
                const int8_t *q = x.q + i / 32 * 128 + i % 32;
                for (int s = 0; s < 4; s++) part = dot_add(part, and(shr16(v, 2 * s), set8(3)), load_same(q + 32 * s));
            }
            sums[j] = sub32(widen(part), all); /* codes less 1 */
        }
        acc = super_add(acc, sums, load_f16(d), &x);
        super_next(&r, &x, 66);
    }
    return acc;
}

/* The first ternary digit of bytes that hold fractions of 256: 0, 1 or 2. */
ALWAYS vi trit(vi v) {
    return add8_at_least(add8_at_least(zero(), v, set8(86)), v, set8(171));
}

ALWAYS vi times3(vi v) {
    return add8(v, add8(v, v));
}

ALWAYS vf tq1_0_step(rows r, acts x, size_t blocks) {
    static const uint8_t four_times[16] = { 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3 };
    static const uint32_t dword[4][4] = { { ~0u, 0, 0, 0 }, { 0, ~0u, 0, 0 }, { 0, 0, ~0u, 0 }, { 0, 0, 0, ~0u } };
    uint16_t d[ROWS];
    vf acc = set_f(0);
    for (size_t b = 0; b < blocks; b++) {
        vi sums[4], all = by_sums(set16(1), set16(1), x.sums);
        collect16(&r, 52, d);
        for (size_t j = 0; j < 4; j++) {
            vi part = zero();
            for (size_t i = 0; i < 3; i++) { /* five runs of 32 elements in 32 bytes, five of 16 in 16 */
                vi v = load16(&r, j, 16 * i);
                const int8_t *q = x.q + (i < 2 ? 16 * i : 160);
                for (int n = 0; n < 5; n++, v = times3(v), q += i < 2 ? 32 : 16)
                    part = dot_add(part, trit(v), load_same(q));
            }
            /* four runs of 4 in bytes 48..51 */
            vi v = pick8(load16(&r, j, 38), add8(load_same(four_times), set8(10))), last = zero();
            for (int n = 0; n < 4; n++, v = times3(v)) last = or_and(last, v, load_same(dword[n]));
            part = dot_add(part, trit(last), load_same(x.q + 240));
            sums[j] = sub32(widen(part), all);
        }
        acc = super_add(acc, sums, load_f16(d), &x);
        super_next(&r, &x, 54);
    }
    return acc;
}

ALWAYS vf q1_0_step(rows r, acts x, size_t blocks) {
    static const uint8_t each_bit[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    static const uint8_t two[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 };
    uint16_t d[2 * EARLY][ROWS];
    vf acc = set_f(0);
    collect_first(&r, 18, blocks, d);
    for (size_t b = 0; b < blocks; b++) {
        if (b + EARLY < blocks) collect16(&r, 18 * EARLY, d[(b + EARLY) % (2 * EARLY)]);
        vi sums[4], all = madd16(zero(), set16(1), load_same(x.sums));
        for (size_t j = 0; j < 4; j++) {
            vi v = load16(&r, j, 2), part = zero();
            for (int g = 0; g < 8; g++) {
                vi bits = pick8(v, add8(load_same(two), set8(2 * g)));
                part = dot_add(part, add8_where(zero(), bits, load_same(each_bit), set8(2)), load_same(x.q + 16 * g));
            }
            sums[j] = sub32(widen(part), all); /* codes less 1 */
        }
        acc = super_add(acc, sums, load_f16(d[b % (2 * EARLY)]), &x);
        rows_advance(&r, 18);
        x = (acts){ .q = x.q + 128, .d = x.d + 1, .sums = x.sums + 8 };
    }
    return acc;
}

/* ---- the functions ---- */

/* vector_NAME for a type of blocks of so many elements, by a call of its step. */
#define VECTOR(name, elements, call)                                                                                  \
    static vf step_##name(rows r, acts x, size_t blocks) { return call; }                                             \
    static void vector_##name(const void *w, size_t row_bytes, const matmul_acts *x, size_t token, float *y,          \
                              size_t count) {                                                                         \
        run_rows(w, row_bytes, x, token, y, count, elements, step_##name);                                            \
    }
#define SMALL(name, ...) VECTOR(name, 32, small_step(&(const small_type){ __VA_ARGS__ }, r, x, blocks))

SMALL(q4_0, .bytes = 18, .qs = 2, .codes = NIBBLES, .offset = true)
SMALL(q4_1, .bytes = 20, .qs = 4, .codes = NIBBLES, .minimum = true)
SMALL(q5_0, .bytes = 22, .qs = 6, .codes = NIBBLES_AND_BIT, .bits = 2, .offset = true)
SMALL(q5_1, .bytes = 24, .qs = 8, .codes = NIBBLES_AND_BIT, .bits = 4, .minimum = true)
SMALL(q8_0, .bytes = 34, .qs = 2, .codes = BYTES, .offset = SIGNED_OFFSET != 0)
SMALL(q8_1, .bytes = 36, .qs = 4, .codes = BYTES, .offset = SIGNED_OFFSET != 0)
SMALL(iq4_nl, .bytes = 18, .qs = 2, .codes = LARGE_VALUES, .offset = SIGNED_OFFSET != 0)
SMALL(mxfp4, .bytes = 17, .qs = 1, .codes = SMALL_VALUES, .offset = true, .e8m0 = true)
VECTOR(nvfp4, 64, nvfp4_step(r, x, blocks))
VECTOR(q2_0, 64, q2_0_step(r, x, blocks))
VECTOR(q1_0, 128, q1_0_step(r, x, blocks))
VECTOR(q2_k, 256, q2_k_step(r, x, blocks))
VECTOR(q3_k, 256, q3_k_step(r, x, blocks))
VECTOR(q4_k, 256, q45_k_step(false, r, x, blocks))
VECTOR(q5_k, 256, q45_k_step(true, r, x, blocks))
VECTOR(q6_k, 256, q6_k_step(r, x, blocks))
VECTOR(q8_k, 256, q8_k_step(r, x, blocks))
VECTOR(iq4_xs, 256, iq4_xs_step(r, x, blocks))
VECTOR(tq1_0, 256, tq1_0_step(r, x, blocks))
VECTOR(tq2_0, 256, tq2_0_step(r, x, blocks))

static const matmul_vector_fn vectors[TOLA_DTYPE_COUNT] = {
    [TOLA_DTYPE_Q4_0] = vector_q4_0,     [TOLA_DTYPE_Q4_1] = vector_q4_1,   [TOLA_DTYPE_Q5_0] = vector_q5_0,
    [TOLA_DTYPE_Q5_1] = vector_q5_1,     [TOLA_DTYPE_Q8_0] = vector_q8_0,   [TOLA_DTYPE_Q8_1] = vector_q8_1,
    [TOLA_DTYPE_IQ4_NL] = vector_iq4_nl, [TOLA_DTYPE_MXFP4] = vector_mxfp4, [TOLA_DTYPE_NVFP4] = vector_nvfp4,
    [TOLA_DTYPE_Q2_0] = vector_q2_0,     [TOLA_DTYPE_Q1_0] = vector_q1_0,   [TOLA_DTYPE_Q2_K] = vector_q2_k,
    [TOLA_DTYPE_Q3_K] = vector_q3_k,     [TOLA_DTYPE_Q4_K] = vector_q4_k,   [TOLA_DTYPE_Q5_K] = vector_q5_k,
    [TOLA_DTYPE_Q6_K] = vector_q6_k,     [TOLA_DTYPE_Q8_K] = vector_q8_k,   [TOLA_DTYPE_IQ4_XS] = vector_iq4_xs,
    [TOLA_DTYPE_TQ1_0] = vector_tq1_0,   [TOLA_DTYPE_TQ2_0] = vector_tq2_0,
};

static matmul_vector_fn vector_of(tola_dtype weights) {
    return (unsigned)weights < TOLA_DTYPE_COUNT ? vectors[weights] : NULL;
}

#endif
