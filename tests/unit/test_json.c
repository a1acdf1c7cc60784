/* The JSON reader, the tree built from it, the emitter, and the accessors of tola_value. */
#include "base/json.h"
#include <tola/json.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- helpers ---- */

static tola_status parse(const char *text, arena *a, tola_value *v, tola_error *err) {
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1); /* exactly as long as the text, so that the sanitizer sees reads beyond it */
    assert_non_null(copy);
    memcpy(copy, text, n);
    tola_status status = json_parse(copy, n, a, v, err);
    free(copy);
    return status;
}

static void assert_refused(const char *text, tola_status want, const char *cause, uint64_t offset) {
    arena a;
    arena_init(&a, 0);
    tola_value v;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = parse(text, &a, &v, &err);
    if (status != want || !strstr(err.message, cause) || err.offset != offset)
        fail_msg("%s: status %d offset %llu \"%s\"", text, status, (unsigned long long)err.offset, err.message);
    arena_free(&a);
}

typedef struct text_sink {
    char text[65536];
    size_t length;
} text_sink;

static bool take(void *user, const char *text, size_t length) {
    text_sink *s = user;
    if (s->length + length >= sizeof s->text) return false;
    memcpy(s->text + s->length, text, length);
    s->length += length;
    s->text[s->length] = '\0';
    return true;
}

static text_sink sink;

static void assert_round_trip(const char *in, const char *out, int indent) {
    arena a;
    arena_init(&a, 0);
    tola_value v;
    assert_int_equal(parse(in, &a, &v, NULL), TOLA_OK);
    tola_json j;
    sink.length = 0;
    tola_json_init(&j, take, &sink, indent);
    tola_json_value(&j, &v);
    assert_true(tola_json_finish(&j));
    assert_string_equal(sink.text, out);
    arena_free(&a);
}

/* ---- reading ---- */

static void test_tokens(void **state) {
    (void)state;
    const char *text = " {\"a\" : [1, -2, 2.5, true, false, null], \"b\\n\" : {}, \"c\":\"x\\u00e9y\"} ";
    static const json_token want[] = { JSON_BEGIN_OBJECT, JSON_KEY,        JSON_BEGIN_ARRAY, JSON_NUMBER,
                                       JSON_NUMBER,       JSON_NUMBER,     JSON_TRUE,        JSON_FALSE,
                                       JSON_NULL,         JSON_END_ARRAY,  JSON_KEY,         JSON_BEGIN_OBJECT,
                                       JSON_END_OBJECT,   JSON_KEY,        JSON_STRING,      JSON_END_OBJECT,
                                       JSON_END,          JSON_END };
    json_reader r;
    json_reader_init(&r, text, strlen(text), 8);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_int_equal(json_next(&r), want[i]);
        if (i == 1) assert_memory_equal(r.text, "a", 1);
        if (i == 3) assert_true(r.number.kind == TOLA_VALUE_UINT && r.number.as.u64 == 1);
        if (i == 4) assert_true(r.number.kind == TOLA_VALUE_INT && r.number.as.i64 == -2);
        if (i == 5) assert_true(r.number.kind == TOLA_VALUE_FLOAT && r.number.as.f64 == 2.5);
        if (i == 10) assert_memory_equal(r.text, "b\n", 2);
        if (i == 14) {
            assert_int_equal(r.text_length, 4);
            assert_memory_equal(r.text, "x\xc3\xa9y", 4);
        }
    }
    assert_int_equal(json_check(&r, NULL), TOLA_OK);
    json_reader_free(&r);
}

static void test_skip_and_fail(void **state) {
    (void)state;
    const char *text = "{\"a\":{\"x\":[1,[2],{}]},\"b\":7,\"c\":[]}";
    json_reader r;
    json_reader_init(&r, text, strlen(text), 100);
    assert_int_equal(json_next(&r), JSON_BEGIN_OBJECT);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(json_next(&r), JSON_KEY);
        assert_true(json_skip(&r));
    }
    assert_int_equal(json_next(&r), JSON_END_OBJECT);
    assert_int_equal(json_next(&r), JSON_END);
    json_reader_free(&r);

    json_reader_init(&r, text, strlen(text), 100);
    json_next(&r);
    json_next(&r);
    assert_int_equal(json_fail(&r, "no %s here", "a"), JSON_ERROR);
    assert_int_equal(json_next(&r), JSON_ERROR);
    tola_error err;
    assert_int_equal(json_check(&r, &err), TOLA_E_FORMAT);
    assert_string_equal(err.message, "no a here");
    assert_int_equal(err.offset, 101);
    json_reader_free(&r);
}

static void test_parse_next(void **state) {
    (void)state;
    const char *text = "{\"keep\":{\"x\":[1,2]},\"rest\":3}";
    json_reader r;
    json_reader_init(&r, text, strlen(text), 0);
    json_next(&r);
    json_next(&r);
    arena a;
    arena_init(&a, 0);
    tola_value v;
    assert_int_equal(json_parse_next(&r, &a, &v, NULL), TOLA_OK);
    tola_value item = tola_value_at(tola_value_get(&v, "x"), 1);
    assert_int_equal(tola_value_u64(&item, 0), 2);
    assert_int_equal(json_next(&r), JSON_KEY);
    assert_memory_equal(r.text, "rest", 4);
    json_reader_free(&r);
    arena_free(&a);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *cause;
        uint64_t offset;
    } cases[] = {
        { "", "expected a value, found the end", 0 },
        { "   ", "expected a value, found the end", 3 },
        { "{", "expected a key or '}'", 1 },
        { "{\"a\"}", "expected ':', found '}'", 4 },
        { "{\"a\":1,}", "expected a key, found '}'", 7 },
        { "{\"a\":1 \"b\":2}", "expected ',' or '}'", 7 },
        { "{a:1}", "expected a key or '}', found 'a'", 1 },
        { "[1,]", "expected a value, found ']'", 3 },
        { "[1}", "expected ',' or ']', found '}'", 2 },
        { "[1 2]", "expected ',' or ']', found '2'", 3 },
        { "[] []", "expected the end of the document", 3 },
        { "]", "expected a value", 0 },
        { "// no\n1", "expected a value, found '/'", 0 },
        { "\xef\xbb\xbf{}", "found byte 0xef", 0 },
        { "01", "starts with 0", 0 },
        { "-01", "starts with 0", 1 },
        { "-", "expected a digit", 1 },
        { "+1", "expected a value", 0 },
        { ".5", "expected a value", 0 },
        { "1.", "expected a digit after the decimal point", 2 },
        { "1e", "expected a digit in the exponent", 2 },
        { "1e+", "expected a digit in the exponent", 3 },
        { "1e999", "out of range", 0 },
        { "-1e400", "out of range", 0 },
        { "tru", "expected a value", 0 },
        { "nullx", "expected the end", 4 },
        { "\"abc", "never closed", 0 },
        { "\"abc\\", "ends inside a string", 4 },
        { "\"a\nb\"", "control byte 0x0a", 2 },
        { "\"0123456789abcdef0123\x1f\"", "control byte 0x1f", 21 },
        { "\"\\x41\"", "unknown escape", 1 },
        { "\"\\u12g4\"", "four hexadecimal digits", 1 },
        { "\"\\u12", "four hexadecimal digits", 1 },
        { "\"\\ud800\"", "lone surrogate", 1 },
        { "\"\\ud800\\u0041\"", "lone surrogate", 1 },
        { "\"\\udc00\"", "lone surrogate", 1 },
        { "\"\x80\"", "no UTF-8", 1 },
        { "\"\xc0\x80\"", "no UTF-8", 1 },
        { "\"\xed\xa0\x80\"", "no UTF-8", 1 },
        { "\"\xf4\x90\x80\x80\"", "no UTF-8", 1 },
        { "\"\xe2\x82\"", "no UTF-8", 1 },
        { "{\"a\":1,\"b\":2,\"a\":3}", "key \"a\" appears twice", 18 },
        { "{\"x\":{\"a\":1,\"\\u0061\":3}}", "key \"a\" appears twice", 22 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].text, TOLA_E_FORMAT, cases[i].cause, cases[i].offset);
}

static void test_many_keys(void **state) {
    (void)state;
    enum { KEYS = 5000 };
    size_t cap = KEYS * 24, n = 0;
    char *text = malloc(cap);
    assert_non_null(text);
    text[n++] = '{';
    for (int i = 0; i < KEYS; i++) n += (size_t)snprintf(text + n, cap - n, "%s\"k%d\":%d", i ? "," : "", i, i);
    snprintf(text + n, cap - n, "}");
    arena a;
    arena_init(&a, 0);
    tola_value v;
    assert_int_equal(parse(text, &a, &v, NULL), TOLA_OK);
    assert_int_equal(v.as.map.count, KEYS);
    assert_int_equal(tola_value_u64(tola_value_get(&v, "k4999"), 0), 4999);
    arena_free(&a);
    snprintf(text + n, cap - n, ",\"k17\":0}");
    assert_refused(text, TOLA_E_FORMAT, "key \"k17\" appears twice", n + 8);
    free(text);
}

static void test_depth(void **state) {
    (void)state;
    char text[2 * JSON_MAX_DEPTH + 8];
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    text[2 * JSON_MAX_DEPTH] = '\0';
    arena a;
    arena_init(&a, 0);
    tola_value v;
    assert_int_equal(parse(text, &a, &v, NULL), TOLA_OK);
    arena_free(&a);
    memset(text, '[', JSON_MAX_DEPTH + 1);
    assert_refused(text, TOLA_E_LIMIT, "nested deeper than 128 levels", JSON_MAX_DEPTH);
}

static void test_whole_numbers(void **state) {
    (void)state;
    arena a;
    arena_init(&a, 0);
    tola_value v;
    assert_int_equal(parse("18446744073709551615", &a, &v, NULL), TOLA_OK);
    assert_true(v.kind == TOLA_VALUE_UINT && v.as.u64 == UINT64_MAX);
    assert_int_equal(parse("18446744073709551616", &a, &v, NULL), TOLA_OK);
    assert_true(v.kind == TOLA_VALUE_FLOAT && v.as.f64 == 0x1p64);
    assert_int_equal(parse("-9223372036854775808", &a, &v, NULL), TOLA_OK);
    assert_true(v.kind == TOLA_VALUE_INT && v.as.i64 == INT64_MIN);
    assert_int_equal(parse("-9223372036854775809", &a, &v, NULL), TOLA_OK);
    assert_true(v.kind == TOLA_VALUE_FLOAT && v.as.f64 == -0x1p63);
    assert_int_equal(parse("-0", &a, &v, NULL), TOLA_OK);
    assert_true(v.kind == TOLA_VALUE_INT && v.as.i64 == 0 && v.reserved == 0);
    assert_int_equal(parse("[ -18446744073709551617, 1e30]", &a, &v, NULL), TOLA_OK);
    tola_value first = tola_value_at(&v, 0), second = tola_value_at(&v, 1);
    assert_true(first.reserved == 3 && second.reserved == 0);
    arena_free(&a);
}

static void test_floats(void **state) {
    (void)state;
    arena a;
    arena_init(&a, 0);
    tola_value v;
    static const char *const floats[] = { "0.1", "1e-5", "1E+22", "1e23", "123456789012345678901234567890.5",
                                          "4.9e-324", "1e-400", "2.2250738585072011e-308", "1.7976931348623157e308",
                                          "0.0", "-0.0", "9007199254740993.0",
                                          "0.500000000000000166533453693773481063544750213623046875" };
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        assert_int_equal(parse(floats[i], &a, &v, NULL), TOLA_OK);
        double want = strtod(floats[i], NULL);
        assert_int_equal(v.kind, TOLA_VALUE_FLOAT);
        assert_memory_equal(&v.as.f64, &want, sizeof want);
    }
    char digits[600];
    memset(digits, '7', sizeof digits);
    memcpy(digits, "0.", 2);
    digits[sizeof digits - 1] = '\0';
    assert_int_equal(parse(digits, &a, &v, NULL), TOLA_OK);
    assert_true(v.as.f64 == 7.0 / 9.0);
    assert_int_equal(parse("[NaN,Infinity,-Infinity]", &a, &v, NULL), TOLA_OK);
    assert_true(isnan(tola_value_at(&v, 0).as.f64) && tola_value_at(&v, 2).as.f64 == -INFINITY);
    json_reader r;
    json_reader_init(&r, "NaN", 3, 0);
    assert_int_equal(json_next(&r), JSON_ERROR);
    json_reader_free(&r);
    json_reader_init(&r, "-Infinity", 9, 0);
    assert_int_equal(json_next(&r), JSON_ERROR);
    json_reader_free(&r);
    arena_free(&a);
}

/* Every place where an allocation can fail gives TOLA_E_NOMEM and no leak. */
static void test_out_of_memory(void **state) {
    (void)state;
    const char *text = "{\"a\\n\":[1,\"x\\ty\"],"
                       "\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1}";
    for (uint64_t n = 0;; n++) {
        arena a;
        arena_init(&a, 0);
        tola_value v;
        tola_error err = TOLA_ERROR_INIT;
        fault_arm(FAULT_ALLOC, n, true);
        tola_status status = json_parse(text, strlen(text), &a, &v, &err);
        fault_disarm();
        arena_free(&a);
        if (status == TOLA_OK) {
            assert_true(n > 3);
            break;
        }
        assert_int_equal(status, TOLA_E_NOMEM);
        assert_true(n < 100);
    }
}

/* ---- writing ---- */

static void test_emit(void **state) {
    (void)state;
    assert_round_trip("{ \"a\" : [ 1 , -2 , 0.5 , true, null ], \"b\" : { } , \"c\":[],\"d\":\"x\" }",
                      "{\"a\":[1,-2,0.5,true,null],\"b\":{},\"c\":[],\"d\":\"x\"}", 0);
    assert_round_trip("{\"a\":[1,{\"b\":2}],\"c\":{}}",
                      "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n  \"c\": {}\n}", 2);
    assert_round_trip("\"\\u0000\\u001b\\\"\\\\\\/\\n\\u007f\\u0085\\u00e9\\ud83d\\ude00\"",
                      "\"\\u0000\\u001b\\\"\\\\/\\n\\u007f\\u0085\xc3\xa9\xf0\x9f\x98\x80\"", 0);
}

static void test_emit_bad_utf8(void **state) {
    (void)state;
    tola_json j;
    sink.length = 0;
    tola_json_init(&j, take, &sink, 0);
    tola_json_string_n(&j, "a\xff\xc3", 3);
    assert_true(tola_json_finish(&j));
    assert_string_equal(sink.text, "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void emit_double(double x) {
    tola_json j;
    sink.length = 0;
    tola_json_init(&j, take, &sink, 0);
    tola_json_f64(&j, x);
    assert_true(tola_json_finish(&j));
}

static void test_emit_doubles(void **state) {
    (void)state;
    static const struct {
        double x;
        const char *text;
    } cases[] = {
        { 0.1, "0.1" },
        { 1, "1.0" },
        { -0.0, "-0.0" },
        { 1e22, "1e+22" },
        { 5e-324, "5e-324" },
        { 1.0 / 3, "0.3333333333333333" },
        { 1e-6, "1e-06" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { NAN, "null" },
        { INFINITY, "null" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
        { 10000, "10000.0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        emit_double(cases[i].x);
        assert_string_equal(sink.text, cases[i].text);
    }
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        double x;
        memcpy(&x, &seed, sizeof x);
        if (!isfinite(x)) continue;
        emit_double(x);
        double back = strtod(sink.text, NULL);
        assert_memory_equal(&back, &x, sizeof x);
    }
}

static void test_emit_integers(void **state) {
    (void)state;
    tola_json j;
    sink.length = 0;
    tola_json_init(&j, take, &sink, 0);
    tola_json_begin_array(&j);
    tola_json_i64(&j, INT64_MIN);
    tola_json_u64(&j, UINT64_MAX);
    tola_json_i64(&j, -1);
    tola_json_end_array(&j);
    assert_true(tola_json_finish(&j));
    assert_string_equal(sink.text, "[-9223372036854775808,18446744073709551615,-1]");
}

static void test_decimal_prefix(void **state) {
    (void)state;
    static const struct {
        const char *text, *rest;
        double value;
    } good[] = { { "80GiB", "GiB", 80 },   { "139.8GiB", "GiB", 139.8 }, { "1e3x", "x", 1000 },  { "5e", "e", 5 },
                 { "5e+", "e+", 5 },       { "0x10", "x10", 0 },         { "-.5 ", " ", -0.5 }, { "7.", "", 7 },
                 { "1.5.2", ".2", 1.5 },   { "8xh100", "xh100", 8 } };
    static const char *const bad[] = { "", ".", "-", "e5", "inf", "nan", " 1", "x1" };
    const char *rest;
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(json_decimal_prefix(good[i].text, &value, &rest));
        assert_string_equal(rest, good[i].rest);
        assert_true(value == good[i].value);
        assert_int_equal(json_decimal(good[i].text, &value), *rest == 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(json_decimal_prefix(bad[i], &value, &rest) || json_decimal(bad[i], &value));
}

static void test_locale(void **state) {
    (void)state;
    static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8" };
    const char *set = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !set; i++) set = setlocale(LC_NUMERIC, names[i]);
    arena a;
    arena_init(&a, 0);
    tola_value v;
    assert_int_equal(parse("1.25e-30", &a, &v, NULL), TOLA_OK);
    emit_double(2.5);
    setlocale(LC_NUMERIC, "C");
    assert_true(v.as.f64 == 1.25e-30);
    assert_string_equal(sink.text, "2.5");
    arena_free(&a);
}

static bool refuse(void *user, const char *text, size_t length) {
    (void)text, (void)length;
    ++*(int *)user;
    return false;
}

static void test_emit_failures(void **state) {
    (void)state;
    tola_json j;
    int calls = 0;
    tola_json_init(&j, refuse, &calls, 0);
    tola_json_begin_array(&j);
    for (int i = 0; i < 100000; i++) tola_json_string(&j, "text");
    assert_false(tola_json_finish(&j));
    assert_int_equal(calls, 1);
    sink.length = 0;
    tola_json_init(&j, take, &sink, 1);
    for (int i = 0; i < 65; i++) tola_json_begin_array(&j);
    assert_true(j.failed);
    sink.length = 0;
    tola_json_init(&j, take, &sink, 0);
    for (int i = 0; i < 64; i++) tola_json_begin_array(&j);
    for (int i = 0; i < 64; i++) tola_json_end_array(&j);
    assert_true(tola_json_finish(&j));
    assert_int_equal(sink.length, 128);
}

/* ---- accessors ---- */

static void test_accessors(void **state) {
    (void)state;
    arena a;
    arena_init(&a, 0);
    tola_value v;
    const char *text = "{\"u\":7,\"i\":-7,\"f\":4096.0,\"g\":0.5,\"b\":true,\"s\":\"t\",\"l\":[1,\"x\"]}";
    assert_int_equal(parse(text, &a, &v, NULL), TOLA_OK);
    assert_int_equal(tola_value_u64(tola_value_get(&v, "u"), 1), 7);
    assert_int_equal(tola_value_u64(tola_value_get(&v, "i"), 1), 1);
    assert_int_equal(tola_value_u64(tola_value_get(&v, "f"), 1), 4096);
    assert_int_equal(tola_value_u64(tola_value_get(&v, "g"), 1), 1);
    assert_int_equal(tola_value_u64(tola_value_get(&v, "none"), 9), 9);
    assert_true(tola_value_f64(tola_value_get(&v, "i"), 0) == -7);
    assert_true(tola_value_bool(tola_value_get(&v, "b"), false));
    assert_false(tola_value_bool(tola_value_get(&v, "u"), false));
    assert_string_equal(tola_value_str(tola_value_get(&v, "s"), ""), "t");
    assert_null(tola_value_str(tola_value_get(&v, "u"), NULL));
    assert_null(tola_value_get(NULL, "x"));
    assert_int_equal(tola_value_at(tola_value_get(&v, "l"), 2).kind, TOLA_VALUE_NULL);
    arena_free(&a);
}

static void test_packed_arrays(void **state) {
    (void)state;
    static const int16_t shorts[] = { -3, 300 };
    tola_value packed = { .kind = TOLA_VALUE_ARRAY, .element = TOLA_VALUE_INT, .dtype = TOLA_DTYPE_I16 };
    packed.as.array.items = shorts;
    packed.as.array.count = 2;
    assert_true(tola_value_at(&packed, 0).as.i64 == -3 && tola_value_at(&packed, 1).as.i64 == 300);
    static const float floats[] = { 0.5f };
    packed = (tola_value){ .kind = TOLA_VALUE_ARRAY, .element = TOLA_VALUE_FLOAT, .dtype = TOLA_DTYPE_F32 };
    packed.as.array.items = floats;
    packed.as.array.count = 1;
    assert_true(tola_value_at(&packed, 0).as.f64 == 0.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),        cmocka_unit_test(test_skip_and_fail),
        cmocka_unit_test(test_parse_next),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many_keys),     cmocka_unit_test(test_depth),
        cmocka_unit_test(test_whole_numbers), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_emit),
        cmocka_unit_test(test_emit_bad_utf8), cmocka_unit_test(test_emit_doubles),
        cmocka_unit_test(test_emit_integers), cmocka_unit_test(test_locale),
        cmocka_unit_test(test_decimal_prefix),
        cmocka_unit_test(test_emit_failures), cmocka_unit_test(test_accessors),
        cmocka_unit_test(test_packed_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
