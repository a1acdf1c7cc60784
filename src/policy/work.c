/* Operations and bytes that tokens cost. A weight is multiplied and added once a token: two operations. Attention: a
 * query's products with every key it sees, and the sum over as many values. */
#include <math.h>

#include "policy/memory_inside.h"

/* Weights of a layer behind attention that a token is multiplied with. */
static double feed_forward_weights(const shape_layers *l) {
    return (double)l->dense + (double)l->expert * l->experts_used;
}

/* Weights that a token is multiplied with in all layers. */
static double layer_weights(const model_shape *s) {
    double all = 0;
    for (size_t i = 0; i < s->layer_rows; i++)
        all += s->layers[i].count * ((double)s->layers[i].attention + feed_forward_weights(&s->layers[i]));
    return all;
}

static double head_weights(const model_shape *s) {
    return s->output > 0 ? (double)s->output : s->tied ? (double)s->width * (double)s->vocabulary : 0;
}

/* Keys that the queries of positions [0, n) see in all. */
static double seen(const shape_layers *l, double n) {
    const double w = (double)l->window;
    if (l->memory != SHAPE_MEMORY_WINDOW || w == 0 || n <= w) return n * (n + 1) / 2;
    return w * (w + 1) / 2 + (n - w) * w;
}

static double pairs_of(const shape_layers *l) { return 2 * (double)l->heads * (double)(l->head_key + l->head_value); }

/* What the last layer need not do for a prompt of n tokens: of all but the last token keys and values are enough. */
static double needless(const shape_layers *l, double n) {
    const bool keys = l->memory != SHAPE_MEMORY_STATE && l->memory != SHAPE_MEMORY_NONE;
    return 2 * (n - 1) * (feed_forward_weights(l) + (double)l->queries) + (keys ? pairs_of(l) * seen(l, n - 1) : 0);
}

double memory_prefill_operations(const model_shape *s, uint64_t tokens) {
    const double n = (double)tokens;
    if (!s->language && s->example_operations > 0) return n * (double)s->example_operations;
    double all = 2 * n * layer_weights(s);
    if (s->language) all += 2 * head_weights(s);
    if (s->language && s->layer_rows > 0) all -= needless(&s->layers[s->last_row], n);
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        if (l->memory == SHAPE_MEMORY_STATE)
            all += l->count * n * 6 * (double)l->state_elements;
        else if (l->memory == SHAPE_MEMORY_NONE)
            all += l->count * pairs_of(l) * n * n; /* an encoder's: both ways */
        else
            all += l->count * pairs_of(l) * seen(l, n);
    }
    return all;
}

double memory_decode_operations(const model_shape *s, uint64_t context) {
    const double n = (double)context;
    double all = 2 * (layer_weights(s) + head_weights(s));
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        if (l->memory == SHAPE_MEMORY_STATE)
            all += l->count * 6 * (double)l->state_elements;
        else if (l->memory != SHAPE_MEMORY_NONE)
            all += l->count * pairs_of(l) * (seen(l, n + 1) - seen(l, n));
    }
    return all;
}

double memory_experts_reached(uint32_t experts, uint32_t used, uint64_t tokens) {
    if (experts == 0 || used >= experts) return experts;
    return experts * -expm1((double)tokens * log1p(-(double)used / experts));
}

/* Weights that a step of `tokens` tokens reads, in elements. */
static double weights_read(const model_shape *s, double tokens) {
    double all = head_weights(s) + tokens * (double)s->width;
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        all += l->count * ((double)l->attention + (double)l->dense + (double)l->norms +
                           (double)l->expert * memory_experts_reached(l->experts, l->experts_used, (uint64_t)tokens));
    }
    return fmin(all, (double)s->parameters);
}

static double kv_read(const model_shape *s, const memory_inference *o, uint64_t context) {
    memory_inference whole = *o;
    double all = 0;
    whole.context = context > 0 ? context : 1;
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        model_shape one = *s;
        shape_layers row = *l;
        one.layers = &row;
        one.layer_rows = 1;
        row.memory = l->memory == SHAPE_MEMORY_WINDOW ? SHAPE_MEMORY_FULL : l->memory;
        double n = (double)context;
        if (l->memory == SHAPE_MEMORY_WINDOW && l->window > 0) n = fmin(n, (double)l->window);
        all += n * memory_kv_token(&one, &whole);
        if (l->memory == SHAPE_MEMORY_STATE) all += l->count * 8.0 * (double)l->state_elements; /* read and written */
    }
    return all;
}

tola_status memory_decode_bytes(const model_shape *s, const memory_inference *o, uint64_t context, double *weights,
                                double *kv, tola_error *err) {
    const double batch = (double)(o->batch ? o->batch : 1), bits = memory_bits(s, &o->weights);
    uint64_t checked;
    const double w = weights_read(s, batch) * bits / 8, k = kv_read(s, o, context) * batch;
    TRY(memory_take(w + k, &checked, "a step", err));
    if (weights) *weights = w;
    if (kv) *kv = k;
    return TOLA_OK;
}

tola_status memory_prefill_bytes(const model_shape *s, const memory_inference *o, uint64_t tokens, double *bytes,
                                 tola_error *err) {
    const double step = (double)(o->step ? o->step : 512), steps = ceil((double)tokens / step);
    const double bits = memory_bits(s, &o->weights), each = fmin((double)tokens, step);
    uint64_t checked;
    double all = steps * weights_read(s, each) * bits / 8;
    /* keys and values: each step reads what the ones before it wrote */
    all += kv_read(s, o, tokens / 2) * steps;
    TRY(memory_take(all, &checked, "a prompt", err));
    *bytes = all;
    return TOLA_OK;
}
