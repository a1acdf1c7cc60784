/* A model from bytes that nobody vouches for: description, weights, graph, and two tokens through it.
 *
 * An input is a run of "\nFILE name\n" and contents: a folder (config.json, model.safetensors) or m.gguf, and perhaps
 * an adapter, a.gguf. */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>

#include "graph/plan.h"
#include "models/models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const names[] = { "model.safetensors", "config.json", "m.gguf", "a.gguf" };
enum { NAMES = sizeof names / sizeof *names };
#include "folder.h"

static pool *threads;

static void run(graph *g, uint32_t vocabulary) {
    tola_error err = TOLA_ERROR_INIT;
    kv_options options = { .key = TOLA_DTYPE_F32, .value = TOLA_DTYPE_F32, .positions = 2 };
    uint32_t ids[2] = { 0, vocabulary - 1 }, positions[2] = { 0, 1 }, rows[1] = { 1 };
    kv_cache *kv = NULL;
    kv_sequence *s = NULL;
    graph_plan *plan = NULL;
    if (kv_create(g, &options, &kv, &err) == TOLA_OK && kv_sequence_create(kv, &s, &err) == TOLA_OK &&
        plan_create(g, 2, 2, 1, &plan, &err) == TOLA_OK && kv_reserve(s, 2, &err) == TOLA_OK) {
        kv_sequence *sequences[2] = { s, s };
        graph_batch batch = { .tokens = 2, .ids = ids, .positions = positions, .sequences = sequences, .outputs = rows,
                              .output_count = 1 };
        (void)!plan_run(plan, threads, &batch, &err);
    }
    plan_free(plan);
    kv_sequence_free(s);
    kv_free(kv);
}

static void try_model(const tola_checkpoint *ck, tola_checkpoint *adapter_ck) {
    tola_error err = TOLA_ERROR_INIT;
    model_description *d = NULL;
    model_weights *w = NULL;
    model_adapter *a = NULL;
    graph *g = NULL;
    tola_status status = model_describe(ck, 0, &d, &err);
    if (status == TOLA_OK) status = model_weights_open(ck, d, &w, &err);
    if (status == TOLA_OK && adapter_ck) status = model_adapter_open(adapter_ck, d, 1, &a, &err);
    if (status == TOLA_OK) status = model_build(d, w, &a, a != NULL, false, &g, &err);
    if (status == TOLA_OK) {
        const char *first;
        (void)model_weights_unused(w, &first);
        run(g, d->vocabulary);
    } else if (!err.message[0]) {
        abort();
    }
    graph_free(g);
    model_adapter_free(a);
    model_weights_free(w);
    model_description_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck = NULL, *adapter = NULL;
    char path[320];
    if (!folder[0]) {
        make_folder();
        if (setenv("TOLA_CACHE", "off", 1) != 0 || pool_create(1, &threads, &err) != TOLA_OK) abort();
    }
    write_files(data, bytes);
    snprintf(path, sizeof path, "%s/m.gguf", folder);
    if (access(path, F_OK) != 0) snprintf(path, sizeof path, "%s", folder);
    if (model_open(path, &ck, &err) != TOLA_OK) return 0;
    snprintf(path, sizeof path, "%s/a.gguf", folder);
    if (access(path, F_OK) == 0 && tola_checkpoint_open(path, NULL, &adapter, &err) != TOLA_OK) adapter = NULL;
    try_model(ck, adapter);
    tola_checkpoint_close(adapter);
    tola_checkpoint_close(ck);
    return 0;
}
