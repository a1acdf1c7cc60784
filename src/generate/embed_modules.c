/* sentence-transformers' folders (https://sbert.net/docs/sentence_transformer/usage/custom_models.html): modules.json
 * lists modules in order, each with a folder; Pooling's config.json has one boolean for each way. GGUF keeps one number
 * (<architecture>.pooling_type: 0 none, 1 mean, 2 cls, 3 last, 4 rank; gguf-py's PoolingType). */
#include "generate/embed_modules.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"

static void refuse(embed_modules *m, const char *what, const char *name) {
    char quoted[80];
    if (m->refused[0]) return;
    text_quote(quoted, sizeof quoted, name, strlen(name));
    snprintf(m->refused, sizeof m->refused, "%s '%s' is not supported", what, quoted);
}

/* NULL in *out where the file is not there. */
static tola_status read_json(const tola_checkpoint *ck, const char *name, arena *a, tola_value *value,
                             const tola_value **out, tola_error *err) {
    void *data = NULL;
    size_t bytes;
    tola_error detail = TOLA_ERROR_INIT;
    *out = NULL;
    tola_status status = tola_checkpoint_companion(ck, name, &data, &bytes, &detail);
    if (status == TOLA_E_NOT_FOUND) return TOLA_OK;
    if (status == TOLA_OK) {
        status = json_parse(data, bytes, a, value, &detail);
        tola_free(data);
        if (status != TOLA_OK) err_in_file(&detail, status, name);
    }
    if (status == TOLA_OK) *out = value;
    else if (err) *err = detail;
    return status;
}

static void take_pooling(const tola_value *config, embed_modules *m) {
    static const struct {
        const char *key;
        tola_pooling pooling;
    } known[] = { { "pooling_mode_cls_token", TOLA_POOLING_CLS },
                  { "pooling_mode_mean_tokens", TOLA_POOLING_MEAN },
                  { "pooling_mode_lasttoken", TOLA_POOLING_LAST } };
    if (!config || config->kind != TOLA_VALUE_MAP) return;
    unsigned found = 0;
    for (size_t i = 0; i < config->as.map.count; i++) {
        const tola_member *member = &config->as.map.members[i];
        if (strncmp(member->key.data, "pooling_mode_", 13) != 0 || !tola_value_bool(&member->value, false)) continue;
        bool ours = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
            if (strcmp(member->key.data, known[k].key) != 0) continue;
            m->pooling = known[k].pooling;
            ours = true;
        }
        if (!ours) refuse(m, "pooling", member->key.data);
        if (++found == 2) refuse(m, "pooling in two ways, one of them", member->key.data);
    }
}

static tola_status take_modules(const tola_checkpoint *ck, const tola_value *list, arena *a, embed_modules *m,
                                tola_error *err) {
    const size_t count = list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0;
    for (size_t i = 0; i < count; i++) {
        tola_value module = tola_value_at(list, i);
        const char *type = tola_value_str(tola_value_get(&module, "type"), "");
        const char *path = tola_value_str(tola_value_get(&module, "path"), "");
        if (text_ends_with(type, ".Transformer")) continue;
        if (text_ends_with(type, ".Normalize")) {
            m->normalize = true;
        } else if (text_ends_with(type, ".Pooling")) {
            char name[300];
            tola_value value;
            const tola_value *config;
            if ((size_t)snprintf(name, sizeof name, "%s%sconfig.json", path, *path ? "/" : "") >= sizeof name)
                return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "modules.json: a path of %zu bytes", strlen(path));
            TRY(read_json(ck, name, a, &value, &config, err));
            take_pooling(config, m);
        } else {
            refuse(m, "the module", type);
        }
    }
    return TOLA_OK;
}

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

tola_status embed_modules_read(const tola_checkpoint *ck, embed_modules *out, tola_error *err) {
    embed_modules m = { 0 };
    arena a;
    tola_value value;
    const tola_value *found = NULL;
    if (strcmp(tola_checkpoint_format(ck), "gguf") == 0) {
        take_gguf(ck, &m);
        *out = m;
        return TOLA_OK;
    }
    arena_init(&a, (size_t)16 << 20);
    tola_status status = read_json(ck, "modules.json", &a, &value, &found, err);
    if (status == TOLA_OK && found) status = take_modules(ck, found, &a, &m, err);
    if (status == TOLA_OK) status = read_json(ck, "sentence_bert_config.json", &a, &value, &found, err);
    if (status == TOLA_OK && found) {
        uint64_t most = tola_value_u64(tola_value_get(found, "max_seq_length"), 0);
        if (most <= UINT32_MAX) m.context = (uint32_t)most;
    }
    arena_free(&a);
    if (status == TOLA_OK) *out = m;
    return status;
}
