/* Whole runs: every allocation and every write fails in turn; each time one message, no leak (the sanitizers watch),
 * and what a run has kept before is whole. */
#include "base/mem.h"
#include "learn/learn.h"
#include "unit.h"

static char recipes[2][600];

static void make_files(void) {
    char text[4000] = "", table[4000] = "a,b,kind\n";
    for (int i = 0; i < 60; i++) {
        snprintf(table + strlen(table), sizeof table - strlen(table), "%d,%d,%s\n", i, i * i % 7,
                 i % 2 ? "odd" : "even");
        strcat(text, "aab abba ");
    }
    unit_write(unit_path("table.csv"), table, strlen(table));
    unit_write(unit_path("text.txt"), text, strlen(text));
    static const char *const texts[] = {
        "data: {train: table.csv, validation: 8}\n"
        "model: {layers: [dense 5, relu, dropout 0.1]}\n"
        "training: {steps: 3, batch: 8, accumulate: 2}\n"
        "optimizer: {method: adamw8, clip: 1}\nsave: {every: 1, keep: 1}\n",
        "data: {train: text.txt, validation: 0.1}\ntokenizer: {vocabulary: 260}\n"
        "model: {architecture: gpt2, width: 8, layers: 1, heads: 2, context: 8}\n"
        "training: {steps: 2, batch: 2, recompute: true}\nsave: {every: 1}\n",
    };
    for (int i = 0; i < 2; i++) {
        snprintf(recipes[i], sizeof recipes[i], "%s", unit_path(i ? "text.yaml" : "table.yaml"));
        unit_write(recipes[i], texts[i], strlen(texts[i]));
    }
}

static void *read_all(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    void *data = malloc(1 << 20);
    *bytes = fread(data, 1, 1 << 20, f);
    fclose(f);
    return data;
}

static tola_status train(const char *recipe, bool resume, tola_learn_result *result, tola_error *err) {
    char out[700];
    tola_train_options o = TOLA_TRAIN_OPTIONS_INIT;
    snprintf(out, sizeof out, "%s.out", recipe);
    o.out = out;
    o.threads = 1;
    o.resume = resume;
    o.overwrite = !resume;
    *err = (tola_error)TOLA_ERROR_INIT;
    return tola_train(recipe, &o, NULL, result, err);
}

/* The n-th fails, for every n until nothing fails; `step` leaves some out. */
static void torture(const char *recipe, fault_kind kind, uint64_t step, bool resume) {
    for (uint64_t n = 0;; n += step) {
        tola_learn_result result;
        tola_error err;
        fault_arm(kind, n, false);
        tola_status status = train(recipe, resume, &result, &err);
        uint64_t seen = fault_count(kind);
        fault_disarm();
        if (seen <= n) {
            if (status != TOLA_OK) fail_msg("%s: %s", recipe, err.message);
            break;
        }
        if (status == TOLA_OK) continue; /* what failed was only to make it faster */
        if (kind == FAULT_ALLOC && status != TOLA_E_NOMEM && !strstr(err.message, "memory"))
            fail_msg("fault %d: %s", (int)n, err.message);
        assert_true(err.message[0] != '\0');
    }
}

static void test_allocations(void **state) {
    (void)state;
    make_files();
    torture(recipes[0], FAULT_ALLOC, 3, false);
    torture(recipes[1], FAULT_ALLOC, 11, false);
}

static void test_reads_and_writes(void **state) {
    (void)state;
    make_files();
    for (int i = 0; i < 2; i++) {
        torture(recipes[i], FAULT_WRITE, i ? 5 : 2, false);
        torture(recipes[i], FAULT_READ, 3, false);
    }
}

/* A run that could not write goes on to the weights of one that could. */
static void test_full_disk(void **state) {
    (void)state;
    char out[700];
    size_t bytes, again;
    tola_learn_result result;
    tola_error err;
    make_files();
    assert_int_equal(train(recipes[0], false, &result, &err), TOLA_OK);
    snprintf(out, sizeof out, "%s.out/model.safetensors", recipes[0]);
    void *whole = read_all(out, &bytes);
    fault_arm(FAULT_WRITE, 15, true);
    tola_status status = train(recipes[0], false, &result, &err);
    fault_disarm();
    assert_int_equal(status, TOLA_E_IO);
    assert_int_equal(train(recipes[0], true, &result, &err), TOLA_OK);
    void *resumed = read_all(out, &again);
    assert_int_equal(bytes, again);
    assert_memory_equal(whole, resumed, bytes);
    free(whole);
    free(resumed);
}

static bool stop_at_two(void *user, const tola_learn_event *event) {
    (void)user;
    return event->kind != TOLA_LEARN_STEP || event->step < 2;
}

static void test_asked_to_stop(void **state) {
    (void)state;
    char out[700];
    tola_learn_result result;
    tola_error err;
    tola_train_summary summary;
    make_files();
    tola_train_options o = TOLA_TRAIN_OPTIONS_INIT;
    snprintf(out, sizeof out, "%s.out", recipes[0]);
    o.out = out;
    o.event = stop_at_two;
    assert_int_equal(tola_train(recipes[0], &o, &summary, &result, &err), TOLA_OK);
    assert_true(result.stopped && result.steps == 2);
    assert_true(summary.examples == 52 && summary.validation == 8 && summary.steps == 3 && !summary.tokens);
    assert_int_equal(train(recipes[0], true, &result, &err), TOLA_OK);
    assert_true(!result.stopped && result.steps == 3 && result.resumed_from == 2);
    o.out = NULL;
    assert_int_equal(tola_train(recipes[0], &o, &summary, &result, &err), TOLA_E_ARG);
    o.dry_run = true;
    assert_int_equal(tola_train(recipes[0], &o, &summary, &result, &err), TOLA_OK);
    assert_true(result.predicted.total > 0 && result.steps == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_allocations, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_reads_and_writes, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_asked_to_stop, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
