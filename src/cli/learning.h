/* What the verbs that train a model share: lines while it runs, the result at its end. */
#ifndef CLI_LEARNING_H
#define CLI_LEARNING_H

#include "cli.h"
#include "curves.h"
#include "measure.h"
#include "provenance.h"

typedef struct learning_show {
    const char *unit; /* of speed: "tokens", "rows"; NULL: the summary says */
    const tola_train_summary *summary;
    void (*describe)(const tola_train_summary *summary); /* NULL: nothing is said before memory */
    double told;                                         /* when the last line was written */
} learning_show;

/* A tola_learn_event_fn; `user` is a learning_show. */
bool learning_event(void *user, const tola_learn_event *event);
void learning_memory(const tola_learn_memory *memory);
void learning_text(const tola_learn_result *result, const char *out);
/* provenance_write for a run that came to its end; of one that was stopped, a warning says that there is none. */
int learning_provenance(const char *file, const cli_verb *verb, const void *settings, const provenance_paths *paths,
                        const tola_learn_result *result);
/* The curves of the run as a picture in `out` and, where somebody looks, on the terminal. */
int learning_curves(const char *out);
/* Members of the summary's object; out NULL: nothing was run. */
void learning_json(tola_json *json, const tola_learn_result *result, const char *out);

#endif
