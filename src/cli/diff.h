/* The two faces of `tola diff`. */
#ifndef CLI_DIFF_H
#define CLI_DIFF_H

#include "cli.h"

typedef struct diff_keys {
    const char **keys;
    size_t count;
} diff_keys;

typedef struct diff_view {
    const tola_checkpoint *a, *b;
    const char *path_a, *path_b;
    const tola_diff *diff;
    double tolerance;
    const char *mapped;     /* "a" or "b": that side is seen as the GGUF file that it would become; else NULL */
    diff_keys metadata; /* keys whose values differ or that only one side has */
} diff_view;

void diff_print(const diff_view *view);
void diff_write_json(const diff_view *view);

/* "shape", "dtype", "values" or "renamed": the gravest that applies; NULL for a pair without difference and for a
 * tensor that only one side has. */
const char *diff_what(const tola_diff_tensor *t);

#endif
