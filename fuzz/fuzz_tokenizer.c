/* Tokenizer files of every kind, and a text through each. The first byte tells the kind; what follows "\nTEXT\n" is the
 * text. The file is on disk, since that is how a tokenizer is opened. */
#define _GNU_SOURCE 1 /* memmem */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include <tola/tola.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static char folder[256];

static void remove_folder(void) {
    if (rmdir(folder) != 0) perror(folder);
}

static const char *path_of(uint8_t kind) {
    static const char *const names[] = { "t.json", "t.model", "t.tiktoken", "vocab.txt", "t.gguf" };
    static char path[300];
    if (!*folder) {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/tola-fuzz-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(folder)) abort();
        atexit(remove_folder);
    }
    const char *letters = "JSKVG", *letter = kind ? strchr(letters, kind) : NULL;
    snprintf(path, sizeof path, "%s/%s", folder, names[letter ? letter - letters : 0]);
    return path;
}

static void expect(bool good) {
    if (!good) abort();
}

static void there_and_back(const tola_tokenizer *t, const char *text, size_t length, unsigned flags) {
    uint32_t *ids;
    size_t count, n;
    char *back;
    const char *part;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_tokenize(t, text, length, flags, &ids, &count, &err) != TOLA_OK) {
        expect(err.message[0] != 0);
        return;
    }
    if (tola_detokenize(t, ids, count, 0, &back, &n, &err) == TOLA_OK) {
        expect(utf8_valid(back, n) && back[n] == 0);
        tola_free(back);
    }
    tola_detokenizer *d;
    expect(tola_detokenizer_create(t, flags & 1, &d, &err) == TOLA_OK);
    for (size_t i = 0; i < count; i++) {
        char own[16];
        size_t size;
        unsigned kind;
        expect(tola_token_text(t, ids[i], &size, &kind) != NULL);
        if (tola_detokenizer_push(d, ids[i], &part, &n, &err) != TOLA_OK) break;
        expect(utf8_valid(part, n));
        if (tola_token_bytes(t, ids[i], own, sizeof own, &size, &err) != TOLA_OK) break;
    }
    if (tola_detokenizer_finish(d, &part, &n, &err) == TOLA_OK) expect(utf8_valid(part, n));
    tola_detokenizer_free(d);
    tola_free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const char sign[] = "\nTEXT\n";
    if (bytes == 0) return 0;
    const char *path = path_of(data[0]);
    const uint8_t *text = memmem(data, bytes, sign, sizeof sign - 1);
    size_t file_bytes = text == data ? 0 : (text ? (size_t)(text - data) : bytes) - 1;
    FILE *f = fopen(path, "wb");
    expect(f && fwrite(data + 1, 1, file_bytes, f) == file_bytes && fclose(f) == 0);
    tola_tokenizer *t = NULL;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = tola_tokenizer_open(path, &t, &err);
    unlink(path);
    if (status != TOLA_OK) {
        expect(t == NULL && err.message[0] != 0);
        return 0;
    }
    const char *begin = text ? (const char *)text + sizeof sign - 1 : "a b";
    size_t length = text ? bytes - (size_t)((const uint8_t *)begin - data) : 3;
    there_and_back(t, begin, length, 0);
    there_and_back(t, begin, length, TOLA_TOKENIZE_SPECIAL | TOLA_TOKENIZE_PLAIN);
    const uint32_t *ends;
    for (size_t i = 0, n = tola_tokenizer_ends(t, &ends); i < n; i++) expect(ends[i] < tola_tokenizer_size(t));
    tola_tokenizer_free(t);
    return 0;
}
