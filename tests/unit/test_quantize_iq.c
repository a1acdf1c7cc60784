/* The encoders of iq1_s .. iq3_s: what quantize.h promises, read back with the scalar decoders. */
#include "random.h"
#include "unit.h"

#include <float.h>
#include <math.h>

#include "base/cpu.h"
#include "kernels/dequantize/dequantize.h"
#include "kernels/quantize/iq_kernels.h"

enum { MOST = 2304 };

/* The error that gaussian weights may have, relative to them: what ggml's encoders (with an importance of 1 where they
 * insist on one) leave, tests/oracle/encode_iq.csv. */
static const struct {
    tola_dtype dtype;
    iq_type type;
    double error;
} types[] = {
    { TOLA_DTYPE_IQ1_S, IQ1_S, 0.4859 },     { TOLA_DTYPE_IQ1_M, IQ1_M, 0.4513 },
    { TOLA_DTYPE_IQ2_XXS, IQ2_XXS, 0.3435 }, { TOLA_DTYPE_IQ2_XS, IQ2_XS, 0.2987 },
    { TOLA_DTYPE_IQ2_S, IQ2_S, 0.2648 },     { TOLA_DTYPE_IQ3_XXS, IQ3_XXS, 0.2147 },
    { TOLA_DTYPE_IQ3_S, IQ3_S, 0.1664 },
};
enum { TYPES = sizeof types / sizeof *types };

static size_t bytes_of(size_t type, size_t n) {
    return n / 256 * tola_dtype_block_bytes(types[type].dtype);
}

/* sum importance (w - decoded)^2 over sum importance w^2; decoded must be finite. */
static double error_of(size_t type, const float *w, const void *encoded, size_t n, const float *importance) {
    float decoded[MOST];
    double error = 0, energy = 0;
    dequantize_get_scalar(types[type].dtype)(encoded, decoded, n);
    for (size_t i = 0; i < n; i++) {
        double h = importance ? (double)importance[i] : 1, e = (double)w[i] - (double)decoded[i];
        assert_true(isfinite(decoded[i]));
        error += h * e * e;
        energy += h * (double)w[i] * (double)w[i];
    }
    return energy > 0 ? error / energy : error;
}

static double encode(size_t type, const float *w, size_t n, const float *importance, uint8_t *out) {
    quantize_iq_get(types[type].dtype, false)(w, out, n, importance);
    return error_of(type, w, out, n, importance);
}

static void fill(float *w, size_t n) {
    for (size_t i = 0; i < n; i++) w[i] = (float)unit_gaussian();
}

static void fill_importance(float *h, size_t n) {
    for (size_t i = 0; i < n; i++) h[i] = expf((float)unit_gaussian());
}

static void test_types(void **state) {
    (void)state;
    for (size_t t = 0; t < TYPES; t++) assert_non_null(quantize_iq_get(types[t].dtype, true));
    assert_null(quantize_iq_get(TOLA_DTYPE_IQ4_XS, false));
    assert_null(quantize_iq_get(TOLA_DTYPE_F32, true));
}

static void test_error(void **state) {
    (void)state;
    float w[MOST], h[MOST];
    uint8_t out[MOST];
    for (size_t t = 0; t < TYPES; t++) {
        double plain = 0, with = 0, without = 0;
        for (int run = 0; run < 8; run++) {
            fill(w, MOST), fill_importance(h, MOST);
            plain += encode(t, w, MOST, NULL, out);
            without += error_of(t, w, out, MOST, h);
            with += encode(t, w, MOST, h, out);
        }
        assert_true(sqrt(plain / 8) < types[t].error);
        assert_true(with < 0.9 * without); /* importance is not for nothing */
    }
}

static void test_zeros(void **state) {
    (void)state;
    float w[512] = { 0 }, decoded[512];
    uint8_t out[512];
    for (size_t t = 0; t < TYPES; t++) {
        for (int negative = 0; negative < 2; negative++) {
            for (int i = 0; i < 512; i++) w[i] = negative ? -0.0f : 0;
            memset(out, 0xa5, sizeof out);
            quantize_iq_get(types[t].dtype, false)(w, out, 512, NULL);
            dequantize_get_scalar(types[t].dtype)(out, decoded, 512);
            for (int i = 0; i < 512; i++) assert_true(decoded[i] == 0);
        }
    }
}

/* No block is worse than zeros, whatever is in it. */
static void test_edges(void **state) {
    (void)state;
    static const float sizes[] = { 1e-45f, 1e-40f, 1e-30f, 1e-9f, 5.96e-8f, 1e-7f, 1e-6f, 1e-4f, 1, 1000, 65504, 1e6f };
    float w[256];
    uint8_t out[256];
    for (size_t t = 0; t < TYPES; t++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            bool fits = sizes[s] >= 1e-4f && sizes[s] <= 65504;
            for (size_t at = 0; at < 256; at += 37) { /* one alone */
                memset(w, 0, sizeof w);
                w[at] = at & 1 ? -sizes[s] : sizes[s];
                assert_true(encode(t, w, 256, NULL, out) <= (fits ? 0.55 : 1));
            }
            for (int i = 0; i < 256; i++) w[i] = sizes[s]; /* all the same */
            assert_true(encode(t, w, 256, NULL, out) <= (fits ? 0.12 : 1));
            for (int i = 0; i < 256; i++) w[i] = i & 1 ? -sizes[s] : sizes[s] / 64;
            assert_true(encode(t, w, 256, NULL, out) <= (fits ? 0.55 : 1));
            for (int i = 0; i < 256; i++)
                w[i] = i == 255 ? -sizes[s] : (float)unit_gaussian() * sizes[s] * 1e-6f; /* an outlier */
            assert_true(encode(t, w, 256, NULL, out) <= (fits ? 0.55 : 1));
        }
}

static void test_importance(void **state) {
    (void)state;
    float w[512], h[512], other[512];
    uint8_t one[512], two[512];
    fill(w, 512), fill_importance(h, 512);
    for (size_t t = 0; t < TYPES; t++) {
        size_t bytes = bytes_of(t, 512);
        encode(t, w, 512, NULL, one);
        for (int i = 0; i < 512; i++) other[i] = 3;
        encode(t, w, 512, other, two);
        assert_memory_equal(one, two, bytes); /* none is as good as the same for all, */
        memset(other, 0, sizeof other);
        quantize_iq_get(types[t].dtype, false)(w, two, 512, other);
        assert_memory_equal(one, two, bytes); /* zero for all too, */
        encode(t, w, 512, h, one);
        for (int i = 0; i < 512; i++) other[i] = h[i] * 0x1p90f;
        quantize_iq_get(types[t].dtype, false)(w, two, 512, other);
        assert_memory_equal(one, two, bytes); /* its unit does not matter, */
        for (int i = 0; i < 512; i++) other[i] = i % 3 == 0 ? FLT_MAX : i % 3 == 1 ? 0 : 1e-40f;
        quantize_iq_get(types[t].dtype, false)(w, two, 512, other);
        assert_true(error_of(t, w, two, 512, NULL) < 16); /* and one that is absurd gives finite weights of a size */
        for (int i = 0; i < 512; i++) other[i] = i % 8 == 0 ? 1 : 0;
        assert_true(encode(t, w, 512, other, two) < error_of(t, w, one, 512, other));
    }
}

/* Neither neighbours in the row nor alignment matter, and nothing beside the output is touched. */
static void test_rows(void **state) {
    (void)state;
    float w[MOST], h[MOST];
    uint8_t whole[MOST], moved[MOST + 64], source[4 * MOST + 8], weights[4 * MOST + 8];
    fill(w, MOST), fill_importance(h, MOST);
    for (size_t t = 0; t < TYPES; t++)
        for (int with = 0; with < 2; with++) {
            quantize_fn quantize = quantize_iq_get(types[t].dtype, false);
            size_t bytes = bytes_of(t, MOST), block = bytes_of(t, 256);
            quantize(w, whole, MOST, with ? h : NULL);
            for (size_t n = 256; n <= 768; n += 256) {
                size_t offset = n / 256, at = 256 * (n / 256 % 4);
                memcpy(source + offset, w + at, 4 * n), memcpy(weights + 2 * offset + 1, h + at, 4 * n);
                memset(moved, 0xa5, sizeof moved);
                const void *from = source + offset, *importance = weights + 2 * offset + 1;
                quantize(from, moved + 32 + offset, n, with ? importance : NULL);
                assert_memory_equal(moved + 32 + offset, whole + at / 256 * block, bytes_of(t, n));
                for (size_t i = 0; i < 32 + offset; i++) assert_int_equal(moved[i], 0xa5);
                for (size_t i = 32 + offset + bytes_of(t, n); i < sizeof moved; i++) assert_int_equal(moved[i], 0xa5);
            }
            quantize(w, moved, 0, NULL);
            assert_true(bytes <= MOST);
        }
}

/* Every instruction set gives the same bits. */
static void test_sets(void **state) {
    (void)state;
    float w[MOST], h[MOST];
    uint8_t want[MOST], got[MOST];
    const iq_set *sets[] = { NULL, NULL };
#if defined(__x86_64__)
    if (cpu_get()->level >= CPU_AVX2 && cpu_get()->level != CPU_NEON) sets[0] = &iq_avx2;
    if (cpu_get()->level == CPU_AVX512) sets[1] = &iq_avx512;
#endif
    for (int kind = 0; kind < 4; kind++) {
        fill(w, MOST), fill_importance(h, MOST);
        for (size_t i = 0; i < MOST; i++) {
            if (kind == 1) w[i] = w[i] * w[i] * w[i] * 0.01f;
            if (kind == 2) w[i] = i % 5 ? 0 : ldexpf(w[i], (int)(i % 61) - 40);
            if (kind == 2) h[i] = i % 3 ? h[i] : 0;
            if (kind == 3) w[i] = (float)((int)i % 7 - 3);
        }
        for (size_t t = 0; t < TYPES; t++)
            for (int with = 0; with < 2; with++) {
                iq_scalar.of[types[t].type](w, want, MOST, with ? h : NULL);
                for (int s = 0; s < 2; s++) {
                    if (!sets[s]) continue;
                    sets[s]->of[types[t].type](w, got, MOST, with ? h : NULL);
                    assert_memory_equal(got, want, bytes_of(t, MOST));
                }
            }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),      cmocka_unit_test(test_error), cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_edges),      cmocka_unit_test(test_importance), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
