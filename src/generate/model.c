/* Opening a model to run it: checkpoint, description, weights, adapters, graph and tokenizer in one.
 *
 * Nothing here changes after opening. */
#include "generate/model.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/options.h"

#define MAX_ADAPTERS 64 /* each costs two products a weight; nobody stacks more */

static tola_status open_adapters(tola_model *m, const tola_model_options *o, tola_error *err) {
    if (o->adapter_count == 0) return TOLA_OK;
    if (o->adapter_count > MAX_ADAPTERS)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%zu adapters, at most %d can be used at once",
                       o->adapter_count, MAX_ADAPTERS);
    m->adapters = mem_calloc(o->adapter_count, sizeof(model_adapter *));
    m->adapter_files = mem_calloc(o->adapter_count, sizeof(tola_checkpoint *));
    m->adapter_scales = mem_calloc(o->adapter_count, sizeof(float));
    if (!m->adapters || !m->adapter_files || !m->adapter_scales) return err_nomem(err, "opening adapters");
    m->adapter_count = o->adapter_count;
    for (size_t i = 0; i < o->adapter_count; i++) {
        const tola_adapter *a = &o->adapters[i];
        if (!(a->scale >= -1e6f && a->scale <= 1e6f))
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: an adapter's scale of %g", a->path, (double)a->scale);
        m->adapter_scales[i] = a->scale;
        TRY(tola_checkpoint_open(a->path, NULL, &m->adapter_files[i], err));
        TRY(model_adapter_open(m->adapter_files[i], m->description, a->scale, &m->adapters[i], err));
    }
    return TOLA_OK;
}

static void describe(tola_model *m, const tola_model_options *o) {
    const model_description *d = m->description;
    m->info = (tola_model_info){
        .family = d->family ? d->family->name : "unknown",
        .hidden = o->hidden || d->encoder,
        .encoder = d->encoder,
        .layers = d->layer_count,
        .width = d->width,
        .vocabulary = d->vocabulary,
        .context = d->context,
        .weight_bytes = model_weights_bytes(m->weights),
        .active_bytes = graph_active_bytes(m->graph),
        .made_bytes = model_weights_made(m->weights),
    };
    m->info.unused_tensors = model_weights_unused(m->weights, &m->info.unused_tensor);
}

static tola_status fill(tola_model *m, const tola_model_options *o, tola_error *err) {
    TRY(model_describe(m->checkpoint, o->context, &m->description, err));
    TRY(model_weights_open(m->checkpoint, m->description, &m->weights, err));
    TRY(open_adapters(m, o, err));
    TRY(model_build(m->description, m->weights, m->adapters, m->adapter_count, o->hidden, &m->graph, err));
    tola_status status = tola_tokenizer_from_checkpoint(m->checkpoint, &m->tokenizer, &m->no_tokenizer);
    if (status == TOLA_E_NOMEM || status == TOLA_E_IO) {
        if (err) *err = m->no_tokenizer;
        return status;
    }
    if (status != TOLA_OK) m->tokenizer = NULL; /* who has ids can do without */
    describe(m, o);
    return TOLA_OK;
}

static tola_status create(const tola_checkpoint *ck, tola_checkpoint *owned, const tola_model_options *o,
                          tola_model **out, tola_error *err) {
    tola_model *m = mem_calloc(1, sizeof *m);
    if (!m) {
        tola_checkpoint_close(owned);
        return err_nomem(err, "opening a model");
    }
    m->checkpoint = ck;
    m->owned = owned;
    m->no_tokenizer = (tola_error)TOLA_ERROR_INIT;
    tola_status status = fill(m, o, err);
    if (status != TOLA_OK) {
        tola_model_free(m);
        return status;
    }
    *out = m;
    return TOLA_OK;
}

tola_status tola_model_open(const char *path, const tola_model_options *options, tola_model **out, tola_error *err) {
    tola_model_options o = TOLA_MODEL_OPTIONS_INIT;
    tola_checkpoint *ck;
    TRY(options_take(&o, sizeof o, options, err));
    TRY(model_open(path, &ck, err));
    return create(ck, ck, &o, out, err);
}

tola_status tola_model_from_checkpoint(const tola_checkpoint *ck, const tola_model_options *options, tola_model **out,
                                       tola_error *err) {
    tola_model_options o = TOLA_MODEL_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    return create(ck, NULL, &o, out, err);
}

void tola_model_free(tola_model *m) {
    if (!m) return;
    tola_tokenizer_free(m->tokenizer);
    graph_free(m->graph);
    for (size_t i = 0; i < m->adapter_count; i++) {
        model_adapter_free(m->adapters[i]);
        tola_checkpoint_close(m->adapter_files[i]);
    }
    mem_free(m->adapters);
    mem_free(m->adapter_files);
    mem_free(m->adapter_scales);
    model_weights_free(m->weights);
    model_description_free(m->description);
    tola_checkpoint_close(m->owned);
    mem_free(m);
}

const tola_checkpoint *tola_model_checkpoint(const tola_model *m) { return m->checkpoint; }

const tola_tokenizer *tola_model_tokenizer(const tola_model *m) { return m->tokenizer; }

const char *tola_model_no_tokenizer(const tola_model *m) { return m->tokenizer ? "" : m->no_tokenizer.message; }

const tola_model_info *tola_model_about(const tola_model *m) { return &m->info; }

/* ---- telling models apart ---- */

#define SAMPLE 256 /* bytes at the beginning, the middle and the end of each tensor */

/* Two CRCs of the same bytes from different starts: 64 bits that tell accidents apart, not enemies. */
typedef struct mark {
    uint32_t a, b;
} mark;

static void mark_bytes(mark *m, const void *data, size_t bytes) {
    m->a = crc32_update(m->a, data, bytes);
    m->b = crc32_update(m->b ^ (uint32_t)bytes, data, bytes) * 0x9e3779b1u;
}

static void mark_u64(mark *m, uint64_t v) {
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++) bytes[i] = (uint8_t)(v >> (8 * i));
    mark_bytes(m, bytes, sizeof bytes);
}

static tola_status mark_tensor(mark *m, const tola_checkpoint *ck, size_t i, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
    uint8_t sample[SAMPLE];
    mark_bytes(m, t->name, strlen(t->name) + 1);
    mark_u64(m, t->dtype);
    for (unsigned d = 0; d < t->n_dims; d++) mark_u64(m, t->shape[d]);
    uint64_t places[3] = { 0, t->bytes / 2, t->bytes > SAMPLE ? t->bytes - SAMPLE : 0 };
    for (unsigned p = 0; p < 3; p++) {
        uint64_t left = t->bytes - places[p];
        size_t n = left < SAMPLE ? (size_t)left : SAMPLE;
        if (n == 0) continue;
        TRY(tola_checkpoint_read(ck, i, places[p], sample, n, err));
        mark_bytes(m, sample, n);
    }
    return TOLA_OK;
}

static tola_status mark_checkpoint(mark *m, const tola_checkpoint *ck, tola_error *err) {
    size_t count = tola_checkpoint_tensor_count(ck);
    mark_u64(m, count);
    for (size_t i = 0; i < count; i++) TRY(mark_tensor(m, ck, i, err));
    return TOLA_OK;
}

static void mark_floats(mark *m, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        mark_u64(m, bits);
    }
}

static void mark_words(mark *m, const uint32_t *values, size_t count) {
    for (size_t i = 0; i < count; i++) mark_u64(m, values[i]);
}

/* What the configuration says and the tensors do not, as far as keys and values of any layer depend on it. */
static void mark_description(mark *m, const model_description *d) {
    const graph_routing *r = &d->routing;
    const float floats[] = { d->norm_eps,      d->norm_offset,   d->embedding_scale, d->attention_scale,
                             d->attention_cap, d->position_beta, d->position_span,   d->gate_clamp,
                             d->latent_eps,    r->scale };
    const uint32_t words[] = { d->layer_count,     d->heads,       d->norm,         d->norm_after,  d->norm_both,
                               d->qk_norm,         d->interleaved, d->activation,   d->weigh_input, d->token_types,
                               d->position_offset, r->used,        r->sigmoid,      r->normalize,   r->softmax_chosen,
                               r->groups,          r->groups_used, r->group_by_top2 };
    mark_floats(m, floats, sizeof floats / sizeof *floats);
    mark_words(m, words, sizeof words / sizeof *words);
    for (uint32_t i = 0; i < d->layer_count; i++) {
        const model_layer *l = &d->layers[i];
        mark_words(m, (const uint32_t[]){ l->feed_forward, l->window, l->chunk, l->rope }, 4);
    }
    for (unsigned i = 0; i < sizeof d->rope / sizeof *d->rope; i++) {
        mark_floats(m, &d->rope[i].magnitude, 1);
        if (d->rope[i].frequency) mark_floats(m, d->rope[i].frequency, d->rope[i].rotated / 2);
    }
}

tola_status model_fingerprint(const tola_model *m, uint64_t *out, tola_error *err) {
    mark k = { 0, 0 };
    mark_bytes(&k, m->info.family, strlen(m->info.family));
    mark_description(&k, m->description);
    TRY(mark_checkpoint(&k, m->checkpoint, err));
    for (size_t i = 0; i < m->adapter_count; i++) {
        char scale[32];
        snprintf(scale, sizeof scale, "%a", (double)m->adapter_scales[i]);
        mark_bytes(&k, scale, strlen(scale));
        TRY(mark_checkpoint(&k, m->adapter_files[i], err));
    }
    *out = (uint64_t)k.a << 32 | k.b;
    return TOLA_OK;
}
