/* Plans of training graphs: one node after the other, each on all threads, and memory by lifetimes.
 *
 * A value lives from the node that makes it to the last one that reads it. Parts lie in their whole; a value may take
 * the place of an input that nothing reads afterwards (graph_op_row.in_place, and products that add to what is there).
 * Values that share a place are one `home`. Homes get addresses in order of size, the largest first, each the lowest
 * one that is free for as long as it lives: close to the least that is alive at once. */
#include "graph/op.h"
#include "graph/run.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

typedef struct home {
    uint32_t value;       /* whose place it is */
    uint32_t first, last; /* waves */
    size_t bytes, at;
} home;

typedef struct layout {
    graph_plan *p;
    uint32_t *wave;   /* of each value: where it is made */
    uint32_t *last;   /* where it is last read */
    uint32_t *of;     /* its home's value */
    size_t *within;   /* bytes from the home's beginning */
    home *homes;      /* by value; then in order of size */
    uint32_t *placed; /* homes that have addresses, by address */
    bool *output;
} layout;

/* Does v compute anything in this plan? */
static bool runs(const graph_plan *p, graph_value v) {
    switch (p->g->nodes[v].op) {
    case OP_DEAD:
    case OP_PART: return false;
    case OP_LARGEST:
    case OP_LARGEST_WEIGHT: return p->precision == GRAPH_FP8;
    default: return true;
    }
}

static bool matrix_bytes(size_t rows, size_t cols, size_t *bytes) {
    uint64_t elements;
    if (!mul_u64(rows, cols, &elements) || !mul_u64(elements, sizeof(float), bytes)) return false;
    if (*bytes > SIZE_MAX / 16) return false;
    *bytes = (*bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return true;
}

static bool value_bytes(const graph_plan *p, const graph_node *n, size_t *out) {
    const graph_op_row *op = op_table[n->op];
    const size_t rows = node_rows_most(n, p);
    size_t bytes = 0, part;
    *out = 0;
    if (n->cols > 0) return matrix_bytes(rows, n->cols, out);
    if (op->bytes) {
        bytes = op->bytes(n, p);
        *out = bytes;
        return bytes <= SIZE_MAX / 16;
    }
    for (unsigned i = 0; op->part_cols && op->part_cols(n, i) > 0; i++) {
        if (!matrix_bytes(rows, op->part_cols(n, i), &part) || !add_u64(*out, part, out)) return false;
    }
    return *out <= SIZE_MAX / 16;
}

/* ---- lifetimes ---- */

static void find_waves(layout *l) {
    graph_plan *p = l->p;
    const graph *g = p->g;
    p->waves = p->forward_waves = 0;
    for (uint32_t v = 0; v < g->count; v++) {
        if (v == g->forward) p->forward_waves = p->waves;
        l->wave[v] = l->last[v] = p->waves;
        if (g->nodes[v].op == OP_PART) l->wave[v] = l->last[v] = l->wave[g->nodes[v].in[0]];
        if (!runs(p, v)) continue;
        for (int i = 0; i < NODE_INPUTS; i++)
            if (g->nodes[v].in[i] != GRAPH_NONE) l->last[g->nodes[v].in[i]] = p->waves;
        p->wave_start[p->waves] = p->waves;
        p->order[p->waves++] = v;
    }
    p->wave_start[p->waves] = p->waves;
    if (g->forward == g->count) p->forward_waves = p->waves;
    for (size_t i = 0; i < g->output_count; i++) {
        l->last[g->outputs[i]] = p->waves;
        l->output[g->outputs[i]] = true;
    }
}

static bool same_size(const graph_node *a, const graph_node *b) {
    return a->cols == b->cols && a->cols > 0 && a->rows == b->rows && a->per_token == b->per_token;
}

/* The input in whose place v is made; GRAPH_NONE: a place of its own. */
static graph_value place_of(const layout *l, graph_value v) {
    const graph *g = l->p->g;
    const graph_node *n = &g->nodes[v];
    switch (n->op) {
    case OP_MATMUL:
    case OP_MATMUL_BACK:
    case OP_EXPERT_MATMUL:
    case OP_EXPERT_MATMUL_BACK: return n->in[1];
    default: break;
    }
    for (int i = 0; i < NODE_INPUTS; i++) {
        const graph_value in = n->in[i];
        if (!(op_table[n->op]->in_place >> i & 1) || in == GRAPH_NONE || l->last[in] != l->wave[v] || l->output[in])
            continue;
        if (g->nodes[in].op != OP_PART && same_size(n, &g->nodes[in])) return in;
    }
    return GRAPH_NONE;
}

static void find_homes(layout *l) {
    const graph *g = l->p->g;
    for (uint32_t v = 0; v < g->count; v++) {
        const graph_node *n = &g->nodes[v];
        graph_value in = GRAPH_NONE;
        l->homes[v] = (home){ .value = v, .first = l->wave[v], .last = l->last[v] };
        l->of[v] = v;
        if (n->op == OP_PART) in = n->in[0];
        else if (runs(l->p, v)) in = place_of(l, v);
        if (in == GRAPH_NONE) continue;
        l->of[v] = l->of[in];
        l->within[v] = l->within[in];
        if (n->op == OP_PART)
            l->within[v] += (uintptr_t)part_of(l->p, &g->nodes[in], NULL, n->u.part);
        if (l->homes[l->of[v]].last < l->last[v]) l->homes[l->of[v]].last = l->last[v];
    }
}

/* ---- addresses ---- */

static int larger_first(const void *a, const void *b) {
    const home *p = a, *q = b;
    if (p->bytes != q->bytes) return p->bytes > q->bytes ? -1 : 1;
    return p->value < q->value ? -1 : p->value > q->value;
}

static bool give_addresses(layout *l) {
    graph_plan *p = l->p;
    const uint32_t count = p->g->count;
    uint32_t placed = 0;
    size_t total = 0;
    qsort(l->homes, count, sizeof *l->homes, larger_first);
    for (uint32_t i = 0; i < count && l->homes[i].bytes > 0; i++) {
        home *h = &l->homes[i];
        size_t at = 0, end;
        for (uint32_t j = 0; j < placed; j++) {
            const home *other = &l->homes[l->placed[j]];
            if (other->last < h->first || other->first > h->last) continue;
            if (other->at >= at && other->at - at >= h->bytes) break;
            if (other->at + other->bytes > at) at = other->at + other->bytes;
        }
        if (!add_u64(at, h->bytes, &end)) return false;
        h->at = at;
        if (end > total) total = end;
        uint32_t place = placed++;
        for (; place > 0 && l->homes[l->placed[place - 1]].at > at; place--) l->placed[place] = l->placed[place - 1];
        l->placed[place] = i;
    }
    p->memory_bytes = total;
    for (uint32_t i = 0; i < count; i++) p->offset[l->homes[i].value] = l->homes[i].at;
    /* a home is the first of those that share it: its own offset is final when the others' are made */
    for (uint32_t v = 0; v < count; v++)
        if (l->of[v] != v) p->offset[v] = p->offset[l->of[v]] + l->within[v];
    return true;
}

static tola_status lay_out(layout *l, tola_error *err) {
    graph_plan *p = l->p;
    const graph *g = p->g;
    find_waves(l);
    find_homes(l);
    for (uint32_t v = 0; v < g->count; v++) {
        if (!runs(p, v)) continue;
        size_t bytes;
        const graph_op_row *op = op_table[g->nodes[v].op];
        if (!value_bytes(p, &g->nodes[v], &bytes))
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s of %zu tokens is too large", op->name, p->max_tokens);
        if (l->of[v] == v) l->homes[v].bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        const size_t scratch = op->scratch ? op->scratch(&g->nodes[v], p) : 0;
        if (scratch > p->scratch_bytes) p->scratch_bytes = scratch;
    }
    p->scratch_bytes = (p->scratch_bytes + 4095) / 4096 * 4096;
    size_t scratch_all;
    if (!give_addresses(l) || !mul_u64(p->scratch_bytes, p->threads, &scratch_all))
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a batch of %zu tokens is too large", p->max_tokens);
    return TOLA_OK;
}

/* ---- the whole ---- */

static tola_status make_layout(graph_plan *p, tola_error *err) {
    const size_t n = (size_t)p->g->count + 1;
    layout l = { .p = p };
    p->order = mem_calloc(n, sizeof *p->order);
    p->wave_start = mem_calloc(n + 1, sizeof *p->wave_start);
    p->offset = mem_calloc(n, sizeof *p->offset);
    p->inlined = mem_calloc(n, sizeof *p->inlined);
    l.wave = mem_calloc(n, sizeof *l.wave);
    l.last = mem_calloc(n, sizeof *l.last);
    l.of = mem_calloc(n, sizeof *l.of);
    l.within = mem_calloc(n, sizeof *l.within);
    l.homes = mem_calloc(n, sizeof *l.homes);
    l.placed = mem_calloc(n, sizeof *l.placed);
    l.output = mem_calloc(n, sizeof *l.output);
    const bool there = p->order && p->wave_start && p->offset && p->inlined && l.wave && l.last && l.of && l.within &&
                       l.homes && l.placed && l.output;
    tola_status status = there ? lay_out(&l, err) : err_nomem(err, "planning a graph");
    mem_free(l.wave);
    mem_free(l.last);
    mem_free(l.of);
    mem_free(l.within);
    mem_free(l.homes);
    mem_free(l.placed);
    mem_free(l.output);
    return status;
}

static tola_status make(const graph *g, size_t max_tokens, size_t max_outputs, unsigned threads,
                        graph_precision precision, graph_plan **out, tola_error *err) {
    if (!g->training || !g->finished || g->count == 0 || max_tokens == 0 || max_tokens > UINT32_MAX ||
        max_outputs > max_tokens || threads == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a training plan for %zu tokens and %zu outputs on %u threads",
                       max_tokens, max_outputs, threads);
    graph_plan *p = mem_calloc(1, sizeof *p);
    if (!p) return err_nomem(err, "planning a graph");
    p->g = g;
    p->max_tokens = max_tokens;
    p->max_outputs = max_outputs;
    p->threads = threads;
    p->precision = precision;
    p->active_bytes = UINT64_MAX; /* every thread takes part in everything */
    tola_status status = make_layout(p, err);
    if (status != TOLA_OK) {
        plan_free(p);
        return status;
    }
    *out = p;
    return TOLA_OK;
}

tola_status plan_create_training(const graph *g, size_t max_tokens, size_t max_outputs, unsigned threads,
                                 graph_precision precision, graph_plan **out, tola_error *err) {
    graph_plan *p;
    TRY(make(g, max_tokens, max_outputs, threads, precision, &p, err));
    p->memory = mem_alloc_aligned(4096, p->memory_bytes + ALIGNMENT);
    p->scratch = mem_alloc_aligned(4096, p->scratch_bytes * threads + ALIGNMENT);
    p->state = run_state_create(p);
    if (!p->memory || !p->scratch || !p->state) {
        plan_free(p);
        return err_nomem(err, "planning a graph");
    }
    *out = p;
    return TOLA_OK;
}

tola_status plan_predict(const graph *g, size_t max_tokens, size_t max_outputs, unsigned threads,
                         graph_precision precision, uint64_t *bytes, tola_error *err) {
    graph_plan *p;
    TRY(make(g, max_tokens, max_outputs, threads, precision, &p, err));
    *bytes = plan_bytes(p);
    plan_free(p);
    return TOLA_OK;
}
