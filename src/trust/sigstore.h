/* Keyless signatures, verified offline: a certificate that lived for minutes, who it names, and what logs say about it.
 *
 * What is trusted comes from a file in Sigstore's JSON (trusted_root.json, or a client trust configuration with one in
 * it): https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto. docs/signing.md says what
 * is checked and what is not. Nothing is fetched. */
#ifndef TRUST_SIGSTORE_H
#define TRUST_SIGSTORE_H

#include "trust/certificate.h"
#include "trust/sign_key.h"

enum { SIGSTORE_MOST_LOGS = 64, SIGSTORE_MOST_AUTHORITIES = 32 };

/* A log: of signatures (Rekor) or of certificates (RFC 6962). Its id is what entries name. */
typedef struct sigstore_log {
    sign_key key;
    uint8_t id[32];
    int64_t from, to; /* seconds since 1970 of what it may vouch for; to 0 = no end */
} sigstore_log;

typedef struct sigstore_authority {
    certificates chain;
    int64_t from, to;
} sigstore_authority;

typedef struct sigstore_root {
    sigstore_log logs[SIGSTORE_MOST_LOGS], certificate_logs[SIGSTORE_MOST_LOGS];
    size_t n_logs, n_certificate_logs;
    sigstore_authority authorities[SIGSTORE_MOST_AUTHORITIES];
    size_t n_authorities;
} sigstore_root;

tola_status sigstore_root_parse(const char *text, size_t length, sigstore_root **out, tola_error *err);
void sigstore_root_free(sigstore_root *root);

/* Everything but the signature over the payload, which the caller verifies with the leaf's key. TOLA_E_FORMAT (or
 * TOLA_E_UNSUPPORTED) with the first reason not to trust it. `signed_at`: when a log took the signature. */
tola_status sigstore_check(const sigstore_root *root, const bundle *b, const certificates *chain, int64_t *signed_at,
                           tola_error *err);
/* The OpenID Connect issuer that the certificate names (Fulcio's extension); false where it names none. */
bool sigstore_issuer(const crypto *c, void *leaf, char *out, size_t cap);

/* ---- logs of signatures: sigstore_log.c ---- */

/* Judges one entry: the log's promise, the proof that the entry is in the log, and that it is about this bundle. */
tola_status sigstore_entry_check(const sigstore_root *root, const tola_value *entry, const bundle *b, arena *a,
                                 int64_t *integrated, tola_error *err);

#endif
