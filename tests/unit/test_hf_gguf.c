/* Plans between Hugging Face folders and GGUF: what goes where, what is refused and how, and that running out of memory
 * at any point is an error like others. Inputs are made here; equality with other programs is the oracle's business. */
#include "unit.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "families/hf_gguf.h"

/* ---- making folders ---- */

typedef struct tensor {
    const char *name;
    unsigned rows, columns; /* rows 0: one dimension */
} tensor;

#define LLAMA_LAYER(n)                                                                                       \
    { "model.layers." n ".input_layernorm.weight", 0, 8 }, { "model.layers." n ".self_attn.q_proj.weight", 8, 8 }, \
        { "model.layers." n ".self_attn.k_proj.weight", 4, 8 }, { "model.layers." n ".self_attn.v_proj.weight", 4, 8 }

static const tensor llama[] = { { "lm_head.weight", 6, 8 },     { "model.embed_tokens.weight", 6, 8 }, LLAMA_LAYER("0"),
                                LLAMA_LAYER("1"),               { "model.norm.weight", 0, 8 },
                                { "model.layers.1.self_attn.q_proj.bias", 0, 8 }, { NULL, 0, 0 } };
static const tensor mixtral[] = { { "model.embed_tokens.weight", 6, 8 }, LLAMA_LAYER("0"),
                                  { "model.layers.0.block_sparse_moe.gate.weight", 2, 8 },
                                  { "model.layers.0.block_sparse_moe.experts.1.w2.weight", 8, 5 },
                                  { "model.layers.0.block_sparse_moe.experts.0.w2.weight", 8, 5 },
                                  { NULL, 0, 0 } };
static const tensor qwen[] = { { "model.embed_tokens.weight", 6, 8 },
                               LLAMA_LAYER("0"),
                               { "model.layers.0.mlp.gate.weight", 2, 8 },
                               { "model.layers.0.mlp.experts.0.down_proj.weight", 8, 5 },
                               { "model.layers.0.mlp.experts.1.down_proj.weight", 8, 5 },
                               LLAMA_LAYER("1"),
                               { "model.layers.1.mlp.down_proj.weight", 8, 16 },
                               { NULL, 0, 0 } };

#define SHAPE                                                                                        \
    "\"hidden_size\":8,\"num_attention_heads\":2,\"num_key_value_heads\":1,\"intermediate_size\":16," \
    "\"vocab_size\":6,\"max_position_embeddings\":32,\"rms_norm_eps\":1e-05,"
#define LLAMA_CONFIG "{\"model_type\":\"llama\"," SHAPE "\"num_hidden_layers\":2}"
#define MIXTRAL_CONFIG                                                                                       \
    "{\"model_type\":\"mixtral\"," SHAPE "\"num_hidden_layers\":1,\"num_local_experts\":2,\"num_experts_per_tok\":1," \
    "\"tie_word_embeddings\":true}"
#define BPE                                                                                                  \
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true}],\"pre_tokenizer\":{\"type\":\"ByteLevel\"}," \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"c\":3},\"merges\":[\"a b\"]}}"

static void put_file(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", unit_here(), name);
    unit_write(path, text, strlen(text));
}

static void put_weights(const tensor *list, const char *dtype, unsigned size) {
    static char file[65536];
    char path[512];
    size_t n = 9, at = 0;
    file[8] = '{';
    for (const tensor *t = list; t->name; t++) {
        size_t bytes = (size_t)(t->rows ? t->rows : 1) * t->columns * size;
        char shape[32];
        snprintf(shape, sizeof shape, t->rows ? "%u,%u" : "%.0u%u", t->rows, t->columns);
        n += (size_t)snprintf(file + n, sizeof file - n,
                              "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                              t == list ? "" : ",", t->name, dtype, shape, at, at + bytes);
        at += bytes;
    }
    file[n++] = '}';
    uint64_t header = n - 8;
    memcpy(file, &header, 8); /* tests run on little-endian machines or skip the reader's big-endian paths */
    for (size_t i = 0; i < at; i++) file[n + i] = (char)(i * 37 + 11);
    snprintf(path, sizeof path, "%s/model.safetensors", unit_here());
    unit_write(path, file, n + at);
}

static void put_model(const tensor *list, const char *config) {
    put_weights(list, "F32", 4);
    put_file("config.json", config);
    put_file("tokenizer.json", BPE);
}

static tola_status plan_gguf(const hf_gguf_options *options, tola_checkpoint **ck, hf_gguf_plan **plan,
                             tola_error *err) {
    *ck = NULL;
    *plan = NULL;
    *err = (tola_error)TOLA_ERROR_INIT;
    tola_status status = tola_checkpoint_open(unit_here(), NULL, ck, err);
    if (status == TOLA_OK) status = hf_gguf_plan_to_gguf(*ck, options, plan, err);
    return status;
}

static const hf_gguf_item *item(const hf_gguf_plan *plan, const char *name) {
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->items[i].name, name) == 0) return &plan->items[i];
    return NULL;
}

static uint64_t number(const hf_gguf_plan *plan, const char *key) {
    return tola_value_u64(tola_value_get(&plan->metadata, key), 999999);
}

/* ---- what goes where ---- */

static void llama_is_planned(void **state) {
    (void)state;
    tola_checkpoint *ck;
    hf_gguf_plan *plan;
    tola_error err;
    put_model(llama, LLAMA_CONFIG);
    assert_int_equal(plan_gguf(NULL, &ck, &plan, &err), TOLA_OK);
    assert_true(hf_gguf_applies(ck, true));
    assert_false(hf_gguf_applies(ck, false));
    assert_int_equal(plan->count, 12);
    assert_string_equal(plan->items[0].name, "token_embd.weight");
    assert_string_equal(plan->items[1].name, "blk.0.attn_norm.weight");
    assert_string_equal(plan->items[11].name, "output.weight");
    const hf_gguf_item *q = item(plan, "blk.0.attn_q.weight"), *k = item(plan, "blk.1.attn_k.weight");
    assert_int_equal(q->order, HF_GGUF_INTERLEAVE);
    assert_int_equal(q->heads, 2);
    assert_int_equal(k->heads, 1);
    assert_int_equal(k->pieces[0].rows, 4);
    assert_int_equal(item(plan, "blk.0.attn_v.weight")->order, HF_GGUF_IN_ORDER);
    const hf_gguf_item *bias = item(plan, "blk.1.attn_q.bias");
    assert_int_equal(bias->row_elements, 1);
    assert_int_equal(bias->pieces[0].rows, 8);
    assert_int_equal(bias->heads, 2);
    assert_true(item(plan, "output_norm.weight")->fixed_dtype);
    assert_int_equal(number(plan, "llama.block_count"), 2);
    assert_int_equal(number(plan, "llama.attention.head_count_kv"), 1);
    assert_int_equal(number(plan, "llama.rope.dimension_count"), 4);
    assert_int_equal(number(plan, "tokenizer.ggml.bos_token_id"), 999999);
    assert_int_equal(number(plan, "general.file_type"), 0);
    const tola_value *types = tola_value_get(&plan->metadata, "tokenizer.ggml.token_type");
    assert_int_equal(types->as.array.count, 6);
    const int32_t expected[] = { 1, 1, 1, 1, 3, 5 };
    for (size_t i = 0; i < 6; i++) {
        tola_value v = tola_value_at(types, i);
        assert_int_equal(v.as.i64, expected[i]);
    }
    hf_gguf_plan_free(plan);
    tola_checkpoint_close(ck);

    hf_gguf_options half = { TOLA_DTYPE_BF16 };
    assert_int_equal(plan_gguf(&half, &ck, &plan, &err), TOLA_OK);
    assert_int_equal(item(plan, "blk.0.attn_q.weight")->dtype, TOLA_DTYPE_BF16);
    assert_int_equal(item(plan, "blk.1.attn_q.bias")->dtype, TOLA_DTYPE_F32);
    assert_int_equal(number(plan, "general.file_type"), 32);
    hf_gguf_plan_free(plan);
    tola_checkpoint_close(ck);
}

static void experts_are_stacked(void **state) {
    (void)state;
    tola_checkpoint *ck;
    hf_gguf_plan *plan;
    tola_error err;
    put_model(mixtral, MIXTRAL_CONFIG);
    assert_int_equal(plan_gguf(NULL, &ck, &plan, &err), TOLA_OK);
    const hf_gguf_item *down = item(plan, "blk.0.ffn_down_exps.weight");
    assert_int_equal(down->n_dims, 3);
    assert_true(down->shape[0] == 2 && down->shape[1] == 8 && down->shape[2] == 5);
    assert_int_equal(down->piece_count, 2);
    for (size_t e = 0; e < 2; e++) {
        char name[64];
        snprintf(name, sizeof name, "experts.%zu.w2", e);
        assert_non_null(strstr(tola_checkpoint_tensor(ck, down->pieces[e].tensor)->name, name));
    }
    assert_true(item(plan, "blk.0.ffn_gate_inp.weight")->fixed_dtype);
    assert_int_equal(number(plan, "llama.expert_count"), 2);
    hf_gguf_plan_free(plan);
    tola_checkpoint_close(ck);
}

static void the_licence_comes_along(void **state) {
    (void)state;
    static const struct {
        const char *card, *licence, *name;
    } cases[] = {
        { "---\nlanguage: en\nlicense: apache-2.0\n---\n# Model\nlicense: mit\n", "apache-2.0", "" },
        { "---\r\nlicense: \"other\"\r\nlicense_name: 'my own'\r\n---\r\n", "other", "my own" },
        { "license: mit\n", "", "" },
        { "---\n  license: mit\nlicense:\n", "", "" },
        { "---\nlicense: [a, b]\nlicenses: x\nlicense", "", "" },
        { "---", "", "" },
        { "", "", "" },
    };
    put_model(llama, LLAMA_CONFIG);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tola_checkpoint *ck;
        hf_gguf_plan *plan;
        tola_error err;
        put_file("README.md", cases[i].card);
        assert_int_equal(plan_gguf(NULL, &ck, &plan, &err), TOLA_OK);
        const tola_value *licence = tola_value_get(&plan->metadata, "general.license");
        assert_string_equal(tola_value_str(licence, ""), cases[i].licence);
        assert_string_equal(tola_value_str(tola_value_get(&plan->metadata, "general.license.name"), ""), cases[i].name);
        hf_gguf_plan_free(plan);
        tola_checkpoint_close(ck);
    }
}

/* ---- what is refused ---- */

static void refused(const char *config, const char *file, const char *text, tola_status status, const char *words) {
    tola_checkpoint *ck;
    hf_gguf_plan *plan;
    tola_error err;
    put_file("config.json", config ? config : LLAMA_CONFIG);
    if (file) put_file(file, text);
    tola_status got = plan_gguf(NULL, &ck, &plan, &err);
    if (got != status || !strstr(err.message, words))
        fail_msg("status %d, expected %d; message \"%s\", expected \"%s\"", (int)got, (int)status, err.message, words);
    assert_null(plan);
    tola_checkpoint_close(ck);
    if (file) put_file(file, BPE);
}

static void bad_configurations_are_refused(void **state) {
    (void)state;
    put_model(llama, LLAMA_CONFIG);
    refused("{\"model_type\":\"llama\"," SHAPE "\"num_hidden_layers\":1}", NULL, NULL, TOLA_E_FORMAT,
            "tensor 'model.layers.1.");
    refused("{\"model_type\":\"llama\"," SHAPE "\"num_hidden_layers\":3}", NULL, NULL, TOLA_E_FORMAT,
            "layer 2 of 3 is missing");
    refused("{\"model_type\":\"llama\"," SHAPE "\"num_hidden_layers\":1000000}", NULL, NULL, TOLA_E_FORMAT,
            "num_hidden_layers is 1000000");
    refused("{\"model_type\":\"llama\"," SHAPE "\"num_hidden_layers\":2,\"head_dim\":8}", NULL, NULL, TOLA_E_FORMAT,
            "8 rows, expected 2 heads of 8");
    refused("{\"model_type\":\"llama\"," SHAPE "\"num_hidden_layers\":2,"
            "\"quantization_config\":{\"quant_method\":\"gptq\"}}", NULL, NULL, TOLA_E_UNSUPPORTED, "quantized (gptq)");
    refused("{\"model_type\":\"qwen3\"," SHAPE "\"num_hidden_layers\":2,\"head_dim\":4}", NULL, NULL,
            TOLA_E_UNSUPPORTED, "'model.layers.1.self_attn.q_proj.bias': has no counterpart in GGUF's qwen3");
    refused("{\"model_type\":\"llama\"," SHAPE "\"num_hidden_layers\":2,\"hidden_act\":\"gelu\"}", NULL, NULL,
            TOLA_E_UNSUPPORTED, "GGUF's llama has silu, not gelu");
    refused("{\"model_type\":\"qwen2\"," SHAPE "\"num_hidden_layers\":2,\"rope_scaling\":{\"type\":\"longrope\"}}",
            NULL, NULL, TOLA_E_UNSUPPORTED, "GGUF's qwen2 has no longrope scaling");
    refused("{\"model_type\":\"gemma3_text\"," SHAPE "\"num_hidden_layers\":2,\"rope_parameters\":{\"full_attention\":{},"
            "\"sliding_attention\":{\"rope_type\":\"linear\",\"factor\":2.0}}}", NULL, NULL, TOLA_E_UNSUPPORTED,
            "sliding_attention: GGUF's gemma3 has no linear scaling of layers with a window");
    refused("{\"model_type\":\"gemma2\"," SHAPE "\"num_hidden_layers\":2,\"attn_logit_softcapping\":null}", NULL, NULL,
            TOLA_E_UNSUPPORTED, "GGUF's gemma2 has attn_logit_softcapping, not null");
    refused("{\"model_type\":\"gpt2\"}", NULL, NULL, TOLA_E_UNSUPPORTED, "gpt2 has no mapping to GGUF");
}

static void bad_experts_are_refused(void **state) {
    (void)state;
    put_model(mixtral, MIXTRAL_CONFIG);
    refused("{\"model_type\":\"mixtral\"," SHAPE "\"num_hidden_layers\":1,\"num_local_experts\":3,"
            "\"num_experts_per_tok\":1}", NULL, NULL, TOLA_E_FORMAT,
            "expert 2 of blk.0.ffn_down_exps.weight is missing");
    refused("{\"model_type\":\"mixtral\"," SHAPE "\"num_hidden_layers\":1,\"num_local_experts\":1,"
            "\"num_experts_per_tok\":1}", NULL, NULL, TOLA_E_FORMAT, "expert 1, but config.json says 1 experts");
    refused("{\"model_type\":\"mixtral\"," SHAPE "\"num_hidden_layers\":1,\"num_local_experts\":60000,"
            "\"num_experts_per_tok\":1}", NULL, NULL, TOLA_E_FORMAT, "60000 experts, but there are 8 tensors");
    put_weights(qwen, "F32", 4);
    refused("{\"model_type\":\"qwen2_moe\"," SHAPE "\"num_hidden_layers\":2,\"num_experts\":2,"
            "\"num_experts_per_tok\":1,\"mlp_only_layers\":[1]}", NULL, NULL, TOLA_E_UNSUPPORTED,
            "layer 1 has no experts, which GGUF's qwen2moe has in all layers or none");
}

static void bad_tokenizers_are_refused(void **state) {
    (void)state;
    put_model(llama, LLAMA_CONFIG);
    refused(NULL, "tokenizer.json", "{\"model\":{\"type\":\"Unigram\"}}", TOLA_E_UNSUPPORTED,
            "a model of type Unigram");
    refused(NULL, "tokenizer.json", "{\"model\":", TOLA_E_FORMAT, "tokenizer.json");
    refused(NULL, "tokenizer.json",
            "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"ab\"]}}",
            TOLA_E_FORMAT, "merge 0 is no pair");
    refused(NULL, "tokenizer.json", "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"merges\":[]}}",
            TOLA_E_FORMAT, "no vocabulary");
    refused(NULL, "tokenizer.json",
            "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
            TOLA_E_FORMAT, "tokenizer.json: id 0 is that of 'a' and of 'b'");
    refused(NULL, "tokenizer.json",
            "{\"added_tokens\":[{\"id\":1,\"content\":\"<x>\"},{\"id\":7,\"content\":\"a\"},"
            "{\"id\":1,\"content\":\"<y>\"}],"
            "\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
            TOLA_E_FORMAT, "tokenizer.json: added token 2: id 1 is that of '<x>' and of '<y>'");
    refused(NULL, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{\"content\":\"y\"}}}", TOLA_E_FORMAT,
            "has the key 'x'");
}

/* ---- the way back ---- */

static void put_gguf(const char *name, char *path, size_t cap) {
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    tola_convert_options options = TOLA_CONVERT_OPTIONS_INIT;
    options.overwrite = true;
    snprintf(path, cap, "%s/%s", unit_here(), name);
    assert_int_equal(tola_checkpoint_open(unit_here(), NULL, &ck, &err), TOLA_OK);
    if (tola_convert(ck, path, &options, NULL, &err) != TOLA_OK) fail_msg("%s", err.message);
    tola_checkpoint_close(ck);
}

static void back_again(void **state) {
    (void)state;
    char path[512];
    tola_checkpoint *ck;
    hf_gguf_plan *plan;
    tola_error err = TOLA_ERROR_INIT;
    put_model(mixtral, MIXTRAL_CONFIG);
    put_gguf("m.gguf", path, sizeof path);
    assert_int_equal(tola_checkpoint_open(path, NULL, &ck, &err), TOLA_OK);
    assert_true(hf_gguf_applies(ck, false));
    if (hf_gguf_plan_to_hf(ck, NULL, &plan, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(plan->count, 8);
    const hf_gguf_item *w2 = item(plan, "model.layers.0.block_sparse_moe.experts.1.w2.weight");
    assert_int_equal(w2->pieces[0].first_row, 8);
    assert_int_equal(w2->pieces[0].rows, 8);
    assert_int_equal(item(plan, "model.layers.0.self_attn.q_proj.weight")->order, HF_GGUF_DEINTERLEAVE);
    bool config = false, tokenizer = false;
    for (size_t i = 0; i < plan->companion_count; i++) {
        config |= strcmp(plan->companions[i].name, "config.json") == 0;
        tokenizer |= strcmp(plan->companions[i].name, "tokenizer.json") == 0;
    }
    assert_true(config && tokenizer);
    hf_gguf_plan_free(plan);
    tola_checkpoint_close(ck);
}

/* ---- out of memory ---- */

static void every_allocation_may_fail(void **state) {
    (void)state;
    char path[512];
    tola_checkpoint *ck;
    hf_gguf_plan *plan;
    tola_error err = TOLA_ERROR_INIT;
    put_model(mixtral, MIXTRAL_CONFIG);
    put_gguf("m.gguf", path, sizeof path);
    for (int back = 0; back < 2; back++) {
        assert_int_equal(tola_checkpoint_open(back ? path : unit_here(), NULL, &ck, &err), TOLA_OK);
        tola_status status = TOLA_E_NOMEM;
        uint64_t n = 0;
        for (; status != TOLA_OK && n < 10000; n++) {
            plan = NULL;
            fault_arm(FAULT_ALLOC, n, false);
            status = back ? hf_gguf_plan_to_hf(ck, NULL, &plan, &err) : hf_gguf_plan_to_gguf(ck, NULL, &plan, &err);
            fault_disarm();
            if (status == TOLA_OK)
                hf_gguf_plan_free(plan);
            else if (!plan && err.message[0] == '\0')
                fail_msg("allocation %llu: no message", (unsigned long long)n);
        }
        assert_true(n > 5 && n < 10000);
        tola_checkpoint_close(ck);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(llama_is_planned, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(experts_are_stacked, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(the_licence_comes_along, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(bad_configurations_are_refused, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(bad_experts_are_refused, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(bad_tokenizers_are_refused, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(back_again, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
