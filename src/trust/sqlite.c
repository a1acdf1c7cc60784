/* Loading libsqlite3. */
#include "trust/sqlite.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"

typedef struct sqlite_row {
    const char *name;
    size_t offset;
} sqlite_row;

#define ROW(name)                                                                                                      \
    { "sqlite3_" #name, offsetof(sqlite, name) }

static const sqlite_row rows[] = {
    ROW(open_v2),      ROW(close_v2),    ROW(exec),      ROW(prepare_v2),   ROW(step),         ROW(reset),
    ROW(finalize),     ROW(bind_int64),  ROW(bind_blob), ROW(bind_text),    ROW(column_int64), ROW(column_blob),
    ROW(column_bytes), ROW(column_type), ROW(errmsg),    ROW(busy_timeout), ROW(db_config),    ROW(limit),
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sqlite table;
static const char *missing = "is not there (Debian: apt install libsqlite3-0)";

static void load(void) {
    void *library = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *symbol = dlsym(library, rows[i].name);
        if (!symbol) {
            missing = "lacks functions that SQLite has since 3.31";
            dlclose(library);
            return;
        }
        /* ISO C has no conversion from void * to a function pointer; POSIX promises that the bytes mean the same */
        memcpy((char *)&table + rows[i].offset, &symbol, sizeof symbol);
    }
    missing = NULL;
}

tola_status sqlite_get(const sqlite **out, tola_error *err) {
    pthread_once(&once, load);
    if (missing)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "the access log needs SQLite: libsqlite3.so.0 %s",
                       missing);
    *out = &table;
    return TOLA_OK;
}
