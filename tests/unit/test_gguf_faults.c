/* GGUF when something fails: every allocation, read and write in turn. A clear status, no leak, no file left. */
#include "unit.h"

#include <dirent.h>

#include "base/mem.h"
#include "gguf_build.h"

static const uint64_t shape[] = { 3, 64 };
static const tola_tensor_spec specs[] = {
    { "a", shape, 2, TOLA_DTYPE_F32, 0 },
    { "b", shape, 2, TOLA_DTYPE_Q4_0, 0 },
    { "c", shape, 2, TOLA_DTYPE_BF16, 0 },
};

static file *sample(bool big) {
    file *f = fresh();
    uint64_t dims[2] = { 64, 3 };
    f->big = big;
    begin(f, 2, VALUES);
    put_values(f);
    tensor(f, "a", 2, dims, 0, 0);
    tensor(f, "b", 2, dims, 2, 768);
    pad(f, 32);
    payload(f, 768 + 128);
    return f;
}

static tola_status read_all(tola_checkpoint *ck, tola_error *err) {
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck); i++) {
        tola_view view;
        tola_status status = tola_checkpoint_acquire(ck, i, &view, err);
        if (status != TOLA_OK) return status;
        tola_view_release(&view);
    }
    return TOLA_OK;
}

static void check_failure(fault_kind kind, tola_status status, const tola_error *err) {
    assert_int_equal(status, err->status);
    assert_int_equal(status, kind == FAULT_ALLOC ? TOLA_E_NOMEM : TOLA_E_IO);
    assert_true(err->message[0] != 0);
}

/* Fails operation 0, 1, 2, ... until a run passes without meeting the failure. */
static void each(fault_kind kind, tola_status (*job)(void *, tola_error *), void *context) {
    for (uint64_t n = 0;; n++) {
        tola_error err = TOLA_ERROR_INIT;
        fault_arm(kind, n, false);
        tola_status status = job(context, &err);
        bool met = fault_count(kind) > n;
        fault_disarm();
        if (!met) {
            assert_int_equal(status, TOLA_OK);
            assert_true(n > 0);
            return;
        }
        if (status != TOLA_OK) check_failure(kind, status, &err);
    }
}

static tola_status open_memory(void *context, tola_error *err) {
    const file *f = context;
    tola_checkpoint *ck;
    tola_status status = tola_checkpoint_open_memory("t.gguf", f->data, f->length, &ck, err);
    if (status != TOLA_OK) return status;
    status = read_all(ck, err);
    tola_checkpoint_close(ck);
    return status;
}

static void test_reading(void **state) {
    (void)state;
    for (int big = 0; big <= 1; big++) {
        file *f = sample(big);
        each(FAULT_ALLOC, open_memory, f);
        each(FAULT_READ, open_memory, f);
        free(f);
    }
}

static tola_status write_split(void *context, tola_error *err) {
    char path[300];
    static uint8_t data[768];
    tola_writer *w;
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    options.max_shard_size = 800;
    options.overwrite = true;
    snprintf(path, sizeof path, "%s/m.gguf", (const char *)context);
    tola_status status = tola_writer_open(path, specs, 3, &options, &w, err);
    if (status != TOLA_OK) return status;
    static const size_t bytes[] = { 768, 108, 384 };
    for (size_t i = 0; i < 3 && status == TOLA_OK; i++) status = tola_writer_write(w, i, 0, data, bytes[i], err);
    if (status == TOLA_OK) return tola_writer_finish(w, err);
    tola_writer_abort(w);
    return status;
}

static int count_hidden(const char *folder) {
    DIR *dir = opendir(folder);
    int n = 0;
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] == '.' && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static tola_status open_split(void *context, tola_error *err) {
    char path[300];
    tola_checkpoint *ck;
    snprintf(path, sizeof path, "%s/m-00002-of-00002.gguf", (const char *)context);
    tola_status status = tola_checkpoint_open(path, NULL, &ck, err);
    if (status != TOLA_OK) return status;
    status = read_all(ck, err);
    tola_checkpoint_close(ck);
    return status;
}

static void test_files(void **state) {
    (void)state;
    const char *folder = unit_folder();
    each(FAULT_ALLOC, write_split, (void *)(uintptr_t)folder);
    each(FAULT_WRITE, write_split, (void *)(uintptr_t)folder);
    assert_int_equal(count_hidden(folder), 0);
    each(FAULT_ALLOC, open_split, (void *)(uintptr_t)folder);
    each(FAULT_READ, open_split, (void *)(uintptr_t)folder);
    unit_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
