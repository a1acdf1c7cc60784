/* The table of tensor names and matching against it.
 *
 * GGUF's names are those of gguf-py/gguf/constants.py (TENSOR_NAMES) in ggml-org/llama.cpp, Hugging Face's those of the
 * modelling code in huggingface/transformers. Only tensors that llama.cpp loads for the family are listed: anything
 * else is refused by name instead of being written where nobody reads it. */
#include "families/names.h"

#include <stdio.h>
#include <string.h>

enum {
    LLAMA = 1 << FAMILY_MAP_LLAMA,
    QWEN2 = 1 << FAMILY_MAP_QWEN2,
    QWEN3 = 1 << FAMILY_MAP_QWEN3,
    GEMMA = 1 << FAMILY_MAP_GEMMA,
    GEMMA2 = 1 << FAMILY_MAP_GEMMA2,
    GEMMA3 = 1 << FAMILY_MAP_GEMMA3,
    PHI3 = 1 << FAMILY_MAP_PHI3,
    SPLIT_QKV = LLAMA | QWEN2 | QWEN3 | GEMMA | GEMMA2 | GEMMA3,
    TWO_NORMS = LLAMA | QWEN2 | QWEN3 | GEMMA | PHI3, /* a layer has two norms; Gemma 2 and 3 have four */
    FOUR_NORMS = GEMMA2 | GEMMA3,
    ALL = SPLIT_QKV | PHI3
};

#define L "model.layers.%d."
#define B "blk.%d."

/* In the order in which a GGUF file lists them. */
static const name_row rows[] = {
    { "model.embed_tokens.weight", "token_embd.weight", ALL, 0 },
    { L "input_layernorm.weight", B "attn_norm.weight", ALL, NAME_NORM },
    { L "self_attn.q_proj.weight", B "attn_q.weight", SPLIT_QKV, NAME_ROTATED_Q },
    { L "self_attn.q_proj.bias", B "attn_q.bias", LLAMA | QWEN2, NAME_ROTATED_Q },
    { L "self_attn.k_proj.weight", B "attn_k.weight", SPLIT_QKV, NAME_ROTATED_K },
    { L "self_attn.k_proj.bias", B "attn_k.bias", LLAMA | QWEN2, NAME_ROTATED_K },
    { L "self_attn.v_proj.weight", B "attn_v.weight", SPLIT_QKV, 0 },
    { L "self_attn.v_proj.bias", B "attn_v.bias", LLAMA | QWEN2, 0 },
    { L "self_attn.qkv_proj.weight", B "attn_qkv.weight", PHI3, 0 },
    { L "self_attn.q_norm.weight", B "attn_q_norm.weight", QWEN3 | GEMMA3, NAME_NORM },
    { L "self_attn.k_norm.weight", B "attn_k_norm.weight", QWEN3 | GEMMA3, NAME_NORM },
    { L "self_attn.o_proj.weight", B "attn_output.weight", ALL, 0 },
    { L "self_attn.o_proj.bias", B "attn_output.bias", LLAMA, 0 },
    { L "post_attention_layernorm.weight", B "post_attention_norm.weight", FOUR_NORMS, NAME_NORM },
    { L "post_attention_layernorm.weight", B "ffn_norm.weight", TWO_NORMS, NAME_NORM },
    { L "pre_feedforward_layernorm.weight", B "ffn_norm.weight", FOUR_NORMS, NAME_NORM },
    { L "mlp.gate_up_proj.weight", B "ffn_up.weight", PHI3, 0 },
    { L "mlp.gate_proj.weight", B "ffn_gate.weight", SPLIT_QKV, 0 },
    { L "mlp.gate_proj.bias", B "ffn_gate.bias", LLAMA, 0 },
    { L "mlp.up_proj.weight", B "ffn_up.weight", SPLIT_QKV, 0 },
    { L "mlp.up_proj.bias", B "ffn_up.bias", LLAMA, 0 },
    { L "mlp.down_proj.weight", B "ffn_down.weight", ALL, 0 },
    { L "mlp.down_proj.bias", B "ffn_down.bias", LLAMA, 0 },
    { L "block_sparse_moe.gate.weight", B "ffn_gate_inp.weight", LLAMA, NAME_F32 },
    { L "block_sparse_moe.experts.%e.w1.weight", B "ffn_gate_exps.weight", LLAMA, NAME_EXPERT },
    { L "block_sparse_moe.experts.%e.w3.weight", B "ffn_up_exps.weight", LLAMA, NAME_EXPERT },
    { L "block_sparse_moe.experts.%e.w2.weight", B "ffn_down_exps.weight", LLAMA, NAME_EXPERT },
    { L "mlp.gate.weight", B "ffn_gate_inp.weight", QWEN2 | QWEN3, NAME_F32 },
    { L "mlp.experts.%e.gate_proj.weight", B "ffn_gate_exps.weight", QWEN2 | QWEN3, NAME_EXPERT },
    { L "mlp.experts.%e.up_proj.weight", B "ffn_up_exps.weight", QWEN2 | QWEN3, NAME_EXPERT },
    { L "mlp.experts.%e.down_proj.weight", B "ffn_down_exps.weight", QWEN2 | QWEN3, NAME_EXPERT },
    { L "mlp.shared_expert_gate.weight", B "ffn_gate_inp_shexp.weight", QWEN2, NAME_F32 },
    { L "mlp.shared_expert.gate_proj.weight", B "ffn_gate_shexp.weight", QWEN2, 0 },
    { L "mlp.shared_expert.up_proj.weight", B "ffn_up_shexp.weight", QWEN2, 0 },
    { L "mlp.shared_expert.down_proj.weight", B "ffn_down_shexp.weight", QWEN2, 0 },
    { L "post_feedforward_layernorm.weight", B "post_ffw_norm.weight", FOUR_NORMS, NAME_NORM },
    { "model.norm.weight", "output_norm.weight", ALL, NAME_NORM },
    { "lm_head.weight", "output.weight", ALL, NAME_HEAD },
};

const name_row *names_row(size_t i) { return i < sizeof rows / sizeof rows[0] ? &rows[i] : NULL; }

/* Reads a number without leading zeros and below 2^31; NULL where there is none. */
static const char *read_number(const char *text, uint32_t *number) {
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 9 || (n > 1 && text[0] == '0')) return NULL;
    *number = 0;
    for (size_t i = 0; i < n; i++) *number = *number * 10 + (uint32_t)(text[i] - '0');
    return text + n;
}

static bool follows(const char *pattern, const char *name, name_match *out) {
    out->layer = out->expert = UINT32_MAX;
    while (*pattern != '\0') {
        if (pattern[0] == '%') {
            name = read_number(name, pattern[1] == 'e' ? &out->expert : &out->layer);
            if (name == NULL) return false;
            pattern += 2;
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    return *name == '\0';
}

static bool match(family_map map, bool hf, const char *name, name_match *out) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((rows[i].maps & 1u << map) == 0) continue;
        if (!follows(hf ? rows[i].hf : rows[i].gguf, name, out)) continue;
        out->row = &rows[i];
        return true;
    }
    return false;
}

static const char *after_prefix(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

bool names_match_hf(family_map map, const char *name, name_match *out) {
    char full[256];
    const char *rest = after_prefix(name, "model.language_model.");
    if (rest == NULL) rest = after_prefix(name, "language_model.model.");
    if (rest == NULL && (after_prefix(name, "layers.") || strcmp(name, "embed_tokens.weight") == 0 ||
                         strcmp(name, "norm.weight") == 0))
        rest = name;
    if (rest != NULL) {
        int n = snprintf(full, sizeof full, "model.%s", rest);
        return n > 0 && (size_t)n < sizeof full && match(map, true, full, out);
    }
    rest = after_prefix(name, "language_model.");
    return match(map, true, rest != NULL ? rest : name, out);
}

bool names_match_gguf(family_map map, const char *name, name_match *out) { return match(map, false, name, out); }

bool names_format(const char *pattern, uint32_t layer, uint32_t expert, char *dst, size_t cap) {
    size_t used = 0;
    while (*pattern != '\0') {
        int n;
        if (*pattern == '%') {
            n = snprintf(dst + used, cap - used, "%u", pattern[1] == 'e' ? (unsigned)expert : (unsigned)layer);
            pattern += 2;
        } else {
            n = snprintf(dst + used, cap - used, "%c", *pattern++);
        }
        if (n < 0 || (size_t)n >= cap - used) return false;
        used += (size_t)n;
    }
    return true;
}

static bool ends_with(const char *name, const char *ending) {
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0;
}

bool names_ignored_hf(const char *name) {
    return ends_with(name, ".rotary_emb.inv_freq") || ends_with(name, ".attention.bias") ||
           ends_with(name, ".attention.masked_bias");
}

bool names_ignored_gguf(const char *name) {
    return strcmp(name, "rope_freqs.weight") == 0 || strcmp(name, "rope_factors_long.weight") == 0 ||
           strcmp(name, "rope_factors_short.weight") == 0 || ends_with(name, ".attn_rot_embd.weight");
}
