/* Families: names, roles, configurations, pre-tokenizers, SentencePiece models, and the plans between Hugging Face and
 * GGUF where no other program is needed to tell right from wrong. */
#include "unit.h"

#include "base/json.h"
#include "families/hf_gguf.h"
#include "families/names.h"
#include "families/sentencepiece.h"
#include "families/tokens.h"

/* ---- recognising ---- */

static void words_find_their_rows(void **state) {
    (void)state;
    static const struct {
        const char *type, *name;
    } types[] = { { "llama", "llama" },     { "mistral", "mistral" },        { "mixtral", "mixtral" },
                  { "qwen3_moe", "qwen3_moe" }, { "gemma3_text", "gemma3" }, { "phi3", "phi3" },
                  { "deepseek_v32", "deepseek_v3" }, { "gpt_oss", "gpt_oss" }, { "xlm-roberta", "roberta" } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const family *f = families_by_model_type(types[i].type);
        assert_non_null(f);
        assert_string_equal(f->name, types[i].name);
    }
    assert_null(families_by_model_type("llam"));
    assert_null(families_by_model_type("llamas"));
    assert_null(families_by_model_type(""));
    assert_null(families_by_model_type(NULL));
    assert_string_equal(families_by_class("DeepseekV32ForCausalLM")->name, "deepseek_v3");
    assert_string_equal(families_by_class("GPT2LMHeadModel")->name, "gpt2");
    assert_string_equal(families_by_gguf("qwen2moe")->name, "qwen2_moe");
    assert_string_equal(families_by_gguf("llama")->name, "llama");
}

static void rows_are_sound(void **state) {
    (void)state;
    for (size_t i = 0; families_row(i); i++) {
        const family *f = families_row(i);
        assert_non_null(f->name);
        const char *lists[] = { f->model_types, f->classes, f->gguf, f->hints };
        for (size_t k = 0; k < 4; k++) {
            if (!lists[k]) continue;
            assert_null(strstr(lists[k], "  "));
            assert_true(lists[k][0] != ' ' && lists[k][0] != '\0' && lists[k][strlen(lists[k]) - 1] != ' ');
        }
        if (f->map != FAMILY_MAP_NONE) assert_non_null(f->model_types);
    }
}

/* A checkpoint of tensors with these names and nothing else. */
static const char *detected(const char *names) {
    char text[4096], file[4200];
    size_t n = 0, at = 0;
    n += (size_t)snprintf(text + n, sizeof text - n, "{");
    for (const char *p = names; *p;) {
        size_t length = strcspn(p, " ");
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "%s\"%.*s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}",
                              at ? "," : "", (int)length, p, at, at + 1);
        at++;
        p += length + (p[length] == ' ');
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "}");
    for (int i = 0; i < 8; i++) file[i] = (char)((uint64_t)n >> (8 * i));
    memcpy(file + 8, text, n);
    memset(file + 8 + n, 0, at);
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open_memory("x.safetensors", file, 8 + n + at, &ck, &err) != TOLA_OK)
        fail_msg("%s", err.message);
    const family *f = families_detect(ck);
    tola_checkpoint_close(ck);
    return f ? f->name : "none";
}

static void names_alone_tell(void **state) {
    (void)state;
    assert_string_equal(detected("a b c"), "none");
    assert_string_equal(detected("model.layers.0.self_attn.q_proj.weight model.layers.0.mlp.gate_proj.weight "
                                 "model.layers.0.input_layernorm.weight"), "llama");
    assert_string_equal(detected("layers.0.self_attn.q_proj.weight layers.0.mlp.gate_proj.weight"), "none");
    assert_string_equal(detected("layers.0.self_attn.q_proj.weight layers.0.mlp.gate_proj.weight "
                                 "layers.0.self_attn.q_norm.weight layers.0.input_layernorm.weight"), "qwen3");
    assert_string_equal(detected("model.layers.0.block_sparse_moe.experts.0.w1.weight"), "mixtral");
    assert_string_equal(detected("xlayers.0.block_sparse_moe.experts.0.w1.weight"), "none");
    assert_string_equal(detected("h.0.attn.c_attn.weight h.0.mlp.c_fc.weight wpe.weight"), "gpt2");
    assert_string_equal(detected("layer1.0.conv1.weight layer4.0.conv1.weight fc.weight"), "resnet");
    assert_string_equal(detected("blk.0.attn_q.weight blk.0.ffn_gate.weight"), "llama");
}

/* ---- names ---- */

static void names_go_both_ways(void **state) {
    (void)state;
    size_t pairs = 0;
    for (family_map map = FAMILY_MAP_LLAMA; map <= FAMILY_MAP_PHI3; map++) {
        for (size_t i = 0; names_row(i); i++) {
            const name_row *row = names_row(i);
            if (!(row->maps & 1u << map)) continue;
            char hf[256], gguf[256];
            name_match match;
            assert_true(names_format(row->hf, 12, 7, hf, sizeof hf));
            assert_true(names_format(row->gguf, 12, 7, gguf, sizeof gguf));
            if (row->flags & NAME_READ) { /* conversions refuse it by name */
                assert_false(names_match_hf(map, hf, &match));
                continue;
            }
            assert_true(names_match_hf(map, hf, &match));
            assert_ptr_equal(match.row, row);
            assert_true(names_match_gguf(map, gguf, &match));
            /* Mixtral's and Qwen's experts share GGUF names, but not maps. */
            assert_string_equal(match.row->hf, row->hf);
            if (strstr(row->hf, "%d")) assert_int_equal(match.layer, 12);
            pairs++;
        }
    }
    assert_true(pairs > 100);
}

static void near_misses_are_no_names(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "model.layers.01.mlp.up_proj.weight",
        "model.layers..mlp.up_proj.weight",
        "model.layers.1.mlp.up_proj.weightx",
        "model.layers.1.mlp.up_proj",
        "model.layers.-1.mlp.up_proj.weight",
        "Model.norm.weight",
        "model.layers.9999999999.mlp.up_proj.weight",
        "lm_head.weight.1",
        "",
        "model.",
        "model.layers.1.",
        "model.layers.1.self_attn.q_norm.weight",
        "model.layers.1.self_attn.qkv_proj.weight",
    };
    name_match match;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(names_match_hf(FAMILY_MAP_LLAMA, wrong[i], &match));
    assert_true(names_match_hf(FAMILY_MAP_LLAMA, "layers.3.mlp.up_proj.weight", &match));
    assert_int_equal(match.layer, 3);
    assert_true(names_match_hf(FAMILY_MAP_GEMMA3, "model.language_model.layers.3.mlp.up_proj.weight", &match));
    assert_true(names_match_hf(FAMILY_MAP_GEMMA3, "language_model.model.norm.weight", &match));
    assert_true(names_match_hf(FAMILY_MAP_GEMMA3, "language_model.lm_head.weight", &match));
    char small[8];
    assert_false(names_format("blk.%d.ffn_up.weight", 1, 0, small, sizeof small));
}

static void layers_are_found(void **state) {
    (void)state;
    size_t prefix;
    uint64_t index;
    assert_true(families_layer("model.layers.12.mlp.experts.3.w1.weight", &prefix, &index));
    assert_int_equal(prefix, 13);
    assert_int_equal(index, 12);
    assert_true(families_layer("blk.0.attn_q.weight", &prefix, &index));
    assert_int_equal(prefix, 4);
    assert_true(families_layer("7", &prefix, &index));
    assert_int_equal(prefix, 0);
    assert_int_equal(index, 7);
    assert_false(families_layer("fc1.weight", &prefix, &index));
    assert_false(families_layer("layers.12345678901.x", &prefix, &index));
    assert_false(families_layer("", &prefix, &index));
    assert_false(families_layer("...", &prefix, &index));
}

/* ---- roles ---- */

static void names_have_roles(void **state) {
    (void)state;
    static const struct {
        const char *name;
        tola_dtype dtype;
        unsigned dims;
        tola_role role;
    } cases[] = {
        { "model.embed_tokens.weight", TOLA_DTYPE_BF16, 2, TOLA_ROLE_EMBEDDING },
        { "transformer.wte.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_EMBEDDING },
        { "token_embd.weight", TOLA_DTYPE_Q4_K, 2, TOLA_ROLE_EMBEDDING },
        { "bert.embeddings.position_embeddings.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_EMBEDDING },
        { "model.layers.0.self_attn.q_proj.weight", TOLA_DTYPE_BF16, 2, TOLA_ROLE_ATTENTION },
        { "blk.3.attn_output.weight", TOLA_DTYPE_Q6_K, 2, TOLA_ROLE_ATTENTION },
        { "h.0.attn.c_proj.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_ATTENTION },
        { "bert.encoder.layer.0.attention.output.dense.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_ATTENTION },
        { "encoder.block.0.layer.0.SelfAttention.q.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_ATTENTION },
        { "model.layers.0.self_attn.kv_a_proj_with_mqa.weight", TOLA_DTYPE_BF16, 2, TOLA_ROLE_ATTENTION },
        { "bert.encoder.layer.0.output.dense.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_FEED_FORWARD },
        { "bert.encoder.layer.0.intermediate.dense.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_FEED_FORWARD },
        { "h.0.mlp.c_proj.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_FEED_FORWARD },
        { "blk.0.ffn_down.weight", TOLA_DTYPE_F16, 2, TOLA_ROLE_FEED_FORWARD },
        { "encoder.block.0.layer.1.DenseReluDense.wo.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_FEED_FORWARD },
        { "model.layers.3.mlp.shared_experts.up_proj.weight", TOLA_DTYPE_BF16, 2, TOLA_ROLE_FEED_FORWARD },
        { "blk.0.ffn_up_shexp.weight", TOLA_DTYPE_F16, 2, TOLA_ROLE_FEED_FORWARD },
        { "model.layers.3.mlp.experts.17.gate_proj.weight", TOLA_DTYPE_F8_E4M3, 2, TOLA_ROLE_EXPERTS },
        { "model.layers.0.block_sparse_moe.experts.0.w1.weight", TOLA_DTYPE_BF16, 2, TOLA_ROLE_EXPERTS },
        { "model.layers.0.mlp.experts.gate_up_proj_blocks", TOLA_DTYPE_U8, 4, TOLA_ROLE_EXPERTS },
        { "blk.0.ffn_gate_exps.weight", TOLA_DTYPE_Q4_K, 3, TOLA_ROLE_EXPERTS },
        { "model.layers.3.mlp.gate.weight", TOLA_DTYPE_BF16, 2, TOLA_ROLE_ROUTER },
        { "model.layers.3.mlp.gate.e_score_correction_bias", TOLA_DTYPE_F32, 1, TOLA_ROLE_ROUTER },
        { "model.layers.0.mlp.router.weight", TOLA_DTYPE_BF16, 2, TOLA_ROLE_ROUTER },
        { "blk.0.ffn_gate_inp.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_ROUTER },
        { "blk.0.exp_probs_b.bias", TOLA_DTYPE_F32, 1, TOLA_ROLE_ROUTER },
        { "model.layers.0.input_layernorm.weight", TOLA_DTYPE_BF16, 1, TOLA_ROLE_NORM },
        { "model.layers.0.self_attn.q_norm.weight", TOLA_DTYPE_BF16, 1, TOLA_ROLE_NORM },
        { "h.0.ln_1.bias", TOLA_DTYPE_F32, 1, TOLA_ROLE_NORM },
        { "layer1.0.bn1.weight", TOLA_DTYPE_F32, 1, TOLA_ROLE_NORM },
        { "features.1.weight", TOLA_DTYPE_F32, 1, TOLA_ROLE_NORM },
        { "bert.embeddings.LayerNorm.gamma", TOLA_DTYPE_F32, 1, TOLA_ROLE_NORM },
        { "model.layers.0.self_attn.q_proj.bias", TOLA_DTYPE_BF16, 1, TOLA_ROLE_BIAS },
        { "fc1.bias", TOLA_DTYPE_F32, 1, TOLA_ROLE_BIAS },
        { "lm_head.weight", TOLA_DTYPE_BF16, 2, TOLA_ROLE_OUTPUT },
        { "output.weight", TOLA_DTYPE_Q6_K, 2, TOLA_ROLE_OUTPUT },
        { "output_norm.weight", TOLA_DTYPE_F32, 1, TOLA_ROLE_NORM },
        { "layer1.0.conv1.weight", TOLA_DTYPE_F32, 4, TOLA_ROLE_CONVOLUTION },
        { "features.0.weight", TOLA_DTYPE_F32, 4, TOLA_ROLE_CONVOLUTION },
        { "lstm.weight_ih_l0", TOLA_DTYPE_F32, 2, TOLA_ROLE_RECURRENT },
        { "lstm.bias_hh_l0", TOLA_DTYPE_F32, 1, TOLA_ROLE_RECURRENT },
        { "backbone.layers.0.mixer.A_log", TOLA_DTYPE_F32, 2, TOLA_ROLE_RECURRENT },
        { "backbone.layers.0.mixer.in_proj.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_RECURRENT },
        { "blk.0.ssm_in.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_RECURRENT },
        { "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", TOLA_DTYPE_F32, 2, TOLA_ROLE_ADAPTER },
        { "layer1.0.bn1.running_mean", TOLA_DTYPE_F32, 1, TOLA_ROLE_BUFFER },
        { "bn1.num_batches_tracked", TOLA_DTYPE_I64, 0, TOLA_ROLE_BUFFER },
        { "h.0.attn.bias", TOLA_DTYPE_F32, 4, TOLA_ROLE_BUFFER },
        { "embeddings.position_ids", TOLA_DTYPE_I64, 2, TOLA_ROLE_BUFFER },
        { "model.layers.0.self_attn.rotary_emb.inv_freq", TOLA_DTYPE_F32, 1, TOLA_ROLE_BUFFER },
        { "rope_freqs.weight", TOLA_DTYPE_F32, 1, TOLA_ROLE_BUFFER },
        { "model.layers.0.mlp.up_proj.qweight", TOLA_DTYPE_I32, 2, TOLA_ROLE_FEED_FORWARD },
        { "model.layers.0.mlp.up_proj.qzeros", TOLA_DTYPE_I32, 2, TOLA_ROLE_QUANT },
        { "model.layers.0.mlp.up_proj.scales", TOLA_DTYPE_F16, 2, TOLA_ROLE_QUANT },
        { "model.layers.0.mlp.up_proj.g_idx", TOLA_DTYPE_I32, 1, TOLA_ROLE_QUANT },
        { "model.layers.0.mlp.up_proj.weight_scale_inv", TOLA_DTYPE_F32, 2, TOLA_ROLE_QUANT },
        { "model.layers.0.mlp.up_proj.weight.absmax", TOLA_DTYPE_U8, 1, TOLA_ROLE_QUANT },
        { "model.layers.0.mlp.up_proj.weight.quant_state.bitsandbytes__nf4", TOLA_DTYPE_U8, 1, TOLA_ROLE_QUANT },
        { "hello", TOLA_DTYPE_F32, 2, TOLA_ROLE_OTHER },
        { "", TOLA_DTYPE_F32, 2, TOLA_ROLE_OTHER },
        { "....", TOLA_DTYPE_F32, 2, TOLA_ROLE_OTHER },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tola_role got = families_role(cases[i].name, cases[i].dtype, cases[i].dims);
        if (got != cases[i].role) fail_msg("%s: role %d, expected %d", cases[i].name, (int)got, (int)cases[i].role);
    }
    assert_true(families_packed("x.qweight", TOLA_DTYPE_I32));
    assert_true(families_packed("x.weight", TOLA_DTYPE_U32));
    assert_false(families_packed("x.weight", TOLA_DTYPE_F16));
    assert_false(families_packed("x.weight", TOLA_DTYPE_I8));
}

/* ---- configurations ---- */

static void read_config(const char *text, arena *a, tola_value *out) {
    tola_error err = TOLA_ERROR_INIT;
    arena_init(a, 0);
    if (json_parse(text, strlen(text), a, out, &err) != TOLA_OK) fail_msg("%s", err.message);
}

static void configurations_are_read(void **state) {
    (void)state;
    arena a;
    tola_value v;
    family_hyper h;
    read_config("{\"model_type\":\"gpt2\",\"n_embd\":768,\"n_head\":12,\"n_layer\":12,\"n_positions\":1024,"
                "\"n_inner\":null,\"vocab_size\":50257,\"layer_norm_epsilon\":1e-05}",
                &a, &v);
    families_hyper_hf(&v, &h);
    assert_int_equal(h.width, 768);
    assert_int_equal(h.feed_forward, 3072);
    assert_int_equal(h.head_dim, 64);
    assert_int_equal(h.kv_heads, 12);
    assert_true(h.tie_embeddings);
    arena_free(&a);

    read_config("{\"model_type\":\"llama\",\"hidden_size\":64,\"num_attention_heads\":4,\"num_hidden_layers\":2,"
                "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192},\"rope_theta\":500000.0}",
                &a, &v);
    families_hyper_hf(&v, &h);
    assert_int_equal(h.rope, FAMILY_ROPE_LLAMA3);
    assert_int_equal(h.rope_original_context, 8192);
    assert_true(h.rope_factor == 8 && h.rope_theta == 500000 && h.rope_partial == 1);
    assert_false(h.tie_embeddings);
    arena_free(&a);
}

static void classes_read_their_own_words(void **state) {
    (void)state;
    static const struct {
        const char *config;
        double eps;
        uint64_t original;
    } rows[] = {
        { "{\"model_type\":\"bert\",\"rms_norm_eps\":0.5,\"layer_norm_epsilon\":0.25}", 1e-12, 0 },
        { "{\"model_type\":\"bert\",\"rms_norm_eps\":0.5,\"layer_norm_eps\":0.25}", 0.25, 0 },
        { "{\"model_type\":\"gpt2\",\"layer_norm_eps\":0.5,\"layer_norm_epsilon\":0.25}", 0.25, 0 },
        { "{\"model_type\":\"llama\",\"layer_norm_eps\":0.5}", 1e-6, 0 },
        { "{\"model_type\":\"llama\",\"layer_norm_eps\":0.5,\"rms_norm_eps\":0.25}", 0.25, 0 },
        { "{\"model_type\":\"phi3\",\"rope_scaling\":{\"type\":\"longrope\"}}", 1e-5, 4096 },
        { "{\"model_type\":\"phi3\",\"rope_parameters\":{\"rope_type\":\"longrope\","
          "\"original_max_position_embeddings\":64}}",
          1e-5, 4096 },
        { "{\"model_type\":\"phi3\",\"rope_scaling\":{\"type\":\"longrope\"},"
          "\"original_max_position_embeddings\":64}",
          1e-5, 64 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        arena a;
        tola_value v;
        family_hyper h;
        read_config(rows[i].config, &a, &v);
        families_hyper_hf(&v, &h);
        families_hyper_defaults(families_by_config(&v), &h);
        if (h.norm_eps != rows[i].eps || h.rope_original_context != rows[i].original)
            fail_msg("%s: %g, %llu", rows[i].config, h.norm_eps, (unsigned long long)h.rope_original_context);
        arena_free(&a);
    }
}

static void odd_configurations_do_no_harm(void **state) {
    (void)state;
    static const char *const odd[] = {
        "null", "[]", "{}", "{\"model_type\":7,\"hidden_size\":\"big\",\"architectures\":{}}",
        "{\"hidden_size\":-5,\"num_attention_heads\":0,\"n_embd\":18446744073709551615}",
        "{\"text_config\":[],\"rope_scaling\":\"yarn\",\"rope_parameters\":[1]}",
        "{\"text_config\":{\"text_config\":{\"hidden_size\":3}},\"architectures\":[[]]}",
        "{\"n_shared_experts\":18446744073709551615,\"num_experts\":4,\"moe_intermediate_size\":9999999999}",
        "{\"block_configs\":[1,{\"attention\":{\"n_heads_in_group\":0}}],\"num_attention_heads\":8}",
        "{\"head_dim\":1e300,\"rotary_dim\":4,\"qk_rope_head_dim\":18446744073709551615,\"qk_nope_head_dim\":1}",
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        arena a;
        tola_value v;
        family_hyper h;
        read_config(odd[i], &a, &v);
        families_hyper_hf(&v, &h);
        families_hyper_gguf(&v, &h);
        (void)families_by_config(&v);
        arena_free(&a);
    }
}

/* ---- pre-tokenizers ---- */

static void pre_tokenizers_go_both_ways(void **state) {
    (void)state;
    static const char *const names[] = { "llama-bpe", "dbrx", "qwen2", "tekken", "gpt-4o", "gpt-2", "smollm", "falcon",
                                         "deepseek-coder", "deepseek-v3", "qwen35", "deepseek-llm", "kimi-k2", "bailingmoe",
                                         "viking", "tiny_aya" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        buf rules, file;
        const char *normalizer;
        bool ignore;
        arena a;
        tola_value v;
        buf_init(&rules, 0);
        buf_init(&file, 0);
        assert_true(pre_to_tokenizer(names[i], &rules, &normalizer, &ignore));
        buf_printf(&file, "{\"model\":{\"ignore_merges\":%s},\"pre_tokenizer\":", ignore ? "true" : "false");
        buf_append(&file, rules.data, rules.length);
        buf_printf(&file, "}");
        buf_u8(&file, 0);
        read_config((const char *)file.data, &a, &v);
        const char *pre;
        assert_true(pre_from_tokenizer(&v, &pre));
        assert_string_equal(pre, names[i]);
        arena_free(&a);
        buf_free(&rules);
        buf_free(&file);
    }
    buf rules;
    const char *normalizer;
    bool ignore;
    buf_init(&rules, 0);
    assert_false(pre_to_tokenizer("no-such", &rules, &normalizer, &ignore));
    buf_free(&rules);
}

static void tokens_are_found(void **state) {
    (void)state;
    token_table t;
    char text[1000][8];
    assert_true(token_table_init(&t, 1000));
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(text[i], sizeof text[i], "t%u", (unsigned)i);
        token_table_add(&t, text[i], strlen(text[i]), i);
    }
    token_table_add(&t, "t5", 2, 9999); /* the first stays */
    for (uint32_t i = 0; i < 1000; i++) assert_int_equal(token_table_find(&t, text[i], strlen(text[i])), i);
    assert_int_equal(token_table_find(&t, "t1000", 5), UINT32_MAX);
    assert_int_equal(token_table_find(&t, "", 0), UINT32_MAX);
    token_table_free(&t);
    assert_int_equal(token_byte("<0x0A>", 6), 10);
    assert_int_equal(token_byte("<0xff>", 6), 255);
    assert_int_equal(token_byte("<0x0G>", 6), -1);
    assert_int_equal(token_byte("<0x0A>x", 7), -1);
}

/* ---- SentencePiece ---- */

static const uint8_t two_pieces[] = {
    0x0a, 0x0e, 0x0a, 0x05, '<', 'u', 'n', 'k', '>', 0x15, 0, 0, 0, 0, 0x18, 2, /* unknown, score 0 */
    0x0a, 0x08, 0x0a, 0x01, 'a', 0x15, 0, 0, 0x80, 0xbf,                         /* "a", -1, normal by default */
    0x12, 0x06, 0x18, 2, 0xc8, 0x02, 5, 0x00,                                    /* trainer: BPE, bos_id 5 */
};

static tola_status parse_pieces(const void *data, size_t bytes, sentencepiece_model *out, arena *a) {
    tola_error err = TOLA_ERROR_INIT;
    arena_init(a, 0);
    tola_status status = sentencepiece_parse(data, bytes, a, out, &err);
    assert_true(status == TOLA_OK || err.message[0] != '\0');
    return status;
}

static void pieces_are_read(void **state) {
    (void)state;
    /* The last byte is no part of the message. */
    uint8_t model[sizeof two_pieces - 1];
    memcpy(model, two_pieces, sizeof model);
    model[27] = 5; /* the trainer's length without it */
    sentencepiece_model out;
    arena a;
    assert_int_equal(parse_pieces(model, sizeof model, &out, &a), TOLA_OK);
    assert_int_equal(out.count, 2);
    assert_string_equal(out.pieces[0].data, "<unk>");
    assert_int_equal(out.types[0], PIECE_UNKNOWN);
    assert_string_equal(out.pieces[1].data, "a");
    assert_int_equal(out.types[1], PIECE_NORMAL);
    assert_true(out.scores[1] == -1.0f);
    assert_int_equal(out.model_type, 2);
    assert_int_equal(out.bos_id, 5);
    assert_true(out.add_dummy_prefix);
    arena_free(&a);
    for (size_t n = 0; n < sizeof model; n++) { /* every truncation is refused or leaves whole fields */
        tola_status status = parse_pieces(model, n, &out, &a);
        assert_true(status == TOLA_E_FORMAT || (status == TOLA_OK && (n == 16 || n == 26)));
        arena_free(&a);
    }
    model[15] = 9; /* a type that is none */
    assert_int_equal(parse_pieces(model, sizeof model, &out, &a), TOLA_E_FORMAT);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_find_their_rows),
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(names_alone_tell),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(near_misses_are_no_names),
        cmocka_unit_test(layers_are_found),
        cmocka_unit_test(names_have_roles),
        cmocka_unit_test(configurations_are_read),
        cmocka_unit_test(classes_read_their_own_words),
        cmocka_unit_test(odd_configurations_do_no_harm),
        cmocka_unit_test(pre_tokenizers_go_both_ways),
        cmocka_unit_test(tokens_are_found),
        cmocka_unit_test(pieces_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
