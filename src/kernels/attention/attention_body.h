/* A page of attention. Compiled once for each instruction set; the file that includes it has chosen the lanes and
 * defines ATTENTION_TABLE.
 *
 * Scores and sums are two products of the same kind, c += a b with b of 64 columns or value_dim: a register tile of up
 * to ROWS queries times WIDE vectors, along the depth one fma after the other, which is the order that attention.h
 * asks for. */
#include "kernels/attention/attention_kernels.h"
#include "kernels/rows/functions.h"

enum { PAGE = ATTENTION_PAGE, LANES_16 = 16, PARTS = LANES_16 / LANES };
#if defined(LANES_AVX512) || defined(LANES_NEON)
#define ATTENTION_ROWS 6
enum { WIDE = 4 };
#elif defined(LANES_AVX2)
#define ATTENTION_ROWS 6
enum { WIDE = 2 };
#else
#define ATTENTION_ROWS 2
enum { WIDE = 4 };
#endif
enum { ROWS = ATTENTION_ROWS, NARROW = (int)PARTS < (int)WIDE ? (int)PARTS : (int)WIDE }; /* 16 floats at most */

/* A product: c[i][j] = c[i][j] * by[i] + sum over k of a[i][k] b[k][j]; by NULL: from 0. While it runs, `ahead_bytes`
 * from `ahead` on, which the next page will read, are brought nearer. */
typedef struct product {
    const float *a, *b, *by;
    float *c;
    size_t a_stride, b_stride, c_stride, depth;
    const uint8_t *ahead;
    size_t ahead_bytes, ahead_step;
} product;

INLINE void tile(const float *a, size_t a_stride, const float *b, size_t b_stride, size_t depth, const float *by,
                 float *c, size_t c_stride, const uint8_t *ahead, size_t ahead_step, int rows, int vectors) {
    vf acc[ROWS][WIDE];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        const vf factor = v_set(by ? by[i] : 0);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            acc[i][v] = by ? v_mul(v_load(c + (size_t)i * c_stride + v * LANES), factor) : factor;
    }
    for (size_t k = 0; k < depth; k++, b += b_stride) {
        vf x[WIDE];
        if (ahead) {
            __builtin_prefetch(ahead, 0, 2);
            __builtin_prefetch(ahead + ahead_step / 2, 0, 2);
            ahead += ahead_step;
        }
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) x[v] = v_load(b + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            const vf y = v_set(a[(size_t)i * a_stride + k]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) acc[i][v] = v_fma(y, x[v], acc[i][v]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) v_store(c + (size_t)i * c_stride + v * LANES, acc[i][v]);
}

/* `count` tiles one below the other, from row `at` on. */
INLINE void tiles_of(const product *p, size_t at, size_t count, int rows, int vectors, bool from_zero, bool ahead) {
    const product t = *p;
    const float *a = t.a + at * t.a_stride, *by = from_zero ? NULL : t.by + at;
    float *c = t.c + at * t.c_stride;
    const uint8_t *next = ahead ? t.ahead + at / (size_t)rows * t.ahead_step * t.depth : NULL;
    for (; count > 0; count--) {
        tile(a, t.a_stride, t.b, t.b_stride, t.depth, by, c, t.c_stride, ahead ? next : NULL, t.ahead_step, rows,
             vectors);
        a += (size_t)rows * t.a_stride;
        c += (size_t)rows * t.c_stride;
        if (!from_zero) by += rows;
        if (ahead) next += t.ahead_step * t.depth;
    }
}

INLINE void tiles(const product *t, size_t at, size_t count, size_t rows, int vectors, bool from_zero, bool ahead) {
    switch (rows) {
    case 1: tiles_of(t, at, count, 1, vectors, from_zero, ahead); break;
#if ATTENTION_ROWS > 2
    case 2: tiles_of(t, at, count, 2, vectors, from_zero, ahead); break;
    case 3: tiles_of(t, at, count, 3, vectors, from_zero, ahead); break;
    case 4: tiles_of(t, at, count, 4, vectors, from_zero, ahead); break;
    case 5: tiles_of(t, at, count, 5, vectors, from_zero, ahead); break;
#endif
    default: tiles_of(t, at, count, ROWS, vectors, from_zero, ahead); break;
    }
}

typedef void tiles_fn(const product *t, size_t at, size_t count, size_t rows);
static void zero_ahead(const product *t, size_t at, size_t n, size_t rows) { tiles(t, at, n, rows, WIDE, true, true); }
static void zero(const product *t, size_t at, size_t n, size_t rows) { tiles(t, at, n, rows, WIDE, true, false); }
static void more_ahead(const product *t, size_t at, size_t n, size_t rows) { tiles(t, at, n, rows, WIDE, false, true); }
static void more(const product *t, size_t at, size_t n, size_t rows) { tiles(t, at, n, rows, WIDE, false, false); }
static void narrow(const product *t, size_t at, size_t n, size_t rows) { tiles(t, at, n, rows, NARROW, false, false); }

/* `rows` rows, columns a multiple of 16 (from 0: of 64); the tiles of rows are as equal as they can be. The first two
 * tiles fetch what is ahead: all of them would not be faster, and each is slower by a little. */
static void multiply(product t, size_t rows, size_t columns) {
    const size_t count = (rows + ROWS - 1) / ROWS, low = rows / count, larger = rows % count; /* of low + 1 rows */
    const size_t fetching = t.ahead_bytes == 0 ? 0 : count < 2 ? count : 2;
    if (fetching > 0)
        t.ahead_step = t.ahead_bytes / (fetching * t.depth * ((columns + WIDE * LANES - 1) / (WIDE * LANES)));
    for (size_t j = 0, wide; j < columns; j += wide) {
        const bool whole = columns - j >= WIDE * LANES;
        tiles_fn *const plain = !whole ? narrow : t.by ? more : zero, *const ahead = !t.by ? zero_ahead : more_ahead;
        wide = whole ? WIDE * LANES : LANES_16;
        for (size_t i = 0, at = 0, n; i < count; i += n) {
            const size_t end = i < fetching ? fetching : count;
            n = (i < larger && larger < end ? larger : end) - i;
            const size_t height = i < larger ? low + 1 : low;
            (whole && i < fetching ? ahead : plain)(&t, at, n, height);
            at += n * height;
        }
        t.b += wide;
        t.c += wide;
        if (fetching > 0) t.ahead += t.ahead_step * t.depth * fetching;
    }
}

/* ---- softmax ---- */

static void weights(float *x, size_t n) {
    for (size_t i = 0; i < n; i += LANES) v_store(x + i, row_weight(v_load(x + i)));
}

static void finish(const float *o, float by, float l, float *y, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store(y + i, v_div(v_mul(v_load(o + i), v_set(by)), v_set(l)));
    for (; i < n; i++) y[i] = o[i] * by / l;
}

INLINE float largest(const float *s) {
    vf most[PARTS];
#pragma GCC unroll 16
    for (int v = 0; v < PARTS; v++) most[v] = v_set(-INFINITY);
    for (int j = 0; j < PAGE; j += LANES_16)
#pragma GCC unroll 16
        for (int v = 0; v < PARTS; v++) most[v] = v_max(v_load(s + j + v * LANES), most[v]);
#pragma GCC unroll 16
    for (int half = PARTS / 2; half > 0; half /= 2)
#pragma GCC unroll 16
        for (int v = 0; v < half; v++) most[v] = v_max(most[v], most[v + half]);
    return v_highest(most[0]);
}

/* Scores to weights less `max`; their sum. Absent scores are -infinity, which weighs 0. */
INLINE float weigh(float *s, float max) {
    vf sum[PARTS];
    const vf m = v_set(max);
#pragma GCC unroll 16
    for (int v = 0; v < PARTS; v++) sum[v] = v_set(0);
#pragma GCC unroll 4
    for (int j = 0; j < PAGE; j += LANES_16)
#pragma GCC unroll 16
        for (int v = 0; v < PARTS; v++) {
            const vf p = row_weight(v_sub(v_load(s + j + v * LANES), m));
            v_store(s + j + v * LANES, p);
            sum[v] = v_add(sum[v], p);
        }
    return v_fold(sum);
}

static void cap_scores(float *s, float cap) {
    const vf k = v_set(cap);
    for (int j = 0; j < PAGE; j += LANES) v_store(s + j, v_mul(k, row_tanh(v_div(v_load(s + j), k))));
}

static void softmax(const attention_call *c) {
    for (size_t i = 0; i < c->n; i++) {
        float *s = c->p + i * PAGE;
        const size_t first = c->first[i], last = c->last[i];
        c->by[i] = 0; /* a difference of 0: by 1 */
        if (first == last) continue;
        if (c->softcap > 0) cap_scores(s, c->softcap);
        for (size_t j = 0; j < first; j++) s[j] = -INFINITY;
        for (size_t j = last; j < PAGE; j++) s[j] = -INFINITY;
        const float here = largest(s), m = here > c->m[i] ? here : c->m[i];
        c->by[i] = c->m[i] - m;
        c->m[i] = m;
    }
    for (size_t i = c->n; i % LANES_16; i++) c->by[i] = 0;
    weights(c->by, (c->n + LANES_16 - 1) / LANES_16 * LANES_16);
    for (size_t i = 0; i < c->n; i++) {
        if (c->first[i] == c->last[i]) continue;
        c->l[i] *= c->by[i];
        c->l[i] += weigh(c->p + i * PAGE, c->m[i]);
    }
}

/* ---- the page ---- */

/* A panel of the values and of the sums. */
typedef struct sums_of {
    const attention_call *c;
    const float *values;
    float *o; /* of the call's first query */
    size_t width;
} sums_of;

/* Adds slots first .. last - 1 to the sums of `rows` queries from i on. */
static void add_slots(const sums_of *s, size_t i, size_t rows, size_t first, size_t last, const float *by) {
    if (first == last) return;
    multiply((product){ .a = s->c->p + i * PAGE + first,
                        .a_stride = PAGE,
                        .b = s->values + first * s->width,
                        .b_stride = s->width,
                        .by = by,
                        .c = s->o + i * s->width,
                        .c_stride = s->width,
                        .depth = last - first,
                        .ahead = s->c->ahead,
                        .ahead_bytes = rows == s->c->n && s->c->ahead ? s->c->ahead_bytes : 0 },
             rows, s->width);
}

/* How many queries from i on see the same as the first. */
static size_t alike(const attention_call *c, size_t i) {
    size_t n = 1;
    while (i + n < c->n && c->first[i + n] == c->first[i] && c->last[i + n] == c->last[i]) n++;
    return n;
}

/* Queries from i on that see different slots: those that all see are taken together, what only some see goes before and
 * after, one by one. Returns how many queries it took. */
static size_t add_ragged(const sums_of *s, size_t i) {
    const attention_call *c = s->c;
    const size_t n = c->n - i < ROWS ? c->n - i : ROWS;
    const float one = 1;
    float by[ROWS];
    size_t low = 0, high = PAGE;
    for (size_t r = i; r < i + n; r++) {
        if (c->first[r] > low) low = c->first[r];
        if (c->last[r] < high) high = c->last[r];
    }
    if (low >= high) {
        add_slots(s, i, 1, c->first[i], c->last[i], c->by + i);
        return 1;
    }
    for (size_t r = i; r < i + n; r++) {
        add_slots(s, r, 1, c->first[r], low, c->by + r);
        by[r - i] = c->first[r] < low ? 1 : c->by[r];
    }
    add_slots(s, i, n, low, high, by);
    for (size_t r = i; r < i + n; r++) add_slots(s, r, 1, high, c->last[r], &one);
    return n;
}

static void scores(const attention_call *c, const float *q, size_t q_stride, const float *keys, size_t count,
                   bool start) {
    multiply((product){ .a = q,
                        .a_stride = q_stride,
                        .b = keys,
                        .b_stride = PAGE,
                        .by = start ? NULL : c->by,
                        .c = c->p,
                        .c_stride = PAGE,
                        .depth = count,
                        .ahead = c->ahead,
                        .ahead_bytes = c->ahead ? c->ahead_bytes : 0 },
             c->n, PAGE);
}

static void sums(const attention_call *c, const float *values, size_t panel, size_t width) {
    const sums_of s = { c, values, c->o + panel * PAGE * c->queries + c->from * width, width };
    for (size_t i = 0, n; i < c->n; i += n) {
        n = alike(c, i);
        if (n >= ROWS || i + n == c->n)
            add_slots(&s, i, n, c->first[i], c->last[i], c->by + i);
        else
            n = add_ragged(&s, i);
    }
}

/* ---- keys in blocks of 32 numbers, each with a scale for each slot ---- */

static void q8_0_keys(const uint8_t *from, float *out, size_t dim) {
    for (size_t d = 0; d < dim; d += 32, from += (2 + 32) * PAGE, out += 32 * PAGE)
        for (int j = 0; j < PAGE; j += LANES) {
            const vf scale = v_load_half(from + 2 * j);
            const uint8_t *codes = from + 2 * PAGE + j;
#pragma GCC unroll 4
            for (int r = 0; r < 32; r++) v_store(out + r * PAGE + j, v_mul(v_load_i8(codes + r * PAGE), scale));
        }
}

static void q4_0_keys(const uint8_t *from, float *out, size_t dim) {
    for (size_t d = 0; d < dim; d += 32, from += (2 + 16) * PAGE, out += 32 * PAGE)
        for (int j = 0; j < PAGE; j += LANES) {
            const vf scale = v_load_half(from + 2 * j);
            const uint8_t *codes = from + 2 * PAGE + j;
#pragma GCC unroll 4
            for (int r = 0; r < 16; r++) {
                v_store(out + r * PAGE + j, v_mul(v_load_low4(codes + r * PAGE), scale));
                v_store(out + (16 + r) * PAGE + j, v_mul(v_load_high4(codes + r * PAGE), scale));
            }
        }
}

/* ---- values in such blocks, each slot's codes together, to rows of `width` floats ---- */

static void q8_0_values(const uint8_t *from, float *out, size_t width) {
    float scale[PAGE];
    for (size_t d = 0; d < width; d += 32, from += (2 + 32) * PAGE) {
        for (int j = 0; j < PAGE; j += LANES) v_store(scale + j, v_load_half(from + 2 * j));
        for (int j = 0; j < PAGE; j++) {
            const uint8_t *codes = from + 2 * PAGE + j * 32;
            float *to = out + (size_t)j * width + d;
            const vf by = v_set(scale[j]);
#pragma GCC unroll 8
            for (int i = 0; i < 32; i += LANES) v_store(to + i, v_mul(v_load_i8(codes + i), by));
        }
    }
}

static void q4_0_values(const uint8_t *from, float *out, size_t width) {
    float scale[PAGE];
    for (size_t d = 0; d < width; d += 32, from += (2 + 16) * PAGE) {
        for (int j = 0; j < PAGE; j += LANES) v_store(scale + j, v_load_half(from + 2 * j));
        for (int j = 0; j < PAGE; j++) {
            const uint8_t *codes = from + 2 * PAGE + j * 16;
            float *to = out + (size_t)j * width + d;
            const vf by = v_set(scale[j]);
#pragma GCC unroll 8
            for (int i = 0; i < 16; i += LANES) {
                v_store(to + i, v_mul(v_load_low4(codes + i), by));
                v_store(to + 16 + i, v_mul(v_load_high4(codes + i), by));
            }
        }
    }
}

#ifndef ATTENTION_TILES
#define ATTENTION_TILES NULL, NULL, NULL
#endif
const attention_set ATTENTION_TABLE = {
    scores,    softmax,   sums,        weights,     finish,
    q8_0_keys, q4_0_keys, q8_0_values, q4_0_values, ATTENTION_TILES
};
