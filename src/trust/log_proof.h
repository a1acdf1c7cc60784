/* A proof as it was printed, read back. */
#ifndef TRUST_LOG_PROOF_H
#define TRUST_LOG_PROOF_H

#include "trust/note.h"

typedef struct log_proof {
    bool entry; /* that entry `index` with `text` is in the tree */
    uint64_t index;
    const char *text;
    size_t text_length;
    merkle_hash path[MERKLE_PATH];
    size_t n_path;
    bool old; /* that the tree begins with one of old_size */
    uint64_t old_size;
    merkle_hash steps[MERKLE_PATH];
    size_t n_steps;
    const char *note; /* the checkpoint */
    size_t note_length;
} log_proof;

/* Text (c2sp.org/tlog-proof@v1, and before it or alone the request of c2sp.org/tlog-witness) or JSON
 * (tola.log.proof/1). What is borrowed lies in `data` or `a`. TOLA_E_FORMAT where it is neither. */
tola_status log_proof_parse(const char *data, size_t length, arena *a, log_proof *out, tola_error *err);

#endif
