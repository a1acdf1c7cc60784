/* The ring: one block of locked memory behind a lock. File keys that were found are kept, by file id, so that the files
 * of a folder cost one Argon2id together. */
#include "trust/crypt_ring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/secret.h"
#include "trust/crypt_key.h"
#include <tola/encrypt.h>

enum { MOST_KNOWN = 64 };

typedef struct ring {
    crypt_pair pairs[CRYPT_MOST_KEYS];
    size_t pair_count;
    struct {
        size_t bytes;
        char text[CRYPT_MOST_PASSPHRASE];
    } passphrases[CRYPT_MOST_PASSPHRASES];
    size_t passphrase_count;
    struct {
        uint8_t id[CRYPT_ID], key[CRYPT_KEY];
    } known[MOST_KNOWN];
    size_t known_count, known_next;
} ring;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ring *keys; /* NULL: empty */

static pthread_mutex_t warning_lock = PTHREAD_MUTEX_INITIALIZER; /* taken with and without the other */
static tola_keys_warning_fn warning;
static void *warning_user;

void tola_keys_on_warning(tola_keys_warning_fn fn, void *user) {
    pthread_mutex_lock(&warning_lock);
    warning = fn;
    warning_user = user;
    pthread_mutex_unlock(&warning_lock);
}

void crypt_ring_warn_wide(const char *path) {
    static _Atomic uint64_t told; /* of one file once, however often it is read */
    const uint64_t this = hash_string(path, strlen(path));
    if (atomic_exchange(&told, this) == this) return;
    char message[1024];
    snprintf(message, sizeof message, "%s: others than its owner may read this key: chmod 600", path);
    pthread_mutex_lock(&warning_lock);
    tola_keys_warning_fn fn = warning;
    void *user = warning_user;
    pthread_mutex_unlock(&warning_lock);
    if (fn) fn(user, message);
}

void tola_keys_forget(void) {
    pthread_mutex_lock(&lock);
    secret_free(keys);
    keys = NULL;
    pthread_mutex_unlock(&lock);
}

/* ---- filling; the lock is held ---- */

static tola_status need_ring(tola_error *err) {
    if (!keys) keys = secret_alloc(sizeof *keys);
    if (keys) return TOLA_OK;
    return err_set(err, TOLA_E_NOMEM, TOLA_NO_OFFSET,
                   "memory for keys cannot be locked: raise the limit that ulimit -l shows");
}

static tola_status add_identity(const char *path, tola_error *err) {
    crypt_pair *pairs;
    size_t count;
    bool wide;
    TRY(need_ring(err));
    TRY(crypt_read_pairs(path, &pairs, &count, &wide, err));
    tola_status status = TOLA_OK;
    if (count > CRYPT_MOST_KEYS - keys->pair_count)
        status = err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d keys to open with", (int)CRYPT_MOST_KEYS);
    else
        memcpy(keys->pairs + keys->pair_count, pairs, count * sizeof *pairs);
    if (status == TOLA_OK) keys->pair_count += count;
    secret_free(pairs);
    if (status == TOLA_OK && wide) crypt_ring_warn_wide(path);
    return status;
}

static tola_status add_passphrase(const void *text, size_t bytes, tola_error *err) {
    TRY(need_ring(err));
    if (bytes == 0 || bytes > CRYPT_MOST_PASSPHRASE)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a passphrase has 1 to %d bytes", (int)CRYPT_MOST_PASSPHRASE);
    if (keys->passphrase_count == CRYPT_MOST_PASSPHRASES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d passphrases to open with",
                       (int)CRYPT_MOST_PASSPHRASES);
    keys->passphrases[keys->passphrase_count].bytes = bytes;
    memcpy(keys->passphrases[keys->passphrase_count++].text, text, bytes);
    return TOLA_OK;
}

static tola_status add_passphrase_file(const char *path, tola_error *err) {
    char *text;
    size_t bytes;
    bool wide;
    TRY(crypt_read_passphrase(path, &text, &bytes, &wide, err));
    tola_status status = add_passphrase(text, bytes, err);
    secret_free(text);
    if (status == TOLA_OK && wide) crypt_ring_warn_wide(path);
    return status;
}

static bool is_empty(void) { return !keys || (keys->pair_count == 0 && keys->passphrase_count == 0); }

static tola_status take_environment(tola_error *err) {
    const char *identity = getenv("TOLA_IDENTITY"), *passphrase = getenv("TOLA_PASSPHRASE_FILE");
    if (identity && *identity) TRY(add_identity(identity, err));
    return passphrase && *passphrase ? add_passphrase_file(passphrase, err) : TOLA_OK;
}

tola_status tola_keys_add_identity(const char *path, tola_error *err) {
    pthread_mutex_lock(&lock);
    tola_status status = add_identity(path, err);
    pthread_mutex_unlock(&lock);
    return status;
}

tola_status tola_keys_add_passphrase_file(const char *path, tola_error *err) {
    pthread_mutex_lock(&lock);
    tola_status status = add_passphrase_file(path, err);
    pthread_mutex_unlock(&lock);
    return status;
}

tola_status tola_keys_add_passphrase(const void *text, size_t bytes, tola_error *err) {
    pthread_mutex_lock(&lock);
    tola_status status = add_passphrase(text, bytes, err);
    pthread_mutex_unlock(&lock);
    return status;
}

/* ---- opening; the lock is held ---- */

static bool find_known(const crypt_header *h, uint8_t file_key[CRYPT_KEY]) {
    for (size_t i = 0; i < keys->known_count; i++)
        if (memcmp(keys->known[i].id, crypt_id(h), CRYPT_ID) == 0 && crypt_header_fits(h, keys->known[i].key)) {
            memcpy(file_key, keys->known[i].key, CRYPT_KEY);
            return true;
        }
    return false;
}

static void remember(const crypt_header *h, const uint8_t file_key[CRYPT_KEY]) {
    size_t at = keys->known_next++ % MOST_KNOWN;
    if (keys->known_count < MOST_KNOWN) keys->known_count++;
    memcpy(keys->known[at].id, crypt_id(h), CRYPT_ID);
    memcpy(keys->known[at].key, file_key, CRYPT_KEY);
}

static tola_status try_pairs(const crypt_header *h, uint8_t *file_key, bool *opened, tola_error *err) {
    for (size_t i = 0; i < h->count; i++)
        for (size_t k = 0; k < keys->pair_count && h->stanzas[i].kind == CRYPT_X25519; k++) {
            const crypt_pair *p = &keys->pairs[k];
            TRY(crypt_unwrap_x25519(h, &h->stanzas[i], p->secret, p->public, file_key, opened, err));
            if (*opened) return TOLA_OK;
        }
    return TOLA_OK;
}

static tola_status try_passphrases(const crypt_header *h, uint8_t *file_key, bool *opened, tola_error *err) {
    for (size_t k = 0; k < keys->passphrase_count; k++)
        for (size_t i = 0; i < h->count; i++) {
            if (h->stanzas[i].kind != CRYPT_PASSPHRASE) continue;
            TRY(crypt_unwrap_passphrase(h, &h->stanzas[i], keys->passphrases[k].text, keys->passphrases[k].bytes,
                                        file_key, opened, err));
            if (*opened) return TOLA_OK;
        }
    return TOLA_OK;
}

static tola_status no_key(const crypt_header *h, tola_error *err) {
    bool pair = false, passphrase = false;
    for (size_t i = 0; i < h->count; i++) {
        pair |= h->stanzas[i].kind == CRYPT_X25519;
        passphrase |= h->stanzas[i].kind == CRYPT_PASSPHRASE;
    }
    const char *with = pair && passphrase ? "--identity KEY or --passphrase-file FILE"
                       : pair             ? "--identity KEY"
                                          : "--passphrase-file FILE";
    if (is_empty()) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "is encrypted: %s opens it", with);
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                   "is encrypted, and no key that was given opens it: not for this key, or damaged (%s is wanted)",
                   with);
}

static tola_status unlock(crypt_header *h, uint8_t *file_key, tola_error *err) {
    bool opened = false;
    if (is_empty()) TRY(take_environment(err));
    if (is_empty()) return no_key(h, err);
    if (find_known(h, file_key)) return crypt_header_open(h, file_key, err);
    TRY(try_pairs(h, file_key, &opened, err));
    if (!opened) TRY(try_passphrases(h, file_key, &opened, err));
    if (!opened) return no_key(h, err);
    TRY(crypt_header_open(h, file_key, err));
    remember(h, file_key);
    return TOLA_OK;
}

tola_status crypt_ring_unlock(crypt_header *h, uint8_t file_key[CRYPT_KEY], tola_error *err) {
    pthread_mutex_lock(&lock);
    tola_status status = unlock(h, file_key, err);
    pthread_mutex_unlock(&lock);
    return status;
}
