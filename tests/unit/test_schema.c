/* JSON schemas: what their grammars take, what is refused and how, any JSON. */
#include "text/schema.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* ---- helpers ---- */

static bool fits(const grammar *g, const char *text) {
    grammar_vocabulary *v;
    grammar_matcher *m;
    grammar_state *s;
    bool accepted;
    assert_int_equal(grammar_vocabulary_create(NULL, 0, NULL, 0, &v, NULL), TOLA_OK);
    assert_int_equal(grammar_matcher_create(g, v, 0, &m, NULL), TOLA_OK);
    assert_int_equal(grammar_state_create(m, &s, NULL), TOLA_OK);
    assert_int_equal(grammar_state_bytes(s, text, strlen(text), &accepted, NULL), TOLA_OK);
    accepted = accepted && grammar_state_can_end(s);
    grammar_state_free(s);
    grammar_matcher_free(m);
    grammar_vocabulary_free(v);
    return accepted;
}

static void check_texts(const char *schema, const char *const *good, const char *const *bad) {
    grammar *g = NULL;
    tola_error err;
    if (grammar_from_schema(schema, strlen(schema), &g, &err) != TOLA_OK) fail_msg("%s: %s", schema, err.message);
    for (; *good; good++)
        if (!fits(g, *good)) fail_msg("%s: refused %s", schema, *good);
    for (; *bad; bad++)
        if (fits(g, *bad)) fail_msg("%s: took %s", schema, *bad);
    grammar_free(g);
}
#define TEXTS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void check_refused(const char *schema, tola_status want, const char *message) {
    grammar *g = NULL;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = grammar_from_schema(schema, strlen(schema), &g, &err);
    if (status != want || !strstr(err.message, message)) fail_msg("%s: status %d \"%s\"", schema, status, err.message);
}

/* ---- values ---- */

static void test_any(void **state) {
    (void)state;
    grammar *g;
    assert_int_equal(grammar_any_json(false, &g, NULL), TOLA_OK);
    static const char *const good[] = { "{}", "[]", "null", "true", "\"\"", "0", "-1.5e+10",
                "[1, [2,\n\t{\"a\" : [ ] }]]",
                                        "{\"a\":1,\"a\":2}", "\"\\ud83d\\ude00\\u00e9\\/\"",
                "\"\xf0\x9f\x98\x80\x7f\"" };
    static const char *const bad[] = { "", " {}", "{} ", "{,}", "[1,]", "01", "1.", ".5", "+1", "tru", "\"\n\"",
                "\"\\x\"",
                                       "\"\\ud83d\"", "\"\\ude00\"", "\"\xff\"", "{a:1}", "nul", "[1 2]", "'a'" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!fits(g, good[i])) fail_msg("refused %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (fits(g, bad[i])) fail_msg("took %s", bad[i]);
    grammar_free(g);
    assert_int_equal(grammar_any_json(true, &g, NULL), TOLA_OK);
    assert_true(fits(g, "{\"a\": [1]}") && !fits(g, "[1]"));
    grammar_free(g);
    check_texts("true", TEXTS("1", "{}"), TEXTS("x"));
    check_texts("{}", TEXTS("1", "{}"), TEXTS("x"));
    char spaces[100] = "[\n";
    memset(spaces + 2, ' ', SCHEMA_MAX_SPACE);
    strcpy(spaces + 2 + SCHEMA_MAX_SPACE, "]");
    check_texts("{}", TEXTS(spaces, "[\r\n\t1 ]", "[ ]"), TEXTS("", "[  ]", "[\n\n]", "[ \n]"));
    strcpy(spaces + 2 + SCHEMA_MAX_SPACE, " ]");
    check_texts("{}", TEXTS("[]"), TEXTS(spaces));
}

static void test_numbers(void **state) {
    (void)state;
    check_texts("{\"type\":\"integer\"}", TEXTS("0", "-0", "-12", "123456789012345678901"), TEXTS("1.0", "1e3",
                "01"));
    check_texts("{\"type\":\"integer\",\"minimum\":-12,\"maximum\":105}",
                TEXTS("-12", "-11", "-9", "-1", "0", "5", "9", "10", "99", "100", "105"),
                TEXTS("-13", "-20", "-100", "106", "110", "200", "1000", "00", "1.5"));
    check_texts("{\"type\":\"integer\",\"exclusiveMinimum\":7,\"exclusiveMaximum\":9}", TEXTS("8"), TEXTS("7",
                "9", "88"));
    check_texts("{\"type\":\"integer\",\"minimum\":995}", TEXTS("995", "999", "1000", "99999"), TEXTS("994", "99",
                "-995"));
    check_texts("{\"type\":\"integer\",\"maximum\":-5}", TEXTS("-5", "-6", "-10", "-1000"), TEXTS("-4", "0", "5"));
    check_texts("{\"type\":\"integer\",\"minimum\":0.5,\"maximum\":2.5}", TEXTS("1", "2"), TEXTS("0", "3"));
    check_texts("{\"type\":\"integer\",\"minimum\":18446744073709551610,\"maximum\":18446744073709551615}",
                TEXTS("18446744073709551610", "18446744073709551615"), TEXTS("18446744073709551616", "1"));
    check_texts("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", TEXTS("0", "1", "0.5", "1.0", "1.000", "0.999"),
                TEXTS("-0", "1.1", "1.001", "-0.1", "2", "1e0"));
    check_texts("{\"type\":\"number\",\"exclusiveMinimum\":-1.5,\"maximum\":2.25}",
                TEXTS("-1.4", "-1.49", "-1", "-0.5", "2.25", "2.2", "2", "2.250"),
                TEXTS("-1.5", "-1.51", "-1.50", "2.26", "2.251", "3"));
    check_texts("{\"type\":\"number\",\"exclusiveMinimum\":12.5}", TEXTS("12.51", "12.6", "13", "130", "13.0"),
                TEXTS("12.5", "12", "12.50", "1.3", "9"));
    check_texts("{\"type\":\"number\",\"maximum\":1e-3}", TEXTS("0.001", "0.0005", "0", "-3.5", "-100"),
                TEXTS("0.0011", "0.01", "1"));
    check_texts("{\"type\":\"number\",\"multipleOf\":0.01,\"minimum\":0}", TEXTS("0", "19.99", "3.5", "3.50", "100"),
                TEXTS("0.001", "1.", "-1", "3.500", "00"));
    check_texts("{\"type\":\"integer\",\"multipleOf\":12,\"maximum\":150}", TEXTS("0", "144", "-12", "-1200000012"),
                TEXTS("1", "156", "-13", "012", "12.0"));
    check_refused("{\"type\":\"integer\",\"multipleOf\":-1}", TOLA_E_FORMAT, "#/multipleOf: must be a number above 0");
    check_refused("{\"type\":\"integer\",\"multipleOf\":1000003}", TOLA_E_LIMIT, "#/multipleOf: multiples of this");
    check_texts("{\"type\":\"number\",\"const\":2.5}", TEXTS("2.5"), TEXTS("2.50", "2"));
    check_refused("{\"type\":\"integer\",\"minimum\":2,\"maximum\":1}", TOLA_E_FORMAT, "no value fits");
    check_refused("{\"type\":\"integer\",\"minimum\":1.2,\"maximum\":1.8}", TOLA_E_FORMAT, "no value fits");
    check_refused("{\"maximum\":1e30}", TOLA_E_UNSUPPORTED, "#/maximum: bounds have");
    check_refused("{\"maximum\":0.1234567890123456789}", TOLA_E_UNSUPPORTED, "#/maximum: bounds have");
    check_refused("{\"maximum\":\"1\"}", TOLA_E_FORMAT, "#/maximum: must be a number");
    check_texts("{\"enum\":[18446744073709551617,[-100000000000000000000000001]]}",
                TEXTS("18446744073709551617", "[-100000000000000000000000001]"),
                TEXTS("18446744073709551616", "18446744073709551617.0", "[-1e26]"));
}

static void test_strings(void **state) {
    (void)state;
    check_texts("{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
                TEXTS("\"ab\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\\n\\u0041\"", "\"\\ud83d\\ude00x\""),
                TEXTS("\"a\"", "\"abcd\"", "\"\\ud83d\\ude00\"", "ab"));
    check_texts("{\"enum\":[\"a\",1,null,{\"b\":[true]}]}", TEXTS("\"a\"", "1", "null", "{\"b\": [ true]}",
                "{\"b\":[true]}"),
                TEXTS("\"b\"", "2", "{\"b\":true}"));
    check_texts("{\"type\":\"string\",\"enum\":[\"a\",1]}", TEXTS("\"a\""), TEXTS("1"));
    check_texts("{\"const\":\"q\\\"\\u0001\\n\"}", TEXTS("\"q\\\"\\u0001\\n\""), TEXTS("\"q\""));
    check_texts("{\"type\":\"string\",\"pattern\":\"^a(b|c)*d?$\"}", TEXTS("\"a\"", "\"abcbd\""), TEXTS("\"d\"",
                "\"add\""));
    check_texts("{\"type\":\"string\",\"pattern\":\"b+\"}", TEXTS("\"abbc\"", "\"b\""), TEXTS("\"\"", "\"ac\""));
    check_texts("{\"type\":\"string\",\"pattern\":\"^x|y$|^\\\\w\\\\s\\\\D$\"}", TEXTS("\"xzz\"", "\"zzy\"",
                "\"a b\""),
                TEXTS("\"yx\"", "\"a 1\""));
    check_texts("{\"type\":\"string\",\"pattern\":\"^[^a-c\\\\d\\\\]]{1,2}\\\\u0041\\\\x42\\\\.$\"}",
                TEXTS("\"xAB.\"", "\"[eAB.\""),
                TEXTS("\"aAB.\"", "\"1AB.\"", "\"]AB.\"", "\"xABc\""));
    check_texts("{\"type\":\"string\",\"pattern\":\"^[\\\"\\\\\\\\\\n]$\"}", TEXTS("\"\\\"\"", "\"\\\\\"",
                "\"\\n\""), TEXTS("\"a\""));
    check_texts("{\"type\":\"string\",\"format\":\"date\"}", TEXTS("\"2024-02-29\"", "\"2000-02-29\"",
                "\"0001-12-31\""),
                TEXTS("\"2023-02-29\"", "\"1900-02-29\"", "\"2024-04-31\"", "\"2024-00-01\"", "\"0000-01-01\""));
    check_texts("{\"type\":\"string\",\"format\":\"date-time\"}", TEXTS("\"2024-02-29T23:59:59.5Z\"",
                "\"1999-06-30T00:00:00-11:30\""),
                TEXTS("\"2024-02-29\"", "\"2024-02-29T24:00:00Z\"", "\"2024-02-29T23:59:60Z\""));
    check_texts("{\"type\":\"string\",\"format\":\"ipv4\"}", TEXTS("\"0.10.199.255\""), TEXTS("\"1.2.3\"",
                "\"256.0.0.1\"", "\"1.2.3.04\""));
    check_refused("{\"pattern\":\"(?<=a)b\"}", TOLA_E_UNSUPPORTED, "#/pattern: look-around");
    check_refused("{\"pattern\":\"\\\\bword\"}", TOLA_E_UNSUPPORTED, "a word boundary");
    check_refused("{\"pattern\":\"(a)\\\\1\"}", TOLA_E_UNSUPPORTED, "an escape that nothing here does");
    check_refused("{\"pattern\":\"\\\\p{L}\"}", TOLA_E_UNSUPPORTED, "an escape that nothing here does");
    check_refused("{\"pattern\":\"a^b\"}", TOLA_E_UNSUPPORTED, "^ or $ elsewhere");
    check_refused("{\"pattern\":\"(^a)\"}", TOLA_E_UNSUPPORTED, "^ or $ elsewhere");
    check_refused("{\"pattern\":\"(a\"}", TOLA_E_FORMAT, "')' is missing");
    check_refused("{\"pattern\":\"a)\"}", TOLA_E_FORMAT, "')' without '('");
    check_refused("{\"pattern\":\"[a\"}", TOLA_E_FORMAT, "']' is missing");
    check_refused("{\"pattern\":\"a{2,1}\"}", TOLA_E_FORMAT, "a quantifier that is none");
    check_refused("{\"pattern\":\"*a\"}", TOLA_E_FORMAT, "nothing to repeat");
    check_texts("{\"type\":\"string\",\"format\":\"ipv6\"}", TEXTS("\"::\"", "\"2001:db8::1\"", "\"1:2:3:4:5:6:7:8\"",
                "\"::ffff\"", "\"1::\""),
                TEXTS("\"1:2:3\"", "\"1::2::3\"", "\"12345::\"", "\"1:2:3:4:5:6:7:8:9\"", "\"\""));
    check_texts("{\"type\":\"string\",\"format\":\"duration\"}", TEXTS("\"P1D\"", "\"P1Y2M3DT4H5M6S\"", "\"PT30M\"",
                "\"P6W\""), TEXTS("\"P\"", "\"1D\"", "\"P1DT\"", "\"P1Y3D\"", "\"P1W2D\""));
    check_texts("{\"type\":\"string\",\"format\":\"email\"}", TEXTS("\"a@b.c\"", "\"j.d+x@mail.example.org\""),
                TEXTS("\"a\"", "\"a@b\"", "\"@b.c\"", "\"a@-b.c\"", "\"a b@c.d\"", "\".a@b.c\""));
    check_texts("{\"type\":\"string\",\"format\":\"hostname\"}", TEXTS("\"a\"", "\"www.x-1.org\""),
                TEXTS("\"\"", "\"a..b\"", "\"a-\"", "\"a_b\""));
    check_texts("{\"type\":\"string\",\"format\":\"uri\"}", TEXTS("\"https://x.org\"",
                "\"http://a.b:80/c/%20d?e=f&g#h\""), TEXTS("\"x.org\"", "\"http://\"", "\"http://a b\"",
                "\"http://a/%2\""));
    check_texts("{\"type\":\"string\",\"pattern\":\"^(ab|c)+$\",\"minLength\":2,\"maxLength\":3}", TEXTS("\"ab\"",
                "\"cab\"", "\"cc\""), TEXTS("\"c\"", "\"abab\"", "\"abcc\"", "\"b\""));
    check_texts("{\"type\":\"string\",\"pattern\":\"^[a-c]*$\",\"minLength\":2,\"maxLength\":3}", TEXTS("\"ab\"",
                "\"cca\""), TEXTS("\"a\"", "\"abca\"", "\"xy\""));
    check_refused("{\"format\":\"int32\"}", TOLA_E_UNSUPPORTED, "#/format: a format that nothing here does");
    check_refused("{\"minLength\":1.5}", TOLA_E_FORMAT, "#/minLength: must be a whole number");
}

static void test_opposites(void **state) {
    (void)state;
    check_texts("{\"type\":\"string\",\"not\":{\"enum\":[\"a\",\"ab\"]}}", TEXTS("\"\"", "\"b\"", "\"abc\""),
                TEXTS("\"a\"", "\"ab\"", "\"\\u0061\"", "1"));
    check_texts("{\"type\":\"integer\",\"not\":{\"enum\":[0,10]},\"minimum\":0}", TEXTS("1", "9", "11", "100"),
                TEXTS("0", "10", "-1"));
    check_texts("{\"not\":{\"type\":[\"null\",\"object\"]}}", TEXTS("1", "[]", "\"\"", "true"), TEXTS("null", "{}"));
    check_texts("{\"type\":\"object\",\"not\":{\"required\":[\"a\"]}}", TEXTS("{}", "{\"b\":1}"), TEXTS("{\"a\":1}"));
    check_texts("{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,2]},\"b\":{\"const\":3}},"
                "\"required\":[\"a\"],\"additionalProperties\":false,"
                "\"if\":{\"properties\":{\"a\":{\"const\":1}}},\"then\":{\"required\":[\"b\"]}}",
                TEXTS("{\"a\":1,\"b\":3}", "{\"a\":2}", "{\"a\":2,\"b\":3}"), TEXTS("{\"a\":1}", "{\"b\":3}"));
    check_texts("{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":3}},"
                "\"additionalProperties\":false,\"dependentRequired\":{\"a\":[\"b\"]}}",
                TEXTS("{\"a\":1,\"b\":3}", "{}", "{\"b\":3}"), TEXTS("{\"a\":1}"));
    check_texts("{\"not\":{\"pattern\":\"^a\"}}", TEXTS("\"ba\"", "\"\""), TEXTS("\"a\"", "\"ab\"", "1", "null"));
    check_texts("{\"allOf\":[{\"pattern\":\"[a-z]\"},{\"pattern\":\"[0-9]\"}],\"minLength\":3,\"type\":\"string\"}",
                TEXTS("\"a-1\"", "\"01a\""), TEXTS("\"a1\"", "\"abc\"", "\"123\""));
    check_texts("{\"pattern\":\"^$\",\"maxLength\":2,\"type\":\"string\"}", TEXTS("\"\""), TEXTS("\"a\"", "\"$\""));
    check_texts("{\"pattern\":\"^|$\",\"maxLength\":1,\"type\":\"string\"}", TEXTS("\"\"", "\"a\""), TEXTS("\"aa\""));
    check_texts("{\"enum\":[\"ab\",\"b\",\"abc\",1],\"pattern\":\"^a\",\"maxLength\":2}", TEXTS("\"ab\"", "1"),
                TEXTS("\"b\"", "\"abc\"", "\"a\""));
    check_refused("{\"const\":\"b\",\"pattern\":\"^a\"}", TOLA_E_FORMAT, "#/const: no value fits");
    check_refused("{\"not\":{}}", TOLA_E_FORMAT, "no value fits");
    check_refused("{\"not\":{\"type\":\"integer\"}}", TOLA_E_UNSUPPORTED, "#/not/type: has no opposite");
    check_refused("{\"not\":{\"$ref\":\"#\"}}", TOLA_E_UNSUPPORTED, "#/not/$ref: has no opposite");
    check_refused("{\"if\":{},\"then\":{\"x\":1}}", TOLA_E_UNSUPPORTED, "schema: #/then/x: a keyword");
    check_refused("{\"dependentRequired\":[]}", TOLA_E_FORMAT, "#/dependentRequired: must be an object");
}

static void test_arrays(void **state) {
    (void)state;
    check_texts("{\"type\":\"array\",\"items\":{\"type\":\"null\"}}", TEXTS("[]", "[null]", "[ null , null ]"),
                TEXTS("[1]", "[null,]"));
    check_texts("{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,\"maxItems\":3}",
                TEXTS("[1,2]", "[1,2,3]"),
                TEXTS("[]", "[1]", "[1,2,3,4]"));
    check_texts("{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":{\"const\":3}}",
                TEXTS("[]", "[1]", "[1,2]", "[1,2,3,3]"), TEXTS("[2]", "[1,3]", "[1,2,4]"));
    check_texts("{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false,\"minItems\":1}",
                TEXTS("[1]", "[1,2]"), TEXTS("[]", "[1,2,3]"));
    check_texts("{\"type\":\"array\",\"maxItems\":0}", TEXTS("[]", "[ ]"), TEXTS("[1]"));
    check_texts("{\"type\":\"array\",\"uniqueItems\":false}", TEXTS("[1,1]"), TEXTS("1"));
    check_refused("{\"type\":\"array\",\"items\":false,\"minItems\":1}", TOLA_E_FORMAT, "no value fits");
    check_refused("{\"items\":[{}]}", TOLA_E_UNSUPPORTED, "#/items: an array of schemas");
    check_texts("{\"type\":\"array\",\"contains\":{\"const\":1},\"maxItems\":3}", TEXTS("[1]", "[2,1]", "[1, 1, 1]"),
                TEXTS("[]", "[2]", "[2,2,2,1]"));
    check_texts("{\"type\":\"array\",\"contains\":{\"const\":1},\"minContains\":2}", TEXTS("[1,2,1]", "[1, 1]"),
                TEXTS("[1]", "[1,2]"));
    check_texts("{\"type\":\"array\",\"items\":{\"enum\":[\"a\",\"b\",1]},\"uniqueItems\":true,\"minItems\":2}",
                TEXTS("[\"a\",\"b\"]", "[1,\"b\",\"a\"]"), TEXTS("[]", "[1]", "[1,1]", "[\"a\",\"b\",\"a\"]"));
    check_refused("{\"items\":{\"type\":\"string\"},\"uniqueItems\":true}", TOLA_E_UNSUPPORTED, "#/uniqueItems: ");
    check_texts("{\"type\":\"array\",\"contains\":{\"const\":1},\"minContains\":0,\"maxContains\":1}",
                TEXTS("[]", "[1]", "[2, 1, 3]", "[null]"), TEXTS("[1,1]", "[2,1,3,1]"));
    check_refused("{\"contains\":{\"format\":\"date\"},\"maxContains\":1}", TOLA_E_UNSUPPORTED,
                  "#/contains/format: has no opposite");
    check_refused("{\"type\":\"array\",\"contains\":false}", TOLA_E_FORMAT, "#/contains: no value fits");
    check_texts("{\"type\":\"array\",\"prefixItems\":[{}],\"unevaluatedItems\":false}", TEXTS("[]", "[1]"),
                TEXTS("[1,2]"));
    check_refused("{\"contains\":{},\"unevaluatedItems\":{}}", TOLA_E_UNSUPPORTED,
                  "#/unevaluatedItems: beside contains");
}

static void test_objects(void **state) {
    (void)state;
    static const char closed[] =
                "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2},\"c\":{\"const\":3}},"
                                 "\"required\":[\"b\"],\"additionalProperties\":false}";
    check_texts(closed, TEXTS("{\"b\":2}", "{\"a\":1,\"b\":2}", "{\"b\":2,\"c\":3}",
                "{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }"),
                TEXTS("{}", "{\"a\":1}", "{\"b\":2,\"a\":1}", "{\"b\":2,\"b\":2}", "{\"b\":2,\"d\":1}",
                "{\"b\":2,}"));
    check_texts("{\"type\":\"object\",\"properties\":{\"ab\":{\"const\":1}},\"additionalProperties\":{\"const\":2}}",
                TEXTS("{}", "{\"ab\":1}", "{\"a\":2}", "{\"ab\":1,\"abc\":2,\"\":2}", "{\"\\n\":2}", "{\"x/y\":2}"),
                TEXTS("{\"ab\":2}", "{\"a\":2,\"ab\":2}", "{\"a\":1}", "{\"\\u0061b\":2}"));
    check_texts("{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2},\"c\":{\"const\":3}},"
                "\"additionalProperties\":false,\"minProperties\":1,\"maxProperties\":2}",
                TEXTS("{\"a\":1}", "{\"c\":3}", "{\"a\":1,\"c\":3}"), TEXTS("{}", "{\"a\":1,\"b\":2,\"c\":3}"));
    check_texts("{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":2}",
                TEXTS("{\"a\":1}", "{\"a\":1,\"b\":{}}"), TEXTS("{}", "{\"a\":1,\"b\":2,\"c\":3}"));
    check_texts("{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^[a-c]+$\",\"maxLength\":2},"
                "\"patternProperties\":{\"c\":{\"const\":2}},\"properties\":{\"ab\":{\"const\":1},\"d\":{}}}",
                TEXTS("{}", "{\"ab\":1}", "{\"b\":{},\"ac\":2}"),
                TEXTS("{\"ab\":2}", "{\"d\":1}", "{\"abc\":1}", "{\"ac\":1}", "{\"\":1}"));
    check_texts("{\"type\":\"object\",\"propertyNames\":{\"enum\":[\"a\",\"b\",3]},\"minProperties\":2}",
                TEXTS("{\"a\":1,\"b\":[]}"), TEXTS("{}", "{\"a\":1}", "{\"a\":1,\"a\":1}", "{\"a\":1,\"c\":1}"));
    check_texts("{\"$defs\":{\"b\":{\"properties\":{\"a\":{}},\"patternProperties\":{\"^x\":{}}}},\"type\":\"object\","
                "\"$ref\":\"#/$defs/b\",\"properties\":{\"c\":{}},\"unevaluatedProperties\":false}",
                TEXTS("{}", "{\"a\":1}", "{\"c\":1,\"a\":1,\"x1\":2}"), TEXTS("{\"b\":1}", "{\"c\":1,\"ax\":2}"));
    check_refused("{\"anyOf\":[{\"properties\":{\"a\":{}}},{}],\"unevaluatedProperties\":false}", TOLA_E_UNSUPPORTED,
                  "#/unevaluatedProperties: what is left to it depends on branches");
    check_refused("{\"minProperties\":2}", TOLA_E_UNSUPPORTED,
                  "#/minProperties: a grammar cannot tell that names differ");
    check_refused("{\"type\":\"object\",\"minProperties\":2,\"additionalProperties\":false}", TOLA_E_FORMAT,
                  "no value fits");
    check_texts("{\"type\":\"object\",\"properties\":{\"a\":false},\"required\":[\"r\"]}", TEXTS("{\"r\":1}",
                "{\"r\":1,\"z\":{}}"),
                TEXTS("{}", "{\"a\":1,\"r\":1}", "{\"z\":1}"));
    check_texts("{\"properties\":{\"a\":{\"type\":\"null\"}}}", TEXTS("3", "{\"a\":null}"), TEXTS("{\"a\":1}"));
    check_texts("{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"minimum\":2}}},"
                "{\"properties\":{\"a\":{\"type\":\"integer\",\"maximum\":4},\"b\":{\"const\":0}},"
                "\"required\":[\"a\"]}]}",
                TEXTS("{\"a\":2}", "{\"a\":4,\"b\":0}"), TEXTS("{}", "{\"a\":1}", "{\"a\":5}", "{\"a\":2.5}",
                "{\"a\":3,\"b\":1}"));
    check_texts("{\"type\":\"object\",\"properties\":{\"k\":{}},"
                "\"anyOf\":[{\"properties\":{\"k\":{\"const\":1}},\"required\":[\"k\"]},"
                "{\"properties\":{\"k\":{\"const\":2},\"v\":{\"const\":3}},\"required\":[\"v\"]}],"
                "\"additionalProperties\":true}",
                TEXTS("{\"k\":1}", "{\"k\":2,\"v\":3}", "{\"v\":3}"), TEXTS("{}", "{\"k\":2}", "3"));
    check_refused("{\"type\":\"object\",\"required\":[\"a\"],\"additionalProperties\":false}", TOLA_E_FORMAT,
                "no value fits");
    check_texts("{\"type\":\"object\",\"patternProperties\":{\"^[a-z]+$\":{\"const\":1}},"
                "\"additionalProperties\":false}",
                TEXTS("{}", "{\"a\":1}", "{\"ab\":1,\"b\": 1}"), TEXTS("{\"A\":1}", "{\"a\":2}", "{\"\":1}"));
    check_texts("{\"type\":\"object\",\"properties\":{\"ab\":{\"enum\":[1,2]},\"c\":{\"const\":5}},"
                "\"patternProperties\":{\"^a\":{\"enum\":[2,3]},\"b$\":{\"enum\":[2,4]}},"
                "\"additionalProperties\":{\"const\":9}}",
                TEXTS("{\"ab\":2}", "{\"axb\":2}", "{\"a\":3}", "{\"a\":2,\"b\":4,\"d\":9}", "{\"c\":5}",
                "{\"\\n\":9}"),
                TEXTS("{\"ab\":1}", "{\"axb\":3}", "{\"a\":4}", "{\"d\":2}", "{\"c\":9}", "{\"a\":3,\"ab\":2}"));
    check_refused("{\"patternProperties\":{\"(?=a)\":{}}}", TOLA_E_UNSUPPORTED,
                  "#/patternProperties/(?=a): look-around");
    check_refused("{\"patternProperties\":[]}", TOLA_E_FORMAT, "#/patternProperties: must be an object");
    check_refused("{\"patternProperties\":{\"(a|b)*a(a|b){20}$\":{}}}", TOLA_E_LIMIT, "takes too many states");
    check_refused("{\"properties\":{\"a/b~\":{\"if\":{\"format\":\"a\"},\"then\":{}}}}", TOLA_E_UNSUPPORTED,
                  "#/properties/a~1b~0/if/format: has no opposite");
    check_refused("{\"required\":[1]}", TOLA_E_FORMAT, "#/required/0: must be a name");
}

/* A switch: of many `if`s at one place only one holds at a time; their branches do not multiply. */
static void test_switch(void **state) {
    (void)state;
    char schema[4096];
    size_t n = (size_t)snprintf(schema, sizeof schema, "{\"type\":\"object\",\"required\":[\"k\"],\"allOf\":[");
    for (int i = 0; i < 16; i++)
        n += (size_t)snprintf(schema + n, sizeof schema - n,
                              "%s{\"if\":{\"properties\":{\"k\":{\"const\":%d}},\"required\":[\"k\"]},"
                              "\"then\":{\"properties\":{\"v\":{\"const\":%d}},\"required\":[\"v\"]}}",
                              i ? "," : "", i, i * i);
    snprintf(schema + n, sizeof schema - n, "]}");
    check_texts(schema, TEXTS("{\"k\":3,\"v\":9}", "{\"k\":15,\"v\":225}", "{\"k\":16,\"v\":9}", "{\"k\":\"x\"}"),
                TEXTS("{\"k\":3,\"v\":16}", "{\"k\":3}", "{\"v\":9}", "{}", "3"));
    n = (size_t)snprintf(schema, sizeof schema, "{\"dependentRequired\":{");
    for (int i = 0; i < 30; i++)
        n += (size_t)snprintf(schema + n, sizeof schema - n, "%s\"a%d\":[\"b%d\"]", i ? "," : "", i, i);
    snprintf(schema + n, sizeof schema - n, "}}");
    check_refused(schema, TOLA_E_LIMIT, "too many combinations");
}

static void test_references(void **state) {
    (void)state;
    check_texts("{\"$ref\":\"#/$defs/list\",\"$defs\":{\"list\":{\"type\":\"object\","
                "\"properties\":{\"v\":{\"type\":\"integer\"},"
                "\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/list\"},{\"type\":\"null\"}]}},\"required\":[\"v\","
                "\"next\"],"
                "\"additionalProperties\":false}}}",
                TEXTS("{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"), TEXTS("{\"v\":1}",
                "null"));
    check_texts("{\"items\":{\"$ref\":\"#\"},\"type\":\"array\"}", TEXTS("[]", "[[],[[]]]"), TEXTS("[1]"));
    check_texts("{\"$ref\":\"#/definitions/a~1b%20c/0\",\"definitions\":{\"a/b c\":[{\"const\":7}]}}",
                TEXTS("7"), TEXTS("8"));
    check_texts("{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"null\"}],\"title\":\"t\",\"default\":3}",
                TEXTS("\"\"", "null"), TEXTS("1"));
    /* a name with a zero in it is none that ends there */
    check_texts("{\"dependentSchemas\":{\"a\\u0000b\":{\"required\":[\"c\"]},\"a\":{\"required\":[\"d\"]}}}",
                TEXTS("{\"a\\u0000b\":1,\"c\":1}", "{\"a\":1,\"d\":1}"),
                TEXTS("{\"a\\u0000b\":1,\"d\":1}", "{\"a\":1,\"c\":1}"));
    check_refused("{\"$ref\":\"#\"}", TOLA_E_FORMAT, "refers to itself");
    check_refused("{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},"
                "\"b\":{\"allOf\":[{\"$ref\":\"#/$defs/a\"}]}}}",
                  TOLA_E_FORMAT, "refers to itself");
    check_refused("{\"anyOf\":[{\"anyOf\":[{\"$ref\":\"#\"}]},{\"type\":\"null\"}]}", TOLA_E_FORMAT,
                "refers to itself");
    check_refused("{\"$ref\":\"#/nowhere\"}", TOLA_E_FORMAT, "#/$ref: $ref leads nowhere");
    check_refused("{\"$ref\":\"http://example.com/s\"}", TOLA_E_UNSUPPORTED, "another document");
    check_refused("{\"$ref\":\"#name\"}", TOLA_E_UNSUPPORTED, "an anchor");
    check_refused("{\"allOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}", TOLA_E_FORMAT, "no value fits");
    check_refused("{\"anyOf\":[]}", TOLA_E_FORMAT, "#/anyOf: must be an array");
    check_refused("{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#\"}}", TOLA_E_FORMAT, "can never end");
    check_refused("[]", TOLA_E_FORMAT, "#: a schema is an object");
    check_refused("{\"type\":", TOLA_E_FORMAT, "schema: JSON: expected a value");
    check_refused("{\"type\":\"string\",\"maxLength\":90000000}", TOLA_E_LIMIT, "multiply out");
}

static void test_one_of(void **state) {
    (void)state;
    check_texts("{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}},\"oneOf\":[{\"required\":[\"a\"]},"
                "{\"required\":[\"b\"]}]}",
                TEXTS("{\"a\":1}", "{\"b\":1,\"c\":2}"), TEXTS("{}", "{\"a\":1,\"b\":1}", "{\"c\":2}"));
    check_texts("{\"oneOf\":[{\"enum\":[1,\"x\"]},{\"type\":\"integer\",\"minimum\":2},{\"type\":\"array\"}]}",
                TEXTS("1", "\"x\"", "7", "[]"), TEXTS("0", "\"y\"", "{}"));
    check_refused("{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"integer\"},{\"type\":\"number\"}]}",
                  TOLA_E_UNSUPPORTED, "#/oneOf: branches 1 and 2 may both hold");
    check_texts("{\"allOf\":[{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]},"
                "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]}]}",
                TEXTS("1"), TEXTS("\"x\"", "null"));
    check_texts("{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":2,\"maximum\":1}}", TEXTS("[]"),
                TEXTS("[1]"));
    check_texts("{\"enum\":[\"a\",\"bc\",3,4.5],\"minLength\":2,\"maximum\":4}", TEXTS("\"bc\"", "3"),
                TEXTS("\"a\"", "4.5"));
}

/* Small schemas, as each is compiled once for each of its allocations. */
static void test_faults(void **state) {
    (void)state;
    static const char *const schemas[] = {
        "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,[\"x\"]]},\"b\":{\"pattern\":\"^[^a]|b$\"}},"
        "\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]}}",
        "{\"type\":\"object\",\"properties\":{\"c\":{\"anyOf\":[{\"type\":\"number\",\"minimum\":1.5},"
        "{\"$ref\":\"#\"}]},\"h\":{\"not\":{\"const\":\"a\"}}}}",
        "{\"oneOf\":[{\"type\":\"object\",\"required\":[\"x\"]},{\"type\":\"object\",\"required\":[\"y\"]}]}",
        "{\"allOf\":[{\"enum\":[{\"k\":[1]},2]},{\"enum\":[3,{\"k\":[1.0]}]}]}",
        "{\"multipleOf\":1.5,\"contains\":{\"const\":1},\"minProperties\":1}",
        "{\"type\":\"object\",\"properties\":{\"g\":{\"items\":{\"enum\":[1,2]},\"uniqueItems\":true},"
        "\"i\":{\"pattern\":\"^ab+$\",\"maxLength\":3}}}",
        "{\"patternProperties\":{\"^a\":{}},\"properties\":{\"a\":{}}}",
        "{\"propertyNames\":{\"pattern\":\"a\",\"not\":{\"const\":\"a\"}},\"contains\":{\"const\":1},"
        "\"maxContains\":1}",
        "{\"type\":\"object\",\"propertyNames\":{\"enum\":[\"a\",\"b\"],\"pattern\":\"a\"}}",
        "{\"allOf\":[{\"properties\":{\"a\":{}}}],\"anyOf\":[{\"required\":[\"a\"]}],"
        "\"unevaluatedProperties\":false,\"unevaluatedItems\":false}",
    };
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
        for (uint64_t n = 0;; n++) {
            grammar *g = NULL;
            fault_arm(FAULT_ALLOC, n, true);
            tola_status status = grammar_from_schema(schemas[i], strlen(schemas[i]), &g, NULL);
            fault_disarm();
            grammar_free(g);
            if (status == TOLA_OK) break;
            assert_int_equal(status, TOLA_E_NOMEM);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any),     cmocka_unit_test(test_numbers),    cmocka_unit_test(test_strings),
        cmocka_unit_test(test_arrays),  cmocka_unit_test(test_objects),    cmocka_unit_test(test_references),
        cmocka_unit_test(test_one_of),  cmocka_unit_test(test_opposites), cmocka_unit_test(test_switch),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
