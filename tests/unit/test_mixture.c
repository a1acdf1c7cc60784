/* Mixtures: names, file types, what keeps its type, fall-backs, and choices that can be told by heart.
 * tests/oracle/mixture_oracle.py compares all of them with llama-quantize. */
#include "transform/mixture.h"

#include "base/mem.h"
#include "unit.h"

#include <string.h>

static void names(void **state) {
    (void)state;
    assert_string_equal(mixture_name(mixture_find("q4_k_m")), "Q4_K_M");
    assert_int_equal(mixture_file_type(mixture_find("Q4_K_M")), 15);
    assert_ptr_equal(mixture_find("Q3_k"), mixture_find("Q3_K_M"));
    assert_ptr_equal(mixture_find("q4_k"), mixture_find("Q4_K_M"));
    assert_ptr_equal(mixture_find("Q5_K"), mixture_find("Q5_K_M"));
    assert_null(mixture_find("Q4_K_X"));
    assert_null(mixture_find(""));
    size_t n = 0;
    for (const mixture *m; (m = mixture_at(n)) != NULL; n++) {
        assert_ptr_equal(mixture_find(mixture_name(m)), m);
        for (size_t k = 0; k < n; k++) assert_int_not_equal(mixture_file_type(mixture_at(k)), mixture_file_type(m));
    }
    assert_int_equal(n, 35);
    assert_null(mixture_at(SIZE_MAX));
}

static void fallbacks(void **state) {
    (void)state;
    assert_int_equal(mixture_fallback(TOLA_DTYPE_Q4_K, 512), TOLA_DTYPE_Q4_K);
    assert_int_equal(mixture_fallback(TOLA_DTYPE_Q4_K, 96), TOLA_DTYPE_Q5_0);
    assert_int_equal(mixture_fallback(TOLA_DTYPE_Q6_K, 96), TOLA_DTYPE_Q8_0);
    assert_int_equal(mixture_fallback(TOLA_DTYPE_Q6_K, 100), TOLA_DTYPE_F16);
    assert_int_equal(mixture_fallback(TOLA_DTYPE_Q8_0, 100), TOLA_DTYPE_F16);
    assert_int_equal(mixture_fallback(TOLA_DTYPE_IQ2_XS, 32), TOLA_DTYPE_IQ4_NL);
    assert_int_equal(mixture_fallback(TOLA_DTYPE_BF16, 1), TOLA_DTYPE_BF16);
    assert_int_equal(mixture_fallback(TOLA_DTYPE_Q1_0, 64), TOLA_DTYPE_Q4_0);
    for (unsigned t = TOLA_DTYPE_Q4_0; t < TOLA_DTYPE_COUNT; t++)
        for (uint64_t columns = 0; columns < 600; columns += 4)
            assert_int_equal(columns % tola_dtype_block_elements(mixture_fallback((tola_dtype)t, columns)), 0);
}

static const uint64_t matrix[2] = { 64, 256 }, row[2] = { 1, 256 }, experts[3] = { 8, 64, 256 };

static void kept(void **state) {
    (void)state;
    const mixture_model model = { "llama", 2, 8, 8, 0, false, false };
    const mixture_tensor keeps[] = {
        { "blk.0.attn_norm.weight", matrix, 2 }, { "blk.0.attn_q.bias", matrix, 2 },
        { "blk.0.ffn_gate_inp.weight", matrix, 2 }, { "output_norm.weight", matrix + 1, 1 },
        { "blk.0.ffn_up.weight", row, 2 }, { "position_embd.weight", matrix, 2 },
        { "blk.0.ssm_conv1d.weight", matrix, 2 }, { "weight", NULL, 0 }, { "", matrix, 2 },
    };
    for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) assert_true(mixture_keeps(&keeps[i], &model));
    const mixture_tensor not[] = { { "blk.0.ffn_up.weight", matrix, 2 }, { "weight", matrix, 2 },
                                   { "blk.0.ffn_up_exps.weight", experts, 3 } };
    for (size_t i = 0; i < sizeof not / sizeof *not; i++) assert_false(mixture_keeps(&not[i], &model));
}

static void choice(void **state) {
    (void)state;
    const mixture_tensor tensors[] = {
        { "blk.1.attn_v.weight", matrix, 2 }, { "output.weight", matrix, 2 },      { "token_embd.weight", matrix, 2 },
        { "blk.0.attn_v.weight", matrix, 2 }, { "blk.0.ffn_norm.weight", row, 2 }, { "blk.0.attn_q.weight", matrix, 2 },
    };
    enum { N = sizeof tensors / sizeof *tensors };
    const mixture_model model = { "llama", 16, 8, 8, 0, false, false };
    tola_dtype types[N];
    size_t fell;
    /* of two matrices of values the second lies in the last eighth, wherever it stands in the list */
    assert_int_equal(mixture_choose(mixture_find("Q4_K_M"), &model, tensors, N, types, &fell, NULL), TOLA_OK);
    const tola_dtype expected[N] = { TOLA_DTYPE_Q6_K, TOLA_DTYPE_Q6_K, TOLA_DTYPE_Q4_K,
                                     TOLA_DTYPE_Q4_K, TOLA_DTYPE_NONE, TOLA_DTYPE_Q4_K };
    for (size_t i = 0; i < N; i++) assert_int_equal(types[i], expected[i]);
    assert_int_equal(fell, 0);
    assert_int_equal(mixture_choose(mixture_find("F16"), &model, tensors, N, types, NULL, NULL), TOLA_OK);
    for (size_t i = 0; i < N; i++) assert_int_equal(types[i], i == 4 ? TOLA_DTYPE_NONE : TOLA_DTYPE_F16);
    assert_int_equal(mixture_choose(mixture_find("F16"), &model, tensors, 0, types, &fell, NULL), TOLA_OK);

    tola_error err = TOLA_ERROR_INIT;
    fault_arm(FAULT_ALLOC, 0, true);
    tola_status failed = mixture_choose(mixture_find("Q8_0"), &model, tensors, N, types, NULL, &err);
    fault_disarm();
    assert_int_equal(failed, TOLA_E_NOMEM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(fallbacks),
        cmocka_unit_test(kept),
        cmocka_unit_test(choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
