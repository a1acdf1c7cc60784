/* Elements outside an interval: the integer comparisons against plain ones, on any bits. */
#include "random.h"
#include "unit.h"

#include <math.h>

#include "kernels/cast/scalar.h"
#include "kernels/stats/stats.h"

#define MOST 777

static double as_f64(const uint8_t *p) {
    double x;
    memcpy(&x, p, 8);
    return x;
}

static double as_f32(const uint8_t *p) {
    float x;
    memcpy(&x, p, 4);
    return (double)x;
}

static double as_f16(const uint8_t *p) {
    return (double)cast_f32_from_bits(cast_f16_to_f32((uint16_t)(p[0] | p[1] << 8)));
}

static double as_bf16(const uint8_t *p) {
    return (double)cast_f32_from_bits(cast_bf16_to_f32((uint16_t)(p[0] | p[1] << 8)));
}

static const struct {
    size_t size;
    double (*value)(const uint8_t *);
    uint64_t (*outside)(const void *, size_t, double, double);
    uint64_t (*collect)(const void *, size_t, double, double, double *, size_t);
} types[] = { { 8, as_f64, stats_outside_f64, stats_collect_f64 },
              { 4, as_f32, stats_outside_f32, stats_collect_f32 },
              { 2, as_f16, stats_outside_f16, stats_collect_f16 },
              { 2, as_bf16, stats_outside_bf16, stats_collect_bf16 } };

static void check(size_t type, const uint8_t *data, size_t n, double low, double high) {
    double want[MOST], got[MOST];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        double x = types[type].value(data + i * types[type].size);
        if (isfinite(x) && (x < low || x > high)) want[count++] = x;
    }
    assert_int_equal(types[type].outside(data, n, low, high), count);
    assert_int_equal(types[type].collect(data, n, low, high, got, MOST), count);
    assert_memory_equal(got, want, count * sizeof *want);
    if (count < 2) return;
    double few[2] = { -1, -1 };
    assert_int_equal(types[type].collect(data, n, low, high, few, 1), count);
    assert_true(few[0] == want[0] && few[1] == -1);
}

static void test_any_bits(void **state) {
    (void)state;
    static uint8_t data[MOST * 8 + 1];
    for (int round = 0; round < 400; round++) {
        for (size_t i = 0; i < sizeof data; i += 8) {
            uint64_t bits = unit_random();
            memcpy(data + i, &bits, sizeof data - i < 8 ? sizeof data - i : 8);
        }
        for (size_t type = 0; type < 4; type++) {
            size_t n = unit_random() % MOST;
            /* bounds that are elements, and such that are not */
            double low = types[type].value(data + 1 + unit_random() % MOST * types[type].size);
            double high = types[type].value(data + 1 + unit_random() % MOST * types[type].size);
            if (isnan(low) || isnan(high)) continue;
            if (round % 3 == 1) low = nextafter(low, INFINITY);
            if (round % 3 == 2) high = nextafter(high, -INFINITY);
            check(type, data + 1, n, low < high ? low : high, low < high ? high : low);
        }
    }
}

static void test_edges(void **state) {
    (void)state;
    static const double values[] = { 0.0, -0.0, 1, -1, INFINITY, -INFINITY, NAN };
    uint8_t data[sizeof values / sizeof *values * 8];
    memcpy(data, values, sizeof data);
    check(0, data, 7, 0, 0);
    check(0, data, 7, -INFINITY, INFINITY);
    check(0, data, 7, INFINITY, INFINITY);
    check(0, data, 7, -INFINITY, -INFINITY);
    check(0, data, 0, 0, 0);
    for (size_t type = 1; type < 4; type++) {
        static const uint8_t zeros[64];
        check(type, zeros, 8, 1e300, 1e301);
        check(type, zeros, 8, -1e301, -1e300);
        check(type, zeros, 8, -1e-300, 1e-300);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_any_bits), cmocka_unit_test(test_edges) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
