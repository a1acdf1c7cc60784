/* tola_verify: who signed, then what. The order matters: nothing of a payload is read before its signature held. */
#include "trust/verify.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/options.h"
#include "trust/whole.h"

bool verify_is_verdict(tola_status status) {
    return status == TOLA_E_FORMAT || status == TOLA_E_LIMIT || status == TOLA_E_UNSUPPORTED || status == TOLA_E_ARG;
}

char *verify_copy(verify_result *v, const char *text) { return arena_strndup(&v->a, text, strlen(text)); }

/* ---- whom the caller trusts ---- */

static tola_status open_roots(const char *path, verify_trust *t, tola_error *err) {
    buf text;
    TRY(whole_read(path, 16 << 20, &text, err));
    const char *p = (const char *)text.data;
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') p++;
    tola_status status;
    if (*p == '{') {
        status = sigstore_root_parse((const char *)text.data, text.length, &t->sigstore, err);
        if (status != TOLA_OK) status = err_in_file(err, status, path);
    } else {
        status = certificates_read(path, &t->roots, err);
    }
    whole_wipe(&text);
    return status;
}

tola_status verify_trust_open(const tola_verify_options *o, verify_trust *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    if (!o->public_key == !o->trust_root)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "verifying needs either a public key or a trust root");
    if (o->public_key && (o->cert_identity || o->cert_issuer))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a bare key names nobody: identities need a trust root");
    if (o->public_key) return key_read_public(o->public_key, &out->key, err);
    TRY(open_roots(o->trust_root, out, err));
    out->identity = o->cert_identity;
    out->issuer = o->cert_issuer;
    if (!out->issuer || out->sigstore) return TOLA_OK;
    verify_trust_close(out);
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "only certificates of Sigstore name an issuer of identities");
}

void verify_trust_close(verify_trust *t) {
    key_free(&t->key);
    certificates_free(&t->roots);
    sigstore_root_free(t->sigstore);
    t->sigstore = NULL;
}

/* ---- who signed ---- */

/* The signature over the payload, also as model_signing before 1.0 made it: over other bytes, and over SHA-256 whatever
 * the curve. */
static tola_status check_payload(const sign_key *key, const bundle *b, tola_error *err) {
    if (strcmp(b->payload_type, DSSE_PAYLOAD_TYPE) != 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the payload is no in-toto statement by its type");
    buf bytes;
    buf_init(&bytes, 0);
    dsse_bytes(b->payload, &bytes);
    bool good = !bytes.failed && key_verify(key, false, bytes.data, bytes.length, b->signature);
    if (!good && !bytes.failed) {
        bytes.length = 0;
        dsse_bytes_old(b->payload, &bytes);
        good = !bytes.failed && (key_verify(key, false, bytes.data, bytes.length, b->signature) ||
                                 key_verify(key, true, bytes.data, bytes.length, b->signature));
    }
    bool failed = bytes.failed;
    buf_free(&bytes);
    if (failed) return err_nomem(err, "verifying a signature");
    if (good) return TOLA_OK;
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the signature is not that of this key over this content");
}

static tola_status check_key(const verify_trust *t, const bundle *b, verify_result *v, tola_error *err) {
    if (v) {
        v->pub.method = "key";
        v->pub.key = key_kind_name(t->key.kind);
    }
    if (!b->has_key)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "it was signed with a certificate: a trust root is needed, not a key");
    if (b->hint) {
        char hint[65];
        TRY(key_hint(&t->key, hint, err));
        if (strlen(b->hint) != 64 || !crypto_same(b->hint, hint, 64))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "it was signed with another key");
    }
    return check_payload(&t->key, b, err);
}

static tola_status check_identity(const verify_trust *t, void *leaf, const crypto *c, verify_result *v,
                                  tola_error *err) {
    char name[1024], issuer[1024];
    bool named = certificate_first_name(c, leaf, name, sizeof name);
    bool issued = sigstore_issuer(c, leaf, issuer, sizeof issuer);
    if (v && named && !(v->pub.identity = verify_copy(v, name))) return err_nomem(err, "verifying a signature");
    char subject[512];
    certificate_subject(c, leaf, subject, sizeof subject);
    if (v && *subject && !(v->pub.subject = verify_copy(v, subject))) return err_nomem(err, "verifying a signature");
    if (v) v->pub.anyone = !t->identity;
    if (v && issued && !(v->pub.issuer = verify_copy(v, issuer))) return err_nomem(err, "verifying a signature");
    if (t->identity && !certificate_names(c, leaf, t->identity))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the certificate does not name %s but %s", t->identity,
                       named ? name : "nobody");
    if (t->issuer && (!issued || strcmp(issuer, t->issuer) != 0))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the identity was not vouched for by %s but by %s",
                       t->issuer, issued ? issuer : "nobody");
    return TOLA_OK;
}

static tola_status check_chain(const verify_trust *t, const bundle *b, const certificates *chain, verify_result *v,
                               tola_error *err) {
    const crypto *c = chain->c;
    void *leaf = chain->items[0];
    sign_key key;
    TRY(key_of_certificate(c, leaf, &key, err));
    if (v) v->pub.key = key_kind_name(key.kind);
    if (t->sigstore) {
        int64_t signed_at;
        TRY(sigstore_check(t->sigstore, b, chain, &signed_at, err));
        if (v) v->pub.signed_at = signed_at;
    } else {
        int64_t from, to;
        if (!certificate_times(c, leaf, &from, &to))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the certificate's dates cannot be read");
        TRY(certificate_check(c, leaf, chain, 1, &t->roots, from, NULL, err));
        TRY(certificate_may_sign(c, leaf, false, err));
    }
    TRY(check_identity(t, leaf, c, v, err));
    return check_payload(&key, b, err);
}

static tola_status check_certificates(const verify_trust *t, const bundle *b, verify_result *v, tola_error *err) {
    if (v) v->pub.method = t->sigstore ? "sigstore" : "certificate";
    if (b->n_certificates == 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "it was signed with a bare key: that key is needed, not a trust root");
    certificates chain = { 0 };
    tola_status status = TOLA_OK;
    for (size_t i = 0; status == TOLA_OK && i < b->n_certificates; i++)
        status = certificates_add_der(&chain, b->certificates[i], err);
    if (status == TOLA_OK) status = check_chain(t, b, &chain, v, err);
    certificates_free(&chain);
    return status;
}

tola_status verify_signature(const char *path, const verify_trust *t, verify_result *v, statement *out,
                             tola_error *err) {
    buf text;
    bundle b;
    TRY(whole_read(path, BUNDLE_MOST_BYTES, &text, err));
    tola_status status = bundle_parse((const char *)text.data, text.length, &b, err);
    whole_wipe(&text);
    if (status != TOLA_OK) return status;
    status = t->key.pkey ? check_key(t, &b, v, err) : check_certificates(t, &b, v, err);
    if (status == TOLA_OK) status = statement_parse(b.payload, out, err);
    bundle_free(&b);
    return status;
}

/* ---- both ---- */

static tola_status keep_statement(verify_result *v, const statement *s, tola_error *err) {
    char hex[DIGEST_HEX];
    digest_to_hex(s->root, 32, hex);
    v->pub.name = verify_copy(v, s->m.name);
    v->pub.digest = verify_copy(v, hex);
    v->pub.resources = s->m.count;
    return v->pub.name && v->pub.digest ? TOLA_OK : err_nomem(err, "verifying a model");
}

/* The first reason stays. */
static tola_status refuse(verify_result *v, const char *reason, tola_error *err) {
    v->pub.valid = false;
    if (!v->pub.reason && !(v->pub.reason = verify_copy(v, reason))) return err_nomem(err, "verifying a model");
    return TOLA_OK;
}

static tola_status verify_all(const char *model, const char *path, const tola_verify_options *o, verify_trust *t,
                              verify_result *v, tola_error *err) {
    tola_error why = TOLA_ERROR_INIT;
    statement s;
    tola_status status = verify_signature(path, t, v, &s, &why);
    if (status != TOLA_OK) {
        if (verify_is_verdict(status)) return refuse(v, why.message, err);
        return err_set(err, status, why.offset, "%s", why.message);
    }
    status = keep_statement(v, &s, err);
    if (status == TOLA_OK) status = verify_model(model, path, o, &s, v, err);
    if (status == TOLA_OK && o->chain) status = verify_chain(model, o, t, &s, v, err);
    statement_free(&s);
    return status;
}

tola_status tola_verify(const char *model, const tola_verify_options *options, tola_verification **out,
                        tola_error *err) {
    tola_verify_options o = TOLA_VERIFY_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    double start = clock_seconds();
    verify_trust t;
    TRY(verify_trust_open(&o, &t, err));
    verify_result *v = mem_calloc(1, sizeof *v);
    char *path = o.signature ? mem_strdup(o.signature) : tola_signature_path(model);
    tola_status status = v && path ? TOLA_OK : err_nomem(err, "verifying a model");
    if (status == TOLA_OK) {
        arena_init(&v->a, 0);
        v->pub.valid = true;
        status = verify_all(model, path, &o, &t, v, err);
    }
    mem_free(path);
    verify_trust_close(&t);
    if (status != TOLA_OK) {
        tola_verification_free(v ? &v->pub : NULL);
        return status;
    }
    v->pub.seconds = clock_seconds() - start;
    *out = &v->pub;
    return TOLA_OK;
}

void tola_verification_free(tola_verification *verification) {
    if (!verification) return;
    verify_result *v = (verify_result *)verification;
    arena_free(&v->a);
    mem_free(v);
}
