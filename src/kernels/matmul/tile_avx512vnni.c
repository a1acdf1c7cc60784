/* Many tokens with AVX-512 VNNI: a register tile of 32 rows x up to 6 tokens over a step of an unpacked panel; most
 * super-blocks have tiles of their own in woven_avx512vnni.c.
 *
 * Codes with an offset are unsigned, as vpdpbusd wants, and their sums begin at -offset x the sum of the activations.
 * Floats are kept in scratch, [token][64 rows], from step to step. */
#include "kernels/matmul/tile_avx512vnni.h"

#if defined(__x86_64__)
#include <string.h>

enum { TOKENS = 6, STRIPS = 2, STRIP_BYTES = PANEL_STEP * 16 };
enum { LITTLE = 256 << 10 /* bytes of a panel that stay in the second cache until they are unpacked */ };

/* What kind of weights. */
typedef struct how {
    bool super, offset, minima;
    size_t size; /* of a group */
} how;

ALWAYS __m512i four_of(const int8_t *p) {
    int32_t v;
    memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
}

/* isum[s][t] of one group of elements from k on, beginning at first[t] where the codes have an offset. */
ALWAYS void group_sums(const uint8_t *w, const int8_t *const q[TOKENS], size_t k, const int32_t *first, how h,
                       size_t tokens, __m512i isum[STRIPS][TOKENS]) {
    for (size_t t = 0; t < tokens; t++)
        for (size_t s = 0; s < STRIPS; s++)
            isum[s][t] = h.offset ? _mm512_set1_epi32(first[t]) : _mm512_setzero_si512();
#pragma GCC unroll 8
    for (size_t i = 0; i < h.size / 4; i++) {
        __m512i v[STRIPS];
        for (size_t s = 0; s < STRIPS; s++) v[s] = _mm512_load_si512(w + STRIP_BYTES * s + 64 * i);
        for (size_t t = 0; t < tokens; t++) {
            __m512i x = four_of(q[t] + k + 4 * i);
            for (size_t s = 0; s < STRIPS; s++) isum[s][t] = _mm512_dpbusd_epi32(isum[s][t], v[s], x);
        }
    }
}

ALWAYS void small_tile(const place *p, size_t strip, how h, size_t tokens) {
    const size_t across = p->across, groups = p->groups;
    const int8_t *q[TOKENS];
    const uint8_t *codes = p->panel->q[strip][0];
    const float *d_w = p->panel->d[0] + 16 * strip, *min = p->panel->min[0] + 16 * strip;
    const float *d = p->d, *d_sums = p->d_sums;
    const int32_t *first = p->first;
    __m512 acc[STRIPS][TOKENS];
    for (size_t t = 0; t < tokens; t++) {
        q[t] = p->q + t * p->stride;
        for (size_t s = 0; s < STRIPS; s++)
            acc[s][t] = _mm512_maskz_load_ps(p->kept, p->acc + PANEL_ROWS * t + 16 * (strip + s));
    }
    for (size_t g = 0; g < groups; g++) {
        __m512i isum[STRIPS][TOKENS];
        group_sums(codes, q, g * h.size, first, h, tokens, isum);
        for (size_t s = 0; s < STRIPS; s++) {
            __m512 dw = _mm512_load_ps(d_w + 16 * s), m = dw;
            if (h.minima) m = _mm512_load_ps(min + 16 * s);
            for (size_t t = 0; t < tokens; t++) {
                __m512 both = _mm512_mul_ps(dw, _mm512_set1_ps(d[t]));
                acc[s][t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum[s][t]), both, acc[s][t]);
                if (h.minima) acc[s][t] = _mm512_fmadd_ps(m, _mm512_set1_ps(d_sums[t]), acc[s][t]);
            }
        }
        codes += h.size * 16;
        d_w += PANEL_ROWS;
        min += PANEL_ROWS;
        first += h.offset ? across : 0;
        d_sums += h.minima ? across : 0;
        d += h.size == 32 ? across : g % 2 * across; /* two groups of 16 share the activations' scale */
    }
    for (size_t t = 0; t < tokens; t++)
        for (size_t s = 0; s < STRIPS; s++) _mm512_store_ps(p->acc + PANEL_ROWS * t + 16 * (strip + s), acc[s][t]);
}

/* Super-blocks whose groups' sums may be large (woven_avx512vnni.c has the others). */
ALWAYS void super_tile(const place *p, size_t strip, how h, size_t tokens) {
    const int8_t *q[TOKENS];
    const uint8_t *codes = p->panel->q[strip][0];
    const int32_t *sc = p->panel->sc[0] + 16 * strip, *first = p->first;
    __m512i sum[STRIPS][TOKENS];
    for (size_t t = 0; t < tokens; t++) {
        q[t] = p->q + t * p->stride;
        for (size_t s = 0; s < STRIPS; s++) sum[s][t] = _mm512_setzero_si512();
    }
    for (size_t g = 0; g < p->groups; g++) {
        __m512i isum[STRIPS][TOKENS];
        group_sums(codes, q, g * h.size, first, h, tokens, isum);
        for (size_t s = 0; s < STRIPS; s++) {
            const __m512i scale = _mm512_load_si512(sc + 16 * s);
            for (size_t t = 0; t < tokens; t++)
                sum[s][t] = _mm512_add_epi32(sum[s][t], _mm512_mullo_epi32(isum[s][t], scale));
        }
        codes += h.size * 16;
        sc += PANEL_ROWS;
        first += h.offset ? p->across : 0;
    }
    for (size_t s = 0; s < STRIPS; s++)
        for (size_t t = 0; t < tokens; t++)
            add_block(p, 16 * (strip + s), t, _mm512_cvtepi32_ps(sum[s][t]), 0);
}

/* The tile of the tokens that follow. */
ALWAYS void next_tokens(place *p, how h) {
    p->q += TOKENS * p->stride;
    p->d += TOKENS;
    p->acc += TOKENS * PANEL_ROWS;
    if (h.offset) p->first += TOKENS;
    if (h.minima) p->d_sums += TOKENS;
    if (p->y) p->y += TOKENS * p->y_stride;
}

ALWAYS void tile(const place *p, how h, size_t tokens) {
    for (size_t strip = 0; 16 * strip < p->rows; strip += STRIPS) {
        if (p->y) ask_for_y(p, strip, STRIPS, tokens);
        ask_for_weights(p);
        if (h.super) super_tile(p, strip, h, tokens);
        else small_tile(p, strip, h, tokens);
        if (p->y) store_y(p, strip, STRIPS, tokens);
    }
}

ALWAYS void tiles(place p, size_t tokens, how h) {
    for (; tokens >= TOKENS; tokens -= TOKENS) {
        tile(&p, h, TOKENS);
        next_tokens(&p, h);
    }
    switch (tokens) {
    case 1: tile(&p, h, 1); break;
    case 2: tile(&p, h, 2); break;
    case 3: tile(&p, h, 3); break;
    case 4: tile(&p, h, 4); break;
    case 5: tile(&p, h, 5); break;
    default: break;
    }
}

#define SUPER .super = true
#define OFFSET .offset = true
#define MINIMA .minima = true
#define TILES(name, ...) \
    static void name(place p, size_t tokens) { tiles(p, tokens, (how){ __VA_ARGS__ }); }

TILES(small_16, OFFSET, .size = 16)
TILES(small_32, OFFSET, .size = 32)
TILES(small_32_minima, MINIMA, .size = 32)
TILES(super_16, SUPER, OFFSET, .size = 16)
TILES(super_32, SUPER, OFFSET, .size = 32)

static tiles_fn tiles_of(tola_dtype weights) {
    const matmul_type *type = matmul_type_get(weights);
    if (matmul_woven(type)) return matmul_woven_avx512vnni(weights);
    if (type->kind == MATMUL_SMALL) return type->minima ? small_32_minima : type->group == 16 ? small_16 : small_32;
    return type->group == 16 ? super_16 : super_32;
}

static size_t scratch_bytes(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k;
    return sizeof(matmul_panel) + tokens * PANEL_ROWS * sizeof(float);
}

/* Before each strip is unpacked and before each tile, what the next step or panel reads is asked for (32 tokens: 20 to
 * 50 % faster). */
static size_t pieces_of(size_t rows, size_t tokens, bool woven) {
    const size_t strips = (rows + 15) / 16;
    if (woven) return strips + strips * ((tokens + MATMUL_WOVEN - 1) / MATMUL_WOVEN);
    return strips + (strips + STRIPS - 1) / STRIPS * ((tokens + TOKENS - 1) / TOKENS);
}

static void rows(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                 size_t y_stride, size_t count, void *scratch) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t length = panel_step(weights), length_bytes = length / tola_dtype_block_elements(weights) *
                                                              (size_t)tola_dtype_block_bytes(weights);
    const bool whole = PANEL_ROWS * row_bytes <= LITTLE, woven = x->q_woven != NULL;
    const tiles_fn all_tiles = tiles_of(weights);
    panel_ahead next_step, next_panel = { .rows = 0 };
    place p = { .panel = scratch,
                .stride = woven ? x->k : x->q_stride, .across = x->across, .y_stride = y_stride };
    p.acc = (float *)((matmul_panel *)scratch + 1); /* [tokens][PANEL_ROWS] */
    p.next_step = &next_step;
    p.next_panel = &next_panel;
    for (size_t first = 0; first < count; first += PANEL_ROWS, w += PANEL_ROWS * row_bytes) {
        const size_t left = count - first;
        p.rows = left < PANEL_ROWS ? left : PANEL_ROWS;
        const uint8_t *next = w + PANEL_ROWS * row_bytes;
        const size_t next_rows = left - p.rows < PANEL_ROWS ? left - p.rows : PANEL_ROWS;
        const size_t pieces = pieces_of(p.rows, x->tokens, woven), steps = (x->k + length - 1) / length;
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
                if (woven) matmul_weave_strip_avx512vnni(weights, strip, n, scratch);
            }
            p.groups = n / type->group;
            p.kept = at > 0 ? 0xffff : 0;
            p.q = woven ? x->q_woven + at * MATMUL_WOVEN : x->q + at;
            p.d = x->d_across + at / x->d_block * x->across;
            if (x->first_across) p.first = x->first_across + at / type->group * x->across;
            if (x->most) p.most = x->most + at / x->d_block * x->across;
            if (x->d_sums) p.d_sums = x->d_sums + at / 32 * x->across;
            if (x->pairs) p.pairs = x->pairs + at / type->group / 2 * x->across;
            p.y = last ? y + first : NULL;
            all_tiles(p, x->tokens);
        }
    }
}

const matmul_tile matmul_tile_avx512vnni = { scratch_bytes, rows, 0 };
#endif
