/* Memory of inference: weights, the cache as its owner keeps it, and the scratch of a step.
 *
 * The cache: sum over layers of positions * (key width * bits + value width * bits); layers with a window keep that
 * many positions (and what is being read), latent ones their compressed row (arXiv 2405.04434), states what they are.
 */
#include <math.h>
#include <string.h>

#include "policy/memory_inside.h"

enum { STEP = 512, CONTEXT = 4096 };

uint64_t memory_context(const model_shape *s, const memory_inference *o) {
    if (o->context > 0) return o->context;
    return s->context > 0 ? s->context : CONTEXT;
}

static uint64_t step_of(const model_shape *s, const memory_inference *o) {
    const uint64_t step = o->step > 0 ? o->step : STEP, context = memory_context(s, o);
    return step < context ? step : context;
}

static uint64_t batch_of(const memory_inference *o) { return o->batch > 0 ? o->batch : 1; }

/* ---- the cache ---- */

/* Bytes of `width` numbers in rows of `head`. */
static double row_bytes(tola_dtype dtype, uint64_t width) {
    if (dtype == TOLA_DTYPE_NONE) dtype = TOLA_DTYPE_F16;
    return (double)width * tola_dtype_bits(dtype) / 8;
}

static double up(double n, double to) { return ceil(n / to) * to; }

/* Positions of a sequence that a layer holds. */
static double positions(const model_shape *s, const memory_inference *o, const shape_layers *l) {
    const double context = (double)memory_context(s, o), step = (double)step_of(s, o);
    const bool window = l->memory == SHAPE_MEMORY_WINDOW && l->window > 0;
    switch (o->engine) {
    case MEMORY_TOLA: { /* kv.c: the window's pages and two more, of 64 */
        const double most = window ? up((double)l->window, 64) + 128 : INFINITY;
        return fmin(up(context, 64), most);
    }
    case MEMORY_LLAMA: /* llama-kv-cache-iswa.cpp: the window and a micro-batch, padded to 256 */
        return up(window ? fmin(context, (double)l->window + step) : context, 256);
    default: return up(window ? fmin(context, (double)l->window) : context, 16);
    }
}

/* A token in one layer. */
static double layer_token(const memory_inference *o, const shape_layers *l) {
    if (l->memory == SHAPE_MEMORY_LATENT && o->engine == MEMORY_TOLA) /* keys and values of all heads, unfolded */
        return row_bytes(o->key, l->heads * l->head_key) + row_bytes(o->value, l->heads * l->head_value);
    return row_bytes(o->key, l->key_width) + row_bytes(o->value, l->value_width);
}

static bool grows(const shape_layers *l) {
    return l->memory == SHAPE_MEMORY_FULL || l->memory == SHAPE_MEMORY_WINDOW || l->memory == SHAPE_MEMORY_LATENT;
}

static double kv_sequence(const model_shape *s, const memory_inference *o) {
    double all = 0;
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        const double states = (double)l->state_elements * sizeof(float);
        all += l->count * (states + (grows(l) ? positions(s, o, l) * layer_token(o, l) : 0));
    }
    return all;
}

static tola_status check_type(const model_shape *s, tola_dtype dtype, bool key, tola_error *err) {
    if (dtype == TOLA_DTYPE_NONE) return TOLA_OK;
    const uint32_t block = tola_dtype_block_elements(dtype);
    for (size_t i = 0; block > 1 && i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        const uint64_t head = l->memory == SHAPE_MEMORY_LATENT ? l->key_width : key ? l->head_key : l->head_value;
        if (grows(l) && head % block != 0)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s of %llu numbers a head do not fill blocks of %u of %s",
                           key ? "keys" : "values", (unsigned long long)head, block, tola_dtype_name(dtype));
    }
    return TOLA_OK;
}

tola_status memory_kv(const model_shape *s, const memory_inference *o, uint64_t *bytes, tola_error *err) {
    TRY(check_type(s, o->key, true, err));
    TRY(check_type(s, o->value, false, err));
    return memory_take(kv_sequence(s, o) * (double)batch_of(o), bytes, "keys and values", err);
}

double memory_kv_token(const model_shape *s, const memory_inference *o) {
    double all = 0;
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        if (l->memory == SHAPE_MEMORY_FULL || l->memory == SHAPE_MEMORY_LATENT) all += l->count * layer_token(o, l);
    }
    return all;
}

/* ---- scratch ---- */

enum { ROOM = 16 }; /* rows that Tola's products of experts are filled up to */

/* Numbers that `rows` tokens have alive at once in the widest place of a layer. What graph/plan.c lays out for the
 * families that models/ builds: the stream with its normed copies, and either queries, keys, values and the heads'
 * sums, or what lies between the matrices of the feed-forward: gate, up, and their product. Experts have a row for each
 * token that chose them, and each expert some empty ones. */
static double layer_values(const model_shape *s, const shape_layers *l, double rows) {
    const double w = (double)s->width;
    const double attention = (double)l->heads * (double)(l->head_key + l->head_value) +
                             2 * (double)l->kv_heads * (double)(l->head_key + l->head_value);
    double ffn = 3 * rows * (double)l->feed_forward;
    if (l->experts > 0 && w > 0) {
        const double inner = (double)l->expert / (3 * w), shared = (double)l->feed_forward - inner * l->experts_used;
        ffn = (rows * l->experts_used + (double)ROOM * l->experts) * (3 * inner + w) + 3 * rows * fmax(shared, 0);
    }
    return fmax(rows * attention, ffn) + 3.25 * rows * w;
}

static double widest(const model_shape *s, double rows) {
    double most = 0;
    for (size_t i = 0; i < s->layer_rows; i++) most = fmax(most, layer_values(s, &s->layers[i], rows));
    return most;
}

/* llama.cpp reserves for a micro-batch that asks for the logits of all its tokens; with a long context the mask of what
 * each of them sees takes more. */
static double llama_scratch(const model_shape *s, const memory_inference *o, double rows) {
    const double w = (double)s->width, mask = up((double)memory_context(s, o) * (double)batch_of(o), 256);
    return rows * fmax((double)s->vocabulary + 2 * w, mask + 3.25 * w);
}

static double scratch(const model_shape *s, const memory_inference *o) {
    const double step = (double)step_of(s, o), batch = (double)batch_of(o);
    const double rows = fmax(step, batch), logits = (double)(s->vocabulary ? s->vocabulary : 0);
    if (!s->language) {
        if (s->example_values > 0) { /* every value of the forward, as wide as the weights */
            const double bits = memory_bits(s, &o->weights);
            return batch * (double)s->example_values * (bits > 16 ? 4 : 2);
        }
        return widest(s, batch * (double)memory_context(s, o)) * 4;
    }
    switch (o->engine) {
    case MEMORY_TOLA: { /* session.c: 32 rows of logits at most, in the plan and once more */
        const double outputs = fmin(fmax(32, batch), rows) * logits;
        return fmax(widest(s, rows), outputs + rows * (double)s->width) * 4 + outputs * 4;
    }
    case MEMORY_LLAMA: return llama_scratch(s, o, rows) * 4;
    default: return widest(s, rows) * 2 + batch * logits * 4;
    }
}

tola_status memory_of_inference(const model_shape *s, const memory_inference *o, memory_bytes *out, tola_error *err) {
    static const char *const basis[] = {
        "counted: weights, keys and values in pages of 16 positions, 16-bit values of one step",
        "counted as tola run takes it: weights mapped, cache in pages of 64 positions, 32-bit values of one step",
        "counted as llama.cpp takes it: weights mapped, the whole cache, logits of a micro-batch",
    };
    memory_bytes m = { .basis = basis[o->engine <= MEMORY_LLAMA ? o->engine : 0] };
    TRY(memory_weights_bytes(s, &o->weights, &m.weights, err));
    TRY(memory_kv(s, o, &m.kv, err));
    TRY(memory_take(scratch(s, o), &m.compute, "buffers", err));
    const double bits = memory_bits(s, &o->weights);
    TRY(memory_take((double)s->embedding * bits / 8, &m.embedding, "the embedding", err));
    double experts = 0;
    for (size_t i = 0; i < s->layer_rows; i++)
        experts += (double)s->layers[i].count * (double)s->layers[i].experts * (double)s->layers[i].expert;
    TRY(memory_take(experts * bits / 8, &m.experts, "experts", err));
    TRY(memory_take((double)m.weights + (double)m.kv + (double)m.compute, &m.total, "all parts", err));
    *out = m;
    return TOLA_OK;
}
