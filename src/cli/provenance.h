/* --provenance FILE of the verbs that make models of models: a statement of what came out of what. */
#ifndef CLI_PROVENANCE_H
#define CLI_PROVENANCE_H

#include "cli.h"

/* The row for an option table; `offset` is that of a const char *. */
#define PROVENANCE_OPTION(offset)                                                                                      \
    {                                                                                                                  \
        "provenance", 0, CLI_STRING, "FILE", "Write which files OUT was made of, by SHA-256, for sign --provenance",   \
            offset, NULL, "file"                                                                                       \
    }

/* What came out of what. Lists end in NULL, or are NULL. */
typedef struct provenance_paths {
    const char *const *models;       /* each a folder, or a file with those that belong to it */
    const char *const *more, *const *data; /* further models; other files: examples, recipes, importance matrices */
    const char *out;
    bool run; /* `out` is the folder of a run: its log and checkpoints are no part of the model */
} provenance_paths;

/* Before the work: can it be written? CLI_YES, also where `file` is NULL, or CLI_ERROR after a message. */
int provenance_ready(const char *file, const provenance_paths *paths);
/* After it; every option of the verb that was given is named. Returns as above. */
int provenance_write(const char *file, const cli_verb *verb, const void *settings, const provenance_paths *paths);

#endif
