/* Attention: keys and values of the batch into the cache, then every query over the pages that it sees. Queries have a
 * row for each token of the batch, or for those that it asks outputs for.
 *
 * A task of OP_ATTEND is one kv head with a block of rows of one sequence, whose tokens need not be neighbours: the
 * rows' queries of all heads that share the kv head go through the pages together. Where that makes fewer tasks than
 * there are threads, as with one token and few kv heads, the heads that share one are dealt out, too: each task then
 * reads the same pages. Neither changes a bit of any query (kernels/attention); cutting the pages of a query in parts
 * would. */
#include "graph/kv_pages.h"
#include "graph/op.h"

#include <string.h>

enum {
    STORE_TOKENS = 32, /* of a task */
    /* of a task, or as many as share a kv head: many, as a page is converted for all, unless that leaves few tasks */
    QUERIES_MOST = 384,
    QUERIES_LEAST = 48,
    TASKS_A_THREAD = 4
};

static size_t at_least_one(size_t n) { return n > 0 ? n : 1; }

/* ---- keys and values into the cache ---- */

static size_t no_bytes(const graph_node *n, const graph_plan *p) {
    (void)n, (void)p;
    return 0;
}

static size_t store_tasks(const op_call *c) {
    return (c->batch->tokens + STORE_TOKENS - 1) / STORE_TOKENS * c->node->u.attend.a.kv_heads;
}

/* How many tokens from `first` on, at most `most`, follow one another within a page. */
static size_t in_a_page(const graph_batch *b, size_t first, size_t most) {
    const size_t slot = b->positions[first] % KV_PAGE;
    size_t n = 1;
    if (most > KV_PAGE - slot) most = KV_PAGE - slot;
    while (n < most && b->sequences[first + n] == b->sequences[first] &&
           b->positions[first + n] == b->positions[first] + n)
        n++;
    return n;
}

static void store_run(const op_call *c, size_t task, void *scratch) {
    (void)scratch;
    const graph_attention *a = &c->node->u.attend.a;
    const uint32_t head = (uint32_t)(task % a->kv_heads);
    const size_t first = task / a->kv_heads * STORE_TOKENS, left = c->batch->tokens - first;
    const size_t end = first + (left < STORE_TOKENS ? left : STORE_TOKENS);
    const float *k = (const float *)c->in[0] + head * (size_t)a->key_dim;
    const float *v = (const float *)c->in[1] + head * (size_t)a->value_dim;
    for (size_t t = first, n; t < end; t += n) {
        const kv_sequence *s = c->batch->sequences[t];
        const attention_head h = kv_head(s, c->node->u.attend.layer);
        const size_t page = c->batch->positions[t] / KV_PAGE, slot = c->batch->positions[t] % KV_PAGE;
        const kv_place p = kv_at(s, c->node->u.attend.layer, head, page);
        n = in_a_page(c->batch, t, end - t);
        if (!p.keys) continue; /* no room was made: nobody will see it */
        attention_put_keys(h.key_type, h.key_dim, p.keys, slot, n, k + t * c->in_cols[0], c->in_cols[0]);
        attention_put_values(h.value_type, h.value_dim, p.values, slot, n, v + t * c->in_cols[1], c->in_cols[1]);
    }
}

const graph_op_row op_kv_store = {
    .name = "store keys and values", .bytes = no_bytes, .tasks = store_tasks, .run = store_run
};

/* ---- attention ---- */

static size_t group_of(const graph_attention *a) { return a->heads / a->kv_heads; }

static size_t rows_of(const graph_attention *a, size_t queries) { return at_least_one(queries / group_of(a)); }

static const kv_sequence *sequence_of(const op_call *c, size_t row) { return c->batch->sequences[row_token(c, row)]; }

static uint32_t position_of(const op_call *c, size_t row) { return c->batch->positions[row_token(c, row)]; }

/* Rows from `first` on that belong to one sequence: they follow one another, so that a search by halves finds their
 * end. */
static size_t run_end(const op_call *c, size_t first) {
    size_t low = first + 1, high = c->rows; /* the end is within */
    const kv_sequence *s = sequence_of(c, first);
    if (sequence_of(c, high - 1) == s) return high;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (sequence_of(c, middle) == s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What a task does: query heads `head` and on, which share `kv_head`, for a block of a run of rows. */
typedef struct share {
    size_t first, count, run_end; /* rows */
    size_t kv_head, head, heads;
} share;

/* How many blocks of so many rows there are; of the one that is `index`, where there is one, the rows. The last
 * blocks of a run, which see the most, go first. */
static size_t blocks_of(const op_call *c, size_t rows, size_t index, share *out) {
    size_t count = 0;
    for (size_t first = 0; first < c->rows;) {
        const size_t end = run_end(c, first), here = (end - first + rows - 1) / rows;
        if (index >= count && index - count < here) {
            const size_t at = first + (here - 1 - (index - count)) * rows;
            *out = (share){ .first = at, .count = end - at < rows ? end - at : rows, .run_end = end };
        }
        count += here;
        first = end;
    }
    return count;
}

/* How the work is cut: blocks of so many rows, and in how many parts the heads go that share a kv head. The same for
 * every thread. */
typedef struct cut {
    size_t rows, blocks, parts;
} cut;

static cut cut_of(const op_call *c) {
    const graph_attention *a = &c->node->u.attend.a;
    const size_t threads = c->plan->threads;
    cut u;
    for (size_t queries = QUERIES_MOST;; queries /= 2) {
        u.rows = rows_of(a, queries);
        u.blocks = blocks_of(c, u.rows, SIZE_MAX, NULL);
        if (queries == QUERIES_LEAST || u.blocks * a->kv_heads >= TASKS_A_THREAD * threads) break;
    }
    const size_t tasks = at_least_one(u.blocks * a->kv_heads), parts = (threads + tasks - 1) / tasks;
    u.parts = parts < group_of(a) ? at_least_one(parts) : group_of(a);
    return u;
}

static size_t attend_tasks(const op_call *c) {
    const cut u = cut_of(c);
    return u.blocks * c->node->u.attend.a.kv_heads * u.parts;
}

static share share_of(const op_call *c, size_t task) {
    const graph_attention *a = &c->node->u.attend.a;
    const cut u = cut_of(c);
    const size_t group = group_of(a), parts = u.parts, part = task % parts;
    share s;
    blocks_of(c, u.rows, task / parts / a->kv_heads, &s);
    s.kv_head = task / parts % a->kv_heads;
    s.head = s.kv_head * group + part * group / parts;
    s.heads = (part + 1) * group / parts - part * group / parts;
    return s;
}

/* Floats of scratch, each part a multiple of 16: queries with their state, the kernel's own, what each query sees. */
typedef struct layout {
    size_t kernel, sees, all;
} layout;

static size_t up16(size_t n) { return (n + 15) / 16 * 16; }

static layout layout_of(const graph_attention *a) {
    const attention_head h = { .key_dim = a->key_dim, .value_dim = a->value_dim };
    const size_t n = rows_of(a, QUERIES_MOST) * group_of(a);
    layout l = { .kernel = up16(attention_room(&h, n)) };
    l.sees = l.kernel + up16(attention_scratch(&h, n));
    l.all = l.sees + up16(2 * n);
    return l;
}

static size_t attend_scratch(const graph_node *n, const graph_plan *p) {
    (void)p;
    return layout_of(&n->u.attend.a).all * sizeof(float);
}

/* Slots of a page at `base` that lie within [from, end). */
static void see(size_t from, size_t end, size_t base, uint8_t *first, uint8_t *last) {
    const size_t a = from < base ? 0 : from - base, b = end < base ? 0 : end - base;
    *first = *last = 0;
    if (a >= KV_PAGE || a >= b) return;
    *first = (uint8_t)a;
    *last = (uint8_t)(b < KV_PAGE ? b : KV_PAGE);
}

/* Query i of a task is that of row i / heads and head i % heads. */
static void attend_run(const op_call *c, size_t task, void *scratch) {
    const graph_attention *a = &c->node->u.attend.a;
    const layout l = layout_of(a);
    const share w = share_of(c, task);
    const size_t n = w.count * w.heads;
    const kv_sequence *s = sequence_of(c, w.first);
    const uint32_t layer = c->node->u.attend.layer;
    const kv_layer sees = { .window = a->bidirectional ? 0 : a->window, .chunk = a->bidirectional ? 0 : a->chunk };
    float *const room = scratch;
    attention_head h = kv_head(s, layer);
    h.softcap = a->softcap;
    const float *x = (const float *)c->in[0] + w.first * c->in_cols[0] + w.head * a->key_dim;
    const attention_queries q = { .x = x, .n = n, .heads = w.heads, .stride = c->in_cols[0], .scale = a->scale };
    const attention_state state = attention_begin(&h, &q, room);
    uint8_t *const first = (uint8_t *)(room + l.sees), *const last = first + n;
    const size_t end = (size_t)position_of(c, (a->bidirectional ? w.run_end : w.first + w.count) - 1) + 1;
    for (size_t page = kv_visible_from(&sees, position_of(c, w.first)) / KV_PAGE; page * KV_PAGE < end; page++) {
        const kv_place p = kv_at(s, layer, (uint32_t)w.kv_head, page);
        if (!p.keys) continue; /* given back: nothing of it is seen */
        const kv_place next = kv_at(s, layer, (uint32_t)w.kv_head, page + 1);
        const bool more = (page + 1) * KV_PAGE < end;
        const attention_pages pages = { p.keys, p.values, more ? next.keys : NULL, more ? next.values : NULL };
        for (size_t t = 0, i = 0; t < w.count; t++, i += w.heads) {
            const size_t position = position_of(c, w.first + t);
            see(kv_visible_from(&sees, position), a->bidirectional ? end : position + 1, page * KV_PAGE, first + i,
                last + i);
            memset(first + i, first[i], w.heads);
            memset(last + i, last[i], w.heads);
        }
        attention_page(&h, &pages, first, last, &state, room + l.kernel);
    }
    const float *sinks = a->sinks ? (const float *)a->sinks->data[0] + w.head : NULL;
    float *out = (float *)c->out + w.first * c->cols + w.head * a->value_dim;
    for (size_t t = 0; t < w.count; t++, out += c->cols)
        attention_end(&h, &state, t * w.heads, w.heads, sinks, out, a->value_dim);
}

const graph_op_row op_attend = {
    .name = "attention", .scratch = attend_scratch, .tasks = attend_tasks, .run = attend_run
};
