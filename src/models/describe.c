/* From a configuration, config.json's or GGUF's keys, to a description: one mapper a family.
 *
 * Words and their meaning: configuration classes of huggingface/transformers; for GGUF, load_arch_hparams of each
 * architecture in ggml-org/llama.cpp (src/models/). Where a word is missing, the value is the default of transformers'
 * configuration class, since configurations leave those out. Every number is checked for range here; shapes of tensors
 * against them in weights.c. */
#include "base/err.h"
#include "base/json.h"
#include "base/path.h"
#include "models/models.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_COLUMNS (1u << 24) /* of any matrix */
#define MAX_ARENA (64u << 20)

typedef struct conf {
    const tola_checkpoint *ck;
    model_description *d;
    family_hyper h;
    const tola_value *metadata; /* GGUF's */
    const char *arch;           /* its prefix */
    uint64_t context;           /* asked for */
    struct misread *misread;    /* the first word that was not of the kind that was asked for */
    tola_error *err;
} conf;

#define FAIL(c, status, ...) err_set((c)->err, status, TOLA_NO_OFFSET, __VA_ARGS__)

/* ---- reading words ---- */

/* `hf` in config.json (dots descend), `gguf` under the architecture's name; either may be NULL: that source has none.
 */
static const tola_value *word(const conf *c, const char *hf, const char *gguf) {
    char name[192];
    const tola_value *v = NULL;
    if (c->d->gguf) {
        if (gguf == NULL || snprintf(name, sizeof name, "%s.%s", c->arch, gguf) >= (int)sizeof name) return NULL;
        v = tola_value_get(c->metadata, name);
    } else if (hf != NULL) {
        v = c->h.text;
        for (const char *p = hf; v != NULL && *p != '\0';) {
            size_t n = strcspn(p, ".");
            if (n >= sizeof name) return NULL;
            memcpy(name, p, n);
            name[n] = '\0';
            v = tola_value_get(v, name);
            p += n + (p[n] == '.');
        }
    }
    return v != NULL && v->kind != TOLA_VALUE_NULL ? v : NULL;
}

typedef enum { A_COUNT, A_NUMBER, A_POSITIVE, A_FLAG, A_WORD, A_LIST, A_MAP } kind_of_word;

struct misread {
    char name[192];
    const tola_value *value;
    kind_of_word expected;
};

static bool is_count(const tola_value *v) {
    if (v->kind != TOLA_VALUE_ARRAY) return tola_value_u64(v, 0) == tola_value_u64(v, 1);
    for (size_t i = 0; i < v->as.array.count; i++) {
        tola_value item = tola_value_at(v, i);
        if (item.kind != TOLA_VALUE_NULL && (item.kind == TOLA_VALUE_ARRAY || !is_count(&item))) return false;
    }
    return v->as.array.count != 0;
}

static bool is_of_kind(const tola_value *v, kind_of_word kind) {
    switch (kind) {
    case A_COUNT: return is_count(v);
    case A_NUMBER: return tola_value_f64(v, 0) == tola_value_f64(v, 1);
    case A_POSITIVE: return tola_value_f64(v, 0) > 0;
    case A_FLAG: return v->kind == TOLA_VALUE_BOOL;
    case A_WORD: return v->kind == TOLA_VALUE_STRING;
    case A_LIST: return v->kind == TOLA_VALUE_ARRAY;
    default: return v->kind == TOLA_VALUE_MAP;
    }
}

/* The word, which is missed later (misread_words) where it is of another kind: a fallback would be another model. */
static const tola_value *word_of(const conf *c, const char *hf, const char *gguf, kind_of_word kind) {
    const tola_value *v = word(c, hf, gguf);
    if (v == NULL || c->misread->value != NULL || is_of_kind(v, kind)) return v;
    const char *name = c->d->gguf ? gguf : hf; /* v was found by it */
    (void)snprintf(c->misread->name, sizeof c->misread->name, "%s%s%s", c->d->gguf ? c->arch : "",
                   c->d->gguf ? "." : "", name != NULL ? name : "");
    c->misread->value = v;
    c->misread->expected = kind;
    return v;
}

static tola_status misread_words(const conf *c) {
    static const char *const kinds[] = {
        "a whole number from 0", "a number", "a positive number", "true or false", "a word", "a list", "a map"
    };
    const struct misread *m = c->misread;
    double value = tola_value_f64(m->value, (double)NAN);
    if (m->value == NULL) return TOLA_OK;
    if (!isnan(value))
        return FAIL(c, TOLA_E_FORMAT, "configuration: %s is %g, expected %s", m->name, value, kinds[m->expected]);
    return FAIL(c, TOLA_E_FORMAT, "configuration: %s is not %s", m->name, kinds[m->expected]);
}

/* families/hyper.c, which serves inspect, too, passes over words of the wrong kind: those that run are held to it. */
static tola_status typed(const conf *c) {
    static const struct {
        kind_of_word kind;
        const char *hf, *gguf; /* names between single spaces */
    } rows[] = {
        { A_COUNT,
          "num_hidden_layers n_layer hidden_size n_embd intermediate_size n_inner intermediate_size_mlp vocab_size "
          "max_position_embeddings n_positions num_attention_heads n_head num_key_value_heads head_dim sliding_window "
          "num_local_experts n_routed_experts num_experts n_shared_experts num_experts_per_tok first_k_dense_replace "
          "moe_intermediate_size shared_expert_intermediate_size qk_rope_head_dim qk_nope_head_dim",
          "block_count embedding_length feed_forward_length vocab_size context_length attention.head_count "
          "attention.head_count_kv attention.key_length attention.key_length_mla attention.sliding_window expert_count "
          "expert_used_count expert_shared_count expert_feed_forward_length expert_shared_feed_forward_length "
          "leading_dense_block_count rope.dimension_count rope.scaling.original_context_length" },
        { A_POSITIVE, "rms_norm_eps layer_norm_eps layer_norm_epsilon rope_theta rope_local_base_freq",
          "attention.layer_norm_rms_epsilon attention.layer_norm_epsilon rope.freq_base rope.freq_base_swa" },
        { A_NUMBER, "partial_rotary_factor",
          "rope.scale_linear rope.scaling.factor rope.scaling.attn_factor rope.scaling.yarn_log_multiplier "
          "rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow" },
        { A_FLAG, "use_sliding_window tie_word_embeddings", NULL },
        { A_WORD, "hidden_act hidden_activation activation_function", "rope.scaling.type" },
        { A_LIST, "layer_types no_rope_layers mlp_only_layers", NULL },
        { A_MAP, "rope_parameters rope_scaling", NULL },
    };
    /* within rope_parameters, rope_scaling and the maps that some have for each kind of layers */
    static const struct {
        kind_of_word kind;
        const char *name;
    } turned[] = { { A_WORD, "rope_type" },          { A_WORD, "type" },
                   { A_POSITIVE, "rope_theta" },     { A_POSITIVE, "factor" },
                   { A_NUMBER, "low_freq_factor" },  { A_NUMBER, "high_freq_factor" },
                   { A_NUMBER, "attention_factor" }, { A_NUMBER, "beta_fast" },
                   { A_NUMBER, "beta_slow" },        { A_NUMBER, "mscale" },
                   { A_NUMBER, "mscale_all_dim" },   { A_NUMBER, "partial_rotary_factor" },
                   { A_FLAG, "truncate" },           { A_COUNT, "original_max_position_embeddings" } };
    static const char *const maps[] = { "rope_parameters", "rope_scaling", "rope_parameters.full_attention",
                                        "rope_parameters.sliding_attention" };
    char name[96];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *p = c->d->gguf ? rows[i].gguf : rows[i].hf;
        while (p != NULL && *p != '\0') {
            int n = (int)strcspn(p, " ");
            (void)snprintf(name, sizeof name, "%.*s", n, p);
            word_of(c, c->d->gguf ? NULL : name, c->d->gguf ? name : NULL, rows[i].kind);
            p += n + (p[n] == ' ');
        }
    }
    for (size_t i = 0; !c->d->gguf && i < sizeof maps / sizeof maps[0]; i++)
        for (size_t k = 0; k < sizeof turned / sizeof turned[0]; k++) {
            (void)snprintf(name, sizeof name, "%s.%s", maps[i], turned[k].name);
            word_of(c, name, NULL, turned[k].kind);
        }
    return misread_words(c);
}

static double number(const conf *c, const char *hf, const char *gguf, double fallback) {
    return tola_value_f64(word_of(c, hf, gguf, A_NUMBER), fallback);
}

static uint64_t integer(const conf *c, const char *hf, const char *gguf, uint64_t fallback) {
    return tola_value_u64(word_of(c, hf, gguf, A_COUNT), fallback);
}

static bool flag(const conf *c, const char *hf, const char *gguf, bool fallback) {
    return tola_value_bool(word_of(c, hf, gguf, A_FLAG), fallback);
}

static tola_status in_range(const conf *c, const char *what, uint64_t value, uint64_t least, uint64_t most) {
    if (value >= least && value <= most) return TOLA_OK;
    return FAIL(c, TOLA_E_FORMAT, "configuration: %s is %llu, expected %llu to %llu", what, (unsigned long long)value,
                (unsigned long long)least, (unsigned long long)most);
}

/* A count that must be there. */
static tola_status count(const conf *c, const char *hf, const char *gguf, uint64_t fallback, uint64_t least,
                         uint64_t most, uint32_t *out) {
    const tola_value *v = word(c, hf, gguf);
    uint64_t n = v != NULL ? tola_value_u64(v, UINT64_MAX) : fallback;
    TRY(in_range(c, c->d->gguf && gguf != NULL ? gguf : hf, n, least, most));
    *out = (uint32_t)n;
    return TOLA_OK;
}

static tola_status finite_positive(const conf *c, const char *what, double value, float *out) {
    if (!(value > 0) || !isfinite((float)value))
        return FAIL(c, TOLA_E_FORMAT, "configuration: %s is %g, expected a positive number", what, value);
    *out = (float)value;
    return TOLA_OK;
}

/* 0 is "none". */
static tola_status cap_of(const conf *c, const char *what, double value, float *out) {
    if (value == 0) return TOLA_OK;
    return finite_positive(c, what, value, out);
}

static tola_status activation_of(conf *c, const char *fallback) {
    static const struct {
        const char *word;
        graph_function function;
    } words[] = { { "silu", GRAPH_SILU },           { "swish", GRAPH_SILU },
                  { "gelu", GRAPH_GELU },           { "gelu_new", GRAPH_GELU_TANH },
                  { "gelu_tanh", GRAPH_GELU_TANH }, { "gelu_pytorch_tanh", GRAPH_GELU_TANH },
                  { "gelu_fast", GRAPH_GELU_TANH }, { "gelu_accurate", GRAPH_GELU_TANH },
                  { "gelu_python", GRAPH_GELU },    { "relu", GRAPH_RELU },
                  { "relu2", GRAPH_RELU2 },         { "sigmoid", GRAPH_SIGMOID },
                  { "tanh", GRAPH_TANH } };
    const char *text = c->h.activation != NULL ? c->h.activation : fallback;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i].word) != 0) continue;
        c->d->activation = words[i].function;
        return TOLA_OK;
    }
    return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: activation %.60s is not known", text);
}

/* ---- layers ---- */

/* Which layers see a window of `size` positions: layer_types says, else every layer but each `period`-th (1: all, 0:
 * none). `chunked` windows are those of Llama 4. */
static tola_status windows(conf *c, uint64_t size, uint64_t period, bool chunked) {
    model_description *d = c->d;
    const tola_value *types = word(c, "layer_types", "attention.sliding_window_pattern");
    uint64_t pattern = period;
    if (types != NULL && types->kind != TOLA_VALUE_ARRAY) {
        pattern = tola_value_u64(types, period);
        types = NULL;
    }
    if (types != NULL && types->as.array.count < d->layer_count)
        return FAIL(c, TOLA_E_FORMAT, "configuration: %zu layer types for %u layers", types->as.array.count,
                    d->layer_count);
    for (uint32_t i = 0; i < d->layer_count; i++) {
        bool slides = pattern != 0 && (pattern == 1 || (i + 1) % pattern != 0) && size != 0;
        if (types != NULL) {
            tola_value type = tola_value_at(types, i);
            const char *text = tola_value_str(&type, NULL);
            if (text == NULL && !c->d->gguf)
                return FAIL(c, TOLA_E_FORMAT, "configuration: the type of layer %u is not a word", i);
            slides = text == NULL ? tola_value_bool(&type, false)
                                  : strcmp(text, chunked ? "chunked_attention" : "sliding_attention") == 0;
            if (text != NULL && !slides && strcmp(text, "full_attention") != 0)
                return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: layer %u is of type %.60s, which is not known", i,
                            text);
        }
        if (!slides) continue;
        TRY(in_range(c, chunked ? "attention_chunk_size" : "sliding_window", size, 1, UINT32_MAX));
        if (chunked)
            d->layers[i].chunk = (uint32_t)size;
        else
            d->layers[i].window = (uint32_t)size;
    }
    return TOLA_OK;
}

/* Which layers have experts: from first_dense on, every `step`-th, but for those in `dense` (an array of layers). */
static tola_status experts(conf *c, uint64_t step, const tola_value *dense) {
    model_description *d = c->d;
    const family_hyper *h = &c->h;
    if (h->experts == 0) return TOLA_OK;
    TRY(in_range(c, "number of experts", h->experts, 1, MODEL_MAX_EXPERTS));
    TRY(in_range(c, "experts for each token", h->experts_used, 1, h->experts));
    TRY(in_range(c, "width of experts", h->expert_feed_forward, 1, MAX_COLUMNS));
    TRY(in_range(c, "width of shared experts", h->shared_feed_forward, 0, MAX_COLUMNS));
    TRY(in_range(c, "step of layers with experts", step, 1, MODEL_MAX_LAYERS));
    d->experts = (uint32_t)h->experts;
    d->routing.used = (uint32_t)h->experts_used;
    d->routing.scale = 1;
    d->expert_feed_forward = (uint32_t)h->expert_feed_forward;
    d->shared_feed_forward = (uint32_t)h->shared_feed_forward;
    for (uint32_t i = 0; i < d->layer_count; i++) {
        bool sparse = i >= h->first_dense && (i + 1) % step == 0;
        for (size_t k = 0; dense != NULL && dense->kind == TOLA_VALUE_ARRAY && k < dense->as.array.count; k++) {
            tola_value layer = tola_value_at(dense, k);
            if (tola_value_u64(&layer, UINT64_MAX) == i) sparse = false;
        }
        if (sparse) d->layers[i].feed_forward = 0;
    }
    return TOLA_OK;
}

/* ---- rotary positions ---- */

/* A small vector of the file (GGUF keeps factors so), or an array of the configuration. */
static tola_status factors_of(conf *c, const char *tensor, const tola_value *list, uint32_t wanted, float **out) {
    *out = NULL;
    size_t index = c->d->gguf ? tola_checkpoint_find(c->ck, tensor) : SIZE_MAX;
    if (index == SIZE_MAX && list == NULL) return TOLA_OK;
    uint64_t got = list != NULL && list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0;
    if (index != SIZE_MAX) got = tola_checkpoint_tensor(c->ck, index)->elements;
    if (got != wanted)
        return FAIL(c, TOLA_E_FORMAT, "rope: %llu factors in %s, expected %u", (unsigned long long)got, tensor, wanted);
    float *values = arena_alloc_array(&c->d->arena, wanted, sizeof *values);
    if (values == NULL) return err_nomem(c->err, "rope factors");
    if (index != SIZE_MAX) TRY(model_read_f32(c->ck, index, values, c->err));
    for (uint32_t i = 0; i < wanted; i++) {
        if (index == SIZE_MAX) {
            tola_value v = tola_value_at(list, i);
            values[i] = (float)tola_value_f64(&v, 0);
        }
        if (!(values[i] > 0) || !isfinite(values[i]))
            return FAIL(c, TOLA_E_FORMAT, "rope: factor %u of %s is %g, expected a positive number", i, tensor,
                        (double)values[i]);
    }
    *out = values;
    return TOLA_OK;
}

static tola_status longrope(conf *c, rope_options *o) {
    const family_hyper *h = &c->h;
    float *list;
    uint64_t original = tola_value_u64(word(c, "original_max_position_embeddings", NULL), h->rope_original_context);
    o->original = original != 0 ? original : h->context;
    TRY(in_range(c, "original_max_position_embeddings", o->original, 2, UINT32_MAX));
    bool longer = o->context > o->original;
    TRY(factors_of(c, longer ? "rope_factors_long.weight" : "rope_factors_short.weight",
                   longer ? h->rope_long : h->rope_short, o->rotated / 2, &list));
    if (list == NULL) return FAIL(c, TOLA_E_FORMAT, "rope: longrope without factors");
    /* the short factors are those of texts up to here: a longer one has to be asked for, it is another model */
    if (!longer && o->original < c->d->context) c->d->context = (uint32_t)o->original;
    o->divisors = list;
    o->factor = o->factor > 0 ? o->factor : (double)h->context / (double)o->original;
    if (c->d->gguf) /* attn_factor is the magnitude itself */
        o->magnitude = h->rope_attn_factor > 0 ? h->rope_attn_factor : 1;
    return TOLA_OK;
}

/* Layers with a window turn at their own speed (Gemma 3); rope_parameters may divide it, no model scales it else. */
static tola_status local_rope(conf *c, rope_options *o) {
    const char *kind = tola_value_str(word(c, "rope_parameters.sliding_attention.rope_type", NULL), "default");
    o->kind = FAMILY_ROPE_NONE;
    o->theta = c->h.rope_local_theta;
    o->magnitude = 0;
    if (strcmp(kind, "default") == 0) return TOLA_OK;
    if (strcmp(kind, "linear") != 0)
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: %.60s scaling of layers with a window is not known", kind);
    o->kind = FAMILY_ROPE_LINEAR;
    o->factor = number(c, "rope_parameters.sliding_attention.factor", NULL, 0);
    return TOLA_OK;
}

/* Fills rope[0], and rope[1] where layers with a window have their own. */
static tola_status ropes(conf *c) {
    model_description *d = c->d;
    const family_hyper *h = &c->h;
    uint32_t dim = d->mixer == MODEL_LATENT_ATTENTION ? d->rope_dim : d->key_dim;
    double share = d->mixer == MODEL_LATENT_ATTENTION ? 1 : h->rope_partial;
    if (!(share > 0 && share <= 1))
        return FAIL(c, TOLA_E_FORMAT, "rope: turns %g of each head, expected 0 to 1", share);
    rope_options o = { .kind = h->rope,
                       .rotated = (uint32_t)(share * dim + 1e-6),
                       .theta = h->rope_theta != 0 ? h->rope_theta : 10000,
                       .factor = h->rope_factor,
                       .low = h->rope_low_freq,
                       .high = h->rope_high_freq,
                       .beta_fast = h->rope_beta_fast,
                       .beta_slow = h->rope_beta_slow,
                       .mscale = h->rope_mscale,
                       .mscale_all = h->rope_mscale_all,
                       .magnitude = h->rope_attn_factor,
                       .whole_steps = h->rope_whole_steps,
                       .original = h->rope_original_context != 0 ? h->rope_original_context : h->context,
                       .trained = h->context,
                       .context = c->context };
    float *divisors;
    TRY(factors_of(c, "rope_freqs.weight", NULL, o.rotated / 2, &divisors));
    o.divisors = divisors;
    bool factors = d->gguf && tola_checkpoint_find(c->ck, "rope_factors_short.weight") != SIZE_MAX;
    if (factors) o.kind = FAMILY_ROPE_LONGROPE;
    if (o.kind == FAMILY_ROPE_MROPE) o.kind = FAMILY_ROPE_NONE; /* text alone: the three positions are one */
    if (o.kind == FAMILY_ROPE_OTHER)
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: this kind of rope scaling is not known");
    if (o.kind != FAMILY_ROPE_YARN && o.kind != FAMILY_ROPE_LONGROPE && !d->gguf)
        o.magnitude = 0; /* the other kinds have no attention_factor */
    if (o.kind == FAMILY_ROPE_LONGROPE) TRY(longrope(c, &o));
    const char *keys[][2] = { { "rope_scaling.original_max_position_embeddings", NULL },
                              { "rope_parameters.original_max_position_embeddings", NULL },
                              { "rope_parameters.full_attention.original_max_position_embeddings", NULL },
                              { NULL, "rope.scaling.original_context_length" } };
    bool stretched = o.kind == FAMILY_ROPE_YARN || o.kind == FAMILY_ROPE_LLAMA3 || o.kind == FAMILY_ROPE_LONGROPE;
    for (size_t i = 0; stretched && i < sizeof keys / sizeof *keys; i++) {
        const tola_value *v = word(c, keys[i][0], keys[i][1]); /* where it is missing, the context stands for it */
        TRY(in_range(c, keys[i][d->gguf], tola_value_u64(v, 1), 1, UINT32_MAX));
    }
    if (o.kind == FAMILY_ROPE_YARN && o.factor == 0 && o.original != 0)
        o.factor = (double)h->context / (double)o.original;
    if (o.kind == FAMILY_ROPE_YARN && d->gguf) {
        /* attn_factor multiplies what is computed; mscale is taken to be 1, or that of all where that is not 1 */
        o.mscale = o.mscale_all == 0 ? 0 : fabs(o.mscale_all - 1) < 1e-6 ? 1 : o.mscale_all;
        o.magnitude = number(c, NULL, "rope.scaling.yarn_attn_factor", 0);
    }
    for (int which = 0; which < 2; which++) {
        if (which == 1) {
            if (h->rope_local_theta == 0) break;
            TRY(local_rope(c, &o));
        }
        model_rope *rope = &d->rope[which];
        TRY(in_range(c, "number of columns that turn", o.rotated, 2, dim));
        rope->rotated = o.rotated;
        rope->frequency = arena_alloc_array(&d->arena, o.rotated / 2 + 1, sizeof *rope->frequency);
        if (rope->frequency == NULL) return err_nomem(c->err, "rope");
        TRY(rope_frequencies(&o, rope->frequency, &rope->magnitude, c->err));
        if (which == 0 && o.kind == FAMILY_ROPE_YARN) {
            if (d->gguf && h->rope_attn_factor > 0) rope->magnitude *= (float)h->rope_attn_factor;
            if (d->mixer == MODEL_LATENT_ATTENTION) d->attention_scale *= (float)rope_attention_factor(&o);
        }
    }
    if (d->rope[1].frequency != NULL)
        for (uint32_t i = 0; i < d->layer_count; i++)
            if (d->layers[i].window != 0) d->layers[i].rope = 1;
    return TOLA_OK;
}

/* ---- what all families share ---- */

/* Rows of a table (embedding, positions), which configurations repeat; 0 where there is none. */
static uint64_t rows_of(const conf *c, const char *name) {
    char found[256];
    size_t i =
        names_find(c->ck, c->d->family->map, c->d->gguf, name, UINT32_MAX, UINT32_MAX, NULL, found, sizeof found);
    const tola_tensor_info *t = i != SIZE_MAX ? tola_checkpoint_tensor(c->ck, i) : NULL;
    return t != NULL && t->n_dims == 2 ? t->shape[0] : 0;
}

/* A wrapper may tie what its language model's own configuration keeps apart; then there is no output matrix. */
static bool tied_outside(const conf *c) {
    const tola_value *whole = tola_checkpoint_config(c->ck);
    char name[256];
    return !c->d->gguf && whole != c->h.text && tola_value_bool(tola_value_get(whole, "tie_word_embeddings"), false) &&
           names_find(c->ck, c->d->family->map, false, "output.weight", UINT32_MAX, UINT32_MAX, NULL, name,
                      sizeof name) == SIZE_MAX;
}

static tola_status common(conf *c) {
    model_description *d = c->d;
    const family_hyper *h = &c->h;
    uint64_t vocabulary = h->vocabulary != 0 ? h->vocabulary : rows_of(c, "token_embd.weight");
    const struct {
        const char *what;
        uint64_t value, most;
        uint32_t *to;
    } fields[] = {
        { "number of layers", h->layers, MODEL_MAX_LAYERS, &d->layer_count },
        { "width", h->width, MAX_COLUMNS, &d->width },
        { "number of heads", h->heads, 1u << 16, &d->heads },
        { "number of key heads", h->kv_heads, 1u << 16, &d->kv_heads },
        { "width of a head", h->head_dim, 1u << 16, &d->key_dim },
        { "vocabulary", vocabulary, 1u << 28, &d->vocabulary },
        { "context", h->context, 1u << 30, &d->context },
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        TRY(in_range(c, fields[i].what, fields[i].value, 1, fields[i].most));
        *fields[i].to = (uint32_t)fields[i].value;
    }
    if ((uint64_t)d->heads * d->key_dim > MAX_COLUMNS)
        return FAIL(c, TOLA_E_FORMAT, "configuration: %u heads of %u columns are too many", d->heads, d->key_dim);
    bool dense = h->experts == 0 || h->feed_forward != 0;
    TRY(in_range(c, "width of feed-forward layers", h->feed_forward, dense ? 1 : 0, MAX_COLUMNS));
    d->layers = arena_alloc_array(&d->arena, d->layer_count, sizeof *d->layers);
    if (d->layers == NULL) return err_nomem(c->err, "layers");
    for (uint32_t i = 0; i < d->layer_count; i++)
        d->layers[i] = (model_layer){ .feed_forward = (uint32_t)h->feed_forward };
    d->value_dim = d->key_dim;
    d->attention_scale = 1 / sqrtf((float)d->key_dim);
    d->embedding_scale = 1;
    d->feed_forward_norm = "ffn_norm";
    d->gated = true;
    d->tied = h->tie_embeddings || tied_outside(c);
    if (d->tied && !d->gguf) TRY(names_tied_in_fact(c->ck, d->family->map, &d->tied, c->err));
    d->qkv_bias = d->output_bias = d->feed_forward_bias = d->gguf ? MODEL_BIAS_IF_THERE : MODEL_BIAS_NONE;
    TRY(finite_positive(c, "epsilon of norms", h->norm_eps != 0 ? h->norm_eps : 1e-6, &d->norm_eps));
    if (d->norm_eps > 1)
        return FAIL(c, TOLA_E_FORMAT, "configuration: epsilon of norms is %g, expected 1 at most", (double)d->norm_eps);
    return activation_of(c, "silu");
}

static model_bias said(const conf *c, const char *hf, bool fallback) {
    if (c->d->gguf) return MODEL_BIAS_IF_THERE;
    return flag(c, hf, NULL, fallback) ? MODEL_BIAS_YES : MODEL_BIAS_NONE;
}

/* ---- the mappers ---- */

static void like_llama(conf *c) {
    c->d->interleaved = c->d->gguf;
    c->d->qkv_bias = c->d->output_bias = said(c, "attention_bias", false);
    c->d->feed_forward_bias = said(c, "mlp_bias", false);
}

static tola_status describe_llama(conf *c) {
    like_llama(c);
    return windows(c, c->d->gguf ? c->h.sliding_window : 0, 1, false);
}

static tola_status describe_mistral(conf *c) {
    c->d->interleaved = c->d->gguf;
    return windows(c, c->h.sliding_window, 1, false);
}

/* The text half of Mistral Small 3: Mistral; Ministral 3 scales queries by their position. */
static tola_status describe_mistral3(conf *c) {
    const char *type = tola_value_str(word(c, "model_type", NULL), c->d->gguf ? "mistral" : "");
    if (strcmp(type, "mistral") != 0 || word(c, NULL, "attention.temperature_scale") != NULL)
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: a language model of type %.60s is not known", type);
    return describe_mistral(c);
}

static tola_status describe_mixtral(conf *c) {
    TRY(describe_mistral(c));
    TRY(experts(c, 1, NULL));
    c->d->routing.softmax_chosen = true;
    return TOLA_OK;
}

/* Layers from max_window_layers on slide, where use_sliding_window says so (families/hyper.c looks at that); of
 * Qwen2-MoE every other one before it, of Qwen3-MoE all, whatever layer_types says (its class has no such word). */
static tola_status qwen_windows(conf *c) {
    const uint64_t size = c->h.sliding_window, first = integer(c, "max_window_layers", NULL, 28);
    const bool hf = !c->d->gguf;
    if (hf && strcmp(c->d->family->name, "qwen3_moe") == 0) {
        TRY(in_range(c, "sliding_window", size, 0, UINT32_MAX));
        for (uint64_t i = 0; i < c->d->layer_count; i++) c->d->layers[i].window = (uint32_t)size;
        return TOLA_OK;
    }
    TRY(windows(c, size, 0, false));
    if (word(c, "layer_types", NULL) != NULL || !hf || size == 0) return TOLA_OK;
    TRY(in_range(c, "sliding_window", size, 1, UINT32_MAX));
    const bool moe = strcmp(c->d->family->name, "qwen2_moe") == 0;
    for (uint64_t i = 0; i < c->d->layer_count; i++)
        if (moe ? i < first && i % 2 == 0 : i >= first) c->d->layers[i].window = (uint32_t)size;
    return TOLA_OK;
}

static tola_status describe_qwen2(conf *c) {
    c->d->qkv_bias = said(c, "qkv_bias", true);
    TRY(qwen_windows(c));
    TRY(experts(c, integer(c, "decoder_sparse_step", NULL, 1), word(c, "mlp_only_layers", NULL)));
    c->d->shared_gate = c->d->shared_feed_forward != 0;
    c->d->routing.normalize = flag(c, "norm_topk_prob", "expert_weights_norm", false);
    return TOLA_OK;
}

static tola_status describe_qwen3(conf *c) {
    c->d->qkv_bias = c->d->output_bias = said(c, "attention_bias", false);
    c->d->qk_norm = MODEL_QK_HEAD;
    TRY(qwen_windows(c));
    TRY(experts(c, integer(c, "decoder_sparse_step", NULL, 1), word(c, "mlp_only_layers", NULL)));
    c->d->routing.normalize = flag(c, "norm_topk_prob", "expert_weights_norm", c->d->gguf);
    return TOLA_OK;
}

static tola_status describe_gemma(conf *c) {
    model_description *d = c->d;
    d->norm_offset = d->gguf ? 0 : 1;
    d->embedding_scale = sqrtf((float)d->width);
    d->qkv_bias = d->output_bias = said(c, "attention_bias", false);
    const bool first = d->family->map == FAMILY_MAP_GEMMA;
    c->h.activation = tola_value_str(word(c, first ? "hidden_act" : "hidden_activation", NULL), NULL);
    /* "gelu" of the first configurations was meant to be the approximation: transformers, GemmaConfig */
    if (first && c->h.activation != NULL && strcmp(c->h.activation, "gelu") == 0) c->h.activation = NULL;
    return activation_of(c, "gelu_pytorch_tanh");
}

/* `whole` layers: the largest models of a generation scale by width / heads instead of a head's width. */
static tola_status gemma_scale(conf *c, double fallback, uint32_t whole) {
    model_description *d = c->d;
    double scalar = number(c, "query_pre_attn_scalar", NULL, fallback);
    if (d->gguf) scalar = d->layer_count == whole ? d->width / d->heads : d->key_dim;
    float root;
    TRY(finite_positive(c, "query_pre_attn_scalar", scalar, &root));
    double scale = number(c, NULL, "attention.scale", 1 / sqrt(scalar));
    return finite_positive(c, "attention.scale", scale, &d->attention_scale);
}

static tola_status describe_gemma2(conf *c) {
    model_description *d = c->d;
    TRY(describe_gemma(c));
    TRY(gemma_scale(c, 256, 46));
    d->norm_both = true;
    bool nulls = !d->gguf && tola_value_get(c->h.text, "attn_logit_softcapping") != NULL;
    TRY(cap_of(c, "attn_logit_softcapping",
               number(c, "attn_logit_softcapping", "attn_logit_softcapping", nulls ? 0 : 50), &d->attention_cap));
    nulls = !d->gguf && tola_value_get(c->h.text, "final_logit_softcapping") != NULL;
    TRY(cap_of(c, "final_logit_softcapping",
               number(c, "final_logit_softcapping", "final_logit_softcapping", nulls ? 0 : 30), &d->output_cap));
    return windows(c, c->h.sliding_window != 0 ? c->h.sliding_window : 4096, 2, false);
}

static tola_status describe_gemma3(conf *c) {
    model_description *d = c->d;
    TRY(describe_gemma(c));
    TRY(gemma_scale(c, 256, 62));
    if (flag(c, "use_bidirectional_attention", NULL, false))
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: use_bidirectional_attention is not known");
    d->norm_both = true;
    d->qk_norm = MODEL_QK_HEAD;
    /* attn_logit_softcapping is a word of the class that its attention does not read */
    TRY(cap_of(c, "final_logit_softcapping", number(c, "final_logit_softcapping", "final_logit_softcapping", 0),
               &d->output_cap));
    if (c->h.rope_local_theta == 0) c->h.rope_local_theta = 10000;
    uint64_t period = integer(c, "sliding_window_pattern", NULL, integer(c, "_sliding_window_pattern", NULL, 6));
    return windows(c, c->h.sliding_window, period, false);
}

static tola_status describe_phi3(conf *c) {
    c->d->fused_gate = true;
    return windows(c, c->h.sliding_window, 1, false);
}

static tola_status describe_gpt2(conf *c) {
    model_description *d = c->d;
    if (flag(c, "add_cross_attention", NULL, false))
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: cross-attention is not known");
    d->scale_by_layer = flag(c, "scale_attn_by_inverse_layer_idx", NULL, false);
    if (!flag(c, "scale_attn_weights", NULL, true)) d->attention_scale = 1;
    d->norm = MODEL_NORM_LAYER;
    d->gated = false;
    d->positions = d->context;
    d->qkv_bias = d->output_bias = d->feed_forward_bias = MODEL_BIAS_YES;
    for (uint32_t i = 0; i < d->layer_count; i++) d->layers[i].rope = MODEL_NO_ROPE;
    return activation_of(c, "gelu_new");
}

static tola_status describe_bert(conf *c) {
    model_description *d = c->d;
    bool roberta = strcmp(d->family->name, "roberta") == 0;
    if (flag(c, "is_decoder", NULL, false))
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: a BERT that decodes is not known");
    const char *kind = tola_value_str(word(c, "position_embedding_type", NULL), "absolute");
    if (strcmp(kind, "absolute") != 0)
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: positions of type %.60s are not known", kind);
    d->norm = MODEL_NORM_LAYER;
    d->encoder = d->norm_after = d->embedding_norm = true;
    d->gated = d->tied = false;
    d->qkv_bias = d->output_bias = d->feed_forward_bias = MODEL_BIAS_YES;
    d->positions = d->context;
    if (roberta) { /* positions begin behind that of padding; GGUF leaves those rows out */
        TRY(count(c, "pad_token_id", NULL, 1, 0, d->positions - 1, &d->position_offset));
        d->position_offset++;
        d->context -= d->position_offset;
        if (d->context == 0) return in_range(c, "context", 0, 1, d->positions);
    }
    TRY(count(c, "type_vocab_size", "token_type_count", 2, 1, 1u << 16, &d->token_types));
    for (uint32_t i = 0; i < d->layer_count; i++) d->layers[i].rope = MODEL_NO_ROPE;
    return activation_of(c, "gelu");
}

static tola_status describe_olmoe(conf *c) {
    if (word(c, "clip_qkv", "attention.clamp_kqv") != NULL)
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: clip_qkv is not known");
    c->d->qk_norm = MODEL_QK_ALL;
    c->d->qkv_bias = c->d->output_bias = said(c, "attention_bias", false);
    TRY(experts(c, 1, NULL));
    c->d->routing.normalize = flag(c, "norm_topk_prob", NULL, false);
    return TOLA_OK;
}

/* Layers that do not turn: each fourth, unless no_rope_layers has a 0 for them and a 1 for the others. */
static tola_status resting(conf *c) {
    model_description *d = c->d;
    uint64_t interval = integer(c, "no_rope_layer_interval", NULL, 4);
    TRY(in_range(c, "no_rope_layer_interval", interval, 1, UINT32_MAX));
    const tola_value *list = word(c, "no_rope_layers", NULL);
    bool told = list != NULL && list->kind == TOLA_VALUE_ARRAY && list->as.array.count != 0;
    if (told && list->as.array.count < d->layer_count)
        return FAIL(c, TOLA_E_FORMAT, "configuration: %zu no_rope_layers for %u layers", list->as.array.count,
                    d->layer_count);
    for (uint32_t i = 0; i < d->layer_count; i++) {
        tola_value v = told ? tola_value_at(list, i) : (tola_value){ 0 };
        bool turns = told ? tola_value_u64(&v, tola_value_bool(&v, false)) != 0 : (i + 1) % interval != 0;
        if (!turns) d->layers[i].rope = MODEL_NO_ROPE;
    }
    return TOLA_OK;
}

static tola_status describe_smollm3(conf *c) {
    like_llama(c);
    TRY(windows(c, c->h.sliding_window, 0, false));
    TRY(resting(c));
    if (word(c, "layer_types", NULL) != NULL || c->d->gguf) return TOLA_OK;
    TRY(in_range(c, "sliding_window", c->h.sliding_window, 0, UINT32_MAX));
    for (uint32_t i = 0; i < c->d->layer_count; i++)
        if (c->d->layers[i].rope == MODEL_NO_ROPE) c->d->layers[i].window = (uint32_t)c->h.sliding_window;
    return TOLA_OK;
}

static tola_status describe_llama4(conf *c) {
    model_description *d = c->d;
    d->interleaved = true;
    d->qkv_bias = d->output_bias = said(c, "attention_bias", false);
    if (c->h.experts != 0 && c->h.shared_feed_forward == 0) c->h.shared_feed_forward = c->h.expert_feed_forward;
    TRY(experts(c, integer(c, "interleave_moe_layer_step", "interleave_moe_layer_step", 1), NULL));
    const tola_value *list = word(c, "moe_layers", NULL);
    if (list != NULL && list->kind == TOLA_VALUE_ARRAY && d->experts != 0) {
        for (uint32_t i = 0; i < d->layer_count; i++) d->layers[i].feed_forward = (uint32_t)c->h.feed_forward;
        for (size_t i = 0; i < list->as.array.count; i++) {
            tola_value layer = tola_value_at(list, i);
            uint64_t at = tola_value_u64(&layer, UINT64_MAX);
            TRY(in_range(c, "layer in moe_layers", at, 0, d->layer_count - 1));
            d->layers[at].feed_forward = 0;
        }
    }
    d->routing.sigmoid = d->weigh_input = true;
    if (flag(c, "use_qk_norm", NULL, d->experts != 128)) d->qk_norm = MODEL_QK_LENGTH;
    TRY(resting(c));
    uint64_t chunk = integer(c, "attention_chunk_size", NULL, 8192);
    TRY(in_range(c, "attention_chunk_size", chunk, 1, UINT32_MAX));
    TRY(windows(c, chunk, 0, true));
    if (word(c, "layer_types", NULL) == NULL) /* the layers that turn are the chunked ones in every model */
        for (uint32_t i = 0; i < d->layer_count; i++)
            d->layers[i].chunk = d->layers[i].rope != MODEL_NO_ROPE ? (uint32_t)chunk : 0;
    if (!flag(c, "attn_temperature_tuning", NULL, true)) return TOLA_OK;
    TRY(finite_positive(c, "attn_scale", number(c, "attn_scale", NULL, 0.1), &d->position_beta));
    return finite_positive(c, "floor_scale", number(c, "floor_scale", NULL, 8192), &d->position_span);
}

static tola_status deepseek_routing(conf *c) {
    model_description *d = c->d;
    graph_routing *r = &d->routing;
    bool v3 = strcmp(d->family->name, "deepseek_v3") == 0;
    const char *scoring = tola_value_str(word(c, "scoring_func", NULL), v3 ? "sigmoid" : "softmax");
    r->sigmoid = d->gguf ? number(c, NULL, "expert_gating_func", 1) == 2 : strcmp(scoring, "sigmoid") == 0;
    if (!r->sigmoid && !d->gguf && strcmp(scoring, "softmax") != 0)
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: scoring_func %.60s is not known", scoring);
    const char *method = tola_value_str(word(c, "topk_method", NULL), v3 ? "noaux_tc" : "greedy");
    r->group_by_top2 = d->gguf ? r->sigmoid : strcmp(method, "noaux_tc") == 0;
    bool grouped = d->gguf || r->group_by_top2 || strcmp(method, "group_limited_greedy") == 0;
    if (!grouped && strcmp(method, "greedy") != 0)
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: topk_method %.60s is not known", method);
    uint32_t few = v3 && !d->gguf;
    TRY(count(c, "n_group", "expert_group_count", few ? 8 : 1, 0, d->experts, &r->groups));
    TRY(count(c, "topk_group", "expert_group_used_count", few ? 4 : 1, 0, d->experts, &r->groups_used));
    if (!grouped || r->groups <= 1) r->groups = r->groups_used = 0;
    if (r->groups != 0) {
        TRY(in_range(c, "topk_group", r->groups_used, 1, r->groups));
        if (d->experts % r->groups != 0)
            return FAIL(c, TOLA_E_FORMAT, "configuration: %u experts do not divide into %u groups", d->experts,
                        r->groups);
        uint32_t each = d->experts / r->groups;
        TRY(in_range(c, "experts for each token", r->used, 1, (uint64_t)each * r->groups_used));
        if (r->group_by_top2) TRY(in_range(c, "experts in a group", each, 2, d->experts));
    }
    /* V2's code in transformers leaves norm_topk_prob aside */
    r->normalize = d->gguf ? flag(c, NULL, "expert_weights_norm", false) : v3 && flag(c, "norm_topk_prob", NULL, true);
    d->routing_bias = d->gguf ? r->sigmoid : r->group_by_top2;
    double scale = number(c, "routed_scaling_factor", "expert_weights_scale", v3 ? 2.5 : 1);
    return finite_positive(c, "routed_scaling_factor", d->gguf && scale == 0 ? 1 : scale, &r->scale);
}

static tola_status describe_deepseek(conf *c) {
    model_description *d = c->d;
    if (word(c, "index_topk", "attention.indexer.top_k") != NULL)
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: sparse attention (index_topk) is not known");
    d->mixer = MODEL_LATENT_ATTENTION;
    const bool v3 = strcmp(d->family->name, "deepseek_v3") == 0;
    d->interleaved = !v3 || flag(c, "rope_interleave", NULL, true);
    d->latent_eps = d->gguf ? d->norm_eps : 1e-6f; /* transformers' DeepseekV3RMSNorm without an argument */
    d->qkv_bias = d->output_bias = said(c, "attention_bias", false);
    if (!v3 || d->gguf) d->feed_forward_bias = said(c, "mlp_bias", false);
    if (!d->gguf && c->h.experts != 0 && tola_value_get(c->h.text, "n_shared_experts") == NULL &&
        c->h.expert_feed_forward <= MAX_COLUMNS)
        c->h.shared_feed_forward = (v3 ? 1 : 2) * c->h.expert_feed_forward;
    TRY(count(c, "q_lora_rank", "attention.q_lora_rank", 0, 0, MAX_COLUMNS, &d->query_rank));
    TRY(count(c, "kv_lora_rank", "attention.kv_lora_rank", 512, 1, MAX_COLUMNS, &d->kv_rank));
    TRY(count(c, "qk_rope_head_dim", "rope.dimension_count", 64, 2, 1u << 16, &d->rope_dim));
    uint64_t value = integer(c, NULL, "attention.value_length", 128);
    TRY(count(c, "v_head_dim", "attention.value_length_mla", value, 1, 1u << 16, &d->value_dim));
    TRY(in_range(c, "width of a head", d->key_dim, d->rope_dim + 1u, 1u << 16));
    d->nope_dim = d->key_dim - d->rope_dim;
    d->kv_heads = d->heads; /* keys and values of each head are unfolded from the common rank */
    if (d->gguf && c->h.shared_feed_forward == 0)
        c->h.shared_feed_forward = c->h.shared_experts <= MAX_COLUMNS && c->h.expert_feed_forward <= MAX_COLUMNS
                                       ? c->h.shared_experts * c->h.expert_feed_forward
                                       : UINT64_MAX;
    uint64_t step = integer(c, "moe_layer_freq", NULL, 1);
    TRY(experts(c, step, NULL));
    return d->experts != 0 ? deepseek_routing(c) : TOLA_OK;
}

static tola_status describe_gpt_oss(conf *c) {
    model_description *d = c->d;
    d->sinks = d->router_bias = d->expert_bias = true;
    d->qkv_bias = d->output_bias = said(c, "attention_bias", true);
    d->feed_forward_norm = "post_attention_norm";
    if (number(c, "swiglu_alpha", NULL, 1.702) != 1.702)
        return FAIL(c, TOLA_E_UNSUPPORTED, "configuration: a swiglu_alpha other than 1.702 is not known");
    TRY(finite_positive(c, "swiglu_limit", number(c, "swiglu_limit", NULL, 7), &d->gate_clamp));
    if (d->gguf) c->h.rope_whole_steps = false; /* as the models were trained */
    TRY(experts(c, 1, NULL));
    d->routing.softmax_chosen = true;
    return windows(c, c->h.sliding_window, 2, false);
}

typedef struct mapper {
    const char *family;
    tola_status (*describe)(conf *c);
} mapper;

/* clang-format off */
static const mapper mappers[] = {
    { "llama", describe_llama },
    { "mistral", describe_mistral },
    { "mistral3", describe_mistral3 },
    { "mixtral", describe_mixtral },
    { "qwen2", describe_qwen2 },
    { "qwen2_moe", describe_qwen2 },
    { "qwen2_vl", describe_qwen2 },
    { "qwen3", describe_qwen3 },
    { "qwen3_moe", describe_qwen3 },
    { "qwen3_vl", describe_qwen3 },
    { "gemma", describe_gemma },
    { "gemma2", describe_gemma2 },
    { "gemma3", describe_gemma3 },
    { "phi3", describe_phi3 },
    { "smollm3", describe_smollm3 },
    { "gpt2", describe_gpt2 },
    { "olmoe", describe_olmoe },
    { "llama4", describe_llama4 },
    { "deepseek_v2", describe_deepseek },
    { "deepseek_v3", describe_deepseek },
    { "gpt_oss", describe_gpt_oss },
    { "bert", describe_bert },
    { "roberta", describe_bert },
};
/* clang-format on */

/* ---- together ---- */

/* What must hold whatever the mapper did. */
static tola_status check(const conf *c) {
    const model_description *d = c->d;
    if (d->heads % d->kv_heads != 0)
        return FAIL(c, TOLA_E_FORMAT, "configuration: %u heads do not divide among %u key heads", d->heads,
                    d->kv_heads);
    if ((uint64_t)d->heads * d->value_dim > MAX_COLUMNS || (uint64_t)d->kv_heads * d->value_dim > MAX_COLUMNS)
        return FAIL(c, TOLA_E_FORMAT, "configuration: %u heads of %u columns are too many", d->heads, d->value_dim);
    for (uint32_t i = 0; i < d->layer_count; i++)
        if (d->layers[i].feed_forward == 0 && d->experts == 0)
            return FAIL(c, TOLA_E_FORMAT, "configuration: layer %u has neither a feed-forward width nor experts", i);
    const struct {
        const char *tensor, *what;
        uint64_t said;
    } tables[] = { { "token_embd.weight", "vocabulary", d->vocabulary },
                   { "position_embd.weight", "context", d->positions } };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        uint64_t rows = tables[i].said != 0 ? rows_of(c, tables[i].tensor) : 0;
        if (rows != 0 && rows != tables[i].said)
            return FAIL(c, TOLA_E_FORMAT, "configuration: %s is %llu, but the table has %llu rows", tables[i].what,
                        (unsigned long long)tables[i].said, (unsigned long long)rows);
    }
    return TOLA_OK;
}

static bool turns(const model_description *d) {
    for (uint32_t i = 0; i < d->layer_count; i++)
        if (d->layers[i].rope != MODEL_NO_ROPE) return true;
    return false;
}

static tola_status describe(conf *c, const mapper *m) {
    if (!c->d->gguf) families_hyper_defaults(c->d->family, &c->h);
    TRY(typed(c));
    TRY(common(c));
    TRY(m->describe(c));
    TRY(misread_words(c));
    if (turns(c->d)) TRY(ropes(c));
    return check(c);
}

static const mapper *mapper_of(const family *f) {
    for (size_t i = 0; f != NULL && i < sizeof mappers / sizeof mappers[0]; i++)
        if (strcmp(mappers[i].family, f->name) == 0) return &mappers[i];
    return NULL;
}

/* Names the file that says it: config.json beside the weights, or the weights themselves. */
static tola_status of_file(const tola_checkpoint *ck, bool beside, tola_status status, tola_error *err) {
    if (tola_checkpoint_file_count(ck) == 0) return status;
    const char *first = tola_checkpoint_file(ck, 0)->path;
    if (!beside) return err_in_file(err, status, first);
    buf path;
    buf_init(&path, 0);
    buf_append(&path, first, (size_t)(path_last(first) - first));
    buf_append(&path, "config.json", sizeof "config.json");
    status = err_in_file(err, status, path.failed ? "config.json" : (const char *)path.data);
    buf_free(&path);
    return status;
}

/* A config.json that cannot be read was a warning when the checkpoint was opened; here nothing goes on without it. */
static tola_status without_config(const tola_checkpoint *ck, const family *f, tola_error *err) {
    void *text;
    size_t bytes;
    tola_status status = tola_checkpoint_companion(ck, "config.json", &text, &bytes, err);
    if (status == TOLA_E_NOT_FOUND)
        return of_file(ck, false, err_set(err, status, TOLA_NO_OFFSET, "%s without a config.json", f->name), err);
    if (status != TOLA_OK) return status;
    arena room;
    tola_value value;
    arena_init(&room, MAX_ARENA);
    status = json_parse(text, bytes, &room, &value, err);
    arena_free(&room);
    mem_free(text);
    if (status == TOLA_OK) status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "configuration: no JSON object");
    return of_file(ck, true, status, err);
}

tola_status model_describe(const tola_checkpoint *ck, size_t context, model_description **out, tola_error *err) {
    const family *f = families_detect(ck);
    const mapper *m = mapper_of(f);
    struct misread misread = { .value = NULL };
    conf c = {
        .ck = ck, .metadata = tola_checkpoint_metadata(ck), .context = context, .misread = &misread, .err = err
    };
    if (m == NULL && f != NULL)
        return of_file(ck, false, err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "models of %s cannot be run yet",
                                          f->name), err);
    if (m == NULL)
        return of_file(ck, false, err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                                   "not a language model of a known architecture"), err);
    /* names of tensors tell a family where nothing else does, but not against a word that is not known: architectures
       that share Llama's names and not its formulas are many */
    const tola_value *config = tola_checkpoint_config(ck);
    const char *type = tola_value_str(tola_value_get(config, "model_type"), NULL);
    if (type != NULL && families_by_config(config) == NULL &&
        tola_value_get(c.metadata, "general.architecture") == NULL)
        return of_file(ck, true, err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                                  "configuration: models of type %.60s are not known", type), err);
    if (!families_hyper_of(ck, &c.h))
        return without_config(ck, f, err);
    model_description *d = mem_calloc(1, sizeof *d);
    if (d == NULL) return err_nomem(err, "describing a model");
    arena_init(&d->arena, MAX_ARENA);
    d->family = f;
    c.d = d;
    c.arch = tola_value_str(tola_value_get(c.metadata, "general.architecture"), NULL);
    d->gguf = c.arch != NULL;
    tola_status status = describe(&c, m);
    if (status != TOLA_OK) {
        model_description_free(d);
        return of_file(ck, config != NULL, status, err);
    }
    *out = d;
    return TOLA_OK;
}

void model_description_free(model_description *d) {
    if (d == NULL) return;
    arena_free(&d->arena);
    mem_free(d);
}
