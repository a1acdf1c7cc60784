/* sentence-transformers' folders (https://sbert.net/docs/sentence_transformer/usage/custom_models.html): modules.json
 * lists modules in order, each with a folder; Pooling's config.json has one boolean for each way, since version 5.4 one
 * word or a list of words. config_sentence_transformers.json has prompts by name and the name of the usual one. GGUF
 * keeps one number (<architecture>.pooling_type: 0 none, 1 mean, 2 cls, 3 last, 4 rank; gguf-py's PoolingType). */
#include "generate/embed_modules.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

static void refuse(embed_modules *m, const char *what, const char *name) {
    char quoted[80];
    if (m->refused[0]) return;
    text_quote(quoted, sizeof quoted, name, strlen(name));
    snprintf(m->refused, sizeof m->refused, "%s '%s' is not supported", what, quoted);
}

/* What is wrong with the file `name`, which lies beside the weights. */
static tola_status in_file(const tola_checkpoint *ck, const char *name, tola_status status, tola_error *err) {
    const char *first = tola_checkpoint_file_count(ck) ? tola_checkpoint_file(ck, 0)->path : "";
    const char *slash = strrchr(first, '/');
    buf path;
    buf_init(&path, 0);
    buf_append(&path, first, slash ? (size_t)(slash - first) + 1 : 0);
    buf_append(&path, name, strlen(name) + 1);
    status = err_in_file(err, status, path.failed ? name : (const char *)path.data);
    buf_free(&path);
    return status;
}

static tola_status wrong(const tola_checkpoint *ck, const char *name, const char *why, tola_error *err) {
    return in_file(ck, name, err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s", why), err);
}

/* NULL in *out where the file is not there. */
static tola_status read_json(const tola_checkpoint *ck, const char *name, arena *a, const tola_value **out,
                             tola_error *err) {
    void *data = NULL;
    size_t bytes;
    tola_error detail = TOLA_ERROR_INIT;
    *out = NULL;
    tola_value *value = arena_alloc(a, sizeof *value);
    if (!value) return err_nomem(err, "reading a file");
    tola_status status = tola_checkpoint_companion(ck, name, &data, &bytes, &detail);
    if (status == TOLA_E_NOT_FOUND) return TOLA_OK;
    if (status == TOLA_OK) {
        status = json_parse(data, bytes, a, value, &detail);
        tola_free(data);
        if (status != TOLA_OK) in_file(ck, name, status, &detail);
    }
    if (status == TOLA_OK && value->kind != TOLA_VALUE_MAP && value->kind != TOLA_VALUE_ARRAY)
        status = wrong(ck, name, "neither an object nor a list", &detail);
    if (status == TOLA_OK) *out = value;
    else if (err) *err = detail;
    return status;
}

static const char *word_of(const tola_value *v) {
    return v && v->kind == TOLA_VALUE_STRING ? v->as.string.data : NULL;
}

/* ---- pooling ---- */

static void take_way(const char *way, unsigned before, embed_modules *m) {
    static const struct {
        const char *word, *key; /* since 5.4, and before */
        tola_pooling pooling;
    } known[] = { { "cls", "pooling_mode_cls_token", TOLA_POOLING_CLS },
                  { "mean", "pooling_mode_mean_tokens", TOLA_POOLING_MEAN },
                  { "lasttoken", "pooling_mode_lasttoken", TOLA_POOLING_LAST } };
    bool ours = false;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        if (strcmp(way, known[k].word) != 0 && strcmp(way, known[k].key) != 0) continue;
        m->pooling = known[k].pooling;
        ours = true;
    }
    if (!ours) refuse(m, "pooling", way);
    if (before) refuse(m, "pooling in two ways, one of them", way);
}

static tola_status take_pooling(const tola_checkpoint *ck, const char *name, const tola_value *config,
                                embed_modules *m, tola_error *err) {
    static const char *const widths[] = { "embedding_dimension", "word_embedding_dimension" };
    if (!config || config->kind != TOLA_VALUE_MAP)
        return wrong(ck, name, "the pooling's configuration is missing, or no object", err);
    const tola_value *mode = tola_value_get(config, "pooling_mode");
    unsigned found = m->pooling != TOLA_POOLING_MODEL; /* a second pooling */
    if (mode) {
        const bool list = mode->kind == TOLA_VALUE_ARRAY;
        const size_t count = list ? mode->as.array.count : 1;
        for (size_t i = 0; i < count; i++) {
            tola_value way = list ? tola_value_at(mode, i) : *mode;
            if (!word_of(&way)) return wrong(ck, name, "pooling_mode is no word", err);
            take_way(word_of(&way), found++, m);
        }
    } else {
        for (size_t i = 0; i < config->as.map.count; i++) {
            const tola_member *member = &config->as.map.members[i];
            if (strncmp(member->key.data, "pooling_mode_", 13) == 0 && tola_value_bool(&member->value, false))
                take_way(member->key.data, found++, m);
        }
    }
    if (m->pooling == TOLA_POOLING_MODEL && !m->refused[0]) m->pooling = TOLA_POOLING_MEAN; /* Pooling's own */
    m->without_prompt = !tola_value_bool(tola_value_get(config, "include_prompt"), true);
    for (size_t i = 0; i < sizeof widths / sizeof *widths && m->width == 0; i++) {
        uint64_t width = tola_value_u64(tola_value_get(config, widths[i]), 0);
        if (width <= UINT32_MAX) m->width = (uint32_t)width;
    }
    return TOLA_OK;
}

static tola_status take_modules(const tola_checkpoint *ck, const tola_value *list, arena *a, embed_modules *m,
                                tola_error *err) {
    static const char here[] = "modules.json";
    if (list->kind != TOLA_VALUE_ARRAY || list->as.array.count == 0)
        return wrong(ck, here, "not a list of modules", err);
    for (size_t i = 0; i < list->as.array.count; i++) {
        tola_value module = tola_value_at(list, i);
        const bool object = module.kind == TOLA_VALUE_MAP;
        const char *type = object ? word_of(tola_value_get(&module, "type")) : NULL;
        const char *path = object ? word_of(tola_value_get(&module, "path")) : NULL;
        if (!type || !path) return wrong(ck, here, "a module without type or path", err);
        if (text_ends_with(type, ".Transformer")) {
            if (*path) refuse(m, "a model in the folder", path);
        } else if (text_ends_with(type, ".Normalize")) {
            m->normalize = true;
        } else if (text_ends_with(type, ".Pooling")) {
            char name[300];
            const tola_value *config;
            if ((size_t)snprintf(name, sizeof name, "%s%sconfig.json", path, *path ? "/" : "") >= sizeof name)
                return wrong(ck, here, "a path is too long", err);
            TRY(read_json(ck, name, a, &config, err));
            TRY(take_pooling(ck, name, config, m, err));
        } else if (!text_ends_with(type, ".Dropout")) { /* which does nothing outside of training */
            refuse(m, "the module", type);
        }
    }
    return TOLA_OK;
}

/* ---- texts ---- */

/* How long they may be, and lowercasing. The file's name was once that of the model's family. */
static tola_status take_transformer(const tola_checkpoint *ck, bool modules, arena *a, embed_modules *m,
                                    tola_error *err) {
    static const char *const names[] = { "sentence_bert_config.json",       "sentence_roberta_config.json",
                                         "sentence_camembert_config.json",  "sentence_xlm-roberta_config.json" };
    const tola_value *config = NULL, *most = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !config; i++) {
        TRY(read_json(ck, names[i], a, &config, err));
        if (!config) continue;
        if (config->kind != TOLA_VALUE_MAP) return wrong(ck, names[i], "not an object", err);
        m->lowercase = tola_value_bool(tola_value_get(config, "do_lower_case"), false);
        most = tola_value_get(config, "max_seq_length");
        if (!most || most->kind == TOLA_VALUE_NULL) continue;
        if (most->kind != TOLA_VALUE_UINT || most->as.u64 == 0 || most->as.u64 > UINT32_MAX)
            return wrong(ck, names[i], "max_seq_length is no number of tokens", err);
        m->context = (uint32_t)most->as.u64;
    }
    if (!modules || m->context) return TOLA_OK;
    TRY(read_json(ck, "tokenizer_config.json", a, &config, err));
    /* where there is no bound, this is 1e30 */
    uint64_t bound = config && config->kind == TOLA_VALUE_MAP
                         ? tola_value_u64(tola_value_get(config, "model_max_length"), 0)
                         : 0;
    if (bound <= UINT32_MAX) m->context = (uint32_t)bound;
    return TOLA_OK;
}

static tola_status take_prompt(const tola_checkpoint *ck, const char *wanted, arena *a, embed_modules *m,
                               tola_error *err) {
    static const char here[] = "config_sentence_transformers.json";
    const tola_value *config = NULL, *name = NULL;
    if (wanted && !*wanted) return TOLA_OK;
    TRY(read_json(ck, here, a, &config, err));
    if (config && config->kind != TOLA_VALUE_MAP) return wrong(ck, here, "not an object", err);
    const tola_value *prompts = config ? tola_value_get(config, "prompts") : NULL;
    if (!wanted && config && (name = tola_value_get(config, "default_prompt_name")) != NULL &&
        name->kind != TOLA_VALUE_NULL && !(wanted = word_of(name)))
        return wrong(ck, here, "default_prompt_name is no text", err);
    if (!wanted) return TOLA_OK;
    const char *prompt = prompts && prompts->kind == TOLA_VALUE_MAP ? word_of(tola_value_get(prompts, wanted)) : NULL;
    if (!prompt) {
        char quoted[80];
        text_quote(quoted, sizeof quoted, wanted, strlen(wanted));
        tola_status status = err_set(err, name ? TOLA_E_FORMAT : TOLA_E_ARG, TOLA_NO_OFFSET,
                                     "the model has no prompt called '%s'", quoted);
        return config ? in_file(ck, here, status, err) : status;
    }
    if (*prompt && !(m->prompt = mem_strdup(prompt))) return err_nomem(err, "reading a prompt");
    return TOLA_OK;
}

/* ---- all of it ---- */

static void take_gguf(const tola_checkpoint *ck, embed_modules *m) {
    static const tola_pooling poolings[] = { TOLA_POOLING_MODEL, TOLA_POOLING_MEAN, TOLA_POOLING_CLS,
                                             TOLA_POOLING_LAST };
    const tola_value *metadata = tola_checkpoint_metadata(ck);
    char key[200];
    const char *architecture = tola_value_str(tola_value_get(metadata, "general.architecture"), "");
    if ((size_t)snprintf(key, sizeof key, "%s.pooling_type", architecture) >= sizeof key) return;
    uint64_t type = tola_value_u64(tola_value_get(metadata, key), 0);
    if (type < sizeof poolings / sizeof *poolings) m->pooling = poolings[type];
    else refuse(m, "the pooling of", key);
}

tola_status embed_modules_read(const tola_checkpoint *ck, const char *prompt, embed_modules *out, tola_error *err) {
    embed_modules m = { 0 };
    arena a;
    const tola_value *found = NULL;
    arena_init(&a, (size_t)16 << 20);
    tola_status status = TOLA_OK;
    const bool gguf = strcmp(tola_checkpoint_format(ck), "gguf") == 0;
    if (gguf) {
        take_gguf(ck, &m);
    } else {
        status = read_json(ck, "modules.json", &a, &found, err);
        if (status == TOLA_OK && found) status = take_modules(ck, found, &a, &m, err);
        if (status == TOLA_OK) status = take_transformer(ck, found != NULL, &a, &m, err);
    }
    if (status == TOLA_OK && (!gguf || prompt)) status = take_prompt(ck, prompt, &a, &m, err);
    arena_free(&a);
    if (status == TOLA_OK) *out = m;
    else embed_modules_clear(&m);
    return status;
}

void embed_modules_clear(embed_modules *m) {
    mem_free(m->prompt);
    m->prompt = NULL;
}
