/* Digests against published vectors, CRC-32 against its check value and against itself in pieces, CPU features. */
#include "base/cpu.h"
#include "base/hash.h"
#include "kernels/sha256/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_digest(const uint8_t digest[SHA256_BYTES], const char *hex) {
    char text[2 * SHA256_BYTES + 1];
    for (int i = 0; i < SHA256_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

/* FIPS 180-4 examples, https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values */
static void test_sha256(void **state) {
    (void)state;
    static const struct {
        const char *text, *hex;
    } cases[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    uint8_t digest[SHA256_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tola_error err = TOLA_ERROR_INIT;
        tola_status status = sha256(cases[i].text, strlen(cases[i].text), digest, &err);
        if (status == TOLA_E_UNSUPPORTED) {
            print_message("libcrypto.so.3 is absent: %s\n", err.message);
            skip();
        }
        assert_int_equal(status, TOLA_OK);
        assert_digest(digest, cases[i].hex);
    }
    sha256_stream *s;
    assert_int_equal(sha256_open(&s, NULL), TOLA_OK);
    char block[1000];
    memset(block, 'a', sizeof block);
    for (int i = 0; i < 1000; i++) assert_int_equal(sha256_update(s, block, sizeof block, NULL), TOLA_OK);
    assert_int_equal(sha256_finish(s, digest, NULL), TOLA_OK);
    assert_digest(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_int_equal(sha256_open(&s, NULL), TOLA_OK);
    sha256_abort(s);
    sha256_abort(NULL);
}

/* The definition, bit by bit. */
static uint32_t crc32_slow(uint32_t crc, const uint8_t *p, size_t n) {
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

static void test_crc32(void **state) {
    (void)state;
    assert_int_equal(crc32_update(0, "123456789", 9), 0xcbf43926); /* the catalogue's check value */
    assert_int_equal(crc32_update(0, "", 0), 0);
    uint8_t data[1500];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    for (size_t n = 0; n <= 600; n++) {
        for (size_t at = 0; at < 3; at++) {
            uint8_t *copy = malloc(n + 1); /* exact size, so that the sanitizer sees reads beyond it */
            assert_non_null(copy);
            memcpy(copy, data + at, n);
            assert_int_equal(crc32_update(0, copy, n), crc32_slow(0, data + at, n));
            assert_int_equal(crc32_update(0xdeadbeef, copy, n), crc32_slow(0xdeadbeef, data + at, n));
            free(copy);
        }
    }
    for (size_t cut = 0; cut <= sizeof data; cut += 37) {
        uint32_t a = crc32_update(0, data, cut), b = crc32_update(0, data + cut, sizeof data - cut);
        assert_int_equal(crc32_update(a, data + cut, sizeof data - cut), crc32_slow(0, data, sizeof data));
        assert_int_equal(crc32_join(a, b, sizeof data - cut), crc32_slow(0, data, sizeof data));
    }
}

/* One input and two at once, of all lengths around blocks, against libcrypto. */
static void test_lanes(void **state) {
    (void)state;
    static uint8_t data[2][1000];
    for (size_t i = 0; i < sizeof data; i++) data[i / 1000][i % 1000] = (uint8_t)(i * 2654435761u >> 13);
    if (!sha256_lanes()) skip();
    for (size_t n = 0; n < 900; n = n < 200 ? n + 1 : n + 61) {
        sha256_lane lanes[3];
        uint8_t got[3][32], want[2][32];
        size_t blocks = n / SHA256_BLOCK, at = blocks * SHA256_BLOCK;
        for (size_t i = 0; i < 3; i++) sha256_lane_begin(&lanes[i]);
        sha256_lane_two(&lanes[0], data[0], &lanes[1], data[1], blocks);
        sha256_lane_one(&lanes[2], data[1], blocks);
        sha256_lane_end(&lanes[0], data[0] + at, n - at, got[0]);
        sha256_lane_end(&lanes[1], data[1] + at, n - at, got[1]);
        sha256_lane_end(&lanes[2], data[1] + at, n - at, got[2]);
        if (sha256(data[0], n, want[0], NULL) != TOLA_OK || sha256(data[1], n, want[1], NULL) != TOLA_OK) skip();
        assert_memory_equal(got[0], want[0], 32);
        assert_memory_equal(got[1], want[1], 32);
        assert_memory_equal(got[2], want[1], 32);
    }
}

static void test_hash_string(void **state) {
    (void)state;
    char text[64];
    memset(text, 'x', sizeof text);
    uint64_t seen[65];
    for (size_t n = 0; n <= 64; n++) {
        seen[n] = hash_string(text, n);
        assert_true(seen[n] == hash_string(text, n));
        for (size_t i = 0; i < n; i++) assert_true(seen[i] != seen[n]);
    }
}

static void test_cpu(void **state) {
    (void)state;
    const cpu_features *f = cpu_get();
    assert_ptr_equal(f, cpu_get());
    print_message("cpu: %s, pclmul %d\n", cpu_level_name(f->level), f->pclmul);
    assert_string_equal(cpu_level_name(CPU_SCALAR), "scalar");
    assert_string_equal(cpu_level_name((cpu_level)77), "?");
#if defined(__aarch64__)
    assert_int_not_equal(f->level, CPU_AVX2);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_sha256), cmocka_unit_test(test_crc32),
                                        cmocka_unit_test(test_lanes), cmocka_unit_test(test_hash_string), cmocka_unit_test(test_cpu) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
