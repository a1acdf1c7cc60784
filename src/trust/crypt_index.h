/* What is in an encrypted model: files, and the stretches that they are cut into. docs/encrypt.md specifies its bytes.
 */
#ifndef TRUST_CRYPT_INDEX_H
#define TRUST_CRYPT_INDEX_H

#include "base/mem.h"
#include "trust/crypt_cipher.h"

enum { CRYPT_FILE = 0, CRYPT_PADDING = 1, CRYPT_NO_TENSOR = 0xffff };
#define CRYPT_MOST_FILES (1u << 20)
#define CRYPT_MOST_STRETCHES (1u << 24)
#define CRYPT_MOST_NAME 4096u

/* A run of bytes of one file: those of a tensor, or what lies between. Cut into chunks on its own. */
typedef struct crypt_stretch {
    uint64_t offset, bytes;     /* in its file */
    uint64_t first_chunk;       /* number of its first, counted through all files */
    const uint8_t *description; /* as it stands in the index: what its chunks are bound to */
    uint32_t description_bytes;
    uint32_t member;
} crypt_stretch;

/* Is it a tensor's, not what lies between? */
static inline bool crypt_is_tensor(const crypt_stretch *s) {
    return s->description[8] != 0xff || s->description[9] != 0xff;
}

/* A file, or padding: a file that is not given back. */
typedef struct crypt_member {
    const char *name; /* relative, with slashes; NUL-terminated */
    uint64_t bytes;
    uint64_t start;      /* of its bytes in the payload */
    size_t first, count; /* its stretches */
    uint8_t kind;
} crypt_member;

typedef struct crypt_index {
    bool folder;           /* made from a folder; else one file */
    crypt_member *members; /* sorted by name; padding is last */
    size_t member_count, member_cap;
    crypt_stretch *stretches;
    size_t stretch_count, stretch_cap;
    uint64_t chunks, payload; /* in all */
    arena names;
} crypt_index;

void crypt_index_free(crypt_index *x);
/* Reads the plaintext of an index, which must outlive it. Names are checked: none leads out of a folder, none is there
 * twice, none is both a file and a folder of others. */
tola_status crypt_index_parse(const uint8_t *data, size_t bytes, uint32_t chunk_bytes, crypt_index *out,
                              tola_error *err);
const crypt_member *crypt_index_find(const crypt_index *x, const char *name);
/* The file of one that was made from a file. */
const crypt_member *crypt_index_only(const crypt_index *x);

/* '/' comes before all other characters: what is in a folder follows its name at once. */
int crypt_compare_names(const char *a, const char *b);

/* A run of chunks of one file, those that begin in [from, to). */
typedef struct crypt_span {
    size_t stretch;         /* of the first chunk */
    uint64_t chunk;         /* the first, in its stretch */
    uint64_t offset, bytes; /* in the file */
    uint64_t first, count;  /* chunks, counted through all files */
} crypt_span;
/* False where none begins there. */
bool crypt_span_find(const crypt_index *x, const crypt_member *m, uint32_t chunk_bytes, uint64_t from, uint64_t to,
                     crypt_span *out);
/* Goes on to the next chunk: its stretch, its number there, its length. */
typedef struct crypt_step {
    const crypt_stretch *s;
    uint64_t chunk, chunks; /* in the stretch */
    uint32_t bytes;
} crypt_step;
void crypt_step_first(const crypt_index *x, const crypt_span *span, uint32_t chunk_bytes, crypt_step *step);
void crypt_step_next(crypt_step *step, uint32_t chunk_bytes);
/* Associated data of that chunk and the end of its nonce. `aad` is kept from chunk to chunk (*of: the stretch it was
 * made for, NULL at first). */
void crypt_step_aad(const uint8_t id[CRYPT_ID], const crypt_index *x, const crypt_step *step, buf *aad,
                    const crypt_stretch **of, size_t *fixed, uint8_t tail[8]);

/* The bytes that describe a stretch; `name` NULL: of no tensor. */
void crypt_describe(uint64_t bytes, const char *name, const char *dtype, const uint64_t *shape, unsigned n_dims,
                    buf *out);
static inline uint64_t crypt_chunks(uint64_t bytes, uint32_t chunk_bytes) {
    return bytes / chunk_bytes + (bytes % chunk_bytes != 0);
}

#endif
