/* See writing.h. */
#include "transform/writing.h"
#include "base/err.h"
#include "base/output.h"
#include "base/text.h"
#include "formats/logical.h"
#include "transform/carry.h"
#include "transform/clash.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SETTLE_STEP ((uint64_t)32 << 20) /* a tenth of a second on a slow disk */

tola_status writing_init(writing *w, const tola_checkpoint *in, const char *path, const tola_convert_options *options,
                         tola_error *err) {
    static const tola_write_options defaults = TOLA_WRITE_OPTIONS_INIT;
    memset(w, 0, sizeof *w);
    plan_init(&w->plan, in);
    if (!*path) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the name of the output is empty");
    struct stat st;
    w->in = in;
    w->path = path;
    w->options = *options;
    w->write = defaults;
    w->write.format = options->format;
    w->write.folder = options->folder || text_ends_with(path, "/") || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
    w->write.max_shard_size = options->max_shard_size;
    w->write.overwrite = options->overwrite;
    return TOLA_OK;
}

void writing_free(writing *w) {
    plan_dispose(&w->plan);
    hf_gguf_plan_free(w->mapped);
    tola_checkpoint_close(w->view);
    memset(w, 0, sizeof *w);
}

void writing_warn(const writing *w, const char *message) {
    if (w->options.warning) w->options.warning(w->options.warning_user, message);
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
static direction find_direction(const writing *w) {
    bool from_gguf = strcmp(tola_checkpoint_format(w->in), "gguf") == 0;
    bool to_gguf = strcmp(w->format->name, "gguf") == 0;
    if (w->options.keep_names || from_gguf == to_gguf) return NOT_MAPPED;
    if (to_gguf) return tola_checkpoint_config(w->in) ? TO_GGUF : NOT_MAPPED;
    if (!w->write.folder || !tola_value_get(tola_checkpoint_metadata(w->in), "general.architecture")) return NOT_MAPPED;
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
        .demanded = item->fixed_dtype,
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

static tola_status adopt_mapped(writing *w, tola_error *err) {
    const hf_gguf_plan *m = w->mapped;
    size_t pieces = 0;
    for (size_t i = 0; i < m->count; i++) pieces += m->items[i].piece_count;
    arena *a = &w->plan.arena;
    plan_tensor *tensors = arena_alloc_array(a, m->count ? m->count : 1, sizeof *tensors);
    plan_piece *next = arena_alloc_array(a, pieces ? pieces : 1, sizeof *next);
    if (!tensors || !next) return err_nomem(err, "planning the conversion");
    for (size_t i = 0; i < m->count; i++) {
        tensors[i] = from_item(&m->items[i], next);
        next += m->items[i].piece_count;
    }
    for (size_t i = 0; i < m->warning_count; i++) writing_warn(w, m->warnings[i]);
    w->metadata = m->metadata;
    return plan_adopt(&w->plan, tensors, m->count, &w->options, err);
}

static tola_status make_mapped(writing *w, direction to, tola_error *err) {
    if (!hf_gguf_applies(w->in, to == TO_GGUF))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "%s has no known names in %s; --keep-names converts the container alone", architecture(w->in),
                       to == TO_GGUF ? "GGUF" : "the Hugging Face layout");
    hf_gguf_options options = { .dtype = w->options.dtype };
    TRY(to == TO_GGUF ? hf_gguf_plan_to_gguf(w->in, &options, &w->mapped, err)
                      : hf_gguf_plan_to_hf(w->in, &options, &w->mapped, err));
    return adopt_mapped(w, err);
}

static tola_status decode_matrices(writing *w, direction to, tola_error *err) {
    bool exact = w->decode_exact || w->options.dtype != TOLA_DTYPE_NONE;
    if (!exact && to != TO_GGUF) return TOLA_OK;
    TRY(logical_open(w->in, exact ? LOGICAL_EXACT : LOGICAL_MODEL, &w->view, err));
    if (!w->view) return TOLA_OK;
    w->in = w->view;
    w->plan.in = w->view;
    return TOLA_OK;
}

tola_status writing_plan(writing *w, tola_error *err) {
    TRY(writer_find(w->path, &w->write, &w->format, err));
    TRY(clash_check_path(w->in, w->path, w->write.folder, w->write.max_shard_size != 0, err));
    if (tola_checkpoint_encrypted(w->in)) writing_warn(w, "the input is encrypted, the output is not");
    direction to = find_direction(w);
    TRY(decode_matrices(w, to, err));
    if (to != NOT_MAPPED) return make_mapped(w, to, err);
    uint64_t dropped = 0;
    TRY(plan_select(&w->plan, &w->options, err));
    TRY(carry_metadata(w->in, w->format->name, w->options.dtype, &w->plan.arena, &w->metadata, &dropped, err));
    if (!w->write.folder && !w->view)
        TRY(carry_quantization(w->in, w->format->name, &w->plan.arena, &w->metadata, &dropped, err));
    if (!dropped) return TOLA_OK;
    char message[160];
    snprintf(message, sizeof message, "%llu metadata %s not carried over: %s has no place for %s",
             (unsigned long long)dropped, dropped == 1 ? "entry was" : "entries were", w->format->name,
             dropped == 1 ? "it" : "them");
    writing_warn(w, message);
    return TOLA_OK;
}

/* ---- the output ---- */

tola_status writing_open(writing *w, tola_writer **out, tola_error *err) {
    w->write.metadata = &w->metadata;
    return tola_writer_open(w->path, w->plan.outputs, w->plan.output_count, &w->write, out, err);
}

tola_status writing_measure(writing *w, uint64_t *bytes, uint64_t *files, tola_error *err) {
    w->write.metadata = &w->metadata;
    return writer_measure(w->path, w->plan.outputs, w->plan.output_count, &w->write, bytes, files, err);
}

static tola_status write_quantized(const hf_gguf_companion *c, const char *quantization, tola_writer *writer,
                                   tola_error *err) {
    buf text;
    buf_init(&text, 0);
    tola_status status = carry_config_quantized(c->data, c->bytes, quantization, &text, err);
    if (status == TOLA_OK) status = tola_writer_companion(writer, c->name, text.data, text.length, err);
    buf_free(&text);
    return status;
}

tola_status writing_companions(const writing *w, tola_writer *writer, tola_error *err) {
    if (!w->write.folder) return TOLA_OK;
    if (!w->mapped) {
        bool is_model = tola_checkpoint_config(w->in) != NULL; /* else what lies beside it is not known to be its own */
        return is_model ? carry_companions(w->in, writer, w->options.dtype, w->in->decoded, w->quantization, err)
                        : TOLA_OK;
    }
    for (size_t i = 0; i < w->mapped->companion_count; i++) {
        const hf_gguf_companion *c = &w->mapped->companions[i];
        if (w->quantization && strcmp(c->name, "config.json") == 0)
            TRY(write_quantized(c, w->quantization, writer, err));
        else
            TRY(tola_writer_companion(writer, c->name, c->data, c->bytes, err));
    }
    return TOLA_OK;
}

/* The last block is in the page cache; on a slow disk most of the wait is still to come. Done here in steps, it can be
 * watched and stopped, which the final fsync cannot. */
tola_status writing_settle(const writing *w, tola_writer *writer, tola_error *err) {
    if (!w->options.progress || !writer->file_count) return TOLA_OK;
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
            if (status == TOLA_OK && !w->options.progress(w->options.progress_user, &progress))
                status = err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "cancelled");
        }
    mem_free(ends);
    return status;
}

uint64_t writing_files(const tola_writer *writer) {
    uint64_t files = 1;
    for (size_t i = 0; i < writer->count; i++) {
        uint64_t file = (uint64_t)writer->slots[i].file + 1;
        if (file > files) files = file;
    }
    return files;
}
