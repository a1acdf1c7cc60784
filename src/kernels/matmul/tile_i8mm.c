/* Many tokens with the matrix products of ARMv8.6: SMMLA adds 2 rows x 8 elements by 8 elements x 2 tokens to 2 x 2
 * dwords, twice what SDOT does.
 *
 * As in tile_body.h steps of up to 256 elements of 64 rows are unpacked once through the types' `codes`, and all tokens
 * run over them, 8 rows x 4 tokens at a time; but all that a tile meets is in the order of its vectors: (row 0, token
 * 0), (row 0, token 1), (row 1, token 0), (row 1, token 1). What belongs to a row lies there twice, two tokens side by
 * side are loaded twice. Codes have their signs and need no offset. */
#include "kernels/matmul/panel.h"

#if defined(__aarch64__)
#include "kernels/matmul/vector_neon.h"

#define ALWAYS static inline __attribute__((always_inline))

/* A tile takes 8 registers for products, 8 for what they are added to, 4 for codes and 2 for activations, of 32. */
enum { STRIP = 8, STRIPS = PANEL_ROWS / STRIP, VECTORS = STRIP / 2, TOKENS = 4, PAIRS = TOKENS / 2 };

/* A step of 8 rows. */
typedef struct strip {
    _Alignas(64) int8_t q[PANEL_STEP / 8][STRIP][8];
    int32_t sc[16][STRIP][2];   /* super-blocks: of each group */
    int16_t m[8][STRIP][2][2];  /* the same of the minima: of groups 2 i and 2 i + 1 */
    float d[16][STRIP][2], min[8][STRIP][2]; /* as matmul_panel */
} strip;

typedef struct how {
    bool super, minima;
    size_t size; /* elements of a group */
} how;

/* A tile: where the parts of its first two tokens are; those of the next two lie 2 numbers or a `stride` further. */
typedef struct place {
    const strip *w;
    size_t groups, stride, across; /* groups of the step; from pair to pair of q; from group to group of what follows */
    const int8_t *q;
    const float *d, *d_sums;
    const int32_t *sums;
    float (*acc)[VECTORS][4]; /* of each pair of tokens */
} place;

ALWAYS vi zip_twice(const void *two_tokens) {
    int64_t both;
    memcpy(&both, two_tokens, sizeof both);
    return of_s64(vdupq_n_s64(both));
}

ALWAYS vf floats_twice(const float *two_tokens) { return as_f(zip_twice(two_tokens)); }

ALWAYS vi two_rows(const void *p, size_t v) { return load_same((const char *)p + 16 * v); }

/* The products of h.size elements, the first at k of the step. */
ALWAYS void products(const place *p, how h, size_t k, size_t pairs, vi part[VECTORS][PAIRS]) {
    for (size_t v = 0; v < VECTORS; v++)
        for (size_t t = 0; t < pairs; t++) part[v][t] = zero();
#pragma GCC unroll 4
    for (size_t i = k; i < k + h.size; i += 8) {
        vi w[VECTORS];
        for (size_t v = 0; v < VECTORS; v++) w[v] = two_rows(p->w->q[i / 8], v);
        for (size_t t = 0; t < pairs; t++) {
            const vi x = load_same(p->q + t * p->stride + 2 * i);
            for (size_t v = 0; v < VECTORS; v++) part[v][t] = vmmlaq_s32(part[v][t], s8(w[v]), s8(x));
        }
    }
}

ALWAYS void small_tile(const place *p, how h, size_t pairs) {
    vf acc[VECTORS][PAIRS];
    for (size_t t = 0; t < pairs; t++)
        for (size_t v = 0; v < VECTORS; v++) acc[v][t] = vld1q_f32(p->acc[t][v]);
    for (size_t g = 0; g < p->groups; g++) {
        const float *d = p->d + g * h.size / 32 * p->across;
        vi part[VECTORS][PAIRS];
        products(p, h, g * h.size, pairs, part);
        for (size_t t = 0; t < pairs; t++) {
            const vf dx = floats_twice(d + 2 * t);
            vf d_sum = dx;
            if (h.minima) d_sum = floats_twice(p->d_sums + g * p->across + 2 * t);
            for (size_t v = 0; v < VECTORS; v++) {
                acc[v][t] = fma_f(to_f(part[v][t]), mul_f(as_f(two_rows(p->w->d[g], v)), dx), acc[v][t]);
                if (h.minima) acc[v][t] = fma_f(as_f(two_rows(p->w->min[g], v)), d_sum, acc[v][t]);
            }
        }
    }
    for (size_t t = 0; t < pairs; t++)
        for (size_t v = 0; v < VECTORS; v++) store_f(p->acc[t][v], acc[v][t]);
}

ALWAYS void super_tile(const place *p, how h, size_t pairs) {
    vi sum[VECTORS][PAIRS];
    for (size_t t = 0; t < pairs; t++)
        for (size_t v = 0; v < VECTORS; v++) sum[v][t] = zero();
    for (size_t g = 0; g < p->groups; g++) {
        vi part[VECTORS][PAIRS];
        products(p, h, g * h.size, pairs, part);
        for (size_t v = 0; v < VECTORS; v++) {
            const vi scale = two_rows(p->w->sc[g], v);
            for (size_t t = 0; t < pairs; t++) sum[v][t] = scale_add(sum[v][t], part[v][t], scale);
        }
    }
    for (size_t t = 0; t < pairs; t++) {
        const vf dx = floats_twice(p->d + 2 * t);
        for (size_t v = 0; v < VECTORS; v++) {
            vf acc = vld1q_f32(p->acc[t][v]);
            acc = fma_f(to_f(sum[v][t]), mul_f(as_f(two_rows(p->w->d[0], v)), dx), acc);
            if (h.minima) {
                vi all = zero();
                for (size_t g = 0; g < p->groups / 2; g++)
                    all = madd16(all, two_rows(p->w->m[g], v), zip_twice(p->sums + g * p->across + 2 * t));
                acc = fnma_f(to_f(all), mul_f(as_f(two_rows(p->w->min[0], v)), dx), acc);
            }
            store_f(p->acc[t][v], acc);
        }
    }
}

ALWAYS void tile(const place *p, how h, size_t pairs) {
    if (h.super) super_tile(p, h, pairs);
    else small_tile(p, h, pairs);
}

ALWAYS void tiles(place p, size_t tokens, how h) {
    for (; tokens > 2; tokens -= tokens < TOKENS ? tokens : TOKENS) {
        tile(&p, h, PAIRS);
        p.q += PAIRS * p.stride;
        p.d += TOKENS;
        p.acc += PAIRS;
        if (h.minima && h.super) p.sums += TOKENS;
        if (h.minima && !h.super) p.d_sums += TOKENS;
    }
    if (tokens > 0) tile(&p, h, 1);
}

static void small_16(place p, size_t tokens) { tiles(p, tokens, (how){ .size = 16 }); }
static void small_32(place p, size_t tokens) { tiles(p, tokens, (how){ .size = 32 }); }
static void small_minima(place p, size_t tokens) { tiles(p, tokens, (how){ .size = 32, .minima = true }); }
static void super_16(place p, size_t tokens) { tiles(p, tokens, (how){ .super = true, .size = 16 }); }
static void super_32(place p, size_t tokens) { tiles(p, tokens, (how){ .super = true, .size = 32 }); }
static void super_16_minima(place p, size_t tokens) {
    tiles(p, tokens, (how){ .super = true, .size = 16, .minima = true });
}
static void super_32_minima(place p, size_t tokens) {
    tiles(p, tokens, (how){ .super = true, .size = 32, .minima = true });
}

typedef void (*tiles_fn)(place p, size_t tokens);

static tiles_fn tiles_of(const matmul_type *type) {
    const bool sixteen = type->group == 16;
    if (type->kind == MATMUL_SMALL) return type->minima ? small_minima : sixteen ? small_16 : small_32;
    if (sixteen) return type->minima ? super_16_minima : super_16;
    return type->minima ? super_32_minima : super_32;
}

/* n elements (at most a step, whole blocks) of the rows at w; those beyond `count` repeat the last one. */
static void unpack(tola_dtype weights, const uint8_t *w, size_t row_bytes, size_t count, size_t n, strip *out) {
    const matmul_type *type = matmul_type_get(weights);
    const bool super = type->kind == MATMUL_SUPER;
    const size_t block = tola_dtype_block_elements(weights), bytes = tola_dtype_block_bytes(weights);
    const size_t groups = block / type->group, wide = type->group / 16;
    for (size_t r = 0; r < STRIP; r++) {
        const uint8_t *row = w + (r < count ? r : count - 1) * row_bytes;
        for (size_t i = 0; i < n; i += block, row += bytes) {
            const size_t first = i / type->group;
            matmul_codes c;
            type->codes(row, &c);
            for (size_t j = 0; j < block; j += 8) memcpy(out->q[(i + j) / 8][r], c.q + j, 8);
            for (size_t g = 0; g < (super ? 1 : groups); g++) {
                out->d[first + g][r][0] = out->d[first + g][r][1] = c.d[g];
                if (type->minima) out->min[first + g][r][0] = out->min[first + g][r][1] = c.min[g];
            }
            for (size_t g = 0; super && g < groups; g++) {
                out->sc[g][r][0] = out->sc[g][r][1] = c.sc[g * wide];
                if (type->minima) out->m[g / 2][r][0][g % 2] = out->m[g / 2][r][1][g % 2] = c.m[g * wide];
            }
        }
    }
}

/* The sums of a tile to where they belong. */
static void give(const float (*acc)[VECTORS][4], size_t tokens, size_t rows, float *y, size_t y_stride) {
    for (size_t t = 0; t < tokens; t++)
        for (size_t r = 0; r < rows; r++) y[t * y_stride + r] = acc[t / 2][r / 2][r % 2 * 2 + t % 2];
}

static size_t pairs_of(size_t tokens) { return tokens / 2 + tokens % 2; }

static size_t scratch_bytes(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k;
    return (sizeof(strip) + pairs_of(tokens) * STRIP * 2 * sizeof(float)) * STRIPS;
}

static void rows_i8mm(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                      size_t y_stride, size_t count, void *scratch) {
    const matmul_type *type = matmul_type_get(weights);
    const tiles_fn all_tiles = tiles_of(type);
    const size_t step = panel_step(weights), step_bytes = step / tola_dtype_block_elements(weights) *
                                                           (size_t)tola_dtype_block_bytes(weights);
    const size_t pairs = pairs_of(x->tokens);
    strip *panel = scratch;
    float (*acc)[VECTORS][4] = (float (*)[VECTORS][4])(panel + STRIPS); /* [STRIPS][pairs] */
    for (size_t first = 0; first < count; first += PANEL_ROWS) {
        const size_t n_rows = count - first < PANEL_ROWS ? count - first : PANEL_ROWS;
        memset(acc, 0, STRIPS * pairs * sizeof *acc);
        for (size_t at = 0; at < x->k; at += step) {
            const size_t n = x->k - at < step ? x->k - at : step;
            place p = { .groups = n / type->group, .q = x->q_pairs + 2 * at, .stride = 2 * x->q_stride };
            p.across = x->across;
            p.d = x->d_across + at / x->d_block * x->across;
            if (x->d_sums) p.d_sums = x->d_sums + at / 32 * x->across;
            if (x->pairs) p.sums = x->pairs + at / type->group / 2 * x->across;
            for (size_t s = 0; s * STRIP < n_rows; s++) {
                const size_t row = first + s * STRIP, rows = count - row < STRIP ? count - row : STRIP;
                unpack(weights, w + row * row_bytes + at / step * step_bytes, row_bytes, rows, n, panel + s);
                p.w = panel + s;
                p.acc = acc + s * pairs;
                all_tiles(p, x->tokens);
                if (at + n == x->k)
                    give((const float (*)[VECTORS][4])p.acc, x->tokens, rows, y + row, y_stride);
            }
        }
    }
}

const matmul_tile matmul_tile_i8mm = { scratch_bytes, rows_i8mm, 32 };
#endif
