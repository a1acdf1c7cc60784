/* From a family's configuration and tensors to a graph.
 *
 * A family of the usual shape costs a row in families/, one in describe.c (a mapper that fills in a description) and
 * its tensor names in families/names.c. One builder turns every description into a graph. docs/models.md shows how. */
#ifndef MODELS_MODELS_H
#define MODELS_MODELS_H

#include "families/names.h"
#include "graph/graph.h"
#include <tola/checkpoint.h>

#define MODEL_MAX_LAYERS 4096u
#define MODEL_MAX_EXPERTS 65536u

typedef enum model_norm { MODEL_NORM_RMS, MODEL_NORM_LAYER } model_norm;

typedef enum model_mixer { MODEL_ATTENTION, MODEL_LATENT_ATTENTION } model_mixer;

/* What happens to queries and keys before they meet. */
typedef enum model_qk_norm {
    MODEL_QK_PLAIN,
    MODEL_QK_HEAD,  /* each head is normalized, before it turns (Qwen3, Gemma 3) */
    MODEL_QK_ALL,   /* all heads together, before they turn (OLMoE) */
    MODEL_QK_LENGTH /* each head, without weights, after it has turned; only in layers that turn (Llama 4) */
} model_qk_norm;

/* Is there a vector to be added behind a product? */
typedef enum model_bias { MODEL_BIAS_NONE, MODEL_BIAS_YES, MODEL_BIAS_IF_THERE /* GGUF does not say */ } model_bias;

/* What differs between layers. */
typedef struct model_layer {
    uint32_t feed_forward; /* 0: the layer has experts */
    uint32_t window;       /* 0 all */
    uint32_t chunk;        /* 0 none */
    uint8_t rope;          /* index of description.rope; MODEL_NO_ROPE: positions do not turn */
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
    bool gguf; /* names and layouts as in GGUF (norms with the 1 added, rotary neighbours for Llama) */
    uint32_t width, vocabulary, context, layer_count;
    model_layer *layers;
    uint32_t heads, kv_heads;
    model_norm norm;
    float norm_eps;
    float norm_offset;             /* 1 where stored scales lack it (Gemma in Hugging Face's layout) */
    const char *feed_forward_norm; /* GGUF's word for the norm before it: "ffn_norm" mostly */
    float embedding_scale;         /* sqrt(width) of Gemma; 1 */
    bool embedding_norm;           /* BERT */
    uint32_t token_types;          /* rows of that table (BERT), of which the first is added */
    uint32_t positions;            /* rows of learned positions; 0: none */
    uint32_t position_offset;      /* the first position's row */
    bool encoder;                  /* sees both ways, has no output matrix */
    bool norm_after;               /* norms follow attention and feed-forward (BERT) instead of preceding them */
    bool norm_both;                /* Gemma 2, 3: before and after */
    model_qk_norm qk_norm;
    uint32_t key_dim, value_dim;
    float attention_scale;              /* of q.k */
    bool scale_by_layer;                /* layer i divides it by i + 1 (GPT-2's scale_attn_by_inverse_layer_idx) */
    float attention_cap, output_cap;    /* soft caps; 0 none */
    bool interleaved;                   /* rotary pairs are neighbours */
    model_rope rope[2];                 /* [1]: of layers with a window where those have their own */
    float position_beta, position_span; /* Llama 4's temperature on layers without rope */
    bool sinks;
    model_bias qkv_bias, output_bias, feed_forward_bias;
    graph_function activation;
    bool gated, fused_gate; /* fused: gate and up are one matrix, under up's word (Phi-3) */
    float gate_clamp;       /* gpt-oss */
    /* experts */
    uint32_t experts, expert_feed_forward, shared_feed_forward;
    graph_routing routing;         /* bias is filled in for each layer, where routing_bias */
    bool routing_bias;             /* of the choice (DeepSeek-V3) */
    bool router_bias, expert_bias; /* of the products (gpt-oss) */
    bool weigh_input;
    bool shared_gate; /* Qwen2-MoE: the shared expert times sigmoid(gate x) */
    /* latent attention */
    model_mixer mixer;
    uint32_t query_rank, kv_rank, nope_dim, rope_dim; /* query_rank 0: queries come from the input as they are */
    float latent_eps;                                 /* of the norms of both ranks */
    bool tied;                                        /* the output matrix is the embedding */
} model_description;

/* `context`: how many positions will be used; 0: as many as the model was made for. It decides where a scaling of
 * rotary positions depends on it (longrope, dynamic): with 0, as for a prompt no longer than that of the training.
 * TOLA_E_UNSUPPORTED where the family has no mapper or asks for what is not there, TOLA_E_FORMAT where the
 * configuration contradicts itself. */
tola_status model_describe(const tola_checkpoint *ck, size_t context, model_description **out, tola_error *err);
void model_description_free(model_description *d); /* NULL is fine */

/* ---- rope.c ---- */

typedef struct rope_options {
    family_rope kind;
    uint32_t rotated; /* columns of a head that turn, even */
    double theta, factor;
    double low, high;                                /* llama3 */
    double beta_fast, beta_slow, mscale, mscale_all; /* yarn */
    double magnitude;                                /* given instead of computed; 0: computed (yarn, longrope) */
    bool whole_steps;
    uint64_t original;     /* context of the training */
    uint64_t trained;      /* max_position_embeddings */
    uint64_t context;      /* in use */
    const float *divisors; /* rotated / 2 factors that divide the frequencies: longrope's, or rope_freqs.weight; NULL */
} rope_options;

/* What transformers' modeling_rope_utils.py computes, in the same precision: rotated / 2 frequencies. TOLA_E_FORMAT
 * where they are no finite numbers. */
tola_status rope_frequencies(const rope_options *o, float *frequency, float *magnitude, tola_error *err);
/* What attention's scale is multiplied by, for DeepSeek's yarn. */
double rope_attention_factor(const rope_options *o);

/* ---- weights.c ---- */

/* Opens what a model is run from: quantized schemes (GPTQ, ...) are seen decoded, but for those whose stored form is a
 * type of ours (gpt-oss' mxfp4). */
tola_status model_open(const char *path, tola_checkpoint **out, tola_error *err);

/* The checkpoint's tensors as graph weights: mapped where the file holds them as the kernels read them, else made in
 * memory (transposed, decoded, cast). Borrows the checkpoint and the description. */
typedef struct model_weights model_weights;
tola_status model_weights_open(const tola_checkpoint *ck, const model_description *d, model_weights **out,
                               tola_error *err);
void model_weights_free(model_weights *w); /* NULL is fine */

/* A weight by GGUF's word for it, whatever the file calls it. */
typedef struct model_want {
    const char *word;    /* "attn_q.weight" */
    uint32_t layer;      /* UINT32_MAX: no layer */
    uint64_t rows, cols; /* of each part; vectors have one row */
    uint32_t parts;      /* 1, or experts */
    bool exact;          /* as f32: norms, biases, routers */
    bool optional;
    /* Where the file keeps it as rows of a larger matrix: that one's word, the first row and how many it has. */
    const char *fused;
    uint64_t fused_first, fused_rows;
} model_want;

/* *out is borrowed from w and the same for every call; NULL where it is optional and missing. TOLA_E_FORMAT where it is
 * missing or of another shape (with the tensor and both shapes), TOLA_E_UNSUPPORTED for dtypes that are no numbers. */
tola_status model_weight(model_weights *w, const model_want *want, const graph_weight **out, tola_error *err);
size_t model_weights_made(const model_weights *w);  /* bytes in memory of our own */
size_t model_weights_bytes(const model_weights *w); /* of all weights handed out */
/* Keeps what was made for the next process (made.h); model_build does so. */
void model_weights_keep(model_weights *w);
/* Tensors that nothing has asked for, after building: how many, and the name of the first. Not counted are tables that
 * configurations say anew and parts that are no part of the language model (poolers, vision, prediction of further
 * tokens). */
size_t model_weights_unused(const model_weights *w, const char **first);

/* All elements of a tensor as f32. */
tola_status model_read_f32(const tola_checkpoint *ck, size_t tensor, float *dst, tola_error *err);
/* Elements [first, first + count) in row-major order. */
tola_status model_read_range(const tola_checkpoint *ck, size_t tensor, uint64_t first, uint64_t count, float *dst,
                             tola_error *err);

/* ---- masters.c ---- */

/* Masters: weights that are learned, as f32 in memory of our own that may be changed. Each remembers which tensor it
 * came from, and which elements: rows of a fused matrix, a transposed one, one of stacked experts. */
typedef bool (*model_choose_fn)(void *user, const model_want *want);
/* From now on weights are handed out as masters: those for which `choose` says so, or all (NULL). Before the first
 * model_weight. TOLA_E_UNSUPPORTED, then, for those in mxfp4 parts. */
void model_weights_learn(model_weights *w, model_choose_fn choose, void *user);

typedef struct model_master {
    const char *word; /* of model_want */
    uint32_t layer;
    bool exact; /* a vector, or a router */
    const graph_weight *weight;
    float *const *values; /* weight->parts pointers to rows * cols floats, each part behind the one before */
} model_master;
/* In the order in which they were first asked for, the same each time the same graph is built. */
size_t model_master_count(const model_weights *w);
const model_master *model_master_at(const model_weights *w, size_t i);
/* Every master holds again what the checkpoint holds. */
tola_status model_weights_reset(model_weights *w, tola_error *err);
/* The checkpoint with what the masters hold whenever it is read: the same names, shapes and companions, to be given to
 * tola_convert or tola_quantize. Changed tensors are of `dtype`; with TOLA_DTYPE_NONE of their own one, f32 where that
 * is no float of 16 bits or more. Borrows w. */
tola_status model_weights_view(const model_weights *w, tola_dtype dtype, tola_checkpoint **out, tola_error *err);

/* ---- fresh.c ---- */

/* Elements [first, first + count) of the tensor `name`, which the builder asks for as `want` (of a fused one, its first
 * piece). The same whenever it is asked. */
typedef void (*model_draw_fn)(void *user, const char *name, const model_want *want, uint64_t first, size_t count,
                              float *dst);
/* A checkpoint of a model that does not exist yet: config.json is `config`, the tensors are those of Hugging Face's
 * layout, f32, drawn when they are read. Families that models/ builds. `user` lives as long as *out. */
tola_status model_fresh(const char *config, size_t length, model_draw_fn draw, void *user, tola_checkpoint **out,
                        tola_error *err);

/* ---- adapter.c ---- */

/* A LoRA adapter (arXiv 2106.09685): for some weights two thin matrices, y += scale * B (A x); with a magnitude (DoRA,
 * arXiv 2402.09353) y = magnitude / ||W + scale B A|| * (W + scale B A) x, norms along rows. */
typedef struct model_adapter model_adapter;
/* PEFT's folder or GGUF's file; scale multiplies what the adapter says (alpha / rank). */
tola_status model_adapter_open(const tola_checkpoint *ck, const model_description *base, float scale,
                               model_adapter **out, tola_error *err);
void model_adapter_free(model_adapter *a); /* NULL is fine */

/* One weight's change, borrowed from the adapter. */
typedef struct model_pair {
    const char *name; /* the adapter's tensor, for messages */
    const char *word; /* GGUF's name of the weight, with its pattern: "blk.%d.attn_q.weight" */
    uint32_t layer;
    const graph_weight *down, *up; /* A [rank, cols] and B [rows, rank], f32; down NULL: the weight is left alone */
    const float *magnitude;        /* of each row; NULL: no DoRA */
    float scale;
    /* of adapters that are learned */
    const graph_weight *magnitudes; /* the same as a weight of one row */
    float dropout;                  /* of A's input */
} model_pair;
/* The pair for a weight. TOLA_E_FORMAT where its shapes are not the weight's. */
tola_status model_adapter_find(model_adapter *a, const model_want *want, model_pair *out, tola_error *err);
/* All pairs, in the order in which the adapter lists them. */
size_t model_adapter_count(const model_adapter *a);
model_pair model_adapter_at(const model_adapter *a, size_t i);
/* magnitude / ||w + scale up down|| of each row of w, for a pair with a magnitude: as a weight of one row, made at the
 * first call and kept. */
tola_status model_adapter_lengths(model_adapter *a, const model_pair *changed, const graph_weight *w,
                                  const graph_weight **out, tola_error *err);
/* A pair that nothing has asked for (a layer too many), and the adapter's file; NULL: all have been. */
const char *model_adapter_unused(const model_adapter *a, const char **file);

/* ---- adapter_learn.c ---- */

/* An adapter that is learned: it has a pair for each weight of its targets that the builder asks for. */
typedef struct model_adapter_options {
    uint32_t rank;
    float scale, dropout;
    bool magnitudes; /* DoRA */
    /* PEFT's target_modules: endings of modules' names ("q_proj", "layers.0.mlp.up_proj"), or GGUF's words ("attn_q");
     * NULL-terminated. NULL: every matrix of attention and dense feed-forward layers. Borrowed. */
    const char *const *targets;
} model_adapter_options;
/* Pairs are made when they are asked for: zeros, but that magnitudes are the lengths of the weight's rows. */
tola_status model_adapter_create(const model_description *base, const model_adapter_options *o, model_adapter **out,
                                 tola_error *err);
/* After building: TOLA_E_ARG for a target that is no weight's (with the nearest that is), or where there is none at
 * all. */
tola_status model_adapter_check(const model_adapter *a, tola_error *err);
/* What is learned. Several weights of one fused matrix share A; each has its rows of B. */
typedef enum model_learned_part { MODEL_LEARNED_DOWN, MODEL_LEARNED_UP, MODEL_LEARNED_MAGNITUDE } model_learned_part;
typedef struct model_learned {
    const char *name; /* unique: "model.layers.0.self_attn.q_proj.lora_A.weight" */
    model_learned_part part;
    const graph_weight *weight;
    float *const *values;
} model_learned;
size_t model_adapter_learned_count(const model_adapter *a);
const model_learned *model_adapter_learned_at(const model_adapter *a, size_t i);
/* Sets a pair's magnitudes to the lengths of w's rows where they are to be learned. */
tola_status model_adapter_begin(model_adapter *a, const model_pair *p, const graph_weight *w, tola_error *err);

/* ---- adapter_write.c ---- */

/* What adapter_config.json says of all pairs; GGUF keeps the alpha alone. */
typedef struct model_adapter_facts {
    uint32_t rank;
    double alpha; /* a pair's scale is alpha / rank, or alpha / sqrt(rank) where `rooted` (rsLoRA) */
    bool rooted;
    double dropout;
    const char *base; /* base_model_name_or_path; NULL: null */
} model_adapter_facts;

/* Writes pairs, whose rows are ordered as `d` (of the model they belong to) says, as PEFT's folder (made where it is
 * missing), or as llama.cpp's file where path ends in ".gguf". Facts NULL: those of the first pair. Pairs of other
 * ranks or scales are said so (rank_pattern, alpha_pattern; GGUF: by multiplying B). TOLA_E_UNSUPPORTED for magnitudes
 * in GGUF. */
tola_status model_adapter_write(const model_description *d, const model_pair *pairs, size_t count,
                                const model_adapter_facts *facts, const char *path, bool overwrite, tola_error *err);

/* ---- build.c ---- */

/* Outputs of the graph: [0] logits of the output rows (decoders), or hidden states of all rows (encoders, and decoders
 * when `hidden` is asked for: after the last norm). */
tola_status model_build(const model_description *d, model_weights *w, model_adapter *const *adapters, size_t count,
                        bool hidden, graph **out, tola_error *err);
/* The same into a graph of the caller's, a training graph say, that is not finished: the value that would be the
 * output. Errors are recorded in g. */
graph_value model_append(graph *g, const model_description *d, model_weights *w, model_adapter *const *adapters,
                         size_t count, bool hidden);

#endif
