/* What tola card and tola bom share. */
#ifndef CLI_PAPERS_H
#define CLI_PAPERS_H

#include "cli.h"

typedef struct papers_settings {
    const char *facts, *kind, *format, *date, *check;
    cli_list evaluations;
    bool no_digest;
} papers_settings;

#define PAPERS_OPTIONS                                                                                                 \
    {                                                                                                                  \
        "facts",                                                                                                       \
        0,                                                                                                             \
        CLI_STRING,                                                                                                    \
        "FILE",                                                                                                        \
        "What the weights do not tell (facts.yaml)",                                                                   \
        offsetof(papers_settings, facts),                                                                              \
        NULL,                                                                                                          \
        "file"                                                                                                         \
    },                                                                                                                 \
        { "eval",                                                                                                      \
          0,                                                                                                           \
          CLI_LIST,                                                                                                    \
          "FILE",                                                                                                      \
          "A result of tola eval --json that does not lie beside the weights",                                         \
          offsetof(papers_settings, evaluations),                                                                      \
          NULL,                                                                                                        \
          "file" },                                                                                                    \
        { "date",                                                                                                      \
          0,                                                                                                           \
          CLI_STRING,                                                                                                  \
          "DAY",                                                                                                       \
          "The day of the document (2026-11-22) instead of today",                                                     \
          offsetof(papers_settings, date),                                                                             \
          NULL,                                                                                                        \
          NULL },                                                                                                      \
        { "no-digest", 0,   CLI_FLAG, NULL, "Hash nothing: digests are unknown", offsetof(papers_settings, no_digest), \
          NULL,        NULL },                                                                                         \
    {                                                                                                                  \
        "check", 0, CLI_STRING, "DOCUMENT", "Hold a document against the weights instead of writing one",              \
            offsetof(papers_settings, check), NULL, "file"                                                             \
    }

/* `kinds`: the words of --kind, the first of which is `first`; ends with NULL. Returns an exit code. */
int papers_run(const papers_settings *s, const char *const *kinds, tola_paper_kind first, char **args, int n_args);

#endif
