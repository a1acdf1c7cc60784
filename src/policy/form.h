/* Forms: which fields a document has, and where each may take its answer from. The forms are data/form-*.yaml.
 *
 * `from` is a list of places, of which the first that has an answer gives it:
 *
 *   facts PATH                 a text, list, number with its unit, day, yes or no of facts.yaml
 *   rows LIST WHERE KEY...     a line for each row of a list of facts ("-": all; kind=public,private: those): the first
 *                              key that is known, the others in parentheses
 *   any LIST WHERE             yes where there is such a row; no where data_policy.sources_complete says that all are
 * there not LIST WHERE             "Not applicable" where `any` is no modalities LIST WHERE      of those rows modality
 * inputs|outputs W  does it take, or give, one of these, and of what size size W                     of the training
 * data of a modality weights|recorded|computed NAME   a function of form_answers.c */
#ifndef POLICY_FORM_H
#define POLICY_FORM_H

#include "policy/compute.h"
#include "policy/document.h"
#include "policy/facts.h"
#include "policy/record.h"

typedef struct form {
    record *r;
    const facts *f; /* NULL: none */
    int32_t day;    /* of the document, since 1970-01-01 */
    arena *a;       /* of the document: what answers are made in */
} form;

typedef struct form_answer {
    const char *text;  /* NULL: none */
    const char *where; /* NULL: nothing to add */
    doc_source source; /* filled in by form_fill from the place; a function may say better */
} form_answer;

typedef struct form_function {
    const char *place, *name; /* "computed", "flop" */
    form_answer (*answer)(const form *x);
} form_function;
extern const form_function form_functions[]; /* ends with NULL */

/* Fills `out` (initialised) by data/NAME. Texts live in `out`, in the record and in the facts: keep them as long. */
tola_status form_fill(const char *name, record *r, const facts *f, int32_t day, document *out, tola_error *err);

/* What the document says of the weights themselves. */
void form_model(record *r, const facts *f, doc_model *out);

/* ---- of use to those who make other documents of the same ---- */

/* A fact as text; NULL where it is unknown. */
const char *form_fact(const form *x, const char *path);
/* The name that the model is known by, the licence's identifier; NULL. */
form_answer form_name(const form *x);
form_answer form_licence(const form *x);
/* Joins with a line end; `text` NULL: `more` alone. */
const char *form_line(arena *a, const char *text, const char *more);
/* "data[3].url" */
const char *form_row_fact(const form *x, const char *list, size_t i, const char *key);
/* Every way to know the compute; false without facts. */
bool form_compute(const form *x, compute_result *out);
/* Energy of training in MWh. */
bool form_energy(const form *x, double *mwh, doc_source *source);

#endif
