/* Rules of law and of openness as data: data/rules-*.yaml, or a file of the user's.
 *
 * A rules file has a version, the day its texts were looked up, values (thresholds), lists (countries), and rules in an
 * order: each a condition over named inputs, answered yes, no or unknown (Kleene's three-valued logic: what is not
 * known stays unknown unless it cannot matter). docs/comply.md describes the language.
 *
 *   condition:  a and b, a or b, not a, ( ), < <= > >= == !=, x in list, * / + -, max(a, b), true, false, 1e25, 'text',
 *               2025-08-02, on_date
 *               known(x)  is anything said of x? (yes or no)
 *               given(x)  is there such a thing? A text or list that is there: yes; "none": no; nothing said: unknown
 *   names:      keys of facts.yaml, computed inputs, values of the file, ids of earlier rules */
#ifndef POLICY_RULES_H
#define POLICY_RULES_H

#include <tola/comply.h>

#include "policy/facts.h"

typedef enum rule_kind { RULE_UNKNOWN, RULE_BOOL, RULE_NUMBER, RULE_DATE, RULE_TEXT, RULE_LIST } rule_kind;

typedef struct rule_value {
    rule_kind kind;
    bool yes;
    double low, high; /* RULE_NUMBER: it lies somewhere between; the same where there is no doubt */
    int32_t days;
    const char *text;
    size_t count; /* RULE_LIST */
} rule_value;

typedef struct rule_input {
    const char *name;
    rule_value value;
    const char *shown;  /* "3.8e25 FLOP"; NULL: unknown */
    const char *source; /* "facts.yaml line 7", "6 N D: ..." */
    const char *needs;  /* unknown: the key of the facts that would tell, with alternatives */
    bool estimate;
    const tola_conclusion *rule; /* it is the answer of a rule */
} rule_input;

typedef struct rule_set {
    arena memory;
    const facts *facts; /* NULL: none */
    const char *facts_name;
    int32_t on_date;
    rule_input *inputs;
    size_t count, cap;
    tola_conclusion *conclusions;
    size_t n_conclusions, cap_conclusions;
    tola_rule_file *files;
    size_t n_files, cap_files;
} rule_set;

void rule_set_init(rule_set *s, const facts *f, const char *facts_name, int32_t on_date);
void rule_set_free(rule_set *s);

/* Texts are copied. An input of that name is replaced. */
tola_status rule_set_bool(rule_set *s, const char *name, bool yes, bool estimate, const char *source, tola_error *err);
tola_status rule_set_number(rule_set *s, const char *name, double low, double high, const char *unit, bool estimate,
                            const char *source, tola_error *err);
tola_status rule_set_date(rule_set *s, const char *name, int32_t days, const char *source, tola_error *err);
tola_status rule_set_unknown(rule_set *s, const char *name, const char *needs, tola_error *err);
/* A computed input, an earlier rule, or a key of the facts; NULL: there is no such name. */
rule_input *rule_set_find(rule_set *s, const char *name);

/* Evaluates the rules of a file in their order; conclusions are appended. */
tola_status rule_set_run(rule_set *s, const yaml *file, tola_error *err);

/* "3.8e25", "405B" is not attempted: what a table shows of a number. */
const char *rule_number_text(double value, char text[static 32]);
char *rule_format(arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
