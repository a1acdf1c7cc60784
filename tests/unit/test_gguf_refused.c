/* GGUF: what is refused, where, and with which words.
 *
 * The kinds are those that llama.cpp's tests/test-gguf.cpp handcrafts and those behind the CVEs of GGUF readers:
 * counts, lengths, dimensions and offsets that lie or wrap around, types that are none, names that occur twice. */
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

/* Opening fails with this status, this offset and this message (behind file and offset). Frees `f`. */
static void refused(file *f, tola_status status, uint64_t offset, const char *message) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    char expected[1200];
    /* a copy of exactly this size, so that the address sanitizer sees every byte read beyond it */
    uint8_t *exact = malloc(f->length ? f->length : 1);
    assert_non_null(exact);
    memcpy(exact, f->data, f->length);
    tola_status got = tola_checkpoint_open_memory("t.gguf", exact, f->length, &ck, &err);
    free(exact);
    free(f);
    if (offset == TOLA_NO_OFFSET)
        snprintf(expected, sizeof expected, "t.gguf: %s", message);
    else
        snprintf(expected, sizeof expected, "t.gguf: offset %" PRIu64 ": %s", offset, message);
    assert_string_equal(err.message, expected);
    assert_int_equal(got, status);
    assert_int_equal(err.status, status);
    assert_true(err.offset == offset);
    assert_null(ck);
}

static void test_removed_and_unknown_types(void **state) {
    (void)state;
    static const struct { uint32_t id; const char *message; } cases[] = {
        { 4, "tensor 'w': its type 4 (q4_2) was removed from the format" },
        { 5, "tensor 'w': its type 5 (q4_3) was removed from the format" },
        { 31, "tensor 'w': its type 31 (q4_0_4_4) was removed from the format" },
        { 33, "tensor 'w': its type 33 (q4_0_8_8) was removed from the format" },
        { 38, "tensor 'w': its type 38 (iq4_nl_8_8) was removed from the format" },
        { 43, "tensor 'w': its type 43 is not known, so its size is not either" },
        { 0xffffffff, "tensor 'w': its type 4294967295 is not known, so its size is not either" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file *f = fresh();
        begin(f, 1, 0);
        tensor1(f, "w", 256, cases[i].id, 0);
        pad(f, 32);
        payload(f, 1024);
        refused(f, TOLA_E_UNSUPPORTED, 24 + 9 + 4 + 8, cases[i].message);
    }
}

/* ---- what is refused: preamble ---- */

static void test_bad_preamble(void **state) {
    (void)state;
    file *f = fresh();
    begin_version(f, 0, 0, 0);
    refused(f, TOLA_E_UNSUPPORTED, 4, "unsupported version 0 of GGUF; 2 and 3 are read");
    f = fresh();
    begin_version(f, 1, 0, 0);
    refused(f, TOLA_E_UNSUPPORTED, 4, "unsupported version 1 of GGUF (32-bit counts, used in August 2023 only)");
    f = fresh();
    begin_version(f, 4, 0, 0);
    refused(f, TOLA_E_UNSUPPORTED, 4, "unsupported version 4 of GGUF; 2 and 3 are read");
    f = fresh();
    f->big = true;
    begin_version(f, 1, 0, 0);
    refused(f, TOLA_E_UNSUPPORTED, 4, "unsupported version 1 of GGUF (32-bit counts, used in August 2023 only)");
    f = fresh();
    begin(f, 0, 0);
    f->length = 23;
    refused(f, TOLA_E_FORMAT, 0, "truncated: the header needs 24 bytes, 23 are left");
    f = fresh();
    begin(f, UINT64_MAX, 0);
    payload(f, 40);
    refused(f, TOLA_E_FORMAT, 8,
            "the header claims 18446744073709551615 tensors, which cannot fit in the 40 bytes that follow");
    f = fresh();
    begin(f, 0, UINT64_MAX);
    payload(f, 40);
    refused(f, TOLA_E_FORMAT, 24,
            "the header claims 18446744073709551615 metadata entries, which cannot fit in the 40 bytes that follow");
    f = fresh();
    begin(f, 2, 0); /* one is there, two are claimed */
    tensor1(f, "a", 8, 24, 0);
    payload(f, 8);
    refused(f, TOLA_E_FORMAT, 8, "the header claims 2 tensors, which cannot fit in the 41 bytes that follow");
}

/* ---- what is refused: metadata ---- */

static void test_bad_keys(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 1);
    u64(f, UINT64_MAX), payload(f, 16);
    refused(f, TOLA_E_FORMAT, 24, "truncated: metadata key needs 18446744073709551615 bytes, 16 are left");
    f = fresh();
    begin(f, 0, 1);
    u64(f, (uint64_t)1 << 63), payload(f, 16);
    refused(f, TOLA_E_FORMAT, 24, "truncated: metadata key needs 9223372036854775808 bytes, 16 are left");
    f = fresh();
    begin(f, 0, 1);
    key(f, "", GGUF_U8), u8(f, 1), u8(f, 0);
    refused(f, TOLA_E_FORMAT, 24, "a metadata key is empty");
    f = fresh();
    begin(f, 0, 1);
    key(f, "a\x01\xff", GGUF_U8), u8(f, 1);
    refused(f, TOLA_E_FORMAT, 24, "the metadata key 'a\\x01\\xff' is not text");
    f = fresh();
    begin(f, 0, 1);
    u64(f, 3), put(f, "a\0b", 3), u32(f, GGUF_U8), u8(f, 1);
    refused(f, TOLA_E_FORMAT, 24, "the metadata key 'a\\x00b' is not text");
    f = fresh();
    begin(f, 0, 2);
    key(f, "twice", GGUF_U8), u8(f, 1);
    key(f, "twice", GGUF_U32), u32(f, 1);
    refused(f, TOLA_E_FORMAT, 42, "the metadata key 'twice' occurs twice");
}

static void test_bad_values(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_VALUE_TYPES), u64(f, 0);
    refused(f, TOLA_E_FORMAT, 33, "metadata 'k': the value has the unknown type 13");
    f = fresh();
    begin(f, 0, 1);
    key(f, "k", 0xffffffff), u64(f, 0);
    refused(f, TOLA_E_FORMAT, 33, "metadata 'k': the value has the unknown type 4294967295");
    f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_BOOL), u8(f, 2);
    refused(f, TOLA_E_FORMAT, 37, "metadata 'k': a bool is stored as 2; only 0 and 1 are allowed");
    f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_U64), u32(f, 2);
    refused(f, TOLA_E_FORMAT, 37, "metadata 'k': truncated: a value needs 8 bytes, 4 are left");
    f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_STRING), u64(f, (uint64_t)1 << 63), payload(f, 9);
    refused(f, TOLA_E_FORMAT, 37, "metadata 'k': truncated: string needs 9223372036854775808 bytes, 9 are left");
}

static void test_bad_arrays(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_ARRAY), u32(f, 13), u64(f, 1), u64(f, 0);
    refused(f, TOLA_E_FORMAT, 37, "metadata 'k': array elements have the unknown type 13");
    f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_ARRAY), u32(f, GGUF_U32), u64(f, 0x4000000000000001), u64(f, 0); /* times 4 wraps to 4 */
    refused(f, TOLA_E_FORMAT, 41,
            "metadata 'k': an array of 4611686018427387905 elements of type u32 cannot fit in the 8 bytes that "
            "follow");
    f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_ARRAY), u32(f, GGUF_STRING), u64(f, 2), u64(f, 0);
    refused(f, TOLA_E_FORMAT, 41,
            "metadata 'k': an array of 2 elements of type string cannot fit in the 8 bytes that follow");
    f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_ARRAY), u32(f, GGUF_STRING), u64(f, 2), u64(f, 0), u64(f, 1);
    refused(f, TOLA_E_FORMAT, 57, "metadata 'k': truncated: string in an array needs 1 bytes, 0 are left");
    f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_ARRAY), u32(f, GGUF_BOOL), u64(f, 3), u8(f, 0), u8(f, 1), u8(f, 0xfe);
    refused(f, TOLA_E_FORMAT, 51, "metadata 'k': a bool is stored as 254; only 0 and 1 are allowed");
    f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_ARRAY);
    for (int i = 0; i < 2000; i++) u32(f, GGUF_ARRAY), u64(f, 1);
    refused(f, TOLA_E_LIMIT, 37 + 8 * 12, "metadata 'k': arrays are nested more than 8 deep");
}

static void alignment_refused(uint32_t type, uint32_t n, tola_status status, const char *message) {
    file *f = fresh();
    begin(f, 1, 2);
    key(f, "other", GGUF_U8), u8(f, 1);
    key(f, "general.alignment", type), u32(f, n);
    tensor1(f, "a", 8, 24, 0);
    pad(f, 32);
    payload(f, 8);
    refused(f, status, 42, message);
}

static void test_bad_alignment(void **state) {
    (void)state;
    alignment_refused(GGUF_U32, 0, TOLA_E_FORMAT, "metadata 'general.alignment': is 0, which is no power of two");
    alignment_refused(GGUF_U32, 13, TOLA_E_FORMAT, "metadata 'general.alignment': is 13, which is no power of two");
    alignment_refused(GGUF_U32, 0xffffffff, TOLA_E_FORMAT,
                      "metadata 'general.alignment': is 4294967295, which is no power of two");
    alignment_refused(GGUF_U32, 0x80000000, TOLA_E_LIMIT,
                      "metadata 'general.alignment': is 2147483648; at most 16777216 is allowed");
    alignment_refused(GGUF_I32, 32, TOLA_E_FORMAT, "metadata 'general.alignment': must be a number of type u32");
    alignment_refused(GGUF_F32, 32, TOLA_E_FORMAT, "metadata 'general.alignment': must be a number of type u32");
}

/* ---- what is refused: tensors ---- */

/* One tensor with these dimensions, behind it 64 bytes of data. */
static file *one_tensor(const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type, uint64_t offset) {
    file *f = fresh();
    begin(f, 1, 0);
    tensor(f, name, n_dims, dims, type, offset);
    pad(f, 32);
    payload(f, 64);
    return f;
}

static void test_bad_names(void **state) {
    (void)state;
    uint64_t dims[1] = { 8 };
    char name[66];
    memset(name, 'n', 65);
    name[65] = 0;
    refused(one_tensor(name, 1, dims, 0, 0), TOLA_E_LIMIT, 24, "tensor name of 65 bytes; at most 64 are allowed");
    refused(one_tensor("\xc3", 1, dims, 0, 0), TOLA_E_FORMAT, 24, "tensor '\\xc3': its name is not text");
    file *f = fresh();
    begin(f, 1, 0);
    u64(f, UINT64_MAX), payload(f, 64);
    refused(f, TOLA_E_FORMAT, 24, "truncated: tensor name needs 18446744073709551615 bytes, 64 are left");
    f = fresh();
    begin(f, 2, 0);
    tensor1(f, "same", 8, 0, 0);
    tensor1(f, "same", 8, 0, 32);
    pad(f, 32);
    payload(f, 64);
    refused(f, TOLA_E_FORMAT, 60, "tensor 'same': the name occurs twice");
}

static void test_bad_shapes(void **state) {
    (void)state;
    uint64_t five[5] = { 1, 1, 1, 1, 1 }, negative[1] = { UINT64_MAX }, zero[2] = { 8, 0 };
    uint64_t huge[2] = { (uint64_t)4 * INT32_MAX, (uint64_t)4 * INT32_MAX };
    uint64_t wraps[2] = { (uint64_t)1 << 33, (uint64_t)1 << 31 };
    uint64_t large[2] = { (uint64_t)1 << 31, (uint64_t)1 << 30 }, row[2] = { 48, 2 };
    refused(one_tensor("w", 5, five, 0, 0), TOLA_E_FORMAT, 33, "tensor 'w': has 5 dimensions; the format allows 4");
    file *f = fresh();
    begin(f, 1, 0);
    text(f, "w"), u32(f, 0xffffffff), payload(f, 64);
    refused(f, TOLA_E_FORMAT, 33, "tensor 'w': has 4294967295 dimensions; the format allows 4");
    refused(one_tensor("w", 1, negative, 0, 0), TOLA_E_FORMAT, 37,
            "tensor 'w': dimension 0 is -1; it must be positive");
    refused(one_tensor("w", 2, zero, 0, 0), TOLA_E_FORMAT, 45, "tensor 'w': dimension 1 is 0; it must be positive");
    refused(one_tensor("w", 2, huge, 0, 0), TOLA_E_FORMAT, 45,
            "tensor 'w': the product of its dimensions is beyond 2^63");
    refused(one_tensor("w", 2, wraps, 0, 0), TOLA_E_FORMAT, 45,
            "tensor 'w': the product of its dimensions is beyond 2^63");
    refused(one_tensor("w", 2, large, 27, 0), TOLA_E_FORMAT, 53, "tensor 'w': its size in bytes is beyond 2^63");
    refused(one_tensor("w", 2, row, 2, 0), TOLA_E_FORMAT, 53,
            "tensor 'w': its rows of 48 elements are no multiple of the 32 in a block of q4_0");
    refused(one_tensor("w", 0, NULL, 12, 0), TOLA_E_FORMAT, 37,
            "tensor 'w': its rows of 1 elements are no multiple of the 256 in a block of q4_k");
}

static void test_bad_extents(void **state) {
    (void)state;
    uint64_t dims[1] = { 8 }, more[1] = { 17 }, most[1] = { 0x7fffffffffffffc0 };
    refused(one_tensor("w", 1, dims, 0, UINT64_MAX), TOLA_E_FORMAT, 24,
            "tensor 'w': its offset 18446744073709551615 is no multiple of the alignment 32");
    refused(one_tensor("w", 1, dims, 0, 16), TOLA_E_FORMAT, 24,
            "tensor 'w': its offset 16 is no multiple of the alignment 32");
    refused(one_tensor("w", 1, dims, 0, UINT64_MAX - 31), TOLA_E_FORMAT, 24,
            "tensor 'w': its offset and size reach beyond 2^63");
    refused(one_tensor("w", 1, most, 24, 0), TOLA_E_FORMAT, 24, "tensor 'w': its offset and size reach beyond 2^63");
    refused(one_tensor("w", 1, dims, 0, 64), TOLA_E_FORMAT, 128,
            "tensor 'w': truncated: its bytes 128 to 160 reach beyond the end of the file at 128 (32 bytes missing)");
    refused(one_tensor("w", 1, more, 0, 0), TOLA_E_FORMAT, 64,
            "tensor 'w': truncated: its bytes 64 to 132 reach beyond the end of the file at 128 (4 bytes missing)");
    file *f = fresh();
    begin(f, 2, 0); /* sizes that wrap around only when they are added up */
    tensor1(f, "a", 0x7fffffffffffffc0, 24, 0);
    tensor1(f, "b", 0x7fffffffffffffc0, 24, 0x7fffffffffffffc0);
    pad(f, 32);
    payload(f, 32);
    refused(f, TOLA_E_FORMAT, 24, "tensor 'a': its offset and size reach beyond 2^63");
    f = fresh();
    begin(f, 2, 0);
    tensor1(f, "a", 16, 0, 0);
    tensor1(f, "b", 8, 0, 32);
    pad(f, 32);
    payload(f, 64);
    refused(f, TOLA_E_FORMAT, 128, "tensor 'b': its bytes 128 to 160 overlap those of tensor 'a' (96 to 160)");
    f = fresh();
    begin(f, 2, 0);
    tensor1(f, "a", 8, 0, 32);
    tensor1(f, "b", 8, 0, 32);
    pad(f, 32);
    payload(f, 64);
    refused(f, TOLA_E_FORMAT, 128, "tensor 'b': its bytes 128 to 160 overlap those of tensor 'a' (128 to 160)");
    f = fresh();
    begin(f, 1, 0); /* the file ends before the data section begins */
    tensor1(f, "a", 8, 0, 0);
    refused(f, TOLA_E_FORMAT, 64,
            "tensor 'a': truncated: its bytes 64 to 96 reach beyond the end of the file at 57 (39 bytes missing)");
}

/* Every prefix of a file is refused with a place and a reason, or is a file itself; nothing is read beyond its end. */
static void test_every_truncation(void **state) {
    (void)state;
    file *f = fresh();
    uint64_t dims[2] = { 32, 2 };
    begin(f, 2, VALUES);
    put_values(f);
    tensor(f, "first", 2, dims, 8, 0);
    tensor(f, "second", 2, dims, 0, 96);
    pad(f, 32);
    payload(f, 96 + 256);
    for (size_t n = 0; n < f->length; n++) {
        tola_checkpoint *ck = NULL;
        tola_error err = TOLA_ERROR_INIT;
        uint8_t *exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, f->data, n);
        assert_int_not_equal(tola_checkpoint_open_memory("t.gguf", exact, n, &ck, &err), TOLA_OK);
        assert_true(strncmp(err.message, "t.gguf: ", 8) == 0);
        if (n >= 24) assert_true(strstr(err.message, "offset ") && err.offset <= f->length);
        free(exact);
    }
    free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_removed_and_unknown_types),
        cmocka_unit_test(test_bad_preamble),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_bad_arrays),
        cmocka_unit_test(test_bad_alignment),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_bad_shapes),
        cmocka_unit_test(test_bad_extents),
        cmocka_unit_test(test_every_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
