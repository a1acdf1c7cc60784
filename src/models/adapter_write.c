/* Adapters written: PEFT's folder (adapter_config.json, adapter_model.safetensors: huggingface/peft) and llama.cpp's
 * GGUF (convert_lora_to_gguf.py in ggml-org/llama.cpp: <tensor>.lora_a, .lora_b, adapter.type, adapter.lora.alpha).
 *
 * PEFT finds modules by the endings of their names that target_modules lists: the last word of a name where that means
 * the weights of the adapter and no others, else names in full. */
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/output.h"
#include "base/path.h"
#include "base/text.h"
#include "models/adapter.h"
#include <tola/adapter.h>
#include <tola/json.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_BYTES 256
#define MAX_TENSORS ((size_t)1 << 20)

typedef struct item {
    const model_pair *pair;
    const name_row *row;
    char module[NAME_BYTES]; /* "model.layers.0.self_attn.q_proj" */
    double alpha;            /* with which its scale is alpha / rank, or alpha / sqrt(rank) */
} item;

typedef struct writing_adapter {
    const model_description *d;
    model_adapter_facts facts;
    bool gguf, dora;
    item *items;
    size_t count;
    arena arena; /* names and shapes */
    tola_tensor_spec *specs;
    float *spare; /* of one tensor that changes its order or size */
} writing_adapter;

/* ---- what is said of the pairs ---- */

static tola_status find_row(writing_adapter *w, item *it, const model_pair *p, tola_error *err) {
    char name[NAME_BYTES];
    name_match m;
    it->pair = p;
    if (p->layer != UINT32_MAX && p->layer >= w->d->layer_count)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%.100s of layer %u: the model has %u layers", p->word, p->layer,
                       w->d->layer_count);
    if (!names_format(p->word, p->layer, 0, name, sizeof name) || !names_match_gguf(w->d->family->map, name, &m) ||
        !names_format(m.row->hf, p->layer, 0, it->module, sizeof it->module) || !text_ends_with(it->module, ".weight"))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "no adapter's name is known for %.100s", p->word);
    it->module[strlen(it->module) - strlen(".weight")] = '\0';
    it->row = m.row;
    double rank = (double)p->down->rows;
    it->alpha = (double)p->scale * (w->facts.rooted ? sqrt(rank) : rank);
    if (fabs(it->alpha - w->facts.alpha) <= 1e-6 * fabs(w->facts.alpha)) it->alpha = w->facts.alpha;
    w->dora |= p->magnitude != NULL;
    return TOLA_OK;
}

static tola_status describe(writing_adapter *w, const model_pair *pairs, size_t count, const model_adapter_facts *facts,
                            tola_error *err) {
    if (count == 0 || count > MAX_TENSORS)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "an adapter of %zu pairs", count);
    w->facts = facts != NULL ? *facts
                             : (model_adapter_facts){ .rank = (uint32_t)pairs[0].down->rows,
                                                      .alpha = (double)pairs[0].scale * (double)pairs[0].down->rows };
    w->items = mem_calloc(count, sizeof *w->items);
    w->specs = mem_calloc(count * 3, sizeof *w->specs);
    if (w->items == NULL || w->specs == NULL) return err_nomem(err, "writing an adapter");
    w->count = count;
    for (size_t i = 0; i < count; i++) TRY(find_row(w, &w->items[i], &pairs[i], err));
    if (w->gguf && w->dora)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "GGUF has no place for an adapter's magnitudes (DoRA)");
    return TOLA_OK;
}

/* ---- tensors ---- */

static tola_status add_spec(writing_adapter *w, const item *it, int part, size_t *at, tola_error *err) {
    static const char *const endings[2][3] = { { ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector" },
                                               { ".lora_a", ".lora_b", "" } };
    const model_pair *p = it->pair;
    char name[NAME_BYTES + 64], gguf[NAME_BYTES];
    uint64_t *shape = arena_alloc_array(&w->arena, 2, sizeof *shape);
    (void)names_format(p->word, p->layer, 0, gguf, sizeof gguf); /* did so before */
    int n = snprintf(name, sizeof name, "%s%s%s", w->gguf ? "" : "base_model.model.", w->gguf ? gguf : it->module,
                     endings[w->gguf][part]);
    char *kept = arena_strndup(&w->arena, name, (size_t)n);
    if (shape == NULL || kept == NULL) return err_nomem(err, "writing an adapter");
    shape[0] = part == DOWN ? p->down->rows : p->up->rows;
    shape[1] = part == DOWN ? p->down->cols : p->up->cols;
    w->specs[(*at)++] = (tola_tensor_spec){ kept, shape, part == MAGNITUDE ? 1 : 2, TOLA_DTYPE_F32, 0 };
    return TOLA_OK;
}

/* B, or the magnitudes, in the order of rows and of the size that the file wants. */
static tola_status arranged(writing_adapter *w, const item *it, const float *values, uint64_t rows, uint64_t cols,
                            float by, const float **out, tola_error *err) {
    const uint64_t dim = w->d->key_dim;
    bool turns = adapter_turns(w->d, it->row) && w->d->gguf != w->gguf;
    *out = values;
    if (!turns && by == 1) return TOLA_OK;
    mem_free(w->spare);
    w->spare = mem_alloc((size_t)((rows + dim) * cols) * sizeof *w->spare);
    if (w->spare == NULL) return err_nomem(err, "writing an adapter");
    for (uint64_t i = 0; i < rows * cols; i++) w->spare[i] = values[i] * by;
    if (turns) adapter_reorder(w->spare, rows, dim, cols, w->gguf, w->spare + rows * cols);
    *out = w->spare;
    return TOLA_OK;
}

static tola_status write_pair(writing_adapter *w, const item *it, tola_writer *writer, size_t *at, tola_error *err) {
    const model_pair *p = it->pair;
    const uint64_t rank = p->down->rows, rows = p->up->rows;
    /* GGUF's scale is alpha / rank for all */
    float by = w->gguf ? (float)((double)p->scale * (double)rank / w->facts.alpha) : 1;
    const float *values;
    TRY(tola_writer_write(writer, (*at)++, 0, p->down->data[0], (size_t)(rank * p->down->cols) * sizeof(float), err));
    TRY(arranged(w, it, p->up->data[0], rows, rank, by, &values, err));
    TRY(tola_writer_write(writer, (*at)++, 0, values, (size_t)(rows * rank) * sizeof(float), err));
    if (p->magnitude == NULL) return TOLA_OK;
    TRY(arranged(w, it, p->magnitude, rows, 1, 1, &values, err));
    return tola_writer_write(writer, (*at)++, 0, values, (size_t)rows * sizeof(float), err);
}

static tola_status write_tensors(writing_adapter *w, const char *path, const tola_value *metadata, bool overwrite,
                                 tola_error *err) {
    tola_write_options o = TOLA_WRITE_OPTIONS_INIT;
    tola_writer *writer;
    size_t count = 0, at = 0;
    for (size_t i = 0; i < w->count; i++)
        for (int part = DOWN; part <= (w->items[i].pair->magnitude != NULL ? MAGNITUDE : UP); part++)
            TRY(add_spec(w, &w->items[i], part, &count, err));
    o.format = w->gguf ? "gguf" : "safetensors";
    o.overwrite = overwrite;
    o.metadata = metadata;
    TRY(tola_writer_open(path, w->specs, count, &o, &writer, err));
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < w->count && status == TOLA_OK; i++) status = write_pair(w, &w->items[i], writer, &at, err);
    if (status == TOLA_OK) return tola_writer_finish(writer, err);
    tola_writer_abort(writer);
    return status;
}

static tola_value text_of(const char *text) {
    return (tola_value){ .kind = TOLA_VALUE_STRING, .as.string = { text, strlen(text) } };
}

static tola_status write_gguf(writing_adapter *w, const char *path, bool overwrite, tola_error *err) {
    if (w->facts.alpha == 0 || !isfinite((float)w->facts.alpha)) w->facts.alpha = (double)w->facts.rank;
    w->facts.alpha = (double)(float)w->facts.alpha;
    tola_member members[] = {
        { { "general.architecture", 20 }, text_of(w->d->family->gguf) },
        { { "general.type", 12 }, text_of("adapter") },
        { { "adapter.type", 12 }, text_of("lora") },
        { { "adapter.lora.alpha", 18 },
          { .kind = TOLA_VALUE_FLOAT, .dtype = TOLA_DTYPE_F32, .as.f64 = w->facts.alpha } },
    };
    tola_value metadata = { .kind = TOLA_VALUE_MAP };
    metadata.as.map.members = members;
    metadata.as.map.count = sizeof members / sizeof members[0];
    return write_tensors(w, path, &metadata, overwrite, err);
}

/* ---- adapter_config.json ---- */

static const char *last_word(const char *module) {
    const char *dot = strrchr(module, '.');
    return dot != NULL ? dot + 1 : module;
}

/* Would the last word of this module also mean weights that the adapter has no pair for? */
static bool is_ambiguous(const writing_adapter *w, const char *word) {
    size_t have = 0, meant = 0;
    char name[NAME_BYTES];
    for (size_t i = 0; i < w->count; i++) have += strcmp(last_word(w->items[i].module), word) == 0;
    for (size_t r = 0; names_row(r) != NULL; r++) {
        const name_row *row = names_row(r);
        name_match m;
        bool layered = strstr(row->hf, "%d") != NULL;
        if (!names_format(row->hf, 0, 0, name, sizeof name) || !text_ends_with(name, ".weight")) continue;
        if (!names_match_hf(w->d->family->map, name, &m) || m.row != row) continue;
        name[strlen(name) - strlen(".weight")] = '\0';
        if (strcmp(last_word(name), word) == 0) meant += layered ? w->d->layer_count : 1;
    }
    return have != meant;
}

static void put_targets(const writing_adapter *w, tola_json *j) {
    tola_json_begin_array(j);
    for (size_t i = 0; i < w->count; i++) {
        const char *module = w->items[i].module, *word = last_word(module);
        bool before = false, whole = is_ambiguous(w, word);
        for (size_t k = 0; k < i && !whole && !before; k++) before = strcmp(last_word(w->items[k].module), word) == 0;
        if (!before) tola_json_string(j, whole ? module : word);
    }
    tola_json_end_array(j);
}

static void put_patterns(const writing_adapter *w, tola_json *j) {
    tola_json_key(j, "rank_pattern");
    tola_json_begin_object(j);
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].pair->down->rows == w->facts.rank) continue;
        tola_json_key(j, w->items[i].module);
        tola_json_u64(j, w->items[i].pair->down->rows);
    }
    tola_json_end_object(j);
    tola_json_key(j, "alpha_pattern");
    tola_json_begin_object(j);
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].alpha == w->facts.alpha) continue;
        tola_json_key(j, w->items[i].module);
        tola_json_f64(j, w->items[i].alpha);
    }
    tola_json_end_object(j);
}

static bool put_config(const writing_adapter *w, buf *out) {
    tola_json j;
    bool turned = false;
    for (size_t i = 0; i < w->count; i++) turned |= (w->items[i].row->flags & NAME_TRANSPOSED) != 0;
    tola_json_init(&j, json_to_buf, out, 2);
    tola_json_begin_object(&j);
    tola_json_key(&j, "peft_type");
    tola_json_string(&j, "LORA");
    tola_json_key(&j, "task_type");
    tola_json_string(&j, "CAUSAL_LM");
    tola_json_key(&j, "base_model_name_or_path");
    if (w->facts.base != NULL)
        tola_json_string(&j, w->facts.base);
    else
        tola_json_null(&j);
    tola_json_key(&j, "r");
    tola_json_u64(&j, w->facts.rank);
    tola_json_key(&j, "lora_alpha");
    if (w->facts.alpha == floor(w->facts.alpha) && fabs(w->facts.alpha) < 1e15)
        tola_json_i64(&j, (int64_t)w->facts.alpha);
    else
        tola_json_f64(&j, w->facts.alpha);
    tola_json_key(&j, "lora_dropout");
    tola_json_f64(&j, w->facts.dropout);
    tola_json_key(&j, "bias");
    tola_json_string(&j, "none");
    tola_json_key(&j, "fan_in_fan_out");
    tola_json_bool(&j, turned);
    tola_json_key(&j, "use_rslora");
    tola_json_bool(&j, w->facts.rooted);
    tola_json_key(&j, "use_dora");
    tola_json_bool(&j, w->dora);
    tola_json_key(&j, "target_modules");
    put_targets(w, &j);
    put_patterns(w, &j);
    tola_json_key(&j, "modules_to_save");
    tola_json_null(&j);
    tola_json_key(&j, "init_lora_weights");
    tola_json_bool(&j, true);
    tola_json_key(&j, "inference_mode");
    tola_json_bool(&j, true);
    tola_json_end_object(&j);
    return tola_json_finish(&j) && !out->failed;
}

static tola_status write_config(const writing_adapter *w, const char *path, bool overwrite, tola_error *err) {
    buf text;
    output_set *set = NULL;
    output_file *file;
    buf_init(&text, 0);
    tola_status status = put_config(w, &text) ? TOLA_OK : err_nomem(err, "writing an adapter");
    if (status == TOLA_OK) status = output_set_open(overwrite, &set, err);
    if (status == TOLA_OK) status = output_add(set, path, text.length, &file, err);
    if (status == TOLA_OK) status = output_write(file, 0, text.data, text.length, err);
    buf_free(&text);
    if (status == TOLA_OK) return output_commit(set, err);
    output_abort(set);
    return status;
}

static tola_status write_peft(writing_adapter *w, const char *path, bool overwrite, tola_error *err) {
    tola_member format = { { "format", 6 }, text_of("pt") };
    tola_value metadata = { .kind = TOLA_VALUE_MAP };
    metadata.as.map.members = &format;
    metadata.as.map.count = 1;
    struct stat st;
    if (mkdir(path, 0777) != 0 && (errno != EEXIST || stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "cannot make the folder %s: %s", path, strerror(errno));
    char *tensors = path_join(path, "adapter_model.safetensors"), *config = path_join(path, "adapter_config.json");
    tola_status status = tensors != NULL && config != NULL ? TOLA_OK : err_nomem(err, "writing an adapter");
    if (status == TOLA_OK) status = write_tensors(w, tensors, &metadata, overwrite, err);
    if (status == TOLA_OK) status = write_config(w, config, overwrite, err);
    mem_free(tensors);
    mem_free(config);
    return status;
}

tola_status model_adapter_write(const model_description *d, const model_pair *pairs, size_t count,
                                const model_adapter_facts *facts, const char *path, bool overwrite, tola_error *err) {
    writing_adapter w = { .d = d, .gguf = text_ends_with(path, ".gguf") };
    arena_init(&w.arena, 0);
    tola_status status = describe(&w, pairs, count, facts, err);
    if (status == TOLA_OK)
        status = w.gguf ? write_gguf(&w, path, overwrite, err) : write_peft(&w, path, overwrite, err);
    mem_free(w.items);
    mem_free(w.specs);
    mem_free(w.spare);
    arena_free(&w.arena);
    return status;
}

/* ---- from one layout to the other ---- */

tola_status tola_convert_adapter(const tola_checkpoint *adapter, const tola_checkpoint *model, const char *path,
                                 bool overwrite, tola_error *err) {
    model_description *d;
    model_adapter *a = NULL;
    TRY(model_describe(model, 0, &d, err));
    d->gguf = text_ends_with(path, ".gguf"); /* pairs are read in the order of rows that they are written in */
    tola_status status = model_adapter_open(adapter, d, 1, &a, err);
    size_t count = status == TOLA_OK ? model_adapter_count(a) : 0;
    model_pair *pairs = mem_calloc(count + 1, sizeof *pairs);
    if (pairs == NULL && status == TOLA_OK) status = err_nomem(err, "converting an adapter");
    for (size_t i = 0; status == TOLA_OK && i < count; i++) pairs[i] = model_adapter_at(a, i);
    if (status == TOLA_OK) status = model_adapter_write(d, pairs, count, NULL, path, overwrite, err);
    mem_free(pairs);
    model_adapter_free(a);
    model_description_free(d);
    return status;
}
