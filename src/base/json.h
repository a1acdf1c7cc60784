/* Reading JSON (RFC 8259) that nobody vouches for: a bounded pull parser, and a tree on top of it.
 *
 * Works over one run of bytes in memory (headers are at most 100 MB). Strict: no comments, no trailing commas, no bad
 * UTF-8, no lone surrogates, no text after the document. Numbers keep u64, i64 and f64 apart. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/mem.h"
#include <tola/value.h>

#define JSON_MAX_DEPTH 128 /* nesting; real configurations stay below 12 */

typedef enum json_token {
    JSON_ERROR = 0,
    JSON_END, /* the document is complete */
    JSON_BEGIN_OBJECT,
    JSON_END_OBJECT,
    JSON_BEGIN_ARRAY,
    JSON_END_ARRAY,
    JSON_KEY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
} json_token;

typedef struct json_reader {
    const char *data;
    size_t length, pos;
    uint64_t base;  /* added to offsets in errors: where the document lies in its file */
    size_t token_at; /* offset of the current token in data */
    /* JSON_KEY, JSON_STRING: the text, unescaped. Points into data where nothing had to be unescaped, else into
     * `scratch`; valid until the next call. */
    const char *text;
    size_t text_length;
    /* JSON_NUMBER: kind TOLA_VALUE_UINT (no sign, fits u64), _INT (negative, fits i64), else _FLOAT; `reserved` of a
     * whole number that no 64 bits hold is one more than its offset in data (0 beyond 4 GB) */
    tola_value number;
    buf scratch;
    int depth;
    uint8_t state;
    bool nonfinite; /* set after init: NaN, Infinity and -Infinity are numbers, as Python's json module writes them */
    uint8_t stack[JSON_MAX_DEPTH];
    tola_status status;
    tola_error error;
} json_reader;

void json_reader_init(json_reader *r, const char *data, size_t length, uint64_t base_offset);
void json_reader_free(json_reader *r);
json_token json_next(json_reader *r);
/* Passes over the value that starts at the next token. */
bool json_skip(json_reader *r);
/* Fails the reader at the current token (TOLA_E_FORMAT); returns JSON_ERROR. */
json_token json_fail(json_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
tola_status json_check(const json_reader *r, tola_error *err);

/* The whole document as a tree in `a`. Duplicate keys in one object are TOLA_E_FORMAT. Takes NaN and infinities, which
 * real configurations hold; numbers beyond the range of a double are refused. */
tola_status json_parse(const char *data, size_t length, arena *a, tola_value *out, tola_error *err);
/* The value that starts at the next token of `r`. */
tola_status json_parse_next(json_reader *r, arena *a, tola_value *out, tola_error *err);
/* Is the text of the current key or string `text`? */
bool json_text_is(const json_reader *r, const char *text);
/* A tola_json_sink that appends to a buf. */
bool json_to_buf(void *b, const char *text, size_t length);
/* strtod with a decimal point, whatever the locale; `text` is NUL-terminated. */
double json_strtod(const char *text);
/* The number that all of the text is, as people write it: +-, digits with a point anywhere among them, an exponent.
 * False for anything else: no hexadecimal, no infinity, no spaces. */
bool json_decimal(const char *text, double *out);
/* The same of the beginning of a text; `end`: what is behind it. */
bool json_decimal_prefix(const char *text, double *out, const char **end);

#endif
