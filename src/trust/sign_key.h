/* Keys: read from PEM files, used to sign and to verify.
 *
 * ECDSA over P-256, P-384 and P-521 with SHA-256, -384 and -512, signatures in DER; Ed25519, which Sigstore's bundles
 * allow and model_signing does not take. Nothing else: no RSA, no other curves. */
#ifndef TRUST_SIGN_KEY_H
#define TRUST_SIGN_KEY_H

#include "base/mem.h"
#include "trust/bundle.h"
#include "trust/crypto.h"

typedef enum key_kind { KEY_P256, KEY_P384, KEY_P521, KEY_ED25519, KEY_KINDS } key_kind;

typedef struct sign_key {
    const crypto *c;
    void *pkey;
    key_kind kind;
} sign_key;

/* `password` (may be NULL) opens one that is encrypted. Warns of a file that others may read. */
tola_status key_read_private(const char *path, const char *password, sign_key *out, tola_error *err);
void key_warn_wide(const char *path);
tola_status key_read_public(const char *path, sign_key *out, tola_error *err);
/* SubjectPublicKeyInfo in DER. */
tola_status key_from_der(bundle_bytes der, sign_key *out, tola_error *err);
/* That of a certificate; `out` borrows it: not to be freed. TOLA_E_FORMAT for a kind that is not taken. */
tola_status key_of_certificate(const crypto *c, void *x509, sign_key *out, tola_error *err);
void key_free(sign_key *key);
const char *key_kind_name(key_kind kind);

tola_status key_sign(const sign_key *key, const void *data, size_t bytes, buf *signature, tola_error *err);
/* False for a bad signature, whatever is wrong with it. `sha256` overrides the hash that belongs to the curve. */
bool key_verify(const sign_key *key, bool sha256, const void *data, size_t bytes, bundle_bytes signature);
/* SHA-256 of the public key as PEM text, in hexadecimal digits: how a bundle names a key. */
tola_status key_hint(const sign_key *key, char hint[65], tola_error *err);
/* SubjectPublicKeyInfo in DER. */
tola_status key_to_der(const sign_key *key, buf *der, tola_error *err);

#endif
