/* What the reader and the writer of GGUF share: numbers of the format, its types, its limits.
 *
 * Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; block layouts: ggml/src/ggml-common.h and
 * ggml/include/ggml.h of https://github.com/ggml-org/llama.cpp. */
#ifndef FORMATS_GGUF_H
#define FORMATS_GGUF_H

#include "formats/format.h"

#define GGUF_VERSION 3u            /* written; 2 (the same without a word on byte order) and 3 are read */
#define GGUF_DEFAULT_ALIGNMENT 32u /* where general.alignment is absent */

/* Limits on what a file may claim. */
#define GGUF_MAX_ALIGNMENT (1u << 24) /* real files use 32 or 64; the largest page in use is 2 MiB */
#define GGUF_MAX_DIMS 4               /* the specification's */
#define GGUF_MAX_NAME 64              /* bytes of a tensor's name, the specification's; llama.cpp takes up to 63 */
#define GGUF_MAX_KEY 65535            /* bytes of a metadata key, the specification's */
#define GGUF_MAX_VALUES (1u << 16)    /* metadata entries; real files have 20 to 60 */
#define GGUF_MAX_DEPTH 8              /* arrays in arrays; real files have none */
#define GGUF_MAX_PARTS 4096           /* files of a split model; a 2-TB model in 48-GB parts has 42 */

/* Smallest number of bytes that one of these takes in a file: counts are checked against it before anything is
 * allocated. */
#define GGUF_MIN_VALUE_BYTES 14u  /* length 8, key 1, type 4, value 1 */
#define GGUF_MIN_TENSOR_BYTES 24u /* name length 8, dimensions 4, type 4, offset 8; a header of CK_MAX_HEADER bytes thus
                                     has fewer than CK_MAX_TENSORS */

typedef enum gguf_value_type {
    GGUF_U8 = 0,
    GGUF_I8 = 1,
    GGUF_U16 = 2,
    GGUF_I16 = 3,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9,
    GGUF_U64 = 10,
    GGUF_I64 = 11,
    GGUF_F64 = 12,
    GGUF_VALUE_TYPES = 13
} gguf_value_type;

typedef struct gguf_value_info {
    const char *name;
    uint8_t bytes; /* of one in a file; for strings and arrays the smallest */
    uint8_t kind;  /* tola_value_kind */
    uint16_t dtype;
} gguf_value_info;

/* NULL where `type` is none. */
const gguf_value_info *gguf_value_describe(uint32_t type);
/* The type in which a number of this kind and dtype is stored; 64 bits where the dtype says nothing. */
gguf_value_type gguf_value_for(tola_value_kind kind, tola_dtype dtype);

/* The name of an element type that was in the format once and no longer is; NULL for other ids. */
const char *gguf_removed_type(uint32_t id);

/* ---- one file, parsed ---- */

typedef struct gguf_tensor {
    const char *name;
    uint32_t name_length;
    uint16_t dtype;
    uint16_t n_dims;
    uint64_t shape[GGUF_MAX_DIMS]; /* outermost first */
    uint64_t at;                   /* absolute offset of its first byte in the file */
    uint64_t bytes;
    uint64_t described_at; /* offset of its entry in the header, for messages */
} gguf_tensor;

typedef struct gguf_part {
    bool swap; /* big-endian */
    uint32_t version, alignment;
    uint64_t alignment_at; /* offset of the entry general.alignment */
    tola_member *values;
    size_t value_count;
    gguf_tensor *tensors; /* in the order of the header */
    size_t tensor_count;
    uint64_t header_end; /* first byte after the tensor descriptions */
    uint64_t data;       /* start of the data section: header_end rounded up to the alignment */
} gguf_part;

/* Parses and checks the header of `src`. Metadata goes into `keep`, the list of tensors and their names into `scratch`.
 * Oddities are put down with ck_warn. */
tola_status gguf_read_header(tola_checkpoint *ck, source *src, arena *keep, arena *scratch, gguf_part *out,
                             tola_error *err);
/* Metadata entries at the reader's position: the first half of gguf_read_header. */
void gguf_read_values(reader *r, arena *keep, uint64_t count, gguf_part *out);
/* Room for many short texts, taken from an arena in larger pieces. */
typedef struct gguf_text {
    arena *arena;
    char *at;
    size_t left;
} gguf_text;
/* A length and that many bytes, NUL-terminated; NULL after the reader has failed. `what` names it in messages
 * ("tensor name"); longer than `limit` is TOLA_E_LIMIT. */
char *gguf_read_text(reader *r, gguf_text *room, const char *what, uint64_t limit, size_t *length);
/* Fails the reader where fewer than `bytes` bytes of the header can follow; false then. */
bool gguf_need(reader *r, uint64_t at, uint64_t bytes, const char *what);
/* A set of texts that tells whether one was there already; borrowed texts. */
typedef struct gguf_set {
    tola_string *slots;
    size_t cap;
} gguf_set;
bool gguf_set_init(gguf_set *set, size_t count); /* for at most `count` texts; false when out of memory */
void gguf_set_free(gguf_set *set);
bool gguf_set_add(gguf_set *set, const char *text, size_t length); /* false: it was there */

/* ---- writing ---- */

/* Appends the metadata entries of `metadata` (a map or NULL) to `b` and counts them. Leaves out nulls, split.*, and a
 * general.alignment that is no number. */
tola_status gguf_write_values(buf *b, const tola_value *metadata, uint64_t *count, tola_error *err);
void gguf_write_key(buf *b, const char *key, size_t length, gguf_value_type type);

#endif
