/* tola_hyper: what families/ reads from configurations, for the oracle tests.
 *
 *   tola_hyper FILE...     one JSON object a line: of a config.json, or of any checkpoint that can be opened
 *   tola_hyper --families  the table of families, one row a line */
#include "base/json.h"
#include "families/families.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tola/tola.h>

static bool to_stdout(void *user, const char *text, size_t length) {
    (void)user;
    return fwrite(text, 1, length, stdout) == length;
}

static void field(tola_json *j, const char *key, uint64_t value) {
    tola_json_key(j, key);
    tola_json_u64(j, value);
}

static void text_field(tola_json *j, const char *key, const char *value) {
    tola_json_key(j, key);
    if (value)
        tola_json_string(j, value);
    else
        tola_json_null(j);
}

static void print(const char *path, const family *f, const family_hyper *h) {
    tola_json j;
    tola_json_init(&j, to_stdout, NULL, 0);
    tola_json_begin_object(&j);
    text_field(&j, "path", path);
    text_field(&j, "family", f ? f->name : NULL);
    field(&j, "layers", h->layers);
    field(&j, "width", h->width);
    field(&j, "heads", h->heads);
    field(&j, "kv_heads", h->kv_heads);
    field(&j, "head_dim", h->head_dim);
    field(&j, "feed_forward", h->feed_forward);
    field(&j, "context", h->context);
    field(&j, "vocabulary", h->vocabulary);
    field(&j, "experts", h->experts);
    field(&j, "experts_used", h->experts_used);
    field(&j, "shared_experts", h->shared_experts);
    field(&j, "expert_feed_forward", h->expert_feed_forward);
    field(&j, "shared_feed_forward", h->shared_feed_forward);
    field(&j, "first_dense", h->first_dense);
    field(&j, "sliding_window", h->sliding_window);
    field(&j, "rope", h->rope);
    field(&j, "rope_original_context", h->rope_original_context);
    const struct {
        const char *key;
        double value;
    } numbers[] = { { "norm_eps", h->norm_eps },       { "rope_theta", h->rope_theta },
                    { "rope_partial", h->rope_partial }, { "rope_factor", h->rope_factor },
                    { "rope_low_freq", h->rope_low_freq }, { "rope_high_freq", h->rope_high_freq } };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        tola_json_key(&j, numbers[i].key);
        tola_json_f64(&j, numbers[i].value);
    }
    tola_json_key(&j, "tie_embeddings");
    tola_json_bool(&j, h->tie_embeddings);
    text_field(&j, "activation", h->activation);
    tola_json_end_object(&j);
    if (!tola_json_finish(&j)) exit(3);
    putchar('\n');
}

static void families(void) {
    for (size_t i = 0; families_row(i); i++) {
        const family *f = families_row(i);
        tola_json j;
        tola_json_init(&j, to_stdout, NULL, 0);
        tola_json_begin_object(&j);
        text_field(&j, "name", f->name);
        text_field(&j, "model_types", f->model_types);
        text_field(&j, "classes", f->classes);
        text_field(&j, "gguf", f->gguf);
        field(&j, "map", f->map);
        tola_json_end_object(&j);
        if (!tola_json_finish(&j)) exit(3);
        putchar('\n');
    }
}

static char *read_all(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) return NULL;
    *bytes = (size_t)ftell(f);
    rewind(f);
    char *data = malloc(*bytes + 1);
    if (data && fread(data, 1, *bytes, f) != *bytes) exit(3);
    fclose(f);
    return data;
}

static tola_status config(const char *path, tola_error *err) {
    size_t bytes = 0;
    char *data = read_all(path, &bytes);
    if (!data) return TOLA_E_IO;
    arena a;
    arena_init(&a, 0);
    tola_value value;
    family_hyper h;
    tola_status status = json_parse(data, bytes, &a, &value, err);
    if (status == TOLA_OK) {
        families_hyper_hf(&value, &h);
        print(path, families_by_config(&value), &h);
    }
    arena_free(&a);
    free(data);
    return status;
}

static tola_status checkpoint(const char *path, tola_error *err) {
    tola_checkpoint *ck;
    family_hyper h;
    tola_status status = tola_checkpoint_open(path, NULL, &ck, err);
    if (status != TOLA_OK) return status;
    families_hyper_of(ck, &h);
    print(path, families_detect(ck), &h);
    tola_checkpoint_close(ck);
    return TOLA_OK;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        tola_error err = TOLA_ERROR_INIT;
        size_t n = strlen(argv[i]);
        if (strcmp(argv[i], "--families") == 0) {
            families();
            continue;
        }
        bool is_config = n > 5 && strcmp(argv[i] + n - 5, ".json") == 0;
        if ((is_config ? config(argv[i], &err) : checkpoint(argv[i], &err)) != TOLA_OK) {
            fprintf(stderr, "%s: %s\n", argv[i], err.message);
            return 2;
        }
    }
    return 0;
}
