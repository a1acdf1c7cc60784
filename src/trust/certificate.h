/* Certificates (X.509, RFC 5280): from PEM and DER, a chain up to trusted roots, what one may be used for, who it
 * names. */
#ifndef TRUST_CERTIFICATE_H
#define TRUST_CERTIFICATE_H

#include "trust/bundle.h"
#include "trust/crypto.h"

enum { CERTIFICATE_MOST = 1024 }; /* in one file: a system's store of roots has some 150 */

typedef struct certificates {
    const crypto *c;
    void **items; /* X509 */
    size_t count, cap;
} certificates;

/* All certificates of a PEM file; TOLA_E_FORMAT where there is none. */
tola_status certificates_read(const char *path, certificates *out, tola_error *err);
/* Appends one. */
tola_status certificates_add_der(certificates *list, bundle_bytes der, tola_error *err);
tola_status certificates_to_der(const certificates *list, size_t at, buf *der, tola_error *err);
void certificates_free(certificates *list);

/* Seconds since 1970 of notBefore and notAfter. */
bool certificate_times(const crypto *c, void *x509, int64_t *from, int64_t *to);
/* Does a chain lead from `leaf` over `between` (may be NULL) to one of `roots` that vouches for itself, with all
 * certificates valid at `when`? TOLA_E_FORMAT with OpenSSL's reason where it does not. `issuer` (may be NULL) is the
 * leaf's, as X509 of the lists. */
tola_status certificate_check(const crypto *c, void *leaf, const certificates *between, size_t first_between,
                              const certificates *roots, int64_t when, void **issuer, tola_error *err);
/* May it sign? KeyUsage digitalSignature, or ExtendedKeyUsage codeSigning (with `both`: and). */
tola_status certificate_may_sign(const crypto *c, void *x509, bool both, tola_error *err);
/* Does its subjectAltName hold this e-mail address, URI or DNS name? */
bool certificate_names(const crypto *c, void *x509, const char *identity);
/* Its subject in OpenSSL's one line, cut where it is longer. */
void certificate_subject(const crypto *c, void *x509, char *out, size_t cap);
/* The first such name, NUL-terminated in `out`; false where there is none. */
bool certificate_first_name(const crypto *c, void *x509, char *out, size_t cap);
/* The value of an extension (the bytes inside its OCTET STRING), borrowed from the certificate; false where absent or
 * there twice. `oid` in dots. */
bool certificate_extension(const crypto *c, void *x509, const char *oid, bundle_bytes *out, int *at);

/* One element of DER at the front of `in`, which moves behind it. False where it does not fit. Lengths up to 2^32. */
bool der_next(bundle_bytes *in, uint8_t *tag, bundle_bytes *content);

#endif
