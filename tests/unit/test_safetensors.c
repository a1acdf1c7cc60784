/* safetensors: what is read, what is refused and with which words, and that what we write reads back. */
#include "unit.h"

#include <dirent.h>

#include "base/mem.h"

/* A file in memory: length, header, payload. */
typedef struct image {
    uint8_t data[65536];
    size_t bytes;
} image;

static void image_make(image *m, const char *header, size_t payload) {
    uint64_t n = strlen(header);
    for (int i = 0; i < 8; i++) m->data[i] = (uint8_t)(n >> (8 * i));
    memcpy(m->data + 8, header, n);
    for (size_t i = 0; i < payload; i++) m->data[8 + n + i] = (uint8_t)i;
    m->bytes = 8 + n + payload;
}

static tola_status open_image(const image *m, tola_checkpoint **ck, tola_error *err) {
    return tola_checkpoint_open_memory("x.safetensors", m->data, m->bytes, ck, err);
}

static void refuses(const char *header, size_t payload, tola_status status, const char *message) {
    image *m = malloc(sizeof *m);
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    image_make(m, header, payload);
    assert_int_equal(open_image(m, &ck, &err), status);
    assert_null(ck);
    assert_string_equal(err.message, message);
    free(m);
}

static void test_reads(void **state) {
    (void)state;
    image *m = malloc(sizeof *m);
    image_make(m,
               "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]},"
               "\"a\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
               "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[8,8]},"
               "\"scalar\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[11,12]}}   ",
               12);
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(open_image(m, &ck, &err), TOLA_OK);
    assert_string_equal(tola_checkpoint_format(ck), "safetensors");
    assert_int_equal(tola_checkpoint_tensor_count(ck), 4);
    size_t b = tola_checkpoint_find(ck, "b");
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, b);
    assert_int_equal(t->dtype, TOLA_DTYPE_U8);
    assert_int_equal(t->n_dims, 1);
    assert_int_equal(t->shape[0], 3);
    uint8_t bytes[3];
    assert_int_equal(tola_checkpoint_read(ck, b, 0, bytes, 3, &err), TOLA_OK);
    assert_memory_equal(bytes, ((uint8_t[]){ 8, 9, 10 }), 3);
    assert_int_equal(tola_checkpoint_read(ck, b, 1, bytes, 3, &err), TOLA_E_ARG);
    assert_int_equal(tola_checkpoint_find(ck, "c"), SIZE_MAX);
    assert_string_equal(tola_value_str(tola_value_get(tola_checkpoint_metadata(ck), "format"), ""), "pt");
    const tola_tensor_info *scalar = tola_checkpoint_tensor(ck, tola_checkpoint_find(ck, "scalar"));
    assert_int_equal(scalar->n_dims, 0);
    assert_int_equal(scalar->elements, 1);
    tola_view view;
    assert_int_equal(tola_checkpoint_acquire(ck, tola_checkpoint_find(ck, "a"), &view, &err), TOLA_OK);
    assert_int_equal(view.bytes, 8);
    assert_memory_equal(view.data, ((uint8_t[]){ 0, 1, 2, 3, 4, 5, 6, 7 }), 8);
    tola_view_release(&view);
    tola_checkpoint_close(ck);
    free(m);
}

static void test_refuses(void **state) {
    (void)state;
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, TOLA_E_FORMAT,
            "x.safetensors: offset 70: 1 bytes behind the last tensor belong to none");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 5, TOLA_E_FORMAT,
            "x.safetensors: offset 9: tensor 'a': the file is truncated: 5 bytes of data are there, 3 are missing");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, TOLA_E_FORMAT,
            "x.safetensors: offset 63: tensor 'a': 4 bytes before it belong to no tensor");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
            12, TOLA_E_FORMAT, "x.safetensors: offset 120: tensor 'b': its bytes overlap those of tensor 'a' by 4");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8, TOLA_E_FORMAT,
            "x.safetensors: offset 9: tensor 'a': the product of its shape overflows");
    refuses("{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, TOLA_E_FORMAT,
            "x.safetensors: offset 22: tensor 'a': unknown dtype 'F31'");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
            16, TOLA_E_FORMAT, "x.safetensors: offset 124: two tensors have the name 'a'");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, TOLA_E_FORMAT,
            "x.safetensors: offset 9: tensor 'a': data_offsets run backwards, from 8 to 0");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,7]}}", 7, TOLA_E_FORMAT,
            "x.safetensors: offset 9: tensor 'a': data_offsets span 7 bytes, but its shape and dtype f32 need 8");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,8]}}", 8, TOLA_E_FORMAT,
            "x.safetensors: offset 37: tensor 'a': shape holds something that is no non-negative integer");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 0, TOLA_E_FORMAT,
            "x.safetensors: offset 9: tensor 'a': its description lacks data_offsets");
    refuses("{\"__metadata__\":{\"a\":1}}", 0, TOLA_E_FORMAT,
            "x.safetensors: offset 9: __metadata__ holds something that is no string");
}

static void refuses_bytes(const void *data, size_t bytes, const char *message) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_not_equal(tola_checkpoint_open_memory("x.safetensors", data, bytes, &ck, &err), TOLA_OK);
    assert_string_equal(err.message, message);
}

static void test_explains(void **state) {
    (void)state;
    refuses_bytes("", 0, "x.safetensors: the file is empty");
    const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    refuses_bytes(lfs, sizeof lfs - 1,
                  "x.safetensors: offset 0: this is a Git LFS pointer, not the weights: the real file has 12345 bytes; "
                  "fetch it with `git lfs pull`");
    const char html[] = "\n<!DOCTYPE html><html><body>Sign in</body></html>";
    refuses_bytes(html, sizeof html - 1,
                  "x.safetensors: offset 0: this is a web page (HTML), not weights: the download saved an error or a "
                  "login page");
    refuses_bytes("\x01\x02\x03", 3,
                  "x.safetensors: offset 0: truncated: a safetensors file starts with 8 bytes of header length, this "
                  "one has 3 bytes in all");
    refuses_bytes("\xff\xff\xff\xff\0\0\0\0{", 9,
                  "x.safetensors: offset 0: header length 4294967295 is above the limit of 100000000: this is no "
                  "safetensors file, or a broken one");
    refuses_bytes("\x10\0\0\0\0\0\0\0{\"a\"", 12,
                  "x.safetensors: offset 0: truncated: the header has 16 bytes but only 4 follow (12 missing)");
}

/* ---- writing ---- */

static const uint64_t shape_a[] = { 3, 2 }, shape_b[] = { 5 }, shape_c[] = { 2, 2 };

static tola_status write_three(const char *path, uint64_t shard_size, bool folder, tola_error *err) {
    const tola_tensor_spec specs[] = {
        { "b", shape_b, 1, TOLA_DTYPE_U8, 0 },
        { "a", shape_a, 2, TOLA_DTYPE_F32, 0 },
        { "c", shape_c, 2, TOLA_DTYPE_F64, 0 },
    };
    static const uint64_t sizes[] = { 5, 24, 32 };
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    options.max_shard_size = shard_size;
    options.folder = folder;
    tola_writer *w;
    tola_status status = tola_writer_open(path, specs, 3, &options, &w, err);
    for (size_t i = 3; i-- > 0 && status == TOLA_OK;) {
        uint8_t bytes[32];
        for (size_t k = 0; k < sizes[i]; k++) bytes[k] = (uint8_t)(i * 50 + k);
        status = tola_writer_write(w, i, sizes[i] / 2, bytes + sizes[i] / 2, sizes[i] - sizes[i] / 2, err);
        if (status == TOLA_OK) status = tola_writer_write(w, i, 0, bytes, sizes[i] / 2, err);
        if (status != TOLA_OK) tola_writer_abort(w);
    }
    return status == TOLA_OK ? tola_writer_finish(w, err) : status;
}

static void check_three(const char *path) {
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_checkpoint_open(path, NULL, &ck, &err), TOLA_OK);
    assert_int_equal(tola_checkpoint_tensor_count(ck), 3);
    assert_int_equal(tola_checkpoint_warning_count(ck), 0);
    static const char *const names[] = { "b", "a", "c" };
    for (size_t i = 0; i < 3; i++) {
        size_t k = tola_checkpoint_find(ck, names[i]);
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, k);
        uint8_t bytes[32];
        assert_int_equal(tola_checkpoint_read(ck, k, 0, bytes, t->bytes, &err), TOLA_OK);
        for (size_t b = 0; b < t->bytes; b++) assert_int_equal(bytes[b], i * 50 + b);
    }
    tola_checkpoint_close(ck);
}

static size_t count_entries(const char *folder) {
    size_t n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) n++;
    closedir(dir);
    return n;
}

static void test_writes(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char path[512];
    tola_error err = TOLA_ERROR_INIT;
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    assert_int_equal(write_three(path, 0, false, &err), TOLA_OK);
    check_three(path);
    assert_int_equal(count_entries(folder), 1);
    assert_int_equal(write_three(path, 0, false, &err), TOLA_E_EXISTS);
    assert_int_equal(count_entries(folder), 1);
    snprintf(path, sizeof path, "%s/s.safetensors", folder);
    assert_int_equal(write_three(path, 30, false, &err), TOLA_OK);
    assert_int_equal(count_entries(folder), 1 + 2 + 1);
    snprintf(path, sizeof path, "%s/s.safetensors.index.json", folder);
    check_three(path);
    snprintf(path, sizeof path, "%s/hf/", folder);
    assert_int_equal(write_three(path, 30, true, &err), TOLA_OK);
    assert_int_equal(count_entries(path), 3);
    check_three(path);
    assert_int_equal(count_entries(folder), 5);
    unit_remove(folder);
}

/* Every allocation, read and write fails once in turn: an error, no leak (the sanitizers watch), no file left. */
static void test_faults(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char path[512];
    snprintf(path, sizeof path, "%s/hf", folder);
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        for (uint64_t n = 0;; n++) {
            assert_true(n < 10000);
            tola_error err = TOLA_ERROR_INIT;
            fault_arm((fault_kind)kind, n, false);
            tola_status status = write_three(path, 30, true, &err);
            bool hit = fault_count((fault_kind)kind) > n;
            fault_disarm();
            if (status == TOLA_OK) {
                unit_remove(path);
            } else {
                assert_true(hit);
                assert_true(err.message[0]);
                assert_int_equal(count_entries(folder), 0);
            }
            if (!hit) break;
        }
    }
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(write_three(path, 30, true, &err), TOLA_OK);
    for (int kind = FAULT_ALLOC; kind <= FAULT_READ; kind++) {
        for (uint64_t n = 0;; n++) {
            assert_true(n < 10000);
            tola_checkpoint *ck = NULL;
            fault_arm((fault_kind)kind, n, false);
            tola_status status = tola_checkpoint_open(path, NULL, &ck, &err);
            bool hit = fault_count((fault_kind)kind) > n;
            fault_disarm();
            if (status != TOLA_OK) assert_true(hit);
            tola_checkpoint_close(ck);
            if (!hit) break;
        }
    }
    unit_remove(folder);
}

/* A name that occurs twice is refused by every format, before any file is made. */
static void test_names_once(void **state) {
    (void)state;
    const tola_tensor_spec twice[] = { { "b", NULL, 0, TOLA_DTYPE_F32, 0 }, { "a", NULL, 0, TOLA_DTYPE_F32, 0 },
                                       { "b", NULL, 0, TOLA_DTYPE_F32, 0 } };
    const char *const formats[] = { "safetensors", "gguf", "pytorch", "npz" };
    const char *folder = unit_folder();
    char path[300];
    snprintf(path, sizeof path, "%s/x", folder);
    for (size_t i = 0; i < 4; i++) {
        tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
        tola_writer *writer = NULL;
        tola_error err = TOLA_ERROR_INIT;
        options.format = formats[i];
        assert_int_equal(tola_writer_open(path, twice, 3, &options, &writer, &err), TOLA_E_ARG);
        assert_string_equal(err.message, "tensor 'b': two tensors have this name");
        assert_null(writer);
    }
    assert_int_equal(rmdir(folder), 0); /* nothing was left in it */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_once), cmocka_unit_test(test_reads),  cmocka_unit_test(test_refuses), cmocka_unit_test(test_explains),
        cmocka_unit_test(test_writes), cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
