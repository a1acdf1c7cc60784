#include "learn/recipe.h"

#include "base/err.h"
#include "base/path.h"
#include "base/text.h"
#include "learn/data_table.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MAX_FILES 100000u
#define FIELD(key, type, at, low, high)                                                                                \
    { key, type, offsetof(recipe, at), low, high, NULL, false }
#define NODE(key, at)                                                                                                  \
    { key, YAML_TO_NODE, offsetof(recipe, at), 0, 0, NULL, false }
#define CHOICE(key, at, words)                                                                                         \
    { key, YAML_TO_CHOICE, offsetof(recipe, at), 0, 0, words, false }
#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])

#define LARGE 1e15

/* What the tables below read into, beside the recipe. */
typedef struct raw {
    const yaml_node *seed, *data, *tokenizer, *model, *training, *distill, *optimizer, *schedule, *validation, *save,
        *log;
} raw;

static tola_status read_top(const yaml_node *root, raw *out, recipe *r, tola_error *err) {
#define PART(name)                                                                                                     \
    { #name, YAML_TO_MAP, offsetof(raw, name), 0, 0, NULL, false }
    const yaml_field fields[] = {
        { "seed", YAML_TO_NODE, offsetof(raw, seed), 0, 0, NULL, false },
        { "data", YAML_TO_MAP, offsetof(raw, data), 0, 0, NULL, true },
        { "model", YAML_TO_MAP, offsetof(raw, model), 0, 0, NULL, true },
        { "training", YAML_TO_MAP, offsetof(raw, training), 0, 0, NULL, true },
        PART(tokenizer),
        PART(optimizer),
        PART(schedule),
        PART(validation),
        PART(save),
        PART(log),
        PART(distill),
    };
#undef PART
    TRY(yaml_read(root, fields, COUNT_OF(fields), out, err));
    if (out->seed) TRY(yaml_u64(out->seed, 0, UINT64_MAX, &r->seed, err));
    return TOLA_OK;
}

/* ---- files ---- */

static tola_status add_path(recipe *r, const yaml_node *node, const char **out, tola_error *err) {
    const char *text;
    TRY(yaml_string(node, &text, err));
    if (!*text) return yaml_error(node, err, "an empty file name");
    bool whole = text[0] == '/' || !r->folder[0];
    char *path = whole ? arena_strndup(&r->arena, text, strlen(text)) : NULL;
    if (!whole) {
        char *joined = path_join(r->folder, text);
        if (joined) path = arena_strndup(&r->arena, joined, strlen(joined));
        mem_free(joined);
    }
    if (!path) return err_nomem(err, "reading a recipe");
    *out = path;
    return TOLA_OK;
}

static tola_status add_files(recipe *r, const yaml_node *node, recipe_files *out, tola_error *err) {
    *out = (recipe_files){ .node = node };
    if (!node) return TOLA_OK;
    size_t count = node->kind == YAML_LIST ? node->count : 1;
    if (count == 0) return yaml_error(node, err, "an empty list of files");
    if (count > MAX_FILES) return yaml_error(node, err, "%zu files, at most %u", count, MAX_FILES);
    out->paths = arena_alloc_array(&r->arena, count, sizeof *out->paths);
    if (!out->paths) return err_nomem(err, "reading a recipe");
    for (; out->count < count; out->count++)
        TRY(add_path(r, node->kind == YAML_LIST ? node->items[out->count] : node, &out->paths[out->count], err));
    return TOLA_OK;
}

/* ---- data ---- */

typedef struct data_nodes {
    const yaml_node *train, *labels, *validation, *validation_labels, *target;
    uint32_t format, header, task, classes, scale, rows;
    const char *field, *separator;
} data_nodes;

static recipe_format format_of(const char *path) {
    if (text_ends_with(path, ".csv") || text_ends_with(path, ".tsv")) return RECIPE_CSV;
    if (text_ends_with(path, ".jsonl") || text_ends_with(path, ".ndjson")) return RECIPE_JSONL;
    const char *name = path_last(path);
    if (strstr(name, "idx1") || strstr(name, "idx3") || text_ends_with(path, ".idx") || strstr(name, "-ubyte"))
        return RECIPE_IDX;
    return RECIPE_TEXT;
}

static tola_status read_data(recipe *r, const yaml_node *node, tola_error *err) {
    static const char *const formats[] = { "auto", "text", "jsonl", "csv", "idx", NULL };
    static const char *const headers[] = { "auto", "yes", "no", NULL };
    static const char *const tasks[] = { "classes", "numbers", NULL };
    static const char *const scales[] = { "none", "unit", "standard", NULL };
    static const char *const rows[] = { "stream", "packed", "separate", NULL };
    data_nodes d = { .field = "text", .scale = DATA_SCALE_STANDARD };
    const yaml_field fields[] = {
        { "train", YAML_TO_NODE, offsetof(data_nodes, train), 0, 0, NULL, true },
        { "labels", YAML_TO_NODE, offsetof(data_nodes, labels), 0, 0, NULL, false },
        { "validation", YAML_TO_NODE, offsetof(data_nodes, validation), 0, 0, NULL, false },
        { "validation_labels", YAML_TO_NODE, offsetof(data_nodes, validation_labels), 0, 0, NULL, false },
        { "format", YAML_TO_CHOICE, offsetof(data_nodes, format), 0, 0, formats, false },
        { "target", YAML_TO_NODE, offsetof(data_nodes, target), 0, 0, NULL, false },
        { "field", YAML_TO_STRING, offsetof(data_nodes, field), 0, 0, NULL, false },
        { "header", YAML_TO_CHOICE, offsetof(data_nodes, header), 0, 0, headers, false },
        { "predict", YAML_TO_CHOICE, offsetof(data_nodes, task), 0, 0, tasks, false },
        { "classes", YAML_TO_U32, offsetof(data_nodes, classes), 1, DATA_MAX_CLASSES, NULL, false },
        { "scale", YAML_TO_CHOICE, offsetof(data_nodes, scale), 0, 0, scales, false },
        { "rows", YAML_TO_CHOICE, offsetof(data_nodes, rows), 0, 0, rows, false },
        { "separator", YAML_TO_STRING, offsetof(data_nodes, separator), 0, 0, NULL, false },
    };
    TRY(yaml_read(node, fields, COUNT_OF(fields), &d, err));
    r->data.node = node;
    TRY(add_files(r, d.train, &r->data.train, err));
    TRY(add_files(r, d.labels, &r->data.labels, err));
    TRY(add_files(r, d.validation_labels, &r->data.validation_labels, err));
    if (d.validation && (d.validation->kind == YAML_INT || d.validation->kind == YAML_FLOAT))
        r->data.split = d.validation;
    else
        TRY(add_files(r, d.validation, &r->data.validation, err));
    r->data.format = d.format ? (recipe_format)d.format : format_of(r->data.train.paths[0]);
    r->data.field = d.field;
    r->data.header = d.header;
    r->data.scale = d.scale;
    r->data.classes = d.classes;
    r->data.rows = d.rows;
    r->data.separator = d.separator;
    r->data.regression = d.task == 1;
    if (d.target && d.target->kind == YAML_INT)
        r->data.target = d.target->text; /* a column's place */
    else if (d.target)
        TRY(yaml_string(d.target, &r->data.target, err));
    if (r->data.format == RECIPE_IDX && !r->data.labels.count)
        return yaml_error(node, err, "images in IDX files want 'labels', an IDX file too");
    if (r->data.format == RECIPE_IDX && r->data.validation.count && !r->data.validation_labels.count)
        return yaml_error(node, err, "validation images in IDX files want 'validation_labels'");
    bool table = r->data.format == RECIPE_CSV || r->data.format == RECIPE_IDX;
    const recipe_files *each[] = { &r->data.train, &r->data.labels, &r->data.validation, &r->data.validation_labels };
    for (size_t i = 0; table && i < COUNT_OF(each); i++)
        if (each[i]->count > 1) return yaml_error(each[i]->node, err, "a table is one file, not %zu", each[i]->count);
    if (r->data.split && !(r->data.split->number > 0)) return yaml_error(r->data.split, err, "must be above 0");
    uint64_t rows_kept;
    if (r->data.split && r->data.split->number >= 1) TRY(yaml_u64(r->data.split, 1, (uint64_t)LARGE, &rows_kept, err));
    return TOLA_OK;
}

/* ---- the rest ---- */

static tola_status read_tokenizer(recipe *r, const yaml_node *node, tola_error *err) {
    const yaml_field fields[] = {
        NODE("file", tokenizer.file_node),
        FIELD("vocabulary", YAML_TO_U32, tokenizer.vocabulary, 257, 1 << 20),
    };
    r->tokenizer.node = node;
    r->tokenizer.vocabulary = 4096;
    if (!node) return TOLA_OK;
    TRY(yaml_read(node, fields, COUNT_OF(fields), r, err));
    return r->tokenizer.file_node ? add_path(r, r->tokenizer.file_node, &r->tokenizer.file, err) : TOLA_OK;
}

static tola_status read_model(recipe *r, const yaml_node *node, tola_error *err) {
    static const char *const words[] = { "llama", "gpt2", "mixtral", "mistral", "qwen2", "qwen3", NULL };
    r->model.node = node;
    r->model.width = 256;
    r->model.depth = 4;
    r->model.heads = 4;
    r->model.context = 256;
    r->model.tied = true;
    r->model.rope_theta = 10000;
    r->model.deviation = 0.02;
    const yaml_field fields[] = {
        NODE("layers", model.layers),
        FIELD("architecture", YAML_TO_STRING, model.architecture, 0, 0),
        FIELD("smoothing", YAML_TO_F32, model.smoothing, 0, 0.999),
        FIELD("width", YAML_TO_U32, model.width, 1, 1 << 20),
        FIELD("heads", YAML_TO_U32, model.heads, 1, 1 << 14),
        FIELD("kv_heads", YAML_TO_U32, model.kv_heads, 1, 1 << 14),
        FIELD("head_width", YAML_TO_U32, model.head_width, 2, 1 << 14),
        FIELD("feed_forward", YAML_TO_U32, model.feed_forward, 1, 1 << 22),
        FIELD("context", YAML_TO_U32, model.context, 2, 1 << 22),
        FIELD("experts", YAML_TO_U32, model.experts, 2, 4096),
        FIELD("experts_used", YAML_TO_U32, model.experts_used, 1, 4096),
        FIELD("tied", YAML_TO_BOOL, model.tied, 0, 0),
        FIELD("rope_theta", YAML_TO_F64, model.rope_theta, 1, 1e12),
        FIELD("deviation", YAML_TO_F64, model.deviation, 0, 100),
        NODE("weights", model.weights_node),
        NODE("config", model.config_node),
    };
    TRY(yaml_read(node, fields, COUNT_OF(fields), r, err));
    if (r->model.weights_node) TRY(add_path(r, r->model.weights_node, &r->model.weights, err));
    if (r->model.config_node) TRY(add_path(r, r->model.config_node, &r->model.config, err));
    int ways = (r->model.architecture != NULL) + (r->model.weights != NULL) + (r->model.config != NULL);
    const yaml_node *layers = r->model.layers;
    bool network = !ways && (!layers || layers->kind == YAML_LIST);
    if (ways > 1 || (ways && layers && layers->kind == YAML_LIST))
        return yaml_error(node, err,
                          "one of 'layers' (a list), 'architecture', 'config', 'weights' says what is trained");
    if (!network && !ways) return yaml_error(layers, err, "is a list of layers, or a number beside 'architecture'");
    if (r->model.architecture) {
        bool known = false;
        for (size_t i = 0; words[i]; i++) known |= strcmp(words[i], r->model.architecture) == 0;
        if (!known)
            return yaml_error(yaml_get(node, "architecture"), err,
                              "'%.40s' is none of llama, gpt2, mixtral, mistral, qwen2, qwen3; any other: 'config', a "
                              "config.json",
                              r->model.architecture);
        uint64_t depth = r->model.depth;
        if (layers) TRY(yaml_u64(layers, 1, 4096, &depth, err));
        r->model.depth = (uint32_t)depth;
        r->model.layers = NULL;
    }
    return TOLA_OK;
}

static tola_status read_training(recipe *r, const yaml_node *node, tola_error *err) {
    static const char *const precisions[] = { "f32", "bf16", "fp8", NULL };
    r->training.batch = 32;
    r->training.accumulate = 1;
    const yaml_field fields[] = {
        FIELD("steps", YAML_TO_U64, training.steps, 1, LARGE),
        FIELD("epochs", YAML_TO_F64, training.epochs, 1e-9, 1e9),
        FIELD("batch", YAML_TO_U32, training.batch, 1, 1 << 24),
        FIELD("accumulate", YAML_TO_U32, training.accumulate, 1, 1 << 20),
        CHOICE("precision", training.precision, precisions),
        FIELD("recompute", YAML_TO_BOOL, training.recompute, 0, 0),
    };
    TRY(yaml_read(node, fields, COUNT_OF(fields), r, err));
    if ((r->training.steps != 0) == (r->training.epochs > 0))
        return yaml_error(node, err, "either 'steps' or 'epochs' says how long");
    return TOLA_OK;
}

static tola_status read_optimizer(recipe *r, const yaml_node *node, tola_error *err) {
    static const char *const methods[] = { "sgd", "adam", "adamw", "adamw8", NULL }; /* as learn_method */
    r->optimizer = (learn_optimizer)LEARN_OPTIMIZER_INIT;
    r->method = r->optimizer.method;
    r->decay_embeddings = true;
    if (!node) return TOLA_OK;
    const yaml_field fields[] = {
        CHOICE("method", method, methods),
        NODE("betas", betas),
        FIELD("rate", YAML_TO_F64, optimizer.rate, 0, 1e6),
        FIELD("decay", YAML_TO_F64, optimizer.decay, 0, 1e6),
        FIELD("eps", YAML_TO_F64, optimizer.eps, 0, 1),
        FIELD("momentum", YAML_TO_F64, optimizer.momentum, 0, 1),
        FIELD("nesterov", YAML_TO_BOOL, optimizer.nesterov, 0, 0),
        FIELD("clip", YAML_TO_F64, optimizer.clip, 0, 1e30),
        FIELD("decay_embeddings", YAML_TO_BOOL, decay_embeddings, 0, 0),
    };
    TRY(yaml_read(node, fields, COUNT_OF(fields), r, err));
    r->optimizer.method = (learn_method)r->method;
    bool decays = r->method == LEARN_ADAMW || r->method == LEARN_ADAMW8;
    if (!decays && !yaml_get(node, "decay")) r->optimizer.decay = 0; /* torch.optim's defaults */
    if (r->betas) {
        TRY(yaml_expect(r->betas, YAML_LIST, err));
        if (r->betas->count != 2) return yaml_error(r->betas, err, "wants two numbers");
        TRY(yaml_f64(r->betas->items[0], 0, 0.999999999, &r->optimizer.beta1, err));
        TRY(yaml_f64(r->betas->items[1], 0, 0.999999999, &r->optimizer.beta2, err));
    }
    if (r->optimizer.nesterov && r->optimizer.momentum == 0)
        return yaml_error_at_key(yaml_get(node, "nesterov"), err, "wants a momentum");
    return TOLA_OK;
}

static tola_status read_schedule(recipe *r, const yaml_node *node, tola_error *err) {
    static const char *const kinds[] = { "constant", "linear", "cosine", "wsd", NULL }; /* as learn_schedule_kind */
    if (!node) return TOLA_OK;
    const yaml_field fields[] = {
        CHOICE("kind", schedule_kind, kinds),
        FIELD("warmup", YAML_TO_U64, schedule.warmup, 0, LARGE),
        FIELD("decay_steps", YAML_TO_U64, schedule.decay_steps, 0, LARGE),
        FIELD("floor", YAML_TO_F64, schedule.floor, 0, 1),
    };
    TRY(yaml_read(node, fields, COUNT_OF(fields), r, err));
    r->schedule.kind = (learn_schedule_kind)r->schedule_kind;
    if (r->schedule.kind == LEARN_WSD && r->schedule.decay_steps == 0)
        return yaml_error(node, err, "'wsd' wants 'decay_steps', how many of the last steps the rate goes down");
    return TOLA_OK;
}

static tola_status read_habits(recipe *r, const raw *top, tola_error *err) {
    r->keep = 2;
    r->log_every = 1;
    const yaml_field validation[] = {
        FIELD("every", YAML_TO_U64, validate_every, 1, LARGE),
        FIELD("batches", YAML_TO_U32, validation_batches, 1, 1 << 30),
    };
    const yaml_field save[] = {
        FIELD("every", YAML_TO_U64, save_every, 1, LARGE),
        FIELD("keep", YAML_TO_U32, keep, 1, 1 << 20),
    };
    const yaml_field log[] = { FIELD("every", YAML_TO_U64, log_every, 1, LARGE) };
    if (top->validation) TRY(yaml_read(top->validation, validation, COUNT_OF(validation), r, err));
    if (top->save) TRY(yaml_read(top->save, save, COUNT_OF(save), r, err));
    if (top->log) TRY(yaml_read(top->log, log, COUNT_OF(log), r, err));
    return TOLA_OK;
}

/* ---- a teacher ---- */

static tola_status read_distillation(recipe *r, const yaml_node *node, tola_error *err) {
    r->distill.temperature = 2;
    r->distill.share = 0.5f;
    r->distill.top = 64;
    if (!node) return TOLA_OK;
    const yaml_field fields[] = {
        { "teacher", YAML_TO_NODE, offsetof(recipe, distill.node), 0, 0, NULL, true },
        FIELD("temperature", YAML_TO_F32, distill.temperature, 0.01, 1000),
        FIELD("share", YAML_TO_F32, distill.share, 0, 1),
        FIELD("top", YAML_TO_U32, distill.top, 1, 1 << 20),
    };
    TRY(yaml_read(node, fields, COUNT_OF(fields), r, err));
    if (r->data.format != RECIPE_TEXT && r->data.format != RECIPE_JSONL)
        return yaml_error(node, err, "a teacher teaches language models, from texts");
    return add_path(r, r->distill.node, &r->distill.teacher, err);
}

/* ---- facts ---- */

static bool is_harmless(const char *path) {
    static const char *const parts[] = { "save.", "log.", "validation." };
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (strncmp(path, parts[i], strlen(parts[i])) == 0) return true;
    return false;
}

/* Leaves of the tree below `node`; its depth has a limit. */
static tola_status add_facts(recipe *r, const yaml_node *node, size_t *cap, tola_error *err) {
    char path[256];
    if (node->kind == YAML_LIST || node->kind == YAML_MAP) {
        for (size_t i = 0; i < node->count; i++) TRY(add_facts(r, node->items[i], cap, err));
        return TOLA_OK;
    }
    if (node->kind == YAML_NULL) return TOLA_OK;
    if (!mem_grow(&r->facts, cap, r->fact_count + 1, sizeof *r->facts)) return err_nomem(err, "reading a recipe");
    yaml_path(node, path, sizeof path);
    char *name = arena_strndup(&r->arena, path, strlen(path));
    if (!name) return err_nomem(err, "reading a recipe");
    r->facts[r->fact_count++] = (learn_fact){ name, node->text, is_harmless(path) };
    return TOLA_OK;
}

static tola_status fill(recipe *r, tola_error *err) {
    raw top = { .seed = NULL };
    size_t cap = 0;
    const char *path = yaml_name(r->file), *name = path_last(path);
    const yaml_node *root = yaml_root(r->file);
    r->folder = arena_strndup(&r->arena, path, (size_t)(name - path));
    if (!r->folder) return err_nomem(err, "reading a recipe");
    TRY(yaml_expect(root, YAML_MAP, err));
    TRY(read_top(root, &top, r, err));
    TRY(read_data(r, top.data, err));
    TRY(read_tokenizer(r, top.tokenizer, err));
    TRY(read_training(r, top.training, err));
    TRY(read_optimizer(r, top.optimizer, err));
    TRY(read_model(r, top.model, err));
    TRY(read_schedule(r, top.schedule, err));
    TRY(read_habits(r, &top, err));
    TRY(read_distillation(r, top.distill, err));
    return add_facts(r, root, &cap, err);
}

static tola_status keep_fact(recipe *r, const char *name, const char *value, tola_error *err) {
    learn_fact *facts = mem_realloc_array(r->facts, r->fact_count + 1, sizeof *facts);
    char *kept = arena_strndup(&r->arena, value, strlen(value));
    if (facts) r->facts = facts;
    if (!facts || !kept) return err_nomem(err, "reading a recipe");
    r->facts[r->fact_count++] = (learn_fact){ name, kept, false };
    return TOLA_OK;
}

tola_status recipe_teach(recipe *r, const recipe_lesson *lesson, tola_error *err) {
    char numbers[96];
    if (lesson->data) {
        r->data.train.paths = arena_alloc_array(&r->arena, 1, sizeof *r->data.train.paths);
        char *path = arena_strndup(&r->arena, lesson->data, strlen(lesson->data));
        if (!r->data.train.paths || !path) return err_nomem(err, "reading a recipe");
        r->data.train.paths[0] = path;
        r->data.train.count = 1;
        r->data.format = format_of(path);
    }
    if (r->data.format != RECIPE_TEXT && r->data.format != RECIPE_JSONL)
        return yaml_error(r->data.node, err, "a teacher teaches language models, from texts");
    if (!(r->distill.teacher = arena_strndup(&r->arena, lesson->teacher, strlen(lesson->teacher))))
        return err_nomem(err, "reading a recipe");
    if (lesson->temperature >= 0) r->distill.temperature = (float)lesson->temperature;
    if (lesson->share >= 0) r->distill.share = (float)lesson->share;
    if (lesson->top) r->distill.top = lesson->top;
    if (!(r->distill.temperature >= 0.01f && r->distill.temperature <= 1000) || !(r->distill.share <= 1))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "a temperature of %g and a share of %g: 0.01 to 1000 and 0 to 1 are possible",
                       (double)r->distill.temperature, (double)r->distill.share);
    snprintf(numbers, sizeof numbers, "temperature %g, share %g, top %u", (double)r->distill.temperature,
             (double)r->distill.share, r->distill.top);
    TRY(keep_fact(r, "teacher", lesson->teacher, err));
    TRY(keep_fact(r, "lesson", numbers, err));
    return lesson->data ? keep_fact(r, "lesson.data", lesson->data, err) : TOLA_OK;
}

tola_status recipe_read(yaml *file, recipe **out, tola_error *err) {
    recipe *r = mem_calloc(1, sizeof *r);
    if (!r) {
        yaml_free(file);
        return err_nomem(err, "reading a recipe");
    }
    arena_init(&r->arena, 0);
    r->file = file;
    tola_status status = fill(r, err);
    if (status != TOLA_OK) {
        recipe_free(r);
        return status;
    }
    *out = r;
    return TOLA_OK;
}

tola_status recipe_open(const char *path, recipe **out, tola_error *err) {
    yaml *file;
    TRY(yaml_open(path, &file, err));
    return recipe_read(file, out, err);
}

void recipe_free(recipe *r) {
    if (!r) return;
    yaml_free(r->file);
    mem_free(r->facts);
    arena_free(&r->arena);
    mem_free(r);
}

tola_status tola_train_inputs(const char *path, char ***models, char ***files, tola_error *err) {
    recipe *r;
    TRY(recipe_open(path, &r, err));
    const recipe_files *lists[] = { &r->data.train, &r->data.labels, &r->data.validation, &r->data.validation_labels };
    const char *own[2], **others;
    size_t n_own = 0, n = 3;
    for (size_t i = 0; i < COUNT_OF(lists); i++) n += lists[i]->count;
    others = arena_alloc_array(&r->arena, n, sizeof *others);
    *models = *files = NULL;
    n = 0;
    if (r->model.weights) own[n_own++] = r->model.weights;
    if (r->distill.teacher) own[n_own++] = r->distill.teacher;
    if (others) others[n++] = path;
    if (others && r->tokenizer.file) others[n++] = r->tokenizer.file;
    if (others && r->model.config) others[n++] = r->model.config;
    for (size_t i = 0; others && i < COUNT_OF(lists); i++)
        for (size_t k = 0; k < lists[i]->count; k++) others[n++] = lists[i]->paths[k];
    if (others) *models = text_list(own, n_own);
    if (others) *files = text_list(others, n);
    recipe_free(r);
    if (*models && *files) return TOLA_OK;
    mem_free(*models);
    mem_free(*files);
    return err_nomem(err, "reading a recipe");
}
