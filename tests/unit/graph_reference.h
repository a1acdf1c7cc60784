/* What a training graph's forward computes, in double, by plain loops: the sum of its losses, with one element of one
 * weight moved by a little. For finite differences. */
#ifndef UNIT_GRAPH_REFERENCE_H
#define UNIT_GRAPH_REFERENCE_H

#include "codecs/codec.h"
#include "graph/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct reference {
    const graph *g;
    const graph_batch *b;
    const float *moved; /* an element of a weight */
    double by;
    double **values;    /* of each node; experts' rows in the order of slots */
    size_t *rows;
} reference;

static double reference_element(const reference *f, const graph_weight *w, size_t part, size_t row, size_t col) {
    const uint8_t *at = (const uint8_t *)w->data[part] + row * w->row_bytes;
    if (w->dtype == TOLA_DTYPE_F32) {
        const float *x = (const float *)(const void *)at + col;
        return (double)*x + (x == f->moved ? f->by : 0);
    }
    float *all = malloc(w->cols * sizeof *all);
    if (!all || codec_convert(w->dtype, TOLA_DTYPE_F32, at, all, w->cols, TOLA_OVERFLOW_IEEE, NULL) != TOLA_OK) abort();
    const double x = (double)all[col];
    free(all);
    return x;
}

static double reference_function(uint8_t f, double x) {
    switch (f) {
    case GRAPH_SILU: return x / (1 + exp(-x));
    case GRAPH_GELU: return x / 2 * (1 + erf(x / sqrt(2)));
    case GRAPH_GELU_TANH: return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case GRAPH_RELU: return x > 0 ? x : 0;
    case GRAPH_RELU2: return x > 0 ? x * x : 0;
    case GRAPH_SIGMOID: return 1 / (1 + exp(-x));
    default: return tanh(x);
    }
}

static void reference_norm(const reference *f, const graph_node *n, const double *x, double *y) {
    const size_t group = n->u.norm.group;
    for (size_t at = 0; at < n->cols; at += group) {
        double mean = 0, square = 0;
        for (size_t i = 0; n->op == OP_LAYER_NORM && i < group; i++) mean += x[at + i] / (double)group;
        for (size_t i = 0; i < group; i++) square += (x[at + i] - mean) * (x[at + i] - mean) / (double)group;
        for (size_t i = 0; i < group; i++) {
            const size_t col = n->w[0] ? (at + i) % n->w[0]->cols : 0;
            y[at + i] = (x[at + i] - mean) / sqrt(square + (double)n->u.norm.eps);
            if (n->op == OP_LAYER_NORM)
                y[at + i] = y[at + i] * reference_element(f, n->w[0], 0, 0, col) +
                            (n->w[1] ? reference_element(f, n->w[1], 0, 0, col) : 0);
            else if (n->w[0])
                y[at + i] *= reference_element(f, n->w[0], 0, 0, col) + (double)n->u.norm.offset;
        }
    }
}

static void reference_attend(const reference *f, const graph_node *n, double *y) {
    const graph_attention *a = &n->u.attend.a;
    const graph_batch *b = f->b;
    const double *q = f->values[n->in[0]], *k = f->values[n->in[1]], *v = f->values[n->in[2]];
    for (size_t i = 0; i < b->tokens; i++)
        for (size_t h = 0; h < a->heads; h++) {
            const size_t kv = h / (a->heads / a->kv_heads);
            const size_t first = b->learn->first ? b->learn->first[i] : 0;
            double *p = calloc(b->tokens, sizeof *p), sum = 0, most = -INFINITY;
            if (!p) abort();
            if (a->sinks) most = reference_element(f, a->sinks, 0, 0, h);
            for (size_t j = 0; j < b->tokens; j++) {
                const uint32_t at = b->positions[i], to = b->positions[j];
                bool sees = (b->learn->first ? b->learn->first[j] : 0) == first && (a->bidirectional || j <= i);
                if (!a->bidirectional && a->window > 0 && at - to >= a->window) sees = false;
                if (!a->bidirectional && a->chunk > 0 && at / a->chunk != to / a->chunk) sees = false;
                p[j] = -INFINITY;
                if (!sees) continue;
                double s = 0;
                for (size_t d = 0; d < a->key_dim; d++)
                    s += q[(i * a->heads + h) * a->key_dim + d] * k[(j * a->kv_heads + kv) * a->key_dim + d];
                s *= (double)a->scale;
                if (a->softcap > 0) s = (double)a->softcap * tanh(s / (double)a->softcap);
                p[j] = s;
                most = fmax(most, s);
            }
            if (a->sinks) sum = exp(reference_element(f, a->sinks, 0, 0, h) - most);
            for (size_t j = 0; j < b->tokens; j++) sum += p[j] = exp(p[j] - most);
            for (size_t d = 0; d < a->value_dim; d++) {
                double *to = &y[(i * a->heads + h) * a->value_dim + d];
                for (size_t j = 0; j < b->tokens; j++)
                    *to += p[j] / sum * v[(j * a->kv_heads + kv) * a->value_dim + d];
            }
            free(p);
        }
}

static void reference_route(const reference *f, const graph_node *n, const double *x, double *y) {
    const graph_routing *r = &n->u.route;
    const size_t experts = f->g->nodes[n->in[0]].cols;
    double t[64], worth[64], sum = 0;
    bool left[64];
    for (size_t e = 0; e < experts; e++) sum += exp(x[e]);
    for (size_t e = 0; e < experts; e++) {
        t[e] = r->softmax_chosen ? x[e] : r->sigmoid ? 1 / (1 + exp(-x[e])) : exp(x[e]) / sum;
        worth[e] = t[e] + (r->bias ? reference_element(f, r->bias, 0, 0, e) : 0);
        left[e] = r->groups == 0;
    }
    for (uint32_t k = 0; k < r->groups_used; k++) { /* the best groups */
        const size_t size = experts / r->groups;
        double best = -INFINITY;
        size_t which = 0;
        for (size_t group = 0; group < r->groups; group++) {
            double first = -INFINITY, second = -INFINITY;
            if (left[group * size]) continue;
            for (size_t e = group * size; e < (group + 1) * size; e++) {
                if (worth[e] > first) second = first, first = worth[e];
                else if (worth[e] > second) second = worth[e];
            }
            const double value = r->group_by_top2 && size > 1 ? first + second : first;
            if (value > best) best = value, which = group;
        }
        for (size_t e = which * size; e < (which + 1) * size; e++) left[e] = true;
    }
    sum = 0;
    for (size_t j = 0; j < r->used; j++) {
        size_t best = experts;
        for (size_t e = 0; e < experts; e++)
            if (left[e] && (best == experts || worth[e] > worth[best])) best = e;
        left[best] = false;
        y[j] = r->softmax_chosen ? exp(t[best]) : t[best];
        y[r->used + j] = (double)best;
        sum += y[j];
    }
    for (size_t j = 0; j < r->used; j++) y[j] *= (double)r->scale / (r->normalize || r->softmax_chosen ? sum : 1);
}

static void reference_convolve(const reference *f, const graph_node *n, const double *x, double *y) {
    const graph_image *i = &n->u.image.image;
    const long size = n->u.image.size, stride = n->u.image.stride, pad = n->u.image.pad;
    const long high = ((long)i->height + 2 * pad - size) / stride + 1;
    const long wide = ((long)i->width + 2 * pad - size) / stride + 1;
    for (long filter = 0; filter < (long)n->w[0]->rows; filter++)
        for (long row = 0; row < high; row++)
            for (long col = 0; col < wide; col++) {
                double sum = n->w[1] ? reference_element(f, n->w[1], 0, 0, (size_t)filter) : 0;
                for (long c = 0; c < (long)i->channels; c++)
                    for (long dy = 0; dy < size; dy++)
                        for (long dx = 0; dx < size; dx++) {
                            const long r = row * stride + dy - pad, q = col * stride + dx - pad;
                            if (r < 0 || q < 0 || r >= (long)i->height || q >= (long)i->width) continue;
                            const size_t at = (size_t)((c * size + dy) * size + dx);
                            sum += x[(c * i->height + r) * i->width + q] *
                                   reference_element(f, n->w[0], 0, (size_t)filter, at);
                        }
                y[(filter * high + row) * wide + col] = sum;
            }
}

static void reference_pool(const graph_node *n, const double *x, double *y) {
    const graph_image *i = &n->u.image.image;
    const size_t size = n->u.image.size, high = i->height / size, wide = i->width / size;
    for (size_t c = 0; c < i->channels; c++)
        for (size_t row = 0; row < high; row++)
            for (size_t col = 0; col < wide; col++) {
                double most = -INFINITY;
                for (size_t k = 0; k < size * size; k++)
                    most = fmax(most, x[(c * i->height + row * size + k / size) * i->width + col * size + k % size]);
                *y++ = most;
            }
}

/* The factors of dropout are what the operation makes of ones. */
static void reference_dropout(const reference *f, const graph_node *n, size_t rows, const double *x, double *y) {
    float *one = malloc((rows + 1) * n->cols * sizeof *one), *factor = one + rows * n->cols;
    if (!one) abort();
    for (size_t i = 0; i < rows * n->cols; i++) one[i] = 1;
    const op_call c = {
        .node = n, .batch = f->b, .in = { one }, .rows = rows, .cols = n->cols, .in_cols = { n->cols }
    };
    for (size_t r = 0; r < rows; r++) {
        op_dropout.row(&c, r, factor);
        for (size_t i = 0; i < n->cols; i++) y[r * n->cols + i] = x[r * n->cols + i] * (double)factor[i];
    }
    free(one);
}

static void reference_dora(const reference *f, const graph_node *n, const double *a, const double *b, double *y) {
    const graph_node *lengths = &f->g->nodes[n->in[2]];
    const reference still = { .g = f->g, .b = f->b }; /* lengths are constants */
    for (size_t i = 0; i < n->cols; i++) {
        double square = 0;
        for (size_t k = 0; k < lengths->w[0]->cols; k++) {
            double x = reference_element(&still, lengths->w[0], 0, i, k);
            for (size_t j = 0; j < lengths->u.dora.down->rows; j++)
                x += (double)lengths->u.dora.scale * reference_element(&still, lengths->u.dora.up, 0, i, j) *
                     reference_element(&still, lengths->u.dora.down, 0, j, k);
            square += x * x;
        }
        y[i] = reference_element(f, n->w[0], 0, 0, i) / sqrt(square) * (a[i] + b[i]) +
               (n->w[1] ? reference_element(f, n->w[1], 0, 0, i) : 0);
    }
}

static double reference_loss(const reference *f, const graph_node *n, size_t r, const double *x) {
    const graph_learn_batch *l = f->b->learn;
    const size_t cols = f->g->nodes[n->in[0]].cols;
    const double factor = (double)n->u.loss.factor;
    double sum = 0, loss = 0;
    if (l->row_weights[r] == 0) return 0;
    if (n->op == OP_SQUARED_ERROR) {
        for (size_t i = 0; i < cols; i++) loss += pow(x[i] - (double)l->wanted[r * cols + i], 2) / (double)cols;
    } else if (n->op == OP_CROSS_ENTROPY) {
        for (size_t i = 0; i < cols; i++) sum += exp(x[i]);
        for (size_t i = 0; i < cols; i++)
            loss += (log(sum) - x[i]) * ((i == l->targets[r] ? 1 - factor : 0) + factor / (double)cols);
    } else {
        const size_t top = l->reference_ids ? l->reference_top : cols;
        double all_p = 0;
        for (size_t i = 0; i < top; i++) {
            all_p += exp((double)l->reference[r * top + i]);
            sum += exp(x[l->reference_ids ? l->reference_ids[r * top + i] : i] / factor);
        }
        for (size_t i = 0; i < top; i++) {
            const double p = exp((double)l->reference[r * top + i]) / all_p;
            const double q = exp(x[l->reference_ids ? l->reference_ids[r * top + i] : i] / factor) / sum;
            loss += factor * factor * p * log(p / q);
        }
    }
    return loss * (double)l->row_weights[r];
}

static void reference_row(const reference *f, const graph_node *n, size_t r, double *y) {
    const graph_batch *b = f->b;
    const double *in[NODE_INPUTS] = { 0 };
    size_t cols[NODE_INPUTS] = { 0 };
    for (int i = 0; i < NODE_INPUTS; i++) {
        if (n->in[i] == GRAPH_NONE) continue;
        cols[i] = f->g->nodes[n->in[i]].cols;
        in[i] = f->values[n->in[i]] ? f->values[n->in[i]] + r * cols[i] : NULL;
    }
    const size_t used = n->per_token;
    const double *route;
    switch (n->op) {
    case OP_EMBED:
    case OP_EMBED_POSITION:
    case OP_EMBED_CONSTANT: {
        const size_t row = n->op == OP_EMBED            ? b->ids[r]
                           : n->op == OP_EMBED_POSITION ? b->positions[r] + n->u.embed.row
                                                        : n->u.embed.row;
        for (size_t i = 0; i < n->cols; i++)
            y[i] = (double)n->u.embed.factor * reference_element(f, n->w[0], 0, row, i);
        break;
    }
    case OP_INPUT:
        for (size_t i = 0; i < n->cols; i++) y[i] = (double)b->learn->features[r * n->cols + i];
        break;
    case OP_BIAS_ROWS:
        for (size_t i = 0; i < n->cols; i++) y[i] = reference_element(f, n->w[0], 0, 0, i);
        break;
    case OP_MATMUL:
        for (size_t i = 0; i < n->cols; i++) {
            y[i] = in[1] ? in[1][i] : 0;
            for (size_t k = 0; k < cols[0]; k++) y[i] += in[0][k] * reference_element(f, n->w[0], 0, i, k);
        }
        break;
    case OP_RMS_NORM:
    case OP_LAYER_NORM: reference_norm(f, n, in[0], y); break;
    case OP_APPLY:
        for (size_t i = 0; i < n->cols; i++) y[i] = reference_function(n->u.apply.function, in[0][i]);
        break;
    case OP_GATED:
        for (size_t i = 0; i < n->cols; i++) {
            const double clamp = (double)n->u.apply.clamp, gate = fmin(in[0][i], clamp);
            y[i] = clamp > 0 ? gate / (1 + exp(-(double)1.702f * gate)) * (fmax(-clamp, fmin(in[1][i], clamp)) + 1)
                             : reference_function(n->u.apply.function, in[0][i]) * in[1][i];
        }
        break;
    case OP_ADD:
        for (size_t i = 0; i < n->cols; i++) y[i] = in[0][i] + in[1][i];
        break;
    case OP_MULTIPLY:
        for (size_t i = 0; i < n->cols; i++) y[i] = in[0][i] * in[1][cols[1] == 1 ? 0 : i];
        break;
    case OP_SCALE:
        for (size_t i = 0; i < n->cols; i++) y[i] = in[0][i] * (double)n->u.embed.factor;
        break;
    case OP_SOFTCAP:
        for (size_t i = 0; i < n->cols; i++)
            y[i] = (double)n->u.embed.factor * tanh(in[0][i] / (double)n->u.embed.factor);
        break;
    case OP_POSITION_SCALE:
        for (size_t i = 0; i < n->cols; i++)
            y[i] = in[0][i] * (1 + (double)n->u.position.beta *
                                       log1p(floor(((double)b->positions[r] + 1) / (double)n->u.position.span)));
        break;
    case OP_COLUMNS:
        for (size_t i = 0; i < n->cols; i++)
            y[i] = in[0][i / n->u.columns.count * n->u.columns.group + n->u.columns.first + i % n->u.columns.count];
        break;
    case OP_JOIN: {
        const size_t heads = n->u.join.heads, each = n->cols / heads, a = cols[0] / heads;
        for (size_t i = 0; i < n->cols; i++) {
            const size_t head = i / each, at = i % each;
            y[i] = at < a ? in[0][head * a + at] : in[1][(n->u.join.b_shared ? 0 : head * (each - a)) + at - a];
        }
        break;
    }
    case OP_OUTPUT_ROWS: memcpy(y, f->values[n->in[0]] + b->outputs[r] * n->cols, n->cols * sizeof *y); break;
    case OP_TURNS:
        for (size_t i = 0; i < n->cols / 2; i++) {
            const double angle = (double)((float)b->positions[r] * n->u.rope.frequency[i]);
            y[i] = cos(angle) * (double)n->u.rope.magnitude;
            y[n->cols / 2 + i] = sin(angle) * (double)n->u.rope.magnitude;
        }
        break;
    case OP_ROTATE: {
        const size_t pairs = n->u.rope.rotated / 2;
        memcpy(y, in[0], n->cols * sizeof *y);
        for (size_t head = 0; head < n->cols; head += n->u.rope.head_dim)
            for (size_t i = 0; i < pairs; i++) {
                const size_t p = head + n->u.rope.first + (n->u.rope.interleaved ? 2 * i : i);
                const size_t q = n->u.rope.interleaved ? p + 1 : p + pairs;
                y[p] = in[0][p] * in[1][i] - in[0][q] * in[1][pairs + i];
                y[q] = in[0][q] * in[1][i] + in[0][p] * in[1][pairs + i];
            }
        break;
    }
    case OP_ROUTE: reference_route(f, n, in[0], y); break;
    case OP_EXPERT_GATHER:
        route = f->values[n->in[1]] + r / used * 2 * used;
        for (size_t i = 0; i < n->cols; i++)
            y[i] = f->values[n->in[0]][r / used * n->cols + i] * (n->u.expert.weigh ? route[r % used] : 1);
        break;
    case OP_EXPERT_BIAS_ROWS:
        route = f->values[n->in[0]] + r / used * 2 * used;
        for (size_t i = 0; i < n->cols; i++) y[i] = reference_element(f, n->w[0], 0, (size_t)route[used + r % used], i);
        break;
    case OP_EXPERT_MATMUL: {
        const graph_node *sort = &f->g->nodes[n->in[4]];
        route = f->values[sort->in[0]] + r / used * 2 * used;
        for (size_t i = 0; i < n->cols; i++) {
            y[i] = in[1] ? in[1][i] : 0;
            for (size_t k = 0; k < cols[0]; k++)
                y[i] += in[0][k] * reference_element(f, n->w[0], (size_t)route[used + r % used], i, k);
        }
        break;
    }
    case OP_EXPERT_SUM:
        route = in[1];
        memset(y, 0, n->cols * sizeof *y);
        for (size_t j = 0; j < cols[1] / 2; j++)
            for (size_t i = 0; i < n->cols; i++)
                y[i] += f->values[n->in[0]][(r * cols[1] / 2 + j) * n->cols + i] * (n->u.expert.weigh ? route[j] : 1);
        break;
    case OP_CONVOLVE: reference_convolve(f, n, in[0], y); break;
    case OP_POOL_MAX: reference_pool(n, in[0], y); break;
    case OP_DORA: reference_dora(f, n, in[0], in[1], y); break;
    case OP_CROSS_ENTROPY:
    case OP_SQUARED_ERROR:
    case OP_DIVERGENCE: *y = reference_loss(f, n, r, in[0]); break;
    default: abort();
    }
}

/* The sum over rows and outputs of a graph whose outputs are its losses. */
static double reference_run(const graph *g, const graph_batch *b, const float *moved, double by) {
    reference f = { g, b, moved, by, calloc(g->forward, sizeof(double *)), calloc(g->forward, sizeof(size_t)) };
    double total = 0;
    if (!f.values || !f.rows) abort();
    for (uint32_t v = 0; v < g->forward; v++) {
        const graph_node *n = &g->nodes[v];
        if (n->op == OP_DEAD || n->op == OP_LARGEST || n->op == OP_LARGEST_WEIGHT || n->op == OP_EXPERT_SORT ||
            n->op == OP_DORA_LENGTHS)
            continue;
        const size_t cols = n->op == OP_SELF_ATTEND     ? n->u.attend.a.heads * n->u.attend.a.value_dim
                            : n->op == OP_CROSS_ENTROPY ? 1
                                                        : n->cols;
        f.rows[v] = node_rows(n, b->tokens, b->output_count);
        f.values[v] = calloc(f.rows[v] * cols + 1, sizeof(double));
        if (!f.values[v]) abort();
        if (n->op == OP_SELF_ATTEND) reference_attend(&f, n, f.values[v]);
        else if (n->op == OP_PART) memcpy(f.values[v], f.values[n->in[0]], f.rows[v] * cols * sizeof(double));
        else if (n->op == OP_DROPOUT) reference_dropout(&f, n, f.rows[v], f.values[n->in[0]], f.values[v]);
        else
            for (size_t r = 0; r < f.rows[v]; r++) reference_row(&f, n, r, f.values[v] + r * cols);
    }
    for (size_t i = 0; i < g->output_count; i++)
        for (size_t r = 0; r < f.rows[g->outputs[i]]; r++) total += f.values[g->outputs[i]][r];
    for (uint32_t v = 0; v < g->forward; v++) free(f.values[v]);
    free(f.values);
    free(f.rows);
    return total;
}

#endif
