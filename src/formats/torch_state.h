/* From the values of a pickle to tensors and metadata: what the three containers of PyTorch (zip, legacy stream, tar)
 * share.
 *
 * Nested dictionaries give dotted names, lists their indices; a file that is one bare tensor calls it "tensor".
 * Everything that is no tensor becomes metadata. Sizes, strides and offsets are checked against the storage, storages
 * against the file (CVE-2026-24747). Source of the tuples: torch/_utils.py and torch/_tensor.py. */
#ifndef FORMATS_TORCH_STATE_H
#define FORMATS_TORCH_STATE_H

#include "formats/format.h"
#include "formats/npy.h"
#include "formats/pickle.h"
#include "formats/zip.h"

#define TORCH_ROOT_NAME "tensor"
/* Values that are walked: a pickle can name one value in many places, and a few hundred bytes that do so on many
 * levels would unfold to more than any memory. */
#define TORCH_VISITS_FREE 65536u
#define TORCH_VISITS_PER_BYTE 4u
/* A view may repeat its storage (stride 0); one that repeats a few bytes into terabytes is refused. */
#define TORCH_MAX_EXPANDED ((uint64_t)1 << 40)
#define TORCH_MAX_REPEAT 65536u

/* Where the bytes of a storage lie: in the file, in a zip member that has to be unpacked, or in memory. */
typedef struct torch_storage {
    uint64_t offset, bytes; /* in the file; for a member, from its beginning */
    uint32_t id;            /* of ck_new_storage */
    zip_member *member;     /* not NULL: read through the archive */
    const uint8_t *memory;  /* not NULL: in memory */
    const zip_member *stored; /* the member whose payload it is, all of it; NULL elsewhere */
} torch_storage;

/* A persistent id ("storage", type, key, location, count[, view]). */
typedef struct torch_storage_id {
    const pickle_global *type;
    const char *key;
    size_t key_length;
    uint64_t count;          /* elements */
    const pickle_value *view; /* legacy: (key, offset, count) inside the storage; NULL */
} torch_storage_id;

typedef struct torch_tensor {
    torch_storage storage;
    tola_dtype dtype;
    uint64_t offset; /* in elements of the storage */
    unsigned n_dims;
    uint64_t shape[TOLA_MAX_DIMS];
    int64_t strides[TOLA_MAX_DIMS];
    uint32_t flags;
    bool conjugated, negated;
    bool swapped;
    const pickle_value *quantizer; /* its parameters, or NULL */
} torch_tensor;

typedef struct torch_state torch_state;
struct torch_state {
    tola_checkpoint *ck;
    uint32_t file;
    uint64_t pickle_at;   /* absolute offset of the pickle; TOLA_NO_OFFSET where it is not in the file as it stands */
    uint64_t pickle_bytes;
    const char *prefix;   /* put before every name; "" */
    bool swapped;         /* storages are big-endian */
    zip_archive *zip;     /* for members */
    /* Finds a storage and checks that it has `bytes` bytes. */
    tola_status (*find)(torch_state *s, const torch_storage_id *id, uint64_t bytes, torch_storage *out,
                        tola_error *err);
    /* Resolves a persistent id that names a whole tensor (tar); NULL elsewhere. */
    tola_status (*tensor)(torch_state *s, const pickle_value *id, torch_tensor *out, tola_error *err);
    void *user;
    /* private to torch_state.c */
    buf path;
    uint64_t visits;
};

/* Adds all tensors and metadata of `root`. With `key`, metadata goes under that key, otherwise (for a dictionary) its
 * entries become the checkpoint's. */
tola_status torch_add_state(torch_state *s, const pickle_value *root, const char *key, tola_error *err);

/* ---- between the files of this module ---- */

tola_status torch_fail(const torch_state *s, const pickle_value *v, tola_error *err, tola_status status,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Parses the persistent id `v` (the tuple). */
tola_status torch_parse_storage_id(const torch_state *s, const pickle_value *v, torch_storage_id *out, tola_error *err);
/* Bytes of one element in a storage of this type, 0 where that is unknown. */
unsigned torch_item_bytes(tola_dtype dtype);
/* Is this value a tensor (of any rebuild function), a parameter around one, a storage? */
bool torch_is_tensor(const torch_state *s, const pickle_value *v);
/* Describes it, every number checked. */
tola_status torch_parse_tensor(torch_state *s, const pickle_value *v, torch_tensor *out, tola_error *err);
/* Numbers of a tuple or list; at most TOLA_MAX_DIMS. */
tola_status torch_parse_extents(const torch_state *s, const pickle_value *v, uint64_t *out, unsigned *count,
                                tola_error *err);
/* Offset and strides against the storage. */
tola_status torch_check_bounds(const torch_state *s, const pickle_value *v, const torch_tensor *t, tola_error *err);
tola_status torch_add_tensor(torch_state *s, const torch_tensor *t, const char *name, size_t name_length,
                             tola_error *err);

/* torch_numpy.c: arrays and scalars inside pickles. `*is_tensor` says which of the two outputs was filled. */
bool torch_is_numpy(const pickle_value *v);
tola_status torch_parse_numpy(torch_state *s, const pickle_value *v, torch_tensor *tensor, tola_value *value,
                              bool *is_tensor, tola_error *err);

#endif
