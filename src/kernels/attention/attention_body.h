/* A page of attention. Compiled once for each instruction set; the file that includes it has chosen the lanes and
 * defines ATTENTION_TABLE.
 *
 * Scores and sums are two products of the same kind, c += a b with b of 64 columns or value_dim: a register tile of up
 * to ROWS queries times VECTORS vectors, along the depth one fma after the other, which is the order that attention.h
 * asks for. */
#include "kernels/attention/attention_kernels.h"
#include "kernels/rows/functions.h"

enum { PAGE = ATTENTION_PAGE, LANES_16 = 16, PARTS = LANES_16 / LANES };
#if defined(LANES_AVX512) || defined(LANES_NEON)
#define ATTENTION_ROWS 6
enum { VECTORS = 4 };
#elif defined(LANES_AVX2)
#define ATTENTION_ROWS 6
enum { VECTORS = 2 };
#else
#define ATTENTION_ROWS 2
enum { VECTORS = 4 };
#endif
enum { ROWS = ATTENTION_ROWS, NARROW = (int)PARTS < (int)VECTORS ? (int)PARTS : (int)VECTORS }; /* 16 floats at most */

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
    vf acc[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        const vf factor = v_set(by ? by[i] : 0);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            acc[i][v] = by ? v_mul(v_load(c + (size_t)i * c_stride + v * LANES), factor) : factor;
    }
    for (size_t k = 0; k < depth; k++, b += b_stride, ahead += ahead_step) {
        vf x[VECTORS];
        __builtin_prefetch(ahead, 0, 2);
        __builtin_prefetch(ahead + ahead_step / 2, 0, 2);
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

/* `count` tiles one below the other. What is read ahead goes on from tile to tile. */
INLINE void tiles_of(const product *p, size_t at, size_t count, int rows, int vectors) {
    const product t = *p;
    const float *a = t.a + at * t.a_stride, *by = t.by ? t.by + at : NULL;
    float *c = t.c + at * t.c_stride;
    const uint8_t *ahead = t.ahead + at / (size_t)rows * t.ahead_step * t.depth;
    for (; count > 0; count--) {
        tile(a, t.a_stride, t.b, t.b_stride, t.depth, by, c, t.c_stride, ahead, t.ahead_step, rows, vectors);
        a += (size_t)rows * t.a_stride;
        c += (size_t)rows * t.c_stride;
        if (by) by += rows;
        ahead += t.ahead_step * t.depth;
    }
}

INLINE void tiles(const product *t, size_t at, size_t count, size_t rows, int vectors) {
    switch (rows) {
    case 1: tiles_of(t, at, count, 1, vectors); break;
#if ATTENTION_ROWS > 2
    case 2: tiles_of(t, at, count, 2, vectors); break;
    case 3: tiles_of(t, at, count, 3, vectors); break;
    case 4: tiles_of(t, at, count, 4, vectors); break;
    case 5: tiles_of(t, at, count, 5, vectors); break;
#endif
    default: tiles_of(t, at, count, ROWS, vectors); break;
    }
}

static void wide_tiles(const product *t, size_t at, size_t count, size_t rows) { tiles(t, at, count, rows, VECTORS); }
static void narrow_tiles(const product *t, size_t at, size_t count, size_t rows) { tiles(t, at, count, rows, NARROW); }

/* `rows` rows, columns a multiple of 16; the tiles of rows are as equal as they can be. */
static void multiply(product t, size_t rows, size_t columns) {
    const size_t count = (rows + ROWS - 1) / ROWS, low = rows / count, more = rows % count; /* tiles of low, low + 1 */
    const size_t passes = columns / (VECTORS * LANES) + columns % (VECTORS * LANES) / LANES_16;
    if (!t.ahead) t.ahead = (const uint8_t *)t.b;
    t.ahead_step = t.ahead_bytes / (count * t.depth * passes);
    for (size_t j = 0, wide; j < columns; j += wide) {
        const bool whole = columns - j >= VECTORS * LANES;
        wide = whole ? VECTORS * LANES : LANES_16;
        if (more > 0) {
            if (whole)
                wide_tiles(&t, 0, more, low + 1);
            else
                narrow_tiles(&t, 0, more, low + 1);
        }
        if (whole)
            wide_tiles(&t, more * (low + 1), count - more, low);
        else
            narrow_tiles(&t, more * (low + 1), count - more, low);
        t.b += wide;
        t.c += wide;
        t.ahead += t.ahead_step * t.depth * count;
    }
}

/* ---- softmax ---- */

static void weights(float *x, size_t n) {
    for (size_t i = 0; i < n; i += LANES) v_store(x + i, row_weight(v_load(x + i)));
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
        const float here = largest(s), m = here > c->s.m[i] ? here : c->s.m[i];
        c->by[i] = c->s.m[i] - m;
        c->s.m[i] = m;
    }
    for (size_t i = c->n; i % LANES_16; i++) c->by[i] = 0;
    weights(c->by, (c->n + LANES_16 - 1) / LANES_16 * LANES_16);
    for (size_t i = 0; i < c->n; i++) {
        if (c->first[i] == c->last[i]) continue;
        c->s.l[i] *= c->by[i];
        c->s.l[i] += weigh(c->p + i * PAGE, c->s.m[i]);
    }
}

/* ---- the page ---- */

/* Adds slots first .. last - 1 to the sums of `rows` queries from i on. */
static void add_slots(const attention_call *c, size_t i, size_t rows, size_t first, size_t last, const float *by) {
    if (first == last) return;
    const bool all = rows == c->n;
    multiply((product){ .a = c->p + i * PAGE + first,
                        .a_stride = PAGE,
                        .b = c->values + first * c->columns,
                        .b_stride = c->columns,
                        .by = by,
                        .c = c->s.o + i * c->columns,
                        .c_stride = c->columns,
                        .depth = last - first,
                        .ahead = all ? c->next_values : NULL,
                        .ahead_bytes = all ? c->value_bytes : 0 },
             rows, c->columns);
}

/* How many queries from i on see the same as the first. */
static size_t alike(const attention_call *c, size_t i) {
    size_t n = 1;
    while (i + n < c->n && c->first[i + n] == c->first[i] && c->last[i + n] == c->last[i]) n++;
    return n;
}

/* Queries from i on that see different slots: those that all see are taken together, what only some see goes before and
 * after, one by one. Returns how many queries it took. */
static size_t add_ragged(const attention_call *c, size_t i) {
    const size_t n = c->n - i < ROWS ? c->n - i : ROWS;
    const float one = 1;
    float by[ROWS];
    size_t low = 0, high = PAGE;
    for (size_t r = i; r < i + n; r++) {
        if (c->first[r] > low) low = c->first[r];
        if (c->last[r] < high) high = c->last[r];
    }
    if (low >= high) {
        add_slots(c, i, 1, c->first[i], c->last[i], c->by + i);
        return 1;
    }
    for (size_t r = i; r < i + n; r++) {
        add_slots(c, r, 1, c->first[r], low, c->by + r);
        by[r - i] = c->first[r] < low ? 1 : c->by[r];
    }
    add_slots(c, i, n, low, high, by);
    for (size_t r = i; r < i + n; r++) add_slots(c, r, 1, high, c->last[r], &one);
    return n;
}

static void scores(const attention_call *c) {
    multiply((product){ .a = c->q,
                        .a_stride = c->q_stride,
                        .b = c->keys,
                        .b_stride = PAGE,
                        .c = c->p,
                        .c_stride = PAGE,
                        .depth = c->key_dim,
                        .ahead = c->next_keys,
                        .ahead_bytes = c->key_bytes },
             c->n, PAGE);
    softmax(c);
}

static void sums(const attention_call *c) {
    for (size_t i = 0, n; i < c->n; i += n) {
        n = alike(c, i);
        if (n >= ROWS || i + n == c->n)
            add_slots(c, i, n, c->first[i], c->last[i], c->by + i);
        else
            n = add_ragged(c, i);
    }
}

/* ---- keys in blocks of 32 numbers, each with a scale for each slot ---- */

static void scales_of(const uint8_t *halves, float *out) {
    for (int j = 0; j < PAGE; j++)
        out[j] = cast_f32_from_bits(cast_f16_to_f32((uint16_t)(halves[2 * j] | halves[2 * j + 1] << 8)));
}

static void q8_0_keys(const uint8_t *from, float *out, size_t dim) {
    float scale[PAGE];
    for (size_t d = 0; d < dim; d++, from += PAGE, out += PAGE) {
        if (d % 32 == 0) {
            scales_of(from, scale);
            from += 2 * PAGE;
        }
        for (int j = 0; j < PAGE; j += LANES) v_store(out + j, v_mul(v_load_i8(from + j), v_load(scale + j)));
    }
}

static void q4_0_keys(const uint8_t *from, float *out, size_t dim) {
    float scale[PAGE];
    for (size_t d = 0; d < dim; d += 32, out += 16 * PAGE) {
        scales_of(from, scale);
        from += 2 * PAGE;
        for (int r = 0; r < 16; r++, from += PAGE, out += PAGE)
            for (int j = 0; j < PAGE; j += LANES) {
                const vf k = v_load(scale + j);
                v_store(out + j, v_mul(v_load_low4(from + j), k));
                v_store(out + 16 * PAGE + j, v_mul(v_load_high4(from + j), k));
            }
    }
}

const attention_set ATTENTION_TABLE = { scores, sums, weights, q8_0_keys, q4_0_keys };
