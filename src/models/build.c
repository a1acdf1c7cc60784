/* One builder for every description: from token ids to logits, or to hidden states.
 *
 * Reads as the formulas do; a missing or misshapen weight is recorded in the graph and comes out of graph_finish. */
#include "base/err.h"
#include "graph/train.h"
#include "models/models.h"

#include <stdio.h>
#include <string.h>

#define NO_LAYER UINT32_MAX

typedef struct build {
    graph *g;
    const model_description *d;
    model_weights *w;
    model_adapter *const *adapters;
    size_t adapter_count;
    uint32_t layer;
} build;

/* Which rows of a fused matrix a product takes, where the file has that one. */
typedef struct part {
    const char *of; /* "attn_qkv"; NULL: stands alone */
    uint64_t first, rows;
} part;
static const part alone = { NULL, 0, 0 };

static const graph_weight *get(build *b, const model_want *want) {
    const graph_weight *weight = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (graph_failed(b->g)) return NULL;
    tola_status status = model_weight(b->w, want, &weight, &err);
    if (status != TOLA_OK) graph_fail(b->g, status, "%s", err.message);
    return weight;
}

/* Wants `name`.`kind` ("attn_q", "weight"); the words live in the caller's frame. */
typedef struct words {
    char word[48], fused[48];
} words;

static model_want wanted(const build *b, words *t, const char *name, const char *kind, part p, uint64_t rows,
                         uint64_t cols) {
    snprintf(t->word, sizeof t->word, "%s.%s", name, kind);
    if (p.of != NULL) snprintf(t->fused, sizeof t->fused, "%s.%s", p.of, kind);
    return (model_want){ .word = t->word,
                         .layer = b->layer,
                         .rows = rows,
                         .cols = cols,
                         .parts = 1,
                         .fused = p.of != NULL ? t->fused : NULL,
                         .fused_first = p.first,
                         .fused_rows = p.rows };
}

/* A vector of f32. */
static const graph_weight *vector(build *b, const char *name, const char *kind, part p, uint64_t n, bool optional) {
    words t;
    model_want want = wanted(b, &t, name, kind, p, 1, n);
    want.exact = true;
    want.optional = optional;
    return get(b, &want);
}

static const graph_weight *bias_of(build *b, const char *name, part p, uint64_t n, model_bias bias) {
    return bias == MODEL_BIAS_NONE ? NULL : vector(b, name, "bias", p, n, bias == MODEL_BIAS_IF_THERE);
}

/* The same of magnitudes that are learned, lengths being those of the present weights. */
static graph_value learned_dora(build *b, model_adapter *adapter, const model_pair *p, const graph_weight *weight,
                                graph_value y, graph_value change) {
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = model_adapter_begin(adapter, p, weight, &err);
    if (status == TOLA_OK && p->magnitudes == NULL)
        status = err_set(&err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "magnitudes that are given are not learned");
    if (status != TOLA_OK) {
        graph_fail(b->g, status, "%s", err.message);
        return GRAPH_NONE;
    }
    change = graph_dora(b->g, weight, p->down, p->up, p->scale, p->magnitudes, NULL, y, change);
    return graph_add(b->g, change, graph_scale(b->g, -1, y));
}

/* What an adapter adds to a product y without bias: scale B (A x); with magnitudes (c - 1) y + c scale B (A x), c being
 * the magnitude over the length of the changed row. What adapters before it added is part of y, as in peft
 * (tuners/lora/variants.py): the order of adapters matters to one with magnitudes. */
static graph_value change_of(build *b, model_adapter *adapter, const model_pair *p, const graph_weight *weight,
                             graph_value x, graph_value y) {
    if (p->dropout > 0) x = graph_dropout(b->g, p->dropout, x);
    graph_value change = graph_linear(b->g, p->up, NULL, graph_linear(b->g, p->down, NULL, x));
    change = graph_scale(b->g, p->scale, change);
    if (p->magnitude == NULL || graph_failed(b->g)) return change;
    if (graph_is_training(b->g)) return learned_dora(b, adapter, p, weight, y, change);
    const graph_weight *lengths = NULL;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = model_adapter_lengths(adapter, p, weight, &lengths, &err);
    if (status != TOLA_OK) graph_fail(b->g, status, "%s", err.message);
    if (status != TOLA_OK) return GRAPH_NONE;
    graph_value c = graph_embed_constant(b->g, lengths, 0);
    if (graph_has_output_rows(b->g, y)) c = graph_output_rows(b->g, c);
    change = graph_multiply(b->g, graph_add(b->g, y, change), c);
    return graph_add(b->g, change, graph_scale(b->g, -1, y));
}

/* The product with a weight, and with every adapter that has a pair for it. */
static graph_value product(build *b, const model_want *want, const graph_weight *weight, const graph_weight *bias,
                           graph_value x) {
    graph_value changes = GRAPH_NONE, plain = GRAPH_NONE;
    for (size_t i = 0; i < b->adapter_count && !graph_failed(b->g); i++) {
        model_pair p;
        tola_error err = TOLA_ERROR_INIT;
        tola_status status = model_adapter_find(b->adapters[i], want, &p, &err);
        if (status != TOLA_OK) graph_fail(b->g, status, "%s", err.message);
        if (status != TOLA_OK || p.down == NULL) continue;
        if (p.magnitude != NULL && plain == GRAPH_NONE) plain = graph_linear(b->g, weight, NULL, x);
        bool longer = p.magnitude != NULL && changes != GRAPH_NONE;
        graph_value y = longer ? graph_add(b->g, plain, changes) : plain;
        graph_value change = change_of(b, b->adapters[i], &p, weight, x, y);
        changes = changes == GRAPH_NONE ? change : graph_add(b->g, changes, change);
    }
    graph_value sum = graph_linear(b->g, weight, bias, x);
    return changes == GRAPH_NONE ? sum : graph_add(b->g, sum, changes);
}

static graph_value linear(build *b, const char *name, part p, uint64_t rows, model_bias bias, graph_value x) {
    words t;
    model_want want = wanted(b, &t, name, "weight", p, rows, graph_cols(b->g, x));
    const graph_weight *weight = get(b, &want);
    return product(b, &want, weight, bias_of(b, name, p, rows, bias), x);
}

static graph_value norm(build *b, const char *name, graph_value x) {
    const model_description *d = b->d;
    uint32_t n = graph_cols(b->g, x);
    const graph_weight *scale = vector(b, name, "weight", alone, n, false);
    if (d->norm == MODEL_NORM_RMS) return graph_rms_norm(b->g, scale, d->norm_offset, 0, d->norm_eps, x);
    return graph_layer_norm(b->g, scale, vector(b, name, "bias", alone, n, false), d->norm_eps, x);
}

/* ---- attention ---- */

static graph_value turned(build *b, uint32_t head_dim, uint32_t first, graph_value x) {
    uint8_t which = b->d->layers[b->layer].rope;
    if (which == MODEL_NO_ROPE) return x;
    const model_rope *r = &b->d->rope[which];
    graph_rope rope = { .frequency = r->frequency,
                        .rotated = r->rotated,
                        .first = first,
                        .interleaved = b->d->interleaved,
                        .magnitude = r->magnitude };
    return graph_rotate(b->g, &rope, head_dim, x);
}

/* A query's or key's way from its product to the other's. */
static graph_value prepared(build *b, const char *norm_name, graph_value x) {
    const model_description *d = b->d;
    uint32_t dim = d->key_dim, n = graph_cols(b->g, x);
    if (d->qk_norm == MODEL_QK_HEAD)
        x = graph_rms_norm(b->g, vector(b, norm_name, "weight", alone, dim, false), d->norm_offset, dim, d->norm_eps,
                           x);
    else if (d->qk_norm == MODEL_QK_ALL)
        x = graph_rms_norm(b->g, vector(b, norm_name, "weight", alone, n, false), d->norm_offset, 0, d->norm_eps, x);
    x = turned(b, dim, 0, x);
    if (d->qk_norm == MODEL_QK_LENGTH && d->layers[b->layer].rope != MODEL_NO_ROPE)
        x = graph_rms_norm(b->g, NULL, 0, dim, d->norm_eps, x);
    return x;
}

static graph_value attend(build *b, graph_value q, graph_value k, graph_value v) {
    const model_description *d = b->d;
    const model_layer *l = &d->layers[b->layer];
    if (d->position_span > 0 && l->rope == MODEL_NO_ROPE)
        q = graph_position_scale(b->g, d->position_beta, d->position_span, q);
    graph_attention a = { .heads = d->heads,
                          .kv_heads = d->kv_heads,
                          .key_dim = d->key_dim,
                          .value_dim = d->value_dim,
                          .scale = d->attention_scale / (float)(d->scale_by_layer ? b->layer + 1 : 1),
                          .softcap = d->attention_cap,
                          .window = l->window,
                          .chunk = l->chunk,
                          .bidirectional = d->encoder };
    if (d->sinks) a.sinks = vector(b, "attn_sinks", "weight", alone, d->heads, false);
    graph_value y = graph_attend(b->g, &a, q, k, v);
    return linear(b, "attn_output", alone, d->width, d->output_bias, y);
}

/* y: what queries are made of, x or the outputs' rows of it. */
static graph_value attention(build *b, graph_value y, graph_value x) {
    const model_description *d = b->d;
    uint64_t q_rows = (uint64_t)d->heads * d->key_dim, k_rows = (uint64_t)d->kv_heads * d->key_dim;
    uint64_t v_rows = (uint64_t)d->kv_heads * d->value_dim, all = q_rows + k_rows + v_rows;
    graph_value q = linear(b, "attn_q", (part){ "attn_qkv", 0, all }, q_rows, d->qkv_bias, y);
    graph_value k = linear(b, "attn_k", (part){ "attn_qkv", q_rows, all }, k_rows, d->qkv_bias, x);
    graph_value v = linear(b, "attn_v", (part){ "attn_qkv", q_rows + k_rows, all }, v_rows, d->qkv_bias, x);
    return attend(b, prepared(b, "attn_q_norm", q), prepared(b, "attn_k_norm", k), v);
}

static graph_value rank_norm(build *b, const char *name, graph_value x) {
    const graph_weight *scale = vector(b, name, "weight", alone, graph_cols(b->g, x), false);
    return graph_rms_norm(b->g, scale, 0, 0, b->d->latent_eps, x);
}

/* Multi-head latent attention, arXiv 2405.04434 section 2.1: keys and values of all heads unfold from one row of
 * kv_rank columns; rope_dim columns of the key are common to all heads and are the only ones that turn. */
static graph_value latent_attention(build *b, graph_value y, graph_value x) {
    const model_description *d = b->d;
    uint64_t q_rows = (uint64_t)d->heads * d->key_dim;
    graph_value q = y;
    if (d->query_rank != 0)
        q = rank_norm(b, "attn_q_a_norm", linear(b, "attn_q_a", alone, d->query_rank, d->qkv_bias, y));
    q = linear(b, d->query_rank != 0 ? "attn_q_b" : "attn_q", alone, q_rows, MODEL_BIAS_NONE, q);
    q = turned(b, d->key_dim, d->nope_dim, q);
    graph_value both = linear(b, "attn_kv_a_mqa", alone, (uint64_t)d->kv_rank + d->rope_dim, d->qkv_bias, x);
    graph_value rank = rank_norm(b, "attn_kv_a_norm", graph_columns(b->g, both, 0, 0, d->kv_rank));
    graph_value shared = turned(b, d->rope_dim, 0, graph_columns(b->g, both, 0, d->kv_rank, d->rope_dim));
    uint32_t each = d->nope_dim + d->value_dim;
    graph_value kv = linear(b, "attn_kv_b", alone, (uint64_t)d->heads * each, MODEL_BIAS_NONE, rank);
    graph_value k = graph_join(b->g, d->heads, graph_columns(b->g, kv, each, 0, d->nope_dim), shared, true);
    return attend(b, q, k, graph_columns(b->g, kv, each, d->nope_dim, d->value_dim));
}

/* ---- feed-forward ---- */

static graph_value gated(build *b, graph_value gate, graph_value up) {
    return graph_gated(b->g, b->d->activation, b->d->gate_clamp, gate, up);
}

/* down f(gate x) * up x, or down f(up x). */
static graph_value dense(build *b, const char *gate_name, const char *up_name, const char *down_name, uint64_t width,
                         graph_value x) {
    const model_description *d = b->d;
    const char *fused = d->fused_gate ? up_name : NULL;
    graph_value up = linear(b, up_name, (part){ fused, width, 2 * width }, width, d->feed_forward_bias, x);
    if (d->gated)
        up = gated(b, linear(b, gate_name, (part){ fused, 0, 2 * width }, width, d->feed_forward_bias, x), up);
    else
        up = graph_apply(b->g, d->activation, up);
    return linear(b, down_name, alone, d->width, d->feed_forward_bias, up);
}

/* One matrix of every expert. */
static graph_value expert_linear(build *b, const char *name, part p, uint64_t rows, bool weigh, graph_value route,
                                 graph_value x) {
    const model_description *d = b->d;
    words t;
    model_want want = wanted(b, &t, name, "weight", p, rows, graph_cols(b->g, x));
    want.parts = d->experts;
    const graph_weight *weight = get(b, &want), *bias = NULL;
    if (d->expert_bias) {
        want = wanted(b, &t, name, "bias", p, d->experts, rows);
        want.exact = true;
        bias = get(b, &want);
    }
    return graph_expert_linear(b->g, weight, bias, weigh, route, x);
}

static graph_value router(build *b, graph_value x) {
    const model_description *d = b->d;
    words t;
    model_want want = wanted(b, &t, "ffn_gate_inp", "weight", alone, d->experts, d->width);
    want.exact = true;
    const graph_weight *weight = get(b, &want);
    const graph_weight *bias = d->router_bias ? vector(b, "ffn_gate_inp", "bias", alone, d->experts, false) : NULL;
    graph_routing routing = d->routing;
    if (d->routing_bias) routing.bias = vector(b, "exp_probs_b", "bias", alone, d->experts, d->gguf);
    return graph_route(b->g, &routing, graph_linear(b->g, weight, bias, x));
}

static graph_value shared_expert(build *b, graph_value x) {
    const model_description *d = b->d;
    graph_value y = dense(b, "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp", d->shared_feed_forward, x);
    if (!d->shared_gate) return y;
    const graph_weight *gate = vector(b, "ffn_gate_inp_shexp", "weight", alone, d->width, false);
    return graph_multiply(b->g, y, graph_apply(b->g, GRAPH_SIGMOID, graph_linear(b->g, gate, NULL, x)));
}

static graph_value mixture(build *b, graph_value x) {
    const model_description *d = b->d;
    uint64_t n = d->expert_feed_forward;
    graph_value route = router(b, x);
    graph_value gate =
        expert_linear(b, "ffn_gate_exps", (part){ "ffn_gate_up_exps", 0, 2 * n }, n, d->weigh_input, route, x);
    graph_value up =
        expert_linear(b, "ffn_up_exps", (part){ "ffn_gate_up_exps", n, 2 * n }, n, d->weigh_input, route, x);
    graph_value down = expert_linear(b, "ffn_down_exps", alone, d->width, false, route, gated(b, gate, up));
    graph_value y = graph_expert_sum(b->g, !d->weigh_input, route, down);
    return d->shared_feed_forward != 0 ? graph_add(b->g, y, shared_expert(b, x)) : y;
}

/* ---- the whole ---- */

static graph_value embedding(build *b, const graph_weight **table) {
    const model_description *d = b->d;
    words t;
    b->layer = NO_LAYER;
    model_want want = wanted(b, &t, "token_embd", "weight", alone, d->vocabulary, d->width);
    *table = get(b, &want);
    graph_value x = graph_embed(b->g, *table, d->embedding_scale);
    if (d->token_types != 0) {
        want = wanted(b, &t, "token_types", "weight", alone, d->token_types, d->width);
        x = graph_add(b->g, x, graph_embed_constant(b->g, get(b, &want), 0));
    }
    if (d->positions != 0) {
        want = wanted(b, &t, "position_embd", "weight", alone, d->positions, d->width);
        x = graph_add(b->g, x, graph_embed_position(b->g, get(b, &want), d->position_offset));
    }
    return d->embedding_norm ? norm(b, "token_embd_norm", x) : x;
}

/* `last`: nothing behind it needs other rows than the outputs, and so nothing of itself but keys and values does; in
 * training, whose attention is over the batch's own rows, nothing behind attention. */
static graph_value one_layer(build *b, bool last, graph_value x) {
    const model_description *d = b->d;
    const bool early = last && !graph_is_training(b->g);
    const graph_value all = d->norm_after ? x : norm(b, "attn_norm", x);
    graph_value y = early ? graph_output_rows(b->g, all) : all;
    y = d->mixer == MODEL_LATENT_ATTENTION ? latent_attention(b, y, all) : attention(b, y, all);
    if (d->norm_both) y = norm(b, "post_attention_norm", y);
    if (early) x = graph_output_rows(b->g, x);
    x = graph_add(b->g, x, y);
    if (last && !early) x = graph_output_rows(b->g, x);
    if (d->norm_after) x = norm(b, "attn_output_norm", x);
    y = d->norm_after ? x : norm(b, d->feed_forward_norm, x);
    uint32_t width = d->layers[b->layer].feed_forward;
    y = width != 0 ? dense(b, "ffn_gate", "ffn_up", "ffn_down", width, y) : mixture(b, y);
    if (d->norm_both) y = norm(b, "post_ffw_norm", y);
    x = graph_add(b->g, x, y);
    return d->norm_after ? norm(b, "layer_output_norm", x) : x;
}

static graph_value logits(build *b, const graph_weight *table, graph_value x) {
    const model_description *d = b->d;
    words t;
    model_want want = wanted(b, &t, "output", "weight", alone, d->vocabulary, d->width);
    const graph_weight *weight = d->tied ? table : get(b, &want);
    graph_value y = product(b, &want, weight, NULL, x);
    return d->output_cap > 0 ? graph_softcap(b->g, d->output_cap, y) : y;
}

static graph_value whole(build *b, bool hidden) {
    const model_description *d = b->d;
    const graph_weight *table = NULL;
    graph_value x = embedding(b, &table);
    for (uint32_t i = 0; i < d->layer_count && !graph_failed(b->g); i++) {
        b->layer = i;
        graph_layer(b->g, x);
        x = one_layer(b, !hidden && i + 1 == d->layer_count, x);
    }
    b->layer = NO_LAYER;
    graph_layer(b->g, x);
    if (d->encoder) return x;
    x = norm(b, "output_norm", x);
    return hidden ? x : logits(b, table, x);
}

graph_value model_append(graph *g, const model_description *d, model_weights *w, model_adapter *const *adapters,
                         size_t count, bool hidden) {
    build b = { .g = g, .d = d, .w = w, .adapters = adapters, .adapter_count = count };
    graph_value y = whole(&b, hidden || d->encoder);
    for (size_t i = 0; i < count && !graph_failed(g); i++) {
        const char *file, *left = model_adapter_unused(adapters[i], &file);
        if (left != NULL) graph_fail(g, TOLA_E_FORMAT, "%s: tensor '%s': the model has no such weight", file, left);
    }
    return y;
}

tola_status model_build(const model_description *d, model_weights *w, model_adapter *const *adapters, size_t count,
                        bool hidden, graph **out, tola_error *err) {
    graph *g;
    TRY(graph_create(&g, err));
    graph_value y = model_append(g, d, w, adapters, count, hidden);
    tola_status status = graph_finish(g, &y, 1, err);
    if (status != TOLA_OK) {
        graph_free(g);
        return status;
    }
    model_weights_keep(w);
    *out = g;
    return TOLA_OK;
}
