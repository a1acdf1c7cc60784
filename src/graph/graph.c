/* Building graphs: every call checks what it is given and adds a node. */
#include "graph/build.h"

#include "base/err.h"
#include "kernels/matmul/matmul.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define GRAPH_MAX_NODES (1u << 22)
#define GRAPH_MAX_EXPERTS (1u << 24) /* their numbers are exact as floats */

tola_status graph_create(graph **out, tola_error *err) {
    graph *g = mem_calloc(1, sizeof *g);
    if (!g) return err_nomem(err, "building a graph");
    arena_init(&g->arena, 0);
    *out = g;
    return TOLA_OK;
}

void graph_free(graph *g) {
    if (!g) return;
    arena_free(&g->arena);
    mem_free(g->nodes);
    mem_free(g->marks);
    mem_free(g);
}

const graph_node node_dead = { .op = OP_DEAD, .per_token = 1,
                               .in = { GRAPH_NONE, GRAPH_NONE, GRAPH_NONE, GRAPH_NONE, GRAPH_NONE } };

bool graph_failed(const graph *g) { return g->error.status != TOLA_OK; }

void graph_fail(graph *g, tola_status status, const char *format, ...) {
    if (graph_failed(g)) return;
    char message[sizeof g->error.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    err_set(&g->error, status, TOLA_NO_OFFSET, "%s", message);
}

void build_no_memory(graph *g) {
    if (!graph_failed(g)) err_nomem(&g->error, "building a graph");
}

uint32_t graph_cols(const graph *g, graph_value v) { return v < g->count ? g->nodes[v].cols : 0; }

/* How many operations and outputs read each value. */
static void count_uses(graph *g) {
    memset(g->uses, 0, g->count * sizeof *g->uses);
    for (graph_value v = 0; v < g->count; v++)
        for (int i = 0; i < NODE_INPUTS; i++)
            if (g->nodes[v].in[i] != GRAPH_NONE) g->uses[g->nodes[v].in[i]]++;
    for (size_t i = 0; i < g->output_count; i++) g->uses[g->outputs[i]]++;
}

/* x + W y becomes one operation where nothing else needs the product. */
static void join_sums(graph *g) {
    for (graph_value v = 0; v < g->count; v++) {
        graph_node *sum = &g->nodes[v];
        if (sum->op != OP_ADD) continue;
        for (int i = 1; i >= 0 && sum->op == OP_ADD; i--) {
            const graph_value joined = sum->in[i], other = sum->in[1 - i];
            graph_node *product = &g->nodes[joined];
            if (product->op != OP_LINEAR || product->in[1] != GRAPH_NONE || g->uses[joined] != 1) continue;
            *sum = *product;
            sum->in[1] = other;
            *product = node_dead;
            g->uses[joined] = 0;
        }
    }
}

tola_status graph_finish(graph *g, const graph_value *outputs, size_t count, tola_error *err) {
    for (size_t i = 0; i < count && !graph_failed(g); i++)
        if (graph_cols(g, outputs[i]) == 0) graph_fail(g, TOLA_E_ARG, "output %zu of the graph is no value", i);
    if (!graph_failed(g)) {
        g->outputs = arena_alloc_array(&g->arena, count, sizeof *g->outputs);
        g->uses = arena_alloc_array(&g->arena, (size_t)g->count + 1, sizeof *g->uses);
        if (!g->outputs || !g->uses) build_no_memory(g);
    }
    if (graph_failed(g)) {
        if (err) *err = g->error;
        return g->error.status;
    }
    memcpy(g->outputs, outputs, count * sizeof *outputs);
    g->output_count = count;
    count_uses(g);
    if (g->training)
        train_remove_unused(g);
    else
        join_sums(g);
    g->finished = true;
    return TOLA_OK;
}

/* The node of a new value that has in's rows (a value of tokens where in is GRAPH_NONE). */
graph_node build_over(const graph *g, graph_op op, uint32_t cols, graph_value in) {
    graph_node n = { .op = (uint8_t)op, .rows = ROWS_TOKENS, .per_token = 1, .cols = cols,
                     .in = { in, GRAPH_NONE, GRAPH_NONE, GRAPH_NONE, GRAPH_NONE } };
    if (in < g->count) {
        n.rows = g->nodes[in].rows;
        n.by_expert = g->nodes[in].by_expert;
        n.per_token = g->nodes[in].per_token;
    }
    return n;
}

graph_value build_add(graph *g, const graph_node *n) {
    if (graph_failed(g)) return GRAPH_NONE;
    if (g->count == GRAPH_MAX_NODES) {
        graph_fail(g, TOLA_E_LIMIT, "a graph of more than %u operations", GRAPH_MAX_NODES);
        return GRAPH_NONE;
    }
    if (!mem_grow(&g->nodes, &g->cap, (size_t)g->count + 1, sizeof *g->nodes)) {
        build_no_memory(g);
        return GRAPH_NONE;
    }
    g->nodes[g->count] = *n;
    return g->count++;
}

/* Is v a matrix of floats that was built? */
bool build_given(graph *g, const char *op, graph_value v) {
    if (graph_failed(g)) return false;
    if (graph_cols(g, v) > 0) return true;
    graph_fail(g, TOLA_E_ARG, "%s: its input is no value", op);
    return false;
}

bool build_expect(graph *g, bool holds, const char *op, const char *what, uint64_t found, uint64_t wanted) {
    if (!holds) graph_fail(g, TOLA_E_FORMAT, "%s: %s %llu where %llu is expected", op, what,
                           (unsigned long long)found, (unsigned long long)wanted);
    return holds;
}

bool build_vector(graph *g, const char *op, const graph_weight *w, uint64_t cols) {
    if (w->rows == 1 && w->cols == cols && w->parts == 1 && w->dtype == TOLA_DTYPE_F32) return true;
    graph_fail(g, TOLA_E_FORMAT, "%s: '%s' is not a vector of %llu f32", op, w->name, (unsigned long long)cols);
    return false;
}

/* Has v a row for each token of the batch, or of those that it asks outputs for? */
static bool one_a_token(graph *g, const char *op, graph_value v) {
    if (!g->nodes[v].by_expert && g->nodes[v].per_token == 1) return true;
    graph_fail(g, TOLA_E_ARG, "%s: its input has not one row a token", op);
    return false;
}

/* Has v a row for each token of the batch? */
bool build_tokens(graph *g, const char *op, graph_value v) {
    if (g->nodes[v].rows == ROWS_TOKENS && !g->nodes[v].by_expert) return true;
    graph_fail(g, TOLA_E_ARG, "%s: its input has not a row for each token", op);
    return false;
}

bool build_same_rows(graph *g, const char *op, graph_value a, graph_value b) {
    const graph_node *p = &g->nodes[a], *q = &g->nodes[b];
    if (p->rows == q->rows && p->by_expert == q->by_expert && p->per_token == q->per_token) return true;
    graph_fail(g, TOLA_E_ARG, "%s: its inputs have different rows", op);
    return false;
}

bool build_fits(graph *g, const char *op, const graph_weight *w) {
    if (w->rows > 0 && w->rows < UINT32_MAX && w->cols > 0 && w->cols < UINT32_MAX) return true;
    graph_fail(g, TOLA_E_LIMIT, "%s: '%s' has %llu rows of %llu", op, w->name, (unsigned long long)w->rows,
               (unsigned long long)w->cols);
    return false;
}

/* ---- inputs ---- */

static graph_value embed(graph *g, graph_op op, const char *name, const graph_weight *table, float factor,
                         uint32_t row) {
    if (graph_failed(g) || !build_fits(g, name, table)) return GRAPH_NONE;
    if (op == OP_EMBED_CONSTANT && !build_expect(g, row < table->rows, name, "row", row, table->rows))
        return GRAPH_NONE;
    graph_node n = build_over(g, op, (uint32_t)table->cols, GRAPH_NONE);
    n.w[0] = table;
    n.u.embed.factor = factor;
    n.u.embed.row = row;
    return build_add(g, &n);
}

graph_value graph_embed(graph *g, const graph_weight *table, float scale) {
    return embed(g, OP_EMBED, "embedding", table, scale, 0);
}

graph_value graph_embed_position(graph *g, const graph_weight *table, uint32_t offset) {
    return embed(g, OP_EMBED_POSITION, "embedding of positions", table, 1, offset);
}

graph_value graph_embed_constant(graph *g, const graph_weight *table, uint32_t row) {
    return embed(g, OP_EMBED_CONSTANT, "embedding of a segment", table, 1, row);
}

/* ---- linear maps ---- */

bool build_product(graph *g, const char *op, const graph_weight *w, uint32_t cols) {
    if (!build_fits(g, op, w)) return false;
    if (!matmul_supports(w->dtype)) {
        graph_fail(g, TOLA_E_UNSUPPORTED, "%s: no products with '%s' of %s", op, w->name, tola_dtype_name(w->dtype));
        return false;
    }
    if (w->cols == cols) return true;
    graph_fail(g, TOLA_E_FORMAT, "%s: '%s' has rows of %llu where its input has %u columns", op, w->name,
               (unsigned long long)w->cols, cols);
    return false;
}

/* The rows of x as products with w's type take them, made once for all such types. */
static graph_value prepared(graph *g, const graph_weight *w, graph_value x) {
    for (graph_value v = g->count; v-- > x + 1;)
        if (g->nodes[v].op == OP_PREPARE && g->nodes[v].in[0] == x &&
            matmul_same_preparation(g->nodes[v].w[0]->dtype, w->dtype))
            return v;
    graph_node n = build_over(g, OP_PREPARE, 0, x);
    n.w[0] = w;
    return build_add(g, &n);
}

graph_value graph_linear(graph *g, const graph_weight *w, const graph_weight *bias, graph_value x) {
    if (!build_given(g, "linear", x) || !build_product(g, "linear", w, g->nodes[x].cols)) return GRAPH_NONE;
    if (!build_expect(g, w->parts == 1, "linear", "parts", w->parts, 1)) return GRAPH_NONE;
    if (bias && !build_vector(g, "linear", bias, w->rows)) return GRAPH_NONE;
    if (g->training) return train_linear(g, w, bias, x);
    graph_node n = build_over(g, OP_LINEAR, (uint32_t)w->rows, x);
    n.in[0] = prepared(g, w, x);
    n.w[0] = w;
    n.w[1] = bias;
    return build_add(g, &n);
}

/* ---- one row at a time ---- */

graph_value graph_rms_norm(graph *g, const graph_weight *scale, float offset, uint32_t group, float eps,
                           graph_value x) {
    if (!build_given(g, "norm", x)) return GRAPH_NONE;
    const uint32_t cols = g->nodes[x].cols;
    if (group == 0) group = cols;
    if (!build_expect(g, cols % group == 0, "norm", "columns", cols, group)) return GRAPH_NONE;
    if (scale && scale->cols != group && !build_vector(g, "norm", scale, cols)) return GRAPH_NONE;
    if (scale && scale->cols == group && !build_vector(g, "norm", scale, group)) return GRAPH_NONE;
    if (!(eps >= 0 && eps <= 1)) graph_fail(g, TOLA_E_FORMAT, "norm: eps %g", (double)eps);
    graph_node n = build_over(g, OP_RMS_NORM, cols, x);
    n.w[0] = scale;
    n.u.norm.offset = offset;
    n.u.norm.eps = eps;
    n.u.norm.group = group;
    return build_add(g, &n);
}

graph_value graph_layer_norm(graph *g, const graph_weight *scale, const graph_weight *bias, float eps, graph_value x) {
    if (!build_given(g, "layer norm", x) || !build_vector(g, "layer norm", scale, g->nodes[x].cols)) return GRAPH_NONE;
    if (bias && !build_vector(g, "layer norm", bias, g->nodes[x].cols)) return GRAPH_NONE;
    if (!(eps >= 0 && eps <= 1)) graph_fail(g, TOLA_E_FORMAT, "layer norm: eps %g", (double)eps);
    graph_node n = build_over(g, OP_LAYER_NORM, g->nodes[x].cols, x);
    n.w[0] = scale;
    n.w[1] = bias;
    n.u.norm.eps = eps;
    n.u.norm.group = n.cols;
    return build_add(g, &n);
}

graph_value graph_apply(graph *g, graph_function f, graph_value x) {
    if (!build_given(g, "activation", x)) return GRAPH_NONE;
    graph_node n = build_over(g, OP_APPLY, g->nodes[x].cols, x);
    n.u.apply.function = (uint8_t)f;
    return build_add(g, &n);
}

static graph_value binary(graph *g, graph_op op, const char *name, graph_value a, graph_value b, bool one_column) {
    if (!build_given(g, name, a) || !build_given(g, name, b) || !build_same_rows(g, name, a, b)) return GRAPH_NONE;
    const uint32_t cols = g->nodes[a].cols, other = g->nodes[b].cols;
    if (!build_expect(g, other == cols || (one_column && other == 1), name, "columns", other, cols)) return GRAPH_NONE;
    graph_node n = build_over(g, op, cols, a);
    n.in[1] = b;
    return build_add(g, &n);
}

graph_value graph_gated(graph *g, graph_function f, float clamp, graph_value gate, graph_value up) {
    graph_value v = binary(g, OP_GATED, "gated activation", gate, up, false);
    if (v == GRAPH_NONE) return v;
    g->nodes[v].u.apply.function = (uint8_t)f;
    g->nodes[v].u.apply.clamp = clamp;
    return v;
}

graph_value graph_add(graph *g, graph_value a, graph_value b) { return binary(g, OP_ADD, "sum", a, b, false); }

graph_value graph_multiply(graph *g, graph_value a, graph_value b) {
    return binary(g, OP_MULTIPLY, "product", a, b, true);
}

static graph_value by_factor(graph *g, graph_op op, const char *name, float factor, graph_value x) {
    if (!build_given(g, name, x)) return GRAPH_NONE;
    if (!isfinite(factor)) graph_fail(g, TOLA_E_FORMAT, "%s: factor %g", name, (double)factor);
    graph_node n = build_over(g, op, g->nodes[x].cols, x);
    n.u.embed.factor = factor;
    return build_add(g, &n);
}

graph_value graph_scale(graph *g, float factor, graph_value x) { return by_factor(g, OP_SCALE, "scale", factor, x); }

graph_value graph_softcap(graph *g, float cap, graph_value x) {
    if (!(cap > 0)) graph_fail(g, TOLA_E_FORMAT, "soft cap: %g", (double)cap);
    return by_factor(g, OP_SOFTCAP, "soft cap", cap, x);
}

graph_value graph_position_scale(graph *g, float beta, float span, graph_value x) {
    if (!build_given(g, "scale by position", x)) return GRAPH_NONE;
    if (!(span >= 1) || !isfinite(beta)) graph_fail(g, TOLA_E_FORMAT, "scale by position: span %g", (double)span);
    graph_node n = build_over(g, OP_POSITION_SCALE, g->nodes[x].cols, x);
    if (!one_a_token(g, "scale by position", x)) return GRAPH_NONE;
    n.u.position.beta = beta;
    n.u.position.span = span;
    return build_add(g, &n);
}

graph_value graph_columns(graph *g, graph_value x, uint32_t group, uint32_t first, uint32_t count) {
    if (!build_given(g, "columns", x)) return GRAPH_NONE;
    const uint32_t cols = g->nodes[x].cols;
    if (group == 0) group = cols;
    if (!build_expect(g, cols % group == 0, "columns", "columns", cols, group)) return GRAPH_NONE;
    if (!build_expect(g, count > 0 && first <= group && count <= group - first, "columns", "last column",
                (uint64_t)first + count, group))
        return GRAPH_NONE;
    graph_node n = build_over(g, OP_COLUMNS, cols / group * count, x);
    n.u.columns.group = group;
    n.u.columns.first = first;
    n.u.columns.count = count;
    return build_add(g, &n);
}

graph_value graph_join(graph *g, uint32_t heads, graph_value a, graph_value b, bool b_shared) {
    if (!build_given(g, "join", a) || !build_given(g, "join", b) || !build_same_rows(g, "join", a, b))
        return GRAPH_NONE;
    const uint32_t p = g->nodes[a].cols, q = g->nodes[b].cols;
    if (!build_expect(g, heads > 0 && p % heads == 0 && (b_shared || q % heads == 0), "join", "columns", p, heads))
        return GRAPH_NONE;
    const uint64_t cols = (uint64_t)p + (uint64_t)q * (b_shared ? heads : 1);
    if (!build_expect(g, cols < UINT32_MAX, "join", "columns", cols, UINT32_MAX)) return GRAPH_NONE;
    graph_node n = build_over(g, OP_JOIN, (uint32_t)cols, a);
    n.in[1] = b;
    n.u.join.heads = heads;
    n.u.join.b_shared = b_shared;
    return build_add(g, &n);
}

graph_value graph_output_rows(graph *g, graph_value x) {
    if (!build_given(g, "output rows", x)) return GRAPH_NONE;
    graph_node n = build_over(g, OP_OUTPUT_ROWS, g->nodes[x].cols, x);
    if (!build_tokens(g, "output rows", x)) return GRAPH_NONE;
    n.rows = ROWS_OUTPUTS;
    return build_add(g, &n);
}

bool graph_has_output_rows(const graph *g, graph_value v) { return v < g->count && g->nodes[v].rows == ROWS_OUTPUTS; }

/* ---- attention ---- */

/* [tokens, rotated / 2 cosines then sines] */
graph_value build_turns(graph *g, const graph_rope *rope) {
    const size_t bytes = rope->rotated / 2 * sizeof *rope->frequency;
    for (graph_value v = 0; v < g->count; v++) {
        const graph_node *n = &g->nodes[v];
        if (n->op == OP_TURNS && n->cols == rope->rotated && n->u.rope.magnitude == rope->magnitude &&
            memcmp(n->u.rope.frequency, rope->frequency, bytes) == 0)
            return v;
    }
    float *frequency = arena_alloc(&g->arena, bytes);
    if (!frequency) {
        build_no_memory(g);
        return GRAPH_NONE;
    }
    memcpy(frequency, rope->frequency, bytes);
    for (uint32_t i = 0; i < rope->rotated / 2; i++)
        if (!isfinite(frequency[i])) graph_fail(g, TOLA_E_FORMAT, "rotation: frequency %u is not finite", i);
    graph_node n = build_over(g, OP_TURNS, rope->rotated, GRAPH_NONE);
    n.u.rope.rotated = rope->rotated;
    n.u.rope.frequency = frequency;
    n.u.rope.magnitude = rope->magnitude;
    return build_add(g, &n);
}

graph_value graph_rotate(graph *g, const graph_rope *rope, uint32_t head_dim, graph_value x) {
    if (!build_given(g, "rotation", x)) return GRAPH_NONE;
    const uint32_t cols = g->nodes[x].cols;
    if (!build_expect(g, head_dim > 0 && cols % head_dim == 0, "rotation", "columns", cols, head_dim))
        return GRAPH_NONE;
    if (!build_expect(g, rope->rotated > 0 && rope->rotated % 2 == 0 && rope->first <= head_dim &&
                       rope->rotated <= head_dim - rope->first,
                "rotation", "columns of a head", (uint64_t)rope->first + rope->rotated, head_dim))
        return GRAPH_NONE;
    if (!isfinite(rope->magnitude)) graph_fail(g, TOLA_E_FORMAT, "rotation: magnitude %g", (double)rope->magnitude);
    graph_node n = build_over(g, OP_ROTATE, cols, x);
    if (!one_a_token(g, "rotation", x)) return GRAPH_NONE;
    n.in[1] = build_turns(g, rope);
    n.u.rope.rotated = rope->rotated;
    n.u.rope.first = rope->first;
    n.u.rope.head_dim = head_dim;
    n.u.rope.interleaved = rope->interleaved;
    return build_add(g, &n);
}

graph_value graph_attend(graph *g, const graph_attention *a, graph_value q, graph_value k, graph_value v) {
    const char *op = "attention";
    if (!build_given(g, op, q) || !build_given(g, op, k) || !build_given(g, op, v)) return GRAPH_NONE;
    if (!build_expect(g, a->kv_heads > 0 && a->heads > 0 && a->heads % a->kv_heads == 0, op, "heads", a->heads,
                      a->kv_heads))
        return GRAPH_NONE;
    const uint64_t qs = (uint64_t)a->heads * a->key_dim, ks = (uint64_t)a->kv_heads * a->key_dim,
                   vs = (uint64_t)a->kv_heads * a->value_dim, out = (uint64_t)a->heads * a->value_dim;
    if (!build_expect(g, g->nodes[q].cols == qs, op, "columns of queries", g->nodes[q].cols, qs)) return GRAPH_NONE;
    if (!build_expect(g, g->nodes[k].cols == ks, op, "columns of keys", g->nodes[k].cols, ks)) return GRAPH_NONE;
    if (!build_expect(g, g->nodes[v].cols == vs, op, "columns of values", g->nodes[v].cols, vs)) return GRAPH_NONE;
    if (!build_expect(g, out < UINT32_MAX, op, "columns", out, UINT32_MAX)) return GRAPH_NONE;
    if (!one_a_token(g, op, q) || !build_tokens(g, op, k) || !build_tokens(g, op, v)) return GRAPH_NONE;
    if ((a->bidirectional || g->training) && !build_tokens(g, op, q)) return GRAPH_NONE;
    if (a->sinks && !build_vector(g, op, a->sinks, a->heads)) return GRAPH_NONE;
    if (!isfinite(a->scale) || !(a->softcap >= 0)) graph_fail(g, TOLA_E_FORMAT, "attention: scale %g", (double)a->scale);
    if (g->training) return train_attend(g, a, q, k, v);
    graph_node n = build_over(g, OP_KV_STORE, 0, k);
    n.in[1] = v;
    n.u.attend.a = *a;
    n.u.attend.layer = g->attention_calls;
    const graph_value stored = build_add(g, &n);
    n.op = OP_ATTEND;
    n.rows = g->nodes[q].rows;
    n.cols = (uint32_t)out;
    n.in[0] = q;
    n.in[1] = stored;
    n.w[0] = a->sinks;
    g->attention_calls++;
    return build_add(g, &n);
}

/* ---- mixture of experts ---- */

graph_value graph_route(graph *g, const graph_routing *r, graph_value logits) {
    const char *op = "routing";
    if (!build_given(g, op, logits)) return GRAPH_NONE;
    const uint32_t experts = g->nodes[logits].cols;
    if (!build_expect(g, experts < GRAPH_MAX_EXPERTS, op, "experts", experts, GRAPH_MAX_EXPERTS - 1)) return GRAPH_NONE;
    if (!build_expect(g, r->used > 0 && r->used <= experts, op, "experts of a token", r->used, experts))
        return GRAPH_NONE;
    if (r->groups > 0 &&
        !build_expect(g, experts % r->groups == 0 && r->groups_used > 0 && r->groups_used <= r->groups &&
                       (uint64_t)experts / r->groups * r->groups_used >= r->used,
                op, "groups", r->groups_used, r->groups))
        return GRAPH_NONE;
    if (r->bias && !build_vector(g, op, r->bias, experts)) return GRAPH_NONE;
    graph_node n = build_over(g, OP_ROUTE, 2 * r->used, logits);
    if (!build_expect(g, !n.by_expert, op, "rows a token", n.per_token, 1)) return GRAPH_NONE;
    n.u.route = *r;
    n.w[0] = r->bias;
    const graph_value choice = build_add(g, &n);
    n = build_over(g, OP_EXPERT_SORT, 0, choice);
    n.in[1] = logits; /* for the number of experts */
    build_add(g, &n);
    return choice;
}

/* A choice's sorted form is the node behind it. */
static bool is_choice(graph *g, const char *op, graph_value route) {
    if (graph_failed(g)) return false;
    if (route < g->count && g->nodes[route].op == OP_ROUTE) return true;
    graph_fail(g, TOLA_E_ARG, "%s: its route is none", op);
    return false;
}

/* Are x's rows those that chose, or (the only ones `sorted` takes) one for each of their choices? */
static bool rows_of_choice(graph *g, const char *op, graph_value route, graph_value x, bool sorted) {
    const graph_node *p = &g->nodes[route], *q = &g->nodes[x];
    if (p->rows == q->rows && (q->by_expert ? q->per_token == p->u.route.used : !sorted)) return true;
    graph_fail(g, TOLA_E_ARG, "%s: its input has other rows than the choice", op);
    return false;
}

graph_value graph_expert_linear(graph *g, const graph_weight *w, const graph_weight *bias, bool weigh_input,
                                graph_value route, graph_value x) {
    const char *op = "experts";
    if (!is_choice(g, op, route) || !build_given(g, op, x) || !build_product(g, op, w, g->nodes[x].cols))
        return GRAPH_NONE;
    const uint32_t used = g->nodes[route].u.route.used, experts = g->nodes[g->nodes[route].in[0]].cols;
    if (!build_expect(g, w->parts == experts, op, "experts", w->parts, experts)) return GRAPH_NONE;
    if (bias && (bias->rows != experts || bias->cols != w->rows || bias->dtype != TOLA_DTYPE_F32 || bias->parts != 1)) {
        graph_fail(g, TOLA_E_FORMAT, "experts: '%s' is not %u rows of %llu f32", bias->name, experts,
                   (unsigned long long)w->rows);
        return GRAPH_NONE;
    }
    if (!rows_of_choice(g, op, route, x, false)) return GRAPH_NONE;
    if (g->training) return train_expert_linear(g, w, bias, weigh_input, route, x);
    if (!weigh_input && !g->nodes[x].by_expert) x = prepared(g, w, x); /* once, not for each of a token's experts */
    graph_value ready = GRAPH_NONE;
    for (graph_value v = g->count; v-- > x + 1 && ready == GRAPH_NONE;) {
        const graph_node *p = &g->nodes[v];
        if (p->op == OP_EXPERT_PREPARE && p->in[0] == x && p->in[1] == route && p->u.expert.weigh == weigh_input &&
            matmul_same_preparation(p->w[0]->dtype, w->dtype))
            ready = v;
    }
    if (ready == GRAPH_NONE) {
        graph_node n = build_over(g, OP_EXPERT_PREPARE, 0, x);
        n.by_expert = true;
        n.per_token = used;
        n.in[1] = route;
        n.in[2] = route + 1;
        n.w[0] = w;
        n.u.expert.weigh = weigh_input;
        ready = build_add(g, &n);
    }
    graph_node n = build_over(g, OP_EXPERT_LINEAR, (uint32_t)w->rows, ready);
    n.in[1] = route + 1;
    n.w[0] = w;
    n.w[1] = bias;
    return build_add(g, &n);
}

graph_value graph_expert_sum(graph *g, bool weigh, graph_value route, graph_value x) {
    if (!is_choice(g, "sum of experts", route) || !build_given(g, "sum of experts", x)) return GRAPH_NONE;
    if (!rows_of_choice(g, "sum of experts", route, x, true)) return GRAPH_NONE;
    graph_node n = build_over(g, OP_EXPERT_SUM, g->nodes[x].cols, route);
    n.in[0] = x;
    n.in[1] = route;
    n.in[2] = route + 1;
    n.u.expert.weigh = weigh;
    return build_add(g, &n);
}
