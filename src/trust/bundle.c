/* Bundles: JSON to bytes and back. */
#include "trust/bundle.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "trust/base64.h"
#include <tola/json.h>

#define BUNDLE_MEDIA_TYPE "application/vnd.dev.sigstore.bundle.v0.3+json"

enum { TREE_MOST_BYTES = 1 << 30 }; /* of memory for the document's tree: some 20 bytes of JSON for each 100 here */

static const char *const media_types[] = {
    BUNDLE_MEDIA_TYPE,
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
};

static tola_status fail(tola_error *err, const char *what) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the signature is no bundle that can be read: %s", what);
}

/* ---- reading ---- */

static bool is_string(const tola_value *v) { return v && v->kind == TOLA_VALUE_STRING; }

tola_status bundle_base64(const tola_value *object, const char *key, const char *where, arena *a, bundle_bytes *out,
                          tola_error *err) {
    const tola_value *v = tola_value_get(object, key);
    bool short_of_memory;
    if (!is_string(v)) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s.%s is missing or no string", where, key);
    out->data = base64_decode(v->as.string.data, v->as.string.length, a, &out->length, &short_of_memory);
    if (out->data) return TOLA_OK;
    if (short_of_memory) return err_nomem(err, "reading a signature");
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s.%s is no base64", where, key);
}

bool bundle_u64(const tola_value *v, uint64_t *out) {
    if (!v) return false;
    if (v->kind == TOLA_VALUE_UINT) {
        *out = v->as.u64;
        return true;
    }
    if (v->kind != TOLA_VALUE_STRING || v->as.string.length == 0) return false;
    uint64_t n = 0;
    for (size_t i = 0; i < v->as.string.length; i++) {
        char c = v->as.string.data[i];
        if (c < '0' || c > '9' || !mul_u64(n, 10, &n) || !add_u64(n, (uint64_t)(c - '0'), &n)) return false;
    }
    *out = n;
    return true;
}

tola_status bundle_json(const char *text, size_t length, const char *what, arena *a, tola_value *out, tola_error *err) {
    tola_error inner = TOLA_ERROR_INIT;
    tola_status status = json_parse(text, length, a, out, &inner);
    if (status == TOLA_OK) return status;
    if (inner.offset == TOLA_NO_OFFSET) return err_set(err, status, inner.offset, "%s: %s", what, inner.message);
    return err_set(err, status, inner.offset, "%s: offset %" PRIu64 ": %s", what, inner.offset, inner.message);
}

static tola_status read_envelope(const tola_value *root, bundle *b, tola_error *err) {
    const tola_value *envelope = tola_value_get(root, "dsseEnvelope");
    if (!envelope || envelope->kind != TOLA_VALUE_MAP) return fail(err, "it has no dsseEnvelope");
    TRY(bundle_base64(envelope, "payload", "dsseEnvelope", &b->a, &b->payload, err));
    const tola_value *type = tola_value_get(envelope, "payloadType");
    if (!is_string(type) || strlen(type->as.string.data) != type->as.string.length)
        return fail(err, "dsseEnvelope.payloadType is missing or no string");
    b->payload_type = type->as.string.data;
    const tola_value *signatures = tola_value_get(envelope, "signatures");
    if (!signatures || signatures->kind != TOLA_VALUE_ARRAY || signatures->as.array.count != 1)
        return fail(err, "dsseEnvelope.signatures is not a list of one");
    tola_value *one = arena_alloc(&b->a, sizeof *one);
    if (!one) return err_nomem(err, "reading a signature");
    *one = tola_value_at(signatures, 0);
    return bundle_base64(one, "sig", "dsseEnvelope.signatures[0]", &b->a, &b->signature, err);
}

static tola_status read_certificates(const tola_value *material, bundle *b, tola_error *err) {
    const tola_value *one = tola_value_get(material, "certificate");
    const tola_value *list = tola_value_get(tola_value_get(material, "x509CertificateChain"), "certificates");
    if (one) {
        b->n_certificates = 1;
        return bundle_base64(one, "rawBytes", "certificate", &b->a, &b->certificates[0], err);
    }
    if (!list || list->kind != TOLA_VALUE_ARRAY || list->as.array.count == 0)
        return fail(err, "its verificationMaterial has neither a key nor certificates");
    if (list->as.array.count > BUNDLE_MOST_CERTIFICATES) return fail(err, "more than 16 certificates");
    for (size_t i = 0; i < list->as.array.count; i++) {
        tola_value v = tola_value_at(list, i);
        TRY(bundle_base64(&v, "rawBytes", "x509CertificateChain.certificates[]", &b->a, &b->certificates[i], err));
    }
    b->n_certificates = list->as.array.count;
    return TOLA_OK;
}

static tola_status read_material(const tola_value *root, bundle *b, tola_error *err) {
    const tola_value *material = tola_value_get(root, "verificationMaterial");
    if (!material || material->kind != TOLA_VALUE_MAP) return fail(err, "it has no verificationMaterial");
    const tola_value *key = tola_value_get(material, "publicKey");
    if (key && key->kind == TOLA_VALUE_MAP) {
        const tola_value *hint = tola_value_get(key, "hint");
        b->has_key = true;
        if (is_string(hint) && hint->as.string.length > 0) b->hint = hint->as.string.data;
    } else {
        TRY(read_certificates(material, b, err));
    }
    const tola_value *entries = tola_value_get(material, "tlogEntries");
    if (entries && entries->kind == TOLA_VALUE_ARRAY && entries->as.array.count > 0) b->entries = entries;
    if (b->entries && entries->as.array.count > BUNDLE_MOST_ENTRIES) return fail(err, "more than 16 entries of logs");
    const tola_value *stamps =
        tola_value_get(tola_value_get(material, "timestampVerificationData"), "rfc3161Timestamps");
    if (stamps && stamps->kind == TOLA_VALUE_ARRAY) b->n_timestamps = stamps->as.array.count;
    return TOLA_OK;
}

static tola_status read_all(const char *text, size_t length, bundle *b, tola_error *err) {
    if (length > BUNDLE_MOST_BYTES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the signature has more than 256 MiB");
    tola_value *root = arena_alloc(&b->a, sizeof *root);
    if (!root) return err_nomem(err, "reading a signature");
    TRY(bundle_json(text, length, "the signature", &b->a, root, err));
    if (root->kind != TOLA_VALUE_MAP) return fail(err, "it is no JSON object");
    const char *media = tola_value_str(tola_value_get(root, "mediaType"), "");
    bool known = false;
    for (size_t i = 0; i < sizeof media_types / sizeof *media_types; i++) known |= strcmp(media, media_types[i]) == 0;
    if (!known) {
        char quoted[120];
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "the signature is no Sigstore bundle of version 0.1 to 0.3: its mediaType is '%s'",
                       text_quote(quoted, sizeof quoted, media, strlen(media)));
    }
    TRY(read_envelope(root, b, err));
    return read_material(root, b, err);
}

tola_status bundle_parse(const char *text, size_t length, bundle *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    arena_init(&out->a, TREE_MOST_BYTES);
    tola_status status = read_all(text, length, out, err);
    if (status != TOLA_OK) bundle_free(out);
    return status;
}

void bundle_free(bundle *b) {
    arena_free(&b->a);
    memset(b, 0, sizeof *b);
}

/* ---- the bytes that are signed ---- */

void dsse_bytes(bundle_bytes payload, buf *out) {
    buf_printf(out, "DSSEv1 %zu %s %zu ", strlen(DSSE_PAYLOAD_TYPE), DSSE_PAYLOAD_TYPE, payload.length);
    buf_append(out, payload.data, payload.length);
}

/* repr() of bytes: https://docs.python.org/3/library/stdtypes.html#bytes-objects. Quoted by ' unless it has a ' and no
 * ". */
void dsse_bytes_old(bundle_bytes payload, buf *out) {
    bool has_single = memchr(payload.data, '\'', payload.length) != NULL;
    bool has_double = memchr(payload.data, '"', payload.length) != NULL;
    char quote = has_single && !has_double ? '"' : '\'';
    buf_printf(out, "DSSEV1 %zu %s %zu b%c", strlen(DSSE_PAYLOAD_TYPE), DSSE_PAYLOAD_TYPE, payload.length, quote);
    for (size_t i = 0; i < payload.length; i++) {
        uint8_t c = payload.data[i];
        if (c == (uint8_t)quote || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\t' || c == '\n' || c == '\r')
            buf_printf(out, "\\%c", c == '\t' ? 't' : c == '\n' ? 'n' : 'r');
        else if (c < 0x20 || c >= 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_u8(out, c);
    }
    buf_u8(out, (uint8_t)quote);
}

/* ---- writing ---- */

static void put(buf *out, const char *text) { buf_append(out, text, strlen(text)); }

void bundle_write(bundle_bytes payload, bundle_bytes signature, const char *hint, const bundle_bytes *certificates,
                  size_t n_certificates, buf *out) {
    put(out, "{\"mediaType\":\"" BUNDLE_MEDIA_TYPE "\",\"verificationMaterial\":{");
    if (n_certificates == 0)
        buf_printf(out, "\"publicKey\":{\"hint\":\"%s\"}", hint);
    else
        put(out, "\"x509CertificateChain\":{\"certificates\":[");
    for (size_t i = 0; i < n_certificates; i++) {
        put(out, i ? ",{\"rawBytes\":\"" : "{\"rawBytes\":\"");
        base64_append(out, certificates[i].data, certificates[i].length);
        put(out, "\"}");
    }
    put(out, n_certificates ? "]}" : "");
    put(out, ",\"tlogEntries\":[]},\"dsseEnvelope\":{\"payload\":\"");
    base64_append(out, payload.data, payload.length);
    put(out, "\",\"payloadType\":\"" DSSE_PAYLOAD_TYPE "\",\"signatures\":[{\"sig\":\"");
    base64_append(out, signature.data, signature.length);
    put(out, "\",\"keyid\":\"\"}]}}\n");
}
