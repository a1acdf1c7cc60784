/* Models that do not exist yet: every family is listed, drawn, opened and run like one from a file. */
#include "models/models.h"
#include "unit.h"

static void draw(void *user, const char *name, const model_want *want, uint64_t first, size_t count, float *dst) {
    (void)user, (void)want;
    for (size_t i = 0; i < count; i++) dst[i] = (float)((first + i) % 7) * 0.01f + (float)strlen(name) * 0.001f;
}

#define SIZES "\"hidden_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":50,"
#define LLAMA SIZES "\"num_key_value_heads\":2,\"intermediate_size\":64,\"max_position_embeddings\":64,"

static const struct {
    const char *config;
    size_t tensors;
    const char *name; /* one of them */
    uint64_t shape[3];
} families[] = {
    { "{\"model_type\":\"llama\"," LLAMA "\"tie_word_embeddings\":true}", 2 + 2 * 9,
      "model.layers.1.self_attn.k_proj.weight", { 16, 32, 0 } },
    { "{\"model_type\":\"llama\"," LLAMA "\"tie_word_embeddings\":false,\"attention_bias\":true}", 3 + 2 * 13,
      "lm_head.weight", { 50, 32, 0 } },
    { "{\"model_type\":\"gpt2\",\"n_embd\":32,\"n_layer\":2,\"n_head\":4,\"vocab_size\":50,\"n_positions\":64}",
      4 + 2 * 12, "transformer.h.0.attn.c_attn.weight", { 32, 96, 0 } },
    { "{\"model_type\":\"mixtral\"," LLAMA "\"num_local_experts\":4,\"num_experts_per_tok\":2}", 3 + 2 * (6 + 1 + 12),
      "model.layers.1.block_sparse_moe.experts.3.w2.weight", { 32, 64, 0 } },
    { "{\"model_type\":\"qwen3\"," LLAMA "\"head_dim\":8}", 3 + 2 * 11, "model.layers.0.self_attn.q_norm.weight",
      { 8, 0, 0 } },
    { "{\"model_type\":\"phi3\"," LLAMA "\"tie_word_embeddings\":false}", 3 + 2 * 6,
      "model.layers.0.mlp.gate_up_proj.weight", { 128, 32, 0 } },
};

static void test_families(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        tola_checkpoint *ck;
        tola_error err = TOLA_ERROR_INIT;
        if (model_fresh(families[i].config, strlen(families[i].config), draw, NULL, &ck, &err) != TOLA_OK)
            fail_msg("%s: %s", families[i].config, err.message);
        if (tola_checkpoint_tensor_count(ck) != families[i].tensors)
            fail_msg("%s: %zu tensors", families[i].config, tola_checkpoint_tensor_count(ck));
        size_t at = tola_checkpoint_find(ck, families[i].name);
        assert_true(at != SIZE_MAX);
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, at);
        for (unsigned d = 0; d < t->n_dims; d++) assert_int_equal(t->shape[d], families[i].shape[d]);
        uint8_t bytes[11]; /* from the middle of an element */
        float whole[8];
        assert_int_equal(tola_checkpoint_read(ck, at, 0, whole, sizeof whole, NULL), TOLA_OK);
        assert_int_equal(tola_checkpoint_read(ck, at, 5, bytes, sizeof bytes, NULL), TOLA_OK);
        assert_memory_equal(bytes, (uint8_t *)whole + 5, sizeof bytes);
        tola_model *model;
        if (tola_model_from_checkpoint(ck, NULL, &model, &err) != TOLA_OK)
            fail_msg("%s: %s", families[i].config, err.message);
        assert_int_equal(tola_model_about(model)->unused_tensors, 0);
        tola_model_free(model);
        tola_checkpoint_close(ck);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "{}", "{", "{\"model_type\":\"llama\"}", "[]" };
    for (size_t i = 0; i < 4; i++) {
        tola_checkpoint *ck;
        tola_error err = TOLA_ERROR_INIT;
        assert_int_not_equal(model_fresh(bad[i], strlen(bad[i]), draw, NULL, &ck, &err), TOLA_OK);
        assert_true(err.message[0] != '\0');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_families), cmocka_unit_test(test_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
