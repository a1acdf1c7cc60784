/* Shapes of models and what is counted from them: published figures, formulas, and configurations that lie. */
#include "unit.h"

#include <math.h>

#include "base/json.h"
#include "policy/memory.h"

static tola_status shape_of(const char *text, model_shape *out, tola_error *err) {
    arena a;
    tola_value tree;
    arena_init(&a, 0);
    tola_status status = json_parse(text, strlen(text), &a, &tree, err);
    if (status == TOLA_OK) status = shape_of_config("config.json", &tree, out, err);
    arena_free(&a);
    return status;
}

static model_shape shape(const char *text) {
    model_shape s;
    tola_error err = TOLA_ERROR_INIT;
    if (shape_of(text, &s, &err) != TOLA_OK) fail_msg("%.60s: %s", text, err.message);
    return s;
}

static model_shape shape_from_count(uint64_t parameters, uint64_t active) {
    model_shape s;
    tola_error err = TOLA_ERROR_INIT;
    if (shape_of_count(parameters, active, &s, &err) != TOLA_OK) fail_msg("%s", err.message);
    return s;
}

static memory_weights word(const char *text) {
    memory_weights w;
    tola_error err = TOLA_ERROR_INIT;
    if (memory_weights_parse(text, &w, &err) != TOLA_OK) fail_msg("%s", err.message);
    return w;
}

static double weights_gb(const model_shape *s, const char *type) {
    const memory_weights w = word(type);
    uint64_t bytes;
    assert_int_equal(memory_weights_bytes(s, &w, &bytes, NULL), TOLA_OK);
    return (double)bytes / 1e9;
}

static void assert_near(double got, double want, double within) {
    if (!(fabs(got - want) <= within)) fail_msg("%.12g, not %.12g within %g", got, want, within);
}

/* ---- models, as their authors publish them ---- */

#define LLAMA_405B                                                                                                     \
    "{\"model_type\": \"llama\", \"hidden_size\": 16384, \"intermediate_size\": 53248, \"num_attention_heads\": 128, " \
    "\"num_hidden_layers\": 126, \"num_key_value_heads\": 8, \"vocab_size\": 128256, \"torch_dtype\": \"bfloat16\", "  \
    "\"max_position_embeddings\": 131072, \"tie_word_embeddings\": false}"
#define DEEPSEEK_V3                                                                                                    \
    "{\"model_type\": \"deepseek_v3\", \"hidden_size\": 7168, \"intermediate_size\": 18432, \"kv_lora_rank\": 512, "   \
    "\"q_lora_rank\": 1536, \"qk_nope_head_dim\": 128, \"qk_rope_head_dim\": 64, \"v_head_dim\": 128, "                \
    "\"moe_intermediate_size\": 2048, \"n_routed_experts\": 256, \"n_shared_experts\": 1, \"moe_layer_freq\": 1, "     \
    "\"num_experts_per_tok\": 8, \"num_attention_heads\": 128, \"num_key_value_heads\": 128, "                         \
    "\"first_k_dense_replace\": 3, \"num_hidden_layers\": 61, \"num_nextn_predict_layers\": 1, "                       \
    "\"vocab_size\": 129280, \"torch_dtype\": \"bfloat16\", \"max_position_embeddings\": 163840, "                     \
    "\"quantization_config\": {\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}}"
#define SCOUT                                                                                                          \
    "{\"model_type\": \"llama4\", \"text_config\": {\"model_type\": \"llama4_text\", \"hidden_size\": 5120, "          \
    "\"intermediate_size\": 8192, \"intermediate_size_mlp\": 16384, \"num_attention_heads\": 40, "                     \
    "\"num_key_value_heads\": 8, \"head_dim\": 128, \"num_hidden_layers\": 48, \"num_local_experts\": 16, "            \
    "\"num_experts_per_tok\": 1, \"interleave_moe_layer_step\": 1, \"attention_chunk_size\": 8192, "                   \
    "\"vocab_size\": 202048, \"max_position_embeddings\": 10485760}, \"torch_dtype\": \"bfloat16\"}"
#define GPT_OSS                                                                                                        \
    "{\"model_type\": \"gpt_oss\", \"attention_bias\": true, \"hidden_size\": 2880, \"intermediate_size\": 2880, "     \
    "\"head_dim\": 64, \"num_attention_heads\": 64, \"num_key_value_heads\": 8, \"num_hidden_layers\": 24, "           \
    "\"num_local_experts\": 32, \"num_experts_per_tok\": 4, \"sliding_window\": 128, \"vocab_size\": 201088, "         \
    "\"tie_word_embeddings\": false, \"quantization_config\": {\"quant_method\": \"mxfp4\", "                          \
    "\"modules_to_not_convert\": [\"model.layers.*.self_attn\", \"model.layers.*.mlp.router\", \"lm_head\"]}}"
#define GEMMA3                                                                                                         \
    "{\"model_type\": \"gemma3\", \"text_config\": {\"model_type\": \"gemma3_text\", \"hidden_size\": 2560, "          \
    "\"intermediate_size\": 10240, \"num_hidden_layers\": 34, \"sliding_window\": 1024}, \"vision_config\": "          \
    "{\"model_type\": \"siglip_vision_model\", \"hidden_size\": 1152, \"image_size\": 896, "                           \
    "\"intermediate_size\": 4304, \"num_hidden_layers\": 27, \"patch_size\": 14, \"vision_use_head\": false}, "        \
    "\"torch_dtype\": \"bfloat16\"}"
#define RESNET50                                                                                                       \
    "{\"model_type\": \"resnet\", \"depths\": [3, 4, 6, 3], \"hidden_sizes\": [256, 512, 1024, 2048], "                \
    "\"embedding_size\": 64, \"layer_type\": \"bottleneck\", \"num_channels\": 3, \"num_labels\": 1000}"
#define GPT                                                                                                            \
    "{\"model_type\": \"gpt2\", \"n_embd\": 1024, \"n_layer\": 3, \"n_head\": 16, \"vocab_size\": 1000, "              \
    "\"n_positions\": 512}"

/* Meta's, DeepSeek's and OpenAI's own figures; exact ones from transformers (tests/oracle/shape_oracle.py). */
static void test_published(void **state) {
    (void)state;
    model_shape s = shape(LLAMA_405B);
    assert_int_equal(s.parameters, 405853388800);
    assert_int_equal(s.stored_bytes, 2 * s.parameters);
    assert_true(s.recognised && s.language && s.layer_rows == 1 && s.layer_count == 126);
    assert_near(weights_gb(&s, "fp16"), 811.7, 0.05);
    assert_true(weights_gb(&s, "fp16") > 8 * 80);
    shape_dispose(&s);

    s = shape(DEEPSEEK_V3);
    assert_int_equal(s.parameters, 671026404352);
    assert_near((double)s.active, 37.5e9, 0.1e9);
    assert_near((double)s.active - (double)s.embedding, 36.6e9, 0.05e9);
    assert_int_equal(s.layers[0].key_width, 576);
    assert_near(memory_kv_token(&s, &(memory_inference){ 0 }), 70272, 0); /* arXiv 2405.04434: 61 layers x 576 x 2 */
    assert_near(s.stored_bits, 8.025, 0.001);
    assert_string_equal(s.stored, "fp8, 8 bits, 128x128 blocks");
    shape_dispose(&s);

    s = shape(SCOUT);
    assert_int_equal(s.parameters, 108225039360);
    assert_near((double)s.active, 17.2e9, 0.5e9);
    memory_inference o = { .weights = word("int4"), .context = 8192 };
    memory_bytes m;
    assert_int_equal(memory_of_inference(&s, &o, &m, NULL), TOLA_OK);
    assert_true(m.total < 80000000000);
    assert_true(m.experts > m.weights / 2 && m.total == m.weights + m.kv + m.compute);
    shape_dispose(&s);

    s = shape(GPT_OSS);
    assert_int_equal(s.parameters, 20914757184);
    assert_near((double)s.active - (double)s.embedding, 3.6e9, 0.05e9);
    assert_near((double)s.stored_bytes, 13.76e9, 0.01e9);
    assert_int_equal(s.layer_rows, 2);
    assert_int_equal(s.layers[0].memory, SHAPE_MEMORY_WINDOW);
    assert_int_equal(s.layers[0].window, 128);
    assert_int_equal(s.layers[1].memory, SHAPE_MEMORY_FULL);
    shape_dispose(&s);

    s = shape(GEMMA3); /* its file leaves out heads and vocabulary */
    assert_int_equal(s.parameters, 4300079472);
    assert_string_equal(s.modalities, "image text");
    assert_true(s.tied && s.output == 0);
    assert_int_equal(s.layers[0].count, 29);
    shape_dispose(&s);
}

/* 7B and 70B at four precisions, as everyone counts them. */
static void test_sizes(void **state) {
    (void)state;
    static const char *const types[] = { "fp32", "fp16", "int8", "int4" };
    for (int i = 0; i < 4; i++) {
        model_shape s = shape_from_count(7000000000, 0), t = shape_from_count(70000000000, 0);
        assert_near(weights_gb(&s, types[i]), 28.0 / (1 << i), 1e-6);
        assert_near(weights_gb(&t, types[i]), 280.0 / (1 << i), 1e-6);
        shape_dispose(&s);
        shape_dispose(&t);
    }
    model_shape s = shape_from_count(405000000000, 0);
    assert_near(weights_gb(&s, "fp16"), 810, 1e-6);
    assert_int_equal(s.note_count, 1);
    shape_dispose(&s);
    s = shape_from_count(671000000000, 37000000000);
    assert_int_equal(s.active, 37000000000);
    assert_int_equal(s.parameters, 671000000000);
    assert_true(s.layers[0].experts > s.layers[0].experts_used);
    shape_dispose(&s);
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(shape_of_count(0, 0, &s, &err), TOLA_E_ARG);
    assert_int_equal(shape_of_count(7, 8, &s, &err), TOLA_E_ARG);
    assert_int_equal(shape_of_count(UINT64_MAX, 0, &s, &err), TOLA_E_ARG);
    for (uint64_t n = 1; n < 1ull << 47; n = n * 3 + 1) { /* any count is one */
        s = shape_from_count(n, n / 5);
        assert_int_equal(s.parameters, n);
        shape_dispose(&s);
    }
}

/* 26 M weights and 16 M values are 168 MB in f32; training with batches of 32 takes more than 7.5 GB. */
static void test_images(void **state) {
    (void)state;
    model_shape s = shape(RESNET50);
    assert_int_equal(s.parameters, 25557032);
    assert_near((double)s.example_values, 16.6e6, 0.05e6);
    assert_near((double)s.example_operations / 2, 4.09e9, 0.01e9);
    memory_inference o = { .weights = word("fp32") };
    memory_bytes m;
    assert_int_equal(memory_of_inference(&s, &o, &m, NULL), TOLA_OK);
    assert_near((double)m.total, 168.8e6, 0.1e6);
    memory_training t = { .f32 = true, .batch = 32 };
    assert_int_equal(memory_of_training(&s, &t, &m, NULL), TOLA_OK);
    assert_true(m.total > 7500000000);
    assert_int_equal(m.weights + m.gradients + m.optimizer, 16 * s.parameters);
    shape_dispose(&s);
}

/* ---- memory ---- */

static void test_kv(void **state) {
    (void)state;
    model_shape s = shape(LLAMA_405B);
    memory_inference o = { .context = 1000, .engine = MEMORY_SERVER };
    uint64_t bytes;
    assert_int_equal(memory_kv(&s, &o, &bytes, NULL), TOLA_OK);
    assert_int_equal(bytes, 126ull * 1008 * 2 * 1024 * 2); /* pages of 16 */
    o.engine = MEMORY_TOLA;
    assert_int_equal(memory_kv(&s, &o, &bytes, NULL), TOLA_OK);
    assert_int_equal(bytes, 126ull * 1024 * 2 * 1024 * 2);
    o.key = o.value = TOLA_DTYPE_Q8_0;
    o.batch = 3;
    assert_int_equal(memory_kv(&s, &o, &bytes, NULL), TOLA_OK);
    assert_int_equal(bytes, 3 * 126ull * 1024 * 2 * (1024 / 32) * 34);
    assert_near(memory_kv_token(&s, &o), 126 * 2 * 32 * 34, 0);
    o.context = UINT64_MAX;
    assert_int_equal(memory_kv(&s, &o, &bytes, NULL), TOLA_E_LIMIT);
    shape_dispose(&s);
    s = shape(GPT); /* heads of 64 fill blocks of 32, not of 256 */
    o = (memory_inference){ .key = TOLA_DTYPE_Q4_K };
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(memory_kv(&s, &o, &bytes, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "q4_k"));
    shape_dispose(&s);
    s = shape(GPT_OSS); /* half of the layers remember 128 tokens */
    o = (memory_inference){ .context = 131072 };
    assert_int_equal(memory_kv(&s, &o, &bytes, NULL), TOLA_OK);
    assert_int_equal(bytes, 12ull * (131072 + 128) * 2 * 512 * 2);
    shape_dispose(&s);
}

static void test_weights(void **state) {
    (void)state;
    static const struct {
        const char *word;
        double bits;
    } rows[] = { { "fp32", 32 },       { "BF16", 16 },      { "int3", 3 },    { "int1", 1 },
                 { "fp8", 8 },         { "q4_0", 4.5 },     { "nvfp4", 4.5 }, { "mxfp4", 4.25 },
                 { "Q4_K_M", 4.8944 }, { "gptq", 4.15625 }, { "nf4", 4.5 },   { "q8_0", 8.5 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) assert_near(word(rows[i].word).bits, rows[i].bits, 1e-9);
    for (const char *const *w = memory_weights_words; *w; w++) assert_true(word(*w).bits > 0);
    assert_true(word(NULL).stored && word("stored").stored);
    memory_weights w;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(memory_weights_parse("int44", &w, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "int4"));
    assert_int_equal(memory_weights_parse("int0", &w, NULL), TOLA_E_ARG);
    assert_int_equal(memory_weights_parse("int9", &w, NULL), TOLA_E_ARG);
    assert_int_equal(memory_weights_parse("", &w, NULL), TOLA_E_ARG);
}

#define LLAMA_8B                                                                                                       \
    "{\"model_type\": \"llama\", \"hidden_size\": 4096, \"intermediate_size\": 14336, \"num_attention_heads\": 32, "   \
    "\"num_hidden_layers\": 32, \"num_key_value_heads\": 8, \"vocab_size\": 128256, \"torch_dtype\": \"bfloat16\", "   \
    "\"tie_word_embeddings\": false}"
#define QWEN_HALF                                                                                                      \
    "{\"model_type\": \"qwen2\", \"hidden_size\": 896, \"intermediate_size\": 4864, \"num_attention_heads\": 14, "     \
    "\"num_hidden_layers\": 24, \"num_key_value_heads\": 2, \"vocab_size\": 151936, \"tie_word_embeddings\": true}"

/* llama.cpp's tools/quantize/README.md: bits a weight of Llama 3.1 8B; and Qwen2.5 0.5B, whose rows do not fill blocks
 * of 256, as its makers publish it. */
static void test_mixtures(void **state) {
    (void)state;
    static const struct {
        const char *word;
        double bits;
    } rows[] = { { "iq1_s", 2.0042 },  { "iq1_m", 2.1460 },  { "iq2_xxs", 2.3824 }, { "iq2_xs", 2.5882 },
                 { "iq2_s", 2.7403 },  { "iq2_m", 2.9294 },  { "iq3_xxs", 3.2548 }, { "iq3_xs", 3.4977 },
                 { "iq3_s", 3.6606 },  { "iq3_m", 3.7628 },  { "iq4_xs", 4.4597 },  { "q2_k_s", 2.9697 },
                 { "q2_k", 3.1593 },   { "q3_k_s", 3.6429 }, { "q3_k_m", 3.9960 },  { "q3_k_l", 4.2979 },
                 { "q4_k_s", 4.6672 }, { "q4_k_m", 4.8944 }, { "q5_k_s", 5.5704 },  { "q5_k_m", 5.7036 } };
    model_shape s = shape(LLAMA_8B);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double bits = weights_gb(&s, rows[i].word) * 8e9 / (double)s.parameters;
        if (fabs(bits / rows[i].bits - 1) > 0.01) fail_msg("%s: %.4f bits, not %.4f", rows[i].word, bits, rows[i].bits);
    }
    shape_dispose(&s);
    s = shape(QWEN_HALF);
    assert_near(weights_gb(&s, "q4_k_m"), 0.392, 0.004); /* qwen2.5-0.5b-instruct-q4_k_m.gguf without its vocabulary */
    shape_dispose(&s);
}

/* arXiv 2205.05198, equations 1 to 3: sbh(34 + 5as/h), 34sbh, 2sbh a layer, for the classical shape. */
static void test_training(void **state) {
    (void)state;
    const double b = 4, n = 256, h = 1024, a = 16, layers = 3, vocabulary = 1000;
    const double ends = n * b * (h * 5 + 4 * vocabulary);
    model_shape s = shape(GPT);
    memory_training o = { .batch = 4, .context = 256 };
    memory_bytes m;
    assert_int_equal(memory_of_training(&s, &o, &m, NULL), TOLA_OK);
    assert_near((double)m.activations, layers * n * b * h * (34 + 5 * a * n / h) + ends, 1);
    assert_int_equal(m.weights + m.gradients + m.optimizer, 16 * s.parameters);
    o.recompute = MEMORY_RECOMPUTE_ATTENTION;
    assert_int_equal(memory_of_training(&s, &o, &m, NULL), TOLA_OK);
    assert_near((double)m.activations, layers * n * b * h * 34 + ends, 1);
    o.recompute = MEMORY_RECOMPUTE_LAYERS;
    assert_int_equal(memory_of_training(&s, &o, &m, NULL), TOLA_OK);
    assert_near((double)m.activations, layers * n * b * h * 2 + ends, 1);
    assert_near((double)m.compute, n * b * h * 34, 1); /* of the layer that is made again */
    o.f32 = true;
    assert_int_equal(memory_of_training(&s, &o, &m, NULL), TOLA_OK);
    assert_int_equal(m.weights + m.gradients + m.optimizer, 16 * s.parameters);
    o = (memory_training){ .method = MEMORY_LORA, .rank = 8 };
    const uint64_t trained = memory_trained(&s, &o);
    assert_int_equal(trained, 8 * 3 * (8 * 1024 + 3 * (1024 + 4096)));
    assert_int_equal(memory_of_training(&s, &o, &m, NULL), TOLA_OK);
    assert_int_equal(m.gradients, 4 * trained);
    assert_int_equal(m.optimizer, 8 * trained);
    assert_int_equal(m.weights, 2 * s.parameters + 4 * trained);
    o.method = MEMORY_QLORA;
    memory_bytes q;
    assert_int_equal(memory_of_training(&s, &o, &q, NULL), TOLA_OK);
    assert_true(q.weights < m.weights / 2);
    shape_dispose(&s);
}

static void test_work(void **state) {
    (void)state;
    assert_near(memory_experts_reached(256, 8, 1), 8, 1e-9);
    assert_near(memory_experts_reached(256, 8, 32), 256 * (1 - pow(1 - 8.0 / 256, 32)), 1e-9);
    assert_near(memory_experts_reached(4, 4, 9), 4, 0);
    model_shape s = shape(LLAMA_405B);
    const double matrices = (double)s.parameters - (double)s.embedding - 126 * 2 * 16384.0 - 16384;
    assert_near(memory_decode_operations(&s, 0) / (2 * matrices + 126.0 * 2 * 128 * 256), 1, 1e-12);
    /* The last layer's queries, their output and the feed-forward matrices: of the last token alone. */
    const double last = 2.0 * 16384 * 16384 + 3.0 * 16384 * 53248;
    const double n = 1000, head = 2.0 * (double)s.output;
    const double attention = 2.0 * 128 * 256 * (125 * n * (n + 1) / 2 + n);
    const double expected = 2 * n * (matrices - head / 2 - last) + 2 * last + head + attention;
    assert_near(memory_prefill_operations(&s, 1000) / expected, 1, 1e-12);
    model_shape mixed = shape(GEMMA3); /* the last kind that began is not that of the last layer */
    assert_int_equal(mixed.layers[mixed.last_row].memory, SHAPE_MEMORY_WINDOW);
    assert_int_equal(mixed.layers[mixed.layer_rows - 1].memory, SHAPE_MEMORY_FULL);
    shape_dispose(&mixed);
    double weights, kv;
    memory_inference o = { .weights = word("fp16") };
    assert_int_equal(memory_decode_bytes(&s, &o, 1000, &weights, &kv, NULL), TOLA_OK);
    assert_near(weights / 1e9, 2 * ((double)s.parameters - (double)s.embedding) / 1e9, 0.01);
    assert_near(kv, 1000 * memory_kv_token(&s, &o), 0);
    shape_dispose(&s);
    s = shape(DEEPSEEK_V3);
    assert_int_equal(memory_decode_bytes(&s, &o, 1, &weights, NULL, NULL), TOLA_OK);
    assert_near(weights / 2e9, 36.6, 0.1);
    o.batch = 4096; /* every expert is reached */
    assert_int_equal(memory_decode_bytes(&s, &o, 1, &weights, NULL, NULL), TOLA_OK);
    assert_near(weights / 2e9, 670.1, 0.5);
    shape_dispose(&s);
}

/* ---- what nobody vouches for ---- */

static void assert_refused(const char *text, const char *key) {
    model_shape s;
    tola_error err = TOLA_ERROR_INIT;
    if (shape_of(text, &s, &err) == TOLA_OK) {
        shape_dispose(&s);
        fail_msg("%s is taken", text);
    }
    if (!strstr(err.message, key)) fail_msg("%s: \"%s\"", text, err.message);
    if (strchr(err.message, '\n')) fail_msg("%s: \"%s\"", text, err.message);
}

static void test_refused(void **state) {
    (void)state;
#define LLAMA(rest) "{\"model_type\": \"llama\", \"num_hidden_layers\": 2, \"vocab_size\": 100" rest "}"
    assert_refused("[]", "no JSON object");
    assert_refused("{}", "hidden_size is missing");
    assert_refused(LLAMA(""), "hidden_size is missing");
    assert_refused(LLAMA(", \"hidden_size\": 0"), "hidden_size is 0");
    assert_refused(LLAMA(", \"hidden_size\": -4"), "hidden_size is -4");
    assert_refused(LLAMA(", \"hidden_size\": \"64\""), "hidden_size is text");
    assert_refused(LLAMA(", \"hidden_size\": 64.5"), "hidden_size is 64.5");
    assert_refused(LLAMA(", \"hidden_size\": NaN"), "hidden_size is");
    assert_refused(LLAMA(", \"hidden_size\": 1e300"), "hidden_size is");
    assert_refused(LLAMA(", \"hidden_size\": 18446744073709551615"), "hidden_size is");
    assert_refused(LLAMA(", \"hidden_size\": [64]"), "hidden_size is a list");
    assert_refused(LLAMA(", \"hidden_size\": 64, \"num_attention_heads\": 7"), "num_attention_heads is 7");
    assert_refused(LLAMA(", \"hidden_size\": 64, \"num_attention_heads\": 8, \"num_key_value_heads\": 3"),
                   "num_key_value_heads is 3");
    assert_refused(LLAMA(", \"hidden_size\": 64, \"num_attention_heads\": 8, \"num_key_value_heads\": 16"),
                   "num_key_value_heads is 16");
    assert_refused(LLAMA(", \"hidden_size\": 64, \"attention_bias\": \"yes\""), "attention_bias is text");
    assert_refused(LLAMA(", \"hidden_size\": 64, \"num_local_experts\": 4, \"num_experts_per_tok\": 5"),
                   "num_experts_per_tok is 5");
    assert_refused(LLAMA(", \"hidden_size\": 64, \"num_local_experts\": 4"), "num_experts_per_tok is missing");
    assert_refused(LLAMA(", \"hidden_size\": 64, \"layer_types\": [\"full_attention\"]"), "layer_types has 1 items");
    assert_refused(LLAMA(", \"hidden_size\": 64, \"quantization_config\": 4"), "quantization_config");
    assert_refused(LLAMA(", \"hidden_size\": 64, \"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": -1}"),
                   "bits is -1");
    assert_refused("{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 99999999}",
                   "num_hidden_layers is 99999999");
    assert_refused("{\"model_type\": \"llama\", \"hidden_size\": 64}", "num_hidden_layers");
    assert_refused("{\"model_type\": \"llama\", \"hidden_size\": 67108864, \"num_hidden_layers\": 16384, "
                   "\"intermediate_size\": 67108864, \"vocab_size\": 67108864, \"num_attention_heads\": 1}",
                   "more than");
    assert_refused("{\"model_type\": \"gemma3\", \"vision_config\": {}}", "text_config is missing");
    assert_refused("{\"model_type\": \"nemotron_h\", \"hidden_size\": 64, \"hybrid_override_pattern\": \"MX\"}",
                   "hybrid_override_pattern");
    assert_refused("{\"model_type\": \"resnet\", \"hidden_sizes\": [7]}", "hidden_sizes");
}

/* A family that nothing here knows is counted from its words, and says so. */
static void test_unknown(void **state) {
    (void)state;
    model_shape s = shape("{\"model_type\": \"nonesuch\", \"hidden_size\": 64, \"num_hidden_layers\": 2, "
                          "\"num_attention_heads\": 4, \"intermediate_size\": 128, \"vocab_size\": 100}");
    assert_false(s.recognised);
    assert_int_equal(s.parameters, 2 * 100 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64) + 64);
    assert_true(s.note_count == 1 && strstr(s.notes[0], "nonesuch"));
    shape_dispose(&s);
    shape_dispose(&s);
    shape_dispose(NULL);
}

/* Every allocation fails in turn: an error, and nothing is left behind (the sanitizer looks). */
static void test_memory_fails(void **state) {
    (void)state;
    static const char *const texts[] = {
        GPT_OSS,
        GEMMA3,
        RESNET50,
        "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_attention_heads\": 4, \"num_hidden_layers\": 2, "
        "\"quantization_config\": {\"config_groups\": {\"a\": {\"weights\": {\"num_bits\": 4}}}, "
        "\"ignore\": [\"re:.*lm_head\", \"layers.1.mlp\"]}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tola_status status = TOLA_E_NOMEM;
        arena a;
        tola_value tree;
        arena_init(&a, 0);
        assert_int_equal(json_parse(texts[i], strlen(texts[i]), &a, &tree, NULL), TOLA_OK);
        for (uint64_t n = 0; status != TOLA_OK && n < 2000; n++) {
            model_shape s;
            fault_arm(FAULT_ALLOC, n, false);
            status = shape_of_config("config.json", &tree, &s, NULL);
            fault_disarm();
            if (status == TOLA_OK)
                shape_dispose(&s);
            else if (status != TOLA_E_NOMEM && status != TOLA_E_FORMAT)
                fail_msg("%s: status %d", texts[i], status);
        }
        assert_int_equal(status, TOLA_OK);
        arena_free(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_sizes),        cmocka_unit_test(test_images),
        cmocka_unit_test(test_kv),        cmocka_unit_test(test_weights),      cmocka_unit_test(test_mixtures),
        cmocka_unit_test(test_training),  cmocka_unit_test(test_work),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unknown),   cmocka_unit_test(test_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
