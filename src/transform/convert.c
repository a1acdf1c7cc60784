/* tola_convert: a plan, a writer, the streaming pass, what goes beside the tensors; then the output appears whole. */
#include "base/clock.h"
#include "base/err.h"
#include "base/options.h"
#include "transform/clash.h"
#include "transform/stream.h"
#include "transform/writing.h"

static tola_status fill(const writing *w, tola_writer *writer, uint64_t *overflowed, tola_error *err) {
    stream_options options = { .threads = w->options.threads, .overflow = w->options.overflow,
                               .progress = w->options.progress, .progress_user = w->options.progress_user,
                               .phase = "converting" };
    TRY(writing_companions(w, writer, err));
    TRY(clash_check_outputs(w->in, writer, err));
    TRY(stream_run(&w->plan, writer, &options, overflowed, err));
    return writing_settle(w, writer, err);
}

static tola_status run(writing *w, tola_convert_summary *summary, tola_error *err) {
    TRY(writing_plan(w, err));
    TRY(plan_finish(&w->plan, &w->options, w->format->name, w->format->holds, err));
    tola_writer *writer = NULL;
    TRY(writing_open(w, &writer, err));
    tola_status status = fill(w, writer, &summary->overflowed, err);
    if (status != TOLA_OK) {
        tola_writer_abort(writer);
        return status;
    }
    summary->tensors = w->plan.count;
    summary->bytes_in = w->plan.bytes_in;
    summary->bytes_out = w->plan.bytes_out;
    summary->files = writing_files(writer);
    return tola_writer_finish(writer, err);
}

tola_status tola_convert(const tola_checkpoint *in, const char *path, const tola_convert_options *options,
                         tola_convert_summary *summary, tola_error *err) {
    tola_convert_options all = TOLA_CONVERT_OPTIONS_INIT;
    tola_convert_summary done = { 0 };
    double started = clock_seconds();
    TRY(options_take(&all, sizeof all, options, err));
    writing w;
    tola_status status = writing_init(&w, in, path, &all, err);
    if (status == TOLA_OK) status = run(&w, &done, err);
    writing_free(&w);
    if (status != TOLA_OK) return status;
    done.seconds = clock_seconds() - started;
    if (summary) *summary = done;
    return TOLA_OK;
}
