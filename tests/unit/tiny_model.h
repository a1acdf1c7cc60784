/* Small language models with weights at random, written as files: a Llama in GGUF with a tokenizer, and a Mistral with
 * a sliding window as a Hugging Face folder without one. Included behind unit.h. */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#define TINY_WIDTH 64
#define TINY_HEADS 2
#define TINY_KV_HEADS 1
#define TINY_HEAD 32 /* a block of q8_0 and q4_0 */
#define TINY_FEED_FORWARD 96
#define TINY_LAYERS 2
#define TINY_VOCABULARY 288
#define TINY_CONTEXT 1024
#define TINY_MAX_TENSORS (3 + 9 * TINY_LAYERS)

typedef struct tiny_tensor {
    char name[64];
    uint64_t shape[2];
    unsigned n_dims;
    float scale; /* of the numbers; 0: all are 1 */
} tiny_tensor;

typedef struct tiny {
    bool gguf;
    tiny_tensor tensors[TINY_MAX_TENSORS];
    size_t count;
} tiny;

static inline void tiny_add(tiny *t, const char *name, uint64_t rows, uint64_t cols, float scale) {
    tiny_tensor *x = &t->tensors[t->count++];
    *x = (tiny_tensor){ .shape = { rows, cols }, .n_dims = 2, .scale = scale };
    if (scale == 0) *x = (tiny_tensor){ .shape = { cols, 0 }, .n_dims = 1 };
    snprintf(x->name, sizeof x->name, "%s", name);
}

static inline void tiny_layer(tiny *t, unsigned i) {
    static const struct {
        const char *gguf, *hf;
        uint64_t rows, cols;
        bool matrix;
    } parts[] = {
        { "attn_norm", "input_layernorm", 1, TINY_WIDTH, false },
        { "attn_q", "self_attn.q_proj", TINY_HEADS * TINY_HEAD, TINY_WIDTH, true },
        { "attn_k", "self_attn.k_proj", TINY_KV_HEADS * TINY_HEAD, TINY_WIDTH, true },
        { "attn_v", "self_attn.v_proj", TINY_KV_HEADS * TINY_HEAD, TINY_WIDTH, true },
        { "attn_output", "self_attn.o_proj", TINY_WIDTH, TINY_HEADS * TINY_HEAD, true },
        { "ffn_norm", "post_attention_layernorm", 1, TINY_WIDTH, false },
        { "ffn_gate", "mlp.gate_proj", TINY_FEED_FORWARD, TINY_WIDTH, true },
        { "ffn_up", "mlp.up_proj", TINY_FEED_FORWARD, TINY_WIDTH, true },
        { "ffn_down", "mlp.down_proj", TINY_WIDTH, TINY_FEED_FORWARD, true },
    };
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        char name[64];
        snprintf(name, sizeof name, t->gguf ? "blk.%u.%s.weight" : "model.layers.%u.%s.weight", i,
                 t->gguf ? parts[k].gguf : parts[k].hf);
        tiny_add(t, name, parts[k].rows, parts[k].cols, parts[k].matrix ? 0.3f : 0);
    }
}

static inline void tiny_list(tiny *t, bool gguf) {
    *t = (tiny){ .gguf = gguf };
    tiny_add(t, gguf ? "token_embd.weight" : "model.embed_tokens.weight", TINY_VOCABULARY, TINY_WIDTH, 1);
    for (unsigned i = 0; i < TINY_LAYERS; i++) tiny_layer(t, i);
    tiny_add(t, gguf ? "output_norm.weight" : "model.norm.weight", 1, TINY_WIDTH, 0);
    tiny_add(t, gguf ? "output.weight" : "lm_head.weight", TINY_VOCABULARY, TINY_WIDTH, 0.8f);
}

static inline void tiny_values(tola_writer *w, const tiny *t, uint32_t seed) {
    tola_error err = TOLA_ERROR_INIT;
    for (size_t i = 0; i < t->count; i++) {
        const tiny_tensor *x = &t->tensors[i];
        size_t n = (size_t)(x->n_dims == 2 ? x->shape[0] * x->shape[1] : x->shape[0]);
        float *values = malloc(n * sizeof *values);
        if (!values) abort();
        for (size_t k = 0; k < n; k++) {
            seed = seed * 1664525u + 1013904223u; /* Knuth, as in Numerical Recipes */
            values[k] = x->scale != 0 ? x->scale * ((float)(seed >> 8) / 8388608.0f - 1) : 1;
        }
        if (tola_writer_write(w, i, 0, values, n * sizeof *values, &err) != TOLA_OK) fail_msg("%s", err.message);
        free(values);
    }
}

static inline void tiny_write(const char *path, const tiny *t, uint32_t seed, const tola_value *metadata,
                              const char *config) {
    tola_error err = TOLA_ERROR_INIT;
    tola_tensor_spec specs[TINY_MAX_TENSORS];
    tola_write_options o = TOLA_WRITE_OPTIONS_INIT;
    tola_writer *w;
    for (size_t i = 0; i < t->count; i++)
        specs[i] = (tola_tensor_spec){ t->tensors[i].name, t->tensors[i].shape, (uint16_t)t->tensors[i].n_dims,
                                       TOLA_DTYPE_F32, 0 };
    o.metadata = metadata;
    o.overwrite = true;
    o.format = t->gguf ? "gguf" : "safetensors";
    o.folder = config != NULL;
    if (tola_writer_open(path, specs, t->count, &o, &w, &err) != TOLA_OK) fail_msg("%s", err.message);
    tiny_values(w, t, seed);
    if (config && tola_writer_companion(w, "config.json", config, strlen(config), &err) != TOLA_OK)
        fail_msg("%s", err.message);
    if (tola_writer_finish(w, &err) != TOLA_OK) fail_msg("%s", err.message);
}

/* ---- GGUF's metadata ---- */

static inline tola_member tiny_text(const char *key, const char *text) {
    return (tola_member){ { key, strlen(key) },
                          { .kind = TOLA_VALUE_STRING, .as.string = { text, strlen(text) } } };
}

static inline tola_member tiny_u32(const char *key, uint32_t v) {
    return (tola_member){ { key, strlen(key) }, { .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U32, .as.u64 = v } };
}

static inline tola_member tiny_f32(const char *key, float v) {
    return (tola_member){ { key, strlen(key) }, { .kind = TOLA_VALUE_FLOAT, .dtype = TOLA_DTYPE_F32, .as.f64 = v } };
}

static inline tola_member tiny_array(const char *key, tola_value_kind kind, tola_dtype dtype, const void *items) {
    return (tola_member){ { key, strlen(key) },
                          { .kind = TOLA_VALUE_ARRAY, .element = (uint8_t)kind, .dtype = (uint16_t)dtype,
                            .as.array = { items, TINY_VOCABULARY } } };
}

/* <unk> <s> </s>, 256 bytes, and words. */
static inline void tiny_vocabulary(tola_string *tokens, float *scores, int32_t *types) {
    static char text[TINY_VOCABULARY][16];
    static const char *const words[] = {
        "\xe2\x96\x81", "\xe2\x96\x81the", "\xe2\x96\x81" "a", "e", "t", "a", "o", "n", "he", "th", "in",
        "\xe2\x96\x81" "cat", "\xe2\x96\x81sat", "\xe2\x96\x81on", "\xe2\x96\x81mat", "s", ".", "!", "stop", "st", "op",
        "\xc3\xa4", "\xe6\x97\xa5", "{", "}", "\"", ":", "1", "2",
    };
    for (int i = 0; i < TINY_VOCABULARY; i++) {
        if (i < 3) snprintf(text[i], sizeof text[i], "%s", (const char *[]){ "<unk>", "<s>", "</s>" }[i]);
        else if (i < 259) snprintf(text[i], sizeof text[i], "<0x%02X>", (unsigned)i - 3);
        else snprintf(text[i], sizeof text[i], "%s", words[i - 259]);
        tokens[i] = (tola_string){ text[i], strlen(text[i]) };
        scores[i] = (float)-i;
        types[i] = i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1; /* unknown, control, byte, normal */
    }
    _Static_assert(259 + sizeof words / sizeof *words == TINY_VOCABULARY, "the words fill the vocabulary");
}

static inline void tiny_gguf(const char *path, uint32_t seed) {
    tola_string tokens[TINY_VOCABULARY];
    float scores[TINY_VOCABULARY];
    int32_t types[TINY_VOCABULARY];
    tiny t;
    tiny_vocabulary(tokens, scores, types);
    tiny_list(&t, true);
    tola_member members[] = {
        tiny_text("general.architecture", "llama"),
        tiny_u32("llama.block_count", TINY_LAYERS),
        tiny_u32("llama.context_length", TINY_CONTEXT),
        tiny_u32("llama.embedding_length", TINY_WIDTH),
        tiny_u32("llama.feed_forward_length", TINY_FEED_FORWARD),
        tiny_u32("llama.attention.head_count", TINY_HEADS),
        tiny_u32("llama.attention.head_count_kv", TINY_KV_HEADS),
        tiny_u32("llama.rope.dimension_count", TINY_HEAD),
        tiny_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f),
        tiny_text("tokenizer.ggml.model", "llama"),
        tiny_array("tokenizer.ggml.tokens", TOLA_VALUE_STRING, TOLA_DTYPE_NONE, tokens),
        tiny_array("tokenizer.ggml.scores", TOLA_VALUE_FLOAT, TOLA_DTYPE_F32, scores),
        tiny_array("tokenizer.ggml.token_type", TOLA_VALUE_INT, TOLA_DTYPE_I32, types),
        tiny_u32("tokenizer.ggml.bos_token_id", 1),
        tiny_u32("tokenizer.ggml.eos_token_id", 2),
    };
    tola_value metadata = { .kind = TOLA_VALUE_MAP, .as.map = { members, sizeof members / sizeof *members } };
    tiny_write(path, &t, seed, &metadata, NULL);
}

static inline void tiny_mistral(const char *folder, uint32_t seed, unsigned window) {
    char config[1024];
    tiny t;
    tiny_list(&t, false);
    snprintf(config, sizeof config,
             "{\"architectures\": [\"MistralForCausalLM\"], \"model_type\": \"mistral\", \"hidden_size\": %d, "
             "\"intermediate_size\": %d, \"num_hidden_layers\": %d, \"num_attention_heads\": %d, "
             "\"num_key_value_heads\": %d, \"head_dim\": %d, \"vocab_size\": %d, \"max_position_embeddings\": %d, "
             "\"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, \"hidden_act\": \"silu\", \"sliding_window\": %u, "
             "\"tie_word_embeddings\": false, \"torch_dtype\": \"float32\"}",
             TINY_WIDTH, TINY_FEED_FORWARD, TINY_LAYERS, TINY_HEADS, TINY_KV_HEADS, TINY_HEAD, TINY_VOCABULARY,
             TINY_CONTEXT, window);
    tiny_write(folder, &t, seed, NULL, config);
}

#endif
