/* The head of an encrypted model: who may open it, how it is laid out. docs/encrypt.md is its specification. */
#ifndef TRUST_CRYPT_HEADER_H
#define TRUST_CRYPT_HEADER_H

#include "base/mem.h"
#include "base/source.h"
#include "trust/crypt_cipher.h"

enum {
    CRYPT_MAGIC = 16,         /* bytes */
    CRYPT_PROLOGUE = 64,      /* bytes that are followed by zeros up to */
    CRYPT_SLOTS_AT = 4096,    /* the first of two slots, one of which is in use */
    CRYPT_LEAST_SLOT = 16384, /* room for 130 recipients */
    CRYPT_MOST_SLOT = 16 << 20,
    CRYPT_PASSPHRASE = 1, /* kinds of stanzas */
    CRYPT_X25519 = 2,
    CRYPT_WRAPPED = CRYPT_KEY + CRYPT_TAG,
    CRYPT_MOST_PASSPHRASES = 8,
};
/* What a header may ask of Argon2id before anybody knows who wrote it: memory of one, and memory times passes of all
 * (about ten seconds of one processor). */
#define CRYPT_MOST_MEMORY ((uint32_t)1 << 20) /* KiB */
#define CRYPT_LEAST_MEMORY ((uint32_t)8 << 10)
#define CRYPT_MOST_PASSES 64u
#define CRYPT_MOST_WORK ((uint64_t)16 << 20) /* KiB */
#define CRYPT_LEAST_CHUNK 4096u
#define CRYPT_MOST_CHUNK ((uint32_t)16 << 20)
#define CRYPT_MOST_INDEX ((uint64_t)1 << 30)

/* One way to the file key. */
typedef struct crypt_stanza {
    uint8_t kind;
    uint16_t bytes;
    const uint8_t *data;       /* all of it; the wrapped key is its end */
    uint8_t public[CRYPT_KEY]; /* X25519: whose it is, known when the header is open */
} crypt_stanza;

/* What the private part says. */
typedef struct crypt_layout {
    uint32_t chunk_bytes;
    uint64_t index_bytes, tags_bytes, payload_bytes;
} crypt_layout;

typedef struct crypt_header {
    uint8_t prologue[CRYPT_PROLOGUE];
    uint32_t slot_bytes;
    unsigned slot; /* 0 or 1 */
    uint64_t generation;
    buf body;              /* the slot from its start to its end */
    size_t covered;        /* of these bytes the code follows */
    crypt_stanza *stanzas; /* point into body */
    size_t count, cap;
    size_t private_at, private_bytes;
    crypt_layout layout; /* of an open header */
} crypt_header;

/* Keys made from the file key; in locked memory. */
typedef struct crypt_keys {
    uint8_t file[CRYPT_KEY], payload[CRYPT_KEY]; /* payload: what ChaCha20 takes */
} crypt_keys;

bool crypt_probe(const uint8_t *head, size_t bytes);
static inline const uint8_t *crypt_id(const crypt_header *h) { return h->prologue + 32; }
static inline uint64_t crypt_index_at(const crypt_header *h) { return CRYPT_SLOTS_AT + 2 * (uint64_t)h->slot_bytes; }
/* Bytes up to which `bytes` are filled up, so that sizes tell little: at most an eighth more (Padmé). */
uint64_t crypt_padded(uint64_t bytes);

/* The slot in use. With `either` (to mend what an interrupted rekey left) slot `either - 1`, whatever the other holds.
 * Checks everything that can be checked without a key. */
tola_status crypt_header_read(source *s, unsigned either, crypt_header *out, tola_error *err);
/* The same of one slot's bytes, for tests and fuzzing; h->prologue and h->slot_bytes are set. */
tola_status crypt_header_parse(crypt_header *h, const uint8_t *slot, size_t bytes, tola_error *err);
void crypt_header_free(crypt_header *h);
/* With the file key: is the header what its writer wrote? Then fills in layout and whose the stanzas are. */
tola_status crypt_header_open(crypt_header *h, const uint8_t file_key[CRYPT_KEY], tola_error *err);
/* Is it this file's key? */
bool crypt_header_fits(const crypt_header *h, const uint8_t file_key[CRYPT_KEY]);

/* The file key out of a stanza; *opened false where it is another's. */
tola_status crypt_unwrap_x25519(const crypt_header *h, const crypt_stanza *s, const uint8_t secret[CRYPT_KEY],
                                const uint8_t public[CRYPT_KEY], uint8_t file_key[CRYPT_KEY], bool *opened,
                                tola_error *err);
tola_status crypt_unwrap_passphrase(const crypt_header *h, const crypt_stanza *s, const void *text, size_t bytes,
                                    uint8_t file_key[CRYPT_KEY], bool *opened, tola_error *err);

/* ---- writing ---- */

typedef struct crypt_kdf {
    uint32_t memory_kib, passes;
} crypt_kdf;

void crypt_prologue(uint8_t prologue[CRYPT_PROLOGUE], const uint8_t id[CRYPT_ID], uint32_t slot_bytes);
/* A stanza with what is before it (kind and length), appended to `out`. */
tola_status crypt_wrap_x25519(const uint8_t id[CRYPT_ID], const uint8_t public[CRYPT_KEY],
                              const uint8_t file_key[CRYPT_KEY], buf *out, tola_error *err);
tola_status crypt_wrap_passphrase(const uint8_t id[CRYPT_ID], const void *text, size_t bytes, crypt_kdf kdf,
                                  const uint8_t file_key[CRYPT_KEY], buf *out, tola_error *err);
/* A slot: `stanzas` as the functions above made them, `publics` the keys of those that are X25519, in their order.
 * TOLA_E_LIMIT where it does not fit. */
tola_status crypt_slot_make(const uint8_t prologue[CRYPT_PROLOGUE], uint64_t generation, const buf *stanzas,
                            size_t count, const buf *publics, const crypt_layout *layout,
                            const uint8_t file_key[CRYPT_KEY], buf *slot, tola_error *err);
/* Bytes of a slot for that many recipients, with room for as many again. */
uint32_t crypt_slot_for(size_t recipients, size_t passphrases);
/* What fills up the tags: looks like them, and is the same for all who have the key. `out` has CRYPT_TAG bytes more. */
tola_status crypt_filling(const uint8_t id[CRYPT_ID], const uint8_t file_key[CRYPT_KEY], uint8_t *out, size_t bytes,
                          tola_error *err);
/* A key for one purpose ("index", ...). */
tola_status crypt_subkey(const uint8_t id[CRYPT_ID], const uint8_t file_key[CRYPT_KEY], const char *purpose,
                         uint8_t out[CRYPT_KEY], tola_error *err);

#endif
