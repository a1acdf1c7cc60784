/* A model as numbers that memory, speed and training compute are counted from: how many weights of which part, what a
 * token keeps in the cache, what a step multiplies.
 *
 * Made from config.json (any published one: a family that nothing here knows falls back to what its words say, and to
 * the tensor list where there are weights, with a note), from a checkpoint (the tensors decide on counts and bytes, the
 * configuration on the cache), or from a number of parameters alone. */
#ifndef POLICY_SHAPE_H
#define POLICY_SHAPE_H

#include "base/err.h"
#include <tola/checkpoint.h>
#include <tola/insight.h>

typedef enum shape_from { SHAPE_FROM_TENSORS, SHAPE_FROM_CONFIG, SHAPE_FROM_COUNT } shape_from;

/* What a layer remembers of the tokens before. */
typedef enum shape_memory {
    SHAPE_MEMORY_NONE,   /* feed-forward layers of hybrids; encoders */
    SHAPE_MEMORY_FULL,   /* keys and values of every token */
    SHAPE_MEMORY_WINDOW, /* of the last `window` tokens (sliding or chunked) */
    SHAPE_MEMORY_LATENT, /* MLA: one compressed row and the rotary key, shared by all heads */
    SHAPE_MEMORY_STATE   /* state space or linear attention: `state_bytes`, whatever the length */
} shape_memory;

/* Layers that are alike, `count` of them. */
typedef struct shape_layers {
    uint32_t count;
    shape_memory memory;
    uint64_t window;
    uint64_t heads, kv_heads;
    uint64_t key_width, value_width; /* elements that a token adds to the cache of one layer: kv_heads * head_dim each;
                                        LATENT: kv_lora_rank + qk_rope_head_dim, and 0 */
    uint64_t head_key, head_value;   /* of the products of scores and of values, a head */
    uint64_t state_elements;         /* STATE, a sequence and layer, kept in f32 */
    uint64_t attention;              /* parameters: projections (and convolutions, state matrices) */
    uint64_t queries;                /* of them, what makes queries and takes up what they found; else 0 */
    uint64_t dense;                  /* feed-forward, shared experts and router included */
    uint64_t expert;                 /* of one routed expert */
    uint32_t experts, experts_used;
    uint64_t norms;                  /* norms and biases */
    uint64_t feed_forward;           /* width inside, all active ones together: for buffers and activations */
} shape_layers;

#define SHAPE_MAX_LAYERS 1024 /* rows, not layers: runs of the same kind */

typedef struct model_shape {
    shape_from from;
    const char *name;       /* of the file or folder, or as metadata says */
    const char *family;     /* "llama"; NULL: unknown */
    const char *model_type; /* as written; NULL */
    bool language;          /* generates text, token by token */
    bool recognised;        /* the family's words are known here; else `notes` say what was assumed */
    uint64_t parameters;    /* all; tied embeddings once */
    uint64_t active;        /* for one token: routed experts but those chosen left out; the embedding table counts */
    uint64_t embedding;     /* input table */
    uint64_t output;        /* the head; 0 where tied */
    uint64_t other;         /* vision and audio towers, projectors, multi-token prediction, anything not in a layer */
    uint64_t width, vocabulary, context; /* 0: unknown */
    uint64_t largest_tensor; /* elements */
    bool tied;
    size_t layer_rows;
    shape_layers *layers;
    size_t last_row; /* the kind of the last layer */
    uint64_t layer_count;
    /* of models that see whole examples, not tokens (images); 0: unknown, or a model of texts */
    uint64_t example_values;     /* elements that convolutions and sums of one example give */
    uint64_t example_kept;       /* elements that a backward keeps of it: of every operation, in place or not */
    uint64_t example_operations; /* a multiplication and an addition are two */
    /* how the weights are kept: what the tensors or quantization_config / hf_quant_config say */
    double stored_bits;     /* a weight, all weights and their scales; 0: unknown */
    uint64_t stored_bytes;  /* of all tensors; 0: unknown */
    const char *stored;     /* "bf16", "fp8 e4m3, 128x128 blocks", "nvfp4"; NULL: unknown */
    const char *modalities; /* "text", "image text"; what goes in, space-separated */
    size_t note_count;
    const char *const *notes; /* what was assumed, a sentence each */
    void *owner;            /* private */
} model_shape;

/* `path`: MODEL, or a config.json. */
tola_status shape_open(const char *path, model_shape *out, tola_error *err);
tola_status shape_of_checkpoint(const tola_checkpoint *ck, model_shape *out, tola_error *err);
tola_status shape_of_config(const char *name, const tola_value *config, model_shape *out, tola_error *err);
/* `active` 0: all. Layers and widths that such a model usually has are estimated (and noted). */
tola_status shape_of_count(uint64_t parameters, uint64_t active, model_shape *out, tola_error *err);
void shape_dispose(model_shape *shape);

#endif
