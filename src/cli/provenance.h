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

/* Before the work: can it be written? CLI_YES, also where `file` is NULL, or CLI_ERROR after a message. */
int provenance_ready(const char *file, const tola_checkpoint *in, const char *in_path);
/* After it. `more` (NULL-terminated, or NULL) are further inputs; every option of the verb that was given is named.
 * Call while `in` is open. Returns as above. */
int provenance_write(const char *file, const cli_verb *verb, const void *settings, const tola_checkpoint *in,
                     const char *in_path, const char *const *more, const char *out);

#endif
