/* The gradient of every operation, as nodes. `d` is the gradient of v; x', y' are those of inputs. */
#include "graph/build.h"

static const graph_node *node_of(const graph_backward *b, graph_value v) { return &back_graph(b)->nodes[v]; }

/* What the backward reads of input i of v. */
static graph_value input(const graph_backward *b, graph_value v, int i) {
    const graph_value in = node_of(b, v)->in[i];
    return in == GRAPH_NONE ? in : back_value(b, in);
}

static bool input_wanted(const graph_backward *b, graph_value v, int i) {
    const graph_value in = node_of(b, v)->in[i];
    return in != GRAPH_NONE && back_wanted(b, in);
}

/* A node with the rows of `like`, and v's arguments. */
static graph_node back_node(const graph_backward *b, graph_op op, uint32_t cols, graph_value like, graph_value v,
                            graph_value in0, graph_value in1, graph_value in2) {
    graph_node n = build_over(back_graph(b), op, cols, like);
    const graph_node *from = node_of(b, v);
    n.in[0] = in0;
    n.in[1] = in1;
    n.in[2] = in2;
    n.w[0] = from->w[0];
    n.w[1] = from->w[1];
    n.u = from->u;
    return n;
}

/* Input i's gradient is one node that reads in0, in1, in2. */
static void give(graph_backward *b, graph_value v, int i, graph_op op, graph_value in0, graph_value in1,
                 graph_value in2) {
    if (!input_wanted(b, v, i)) return;
    const graph_value to = node_of(b, v)->in[i];
    graph_node n = back_node(b, op, node_of(b, to)->cols, to, v, in0, in1, in2);
    back_to(b, to, build_add(back_graph(b), &n));
}

/* A gradient of v's weight `which`, where that is learned. */
static void learn(graph_backward *b, graph_value v, int which, graph_op op, graph_value in0, graph_value in1,
                  graph_value in2) {
    float *const *gradient = back_parameter(b, node_of(b, v)->w[which]);
    if (!gradient) return;
    graph_node n = back_node(b, op, 0, v, v, in0, in1, in2);
    n.w[0] = node_of(b, v)->w[which];
    n.w[1] = NULL;
    n.gradient = gradient;
    build_add(back_graph(b), &n);
}

/* ---- inputs ---- */

static void embed_gradient(graph_backward *b, graph_value v, graph_value d) {
    float *const *gradient = back_parameter(b, node_of(b, v)->w[0]);
    if (!gradient) return;
    graph_node n = back_node(b, OP_EMBED_WEIGHT, 0, v, v, d, GRAPH_NONE, GRAPH_NONE);
    n.gradient = gradient;
    n.w[1] = NULL;
    n.of = node_of(b, v)->op;
    build_add(back_graph(b), &n);
}

static void no_gradient(graph_backward *b, graph_value v, graph_value d) { (void)b, (void)v, (void)d; }

static void part_gradient(graph_backward *b, graph_value v, graph_value d) {
    (void)d;
    back_pass(b, v, node_of(b, v)->in[0], false);
}

/* ---- products: y = begin + x W^T; x' = y' W, W' = y'^T x ---- */

static void bias_rows_gradient(graph_backward *b, graph_value v, graph_value d) {
    learn(b, v, 0, OP_SUM_ROWS, d, GRAPH_NONE, GRAPH_NONE);
}

static void matmul_gradient(graph_backward *b, graph_value v, graph_value d) {
    graph *g = back_graph(b);
    const graph_value x = node_of(b, v)->in[0], begin = node_of(b, v)->in[1];
    const graph_value large_d = train_largest(g, NULL, d), large_x = input(b, v, 2), large_w = input(b, v, 3);
    float *const *gradient = back_parameter(b, node_of(b, v)->w[0]);
    if (begin != GRAPH_NONE && back_wanted(b, begin)) back_pass(b, v, begin, true);
    if (gradient) {
        graph_node n = back_node(b, OP_MATMUL_WEIGHT, 0, v, v, d, back_value(b, x), large_d);
        n.in[3] = large_x;
        n.gradient = gradient;
        build_add(g, &n);
    }
    if (!back_wanted(b, x)) return;
    const graph_value begun = back_take(b, x);
    graph_node n = back_node(b, OP_MATMUL_BACK, node_of(b, x)->cols, v, v, d, begun, large_d);
    n.in[3] = large_w;
    back_to(b, x, build_add(g, &n));
}

/* ---- one row at a time ---- */

static void norm_weights(graph_backward *b, graph_value v, graph_value d) {
    if (!back_parameter(b, node_of(b, v)->w[0])) return;
    const uint32_t cols = node_of(b, v)->cols, group = node_of(b, v)->u.norm.group;
    graph_node n = back_node(b, OP_NORM_STATISTICS, cols / group * 2, v, v, input(b, v, 0), GRAPH_NONE, GRAPH_NONE);
    n.of = node_of(b, v)->op;
    learn(b, v, 0, OP_NORM_WEIGHT, d, input(b, v, 0), build_add(back_graph(b), &n));
}

static void rms_norm_gradient(graph_backward *b, graph_value v, graph_value d) {
    norm_weights(b, v, d);
    give(b, v, 0, OP_RMS_NORM_BACK, input(b, v, 0), d, GRAPH_NONE);
}

static void layer_norm_gradient(graph_backward *b, graph_value v, graph_value d) {
    norm_weights(b, v, d);
    learn(b, v, 1, OP_SUM_ROWS, d, GRAPH_NONE, GRAPH_NONE);
    give(b, v, 0, OP_LAYER_NORM_BACK, input(b, v, 0), d, GRAPH_NONE);
}

static void apply_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, OP_APPLY_BACK, input(b, v, 0), d, GRAPH_NONE);
}

static void gated_gradient(graph_backward *b, graph_value v, graph_value d) {
    graph_node n = back_node(b, OP_GATED_BACK, 0, v, v, input(b, v, 0), input(b, v, 1), d);
    n.u.apply.cols = node_of(b, v)->cols;
    const graph_value both = build_add(back_graph(b), &n);
    for (int i = 0; i < 2; i++)
        if (input_wanted(b, v, i)) back_to(b, node_of(b, v)->in[i], train_part(back_graph(b), both, (uint32_t)i));
}

static void add_gradient(graph_backward *b, graph_value v, graph_value d) {
    (void)d;
    const bool both = input_wanted(b, v, 0) && input_wanted(b, v, 1);
    for (int i = 0; i < 2; i++) back_pass(b, v, node_of(b, v)->in[i], both);
}

static void multiply_gradient(graph_backward *b, graph_value v, graph_value d) {
    const graph_value y = node_of(b, v)->in[1];
    const bool column = node_of(b, y)->cols != node_of(b, v)->cols;
    give(b, v, 0, OP_MULTIPLY, d, input(b, v, 1), GRAPH_NONE);
    give(b, v, 1, column ? OP_DOT : OP_MULTIPLY, d, input(b, v, 0), GRAPH_NONE);
}

/* x times something that is not learned: so is the gradient. */
static void same_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, (graph_op)node_of(b, v)->op, d, GRAPH_NONE, GRAPH_NONE);
}

static void softcap_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, OP_SOFTCAP_BACK, back_value(b, v), d, GRAPH_NONE);
}

/* ---- moving columns and rows ---- */

static void columns_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, OP_COLUMNS_BACK, d, GRAPH_NONE, GRAPH_NONE);
}

static void join_gradient(graph_backward *b, graph_value v, graph_value d) {
    graph *g = back_graph(b);
    const graph_value p = node_of(b, v)->in[0], q = node_of(b, v)->in[1];
    const uint32_t heads = node_of(b, v)->u.join.heads, group = node_of(b, v)->cols / heads;
    const uint32_t first = node_of(b, p)->cols / heads;
    if (back_wanted(b, p)) back_to(b, p, graph_columns(g, d, group, 0, first));
    if (!back_wanted(b, q)) return;
    if (node_of(b, v)->u.join.b_shared)
        give(b, v, 1, OP_JOIN_BACK, d, GRAPH_NONE, GRAPH_NONE);
    else
        back_to(b, q, graph_columns(g, d, group, first, group - first));
}

static void output_rows_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, OP_OUTPUT_ROWS_BACK, d, GRAPH_NONE, GRAPH_NONE);
}

/* Turned back: by the opposite frequencies. */
static void rotate_gradient(graph_backward *b, graph_value v, graph_value d) {
    graph *g = back_graph(b);
    if (!input_wanted(b, v, 0)) return;
    const graph_node *turns = node_of(b, node_of(b, v)->in[1]);
    const size_t pairs = turns->u.rope.rotated / 2;
    float *opposite = arena_alloc_array(&g->arena, pairs, sizeof *opposite);
    if (!opposite) {
        build_no_memory(g);
        return;
    }
    for (size_t i = 0; i < pairs; i++) opposite[i] = -turns->u.rope.frequency[i];
    const graph_rope rope = { .frequency = opposite, .rotated = turns->u.rope.rotated,
                              .magnitude = turns->u.rope.magnitude };
    give(b, v, 0, OP_ROTATE, d, build_turns(g, &rope), GRAPH_NONE);
}

/* ---- attention ---- */

static void attend_gradient(graph_backward *b, graph_value v, graph_value d) {
    graph *g = back_graph(b);
    graph_node n = back_node(b, OP_SELF_ATTEND_BACK, 0, v, v, input(b, v, 0), input(b, v, 1), input(b, v, 2));
    n.in[3] = back_value(b, v);
    n.in[4] = d;
    const graph_value all = build_add(g, &n);
    learn(b, v, 0, OP_SINKS_WEIGHT, graph_failed(g) || !n.w[0] ? GRAPH_NONE : train_part(g, all, 3), GRAPH_NONE,
          GRAPH_NONE);
    for (int i = 0; i < 3; i++)
        if (input_wanted(b, v, i)) back_to(b, node_of(b, v)->in[i], train_part(g, all, (uint32_t)i));
}

/* ---- experts ---- */

static void route_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, OP_ROUTE_BACK, input(b, v, 0), back_value(b, v), d);
}

/* The gradient of a choice: products of tokens' rows with experts' rows, one a slot. */
static void scores(graph_backward *b, graph_value v, graph_value tokens, graph_value experts) {
    if (!node_of(b, v)->u.expert.weigh) return;
    give(b, v, 1, OP_EXPERT_SCORES, tokens, experts, input(b, v, 2));
}

static void gather_gradient(graph_backward *b, graph_value v, graph_value d) {
    scores(b, v, input(b, v, 0), d);
    give(b, v, 0, OP_EXPERT_SUM, d, input(b, v, 1), input(b, v, 2));
}

static void sum_gradient(graph_backward *b, graph_value v, graph_value d) {
    scores(b, v, d, input(b, v, 0));
    give(b, v, 0, OP_EXPERT_GATHER, d, input(b, v, 1), input(b, v, 2));
}

static void expert_bias_gradient(graph_backward *b, graph_value v, graph_value d) {
    learn(b, v, 0, OP_EXPERT_BIAS_WEIGHT, d, input(b, v, 1), GRAPH_NONE);
}

static void expert_matmul_gradient(graph_backward *b, graph_value v, graph_value d) {
    graph *g = back_graph(b);
    const graph_value x = node_of(b, v)->in[0], begin = node_of(b, v)->in[1], order = input(b, v, 4);
    const graph_value large_d = train_largest(g, NULL, d), large_x = input(b, v, 2), large_w = input(b, v, 3);
    float *const *gradient = back_parameter(b, node_of(b, v)->w[0]);
    if (begin != GRAPH_NONE && back_wanted(b, begin)) back_pass(b, v, begin, true);
    if (gradient) {
        graph_node n = back_node(b, OP_EXPERT_MATMUL_WEIGHT, 0, v, v, d, back_value(b, x), large_d);
        n.in[3] = large_x;
        n.in[4] = order;
        n.gradient = gradient;
        build_add(g, &n);
    }
    if (!back_wanted(b, x)) return;
    const graph_value begun = back_take(b, x);
    graph_node n = back_node(b, OP_EXPERT_MATMUL_BACK, node_of(b, x)->cols, v, v, d, begun, large_d);
    n.in[3] = large_w;
    n.in[4] = order;
    back_to(b, x, build_add(g, &n));
}

/* ---- images ---- */

static void convolve_gradient(graph_backward *b, graph_value v, graph_value d) {
    learn(b, v, 0, OP_CONVOLVE_WEIGHT, d, input(b, v, 0), GRAPH_NONE);
    learn(b, v, 1, OP_CONVOLVE_BIAS, d, GRAPH_NONE, GRAPH_NONE);
    give(b, v, 0, OP_CONVOLVE_BACK, d, GRAPH_NONE, GRAPH_NONE);
}

static void pool_max_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, OP_POOL_MAX_BACK, input(b, v, 0), d, GRAPH_NONE);
}

/* ---- DoRA ---- */

static void dora_gradient(graph_backward *b, graph_value v, graph_value d) {
    float *const *gradient = back_parameter(b, node_of(b, v)->w[0]);
    graph *g = back_graph(b);
    if (gradient) {
        graph_node n = back_node(b, OP_DORA_MAGNITUDE, 0, v, v, d, input(b, v, 0), input(b, v, 1));
        n.in[3] = input(b, v, 2);
        n.gradient = gradient;
        build_add(g, &n);
    }
    learn(b, v, 1, OP_SUM_ROWS, d, GRAPH_NONE, GRAPH_NONE);
    const bool both = input_wanted(b, v, 0) && input_wanted(b, v, 1);
    if (!input_wanted(b, v, 0) && !input_wanted(b, v, 1)) return;
    graph_node n = back_node(b, OP_DORA_BACK, node_of(b, v)->cols, v, v, d, input(b, v, 2), GRAPH_NONE);
    const graph_value share = build_add(g, &n);
    for (int i = 0; i < 2; i++)
        if (input_wanted(b, v, i)) back_to_shared(b, node_of(b, v)->in[i], share, both);
}

/* ---- losses: d has one column ---- */

static void cross_entropy_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, OP_CROSS_ENTROPY_BACK, input(b, v, 0), back_value(b, v), d);
}

static void squared_error_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, OP_SQUARED_ERROR_BACK, input(b, v, 0), d, GRAPH_NONE);
}

static void divergence_gradient(graph_backward *b, graph_value v, graph_value d) {
    give(b, v, 0, OP_DIVERGENCE_BACK, input(b, v, 0), d, GRAPH_NONE);
}

const graph_gradient gradient_table[OP_COUNT] = {
    [OP_EMBED] = embed_gradient,
    [OP_EMBED_POSITION] = embed_gradient,
    [OP_EMBED_CONSTANT] = embed_gradient,
    [OP_RMS_NORM] = rms_norm_gradient,
    [OP_LAYER_NORM] = layer_norm_gradient,
    [OP_APPLY] = apply_gradient,
    [OP_GATED] = gated_gradient,
    [OP_ADD] = add_gradient,
    [OP_MULTIPLY] = multiply_gradient,
    [OP_SCALE] = same_gradient,
    [OP_SOFTCAP] = softcap_gradient,
    [OP_POSITION_SCALE] = same_gradient,
    [OP_COLUMNS] = columns_gradient,
    [OP_JOIN] = join_gradient,
    [OP_OUTPUT_ROWS] = output_rows_gradient,
    [OP_ROTATE] = rotate_gradient,
    [OP_ROUTE] = route_gradient,
    [OP_EXPERT_SUM] = sum_gradient,
    [OP_PART] = part_gradient,
    [OP_INPUT] = no_gradient,
    [OP_BIAS_ROWS] = bias_rows_gradient,
    [OP_MATMUL] = matmul_gradient,
    [OP_DROPOUT] = same_gradient,
    [OP_SELF_ATTEND] = attend_gradient,
    [OP_EXPERT_GATHER] = gather_gradient,
    [OP_EXPERT_BIAS_ROWS] = expert_bias_gradient,
    [OP_EXPERT_MATMUL] = expert_matmul_gradient,
    [OP_CONVOLVE] = convolve_gradient,
    [OP_POOL_MAX] = pool_max_gradient,
    [OP_DORA] = dora_gradient,
    [OP_CROSS_ENTROPY] = cross_entropy_gradient,
    [OP_SQUARED_ERROR] = squared_error_gradient,
    [OP_DIVERGENCE] = divergence_gradient,
};
