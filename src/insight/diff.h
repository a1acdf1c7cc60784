/* Steps of tola_diff_compute, shared by its files. */
#ifndef INSIGHT_DIFF_H
#define INSIGHT_DIFF_H

#include "insight/job.h"
#include "insight/values.h"
#include <tola/insight.h>

typedef struct diffing {
    const tola_checkpoint *a, *b;
    job job;
    double tolerance;
    tola_diff *out;
    uint64_t read; /* atomic: bytes */
} diffing;

/* diff_names.c: allocates out->tensors: every tensor of A with its partner of the same name, then those only in B. */
tola_status diff_match_names(diffing *d, tola_error *err);
/* diff_names.c: joins tensors without a partner whose dtype, shape and bytes are the same. */
tola_status diff_match_renamed(diffing *d, tola_error *err);
/* diff_values.c: compares the values of all pairs. */
tola_status diff_values(diffing *d, tola_error *err);

#endif
