/* Attention over pages: the bits of the definition in attention.h, written out plainly here, from every instruction
 * set, for every type, whatever else is in the call; and of what it says of AMX. */
#include "base/cpu.h"
#include "codecs/codec.h"
#include "kernels/attention/attention_kernels.h"
#include "kernels/cast/scalar.h"
#include "kernels/rows/rows.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t sets_here(const attention_set **out) {
    size_t n = 0;
    out[n++] = &attention_scalar;
#if defined(__x86_64__)
    if (cpu_get()->level >= CPU_AVX2) out[n++] = &attention_avx2;
    if (cpu_get()->level >= CPU_AVX512) out[n++] = &attention_avx512;
    if (cpu_get()->amx_bf16 && cpu_allow_amx()) out[n++] = &attention_amx;
#elif defined(__aarch64__)
    if (cpu_get()->level == CPU_NEON) out[n++] = &attention_neon;
#endif
    return n;
}

static bool same(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (cast_f32_bits(a[i]) != cast_f32_bits(b[i]) && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

/* ---- a case: keys and values of a few pages, queries with what they see ---- */

enum { PAGES = 3, SLOTS = PAGES * ATTENTION_PAGE };

typedef struct scene {
    attention_head h;
    size_t n, q_stride;
    float *q, *k, *v; /* k and v as the cache's type keeps them */
    uint8_t *keys[PAGES], *values[PAGES];
    uint8_t first[PAGES][80], last[PAGES][80];
    float sink[80];
} scene;

static void *room(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p) abort();
    memset(p, 0, (bytes + 127) / 64 * 64);
    return p;
}

/* A row as it comes back from the type. */
static void round_trip(tola_dtype type, float *row, size_t n) {
    float copy[600];
    uint8_t bytes[4 * 600];
    memcpy(copy, row, n * sizeof *row);
    if (tola_dtype_get_kind(type) == TOLA_KIND_BLOCK) {
        assert_int_equal(codec_quantize(type, copy, bytes, n, NULL, NULL), TOLA_OK);
    } else {
        assert_int_equal(codec_convert(TOLA_DTYPE_F32, type, copy, bytes, n, TOLA_OVERFLOW_IEEE, NULL), TOLA_OK);
    }
    assert_int_equal(codec_convert(type, TOLA_DTYPE_F32, bytes, row, n, TOLA_OVERFLOW_IEEE, NULL), TOLA_OK);
}

static scene scene_make(tola_dtype key, tola_dtype value, size_t key_dim, size_t value_dim, size_t n, float softcap) {
    scene c = { .h = { key, value, key_dim, value_dim, softcap }, .n = n, .q_stride = key_dim + unit_any() % 5 };
    c.q = room(n * c.q_stride * sizeof(float));
    c.k = room(SLOTS * key_dim * sizeof(float));
    c.v = room(SLOTS * value_dim * sizeof(float));
    for (size_t i = 0; i < n * c.q_stride; i++) c.q[i] = unit_between(-1, 1);
    for (size_t p = 0; p < PAGES; p++) {
        c.keys[p] = room(attention_bytes(key, key_dim));
        c.values[p] = room(attention_bytes(value, value_dim));
    }
    for (size_t j = 0; j < SLOTS; j++) {
        float *k = c.k + j * key_dim, *v = c.v + j * value_dim;
        for (size_t d = 0; d < key_dim; d++) k[d] = unit_between(-2, 2);
        for (size_t d = 0; d < value_dim; d++) v[d] = unit_between(-3, 3);
        attention_put_keys(key, key_dim, c.keys[j / ATTENTION_PAGE], j % ATTENTION_PAGE, 1, k, 0);
        attention_put_values(value, value_dim, c.values[j / ATTENTION_PAGE], j % ATTENTION_PAGE, 1, v, 0);
        round_trip(key, k, key_dim);
        round_trip(value, v, value_dim);
    }
    for (size_t i = 0; i < n; i++) {
        c.sink[i] = unit_between(-2, 6);
        for (size_t p = 0; p < PAGES; p++) {
            unsigned a = unit_any() % 65, b = unit_any() % 65, how = unit_any() % 4;
            c.first[p][i] = (uint8_t)(how == 0 ? 0 : a < b ? a : b);
            c.last[p][i] = (uint8_t)(how == 0 ? 64 : how == 1 ? c.first[p][i] : a < b ? b : a);
        }
    }
    return c;
}

/* As a token after another sees it: everything, but for the ends. */
static void see_causally(scene *c, size_t group, size_t start, size_t window) {
    for (size_t i = 0; i < c->n; i++) {
        const size_t position = start + i / group, from = position >= window ? position - window + 1 : 0;
        for (size_t p = 0; p < PAGES; p++) {
            const size_t base = p * ATTENTION_PAGE;
            const size_t a = from < base ? 0 : from > base + 64 ? 64 : from - base;
            const size_t b = position + 1 < base ? 0 : position + 1 > base + 64 ? 64 : position + 1 - base;
            c->first[p][i] = (uint8_t)(a < b ? a : 0);
            c->last[p][i] = (uint8_t)(a < b ? b : 0);
        }
    }
}

static void scene_free(scene *c) {
    free(c->q), free(c->k), free(c->v);
    for (size_t p = 0; p < PAGES; p++) free(c->keys[p]), free(c->values[p]);
}

/* y: without sinks; behind it, with them. */
static void run(const attention_set *set, const scene *c, size_t from, size_t n, float *y) {
    const size_t scratch_bytes = attention_scratch(&c->h, n) * sizeof(float);
    const size_t room_bytes = attention_room(&c->h, n) * sizeof(float);
    float *state_room = room(room_bytes), *scratch = room(scratch_bytes);
    memset(state_room, 0xff, room_bytes);
    memset(scratch, 0xff, scratch_bytes);
    const size_t dim = c->h.key_dim, heads = 1 + unit_any() % 5, stride = heads * dim + unit_any() % 5;
    float *const x = room((n + heads - 1) / heads * stride * sizeof(float)); /* wherever a query lies */
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < dim; d++)
            x[i / heads * stride + i % heads * dim + d] = c->q[(from + i) * c->q_stride + d] * 4;
    const attention_queries q = { x, .n = n, .heads = heads, .stride = stride, .scale = 0.25f };
    const attention_state s = attention_begin_by(set, &c->h, &q, state_room);
    for (size_t p = 0; p < PAGES; p++) {
        const size_t next = p + 1 < PAGES ? p + 1 : p;
        const attention_pages pages = { c->keys[p], c->values[p], p == 0 ? NULL : c->keys[next], c->values[next] };
        attention_page_by(set, &c->h, &pages, c->first[p] + from, c->last[p] + from, &s, scratch);
    }
    attention_end_by(set, &c->h, &s, 0, n, NULL, y, c->h.value_dim);
    attention_end_by(set, &c->h, &s, 0, n, c->sink + from, y + n * c->h.value_dim, c->h.value_dim);
    free(state_room);
    free(scratch);
    free(x);
}

/* ---- the definition, a query at a time ---- */

static float w(float x) {
    float y;
    rows_get_scalar()->apply(ROW_EXP, &x, &y, 1);
    return x < -87 ? 0 : y;
}

/* ---- products as AMX makes them ---- */

static float upper(float x) { return cast_f32_from_bits(cast_f32_bits(x) & 0xffff0000u); }
static float rounded(float x) { return upper(cast_f32_from_bits(cast_f32_bits(x) + 0x8000u)); }

/* Denormals are zero (Intel SDM vol. 2, TDPBF16PS). */
static float flushed(float x) { return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; }

/* c + a b of 32 numbers: even and odd places of rows r, r + 16, r + 1, r + 17, ... by themselves. */
static float step(float c, const float *a, const float *b) {
    float half[2] = { 0, 0 };
    for (int r = 0; r < 16; r++)
        for (int odd = 0; odd < 2; odd++)
            half[odd] = flushed(fmaf(flushed(a[r + 16 * odd]), flushed(b[r + 16 * odd]), half[odd]));
    return flushed(flushed(c) + flushed(half[0] + half[1]));
}

/* c + the product of up to 32 numbers of a query, or weights, and of keys or values, which are two bf16 each. */
static float split_step(float c, const float *a, const float *b, size_t n, bool both) {
    float a1[32] = { 0 }, a2[32] = { 0 }, b1[32] = { 0 }, b2[32] = { 0 };
    for (size_t k = 0; k < n; k++) {
        a1[k] = rounded(a[k]), a2[k] = rounded(a[k] - a1[k]);
        b1[k] = upper(b[k]), b2[k] = rounded(b[k] - b1[k]);
    }
    c = step(step(c, a2, b1), a1, b1);
    return both ? step(c, a1, b2) : c;
}

static bool tiled(const attention_set *set, const scene *c) {
    return set->tile_page && c->h.key_type != TOLA_DTYPE_F32 && c->h.value_type != TOLA_DTYPE_F32;
}

static float score_of(const scene *c, bool tiles, const float *q, const float *k) {
    const size_t dim = c->h.key_dim;
    float s = 0;
    if (!tiles)
        for (size_t d = 0; d < dim; d++) s = fmaf(q[d], k[d], s);
    else
        for (size_t d = 0; d < dim; d += 32)
            s = split_step(s, q + d, k + d, dim - d < 32 ? dim - d : 32, c->h.key_type != TOLA_DTYPE_BF16);
    return s;
}

/* p: weights of all slots, 0 where they are not seen. With tiles, a value that is not finite comes after the others. */
static float sum_of(const scene *c, bool tiles, float o, const float *p, const float *v, size_t first, size_t last) {
    const size_t dim = c->h.value_dim;
    float finite[ATTENTION_PAGE];
    for (size_t j = first; !tiles && j < last; j++) o = fmaf(p[j], v[j * dim], o);
    if (!tiles) return o;
    for (size_t j = 0; j < ATTENTION_PAGE; j++) finite[j] = isfinite(v[j * dim]) ? v[j * dim] : 0;
    for (size_t j = 0; j < ATTENTION_PAGE; j += 32)
        o = split_step(o, p + j, finite + j, 32, c->h.value_type != TOLA_DTYPE_BF16);
    for (size_t j = first; j < last; j++)
        if (!isfinite(v[j * dim])) o = fmaf(rounded(p[j]) + rounded(p[j] - rounded(p[j])), v[j * dim], o);
    return o;
}

/* y as above. */
static void define(const scene *c, bool tiles, size_t i, float *y) {
    const size_t key_dim = c->h.key_dim, value_dim = c->h.value_dim;
    float m = -INFINITY, l = 0, o[600] = { 0 };
    for (size_t page = 0; page < PAGES; page++) {
        const size_t first = c->first[page][i], last = c->last[page][i], base = page * ATTENTION_PAGE;
        float score[ATTENTION_PAGE], p[ATTENTION_PAGE] = { 0 }, sum[16] = { 0 }, most = m;
        if (first == last) continue;
        for (size_t j = first; j < last; j++) {
            score[j] = score_of(c, tiles, c->q + i * c->q_stride, c->k + (base + j) * key_dim);
            if (c->h.softcap > 0) rows_get_scalar()->softcap(c->h.softcap, &score[j], &score[j], 1);
            if (score[j] > most) most = score[j];
        }
        const float by = w(m - most);
        for (size_t d = 0; d < value_dim; d++) o[d] *= by;
        for (size_t j = first; j < last; j++) {
            p[j] = w(score[j] - most);
            sum[j % 16] += p[j];
        }
        for (size_t d = 0; d < value_dim; d++)
            o[d] = sum_of(c, tiles, o[d], p, c->v + base * value_dim + d, first, last);
        for (int half = 8; half > 0; half /= 2)
            for (int lane = 0; lane < half; lane++) sum[lane] += sum[lane + half];
        l *= by;
        l += sum[0];
        m = most;
    }
    const float most = c->sink[i] > m ? c->sink[i] : m, by = w(m - most);
    const bool nothing = l == 0;
    for (size_t d = 0; d < value_dim; d++) {
        y[d] = nothing ? 0 : o[d] / l;
        y[value_dim + d] = nothing ? 0 : o[d] * by / (l * by + w(c->sink[i] - most));
    }
}

/* Of many queries every fifth is held against the definition, which takes its time. */
static void check(const scene *c, const char *what) {
    const attention_set *sets[5];
    const size_t n = c->n, count = sets_here(sets), dim = c->h.value_dim, every = n > 9 ? 5 : 1, from = n / 3;
    float *want = room(2 * n * dim * sizeof(float)), *got = room(2 * n * dim * sizeof(float));
    float *again = room(2 * n * dim * sizeof(float));
    for (int tiles = 0; tiles < 2; tiles++) {
        const size_t first = unit_any() % every;
        bool defined = false;
        for (size_t s = 0; s < count; s++) {
            if (tiled(sets[s], c) != (bool)tiles) continue;
            for (size_t i = first; !defined && i < n; i += every) define(c, tiles, i, want + 2 * i * dim);
            defined = true;
            run(sets[s], c, 0, n, got);
            run(sets[s], c, from, n - from, again); /* other company */
            for (size_t sinks = 0; sinks < 2; sinks++) {
                for (size_t i = first; i < n; i += every)
                    if (!same(want + (2 * i + sinks) * dim, got + (sinks * n + i) * dim, dim))
                        fail_msg("%s: set %zu, query %zu of %zu, dimensions %zu %zu", what, s, i, n, c->h.key_dim, dim);
                if (!same(got + (sinks * n + from) * dim, again + sinks * (n - from) * dim, (n - from) * dim))
                    fail_msg("%s: company matters", what);
            }
        }
    }
    free(want), free(got), free(again);
}

static const tola_dtype types[] = { TOLA_DTYPE_F32, TOLA_DTYPE_F16, TOLA_DTYPE_BF16, TOLA_DTYPE_Q8_0, TOLA_DTYPE_Q4_0 };

static void test_every_type(void **unused) {
    (void)unused;
    for (size_t a = 0; a < 5; a++)
        for (size_t b = 0; b < 5; b++) {
            scene c = scene_make(types[a], types[b], 64, 96, 5, 0);
            check(&c, tola_dtype_name(types[a]));
            scene_free(&c);
        }
}

static void test_shapes(void **unused) {
    (void)unused;
    static const size_t dims[][2] = { { 1, 1 },     { 7, 5 },     { 16, 16 },   { 33, 17 },  { 80, 80 },
                                      { 128, 128 }, { 192, 128 }, { 256, 256 }, { 576, 512 } };
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (int keys = 0; keys < 3; keys++) {
            scene c = scene_make(types[keys], keys == 2 ? TOLA_DTYPE_BF16 : TOLA_DTYPE_F16, dims[i][0], dims[i][1],
                                 keys == 0 ? 9 : dims[i][0] > 100 ? 3 : 1 + unit_any() % 40, 0);
            check(&c, "shape");
            scene_free(&c);
        }
    }
    static const size_t counts[] = { 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 15, 16, 17, 19, 24, 31, 32, 33, 47, 48, 49, 65 };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int values = 0; values < 2; values++) {
            const size_t n = counts[i];
            scene c = scene_make(TOLA_DTYPE_F16, types[values], 32, 16 * (1 + i % 6), n, n % 2 ? 0 : 3);
            check(&c, "number of queries");
            scene_free(&c);
        }
}

static void test_causal(void **unused) {
    (void)unused;
    for (size_t group = 1; group < 9; group += group < 4 ? 1 : 4)
        for (int i = 0; i < 6; i++) {
            scene c = scene_make(TOLA_DTYPE_F16, TOLA_DTYPE_BF16, 64, 64, 64, 0);
            see_causally(&c, group, unit_any() % (SLOTS - 64 / group), i % 2 ? 1 + unit_any() % 100 : SIZE_MAX);
            check(&c, "causal");
            scene_free(&c);
        }
}

static float of_size(int least, int most) {
    return ldexpf(unit_between(-2, 2), least + (int)(unit_any() % (unsigned)(most - least)));
}

/* Numbers of all sizes, down to those that AMX takes for zero and up to sums that are infinite. */
static void test_sizes(void **unused) {
    (void)unused;
    static const int sizes[][2] = { { -150, 0 }, { -70, -60 }, { 0, 60 } }; /* exponents */
    for (size_t i = 0; i < 36; i++) {
        scene c = scene_make(types[1 + i % 2], types[1 + i / 2 % 2], 40, 48, i % 4 < 2 ? 3 : 20, 0);
        const int *of_q = sizes[i % 3], *of_k = sizes[i / 3 % 3], *of_v = sizes[i / 9 % 3];
        for (size_t d = 0; d < c.n * c.q_stride; d++) c.q[d] = of_size(of_q[0], of_q[1]);
        for (size_t j = 0; j < SLOTS; j++) {
            float *k = c.k + j * 40, *v = c.v + j * 48;
            for (size_t d = 0; d < 40; d++) k[d] = of_size(of_k[0], of_k[1]);
            for (size_t d = 0; d < 48; d++) v[d] = of_size(of_v[0], of_v[1]);
            attention_put_keys(c.h.key_type, 40, c.keys[j / 64], j % 64, 1, k, 0);
            attention_put_values(c.h.value_type, 48, c.values[j / 64], j % 64, 1, v, 0);
            round_trip(c.h.key_type, k, 40);
            round_trip(c.h.value_type, v, 48);
        }
        check(&c, "sizes");
        scene_free(&c);
    }
}

/* What a query may not see changes nothing, whatever it is; what it sees shows. */
static void test_not_finite(void **unused) {
    (void)unused;
    static const float bad[] = { INFINITY, -INFINITY, NAN };
    for (size_t b = 0; b < 9; b++)
        for (int key = 0; key < 2; key++) {
            const tola_dtype type = types[b / 3];
            scene c = scene_make(type, type, 32, 32, 24, 0);
            see_causally(&c, 2, 70, SIZE_MAX); /* the last one sees positions up to 81 */
            float *row = key ? c.k + 75 * 32 : c.v + 75 * 32;
            row[3] = bad[b % 3];
            if (key)
                attention_put_keys(type, 32, c.keys[1], 11, 1, row, 0);
            else
                attention_put_values(type, 32, c.values[1], 11, 1, row, 0);
            check(&c, "not finite");
            float y[2 * 24 * 32];
            run(&attention_scalar, &c, 0, 24, y);
            for (size_t i = 0; i < 24; i++) {
                bool finite = true;
                for (size_t d = 0; d < 32; d++) finite = finite && isfinite(y[i * 32 + d]);
                if (i < 10)
                    assert_true(finite);
                else if (!key)
                    assert_false(finite); /* a key of -infinity, times q, may be one that weighs nothing */
            }
            scene_free(&c);
        }
}

/* The definition itself: softmax in double. With tiles a score is off by 2^-16 of the sum of its terms' magnitudes at
 * most, some 20 here, which is 3e-4, and so are weights; rounding goes up and down, and a tenth of it is measured. */
static void close_to_softmax(const attention_set *set, tola_dtype type, double within) {
    scene c = scene_make(type, type, 40, 24, 12, 5);
    float both[2 * 12 * 24], *const y = both + 12 * 24;
    run(set, &c, 0, 12, both);
    for (size_t i = 0; i < 12; i++) {
        double sum = exp((double)c.sink[i]), o[24] = { 0 };
        bool nothing = true;
        for (size_t j = 0; j < SLOTS; j++) {
            if (j % 64 < c.first[j / 64][i] || j % 64 >= c.last[j / 64][i]) continue;
            double s = 0;
            for (size_t d = 0; d < 40; d++) s += (double)c.q[i * c.q_stride + d] * (double)c.k[j * 40 + d];
            s = exp(5 * tanh(s / 5));
            sum += s;
            nothing = false;
            for (size_t d = 0; d < 24; d++) o[d] += s * (double)c.v[j * 24 + d];
        }
        for (size_t d = 0; d < 24; d++) {
            if (nothing)
                assert_true(y[i * 24 + d] == 0);
            else if (!(fabs(o[d] / sum - (double)y[i * 24 + d]) < within))
                fail_msg("%s: %g instead of %g", tola_dtype_name(type), (double)y[i * 24 + d], o[d] / sum);
        }
    }
    scene_free(&c);
}

static void test_close_to_softmax(void **unused) {
    (void)unused;
    close_to_softmax(&attention_scalar, TOLA_DTYPE_F32, 1e-5);
#if defined(__x86_64__)
    for (int i = 0; i < 20 && cpu_get()->amx_bf16 && cpu_allow_amx(); i++)
        close_to_softmax(&attention_amx, i % 2 ? TOLA_DTYPE_F16 : TOLA_DTYPE_BF16, 1e-4);
#endif
}

static void test_put(void **unused) {
    (void)unused;
    assert_int_equal(attention_bytes(TOLA_DTYPE_Q8_0, 48), 0);
    assert_int_equal(attention_bytes(TOLA_DTYPE_Q4_K, 256), 0);
    assert_int_equal(attention_bytes(TOLA_DTYPE_F16, 0), 0);
    assert_int_equal(attention_bytes(TOLA_DTYPE_F16, 70000), 0);
    for (size_t t = 0; t < 5; t++) {
        const size_t bytes = attention_bytes(types[t], 64);
        uint8_t *keys = room(bytes), *values = room(bytes);
        float row[64] = { 0 };
        assert_int_equal(bytes, attention_bytes(types[t], 64));
        assert_int_equal(bytes % 64, 0);
        attention_put_keys(types[t], 64, keys, 63, 1, row, 0);
        attention_put_values(types[t], 64, values, 63, 1, row, 0);
        assert_true(attention_finite(types[t], 64, keys) && attention_finite(types[t], 64, values));
        for (int i = 0; i < 2; i++) {
            row[40] = i ? NAN : -INFINITY;
            attention_put_keys(types[t], 64, keys, 63, 1, row, 0);
            attention_put_values(types[t], 64, values, 63, 1, row, 0);
            assert_false(attention_finite(types[t], 64, keys) || attention_finite(types[t], 64, values));
        }
        free(keys), free(values);
    }
}

/* Many positions at once are put as one after the other, wherever they lie. */
static void test_put_many(void **unused) {
    (void)unused;
    static float rows[64 * 101];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) rows[i] = unit_between(-9, 9);
    for (size_t t = 0; t < 5; t++)
        for (int i = 0; i < 40; i++) {
            const size_t dim = t < 3 ? 1 + unit_any() % 100 : 32 * (1 + unit_any() % 3), slot = unit_any() % 64;
            const size_t count = 1 + unit_any() % (64 - slot), bytes = attention_bytes(types[t], dim);
            uint8_t *one = room(2 * bytes), *many = room(2 * bytes);
            for (size_t j = 0; j < count; j++) {
                attention_put_keys(types[t], dim, one, slot + j, 1, rows + j * 101, 0);
                attention_put_values(types[t], dim, one + bytes, slot + j, 1, rows + j * 101, 0);
            }
            attention_put_keys(types[t], dim, many, slot, count, rows, 101);
            attention_put_values(types[t], dim, many + bytes, slot, count, rows, 101);
            assert_memory_equal(one, many, 2 * bytes);
            free(one), free(many);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type), cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_causal),     cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_close_to_softmax),
        cmocka_unit_test(test_put),        cmocka_unit_test(test_put_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
