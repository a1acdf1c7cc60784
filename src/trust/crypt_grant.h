/* Who may open an encrypted model, as it is asked for: public keys and passphrases turned into stanzas. */
#ifndef TRUST_CRYPT_GRANT_H
#define TRUST_CRYPT_GRANT_H

#include "trust/crypt_header.h"

typedef struct crypt_grants {
    buf stanzas; /* of all, as they stand in a header */
    buf publics; /* keys of those that are X25519, in their order */
    size_t count, passphrases;
    buf head; /* for whoever writes a header */
} crypt_grants;

void crypt_grants_init(crypt_grants *g);
void crypt_grants_free(crypt_grants *g);
/* Adds them to `g`: NULL-terminated lists, NULL is none. A key that is there already is passed over. */
tola_status crypt_grant(const uint8_t id[CRYPT_ID], const uint8_t file_key[CRYPT_KEY], const char *const *recipients,
                        const char *const *passphrase_files, crypt_kdf kdf, crypt_grants *g, tola_error *err);
/* Of options: bytes and passes, 0 = ours. */
crypt_kdf crypt_kdf_of(uint64_t memory, uint32_t passes);
/* Where a result called `name` goes: `out`, or in it where it is a folder or ends in '/'. Freed with mem_free. */
tola_status crypt_target(const char *out, const char *name, char **target, tola_error *err);

#endif
