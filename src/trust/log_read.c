/* Entries in their order, as they stand. */
#include "base/err.h"
#include "base/json.h"
#include "trust/log_db.h"
#include <tola/log.h>

enum { TREE_MOST = 256 << 20 }; /* of one entry's JSON */

static tola_status tell(const void *data, size_t bytes, int64_t number, tola_log_entry_fn fn, void *user,
                        tola_error *err) {
    arena a;
    tola_value value;
    tola_log_entry e = { (uint64_t)number, data, bytes, NULL };
    arena_init(&a, TREE_MOST);
    tola_status status = json_parse(data, bytes, &a, &value, NULL);
    if (status == TOLA_OK) e.value = &value;
    status = status == TOLA_E_NOMEM ? err_nomem(err, "reading the log") : fn(user, &e, err);
    arena_free(&a);
    return status;
}

static tola_status read_all(log_db *db, tola_log_entry_fn fn, void *user, tola_error *err) {
    const char *other;
    log_rows rows;
    bool more;
    int64_t number;
    const void *data;
    size_t bytes;
    TRY(log_db_exec(db, "BEGIN", err));
    TRY(log_db_check(db, &other, err));
    if (db->fresh) return TOLA_OK;
    TRY(log_rows_open(db, "SELECT n, body FROM entries ORDER BY n", &rows, err));
    tola_status status;
    while ((status = log_rows_next(&rows, &more, &number, &data, &bytes, err)) == TOLA_OK && more)
        if ((status = tell(data, bytes, number, fn, user, err)) != TOLA_OK) break;
    log_rows_close(&rows);
    return status;
}

tola_status tola_log_read(const char *log, tola_log_entry_fn entry, void *user, tola_error *err) {
    log_db db;
    TRY(log_db_open(log, false, &db, err));
    tola_status status = read_all(&db, entry, user, err);
    log_db_close(&db);
    return status == TOLA_OK ? status : err_in_file(err, status, log);
}
