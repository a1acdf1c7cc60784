/* What a model's shape is counted to be, a line of JSON for each file: shape_probe FILE...
 * What training is counted to take: shape_probe --train BATCH CONTEXT true|false MODEL
 * What inference is counted to take beside what a session takes: shape_probe --session CONTEXT TYPE STEP THREADS
 * MODEL... For tests/oracle/shape_oracle.py. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tola/run.h>

#include "policy/memory.h"

static void print_shape(const char *path, const model_shape *s) {
    const memory_inference o = { .context = s->context ? s->context : 4096 };
    uint64_t kv = 0;
    tola_error err = TOLA_ERROR_INIT;
    printf("{\"path\": \"%s\", \"family\": \"%s\", \"recognised\": %s, \"parameters\": %" PRIu64
           ", \"active\": %" PRIu64 ", \"embedding\": %" PRIu64 ", \"output\": %" PRIu64 ", \"other\": %" PRIu64
           ", \"layers\": %" PRIu64 ", \"width\": %" PRIu64 ", \"context\": %" PRIu64
           ", \"stored_bits\": %.4f, \"stored_bytes\": %" PRIu64 ", \"stored\": \"%s\"",
           path, s->family ? s->family : "", s->recognised ? "true" : "false", s->parameters, s->active, s->embedding,
           s->output, s->other, s->layer_count, s->width, s->context, s->stored_bits, s->stored_bytes,
           s->stored ? s->stored : "");
    if (memory_kv(s, &o, &kv, &err) != TOLA_OK) kv = 0;
    printf(", \"kv_token\": %.1f, \"kv\": %" PRIu64 ", \"values\": %" PRIu64 ", \"kept\": %" PRIu64
           ", \"operations\": %" PRIu64 ", \"rows\": [",
           memory_kv_token(s, &o), kv, s->example_values, s->example_kept, s->example_operations);
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        printf("%s[%u, %d, %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %u, %" PRIu64 "]", i ? ", " : "",
               l->count, (int)l->memory, l->window, l->key_width, l->value_width, l->state_elements, l->experts,
               l->expert);
    }
    printf("], \"notes\": [");
    for (size_t i = 0; i < s->note_count; i++) {
        printf("%s\"", i ? ", " : "");
        for (const char *p = s->notes[i]; *p; p++)
            if (*p != '"' && *p != '\\') putchar(*p);
        putchar('"');
    }
    printf("]}\n");
}

static int compare(const char *path, const memory_inference *o, memory_engine engine) {
    model_shape s;
    tola_error err = TOLA_ERROR_INIT;
    memory_inference of = *o;
    memory_bytes m;
    tola_model *model = NULL;
    tola_session *session = NULL;
    tola_session_options so = TOLA_SESSION_OPTIONS_INIT;
    of.engine = engine;
    so.context = (uint32_t)o->context;
    so.batch = (uint32_t)o->step;
    so.key_type = so.value_type = o->key;
    so.threads = o->threads;
    if (shape_open(path, &s, &err) != TOLA_OK || memory_of_inference(&s, &of, &m, &err) != TOLA_OK ||
        (engine == MEMORY_TOLA && (tola_model_open(path, NULL, &model, &err) != TOLA_OK ||
                                   tola_session_create(model, &so, &session, &err) != TOLA_OK))) {
        printf("{\"path\": \"%s\", \"error\": \"%s\"}\n", path, err.message);
        return 1;
    }
    printf("{\"path\": \"%s\", \"weights\": %" PRIu64 ", \"kv\": %" PRIu64 ", \"compute\": %" PRIu64
           ", \"total\": %" PRIu64,
           path, m.weights, m.kv, m.compute, m.total);
    if (session != NULL) {
        const tola_model_info *info = tola_model_about(model);
        const uint64_t scratch = tola_session_bytes(session), all = tola_session_bytes_limit(session);
        printf(", \"run_weights\": %" PRIu64 ", \"run_made\": %" PRIu64 ", \"run_kv\": %" PRIu64
               ", \"run_compute\": %" PRIu64 ", \"run_total\": %" PRIu64,
               info->weight_bytes, info->made_bytes, all - scratch, scratch, info->weight_bytes + all);
    }
    printf("}\n");
    tola_session_free(session);
    tola_model_free(model);
    shape_dispose(&s);
    return 0;
}

static int training(const char *path, uint64_t batch, uint64_t context, bool recompute) {
    model_shape s;
    tola_error err = TOLA_ERROR_INIT;
    memory_bytes m;
    const memory_training o = { .engine = MEMORY_TOLA,
                                .batch = batch,
                                .context = context,
                                .recompute = recompute ? MEMORY_RECOMPUTE_LAYERS : MEMORY_KEEP_ALL };
    if (shape_open(path, &s, &err) != TOLA_OK || memory_of_training(&s, &o, &m, &err) != TOLA_OK) {
        printf("{\"path\": \"%s\", \"error\": \"%s\"}\n", path, err.message);
        return 1;
    }
    printf("{\"parameters\": %" PRIu64 ", \"weights\": %" PRIu64 ", \"gradients\": %" PRIu64 ", \"optimizer\": %" PRIu64
           ", \"activations\": %" PRIu64 "}\n",
           s.parameters, m.weights, m.gradients, m.optimizer, m.activations + m.compute);
    shape_dispose(&s);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "--train") == 0)
        return training(argv[5], strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), argv[4][0] == 't');
    if (argc > 6 && (strcmp(argv[1], "--session") == 0 || strcmp(argv[1], "--llama") == 0)) {
        memory_inference o = { .context = strtoull(argv[2], NULL, 10),
                               .step = strtoull(argv[4], NULL, 10),
                               .threads = (unsigned)strtoul(argv[5], NULL, 10) };
        int bad = 0;
        o.key = o.value = tola_dtype_parse(argv[3]);
        for (int i = 6; i < argc; i++) bad |= compare(argv[i], &o, argv[1][2] == 's' ? MEMORY_TOLA : MEMORY_LLAMA);
        return bad;
    }
    for (int i = 1; i < argc; i++) {
        model_shape s;
        tola_error err = TOLA_ERROR_INIT;
        if (shape_open(argv[i], &s, &err) == TOLA_OK) {
            print_shape(argv[i], &s);
            shape_dispose(&s);
        } else {
            for (char *p = err.message; *p; p++)
                if (*p == '"' || *p == '\\') *p = '\'';
            printf("{\"path\": \"%s\", \"error\": \"%s\"}\n", argv[i], err.message);
        }
    }
    return 0;
}
