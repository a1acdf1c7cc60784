/* What a file format's reader sees: the checkpoint under construction, and how it is registered.
 *
 * A reader parses the header of one file and calls ck_add_tensor for each tensor. It never reads payloads and never
 * allocates by a count from the file without a limit. Everything it keeps lives in ck->arena. */
#ifndef FORMATS_FORMAT_H
#define FORMATS_FORMAT_H

#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/source.h"
#include <tola/checkpoint.h>

typedef struct ck_tensor ck_tensor;

/* How the stored bytes of a tensor become the canonical ones. */
typedef enum ck_layout {
    CK_PLAIN,   /* contiguous at info.offset of info.file */
    CK_STRIDED, /* element strides over a storage */
    CK_CUSTOM   /* a reader's own function (inflate, inline data, ...) */
} ck_layout;

typedef tola_status (*ck_read_fn)(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst,
                                  size_t bytes, tola_error *err);

/* Told of the stored bytes of each block of a CK_PLAIN tensor that was read, any thread (checksums). What
 * tola_checkpoint_acquire maps is not read here and not told of. */
typedef tola_status (*ck_seen_fn)(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, const void *data,
                                  size_t bytes, tola_error *err);

struct ck_tensor {
    tola_tensor_info info;
    uint8_t layout;          /* ck_layout */
    const int64_t *strides;  /* CK_STRIDED: in elements, outermost first; info.offset is element 0's place */
    ck_read_fn read;         /* CK_CUSTOM */
    ck_seen_fn seen;         /* CK_PLAIN; NULL mostly */
    const void *context;     /* CK_CUSTOM, or for `seen` */
};

typedef struct ck_file {
    tola_file_info info;
    source *src; /* NULL where it is missing */
} ck_file;

struct tola_checkpoint {
    arena arena;
    const char *format;
    ck_tensor *tensors;
    size_t tensor_count, tensor_cap;
    ck_file *files;
    size_t file_count, file_cap;
    tola_value metadata; /* map or NULL value */
    tola_value config;
    tola_string config_text; /* of a view that has another config.json than lies there: that one; borrowed */
    char *folder;        /* where companions lie; NULL where there is none. May be a reference */
    char **warnings;
    size_t warning_count, warning_cap;
    uint32_t next_storage;
    uint64_t *by_name;   /* hash table of tensor numbers + 1, built once after reading */
    size_t by_name_cap;
    size_t indexed;      /* tensors in it */
    tola_open_options options;
    bool decoded;        /* what config.json beside the weights says of quantization is no longer so */
    bool borrows_files;  /* the sources are another checkpoint's, which closes them */
    void *owned;         /* of whoever built this checkpoint; freed by close_owned */
    void (*close_owned)(tola_checkpoint *ck); /* NULL where there is nothing */
};

/* Limits on what a header may claim, with their reasons. */
#define CK_MAX_TENSORS (1u << 22)  /* 4 M: DeepSeek-V3 has 92 k, optimizer states a few times that */
#define CK_MAX_NAME 4096           /* bytes; real names stay below 200 */
#define CK_MAX_HEADER 100000000u   /* safetensors' own limit, used for the other headers too */
/* Bytes of all tensors together: what any file may hold, and so many times the bytes of the files. Deflate makes 1032
 * of one; more comes only from views and shared storages that a few bytes repeat without end. */
#define CK_UNFOLDED_FREE ((uint64_t)4 << 30)
#define CK_UNFOLDED_PER_BYTE 1100u
#define CK_MAX_WARNINGS 64         /* later ones are counted in the last */

/* A reader fills one of these for each tensor; name and shape are copied. */
typedef struct ck_add {
    const char *name;
    size_t name_length;
    const uint64_t *shape;
    unsigned n_dims;
    tola_dtype dtype;
    uint32_t file;
    uint64_t offset;       /* absolute in the file */
    uint32_t flags;
    uint64_t bytes;        /* for TOLA_DTYPE_OPAQUE only; otherwise computed from dtype and shape */
    uint32_t storage;      /* from ck_new_storage where tensors may share one; 0 = its own */
    const int64_t *strides; /* not NULL: CK_STRIDED (copied) */
    ck_read_fn read;       /* not NULL: CK_CUSTOM */
    ck_seen_fn seen;
    const void *context;
} ck_add;
/* Checks: name (UTF-8, no NUL, length; duplicates are found afterwards by ck_finish), product of the shape,
 * whole blocks along the innermost dimension, and for plain layouts that the bytes lie inside the file.
 * The message names the tensor. */
tola_status ck_add_tensor(tola_checkpoint *ck, const ck_add *add, tola_error *err);
uint32_t ck_new_storage(tola_checkpoint *ck);
/* Takes ownership of src whether it succeeds or not. */
tola_status ck_add_file(tola_checkpoint *ck, const char *path, source *src, uint32_t *file, tola_error *err);
void ck_warn(tola_checkpoint *ck, const char *message, ...) __attribute__((format(printf, 2, 3)));
/* Appends to ck->metadata (a map). Key and value must live in ck->arena or be static. */
tola_status ck_add_metadata(tola_checkpoint *ck, const char *key, tola_value value, tola_error *err);

/* ---- registered formats ---- */

typedef struct format {
    const char *name;
    /* Is this file in my format? Judged by content: `head` is the first `bytes` bytes (up to 4096, all of a smaller
     * file), `name` the last path component, used only where content cannot tell. 0 = no, larger = surer (100 = has
     * my magic number). */
    int (*probe)(const uint8_t *head, size_t bytes, const char *name, uint64_t file_bytes);
    /* Adds the tensors and metadata of files[file] to ck. Errors carry offset and tensor but no path: the caller adds
     * it. May add further files (external data, split parts) beside it. */
    tola_status (*read)(tola_checkpoint *ck, uint32_t file, tola_error *err);
} format;

extern const format format_safetensors, format_gguf, format_pytorch_zip, format_pytorch_legacy, format_pytorch_tar,
    format_npy, format_npz, format_onnx;

/* ---- openers of references ("https://...", "hf://..."), which rooms below provide ---- */
typedef struct opener {
    const char *prefix; /* "https://" */
    /* Opens `ref` as one source. */
    tola_status (*open)(const char *ref, source **out, tola_error *err);
    /* Resolves a reference that names a whole model (hf://org/name) to the file to open (an index, a single file) and
     * the folder of its companions; NULL where every reference of this kind is a file. Results freed with mem_free. */
    tola_status (*resolve)(const char *ref, char **file, char **folder, tola_error *err);
    /* Every file of a reference that names a whole model or a folder of it (it ends in a slash), as references or as a
     * local folder; count 0 where it names one file. NULL where every reference of this kind is a file. The names are
     * in `a`, the array is freed with mem_free. */
    tola_status (*list)(const char *ref, arena *a, char ***refs, size_t *count, tola_error *err);
} opener;
/* The openers that belong to the library, NULL at the end. Declared here and defined in share/: the linker then joins
 * them in static and shared builds alike, with no call upwards and nothing to run at start. */
extern const opener *const opener_table[];
const opener *opener_find(const char *ref); /* NULL: a plain path */

/* ---- files that hold files, which rooms below can open: encrypted models ----
 * Where one is called PATH, what lies in it is called PATH/NAME, as if it were a folder. */
typedef struct container {
    /* Do the first bytes of a file (at least CONTAINER_HEAD, or all) say that it is one? */
    bool (*probe)(const uint8_t *head, size_t bytes);
    /* Takes `outer` over whether it succeeds or not. Opening it again while it is open is cheap. */
    tola_status (*open)(source *outer, void **out, tola_error *err);
    void (*close)(void *opened); /* the sources of its files stay */
    bool (*folder)(const void *opened); /* is it to be seen as a folder, or as the one file in it? */
    const char *(*next)(const void *opened, size_t *at); /* names, *at = 0 at first; NULL at the end */
    /* The file `name` (NULL: the only one) as a source called `path`. */
    tola_status (*file)(void *opened, const char *name, const char *path, source **out, tola_error *err);
} container;
#define CONTAINER_HEAD 16
extern const container container_encrypted; /* trust/; joined as opener_table is */

/* The container that `path` is; *out NULL where it is none. Closed with ck_close_container. */
tola_status ck_open_container(const char *path, void **out, tola_error *err);
void ck_close_container(void *opened); /* NULL is fine */
/* Is it a folder, or a container to be seen as one? False where that cannot be found out. */
bool ck_is_folder(const char *path);
/* Does `path` name a file or folder, or something in a container? */
bool ck_exists(const char *path);

/* Opens path or reference as a source. */
tola_status ck_open_source(const char *path, source **out, tola_error *err);

/* ---- writers ---- */

typedef struct writer_format writer_format;

/* Where a tensor's bytes go. */
typedef struct writer_slot {
    uint32_t file;
    uint64_t offset;
    uint64_t bytes;
} writer_slot;

struct tola_writer {
    const writer_format *format;
    struct output_set *outputs;
    struct output_file **files;
    size_t file_count;
    writer_slot *slots; /* one a tensor */
    size_t count;
    char *path;         /* as asked for */
    char *folder;       /* of companions; NULL for a single file */
    void *state;        /* the format's own */
    uint64_t written;   /* atomic: bytes so far, checked by finish */
    uint64_t expected;
};

struct writer_format {
    const char *name;        /* "safetensors" */
    const char *extensions;  /* space-separated, with dots: ".pt .pth .bin" */
    bool (*holds)(tola_dtype dtype);
    /* Lays out all tensors into w->slots and w->files and writes every header. Plans shards by options. */
    tola_status (*open)(tola_writer *w, const tola_tensor_spec *tensors, size_t count,
                        const tola_write_options *options, tola_error *err);
    /* Told of each block written, any thread (zip checksums). May be NULL. */
    tola_status (*wrote)(tola_writer *w, size_t index, uint64_t offset, const void *data, size_t bytes,
                         tola_error *err);
    /* Trailers and checksums, before everything is synced and renamed. May be NULL. */
    tola_status (*finish)(tola_writer *w, tola_error *err);
    void (*free)(tola_writer *w); /* of state; may be NULL */
};

extern const writer_format writer_safetensors, writer_gguf, writer_pytorch, writer_npz;

/* The writer for options->format or, where that is NULL, the extension of path. */
tola_status writer_find(const char *path, const tola_write_options *options, const writer_format **out,
                        tola_error *err);
/* What tola_writer_open would lay out, without creating anything: bytes of all files, headers, padding and an
 * index included (zip archives: the tensors alone), and how many files hold tensors. */
tola_status writer_measure(const char *path, const tola_tensor_spec *tensors, size_t count,
                           const tola_write_options *options, uint64_t *bytes, uint64_t *files, tola_error *err);
/* Adds an output file to w->files. */
tola_status writer_add_file(tola_writer *w, const char *path, uint64_t bytes, uint32_t *file, tola_error *err);

/* Which shard each tensor goes to: fills in tensors in order until max_shard_size would be passed (a larger tensor
 * has one of its own). Returns the number of shards; shard[i] is 0-based. */
uint32_t writer_plan_shards(const tola_tensor_spec *tensors, size_t count, uint64_t max_shard_size, uint32_t *shard);
/* TOLA_E_LIMIT where so many shards do not fit into the five digits of their names. */
tola_status writer_check_shards(uint32_t shards, tola_error *err);
/* Adds "PATH.index.json", which says in which file each tensor is. After all slots and files are known. */
tola_status writer_add_index(tola_writer *w, const tola_tensor_spec *tensors, const char *path, tola_error *err);

#endif
