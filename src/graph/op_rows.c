/* Operations on one row at a time. */
#include "graph/op.h"

#include "kernels/rows/rows.h"

#include <math.h>
#include <string.h>

static void rms_norm(const op_call *c, size_t r, float *y) {
    const graph_node *n = c->node;
    const size_t group = n->u.norm.group;
    const float *scale = n->w[0] ? n->w[0]->data[0] : NULL;
    const size_t step = n->w[0] && n->w[0]->cols > group ? group : 0; /* groups with scales of their own */
    for (size_t i = 0; i < c->cols; i += group)
        rows_get()->rms_norm(in_row(c, 0, r) + i, scale ? scale + i / group * step : NULL, n->u.norm.offset,
                             n->u.norm.eps, y + i, group);
}
const graph_op_row op_rms_norm = { .name = "norm", .row = rms_norm };

static void layer_norm(const op_call *c, size_t r, float *y) {
    const graph_node *n = c->node;
    rows_get()->layer_norm(in_row(c, 0, r), n->w[0]->data[0], n->w[1] ? n->w[1]->data[0] : NULL, n->u.norm.eps, y,
                           c->cols);
}
const graph_op_row op_layer_norm = { .name = "layer norm", .row = layer_norm };

static row_function function_of(uint8_t f) {
    static const uint8_t functions[] = {
        [GRAPH_SILU] = ROW_SILU,   [GRAPH_GELU] = ROW_GELU,       [GRAPH_GELU_TANH] = ROW_GELU_TANH,
        [GRAPH_RELU] = ROW_RELU,   [GRAPH_RELU2] = ROW_RELU2,     [GRAPH_SIGMOID] = ROW_SIGMOID,
        [GRAPH_TANH] = ROW_TANH,
    };
    return (row_function)functions[f];
}

static void apply(const op_call *c, size_t r, float *y) {
    rows_get()->apply(function_of(c->node->u.apply.function), in_row(c, 0, r), y, c->cols);
}
const graph_op_row op_apply = { .name = "activation", .row = apply };

static void gated(const op_call *c, size_t r, float *y) {
    const float clamp = c->node->u.apply.clamp;
    if (clamp > 0)
        rows_get()->gated_clamped(clamp, in_row(c, 0, r), in_row(c, 1, r), y, c->cols);
    else
        rows_get()->gated(function_of(c->node->u.apply.function), in_row(c, 0, r), in_row(c, 1, r), y, c->cols);
}
const graph_op_row op_gated = { .name = "gated activation", .row = gated };

static void add(const op_call *c, size_t r, float *y) {
    rows_get()->add(in_row(c, 0, r), in_row(c, 1, r), y, c->cols);
}
const graph_op_row op_add = { .name = "sum", .row = add, .in_place = 3 };

static void multiply(const op_call *c, size_t r, float *y) {
    if (c->in_cols[1] == c->cols)
        rows_get()->multiply(in_row(c, 0, r), in_row(c, 1, r), y, c->cols);
    else
        rows_get()->scale(*in_row(c, 1, r), in_row(c, 0, r), y, c->cols);
}
const graph_op_row op_multiply = { .name = "product", .row = multiply, .in_place = 1 };

static void scale(const op_call *c, size_t r, float *y) {
    rows_get()->scale(c->node->u.embed.factor, in_row(c, 0, r), y, c->cols);
}
const graph_op_row op_scale = { .name = "scale", .row = scale, .in_place = 1 };

static void softcap(const op_call *c, size_t r, float *y) {
    rows_get()->softcap(c->node->u.embed.factor, in_row(c, 0, r), y, c->cols);
}
const graph_op_row op_softcap = { .name = "soft cap", .row = softcap, .in_place = 1 };

static void position_scale(const op_call *c, size_t r, float *y) {
    const float beta = c->node->u.position.beta, span = c->node->u.position.span;
    const double steps = floor(((double)c->batch->positions[row_token(c, r)] + 1) / (double)span);
    rows_get()->scale((float)(1 + (double)beta * log1p(steps)), in_row(c, 0, r), y, c->cols);
}
const graph_op_row op_position_scale = { .name = "scale by position", .row = position_scale, .in_place = 1 };

/* ---- moving columns and rows ---- */

static void columns(const op_call *c, size_t r, float *y) {
    const size_t group = c->node->u.columns.group, first = c->node->u.columns.first, count = c->node->u.columns.count;
    for (size_t i = 0; i < c->in_cols[0] / group; i++)
        memcpy(y + i * count, in_row(c, 0, r) + i * group + first, count * sizeof(float));
}
const graph_op_row op_columns = { .name = "columns", .row = columns };

static void join(const op_call *c, size_t r, float *y) {
    const size_t heads = c->node->u.join.heads, a = c->in_cols[0] / heads;
    const bool shared = c->node->u.join.b_shared != 0;
    const size_t b = shared ? c->in_cols[1] : c->in_cols[1] / heads;
    for (size_t h = 0; h < heads; h++) {
        float *to = y + h * (a + b);
        memcpy(to, in_row(c, 0, r) + h * a, a * sizeof *to);
        memcpy(to + a, in_row(c, 1, r) + (shared ? 0 : h * b), b * sizeof *to);
    }
}
const graph_op_row op_join = { .name = "join", .row = join };

static void output_rows(const op_call *c, size_t r, float *y) {
    memcpy(y, in_row(c, 0, c->batch->outputs[r]), c->cols * sizeof(float));
}
const graph_op_row op_output_rows = { .name = "output rows", .row = output_rows };

/* ---- rotation ---- */

/* The angle is rounded to f32 before its cosine is taken, as in huggingface/transformers. */
static void turns(const op_call *c, size_t r, float *y) {
    const graph_node *n = c->node;
    const size_t pairs = n->u.rope.rotated / 2;
    const double magnitude = (double)n->u.rope.magnitude;
    for (size_t i = 0; i < pairs; i++) {
        const float angle = (float)c->batch->positions[r] * n->u.rope.frequency[i];
        y[i] = (float)((double)cosf(angle) * magnitude);
        y[pairs + i] = (float)((double)sinf(angle) * magnitude);
    }
}
const graph_op_row op_turns = { .name = "turns", .row = turns };

static void rotate(const op_call *c, size_t r, float *y) {
    const graph_node *n = c->node;
    const size_t first = n->u.rope.first, rotated = n->u.rope.rotated, dim = n->u.rope.head_dim;
    const size_t after = first + rotated;
    const float *turn = in_row(c, 1, row_token(c, r));
    for (size_t h = 0; h < c->cols; h += dim, y += dim) {
        const float *x = in_row(c, 0, r) + h;
        memcpy(y, x, first * sizeof *y);
        rows_get()->rotate(turn, turn + rotated / 2, rotated / 2, n->u.rope.interleaved, x + first, y + first);
        memcpy(y + after, x + after, (dim - after) * sizeof *y);
    }
}
const graph_op_row op_rotate = { .name = "rotation", .row = rotate };
