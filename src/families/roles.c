/* What a tensor is for, judged by its name.
 *
 * A name is a path of components ("model.layers.3.self_attn.q_proj.weight"). Each component has a meaning and a rank;
 * the component of the highest rank decides, of equals the later. Components that are in no table are searched for
 * parts ("attn", "norm"). The last component may decide alone (bias, quantization data, running statistics).
 * Nothing here knows families: the words of Hugging Face, GGUF, timm, fairseq and the models' own code share tables. */
#include "families/families.h"

#include <string.h>

/* Ranks: a higher one overrides what outer or inner components say. */
enum { RANK_NONE = 0, RANK_VAGUE = 10, RANK_WEAK = 20, RANK_PLAIN = 30, RANK_STRONG = 40, RANK_SURE = 50 };

typedef struct word {
    const char *text;
    uint8_t role, rank;
} word;

/* Whole components. */
static const word words[] = {
    { "D", TOLA_ROLE_RECURRENT, RANK_PLAIN },
    { "h", TOLA_ROLE_OTHER, RANK_NONE },
    { "q", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "k", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "v", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "o", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "bn", TOLA_ROLE_NORM, RANK_STRONG },
    { "ff", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "fc", TOLA_ROLE_FEED_FORWARD, RANK_VAGUE },
    { "ln", TOLA_ROLE_NORM, RANK_STRONG },
    { "w1", TOLA_ROLE_FEED_FORWARD, RANK_WEAK },
    { "w2", TOLA_ROLE_FEED_FORWARD, RANK_WEAK },
    { "w3", TOLA_ROLE_FEED_FORWARD, RANK_WEAK },
    { "wi", TOLA_ROLE_FEED_FORWARD, RANK_WEAK },
    { "wk", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "wo", TOLA_ROLE_ATTENTION, RANK_VAGUE },
    { "wq", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "wv", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "att", TOLA_ROLE_RECURRENT, RANK_STRONG }, /* RWKV's time mixing */
    { "blk", TOLA_ROLE_OTHER, RANK_NONE },
    { "cls", TOLA_ROLE_OUTPUT, RANK_PLAIN },
    { "emb", TOLA_ROLE_EMBEDDING, RANK_PLAIN },
    { "fc1", TOLA_ROLE_FEED_FORWARD, RANK_WEAK },
    { "fc2", TOLA_ROLE_FEED_FORWARD, RANK_WEAK },
    { "ffn", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "gru", TOLA_ROLE_RECURRENT, RANK_PLAIN },
    { "key", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "mlp", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "moe", TOLA_ROLE_EXPERTS, RANK_VAGUE },
    { "qkv", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "rnn", TOLA_ROLE_RECURRENT, RANK_PLAIN },
    { "wpe", TOLA_ROLE_EMBEDDING, RANK_PLAIN },
    { "wte", TOLA_ROLE_EMBEDDING, RANK_PLAIN },
    { "attn", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "conv", TOLA_ROLE_CONVOLUTION, RANK_WEAK },
    { "gate", TOLA_ROLE_ROUTER, RANK_STRONG },
    { "head", TOLA_ROLE_OUTPUT, RANK_PLAIN },
    { "lstm", TOLA_ROLE_RECURRENT, RANK_PLAIN },
    { "norm", TOLA_ROLE_NORM, RANK_SURE },
    { "Wqkv", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "beta", TOLA_ROLE_NORM, RANK_WEAK },
    { "wqkv", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "A_log", TOLA_ROLE_RECURRENT, RANK_PLAIN },
    { "c_fc", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "dense", TOLA_ROLE_FEED_FORWARD, RANK_VAGUE },
    { "fc_in", TOLA_ROLE_FEED_FORWARD, RANK_WEAK },
    { "gamma", TOLA_ROLE_NORM, RANK_WEAK },
    { "layer", TOLA_ROLE_OTHER, RANK_NONE },
    { "mixer", TOLA_ROLE_RECURRENT, RANK_WEAK },
    { "model", TOLA_ROLE_OTHER, RANK_NONE },
    { "query", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "score", TOLA_ROLE_OUTPUT, RANK_PLAIN },
    { "sinks", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "value", TOLA_ROLE_ATTENTION, RANK_WEAK },
    { "W_pack", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "blocks", TOLA_ROLE_OTHER, RANK_NONE },
    { "c_attn", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "c_proj", TOLA_ROLE_FEED_FORWARD, RANK_VAGUE },
    { "fc_out", TOLA_ROLE_FEED_FORWARD, RANK_WEAK },
    { "k_proj", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "layers", TOLA_ROLE_OTHER, RANK_NONE },
    { "o_proj", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "output", TOLA_ROLE_FEED_FORWARD, RANK_VAGUE }, /* BERT's; "output.weight" of a whole model: see below */
    { "q_proj", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "router", TOLA_ROLE_ROUTER, RANK_STRONG },
    { "v_proj", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "weight", TOLA_ROLE_OTHER, RANK_NONE },
    { "decoder", TOLA_ROLE_OTHER, RANK_NONE },
    { "dt_bias", TOLA_ROLE_RECURRENT, RANK_PLAIN },
    { "encoder", TOLA_ROLE_OTHER, RANK_NONE },
    { "experts", TOLA_ROLE_EXPERTS, RANK_SURE },
    { "in_proj", TOLA_ROLE_OTHER, RANK_NONE },
    { "indexer", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "lm_head", TOLA_ROLE_OUTPUT, RANK_STRONG },
    { "up_proj", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "mm_proj", TOLA_ROLE_FEED_FORWARD, RANK_VAGUE },
    { "out_proj", TOLA_ROLE_ATTENTION, RANK_VAGUE },
    { "position", TOLA_ROLE_EMBEDDING, RANK_VAGUE },
    { "attention", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "cls_token", TOLA_ROLE_EMBEDDING, RANK_PLAIN },
    { "down_proj", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "embed_out", TOLA_ROLE_OUTPUT, RANK_STRONG },
    { "gate_proj", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "self_attn", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "classifier", TOLA_ROLE_OUTPUT, RANK_PLAIN },
    { "layer_norm", TOLA_ROLE_NORM, RANK_SURE },
    { "pos_embed", TOLA_ROLE_EMBEDDING, RANK_PLAIN },
    { "qa_outputs", TOLA_ROLE_OUTPUT, RANK_PLAIN },
    { "class_embed", TOLA_ROLE_EMBEDDING, RANK_PLAIN },
    { "linear_attn", TOLA_ROLE_ATTENTION, RANK_STRONG },
    { "predictions", TOLA_ROLE_OUTPUT, RANK_PLAIN },
    { "embed_tokens", TOLA_ROLE_EMBEDDING, RANK_STRONG },
    { "feed_forward", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "ffn_gate_inp", TOLA_ROLE_ROUTER, RANK_STRONG },
    { "output_layer", TOLA_ROLE_OUTPUT, RANK_STRONG },
    { "gate_up_proj", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "exp_probs_b", TOLA_ROLE_ROUTER, RANK_SURE },
    { "shared_expert", TOLA_ROLE_FEED_FORWARD, RANK_STRONG },
    { "shared_experts", TOLA_ROLE_FEED_FORWARD, RANK_STRONG },
    { "shared_expert_gate", TOLA_ROLE_ROUTER, RANK_STRONG },
    { "input_layernorm", TOLA_ROLE_NORM, RANK_SURE },
    { "shared_head_head", TOLA_ROLE_OUTPUT, RANK_PLAIN },
};

#define WORD_COUNT (sizeof words / sizeof words[0])

/* Parts of components, tried in this order where the whole is unknown. */
static const word parts[] = {
    { "lora_", TOLA_ROLE_ADAPTER, RANK_SURE },
    { "norm", TOLA_ROLE_NORM, RANK_SURE },
    { "Norm", TOLA_ROLE_NORM, RANK_SURE },
    { "exp_probs", TOLA_ROLE_ROUTER, RANK_SURE },
    { "router", TOLA_ROLE_ROUTER, RANK_SURE },
    { "gate_inp", TOLA_ROLE_ROUTER, RANK_SURE },
    { "score_correction", TOLA_ROLE_ROUTER, RANK_SURE },
    { "_shexp", TOLA_ROLE_FEED_FORWARD, RANK_STRONG },
    { "shared_expert", TOLA_ROLE_FEED_FORWARD, RANK_STRONG },
    { "_exps", TOLA_ROLE_EXPERTS, RANK_SURE },
    { "expert", TOLA_ROLE_EXPERTS, RANK_STRONG },
    { "ssm_", TOLA_ROLE_RECURRENT, RANK_STRONG },
    { "time_mix", TOLA_ROLE_RECURRENT, RANK_STRONG },
    { "time_decay", TOLA_ROLE_RECURRENT, RANK_STRONG },
    { "channel_mix", TOLA_ROLE_FEED_FORWARD, RANK_STRONG },
    { "weight_ih", TOLA_ROLE_RECURRENT, RANK_STRONG },
    { "weight_hh", TOLA_ROLE_RECURRENT, RANK_STRONG },
    { "bias_ih", TOLA_ROLE_RECURRENT, RANK_STRONG },
    { "bias_hh", TOLA_ROLE_RECURRENT, RANK_STRONG },
    { "lstm", TOLA_ROLE_RECURRENT, RANK_PLAIN },
    { "attention_bias", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "embd", TOLA_ROLE_EMBEDDING, RANK_PLAIN },
    { "embed", TOLA_ROLE_EMBEDDING, RANK_PLAIN },
    { "token_type", TOLA_ROLE_EMBEDDING, RANK_PLAIN },
    { "attn", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "Attention", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "attention", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "_kv_", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "kv_a_proj", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "qkv", TOLA_ROLE_ATTENTION, RANK_PLAIN },
    { "ffn_", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "mlp", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "ReluDense", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "_4h", TOLA_ROLE_FEED_FORWARD, RANK_PLAIN },
    { "conv", TOLA_ROLE_CONVOLUTION, RANK_WEAK },
    { "intermediate", TOLA_ROLE_FEED_FORWARD, RANK_VAGUE },
    { "linear", TOLA_ROLE_FEED_FORWARD, RANK_VAGUE },
    { "dense", TOLA_ROLE_FEED_FORWARD, RANK_VAGUE },
    { "wi_", TOLA_ROLE_FEED_FORWARD, RANK_VAGUE },
};

/* Endings of a whole name that decide alone. */
static const struct {
    const char *text;
    uint8_t role;
} endings[] = {
    /* GPTQ, AWQ, MLX, compressed-tensors, modelopt, FP8, gpt-oss, bitsandbytes */
    { ".scales", TOLA_ROLE_QUANT },
    { "_scales", TOLA_ROLE_QUANT },
    { ".biases", TOLA_ROLE_QUANT },
    { ".qzeros", TOLA_ROLE_QUANT },
    { ".g_idx", TOLA_ROLE_QUANT },
    { ".weight_g_idx", TOLA_ROLE_QUANT },
    { ".weight_scale", TOLA_ROLE_QUANT },
    { ".weight_scale_2", TOLA_ROLE_QUANT },
    { "_scale_inv", TOLA_ROLE_QUANT },
    { ".weight_global_scale", TOLA_ROLE_QUANT },
    { ".input_global_scale", TOLA_ROLE_QUANT },
    { ".weight_zero_point", TOLA_ROLE_QUANT },
    { ".input_zero_point", TOLA_ROLE_QUANT },
    { ".weight_shape", TOLA_ROLE_QUANT },
    { ".input_scale", TOLA_ROLE_QUANT },
    { ".output_scale", TOLA_ROLE_QUANT },
    { ".k_scale", TOLA_ROLE_QUANT },
    { ".v_scale", TOLA_ROLE_QUANT },
    { ".absmax", TOLA_ROLE_QUANT },
    { ".nested_absmax", TOLA_ROLE_QUANT },
    { ".quant_map", TOLA_ROLE_QUANT },
    { ".nested_quant_map", TOLA_ROLE_QUANT },
    { ".SCB", TOLA_ROLE_QUANT },
    { ".weight_format", TOLA_ROLE_QUANT },
    { ".qscale", TOLA_ROLE_QUANT },
    /* running statistics and tables that are computed, not trained */
    { "running_mean", TOLA_ROLE_BUFFER },
    { "running_var", TOLA_ROLE_BUFFER },
    { "num_batches_tracked", TOLA_ROLE_BUFFER },
    { "position_ids", TOLA_ROLE_BUFFER },
    { "inv_freq", TOLA_ROLE_BUFFER },
    { "cos_cached", TOLA_ROLE_BUFFER },
    { "sin_cached", TOLA_ROLE_BUFFER },
    { "masked_bias", TOLA_ROLE_BUFFER },
    { "rope_freqs.weight", TOLA_ROLE_BUFFER },
    { "rope_factors_long.weight", TOLA_ROLE_BUFFER },
    { "rope_factors_short.weight", TOLA_ROLE_BUFFER },
    { "attn_rot_embd.weight", TOLA_ROLE_BUFFER },
    { "relative_position_index", TOLA_ROLE_BUFFER },
};

/* Parts of a whole name that mark adapters (PEFT, LyCORIS, kohya). */
static const char *const adapter_marks[] = { "lora_A",  "lora_B", "lora_a", "lora_b", "lora_up", "lora_down",
                                             "lora_E",  "lora_magnitude", "lora_embedding", ".hada_", ".lokr_",
                                             "ia3_l",   "vera_",  "vblora_", "oft_r", "oft_R", "boft_",
                                             "prompt_encoder.", ".adalora", "adaption_", "w_a_linear", "w_b_linear" };

static bool ends_with(const char *name, size_t length, const char *ending) {
    size_t n = strlen(ending);
    return length >= n && memcmp(name + length - n, ending, n) == 0;
}

/* Components are at most a few dozen bytes: longer ones have no meaning here. */
#define COMPONENT_MAX 63

static const word *find_part(const char *component, size_t length) {
    char text[COMPONENT_MAX + 1];
    if (length > COMPONENT_MAX) return NULL;
    memcpy(text, component, length);
    text[length] = '\0';
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(text, parts[i].text) != NULL) return &parts[i];
    /* ln_1, ln_f, ln1, ln_pre, ...; bn1, bn2 */
    if ((text[0] == 'l' || text[0] == 'b') && text[1] == 'n' &&
        (text[2] == '_' || (text[2] >= '0' && text[2] <= '9'))) {
        static const word norm = { "ln", TOLA_ROLE_NORM, RANK_STRONG };
        return &norm;
    }
    return NULL;
}

static const word *find_word(const char *component, size_t length) {
    for (size_t i = 0; i < WORD_COUNT; i++) {
        const char *text = words[i].text;
        if (text[0] == component[0] && strncmp(text, component, length) == 0 && text[length] == '\0') return &words[i];
    }
    return find_part(component, length);
}

static bool is_integer(tola_dtype dtype) {
    tola_dtype_kind kind = tola_dtype_get_kind(dtype);
    return kind == TOLA_KIND_INT || kind == TOLA_KIND_UINT || kind == TOLA_KIND_BOOL;
}

bool families_packed(const char *name, tola_dtype dtype) {
    size_t length = strlen(name);
    if (!is_integer(dtype)) return false;
    if (ends_with(name, length, ".qweight") || ends_with(name, length, ".weight_packed") ||
        ends_with(name, length, ".W_q") || ends_with(name, length, "_blocks"))
        return true;
    if (!ends_with(name, length, ".weight")) return false;
    /* MLX packs into 32-bit words, bitsandbytes and NVFP4 into bytes. */
    return dtype == TOLA_DTYPE_U32 || dtype == TOLA_DTYPE_U8;
}

/* Adapters, quantization data, statistics: what an ending or a mark decides. TOLA_ROLE_COUNT where nothing does. */
static tola_role role_by_ending(const char *name, size_t length, tola_dtype dtype) {
    for (size_t i = 0; i < sizeof adapter_marks / sizeof adapter_marks[0]; i++)
        if (strstr(name, adapter_marks[i]) != NULL) return TOLA_ROLE_ADAPTER;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (ends_with(name, length, endings[i].text)) return endings[i].role;
    if (strstr(name, ".quant_state.") != NULL) return TOLA_ROLE_QUANT;
    /* ggml's per-tensor scales (BitNet, NVFP4) stand beside a weight; other ".scale" are those of norms. */
    if (strncmp(name, "blk.", 4) == 0 && ends_with(name, length, ".scale")) return TOLA_ROLE_QUANT;
    /* Integer weights of one value each (bitsandbytes int8) are weights; all other plain integers are buffers. */
    if (is_integer(dtype) && !families_packed(name, dtype) &&
        !(dtype == TOLA_DTYPE_I8 && ends_with(name, length, ".weight")))
        return TOLA_ROLE_BUFFER;
    return TOLA_ROLE_COUNT;
}

tola_role families_role(const char *name, tola_dtype dtype, unsigned n_dims) {
    size_t length = strlen(name);
    tola_role decided = role_by_ending(name, length, dtype);
    if (decided != TOLA_ROLE_COUNT) return decided;
    if (strcmp(name, "output.weight") == 0) return TOLA_ROLE_OUTPUT;

    tola_role role = TOLA_ROLE_OTHER;
    unsigned rank = RANK_NONE;
    const char *last = name;
    size_t last_length = length;
    for (const char *p = name; *p != '\0';) {
        size_t n = strcspn(p, "./");
        last = p;
        last_length = n;
        if (n > 0 && !(p[0] >= '0' && p[0] <= '9')) {
            const word *w = find_word(p, n);
            if (w != NULL && w->rank != RANK_NONE && w->rank >= rank) {
                rank = w->rank;
                role = (tola_role)w->role;
            }
        }
        p += n;
        if (*p != '\0') p++;
    }
    bool is_bias = (last_length >= 4 && memcmp(last + last_length - 4, "bias", 4) == 0) ||
                   (last_length == 1 && last[0] == 'b');
    if (is_bias && role != TOLA_ROLE_NORM && role != TOLA_ROLE_ROUTER && role != TOLA_ROLE_RECURRENT) {
        /* GPT-2's causal mask is called "attn.bias" and has four dimensions. */
        return n_dims >= 3 && role == TOLA_ROLE_ATTENTION ? TOLA_ROLE_BUFFER : TOLA_ROLE_BIAS;
    }
    if (n_dims >= 4 && role != TOLA_ROLE_EMBEDDING && role != TOLA_ROLE_EXPERTS) return TOLA_ROLE_CONVOLUTION;
    /* A "weight" of one dimension is neither a product's nor a convolution's: only norms have such. */
    if (n_dims == 1 && rank <= RANK_PLAIN && last_length == 6 && memcmp(last, "weight", 6) == 0 &&
        role != TOLA_ROLE_RECURRENT)
        return TOLA_ROLE_NORM;
    return role;
}

bool families_layer(const char *name, size_t *prefix_length, uint64_t *index) {
    for (const char *p = name; *p != '\0';) {
        size_t n = strcspn(p, "./");
        size_t digits = strspn(p, "0123456789");
        if (n > 0 && digits == n && n <= 9) {
            uint64_t value = 0;
            for (size_t i = 0; i < n; i++) value = value * 10 + (uint64_t)(p[i] - '0');
            *prefix_length = (size_t)(p - name);
            *index = value;
            return true;
        }
        p += n;
        if (*p != '\0') p++;
    }
    return false;
}

/* Layers repeat the same names with other numbers, so roles are remembered by the name with its numbers left out:
 * a hash of that (FNV-1a, 64 bits) in a small table. Two names that take turns in every layer must not push each other
 * out, so a few slots are tried. */
enum { MEMO_SLOTS = 1024, MEMO_PROBES = 8 };

static uint64_t shape_of_name(const char *name, tola_dtype dtype, unsigned n_dims) {
    uint64_t hash = 0xcbf29ce484222325u ^ ((uint64_t)dtype << 8 | n_dims);
    for (const char *p = name; *p != '\0';) {
        /* Only whole components are left out: "fc1" and "fc2" differ. */
        bool start = p == name || p[-1] == '.';
        size_t digits = start ? strspn(p, "0123456789") : 0;
        if (digits > 0 && (p[digits] == '.' || p[digits] == '\0')) {
            p += digits;
            hash = (hash ^ '#') * 0x100000001b3u;
            continue;
        }
        hash = (hash ^ (uint8_t)*p++) * 0x100000001b3u;
    }
    return hash | 1;
}

void families_roles(const tola_checkpoint *ck, uint8_t *roles) {
    struct {
        uint64_t hash;
        uint8_t role;
    } memo[MEMO_SLOTS];
    memset(memo, 0, sizeof memo);
    size_t count = tola_checkpoint_tensor_count(ck);
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
        uint64_t hash = shape_of_name(t->name, (tola_dtype)t->dtype, t->n_dims);
        size_t slot = (size_t)(hash >> 1) % MEMO_SLOTS;
        for (int k = 0; k < MEMO_PROBES && memo[slot].hash && memo[slot].hash != hash; k++)
            slot = (slot + 1) % MEMO_SLOTS;
        if (memo[slot].hash != hash) {
            memo[slot].hash = hash;
            memo[slot].role = (uint8_t)families_role(t->name, (tola_dtype)t->dtype, t->n_dims);
        }
        roles[i] = memo[slot].role;
    }
}
