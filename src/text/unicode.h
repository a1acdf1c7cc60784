/* What single characters are, and Unicode's normal forms (UAX #15). */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include "base/mem.h"
#include "text/charset.h"

bool unicode_in(const unicode_range *ranges, size_t count, uint32_t c);
bool unicode_is_space(uint32_t c);     /* White_Space */
bool unicode_is_word(uint32_t c);      /* \w of Rust's regex */
uint32_t unicode_to_lower(uint32_t c); /* U+0130, which becomes two, stays */

typedef enum unicode_form { UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD } unicode_form;
/* The characters that a form may change or move: all others may be passed over. Settled. */
void unicode_form_touches(unicode_form form, charset *out);
/* Appends valid UTF-8 text in a form; `touched`: the map of the set above. False: out of memory. */
bool unicode_normalize(unicode_form form, const charset_map *touched, const char *text, size_t length, buf *out);

#endif
