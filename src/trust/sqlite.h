/* SQLite, loaded when it is first wanted: the functions that are used, as one table (https://sqlite.org/c3ref/).
 *
 * Its objects stay void pointers here, so that its header is not needed to build. */
#ifndef TRUST_SQLITE_H
#define TRUST_SQLITE_H

#include <tola/base.h>

enum { /* sqlite3.h's numbers, which its documentation promises to keep */
       SQL_OK = 0,
       SQL_BUSY = 5,
       SQL_NOMEM = 7,
       SQL_READONLY = 8,
       SQL_CORRUPT = 11,
       SQL_FULL = 13,
       SQL_CANTOPEN = 14,
       SQL_NOTADB = 26,
       SQL_ROW = 100,
       SQL_DONE = 101,
       SQL_OPEN_READWRITE = 2,
       SQL_OPEN_FULLMUTEX = 0x10000,
       SQL_TYPE_INTEGER = 1,
       SQL_TYPE_TEXT = 3,
       SQL_TYPE_BLOB = 4,
       SQL_LIMIT_LENGTH = 0,
       SQL_DBCONFIG_DEFENSIVE = 1010,
       SQL_DBCONFIG_TRUSTED_SCHEMA = 1017
};

typedef struct sqlite {
    int (*open_v2)(const char *path, void **db, int flags, const char *vfs);
    int (*close_v2)(void *db);
    int (*exec)(void *db, const char *sql, int (*row)(void *, int, char **, char **), void *user, char **message);
    int (*prepare_v2)(void *db, const char *sql, int bytes, void **statement, const char **tail);
    int (*step)(void *statement);
    int (*reset)(void *statement);
    int (*finalize)(void *statement);
    int (*bind_int64)(void *statement, int at, long long value);
    int (*bind_blob)(void *statement, int at, const void *data, int bytes, void (*destroy)(void *));
    int (*bind_text)(void *statement, int at, const char *text, int bytes, void (*destroy)(void *));
    long long (*column_int64)(void *statement, int at);
    const void *(*column_blob)(void *statement, int at);
    int (*column_bytes)(void *statement, int at);
    int (*column_type)(void *statement, int at);
    const char *(*errmsg)(void *db);
    int (*busy_timeout)(void *db, int ms);
    int (*db_config)(void *db, int what, ...);
    int (*limit)(void *db, int what, int value);
} sqlite;

/* The table, from any thread; TOLA_E_UNSUPPORTED where libsqlite3.so.0 is absent or lacks one of them. */
tola_status sqlite_get(const sqlite **out, tola_error *err);

#endif
