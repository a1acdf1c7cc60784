/* Encryption of models at rest (docs/encrypt.md has the format).
 *
 * An encrypted model is one file, whatever it was made from: a file of weights, or a folder. Wherever this library
 * takes the path of a model it takes that of an encrypted one: what is touched is decrypted, in memory, on the way. It
 * needs a key in this process's ring. Needs OpenSSL 3 (libcrypto) and, for passphrases, libsodium; both are loaded when
 * used. */
#ifndef TOLA_ENCRYPT_H
#define TOLA_ENCRYPT_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the ring: keys to open with ----
 * They lie in locked memory, until tola_keys_forget. From the first on, the process dumps no core. While the ring is
 * empty, TOLA_IDENTITY (a file of secret keys) and TOLA_PASSPHRASE_FILE are put in when a key is first wanted. Any
 * thread. Files may be pipes; "-" is stdin. */

/* A file of secret keys as tola_keygen writes it. */
TOLA_API TOLA_MUST_CHECK tola_status tola_keys_add_identity(const char *path, tola_error *err);
/* A file whose first line is a passphrase. */
TOLA_API TOLA_MUST_CHECK tola_status tola_keys_add_passphrase_file(const char *path, tola_error *err);
/* A passphrase of at most 1024 bytes. */
TOLA_API TOLA_MUST_CHECK tola_status tola_keys_add_passphrase(const void *text, size_t bytes, tola_error *err);
/* Wipes all keys. Models that are open stay open. */
TOLA_API void tola_keys_forget(void);
/* Told of key files that others than their owner may read, NULL: nobody is. `fn` calls nothing of the ring. */
typedef void (*tola_keys_warning_fn)(void *user, const char *message);
TOLA_API void tola_keys_on_warning(tola_keys_warning_fn fn, void *user);

/* Writes a new secret key to `path` (mode 0600) and its public half to "PATH.pub". `kind`: "encrypt" (X25519, text of
 * our own), "ed25519", "p256", "p384", "p521" (PEM, for tola_sign). */
TOLA_API TOLA_MUST_CHECK tola_status tola_keygen(const char *path, const char *kind, bool overwrite, tola_error *err);

/* ---- encrypting ---- */

typedef struct tola_encrypt_options {
    size_t size;                         /* sizeof(tola_encrypt_options) */
    const char *const *recipients;       /* public keys: "tola-public-1:...", or files of them; NULL-terminated; NULL */
    const char *const *passphrase_files; /* NULL-terminated; NULL. One recipient or passphrase is required */
    bool pad;                            /* hide the size: up to an eighth more, less for large models */
    uint64_t kdf_memory;                 /* of Argon2id in bytes; 0 = 256 MiB */
    uint32_t kdf_passes;                 /* 0 = 3 */
    uint32_t chunk_bytes;                /* a power of two, 4096 to 16 MiB; 0 = 64 KiB */
    bool overwrite;
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
    uint64_t reserved[6];
} tola_encrypt_options;

#define TOLA_ENCRYPT_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(tola_encrypt_options), NULL, NULL, false, 0, 0, 0, false, 0, NULL, NULL, { 0 }                          \
    }

typedef struct tola_encrypt_summary {
    bool folder;
    uint64_t files, tensors;
    uint64_t bytes;      /* of the files */
    uint64_t file_bytes; /* of what they became, or came from */
    uint64_t recipients, passphrases;
    double seconds;
    uint64_t reserved[4];
} tola_encrypt_summary;

/* Encrypts a file, or a folder with all that is in it (links to files are followed; permissions and times are not
 * kept). `summary` may be NULL. On failure nothing is left. */
TOLA_API TOLA_MUST_CHECK tola_status tola_encrypt(const char *in, const char *out, const tola_encrypt_options *options,
                                                  tola_encrypt_summary *summary, tola_error *err);

/* Takes the next bytes of a file that is decrypted; false stops (the caller knows why: TOLA_E_CANCELLED). */
typedef bool (*tola_decrypt_write_fn)(void *user, const void *data, size_t bytes);

typedef struct tola_decrypt_options {
    size_t size; /* sizeof(tola_decrypt_options) */
    bool overwrite;
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
    tola_decrypt_write_fn write; /* a file goes there, in order, after all of it was found genuine; `out` is ignored */
    void *write_user;
    uint64_t reserved[4];
} tola_decrypt_options;

#define TOLA_DECRYPT_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(tola_decrypt_options), false, 0, NULL, NULL, NULL, NULL, { 0 }                                          \
    }

/* Gives back the very bytes. `out` is a file, or a folder where a folder was encrypted; a file goes into a folder that
 * exists under its own name. TOLA_E_FORMAT where anything was changed: nothing is left then. */
TOLA_API TOLA_MUST_CHECK tola_status tola_decrypt(const char *in, const char *out, const tola_decrypt_options *options,
                                                  tola_encrypt_summary *summary, tola_error *err);

/* ---- who may open it ---- */

typedef struct tola_rekey_options {
    size_t size;                             /* sizeof(tola_rekey_options) */
    const char *const *add_recipients;       /* as above; NULL */
    const char *const *remove_recipients;    /* as above; NULL */
    const char *const *add_passphrase_files; /* NULL */
    bool remove_passphrases;                 /* those that were there */
    uint64_t kdf_memory;                     /* as above */
    uint32_t kdf_passes;
    uint64_t reserved[6];
} tola_rekey_options;

#define TOLA_REKEY_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(tola_rekey_options), NULL, NULL, NULL, false, 0, 0, { 0 }                                               \
    }

/* Changes in place who may open an encrypted model, without touching its payload. An interruption at any point leaves a
 * file that opens or that another rekey mends. Who was removed and kept the key of the file, or an old copy of its
 * first bytes, can still open it: to shut them out, encrypt anew. */
TOLA_API TOLA_MUST_CHECK tola_status tola_rekey(const char *path, const tola_rekey_options *options,
                                                tola_encrypt_summary *summary, tola_error *err);

/* Is the file at `path` an encrypted model? Needs no key. */
TOLA_API bool tola_encrypted(const char *path);

#ifdef __cplusplus
}
#endif
#endif
