/* A session's inside, for the files of this room. */
#ifndef GENERATE_SESSION_H
#define GENERATE_SESSION_H

#include "base/pool.h"
#include "base/source.h"
#include "generate/constraint.h"
#include "generate/model.h"
#include "graph/kv.h"
#include "graph/plan.h"

typedef struct session_sequence {
    kv_sequence *kv; /* kv_length is `count` between steps */
    uint32_t *ids;
    size_t count, cap;
    size_t before;  /* count when the step that is running began */
    uint64_t stamp; /* the last step that had tokens of it */
} session_sequence;

struct tola_session {
    const tola_model *model;
    uint32_t context, batch, max_outputs, sequence_count;
    session_sequence *sequences;
    pool *threads;
    graph_plan *plan;
    kv_cache *kv;
    uint64_t stamp;
    /* of one batch */
    uint32_t *ids, *positions, *rows;
    kv_sequence **of;
    /* of one step */
    float *outputs; /* (max_outputs, columns) */
    size_t columns, output_count;
    tola_step_token *tokens; /* of session_advance */
    size_t token_cap;
    constraint *constraint; /* of the text generated last; NULL */
};

/* Makes room for `count` ids. */
tola_status session_grow(session_sequence *q, size_t count, tola_error *err);
/* The sequence, or NULL with TOLA_E_ARG in *err. */
session_sequence *session_at(const tola_session *s, uint32_t sequence, tola_error *err);
/* Makes the sequence hold exactly `ids`, reading no more of them than it must, and gives the rows of those from
 * `first_output` on (which is below count). What it holds already is kept as far as it agrees; *kept says how much.
 * Where a window forbids going back, it is read from the beginning. */
tola_status session_advance(tola_session *s, uint32_t sequence, const uint32_t *ids, size_t count, size_t first_output,
                            tola_step_fn progress, void *user, size_t *kept, tola_error *err);
/* Forgets what does not agree with `ids`, and perhaps more; what is left is its length. */
size_t session_keep(session_sequence *q, const uint32_t *ids, size_t count);
/* tola_session_load from any source. */
tola_status session_load_source(tola_session *s, uint32_t sequence, source *src, void **note, size_t *note_bytes,
                                tola_error *err);

#endif
