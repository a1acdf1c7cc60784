/* Many tokens with AVX-512 VNNI: a register tile of 16 rows x up to 14 tokens over a step of an unpacked panel.
 *
 * Four elements of a token are an operand in memory that the multiplication itself spreads to all lanes, so that there
 * is hardly an instruction beside it: one for the weights of all tokens. Codes with an offset are unsigned, as vpdpbusd
 * wants, and their sums begin at -offset x the sum of the activations. The sum of a group of a super-block that fits 16
 * bits is the lower half of a pair whose upper half meets a scale of zero, one vpdpwssd; where activations are so large
 * that it might not fit (matmul_acts.most), it takes vpmulld and an addition.
 * Floats are kept in scratch, [token][64 rows], from step to step. */
#include "kernels/matmul/panel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

enum { TOKENS = MATMUL_FOURS };
enum { LITTLE = 256 << 10 /* bytes of a panel that stay in the second cache until they are unpacked */ };

/* What kind of weights. */
typedef struct how {
    bool super, offset, minima;
    size_t size; /* of a group */
    bool halves; /* its halves are summed by themselves, with the same scale */
    int largest; /* super-blocks: code, in magnitude; 0: sums may always need more than 16 bits */
} how;

/* A tile: where the parts of its first token and element are. */
typedef struct place {
    const matmul_panel *panel;
    size_t rows, groups; /* of the panel; of the step */
    size_t across;       /* from group to group of the following */
    const int32_t *q;    /* four elements of 16 tokens after the other */
    const float *d, *d_sums;
    const int32_t *first, *pairs, *most;
    float *acc;     /* [token][PANEL_ROWS] */
    __mmask16 kept; /* 0 at the first step: acc is anything */
    float *y;       /* NULL until the last step */
    size_t y_stride;
    panel_ahead *next_step, *next_panel; /* the panel where it is not large, and for the first one the steps, too */
} place;

/* Not inlined: the loops of tiles lose their registers to it. */
static __attribute__((noinline)) void ask_for_weights(const place *p) {
    panel_ask(p->next_step);
    panel_ask(p->next_panel);
}

/* Which of the 16 rows from `at` on there are. */
static inline __mmask16 rows_left(size_t count, size_t at) {
    size_t n = count > at ? count - at : 0;
    return n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff;
}

/* Asks for the lines of y that a tile will store, long before it does: each lies in a page of its own. */
ALWAYS void ask_for_y(const place *p, size_t row, size_t tokens) {
    for (size_t t = 0; t < tokens; t++) __builtin_prefetch(p->y + t * p->y_stride + row, 1);
}

ALWAYS void store_y(const place *p, size_t row, size_t tokens) {
    const __mmask16 some = rows_left(p->rows, row);
    for (size_t t = 0; t < tokens; t++)
        _mm512_mask_storeu_ps(p->y + t * p->y_stride + row, some, _mm512_load_ps(p->acc + t * PANEL_ROWS + row));
}

/* Instructions by name, where gcc makes more of intrinsics: it loads *q into a register and copies sums and zeros. */

/* sum + the products of four codes with those of *q, in each lane. */
ALWAYS __m512i dot(__m512i sum, __m512i codes, const int32_t *q) {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(codes), "m"(*q));
    return sum;
}

ALWAYS __m512i first_dot(__m512i codes, const int32_t *q) {
    __m512i sum;
    __asm__("vpxord %0, %0, %0\n\tvpdpbusd %2%{1to16%}, %1, %0" : "=&v"(sum) : "v"(codes), "m"(*q));
    return sum;
}

/* sum + isum x scale, both in the lower 16 bits of a lane. */
ALWAYS __m512i scaled(__m512i sum, __m512i isum, __m512i scale) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(isum), "v"(scale));
    return sum;
}

/* sum + the products of minima of two groups with *sums. */
ALWAYS __m512i minima_dot(__m512i sum, __m512i minima, const int32_t *sums) {
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(minima), "m"(*sums));
    return sum;
}

/* isum[t] of `size` elements, beginning at first[t] where the codes have an offset. */
ALWAYS void group_sums(const uint8_t *codes, const int32_t *q, const int32_t *first, bool offset, size_t size,
                       size_t tokens, __m512i isum[TOKENS]) {
    const __m512i begin = _mm512_load_si512(codes);
    for (size_t t = 0; t < tokens; t++)
        isum[t] = offset ? dot(_mm512_set1_epi32(first[t]), begin, q + t) : first_dot(begin, q + t);
#pragma GCC unroll 8
    for (size_t i = 1; i < size / 4; i++) {
        const __m512i v = _mm512_load_si512(codes + 64 * i);
        for (size_t t = 0; t < tokens; t++) isum[t] = dot(isum[t], v, q + 16 * i + t);
    }
}

ALWAYS void small_tile(const place *p, size_t row, how h, size_t tokens) {
    const size_t across = p->across;
    const uint8_t *codes = p->panel->q[row / 16][0];
    const float *d_w = p->panel->d[0] + row, *min = p->panel->min[0] + row;
    const float *d = p->d, *d_sums = p->d_sums;
    const int32_t *first = p->first, *q = p->q;
    __m512 acc[TOKENS];
    for (size_t t = 0; t < tokens; t++) acc[t] = _mm512_maskz_load_ps(p->kept, p->acc + PANEL_ROWS * t + row);
    for (size_t g = 0; g < p->groups; g++) {
        __m512i isum[TOKENS];
        group_sums(codes, q, first, h.offset, h.size, tokens, isum);
        const __m512 dw = _mm512_load_ps(d_w);
        for (size_t t = 0; t < tokens; t++)
            acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum[t]), _mm512_mul_ps(dw, _mm512_set1_ps(d[t])), acc[t]);
        if (h.minima) {
            const __m512 m = _mm512_load_ps(min);
            for (size_t t = 0; t < tokens; t++) acc[t] = _mm512_fmadd_ps(m, _mm512_set1_ps(d_sums[t]), acc[t]);
        }
        codes += h.size * 16;
        q += h.size / 4 * 16;
        d_w += PANEL_ROWS;
        min += PANEL_ROWS;
        if (h.offset) first += across;
        if (h.minima) d_sums += across;
        d += h.size == 32 ? across : g % 2 * across; /* two groups of 16 share the activations' scale */
    }
    for (size_t t = 0; t < tokens; t++) _mm512_store_ps(p->acc + PANEL_ROWS * t + row, acc[t]);
}

/* To acc of 16 rows of each token: its sum, an exact integer, times the scales of a super-block; and its minima, of so
 * many pairs of groups. */
ALWAYS void add_blocks(const place *p, size_t row, size_t minima, size_t tokens, const __m512i sum[]) {
    const __m512 d = _mm512_load_ps(p->panel->d[0] + row), min = _mm512_load_ps(p->panel->min[0] + row);
    const int32_t *sums[8];
    __m512i m[8];
    for (size_t j = 0; j < minima; j++) {
        m[j] = _mm512_load_si512(p->panel->m[j] + row);
        sums[j] = p->pairs + j * p->across;
        __asm__("" : "+r"(sums[j])); /* a pointer of its own, not one for each token */
    }
#pragma GCC unroll 14
    for (size_t t = 0; t < tokens; t++) {
        float *to = p->acc + PANEL_ROWS * t + row;
        const __m512 dx = _mm512_set1_ps(p->d[t]), begin = _mm512_maskz_load_ps(p->kept, to);
        __m512 acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[t]), _mm512_mul_ps(d, dx), begin);
        if (minima) {
            __m512i all = _mm512_setzero_si512();
#pragma GCC unroll 8
            for (size_t j = 0; j < minima; j++) all = minima_dot(all, m[j], sums[j] + t);
            acc = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(all), _mm512_mul_ps(min, dx), acc);
        }
        _mm512_store_ps(to, acc);
    }
}

/* `exact`: sums may need more than 16 bits. */
ALWAYS void super_tile(const place *p, size_t row, how h, size_t tokens, bool exact) {
    const uint8_t *codes = p->panel->q[row / 16][0];
    const int32_t *sc = p->panel->sc[0] + row, *first = p->first, *q = p->q;
    const size_t parts = h.halves ? 2 : 1, size = h.size / parts;
    __m512i sum[TOKENS];
    for (size_t t = 0; t < tokens; t++) sum[t] = _mm512_setzero_si512();
    for (size_t part = 0; part < p->groups * parts; part++) {
        __m512i isum[TOKENS];
        group_sums(codes, q, first, h.offset, size, tokens, isum);
        const __m512i scale = _mm512_load_si512(sc), lower = _mm512_maskz_mov_epi16(0x55555555, scale);
        for (size_t t = 0; t < tokens; t++)
            sum[t] = exact ? _mm512_add_epi32(sum[t], _mm512_mullo_epi32(isum[t], scale))
                           : scaled(sum[t], isum[t], lower);
        codes += size * 16;
        q += size / 4 * 16;
        sc += part % parts == parts - 1 ? PANEL_ROWS : 0;
        if (h.offset) first += p->across;
    }
    add_blocks(p, row, h.minima ? PANEL_STEP / h.size / 2 : 0, tokens, sum);
}

/* What acc of all rows becomes with token t, whose sums may need more than 16 bits. */
static __attribute__((noinline)) void large_token(const place *p, how h, size_t t, float *out) {
    const int32_t *first = p->first, *q = p->q + t;
    __m512i sum[PANEL_STRIPS];
    for (size_t s = 0; s < PANEL_STRIPS; s++) sum[s] = _mm512_setzero_si512();
    for (size_t g = 0; g < p->groups; g++) {
        __m512i isum[PANEL_STRIPS];
        for (size_t s = 0; s < PANEL_STRIPS; s++) isum[s] = _mm512_set1_epi32(h.offset ? first[t] : 0);
        for (size_t i = g * h.size / 4; i < (g + 1) * h.size / 4; i++, q += 16)
            for (size_t s = 0; s < PANEL_STRIPS; s++)
                isum[s] = dot(isum[s], _mm512_load_si512(p->panel->q[s][i]), q);
        for (size_t s = 0; s < PANEL_STRIPS; s++) {
            const __m512i scale = _mm512_load_si512(p->panel->sc[g] + 16 * s);
            sum[s] = _mm512_add_epi32(sum[s], _mm512_mullo_epi32(isum[s], scale));
        }
        if (h.offset) first += p->across;
    }
    place one = *p;
    one.acc = out;
    one.d += t;
    if (h.minima) one.pairs += t;
    memcpy(out, p->acc + PANEL_ROWS * t, PANEL_ROWS * sizeof *out);
    for (size_t s = 0; s < PANEL_STRIPS; s++)
        add_blocks(&one, 16 * s, h.minima ? PANEL_STEP / h.size / 2 : 0, 1, sum + s);
}

/* The tokens whose sums might need more than 16 bits, a bit each. */
ALWAYS unsigned large_of(const place *p, how h, size_t tokens) {
    const size_t sixteens = h.size / 16 / (h.halves ? 2 : 1);
    unsigned large = 0;
    for (size_t t = 0; t < tokens; t++)
        large |= (unsigned)(p->most[t] > INT16_MAX / h.largest / (int)sixteens) << t;
    return large;
}

ALWAYS void tile(const place *p, how h, size_t tokens) {
    const unsigned large = h.largest ? large_of(p, h, tokens) : 0;
    _Alignas(64) float exact[TOKENS][PANEL_ROWS];
    for (size_t t = 0; large >> t; t++)
        if (large >> t & 1) large_token(p, h, t, exact[t]);
    for (size_t row = 0; row < p->rows; row += 16) {
        if (p->y) ask_for_y(p, row, tokens);
        ask_for_weights(p);
        if (!h.super) small_tile(p, row, h, tokens);
        else super_tile(p, row, h, tokens, !h.largest);
        for (size_t t = 0; large >> t; t++)
            if (large >> t & 1) memcpy(p->acc + PANEL_ROWS * t + row, exact[t] + row, 16 * sizeof(float));
        if (p->y) store_y(p, row, tokens);
    }
}

/* The tiles of all tokens; `start`: of the first token, `step` elements of each. */
ALWAYS void tiles(const place *start, const matmul_acts *x, size_t at, how h) {
    const size_t count = matmul_fours_tiles(x->tokens);
    for (size_t i = 0; i < count; i++) {
        const size_t t = matmul_fours_begin(x->tokens, i), tokens = matmul_fours_begin(x->tokens, i + 1) - t;
        place p = *start;
        p.q = x->q_fours + (i * x->k + at) * 4;
        p.d += t;
        p.acc += t * PANEL_ROWS;
        if (h.offset) p.first += t;
        if (h.largest) p.most += t;
        if (h.minima && h.super) p.pairs += t;
        if (h.minima && !h.super) p.d_sums += t;
        if (p.y) p.y += t * p.y_stride;
        switch (tokens) {
        case 1: tile(&p, h, 1); break;
        case 2: tile(&p, h, 2); break;
        case 3: tile(&p, h, 3); break;
        case 4: tile(&p, h, 4); break;
        case 5: tile(&p, h, 5); break;
        case 6: tile(&p, h, 6); break;
        case 7: tile(&p, h, 7); break;
        case 8: tile(&p, h, 8); break;
        case 9: tile(&p, h, 9); break;
        case 10: tile(&p, h, 10); break;
        case 11: tile(&p, h, 11); break;
        case 12: tile(&p, h, 12); break;
        case 13: tile(&p, h, 13); break;
        default: tile(&p, h, 14); break;
        }
    }
}

#define SUPER .super = true
#define OFFSET .offset = true
#define MINIMA .minima = true
#define HALVES .halves = true
#define TILES(name, ...) \
    static void name(const place *p, const matmul_acts *x, size_t at) { tiles(p, x, at, (how){ __VA_ARGS__ }); }

typedef void (*tiles_fn)(const place *p, const matmul_acts *x, size_t at);

TILES(small_16, OFFSET, .size = 16)
TILES(small_32, OFFSET, .size = 32)
TILES(small_32_minima, MINIMA, .size = 32)
TILES(super_16, SUPER, OFFSET, .size = 16)
TILES(super_32, SUPER, OFFSET, .size = 32)
TILES(ones, SUPER, OFFSET, .size = 32, .largest = 2) /* tq1_0, tq2_0, q1_0: 2 is a code that no encoder writes */
TILES(q2_k, SUPER, MINIMA, .size = 16, .largest = 3)
TILES(q3_k, SUPER, OFFSET, .size = 16, .largest = 4)
TILES(q4_k, SUPER, MINIMA, .size = 32, .largest = 15)
TILES(q5_k, SUPER, MINIMA, .size = 32, HALVES, .largest = 31)
TILES(q6_k, SUPER, OFFSET, .size = 16, .largest = 32)
TILES(iq1_m, SUPER, OFFSET, .size = 16, .largest = 9)
TILES(iq1_s_iq3_s, SUPER, OFFSET, .size = 32, .largest = 15)

static tiles_fn tiles_of(tola_dtype weights) {
    const matmul_type *type = matmul_type_get(weights);
    if (type->kind == MATMUL_SMALL) return type->minima ? small_32_minima : type->group == 16 ? small_16 : small_32;
    switch (weights) {
    case TOLA_DTYPE_Q2_K: return q2_k;
    case TOLA_DTYPE_Q3_K: return q3_k;
    case TOLA_DTYPE_Q4_K: return q4_k;
    case TOLA_DTYPE_Q5_K: return q5_k;
    case TOLA_DTYPE_Q6_K: return q6_k;
    case TOLA_DTYPE_IQ1_M: return iq1_m;
    case TOLA_DTYPE_IQ1_S:
    case TOLA_DTYPE_IQ3_S: return iq1_s_iq3_s;
    case TOLA_DTYPE_Q1_0:
    case TOLA_DTYPE_TQ1_0:
    case TOLA_DTYPE_TQ2_0: return ones;
    default: return type->group == 16 ? super_16 : super_32;
    }
}

static size_t scratch_bytes(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k;
    return sizeof(matmul_panel) + tokens * PANEL_ROWS * sizeof(float);
}

static void rows(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                 size_t y_stride, size_t count, void *scratch) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t length = panel_step(weights), length_bytes = length / tola_dtype_block_elements(weights) *
                                                              (size_t)tola_dtype_block_bytes(weights);
    const bool whole = PANEL_ROWS * row_bytes <= LITTLE;
    const tiles_fn all_tiles = tiles_of(weights);
    panel_ahead next_step, next_panel = { .rows = 0 };
    place p = { .panel = scratch, .across = x->across, .y_stride = y_stride };
    p.acc = (float *)((matmul_panel *)scratch + 1); /* [tokens][PANEL_ROWS] */
    p.next_step = &next_step;
    p.next_panel = &next_panel;
    for (size_t first = 0; first < count; first += PANEL_ROWS, w += PANEL_ROWS * row_bytes) {
        const size_t left = count - first;
        p.rows = left < PANEL_ROWS ? left : PANEL_ROWS;
        const uint8_t *next = w + PANEL_ROWS * row_bytes;
        const size_t next_rows = left - p.rows < PANEL_ROWS ? left - p.rows : PANEL_ROWS;
        /* Before each strip is unpacked and before each tile, what the next step or panel reads is asked for (32
         * tokens: 20 to 50 % faster). */
        const size_t steps = (x->k + length - 1) / length;
        const size_t pieces = (p.rows + 15) / 16 * (1 + matmul_fours_tiles(x->tokens));
        if (whole) next_panel = panel_in_shares(next, next_rows * row_bytes / 64, 1, 64, pieces * steps);
        for (size_t at = 0; at < x->k; at += length) {
            const uint8_t *here = w + at / length * length_bytes;
            const size_t n = x->k - at < length ? x->k - at : length;
            const bool last = at + n == x->k, asked = whole && (first > 0 || last);
            next_step = panel_in_shares(last ? next : here + length_bytes, asked ? 0 : last ? next_rows : p.rows,
                                        length_bytes, row_bytes, pieces);
            for (size_t strip = 0; 16 * strip < p.rows; strip++) {
                ask_for_weights(&p);
                matmul_panel_unpack_avx512(weights, here, row_bytes, p.rows, strip, n, 0, scratch);
            }
            p.groups = n / type->group;
            p.kept = at > 0 ? 0xffff : 0;
            p.d = x->d_across + at / x->d_block * x->across;
            if (x->first_across) p.first = x->first_across + at / type->group * x->across;
            if (x->most) p.most = x->most + at / x->d_block * x->across;
            if (x->d_sums) p.d_sums = x->d_sums + at / 32 * x->across;
            if (x->pairs) p.pairs = x->pairs + at / type->group / 2 * x->across;
            p.y = last ? y + first : NULL;
            all_tiles(&p, x, at);
        }
    }
}

const matmul_tile matmul_tile_avx512vnni = { scratch_bytes, rows, 0 };
#endif
