/* Adam's update: every instruction set has the bits of the scalar file, and that is the formula. */
#include "base/cpu.h"
#include "kernels/update/update_kernels.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { MOST = 67, SETS = 3 };

static size_t sets_here(update_adam_fn *out) {
    size_t n = 0;
    out[n++] = update_adam_get();
#if defined(__x86_64__)
    if (cpu_get()->level >= CPU_AVX2) out[n++] = update_adam_avx2;
    if (cpu_get()->level >= CPU_AVX512) out[n++] = update_adam_avx512;
#elif defined(__aarch64__)
    if (cpu_get()->level == CPU_NEON) out[n++] = update_adam_neon;
#endif
    return n;
}

static update_adam numbers(bool coupled) {
    const double rate = 3e-3, decay = 0.1;
    return (update_adam){ .scale = 0.25f, .rest1 = 0.1f, .beta2 = 0.95f, .rest2 = 0.05f, .eps = 1e-8f,
                          .add = coupled ? (float)decay : 0, .shrink = coupled ? 1 : (float)(1 - rate * decay),
                          .step = (float)(rate / 0.271), .unroot = (float)(1 / sqrt(0.142625)) };
}

typedef struct state {
    float g[MOST + 1], x[MOST + 1], m[MOST + 1], v[MOST + 1];
} state;

static state some(bool wild) {
    static const float odd[] = { 0, -0.0f, INFINITY, NAN, 0x1p-149f, 0x1p127f, -1e-30f };
    state s;
    for (size_t i = 0; i <= MOST; i++) {
        s.g[i] = wild && i % 3 == 0 ? odd[unit_any() % 7] : unit_between(-1, 1);
        s.x[i] = unit_between(-1, 1), s.m[i] = unit_between(-1, 1);
        s.v[i] = wild && i % 5 == 0 ? 0 : unit_between(0, 1);
    }
    return s;
}

static void test_every_set_has_the_same_bits(void **unused) {
    (void)unused;
    update_adam_fn sets[1 + SETS];
    const size_t count = sets_here(sets);
    for (size_t n = 0; n <= MOST; n++)
        for (int kind = 0; kind < 4; kind++) {
            const update_adam a = numbers(kind & 1);
            const state before = some(kind & 2);
            state right = before;
            update_adam_get_scalar()(&a, right.g, right.x, right.m, right.v, n);
            assert_memory_equal(right.x + n, before.x + n, (MOST + 1 - n) * sizeof(float));
            for (size_t s = 0; s < count; s++) {
                state got = before;
                sets[s](&a, got.g, got.x, got.m, got.v, n);
                for (size_t i = 0; i <= MOST; i++) /* a NaN is a NaN */
                    assert_true((memcmp(&got.x[i], &right.x[i], 4) == 0 || (isnan(got.x[i]) && isnan(right.x[i]))) &&
                                (memcmp(&got.m[i], &right.m[i], 4) == 0 || (isnan(got.m[i]) && isnan(right.m[i]))) &&
                                (memcmp(&got.v[i], &right.v[i], 4) == 0 || (isnan(got.v[i]) && isnan(right.v[i]))));
            }
        }
}

static void test_is_the_formula(void **unused) {
    (void)unused;
    for (int coupled = 0; coupled < 2; coupled++) {
        const update_adam a = numbers(coupled);
        const state before = some(false);
        state got = before;
        update_adam_get_scalar()(&a, got.g, got.x, got.m, got.v, MOST);
        for (size_t i = 0; i < MOST; i++) {
            const double d = (double)before.g[i] * 0.25 + (coupled ? 0.1 * (double)before.x[i] : 0);
            const double m = (double)before.m[i] * 0.9 + 0.1 * d, v = (double)before.v[i] * 0.95 + 0.05 * d * d;
            const double weight = (double)before.x[i] * (coupled ? 1 : 1 - 3e-3 * 0.1);
            const double x = weight - 3e-3 / 0.271 * m / (sqrt(v) / sqrt(0.142625) + 1e-8);
            assert_true(fabs((double)got.m[i] - m) < 2e-7 && fabs((double)got.v[i] - v) < 2e-7);
            assert_true(fabs((double)got.x[i] - x) < 1e-6);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_set_has_the_same_bits),
                                        cmocka_unit_test(test_is_the_formula) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
