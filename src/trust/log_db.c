/* The database of an access log. */
#include "trust/log_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define APPLICATION 0x746f6c61 /* "tola", as SQLite keeps it at offset 68 of the file */

typedef struct schema_row {
    const char *type, *name, *sql;
} schema_row;

#define KEPT(table, event)                                                                                             \
    "CREATE TRIGGER " table "_no_" event " BEFORE " event " ON " table                                                 \
    " BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"

/* In the order of names. A trigger stops an accident; whoever means it removes the trigger, and verify tells. */
static const schema_row schema[] = {
    { "table", "digests", "CREATE TABLE digests(file TEXT PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID" },
    { "table", "entries", "CREATE TABLE entries(n INTEGER PRIMARY KEY, body TEXT NOT NULL)" },
    { "trigger", "entries_no_DELETE", KEPT("entries", "DELETE") },
    { "trigger", "entries_no_UPDATE", KEPT("entries", "UPDATE") },
    { "table", "heads", "CREATE TABLE heads(size INTEGER PRIMARY KEY, note TEXT NOT NULL)" },
    { "trigger", "heads_no_DELETE", KEPT("heads", "DELETE") },
    { "trigger", "heads_no_UPDATE", KEPT("heads", "UPDATE") },
    { "table", "nodes", "CREATE TABLE nodes(id INTEGER PRIMARY KEY, hash BLOB NOT NULL)" },
    { "trigger", "nodes_no_DELETE", KEPT("nodes", "DELETE") },
    { "trigger", "nodes_no_UPDATE", KEPT("nodes", "UPDATE") },
};
enum { SCHEMA = sizeof schema / sizeof *schema };

/* ---- failing ---- */

static tola_status fail(const log_db *db, int code, tola_error *err) {
    switch (code & 0xff) {
    case SQL_NOMEM: return err_nomem(err, "the access log");
    case SQL_BUSY:
        return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "another program has locked the log for more than %d s",
                       LOG_WAIT_MS / 1000);
    case SQL_CORRUPT:
    case SQL_NOTADB: return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the database is damaged");
    default: return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "%s", db->sql->errmsg(db->db));
    }
}

tola_status log_db_exec(log_db *db, const char *sql, tola_error *err) {
    int code = db->sql->exec(db->db, sql, NULL, NULL, NULL);
    return code == SQL_OK ? TOLA_OK : fail(db, code, err);
}

/* ---- opening ---- */

/* The first bytes of an SQLite file; false where it has fewer. */
static bool read_header(const char *path, uint8_t header[100]) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = pread(fd, header, 100, 0);
    close(fd);
    return n == 100;
}

bool log_db_claims(const char *path) {
    uint8_t h[100];
    return read_header(path, h) && memcmp(h, "SQLite format 3", 16) == 0 &&
           ((uint32_t)h[68] << 24 | (uint32_t)h[69] << 16 | (uint32_t)h[70] << 8 | h[71]) == APPLICATION;
}

/* An empty file for what is not there yet: SQLite would make one that all may read. */
static tola_status find_file(const char *path, bool create, bool *empty, tola_error *err) {
    struct stat st;
    if (create) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) return err_errno(err, errno, "cannot open", path);
        close(fd);
    }
    if (stat(path, &st) != 0) return err_errno(err, errno, "cannot open", path);
    if (!S_ISREG(st.st_mode)) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is no file", path);
    *empty = st.st_size == 0;
    return TOLA_OK;
}

tola_status log_db_open(const char *path, bool create, log_db *out, tola_error *err) {
    log_db db = { .path = path };
    bool empty;
    TRY(sqlite_get(&db.sql, err));
    TRY(find_file(path, create, &empty, err));
    if (empty && !create) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is no access log: it is empty", path);
    if (!empty && !log_db_claims(path)) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is no access log", path);
    int code = db.sql->open_v2(path, &db.db, SQL_OPEN_READWRITE | SQL_OPEN_FULLMUTEX, NULL);
    if (code == SQL_OK) {
        db.sql->busy_timeout(db.db, LOG_WAIT_MS);
        db.sql->limit(db.db, SQL_LIMIT_LENGTH, 2 * LOG_ENTRY_MOST);
        db.sql->db_config(db.db, SQL_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
        db.sql->db_config(db.db, SQL_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
        /* EXTRA syncs the folder, too, so that no journal comes back after a power cut and undoes a commit */
        code = db.sql->exec(db.db, "PRAGMA synchronous=EXTRA; PRAGMA mmap_size=0; PRAGMA cell_size_check=ON", NULL,
                            NULL, NULL);
    }
    if (code != SQL_OK) {
        tola_status status = db.db ? fail(&db, code, err) : err_nomem(err, "the access log");
        log_db_close(&db);
        return status == TOLA_E_NOMEM ? status : err_in_file(err, status, path);
    }
    *out = db;
    return TOLA_OK;
}

void log_db_close(log_db *db) {
    if (db->db) db->sql->close_v2(db->db);
    db->db = NULL;
}

tola_status log_db_make(log_db *db, tola_error *err) {
    char text[64];
    for (size_t i = 0; i < SCHEMA; i++) TRY(log_db_exec(db, schema[i].sql, err));
    snprintf(text, sizeof text, "PRAGMA application_id=%d; PRAGMA user_version=1", APPLICATION);
    return log_db_exec(db, text, err);
}

/* ---- the schema ---- */

typedef struct schema_seen {
    bool seen[SCHEMA], other, table;
    size_t rows;
} schema_seen;

static int see(void *user, int columns, char **values, char **names) {
    schema_seen *s = user;
    (void)names;
    if (columns != 3 || !values[0] || !values[1] || !values[2]) {
        s->other = true;
        return 0;
    }
    s->rows++;
    for (size_t i = 0; i < SCHEMA; i++)
        if (strcmp(values[0], schema[i].type) == 0 && strcmp(values[1], schema[i].name) == 0 &&
            strcmp(values[2], schema[i].sql) == 0) {
            s->seen[i] = true;
            return 0;
        }
    s->other = true;
    return 0;
}

tola_status log_db_check(log_db *db, const char **what, tola_error *err) {
    schema_seen s = { .rows = 0 };
    int code = db->sql->exec(db->db, "SELECT type, name, sql FROM sqlite_master", see, &s, NULL);
    if (code != SQL_OK) return fail(db, code, err);
    db->fresh = s.rows == 0 && !s.other;
    *what = NULL;
    if (db->fresh) return TOLA_OK;
    bool tables = true, triggers = true;
    for (size_t i = 0; i < SCHEMA; i++) *(schema[i].type[1] == 'a' ? &tables : &triggers) &= s.seen[i];
    if (!tables) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no access log: its tables are others");
    if (!triggers) *what = "triggers that keep the log append-only were removed from the database";
    if (s.other) *what = "something was added to the tables of the database";
    return TOLA_OK;
}

/* ---- rows ---- */

tola_status log_rows_open(log_db *db, const char *sql, log_rows *out, tola_error *err) {
    void *statement = NULL;
    int code = db->sql->prepare_v2(db->db, sql, -1, &statement, NULL);
    if (code != SQL_OK) return fail(db, code, err);
    *out = (log_rows){ db, statement };
    return TOLA_OK;
}

void log_rows_close(log_rows *rows) {
    if (rows->statement) rows->db->sql->finalize(rows->statement);
    rows->statement = NULL;
}

tola_status log_rows_next(log_rows *rows, bool *more, int64_t *number, const void **data, size_t *bytes,
                          tola_error *err) {
    const sqlite *sql = rows->db->sql;
    int code = sql->step(rows->statement);
    *more = code == SQL_ROW;
    if (code == SQL_DONE) return TOLA_OK;
    if (code != SQL_ROW) return fail(rows->db, code, err);
    int type = sql->column_type(rows->statement, 1);
    if (sql->column_type(rows->statement, 0) != SQL_TYPE_INTEGER || (type != SQL_TYPE_TEXT && type != SQL_TYPE_BLOB))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a row has values of other types");
    *number = sql->column_int64(rows->statement, 0);
    *data = sql->column_blob(rows->statement, 1);
    *bytes = (size_t)sql->column_bytes(rows->statement, 1);
    if (!*data) *data = ""; /* an empty run of bytes */
    return TOLA_OK;
}

tola_status log_db_last(log_db *db, const char *sql, bool *any, int64_t *last, tola_error *err) {
    log_rows rows;
    TRY(log_rows_open(db, sql, &rows, err));
    tola_status status = TOLA_OK;
    int code = db->sql->step(rows.statement);
    if (code == SQL_ROW) {
        *any = db->sql->column_type(rows.statement, 0) == SQL_TYPE_INTEGER;
        *last = *any ? db->sql->column_int64(rows.statement, 0) : 0;
    } else {
        status = fail(db, code, err);
    }
    log_rows_close(&rows);
    return status;
}

tola_status log_db_get(log_db *db, const char *sql, int64_t number, buf *out, bool *found, tola_error *err) {
    log_rows rows;
    const void *data;
    size_t bytes;
    int64_t got;
    TRY(log_rows_open(db, sql, &rows, err));
    db->sql->bind_int64(rows.statement, 1, number);
    tola_status status = log_rows_next(&rows, found, &got, &data, &bytes, err);
    out->length = 0;
    if (status == TOLA_OK && *found) {
        buf_append(out, data, bytes);
        if (out->failed) status = err_nomem(err, "the access log");
    }
    log_rows_close(&rows);
    return status;
}

static tola_status run_once(log_db *db, void *statement, tola_error *err) {
    int code = db->sql->step(statement);
    tola_status status = code == SQL_DONE ? TOLA_OK : fail(db, code, err);
    db->sql->finalize(statement);
    return status;
}

tola_status log_db_put(log_db *db, const char *sql, int64_t number, const void *data, size_t bytes, bool text,
                       tola_error *err) {
    log_rows rows;
    if (bytes > LOG_ENTRY_MOST) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "an entry has more than 16 MiB");
    TRY(log_rows_open(db, sql, &rows, err));
    db->sql->bind_int64(rows.statement, 1, number);
    if (text)
        db->sql->bind_text(rows.statement, 2, data, (int)bytes, NULL);
    else
        db->sql->bind_blob(rows.statement, 2, data, (int)bytes, NULL);
    return run_once(db, rows.statement, err);
}

tola_status log_db_node(void *user, unsigned level, uint64_t index, merkle_hash out, tola_error *err) {
    buf b;
    bool found = false;
    buf_init(&b, 256);
    tola_status status = log_db_get(user, LOG_GET_NODE, log_node_id(level, index), &b, &found, err);
    if (status == TOLA_OK && (!found || b.length != MERKLE_BYTES))
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the tree lacks node %llu of level %u",
                         (unsigned long long)index, level);
    if (status == TOLA_OK) memcpy(out, b.data, MERKLE_BYTES);
    buf_free(&b);
    return status;
}

tola_status log_db_digest(log_db *db, const char *identity, uint8_t out[32], bool *found, tola_error *err) {
    log_rows rows;
    const void *data;
    size_t bytes;
    int64_t one;
    TRY(log_rows_open(db, "SELECT 1, digest FROM digests WHERE file = ?1", &rows, err));
    db->sql->bind_text(rows.statement, 1, identity, (int)strlen(identity), NULL);
    tola_status status = log_rows_next(&rows, found, &one, &data, &bytes, err);
    if (status == TOLA_OK && *found) {
        *found = bytes == 32;
        if (*found) memcpy(out, data, 32);
    }
    log_rows_close(&rows);
    return status;
}

tola_status log_db_keep_digest(log_db *db, const char *identity, const uint8_t digest[32], tola_error *err) {
    log_rows rows;
    TRY(log_rows_open(db, "INSERT OR REPLACE INTO digests(file, digest) VALUES(?1, ?2)", &rows, err));
    db->sql->bind_text(rows.statement, 1, identity, (int)strlen(identity), NULL);
    db->sql->bind_blob(rows.statement, 2, digest, 32, NULL);
    return run_once(db, rows.statement, err);
}

/* ---- beside it ---- */

tola_status log_beside(const char *path, const char *ending, char out[LOG_PATH], tola_error *err) {
    int n = snprintf(out, LOG_PATH, "%s%s", path, ending);
    if (n > 0 && n < LOG_PATH) return TOLA_OK;
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the path of the log is too long");
}

static tola_status read_locked(int fd, const char *path, buf *text, tola_error *err) {
    char block[4096];
    text->length = 0;
    for (;;) {
        ssize_t n = pread(fd, block, sizeof block, (off_t)text->length);
        if (n < 0) return err_errno(err, errno, "cannot read", path);
        if (n == 0) return TOLA_OK;
        buf_append(text, block, (size_t)n);
        if (text->failed && !text->full) return err_nomem(err, "the newest head");
        if (text->failed) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is no checkpoint of a log", path);
    }
}

tola_status log_head_read(const char *path, buf *text, bool *found, tola_error *err) {
    char name[LOG_PATH];
    TRY(log_beside(path, ".head", name, err));
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    *found = fd >= 0;
    if (fd < 0) return errno == ENOENT ? TOLA_OK : err_errno(err, errno, "cannot open", name);
    tola_status status = TOLA_OK;
    if (flock(fd, LOCK_SH) != 0) status = err_errno(err, errno, "cannot lock", name);
    if (status == TOLA_OK) status = read_locked(fd, name, text, err);
    close(fd);
    return status;
}

tola_status log_checkpoint_read(const void *text, size_t length, const note_key *key, tree_head *out, tola_error *err) {
    signed_note n;
    TRY(note_parse(text, length, &n, err));
    if (key) TRY(note_verify(&n, key, err));
    return checkpoint_parse(&n, out, err);
}

/* Written in place, shorter than a sector, so that no lock is on a file that is no longer there. */
tola_status log_head_write(const char *path, uint64_t size, const buf *text, tola_error *err) {
    char name[LOG_PATH];
    tree_head before;
    buf old;
    TRY(log_beside(path, ".head", name, err));
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
    if (fd < 0) return err_errno(err, errno, "cannot open", name);
    buf_init(&old, 1 << 16);
    tola_status status = TOLA_OK;
    if (flock(fd, LOCK_EX) != 0) status = err_errno(err, errno, "cannot lock", name);
    if (status == TOLA_OK) status = read_locked(fd, name, &old, err);
    bool newer = status == TOLA_OK && log_checkpoint_read(old.data, old.length, NULL, &before, NULL) == TOLA_OK &&
                 before.size >= size;
    if (status == TOLA_OK && !newer &&
        (pwrite(fd, text->data, text->length, 0) != (ssize_t)text->length || ftruncate(fd, (off_t)text->length) != 0 ||
         fdatasync(fd) != 0))
        status = err_errno(err, errno ? errno : EIO, "cannot write", name);
    buf_free(&old);
    close(fd);
    return status;
}
