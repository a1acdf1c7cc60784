/* Inside tola_verify: trust that is loaded once, signatures judged by it, models compared with what was signed. */
#ifndef TRUST_VERIFY_H
#define TRUST_VERIFY_H

#include "trust/provenance.h"
#include "trust/sigstore.h"
#include "trust/statement.h"
#include <tola/sign.h>

/* Whom the caller trusts: one of the three. */
typedef struct verify_trust {
    sign_key key;
    certificates roots;
    sigstore_root *sigstore;
    const char *identity, *issuer; /* demanded; NULL */
} verify_trust;

tola_status verify_trust_open(const tola_verify_options *o, verify_trust *out, tola_error *err);
void verify_trust_close(verify_trust *t);

/* A result and the memory of its text. */
typedef struct verify_result {
    tola_verification pub; /* first: what the caller has */
    arena a;
} verify_result;

/* Is a failure with this status one of what is being verified, not of the machine or the caller? */
bool verify_is_verdict(tola_status status);

/* Reads and judges a signature file; what it says of the signer goes into `v` (may be NULL). On success `out` holds
 * what was signed. Statuses are verdicts or not, see above; TOLA_E_NOT_FOUND where there is no such file. */
tola_status verify_signature(const char *path, const verify_trust *t, verify_result *v, statement *out,
                             tola_error *err);
/* What the model has and the signature has not, and the other way round. The message of `err` is not used. */
tola_status verify_model(const char *model, const char *signature, const tola_verify_options *o, statement *s,
                         verify_result *v, tola_error *err);
/* Follows the provenance in `first` to the originals and fills v->pub.chain. */
tola_status verify_chain(const char *model, const tola_verify_options *o, const verify_trust *t, const statement *first,
                         verify_result *v, tola_error *err);

char *verify_copy(verify_result *v, const char *text); /* NULL without memory */

#endif
