/* The log of a run, read back as series. */
#include "unit.h"

#include <math.h>

static tola_learn_log *log_of(const char *text, tola_status want, const char *message) {
    tola_learn_log *log = NULL;
    tola_error err = TOLA_ERROR_INIT;
    unit_write(unit_path("log.jsonl"), text, strlen(text));
    tola_status status = tola_learn_log_open(unit_here(), &log, &err);
    if (status != want || !strstr(err.message, message)) fail_msg("%d %s", status, err.message);
    return log;
}

static void test_series(void **state) {
    (void)state;
    tola_learn_log *log = log_of("{\"step\": 1, \"loss\": 2.5, \"lr\": 0.1, \"note\": \"x\"}\n"
                                 "{\"step\": 1, \"validation\": {\"loss\": 3, \"accuracy\": 0.5}}\n"
                                 "{\"step\": 2, \"loss\": null, \"lr\": 0.2}\n"
                                 "{\"step\": 1, \"lr\": 9}\n{\"step\": 3, \"lo",
                                 TOLA_OK, "");
    static const char *const names[] = { "loss", "lr", "validation.loss", "validation.accuracy" };
    static const size_t counts[] = { 2, 2, 1, 1 };
    tola_learn_series s;
    assert_int_equal(tola_learn_log_count(log), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(tola_learn_log_get(log, i, &s));
        assert_string_equal(s.name, names[i]);
        assert_int_equal(s.count, counts[i]);
        assert_true(s.steps[0] == 1);
    }
    tola_learn_log_get(log, 0, &s);
    assert_true(s.values[0] == 2.5 && isnan(s.values[1]) && s.steps[1] == 2);
    assert_false(tola_learn_log_get(log, 4, &s));
    tola_learn_log_close(log);
    tola_learn_log_close(NULL);
}

static void test_refused(void **state) {
    (void)state;
    tola_learn_log *log;
    tola_error err = TOLA_ERROR_INIT;
    log_of("{\"step\": 1, \"lo\n{\"step\": 2, \"loss\": 1}\n", TOLA_E_FORMAT, "log.jsonl: line 1: ");
    log_of("{\"loss\": 1}\n{\"step\": 2, \"loss\": 1}\n", TOLA_E_FORMAT, "log.jsonl: line 1: there is no step");
    log_of("", TOLA_E_FORMAT, "log.jsonl: there is no line");
    assert_int_equal(tola_learn_log_open("/no such folder", &log, &err), TOLA_E_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_series, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_refused, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
