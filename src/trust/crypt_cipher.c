/* See crypt_cipher.h. What has held a key on the stack is wiped; OpenSSL wipes its contexts when they are freed. */
#define _GNU_SOURCE 1 /* explicit_bzero */
#include "trust/crypt_cipher.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "trust/crypto.h"

/* openssl/evp.h, openssl/obj_mac.h */
enum { AEAD_GET_TAG = 0x10, AEAD_SET_TAG = 0x11, PKEY_X25519 = 1034 };
#define AT_ONCE ((size_t)1 << 30) /* lengths of EVP_CipherUpdate are ints */

static tola_status failed(const crypto *c, const char *what, tola_error *err) {
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "OpenSSL could not %s: %s", what,
                   crypto_reason(c, "it does not say why"));
}

tola_status crypt_random(void *out, size_t bytes, tola_error *err) {
    uint8_t *p = out;
    while (bytes) {
        ssize_t n = getrandom(p, bytes < 256 ? bytes : 256, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "the system gives no random numbers");
        p += n;
        bytes -= (size_t)n;
    }
    return TOLA_OK;
}

/* ---- HChaCha20: draft-irtf-cfrg-xchacha-03, section 2.2 ---- */

static uint32_t rotate(uint32_t v, unsigned n) { return v << n | v >> (32 - n); }

static void quarter(uint32_t *x, unsigned a, unsigned b, unsigned c, unsigned d) {
    x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 7);
}

void crypt_hchacha20(const uint8_t key[CRYPT_KEY], const uint8_t nonce[16], uint8_t out[CRYPT_KEY]) {
    uint32_t x[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }; /* "expand 32-byte k" */
    for (unsigned i = 0; i < 8; i++) x[4 + i] = load_le32(key + 4 * i);
    for (unsigned i = 0; i < 4; i++) x[12 + i] = load_le32(nonce + 4 * i);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 4; i++) quarter(x, i, 4 + i, 8 + i, 12 + i);
        for (unsigned i = 0; i < 4; i++) quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
    for (unsigned i = 0; i < 8; i++) {
        const uint32_t v = x[i < 4 ? i : i + 8];
        for (unsigned j = 0; j < 4; j++) out[4 * i + j] = (uint8_t)(v >> (8 * j));
    }
    explicit_bzero(x, sizeof x);
}

/* ---- HMAC, HKDF ---- */

tola_status crypt_hmac(const uint8_t key[CRYPT_KEY], const void *data, size_t bytes, uint8_t out[32], tola_error *err) {
    const crypto *c;
    unsigned length = 0;
    TRY(crypto_get(&c, err));
    if (c->HMAC(c->EVP_sha256(), key, CRYPT_KEY, data, bytes, out, &length) && length == 32) return TOLA_OK;
    return failed(c, "do HMAC", err);
}

tola_status crypt_hkdf(const void *salt, size_t salt_bytes, const uint8_t key[CRYPT_KEY], const char *info,
                       uint8_t out[CRYPT_KEY], tola_error *err) {
    const crypto *c;
    unsigned length = 0;
    uint8_t extracted[32], block[65];
    size_t n = strlen(info);
    TRY(crypto_get(&c, err));
    memcpy(block, info, n);
    block[n] = 1;
    bool done = c->HMAC(c->EVP_sha256(), salt, (int)salt_bytes, key, CRYPT_KEY, extracted, &length) &&
                c->HMAC(c->EVP_sha256(), extracted, 32, block, n + 1, out, &length);
    explicit_bzero(extracted, sizeof extracted);
    return done ? TOLA_OK : failed(c, "derive a key", err);
}

/* ---- ChaCha20-Poly1305 ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *cipher; /* looked up once: it takes longer than a small chunk */

static void fetch(void) {
    const crypto *c;
    if (crypto_get(&c, NULL) == TOLA_OK) cipher = c->EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
}

tola_status crypt_aead_open(crypt_aead *a, bool encrypts, const uint8_t key[CRYPT_KEY], tola_error *err) {
    const crypto *c;
    TRY(crypto_get(&c, err));
    pthread_once(&once, fetch);
    if (!cipher) return failed(c, "find ChaCha20-Poly1305", err);
    *a = (crypt_aead){ fault_hit(FAULT_ALLOC) ? NULL : c->EVP_CIPHER_CTX_new(), encrypts };
    if (!a->ctx) return err_nomem(err, "opening a cipher");
    if (c->EVP_CipherInit_ex(a->ctx, cipher, NULL, key, NULL, encrypts) == 1) return TOLA_OK;
    crypt_aead_close(a);
    return failed(c, "use ChaCha20-Poly1305", err);
}

void crypt_aead_close(crypt_aead *a) {
    const crypto *c;
    if (a->ctx && crypto_get(&c, NULL) == TOLA_OK) c->EVP_CIPHER_CTX_free(a->ctx);
    a->ctx = NULL;
}

/* The nonce of RFC 8439 is 32 zero bits and the end of XChaCha20's. */
static bool feed(crypt_aead *a, const crypto *c, const uint8_t tail[8], const void *aad, size_t aad_bytes,
                 const void *in, void *out, size_t bytes) {
    uint8_t nonce[12] = { 0 };
    int n;
    memcpy(nonce + 4, tail, 8);
    if (c->EVP_CipherInit_ex(a->ctx, NULL, NULL, NULL, nonce, -1) != 1) return false;
    if (aad_bytes && c->EVP_CipherUpdate(a->ctx, NULL, &n, aad, (int)aad_bytes) != 1) return false;
    for (size_t at = 0; at < bytes; at += AT_ONCE) {
        size_t here = bytes - at < AT_ONCE ? bytes - at : AT_ONCE;
        if (c->EVP_CipherUpdate(a->ctx, (uint8_t *)out + at, &n, (const uint8_t *)in + at, (int)here) != 1)
            return false;
    }
    return true;
}

tola_status crypt_seal(crypt_aead *a, const uint8_t tail[8], const void *aad, size_t aad_bytes, const void *in,
                       void *out, size_t bytes, uint8_t tag[CRYPT_TAG], tola_error *err) {
    const crypto *c;
    uint8_t rest[16];
    int n;
    TRY(crypto_get(&c, err));
    if (feed(a, c, tail, aad, aad_bytes, in, out, bytes) && c->EVP_CipherFinal_ex(a->ctx, rest, &n) == 1 &&
        c->EVP_CIPHER_CTX_ctrl(a->ctx, AEAD_GET_TAG, CRYPT_TAG, tag) == 1)
        return TOLA_OK;
    return failed(c, "encrypt", err);
}

tola_status crypt_unseal(crypt_aead *a, const uint8_t tail[8], const void *aad, size_t aad_bytes, const void *in,
                         void *out, size_t bytes, const uint8_t tag[CRYPT_TAG], bool *genuine, tola_error *err) {
    const crypto *c;
    uint8_t rest[16], copy[CRYPT_TAG];
    int n;
    TRY(crypto_get(&c, err));
    memcpy(copy, tag, sizeof copy);
    if (!feed(a, c, tail, aad, aad_bytes, in, out, bytes) ||
        c->EVP_CIPHER_CTX_ctrl(a->ctx, AEAD_SET_TAG, CRYPT_TAG, copy) != 1)
        return failed(c, "decrypt", err);
    *genuine = c->EVP_CipherFinal_ex(a->ctx, rest, &n) == 1;
    if (!*genuine) {
        c->ERR_clear_error();
        if (bytes) explicit_bzero(out, bytes);
    }
    return TOLA_OK;
}

static tola_status open_x(crypt_aead *a, bool encrypts, const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE],
                          tola_error *err) {
    uint8_t inner[CRYPT_KEY];
    crypt_hchacha20(key, nonce, inner);
    tola_status status = crypt_aead_open(a, encrypts, inner, err);
    explicit_bzero(inner, sizeof inner);
    return status;
}

tola_status crypt_xseal(const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE], const void *aad,
                        size_t aad_bytes, const void *in, void *out, size_t bytes, tola_error *err) {
    crypt_aead a = { 0 };
    TRY(open_x(&a, true, key, nonce, err));
    tola_status status = crypt_seal(&a, nonce + 16, aad, aad_bytes, in, out, bytes, (uint8_t *)out + bytes, err);
    crypt_aead_close(&a);
    return status;
}

tola_status crypt_xunseal(const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE], const void *aad,
                          size_t aad_bytes, const void *in, void *out, size_t bytes, bool *genuine, tola_error *err) {
    crypt_aead a = { 0 };
    TRY(open_x(&a, false, key, nonce, err));
    tola_status status =
        crypt_unseal(&a, nonce + 16, aad, aad_bytes, in, out, bytes, (const uint8_t *)in + bytes, genuine, err);
    crypt_aead_close(&a);
    return status;
}

/* ---- X25519: RFC 7748 ---- */

tola_status crypt_x25519_public(const uint8_t secret[CRYPT_KEY], uint8_t out[CRYPT_KEY], tola_error *err) {
    const crypto *c;
    size_t bytes = CRYPT_KEY;
    TRY(crypto_get(&c, err));
    void *key = c->EVP_PKEY_new_raw_private_key(PKEY_X25519, NULL, secret, CRYPT_KEY);
    bool done = key && c->EVP_PKEY_get_raw_public_key(key, out, &bytes) == 1 && bytes == CRYPT_KEY;
    c->EVP_PKEY_free(key);
    return done ? TOLA_OK : failed(c, "use X25519", err);
}

tola_status crypt_x25519(const uint8_t secret[CRYPT_KEY], const uint8_t theirs[CRYPT_KEY], uint8_t out[CRYPT_KEY],
                         tola_error *err) {
    const crypto *c;
    size_t bytes = CRYPT_KEY;
    TRY(crypto_get(&c, err));
    void *ours = c->EVP_PKEY_new_raw_private_key(PKEY_X25519, NULL, secret, CRYPT_KEY);
    void *peer = c->EVP_PKEY_new_raw_public_key(PKEY_X25519, NULL, theirs, CRYPT_KEY);
    void *ctx = ours && peer ? c->EVP_PKEY_CTX_new(ours, NULL) : NULL;
    bool ready = ctx && c->EVP_PKEY_derive_init(ctx) == 1 && c->EVP_PKEY_derive_set_peer(ctx, peer) == 1;
    bool done = ready && c->EVP_PKEY_derive(ctx, out, &bytes) == 1 && bytes == CRYPT_KEY;
    c->EVP_PKEY_CTX_free(ctx);
    c->EVP_PKEY_free(ours);
    c->EVP_PKEY_free(peer);
    if (done) return TOLA_OK;
    if (!ready) return failed(c, "use X25519", err);
    c->ERR_clear_error();
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a public key of small order, which protects nothing");
}
