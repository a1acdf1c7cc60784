/* PyTorch files of every container: names, values, flags, metadata, what is refused, and what the writer makes.
 *
 * The files are those of the fuzz corpus, made by torch itself (fuzz/make_corpus_torch.py). */
#include "unit.h"

#include "base/mem.h"

#define CORPUS "fuzz/corpus/torch/"

static tola_checkpoint *opens(const char *name) {
    char path[200];
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    snprintf(path, sizeof path, CORPUS "%s", name);
    if (tola_checkpoint_open(path, NULL, &ck, &err) != TOLA_OK) fail_msg("%s", err.message);
    return ck;
}

static void refuses(const char *name, tola_status status, const char *message) {
    char path[200], expected[400];
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    snprintf(path, sizeof path, CORPUS "%s", name);
    snprintf(expected, sizeof expected, CORPUS "%s: %s", name, message);
    assert_int_equal(tola_checkpoint_open(path, NULL, &ck, &err), status);
    assert_string_equal(err.message, expected);
}

static const tola_tensor_info *tensor(const tola_checkpoint *ck, const char *name) {
    size_t i = tola_checkpoint_find(ck, name);
    if (i == SIZE_MAX) fail_msg("no tensor %s", name);
    return tola_checkpoint_tensor(ck, i);
}

/* Values of an f32 tensor, read in one piece, element by element, and through a view. */
static void floats(const tola_checkpoint *ck, const char *name, size_t count, const float *expected) {
    float values[16];
    tola_view view;
    size_t i = tola_checkpoint_find(ck, name);
    assert_int_equal(tensor(ck, name)->bytes, count * 4);
    assert_int_equal(tola_checkpoint_read(ck, i, 0, values, count * 4, NULL), TOLA_OK);
    assert_memory_equal(values, expected, count * 4);
    memset(values, 0, sizeof values);
    for (size_t k = 0; k < count * 4; k += 3) {
        size_t n = count * 4 - k < 3 ? count * 4 - k : 3;
        assert_int_equal(tola_checkpoint_read(ck, i, k, (uint8_t *)values + k, n, NULL), TOLA_OK);
    }
    assert_memory_equal(values, expected, count * 4);
    assert_int_equal(tola_checkpoint_acquire(ck, i, &view, NULL), TOLA_OK);
    assert_memory_equal(view.data, expected, count * 4);
    tola_view_release(&view);
}

static const tola_value *meta(const tola_checkpoint *ck, const char *key) {
    return tola_value_get(tola_checkpoint_metadata(ck), key);
}

static void check_views(const char *file, const char *format) {
    tola_checkpoint *ck = opens(file);
    assert_string_equal(tola_checkpoint_format(ck), format);
    assert_int_equal(tola_checkpoint_tensor_count(ck), 9);
    floats(ck, "a", 12, (const float[]){ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 });
    floats(ck, "b", 12, (const float[]){ 0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11 });
    floats(ck, "c", 4, (const float[]){ 2, 3, 4, 5 });
    floats(ck, "scalar", 1, (const float[]){ 1.5f });
    floats(ck, "expanded", 6, (const float[]){ 1, 1, 1, 1, 1, 1 });
    assert_int_equal(tensor(ck, "a")->flags, TOLA_TENSOR_SHARED);
    assert_int_equal(tensor(ck, "b")->flags, TOLA_TENSOR_SHARED | TOLA_TENSOR_STRIDED);
    assert_int_equal(tensor(ck, "a")->storage, tensor(ck, "c")->storage);
    assert_int_equal(tensor(ck, "c")->offset, tensor(ck, "a")->offset + 8);
    assert_int_equal(tensor(ck, "scalar")->n_dims, 0);
    assert_int_equal(tensor(ck, "empty")->bytes, 0);
    assert_int_equal(tensor(ck, "half")->dtype, TOLA_DTYPE_F16);
    assert_int_equal(tensor(ck, "bool")->dtype, TOLA_DTYPE_BOOL);
    assert_int_equal(tensor(ck, "i64")->dtype, TOLA_DTYPE_I64);
    tola_checkpoint_close(ck);
}

static void test_views(void **state) {
    (void)state;
    check_views("views.pt", "pytorch");
    check_views("views-legacy.pt", "pytorch-legacy");
}

static void check_nested(const char *file) {
    tola_checkpoint *ck = opens(file);
    uint32_t parameter = TOLA_TENSOR_PARAMETER | TOLA_TENSOR_SHARED;
    assert_int_equal(tensor(ck, "model.w")->flags, parameter);
    assert_int_equal(tensor(ck, "model.tied")->storage, tensor(ck, "model.w")->storage);
    assert_int_equal(tensor(ck, "optimizer.state.0.momentum_buffer")->flags, TOLA_TENSOR_STATE);
    floats(ck, "7.0", 1, (const float[]){ 0 });
    assert_int_equal(tola_value_u64(meta(ck, "epoch"), 0), 3);
    assert_string_equal(tola_value_str(meta(ck, "name"), ""), "x");
    const tola_value *args = meta(ck, "args");
    assert_true(tola_value_f64(tola_value_get(args, "lr"), 0) == 0.5);
    assert_int_equal(tola_value_get(args, "layers")->as.array.count, 2);
    tola_value group = tola_value_at(tola_value_get(meta(ck, "optimizer"), "param_groups"), 0);
    assert_true(tola_value_f64(tola_value_get(&group, "momentum"), 0) == 0.9);
    assert_null(meta(ck, "model"));
    tola_checkpoint_close(ck);
}

static void test_nested(void **state) {
    (void)state;
    check_nested("nested.pt");
    check_nested("nested-4.pt");
    check_nested("nested-legacy.pt");
}

static void test_kinds(void **state) {
    (void)state;
    tola_checkpoint *ck = opens("quantized.pt");
    assert_int_equal(tensor(ck, "q")->flags, TOLA_TENSOR_QUANTIZED);
    assert_int_equal(tensor(ck, "q")->dtype, TOLA_DTYPE_U8);
    assert_true(tola_value_f64(tola_value_get(meta(ck, "q"), "scale"), 0) == 0.5);
    assert_int_equal(tola_value_u64(tola_value_get(meta(ck, "q"), "zero_point"), 0), 3);
    assert_string_equal(tola_value_str(tola_value_get(meta(ck, "c"), "scheme"), ""), "per_channel_affine");
    assert_int_equal(tensor(ck, "c.scales")->dtype, TOLA_DTYPE_F64);
    tola_checkpoint_close(ck);

    ck = opens("sparse.pt");
    assert_int_equal(tensor(ck, "coo.indices")->flags, TOLA_TENSOR_SPARSE);
    floats(ck, "coo.values", 2, (const float[]){ 1, 1 });
    assert_int_equal(tensor(ck, "csr.crow_indices")->elements, 3);
    assert_string_equal(tola_value_str(tola_value_get(meta(ck, "csr"), "layout"), ""), "torch.sparse_csr");
    tola_checkpoint_close(ck);

    ck = opens("numpy.pt");
    floats(ck, "f", 6, (const float[]){ 0, 1, 2, 3, 4, 5 });
    int16_t big[3];
    double fortran[6];
    assert_int_equal(tola_checkpoint_read(ck, tola_checkpoint_find(ck, "big"), 0, big, 6, NULL), TOLA_OK);
    assert_memory_equal(big, ((int16_t[]){ 0, 1, 2 }), 6);
    assert_int_equal(tola_checkpoint_read(ck, tola_checkpoint_find(ck, "t"), 0, fortran, 48, NULL), TOLA_OK);
    for (int i = 0; i < 6; i++) assert_true(fortran[i] == i);
    assert_true(tola_value_f64(meta(ck, "s"), 0) == 2.5);
    assert_string_equal(tola_value_str(meta(ck, "o"), ""), "a numpy array of <U2");
    tola_checkpoint_close(ck);

    ck = opens("complex.pt");
    floats(ck, "z", 4, (const float[]){ 1, -2, 3, 4 });
    tola_checkpoint_close(ck);

    ck = opens("float8.pt");
    assert_int_equal(tensor(ck, "a")->dtype, TOLA_DTYPE_F8_E4M3);
    assert_int_equal(tensor(ck, "b")->dtype, TOLA_DTYPE_F8_E5M2);
    tola_checkpoint_close(ck);

    ck = opens("big-endian.pt");
    floats(ck, "w", 4, (const float[]){ 1, 2, 3, 4 });
    assert_int_equal(tensor(ck, "w")->flags, TOLA_TENSOR_SWAPPED);
    tola_checkpoint_close(ck);

    ck = opens("deflated.pt");
    floats(ck, "w", 4, (const float[]){ 1, 3, 2, 4 });
    assert_int_equal(tensor(ck, "w")->flags, TOLA_TENSOR_PACKED | TOLA_TENSOR_STRIDED);
    tola_checkpoint_close(ck);
}

static void test_containers(void **state) {
    (void)state;
    tola_checkpoint *ck = opens("tensor.pt");
    floats(ck, "tensor", 4, (const float[]){ 1, 1, 1, 1 });
    tola_checkpoint_close(ck);

    ck = opens("script.pt");
    assert_string_equal(tola_checkpoint_format(ck), "torchscript");
    floats(ck, "mean", 2, (const float[]){ 1, 1 });
    assert_int_equal(tensor(ck, "layer.weight")->n_dims, 2);
    assert_true(tola_value_bool(meta(ck, "training"), false));
    tola_checkpoint_close(ck);

    ck = opens("old.tar");
    assert_string_equal(tola_checkpoint_format(ck), "pytorch-tar");
    floats(ck, "weight", 6, (const float[]){ 0, 2, 4, 1, 3, 5 });
    floats(ck, "bias", 2, (const float[]){ 4, 5 });
    tola_checkpoint_close(ck);

    ck = opens("long-storage.pt");
    assert_int_equal(tola_checkpoint_warning_count(ck), 1);
    assert_string_equal(tola_checkpoint_warning(ck, 0), "storage '0' has 4 bytes that the pickle does not mention");
    tola_checkpoint_close(ck);

    ck = opens("archive.zip");
    floats(ck, "policy/w", 2, (const float[]){ 1, 1 });
    assert_int_equal(tensor(ck, "policy.optimizer/state.0.momentum_buffer")->flags, TOLA_TENSOR_STATE);
    assert_string_equal(tola_value_str(meta(ck, "data"), ""), "{\"n_envs\": 1}");
    tola_checkpoint_close(ck);
}

static void test_refused(void **state) {
    (void)state;
    refuses("bad-storage.pt", TOLA_E_FORMAT, "offset 140: tensor 'w': storage '0' should have 20 bytes, its record in "
                                             "the archive has 16");
    refuses("bad-bounds.pt", TOLA_E_FORMAT,
            "offset 195: tensor 'w': size, stride and offset reach element 4 of a storage that has 4");
    refuses("bad-offset.pt", TOLA_E_FORMAT,
            "offset 187: tensor 'w': size, stride and offset reach element 4 of a storage that has 4");
    refuses("bad-overflow.pt", TOLA_E_FORMAT,
            "offset 219: tensor 'w': the product of size, stride and offset overflows");
    refuses("bad-expanded.pt", TOLA_E_LIMIT,
            "offset 202: tensor 'w': 1125899906842624 elements are made of a storage that has 4");
    refuses("bad-stride.pt", TOLA_E_FORMAT,
            "offset 158: tensor 'w': an extent or stride that is no whole number from 0 on");
    refuses("bad-key.pt", TOLA_E_FORMAT, "offset 140: tensor 'w': storage '9' is not in the archive");
    refuses("bad-two.pt", TOLA_E_FORMAT, "offset 238: two pickles in one archive: 'a/data.pkl' and 'a/DATA.pkl'");
    refuses("bad-dots.pt", TOLA_E_FORMAT, "offset 143: tensor 'w': storage '../0' is not in the archive");
    refuses("bad-system.pt", TOLA_E_UNSAFE, "offset 65: the pickle calls os.system (offset 19); nothing was run");
    refuses("bad-bomb.pt", TOLA_E_LIMIT,
            "offset 51: the pickle unfolds to many times more values than it has bytes");
    refuses("bad-deep.pt", TOLA_E_LIMIT, "offset 249: values are nested more than 200 deep");
    refuses("bad-cycle.pt", TOLA_E_LIMIT, "offset 48: values are nested more than 200 deep");
}

static uint8_t *slurp(const char *name, size_t *bytes) {
    char path[200];
    snprintf(path, sizeof path, CORPUS "%s", name);
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) abort();
    *bytes = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*bytes);
    if (!data || fread(data, 1, *bytes, f) != *bytes) abort();
    fclose(f);
    return data;
}

/* Cut off after every byte: each time one message and no tensor. */
static void test_truncated(void **state) {
    (void)state;
    static const char *const names[] = { "nested.pt", "nested-legacy.pt", "old.tar", "script.pt" };
    for (size_t i = 0; i < 4; i++) {
        size_t bytes;
        uint8_t *data = slurp(names[i], &bytes);
        /* a tar archive ends with empty blocks that nobody needs */
        if (strcmp(names[i], "old.tar") == 0) bytes = 7 * 512;
        for (size_t n = 0; n < bytes; n += n < 2000 ? 1 : 7) {
            uint8_t *part = malloc(n ? n : 1); /* exactly n bytes, for the address sanitizer */
            memcpy(part, data, n);
            tola_checkpoint *ck = NULL;
            tola_error err = TOLA_ERROR_INIT;
            assert_int_not_equal(tola_checkpoint_open_memory("x.pt", part, n, &ck, &err), TOLA_OK);
            assert_null(ck);
            assert_true(err.message[0] != 0 && !strchr(err.message, '\n'));
            free(part);
        }
        free(data);
    }
}

/* A download that was cut off says how much is missing, as far as that can be known. */
static void test_missing(void **state) {
    (void)state;
    size_t bytes;
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    uint8_t *data = slurp("tensor.pt", &bytes);
    assert_int_equal(tola_checkpoint_open_memory("x.pt", data, 226, &ck, &err), TOLA_E_FORMAT);
    assert_string_equal(err.message, "x.pt: truncated: the end of the zip archive is not there; of the storages that "
                                     "its pickle names, 8 bytes or more are missing");
    free(data);
    data = slurp("nested-legacy.pt", &bytes);
    assert_int_equal(tola_checkpoint_open_memory("x.pt", data, bytes - 8, &ck, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "(8 bytes missing)"));
    free(data);
}

/* A payload that was changed is found out when the tensor has been read to its end, in whatever pieces; one read in
 * part is not judged. */
static void test_checksums(void **state) {
    (void)state;
    size_t bytes;
    uint8_t *data = slurp("views.pt", &bytes);
    for (int damaged = 0; damaged < 2; damaged++) {
        tola_checkpoint *ck;
        tola_error err = TOLA_ERROR_INIT;
        uint8_t values[48];
        assert_int_equal(tola_checkpoint_open_memory("x.pt", data, bytes, &ck, &err), TOLA_OK);
        size_t a = tola_checkpoint_find(ck, "a");
        uint64_t at = tensor(ck, "a")->offset;
        if (damaged) data[at + 20] ^= 1;
        tola_status expected = damaged ? TOLA_E_FORMAT : TOLA_OK;
        assert_int_equal(tola_checkpoint_read(ck, a, 0, values, 48, &err), expected);
        if (damaged) assert_non_null(strstr(err.message, ": its bytes were changed"));
        assert_int_equal(tola_checkpoint_read(ck, a, 24, values, 24, &err), TOLA_OK);
        assert_int_equal(tola_checkpoint_read(ck, a, 0, values, 12, &err), TOLA_OK);
        assert_int_equal(tola_checkpoint_read(ck, a, 12, values, 12, &err), expected);
        assert_int_equal(tola_checkpoint_read(ck, a, 0, values, 40, &err), TOLA_OK);
        assert_int_equal(tola_checkpoint_read(ck, a, 20, values, 20, &err), TOLA_OK); /* begins again */
        assert_int_equal(tola_checkpoint_read(ck, a, 0, values, 20, &err), TOLA_OK);
        assert_int_equal(tola_checkpoint_read(ck, a, 40, values, 8, &err), expected);
        tola_checkpoint_close(ck);
    }
    free(data);
}

/* Every allocation and every read fails in turn while a file is opened and read. */
static void test_faults(void **state) {
    (void)state;
    static const char *const names[] = { "nested.pt", "nested-legacy.pt", "old.tar", "quantized.pt", "numpy.pt",
                                         "archive.zip", "deflated.pt" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int kind = 0; kind < 2; kind++)
            for (uint64_t n = 0;; n++) {
                char path[200];
                tola_checkpoint *ck;
                tola_error err = TOLA_ERROR_INIT;
                uint8_t value[8];
                snprintf(path, sizeof path, CORPUS "%s", names[i]);
                fault_arm(kind ? FAULT_READ : FAULT_ALLOC, n, false);
                tola_status status = tola_checkpoint_open(path, NULL, &ck, &err);
                if (status == TOLA_OK) {
                    for (size_t t = 0; t < tola_checkpoint_tensor_count(ck) && status == TOLA_OK; t++)
                        if (tola_checkpoint_tensor(ck, t)->bytes >= 8)
                            status = tola_checkpoint_read(ck, t, 0, value, 8, &err);
                    tola_checkpoint_close(ck);
                }
                bool reached = fault_count(kind ? FAULT_READ : FAULT_ALLOC) > n;
                fault_disarm();
                if (status != TOLA_OK) assert_true(err.message[0] != 0);
                if (!reached) break;
            }
}

static void test_writes(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char path[300];
    snprintf(path, sizeof path, "%s/out.pt", folder);
    const uint64_t shape[] = { 2, 3 }, odd[] = { 3 };
    tola_tensor_spec specs[] = {
        { "a.b", shape, 2, TOLA_DTYPE_F32, TOLA_TENSOR_PARAMETER },
        { "scalar", NULL, 0, TOLA_DTYPE_I64, 0 },
        { "f8", odd, 1, TOLA_DTYPE_F8_E5M2, 0 },
        { "empty", (const uint64_t[]){ 0 }, 1, TOLA_DTYPE_BOOL, 0 },
    };
    const tola_member members[] = {
        { { "epoch", 5 }, { .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U64, .as.u64 = UINT64_MAX } },
        { { "raw", 3 }, { .kind = TOLA_VALUE_STRING, .as.string = { "\xff\x00z", 3 } } },
    };
    const tola_value metadata = { .kind = TOLA_VALUE_MAP, .as.map = { members, 2 } };
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    tola_writer *w;
    tola_error err = TOLA_ERROR_INIT;
    options.metadata = &metadata;
    specs[2].dtype = TOLA_DTYPE_Q4_K;
    specs[2].shape = (const uint64_t[]){ 256 };
    assert_int_equal(tola_writer_open(path, specs, 4, &options, &w, &err), TOLA_E_UNSUPPORTED);
    assert_string_equal(err.message, "tensor 'f8': pytorch cannot hold q4_k");
    specs[2].dtype = TOLA_DTYPE_F4;
    specs[2].shape = odd;
    specs[2].n_dims = 1;
    assert_int_not_equal(tola_writer_open(path, specs, 4, &options, &w, &err), TOLA_OK);
    specs[2].dtype = TOLA_DTYPE_F8_E5M2;
    assert_int_equal(tola_writer_open(path, specs, 4, &options, &w, &err), TOLA_OK);
    const float values[6] = { 1, 2, 3, 4, 5, 6 };
    const int64_t scalar = -7;
    assert_int_equal(tola_writer_write(w, 0, 12, values + 3, 12, &err), TOLA_OK);
    assert_int_equal(tola_writer_write(w, 0, 0, values, 12, &err), TOLA_OK);
    assert_int_equal(tola_writer_write(w, 1, 0, &scalar, 8, &err), TOLA_OK);
    assert_int_equal(tola_writer_write(w, 2, 0, "abc", 3, &err), TOLA_OK);
    assert_int_equal(tola_writer_finish(w, &err), TOLA_OK);
    tola_checkpoint *ck;
    assert_int_equal(tola_checkpoint_open(path, NULL, &ck, &err), TOLA_OK);
    assert_int_equal(tola_checkpoint_tensor_count(ck), 4);
    floats(ck, "a.b", 6, values);
    assert_int_equal(tensor(ck, "a.b")->flags, TOLA_TENSOR_PARAMETER);
    assert_int_equal(tensor(ck, "a.b")->offset % 64, 0);
    assert_int_equal(tensor(ck, "f8")->dtype, TOLA_DTYPE_F8_E5M2);
    const tola_value *raw = meta(ck, "raw");
    assert_int_equal(raw->as.string.length, 3);
    assert_memory_equal(raw->as.string.data, "\xff\x00z", 3);
    assert_int_equal(tola_value_u64(meta(ck, "epoch"), 0), UINT64_MAX);
    tola_checkpoint_close(ck);
    unit_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),      cmocka_unit_test(test_nested),  cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_containers), cmocka_unit_test(test_refused), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_faults),     cmocka_unit_test(test_writes),
        cmocka_unit_test(test_checksums), cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
