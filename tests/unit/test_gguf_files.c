/* GGUF across files: split models, and what the writer makes, read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "gguf_build.h"
#include "tensor/dtype.h"
#include <tola/tola.h>

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/tola-gguf-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name) {
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void save(const char *name, const file *f) {
    FILE *out = fopen(in_folder(name), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(f->data, 1, f->length, out), f->length);
    assert_int_equal(fclose(out), 0);
}

static tola_checkpoint *opened(const char *name, bool tolerant) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.tolerant = tolerant;
    tola_status status = tola_checkpoint_open(in_folder(name), &options, &ck, &err);
    if (status != TOLA_OK) fail_msg("%s", err.message);
    return ck;
}

static void refused(const char *name, tola_status status, const char *message) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_checkpoint_open(in_folder(name), NULL, &ck, &err), status);
    if (!strstr(err.message, message)) fail_msg("'%s' is not in '%s'", message, err.message);
}

static void remove_file(const char *name) { assert_int_equal(unlink(in_folder(name)), 0); }

/* ---- split models ---- */

/* Part `no` of `count` with tensor `name` of 8 bytes, all equal to `byte`; says that the model has `total` tensors. */
static void save_part(const char *file_name, unsigned no, unsigned count, unsigned total, const char *name,
                      uint8_t byte) {
    file *f = fresh();
    begin(f, 1, no == 0 ? 4 : 3);
    if (no == 0) key(f, "general.name", GGUF_STRING), text(f, "split");
    key(f, "split.no", GGUF_U16), u16(f, (uint16_t)no);
    key(f, "split.count", GGUF_U16), u16(f, (uint16_t)count);
    key(f, "split.tensors.count", GGUF_I32), u32(f, total);
    tensor1(f, name, 8, 24, 0);
    pad(f, 32);
    for (int i = 0; i < 8; i++) u8(f, byte);
    save(file_name, f);
    free(f);
}

static void save_model(void) {
    save_part("m-00001-of-00003.gguf", 0, 3, 3, "a", 1);
    save_part("m-00002-of-00003.gguf", 1, 3, 3, "b", 2);
    save_part("m-00003-of-00003.gguf", 2, 3, 3, "c", 3);
}

static void test_split_from_any_part(void **state) {
    (void)state;
    static const char *const names[] = { "m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf" };
    save_model();
    for (int first = 0; first < 3; first++) {
        tola_checkpoint *ck = opened(names[first], false);
        assert_int_equal(tola_checkpoint_tensor_count(ck), 3);
        assert_int_equal(tola_checkpoint_file_count(ck), 3);
        assert_string_equal(tola_value_str(tola_value_get(tola_checkpoint_metadata(ck), "general.name"), ""), "split");
        for (unsigned i = 0; i < 3; i++) {
            const tola_tensor_info *info = tola_checkpoint_tensor(ck, i);
            char expected[2] = { (char)('a' + i), 0 };
            uint8_t bytes[8];
            tola_error err = TOLA_ERROR_INIT;
            assert_string_equal(info->name, expected);
            assert_int_equal(info->file, i);
            assert_string_equal(tola_checkpoint_file(ck, i)->path, in_folder(names[i]));
            assert_int_equal(tola_checkpoint_read(ck, i, 0, bytes, 8, &err), TOLA_OK);
            assert_int_equal(bytes[7], i + 1);
        }
        tola_checkpoint_close(ck);
    }
}

static void test_split_with_missing_part(void **state) {
    (void)state;
    save_model();
    remove_file("m-00001-of-00003.gguf");
    refused("m-00003-of-00003.gguf", TOLA_E_NOT_FOUND, "the model is split into 3 files and part 1 is not there: ");
    refused("m-00003-of-00003.gguf", TOLA_E_NOT_FOUND, "/m-00001-of-00003.gguf");
    tola_checkpoint *ck = opened("m-00003-of-00003.gguf", true);
    assert_int_equal(tola_checkpoint_tensor_count(ck), 2);
    assert_int_equal(tola_checkpoint_warning_count(ck), 1);
    assert_non_null(strstr(tola_checkpoint_warning(ck, 0), "part 1 of 3 is not there, its tensors are not listed: "));
    assert_string_equal(tola_checkpoint_tensor(ck, 1)->name, "c");
    tola_checkpoint_close(ck);
}

static void test_split_that_contradicts_itself(void **state) {
    (void)state;
    save_model();
    save_part("m-00002-of-00003.gguf", 2, 3, 3, "b", 2);
    refused("m-00001-of-00003.gguf", TOLA_E_FORMAT, "says that it is part 3 of 3, its name says part 2 of 3");
    save_part("m-00002-of-00003.gguf", 1, 2, 3, "b", 2);
    refused("m-00001-of-00003.gguf", TOLA_E_FORMAT, "says that it is part 2 of 2, its name says part 2 of 3");
    save_part("m-00002-of-00003.gguf", 1, 3, 3, "a", 2);
    refused("m-00001-of-00003.gguf", TOLA_E_FORMAT, "'a'");
    save_part("m-00002-of-00003.gguf", 1, 3, 3, "b", 2);
    save_part("m-00001-of-00003.gguf", 0, 3, 4, "a", 1);
    refused("m-00001-of-00003.gguf", TOLA_E_FORMAT,
            "metadata 'split.tensors.count': is 4, but the parts hold 3 tensors");
    save_part("m-00001-of-00003.gguf", 3, 3, 3, "a", 1);
    refused("m-00001-of-00003.gguf", TOLA_E_FORMAT,
            "metadata 'split.no': absent or not below 'split.count', which is 3");
    save_part("m-00001-of-00003.gguf", 0, 5000, 3, "a", 1);
    refused("m-00001-of-00003.gguf", TOLA_E_LIMIT, "metadata 'split.count': the model has 5000 parts; at most 4096");
    save_part("renamed.gguf", 0, 3, 3, "a", 1);
    refused("renamed.gguf", TOLA_E_NOT_FOUND,
            "its name does not end in -00001-of-00003.gguf, so the other parts cannot be found");
    tola_checkpoint *ck = opened("renamed.gguf", true);
    assert_int_equal(tola_checkpoint_tensor_count(ck), 1);
    assert_int_equal(tola_checkpoint_warning_count(ck), 1);
    tola_checkpoint_close(ck);
    remove_file("renamed.gguf");
}

static void test_split_with_broken_part(void **state) {
    (void)state;
    save_model();
    file *f = fresh();
    begin(f, 1, 0);
    tensor1(f, "b", 8, 4, 0);
    pad(f, 32);
    payload(f, 8);
    save("m-00002-of-00003.gguf", f);
    free(f);
    refused("m-00001-of-00003.gguf", TOLA_E_UNSUPPORTED,
            "/m-00002-of-00003.gguf: offset 45: tensor 'b': its type 4 (q4_2) was removed from the format");
    /* tolerance is for what is missing, not for what is broken */
    tola_checkpoint *ck = NULL;
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.tolerant = true;
    assert_int_equal(tola_checkpoint_open(in_folder("m-00001-of-00003.gguf"), &options, &ck, NULL), TOLA_E_UNSUPPORTED);
}

static void test_split_in_memory_opens_no_files(void **state) {
    (void)state;
    save_model();
    static uint8_t bytes[1024];
    FILE *in = fopen(in_folder("m-00001-of-00003.gguf"), "rb");
    assert_non_null(in);
    size_t n = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_checkpoint_open_memory(in_folder("m-00001-of-00003.gguf"), bytes, n, &ck, &err),
                     TOLA_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "part 1 of 3 of a split model"));
}

static void test_split_with_part_of_another_kind(void **state) {
    (void)state;
    save_model();
    file *f = fresh();
    put(f, "FUGG", 4);
    payload(f, 60);
    save("m-00003-of-00003.gguf", f);
    free(f);
    refused("m-00001-of-00003.gguf", TOLA_E_FORMAT,
            "/m-00003-of-00003.gguf: offset 0: starts with 46 55 47 47, not with 'GGUF'");
}

/* Claims that fit in the file, but in no header. */
static void test_limits(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_STRING), u64(f, 120000000);
    save("long.gguf", f);
    assert_int_equal(truncate(in_folder("long.gguf"), 200000000), 0);
    refused("long.gguf", TOLA_E_LIMIT,
            "offset 37: metadata 'k': string ends beyond the first 100000000 bytes: no header is that long");
    begin(f, 0, 70000);
    save("long.gguf", f);
    assert_int_equal(truncate(in_folder("long.gguf"), 2000000), 0);
    refused("long.gguf", TOLA_E_LIMIT, "offset 24: 70000 metadata entries; at most 65536 are read");
    begin(f, 0, 1);
    u64(f, 65536);
    save("long.gguf", f);
    assert_int_equal(truncate(in_folder("long.gguf"), 2000000), 0);
    refused("long.gguf", TOLA_E_LIMIT, "offset 24: metadata key of 65536 bytes; at most 65535 are allowed");
    remove_file("long.gguf");
    free(f);
}

/* ---- the writer ---- */

static tola_status write_all(const char *name, const tola_tensor_spec *specs, size_t count,
                             const tola_write_options *options, tola_error *err) {
    tola_writer *w = NULL;
    tola_status status = tola_writer_open(in_folder(name), specs, count, options, &w, err);
    if (status != TOLA_OK) return status;
    for (size_t i = 0; i < count && status == TOLA_OK; i++) {
        uint64_t elements = 1, bytes;
        for (unsigned d = 0; d < specs[i].n_dims; d++) elements *= specs[i].shape[d];
        assert_int_equal(tola_dtype_size((tola_dtype)specs[i].dtype, elements, &bytes), TOLA_OK);
        uint8_t *data = malloc(bytes);
        assert_non_null(data);
        for (size_t k = 0; k < bytes; k++) data[k] = (uint8_t)(k * 3 + i);
        status = tola_writer_write(w, i, bytes / 2, data + bytes / 2, bytes - bytes / 2, err);
        if (status == TOLA_OK) status = tola_writer_write(w, i, 0, data, bytes / 2, err);
        free(data);
    }
    if (status == TOLA_OK) return tola_writer_finish(w, err);
    tola_writer_abort(w);
    return status;
}

static void written(const char *name, const tola_tensor_spec *specs, size_t count, const tola_write_options *options) {
    tola_error err = TOLA_ERROR_INIT;
    if (write_all(name, specs, count, options, &err) != TOLA_OK) fail_msg("%s", err.message);
}

static void check_written(const tola_checkpoint *ck, const tola_tensor_spec *specs, size_t count) {
    assert_int_equal(tola_checkpoint_tensor_count(ck), count);
    assert_int_equal(tola_checkpoint_warning_count(ck), 0);
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *info = tola_checkpoint_tensor(ck, i);
        assert_string_equal(info->name, specs[i].name);
        assert_int_equal(info->dtype, specs[i].dtype);
        assert_int_equal(info->n_dims, specs[i].n_dims);
        for (unsigned d = 0; d < info->n_dims; d++) assert_true(info->shape[d] == specs[i].shape[d]);
        uint8_t *data = malloc(info->bytes);
        assert_non_null(data);
        assert_int_equal(tola_checkpoint_read(ck, i, 0, data, info->bytes, NULL), TOLA_OK);
        for (size_t k = 0; k < info->bytes; k++) assert_int_equal(data[k], (uint8_t)(k * 3 + i));
        free(data);
    }
}

static const uint64_t shape_a[] = { 5, 7 }, shape_b[] = { 2, 3, 64 }, shape_c[] = { 1, 2, 1, 256 };
static const tola_tensor_spec specs[] = {
    { "a", shape_a, 2, TOLA_DTYPE_F32, 0 },
    { "scalar", NULL, 0, TOLA_DTYPE_F64, 0 },
    { "b.weight", shape_b, 3, TOLA_DTYPE_Q8_0, 0 },
    { "c", shape_c, 4, TOLA_DTYPE_Q6_K, 0 },
    { "d: a name of 63 bytes, the longest that llama.cpp will read: 12", shape_a, 1, TOLA_DTYPE_I8, 0 },
};
#define SPECS (sizeof specs / sizeof specs[0])

static void test_written_single(void **state) {
    (void)state;
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    written("one.gguf", specs, SPECS, &options);
    tola_checkpoint *ck = opened("one.gguf", false);
    check_written(ck, specs, SPECS);
    for (size_t i = 0; i < SPECS; i++) assert_int_equal(tola_checkpoint_tensor(ck, i)->offset % 32, 0);
    assert_int_equal(tola_checkpoint_file(ck, 0)->bytes % 32, 0);
    tola_checkpoint_close(ck);
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(write_all("one.gguf", specs, SPECS, &options, &err), TOLA_E_EXISTS);
    remove_file("one.gguf");
}

static void test_written_into_folder(void **state) {
    (void)state;
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    options.format = "gguf";
    options.folder = true;
    written("model/", specs, SPECS, &options);
    tola_checkpoint *ck = opened("model/model.gguf", false);
    check_written(ck, specs, SPECS);
    tola_checkpoint_close(ck);
    options.max_shard_size = 430;
    written("split/", specs, SPECS, &options);
    ck = opened("split/model-00003-of-00003.gguf", false);
    check_written(ck, specs, SPECS);
    tola_checkpoint_close(ck);
    ck = opened("split", false); /* a folder, too, finds them */
    check_written(ck, specs, SPECS);
    tola_checkpoint_close(ck);
}

static void test_written_every_type(void **state) {
    (void)state;
    tola_tensor_spec all[TOLA_DTYPE_COUNT];
    static char names[TOLA_DTYPE_COUNT][16];
    uint64_t shape[2] = { 3, 512 };
    size_t count = 0;
    for (int d = 0; d < TOLA_DTYPE_COUNT; d++) {
        if (dtype_get((tola_dtype)d)->ggml < 0) continue;
        snprintf(names[count], sizeof names[0], "%s", tola_dtype_name((tola_dtype)d));
        all[count] = (tola_tensor_spec){ names[count], shape, 2, (uint16_t)d, 0 };
        count++;
    }
    assert_int_equal(count, 35);
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    written("types.gguf", all, count, &options);
    tola_checkpoint *ck = opened("types.gguf", false);
    check_written(ck, all, count);
    tola_checkpoint_close(ck);
    remove_file("types.gguf");
}

static void test_written_split(void **state) {
    (void)state;
    tola_member members[] = {
        { { "general.name", 12 }, { .kind = TOLA_VALUE_STRING, .as.string = { "x", 1 } } },
        { { "general.alignment", 17 }, { .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U32, .as.u64 = 64 } },
        { { "split.count", 11 }, { .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U16, .as.u64 = 9 } },
    };
    tola_value metadata = { .kind = TOLA_VALUE_MAP, .as.map = { members, 3 } };
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    options.max_shard_size = 430;
    options.metadata = &metadata;
    written("big.gguf", specs, SPECS, &options);
    tola_checkpoint *ck = opened("big-00002-of-00003.gguf", false);
    check_written(ck, specs, SPECS);
    assert_int_equal(tola_checkpoint_file_count(ck), 3);
    const tola_value *m = tola_checkpoint_metadata(ck);
    assert_string_equal(tola_value_str(tola_value_get(m, "general.name"), ""), "x");
    assert_int_equal(tola_value_u64(tola_value_get(m, "general.alignment"), 0), 64);
    assert_int_equal(tola_value_u64(tola_value_get(m, "split.count"), 0), 3);
    assert_int_equal(tola_value_get(m, "split.count")->dtype, TOLA_DTYPE_U16);
    assert_int_equal(tola_value_u64(tola_value_get(m, "split.no"), 9), 0);
    assert_int_equal(tola_value_u64(tola_value_get(m, "split.tensors.count"), 0), SPECS);
    assert_int_equal(tola_value_get(m, "split.tensors.count")->dtype, TOLA_DTYPE_I32);
    for (size_t i = 0; i < SPECS; i++) assert_int_equal(tola_checkpoint_tensor(ck, i)->offset % 64, 0);
    tola_checkpoint_close(ck);
    options.max_shard_size = 1 << 20; /* all fit into one: an ordinary name and no split.* */
    written("small.gguf", specs, SPECS, &options);
    ck = opened("small.gguf", false);
    assert_null(tola_value_get(tola_checkpoint_metadata(ck), "split.count"));
    tola_checkpoint_close(ck);
}

/* Metadata of a GGUF comes back with the types it had. */
static void test_written_metadata(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 7);
    key(f, "u8", GGUF_U8), u8(f, 7);
    key(f, "i16", GGUF_I16), u16(f, (uint16_t)-7);
    key(f, "f32", GGUF_F32), u32(f, 0x3dcccccd); /* 0.1f */
    key(f, "nan", GGUF_F32), u32(f, 0x7fc00000);
    key(f, "words", GGUF_ARRAY), u32(f, GGUF_STRING), u64(f, 2), text(f, "a"), text(f, "");
    key(f, "none", GGUF_ARRAY), u32(f, GGUF_I8), u64(f, 0);
    key(f, "nested", GGUF_ARRAY), u32(f, GGUF_ARRAY), u64(f, 2);
    u32(f, GGUF_U16), u64(f, 2), u16(f, 1), u16(f, 0xffff), u32(f, GGUF_BOOL), u64(f, 1), u8(f, 1);
    save("in.gguf", f);
    tola_checkpoint *in = opened("in.gguf", false);
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    options.metadata = tola_checkpoint_metadata(in);
    written("out.gguf", NULL, 0, &options);
    tola_checkpoint_close(in);
    pad(f, 32);
    FILE *out = fopen(in_folder("out.gguf"), "rb");
    assert_non_null(out);
    static uint8_t bytes[4096];
    assert_int_equal(fread(bytes, 1, sizeof bytes, out), f->length);
    fclose(out);
    assert_memory_equal(bytes, f->data, f->length);
    free(f);
    remove_file("in.gguf");
    remove_file("out.gguf");
}

static tola_member member(const char *name, tola_value v) { return (tola_member){ { name, strlen(name) }, v }; }

/* Metadata of other formats becomes what GGUF has. */
static void test_written_foreign_metadata(void **state) {
    (void)state;
    tola_value one = { .kind = TOLA_VALUE_UINT, .as.u64 = 1 }, minus = { .kind = TOLA_VALUE_INT, .as.i64 = -1 };
    tola_value half = { .kind = TOLA_VALUE_FLOAT, .as.f64 = 0.5 };
    tola_value yes = { .kind = TOLA_VALUE_BOOL, .as.boolean = true };
    tola_value word = { .kind = TOLA_VALUE_STRING, .as.string = { "w", 1 } }, null = { .kind = TOLA_VALUE_NULL };
    tola_value whole[] = { one, minus }, mixed[] = { one, half }, odd[] = { one, word };
    tola_value words[] = { word, word };
    tola_value list = { .kind = TOLA_VALUE_ARRAY, .as.array = { whole, 2 } };
    tola_value lists[] = { list, list };
    tola_member inner[] = { member("k", one) };
#define LIST(items) (tola_value){ .kind = TOLA_VALUE_ARRAY, .as.array = { items, 2 } }
    tola_member members[] = {
        member("one", one), member("half", half), member("yes", yes), member("null", null), member("whole", list),
        member("mixed", LIST(mixed)), member("odd", LIST(odd)), member("words", LIST(words)),
        member("lists", LIST(lists)), member("map", (tola_value){ .kind = TOLA_VALUE_MAP, .as.map = { inner, 1 } }),
        member("empty", (tola_value){ .kind = TOLA_VALUE_ARRAY, .as.array = { NULL, 0 } }),
    };
    tola_value metadata = { .kind = TOLA_VALUE_MAP, .as.map = { members, sizeof members / sizeof *members } };
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    options.metadata = &metadata;
    written("foreign.gguf", NULL, 0, &options);
    tola_checkpoint *ck = opened("foreign.gguf", false);
    const tola_value *m = tola_checkpoint_metadata(ck);
    assert_int_equal(m->as.map.count, 10);
    assert_int_equal(tola_value_get(m, "one")->dtype, TOLA_DTYPE_U64);
    assert_int_equal(tola_value_get(m, "half")->dtype, TOLA_DTYPE_F64);
    assert_true(tola_value_bool(tola_value_get(m, "yes"), false));
    assert_int_equal(tola_value_get(m, "whole")->dtype, TOLA_DTYPE_I64);
    assert_int_equal(tola_value_get(m, "mixed")->dtype, TOLA_DTYPE_F64);
    assert_string_equal(tola_value_str(tola_value_get(m, "odd"), ""), "[1,\"w\"]");
    assert_int_equal(tola_value_get(m, "words")->element, TOLA_VALUE_STRING);
    assert_string_equal(tola_value_str(tola_value_get(m, "lists"), ""), "[[1,-1],[1,-1]]");
    assert_string_equal(tola_value_str(tola_value_get(m, "map"), ""), "{\"k\":1}");
    assert_int_equal(tola_value_get(m, "empty")->as.array.count, 0);
    tola_checkpoint_close(ck);
    remove_file("foreign.gguf");
}

static void write_refused(tola_tensor_spec spec, const tola_value *metadata, tola_status status, const char *message) {
    tola_error err = TOLA_ERROR_INIT;
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    tola_tensor_spec both[2] = { { "fine", shape_a, 2, TOLA_DTYPE_F32, 0 }, spec };
    options.metadata = metadata;
    assert_int_equal(write_all("no.gguf", both, 2, &options, &err), status);
    if (!strstr(err.message, message)) fail_msg("'%s' is not in '%s'", message, err.message);
    assert_int_equal(access(in_folder("no.gguf"), F_OK), -1);
}

static void test_what_cannot_be_written(void **state) {
    (void)state;
    static const uint64_t five[] = { 1, 1, 1, 1, 1 }, none[] = { 3, 0 }, row[] = { 2, 48 };
    tola_tensor_spec fine = { "w", shape_a, 2, TOLA_DTYPE_F16, 0 };
    write_refused((tola_tensor_spec){ "mask", shape_a, 2, TOLA_DTYPE_BOOL, 0 }, NULL, TOLA_E_UNSUPPORTED,
                  "tensor 'mask': gguf cannot hold bool");
    write_refused((tola_tensor_spec){ "w", shape_a, 2, TOLA_DTYPE_F8_E4M3, 0 }, NULL, TOLA_E_UNSUPPORTED,
                  "tensor 'w': gguf cannot hold f8_e4m3");
    write_refused((tola_tensor_spec){ "w", five, 5, TOLA_DTYPE_F32, 0 }, NULL, TOLA_E_UNSUPPORTED,
                  "tensor 'w': has 5 dimensions; gguf holds at most 4");
    write_refused((tola_tensor_spec){ "w", none, 2, TOLA_DTYPE_F32, 0 }, NULL, TOLA_E_UNSUPPORTED,
                  "tensor 'w': has no elements; gguf cannot hold that");
    write_refused((tola_tensor_spec){ "w", row, 2, TOLA_DTYPE_Q4_0, 0 }, NULL, TOLA_E_UNSUPPORTED,
                  "tensor 'w': has rows of 48 elements, no multiple of the 32 in a block of q4_0");
    write_refused((tola_tensor_spec){ "0123456789012345678901234567890123456789012345678901234567890123", shape_a, 2,
                                      TOLA_DTYPE_F32, 0 }, NULL, TOLA_E_UNSUPPORTED,
                  "tensor '0123456789012345678901234567890123456789012345678901234567890123': its name has 64 bytes; "
                  "names in gguf have 1 to 63");
    write_refused((tola_tensor_spec){ "fine", shape_a, 2, TOLA_DTYPE_F32, 0 }, NULL, TOLA_E_ARG, "'fine'");
    tola_member empty_key = { { "", 0 }, { .kind = TOLA_VALUE_BOOL } };
    tola_value metadata = { .kind = TOLA_VALUE_MAP, .as.map = { &empty_key, 1 } };
    write_refused(fine, &metadata, TOLA_E_UNSUPPORTED, "metadata key '' has 0 bytes; gguf allows 1 to 65535");
    tola_member control = { { "a\0b", 3 }, { .kind = TOLA_VALUE_BOOL } };
    metadata.as.map.members = &control;
    write_refused(fine, &metadata, TOLA_E_UNSUPPORTED, "metadata key 'a\\x00b' is not text");
    tola_member twice[] = { { { "k", 1 }, { .kind = TOLA_VALUE_BOOL } }, { { "k", 1 }, { .kind = TOLA_VALUE_BOOL } } };
    metadata.as.map.members = twice;
    metadata.as.map.count = 2;
    write_refused(fine, &metadata, TOLA_E_ARG, "metadata key 'k' occurs twice");
    metadata.as.map.count = 1;
    tola_member alignment = { { "general.alignment", 17 },
                              { .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U32, .as.u64 = 48 } };
    metadata.as.map.members = &alignment;
    write_refused(fine, &metadata, TOLA_E_ARG, "metadata 'general.alignment': must be a power of two");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_from_any_part),
        cmocka_unit_test(test_split_with_missing_part),
        cmocka_unit_test(test_split_that_contradicts_itself),
        cmocka_unit_test(test_split_with_broken_part),
        cmocka_unit_test(test_split_with_part_of_another_kind),
        cmocka_unit_test(test_split_in_memory_opens_no_files),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_written_single),
        cmocka_unit_test(test_written_into_folder),
        cmocka_unit_test(test_written_every_type),
        cmocka_unit_test(test_written_split),
        cmocka_unit_test(test_written_metadata),
        cmocka_unit_test(test_written_foreign_metadata),
        cmocka_unit_test(test_what_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
