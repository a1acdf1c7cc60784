/* The JSON reader: tokens one at a time from bytes in memory, and a tree built from those tokens.
 *
 * Owns the grammar of RFC 8259 (https://www.rfc-editor.org/rfc/rfc8259), UTF-8 validity, and the separation of
 * numbers into u64, i64 and f64. Refuses everything the RFC refuses, nesting beyond JSON_MAX_DEPTH, and numbers that
 * no double holds. Knows nothing about what the document means. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* strtod_l */
#endif
#include "base/json.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/utf8.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* What may come next. */
enum {
    STATE_VALUE,      /* a value: at the start, after ':', after ',' in an array */
    STATE_FIRST_ITEM, /* after '[': a value or ']' */
    STATE_FIRST_KEY,  /* after '{': a key or '}' */
    STATE_KEY,        /* after ',' in an object */
    STATE_AFTER,      /* after a value inside an array or object: ',' or the end of it */
    STATE_DONE,       /* after the outermost value: white space only */
    STATE_FAILED
};

/* ---- numbers from text, whatever the locale ---- */

static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void make_c_locale(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

double json_strtod(const char *text) {
    pthread_once(&c_locale_once, make_c_locale);
    return c_locale ? strtod_l(text, NULL, c_locale) : strtod(text, NULL);
}

bool json_decimal_prefix(const char *text, double *out, const char **end) {
    const char *p = text + (*text == '-' || *text == '+');
    size_t whole = strspn(p, "0123456789"), fraction = 0;
    p += whole;
    if (*p == '.') {
        fraction = strspn(p + 1, "0123456789");
        p += 1 + fraction;
    }
    if (whole + fraction == 0) return false;
    if (*p == 'e' || *p == 'E') {
        const char *power = p + 1 + (p[1] == '+' || p[1] == '-');
        size_t digits = strspn(power, "0123456789");
        if (digits) p = power + digits;
    }
    bool zero = whole == 1 && p[-1] == '0' && (*p == 'x' || *p == 'X'); /* strtod would read on in "0x10" */
    *out = zero ? 0 : json_strtod(text);
    *end = p;
    return true;
}

bool json_decimal(const char *text, double *out) {
    const char *end;
    double value;
    if (!json_decimal_prefix(text, &value, &end) || *end) return false;
    *out = value;
    return true;
}

/* ---- the reader ---- */

void json_reader_init(json_reader *r, const char *data, size_t length, uint64_t base_offset) {
    memset(r, 0, sizeof *r);
    r->data = data;
    r->length = length;
    r->base = base_offset;
    r->state = STATE_VALUE;
    buf_init(&r->scratch, 0);
}

void json_reader_free(json_reader *r) {
    buf_free(&r->scratch);
}

static json_token fail_at(json_reader *r, size_t at, tola_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static json_token fail_v(json_reader *r, size_t at, tola_status status, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static json_token fail_v(json_reader *r, size_t at, tola_status status, const char *format, va_list args) {
    if (r->state != STATE_FAILED) {
        char message[512];
        vsnprintf(message, sizeof message, format, args);
        r->status = err_set(&r->error, status, r->base + at, "%s", message);
        r->state = STATE_FAILED;
    }
    return JSON_ERROR;
}

static json_token fail_at(json_reader *r, size_t at, tola_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fail_v(r, at, status, format, args);
    va_end(args);
    return JSON_ERROR;
}

bool json_text_is(const json_reader *r, const char *text) {
    return r->text_length == strlen(text) && memcmp(r->text, text, r->text_length) == 0;
}

json_token json_fail(json_reader *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fail_v(r, r->token_at, TOLA_E_FORMAT, format, args);
    va_end(args);
    return JSON_ERROR;
}

tola_status json_check(const json_reader *r, tola_error *err) {
    if (r->state != STATE_FAILED) return TOLA_OK;
    if (err) *err = r->error;
    return r->status;
}

/* "JSON: expected WHAT, found 'c'". */
static json_token expected(json_reader *r, const char *what) {
    if (r->pos >= r->length) return fail_at(r, r->pos, TOLA_E_FORMAT, "JSON: expected %s, found the end", what);
    unsigned char c = (unsigned char)r->data[r->pos];
    if (c > 0x20 && c < 0x7f) return fail_at(r, r->pos, TOLA_E_FORMAT, "JSON: expected %s, found '%c'", what, c);
    return fail_at(r, r->pos, TOLA_E_FORMAT, "JSON: expected %s, found byte 0x%02x", what, c);
}

static inline bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline void skip_space(json_reader *r) {
    size_t p = r->pos;
    while (p < r->length && is_space(r->data[p])) p++;
    r->pos = p;
}

static inline bool is_digit(char c) {
    return (unsigned char)(c - '0') < 10;
}

/* ---- strings ---- */

/* How many of the first n bytes are ASCII that stands for itself inside a string. */
static inline size_t plain_run(const char *s, size_t n) {
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
    for (; i + 16 <= n; i += 16) {
        __m128i v = _mm_loadu_si128((const void *)(s + i));
        /* Signed comparison: bytes from 0x80 up are negative, so "< 0x20" finds them together with the controls. */
        __m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)),
                                    _mm_cmplt_epi8(v, space));
        unsigned mask = (unsigned)_mm_movemask_epi8(stop);
        if (mask) return i + (size_t)__builtin_ctz(mask);
    }
#else
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    for (; i + 8 <= n; i += 8) {
        uint64_t v;
        memcpy(&v, s + i, 8);
        uint64_t q = v ^ (ones * '"'), b = v ^ (ones * '\\');
        /* A byte's high bit is set where it is zero after the xor, below 0x20, or from 0x80 up. */
        if ((((q - ones) | (b - ones) | (v - ones * 0x20)) | v) & highs) break;
    }
#endif
    for (; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80) break;
    }
    return i;
}

/* Bytes of the well-formed UTF-8 sequence (RFC 3629) at s, 0 where there is none. */
static size_t utf8_sequence(const char *s, size_t n) {
    const unsigned char *u = (const unsigned char *)s;
    unsigned char c = u[0];
    if (c < 0x80) return 1;
    size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || n < need) return 0;
    for (size_t i = 1; i < need; i++)
        if ((u[i] & 0xc0) != 0x80) return 0;
    if (c == 0xe0 && u[1] < 0xa0) return 0; /* overlong */
    if (c == 0xed && u[1] > 0x9f) return 0; /* surrogates */
    if (c == 0xf0 && u[1] < 0x90) return 0; /* overlong */
    if (c == 0xf4 && u[1] > 0x8f) return 0; /* beyond U+10FFFF */
    return need;
}

static bool hex4(const char *s, unsigned *out) {
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        unsigned d;
        if (is_digit(c)) d = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f') d = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F') d = (unsigned)(c - 'A') + 10;
        else return false;
        v = v << 4 | d;
    }
    *out = v;
    return true;
}

/* \uXXXX at s[*at] (the backslash), two of them for a surrogate pair. */
static bool unescape_unicode(json_reader *r, size_t *at) {
    const char *s = r->data;
    size_t p = *at;
    unsigned c, low;
    if (r->length - p < 6 || !hex4(s + p + 2, &c)) {
        fail_at(r, p, TOLA_E_FORMAT, "JSON: \\u needs four hexadecimal digits");
        return false;
    }
    p += 6;
    if (c >= 0xd800 && c <= 0xdfff) {
        bool pair = c <= 0xdbff && r->length - p >= 6 && s[p] == '\\' && s[p + 1] == 'u' && hex4(s + p + 2, &low) &&
                    low >= 0xdc00 && low <= 0xdfff;
        if (!pair) {
            fail_at(r, *at, TOLA_E_FORMAT, "JSON: lone surrogate \\u%04x in a string", c);
            return false;
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    char utf8[4];
    buf_append(&r->scratch, utf8, utf8_put(c, utf8));
    *at = p;
    return true;
}

static bool unescape(json_reader *r, size_t *at) {
    size_t p = *at;
    if (p + 1 >= r->length) {
        fail_at(r, p, TOLA_E_FORMAT, "JSON: the document ends inside a string");
        return false;
    }
    uint8_t c;
    switch (r->data[p + 1]) {
    case '"': c = '"'; break;
    case '\\': c = '\\'; break;
    case '/': c = '/'; break;
    case 'b': c = '\b'; break;
    case 'f': c = '\f'; break;
    case 'n': c = '\n'; break;
    case 'r': c = '\r'; break;
    case 't': c = '\t'; break;
    case 'u': return unescape_unicode(r, at);
    default: fail_at(r, p, TOLA_E_FORMAT, "JSON: unknown escape in a string"); return false;
    }
    buf_u8(&r->scratch, c);
    *at = p + 2;
    return true;
}

/* The string whose opening quote is at r->pos; leaves r->pos after the closing one. */
static bool read_string(json_reader *r) {
    const char *s = r->data;
    size_t start = r->pos + 1; /* of the text not yet copied to scratch */
    size_t p = start;
    bool escaped = false;
    for (;;) {
        p += plain_run(s + p, r->length - p);
        if (p >= r->length) {
            fail_at(r, r->pos, TOLA_E_FORMAT, "JSON: the string is never closed");
            return false;
        }
        unsigned char c = (unsigned char)s[p];
        if (c == '"') break;
        if (c >= 0x80) {
            size_t n = utf8_sequence(s + p, r->length - p);
            if (n == 0) {
                fail_at(r, p, TOLA_E_FORMAT, "JSON: a string holds bytes that are no UTF-8");
                return false;
            }
            p += n;
            continue;
        }
        if (c != '\\') {
            fail_at(r, p, TOLA_E_FORMAT, "JSON: control byte 0x%02x in a string", c);
            return false;
        }
        if (!escaped) r->scratch.length = 0;
        escaped = true;
        buf_append(&r->scratch, s + start, p - start);
        if (!unescape(r, &p)) return false;
        start = p;
    }
    r->pos = p + 1;
    r->text = s + start;
    r->text_length = p - start;
    if (escaped) {
        buf_append(&r->scratch, s + start, p - start);
        if (r->scratch.failed) {
            fail_at(r, r->token_at, TOLA_E_NOMEM, "JSON: out of memory for a string");
            return false;
        }
        r->text = (const char *)r->scratch.data;
        r->text_length = r->scratch.length;
        if (!r->text) r->text = "";
    }
    return true;
}

/* ---- numbers ---- */

/* The digits of text[0..length) as a double, correctly rounded. */
static bool decimal_to_double(json_reader *r, const char *text, size_t length, double *out) {
    char small[128];
    if (length < sizeof small) {
        memcpy(small, text, length);
        small[length] = '\0';
        *out = json_strtod(small);
        return true;
    }
    r->scratch.length = 0;
    buf_append(&r->scratch, text, length);
    buf_u8(&r->scratch, 0);
    if (r->scratch.failed) {
        fail_at(r, r->token_at, TOLA_E_NOMEM, "JSON: out of memory for a number");
        return false;
    }
    *out = json_strtod((const char *)r->scratch.data);
    return true;
}

/* mantissa * 10^exponent where that is exact in double arithmetic (Clinger's fast path). */
static bool exact_product(uint64_t mantissa, int64_t exponent, double *out) {
    static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (mantissa > (UINT64_C(1) << 53) || exponent < -22 || exponent > 22) return false;
    double m = (double)mantissa;
    *out = exponent < 0 ? m / powers[-exponent] : m * powers[exponent];
    return true;
}

/* What the text of a number says, before it is given a kind. */
typedef struct decimal {
    uint64_t mantissa;
    int64_t exponent;
    bool negative, whole, fits; /* whole: no fraction, no exponent; fits: mantissa holds every digit */
} decimal;

static size_t scan_digits(const json_reader *r, size_t p, decimal *d) {
    const char *s = r->data;
    uint64_t m = d->mantissa;
    for (; p < r->length && is_digit(s[p]); p++) {
        unsigned digit = (unsigned)(s[p] - '0');
        if (m <= (UINT64_MAX - 9) / 10) m = m * 10 + digit;
        else if (__builtin_mul_overflow(m, 10, &m) || __builtin_add_overflow(m, digit, &m)) d->fits = false;
    }
    d->mantissa = m;
    return p;
}

static bool scan_exponent(json_reader *r, size_t *at, decimal *d) {
    size_t p = *at + 1;
    bool negative = false;
    if (p < r->length && (r->data[p] == '+' || r->data[p] == '-')) negative = r->data[p++] == '-';
    size_t first = p;
    int64_t e = 0;
    for (; p < r->length && is_digit(r->data[p]); p++)
        if (e < 100000000) e = e * 10 + (r->data[p] - '0');
    if (p == first) {
        r->pos = p;
        expected(r, "a digit in the exponent");
        return false;
    }
    d->exponent += negative ? -e : e;
    d->whole = false;
    *at = p;
    return true;
}

/* Walks over the number at r->pos by the grammar; *end is where it stops. */
static bool scan_number(json_reader *r, decimal *d, size_t *end) {
    const char *s = r->data;
    size_t p = r->pos;
    *d = (decimal){ .whole = true, .fits = true };
    if (s[p] == '-') {
        d->negative = true;
        p++;
    }
    if (p >= r->length || !is_digit(s[p])) {
        r->pos = p;
        expected(r, "a digit");
        return false;
    }
    if (s[p] == '0' && p + 1 < r->length && is_digit(s[p + 1])) {
        fail_at(r, p, TOLA_E_FORMAT, "JSON: a number starts with 0");
        return false;
    }
    p = scan_digits(r, p, d);
    if (p < r->length && s[p] == '.') {
        size_t first = ++p;
        p = scan_digits(r, p, d);
        if (p == first) {
            r->pos = p;
            expected(r, "a digit after the decimal point");
            return false;
        }
        d->exponent = -(int64_t)(p - first);
        d->whole = false;
    }
    if (p < r->length && (s[p] == 'e' || s[p] == 'E') && !scan_exponent(r, &p, d)) return false;
    *end = p;
    return true;
}

static json_token read_number(json_reader *r) {
    decimal d;
    size_t end;
    if (!scan_number(r, &d, &end)) return JSON_ERROR;
    tola_value v = { 0 };
    if (d.whole && d.fits && !d.negative) {
        v.kind = TOLA_VALUE_UINT;
        v.dtype = TOLA_DTYPE_U64;
        v.as.u64 = d.mantissa;
    } else if (d.whole && d.fits && d.mantissa <= UINT64_C(1) << 63) {
        v.kind = TOLA_VALUE_INT;
        v.dtype = TOLA_DTYPE_I64;
        v.as.i64 = (int64_t)(0 - d.mantissa);
    } else {
        double x;
        if (d.fits && exact_product(d.mantissa, d.exponent, &x))
            x = d.negative ? -x : x;
        else if (!decimal_to_double(r, r->data + r->pos, end - r->pos, &x))
            return JSON_ERROR;
        if (isinf(x)) return fail_at(r, r->pos, TOLA_E_FORMAT, "JSON: number out of range");
        v.kind = TOLA_VALUE_FLOAT;
        v.dtype = TOLA_DTYPE_F64;
        v.as.f64 = x;
        if (d.whole && r->pos < UINT32_MAX) v.reserved = (uint32_t)r->pos + 1;
    }
    r->number = v;
    r->pos = end;
    return JSON_NUMBER;
}

/* ---- tokens ---- */

static inline bool literal(json_reader *r, const char *word, size_t n) {
    if (r->length - r->pos < n || memcmp(r->data + r->pos, word, n) != 0) return false;
    r->pos += n;
    return true;
}

static json_token nonfinite(json_reader *r, double x) {
    r->number = (tola_value){ .kind = TOLA_VALUE_FLOAT, .dtype = TOLA_DTYPE_F64, .as.f64 = x };
    return JSON_NUMBER;
}

static json_token read_word(json_reader *r) {
    if (literal(r, "true", 4)) return JSON_TRUE;
    if (literal(r, "false", 5)) return JSON_FALSE;
    if (literal(r, "null", 4)) return JSON_NULL;
    if (r->nonfinite) {
        if (literal(r, "NaN", 3)) return nonfinite(r, NAN);
        if (literal(r, "Infinity", 8)) return nonfinite(r, INFINITY);
        if (literal(r, "-Infinity", 9)) return nonfinite(r, -INFINITY);
    }
    return expected(r, "a value");
}

static json_token open_level(json_reader *r, char kind) {
    if (r->depth == JSON_MAX_DEPTH)
        return fail_at(r, r->pos, TOLA_E_LIMIT, "JSON: nested deeper than %d levels", JSON_MAX_DEPTH);
    r->stack[r->depth++] = (uint8_t)kind;
    r->pos++;
    r->state = kind == '{' ? STATE_FIRST_KEY : STATE_FIRST_ITEM;
    return kind == '{' ? JSON_BEGIN_OBJECT : JSON_BEGIN_ARRAY;
}

static inline void after_value(json_reader *r) {
    r->state = r->depth == 0 ? STATE_DONE : STATE_AFTER;
}

static json_token close_level(json_reader *r) {
    json_token token = r->data[r->pos] == '}' ? JSON_END_OBJECT : JSON_END_ARRAY;
    r->depth--;
    r->pos++;
    after_value(r);
    return token;
}

static json_token read_value(json_reader *r) {
    if (r->pos >= r->length) return expected(r, "a value");
    char c = r->data[r->pos];
    json_token token;
    if (c == '"') {
        token = read_string(r) ? JSON_STRING : JSON_ERROR;
    } else if (c == '{' || c == '[') {
        return open_level(r, c);
    } else if (is_digit(c) || (c == '-' && !(r->nonfinite && r->length - r->pos > 1 && r->data[r->pos + 1] == 'I'))) {
        token = read_number(r);
    } else {
        token = read_word(r);
    }
    if (token != JSON_ERROR) after_value(r);
    return token;
}

static json_token read_key(json_reader *r) {
    if (r->pos >= r->length || r->data[r->pos] != '"')
        return expected(r, r->state == STATE_FIRST_KEY ? "a key or '}'" : "a key");
    if (!read_string(r)) return JSON_ERROR;
    skip_space(r);
    if (r->pos >= r->length || r->data[r->pos] != ':') return expected(r, "':'");
    r->pos++;
    r->state = STATE_VALUE;
    return JSON_KEY;
}

/* Past the ',' between two members, or at the bracket that closes. */
static json_token read_after(json_reader *r) {
    bool object = r->stack[r->depth - 1] == '{';
    char c = r->pos < r->length ? r->data[r->pos] : '\0';
    if (c == (object ? '}' : ']')) return close_level(r);
    if (c != ',') return expected(r, object ? "',' or '}'" : "',' or ']'");
    r->pos++;
    skip_space(r);
    r->token_at = r->pos;
    r->state = object ? STATE_KEY : STATE_VALUE;
    return object ? read_key(r) : read_value(r);
}

json_token json_next(json_reader *r) {
    skip_space(r);
    r->token_at = r->pos;
    switch (r->state) {
    case STATE_VALUE: return read_value(r);
    case STATE_FIRST_ITEM:
        if (r->pos < r->length && r->data[r->pos] == ']') return close_level(r);
        return read_value(r);
    case STATE_FIRST_KEY:
        if (r->pos < r->length && r->data[r->pos] == '}') return close_level(r);
        return read_key(r);
    case STATE_KEY: return read_key(r);
    case STATE_AFTER: return read_after(r);
    case STATE_DONE:
        if (r->pos < r->length) return expected(r, "the end of the document");
        return JSON_END;
    default: return JSON_ERROR;
    }
}

bool json_skip(json_reader *r) {
    int depth = r->depth;
    do {
        json_token token = json_next(r);
        if (token == JSON_ERROR) return false;
        if (token == JSON_END || r->depth < depth) {
            json_fail(r, "JSON: expected a value");
            return false;
        }
    } while (r->depth > depth || r->state == STATE_VALUE);
    return true;
}

/* ---- the tree ---- */

/* Values under construction: the members of all open levels lie one after the other in `members`; a level that closes
 * moves its own into the arena. Elements of arrays use only the value. */
typedef struct tree {
    json_reader *r;
    arena *a;
    tola_member *members;
    size_t count, cap;
    struct {
        size_t first;      /* index of the level's first member */
        tola_string key;   /* under which the level itself will be stored */
    } levels[JSON_MAX_DEPTH];
    int depth;
} tree;

static bool tree_nomem(tree *t) {
    fail_at(t->r, t->r->token_at, TOLA_E_NOMEM, "JSON: out of memory for the document");
    return false;
}

static bool tree_text(tree *t, tola_string *out) {
    size_t n = t->r->text_length;
    char *copy = arena_strndup(t->a, t->r->text, n);
    if (!copy) return tree_nomem(t);
    *out = (tola_string){ copy, n };
    return true;
}

static bool tree_push(tree *t, tola_string key, tola_value value) {
    if (!mem_grow(&t->members, &t->cap, t->count + 1, sizeof *t->members)) return tree_nomem(t);
    t->members[t->count++] = (tola_member){ key, value };
    return true;
}

static bool same_key(const tola_member *a, const tola_member *b) {
    return a->key.length == b->key.length && memcmp(a->key.data, b->key.data, a->key.length) == 0;
}

static bool duplicate(tree *t, const tola_member *m) {
    char key[96];
    int shown = m->key.length < sizeof key ? (int)m->key.length : (int)sizeof key - 1;
    for (int i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)m->key.data[i];
        key[i] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
    }
    json_fail(t->r, "JSON: key \"%.*s\" appears twice in one object", shown, key);
    return false;
}

#define FEW_KEYS 8 /* up to here comparing all pairs is cheaper than a table */

static bool keys_differ(tree *t, const tola_member *m, size_t count) {
    if (count <= FEW_KEYS) {
        for (size_t i = 1; i < count; i++)
            for (size_t j = 0; j < i; j++)
                if (same_key(&m[i], &m[j])) return duplicate(t, &m[i]);
        return true;
    }
    size_t slots = 32;
    while (slots < count * 2) slots *= 2;
    size_t *table = mem_calloc(slots, sizeof *table); /* index + 1 */
    if (!table) return tree_nomem(t);
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        size_t at = (size_t)hash_string(m[i].key.data, m[i].key.length) & (slots - 1);
        for (; table[at] && ok; at = (at + 1) & (slots - 1))
            if (same_key(&m[i], &m[table[at] - 1])) ok = duplicate(t, &m[i]);
        table[at] = i + 1;
    }
    mem_free(table);
    return ok;
}

/* Takes the members of the innermost level off the stack as one value. */
static bool tree_close(tree *t, bool object, tola_value *out) {
    size_t first = t->levels[t->depth - 1].first, count = t->count - first;
    const tola_member *from = count ? t->members + first : NULL;
    *out = (tola_value){ .kind = object ? TOLA_VALUE_MAP : TOLA_VALUE_ARRAY };
    if (count > 0 && object) {
        if (!keys_differ(t, from, count)) return false;
        tola_member *members = arena_alloc_array(t->a, count, sizeof *members);
        if (!members) return tree_nomem(t);
        memcpy(members, from, count * sizeof *members);
        out->as.map.members = members;
    } else if (count > 0) {
        tola_value *items = arena_alloc_array(t->a, count, sizeof *items);
        if (!items) return tree_nomem(t);
        for (size_t i = 0; i < count; i++) items[i] = from[i].value;
        out->as.array.items = items;
    }
    if (object) out->as.map.count = count;
    else out->as.array.count = count;
    t->count = first;
    return true;
}

static bool tree_scalar(tree *t, json_token token, tola_value *out) {
    *out = (tola_value){ .kind = TOLA_VALUE_NULL };
    switch (token) {
    case JSON_STRING: out->kind = TOLA_VALUE_STRING; return tree_text(t, &out->as.string);
    case JSON_NUMBER: *out = t->r->number; return true;
    case JSON_TRUE:
    case JSON_FALSE:
        out->kind = TOLA_VALUE_BOOL;
        out->dtype = TOLA_DTYPE_BOOL;
        out->as.boolean = token == JSON_TRUE;
        return true;
    case JSON_NULL: return true;
    case JSON_ERROR: return false;
    default: json_fail(t->r, "JSON: expected a value"); return false;
    }
}

static bool tree_build(tree *t, tola_value *out) {
    tola_string key = { "", 0 };
    for (;;) {
        json_token token = json_next(t->r);
        tola_value value;
        bool ends = token == JSON_END_OBJECT || token == JSON_END_ARRAY;
        if (token == JSON_KEY && t->depth > 0) {
            if (!tree_text(t, &key)) return false;
            continue;
        }
        if (token == JSON_BEGIN_OBJECT || token == JSON_BEGIN_ARRAY) {
            t->levels[t->depth].first = t->count;
            t->levels[t->depth++].key = key;
            continue;
        }
        if (ends && t->depth > 0) {
            if (!tree_close(t, token == JSON_END_OBJECT, &value)) return false;
            key = t->levels[--t->depth].key;
        } else if (!tree_scalar(t, token, &value)) {
            return false;
        }
        if (t->depth == 0) {
            *out = value;
            return true;
        }
        if (!tree_push(t, key, value)) return false;
    }
}

tola_status json_parse_next(json_reader *r, arena *a, tola_value *out, tola_error *err) {
    tree t = { .r = r, .a = a };
    tola_value value;
    if (tree_build(&t, &value)) *out = value;
    mem_free(t.members);
    return json_check(r, err);
}

tola_status json_parse(const char *data, size_t length, arena *a, tola_value *out, tola_error *err) {
    json_reader r;
    json_reader_init(&r, data, length, 0);
    r.nonfinite = true;
    tola_value value;
    tola_status status = json_parse_next(&r, a, &value, err);
    if (status == TOLA_OK) {
        json_next(&r);
        status = json_check(&r, err);
    }
    if (status == TOLA_OK) *out = value;
    json_reader_free(&r);
    return status;
}
