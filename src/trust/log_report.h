/* A report while it is written. */
#ifndef TRUST_LOG_REPORT_H
#define TRUST_LOG_REPORT_H

#include "trust/log_db.h"
#include <tola/log.h>

enum { LOG_MOST_PROBLEMS = 100 };

typedef struct log_report {
    tola_log_report r; /* what the caller sees; first */
    arena a;           /* of all text */
    tola_log_problem *problems;
    size_t cap, left_out;
} log_report;

tola_status log_report_new(log_report **out, tola_error *err);
/* One problem more: the report is not valid. Beyond LOG_MOST_PROBLEMS they are counted. */
tola_status log_report_add(log_report *r, const char *kind, uint64_t entry, tola_error *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Valid where there is no problem; says how many were left out. */
tola_status log_report_finish(log_report *r, const note_key *key, const tree_head *head, tola_error *err);
/* A checkpoint from a file, and whether the key signed it. A file that holds none is an error. */
tola_status log_checkpoint_file(const char *path, const note_key *key, tree_head *out, bool *good, tola_error *why,
                                tola_error *err);

#endif
