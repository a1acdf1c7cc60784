/* Which bytes a path stands for: SHA-256 of a file, the root digest of a folder's manifest; and what is remembered of
 * it. */
#ifndef TRUST_LOG_DIGEST_H
#define TRUST_LOG_DIGEST_H

#include "trust/log_append.h"

typedef struct log_thing {
    const char *path;    /* as the log names it: absolute, or a reference without secrets */
    const char *real;    /* behind all links; NULL where there is none */
    const char *kind;    /* "file", "folder", "remote", "stdin", "missing" */
    const char *version; /* of a remote one, as the server calls it; NULL */
    bool digested, cached;
    uint8_t digest[32];
    uint64_t bytes, files;
    const char *why; /* there is no digest; NULL */
} log_thing;

typedef struct log_hasher {
    arena a; /* of all text in things */
    const char *log;
    log_kept *kept; /* digests to be kept along with the next entry */
    size_t kept_count, kept_cap;
    unsigned threads;
    tola_progress_fn progress;
    void *user;
} log_hasher;

void log_hasher_init(log_hasher *h, const char *log);
void log_hasher_free(log_hasher *h);
/* Names it, without reading it. */
tola_status log_name(log_hasher *h, const char *path, log_thing *out, tola_error *err);
/* Hashes what log_name named. What cannot be hashed has a reason; a status is for memory and cancelling. */
tola_status log_digest(log_hasher *h, log_thing *thing, tola_error *err);
/* {"path":...,"kind":...,"digest":"sha256:...",...} */
void log_thing_json(tola_json *j, const log_thing *thing);

#endif
