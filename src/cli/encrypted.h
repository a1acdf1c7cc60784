/* What encrypt, decrypt and rekey say about their results. */
#ifndef CLI_ENCRYPTED_H
#define CLI_ENCRYPTED_H

#include "cli.h"

/* "for 2 recipients and 1 passphrase" into buf. */
const char *encrypted_for(const tola_encrypt_summary *s, char *buf, size_t cap);
/* A document of `schema` ("tola.encrypt/1") about the result at `path`. */
void encrypted_json(const char *schema, const char *path, const tola_encrypt_summary *s);

#endif
