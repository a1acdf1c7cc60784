/* Keys for encryption as files and text, and passphrases from files. docs/encrypt.md has their form. */
#ifndef TRUST_CRYPT_KEY_H
#define TRUST_CRYPT_KEY_H

#include "base/mem.h"
#include "trust/crypt_cipher.h"

enum { CRYPT_KEY_TEXT = 80, CRYPT_MOST_PASSPHRASE = 1024, CRYPT_MOST_KEYS = 64 };

typedef struct crypt_pair {
    uint8_t secret[CRYPT_KEY], public[CRYPT_KEY];
} crypt_pair;

/* "tola-public-1:..." and "tola-secret-1:..." */
tola_status crypt_public_text(const uint8_t key[CRYPT_KEY], char text[CRYPT_KEY_TEXT], tola_error *err);
tola_status crypt_secret_text(const uint8_t key[CRYPT_KEY], char text[CRYPT_KEY_TEXT], tola_error *err);

/* The first line of a file ("-" is stdin) without its line end, in locked memory (secret_free). *wide: others than the
 * owner may read the file. */
tola_status crypt_read_passphrase(const char *path, char **text, size_t *bytes, bool *wide, tola_error *err);
/* The secret keys in a file, with their public halves, in locked memory (secret_free). */
tola_status crypt_read_pairs(const char *path, crypt_pair **pairs, size_t *count, bool *wide, tola_error *err);
/* The same from text; `pairs` has room for CRYPT_MOST_KEYS. */
tola_status crypt_parse_pairs(const char *text, size_t bytes, crypt_pair *pairs, size_t *count, tola_error *err);
/* A public key as text, or the name of a file of them: appended to `keys`, 32 bytes each. */
tola_status crypt_add_recipients(const char *text_or_path, buf *keys, tola_error *err);
tola_status crypt_parse_recipients(const char *text, size_t bytes, buf *keys, tola_error *err);

#endif
