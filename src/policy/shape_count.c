/* A model of which only the number of parameters is known: what such models usually look like.
 *
 * Width is 128 times the number of layers and a layer has 12 width^2 weights, so that layers = (N / 12 / 128^2)^(1/3);
 * of a mixture of experts N is the active ones. Against published models: 7B 33 x 4224 (Llama: 32 x 4096), 70B 71 x
 * 9088 (80 x 8192), 405B 127 x 16256 (126 x 16384), 37B active 57 x 7296 (DeepSeek-V3: 61 x 7168). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "policy/shape_build.h"

#define HEAD 128
#define KV_HEADS 8
#define VOCABULARY 128256
#define CONTEXT 131072
#define EXPERTS_USED 8
#define UNTIED_FROM 4000000000ull /* smaller models share the embedding with the head */

static void add_rows(shape_build *b, uint64_t layers, uint64_t width, uint64_t rest, uint64_t idle) {
    shape_layers l;
    memset(&l, 0, sizeof l);
    l.count = (uint32_t)layers;
    l.memory = SHAPE_MEMORY_FULL;
    l.heads = width / HEAD;
    l.kv_heads = l.heads % KV_HEADS == 0 && l.heads > KV_HEADS ? KV_HEADS : l.heads;
    l.key_width = l.value_width = l.kv_heads * HEAD;
    l.head_key = l.head_value = HEAD;
    l.queries = 2 * width * width;
    l.attention = l.queries + 2 * width * l.key_width;
    l.norms = 2 * width;
    const uint64_t fixed = layers * (l.attention + l.norms);
    const uint64_t ffn = rest > fixed ? (rest - fixed) / layers : 0;
    l.feed_forward = ffn / (3 * width) + 1;
    if (idle == 0)
        l.dense = ffn;
    else {
        l.expert = ffn / EXPERTS_USED;
        l.experts_used = EXPERTS_USED;
        const uint64_t more = l.expert > 0 ? idle / layers / l.expert : 0;
        l.experts = (uint32_t)(EXPERTS_USED + (more < SHAPE_MOST_EXPERTS ? more : SHAPE_MOST_EXPERTS));
    }
    layer_begin(b, 0);
    b->now = l;
    layer_end(b);
    if (shape_ok(b)) b->shape->layer_count = layers;
}

tola_status shape_of_count(uint64_t parameters, uint64_t active, model_shape *out, tola_error *err) {
    if (active == 0) active = parameters;
    if (parameters == 0 || parameters > SHAPE_MOST_COUNT)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a model of %" PRIu64 " parameters", parameters);
    if (active > parameters)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%" PRIu64 " active parameters of a model of %" PRIu64, active,
                       parameters);
    shape_build b;
    TRY(shape_begin("parameters", out, &b, err));
    model_shape *s = b.shape;
    s->from = SHAPE_FROM_COUNT;
    s->language = true;
    s->tied = parameters < UNTIED_FROM;
    uint64_t layers = (uint64_t)lround(cbrt((double)active / 12 / 16384));
    if (layers < 1) layers = 1;
    s->width = layers * 128;
    s->vocabulary = VOCABULARY;
    s->context = CONTEXT;
    s->embedding = s->vocabulary * s->width;
    while (s->embedding * 2 > active && s->vocabulary > 256)
        s->vocabulary /= 2, s->embedding = s->vocabulary * s->width;
    if (s->embedding * 2 > active) s->embedding = active / 2;
    s->output = s->tied ? 0 : s->embedding;
    const uint64_t tables = s->embedding + s->output;
    add_rows(&b, layers, s->width, active > tables ? active - tables : 0, parameters - active);
    s->largest_tensor = s->embedding;
    shape_note(&b,
               "only the number of parameters is known: %" PRIu64 " layers of width %" PRIu64
               " are what such a model usually has",
               layers, s->width);
    TRY(shape_build_finish(&b));
    /* what rounding left over */
    if (s->parameters < parameters) s->other = parameters - s->parameters;
    s->parameters = parameters;
    s->active = active;
    return TOLA_OK;
}
