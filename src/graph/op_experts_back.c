/* Experts of training: rows sorted by expert as f32, products by kernels/gemm, one for each expert that was chosen, and
 * gradients, that of the choice too. */
#include "graph/experts.h"
#include "graph/op.h"
#include "graph/products.h"

#include "kernels/rows/backward.h"

#include <math.h>
#include <string.h>

/* ---- tokens' rows to experts': in x, route, order ---- */

static expert_order order_of(const op_call *c, int input, size_t slots) {
    const graph_node *sort = &c->plan->g->nodes[c->node->in[input]];
    return order_view(c->in[input], c->plan->g->nodes[sort->in[1]].cols, slots);
}

static void gather(const op_call *c, size_t r, float *y) {
    const size_t used = c->node->per_token;
    const expert_order o = order_of(c, 2, c->rows);
    const size_t slot = o.slot[r];
    const float *x = in_row(c, 0, slot / used);
    if (c->node->u.expert.weigh)
        rows_get()->scale(in_row(c, 1, slot / used)[slot % used], x, y, c->cols);
    else
        memcpy(y, x, c->cols * sizeof *y);
}
const graph_op_row op_expert_gather = { .name = "rows of experts", .row = gather };

/* Each slot's score has the gradient a . b, a its token's row and b its expert's; in a, b, order. */
static void scores(const op_call *c, size_t r, float *y) {
    const size_t used = c->cols / 2;
    const expert_order o = order_of(c, 2, c->rows * used);
    for (size_t j = 0; j < used; j++) {
        y[j] = rows_dot(in_row(c, 0, r), in_row(c, 1, o.row[r * used + j]), c->in_cols[0]);
        y[used + j] = 0;
    }
}
const graph_op_row op_expert_scores = { .name = "gradient of scores", .row = scores };

/* ---- the choice: in logits, choice, d
 *
 * t: scores of all experts as they were before normalizing; of those chosen u = t / sum(t) where normalized, and the
 * choice is scale u. So t' = (scale d - sum(scale d u)) / sum(t), and the logits' gradient is t (t' - sum(t' t))
 * through a softmax, t' t (1 - t) through a sigmoid. ---- */

enum { ROUTE_ROWS = 16 /* of a task */ };

static size_t route_scratch(const graph_node *n, const graph_plan *p) {
    (void)p;
    return (size_t)n->cols * sizeof(float);
}

static size_t route_tasks(const op_call *c) { return (c->rows + ROUTE_ROWS - 1) / ROUTE_ROWS; }

/* softmax_chosen: over the chosen ones alone; others get something that nobody reads. */
static void all_scores(const graph_routing *n, const float *logits, const float *number, float *t, size_t experts) {
    const rows_kernels *k = rows_get();
    if (n->sigmoid && !n->softmax_chosen) {
        k->apply(ROW_SIGMOID, logits, t, experts);
        return;
    }
    float sum = k->exp_sum(logits, k->max(logits, experts), t, experts);
    if (n->softmax_chosen) {
        float most = logits[(size_t)number[0]];
        for (size_t j = 1; j < n->used; j++) most = fmaxf(most, logits[(size_t)number[j]]);
        (void)k->exp_sum(logits, most, t, experts);
        sum = 0;
        for (size_t j = 0; j < n->used; j++) sum += t[(size_t)number[j]];
    }
    k->scale(1 / sum, t, t, experts);
}

static void route_row(const graph_routing *n, const float *logits, const float *number, const float *d, float *t,
                      float *y, size_t experts) {
    const double scale = (double)n->scale;
    double sum = 1e-20, mean = 0, slope = 0;
    all_scores(n, logits, number, t, experts);
    for (size_t j = 0; j < n->used; j++) sum += (double)t[(size_t)number[j]];
    if (!n->normalize) sum = 1;
    for (size_t j = 0; n->normalize && j < n->used; j++)
        mean += scale * (double)d[j] * (double)t[(size_t)number[j]] / sum;
    for (size_t j = 0; j < n->used; j++)
        slope += (scale * (double)d[j] - mean) / sum * (double)t[(size_t)number[j]];
    const bool softmax_all = !n->softmax_chosen && !n->sigmoid;
    for (size_t e = 0; e < experts; e++) y[e] = softmax_all ? (float)(-slope * (double)t[e]) : 0;
    for (size_t j = 0; j < n->used; j++) {
        const size_t e = (size_t)number[j];
        const double own = (double)t[e], by_score = (scale * (double)d[j] - mean) / sum;
        y[e] = (float)(n->sigmoid && !n->softmax_chosen ? by_score * own * (1 - own) : own * (by_score - slope));
    }
}

static void route_back(const op_call *c, size_t task, void *scratch) {
    const graph_routing *n = &c->node->u.route;
    for (size_t r = task * ROUTE_ROWS; r < c->rows && r < (task + 1) * ROUTE_ROWS; r++)
        route_row(n, in_row(c, 0, r), in_row(c, 1, r) + n->used, in_row(c, 2, r), scratch,
                  (float *)c->out + r * c->cols, c->cols);
}
const graph_op_row op_route_back = { .name = "gradient of routing", .scratch = route_scratch, .tasks = route_tasks,
                                     .run = route_back };

/* ---- products: in[0] x or d, in[1] what it is added to, or x, in[2], in[3] largest elements, in[4] order ---- */

/* Sizes and types alone where c is NULL. */
static gemm_problem problem(const graph_node *n, const graph_plan *p, const op_call *c, size_t rows, size_t expert) {
    const graph_weight *w = n->w[0];
    const bool forward = n->op == OP_EXPERT_MATMUL, weight = n->op == OP_EXPERT_MATMUL_WEIGHT;
    gemm_problem q = { .m = weight ? w->rows : rows,
                       .n = forward ? w->rows : w->cols,
                       .k = weight ? rows : forward ? w->cols : w->rows,
                       .a = product_rows(c, 0, weight),
                       .b = weight ? product_rows(c, 1, false) : product_weight(w, expert, forward),
                       .precision = product_precision(p),
                       .accumulate = weight || n->in[1] != GRAPH_NONE };
    q.c_stride = q.n;
    if (p->precision == GRAPH_FP8) {
        q.a.round = forward ? TOLA_DTYPE_F8_E4M3 : TOLA_DTYPE_F8_E5M2;
        q.b.round = TOLA_DTYPE_F8_E4M3;
    }
    return q;
}

static size_t matmul_scratch(const graph_node *n, const graph_plan *p) {
    const gemm_problem q = problem(n, p, NULL, node_rows_most(n, p), 0);
    return product_scratch(&q, p->threads);
}

static size_t tasks_of(const op_call *c, const expert_order *o, size_t active) {
    const size_t rows = o->start[active + 1] - o->start[active];
    const gemm_problem q = problem(c->node, c->plan, c, rows, o->experts[active]);
    return gemm_tasks(&q, c->plan->threads);
}

static size_t matmul_tasks(const op_call *c) {
    const expert_order o = order_of(c, 4, c->rows);
    size_t tasks = 0;
    for (size_t i = 0; c->rows > 0 && i < o.active; i++) tasks += tasks_of(c, &o, i);
    return tasks;
}

static void matmul(const op_call *c, size_t task, void *scratch) {
    const expert_order o = order_of(c, 4, c->rows);
    size_t active = 0;
    for (size_t here; task >= (here = tasks_of(c, &o, active)); active++) task -= here;
    const size_t first = o.start[active], rows = o.start[active + 1] - first;
    gemm_problem q = problem(c->node, c->plan, c, rows, o.experts[active]);
    q.a.data = in_row(c, 0, first);
    if (c->node->gradient) {
        q.b.data = in_row(c, 1, first);
        q.c = c->node->gradient[o.experts[active]];
    } else {
        q.c = (float *)c->out + first * c->cols;
    }
    product_round(c, &q.a, 2, c->node->op != OP_EXPERT_MATMUL);
    product_round(c, &q.b, 3, false);
    gemm_run(&q, c->plan->threads, task, scratch);
}

const graph_op_row op_expert_matmul = { .name = "products of experts", .scratch = matmul_scratch,
                                        .tasks = matmul_tasks, .run = matmul };
const graph_op_row op_expert_matmul_back = { .name = "gradient of experts", .scratch = matmul_scratch,
                                             .tasks = matmul_tasks, .run = matmul };
const graph_op_row op_expert_matmul_weight = { .name = "gradient of experts' weights", .scratch = matmul_scratch,
                                               .tasks = matmul_tasks, .run = matmul, .kept = true };

/* ---- biases: a row for each expert ---- */

/* in choice, order */
static void bias_rows(const op_call *c, size_t r, float *y) {
    const graph_weight *bias = c->node->w[0];
    const size_t used = c->node->per_token, slot = order_of(c, 1, c->rows).slot[r];
    const size_t expert = (size_t)in_row(c, 0, slot / used)[used + slot % used];
    memcpy(y, (const uint8_t *)bias->data[0] + expert * bias->row_bytes, c->cols * sizeof *y);
}
const graph_op_row op_expert_bias_rows = { .name = "biases of experts", .row = bias_rows };

/* in d, order; a task is an expert that was chosen */
static size_t bias_tasks(const op_call *c) { return c->rows > 0 ? order_of(c, 1, c->rows).active : 0; }

static void bias_weight(const op_call *c, size_t task, void *scratch) {
    (void)scratch;
    const expert_order o = order_of(c, 1, c->rows);
    const size_t cols = c->in_cols[0];
    float *sum = c->node->gradient[0] + o.experts[task] * cols;
    for (size_t r = o.start[task]; r < o.start[task + 1]; r++) rows_get()->add(sum, in_row(c, 0, r), sum, cols);
}
const graph_op_row op_expert_bias_weight = { .name = "gradient of experts' biases", .tasks = bias_tasks,
                                             .run = bias_weight, .kept = true };
