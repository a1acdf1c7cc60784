/* Text that stays text, forms that name what exists, claims read and judged. */
#include "base/mem.h"
#include "policy/check.h"
#include "policy/data.h"
#include "policy/document.h"
#include "policy/form.h"
#include "unit.h"

static const char *text_of(buf *b) {
    buf_u8(b, 0);
    assert_false(b->failed);
    return (const char *)b->data;
}

static void markdown_is(const char *text, bool cell, const char *expected) {
    buf b;
    buf_init(&b, 0);
    markdown_text(&b, text, cell);
    assert_string_equal(text_of(&b), expected);
    buf_free(&b);
}

static void yaml_is(const char *text, const char *expected) {
    buf b;
    buf_init(&b, 0);
    yaml_text(&b, text);
    assert_string_equal(text_of(&b), expected);
    buf_free(&b);
}

static void markdown_stays_text(void **state) {
    (void)state;
    markdown_is("a_b *c* [d](e) <f> `g` |h| #i ~j~ $k$ &amp; \\", true,
                "a\\_b \\*c\\* \\[d\\](e) &lt;f&gt; \\`g\\` \\|h\\| \\#i \\~j\\~ \\$k\\$ &amp;amp; \\\\");
    markdown_is("one\ntwo", true, "one<br>two");
    markdown_is("# one\n- two\n1. three\n    four\n---\n===", false,
                "\\# one  \n\\- two  \n1\\. three  \nfour  \n\\---  \n\\===");
    markdown_is("1.0 and 1.", true, "1.0 and 1.");
    markdown_is("see https://a.example/b_c?d=1. And javascript:alert(1)", true,
                "see <https://a.example/b_c?d=1>. And javascript:alert(1)");
    markdown_is("https://a.example/<script>|x", true, "<https://a.example/>&lt;script&gt;\\|x");
    markdown_is("a\x1b[0m\xe2\x80\xae"
                "b\xff\xc3",
                true,
                "a\xef\xbf\xbd\\[0m\xef\xbf\xbd"
                "b\xef\xbf\xbd\xef\xbf\xbd");
}

static void html_stays_text(void **state) {
    (void)state;
    buf b;
    buf_init(&b, 0);
    html_text(&b, "<script>\"'&\x01\xe2\x80\xa8");
    assert_string_equal(text_of(&b), "&lt;script&gt;&quot;&#39;&amp;\xef\xbf\xbd\xef\xbf\xbd");
    buf_free(&b);
}

static void yaml_stays_text(void **state) {
    (void)state;
    yaml_is("apache-2.0", "apache-2.0");
    yaml_is("org/name", "org/name");
    static const char *const quoted[] = { "no", "Yes", "NULL", "on", "y",  "1.0", "2026-01-01", "a: b", "a #b",
                                          "",   "~",   "-a",   "a.", "#a", "@a",  "a b",        "nan" };
    for (size_t i = 0; i < sizeof quoted / sizeof *quoted; i++) {
        char expected[40];
        snprintf(expected, sizeof expected, "\"%s\"", quoted[i]);
        yaml_is(quoted[i], expected);
    }
    yaml_is("a\"b\\c\nd\te\x85", "\"a\\\"b\\\\c\\nd\\te\xef\xbf\xbd\"");
    yaml_is("\xc2\x85\xe2\x80\xa8\xef\xbb\xbf", "\"\\u0085\\u2028\\ufeff\"");
}

/* Every place of every form exists: facts in the table, functions among those of form_answers.c. */
static void forms_name_what_exists(void **state) {
    (void)state;
    static const char *const forms[] = { "form-eu.yaml", "form-data.yaml", "form-hf.yaml" };
    char path[600];
    snprintf(path, sizeof path, "%s", unit_path("x.npy"));
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n";
    unsigned char file[10 + sizeof header - 1 + 4] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, sizeof header - 1, 0 };
    memcpy(file + 10, header, sizeof header - 1);
    unit_write(path, file, sizeof file);
    for (size_t i = 0; i < 3; i++) {
        record r;
        document d;
        tola_error err = TOLA_ERROR_INIT;
        record_options o = { .no_digest = true };
        document_init(&d);
        assert_int_equal(record_open(path, &o, &r, &err), TOLA_OK);
        tola_status status = form_fill(forms[i], &r, NULL, 20000, &d, &err);
        if (status == TOLA_E_UNSUPPORTED) { /* libyaml is absent */
            record_dispose(&r);
            document_free(&d);
            skip();
        }
        if (status != TOLA_OK) print_error("%s\n", err.message);
        assert_int_equal(status, TOLA_OK);
        size_t fields, unknown;
        document_count(&d, &fields, &unknown);
        assert_true(fields > 20 && unknown <= fields);
        record_dispose(&r);
        document_free(&d);
    }
}

static void form_ranges(void **state) {
    (void)state;
    assert_string_equal(record_range(1), "1-500M");
    assert_string_equal(record_range(499999999), "1-500M");
    assert_string_equal(record_range(500000000), "500M-5B");
    assert_string_equal(record_range(7241732096), "5B-15B");
    assert_string_equal(record_range(37000000000), "15B-50B");
    assert_string_equal(record_range(70553706496), "50B-100B");
    assert_string_equal(record_range(405853388800), "100B-500B");
    assert_string_equal(record_range(671026419200), "500B-1T");
    assert_string_equal(record_range(1000000000000), ">1T");
    assert_null(record_range(0));
    arena a;
    arena_init(&a, 0);
    assert_string_equal(record_figures(&a, 7241732096.0, 2), "7.2*10^9");
    assert_string_equal(record_figures(&a, 9960000000.0, 2), "1.0*10^10");
    assert_string_equal(record_figures(&a, 12.0, 2), "12");
    assert_string_equal(record_figures(&a, 0.00012, 2), "1.2*10^-4");
    arena_free(&a);
}

static void number_is(const char *text, double value, double step) {
    double got, got_step;
    const char *p = text;
    assert_true(check_number(&p, &got, &got_step));
    assert_float_equal(got, value, value * 1e-12);
    assert_float_equal(got_step, step, step * 1e-9);
}

static void numbers_as_people_write_them(void **state) {
    (void)state;
    number_is("7.2*10^9 parameters", 7.2e9, 1e8);
    number_is("7.2 x 10^9", 7.2e9, 1e8);
    number_is("7.2e9", 7.2e9, 1e8);
    number_is("about 7.24B", 7.24e9, 1e7);
    number_is("7 billion", 7e9, 1e9);
    number_is("7,241,732,096", 7241732096.0, 1);
    number_is("1.5T", 1.5e12, 1e11);
    number_is("131072 tokens", 131072, 1);
    number_is("128K", 128000, 1000);
    const char *none = "none 7x";
    double value, step;
    (void)check_number(&none, &value, &step);
}

static size_t claims_of(const char *text, check_claims *c) {
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = check_read(text, strlen(text), c, &err);
    assert_true(status == TOLA_OK || status == TOLA_E_FORMAT);
    return c->count;
}

static void claims_are_read(void **state) {
    (void)state;
    check_claims c;
    assert_int_equal(
        claims_of("# x\n- **Parameters:** 7.2\\*10^9\n| Total model size | 7B | x |\n### Tensor types\n\nbf16\n"
                  "Context length: 4096\n- **License:** [More Information Needed]\n| Fingerprint | *unknown* | |\n",
                  &c),
        4);
    assert_string_equal(c.items[0].says, "7.2*10^9");
    assert_int_equal(c.items[0].line, 2);
    assert_int_equal(c.items[2].kind, CHECK_DTYPE);
    assert_int_equal(c.items[2].line, 6);
    check_free(&c);
    assert_int_equal(claims_of("<!doctype html><table><tr><th title=\"a>b\">x</th><td>y</td></tr>\n<TR><TH>Total model "
                               "size</TH><td>7&lt;B<br>z</td>",
                               &c),
                     0);
    check_free(&c);
    assert_int_equal(claims_of("<html><tr>\n<th>Total model size</th><td>7&lt;B<br>z</td></tr>", &c), 1);
    assert_string_equal(c.items[0].says, "7<B\nz");
    check_free(&c);
    assert_int_equal(
        claims_of("{\"bomFormat\": \"CycloneDX\", \"components\": [{\"type\": \"file\", \"name\": \"a\", \"hashes\": "
                  "[{\"alg\": \"SHA-256\", \"content\": \"00\"}]}]}",
                  &c),
        1);
    assert_int_equal(c.items[0].kind, CHECK_FILE);
    check_free(&c);
    assert_int_equal(claims_of("{\"bomFormat\": 1}", &c), 0);
    check_free(&c);
    assert_int_equal(claims_of("", &c), 0);
    check_free(&c);
}

/* Without memory at any point there is an error, or the very same document. */
static void memory_fails(void **state) {
    (void)state;
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n";
    static const char told[] =
        "model: {name: x, languages: [en, de]}\nevaluation: [{benchmark: a, metric: b, value: 1}]\n"
        "data: [{name: d, kind: public, modality: text, tokens: 2T}]\ntraining: {tokens: 2T}\n";
    unsigned char file[10 + sizeof header - 1 + 4] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, sizeof header - 1, 0 };
    memcpy(file + 10, header, sizeof header - 1);
    unit_write(unit_path("x.npy"), file, sizeof file);
    unit_write(unit_path("f.yaml"), told, sizeof told - 1);
    char model[600], facts_path[600];
    snprintf(model, sizeof model, "%s", unit_path("x.npy"));
    snprintf(facts_path, sizeof facts_path, "%s", unit_path("f.yaml"));
    for (int kind = 0; kind <= TOLA_PAPER_SPDX; kind++) {
        tola_paper_options o = TOLA_PAPER_OPTIONS_INIT;
        tola_paper whole, paper;
        tola_error err = TOLA_ERROR_INIT;
        o.kind = (tola_paper_kind)kind;
        o.facts = facts_path;
        o.time = 86400;
        o.no_digest = true;
        o.threads = 1;
        tola_status status = tola_paper_make(model, &o, &whole, &err);
        if (status == TOLA_E_UNSUPPORTED) skip(); /* libyaml or libcrypto is absent */
        assert_int_equal(status, TOLA_OK);
        for (uint64_t n = 0, step = 1;; n += step) {
            fault_arm(FAULT_ALLOC, n, false);
            status = tola_paper_make(model, &o, &paper, &err);
            uint64_t seen = fault_count(FAULT_ALLOC);
            fault_disarm();
            if (status == TOLA_OK) {
                bool same = strcmp(paper.text, whole.text) == 0;
                tola_paper_dispose(&paper);
                if (!same) print_error("kind %d: another document without allocation %d\n", kind, (int)n);
                assert_true(same);
            }
            if (n > seen + 1) break;
            step = n < 400 ? 1 : 7;
        }
        tola_paper_dispose(&whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markdown_stays_text),
        cmocka_unit_test(html_stays_text),
        cmocka_unit_test(yaml_stays_text),
        cmocka_unit_test_setup_teardown(forms_name_what_exists, unit_set_up, unit_tear_down),
        cmocka_unit_test(form_ranges),
        cmocka_unit_test(numbers_as_people_write_them),
        cmocka_unit_test(claims_are_read),
        cmocka_unit_test_setup_teardown(memory_fails, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
