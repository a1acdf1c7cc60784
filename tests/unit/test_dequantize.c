/* Decoders of block types: the reference's values, every instruction set against the definition, bounds, alignment. */
#include "block_golden.h"
#include "codecs/codec.h"
#include "kernels/dequantize/dequantize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 8 * 1024, MARGIN = 64 }; /* elements; bytes around them */

static uint8_t in[MOST * 4 + MARGIN];
static uint8_t out[MOST * 4 + MARGIN], want[MOST * 4 + MARGIN];

static uint64_t seed = 0x2545f4914f6cdd1du;

static uint64_t next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void run(dequantize_fn decode, const uint8_t *src, uint8_t *dst, size_t n) {
    decode(src, (void *)dst, n);
}

static bool each_type(tola_dtype *dtype) {
    for (int i = *dtype + 1; i < TOLA_DTYPE_COUNT; i++)
        if (tola_dtype_get_kind((tola_dtype)i) == TOLA_KIND_BLOCK) return *dtype = (tola_dtype)i, true;
    return false;
}

/* Equal bits, or both NaN: which NaN comes out is nobody's promise. */
static void assert_same(const uint8_t *got, const uint8_t *expected, size_t n, const char *what) {
    for (size_t i = 0; i < n; i++) {
        float a, b;
        memcpy(&a, got + 4 * i, 4);
        memcpy(&b, expected + 4 * i, 4);
        if (memcmp(&a, &b, 4) == 0 || (a != a && b != b)) continue;
        print_error("%s: element %zu is %a, expected %a\n", what, i, (double)a, (double)b);
        fail();
    }
}

static void test_every_type(void **state) {
    (void)state;
    for (int i = 0; i < TOLA_DTYPE_COUNT; i++) {
        bool block = tola_dtype_get_kind((tola_dtype)i) == TOLA_KIND_BLOCK;
        assert_int_equal(dequantize_get((tola_dtype)i) != NULL, block);
        assert_int_equal(dequantize_get_scalar((tola_dtype)i) != NULL, block);
        if (block) assert_true(codec_decodes((tola_dtype)i) && codec_exact((tola_dtype)i) == TOLA_DTYPE_F32);
    }
    assert_null(dequantize_get(TOLA_DTYPE_COUNT));
    assert_null(dequantize_get((tola_dtype)-1));
}

static void golden(size_t row, bool scalar) {
    tola_dtype dtype = block_golden[row].dtype;
    size_t size = tola_dtype_block_bytes(dtype), elements = GOLDEN_BLOCKS * tola_dtype_block_elements(dtype);
    uint64_t kept = seed, hash = 0xcbf29ce484222325u;
    seed = GOLDEN_SEED;
    for (size_t i = 0; i < GOLDEN_BLOCKS * size; i++) in[i] = (uint8_t)next_random();
    seed = kept;
    for (size_t b = 0; b < GOLDEN_BLOCKS; b++)
        for (int f = 0; f < 2; f++)
            if (block_golden[row].finite[f] != 0xffff) in[b * size + block_golden[row].finite[f]] &= 0xbf;
    run(scalar ? dequantize_get_scalar(dtype) : dequantize_get(dtype), in, out, elements);
    for (size_t i = 0; i < elements * 4; i++) hash = (hash ^ out[i]) * 0x100000001b3u;
    if (hash != block_golden[row].hash) print_error("%s\n", tola_dtype_name(dtype));
    assert_true(hash == block_golden[row].hash);
}

static void test_golden(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof block_golden / sizeof *block_golden; i++) {
        golden(i, true);
        golden(i, false);
    }
}

/* Counts of blocks around the widths of vectors, odd addresses, nothing written beside the output. */
static void test_definition(void **state) {
    (void)state;
    for (tola_dtype t = TOLA_DTYPE_NONE; each_type(&t);) {
        size_t size = tola_dtype_block_bytes(t), per_block = tola_dtype_block_elements(t);
        for (size_t blocks = 0; blocks * per_block <= MOST; blocks += blocks < 9 ? 1 : 7) {
            size_t shift = blocks % 5, n = blocks * per_block;
            for (size_t i = 0; i < blocks * size; i++) in[shift + i] = (uint8_t)next_random();
            memset(out, 0xa5, sizeof out);
            memset(want, 0xa5, sizeof want);
            run(dequantize_get_scalar(t), in + shift, want + 32 + shift, n);
            run(dequantize_get(t), in + shift, out + 32 + shift, n);
            assert_same(out + 32 + shift, want + 32 + shift, n, tola_dtype_name(t));
            for (size_t i = 0; i < 32 + shift; i++) assert_int_equal(out[i], 0xa5);
            for (size_t i = 32 + shift + n * 4; i < sizeof out; i++) assert_int_equal(out[i], 0xa5);
        }
    }
}

/* Blocks of which every byte is the same, all ones among them: scales of NaN, infinity, the smallest and largest. */
static void test_equal_bytes(void **state) {
    (void)state;
    for (tola_dtype t = TOLA_DTYPE_NONE; each_type(&t);) {
        size_t size = tola_dtype_block_bytes(t), n = tola_dtype_block_elements(t);
        for (int byte = 0; byte < 256; byte++) {
            memset(in, byte, 3 * size);
            run(dequantize_get_scalar(t), in, want, 3 * n);
            run(dequantize_get(t), in, out, 3 * n);
            assert_same(out, want, 3 * n, tola_dtype_name(t));
        }
    }
}

/* A few values that can be worked out by hand. */
static void test_by_hand(void **state) {
    (void)state;
    float x[256];
    uint8_t q4_0[18] = { 0x00, 0x3c, 0x0f }; /* d = 1; element 0 is 15 - 8, element 16 is 0 - 8 */
    run(dequantize_get(TOLA_DTYPE_Q4_0), q4_0, (uint8_t *)x, 32);
    assert_true(x[0] == 7 && x[16] == -8 && x[1] == -8);
    uint8_t mxfp4[17] = { 127, 0xf2 }; /* 2^0; 1 and -6 */
    run(dequantize_get(TOLA_DTYPE_MXFP4), mxfp4, (uint8_t *)x, 32);
    assert_true(x[0] == 1 && x[16] == -6 && x[1] == 0);
    uint8_t nvfp4[36] = { 0x38, 0x7f, 0x01, 0x7e, 0x22, 0, 0, 0, 0, 0, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0x07 };
    nvfp4[28] = 0x07;
    run(dequantize_get(TOLA_DTYPE_NVFP4), nvfp4, (uint8_t *)x, 64);
    assert_true(x[0] == 1 && x[8] == 1);    /* 1 x 1 */
    assert_true(x[16] == 0 && x[24] == 0);  /* NaN scales count as 0, as in ggml */
    assert_true(x[32] == 6 * 0x1p-9f && x[48] == 6 * 448);
    uint8_t tq2_0[66] = { 0xe4 }; /* -1, 0, 1, 2 at 0, 32, 64, 96 */
    tq2_0[65] = 0x40;
    run(dequantize_get(TOLA_DTYPE_TQ2_0), tq2_0, (uint8_t *)x, 256);
    assert_true(x[0] == -2 && x[32] == 0 && x[64] == 2 && x[96] == 4);
    uint8_t q1_0[18] = { 0x00, 0xbc, 0x02 };
    run(dequantize_get(TOLA_DTYPE_Q1_0), q1_0, (uint8_t *)x, 128);
    assert_true(x[0] == 1 && x[1] == -1 && x[2] == 1);
    uint8_t q2_0[18] = { 0x00, 0x3c, 0xe4 };
    run(dequantize_get(TOLA_DTYPE_Q2_0), q2_0, (uint8_t *)x, 64);
    assert_true(x[0] == -1 && x[1] == 0 && x[2] == 1 && x[3] == 2);
    uint8_t q8_1[36] = { 0x00, 0x38, 0xff, 0xff, 0x80, 0x7f };
    run(dequantize_get(TOLA_DTYPE_Q8_1), q8_1, (uint8_t *)x, 32);
    assert_true(x[0] == -64 && x[1] == 63.5f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),  cmocka_unit_test(test_golden),  cmocka_unit_test(test_definition),
        cmocka_unit_test(test_equal_bytes), cmocka_unit_test(test_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
