/* A small file or stdin, whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

static char *read_stream(FILE *f, const char *name, size_t limit, size_t *length) {
    size_t cap = 65536, n = 0;
    char *text = frame_alloc(cap);
    for (;;) {
        size_t got = fread(text + n, 1, cap - n - 1, f);
        n += got;
        if (got == 0 || n > limit) break;
        if (n + 1 == cap) text = frame_realloc(text, cap *= 2);
    }
    if (ferror(f) || n > limit) {
        if (n > limit)
            cli_fail("%s: more than %zu bytes", name, limit);
        else
            cli_fail("%s: %s", name, strerror(errno));
        free(text);
        return NULL;
    }
    text[n] = 0;
    *length = n;
    return text;
}

char *cli_read_all(const char *path, size_t limit, size_t *length) {
    if (strcmp(path, "-") == 0) return read_stream(stdin, "stdin", limit, length);
    FILE *f = fopen(path, "rb");
    if (!f) {
        cli_fail("%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = read_stream(f, path, limit, length);
    fclose(f);
    return text;
}
