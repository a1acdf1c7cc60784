/* Gradients of vectors and tables: sums over rows, added to the caller's buffers.
 *
 * A task is a run of columns; it goes through all rows in their order, so that neither threads nor the cut change a
 * bit. */
#include "graph/op.h"

#include "kernels/rows/backward.h"

#include <string.h>

enum { SUM_COLS = 64 /* of a task */ };

static size_t col_tasks(size_t cols) { return (cols + SUM_COLS - 1) / SUM_COLS; }

static size_t cols_of(size_t task, size_t cols) {
    const size_t left = cols - task * SUM_COLS;
    return left < SUM_COLS ? left : SUM_COLS;
}

static size_t sum_tasks(const op_call *c) { return col_tasks(c->node->w[0]->cols); }

/* ---- biases: in[0] d ---- */

static void sum_rows(const op_call *c, size_t task, void *scratch) {
    (void)scratch;
    const size_t first = task * SUM_COLS, n = cols_of(task, c->in_cols[0]);
    float *sum = c->node->gradient[0] + first;
    for (size_t r = 0; r < c->rows; r++) rows_get()->add(sum, in_row(c, 0, r) + first, sum, n);
}
const graph_op_row op_sum_rows = { .name = "gradient of a bias", .tasks = sum_tasks, .run = sum_rows, .kept = true };
const graph_op_row op_sinks_weight = { .name = "gradient of sinks", .tasks = sum_tasks, .run = sum_rows, .kept = true };

/* ---- scales of norms: in d, x, statistics [rows, 2 a group] ---- */

static void norm_statistics(const op_call *c, size_t r, float *y) {
    const graph_node *n = c->node;
    const size_t group = n->u.norm.group;
    for (size_t i = 0; i < c->in_cols[0] / group; i++)
        rows_norm_statistics(in_row(c, 0, r) + i * group, n->of == OP_LAYER_NORM, n->u.norm.eps, y + 2 * i, group);
}
const graph_op_row op_norm_statistics = { .name = "statistics of a norm", .row = norm_statistics };

/* A scale of `group` columns is every group's. */
static void norm_weight(const op_call *c, size_t task, void *scratch) {
    (void)scratch;
    const size_t group = c->node->u.norm.group, cols = c->in_cols[0], own = c->node->w[0]->cols;
    const size_t first = task * SUM_COLS, end = first + cols_of(task, own);
    for (size_t r = 0; r < c->rows; r++)
        for (size_t at = 0; at < cols; at += own)
            for (size_t i = first; i < end;) {
                const size_t in_group = (at + i) / group, stop = (in_group + 1) * group - at;
                const size_t n = (stop < end ? stop : end) - i;
                rows_norm_weight(in_row(c, 1, r) + at + i, in_row(c, 0, r) + at + i, in_row(c, 2, r) + 2 * in_group,
                                 c->node->gradient[0] + i, n);
                i += n;
            }
}
const graph_op_row op_norm_weight = { .name = "gradient of a norm's scale", .tasks = sum_tasks, .run = norm_weight,
                                      .kept = true };

/* ---- rows of tables: in[0] d ---- */

static void embed_weight(const op_call *c, size_t task, void *scratch) {
    (void)scratch;
    const graph_node *n = c->node;
    const size_t first = task * SUM_COLS, count = cols_of(task, c->in_cols[0]), cols = c->in_cols[0];
    for (size_t r = 0; r < c->rows; r++) {
        const size_t row = n->of == OP_EMBED            ? c->batch->ids[r]
                           : n->of == OP_EMBED_POSITION ? (size_t)c->batch->positions[r] + n->u.embed.row
                                                        : n->u.embed.row;
        rows_get()->accumulate(n->u.embed.factor, in_row(c, 0, r) + first, n->gradient[0] + row * cols + first, count);
    }
}
const graph_op_row op_embed_weight = { .name = "gradient of an embedding", .tasks = sum_tasks, .run = embed_weight,
                                       .kept = true };

/* ---- DoRA's magnitudes: in d, product, change, lengths ---- */

static void dora_magnitude(const op_call *c, size_t task, void *scratch) {
    (void)scratch;
    const size_t first = task * SUM_COLS, end = first + cols_of(task, c->in_cols[0]);
    const float *length = c->in[3];
    float *sum = c->node->gradient[0];
    for (size_t r = 0; r < c->rows; r++) {
        const float *d = in_row(c, 0, r), *p = in_row(c, 1, r), *q = in_row(c, 2, r);
        for (size_t i = first; i < end; i++) sum[i] += d[i] * (p[i] + q[i]) / length[i];
    }
}
const graph_op_row op_dora_magnitude = { .name = "gradient of dora's magnitudes", .tasks = sum_tasks,
                                         .run = dora_magnitude, .kept = true };
