/* Checkpoints that a formula gives, and the golden numbers for them (make_model_golden.py). */
#ifndef UNIT_MODEL_MAKE_H
#define UNIT_MODEL_MAKE_H

#include "unit.h"

#include "model_golden.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
enum { MAX_TENSORS = 160 };

/* ---- making checkpoints ---- */

/* The upper 24 bits of splitmix64(crc32(name) << 32 | i) as a number in [-1, 1): make_model_golden.py. */
static inline uint32_t crc32_of(const char *text) {
    uint32_t crc = UINT32_MAX;
    for (; *text != '\0'; text++) {
        crc ^= (uint8_t)*text;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static inline float unit_value(uint32_t seed, uint64_t i) {
    uint64_t x = ((uint64_t)seed << 32 | i) + 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    return (float)(x >> 40) * 0x1p-23f - 1.0f;
}

/* Writes FOLDER/model.safetensors and FOLDER/config.json. */
static inline void write_model(const char *folder, const golden_tensor *tensors, size_t count, const char *config,
                        const char *config_name) {
    static uint64_t shapes[MAX_TENSORS][2];
    static tola_tensor_spec specs[MAX_TENSORS];
    char path[600];
    assert_true(count <= MAX_TENSORS);
    for (size_t i = 0; i < count; i++) {
        shapes[i][0] = tensors[i].rows;
        shapes[i][1] = tensors[i].cols;
        specs[i] = (tola_tensor_spec){ .name = tensors[i].name, .shape = shapes[i],
                                       .n_dims = tensors[i].cols != 0 ? 2 : 1, .dtype = TOLA_DTYPE_F32 };
    }
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    options.overwrite = true;
    tola_writer *w;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_writer_open(path, specs, count, &options, &w, &err) != TOLA_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < count; i++) {
        const golden_tensor *t = &tensors[i];
        size_t n = (size_t)t->rows * (t->cols != 0 ? t->cols : 1);
        float *values = malloc(n * sizeof *values);
        uint32_t seed = crc32_of(t->name);
        for (size_t k = 0; k < n; k++) values[k] = t->offset + t->scale * unit_value(seed, k);
        assert_int_equal(tola_writer_write(w, i, 0, values, n * sizeof *values, &err), TOLA_OK);
        free(values);
    }
    assert_int_equal(tola_writer_finish(w, &err), TOLA_OK);
    snprintf(path, sizeof path, "%s/%s", folder, config_name);
    unit_write(path, config, strlen(config));
}

typedef struct golden {
    const char *name, *config;
    const golden_tensor *tensors;
    size_t tensor_count;
    const float *logits;
    size_t logit_count;
    double loss;
    const double (*gradients)[2];
} golden;

#define GOLDEN(kind)                                                                                         \
    { #kind, golden_##kind##_config, golden_##kind##_tensors, COUNT(golden_##kind##_tensors),                \
      golden_##kind##_logits, COUNT(golden_##kind##_logits), golden_##kind##_loss, golden_##kind##_gradients }
static const golden goldens[] = { GOLDEN(llama), GOLDEN(gemma3), GOLDEN(deepseek_v3), GOLDEN(gpt2) };

#endif
