/* A Hugging Face folder planned as GGUF: one input holds its small files, each after a line with its name.
 *
 * An input is a run of "\nFILE name\n" and contents. The folder is on disk, since companions are files. */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "families/hf_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const names[] = { "model.safetensors", "config.json",       "tokenizer.json",
                                     "tokenizer.model",   "vocab.json",        "merges.txt",
                                     "added_tokens.json", "chat_template.json", "tokenizer_config.json",
                                     "special_tokens_map.json", "generation_config.json", "chat_template.jinja",
                                     "README.md" };
enum { NAMES = sizeof names / sizeof *names };
static char folder[256];

static void remove_folder(void) {
    if (chdir(folder) != 0) return;
    for (size_t i = 0; i < NAMES; i++) unlink(names[i]);
    if (chdir("/") == 0) rmdir(folder);
}

static void make_folder(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/tola-fuzz-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) abort();
    atexit(remove_folder);
}

static const uint8_t *find(const uint8_t *data, size_t bytes, const char *what) {
    return bytes ? memmem(data, bytes, what, strlen(what)) : NULL;
}

/* Writes each part to its file and removes the others. */
static void write_files(const uint8_t *data, size_t bytes) {
    const uint8_t *end = data + bytes;
    for (size_t i = 0; i < NAMES; i++) {
        char path[320], mark[64];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        snprintf(mark, sizeof mark, "\nFILE %s\n", names[i]);
        const uint8_t *at = find(data, bytes, mark);
        unlink(path);
        if (!at) continue;
        at += strlen(mark);
        const uint8_t *next = find(at, (size_t)(end - at), "\nFILE ");
        FILE *f = fopen(path, "wb");
        if (!f) abort();
        if (fwrite(at, 1, (size_t)((next ? next : end) - at), f) != (size_t)((next ? next : end) - at)) abort();
        fclose(f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_checkpoint *ck;
    hf_gguf_plan *plan;
    tola_error err = TOLA_ERROR_INIT;
    if (!folder[0]) make_folder();
    write_files(data, bytes);
    if (tola_checkpoint_open(folder, NULL, &ck, &err) != TOLA_OK) return 0;
    (void)hf_gguf_applies(ck, true);
    if (hf_gguf_plan_to_gguf(ck, NULL, &plan, &err) == TOLA_OK) {
        const tola_value *tokens = tola_value_get(&plan->metadata, "tokenizer.ggml.tokens");
        const tola_value *types = tola_value_get(&plan->metadata, "tokenizer.ggml.token_type");
        if (tokens && (!types || types->as.array.count != tokens->as.array.count)) abort();
        hf_gguf_plan_free(plan);
    } else if (!err.message[0]) {
        abort();
    }
    tola_checkpoint_close(ck);
    return 0;
}
