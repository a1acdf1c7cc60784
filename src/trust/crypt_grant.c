/* See crypt_grant.h. */
#include "trust/crypt_grant.h"

#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/path.h"
#include "base/secret.h"
#include "base/text.h"
#include "trust/crypt_key.h"
#include "trust/crypt_ring.h"

/* RFC 9106 asks for 64 MiB and three passes where memory is short; this is a file that others have for years. */
static const crypt_kdf ours = { 256 << 10, 3 };

void crypt_grants_init(crypt_grants *g) {
    *g = (crypt_grants){ 0 };
    buf_init(&g->stanzas, 0);
    buf_init(&g->publics, 0);
    buf_init(&g->head, 0);
}

void crypt_grants_free(crypt_grants *g) {
    buf_free(&g->stanzas);
    buf_free(&g->publics);
    buf_free(&g->head);
}

crypt_kdf crypt_kdf_of(uint64_t memory, uint32_t passes) {
    uint64_t kib = memory >> 10;
    return (crypt_kdf){ !memory            ? ours.memory_kib
                        : kib < UINT32_MAX ? (uint32_t)kib
                                           : UINT32_MAX,
                        passes ? passes : ours.passes };
}

static tola_status check_kdf(crypt_kdf kdf, tola_error *err) {
    if (kdf.memory_kib >= CRYPT_LEAST_MEMORY && kdf.memory_kib <= CRYPT_MOST_MEMORY && kdf.passes <= CRYPT_MOST_PASSES)
        return TOLA_OK;
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                   "Argon2id with %u KiB and %u passes: 8 MiB to 1 GiB, and at most %u passes, are allowed",
                   kdf.memory_kib, kdf.passes, CRYPT_MOST_PASSES);
}

static tola_status grant_passphrase(const uint8_t *id, const uint8_t *file_key, const char *path, crypt_kdf kdf,
                                    crypt_grants *g, tola_error *err) {
    char *text;
    size_t bytes;
    bool wide;
    TRY(check_kdf(kdf, err));
    if ((uint64_t)(g->passphrases + 1) * kdf.memory_kib * kdf.passes > CRYPT_MOST_WORK ||
        g->passphrases == CRYPT_MOST_PASSPHRASES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "so many passphrases, or so much of Argon2id, would be refused when the file is opened");
    TRY(crypt_read_passphrase(path, &text, &bytes, &wide, err));
    tola_status status = crypt_wrap_passphrase(id, text, bytes, kdf, file_key, &g->stanzas, err);
    secret_free(text);
    TRY(status);
    if (wide) crypt_ring_warn_wide(path);
    g->passphrases++;
    g->count++;
    return TOLA_OK;
}

tola_status crypt_grant(const uint8_t id[CRYPT_ID], const uint8_t file_key[CRYPT_KEY], const char *const *recipients,
                        const char *const *passphrase_files, crypt_kdf kdf, crypt_grants *g, tola_error *err) {
    size_t at = g->publics.length;
    for (size_t i = 0; recipients && recipients[i]; i++) TRY(crypt_add_recipients(recipients[i], &g->publics, err));
    for (; at < g->publics.length; at += CRYPT_KEY, g->count++)
        TRY(crypt_wrap_x25519(id, g->publics.data + at, file_key, &g->stanzas, err));
    for (size_t i = 0; passphrase_files && passphrase_files[i]; i++)
        TRY(grant_passphrase(id, file_key, passphrase_files[i], kdf, g, err));
    return TOLA_OK;
}

tola_status crypt_target(const char *out, const char *name, char **target, tola_error *err) {
    struct stat st;
    bool folder = text_ends_with(out, "/") || (stat(out, &st) == 0 && S_ISDIR(st.st_mode));
    *target = folder ? path_join(out, name) : mem_strdup(out);
    return *target ? TOLA_OK : err_nomem(err, "naming the output");
}
