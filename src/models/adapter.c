/* LoRA adapters (arXiv 2106.09685): y += scale * B (A x), beside the product with the weight, which stays as it is.
 *
 * PEFT's folder (huggingface/peft: adapter_config.json, tensors base_model.model.<module>.lora_{A,B}.weight; scale is
 * alpha / r, with rsLoRA, arXiv 2312.03732, alpha / sqrt(r)) and llama.cpp's GGUF (<tensor>.lora_a, .lora_b,
 * adapter.lora.alpha). Either fits a model of either layout: names go through families/names.c, and rows of B that turn
 * are reordered where the two order them differently. fan_in_fan_out changes how a pair is merged, not the pair. DoRA's
 * magnitudes are PEFT's lora_magnitude_vector.
 * Refused: adapters of embeddings, experts and biases, whole modules saved beside the pairs. */
#include "base/err.h"
#include "codecs/codec.h"
#include "models/adapter.h"
#include "text/regex.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_ARENA (64u << 20)
#define MAX_RANK 65536u
#define MAX_PATTERNS 256 /* of those that need more than a comparison, each with every pair */
#define NAME_MAX_LENGTH 255

static tola_status refuse(const tola_checkpoint *ck, const char *name, tola_status status, const char *why,
                          tola_error *err) {
    err_in_tensor(err, err_set(err, status, TOLA_NO_OFFSET, "%s", why), name);
    if (tola_checkpoint_file_count(ck) != 0) err_in_file(err, status, tola_checkpoint_file(ck, 0)->path);
    return status;
}

void model_adapter_free(model_adapter *a) {
    if (a == NULL) return;
    for (size_t i = 0; i < a->block_count; i++) mem_free(a->blocks[i]);
    mem_free(a->blocks);
    mem_free(a->pairs);
    mem_free(a->learned);
    mem_free(a->modules);
    arena_free(&a->arena);
    mem_free(a);
}

/* ---- names ---- */

/* Splits a tensor's name into that of the weight, as the other layouts have it, and which part it is; false with what
 * is in the way in *why. */
static bool split_peft(const char *name, char *weight, size_t cap, int *half, const char **why) {
    static const char prefix[] = "base_model.model.";
    static const char *const parts[PARTS] = { ".lora_A", ".lora_B", ".lora_magnitude_vector" };
    static const char *const ends[] = { ".weight", ".default.weight", ".default", "" };
    *why = "is no part of a LoRA adapter that is known";
    if (strstr(name, "lora_embedding_") != NULL) *why = "adapters of embeddings are not known";
    const char *rest = strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
    for (*half = 0; *half < PARTS; ++*half) {
        const char *at = strstr(rest, parts[*half]);
        const char *end = at != NULL ? at + strlen(parts[*half]) : NULL;
        for (size_t i = 0; at != NULL && i < sizeof ends / sizeof ends[0]; i++) {
            if (strcmp(end, ends[i]) != 0) continue;
            int n = snprintf(weight, cap, "%.*s.weight", (int)(at - rest), rest);
            return n > 0 && (size_t)n < cap;
        }
    }
    return false;
}

static bool split_gguf(const char *name, char *weight, size_t cap, int *half, const char **why) {
    static const char *const halves[] = { ".lora_a", ".lora_b" };
    *why = "is no part of a LoRA adapter that is known";
    size_t length = strlen(name);
    for (*half = 0; *half < 2; ++*half) {
        size_t n = strlen(halves[*half]);
        if (length <= n || strcmp(name + length - n, halves[*half]) != 0 || length - n >= cap) continue;
        memcpy(weight, name, length - n);
        weight[length - n] = '\0';
        return true;
    }
    return false;
}

pair *adapter_pair(model_adapter *a, const name_match *m) {
    for (size_t i = 0; i < a->count; i++)
        if (a->pairs[i]->row == m->row && a->pairs[i]->layer == m->layer) return a->pairs[i];
    if (!mem_grow(&a->pairs, &a->cap, a->count + 1, sizeof *a->pairs)) return NULL;
    pair *p = arena_alloc(&a->arena, sizeof *p);
    if (p == NULL) return NULL;
    a->pairs[a->count++] = p;
    *p = (pair){ .row = m->row, .layer = m->layer, .tensors = { SIZE_MAX, SIZE_MAX, SIZE_MAX } };
    return p;
}

static tola_status take_name(model_adapter *a, size_t tensor, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(a->ck, tensor);
    family_map map = a->base->family->map;
    char weight[NAME_MAX_LENGTH + 1];
    const char *why;
    int half;
    name_match m;
    if (!a->gguf && strstr(t->name, ".base_layer.") != NULL) return TOLA_OK; /* a copy of the model's own, as it was */
    if (!(a->gguf ? split_gguf : split_peft)(t->name, weight, sizeof weight, &half, &why))
        return refuse(a->ck, t->name, TOLA_E_UNSUPPORTED, why, err);
    if (!(a->gguf ? names_match_gguf(map, weight, &m) : names_match_hf(map, weight, &m)))
        return refuse(a->ck, t->name, TOLA_E_FORMAT, "the model has no such weight", err);
    if (m.expert != UINT32_MAX || strstr(m.row->gguf, "_exps") != NULL)
        return refuse(a->ck, t->name, TOLA_E_UNSUPPORTED, "adapters of experts are not known", err);
    if (strcmp(m.row->gguf, "token_embd.weight") == 0)
        return refuse(a->ck, t->name, TOLA_E_UNSUPPORTED, "adapters of embeddings are not known", err);
    pair *p = adapter_pair(a, &m);
    if (p == NULL) return err_nomem(err, "opening an adapter");
    if (p->tensors[half] != SIZE_MAX) return refuse(a->ck, t->name, TOLA_E_FORMAT, "a second one for its weight", err);
    p->tensors[half] = tensor;
    if (p->name == NULL) p->name = t->name;
    return TOLA_OK;
}

/* ---- scale ---- */

/* Letters of names alone: then a pattern is an ending of names, and matching it is no regular expression's work. */
static bool is_plain(const char *key, size_t length) {
    for (size_t i = 0; i < length; i++) {
        char c = key[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '-' && c != '.') return false;
    }
    return true;
}

/* A dot stands for any letter, as in every regular expression. */
static bool matches_ending(const char *key, size_t length, const char *module) {
    size_t all = strlen(module);
    if (all < length || (all > length && module[all - length - 1] != '.')) return false;
    for (size_t i = 0; i < length; i++)
        if (key[i] != '.' && key[i] != module[all - length + i]) return false;
    return true;
}

/* peft's get_pattern_key: re.match("(.*\.)?(KEY)$", module). */
static tola_status matches_regex(const char *key, size_t length, const char *module, bool *yes, tola_error *err) {
    static const char before[] = "\\A(?:.*\\.)?(?:", after[] = ")\\z";
    regex *r = NULL;
    regex_match *m = NULL;
    size_t begin, end;
    buf whole;
    buf_init(&whole, length + sizeof before + sizeof after);
    buf_append(&whole, before, sizeof before - 1);
    buf_append(&whole, key, length);
    buf_append(&whole, after, sizeof after - 1);
    tola_status status = whole.failed ? err_nomem(err, "reading patterns") : TOLA_OK;
    if (status == TOLA_OK) status = regex_compile((const char *)whole.data, whole.length, &r, err);
    if (status == TOLA_OK && (m = regex_match_new(r)) == NULL) status = err_nomem(err, "reading patterns");
    if (status == TOLA_OK) status = regex_next(r, m, module, strlen(module), 0, yes, &begin, &end, err);
    regex_match_free(m);
    regex_free(r);
    buf_free(&whole);
    if (status == TOLA_OK || status == TOLA_E_NOMEM) return status;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                   "adapter_config.json: pattern '%.80s' is no regular expression that is known here", key);
}

/* What a pattern map (rank_pattern, alpha_pattern: regular expressions of the ends of module names) says of a module:
 * the first that matches, as in peft. */
static tola_status pattern(const tola_value *map, const char *module, double *value, tola_error *err) {
    size_t hard = 0;
    for (size_t i = 0; map != NULL && map->kind == TOLA_VALUE_MAP && i < map->as.map.count; i++) {
        const tola_member *m = &map->as.map.members[i];
        bool yes = false, plain = is_plain(m->key.data, m->key.length);
        if (!plain && ++hard > MAX_PATTERNS)
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "adapter_config.json: more than %d patterns",
                           MAX_PATTERNS);
        if (plain)
            yes = matches_ending(m->key.data, m->key.length, module);
        else
            TRY(matches_regex(m->key.data, m->key.length, module, &yes, err));
        if (!yes) continue;
        *value = tola_value_f64(&m->value, NAN);
        return TOLA_OK;
    }
    return TOLA_OK;
}

static tola_status peft_scale(const model_adapter *a, pair *p, uint64_t rank, tola_error *err) {
    const tola_value *config = tola_checkpoint_config(a->ck);
    double alpha = tola_value_f64(tola_value_get(config, "lora_alpha"), 8);
    double said = tola_value_f64(tola_value_get(config, "r"), (double)rank);
    char module[NAME_MAX_LENGTH + 1];
    int half;
    const char *why;
    if (!split_peft(tola_checkpoint_tensor(a->ck, p->tensors[0])->name, module, sizeof module, &half, &why))
        return refuse(a->ck, p->name, TOLA_E_FORMAT, why, err);
    module[strlen(module) - strlen(".weight")] = '\0';
    TRY(pattern(tola_value_get(config, "alpha_pattern"), module, &alpha, err));
    TRY(pattern(tola_value_get(config, "rank_pattern"), module, &said, err));
    if (said != (double)rank) {
        char why_not[96];
        snprintf(why_not, sizeof why_not, "rank %llu, but adapter_config.json says %g", (unsigned long long)rank, said);
        return refuse(a->ck, p->name, TOLA_E_FORMAT, why_not, err);
    }
    bool rooted = tola_value_bool(tola_value_get(config, "use_rslora"), false);
    p->scale = (float)(alpha / (rooted ? sqrt((double)rank) : (double)rank));
    return TOLA_OK;
}

static void gguf_scale(const model_adapter *a, pair *p, uint64_t rank) {
    double alpha = tola_value_f64(tola_value_get(tola_checkpoint_metadata(a->ck), "adapter.lora.alpha"), 0);
    p->scale = alpha != 0 ? (float)(alpha / (double)rank) : 1;
}

/* ---- values ---- */

bool adapter_turns(const model_description *d, const name_row *row) {
    return (row->flags & (NAME_ROTATED_Q | NAME_ROTATED_K)) != 0 && family_interleaves(d->family->map);
}

void adapter_reorder(float *rows, uint64_t count, uint64_t dim, uint64_t cols, bool to_neighbours, float *spare) {
    for (uint64_t head = 0; head + dim <= count; head += dim) {
        float *at = rows + head * cols;
        memcpy(spare, at, (size_t)(dim * cols) * sizeof *spare);
        for (uint64_t i = 0; i < dim; i++) {
            uint64_t half = i / 2 + (i % 2) * (dim / 2);
            memcpy(at + (to_neighbours ? i : half) * cols, spare + (to_neighbours ? half : i) * cols,
                   (size_t)cols * sizeof *at);
        }
    }
}

static tola_status read_half(model_adapter *a, pair *p, int half, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(a->ck, p->tensors[half]);
    if (!mem_grow(&a->blocks, &a->block_cap, a->block_count + 1, sizeof *a->blocks) ||
        t->elements > SIZE_MAX / sizeof(float))
        return err_nomem(err, "opening an adapter");
    float *values = mem_alloc_aligned(64, (size_t)t->elements * sizeof *values);
    if (values == NULL) return err_nomem(err, "opening an adapter");
    a->blocks[a->block_count++] = values;
    const tola_dtype_kind kind = tola_dtype_get_kind(t->dtype);
    if (kind != TOLA_KIND_FLOAT && kind != TOLA_KIND_BLOCK)
        return refuse(a->ck, t->name, TOLA_E_UNSUPPORTED, "an adapter's matrices are floats", err);
    TRY(model_read_f32(a->ck, p->tensors[half], values, err));
    for (uint64_t i = 0; i < t->elements; i++)
        if (!isfinite(values[i])) return refuse(a->ck, t->name, TOLA_E_FORMAT, "holds what is no finite number", err);
    p->data[half] = values;
    uint64_t rows = t->shape[0], cols = half == MAGNITUDE ? 1 : t->shape[1], dim = a->base->key_dim;
    p->weights[half] = (graph_weight){ .name = t->name,
                                       .row_bytes = (size_t)cols * sizeof *values,
                                       .rows = rows,
                                       .cols = cols,
                                       .parts = 1,
                                       .dtype = TOLA_DTYPE_F32 };
    if (half == DOWN || !adapter_turns(a->base, p->row) || a->gguf == a->base->gguf) return TOLA_OK;
    float *spare = mem_alloc((size_t)(dim * cols) * sizeof *spare);
    if (spare == NULL) return err_nomem(err, "opening an adapter");
    adapter_reorder(values, rows, dim, cols, a->base->gguf, spare);
    mem_free(spare);
    return TOLA_OK;
}

static tola_status finish_pair(model_adapter *a, pair *p, tola_error *err) {
    if (p->tensors[DOWN] == SIZE_MAX || p->tensors[UP] == SIZE_MAX)
        return refuse(a->ck, p->name, TOLA_E_FORMAT, "the other half of the pair is missing", err);
    const tola_tensor_info *down = tola_checkpoint_tensor(a->ck, p->tensors[0]);
    const tola_tensor_info *up = tola_checkpoint_tensor(a->ck, p->tensors[1]);
    bool fits = down->n_dims == 2 && up->n_dims == 2 && down->shape[0] == up->shape[1] && down->shape[0] != 0 &&
                down->shape[0] <= MAX_RANK && down->shape[1] != 0 && up->shape[0] != 0;
    if (!fits) return refuse(a->ck, p->name, TOLA_E_FORMAT, "A and B are no [rank, in] and [out, rank]", err);
    if (a->gguf)
        gguf_scale(a, p, down->shape[0]);
    else
        TRY(peft_scale(a, p, down->shape[0], err));
    TRY(read_half(a, p, DOWN, err));
    TRY(read_half(a, p, UP, err));
    bool dora = !a->gguf && tola_value_bool(tola_value_get(tola_checkpoint_config(a->ck), "use_dora"), false);
    if (dora != (p->tensors[MAGNITUDE] != SIZE_MAX))
        return refuse(a->ck, p->name, TOLA_E_FORMAT,
                      dora ? "its magnitudes are missing, but adapter_config.json says use_dora"
                           : "has magnitudes, but adapter_config.json does not say use_dora",
                      err);
    if (!dora) return TOLA_OK;
    const tola_tensor_info *magnitude = tola_checkpoint_tensor(a->ck, p->tensors[MAGNITUDE]);
    if (magnitude->elements != up->shape[0] || magnitude->n_dims == 0 || magnitude->shape[0] != magnitude->elements)
        return refuse(a->ck, magnitude->name, TOLA_E_FORMAT, "are no magnitudes of as many rows as B has", err);
    return read_half(a, p, MAGNITUDE, err);
}

/* ---- opening ---- */

/* Neither null, false nor empty. */
static bool is_set(const tola_value *v) {
    if (v == NULL || v->kind == TOLA_VALUE_NULL) return false;
    if (v->kind == TOLA_VALUE_ARRAY) return v->as.array.count != 0;
    if (v->kind == TOLA_VALUE_MAP) return v->as.map.count != 0;
    return v->kind != TOLA_VALUE_BOOL || tola_value_bool(v, false);
}

/* Only what is y += scale * B (A x) and nothing beside it: words of peft's LoraConfig that mean something else. Ways to
 * begin (init_lora_weights) matter where they change the model itself: pissa, olora, corda, loftq, lora_ga. */
static tola_status check_peft(const tola_value *config, tola_error *err) {
    static const char *const others[] = {
        "lora_bias",         "modules_to_save",   "layer_replication",      "alora_invocation_tokens",
        "use_qalora",        "use_bdlora",        "arrow_config",           "kasa_config",
        "monteclora_config", "target_parameters", "trainable_token_indices"
    };
    static const char *const begun[] = { "gaussian", "eva", "orthogonal", "mica" };
    /* those that are read here: another kind of value is not another adapter */
    static const struct {
        const char *word;
        tola_value_kind kind;
    } read[] = {
        { "r", TOLA_VALUE_FLOAT },          { "lora_alpha", TOLA_VALUE_FLOAT },    { "use_rslora", TOLA_VALUE_BOOL },
        { "use_dora", TOLA_VALUE_BOOL },    { "fan_in_fan_out", TOLA_VALUE_BOOL }, { "bias", TOLA_VALUE_STRING },
        { "rank_pattern", TOLA_VALUE_MAP }, { "alpha_pattern", TOLA_VALUE_MAP }
    };
    if (config == NULL || config->kind != TOLA_VALUE_MAP)
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "adapter_config.json is missing, or no JSON object");
    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++) {
        const tola_value *v = tola_value_get(config, read[i].word);
        bool number = read[i].kind == TOLA_VALUE_FLOAT && isfinite(tola_value_f64(v, (double)NAN));
        if (v != NULL && v->kind != TOLA_VALUE_NULL && v->kind != read[i].kind && !number)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "adapter_config.json: %s is of the wrong kind",
                           read[i].word);
    }
    const char *type = tola_value_str(tola_value_get(config, "peft_type"), ""), *what = NULL;
    const tola_value *begin = tola_value_get(config, "init_lora_weights");
    if (strcmp(type, "LORA") != 0) what = "a peft_type other than LORA";
    for (size_t i = 0; i < sizeof others / sizeof others[0] && what == NULL; i++)
        if (is_set(tola_value_get(config, others[i]))) what = others[i];
    if (strcmp(tola_value_str(tola_value_get(config, "bias"), "none"), "none") != 0) what = "training of biases";
    if (begin != NULL && begin->kind == TOLA_VALUE_STRING) {
        bool known = false;
        for (size_t i = 0; i < sizeof begun / sizeof begun[0]; i++)
            known |= strcmp(begin->as.string.data, begun[i]) == 0;
        if (!known) what = "an init_lora_weights that changes the model";
    }
    if (what == NULL) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "adapter_config.json: %s is not known", what);
}

static tola_status check_gguf(const model_adapter *a, tola_error *err) {
    const tola_value *m = tola_checkpoint_metadata(a->ck);
    const char *type = tola_value_str(tola_value_get(m, "adapter.type"), "");
    const char *arch = tola_value_str(tola_value_get(m, "general.architecture"), "");
    const family *f = families_by_gguf(arch);
    if (strcmp(type, "lora") != 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "no LoRA adapter: adapter.type is '%.60s'", type);
    if (f == NULL || f->map != a->base->family->map)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "an adapter for %.60s, but the model is %s", arch,
                       a->base->family->name);
    return TOLA_OK;
}

static tola_status open_pairs(model_adapter *a, float scale, tola_error *err) {
    tola_status status = a->gguf ? check_gguf(a, err) : check_peft(tola_checkpoint_config(a->ck), err);
    if (status != TOLA_OK)
        return tola_checkpoint_file_count(a->ck) != 0 ? err_in_file(err, status, tola_checkpoint_file(a->ck, 0)->path)
                                                      : status;
    size_t tensors = tola_checkpoint_tensor_count(a->ck);
    for (size_t i = 0; i < tensors; i++) TRY(take_name(a, i, err));
    if (a->count == 0) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "an adapter without tensors");
    for (size_t i = 0; i < a->count; i++) {
        pair *p = a->pairs[i];
        TRY(finish_pair(a, p, err));
        p->scale *= scale;
        if (!isfinite(p->scale)) return refuse(a->ck, p->name, TOLA_E_FORMAT, "its scale is no number", err);
    }
    for (size_t i = 0; i < a->count; i++) /* the list grows no more */
        for (int part = 0; part < PARTS; part++) a->pairs[i]->weights[part].data = &a->pairs[i]->data[part];
    return TOLA_OK;
}

tola_status model_adapter_open(const tola_checkpoint *ck, const model_description *base, float scale,
                               model_adapter **out, tola_error *err) {
    model_adapter *a = mem_calloc(1, sizeof *a);
    if (a == NULL) return err_nomem(err, "opening an adapter");
    arena_init(&a->arena, MAX_ARENA);
    a->ck = ck;
    a->base = base;
    a->gguf = tola_value_get(tola_checkpoint_metadata(ck), "general.architecture") != NULL;
    tola_status status = open_pairs(a, scale, err);
    if (status != TOLA_OK) {
        model_adapter_free(a);
        return status;
    }
    *out = a;
    return TOLA_OK;
}

/* ---- handing out ---- */

static pair *named(model_adapter *a, const char *word, uint32_t layer) {
    static const char blk[] = "blk.%d.";
    for (size_t i = 0; i < a->count; i++) {
        const char *gguf = a->pairs[i]->row->gguf;
        if (strncmp(gguf, blk, sizeof blk - 1) == 0) gguf += sizeof blk - 1;
        if (a->pairs[i]->layer == layer && strcmp(gguf, word) == 0) return a->pairs[i];
    }
    return NULL;
}

size_t model_adapter_count(const model_adapter *a) { return a->count; }

static model_pair pair_seen(const pair *p) {
    return (model_pair){ .name = p->name,
                         .word = p->row->gguf,
                         .layer = p->layer,
                         .down = &p->weights[DOWN],
                         .up = &p->weights[UP],
                         .magnitude = p->data[MAGNITUDE],
                         .scale = p->scale };
}

model_pair model_adapter_at(const model_adapter *a, size_t i) { return pair_seen(a->pairs[i]); }

const graph_weight *adapter_rows(model_adapter *a, const pair *p, uint64_t first, uint64_t rows) {
    struct {
        graph_weight weight;
        const void *data;
    } *part = arena_alloc(&a->arena, sizeof *part);
    if (part == NULL) return NULL;
    part->weight = p->weights[UP];
    part->weight.rows = rows;
    part->data = (const uint8_t *)p->data[UP] + first * p->weights[UP].row_bytes;
    part->weight.data = &part->data;
    return &part->weight;
}

tola_status model_adapter_find(model_adapter *a, const model_want *want, model_pair *out, tola_error *err) {
    pair *p = want->fused != NULL && strcmp(want->fused, want->word) == 0 ? NULL : named(a, want->word, want->layer);
    uint64_t first = 0, rows = want->rows;
    *out = (model_pair){ 0 };
    if (p == NULL && want->fused != NULL) {
        p = named(a, want->fused, want->layer);
        first = want->fused_first;
        rows = want->fused_rows;
    }
    if (p == NULL) return a->learns ? adapter_learn(a, want, out, err) : TOLA_OK;
    if (p->weights[DOWN].cols != want->cols || p->weights[UP].rows != rows) {
        char why[128];
        snprintf(why, sizeof why, "a pair from %llu to %llu columns, but the weight goes from %llu to %llu",
                 (unsigned long long)p->weights[DOWN].cols, (unsigned long long)p->weights[UP].rows,
                 (unsigned long long)want->cols, (unsigned long long)rows);
        return refuse(a->ck, p->name, TOLA_E_FORMAT, why, err);
    }
    p->used = true;
    if (a->learns) return adapter_learn(a, want, out, err);
    model_pair found = pair_seen(p);
    if (rows != want->rows) found.up = adapter_rows(a, p, first, want->rows);
    if (found.up == NULL) return err_nomem(err, "adapters");
    if (found.magnitude != NULL) found.magnitude += first;
    *out = found;
    return TOLA_OK;
}

/* ---- lengths ---- */

/* ||row + scale up_row down||, the row as f32 in `row`, which is changed. */
static float length_of(const model_pair *p, const float *up, float *row) {
    const uint64_t cols = p->down->cols, rank = p->down->rows;
    const float *down = p->down->data[0];
    double sum = 0;
    for (uint64_t k = 0; k < rank; k++) {
        float by = p->scale * up[k];
        for (uint64_t c = 0; c < cols; c++) row[c] += by * down[k * cols + c];
    }
    for (uint64_t c = 0; c < cols; c++) sum += (double)row[c] * row[c];
    return (float)sqrt(sum);
}

static tola_status make_lengths(const model_pair *p, const graph_weight *w, float *out, tola_error *err) {
    float *row = mem_alloc_aligned(64, (size_t)w->cols * sizeof *row);
    if (row == NULL) return err_nomem(err, "adapters");
    tola_status status = TOLA_OK;
    for (uint64_t r = 0; r < w->rows && status == TOLA_OK; r++) {
        const uint8_t *stored = (const uint8_t *)w->data[0] + r * w->row_bytes;
        status = codec_convert(w->dtype, TOLA_DTYPE_F32, stored, row, (size_t)w->cols, TOLA_OVERFLOW_IEEE, NULL);
        const float *up = (const float *)((const uint8_t *)p->up->data[0] + r * p->up->row_bytes);
        if (status == TOLA_OK) out[r] = p->magnitude[r] / length_of(p, up, row);
    }
    mem_free(row);
    return status == TOLA_OK ? TOLA_OK : err_set(err, status, TOLA_NO_OFFSET, "%s cannot be read", w->name);
}

tola_status model_adapter_lengths(model_adapter *a, const model_pair *changed, const graph_weight *w,
                                  const graph_weight **out, tola_error *err) {
    for (lengths *l = a->lengths; l != NULL; l = l->next)
        if (l->of == w) {
            *out = &l->weight;
            return TOLA_OK;
        }
    lengths *l = arena_alloc(&a->arena, sizeof *l);
    float *values = mem_alloc_aligned(64, (size_t)(w->rows + 1) * sizeof *values);
    if (l == NULL || values == NULL || !mem_grow(&a->blocks, &a->block_cap, a->block_count + 1, sizeof *a->blocks)) {
        mem_free(values);
        return err_nomem(err, "adapters");
    }
    a->blocks[a->block_count++] = values;
    TRY(make_lengths(changed, w, values, err));
    *l = (lengths){ .next = a->lengths, .of = w, .data = values };
    l->weight = (graph_weight){ .name = changed->name,
                                .data = &l->data,
                                .row_bytes = (size_t)w->rows * sizeof *values,
                                .rows = 1,
                                .cols = w->rows,
                                .parts = 1,
                                .dtype = TOLA_DTYPE_F32 };
    a->lengths = l;
    *out = &l->weight;
    return TOLA_OK;
}

const char *model_adapter_unused(const model_adapter *a, const char **file) {
    bool from_file = a->ck != NULL && tola_checkpoint_file_count(a->ck) != 0; /* one that is learned has none yet */
    *file = from_file ? tola_checkpoint_file(a->ck, 0)->path : "the adapter";
    for (size_t i = 0; i < a->count; i++)
        if (!a->pairs[i]->used) return a->pairs[i]->name;
    return NULL;
}
