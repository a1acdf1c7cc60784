/* Loading libsodium: one function of it. */
#include "trust/libsodium.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/err.h"

/* https://doc.libsodium.org/password_hashing/default_phf */
typedef int (*pwhash_fn)(unsigned char *out, unsigned long long out_bytes, const char *passphrase,
                         unsigned long long passphrase_bytes, const unsigned char *salt, unsigned long long passes,
                         size_t memory, int algorithm);
enum { ARGON2ID13 = 2 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pwhash_fn pwhash;

static void load(void) {
    static const char *const names[] = { "libsodium.so.23", "libsodium.so.26" };
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    void *init = dlsym(library, "sodium_init"), *hash = dlsym(library, "crypto_pwhash_argon2id");
    int (*begin)(void) = NULL;
    if (init) memcpy(&begin, &init, sizeof begin); /* see crypto.c */
    if (begin && hash && begin() >= 0) memcpy(&pwhash, &hash, sizeof pwhash);
}

tola_status argon2id(const void *passphrase, size_t bytes, const uint8_t salt[16], uint32_t memory_kib, uint32_t passes,
                     uint8_t out[32], tola_error *err) {
    pthread_once(&once, load);
    if (!pwhash)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "passphrases need libsodium (libsodium.so.23), which is not there; keys of tola keygen do not");
    if (pwhash(out, 32, passphrase, bytes, salt, passes, (size_t)memory_kib << 10, ARGON2ID13) == 0) return TOLA_OK;
    return err_set(err, TOLA_E_NOMEM, TOLA_NO_OFFSET, "no memory for a passphrase: Argon2id wants %u MiB",
                   memory_kib >> 10);
}
