/* Attacks on other programs' parsers of weights that were published, each as a test named after it: the file is refused,
 * with a message. What each advisory says is at https://nvd.nist.gov/vuln/detail/CVE-...; docs/security.md lists them.
 * Run under the address sanitizer, on copies of exactly the file's size, they see every byte read beyond it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_build.h"
#include <tola/tola.h>

static void refused_bytes(const char *name, const void *data, size_t bytes, const char *because) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    uint8_t *exact = malloc(bytes ? bytes : 1);
    assert_non_null(exact);
    memcpy(exact, data, bytes);
    tola_status status = tola_checkpoint_open_memory(name, exact, bytes, &ck, &err);
    free(exact);
    assert_null(ck);
    assert_true(status == TOLA_E_FORMAT || status == TOLA_E_LIMIT);
    if (!strstr(err.message, because)) fail_msg("'%s' instead of '%s'", err.message, because);
}

static void refused(file *f, const char *because) {
    refused_bytes("m.gguf", f->data, f->length, because);
    free(f);
}

/* ---- GGUF: llama.cpp, Ollama ---- */

/* TALOS-2024-1914: dimensions beyond the four that there is room for. */
static void test_cve_2024_21802(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 1, 0);
    text(f, "w"), u32(f, 0x1000), payload(f, 0x8000);
    refused(f, "has 4096 dimensions; the format allows 4");
}

/* TALOS-2024-1913: a string's length plus one wraps to nothing. */
static void test_cve_2024_23496(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 1);
    u64(f, UINT64_MAX), payload(f, 64);
    refused(f, "needs 18446744073709551615 bytes");
}

/* TALOS-2024-1912: an array of strings whose count times the size of one wraps. */
static void test_cve_2024_21825(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 1);
    key(f, "k", GGUF_ARRAY), u32(f, GGUF_STRING), u64(f, 0x1000000000000001), payload(f, 64);
    refused(f, "an array of 1152921504606846977 elements of type string cannot fit");
}

/* TALOS-2024-1915: a count of tensors whose table wraps. */
static void test_cve_2024_21836(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0x0492492492492493, 0);
    payload(f, 64);
    refused(f, "tensors, which cannot fit");
}

/* TALOS-2024-1916: the same with metadata. */
static void test_cve_2024_23605(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 0x0555555555555556);
    payload(f, 64);
    refused(f, "metadata entries, which cannot fit");
}

/* A token of a vocabulary with a length that is negative as an int: the file has no room for such a one. */
static void test_cve_2025_49847(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 0, 1);
    key(f, "tokenizer.ggml.tokens", GGUF_ARRAY), u32(f, GGUF_STRING), u64(f, 1), u64(f, 0x80000001), payload(f, 64);
    refused(f, "needs 2147483649 bytes, 64 are left");
}

/* Sizes of tensors that wrap when they are added up, and when they are padded: the first, and the way around its mend. */
static void two_sizes(uint64_t a, uint64_t b) {
    file *f = fresh();
    begin(f, 2, 0);
    tensor1(f, "a", a, 24, 0); /* bytes */
    tensor1(f, "b", b, 24, (a + 31) / 32 * 32);
    pad(f, 32);
    payload(f, 64);
    refused(f, "reach beyond");
}

static void test_cve_2025_53630(void **state) {
    (void)state;
    two_sizes(0x7fffffffffffffe0, 0x7fffffffffffffe0);
}

static void test_cve_2026_27940(void **state) {
    (void)state;
    two_sizes(0x7fffffffffffffff, 2);
    two_sizes(64, 0x7fffffffffffffff);
    two_sizes(0x7fffffffffffff00, 0x100);
}

/* Version 1's length of a string, which allocated what it said. */
static void test_cve_2025_66960(void **state) {
    (void)state;
    file *f = fresh();
    tola_checkpoint *ck = NULL;
    begin_version(f, 1, 0, 1);
    u64(f, (uint64_t)1 << 62), payload(f, 64);
    assert_int_equal(tola_checkpoint_open_memory("m.gguf", f->data, f->length, &ck, NULL), TOLA_E_UNSUPPORTED);
    begin(f, 0, 1);
    u64(f, (uint64_t)1 << 62), payload(f, 64);
    refused(f, "needs 4611686018427387904 bytes");
}

/* Dimensions whose product in bytes wraps to something small. */
static void test_cve_2026_33298(void **state) {
    (void)state;
    static const uint64_t shapes[][4] = { { (uint64_t)1 << 32, (uint64_t)1 << 32, 1, 1 },
                                          { 0x40000000, 0x40000000, 4, 4 },
                                          { (uint64_t)1 << 62, 1, 1, 1 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        file *f = fresh();
        begin(f, 1, 0);
        tensor(f, "w", 4, shapes[i], 0, 0); /* f32 */
        pad(f, 32);
        payload(f, 4096);
        refused(f, "beyond 2^63");
    }
}

/* "Bleeding Llama": a tensor's offset and size reach beyond the file, and what lies behind it in memory goes out. */
static void test_cve_2026_7482(void **state) {
    (void)state;
    file *f = fresh();
    begin(f, 1, 0);
    tensor1(f, "w", 1 << 20, 1, 0);
    pad(f, 32);
    payload(f, 64);
    refused(f, "reach beyond the end of the file");
}

/* ---- safetensors: the attempts of huggingface/safetensors' attacks/, and those of its own tests ---- */

static void safetensors(uint64_t length, const char *header, size_t data, const char *because) {
    char bytes[4096] = { 0 };
    size_t n = strlen(header);
    assert_true(8 + n + data <= sizeof bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (char)(uint8_t)(length >> (8 * i));
    memcpy(bytes + 8, header, n);
    refused_bytes("m.safetensors", bytes, 8 + n + data, because);
}

static void one_header(const char *header, size_t data, const char *because) {
    safetensors(strlen(header), header, data, because);
}

/* A header that claims to be longer than the file, or than anything. */
static void test_safetensors_length(void **state) {
    (void)state;
    safetensors(100, "{}", 0, "");
    safetensors(UINT64_MAX, "{}", 0, "");
    safetensors((uint64_t)1 << 40, "{}", 0, "");
}

/* Few bytes that stand for many tensors: each allocates its own copy. */
static void test_safetensors_shared_bytes(void **state) {
    (void)state;
    one_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},"
               "\"b\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
               8, "overlap");
    one_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},"
               "\"b\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[4,12]}}",
               12, "overlap");
}

/* A file within the file: bytes that no tensor names, between them or behind, hide another format. */
static void test_safetensors_polyglot(void **state) {
    (void)state;
    one_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 64, "");
    one_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[60,64]}}", 64, "");
}

/* Two readers that take the one or the other of two keys see two models. */
static void test_safetensors_twice(void **state) {
    (void)state;
    one_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
               "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
               8, "");
    one_header("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "");
}

/* Shapes that wrap, or are another size than the bytes. */
static void test_safetensors_shape(void **state) {
    (void)state;
    one_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "");
    one_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808,2],\"data_offsets\":[0,0]}}", 0, "");
    one_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "");
    one_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]}}", 4, "");
    one_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "");
}

/* Nesting that ends a recursive reader. */
static void test_safetensors_depth(void **state) {
    (void)state;
    char header[3000];
    memset(header, '[', sizeof header - 1);
    memcpy(header, "{\"a\":", 5);
    header[sizeof header - 1] = 0;
    one_header(header, 0, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cve_2024_21802),         cmocka_unit_test(test_cve_2024_23496),
        cmocka_unit_test(test_cve_2024_21825),         cmocka_unit_test(test_cve_2024_21836),
        cmocka_unit_test(test_cve_2024_23605),         cmocka_unit_test(test_cve_2025_49847),
        cmocka_unit_test(test_cve_2025_53630),         cmocka_unit_test(test_cve_2026_27940),
        cmocka_unit_test(test_cve_2025_66960),         cmocka_unit_test(test_cve_2026_33298),
        cmocka_unit_test(test_cve_2026_7482),          cmocka_unit_test(test_safetensors_length),
        cmocka_unit_test(test_safetensors_shared_bytes), cmocka_unit_test(test_safetensors_polyglot),
        cmocka_unit_test(test_safetensors_twice),      cmocka_unit_test(test_safetensors_shape),
        cmocka_unit_test(test_safetensors_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
