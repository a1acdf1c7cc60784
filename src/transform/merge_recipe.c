/* Recipes in mergekit's words (https://github.com/arcee-ai/mergekit, README): models or slices with their parameters,
 * each a number, a gradient over layers, or values for the tensors whose name contains a text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "base/text.h"
#include "formats/logical.h"
#include "transform/merge.h"
#include "transform/merge_names.h"

static const char *const methods[] = { "linear",    "slerp",       "task_arithmetic", "ties", "dare_linear",
                                       "dare_ties", "model_stock", "passthrough",     NULL };
static const char *const parameter_names[] = { "weight", "density",   "normalize",   "rescale", "lambda",
                                               "t",      "int8_mask", "filter_wise", "scale",   NULL };

typedef struct raw {
    uint32_t method;
    const yaml_node *models, *slices, *base, *parameters;
    const char *dtype, *out_dtype, *tokenizer_source;
} raw;

#define AT(member) offsetof(raw, member)
static const yaml_field top_fields[] = {
    { .key = "merge_method", .type = YAML_TO_CHOICE, .offset = AT(method), .choices = methods, .required = true },
    { .key = "models", .type = YAML_TO_LIST, .offset = AT(models) },
    { .key = "slices", .type = YAML_TO_LIST, .offset = AT(slices) },
    { .key = "base_model", .type = YAML_TO_NODE, .offset = AT(base) },
    { .key = "parameters", .type = YAML_TO_MAP, .offset = AT(parameters) },
    { .key = "dtype", .type = YAML_TO_STRING, .offset = AT(dtype) },
    { .key = "out_dtype", .type = YAML_TO_STRING, .offset = AT(out_dtype) },
    { .key = "tokenizer_source", .type = YAML_TO_STRING, .offset = AT(tokenizer_source) },
};

/* ---- parameters ---- */

static bool is_scalar(const yaml_node *n) { return n->kind != YAML_LIST && n->kind != YAML_MAP; }

static tola_status scalar(const yaml_node *n, bool flag, double *out, tola_error *err) {
    bool b = false;
    if (!flag) return yaml_f64(n, -1e30, 1e30, out, err);
    TRY(yaml_bool(n, &b, err));
    *out = b;
    return TOLA_OK;
}

/* A number, or one for each of some places in a row of layers, between which numbers are interpolated. */
static tola_status gradient(const yaml_node *n, bool flag, double at, double *out, tola_error *err) {
    if (is_scalar(n)) return scalar(n, flag, out, err);
    TRY(yaml_expect(n, YAML_LIST, err));
    if (n->count == 0) return yaml_error(n, err, "a gradient of no value");
    double place = at * (double)(n->count - 1), low, high;
    size_t i = (size_t)place, next = i + 1 < n->count ? i + 1 : n->count - 1;
    TRY(scalar(n->items[i], flag, &low, err));
    TRY(scalar(n->items[next], flag, &high, err));
    *out = flag ? low : (1 - (place - (double)i)) * low + (place - (double)i) * high;
    return TOLA_OK;
}

static tola_status conditional(const yaml_node *n, bool flag, const char *tensor, double at, double *out, bool *found,
                               tola_error *err) {
    static const char *const keys[] = { "filter", "value", NULL };
    const yaml_node *value, *filter;
    TRY(yaml_keys(n, keys, err));
    TRY(yaml_need(n, "value", &value, err));
    filter = yaml_get(n, "filter");
    const char *part = "*";
    if (filter) TRY(yaml_string(filter, &part, err));
    *found = strcmp(part, "*") == 0 || strstr(tensor, part) != NULL;
    return *found ? gradient(value, flag, at, out, err) : TOLA_OK;
}

static tola_status evaluate(const yaml_node *n, bool flag, const char *tensor, double at, double *out, bool *found,
                            tola_error *err) {
    if (n->kind == YAML_MAP) return conditional(n, flag, tensor, at, out, found, err);
    bool plain = true;
    for (size_t i = 0; i < n->count; i++) plain = plain && is_scalar(n->items[i]);
    *found = plain;
    if (plain) return gradient(n, flag, at, out, err);
    for (size_t i = 0; i < n->count && !*found; i++) TRY(conditional(n->items[i], flag, tensor, at, out, found, err));
    return TOLA_OK;
}

static tola_status find(const yaml_node *const *maps, size_t count, const char *name, bool flag, const char *tensor,
                        double at, double *value, bool *found, tola_error *err) {
    *found = false;
    for (size_t i = 0; i < count && !*found; i++) {
        const yaml_node *n = yaml_get(maps[i], name);
        if (n) TRY(evaluate(n, flag, tensor, at, value, found, err));
    }
    return TOLA_OK;
}

tola_status merge_number(const yaml_node *const *maps, size_t count, const char *name, const char *tensor, double at,
                         double *value, bool *found, tola_error *err) {
    return find(maps, count, name, false, tensor, at, value, found, err);
}

tola_status merge_flag(const yaml_node *const *maps, size_t count, const char *name, const char *tensor, double at,
                       bool *value, tola_error *err) {
    double number = 0;
    bool found;
    TRY(find(maps, count, name, true, tensor, at, &number, &found, err));
    if (found) *value = number != 0;
    return TOLA_OK;
}

/* ---- models ---- */

/* Paths begin where the recipe lies, where there is such a thing; else they are what anybody would open. */
static const char *resolve(merge_recipe *r, const char *said) {
    const char *recipe = yaml_name(r->file), *last = path_last(recipe);
    size_t folder = (size_t)(last - recipe);
    struct stat st;
    if (said[0] == '/' || folder == 0 || strstr(said, "://")) return said;
    char *joined = arena_alloc(&r->arena, folder + strlen(said) + 1);
    if (!joined) return NULL;
    memcpy(joined, recipe, folder);
    strcpy(joined + folder, said);
    return stat(joined, &st) == 0 ? joined : said;
}

static tola_status open_model(merge_model *m, tola_error *err) {
    tola_error detail = TOLA_ERROR_INIT;
    tola_checkpoint *decoded = NULL;
    tola_status status = tola_checkpoint_open(m->path, NULL, &m->file, &detail);
    if (status == TOLA_OK) status = logical_open(m->file, LOGICAL_MODEL, &decoded, &detail);
    if (status != TOLA_OK) {
        yaml_error(m->node, err, "%s", detail.message);
        if (err) err->status = status;
        return status;
    }
    m->in = decoded ? decoded : m->file;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(m->in); i++) {
        uint32_t layer = merge_layer(tola_checkpoint_tensor(m->in, i)->name, NULL, NULL);
        if (layer != MERGE_NO_LAYER && layer >= m->layers) m->layers = layer + 1;
    }
    return TOLA_OK;
}

static tola_status add_model(merge_recipe *r, const yaml_node *node, size_t *out, tola_error *err) {
    const char *said;
    TRY(yaml_string(node, &said, err));
    const char *path = resolve(r, said);
    if (!path) return err_nomem(err, "reading a recipe");
    for (*out = 0; *out < r->model_count; ++*out)
        if (strcmp(r->models[*out].path, path) == 0) return TOLA_OK;
    if (r->model_count == MERGE_MAX_MODELS) return yaml_error(node, err, "more than %d models", MERGE_MAX_MODELS);
    r->models[r->model_count] = (merge_model){ .path = path, .node = node };
    return open_model(&r->models[r->model_count++], err);
}

/* ---- slices ---- */

static tola_status add_source(merge_recipe *r, merge_slice *s, const yaml_node *node, bool ranged, tola_error *err) {
    static const char *const whole[] = { "model", "parameters", NULL };
    static const char *const part[] = { "model", "layer_range", "parameters", NULL };
    const yaml_node *model, *range;
    uint64_t first = 0, end;
    TRY(yaml_keys(node, ranged ? part : whole, err));
    TRY(yaml_need(node, "model", &model, err));
    if (s->count == MERGE_MAX_MODELS) return yaml_error(node, err, "more than %d models", MERGE_MAX_MODELS);
    merge_source *source = &s->sources[s->count];
    *source = (merge_source){ .node = node, .parameters = yaml_get(node, "parameters") };
    if (source->parameters) TRY(yaml_keys(source->parameters, parameter_names, err));
    TRY(add_model(r, model, &source->model, err));
    for (size_t i = 0; i < s->count; i++)
        if (s->sources[i].model == source->model) return yaml_error(model, err, "the model is there twice");
    end = r->models[source->model].layers;
    if (ranged) {
        TRY(yaml_need(node, "layer_range", &range, err));
        TRY(yaml_expect(range, YAML_LIST, err));
        if (range->count != 2)
            return yaml_error(range, err, "two numbers are wanted: the first layer and the one behind the last");
        TRY(yaml_u64(range->items[0], 0, end ? end - 1 : 0, &first, err));
        TRY(yaml_u64(range->items[1], first + 1, end, &end, err));
    }
    source->first = (uint32_t)first;
    uint32_t layers = (uint32_t)(end - first);
    if (s->count > 0 && layers != s->layers)
        return yaml_error(ranged ? range : node, err, "%u layers, where the first of these sources has %u", layers,
                          s->layers);
    s->layers = layers;
    s->count++;
    return TOLA_OK;
}

static tola_status find_base(merge_recipe *r, merge_slice *s, size_t base, const yaml_node *where, tola_error *err) {
    bool needed = r->method != MERGE_LINEAR && r->method != MERGE_PASSTHROUGH;
    s->base = SIZE_MAX;
    for (size_t i = 0; i < s->count; i++)
        if (s->sources[i].model == base) s->base = i;
    if (needed && s->base == SIZE_MAX)
        return yaml_error(where, err, "%s wants a base_model%s", methods[r->method],
                          base == SIZE_MAX ? "" : " among the sources");
    size_t least = r->method == MERGE_MODEL_STOCK ? 3 : r->method == MERGE_SLERP ? 2 : 1;
    size_t most = r->method == MERGE_SLERP ? 2 : r->method == MERGE_PASSTHROUGH ? 1 : MERGE_MAX_MODELS;
    if (s->count < least || s->count > most)
        return yaml_error(where, err, "%zu models; %s wants %s%zu, with the base", s->count, methods[r->method],
                          least == most      ? ""
                          : s->count < least ? "at least "
                                             : "at most ",
                          s->count < least ? least : most);
    return TOLA_OK;
}

static tola_status read_models(merge_recipe *r, const yaml_node *models, tola_error *err) {
    merge_slice *s = r->slices;
    r->slice_count = 1;
    r->whole = true;
    for (size_t i = 0; i < models->count; i++) TRY(add_source(r, s, models->items[i], false, err));
    bool included = r->base == SIZE_MAX;
    for (size_t i = 0; i < s->count; i++) included = included || s->sources[i].model == r->base;
    if (!included) {
        const merge_model *base = &r->models[r->base];
        if (s->count == MERGE_MAX_MODELS) return yaml_error(models, err, "more than %d models", MERGE_MAX_MODELS);
        if (s->count > 0 && base->layers != s->layers)
            return yaml_error(base->node, err, "%u layers, where the models have %u", base->layers, s->layers);
        s->sources[s->count++] = (merge_source){ .model = r->base, .node = base->node };
    }
    if (s->count == 0) return yaml_error(models, err, "no model is there");
    return find_base(r, s, r->base, models, err);
}

static tola_status read_slice(merge_recipe *r, merge_slice *s, const yaml_node *node, tola_error *err) {
    static const char *const keys[] = { "sources", "base_model", "parameters", NULL };
    const yaml_node *sources, *own_base = NULL;
    size_t base = r->base;
    TRY(yaml_keys(node, keys, err));
    TRY(yaml_need(node, "sources", &sources, err));
    TRY(yaml_expect(sources, YAML_LIST, err));
    if (sources->count == 0) return yaml_error(sources, err, "no source is there");
    s->parameters = yaml_get(node, "parameters");
    if (s->parameters) TRY(yaml_keys(s->parameters, parameter_names, err));
    for (size_t i = 0; i < sources->count; i++) TRY(add_source(r, s, sources->items[i], true, err));
    if ((own_base = yaml_get(node, "base_model")) != NULL) TRY(add_model(r, own_base, &base, err));
    return find_base(r, s, base, node, err);
}

static tola_status read_dtype(const yaml_node *root, const char *key, const char *said, tola_dtype *out,
                              tola_error *err) {
    *out = said ? tola_dtype_parse(said) : TOLA_DTYPE_NONE;
    bool good = !said || *out == TOLA_DTYPE_F32 || *out == TOLA_DTYPE_F16 || *out == TOLA_DTYPE_BF16;
    return good ? TOLA_OK : yaml_error(yaml_get(root, key), err, "'%s' is none of float32, bfloat16, float16", said);
}

static tola_status read_recipe(merge_recipe *r, const yaml_node *root, tola_error *err) {
    raw said = { 0 };
    TRY(yaml_read(root, top_fields, sizeof top_fields / sizeof *top_fields, &said, err));
    r->method = (merge_method)said.method;
    r->tokenizer_source = said.tokenizer_source;
    r->parameters = said.parameters;
    if (r->parameters) TRY(yaml_keys(r->parameters, parameter_names, err));
    TRY(read_dtype(root, "dtype", said.dtype, &r->dtype, err));
    TRY(read_dtype(root, "out_dtype", said.out_dtype, &r->out_dtype, err));
    if (!said.models == !said.slices)
        return yaml_error(root, err,
                          said.models ? "either models or slices are said, not both"
                                      : "the key 'models' or 'slices' is missing");
    if (said.base) TRY(add_model(r, said.base, &r->base, err));
    size_t count = said.slices ? said.slices->count : 1;
    if (count == 0 || count > MERGE_MAX_SLICES)
        return yaml_error(said.slices, err, "%zu slices are not in 1 .. %d", count, MERGE_MAX_SLICES);
    r->slices = mem_calloc(count, sizeof *r->slices);
    if (!r->slices) return err_nomem(err, "reading a recipe");
    if (said.models) return read_models(r, said.models, err);
    for (; r->slice_count < count; r->slice_count++)
        TRY(read_slice(r, &r->slices[r->slice_count], said.slices->items[r->slice_count], err));
    return TOLA_OK;
}

tola_status merge_recipe_open(merge_recipe *r, const char *path, tola_error *err) {
    memset(r, 0, sizeof *r);
    arena_init(&r->arena, 0);
    r->base = SIZE_MAX;
    TRY(yaml_open(path, &r->file, err));
    return read_recipe(r, yaml_root(r->file), err);
}

void merge_recipe_free(merge_recipe *r) {
    for (size_t i = 0; i < r->model_count; i++) {
        if (r->models[i].in != r->models[i].file) tola_checkpoint_close((tola_checkpoint *)r->models[i].in);
        tola_checkpoint_close(r->models[i].file);
    }
    mem_free(r->slices);
    arena_free(&r->arena);
    yaml_free(r->file);
}
