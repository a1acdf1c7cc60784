/* The cache: what sequences hold, share, forget, and give back; states saved and loaded; and attention over it. */
#include "base/mem.h"
#include "graph/kv_pages.h"
#include "graph/op.h"
#include "kernels/cast/scalar.h"
#include "random.h"
#include "unit.h"
#include <math.h>

static const kv_layer layers[] = { { 2, 5, 3, 0, 0 }, { 1, 4, 4, 70, 0 }, { 1, 2, 2, 0, 96 }, { 3, 1, 1, 0, 0 } };
enum { LAYERS = 4 };

static kv_cache *cache_of(size_t positions) {
    const kv_options options = { TOLA_DTYPE_F32, TOLA_DTYPE_F16, positions };
    kv_cache *kv;
    tola_error err;
    assert_int_equal(kv_create_layers(layers, LAYERS, &options, &kv, &err), TOLA_OK);
    return kv;
}

/* What a position holds is told by one number. */
static void put(kv_sequence *s, size_t position, unsigned token) {
    for (uint32_t l = 0; l < LAYERS; l++)
        for (uint32_t h = 0; h < layers[l].kv_heads; h++) {
            const kv_place p = kv_at(s, l, h, position / KV_PAGE);
            float row[8];
            if (!p.keys) continue;
            for (unsigned d = 0; d < 8; d++) row[d] = (float)(token + l * 7 + h * 3 + d);
            attention_put_keys(TOLA_DTYPE_F32, layers[l].key_dim, p.keys, position % KV_PAGE, 1, row, 0);
            attention_put_values(TOLA_DTYPE_F16, layers[l].value_dim, p.values, position % KV_PAGE, 1, row, 0);
        }
}

static bool holds(const kv_sequence *s, uint32_t l, size_t position, unsigned token) {
    for (uint32_t h = 0; h < layers[l].kv_heads; h++) {
        const kv_place p = kv_at(s, l, h, position / KV_PAGE);
        if (!p.keys) return false;
        for (unsigned d = 0; d < layers[l].key_dim; d++) {
            float x;
            memcpy(&x, p.keys + (d * KV_PAGE + position % KV_PAGE) * 4, 4);
            if (x != (float)(token + l * 7 + h * 3 + d)) return false;
        }
        for (unsigned d = 0; d < layers[l].value_dim; d++) {
            uint16_t x;
            memcpy(&x, p.values + (position % KV_PAGE * layers[l].value_dim + d) * 2, 2);
            if (cast_f32_from_bits(cast_f16_to_f32(x)) != (float)(token + l * 7 + h * 3 + d)) return false;
        }
    }
    return true;
}

/* ---- random lives against a simple model ---- */

enum { MOST = 700, SEQUENCES = 5 };

typedef struct life {
    kv_sequence *s;
    size_t length;
    unsigned tokens[MOST];
} life;

/* All that the next token, or the last one once more, would see is there. */
static void check_life(const life *one) {
    assert_int_equal(kv_length(one->s), one->length);
    if (one->length == 0) return;
    for (uint32_t l = 0; l < LAYERS; l++)
        for (size_t p = kv_visible_from(&layers[l], one->length - 1); p < one->length; p++)
            if (!holds(one->s, l, p, one->tokens[p])) fail_msg("layer %u, position %zu of %zu", l, p, one->length);
}

static void grow(life *one, size_t count, kv_cache *kv) {
    tola_error err;
    const size_t before = kv_bytes(kv);
    if (one->length + count > MOST) return;
    if (kv_reserve(one->s, count, &err) != TOLA_OK) {
        assert_int_equal(err.status, TOLA_E_LIMIT);
        assert_int_equal(kv_bytes(kv), before);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        one->tokens[one->length] = unit_any() % 1000;
        put(one->s, one->length, one->tokens[one->length]);
        one->length++;
    }
}

static void step(life *lives, kv_cache *kv) {
    tola_error err;
    life *one = &lives[unit_any() % SEQUENCES], *other = &lives[unit_any() % SEQUENCES];
    switch (unit_any() % 8) {
    case 0: {
        const size_t length = unit_any() % (one->length + 1);
        if (kv_truncate(one->s, length)) one->length = length;
        break;
    }
    case 1: {
        kv_sequence *fork;
        const size_t length = one->length - (unit_any() % 2 ? 0 : unit_any() % (one->length + 1));
        if (one == other || kv_sequence_fork(one->s, length, &fork, &err) != TOLA_OK) break;
        kv_sequence_free(other->s);
        *other = *one;
        other->s = fork;
        other->length = length;
        break;
    }
    case 2: {
        const size_t bytes = kv_save_bytes(one->s);
        uint8_t *saved = malloc(bytes + 1); /* of any alignment */
        kv_save(one->s, saved + 1);
        if (kv_load(other->s, one->length, saved + 1, bytes, &err) == TOLA_OK) {
            kv_sequence *kept = other->s;
            *other = *one;
            other->s = kept;
        }
        free(saved);
        break;
    }
    case 3: grow(one, unit_any() % 300, kv); break;
    default: grow(one, 1 + unit_any() % 9, kv);
    }
}

static void test_random_lives(void **unused) {
    (void)unused;
    tola_error err;
    for (int round = 0; round < 20; round++) {
        kv_cache *kv = cache_of(round % 2 ? 100000 : 900);
        life lives[SEQUENCES];
        memset(lives, 0, sizeof lives);
        for (int i = 0; i < SEQUENCES; i++) assert_int_equal(kv_sequence_create(kv, &lives[i].s, &err), TOLA_OK);
        for (int i = 0; i < 300; i++) {
            step(lives, kv);
            for (int j = 0; j < SEQUENCES; j++) check_life(&lives[j]);
        }
        for (int i = 0; i < SEQUENCES; i++) kv_sequence_free(lives[i].s);
        assert_int_equal(kv_bytes(kv), 0);
        kv_sequence *all; /* the count is at nothing, too */
        const size_t positions = round % 2 ? 100000 : 900;
        assert_int_equal(kv_sequence_create(kv, &all, &err), TOLA_OK);
        assert_int_equal(kv_reserve(all, positions, &err), TOLA_OK);
        assert_int_equal(kv_reserve(all, 1, &err), TOLA_E_LIMIT);
        kv_sequence_free(all);
        kv_free(kv);
    }
}

/* ---- promises one by one ---- */

static void test_limit(void **unused) {
    (void)unused;
    kv_cache *kv = cache_of(100);
    kv_sequence *a, *b;
    tola_error err;
    assert_int_equal(kv_sequence_create(kv, &a, &err), TOLA_OK);
    assert_int_equal(kv_reserve(a, 100, &err), TOLA_OK);
    assert_true(kv_bytes(kv) <= kv_bytes_limit(kv));
    assert_int_equal(kv_reserve(a, 1, &err), TOLA_E_LIMIT);
    assert_string_equal(err.message, "the cache is full: 100 of 100 positions are taken, 1 more asked for");
    assert_int_equal(kv_length(a), 100);
    assert_int_equal(kv_sequence_fork(a, 70, &b, &err), TOLA_OK); /* shares both pages */
    assert_int_equal(kv_reserve(b, 1, &err), TOLA_E_LIMIT);       /* a copy of six positions and one more */
    assert_true(kv_truncate(a, 64));
    assert_int_equal(kv_reserve(b, 30, &err), TOLA_OK);
    assert_int_equal(kv_reserve(b, 1, &err), TOLA_E_LIMIT);
    kv_sequence_free(b);
    assert_int_equal(kv_reserve(a, 36, &err), TOLA_OK);
    assert_int_equal(kv_reserve(a, SIZE_MAX, &err), TOLA_E_LIMIT);
    kv_sequence_free(a);
    kv_free(kv);
}

static void test_windows_give_back(void **unused) {
    (void)unused;
    static const kv_layer windowed[] = { { 1, 4, 4, 100, 0 } };
    const kv_options options = { TOLA_DTYPE_F16, TOLA_DTYPE_F16, 512 };
    kv_cache *kv;
    kv_sequence *s;
    tola_error err;
    assert_int_equal(kv_create_layers(windowed, 1, &options, &kv, &err), TOLA_OK);
    assert_int_equal(kv_sequence_create(kv, &s, &err), TOLA_OK);
    for (int i = 0; i < 3000; i++) assert_int_equal(kv_reserve(s, 1, &err), TOLA_OK); /* beyond the limit's positions */
    assert_true(kv_bytes(kv) <= kv_bytes_limit(kv));
    assert_true(kv_truncate(s, 2990));
    assert_true(kv_truncate(s, 2940));
    assert_false(kv_truncate(s, 1000));
    assert_int_equal(kv_length(s), 2940);
    kv_sequence *fork;
    assert_int_equal(kv_sequence_fork(s, 1000, &fork, &err), TOLA_E_ARG);
    assert_true(kv_truncate(s, 0));
    assert_int_equal(kv_bytes(kv), 0);
    kv_sequence_free(s);
    kv_free(kv);
}

static void test_options(void **unused) {
    (void)unused;
    kv_cache *kv;
    tola_error err;
    kv_options options = { TOLA_DTYPE_Q8_0, TOLA_DTYPE_F16, 100 };
    assert_int_equal(kv_create_layers(layers, LAYERS, &options, &kv, &err), TOLA_E_UNSUPPORTED);
    assert_string_equal(err.message, "no cache of q8_0 for keys of 5 numbers in layer 0");
    options = (kv_options){ TOLA_DTYPE_F16, TOLA_DTYPE_Q6_K, 100 };
    assert_int_equal(kv_create_layers(layers, LAYERS, &options, &kv, &err), TOLA_E_UNSUPPORTED);
    options = (kv_options){ TOLA_DTYPE_F16, TOLA_DTYPE_F16, 0 };
    assert_int_equal(kv_create_layers(layers, LAYERS, &options, &kv, &err), TOLA_E_ARG);
    options.positions = 64;
    const kv_layer huge[] = { { UINT32_MAX, 65536, 65536, 0, 0 }, { UINT32_MAX, 65536, 65536, 0, 0 } };
    const tola_status status = kv_create_layers(huge, 2, &options, &kv, &err);
    if (status == TOLA_OK) kv_free(kv); /* made of nothing until positions are asked for */
    const kv_options others[] = { { TOLA_DTYPE_F16, TOLA_DTYPE_F16, 64 }, { TOLA_DTYPE_F32, TOLA_DTYPE_F16, 128 } };
    uint64_t seen[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kv_create_layers(layers, LAYERS, &others[i], &kv, &err), TOLA_OK);
        seen[i] = kv_layout(kv);
        kv_free(kv);
    }
    assert_true(seen[0] != seen[1]);
    assert_int_equal(kv_create_layers(layers, 0, &options, &kv, &err), TOLA_OK); /* a graph without attention */
    kv_sequence *s;
    assert_int_equal(kv_sequence_create(kv, &s, &err), TOLA_OK);
    assert_int_equal(kv_reserve(s, 1000, &err), TOLA_OK);
    assert_int_equal(kv_save_bytes(s), 0);
    assert_int_equal(kv_load(s, 3, "", 0, &err), TOLA_OK);
    assert_true(kv_truncate(s, 1));
    kv_sequence_free(s);
    kv_free(kv);
}

static void test_hostile_states(void **unused) {
    (void)unused;
    kv_cache *kv = cache_of(300);
    kv_sequence *s;
    tola_error err;
    assert_int_equal(kv_sequence_create(kv, &s, &err), TOLA_OK);
    life one = { .s = s };
    grow(&one, 200, kv);
    const size_t bytes = kv_save_bytes(s), held = kv_bytes(kv);
    uint8_t *saved = malloc(bytes), *bad = malloc(bytes);
    kv_save(s, saved);
    for (size_t length = 0; length < 600; length++) {
        if (length > 192 && length <= 256) continue; /* the same number of pages */
        assert_int_equal(kv_load(s, length, saved, bytes, &err), TOLA_E_FORMAT);
    }
    assert_int_equal(kv_load(s, SIZE_MAX, saved, bytes, &err), TOLA_E_FORMAT);
    assert_int_equal(kv_load(s, UINT32_MAX, saved, bytes, &err), TOLA_E_FORMAT);
    assert_int_equal(kv_load(s, 200, saved, bytes - 1, &err), TOLA_E_FORMAT);
    size_t refused = 0;
    for (int i = 0; i < 300; i++) {
        memcpy(bad, saved, bytes);
        const size_t at = unit_any() % (bytes - 4);
        memset(bad + at, 0xff, 4);
        if (kv_load(s, 200, bad, bytes, &err) == TOLA_OK)
            assert_int_equal(kv_load(s, 200, saved, bytes, &err), TOLA_OK);
        else
            refused++;
        check_life(&one);
    }
    assert_true(refused > 100); /* what lies between heads is not looked at */
    assert_int_equal(kv_bytes(kv) <= held, 1);
    kv_cache *small = cache_of(150);
    kv_sequence *other;
    assert_int_equal(kv_sequence_create(small, &other, &err), TOLA_OK);
    assert_int_equal(kv_load(other, 200, saved, bytes, &err), TOLA_E_LIMIT);
    assert_int_equal(kv_bytes(small), 0);
    kv_sequence_free(other);
    kv_free(small);
    free(saved), free(bad);
    kv_sequence_free(s);
    kv_free(kv);
}

/* No allocation that fails changes anything. */
static void test_out_of_memory(void **unused) {
    (void)unused;
    kv_cache *kv = cache_of(1000);
    tola_error err;
    life one = { 0 };
    assert_int_equal(kv_sequence_create(kv, &one.s, &err), TOLA_OK);
    grow(&one, 100, kv);
    const size_t bytes = kv_save_bytes(one.s);
    uint8_t *saved = malloc(bytes);
    kv_save(one.s, saved);
    for (uint64_t n = 0;; n++) {
        kv_sequence *fork = NULL, *other = NULL;
        kv_cache *second = NULL;
        const size_t held = kv_bytes(kv);
        const kv_options options = { TOLA_DTYPE_F32, TOLA_DTYPE_F32, 10 };
        fault_arm(FAULT_ALLOC, n, true);
        bool done = kv_sequence_fork(one.s, 99, &fork, &err) == TOLA_OK;
        done = done && kv_reserve(fork, 200, &err) == TOLA_OK;
        done = done && kv_sequence_create(kv, &other, &err) == TOLA_OK;
        done = done && kv_load(other, 100, saved, bytes, &err) == TOLA_OK;
        done = done && kv_create_layers(layers, LAYERS, &options, &second, &err) == TOLA_OK;
        fault_disarm();
        if (!done) assert_int_equal(err.status, TOLA_E_NOMEM);
        kv_sequence_free(fork), kv_sequence_free(other), kv_free(second);
        assert_int_equal(kv_bytes(kv), held);
        check_life(&one);
        if (done) break;
    }
    free(saved);
    kv_sequence_free(one.s);
    kv_free(kv);
}

/* ---- attention over the cache ---- */

typedef struct attention_case {
    graph_attention a;
    size_t tokens;
} attention_case;

enum { TOKENS = 200, WIDTH = 6 * 16 };
static float q[TOKENS * WIDTH], k[TOKENS * WIDTH], v[TOKENS * WIDTH];

/* Runs tokens [first, first + count) of two sequences of TOKENS / 2 through both operations. */
static void run_batch(const graph_attention *a, kv_sequence *const two[2], size_t first, size_t count, unsigned threads,
                      float *out) {
    uint32_t positions[TOKENS];
    kv_sequence *sequences[TOKENS];
    const size_t half = TOKENS / 2, qs = (size_t)a->heads * a->key_dim, ks = (size_t)a->kv_heads * a->key_dim,
                 vs = (size_t)a->kv_heads * a->value_dim, os = (size_t)a->heads * a->value_dim;
    for (size_t i = 0; i < count; i++) {
        positions[i] = (uint32_t)((first + i) % half);
        sequences[i] = two[(first + i) / half];
    }
    const graph_batch batch = { .tokens = count, .positions = positions, .sequences = sequences };
    const graph_plan plan = { .threads = threads };
    graph_node store = { .op = OP_KV_STORE }, attend = { .op = OP_ATTEND };
    store.u.attend.a = attend.u.attend.a = *a;
    op_call c = {
        .node = &store, .batch = &batch, .in = { k + first * ks, v + first * vs }, .rows = count, .in_cols = { ks, vs }
    };
    for (size_t t = op_kv_store.tasks(&c); t-- > 0;) op_kv_store.run(&c, t, NULL);
    c = (op_call){ .plan = &plan, .node = &attend,
                   .batch = &batch,
                   .out = out + first * os,
                   .in = { q + first * qs },
                   .rows = count,
                   .cols = os,
                   .in_cols = { qs } };
    void *scratch = aligned_alloc(64, (op_attend.scratch(&attend, NULL) + 63) / 64 * 64);
    for (size_t t = op_attend.tasks(&c); t-- > 0;) op_attend.run(&c, t, scratch);
    free(scratch);
}

static void softmax_of(const graph_attention *a, size_t token, size_t head, double *out) {
    const size_t half = TOKENS / 2, start = token / half * half, kv = head / (a->heads / a->kv_heads);
    const float *sinks = a->sinks ? a->sinks->data[0] : NULL;
    double sum = sinks ? exp((double)sinks[head]) : 0;
    for (uint32_t d = 0; d < a->value_dim; d++) out[d] = 0;
    for (size_t t = start; t < start + half; t++) {
        const size_t p = t - start, own = token - start;
        if (!a->bidirectional &&
            (p > own || (a->window && p + a->window <= own) || (a->chunk && p / a->chunk != own / a->chunk)))
            continue;
        double s = 0;
        for (uint32_t d = 0; d < a->key_dim; d++)
            s += (double)q[(token * a->heads + head) * a->key_dim + d] *
                 (double)k[(t * a->kv_heads + kv) * a->key_dim + d];
        s *= (double)a->scale;
        if (a->softcap > 0) s = (double)a->softcap * tanh(s / (double)a->softcap);
        sum += exp(s);
        for (uint32_t d = 0; d < a->value_dim; d++)
            out[d] += exp(s) * (double)v[(t * a->kv_heads + kv) * a->value_dim + d];
    }
    for (uint32_t d = 0; d < a->value_dim; d++) out[d] /= sum;
}

static void test_attend(void **unused) {
    (void)unused;
    static const float sink[] = { 1, -2, 3, 0.5f, 2, 0 };
    static const void *const sink_data[] = { sink };
    static const graph_weight sinks = {
        .name = "sinks", .data = sink_data, .rows = 1, .cols = 6, .parts = 1, .dtype = TOLA_DTYPE_F32
    };
    const graph_attention cases[] = {
        { 6, 2, 16, 8, 0.3f, 0, 0, 0, false, NULL },    { 6, 6, 16, 16, 0.3f, 2, 0, 0, false, NULL },
        { 6, 1, 8, 16, 0.3f, 0, 33, 0, false, &sinks }, { 6, 3, 16, 16, 0.3f, 0, 0, 40, false, NULL },
        { 6, 2, 16, 8, 0.3f, 0, 0, 0, true, NULL },     { 6, 2, 5, 7, 0.3f, 0, 20, 64, false, &sinks },
    };
    for (size_t i = 0; i < TOKENS * WIDTH; i++) {
        q[i] = (float)unit_any() * 0x1p-31f - 1;
        k[i] = (float)unit_any() * 0x1p-31f - 1;
        v[i] = (float)unit_any() * 0x1p-31f - 1;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const graph_attention *a = &cases[i];
        const size_t cols = (size_t)a->heads * a->value_dim;
        const kv_layer layer = { a->kv_heads, a->key_dim, a->value_dim, a->bidirectional ? 0 : a->window,
                                 a->bidirectional ? 0 : a->chunk };
        const kv_options options = { TOLA_DTYPE_F32, TOLA_DTYPE_F32, TOKENS };
        static float whole[TOKENS * WIDTH], parts[TOKENS * WIDTH];
        for (int how = 0; how < (a->bidirectional ? 1 : 2); how++) {
            kv_cache *kv;
            kv_sequence *two[2];
            tola_error err;
            assert_int_equal(kv_create_layers(&layer, 1, &options, &kv, &err), TOLA_OK);
            for (int j = 0; j < 2; j++) assert_int_equal(kv_sequence_create(kv, &two[j], &err), TOLA_OK);
            for (size_t at = 0, n; at < TOKENS; at += n) { /* all at once, or in pieces of any size by many threads */
                const size_t half = TOKENS / 2, most = at < half && how ? half - at : TOKENS - at;
                n = how == 0 ? TOKENS : 1 + unit_any() % most;
                for (size_t t = at; t < at + n; t++) assert_int_equal(kv_reserve(two[t / half], 1, &err), TOLA_OK);
                run_batch(a, two, at, n, how == 0 ? 1 : 1 + unit_any() % 9, how ? parts : whole);
            }
            for (int j = 0; j < 2; j++) kv_sequence_free(two[j]);
            kv_free(kv);
        }
        if (!a->bidirectional) assert_memory_equal(whole, parts, TOKENS * cols * sizeof(float));
        for (size_t t = 0; t < TOKENS; t++)
            for (size_t h = 0; h < a->heads; h++) {
                double want[16];
                softmax_of(a, t, h, want);
                for (uint32_t d = 0; d < a->value_dim; d++)
                    if (!(fabs(want[d] - (double)whole[t * cols + h * a->value_dim + d]) < 1e-5))
                        fail_msg("case %zu, token %zu, head %zu", i, t, h);
            }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_lives),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_windows_give_back),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_hostile_states),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_attend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
