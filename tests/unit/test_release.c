/* Plans of releases that are not what they should be, and plans without memory. */
#include <sys/stat.h>

#include "base/mem.h"
#include "unit.h"

static const char *write_plan(const char *text) {
    const char *path = unit_path("plan.yaml");
    unit_write(path, text, strlen(text));
    return path;
}

static void refused(const char *text, const char *why) {
    tola_release_report r;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_not_equal(tola_release_check(write_plan(text), NULL, &r, &err), TOLA_OK);
    if (!strstr(err.message, why)) print_error("%s\n", err.message);
    assert_non_null(strstr(err.message, why));
}

static void malformed_plans_are_refused(void **state) {
    (void)state;
    refused("", "a map is wanted");
    refused("- kind\n", "a map is wanted");
    refused("kind: [open]\nmodel: .\n", "kind");
    refused("kind: open\n", "'model' is missing");
    refused("kind: open\nmodel: {a: b}\n", "model");
    refused("kind: open\nkind: closed\nmodel: .\n", "was there already");
    refused("kind: closed\nmodel: .\nrecipients: anna\n", "recipients");
    refused("kind: closed\nmodel: .\nrecipients: [[a]]\n", "recipients[0]");
    refused("kind: closed\nmodel: .\naccess: [{}]\n", "access[0]");
    refused("kind: closed\nmodel: .\nkeys: ['']\n", "keys[0]");
    refused("kind: closed\nmodel: .\nidentity: none\n", "none");
    refused("kind: closed\nmodel: .\ncompression: 0\n", "compression");
    refused("kind: closed\nmodel: .\ncompression: .nan\n", "compression");
    refused("kind: closed\nmodel: .\nleast_days: -1\n", "least_days");
    refused("kind: closed\nmodel: .\ncap: -1MB/s\n", "is no rate");
    refused("kind: closed\nmodel: .\nkeep_until: 2036-13-01\n", "is no day");
    refused("kind: open\nmodel: .\nwaive: [bom]\n", "waive");
    refused("kind: open\nmodel: .\nwaive: {bom: }\n", "text is wanted");
    refused("kind: open\nmodel: .\nwaive: {bom: ' '}\n", "a reason is wanted");
    refused("kind: open\nmodel: .\nwaive: {weights: x}\n", "unknown key 'weights'");
    refused("kind: open\nmodel: .\nfacts: none.yaml\n", "none.yaml");
    refused("a: &a [*a]\n", "plan.yaml");
    refused("kind: open\nmodel: \"a\\0b\"\n", "plan.yaml");
    refused("{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{", "plan.yaml");
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const plans[] = {
        "kind: open\nmodel: m\nwhy: x\nby: y\nform: f.md\nbom: b.json\nwaive: {bom: x}\nrequire: [exposure]\n",
        "kind: closed\nmodel: m\nform: f.md\narchive: .\nkeep_until: 2036-11-22\nreleased: 2026-11-22\ncap: 1MB/s\n"
    };
    static const char leak[] = "{\"a\": \"/home/joe/x\"}";
    assert_int_equal(mkdir(unit_path("m"), 0700), 0);
    unit_write(unit_path("m/a.json"), leak, sizeof leak - 1);
    for (size_t k = 0; k < 2; k++) {
        const char *path = write_plan(plans[k]);
        for (uint64_t n = 0;; n++) {
            tola_release_report r;
            tola_error err = TOLA_ERROR_INIT;
            fault_arm(FAULT_ALLOC, n, true);
            tola_status status = tola_release_check(path, NULL, &r, &err);
            uint64_t seen = fault_count(FAULT_ALLOC);
            fault_disarm();
            if (status == TOLA_OK) tola_release_report_dispose(&r);
            if (seen <= n) {
                assert_int_equal(status, TOLA_OK);
                break;
            }
        }
    }
}

static void templates_are_plans(void **state) {
    (void)state;
    for (int open = 0; open < 2; open++) {
        char *text;
        tola_error err = TOLA_ERROR_INIT;
        assert_int_equal(tola_release_template(open, &text, &err), TOLA_OK);
        refused(text, "there is no ");
        tola_free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(malformed_plans_are_refused, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(templates_are_plans, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
