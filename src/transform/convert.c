/* tola_convert: a plan, a writer, the streaming pass, what goes beside the tensors; then the output appears whole.
 *
 * Decides which plan: between Hugging Face's and GGUF's words for families that are known (families/hf_gguf.h), and
 * names as they are for everything else. */
#include "base/clock.h"
#include "base/err.h"
#include "base/options.h"
#include "base/output.h"
#include "base/text.h"
#include "families/hf_gguf.h"
#include "formats/format.h"
#include "transform/carry.h"
#include "transform/clash.h"
#include "transform/plan.h"
#include "transform/stream.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SETTLE_STEP ((uint64_t)32 << 20) /* a tenth of a second on a slow disk */

typedef struct job {
    const tola_checkpoint *in;
    const char *path;
    tola_convert_options options;
    tola_write_options write;
    const writer_format *format;
    hf_gguf_plan *mapped; /* NULL: names are kept */
    plan plan;
    tola_value metadata;
} job;

static void warn(const job *j, const char *message) {
    if (j->options.warning) j->options.warning(j->options.warning_user, message);
}

/* ---- which plan ---- */

/* What a message calls the architecture. */
static const char *architecture(const tola_checkpoint *in) {
    const tola_value *config = tola_checkpoint_config(in);
    const tola_value *classes = tola_value_get(config, "architectures");
    if (classes && classes->kind == TOLA_VALUE_ARRAY && classes->as.array.count) {
        tola_value first = tola_value_at(classes, 0);
        if (first.kind == TOLA_VALUE_STRING) return first.as.string.data;
    }
    const char *name = tola_value_str(tola_value_get(config, "model_type"), NULL);
    if (!name) name = tola_value_str(tola_value_get(tola_checkpoint_metadata(in), "general.architecture"), NULL);
    return name ? name : "this model";
}

typedef enum direction { NOT_MAPPED, TO_GGUF, TO_HF } direction;

/* Names are mapped where one side is a GGUF model and the other a Hugging Face folder. Files that do not claim to be a
 * model (no config.json, no general.architecture) only change their container. */
static direction find_direction(const job *j) {
    bool from_gguf = strcmp(tola_checkpoint_format(j->in), "gguf") == 0;
    bool to_gguf = strcmp(j->format->name, "gguf") == 0;
    if (j->options.keep_names || from_gguf == to_gguf) return NOT_MAPPED;
    if (to_gguf) return tola_checkpoint_config(j->in) ? TO_GGUF : NOT_MAPPED;
    if (!j->write.folder || !tola_value_get(tola_checkpoint_metadata(j->in), "general.architecture")) return NOT_MAPPED;
    return TO_HF;
}

static plan_tensor from_item(const hf_gguf_item *item, plan_piece *pieces) {
    for (size_t i = 0; i < item->piece_count; i++)
        pieces[i] = (plan_piece){ item->pieces[i].tensor, item->pieces[i].first_row * item->row_elements,
                                  item->pieces[i].rows * item->row_elements };
    return (plan_tensor){
        .name = item->name,
        .shape = item->shape,
        .n_dims = item->n_dims,
        .dtype = item->dtype,
        .fixed_dtype = true, /* --dtype was known when the items were made */
        .order = item->order == HF_GGUF_INTERLEAVE     ? PLAN_INTERLEAVE
                 : item->order == HF_GGUF_DEINTERLEAVE ? PLAN_DEINTERLEAVE
                                                       : PLAN_IN_ORDER,
        .heads = item->heads,
        .row_elements = item->row_elements,
        .add = item->add,
        .pieces = pieces,
        .piece_count = item->piece_count,
        .data = item->inline_data,
    };
}

static tola_status adopt_mapped(job *j, tola_error *err) {
    const hf_gguf_plan *m = j->mapped;
    size_t pieces = 0;
    for (size_t i = 0; i < m->count; i++) pieces += m->items[i].piece_count;
    arena *a = &j->plan.arena;
    plan_tensor *tensors = arena_alloc_array(a, m->count ? m->count : 1, sizeof *tensors);
    plan_piece *next = arena_alloc_array(a, pieces ? pieces : 1, sizeof *next);
    if (!tensors || !next) return err_nomem(err, "planning the conversion");
    for (size_t i = 0; i < m->count; i++) {
        tensors[i] = from_item(&m->items[i], next);
        next += m->items[i].piece_count;
    }
    for (size_t i = 0; i < m->warning_count; i++) warn(j, m->warnings[i]);
    j->metadata = m->metadata;
    return plan_adopt(&j->plan, tensors, m->count, &j->options, err);
}

static tola_status make_mapped(job *j, direction to, tola_error *err) {
    if (!hf_gguf_applies(j->in, to == TO_GGUF))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "%s has no known names in %s; --keep-names converts the container alone", architecture(j->in),
                       to == TO_GGUF ? "GGUF" : "the Hugging Face layout");
    hf_gguf_options options = { .dtype = j->options.dtype };
    TRY(to == TO_GGUF ? hf_gguf_plan_to_gguf(j->in, &options, &j->mapped, err)
                      : hf_gguf_plan_to_hf(j->in, &options, &j->mapped, err));
    return adopt_mapped(j, err);
}

static tola_status make_plan(job *j, tola_error *err) {
    direction to = find_direction(j);
    if (to != NOT_MAPPED) {
        TRY(make_mapped(j, to, err));
    } else {
        uint64_t dropped = 0;
        TRY(plan_select(&j->plan, &j->options, err));
        TRY(carry_metadata(j->in, j->format->name, j->options.dtype, &j->plan.arena, &j->metadata, &dropped, err));
        if (dropped) {
            char message[160];
            snprintf(message, sizeof message, "%llu metadata %s not carried over: %s has no place for %s",
                     (unsigned long long)dropped, dropped == 1 ? "entry was" : "entries were", j->format->name,
                     dropped == 1 ? "it" : "them");
            warn(j, message);
        }
    }
    return plan_finish(&j->plan, &j->options, j->format->name, j->format->holds, err);
}

/* ---- the output ---- */

static tola_status open_writer(job *j, tola_writer **out, tola_error *err) {
    const plan *p = &j->plan;
    tola_tensor_spec *specs = mem_calloc(p->count ? p->count : 1, sizeof *specs);
    if (!specs) return err_nomem(err, "preparing output");
    for (size_t i = 0; i < p->count; i++) {
        const plan_tensor *t = &p->tensors[i];
        specs[i] = (tola_tensor_spec){ t->name, t->shape, t->n_dims, t->dtype, t->flags };
    }
    tola_status status = tola_writer_open(j->path, specs, p->count, &j->write, out, err);
    mem_free(specs);
    return status;
}

static tola_status write_companions(const job *j, tola_writer *writer, tola_error *err) {
    if (!j->write.folder) return TOLA_OK;
    if (!j->mapped) {
        bool is_model = tola_checkpoint_config(j->in) != NULL; /* else what lies beside it is not known to be its own */
        return is_model ? carry_companions(j->in, writer, j->options.dtype, err) : TOLA_OK;
    }
    for (size_t i = 0; i < j->mapped->companion_count; i++) {
        const hf_gguf_companion *c = &j->mapped->companions[i];
        TRY(tola_writer_companion(writer, c->name, c->data, c->bytes, err));
    }
    return TOLA_OK;
}

/* The last block is in the page cache; on a slow disk most of the wait is still to come. Done here in steps, it can be
 * watched and stopped, which the final fsync cannot. */
static tola_status settle(const job *j, tola_writer *writer, tola_error *err) {
    if (!j->options.progress || !writer->file_count) return TOLA_OK;
    uint64_t *ends = mem_calloc(writer->file_count, sizeof *ends);
    if (!ends) return err_nomem(err, "syncing output");
    for (size_t i = 0; i < writer->count; i++) {
        const writer_slot *slot = &writer->slots[i];
        if (slot->offset + slot->bytes > ends[slot->file]) ends[slot->file] = slot->offset + slot->bytes;
    }
    tola_progress progress = { "syncing", 0, 0 };
    for (size_t i = 0; i < writer->file_count; i++) progress.total += ends[i];
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < writer->file_count; i++)
        for (uint64_t at = 0; at < ends[i] && status == TOLA_OK; at += SETTLE_STEP) {
            uint64_t bytes = ends[i] - at < SETTLE_STEP ? ends[i] - at : SETTLE_STEP;
            status = output_flush_wait(writer->files[i], at, bytes, err);
            progress.done += bytes;
            if (status == TOLA_OK && !j->options.progress(j->options.progress_user, &progress))
                status = err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "cancelled");
        }
    mem_free(ends);
    return status;
}

static tola_status fill(const job *j, tola_writer *writer, uint64_t *overflowed, tola_error *err) {
    stream_options options = { j->options.threads, j->options.overflow, j->options.progress, j->options.progress_user,
                               "converting" };
    TRY(write_companions(j, writer, err)); /* before the long part, so that a clash shows at once */
    TRY(clash_check_outputs(j->in, writer, err));
    TRY(stream_run(&j->plan, writer, &options, overflowed, err));
    return settle(j, writer, err);
}

static tola_status run(job *j, tola_convert_summary *summary, tola_error *err) {
    TRY(writer_find(j->path, &j->write, &j->format, err));
    TRY(clash_check_path(j->in, j->path, j->write.folder, j->write.max_shard_size != 0, err));
    TRY(make_plan(j, err));
    j->write.metadata = &j->metadata;
    tola_writer *writer = NULL;
    TRY(open_writer(j, &writer, err));
    tola_status status = fill(j, writer, &summary->overflowed, err);
    if (status != TOLA_OK) {
        tola_writer_abort(writer);
        return status;
    }
    summary->tensors = j->plan.count;
    summary->bytes_in = j->plan.bytes_in;
    summary->bytes_out = j->plan.bytes_out;
    for (size_t i = 0; i < j->plan.count; i++) {
        uint64_t file = (uint64_t)writer->slots[i].file + 1;
        if (file > summary->files) summary->files = file;
    }
    if (summary->files == 0) summary->files = 1;
    return tola_writer_finish(writer, err);
}

tola_status tola_convert(const tola_checkpoint *in, const char *path, const tola_convert_options *options,
                         tola_convert_summary *summary, tola_error *err) {
    static const tola_convert_options defaults = TOLA_CONVERT_OPTIONS_INIT;
    static const tola_write_options write_defaults = TOLA_WRITE_OPTIONS_INIT;
    double started = clock_seconds();
    job j = { .in = in, .path = path, .options = defaults, .write = write_defaults };
    TRY(options_take(&j.options, sizeof j.options, options, err));
    if (!*path) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the name of the output is empty");
    struct stat st;
    j.write.format = j.options.format;
    j.write.folder = j.options.folder || text_ends_with(path, "/") || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
    j.write.max_shard_size = j.options.max_shard_size;
    j.write.overwrite = j.options.overwrite;
    plan_init(&j.plan, in);
    tola_convert_summary done = { 0 };
    tola_status status = run(&j, &done, err);
    plan_free(&j.plan);
    hf_gguf_plan_free(j.mapped);
    if (status != TOLA_OK) return status;
    done.seconds = clock_seconds() - started;
    if (summary) *summary = done;
    return TOLA_OK;
}
