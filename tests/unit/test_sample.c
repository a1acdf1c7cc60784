/* Sampling: stages, ties, what is refused, draws that depend on seed and position alone. */
#include "generate/sample.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

static const tola_sampling OFF = { sizeof(tola_sampling), 1, 0, 1, 0, 1, 1, 0, 0, UINT32_MAX, 0, NULL, 0, { 0 } };

static size_t kept(const tola_sampling *o, const float *logits, uint32_t vocab, uint32_t *ids, double *p) {
    sampler *s;
    assert_int_equal(sampler_create(o, vocab, &s, NULL), TOLA_OK);
    const sample_candidate *c;
    size_t n;
    assert_int_equal(sampler_distribution(s, &(sample_input){ logits, NULL, 0, NULL, 0 }, &c, &n, NULL), TOLA_OK);
    for (size_t i = 0; i < n; i++) {
        ids[i] = c[i].id;
        p[i] = c[i].probability;
    }
    sampler_free(s);
    return n;
}

static void test_filters(void **state) {
    (void)state;
    const float logits[6] = { 1, 3, 3, 0, 3, -2 };
    uint32_t ids[6];
    double p[6];
    tola_sampling o = OFF;
    o.top_k = 2; /* of three that tie, the lowest ids */
    assert_int_equal(kept(&o, logits, 6, ids, p), 2);
    assert_true(ids[0] == 1 && ids[1] == 2 && p[0] == 0.5);
    o = OFF;
    o.top_p = 0.5; /* each of the three has 0.306 */
    assert_int_equal(kept(&o, logits, 6, ids, p), 2);
    o = OFF;
    o.min_p = 0.1; /* e^-2 = 0.135 stays, e^-3 goes */
    assert_int_equal(kept(&o, logits, 6, ids, p), 4);
    o = OFF;
    o.temperature = 0;
    assert_int_equal(kept(&o, logits, 6, ids, p), 1);
    assert_int_equal(ids[0], 1);
    o = OFF;
    o.temperature = 1e-300; /* no overflow on the way to greedy */
    assert_int_equal(kept(&o, logits, 6, ids, p), 6);
    assert_true(p[1] == 1.0 / 3 && p[0] == 0);
}

static void test_penalties(void **state) {
    (void)state;
    const float logits[3] = { 2, -2, 1 };
    const uint32_t history[4] = { 2, 0, 1, 0 };
    tola_sampling o = OFF;
    o.repetition_penalty = 2;
    o.frequency_penalty = 0.25;
    o.presence_penalty = 0.5;
    o.penalty_window = 3; /* not the 2 */
    sampler *s;
    assert_int_equal(sampler_create(&o, 3, &s, NULL), TOLA_OK);
    const sample_candidate *c;
    size_t n;
    sample_input in = { logits, history, 4, NULL, 0 };
    for (int again = 0; again < 2; again++) { /* nothing is left of the first draw */
        assert_int_equal(sampler_distribution(s, &in, &c, &n, NULL), TOLA_OK);
        double w[3] = { exp(2.0 / 2 - 2 * 0.25 - 0.5), exp(-2.0 * 2 - 0.25 - 0.5), exp(1) };
        for (int i = 0; i < 3; i++) assert_true(fabs(c[i].probability - w[i] / (w[0] + w[1] + w[2])) < 1e-12);
    }
    const uint32_t beyond[1] = { 3 };
    in = (sample_input){ logits, beyond, 1, NULL, 0 };
    assert_int_equal(sampler_distribution(s, &in, &c, &n, NULL), TOLA_E_ARG);
    sampler_free(s);
}

static void test_bias_and_mask(void **state) {
    (void)state;
    const float logits[4] = { FLT_MAX, 1, 2, 3 };
    const tola_logit_bias bias[3] = { { 0, FLT_MAX }, { 0, -INFINITY }, { 1, 5 } };
    tola_sampling o = OFF;
    o.temperature = 0;
    o.bias = bias;
    o.bias_count = 3;
    sampler *s;
    assert_int_equal(sampler_create(&o, 4, &s, NULL), TOLA_OK);
    sample_input in = { logits, NULL, 0, NULL, 0 };
    uint32_t id, mask = 0xc;
    assert_int_equal(sampler_draw(s, &in, &id, NULL), TOLA_OK);
    assert_int_equal(id, 1);
    in.mask = &mask;
    assert_int_equal(sampler_draw(s, &in, &id, NULL), TOLA_OK);
    assert_int_equal(id, 3);
    mask = 1; /* the one that its bias forbids */
    tola_error err;
    assert_int_equal(sampler_draw(s, &in, &id, &err), TOLA_E_ARG);
    assert_string_equal(err.message, "sampling: no token of 4 is allowed by the grammar");
    sampler_free(s);
}

static void test_refused(void **state) {
    (void)state;
    const float logits[5] = { 1, NAN, -INFINITY, INFINITY, 2 };
    sampler *s;
    tola_error err;
    uint32_t id;
    assert_int_equal(sampler_create(NULL, 5, &s, NULL), TOLA_OK);
    assert_int_equal(sampler_draw(s, &(sample_input){ logits, NULL, 0, NULL, 0 }, &id, &err), TOLA_E_FORMAT);
    assert_string_equal(err.message, "of 5 logits 1 are NaN and 2 infinite; no token can be chosen from them");
    sampler_free(s);
    static const struct {
        size_t at;
        double value;
        const char *name;
    } bad[] = {
        { offsetof(tola_sampling, temperature), -1, "temperature is -1" },
        { offsetof(tola_sampling, temperature), NAN, "temperature is" },
        { offsetof(tola_sampling, top_p), -0.5, "top_p is -0.5" },
        { offsetof(tola_sampling, min_p), 1.5, "min_p is 1.5" },
        { offsetof(tola_sampling, typical_p), -0.1, "typical_p is -0.1" },
        { offsetof(tola_sampling, repetition_penalty), 0, "repetition_penalty is 0" },
        { offsetof(tola_sampling, frequency_penalty), INFINITY, "frequency_penalty is inf" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tola_sampling o = OFF;
        memcpy((char *)&o + bad[i].at, &bad[i].value, sizeof(double));
        assert_int_equal(sampler_create(&o, 5, &s, &err), TOLA_E_ARG);
        assert_non_null(strstr(err.message, bad[i].name));
        err.message[0] = 0;
        assert_int_equal(tola_sampling_check(&o, 5, &err), TOLA_E_ARG);
        assert_non_null(strstr(err.message, bad[i].name));
    }
    tola_sampling o = OFF;
    const tola_logit_bias bias = { 5, 1 };
    o.bias = &bias;
    o.bias_count = 1;
    assert_int_equal(sampler_create(&o, 5, &s, &err), TOLA_E_ARG);
    assert_int_equal(tola_sampling_check(&o, 5, &err), TOLA_E_ARG);
    assert_int_equal(tola_sampling_check(&o, 6, &err), TOLA_OK);
    o.size = 0;
    assert_int_equal(sampler_create(&o, 5, &s, &err), TOLA_E_ARG);
}

static void test_draws(void **state) {
    (void)state;
    float logits[300];
    for (int i = 0; i < 300; i++) logits[i] = (float)(i * 37 % 101) / 20;
    tola_sampling o = TOLA_SAMPLING_INIT;
    o.seed = 42;
    sampler *a, *b;
    assert_int_equal(sampler_create(&o, 300, &a, NULL), TOLA_OK);
    assert_int_equal(sampler_create(&o, 300, &b, NULL), TOLA_OK);
    sample_input in = { logits, NULL, 0, NULL, 0 };
    uint32_t forward[100], id;
    for (uint64_t i = 0; i < 100; i++) {
        in.position = i;
        assert_int_equal(sampler_draw(a, &in, &forward[i], NULL), TOLA_OK);
    }
    int differ = 0;
    for (uint64_t i = 100; i-- > 0;) { /* what was drawn before does not matter */
        in.position = i;
        assert_int_equal(sampler_draw(b, &in, &id, NULL), TOLA_OK);
        assert_int_equal(id, forward[i]);
        differ += id != forward[0];
    }
    assert_true(differ > 10);
    sampler_free(a);
    sampler_free(b);
    /* golden: changes here change every text that was ever drawn */
    assert_true(sample_uniform(0, 0) == 0x1.4e0dba5e9a32fp-1 && sample_uniform(42, 1) == 0x1.e957a287fd648p-1 &&
                sample_uniform(UINT64_MAX, 1u << 20) == 0x1.49b7c3df37acfp-1);
    for (uint64_t i = 0; i < 1000; i++) {
        double u = sample_uniform(i, i * i);
        assert_true(u >= 0 && u < 1);
    }
}

static void test_math(void **state) {
    (void)state;
    for (double x = -690; x < 690; x += 0.37) assert_true(fabs(sample_exp(x) / exp(x) - 1) < 1e-15);
    for (double x = 1e-300; x < 1e300; x *= 1.9) assert_true(fabs(sample_log(x) - log(x)) <= 4e-16 * fabs(log(x)));
    assert_true(sample_exp(-1e308) == 0 && sample_exp(-INFINITY) == 0 && sample_exp(0) == 1 && sample_log(1) == 0);
    const float logits[4] = { 1000, 999, 1000, -1000 };
    sample_logprob top[4];
    size_t got;
    assert_int_equal(sample_top_logprobs(logits, 4, 3, top, &got, NULL), TOLA_OK);
    assert_int_equal(got, 3);
    assert_true(top[0].id == 0 && top[1].id == 2 && top[2].id == 1);
    double log_sum = 1000 + log(2 + exp(-1));
    assert_true(fabs(top[2].logprob - (999 - log_sum)) < 1e-12 && fabs(sample_log_sum_exp(logits, 4) - log_sum) < 1e-9);
    assert_int_equal(sample_top_logprobs(logits, 4, 9, top, &got, NULL), TOLA_OK);
    assert_int_equal(got, 4);
    assert_true(top[3].id == 3);
}

static void test_large(void **state) {
    (void)state;
    enum { VOCAB = 130000 };
    float *logits = mem_alloc(VOCAB * sizeof *logits);
    assert_non_null(logits);
    for (uint32_t i = 0; i < VOCAB; i++) logits[i] = (float)(sample_uniform(7, i) * 20 - 10);
    tola_sampling o = OFF;
    static const uint32_t ks[] = { 1, 2, 127, 128, 129, 5000 };
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        o.top_k = ks[i];
        sampler *s;
        const sample_candidate *c;
        size_t n;
        assert_int_equal(sampler_create(&o, VOCAB, &s, NULL), TOLA_OK);
        assert_int_equal(sampler_distribution(s, &(sample_input){ logits, NULL, 0, NULL, 0 }, &c, &n, NULL), TOLA_OK);
        assert_int_equal(n, ks[i]);
        float least = logits[c[n - 1].id];
        size_t above = 0;
        for (uint32_t j = 0; j < VOCAB; j++) above += logits[j] > least;
        assert_true(above <= n - 1);
        for (size_t j = 1; j < n; j++) assert_true(logits[c[j - 1].id] >= logits[c[j].id]);
        sampler_free(s);
    }
    mem_free(logits);
}

static void test_faults(void **state) {
    (void)state;
    for (uint64_t n = 0; n < 8; n++) {
        sampler *s = NULL;
        fault_arm(FAULT_ALLOC, n, true);
        tola_status status = sampler_create(NULL, 10, &s, NULL);
        fault_disarm();
        assert_int_equal(status, TOLA_E_NOMEM);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters), cmocka_unit_test(test_penalties), cmocka_unit_test(test_bias_and_mask),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_draws),     cmocka_unit_test(test_math),
        cmocka_unit_test(test_large),   cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
