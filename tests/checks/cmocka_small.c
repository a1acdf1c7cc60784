/* The part of cmocka (https://cmocka.org) that the tests of kernels use, for machines where Debian's cmocka cannot be
 * linked: the cross-compiled run under qemu. The declarations are those of cmocka.h itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static jmp_buf test_end;
static int skipped;

void _fail(const char *const file, const int line) {
    printf("%s:%d: error: failure\n", file, line);
    longjmp(test_end, 1);
}

void _skip(const char *const file, const int line) {
    (void)file;
    (void)line;
    skipped = 1;
    longjmp(test_end, 1);
}

void print_message(const char *const format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

void print_error(const char *const format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

void cm_print_error(const char *const format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

void _assert_true(const LargestIntegralType result, const char *const expression, const char *const file,
                  const int line) {
    if (result) return;
    printf("%s\n", expression);
    _fail(file, line);
}

void _assert_int_equal(const LargestIntegralType a, const LargestIntegralType b, const char *const file,
                       const int line) {
    if (a == b) return;
    printf("%#jx != %#jx\n", (uintmax_t)a, (uintmax_t)b);
    _fail(file, line);
}

void _assert_int_not_equal(const LargestIntegralType a, const LargestIntegralType b, const char *const file,
                           const int line) {
    if (a == b) _fail(file, line);
}

void _assert_string_equal(const char *const a, const char *const b, const char *const file, const int line) {
    if (strcmp(a, b) == 0) return;
    printf("\"%s\" != \"%s\"\n", a, b);
    _fail(file, line);
}

void _assert_memory_equal(const void *const a, const void *const b, const size_t size, const char *const file,
                          const int line) {
    if (memcmp(a, b, size) != 0) _fail(file, line);
}

void _assert_in_range(const LargestIntegralType value, const LargestIntegralType low, const LargestIntegralType high,
                      const char *const file, const int line) {
    if (value < low || value > high) _fail(file, line);
}

int _cmocka_run_group_tests(const char *group_name, const struct CMUnitTest *const tests, const size_t num_tests,
                            CMFixtureFunction group_setup, CMFixtureFunction group_teardown) {
    volatile size_t failed = 0;
    void *state = NULL;
    printf("[==========] %s: Running %zu test(s).\n", group_name, num_tests);
    if (group_setup && group_setup(&state) != 0) abort();
    for (volatile size_t i = 0; i < num_tests; i++) {
        const struct CMUnitTest *test = &tests[i];
        void *own = test->initial_state ? test->initial_state : state;
        skipped = 0;
        if (setjmp(test_end) == 0) {
            if (test->setup_func && test->setup_func(&own) != 0) abort();
            test->test_func(&own);
            if (test->teardown_func && test->teardown_func(&own) != 0) abort();
            printf("[       OK ] %s\n", test->name);
        } else if (skipped) {
            printf("[  SKIPPED ] %s\n", test->name);
        } else {
            failed++;
            printf("[  FAILED  ] %s\n", test->name);
        }
    }
    if (group_teardown && group_teardown(&state) != 0) abort();
    printf("[==========] %s: %zu test(s) run.\n", group_name, num_tests);
    if (failed) printf("[  FAILED  ] %zu test(s), listed below:\n", failed);
    return (int)failed;
}
