/* What verbs share that write a model: convert and merge. */
#ifndef CLI_CONVERT_H
#define CLI_CONVERT_H

#include "cli.h"

/* How it went, as text or as JSON under this schema; frees the warnings. Returns the exit code. */
int convert_report(const char *schema, const char *out, tola_status status, const tola_error *err,
                   const tola_convert_summary *summary, cli_warnings *w);

#endif
