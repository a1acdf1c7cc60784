/* Encoders of block types: what does not fit is counted, every instruction set gives the same bits, nothing is written
 * beside the output, importance lowers the error where it says so. */
#include "codecs/codec.h"
#include "kernels/dequantize/dequantize.h"
#include "kernels/quantize/quantize.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 4096, MARGIN = 64 };

static float row[MOST + 16], kept[MOST], importance[MOST], back[MOST];
static uint8_t out[MOST * 2 + MARGIN], want[MOST * 2 + MARGIN];

static float weight(void) {
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += unit_uniform();
    return (float)(sum * 0.02);
}

static bool each_type(tola_dtype *dtype) {
    for (int i = *dtype + 1; i < TOLA_DTYPE_COUNT; i++)
        if (tola_dtype_get_kind((tola_dtype)i) == TOLA_KIND_BLOCK && quantize_get((tola_dtype)i))
            return *dtype = (tola_dtype)i, true;
    return false;
}

static size_t bytes_of(tola_dtype t, size_t n) {
    return n / tola_dtype_block_elements(t) * tola_dtype_block_bytes(t);
}

static double error_of(tola_dtype t, const float *x, const void *blocks, size_t n, const float *weights) {
    double sum = 0;
    dequantize_get(t)(blocks, back, n);
    for (size_t i = 0; i < n; i++)
        sum += (weights ? (double)weights[i] : 1) * ((double)x[i] - (double)back[i]) * ((double)x[i] - (double)back[i]);
    return sum;
}

static void test_types(void **state) {
    (void)state;
    for (int i = 0; i < TOLA_DTYPE_COUNT; i++) {
        tola_dtype t = (tola_dtype)i;
        bool encodes = quantize_get(t) != NULL;
        assert_int_equal(encodes, quantize_get_scalar(t) != NULL);
        assert_int_equal(encodes, codec_range(t) > 0);
        if (tola_dtype_get_kind(t) == TOLA_KIND_BLOCK) assert_int_equal(encodes, codec_encodes(t));
        else assert_false(encodes);
    }
    static const tola_dtype small[] = { TOLA_DTYPE_Q1_0,  TOLA_DTYPE_Q2_0,  TOLA_DTYPE_TQ1_0,
                                        TOLA_DTYPE_TQ2_0, TOLA_DTYPE_MXFP4, TOLA_DTYPE_NVFP4 };
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) assert_true(codec_encodes(small[i]));
    assert_null(quantize_get(TOLA_DTYPE_COUNT));
    assert_int_equal(codec_quantize(TOLA_DTYPE_F16, row, out, 256, NULL, NULL), TOLA_E_UNSUPPORTED);
    assert_int_equal(codec_quantize(TOLA_DTYPE_TQ2_0, row, out, 255, NULL, NULL), TOLA_E_ARG);
}

/* Unaligned rows of every length, with and without importance. */
static void test_bounds(void **state) {
    (void)state;
    for (tola_dtype t = TOLA_DTYPE_NONE; each_type(&t);) {
        size_t per_block = tola_dtype_block_elements(t);
        for (size_t blocks = 0; blocks * per_block <= 1024; blocks++) {
            size_t n = blocks * per_block, shift = 1 + blocks % 3;
            char *src = (char *)row + shift;
            for (size_t i = 0; i < n; i++) {
                float x = weight();
                memcpy(src + 4 * i, &x, 4);
                importance[i] = (float)unit_uniform();
            }
            for (int weighted = 0; weighted < 2; weighted++) {
                memset(out, 0xa5, sizeof out);
                memset(want, 0xa5, sizeof want);
                quantize_get_scalar(t)((void *)src, want + 32 + shift, n, weighted ? importance : NULL);
                quantize_get(t)((void *)src, out + 32 + shift, n, weighted ? importance : NULL);
                for (size_t i = 0; i < 32 + shift; i++) assert_true(out[i] == 0xa5 && want[i] == 0xa5);
                for (size_t i = 32 + shift + bytes_of(t, n); i < sizeof out; i++)
                    assert_true(out[i] == 0xa5 && want[i] == 0xa5);
            }
        }
    }
}

/* The small types promise the same bits; see quantize.h for the others. */
static void test_same_bits(void **state) {
    (void)state;
    for (tola_dtype t = TOLA_DTYPE_NONE; each_type(&t);) {
        if (!quantize_small_get(t, true)) continue;
        for (int round = 0; round < 20; round++) {
            for (size_t i = 0; i < MOST; i++) {
                row[i] = weight() * (float)exp2(round - 10) * (round % 3 == 1 ? (float)exp2(8 * unit_uniform()) : 1);
                importance[i] = (float)(unit_uniform() * unit_uniform());
            }
            for (int weighted = 0; weighted < 2; weighted++) {
                quantize_get_scalar(t)(row, want, MOST, weighted ? importance : NULL);
                quantize_get(t)(row, out, MOST, weighted ? importance : NULL);
                assert_memory_equal(out, want, bytes_of(t, MOST));
            }
        }
    }
}

/* Weights that cannot be kept, one at a time among others. */
static void test_faults(void **state) {
    (void)state;
    for (tola_dtype t = TOLA_DTYPE_NONE; each_type(&t);) {
        float most = codec_range(t);
        const float bad[] = { NAN,   -NAN,         INFINITY, -INFINITY, most,
                              -most, most * 1.01f, FLT_MAX,  -FLT_MAX,  FLT_TRUE_MIN };
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            codec_faults faults = { 0, 0, 0 };
            for (size_t i = 0; i < 256; i++) row[i] = weight();
            row[77] = bad[k];
            assert_int_equal(codec_quantize(t, row, out, 256, NULL, &faults), TOLA_OK);
            assert_int_equal(faults.nans, isnan(bad[k]) ? 1 : 0);
            assert_int_equal(faults.infinities, isinf(bad[k]) ? 1 : 0);
            assert_int_equal(faults.clamped, isfinite(bad[k]) && fabsf(bad[k]) > most ? 1 : 0);
            assert_true(isnan(bad[k]) ? row[77] == 0 : fabsf(row[77]) <= most);
            dequantize_get(t)(out, back, 256);
            for (size_t i = 0; i < 256; i++) assert_true(isfinite(back[i]));
            /* The least of iq2_xxs' magnitudes is 8 of 43: with 31 small weights beside it the error is least below. */
            float least = t == TOLA_DTYPE_IQ2_XXS ? most / 3 : most / 2;
            if (fabsf(row[77]) == most && t != TOLA_DTYPE_Q1_0) assert_true(fabsf(back[77]) > least);
        }
    }
}

static void test_all_equal(void **state) {
    (void)state;
    for (tola_dtype t = TOLA_DTYPE_NONE; each_type(&t);) {
        float values[] = { 0, -0.0f, FLT_TRUE_MIN, 1e-30f, 1e-7f, -1, 1, codec_range(t), -codec_range(t) };
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            for (int weighted = 0; weighted < 3; weighted++) { /* no importance, some, none anywhere */
                for (size_t i = 0; i < 256; i++) {
                    row[i] = values[k];
                    importance[i] = weighted == 1 ? 1 : 0;
                }
                assert_int_equal(codec_quantize(t, row, out, 256, weighted ? importance : NULL, NULL), TOLA_OK);
                dequantize_get(t)(out, back, 256);
                for (size_t i = 0; i < 256; i++) assert_true(isfinite(back[i]));
                if (values[k] == 0)
                    for (size_t i = 0; i < 256; i++) assert_true(back[i] == 0);
            }
        }
    }
}

/* With importance the weighted error does not grow, over many rows. */
static void test_importance(void **state) {
    (void)state;
    for (tola_dtype t = TOLA_DTYPE_NONE; each_type(&t);) {
        double plain = 0, weighted = 0;
        for (int round = 0; round < 8; round++) {
            for (size_t i = 0; i < MOST; i++) {
                row[i] = weight();
                importance[i] = (float)exp2(8 * unit_uniform());
            }
            quantize_get(t)(row, out, MOST, NULL);
            plain += error_of(t, row, out, MOST, importance);
            quantize_get(t)(row, out, MOST, importance);
            weighted += error_of(t, row, out, MOST, importance);
        }
        if (weighted > plain) print_error("%s: %g with importance, %g without\n", tola_dtype_name(t), weighted, plain);
        assert_true(weighted <= plain);
    }
}

/* codec_convert to block types: from any number, without importance. */
static void test_convert(void **state) {
    (void)state;
    static double wide[1280];
    for (size_t i = 0; i < 1280; i++) {
        row[i] = weight();
        wide[i] = (double)row[i];
    }
    for (tola_dtype t = TOLA_DTYPE_NONE; each_type(&t);) {
        uint64_t overflowed = 0;
        memcpy(kept, row, sizeof kept);
        quantize_get(t)(row, want, 1280, NULL);
        assert_int_equal(codec_convert(TOLA_DTYPE_F32, t, row, out, 1280, TOLA_OVERFLOW_IEEE, &overflowed), TOLA_OK);
        assert_memory_equal(out, want, bytes_of(t, 1280));
        assert_memory_equal(row, kept, sizeof kept);
        assert_int_equal(codec_convert(TOLA_DTYPE_F64, t, wide, out, 1280, TOLA_OVERFLOW_IEEE, &overflowed), TOLA_OK);
        assert_memory_equal(out, want, bytes_of(t, 1280));
        assert_int_equal(overflowed, 0);
        wide[1] = 1e300;
        wide[2] = NAN;
        wide[3] = -INFINITY;
        assert_int_equal(codec_convert(TOLA_DTYPE_F64, t, wide, out, 1280, TOLA_OVERFLOW_IEEE, &overflowed), TOLA_OK);
        assert_int_equal(overflowed, 1); /* finite ones only */
        dequantize_get(t)(out, back, 1280);
        for (size_t i = 0; i < 1280; i++) assert_true(isfinite(back[i]));
        for (size_t i = 0; i < 4; i++) wide[i] = (double)row[i];
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),     cmocka_unit_test(test_bounds),     cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_faults),    cmocka_unit_test(test_all_equal),  cmocka_unit_test(test_importance),
        cmocka_unit_test(test_convert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
