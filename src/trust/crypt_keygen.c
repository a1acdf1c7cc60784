/* New keys: X25519 for encryption as our own text, Ed25519 and curves of NIST for signatures as PEM. The secret one is
 * written to a file that was never open to others. */
#define _GNU_SOURCE 1 /* explicit_bzero */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/output.h"
#include "base/secret.h"
#include "trust/crypt_key.h"
#include "trust/crypto.h"
#include <tola/encrypt.h>

enum { TEXT = 2048 };

typedef struct key_texts {
    char secret[TEXT], public[TEXT];
} key_texts;

static tola_status make_x25519(key_texts *t, tola_error *err) {
    uint8_t secret[CRYPT_KEY], public[CRYPT_KEY];
    char line[CRYPT_KEY_TEXT];
    TRY(crypt_random(secret, sizeof secret, err));
    tola_status status = crypt_x25519_public(secret, public, err);
    if (status == TOLA_OK) status = crypt_public_text(public, line, err);
    if (status == TOLA_OK) {
        strcat(strcpy(t->public, line), "\n");
        strcat(strcat(strcpy(t->secret, "# Opens what was encrypted for "), line), "\n");
        status = crypt_secret_text(secret, line, err);
    }
    if (status == TOLA_OK) strcat(strcat(t->secret, line), "\n");
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(line, sizeof line);
    return status;
}

/* What was written to memory, as text. */
static bool take_text(const crypto *c, void *bio, char text[TEXT]) {
    int n = c->BIO_read(bio, text, TEXT - 1);
    if (n <= 0) return false;
    text[n] = 0;
    return true;
}

static tola_status make_pem(const char *type, const char *curve, key_texts *t, tola_error *err) {
    const crypto *c;
    TRY(crypto_get(&c, err));
    void *key = curve ? c->EVP_PKEY_Q_keygen(NULL, NULL, type, curve) : c->EVP_PKEY_Q_keygen(NULL, NULL, type);
    void *secret = c->BIO_new(c->BIO_s_mem()), *public = c->BIO_new(c->BIO_s_mem());
    bool done =
        key && secret && public && c->PEM_write_bio_PKCS8PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1 &&
        c->PEM_write_bio_PUBKEY(public, key) == 1 && take_text(c, secret, t->secret) && take_text(c, public, t->public);
    c->EVP_PKEY_free(key);
    if (secret) c->BIO_free(secret); /* OpenSSL wipes what is in it */
    if (public) c->BIO_free(public);
    if (done) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "OpenSSL made no key: %s",
                   crypto_reason(c, "it does not say why"));
}

static tola_status make(const char *kind, key_texts *t, tola_error *err) {
    static const struct {
        const char *kind, *type, *curve;
    } pems[] = {
        { "ed25519", "ED25519", NULL }, { "p256", "EC", "P-256" }, { "p384", "EC", "P-384" }, { "p521", "EC", "P-521" }
    };
    if (strcmp(kind, "encrypt") == 0) return make_x25519(t, err);
    for (size_t i = 0; i < sizeof pems / sizeof *pems; i++)
        if (strcmp(kind, pems[i].kind) == 0) return make_pem(pems[i].type, pems[i].curve, t, err);
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "no kind of key is called '%s'", kind);
}

static tola_status write_file(output_set *set, const char *path, bool private, const char *text, tola_error *err) {
    output_file *file;
    const size_t n = strlen(text);
    TRY(private ? output_add_private(set, path, n, &file, err) : output_add(set, path, n, &file, err));
    return output_write(file, 0, text, n, err);
}

static tola_status write_both(const char *path, const key_texts *t, bool overwrite, tola_error *err) {
    output_set *set;
    const size_t n = strlen(path);
    char *pub = mem_alloc(n + 5);
    if (!pub) return err_nomem(err, "naming a key");
    memcpy(pub, path, n);
    memcpy(pub + n, ".pub", 5);
    tola_status status = output_set_open(overwrite, &set, err);
    if (status == TOLA_OK) {
        status = write_file(set, path, true, t->secret, err);
        if (status == TOLA_OK) status = write_file(set, pub, false, t->public, err);
        if (status == TOLA_OK)
            status = output_commit(set, err);
        else
            output_abort(set);
    }
    mem_free(pub);
    return status;
}

tola_status tola_keygen(const char *path, const char *kind, bool overwrite, tola_error *err) {
    key_texts *t = secret_alloc(sizeof *t);
    if (!t)
        return err_set(err, TOLA_E_NOMEM, TOLA_NO_OFFSET,
                       "memory for keys cannot be locked: raise the limit that ulimit -l shows");
    tola_status status = make(kind, t, err);
    if (status == TOLA_OK) status = write_both(path, t, overwrite, err);
    secret_free(t);
    return status;
}
