/* A small model in memory, as a safetensors image, for the tests of transform. Included behind unit.h. */
#ifndef TRANSFORM_MODEL_H
#define TRANSFORM_MODEL_H

#include "base/mem.h"

typedef struct model {
    buf header, payload, image;
    size_t tensors;
} model;

static inline void model_init(model *m) {
    memset(m, 0, sizeof *m);
    buf_init(&m->header, 0);
    buf_init(&m->payload, 0);
    buf_init(&m->image, 0);
}

static inline void model_free(model *m) {
    buf_free(&m->header);
    buf_free(&m->payload);
    buf_free(&m->image);
}

/* `shape` is JSON ("[2,3]"), `dtype` as safetensors says it. */
static inline void model_add(model *m, const char *name, const char *dtype, const char *shape, const void *data,
                             size_t bytes) {
    size_t at = m->payload.length;
    buf_printf(&m->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
               m->tensors++ ? "," : "", name, dtype, shape, at, at + bytes);
    buf_append(&m->payload, data, bytes);
}

static inline void model_add_f32(model *m, const char *name, const char *shape, size_t elements, float first) {
    float *data = malloc(elements * sizeof *data + 1);
    for (size_t i = 0; i < elements; i++) data[i] = first + (float)i;
    model_add(m, name, "F32", shape, data, elements * sizeof *data);
    free(data);
}

/* Puts the image together; `metadata` is JSON ("{\"a\":\"b\"}") or NULL. */
static inline void model_seal(model *m, const char *metadata) {
    buf text;
    buf_init(&text, 0);
    buf_printf(&text, "{");
    if (metadata) buf_printf(&text, "\"__metadata__\":%s%s", metadata, m->tensors ? "," : "");
    if (m->tensors) buf_append(&text, m->header.data, m->header.length);
    buf_printf(&text, "}");
    while (text.length % 8) buf_u8(&text, ' ');
    buf_u64le(&m->image, text.length);
    buf_append(&m->image, text.data, text.length);
    if (m->payload.length) buf_append(&m->image, m->payload.data, m->payload.length);
    buf_free(&text);
    assert_false(m->image.failed);
}

static inline tola_checkpoint *model_open(const model *m) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open_memory("model.safetensors", m->image.data, m->image.length, &ck, &err) != TOLA_OK)
        fail_msg("%s", err.message);
    return ck;
}

#endif
