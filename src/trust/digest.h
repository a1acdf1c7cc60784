/* The hashes that a manifest may name, behind one stream. */
#ifndef TRUST_DIGEST_H
#define TRUST_DIGEST_H

#include <tola/base.h>

typedef enum digest_kind { DIGEST_SHA256, DIGEST_BLAKE2B, DIGEST_BLAKE3, DIGEST_KINDS } digest_kind;

enum { DIGEST_MOST_BYTES = 64, DIGEST_HEX = 2 * DIGEST_MOST_BYTES + 1 };

typedef struct digest_info {
    const char *name;  /* as model_signing writes it: "sha256", "blake2b", "blake3" */
    const char *other; /* another word for the same; NULL */
    unsigned bytes;
    /* A tree: branches of this many bytes may be hashed apart and joined; 0 = a chain. */
    uint32_t branch;
} digest_info;

const digest_info *digest_get(digest_kind kind);
/* False where the name is none of them. */
bool digest_find(const char *name, digest_kind *out);
/* Lower-case digits and a NUL. */
void digest_to_hex(const uint8_t *digest, unsigned bytes, char *out);
/* Exactly 2 * bytes digits of either case. */
bool digest_from_hex(const char *text, size_t length, uint8_t *out, unsigned bytes);

typedef struct digest_stream digest_stream;
/* `branch`: which branch of a tree this is, and whether it is the only one (else 0, true). */
tola_status digest_open(digest_kind kind, uint64_t branch, bool whole, digest_stream **out, tola_error *err);
tola_status digest_update(digest_stream *s, const void *data, size_t bytes, tola_error *err);
/* The digest, or the value of a branch that is not the only one. Frees s. */
tola_status digest_finish(digest_stream *s, uint8_t out[DIGEST_MOST_BYTES], tola_error *err);
void digest_abort(digest_stream *s); /* NULL is fine */
/* The digest of what was hashed as `count` > 1 branches. */
void digest_join(digest_kind kind, const uint8_t (*branches)[DIGEST_MOST_BYTES], size_t count,
                 uint8_t out[DIGEST_MOST_BYTES]);

#endif
