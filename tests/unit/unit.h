/* What every unit test includes. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tola/tola.h>

/* A fresh folder under TMPDIR; unit_remove removes it. Static storage, one at a time. */
static inline const char *unit_folder(void) {
    static char path[256];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/tola-unit-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path)) abort();
    return path;
}

static inline void unit_remove(const char *folder) {
    char command[1100];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) abort();
}

/* A folder for each test: to be set up and torn down by cmocka, and paths in it, of which the last four are valid. */
static inline char *unit_here(void) {
    static char path[256];
    return path;
}

static inline int unit_set_up(void **state) {
    (void)state;
    strcpy(unit_here(), unit_folder());
    return 0;
}

static inline int unit_tear_down(void **state) {
    (void)state;
    unit_remove(unit_here());
    return 0;
}

static inline const char *unit_path(const char *name) {
    static char paths[4][600];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", unit_here(), name);
    return path;
}

static inline void unit_write(const char *path, const void *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    if (!f || (bytes && fwrite(data, 1, bytes, f) != bytes)) abort();
    if (fclose(f) != 0) abort();
}

#endif
