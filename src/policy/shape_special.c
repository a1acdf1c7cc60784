/* Families with layers of their own kind: Gemma 3n and 4, DeepSeek-V4, Nemotron-NAS (Deci). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "policy/shape_build.h"

/* ---- Gemma ---- */

static uint64_t gemma_shared_from(shape_build *b, const decoder *d) {
    const uint64_t shared = word_count(b, "num_kv_shared_layers", SHAPE_MOST_LAYERS, 0);
    return shared < d->layers ? d->layers - shared : 0;
}

/* Every layer has an input of its own from a second table. */
static void per_layer_input(shape_build *b, const decoder *d) {
    const uint64_t n = word_count(b, "hidden_size_per_layer_input", SHAPE_MOST_WIDTH, 0);
    if (n == 0) return;
    piece(b, PIECE_DENSE, "per_layer_input_gate", 1, n, d->width);
    piece(b, PIECE_DENSE, "per_layer_projection", 1, d->width, n);
    part_norm(b, NORM_WEIGHT, 1, d->width);
}

static void per_layer_tables(shape_build *b, const decoder *d) {
    const uint64_t n = word_count(b, "hidden_size_per_layer_input", SHAPE_MOST_WIDTH, 0),
                   all = shape_times(b, n, d->layers);
    if (n == 0) return;
    piece(b, PIECE_EMBEDDING, "embed_tokens_per_layer", 1,
          word_count(b, "vocab_size_per_layer_input", SHAPE_MOST_WIDTH, d->vocabulary), all);
    piece(b, PIECE_OTHER, "per_layer_model_projection", 1, all, d->width);
    piece_plain(b, PIECE_OTHER, n);
}

/* Attention of one layer, whose keys and values may be those of an earlier one. */
static void gemma_attention(shape_build *b, const decoder *d, uint32_t layer, uint64_t kv_heads, uint64_t dim, bool own,
                            bool values) {
    const uint64_t q = shape_times(b, d->heads, dim), k = shape_times(b, kv_heads, dim);
    piece(b, PIECE_ATTENTION, "self_attn.q_proj", 1, q, d->width);
    if (own) piece(b, PIECE_ATTENTION, "self_attn.k_proj", 1, k, d->width);
    if (own && values) piece(b, PIECE_ATTENTION, "self_attn.v_proj", 1, k, d->width);
    piece(b, PIECE_ATTENTION, "self_attn.o_proj", 1, d->width, q);
    part_norm(b, NORM_WEIGHT, own ? 2 : 1, dim);
    part_memory(b, d, layer, d->heads, kv_heads, dim, dim);
    if (!own) b->now.key_width = b->now.value_width = 0;
}

static void gemma4_layer(shape_build *b, const decoder *d, uint32_t layer) {
    const char *kind = word_item_text(b, "layer_types", layer, d->layers);
    const bool full = kind ? strcmp(kind, "full_attention") == 0 : (layer + 1) % 6 == 0;
    const bool own = layer < gemma_shared_from(b, d), equal = word_bool(b, "attention_k_eq_v", false) && full;
    uint64_t dim = d->head_dim, kv_heads = d->kv_heads;
    if (full) dim = word_count(b, "global_head_dim", SHAPE_MOST_WIDTH, 512);
    if (equal) kv_heads = word_count(b, "num_global_key_value_heads", SHAPE_MOST_WIDTH, kv_heads);
    part_norm(b, NORM_WEIGHT, 4, d->width);
    gemma_attention(b, d, layer, kv_heads, dim, own, !equal);
    const uint64_t wide = !own && word_bool(b, "use_double_wide_mlp", false) ? 2 : 1;
    part_feed_forward(b, PIECE_DENSE, "mlp", 1, d->width, shape_times(b, wide, d->feed_forward), true, false);
    b->now.feed_forward = shape_times(b, wide, d->feed_forward);
    if (word_bool(b, "enable_moe_block", false)) {
        part_experts(b, d, d->width);
        b->now.feed_forward = shape_plus(b, b->now.feed_forward, d->feed_forward);
        piece_plain(b, PIECE_DENSE, shape_plus(b, d->width, d->experts)); /* scales of the router */
        part_norm(b, NORM_WEIGHT, 3, d->width);
    }
    per_layer_input(b, d);
}

static void gemma3n_layer(shape_build *b, const decoder *d, uint32_t layer) {
    const uint64_t inputs = word_count(b, "altup_num_inputs", 1024, 4),
                   rank = word_count(b, "laurel_rank", SHAPE_MOST_WIDTH, 64),
                   ff = word_item(b, "intermediate_size", layer, d->layers, SHAPE_MOST_WIDTH, 16384);
    part_norm(b, NORM_WEIGHT, 4, d->width);
    gemma_attention(b, d, layer, d->kv_heads, d->head_dim, layer < gemma_shared_from(b, d), true);
    part_feed_forward(b, PIECE_DENSE, "mlp", 1, d->width, ff, true, false);
    b->now.feed_forward = ff;
    /* alternating updates (arXiv 2301.13310) and a low-rank residual (2411.07501) */
    piece_plain(b, PIECE_DENSE, shape_times(b, shape_times(b, inputs, inputs), shape_plus(b, inputs, 1)));
    piece_plain(b, PIECE_DENSE, shape_times(b, shape_plus(b, inputs, 2), d->width));
    piece(b, PIECE_DENSE, "laurel.linear_left", 1, rank, d->width);
    piece(b, PIECE_DENSE, "laurel.linear_right", 1, d->width, rank);
    part_norm(b, NORM_WEIGHT, 1, d->width);
    per_layer_input(b, d);
}

/* ---- DeepSeek-V4 ---- */

/* A pooling of `ratio` tokens into one of `width`. */
static void compressor(shape_build *b, const decoder *d, uint64_t ratio, uint64_t width, uint64_t norm) {
    piece_plain(b, PIECE_ATTENTION, shape_times(b, ratio, width));
    piece(b, PIECE_ATTENTION, "self_attn.compressor.kv_proj", 1, width, d->width);
    piece(b, PIECE_ATTENTION, "self_attn.compressor.gate_proj", 1, width, d->width);
    part_norm(b, NORM_WEIGHT, 1, norm);
}

static void hyper_connection(shape_build *b, const decoder *d, uint64_t streams) {
    const uint64_t rows = shape_times(b, streams, streams + 2);
    piece_plain(b, PIECE_DENSE, shape_plus(b, shape_times(b, rows, shape_times(b, streams, d->width)), rows + 3));
}

/* How many tokens a row of the cache stands for; 0: there is only the window. */
static uint64_t compression(shape_build *b, const decoder *d, uint32_t layer) {
    const char *kind = word_item_text(b, "layer_types", layer, d->layers);
    if (kind != NULL && strcmp(kind, "heavily_compressed_attention") == 0)
        return word_count(b, "compress_rates.heavily_compressed_attention", 1u << 20, 128);
    if (kind != NULL && strcmp(kind, "compressed_sparse_attention") == 0)
        return word_count(b, "compress_rates.compressed_sparse_attention", 1u << 20, 4);
    if (kind != NULL) return 0;
    return word_item(b, "compress_ratios", layer, d->layers, 1u << 20, layer < 2 || layer % 2 == 0 ? 128 : 4);
}

static void deepseek4_layer(shape_build *b, const decoder *d, uint32_t layer) {
    const uint64_t dim = d->head_dim, query_rank = word_need(b, "q_lora_rank", SHAPE_MOST_WIDTH),
                   groups = word_count(b, "o_groups", SHAPE_MOST_WIDTH, 8),
                   rank = word_count(b, "o_lora_rank", SHAPE_MOST_WIDTH, 1024),
                   index_heads = word_count(b, "index_n_heads", SHAPE_MOST_WIDTH, 64),
                   index_dim = word_count(b, "index_head_dim", SHAPE_MOST_WIDTH, 128),
                   streams = word_count(b, "hc_mult", 1024, 4), ratio = compression(b, d, layer);
    const uint64_t q = shape_times(b, d->heads, dim), out = shape_times(b, groups, rank);
    part_norm(b, NORM_WEIGHT, 2, d->width);
    piece(b, PIECE_ATTENTION, "self_attn.q_a_proj", 1, query_rank, d->width);
    piece(b, PIECE_ATTENTION, "self_attn.q_b_proj", 1, q, query_rank);
    piece(b, PIECE_ATTENTION, "self_attn.kv_proj", 1, dim, d->width);
    piece(b, PIECE_ATTENTION, "self_attn.o_a_proj", 1, out, shape_divide(b, q, groups, "o_groups"));
    piece(b, PIECE_ATTENTION, "self_attn.o_b_proj", 1, d->width, out);
    piece_plain(b, PIECE_ATTENTION, d->heads);
    part_norm(b, NORM_WEIGHT, 1, shape_plus(b, query_rank, dim));
    shape_layers *l = &b->now;
    /* the last tokens as they are (keys and values are one row of 16 bits), the others `ratio` to a row */
    l->memory = SHAPE_MEMORY_FULL;
    l->heads = d->heads;
    l->kv_heads = 1;
    l->head_key = l->head_value = dim;
    l->state_elements = shape_times(b, d->window, dim) / 2;
    if (ratio == 0) {
        l->memory = SHAPE_MEMORY_WINDOW;
        l->window = d->window;
    } else if (ratio > 4) {
        compressor(b, d, ratio, dim, dim);
        l->key_width = (dim + ratio - 1) / ratio;
    } else {
        compressor(b, d, ratio, 2 * dim, dim);
        compressor(b, d, ratio, 2 * index_dim, index_dim);
        piece(b, PIECE_ATTENTION, "self_attn.compressor.indexer.q_b_proj", 1, shape_times(b, index_heads, index_dim),
              query_rank);
        piece(b, PIECE_ATTENTION, "self_attn.compressor.indexer.weights_proj", 1, index_heads, d->width);
        l->key_width = (dim + index_dim + ratio - 1) / ratio;
    }
    hyper_connection(b, d, streams);
    hyper_connection(b, d, streams);
    part_experts(b, d, d->width);
}

/* ---- Deci ---- */

/* Layers found by a search: each says how many heads share a key, how wide its feed-forward is, or that it has none. */
static void deci_layer(shape_build *b, const decoder *d, uint32_t layer) {
    const tola_value *list = families_find(b->text, "block_configs");
    if (list == NULL || list->kind != TOLA_VALUE_ARRAY || list->as.array.count < d->layers) {
        shape_fail(b, TOLA_E_FORMAT, "block_configs is no list of %" PRIu64 " layers", d->layers);
        return;
    }
    const tola_value block = tola_value_at(list, layer);
    if (!word_bool_in(b, &block, "attention.no_op", false)) {
        part_norm(b, NORM_WEIGHT, 1, d->width);
        if (word_bool_in(b, &block, "attention.replace_with_linear", false))
            piece(b, PIECE_ATTENTION, "self_attn.linear_attn", 1, d->width, d->width);
        else {
            decoder one = *d;
            one.kv_heads =
                shape_divide(b, d->heads, word_count_in(b, &block, "attention.n_heads_in_group", SHAPE_MOST_WIDTH, 1),
                             "attention.n_heads_in_group");
            part_attention(b, &one, layer);
        }
    }
    if (word_bool_in(b, &block, "ffn.no_op", false)) return;
    part_norm(b, NORM_WEIGHT, 1, d->width);
    if (word_bool_in(b, &block, "ffn.replace_with_linear", false)) {
        piece(b, PIECE_DENSE, "mlp.linear_mlp", 1, d->width, d->width);
        return;
    }
    const tola_value *mult = families_find(&block, "ffn.ffn_mult");
    const double times = tola_value_f64(mult, 0);
    if (!(times > 0) || times > 4096) {
        shape_fail(b, TOLA_E_FORMAT, "ffn.ffn_mult of layer %u is no number between 0 and 4096", layer);
        return;
    }
    const uint64_t inner = (uint64_t)floor(2 * times * (double)d->width / 3), ff = (inner + 255) / 256 * 256;
    part_feed_forward(b, PIECE_DENSE, "mlp", 1, d->width, ff, true, d->ffn_bias);
    b->now.feed_forward = ff;
}

/* ---- which ---- */

bool shape_special_layer(shape_build *b, const decoder *d, uint32_t layer) {
    const char *t = b->model_type;
    if (word_in("gemma4 gemma4_text", t))
        gemma4_layer(b, d, layer);
    else if (word_in("gemma3n gemma3n_text", t))
        gemma3n_layer(b, d, layer);
    else if (strcmp(t, "deepseek_v4") == 0)
        deepseek4_layer(b, d, layer);
    else if (families_find(b->text, "block_configs") != NULL)
        deci_layer(b, d, layer);
    else
        return false;
    return true;
}

void shape_special_rest(shape_build *b, const decoder *d) {
    const char *t = b->model_type;
    if (word_in("gemma4 gemma4_text gemma3n gemma3n_text", t)) per_layer_tables(b, d);
    if (word_in("gemma3n gemma3n_text", t)) {
        const uint64_t inputs = word_count(b, "altup_num_inputs", 1024, 4);
        for (uint64_t i = 1; i < inputs; i++) piece(b, PIECE_OTHER, "altup_projections", 2, d->width, d->width);
    }
    if (strcmp(t, "deepseek_v4") == 0) {
        const uint64_t streams = word_count(b, "hc_mult", 1024, 4);
        piece_plain(b, PIECE_OTHER,
                    shape_plus(b, shape_times(b, shape_times(b, streams, streams), d->width), streams + 1));
    }
}
