/* What perplexity and multiple choice share: a text's ids, a session, rows of scores. */
#ifndef INSIGHT_EVAL_MODEL_H
#define INSIGHT_EVAL_MODEL_H

#include "base/pool.h"
#include "insight/eval.h"

/* TOLA_E_UNSUPPORTED where the model gives no logits or has no tokenizer. */
tola_status eval_model_check(const tola_model *model, tola_error *err);

/* What the tokenizer puts before a text, TOLA_NO_TOKEN where it puts nothing. */
tola_status eval_bos(const tola_tokenizer *tokenizer, uint32_t *bos, tola_error *err);

/* Rows of logits that one step may ask for: as many as fill 64 MiB, 16 to 512, at most `wanted`. */
uint32_t eval_rows_at_once(const tola_model *model, uint64_t wanted);

typedef struct eval_session_options {
    uint32_t context, sequences, outputs;
    tola_dtype key_type, value_type;
    unsigned threads;
} eval_session_options;
tola_status eval_session(const tola_model *model, const eval_session_options *options, tola_session **out,
                         tola_error *err);

/* Progress of an evaluation in bytes of its input, and the wish to stop. */
typedef struct eval_progress {
    tola_progress_fn fn;
    void *user;
    tola_progress state;
    bool stopped;
} eval_progress;
bool eval_advance(eval_progress *p, uint64_t done); /* false: stop */
bool eval_between_steps(void *progress, size_t done, size_t total); /* a tola_step_fn; user: eval_progress */

#endif
