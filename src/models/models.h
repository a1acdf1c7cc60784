/* From a family's configuration and tensors to a graph.
 *
 * A family of the usual shape costs a row in families/, one in describe.c (a mapper that fills in a description) and its
 * tensor names in families/names.c. One builder turns every description into a graph. */
#ifndef MODELS_MODELS_H
#define MODELS_MODELS_H

#include "families/families.h"
#include "graph/graph.h"
#include <tola/checkpoint.h>

typedef enum model_norm { MODEL_NORM_RMS, MODEL_NORM_LAYER } model_norm;

typedef enum model_mixer { MODEL_ATTENTION, MODEL_LATENT_ATTENTION } model_mixer;

/* What differs between layers. */
typedef struct model_layer {
    uint32_t heads, kv_heads;
    uint32_t feed_forward; /* 0: the layer has experts */
    uint32_t window;       /* 0 all */
    uint32_t chunk;        /* 0 none */
    uint8_t rope;          /* index of description.rope; MODEL_NO_ROPE: positions do not turn */
    bool norm_qk_here;     /* Llama 4: only layers that turn */
} model_layer;
#define MODEL_NO_ROPE UINT8_MAX

typedef struct model_rope {
    float *frequency; /* rotated / 2 */
    uint32_t rotated;
    float magnitude;
} model_rope;

/* Everything that the builder asks of a family. Zero means "not so" throughout. */
typedef struct model_description {
    arena arena;
    const family *family;
    bool gguf;             /* names and layouts as in GGUF (norms with the 1 added, rotary neighbours for Llama) */
    uint32_t width, vocabulary, context, layer_count;
    model_layer *layers;
    model_norm norm;
    float norm_eps;
    float norm_offset;     /* 1 where stored scales lack it (Gemma in Hugging Face's layout) */
    float embedding_scale; /* sqrt(width) of Gemma; 1 */
    bool embedding_norm;   /* BERT */
    bool learned_positions;
    uint32_t position_offset;
    bool encoder;          /* sees both ways, has no output matrix */
    bool norm_after;       /* norms follow attention and feed-forward (BERT) instead of preceding them */
    bool norm_both;        /* Gemma 2, 3: before and after */
    bool norm_query_key;   /* per head, before rotation; norm_query_key_all: over all heads (OLMoE) */
    bool norm_query_key_all;
    bool norm_query_key_after_rope;
    bool parallel;         /* attention and feed-forward both read the layer's input (Phi-1) */
    uint32_t key_dim, value_dim;
    float attention_scale; /* of q.k */
    float attention_cap, output_cap; /* soft caps; 0 none */
    bool interleaved;      /* rotary pairs are neighbours */
    model_rope rope[2];
    float position_beta, position_span; /* Llama 4's temperature on layers without rope */
    bool sinks;
    graph_function activation;
    bool gated;
    float gate_clamp;      /* gpt-oss */
    /* experts */
    uint32_t experts, expert_feed_forward, shared_feed_forward;
    graph_routing routing;
    bool weigh_input;
    bool shared_gate;      /* Qwen2-MoE: the shared expert times sigmoid(gate x) */
    /* latent attention */
    model_mixer mixer;
    uint32_t query_rank, kv_rank, nope_dim, rope_dim;
    bool tied;             /* the output matrix is the embedding */
} model_description;

/* TOLA_E_UNSUPPORTED where the family has no mapper, TOLA_E_FORMAT where the configuration contradicts itself. */
tola_status model_describe(const tola_checkpoint *ck, model_description **out, tola_error *err);
void model_description_free(model_description *d);

/* The checkpoint's tensors as graph weights: mapped where the file holds them as the kernels read them, else made in
 * memory (transposed, decoded, cast). Borrows the checkpoint. */
typedef struct model_weights model_weights;
tola_status model_weights_open(const tola_checkpoint *ck, const model_description *d, model_weights **out,
                               tola_error *err);
void model_weights_free(model_weights *w);
/* By GGUF's word for it ("attn_q.weight", layer 3; UINT32_MAX: no layer), whatever the file calls it, which must be
 * rows x cols (vectors: rows 1) in `parts` parts (1 but for experts). Matrices that the file keeps in one piece (qkv,
 * gate_up) are handed out by their rows. NULL with *err where a tensor is missing or of another shape; optional: NULL and
 * TOLA_OK where it is missing. Borrowed from w. */
tola_status model_weight(model_weights *w, const char *word, uint32_t layer, uint64_t rows, uint64_t cols,
                         uint32_t parts, bool optional, const graph_weight **out, tola_error *err);
size_t model_weights_made(const model_weights *w); /* bytes in memory of our own */
size_t model_weights_bytes(const model_weights *w); /* of all weights handed out */

/* A LoRA adapter: for some weights two thin matrices, y += scale * B (A x). */
typedef struct model_adapter model_adapter;
/* PEFT's folder or GGUF's file; scale multiplies what the adapter says (alpha / rank). */
tola_status model_adapter_open(const tola_checkpoint *ck, const model_description *base, float scale,
                               model_adapter **out, tola_error *err);
void model_adapter_free(model_adapter *a);

/* Outputs of the graph: [0] logits of the output rows (decoders), or hidden states of all rows (encoders, and decoders
 * when `hidden` is asked for: after the last norm). */
tola_status model_build(const model_description *d, model_weights *w, model_adapter *const *adapters, size_t count,
                        bool hidden, graph **out, tola_error *err);

#endif
