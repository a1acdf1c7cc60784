/* tola_logits: logits (of encoders: hidden states) of all positions of a prompt, as f32, for the oracle tests.
 *
 *   tola_logits MODEL IDS OUT [--chunk N] [--context N] [--threads N] [--last N] [--adapter PATH]...
 *               [--scale F] [--hidden 1]
 *
 * IDS is a file with one id a line; --chunk runs N tokens at a time, --last gives the last N positions
 * alone, --hidden the last hidden states instead of logits. Prints what the weights cost and which tensors
 * were left over. Exit 2 with the message on stderr where something is wrong. */
#include "base/err.h"
#include "graph/plan.h"
#include "models/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 4096, MAX_ADAPTERS = 4 };

typedef struct settings {
    const char *model, *ids, *out, *adapters[MAX_ADAPTERS];
    size_t adapter_count, chunk, context, last;
    unsigned threads;
    float scale;
    bool hidden;
} settings;

typedef struct state {
    tola_checkpoint *ck, *adapter_cks[MAX_ADAPTERS];
    model_description *d;
    model_weights *w;
    model_adapter *adapters[MAX_ADAPTERS];
    graph *g;
    kv_cache *kv;
    kv_sequence *s;
    graph_plan *plan;
    pool *threads;
} state;

static bool parse(int argc, char **argv, settings *s) {
    const char **free_words[] = { &s->model, &s->ids, &s->out };
    size_t words = 0;
    *s = (settings){ .scale = 1, .threads = 1 };
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (argv[i][0] != '-') {
            if (words == 3) return false;
            *free_words[words++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--chunk") == 0)
            s->chunk = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--context") == 0)
            s->context = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--last") == 0) s->last = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--hidden") == 0) s->hidden = strcmp(value, "1") == 0;
        else if (strcmp(argv[i], "--threads") == 0)
            s->threads = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--adapter") == 0 && s->adapter_count < MAX_ADAPTERS)
            s->adapters[s->adapter_count++] = value;
        else if (strcmp(argv[i], "--scale") == 0)
            s->scale = strtof(value, NULL);
        else
            return false;
        i++;
    }
    return words == 3;
}

static tola_status make(state *t, const settings *s, size_t n, tola_error *err) {
    TRY(model_open(s->model, &t->ck, err));
    TRY(model_describe(t->ck, s->context, &t->d, err));
    TRY(model_weights_open(t->ck, t->d, &t->w, err));
    for (size_t i = 0; i < s->adapter_count; i++) {
        TRY(tola_checkpoint_open(s->adapters[i], NULL, &t->adapter_cks[i], err));
        TRY(model_adapter_open(t->adapter_cks[i], t->d, s->scale, &t->adapters[i], err));
    }
    TRY(model_build(t->d, t->w, t->adapters, s->adapter_count, s->hidden, &t->g, err));
    kv_options options = { .key = TOLA_DTYPE_F32, .value = TOLA_DTYPE_F32, .positions = n };
    TRY(kv_create(t->g, &options, &t->kv, err));
    TRY(kv_sequence_create(t->kv, &t->s, err));
    TRY(pool_create(s->threads, &t->threads, err));
    return plan_create(t->g, n, n, s->threads, &t->plan, err);
}

static tola_status run(state *t, const settings *s, const uint32_t *ids, size_t n, FILE *out, tola_error *err) {
    static uint32_t positions[MAX_TOKENS], rows[MAX_TOKENS];
    static kv_sequence *sequences[MAX_TOKENS];
    for (size_t first = 0; first < n;) {
        size_t wanted = 0, count = s->chunk != 0 && s->chunk < n - first ? s->chunk : n - first;
        for (size_t i = 0; i < count; i++) {
            positions[i] = (uint32_t)(first + i);
            if (s->last == 0 || first + i + s->last >= n) rows[wanted++] = (uint32_t)i;
            sequences[i] = t->s;
        }
        graph_batch batch = { .tokens = count,
                              .ids = ids + first,
                              .positions = positions,
                              .sequences = sequences,
                              .outputs = rows,
                              .output_count = wanted };
        TRY(kv_reserve(t->s, count, err));
        TRY(plan_run(t->plan, t->threads, &batch, err));
        size_t got, cols;
        const float *values = plan_output(t->plan, 0, &got, &cols);
        if (fwrite(values, sizeof *values, got * cols, out) != got * cols)
            return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "cannot write %s", s->out);
        first += count;
    }
    return TOLA_OK;
}

static void end(state *t) {
    plan_free(t->plan);
    pool_free(t->threads);
    kv_sequence_free(t->s);
    kv_free(t->kv);
    graph_free(t->g);
    for (size_t i = 0; i < MAX_ADAPTERS; i++) model_adapter_free(t->adapters[i]);
    model_weights_free(t->w);
    model_description_free(t->d);
    for (size_t i = 0; i < MAX_ADAPTERS; i++) tola_checkpoint_close(t->adapter_cks[i]);
    tola_checkpoint_close(t->ck);
}

int main(int argc, char **argv) {
    static uint32_t ids[MAX_TOKENS];
    settings s;
    if (!parse(argc, argv, &s)) {
        fprintf(stderr, "tola_logits MODEL IDS OUT [--chunk N] [--context N] [--threads N] [--adapter PATH]\n");
        return 1;
    }
    size_t n = 0;
    FILE *in = fopen(s.ids, "r"), *out = fopen(s.out, "wb");
    if (in == NULL || out == NULL) return 1;
    while (n < MAX_TOKENS && fscanf(in, "%u", &ids[n]) == 1) n++;
    fclose(in);
    state t = { 0 };
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = make(&t, &s, n, &err);
    if (status == TOLA_OK) status = run(&t, &s, ids, n, out, &err);
    if (status == TOLA_OK) {
        const char *left = "none";
        size_t unused = model_weights_unused(t.w, &left);
        printf("made %zu of %zu bytes; left over: %zu (%s)\n", model_weights_made(t.w), model_weights_bytes(t.w),
               unused, left);
    } else {
        fprintf(stderr, "%s\n", err.message);
    }
    fclose(out);
    end(&t);
    return status == TOLA_OK ? 0 : 2;
}
