/* Training graphs: the gradient of every operation beside finite differences in double, the same bits at any number of
 * threads and with layers computed again, gradients that add up, and what training refuses. */
#include "random.h"
#include "unit.h"

#include "graph_reference.h"

#include "base/pool.h"

enum { MOST_WEIGHTS = 40, TOKENS = 12, CLASSES = 14 };

/* A network under test: its weights, which of them are learned, and a batch. */
typedef struct net {
    graph *g;
    size_t count, tokens;
    graph_weight w[MOST_WEIGHTS];
    const void *parts[MOST_WEIGHTS][8];
    float *numbers[MOST_WEIGHTS];
    float *gradient[MOST_WEIGHTS][8];
    bool learned[MOST_WEIGHTS];
    float frequency[8];
    graph_batch b;
    graph_learn_batch learn;
    bool whole_reference; /* log-probabilities of all classes */
    uint32_t seed, state; /* of random shapes */
} net;

static const graph_weight *weight(net *n, uint32_t parts, uint64_t rows, uint64_t cols) {
    const size_t i = n->count++;
    assert_true(i < MOST_WEIGHTS && parts <= 8);
    n->numbers[i] = malloc(parts * rows * cols * sizeof(float));
    assert_non_null(n->numbers[i]);
    for (uint64_t k = 0; k < parts * rows * cols; k++) n->numbers[i][k] = unit_between(-1, 1);
    for (uint32_t p = 0; p < parts; p++) n->parts[i][p] = n->numbers[i] + p * rows * cols;
    n->w[i] = (graph_weight){ "w", n->parts[i], cols * sizeof(float), rows, cols, parts, TOLA_DTYPE_F32 };
    n->learned[i] = true;
    return &n->w[i];
}

/* A matrix that is not learned, in another type. */
static const graph_weight *frozen(net *n, tola_dtype dtype, uint64_t rows, uint64_t cols) {
    const graph_weight *plain = weight(n, 1, rows, cols);
    const size_t i = n->count - 1;
    const size_t bytes = (size_t)(cols / tola_dtype_block_elements(dtype) * tola_dtype_block_bytes(dtype));
    uint8_t *made = malloc(rows * bytes);
    assert_non_null(made);
    for (uint64_t r = 0; r < rows; r++)
        assert_int_equal(codec_convert(TOLA_DTYPE_F32, dtype, n->numbers[i] + r * cols, made + r * bytes, cols,
                                       TOLA_OVERFLOW_IEEE, NULL),
                         TOLA_OK);
    free(n->numbers[i]);
    n->numbers[i] = (float *)(void *)made;
    n->parts[i][0] = made;
    n->w[i].dtype = dtype;
    n->w[i].row_bytes = bytes;
    n->learned[i] = false;
    return plain;
}

static graph_value tokens(net *n, uint64_t cols) { return graph_embed(n->g, weight(n, 1, CLASSES, cols), 1); }

static graph_value linear(net *n, uint64_t rows, bool bias, graph_value x) {
    const graph_weight *w = weight(n, 1, rows, graph_cols(n->g, x));
    return graph_linear(n->g, w, bias ? weight(n, 1, 1, rows) : NULL, x);
}

/* ---- what is tested: each builds from tokens to one loss ---- */

static graph_value inputs(net *n) {
    graph_value x = graph_add(n->g, graph_embed(n->g, weight(n, 1, CLASSES, 6), 0.7f),
                              graph_embed_position(n->g, weight(n, 1, TOKENS + 3, 6), 2));
    x = graph_add(n->g, x, graph_embed_constant(n->g, weight(n, 1, 3, 6), 1));
    x = graph_add(n->g, x, linear(n, 6, true, graph_input(n->g, 5)));
    return graph_squared_error(n->g, x);
}

static graph_value products(net *n) {
    graph_value x = tokens(n, 5), y = linear(n, 70, true, x);
    y = graph_add(n->g, linear(n, 9, false, y), linear(n, 9, true, y));
    y = graph_add(n->g, linear(n, 9, true, x), y);
    return graph_cross_entropy(n->g, 0, linear(n, CLASSES, true, graph_output_rows(n->g, y)));
}

/* The table is the output matrix, too, and learned but once. */
static graph_value tied(net *n) {
    const graph_weight *table = weight(n, 1, CLASSES, 8);
    graph_value x = linear(n, 8, false, graph_embed(n->g, table, 1));
    return graph_cross_entropy(n->g, 0.1f, graph_linear(n->g, table, NULL, x));
}

static graph_value through_frozen(net *n) {
    graph_value x = tokens(n, 256);
    x = graph_scale(n->g, 0.1f, x);
    x = graph_linear(n->g, frozen(n, TOLA_DTYPE_Q8_0, 32, 256), weight(n, 1, 1, 32), x);
    x = graph_scale(n->g, 0.1f, graph_linear(n->g, frozen(n, TOLA_DTYPE_BF16, 256, 32), NULL, x));
    x = graph_scale(n->g, 0.1f, graph_linear(n->g, frozen(n, TOLA_DTYPE_Q4_K, 12, 256), NULL, x));
    return graph_squared_error(n->g, linear(n, 6, false, x));
}

static graph_value norms(net *n) {
    graph *g = n->g;
    graph_value x = tokens(n, 24);
    x = graph_add(g, x, graph_rms_norm(g, weight(n, 1, 1, 24), 0, 0, 1e-5f, x));
    x = graph_add(g, x, graph_rms_norm(g, weight(n, 1, 1, 8), 1, 8, 1e-2f, x));
    x = graph_add(g, x, graph_rms_norm(g, weight(n, 1, 1, 24), 0.5f, 12, 1e-6f, x));
    x = graph_add(g, x, graph_rms_norm(g, NULL, 0, 6, 1e-3f, x));
    x = graph_add(g, x, graph_layer_norm(g, weight(n, 1, 1, 24), weight(n, 1, 1, 24), 1e-5f, x));
    x = graph_layer_norm(g, weight(n, 1, 1, 24), NULL, 1e-2f, x);
    return graph_squared_error(g, x);
}

static graph_value functions(net *n) {
    graph_value x = tokens(n, 37), sum = x;
    for (int f = GRAPH_SILU; f <= GRAPH_TANH; f++) {
        sum = graph_add(n->g, sum, graph_apply(n->g, (graph_function)f, linear(n, 37, true, x)));
        sum = graph_add(n->g, sum,
                        graph_gated(n->g, (graph_function)f, 0, linear(n, 37, false, x), linear(n, 37, false, x)));
    }
    return graph_squared_error(n->g, graph_scale(n->g, 0.1f, sum));
}

static graph_value clamped(net *n) {
    graph_value x = tokens(n, 19);
    x = graph_gated(n->g, GRAPH_SILU, 1.5f, linear(n, 33, true, x), linear(n, 33, true, x));
    return graph_squared_error(n->g, x);
}

static graph_value sums(net *n) {
    graph *g = n->g;
    graph_value x = tokens(n, 10), y = linear(n, 10, false, x);
    graph_value z = graph_multiply(g, graph_add(g, x, x), y);
    z = graph_multiply(g, z, linear(n, 1, true, x));
    z = graph_add(g, graph_multiply(g, y, y), graph_softcap(g, 1.3f, graph_scale(g, -0.6f, z)));
    return graph_squared_error(g, graph_position_scale(g, 0.3f, 4, z));
}

static graph_value columns(net *n) {
    graph *g = n->g;
    graph_value x = tokens(n, 24), shared = graph_columns(g, x, 0, 3, 5);
    graph_value y = graph_columns(g, x, 6, 1, 4); /* 4 groups */
    y = graph_join(g, 4, y, shared, true);
    y = graph_join(g, 2, y, graph_columns(g, x, 12, 2, 10), false);
    return graph_squared_error(g, linear(n, 7, false, y));
}

static graph_value rotations(net *n) {
    graph *g = n->g;
    for (int i = 0; i < 8; i++) n->frequency[i] = 1 / (1 + 0.7f * (float)i);
    const graph_rope whole = { n->frequency, 8, 0, false, 1 }, part = { n->frequency, 4, 3, true, 1.2f };
    graph_value x = tokens(n, 16);
    x = graph_add(g, graph_rotate(g, &whole, 8, x), graph_rotate(g, &part, 8, linear(n, 16, false, x)));
    return graph_squared_error(g, x);
}

static graph_value attention(net *n, const graph_attention *a) {
    graph *g = n->g;
    graph_value x = tokens(n, 6);
    graph_value q = linear(n, (uint64_t)a->heads * a->key_dim, false, x);
    graph_value k = linear(n, (uint64_t)a->kv_heads * a->key_dim, true, x);
    graph_value v = linear(n, (uint64_t)a->kv_heads * a->value_dim, false, x);
    graph_value y = graph_add(g, graph_attend(g, a, q, k, v), graph_attend(g, a, q, k, v));
    return graph_squared_error(g, y);
}

static graph_value attend_causal(net *n) {
    return attention(n, &(graph_attention){ .heads = 2, .kv_heads = 2, .key_dim = 5, .value_dim = 3, .scale = 0.4f });
}
static graph_value attend_shared(net *n) {
    return attention(n, &(graph_attention){ .heads = 6, .kv_heads = 2, .key_dim = 4, .value_dim = 4, .scale = 0.5f });
}
static graph_value attend_window(net *n) {
    return attention(n, &(graph_attention){ .heads = 2, .kv_heads = 1, .key_dim = 3, .value_dim = 4, .scale = 0.5f,
                                            .window = 3 });
}
static graph_value attend_chunk(net *n) {
    return attention(n, &(graph_attention){ .heads = 1, .kv_heads = 1, .key_dim = 3, .value_dim = 4, .scale = 0.5f,
                                            .chunk = 4 });
}
static graph_value attend_both_ways(net *n) {
    return attention(n, &(graph_attention){ .heads = 2, .kv_heads = 2, .key_dim = 3, .value_dim = 4, .scale = 0.5f,
                                            .bidirectional = true });
}
static graph_value attend_sinks(net *n) {
    const graph_attention a = { .heads = 4, .kv_heads = 2, .key_dim = 3, .value_dim = 4, .scale = 0.9f, .softcap = 0.8f,
                                .sinks = weight(n, 1, 1, 4) };
    return attention(n, &a);
}
/* More rows than a tile. */
static graph_value attend_long(net *n) {
    n->tokens = 150;
    return attention(n, &(graph_attention){ .heads = 2, .kv_heads = 1, .key_dim = 4, .value_dim = 3, .scale = 0.5f,
                                            .softcap = 3 });
}
static graph_value attend_long_window(net *n) {
    n->tokens = 170;
    return attention(n, &(graph_attention){ .heads = 1, .kv_heads = 1, .key_dim = 4, .value_dim = 3, .scale = 0.5f,
                                            .window = 70 });
}

enum { EXPERTS = 8 };

static graph_value mixture(net *n, const graph_routing *r, bool weigh_input) {
    graph *g = n->g;
    graph_value x = tokens(n, 7), route = graph_route(g, r, linear(n, EXPERTS, true, x));
    const graph_weight *bias = weight(n, 1, EXPERTS, 9);
    graph_value gate = graph_expert_linear(g, weight(n, EXPERTS, 9, 7), bias, weigh_input, route, x);
    graph_value up = graph_expert_linear(g, weight(n, EXPERTS, 9, 7), NULL, weigh_input, route, x);
    graph_value y = graph_expert_linear(g, weight(n, EXPERTS, 5, 9), weight(n, 1, EXPERTS, 5), false, route,
                                        graph_gated(g, GRAPH_SILU, 0, gate, up));
    return graph_squared_error(g, graph_expert_sum(g, !weigh_input, route, y));
}

static graph_value route_chosen(net *n) {
    return mixture(n, &(graph_routing){ .used = 2, .softmax_chosen = true, .scale = 1 }, false);
}
static graph_value route_all(net *n) { return mixture(n, &(graph_routing){ .used = 3, .scale = 1.5f }, false); }
static graph_value route_normalized(net *n) {
    return mixture(n, &(graph_routing){ .used = 3, .normalize = true, .scale = 1 }, false);
}
static graph_value route_sigmoid(net *n) {
    return mixture(n, &(graph_routing){ .used = 1, .sigmoid = true, .scale = 1 }, true);
}
static graph_value route_groups(net *n) {
    const graph_weight *bias = weight(n, 1, 1, EXPERTS);
    n->learned[n->count - 1] = false;
    return mixture(n, &(graph_routing){ .used = 3, .sigmoid = true, .normalize = true, .scale = 2.5f, .groups = 4,
                                        .groups_used = 2, .group_by_top2 = true, .bias = bias },
                   false);
}
static graph_value route_best_groups(net *n) {
    return mixture(n, &(graph_routing){ .used = 2, .scale = 1, .groups = 4, .groups_used = 2 }, false);
}

static graph_value images(net *n) {
    graph *g = n->g;
    const graph_image first = { 2, 7, 6 }, second = { 3, 7, 6 }, third = { 3, 3, 3 };
    graph_value x = graph_add(g, graph_input(g, 84), tokens(n, 84));
    x = graph_convolve(g, &first, 3, 1, 1, weight(n, 1, 3, 18), weight(n, 1, 1, 3), x);
    x = graph_pool_max(g, &second, 2, graph_apply(g, GRAPH_TANH, x));
    x = graph_convolve(g, &third, 2, 2, 1, weight(n, 1, 4, 12), NULL, x);
    return graph_squared_error(g, x);
}

static graph_value dropped(net *n) {
    graph_value x = graph_dropout(n->g, 0.3f, tokens(n, 20));
    x = graph_add(n->g, x, graph_dropout(n->g, 0.5f, linear(n, 20, true, x)));
    return graph_squared_error(n->g, graph_output_rows(n->g, x));
}

static graph_value dora(net *n) {
    graph *g = n->g;
    graph_value x = tokens(n, 11);
    const graph_weight *w = weight(n, 1, 9, 11), *down = weight(n, 1, 3, 11), *up = weight(n, 1, 9, 3);
    graph_value product = graph_linear(g, w, NULL, x);
    graph_value change = graph_scale(g, 0.5f, graph_linear(g, up, NULL, graph_linear(g, down, NULL, x)));
    return graph_squared_error(g, graph_dora(g, w, down, up, 0.5f, weight(n, 1, 1, 9), weight(n, 1, 1, 9), product,
                                             change));
}

static graph_value loss_smoothed(net *n) {
    return graph_cross_entropy(n->g, 0.2f, linear(n, CLASSES, true, tokens(n, 6)));
}
static graph_value loss_mixed(net *n) {
    graph_value x = graph_output_rows(n->g, linear(n, CLASSES, true, tokens(n, 6)));
    return graph_add(n->g, graph_scale(n->g, 0.4f, graph_cross_entropy(n->g, 0, x)),
                     graph_scale(n->g, 0.6f, graph_divergence(n->g, 2, x)));
}
static graph_value loss_divergence(net *n) {
    n->whole_reference = true;
    return graph_divergence(n->g, 1.5f, linear(n, CLASSES, true, tokens(n, 6)));
}

/* ---- random shapes, others in each round ---- */

/* 1 .. most */
static uint32_t pick(net *n, uint32_t most) {
    n->state = n->state * 1664525u + 1013904223u; /* Numerical Recipes' */
    return 1 + (n->state >> 8) % most;
}

static graph_value any_attention(net *n) {
    graph_attention a = { .kv_heads = pick(n, 3), .key_dim = pick(n, 9), .value_dim = pick(n, 9), .scale = 0.6f };
    a.heads = a.kv_heads * pick(n, 3);
    n->tokens = pick(n, 5) == 1 ? 60 + pick(n, 30) : 1 + pick(n, 20);
    if (pick(n, 3) == 1) a.window = pick(n, 30);
    if (pick(n, 3) == 1) a.chunk = pick(n, 30);
    if (pick(n, 4) == 1) a.softcap = 0.9f;
    if (pick(n, 4) == 1) a.bidirectional = true;
    if (pick(n, 3) == 1) a.sinks = weight(n, 1, 1, a.heads);
    return attention(n, &a);
}

static graph_value any_products(net *n) {
    n->tokens = 1 + pick(n, 40);
    graph_value x = linear(n, pick(n, 80), pick(n, 2) == 1, tokens(n, pick(n, 20)));
    x = graph_rms_norm(n->g, weight(n, 1, 1, graph_cols(n->g, x)), 0, 0, 1e-2f, x);
    return graph_cross_entropy(n->g, 0, linear(n, CLASSES, pick(n, 2) == 1, x));
}

static graph_value any_images(net *n) {
    const uint32_t channels = pick(n, 4), high = 2 + pick(n, 7), wide = 2 + pick(n, 7), size = pick(n, 3);
    const uint32_t stride = pick(n, 2), pad = pick(n, size) - 1, filters = pick(n, 5);
    const graph_image image = { channels, high, wide };
    graph_value x = tokens(n, channels * high * wide);
    const graph_weight *w = weight(n, 1, filters, channels * size * size);
    return graph_squared_error(n->g, graph_convolve(n->g, &image, size, stride, pad, w, weight(n, 1, 1, filters), x));
}

static graph_value any_mixture(net *n) {
    n->tokens = 1 + pick(n, 30);
    const graph_routing r = { .used = pick(n, EXPERTS), .softmax_chosen = pick(n, 3) == 1, .sigmoid = pick(n, 3) == 1,
                              .normalize = pick(n, 2) == 1, .scale = 0.3f * (float)pick(n, 5) };
    return mixture(n, &r, pick(n, 2) == 1);
}

/* Three layers with marks, as models have them. */
static graph_value layers(net *n) {
    graph *g = n->g;
    for (int i = 0; i < 8; i++) n->frequency[i] = 1 / (1 + 0.7f * (float)i);
    const graph_rope rope = { n->frequency, 4, 0, true, 1 };
    const graph_attention a = { .heads = 2, .kv_heads = 1, .key_dim = 4, .value_dim = 4, .scale = 0.5f };
    graph_value x = tokens(n, 8);
    for (int layer = 0; layer < 3; layer++) {
        graph_layer(g, x);
        graph_value y = graph_rms_norm(g, weight(n, 1, 1, 8), 0, 0, 1e-5f, x);
        graph_value q = graph_rotate(g, &rope, 4, linear(n, 8, true, y));
        graph_value k = graph_rotate(g, &rope, 4, linear(n, 4, false, y));
        y = graph_attend(g, &a, q, k, linear(n, 4, false, y));
        x = graph_add(g, x, graph_dropout(g, 0.1f, linear(n, 8, false, y)));
        if (layer == 2) x = graph_output_rows(g, x);
        y = graph_layer_norm(g, weight(n, 1, 1, 8), weight(n, 1, 1, 8), 1e-5f, x);
        y = graph_gated(g, GRAPH_SILU, 0, linear(n, 10, false, y), linear(n, 10, false, y));
        x = graph_add(g, x, linear(n, 8, false, y));
    }
    graph_layer(g, x);
    return graph_cross_entropy(g, 0, linear(n, CLASSES, false, x));
}

static const struct {
    const char *name;
    graph_value (*build)(net *n);
} cases[] = {
    { "inputs", inputs }, { "products", products }, { "tied", tied }, { "through frozen", through_frozen },
    { "norms", norms }, { "functions", functions }, { "clamped", clamped }, { "sums", sums }, { "columns", columns },
    { "rotations", rotations }, { "attention", attend_causal }, { "shared heads", attend_shared },
    { "window", attend_window }, { "chunk", attend_chunk }, { "both ways", attend_both_ways },
    { "sinks", attend_sinks }, { "long", attend_long }, { "long window", attend_long_window },
    { "softmax of the chosen", route_chosen }, { "softmax of all", route_all }, { "normalized", route_normalized },
    { "sigmoid", route_sigmoid }, { "groups", route_groups }, { "best groups", route_best_groups },
    { "images", images }, { "dropout", dropped }, { "dora", dora }, { "smoothing", loss_smoothed },
    { "mixed losses", loss_mixed }, { "divergence", loss_divergence },
    { "any attention", any_attention }, { "any products", any_products }, { "any images", any_images },
    { "any mixture", any_mixture }, { "layers", layers },
};
enum { CASES = sizeof cases / sizeof *cases, RANDOM_ROUNDS = 12 };

static size_t rounds_of(size_t which) { return strncmp(cases[which].name, "any ", 4) == 0 ? RANDOM_ROUNDS : 1; }

/* ---- batches ---- */

enum { MOST_TOKENS = 200, TOP = 4, FEATURES = 84, WANTED = 512 };

static void make_batch(net *n) {
    static uint32_t ids[MOST_TOKENS], positions[MOST_TOKENS], first[MOST_TOKENS], outputs[MOST_TOKENS];
    static uint32_t targets[MOST_TOKENS], entries[MOST_TOKENS * TOP];
    static float features[MOST_TOKENS * FEATURES], weights[MOST_TOKENS], wanted[MOST_TOKENS * WANTED];
    static float logs[MOST_TOKENS * CLASSES];
    size_t count = 0;
    for (size_t t = 0; t < n->tokens; t++) {
        ids[t] = unit_any() % CLASSES;
        const bool begins = t == 0 || t == n->tokens / 3; /* two sequences, the second from position 2 on */
        first[t] = (uint32_t)(begins ? t : first[t - 1]);
        positions[t] = begins ? (t == 0 ? 0 : 2) : positions[t - 1] + 1;
        if (t % 3 != 1) outputs[count++] = (uint32_t)t;
        targets[t] = unit_any() % CLASSES;
        weights[t] = t % 5 == 3 ? 0 : unit_between(0.1f, 0.3f);
        if (weights[t] == 0) targets[t] = UINT32_MAX; /* nobody asks */
        for (uint32_t k = 0; k < TOP; k++) entries[t * TOP + k] = (unit_any() % 3 + k * 3) % CLASSES;
    }
    for (size_t i = 0; i < MOST_TOKENS * FEATURES; i++) features[i] = unit_between(-1, 1);
    for (size_t i = 0; i < MOST_TOKENS * WANTED; i++) wanted[i] = unit_between(-1, 1);
    for (size_t i = 0; i < MOST_TOKENS * CLASSES; i++) logs[i] = unit_between(-3, -1);
    n->learn = (graph_learn_batch){ .first = first, .features = features, .targets = targets, .row_weights = weights,
                                    .wanted = wanted, .reference = logs, .reference_ids = entries,
                                    .reference_top = TOP, .seed = 7 };
    n->b = (graph_batch){ .tokens = n->tokens, .ids = ids, .positions = positions, .outputs = outputs,
                          .output_count = count, .learn = &n->learn };
}

/* ---- running ---- */

static size_t elements(const net *n, size_t i) { return (size_t)(n->w[i].parts * n->w[i].rows * n->w[i].cols); }

/* Case `which`, with the weights and the batch of `like` where that is not NULL. */
static void build(net *n, size_t which, graph_recompute recompute, const net *like) {
    tola_error err = TOLA_ERROR_INIT;
    graph_parameter parameters[MOST_WEIGHTS];
    size_t count = 0;
    memset(n, 0, sizeof *n);
    n->tokens = TOKENS;
    n->seed = n->state = like ? like->seed : unit_any();
    assert_int_equal(graph_create_training(&n->g, &err), TOLA_OK);
    assert_true(graph_is_training(n->g));
    graph_value loss = cases[which].build(n);
    for (size_t i = 0; i < n->count; i++) {
        if (like) memcpy(n->numbers[i], like->numbers[i], (size_t)(n->w[i].parts * n->w[i].rows * n->w[i].row_bytes));
        if (!n->learned[i]) continue;
        const size_t each = (size_t)(n->w[i].rows * n->w[i].cols);
        n->gradient[i][0] = calloc(elements(n, i), sizeof(float));
        assert_non_null(n->gradient[i][0]);
        for (size_t p = 1; p < n->w[i].parts; p++) n->gradient[i][p] = n->gradient[i][p - 1] + each;
        parameters[count++] = (graph_parameter){ &n->w[i], n->gradient[i] };
    }
    graph_differentiate(n->g, parameters, count, &loss, 1, recompute);
    if (graph_finish(n->g, &loss, 1, &err) != TOLA_OK) fail_msg("%s: %s", cases[which].name, err.message);
    if (like) {
        n->b = like->b;
        n->learn = like->learn;
    } else {
        make_batch(n);
        if (n->whole_reference) n->learn.reference_ids = NULL;
    }
    n->b.learn = &n->learn;
}

static void release(net *n) {
    for (size_t i = 0; i < n->count; i++) {
        free(n->numbers[i]);
        free(n->gradient[i][0]);
    }
    graph_free(n->g);
}

/* The sum of the losses. */
static double run(net *n, unsigned threads, bool evaluate, size_t times, graph_precision precision) {
    tola_error err = TOLA_ERROR_INIT;
    graph_plan *p;
    pool *team;
    uint64_t bytes;
    size_t rows, cols;
    double sum = 0;
    n->learn.evaluate = evaluate;
    assert_int_equal(pool_create(threads, &team, &err), TOLA_OK);
    assert_int_equal(plan_create_training(n->g, n->b.tokens, n->b.output_count, threads, precision, &p, &err), TOLA_OK);
    assert_int_equal(plan_predict(n->g, n->b.tokens, n->b.output_count, threads, precision, &bytes, &err), TOLA_OK);
    assert_int_equal(bytes, plan_bytes(p));
    for (size_t i = 0; i < times; i++)
        if (plan_run(p, team, &n->b, &err) != TOLA_OK) fail_msg("%s", err.message);
    const float *losses = plan_output(p, 0, &rows, &cols);
    for (size_t r = 0; r < rows; r++) sum += (double)losses[r];
    plan_free(p);
    pool_free(team);
    n->learn.evaluate = false;
    return sum;
}

/* ---- finite differences: central, of sums in double: their own error is below 1e-8 of the largest gradient ---- */

static double largest(const net *n, size_t i) {
    double most = 0;
    for (size_t k = 0; n->learned[i] && k < elements(n, i); k++) most = fmax(most, fabs((double)n->gradient[i][0][k]));
    return most;
}

static double largest_of_all(const net *n) {
    double most = 0;
    for (size_t i = 0; i < n->count; i++) most = fmax(most, largest(n, i));
    return most;
}

/* Elements that are looked at in each weight: fewer where a sanitizer makes them slow. */
static size_t looked_at(const net *n) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return n->tokens > 100 ? 2 : 4;
#else
    return n->tokens > 100 ? 6 : 20;
#endif
}

/* A bias of keys has no gradient (softmax does not see it), hence the floor. Three layers round more than one
 * operation. */
static void compare_weight(const net *n, size_t which, size_t i) {
    const double step = 1e-5, most = largest(n, i), floor = 1e-6 * largest_of_all(n);
    const double tolerance = cases[which].build == layers ? 2e-4 : 5e-5;
    const size_t all = elements(n, i), some = looked_at(n);
    const float *gradient = n->gradient[i][0];
    assert_true(isfinite(most));
    if (most == 0 && rounds_of(which) == 1) fail_msg("%s: weight %zu has no gradient", cases[which].name, i);
    for (size_t k = 0; k < all && k < some; k++) {
        const size_t at = all <= some ? k : unit_random() % all;
        const float *x = &n->numbers[i][at];
        const double more = reference_run(n->g, &n->b, x, step), less = reference_run(n->g, &n->b, x, -step);
        const double expected = (more - less) / (2 * step);
        if (fabs(expected - (double)gradient[at]) > tolerance * most + floor)
            fail_msg("%s: weight %zu of %llu x %llu, element %zu: gradient %.8g, not %.8g (largest %.3g)",
                     cases[which].name, i, (unsigned long long)n->w[i].rows, (unsigned long long)n->w[i].cols, at,
                     (double)gradient[at], expected, most);
    }
}

static void compare(size_t which) {
    net n;
    build(&n, which, GRAPH_KEEP_ALL, NULL);
    const double loss = run(&n, 2, false, 1, GRAPH_F32), expected = reference_run(n.g, &n.b, NULL, 0);
    if (fabs(loss - expected) > 1e-5 * fabs(expected) + 1e-6)
        fail_msg("%s: loss %.9g, not %.9g", cases[which].name, loss, expected);
    for (size_t i = 0; i < n.count; i++)
        if (n.learned[i]) compare_weight(&n, which, i);
    release(&n);
}

static void test_differences(void **state) {
    (void)state;
    for (size_t which = 0; which < CASES; which++)
        for (size_t round = 0; round < rounds_of(which); round++) compare(which);
}

/* ---- the same bits ---- */

static void same_gradients(const net *a, const net *b, const char *what) {
    for (size_t i = 0; i < a->count; i++)
        if (a->learned[i] && memcmp(a->gradient[i][0], b->gradient[i][0], elements(a, i) * sizeof(float)) != 0)
            fail_msg("%s: weight %zu has other bits", what, i);
}

static void compare_bits(size_t which) {
    net one, three, again;
    build(&one, which, GRAPH_KEEP_ALL, NULL);
    build(&three, which, GRAPH_KEEP_ALL, &one);
    build(&again, which, GRAPH_RECOMPUTE_LAYERS, &one);
    const double loss = run(&one, 1, false, 1, GRAPH_F32);
    assert_true(run(&three, 3, false, 1, GRAPH_F32) == loss);
    assert_true(run(&again, 2, false, 1, GRAPH_F32) == loss);
    same_gradients(&one, &three, cases[which].name);
    same_gradients(&one, &again, cases[which].name);
    release(&one);
    release(&three);
    release(&again);
}

static void test_bits(void **state) {
    (void)state;
    for (size_t which = 0; which < CASES; which++)
        for (size_t round = 0; round < rounds_of(which); round++) compare_bits(which);
}

/* Layers that are computed again take less memory than those that are kept. */
static void test_recompute(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    uint64_t bytes[2];
    for (int i = 0; i < 2; i++) {
        net n;
        build(&n, CASES - 1, i == 0 ? GRAPH_KEEP_ALL : GRAPH_RECOMPUTE_LAYERS, NULL);
        assert_int_equal(plan_predict(n.g, 512, 400, 1, GRAPH_F32, &bytes[i], &err), TOLA_OK);
        release(&n);
    }
    assert_true(bytes[1] < bytes[0]);
}

/* ---- gradients add up; an evaluation leaves them alone ---- */

static void test_accumulation(void **state) {
    (void)state;
    for (size_t which = 0; which < CASES; which++) {
        net one, two;
        build(&one, which, GRAPH_KEEP_ALL, NULL);
        build(&two, which, GRAPH_KEEP_ALL, &one);
        run(&one, 2, false, 1, GRAPH_F32);
        run(&two, 2, false, 2, GRAPH_F32);
        run(&two, 2, true, 1, GRAPH_F32);
        for (size_t i = 0; i < one.count; i++) {
            const float *a = one.gradient[i][0], *b = two.gradient[i][0];
            const double most = largest(&one, i), floor = 1e-6 * largest_of_all(&one);
            for (size_t k = 0; a && k < elements(&one, i); k++)
                if (fabs((double)b[k] - 2 * (double)a[k]) > 1e-5 * most + floor)
                    fail_msg("%s: weight %zu, element %zu: %g, not twice %g", cases[which].name, i, k, (double)b[k],
                             (double)a[k]);
        }
        release(&one);
        release(&two);
    }
}

/* ---- narrower products: near, where no choice hangs on a rounding and not too many follow one another ---- */

/* The distance between all gradients of both, over their length. */
static double distance(const net *a, const net *b) {
    double off = 0, all = 0;
    for (size_t i = 0; i < a->count; i++)
        for (size_t e = 0; a->learned[i] && e < elements(a, i); e++) {
            const double x = (double)a->gradient[i][0][e], y = (double)b->gradient[i][0][e];
            off += (x - y) * (x - y);
            all += x * x;
        }
    return sqrt(off / all);
}

static void test_precision(void **state) {
    (void)state;
    static const double loosest[] = { [GRAPH_F32] = 0, [GRAPH_BF16] = 0.1, [GRAPH_FP8] = 0.6 };
    for (size_t which = 0; which < CASES; which++)
        for (int k = GRAPH_BF16; k <= GRAPH_FP8; k++) {
            if (cases[which].build == route_groups || cases[which].build == route_best_groups) continue;
            if (rounds_of(which) > 1 || (k == GRAPH_FP8 && cases[which].build == layers)) continue;
            net wide, narrow;
            build(&wide, which, GRAPH_KEEP_ALL, NULL);
            build(&narrow, which, GRAPH_RECOMPUTE_LAYERS, &wide);
            run(&wide, 2, false, 1, GRAPH_F32);
            run(&narrow, 2, false, 1, (graph_precision)k);
            const double off = distance(&wide, &narrow);
            if (!(off < loosest[k])) fail_msg("%s: precision %d is %g off", cases[which].name, k, off);
            release(&wide);
            release(&narrow);
        }
}

/* ---- refusals ---- */

static void refused(const net *n, graph_plan *p, pool *one, const char *message) {
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(plan_run(p, one, &n->b, &err), TOLA_E_ARG);
    if (!strstr(err.message, message)) fail_msg("'%s', not '%s'", err.message, message);
}

static void test_batches(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    net n;
    graph_plan *p;
    pool *one;
    build(&n, CASES - 1, GRAPH_KEEP_ALL, NULL);
    assert_int_equal(plan_create(n.g, 4, 4, 1, &p, &err), TOLA_E_ARG); /* a training graph */
    assert_int_equal(plan_create_training(n.g, TOKENS, TOKENS, 1, GRAPH_F32, &p, &err), TOLA_OK);
    assert_int_equal(pool_create(1, &one, &err), TOLA_OK);
    const graph_batch whole = n.b;
    const graph_learn_batch learn = n.learn;
    uint32_t odd[TOKENS];
    n.b.learn = NULL;
    refused(&n, p, one, "what training needs");
    n.b = whole;
    n.b.positions = NULL;
    refused(&n, p, one, "without positions");
    memcpy(odd, whole.positions, sizeof odd);
    odd[2] = 7;
    n.b.positions = odd;
    refused(&n, p, one, "position 7");
    n.b = whole;
    memcpy(odd, learn.first, sizeof odd);
    odd[2] = 1;
    n.learn.first = odd;
    refused(&n, p, one, "row 2");
    n.learn = learn;
    memcpy(odd, learn.targets, sizeof odd);
    odd[0] = CLASSES;
    n.learn.targets = odd;
    refused(&n, p, one, "target 14 of output 0");
    n.learn = learn;
    n.learn.row_weights = NULL;
    refused(&n, p, one, "weights");
    plan_free(p);
    pool_free(one);
    release(&n);
}

static void test_building(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    net n = { .tokens = TOKENS };
    graph_value loss;
    assert_int_equal(graph_create(&n.g, &err), TOLA_OK);
    assert_int_equal(graph_input(n.g, 3), GRAPH_NONE); /* in training graphs only */
    assert_true(graph_failed(n.g));
    graph_free(n.g);

    assert_int_equal(graph_create_training(&n.g, &err), TOLA_OK);
    loss = tokens(&n, 3);
    graph_differentiate(n.g, NULL, 0, &loss, 1, GRAPH_KEEP_ALL); /* a loss of three columns */
    assert_int_equal(graph_finish(n.g, &loss, 1, &err), TOLA_E_FORMAT);
    release(&n);

    n = (net){ .tokens = TOKENS };
    assert_int_equal(graph_create_training(&n.g, &err), TOLA_OK);
    graph_value x = linear(&n, 32, false, tokens(&n, 32));
    loss = graph_squared_error(n.g, graph_linear(n.g, frozen(&n, TOLA_DTYPE_Q8_0, 4, 32), NULL, x));
    const graph_parameter never = { &n.w[n.count - 1], n.gradient[0] };
    graph_differentiate(n.g, &never, 1, &loss, 1, GRAPH_KEEP_ALL); /* not f32 */
    assert_int_equal(graph_finish(n.g, &loss, 1, &err), TOLA_E_UNSUPPORTED);
    release(&n);
}

/* Memory that runs out is told, wherever it does. */
static void test_no_memory(void **state) {
    (void)state;
    static const size_t looked_at[] = { CASES - 1, 19 /* experts */ };
    for (size_t k = 0; k < 2; k++) {
        tola_status status = TOLA_E_NOMEM;
        for (uint64_t after = 0; status != TOLA_OK; after++) {
            tola_error err = TOLA_ERROR_INIT;
            graph_parameter parameters[MOST_WEIGHTS];
            graph_plan *p = NULL;
            size_t count = 0;
            net n = { .tokens = TOKENS };
            assert_true(after < 10000);
            fault_arm(FAULT_ALLOC, after, true);
            status = graph_create_training(&n.g, &err);
            if (status == TOLA_OK) {
                graph_value loss = cases[looked_at[k]].build(&n);
                for (size_t i = 0; i < n.count; i++)
                    if (n.learned[i]) parameters[count++] = (graph_parameter){ &n.w[i], n.gradient[i] };
                graph_differentiate(n.g, parameters, count, &loss, 1, GRAPH_RECOMPUTE_LAYERS);
                status = graph_finish(n.g, &loss, 1, &err);
            }
            if (status == TOLA_OK) status = plan_create_training(n.g, TOKENS, TOKENS, 2, GRAPH_F32, &p, &err);
            fault_disarm();
            assert_true(status == TOLA_OK || status == TOLA_E_NOMEM);
            plan_free(p);
            release(&n);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),   cmocka_unit_test(test_bits),      cmocka_unit_test(test_recompute),
        cmocka_unit_test(test_accumulation),  cmocka_unit_test(test_precision), cmocka_unit_test(test_batches),
        cmocka_unit_test(test_building),      cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
