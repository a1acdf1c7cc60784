/* GGUF: what is read, in either byte order. What is refused is in test_gguf_refused.c, files in test_gguf_files.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gguf_build.h"
#include <tola/tola.h>

/* ---- opening ---- */

static tola_checkpoint *opened(const file *f) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = tola_checkpoint_open_memory("t.gguf", f->data, f->length, &ck, &err);
    if (status != TOLA_OK) fail_msg("%s", err.message);
    return ck;
}

static const tola_value *value(const tola_checkpoint *ck, const char *name) {
    const tola_value *v = tola_value_get(tola_checkpoint_metadata(ck), name);
    if (!v) fail_msg("no metadata '%s'", name);
    return v;
}

/* ---- what is read ---- */

static void test_empty(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 0); /* ends before the aligned start of a data section that has nothing in it */
    tola_checkpoint *ck = opened(f);
    assert_string_equal(tola_checkpoint_format(ck), "gguf");
    assert_int_equal(tola_checkpoint_tensor_count(ck), 0);
    assert_int_equal(tola_checkpoint_warning_count(ck), 0);
    tola_checkpoint_close(ck);
    free(f);
}

static void check_number(const tola_checkpoint *ck, const char *name, int kind, int dtype, int64_t expected) {
    const tola_value *v = value(ck, name);
    assert_int_equal(v->kind, kind);
    assert_int_equal(v->dtype, dtype);
    assert_true(v->as.i64 == expected);
}

static void check_values(const tola_checkpoint *ck) {
    check_number(ck, "a.u8", TOLA_VALUE_UINT, TOLA_DTYPE_U8, 200);
    check_number(ck, "a.i8", TOLA_VALUE_INT, TOLA_DTYPE_I8, -5);
    check_number(ck, "a.u16", TOLA_VALUE_UINT, TOLA_DTYPE_U16, 60000);
    check_number(ck, "a.i16", TOLA_VALUE_INT, TOLA_DTYPE_I16, -300);
    check_number(ck, "a.u32", TOLA_VALUE_UINT, TOLA_DTYPE_U32, 4000000000);
    check_number(ck, "a.i32", TOLA_VALUE_INT, TOLA_DTYPE_I32, -70000);
    check_number(ck, "a.u64", TOLA_VALUE_UINT, TOLA_DTYPE_U64, (int64_t)18000000000000000000u);
    check_number(ck, "a.i64", TOLA_VALUE_INT, TOLA_DTYPE_I64, -5000000000);
    assert_true(tola_value_f64(value(ck, "a.f32"), 0) == 1.5);
    assert_int_equal(value(ck, "a.f32")->dtype, TOLA_DTYPE_F32);
    assert_true(tola_value_f64(value(ck, "a.f64"), 0) == -2.5);
    assert_int_equal(value(ck, "a.f64")->dtype, TOLA_DTYPE_F64);
    assert_true(tola_value_bool(value(ck, "a.bool"), false));
    assert_string_equal(tola_value_str(value(ck, "a.string"), ""), "h\xc3\xa9llo");
    const tola_value *v = value(ck, "b.u16");
    assert_int_equal(v->element, TOLA_VALUE_UINT);
    assert_int_equal(v->dtype, TOLA_DTYPE_U16);
    assert_int_equal(v->as.array.count, 3);
    tola_value last = tola_value_at(v, 2);
    assert_int_equal(last.as.u64, 513);
    v = value(ck, "b.bool");
    assert_int_equal(v->element, TOLA_VALUE_BOOL);
    tola_value yes = tola_value_at(v, 1), no = tola_value_at(v, 0);
    assert_true(yes.as.boolean && !no.as.boolean);
    v = value(ck, "b.string");
    assert_int_equal(v->element, TOLA_VALUE_STRING);
    tola_value empty = tola_value_at(v, 1), third = tola_value_at(v, 2);
    assert_string_equal(empty.as.string.data, "");
    assert_string_equal(third.as.string.data, "yz");
    v = value(ck, "b.none");
    assert_int_equal(v->as.array.count, 0);
    assert_int_equal(v->dtype, TOLA_DTYPE_F32);
    v = value(ck, "c.nested");
    assert_int_equal(v->element, TOLA_VALUE_NULL);
    assert_int_equal(v->as.array.count, 2);
    tola_value inner = tola_value_at(v, 0), words = tola_value_at(v, 1);
    tola_value minus = tola_value_at(&inner, 1), deep = tola_value_at(&words, 0);
    assert_int_equal(inner.dtype, TOLA_DTYPE_I32);
    assert_true(minus.as.i64 == -7);
    assert_string_equal(deep.as.string.data, "deep");
}

static void test_metadata(void **state) {
    (void)state;
    for (int big = 0; big <= 1; big++)
        for (uint32_t version = 2; version <= 3; version++) {
            file *f = fresh();
            f->big = big;
            begin_version(f, version, 0, VALUES);
            put_values(f);
            tola_checkpoint *ck = opened(f);
            assert_int_equal(tola_checkpoint_metadata(ck)->as.map.count, VALUES);
            check_values(ck);
            tola_checkpoint_close(ck);
            free(f);
        }
}

static void test_tensors(void **state) {
    (void)state;
    file *f = fresh();
    uint64_t dims[4] = { 32, 3, 2, 1 };
    begin(f, 4, 0);
    tensor(f, "q", 3, dims, 2, 0);                  /* q4_0: 6 blocks of 18 bytes */
    tensor(f, "b", 4, dims, 30, 128);               /* bf16: 192 elements */
    tensor(f, "scalar", 0, NULL, 0, 512);           /* as gguf-py writes one */
    tensor1(f, "64 bytes, which only llama.cpp finds one too many: 9012345678901", 1, 24, 544);
    pad(f, 32);
    size_t data = f->length;
    payload(f, 545);
    tola_checkpoint *ck = opened(f);
    assert_int_equal(tola_checkpoint_tensor_count(ck), 4);
    const tola_tensor_info *q = tola_checkpoint_tensor(ck, 0), *b = tola_checkpoint_tensor(ck, 1);
    const tola_tensor_info *scalar = tola_checkpoint_tensor(ck, 2), *last = tola_checkpoint_tensor(ck, 3);
    assert_string_equal(q->name, "q");
    assert_int_equal(q->dtype, TOLA_DTYPE_Q4_0);
    assert_int_equal(q->n_dims, 3); /* outermost first */
    assert_int_equal(q->shape[0], 2);
    assert_int_equal(q->shape[1], 3);
    assert_int_equal(q->shape[2], 32);
    assert_int_equal(q->elements, 192);
    assert_int_equal(q->bytes, 108);
    assert_int_equal(q->offset, data);
    assert_int_equal(b->n_dims, 4);
    assert_int_equal(b->shape[0], 1);
    assert_int_equal(b->bytes, 384);
    assert_int_equal(scalar->n_dims, 0);
    assert_int_equal(scalar->elements, 1);
    assert_int_equal(strlen(last->name), 64);
    assert_int_equal(last->offset, data + 544);
    uint8_t bytes[108];
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_checkpoint_read(ck, 0, 0, bytes, sizeof bytes, &err), TOLA_OK);
    assert_memory_equal(bytes, f->data + data, sizeof bytes);
    assert_int_equal(tola_checkpoint_warning_count(ck), 0);
    tola_checkpoint_close(ck);
    free(f);
}

static void test_alignment(void **state) {
    (void)state;
    static const uint32_t alignments[] = { 1, 8, 64, 4096 };
    for (size_t i = 0; i < 4; i++) {
        file *f = fresh();
        begin(f, 2, 1);
        key(f, "general.alignment", GGUF_U32), u32(f, alignments[i]);
        tensor1(f, "a", 3, 24, 0);
        tensor1(f, "b", 3, 24, (3 + alignments[i] - 1) & ~(alignments[i] - 1));
        pad(f, alignments[i]);
        size_t data = f->length;
        payload(f, 3);
        pad(f, alignments[i]);
        payload(f, 3);
        tola_checkpoint *ck = opened(f);
        assert_int_equal(tola_checkpoint_tensor(ck, 0)->offset, data);
        assert_int_equal(tola_checkpoint_tensor(ck, 1)->offset % alignments[i], 0);
        assert_int_equal(tola_checkpoint_warning_count(ck), alignments[i] == 1);
        tola_checkpoint_close(ck);
        free(f);
    }
}

static void expect_warning(const file *f, const char *message) {
    tola_checkpoint *ck = opened(f);
    assert_int_equal(tola_checkpoint_warning_count(ck), 1);
    assert_string_equal(tola_checkpoint_warning(ck, 0), message);
    tola_checkpoint_close(ck);
}

static void test_odd_but_readable(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 2, 0);
    tensor1(f, "a", 8, 0, 0);
    tensor1(f, "b", 8, 0, 96);
    pad(f, 32);
    payload(f, 128);
    expect_warning(f, "t.gguf: 64 bytes between tensors belong to none (in 1 place); llama.cpp refuses such a file");
    begin(f, 2, 0);
    tensor1(f, "a", 8, 0, 32);
    tensor1(f, "b", 8, 0, 0);
    pad(f, 32);
    payload(f, 64);
    expect_warning(f, "t.gguf: tensors are not stored in the order in which they are listed; llama.cpp refuses such a "
                      "file");
    begin(f, 1, 0);
    tensor1(f, "a", 8, 0, 0);
    pad(f, 32);
    payload(f, 32 + 5);
    expect_warning(f, "t.gguf: 5 bytes after the last tensor belong to none");
    free(f);
}

/* ---- every element type, both byte orders ---- */

typedef struct type_case {
    uint32_t id;
    tola_dtype dtype;
    uint32_t elements, bytes; /* of a block */
    const char *words;        /* offset:count:width of each multi-byte field; NULL: no big-endian layout */
} type_case;

static const type_case types[] = {
    { 0, TOLA_DTYPE_F32, 1, 4, "0:1:4" },
    { 1, TOLA_DTYPE_F16, 1, 2, "0:1:2" },
    { 2, TOLA_DTYPE_Q4_0, 32, 18, "0:1:2" },
    { 3, TOLA_DTYPE_Q4_1, 32, 20, "0:2:2" },
    { 6, TOLA_DTYPE_Q5_0, 32, 22, "0:1:2 2:1:4" },
    { 7, TOLA_DTYPE_Q5_1, 32, 24, "0:2:2 4:1:4" },
    { 8, TOLA_DTYPE_Q8_0, 32, 34, "0:1:2" },
    { 9, TOLA_DTYPE_Q8_1, 32, 36, "0:2:2" },
    { 10, TOLA_DTYPE_Q2_K, 256, 84, "80:2:2" },
    { 11, TOLA_DTYPE_Q3_K, 256, 110, "108:1:2" },
    { 12, TOLA_DTYPE_Q4_K, 256, 144, "0:2:2" },
    { 13, TOLA_DTYPE_Q5_K, 256, 176, "0:2:2" },
    { 14, TOLA_DTYPE_Q6_K, 256, 210, "208:1:2" },
    { 15, TOLA_DTYPE_Q8_K, 256, 292, "0:1:4 260:16:2" },
    { 16, TOLA_DTYPE_IQ2_XXS, 256, 66, NULL },
    { 17, TOLA_DTYPE_IQ2_XS, 256, 74, NULL },
    { 18, TOLA_DTYPE_IQ3_XXS, 256, 98, NULL },
    { 19, TOLA_DTYPE_IQ1_S, 256, 50, NULL },
    { 20, TOLA_DTYPE_IQ4_NL, 32, 18, "0:1:2" },
    { 21, TOLA_DTYPE_IQ3_S, 256, 110, NULL },
    { 22, TOLA_DTYPE_IQ2_S, 256, 82, NULL },
    { 23, TOLA_DTYPE_IQ4_XS, 256, 136, "0:2:2" },
    { 24, TOLA_DTYPE_I8, 1, 1, "" },
    { 25, TOLA_DTYPE_I16, 1, 2, "0:1:2" },
    { 26, TOLA_DTYPE_I32, 1, 4, "0:1:4" },
    { 27, TOLA_DTYPE_I64, 1, 8, "0:1:8" },
    { 28, TOLA_DTYPE_F64, 1, 8, "0:1:8" },
    { 29, TOLA_DTYPE_IQ1_M, 256, 56, NULL },
    { 30, TOLA_DTYPE_BF16, 1, 2, "0:1:2" },
    { 34, TOLA_DTYPE_TQ1_0, 256, 54, "52:1:2" },
    { 35, TOLA_DTYPE_TQ2_0, 256, 66, "64:1:2" },
    { 39, TOLA_DTYPE_MXFP4, 32, 17, "" },
    { 40, TOLA_DTYPE_NVFP4, 64, 36, "" },
    { 41, TOLA_DTYPE_Q1_0, 128, 18, "0:1:2" },
    { 42, TOLA_DTYPE_Q2_0, 64, 18, "0:1:2" },
};
#define TYPES (sizeof types / sizeof types[0])
#define BLOCKS 3

/* Little-endian bytes of one block from big-endian ones, by the words of the table. */
static void swap_block(const type_case *t, uint8_t *block) {
    for (const char *p = t->words; p && *p; p += strcspn(p, " "), p += *p == ' ') {
        unsigned at, count, width;
        assert_int_equal(sscanf(p, "%u:%u:%u", &at, &count, &width), 3);
        for (unsigned i = 0; i < count; i++)
            for (unsigned k = 0; k < width / 2; k++) {
                uint8_t *a = block + at + i * width + k, *b = block + at + (i + 1) * width - 1 - k, byte = *a;
                *a = *b;
                *b = byte;
            }
    }
}

static void check_type(const type_case *t, bool big) {
    file *f = fresh();
    tola_error err = TOLA_ERROR_INIT;
    uint8_t expected[BLOCKS * 292], got[BLOCKS * 292];
    size_t bytes = (size_t)BLOCKS * t->bytes;
    f->big = big;
    begin(f, 1, 0);
    tensor1(f, "w", (uint64_t)BLOCKS * t->elements, t->id, 0);
    pad(f, 32);
    memcpy(expected, f->data + f->length, 0);
    size_t data = f->length;
    payload(f, bytes);
    memcpy(expected, f->data + data, bytes);
    for (unsigned i = 0; big && i < BLOCKS; i++) swap_block(t, expected + (size_t)i * t->bytes);
    tola_checkpoint *ck = opened(f);
    const tola_tensor_info *info = tola_checkpoint_tensor(ck, 0);
    assert_int_equal(info->dtype, t->dtype);
    assert_int_equal(info->bytes, bytes);
    if (big && !t->words) {
        assert_int_equal(tola_checkpoint_read(ck, 0, 0, got, bytes, &err), TOLA_E_UNSUPPORTED);
        assert_non_null(strstr(err.message, "big-endian "));
    } else { /* every range: elements and blocks may be cut at either end */
        for (size_t from = 0; from < bytes; from += 1 + from / 9)
            for (size_t to = from; to <= bytes; to += 1 + (to - from) / 3) {
                memset(got, 0xee, sizeof got);
                assert_int_equal(tola_checkpoint_read(ck, 0, from, got, to - from, &err), TOLA_OK);
                assert_memory_equal(got, expected + from, to - from);
                assert_int_equal(got[to - from], 0xee);
            }
        assert_int_equal((info->flags & TOLA_TENSOR_SWAPPED) != 0, big && t->words[0]);
    }
    tola_checkpoint_close(ck);
    free(f);
}

static void test_element_types(void **state) {
    (void)state;
    for (size_t i = 0; i < TYPES; i++) {
        assert_int_equal(tola_dtype_block_elements(types[i].dtype), types[i].elements);
        assert_int_equal(tola_dtype_block_bytes(types[i].dtype), types[i].bytes);
        check_type(&types[i], false);
        check_type(&types[i], true);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_odd_but_readable),
        cmocka_unit_test(test_element_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
