/* Statistics and comparison kernels against two-pass sums in long double; every instruction set the processor has. */
#include "base/cpu.h"
#include "kernels/cast/scalar.h"
#include "kernels/compare/compare_kernels.h"
#include "kernels/stats/stats_kernels.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 3 * STATS_BLOCK + 77 };

/* ---- element types ---- */

typedef enum { F32, F64, F16, BF16, TYPES } element;
static const size_t sizes[TYPES] = { 4, 8, 2, 2 };
static const char *const type_names[TYPES] = { "f32", "f64", "f16", "bf16" };

static double store(element t, uint8_t *p, double x) {
    float f = (float)x;
    uint32_t u = cast_f32_bits(f);
    uint16_t h = t == F16 ? cast_f32_to_f16(u) : cast_f32_to_bf16(u);
    switch (t) {
    case F32: memcpy(p, &f, 4); return (double)f;
    case F64: memcpy(p, &x, 8); return x;
    case F16: memcpy(p, &h, 2); return (double)cast_f32_from_bits(cast_f16_to_f32(h));
    default: memcpy(p, &h, 2); return (double)cast_f32_from_bits(cast_bf16_to_f32(h));
    }
}

static void add(const stats_kernels *k, element t, stats_acc *s, const void *p, size_t n) {
    switch (t) {
    case F32: k->f32(s, p, n); return;
    case F64: k->f64(s, p, n); return;
    case F16: k->f16(s, p, n); return;
    default: k->bf16(s, p, n); return;
    }
}

/* ---- instruction sets ---- */

static const struct {
    cpu_level needs;
    const stats_kernels *stats;
    const compare_kernels *compare;
} sets[] = {
    { CPU_SCALAR, &stats_scalar, &compare_scalar },
#if defined(__x86_64__)
    { CPU_AVX2, &stats_avx2, &compare_avx2 },
    { CPU_AVX512, &stats_avx512, &compare_avx512 },
#elif defined(__aarch64__)
    { CPU_NEON, &stats_neon, &compare_neon },
#endif
};

static bool runs(cpu_level level) {
    cpu_level have = cpu_get()->level;
    return level == CPU_SCALAR || level == have || (level == CPU_AVX2 && have == CPU_AVX512);
}

/* ---- statistics ---- */

static void reference(const double *x, size_t n, stats_acc *s) {
    stats_init(s);
    long double sum = 0;
    for (size_t i = 0; i < n; i++) {
        s->count++;
        if (isnan(x[i])) s->nans++;
        else if (isinf(x[i])) s->infinities++;
        else s->finite++, sum += x[i];
        if (x[i] == 0) s->zeros++;
        if (!isfinite(x[i])) continue;
        if (x[i] < s->min) s->min = x[i] + 0.0;
        if (x[i] > s->max) s->max = x[i] + 0.0;
        int e = x[i] == 0 ? 0 : ilogb(x[i]);
        e = e < -64 ? -64 : e > 63 ? 63 : e;
        s->histogram[x[i] == 0 ? 128 : x[i] < 0 ? 63 - e : 193 + e]++;
    }
    long double mean = s->finite ? sum / (long double)s->finite : 0, m2 = 0, m3 = 0, m4 = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        long double d = x[i] - mean;
        m2 += d * d;
        m3 += d * d * d;
        m4 += d * d * d * d;
    }
    s->mean = (double)mean;
    s->m2 = (double)m2;
    s->m3 = (double)m3;
    s->m4 = (double)m4;
}

static bool near(double a, double b, double scale) {
    return a == b || fabs(a - b) <= 1e-12 * scale;
}

static void assert_same(const char *what, const stats_acc *got, const stats_acc *want) {
    bool exact = got->count == want->count && got->zeros == want->zeros && got->nans == want->nans &&
                 got->infinities == want->infinities && got->finite == want->finite && got->min == want->min &&
                 got->max == want->max && memcmp(got->histogram, want->histogram, sizeof got->histogram) == 0;
    double n = (double)want->finite, std = n > 0 ? sqrt(want->m2 / n) : 0;
    bool moments = near(got->mean, want->mean, std + fabs(want->mean)) && near(got->m2, want->m2, want->m2) &&
                   near(got->m4, want->m4, want->m4) && near(got->m3, want->m3, n * std * std * std + fabs(want->m3));
    if (exact && moments) return;
    for (int i = 0; i < TOLA_HISTOGRAM_BINS; i++)
        if (got->histogram[i] != want->histogram[i])
            print_message("bin %d: %llu, not %llu\n", i, (unsigned long long)got->histogram[i],
                          (unsigned long long)want->histogram[i]);
    fail_msg("%s: count %llu/%llu zeros %llu/%llu nans %llu/%llu inf %llu/%llu min %g/%g max %g/%g mean %.17g/%.17g "
             "m2 %.17g/%.17g m3 %.17g/%.17g m4 %.17g/%.17g",
             what, (unsigned long long)got->count, (unsigned long long)want->count, (unsigned long long)got->zeros,
             (unsigned long long)want->zeros, (unsigned long long)got->nans, (unsigned long long)want->nans,
             (unsigned long long)got->infinities, (unsigned long long)want->infinities, got->min, want->min, got->max,
             want->max, got->mean, want->mean, got->m2, want->m2, got->m3, want->m3, got->m4, want->m4);
}

/* ---- what the data looks like ---- */

typedef double (*generator)(size_t i);

static double weights(size_t i) { (void)i; return 0.02 * unit_gaussian(); }
static double norms(size_t i) { (void)i; return 1 + 0.01 * unit_gaussian(); }
static double sparse(size_t i) {
    (void)i;
    return unit_random() % 3 ? (unit_random() & 1 ? 0.0 : -0.0) : unit_gaussian();
}
static double constant(size_t i) { (void)i; return (double)0.3f; }
static double zeros(size_t i) { (void)i; return -0.0; }
static double broken(size_t i) {
    return i % 97 == 5 ? NAN : i % 501 == 7 ? (i & 1 ? INFINITY : -INFINITY) : unit_gaussian();
}
static double nothing(size_t i) { (void)i; return NAN; }
static double growing(size_t i) { return unit_gaussian() * ldexp(1, (int)(i / 100 % 30)) * 1e-3; }
static double tiny(size_t i) { return unit_gaussian() * (i % 3 ? 1e-7 : i % 2 ? 3e-39 : 1e-5); }
static double huge_range(size_t i) { (void)i; return ldexp(unit_gaussian(), (int)(unit_random() % 200) - 100); }
static double positive(size_t i) { return (double)(i % 100) + 0.5; }

static const struct {
    const char *name;
    generator make;
} shapes[] = {
    { "weights", weights }, { "norms", norms },     { "sparse", sparse },   { "constant", constant },
    { "zeros", zeros },     { "broken", broken },   { "nothing", nothing }, { "growing", growing },
    { "tiny", tiny },       { "range", huge_range }, { "positive", positive },
};

static void check_stats(size_t set, element t, size_t shape, size_t n) {
    uint8_t *data = malloc(n * sizes[t] + 1); /* odd address; exact end, so that the sanitizer sees reads beyond */
    double *x = malloc((n + 1) * sizeof *x);
    assert_true(data && x);
    for (size_t i = 0; i < n; i++) x[i] = store(t, data + 1 + i * sizes[t], shapes[shape].make(i));
    stats_acc want, got;
    reference(x, n, &want);
    stats_init(&got);
    add(sets[set].stats, t, &got, data + 1, n);
    char what[96];
    const char *level = cpu_level_name(sets[set].needs);
    snprintf(what, sizeof what, "%s %s %s n=%zu", level, type_names[t], shapes[shape].name, n);
    assert_same(what, &got, &want);
    free(data);
    free(x);
}

static void test_stats(void **state) {
    (void)state;
    static const size_t counts[] = { 0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 255, 1000,
                                     STATS_BLOCK - 1, STATS_BLOCK, STATS_BLOCK + 1, MOST };
    for (size_t set = 0; set < sizeof sets / sizeof *sets; set++) {
        if (!runs(sets[set].needs)) continue;
        for (element t = 0; t < TYPES; t++)
            for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++)
                for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) check_stats(set, t, shape, counts[c]);
    }
}

/* All 65536 patterns, in order and shuffled among ordinary numbers. */
static void test_all_patterns(void **state) {
    (void)state;
    static uint16_t h[65536];
    static double x[65536];
    for (element t = F16; t < TYPES; t++) {
        for (int i = 0; i < 65536; i++) {
            h[i] = (uint16_t)(i * 40503u);
            uint32_t u = t == F16 ? cast_f16_to_f32(h[i]) : cast_bf16_to_f32(h[i]);
            x[i] = (double)cast_f32_from_bits(u);
        }
        stats_acc want, got;
        reference(x, 65536, &want);
        for (size_t set = 0; set < sizeof sets / sizeof *sets; set++) {
            if (!runs(sets[set].needs)) continue;
            stats_init(&got);
            add(sets[set].stats, t, &got, h, 65536);
            assert_same(cpu_level_name(sets[set].needs), &got, &want);
        }
    }
}

static void test_merge(void **state) {
    (void)state;
    static float f[MOST];
    for (size_t i = 0; i < MOST; i++) f[i] = (float)(unit_gaussian() * (i < MOST / 2 ? 1 : 30) + 5);
    stats_acc whole, left, right;
    stats_init(&whole);
    stats_add_f32(&whole, f, MOST);
    for (size_t cut = 0; cut <= MOST; cut += STATS_BLOCK) {
        stats_init(&left);
        stats_init(&right);
        stats_add_f32(&left, f, cut);
        stats_add_f32(&right, f + cut, MOST - cut);
        stats_merge(&left, &right);
        assert_same("merged", &left, &whole);
    }
    stats_derived d = stats_derive(&whole);
    double sum = 0;
    for (size_t i = 0; i < MOST; i++) sum += (double)f[i] * (double)f[i];
    assert_true(near(d.norm, sqrt(sum), d.norm));
    stats_init(&left);
    d = stats_derive(&left);
    assert_true(isnan(d.std) && isnan(d.kurtosis) && d.norm == 0);
}

static void test_outside(void **state) {
    (void)state;
    static const double values[] = { -7, -6, 0, 6, 6.5, NAN, INFINITY, -INFINITY, 100 };
    enum { N = sizeof values / sizeof *values };
    uint8_t data[N * 8];
    static uint64_t (*const outside[TYPES])(const void *, size_t, double, double) = {
        stats_outside_f32, stats_outside_f64, stats_outside_f16, stats_outside_bf16
    };
    for (element t = 0; t < TYPES; t++) {
        for (size_t i = 0; i < N; i++) store(t, data + i * sizes[t], values[i]);
        assert_int_equal(outside[t](data, N, -6, 6), 3);
    }
}

/* ---- comparison ---- */

static void compare_reference(const double *a, const double *b, size_t n, double tolerance, compare_acc *c) {
    long double diff2 = 0, a2 = 0, b2 = 0, ab = 0;
    compare_init(c);
    c->count = n;
    for (size_t i = 0; i < n; i++) {
        if ((isnan(a[i]) && isnan(b[i])) || (isinf(a[i]) && a[i] == b[i])) continue;
        if (!isfinite(a[i]) || !isfinite(b[i])) {
            c->infinite++, c->changed++, c->max_abs = INFINITY;
            continue;
        }
        double d = fabs(a[i] - b[i]);
        if (d > c->max_abs) c->max_abs = d;
        c->changed += d > tolerance;
        diff2 += (long double)d * d, a2 += (long double)a[i] * a[i];
        b2 += (long double)b[i] * b[i], ab += (long double)a[i] * b[i];
    }
    c->diff2 = (double)diff2, c->a2 = (double)a2, c->b2 = (double)b2, c->ab = (double)ab;
}

static void check_compare(size_t set, element t, size_t n, bool special, double tolerance) {
    uint8_t *a = malloc(n * sizes[t] + 1), *b = malloc(n * sizes[t] + 1);
    double *x = malloc((n + 1) * sizeof *x), *y = malloc((n + 1) * sizeof *y);
    assert_true(a && b && x && y);
    static const double odd[] = { NAN, INFINITY, -INFINITY, 0.0, -0.0, 1 };
    for (size_t i = 0; i < n; i++) {
        bool strange = special && unit_random() % 20 == 0;
        double v = strange ? odd[unit_random() % 6] : unit_gaussian();
        double w = strange ? odd[unit_random() % 6] : unit_random() % 2 ? v : v + unit_gaussian() * 0.01;
        x[i] = store(t, a + 1 + i * sizes[t], v);
        y[i] = store(t, b + 1 + i * sizes[t], w);
    }
    compare_acc want, got;
    compare_reference(x, y, n, tolerance, &want);
    compare_init(&got);
    compare_block_fn f = t == F32 ? sets[set].compare->f32 : sets[set].compare->f64;
    for (size_t at = 0; at < n; at += COMPARE_BLOCK) {
        size_t m = n - at < COMPARE_BLOCK ? n - at : COMPARE_BLOCK;
        f(&got, a + 1 + at * sizes[t], b + 1 + at * sizes[t], m, tolerance);
    }
    bool ok = got.count == want.count && got.changed == want.changed && got.infinite == want.infinite &&
              got.max_abs == want.max_abs && near(got.diff2, want.diff2, want.diff2) &&
              near(got.a2, want.a2, want.a2) && near(got.b2, want.b2, want.b2) &&
              near(got.ab, want.ab, sqrt(want.a2 * want.b2));
    if (!ok)
        fail_msg("%s %s n=%zu special %d: changed %llu/%llu infinite %llu/%llu max %.17g/%.17g diff2 %.17g/%.17g",
                 cpu_level_name(sets[set].needs), type_names[t], n, special, (unsigned long long)got.changed,
                 (unsigned long long)want.changed, (unsigned long long)got.infinite,
                 (unsigned long long)want.infinite, got.max_abs, want.max_abs, got.diff2, want.diff2);
    free(a);
    free(b);
    free(x);
    free(y);
}

static void test_compare(void **state) {
    (void)state;
    static const size_t counts[] = { 0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100, COMPARE_BLOCK, MOST };
    for (size_t set = 0; set < sizeof sets / sizeof *sets; set++) {
        if (!runs(sets[set].needs)) continue;
        for (element t = F32; t <= F64; t++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
                for (int special = 0; special < 2; special++) {
                    check_compare(set, t, counts[c], special, 0);
                    check_compare(set, t, counts[c], special, 0.01);
                }
    }
    float a[100], b[100];
    for (int i = 0; i < 100; i++) a[i] = b[i] = (float)i;
    b[99] = 7;
    compare_acc c;
    compare_init(&c);
    compare_add_f32(&c, a, b, 100, 0);
    assert_true(c.changed == 1 && c.max_abs == 92 && c.count == 100);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_stats), cmocka_unit_test(test_all_patterns),
                                        cmocka_unit_test(test_merge), cmocka_unit_test(test_outside),
                                        cmocka_unit_test(test_compare) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
