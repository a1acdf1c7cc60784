/* Small things done to text. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const char *text, size_t length);
/* Copies text into dst (cap > 0) for a message: control bytes and bad UTF-8 as \xNN, long text cut with "...". */
const char *text_quote(char *dst, size_t cap, const char *text, size_t length);
/* Shell glob over the whole text: * ? [a-z] [!a-z] {a,b} and backslash; * crosses dots and slashes. Linear time. */
bool glob_match(const char *pattern, const char *text);
/* The bytes that base64 (RFC 4648) stands for, up to the first character that is none of it; `out` has room for
 * `length`. */
size_t text_from_base64(const char *text, size_t length, char *out);
/* A copy of a list of texts, NULL behind the last, as one block for mem_free; NULL without memory. */
char **text_list(const char *const *items, size_t count);
bool text_ends_with(const char *text, const char *suffix);
/* Compares as people count: "layer.2" before "layer.10". */
int text_compare_natural(const char *a, const char *b);

#endif
