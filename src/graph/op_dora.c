/* Lengths of the rows of w + scale up down (DoRA, arXiv 2402.09353), as [rows] floats. */
#include "graph/op.h"

#include "codecs/codec.h"
#include "kernels/rows/backward.h"

#include <math.h>

enum { LENGTH_ROWS = 16 /* of a task */ };

static size_t lengths_bytes(const graph_node *n, const graph_plan *p) {
    (void)p;
    return n->w[0]->rows * sizeof(float);
}

static size_t lengths_scratch(const graph_node *n, const graph_plan *p) {
    (void)p;
    return n->w[0]->cols * sizeof(float);
}

static size_t lengths_tasks(const op_call *c) { return (c->node->w[0]->rows + LENGTH_ROWS - 1) / LENGTH_ROWS; }

static void lengths(const op_call *c, size_t task, void *scratch) {
    const graph_weight *w = c->node->w[0], *down = c->node->u.dora.down, *up = c->node->u.dora.up;
    float *row = scratch;
    for (size_t r = task * LENGTH_ROWS; r < w->rows && r < (task + 1) * LENGTH_ROWS; r++) {
        (void)codec_convert(w->dtype, TOLA_DTYPE_F32, (const uint8_t *)w->data[0] + r * w->row_bytes, row, w->cols,
                            TOLA_OVERFLOW_IEEE, NULL);
        const float *factors = (const float *)(const void *)((const uint8_t *)up->data[0] + r * up->row_bytes);
        for (size_t j = 0; j < down->rows; j++)
            rows_get()->accumulate(c->node->u.dora.scale * factors[j],
                                   (const float *)(const void *)((const uint8_t *)down->data[0] + j * down->row_bytes),
                                   row, w->cols);
        ((float *)c->out)[r] = sqrtf(rows_dot(row, row, w->cols));
    }
}

const graph_op_row op_dora_lengths = { .name = "lengths of dora", .bytes = lengths_bytes, .scratch = lengths_scratch,
                                       .tasks = lengths_tasks, .run = lengths };
