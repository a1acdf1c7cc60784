/* What Python's str knows of characters: properties and changes of case, by tables made from Python itself. */
#ifndef TEXT_JINJA_UNICODE_H
#define TEXT_JINJA_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum unicode_property {
    UNICODE_PRINTABLE,
    UNICODE_ALPHA,
    UNICODE_DECIMAL,
    UNICODE_DIGIT,
    UNICODE_NUMERIC,
    UNICODE_LOWER,
    UNICODE_UPPER,
    UNICODE_TITLE,
    UNICODE_START,    /* may begin an identifier */
    UNICODE_CONTINUE, /* may stand in one */
    UNICODE_IGNORABLE /* is passed over when the end of a word is looked for */
} unicode_property;

typedef enum unicode_case { UNICODE_TO_UPPER, UNICODE_TO_LOWER, UNICODE_TO_TITLE, UNICODE_FOLD } unicode_case;

bool unicode_is(uint32_t c, unicode_property property);
bool unicode_space(uint32_t c); /* str.isspace, \s */
bool unicode_break(uint32_t c); /* ends a line for str.splitlines */
static inline bool unicode_cased(uint32_t c) {
    return unicode_is(c, UNICODE_LOWER) || unicode_is(c, UNICODE_UPPER) || unicode_is(c, UNICODE_TITLE);
}
static inline bool unicode_alnum(uint32_t c) {
    return unicode_is(c, UNICODE_ALPHA) || unicode_is(c, UNICODE_NUMERIC);
}
/* The one to three code points that c becomes. */
size_t unicode_convert(uint32_t c, unicode_case to, uint32_t out[3]);

#endif
