/* tola log show: who touched what. */
#ifndef CLI_LOG_SHOW_H
#define CLI_LOG_SHOW_H

#include "cli.h"

typedef struct log_filter {
    const char *since, *digest, *verb, *user; /* NULL = any */
} log_filter;

int log_show(const char *log, const log_filter *filter);

#endif
