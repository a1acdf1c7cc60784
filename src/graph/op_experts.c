/* Mixture of experts: each token goes to a few of many feed-forwards.
 *
 * A token's choice has 2 * used columns: scores, then numbers of experts (exact as floats: there are fewer than 2^24).
 * Slot s = token * used + j is choice j of a token. The experts' own rows lie sorted by expert, then by slot, so that
 * each expert's rows are one matrix; `expert_order` says which row is whose. */
#include "graph/experts.h"
#include "graph/op.h"

#include "graph/gather.h"
#include "kernels/rows/rows.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- choosing ---- */

static float best(const float *scores, const bool *taken, size_t n, size_t *index) {
    float most = -INFINITY;
    *index = n;
    for (size_t i = 0; i < n; i++)
        if (!taken[i] && (*index == n || scores[i] > most)) most = scores[i], *index = i;
    return most;
}

/* Leaves the experts of all but the best groups out. A group is worth its best expert, or its best two together. */
static void keep_groups(const graph_routing *r, const float *scores, size_t experts, bool *taken, bool *group_taken,
                        float *worth) {
    const size_t size = experts / r->groups;
    for (size_t g = 0; g < r->groups; g++) {
        const float *s = scores + g * size;
        float first = -INFINITY, second = -INFINITY;
        for (size_t i = 0; i < size; i++) {
            if (s[i] > first) second = first, first = s[i];
            else if (s[i] > second) second = s[i];
        }
        worth[g] = r->group_by_top2 && size > 1 ? first + second : first;
        group_taken[g] = false;
    }
    memset(taken, true, experts * sizeof *taken);
    for (size_t k = 0; k < r->groups_used; k++) {
        size_t g;
        best(worth, group_taken, r->groups, &g);
        group_taken[g] = true;
        memset(taken + g * size, false, size * sizeof *taken);
    }
}

/* Scratch: scores, scores for choosing, groups' worth; taken, groups taken. */
static size_t route_scratch(const graph_node *n, const graph_plan *p) {
    return (size_t)p->g->nodes[n->in[0]].cols * 4 * sizeof(float);
}

static void route_row(const graph_node *n, const float *logits, size_t experts, float *out, void *scratch) {
    const graph_routing *r = &n->u.route;
    const rows_kernels *k = rows_get();
    float *scores = scratch, *choosing = scores + experts, *worth = choosing + experts;
    bool *taken = (bool *)(worth + experts), *group_taken = taken + experts;
    if (r->softmax_chosen) {
        memcpy(scores, logits, experts * sizeof *scores);
    } else if (r->sigmoid) {
        k->apply(ROW_SIGMOID, logits, scores, experts);
    } else {
        const float sum = k->exp_sum(logits, k->max(logits, experts), scores, experts);
        for (size_t e = 0; e < experts; e++) scores[e] /= sum;
    }
    memcpy(choosing, scores, experts * sizeof *scores);
    if (r->bias) k->add(scores, r->bias->data[0], choosing, experts);
    memset(taken, false, experts * sizeof *taken);
    if (r->groups > 0) keep_groups(r, choosing, experts, taken, group_taken, worth);
    for (size_t j = 0; j < r->used; j++) {
        size_t e;
        best(choosing, taken, experts, &e);
        if (e == experts) e = 0; /* not reached: groups leave enough experts */
        taken[e] = true;
        out[j] = scores[e];
        out[r->used + j] = (float)e;
    }
    if (r->softmax_chosen) {
        const float sum = k->exp_sum(out, k->max(out, r->used), out, r->used);
        for (size_t j = 0; j < r->used; j++) out[j] /= sum;
    }
    if (r->normalize) {
        float sum = 0;
        for (size_t j = 0; j < r->used; j++) sum += out[j];
        for (size_t j = 0; j < r->used; j++) out[j] /= sum + 1e-20f;
    }
    for (size_t j = 0; j < r->used; j++) out[j] *= r->scale;
}

#define ROUTE_ROWS 16 /* of one task */

static size_t route_tasks(const op_call *c) { return (c->rows + ROUTE_ROWS - 1) / ROUTE_ROWS; }

static void route(const op_call *c, size_t task, void *scratch) {
    for (size_t r = task * ROUTE_ROWS; r < c->rows && r < (task + 1) * ROUTE_ROWS; r++)
        route_row(c->node, in_row(c, 0, r), c->in_cols[0], (float *)c->out + r * c->cols, scratch);
}
const graph_op_row op_route = { .name = "routing", .scratch = route_scratch, .tasks = route_tasks, .run = route };

/* ---- sorting ---- */

static size_t most_active(size_t experts, size_t slots) { return experts < slots ? experts : slots; }

static size_t sort_bytes(const graph_node *n, const graph_plan *p) {
    const size_t experts = p->g->nodes[n->in[1]].cols, slots = node_rows_most(n, p) * (p->g->nodes[n->in[0]].cols / 2);
    return (16 + 2 * experts + 1 + 2 * slots) * sizeof(uint32_t);
}

static size_t one_task(const op_call *c) {
    (void)c;
    return 1;
}

static void sort(const op_call *c, size_t task, void *scratch) {
    (void)task;
    (void)scratch;
    const size_t used = c->in_cols[0] / 2, experts = c->in_cols[1], slots = c->rows * used;
    expert_order o = order_view(c->out, experts, slots);
    const float *choice = c->in[0];
    uint32_t *const count = o.start; /* of every expert first */
    memset(count, 0, (experts + 1) * sizeof *count);
    for (size_t s = 0; s < slots; s++) count[(size_t)choice[s / used * 2 * used + used + s % used]]++;
    /* o.experts: first where each expert's rows go next */
    uint32_t at = 0;
    for (size_t e = 0; e < experts; e++) {
        o.experts[e] = at;
        at += count[e];
    }
    for (size_t s = 0; s < slots; s++) {
        const uint32_t row = o.experts[(size_t)choice[s / used * 2 * used + used + s % used]]++;
        o.slot[row] = (uint32_t)s;
        o.row[s] = row;
    }
    uint32_t active = 0, begin = 0;
    for (size_t e = 0; e < experts; e++) { /* active <= e: what is overwritten has been read */
        const uint32_t rows = count[e];
        if (rows == 0) continue;
        o.experts[active] = (uint32_t)e;
        o.start[active++] = begin;
        begin += rows;
    }
    o.start[active] = begin;
    ((uint32_t *)c->out)[0] = active;
}
const graph_op_row op_expert_sort = { .name = "sorting by expert", .bytes = sort_bytes, .tasks = one_task,
                                      .run = sort };

/* ---- rows as products take them: each expert's apart ---- */

/* Bytes a row of prepared rows takes at most, when room for MATMUL_TOKENS rows more is left between experts. */
static size_t prepared_unit(tola_dtype dtype, size_t k) {
    const size_t bytes = matmul_prepared_bytes(dtype, k, MATMUL_TOKENS);
    return (bytes / MATMUL_TOKENS + 64) / 64 * 64;
}

static size_t expert_prepare_bytes(const graph_node *n, const graph_plan *p) {
    const graph_weight *w = n->w[0];
    const size_t slots = node_rows_most(n, p), rooms = slots + most_active(w->parts, slots) * MATMUL_TOKENS;
    size_t bytes;
    return mul_u64(rooms, prepared_unit(w->dtype, w->cols), &bytes) ? bytes : SIZE_MAX;
}

/* Tokens' rows that are not weighed are prepared once and then taken to every expert that wants them. */
static bool prepared_already(const graph_node *n, const graph_plan *p) {
    return p->g->nodes[n->in[0]].op == OP_PREPARE;
}

static size_t expert_prepare_scratch(const graph_node *n, const graph_plan *p) {
    return prepared_already(n, p) ? 0 : n->w[0]->cols * MATMUL_TOKENS * sizeof(float);
}

static const uint8_t *prepared_of(const void *value, const expert_order *o, size_t active, size_t unit) {
    return (const uint8_t *)value + (o->start[active] + active * MATMUL_TOKENS) * unit;
}

static size_t expert_prepare_tasks(const op_call *c) {
    return order_view(c->in[2], c->node->w[0]->parts, c->rows).active;
}

/* Rows [begin, begin + count), of those sorted by expert, as floats. */
static void gather(const op_call *c, const expert_order *o, size_t begin, size_t count, float *to) {
    const size_t used = c->node->per_token, k = c->node->w[0]->cols;
    const bool sorted = c->plan->g->nodes[c->node->in[0]].by_expert;
    for (size_t i = begin; i < begin + count; i++, to += k) {
        const uint32_t slot = o->slot[i];
        const size_t row = sorted ? i : slot / used;
        if (c->inlined) op_table[c->inlined->node->op]->row(c->inlined, row, to);
        else if (!c->node->u.expert.weigh) memcpy(to, in_row(c, 0, row), k * sizeof *to);
        else rows_get()->scale(in_row(c, 1, slot / used)[slot % used], in_row(c, 0, row), to, k);
    }
}

static void expert_prepare(const op_call *c, size_t task, void *scratch) {
    const graph_weight *w = c->node->w[0];
    const size_t used = c->node->per_token, k = w->cols;
    const expert_order o = order_view(c->in[2], w->parts, c->rows);
    const size_t start = o.start[task], count = o.start[task + 1] - start, unit = prepared_unit(w->dtype, k);
    void *const out = (void *)(uintptr_t)prepared_of(c->out, &o, task, unit);
    assert(matmul_prepared_bytes(w->dtype, k, count) <= (count + MATMUL_TOKENS) * unit);
    for (size_t first = 0; first < count; first += MATMUL_TOKENS) {
        const size_t some = count - first < MATMUL_TOKENS ? count - first : MATMUL_TOKENS;
        if (prepared_already(c->node, c->plan)) {
            uint32_t token[MATMUL_TOKENS];
            for (size_t i = 0; i < some; i++) token[i] = o.slot[start + first + i] / (uint32_t)used;
            matmul_prepare_again(w->dtype, c->in[0], c->rows / used, token, k, count, first, some, out);
            continue;
        }
        gather(c, &o, start + first, some, scratch);
        matmul_prepare(w->dtype, matmul_row_zero(scratch, first, k), k, k, count, first, some, out);
    }
}
const graph_op_row op_expert_prepare = { .name = "prepared rows of experts", .bytes = expert_prepare_bytes,
                                         .scratch = expert_prepare_scratch, .tasks = expert_prepare_tasks,
                                         .run = expert_prepare };

/* ---- products ---- */

/* Into how many runs of rows each active expert's matrix is cut. One token: as few as give every thread some, since
 * each begins with waiting for the memory. */
static size_t cuts(const op_call *c, size_t active) {
    const graph_weight *w = c->node->w[0];
    const bool one = c->batch->tokens == 1;
    size_t n = (4 * (size_t)c->plan->threads + active - 1) / active;
    const size_t piece = (size_t)(one ? 4096 : 512) << 10, by_size = w->rows * w->row_bytes / piece;
    const size_t most = (w->rows + MATMUL_ROWS - 1) / MATMUL_ROWS;
    if (n < by_size) n = by_size;
    return n < most ? n : most;
}

static size_t expert_tasks(const op_call *c) {
    const expert_order o = order_view(c->in[1], c->node->w[0]->parts, c->rows);
    return o.active == 0 ? 0 : o.active * cuts(c, o.active);
}

static void expert_linear(const op_call *c, size_t task, void *scratch) {
    const graph_weight *w = c->node->w[0], *bias = c->node->w[1];
    const expert_order o = order_view(c->in[1], w->parts, c->rows);
    const size_t pieces = cuts(c, o.active), active = task / pieces, piece = task % pieces;
    size_t at_once = (w->rows + pieces - 1) / pieces;
    at_once = (at_once + MATMUL_ROWS - 1) / MATMUL_ROWS * MATMUL_ROWS;
    const size_t first = piece * at_once;
    if (first >= w->rows) return;
    const size_t count = w->rows - first < at_once ? w->rows - first : at_once;
    const size_t start = o.start[active], tokens = o.start[active + 1] - start;
    const uint32_t expert = o.experts[active];
    float *y = (float *)c->out + start * c->cols;
    matmul_rows(w->dtype, w->data[expert], w->row_bytes, w->cols,
                prepared_of(c->in[0], &o, active, prepared_unit(w->dtype, w->cols)), tokens, y, c->cols, first, count,
                scratch);
    if (!bias) return;
    const float *b = (const float *)((const uint8_t *)bias->data[0] + expert * bias->row_bytes) + first;
    for (size_t t = 0; t < tokens; t++) rows_get()->add(y + t * c->cols + first, b, y + t * c->cols + first, count);
}
const graph_op_row op_expert_linear = { .name = "experts", .scratch = op_product_scratch, .tasks = expert_tasks,
                                        .run = expert_linear };

/* ---- back to tokens: in the order of the choice, best first ---- */

static void expert_sum(const op_call *c, size_t r, float *y) {
    const size_t used = c->in_cols[1] / 2, slots = c->rows * used;
    const graph_node *route_node = &c->plan->g->nodes[c->node->in[1]];
    const expert_order o = order_view(c->in[2], c->plan->g->nodes[route_node->in[0]].cols, slots);
    const float *score = in_row(c, 1, r);
    for (size_t j = 0; j < used; j++) {
        const float *x = in_row(c, 0, o.row[r * used + j]);
        const float factor = c->node->u.expert.weigh ? score[j] : 1;
        if (j == 0) rows_get()->scale(factor, x, y, c->cols);
        else rows_get()->accumulate(factor, x, y, c->cols);
    }
}
const graph_op_row op_expert_sum = { .name = "sum of experts", .row = expert_sum };
