/* Many tokens, written once in the words of vector_avx2.h and vector_neon.h; a file of an instruction set includes one
 * of them, then this.
 *
 * Steps of up to 256 elements of 64 rows are unpacked once through the types' `codes`, and all tokens run over them: a
 * tile is 8 rows x 4 tokens. A vector of codes holds 4 consecutive elements of each of ROWS rows and meets the same 4
 * elements of a token in every dword, so that a sum over k stays in its row's dword. Floats are kept in scratch from
 * step to step.
 *
 * A tile's constants (`how`): `run` products may be added up in the parts of products before these are widened. Codes
 * with an offset are kept with it; what it adds is taken away through the sums of the activations. */
#ifndef KERNELS_MATMUL_TILE_BODY_H
#define KERNELS_MATMUL_TILE_BODY_H

#include "kernels/matmul/panel.h"

#define ALWAYS static inline __attribute__((always_inline))

enum { STRIP = 8, STRIPS = PANEL_ROWS / STRIP, VECTORS = STRIP / ROWS, TOKENS = 4 };

/* A step of 8 rows. Integer scales as scale_word gives them, and those of 16 and 16 elements as two int16. */
typedef struct strip {
    _Alignas(64) int8_t q[PANEL_STEP / 4][STRIP][4];
    int32_t sc[16][STRIP];
    int16_t sc_pairs[PANEL_STEP / 32][STRIP][2], m_pairs[PANEL_STEP / 32][STRIP][2];
    float d[16][STRIP], min[8][STRIP]; /* as matmul_panel */
} strip;

typedef struct how {
    bool super, minima, sign, offset; /* offset: that of the type is in the codes */
    size_t size, run;                 /* elements of a group; products of 4 elements to a part */
} how;

/* A tile: where the parts of its first token and element are. */
typedef struct place {
    const strip *w;
    size_t groups; /* groups of the step */
    const int8_t *q;
    const int16_t *sums;
    size_t stride, sums_stride, across; /* from token to token of q and sums; from group to group of the following */
    const float *d, *d_sums;
    const int32_t *first;
    int offset;
    float *acc;          /* [token][STRIP] */
    float *y;            /* NULL until the last step */
    size_t y_stride, rows; /* the rows that there are */
} place;

ALWAYS vi load_vector(const void *p, size_t i) {
    vi v;
    memcpy(&v, (const char *)p + i * sizeof v, sizeof v);
    return v;
}

ALWAYS vf load_floats(const float *p, size_t i) {
    vf v;
    memcpy(&v, p + i * ROWS, sizeof v);
    return v;
}

ALWAYS vi four_of(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return set32(v);
}

/* part[v][t] of h.run products of 4 elements, the first at codes and at k of the tokens. */
ALWAYS void run_of(how h, const int8_t (*codes)[STRIP][4], const int8_t *const q[TOKENS], size_t k, size_t tokens,
                   vi part[VECTORS][TOKENS]) {
#pragma GCC unroll 8
    for (size_t i = 0; i < h.run; i++) {
        vi w[VECTORS];
        for (size_t v = 0; v < VECTORS; v++) w[v] = load_vector(codes[i], v);
#pragma GCC unroll 4
        for (size_t t = 0; t < tokens; t++) {
            vi x = four_of(q[t] + k + 4 * i);
            for (size_t v = 0; v < VECTORS; v++) {
                if (h.sign) part[v][t] = i ? dot_signed_add(part[v][t], w[v], x) : dot_signed(w[v], x);
                else part[v][t] = i ? dot_add(part[v][t], w[v], x) : dot(w[v], x);
            }
        }
    }
}

ALWAYS void small_tile(const place *p, how h, size_t tokens) {
    const size_t across = p->across, runs = h.size / 4 / h.run;
    const float *d = p->d, *d_sums = p->d_sums;
    const int32_t *first = p->first;
    const int8_t *q[TOKENS];
    vf acc[VECTORS][TOKENS];
    for (size_t t = 0; t < tokens; t++) {
        q[t] = p->q + t * p->stride;
        for (size_t v = 0; v < VECTORS; v++) acc[v][t] = load_floats(p->acc + STRIP * t, v);
    }
    for (size_t g = 0; g < p->groups; g++) {
        vi isum[VECTORS][TOKENS], part[VECTORS][TOKENS];
#pragma GCC unroll 1 /* unrolled, the parts of several runs are spilled: a sixth slower with q8_0 on AVX2 */
        for (size_t r = 0; r < runs; r++) {
            run_of(h, p->w->q + g * h.size / 4 + r * h.run, q, g * h.size + 4 * r * h.run, tokens, part);
            for (size_t t = 0; t < tokens; t++)
                for (size_t v = 0; v < VECTORS; v++)
                    isum[v][t] = r ? add32(isum[v][t], widen(part[v][t])) : widen(part[v][t]);
        }
        for (size_t v = 0; v < VECTORS; v++) {
            vf dw = load_floats(p->w->d[g], v);
            for (size_t t = 0; t < tokens; t++) {
                if (h.offset) isum[v][t] = add32(isum[v][t], set32(first[t]));
                acc[v][t] = fma_f(to_f(isum[v][t]), mul_f(dw, set_f(d[t])), acc[v][t]);
                if (h.minima) acc[v][t] = fma_f(load_floats(p->w->min[g], v), set_f(d_sums[t]), acc[v][t]);
            }
        }
        first += h.offset ? across : 0;
        d_sums += h.minima ? across : 0;
        d += h.size == 32 ? across : g % 2 * across; /* two groups of 16 share the activations' scale */
    }
    for (size_t t = 0; t < tokens; t++)
        for (size_t v = 0; v < VECTORS; v++) store_f(p->acc + STRIP * t + ROWS * v, acc[v][t]);
}

/* Sum over the step of integers of each 16 elements of the rows by the sums of a token's activations. */
ALWAYS vi by_sums(const int16_t (*pairs)[STRIP][2], const int16_t *sums, size_t n, size_t v) {
    vi all = zero();
    for (size_t j = 0; j < n; j++) all = madd16(all, load_vector(pairs[j], v), four_of(sums + 2 * j));
    return all;
}

ALWAYS void super_tile(const place *p, how h, size_t tokens) {
    const size_t runs = h.size / 4 / h.run, n_pairs = p->groups * h.size / 32;
    const int8_t *q[TOKENS];
    vi sum[VECTORS][TOKENS];
    for (size_t t = 0; t < tokens; t++) {
        q[t] = p->q + t * p->stride;
        for (size_t v = 0; v < VECTORS; v++) sum[v][t] = zero();
    }
    for (size_t g = 0; g < p->groups; g++) {
#pragma GCC unroll 1
        for (size_t r = 0; r < runs; r++) {
            vi part[VECTORS][TOKENS];
            run_of(h, p->w->q + g * h.size / 4 + r * h.run, q, g * h.size + 4 * r * h.run, tokens, part);
            for (size_t v = 0; v < VECTORS; v++) {
                vi scale = load_vector(p->w->sc[g], v);
                for (size_t t = 0; t < tokens; t++) sum[v][t] = scale_add(sum[v][t], part[v][t], scale);
            }
        }
    }
    for (size_t v = 0; v < VECTORS; v++) {
        vf d = load_floats(p->w->d[0], v), min = d;
        if (h.minima) min = load_floats(p->w->min[0], v);
        for (size_t t = 0; t < tokens; t++) {
            const int16_t *sums = p->sums + t * p->sums_stride;
            vf dx = set_f(p->d[t]), acc = load_floats(p->acc + STRIP * t, v);
            vi all = sum[v][t];
            if (h.offset) all = sub32(all, mul32(by_sums(p->w->sc_pairs, sums, n_pairs, v), set32(p->offset)));
            acc = fma_f(to_f(all), mul_f(d, dx), acc);
            if (h.minima) acc = fnma_f(to_f(by_sums(p->w->m_pairs, sums, n_pairs, v)), mul_f(min, dx), acc);
            store_f(p->acc + STRIP * t + ROWS * v, acc);
        }
    }
}

ALWAYS void tile(const place *p, how h, size_t tokens) {
    if (h.super) super_tile(p, h, tokens);
    else small_tile(p, h, tokens);
    for (size_t t = 0; p->y && t < tokens; t++) {
        if (p->rows == STRIP) memcpy(p->y + t * p->y_stride, p->acc + t * STRIP, STRIP * sizeof *p->y);
        else memcpy(p->y + t * p->y_stride, p->acc + t * STRIP, p->rows * sizeof *p->y);
    }
}

ALWAYS void tiles(place p, size_t tokens, how h) {
    for (; tokens >= TOKENS; tokens -= TOKENS) {
        tile(&p, h, TOKENS);
        p.q += TOKENS * p.stride;
        p.sums += TOKENS * p.sums_stride;
        p.d += TOKENS;
        p.acc += TOKENS * STRIP;
        if (h.offset) p.first += TOKENS;
        if (h.minima && !h.super) p.d_sums += TOKENS;
        if (p.y) p.y += TOKENS * p.y_stride;
    }
    switch (tokens) {
    case 1: tile(&p, h, 1); break;
    case 2: tile(&p, h, 2); break;
    case 3: tile(&p, h, 3); break;
    default: break;
    }
}

typedef void (*tiles_fn)(place p, size_t tokens);

/* n elements (at most a step, whole blocks) of the rows at w; those beyond `count` repeat the last one. */
static void unpack(tola_dtype weights, bool offset, const uint8_t *w, size_t row_bytes, size_t count, size_t n,
                   strip *out) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t block = tola_dtype_block_elements(weights), bytes = tola_dtype_block_bytes(weights);
    const size_t groups = block / type->group;
    const int8_t more = (int8_t)(offset ? type->offset : 0);
    for (size_t r = 0; r < STRIP; r++) {
        const uint8_t *row = w + (r < count ? r : count - 1) * row_bytes;
        for (size_t i = 0; i < n; i += block, row += bytes) {
            matmul_codes c;
            type->codes(row, &c);
            for (size_t j = 0; more && j < block; j++) c.q[j] = (int8_t)(c.q[j] + more);
            for (size_t j = 0; j < block; j += 4) memcpy(out->q[(i + j) / 4][r], c.q + j, 4);
            if (type->kind == MATMUL_SMALL) {
                for (size_t g = 0; g < groups; g++) out->d[i / type->group + g][r] = c.d[g];
                for (size_t g = 0; type->minima && g < groups; g++) out->min[i / type->group + g][r] = c.min[g];
                continue;
            }
            out->d[0][r] = c.d[0];
            for (size_t g = 0; g < groups; g++) out->sc[g][r] = scale_word(c.sc[g * type->group / 16]);
            for (size_t j = 0; more && j < block / 32; j++) memcpy(out->sc_pairs[j][r], c.sc + 2 * j, 4);
            if (!type->minima) continue;
            out->min[0][r] = c.min[0];
            for (size_t j = 0; j < block / 32; j++) memcpy(out->m_pairs[j][r], c.m + 2 * j, 4);
        }
    }
}

static size_t tile_scratch(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k;
    return (sizeof(strip) + tokens * STRIP * sizeof(float)) * STRIPS;
}

ALWAYS void tile_rows(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                      size_t y_stride, size_t count, void *scratch, tiles_fn all_tiles, bool offset) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t step = panel_step(weights), step_bytes = step / tola_dtype_block_elements(weights) *
                                                           (size_t)tola_dtype_block_bytes(weights);
    strip *panel = scratch;
    float *acc = (float *)(panel + STRIPS); /* [STRIPS][tokens][STRIP] */
    for (size_t first = 0; first < count; first += PANEL_ROWS) {
        size_t n_rows = count - first < PANEL_ROWS ? count - first : PANEL_ROWS;
        memset(acc, 0, x->tokens * PANEL_ROWS * sizeof *acc);
        for (size_t at = 0; at < x->k; at += step) {
            size_t n = x->k - at < step ? x->k - at : step;
            place p = { .groups = n / type->group, .q = x->q + at, .stride = x->q_stride, .across = x->across,
                        .sums = x->sums + at / 16, .sums_stride = x->sums_stride, .offset = type->offset };
            p.d = x->d_across + at / x->d_block * x->across;
            if (x->first_across) p.first = x->first_across + at / type->group * x->across;
            if (x->d_sums) p.d_sums = x->d_sums + at / 32 * x->across;
            for (size_t s = 0; s * STRIP < n_rows; s++) {
                size_t row = first + s * STRIP;
                p.rows = count - row < STRIP ? count - row : STRIP;
                unpack(weights, offset, w + row * row_bytes + at / step * step_bytes, row_bytes, p.rows, n, panel + s);
                p.w = panel + s;
                p.acc = acc + s * x->tokens * STRIP;
                p.y = at + n == x->k ? y + row : NULL;
                p.y_stride = y_stride;
                all_tiles(p, x->tokens);
            }
        }
    }
}

#endif
