/* Weights that were made and kept in a file: found again, and not when the model or the file changed. */
#include "unit.h"

#include "models/made.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { BLOCKS = 3 };
static const uint64_t sizes[BLOCKS] = { 5, 33554432, 130 };

static char folder[300], model[400], cache[400];

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s", unit_folder());
    snprintf(model, sizeof model, "%s/model.safetensors", folder);
    snprintf(cache, sizeof cache, "%s/a/b", folder);
    static const char one[] = "\x35\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    unit_write(model, one, 8 + 53 + 1);
    char parent[320];
    snprintf(parent, sizeof parent, "%s/a", folder);
    if (mkdir(parent, 0700) != 0) abort();
    return setenv("TOLA_CACHE", cache, 1);
}

static int tear_down(void **state) {
    (void)state;
    unit_remove(folder);
    return unsetenv("TOLA_CACHE");
}

static tola_checkpoint *open_model(void) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck;
    if (tola_checkpoint_open(model, NULL, &ck, &err) != TOLA_OK) fail_msg("%s", err.message);
    return ck;
}

/* Takes all blocks, made from tensors `first` and on, fills those that are not ready, keeps them; how many were ready.
 */
static int take_from(size_t first, uint8_t seed) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck = open_model();
    made_blocks *m;
    int count = 0;
    assert_int_equal(made_open(ck, &m, &err), TOLA_OK);
    for (int i = 0; i < BLOCKS; i++) {
        bool ready;
        uint8_t *data = made_take(m, first + (size_t)i, sizes[i], &ready, &err);
        assert_non_null(data);
        assert_int_equal((uintptr_t)data % 64, 0);
        if (!ready) memset(data, seed + i, sizes[i]);
        count += ready;
        assert_int_equal(data[0], (uint8_t)(seed + i));
        assert_int_equal(data[sizes[i] - 1], (uint8_t)(seed + i));
    }
    assert_true((made_bytes(m) == 0) == (count == BLOCKS));
    made_keep(m);
    made_free(m);
    tola_checkpoint_close(ck);
    return count;
}

static int take_all(uint8_t seed) { return take_from(0, seed); }

static void kept_file(char *path, size_t cap) {
    char command[1000];
    snprintf(command, sizeof command, "ls -d '%s'/*.weights", cache);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(path, (int)cap, p));
    path[strcspn(path, "\n")] = '\0';
    pclose(p);
}

static void test_kept(void **state) {
    (void)state;
    assert_int_equal(take_all(1), 0);
    assert_int_equal(take_all(1), BLOCKS);
}

static void test_changed_model(void **state) {
    (void)state;
    assert_int_equal(take_all(1), 0);
    static const char other[] = "\x35\0\0\0\0\0\0\0{\"v\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    unit_write(model, other, 8 + 53 + 1);
    const struct timespec times[2] = { { 1000, 0 }, { 1000, 5 } };
    assert_int_equal(utimensat(AT_FDCWD, model, times, 0), 0);
    assert_int_equal(take_all(7), 0);
}

/* Blocks of other tensors are not taken for these, however alike in size. */
static void test_other_tensors(void **state) {
    (void)state;
    assert_int_equal(take_from(0, 1), 0);
    assert_int_equal(take_from(1, 9), 0);
    assert_int_equal(take_from(1, 9), BLOCKS);
}

/* A configuration that says how tensors are to be decoded has changed. */
static void test_changed_configuration(void **state) {
    (void)state;
    char path[400];
    static const char *const names[] = { "config.json", "quantize_config.json" };
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(take_all(1), 0);
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unit_write(path, "{}", 2);
    }
    assert_int_equal(take_all(1), 0);
    assert_int_equal(take_all(1), BLOCKS);
}

static void test_open_to_all(void **state) {
    (void)state;
    assert_int_equal(take_all(1), 0);
    assert_int_equal(chmod(cache, 0777), 0);
    assert_int_equal(take_all(2), 0);
    assert_int_equal(chmod(cache, 0700), 0);
    assert_int_equal(take_all(1), BLOCKS);
}

static void test_damage(void **state) {
    (void)state;
    char path[800];
    assert_int_equal(take_all(1), 0);
    kept_file(path, sizeof path);
    static const long places[] = { 3, 17, 25, 33, 70, 200, 33554432 };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        fseek(f, places[i], SEEK_SET);
        int c = fgetc(f);
        fseek(f, places[i], SEEK_SET);
        fputc(c ^ 0x40, f);
        fclose(f);
        assert_int_equal(take_all(1), 0); /* made again, and the file is whole again */
        assert_int_equal(take_all(1), BLOCKS);
    }
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(take_all(1), 0);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(take_all(1), 0);
}

static void test_off(void **state) {
    (void)state;
    setenv("TOLA_CACHE", "off", 1);
    assert_int_equal(take_all(1), 0);
    assert_int_equal(take_all(2), 0);
    setenv("TOLA_CACHE", "/nowhere/at/all", 1);
    assert_int_equal(take_all(1), 0);
    assert_int_equal(take_all(2), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_tensors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed_configuration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_to_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_off, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
