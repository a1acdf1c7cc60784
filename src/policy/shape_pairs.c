/* Encoders with a decoder that looks at what they give: T5 (arXiv 1910.10683), BART (1910.13461) and mBART, Whisper
 * (2212.04356). A decoder's layer keeps its own tokens and the encoder's; both are counted as long as the context. */
#include <string.h>

#include "policy/shape_build.h"

typedef struct pair {
    uint64_t width, heads, head, vocabulary;
    bool bias, key_bias, gated;
    shape_norm norm;
} pair;

static void attention(shape_build *b, const pair *p, const char *name) {
    const uint64_t inner = shape_times(b, p->heads, p->head);
    piece(b, PIECE_ATTENTION, name, 3, inner, p->width);
    piece(b, PIECE_ATTENTION, name, 1, p->width, inner);
    if (p->bias) piece_plain(b, PIECE_ATTENTION, shape_plus(b, shape_times(b, p->key_bias ? 3 : 2, inner), p->width));
}

static void layers(shape_build *b, const pair *p, uint64_t first, uint64_t count, uint64_t ff, bool looks) {
    for (uint64_t i = 0; i < count && shape_ok(b); i++) {
        layer_begin(b, (uint32_t)(first + i));
        attention(b, p, "self_attn");
        if (looks) attention(b, p, "encoder_attn");
        part_feed_forward(b, PIECE_DENSE, "mlp", 1, p->width, ff, p->gated, p->bias);
        part_norm(b, p->norm, looks ? 3 : 2, p->width);
        shape_layers *l = &b->now;
        l->heads = l->kv_heads = p->heads;
        l->head_key = l->head_value = p->head;
        l->feed_forward = ff;
        if (looks) {
            l->memory = SHAPE_MEMORY_FULL;
            l->key_width = l->value_width = shape_times(b, 2, shape_times(b, p->heads, p->head));
        }
        layer_end(b);
    }
}

static uint64_t positions(shape_build *b, const char *key, uint64_t fallback) {
    return word_count(b, key, SHAPE_MOST_WIDTH, fallback);
}

static void t5(shape_build *b) {
    pair p = { .width = word_need(b, "d_model", SHAPE_MOST_WIDTH), .norm = NORM_WEIGHT };
    p.heads = word_count(b, "num_heads", SHAPE_MOST_WIDTH, 8);
    p.head = word_count(b, "d_kv", SHAPE_MOST_WIDTH, 64);
    p.vocabulary = word_count(b, "vocab_size", SHAPE_MOST_WIDTH, 32128);
    p.gated = strncmp(word_text(b, "feed_forward_proj", "relu"), "gated", 5) == 0;
    const uint64_t count = word_count(b, "num_layers", SHAPE_MOST_LAYERS, 6),
                   after = word_count(b, "num_decoder_layers", SHAPE_MOST_LAYERS, count),
                   ff = word_count(b, "d_ff", SHAPE_MOST_WIDTH, 2048),
                   buckets = word_count(b, "relative_attention_num_buckets", SHAPE_MOST_WIDTH, 32);
    const bool everywhere = strcmp(b->model_type, "umt5") == 0; /* a table of distances in each layer */
    layers(b, &p, 0, count, ff, false);
    layers(b, &p, count, after, ff, true);
    const uint64_t tables = everywhere ? shape_plus(b, count, after) : 2;
    piece_plain(b, PIECE_OTHER, shape_times(b, tables, shape_times(b, buckets, p.heads)));
    part_norm(b, NORM_WEIGHT, 2, p.width);
    piece(b, PIECE_EMBEDDING, "shared", 1, p.vocabulary, p.width);
    if (!word_bool(b, "tie_word_embeddings", true)) piece(b, PIECE_OUTPUT, "lm_head", 1, p.vocabulary, p.width);
    b->shape->width = p.width;
    b->shape->vocabulary = p.vocabulary;
    b->shape->context = positions(b, "n_positions", 512);
}

static void bart(shape_build *b, bool speech) {
    pair p = {
        .width = word_need(b, "d_model", SHAPE_MOST_WIDTH), .norm = NORM_BIAS, .bias = true, .key_bias = !speech
    };
    p.heads = word_count(b, "encoder_attention_heads", SHAPE_MOST_WIDTH, 16);
    p.head = shape_divide(b, p.width, p.heads, "encoder_attention_heads");
    p.vocabulary = word_count(b, "vocab_size", SHAPE_MOST_WIDTH, 50265);
    const uint64_t count = word_count(b, "encoder_layers", SHAPE_MOST_LAYERS, 12),
                   after = word_count(b, "decoder_layers", SHAPE_MOST_LAYERS, 12);
    layers(b, &p, 0, count, word_count(b, "encoder_ffn_dim", SHAPE_MOST_WIDTH, 4096), false);
    layers(b, &p, count, after, word_count(b, "decoder_ffn_dim", SHAPE_MOST_WIDTH, 4096), true);
    piece(b, PIECE_EMBEDDING, "shared", 1, p.vocabulary, p.width);
    uint64_t rows;
    if (speech) {
        const uint64_t bins = word_count(b, "num_mel_bins", SHAPE_MOST_WIDTH, 80),
                       heard = positions(b, "max_source_positions", 1500);
        rows = shape_plus(b, heard, positions(b, "max_target_positions", 448));
        piece(b, PIECE_OTHER, "conv1", 1, p.width, shape_times(b, 3, bins));
        piece(b, PIECE_OTHER, "conv2", 1, p.width, shape_times(b, 3, p.width));
        piece_plain(b, PIECE_OTHER, shape_times(b, 2, p.width));
        part_norm(b, NORM_BIAS, 2, p.width);
        b->shape->context = positions(b, "max_target_positions", 448);
        b->shape->modalities = "audio";
    } else {
        b->shape->context = positions(b, "max_position_embeddings", 1024);
        rows = shape_times(b, 2, shape_plus(b, b->shape->context, 2));
        part_norm(b, NORM_BIAS, strcmp(b->model_type, "mbart") == 0 ? 4 : 2, p.width);
    }
    piece_plain(b, PIECE_EMBEDDING, shape_times(b, rows, p.width));
    b->shape->width = p.width;
    b->shape->vocabulary = p.vocabulary;
}

bool shape_pair(shape_build *b) {
    const char *t = tola_value_str(tola_value_get(b->whole, "model_type"), "");
    if (b->text != b->whole) return false;
    if (word_in("t5 mt5 umt5", t))
        t5(b);
    else if (word_in("bart mbart", t))
        bart(b, false);
    else if (strcmp(t, "whisper") == 0)
        bart(b, true);
    else
        return false;
    b->shape->language = b->shape->recognised = true;
    b->shape->tied = b->shape->output == 0;
    return true;
}
