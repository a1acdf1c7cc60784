/* A run's folder: checkpoints that are whole or not there, and what a resume finds. */
#ifndef LEARN_STATE_H
#define LEARN_STATE_H

#include "learn/learn.h"

/* Where a run stands: run.json. */
typedef struct run_place {
    uint64_t step;      /* steps done */
    uint64_t tokens;    /* read by them */
    uint64_t log_bytes; /* of log.jsonl then */
    bool validation_due; /* the validation of this step was interrupted */
} run_place;

/* OUT/checkpoint-<step>: written beside it and renamed, so that it is there whole or not at all; a checkpoint of the
 * same step is replaced. *folder is freed with mem_free; NULL in ranks that do
 * not write (ranks.h). On failure nothing of it stays, and the ones before do. */
tola_status state_save(const learn_task *task, const learn_options *o, const run_place *at, char **folder,
                       tola_error *err);
/* Reads masters and moments back. TOLA_E_FORMAT where the facts are others (all of them named), unless
 * options.other_facts, or tensors do not fit. */
tola_status state_load(const learn_task *task, const learn_options *o, const char *folder, run_place *at,
                       tola_error *err);
/* Removes all but the `keep` last checkpoints, and what killed runs left of unfinished ones. */
void state_prune(const char *out, uint32_t keep);

#endif
