/* Keys through libcrypto. Their bytes stay in its memory, which it wipes; the text of the file is wiped here. */
#include "trust/sign_key.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/hash.h"
#include "trust/base64.h"
#include "trust/crypt_ring.h"
#include "trust/digest.h"
#include "trust/whole.h"

enum { KEY_FILE_MOST = 1 << 20 };

static const struct kind_info {
    const char *name, *group; /* OpenSSL's name of the curve; NULL for Ed25519 */
} kinds[KEY_KINDS] = {
    [KEY_P256] = { "P-256", "prime256v1" },
    [KEY_P384] = { "P-384", "secp384r1" },
    [KEY_P521] = { "P-521", "secp521r1" },
    [KEY_ED25519] = { "Ed25519", NULL },
};

const char *key_kind_name(key_kind kind) { return kinds[kind].name; }

/* ---- kinds ---- */

/* Sets key->kind; TOLA_E_UNSUPPORTED for others. */
static tola_status find_kind(sign_key *key, tola_error *err) {
    const crypto *c = key->c;
    if (c->EVP_PKEY_is_a(key->pkey, "ED25519") == 1) {
        key->kind = KEY_ED25519;
        return TOLA_OK;
    }
    char group[64] = "";
    size_t length = 0;
    if (c->EVP_PKEY_is_a(key->pkey, "EC") == 1 &&
        c->EVP_PKEY_get_group_name(key->pkey, group, sizeof group, &length) == 1)
        for (int i = 0; i < KEY_ED25519; i++)
            if (strcmp(group, kinds[i].group) == 0) {
                key->kind = (key_kind)i;
                return TOLA_OK;
            }
    c->ERR_clear_error();
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                   "the key is of no kind that signs models: %s%s; P-256, P-384, P-521 and Ed25519 do",
                   group[0] ? "curve " : "no elliptic curve", group);
}

static tola_status adopt(const crypto *c, void *pkey, sign_key *out, tola_error *err) {
    sign_key key = { c, pkey, KEY_P256 };
    tola_status status = find_kind(&key, err);
    if (status != TOLA_OK) {
        c->EVP_PKEY_free(pkey);
        return status;
    }
    *out = key;
    return TOLA_OK;
}

typedef struct password {
    const char *text;
    bool asked;
} password;

/* Never a prompt: libcrypto would open the terminal by itself. */
static int give_password(char *into, int cap, int writing, void *user) {
    password *p = user;
    (void)writing;
    p->asked = true;
    size_t n = p->text ? strlen(p->text) : 0;
    if (n == 0 || cap <= 0 || n > (size_t)cap) return -1;
    memcpy(into, p->text, n);
    return (int)n;
}

/* PEM text to a key, as the function of libcrypto that is given does it. */
static void *read_pem(const crypto *c, const buf *text, bool private, password *p) {
    void *bio = c->BIO_new_mem_buf(text->data, (int)text->length);
    if (!bio) return NULL;
    void *pkey = private ? c->PEM_read_bio_PrivateKey(bio, NULL, give_password, p)
                         : c->PEM_read_bio_PUBKEY(bio, NULL, give_password, p);
    c->BIO_free(bio);
    return pkey;
}

void key_warn_wide(const char *path) {
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0) crypt_ring_warn_wide(path);
}

static tola_status read_file(const char *path, bool private, password *p, sign_key *out, tola_error *err) {
    const crypto *c;
    TRY(crypto_get(&c, err));
    buf text;
    TRY(whole_read(path, KEY_FILE_MOST, &text, err));
    void *pkey = read_pem(c, &text, private, p);
    whole_wipe(&text);
    tola_status status;
    if (pkey) {
        c->ERR_clear_error();
        status = adopt(c, pkey, out, err);
    } else if (p->asked && !p->text) {
        c->ERR_clear_error();
        status = err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the private key is encrypted: its passphrase is needed");
    } else if (p->asked) {
        c->ERR_clear_error();
        status =
            err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the private key does not open: wrong passphrase, or damaged");
    } else {
        c->ERR_clear_error(); /* its reason, "unsupported", tells nobody anything */
        status =
            err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "holds no %s key in PEM form", private ? "private" : "public");
    }
    return status == TOLA_OK ? status : err_in_file(err, status, path);
}

tola_status key_read_private(const char *path, const char *text, sign_key *out, tola_error *err) {
    password p = { text, false };
    TRY(read_file(path, true, &p, out, err));
    key_warn_wide(path);
    return TOLA_OK;
}

tola_status key_read_public(const char *path, sign_key *out, tola_error *err) {
    password p = { NULL, false };
    return read_file(path, false, &p, out, err);
}

tola_status key_from_der(bundle_bytes der, sign_key *out, tola_error *err) {
    const crypto *c;
    TRY(crypto_get(&c, err));
    const unsigned char *p = der.data;
    void *pkey = der.length <= LONG_MAX ? c->d2i_PUBKEY(NULL, &p, (long)der.length) : NULL;
    if (!pkey || p != der.data + der.length) {
        if (pkey) c->EVP_PKEY_free(pkey);
        c->ERR_clear_error();
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a public key cannot be read");
    }
    return adopt(c, pkey, out, err);
}

tola_status key_of_certificate(const crypto *c, void *x509, sign_key *out, tola_error *err) {
    sign_key key = { c, c->X509_get0_pubkey(x509), KEY_P256 };
    if (!key.pkey) {
        c->ERR_clear_error();
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the certificate's public key cannot be read");
    }
    TRY(find_kind(&key, err));
    *out = key;
    return TOLA_OK;
}

void key_free(sign_key *key) {
    if (key->pkey) key->c->EVP_PKEY_free(key->pkey);
    key->pkey = NULL;
}

/* ---- signing and verifying ---- */

/* NULL for Ed25519, which hashes by itself. */
static const void *hash_of(const sign_key *key) {
    switch (key->kind) {
    case KEY_P256: return key->c->EVP_sha256();
    case KEY_P384: return key->c->EVP_sha384();
    case KEY_P521: return key->c->EVP_sha512();
    default: return NULL;
    }
}

tola_status key_sign(const sign_key *key, const void *data, size_t bytes, buf *signature, tola_error *err) {
    const crypto *c = key->c;
    void *ctx = c->EVP_MD_CTX_new();
    if (!ctx) return err_nomem(err, "signing");
    size_t room = 0;
    bool good = c->EVP_DigestSignInit(ctx, NULL, hash_of(key), NULL, key->pkey) == 1 &&
                c->EVP_DigestSign(ctx, NULL, &room, data, bytes) == 1 && room <= 4096;
    if (good) buf_zeros(signature, room);
    good = good && !signature->failed &&
           c->EVP_DigestSign(ctx, signature->data + signature->length - room, &room, data, bytes) == 1;
    if (good) signature->length = room;
    c->EVP_MD_CTX_free(ctx);
    if (good) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "libcrypto does not sign: %s",
                   crypto_reason(c, "no reason"));
}

bool key_verify(const sign_key *key, bool sha256_always, const void *data, size_t bytes, bundle_bytes signature) {
    const crypto *c = key->c;
    void *ctx = c->EVP_MD_CTX_new();
    const void *md = sha256_always && key->kind != KEY_ED25519 ? c->EVP_sha256() : hash_of(key);
    bool good = ctx && c->EVP_DigestVerifyInit(ctx, NULL, md, NULL, key->pkey) == 1 &&
                c->EVP_DigestVerify(ctx, signature.data, signature.length, data, bytes) == 1;
    c->EVP_MD_CTX_free(ctx);
    c->ERR_clear_error();
    return good;
}

tola_status key_to_der(const sign_key *key, buf *der, tola_error *err) {
    const crypto *c = key->c;
    if (key->kind != KEY_ED25519) c->EVP_PKEY_set_utf8_string_param(key->pkey, "point-format", "uncompressed");
    unsigned char *bytes = NULL;
    int n = c->i2d_PUBKEY(key->pkey, &bytes);
    c->ERR_clear_error();
    if (n <= 0) return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "the public key cannot be written");
    buf_append(der, bytes, (size_t)n);
    c->CRYPTO_free(bytes, __FILE__, __LINE__);
    return der->failed ? err_nomem(err, "writing a key") : TOLA_OK;
}

tola_status key_hint(const sign_key *key, char hint[65], tola_error *err) {
    buf der, text, pem;
    buf_init(&der, 1 << 16);
    buf_init(&text, 1 << 17);
    buf_init(&pem, 1 << 17);
    tola_status status = key_to_der(key, &der, err);
    if (status == TOLA_OK) {
        base64_append(&text, der.data, der.length);
        buf_printf(&pem, "-----BEGIN PUBLIC KEY-----\n");
        for (size_t at = 0; at < text.length; at += 64) {
            buf_append(&pem, text.data + at, text.length - at < 64 ? text.length - at : 64);
            buf_u8(&pem, '\n');
        }
        buf_printf(&pem, "-----END PUBLIC KEY-----\n");
        if (text.failed || pem.failed) status = err_nomem(err, "naming a key");
    }
    uint8_t digest[SHA256_BYTES];
    if (status == TOLA_OK) status = sha256(pem.data, pem.length, digest, err);
    if (status == TOLA_OK) digest_to_hex(digest, sizeof digest, hint);
    buf_free(&der);
    buf_free(&text);
    buf_free(&pem);
    return status;
}
