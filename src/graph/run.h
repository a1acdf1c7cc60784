/* What a plan keeps for running. */
#ifndef GRAPH_RUN_H
#define GRAPH_RUN_H

#include "graph/plan.h"

struct plan_run_state *run_state_create(const graph_plan *p); /* NULL: out of memory */
void run_state_free(struct plan_run_state *state);

/* Has the batch what a training graph reads? */
tola_status train_check(const graph_plan *p, const graph_batch *b, tola_error *err);

#endif
