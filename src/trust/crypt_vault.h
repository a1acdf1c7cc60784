/* An encrypted model that is open: its index, and its files as sources that decrypt what is read. */
#ifndef TRUST_CRYPT_VAULT_H
#define TRUST_CRYPT_VAULT_H

#include "trust/crypt_header.h"
#include "trust/crypt_index.h"

typedef struct vault vault;

/* Takes `outer` over whether it succeeds or not. One that is open already is shared. */
tola_status vault_open(source *outer, vault **out, tola_error *err);
void vault_close(vault *v); /* NULL is fine; sources keep it open */
const crypt_index *vault_index(const vault *v);
const crypt_header *vault_header(const vault *v);
uint64_t vault_file_bytes(const vault *v);

/* The bytes of a span of a member. Any thread. */
tola_status vault_read_span(vault *v, const crypt_member *m, const crypt_span *span, uint8_t *dst, tola_error *err);
/* A member as a source, called `path`. */
tola_status vault_source(vault *v, const crypt_member *m, const char *path, source **out, tola_error *err);

#endif
