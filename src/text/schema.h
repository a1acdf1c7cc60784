/* JSON schemas as grammars: every text that follows one is JSON whose value the schema takes.
 *
 * Of draft 2020-12, the keywords in docs/grammars.md; any other is an error that names it by its JSON pointer, none is
 * passed over. Properties come in the order of the schema, further ones behind them; a blank, or a new line and
 * at most SCHEMA_MAX_SPACE blanks and tabs, may stand wherever JSON lets white space, but not around the whole. */
#ifndef TEXT_SCHEMA_H
#define TEXT_SCHEMA_H

#include "text/grammar.h"

#define SCHEMA_MAX_SPACE 40

/* TOLA_E_FORMAT: no JSON, or a schema that breaks the rules; TOLA_E_UNSUPPORTED: a keyword, a format or a pattern that
 * nothing here does; TOLA_E_LIMIT: lengths and counts that multiply out to too much. */
tola_status grammar_from_schema(const char *text, size_t length, grammar **out, tola_error *err);
/* Any JSON value; with `object`, any object. */
tola_status grammar_any_json(bool object, grammar **out, tola_error *err);

#endif
