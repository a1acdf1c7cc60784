/* Configuration in one set of words, from config.json or from GGUF's key-values.
 *
 * Each field has a list of the names that model authors gave it; the first that holds a usable value wins. Values are
 * read, never checked for sense: a converter that depends on one checks it against the tensors. */
#include "families/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const tola_value *families_find(const tola_value *map, const char *names) {
    char part[64];
    for (const char *p = names; *p != '\0';) {
        size_t n = strcspn(p, " ");
        const tola_value *at = map;
        for (size_t i = 0; i < n && at != NULL;) {
            size_t m = 0;
            while (i + m < n && p[i + m] != '.') m++;
            if (m >= sizeof part) return NULL;
            memcpy(part, p + i, m);
            part[m] = '\0';
            at = tola_value_get(at, part);
            i += m + 1;
        }
        if (at != NULL && at->kind != TOLA_VALUE_NULL) return at;
        p += n;
        p += strspn(p, " ");
    }
    return NULL;
}

/* A count; of an array (one number a layer) the largest. */
static uint64_t count_of(const tola_value *value) {
    if (value == NULL) return 0;
    if (value->kind != TOLA_VALUE_ARRAY) return tola_value_u64(value, 0);
    uint64_t largest = 0;
    for (size_t i = 0; i < value->as.array.count; i++) {
        tola_value item = tola_value_at(value, i);
        uint64_t n = tola_value_u64(&item, 0);
        if (n > largest) largest = n;
    }
    return largest;
}

static uint64_t find_count(const tola_value *map, const char *names) { return count_of(families_find(map, names)); }

static size_t length_of(const tola_value *value) {
    if (value == NULL) return 0;
    if (value->kind == TOLA_VALUE_STRING) return value->as.string.length;
    return value->kind == TOLA_VALUE_ARRAY ? value->as.array.count : 0;
}

const tola_value *families_text_config(const tola_value *config) {
    const tola_value *text = families_find(config, "text_config llm_config language_config thinker_config.text_config "
                                                   "language_model_config");
    return text != NULL && text->kind == TOLA_VALUE_MAP ? text : config;
}

static family_rope rope_kind(const char *word) {
    static const struct {
        const char *word;
        family_rope rope;
    } words[] = { { "default", FAMILY_ROPE_NONE },    { "none", FAMILY_ROPE_NONE },
                  { "linear", FAMILY_ROPE_LINEAR },   { "dynamic", FAMILY_ROPE_DYNAMIC },
                  { "yarn", FAMILY_ROPE_YARN },       { "llama3", FAMILY_ROPE_LLAMA3 },
                  { "longrope", FAMILY_ROPE_LONGROPE }, { "su", FAMILY_ROPE_LONGROPE },
                  { "mrope", FAMILY_ROPE_MROPE } };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i].word) == 0) return words[i].rope;
    return FAMILY_ROPE_OTHER;
}

/* rope_scaling (until transformers 4) or rope_parameters (from 5), where layers of two kinds may have one each. */
static void rope_from_hf(const tola_value *c, family_hyper *out) {
    const tola_value *rope = families_find(c, "rope_parameters.full_attention rope_parameters rope_scaling");
    const tola_value *theta = families_find(rope, "rope_theta");
    if (theta == NULL) theta = families_find(c, "rope_theta rotary_emb_base rope_base rotary_base");
    if (theta == NULL) theta = families_find(c, "attn_config.rope_theta");
    out->rope_theta = tola_value_f64(theta, 0);
    out->rope_local_theta =
        tola_value_f64(families_find(c, "rope_local_base_freq rope_parameters.sliding_attention.rope_theta"), 0);
    out->rope_whole_steps = true;
    if (rope == NULL || rope->kind != TOLA_VALUE_MAP) return;
    out->rope_whole_steps = tola_value_bool(families_find(rope, "truncate"), true);
    out->rope_mscale = tola_value_f64(families_find(rope, "mscale"), 0);
    out->rope_mscale_all = tola_value_f64(families_find(rope, "mscale_all_dim"), 0);
    const char *word = tola_value_str(families_find(rope, "rope_type type"), "default");
    out->rope = rope_kind(word);
    if (out->rope == FAMILY_ROPE_NONE && families_find(rope, "mrope_section") != NULL) out->rope = FAMILY_ROPE_MROPE;
    out->rope_factor = tola_value_f64(families_find(rope, "factor"), 0);
    out->rope_low_freq = tola_value_f64(families_find(rope, "low_freq_factor"), 0);
    out->rope_high_freq = tola_value_f64(families_find(rope, "high_freq_factor"), 0);
    out->rope_attn_factor = tola_value_f64(families_find(rope, "attention_factor"), 0);
    out->rope_beta_fast = tola_value_f64(families_find(rope, "beta_fast"), 0);
    out->rope_beta_slow = tola_value_f64(families_find(rope, "beta_slow"), 0);
    /* transformers prefers the one outside, which Phi-3 has, for each scaling that knows it */
    const bool reads = out->rope == FAMILY_ROPE_LLAMA3 || out->rope == FAMILY_ROPE_YARN ||
                       out->rope == FAMILY_ROPE_LONGROPE;
    if (reads && families_find(c, "rope_parameters.full_attention") == NULL)
        out->rope_original_context = find_count(c, "original_max_position_embeddings");
    if (out->rope_original_context == 0)
        out->rope_original_context = find_count(rope, "original_max_position_embeddings");
    out->rope_short = families_find(rope, "short_factor");
    out->rope_long = families_find(rope, "long_factor");
}

static const char heads_words[] = "num_attention_heads n_head n_heads num_heads encoder_attention_heads";
static const char context_words[] =
    "max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length seq_length max_target_positions";
static const char experts_used_words[] =
    "num_experts_per_tok num_experts_per_token experts_per_token moe_top_k moe_topk top_k_experts moe_k "
    "num_selected_experts ffn_config.moe_top_k";

static void experts_from_hf(const tola_value *c, family_hyper *out) {
    out->experts = find_count(c, "num_local_experts n_routed_experts num_experts moe_num_experts num_moe_experts "
                                 "ffn_config.moe_num_experts");
    out->shared_experts = find_count(c, "n_shared_experts num_shared_experts moe_num_shared_experts num_shared_expert");
    out->first_dense = find_count(c, "first_k_dense_replace moe_layer_start_index num_dense_layers");
    if (out->experts == 0) {
        out->shared_experts = 0;
        return;
    }
    out->experts_used = find_count(c, experts_used_words);
    out->expert_feed_forward =
        find_count(c, "moe_intermediate_size expert_intermediate_size moe_ffn_hidden_size expert_ffn_hidden_size");
    out->shared_feed_forward = find_count(c, "shared_expert_intermediate_size moe_shared_expert_intermediate_size "
                                             "shared_intermediate_size share_expert_dim");
    uint64_t dense = find_count(c, "intermediate_size_mlp dense_intermediate_size");
    if (out->expert_feed_forward == 0) out->expert_feed_forward = out->feed_forward;
    if (dense != 0) out->feed_forward = dense;
    if (out->shared_feed_forward == 0)
        __builtin_mul_overflow(out->shared_experts, out->expert_feed_forward, &out->shared_feed_forward);
}

/* Deci's per-layer blocks say how many query heads share one key head. */
static uint64_t deci_kv_heads(const tola_value *c, uint64_t heads) {
    const tola_value *blocks = families_find(c, "block_configs");
    uint64_t largest = 0;
    for (size_t i = 0; blocks != NULL && i < length_of(blocks); i++) {
        tola_value block = tola_value_at(blocks, i);
        uint64_t group = find_count(&block, "attention.n_heads_in_group");
        if (group != 0 && heads / group > largest) largest = heads / group;
    }
    return largest;
}

static void heads_from_hf(const tola_value *c, family_hyper *out) {
    out->heads = find_count(c, heads_words);
    out->kv_heads = find_count(c, "num_key_value_heads n_head_kv num_kv_heads multi_query_group_num "
                                  "num_attention_groups attn_config.kv_n_heads");
    if (out->kv_heads == 0) out->kv_heads = deci_kv_heads(c, out->heads);
    if (out->kv_heads == 0 && tola_value_bool(families_find(c, "multi_query"), false)) out->kv_heads = 1;
    if (out->kv_heads == 0) out->kv_heads = out->heads;
    uint64_t rotated = find_count(c, "qk_rope_head_dim"), plain = find_count(c, "qk_nope_head_dim");
    out->head_dim = find_count(c, "head_dim attention_head_dim kv_channels d_kv");
    if (rotated != 0 && plain != 0 && plain < UINT32_MAX && rotated < UINT32_MAX) out->head_dim = plain + rotated;
    if (out->head_dim == 0 && out->heads != 0) out->head_dim = out->width / out->heads;
    out->rope_partial = tola_value_f64(
        families_find(c, "partial_rotary_factor rotary_pct rope_pct rope_parameters.partial_rotary_factor "
                "rope_parameters.full_attention.partial_rotary_factor"),
        1);
    uint64_t dims = rotated != 0 && plain != 0 ? rotated : find_count(c, "rotary_dim");
    if (dims != 0 && out->head_dim != 0 && families_find(c, "partial_rotary_factor") == NULL)
        out->rope_partial = (double)dims / (double)out->head_dim;
}

void families_hyper_hf(const tola_value *config, family_hyper *out) {
    memset(out, 0, sizeof *out);
    const tola_value *c = families_text_config(config);
    out->text = c;
    out->layers = find_count(c, "num_hidden_layers n_layer n_layers num_layers encoder_layers");
    if (out->layers == 0)
        out->layers = length_of(families_find(c, "layers_block_type hybrid_override_pattern layer_types"));
    out->width = find_count(c, "hidden_size n_embd d_model dim hidden_dim");
    const tola_value *inner =
        families_find(c, "intermediate_size n_inner ffn_dim d_ff ffn_hidden_size hidden_dim_ff encoder_ffn_dim");
    out->feed_forward = count_of(inner);
    /* GPT-2 and its kin say "n_inner": null for four times the width. */
    if (inner == NULL && tola_value_get(c, "n_embd") != NULL && out->width <= UINT32_MAX)
        out->feed_forward = 4 * out->width;
    out->context = find_count(c, context_words);
    out->vocabulary = find_count(c, "vocab_size padded_vocab_size");
    if (out->vocabulary == 0) out->vocabulary = find_count(config, "vocab_size");
    heads_from_hf(c, out);
    experts_from_hf(c, out);
    bool slides = tola_value_bool(families_find(c, "use_sliding_window"), true);
    out->sliding_window = slides ? find_count(c, "sliding_window sliding_window_size") : 0;
    out->norm_eps = tola_value_f64(
        families_find(c, "rms_norm_eps layer_norm_eps layer_norm_epsilon norm_eps norm_epsilon layernorm_epsilon"), 0);
    rope_from_hf(c, out);
    /* Configurations leave out what equals their class's default: tied for these, untied for most others. */
    static const char *const tied[] = { "gemma", "gemma2", "gemma3_text", "gemma3", "gpt2", "opt", "bloom", "t5",
                                        "whisper", "falcon", "cohere", "gpt_neo", "gpt_bigcode", "smollm3" };
    const char *model_type = tola_value_str(tola_value_get(config, "model_type"), "");
    bool fallback = false;
    for (size_t i = 0; i < sizeof tied / sizeof tied[0]; i++) fallback |= strcmp(model_type, tied[i]) == 0;
    const tola_value *tie = families_find(c, "tie_word_embeddings");
    if (tie == NULL) tie = families_find(config, "tie_word_embeddings");
    out->tie_embeddings = tola_value_bool(tie, fallback);
    out->activation = tola_value_str(
        families_find(c, "hidden_activation hidden_act activation_function mlp_hidden_act hidden_activation"), NULL);
}

/* What transformers' configuration classes take where config.json is silent; save_pretrained leaves out of a wrapper's
 * text_config whatever equals these. 0: nothing, or what follows from the other numbers. */
static const struct {
    const char *family;
    uint32_t heads, kv_heads, head_dim, context, window, experts_used, shared_feed_forward;
    double norm_eps, rope_theta;
} class_defaults[] = {
    { "llama", 32, 0, 0, 2048, 0, 0, 0, 1e-6, 1e4 },
    { "mistral", 32, 8, 0, 131072, 4096, 0, 0, 1e-6, 1e4 },
    { "mistral3", 32, 8, 0, 131072, 4096, 0, 0, 1e-6, 1e4 },
    { "mixtral", 32, 8, 0, 131072, 0, 2, 0, 1e-5, 1e6 },
    { "qwen2", 32, 32, 0, 32768, 0, 0, 0, 1e-6, 1e4 },
    { "qwen2_moe", 16, 16, 0, 32768, 0, 4, 5632, 1e-6, 1e4 },
    { "qwen2_vl", 64, 8, 0, 32768, 0, 0, 0, 1e-5, 1e6 },
    { "qwen3", 32, 32, 128, 32768, 0, 0, 0, 1e-6, 1e4 },
    { "qwen3_moe", 32, 4, 0, 32768, 0, 8, 0, 1e-6, 1e4 },
    { "qwen3_vl", 32, 32, 128, 128000, 0, 0, 0, 1e-6, 5e5 },
    { "gemma", 16, 16, 256, 8192, 0, 0, 0, 1e-6, 1e4 },
    { "gemma2", 8, 4, 256, 8192, 4096, 0, 0, 1e-6, 1e4 },
    { "gemma3", 8, 4, 256, 131072, 4096, 0, 0, 1e-6, 1e6 },
    { "phi3", 32, 0, 0, 4096, 0, 0, 0, 1e-5, 1e4 },
    { "smollm3", 16, 4, 0, 32768, 0, 0, 0, 1e-6, 2e6 },
    { "gpt2", 12, 0, 0, 1024, 0, 0, 0, 1e-5, 0 },
    { "olmoe", 16, 0, 0, 4096, 0, 8, 0, 1e-5, 1e4 },
    { "llama4", 40, 8, 128, 131072, 0, 1, 0, 1e-5, 5e5 },
    { "deepseek_v2", 32, 0, 0, 2048, 0, 0, 0, 1e-6, 1e4 },
    { "deepseek_v3", 128, 128, 0, 4096, 0, 8, 0, 1e-6, 1e4 },
    { "gpt_oss", 64, 8, 64, 131072, 128, 4, 0, 1e-5, 1.5e5 },
    { "bert", 12, 0, 0, 512, 0, 0, 0, 1e-12, 0 },
    { "roberta", 12, 0, 0, 512, 0, 0, 0, 1e-12, 0 },
};

static bool is_silent(const family_hyper *h, const char *key) { return tola_value_get(h->text, key) == NULL; }

static void default_heads(size_t row, family_hyper *h) {
    const uint32_t kv = class_defaults[row].kv_heads, dim = class_defaults[row].head_dim;
    if (families_find(h->text, heads_words) == NULL) h->heads = class_defaults[row].heads;
    if (is_silent(h, "num_key_value_heads") && kv != 0 && h->heads % kv == 0) h->kv_heads = kv;
    if (h->kv_heads == 0) h->kv_heads = h->heads;
    if (is_silent(h, "head_dim") && dim != 0) h->head_dim = dim;
    if (h->head_dim == 0 && h->heads != 0) h->head_dim = h->width / h->heads;
}

/* gpt-oss without a word about positions has the scaling that the models were trained with. */
static void default_gpt_oss_rope(family_hyper *h) {
    if (families_find(h->text, "rope_parameters rope_scaling") != NULL) return;
    h->rope = FAMILY_ROPE_YARN;
    h->rope_factor = 32;
    h->rope_beta_fast = 32;
    h->rope_beta_slow = 1;
    h->rope_original_context = 4096;
    h->rope_whole_steps = false;
}

void families_hyper_defaults(const family *f, family_hyper *h) {
    size_t row = 0, rows = sizeof class_defaults / sizeof class_defaults[0];
    while (row < rows && strcmp(class_defaults[row].family, f->name) != 0) row++;
    if (row == rows) return;
    default_heads(row, h);
    if (families_find(h->text, context_words) == NULL) h->context = class_defaults[row].context;
    /* the one that the class reads: others may stand there, too */
    const char *eps = "rms_norm_eps";
    if (strcmp(f->name, "bert") == 0 || strcmp(f->name, "roberta") == 0) eps = "layer_norm_eps";
    if (strcmp(f->name, "gpt2") == 0) eps = "layer_norm_epsilon";
    const tola_value *own = families_find(h->text, eps);
    if (own != NULL || h->norm_eps == 0 || families_find(h->text, "model_type architectures") != NULL)
        h->norm_eps = tola_value_f64(own, class_defaults[row].norm_eps);
    if (h->rope_theta == 0) h->rope_theta = class_defaults[row].rope_theta;
    if (class_defaults[row].window != 0 && is_silent(h, "sliding_window"))
        h->sliding_window = class_defaults[row].window;
    if (h->experts != 0 && families_find(h->text, experts_used_words) == NULL)
        h->experts_used = class_defaults[row].experts_used;
    if (h->experts != 0 && is_silent(h, "shared_expert_intermediate_size") && h->shared_feed_forward == 0)
        h->shared_feed_forward = class_defaults[row].shared_feed_forward;
    if (strcmp(f->name, "gpt_oss") == 0) default_gpt_oss_rope(h);
    /* Phi3Config's own, which comes before the one within the scaling */
    if (strcmp(f->name, "phi3") == 0 && h->rope == FAMILY_ROPE_LONGROPE &&
        families_find(h->text, "original_max_position_embeddings") == NULL)
        h->rope_original_context = 4096;
    /* Qwen and SmolLM3 name a window that only use_sliding_window makes one */
    const bool chosen = f->map == FAMILY_MAP_QWEN2 || f->map == FAMILY_MAP_QWEN3 || f->map == FAMILY_MAP_READ_QWEN2 ||
                        f->map == FAMILY_MAP_READ_QWEN3 || strcmp(f->name, "smollm3") == 0;
    if (chosen && is_silent(h, "use_sliding_window")) h->sliding_window = 0;
}

/* A key-value under the architecture's name. */
static const tola_value *under(const tola_value *metadata, const char *architecture, const char *key) {
    char name[192];
    int n = snprintf(name, sizeof name, "%s.%s", architecture, key);
    return n > 0 && (size_t)n < sizeof name ? tola_value_get(metadata, name) : NULL;
}

static void rope_from_gguf(const tola_value *m, const char *a, family_hyper *out) {
    out->rope_theta = tola_value_f64(under(m, a, "rope.freq_base"), 0);
    uint64_t dims = count_of(under(m, a, "rope.dimension_count"));
    out->rope_partial = dims != 0 && out->head_dim != 0 ? (double)dims / (double)out->head_dim : 1;
    const char *word = tola_value_str(under(m, a, "rope.scaling.type"), NULL);
    out->rope_factor = tola_value_f64(under(m, a, "rope.scaling.factor"), 0);
    if (word == NULL && out->rope_factor == 0) {
        out->rope_factor = tola_value_f64(under(m, a, "rope.scale_linear"), 0);
        if (out->rope_factor != 0) word = "linear";
    }
    if (word != NULL) out->rope = rope_kind(word);
    out->rope_attn_factor = tola_value_f64(under(m, a, "rope.scaling.attn_factor"), 0);
    out->rope_local_theta = tola_value_f64(under(m, a, "rope.freq_base_swa"), 0);
    /* stored as a tenth of it: convert_hf_to_gguf.py */
    out->rope_mscale_all = 10 * tola_value_f64(under(m, a, "rope.scaling.yarn_log_multiplier"), 0);
    out->rope_whole_steps = true;
    out->rope_beta_fast = tola_value_f64(under(m, a, "rope.scaling.yarn_beta_fast"), 0);
    out->rope_beta_slow = tola_value_f64(under(m, a, "rope.scaling.yarn_beta_slow"), 0);
    out->rope_original_context = count_of(under(m, a, "rope.scaling.original_context_length"));
}

void families_hyper_gguf(const tola_value *m, family_hyper *out) {
    memset(out, 0, sizeof *out);
    const char *a = tola_value_str(tola_value_get(m, "general.architecture"), NULL);
    if (a == NULL) return;
    out->layers = count_of(under(m, a, "block_count"));
    out->width = count_of(under(m, a, "embedding_length"));
    out->heads = count_of(under(m, a, "attention.head_count"));
    out->kv_heads = count_of(under(m, a, "attention.head_count_kv"));
    if (out->kv_heads == 0) out->kv_heads = out->heads;
    out->head_dim = count_of(under(m, a, "attention.key_length_mla"));
    if (out->head_dim == 0) out->head_dim = count_of(under(m, a, "attention.key_length"));
    if (out->head_dim == 0 && out->heads != 0) out->head_dim = out->width / out->heads;
    out->feed_forward = count_of(under(m, a, "feed_forward_length"));
    out->context = count_of(under(m, a, "context_length"));
    out->vocabulary = count_of(under(m, a, "vocab_size"));
    if (out->vocabulary == 0) out->vocabulary = length_of(tola_value_get(m, "tokenizer.ggml.tokens"));
    out->experts = count_of(under(m, a, "expert_count"));
    out->experts_used = count_of(under(m, a, "expert_used_count"));
    out->shared_experts = count_of(under(m, a, "expert_shared_count"));
    out->expert_feed_forward = count_of(under(m, a, "expert_feed_forward_length"));
    if (out->expert_feed_forward == 0 && out->experts != 0) out->expert_feed_forward = out->feed_forward;
    out->shared_feed_forward = count_of(under(m, a, "expert_shared_feed_forward_length"));
    out->first_dense = count_of(under(m, a, "leading_dense_block_count"));
    out->sliding_window = count_of(under(m, a, "attention.sliding_window"));
    out->norm_eps = tola_value_f64(under(m, a, "attention.layer_norm_rms_epsilon"), 0);
    if (out->norm_eps == 0) out->norm_eps = tola_value_f64(under(m, a, "attention.layer_norm_epsilon"), 0);
    rope_from_gguf(m, a, out);
}

bool families_hyper_of(const tola_checkpoint *ck, family_hyper *out) {
    const tola_value *metadata = tola_checkpoint_metadata(ck);
    if (tola_value_get(metadata, "general.architecture") != NULL) {
        families_hyper_gguf(metadata, out);
        out->tie_embeddings = tola_checkpoint_find(ck, "output.weight") == SIZE_MAX &&
                              tola_checkpoint_find(ck, "token_embd.weight") != SIZE_MAX;
        return true;
    }
    const tola_value *config = tola_checkpoint_config(ck);
    if (config != NULL) {
        families_hyper_hf(config, out);
        return true;
    }
    memset(out, 0, sizeof *out);
    return false;
}
