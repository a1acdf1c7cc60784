/* A graph made ready to run: where each value lies, which operations may run side by side, what scratch they need. */
#ifndef GRAPH_PLAN_H
#define GRAPH_PLAN_H

#include "base/pool.h"
#include "graph/graph.h"
#include "graph/kv.h"

typedef struct graph_plan graph_plan;

/* What is run at once: tokens of one or several sequences. */
typedef struct graph_batch {
    size_t tokens;
    const uint32_t *ids;            /* a token each, below the embedding's rows */
    const uint32_t *positions;      /* a token each: its place in its sequence */
    kv_sequence *const *sequences;  /* a token each; positions of one sequence are consecutive and ascending and the
                                       tokens of one sequence follow one another in the batch. NULL: graphs without
                                       attention */
    const uint32_t *outputs;        /* rows of the batch that graph_output_rows takes, ascending */
    size_t output_count;
    const struct graph_learn_batch *learn; /* of training graphs (train.h), else NULL */
    /* Asked by the calling thread between its tasks, often, with the share of the batch that is done; false ends the
     * run, whose values are then of no use. NULL: not asked. */
    bool (*go_on)(void *user, double share);
    void *go_on_user;
} graph_batch;

/* For batches of up to max_tokens tokens and max_outputs output rows. Memory is taken here: plan_bytes says how much. */
tola_status plan_create(const graph *g, size_t max_tokens, size_t max_outputs, unsigned threads, graph_plan **out,
                        tola_error *err);
void plan_free(graph_plan *p); /* NULL is fine */
size_t plan_bytes(const graph_plan *p);

/* Runs the graph over the batch on the pool's threads (at most those the plan was made for). The caller has made room in
 * the sequences (kv_reserve). TOLA_E_ARG for a batch that is too large or an id beyond the table, TOLA_E_CANCELLED
 * where go_on said no. */
tola_status plan_run(graph_plan *p, pool *threads, const graph_batch *batch, tola_error *err);
/* Rows of output `index` (as given to graph_finish) after plan_run; valid until the next. */
const float *plan_output(const graph_plan *p, size_t index, size_t *rows, size_t *cols);

#endif
