/* The ciphers of encrypted models: XChaCha20-Poly1305, HKDF-SHA256, X25519.
 *
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) is HChaCha20, here, and the ChaCha20-Poly1305 of RFC 8439, which
 * OpenSSL does more than twice as fast as libsodium. Everything else is OpenSSL's, too. */
#ifndef TRUST_CRYPT_CIPHER_H
#define TRUST_CRYPT_CIPHER_H

#include <tola/base.h>

enum { CRYPT_KEY = 32, CRYPT_NONCE = 24, CRYPT_TAG = 16, CRYPT_ID = 16 };

tola_status crypt_random(void *out, size_t bytes, tola_error *err);
/* The key that XChaCha20 goes on with, from a key and the first 16 bytes of a nonce. */
void crypt_hchacha20(const uint8_t key[CRYPT_KEY], const uint8_t nonce[16], uint8_t out[CRYPT_KEY]);
/* RFC 5869 with an output of 32 bytes; `info` is a text of at most 64 characters. */
tola_status crypt_hkdf(const void *salt, size_t salt_bytes, const uint8_t key[CRYPT_KEY], const char *info,
                       uint8_t out[CRYPT_KEY], tola_error *err);
tola_status crypt_hmac(const uint8_t key[CRYPT_KEY], const void *data, size_t bytes, uint8_t out[32], tola_error *err);

/* One key's cipher; used by one thread at a time. */
typedef struct crypt_aead {
    void *ctx;
    bool encrypts;
} crypt_aead;
/* With the key of ChaCha20-Poly1305, which is what crypt_hchacha20 gives. */
tola_status crypt_aead_open(crypt_aead *a, bool encrypts, const uint8_t key[CRYPT_KEY], tola_error *err);
void crypt_aead_close(crypt_aead *a); /* zeroed is fine */
/* `out` may be `in`. `tail` are the last 8 bytes of the nonce of XChaCha20. */
tola_status crypt_seal(crypt_aead *a, const uint8_t tail[8], const void *aad, size_t aad_bytes, const void *in,
                       void *out, size_t bytes, uint8_t tag[CRYPT_TAG], tola_error *err);
/* *genuine: the tag holds; where it does not, `out` is cleared. */
tola_status crypt_unseal(crypt_aead *a, const uint8_t tail[8], const void *aad, size_t aad_bytes, const void *in,
                         void *out, size_t bytes, const uint8_t tag[CRYPT_TAG], bool *genuine, tola_error *err);
/* The whole of XChaCha20-Poly1305 at once; the tag follows the ciphertext. */
tola_status crypt_xseal(const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE], const void *aad,
                        size_t aad_bytes, const void *in, void *out, size_t bytes, tola_error *err);
tola_status crypt_xunseal(const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE], const void *aad,
                          size_t aad_bytes, const void *in, void *out, size_t bytes, bool *genuine, tola_error *err);

tola_status crypt_x25519_public(const uint8_t secret[CRYPT_KEY], uint8_t out[CRYPT_KEY], tola_error *err);
/* TOLA_E_ARG where `theirs` is a point of small order, which anybody would agree with. */
tola_status crypt_x25519(const uint8_t secret[CRYPT_KEY], const uint8_t theirs[CRYPT_KEY], uint8_t out[CRYPT_KEY],
                         tola_error *err);

#endif
