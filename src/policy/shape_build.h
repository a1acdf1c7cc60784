/* How a shape is put together, for the files of this room: words of a configuration, checked; pieces (a matrix, a
 * vector) that are added to a layer or beside the layers; and what a quantizer's configuration makes of each.
 *
 * Errors are sticky: the first one stays in the build, everything after it does nothing, shape_build_finish reports it.
 */
#ifndef POLICY_SHAPE_BUILD_H
#define POLICY_SHAPE_BUILD_H

#include "base/mem.h"
#include "families/families.h"
#include "policy/shape.h"

/* Limits of what a configuration may say, far beyond any model. */
#define SHAPE_MOST_WIDTH (1u << 26)
#define SHAPE_MOST_LAYERS (1u << 14)
#define SHAPE_MOST_EXPERTS (1u << 16)
#define SHAPE_MOST_COUNT (1ull << 48)
#define SHAPE_MOST_PIECES (1u << 20) /* that one configuration may make: work is bounded */
#define SHAPE_NOTES 32

#define SHAPE_COMPLETE "tola.complete" /* a key of configurations that we made: nothing is left to defaults */

typedef enum piece_part {
    PIECE_ATTENTION,
    PIECE_DENSE,
    PIECE_EXPERT, /* `count` of them in a layer */
    PIECE_NORM,
    PIECE_EMBEDDING,
    PIECE_OUTPUT,
    PIECE_OTHER
} piece_part;

typedef struct shape_quant shape_quant;

typedef struct shape_build {
    model_shape *shape;
    arena *a;
    const char *name;         /* for messages */
    const tola_value *whole;  /* config.json */
    const tola_value *text;   /* the part that describes the language model */
    const char *model_type;   /* of that part */
    const char *alike;        /* the family whose class has a name alike, where model_type is unknown; NULL */
    const char *defaults;     /* "key=value key=value" of its class; "" */
    const tola_value *beside; /* hf_quant_config.json; NULL */
    shape_quant *quant;
    tola_error *err;
    tola_status status;
    uint32_t pieces;
    /* the layer that is being made */
    bool inside;
    uint32_t layer;
    shape_layers now;
    size_t row_cap;
    /* bytes that are kept, as the quantizer says */
    double stored_bytes;
    uint64_t quantized; /* elements that a quantizer packs */
    const char *notes[SHAPE_NOTES];
    size_t note_count;
} shape_build;

void shape_fail(shape_build *b, tola_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A sentence that says what was assumed; the same once. */
void shape_note(shape_build *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool shape_ok(const shape_build *b) { return b->status == TOLA_OK; }

/* ---- words (shape_words.c) ---- */

/* A count of the language model: its configuration's, else its class's default, else `fallback`. Anything but a whole
 * number between 0 and `most` is an error that names the key. */
uint64_t word_count(shape_build *b, const char *keys, uint64_t most, uint64_t fallback);
/* The same, where it must be there and not be 0. */
uint64_t word_need(shape_build *b, const char *keys, uint64_t most);
double word_number(shape_build *b, const char *keys, double fallback);
bool word_bool(shape_build *b, const char *keys, bool fallback);
const char *word_text(shape_build *b, const char *keys, const char *fallback);
bool word_is(shape_build *b, const char *keys, const char *value);
/* Of some other map (a tower's configuration). */
uint64_t word_count_in(shape_build *b, const tola_value *map, const char *keys, uint64_t most, uint64_t fallback);
bool word_bool_in(shape_build *b, const tola_value *map, const char *keys, bool fallback);
/* Item i of a list of counts; of a plain count that count. `layers` items must be there. */
uint64_t word_item(shape_build *b, const char *keys, uint64_t i, uint64_t layers, uint64_t most, uint64_t fallback);
/* Text of item i of a list, NULL where there is none. */
const char *word_item_text(shape_build *b, const char *keys, uint64_t i, uint64_t layers);
/* Is the word among those of a list separated by spaces? */
bool word_in(const char *list, const char *word);
/* What transformers' class of this model_type has for keys that a file leaves out (shape_defaults.c). */
const char *shape_defaults_of(const char *model_type);
/* In `defaults`; false where it is not there. */
bool shape_default(const char *defaults, const char *key, size_t key_length, int64_t *value);

/* ---- pieces (shape_build.c) ---- */

tola_status shape_begin(const char *name, model_shape *out, shape_build *b, tola_error *err);
/* A layer begins; pieces between here and layer_end belong to it. */
void layer_begin(shape_build *b, uint32_t index);
void layer_end(shape_build *b);
/* A matrix [rows, cols] (a vector: rows 1), `count` of them; `name` is the module's below the layer
 * ("self_attn.q_proj") or the model ("lm_head"), for what a quantizer leaves alone. */
void piece(shape_build *b, piece_part part, const char *name, uint64_t count, uint64_t rows, uint64_t cols);
/* The same that no quantizer touches: convolutions, states, tables. */
void piece_plain(shape_build *b, piece_part part, uint64_t elements);
uint64_t shape_times(shape_build *b, uint64_t x, uint64_t y); /* checked */
uint64_t shape_plus(shape_build *b, uint64_t x, uint64_t y);
uint64_t shape_divide(shape_build *b, uint64_t x, uint64_t y, const char *key); /* an error where it leaves a rest */
tola_status shape_build_finish(shape_build *b);

/* ---- quantizers (shape_quant.c) ---- */

/* Reads quantization_config of the configuration, or what lies beside it. */
void quant_read(shape_build *b);
/* Bits of a weight in this module, scales included; 0: as the configuration's dtype says. `cols` is the inner width. */
double quant_bits(shape_build *b, const char *name, piece_part part, uint64_t rows, uint64_t cols);

void quant_end(shape_build *b);

/* ---- language models ---- */

typedef enum shape_norm { NORM_NONE, NORM_WEIGHT, NORM_BIAS } shape_norm; /* what a norm learns, each of its width */
typedef enum shape_qk_norm {
    QK_NONE,
    QK_HEAD,     /* one head's width */
    QK_WIDE,     /* all heads' */
    QK_HEAD_BIAS /* one head's, with a bias */
} shape_qk_norm;

enum {
    FFN_PLAIN = 1 << 0, /* two matrices, not three */
    OUTPUT_BIAS = 1 << 1,
    EMBEDDING_NORM = 1 << 2,
    NO_FINAL_NORM = 1 << 3,
    ROUTER_BIAS = 1 << 4,
    EXPERT_BIAS = 1 << 5,
    SHARED_GATE = 1 << 6,    /* a sigmoid of the input times the shared expert */
    SINKS = 1 << 7,          /* a number a head that softmax sees */
    ENCODER = 1 << 8,        /* sees both ways: no cache, no text made */
    ALWAYS_EXPERTS = 1 << 9, /* of one expert, even */
    GATED_QUERY = 1 << 10,   /* queries come with a gate of the same width */
    CHOICE_BIAS = 1 << 11,   /* a number an expert that is added where experts are chosen, a parameter */
    EXPERTS_NORM = 1 << 12,  /* a norm behind the experts */
    INNER_NORMS = 1 << 13,   /* norms of what the heads and the feed-forward's inside give */
    DIFFERENTIAL = 1 << 14,  /* arXiv 2410.05258: four vectors of a head's width */
    LEARNED_ACTIVATION = 1 << 15
};

/* What sets a family apart. A bias is "1", or the key that says so; NULL: none. */
typedef struct recipe {
    const char *types; /* model_type words */
    uint8_t norms;     /* of the model's width, a layer */
    uint8_t norm, qk;
    const char *qkv_bias, *out_bias, *ffn_bias;
    const char *positions; /* key of the number of learned positions; NULL: none */
    uint32_t flags;
    uint32_t position_extra;
} recipe;
const recipe *recipe_of(const char *model_type); /* NULL: unknown (shape_recipes.c) */

typedef struct decoder {
    const recipe *r;
    uint64_t layers, width, vocabulary, heads, kv_heads, head_dim, value_dim, feed_forward;
    uint64_t window, experts, experts_used, expert_ff, shared_ff;
    bool qkv_bias, out_bias, ffn_bias, tied;
} decoder;

/* Parts that the files of families share (shape_decoder.c). */
void part_norm(shape_build *b, shape_norm kind, uint64_t count, uint64_t width);
/* Queries, keys, values and output of `heads` on input of `width`, and what a token keeps. */
void part_attention(shape_build *b, const decoder *d, uint32_t layer);
void part_latent_attention(shape_build *b, const decoder *d);
/* `count` feed-forward networks with a gate or without, in a module. */
void part_feed_forward(shape_build *b, piece_part part, const char *module, uint64_t count, uint64_t width, uint64_t ff,
                       bool gated, bool bias);
void part_experts(shape_build *b, const decoder *d, uint64_t width);
bool layer_has_experts(shape_build *b, const decoder *d, uint32_t layer);
void part_memory(shape_build *b, const decoder *d, uint32_t layer, uint64_t heads, uint64_t kv_heads, uint64_t key,
                 uint64_t value);

/* ---- families ---- */

void shape_language(shape_build *b); /* shape_decoder.c */
/* A layer that is none of the common kind (shape_mixers.c, shape_special.c); false: it is. */
bool shape_mixed_layer(shape_build *b, const decoder *d, uint32_t layer);
bool shape_special_layer(shape_build *b, const decoder *d, uint32_t layer);
void shape_special_rest(shape_build *b, const decoder *d); /* what such families have beside the layers */
void shape_towers(shape_build *b);                         /* shape_towers.c */
bool shape_pair(shape_build *b);  /* shape_pairs.c: of encoders with a decoder; false: it is none */
bool shape_image(shape_build *b); /* shape_image.c: of models of images; false: it is none */

#endif
