/* tola_sign: manifest, statement, signature, bundle, file. */
#include <tola/sign.h>

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/options.h"
#include "base/text.h"
#include "trust/certificate.h"
#include "trust/provenance.h"
#include "trust/sign_key.h"
#include "trust/sign_name.h"
#include "trust/statement.h"
#include "trust/whole.h"

enum { SMALLEST_SHARD = 1 << 16 }; /* smaller ones make signatures larger than models */

typedef struct signing {
    const tola_sign_options *o;
    const char *model;
    char *path; /* of the signature */
    sign_key key;
    certificates chain;
    manifest m;
    manifest_files files;
    arena a;
    const tola_value *provenance;
    buf payload, signature, bundle;
} signing;

/* ---- who signs ---- */

static tola_status read_chain(signing *s, tola_error *err) {
    if (!s->o->certificate) return TOLA_OK;
    TRY(certificates_read(s->o->certificate, &s->chain, err));
    const crypto *c = s->chain.c;
    tola_status status = TOLA_OK;
    if (s->chain.count > BUNDLE_MOST_CERTIFICATES)
        status = err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d certificates", (int)BUNDLE_MOST_CERTIFICATES);
    else if (c->EVP_PKEY_eq(c->X509_get0_pubkey(s->chain.items[0]), s->key.pkey) != 1)
        status = err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                         "the first certificate is not that of the private key (it must come first)");
    else
        status = certificate_may_sign(c, s->chain.items[0], false, err);
    c->ERR_clear_error();
    return status == TOLA_OK ? status : err_in_file(err, status, s->o->certificate);
}

/* ---- what is signed ---- */

static tola_status take_rules(signing *s, tola_error *err) {
    const tola_sign_options *o = s->o;
    manifest_rules *rules = &s->m.rules;
    if (o->hash && !digest_find(o->hash, &rules->hash))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "no hash is called '%s': sha256, blake2b and blake3 are",
                       o->hash);
    if (o->shard_size && o->shard_size < SMALLEST_SHARD)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "shards have at least %d bytes", (int)SMALLEST_SHARD);
    if (o->shard_size && digest_get(rules->hash)->branch)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "shards are for hashes that are chains: blake3 is a tree, whole files are as fast");
    rules->shard_size = o->shard_size;
    rules->allow_symlinks = o->allow_symlinks;
    static const char *const git[] = { ".git", ".gitattributes", ".github", ".gitignore" };
    for (size_t i = 0; !o->with_git && i < sizeof git / sizeof *git; i++)
        TRY(manifest_ignore(&s->m, s->model, git[i], err));
    for (size_t i = 0; o->ignore_paths && o->ignore_paths[i]; i++)
        TRY(manifest_ignore(&s->m, s->model, o->ignore_paths[i], err));
    return sign_ignore_file(&s->m, s->model, s->path, err);
}

static tola_status take_name(signing *s, tola_error *err) {
    char *name = sign_model_name(s->model);
    if (!name) return err_nomem(err, "naming the model");
    bool good = utf8_valid(name, strlen(name));
    s->m.name = good ? arena_strndup(&s->m.a, name, strlen(name)) : NULL;
    mem_free(name);
    if (s->m.name) return TOLA_OK;
    return good ? err_nomem(err, "naming the model")
                : err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the model's name is no UTF-8, which JSON needs");
}

/* ---- the signature ---- */

static tola_status sign_payload(signing *s, tola_error *err) {
    bundle_bytes payload = { s->payload.data, s->payload.length }, certs[BUNDLE_MOST_CERTIFICATES];
    size_t ends[BUNDLE_MOST_CERTIFICATES];
    char hint[65];
    buf signed_bytes, ders;
    buf_init(&signed_bytes, 0);
    buf_init(&ders, 0);
    dsse_bytes(payload, &signed_bytes);
    tola_status status = signed_bytes.failed ? err_nomem(err, "signing") : key_hint(&s->key, hint, err);
    if (status == TOLA_OK) status = key_sign(&s->key, signed_bytes.data, signed_bytes.length, &s->signature, err);
    for (size_t i = 0; status == TOLA_OK && i < s->chain.count; i++) {
        status = certificates_to_der(&s->chain, i, &ders, err);
        ends[i] = ders.length;
    }
    for (size_t i = 0; status == TOLA_OK && i < s->chain.count; i++) {
        size_t from = i ? ends[i - 1] : 0;
        certs[i] = (bundle_bytes){ ders.data + from, ends[i] - from };
    }
    if (status == TOLA_OK) {
        bundle_bytes signature = { s->signature.data, s->signature.length };
        bundle_write(payload, signature, hint, certs, s->chain.count, &s->bundle);
        if (s->bundle.failed) status = err_nomem(err, "writing a signature");
    }
    buf_free(&signed_bytes);
    buf_free(&ders);
    return status;
}

static tola_status sign_all(signing *s, tola_sign_summary *summary, tola_error *err) {
    const tola_sign_options *o = s->o;
    manifest_work work = { o->threads, o->progress, o->progress_user, 0 };
    uint8_t root[32];
    TRY(key_read_private(o->key, o->passphrase, &s->key, err));
    TRY(read_chain(s, err));
    if (o->provenance) TRY(provenance_read(o->provenance, &s->a, &s->provenance, err));
    TRY(take_rules(s, err));
    TRY(take_name(s, err));
    TRY(manifest_walk(s->model, &s->m.rules, &s->files, err));
    TRY(manifest_make(&s->m, &s->files, &work, err));
    if (s->m.count == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: there is nothing to sign in it", s->model);
    if (s->provenance) {
        tola_status status = provenance_matches(s->provenance, &s->m, err);
        if (status != TOLA_OK) return err_in_file(err, status, o->provenance);
    }
    TRY(statement_write(&s->m, s->provenance, root, &s->payload, err));
    TRY(sign_payload(s, err));
    if (s->bundle.length > BUNDLE_MOST_BYTES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the signature would have more than 256 MiB");
    TRY(whole_write(s->path, &s->bundle, o->overwrite, err));
    summary->resources = s->m.count;
    summary->bytes = work.bytes;
    digest_to_hex(root, sizeof root, summary->digest);
    strcpy(summary->key, key_kind_name(s->key.kind));
    return TOLA_OK;
}

tola_status tola_sign(const char *model, const tola_sign_options *options, tola_sign_summary *summary,
                      tola_error *err) {
    tola_sign_options o = TOLA_SIGN_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    if (!o.key) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "signing needs a private key");
    double start = clock_seconds();
    tola_sign_summary result = { 0 };
    signing s = { .o = &o, .model = model };
    manifest_init(&s.m);
    arena_init(&s.a, 0);
    buf_init(&s.payload, 0);
    buf_init(&s.signature, 0);
    buf_init(&s.bundle, 0);
    s.path = o.signature ? mem_strdup(o.signature) : tola_signature_path(model);
    tola_status status = s.path ? sign_all(&s, &result, err) : err_nomem(err, "signing");
    result.seconds = clock_seconds() - start;
    if (status == TOLA_OK && summary) *summary = result;
    buf_free(&s.payload);
    buf_free(&s.signature);
    buf_free(&s.bundle);
    manifest_files_free(&s.files);
    manifest_free(&s.m);
    certificates_free(&s.chain);
    key_free(&s.key);
    arena_free(&s.a);
    mem_free(s.path);
    return status;
}
