/* A Sigstore bundle with a DSSE envelope in it, as JSON: what a signature file is.
 *
 * Form: https://github.com/sigstore/protobuf-specs (sigstore_bundle.proto), versions 0.1 to 0.3; DSSE:
 * https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md. Only shape is judged here. */
#ifndef TRUST_BUNDLE_H
#define TRUST_BUNDLE_H

#include "base/mem.h"
#include <tola/value.h>

enum {
    BUNDLE_MOST_BYTES = 256 << 20, /* a million resources take half of it */
    BUNDLE_MOST_CERTIFICATES = 16,
    BUNDLE_MOST_ENTRIES = 16
};

#define DSSE_PAYLOAD_TYPE "application/vnd.in-toto+json"

typedef struct bundle_bytes {
    const uint8_t *data;
    size_t length;
} bundle_bytes;

typedef struct bundle {
    arena a; /* of all that follows */
    bundle_bytes payload, signature;
    const char *payload_type;
    bool has_key; /* vouched for by a bare key; `hint` may be NULL in old bundles */
    const char *hint;
    bundle_bytes certificates[BUNDLE_MOST_CERTIFICATES]; /* DER, the signer's first */
    size_t n_certificates;
    const tola_value *entries; /* of transparency logs: an array, NULL where there are none */
    size_t n_timestamps;       /* RFC 3161, which are not looked into */
} bundle;

/* TOLA_E_FORMAT where it is no such bundle. `text` may go afterwards. */
tola_status bundle_parse(const char *text, size_t length, bundle *out, tola_error *err);
void bundle_free(bundle *b);

/* For readers of what else is in bundles and trust roots: a member that must be a string of base64. */
tola_status bundle_base64(const tola_value *object, const char *key, const char *where, arena *a, bundle_bytes *out,
                          tola_error *err);
/* An integer that JSON made of a protobuf holds as a string of digits; plain numbers, too. */
bool bundle_u64(const tola_value *v, uint64_t *out);

/* A document whose tree lives in `a`; where it is none, `what` ("the signature") begins the message. */
tola_status bundle_json(const char *text, size_t length, const char *what, arena *a, tola_value *out, tola_error *err);

/* The bytes that DSSE signs: "DSSEv1 28 application/vnd.in-toto+json LENGTH PAYLOAD". */
void dsse_bytes(bundle_bytes payload, buf *out);
/* What model_signing 0.2 signed by mistake instead: "DSSEV1" and the payload as Python shows bytes, b'...'. */
void dsse_bytes_old(bundle_bytes payload, buf *out);

/* What a signature file is made of; with `n_certificates` 0 the hint names the key. */
void bundle_write(bundle_bytes payload, bundle_bytes signature, const char *hint, const bundle_bytes *certificates,
                  size_t n_certificates, buf *out);

#endif
