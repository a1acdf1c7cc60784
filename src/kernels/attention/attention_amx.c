/* Attention with AMX: a page as two products of tiles of bf16 (attention.h, "With AMX").
 *
 * The 16 rows of a tile of the first operand are queries, or their weights; the second operand is the page's keys or
 * values, made into tiles once for all queries: row r of such a tile holds numbers r and r + 16 of 32, side by side,
 * and the first operand's rows hold them in that order, too, which is the cheapest to make on both sides. 32 queries go
 * through a page together, with their scores and weights in the first cache. */
#if defined(__x86_64__)
#define LANES_AVX512
#define ATTENTION_TABLE attention_amx
#define ATTENTION_TILES tile_queries, tile_page, tile_scratch
#include "kernels/attention/attention_kernels.h"
#include "kernels/tiles_amx.h"
#include "kernels/two_bf16_avx512.h"

static void tile_queries(const attention_queries *q, size_t dim, uint16_t *tiles);
static void tile_page(const attention_call *c, const attention_head *h, const attention_pages *pages, float *scratch);
static size_t tile_scratch(const attention_head *h);

#include "kernels/attention/attention_body.h"

enum { TILE = 512, BLOCK = 32, STEP = 32, GROUPS = PAGE / 16, NOT_FINITE = 0x99 /* of vfpclassps: NaN, infinity */ };

/* ---- numbers as two bf16 ---- */

/* Numbers r and r + 16 of a step, 16 of each, to a row of a tile, and their second numbers to one of another. */
INLINE void put_nearest(vf low, vf high, uint16_t *first, uint16_t *second) {
    const vf low1 = bf16_nearest(low), high1 = bf16_nearest(high);
    _mm512_store_si512(first, bf16_pairs(low1, high1));
    _mm512_store_si512(second, bf16_nearest_pairs(v_sub(low, low1), v_sub(high, high1)));
}

/* [n / 16][dim / 32][first, second][16 queries][32]; what is missing is zero. */
static void tile_queries(const attention_queries *q, size_t dim, uint16_t *tiles) {
    const size_t chunks = (dim + STEP - 1) / STEP;
    const vf scale = v_set(q->scale);
    for (size_t i = 0; i < (q->n + 15) / 16 * 16; i++) {
        const float *from = i < q->n ? q->x + i / q->heads * q->stride + i % q->heads * dim : q->x;
        for (size_t k = 0; k < chunks; k++) {
            uint16_t *to = tiles + (i / 16 * chunks + k) * 2 * TILE + i % 16 * STEP;
            const size_t left = dim - k * STEP;
            const __mmask32 some = i >= q->n ? 0 : left < STEP ? (__mmask32)((1u << left) - 1) : 0xffffffff;
            const vf low = v_mul(_mm512_maskz_loadu_ps((__mmask16)some, from + k * STEP), scale);
            const vf high = v_mul(_mm512_maskz_loadu_ps((__mmask16)(some >> 16), from + k * STEP + 16), scale);
            const vf low1 = bf16_rounded(low), high1 = bf16_rounded(high);
            _mm512_store_si512(to, bf16_pairs(low1, high1));
            _mm512_store_si512(to + TILE, bf16_nearest_pairs(v_sub(low, low1), v_sub(high, high1)));
        }
    }
}

/* ---- keys and values as tiles ---- */

INLINE vf numbers(tola_dtype type, const uint8_t *p) {
    if (type == TOLA_DTYPE_F32) return _mm512_loadu_ps(p);
    if (type == TOLA_DTYPE_F16) return v_load_half(p);
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/* 32 rows of `groups` * 16 numbers, of which `count` are there, `stride` bytes apart, to tiles [first, second]
 * [groups], or [groups] where the first number is all. Asks for as much at `ahead`. Is all of it finite? */
INLINE bool put_step(tola_dtype type, const void *rows, size_t stride, size_t count, size_t groups, uint16_t *to,
                     const void *ahead) {
    const size_t bytes = type == TOLA_DTYPE_F32 ? 64 : 32; /* of 16 numbers */
    vm bad = 0;
    for (size_t r = 0; r < 16; r++)
        for (size_t g = 0; g < groups; g++) {
            const size_t at = r * stride + g * bytes;
            const uint8_t *p = (const uint8_t *)rows + at;
            uint16_t *const first = to + g * TILE + r * STEP, *const second = first + groups * TILE;
            const vf low = r < count ? numbers(type, p) : v_set(0);
            const vf high = r + 16 < count ? numbers(type, p + 16 * stride) : v_set(0);
            const vf low2 = v_sub(low, bf16_cut(low)), high2 = v_sub(high, bf16_cut(high));
            bad |= _mm512_fpclass_ps_mask(low, NOT_FINITE) | _mm512_fpclass_ps_mask(high, NOT_FINITE);
            _mm512_store_si512(first, bf16_pairs(low, high));
            if (type == TOLA_DTYPE_F16) _mm512_store_si512(second, bf16_pairs(low2, high2)); /* of few bits */
            if (type == TOLA_DTYPE_F32) _mm512_store_si512(second, bf16_nearest_pairs(low2, high2));
            if (ahead && g % 2 == 0) {
                __builtin_prefetch((const uint8_t *)ahead + at, 0, 2);
                __builtin_prefetch((const uint8_t *)ahead + at + 16 * stride, 0, 2);
            }
        }
    return bad == 0;
}

/* Rows as they lie in a page of f16 or bf16, or of floats. */
static bool put_rows(tola_dtype type, const void *rows, size_t stride, size_t count, size_t groups, uint16_t *to,
                     const void *ahead) {
    switch (type) {
    case TOLA_DTYPE_F16: return put_step(TOLA_DTYPE_F16, rows, 2 * stride, count, groups, to, ahead);
    case TOLA_DTYPE_BF16: return put_step(TOLA_DTYPE_BF16, rows, 2 * stride, count, groups, to, ahead);
    default: return put_step(TOLA_DTYPE_F32, rows, 4 * stride, count, groups, to, ahead);
    }
}

static const void *further(const void *p, size_t bytes) { return p ? (const uint8_t *)p + bytes : NULL; }

static bool is_half(tola_dtype type) { return type == TOLA_DTYPE_F16 || type == TOLA_DTYPE_BF16; }

static size_t numbers_of(tola_dtype type) { return type == TOLA_DTYPE_BF16 ? 1 : 2; }

/* A thread's scratch. Tiles of weights: [rows / 16][64 / 32][first, second]. */
typedef struct tile_room {
    _Alignas(64) float scores[BLOCK][PAGE], floats[PAGE * PAGE], kept[BLOCK][PAGE], by[BLOCK];
    _Alignas(64) uint16_t weights[BLOCK / 16][PAGE / STEP][2][16][STEP];
    uint16_t tiles[]; /* of the keys, then of the panels of values */
} tile_room;

/* At most, where there are second numbers. */
static size_t tiles_of_keys(size_t dim) { return (dim + STEP - 1) / STEP * 2 * GROUPS; }
static size_t tiles_of_values(size_t dim) { return (dim + 15) / 16 * 2 * (PAGE / STEP); }

static size_t tile_scratch(const attention_head *h) {
    return sizeof(tile_room) + (tiles_of_keys(h->key_dim) + tiles_of_values(h->value_dim)) * TILE * sizeof(uint16_t);
}

static void ask(const void *p, size_t bytes) {
    for (size_t i = 0; p && i < bytes; i += 64) __builtin_prefetch((const uint8_t *)p + i, 0, 2);
}

/* A page's keys to [dim / 32][first, second][4 groups of slots]. */
static void put_keys(tola_dtype type, size_t dim, const attention_pages *pages, uint16_t *to, float *room) {
    const uint8_t *from = pages->keys, *ahead = pages->next_keys;
    const size_t bytes = attention_bytes(type, STEP);
    for (size_t d = 0; d < dim; d += STEP, from += bytes, ahead = further(ahead, bytes)) {
        const size_t count = dim - d < STEP ? dim - d : STEP;
        if (is_half(type)) {
            (void)put_rows(type, from, PAGE, count, GROUPS, to, ahead);
        } else {
            const float *floats = attention_keys_floats(&attention_amx, type, from, count, room);
            ask(ahead, bytes);
            (void)put_rows(TOLA_DTYPE_F32, floats, PAGE, count, GROUPS, to, NULL);
        }
        to += numbers_of(type) * GROUPS * TILE;
    }
}

/* A panel of `dim` columns of a page's values to [64 / 32][first, second][groups of columns]. Is it finite? */
static bool put_values(tola_dtype type, size_t dim, const void *from, const void *ahead, uint16_t *to, float *room) {
    const size_t groups = (dim + 15) / 16, width = 16 * groups, step = numbers_of(type) * groups * TILE;
    bool finite = true;
    for (size_t t = 0; t < PAGE / STEP; t++, to += step) {
        const size_t before = t * STEP * dim * 2;
        if (is_half(type) && width == dim) {
            const void *rows = further(from, before), *next = further(ahead, before);
            finite = put_rows(type, rows, dim, STEP, groups, to, next) && finite;
        } else {
            if (t == 0) {
                ask(ahead, attention_bytes(type, dim));
                from = attention_values_floats(&attention_amx, type, from, dim, room);
            }
            /* second numbers of bf16, which are zero, lie where the next step's first will */
            const float *rows = (const float *)from + t * STEP * width;
            finite = put_rows(TOLA_DTYPE_F32, rows, width, STEP, groups, to, NULL) && finite;
        }
    }
    return finite;
}

/* The same panel, with zero for what is not finite. */
static void put_finite_values(tola_dtype type, size_t dim, const void *from, uint16_t *to, float *room) {
    const size_t groups = (dim + 15) / 16, width = 16 * groups;
    (void)attention_values_floats(&attention_amx, type, from, dim, room);
    for (size_t j = 0; j < PAGE * width; j++)
        if (!isfinite(room[j])) room[j] = 0;
    for (size_t t = 0; t < PAGE / STEP; t++)
        (void)put_rows(TOLA_DTYPE_F32, room + t * STEP * width, width, STEP, groups,
                       to + t * numbers_of(type) * groups * TILE, NULL);
}

/* ---- products ---- */

/* c += a b, or c = a b `fresh`: a are queries, or weights, as [rows / 16][chunks][first, second] tiles, b as [chunks]
 * [first, second][groups] tiles, where it has second numbers. For each chunk second x first, first x first, first x
 * second numbers, whatever lies beside. */
typedef struct tile_product {
    const uint16_t *a, *b;
    size_t chunks, groups;
    bool both; /* b has second numbers */
    float *c;
    size_t stride; /* floats */
} tile_product;

INLINE void square_of_tiles(bool low, bool right) {
    _tile_dpbf16ps(0, 4, 6);
    if (right) _tile_dpbf16ps(1, 4, 7);
    if (low) _tile_dpbf16ps(2, 5, 6);
    if (low && right) _tile_dpbf16ps(3, 5, 7);
}

/* 16 rows, or 32 (low), x 16 columns, or 32 (right), from group g on. */
INLINE void square(const tile_product *p, size_t g, bool low, bool right, bool both, bool fresh) {
    const size_t below = p->chunks * 2 * TILE, second = p->groups * TILE, line = p->stride * sizeof *p->c;
    const uint16_t *a = p->a, *b = p->b + g * TILE;
    float *const c = p->c + 16 * g, *const c_low = c + 16 * p->stride;
    if (fresh) {
        _tile_zero(0);
        if (right) _tile_zero(1);
        if (low) _tile_zero(2);
        if (low && right) _tile_zero(3);
    } else {
        _tile_loadd(0, c, line);
        if (right) _tile_loadd(1, c + 16, line);
        if (low) _tile_loadd(2, c_low, line);
        if (low && right) _tile_loadd(3, c_low + 16, line);
    }
    for (size_t k = 0; k < p->chunks; k++, a += 2 * TILE, b += both ? 2 * second : second) {
        const bool end = k + 1 == p->chunks;
        _tile_loadd(4, a + TILE, 64);
        _tile_loadd(6, b, 64);
        if (right) _tile_loadd(7, b + TILE, 64);
        if (low) _tile_loadd(5, a + below + TILE, 64);
        square_of_tiles(low, right);
        _tile_loadd(4, a, 64);
        if (low) _tile_loadd(5, a + below, 64);
        if (both) {
            square_of_tiles(low, right);
            _tile_loadd(6, b + second, 64);
            if (right) _tile_loadd(7, b + second + TILE, 64);
        }
        _tile_dpbf16ps(0, 4, 6);
        if (right) _tile_dpbf16ps(1, 4, 7);
        if (low) _tile_dpbf16ps(2, 5, 6);
        if (end) _tile_stored(0, c, line);
        if (low && right) _tile_dpbf16ps(3, 5, 7);
        if (end && right) _tile_stored(1, c + 16, line);
    }
    if (low) _tile_stored(2, c_low, line);
    if (low && right) _tile_stored(3, c_low + 16, line);
}

#define LINE(of_a, b)                       \
    do {                                    \
        _tile_loadd(6, b, 64);              \
        _tile_dpbf16ps(0, of_a, 6);         \
        _tile_loadd(7, (b) + TILE, 64);     \
        _tile_dpbf16ps(1, of_a, 7);         \
        _tile_loadd(6, (b) + 2 * TILE, 64); \
        _tile_dpbf16ps(2, of_a, 6);         \
        _tile_loadd(7, (b) + 3 * TILE, 64); \
        _tile_dpbf16ps(3, of_a, 7);         \
    } while (0)

/* Up to 16 rows x 64 columns: four sums are what keeps the tiles busy. */
INLINE void line_of_tiles(const tile_product *p, bool both, bool fresh) {
    const size_t second = GROUPS * TILE, line = p->stride * sizeof *p->c;
    const uint16_t *a = p->a, *b = p->b;
    if (fresh) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, p->c, line);
        _tile_loadd(1, p->c + 16, line);
        _tile_loadd(2, p->c + 32, line);
        _tile_loadd(3, p->c + 48, line);
    }
    for (size_t k = 0; k < p->chunks; k++, a += 2 * TILE, b += both ? 2 * second : second) {
        _tile_loadd(4, a + TILE, 64);
        _tile_loadd(5, a, 64);
        LINE(4, b);
        LINE(5, b);
        if (both) LINE(5, b + second);
    }
    _tile_stored(0, p->c, line);
    _tile_stored(1, p->c + 16, line);
    _tile_stored(2, p->c + 32, line);
    _tile_stored(3, p->c + 48, line);
}

INLINE void multiply_tiles(const tile_product *p, size_t rows, bool both, bool fresh) {
    settle();
    if (rows <= 16 && p->groups == GROUPS) {
        line_of_tiles(p, both, fresh);
    } else {
        for (size_t g = 0; g < p->groups; g += 2) {
            const bool right = g + 1 < p->groups;
            if (rows > 16 && right) square(p, g, true, true, both, fresh);
            else if (rows > 16) square(p, g, true, false, both, fresh);
            else if (right) square(p, g, false, true, both, fresh);
            else square(p, g, false, false, both, fresh);
        }
    }
    settle();
}

static void fresh_one(const tile_product *p, size_t rows) { multiply_tiles(p, rows, false, true); }
static void fresh_both(const tile_product *p, size_t rows) { multiply_tiles(p, rows, true, true); }
static void more_one(const tile_product *p, size_t rows) { multiply_tiles(p, rows, false, false); }
static void more_both(const tile_product *p, size_t rows) { multiply_tiles(p, rows, true, false); }

/* ---- 32 queries ---- */

static bool sees_nothing(const attention_call *c, size_t i) { return c->first[i] == c->last[i]; }

/* One number of each of 16 vectors: s[l] op s[l + 8], of those s[l] op s[l + 4], and so on, as v_fold does; that of
 * vector r in lane r. */
INLINE vf fold_16(const vf *v, vf (*op)(vf a, vf b)) {
    vf four[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const vf w = v[j], x = v[j + 4], y = v[j + 8], z = v[j + 12];
        const vf a = op(_mm512_shuffle_f32x4(w, x, 0x44), _mm512_shuffle_f32x4(w, x, 0xee));
        const vf b = op(_mm512_shuffle_f32x4(y, z, 0x44), _mm512_shuffle_f32x4(y, z, 0xee));
        four[j] = op(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    }
    const vf a = op(_mm512_shuffle_ps(four[0], four[1], 0x44), _mm512_shuffle_ps(four[0], four[1], 0xee));
    const vf b = op(_mm512_shuffle_ps(four[2], four[3], 0x44), _mm512_shuffle_ps(four[2], four[3], 0xee));
    return op(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

/* Scores of `count` queries, at most 16, to weights. Whole: 16, and each sees the whole page; else they see what their
 * masks have, and the rest weighs 0. Is there a new largest score? */
INLINE bool weigh_16(const attention_call *c, size_t i, size_t count, const uint64_t *seen, bool whole,
                     float (*s)[PAGE], float *by, uint16_t (*to)[2][16][STEP]) {
    vf most[16], sums[16];
#pragma GCC unroll 16
    for (size_t r = 0; r < 16; r++) {
        most[r] = v_set(-INFINITY); /* a NaN is passed over */
        sums[r] = v_set(0);
        if (!whole && r >= count) continue;
#pragma GCC unroll 4
        for (int j = 0; j < PAGE / 16; j++) {
            vf x = v_load(s[r] + 16 * j);
            if (!whole) x = v_pick((vm)(seen[r] >> 16 * j), x, v_set(-INFINITY));
            most[r] = v_max(x, most[r]);
        }
    }
    const vf before = v_load(c->m + i), here = fold_16(most, v_max);
    const vm higher = v_less(before, here);
    const vf m = v_pick(higher, here, before);
    v_store(c->m + i, m);
    v_store(by, higher ? row_weight(_mm512_maskz_sub_ps(higher, before, m)) : v_set(1));
    for (size_t r = 0; r < count; r++) {
        const vf less = v_set(c->m[i + r]);
        vf p[PAGE / 16];
#pragma GCC unroll 4
        for (int j = 0; j < PAGE / 16; j++) {
            p[j] = row_weight(v_sub(v_load(s[r] + 16 * j), less));
            if (!whole) p[j] = v_pick((vm)(seen[r] >> 16 * j), p[j], v_set(0));
            sums[r] = v_add(sums[r], p[j]);
        }
#pragma GCC unroll 2
        for (int j = 0; j < PAGE / STEP; j++) put_nearest(p[2 * j], p[2 * j + 1], to[j][0][r], to[j][1][r]);
    }
    v_store(c->l + i, v_add(v_mul(v_load(c->l + i), v_load(by)), fold_16(sums, v_add)));
    return higher != 0;
}

/* Scores of `rows` queries from i on to tiles of weights, and by what their state is multiplied. Is that not 1? What
 * tiles have in rows of absent queries goes to their state, which nobody reads. */
static bool weigh_tiles(const attention_call *c, size_t i, size_t rows, tile_room *t) {
    bool any = false;
    for (size_t r = 0; r < rows; r += 16) {
        const size_t count = rows - r < 16 ? rows - r : 16;
        uint16_t (*to)[2][16][STEP] = t->weights[r / 16];
        uint64_t seen[16];
        bool whole = count == 16;
        for (size_t k = 0; k < count; k++) {
            const unsigned first = c->first[i + r + k], last = c->last[i + r + k];
            seen[k] = first < last ? ~0ull >> (PAGE - last) & ~0ull << first : 0;
            whole = whole && seen[k] == ~0ull;
            if (c->softcap > 0 && seen[k] != 0) cap_scores(t->scores[r + k], c->softcap);
        }
        any |= whole ? weigh_16(c, i + r, 16, seen, true, t->scores + r, t->by + r, to)
                     : weigh_16(c, i + r, count, seen, false, t->scores + r, t->by + r, to);
    }
    return any;
}

static float bf16_number(uint16_t x) { return cast_f32_from_bits(cast_bf16_to_f32(x)); }

/* What a value that is not finite adds to those who see it. */
static void add_not_finite(const attention_call *c, size_t i, size_t rows, const tile_room *t, size_t width, float *o) {
    for (size_t r = 0; r < rows; r++)
        for (size_t j = c->first[i + r]; j < c->last[i + r]; j++) {
            const uint16_t *first = t->weights[r / 16][j / STEP][0][r % 16], *second = first + TILE;
            const size_t place = 2 * (j % 16) + j / 16 % 2;
            const float p = bf16_number(first[place]) + bf16_number(second[place]);
            for (size_t d = 0; d < width; d++) {
                const float v = t->floats[j * width + d];
                if (!isfinite(v)) o[r * width + d] = fmaf(p, v, o[r * width + d]);
            }
        }
}

/* Tiles 0 to 5 of as many rows as there are queries. */
static void configure_queries(size_t rows) {
    tiles_palette p = { 0 };
    for (int i = 0; i < 8; i++) {
        p.rows[i] = i < 6 && rows < 16 ? (uint8_t)rows : 16;
        p.bytes[i] = 64;
    }
    tiles_configure(&p);
}

/* A page's values as tiles, panel after panel. Is all of it finite? What is not, is zero in the tiles. */
static bool put_all_values(const attention_head *h, const attention_pages *pages, uint16_t *to, float *room) {
    const uint8_t *from = pages->values, *ahead = pages->next_values;
    bool finite = true;
    for (size_t d = 0, dim; d < h->value_dim; d += dim) {
        dim = h->value_dim - d < PAGE ? h->value_dim - d : PAGE;
        if (!put_values(h->value_type, dim, from, ahead, to, room)) {
            finite = false;
            put_finite_values(h->value_type, dim, from, to, room);
        }
        from += attention_bytes(h->value_type, dim);
        ahead = further(ahead, attention_bytes(h->value_type, dim));
        to += tiles_of_values(dim) * TILE;
    }
    return finite;
}

typedef struct page {
    const attention_call *c;
    const attention_head *h;
    const attention_pages *lies; /* as it lies there */
    uint16_t *keys, *values;
    bool finite; /* are the values? */
    tile_room *room;
} page;

/* ---- a few queries ----
 *
 * To make tiles takes longer than to do what they would do, to the bit: even and odd places by themselves, denormals as
 * zero. */

enum { FEW = 3 };

/* 32 numbers of each query, or of its weights: first, second. */
typedef float few_numbers[2][STEP];

static void few_from_tiles(const uint16_t *tiles, size_t n, few_numbers *to) {
    for (size_t i = 0; i < n; i++)
        for (size_t part = 0; part < 2; part++) {
            const __m512i both = _mm512_load_si512(tiles + part * TILE + i * STEP);
            v_store(to[i][part], _mm512_castsi512_ps(_mm512_slli_epi32(both, 16)));
            v_store(to[i][part] + 16, bf16_cut(_mm512_castsi512_ps(both)));
        }
}

/* c += a times `count` rows of `groups` * 16 numbers, `stride` bytes apart; c = 0 first if fresh. */
typedef struct few_product {
    const void *rows, *ahead;
    size_t stride, count, groups;
    const few_numbers *a;
    size_t n;
    float *c;
    size_t c_stride; /* floats */
    bool fresh;
} few_product;

/* What the numbers are: their type, if they have second ones, if those that are not finite count as zero; so many
 * queries and columns of 16 at once, four sums in all at most. */
typedef struct few_kind {
    tola_dtype type;
    bool both, careful;
    size_t n, wide;
} few_kind;

enum { MOST_SUMS = 4 };

/* Three products of row r with each query. */
INLINE void few_row(const few_product *p, few_kind is, size_t g, size_t r, vf (*sums)[3]) {
    const size_t bytes = is.type == TOLA_DTYPE_F32 ? 64 : 32, at = r * p->stride + g * bytes;
    const uint8_t *from = (const uint8_t *)p->rows + at;
    if (p->ahead && g % 2 == 0) {
        __builtin_prefetch((const uint8_t *)p->ahead + at, 0, 2);
        if (is.wide > 2) __builtin_prefetch((const uint8_t *)p->ahead + at + 64, 0, 2);
    }
#pragma GCC unroll 4
    for (size_t w = 0; w < is.wide; w++) {
        vf b = numbers(is.type, from + w * bytes);
        if (is.careful) b = v_pick(_mm512_fpclass_ps_mask(b, NOT_FINITE), v_set(0), b);
        const vf b1 = is.both ? bf16_cut(b) : b, rest = v_sub(b, b1);
        const vf b2 = is.type == TOLA_DTYPE_F16 ? rest : bf16_nearest(rest);
#pragma GCC unroll 4
        for (size_t i = 0; i < is.n; i++) {
            vf *const sum = sums[i * is.wide + w], first = v_set(p->a[i][0][r]), second = v_set(p->a[i][1][r]);
            sum[0] = v_fma(second, b1, sum[0]);
            sum[1] = v_fma(first, b1, sum[1]);
            if (is.both) sum[2] = v_fma(first, b2, sum[2]);
        }
    }
}

/* `wide` groups of columns from g on. */
INLINE void few_columns(const few_product *p, few_kind is, size_t g) {
    vf even[MOST_SUMS][3], odd[MOST_SUMS][3];
#pragma GCC unroll 4
    for (size_t i = 0; i < is.n * is.wide; i++)
#pragma GCC unroll 4
        for (int k = 0; k < 3; k++) even[i][k] = odd[i][k] = v_set(0);
    for (size_t r = 0; r < 16 && r < p->count; r++) {
        few_row(p, is, g, r, even);
        if (r + 16 < p->count) few_row(p, is, g, r + 16, odd);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < is.n; i++)
#pragma GCC unroll 4
        for (size_t w = 0; w < is.wide; w++) {
            float *to = p->c + i * p->c_stride + 16 * (g + w);
            const size_t at = i * is.wide + w;
            vf sum = p->fresh ? v_set(0) : v_load(to);
            sum = v_add(sum, v_add(even[at][0], odd[at][0]));
            sum = v_add(sum, v_add(even[at][1], odd[at][1]));
            if (is.both) sum = v_add(sum, v_add(even[at][2], odd[at][2]));
            v_store(to, sum);
        }
}

INLINE void few_groups(const few_product *p, tola_dtype type, bool both, bool careful, size_t n, size_t wide) {
    size_t g = 0;
    for (; g + wide <= p->groups; g += wide) few_columns(p, (few_kind){ type, both, careful, n, wide }, g);
    for (; g < p->groups; g++) few_columns(p, (few_kind){ type, both, careful, n, 1 }, g);
}

INLINE void few_queries(const few_product *p, tola_dtype type, bool both, bool careful) {
    switch (p->n) {
    case 1: few_groups(p, type, both, careful, 1, 4); break;
    case 2: few_groups(p, type, both, careful, 2, 2); break;
    default: few_groups(p, type, both, careful, 3, 1); break;
    }
}

static void few_f16(const few_product *p) { few_queries(p, TOLA_DTYPE_F16, true, false); }
static void few_bf16(const few_product *p) { few_queries(p, TOLA_DTYPE_BF16, false, false); }
static void few_both(const few_product *p) { few_queries(p, TOLA_DTYPE_F32, true, false); }
static void few_both_careful(const few_product *p) { few_queries(p, TOLA_DTYPE_F32, true, true); }
static void few_one_careful(const few_product *p) { few_queries(p, TOLA_DTYPE_F32, false, true); }

static __attribute__((noinline)) void few_scores(const page *p) {
    const attention_head *h = p->h;
    const uint8_t *from = p->lies->keys, *ahead = p->lies->next_keys;
    const size_t bytes = attention_bytes(h->key_type, STEP), element = is_half(h->key_type) ? 2 : 4;
    _Alignas(64) few_numbers q[FEW];
    few_product k = { .stride = element * PAGE, .groups = GROUPS, .a = q, .n = p->c->n, .c = p->room->scores[0],
                      .c_stride = PAGE };
    for (size_t d = 0; d < h->key_dim; d += STEP, from += bytes, ahead = further(ahead, bytes)) {
        few_from_tiles(p->c->tiles + d / STEP * 2 * TILE, k.n, q);
        k.count = h->key_dim - d < STEP ? h->key_dim - d : STEP;
        k.fresh = d == 0;
        k.rows = from;
        k.ahead = ahead;
        if (element == 4) {
            ask(ahead, bytes);
            k.ahead = NULL;
            k.rows = attention_keys_floats(&attention_amx, h->key_type, from, k.count, p->room->floats);
        }
        (h->key_type == TOLA_DTYPE_F16 ? few_f16 : h->key_type == TOLA_DTYPE_BF16 ? few_bf16 : few_both)(&k);
    }
}

/* A panel of the values, as it lies or as floats. */
static __attribute__((noinline)) void few_sums(const page *p, const void *rows, size_t stride, const void *ahead,
                                               const tile_product *sums, void (*columns)(const few_product *p)) {
    _Alignas(64) few_numbers w[FEW];
    for (size_t t = 0; t < PAGE / STEP; t++) {
        few_from_tiles(p->room->weights[0][t][0][0], p->c->n, w);
        columns(&(few_product){ .rows = further(rows, t * STEP * stride), .ahead = further(ahead, t * STEP * stride),
                                .stride = stride, .count = STEP, .groups = sums->groups, .a = w, .n = p->c->n,
                                .c = sums->c, .c_stride = sums->stride });
    }
}

static unsigned denormals_are_zero(void) {
    enum { FLUSH = 0x8040 }; /* DAZ, FTZ */
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH);
    return before;
}

static bool all_finite(const float *x, size_t rows, size_t width) {
    vm bad = 0;
    for (size_t d = 0; d < rows * width; d += 16) bad |= _mm512_fpclass_ps_mask(v_load(x + d), NOT_FINITE);
    return bad == 0;
}

/* A panel of `dim` columns; the sums of who sees nothing are kept already. Are the values finite? That is looked for
 * once the sums are not. */
static bool add_few(const page *p, size_t dim, const void *from, const void *ahead, const tile_product *sums) {
    const tola_dtype type = p->h->value_type;
    const size_t width = sums->stride, bytes = p->c->n * width * sizeof(float);
    const unsigned before = denormals_are_zero();
    bool done = false;
    if (is_half(type) && width == dim) {
        float as_before[FEW * PAGE];
        memcpy(as_before, sums->c, bytes);
        few_sums(p, from, 2 * width, ahead, sums, type == TOLA_DTYPE_F16 ? few_f16 : few_bf16);
        done = all_finite(sums->c, p->c->n, width);
        if (!done) memcpy(sums->c, as_before, bytes);
    } else {
        ask(ahead, attention_bytes(type, dim));
    }
    if (!done) {
        const float *floats = attention_values_floats(&attention_amx, type, from, dim, p->room->floats);
        few_sums(p, floats, width * sizeof *floats, NULL, sums,
                 numbers_of(type) == 1 ? few_one_careful : few_both_careful);
        done = all_finite(floats, PAGE, width);
    }
    _mm_setcsr(before);
    return done;
}

/* ---- a page ---- */

static size_t rows_from(const attention_call *c, size_t i) { return c->n - i < BLOCK ? c->n - i : BLOCK; }

/* The next block of queries of which one sees anything. */
static size_t next_block(const attention_call *c, size_t i) {
    while (i < c->n && memcmp(c->first + i, c->last + i, rows_from(c, i)) == 0) i += BLOCK;
    return i;
}

static bool is_few(const page *p) { return p->c->n <= FEW; }

static void scores_of(const page *p, size_t i) {
    const size_t chunks = (p->h->key_dim + STEP - 1) / STEP;
    if (i >= p->c->n) return;
    if (is_few(p)) {
        const unsigned before = denormals_are_zero();
        few_scores(p);
        _mm_setcsr(before);
        return;
    }
    const tile_product scores = { .a = p->c->tiles + i / 16 * chunks * 2 * TILE,
                                  .b = p->keys,
                                  .chunks = chunks,
                                  .groups = GROUPS,
                                  .c = p->room->scores[0],
                                  .stride = PAGE };
    (numbers_of(p->h->key_type) == 2 ? fresh_both : fresh_one)(&scores, rows_from(p->c, i));
}

/* Who sees nothing of a page keeps his sums to the bit. */
static void scale_sums(const page *p, size_t i, size_t rows, bool scaled, const tile_product *sums) {
    const size_t width = sums->stride;
    for (size_t r = 0; r < rows; r++) {
        const vf by = v_set(p->room->by[r]);
        float *o = sums->c + r * width;
        if (sees_nothing(p->c, i + r))
            memcpy(p->room->kept[r], o, width * sizeof *o);
        else if (scaled && p->room->by[r] != 1)
            for (size_t d = 0; d < width; d += 16) v_store(o + d, v_mul(v_load(o + d), by));
    }
}
static void keep_sums(const page *p, size_t i, size_t rows, const tile_product *sums) {
    for (size_t r = 0; r < rows; r++)
        if (sees_nothing(p->c, i + r))
            memcpy(sums->c + r * sums->stride, p->room->kept[r], sums->stride * sizeof(float));
}

static void sums_of_values(const page *p, size_t i, bool scaled) {
    const attention_head *h = p->h;
    const size_t rows = rows_from(p->c, i);
    const uint8_t *from = p->lies->values, *ahead = p->lies->next_values;
    const uint16_t *b = p->values;
    for (size_t d = 0, dim, bytes; d < h->value_dim; d += dim, from += bytes, ahead = further(ahead, bytes)) {
        dim = h->value_dim - d < PAGE ? h->value_dim - d : PAGE;
        bytes = attention_bytes(h->value_type, dim);
        const tile_product sums = { .a = p->room->weights[0][0][0][0],
                                    .b = b,
                                    .chunks = PAGE / STEP,
                                    .groups = (dim + 15) / 16,
                                    .c = p->c->o + d * p->c->queries + i * up16(dim),
                                    .stride = up16(dim) };
        bool finite = p->finite;
        scale_sums(p, i, rows, scaled, &sums);
        if (is_few(p)) {
            finite = add_few(p, dim, from, ahead, &sums);
        } else {
            (numbers_of(h->value_type) == 2 ? more_both : more_one)(&sums, rows);
            b += tiles_of_values(dim) * TILE;
        }
        keep_sums(p, i, rows, &sums);
        if (finite) continue;
        (void)attention_values_floats(&attention_amx, h->value_type, from, dim, p->room->floats);
        add_not_finite(p->c, i, rows, p->room, up16(dim), sums.c);
    }
}

/* The scores of a block of queries before the sums of the one before it: tiles wait for what was just stored. */
static void tile_page(const attention_call *c, const attention_head *h, const attention_pages *pages, float *scratch) {
    tile_room *t = (tile_room *)scratch;
    page p = { .c = c, .h = h, .lies = pages, .finite = true, .room = t };
    if (!is_few(&p)) {
        p.keys = t->tiles;
        p.values = t->tiles + tiles_of_keys(h->key_dim) * TILE;
        put_keys(h->key_type, h->key_dim, pages, p.keys, t->floats);
        p.finite = put_all_values(h, pages, p.values, t->floats);
        configure_queries(c->n);
    }
    size_t i = next_block(c, 0);
    scores_of(&p, i);
    for (size_t next; i < c->n; i = next) {
        const bool scaled = weigh_tiles(c, i, rows_from(c, i), t);
        next = next_block(c, i + BLOCK);
        scores_of(&p, next);
        sums_of_values(&p, i, scaled);
    }
    if (!is_few(&p)) _tile_release();
}
#else
typedef int attention_amx_is_empty;
#endif
