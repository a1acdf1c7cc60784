/* Memory of training: weights, gradients, optimizer, and what the backward needs of the forward.
 *
 * Mixed precision keeps 16-bit weights and gradients beside 32-bit masters: with Adam 2 + 2 + 4 + 8 = 16 bytes a
 * parameter, as f32 alone has 4 + 4 + 8 (arXiv 1910.02054, section 3.1). Activations after arXiv 2205.05198, section 4:
 * a layer of the classical shape keeps s b h (34 + 5 a s / h) bytes in 16 bits; without the scores of attention
 * 34 s b h, with whole layers made again 2 s b h. Here h becomes the widths that a layer has: queries, keys, values,
 * and the inside of the feed-forward with its gate. */
#include <math.h>

#include "policy/memory_inside.h"

enum { RANK = 16, CONTEXT = 2048 };

static uint64_t context_of(const model_shape *s, const memory_training *o) {
    if (o->context > 0) return o->context;
    return s->context > 0 && s->context < CONTEXT ? s->context : CONTEXT;
}

/* An adapter beside a matrix [rows, cols] has rank * (rows + cols) parameters (arXiv 2106.09685). A layer has matrices
 * for queries, keys, values, the output and three of the feed-forward; routed experts have none. */
static double adapters(const model_shape *s, uint32_t rank) {
    double all = 0;
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        const double w = (double)s->width, q = (double)l->heads * (double)l->head_key,
                     k = (double)l->kv_heads * (double)l->head_key, v = (double)l->kv_heads * (double)l->head_value,
                     o = (double)l->heads * (double)l->head_value;
        double sum = l->heads > 0 ? 4 * w + q + k + v + o : 0;
        if (l->dense > 0 && l->experts == 0) sum += 3 * (w + (double)l->feed_forward);
        all += l->count * sum * rank;
    }
    return all;
}

uint64_t memory_trained(const model_shape *s, const memory_training *o) {
    if (o->method == MEMORY_FULL) return s->parameters;
    const double n = adapters(s, o->rank ? o->rank : RANK);
    return n < 9e18 ? (uint64_t)n : UINT64_MAX;
}

/* Bytes of optimizer state a parameter; masters of mixed precision count as state. */
static double optimizer_bytes(const memory_training *o) {
    const double master = o->f32 || o->method != MEMORY_FULL ? 0 : 4;
    switch (o->optimizer) {
    case MEMORY_ADAMW: return master + 8;
    case MEMORY_ADAMW8: return master + 2 + 2 * 4.0 / 256; /* two moments in 8 bits, a scale for 256: 2110.02861 */
    case MEMORY_SGD_MOMENTUM: return master + 4;
    default: return master;
    }
}

/* Bytes that a token leaves in one layer. */
static double layer_bytes(const model_shape *s, const memory_training *o, const shape_layers *l, double tokens) {
    const double w = (double)s->width, two = o->f32 ? 4 : 2;
    if (o->recompute == MEMORY_RECOMPUTE_LAYERS) return two * w;
    double bytes = 2 * two * w; /* what the two norms read */
    if (l->heads > 0) {
        const double q = (double)l->heads * (double)l->head_key, k = (double)l->kv_heads * (double)l->head_key,
                     v = (double)l->kv_heads * (double)l->head_value, out = (double)l->heads * (double)l->head_value;
        bytes += two * (w + q + k + v + out) + w; /* and a mask of one byte */
        if (o->recompute == MEMORY_KEEP_ALL && !o->fused) {
            const double seen = l->window > 0 ? fmin(tokens, (double)l->window) : tokens;
            bytes += (2 * two + 1) * (double)l->heads * seen;
        }
    } else if (l->attention > 0)
        bytes += two * (w + 2 * (double)l->attention / (w > 0 ? w : 1)) + w;
    if (l->feed_forward > 0) {
        const double inside = (double)l->feed_forward, matrices = (double)(l->dense + l->expert * l->experts_used);
        const double gated = matrices > 2.5 * w * inside ? 3 : 2;
        bytes += two * (w + gated * inside) + w;
    }
    return bytes;
}

/* Values of a token that Tola's training graphs keep (docs/design/learn.md), measured over their plans: of a layer the
 * stream, what norms, projections and attention give, and of the feed-forward every value and a quarter of one; of the
 * ends the stream's gradients and three of the logits. */
static double tola_values(const model_shape *s, const memory_training *o, const shape_layers *l) {
    const double w = (double)s->width;
    if (o->recompute == MEMORY_RECOMPUTE_LAYERS) return w;
    const double heads = (double)l->heads * (double)(l->head_key + l->head_value) +
                         (double)l->kv_heads * (double)(l->head_key + l->head_value);
    const double inside = (double)l->feed_forward, matrices = (double)(l->dense + l->expert * l->experts_used);
    return 3 * w + heads + (matrices > 2.5 * w * inside ? 3.25 : 2.25) * inside;
}

static double tola_activations(const model_shape *s, const memory_training *o, double *widest) {
    const double rows = (double)(o->batch ? o->batch : 1) * (double)context_of(s, o);
    memory_training whole = *o;
    whole.recompute = MEMORY_KEEP_ALL;
    double all = 7 * (double)s->width + 3.25 * (double)s->vocabulary;
    *widest = 0;
    for (size_t i = 0; i < s->layer_rows; i++) {
        all += s->layers[i].count * tola_values(s, o, &s->layers[i]);
        *widest = fmax(*widest, 4 * rows * tola_values(s, &whole, &s->layers[i]));
    }
    if (o->recompute != MEMORY_RECOMPUTE_LAYERS) *widest = 0;
    return 4 * rows * all;
}

static double activations(const model_shape *s, const memory_training *o, double *widest) {
    const double batch = (double)(o->batch ? o->batch : 1), two = o->f32 ? 4 : 2;
    *widest = 0;
    if (o->engine == MEMORY_TOLA && s->language) return tola_activations(s, o, widest);
    if (s->layer_rows == 0 || s->example_kept > 0)
        /* every value of the forward with its gradient: nothing takes another's place */
        return batch * 2 * (double)s->example_kept * two;
    const double tokens = (double)context_of(s, o), rows = batch * tokens;
    memory_training whole = *o;
    whole.recompute = MEMORY_RECOMPUTE_ATTENTION;
    double all = 0;
    for (size_t i = 0; i < s->layer_rows; i++) {
        all += s->layers[i].count * rows * layer_bytes(s, o, &s->layers[i], tokens);
        *widest = fmax(*widest, rows * layer_bytes(s, &whole, &s->layers[i], tokens));
    }
    if (o->recompute != MEMORY_RECOMPUTE_LAYERS) *widest = 0;
    /* section 4.3: the embedding's mask, the last norm and the head, and logits in 32 bits */
    all += rows * ((1 + 2 * two) * (double)s->width + 4 * (double)(s->language ? s->vocabulary : 0));
    return all;
}

static const char *basis_of(const model_shape *s, const memory_training *o) {
    if (o->engine == MEMORY_TOLA && s->language) return "counted as tola train lays its graphs out, in 32 bits";
    if (s->example_kept > 0) return "counted: every value of the forward kept with its gradient";
    return "counted after arXiv 2205.05198 (activations) and 1910.02054 (states)";
}

/* What frozen weights are kept in where nobody says: Tola trains adapters over them as they are. */
static const char *frozen_word(const memory_training *o) {
    if (o->method == MEMORY_QLORA) return "nf4_double";
    return o->engine == MEMORY_TOLA ? "stored" : o->f32 ? "f32" : "bf16";
}

tola_status memory_of_training(const model_shape *s, const memory_training *options, memory_bytes *out,
                               tola_error *err) {
    memory_training own = *options;
    const memory_training *o = &own;
    if (own.engine == MEMORY_TOLA) own.f32 = true;
    memory_bytes m = { .basis = basis_of(s, o) };
    memory_weights base = o->base;
    const double trained = o->method == MEMORY_FULL ? (double)s->parameters : adapters(s, o->rank ? o->rank : RANK);
    if (o->method == MEMORY_FULL)
        base = (memory_weights){ .bits = o->f32 ? 32 : 16 };
    else if (base.bits == 0 && !base.stored)
        TRY(memory_weights_parse(frozen_word(o), &base, err));
    TRY(memory_weights_bytes(s, &base, &m.weights, err));
    const double gradient = o->method != MEMORY_FULL || o->f32 ? 4 : 2;
    if (o->method != MEMORY_FULL) TRY(memory_take((double)m.weights + 4 * trained, &m.weights, "weights", err));
    TRY(memory_take(trained * gradient, &m.gradients, "gradients", err));
    TRY(memory_take(trained * optimizer_bytes(o), &m.optimizer, "optimizer states", err));
    double widest;
    TRY(memory_take(activations(s, o, &widest), &m.activations, "activations", err));
    TRY(memory_take(widest, &m.compute, "a layer made again", err));
    TRY(memory_take((double)m.weights + (double)m.gradients + (double)m.optimizer + (double)m.activations +
                        (double)m.compute,
                    &m.total, "all parts", err));
    *out = m;
    return TOLA_OK;
}
