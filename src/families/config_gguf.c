/* config.json and GGUF's hyperparameter keys, each made from the other.
 *
 * Keys and their meanings: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and, for what each architecture
 * of llama.cpp needs, its convert_hf_to_gguf.py. The way to GGUF also stores config.json itself (tola.source.config,
 * without the fields that hold paths), so that the way back restores fields that GGUF has no key for; GGUF files from
 * elsewhere get a config.json made from their keys alone. */
#include "base/err.h"
#include "families/build.h"

#include <math.h>
#include <string.h>

/* ---- Hugging Face -> GGUF ---- */

static const tola_value *member(const builder *b, const char *key) {
    const tola_value *v = tola_value_get(b->hyper.text, key);
    return v != NULL && v->kind != TOLA_VALUE_NULL ? v : NULL;
}

static tola_status check_hyper(const family_hyper *h, size_t tensors, tola_error *err) {
    const struct {
        const char *name;
        uint64_t value, limit;
    } fields[] = {
        { "num_hidden_layers", h->layers, BUILD_MAX_LAYERS }, { "hidden_size", h->width, 1u << 24 },
        { "num_attention_heads", h->heads, 1u << 16 },        { "num_key_value_heads", h->kv_heads, 1u << 16 },
        { "head_dim", h->head_dim, 1u << 16 },                { "intermediate_size", h->feed_forward, 1u << 28 },
        { "vocab_size", h->vocabulary, 1u << 28 },
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].value == 0 || fields[i].value > fields[i].limit)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "config.json: %s is %llu, expected 1 to %llu",
                           fields[i].name, (unsigned long long)fields[i].value, (unsigned long long)fields[i].limit);
    if (h->experts > BUILD_MAX_EXPERTS || h->experts > tensors)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "config.json: %llu experts, but there are %zu tensors",
                       (unsigned long long)h->experts, tensors);
    return TOLA_OK;
}

/* Is a layer of another kind than llama.cpp takes for granted (every `period`-th sees everything)? */
static bool other_pattern(const builder *b, uint64_t period) {
    const tola_value *types = member(b, "layer_types");
    if (tola_value_u64(member(b, "sliding_window_pattern"), period) != period && types == NULL) return true;
    for (uint64_t i = 0; types != NULL && types->kind == TOLA_VALUE_ARRAY && i < types->as.array.count; i++) {
        tola_value type = tola_value_at(types, (size_t)i);
        if ((strcmp(tola_value_str(&type, ""), "full_attention") == 0) != ((i + 1) % period == 0)) return true;
    }
    return false;
}

/* What the model computes but llama.cpp has no words for. Where GGUF has a key that llama.cpp does not read for the
 * family, it is written nevertheless: the file is then exact for those who do, models/ among them. */
static void warn_of_differences(builder *b, family_map map) {
    const family_hyper *h = &b->hyper;
    const bool qwen = map == FAMILY_MAP_QWEN2 || map == FAMILY_MAP_QWEN3;
    if (qwen && h->sliding_window != 0 && h->sliding_window < h->context)
        build_warn(b, "sliding window of %llu positions is not part of GGUF's %s: longer prompts see everything",
                   (unsigned long long)h->sliding_window, b->arch);
    if ((map == FAMILY_MAP_GEMMA2 && other_pattern(b, 2)) || (map == FAMILY_MAP_GEMMA3 && other_pattern(b, 6)))
        build_warn(b, "layer_types is not the pattern that llama.cpp takes for granted: longer prompts will differ");
    if (h->rope == FAMILY_ROPE_YARN && !h->rope_whole_steps)
        build_warn(b, "truncate is false, but llama.cpp rounds yarn's range of dimensions of this family");
    if (map == FAMILY_MAP_LLAMA && h->sliding_window != 0 && h->sliding_window < h->context)
        build_warn(b, "sliding window of %llu positions: llama.cpp has none for llama, longer prompts see everything",
                   (unsigned long long)h->sliding_window);
    if (map == FAMILY_MAP_QWEN3 && h->experts != 0 && !tola_value_bool(member(b, "norm_topk_prob"), false))
        build_warn(b, "norm_topk_prob is false, but llama.cpp always normalizes the experts' weights of qwen3moe");
    if (map == FAMILY_MAP_QWEN2 && h->experts != 0 && tola_value_bool(member(b, "norm_topk_prob"), false))
        build_warn(b, "norm_topk_prob is true, but llama.cpp never normalizes the experts' weights of qwen2moe");
    double scalar = tola_value_f64(member(b, "query_pre_attn_scalar"), 0);
    if ((map == FAMILY_MAP_GEMMA2 || map == FAMILY_MAP_GEMMA3) && scalar != 0 && scalar != (double)h->head_dim &&
        scalar != (double)(h->width / h->heads))
        build_warn(b, "query_pre_attn_scalar is %g, but llama.cpp scales by head_dim (%llu)", scalar,
                   (unsigned long long)h->head_dim);
    if (h->rope == FAMILY_ROPE_DYNAMIC || h->rope == FAMILY_ROPE_OTHER || h->rope == FAMILY_ROPE_MROPE)
        build_warn(b, "this kind of rope scaling is not part of GGUF: contexts beyond the trained one will differ");
}

/* arXiv 2309.00071, as transformers' modeling_rope_utils.py has it. */
static double yarn_magnitude(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static void rope_to_gguf(builder *b, family_map map) {
    const family_hyper *h = &b->hyper;
    if (h->rope_theta > 0) build_f32(b, ".rope.freq_base", h->rope_theta);
    const tola_value *parameters = member(b, "rope_parameters");
    const tola_value *local = member(b, "rope_local_base_freq");
    if (local == NULL) local = tola_value_get(tola_value_get(parameters, "sliding_attention"), "rope_theta");
    if (map == FAMILY_MAP_GEMMA3 && local != NULL) build_f32(b, ".rope.freq_base_swa", tola_value_f64(local, 10000));
    if (h->rope == FAMILY_ROPE_LINEAR && h->rope_factor > 0) {
        build_string(b, ".rope.scaling.type", "linear");
        build_f32(b, ".rope.scaling.factor", h->rope_factor);
    } else if (h->rope == FAMILY_ROPE_YARN) {
        uint64_t original = h->rope_original_context != 0 ? h->rope_original_context : h->context;
        double factor = h->rope_factor > 0 ? h->rope_factor : (double)h->context / (double)original;
        build_string(b, ".rope.scaling.type", "yarn");
        build_f32(b, ".rope.scaling.factor", factor);
        build_u32(b, ".rope.scaling.original_context_length", original);
        /* llama.cpp multiplies what it computes from the factor alone; ours is attention_factor or that of mscale */
        double plain = yarn_magnitude(factor, 1), wanted = h->rope_attn_factor > 0 ? h->rope_attn_factor : plain;
        if (h->rope_attn_factor <= 0 && h->rope_mscale != 0 && h->rope_mscale_all != 0)
            wanted = yarn_magnitude(factor, h->rope_mscale) / yarn_magnitude(factor, h->rope_mscale_all);
        if (wanted != plain) build_f32(b, ".rope.scaling.attn_factor", wanted / plain);
        if (h->rope_beta_fast > 0) build_f32(b, ".rope.scaling.yarn_beta_fast", h->rope_beta_fast);
        if (h->rope_beta_slow > 0) build_f32(b, ".rope.scaling.yarn_beta_slow", h->rope_beta_slow);
    }
}

/* Phi-3's words, and those of Llama with its scaling. */
static void longrope_to_gguf(builder *b, bool phi3) {
    const family_hyper *h = &b->hyper;
    uint64_t original = tola_value_u64(member(b, "original_max_position_embeddings"), 0);
    if (original == 0) original = h->rope_original_context;
    if (original == 0) original = h->context;
    build_u32(b, ".rope.scaling.original_context_length", original);
    if (phi3) build_u32(b, ".attention.sliding_window", h->sliding_window);
    if (h->rope != FAMILY_ROPE_LONGROPE || original < 2) return;
    if (!phi3) build_string(b, ".rope.scaling.type", "longrope");
    /* arXiv 2402.13753: attention is scaled by sqrt(1 + ln(s) / ln(L)) for s times the original length L. */
    double s = h->rope_factor > 0 ? h->rope_factor : (double)h->context / (double)original;
    double magnitude = s > 1 ? sqrt(1 + log(s) / log((double)original)) : 1;
    build_f32(b, ".rope.scaling.attn_factor", h->rope_attn_factor > 0 ? h->rope_attn_factor : magnitude);
}

/* config.json as text, without what may hold a path of the machine it was saved on. */
static tola_status keep_config(builder *b, tola_error *err) {
    const tola_value *config = tola_checkpoint_config(b->ck);
    if (b->hyper.text != config) return TOLA_OK; /* the way back yields the text part alone: its own configuration */
    build_json j;
    build_json_begin(&j, 0);
    tola_json_begin_object(&j.json);
    for (size_t i = 0; i < config->as.map.count; i++) {
        const tola_member *m = &config->as.map.members[i];
        if (strcmp(m->key.data, "_name_or_path") == 0 || strcmp(m->key.data, "_commit_hash") == 0) continue;
        tola_json_key_n(&j.json, m->key.data, m->key.length);
        tola_json_value(&j.json, &m->value);
    }
    tola_json_end_object(&j.json);
    tola_status status = build_json_end(&j, "config.json", err);
    if (status == TOLA_OK) build_string_n(b, "tola.source.config", (const char *)j.text.data, j.text.length);
    build_json_free(&j);
    return status;
}

/* What no key of GGUF says: the function of feed-forward layers, which belongs to the architecture there; LongRoPE
 * beyond the two that llama.cpp has factors for; a scaling of Gemma 3's layers with a window; Gemma 2 without caps. */
static tola_status check_words(const builder *b, tola_error *err) {
    const family_hyper *h = &b->hyper;
    family_map map = b->plan->family->map;
    const bool gemma = map == FAMILY_MAP_GEMMA || map == FAMILY_MAP_GEMMA2 || map == FAMILY_MAP_GEMMA3;
    const char *word = h->activation;
    /* Gemma's "gelu" stood for the approximation at first */
    bool same = word == NULL || (gemma ? strncmp(word, "gelu", 4) == 0
                                       : strcmp(word, "silu") == 0 || strcmp(word, "swish") == 0);
    if (!same)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "config.json: GGUF's %s has %s, not %.60s", b->arch,
                       gemma ? "gelu_pytorch_tanh" : "silu", word);
    if (h->rope == FAMILY_ROPE_LONGROPE && map != FAMILY_MAP_PHI3 && map != FAMILY_MAP_LLAMA)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "config.json: GGUF's %s has no longrope scaling",
                       b->arch);
    const tola_value *local = tola_value_get(member(b, "rope_parameters"), "sliding_attention");
    word = tola_value_str(tola_value_get(local, "rope_type"), "default");
    if (map == FAMILY_MAP_GEMMA3 && strcmp(word, "default") != 0)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "config.json: rope_parameters.sliding_attention: GGUF's %s has no %.60s scaling of layers with "
                       "a window", b->arch, word);
    static const char *const caps[] = { "attn_logit_softcapping", "final_logit_softcapping" };
    for (size_t i = 0; map == FAMILY_MAP_GEMMA2 && i < sizeof caps / sizeof *caps; i++) {
        const tola_value *cap = tola_value_get(h->text, caps[i]);
        if (cap != NULL && cap->kind == TOLA_VALUE_NULL)
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "config.json: GGUF's %s has %s, not null", b->arch,
                           caps[i]);
    }
    return TOLA_OK;
}

tola_status config_to_gguf(builder *b, tola_error *err) {
    const family_hyper *h = &b->hyper;
    family_map map = b->plan->family->map;
    bool gemma = map == FAMILY_MAP_GEMMA || map == FAMILY_MAP_GEMMA2 || map == FAMILY_MAP_GEMMA3;
    families_hyper_defaults(b->plan->family, &b->hyper);
    TRY(check_hyper(h, tola_checkpoint_tensor_count(b->ck), err));
    const tola_value *quantized = member(b, "quantization_config");
    if (quantized == NULL) quantized = tola_value_get(tola_checkpoint_config(b->ck), "quantization_config");
    if (quantized != NULL && quantized->kind == TOLA_VALUE_MAP)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "config.json: weights are quantized (%s); only plain weights convert to GGUF",
                       tola_value_str(tola_value_get(quantized, "quant_method"), "unknown method"));
    TRY(check_words(b, err));
    warn_of_differences(b, map);
    build_u32(b, ".vocab_size", h->vocabulary);
    build_u32(b, ".context_length", h->context);
    build_u32(b, ".embedding_length", h->width);
    build_u32(b, ".block_count", h->layers);
    build_u32(b, ".feed_forward_length", h->feed_forward);
    build_u32(b, ".attention.head_count", h->heads);
    build_u32(b, ".attention.head_count_kv", h->kv_heads);
    build_f32(b, ".attention.layer_norm_rms_epsilon", h->norm_eps);
    if (gemma || member(b, "head_dim") != NULL || h->head_dim * h->heads != h->width) {
        build_u32(b, ".attention.key_length", h->head_dim);
        build_u32(b, ".attention.value_length", h->head_dim);
    }
    if (map == FAMILY_MAP_LLAMA || map == FAMILY_MAP_PHI3)
        build_u32(b, ".rope.dimension_count", (uint64_t)(h->rope_partial * (double)h->head_dim));
    rope_to_gguf(b, map);
    if (h->experts != 0) {
        build_u32(b, ".expert_count", h->experts);
        build_u32(b, ".expert_used_count", h->experts_used);
        if (map != FAMILY_MAP_LLAMA) build_u32(b, ".expert_feed_forward_length", h->expert_feed_forward);
        if (map == FAMILY_MAP_QWEN2) build_u32(b, ".expert_shared_feed_forward_length", h->shared_feed_forward);
        if (map != FAMILY_MAP_LLAMA)
            build_bool(b, ".expert_weights_norm", tola_value_bool(member(b, "norm_topk_prob"), false));
    }
    if (map == FAMILY_MAP_PHI3 || h->rope == FAMILY_ROPE_LONGROPE) longrope_to_gguf(b, map == FAMILY_MAP_PHI3);
    if (map == FAMILY_MAP_LLAMA && strcmp(b->plan->family->name, "llama") != 0 && h->sliding_window != 0)
        build_u32(b, ".attention.sliding_window", h->sliding_window);
    double scalar = tola_value_f64(member(b, "query_pre_attn_scalar"), map == FAMILY_MAP_GEMMA ? 0 : 256);
    if (gemma && map != FAMILY_MAP_GEMMA && scalar > 0 && scalar != (double)h->head_dim)
        build_f32(b, ".attention.scale", 1 / sqrt(scalar));
    if ((map == FAMILY_MAP_GEMMA2 || map == FAMILY_MAP_GEMMA3) && h->sliding_window != 0)
        build_u32(b, ".attention.sliding_window", h->sliding_window);
    if (map == FAMILY_MAP_GEMMA2) {
        build_f32(b, ".attn_logit_softcapping", tola_value_f64(member(b, "attn_logit_softcapping"), 50));
        build_f32(b, ".final_logit_softcapping", tola_value_f64(member(b, "final_logit_softcapping"), 30));
    }
    double cap = tola_value_f64(member(b, "final_logit_softcapping"), 0);
    if (map == FAMILY_MAP_GEMMA3 && cap > 0) build_f32(b, ".final_logit_softcapping", cap);
    return keep_config(b, err);
}

void config_llama3_factors(const family_hyper *h, float *factors) {
    double theta = h->rope_theta > 0 ? h->rope_theta : 10000, factor = h->rope_factor > 0 ? h->rope_factor : 8;
    double low = h->rope_low_freq > 0 ? h->rope_low_freq : 1, high = h->rope_high_freq > 0 ? h->rope_high_freq : 4;
    double original = (double)(h->rope_original_context != 0 ? h->rope_original_context : h->context);
    for (size_t i = 0; i < h->head_dim / 2; i++) {
        /* In f32, as the models' own code has it. */
        float frequency = 1.0f / powf((float)theta, (float)(2 * i) / (float)h->head_dim);
        double wavelength = 2 * 3.14159265358979323846 / (double)frequency;
        double smooth = (original / wavelength - low) / (high - low);
        factors[i] = wavelength < original / high  ? 1
                     : wavelength > original / low ? (float)factor
                                                   : (float)(1 / ((1 - smooth) / factor + smooth));
    }
}

/* ---- GGUF -> Hugging Face ---- */

/* Hugging Face's words for each map: what a config.json must say before anything else. */
static const struct {
    family_map map;
    bool experts;
    const char *model_type, *model_class, *activation_key, *activation;
} classes[] = {
    { FAMILY_MAP_LLAMA, false, "llama", "LlamaForCausalLM", "hidden_act", "silu" },
    { FAMILY_MAP_LLAMA, true, "mixtral", "MixtralForCausalLM", "hidden_act", "silu" },
    { FAMILY_MAP_QWEN2, false, "qwen2", "Qwen2ForCausalLM", "hidden_act", "silu" },
    { FAMILY_MAP_QWEN2, true, "qwen2_moe", "Qwen2MoeForCausalLM", "hidden_act", "silu" },
    { FAMILY_MAP_QWEN3, false, "qwen3", "Qwen3ForCausalLM", "hidden_act", "silu" },
    { FAMILY_MAP_QWEN3, true, "qwen3_moe", "Qwen3MoeForCausalLM", "hidden_act", "silu" },
    { FAMILY_MAP_GEMMA, false, "gemma", "GemmaForCausalLM", "hidden_act", "gelu_pytorch_tanh" },
    { FAMILY_MAP_GEMMA2, false, "gemma2", "Gemma2ForCausalLM", "hidden_activation", "gelu_pytorch_tanh" },
    { FAMILY_MAP_GEMMA3, false, "gemma3_text", "Gemma3ForCausalLM", "hidden_activation", "gelu_pytorch_tanh" },
    { FAMILY_MAP_PHI3, false, "phi3", "Phi3ForCausalLM", "hidden_act", "silu" },
};

static void put_u64(tola_json *j, const char *key, uint64_t value) {
    tola_json_key(j, key);
    tola_json_u64(j, value);
}

static void put_f64(tola_json *j, const char *key, double value) {
    tola_json_key(j, key);
    tola_json_f64(j, value);
}

static void put_bool(tola_json *j, const char *key, bool value) {
    tola_json_key(j, key);
    tola_json_bool(j, value);
}

static void put_string(tola_json *j, const char *key, const char *value) {
    tola_json_key(j, key);
    tola_json_string(j, value);
}

static double shortest_of(const tola_value *v, double fallback) {
    return v != NULL ? build_shortest((float)tola_value_f64(v, fallback)) : fallback;
}

static void put_factors(builder *b, tola_json *j, const char *key, const char *tensor) {
    size_t index = tola_checkpoint_find(b->ck, tensor);
    float *values = index != SIZE_MAX ? build_read_f32(b, index) : NULL;
    if (values == NULL) return;
    uint64_t n = tola_checkpoint_tensor(b->ck, index)->elements;
    tola_json_key(j, key);
    tola_json_begin_array(j);
    for (uint64_t i = 0; i < n; i++) tola_json_f64(j, build_shortest(values[i]));
    tola_json_end_array(j);
}

/* Llama 3's scaling lives in rope_freqs.weight alone: its factor is the largest there; low_freq_factor 1 and
 * high_freq_factor 4 are those of all published models (https://github.com/meta-llama/llama-models); the context that
 * was trained first is the power of two that gives exactly these numbers, 8192 where none does. */
static void put_llama3(builder *b, tola_json *j, size_t index) {
    size_t n = (size_t)tola_checkpoint_tensor(b->ck, index)->elements;
    float *values = build_read_f32(b, index), *again = values != NULL ? build_alloc(b, n + 1, sizeof *again) : NULL;
    if (again == NULL) {
        build_warn(b, "rope_freqs.weight is no small f32 vector: its rope scaling is left out");
        return;
    }
    family_hyper h = b->hyper;
    h.head_dim = 2 * n;
    h.rope_factor = 1;
    h.rope_low_freq = 1;
    h.rope_high_freq = 4;
    for (size_t i = 0; i < n; i++)
        if ((double)values[i] > h.rope_factor) h.rope_factor = (double)values[i];
    bool same = false;
    for (h.rope_original_context = 16; !same && h.rope_original_context <= 1u << 24; h.rope_original_context *= 2) {
        config_llama3_factors(&h, again);
        same = true;
        for (size_t i = 0; i < n && same; i++) same = fabsf(values[i] - again[i]) <= 1e-5f * again[i];
        if (same) break;
    }
    if (!same) {
        h.rope_original_context = 8192;
        build_warn(b, "rope scaling: factor %g is that of rope_freqs.weight, the other parameters are assumed to be "
                      "Llama 3's", h.rope_factor);
    }
    tola_json_key(j, "rope_scaling");
    tola_json_begin_object(j);
    put_string(j, "rope_type", "llama3");
    put_f64(j, "factor", build_shortest((float)h.rope_factor));
    put_f64(j, "low_freq_factor", h.rope_low_freq);
    put_f64(j, "high_freq_factor", h.rope_high_freq);
    put_u64(j, "original_max_position_embeddings", h.rope_original_context);
    tola_json_end_object(j);
}

static void put_rope(builder *b, tola_json *j) {
    const family_hyper *h = &b->hyper;
    put_f64(j, "rope_theta", h->rope_theta > 0 ? build_shortest((float)h->rope_theta) : 10000.0);
    size_t freqs = tola_checkpoint_find(b->ck, "rope_freqs.weight");
    if (b->plan->family->map == FAMILY_MAP_PHI3) {
        put_u64(j, "original_max_position_embeddings",
                h->rope_original_context != 0 ? h->rope_original_context : h->context);
        if (h->rope_partial != 1) put_f64(j, "partial_rotary_factor", h->rope_partial);
    }
    if (b->plan->family->map == FAMILY_MAP_PHI3 || h->rope == FAMILY_ROPE_LONGROPE) {
        if (tola_checkpoint_find(b->ck, "rope_factors_long.weight") == SIZE_MAX) return;
        tola_json_key(j, "rope_scaling");
        tola_json_begin_object(j);
        put_string(j, "type", "longrope");
        if (b->plan->family->map != FAMILY_MAP_PHI3)
            put_u64(j, "original_max_position_embeddings", h->rope_original_context);
        if (b->plan->family->map != FAMILY_MAP_PHI3 && h->rope_attn_factor > 0)
            put_f64(j, "attention_factor", build_shortest((float)h->rope_attn_factor));
        put_factors(b, j, "short_factor", "rope_factors_short.weight");
        put_factors(b, j, "long_factor", "rope_factors_long.weight");
        tola_json_end_object(j);
    } else if (freqs != SIZE_MAX) {
        put_llama3(b, j, freqs);
    } else if (h->rope == FAMILY_ROPE_LINEAR || h->rope == FAMILY_ROPE_YARN) {
        tola_json_key(j, "rope_scaling");
        tola_json_begin_object(j);
        put_string(j, "rope_type", h->rope == FAMILY_ROPE_YARN ? "yarn" : "linear");
        put_f64(j, "factor", build_shortest((float)h->rope_factor));
        if (h->rope == FAMILY_ROPE_YARN && h->rope_original_context != 0)
            put_u64(j, "original_max_position_embeddings", h->rope_original_context);
        if (h->rope == FAMILY_ROPE_YARN && h->rope_attn_factor > 0)
            put_f64(j, "attention_factor", h->rope_attn_factor * yarn_magnitude(h->rope_factor, 1));
        tola_json_end_object(j);
    }
    const tola_value *local = build_under(b, "rope.freq_base_swa");
    if (b->plan->family->map == FAMILY_MAP_GEMMA3) put_f64(j, "rope_local_base_freq", shortest_of(local, 10000.0));
}

static void put_experts(builder *b, tola_json *j) {
    const family_hyper *h = &b->hyper;
    if (h->experts == 0) return;
    bool mixtral = b->plan->family->map == FAMILY_MAP_LLAMA;
    put_u64(j, mixtral ? "num_local_experts" : "num_experts", h->experts);
    put_u64(j, "num_experts_per_tok", h->experts_used);
    if (mixtral) return;
    put_u64(j, "moe_intermediate_size", h->expert_feed_forward);
    if (b->plan->family->map == FAMILY_MAP_QWEN2)
        put_u64(j, "shared_expert_intermediate_size", h->shared_feed_forward);
    put_bool(j, "norm_topk_prob", tola_value_bool(build_under(b, "expert_weights_norm"),
                                                  b->plan->family->map == FAMILY_MAP_QWEN3));
}

static void put_special_ids(builder *b, tola_json *j) {
    static const struct {
        const char *key, *gguf;
    } ids[] = { { "bos_token_id", "tokenizer.ggml.bos_token_id" },
                { "eos_token_id", "tokenizer.ggml.eos_token_id" },
                { "pad_token_id", "tokenizer.ggml.padding_token_id" } };
    const tola_value *metadata = tola_checkpoint_metadata(b->ck);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        uint64_t id = tola_value_u64(tola_value_get(metadata, ids[i].gguf), UINT64_MAX);
        tola_json_key(j, ids[i].key);
        if (id < b->hyper.vocabulary) /* some files say 4294967295 for none */
            tola_json_u64(j, id);
        else
            tola_json_null(j);
    }
}

/* The row of classes[], SIZE_MAX where there is none (Gemma with experts). */
static size_t class_row(family_map map, bool experts) {
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (classes[i].map == map && classes[i].experts == experts) return i;
    return SIZE_MAX;
}

static void put_config(builder *b, tola_json *j, size_t row, const char *dtype) {
    const family_hyper *h = &b->hyper;
    family_map map = b->plan->family->map;
    tola_json_begin_object(j);
    tola_json_key(j, "architectures");
    tola_json_begin_array(j);
    tola_json_string(j, classes[row].model_class);
    tola_json_end_array(j);
    put_string(j, "model_type", classes[row].model_type);
    put_u64(j, "vocab_size", h->vocabulary);
    put_u64(j, "hidden_size", h->width);
    put_u64(j, "intermediate_size", h->feed_forward);
    put_u64(j, "num_hidden_layers", h->layers);
    put_u64(j, "num_attention_heads", h->heads);
    put_u64(j, "num_key_value_heads", h->kv_heads);
    put_u64(j, "head_dim", h->head_dim);
    put_string(j, classes[row].activation_key, classes[row].activation);
    put_u64(j, "max_position_embeddings", h->context);
    put_f64(j, "rms_norm_eps", build_shortest((float)h->norm_eps));
    put_rope(b, j);
    put_experts(b, j);
    if (map == FAMILY_MAP_LLAMA && h->experts == 0) {
        put_bool(j, "attention_bias", tola_checkpoint_find(b->ck, "blk.0.attn_q.bias") != SIZE_MAX);
        put_bool(j, "mlp_bias", tola_checkpoint_find(b->ck, "blk.0.ffn_up.bias") != SIZE_MAX);
    }
    if (map == FAMILY_MAP_PHI3 || map == FAMILY_MAP_GEMMA2 || map == FAMILY_MAP_GEMMA3) {
        tola_json_key(j, "sliding_window");
        if (h->sliding_window != 0)
            tola_json_u64(j, h->sliding_window);
        else
            tola_json_null(j);
    }
    if (map == FAMILY_MAP_GEMMA2) {
        put_f64(j, "attn_logit_softcapping", shortest_of(build_under(b, "attn_logit_softcapping"), 50));
        put_f64(j, "final_logit_softcapping", shortest_of(build_under(b, "final_logit_softcapping"), 30));
    }
    if (map == FAMILY_MAP_GEMMA2 || map == FAMILY_MAP_GEMMA3) put_u64(j, "query_pre_attn_scalar", h->head_dim);
    put_bool(j, "tie_word_embeddings", h->tie_embeddings);
    put_special_ids(b, j);
    put_string(j, "torch_dtype", dtype);
    tola_json_end_object(j);
}

/* Does the stored config.json describe the model that the keys describe? A tool may have changed the keys since. */
static bool same_model(const builder *b, const tola_value *config) {
    family_hyper stored;
    families_hyper_hf(config, &stored);
    const family_hyper *h = &b->hyper;
    const uint64_t pairs[][2] = {
        { stored.layers, h->layers },
        { stored.width, h->width },
        { stored.heads, h->heads },
        { stored.kv_heads, h->kv_heads },
        { stored.head_dim, h->head_dim },
        { stored.feed_forward, h->feed_forward },
        { stored.experts, h->experts },
        { stored.experts_used, h->experts_used },
        { stored.context, h->context },
        { stored.vocabulary, h->vocabulary },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i][0] != 0 && pairs[i][0] != pairs[i][1]) return false;
    return (float)stored.norm_eps == (float)h->norm_eps &&
           (stored.rope_theta == 0 || h->rope_theta == 0 || (float)stored.rope_theta == (float)h->rope_theta);
}

/* The stored config.json with the dtype that is written now. */
static void put_stored(tola_json *j, const tola_value *config, const char *dtype) {
    tola_json_begin_object(j);
    for (size_t i = 0; i < config->as.map.count; i++) {
        const tola_member *m = &config->as.map.members[i];
        bool is_dtype = strcmp(m->key.data, "torch_dtype") == 0 || strcmp(m->key.data, "dtype") == 0;
        tola_json_key_n(j, m->key.data, m->key.length);
        if (is_dtype && m->value.kind == TOLA_VALUE_STRING && dtype != NULL)
            tola_json_string(j, dtype);
        else
            tola_json_value(j, &m->value);
    }
    tola_json_end_object(j);
}

static const char *torch_name(tola_dtype dtype) {
    switch (dtype) {
    case TOLA_DTYPE_F16: return "float16";
    case TOLA_DTYPE_BF16: return "bfloat16";
    case TOLA_DTYPE_F64: return "float64";
    default: return "float32";
    }
}

tola_status config_to_hf(builder *b, tola_error *err) {
    const tola_value *text = tola_value_get(tola_checkpoint_metadata(b->ck), "tola.source.config");
    tola_value config = { 0 };
    if (text != NULL && text->kind == TOLA_VALUE_STRING) {
        config = build_parse(b, text->as.string.data, text->as.string.length);
        if (config.kind != TOLA_VALUE_MAP || !same_model(b, &config)) {
            memset(&config, 0, sizeof config);
            build_warn(b, "the config.json stored in the file does not describe it; a new one is made from its keys");
        }
    }
    /* The dtype of most of what is written, by elements. */
    uint64_t elements[TOLA_DTYPE_COUNT] = { 0 };
    tola_dtype most = TOLA_DTYPE_F32;
    for (size_t i = 0; i < b->item_count; i++) {
        uint64_t n = 1;
        for (unsigned d = 0; d < b->items[i].n_dims; d++) n *= b->items[i].shape[d];
        elements[b->items[i].dtype] += n;
        if (elements[b->items[i].dtype] > elements[most]) most = (tola_dtype)b->items[i].dtype;
    }
    size_t row = class_row(b->plan->family->map, b->hyper.experts != 0);
    if (row == SIZE_MAX)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s with %llu experts has no Hugging Face counterpart",
                       b->arch, (unsigned long long)b->hyper.experts);
    build_json j;
    build_json_begin(&j, 2);
    if (config.kind == TOLA_VALUE_MAP)
        put_stored(&j.json, &config, b->options->dtype != TOLA_DTYPE_NONE ? torch_name(most) : NULL);
    else
        put_config(b, &j.json, row, torch_name(most));
    tola_status status = build_json_end(&j, "config.json", err);
    if (status == TOLA_OK) build_companion(b, "config.json", j.text.data, j.text.length);
    build_json_free(&j);
    return status;
}
