/* The in-toto statement that a signature signs: a manifest as JSON.
 *
 * Statement: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md; predicates
 * https://model_signing/signature/v1.0 and the older https://model_signing/Digests/v0.1. */
#ifndef TRUST_STATEMENT_H
#define TRUST_STATEMENT_H

#include "trust/bundle.h"
#include "trust/manifest.h"

typedef struct statement {
    manifest m; /* sorted; its root is `root` */
    uint8_t root[32];
    bool old;                     /* of the predicate Digests/v0.1, which has no root, no rules and no name */
    const tola_value *provenance; /* an in-toto statement inside the predicate; NULL where there is none. In m.a */
} statement;

/* TOLA_E_FORMAT where the payload is no statement about a model, is inconsistent, or names what must not be named. */
tola_status statement_parse(bundle_bytes payload, statement *out, tola_error *err);
void statement_free(statement *s);
/* The payload for `m`, sorted; `provenance` may be NULL. `root` is its digest. */
tola_status statement_write(const manifest *m, const tola_value *provenance, uint8_t root[32], buf *out,
                            tola_error *err);

#endif
