/* Patterns of tokenizers: what matches, what is refused, and that nothing hangs. Expectations are Oniguruma's, asked
 * through Hugging Face's tokenizers. */
#include "unit.h"

#include "text/regex.h"
#include "text/unicode.h"

/* All matches, each in brackets. */
static void matches(const char *pattern, const char *text, size_t length, char *out, size_t room) {
    tola_error err = TOLA_ERROR_INIT;
    regex *r;
    size_t used = 0, begin, end;
    if (regex_compile(pattern, strlen(pattern), &r, &err) != TOLA_OK) fail_msg("%s", err.message);
    regex_match *m = regex_match_new(r);
    assert_non_null(m);
    *out = 0;
    for (size_t from = 0; from <= length;) {
        bool found;
        assert_int_equal(regex_next(r, m, text, length, from, &found, &begin, &end, &err), TOLA_OK);
        if (!found) break;
        if (used + (end - begin) + 3 > room) fail_msg("too long");
        used += (size_t)snprintf(out + used, room - used, "[%.*s]", (int)(end - begin), text + begin);
        from = end > begin ? end : end + 1;
        while (from < length && ((uint8_t)text[from] & 0xc0) == 0x80) from++;
    }
    regex_match_free(m);
    regex_free(r);
}

static void test_matches(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        { "a|ab", "ab", "[a]" },
        { "ab|a", "aab", "[a][ab]" },
        { "a*", "baa", "[][aa][]" },
        { "\\d{1,3}+", "1234567", "[1234567]" }, /* not possessive: repeated once more */
        { "a{2,3}", "aaaaaaa", "[aaa][aaa]" },
        { "a{,2}b", "aaab", "[aab]" },
        { "a{x}", "a{x}", "[a{x}]" },
        { "a+?b?", "aab", "[a][ab]" },
        { "a*+a", "aaa", "" },
        { "(?>a+)b", "aab", "[aab]" },
        { "(?>a|ab)c", "abc", "" },
        { "(?:ab|a)(?:c|bd)", "abd", "[abd]" },
        { "\\s+(?!\\S)|\\s+", "a   b ", "[  ][ ][ ]" },
        { "\\s*[\\r\\n]+", "  \n \nx", "[  \n \n]" },
        { "(?<=a)b|(?<!a)c", "abcac", "[b][c]" },
        { "(?<=ab|x)c", "abcxcc", "[c][c]" },
        { "^b", "a\nb", "[b]" },
        { "a$", "a\nab", "[a]" },
        { "\\Aa|b\\z", "aabb", "[a][b]" },
        { "\\bx\\B", "x xy", "[x]" },
        { ".", "a\n", "[a]" },
        { "(?m:.)", "a\n", "[a][\n]" },
        { "(?i:s)", "\u017fSx", "[\u017f][S]" },
        { "(?i:[k])", "K\u212a", "[K][\u212a]" },
        { "(?i)\u00c9", "\u00e9", "[\u00e9]" },
        { "[^a]", "ab\u00e9", "[b][\u00e9]" },
        { "[]a]", "]a", "[]][a]" },
        { "[a-]", "-a", "[-][a]" },
        { "[\\w&&[^\\d]]+", "ab12", "[ab]" },
        { "[a-z&&[^b]&&[^c]]+", "abcd", "[a][d]" },
        { "[[:alpha:]_]+", "ab\u00e9_1", "[ab\u00e9_]" },
        { "[^\\S\\n]+", "a \n b", "[ ][ ]" },
        { "\\p{Han}+", "\u6f22\u5b57a", "[\u6f22\u5b57]" },
        { "\\p{^L}|\\P{N}", "1a", "[1][a]" },
        { "\\pL\\p{Lowercase_Letter}", "Ab", "[Ab]" },
        { "\\u0041\\x42\\x{1F600}", "AB\U0001f600", "[AB\U0001f600]" },
        { "\\h+", "xfA0g", "[fA0]" },
        { "\\s", "\u180e\u2003", "[\u2003]" }, /* no space since Unicode 6.3 */
        { "\\w", "\u00b2\u0301\u24b6", "[\u00b2][\u0301][\u24b6]" },
        { "(a|b*)*c", "abbac", "[abbac]" },
        { "x|", "ax", "[][x][]" },
    };
    char got[1000];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        matches(rows[i][0], rows[i][1], strlen(rows[i][1]), got, sizeof got);
        if (strcmp(got, rows[i][2]) != 0)
            fail_msg("%s on '%s': %s, expected %s", rows[i][0], rows[i][1], got, rows[i][2]);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const char *const rows[] = {
        "(",      ")",       "[a",           "*a",     "a**********",
        "\\",     "\\p{",    "\\p{Nothing}", "(?s)a",  "a(?i)b",
        "[b-a]",  "[a-\\d]", "\\x{110000}",  "\\xff",  "(a)\\1",
        "\\k<a>", "\\X",     "(?<=a+)b",     "a{3,2}", "(((((a{9999}){9999}){9999}){9999}){9999})",
        "\xff"
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tola_error err = TOLA_ERROR_INIT;
        regex *r;
        if (regex_compile(rows[i], strlen(rows[i]), &r, &err) == TOLA_OK) fail_msg("taken: %s", rows[i]);
        assert_true(err.message[0]);
    }
    char deep[1000];
    memset(deep, '(', sizeof deep);
    tola_error err = TOLA_ERROR_INIT;
    regex *r;
    assert_int_not_equal(regex_compile(deep, sizeof deep, &r, &err), TOLA_OK);
    memset(deep, '[', sizeof deep);
    assert_int_not_equal(regex_compile(deep, sizeof deep, &r, &err), TOLA_OK);
}

/* Patterns that would take for ever end in an error. */
static void test_budget(void **state) {
    (void)state;
    static const char *const rows[] = { "(a+)+b", "(a|aa)+b", "(a*)*b", "(?:a?){60}a{60}b", "(?=(a+)+b)a" };
    char text[5000];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tola_error err = TOLA_ERROR_INIT;
        regex *r;
        bool found;
        size_t begin, end;
        assert_int_equal(regex_compile(rows[i], strlen(rows[i]), &r, &err), TOLA_OK);
        regex_match *m = regex_match_new(r);
        assert_int_equal(regex_next(r, m, text, sizeof text, 0, &found, &begin, &end, &err), TOLA_E_LIMIT);
        regex_match_free(m);
        regex_free(r);
    }
}

/* ---- normal forms ---- */

static void test_normal_forms(void **state) {
    (void)state;
    static const struct {
        unicode_form form;
        const char *text, *wanted;
    } rows[] = {
        { UNICODE_NFC, "e\u0301", "\u00e9" },
        { UNICODE_NFC, "xe\u0301\u0323y", "x\u1eb9\u0301y" },
        { UNICODE_NFD, "\u1eb9\u0301", "e\u0323\u0301" },
        { UNICODE_NFC, "\u1100\u1161\u11a8", "\uac01" },
        { UNICODE_NFC, "\uac00\u11a8", "\uac01" },
        { UNICODE_NFD, "\uac01", "\u1100\u1161\u11a8" },
        { UNICODE_NFC, "\u2126\u0958", "\u03a9\u0915\u093c" }, /* one that is never composed */
        { UNICODE_NFKC, "\ufb01\u00bd", "fi1\u20442" },
        { UNICODE_NFKD, "\ufb01\u00e9", "fie\u0301" },
        { UNICODE_NFD, "a\u0315\u0300\u05ae", "a\u05ae\u0300\u0315" },
        { UNICODE_NFC, "plain \u4e00", "plain \u4e00" },
        { UNICODE_NFC, "\u0301a", "\u0301a" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        charset touched = { 0 };
        buf out;
        buf_init(&out, 0);
        unicode_form_touches(rows[i].form, &touched);
        charset_map *map = charset_map_new(&touched);
        assert_true(unicode_normalize(rows[i].form, map, rows[i].text, strlen(rows[i].text), &out));
        if (out.length != strlen(rows[i].wanted) || memcmp(out.data, rows[i].wanted, out.length) != 0)
            fail_msg("row %zu: '%.*s', expected '%s'", i, (int)out.length, (const char *)out.data, rows[i].wanted);
        buf_free(&out);
        charset_map_free(map);
        charset_free(&touched);
    }
    assert_int_equal(unicode_to_lower(0x10d50), 0x10d70);
    assert_int_equal(unicode_to_lower(0x410), 0x430);
    assert_int_equal(unicode_to_lower(0x101), 0x101);
    assert_int_equal(unicode_to_lower(0x100), 0x101);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_normal_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
