/* What a model takes and what it does, from its shape: bytes of inference and of training by part, operations and bytes
 * that a token costs. Every formula stands in memory.c, memory_train.c and work.c beside its source.
 *
 * Bytes are those of one copy of the model on one machine; sharing them out over devices is the caller's. Sums that do
 * not fit into 64 bits are TOLA_E_LIMIT. */
#ifndef POLICY_MEMORY_H
#define POLICY_MEMORY_H

#include "policy/shape.h"

typedef struct memory_bytes {
    uint64_t weights;
    uint64_t kv;      /* keys, values, states of all sequences */
    uint64_t compute; /* scratch of a step; of images, every value of the forward */
    uint64_t gradients, optimizer;
    uint64_t activations; /* kept for the backward */
    uint64_t total;
    /* of the weights: */
    uint64_t embedding; /* input table, which a token reads one row of */
    uint64_t experts;   /* routed ones, all */
    const char *basis;  /* how it was counted, a sentence; static storage */
} memory_bytes;

/* ---- how weights are kept ---- */

typedef struct memory_weights {
    bool stored;      /* as the file or its configuration keeps them; 16 bits where that is unknown */
    double bits;      /* a weight, scales included; of `stored` ones without meaning */
    double rest_bits; /* of vectors, and of tables and heads where the layout leaves them alone; 0: as `bits` */
    bool mixture;     /* one of llama.cpp's: each tensor has a type of its own; `bits` are the usual average */
    bool keep_tables; /* embedding and output stay at rest_bits (GPTQ, AWQ, bitsandbytes and their kin) */
    tola_dtype dtype; /* of one type of ours; TOLA_DTYPE_NONE: nominal bits, a mixture or a layout */
    char name[32];    /* as written, in lower case; "stored" */
} memory_weights;
/* "stored" (or NULL), nominal words ("fp32", "fp16", "bf16", "fp8", "int8" .. "int1": that many bits for every
 * weight), types of ours ("q4_k", "nvfp4": scales counted, vectors as f32), llama.cpp's mixtures ("q4_k_m"), layouts
 * ("gptq", "awq", "nf4"). TOLA_E_ARG with the nearest word otherwise. */
tola_status memory_weights_parse(const char *word, memory_weights *out, tola_error *err);
/* The words above that a model is commonly quantized to, best first ("bf16", "q8_0", "q6_k", ...), NULL at the end. */
extern const char *const memory_weights_words[];
tola_status memory_weights_bytes(const model_shape *shape, const memory_weights *w, uint64_t *bytes, tola_error *err);

/* ---- inference ---- */

/* Whose buffers: cache pages and scratch differ. */
typedef enum memory_engine {
    MEMORY_SERVER, /* as the architecture says: a server on accelerators, 16 positions a page */
    MEMORY_TOLA,   /* as `tola run` takes them: pages of 64 positions, few rows of logits, latent keys unfolded */
    MEMORY_LLAMA   /* as llama.cpp's defaults do: whole cache at once, logits for a micro-batch */
} memory_engine;

typedef struct memory_inference {
    memory_weights weights; /* all zeros: as stored */
    memory_engine engine;
    tola_dtype key, value; /* of the cache: f32 f16 bf16 f8_e4m3 q8_0 q4_0 ...; TOLA_DTYPE_NONE: f16 */
    uint64_t context;      /* tokens a sequence; 0: the model's own, 4096 where unknown */
    uint64_t batch;        /* sequences (of other models: examples); 0: 1 */
    uint64_t step;         /* tokens of a prompt computed at once; 0: 512 */
    unsigned threads;      /* of scratch; 0: 1 */
} memory_inference;

tola_status memory_of_inference(const model_shape *shape, const memory_inference *o, memory_bytes *out,
                                tola_error *err);
/* The cache alone, `batch` sequences of `context` tokens (0: 1). */
tola_status memory_kv(const model_shape *shape, const memory_inference *o, uint64_t *bytes, tola_error *err);
/* What one further token adds to the cache when windows are full; 0 where nothing grows. */
double memory_kv_token(const model_shape *shape, const memory_inference *o);
/* The context that `o` stands for. */
uint64_t memory_context(const model_shape *shape, const memory_inference *o);

/* ---- training ---- */

typedef enum memory_method { MEMORY_FULL, MEMORY_LORA, MEMORY_QLORA } memory_method;
typedef enum memory_optimizer { MEMORY_ADAMW, MEMORY_ADAMW8, MEMORY_SGD_MOMENTUM, MEMORY_SGD } memory_optimizer;
typedef enum memory_recompute { MEMORY_KEEP_ALL, MEMORY_RECOMPUTE_ATTENTION, MEMORY_RECOMPUTE_LAYERS } memory_recompute;

typedef struct memory_training {
    memory_method method;
    memory_optimizer optimizer;
    memory_recompute recompute;
    bool f32;            /* weights, gradients and activations in 32 bits; else mixed: 16 bits with f32 masters */
    bool fused;          /* attention never keeps its scores (FlashAttention) */
    uint64_t batch;      /* sequences (or examples) of a micro-batch; 0: 1 */
    uint64_t context;    /* tokens of each; 0: 2048, or the model's own if that is less */
    uint32_t rank;       /* of adapters; 0: 16 */
    memory_engine engine; /* MEMORY_TOLA: as `tola train` lays it out: f32, scores never kept, masters as weights */
    memory_weights base; /* of frozen weights: all zeros: bf16 with LoRA, nf4 with QLoRA */
} memory_training;

tola_status memory_of_training(const model_shape *shape, const memory_training *o, memory_bytes *out, tola_error *err);
/* Parameters that such a training changes: all, or those of adapters on every matrix of attention and feed-forward. */
uint64_t memory_trained(const model_shape *shape, const memory_training *o);

/* ---- work ---- */

/* Operations (a multiplication and an addition are two) of reading `tokens` (at least 1) tokens of one sequence from its
 * first on; in the last layer of all but the last one keys and values alone. Of other models: of `tokens` examples. */
double memory_prefill_operations(const model_shape *shape, uint64_t tokens);
/* Of the token behind `context` others, logits included. */
double memory_decode_operations(const model_shape *shape, uint64_t context);
/* Routed experts of a layer of `experts` that `tokens` tokens reach, when each chooses `used` at random:
 * E (1 - (1 - k/E)^tokens). */
double memory_experts_reached(uint32_t experts, uint32_t used, uint64_t tokens);
/* Bytes that one decoding step of o->batch sequences with `context` tokens each reads: weights (of experts those that
 * are reached, of the embedding the rows), and keys and values. Both may be NULL. */
tola_status memory_decode_bytes(const model_shape *shape, const memory_inference *o, uint64_t context, double *weights,
                                double *kv, tola_error *err);
/* Of reading a prompt of `tokens` tokens in steps of o->step. */
tola_status memory_prefill_bytes(const model_shape *shape, const memory_inference *o, uint64_t tokens, double *bytes,
                                 tola_error *err);

#endif
