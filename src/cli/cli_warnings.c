/* Warnings of a long job, told when it is done. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

void cli_collect_warning(void *user, const char *message) {
    cli_warnings *w = user;
    char **lines = realloc(w->lines, (w->count + 1) * sizeof *lines);
    if (!lines) return;
    w->lines = lines;
    lines[w->count] = strdup(message);
    if (lines[w->count]) w->count++;
}

void cli_warnings_free(cli_warnings *w) {
    for (size_t i = 0; i < w->count; i++) free(w->lines[i]);
    free(w->lines);
}
