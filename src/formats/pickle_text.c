/* The text opcodes of protocol 0, and integers of any length. */
#define _GNU_SOURCE 1
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "formats/pickle_vm.h"

#define MAX_DIGITS 4096 /* of a decimal integer; CPython refuses more than 4300 */

tola_status vm_line(pickle_vm *vm, size_t limit) {
    vm->line.length = 0;
    for (;;) {
        uint8_t c = reader_u8(vm->r);
        TRY(reader_check(vm->r, vm->err));
        if (c == '\n') break;
        if (vm->line.length == limit) return vm_fail(vm, TOLA_E_LIMIT, "a line of more than %zu bytes", limit);
        buf_u8(&vm->line, c);
    }
    /* a NUL inside a name would end it for strcmp but not for Python */
    if (vm->line.length && memchr(vm->line.data, 0, vm->line.length))
        return vm_fail(vm, TOLA_E_FORMAT, "a NUL inside a line");
    buf_u8(&vm->line, 0);
    if (vm->line.failed) return err_nomem(vm->err, "reading a pickle");
    vm->line.length--;
    return TOLA_OK;
}

tola_status vm_push_long(pickle_vm *vm, const uint8_t *data, size_t length) {
    while (length > 1 && ((data[length - 1] == 0 && data[length - 2] < 0x80) ||
                          (data[length - 1] == 0xff && data[length - 2] >= 0x80)))
        length--; /* sign extension */
    if (length > 8) return vm_push_text(vm, PICKLE_BIGINT, data, length, false);
    uint64_t bits = length && data[length - 1] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = length; i-- > 0;) bits = bits << 8 | data[i];
    pickle_value *v;
    TRY(vm_new(vm, PICKLE_INT, &v));
    v->as.i64 = (int64_t)bits;
    return vm_push(vm, v);
}

/* Decimal digits to little-endian two's complement. */
static tola_status push_decimal(pickle_vm *vm, const char *text, size_t length) {
    uint8_t number[MAX_DIGITS / 2 + 2] = { 0 };
    size_t used = 1;
    bool negative = length && text[0] == '-';
    if (length && (text[0] == '-' || text[0] == '+')) {
        text++;
        length--;
    }
    if (length == 0 || length > MAX_DIGITS) return vm_fail(vm, TOLA_E_FORMAT, "an integer of %zu digits", length);
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return vm_fail(vm, TOLA_E_FORMAT, "an integer with something that is no digit");
        unsigned carry = (unsigned)(text[i] - '0');
        for (size_t k = 0; k < used; k++) {
            carry += number[k] * 10u;
            number[k] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry) number[used++] = (uint8_t)carry;
    }
    used++; /* room for the sign */
    if (negative) {
        unsigned carry = 1;
        for (size_t k = 0; k < used; k++) {
            carry += (uint8_t)~number[k];
            number[k] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    return vm_push_long(vm, number, used);
}

static tola_status push_float(pickle_vm *vm) {
    const char *text = (const char *)vm->line.data;
    char *end = NULL;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* the decimal point is a point, whatever the locale */
    if (!plain) return err_nomem(vm->err, "reading a pickle");
    double number = strtod_l(text, &end, plain);
    freelocale(plain);
    if (end == text || *end) return vm_fail(vm, TOLA_E_FORMAT, "a number that cannot be read");
    pickle_value *v;
    TRY(vm_new(vm, PICKLE_FLOAT, &v));
    v->as.f64 = number;
    return vm_push(vm, v);
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads exactly `digits` hexadecimal digits; false where they are not there. */
static bool take_hex(const uint8_t *p, size_t left, size_t digits, uint32_t *out) {
    uint32_t v = 0;
    if (left < digits) return false;
    for (size_t i = 0; i < digits; i++) {
        int h = hex_digit(p[i]);
        if (h < 0) return false;
        v = v << 4 | (uint32_t)h;
    }
    *out = v;
    return true;
}

/* Undoes one escape of a Python 2 string literal, p[0] being the character after the backslash. Returns the
 * characters used, 0 where the escape is damaged. */
static size_t unescape(const uint8_t *p, size_t left, buf *out) {
    static const char names[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
    uint32_t code;
    if (left == 0) return 0;
    if (p[0] == 'x') {
        if (!take_hex(p + 1, left - 1, 2, &code)) return 0;
        buf_u8(out, (uint8_t)code);
        return 3;
    }
    if (p[0] >= '0' && p[0] <= '7') {
        size_t n = 0;
        for (code = 0; n < 3 && n < left && p[n] >= '0' && p[n] <= '7'; n++) code = code * 8 + (uint32_t)(p[n] - '0');
        buf_u8(out, (uint8_t)code);
        return n;
    }
    const char *named = p[0] ? strchr(names, p[0]) : NULL;
    if (named) {
        buf_u8(out, (uint8_t)values[named - names]);
    } else {
        buf_u8(out, '\\');
        buf_u8(out, p[0]);
    }
    return 1;
}

/* STRING: a quoted Python 2 literal. */
static tola_status push_quoted(pickle_vm *vm) {
    const uint8_t *p = vm->line.data;
    size_t n = vm->line.length;
    while (n && (p[n - 1] == ' ' || p[n - 1] == '\r' || p[n - 1] == '\t')) n--;
    if (n < 2 || (p[0] != '\'' && p[0] != '"') || p[n - 1] != p[0])
        return vm_fail(vm, TOLA_E_FORMAT, "a string without its quotes");
    buf text;
    buf_init(&text, 0);
    bool good = true;
    for (size_t i = 1; i < n - 1 && good;) {
        if (p[i] != '\\') {
            buf_u8(&text, p[i++]);
            continue;
        }
        size_t used = unescape(p + i + 1, n - 2 - i, &text);
        good = used > 0;
        i += 1 + used;
    }
    tola_status status;
    if (text.failed)
        status = err_nomem(vm->err, "reading a pickle");
    else if (!good)
        status = vm_fail(vm, TOLA_E_FORMAT, "a string with a damaged escape");
    else
        status = vm_push_text(vm, PICKLE_STR, text.data ? text.data : (const uint8_t *)"", text.length, true);
    buf_free(&text);
    return status;
}

/* UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX. */
static tola_status push_raw_unicode(pickle_vm *vm) {
    const uint8_t *p = vm->line.data;
    size_t n = vm->line.length;
    buf text;
    buf_init(&text, 0);
    for (size_t i = 0; i < n;) {
        uint32_t code = p[i];
        size_t digits = p[i] == '\\' && i + 1 < n ? (p[i + 1] == 'u' ? 4 : p[i + 1] == 'U' ? 8 : 0) : 0;
        if (digits && (!take_hex(p + i + 2, n - i - 2, digits, &code) || code > 0x10ffff)) {
            buf_free(&text);
            return vm_fail(vm, TOLA_E_FORMAT, "a string with a damaged escape");
        }
        char utf8[4];
        buf_append(&text, utf8, utf8_put(code, utf8));
        i += digits ? digits + 2 : 1;
    }
    tola_status status = text.failed ? err_nomem(vm->err, "reading a pickle")
                                     : vm_push_text(vm, PICKLE_STR, text.data ? text.data : (const uint8_t *)"",
                                                    text.length, false);
    buf_free(&text);
    return status;
}

tola_status vm_text_opcode(pickle_vm *vm, uint8_t op) {
    bool text = op == 'S' || op == 'V';
    TRY(vm_line(vm, text ? (size_t)1 << 30 : PICKLE_MAX_LINE));
    const char *line = (const char *)vm->line.data;
    size_t length = vm->line.length;
    switch (op) {
    case 'I':
        if (strcmp(line, "00") == 0 || strcmp(line, "01") == 0) { /* how protocols 0 and 1 write booleans */
            pickle_value *v;
            TRY(vm_new(vm, PICKLE_BOOL, &v));
            v->as.boolean = line[1] == '1';
            return vm_push(vm, v);
        }
        return push_decimal(vm, line, length);
    case 'L': return push_decimal(vm, line, length && line[length - 1] == 'L' ? length - 1 : length);
    case 'F': return push_float(vm);
    case 'S': return push_quoted(vm);
    default: return push_raw_unicode(vm);
    }
}
