/* Sets of characters: built of ranges, then looked up in constant time. */
#ifndef TEXT_CHARSET_H
#define TEXT_CHARSET_H

#include "base/mem.h"
#include "text/unicode_tables.h"
#include <tola/base.h>

/* Ranges; sorted and apart after charset_settle. */
typedef struct charset {
    unicode_range *items;
    size_t count, cap;
    bool failed; /* out of memory; sticks */
} charset;

void charset_free(charset *s);
void charset_add(charset *s, uint32_t first, uint32_t last);
void charset_add_ranges(charset *s, const unicode_range *ranges, size_t count);
void charset_settle(charset *s);
/* Everything that is not in it, and what is in both; operands are settled, as is the result. */
void charset_negate(charset *s);
void charset_intersect(charset *s, const charset *other);
void charset_fold_case(charset *s); /* adds what differs in case alone */
/* General categories ("L", "Lu", "Letter"), scripts ("Han"), and Any, Alphabetic, Space, Word, ...; false: not known.
 */
bool charset_add_property(charset *s, const char *name, size_t length);
void charset_add_spaces(charset *s); /* \s: White_Space */
/* \w, which Oniguruma reads in two ways: alone it has what its table of Latin-1 has (superscripts, fractions). */
typedef enum charset_word { WORD_ALONE, WORD_IN_CLASS, WORD_OF_RUST } charset_word;
void charset_add_word(charset *s, charset_word which);
bool charset_overlaps(const charset *a, const charset *b);
bool charset_has(const charset *s, uint32_t c);

/* Blocks of 256 characters, equal ones stored once. */
typedef struct charset_map {
    uint64_t ascii[2];
    uint16_t index[0x1100];
    uint64_t (*blocks)[4];
    size_t count, cap;
} charset_map;
charset_map *charset_map_new(const charset *s); /* of a settled set; NULL: out of memory */
void charset_map_free(charset_map *m);

static inline bool charset_map_has(const charset_map *m, uint32_t c) {
    return m->blocks[m->index[c >> 8]][c >> 6 & 3] >> (c & 63) & 1;
}

#endif
