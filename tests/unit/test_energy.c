/* Energy counters, over a tree as Linux shows it. */
#include <sys/stat.h>

#include "base/energy.h"
#include "unit.h"

static void zone(const char *name, const char *label, const char *range, const char *energy) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", unit_here(), name);
    mkdir(path, 0777);
    const char *const files[] = { "name", "max_energy_range_uj", "energy_uj" }, *const values[] = { label, range,
                                                                                                    energy };
    for (int i = 0; i < 3; i++) {
        char file[700], text[100];
        snprintf(file, sizeof file, "%s/%s", path, files[i]);
        int n = snprintf(text, sizeof text, "%s\n", values[i]);
        if (*values[i]) unit_write(file, text, (size_t)n);
    }
}

static void counts_packages_and_memory_once(void **state) {
    (void)state;
    energy_meter m;
    double joules;
    zone("intel-rapl:0", "package-0", "262143328850", "1000000");
    zone("intel-rapl:0:0", "core", "262143328850", "500000");
    zone("intel-rapl:0:1", "dram", "65712999613", "250000");
    zone("intel-rapl:1", "psys", "262143328850", "9000000");
    zone("dtpm", "package-9", "262143328850", "9000000");
    assert_true(energy_open(unit_here(), &m));
    assert_int_equal(m.count, 2);
    zone("intel-rapl:0", "package-0", "262143328850", "3500000");
    zone("intel-rapl:0:0", "core", "262143328850", "700000");
    zone("intel-rapl:0:1", "dram", "65712999613", "750000");
    zone("intel-rapl:1", "psys", "262143328850", "19000000");
    assert_true(energy_joules(&m, &joules));
    assert_float_equal(joules, 3.0, 1e-9);
}

static void wraps_around(void **state) {
    (void)state;
    energy_meter m;
    double joules;
    zone("intel-rapl:0", "package-0", "10000000", "9000000");
    assert_true(energy_open(unit_here(), &m));
    zone("intel-rapl:0", "package-0", "10000000", "2000000");
    energy_sample(&m);
    zone("intel-rapl:0", "package-0", "10000000", "1000000");
    assert_true(energy_joules(&m, &joules));
    assert_float_equal(joules, 3.0 + 9.0, 1e-9);
}

static void what_cannot_be_read_is_unknown(void **state) {
    (void)state;
    energy_meter m;
    double joules;
    assert_false(energy_open(unit_path("absent"), &m));
    assert_false(energy_joules(&m, &joules));
    zone("intel-rapl:0", "package-0", "10000000", "");
    assert_false(energy_open(unit_here(), &m));
    zone("intel-rapl:0", "package-0", "10000000", "12x");
    assert_false(energy_open(unit_here(), &m));
    zone("intel-rapl:0", "package-0", "10000000", "12");
    assert_true(energy_open(unit_here(), &m));
    unlink(unit_path("intel-rapl:0/energy_uj"));
    assert_false(energy_joules(&m, &joules));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_packages_and_memory_once, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(wraps_around, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_unknown, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
