/* Training from a recipe, with or without a teacher: what the verbs share. */
#ifndef CLI_TRAINING_H
#define CLI_TRAINING_H

#include "provenance.h"

/* The first settings of both verbs. */
typedef struct training_settings {
    const char *out, *provenance;
    bool resume, other, dry;
} training_settings;

#define TRAINING_OPTIONS(type, member, folder)                                                                         \
    { "out", 'o', CLI_STRING, "DIR", folder, offsetof(type, member.out), NULL, "file" },                               \
        { "resume", 0, CLI_FLAG, NULL, "Go on from the last checkpoint in DIR, where there is one",                    \
          offsetof(type, member.resume), NULL, NULL },                                                                 \
        { "changed", 0, CLI_FLAG, NULL, "With --resume: even though recipe or data have changed since",                \
          offsetof(type, member.other), NULL, NULL },                                                                  \
        PROVENANCE_OPTION(offsetof(type, member.provenance)),                                                          \
    {                                                                                                                  \
        "dry-run", 0, CLI_FLAG, NULL, "Read recipe and data, say how much memory it would take, and stop",             \
            offsetof(type, member.dry), NULL, NULL                                                                     \
    }

typedef tola_status (*training_fn)(const void *user, const tola_train_options *options, tola_train_summary *summary,
                                   tola_learn_result *result, tola_error *err);
/* What it is made of, for --provenance and warnings; lists end in NULL. `settings` are those of the verb. */
typedef struct training_origin {
    const cli_verb *verb;
    const void *settings;
    const char *const *models, *const *more, *const *data;
} training_origin;
/* Runs it and tells how it went; the exit code. */
int training_run(const training_settings *s, const char *out, const char *schema, training_fn train, const void *user,
                 const training_origin *origin);
/* A folder called as a recipe is, without its ending: "runs/mnist.yaml" -> "mnist"; NULL for other names. */
char *training_folder(const char *recipe);

#endif
