/* config.json -> shape -> memory: sums agree with one another, numbers are finite, errors are one line. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "policy/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static void check_shape(const model_shape *s) {
    uint64_t layers = 0;
    check(s->active <= s->parameters && s->layer_rows <= SHAPE_MAX_LAYERS);
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        check(l->count > 0 && l->experts_used <= l->experts);
        layers += l->count;
    }
    check(layers == s->layer_count);
    check(s->stored_bits >= 0 && s->stored_bits < 1e6);
    for (size_t i = 0; i < s->note_count; i++) check(s->notes[i] && strchr(s->notes[i], '\n') == NULL);
}

static void check_memory(const model_shape *s, const char *type, memory_engine engine) {
    memory_inference o = { .engine = engine, .key = TOLA_DTYPE_Q8_0, .batch = 3 };
    memory_bytes m;
    double weights, kv;
    check(memory_weights_parse(type, &o.weights, NULL) == TOLA_OK);
    if (memory_of_inference(s, &o, &m, NULL) == TOLA_OK) {
        check(m.total >= m.weights && m.total >= m.kv && m.total >= m.compute && m.basis);
        if (memory_decode_bytes(s, &o, 1000, &weights, &kv, NULL) == TOLA_OK)
            check(isfinite(weights) && isfinite(kv) && weights >= 0 && kv >= 0);
    }
    check(memory_prefill_operations(s, 1000) >= 0 && memory_decode_operations(s, 1000) >= 0);
    for (int method = MEMORY_FULL; method <= MEMORY_QLORA; method++) {
        const memory_training t = { .method = (memory_method)method, .recompute = (memory_recompute)(method) };
        if (memory_of_training(s, &t, &m, NULL) == TOLA_OK) check(m.total >= m.weights && m.total >= m.activations);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes > 1 << 14) return 0;
    arena a;
    tola_value tree;
    arena_init(&a, 64u << 20);
    if (json_parse((const char *)data, bytes, &a, &tree, NULL) == TOLA_OK) {
        model_shape s;
        tola_error err = TOLA_ERROR_INIT;
        if (shape_of_config("fuzz.json", &tree, &s, &err) == TOLA_OK) {
            check_shape(&s);
            check_memory(&s, NULL, MEMORY_SERVER);
            check_memory(&s, "q4_k", MEMORY_TOLA);
            check_memory(&s, "gptq", MEMORY_LLAMA);
            shape_dispose(&s);
        } else
            check(err.message[0] != '\0' && strchr(err.message, '\n') == NULL);
    }
    arena_free(&a);
    return 0;
}
