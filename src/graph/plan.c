/* Planning: waves, then addresses.
 *
 * A node's wave is one more than the latest of its inputs' waves. A value lives from the wave that makes it to the last
 * one that reads it; two values share memory only when no wave has both.
 *
 * A value of an operation on rows that only prepared rows need is inlined: its rows are made there, a few at a time, and
 * never all in memory. */
#include "graph/op.h"
#include "graph/run.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

typedef struct life {
    uint32_t value, first, last; /* waves */
    size_t bytes, at;
} life;

static void find_inlined(graph_plan *p) {
    const graph *g = p->g;
    for (uint32_t v = 0; v < g->count; v++) {
        const graph_value in = g->nodes[v].in[0];
        const bool takes_rows = g->nodes[v].op == OP_PREPARE || (g->nodes[v].op == OP_EXPERT_PREPARE &&
                                                                 !g->nodes[v].u.expert.weigh);
        if (takes_rows && g->uses[in] == 1 && op_table[g->nodes[in].op]->row) p->inlined[in] = true;
    }
}

/* The values that v reads from memory, its own inputs or those of the value made inside it: at most 5. */
static size_t read_by(const graph_plan *p, graph_value v, graph_value out[5]) {
    size_t n = 0;
    for (int i = 0; i < 3; i++) {
        const graph_value in = p->g->nodes[v].in[i];
        if (in == GRAPH_NONE) continue;
        if (!p->inlined[in]) out[n++] = in;
        else
            for (int j = 0; j < 3; j++)
                if (p->g->nodes[in].in[j] != GRAPH_NONE) out[n++] = p->g->nodes[in].in[j];
    }
    return n;
}

static bool value_bytes(const graph_plan *p, const graph_node *n, size_t *out) {
    size_t bytes;
    if (n->cols > 0) {
        uint64_t elements;
        if (!mul_u64(node_rows_most(n, p), n->cols, &elements) || !mul_u64(elements, sizeof(float), &bytes)) return false;
    } else {
        bytes = op_table[n->op]->bytes ? op_table[n->op]->bytes(n, p) : 0;
        if (bytes == SIZE_MAX) return false;
    }
    *out = bytes;
    return bytes <= SIZE_MAX / 4;
}

/* Is v run, with a value in memory? */
static bool has_place(const graph_plan *p, graph_value v) { return p->g->nodes[v].op != OP_DEAD && !p->inlined[v]; }

static void sort_into_waves(graph_plan *p, life *lives) {
    const graph *g = p->g;
    p->waves = 0;
    for (uint32_t v = 0; v < g->count; v++) {
        graph_value in[5];
        const size_t n = read_by(p, v, in);
        uint32_t wave = 0;
        for (size_t i = 0; i < n; i++)
            if (lives[in[i]].first + 1 > wave) wave = lives[in[i]].first + 1;
        lives[v] = (life){ .value = v, .first = wave, .last = wave };
        if (!has_place(p, v)) continue;
        for (size_t i = 0; i < n; i++)
            if (lives[in[i]].last < wave) lives[in[i]].last = wave;
        if (wave + 1 > p->waves) p->waves = wave + 1;
    }
    for (size_t i = 0; i < g->output_count; i++) lives[g->outputs[i]].last = p->waves;
    /* counting sort: wave_start[w + 1] first counts, then points */
    uint32_t nodes = 0;
    for (uint32_t v = 0; v < g->count; v++)
        if (has_place(p, v)) p->wave_start[lives[v].first + 1]++, nodes++;
    for (uint32_t w = 0; w < p->waves; w++) p->wave_start[w + 1] += p->wave_start[w];
    for (uint32_t v = g->count; v-- > 0;) { /* backwards, filling each wave from its end */
        const uint32_t w = lives[v].first;
        if (has_place(p, v)) p->order[--p->wave_start[w + 1]] = v;
    }
    for (uint32_t w = 0; w < p->waves; w++) p->wave_start[w] = p->wave_start[w + 1];
    p->wave_start[p->waves] = nodes;
}

static int by_first_wave(const void *a, const void *b) {
    const life *p = a, *q = b;
    if (p->first != q->first) return p->first < q->first ? -1 : 1;
    return p->value < q->value ? -1 : 1;
}

/* First fit among the values that are alive; their number is small, as layers come one after the other. */
static bool give_addresses(graph_plan *p, life *lives, life *alive) {
    size_t living = 0, total = 0;
    qsort(lives, p->g->count, sizeof *lives, by_first_wave);
    for (uint32_t i = 0; i < p->g->count; i++) {
        life *l = &lives[i];
        if (!has_place(p, l->value)) continue;
        size_t kept = 0;
        for (size_t j = 0; j < living; j++)
            if (alive[j].last >= l->first) alive[kept++] = alive[j];
        living = kept;
        const size_t need = (l->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        size_t at = 0, place = 0; /* alive is in order of address */
        while (place < living && alive[place].at - at < need) at = alive[place].at + alive[place].bytes, place++;
        l->at = at;
        p->offset[l->value] = at;
        if (!add_u64(at, need, &at)) return false;
        if (at > total) total = at;
        memmove(&alive[place + 1], &alive[place], (living - place) * sizeof *alive);
        alive[place] = *l;
        alive[place].bytes = need;
        living++;
    }
    p->memory_bytes = total;
    return true;
}

static tola_status lay_out(graph_plan *p, life *lives, life *alive, tola_error *err) {
    const graph *g = p->g;
    find_inlined(p);
    sort_into_waves(p, lives);
    for (uint32_t v = 0; v < g->count; v++) {
        if (!has_place(p, v)) continue;
        if (!value_bytes(p, &g->nodes[v], &lives[v].bytes))
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s of %zu tokens is too large",
                           op_table[g->nodes[v].op]->name, p->max_tokens);
        const graph_op_row *op = op_table[g->nodes[v].op];
        const size_t scratch = op->scratch ? op->scratch(&g->nodes[v], p) : 0;
        if (scratch > p->scratch_bytes) p->scratch_bytes = scratch;
    }
    p->scratch_bytes = (p->scratch_bytes + 4095) / 4096 * 4096;
    size_t scratch_all;
    if (!give_addresses(p, lives, alive) || !mul_u64(p->scratch_bytes, p->threads, &scratch_all))
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a batch of %zu tokens is too large", p->max_tokens);
    p->memory = mem_alloc_aligned(4096, p->memory_bytes + ALIGNMENT);
    p->scratch = mem_alloc_aligned(4096, scratch_all + ALIGNMENT);
    p->state = run_state_create(p);
    return p->memory && p->scratch && p->state ? TOLA_OK : err_nomem(err, "planning a graph");
}

tola_status plan_create(const graph *g, size_t max_tokens, size_t max_outputs, unsigned threads, graph_plan **out,
                        tola_error *err) {
    if (g->training || !g->finished || g->count == 0 || max_tokens == 0 || max_tokens > UINT32_MAX ||
        max_outputs > max_tokens || threads == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a plan for %zu tokens and %zu outputs on %u threads",
                       max_tokens, max_outputs, threads);
    graph_plan *p = mem_calloc(1, sizeof *p);
    if (!p) return err_nomem(err, "planning a graph");
    p->g = g;
    p->max_tokens = max_tokens;
    p->max_outputs = max_outputs;
    p->threads = threads;
    p->active_bytes = graph_active_bytes(g);
    p->order = mem_calloc(g->count, sizeof *p->order);
    p->wave_start = mem_calloc((size_t)g->count + 2, sizeof *p->wave_start);
    p->offset = mem_calloc(g->count, sizeof *p->offset);
    p->inlined = mem_calloc(g->count, sizeof *p->inlined);
    life *lives = mem_calloc(g->count, sizeof *lives), *alive = mem_calloc((size_t)g->count + 1, sizeof *alive);
    tola_status status = p->order && p->wave_start && p->offset && p->inlined && lives && alive
                             ? lay_out(p, lives, alive, err)
                             : err_nomem(err, "planning a graph");
    mem_free(lives);
    mem_free(alive);
    if (status != TOLA_OK) {
        plan_free(p);
        return status;
    }
    *out = p;
    return TOLA_OK;
}

void plan_free(graph_plan *p) {
    if (!p) return;
    run_state_free(p->state);
    mem_free(p->order);
    mem_free(p->wave_start);
    mem_free(p->offset);
    mem_free(p->inlined);
    mem_free(p->memory);
    mem_free(p->scratch);
    mem_free(p);
}

size_t plan_bytes(const graph_plan *p) { return p->memory_bytes + p->scratch_bytes * p->threads; }

const float *plan_output(const graph_plan *p, size_t index, size_t *rows, size_t *cols) {
    const graph_value v = p->g->outputs[index];
    const graph_node *n = &p->g->nodes[v];
    *rows = node_rows(n, p->ran_tokens, p->ran_outputs);
    *cols = n->cols;
    return (const float *)(p->memory + p->offset[v]);
}
