/* The keys that this process may open encrypted models with (include/tola/encrypt.h). */
#ifndef TRUST_CRYPT_RING_H
#define TRUST_CRYPT_RING_H

#include "trust/crypt_header.h"

/* Finds the file key and opens the header with it. Argon2id runs once a file, however often it is opened. */
tola_status crypt_ring_unlock(crypt_header *h, uint8_t file_key[CRYPT_KEY], tola_error *err);
/* Tells whoever wants to know that others may read the key file. */
void crypt_ring_warn_wide(const char *path);

#endif
