/* Losses and their gradients: one row of logits or outputs to one number, times the row's weight in the batch. */
#include "graph/op.h"

#include "kernels/rows/rows.h"

#include <math.h>
#include <string.h>

static size_t scratch_row(const graph_node *n, const graph_plan *p) {
    return (size_t)p->g->nodes[n->in[0]].cols * sizeof(float);
}

static size_t row_tasks(const op_call *c) { return c->rows; }

/* ---- cross-entropy: (1 - s) (lse - x[target]) + s (lse - mean(x)); parts of the value: losses, lse ---- */

static uint32_t cross_entropy_part(const graph_node *n, unsigned part) {
    (void)n;
    return part < 2 ? 1 : 0;
}

static void cross_entropy(const op_call *c, size_t r, void *scratch) {
    const float *x = in_row(c, 0, r), weight = c->batch->learn->row_weights[r];
    const size_t n = c->in_cols[0];
    float *loss = part_of(c->plan, c->node, c->out, 0) + r, *lse = part_of(c->plan, c->node, c->out, 1) + r;
    *loss = *lse = 0;
    if (weight == 0) return;
    const float most = rows_get()->max(x, n);
    const double log_sum = log((double)rows_get()->exp_sum(x, most, scratch, n)) + (double)most;
    const double s = (double)c->node->u.loss.factor;
    double off = (1 - s) * (log_sum - (double)x[c->batch->learn->targets[r]]);
    if (s > 0) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)x[i];
        off += s * (log_sum - sum / (double)n);
    }
    *loss = (float)((double)weight * off);
    *lse = (float)log_sum;
}
const graph_op_row op_cross_entropy = { .name = "cross-entropy", .scratch = scratch_row, .tasks = row_tasks,
                                        .run = cross_entropy, .part_cols = cross_entropy_part };

/* x' = weight d (softmax(x) - (1 - s) [target] - s / n); in: x, the forward's value, d */
static void cross_entropy_back(const op_call *c, size_t r, float *y) {
    const graph_node *forward = &c->plan->g->nodes[c->node->in[1]];
    const float *x = in_row(c, 0, r), factor = c->batch->learn->row_weights[r] * *in_row(c, 2, r);
    const size_t n = c->cols;
    if (factor == 0) {
        memset(y, 0, n * sizeof *y);
        return;
    }
    const float s = c->node->u.loss.factor;
    (void)rows_get()->exp_sum(x, part_of(c->plan, forward, c->in[1], 1)[r], y, n);
    rows_get()->scale(factor, y, y, n);
    if (s > 0)
        for (size_t i = 0; i < n; i++) y[i] -= factor * s / (float)n;
    y[c->batch->learn->targets[r]] -= factor * (1 - s);
}
const graph_op_row op_cross_entropy_back = { .name = "gradient of cross-entropy", .row = cross_entropy_back,
                                             .in_place = 1 };

/* ---- mean over columns of (x - wanted)^2 ---- */

static void squared_error(const op_call *c, size_t r, void *scratch) {
    (void)scratch;
    const size_t n = c->in_cols[0];
    const float *x = in_row(c, 0, r), *wanted = c->batch->learn->wanted + r * n;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((double)x[i] - (double)wanted[i]) * ((double)x[i] - (double)wanted[i]);
    ((float *)c->out)[r] = (float)((double)c->batch->learn->row_weights[r] * sum / (double)n);
}
const graph_op_row op_squared_error = { .name = "squared error", .tasks = row_tasks, .run = squared_error };

static void squared_error_back(const op_call *c, size_t r, float *y) {
    const float *x = in_row(c, 0, r), *wanted = c->batch->learn->wanted + r * c->cols;
    const float factor = c->batch->learn->row_weights[r] * *in_row(c, 1, r) * 2 / (float)c->cols;
    for (size_t i = 0; i < c->cols; i++) y[i] = factor * (x[i] - wanted[i]);
}
const graph_op_row op_squared_error_back = { .name = "gradient of squared error", .row = squared_error_back,
                                             .in_place = 1 };

/* ---- T^2 KL(p || q), q = softmax(x / T) over the columns that the reference has ---- */

/* A row and its reference, gone through a room at a time. */
enum { ROOM = 256 };

typedef struct entries {
    const uint32_t *ids; /* NULL: all columns */
    const float *x, *reference;
    size_t n;
    float temperature;
} entries;

static entries entries_of(const op_call *c, size_t r, size_t cols) {
    const graph_learn_batch *b = c->batch->learn;
    const size_t n = b->reference_ids ? b->reference_top : cols;
    return (entries){ b->reference_ids ? b->reference_ids + r * n : NULL, in_row(c, 0, r), b->reference + r * n, n,
                      c->node->u.loss.factor };
}

/* x / T of entries from `first` on into q; how many. */
static size_t take(const entries *e, size_t first, float *q) {
    const size_t n = e->n - first < ROOM ? e->n - first : ROOM;
    for (size_t i = 0; i < n; i++) q[i] = e->x[e->ids ? e->ids[first + i] : first + i] / e->temperature;
    return n;
}

/* What log-probabilities of p and logits x / T have to be lessened by to be normalized. */
static void normal(const entries *e, float *of_p, float *of_q) {
    const rows_kernels *k = rows_get();
    const float most_p = k->max(e->reference, e->n);
    float most_q = -INFINITY, room[ROOM];
    double p = 0, q = 0;
    for (size_t i = 0, n; i < e->n; i += n) {
        n = take(e, i, room);
        most_q = fmaxf(most_q, k->max(room, n));
    }
    for (size_t i = 0, n; i < e->n; i += n) {
        n = take(e, i, room);
        q += (double)k->exp_sum(room, most_q, room, n);
        p += (double)k->exp_sum(e->reference + i, most_p, room, n);
    }
    *of_p = (float)((double)most_p + log(p));
    *of_q = (float)((double)most_q + log(q));
}

static void divergence(const op_call *c, size_t r, void *scratch) {
    (void)scratch;
    const entries e = entries_of(c, r, c->in_cols[0]);
    const float weight = c->batch->learn->row_weights[r];
    float of_p, of_q, p[ROOM], q[ROOM];
    double sum = 0;
    ((float *)c->out)[r] = 0;
    if (weight == 0) return;
    normal(&e, &of_p, &of_q);
    for (size_t i = 0, n; i < e.n; i += n) {
        n = take(&e, i, q);
        (void)rows_get()->exp_sum(e.reference + i, of_p, p, n);
        for (size_t j = 0; j < n; j++)
            if (p[j] > 0) sum += (double)p[j] * (double)(e.reference[i + j] - of_p - (q[j] - of_q));
    }
    ((float *)c->out)[r] = (float)((double)weight * (double)e.temperature * (double)e.temperature * sum);
}
const graph_op_row op_divergence = { .name = "divergence", .tasks = row_tasks, .run = divergence };

/* x' = weight d T (q - p); in: x, d. Not in place, as x is read by id. */
static void divergence_back(const op_call *c, size_t r, float *y) {
    const entries e = entries_of(c, r, c->cols);
    const float factor = c->batch->learn->row_weights[r] * *in_row(c, 1, r) * e.temperature;
    float of_p, of_q, p[ROOM], q[ROOM];
    if (e.ids || factor == 0) memset(y, 0, c->cols * sizeof *y);
    if (factor == 0) return;
    normal(&e, &of_p, &of_q);
    for (size_t i = 0, n; i < e.n; i += n) {
        n = take(&e, i, q);
        (void)rows_get()->exp_sum(e.reference + i, of_p, p, n);
        (void)rows_get()->exp_sum(q, of_q, q, n);
        for (size_t j = 0; j < n; j++) {
            if (e.ids)
                y[e.ids[i + j]] += factor * (q[j] - p[j]);
            else
                y[i + j] = factor * (q[j] - p[j]);
        }
    }
}
const graph_op_row op_divergence_back = { .name = "gradient of divergence", .row = divergence_back };
