/* Writing JSON (RFC 8259) through a callback, without the heap.
 *
 * Owns commas, indentation, escaping and the text of numbers. What it writes is valid UTF-8 and holds no raw control
 * characters, whatever it is given. Does not check that calls nest as JSON does, beyond the depth. */
#include <tola/json.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define MAX_DEPTH 64

bool json_to_buf(void *b, const char *text, size_t length) {
    buf_append(b, text, length);
    return !((buf *)b)->failed;
}

void tola_json_init(tola_json *json, tola_json_sink sink, void *user, int indent) {
    json->sink = sink;
    json->user = user;
    json->indent = indent;
    json->depth = 0;
    json->failed = false;
    json->after_key = false;
    json->used = 0;
    json->fill = 0;
}

/* ---- the buffer ---- */

static void flush(tola_json *json) {
    if (json->fill > 0 && !json->failed && !json->sink(json->user, json->buffer, json->fill)) json->failed = true;
    json->fill = 0;
}

static void put(tola_json *json, const char *text, size_t length) {
    while (length > 0 && !json->failed) {
        size_t room = sizeof json->buffer - json->fill;
        size_t n = length < room ? length : room;
        memcpy(json->buffer + json->fill, text, n);
        json->fill += n;
        text += n;
        length -= n;
        if (json->fill == sizeof json->buffer) flush(json);
    }
}

static void put_char(tola_json *json, char c) {
    put(json, &c, 1);
}

static void new_line(tola_json *json) {
    if (json->indent <= 0) return;
    put_char(json, '\n');
    for (int i = 0; i < json->depth * json->indent; i++) put_char(json, ' ');
}

/* ---- structure ---- */

/* What stands before a value or a key: nothing after a key or at the start, else a comma and a new line. */
static void before_member(tola_json *json) {
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    if (json->depth == 0) return;
    uint64_t bit = UINT64_C(1) << (json->depth - 1);
    if (json->used & bit) put_char(json, ',');
    json->used |= bit;
    new_line(json);
}

static void begin(tola_json *json, char bracket) {
    before_member(json);
    put_char(json, bracket);
    if (json->depth == MAX_DEPTH) {
        json->failed = true;
        return;
    }
    json->used &= ~(UINT64_C(1) << json->depth);
    json->depth++;
}

static void end(tola_json *json, char bracket) {
    if (json->depth == 0) {
        json->failed = true;
        return;
    }
    json->depth--;
    if (json->used & (UINT64_C(1) << json->depth)) new_line(json);
    put_char(json, bracket);
}

void tola_json_begin_object(tola_json *json) {
    begin(json, '{');
}

void tola_json_end_object(tola_json *json) {
    end(json, '}');
}

void tola_json_begin_array(tola_json *json) {
    begin(json, '[');
}

void tola_json_end_array(tola_json *json) {
    end(json, ']');
}

/* ---- strings ---- */

/* Bytes of the well-formed UTF-8 sequence (RFC 3629, beyond ASCII) at s, 0 where there is none. */
static size_t utf8_sequence(const unsigned char *s, size_t n) {
    unsigned char c = s[0];
    size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || n < need) return 0;
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return need;
}

static void put_escaped(tola_json *json, unsigned c) {
    char text[8];
    const char *word = NULL;
    switch (c) {
    case '"': word = "\\\""; break;
    case '\\': word = "\\\\"; break;
    case '\n': word = "\\n"; break;
    case '\r': word = "\\r"; break;
    case '\t': word = "\\t"; break;
    case '\b': word = "\\b"; break;
    case '\f': word = "\\f"; break;
    default: snprintf(text, sizeof text, "\\u%04x", c & 0xffff); word = text;
    }
    put(json, word, strlen(word));
}

/* Control characters are escaped, the second set (U+007F..U+009F) too: a terminal obeys those as well. */
static void put_string(tola_json *json, const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    size_t start = 0, i = 0;
    put_char(json, '"');
    while (i < length) {
        unsigned char c = s[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t n = c < 0x80 ? 1 : utf8_sequence(s + i, length - i);
        bool c1 = n == 2 && c == 0xc2 && s[i + 1] < 0xa0;
        if (n > 1 && !c1) {
            i += n;
            continue;
        }
        put(json, text + start, i - start);
        if (n == 0) put(json, "\xef\xbf\xbd", 3);
        else put_escaped(json, c1 ? s[i + 1] : c);
        i += n ? n : 1;
        start = i;
    }
    put(json, text + start, length - start);
    put_char(json, '"');
}

void tola_json_key_n(tola_json *json, const char *key, size_t length) {
    before_member(json);
    put_string(json, key, length);
    put(json, ": ", json->indent > 0 ? 2 : 1);
    json->after_key = true;
}

void tola_json_key(tola_json *json, const char *key) {
    tola_json_key_n(json, key, strlen(key));
}

void tola_json_string_n(tola_json *json, const char *text, size_t length) {
    before_member(json);
    put_string(json, text, length);
}

void tola_json_string(tola_json *json, const char *text) {
    tola_json_string_n(json, text, strlen(text));
}

/* ---- numbers and words ---- */

void tola_json_u64(tola_json *json, uint64_t value) {
    char text[24], *p = text + sizeof text;
    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    before_member(json);
    put(json, p, (size_t)(text + sizeof text - p));
}

void tola_json_i64(tola_json *json, int64_t value) {
    if (value >= 0) {
        tola_json_u64(json, (uint64_t)value);
        return;
    }
    before_member(json);
    put_char(json, '-');
    json->after_key = true; /* the digits follow without a comma */
    tola_json_u64(json, 0 - (uint64_t)value);
}

/* %.*g with a '.', whatever the locale calls its decimal point. Returns the length. */
static size_t print_double(char *text, size_t cap, double value, int digits) {
    int n = snprintf(text, cap, "%.*g", digits, value);
    size_t to = 0;
    bool point = false;
    for (int i = 0; i < n; i++) {
        char c = text[i];
        bool plain = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e';
        if (plain) text[to++] = c;
        else if (!point) text[to++] = '.';
        if (!plain) point = true; /* a decimal point may be several bytes long */
    }
    text[to] = '\0';
    return to;
}

void tola_json_f64(tola_json *json, double value) {
    if (!isfinite(value)) {
        tola_json_null(json);
        return;
    }
    char text[64];
    /* 15 digits always survive in normal numbers, so what reads back with 15 is the shortest already (%g drops
     * zeros at the end); subnormal numbers may need fewer. */
    int digits = fabs(value) < 0x1p-1022 && value != 0 ? 1 : 15;
    size_t n = print_double(text, sizeof text - 2, value, digits);
    while (digits < 17 && json_strtod(text) != value) n = print_double(text, sizeof text - 2, value, ++digits);
    if (!strpbrk(text, ".e")) { /* so that it reads back as a floating-point number */
        memcpy(text + n, ".0", 3);
        n += 2;
    }
    before_member(json);
    put(json, text, n);
}

void tola_json_bool(tola_json *json, bool value) {
    before_member(json);
    put(json, value ? "true" : "false", value ? 4 : 5);
}

void tola_json_null(tola_json *json) {
    before_member(json);
    put(json, "null", 4);
}

/* ---- whole values ---- */

void tola_json_value(tola_json *json, const tola_value *value) {
    switch ((tola_value_kind)value->kind) {
    case TOLA_VALUE_BOOL: tola_json_bool(json, value->as.boolean); return;
    case TOLA_VALUE_INT: tola_json_i64(json, value->as.i64); return;
    case TOLA_VALUE_UINT: tola_json_u64(json, value->as.u64); return;
    case TOLA_VALUE_FLOAT: tola_json_f64(json, value->as.f64); return;
    case TOLA_VALUE_STRING: tola_json_string_n(json, value->as.string.data, value->as.string.length); return;
    case TOLA_VALUE_ARRAY:
        tola_json_begin_array(json);
        for (size_t i = 0; i < value->as.array.count && !json->failed; i++) {
            tola_value item = tola_value_at(value, i);
            tola_json_value(json, &item); /* as deep as MAX_DEPTH: begin fails beyond */
        }
        tola_json_end_array(json);
        return;
    case TOLA_VALUE_MAP:
        tola_json_begin_object(json);
        for (size_t i = 0; i < value->as.map.count && !json->failed; i++) {
            const tola_member *m = &value->as.map.members[i];
            tola_json_key_n(json, m->key.data, m->key.length);
            tola_json_value(json, &m->value);
        }
        tola_json_end_object(json);
        return;
    case TOLA_VALUE_NULL: break;
    }
    tola_json_null(json);
}

bool tola_json_finish(tola_json *json) {
    flush(json);
    return !json->failed && json->depth == 0;
}
