/* The file of an access log: an SQLite database, and what lies beside it.
 *
 * Tables: entries (number, one line of JSON), nodes (level << 56 | index, hash of a complete subtree), heads (size, the
 * checkpoint signed when the log had that many entries), digests (identity of a file, its SHA-256: a cache, no part of
 * the log). Beside FILE: FILE.key (private), FILE.pub, FILE.head (the newest checkpoint). Nothing in the file is
 * believed: the schema is compared as text before it is used, types and lengths of each row are checked. */
#ifndef TRUST_LOG_DB_H
#define TRUST_LOG_DB_H

#include "trust/note.h"
#include "trust/sqlite.h"

enum {
    LOG_ENTRY_MOST = 16 << 20, /* bytes of an entry */
    LOG_PATH = 4200,           /* of a file beside the log */
    LOG_WAIT_MS = 60000        /* for other processes */
};

typedef struct log_db {
    const sqlite *sql;
    void *db;
    const char *path; /* borrowed */
    bool fresh;       /* there is nothing in it yet */
} log_db;

/* `create`: an absent or empty file becomes a log (mode 0600). TOLA_E_NOT_FOUND, TOLA_E_FORMAT where it is no log. */
tola_status log_db_open(const char *path, bool create, log_db *out, tola_error *err);
void log_db_close(log_db *db);
tola_status log_db_exec(log_db *db, const char *sql, tola_error *err);
/* Makes the tables of a fresh file. */
tola_status log_db_make(log_db *db, tola_error *err);
/* Is the schema what log_db_make makes? TOLA_E_FORMAT where tables are others; what else differs is told in `what` (a
 * static text), NULL where nothing does. */
tola_status log_db_check(log_db *db, const char **what, tola_error *err);
/* Is that file a log by its header, whatever is wrong with the rest? */
bool log_db_claims(const char *path);

typedef struct log_rows {
    log_db *db;
    void *statement;
} log_rows;

/* Rows of an integer and, behind it, a text or a run of bytes. */
tola_status log_rows_open(log_db *db, const char *sql, log_rows *out, tola_error *err);
/* `data` is valid until the next call. TOLA_E_FORMAT where the types are others. */
tola_status log_rows_next(log_rows *rows, bool *more, int64_t *number, const void **data, size_t *bytes,
                          tola_error *err);
void log_rows_close(log_rows *rows);

/* The largest number of a table's key + 1; 0 where it is empty. `sql` is one of these. */
#define LOG_LAST_ENTRY "SELECT max(n), NULL FROM entries"
#define LOG_LAST_HEAD "SELECT max(size), NULL FROM heads"
tola_status log_db_last(log_db *db, const char *sql, bool *any, int64_t *last, tola_error *err);
/* One row by its number. */
#define LOG_GET_ENTRY "SELECT n, body FROM entries WHERE n = ?1"
#define LOG_GET_HEAD "SELECT size, note FROM heads WHERE size = ?1"
#define LOG_GET_NODE "SELECT id, hash FROM nodes WHERE id = ?1"
tola_status log_db_get(log_db *db, const char *sql, int64_t number, buf *out, bool *found, tola_error *err);
#define LOG_PUT_ENTRY "INSERT INTO entries(n, body) VALUES(?1, ?2)"
#define LOG_PUT_HEAD "INSERT INTO heads(size, note) VALUES(?1, ?2)"
#define LOG_PUT_NODE "INSERT INTO nodes(id, hash) VALUES(?1, ?2)"
tola_status log_db_put(log_db *db, const char *sql, int64_t number, const void *data, size_t bytes, bool text,
                       tola_error *err);
/* The cache of digests. */
tola_status log_db_digest(log_db *db, const char *identity, uint8_t out[32], bool *found, tola_error *err);
tola_status log_db_keep_digest(log_db *db, const char *identity, const uint8_t digest[32], tola_error *err);

/* A merkle_get_fn; user: log_db. */
tola_status log_db_node(void *db, unsigned level, uint64_t index, merkle_hash out, tola_error *err);
static inline int64_t log_node_id(unsigned level, uint64_t index) { return (int64_t)((uint64_t)level << 56 | index); }

/* "FILE.key" and its like. */
tola_status log_beside(const char *path, const char *ending, char out[LOG_PATH], tola_error *err);
/* The newest checkpoint beside the log into `text`, under a lock; *found false where there is none. */
tola_status log_head_read(const char *path, buf *text, bool *found, tola_error *err);
/* Replaces it, where that one is of a smaller tree. */
tola_status log_head_write(const char *path, uint64_t size, const buf *text, tola_error *err);
/* Parses a checkpoint and verifies the key's signature. Messages begin with a verb: "is no ...". */
tola_status log_checkpoint_read(const void *text, size_t length, const note_key *key, tree_head *out, tola_error *err);

#endif
