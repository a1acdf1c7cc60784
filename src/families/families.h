/* What each architecture family calls its tensors and its configuration, as data.
 *
 * Nothing here reads tensors or files: names, metadata and config.json only. Everything borrowed is static or belongs
 * to the checkpoint. Sources: config.json of the models themselves, huggingface/transformers (configuration classes),
 * ggml-org/llama.cpp (gguf-py/gguf/constants.py, tensor_mapping.py) and the GGUF specification. */
#ifndef FAMILIES_FAMILIES_H
#define FAMILIES_FAMILIES_H

#include <tola/checkpoint.h>
#include <tola/insight.h>

/* Whose rows of names.c are this family's; FAMILY_MAP_NONE: detected and described only. */
typedef enum family_map {
    FAMILY_MAP_NONE = 0,
    FAMILY_MAP_LLAMA, /* Llama, Mistral, Mixtral: rotary halves of Q and K are interleaved in GGUF */
    FAMILY_MAP_QWEN2,
    FAMILY_MAP_QWEN3,
    FAMILY_MAP_GEMMA,
    FAMILY_MAP_GEMMA2,
    FAMILY_MAP_GEMMA3,
    FAMILY_MAP_PHI3,
    /* from here on read-only: models/ finds their tensors in both layouts, nothing converts them */
    FAMILY_MAP_GPT2,
    FAMILY_MAP_LLAMA4,
    FAMILY_MAP_OLMOE,
    FAMILY_MAP_DEEPSEEK2,
    FAMILY_MAP_GPT_OSS,
    FAMILY_MAP_BERT,
    /* names and layouts of the one without READ */
    FAMILY_MAP_READ_LLAMA,
    FAMILY_MAP_READ_QWEN2,
    FAMILY_MAP_READ_QWEN3
} family_map;

/* Do conversions to GGUF and back know this family? */
static inline bool family_converts(family_map map) { return map != FAMILY_MAP_NONE && map <= FAMILY_MAP_PHI3; }
/* Does GGUF order rows of queries and keys so that neighbours turn, where Hugging Face turns halves? */
static inline bool family_interleaves(family_map map) {
    return map == FAMILY_MAP_LLAMA || map == FAMILY_MAP_READ_LLAMA;
}

/* One row of families.c. Lists are words separated by single spaces; NULL is none. */
typedef struct family {
    const char *name;        /* Tola's word, one per architecture: "llama", "mixtral", "gpt2" */
    const char *model_types; /* model_type in config.json */
    const char *classes;     /* architectures[0] in config.json; a trailing * matches any ending */
    const char *gguf;        /* general.architecture in GGUF */
    const char *hints;       /* tensor names that only this family has, where nothing else tells: all must be present
                                (as an ending of a name, so that a prefix such as "transformer." does not matter) */
    family_map map;
} family;

/* The family of a checkpoint: by config.json, else GGUF's general.architecture, else tensor names; NULL: unknown. */
const family *families_detect(const tola_checkpoint *ck);
/* By one word of config.json's model_type, of its architectures, or GGUF's general.architecture. Each may be NULL. */
const family *families_by_model_type(const char *model_type);
const family *families_by_class(const char *class_name);
const family *families_by_gguf(const char *architecture);
/* By a whole config.json: model_type, else architectures, else the same of the language model nested in it. */
const family *families_by_config(const tola_value *config);
/* All rows, for tests and listings; NULL beyond the end. */
const family *families_row(size_t index);

/* ---- configuration in one set of words ---- */

typedef enum family_rope {
    FAMILY_ROPE_NONE = 0, /* as trained */
    FAMILY_ROPE_LINEAR,
    FAMILY_ROPE_DYNAMIC,
    FAMILY_ROPE_YARN,
    FAMILY_ROPE_LLAMA3,
    FAMILY_ROPE_LONGROPE, /* Phi-3's su and longrope */
    FAMILY_ROPE_MROPE,
    FAMILY_ROPE_OTHER
} family_rope;

/* 0 or NULL where the source says nothing; nothing is guessed but what a comment here or in hyper.c says. */
typedef struct family_hyper {
    uint64_t layers;
    uint64_t width;          /* hidden_size */
    uint64_t heads, kv_heads; /* kv_heads = heads where nothing else is said; largest layer's where they differ */
    uint64_t head_dim;       /* width / heads where nothing else is said */
    uint64_t feed_forward;   /* of dense layers */
    uint64_t context;        /* positions */
    uint64_t vocabulary;
    uint64_t experts, experts_used; /* routed experts a layer; chosen per token */
    uint64_t shared_experts;
    uint64_t expert_feed_forward, shared_feed_forward;
    uint64_t first_dense;    /* leading layers without experts */
    uint64_t sliding_window; /* 0: full attention everywhere */
    double norm_eps;
    double rope_theta;
    double rope_partial;     /* share of head_dim that is rotated; 1 where nothing is said */
    family_rope rope;
    double rope_factor, rope_low_freq, rope_high_freq, rope_attn_factor, rope_beta_fast, rope_beta_slow;
    double rope_mscale, rope_mscale_all; /* DeepSeek's yarn: of the rotation, of attention's scale */
    double rope_local_theta; /* of layers with a sliding window, where they have their own (Gemma 3) */
    bool rope_whole_steps;   /* yarn's range of dimensions is rounded outwards (all but gpt-oss) */
    uint64_t rope_original_context;
    const tola_value *rope_short, *rope_long; /* longrope factors, arrays of head_dim/2 numbers */
    bool tie_embeddings;
    const char *activation;  /* hidden_act as written */
    const tola_value *text;  /* the part of config.json that describes the language model; NULL for GGUF */
} family_hyper;

/* From config.json's tree (language models nested under text_config, llm_config, ... too). */
void families_hyper_hf(const tola_value *config, family_hyper *out);
/* From GGUF's key-values. */
void families_hyper_gguf(const tola_value *metadata, family_hyper *out);
/* Fills in what config.json leaves out because it equals the default of transformers' class. Numbers of heads and the
 * context may still be 0 where it says so. */
void families_hyper_defaults(const family *f, family_hyper *h);
/* From whichever the checkpoint has. False where it has neither (then *out is all zeros). */
bool families_hyper_of(const tola_checkpoint *ck, family_hyper *out);
/* The first member that is there and not null, of names separated by single spaces; a dot descends:
 * "rope_parameters.rope_theta". NULL where there is none. */
const tola_value *families_find(const tola_value *map, const char *names);
/* The part of config.json that describes the language model: config itself or what is nested in it. */
const tola_value *families_text_config(const tola_value *config);

/* ---- tensor names ---- */

/* What a tensor is for, judged by its name (Hugging Face's, GGUF's and general PyTorch words) and, where the name does
 * not tell, by its dtype and number of dimensions. Integers and booleans that carry no packed weights are buffers. */
tola_role families_role(const char *name, tola_dtype dtype, unsigned n_dims);

/* Roles of all tensors of a checkpoint, a tola_role each, into roles[tensor count]; several times faster than asking
 * one by one where layers repeat. A norm's bias counts as norm. */
void families_roles(const tola_checkpoint *ck, uint8_t *roles);

/* Finds the index of the layer in a name: "model.layers.12.mlp.up_proj.weight" -> prefix_length 13 ("model.layers."),
 * index 12. The first path component that is a number counts. False where there is none. */
bool families_layer(const char *name, size_t *prefix_length, uint64_t *index);

/* Is this tensor one that a quantizer packed (GPTQ, AWQ qweight; bitsandbytes 4-bit weight in bytes; MLX uint32 weight;
 * compressed-tensors weight_packed)? Decided by name and dtype alone. */
bool families_packed(const char *name, tola_dtype dtype);

#endif
