/* Embeddings and products with weights. */
#include "graph/op.h"

#include "codecs/codec.h"
#include "graph/gather.h"
#include "kernels/rows/rows.h"

/* ---- rows of tables ---- */

static void take_row(const op_call *c, uint64_t row, float *y) {
    const graph_weight *w = c->node->w[0];
    /* every type that a product takes has a way to f32 */
    (void)codec_convert(w->dtype, TOLA_DTYPE_F32, (const uint8_t *)w->data[0] + row * w->row_bytes, y, w->cols,
                        TOLA_OVERFLOW_IEEE, NULL);
    if (c->node->u.embed.factor != 1) rows_get()->scale(c->node->u.embed.factor, y, y, c->cols);
}

static void embed(const op_call *c, size_t r, float *y) { take_row(c, c->batch->ids[r], y); }
const graph_op_row op_embed = { .name = "embedding", .row = embed };

static void embed_position(const op_call *c, size_t r, float *y) {
    take_row(c, (uint64_t)c->batch->positions[r] + c->node->u.embed.row, y);
}
const graph_op_row op_embed_position = { .name = "embedding of positions", .row = embed_position };

static void embed_constant(const op_call *c, size_t r, float *y) {
    (void)r;
    take_row(c, c->node->u.embed.row, y);
}
const graph_op_row op_embed_constant = { .name = "embedding of a segment", .row = embed_constant };

/* ---- rows as products take them ---- */

static size_t prepare_bytes(const graph_node *n, const graph_plan *p) {
    const size_t bytes = matmul_prepared_bytes(n->w[0]->dtype, n->w[0]->cols, node_rows_most(n, p));
    return bytes == 0 ? SIZE_MAX : bytes;
}

static size_t prepare_scratch(const graph_node *n, const graph_plan *p) {
    return p->inlined[n->in[0]] ? n->w[0]->cols * MATMUL_TOKENS * sizeof(float) : 0;
}

static size_t prepare_tasks(const op_call *c) { return (c->rows + MATMUL_TOKENS - 1) / MATMUL_TOKENS; }

static void prepare(const op_call *c, size_t task, void *scratch) {
    const size_t k = c->in_cols[0], first = task * MATMUL_TOKENS, left = c->rows - first;
    const size_t count = left < MATMUL_TOKENS ? left : MATMUL_TOKENS;
    const float *x = c->in[0];
    if (c->inlined) {
        for (size_t i = 0; i < count; i++)
            op_table[c->inlined->node->op]->row(c->inlined, first + i, (float *)scratch + i * k);
        x = matmul_row_zero(scratch, first, k);
    }
    matmul_prepare(c->node->w[0]->dtype, x, k, k, c->rows, first, count, c->out);
}
const graph_op_row op_prepare = { .name = "prepared rows", .bytes = prepare_bytes, .scratch = prepare_scratch,
                                  .tasks = prepare_tasks, .run = prepare };

/* ---- y = W x (+ b) (+ z): in[0] is x prepared, in[1] z or nothing ---- */

size_t op_product_scratch(const graph_node *n, const graph_plan *p) {
    const size_t most = node_rows_most(n, p);
    const size_t many = matmul_scratch_bytes(n->w[0]->dtype, n->w[0]->cols, most);
    const size_t one = matmul_scratch_bytes(n->w[0]->dtype, n->w[0]->cols, 1);
    return many > one ? many : one;
}

/* Rows of weights in one task. One token: two runs a thread, as each begins with waiting for the memory; short ones
 * cost a fifth of its speed. Many: so that every thread gets a few, as the work on a row is long. */
static size_t rows_at_once(const op_call *c) {
    const graph_weight *w = c->node->w[0];
    const bool one = c->rows == 1;
    const size_t most = one ? ((size_t)4 << 20) / w->row_bytes : 512;
    const size_t unit = one ? matmul_streams(w->dtype) : MATMUL_ROWS;
    size_t rows = w->rows / ((one ? 2 : 4) * (size_t)c->plan->threads);
    if (rows > most) rows = most;
    rows /= unit;
    if (one) rows |= 1;
    return rows > 0 ? rows * unit : unit;
}

static size_t linear_tasks(const op_call *c) {
    const size_t at_once = rows_at_once(c);
    return c->rows == 0 ? 0 : (c->node->w[0]->rows + at_once - 1) / at_once;
}

static void linear(const op_call *c, size_t task, void *scratch) {
    const graph_weight *w = c->node->w[0], *bias = c->node->w[1];
    const size_t at_once = rows_at_once(c), first = task * at_once;
    const size_t count = w->rows - first < at_once ? w->rows - first : at_once;
    matmul_rows(w->dtype, w->data[0], w->row_bytes, w->cols, c->in[0], c->rows, c->out, c->cols, first, count, scratch);
    for (size_t r = 0; r < c->rows && (bias || c->in[1]); r++) {
        float *y = (float *)c->out + r * c->cols + first;
        if (bias) rows_get()->add(y, (const float *)bias->data[0] + first, y, count);
        if (c->in[1]) rows_get()->add(y, in_row(c, 1, r) + first, y, count);
    }
}

static bool linear_ask(const op_call *c, size_t task, size_t step) {
    const graph_weight *w = c->node->w[0];
    const size_t at_once = rows_at_once(c), first = task * at_once;
    return c->rows == 1 && matmul_ask(w->dtype, w->data[0], w->row_bytes, first,
                                      w->rows - first < at_once ? w->rows - first : at_once, step);
}
const graph_op_row op_linear = { .name = "linear", .scratch = op_product_scratch, .tasks = linear_tasks,
                                 .run = linear, .ask = linear_ask };
