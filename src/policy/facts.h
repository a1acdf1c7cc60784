/* facts.yaml: what the weights of a model do not tell, as its provider knows it.
 *
 * Every key is a row of one table (facts_rows): its path, its type and unit, what it means, which conclusions use it.
 * The table checks a file (an unknown key is an error that names the nearest known one), prints a template to fill in,
 * and makes docs/facts.md. A key that is absent or null is unknown: nothing is assumed for it.
 *
 * Numbers may be written as people do: 14.8T tokens, 2.664M hours, 3.8e25; units are in the key (`_hours`, `_usd`,
 * `_mwh`) or in its row; another unit of the same kind converts ("1.2 GWh"), one of another kind is an error. */
#ifndef POLICY_FACTS_H
#define POLICY_FACTS_H

#include "base/yaml.h"

typedef enum facts_type {
    FACT_TEXT,
    FACT_BOOL,
    FACT_NUMBER, /* f64, suffixes K M B T and exponents; always with a unit in its row */
    FACT_DATE,   /* 2026-11-22 */
    FACT_WORD,   /* one of `words` */
    FACT_LIST,   /* of texts; one text alone is a list of one */
    FACT_ROWS    /* a list of maps; the rows below it have paths with [] */
} facts_type;

typedef struct facts_row {
    const char *path; /* "training.tokens", "data[].licence" */
    facts_type type;
    const char *unit;  /* "tokens", "USD"; NULL */
    const char *words; /* FACT_WORD: space-separated */
    double low, high;  /* of numbers */
    const char *help;  /* one sentence */
    const char *used;  /* "AI Act Art. 53(1)(a); model documentation form" */
} facts_row;
extern const facts_row facts_rows[]; /* ends with a row whose path is NULL; in the order of the template */

typedef struct facts facts;
tola_status facts_open(const char *path, facts **out, tola_error *err);
/* `name` is what errors call the text. */
tola_status facts_parse(const char *name, const void *text, size_t length, facts **out, tola_error *err);
void facts_free(facts *f); /* NULL is fine */

/* By path with indices: "data[2].licence". NULL or false: unknown. */
const yaml_node *facts_node(const facts *f, const char *path);
const char *facts_text(const facts *f, const char *path);
bool facts_number(const facts *f, const char *path, double *out);
bool facts_bool(const facts *f, const char *path, bool *out);
bool facts_date(const facts *f, const char *path, int32_t *days); /* since 1970-01-01 */
/* Of a list; 0 where it is absent, 1 where a list of texts is written as one text. */
size_t facts_count(const facts *f, const char *path);

/* The row of a path, with indices or without; NULL. */
const facts_row *facts_row_of(const char *path);
/* A file to fill in, every key with its kind and meaning. */
void facts_template(buf *out);

/* "2026-11-22" as days since 1970-01-01 and back; no such day is false. */
bool facts_parse_date(const char *text, int32_t *days);
const char *facts_date_text(int32_t days, char text[static 16]);

#endif
