/* .npy and .npz: headers of all kinds, what is refused, and that archives we write read back. */
#include "zip_build.h"

static const char magic1[] = "\x93NUMPY\1";

/* A version 1 file: header text, payload. */
static size_t make_npy(uint8_t *out, const char *header, const void *data, size_t bytes) {
    size_t n = strlen(header);
    memcpy(out, magic1, 7);
    out[7] = 0;
    out[8] = (uint8_t)n;
    out[9] = (uint8_t)(n >> 8);
    memcpy(out + 10, header, n);
    memcpy(out + 10 + n, data, bytes);
    return 10 + n + bytes;
}

static void refuses(const char *header, size_t bytes, tola_status status, const char *message) {
    uint8_t file[2000], zeros[512] = { 0 };
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    size_t n = make_npy(file, header, zeros, bytes);
    assert_int_equal(tola_checkpoint_open_memory("x.npy", file, n, &ck, &err), status);
    assert_string_equal(err.message, message);
}

static tola_checkpoint *opens(const void *data, size_t bytes, const char *name) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open_memory(name, data, bytes, &ck, &err) != TOLA_OK) fail_msg("%s", err.message);
    return ck;
}

static void test_orders(void **state) {
    (void)state;
    uint8_t file[2000];
    const int16_t stored[6] = { 0, 3, 1, 4, 2, 5 }; /* Fortran order of [[0,1,2],[3,4,5]] */
    size_t n = make_npy(file, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }\n", stored, 12);
    tola_checkpoint *ck = opens(file, n, "x.npy");
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, 0);
    assert_string_equal(t->name, "arr_0");
    assert_int_equal(t->flags, TOLA_TENSOR_STRIDED);
    int16_t values[6];
    assert_int_equal(tola_checkpoint_read(ck, 0, 0, values, 12, NULL), TOLA_OK);
    for (int i = 0; i < 6; i++) assert_int_equal(values[i], i);
    tola_checkpoint_close(ck);

    const uint8_t big[8] = { 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0 };
    n = make_npy(file, "{'shape': (2L,), 'descr': '>f4', 'fortran_order': False}", big, 8);
    ck = opens(file, n, "x.npy");
    t = tola_checkpoint_tensor(ck, 0);
    assert_int_equal(t->dtype, TOLA_DTYPE_F32);
    assert_int_equal(t->flags, TOLA_TENSOR_SWAPPED);
    float f[2];
    assert_int_equal(tola_checkpoint_read(ck, 0, 0, f, 8, NULL), TOLA_OK);
    assert_true(f[0] == 1.0f && f[1] == -2.0f);
    tola_checkpoint_close(ck);

    n = make_npy(file, "{'descr': [('a', '<f4'), (('t', 'b'), '|S3', (2, 2)), ('c', [('d', '>i2')])], "
                       "'fortran_order': False, 'shape': (2,)}", file, 36);
    ck = opens(file, n, "x.npy");
    t = tola_checkpoint_tensor(ck, 0);
    assert_int_equal(t->dtype, TOLA_DTYPE_OPAQUE);
    assert_int_equal(t->bytes, 36);
    tola_checkpoint_close(ck);
}

static void test_refuses(void **state) {
    (void)state;
    refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 23, TOLA_E_FORMAT,
            "x.npy: offset 67: truncated: the array has 24 bytes, 23 are there (1 missing)");
    refuses("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", 16, TOLA_E_UNSAFE,
            "x.npy: offset 20: an array of Python objects: its data are a pickle, which is not read");
    refuses("{'descr': [('a', '|O8')], 'fortran_order': False, 'shape': (2,)}", 16, TOLA_E_UNSAFE,
            "x.npy: offset 27: an array of Python objects: its data are a pickle, which is not read");
    refuses("{'descr': '<q4', 'fortran_order': False, 'shape': (2,)}", 16, TOLA_E_UNSUPPORTED,
            "x.npy: offset 20: unknown numpy element type '<q4'");
    refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 16, TOLA_E_FORMAT,
            "x.npy: offset 0: the product of the array's shape overflows");
    refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 16, TOLA_E_FORMAT,
            "x.npy: offset 61: the array's header is no dictionary that numpy writes: a number is missing (extents are "
            "whole and not negative)");
    refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'shape': (3,)}", 16, TOLA_E_FORMAT,
            "x.npy: offset 79: the array's header is no dictionary that numpy writes: a key that is unknown or there "
            "twice");
    refuses("{'descr': '<f4', 'fortran_order': False}", 16, TOLA_E_FORMAT,
            "x.npy: offset 50: the array's header is no dictionary that numpy writes: descr, fortran_order or shape is "
            "missing");
    refuses("{'descr': '<f4', 'fortran_order': __import__('os').system('id'), 'shape': (2,)}", 16, TOLA_E_FORMAT,
            "x.npy: offset 44: the array's header is no dictionary that numpy writes: fortran_order is no boolean");
    uint8_t file[] = "\x93NUMPY\7\0..............";
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_checkpoint_open_memory("x.npy", file, sizeof file, &ck, &err), TOLA_E_UNSUPPORTED);
    assert_string_equal(err.message, "x.npy: offset 6: .npy version 7.0; 1.0, 2.0 and 3.0 are known");
    assert_int_equal(tola_checkpoint_open_memory("x.npy", file, 9, &ck, &err), TOLA_E_FORMAT);
    file[6] = 2;
    memset(file + 8, 0xff, 4);
    assert_int_equal(tola_checkpoint_open_memory("x.npy", file, sizeof file, &ck, &err), TOLA_E_LIMIT);
    assert_string_equal(err.message, "x.npy: offset 8: an array header of 4294967295 bytes; at most 1048576 are read");
}

static void test_npz(void **state) {
    (void)state;
    uint8_t file[2000];
    const int16_t stored[6] = { 0, 3, 1, 4, 2, 5 };
    const uint8_t swapped[12] = { 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5 };
    zb z = { 0 };
    size_t n = make_npy(file, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }\n", stored, 12);
    zb_add(&z, "plain.npy", file, n);
    zb_add_deflated(&z, "folder/packed.npy", file, n);
    n = make_npy(file, "{'descr': '>i2', 'fortran_order': False, 'shape': (2, 3), }\n", swapped, 12);
    zb_add_deflated(&z, "big.npy", file, n);
    n = make_npy(file, "{'descr': '|O', 'fortran_order': False, 'shape': (), }\n", "x", 1);
    zb_add(&z, "object.npy", file, n);
    zb_add(&z, "readme.txt", "x", 1);
    zb_finish(&z, "");
    tola_checkpoint *ck = opens(z.data, z.bytes, "x.npz");
    assert_string_equal(tola_checkpoint_format(ck), "npz");
    assert_int_equal(tola_checkpoint_tensor_count(ck), 3);
    assert_string_equal(tola_checkpoint_tensor(ck, 1)->name, "folder/packed");
    assert_int_equal(tola_checkpoint_tensor(ck, 0)->flags, TOLA_TENSOR_STRIDED);
    assert_int_equal(tola_checkpoint_tensor(ck, 1)->flags, TOLA_TENSOR_STRIDED | TOLA_TENSOR_PACKED);
    assert_int_equal(tola_checkpoint_tensor(ck, 2)->flags, TOLA_TENSOR_SWAPPED | TOLA_TENSOR_PACKED);
    for (size_t i = 0; i < 3; i++) {
        int16_t values[6] = { 9, 9, 9, 9, 9, 9 };
        assert_int_equal(tola_checkpoint_read(ck, i, 0, values, 12, NULL), TOLA_OK);
        for (int k = 0; k < 6; k++) assert_int_equal(values[k], k);
        uint8_t odd[5]; /* from the middle of one number to the middle of another */
        assert_int_equal(tola_checkpoint_read(ck, i, 3, odd, 5, NULL), TOLA_OK);
        assert_memory_equal(odd, ((uint8_t[]){ 0, 2, 0, 3, 0 }), 5);
    }
    assert_int_equal(tola_checkpoint_warning_count(ck), 2);
    assert_string_equal(tola_checkpoint_warning(ck, 0),
                        "'object.npy' is left out: an array of Python objects: its data "
                        "are a pickle, which is not read");
    assert_string_equal(tola_checkpoint_warning(ck, 1), "zip member 'readme.txt' is no array");
    tola_checkpoint_close(ck);
    zb_free(&z);
}

static void test_writes(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char path[300];
    snprintf(path, sizeof path, "%s/out.npz", folder);
    const uint64_t shape[] = { 2, 3 };
    tola_tensor_spec specs[] = {
        { "a", shape, 2, TOLA_DTYPE_F32, 0 }, { "b/c", NULL, 0, TOLA_DTYPE_I64, 0 },
        { "empty", (const uint64_t[]){ 0 }, 1, TOLA_DTYPE_BOOL, 0 },
    };
    tola_writer *w;
    tola_error err = TOLA_ERROR_INIT;
    specs[1].dtype = TOLA_DTYPE_BF16;
    assert_int_equal(tola_writer_open(path, specs, 3, NULL, &w, &err), TOLA_E_UNSUPPORTED);
    assert_string_equal(err.message, "tensor 'b/c': npz cannot hold bf16");
    specs[1].dtype = TOLA_DTYPE_I64;
    specs[1].name = "../c";
    assert_int_equal(tola_writer_open(path, specs, 3, NULL, &w, &err), TOLA_E_UNSUPPORTED);
    assert_string_equal(err.message,
                        "tensor '../c': its name cannot be a member of an .npz archive (empty, absolute, a "
                        "backslash or '..')");
    specs[1].name = "b/c";
    assert_int_equal(tola_writer_open(path, specs, 3, NULL, &w, &err), TOLA_OK);
    const float values[6] = { 1, 2, 3, 4, 5, 6 };
    const int64_t scalar = -7;
    assert_int_equal(tola_writer_write(w, 0, 12, values + 3, 12, &err), TOLA_OK);
    assert_int_equal(tola_writer_write(w, 0, 0, values, 12, &err), TOLA_OK);
    assert_int_equal(tola_writer_write(w, 1, 0, &scalar, 8, &err), TOLA_OK);
    assert_int_equal(tola_writer_finish(w, &err), TOLA_OK);
    tola_checkpoint *ck;
    assert_int_equal(tola_checkpoint_open(path, NULL, &ck, &err), TOLA_OK);
    assert_int_equal(tola_checkpoint_tensor_count(ck), 3);
    assert_int_equal(tola_checkpoint_tensor(ck, 0)->offset % 64, 0);
    float back[6];
    assert_int_equal(tola_checkpoint_read(ck, 0, 0, back, 24, &err), TOLA_OK);
    assert_memory_equal(back, values, 24);
    assert_int_equal(tola_checkpoint_tensor(ck, 1)->n_dims, 0);
    tola_checkpoint_close(ck);
    unit_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_npz),
        cmocka_unit_test(test_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
