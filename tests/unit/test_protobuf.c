/* The Protocol Buffers wire reader: good fields of every type, and everything that may be wrong with them. */
#include "unit.h"

#include "base/protobuf.h"

static source *src;
static reader r;

static pb_message begin(const void *data, size_t bytes) {
    pb_message m;
    assert_int_equal(source_open_memory("m", data, bytes, &src, NULL), TOLA_OK);
    reader_init(&r, src, 0, bytes);
    pb_open(&m, &r, 0, bytes);
    return m;
}

static void end(void) {
    reader_free(&r);
    source_close(src);
}

static void test_fields(void **state) {
    (void)state;
    static const uint8_t data[] = { 0x08, 0x96, 0x01,                                     /* 1: 150 */
                                    0x11, 1, 2, 3, 4, 5, 6, 7, 8,                         /* 2: fixed64 */
                                    0x1a, 3, 'a', 'b', 'c',                               /* 3: "abc" */
                                    0x25, 0, 0, 0x80, 0x3f,                               /* 4: 1.0f */
                                    0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, /* 5: -1 */
                                    0xfa, 0xff, 0xff, 0xff, 0x0f, 0 };                    /* 536870911: "" */
    pb_message m = begin(data, sizeof data);
    pb_field f;
    arena a;
    arena_init(&a, 0);
    assert_true(pb_next(&m, &f) && f.number == 1 && f.wire == PB_VARINT && f.value == 150);
    assert_true(pb_next(&m, &f) && f.number == 2 && f.wire == PB_FIXED64 && f.value == 0x0807060504030201u);
    assert_true(pb_next(&m, &f) && f.number == 3 && f.wire == PB_BYTES && f.start == 14 && f.bytes == 3);
    assert_string_equal(pb_text(&m, &f, 3, &a), "abc");
    assert_true(pb_next(&m, &f) && f.number == 4 && pb_float(&f) == 1.0f);
    assert_true(pb_next(&m, &f) && f.number == 5 && (int64_t)f.value == -1);
    assert_true(pb_next(&m, &f) && f.number == 536870911 && f.bytes == 0);
    assert_false(pb_next(&m, &f));
    assert_true(reader_ok(&r));
    arena_free(&a);
    end();
}

static void test_numbers(void **state) {
    (void)state;
    /* field 1: one alone, then packed 1, 300; field 2: packed fixed32 */
    static const uint8_t data[] = { 0x08, 7, 0x0a, 3, 1, 0xac, 0x02, 0x12, 8, 1, 0, 0, 0, 2, 0, 0, 0 };
    static const uint64_t expected[] = { 7, 1, 300, 1, 2 };
    pb_message m = begin(data, sizeof data);
    pb_field f;
    pb_numbers n;
    uint64_t bits;
    size_t count = 0;
    while (pb_next(&m, &f)) {
        assert_true(pb_numbers_begin(&m, &f, f.number == 1 ? PB_VARINT : PB_FIXED32, &n));
        while (pb_numbers_next(&n, &bits)) assert_int_equal(bits, expected[count++]);
    }
    assert_int_equal(count, 5);
    assert_true(reader_ok(&r));
    end();
}

typedef struct bad {
    const char *bytes;
    size_t length;
    const char *words;
} bad;
#define BAD(text, words) { text, sizeof(text) - 1, words }

static void test_bad(void **state) {
    (void)state;
    static const bad cases[] = {
        BAD("\x00\x00", "field number 0"),
        BAD("\x0b", "wire type 3"),
        BAD("\x0f", "wire type 7"),
        BAD("\x08", "truncated"),
        BAD("\x08\x80", "truncated"),
        BAD("\x88", "truncated"),
        BAD("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "longer than 64 bits"),
        BAD("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "longer than 64 bits"),
        BAD("\x0a\x05""abcd", "says 5 bytes, 4 are left"),
        BAD("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "are left"),
        BAD("\x0d\x01\x02\x03", "4-byte number"),
        BAD("\x09\x01\x02\x03\x04\x05\x06\x07", "8-byte number"),
        BAD("\x80\x80\x80\x80\x80\x01\x00", "outside 1 .. 536870911"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pb_message m = begin(cases[i].bytes, cases[i].length);
        pb_field f;
        tola_error err = TOLA_ERROR_INIT;
        while (pb_next(&m, &f)) continue;
        assert_int_equal(reader_check(&r, &err), TOLA_E_FORMAT);
        if (!strstr(err.message, cases[i].words)) fail_msg("case %zu: %s", i, err.message);
        end();
    }
}

static void test_limits(void **state) {
    (void)state;
    pb_field f;
    pb_message m = begin("\x0a\x03""abc", 5), child;
    arena a;
    arena_init(&a, 0);
    assert_true(pb_next(&m, &f));
    assert_null(pb_text(&m, &f, 2, &a));
    assert_int_equal(reader_check(&r, NULL), TOLA_E_LIMIT);
    end();
    m = begin("\x08\x01", 2);
    assert_true(pb_next(&m, &f));
    assert_false(pb_enter(&m, &f, &child));
    assert_int_equal(reader_check(&r, NULL), TOLA_E_FORMAT);
    end();
    m = begin("\x12\x03""abc", 5); /* three bytes are no fixed32 numbers */
    pb_numbers n;
    assert_true(pb_next(&m, &f));
    assert_false(pb_numbers_begin(&m, &f, PB_FIXED32, &n));
    end();
    /* a chain of messages, each in field 1 of the one before */
    uint8_t chain[3 * 100];
    for (int i = 0; i < 100; i++) {
        int inside = 3 * (99 - i);
        chain[3 * i] = 0x0a;
        chain[3 * i + 1] = (uint8_t)(inside & 127) | 128;
        chain[3 * i + 2] = (uint8_t)(inside >> 7);
    }
    m = begin(chain, sizeof chain);
    int depth = 0;
    while (pb_next(&m, &f) && pb_enter(&m, &f, &child)) {
        m = child;
        depth++;
    }
    assert_int_equal(depth, PB_MAX_DEPTH - 1);
    assert_int_equal(reader_check(&r, NULL), TOLA_E_LIMIT);
    end();
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
