/* Limits of the machine, and the loops that find them. */
#include "unit.h"

#include "kernels/peak/peak.h"

static void test_peaks(void **state) {
    (void)state;
    assert_non_null(peak_loop_get(PEAK_F32));
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        const peak_loop *loop = peak_loop_get((peak_kind)kind);
        if (!loop) continue;
        assert_true(loop->operations > 0);
        loop->run(3);
    }
    /* every pattern reads every byte once */
    const size_t bytes = (size_t)32 * PEAK_LINE;
    uint64_t *words = aligned_alloc(64, bytes + 8192), expected = 0;
    assert_non_null(words);
    for (size_t i = 0; i < bytes / 8; i++) expected += words[i] = i * 0x9e3779b97f4a7c15u;
    memset(words + bytes / 8, 0xff, 8192); /* may be asked for, is not read */
    for (unsigned pattern = 0; pattern < PEAK_PATTERNS; pattern++)
        assert_true(peak_read(pattern, words, bytes) == expected);
    free(words);
}

static void test_machine(void **state) {
    (void)state;
    tola_machine *m;
    double found[TOLA_LIMIT_COUNT];
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_machine_open(0, &m, &err), TOLA_OK);
    for (unsigned threads = 1; threads <= 3; threads++) {
        assert_int_equal(tola_machine_measure(m, threads, found, &err), TOLA_OK);
        assert_true(found[TOLA_LIMIT_READ] > 0 && found[TOLA_LIMIT_F32] > 0);
        assert_true(found[TOLA_LIMIT_READ_PLAIN] > 0 && found[TOLA_LIMIT_READ_PLAIN] <= found[TOLA_LIMIT_READ]);
    }
    tola_machine_close(m);
    tola_machine_close(NULL);
    assert_string_equal(tola_limit_name(TOLA_LIMIT_INT8_TILES), "int8_tiles");
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_peaks), cmocka_unit_test(test_machine) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
