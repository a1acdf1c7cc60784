/* Language models of the common kind: embedding, layers of attention and feed-forward, a head. What sets families apart
 * is a row of shape_recipes.c; attention without a row of its own comes from shape_mixers.c and shape_special.c. */
#include "policy/shape_build.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEADS "num_attention_heads n_head n_heads num_heads attention_heads"

/* A bias that a row names: "1", or keys of which the first that is there says so. */
static bool bias_of(shape_build *b, const char *keys) {
    if (keys == NULL) return false;
    return strcmp(keys, "1") == 0 || word_bool(b, keys, false);
}

/* ---- parts ---- */

void part_norm(shape_build *b, shape_norm kind, uint64_t count, uint64_t width) {
    if (kind == NORM_NONE) return;
    for (uint64_t i = 0; i < count; i++) piece_plain(b, PIECE_NORM, shape_times(b, width, kind == NORM_BIAS ? 2 : 1));
}

static void matrix(shape_build *b, piece_part part, const char *name, uint64_t count, uint64_t rows, uint64_t cols,
                   bool bias) {
    piece(b, part, name, count, rows, cols);
    if (!bias || !shape_ok(b)) return;
    if (part == PIECE_EXPERT) {
        b->now.expert = shape_plus(b, b->now.expert, rows);
    } else
        piece_plain(b, part, shape_times(b, count, rows));
}

void part_feed_forward(shape_build *b, piece_part part, const char *module, uint64_t count, uint64_t width, uint64_t ff,
                       bool gated, bool bias) {
    char name[96];
    if (gated) {
        snprintf(name, sizeof name, "%s.gate_proj", module);
        matrix(b, part, name, count, ff, width, bias);
    }
    snprintf(name, sizeof name, "%s.up_proj", module);
    matrix(b, part, name, count, ff, width, bias);
    snprintf(name, sizeof name, "%s.down_proj", module);
    matrix(b, part, name, count, width, ff, bias);
}

/* Every how many layers one sees everything; 0: no such rule. */
static uint64_t window_pattern(shape_build *b) {
    if (word_in("gemma2 gpt_oss", b->model_type)) return 2;
    if (word_in("gemma3_text gemma3", b->model_type)) return word_count(b, "sliding_window_pattern", 1024, 6);
    if (word_in("olmo3 cohere2 exaone4", b->model_type)) {
        const tola_value *v = families_find(b->text, "sliding_window_pattern");
        if (v != NULL && v->kind == TOLA_VALUE_STRING) return v->as.string.length ? v->as.string.length : 4;
        return word_count(b, "sliding_window_pattern", 1024, 4);
    }
    return 0;
}

/* What a layer sees, where the list of layers does not say: the rules of the families' classes. */
static void window_by_rule(shape_build *b, const decoder *d, uint32_t layer, shape_memory *memory, uint64_t *window) {
    const uint64_t pattern = window_pattern(b);
    if (d->window == 0) return;
    if (pattern > 0) {
        if ((layer + 1) % pattern == 0) return;
    } else if (families_find(b->text, "use_sliding_window") != NULL ||
               word_in("qwen2 qwen3 qwen2_moe qwen3_moe", b->model_type)) {
        if (!word_bool(b, "use_sliding_window", false)) return;
        if (layer < word_count(b, "max_window_layers", SHAPE_MOST_LAYERS, 0)) return;
    }
    *memory = SHAPE_MEMORY_WINDOW;
    *window = d->window;
}

/* Llama 4: layers with rotary positions see their chunk only (every fourth has neither). */
static void window_by_chunk(shape_build *b, const decoder *d, uint32_t layer, uint64_t chunk, shape_memory *memory,
                            uint64_t *window) {
    const tola_value *v = families_find(b->text, "no_rope_layers");
    bool rotated = (layer + 1) % 4 != 0;
    if (v != NULL && v->kind == TOLA_VALUE_ARRAY && v->as.array.count > 0)
        rotated = word_item(b, "no_rope_layers", layer, d->layers, 1, 1) != 0;
    if (!rotated) return;
    *memory = SHAPE_MEMORY_WINDOW;
    *window = chunk;
}

static void layer_windows(shape_build *b, const decoder *d, uint32_t layer, shape_memory *memory, uint64_t *window) {
    *memory = d->r->flags & ENCODER ? SHAPE_MEMORY_NONE : SHAPE_MEMORY_FULL;
    *window = 0;
    if (*memory == SHAPE_MEMORY_NONE) return;
    const char *kind = word_item_text(b, "layer_types", layer, d->layers);
    const uint64_t chunk = word_count(b, "attention_chunk_size", UINT32_MAX, 0);
    if (kind == NULL && word_in("llama4 llama4_text", b->model_type) && chunk > 0)
        window_by_chunk(b, d, layer, chunk, memory, window);
    else if (kind == NULL && strcmp(b->model_type, "gpt_neo") == 0) {
        if (layer % 2 == 0) return;
        *memory = SHAPE_MEMORY_WINDOW;
        *window = word_count(b, "window_size", UINT32_MAX, 256);
    } else if (kind == NULL)
        window_by_rule(b, d, layer, memory, window);
    else if (strcmp(kind, "sliding_attention") == 0 || strcmp(kind, "chunked_attention") == 0) {
        const uint64_t n = kind[0] == 'c' && chunk > 0 ? chunk : d->window;
        if (n == 0) {
            shape_fail(b, TOLA_E_FORMAT, "layer_types has %s, but sliding_window says no width", kind);
            return;
        }
        *memory = SHAPE_MEMORY_WINDOW;
        *window = n;
    }
}

void part_memory(shape_build *b, const decoder *d, uint32_t layer, uint64_t heads, uint64_t kv_heads, uint64_t key,
                 uint64_t value) {
    shape_layers *l = &b->now;
    l->heads = heads;
    l->kv_heads = kv_heads;
    l->head_key = key;
    l->head_value = value;
    layer_windows(b, d, layer, &l->memory, &l->window);
    if (l->memory == SHAPE_MEMORY_NONE) return;
    l->key_width = shape_times(b, kv_heads, key);
    l->value_width = shape_times(b, kv_heads, value);
}

/* MiniMax-M3's choice of blocks: a query and a key of its own, in layers that the list names. */
static void part_blocks_index(shape_build *b, const decoder *d, uint32_t layer) {
    const uint64_t heads = word_count(b, "sparse_attention_config.sparse_num_index_heads", SHAPE_MOST_WIDTH, 0),
                   dim = word_count(b, "sparse_attention_config.sparse_index_dim", SHAPE_MOST_WIDTH, 0);
    if (heads == 0 || dim == 0) return;
    if (word_item(b, "sparse_attention_config.sparse_attention_freq", layer, d->layers, UINT32_MAX, 1) == 0) return;
    piece(b, PIECE_ATTENTION, "self_attn.indexer.q_proj", 1, shape_times(b, heads, dim), d->width);
    piece(b, PIECE_ATTENTION, "self_attn.indexer.k_proj", 1, dim, d->width);
    part_norm(b, NORM_WEIGHT, 2, dim);
    b->now.key_width = shape_plus(b, b->now.key_width, dim);
}

void part_attention(shape_build *b, const decoder *d, uint32_t layer) {
    const uint64_t q = shape_times(b, d->heads, d->head_dim), k = shape_times(b, d->kv_heads, d->head_dim),
                   v = shape_times(b, d->kv_heads, d->value_dim), o = shape_times(b, d->heads, d->value_dim);
    const uint64_t gate = d->r->flags & GATED_QUERY && word_bool(b, "attn_output_gate", true) ? 2 : 1;
    matrix(b, PIECE_ATTENTION, "self_attn.q_proj", 1, shape_times(b, q, gate), d->width, d->qkv_bias);
    matrix(b, PIECE_ATTENTION, "self_attn.k_proj", 1, k, d->width, d->qkv_bias);
    matrix(b, PIECE_ATTENTION, "self_attn.v_proj", 1, v, d->width, d->qkv_bias);
    matrix(b, PIECE_ATTENTION, "self_attn.o_proj", 1, d->width, o, d->out_bias);
    if (d->r->qk == QK_HEAD)
        part_norm(b, NORM_WEIGHT, 2, d->head_dim);
    else if (d->r->qk == QK_HEAD_BIAS && word_bool(b, "qk_layernorm", true))
        part_norm(b, NORM_BIAS, 2, d->head_dim);
    else if (d->r->qk == QK_WIDE)
        part_norm(b, NORM_WEIGHT, 1, shape_plus(b, q, k));
    if (d->r->qk == QK_NONE && word_bool(b, "use_qk_norm", false)) { /* GLM-4.5; Cohere's differ from head to head */
        const bool cohere = strcmp(b->model_type, "cohere") == 0;
        if (strcmp(b->model_type, "glm4_moe") == 0 || cohere)
            part_norm(b, NORM_WEIGHT, 1, cohere ? shape_plus(b, q, k) : 2 * d->head_dim);
    }
    if (d->r->qk == QK_NONE && word_bool(b, "qk_layernorm", false)) {
        if (strcmp(b->model_type, "phi") == 0) part_norm(b, NORM_BIAS, 2, d->head_dim);
        if (strcmp(b->model_type, "stablelm") == 0) part_norm(b, NORM_WEIGHT, 1, shape_plus(b, q, k));
    }
    if (d->r->flags & INNER_NORMS) part_norm(b, NORM_WEIGHT, 1, shape_plus(b, o, d->feed_forward));
    if (d->r->flags & DIFFERENTIAL) piece_plain(b, PIECE_ATTENTION, 4 * d->head_dim);
    if (d->r->flags & LEARNED_ACTIVATION) piece_plain(b, PIECE_DENSE, 2);
    if (d->r->flags & SINKS) piece_plain(b, PIECE_ATTENTION, d->heads);
    b->now.queries = shape_times(b, d->width, shape_plus(b, shape_times(b, q, gate), o));
    part_memory(b, d, layer, d->heads, d->kv_heads, d->head_dim, d->value_dim);
    part_blocks_index(b, d, layer);
}

/* DeepSeek's sparse attention: a small scorer of its own whose keys are kept, too (DeepSeek-V3.2-Exp). Shared between
 * layers where indexer_types says "shared" (GLM-5.2). */
static void part_indexer(shape_build *b, const decoder *d, uint64_t query_rank) {
    const uint64_t heads = word_count(b, "index_n_heads", SHAPE_MOST_WIDTH, 0),
                   dim = word_count(b, "index_head_dim", SHAPE_MOST_WIDTH, 0);
    if (heads == 0 || dim == 0) return;
    const char *kind = word_item_text(b, "indexer_types", b->layer, d->layers);
    if (kind != NULL && strcmp(kind, "shared") == 0) return;
    piece(b, PIECE_ATTENTION, "self_attn.indexer.wq_b", 1, shape_times(b, heads, dim),
          query_rank ? query_rank : d->width);
    piece(b, PIECE_ATTENTION, "self_attn.indexer.wk", 1, dim, d->width);
    part_norm(b, NORM_BIAS, 1, dim);
    piece(b, PIECE_ATTENTION, "self_attn.indexer.weights_proj", 1, heads, d->width);
    b->now.key_width = shape_plus(b, b->now.key_width, dim);
}

/* Multi-head latent attention, arXiv 2405.04434 section 2.1. */
void part_latent_attention(shape_build *b, const decoder *d) {
    const uint64_t rank = word_need(b, "kv_lora_rank", SHAPE_MOST_WIDTH),
                   query_rank = word_count(b, "q_lora_rank", SHAPE_MOST_WIDTH, 0),
                   turned = word_need(b, "qk_rope_head_dim", SHAPE_MOST_WIDTH),
                   plain = word_count(b, "qk_nope_head_dim", SHAPE_MOST_WIDTH, 128),
                   value = word_count(b, "v_head_dim", SHAPE_MOST_WIDTH, plain);
    const uint64_t key = shape_plus(b, plain, turned), q = shape_times(b, d->heads, key);
    if (query_rank > 0) {
        matrix(b, PIECE_ATTENTION, "self_attn.q_a_proj", 1, query_rank, d->width, d->qkv_bias);
        part_norm(b, NORM_WEIGHT, 1, query_rank);
        piece(b, PIECE_ATTENTION, "self_attn.q_b_proj", 1, q, query_rank);
    } else
        piece(b, PIECE_ATTENTION, "self_attn.q_proj", 1, q, d->width);
    matrix(b, PIECE_ATTENTION, "self_attn.kv_a_proj_with_mqa", 1, shape_plus(b, rank, turned), d->width, d->qkv_bias);
    part_norm(b, NORM_WEIGHT, 1, rank);
    piece(b, PIECE_ATTENTION, "self_attn.kv_b_proj", 1, shape_times(b, d->heads, shape_plus(b, plain, value)), rank);
    matrix(b, PIECE_ATTENTION, "self_attn.o_proj", 1, d->width, shape_times(b, d->heads, value), d->out_bias);
    shape_layers *l = &b->now;
    l->queries = shape_plus(b, query_rank > 0 ? shape_times(b, query_rank, shape_plus(b, d->width, q))
                                              : shape_times(b, d->width, q),
                            shape_times(b, d->width, shape_times(b, d->heads, value)));
    l->memory = SHAPE_MEMORY_LATENT;
    l->heads = l->kv_heads = d->heads;
    l->head_key = key;
    l->head_value = value;
    l->key_width = shape_plus(b, rank, turned);
    part_indexer(b, d, query_rank);
}

bool layer_has_experts(shape_build *b, const decoder *d, uint32_t layer) {
    if (d->experts == 0 || (d->experts == 1 && !(d->r->flags & ALWAYS_EXPERTS))) return false;
    const char *kind = word_item_text(b, "mlp_layer_types", layer, d->layers);
    if (kind != NULL) return strcmp(kind, "dense") != 0;
    const tola_value *only = families_find(b->text, "mlp_only_layers"), *moe = families_find(b->text, "moe_layers");
    if (only != NULL && only->kind == TOLA_VALUE_ARRAY)
        for (size_t i = 0; i < only->as.array.count; i++) {
            const tola_value item = tola_value_at(only, i);
            if (tola_value_u64(&item, UINT64_MAX) == layer) return false;
        }
    if (moe != NULL && moe->kind == TOLA_VALUE_ARRAY && moe->as.array.count > 0) {
        for (size_t i = 0; i < moe->as.array.count; i++) {
            const tola_value item = tola_value_at(moe, i);
            if (tola_value_u64(&item, UINT64_MAX) == layer) return true;
        }
        return false;
    }
    const tola_value *freq = families_find(b->text, "moe_layer_freq");
    if (freq != NULL && freq->kind == TOLA_VALUE_ARRAY)
        return word_item(b, "moe_layer_freq", layer, d->layers, UINT32_MAX, 1) != 0;
    const uint64_t first =
        word_count(b, "first_k_dense_replace num_dense_layers moe_layer_start_index", SHAPE_MOST_LAYERS, 0);
    if (layer < first) return false;
    const uint64_t end = word_count(b, "moe_layer_end_index", UINT64_MAX, UINT64_MAX);
    if (layer > end) return false;
    const uint64_t step = word_count(
        b, "decoder_sparse_step interleave_moe_layer_step moe_layer_interval moe_layer_freq", SHAPE_MOST_LAYERS, 1);
    if (step > 1) return (layer + 1) % step == 0;
    return true;
}

void part_experts(shape_build *b, const decoder *d, uint64_t width) {
    const bool gated = !(d->r->flags & FFN_PLAIN);
    shape_layers *l = &b->now;
    l->experts = (uint32_t)d->experts;
    l->experts_used = (uint32_t)d->experts_used;
    piece(b, PIECE_DENSE, "mlp.gate", 1, d->experts, d->width);
    if (d->r->flags & ROUTER_BIAS) piece_plain(b, PIECE_DENSE, d->experts);
    if (d->r->flags & CHOICE_BIAS) piece_plain(b, PIECE_DENSE, d->experts);
    if (d->r->flags & EXPERTS_NORM) part_norm(b, NORM_WEIGHT, 1, d->width);
    part_feed_forward(b, PIECE_EXPERT, "mlp.experts.0", d->experts, width, d->expert_ff, gated,
                      d->r->flags & EXPERT_BIAS || d->ffn_bias);
    if (d->shared_ff > 0) {
        part_feed_forward(b, PIECE_DENSE, "mlp.shared_experts", 1, d->width, d->shared_ff, gated, d->ffn_bias);
        if (d->r->flags & SHARED_GATE) piece(b, PIECE_DENSE, "mlp.shared_expert_gate", 1, 1, d->width);
    }
    l->feed_forward = shape_plus(b, shape_times(b, d->experts_used, d->expert_ff), d->shared_ff);
}

/* ---- the model ---- */

static void read_experts(shape_build *b, decoder *d) {
    d->experts = word_count(b,
                            "num_local_experts n_routed_experts num_experts moe_num_experts num_moe_experts "
                            "ffn_config.moe_num_experts num_routed_experts",
                            SHAPE_MOST_EXPERTS, 0);
    if (d->experts == 0) return;
    d->experts_used = word_count(b,
                                 "num_experts_per_tok num_experts_per_token experts_per_token moe_top_k moe_topk "
                                 "moe_k top_k_experts num_selected_experts ffn_config.moe_top_k top_k "
                                 "num_experts_per_topk",
                                 SHAPE_MOST_EXPERTS, 0);
    if (d->experts > 1 && d->experts_used == 0)
        shape_fail(b, TOLA_E_FORMAT, "num_experts_per_tok is missing, with %" PRIu64 " experts", d->experts);
    if (d->experts_used > d->experts)
        shape_fail(b, TOLA_E_FORMAT, "num_experts_per_tok is %" PRIu64 ", but there are %" PRIu64 " experts",
                   d->experts_used, d->experts);
    d->expert_ff = word_count(b,
                              "moe_intermediate_size expert_intermediate_size moe_ffn_hidden_size "
                              "expert_ffn_hidden_size ffn_config.ffn_hidden_size",
                              SHAPE_MOST_WIDTH, d->feed_forward);
    const uint64_t dense = word_count(b, "intermediate_size_mlp dense_intermediate_size", SHAPE_MOST_WIDTH, 0);
    if (dense > 0) d->feed_forward = dense;
    d->shared_ff = word_count(b,
                              "shared_expert_intermediate_size moe_shared_expert_intermediate_size "
                              "share_expert_dim shared_intermediate_size",
                              SHAPE_MOST_WIDTH, 0);
    if (d->shared_ff == 0)
        d->shared_ff = shape_times(b, d->expert_ff,
                                   word_count(b,
                                              "n_shared_experts num_shared_experts moe_num_shared_experts "
                                              "num_shared_expert",
                                              SHAPE_MOST_EXPERTS, 0));
    if (word_in("llama4 llama4_text", b->model_type)) d->shared_ff = d->expert_ff;
    if (word_in("minimax minimax_m2", b->model_type)) d->shared_ff = 0;
}

static void read_heads(shape_build *b, decoder *d) {
    d->heads = word_count(b, HEADS, SHAPE_MOST_WIDTH, 0);
    d->kv_heads = word_count(b,
                             "num_key_value_heads n_head_kv num_kv_heads multi_query_group_num num_attention_groups "
                             "attn_config.kv_n_heads",
                             SHAPE_MOST_WIDTH, 0);
    const bool one = word_bool(b, "multi_query", false) && !word_bool(b, "new_decoder_architecture", false);
    if (one) d->kv_heads = 1;
    if (d->kv_heads == 0) d->kv_heads = d->heads;
    if (d->heads > 0 && d->kv_heads > 0 && (d->kv_heads > d->heads || d->heads % d->kv_heads != 0))
        shape_fail(b, TOLA_E_FORMAT,
                   "num_key_value_heads is %" PRIu64 ", which does not divide the %" PRIu64 " attention heads",
                   d->kv_heads, d->heads);
    d->head_dim = word_count(b, "head_dim attention_head_dim kv_channels d_kv", SHAPE_MOST_WIDTH, 0);
    const bool latent = word_count(b, "kv_lora_rank", SHAPE_MOST_WIDTH, 0) > 0;
    if (d->head_dim == 0 && d->heads > 0 && !latent)
        d->head_dim = shape_divide(b, d->width, d->heads, "num_attention_heads");
    d->value_dim = latent ? d->head_dim : word_count(b, "v_head_dim", SHAPE_MOST_WIDTH, d->head_dim);
}

static void read_decoder(shape_build *b, decoder *d) {
    static const recipe common = { "",         2,    NORM_WEIGHT, QK_NONE, "attention_bias qkv_bias", "attention_bias",
                                   "mlp_bias", NULL, 0,           0 };
    memset(d, 0, sizeof *d);
    d->r = recipe_of(b->model_type);
    if (d->r == NULL) {
        d->r = &common;
        b->shape->recognised = false;
        shape_note(b,
                   "model_type '%s' is not known here: counted as a decoder with gated feed-forward layers from what "
                   "its words say",
                   b->model_type);
    } else
        b->shape->recognised = b->alike == NULL;
    if (b->alike != NULL)
        shape_note(b, "model_type is not known here: counted as %s, whose class has a name alike", b->alike);
    d->width = word_need(b, "hidden_size n_embd d_model dim model_dim", SHAPE_MOST_WIDTH);
    d->layers = word_count_in(b, b->text, "num_hidden_layers n_layer n_layers num_layers", SHAPE_MOST_LAYERS, 0);
    d->vocabulary = word_count(b, "vocab_size padded_vocab_size", SHAPE_MOST_WIDTH, 0);
    if (d->vocabulary == 0) d->vocabulary = word_count_in(b, b->whole, "vocab_size", SHAPE_MOST_WIDTH, 0);
    const tola_value *inside = families_find(b->text, "intermediate_size"); /* of Gemma 3n a list, of GPT-2 none */
    if (inside == NULL || inside->kind != TOLA_VALUE_ARRAY)
        d->feed_forward = word_count(b, "intermediate_size n_inner ffn_dim d_ff ffn_hidden_size inner_hidden_size",
                                     SHAPE_MOST_WIDTH, 0);
    if (word_bool(b, "block_auto_adjust_ff_dim", strcmp(b->model_type, "lfm2") == 0)) { /* LFM2 */
        const double by = word_number(b, "block_ffn_dim_multiplier", 1);
        const uint64_t step = word_count(b, "block_multiple_of", SHAPE_MOST_WIDTH, 256);
        uint64_t ff = word_count(b, "block_ff_dim intermediate_size", SHAPE_MOST_WIDTH, 12288) * 2 / 3;
        if (by > 0 && by < 64) ff = (uint64_t)((double)ff * by);
        d->feed_forward = step > 0 ? (ff + step - 1) / step * step : ff;
    }
    if (d->feed_forward == 0 && d->r->flags & FFN_PLAIN) d->feed_forward = shape_times(b, 4, d->width);
    d->window = word_count(b, "sliding_window sliding_window_size window_size", UINT32_MAX, 0);
    read_heads(b, d);
    read_experts(b, d);
    d->qkv_bias = bias_of(b, d->r->qkv_bias);
    d->out_bias = bias_of(b, d->r->out_bias);
    d->ffn_bias = bias_of(b, d->r->ffn_bias);
    int64_t known;
    const bool fallback = shape_default(b->defaults, "tie_word_embeddings", 19, &known) && known != 0;
    const tola_value *tie = families_find(b->text, "tie_word_embeddings");
    const tola_value *outer = families_find(b->whole, "tie_word_embeddings");
    d->tied = outer != NULL ? word_bool_in(b, b->whole, "tie_word_embeddings", fallback)
              : tie != NULL ? word_bool(b, "tie_word_embeddings", fallback)
                            : fallback;
}

/* Falcon and StableLM have one norm where attention and feed-forward read the same. */
static uint64_t norms_of(shape_build *b, const decoder *d) {
    if (word_in("falcon RefinedWeb RefinedWebModel", b->model_type)) {
        const bool parallel = word_bool(b, "parallel_attn", true);
        if (word_bool(b, "new_decoder_architecture", false)) return word_count(b, "num_ln_in_parallel_attn", 2, 2);
        return parallel ? 1 : 2;
    }
    return strcmp(b->model_type, "stablelm") == 0 && word_bool(b, "use_parallel_residual", false) ? 1 : d->r->norms;
}

static void build_layer(shape_build *b, const decoder *d, uint32_t layer) {
    if (shape_special_layer(b, d, layer) || shape_mixed_layer(b, d, layer)) return;
    part_norm(b, d->r->norm, norms_of(b, d), d->width);
    if (word_count(b, "kv_lora_rank", SHAPE_MOST_WIDTH, 0) > 0)
        part_latent_attention(b, d);
    else
        part_attention(b, d, layer);
    if (layer_has_experts(b, d, layer))
        part_experts(b, d, d->width);
    else {
        if (d->feed_forward == 0) shape_fail(b, TOLA_E_FORMAT, "intermediate_size is missing");
        part_feed_forward(b, PIECE_DENSE, "mlp", 1, d->width, d->feed_forward, !(d->r->flags & FFN_PLAIN), d->ffn_bias);
        b->now.feed_forward = d->feed_forward;
    }
}

/* What stands on an encoder, by its class: a head that guesses tokens, or the first token's summary. */
static void encoder_head(shape_build *b, const decoder *d, uint64_t table) {
    const tola_value *classes = families_find(b->whole, "architectures");
    const tola_value first = classes ? tola_value_at(classes, 0) : (tola_value){ 0 };
    const char *name = tola_value_str(&first, "");
    const bool guesses =
        strstr(name, "MaskedLM") || strstr(name, "LMHead") || strstr(name, "CausalLM") || strstr(name, "PreTrain");
    if (word_in("distilbert modernbert electra", b->model_type) && !guesses) return;
    piece(b, PIECE_OTHER, "transform", 1, guesses ? table : d->width, d->width);
    piece_plain(b, PIECE_OTHER, guesses ? table : d->width);
    if (!guesses) return;
    part_norm(b, d->r->norm, 1, table);
    piece_plain(b, PIECE_OUTPUT, d->vocabulary);
    if (!d->tied && families_find(b->whole, "tie_word_embeddings") != NULL)
        piece(b, PIECE_OUTPUT, "decoder", 1, d->vocabulary, table);
}

static void build_tables(shape_build *b, const decoder *d) {
    const bool encoder = d->r->flags & ENCODER;
    const uint64_t table = encoder ? word_count(b, "embedding_size", SHAPE_MOST_WIDTH, d->width) : d->width;
    piece(b, PIECE_EMBEDDING, "embed_tokens", 1, d->vocabulary, table);
    if (encoder && d->r->norm == NORM_BIAS && strcmp(b->model_type, "distilbert") != 0)
        piece_plain(b, PIECE_EMBEDDING, shape_times(b, word_count(b, "type_vocab_size", SHAPE_MOST_WIDTH, 2), table));
    if (table != d->width) {
        piece(b, PIECE_OTHER, "embeddings_project", 1, d->width, table);
        piece_plain(b, PIECE_OTHER, d->width);
    }
    if (d->r->positions != NULL) {
        const uint64_t n = word_count(b, d->r->positions, SHAPE_MOST_WIDTH, 0);
        piece_plain(b, PIECE_EMBEDDING, shape_times(b, shape_plus(b, n, n > 0 ? d->r->position_extra : 0), table));
    }
    if (d->r->flags & EMBEDDING_NORM) part_norm(b, d->r->norm, 1, table);
    if (!(d->r->flags & NO_FINAL_NORM)) part_norm(b, d->r->norm, 1, d->width);
    if (encoder) {
        encoder_head(b, d, table);
        return;
    }
    if (!d->tied) piece(b, PIECE_OUTPUT, "lm_head", 1, d->vocabulary, d->width);
    if (d->r->flags & OUTPUT_BIAS) piece_plain(b, PIECE_OUTPUT, d->vocabulary);
    const uint64_t further =
        word_count(b, "num_nextn_predict_layers mtp_num_hidden_layers num_mtp_modules", SHAPE_MOST_LAYERS, 0);
    if (further > 0)
        shape_note(b, "layers that predict further tokens, not counted here though files often hold them: %" PRIu64,
                   further);
}

void shape_language(shape_build *b) {
    model_shape *s = b->shape;
    decoder d;
    read_decoder(b, &d);
    if (!shape_ok(b)) return;
    s->language = !(d.r->flags & ENCODER);
    s->width = d.width;
    s->vocabulary = d.vocabulary;
    s->tied = d.tied;
    s->context = word_count(b, "max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length seq_length",
                            UINT32_MAX, 0);
    if (d.layers == 0) {
        const tola_value *list =
            families_find(b->text, "layers_block_type layer_types hybrid_override_pattern block_configs");
        if (list != NULL && list->kind == TOLA_VALUE_ARRAY) d.layers = list->as.array.count;
        if (list != NULL && list->kind == TOLA_VALUE_STRING) d.layers = list->as.string.length;
        if (d.layers == 0) shape_fail(b, TOLA_E_FORMAT, "num_hidden_layers is missing or 0");
    }
    if (d.layers > SHAPE_MOST_LAYERS) shape_fail(b, TOLA_E_LIMIT, "%" PRIu64 " layers", d.layers);
    for (uint32_t i = 0; i < d.layers && shape_ok(b); i++) {
        layer_begin(b, i);
        build_layer(b, &d, i);
        layer_end(b);
    }
    build_tables(b, &d);
    shape_special_rest(b, &d);
}
