/* What the parts of the schema compiler share: pieces of JSON text as parts of a grammar. */
#ifndef TEXT_SCHEMA_BUILD_H
#define TEXT_SCHEMA_BUILD_H

#include "text/grammar_build.h"
#include <tola/value.h>

/* ---- schema_text.c: strings ---- */

/* A rule for one character of a string in any of its spellings, and one for a whole string. */
void schema_define_strings(grammar_builder *b, uint32_t character, uint32_t string);
/* One of these characters as JSON spells it: itself, \" \\ \b \f \n \r \t, or \u00xx for other controls. */
part schema_characters(grammar_builder *b, const code_range *ranges, size_t count);
/* The string with its quotes, spelled like that. */
part schema_string_literal(grammar_builder *b, const char *text, size_t length);
part schema_string_text(grammar_builder *b, const char *text, size_t length); /* without its quotes */
/* A string that is none of these (each valid UTF-8), with its quotes. No \uXXXX, which could spell one of them. */
part schema_other_string(grammar_builder *b, const tola_string *names, size_t count, const char *rule_name);
bool schema_knows_format(const char *name);
/* Whether no text is of both. */
bool schema_formats_differ(const char *one, const char *other);
part schema_format(grammar_builder *b, const char *name);
/* How many characters its texts have. */
void schema_format_lengths(const char *name, uint32_t *least, uint32_t *most);

/* ---- schema_pattern.c ---- */

/* A string that the regular expression finds itself in (ECMA-262, the part of it in docs/grammars.md); what it does not
 * do fails the builder with `path` in the message. */
part schema_pattern(grammar_builder *b, const char *text, size_t length, const char *path);
/* The same where the pattern is one repeated character, with bounds of the length. PART_NONE: there is none. False
 * where it is another pattern. */
bool schema_pattern_within(grammar_builder *b, const char *text, size_t length, const char *path, uint32_t low,
                           uint32_t high, part *out);
/* The same without its quotes. */
part schema_pattern_text(grammar_builder *b, const char *text, size_t length, const char *path);

/* ---- schema_sets.c ---- */

/* Strings by which of several languages (parts of spelled characters, without quotes; at most 62) they are in. */
typedef struct schema_sets schema_sets;
schema_sets *schema_sets_new(grammar_builder *b, const part *languages, size_t count, const char *path);
void schema_sets_free(schema_sets *s); /* NULL is fine */
/* The next combination of languages that some string is in, as bits; *at begins at 0. False at the end. */
bool schema_sets_next(const schema_sets *s, size_t *at, uint64_t *mask);
/* That of a text, spelled as a part without quotes. */
uint64_t schema_sets_of(const schema_sets *s, part text);
/* The strings of a combination, with their quotes. `rule_name` begins the names of its rules. */
part schema_sets_string(const schema_sets *s, uint64_t mask, const char *rule_name);

/* ---- schema_number.c ---- */

/* A number in units of 10^-15. */
typedef struct schema_bound {
    bool there;
    __int128 value;
} schema_bound;
#define SCHEMA_UNIT ((__int128)1000000000000000)
/* A whole number that no 64 bits hold, as it stands in the text of the schema; NULL for any other value. */
const char *schema_long_number(const char *source, const tola_value *number, size_t *length);
/* False where the number has more than 15 decimals or 20 digits before them. */
bool schema_bound_of(const char *source, const tola_value *number, __int128 *out);
part schema_any_number(grammar_builder *b, bool integer);
/* Numbers without an exponent within the bounds, which are inclusive. PART_NONE: there is none. */
part schema_number_within(grammar_builder *b, bool integer, schema_bound low, schema_bound high);
/* ---- schema_multiple.c ---- */

/* The least common multiple of two numbers above 0; false where it is too large. */
bool schema_common_multiple(__int128 a, __int128 b, __int128 *out);
/* Multiples of a number of units of 10^-15, written like those. Fails the builder where that needs too many rules. */
part schema_multiple_within(grammar_builder *b, bool integer, __int128 of, schema_bound low, schema_bound high,
                            const char *path);

/* ---- small things ---- */
part schema_text(grammar_builder *b, const char *ascii);
part schema_digits(grammar_builder *b, int low, int high); /* one digit */
/* Parts one after the other, or one of them; the list ends with PART_NONE. */
part schema_seq(grammar_builder *b, ...);
part schema_alt(grammar_builder *b, ...);
part schema_class(grammar_builder *b, const char *ascii_pairs); /* "azAZ__": ranges of ASCII characters */

#endif
