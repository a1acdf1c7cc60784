/* The table of devices: every row is plausible and has a source; names, several of one, files of the user's; counts. */
#include "unit.h"

#include <tola/fit.h>

#include "base/mem.h"
#include "policy/device.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static devices *table(const char *file) {
    devices *d = NULL;
    tola_error err = TOLA_ERROR_INIT;
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    if (devices_open(file, &d, &err) != TOLA_OK) fail_msg("%s", err.message);
    return d;
}

static const device *find(const devices *t, const char *name, uint32_t want) {
    const device *d = NULL;
    uint32_t count = 99;
    tola_error err = TOLA_ERROR_INIT;
    if (devices_find(t, name, &d, &count, &err) != TOLA_OK) fail_msg("%s: %s", name, err.message);
    if (count != want) fail_msg("%s: %u of them", name, count);
    return d;
}

static void assert_unknown(const devices *t, const char *name, const char *message) {
    const device *d;
    uint32_t count;
    tola_error err = TOLA_ERROR_INIT;
    if (devices_find(t, name, &d, &count, &err) == TOLA_OK) fail_msg("%s is found: %s", name, d->name);
    if (!strstr(err.message, message)) fail_msg("%s: \"%s\"", name, err.message);
}

static void between(const device *d, const char *what, double value, double low, double high) {
    if (!(value >= low && value <= high)) fail_msg("%s: %s is %g, not from %g to %g", d->name, what, value, low, high);
}

/* A slip of a digit shows: bytes a second for a byte of memory, operations for a byte moved, ratios of peaks. */
static void test_rows(void **state) {
    (void)state;
    devices *t = table(NULL);
    assert_true(devices_count(t) > 110);
    for (size_t i = 0; i < devices_count(t); i++) {
        const device *d = devices_at(t, i);
        double best = 0, wide = 0;
        if (strncmp(d->source, "https://", 8) != 0) fail_msg("%s: the source is '%s'", d->name, d->source);
        between(d, "memory", (double)d->memory, 7e9, 1.1e12);
        between(d, "usable share", (double)d->usable / (double)d->memory, 0.7, 1);
        between(d, "overhead", (double)d->overhead, 1e8, 2e9);
        between(d, "bandwidth", d->bandwidth, 10e9, 10e12);
        between(d, "reads of the memory a second", d->bandwidth / (double)d->memory, 0.4, 100);
        between(d, "watts", d->watts, 5, 2000);
        between(d, "decode", d->decode, 0.3, 1);
        between(d, "prefill", d->prefill, 0.2, 1);
        if (d->usd_hour > 0) {
            between(d, "price", d->usd_hour, 0.001, 20);
            if (!d->price_date || !d->price_source) fail_msg("%s: a price without date or source", d->name);
        }
        for (int k = 0; k < DEVICE_PEAKS; k++)
            if (d->peaks[k] > best) best = d->peaks[k];
        between(d, "best peak", best, 1e11, 20e15);
        wide = d->peaks[DEVICE_BF16] > 0 ? d->peaks[DEVICE_BF16] : d->peaks[DEVICE_F16];
        if (wide > 0) between(d, "operations in 16 bits for a byte", wide / d->bandwidth, 5, 800);
        if (wide > 0 && d->peaks[DEVICE_F32] > 0) between(d, "16 bits over f32", wide / d->peaks[DEVICE_F32], 0.99, 32);
        if (wide > 0 && d->peaks[DEVICE_F8] > 0) between(d, "8 bits over 16", d->peaks[DEVICE_F8] / wide, 0.99, 2.1);
        if (d->peaks[DEVICE_F8] > 0 && d->peaks[DEVICE_F4] > 0)
            between(d, "4 bits over 8", d->peaks[DEVICE_F4] / d->peaks[DEVICE_F8], 1.9, 4.1);
    }
    devices_free(t);
}

static void test_names(void **state) {
    (void)state;
    static const char *const same[][2] = { { "h100", "h100-sxm" },       { "H100 SXM", "h100-sxm" },
                                           { "NVIDIA H100", "h100-sxm" }, { "4090", "rtx4090" },
                                           { "RTX 4090", "rtx4090" },     { "rtx-4090", "rtx4090" },
                                           { "GeForce RTX 3060 12GB", "rtx3060-12" }, { "m3-max-64", "m3-max-64" },
                                           { "M3 Max 64GB", "m3-max-64" }, { "apple m1 8", "m1-8" },
                                           { "MI300X", "mi300x" },        { "6000 Ada", "rtx-6000-ada" },
                                           { "Ryzen AI Max+ 395", "strix-halo-128" }, { "v5e", "tpu-v5e" } };
    devices *t = table(NULL);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const device *d = find(t, same[i][0], 0);
        if (strcmp(d->name, same[i][1]) != 0) fail_msg("%s is %s", same[i][0], d->name);
    }
    assert_string_equal(find(t, "8xh100", 8)->name, "h100-sxm");
    assert_string_equal(find(t, "h100x8", 8)->name, "h100-sxm");
    assert_string_equal(find(t, "mi300x8", 8)->name, "mi300x");
    assert_string_equal(find(t, "2xRTX 4090", 2)->name, "rtx4090");
    assert_unknown(t, "h1000", "did you mean 'h100-sxm'");
    assert_unknown(t, "rtx4900", "did you mean");
    assert_unknown(t, "m3-max", "m3-max-64");
    assert_unknown(t, "80GB", "is a size, not a device");
    assert_unknown(t, "80GiB", "is a size, not a device");
    assert_unknown(t, "", "no device");
    assert_unknown(t, "0xh100", "no device");
    assert_unknown(t, "completely else", "no device 'completely else'; --list-devices");
    devices_free(t);
}

static char *write_file(const char *text) {
    char *path = strdup("/tmp/tola-devices-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void test_own_file(void **state) {
    (void)state;
    char *path = write_file("devices:\n- { name: shed, memory: 12GB, bandwidth_gb_s: 40, class: cpu, usd_hour: 0.1 }\n"
                            "- { name: h100, memory: 1GiB, bandwidth_gb_s: 1 }\n");
    devices *t = table(path);
    assert_true(find(t, "Shed", 0)->memory == 12000000000u);
    assert_string_equal(find(t, "shed", 0)->source, path);
    assert_true(find(t, "h100", 0)->memory == 1u << 30);
    assert_true(find(t, "h100-sxm", 0)->memory == (uint64_t)80 << 30);
    devices_free(t);
    unlink(path);
    free(path);
}

static void refuse_file(const char *text, const char *message) {
    char *path = write_file(text);
    devices *d = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (devices_open(path, &d, &err) == TOLA_OK) fail_msg("%s is accepted", text);
    if (!strstr(err.message, message)) fail_msg("%s: \"%s\"", text, err.message);
    assert_null(d);
    unlink(path);
    free(path);
}

static void test_refused(void **state) {
    (void)state;
    refuse_file("devices: [{ name: a, memory: 12, bandwidth_gb_s: 40 }]", "no size like 80GiB");
    refuse_file("devices: [{ name: a, memory: -12GB, bandwidth_gb_s: 40 }]", "no size like 80GiB");
    refuse_file("devices: [{ name: a, memory: 12GB }]", "bandwidth_gb_s");
    refuse_file("devices: [{ name: a, memory: 12GB, bandwidth: 40 }]", "did you mean 'bandwidth_gb_s'");
    refuse_file("devices: [{ name: a, memory: 12GB, bandwidth_gb_s: -1 }]", "bandwidth_gb_s");
    refuse_file("devices: [{ name: this, memory: 12GB, bandwidth_gb_s: 1 }]", "no name for a device");
    refuse_file("devices: [{ name: a, memory: 12GB, bandwidth_gb_s: 1, class: quantum }]", "no class 'quantum'");
    refuse_file("devices: [{ name: a, memory: 12GB, bandwidth_gb_s: 1, tops: { f17: 3 } }]", "f17");
    refuse_file("devices: [{ name: a, memory: 12GB, bandwidth_gb_s: 1, price: nobody }]", "no row 'nobody'");
    refuse_file("devices: [{ name: a, sizes: [1], bandwidth_gb_s: 1 }]", "a device has none");
    refuse_file("families: [{ name: a, memory: 1GB, bandwidth_gb_s: 1 }]", "a family has sizes");
    refuse_file("gadgets: []", "unknown key 'gadgets'");
    refuse_file("devices: 3", "list");
}

static void test_this(void **state) {
    (void)state;
    devices *t = table(NULL);
    device d;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(device_measure(t, 1 << 20, 1, &d, &err), TOLA_OK);
    assert_true(d.measured && d.memory >= d.usable && d.usable >= d.available && d.available > 0);
    assert_true(d.bandwidth > 1e8 && d.peaks[DEVICE_F32] > 1e8);
    device_kernel k;
    assert_true(devices_kernel(t, &d, "q8_0", 8.5, &k));
    assert_string_equal(k.type, "q8_0");
    assert_true(devices_kernel(t, &d, "q4_k_m", 4.8, &k));
    assert_string_equal(k.type, "q4_k");
    assert_true(devices_kernel(t, &d, "something", 31, &k));
    assert_string_equal(k.type, "f32");
    devices_free(t);
}

static void test_counts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t kilo, want;
    } good[] = { { "7B", 1000, 7000000000u },   { "405B", 1000, 405000000000u },  { "1.5T", 1000, 1500000000000u },
                 { "8e9", 1000, 8000000000u },  { "125M", 1000, 125000000u },     { "16K", 1024, 16384 },
                 { "131072", 1024, 131072 },    { "0.5B", 1000, 500000000u },     { "1M", 1024, 1048576 } };
    static const char *const bad[][2] = { { "7GB", "size in bytes" },      { "8GiB", "size in bytes" },
                                          { "7G", "mixes units" },         { "-7B", "negative" },
                                          { "", "not a number" },          { "7Q", "no unit" },
                                          { "0", "less than 1" },          { "1e40", "absurdly large" },
                                          { "1000000T", "absurdly large" }, { "7.5", "whole number" },
                                          { "nan", "not a number" },       { "0x10", "decimal" },
                                          { "inf", "not a number" },       { "7BB", "no unit" } };
    uint64_t got;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        tola_error err = TOLA_ERROR_INIT;
        if (tola_fit_count(good[i].text, "n", good[i].kilo, TOLA_FIT_MOST_PARAMETERS, &got, &err) != TOLA_OK)
            fail_msg("%s: %s", good[i].text, err.message);
        if (got != good[i].want) fail_msg("%s: %llu", good[i].text, (unsigned long long)got);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tola_error err = TOLA_ERROR_INIT;
        if (tola_fit_count(bad[i][0], "n", 1000, TOLA_FIT_MOST_PARAMETERS, &got, &err) == TOLA_OK)
            fail_msg("%s is accepted", bad[i][0]);
        if (!strstr(err.message, bad[i][1])) fail_msg("%s: \"%s\"", bad[i][0], err.message);
    }
}

/* Every allocation fails in turn: an error, and nothing is left. */
static void test_no_memory(void **state) {
    (void)state;
    static const char *const on[] = { "8xh100", "m3-max-64", NULL };
    static const char *const prices[] = { "h100=2", NULL };
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    for (int train = 0; train < 2; train++) {
        tola_fit_options o = TOLA_FIT_OPTIONS_INIT;
        o.parameters = 7000000000u;
        o.on = on;
        o.prices = prices;
        o.train = train ? "lora" : NULL;
        for (uint64_t n = 0;; n += n < 200 ? 1 : 97) {
            tola_fit *f = NULL;
            tola_error err = TOLA_ERROR_INIT;
            fault_arm(FAULT_ALLOC, n, true);
            tola_status status = tola_fit_compute(&o, &f, &err);
            fault_disarm();
            if (status == TOLA_OK) {
                assert_true(f->fits && f->device_count == 2);
                tola_fit_free(f);
                break;
            }
            if (status != TOLA_E_NOMEM) fail_msg("allocation %llu: %s", (unsigned long long)n, err.message);
            assert_null(f);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_names), cmocka_unit_test(test_own_file),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_this),  cmocka_unit_test(test_counts),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
