/* Trust roots, and what a short-lived certificate must show: a chain that was valid when a log took the signature, a
 * log of certificates that knows it (its SCT, RFC 6962), and that it may sign code. */
#define _GNU_SOURCE 1 /* timegm */
#include "trust/sigstore.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"

#define TRUSTED_ROOT "application/vnd.dev.sigstore.trustedroot"

/* ---- reading a trust root ---- */

static bool digits(const char *p, int n, int *out) {
    *out = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return false;
        *out = *out * 10 + (p[i] - '0');
    }
    return true;
}

/* RFC 3339 in UTC, "2021-03-07T03:20:29Z"; fractions of seconds are dropped. */
static bool parse_time(const char *text, int64_t *out) {
    struct tm t = { 0 };
    int year, month;
    if (strlen(text) < 20 || !digits(text, 4, &year) || text[4] != '-' || !digits(text + 5, 2, &month) ||
        text[7] != '-' || !digits(text + 8, 2, &t.tm_mday) || text[10] != 'T' || !digits(text + 11, 2, &t.tm_hour) ||
        text[13] != ':' || !digits(text + 14, 2, &t.tm_min) || text[16] != ':' || !digits(text + 17, 2, &t.tm_sec))
        return false;
    const char *end = text + 19;
    if (*end == '.')
        for (end++; *end >= '0' && *end <= '9';) end++;
    if (strcmp(end, "Z") != 0) return false;
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    *out = timegm(&t);
    return true;
}

static tola_status parse_range(const tola_value *object, int64_t *from, int64_t *to, tola_error *err) {
    const tola_value *range = tola_value_get(object, "validFor");
    const char *start = tola_value_str(tola_value_get(range, "start"), NULL);
    const char *end = tola_value_str(tola_value_get(range, "end"), NULL);
    *from = *to = 0;
    if ((start && !parse_time(start, from)) || (end && !parse_time(end, to)))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a time in the trust root is none");
    return TOLA_OK;
}

static tola_status parse_logs(const tola_value *list, sigstore_log *logs, size_t *count, arena *a, tola_error *err) {
    size_t n = list && list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0;
    if (n > SIGSTORE_MOST_LOGS) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the trust root has too many logs");
    for (size_t i = 0; i < n; i++) {
        tola_value v = tola_value_at(list, i);
        const tola_value *key = tola_value_get(&v, "publicKey");
        sigstore_log *log = &logs[*count];
        bundle_bytes der, id;
        TRY(bundle_base64(key, "rawBytes", "publicKey", a, &der, err));
        TRY(bundle_base64(tola_value_get(&v, "logId"), "keyId", "logId", a, &id, err));
        if (id.length != 32) continue; /* of a kind that no entry here can name */
        TRY(parse_range(key, &log->from, &log->to, err));
        memcpy(log->id, id.data, 32);
        tola_status status = key_from_der(der, &log->key, err);
        if (status == TOLA_OK)
            ++*count;
        else if (status != TOLA_E_UNSUPPORTED) /* other kinds vouch for nothing */
            return status;
    }
    return TOLA_OK;
}

static tola_status parse_authorities(const tola_value *list, sigstore_root *root, arena *a, tola_error *err) {
    size_t n = list && list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0;
    if (n > SIGSTORE_MOST_AUTHORITIES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the trust root has too many authorities");
    for (size_t i = 0; i < n; i++) {
        tola_value v = tola_value_at(list, i);
        sigstore_authority *authority = &root->authorities[root->n_authorities++];
        const tola_value *certs = tola_value_get(tola_value_get(&v, "certChain"), "certificates");
        TRY(parse_range(&v, &authority->from, &authority->to, err));
        for (size_t k = 0; certs && certs->kind == TOLA_VALUE_ARRAY && k < certs->as.array.count; k++) {
            tola_value one = tola_value_at(certs, k);
            bundle_bytes der;
            TRY(bundle_base64(&one, "rawBytes", "certChain.certificates[]", a, &der, err));
            TRY(certificates_add_der(&authority->chain, der, err));
        }
        if (authority->chain.count == 0)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "an authority in the trust root has no certificate");
    }
    return TOLA_OK;
}

static tola_status parse_all(const char *text, size_t length, sigstore_root *root, arena *a, tola_error *err) {
    tola_value document;
    TRY(json_parse(text, length, a, &document, err));
    const tola_value *v = tola_value_get(&document, "trustedRoot"); /* of a client trust configuration */
    if (!v) v = &document;
    const char *media = tola_value_str(tola_value_get(v, "mediaType"), "");
    if (strncmp(media, TRUSTED_ROOT, sizeof TRUSTED_ROOT - 1) != 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "is no trust root of Sigstore: its mediaType is not " TRUSTED_ROOT);
    TRY(parse_logs(tola_value_get(v, "tlogs"), root->logs, &root->n_logs, a, err));
    TRY(parse_logs(tola_value_get(v, "ctlogs"), root->certificate_logs, &root->n_certificate_logs, a, err));
    return parse_authorities(tola_value_get(v, "certificateAuthorities"), root, a, err);
}

tola_status sigstore_root_parse(const char *text, size_t length, sigstore_root **out, tola_error *err) {
    arena a;
    arena_init(&a, 256 << 20);
    sigstore_root *root = mem_calloc(1, sizeof *root);
    tola_status status = root ? parse_all(text, length, root, &a, err) : err_nomem(err, "reading a trust root");
    arena_free(&a);
    if (status == TOLA_OK)
        *out = root;
    else
        sigstore_root_free(root);
    return status;
}

void sigstore_root_free(sigstore_root *root) {
    if (!root) return;
    for (size_t i = 0; i < SIGSTORE_MOST_LOGS; i++) {
        key_free(&root->logs[i].key);
        key_free(&root->certificate_logs[i].key);
    }
    for (size_t i = 0; i < root->n_authorities; i++) certificates_free(&root->authorities[i].chain);
    mem_free(root);
}

/* ---- the chain ---- */

static bool within(int64_t when, int64_t from, int64_t to) { return when >= from && (to == 0 || when <= to); }

static tola_status check_authorities(const sigstore_root *root, const crypto *c, void *leaf, int64_t when,
                                     void **issuer, tola_error *err) {
    tola_status status =
        err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "no authority of the trust root was valid when it was signed");
    for (size_t i = 0; i < root->n_authorities; i++) {
        const sigstore_authority *authority = &root->authorities[i];
        if (!within(when, authority->from, authority->to)) continue;
        size_t n = authority->chain.count;
        certificates between = { c, authority->chain.items, n - 1, 0 };
        certificates top = { c, authority->chain.items + n - 1, 1, 0 };
        status = certificate_check(c, leaf, &between, 0, &top, when, issuer, err);
        if (status == TOLA_OK && !*issuer)
            status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the certificate has no issuer");
        if (status == TOLA_OK || status == TOLA_E_NOMEM) break;
    }
    return status;
}

/* ---- the SCT: a log of certificates promised to show this one ---- */

#define SCT_OID "1.3.6.1.4.1.11129.2.4.2"

static uint64_t be(const uint8_t *p, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

static void put_be(buf *b, uint64_t v, int n) {
    for (int i = n - 1; i >= 0; i--) buf_u8(b, (uint8_t)(v >> (8 * i)));
}

/* The bytes that the log signed (RFC 6962, 3.2) but for those of the SCT itself: entry type, issuer, certificate
 * without its SCTs. */
static tola_status sct_entry(const crypto *c, void *leaf, int at, void *issuer, buf *out, tola_error *err) {
    unsigned char *key = NULL, *tbs = NULL;
    uint8_t key_hash[32];
    void *copy = c->X509_dup(leaf), *gone = copy ? c->X509_delete_ext(copy, at) : NULL;
    int n = gone ? c->i2d_re_X509_tbs(copy, &tbs) : -1;
    int n_key = c->i2d_PUBKEY(c->X509_get0_pubkey(issuer), &key);
    tola_status status = n > 0 && n < 1 << 24 && n_key > 0 ? sha256(key, (size_t)n_key, key_hash, err)
                                                           : err_nomem(err, "verifying a certificate's SCT");
    if (status == TOLA_OK) {
        put_be(out, 1, 2); /* precert_entry */
        buf_append(out, key_hash, sizeof key_hash);
        put_be(out, (uint64_t)n, 3);
        buf_append(out, tbs, (size_t)n);
        if (out->failed) status = err_nomem(err, "verifying a certificate's SCT");
    }
    if (tbs) c->CRYPTO_free(tbs, __FILE__, __LINE__);
    if (key) c->CRYPTO_free(key, __FILE__, __LINE__);
    if (gone) c->X509_EXTENSION_free(gone);
    if (copy) c->X509_free(copy);
    c->ERR_clear_error();
    return status;
}

/* One SCT: version, log, time in milliseconds, extensions, algorithms, signature. */
static bool sct_holds(const sigstore_root *root, bundle_bytes sct, const buf *entry) {
    if (sct.length < 47 || sct.data[0] != 0) return false;
    size_t extensions = (size_t)be(sct.data + 41, 2);
    if (sct.length < 47 + extensions) return false;
    const uint8_t *rest = sct.data + 43 + extensions;
    size_t length = (size_t)be(rest + 2, 2);
    if (length != sct.length - 47 - extensions || rest[0] != 4) return false; /* SHA-256 */
    buf text;
    buf_init(&text, 0);
    put_be(&text, 0, 2); /* version 1, certificate_timestamp */
    buf_append(&text, sct.data + 33, 8);
    buf_append(&text, entry->data, entry->length);
    buf_append(&text, sct.data + 41, 2 + extensions);
    bool good = false;
    for (size_t i = 0; i < root->n_certificate_logs && !text.failed && !good; i++) {
        const sigstore_log *log = &root->certificate_logs[i];
        good = crypto_same(log->id, sct.data + 1, 32) &&
               within((int64_t)(be(sct.data + 33, 8) / 1000), log->from, log->to) &&
               key_verify(&log->key, true, text.data, text.length, (bundle_bytes){ rest + 4, length });
    }
    buf_free(&text);
    return good;
}

static tola_status check_sct(const sigstore_root *root, const crypto *c, void *leaf, void *issuer, tola_error *err) {
    bundle_bytes value, list;
    uint8_t tag;
    int at;
    if (!certificate_extension(c, leaf, SCT_OID, &value, &at) || !der_next(&value, &tag, &list) || tag != 0x04 ||
        list.length < 2 || be(list.data, 2) != list.length - 2)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "the certificate has no timestamp (SCT) of a certificate log");
    buf entry;
    buf_init(&entry, 0);
    tola_status status = sct_entry(c, leaf, at, issuer, &entry, err);
    bool good = false;
    const uint8_t *p = list.data + 2, *end = list.data + list.length;
    while (status == TOLA_OK && !good && end - p >= 2) {
        size_t n = (size_t)be(p, 2);
        if (n > (size_t)(end - p) - 2) break;
        good = sct_holds(root, (bundle_bytes){ p + 2, n }, &entry);
        p += 2 + n;
    }
    buf_free(&entry);
    if (status != TOLA_OK || good) return status;
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                   "no timestamp (SCT) in the certificate is of a certificate log of the trust root");
}

/* ---- everything ---- */

tola_status sigstore_check(const sigstore_root *root, const bundle *b, const certificates *chain, int64_t *signed_at,
                           tola_error *err) {
    const crypto *c = chain->c;
    void *leaf = chain->items[0], *issuer = NULL;
    if (!b->entries || b->entries->as.array.count != 1)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the bundle does not have one entry of a transparency log");
    tola_value entry = tola_value_at(b->entries, 0);
    int64_t when, from, to;
    arena a;
    arena_init(&a, 64 << 20);
    tola_status status = sigstore_entry_check(root, &entry, b, &a, &when, err);
    arena_free(&a);
    TRY(status);
    if (!certificate_times(c, leaf, &from, &to))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the certificate's dates cannot be read");
    if (when < from || when > to)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "the certificate was not valid when the log took the signature");
    TRY(check_authorities(root, c, leaf, when, &issuer, err));
    TRY(certificate_may_sign(c, leaf, true, err));
    TRY(check_sct(root, c, leaf, issuer, err));
    *signed_at = when;
    return TOLA_OK;
}

/* Fulcio's extensions: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md. 1.8 is a UTF8String, the
 * older 1.1 plain text. */
bool sigstore_issuer(const crypto *c, void *leaf, char *out, size_t cap) {
    bundle_bytes value, text;
    uint8_t tag;
    if (certificate_extension(c, leaf, "1.3.6.1.4.1.57264.1.8", &value, NULL)) {
        if (!der_next(&value, &tag, &text) || tag != 0x0c || value.length != 0) return false;
    } else if (!certificate_extension(c, leaf, "1.3.6.1.4.1.57264.1.1", &text, NULL)) {
        return false;
    }
    if (text.length >= cap || memchr(text.data, 0, text.length)) return false;
    memcpy(out, text.data, text.length);
    out[text.length] = 0;
    return true;
}
