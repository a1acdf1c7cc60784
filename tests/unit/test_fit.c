/* The sums behind the choice of a scale: each instruction set against the scalar file, bit by bit, and the definition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "kernels/fit/fit.h"
#include "random.h"

#define MOST 400
#define GRIDS 7

static const fit_kernels *sets[3];
static size_t set_count;

static int find_sets(void **state) {
    (void)state;
    sets[set_count++] = &fit_scalar;
#if defined(__x86_64__)
    if (cpu_get()->level >= CPU_AVX2) sets[set_count++] = &fit_avx2;
    if (cpu_get()->level >= CPU_AVX512) sets[set_count++] = &fit_avx512;
#endif
    return 0;
}

static void fill(float *x, float *w, size_t n) {
    for (size_t i = 0; i < n; i++) {
        x[i] = unit_between(-1, 1) * (unit_random() % 16 == 0 ? 4 : 1);
        w[i] = unit_random() % 8 == 0 ? 0 : unit_between(-1, 1) + 1;
    }
}

static void test_sums(void **state) {
    (void)state;
    for (int turn = 0; turn < 600; turn++) {
        size_t n = unit_random() % MOST, count = 1 + unit_random() % GRIDS;
        /* exactly n floats, so that a sanitizer sees a read beyond */
        float *x = malloc(n * sizeof *x + 1), *w = malloc(n * sizeof *w + 1);
        fit_grid grids[GRIDS];
        int bits = 1 + (int)(unit_random() % 8);
        float low = -(float)(1 << (bits - 1)), high = (float)((1 << (bits - 1)) - 1);
        fill(x, w, n);
        for (size_t c = 0; c < count; c++)
            grids[c] = (fit_grid){ unit_between(-1, 1) * 200, low + (float)(unit_random() % (unsigned)(1 << bits)) };
        fit_sums expected[GRIDS], got[GRIDS];
        fit_scalar.sums(x, turn % 2 ? w : NULL, n, low, high, grids, count, expected);
        for (size_t s = 1; s < set_count; s++) {
            sets[s]->sums(x, turn % 2 ? w : NULL, n, low, high, grids, count, got);
            assert_memory_equal(got, expected, count * sizeof *got);
        }
        int8_t *codes = malloc(n + 1), *other = malloc(n + 1);
        fit_scalar.codes(x, n, low, high, grids[0], codes);
        double xq = 0;
        for (size_t i = 0; i < n; i++) {
            double v = rint(fmin(fmax((double)(x[i] * grids[0].inverse + grids[0].zero), (double)low), (double)high));
            assert_int_equal(codes[i], (int)v);
            xq += (turn % 2 ? (double)w[i] : 1) * (double)x[i] * (v - (double)grids[0].zero);
        }
        assert_true(fabs(xq - (double)expected[0].xq) <= 1e-3 * (1 + fabs(xq)));
        for (size_t s = 1; s < set_count; s++) {
            sets[s]->codes(x, n, low, high, grids[0], other);
            assert_memory_equal(other, codes, n);
        }
        free(codes);
        free(other);
        free(x);
        free(w);
    }
}

static void test_small_sums(void **state) {
    (void)state;
    static const cast_small *const types[] = { &cast_e2m1, &cast_e2m3, &cast_e3m2, &cast_e4m3, &cast_e5m2 };
    for (int turn = 0; turn < 600; turn++) {
        size_t n = unit_random() % MOST, count = 1 + unit_random() % GRIDS;
        const cast_small *type = types[unit_random() % 5];
        float *x = malloc(n * sizeof *x + 1), *w = malloc(n * sizeof *w + 1), inverses[GRIDS];
        fill(x, w, n);
        for (size_t c = 0; c < count; c++)
            inverses[c] = ldexpf(unit_between(0.5f, 1.5f), (int)(unit_random() % 24) - 12);
        fit_sums expected[GRIDS], got[GRIDS];
        fit_scalar.small_sums(type, x, turn % 2 ? w : NULL, n, inverses, count, expected);
        for (size_t s = 1; s < set_count; s++) {
            sets[s]->small_sums(type, x, turn % 2 ? w : NULL, n, inverses, count, got);
            assert_memory_equal(got, expected, count * sizeof *got);
        }
        double qq = 0;
        for (size_t i = 0; i < n; i++) { /* rounded as the casts do */
            float v = x[i] * inverses[0], q;
            uint8_t code;
            cast_scalar.f32_to_small(type, &v, &code, 1, true);
            cast_small_to_f32(type, &code, &q, 1);
            qq += (turn % 2 ? (double)w[i] : 1) * (double)q * (double)q;
        }
        assert_true(fabs(qq - (double)expected[0].qq) <= 1e-4 * (1 + qq));
        free(x);
        free(w);
    }
}

static void test_range(void **state) {
    (void)state;
    for (size_t s = 0; s < set_count; s++) {
        float least = 9, most = 9;
        sets[s]->range(NULL, 0, &least, &most);
        assert_true(least == 0 && most == 0);
        for (int turn = 0; turn < 300; turn++) {
            size_t n = 1 + unit_random() % MOST, at = unit_random() % n, other = unit_random() % n;
            float *x = malloc(n * sizeof *x);
            for (size_t i = 0; i < n; i++) x[i] = unit_between(-1, 1);
            x[at] = -3;
            x[other] = other == at ? -3 : 5;
            if (n > 2) x[(at + 1) % n] = (at + 1) % n == other ? 5 : NAN;
            sets[s]->range(x, n, &least, &most);
            assert_true(least == -3);
            if (other != at) assert_true(most == 5);
            free(x);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_small_sums),
        cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, find_sets, NULL);
}
