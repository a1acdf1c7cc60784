/* Gradients of operations on one row at a time (op_rows.c), dropout, and what training graphs begin with. */
#include "graph/op.h"

#include "base/mix.h"
#include "kernels/rows/backward.h"

#include <string.h>

/* ---- inputs ---- */

static void input(const op_call *c, size_t r, float *y) {
    memcpy(y, c->batch->learn->features + r * c->cols, c->cols * sizeof *y);
}
const graph_op_row op_input = { .name = "input", .row = input };

static void ones(const op_call *c, size_t r, float *y) {
    (void)r;
    for (size_t i = 0; i < c->cols; i++) y[i] = 1;
}
const graph_op_row op_ones = { .name = "ones", .row = ones };

const graph_op_row op_part = { .name = "part" };

/* ---- dropout ---- */

static void dropout(const op_call *c, size_t r, float *y) {
    const graph_learn_batch *b = c->batch->learn;
    const float *x = in_row(c, 0, r), p = c->node->u.dropout.p;
    if (b->evaluate || p == 0) {
        if (y != x) memcpy(y, x, c->cols * sizeof *y);
        return;
    }
    const graph_node *n = c->node;
    const size_t token = n->by_expert ? r : r / n->per_token;
    size_t row = n->rows == ROWS_OUTPUTS && !n->by_expert ? c->batch->outputs[token] : token;
    const uint64_t id = b->row_ids && !n->by_expert ? b->row_ids[row] : row;
    const uint64_t seed = mix_u64(mix_u64(b->seed + 0x9e3779b97f4a7c15u * (n->u.dropout.id + 1u)) + id);
    const uint64_t limit = (uint64_t)((double)p * 0x1p32);
    const float factor = 1 / (1 - p);
    for (size_t i = 0; i < c->cols; i++) {
        const uint64_t at = (r % n->per_token) * c->cols + i;
        y[i] = mix_u64(seed + 0x9e3779b97f4a7c15u * (at + 1)) >> 32 < limit ? 0 : x[i] * factor;
    }
}
const graph_op_row op_dropout = { .name = "dropout", .row = dropout, .in_place = 1 };

/* ---- norms: in[0] x, in[1] d ---- */

static void rms_norm_back(const op_call *c, size_t r, float *y) {
    const graph_node *n = c->node;
    const size_t group = n->u.norm.group;
    const float *scale = n->w[0] ? n->w[0]->data[0] : NULL;
    const size_t step = n->w[0] && n->w[0]->cols > group ? group : 0;
    for (size_t i = 0; i < c->cols; i += group)
        rows_rms_norm_back(in_row(c, 0, r) + i, scale ? scale + i / group * step : NULL, n->u.norm.offset,
                           n->u.norm.eps, in_row(c, 1, r) + i, y + i, group);
}
const graph_op_row op_rms_norm_back = { .name = "gradient of a norm", .row = rms_norm_back, .in_place = 2 };

static void layer_norm_back(const op_call *c, size_t r, float *y) {
    rows_layer_norm_back(in_row(c, 0, r), c->node->w[0]->data[0], c->node->u.norm.eps, in_row(c, 1, r), y, c->cols);
}
const graph_op_row op_layer_norm_back = { .name = "gradient of a layer norm", .row = layer_norm_back, .in_place = 2 };

/* ---- functions ---- */

static row_function function_of(uint8_t f) {
    static const uint8_t functions[] = {
        [GRAPH_SILU] = ROW_SILU,   [GRAPH_GELU] = ROW_GELU,       [GRAPH_GELU_TANH] = ROW_GELU_TANH,
        [GRAPH_RELU] = ROW_RELU,   [GRAPH_RELU2] = ROW_RELU2,     [GRAPH_SIGMOID] = ROW_SIGMOID,
        [GRAPH_TANH] = ROW_TANH,
    };
    return (row_function)functions[f];
}

static void apply_back(const op_call *c, size_t r, float *y) {
    rows_apply_back(function_of(c->node->u.apply.function), in_row(c, 0, r), in_row(c, 1, r), y, c->cols);
}
const graph_op_row op_apply_back = { .name = "gradient of an activation", .row = apply_back, .in_place = 3 };

/* in: gate, up, d; parts: gradients of gate and of up. */
enum { GATED_ROWS = 8 /* of a task */ };

static uint32_t gated_part(const graph_node *n, unsigned part) { return part < 2 ? n->u.apply.cols : 0; }

static size_t gated_tasks(const op_call *c) { return (c->rows + GATED_ROWS - 1) / GATED_ROWS; }

static void gated_back(const op_call *c, size_t task, void *scratch) {
    (void)scratch;
    const size_t cols = c->in_cols[0], end = (task + 1) * GATED_ROWS;
    const row_function f = function_of(c->node->u.apply.function);
    const float clamp = c->node->u.apply.clamp;
    float *d_gate = part_of(c->plan, c->node, c->out, 0), *d_up = part_of(c->plan, c->node, c->out, 1);
    for (size_t r = task * GATED_ROWS; r < end && r < c->rows; r++) {
        const float *gate = in_row(c, 0, r), *up = in_row(c, 1, r), *d = in_row(c, 2, r);
        if (clamp > 0)
            rows_gated_clamped_back(clamp, gate, up, d, d_gate + r * cols, d_up + r * cols, cols);
        else
            rows_gated_back(f, gate, up, d, d_gate + r * cols, d_up + r * cols, cols);
    }
}
const graph_op_row op_gated_back = { .name = "gradient of a gated activation", .tasks = gated_tasks, .run = gated_back,
                                     .part_cols = gated_part };

/* in[0] the value itself */
static void softcap_back(const op_call *c, size_t r, float *y) {
    rows_softcap_back(c->node->u.embed.factor, in_row(c, 0, r), in_row(c, 1, r), y, c->cols);
}
const graph_op_row op_softcap_back = { .name = "gradient of a soft cap", .row = softcap_back, .in_place = 3 };

static void dot(const op_call *c, size_t r, float *y) {
    *y = rows_dot(in_row(c, 0, r), in_row(c, 1, r), c->in_cols[0]);
}
const graph_op_row op_dot = { .name = "dot product", .row = dot };

/* ---- moving columns and rows ---- */

static void columns_back(const op_call *c, size_t r, float *y) {
    const size_t group = c->node->u.columns.group, first = c->node->u.columns.first, count = c->node->u.columns.count;
    const float *d = in_row(c, 0, r);
    memset(y, 0, c->cols * sizeof *y);
    for (size_t i = 0; i < c->cols / group; i++) memcpy(y + i * group + first, d + i * count, count * sizeof *y);
}
const graph_op_row op_columns_back = { .name = "gradient of columns", .row = columns_back };

/* What all groups shared: the sum over them. */
static void join_back(const op_call *c, size_t r, float *y) {
    const size_t heads = c->node->u.join.heads, group = c->in_cols[0] / heads;
    const float *d = in_row(c, 0, r) + group - c->cols;
    memcpy(y, d, c->cols * sizeof *y);
    for (size_t h = 1; h < heads; h++) rows_get()->add(y, d + h * group, y, c->cols);
}
const graph_op_row op_join_back = { .name = "gradient of a join", .row = join_back };

static void output_rows_back(const op_call *c, size_t r, float *y) {
    const graph_batch *b = c->batch;
    size_t low = 0, high = b->output_count; /* the first output that is not before row r */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (b->outputs[middle] < r)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < b->output_count && b->outputs[low] == r)
        memcpy(y, in_row(c, 0, low), c->cols * sizeof *y);
    else
        memset(y, 0, c->cols * sizeof *y);
}
const graph_op_row op_output_rows_back = { .name = "gradient of output rows", .row = output_rows_back };

/* ---- DoRA: y = magnitude / length (product + change) + bias; in: product, change, lengths ---- */

static void dora(const op_call *c, size_t r, float *y) {
    const float *p = in_row(c, 0, r), *q = in_row(c, 1, r), *length = c->in[2];
    const float *magnitude = c->node->w[0]->data[0], *bias = c->node->w[1] ? c->node->w[1]->data[0] : NULL;
    for (size_t i = 0; i < c->cols; i++) y[i] = magnitude[i] / length[i] * (p[i] + q[i]) + (bias ? bias[i] : 0);
}
const graph_op_row op_dora = { .name = "dora", .row = dora };

/* in: d, lengths */
static void dora_back(const op_call *c, size_t r, float *y) {
    const float *d = in_row(c, 0, r), *length = c->in[1], *magnitude = c->node->w[0]->data[0];
    for (size_t i = 0; i < c->cols; i++) y[i] = magnitude[i] / length[i] * d[i];
}
const graph_op_row op_dora_back = { .name = "gradient of dora", .row = dora_back, .in_place = 1 };
