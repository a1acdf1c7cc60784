/* BLAKE3 against the reference's digests: at once, in pieces, as branches, on every instruction set. */
#include "base/cpu.h"
#include "kernels/blake3/blake3.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blake3_golden.h"

enum { GOLDEN = sizeof golden / sizeof *golden, LONGEST = 1048577 };

static uint8_t *input(void) {
    uint8_t *data = malloc(LONGEST);
    assert_non_null(data);
    for (size_t i = 0; i < LONGEST; i++) data[i] = (uint8_t)(i % 251);
    return data;
}

static void assert_hex(const uint8_t digest[BLAKE3_BYTES], const char *hex) {
    char text[2 * BLAKE3_BYTES + 1];
    for (int i = 0; i < BLAKE3_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void test_golden(void **state) {
    (void)state;
    uint8_t *data = input(), digest[BLAKE3_BYTES];
    static const size_t pieces[] = { LONGEST, 1, 61, 1024, 1500, 70001 };
    for (size_t i = 0; i < GOLDEN; i++)
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            blake3_state s;
            blake3_begin(&s, 0);
            for (size_t at = 0; at < golden[i].bytes; at += pieces[p])
                blake3_update(&s, data + at, golden[i].bytes - at < pieces[p] ? golden[i].bytes - at : pieces[p]);
            blake3_finish(&s, true, digest);
            assert_hex(digest, golden[i].hex);
        }
    free(data);
}

/* Cut into branches that know nothing of each other. */
static void test_branches(void **state) {
    (void)state;
    uint8_t *data = input(), digest[BLAKE3_BYTES];
    uint8_t(*branches)[BLAKE3_BYTES] = malloc((LONGEST / 1024 + 1) * sizeof *branches);
    assert_non_null(branches);
    for (size_t chunks = 1; chunks <= 512; chunks *= 8)
        for (size_t i = 0; i < GOLDEN; i++) {
            size_t branch = chunks * BLAKE3_CHUNK, n = 0;
            if (golden[i].bytes <= branch) continue;
            for (size_t at = 0; at < golden[i].bytes; at += branch) {
                blake3_state s;
                blake3_begin(&s, at / BLAKE3_CHUNK);
                blake3_update(&s, data + at, golden[i].bytes - at < branch ? golden[i].bytes - at : branch);
                blake3_finish(&s, false, branches[n++]);
            }
            blake3_state joined;
            blake3_begin(&joined, 0);
            for (size_t b = 0; b + 1 < n; b++) blake3_push(&joined, branches[b], b + 1);
            blake3_fold(&joined, branches[n - 1], digest);
            assert_hex(digest, golden[i].hex);
        }
    free(branches);
    free(data);
}

static void check_set(const char *name, blake3_many many) {
    uint8_t *data = input();
    uint32_t want[40][8], got[41][8];
    static const struct {
        size_t stride, blocks;
        uint64_t counter, step;
    } shapes[] = { { 1024, 16, 0, 1 }, { 1024, 16, 0xfffffff8u, 1 }, { 64, 1, 0, 0 }, { 1024, 3, 7, 1 } };
    for (size_t count = 1; count <= 40; count++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            blake3_job job = {
                data + count, shapes[i].stride, count, shapes[i].blocks, shapes[i].counter, shapes[i].step, 4, 1, 2
            };
            memset(got, 0xab, sizeof got);
            blake3_many_scalar(&job, want);
            many(&job, got);
            if (memcmp(want, got, count * sizeof *want)) fail_msg("%s: %zu inputs differ", name, count);
            for (int w = 0; w < 8; w++) assert_int_equal(got[count][w], 0xababababu);
        }
    free(data);
}

static void test_sets(void **state) {
    (void)state;
    check_set("vector", blake3_many_vector);
#if defined(__x86_64__)
    if (cpu_get()->level >= CPU_AVX2) check_set("avx2", blake3_many_avx2);
    if (cpu_get()->level >= CPU_AVX512) check_set("avx512", blake3_many_avx512);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_branches),
        cmocka_unit_test(test_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
