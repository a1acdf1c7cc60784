/* Which tokenizer lies at a path or belongs to a model. */
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/path.h"
#include "base/text.h"
#include "formats/open.h"
#include "text/tokenizer.h"

#define LARGEST_FILE ((uint64_t)256 << 20)

static tola_status load_json(tola_tokenizer *t, const char *text, size_t bytes, tola_error *err) {
    arena a;
    tola_value tree;
    arena_init(&a, 0);
    tola_status status = json_parse(text, bytes, &a, &tree, err);
    if (status == TOLA_OK) status = tk_load_json(t, &tree, err);
    arena_free(&a);
    return status;
}

static tola_status load_bytes(tola_tokenizer *t, const char *name, const char *data, size_t bytes, tola_error *err) {
    if (text_ends_with(name, ".tiktoken")) return tk_load_tiktoken(t, data, bytes, name, err);
    size_t i = 0;
    while (i < bytes && strchr(" \t\r\n", data[i]) && data[i]) i++;
    if (i < bytes && data[i] == '{') return load_json(t, data, bytes, err);
    return tk_load_sentencepiece(t, data, bytes, err);
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

static tola_status load_gpt2(tola_tokenizer *t, fetch_fn fetch, const void *where, tola_error *err) {
    void *vocab = NULL, *merges = NULL;
    size_t vocab_bytes = 0, merges_bytes = 0;
    TRY(fetch(where, "vocab.json", &vocab, &vocab_bytes, err));
    tola_status status = fetch(where, "merges.txt", &merges, &merges_bytes, err);
    if (status == TOLA_OK) status = tk_load_gpt2(t, vocab, vocab_bytes, merges, merges_bytes, err);
    tola_free(vocab);
    tola_free(merges);
    return status;
}

static tola_status load_beside(tola_tokenizer *t, fetch_fn fetch, const void *where, tola_error *err) {
    static const char *const names[] = { "tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
                                         "tokenizer.tiktoken", "qwen.tiktoken" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *data = NULL;
        size_t bytes = 0;
        tola_error detail = TOLA_ERROR_INIT;
        tola_status status = fetch(where, names[i], &data, &bytes, &detail);
        if (status == TOLA_E_NOT_FOUND) continue;
        if (status == TOLA_OK) {
            status = load_bytes(t, names[i], data, bytes, &detail);
            if (status != TOLA_OK) err_in_file(&detail, status, names[i]);
        }
        tola_free(data);
        if (status != TOLA_OK && err) *err = detail;
        return status;
    }
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = load_gpt2(t, fetch, where, &detail);
    if (status == TOLA_E_NOT_FOUND)
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                       "there is no tokenizer: no tokenizer.json, tokenizer.model, or vocab.json with merges.txt");
    if (status != TOLA_OK && err) *err = detail;
    return status;
}

tola_status tola_tokenizer_from_checkpoint(const tola_checkpoint *ck, tola_tokenizer **out, tola_error *err) {
    tola_tokenizer *t;
    TRY(tk_create(&t, err));
    bool gguf = strcmp(tola_checkpoint_format(ck), "gguf") == 0;
    tola_status status = gguf ? tk_load_gguf(t, tola_checkpoint_metadata(ck), err)
                              : load_beside(t, fetch_companion, ck, err);
    if (status == TOLA_OK) *out = t;
    else tola_tokenizer_free(t);
    return status;
}

/* ---- a path ---- */

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static tola_status load_gguf_file(tola_tokenizer *t, const char *path, tola_error *err) {
    tola_checkpoint *ck;
    TRY(tola_checkpoint_open(path, NULL, &ck, err));
    tola_status status = tk_load_gguf(t, tola_checkpoint_metadata(ck), err);
    tola_checkpoint_close(ck);
    return status;
}

static tola_status load_file(tola_tokenizer *t, const char *path, tola_error *err) {
    source *src;
    char magic[4] = "";
    TRY(ck_open_source(path, &src, err));
    tola_status status = src->size >= 4 ? source_read(src, 0, magic, 4, err) : TOLA_OK;
    source_close(src);
    TRY(status);
    if (memcmp(magic, "GGUF", 4) == 0) return load_gguf_file(t, path, err);
    char *data = NULL;
    size_t bytes = 0;
    TRY(ck_read_whole(path, LARGEST_FILE, &data, &bytes, err));
    status = load_bytes(t, path_last(path), data, bytes, err);
    mem_free(data);
    return status;
}

tola_status tola_tokenizer_open(const char *path, tola_tokenizer **out, tola_error *err) {
    tola_tokenizer *t;
    TRY(tk_create(&t, err));
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = is_folder(path) ? load_beside(t, fetch_file, path, &detail) : load_file(t, path, &detail);
    if (status == TOLA_OK) {
        *out = t;
        return TOLA_OK;
    }
    tola_tokenizer_free(t);
    if (!strstr(detail.message, path)) err_in_file(&detail, status, path);
    if (err) *err = detail;
    return status;
}
