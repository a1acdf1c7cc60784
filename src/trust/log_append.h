/* One entry more: durable when this returns. */
#ifndef TRUST_LOG_APPEND_H
#define TRUST_LOG_APPEND_H

#include "trust/log_db.h"
#include <tola/json.h>

/* Writes the members of an entry behind its number and time. */
typedef void (*log_body_fn)(void *user, tola_json *j);

/* A digest that is kept along. */
typedef struct log_kept {
    const char *identity;
    uint8_t digest[32];
} log_kept;

/* Makes the log, and the key at `key` (NULL: FILE.key), where they are not there yet. The newest head must fit, or
 * TOLA_E_FORMAT: nothing is appended to a log that was tampered with. */
tola_status log_append(const char *path, const char *key, log_body_fn body, void *user, const log_kept *kept,
                       size_t kept_count, uint64_t *number, tola_error *err);
/* The key that entry 0 names. */
tola_status log_key_of(log_db *db, note_key *out, tola_error *err);

#endif
