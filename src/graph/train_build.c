/* What only training graphs have: nodes that the calls of graph.h append there, inputs, losses, images, DoRA. */
#include "graph/build.h"

#include "codecs/codec.h"

#include <math.h>

/* ---- products ---- */

graph_value train_largest(graph *g, const graph_weight *w, graph_value x) {
    const graph_op op = x == GRAPH_NONE ? OP_LARGEST_WEIGHT : OP_LARGEST;
    for (graph_value v = g->count; x != GRAPH_NONE && v-- > x + 1;)
        if (g->nodes[v].op == op && g->nodes[v].in[0] == x) return v;
    graph_node n = build_over(g, op, x == GRAPH_NONE ? 0 : 1, x);
    n.w[0] = w;
    return build_add(g, &n);
}

graph_value train_part(graph *g, graph_value whole, uint32_t part) {
    if (graph_failed(g)) return GRAPH_NONE;
    const graph_node *from = &g->nodes[whole];
    graph_node n = build_over(g, OP_PART, op_table[from->op]->part_cols(from, part), whole);
    n.u.part = part;
    return build_add(g, &n);
}

static bool decodes(graph *g, const graph_weight *w) {
    if (codec_decodes(w->dtype)) return true;
    graph_fail(g, TOLA_E_UNSUPPORTED, "linear: no products with '%s' of %s", w->name, tola_dtype_name(w->dtype));
    return false;
}

graph_value train_linear(graph *g, const graph_weight *w, const graph_weight *bias, graph_value x) {
    if (!decodes(g, w)) return GRAPH_NONE;
    graph_value begin = GRAPH_NONE;
    if (bias) {
        graph_node n = build_over(g, OP_BIAS_ROWS, (uint32_t)w->rows, x);
        n.in[0] = GRAPH_NONE;
        n.w[0] = bias;
        begin = build_add(g, &n);
    }
    const graph_value large_x = train_largest(g, NULL, x), large_w = train_largest(g, w, GRAPH_NONE);
    graph_node n = build_over(g, OP_MATMUL, (uint32_t)w->rows, x);
    n.in[1] = begin;
    n.in[2] = large_x;
    n.in[3] = large_w;
    n.w[0] = w;
    return build_add(g, &n);
}

graph_value train_attend(graph *g, const graph_attention *a, graph_value q, graph_value k, graph_value v) {
    graph_node n = build_over(g, OP_SELF_ATTEND, 0, q);
    n.in[1] = k;
    n.in[2] = v;
    n.w[0] = a->sinks;
    n.u.attend.a = *a;
    return train_part(g, build_add(g, &n), 0);
}

/* Experts' rows lie sorted; those of x, where it has a row for each token, are put there first. */
graph_value train_expert_linear(graph *g, const graph_weight *w, const graph_weight *bias, bool weigh_input,
                                graph_value route, graph_value x) {
    if (!decodes(g, w)) return GRAPH_NONE;
    const uint32_t used = g->nodes[route].u.route.used;
    graph_value rows = x;
    if (!g->nodes[x].by_expert) {
        rows = GRAPH_NONE;
        for (graph_value v = g->count; v-- > x + 1 && rows == GRAPH_NONE;) {
            const graph_node *p = &g->nodes[v];
            if (p->op == OP_EXPERT_GATHER && p->in[0] == x && p->in[1] == route && p->u.expert.weigh == weigh_input)
                rows = v;
        }
    } else if (weigh_input) {
        graph_fail(g, TOLA_E_UNSUPPORTED, "experts: rows that are the experts' own are not weighed in training");
        return GRAPH_NONE;
    }
    if (rows == GRAPH_NONE) {
        graph_node n = build_over(g, OP_EXPERT_GATHER, g->nodes[x].cols, x);
        n.by_expert = true;
        n.per_token = used;
        n.in[1] = route;
        n.in[2] = route + 1;
        n.u.expert.weigh = weigh_input;
        rows = build_add(g, &n);
    }
    graph_value begin = GRAPH_NONE;
    if (bias && !graph_failed(g)) {
        graph_node n = build_over(g, OP_EXPERT_BIAS_ROWS, (uint32_t)w->rows, rows);
        n.in[0] = route;
        n.in[1] = route + 1;
        n.w[0] = bias;
        begin = build_add(g, &n);
    }
    const graph_value large_x = train_largest(g, NULL, rows), large_w = train_largest(g, w, GRAPH_NONE);
    if (graph_failed(g)) return GRAPH_NONE;
    graph_node n = build_over(g, OP_EXPERT_MATMUL, (uint32_t)w->rows, rows);
    n.in[1] = begin;
    n.in[2] = large_x;
    n.in[3] = large_w;
    n.in[4] = route + 1;
    n.w[0] = w;
    return build_add(g, &n);
}

/* ---- inputs, dropout ---- */

static bool in_training(graph *g, const char *op) {
    if (!g->training) graph_fail(g, TOLA_E_ARG, "%s: in training graphs only", op);
    return !graph_failed(g);
}

graph_value graph_input(graph *g, uint32_t cols) {
    if (!in_training(g, "input") || !build_expect(g, cols > 0, "input", "columns", cols, 1)) return GRAPH_NONE;
    graph_node n = build_over(g, OP_INPUT, cols, GRAPH_NONE);
    return build_add(g, &n);
}

graph_value graph_dropout(graph *g, float p, graph_value x) {
    if (!in_training(g, "dropout") || !build_given(g, "dropout", x)) return GRAPH_NONE;
    if (!(p >= 0 && p < 1)) graph_fail(g, TOLA_E_FORMAT, "dropout: probability %g", (double)p);
    graph_node n = build_over(g, OP_DROPOUT, g->nodes[x].cols, x);
    n.u.dropout.p = p;
    n.u.dropout.id = g->count; /* of the forward: its copies and gradients drop the same */
    return build_add(g, &n);
}

/* ---- losses ---- */

static graph_value loss(graph *g, graph_op op, const char *name, float factor, graph_value x) {
    if (!in_training(g, name) || !build_given(g, name, x)) return GRAPH_NONE;
    if (!build_expect(g, g->nodes[x].per_token == 1, name, "rows a token", g->nodes[x].per_token, 1)) return GRAPH_NONE;
    graph_node n = build_over(g, op, op_table[op]->part_cols ? 0 : 1, x);
    n.u.loss.factor = factor;
    const graph_value v = build_add(g, &n);
    return op_table[op]->part_cols ? train_part(g, v, 0) : v;
}

graph_value graph_cross_entropy(graph *g, float smoothing, graph_value logits) {
    if (!(smoothing >= 0 && smoothing < 1))
        graph_fail(g, TOLA_E_FORMAT, "cross-entropy: smoothing %g", (double)smoothing);
    return loss(g, OP_CROSS_ENTROPY, "cross-entropy", smoothing, logits);
}

graph_value graph_squared_error(graph *g, graph_value x) { return loss(g, OP_SQUARED_ERROR, "squared error", 0, x); }

graph_value graph_divergence(graph *g, float temperature, graph_value logits) {
    if (!(temperature > 0 && isfinite(temperature)))
        graph_fail(g, TOLA_E_FORMAT, "divergence: temperature %g", (double)temperature);
    return loss(g, OP_DIVERGENCE, "divergence", temperature, logits);
}

/* ---- images ---- */

/* Columns of an image; 0 where there is none. */
static uint32_t image_cols(graph *g, const char *op, const graph_image *i) {
    uint64_t cols;
    if (mul_u64(i->channels, (uint64_t)i->height * i->width, &cols) && cols > 0 && cols < UINT32_MAX)
        return (uint32_t)cols;
    graph_fail(g, TOLA_E_LIMIT, "%s: images of %u x %u x %u", op, i->channels, i->height, i->width);
    return 0;
}

graph_value graph_convolve(graph *g, const graph_image *image, uint32_t size, uint32_t stride, uint32_t pad,
                           const graph_weight *w, const graph_weight *bias, graph_value x) {
    const char *op = "convolution";
    if (!in_training(g, op) || !build_given(g, op, x) || !build_fits(g, op, w) || !decodes(g, w)) return GRAPH_NONE;
    const uint32_t cols = image_cols(g, op, image);
    if (cols == 0 || !build_expect(g, g->nodes[x].cols == cols, op, "columns", g->nodes[x].cols, cols))
        return GRAPH_NONE;
    const uint64_t around = 2 * (uint64_t)pad, high = image->height + around, wide = image->width + around;
    if (!build_expect(g, size > 0 && size <= high && size <= wide && stride > 0 && pad < size, op, "size", size, high))
        return GRAPH_NONE;
    const uint64_t patch = (uint64_t)image->channels * size * size;
    if (!build_expect(g, w->parts == 1 && w->cols == patch, op, "columns of weights", w->cols, patch))
        return GRAPH_NONE;
    if (bias && !build_vector(g, op, bias, w->rows)) return GRAPH_NONE;
    const graph_image to = { (uint32_t)w->rows, (uint32_t)((high - size) / stride + 1),
                             (uint32_t)((wide - size) / stride + 1) };
    const uint32_t out = image_cols(g, op, &to);
    if (out == 0) return GRAPH_NONE;
    graph_node n = build_over(g, OP_CONVOLVE, out, x);
    n.w[0] = w;
    n.w[1] = bias;
    n.u.image.image = *image;
    n.u.image.size = size;
    n.u.image.stride = stride;
    n.u.image.pad = pad;
    return build_add(g, &n);
}

graph_value graph_pool_max(graph *g, const graph_image *image, uint32_t size, graph_value x) {
    const char *op = "pooling";
    if (!in_training(g, op) || !build_given(g, op, x)) return GRAPH_NONE;
    const uint32_t cols = image_cols(g, op, image);
    if (cols == 0 || !build_expect(g, g->nodes[x].cols == cols, op, "columns", g->nodes[x].cols, cols))
        return GRAPH_NONE;
    if (!build_expect(g, size > 0 && size <= image->height && size <= image->width, op, "size", size, image->height))
        return GRAPH_NONE;
    graph_node n = build_over(g, OP_POOL_MAX, image->channels * (image->height / size) * (image->width / size), x);
    n.u.image.image = *image;
    n.u.image.size = size;
    return build_add(g, &n);
}

/* ---- DoRA ---- */

graph_value graph_dora(graph *g, const graph_weight *w, const graph_weight *down, const graph_weight *up, float scale,
                       const graph_weight *magnitude, const graph_weight *bias, graph_value x_product,
                       graph_value x_change) {
    const char *op = "dora";
    if (!in_training(g, op) || !build_given(g, op, x_product) || !build_given(g, op, x_change)) return GRAPH_NONE;
    if (!build_same_rows(g, op, x_product, x_change) || !build_fits(g, op, w) || !decodes(g, w)) return GRAPH_NONE;
    const graph_weight *all[] = { w, down, up };
    for (int i = 0; i < 3; i++)
        if (!build_expect(g, all[i]->parts == 1, op, "parts", all[i]->parts, 1)) return GRAPH_NONE;
    if (!build_expect(g, down->dtype == TOLA_DTYPE_F32 && down->cols == w->cols, op, "columns", down->cols, w->cols) ||
        !build_expect(g, up->dtype == TOLA_DTYPE_F32 && up->rows == w->rows, op, "rows", up->rows, w->rows) ||
        !build_expect(g, up->cols == down->rows, op, "rank", up->cols, down->rows))
        return GRAPH_NONE;
    const uint32_t cols = g->nodes[x_product].cols;
    if (!build_expect(g, cols == w->rows, op, "columns", cols, w->rows) ||
        !build_expect(g, g->nodes[x_change].cols == cols, op, "columns", g->nodes[x_change].cols, cols) ||
        !build_vector(g, op, magnitude, cols) || (bias && !build_vector(g, op, bias, cols)))
        return GRAPH_NONE;
    graph_node n = build_over(g, OP_DORA_LENGTHS, 0, GRAPH_NONE);
    n.w[0] = w;
    n.u.dora.down = down;
    n.u.dora.up = up;
    n.u.dora.scale = scale;
    const graph_value lengths = build_add(g, &n);
    n = build_over(g, OP_DORA, cols, x_product);
    n.in[1] = x_change;
    n.in[2] = lengths;
    n.w[0] = magnitude;
    n.w[1] = bias;
    return build_add(g, &n);
}
