/* tola_quantize: the plan that convert would make, a type for each tensor, one streaming pass that encodes, figures.
 *
 * Order: what OUT is and what the type means there -> plan (names as convert has them, over the logical view of an
 * input under a scheme) -> types (quantize_choose.c), under a bound chosen again by measured errors (quantize_bound.c)
 * -> writer -> stream -> result. A dry run ends before the writer. */
#include "transform/quantize.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/options.h"
#include "base/path.h"
#include "base/text.h"
#include "codecs/codec.h"
#include "families/families.h"
#include "transform/carry.h"
#include "transform/clash.h"
#include "transform/stream.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define QUANTIZATION_VERSION 2 /* GGML_QNT_VERSION of ggml.h: general.quantization_version of what is written */
#define FILE_TYPE_GUESSED 1024 /* LLAMA_FTYPE_GUESSED: no one type describes the file */

/* ---- options ---- */

static tola_status check_options(const tola_quantize_options *o, tola_error *err) {
    const char *cause = NULL;
    bool bound = o->max_bytes || o->bits != 0;
    if (!o->to && !bound)
        cause = "there is neither a type (--to) nor a bound (--max-size, --bits)";
    else if (o->max_bytes && o->bits != 0)
        cause = "a bound on bytes (--max-size) and one on bits (--bits) exclude each other";
    else if (o->to && bound)
        cause = "a type for all (--to) and a bound that chooses types (--max-size, --bits) exclude each other";
    else if (!(o->bits >= 0) || o->bits > 64)
        cause = "bits per weight (--bits) are between 0 and 64";
    return cause ? err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s", cause) : TOLA_OK;
}

static bool to_folder(const tola_quantize_options *o, const char *path) {
    struct stat st;
    return o->folder || text_ends_with(path, "/") || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

static void fill_convert(const quantize_job *j, tola_convert_options *c) {
    const tola_quantize_options *o = &j->options;
    c->format = j->format.container;
    c->max_shard_size = o->max_shard_size;
    c->include = o->include;
    c->exclude = o->exclude;
    c->overwrite = o->overwrite;
    c->folder = o->folder;
    c->keep_names = o->keep_names;
    c->threads = o->threads;
    c->progress = o->progress;
    c->progress_user = o->progress_user;
    c->warning = o->warning;
    c->warning_user = o->warning_user;
}

/* ---- the plan ---- */

static void describe_model(quantize_job *j) {
    const tola_value *metadata = &j->w.metadata;
    const char *architecture = tola_value_str(tola_value_get(metadata, "general.architecture"), NULL);
    j->has_model = architecture && strcmp(j->format.container, "gguf") == 0;
    if (!j->has_model) return;
    family_hyper h;
    families_hyper_gguf(metadata, &h);
    j->model = (mixture_model){ .architecture = architecture,
                                .layers = (uint32_t)h.layers,
                                .heads = (uint32_t)h.heads,
                                .heads_kv = (uint32_t)h.kv_heads,
                                .experts = (uint32_t)h.experts,
                                .has_importance = j->importance != NULL,
                                .tied = true };
    for (size_t i = 0; i < j->w.plan.count; i++)
        if (strcmp(j->w.plan.tensors[i].name, "output.weight") == 0) j->model.tied = false;
}

static tola_status make_targets(quantize_job *j, tola_error *err) {
    size_t count = j->w.plan.count ? j->w.plan.count : 1;
    j->targets = mem_calloc(count, sizeof *j->targets);
    j->encodes = mem_calloc(count, sizeof *j->encodes);
    return j->targets && j->encodes ? TOLA_OK : err_nomem(err, "choosing types");
}

/* Numbers that change their type go through the encoder, which counts and measures. */
static void attach_encoders(quantize_job *j) {
    j->fallbacks = 0;
    for (size_t i = 0; i < j->w.plan.count; i++) {
        plan_tensor *t = &j->w.plan.tensors[i];
        bool given = j->targets[i].type != NULL, block = tola_dtype_get_kind((tola_dtype)t->from) == TOLA_KIND_BLOCK;
        j->fallbacks += j->targets[i].wanted != NULL;
        if (!t->encode && t->piece_count && t->elements && t->from != t->dtype && (given || block))
            t->encode = &j->encodes[i];
    }
}

/* ---- metadata ---- */

static tola_value u32_value(uint32_t n) {
    tola_value v = { .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U32 };
    v.as.u64 = n;
    return v;
}

static tola_value text_value(const char *text) {
    tola_value v = { .kind = TOLA_VALUE_STRING };
    v.as.string = (tola_string){ text, strlen(text) };
    return v;
}

/* The file type of the block type that holds most bytes. */
static uint32_t prevailing_file_type(const quantize_job *j) {
    uint64_t bytes[TOLA_DTYPE_COUNT] = { 0 };
    unsigned most = TOLA_DTYPE_NONE;
    for (size_t i = 0; i < j->w.plan.count; i++) {
        const plan_tensor *t = &j->w.plan.tensors[i];
        bytes[t->dtype] += t->n_dims >= 2 ? t->bytes : 0;
        if (bytes[t->dtype] > bytes[most]) most = t->dtype;
    }
    const mixture *m = mixture_find(tola_dtype_name((tola_dtype)most));
    for (size_t k = 0; !m && mixture_at(k); k++)
        if (mixture_base(mixture_at(k)) == (tola_dtype)most) m = mixture_at(k);
    return m ? mixture_file_type(m) : FILE_TYPE_GUESSED;
}

static void set_member(tola_member *members, size_t *count, const char *key, tola_value value) {
    size_t i = 0, length = strlen(key);
    while (i < *count && !(members[i].key.length == length && memcmp(members[i].key.data, key, length) == 0)) i++;
    members[i] = (tola_member){ { key, length }, value };
    if (i == *count) ++*count;
}

/* Modules that a configuration would take for quantized ones and that are not: "lm_head". */
static tola_status list_ignored(const quantize_job *j, const char ***out, size_t *count, tola_error *err) {
    arena *a = (arena *)&j->w.plan.arena;
    const char **list = arena_alloc_array(a, j->w.plan.count + 1, sizeof *list);
    if (!list) return err_nomem(err, "preparing config.json");
    *count = 0;
    for (size_t i = 0; i < j->w.plan.count; i++) {
        const plan_tensor *t = &j->w.plan.tensors[i];
        bool matrix = t->n_dims == 2 && text_ends_with(t->name, ".weight");
        if (!matrix || (t->encode && t->encode->scheme)) continue;
        if (families_role(t->name, (tola_dtype)t->from, t->n_dims) == TOLA_ROLE_EMBEDDING) continue;
        list[*count] = arena_strndup(a, t->name, strlen(t->name) - strlen(".weight"));
        if (!list[(*count)++]) return err_nomem(err, "preparing config.json");
    }
    *out = list;
    return TOLA_OK;
}

static bool to_buf(void *user, const char *text, size_t length) {
    buf_append(user, text, length);
    return !((buf *)user)->failed;
}

/* What config.json, or the metadata of a file that has none beside it, says of the scheme. */
static tola_status describe_scheme(quantize_job *j, tola_error *err) {
    const char **ignored;
    size_t count;
    scheme_params params = j->kept->params;
    for (size_t i = 0; i < j->w.plan.count; i++)
        if (j->encodes[i].scheme) params = j->encodes[i].layout.params;
    TRY(list_ignored(j, &ignored, &count, err));
    tola_json json;
    buf text;
    buf_init(&text, 0);
    tola_json_init(&json, to_buf, &text, j->w.write.folder ? 2 : 0);
    j->kept->scheme->write_config(&params, ignored, count, &json);
    bool done = tola_json_finish(&json) && !text.failed;
    char *copy = done ? arena_strndup(&j->w.plan.arena, (const char *)text.data, text.length) : NULL;
    buf_free(&text);
    if (!copy) return err_nomem(err, "preparing config.json");
    j->w.quantization = copy;
    if (j->w.write.folder) return TOLA_OK;
    tola_value *map = &j->w.metadata;
    size_t members_count = map->kind == TOLA_VALUE_MAP ? map->as.map.count : 0;
    tola_member *members = arena_alloc_array(&j->w.plan.arena, members_count + 1, sizeof *members);
    if (!members) return err_nomem(err, "preparing metadata");
    if (members_count) memcpy(members, map->as.map.members, members_count * sizeof *members);
    set_member(members, &members_count, "quantization_config", text_value(copy));
    *map = (tola_value){ .kind = TOLA_VALUE_MAP };
    map->as.map.members = members;
    map->as.map.count = members_count;
    return TOLA_OK;
}

/* What llama.cpp's quantizer writes into a file (src/llama-quant.cpp). */
static tola_status follow_types(quantize_job *j, tola_error *err) {
    if (j->kept) return describe_scheme(j, err);
    if (strcmp(j->format.container, "gguf") != 0) return TOLA_OK;
    tola_value *map = &j->w.metadata;
    size_t count = map->kind == TOLA_VALUE_MAP ? map->as.map.count : 0;
    tola_member *members = arena_alloc_array(&j->w.plan.arena, count + 6, sizeof *members);
    if (!members) return err_nomem(err, "preparing metadata");
    if (count) memcpy(members, map->as.map.members, count * sizeof *members);
    uint32_t type = j->to.mixture ? mixture_file_type(j->to.mixture) : prevailing_file_type(j);
    set_member(members, &count, "general.quantization_version", u32_value(QUANTIZATION_VERSION));
    set_member(members, &count, "general.file_type", u32_value(type));
    if (j->importance) {
        set_member(members, &count, "quantize.imatrix.file", text_value(path_last(j->options.imatrix)));
        set_member(members, &count, "quantize.imatrix.entries_count",
                   u32_value((uint32_t)imatrix_count(j->importance)));
        if (imatrix_dataset(j->importance))
            set_member(members, &count, "quantize.imatrix.dataset", text_value(imatrix_dataset(j->importance)));
        if (imatrix_chunks(j->importance))
            set_member(members, &count, "quantize.imatrix.chunks_count", u32_value(imatrix_chunks(j->importance)));
    }
    memset(map, 0, sizeof *map);
    map->kind = TOLA_VALUE_MAP;
    map->as.map.members = members;
    map->as.map.count = count;
    return TOLA_OK;
}

tola_status quantize_plan(quantize_job *j, uint64_t *file_bytes, uint64_t *files, tola_error *err) {
    attach_encoders(j);
    TRY(plan_finish(&j->w.plan, &j->w.options, j->w.format->name, j->w.format->holds, err));
    TRY(follow_types(j, err));
    return writing_measure(&j->w, file_bytes, files, err);
}

/* ---- the result ---- */

static tola_quantize_error error_of(const compare_acc *a) {
    tola_quantize_error e = { .signal = a->a2, .noise = a->diff2, .max_abs = a->max_abs };
    e.rmse = a->count ? sqrt(a->diff2 / (double)a->count) : 0;
    e.snr_db = a->diff2 > 0 ? 10 * log10(a->a2 / a->diff2) : INFINITY;
    e.cosine = a->diff2 == 0 ? 1 : a->a2 > 0 && a->b2 > 0 ? a->ab / (sqrt(a->a2) * sqrt(a->b2)) : 0;
    return e;
}

static double bits_of(uint64_t bytes, uint64_t elements) {
    return elements ? 8.0 * (double)bytes / (double)elements : 0;
}

static int by_bytes(const void *a, const void *b) {
    const tola_quantize_type *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->type, y->type);
}

/* The tensor's line; names live on in the arena of the result. */
static tola_status describe(const quantize_job *j, size_t i, arena *a, tola_quantize_tensor *out, tola_error *err) {
    const plan_tensor *t = &j->w.plan.tensors[i];
    const quantize_target *target = &j->targets[i];
    const plan_figures *f = t->encode ? &t->encode->figures : NULL;
    bool parts = t->encode && t->encode->scheme;
    *out = (tola_quantize_tensor){
        .name = arena_strndup(a, t->name, strlen(t->name)),
        .source = arena_strndup(a, t->source, strlen(t->source)),
        .type = parts ? target->type : tola_dtype_name((tola_dtype)t->dtype),
        .wanted = target->wanted,
        .elements = t->elements,
        .bytes = t->bytes,
        .bits_per_weight = bits_of(t->bytes, t->elements),
        .quantized = parts || tola_dtype_get_kind((tola_dtype)t->dtype) == TOLA_KIND_BLOCK,
        .overridden = target->overridden,
        .important = target->important,
    };
    out->weight = t->n_dims >= 2 || out->quantized;
    if (!out->name || !out->source) return err_nomem(err, "describing the result");
    if (!f) return TOLA_OK;
    out->measured = f->measured;
    if (f->measured) out->error = error_of(&f->errors);
    out->nans = f->nans;
    out->infinities = f->infinities;
    out->clamped = f->clamped;
    return TOLA_OK;
}

static void add_type(tola_quantize_result *r, const tola_quantize_tensor *t) {
    size_t k = 0;
    while (k < r->type_count && strcmp(r->types[k].type, t->type) != 0) k++;
    if (k == r->type_count) r->types[r->type_count++] = (tola_quantize_type){ .type = t->type };
    r->types[k].tensors++;
    r->types[k].elements += t->elements;
    r->types[k].bytes += t->bytes;
}

static tola_status fill_result(const quantize_job *j, arena *a, tola_quantize_result *r, tola_error *err) {
    const plan *p = &j->w.plan;
    compare_acc all;
    compare_init(&all);
    r->count = p->count;
    r->tensors = arena_alloc_array(a, p->count ? p->count : 1, sizeof *r->tensors);
    r->types = arena_alloc_array(a, TOLA_DTYPE_COUNT + 32, sizeof *r->types);
    r->candidates = arena_alloc_array(a, j->candidate_count ? j->candidate_count : 1, sizeof *r->candidates);
    if (!r->tensors || !r->types || !r->candidates) return err_nomem(err, "describing the result");
    for (size_t i = 0; i < p->count; i++) {
        tola_quantize_tensor *t = &r->tensors[i];
        TRY(describe(j, i, a, t, err));
        add_type(r, t);
        r->elements += t->elements;
        r->nans += t->nans;
        r->infinities += t->infinities;
        r->clamped += t->clamped;
        if (t->measured) compare_merge(&all, &p->tensors[i].encode->figures.errors);
    }
    qsort(r->types, r->type_count, sizeof *r->types, by_bytes);
    if (j->candidate_count) memcpy(r->candidates, j->candidates, j->candidate_count * sizeof *r->candidates);
    r->candidate_count = j->candidate_count;
    r->recipe = j->to.name;
    r->format = j->kept ? j->kept->scheme->name : j->format.name;
    r->bytes_in = p->bytes_in;
    r->bytes = p->bytes_out;
    r->bits_per_weight = bits_of(r->bytes, r->elements);
    r->measured = j->options.measure && !j->options.dry_run;
    r->error = error_of(&all);
    if (r->elements) r->error.rmse = sqrt(all.diff2 / (double)r->elements);
    r->fallbacks = j->fallbacks;
    return TOLA_OK;
}

void tola_quantize_result_dispose(tola_quantize_result *r) {
    if (!r || !r->owner) return;
    arena_free(r->owner);
    mem_free(r->owner);
    memset(r, 0, sizeof *r);
}

/* ---- the run ---- */

static tola_status fill(quantize_job *j, tola_writer *writer, tola_error *err) {
    const tola_quantize_options *o = &j->options;
    uint64_t overflowed = 0;
    stream_options options = { .threads = o->threads,
                               .overflow = TOLA_OVERFLOW_SATURATE,
                               .progress = o->progress,
                               .progress_user = o->progress_user,
                               .phase = "quantizing",
                               .measure = o->measure };
    TRY(writing_companions(&j->w, writer, err));
    TRY(clash_check_outputs(j->w.in, writer, err));
    TRY(stream_run(&j->w.plan, writer, &options, &overflowed, err));
    return writing_settle(&j->w, writer, err);
}

/* The result is made before the output appears: nothing may fail behind that. */
static tola_status write_out(quantize_job *j, tola_quantize_result *result, tola_error *err) {
    tola_writer *writer = NULL;
    TRY(writing_open(&j->w, &writer, err));
    tola_status status = fill(j, writer, err);
    if (status == TOLA_OK) status = fill_result(j, result->owner, result, err);
    if (status == TOLA_OK) return tola_writer_finish(writer, err);
    tola_writer_abort(writer);
    return status;
}

static tola_status open_inputs(quantize_job *j, const tola_checkpoint *in, const char *path, tola_error *err) {
    const tola_quantize_options *o = &j->options;
    TRY(quantize_format_find(o, path, to_folder(o, path), &j->format, err));
    if ((o->group || o->per || o->asymmetric) && strcmp(j->format.container, "gguf") == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "the types of GGUF say themselves what shares a scale (--group, --per, --asymmetric)");
    if (o->to) TRY(quantize_type_find(o->to, o, &j->format, &j->to, err));
    if (o->imatrix) TRY(imatrix_open(o->imatrix, &j->importance, err));
    tola_convert_options convert = TOLA_CONVERT_OPTIONS_INIT;
    fill_convert(j, &convert);
    TRY(writing_init(&j->w, in, path, &convert, err));
    j->w.decode_exact = true;
    j->w.plan.no_casts = true;
    return writing_plan(&j->w, err);
}

static tola_status run(quantize_job *j, const tola_checkpoint *in, const char *path, tola_quantize_result *result,
                       tola_error *err) {
    TRY(open_inputs(j, in, path, err));
    TRY(make_targets(j, err));
    describe_model(j);
    TRY(quantize_choose(j, err));
    TRY(quantize_bound(j, err));
    TRY(quantize_plan(j, &result->file_bytes, &result->files, err));
    return j->options.dry_run ? fill_result(j, result->owner, result, err) : write_out(j, result, err);
}

static void free_job(quantize_job *j) {
    writing_free(&j->w);
    imatrix_free(j->importance);
    mem_free(j->targets);
    mem_free(j->encodes);
}

tola_status tola_quantize(const tola_checkpoint *in, const char *path, const tola_quantize_options *options,
                          tola_quantize_result *result, tola_error *err) {
    static const tola_quantize_options defaults = TOLA_QUANTIZE_OPTIONS_INIT;
    double started = clock_seconds();
    quantize_job j = { .options = defaults };
    TRY(options_take(&j.options, sizeof j.options, options, err));
    TRY(check_options(&j.options, err));
    tola_quantize_result done = { 0 };
    arena *a = mem_calloc(1, sizeof *a);
    if (!a) return err_nomem(err, "quantizing");
    arena_init(a, 0);
    done.owner = a;
    tola_status status = run(&j, in, path, &done, err);
    free_job(&j);
    done.seconds = clock_seconds() - started;
    if (status == TOLA_OK && result) {
        *result = done;
        return TOLA_OK;
    }
    tola_quantize_result_dispose(&done);
    return status;
}
