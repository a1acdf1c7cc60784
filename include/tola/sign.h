/* Signatures over models: OpenSSF Model Signing v1.0, as the model_signing package writes and reads it
 * (docs/signing.md).
 *
 * A model is a file or a folder. Its signature is a file of its own, a Sigstore bundle that names every file by its
 * digest and is signed with a key, or with a key that certificates vouch for. Needs OpenSSL 3 (libcrypto), loaded when
 * used. */
#ifndef TOLA_SIGN_H
#define TOLA_SIGN_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tola_sign_options {
    size_t size;             /* sizeof(tola_sign_options) */
    const char *key;         /* a private key in PEM form: P-256, P-384, P-521, Ed25519; required */
    const char *passphrase;  /* of the key; NULL */
    const char *certificate; /* PEM: the signer's certificate, then those between it and the root; NULL = bare key */
    const char *signature;   /* where it goes; NULL = tola_signature_path */
    const char *const *ignore_paths; /* relative to the model, or absolute; NULL-terminated; NULL = none */
    bool with_git;                   /* sign .git, .github, .gitignore, .gitattributes, too */
    bool allow_symlinks;             /* links to files count as the files they lead to; else they are errors */
    const char *hash;                /* "sha256" (NULL), "blake2b", "blake3" */
    uint64_t shard_size;             /* sign pieces of this many bytes; 0 = whole files */
    const char *provenance;          /* a statement of tola_provenance_write to be signed along; NULL */
    bool overwrite;                  /* an existing signature */
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
    uint64_t reserved[6];
} tola_sign_options;

#define TOLA_SIGN_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(tola_sign_options), NULL, NULL, NULL, NULL, NULL, false, false, NULL, 0, NULL, false, 0, NULL, NULL, {  \
            0                                                                                                          \
        }                                                                                                              \
    }

typedef struct tola_sign_summary {
    uint64_t resources; /* files or shards */
    uint64_t bytes;     /* hashed */
    double seconds;
    char digest[65]; /* of the manifest, in hexadecimal digits: what stands for the model */
    char key[16];    /* "P-256", ... */
    uint64_t reserved[4];
} tola_sign_summary;

/* Where the signature of `model` is by default: model.sig inside a folder, FILE.sig beside a file. Freed with
 * tola_free; NULL without memory. */
TOLA_API char *tola_signature_path(const char *model);

/* Signs. `summary` may be NULL. On failure no signature is left. */
TOLA_API TOLA_MUST_CHECK tola_status tola_sign(const char *model, const tola_sign_options *options,
                                               tola_sign_summary *summary, tola_error *err);

typedef struct tola_verify_options {
    size_t size;                     /* sizeof(tola_verify_options) */
    const char *signature;           /* NULL = tola_signature_path */
    const char *public_key;          /* PEM; this or trust_root is required, not both */
    const char *trust_root;          /* PEM with root certificates, or a trust root in Sigstore's JSON */
    const char *cert_identity;       /* the certificate must name this e-mail address, URI or DNS name; NULL = any */
    const char *cert_issuer;         /* sigstore: who vouched for the identity (OpenID Connect issuer); NULL = any */
    const char *const *ignore_paths; /* beside those of the signature */
    bool ignore_unsigned_files;      /* files that the signature does not name are no reason to fail */
    bool allow_symlinks;             /* beside what the signature says */
    bool chain;                      /* follow provenance to the signed originals */
    const char *const *origins;      /* folders in which originals are looked for, beside the model's own; NULL */
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
    uint64_t reserved[6];
} tola_verify_options;

#define TOLA_VERIFY_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(tola_verify_options), NULL, NULL, NULL, NULL, NULL, NULL, false, false, false, NULL, 0, NULL, NULL, {   \
            0                                                                                                          \
        }                                                                                                              \
    }

typedef struct tola_verify_rename {
    const char *from, *to;
} tola_verify_rename;

/* One model on the way to the original; the first is the one that was asked about. */
typedef struct tola_verify_link {
    const char *model;  /* its path */
    const char *digest; /* of its manifest, in hexadecimal digits; NULL where the signature could not be read */
    const char *reason; /* NULL where everything held */
    size_t inputs;      /* files that its provenance names; 0: it is an original */
    bool unsigned_data; /* no model, and not signed: `digest` is the SHA-256 that was recorded, of its only file */
    uint64_t reserved[2];
} tola_verify_link;

/* All text and lists live until tola_verification_free. */
typedef struct tola_verification {
    bool valid;
    const char *reason;   /* one line; NULL where valid */
    const char *method;   /* "key", "certificate", "sigstore"; NULL where the bundle could not be read */
    const char *key;      /* "P-256", ...; NULL where unknown */
    const char *identity; /* the name in the certificate; NULL */
    const char *subject;  /* of the certificate, in OpenSSL's one line ("/O=Acme/CN=Jane"); NULL */
    const char *issuer;   /* sigstore: who vouched for it; NULL */
    int64_t signed_at;    /* sigstore: seconds since 1970, as a log says; 0 */
    const char *name;     /* of the model when it was signed; NULL where the signature did not hold */
    const char *digest;   /* of the signed manifest; NULL likewise */
    const char *const *changed, *const *missing, *const *added; /* paths in the model, sorted */
    size_t n_changed, n_missing, n_added;
    const tola_verify_rename *renamed;
    size_t n_renamed;
    const tola_verify_link *chain; /* with options.chain */
    size_t n_chain;
    uint64_t resources, bytes; /* in the signature; hashed now */
    double seconds;
    bool anyone; /* valid, but nobody was demanded: anyone with a certificate under the root could have signed */
    const char *const *uncovered; /* what is there and was not looked at: the signature or options leave it out */
    size_t n_uncovered;           /* 100 at most */
    uint64_t reserved[2];
} tola_verification;

/* Whatever is wrong with the signature or the model's files is a verdict: TOLA_OK and out->valid false. A status is for
 * what kept it from finding out: no model, no signature (TOLA_E_NOT_FOUND), a key or trust root that cannot be used. */
TOLA_API TOLA_MUST_CHECK tola_status tola_verify(const char *model, const tola_verify_options *options,
                                                 tola_verification **out, tola_error *err);
TOLA_API void tola_verification_free(tola_verification *verification); /* NULL is fine */

/* ---- provenance ---- */

typedef struct tola_provenance {
    size_t size;                                /* sizeof(tola_provenance) */
    const char *verb;                           /* "convert", "quantize", ...: what was done */
    const char *const *inputs, *const *outputs; /* models: files or folders; NULL-terminated */
    const char *const *parameters;              /* "name=value"; NULL-terminated; NULL = none */
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
    const char *const *data;     /* inputs that are no models: examples, recipes, ...; NULL-terminated; NULL = none */
    const char *const *left_out; /* paths in outputs that are folders, no part of what came out; likewise */
    uint64_t reserved[4];
} tola_provenance;

#define TOLA_PROVENANCE_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(tola_provenance), NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, { 0 }                              \
    }

/* Writes an in-toto statement (SLSA provenance v1) to `path`: which files came out of which, each by SHA-256. It holds
 * no path beyond the models' own names. Inputs are hashed now: they must be what was read. An existing file is replaced
 * if `overwrite`. */
TOLA_API TOLA_MUST_CHECK tola_status tola_provenance_write(const char *path, const tola_provenance *provenance,
                                                           bool overwrite, tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
