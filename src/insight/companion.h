/* Small files beside the weights, read as far as one wants to look. */
#ifndef INSIGHT_COMPANION_H
#define INSIGHT_COMPANION_H

#include "base/json.h"
#include "base/mem.h"
#include <tola/checkpoint.h>

typedef struct companions {
    const tola_checkpoint *ck;
    bool remote; /* each look is a round trip */
} companions;

typedef struct companion {
    char *data; /* `bytes` bytes and a NUL */
    size_t bytes;
    bool whole; /* the file has no more bytes than these */
} companion;

void companions_init(companions *c, const tola_checkpoint *ck);
/* The first `most` bytes of a file; false where it is not there or cannot be read. companion_free afterwards. */
bool companion_read(const companions *c, const char *name, size_t most, companion *out);
void companion_free(companion *file);
/* A JSON object of at most 4 MiB as a tree in `a`. */
bool companion_json(const companions *c, const char *name, arena *a, tola_value *out);
/* Moves r to the value of `key` in the object at its beginning; false where it is not in what can be read. */
bool companion_find(json_reader *r, const char *key);

#endif
