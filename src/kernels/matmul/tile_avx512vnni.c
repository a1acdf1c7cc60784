/* Many tokens with AVX-512 VNNI: a register tile of 32 rows x up to 6 tokens over a step of an unpacked panel.
 *
 * Codes with an offset are unsigned, as vpdpbusd wants, and their sums begin at -offset x the sum of the activations.
 * Floats are kept in scratch, [token][64 rows], from step to step. */
#include "kernels/matmul/panel.h"
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

enum { TOKENS = 6, STRIPS = 2 };

/* Where the tile's tokens begin in each array; tokens are strides apart. */
typedef struct place {
    const matmul_acts *x;
    size_t token, at; /* first token; first element of the step */
    const matmul_panel *panel;
    size_t strip, groups;
    float *acc; /* of the first token and the first of the tile's strips */
} place;

ALWAYS __m512i four_of(const int8_t *p) {
    int32_t v;
    memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
}

/* isum[s][t] of one group of `size` elements from k on. */
ALWAYS void group_sums(const place *p, size_t k, size_t group, size_t size, bool offset, size_t tokens,
                       __m512i isum[STRIPS][TOKENS]) {
    const matmul_acts *x = p->x;
    for (size_t t = 0; t < tokens; t++) {
        __m512i first = _mm512_setzero_si512();
        if (offset) first = _mm512_set1_epi32(x->first[(p->token + t) * x->first_stride + p->at / size + group]);
        for (size_t s = 0; s < STRIPS; s++) isum[s][t] = first;
    }
    const int8_t *q = x->q + p->token * x->q_stride + p->at + k;
#pragma GCC unroll 8
    for (size_t i = 0; i < size / 4; i++) {
        __m512i w[STRIPS];
        for (size_t s = 0; s < STRIPS; s++) w[s] = _mm512_load_si512(p->panel->q[k / 4 + i][p->strip + s]);
        for (size_t t = 0; t < tokens; t++) {
            __m512i v = four_of(q + t * x->q_stride + 4 * i);
            for (size_t s = 0; s < STRIPS; s++) isum[s][t] = _mm512_dpbusd_epi32(isum[s][t], w[s], v);
        }
    }
}

ALWAYS void small_tile(const place *p, size_t size, bool offset, bool minima, size_t tokens) {
    const matmul_acts *x = p->x;
    const matmul_panel *w = p->panel;
    __m512 acc[STRIPS][TOKENS];
    for (size_t t = 0; t < tokens; t++)
        for (size_t s = 0; s < STRIPS; s++) acc[s][t] = _mm512_load_ps(p->acc + PANEL_ROWS * t + 16 * s);
    for (size_t g = 0; g < p->groups; g++) {
        __m512i isum[STRIPS][TOKENS];
        group_sums(p, g * size, g, size, offset, tokens, isum);
        const size_t at = (p->at + g * size) / 32;
        for (size_t s = 0; s < STRIPS; s++) {
            __m512 d = _mm512_load_ps(w->d[g] + 16 * (p->strip + s)), m = d;
            if (minima) m = _mm512_load_ps(w->min[g] + 16 * (p->strip + s));
            for (size_t t = 0; t < tokens; t++) {
                __m512 dx = _mm512_set1_ps(x->d[(p->token + t) * x->d_stride + at]);
                acc[s][t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum[s][t]), _mm512_mul_ps(d, dx), acc[s][t]);
                if (!minima) continue;
                __m512 sum = _mm512_set1_ps(x->d_sums[(p->token + t) * x->d_sums_stride + at]);
                acc[s][t] = _mm512_fmadd_ps(m, sum, acc[s][t]);
            }
        }
    }
    for (size_t t = 0; t < tokens; t++)
        for (size_t s = 0; s < STRIPS; s++) _mm512_store_ps(p->acc + PANEL_ROWS * t + 16 * s, acc[s][t]);
}

ALWAYS __m512i minima_of(const place *p, size_t size, size_t token, size_t strip) {
    const matmul_acts *x = p->x;
    const int16_t *sums = size == 32 ? x->pairs + token * x->pairs_stride : x->sums + token * x->sums_stride;
    sums += p->at / size;
    __m512i all = _mm512_setzero_si512();
    for (size_t j = 0; j < PANEL_STEP / size; j += 2) {
        int32_t two;
        memcpy(&two, sums + j, 4);
        __m512i m = _mm512_load_si512(p->panel->m[j / 2] + 16 * strip);
        all = _mm512_dpwssd_epi32(all, m, _mm512_set1_epi32(two));
    }
    return all;
}

ALWAYS void super_tile(const place *p, size_t size, bool offset, bool minima, size_t tokens) {
    const matmul_acts *x = p->x;
    const matmul_panel *w = p->panel;
    __m512i sum[STRIPS][TOKENS];
    for (size_t g = 0; g < p->groups; g++) {
        __m512i isum[STRIPS][TOKENS];
        group_sums(p, g * size, g, size, offset, tokens, isum);
        for (size_t s = 0; s < STRIPS; s++) {
            __m512i sc = _mm512_load_si512(w->sc[g] + 16 * (p->strip + s));
            for (size_t t = 0; t < tokens; t++) {
                __m512i scaled = _mm512_mullo_epi32(isum[s][t], sc);
                sum[s][t] = g ? _mm512_add_epi32(sum[s][t], scaled) : scaled;
            }
        }
    }
    for (size_t s = 0; s < STRIPS; s++) {
        __m512 d = _mm512_load_ps(w->d[0] + 16 * (p->strip + s)), m = d;
        if (minima) m = _mm512_load_ps(w->min[0] + 16 * (p->strip + s));
        for (size_t t = 0; t < tokens; t++) {
            size_t token = p->token + t;
            float *at = p->acc + PANEL_ROWS * t + 16 * s;
            __m512 dx = _mm512_set1_ps(x->d[token * x->d_stride + p->at / x->d_block]), acc = _mm512_load_ps(at);
            acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[s][t]), _mm512_mul_ps(d, dx), acc);
            if (minima) {
                __m512 all = _mm512_cvtepi32_ps(minima_of(p, size, token, p->strip + s));
                acc = _mm512_fnmadd_ps(all, _mm512_mul_ps(m, dx), acc);
            }
            _mm512_store_ps(at, acc);
        }
    }
}

ALWAYS void tile(const place *p, bool super, size_t size, bool offset, bool minima, size_t tokens) {
    if (super) super_tile(p, size, offset, minima, tokens);
    else small_tile(p, size, offset, minima, tokens);
}

ALWAYS void tiles(place *p, bool super, size_t size, bool offset, bool minima) {
    const size_t all = p->x->tokens;
    float *acc = p->acc;
    for (; p->token + TOKENS <= all; p->token += TOKENS, p->acc += PANEL_ROWS * TOKENS)
        tile(p, super, size, offset, minima, TOKENS);
    switch (all - p->token) {
    case 1: tile(p, super, size, offset, minima, 1); break;
    case 2: tile(p, super, size, offset, minima, 2); break;
    case 3: tile(p, super, size, offset, minima, 3); break;
    case 4: tile(p, super, size, offset, minima, 4); break;
    case 5: tile(p, super, size, offset, minima, 5); break;
    default: break;
    }
    p->token = 0;
    p->acc = acc;
}

static void small_16(place *p) { tiles(p, false, 16, true, false); }
static void small_32(place *p) { tiles(p, false, 32, true, false); }
static void small_32_minima(place *p) { tiles(p, false, 32, false, true); }
static void super_16(place *p) { tiles(p, true, 16, true, false); }
static void super_32(place *p) { tiles(p, true, 32, true, false); }
static void super_16_minima(place *p) { tiles(p, true, 16, false, true); }
static void super_32_minima(place *p) { tiles(p, true, 32, false, true); }

typedef void (*tiles_fn)(place *p);

static tiles_fn tiles_of(const matmul_type *type) {
    if (type->kind == MATMUL_SMALL) return type->minima ? small_32_minima : type->group == 16 ? small_16 : small_32;
    if (type->group == 16) return type->minima ? super_16_minima : super_16;
    return type->minima ? super_32_minima : super_32;
}

static size_t scratch_bytes(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k;
    return sizeof(matmul_panel) + tokens * PANEL_ROWS * sizeof(float);
}

static void rows(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                 size_t y_stride, size_t count, void *scratch) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t step = panel_step(weights), step_bytes = step / tola_dtype_block_elements(weights) *
                                                           (size_t)tola_dtype_block_bytes(weights);
    const tiles_fn all_tiles = tiles_of(type);
    matmul_panel *panel = scratch;
    float *acc = (float *)(panel + 1); /* [tokens][PANEL_ROWS] */
    for (size_t first = 0; first < count; first += PANEL_ROWS) {
        size_t n_rows = count - first < PANEL_ROWS ? count - first : PANEL_ROWS;
        memset(acc, 0, x->tokens * PANEL_ROWS * sizeof *acc);
        for (size_t at = 0; at < x->k; at += step) {
            size_t n = x->k - at < step ? x->k - at : step;
            matmul_panel_unpack_avx512(weights, w + first * row_bytes + at / step * step_bytes, row_bytes, n_rows, n,
                                       panel);
            for (size_t strip = 0; 16 * strip < n_rows; strip += STRIPS) {
                place p = { x, 0, at, panel, strip, n / type->group, acc + 16 * strip };
                all_tiles(&p);
            }
        }
        for (size_t t = 0; t < x->tokens; t++)
            for (size_t r = 0; r < n_rows; r += 16) {
                __mmask16 some = n_rows - r < 16 ? (__mmask16)((1u << (n_rows - r)) - 1) : 0xffff;
                _mm512_mask_storeu_ps(y + t * y_stride + first + r, some, _mm512_load_ps(acc + PANEL_ROWS * t + r));
            }
    }
}

const matmul_tile matmul_tile_avx512vnni = { scratch_bytes, rows };
