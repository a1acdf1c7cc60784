/* Bills of materials: CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/) and SPDX 3.0.1
 * (https://spdx.github.io/spdx-spec/v3.0.1/), of a model, its files, bases and data.
 *
 * Identifiers are made of the content: the same model, facts and time give the same bytes. */
#ifndef POLICY_BOM_H
#define POLICY_BOM_H

#include "policy/form.h"

typedef struct bom {
    form x;
    const char *name, *version, *licence; /* licence: SPDX identifier where there is one; NULL */
    bool licence_is_spdx;
    const char *task, *family, *architecture;
    char time[24]; /* 2026-11-22T00:00:00Z */
    char uuid[40]; /* of the content; zeros while it is made for the first time */
} bom;

/* What both have; `seconds` since 1970-01-01. Texts in x->a. */
void bom_begin(const form *x, int64_t seconds, bom *out);
/* Labels of what a bill asks for and nobody told; at most 32. Returns how many of how many. */
size_t bom_unknown(const bom *b, const char **labels, size_t *fields);

typedef tola_status (*bom_writer)(const bom *b, buf *out, tola_error *err);
tola_status bom_cyclonedx(const bom *b, buf *out, tola_error *err);
tola_status bom_spdx(const bom *b, buf *out, tola_error *err);
/* Writes it twice: first for the digest that its identifier is made of. */
tola_status bom_write(bom *b, bom_writer write, buf *out, tola_error *err);

/* An http(s) address without anything that an IRI may not hold; NULL for others. */
const char *bom_url(const char *text);
/* The SPDX identifier of a licence in any case, or of the Hub's identifiers; NULL. */
const char *bom_spdx_licence(const char *id);

#endif
