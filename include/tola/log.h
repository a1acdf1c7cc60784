/* The access log: who touched which weights, when, with what, and where the output went (docs/log.md).
 *
 * A log is an SQLite database whose entries are the leaves of a Merkle tree (RFC 6962); each append signs the new tree
 * (C2SP checkpoints, Ed25519). Needs libsqlite3 and OpenSSL 3 (libcrypto), loaded when used. `log` is always the path
 * of the database; FILE.key, FILE.pub and FILE.head lie beside it. Any number of processes may append at once. Within
 * one process calls for one log come one after another: closing a file drops all locks that the process has on it. */
#ifndef TOLA_LOG_H
#define TOLA_LOG_H

#include <tola/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- writing ---- */

typedef struct tola_log_access {
    size_t size;                /* sizeof(tola_log_access) */
    const char *verb;           /* what is done: "convert" */
    const char *const *options; /* "--name" or "--name=value", no secrets; NULL-terminated; NULL = none */
    const char *const *inputs;  /* files, folders and references that will be read; likewise */
    const char *const *outputs; /* where output will go; likewise */
    const char *key;            /* the private key; NULL = FILE.key */
    unsigned threads;           /* for hashing */
    tola_progress_fn progress;
    void *progress_user;
    uint64_t reserved[6];
} tola_log_access;

#define TOLA_LOG_ACCESS_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(tola_log_access), NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, { 0 }                                    \
    }

typedef struct tola_log_run tola_log_run;

/* Hashes the inputs and writes the entry of the beginning; it is on the disk when this returns. Makes the log and its
 * key where they are not there yet. Until tola_log_end every checkpoint that this process opens and that is none of the
 * inputs gets an entry of its own before its tensors can be read (a failure fails the opening), and files that the
 * library writes are remembered. One run at a time in a process; a forked child logs nothing. */
TOLA_API TOLA_MUST_CHECK tola_status tola_log_begin(const char *log, const tola_log_access *access, tola_log_run **out,
                                                    tola_error *err);
/* Hashes what was written and writes the entry of the end. Frees `run`, whatever is returned. `signal` 0 for none. */
TOLA_API TOLA_MUST_CHECK tola_status tola_log_end(tola_log_run *run, int exit_code, int signal, tola_error *err);

/* ---- reading ---- */

typedef struct tola_log_entry {
    uint64_t number;  /* counted from 0 */
    const char *text; /* the bytes that are hashed: one line of JSON */
    size_t length;
    const tola_value *value; /* the same, read; NULL where it is no JSON. Both live until the callback returns */
} tola_log_entry;

typedef tola_status (*tola_log_entry_fn)(void *user, const tola_log_entry *entry, tola_error *err);
/* All entries in order, as they stand: nothing is verified. Stops at the first status that is not TOLA_OK. */
TOLA_API TOLA_MUST_CHECK tola_status tola_log_read(const char *log, tola_log_entry_fn entry, void *user,
                                                   tola_error *err);

/* ---- verifying ---- */

#define TOLA_LOG_NO_ENTRY UINT64_MAX

typedef struct tola_log_problem {
    const char *kind; /* "edited", "dropped", "reordered", "added", "head", "key", "schema", "checkpoint", "damaged" */
    uint64_t entry;   /* which one; TOLA_LOG_NO_ENTRY where it is about the whole */
    const char *what; /* one line */
} tola_log_problem;

typedef struct tola_log_report {
    bool valid;
    const char *origin;
    uint64_t size;   /* entries */
    char root[48];   /* in base64 */
    const char *key; /* "NAME+ID+..." that everything was verified with */
    const tola_log_problem *problems;
    size_t n_problems;
    uint64_t unfinished; /* runs without an end: killed, or still going on */
    uint64_t entry;      /* of a proof; TOLA_LOG_NO_ENTRY */
    const char *text;    /* the entry of a proof, where the proof carries it; NULL */
    uint64_t reserved[4];
} tola_log_report;

typedef struct tola_log_verify_options {
    size_t size;
    const char *public_key; /* a file; NULL = FILE.pub */
    const char *checkpoint; /* a file with a checkpoint saved earlier, which the log must begin with; NULL */
    uint64_t reserved[6];
} tola_log_verify_options;

#define TOLA_LOG_VERIFY_OPTIONS_INIT                                                                                   \
    {                                                                                                                  \
        sizeof(tola_log_verify_options), NULL, NULL, { 0 }                                                             \
    }

/* Every entry, the tree, every signed head. What is wrong with the log is in the report; a status is for what kept it
 * from finding out: no log, no key, no checkpoint. */
TOLA_API TOLA_MUST_CHECK tola_status tola_log_verify(const char *log, const tola_log_verify_options *options,
                                                     tola_log_report **out, tola_error *err);
/* A proof (of tola_log_prove, text or JSON) held against its checkpoint and, where it is given, options.checkpoint.
 * Needs no log: options.public_key is required. */
TOLA_API TOLA_MUST_CHECK tola_status tola_log_verify_proof(const char *proof, const tola_log_verify_options *options,
                                                           tola_log_report **out, tola_error *err);
TOLA_API void tola_log_report_free(tola_log_report *report); /* NULL is fine */

/* ---- proving ---- */

typedef struct tola_log_proof {
    const char *origin;
    uint64_t size;           /* of the tree */
    const char *root;        /* in base64 */
    uint64_t entry;          /* TOLA_LOG_NO_ENTRY: no inclusion is proved */
    const char *text;        /* the entry; NULL */
    const char *const *path; /* its hashes in base64, from the leaf up */
    size_t n_path;
    bool consistency; /* that the tree begins with an older one is proved */
    uint64_t old_size;
    const char *const *steps; /* hashes in base64 */
    size_t n_steps;
    const char *checkpoint; /* the signed note */
    const char *document;   /* c2sp.org/tlog-proof@v1, c2sp.org/tlog-witness's request, or that followed by the other */
    uint64_t reserved[4];
} tola_log_proof;

/* That `entry` (TOLA_LOG_NO_ENTRY: none) is in the log, and that the log begins with the checkpoint in the file `from`
 * (NULL: none). */
TOLA_API TOLA_MUST_CHECK tola_status tola_log_prove(const char *log, uint64_t entry, const char *from,
                                                    tola_log_proof **out, tola_error *err);
TOLA_API void tola_log_proof_free(tola_log_proof *proof); /* NULL is fine */

typedef struct tola_log_checkpoint {
    char origin[256];
    uint64_t size;
    char root[48];
    char *note; /* signed; freed with tola_log_checkpoint_dispose */
} tola_log_checkpoint;

/* The newest checkpoint. `key` (NULL: none) is a private key that signs it, too. */
TOLA_API TOLA_MUST_CHECK tola_status tola_log_newest(const char *log, const char *key, tola_log_checkpoint *out,
                                                     tola_error *err);
TOLA_API void tola_log_checkpoint_dispose(tola_log_checkpoint *checkpoint);

/* ---- exposure ---- */

/* "10MB/s", "100Mbit/s", "1GB/day", "50GB/month", "200tokens/s" as bytes a second. A month has 30 days, a year 365; a
 * token is `bytes_per_token` bytes. TOLA_E_ARG for anything else. */
TOLA_API TOLA_MUST_CHECK tola_status tola_rate_parse(const char *text, double bytes_per_token, double *bytes_per_second,
                                                     tola_error *err);
/* bytes / (compression x rate), in seconds: `compression` is how many times smaller the bytes get on the way. */
TOLA_API double tola_exposure_seconds(uint64_t bytes, double compression, double bytes_per_second);

#ifdef __cplusplus
}
#endif
#endif
