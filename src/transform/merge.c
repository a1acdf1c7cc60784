/* tola_merge: a recipe's models as one checkpoint whose tensors are computed when they are read, written by
 * tola_convert.
 *
 * First which tensors there are and what each is made of, then what must be known of whole tensors (lengths,
 * magnitudes), then the pass. Resident memory: blocks, whatever the models. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mix.h"
#include "base/options.h"
#include "base/pool.h"
#include "base/text.h"
#include "codecs/codec.h"
#include "formats/open.h"
#include "transform/merge.h"
#include "transform/merge_names.h"
#include <tola/json.h>
#include <tola/tokenizer.h>
#include <tola/transform.h>

typedef struct merging {
    merge_recipe recipe;
    const tola_convert_options *options;
    uint64_t seed;
    arena arena;
    merge_tensor *tensors;
    size_t count, cap;
    tola_dtype *dtypes; /* what each is written as */
    size_t dtype_cap;
    tola_checkpoint *view;
    buf config; /* config.json, where it changes */
    tola_error *err;
} merging;

static tola_status no_memory(const merging *m) { return err_nomem(m->err, "merging"); }

/* ---- what a tensor is made of ---- */

static const tola_tensor_info *info_of(const merge_input *in) { return tola_checkpoint_tensor(in->in, in->tensor); }

static const char *shape_text(const tola_tensor_info *t, char *text, size_t cap) {
    size_t used = 0;
    text[0] = 0;
    for (unsigned i = 0; i < t->n_dims && used + 24 < cap; i++)
        used += (size_t)snprintf(text + used, cap - used, "%s%llu", i ? " x " : "", (unsigned long long)t->shape[i]);
    return text;
}

static tola_status check_shape(merging *m, const merge_source *from, const merge_input *in,
                               const tola_tensor_info *like) {
    const tola_tensor_info *t = info_of(in);
    bool same = t->n_dims == like->n_dims;
    for (unsigned i = 0; same && i < t->n_dims; i++) same = t->shape[i] == like->shape[i];
    char a[160], b[160], name[120];
    if (same) return TOLA_OK;
    return yaml_error(from->node, m->err, "%s is %s, where the first model has %s",
                      text_quote(name, sizeof name, t->name, strlen(t->name)), shape_text(t, a, sizeof a),
                      shape_text(like, b, sizeof b));
}

static bool is_float(const tola_tensor_info *t) {
    return t->dtype == TOLA_DTYPE_F32 || t->dtype == TOLA_DTYPE_F16 || t->dtype == TOLA_DTYPE_BF16;
}

static tola_status check_dtype(merging *m, const merge_source *from, const merge_input *in) {
    const tola_tensor_info *t = info_of(in);
    tola_dtype dtype = (tola_dtype)t->dtype;
    char name[120];
    bool odd = tola_dtype_block_elements(dtype) != 1 || dtype == TOLA_DTYPE_F64 ||
               (!is_float(t) && codec_exact(dtype) == TOLA_DTYPE_F32 && dtype >= TOLA_DTYPE_F8_E4M3);
    if (!odd) return TOLA_OK;
    return yaml_error(from->node, m->err, "%s is %s; models of f32, bf16 and f16 are merged (tola convert --dtype)",
                      text_quote(name, sizeof name, t->name, strlen(t->name)), tola_dtype_name(dtype));
}

typedef struct where {
    const merge_slice *slice;
    const char *name; /* of the output */
    double at;
} where;

static tola_status need_number(merging *m, const where *w, const merge_source *from, const char *key,
                               const char *tensor, double *out) {
    const yaml_node *maps[] = { from ? from->parameters : NULL, w->slice->parameters, m->recipe.parameters };
    bool found;
    TRY(merge_number(maps, 3, key, tensor, w->at, out, &found, m->err));
    if (found) return TOLA_OK;
    char name[120];
    const yaml_node *node = from ? from->node : yaml_root(m->recipe.file);
    return yaml_error(node, m->err, "the parameter '%s' is missing for %s", key,
                      text_quote(name, sizeof name, w->name, strlen(w->name)));
}

static tola_status shared_parameters(merging *m, merge_tensor *t, const where *w) {
    const yaml_node *maps[] = { w->slice->parameters, m->recipe.parameters };
    bool unused;
    t->normalize = t->method == MERGE_LINEAR || t->method == MERGE_TIES;
    t->rescale = t->method == MERGE_DARE_LINEAR || t->method == MERGE_DARE_TIES;
    t->lambda = 1;
    TRY(merge_flag(maps, 2, "normalize", w->name, w->at, &t->normalize, m->err));
    TRY(merge_flag(maps, 2, "rescale", w->name, w->at, &t->rescale, m->err));
    TRY(merge_flag(maps, 2, "filter_wise", w->name, w->at, &t->filter_wise, m->err));
    TRY(merge_number(maps, 2, "lambda", w->name, w->at, &t->lambda, &unused, m->err));
    if (t->method == MERGE_SLERP && t->count == 2) TRY(need_number(m, w, NULL, "t", w->name, &t->t));
    return TOLA_OK;
}

static tola_status input_parameters(merging *m, merge_tensor *t, size_t i, const merge_source *from, const where *w) {
    merge_input *in = &t->inputs[i];
    const char *name = info_of(in)->name;
    const yaml_node *maps[] = { from->parameters, w->slice->parameters, m->recipe.parameters };
    bool found;
    in->density = 1;
    in->rescale = 1;
    in->seed = mix_name(w->name, MIX_NAME ^ (m->seed + 1) * UINT64_C(0x9e3779b97f4a7c15));
    in->seed ^= (uint64_t)(i + 1) * UINT64_C(0xd1342543de82ef95);
    if (t->method == MERGE_PASSTHROUGH)
        return merge_number(maps, 3, "scale", name, w->at, &t->scale, &t->scaled, m->err);
    bool linear = t->method == MERGE_LINEAR;
    if (t->method == MERGE_SLERP || t->method == MERGE_MODEL_STOCK || (!linear && i == t->base)) return TOLA_OK;
    TRY(need_number(m, w, from, "weight", name, &in->weight));
    if (linear) return TOLA_OK;
    TRY(merge_number(maps, 3, "density", name, w->at, &in->density, &found, m->err));
    if (in->density >= 0 && in->density <= 1) return TOLA_OK;
    return yaml_error(from->node, m->err, "a density of %g for %s is not in 0 .. 1", in->density, w->name);
}

/* Inputs of the tensor called `name` in the output, found in each source under its own number of the layer. */
static tola_status find_inputs(merging *m, merge_tensor *t, const where *w, uint32_t offset, size_t before,
                               const char *behind) {
    const merge_slice *s = w->slice;
    for (size_t i = 0; i < s->count; i++) {
        const merge_source *from = &s->sources[i];
        const merge_model *model = &m->recipe.models[from->model];
        char name[CK_MAX_NAME + 16], quoted[120];
        if (behind)
            snprintf(name, sizeof name, "%.*s%u%s", (int)before, w->name, from->first + offset, behind);
        else
            snprintf(name, sizeof name, "%s", w->name);
        size_t at = tola_checkpoint_find(model->in, name);
        if (at == SIZE_MAX)
            return yaml_error(from->node, m->err, "the model has no tensor %s",
                              text_quote(quoted, sizeof quoted, name, strlen(name)));
        t->inputs[t->count++] = (merge_input){ .in = model->in, .tensor = at };
    }
    return TOLA_OK;
}

/* What is not merged is copied from where its description is from; all models must say the same of it. */
static tola_status choose_copied(merging *m, merge_tensor *t, const where *w) {
    char name[120];
    for (size_t i = 0; i < t->count; i++) {
        const tola_tensor_info *it = info_of(&t->inputs[i]);
        if (it->dtype != t->like->dtype)
            return yaml_error(w->slice->sources[i].node, m->err, "%s is %s here and %s in the base: it cannot be merged",
                              text_quote(name, sizeof name, it->name, strlen(it->name)), tola_dtype_name(it->dtype),
                              tola_dtype_name(t->like->dtype));
        if (it != t->like) continue;
        const merge_input first = t->inputs[0];
        t->inputs[0] = t->inputs[i];
        t->inputs[i] = first;
    }
    return TOLA_OK;
}

static tola_status set_types(merging *m, merge_tensor *t, const where *w) {
    bool floats = true;
    tola_dtype work = (tola_dtype)info_of(&t->inputs[0])->dtype;
    for (size_t i = 0; i < t->count; i++) {
        TRY(check_shape(m, &w->slice->sources[i], &t->inputs[i], t->like));
        TRY(check_dtype(m, &w->slice->sources[i], &t->inputs[i]));
        floats = floats && is_float(info_of(&t->inputs[i]));
        if (info_of(&t->inputs[i])->dtype != work) work = TOLA_DTYPE_F32;
    }
    t->copied = !floats;
    if (t->copied) TRY(choose_copied(m, t, w));
    t->work = m->recipe.dtype != TOLA_DTYPE_NONE ? m->recipe.dtype : work;
    m->dtypes[m->count] = t->copied                                ? (tola_dtype)t->like->dtype
                          : m->recipe.out_dtype != TOLA_DTYPE_NONE ? m->recipe.out_dtype
                                                                   : t->work;
    return TOLA_OK;
}

/* Layer `layer` of the output is layer `offset` of the slice; MERGE_NO_LAYER: the tensor belongs to none. */
static tola_status add_tensor(merging *m, const merge_slice *s, const tola_tensor_info *like, uint32_t layer,
                              uint32_t offset) {
    if (!mem_grow(&m->tensors, &m->cap, m->count + 1, sizeof *m->tensors) ||
        !mem_grow(&m->dtypes, &m->dtype_cap, m->count + 1, sizeof *m->dtypes))
        return no_memory(m);
    merge_tensor *t = &m->tensors[m->count];
    size_t before = 0;
    const char *behind = NULL;
    char name[CK_MAX_NAME + 16];
    snprintf(name, sizeof name, "%s", like->name);
    if (layer != MERGE_NO_LAYER) {
        merge_layer(like->name, &before, &behind);
        snprintf(name, sizeof name, "%.*s%u%s", (int)before, like->name, layer, behind);
    }
    *t = (merge_tensor){ .method = m->recipe.method, .like = like, .base = s->base, .columns = 1, .elements = 1 };
    t->name = arena_strndup(&m->arena, name, strlen(name));
    t->inputs = arena_alloc_array(&m->arena, s->count, sizeof *t->inputs);
    if (!t->name || !t->inputs) return no_memory(m);
    for (unsigned i = 0; i < like->n_dims; i++) t->elements *= like->shape[i];
    if (like->n_dims > 0) t->columns = like->shape[like->n_dims - 1];
    where w = { s, t->name, layer == MERGE_NO_LAYER ? 0 : s->layers > 1 ? (double)offset / (s->layers - 1) : 1 };
    TRY(find_inputs(m, t, &w, offset, before, behind));
    TRY(set_types(m, t, &w));
    m->count++;
    if (t->copied) return TOLA_OK;
    TRY(shared_parameters(m, t, &w));
    for (size_t i = 0; i < t->count; i++) TRY(input_parameters(m, t, i, &s->sources[i], &w));
    return TOLA_OK;
}

/* ---- which tensors there are ---- */

static const merge_source *reference(const merge_slice *s) { return &s->sources[s->base == SIZE_MAX ? 0 : s->base]; }

/* Of the tensors that belong to no layer, those of the input come from the first slice, the others from the last. */
static bool comes_first(const char *name) {
    static const char *const parts[] = { "embed", "wte", "wpe", "tok_" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i])) return true;
    return false;
}

static tola_status add_outside(merging *m, const merge_slice *s, bool first) {
    const tola_checkpoint *in = m->recipe.models[reference(s)->model].in;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(in); i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(in, i);
        if (merge_layer(t->name, NULL, NULL) == MERGE_NO_LAYER && comes_first(t->name) == first)
            TRY(add_tensor(m, s, t, MERGE_NO_LAYER, 0));
    }
    return TOLA_OK;
}

static tola_status add_slice(merging *m, const merge_slice *s, uint32_t first_out) {
    const merge_source *from = reference(s);
    const tola_checkpoint *in = m->recipe.models[from->model].in;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(in); i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(in, i);
        uint32_t layer = merge_layer(t->name, NULL, NULL);
        if (layer == MERGE_NO_LAYER || layer < from->first || layer - from->first >= s->layers) continue;
        TRY(add_tensor(m, s, t, first_out + layer - from->first, layer - from->first));
    }
    return TOLA_OK;
}

/* What a model has and the one that is looked at first does not, is told. */
static void warn_left_out(const merging *m) {
    const merge_slice *s = &m->recipe.slices[0];
    const tola_checkpoint *in = m->recipe.models[reference(s)->model].in;
    for (size_t k = 0; m->recipe.whole && m->options->warning && k < s->count; k++) {
        const merge_model *other = &m->recipe.models[s->sources[k].model];
        for (size_t i = 0; i < tola_checkpoint_tensor_count(other->in); i++) {
            const char *name = tola_checkpoint_tensor(other->in, i)->name;
            char message[700];
            if (tola_checkpoint_find(in, name) != SIZE_MAX) continue;
            snprintf(message, sizeof message, "%.300s: %.200s is in no other model and is left out", other->path, name);
            m->options->warning(m->options->warning_user, message);
        }
    }
}

static tola_status plan_tensors(merging *m, uint32_t *layers) {
    const merge_recipe *r = &m->recipe;
    *layers = 0;
    TRY(add_outside(m, &r->slices[0], true));
    for (size_t i = 0; i < r->slice_count; i++) {
        TRY(add_slice(m, &r->slices[i], *layers));
        *layers += r->slices[i].layers;
    }
    TRY(add_outside(m, &r->slices[r->slice_count - 1], false));
    warn_left_out(m);
    if (m->count == 0) return yaml_error(yaml_root(r->file), m->err, "the models have no tensors");
    return TOLA_OK;
}

/* ---- configuration and tokenizer ---- */

/* The tree with another number of layers. */
static bool set_layers(const tola_value *config, uint32_t layers) {
    static const char *const keys[] = { "num_hidden_layers", "n_layer", "num_layers", "n_layers" };
    bool any = false;
    for (size_t i = 0; i < config->as.map.count; i++) {
        tola_member *member = (tola_member *)&config->as.map.members[i]; /* of a tree of our own */
        if (member->value.kind == TOLA_VALUE_MAP && strcmp(member->key.data, "text_config") == 0)
            any = set_layers(&member->value, layers) || any;
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            if (strcmp(member->key.data, keys[k]) != 0 || member->value.kind != TOLA_VALUE_UINT) continue;
            member->value.as.u64 = layers;
            any = true;
        }
    }
    return any;
}

static tola_status change_config(merging *m, const merge_model *base, uint32_t layers) {
    void *text = NULL;
    size_t length = 0;
    tola_value tree;
    if (!tola_checkpoint_config(base->in))
        return yaml_error(base->node, m->err,
                          "beside the model lies no config.json that could say that there are %u layers", layers);
    TRY(tola_checkpoint_companion(base->in, "config.json", &text, &length, m->err));
    tola_status status = json_parse(text, length, &m->arena, &tree, m->err);
    tola_free(text);
    TRY(status);
    if (tree.kind != TOLA_VALUE_MAP || !set_layers(&tree, layers))
        return yaml_error(base->node, m->err, "its config.json says nowhere how many layers there are");
    tola_json j;
    tola_json_init(&j, json_to_buf, &m->config, 2);
    tola_json_value(&j, &tree);
    if (!tola_json_finish(&j)) return no_memory(m);
    m->view->config = tree;
    m->view->config_text = (tola_string){ (const char *)m->config.data, m->config.length };
    return TOLA_OK;
}

static tola_status same_vocabulary(merging *m, const merge_model *model, const tola_tokenizer *a,
                                   const tola_tokenizer *b) {
    uint32_t n = tola_tokenizer_size(a) > tola_tokenizer_size(b) ? tola_tokenizer_size(a) : tola_tokenizer_size(b);
    for (uint32_t i = 0; i < n; i++) {
        size_t la = 0, lb = 0;
        const char *x = tola_token_text(a, i, &la, NULL), *y = tola_token_text(b, i, &lb, NULL);
        if ((x && y && la == lb && memcmp(x, y, la) == 0) || (!x && !y)) continue;
        return yaml_error(model->node, m->err,
                          "its token %u is another than the first model's; vocabularies that differ are not merged", i);
    }
    return TOLA_OK;
}

/* tokenizer_source: rows of embeddings stay where they are, so all models must count their tokens the same way. */
static tola_status check_tokenizers(merging *m) {
    tola_tokenizer *first = NULL;
    tola_status status = TOLA_OK;
    for (size_t i = 0; m->recipe.tokenizer_source && i < m->recipe.model_count && status == TOLA_OK; i++) {
        tola_tokenizer *t = NULL;
        status = tola_tokenizer_from_checkpoint(m->recipe.models[i].in, &t, m->err);
        if (status == TOLA_OK && first) status = same_vocabulary(m, &m->recipe.models[i], first, t);
        if (first || status != TOLA_OK)
            tola_tokenizer_free(t);
        else
            first = t;
    }
    tola_tokenizer_free(first);
    return status;
}

/* ---- the checkpoint that is written ---- */

static tola_status prepare_task(void *context, size_t task, unsigned worker, tola_error *err) {
    merging *m = context;
    (void)worker;
    return merge_prepare(&m->tensors[task], err);
}

static tola_status prepare_all(merging *m) {
    pool *threads;
    TRY(pool_create(m->options->threads, &threads, m->err));
    tola_status status = pool_run(threads, m->count, prepare_task, m, m->err);
    pool_free(threads);
    return status;
}

static tola_status read_merged(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst, size_t bytes,
                               tola_error *err) {
    (void)ck;
    const merge_tensor *x = t->context;
    if (x->copied) return tola_checkpoint_read(x->inputs[0].in, x->inputs[0].tensor, offset, dst, bytes, err);
    size_t width = tola_dtype_block_bytes((tola_dtype)t->info.dtype);
    uint64_t first = offset / width;
    for (size_t left = bytes / width; left > 0;) {
        float values[8192];
        size_t n = left < 8192 ? left : 8192;
        TRY(merge_compute(x, first, n, values, err));
        TRY(codec_convert(TOLA_DTYPE_F32, (tola_dtype)t->info.dtype, values, dst, n, TOLA_OVERFLOW_IEEE, NULL));
        dst = (uint8_t *)dst + n * width;
        first += n;
        left -= n;
    }
    return TOLA_OK;
}

/* Files of all models are known to the view, so that none of them is overwritten while it is read. */
static tola_status add_files(merging *m, size_t base) {
    for (size_t i = 0; i < m->recipe.model_count; i++) {
        const tola_checkpoint *in = m->recipe.models[i].in;
        if (i == base) continue;
        if (!mem_grow(&m->view->files, &m->view->file_cap, m->view->file_count + in->file_count + 1,
                      sizeof *m->view->files))
            return no_memory(m);
        for (size_t k = 0; k < in->file_count; k++) m->view->files[m->view->file_count++] = in->files[k];
    }
    return TOLA_OK;
}

static tola_status make_view(merging *m, uint32_t layers) {
    size_t base = reference(&m->recipe.slices[0])->model;
    const merge_model *model = &m->recipe.models[base];
    TRY(ck_create_over(model->in, &m->view, m->err));
    m->view->decoded = m->view->decoded || model->in != model->file;
    TRY(add_files(m, base));
    if (layers != model->layers) TRY(change_config(m, model, layers));
    for (size_t i = 0; i < m->count; i++) {
        const merge_tensor *t = &m->tensors[i];
        TRY(ck_add_tensor(m->view,
                          &(ck_add){ .name = t->name,
                                     .name_length = strlen(t->name),
                                     .shape = t->like->shape,
                                     .n_dims = t->like->n_dims,
                                     .dtype = m->dtypes[i],
                                     .file = 0,
                                     .offset = t->like->offset,
                                     .flags = t->like->flags & TOLA_TENSOR_PARAMETER,
                                     .read = read_merged,
                                     .context = t },
                          m->err));
    }
    return ck_finish(m->view, m->err);
}

static tola_status merge(merging *m, const char *recipe, const char *path, tola_convert_summary *summary) {
    uint32_t layers;
    TRY(merge_recipe_open(&m->recipe, recipe, m->err));
    TRY(plan_tensors(m, &layers));
    TRY(check_tokenizers(m));
    TRY(make_view(m, layers));
    TRY(prepare_all(m));
    return tola_convert(m->view, path, m->options, summary, m->err);
}

tola_status tola_merge(const char *recipe, const char *path, uint64_t seed, const tola_convert_options *options,
                       tola_convert_summary *summary, tola_error *err) {
    tola_convert_options all = TOLA_CONVERT_OPTIONS_INIT;
    TRY(options_take(&all, sizeof all, options, err));
    merging m = { .options = &all, .seed = seed, .err = err };
    arena_init(&m.arena, 0);
    buf_init(&m.config, 0);
    tola_status status = merge(&m, recipe, path, summary);
    for (size_t i = 0; i < m.count; i++) mem_free(m.tensors[i].steps);
    tola_checkpoint_close(m.view);
    merge_recipe_free(&m.recipe);
    mem_free(m.tensors);
    mem_free(m.dtypes);
    buf_free(&m.config);
    arena_free(&m.arena);
    return status;
}

tola_status tola_merge_inputs(const char *recipe, char ***models, tola_error *err) {
    merge_recipe r;
    const char *paths[MERGE_MAX_MODELS];
    tola_status status = merge_recipe_open(&r, recipe, err);
    for (size_t i = 0; status == TOLA_OK && i < r.model_count; i++) paths[i] = r.models[i].path;
    if (status == TOLA_OK && !(*models = text_list(paths, r.model_count))) status = err_nomem(err, "reading a recipe");
    merge_recipe_free(&r);
    return status;
}
