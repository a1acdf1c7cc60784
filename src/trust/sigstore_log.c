/* Entries of a transparency log (Rekor, first version): what the log promised, what it proves, and what it is about.
 *
 * The promise (signed entry timestamp): https://github.com/sigstore/rekor/blob/main/openapi.yaml. Inclusion: RFC 6962,
 * 2.1.1. Checkpoints: https://github.com/transparency-dev/formats/blob/main/log/README.md, signed as notes. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "trust/base64.h"
#include "trust/digest.h"
#include "trust/merkle.h"
#include "trust/sigstore.h"

enum { MOST_HASHES = 64 }; /* of a proof in a tree of 2^64 leaves */

static tola_status fail(tola_error *err, const char *what) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the entry of the transparency log: %s", what);
}

static const sigstore_log *find_log(const sigstore_root *root, const uint8_t id[32], int64_t when) {
    for (size_t i = 0; i < root->n_logs; i++) {
        const sigstore_log *log = &root->logs[i];
        if (crypto_same(log->id, id, 32) && when >= log->from && (log->to == 0 || when <= log->to)) return log;
    }
    return NULL;
}

/* ---- the promise ---- */

/* The log signed the entry in canonical JSON (RFC 8785): keys in order, no blanks. */
static tola_status check_promise(const tola_value *entry, const sigstore_log *log, bundle_bytes body,
                                 uint64_t integrated, uint64_t index, arena *a, tola_error *err) {
    bundle_bytes stamp;
    char id[65];
    TRY(bundle_base64(tola_value_get(entry, "inclusionPromise"), "signedEntryTimestamp", "inclusionPromise", a, &stamp,
                      err));
    digest_to_hex(log->id, 32, id);
    buf text;
    buf_init(&text, 0);
    buf_printf(&text, "{\"body\":\"");
    base64_append(&text, body.data, body.length);
    buf_printf(&text, "\",\"integratedTime\":%" PRIu64 ",\"logID\":\"%s\",\"logIndex\":%" PRIu64 "}", integrated, id,
               index);
    bool failed = text.failed, good = !failed && key_verify(&log->key, false, text.data, text.length, stamp);
    buf_free(&text);
    if (failed) return err_nomem(err, "verifying an entry");
    return good ? TOLA_OK : fail(err, "its promise (signed entry timestamp) is not the log's");
}

/* ---- the proof ---- */

static tola_status read_path(const tola_value *proof, uint8_t path[MOST_HASHES][32], size_t *n, arena *a,
                             tola_error *err) {
    const tola_value *list = tola_value_get(proof, "hashes");
    *n = list && list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0;
    if (*n > MOST_HASHES) return fail(err, "its proof of inclusion is too long");
    for (size_t i = 0; i < *n; i++) {
        tola_value v = tola_value_at(list, i);
        size_t bytes = 0;
        const uint8_t *hash =
            v.kind == TOLA_VALUE_STRING ? base64_decode(v.as.string.data, v.as.string.length, a, &bytes, NULL) : NULL;
        if (!hash || bytes != 32) return fail(err, "its proof of inclusion has a hash that is none");
        memcpy(path[i], hash, 32);
    }
    return TOLA_OK;
}

/* ---- the checkpoint: a note that ends in a blank line and lines of signatures ---- */

#define DASH "\xe2\x80\x94 " /* U+2014 and a blank */

static bool line_signs(const char *line, size_t n, const sigstore_log *log, bundle_bytes note, arena *a) {
    size_t dash = sizeof DASH - 1;
    if (n < dash || memcmp(line, DASH, dash) != 0) return false;
    const char *blank = memchr(line + dash, ' ', n - dash);
    if (!blank) return false;
    size_t bytes = 0;
    const uint8_t *raw = base64_decode(blank + 1, (size_t)(line + n - blank) - 1, a, &bytes, NULL);
    return raw && bytes > 4 && memcmp(raw, log->id, 4) == 0 &&
           key_verify(&log->key, false, note.data, note.length, (bundle_bytes){ raw + 4, bytes - 4 });
}

/* The size and root that the log vouches for. */
static tola_status read_checkpoint(const char *text, const sigstore_log *log, arena *a, uint64_t *size,
                                   bundle_bytes *root, tola_error *err) {
    const char *blank = strstr(text, "\n\n");
    if (!blank) return fail(err, "its checkpoint has no signatures");
    bundle_bytes note = { (const uint8_t *)text, (size_t)(blank - text) + 1 };
    bool good = false;
    for (const char *line = blank + 2; *line && !good;) {
        size_t n = strcspn(line, "\n");
        good = line_signs(line, n, log, note, a);
        line += n + (line[n] == '\n');
    }
    if (!good) return fail(err, "its checkpoint is not signed by the log");
    const char *second = strchr(text, '\n'), *third = second ? strchr(second + 1, '\n') : NULL;
    if (!third || third >= blank) return fail(err, "its checkpoint has no size and root");
    tola_value number = { .kind = TOLA_VALUE_STRING };
    number.as.string = (tola_string){ second + 1, (size_t)(third - second) - 1 };
    if (!bundle_u64(&number, size)) return fail(err, "its checkpoint has no size");
    root->data = base64_decode(third + 1, strcspn(third + 1, "\n"), a, &root->length, NULL);
    return root->data && root->length == 32 ? TOLA_OK : fail(err, "its checkpoint has no root");
}

static tola_status check_proof(const tola_value *entry, const sigstore_log *log, bundle_bytes body, arena *a,
                               tola_error *err) {
    const tola_value *proof = tola_value_get(entry, "inclusionProof");
    const char *text = tola_value_str(tola_value_get(tola_value_get(proof, "checkpoint"), "envelope"), NULL);
    uint64_t index, size, vouched;
    bundle_bytes root;
    uint8_t path[MOST_HASHES][32], leaf[32], computed[32];
    size_t n;
    if (!proof || !text) return fail(err, "it has no proof of inclusion with a checkpoint");
    if (!bundle_u64(tola_value_get(proof, "logIndex"), &index) || !bundle_u64(tola_value_get(proof, "treeSize"), &size))
        return fail(err, "its proof of inclusion has no index and size");
    TRY(read_path(proof, path, &n, a, err));
    TRY(read_checkpoint(text, log, a, &vouched, &root, err));
    if (vouched != size) return fail(err, "its proof is of another tree than its checkpoint");
    TRY(merkle_leaf(body.data, body.length, leaf, err));
    if (!merkle_path_root(index, size, leaf, (const merkle_hash *)path, n, computed, err) ||
        !crypto_same(computed, root.data, 32))
        return fail(err, "its proof does not lead to the root that the log signed");
    return TOLA_OK;
}

/* ---- what it is about ---- */

static bool same_text(const tola_value *v, const buf *text) {
    return v && v->kind == TOLA_VALUE_STRING && v->as.string.length == text->length &&
           crypto_same(v->as.string.data, text->data, text->length);
}

/* The certificate in PEM form, in base64 once more, as entries name who signed. */
static void verifier_text(bundle_bytes der, buf *out) {
    buf line, pem;
    buf_init(&line, 0);
    buf_init(&pem, 0);
    base64_append(&line, der.data, der.length);
    buf_printf(&pem, "-----BEGIN CERTIFICATE-----\n");
    for (size_t at = 0; at < line.length; at += 64) {
        buf_append(&pem, line.data + at, line.length - at < 64 ? line.length - at : 64);
        buf_u8(&pem, '\n');
    }
    buf_printf(&pem, "-----END CERTIFICATE-----\n");
    if (line.failed || pem.failed)
        out->failed = true;
    else
        base64_append(out, pem.data, pem.length);
    buf_free(&line);
    buf_free(&pem);
}

/* An entry of kind dsse 0.0.1 names the payload's hash, the signature and the certificate. (Its hash of the envelope is
 * of bytes that no longer exist.) */
static tola_status check_body(bundle_bytes body, const bundle *b, arena *a, tola_error *err) {
    tola_value root;
    if (json_parse((const char *)body.data, body.length, a, &root, NULL) != TOLA_OK) return fail(err, "it is no JSON");
    const tola_value *spec = tola_value_get(&root, "spec"), *hash = tola_value_get(spec, "payloadHash");
    const tola_value *signatures = tola_value_get(spec, "signatures");
    if (strcmp(tola_value_str(tola_value_get(&root, "kind"), ""), "dsse") != 0 || !signatures ||
        signatures->kind != TOLA_VALUE_ARRAY || signatures->as.array.count != 1 ||
        strcmp(tola_value_str(tola_value_get(hash, "algorithm"), ""), "sha256") != 0)
        return fail(err, "it is not about one signed statement");
    uint8_t digest[32];
    char hex[DIGEST_HEX];
    TRY(sha256(b->payload.data, b->payload.length, digest, err));
    digest_to_hex(digest, sizeof digest, hex);
    if (strcmp(tola_value_str(tola_value_get(hash, "value"), ""), hex) != 0)
        return fail(err, "it is about another payload");
    tola_value one = tola_value_at(signatures, 0);
    buf signature, verifier;
    buf_init(&signature, 0);
    buf_init(&verifier, 0);
    base64_append(&signature, b->signature.data, b->signature.length);
    verifier_text(b->certificates[0], &verifier);
    bool failed = signature.failed || verifier.failed;
    bool good = !failed && same_text(tola_value_get(&one, "signature"), &signature) &&
                same_text(tola_value_get(&one, "verifier"), &verifier);
    buf_free(&signature);
    buf_free(&verifier);
    if (failed) return err_nomem(err, "verifying an entry");
    return good ? TOLA_OK : fail(err, "it is about another signature or certificate");
}

tola_status sigstore_entry_check(const sigstore_root *root, const tola_value *entry, const bundle *b, arena *a,
                                 int64_t *integrated, tola_error *err) {
    const tola_value *kind = tola_value_get(entry, "kindVersion");
    bundle_bytes id, body;
    uint64_t when, index;
    if (strcmp(tola_value_str(tola_value_get(kind, "kind"), ""), "dsse") != 0 ||
        strcmp(tola_value_str(tola_value_get(kind, "version"), ""), "0.0.1") != 0)
        return err_set(
            err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
            "the entry of the transparency log is not of kind dsse 0.0.1 (Rekor's second version, which needs "
            "timestamps of RFC 3161, is not verified)");
    TRY(bundle_base64(tola_value_get(entry, "logId"), "keyId", "logId", a, &id, err));
    TRY(bundle_base64(entry, "canonicalizedBody", "tlogEntries[0]", a, &body, err));
    if (id.length != 32 || !bundle_u64(tola_value_get(entry, "integratedTime"), &when) || when == 0 ||
        when > INT32_MAX * 64ll || !bundle_u64(tola_value_get(entry, "logIndex"), &index))
        return fail(err, "it lacks the log's id, an index or a time");
    const sigstore_log *log = find_log(root, id.data, (int64_t)when);
    if (!log) return fail(err, "it is of no log that the trust root knows for that time");
    TRY(check_promise(entry, log, body, when, index, a, err));
    TRY(check_proof(entry, log, body, a, err));
    TRY(check_body(body, b, a, err));
    *integrated = (int64_t)when;
    return TOLA_OK;
}
