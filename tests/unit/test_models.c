/* models/: golden logits, and what contradicting configurations and tensors are answered with. */
#include "model_make.h"

#include "base/err.h"
#include "base/mem.h"
#include "families/hf_gguf.h"
#include "graph/plan.h"
#include "models/models.h"
#include <tola/transform.h>

#include <math.h>

/* ---- running ---- */

typedef struct running {
    tola_checkpoint *ck, *adapter_ck;
    model_description *d;
    model_weights *w;
    model_adapter *adapter;
    graph *g;
} running;

static tola_status start(running *r, const char *folder, const char *adapter, tola_error *err) {
    memset(r, 0, sizeof *r);
    TRY(model_open(folder, &r->ck, err));
    TRY(model_describe(r->ck, 0, &r->d, err));
    TRY(model_weights_open(r->ck, r->d, &r->w, err));
    if (adapter != NULL) {
        TRY(tola_checkpoint_open(adapter, NULL, &r->adapter_ck, err));
        TRY(model_adapter_open(r->adapter_ck, r->d, 1, &r->adapter, err));
    }
    return model_build(r->d, r->w, &r->adapter, r->adapter != NULL, false, &r->g, err);
}

static void stop(running *r) {
    graph_free(r->g);
    model_adapter_free(r->adapter);
    model_weights_free(r->w);
    model_description_free(r->d);
    tola_checkpoint_close(r->adapter_ck);
    tola_checkpoint_close(r->ck);
}

/* Logits of the last `outputs` positions; `chunk` tokens at a time. */
static void logits_of(const running *r, const uint32_t *ids, size_t n, size_t outputs, size_t chunk, float *out) {
    tola_error err = TOLA_ERROR_INIT;
    kv_options options = { .key = TOLA_DTYPE_F32, .value = TOLA_DTYPE_F32, .positions = 128 };
    uint32_t positions[64], rows[64];
    kv_sequence *sequences[64], *s;
    kv_cache *kv;
    graph_plan *plan;
    pool *threads;
    if (kv_create(r->g, &options, &kv, &err) != TOLA_OK || kv_sequence_create(kv, &s, &err) != TOLA_OK ||
        pool_create(1, &threads, &err) != TOLA_OK || plan_create(r->g, n, n, 1, &plan, &err) != TOLA_OK)
        fail_msg("%s", err.message);
    for (size_t first = 0; first < n;) {
        size_t count = chunk < n - first ? chunk : n - first, wanted = 0;
        for (size_t i = 0; i < count; i++) {
            positions[i] = (uint32_t)(first + i);
            sequences[i] = s;
            if (first + i >= n - outputs) rows[wanted++] = (uint32_t)i;
        }
        graph_batch batch = { .tokens = count, .ids = ids + first, .positions = positions, .sequences = sequences,
                              .outputs = rows, .output_count = wanted };
        if (kv_reserve(s, count, &err) != TOLA_OK || plan_run(plan, threads, &batch, &err) != TOLA_OK)
            fail_msg("%s", err.message);
        size_t got, cols;
        const float *values = plan_output(plan, 0, &got, &cols);
        assert_int_equal(got, wanted);
        memcpy(out, values, got * cols * sizeof *out);
        out += got * cols;
        first += count;
    }
    plan_free(plan);
    pool_free(threads);
    kv_sequence_free(s);
    kv_free(kv);
}


/* transformers' logits, and the same bits however the prompt is cut. */
static void test_golden(void **state) {
    (void)state;
    for (size_t k = 0; k < COUNT(goldens); k++) {
        const golden *g = &goldens[k];
        const char *folder = unit_folder();
        running r;
        tola_error err = TOLA_ERROR_INIT;
        write_model(folder, g->tensors, g->tensor_count, g->config, "config.json");
        if (start(&r, folder, NULL, &err) != TOLA_OK) fail_msg("%s: %s", g->name, err.message);
        const char *first = NULL;
        assert_int_equal(model_weights_unused(r.w, &first), 0);
        size_t n = g->logit_count, rows = n / r.d->vocabulary;
        float *once = malloc(n * sizeof *once), *cut = malloc(n * sizeof *cut);
        logits_of(&r, golden_ids, COUNT(golden_ids), rows, COUNT(golden_ids), once);
        for (size_t i = 0; i < n; i++)
            if (!(fabsf(once[i] - g->logits[i]) <= 1e-4f))
                fail_msg("%s: logit %zu is %g, expected %g", g->name, i, (double)once[i], (double)g->logits[i]);
        for (size_t chunk = 1; chunk <= 3; chunk += 2) {
            logits_of(&r, golden_ids, COUNT(golden_ids), rows, chunk, cut);
            assert_memory_equal(once, cut, n * sizeof *once);
        }
        free(once);
        free(cut);
        stop(&r);
        unit_remove(folder);
    }
}

/* ---- contradictions ---- */

typedef struct setting {
    const char *key, *value; /* JSON; NULL: left out */
} setting;

static const setting plain[] = {
    { "model_type", "\"llama\"" },    { "hidden_size", "8" },
    { "num_hidden_layers", "2" },     { "num_attention_heads", "4" },
    { "num_key_value_heads", "2" },   { "head_dim", "4" },
    { "intermediate_size", "12" },    { "vocab_size", "10" },
    { "max_position_embeddings", "64" }, { "rms_norm_eps", "1e-6" },
    { "rope_theta", "10000.0" },      { "tie_word_embeddings", "true" },
    { "num_local_experts", NULL },    { "num_experts_per_tok", NULL },
};

#define LAYER(i)                                                                                          \
    { "model.layers." #i ".input_layernorm.weight", 8, 0, 1, 0 },                                         \
        { "model.layers." #i ".post_attention_layernorm.weight", 8, 0, 1, 0 },                            \
        { "model.layers." #i ".self_attn.q_proj.weight", 16, 8, 0, 1 },                                   \
        { "model.layers." #i ".self_attn.k_proj.weight", 8, 8, 0, 1 },                                    \
        { "model.layers." #i ".self_attn.v_proj.weight", 8, 8, 0, 1 },                                    \
        { "model.layers." #i ".self_attn.o_proj.weight", 8, 16, 0, 1 },                                   \
        { "model.layers." #i ".mlp.gate_proj.weight", 12, 8, 0, 1 },                                      \
        { "model.layers." #i ".mlp.up_proj.weight", 12, 8, 0, 1 },                                        \
        { "model.layers." #i ".mlp.down_proj.weight", 8, 12, 0, 1 }
static const golden_tensor plain_tensors[] = { { "model.embed_tokens.weight", 10, 8, 0, 1 },
                                               { "model.norm.weight", 8, 0, 1, 0 }, LAYER(0), LAYER(1) };

static const setting *overridden(const setting *list, size_t count, const char *key) {
    for (size_t i = 0; i < count && list[i].key != NULL; i++)
        if (strcmp(list[i].key, key) == 0) return &list[i];
    return NULL;
}

/* The plain configuration with some settings changed or added. */
static void make_config(const setting *changes, size_t count, char *text, size_t cap) {
    size_t used = (size_t)snprintf(text, cap, "{");
    const char *comma = "";
    for (size_t i = 0; i < COUNT(plain); i++) {
        const setting *s = overridden(changes, count, plain[i].key);
        if (s == NULL) s = &plain[i];
        if (s->value == NULL) continue;
        used += (size_t)snprintf(text + used, cap - used, "%s\"%s\":%s", comma, s->key, s->value);
        comma = ",";
    }
    for (size_t i = 0; i < count && changes[i].key != NULL; i++) {
        if (overridden(plain, COUNT(plain), changes[i].key) != NULL || changes[i].value == NULL) continue;
        used += (size_t)snprintf(text + used, cap - used, "%s\"%s\":%s", comma, changes[i].key, changes[i].value);
    }
    snprintf(text + used, cap - used, "}");
    assert_true(used + 2 < cap);
}

typedef struct bad {
    setting changes[12];
    golden_tensor tensor; /* in place of the one of that name, or added; rows 0: that one is left out */
    tola_status status;
    const char *message; /* part of it */
} bad;

#define YARN(rest) "{\"rope_type\":\"yarn\",\"rope_theta\":10000.0" rest "}"
#define MIXTRAL { "model_type", "\"mixtral\"" }
#define DEEPSEEK                                                                                              \
    { "model_type", "\"deepseek_v3\"" }, { "n_routed_experts", "6" }, { "num_experts_per_tok", "2" },         \
        { "moe_intermediate_size", "4" }, { "qk_rope_head_dim", "2" }, { "qk_nope_head_dim", "2" }

static const bad contradictions[] = {
    { { { "model_type", "\"clip\"" } }, { 0 }, TOLA_E_UNSUPPORTED, "models of clip cannot be run" },
    { { { "model_type", "\"xyz\"" } }, { 0 }, TOLA_E_UNSUPPORTED, "models of type xyz are not known" },
    { { { "num_hidden_layers", "0" } }, { 0 }, TOLA_E_FORMAT, "number of layers is 0, expected 1 to 4096" },
    { { { "num_hidden_layers", "5000" } }, { 0 }, TOLA_E_FORMAT, "number of layers is 5000" },
    { { { "hidden_size", "0" } }, { 0 }, TOLA_E_FORMAT, "width is 0" },
    { { { "hidden_size", "1000000000000000000" } }, { 0 }, TOLA_E_FORMAT, "width is 1000000000000000000" },
    { { { "num_attention_heads", "0" } }, { 0 }, TOLA_E_FORMAT, "number of heads is 0" },
    { { { "num_attention_heads", "-4" } }, { 0 }, TOLA_E_FORMAT, "num_attention_heads is -4" },
    { { { "num_attention_heads", "3" } }, { 0 }, TOLA_E_FORMAT, "3 heads do not divide among 2 key heads" },
    { { { "num_attention_heads", "60000" }, { "head_dim", "60000" } }, { 0 }, TOLA_E_FORMAT, "are too many" },
    { { { "vocab_size", "9" } }, { 0 }, TOLA_E_FORMAT, "vocabulary is 9, but the table has 10 rows" },
    { { { "max_position_embeddings", "0" } }, { 0 }, TOLA_E_FORMAT, "context is 0" },
    { { { "rms_norm_eps", "-1" } }, { 0 }, TOLA_E_FORMAT, "rms_norm_eps is -1, expected a positive" },
    { { { "rms_norm_eps", "1e300" } }, { 0 }, TOLA_E_FORMAT, "epsilon of norms is 1e+300" },
    { { { "rms_norm_eps", "1.5" } }, { 0 }, TOLA_E_FORMAT, "epsilon of norms is 1.5, expected 1 at most" },
    { { { "hidden_act", "\"snake\"" } }, { 0 }, TOLA_E_UNSUPPORTED, "activation snake is not known" },
    { { { "intermediate_size", "0" } }, { 0 }, TOLA_E_FORMAT, "width of feed-forward layers is 0" },
    /* words of the wrong kind: what they stand for is not guessed */
    { { { "head_dim", "\"8\"" } }, { 0 }, TOLA_E_FORMAT, "configuration: head_dim is not a whole number" },
    { { { "head_dim", "2.5" } }, { 0 }, TOLA_E_FORMAT, "configuration: head_dim is 2.5, expected a whole number" },
    { { { "num_key_value_heads", "[]" } }, { 0 }, TOLA_E_FORMAT, "num_key_value_heads is not a whole number" },
    { { { "num_key_value_heads", "[2,\"2\"]" } }, { 0 }, TOLA_E_FORMAT, "num_key_value_heads is not a whole number" },
    { { { "rms_norm_eps", "\"1e-6\"" } }, { 0 }, TOLA_E_FORMAT, "rms_norm_eps is not a positive number" },
    { { { "hidden_act", "5" } }, { 0 }, TOLA_E_FORMAT, "hidden_act is 5, expected a word" },
    { { { "tie_word_embeddings", "\"no\"" } }, { 0 }, TOLA_E_FORMAT, "tie_word_embeddings is not true or false" },
    { { { "attention_bias", "1" } }, { 0 }, TOLA_E_FORMAT, "attention_bias is 1, expected true or false" },
    { { { "rope_scaling", "[1]" } }, { 0 }, TOLA_E_FORMAT, "rope_scaling is not a map" },
    { { { "rope_scaling", YARN(",\"factor\":\"4\"") } }, { 0 }, TOLA_E_FORMAT, "factor is not a positive" },
    { { { "rope_scaling", "{\"rope_type\":7}" } }, { 0 }, TOLA_E_FORMAT, "rope_type is 7, expected a word" },
    /* rotary positions */
    { { { "head_dim", "1" } }, { 0 }, TOLA_E_FORMAT, "columns that turn is 1, expected 2 to 1" },
    { { { "head_dim", "3" } }, { 0 }, TOLA_E_FORMAT, "3 columns of a head turn, expected an even number" },
    { { { "rope_theta", "-5" } }, { 0 }, TOLA_E_FORMAT, "rope_theta is -5" },
    { { { "rope_theta", "0" } }, { 0 }, TOLA_E_FORMAT, "rope_theta is 0, expected a positive number" },
    { { { "rope_theta", "1e-300" } }, { 0 }, TOLA_E_FORMAT, "angles that are no numbers" },
    { { { "partial_rotary_factor", "1.5" } }, { 0 }, TOLA_E_FORMAT, "turns 1.5 of each head" },
    { { { "rope_scaling", "{\"rope_type\":\"foo\"}" } }, { 0 }, TOLA_E_UNSUPPORTED, "rope scaling is not known" },
    { { { "rope_scaling", "{\"rope_type\":\"linear\",\"factor\":0}" } }, { 0 }, TOLA_E_FORMAT, "factor is 0," },
    { { { "rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":0}" } }, { 0 },
      TOLA_E_FORMAT, "rope_scaling.original_max_position_embeddings is 0, expected 1 to" },
    { { { "quantization_config", "\"x\"" } }, { 0 }, TOLA_E_FORMAT, "config.json: quantization_config is no object" },
    { { { "model_type", "\"bert\"" }, { "type_vocab_size", "0" } }, { 0 }, TOLA_E_FORMAT,
      "type_vocab_size is 0, expected 1 to 65536" },
    { { { "quantization_config", "[]" } }, { 0 }, TOLA_E_FORMAT, "config.json: quantization_config is no object" },
    { { { "rope_scaling", YARN(",\"factor\":-2.0") } }, { 0 }, TOLA_E_FORMAT, "rope_scaling.factor is -2" },
    { { { "rope_scaling", YARN(",\"factor\":1e300,\"attention_factor\":1e300") } }, { 0 }, TOLA_E_FORMAT,
      "angles that are no numbers" },
    { { { "rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":4.0,\"high_freq_factor\":1.0,"
                          "\"original_max_position_embeddings\":16}" } }, { 0 }, TOLA_E_FORMAT, "0 < low <= high" },
    { { { "rope_scaling", "{\"rope_type\":\"longrope\",\"short_factor\":[1.0],\"long_factor\":[1.0]}" } }, { 0 },
      TOLA_E_FORMAT, "1 factors in rope_factors_short.weight, expected 2" },
    { { { "rope_scaling", "{\"rope_type\":\"longrope\",\"short_factor\":[1.0,-1.0],\"long_factor\":[1.0,1.0]}" } },
      { 0 }, TOLA_E_FORMAT, "factor 1 of rope_factors_short.weight is -1" },
    /* windows */
    { { { "model_type", "\"mistral\"" }, { "layer_types", "[\"sliding_attention\",\"full_attention\"]" },
        { "sliding_window", "0" } }, { 0 }, TOLA_E_FORMAT, "sliding_window is 0" },
    { { { "model_type", "\"mistral\"" }, { "layer_types", "2" } }, { 0 }, TOLA_E_FORMAT,
      "layer_types is 2, expected a list" },
    { { { "model_type", "\"mistral\"" }, { "layer_types", "[1,2]" } }, { 0 }, TOLA_E_FORMAT,
      "the type of layer 0 is not a word" },
    { { { "model_type", "\"mistral\"" }, { "layer_types", "[\"full_attention\"]" } }, { 0 }, TOLA_E_FORMAT,
      "1 layer types for 2 layers" },
    { { { "model_type", "\"mistral\"" }, { "layer_types", "[\"full_attention\",\"linear_attention\"]" } }, { 0 },
      TOLA_E_UNSUPPORTED, "layer 1 is of type linear_attention" },
    /* experts */
    { { MIXTRAL, { "num_local_experts", "4" }, { "num_experts_per_tok", "5" } }, { 0 }, TOLA_E_FORMAT,
      "experts for each token is 5, expected 1 to 4" },
    { { MIXTRAL, { "num_local_experts", "4" }, { "num_experts_per_tok", "0" } }, { 0 }, TOLA_E_FORMAT,
      "experts for each token is 0" },
    { { MIXTRAL, { "num_local_experts", "70000" }, { "num_experts_per_tok", "2" } }, { 0 }, TOLA_E_FORMAT,
      "number of experts is 70000" },
    { { MIXTRAL, { "num_local_experts", "4" }, { "num_experts_per_tok", "2" } }, { 0 }, TOLA_E_FORMAT,
      "block_sparse_moe.gate.weight is missing" },
    { { DEEPSEEK, { "n_group", "4" }, { "topk_group", "2" } }, { 0 }, TOLA_E_FORMAT,
      "6 experts do not divide into 4 groups" },
    { { DEEPSEEK, { "n_group", "2" }, { "topk_group", "3" } }, { 0 }, TOLA_E_FORMAT, "topk_group is 3" },
    { { DEEPSEEK, { "kv_lora_rank", "0" } }, { 0 }, TOLA_E_FORMAT, "kv_lora_rank is 0" },
    { { { "model_type", "\"qwen2_moe\"" }, { "num_experts", "4" }, { "num_experts_per_tok", "2" },
        { "decoder_sparse_step", "0" } }, { 0 }, TOLA_E_FORMAT, "step of layers with experts is 0" },
    /* tensors */
    { { { 0 } }, { "model.layers.1.mlp.up_proj.weight", 0, 0, 0, 0 }, TOLA_E_FORMAT,
      "tensor model.layers.1.mlp.up_proj.weight is missing" },
    { { { 0 } }, { "model.norm.weight", 0, 0, 0, 0 }, TOLA_E_FORMAT, "tensor model.norm.weight is missing" },
    { { { "tie_word_embeddings", "false" } }, { 0 }, TOLA_E_FORMAT, "tensor lm_head.weight is missing" },
    { { { "attention_bias", "true" } }, { 0 }, TOLA_E_FORMAT, "q_proj.bias is missing" },
    { { { "num_hidden_layers", "3" } }, { 0 }, TOLA_E_FORMAT, "model.layers.2.input_layernorm.weight is missing" },
    { { { 0 } }, { "model.layers.0.self_attn.q_proj.weight", 8, 8, 0, 1 }, TOLA_E_FORMAT,
      "tensor 'model.layers.0.self_attn.q_proj.weight': shape [8, 8], expected [16, 8] by the configuration" },
    { { { 0 } }, { "model.layers.1.input_layernorm.weight", 9, 0, 0, 1 }, TOLA_E_FORMAT, "shape [9], expected [8]" },
    { { { 0 } }, { "model.layers.0.mlp.down_proj.weight", 96, 0, 0, 1 }, TOLA_E_FORMAT,
      "shape [96], expected [8, 12]" },
    { { { "hidden_size", "16" } }, { 0 }, TOLA_E_FORMAT, "shape [10, 8], expected [10, 16]" },
};

/* Starts a changed model; true with *err where it is refused. */
static bool refused(const setting *changes, size_t count, const golden_tensor *tensor, const char *adapter,
                    tola_status *status, tola_error *err) {
    golden_tensor tensors[MAX_TENSORS];
    size_t n = 0;
    char config[2000];
    const char *folder = unit_folder();
    bool replaced = tensor->name == NULL;
    for (size_t i = 0; i < COUNT(plain_tensors); i++) {
        bool same = tensor->name != NULL && strcmp(tensor->name, plain_tensors[i].name) == 0;
        replaced |= same;
        if (same && tensor->rows == 0) continue;
        tensors[n++] = same ? *tensor : plain_tensors[i];
    }
    if (!replaced) tensors[n++] = *tensor;
    make_config(changes, count, config, sizeof config);
    write_model(folder, tensors, n, config, "config.json");
    running r;
    *status = start(&r, folder, adapter, err);
    stop(&r);
    unit_remove(folder);
    return *status != TOLA_OK;
}

static void test_contradictions(void **state) {
    (void)state;
    tola_status status;
    tola_error err = TOLA_ERROR_INIT;
    const golden_tensor none = { 0 };
    if (refused(NULL, 0, &none, NULL, &status, &err)) fail_msg("the plain model: %s", err.message);
    for (size_t i = 0; i < COUNT(contradictions); i++) {
        const bad *b = &contradictions[i];
        err = (tola_error)TOLA_ERROR_INIT;
        refused(b->changes, COUNT(b->changes), &b->tensor, NULL, &status, &err);
        if (status != b->status || strstr(err.message, b->message) == NULL)
            fail_msg("case %zu: status %d '%s', expected %d with '%s'", i, (int)status, err.message, (int)b->status,
                     b->message);
    }
}

/* LongRoPE's short factors end where its first training did; who asks for more gets the long ones and all positions. */
static void test_longrope_context(void **state) {
    (void)state;
    static const setting change = {
        "rope_scaling", "{\"rope_type\":\"longrope\",\"short_factor\":[1.0,1.0],\"long_factor\":[2.0,4.0],"
                        "\"original_max_position_embeddings\":8}"
    };
    static const struct {
        size_t asked;
        uint32_t context;
        float last;
    } cases[] = { { 0, 8, 1 }, { 8, 8, 1 }, { 9, 0, 4 } };
    char config[2000];
    const char *folder = unit_folder();
    make_config(&change, 1, config, sizeof config);
    write_model(folder, plain_tensors, COUNT(plain_tensors), config, "config.json");
    float first = 0;
    for (size_t i = 0; i < COUNT(cases); i++) {
        tola_error err = TOLA_ERROR_INIT;
        tola_checkpoint *ck;
        model_description *d;
        assert_int_equal(model_open(folder, &ck, &err), TOLA_OK);
        if (model_describe(ck, cases[i].asked, &d, &err) != TOLA_OK) fail_msg("%s", err.message);
        if (cases[i].context != 0)
            assert_int_equal(d->context, cases[i].context);
        else
            assert_true(d->context > 9);
        if (i == 0) first = d->rope[0].frequency[1];
        assert_true(fabsf(d->rope[0].frequency[1] * cases[i].last - first) <= 1e-6f * first);
        model_description_free(d);
        tola_checkpoint_close(ck);
    }
    unit_remove(folder);
}

/* What runs from either layout is not thereby converted. */
static void test_not_converted(void **state) {
    (void)state;
    for (size_t k = 2; k < COUNT(goldens); k++) {
        const char *folder = unit_folder();
        tola_checkpoint *ck;
        hf_gguf_plan *plan;
        tola_error err = TOLA_ERROR_INIT;
        write_model(folder, goldens[k].tensors, goldens[k].tensor_count, goldens[k].config, "config.json");
        assert_int_equal(tola_checkpoint_open(folder, NULL, &ck, &err), TOLA_OK);
        assert_false(hf_gguf_applies(ck, true));
        assert_int_equal(hf_gguf_plan_to_gguf(ck, NULL, &plan, &err), TOLA_E_UNSUPPORTED);
        tola_checkpoint_close(ck);
        unit_remove(folder);
    }
}

/* A layer too many is no error, but is told. */
static void test_left_over(void **state) {
    (void)state;
    golden_tensor tensors[] = { { "model.embed_tokens.weight", 10, 8, 0, 1 }, { "model.norm.weight", 8, 0, 1, 0 },
                                LAYER(0), LAYER(1), LAYER(2),
                                { "model.layers.0.self_attn.rotary_emb.inv_freq", 2, 0, 0, 1 } };
    const char *folder = unit_folder(), *first = NULL;
    char config[2000];
    running r;
    tola_error err = TOLA_ERROR_INIT;
    make_config(NULL, 0, config, sizeof config);
    write_model(folder, tensors, COUNT(tensors), config, "config.json");
    if (start(&r, folder, NULL, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(model_weights_unused(r.w, &first), 9);
    assert_string_equal(first, "model.layers.2.input_layernorm.weight");
    assert_int_equal(model_weights_made(r.w), 0);
    stop(&r);
    tola_model *m;
    if (tola_model_open(folder, NULL, &m, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(tola_model_about(m)->unused_tensors, 9);
    assert_string_equal(tola_model_about(m)->unused_tensor, "model.layers.2.input_layernorm.weight");
    tola_model_free(m);
    unit_remove(folder);
}

/* ---- adapters ---- */

typedef struct bad_adapter {
    const char *config; /* the inside of adapter_config.json; NULL: there is none */
    golden_tensor tensors[3];
    tola_status status;
    const char *message; /* NULL: taken */
} bad_adapter;

#define LORA "\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4"
#define Q "base_model.model.model.layers.0.self_attn.q_proj"
#define PAIR { Q ".lora_A.weight", 2, 8, 0, 1 }, { Q ".lora_B.weight", 16, 2, 0, 1 }

static const bad_adapter adapters[] = {
    { LORA, { PAIR }, TOLA_OK, NULL },
    { LORA ",\"use_rslora\":true,\"rank_pattern\":{\"k_proj\":7}", { PAIR }, TOLA_OK, NULL },
    { NULL, { PAIR }, TOLA_E_NOT_FOUND, "adapter_config.json is missing" },
    { LORA ",\"use_dora\":true", { PAIR }, TOLA_E_FORMAT, "its magnitudes are missing" },
    { LORA ",\"use_dora\":true", { PAIR, { Q ".lora_magnitude_vector", 16, 0, 1, 0 } }, TOLA_OK, NULL },
    { LORA ",\"use_dora\":true", { PAIR, { Q ".lora_magnitude_vector", 15, 0, 1, 0 } }, TOLA_E_FORMAT,
      "are no magnitudes of as many rows" },
    { LORA ",\"init_lora_weights\":\"gaussian\",\"layer_replication\":null", { PAIR }, TOLA_OK, NULL },
    { LORA ",\"init_lora_weights\":\"pissa\"", { PAIR }, TOLA_E_UNSUPPORTED, "that changes the model" },
    { LORA ",\"alora_invocation_tokens\":[1]", { PAIR }, TOLA_E_UNSUPPORTED, "alora_invocation_tokens is not known" },
    { LORA ",\"layer_replication\":[[0,1]]", { PAIR }, TOLA_E_UNSUPPORTED, "layer_replication is not known" },
    { LORA ",\"bias\":\"all\"", { PAIR }, TOLA_E_UNSUPPORTED, "training of biases is not known" },
    { LORA ",\"modules_to_save\":[\"lm_head\"]", { PAIR }, TOLA_E_UNSUPPORTED, "modules_to_save is not known" },
    { "\"peft_type\":\"IA3\"", { PAIR }, TOLA_E_UNSUPPORTED, "a peft_type other than LORA" },
    { LORA ",\"rank_pattern\":{\"q_proj\":3}", { PAIR }, TOLA_E_FORMAT, "rank 2, but adapter_config.json says 3" },
    { LORA ",\"alpha_pattern\":{\".*q_proj\":3}", { PAIR }, TOLA_OK, NULL },
    { LORA ",\"alpha_pattern\":{\"(q_proj\":3}", { PAIR }, TOLA_E_UNSUPPORTED, "'(q_proj' is no regular expression" },
    { LORA ",\"rank_pattern\":{\"self_attn.q_proj\":2,\"q_proj\":3}", { PAIR }, TOLA_OK, NULL },
    { LORA ",\"rank_pattern\":{\"q_proj\":3,\"self_attn.q_proj\":2}", { PAIR }, TOLA_E_FORMAT, "config.json says 3" },
    { LORA ",\"rank_pattern\":{\"^q_proj\":3,\"^model.layers.0.self_attn.[qk]_proj\":2}", { PAIR }, TOLA_OK, NULL },
    { LORA ",\"rank_pattern\":{\"q_pro\":3,\"attn.q_proj\":3,\"self.attn.q.proj\":2}", { PAIR }, TOLA_OK, NULL },
    { LORA ",\"rank_pattern\":{\"(attn|x).q_proj\":3}", { PAIR }, TOLA_OK, NULL },
    { "\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":\"4\"", { PAIR }, TOLA_E_FORMAT, "lora_alpha is of the wrong" },
    { LORA ",\"use_rslora\":\"yes\"", { PAIR }, TOLA_E_FORMAT, "use_rslora is of the wrong kind" },
    { LORA ",\"rank_pattern\":[]", { PAIR }, TOLA_E_FORMAT, "rank_pattern is of the wrong kind" },
    { LORA, { { Q ".lora_A.weight", 2, 8, 0, 1 } }, TOLA_E_FORMAT, "the other half of the pair is missing" },
    { LORA, { { Q ".lora_A.weight", 2, 8, 0, 1 }, { Q ".lora_B.weight", 16, 3, 0, 1 } }, TOLA_E_FORMAT,
      "no [rank, in] and [out, rank]" },
    { LORA, { { Q ".lora_A.weight", 2, 9, 0, 1 }, { Q ".lora_B.weight", 16, 2, 0, 1 } }, TOLA_E_FORMAT,
      "a pair from 9 to 16 columns, but the weight goes from 8 to 16" },
    { LORA, { PAIR, { Q ".lora_magnitude_vector", 16, 0, 0, 1 } }, TOLA_E_FORMAT,
      "has magnitudes, but" },
    { LORA, { { "base_model.model.model.layers.0.self_attn.x_proj.lora_A.weight", 2, 8, 0, 1 } }, TOLA_E_FORMAT,
      "the model has no such weight" },
    { LORA, { { "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight", 2, 8, 0, 1 },
              { "base_model.model.model.layers.7.self_attn.q_proj.lora_B.weight", 16, 2, 0, 1 } }, TOLA_E_FORMAT,
      ".safetensors: tensor 'base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight': the model has no such" },
    { LORA, { { "base_model.model.model.embed_tokens.lora_embedding_A", 2, 8, 0, 1 } }, TOLA_E_UNSUPPORTED,
      "adapters of embeddings are not known" },
};

static void test_adapters(void **state) {
    (void)state;
    const golden_tensor none = { 0 };
    for (size_t i = 0; i < COUNT(adapters); i++) {
        const bad_adapter *b = &adapters[i];
        char base[] = "/tmp/tola-adapter-XXXXXX", config[600], path[600];
        tola_error err = TOLA_ERROR_INIT;
        tola_status status;
        size_t n = 0;
        assert_non_null(mkdtemp(base));
        while (n < COUNT(b->tensors) && b->tensors[n].name != NULL) n++;
        snprintf(config, sizeof config, "{%s}", b->config != NULL ? b->config : "");
        write_model(base, b->tensors, n, config, b->config != NULL ? "adapter_config.json" : "other.json");
        snprintf(path, sizeof path, "%s/model.safetensors", base);
        refused(NULL, 0, &none, path, &status, &err);
        unit_remove(base);
        if (status != b->status || (b->message != NULL && strstr(err.message, b->message) == NULL))
            fail_msg("adapter %zu: status %d '%s', expected %d with '%s'", i, (int)status, err.message, (int)b->status,
                     b->message != NULL ? b->message : "");
    }
}

/* ---- masters ---- */

static void make_changed(const char *folder, const char *out) {
    running r;
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *view;
    tola_convert_options options = TOLA_CONVERT_OPTIONS_INIT;
    memset(&r, 0, sizeof r);
    assert_int_equal(model_open(folder, &r.ck, &err), TOLA_OK);
    assert_int_equal(model_describe(r.ck, 0, &r.d, &err), TOLA_OK);
    assert_int_equal(model_weights_open(r.ck, r.d, &r.w, &err), TOLA_OK);
    model_weights_learn(r.w, NULL, NULL);
    if (model_build(r.d, r.w, NULL, 0, false, &r.g, &err) != TOLA_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < model_master_count(r.w); i++) {
        const model_master *m = model_master_at(r.w, i);
        assert_true(m->weight->dtype == TOLA_DTYPE_F32);
        for (uint64_t k = 0; k < m->weight->rows * m->weight->cols * m->weight->parts; k++) m->values[0][k] *= -2;
    }
    assert_int_equal(model_weights_view(r.w, TOLA_DTYPE_NONE, &view, &err), TOLA_OK);
    options.folder = options.overwrite = true;
    if (tola_convert(view, out, &options, NULL, &err) != TOLA_OK) fail_msg("%s", err.message);
    tola_checkpoint_close(view);
    stop(&r);
}

/* Every tensor comes back under its name, with the numbers that the masters have: from rows of fused matrices,
 * transposed ones, experts. */
static void test_masters(void **state) {
    (void)state;
    for (size_t k = 0; k < COUNT(goldens); k++) {
        const golden *g = &goldens[k];
        const char *folder = unit_folder();
        char out[] = "/tmp/tola-masters-XXXXXX";
        tola_error err = TOLA_ERROR_INIT;
        tola_checkpoint *before, *after;
        assert_non_null(mkdtemp(out));
        write_model(folder, g->tensors, g->tensor_count, g->config, "config.json");
        make_changed(folder, out);
        assert_int_equal(tola_checkpoint_open(folder, NULL, &before, &err), TOLA_OK);
        assert_int_equal(tola_checkpoint_open(out, NULL, &after, &err), TOLA_OK);
        assert_int_equal(tola_checkpoint_tensor_count(after), g->tensor_count);
        for (size_t i = 0; i < g->tensor_count; i++) {
            const tola_tensor_info *t = tola_checkpoint_tensor(before, i);
            size_t other = tola_checkpoint_find(after, t->name);
            float *a = malloc(t->bytes), *b = malloc(t->bytes);
            assert_true(other != SIZE_MAX);
            assert_int_equal(tola_checkpoint_tensor(after, other)->bytes, t->bytes);
            assert_int_equal(model_read_f32(before, i, a, &err), TOLA_OK);
            assert_int_equal(model_read_f32(after, other, b, &err), TOLA_OK);
            for (size_t e = 0; e < t->elements; e++)
                if (b[e] != -2 * a[e]) fail_msg("%s: %s: element %zu", g->name, t->name, e);
            free(a);
            free(b);
        }
        tola_checkpoint_close(before);
        tola_checkpoint_close(after);
        unit_remove(folder);
        unit_remove(out);
    }
}

static bool choose_q(void *user, const model_want *want) {
    (void)user;
    return strcmp(want->word, "attn_q.weight") == 0;
}

/* Rows of a fused matrix that is otherwise left alone. */
static void test_some_masters(void **state) {
    (void)state;
    const golden *g = &goldens[3]; /* GPT-2 */
    const char *folder = unit_folder();
    running r;
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *view;
    memset(&r, 0, sizeof r);
    write_model(folder, g->tensors, g->tensor_count, g->config, "config.json");
    assert_int_equal(model_open(folder, &r.ck, &err), TOLA_OK);
    assert_int_equal(model_describe(r.ck, 0, &r.d, &err), TOLA_OK);
    assert_int_equal(model_weights_open(r.ck, r.d, &r.w, &err), TOLA_OK);
    model_weights_learn(r.w, choose_q, NULL);
    if (model_build(r.d, r.w, NULL, 0, false, &r.g, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(model_master_count(r.w), r.d->layer_count);
    for (size_t i = 0; i < model_master_count(r.w); i++) model_master_at(r.w, i)->values[0][0] = 77;
    assert_int_equal(model_weights_view(r.w, TOLA_DTYPE_NONE, &view, &err), TOLA_OK);
    size_t changed = 0;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(view); i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(view, i);
        float *a = malloc(t->bytes), *b = malloc(t->bytes);
        assert_int_equal(model_read_f32(r.ck, i, a, &err), TOLA_OK);
        assert_int_equal(model_read_f32(view, i, b, &err), TOLA_OK);
        for (size_t e = 0; e < t->elements; e++) {
            if (a[e] == b[e]) continue;
            assert_non_null(strstr(t->name, "c_attn.weight"));
            assert_true(e == 0 && b[e] == 77);
            changed++;
        }
        free(a);
        free(b);
    }
    assert_int_equal(changed, r.d->layer_count);
    tola_checkpoint_close(view);
    stop(&r);
    unit_remove(folder);
}

/* ---- rope ---- */

/* Each family's tables are compared through logits; here: what makes no numbers, and figures that are known. */
static void test_rope(void **state) {
    (void)state;
    float frequency[4], magnitude;
    tola_error err = TOLA_ERROR_INIT;
    rope_options o = { .rotated = 8, .theta = 10000, .trained = 64 };
    assert_int_equal(rope_frequencies(&o, frequency, &magnitude, &err), TOLA_OK);
    for (int i = 0; i < 4; i++) assert_true(fabsf(frequency[i] - powf(10, (float)-i)) <= 1e-6f);
    assert_true(magnitude == 1);
    o.kind = FAMILY_ROPE_LINEAR;
    o.factor = 4;
    assert_int_equal(rope_frequencies(&o, frequency, &magnitude, &err), TOLA_OK);
    assert_true(frequency[0] == 0.25f);
    o.kind = FAMILY_ROPE_YARN;
    o.original = 16;
    assert_int_equal(rope_frequencies(&o, frequency, &magnitude, &err), TOLA_OK);
    assert_true(fabsf(magnitude - (0.1f * logf(4) + 1)) < 1e-6f);
    o.original = 0;
    assert_int_equal(rope_frequencies(&o, frequency, &magnitude, &err), TOLA_E_FORMAT);
    o = (rope_options){ .rotated = 8, .theta = 1e-38, .trained = UINT64_MAX };
    assert_int_equal(rope_frequencies(&o, frequency, &magnitude, &err), TOLA_E_FORMAT);
    o = (rope_options){ .rotated = 7, .theta = 10000 };
    assert_int_equal(rope_frequencies(&o, frequency, &magnitude, &err), TOLA_E_FORMAT);
}

/* ---- out of memory ---- */

static void test_memory(void **state) {
    (void)state;
    const char *folder = unit_folder();
    const golden *g = &goldens[3]; /* GPT-2: everything is made */
    write_model(folder, g->tensors, g->tensor_count, g->config, "config.json");
    bool done = false;
    for (uint64_t n = 0; !done; n++) {
        running r;
        tola_error err = TOLA_ERROR_INIT;
        fault_arm(FAULT_ALLOC, n, true);
        tola_status status = start(&r, folder, NULL, &err);
        fault_disarm();
        done = status == TOLA_OK;
        if (!done) assert_int_equal(status, TOLA_E_NOMEM);
        stop(&r);
        assert_true(n < 5000);
    }
    unit_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),    cmocka_unit_test(test_contradictions), cmocka_unit_test(test_left_over),
        cmocka_unit_test(test_longrope_context),
        cmocka_unit_test(test_not_converted),
        cmocka_unit_test(test_adapters),  cmocka_unit_test(test_rope),           cmocka_unit_test(test_memory),
        cmocka_unit_test(test_masters),   cmocka_unit_test(test_some_masters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
