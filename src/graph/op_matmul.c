/* Products of training graphs: y = begin + x W^T, x' = y' W, W' += y'^T x, by kernels/gemm.
 *
 * What is added to, lies where the result will (the plan sees to it). With simulated fp8 both operands are scaled so
 * that their largest element is the type's largest, weights and activations in e4m3, gradients in e5m2 (arXiv
 * 2209.05433). */
#include "graph/op.h"
#include "graph/products.h"

#include "codecs/codec.h"
#include "kernels/rows/backward.h"
#include "kernels/rows/rows.h"

#include <math.h>
#include <string.h>

/* ---- what products share ---- */

gemm_operand product_rows(const op_call *c, int input, bool transposed) {
    return (gemm_operand){ .data = c ? c->in[input] : NULL,
                           .row_bytes = c ? c->in_cols[input] * sizeof(float) : 0,
                           .dtype = TOLA_DTYPE_F32,
                           .transposed = transposed,
                           .round = TOLA_DTYPE_NONE,
                           .scale = 1 };
}

gemm_operand product_weight(const graph_weight *w, size_t part, bool transposed) {
    return (gemm_operand){ .data = w->data[part], .row_bytes = w->row_bytes, .dtype = w->dtype,
                           .transposed = transposed, .round = TOLA_DTYPE_NONE, .scale = 1 };
}

gemm_precision product_precision(const graph_plan *p) { return p->precision == GRAPH_BF16 ? GEMM_BF16 : GEMM_F32; }

void product_round(const op_call *c, gemm_operand *o, int largest, bool gradient) {
    if (c->plan->precision != GRAPH_FP8) return;
    const graph_node *from = &c->plan->g->nodes[c->node->in[largest]];
    const size_t n = from->op == OP_LARGEST_WEIGHT
                         ? (size_t)from->w[0]->rows * from->w[0]->parts
                         : node_rows(from, c->batch->tokens, c->batch->output_count);
    const float most = rows_largest(c->in[largest], n);
    o->round = gradient ? TOLA_DTYPE_F8_E5M2 : TOLA_DTYPE_F8_E4M3;
    o->scale = most > 0 && isfinite(most) ? (gradient ? 57344.0f : 448.0f) / most : 1;
}

size_t product_scratch(const gemm_problem *p, unsigned threads) {
    gemm_problem one = *p;
    const size_t many = gemm_scratch_bytes(p, threads);
    one.m = p->m > 0 ? 1 : 0;
    const size_t few = gemm_scratch_bytes(&one, threads);
    one = *p;
    one.k = p->k > 0 ? 1 : 0;
    const size_t thin = gemm_scratch_bytes(&one, threads);
    const size_t most = many > few ? many : few;
    return most > thin ? most : thin;
}

/* ---- the three products ---- */

/* Sizes and types alone where c is NULL. */
static gemm_problem problem(const graph_node *n, const graph_plan *p, const op_call *c, size_t rows) {
    const graph_weight *w = n->w[0];
    const bool forward = n->op == OP_MATMUL, weight = n->op == OP_MATMUL_WEIGHT;
    gemm_problem q = { .m = weight ? w->rows : rows,
                       .n = forward ? w->rows : w->cols,
                       .k = weight ? rows : forward ? w->cols : w->rows,
                       .a = product_rows(c, 0, weight),
                       .b = weight ? product_rows(c, 1, false) : product_weight(w, 0, forward),
                       .precision = product_precision(p),
                       .accumulate = weight || n->in[1] != GRAPH_NONE };
    q.c_stride = q.n;
    if (p->precision == GRAPH_FP8) { /* the types alone decide how it is cut */
        q.a.round = forward ? TOLA_DTYPE_F8_E4M3 : TOLA_DTYPE_F8_E5M2;
        q.b.round = TOLA_DTYPE_F8_E4M3;
    }
    return q;
}

static size_t matmul_scratch(const graph_node *n, const graph_plan *p) {
    const gemm_problem q = problem(n, p, NULL, node_rows_most(n, p));
    return product_scratch(&q, p->threads);
}

static size_t matmul_tasks(const op_call *c) {
    const gemm_problem q = problem(c->node, c->plan, c, c->rows);
    return c->rows == 0 ? 0 : gemm_tasks(&q, c->plan->threads);
}

static void matmul(const op_call *c, size_t task, void *scratch) {
    gemm_problem q = problem(c->node, c->plan, c, c->rows);
    q.c = c->node->gradient ? c->node->gradient[0] : c->out;
    product_round(c, &q.a, 2, c->node->op != OP_MATMUL);
    product_round(c, &q.b, 3, false);
    gemm_run(&q, c->plan->threads, task, scratch);
}

const graph_op_row op_matmul = { .name = "product", .scratch = matmul_scratch, .tasks = matmul_tasks, .run = matmul };
const graph_op_row op_matmul_back = { .name = "gradient of a product", .scratch = matmul_scratch,
                                      .tasks = matmul_tasks, .run = matmul };
const graph_op_row op_matmul_weight = { .name = "gradient of weights", .scratch = matmul_scratch,
                                        .tasks = matmul_tasks, .run = matmul, .kept = true };

static void bias_rows(const op_call *c, size_t r, float *y) {
    (void)r;
    memcpy(y, c->node->w[0]->data[0], c->cols * sizeof *y);
}
const graph_op_row op_bias_rows = { .name = "bias", .row = bias_rows };

/* ---- largest elements ---- */

static void largest(const op_call *c, size_t r, float *y) { *y = rows_largest(in_row(c, 0, r), c->in_cols[0]); }
const graph_op_row op_largest = { .name = "largest", .row = largest };

static size_t largest_weight_bytes(const graph_node *n, const graph_plan *p) {
    (void)p;
    size_t rows, bytes;
    return mul_u64(n->w[0]->rows, n->w[0]->parts, &rows) && mul_u64(rows, sizeof(float), &bytes) ? bytes : SIZE_MAX;
}

static size_t largest_weight_scratch(const graph_node *n, const graph_plan *p) {
    (void)p;
    return n->w[0]->cols * sizeof(float);
}

enum { WEIGHT_ROWS = 64 /* of a task */ };

static size_t largest_weight_tasks(const op_call *c) {
    const graph_weight *w = c->node->w[0];
    return (w->rows * w->parts + WEIGHT_ROWS - 1) / WEIGHT_ROWS;
}

static void largest_weight(const op_call *c, size_t task, void *scratch) {
    const graph_weight *w = c->node->w[0];
    const size_t end = (task + 1) * WEIGHT_ROWS;
    for (size_t r = task * WEIGHT_ROWS; r < end && r < w->rows * w->parts; r++) {
        (void)codec_convert(w->dtype, TOLA_DTYPE_F32,
                            (const uint8_t *)w->data[r / w->rows] + r % w->rows * w->row_bytes, scratch, w->cols,
                            TOLA_OVERFLOW_IEEE, NULL);
        ((float *)c->out)[r] = rows_largest(scratch, w->cols);
    }
}
const graph_op_row op_largest_weight = { .name = "largest weight", .bytes = largest_weight_bytes,
                                         .scratch = largest_weight_scratch, .tasks = largest_weight_tasks,
                                         .run = largest_weight };
