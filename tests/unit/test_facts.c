/* facts.yaml by its table: keys, units, ranges, days, paths, the template. */
#include "unit.h"

#include <math.h>

#include "policy/facts.h"

static facts *parse(const char *text) {
    facts *f = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (facts_parse("facts.yaml", text, strlen(text), &f, &err) != TOLA_OK) fail_msg("%s: %s", text, err.message);
    return f;
}

static void assert_refused(const char *text, const char *message) {
    facts *f = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (facts_parse("facts.yaml", text, strlen(text), &f, &err) == TOLA_OK) fail_msg("%s is accepted", text);
    if (!strstr(err.message, message)) fail_msg("%s: \"%s\"", text, err.message);
    assert_null(f);
}

static void assert_number(const char *text, const char *path, double want) {
    facts *f = parse(text);
    double got = -1;
    assert_true(facts_number(f, path, &got));
    if (fabs(got - want) > fabs(want) * 1e-12) fail_msg("%s: %.17g, not %.17g", text, got, want);
    facts_free(f);
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text, *path;
        double want;
    } rows[] = {
        { "training: {tokens: 14.8T}", "training.tokens", 14.8e12 },
        { "training: {tokens: 14.8 T tokens}", "training.tokens", 14.8e12 },
        { "training: {tokens: 15 trillion}", "training.tokens", 15e12 },
        { "training: {tokens: 300_000}", "training.tokens", 300000 },
        { "training: {compute_flop: 3.8e25}", "training.compute_flop", 3.8e25 },
        { "training: {compute_flop: 3.8e25 FLOPs}", "training.compute_flop", 3.8e25 },
        { "training: {compute_flop: 1.5 YFLOP}", "training.compute_flop", 1.5e24 },
        { "training: {hardware: [{device_hours: 2.664M}]}", "training.hardware[0].device_hours", 2.664e6 },
        { "training: {hardware: [{hours: 54 days}]}", "training.hardware[0].hours", 1296 },
        { "training: {hardware: [{utilisation: 40%}]}", "training.hardware[0].utilisation", 0.4 },
        { "training: {hardware: [{peak_tflops: 1.979 PFLOP/s}]}", "training.hardware[0].peak_tflops", 1979 },
        { "training: {price_per_device_hour_usd: $2}", "training.price_per_device_hour_usd", 2 },
        { "provider: {annual_revenue_usd: 500M USD}", "provider.annual_revenue_usd", 500e6 },
        { "training: {energy_mwh: 1.2 GWh}", "training.energy_mwh", 1200 },
        { "data: [{size: 15TB}]", "data[0].size", 15e12 },
        { "data: [{size: 2GiB}]", "data[0].size", 2147483648.0 },
        { "model: {parameters: 405B}", "model.parameters", 405e9 },
        { "evaluation: [{value: -0.5}]", "evaluation[0].value", -0.5 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) assert_number(rows[i].text, rows[i].path, rows[i].want);
}

static void test_units_refused(void **state) {
    (void)state;
    assert_refused("training: {tokens: 14.8TB}", "'14.8TB' is given in bytes (TB), but this is a number of tokens");
    assert_refused("training: {hardware: [{hours: 300 GB}]}", "is given in bytes (GB), but this is a number of hours");
    assert_refused("data: [{size: 15T}]", "leaves open whether TB or TiB is meant");
    assert_refused("training: {compute_flop: 400 TFLOP/s}", "is given in TFLOP/s");
    assert_refused("training: {compute_flop: 400 parsec}", "'parsec' is no unit of FLOP");
    assert_refused("training: {cost_usd: 5M EUR}", "is given in EUR (EUR), but this is a number of USD");
    assert_refused("training: {tokens: -5}", "cannot be negative");
    assert_refused("training: {tokens: 1e30}", "is not in 0 .. 1e+17 tokens; is the unit right?");
    assert_refused("training: {tokens: .inf}", "no finite number");
    assert_refused("training: {tokens: 1e999}", "no finite number");
    assert_refused("training: {tokens: many}", "a number of tokens is wanted, not the text 'many'");
    assert_refused("training: {tokens: [1]}", "a number is wanted, not a list");
    assert_refused("training: {hardware: [{utilisation: 40}]}", "40 % is 0.4");
    assert_refused("training: {hardware: [{peak_tflops: 989e12}]}", "is the unit right?");
}

static void test_keys_refused(void **state) {
    (void)state;
    assert_refused("training:\n  tokns: 3", "facts.yaml: line 2, column 3: training: unknown key 'tokns'; did you mean "
                                            "'tokens'?");
    assert_refused("tokens: 3", "unknown key 'tokens'; did you mean 'training.tokens'?");
    assert_refused("license: {id: mit}", "did you mean 'licence'?");
    assert_refused("data: [{lisence: mit}]",
                   "line 1, column 9: data[0]: unknown key 'lisence'; did you mean 'licence'?");
    assert_refused("data: [{name: {x: 1}}]", "text is wanted");
    assert_refused("zzzzqqq: 1", "unknown key 'zzzzqqq'; tola comply --template lists all");
    assert_refused("'data[]': 1", "unknown key");
    assert_refused("'training.tokens': 1", "unknown key");
    assert_refused("training: 3", "a map is wanted, not the number 3");
    assert_refused("data: {name: x}", "a list is wanted, not a map");
    assert_refused("- 1", "a map is wanted");
    assert_refused("bases: [{relation: finetuned}]", "did you mean 'finetune'?");
    assert_refused("model: {release_date: 2024}", "a day as 2026-11-22 is wanted");
    assert_refused("model: {release_date: 2023-02-29}", "a day as");
    assert_refused("model: {release_date: 2023-2-9}", "a day as");
    assert_refused("licence: {monetised: maybe}", "true or false is wanted");
}

static void test_asking(void **state) {
    (void)state;
    facts *f =
        parse("model: {name: X, version: 3.1, languages: en, release_date: 2024-07-23, inputs: [{modality: text}]}\n"
              "licence: {monetised: no, free: true}\ndata: [{name: a}, {licence: mit, modality: [text, code]}]\n"
              "training:\n");
    bool yes;
    int32_t days;
    double number;
    char text[16];
    assert_string_equal(facts_text(f, "model.version"), "3.1");
    assert_string_equal(facts_text(f, "data[1].licence"), "mit");
    assert_string_equal(facts_text(f, "data[1].modality[1]"), "code");
    assert_string_equal(facts_text(f, "model.languages[0]"), "en");
    assert_string_equal(facts_text(f, "model.inputs[0].modality"), "text");
    assert_null(facts_text(f, "model.languages[1]"));
    assert_null(facts_text(f, "data[2].licence"));
    assert_null(facts_text(f, "data[0].licence"));
    assert_int_equal(facts_count(f, "data"), 2);
    assert_int_equal(facts_count(f, "model.languages"), 1);
    assert_int_equal(facts_count(f, "bases"), 0);
    assert_true(facts_bool(f, "licence.monetised", &yes) && !yes);
    assert_true(facts_bool(f, "licence.free", &yes) && yes);
    assert_false(facts_bool(f, "licence.usage_public", &yes));
    assert_false(facts_number(f, "training.tokens", &number));
    assert_true(facts_date(f, "model.release_date", &days));
    assert_int_equal(days, 19927);
    assert_string_equal(facts_date_text(days, text), "2024-07-23");
    facts_free(f);
    facts_free(parse(""));
    facts_free(NULL);
    for (int32_t day = -25567; day < 200000; day += 13) {
        int32_t again;
        assert_true(facts_parse_date(facts_date_text(day, text), &again));
        assert_int_equal(again, day);
    }
}

/* Every row is well-formed, and the template, with all its lists made real, is a file that reads as nothing known. */
static void test_template(void **state) {
    (void)state;
    for (const facts_row *r = facts_rows; r->path; r++) {
        assert_ptr_equal(facts_row_of(r->path), r);
        assert_true(r->help && r->help[0] && r->used && r->used[0]);
        assert_true((r->type == FACT_NUMBER) == (r->unit != NULL));
        assert_true((r->type == FACT_WORD) == (r->words != NULL));
    }
    buf b;
    buf_init(&b, 0);
    facts_template(&b);
    buf_u8(&b, 0);
    assert_false(b.failed);
    facts_free(parse((const char *)b.data));
    char *at = (char *)b.data; /* take the # of rows away: "    # - name: # text" */
    for (char *line = at; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char *hash = line + strspn(line, " ");
        if (hash > line && *hash == '#' && (hash[2] == '-' || hash[2] == ' ')) *hash = ' ';
    }
    facts *f = parse(at);
    assert_int_equal(facts_count(f, "data"), 1);
    assert_int_equal(facts_count(f, "training.hardware"), 1);
    facts_free(f);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_units_refused), cmocka_unit_test(test_keys_refused),
        cmocka_unit_test(test_asking),  cmocka_unit_test(test_template),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
