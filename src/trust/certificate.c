/* Certificates through libcrypto, which parses and verifies; what it has no short way for is read from the DER here. */
#define _GNU_SOURCE 1 /* timegm */
#include "trust/certificate.h"

#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "trust/whole.h"

/* From OpenSSL's x509v3.h and x509_vfy.h. */
enum {
    EXFLAG_KUSAGE = 0x2,
    EXFLAG_XKUSAGE = 0x4,
    KU_DIGITAL_SIGNATURE = 0x80,
    XKU_SMIME = 0x4,
    XKU_CODE_SIGN = 0x8,
    XKU_ANYEKU = 0x100
};

enum { SECURITY_LEVEL = 2 }; /* of OpenSSL: 112 bits; no RSA below 2048, no signatures over SHA-1 */

enum { PEM_FILE_MOST = 16 << 20 };

static tola_status keep(certificates *list, void *x, tola_error *err) {
    bool room =
        list->count < CERTIFICATE_MOST && mem_grow(&list->items, &list->cap, list->count + 1, sizeof *list->items);
    if (!room) {
        list->c->X509_free(x);
        if (list->count < CERTIFICATE_MOST) return err_nomem(err, "reading certificates");
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d certificates", (int)CERTIFICATE_MOST);
    }
    list->items[list->count++] = x;
    return TOLA_OK;
}

static tola_status read_all(void *bio, certificates *list, tola_error *err) {
    for (;;) {
        void *x = list->c->PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!x) break;
        TRY(keep(list, x, err));
    }
    const char *reason = crypto_reason(list->c, "no certificate");
    bool ended = strcmp(reason, "no start line") == 0; /* what follows the last one */
    if (list->count > 0 && ended) return TOLA_OK;
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s%s",
                   list->count ? "a certificate cannot be read: " : "holds no certificate in PEM form: ", reason);
}

tola_status certificates_read(const char *path, certificates *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    TRY(crypto_get(&out->c, err));
    buf text;
    TRY(whole_read(path, PEM_FILE_MOST, &text, err));
    void *bio = out->c->BIO_new_mem_buf(text.data, (int)text.length);
    tola_status status = bio ? read_all(bio, out, err) : err_nomem(err, "reading certificates");
    if (bio) out->c->BIO_free(bio);
    whole_wipe(&text);
    if (status != TOLA_OK) {
        certificates_free(out);
        return err_in_file(err, status, path);
    }
    return TOLA_OK;
}

tola_status certificates_add_der(certificates *list, bundle_bytes der, tola_error *err) {
    if (!list->c) TRY(crypto_get(&list->c, err));
    const unsigned char *p = der.data;
    void *x = der.length <= LONG_MAX ? list->c->d2i_X509(NULL, &p, (long)der.length) : NULL;
    if (x && p != der.data + der.length) {
        list->c->X509_free(x);
        x = NULL;
    }
    if (!x)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a certificate cannot be read: %s",
                       crypto_reason(list->c, "bytes behind its end"));
    return keep(list, x, err);
}

tola_status certificates_to_der(const certificates *list, size_t at, buf *der, tola_error *err) {
    unsigned char *bytes = NULL;
    int n = list->c->i2d_X509(list->items[at], &bytes);
    if (n <= 0) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a certificate cannot be written");
    buf_append(der, bytes, (size_t)n);
    list->c->CRYPTO_free(bytes, __FILE__, __LINE__);
    return der->failed ? err_nomem(err, "writing a certificate") : TOLA_OK;
}

void certificates_free(certificates *list) {
    for (size_t i = 0; i < list->count; i++) list->c->X509_free(list->items[i]);
    mem_free(list->items);
    memset(list, 0, sizeof *list);
}

/* ---- verifying ---- */

bool certificate_times(const crypto *c, void *x509, int64_t *from, int64_t *to) {
    struct tm a, b;
    if (c->ASN1_TIME_to_tm(c->X509_get0_notBefore(x509), &a) != 1 ||
        c->ASN1_TIME_to_tm(c->X509_get0_notAfter(x509), &b) != 1) {
        c->ERR_clear_error();
        return false;
    }
    *from = timegm(&a);
    *to = timegm(&b);
    return true;
}

/* What X509_verify_cert found, in words: of the leaf, or of the depth-th issuer. */
static tola_status chain_failure(const crypto *c, void *ctx, tola_error *err) {
    int depth = c->X509_STORE_CTX_get_error_depth(ctx);
    const char *reason = c->X509_verify_cert_error_string(c->X509_STORE_CTX_get_error(ctx));
    c->ERR_clear_error();
    if (depth <= 0) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the signer's certificate: %s", reason);
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the certificate %d above the signer's: %s", depth, reason);
}

tola_status certificate_check(const crypto *c, void *leaf, const certificates *between, size_t first_between,
                              const certificates *roots, int64_t when, void **issuer, tola_error *err) {
    void *store = c->X509_STORE_new(), *ctx = c->X509_STORE_CTX_new(), *stack = c->OPENSSL_sk_new_null();
    bool good = store && ctx && stack;
    for (size_t i = 0; good && i < roots->count; i++) good = c->X509_STORE_add_cert(store, roots->items[i]) == 1;
    for (size_t i = first_between; good && between && i < between->count; i++)
        good = c->OPENSSL_sk_push(stack, between->items[i]) > 0;
    good = good && c->X509_STORE_CTX_init(ctx, store, leaf, stack) == 1;
    tola_status status = good ? TOLA_OK : err_nomem(err, "verifying certificates");
    if (good) {
        c->X509_VERIFY_PARAM_set_time(c->X509_STORE_CTX_get0_param(ctx), (time_t)when);
        c->X509_VERIFY_PARAM_set_auth_level(c->X509_STORE_CTX_get0_param(ctx), SECURITY_LEVEL);
        if (c->X509_verify_cert(ctx) != 1) status = chain_failure(c, ctx, err);
    }
    if (status == TOLA_OK && issuer) {
        void *chain = c->X509_STORE_CTX_get0_chain(ctx), *found = NULL;
        void *above = c->OPENSSL_sk_num(chain) > 1 ? c->OPENSSL_sk_value(chain, 1) : NULL;
        for (size_t i = 0; above && i < roots->count; i++)
            if (c->X509_cmp(above, roots->items[i]) == 0) found = roots->items[i];
        for (size_t i = first_between; above && between && i < between->count; i++)
            if (c->X509_cmp(above, between->items[i]) == 0) found = between->items[i];
        *issuer = found;
    }
    c->X509_STORE_CTX_free(ctx);
    c->X509_STORE_free(store);
    if (stack) c->OPENSSL_sk_free(stack);
    c->ERR_clear_error();
    return status;
}

tola_status certificate_may_sign(const crypto *c, void *x509, bool both, tola_error *err) {
    uint32_t flags = c->X509_get_extension_flags(x509);
    bool digital = (flags & EXFLAG_KUSAGE) && (c->X509_get_key_usage(x509) & KU_DIGITAL_SIGNATURE);
    bool code = (flags & EXFLAG_XKUSAGE) && (c->X509_get_extended_key_usage(x509) & XKU_CODE_SIGN);
    /* A certificate for servers or clients of TLS bears digitalSignature, too, but is for nothing else (RFC 5280,
     * 4.2.1.12). One for mail stands for its owner's signature. */
    bool other = (flags & EXFLAG_XKUSAGE) &&
                 !(c->X509_get_extended_key_usage(x509) & (XKU_CODE_SIGN | XKU_SMIME | XKU_ANYEKU));
    if (other)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "the signer's certificate may not be used for signing: its extended key usage is for something "
                       "else");
    if (both ? digital && code : digital || code) return TOLA_OK;
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                   "the signer's certificate may not be used for signing: it has no key usage digitalSignature %s "
                   "extended key usage codeSigning",
                   both ? "together with" : "and no");
}

/* ---- DER (X.690) ---- */

bool der_next(bundle_bytes *in, uint8_t *tag, bundle_bytes *content) {
    if (in->length < 2) return false;
    size_t length = in->data[1], head = 2;
    if (length >= 0x80) {
        size_t digits = length & 0x7f;
        if (digits == 0 || digits > 4 || in->length < 2 + digits) return false;
        length = 0;
        for (size_t i = 0; i < digits; i++) length = length << 8 | in->data[2 + i];
        head += digits;
    }
    if (length > in->length - head) return false;
    *tag = in->data[0];
    *content = (bundle_bytes){ in->data + head, length };
    in->data += head + length;
    in->length -= head + length;
    return true;
}

bool certificate_extension(const crypto *c, void *x509, const char *oid, bundle_bytes *out, int *at) {
    void *object = c->OBJ_txt2obj(oid, 1);
    int found = object ? c->X509_get_ext_by_OBJ(x509, object, -1) : -1;
    int again = found >= 0 ? c->X509_get_ext_by_OBJ(x509, object, found) : -1;
    if (object) c->ASN1_OBJECT_free(object);
    void *extension = found >= 0 && again < 0 ? c->X509_get_ext(x509, found) : NULL;
    const void *string = extension ? c->X509_EXTENSION_get_data(extension) : NULL;
    c->ERR_clear_error();
    if (!string || c->ASN1_STRING_length(string) < 0) return false;
    *out = (bundle_bytes){ c->ASN1_STRING_get0_data(string), (size_t)c->ASN1_STRING_length(string) };
    if (at) *at = found;
    return true;
}

/* The names in subjectAltName (RFC 5280, 4.2.1.6), one after another: rfc822Name [1], dNSName [2], URI [6]. */
static bool next_name(bundle_bytes *names, bundle_bytes *name) {
    uint8_t tag;
    while (der_next(names, &tag, name))
        if (tag == 0x81 || tag == 0x82 || tag == 0x86) return true;
    return false;
}

static bool names_of(const crypto *c, void *x509, bundle_bytes *names) {
    bundle_bytes value;
    uint8_t tag;
    return certificate_extension(c, x509, "2.5.29.17", &value, NULL) && der_next(&value, &tag, names) && tag == 0x30;
}

bool certificate_names(const crypto *c, void *x509, const char *identity) {
    bundle_bytes names, name;
    size_t n = strlen(identity);
    if (!names_of(c, x509, &names)) return false;
    while (next_name(&names, &name))
        if (name.length == n && memcmp(name.data, identity, n) == 0) return true;
    return false;
}

bool certificate_first_name(const crypto *c, void *x509, char *out, size_t cap) {
    bundle_bytes names, name;
    if (!names_of(c, x509, &names) || !next_name(&names, &name) || name.length >= cap) return false;
    memcpy(out, name.data, name.length);
    out[name.length] = 0;
    return memchr(name.data, 0, name.length) == NULL;
}

void certificate_subject(const crypto *c, void *x509, char *out, size_t cap) {
    out[0] = 0;
    void *name = c->X509_get_subject_name(x509);
    if (name && !c->X509_NAME_oneline(name, out, (int)cap)) out[0] = 0;
    c->ERR_clear_error();
}
