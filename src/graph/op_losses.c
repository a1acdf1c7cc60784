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

/* Column of the reference's entry i. */
static size_t column(const graph_learn_batch *b, size_t r, size_t i) {
    return b->reference_ids ? b->reference_ids[r * b->reference_top + i] : i;
}

/* What log-probabilities of p and logits x / T have to be lessened by to be normalized over n entries. */
static void normal(const op_call *c, size_t r, const float *x, size_t n, double *of_p, double *of_q) {
    const graph_learn_batch *b = c->batch->learn;
    const double t = (double)c->node->u.loss.factor;
    const float *reference = b->reference + r * n;
    double most_p = -INFINITY, most_q = -INFINITY, p = 0, q = 0;
    for (size_t i = 0; i < n; i++) {
        most_p = fmax(most_p, (double)reference[i]);
        most_q = fmax(most_q, (double)x[column(b, r, i)] / t);
    }
    for (size_t i = 0; i < n; i++) {
        p += exp((double)reference[i] - most_p);
        q += exp((double)x[column(b, r, i)] / t - most_q);
    }
    *of_p = most_p + log(p);
    *of_q = most_q + log(q);
}

static size_t entries(const op_call *c, size_t cols) {
    return c->batch->learn->reference_ids ? c->batch->learn->reference_top : cols;
}

static void divergence(const op_call *c, size_t r, void *scratch) {
    (void)scratch;
    const graph_learn_batch *b = c->batch->learn;
    const size_t n = entries(c, c->in_cols[0]);
    const float *x = in_row(c, 0, r), *reference = b->reference + r * n;
    const double t = (double)c->node->u.loss.factor;
    double of_p, of_q, sum = 0;
    ((float *)c->out)[r] = 0;
    if (b->row_weights[r] == 0) return;
    normal(c, r, x, n, &of_p, &of_q);
    for (size_t i = 0; i < n; i++) {
        const double log_p = (double)reference[i] - of_p, log_q = (double)x[column(b, r, i)] / t - of_q;
        if (reference[i] > -INFINITY) sum += exp(log_p) * (log_p - log_q);
    }
    ((float *)c->out)[r] = (float)((double)b->row_weights[r] * t * t * sum);
}
const graph_op_row op_divergence = { .name = "divergence", .tasks = row_tasks, .run = divergence };

/* x' = weight d T (q - p); in: x, d. Not in place, as x is read by id. */
static void divergence_back(const op_call *c, size_t r, float *y) {
    const graph_learn_batch *b = c->batch->learn;
    const size_t n = entries(c, c->cols);
    const float *x = in_row(c, 0, r), *reference = b->reference + r * n;
    const double t = (double)c->node->u.loss.factor, factor = (double)b->row_weights[r] * (double)*in_row(c, 1, r) * t;
    double of_p, of_q;
    memset(y, 0, c->cols * sizeof *y);
    if (factor == 0) return;
    normal(c, r, x, n, &of_p, &of_q);
    for (size_t i = 0; i < n; i++) {
        const size_t at = column(b, r, i);
        y[at] += (float)(factor * (exp((double)x[at] / t - of_q) - exp((double)reference[i] - of_p)));
    }
}
const graph_op_row op_divergence_back = { .name = "gradient of divergence", .row = divergence_back };
