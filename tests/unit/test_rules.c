/* Conditions of rules in three-valued logic; compute, lineage and openness over facts. */
#include "unit.h"

#include <math.h>

#include "policy/comply.h"
#include "policy/data.h"

#define HEAD                                                                                                           \
    "{title: t, jurisdiction: j, version: '1', as_of: '2026-01-01', values: {few: 10}, lists: {union: [DE, FR]}, "

/* The answer of one rule whose condition is `when`. */
static tola_answer ask(const char *facts_text, const char *when, const char **missing) {
    char rules[1000];
    snprintf(rules, sizeof rules, HEAD "rules: [{id: x.y, kind: status, title: t, article: a, when: \"%s\"}]}", when);
    tola_compliance *c;
    tola_error err = TOLA_ERROR_INIT;
    static char key[100];
    if (comply_of_text(facts_text, strlen(facts_text), rules, strlen(rules), "2026-06-01", &c, &err) != TOLA_OK)
        fail_msg("%s: %s", when, err.message);
    assert_int_equal(c->n_conclusions, 1);
    tola_answer answer = c->conclusions[0].verdict;
    snprintf(key, sizeof key, "%s", c->conclusions[0].n_missing ? c->conclusions[0].missing[0] : "");
    if (missing) *missing = key;
    tola_compliance_free(c);
    return answer;
}

static void test_logic(void **state) {
    (void)state;
    static const char *const facts_text = "model: {parameters: 7B, general_purpose: true, release_date: 2025-01-01}\n"
                                          "licence: {monetised: false, restrictions: none}\nprovider: {country: de}\n";
    static const struct {
        const char *when;
        tola_answer want;
    } rows[] = {
        { "true", TOLA_ANSWER_YES },
        { "not true", TOLA_ANSWER_NO },
        { "not not true", TOLA_ANSWER_YES },
        { "model.general_purpose and not licence.monetised", TOLA_ANSWER_YES },
        { "model.parameters > few", TOLA_ANSWER_YES },
        { "model.parameters > 7e9", TOLA_ANSWER_NO },
        { "model.parameters >= 7e9", TOLA_ANSWER_YES },
        { "model.parameters == 7e9", TOLA_ANSWER_YES },
        { "model.parameters != 7e9", TOLA_ANSWER_NO },
        { "model.parameters * 6 / 2 - 1e9 + 1 > 2e10", TOLA_ANSWER_YES },
        { "max(model.parameters, 8e9) == 8e9", TOLA_ANSWER_YES },
        { "max(model.active_parameters, 8e9) == 8e9", TOLA_ANSWER_UNKNOWN },
        { "training.tokens > 1", TOLA_ANSWER_UNKNOWN },
        { "not training.tokens > 1", TOLA_ANSWER_UNKNOWN },
        { "training.tokens > 1 or true", TOLA_ANSWER_YES },
        { "training.tokens > 1 or false", TOLA_ANSWER_UNKNOWN },
        { "training.tokens > 1 and false", TOLA_ANSWER_NO },
        { "training.tokens > 1 and true", TOLA_ANSWER_UNKNOWN },
        { "known(training.tokens)", TOLA_ANSWER_NO },
        { "known(model.parameters)", TOLA_ANSWER_YES },
        { "given(model.design)", TOLA_ANSWER_UNKNOWN },
        { "given(licence.restrictions)", TOLA_ANSWER_NO },
        { "given(provider.country)", TOLA_ANSWER_YES },
        { "provider.country in union", TOLA_ANSWER_YES },
        { "provider.contact in union", TOLA_ANSWER_UNKNOWN },
        { "provider.country == 'FR'", TOLA_ANSWER_NO },
        { "model.release_date < 2025-08-02", TOLA_ANSWER_YES },
        { "model.release_date + 300 < 2025-08-02", TOLA_ANSWER_NO },
        { "on_date - model.release_date == 516", TOLA_ANSWER_YES },
        { "model.release_date + 1e9 < 2025-08-02", TOLA_ANSWER_UNKNOWN },
        { "1 / 0 > 1", TOLA_ANSWER_UNKNOWN },
        { "true or false and false", TOLA_ANSWER_YES },
        { "(true or false) and false", TOLA_ANSWER_NO },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ask(facts_text, rows[i].when, NULL) != rows[i].want) fail_msg("%s", rows[i].when);
    const char *missing;
    assert_int_equal(ask(facts_text, "training.tokens > 1 and model.parameters > 1", &missing), TOLA_ANSWER_UNKNOWN);
    assert_string_equal(missing, "training.tokens");
    ask(facts_text, "training.tokens > 1 or true", &missing);
    assert_string_equal(missing, "");
}

static void assert_refused(const char *when, const char *message) {
    char rules[6000];
    snprintf(rules, sizeof rules, HEAD "rules: [{id: x.y, kind: status, title: t, article: a, when: \"%s\"}]}", when);
    tola_compliance *c;
    tola_error err = TOLA_ERROR_INIT;
    if (comply_of_text("", 0, rules, strlen(rules), NULL, &c, &err) == TOLA_OK) fail_msg("%s is accepted", when);
    if (!strstr(err.message, message)) fail_msg("%s: \"%s\"", when, err.message);
}

static void test_refused(void **state) {
    (void)state;
    assert_refused("model.parametrs > 1", "unknown input 'model.parametrs'; did you mean 'model.parameters'?");
    assert_refused("model.parameters >", "a name is wanted");
    assert_refused("(true", "')' is wanted");
    assert_refused("true true", "the condition should end");
    assert_refused("1 and true", "yes or no is wanted");
    assert_refused("1 == 'a'", "different kinds");
    assert_refused("provider.country in nowhere", "unknown input 'nowhere'");
    assert_refused("'abc", "a text does not end");
    char deep[2100] = "";
    for (int i = 0; i < 1000; i++) strcat(deep, "(");
    assert_refused(deep, "too many parentheses");
}

static tola_compliance *comply(const char *text) {
    tola_compliance *c;
    tola_error err = TOLA_ERROR_INIT;
    if (comply_of_text(text, strlen(text), NULL, 0, "2026-11-22", &c, &err) != TOLA_OK) fail_msg("%s", err.message);
    return c;
}

static const tola_conclusion *of(const tola_compliance *c, const char *id) {
    for (size_t i = 0; i < c->n_conclusions; i++)
        if (strcmp(c->conclusions[i].id, id) == 0) return &c->conclusions[i];
    fail_msg("no rule %s", id);
    return NULL;
}

static bool finds(const tola_compliance *c, const char *kind, const char *part) {
    for (size_t i = 0; i < c->n_findings; i++)
        if (strcmp(c->findings[i].kind, kind) == 0 && strstr(c->findings[i].what, part)) return true;
    return false;
}

static void test_compute(void **state) {
    (void)state;
    tola_compliance *c = comply("model: {parameters: 671B, active_parameters: 37B}\ntraining: {tokens: 14.8T, "
                                "price_per_device_hour_usd: 2, hardware: [{device_hours: 2.664M, peak_tflops: 989, "
                                "utilisation: 0.35}]}");
    assert_int_equal(c->n_estimates, 2);
    assert_true(fabs(c->flop_low / (6 * 37e9 * 14.8e12) - 1) < 1e-9 && c->flop_low == c->flop_high && c->flop_estimate);
    assert_true(fabs(c->estimates[1].flop / (2.664e6 * 3600 * 989e12 * 0.35) - 1) < 1e-9);
    assert_true(fabs(c->cost_usd - 5328000) < 1);
    assert_false(finds(c, "contradiction", "factor"));
    tola_compliance_free(c);
    c = comply("model: {parameters: 7B}\ntraining: {tokens: 1T, compute_flop: 2e26}"); /* 4.2e22 against 2e26 */
    assert_true(c->flop_low < 1e23 && c->flop_high > 1e25);
    assert_true(finds(c, "contradiction", "more than 3"));
    assert_int_equal(of(c, "eu.systemic-risk")->verdict, TOLA_ANSWER_UNKNOWN);
    assert_int_equal(of(c, "ca.frontier-model")->verdict, TOLA_ANSWER_UNKNOWN);
    tola_compliance_free(c);
    c = comply("training: {compute_flop: 9e22, synthetic_compute_flop: 2e22}");
    assert_true(c->flop_low > 1e23); /* synthetic data counts */
    tola_compliance_free(c);
    c = comply("model: {parameters: 7B, active_parameters: 8B}\ntraining: {unique_tokens: 1T, epochs: 2, tokens: 3T}");
    assert_true(finds(c, "contradiction", "more parameters are active"));
    assert_true(finds(c, "contradiction", "unique_tokens x epochs"));
    tola_compliance_free(c);
}

static void test_own_base(void **state) {
    (void)state;
    tola_compliance *c = comply("bases: [{name: a, relation: finetune, own: true, compute_flop: 9e24}]\n"
                                "finetuning: {compute_flop: 2e24}");
    assert_true(fabs(c->flop_low - 1.1e25) < 1e20);
    assert_int_equal(of(c, "eu.modifier")->verdict, TOLA_ANSWER_NOT_ASKED);
    tola_compliance_free(c);
    c = comply("bases: [{name: a, relation: quantize, compute_flop: 9e25, licence: mit}]");
    assert_int_equal(of(c, "eu.modifier")->verdict, TOLA_ANSWER_NO);
    assert_int_equal(of(c, "eu.provider")->verdict, TOLA_ANSWER_NO);
    tola_compliance_free(c);
}

static void test_lineage(void **state) {
    (void)state;
    tola_compliance *c =
        comply("model: {name: Llama-x}\nlicence: {id: llama3.1, notices: [LICENSE, Notice.txt], "
               "attribution: Built with Llama}\nbases: [{name: m/L, relation: finetune, licence: llama3.1}]");
    assert_false(finds(c, "contradiction", ""));
    assert_false(finds(c, "missing", ""));
    tola_compliance_free(c);
    c = comply("licence: {id: mit, notices: [LICENSE]}\nbases: [{name: a, relation: quantize, licence: apache-2.0}]");
    assert_false(finds(c, "contradiction", ""));
    assert_false(finds(c, "missing", ""));
    tola_compliance_free(c);
    c = comply("licence: {id: gpl-3.0, notices: [LICENSE]}\nbases: [{name: a, relation: merge, licence: mpl-2.0}, "
               "{name: b, relation: merge, licence: lgpl-3.0}, {name: c, relation: merge, licence: mit}]");
    assert_false(finds(c, "contradiction", ""));
    tola_compliance_free(c);
    c = comply("licence: {id: gpl-2.0, notices: [LICENSE]}\nbases: [{name: a, relation: merge, licence: gpl-2.0}, "
               "{name: b, relation: merge, licence: apache-2.0}]");
    assert_true(finds(c, "contradiction", "the terms of both cannot hold"));
    tola_compliance_free(c);
    c = comply("model: {eu_placed: true, inputs: [{modality: text}, {modality: image}]}\nlicence: {id: llama4}");
    assert_true(finds(c, "contradiction", "gives no rights on multimodal models"));
    tola_compliance_free(c);
    c = comply("licence: {id: mit}\nbases: [{name: t, relation: distil, licence: llama3}]");
    assert_true(finds(c, "contradiction", "forbids to improve other models"));
    tola_compliance_free(c);
    c = comply("distribution: {monthly_users: 800M, commercial: true}\nlicence: {id: llama3.3}");
    assert_true(finds(c, "contradiction", "monthly users"));
    tola_compliance_free(c);
}

/* All of data/licences.yaml can be read, and the carried rules know every name that they use: the answers exist. */
static void test_carried(void **state) {
    (void)state;
    yaml *y;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(data_open("licences.yaml", &y, &err), TOLA_OK);
    const yaml_node *list = yaml_get(yaml_root(y), "licences");
    for (size_t i = 0; i < list->count; i++) {
        licence_terms t;
        bool found;
        const yaml_node *id = yaml_get(list->items[i], "id");
        if (lineage_terms(y, id->text, &t, &found, &err) != TOLA_OK) fail_msg("%s", err.message);
        assert_true(found);
        assert_string_equal(t.id, id->text); /* no other row has it as a name */
        assert_true(strcmp(t.commercial, "yes") == 0 || strcmp(t.commercial, "no") == 0 ||
                    !strcmp(t.commercial, "limited"));
        assert_true(!t.free || strcmp(t.commercial, "yes") == 0);
    }
    yaml_free(y);
    tola_compliance *c = comply("");
    assert_true(c->n_conclusions > 40 && c->n_missing > 3 && !c->clean);
    tola_compliance_free(c);
    tola_compliance_free(NULL);
}

/* Every allocation fails once in turn: a status, no crash, nothing leaked. */
static void test_memory(void **state) {
    (void)state;
    static const char text[] =
        "model: {name: m, parameters: 7B, outputs: [{modality: text}]}\nlicence: {id: apache-2.0}\n"
        "bases: [{name: b, relation: finetune, licence: llama3.1, compute_flop: 1e24}]\n"
        "finetuning: {tokens: 1B, compute_flop: 1e22, hardware: [{device: h100, device_hours: 10, "
        "precision: bf16, utilisation: 0.4, price_per_hour_usd: 2}]}\n"
        "release: {components: [{component: parameters, present: true}]}\n";
    const char *rules = HEAD "rules: [{id: x.y, kind: duty, title: t, article: a, when: 'compute.flop > few', met: "
                             "'given(model.design)', yes: 'of {compute.flop}'}]}";
    bool done = false;
    for (uint64_t n = 0; !done && n < 20000; n++) {
        tola_compliance *c = NULL;
        tola_error err = TOLA_ERROR_INIT;
        fault_arm(FAULT_ALLOC, n, false);
        tola_status status = comply_of_text(text, strlen(text), rules, strlen(rules), NULL, &c, &err);
        uint64_t seen = fault_count(FAULT_ALLOC);
        fault_disarm();
        done = seen <= n;
        if (done) assert_int_equal(status, TOLA_OK);
        if (status == TOLA_OK) tola_compliance_free(c);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logic),    cmocka_unit_test(test_refused), cmocka_unit_test(test_compute),
        cmocka_unit_test(test_own_base), cmocka_unit_test(test_lineage), cmocka_unit_test(test_carried),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
