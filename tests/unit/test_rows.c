/* Functions of rows: every instruction set has the bits of the scalar file, and that is right. */
#include "base/cpu.h"
#include "kernels/cast/scalar.h"
#include "kernels/rows/functions.h"
#include "kernels/rows/rows_kernels.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t sets_here(const rows_kernels **out) {
    size_t n = 0;
    out[n++] = rows_get();
    out[n++] = rows_get_scalar();
#if defined(__x86_64__)
    if (cpu_get()->level >= CPU_AVX2) out[n++] = &rows_avx2;
    if (cpu_get()->level >= CPU_AVX512) out[n++] = &rows_avx512;
#elif defined(__aarch64__)
    if (cpu_get()->level == CPU_NEON) out[n++] = &rows_neon;
#endif
    return n;
}

/* The same bits, where a NaN is a NaN. */
static bool same(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (cast_f32_bits(a[i]) != cast_f32_bits(b[i]) && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

typedef enum kind { ORDINARY, WIDE, ANY_BITS, EDGES, KINDS } kind;

static void fill(kind k, float *x, size_t n) {
    static const float edges[] = { 0,     -0.0f,     INFINITY,        -INFINITY,        NAN,        1,
                                   -1,    0x1p-149f, -0x1p-126f,      88.72284f,        -87.33655f, -103.97f,
                                   89,    -104,      0x1.fffffep127f, -0x1.fffffep127f, 0.625f,     -0.625f,
                                   3.95f, 7 };
    for (size_t i = 0; i < n; i++) {
        if (k == ORDINARY)
            x[i] = unit_between(-4, 4);
        else if (k == WIDE)
            x[i] = unit_between(-120, 120);
        else if (k == ANY_BITS)
            x[i] = cast_f32_from_bits(unit_any());
        else
            x[i] = edges[unit_any() % (sizeof edges / sizeof *edges)];
    }
}

enum { MOST = 300, ROOM = 2 * MOST + 8, OPERATIONS = ROW_FUNCTIONS + 17 };

/* Operation `which` on rows of n floats; a and b stay as they are. */
static void operate(const rows_kernels *r, int which, const float *a, const float *b, float *y, size_t n) {
    if (which < ROW_FUNCTIONS) {
        r->apply((row_function)which, a, y, n);
        return;
    }
    switch (which - ROW_FUNCTIONS) {
    case 0: r->gated(ROW_SILU, a, b, y, n); break;
    case 1: r->gated_clamped(7, a, b, y, n); break;
    case 2: r->add(a, b, y, n); break;
    case 3: r->multiply(a, b, y, n); break;
    case 4: r->scale(-1.25f, a, y, n); break;
    case 5: memcpy(y, b, n * sizeof *y), r->accumulate(0.7f, a, y, n); break;
    case 6: r->softcap(30, a, y, n); break;
    case 7: r->rms_norm(a, b, 1, 1e-5f, y, n); break;
    case 8: r->rms_norm(a, NULL, 1, 1e-5f, y, n); break;
    case 9: r->layer_norm(a, b, NULL, 1e-5f, y, n); break;
    case 10: r->layer_norm(a, b, a, 1e-5f, y, n); break;
    case 11: r->rotate(b, b + 7, n / 2, 0, a, y); break;
    case 12: r->rotate(b, b + 7, n / 2, 1, a, y); break;
    case 13: y[0] = r->max(a, n); break;
    case 14: y[n] = r->exp_sum(a, 2, y, n); break;
    case 15: memcpy(y, a, n * sizeof *y), r->rms_norm(y, b, 0, 1e-6f, y, n); break;
    case 16: memcpy(y, a, n * sizeof *y), r->gated(ROW_GELU, b, y, y, n); break;
    }
}

static void test_sets_agree(void **unused) {
    (void)unused;
    const rows_kernels *sets[4];
    const size_t count = sets_here(sets);
    static float a[ROOM], b[ROOM], want[ROOM], got[ROOM];
    for (size_t n = 0; n <= MOST; n += n < 70 ? 1 : 23) {
        for (int k = 0; k < KINDS; k++) {
            fill((kind)k, a, ROOM);
            fill((kind)k, b, ROOM);
            const size_t at = unit_any() % 4; /* rows may lie anywhere */
            for (int which = 0; which < OPERATIONS; which++) {
                memset(want, 0x55, sizeof want);
                operate(&rows_scalar, which, a + at, b + at, want + at, n);
                for (size_t s = 0; s < count; s++) {
                    memset(got, 0x55, sizeof got);
                    operate(sets[s], which, a + at, b + at, got + at, n);
                    if (!same(want, got, ROOM))
                        fail_msg("operation %d, %zu elements, kind %d, set %zu", which, n, k, s);
                }
            }
        }
    }
}

/* ---- accuracy ---- */

static double ulps(float got, long double want) {
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    const float rounded = (float)want;
    if (isinf(rounded) || isinf(got)) return rounded == got ? 0 : INFINITY;
    int e;
    frexpl(want, &e);
    return (double)(fabsl((long double)got - want) / ldexpl(1, (e < -125 ? -125 : e) - 24));
}

/* Every 4099th of all floats. erf, which no function of a row gives alone, as the scalar file has it. */
static void test_within_two_ulp(void **unused) {
    (void)unused;
    enum { MANY = 256 };
    float x[MANY], y[MANY];
    double worst_tanh = 0, worst_exp = 0, worst_erf = 0;
    for (uint64_t u = 0; u < 1ull << 32;) {
        for (size_t i = 0; i < MANY; i++, u += 4099) x[i] = cast_f32_from_bits((uint32_t)u);
        rows_get()->apply(ROW_TANH, x, y, MANY);
        for (size_t i = 0; i < MANY; i++) worst_tanh = fmax(worst_tanh, ulps(y[i], tanhl((long double)x[i])));
        rows_get()->apply(ROW_EXP, x, y, MANY);
        for (size_t i = 0; i < MANY; i++) worst_exp = fmax(worst_exp, ulps(y[i], expl((long double)x[i])));
        for (size_t i = 0; i < MANY; i++) worst_erf = fmax(worst_erf, ulps(row_erf(x[i]), erfl((long double)x[i])));
    }
    print_message("largest error: tanh %.3f, exp %.3f, erf %.3f ulp\n", worst_tanh, worst_exp, worst_erf);
    assert_true(worst_tanh <= 2 && worst_exp <= 2 && worst_erf <= 2);
}

/* The formulas of rows.h in long double, to within what f32 loses over their steps. */
static long double formula(row_function f, long double x) {
    switch (f) {
    case ROW_SILU: return x / (1 + expl(-x));
    case ROW_GELU: return x / 2 * (1 + erfl(x / sqrtl(2)));
    case ROW_GELU_TANH: return x / 2 * (1 + tanhl(sqrtl(2 / 3.14159265358979323846L) * (x + 0.044715L * x * x * x)));
    case ROW_RELU: return x > 0 ? x : 0;
    case ROW_RELU2: return x > 0 ? x * x : 0;
    case ROW_SIGMOID: return 1 / (1 + expl(-x));
    case ROW_TANH: return tanhl(x);
    default: return expl(x);
    }
}

static void test_functions(void **unused) {
    (void)unused;
    for (int f = 0; f < ROW_FUNCTIONS; f++)
        for (float x = -12; x < 12; x += 0.00731f) {
            float y;
            rows_get()->apply((row_function)f, &x, &y, 1);
            long double want = formula((row_function)f, (long double)x);
            /* 1 + erf and 1 + tanh lose what cancels. */
            long double room =
                4e-7L * fabsl(want) + (f == ROW_GELU || f == ROW_GELU_TANH ? 3e-7L * fabsl((long double)x) : 0);
            if (fabsl((long double)y - want) > room) fail_msg("function %d of %g: %g", f, (double)x, (double)y);
        }
}

static void test_norms(void **unused) {
    (void)unused;
    enum { N = 83 };
    float x[N], w[N], b[N], y[N];
    double square = 0, mean = 0, variance = 0;
    fill(ORDINARY, x, N), fill(ORDINARY, w, N), fill(ORDINARY, b, N);
    for (int i = 0; i < N; i++) square += (double)x[i] * (double)x[i] / N, mean += (double)x[i] / N;
    for (int i = 0; i < N; i++) variance += ((double)x[i] - mean) * ((double)x[i] - mean) / N;
    rows_get()->rms_norm(x, w, 0.5f, 1e-3f, y, N);
    for (int i = 0; i < N; i++)
        assert_true(fabs((double)x[i] / sqrt(square + 1e-3) * ((double)w[i] + 0.5) - (double)y[i]) < 1e-5);
    rows_get()->layer_norm(x, w, b, 1e-3f, y, N);
    for (int i = 0; i < N; i++)
        assert_true(fabs(((double)x[i] - mean) / sqrt(variance + 1e-3) * (double)w[i] + (double)b[i] - (double)y[i]) <
                    1e-5);
}

static void test_rotation(void **unused) {
    (void)unused;
    float x[10], c[5], s[5], y[10];
    fill(ORDINARY, x, 10);
    for (int i = 0; i < 5; i++) c[i] = cosf((float)i), s[i] = sinf((float)i);
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        rows_get()->rotate(c, s, 5, interleaved, x, y);
        for (int i = 0; i < 5; i++) {
            int a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + 5;
            assert_true(fabsf(x[a] * c[i] - x[b] * s[i] - y[a]) < 1e-6f);
            assert_true(fabsf(x[b] * c[i] + x[a] * s[i] - y[b]) < 1e-6f);
        }
    }
}

static void test_softmax(void **unused) {
    (void)unused;
    float x[100], y[100];
    fill(ORDINARY, x, 100);
    x[57] = 9;
    assert_true(rows_get()->max(x, 100) == 9);
    assert_true(rows_get()->max(x, 0) == -INFINITY);
    double sum = 0;
    for (int i = 0; i < 100; i++) sum += exp((double)x[i] - 9);
    assert_true(fabs((double)rows_get()->exp_sum(x, 9, y, 100) - sum) < 1e-5);
    assert_true(y[57] == 1);
    x[99] = NAN;
    assert_true(isnan(rows_get()->max(x, 100)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_agree), cmocka_unit_test(test_within_two_ulp), cmocka_unit_test(test_functions),
        cmocka_unit_test(test_norms),      cmocka_unit_test(test_rotation),       cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
