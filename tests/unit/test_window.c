/* Files that are mapped a window at a time, and what happens where they are cut short or changed meanwhile. */
#include "trust/feed.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES = 3 << 20 };

static char path[600];
static uint8_t block[FEED_BLOCK];

static void make_file(void) {
    uint8_t *data = malloc(BYTES);
    assert_non_null(data);
    for (size_t i = 0; i < BYTES; i++) data[i] = (uint8_t)(i % 251 + 1);
    strcpy(path, unit_path("weights"));
    unit_write(path, data, BYTES);
    free(data);
}

static manifest_stamp stamp_now(void) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return manifest_stamp_of(&st);
}

static void test_cut_short(void **state) {
    (void)state;
    make_file();
    source *s;
    window w;
    assert_int_equal(source_open_file(path, &s, NULL), TOLA_OK);
    window_guard_begin();
    assert_true(window_open(&w, s, 100, 2 << 20));
    assert_int_equal(w.data[0], 101);
    assert_true(window_close(&w));
    assert_true(window_open(&w, s, 0, 2 << 20));
    assert_int_equal(truncate(path, 5), 0);
    const volatile uint8_t *data = w.data;
    assert_int_equal(data[1 << 20], 0); /* a SIGBUS without the guard */
    assert_false(window_close(&w));
    window_guard_end();
    source_close(s);
}

static volatile sig_atomic_t other;
static void theirs(int number) {
    (void)number;
    other = 1;
}

/* The handler of the program gets what is not ours, during and after. */
static void test_handler(void **state) {
    (void)state;
    struct sigaction own = { .sa_handler = theirs }, now;
    sigaction(SIGBUS, &own, NULL);
    window_guard_begin();
    window_guard_begin();
    raise(SIGBUS);
    assert_int_equal(other, 1);
    window_guard_end();
    window_guard_end();
    sigaction(SIGBUS, NULL, &now);
    assert_ptr_equal(now.sa_handler, theirs);
    signal(SIGBUS, SIG_DFL);
}

static void feed_all(feed *f, tola_status wanted) {
    tola_status status;
    do status = feed_next(f, NULL);
    while (status == TOLA_OK && f->bytes > 0);
    assert_int_equal(status, wanted);
    feed_close(f);
}

static void test_changed(void **state) {
    (void)state;
    feed f;
    make_file();
    manifest_stamp stamp = stamp_now();
    assert_int_equal(feed_open(&f, path, &stamp, 7, BYTES - 7, block, NULL), TOLA_OK);
    feed_all(&f, TOLA_OK);
    assert_int_equal(feed_open(&f, path, &stamp, 7, BYTES, block, NULL), TOLA_E_IO); /* beyond the end */
    assert_int_equal(feed_open(&f, path, &stamp, 0, BYTES, block, NULL), TOLA_OK);
    const struct timespec old[2] = { { 1, 0 }, { 1, 0 } };
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    feed_all(&f, TOLA_E_IO);
    /* another file of the same size under that name */
    stamp = stamp_now();
    char moved[600];
    strcpy(moved, unit_path("moved"));
    assert_int_equal(rename(path, moved), 0);
    make_file();
    assert_int_equal(feed_open(&f, path, &stamp, 0, BYTES, block, NULL), TOLA_E_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("moved", path), 0);
    stamp.changed++;
    assert_int_equal(feed_open(&f, path, &stamp, 0, BYTES, block, NULL), TOLA_E_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cut_short, unit_set_up, unit_tear_down),
        cmocka_unit_test(test_handler),
        cmocka_unit_test_setup_teardown(test_changed, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
