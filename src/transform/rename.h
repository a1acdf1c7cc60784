/* Rename rules: FROM=TO, where each * in FROM captures a run of characters (dots included, possibly empty) and the
 * k-th * in TO inserts the k-th capture. FROM covers the whole name. Where several splits are possible, earlier
 * captures are the shortest. A backslash takes *, = or \ literally. Rules are applied in order, each to the result of
 * the one before.
 *
 * Knows names only: neither tensors nor formats. */
#ifndef TRANSFORM_RENAME_H
#define TRANSFORM_RENAME_H

#include "base/mem.h"
#include <tola/base.h>

#define RENAME_MAX_STARS 16 /* captures of one rule; layer, expert and part of a weight are three */

typedef struct rename_rule rename_rule;

typedef struct rename_rules {
    rename_rule *rules; /* in the arena given to rename_parse */
    size_t count;
} rename_rules;

/* `texts` ends with NULL; NULL itself is no rules. TOLA_E_ARG where a rule makes no sense; the message quotes it. */
tola_status rename_parse(const char *const *texts, arena *a, rename_rules *out, tola_error *err);

/* The name after all rules: `name` itself where none matches, otherwise text in `a`. TOLA_E_ARG where a rule leaves
 * nothing, TOLA_E_LIMIT where it grows beyond what a name may have. */
tola_status rename_apply(const rename_rules *rules, const char *name, arena *a, const char **out, tola_error *err);

#endif
