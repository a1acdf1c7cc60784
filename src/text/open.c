/* Which tokenizer lies at a path or belongs to a model. */
#include <string.h>

#include "base/json.h"
#include "base/path.h"
#include "base/text.h"
#include "formats/open.h"
#include "text/tokenizer.h"

#define LARGEST_FILE ((uint64_t)256 << 20)

typedef tola_status (*parsed_fn)(tola_tokenizer *t, const tola_value *tree, tola_error *err);

static tola_status with_json(tola_tokenizer *t, const char *text, size_t bytes, parsed_fn use, tola_error *err) {
    arena a;
    tola_value tree;
    arena_init(&a, 0);
    tola_status status = json_parse(text, bytes, &a, &tree, err);
    if (status == TOLA_OK) status = use(t, &tree, err);
    arena_free(&a);
    return status;
}

static tola_status load_bytes(tola_tokenizer *t, const char *name, const char *data, size_t bytes,
                              const tola_value *config, tola_error *err) {
    if (text_ends_with(name, ".tiktoken")) return tk_load_tiktoken(t, data, bytes, name, err);
    if (text_ends_with(name, "vocab.txt")) return tk_load_bert(t, data, bytes, config, err);
    size_t i = 0;
    while (i < bytes && strchr(" \t\r\n", data[i]) && data[i]) i++;
    if (text_ends_with(name, ".json") || (i < bytes && data[i] == '{')) return with_json(t, data, bytes, tk_load_json, err);
    return tk_load_sentencepiece(t, data, bytes, config, err);
}

/* ---- a folder, or what lies beside a checkpoint ---- */

typedef tola_status (*fetch_fn)(const void *where, const char *name, void **data, size_t *bytes, tola_error *err);

static tola_status fetch_companion(const void *where, const char *name, void **data, size_t *bytes, tola_error *err) {
    return tola_checkpoint_companion(where, name, data, bytes, err);
}

static tola_status fetch_file(const void *where, const char *name, void **data, size_t *bytes, tola_error *err) {
    char *path = path_join(where, name), *text = NULL;
    if (!path) return err_nomem(err, "opening a tokenizer");
    tola_status status = ck_read_whole(path, LARGEST_FILE, &text, bytes, err);
    mem_free(path);
    *data = text;
    return status;
}

typedef struct place {
    fetch_fn fetch;
    const void *where;
    tola_value config; /* tokenizer_config.json; TOLA_VALUE_NULL: there is none */
} place;

/* A JSON file; TOLA_VALUE_NULL where it is absent. */
static tola_status fetch_json(const place *p, const char *name, arena *a, tola_value *out, tola_error *err) {
    void *data = NULL;
    size_t bytes = 0;
    *out = (tola_value){ 0 };
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = p->fetch(p->where, name, &data, &bytes, &detail);
    if (status == TOLA_E_NOT_FOUND) return TOLA_OK;
    if (status == TOLA_OK) status = json_parse(data, bytes, a, out, &detail);
    if (status != TOLA_OK) err_in_file(&detail, status, name);
    tola_free(data);
    if (status != TOLA_OK && err) *err = detail;
    return status;
}

static tola_status load_gpt2(tola_tokenizer *t, const place *p, tola_error *err) {
    void *merges = NULL;
    size_t bytes = 0;
    arena a;
    tola_value vocab, added;
    arena_init(&a, 0);
    tola_status status = fetch_json(p, "vocab.json", &a, &vocab, err);
    if (status == TOLA_OK) status = fetch_json(p, "added_tokens.json", &a, &added, err);
    if (status == TOLA_OK && vocab.kind == TOLA_VALUE_NULL)
        status = err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                         "there is no tokenizer: no tokenizer.json, "
                         "tokenizer.model, vocab.txt, or vocab.json with merges.txt");
    if (status == TOLA_OK) status = p->fetch(p->where, "merges.txt", &merges, &bytes, err);
    if (status == TOLA_OK) status = tk_load_gpt2(t, &vocab, merges, bytes, &p->config, &added, err);
    tola_free(merges);
    arena_free(&a);
    return status;
}

static tola_status load_vocabulary(tola_tokenizer *t, const place *p, tola_error *err) {
    static const char *const names[] = { "tokenizer.json",     "tokenizer.model",
                                         "spiece.model",       "sentencepiece.bpe.model",
                                         "tokenizer.tiktoken", "qwen.tiktoken",
                                         "vocab.txt" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *data = NULL;
        size_t bytes = 0;
        tola_error detail = TOLA_ERROR_INIT;
        tola_status status = p->fetch(p->where, names[i], &data, &bytes, &detail);
        if (status == TOLA_E_NOT_FOUND) continue;
        if (status == TOLA_OK) {
            status = load_bytes(t, names[i], data, bytes, &p->config, &detail);
            if (status != TOLA_OK) err_in_file(&detail, status, names[i]);
        }
        tola_free(data);
        if (status != TOLA_OK && err) *err = detail;
        return status;
    }
    return load_gpt2(t, p, err);
}

static tola_status load_beside(tola_tokenizer *t, fetch_fn fetch, const void *where, tola_error *err) {
    static const char *const configs[] = { "special_tokens_map.json", "generation_config.json", "config.json" };
    place p = { .fetch = fetch, .where = where };
    arena a;
    arena_init(&a, 0);
    tola_status status = fetch_json(&p, "tokenizer_config.json", &a, &p.config, err);
    if (status == TOLA_OK) status = load_vocabulary(t, &p, err);
    if (status == TOLA_OK) status = tk_use_config(t, &p.config, err);
    for (size_t i = 0; i < sizeof configs / sizeof *configs && status == TOLA_OK; i++) {
        tola_value config;
        status = fetch_json(&p, configs[i], &a, &config, err);
        if (status == TOLA_OK) status = tk_use_config(t, &config, err);
    }
    if (status == TOLA_OK) status = tk_finish_specials(t, err);
    arena_free(&a);
    return status;
}

static tola_status load_from(tola_tokenizer *t, const tola_checkpoint *ck, tola_error *err) {
    if (strcmp(tola_checkpoint_format(ck), "gguf") != 0) return load_beside(t, fetch_companion, ck, err);
    TRY(tk_load_gguf(t, tola_checkpoint_metadata(ck), err));
    return tk_finish_specials(t, err);
}

tola_status tola_tokenizer_from_checkpoint(const tola_checkpoint *ck, tola_tokenizer **out, tola_error *err) {
    tola_tokenizer *t;
    TRY(tk_create(&t, err));
    tola_status status = load_from(t, ck, err);
    if (status == TOLA_OK)
        *out = t;
    else
        tola_tokenizer_free(t);
    return status;
}

/* ---- files in memory ---- */

static tola_status fetch_memory(const void *where, const char *name, void **data, size_t *bytes, tola_error *err) {
    const tk_files *files = where;
    for (size_t i = 0; i < files->count; i++) {
        const tk_file *f = &files->items[i];
        if (strcmp(f->name, name) != 0) continue;
        char *copy = mem_alloc(f->bytes + 1);
        if (!copy) return err_nomem(err, "opening a tokenizer");
        memcpy(copy, f->data, f->bytes);
        copy[f->bytes] = '\0';
        *data = copy;
        *bytes = f->bytes;
        return TOLA_OK;
    }
    return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "%s is not there", name);
}

tola_status tk_open_files(const tk_files *files, tola_tokenizer **out, tola_error *err) {
    tola_tokenizer *t;
    TRY(tk_create(&t, err));
    tola_status status = load_beside(t, fetch_memory, files, err);
    if (status == TOLA_OK) *out = t;
    else tola_tokenizer_free(t);
    return status;
}

/* ---- a path ---- */

/* Weights: what is in the file, or beside it. */
static tola_status load_model(tola_tokenizer *t, const char *path, tola_error *err) {
    tola_checkpoint *ck;
    TRY(tola_checkpoint_open(path, NULL, &ck, err));
    tola_status status = load_from(t, ck, err);
    tola_checkpoint_close(ck);
    return status;
}

static bool is_weights(const char *path) {
    static const char *const ends[] = { ".safetensors", ".index.json", ".gguf", ".bin", ".pt", ".pth", ".ckpt" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (text_ends_with(path, ends[i])) return true;
    return strstr(path, "://") != NULL;
}

static tola_status load_file(tola_tokenizer *t, const char *path, tola_error *err) {
    source *src;
    char magic[4] = "";
    if (is_weights(path)) return load_model(t, path, err);
    TRY(ck_open_source(path, &src, err));
    tola_status status = src->size >= 4 ? source_read(src, 0, magic, 4, err) : TOLA_OK;
    source_close(src);
    TRY(status);
    if (memcmp(magic, "GGUF", 4) == 0) return load_model(t, path, err);
    char *data = NULL;
    size_t bytes = 0;
    TRY(ck_read_whole(path, LARGEST_FILE, &data, &bytes, err));
    status = load_bytes(t, path_last(path), data, bytes, NULL, err);
    mem_free(data);
    return status == TOLA_OK ? tk_finish_specials(t, err) : status;
}

tola_status tola_tokenizer_open(const char *path, tola_tokenizer **out, tola_error *err) {
    tola_tokenizer *t;
    TRY(tk_create(&t, err));
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = ck_is_folder(path) ? load_beside(t, fetch_file, path, &detail) : load_file(t, path, &detail);
    if (status == TOLA_OK) {
        *out = t;
        return TOLA_OK;
    }
    tola_tokenizer_free(t);
    if (!strstr(detail.message, path)) err_in_file(&detail, status, path);
    if (err) *err = detail;
    return status;
}
