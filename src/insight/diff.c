/* How two checkpoints differ: names, shapes and dtypes from their headers, values in streaming passes over both. */
#include "insight/diff.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/options.h"

static bool differs(const tola_diff_tensor *t) {
    return t->a == SIZE_MAX || t->b == SIZE_MAX || t->renamed || t->shape_changed || t->dtype_changed ||
           t->values_changed;
}

static tola_status compute(diffing *d, tola_error *err) {
    TRY(diff_match_names(d, err));
    TRY(diff_match_renamed(d, err));
    TRY(diff_values(d, err));
    d->out->same = true;
    for (size_t i = 0; i < d->out->count; i++)
        if (differs(&d->out->tensors[i])) d->out->same = false;
    d->out->bytes = d->read;
    return TOLA_OK;
}

tola_status tola_diff_compute(const tola_checkpoint *a, const tola_checkpoint *b, const tola_diff_options *options,
                              tola_diff *out, tola_error *err) {
    tola_diff_options all = TOLA_DIFF_OPTIONS_INIT;
    TRY(options_take(&all, sizeof all, options, err));
    if (!(all.tolerance >= 0))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a tolerance is a number from 0 on");
    TRY(job_need_all(a, err));
    TRY(job_need_all(b, err));
    double started = clock_seconds();
    tola_diff result = { .size = sizeof result };
    diffing d = { .a = a, .b = b, .tolerance = all.tolerance, .out = &result };
    TRY(job_open(&d.job, all.threads, all.progress, all.progress_user, "comparing", 0, err));
    tola_status status = compute(&d, err);
    job_close(&d.job);
    if (status != TOLA_OK) {
        tola_diff_dispose(&result);
        return status;
    }
    result.seconds = clock_seconds() - started;
    *out = result;
    return TOLA_OK;
}

void tola_diff_dispose(tola_diff *diff) {
    if (!diff) return;
    mem_free(diff->tensors);
    diff->tensors = NULL;
    diff->count = 0;
}
