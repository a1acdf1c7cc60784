/* Regular expressions of tokenizers: what they mean in Oniguruma, which Hugging Face's tokenizers use, with its version
 * of Unicode (16), and a limit of steps. */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H

#include <tola/base.h>

typedef struct regex regex;

/* TOLA_E_FORMAT with the place where the pattern is wrong. */
tola_status regex_compile(const char *pattern, size_t length, regex **out, tola_error *err);
void regex_free(regex *r); /* NULL is fine */

typedef struct regex_match regex_match; /* scratch of one thread for one expression */
regex_match *regex_match_new(const regex *r);
void regex_match_free(regex_match *m);
/* The next match in valid UTF-8 text[from, length) (it may look behind `from`). *found says whether there is one, which
 * may be empty. TOLA_E_LIMIT where it takes too many steps. */
tola_status regex_next(const regex *r, regex_match *m, const char *text, size_t length, size_t from, bool *found,
                       size_t *begin, size_t *end, tola_error *err);

#endif
