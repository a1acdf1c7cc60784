/* The encoders of q4_0 .. q8_k, q2_k .. q6_k, iq4_nl and iq4_xs: every instruction set against the definition, what is
 * written and read and nothing beside, awkward rows, and what importance is for. */
#include "base/cpu.h"
#include "kernels/dequantize/dequantize.h"
#include "kernels/quantize/iq4_kernels.h"
#include "kernels/quantize/k_kernels.h"
#include "kernels/quantize/legacy_kernels.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the sets ---- */

typedef struct set {
    cpu_level needs;
    const quantize_legacy_set *legacy;
    const quantize_k_set *k;
    const quantize_iq4_set *iq4;
} set;

static const set definition = { CPU_SCALAR, &quantize_legacy_scalar, &quantize_k_scalar, &quantize_iq4_scalar };
static const set sets[] = {
#if defined(__x86_64__)
    { CPU_AVX2, &quantize_legacy_avx2, &quantize_k_avx2, &quantize_iq4_avx2 },
    { CPU_AVX512, &quantize_legacy_avx512, &quantize_k_avx512, &quantize_iq4_avx512 },
#elif defined(__aarch64__)
    { CPU_NEON, &quantize_legacy_neon, &quantize_k_neon, &quantize_iq4_neon },
#else
    { CPU_SCALAR, &quantize_legacy_scalar, &quantize_k_scalar, &quantize_iq4_scalar },
#endif
};

static bool runs(cpu_level level) {
    cpu_level have = cpu_get()->level;
    return level == CPU_SCALAR || level == have || (level == CPU_AVX2 && have == CPU_AVX512);
}

static const struct {
    tola_dtype dtype;
    const char *name;
    size_t block, bytes;
    double noise;    /* root-mean-square error over that of gaussian rows, at most */
    double limit;    /* the largest magnitude that is promised to come back */
    bool importance; /* makes a difference */
} types[] = {
    { TOLA_DTYPE_Q4_0, "q4_0", 32, 18, 0.09, 65504.0 * 7, true },
    { TOLA_DTYPE_Q4_1, "q4_1", 32, 20, 0.082, 65504.0, true },
    { TOLA_DTYPE_Q5_0, "q5_0", 32, 22, 0.045, 65504.0 * 15, true },
    { TOLA_DTYPE_Q5_1, "q5_1", 32, 24, 0.04, 65504.0, true },
    { TOLA_DTYPE_Q8_0, "q8_0", 32, 34, 0.006, 65504.0 * 127, false },
    { TOLA_DTYPE_Q8_1, "q8_1", 32, 36, 0.006, 65504.0 / 32, false },
    { TOLA_DTYPE_Q8_K, "q8_k", 256, 292, 0.01, 1e30, false },
    { TOLA_DTYPE_Q2_K, "q2_k", 256, 84, 0.28, 65504.0 * 15, true },
    { TOLA_DTYPE_Q3_K, "q3_k", 256, 110, 0.15, 65504.0 * 31 * 3, true },
    { TOLA_DTYPE_Q4_K, "q4_k", 256, 144, 0.073, 65504.0 * 63, true },
    { TOLA_DTYPE_Q5_K, "q5_k", 256, 176, 0.036, 65504.0 * 63, true },
    { TOLA_DTYPE_Q6_K, "q6_k", 256, 210, 0.018, 65504.0 * 127 * 31, true },
    { TOLA_DTYPE_IQ4_NL, "iq4_nl", 32, 18, 0.077, 65504.0 * 113, true },
    { TOLA_DTYPE_IQ4_XS, "iq4_xs", 256, 136, 0.078, 65504.0 * 31 * 113, true },
};
enum { TYPES = sizeof types / sizeof *types };

static quantize_fn encoder(const set *s, int type) {
    switch (types[type].dtype) {
    case TOLA_DTYPE_Q4_0: return s->legacy->q4_0;
    case TOLA_DTYPE_Q4_1: return s->legacy->q4_1;
    case TOLA_DTYPE_Q5_0: return s->legacy->q5_0;
    case TOLA_DTYPE_Q5_1: return s->legacy->q5_1;
    case TOLA_DTYPE_Q8_0: return s->legacy->q8_0;
    case TOLA_DTYPE_Q8_1: return s->legacy->q8_1;
    case TOLA_DTYPE_Q8_K: return s->legacy->q8_k;
    case TOLA_DTYPE_Q2_K: return s->k->q2_k;
    case TOLA_DTYPE_Q3_K: return s->k->q3_k;
    case TOLA_DTYPE_Q4_K: return s->k->q4_k;
    case TOLA_DTYPE_Q5_K: return s->k->q5_k;
    case TOLA_DTYPE_Q6_K: return s->k->q6_k;
    case TOLA_DTYPE_IQ4_NL: return s->iq4->iq4_nl;
    case TOLA_DTYPE_IQ4_XS: return s->iq4->iq4_xs;
    default: return NULL;
    }
}

/* ---- rows ---- */

enum { MOST = 17 * 256 };

enum { GAUSS, HEAVY, OUTLIERS, SPARSE, CONSTANT, TINY, DENORMAL, ONE, ZEROS, POSITIVE, NEGATIVE, TIES, HUGE, KINDS };

static void fill(float *x, size_t n, int kind, double limit) {
    for (size_t i = 0; i < n; i++) {
        double g = unit_gaussian();
        switch (kind) {
        case GAUSS: x[i] = (float)(0.02 * g); break;
        case HEAVY: x[i] = (float)(0.02 * g / sqrt(unit_uniform())); break;
        case OUTLIERS: x[i] = (float)(0.02 * g * (unit_uniform() < 0.01 ? 30 : 1)); break;
        case SPARSE: x[i] = unit_uniform() < 0.75 ? 0 : (float)g; break;
        case CONSTANT: x[i] = -0.37f; break;
        case TINY: x[i] = (float)(3e-7 * g); break;
        case DENORMAL: x[i] = (float)(1e-41 * g); break;
        case ONE: x[i] = i == n / 3 ? -1.5f : 0; break;
        case ZEROS: x[i] = i % 2 ? 0.0f : -0.0f; break;
        case POSITIVE: x[i] = (float)(1 + 0.1 * unit_uniform()); break;
        case NEGATIVE: x[i] = (float)(-1 - 0.1 * unit_uniform()); break;
        case TIES: x[i] = (float)((int)(unit_uniform() * 16) - 8) * (unit_uniform() < 0.5 ? 0.5f : 1.0f); break;
        default: x[i] = (float)(limit * (2 * unit_uniform() - 1)); break;
        }
    }
}

static const char *const kind_names[KINDS] = { "gauss",    "heavy", "outliers", "sparse",   "constant", "tiny",
                                               "denormal", "one",   "zeros",    "positive", "negative", "ties",
                                               "huge" };

#define CANARY 0xa5

/* Unaligned, with as many bytes as are needed for the sanitizer to see a read too far, canaries around the output. */
static void same_bits(void **state) {
    (void)state;
    static const size_t counts[2][5] = { { 1, 2, 3, 16, 17 }, { 1, 2, 3, 4, 5 } }; /* up to 16, or 2 of 256, at once */
    for (int type = 0; type < TYPES; type++)
        for (int kind = 0; kind < KINDS; kind++)
            for (size_t b = 0; b < 5; b++)
                for (int weighed = 0; weighed < 2; weighed++) {
                    const size_t blocks = counts[types[type].block == 256][b];
                    size_t n = blocks * types[type].block, size = blocks * types[type].bytes;
                    float values[MOST], weights[MOST];
                    fill(values, n, kind, types[type].limit);
                    for (size_t i = 0; i < n; i++) weights[i] = (float)exp(2 * unit_gaussian()) * (i % 5 != 0);
                    uint8_t *src = malloc(4 * n + 1), *importance = malloc(4 * n + 3);
                    uint8_t *got = malloc(size + 34), *want = malloc(size + 34);
                    assert_true(src && importance && got && want);
                    memcpy(src + 1, values, 4 * n);
                    memcpy(importance + 3, weights, 4 * n);
                    const float *w = weighed ? (const float *)(const void *)(importance + 3) : NULL;
                    const float *x = (const float *)(const void *)(src + 1);
                    memset(want, CANARY, size + 34);
                    encoder(&definition, type)(x, want + 17, n, w);
                    for (size_t i = 0; i < 17; i++)
                        assert_true(want[i] == CANARY && want[17 + size + i] == CANARY);
                    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
                        if (!runs(sets[s].needs)) continue;
                        memset(got, CANARY, size + 34);
                        encoder(&sets[s], type)(x, got + 17, n, w);
                        if (memcmp(got, want, size + 34) == 0) continue;
                        size_t at = 0;
                        while (got[at] == want[at]) at++;
                        fail_msg("%s %s %s, %zu blocks, importance %d: byte %zd of block %zu", types[type].name,
                                 cpu_level_name(sets[s].needs), kind_names[kind], blocks, weighed,
                                 ((ptrdiff_t)at - 17) % (ptrdiff_t)types[type].bytes, (at - 17) / types[type].bytes);
                    }
                    free(src);
                    free(importance);
                    free(got);
                    free(want);
                }
}

/* ---- what comes back ---- */

/* The error against the row's own size; the best set encodes. */
static double noise(int type, const float *x, size_t n, const float *importance, const float *weights) {
    static uint8_t out[MOST * 2];
    static float back[MOST];
    const set *s = &definition;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (runs(sets[i].needs)) s = &sets[i];
    encoder(s, type)(x, out, n, importance);
    dequantize_get(types[type].dtype)(out, back, n);
    double error = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        double w = weights ? (double)weights[i] : 1, e = (double)x[i] - (double)back[i];
        assert_true(isfinite(back[i]));
        error += w * e * e;
        all += w * (double)x[i] * (double)x[i];
    }
    return all > 0 ? sqrt(error / all) : sqrt(error);
}

static void errors_are_small(void **state) {
    (void)state;
    float x[MOST];
    for (int type = 0; type < TYPES; type++) {
        size_t n = MOST;
        fill(x, n, GAUSS, 0);
        double e = noise(type, x, n, NULL, NULL);
        if (!(e < types[type].noise)) fail_msg("%s: error %g of a gaussian row", types[type].name, e);
        fill(x, n, ZEROS, 0);
        assert_true(noise(type, x, n, NULL, NULL) == 0.0);
        fill(x, n, DENORMAL, 0);
        assert_true(noise(type, x, n, NULL, NULL) <= 1.0); /* as zeros, where there is nothing so small */
        fill(x, n, ONE, 0); /* iq4 has no code for zero: 1/127 of the largest each */
        e = noise(type, x, n, NULL, NULL);
        if (!(e < 0.05)) fail_msg("%s: error %g of a row with one number", types[type].name, e);
        fill(x, n, CONSTANT, 0);
        e = noise(type, x, n, NULL, NULL);
        if (!(e < 0.01)) fail_msg("%s: error %g of a constant row", types[type].name, e);
        fill(x, n, HUGE, types[type].limit);
        e = noise(type, x, n, NULL, NULL);
        if (!(e < types[type].noise)) fail_msg("%s: error %g up to %g", types[type].name, e, types[type].limit);
    }
}

static void importance_is_heeded(void **state) {
    (void)state;
    float x[MOST], w[MOST], none[MOST] = { 0 }, huge[MOST];
    fill(x, MOST, GAUSS, 0);
    for (size_t i = 0; i < MOST; i++) {
        w[i] = (float)exp(1.5 * unit_gaussian());
        huge[i] = w[i] * 1e30f;
    }
    for (int type = 0; type < TYPES; type++) {
        double without = noise(type, x, MOST, NULL, w), with = noise(type, x, MOST, w, w);
        if (types[type].importance ? !(with < 0.97 * without) : with > without || with < without)
            fail_msg("%s: weighed error %g with importance, %g without", types[type].name, with, without);
        assert_true(noise(type, x, MOST, none, NULL) < types[type].noise); /* as if there were none */
        assert_true(noise(type, x, MOST, huge, w) < 1.01 * with);          /* its unit does not matter */
    }
}

static void types_are_found(void **state) {
    (void)state;
    for (int type = 0; type < TYPES; type++) {
        tola_dtype dtype = types[type].dtype;
        for (int scalar = 0; scalar < 2; scalar++) {
            int n = (quantize_legacy_get(dtype, scalar) != NULL) + (quantize_k_get(dtype, scalar) != NULL) +
                    (quantize_iq4_get(dtype, scalar) != NULL);
            assert_int_equal(n, 1);
        }
    }
    assert_null(quantize_k_get(TOLA_DTYPE_F32, false));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),
        cmocka_unit_test(errors_are_small),
        cmocka_unit_test(importance_is_heeded),
        cmocka_unit_test(types_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
