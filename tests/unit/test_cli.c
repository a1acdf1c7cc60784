/* The frame of the command line from inside: numbers as text, sizes, quoting, widths, suggestions, option tables. */
#include "cli/cli_options.c"
#include "cli/out.c"
#include "cli/out_text.c"
#include "cli/progress.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_numbers(void **state_unused) {
    (void)state_unused;
    static const struct { uint64_t value; const char *count, *bytes, *grouped; } cases[] = {
        { 0, "0", "0 B", "0" },
        { 999, "999", "999 B", "999" },
        { 1000, "1.00 K", "1.00 kB", "1,000" },
        { 999994, "999.99 K", "999.99 kB", "999,994" },
        { 999995, "1.00 M", "1.00 MB", "999,995" },
        { 7241732096, "7.24 B", "7.24 GB", "7,241,732,096" },
        { 999999999999, "1.00 T", "1.00 TB", "999,999,999,999" },
        { UINT64_MAX, "18446.74 Q", "18.45 EB", "18,446,744,073,709,551,615" },
    };
    char buf[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(text_count(buf, sizeof buf, cases[i].value), cases[i].count);
        assert_string_equal(text_bytes(buf, sizeof buf, cases[i].value), cases[i].bytes);
        assert_string_equal(text_grouped(buf, sizeof buf, cases[i].value), cases[i].grouped);
    }
    assert_string_equal(text_grouped(buf, 4, 1234567), "1,2"); /* cut, never beyond the end */
}

static void test_sizes(void **state_unused) {
    (void)state_unused;
    static const struct { const char *text; uint64_t bytes; } good[] = {
        { "0", 0 }, { "123", 123 }, { "1B", 1 }, { "4GiB", 4ull << 30 }, { "4GB", 4000000000 }, { "512MiB", 512 << 20 },
        { "1.5G", 1500000000 }, { "1.5gib", 3ull << 29 }, { "2k", 2000 }, { "2Ki", 2048 }, { "15EiB", 15ull << 60 },
        { "18446744073709551615", UINT64_MAX },
    };
    static const char *const bad[] = { "", "-1", "x", "1X", "1.", ".5", "1iB", "1 GB", "1GBs", "16EiB", "1e9",
                                       "18446744073709551616", "99999999999GiB", "1.5.5", "0x10" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t bytes = 77;
        assert_int_equal(parse_size("--size", good[i].text, &bytes), CLI_YES);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t bytes = 77;
        assert_int_equal(parse_size("--size", bad[i], &bytes), CLI_ERROR);
        assert_int_equal(bytes, 77);
    }
}

static void check_quote(const char *text, size_t length, bool lines, const char *expected) {
    char *quoted = frame_quote(text, length, lines);
    assert_string_equal(quoted, expected);
    free(quoted);
}

static void test_quoting(void **state_unused) {
    (void)state_unused;
    check_quote("plain.weight", 12, false, "plain.weight");
    check_quote("caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80", 14, false, "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80");
    check_quote("\x1b[2J\x07", 5, true, "\\x1b[2J\\x07");
    check_quote("a\nb\tc", 5, true, "a\nb\tc");
    check_quote("a\nb\tc", 5, false, "a\\x0ab\\x09c");
    check_quote("a\0b", 3, false, "a\\x00b");
    check_quote("\xc2\x9b" "31m", 5, false, "\\u009b31m");          /* CSI of C1 */
    check_quote("\xe2\x80\xae" "txt", 6, false, "\\u202etxt");       /* right-to-left override */
    check_quote("\xff\xc3", 2, false, "\\xff\\xc3");                  /* no UTF-8 */
    check_quote("\xed\xa0\x80", 3, false, "\\xed\\xa0\\x80");        /* a surrogate */
    check_quote("\xc0\xaf", 2, false, "\\xc0\\xaf");                  /* overlong */
    check_quote("\xf4\x90\x80\x80", 4, false, "\\xf4\\x90\\x80\\x80"); /* beyond U+10FFFF */
}

static void test_widths(void **state_unused) {
    (void)state_unused;
    assert_int_equal(frame_width("abc", 3), 3);
    assert_int_equal(frame_width("\xe6\x97\xa5\xe6\x9c\xac", 6), 4); /* two wide characters */
    assert_int_equal(frame_width("e\xcc\x81", 3), 1);                /* e and a combining acute */
    assert_int_equal(frame_width("", 0), 0);
}

static const char *nearest(const char *word, const char *const *candidates) {
    tola_nearest n;
    tola_nearest_init(&n, word);
    for (; *candidates; candidates++) tola_nearest_try(&n, *candidates);
    return n.best ? n.best : "";
}

static void test_suggestions(void **state_unused) {
    (void)state_unused;
    static const char *const names[] = { "inspect", "stats", "diff", "convert", "tensors", NULL };
    assert_string_equal(nearest("inpsect", names), "inspect"); /* two neighbours changed places */
    assert_string_equal(nearest("dif", names), "diff");
    assert_string_equal(nearest("conv", names), "convert"); /* an abbreviation */
    assert_string_equal(nearest("tensr", names), "tensors");
    assert_string_equal(nearest("banana", names), "");
    assert_string_equal(nearest("x", names), "");
}

typedef struct settings {
    bool flag;
    const char *string, *optional, *choice;
    cli_list list;
    uint64_t number, size;
    double real;
    tola_dtype dtype;
} settings;

/* clang-format off */
static const cli_option options[] = {
    { "flag", 'f', CLI_FLAG, NULL, "", offsetof(settings, flag), NULL, NULL },
    { "string", 's', CLI_STRING, "TEXT", "", offsetof(settings, string), NULL, NULL },
    { "optional", 'o', CLI_OPTIONAL, "GLOB", "", offsetof(settings, optional), NULL, NULL },
    { "list", 'l', CLI_LIST, "GLOB", "", offsetof(settings, list), NULL, NULL },
    { "number", 'n', CLI_UINT, "N", "", offsetof(settings, number), NULL, NULL },
    { "size", 0, CLI_SIZE, "S", "", offsetof(settings, size), NULL, NULL },
    { "real", 0, CLI_DOUBLE, "X", "", offsetof(settings, real), NULL, NULL },
    { "dtype", 0, CLI_DTYPE, "D", "", offsetof(settings, dtype), NULL, NULL },
    { "choice", 0, CLI_CHOICE, "C", "", offsetof(settings, choice), "one two", NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};
/* clang-format on */
static const cli_verb verb = { .name = "try", .usage = "tola try [options]", .options = options,
                               .settings_size = sizeof(settings), .min_args = 0, .max_args = 2 };

/* Parses the words of `line`, which are kept in `copy` as long as the result lives. */
static int parse_line(const char *line, char copy[256], frame_parsed *out) {
    char *argv[32];
    int argc = 0;
    snprintf(copy, 256, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    return frame_parse(&verb, argc, argv, out);
}

static void test_options(void **state_unused) {
    (void)state_unused;
    char copy[256];
    frame_parsed p;
    assert_int_equal(parse_line("a -fs x -nq=1 b", copy, &p), CLI_ERROR); /* q after n is n's value */
    frame_parsed_free(&verb, &p);
    assert_int_equal(parse_line("a -fs x -n3 b --list=1 -l 2 --size 1KiB --real -2.5 --dtype fp16 --choice two --optional",
                                copy, &p), CLI_YES);
    const settings *s = p.settings;
    assert_true(s->flag && strcmp(s->string, "x") == 0 && s->number == 3 && s->size == 1024 && s->real == -2.5);
    assert_true(s->dtype == TOLA_DTYPE_F16 && strcmp(s->choice, "two") == 0 && strcmp(s->optional, "") == 0);
    assert_int_equal(s->list.count, 2);
    assert_string_equal(s->list.items[1], "2");
    assert_null(s->list.items[2]);
    assert_int_equal(p.n_args, 2);
    assert_string_equal(p.args[1], "b");
    frame_parsed_free(&verb, &p);
    assert_int_equal(parse_line("--optional=g* -o=h --string -- -- --flag -", copy, &p), CLI_YES);
    s = p.settings;
    assert_true(!s->flag && strcmp(s->string, "--") == 0 && strcmp(s->optional, "h") == 0 && p.n_args == 2);
    assert_string_equal(p.args[0], "--flag");
    frame_parsed_free(&verb, &p);
    static const char *const wrong[] = { "a b c", "--numbe 3", "--number", "--number -3", "--number 1.5", "-n", "--flag=1",
                                         "--choice three", "--dtype f33", "--real inf", "--real 1x", "--threads 2000", "-z",
                                         "--", "--=x" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int expected = strcmp(wrong[i], "--") == 0 ? CLI_YES : CLI_ERROR;
        assert_int_equal(parse_line(wrong[i], copy, &p), expected);
        frame_parsed_free(&verb, &p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),  cmocka_unit_test(test_sizes),       cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_widths),   cmocka_unit_test(test_suggestions), cmocka_unit_test(test_options),
    };
    if (!freopen("/dev/null", "w", stderr)) return 1; /* the messages of what is wrong on purpose */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
