/* Running a plan: all threads go through the waves together, taking tasks from each wave's counter. */
#include "graph/run.h"
#include "graph/op.h"

#include "base/barrier.h"
#include "base/err.h"

#include <string.h>

/* A counter has a cache line of its own. */
typedef struct wave_counter {
    _Alignas(64) _Atomic size_t next;
} wave_counter;

struct plan_run_state {
    barrier barrier;
    wave_counter *counters; /* one a wave */
    op_call *calls;         /* one a node that is run, in order of waves */
    op_call *inlined;       /* of values made inside others, by value */
};

struct plan_run_state *run_state_create(const graph_plan *p) {
    struct plan_run_state *s = mem_calloc(1, sizeof *s);
    if (!s) return NULL;
    s->counters = mem_alloc_aligned(64, p->waves * sizeof *s->counters);
    s->calls = mem_calloc(p->g->count, sizeof *s->calls);
    s->inlined = mem_calloc(p->g->count, sizeof *s->inlined);
    if (!s->counters || !s->calls || !s->inlined) {
        run_state_free(s);
        return NULL;
    }
    return s;
}

void run_state_free(struct plan_run_state *s) {
    if (!s) return;
    mem_free(s->counters);
    mem_free(s->calls);
    mem_free(s->inlined);
    mem_free(s);
}

#define BYTES_OF_THREAD ((uint64_t)2 << 20) /* weights to be read, times tokens: a tenth of a millisecond */

typedef struct running {
    graph_plan *plan;
    const graph_batch *batch;
    unsigned threads;
    uint32_t waves;
    _Atomic uint32_t last; /* wave after which all leave: the one in which go_on said no */
} running;

/* Rows of one task: some tens of KiB, so that a task is worth taking and many rows are shared by all threads. */
static size_t rows_of_task(const op_call *c) {
    const size_t rows = 16384 / (c->cols > c->in_cols[0] ? c->cols : c->in_cols[0]);
    return rows > 0 ? rows : 1;
}

static size_t tasks_of(const op_call *c) {
    const graph_op_row *op = op_table[c->node->op];
    return op->row ? (c->rows + rows_of_task(c) - 1) / rows_of_task(c) : op->tasks(c);
}

static void run_task(const op_call *c, size_t task, void *scratch) {
    const graph_op_row *op = op_table[c->node->op];
    if (!op->row) {
        op->run(c, task, scratch);
        return;
    }
    const size_t first = task * rows_of_task(c), end = first + rows_of_task(c);
    for (size_t r = first; r < end && r < c->rows; r++) op->row(c, r, (float *)c->out + r * c->cols);
}

/* Can tasks of this wave be asked for? Then the first that a thread takes is that of its own number. */
static bool askable(const graph_plan *p, uint32_t wave) {
    return op_table[p->state->calls[p->wave_start[wave]].node->op]->ask != NULL;
}

static bool go_on(running *r, uint32_t wave, bool caller) {
    const graph_batch *b = r->batch;
    if (caller && b->go_on && !b->go_on(b->go_on_user, (double)wave / r->waves))
        atomic_store_explicit(&r->last, wave, memory_order_relaxed);
    return wave < atomic_load_explicit(&r->last, memory_order_relaxed);
}

static void run_wave(running *r, uint32_t wave, size_t thread, bool caller, void *scratch) {
    const graph_plan *p = r->plan;
    wave_counter *counter = &p->state->counters[wave];
    const op_call *call = &p->state->calls[p->wave_start[wave]], *end = &p->state->calls[p->wave_start[wave + 1]];
    size_t begin = 0, tasks = tasks_of(call), own = askable(p, wave) ? r->threads : 0;
    for (bool first = own != 0; go_on(r, wave, caller); first = false) {
        const size_t task = first ? thread : own + atomic_fetch_add_explicit(&counter->next, 1, memory_order_relaxed);
        while (task - begin >= tasks) {
            begin += tasks;
            if (++call == end) return;
            tasks = tasks_of(call);
        }
        run_task(call, task - begin, scratch);
    }
}

/* What a thread asks for while it waits: the first of its tasks in the next wave that has such. So memory is not idle
 * while another thread ends its task, or does what is not worth sharing. */
typedef struct asking {
    uint32_t wave;
    const op_call *call; /* NULL: nothing */
    size_t task, step;
} asking;

static bool ask(asking *a, const graph_plan *p, uint32_t after, size_t thread) {
    if (a->wave <= after) {
        *a = (asking){ .wave = after + 1 };
        while (a->wave < p->waves && !askable(p, a->wave)) a->wave++;
        size_t task = thread;
        for (uint32_t i = p->wave_start[a->wave]; a->wave < p->waves && i < p->wave_start[a->wave + 1]; i++) {
            const op_call *call = &p->state->calls[i];
            const size_t tasks = tasks_of(call);
            if (task < tasks) {
                if (op_table[call->node->op]->ask) a->call = call, a->task = task;
                break;
            }
            task -= tasks;
        }
    }
    return a->call && op_table[a->call->node->op]->ask(a->call, a->task, a->step++);
}

static tola_status run_thread(void *context, size_t task, unsigned worker, tola_error *err) {
    (void)err;
    running *r = context;
    const graph_plan *p = r->plan;
    void *scratch = p->scratch + task * p->scratch_bytes;
    barrier *meeting = &p->state->barrier;
    asking next = { 0 };
    for (uint32_t w = 0; w < r->waves && w <= atomic_load_explicit(&r->last, memory_order_relaxed); w++) {
        run_wave(r, w, task, worker == 0, scratch);
        const unsigned round = barrier_come(meeting);
        while (!barrier_over(meeting, round) && !p->g->training && ask(&next, p, w, task)) {}
        barrier_wait(meeting, round);
    }
    return TOLA_OK;
}

/* Everything that operations rely on: nothing in a batch is taken on trust inside them. */
static tola_status check(const graph_plan *p, const graph_batch *b, tola_error *err) {
    if (b->tokens == 0 || b->tokens > p->max_tokens || b->output_count > p->max_outputs)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a batch of %zu tokens and %zu outputs, planned for %zu and %zu",
                       b->tokens, b->output_count, p->max_tokens, p->max_outputs);
    for (size_t i = 0; i < b->output_count; i++)
        if (b->outputs[i] >= b->tokens || (i > 0 && b->outputs[i] <= b->outputs[i - 1]))
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "output rows of a batch are not ascending or beyond it");
    if (p->g->attention_calls > 0 && !b->sequences)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a batch without sequences");
    if (p->g->training) TRY(train_check(p, b, err));
    for (uint32_t v = 0; v < p->g->count; v++) {
        const graph_node *n = &p->g->nodes[v];
        if (n->op != OP_EMBED && n->op != OP_EMBED_POSITION) continue;
        const uint32_t *index = n->op == OP_EMBED ? b->ids : b->positions;
        const uint64_t rows = n->w[0]->rows, offset = n->op == OP_EMBED ? 0 : n->u.embed.row;
        for (size_t t = 0; t < b->tokens; t++)
            if (index[t] + offset >= rows)
                return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s %u, but '%s' has %llu rows",
                               n->op == OP_EMBED ? "token" : "position", index[t], n->w[0]->name,
                               (unsigned long long)rows);
    }
    for (size_t t = 0; p->g->attention_calls > 0 && t < b->tokens; t++)
        if (!b->sequences[t] || b->positions[t] >= kv_length(b->sequences[t]))
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "no room was reserved for position %u", b->positions[t]);
    return TOLA_OK;
}

static op_call call_of(const graph_plan *p, const graph_batch *batch, graph_value v) {
    const graph_node *n = &p->g->nodes[v];
    op_call c = { .plan = p, .node = n, .batch = batch, .out = p->memory + p->offset[v],
                  .rows = node_rows(n, batch->tokens, batch->output_count), .cols = n->cols };
    for (int i = 0; i < NODE_INPUTS; i++) {
        if (n->in[i] == GRAPH_NONE) continue;
        c.in[i] = p->memory + p->offset[n->in[i]];
        c.in_cols[i] = p->g->nodes[n->in[i]].cols;
    }
    return c;
}

/* As many as have work that is worth meeting for after every wave. */
static unsigned threads_for(const graph_plan *p, const pool *threads, size_t tokens) {
    const uint64_t bytes = p->active_bytes > UINT64_MAX / tokens ? UINT64_MAX : p->active_bytes * tokens;
    const uint64_t wanted = bytes / BYTES_OF_THREAD + 1;
    const unsigned most = pool_threads(threads) < p->threads ? pool_threads(threads) : p->threads;
    return wanted < most ? (unsigned)wanted : most;
}

tola_status plan_run(graph_plan *p, pool *threads, const graph_batch *batch, tola_error *err) {
    TRY(check(p, batch, err));
    for (uint32_t v = 0; v < p->g->count; v++)
        if (p->inlined[v]) p->state->inlined[v] = call_of(p, batch, v);
    for (uint32_t i = 0; i < p->wave_start[p->waves]; i++) {
        op_call *c = &p->state->calls[i];
        *c = call_of(p, batch, p->order[i]);
        const graph_value in = c->node->in[0];
        if (in != GRAPH_NONE && p->inlined[in]) c->inlined = &p->state->inlined[in];
    }
    for (uint32_t w = 0; w < p->waves; w++) atomic_init(&p->state->counters[w].next, 0);
    const bool forward = p->g->training && batch->learn->evaluate;
    running r = { .plan = p, .batch = batch, .threads = threads_for(p, threads, batch->tokens),
                  .waves = forward ? p->forward_waves : p->waves };
    atomic_init(&r.last, UINT32_MAX);
    barrier_init(&p->state->barrier, r.threads);
    p->ran_tokens = batch->tokens;
    p->ran_outputs = batch->output_count;
    TRY(pool_run(threads, r.threads, run_thread, &r, err));
    return r.last == UINT32_MAX ? TOLA_OK : err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "stopped within a batch");
}
