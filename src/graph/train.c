/* Training graphs: marks of layers, and the backward as nodes appended to the same graph.
 *
 * The forward is nodes 0 .. n - 1. Going from n - 1 to 0, every node whose value has a gradient and is reached by a
 * parameter has its operation append the gradients of its inputs (gradients.c). Where two nodes read a value, their
 * shares are added in the order in which they come up: one order, always.
 *
 * A layer that is computed again: when the first of its nodes comes up, copies of all of them are appended, and the
 * backward reads those; copies that nothing reads are removed in the end. What other layers read of it (the value at
 * the next mark, cosines) is not copied but kept. */
#include "graph/build.h"

#include <stdlib.h>
#include <string.h>

struct graph_backward {
    graph *g;
    graph_parameter *parameters; /* by address of their weights */
    size_t parameter_count;
    uint32_t forward;      /* nodes of it */
    bool *wanted;
    graph_value *gradient; /* of each, gathered so far */
    bool *shared;          /* is that the gradient of another value, too? */
    graph_value *again;    /* what to read in its place */
    bool *kept;            /* of values in layers that are computed again: read from outside, too */
};

tola_status graph_create_training(graph **out, tola_error *err) {
    tola_status status = graph_create(out, err);
    if (status == TOLA_OK) (*out)->training = true;
    return status;
}

bool graph_is_training(const graph *g) { return g->training; }

void graph_layer(graph *g, graph_value x) {
    if (!g->training || !build_given(g, "layer", x)) return;
    if (!mem_grow(&g->marks, &g->mark_cap, g->mark_count + 1, sizeof *g->marks)) {
        build_no_memory(g);
        return;
    }
    g->marks[g->mark_count++] = (train_mark){ x, g->count };
}

/* ---- for gradients.c ---- */

graph *back_graph(const graph_backward *b) { return b->g; }
graph_value back_value(const graph_backward *b, graph_value v) { return b->again[v]; }
bool back_wanted(const graph_backward *b, graph_value v) { return b->wanted[v]; }

static int by_weight(const void *a, const void *b) {
    const uintptr_t p = (uintptr_t)((const graph_parameter *)a)->weight;
    const uintptr_t q = (uintptr_t)((const graph_parameter *)b)->weight;
    return p < q ? -1 : p > q;
}

float *const *back_parameter(const graph_backward *b, const graph_weight *w) {
    if (!w || b->parameter_count == 0) return NULL;
    const graph_parameter key = { .weight = w };
    const graph_parameter *p = bsearch(&key, b->parameters, b->parameter_count, sizeof key, by_weight);
    return p ? p->gradient : NULL;
}

static void gather(graph_backward *b, graph_value v, graph_value d, bool shared) {
    if (!b->wanted[v] || d == GRAPH_NONE) return;
    if (b->gradient[v] == GRAPH_NONE) {
        b->gradient[v] = d;
        b->shared[v] = shared;
        return;
    }
    b->gradient[v] = graph_add(b->g, b->gradient[v], d);
    b->shared[v] = false;
}

void back_to(graph_backward *b, graph_value v, graph_value d) { gather(b, v, d, false); }

void back_pass(graph_backward *b, graph_value from, graph_value v, bool others) {
    gather(b, v, b->gradient[from], others || b->shared[from]);
}

void back_to_shared(graph_backward *b, graph_value v, graph_value d, bool others) { gather(b, v, d, others); }

graph_value back_take(graph_backward *b, graph_value v) {
    if (!b->wanted[v] || b->shared[v]) return GRAPH_NONE;
    const graph_value d = b->gradient[v];
    b->gradient[v] = GRAPH_NONE;
    return d;
}

/* ---- copies ---- */

/* The layer that node v lies in and which is computed again: between two marks; mark_count: none. */
static size_t layer_of(const graph *g, uint32_t v) {
    size_t low = 0, high = g->mark_count; /* the first mark behind v */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (g->marks[middle].at <= v)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && low < g->mark_count ? low - 1 : g->mark_count;
}

static void find_kept(graph_backward *b, const graph_value *losses, size_t count) {
    const graph *g = b->g;
    for (uint32_t v = 0; v < b->forward; v++)
        for (int i = 0; i < NODE_INPUTS; i++) {
            const graph_value in = g->nodes[v].in[i];
            if (in != GRAPH_NONE && layer_of(g, in) != layer_of(g, v)) b->kept[in] = true;
        }
    for (size_t i = 0; i < count; i++) b->kept[losses[i]] = true;
    for (size_t i = 0; i < g->mark_count; i++) b->kept[g->marks[i].value] = true;
}

static void copy_layer(graph_backward *b, size_t layer) {
    graph *g = b->g;
    for (uint32_t v = g->marks[layer].at; v < g->marks[layer + 1].at; v++) {
        if (b->kept[v]) continue;
        graph_node n = g->nodes[v];
        for (int i = 0; i < NODE_INPUTS; i++)
            if (n.in[i] != GRAPH_NONE) n.in[i] = b->again[n.in[i]];
        b->again[v] = build_add(g, &n);
        if (graph_failed(g)) return;
    }
}

/* ---- the whole ---- */

static void find_wanted(graph_backward *b) {
    for (uint32_t v = 0; v < b->forward; v++) {
        const graph_node *n = &b->g->nodes[v];
        if (n->op == OP_DORA_LENGTHS) continue; /* taken as constants */
        for (int i = 0; i < 2; i++) b->wanted[v] = b->wanted[v] || back_parameter(b, n->w[i]);
        for (int i = 0; i < NODE_INPUTS; i++)
            if (n->in[i] != GRAPH_NONE) b->wanted[v] = b->wanted[v] || b->wanted[n->in[i]];
    }
}

static void start(graph_backward *b, const graph_value *losses, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!build_given(b->g, "loss", losses[i])) return;
        if (!build_expect(b->g, b->g->nodes[losses[i]].cols == 1, "loss", "columns", b->g->nodes[losses[i]].cols, 1))
            return;
    }
    for (size_t i = 0; i < count; i++) {
        graph_node n = build_over(b->g, OP_ONES, 1, losses[i]);
        n.in[0] = GRAPH_NONE;
        back_to(b, losses[i], build_add(b->g, &n));
    }
}

static void go_back(graph_backward *b, bool again) {
    graph *g = b->g;
    size_t copied = g->mark_count; /* the layer last copied */
    for (uint32_t v = b->forward; v-- > 0 && !graph_failed(g);) {
        const graph_value d = b->gradient[v];
        if (d == GRAPH_NONE) continue;
        const size_t layer = again ? layer_of(g, v) : g->mark_count;
        if (layer != g->mark_count && layer != copied) copy_layer(b, copied = layer);
        if (graph_failed(g)) return;
        const uint8_t op = g->nodes[v].op;
        if (gradient_table[op])
            gradient_table[op](b, v, d);
        else
            graph_fail(g, TOLA_E_UNSUPPORTED, "%s has no gradient", op_table[op]->name);
    }
}

static bool prepare(graph_backward *b, const graph_parameter *parameters) {
    arena *a = &b->g->arena;
    const size_t n = (size_t)b->forward + 1;
    b->parameters = arena_alloc_array(a, b->parameter_count + 1, sizeof *b->parameters);
    b->wanted = arena_alloc_array(a, n, sizeof *b->wanted);
    b->gradient = arena_alloc_array(a, n, sizeof *b->gradient);
    b->shared = arena_alloc_array(a, n, sizeof *b->shared);
    b->again = arena_alloc_array(a, n, sizeof *b->again);
    b->kept = arena_alloc_array(a, n, sizeof *b->kept);
    if (!b->parameters || !b->wanted || !b->gradient || !b->shared || !b->again || !b->kept) return false;
    if (b->parameter_count > 0) memcpy(b->parameters, parameters, b->parameter_count * sizeof *parameters);
    qsort(b->parameters, b->parameter_count, sizeof *b->parameters, by_weight);
    memset(b->wanted, 0, n * sizeof *b->wanted);
    memset(b->shared, 0, n * sizeof *b->shared);
    memset(b->kept, 0, n * sizeof *b->kept);
    for (size_t v = 0; v < n; v++) {
        b->gradient[v] = GRAPH_NONE;
        b->again[v] = (graph_value)v;
    }
    return true;
}

static bool parameters_fit(graph *g, const graph_parameter *parameters, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const graph_weight *w = parameters[i].weight;
        if (w->dtype == TOLA_DTYPE_F32 && w->row_bytes == w->cols * sizeof(float)) continue;
        graph_fail(g, TOLA_E_UNSUPPORTED, "'%s' cannot be learned: it is not f32 in one piece", w->name);
        return false;
    }
    return true;
}

void graph_differentiate(graph *g, const graph_parameter *parameters, size_t count, const graph_value *losses,
                         size_t loss_count, graph_recompute recompute) {
    if (graph_failed(g)) return;
    if (!g->training || g->differentiated || g->finished) {
        graph_fail(g, TOLA_E_ARG, "only an unfinished training graph is differentiated, and once");
        return;
    }
    if (!parameters_fit(g, parameters, count)) return;
    graph_backward b = { .g = g, .parameter_count = count, .forward = g->count };
    g->differentiated = true;
    g->forward = g->count;
    if (!prepare(&b, parameters)) {
        build_no_memory(g);
        return;
    }
    find_wanted(&b);
    start(&b, losses, loss_count);
    if (graph_failed(g)) return;
    if (recompute == GRAPH_RECOMPUTE_LAYERS) find_kept(&b, losses, loss_count);
    go_back(&b, recompute == GRAPH_RECOMPUTE_LAYERS);
}

void train_remove_unused(graph *g) {
    if (!g->differentiated) g->forward = g->count;
    for (graph_value v = g->count; v-- > 0;) {
        graph_node *n = &g->nodes[v];
        if (g->uses[v] > 0 || op_table[n->op]->kept) continue;
        for (int i = 0; i < NODE_INPUTS; i++)
            if (n->in[i] != GRAPH_NONE) g->uses[n->in[i]]--;
        *n = node_dead;
    }
}
