/* ONNX models built byte by byte: what the onnx package would not write, and failures of memory and of reading in turn.
 * Values of every type are compared with the onnx package in tests/oracle/onnx_oracle.py. */
#include "unit.h"

#include "base/mem.h"

/* ---- a small writer of protobuf ---- */

typedef struct message {
    uint8_t data[4096];
    size_t length;
} message;

static void put_varint(message *m, uint64_t v) {
    for (; v >= 128; v >>= 7) m->data[m->length++] = (uint8_t)(v | 128);
    m->data[m->length++] = (uint8_t)v;
}

static void put_number(message *m, unsigned field, uint64_t v) {
    put_varint(m, field << 3);
    put_varint(m, v);
}

static void put_bytes(message *m, unsigned field, const void *data, size_t bytes) {
    put_varint(m, field << 3 | 2);
    put_varint(m, bytes);
    memcpy(m->data + m->length, data, bytes);
    m->length += bytes;
}

static void put_text(message *m, unsigned field, const char *text) { put_bytes(m, field, text, strlen(text)); }
static void put_message(message *m, unsigned field, const message *inner) {
    put_bytes(m, field, inner->data, inner->length);
}

static void external(message *tensor, const char *key, const char *value) {
    message entry = { .length = 0 };
    put_text(&entry, 1, key);
    put_text(&entry, 2, value);
    put_message(tensor, 13, &entry);
}

static message wrap(const message *graph) {
    message model = { .length = 0 };
    put_number(&model, 1, 9);
    put_text(&model, 2, "unit");
    put_message(&model, 7, graph);
    return model;
}

static message f32_tensor(const char *name) {
    static const float values[] = { 1, -2, 3.5f };
    message t = { .length = 0 };
    put_number(&t, 1, 3);
    put_number(&t, 2, 1);
    put_text(&t, 8, name);
    put_bytes(&t, 9, values, sizeof values);
    return t;
}

static tola_status open_graph(const message *graph, tola_checkpoint **ck, tola_error *err) {
    static message model; /* borrowed until the checkpoint is closed */
    model = wrap(graph);
    return tola_checkpoint_open_memory("unit.onnx", model.data, model.length, ck, err);
}

static void expect_error(const message *graph, tola_status status, const char *words) {
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    tola_status got = open_graph(graph, &ck, &err);
    if (got != status || !strstr(err.message, words)) fail_msg("%d: %s (wanted %s)", got, err.message, words);
    assert_int_equal(err.status, got);
    assert_true(strncmp(err.message, "unit.onnx: ", 11) == 0);
}

/* ---- reading ---- */

static void test_simple(void **state) {
    (void)state;
    message graph = { .length = 0 }, t = f32_tensor("w");
    put_message(&graph, 5, &t);
    tola_checkpoint *ck;
    assert_int_equal(open_graph(&graph, &ck, NULL), TOLA_OK);
    assert_string_equal(tola_checkpoint_format(ck), "onnx");
    const tola_tensor_info *info = tola_checkpoint_tensor(ck, 0);
    assert_string_equal(info->name, "w");
    assert_true(info->dtype == TOLA_DTYPE_F32 && info->n_dims == 1 && info->shape[0] == 3 && info->bytes == 12);
    float values[3];
    assert_int_equal(tola_checkpoint_read(ck, 0, 0, values, sizeof values, NULL), TOLA_OK);
    assert_true(values[0] == 1 && values[1] == -2 && values[2] == 3.5f);
    assert_string_equal(tola_value_str(tola_value_get(tola_checkpoint_metadata(ck), "producer_name"), ""), "unit");
    tola_checkpoint_close(ck);
}

/* int32_data in two packed pieces with values of their own between and another field in the middle */
static void test_pieces(void **state) {
    (void)state;
    message graph = { .length = 0 }, t = { .length = 0 }, packed = { .length = 0 };
    put_number(&t, 1, 7);
    put_number(&t, 2, 5);
    for (int i = 0; i < 3; i++) put_varint(&packed, (uint64_t)(int64_t)(100 * (i - 1)));
    put_message(&t, 5, &packed);
    put_number(&t, 5, 7);
    put_text(&t, 8, "pieces");
    put_message(&t, 5, &packed);
    put_message(&graph, 5, &t);
    static const int16_t expected[] = { -100, 0, 100, 7, -100, 0, 100 };
    int16_t values[7];
    tola_checkpoint *ck;
    assert_int_equal(open_graph(&graph, &ck, NULL), TOLA_OK);
    assert_int_equal(tola_checkpoint_read(ck, 0, 0, values, sizeof values, NULL), TOLA_OK);
    assert_memory_equal(values, expected, sizeof values);
    for (size_t from = 0; from < sizeof values; from++) /* any start, any length, in any order */
        for (size_t n = 1; from + n <= sizeof values; n++) {
            uint8_t part[sizeof values];
            assert_int_equal(tola_checkpoint_read(ck, 0, from, part, n, NULL), TOLA_OK);
            assert_memory_equal(part, (const uint8_t *)expected + from, n);
        }
    tola_checkpoint_close(ck);
}

static void test_refused(void **state) {
    (void)state;
    message graph = { .length = 0 }, t = f32_tensor("w"), bad;
    put_message(&graph, 5, &t);
    put_message(&graph, 5, &t);
    expect_error(&graph, TOLA_E_FORMAT, "two tensors have the name 'w'");
    bad = f32_tensor("w");
    bad.data[1] = 4; /* an extent that its bytes do not fill */
    graph.length = 0;
    put_message(&graph, 5, &bad);
    expect_error(&graph, TOLA_E_FORMAT, "need 16");
    bad = f32_tensor("\xff");
    graph.length = 0;
    put_message(&graph, 5, &bad);
    expect_error(&graph, TOLA_E_FORMAT, "UTF-8");
    bad = (message){ .length = 0 };
    for (int i = 0; i < 65; i++) put_number(&bad, 1, 1);
    graph.length = 0;
    put_message(&graph, 5, &bad);
    expect_error(&graph, TOLA_E_LIMIT, "dimensions");
    bad = (message){ .length = 0 };
    put_number(&bad, 1, 1);
    put_number(&bad, 2, 1);
    put_text(&bad, 8, "x");
    put_number(&bad, 14, 1);
    external(&bad, "location", "weights.bin");
    graph.length = 0;
    put_message(&graph, 5, &bad);
    expect_error(&graph, TOLA_E_UNSUPPORTED, "a model in memory does not have");
    graph.length = 0;
    put_number(&graph, 5, 1);
    expect_error(&graph, TOLA_E_FORMAT, "wire type");
}

/* Things that protobuf could take for an empty model must not be taken for ONNX by content alone. */
static void test_probe(void **state) {
    (void)state;
    static const char *const others[] = { "\x08\x01", "\x08\x07\x00\x00\x00\x00", "\x08\x07\x12\x7f" "abc",
                                          "\x80\x02}q", "\x0a\x03" "abc" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        tola_checkpoint *ck;
        tola_error err = TOLA_ERROR_INIT;
        char text[64] = { 0 };
        strcpy(text, others[i]);
        assert_int_not_equal(tola_checkpoint_open_memory("x.bin", text, sizeof text, &ck, &err), TOLA_OK);
        assert_null(strstr(err.message, "graph"));
    }
    message graph = { .length = 0 }, t = f32_tensor("w");
    put_message(&graph, 5, &t);
    message model = wrap(&graph);
    tola_checkpoint *ck;
    assert_int_equal(tola_checkpoint_open_memory("no_extension", model.data, model.length, &ck, NULL), TOLA_OK);
    tola_checkpoint_close(ck);
}

/* ---- external data ---- */

static char model_path[512];

static void write_external(const char *folder) {
    message graph = { .length = 0 };
    static const char *const names[] = { "a", "tied", "b" };
    static const char *const offsets[] = { "0", "0", "8" };
    for (int i = 0; i < 3; i++) {
        message t = { .length = 0 };
        put_number(&t, 1, 2);
        put_number(&t, 2, 1);
        put_text(&t, 8, names[i]);
        put_number(&t, 14, 1);
        external(&t, "location", "weights.bin");
        external(&t, "offset", offsets[i]);
        put_message(&graph, 5, &t);
    }
    message model = wrap(&graph);
    char data[512];
    snprintf(model_path, sizeof model_path, "%s/m.onnx", folder);
    snprintf(data, sizeof data, "%s/weights.bin", folder);
    unit_write(model_path, model.data, model.length);
    unit_write(data, "0123456789abcdef", 16);
}

static void test_external(void **state) {
    (void)state;
    const char *folder = unit_folder();
    write_external(folder);
    tola_checkpoint *ck;
    char bytes[8];
    assert_int_equal(tola_checkpoint_open(model_path, NULL, &ck, NULL), TOLA_OK);
    assert_int_equal(tola_checkpoint_file_count(ck), 2);
    assert_int_equal(tola_checkpoint_tensor(ck, 0)->storage, tola_checkpoint_tensor(ck, 1)->storage);
    assert_int_not_equal(tola_checkpoint_tensor(ck, 0)->storage, tola_checkpoint_tensor(ck, 2)->storage);
    assert_true(tola_checkpoint_tensor(ck, 1)->flags & TOLA_TENSOR_SHARED);
    assert_int_equal(tola_checkpoint_read(ck, 2, 0, bytes, 8, NULL), TOLA_OK);
    assert_memory_equal(bytes, "89abcdef", 8);
    tola_checkpoint_close(ck);
    assert_int_equal(tola_checkpoint_open(folder, NULL, &ck, NULL), TOLA_OK); /* weights.bin is no model of its own */
    assert_string_equal(tola_checkpoint_format(ck), "onnx");
    tola_checkpoint_close(ck);
    char data[512];
    snprintf(data, sizeof data, "%s/weights.bin", folder);
    assert_int_equal(unlink(data), 0);
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_checkpoint_open(model_path, NULL, &ck, &err), TOLA_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "weights.bin"));
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.tolerant = true;
    assert_int_equal(tola_checkpoint_open(model_path, &options, &ck, NULL), TOLA_OK);
    assert_true(tola_checkpoint_tensor(ck, 0)->flags & TOLA_TENSOR_MISSING);
    assert_int_equal(tola_checkpoint_warning_count(ck), 1);
    assert_int_equal(tola_checkpoint_read(ck, 0, 0, bytes, 0, &err), TOLA_E_NOT_FOUND);
    tola_checkpoint_close(ck);
    unit_remove(folder);
}

/* ---- failures in turn ---- */

static tola_status open_and_read(tola_error *err) {
    tola_checkpoint *ck;
    tola_status status = tola_checkpoint_open(model_path, NULL, &ck, err);
    if (status != TOLA_OK) return status;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck) && status == TOLA_OK; i++) {
        uint8_t bytes[64];
        status = tola_checkpoint_read(ck, i, 0, bytes, (size_t)tola_checkpoint_tensor(ck, i)->bytes, err);
    }
    tola_checkpoint_close(ck);
    return status;
}

static void each(fault_kind kind) {
    for (uint64_t n = 0;; n++) {
        tola_error err = TOLA_ERROR_INIT;
        fault_arm(kind, n, false);
        tola_status status = open_and_read(&err);
        bool met = fault_count(kind) > n;
        fault_disarm();
        if (!met) {
            assert_int_equal(status, TOLA_OK);
            assert_true(n > 3);
            return;
        }
        if (status != TOLA_OK) assert_true(err.status == status && err.message[0]);
    }
}

static void test_faults(void **state) {
    (void)state;
    const char *folder = unit_folder();
    write_external(folder);
    each(FAULT_ALLOC);
    each(FAULT_READ);
    message graph = { .length = 0 }, t = f32_tensor("w"), ints = { .length = 0 };
    put_message(&graph, 5, &t);
    put_number(&ints, 1, 2);
    put_number(&ints, 2, 7);
    put_number(&ints, 7, 1);
    put_number(&ints, 7, 2);
    put_text(&ints, 8, "ints");
    put_message(&graph, 5, &ints);
    put_text(&graph, 2, "name");
    message model = wrap(&graph), props = { .length = 0 };
    put_text(&props, 1, "k");
    put_text(&props, 2, "v");
    put_message(&model, 14, &props);
    unit_write(model_path, model.data, model.length);
    each(FAULT_ALLOC);
    each(FAULT_READ);
    unit_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple), cmocka_unit_test(test_pieces),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_probe),  cmocka_unit_test(test_external), cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
