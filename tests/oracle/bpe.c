/* tola_bpe VOCABULARY gpt2|llama3 THREADS FOLDER FILE [SPECIAL...]: learns a tokenizer from FILE as one text and puts
 * its two files into FOLDER. The first special token ends texts. Prints the tokens and the seconds of counting and of
 * learning. For bpe_oracle.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text/bpe_train.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static char *read_all(const char *path, size_t *length) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) exit(2);
    *length = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*length + 1);
    if (!text || fread(text, 1, *length, f) != *length) exit(2);
    fclose(f);
    return text;
}

static void write_all(const char *folder, const char *name, const buf *b) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b->data, 1, b->length, f) != b->length || fclose(f) != 0) exit(2);
}

int main(int argc, char **argv) {
    if (argc < 6) return 2;
    bpe_train_options o = { .vocabulary = (uint32_t)atoi(argv[1]),
                            .words = strcmp(argv[2], "gpt2") == 0 ? BPE_WORDS_GPT2 : BPE_WORDS_LLAMA3,
                            .threads = (unsigned)atoi(argv[3]),
                            .specials = (const char *const *)argv + 6,
                            .special_count = (size_t)argc - 6,
                            .end = argc > 6 ? argv[6] : NULL };
    size_t length;
    char *text = read_all(argv[5], &length);
    bpe_trainer *t = NULL;
    buf tokenizer, config;
    uint32_t tokens = 0;
    tola_error err = TOLA_ERROR_INIT;
    buf_init(&tokenizer, 0);
    buf_init(&config, 0);
    double start = now(), counted = start;
    tola_status status = bpe_train_create(&o, &t, &err);
    if (status == TOLA_OK) status = bpe_train_add(t, text, length, &err);
    counted = now();
    if (status == TOLA_OK) status = bpe_train_finish(t, &tokenizer, &config, &tokens, &err);
    double end = now();
    if (status != TOLA_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    write_all(argv[4], "tokenizer.json", &tokenizer);
    write_all(argv[4], "tokenizer_config.json", &config);
    printf("%u %.3f %.3f\n", tokens, counted - start, end - counted);
    bpe_train_free(t);
    buf_free(&tokenizer);
    buf_free(&config);
    free(text);
    return 0;
}
