/* A folder from one fuzz input, which is a run of "\nFILE name\n" and contents. It is on disk, since companions are
 * files. The includer defines `names`, the files that may be there, and NAMES, their number. */
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256]; /* empty until the first call of make_folder */

static void remove_folder(void) {
    if (chdir(folder) != 0) return;
    for (size_t i = 0; i < NAMES; i++) unlink(names[i]);
    if (chdir("/") == 0) rmdir(folder);
}

static void make_folder(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/tola-fuzz-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) abort();
    atexit(remove_folder);
}

static const uint8_t *find(const uint8_t *data, size_t bytes, const char *what) {
    return bytes ? memmem(data, bytes, what, strlen(what)) : NULL;
}

/* Writes each part to its file and removes the others. */
static void write_files(const uint8_t *data, size_t bytes) {
    const uint8_t *end = data + bytes;
    for (size_t i = 0; i < NAMES; i++) {
        char path[320], mark[64];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        snprintf(mark, sizeof mark, "\nFILE %s\n", names[i]);
        const uint8_t *at = find(data, bytes, mark);
        unlink(path);
        if (!at) continue;
        at += strlen(mark);
        const uint8_t *next = find(at, (size_t)(end - at), "\nFILE ");
        FILE *f = fopen(path, "wb");
        if (!f) abort();
        if (fwrite(at, 1, (size_t)((next ? next : end) - at), f) != (size_t)((next ? next : end) - at)) abort();
        fclose(f);
    }
}

#endif
