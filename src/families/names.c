/* The table of tensor names and matching against it.
 *
 * GGUF's names are those of gguf-py/gguf/constants.py (TENSOR_NAMES) in ggml-org/llama.cpp, Hugging Face's those of the
 * modelling code in huggingface/transformers. What llama.cpp does not load for the family is not listed or is marked
 * NAME_READ: conversions refuse it by name instead of writing it where nobody reads it. */
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
    GPT2 = 1 << FAMILY_MAP_GPT2,
    LLAMA4 = 1 << FAMILY_MAP_LLAMA4,
    OLMOE = 1 << FAMILY_MAP_OLMOE,
    DEEPSEEK2 = 1 << FAMILY_MAP_DEEPSEEK2,
    GPT_OSS = 1 << FAMILY_MAP_GPT_OSS,
    BERT = 1 << FAMILY_MAP_BERT,
    SPLIT_QKV = LLAMA | QWEN2 | QWEN3 | GEMMA | GEMMA2 | GEMMA3 | LLAMA4 | OLMOE | GPT_OSS,
    QKV_BIAS = LLAMA | QWEN2 | LLAMA4 | OLMOE | GPT_OSS,
    /* dense layers of three matrices, "mlp." */
    GATED = LLAMA | QWEN2 | QWEN3 | GEMMA | GEMMA2 | GEMMA3 | DEEPSEEK2,
    /* a layer has two norms; Gemma 2 and 3 have four */
    TWO_NORMS = LLAMA | QWEN2 | QWEN3 | GEMMA | PHI3 | LLAMA4 | OLMOE | DEEPSEEK2,
    FOUR_NORMS = GEMMA2 | GEMMA3,
    EXPERTS = QWEN2 | QWEN3 | OLMOE | DEEPSEEK2, /* "mlp.experts.%e." */
    GEMMAS = GEMMA | GEMMA2 | GEMMA3,
    STACKED = EXPERTS | LLAMA, /* transformers 5 may save experts as it holds them: save_original_format=False */
    ALL = SPLIT_QKV | PHI3 | DEEPSEEK2           /* all that say "model.layers." */
};

#define L "model.layers.%d."
#define B "blk.%d."
#define G "transformer.h.%d."
#define E "bert.encoder.layer.%d."

/* In the order in which a GGUF file lists them. */
static const name_row rows[] = {
    { "model.embed_tokens.weight", "token_embd.weight", ALL, 0 },
    { L "input_layernorm.weight", B "attn_norm.weight", ALL, NAME_NORM },
    { L "self_attn.q_proj.weight", B "attn_q.weight", SPLIT_QKV, NAME_ROTATED_Q },
    { L "self_attn.q_proj.bias", B "attn_q.bias", QKV_BIAS, NAME_ROTATED_Q },
    { L "self_attn.k_proj.weight", B "attn_k.weight", SPLIT_QKV, NAME_ROTATED_K },
    { L "self_attn.k_proj.bias", B "attn_k.bias", QKV_BIAS, NAME_ROTATED_K },
    { L "self_attn.v_proj.weight", B "attn_v.weight", SPLIT_QKV, 0 },
    { L "self_attn.v_proj.bias", B "attn_v.bias", QKV_BIAS, 0 },
    { L "self_attn.q_proj.bias", B "attn_q.bias", QWEN3 | GEMMAS, NAME_READ },
    { L "self_attn.k_proj.bias", B "attn_k.bias", QWEN3 | GEMMAS, NAME_READ },
    { L "self_attn.v_proj.bias", B "attn_v.bias", QWEN3 | GEMMAS, NAME_READ },
    { L "self_attn.o_proj.bias", B "attn_output.bias", QWEN3 | GEMMAS, NAME_READ },
    { L "self_attn.qkv_proj.weight", B "attn_qkv.weight", PHI3, 0 },
    { L "self_attn.q_norm.weight", B "attn_q_norm.weight", QWEN3 | GEMMA3 | OLMOE, NAME_NORM },
    { L "self_attn.k_norm.weight", B "attn_k_norm.weight", QWEN3 | GEMMA3 | OLMOE, NAME_NORM },
    { L "self_attn.q_proj.weight", B "attn_q.weight", DEEPSEEK2, 0 },
    { L "self_attn.q_a_proj.weight", B "attn_q_a.weight", DEEPSEEK2, 0 },
    { L "self_attn.q_a_proj.bias", B "attn_q_a.bias", DEEPSEEK2, 0 },
    { L "self_attn.q_a_layernorm.weight", B "attn_q_a_norm.weight", DEEPSEEK2, NAME_NORM },
    { L "self_attn.q_b_proj.weight", B "attn_q_b.weight", DEEPSEEK2, 0 },
    { L "self_attn.kv_a_proj_with_mqa.weight", B "attn_kv_a_mqa.weight", DEEPSEEK2, 0 },
    { L "self_attn.kv_a_proj_with_mqa.bias", B "attn_kv_a_mqa.bias", DEEPSEEK2, 0 },
    { L "self_attn.kv_a_layernorm.weight", B "attn_kv_a_norm.weight", DEEPSEEK2, NAME_NORM },
    { L "self_attn.kv_b_proj.weight", B "attn_kv_b.weight", DEEPSEEK2, 0 },
    { L "self_attn.k_b_proj.weight", B "attn_k_b.weight", DEEPSEEK2, 0 }, /* halves of kv_b: GGUF only */
    { L "self_attn.v_b_proj.weight", B "attn_v_b.weight", DEEPSEEK2, 0 },
    { L "self_attn.sinks", B "attn_sinks.weight", GPT_OSS, 0 },
    { L "self_attn.o_proj.weight", B "attn_output.weight", ALL, 0 },
    { L "self_attn.o_proj.bias", B "attn_output.bias", LLAMA | LLAMA4 | OLMOE | DEEPSEEK2 | GPT_OSS, 0 },
    { L "post_attention_layernorm.weight", B "post_attention_norm.weight", FOUR_NORMS, NAME_NORM },
    { L "post_attention_layernorm.weight", B "ffn_norm.weight", TWO_NORMS, NAME_NORM },
    { L "post_attention_layernorm.weight", B "post_attention_norm.weight", GPT_OSS, NAME_NORM },
    { L "pre_feedforward_layernorm.weight", B "ffn_norm.weight", FOUR_NORMS, NAME_NORM },
    { L "mlp.gate_up_proj.weight", B "ffn_up.weight", PHI3, 0 },
    { L "mlp.gate_proj.weight", B "ffn_gate.weight", GATED, 0 },
    { L "mlp.gate_proj.bias", B "ffn_gate.bias", LLAMA | DEEPSEEK2, 0 },
    { L "mlp.up_proj.weight", B "ffn_up.weight", GATED, 0 },
    { L "mlp.up_proj.bias", B "ffn_up.bias", LLAMA | DEEPSEEK2, 0 },
    { L "mlp.down_proj.weight", B "ffn_down.weight", GATED | PHI3, 0 },
    { L "mlp.down_proj.bias", B "ffn_down.bias", LLAMA | DEEPSEEK2, 0 },
    { L "block_sparse_moe.gate.weight", B "ffn_gate_inp.weight", LLAMA, NAME_F32 },
    { L "block_sparse_moe.experts.%e.w1.weight", B "ffn_gate_exps.weight", LLAMA, NAME_EXPERT },
    { L "block_sparse_moe.experts.%e.w3.weight", B "ffn_up_exps.weight", LLAMA, NAME_EXPERT },
    { L "block_sparse_moe.experts.%e.w2.weight", B "ffn_down_exps.weight", LLAMA, NAME_EXPERT },
    { L "mlp.gate.weight", B "ffn_gate_inp.weight", EXPERTS, NAME_F32 },
    { L "mlp.experts.%e.gate_proj.weight", B "ffn_gate_exps.weight", EXPERTS, NAME_EXPERT },
    { L "mlp.experts.%e.up_proj.weight", B "ffn_up_exps.weight", EXPERTS, NAME_EXPERT },
    { L "mlp.experts.%e.down_proj.weight", B "ffn_down_exps.weight", EXPERTS, NAME_EXPERT },
    { L "mlp.gate.weight", B "ffn_gate_inp.weight", LLAMA, NAME_F32 | NAME_READ },
    { L "mlp.experts.gate_up_proj", B "ffn_gate_up_exps.weight", STACKED, NAME_READ },
    { L "mlp.experts.down_proj", B "ffn_down_exps.weight", STACKED, NAME_READ },
    { L "mlp.shared_expert_gate.weight", B "ffn_gate_inp_shexp.weight", QWEN2, NAME_F32 },
    { L "mlp.shared_expert.gate_proj.weight", B "ffn_gate_shexp.weight", QWEN2, 0 },
    { L "mlp.shared_expert.up_proj.weight", B "ffn_up_shexp.weight", QWEN2, 0 },
    { L "mlp.shared_expert.down_proj.weight", B "ffn_down_shexp.weight", QWEN2, 0 },
    { L "mlp.gate.e_score_correction_bias", B "exp_probs_b.bias", DEEPSEEK2, NAME_F32 },
    { L "mlp.shared_experts.gate_proj.weight", B "ffn_gate_shexp.weight", DEEPSEEK2, 0 },
    { L "mlp.shared_experts.up_proj.weight", B "ffn_up_shexp.weight", DEEPSEEK2, 0 },
    { L "mlp.shared_experts.down_proj.weight", B "ffn_down_shexp.weight", DEEPSEEK2, 0 },
    { L "mlp.shared_experts.gate_proj.bias", B "ffn_gate_shexp.bias", DEEPSEEK2, NAME_READ },
    { L "mlp.shared_experts.up_proj.bias", B "ffn_up_shexp.bias", DEEPSEEK2, NAME_READ },
    { L "mlp.shared_experts.down_proj.bias", B "ffn_down_shexp.bias", DEEPSEEK2, NAME_READ },
    { L "feed_forward.gate_proj.weight", B "ffn_gate.weight", LLAMA4, 0 },
    { L "feed_forward.up_proj.weight", B "ffn_up.weight", LLAMA4, 0 },
    { L "feed_forward.down_proj.weight", B "ffn_down.weight", LLAMA4, 0 },
    { L "feed_forward.router.weight", B "ffn_gate_inp.weight", LLAMA4, NAME_F32 },
    { L "feed_forward.experts.gate_up_proj", B "ffn_gate_up_exps.weight", LLAMA4, NAME_TRANSPOSED },
    { L "feed_forward.experts.down_proj", B "ffn_down_exps.weight", LLAMA4, NAME_TRANSPOSED },
    { L "feed_forward.shared_expert.gate_proj.weight", B "ffn_gate_shexp.weight", LLAMA4, 0 },
    { L "feed_forward.shared_expert.up_proj.weight", B "ffn_up_shexp.weight", LLAMA4, 0 },
    { L "feed_forward.shared_expert.down_proj.weight", B "ffn_down_shexp.weight", LLAMA4, 0 },
    { L "mlp.router.weight", B "ffn_gate_inp.weight", GPT_OSS, NAME_F32 },
    { L "mlp.router.bias", B "ffn_gate_inp.bias", GPT_OSS, NAME_F32 },
    { L "mlp.experts.gate_up_proj", B "ffn_gate_up_exps.weight", GPT_OSS, NAME_TRANSPOSED | NAME_PAIRED },
    { L "mlp.experts.gate_up_proj_bias", B "ffn_gate_up_exps.bias", GPT_OSS, NAME_PAIRED },
    { L "mlp.experts.down_proj", B "ffn_down_exps.weight", GPT_OSS, NAME_TRANSPOSED },
    { L "mlp.experts.down_proj_bias", B "ffn_down_exps.bias", GPT_OSS, 0 },
    { L "post_feedforward_layernorm.weight", B "post_ffw_norm.weight", FOUR_NORMS, NAME_NORM },
    { "model.norm.weight", "output_norm.weight", ALL, NAME_NORM },
    { "lm_head.weight", "output.weight", ALL | GPT2, NAME_HEAD },

    { "transformer.wte.weight", "token_embd.weight", GPT2, 0 },
    { "transformer.wpe.weight", "position_embd.weight", GPT2, 0 },
    { G "ln_1.weight", B "attn_norm.weight", GPT2, NAME_NORM },
    { G "ln_1.bias", B "attn_norm.bias", GPT2, NAME_NORM },
    { G "attn.c_attn.weight", B "attn_qkv.weight", GPT2, NAME_TRANSPOSED },
    { G "attn.c_attn.bias", B "attn_qkv.bias", GPT2, 0 },
    { G "attn.c_proj.weight", B "attn_output.weight", GPT2, NAME_TRANSPOSED },
    { G "attn.c_proj.bias", B "attn_output.bias", GPT2, 0 },
    { G "ln_2.weight", B "ffn_norm.weight", GPT2, NAME_NORM },
    { G "ln_2.bias", B "ffn_norm.bias", GPT2, NAME_NORM },
    { G "mlp.c_fc.weight", B "ffn_up.weight", GPT2, NAME_TRANSPOSED },
    { G "mlp.c_fc.bias", B "ffn_up.bias", GPT2, 0 },
    { G "mlp.c_proj.weight", B "ffn_down.weight", GPT2, NAME_TRANSPOSED },
    { G "mlp.c_proj.bias", B "ffn_down.bias", GPT2, 0 },
    { "transformer.ln_f.weight", "output_norm.weight", GPT2, NAME_NORM },
    { "transformer.ln_f.bias", "output_norm.bias", GPT2, NAME_NORM },

    { "bert.embeddings.word_embeddings.weight", "token_embd.weight", BERT, 0 },
    { "bert.embeddings.token_type_embeddings.weight", "token_types.weight", BERT, 0 },
    { "bert.embeddings.position_embeddings.weight", "position_embd.weight", BERT, 0 },
    { "bert.embeddings.LayerNorm.weight", "token_embd_norm.weight", BERT, NAME_NORM },
    { "bert.embeddings.LayerNorm.bias", "token_embd_norm.bias", BERT, NAME_NORM },
    { E "attention.self.query.weight", B "attn_q.weight", BERT, 0 },
    { E "attention.self.query.bias", B "attn_q.bias", BERT, 0 },
    { E "attention.self.key.weight", B "attn_k.weight", BERT, 0 },
    { E "attention.self.key.bias", B "attn_k.bias", BERT, 0 },
    { E "attention.self.value.weight", B "attn_v.weight", BERT, 0 },
    { E "attention.self.value.bias", B "attn_v.bias", BERT, 0 },
    { E "attention.output.dense.weight", B "attn_output.weight", BERT, 0 },
    { E "attention.output.dense.bias", B "attn_output.bias", BERT, 0 },
    { E "attention.output.LayerNorm.weight", B "attn_output_norm.weight", BERT, NAME_NORM },
    { E "attention.output.LayerNorm.bias", B "attn_output_norm.bias", BERT, NAME_NORM },
    { E "intermediate.dense.weight", B "ffn_up.weight", BERT, 0 },
    { E "intermediate.dense.bias", B "ffn_up.bias", BERT, 0 },
    { E "output.dense.weight", B "ffn_down.weight", BERT, 0 },
    { E "output.dense.bias", B "ffn_down.bias", BERT, 0 },
    { E "output.LayerNorm.weight", B "layer_output_norm.weight", BERT, NAME_NORM },
    { E "output.LayerNorm.bias", B "layer_output_norm.bias", BERT, NAME_NORM },
    /* norms as checkpoints that began in TensorFlow have them, bert-base-uncased among them */
    { "bert.embeddings.LayerNorm.gamma", "token_embd_norm.weight", BERT, NAME_READ },
    { "bert.embeddings.LayerNorm.beta", "token_embd_norm.bias", BERT, NAME_READ },
    { E "attention.output.LayerNorm.gamma", B "attn_output_norm.weight", BERT, NAME_READ },
    { E "attention.output.LayerNorm.beta", B "attn_output_norm.bias", BERT, NAME_READ },
    { E "output.LayerNorm.gamma", B "layer_output_norm.weight", BERT, NAME_READ },
    { E "output.LayerNorm.beta", B "layer_output_norm.bias", BERT, NAME_READ },
};

const name_row *names_row(size_t i) { return i < sizeof rows / sizeof rows[0] ? &rows[i] : NULL; }

/* Are this row's names of the family? */
static bool is_of(const name_row *row, family_map map) {
    if (map == FAMILY_MAP_READ_LLAMA) map = FAMILY_MAP_LLAMA;
    if (map == FAMILY_MAP_READ_QWEN2) map = FAMILY_MAP_QWEN2;
    if (map == FAMILY_MAP_READ_QWEN3) map = FAMILY_MAP_QWEN3;
    return (row->maps & 1u << map) != 0;
}

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
        if (!is_of(&rows[i], map) || (rows[i].flags & NAME_READ)) continue;
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

/* The table's own prefixes, and what wrappers make of them: models without a head save the inner module alone, vision
 * models put the language model one deeper. The empty prefix comes last: it fits every name. */
static const struct {
    const char *canonical, *found[4];
} prefixes[] = {
    { "model.", { "model.language_model.", "language_model.model.", "model.text_model.", "" } },
    { "transformer.", { "" } },
    { "bert.", { "roberta.", "" } },
    { "lm_head.", { "language_model.lm_head." } },
};
#define PREFIX_COUNT (sizeof prefixes / sizeof prefixes[0])
#define PREFIX_VARIANTS (sizeof prefixes[0].found / sizeof prefixes[0].found[0])

bool names_match_hf(family_map map, const char *name, name_match *out) {
    if (match(map, true, name, out)) return true;
    for (size_t i = 0; i < PREFIX_COUNT; i++) {
        for (size_t v = 0; v < PREFIX_VARIANTS && prefixes[i].found[v] != NULL; v++) {
            const char *rest = after_prefix(name, prefixes[i].found[v]);
            char full[256];
            int n = rest != NULL ? snprintf(full, sizeof full, "%s%s", prefixes[i].canonical, rest) : -1;
            if (n > 0 && (size_t)n < sizeof full && match(map, true, full, out)) return true;
        }
    }
    return false;
}

bool names_format_hf(const name_row *row, size_t variant, uint32_t layer, uint32_t expert, char *dst, size_t cap) {
    char pattern[256];
    if (variant == 0) return names_format(row->hf, layer, expert, dst, cap);
    for (size_t i = 0; i < PREFIX_COUNT; i++) {
        const char *rest = after_prefix(row->hf, prefixes[i].canonical);
        if (rest == NULL) continue;
        if (variant > PREFIX_VARIANTS || prefixes[i].found[variant - 1] == NULL) return false;
        int n = snprintf(pattern, sizeof pattern, "%s%s", prefixes[i].found[variant - 1], rest);
        return n > 0 && (size_t)n < sizeof pattern && names_format(pattern, layer, expert, dst, cap);
    }
    return false;
}

bool names_match_gguf(family_map map, const char *name, name_match *out) { return match(map, false, name, out); }

bool names_format(const char *pattern, uint32_t layer, uint32_t expert, char *dst, size_t cap) {
    char *end = dst + cap;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern != '%') {
            if (end - dst < 2) return false;
            *dst++ = *pattern;
            continue;
        }
        char digits[10];
        size_t n = 0;
        uint32_t number = *++pattern == 'e' ? expert : layer;
        do digits[n++] = (char)('0' + number % 10);
        while ((number /= 10) != 0);
        if ((size_t)(end - dst) < n + 1) return false;
        while (n != 0) *dst++ = digits[--n];
    }
    *dst = '\0';
    return true;
}

size_t names_find(const tola_checkpoint *ck, family_map map, bool gguf, const char *pattern, uint32_t layer,
                  uint32_t expert, const name_row **row, char *name, size_t cap) {
    if (row != NULL) *row = NULL;
    if (!names_format(pattern, layer, expert, name, cap)) return SIZE_MAX;
    if (gguf) return tola_checkpoint_find(ck, name);
    bool first = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char other[256], *to = first ? name : other; /* the first name looked for stays, unless another is found */
        size_t size = first ? cap : sizeof other;
        if (!is_of(&rows[i], map) || strcmp(rows[i].gguf, pattern) != 0) continue;
        if (row != NULL && first) *row = &rows[i];
        for (size_t v = 0; names_format_hf(&rows[i], v, layer, expert, to, size); v++) {
            size_t index = tola_checkpoint_find(ck, to);
            if (index != SIZE_MAX) {
                if (to != name) snprintf(name, cap, "%s", other);
                if (row != NULL) *row = &rows[i];
                return index;
            }
            first = false;
            to = other;
            size = sizeof other;
        }
    }
    return SIZE_MAX;
}

tola_status names_tied_in_fact(const tola_checkpoint *ck, family_map map, bool *tied, tola_error *err) {
    static const char *const words[2] = { "token_embd.weight", "output.weight" };
    tola_view views[2] = { { 0 }, { 0 } };
    char name[256];
    size_t at[2];
    for (int i = 0; i < 2; i++) {
        at[i] = names_find(ck, map, false, words[i], UINT32_MAX, UINT32_MAX, NULL, name, sizeof name);
        if (at[i] == SIZE_MAX) return TOLA_OK;
    }
    const tola_tensor_info *a = tola_checkpoint_tensor(ck, at[0]), *b = tola_checkpoint_tensor(ck, at[1]);
    if ((a->flags | b->flags) & TOLA_TENSOR_MISSING) return TOLA_OK; /* told where the weights are taken */
    if (a->file == b->file && a->offset == b->offset && a->offset != TOLA_NO_OFFSET) return TOLA_OK;
    *tied = a->dtype == b->dtype && a->bytes == b->bytes;
    if (!*tied) return TOLA_OK;
    tola_status status = tola_checkpoint_acquire(ck, at[0], &views[0], err);
    if (status == TOLA_OK) status = tola_checkpoint_acquire(ck, at[1], &views[1], err);
    if (status == TOLA_OK) *tied = memcmp(views[0].data, views[1].data, (size_t)a->bytes) == 0;
    tola_view_release(&views[0]);
    tola_view_release(&views[1]);
    return status;
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
