/* Attention of training: over the batch's own rows, in tiles of queries and keys, forward and backward (arXiv
 * 2205.14135, 2307.08691): the scores of a whole sequence are never in memory. Kept for the backward is the logarithm
 * of each query's sum.
 *
 * A sequence is rows that follow one another in the batch with positions that do (graph_learn_batch.first). A task of
 * the forward is a tile of queries of one head; one of the backward is a sequence with all heads that share a kv head,
 * whose keys' and values' gradients nobody else adds to. Products are kernels/gemm in f32 whatever the precision. */
#include "graph/kv_pages.h"
#include "graph/op.h"
#include "graph/products.h"
#include "kernels/rows/backward.h"
#include "kernels/rows/rows.h"

#include <math.h>
#include <string.h>

enum { TILE = 64 }; /* queries, and keys */

/* ---- sequences of the batch ---- */

typedef struct span {
    size_t first, end; /* rows */
} span;

static size_t end_of(const graph_batch *b, size_t first) {
    const uint32_t *begins = b->learn->first;
    size_t low = first + 1, high = b->tokens;
    if (!begins) return high;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (begins[middle] == begins[first])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many pieces of `size` rows (0: one each) the sequences have; the one that is `index`, and its sequence. */
static size_t pieces(const graph_batch *b, size_t size, size_t index, span *piece, span *sequence) {
    size_t count = 0;
    for (size_t first = 0; first < b->tokens;) {
        const size_t end = end_of(b, first), here = size > 0 ? (end - first + size - 1) / size : 1;
        if (index >= count && index - count < here) {
            const size_t at = first + (index - count) * size, left = end - at;
            *piece = (span){ at, size > 0 && left > size ? at + size : end };
            *sequence = (span){ first, end };
        }
        count += here;
        first = end;
    }
    return count;
}

/* The rows that the query of row i sees. */
static span seen(const op_call *c, const span *sequence, size_t i) {
    const graph_attention *a = &c->node->u.attend.a;
    if (a->bidirectional) return *sequence;
    const kv_layer sees = { .window = a->window, .chunk = a->chunk };
    const size_t position = c->batch->positions[i], back = position - kv_visible_from(&sees, position);
    return (span){ back > i - sequence->first ? sequence->first : i - back, i + 1 };
}

/* ---- one head's tiles ---- */

typedef struct head {
    const op_call *c;
    const graph_attention *a;
    size_t head, kv_head;
    void *gemm; /* scratch */
} head;

static gemm_operand tile(const void *data, size_t cols, bool transposed) {
    return (gemm_operand){ .data = data, .row_bytes = cols * sizeof(float), .dtype = TOLA_DTYPE_F32,
                           .transposed = transposed, .round = TOLA_DTYPE_NONE, .scale = 1 };
}

static void multiply(const head *h, size_t m, size_t n, size_t k, gemm_operand a, gemm_operand b, float *out,
                     size_t stride, bool accumulate) {
    const gemm_problem p = { m, n, k, a, b, out, stride, accumulate, GEMM_F32 };
    const size_t tasks = gemm_tasks(&p, 1);
    for (size_t t = 0; t < tasks; t++) gemm_run(&p, 1, t, h->gemm);
}

static size_t gemm_most(const graph_attention *a) {
    const size_t k = a->key_dim, v = a->value_dim;
    const size_t shapes[][3] = { { TILE, TILE, k }, { TILE, TILE, v }, { TILE, v, TILE }, { TILE, k, TILE } };
    size_t most = 0;
    for (int i = 0; i < 4; i++)
        for (int t = 0; t < 4; t++) {
            const gemm_problem p = { .m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2],
                                     .a = tile(NULL, shapes[i][2], t & 1), .b = tile(NULL, shapes[i][1], t & 2),
                                     .c_stride = shapes[i][1] };
            const size_t bytes = product_scratch(&p, 1);
            if (bytes > most) most = bytes;
        }
    return (most + 63) / 64 * 64;
}

static const float *at(const op_call *c, int input, size_t row, size_t which, size_t dim) {
    return in_row(c, input, row) + which * dim;
}

/* Scores of queries [q] and keys [k] into rows of TILE floats: scaled and capped. */
static void scores_of(const head *h, const span *q, const span *k, float *s) {
    const graph_attention *a = h->a;
    const size_t n = k->end - k->first;
    const gemm_operand queries = tile(at(h->c, 0, q->first, h->head, a->key_dim), h->c->in_cols[0], false);
    const gemm_operand keys = tile(at(h->c, 1, k->first, h->kv_head, a->key_dim), h->c->in_cols[1], true);
    multiply(h, q->end - q->first, n, a->key_dim, queries, keys, s, TILE, false);
    for (size_t i = 0; i < q->end - q->first; i++) {
        rows_get()->scale(a->scale, s + i * TILE, s + i * TILE, n);
        if (a->softcap > 0) rows_get()->softcap(a->softcap, s + i * TILE, s + i * TILE, n);
    }
}

/* Columns of the tile [k] that are within what a query sees. */
static span within(const span *sees, const span *k) {
    const size_t first = sees->first > k->first ? sees->first : k->first, end = sees->end < k->end ? sees->end : k->end;
    return first < end ? (span){ first - k->first, end - k->first } : (span){ 0, 0 };
}

/* Rows that some query of [q] sees. */
static span seen_by_all(const op_call *c, const span *sequence, const span *q) {
    const span first = seen(c, sequence, q->first), last = seen(c, sequence, q->end - 1);
    return (span){ first.first, last.end };
}

static span next_tile(const span *all, size_t from) {
    return (span){ from, all->end - from > TILE ? from + TILE : all->end };
}

/* ---- forward; parts of the value: outputs, logarithms of sums [rows, heads] ---- */

static uint32_t attend_part(const graph_node *n, unsigned part) {
    const graph_attention *a = &n->u.attend.a;
    const uint32_t cols[] = { a->heads * a->value_dim, a->heads };
    return part < 2 ? cols[part] : 0;
}

/* Floats: scores; then what is the forward's or the backward's own; then gemm's scratch. */
static size_t attend_floats(const graph_attention *a) { return TILE * TILE + TILE * (size_t)a->value_dim + 2 * TILE; }

static size_t attend_scratch(const graph_node *n, const graph_plan *p) {
    (void)p;
    return attend_floats(&n->u.attend.a) * sizeof(float) + gemm_most(&n->u.attend.a);
}

static size_t attend_tasks(const op_call *c) {
    return pieces(c->batch, TILE, SIZE_MAX, NULL, NULL) * c->node->u.attend.a.heads;
}

/* One more tile of keys into the running sums (m, l, o). */
static void take_tile(const head *h, const span *sequence, const span *q, const span *k, float *s, float *o, float *m,
                      float *l) {
    const size_t dim = h->a->value_dim, n = k->end - k->first;
    scores_of(h, q, k, s);
    for (size_t i = 0; i < q->end - q->first; i++) {
        float *row = s + i * TILE;
        const span sees = seen(h->c, sequence, q->first + i), in = within(&sees, k);
        memset(row, 0, in.first * sizeof *row);
        memset(row + in.end, 0, (n - in.end) * sizeof *row);
        if (in.first == in.end) continue;
        const float most = rows_get()->max(row + in.first, in.end - in.first);
        if (!(most <= m[i])) {
            const float less = expf(m[i] - most);
            l[i] *= less;
            rows_get()->scale(less, o + i * dim, o + i * dim, dim);
            m[i] = most;
        }
        l[i] += rows_get()->exp_sum(row + in.first, m[i], row + in.first, in.end - in.first);
    }
    multiply(h, q->end - q->first, dim, n, tile(s, TILE, false),
             tile(at(h->c, 2, k->first, h->kv_head, dim), h->c->in_cols[2], false), o, dim, true);
}

static void attend(const op_call *c, size_t task, void *scratch) {
    const graph_attention *a = &c->node->u.attend.a;
    head h = { .c = c, .a = a, .head = task % a->heads, .gemm = (float *)scratch + attend_floats(a) };
    h.kv_head = h.head / (a->heads / a->kv_heads);
    span q, sequence;
    pieces(c->batch, TILE, task / a->heads, &q, &sequence);
    const size_t n = q.end - q.first, dim = a->value_dim;
    float *s = scratch, *o = s + TILE * TILE, *m = o + TILE * dim, *l = m + TILE;
    memset(o, 0, n * dim * sizeof *o);
    for (size_t i = 0; i < n; i++) {
        m[i] = a->sinks ? ((const float *)a->sinks->data[0])[h.head] : -INFINITY;
        l[i] = a->sinks ? 1 : 0;
    }
    const span all = seen_by_all(c, &sequence, &q);
    for (size_t from = all.first; from < all.end; from += TILE) {
        const span k = next_tile(&all, from);
        take_tile(&h, &sequence, &q, &k, s, o, m, l);
    }
    float *out = part_of(c->plan, c->node, c->out, 0), *logs = part_of(c->plan, c->node, c->out, 1);
    for (size_t i = 0; i < n; i++) {
        rows_get()->scale(1 / l[i], o + i * dim, out + ((q.first + i) * a->heads + h.head) * dim, dim);
        logs[(q.first + i) * a->heads + h.head] = m[i] + logf(l[i]);
    }
}

const graph_op_row op_self_attend = { .name = "attention of training", .scratch = attend_scratch,
                                      .tasks = attend_tasks, .run = attend, .part_cols = attend_part };

/* ---- backward; in: q, k, v, the forward's value, d; parts: gradients of q, k, v, and of sinks [rows, heads]
 *
 * p = exp(s - log sum), o = p v. v' += p^T d; p' = d v^T; s' = p (p' - d.o) scale (1 - (s / cap)^2); q' += s' k;
 * k' += s'^T q; sink' = -exp(sink - log sum) d.o ---- */

static uint32_t back_part(const graph_node *n, unsigned part) {
    const graph_attention *a = &n->u.attend.a;
    const uint32_t cols[] = { a->heads * a->key_dim, a->kv_heads * a->key_dim, a->kv_heads * a->value_dim, a->heads };
    return part < 4 ? cols[part] : 0;
}

static size_t back_floats(void) { return 2 * TILE * TILE + TILE; }

static size_t back_scratch(const graph_node *n, const graph_plan *p) {
    (void)p;
    return back_floats() * sizeof(float) + gemm_most(&n->u.attend.a);
}

static size_t back_tasks(const op_call *c) {
    return pieces(c->batch, 0, SIZE_MAX, NULL, NULL) * c->node->u.attend.a.kv_heads;
}

typedef struct back {
    float *q, *k, *v, *sinks;    /* gradients */
    const float *out, *logs, *d; /* of the forward; of its gradient */
    float *p, *s;                /* tiles */
    float *d_out;                /* d . o of the tile's queries */
} back;

/* Scores become probabilities in b->p; b->s becomes the gradient of what the product of q and k gave. */
static void score_gradients(const head *h, const back *b, const span *sequence, const span *q, const span *k) {
    const graph_attention *a = h->a;
    const size_t n = k->end - k->first;
    for (size_t i = 0; i < q->end - q->first; i++) {
        float *p = b->p + i * TILE, *s = b->s + i * TILE, capped[TILE];
        const span sees = seen(h->c, sequence, q->first + i), in = within(&sees, k);
        const size_t count = in.end - in.first;
        memcpy(capped, p + in.first, count * sizeof *p);
        memset(p, 0, in.first * sizeof *p);
        memset(p + in.end, 0, (n - in.end) * sizeof *p);
        if (count > 0)
            (void)rows_get()->exp_sum(p + in.first, b->logs[(q->first + i) * a->heads + h->head], p + in.first, count);
        for (size_t j = 0; j < n; j++) s[j] = p[j] * (s[j] - b->d_out[i]) * a->scale;
        if (a->softcap > 0) rows_softcap_back(a->softcap, capped, s + in.first, s + in.first, count);
    }
}

static void back_tile(const head *h, const back *b, const span *sequence, const span *q, const span *k) {
    const graph_attention *a = h->a;
    const op_call *c = h->c;
    const size_t rows = q->end - q->first, n = k->end - k->first, kd = a->key_dim, vd = a->value_dim;
    const size_t q_cols = c->in_cols[0], k_cols = c->in_cols[1], v_cols = c->in_cols[2], d_cols = c->in_cols[4];
    const gemm_operand d = tile(b->d + q->first * d_cols + h->head * vd, d_cols, false);
    gemm_operand turned_d = d, turned_p = tile(b->p, TILE, true), turned_s = tile(b->s, TILE, true);
    scores_of(h, q, k, b->p);
    multiply(h, rows, n, vd, d, tile(at(c, 2, k->first, h->kv_head, vd), v_cols, true), b->s, TILE, false);
    score_gradients(h, b, sequence, q, k);
    turned_d.transposed = false;
    multiply(h, n, vd, rows, turned_p, turned_d, b->v + k->first * v_cols + h->kv_head * vd, v_cols, true);
    multiply(h, rows, kd, n, tile(b->s, TILE, false), tile(at(c, 1, k->first, h->kv_head, kd), k_cols, false),
             b->q + q->first * q_cols + h->head * kd, q_cols, true);
    multiply(h, n, kd, rows, turned_s, tile(at(c, 0, q->first, h->head, kd), q_cols, false),
             b->k + k->first * k_cols + h->kv_head * kd, k_cols, true);
}

static void back_head(const head *h, const back *b, const span *sequence) {
    const graph_attention *a = h->a;
    const size_t vd = a->value_dim, d_cols = h->c->in_cols[4];
    for (size_t first = sequence->first; first < sequence->end; first += TILE) {
        const span q = next_tile(sequence, first), all = seen_by_all(h->c, sequence, &q);
        for (size_t i = q.first; i < q.end; i++) {
            const float dot = rows_dot(b->d + i * d_cols + h->head * vd, b->out + (i * a->heads + h->head) * vd, vd);
            b->d_out[i - q.first] = dot;
            if (a->sinks)
                b->sinks[i * a->heads + h->head] =
                    -expf(((const float *)a->sinks->data[0])[h->head] - b->logs[i * a->heads + h->head]) * dot;
            memset(b->q + i * h->c->in_cols[0] + h->head * a->key_dim, 0, a->key_dim * sizeof(float));
        }
        for (size_t from = all.first; from < all.end; from += TILE) {
            const span k = next_tile(&all, from);
            back_tile(h, b, sequence, &q, &k);
        }
    }
}

static void attend_back(const op_call *c, size_t task, void *scratch) {
    const graph_attention *a = &c->node->u.attend.a;
    const graph_node *forward = &c->plan->g->nodes[c->node->in[3]];
    const size_t group = a->heads / a->kv_heads, kv_head = task % a->kv_heads;
    span sequence, all;
    pieces(c->batch, 0, task / a->kv_heads, &all, &sequence);
    float *const room = scratch;
    const back b = { .q = part_of(c->plan, c->node, c->out, 0),
                     .k = part_of(c->plan, c->node, c->out, 1),
                     .v = part_of(c->plan, c->node, c->out, 2),
                     .sinks = part_of(c->plan, c->node, c->out, 3),
                     .out = part_of(c->plan, forward, c->in[3], 0),
                     .logs = part_of(c->plan, forward, c->in[3], 1),
                     .d = c->in[4],
                     .p = room,
                     .s = room + TILE * TILE,
                     .d_out = room + 2 * TILE * TILE };
    for (size_t i = sequence.first; i < sequence.end; i++) {
        memset(b.k + i * c->in_cols[1] + kv_head * a->key_dim, 0, a->key_dim * sizeof(float));
        memset(b.v + i * c->in_cols[2] + kv_head * a->value_dim, 0, a->value_dim * sizeof(float));
    }
    for (size_t i = 0; i < group; i++) {
        const head h = { c, a, kv_head * group + i, kv_head, room + back_floats() };
        back_head(&h, &b, &sequence);
    }
}

const graph_op_row op_self_attend_back = { .name = "gradient of attention", .scratch = back_scratch,
                                           .tasks = back_tasks, .run = attend_back, .part_cols = back_part };
