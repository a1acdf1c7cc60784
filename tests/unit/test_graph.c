/* Graphs: what operations compute beside plain loops in double, rows that do not depend on their company or on threads,
 * plans that reuse memory, and what building and running refuse. */
#include "random.h"
#include "unit.h"

#include "base/pool.h"
#include "graph/op.h"

#include <math.h>

/* A weight with numbers of its own. */
typedef struct own {
    graph_weight w;
    const void *parts[8];
    float *numbers;
} own;

static void make(own *o, const char *name, uint32_t parts, uint64_t rows, uint64_t cols) {
    o->numbers = malloc(parts * rows * cols * sizeof(float));
    assert_non_null(o->numbers);
    for (uint64_t i = 0; i < parts * rows * cols; i++) o->numbers[i] = 0.3f * unit_between(-1, 1);
    for (uint32_t p = 0; p < parts; p++) o->parts[p] = o->numbers + p * rows * cols;
    o->w = (graph_weight){ name, o->parts, cols * sizeof(float), rows, cols, parts, TOLA_DTYPE_F32 };
}

enum { VOCABULARY = 50, WIDTH = 48, HIDDEN = 80, EXPERTS = 6, USED = 2, HEADS = 4, KV_HEADS = 2, HEAD = 12, MOST = 70 };

typedef struct little_model {
    own embed, norm, gate, up, down, bias, router, e_gate, e_up, e_down, e_bias, q, k, v, o;
    graph *g;
} little_model;

static void free_model(little_model *m) {
    own *all[] = { &m->embed, &m->norm, &m->gate, &m->up, &m->down, &m->bias, &m->router, &m->e_gate, &m->e_up,
                   &m->e_down, &m->e_bias, &m->q, &m->k, &m->v, &m->o };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->numbers);
    graph_free(m->g);
}

static void make_weights(little_model *m) {
    memset(m, 0, sizeof *m);
    make(&m->embed, "embed", 1, VOCABULARY, WIDTH);
    make(&m->norm, "norm", 1, 1, WIDTH);
    make(&m->gate, "gate", 1, HIDDEN, WIDTH);
    make(&m->up, "up", 1, HIDDEN, WIDTH);
    make(&m->down, "down", 1, WIDTH, HIDDEN);
    make(&m->bias, "bias", 1, 1, WIDTH);
    make(&m->router, "router", 1, EXPERTS, WIDTH);
    make(&m->e_gate, "e_gate", EXPERTS, HIDDEN, WIDTH);
    make(&m->e_up, "e_up", EXPERTS, HIDDEN, WIDTH);
    make(&m->e_down, "e_down", EXPERTS, WIDTH, HIDDEN);
    make(&m->e_bias, "e_bias", 1, EXPERTS, WIDTH);
    make(&m->q, "q", 1, HEADS * HEAD, WIDTH);
    make(&m->k, "k", 1, KV_HEADS * HEAD, WIDTH);
    make(&m->v, "v", 1, KV_HEADS * HEAD, WIDTH);
    make(&m->o, "o", 1, WIDTH, HEADS * HEAD);
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(graph_create(&m->g, &err), TOLA_OK);
}

static graph_value feed_forward(little_model *m, graph_value x) {
    graph *g = m->g;
    graph_value n = graph_rms_norm(g, &m->norm.w, 0.5f, 0, 1e-5f, x);
    graph_value a = graph_gated(g, GRAPH_SILU, 0, graph_linear(g, &m->gate.w, NULL, n), graph_linear(g, &m->up.w, NULL, n));
    return graph_add(g, x, graph_linear(g, &m->down.w, &m->bias.w, a));
}

static graph_value experts(little_model *m, graph_value x) {
    graph *g = m->g;
    const graph_routing r = { .used = USED, .softmax_chosen = true, .scale = 1 };
    graph_value route = graph_route(g, &r, graph_linear(g, &m->router.w, NULL, x));
    graph_value a = graph_gated(g, GRAPH_GELU_TANH, 0, graph_expert_linear(g, &m->e_gate.w, NULL, false, route, x),
                                graph_expert_linear(g, &m->e_up.w, NULL, false, route, x));
    return graph_expert_sum(g, true, route, graph_expert_linear(g, &m->e_down.w, &m->e_bias.w, false, route, a));
}

static const uint32_t *sample_ids(void) {
    static uint32_t ids[MOST];
    for (uint32_t i = 0; i < MOST; i++) ids[i] = i * 7 % VOCABULARY;
    return ids;
}

static const uint32_t *count_up(void) {
    static uint32_t positions[MOST];
    for (uint32_t i = 0; i < MOST; i++) positions[i] = i;
    return positions;
}

/* ---- plain loops ---- */

static void plain_linear(const float *w, const float *bias, const double *x, double *y, size_t rows, size_t cols) {
    for (size_t r = 0; r < rows; r++) {
        y[r] = bias ? (double)bias[r] : 0;
        for (size_t c = 0; c < cols; c++) y[r] += (double)w[r * cols + c] * x[c];
    }
}

static void plain_feed_forward(const little_model *m, const double *x, double *y) {
    double mean = 0, n[WIDTH], a[HIDDEN], b[HIDDEN];
    for (int i = 0; i < WIDTH; i++) mean += x[i] * x[i] / WIDTH;
    for (int i = 0; i < WIDTH; i++) n[i] = x[i] / sqrt(mean + 1e-5) * ((double)m->norm.numbers[i] + 0.5);
    plain_linear(m->gate.numbers, NULL, n, a, HIDDEN, WIDTH);
    plain_linear(m->up.numbers, NULL, n, b, HIDDEN, WIDTH);
    for (int i = 0; i < HIDDEN; i++) a[i] = a[i] / (1 + exp(-a[i])) * b[i];
    plain_linear(m->down.numbers, m->bias.numbers, a, y, WIDTH, HIDDEN);
    for (int i = 0; i < WIDTH; i++) y[i] += x[i];
}

static void plain_experts(const little_model *m, const double *x, double *y) {
    double logits[EXPERTS], a[HIDDEN], b[HIDDEN], d[WIDTH];
    plain_linear(m->router.numbers, NULL, x, logits, EXPERTS, WIDTH);
    int first = 0, second = -1;
    for (int e = 1; e < EXPERTS; e++)
        if (logits[e] > logits[first]) first = e;
    for (int e = 0; e < EXPERTS; e++)
        if (e != first && (second < 0 || logits[e] > logits[second])) second = e;
    const double share = 1 / (1 + exp(logits[second] - logits[first]));
    memset(y, 0, WIDTH * sizeof *y);
    for (int j = 0; j < 2; j++) {
        const size_t e = (size_t)(j == 0 ? first : second);
        plain_linear(m->e_gate.numbers + e * HIDDEN * WIDTH, NULL, x, a, HIDDEN, WIDTH);
        plain_linear(m->e_up.numbers + e * HIDDEN * WIDTH, NULL, x, b, HIDDEN, WIDTH);
        for (int i = 0; i < HIDDEN; i++)
            a[i] = a[i] / 2 * (1 + tanh(sqrt(2 / M_PI) * (a[i] + 0.044715 * a[i] * a[i] * a[i]))) * b[i];
        plain_linear(m->e_down.numbers + e * WIDTH * HIDDEN, m->e_bias.numbers + e * WIDTH, a, d, WIDTH, HIDDEN);
        for (int i = 0; i < WIDTH; i++) y[i] += (j == 0 ? share : 1 - share) * d[i];
    }
}

static void near_rows(const little_model *m, const float *out, const uint32_t *ids, size_t rows) {
    for (size_t t = 0; t < rows; t++) {
        double x[WIDTH], y[WIDTH], z[WIDTH];
        for (int i = 0; i < WIDTH; i++) x[i] = (double)m->embed.numbers[ids[t] * WIDTH + (unsigned)i] * 2;
        plain_feed_forward(m, x, y);
        plain_experts(m, y, z);
        for (int i = 0; i < WIDTH; i++) {
            const double got = (double)out[t * WIDTH + (unsigned)i];
            if (fabs(got - z[i]) > 1e-5 * (1 + fabs(z[i]) + fabs(y[i]) * 100))
                fail_msg("row %zu column %d: %g, not %g", t, i, got, z[i]);
        }
    }
}

static void test_values(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    little_model m;
    make_weights(&m);
    graph_value y = experts(&m, feed_forward(&m, graph_embed(m.g, &m.embed.w, 2)));
    assert_int_equal(graph_finish(m.g, &y, 1, &err), TOLA_OK);
    graph_plan *p;
    pool *one;
    assert_int_equal(pool_create(1, &one, &err), TOLA_OK);
    assert_int_equal(plan_create(m.g, MOST, 0, 1, &p, &err), TOLA_OK);
    const graph_batch batch = { .tokens = MOST, .ids = sample_ids(), .positions = count_up() };
    assert_int_equal(plan_run(p, one, &batch, &err), TOLA_OK);
    size_t rows, cols;
    const float *out = plan_output(p, 0, &rows, &cols);
    assert_int_equal(rows, MOST);
    assert_int_equal(cols, WIDTH);
    near_rows(&m, out, batch.ids, rows);
    plan_free(p);
    pool_free(one);
    free_model(&m);
}

/* ---- a model with attention: the same bits whatever the batches and the threads ---- */

static void whole_model(little_model *m) {
    static const float frequency[HEAD / 2] = { 1, 0.5f, 0.25f, 0.1f, 0.05f, 0.01f };
    graph *g = m->g;
    graph_value x = graph_embed(g, &m->embed.w, 1);
    for (int layer = 0; layer < 3; layer++) {
        const graph_rope rope = { frequency, HEAD, 0, layer == 1, 1 };
        const graph_attention a = { .heads = HEADS, .kv_heads = KV_HEADS, .key_dim = HEAD, .value_dim = HEAD,
                                    .scale = 0.3f, .window = layer == 1 ? 9 : 0 };
        graph_value n = graph_rms_norm(g, &m->norm.w, 0, 0, 1e-5f, x);
        graph_value q = graph_rotate(g, &rope, HEAD, graph_linear(g, &m->q.w, NULL, n));
        graph_value k = graph_rotate(g, &rope, HEAD, graph_linear(g, &m->k.w, NULL, n));
        graph_value v = graph_linear(g, &m->v.w, NULL, n);
        x = graph_add(g, x, graph_linear(g, &m->o.w, NULL, graph_attend(g, &a, q, k, v)));
        if (layer == 2) x = graph_output_rows(g, x);
        x = graph_add(g, x, experts(m, feed_forward(m, x)));
    }
    tola_error err = TOLA_ERROR_INIT;
    graph_value y = graph_linear(g, &m->embed.w, NULL, graph_rms_norm(g, NULL, 0, 0, 1e-5f, x));
    assert_int_equal(graph_finish(g, &y, 1, &err), TOLA_OK);
}

static bool twice(void *user, double share) {
    assert_true(share >= 0 && share <= 1);
    return ++*(size_t *)user <= 2;
}

/* Logits of every `step`-th position, `at_once` tokens at a time, into out[MOST * VOCABULARY]. */
static void run_whole(const little_model *m, size_t at_once, size_t step, unsigned threads, float *out) {
    tola_error err = TOLA_ERROR_INIT;
    graph_plan *p;
    pool *team;
    kv_cache *kv;
    kv_sequence *s, *sequences[MOST];
    const kv_options options = { TOLA_DTYPE_F16, TOLA_DTYPE_F16, 128 };
    assert_int_equal(pool_create(threads, &team, &err), TOLA_OK);
    assert_int_equal(plan_create(m->g, at_once, at_once, threads, &p, &err), TOLA_OK);
    p->active_bytes = UINT64_MAX; /* every thread takes part, little as there is to do */
    assert_int_equal(kv_create(m->g, &options, &kv, &err), TOLA_OK);
    assert_int_equal(kv_sequence_create(kv, &s, &err), TOLA_OK);
    for (size_t i = 0; i < MOST; i++) sequences[i] = s;
    for (size_t first = 0; first < MOST; first += at_once) {
        const size_t n = MOST - first < at_once ? MOST - first : at_once;
        uint32_t outputs[MOST];
        size_t wanted = 0, rows, cols;
        for (size_t i = 0; i < n; i++)
            if ((first + i) % step == 0) outputs[wanted++] = (uint32_t)i;
        size_t asked = 0;
        graph_batch batch = { .tokens = n, .ids = sample_ids() + first, .positions = count_up() + first,
                              .sequences = sequences, .outputs = outputs, .output_count = wanted,
                              .go_on = twice, .go_on_user = &asked };
        assert_int_equal(kv_reserve(s, n, &err), TOLA_OK);
        assert_int_equal(plan_run(p, team, &batch, &err), TOLA_E_CANCELLED); /* what is run again is not changed by it */
        assert_int_equal(asked, 3);
        batch.go_on = NULL;
        assert_int_equal(plan_run(p, team, &batch, &err), TOLA_OK);
        const float *logits = plan_output(p, 0, &rows, &cols);
        assert_int_equal(rows, wanted);
        for (size_t i = 0; i < wanted; i++)
            memcpy(out + (first + outputs[i]) * VOCABULARY, logits + i * cols, cols * sizeof *out);
    }
    kv_sequence_free(s);
    kv_free(kv);
    plan_free(p);
    pool_free(team);
}

static void test_company(void **state) {
    (void)state;
    little_model m;
    make_weights(&m);
    whole_model(&m);
    static float all[MOST * VOCABULARY], other[MOST * VOCABULARY];
    run_whole(&m, MOST, 1, 1, all);
    for (size_t i = 0; i < MOST * VOCABULARY; i++) assert_true(isfinite(all[i]));
    static const size_t sizes[] = { 1, 3, 16, 33 };
    for (size_t i = 0; i < 4; i++)
        for (unsigned threads = 1; threads <= 5; threads += 2) {
            run_whole(&m, sizes[i], 1, threads, other);
            assert_memory_equal(all, other, sizeof all);
        }
    memset(other, 0, sizeof other);
    run_whole(&m, 20, 7, 2, other);
    for (size_t i = 0; i < MOST; i += 7)
        assert_memory_equal(all + i * VOCABULARY, other + i * VOCABULARY, VOCABULARY * sizeof *all);
    free_model(&m);
}

/* ---- refusals ---- */

static void test_building(void **state) {
    (void)state;
    little_model m;
    make_weights(&m);
    tola_error err = TOLA_ERROR_INIT;
    graph_value x = graph_embed(m.g, &m.embed.w, 1);
    graph_value bad = graph_linear(m.g, &m.down.w, NULL, x); /* wants HIDDEN columns */
    assert_int_equal(bad, GRAPH_NONE);
    assert_int_equal(graph_add(m.g, x, bad), GRAPH_NONE); /* the first error stays */
    assert_int_equal(graph_finish(m.g, &x, 1, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "'down'"));
    free_model(&m);

    make_weights(&m);
    x = graph_embed(m.g, &m.embed.w, 1);
    const graph_attention a = { .heads = 3, .kv_heads = 2, .key_dim = HEAD, .value_dim = HEAD, .scale = 1 };
    assert_int_equal(graph_attend(m.g, &a, x, x, x), GRAPH_NONE);
    assert_true(graph_failed(m.g));
    free_model(&m);

    make_weights(&m);
    x = graph_embed(m.g, &m.embed.w, 1);
    const float never[1] = { INFINITY };
    const graph_rope rope = { never, 2, 0, false, 1 };
    graph_rotate(m.g, &rope, HEAD, x);
    assert_true(graph_failed(m.g));
    free_model(&m);
}

static void test_batches(void **state) {
    (void)state;
    little_model m;
    make_weights(&m);
    whole_model(&m);
    tola_error err = TOLA_ERROR_INIT;
    graph_plan *p;
    pool *one;
    assert_int_equal(plan_create(m.g, 0, 0, 1, &p, &err), TOLA_E_ARG);
    assert_int_equal(plan_create(m.g, 4, 4, 1, &p, &err), TOLA_OK);
    assert_int_equal(pool_create(1, &one, &err), TOLA_OK);
    const uint32_t ids[] = { 1, VOCABULARY }, rows[] = { 1, 1 };
    kv_sequence *const none[2] = { 0 };
    graph_batch batch = { .tokens = 5, .ids = ids, .positions = count_up(), .sequences = none };
    assert_int_equal(plan_run(p, one, &batch, &err), TOLA_E_ARG);
    batch.tokens = 2;
    assert_int_equal(plan_run(p, one, &batch, &err), TOLA_E_ARG); /* an id beyond the table */
    assert_non_null(strstr(err.message, "token 50"));
    batch.tokens = 1;
    batch.sequences = NULL;
    assert_int_equal(plan_run(p, one, &batch, &err), TOLA_E_ARG);
    batch.sequences = none;
    batch.outputs = rows;
    batch.output_count = 1;
    assert_int_equal(plan_run(p, one, &batch, &err), TOLA_E_ARG); /* row 1 of 1 */
    batch.output_count = 0;
    assert_int_equal(plan_run(p, one, &batch, &err), TOLA_E_ARG); /* no sequence */
    const kv_options options = { TOLA_DTYPE_F32, TOLA_DTYPE_F32, 64 };
    kv_cache *kv;
    kv_sequence *s;
    assert_int_equal(kv_create(m.g, &options, &kv, &err), TOLA_OK);
    assert_int_equal(kv_sequence_create(kv, &s, &err), TOLA_OK);
    kv_sequence *const some[1] = { s };
    batch.sequences = some;
    assert_int_equal(plan_run(p, one, &batch, &err), TOLA_E_ARG); /* nothing reserved */
    assert_int_equal(kv_reserve(s, 1, &err), TOLA_OK);
    assert_int_equal(plan_run(p, one, &batch, &err), TOLA_OK);
    kv_sequence_free(s);
    kv_free(kv);
    plan_free(p);
    pool_free(one);
    free_model(&m);
}

/* Many equal layers take no more memory than a few. */
static void test_memory(void **state) {
    (void)state;
    size_t bytes[2];
    for (int i = 0; i < 2; i++) {
        little_model m;
        make_weights(&m);
        tola_error err = TOLA_ERROR_INIT;
        graph_value x = graph_embed(m.g, &m.embed.w, 1);
        for (int layer = 0; layer < (i == 0 ? 3 : 40); layer++) x = feed_forward(&m, x);
        graph_plan *p;
        assert_int_equal(graph_finish(m.g, &x, 1, &err), TOLA_OK);
        assert_int_equal(plan_create(m.g, 64, 0, 2, &p, &err), TOLA_OK);
        bytes[i] = plan_bytes(p);
        plan_free(p);
        free_model(&m);
    }
    assert_int_equal(bytes[0], bytes[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_company), cmocka_unit_test(test_building),
        cmocka_unit_test(test_batches),  cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
