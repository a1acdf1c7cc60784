/* A checkpoint: a set of named tensors and their metadata, whatever file or files it came from.
 *
 * Reading: any number of threads may call the const functions, tola_checkpoint_read and tola_checkpoint_acquire
 * on one checkpoint at once. Nothing from the files is ever executed. */
#ifndef TOLA_CHECKPOINT_H
#define TOLA_CHECKPOINT_H

#include <tola/tensor.h>
#include <tola/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tola_checkpoint tola_checkpoint;

/* What is seen of matrices that GPTQ, AWQ, bitsandbytes and their kin keep as several tensors (codes, scales, ...). */
typedef enum tola_weights {
    TOLA_WEIGHTS_STORED = 0, /* those tensors, as they are */
    TOLA_WEIGHTS_EXACT,      /* one f32 tensor "<module>.weight" for each matrix, decoded when it is read */
    TOLA_WEIGHTS_MODEL       /* the same, rounded to the dtype the model computes in (f16, bf16) */
} tola_weights;

typedef struct tola_open_options {
    size_t size;      /* sizeof(tola_open_options) */
    unsigned threads; /* for opening shards; 0 = as many as there are processors */
    bool tolerant;    /* missing shards become warnings and TOLA_TENSOR_MISSING tensors instead of an error */
    bool offline;     /* refuse references that need the network */
    uint16_t weights; /* tola_weights */
    uint64_t reserved[6];
} tola_open_options;

#define TOLA_OPEN_OPTIONS_INIT { sizeof(tola_open_options), 0, false, false, TOLA_WEIGHTS_STORED, { 0 } }

/* Opens a file, a shard index (*.index.json), the first or any shard of a split GGUF, a folder in the Hugging Face
 * layout, or a reference (https://..., hf://org/name[@revision][/file]). Reads headers only. `options` may be NULL. */
TOLA_API TOLA_MUST_CHECK tola_status tola_checkpoint_open(const char *path, const tola_open_options *options,
                                                          tola_checkpoint **out, tola_error *err);
/* The same over bytes in memory, borrowed until the checkpoint is closed. `name` is used in messages and for its
 * extension. */
TOLA_API TOLA_MUST_CHECK tola_status tola_checkpoint_open_memory(const char *name, const void *data, size_t bytes,
                                                                 tola_checkpoint **out, tola_error *err);
TOLA_API void tola_checkpoint_close(tola_checkpoint *checkpoint);

/* "safetensors", "gguf", "pytorch" (zip), "pytorch-legacy", "pytorch-tar", "torchscript", "npy", "npz", "onnx". */
TOLA_API const char *tola_checkpoint_format(const tola_checkpoint *checkpoint);

TOLA_API size_t tola_checkpoint_tensor_count(const tola_checkpoint *checkpoint);
/* Tensors in the order of their files; NULL beyond the end. */
TOLA_API const tola_tensor_info *tola_checkpoint_tensor(const tola_checkpoint *checkpoint, size_t index);
/* Index of the tensor called `name`, SIZE_MAX where there is none. */
TOLA_API size_t tola_checkpoint_find(const tola_checkpoint *checkpoint, const char *name);

typedef struct tola_file_info {
    const char *path; /* as opened */
    uint64_t bytes;
} tola_file_info;
TOLA_API size_t tola_checkpoint_file_count(const tola_checkpoint *checkpoint);
TOLA_API const tola_file_info *tola_checkpoint_file(const tola_checkpoint *checkpoint, size_t index);

/* Metadata of the file itself as a map: __metadata__ of safetensors, key-values of GGUF, everything of a pickle that
 * is no tensor, producer and opset of ONNX. */
TOLA_API const tola_value *tola_checkpoint_metadata(const tola_checkpoint *checkpoint);
/* config.json (or adapter_config.json) that lies beside the weights, parsed; NULL where there is none. */
TOLA_API const tola_value *tola_checkpoint_config(const tola_checkpoint *checkpoint);
/* A small file that lies beside the weights ("tokenizer.json") or in a folder there ("additional_chat_templates/x"),
 * whole; TOLA_E_NOT_FOUND where it is not there.
 * `*data` is freed with tola_free. At most 256 MiB. */
TOLA_API TOLA_MUST_CHECK tola_status tola_checkpoint_companion(const tola_checkpoint *checkpoint, const char *name,
                                                               void **data, size_t *bytes, tola_error *err);

/* Do its bytes come out of an encrypted model (tola/encrypt.h)? Then they should not be written anywhere unasked. */
TOLA_API bool tola_checkpoint_encrypted(const tola_checkpoint *checkpoint);

/* What is odd though readable: misaligned payloads, missing shards, trailing bytes, ... One line each. */
TOLA_API size_t tola_checkpoint_warning_count(const tola_checkpoint *checkpoint);
TOLA_API const char *tola_checkpoint_warning(const tola_checkpoint *checkpoint, size_t index);

/* Bytes [offset, offset + bytes) of tensor `index` as tola_tensor_info.bytes describes them: contiguous, row-major,
 * little-endian, whatever the storage. */
TOLA_API TOLA_MUST_CHECK tola_status tola_checkpoint_read(const tola_checkpoint *checkpoint, size_t index,
                                                          uint64_t offset, void *dst, size_t bytes, tola_error *err);

/* A whole tensor in memory. `data` is mapped where the storage allows that, otherwise read into memory. Where it is
 * mapped, a file that another process shortens takes its pages away: touching them then raises SIGBUS. */
typedef struct tola_view {
    const void *data;
    size_t bytes;
    void *owner; /* private */
} tola_view;
TOLA_API TOLA_MUST_CHECK tola_status tola_checkpoint_acquire(const tola_checkpoint *checkpoint, size_t index,
                                                             tola_view *view, tola_error *err);
/* Ends a view; its pages may be dropped. NULL and empty views are fine. */
TOLA_API void tola_view_release(tola_view *view);

/* ---- writing ---------------------------------------------------------------------------------------------------- */

typedef struct tola_writer tola_writer;

/* A tensor to be written; everything borrowed until tola_writer_open returns. */
typedef struct tola_tensor_spec {
    const char *name;
    const uint64_t *shape; /* outermost first */
    uint16_t n_dims;
    uint16_t dtype; /* tola_dtype */
    uint32_t flags; /* TOLA_TENSOR_PARAMETER is kept where the format knows it */
} tola_tensor_spec;

typedef struct tola_write_options {
    size_t size;             /* sizeof(tola_write_options) */
    const char *format;      /* "safetensors", "gguf", "pytorch", "npz"; NULL: from the extension of the path */
    uint64_t max_shard_size; /* bytes of tensors a shard; 0 = one file */
    bool overwrite;          /* replace existing outputs; otherwise they are TOLA_E_EXISTS */
    bool folder;             /* `path` is a folder: the format's usual names inside it (model.safetensors, ...) */
    const tola_value *metadata; /* a map or NULL; borrowed until tola_writer_open returns. What the format cannot
                                   hold (a nested map in safetensors) is written as JSON text */
    uint64_t reserved[6];
} tola_write_options;

#define TOLA_WRITE_OPTIONS_INIT { sizeof(tola_write_options), NULL, 0, false, false, NULL, { 0 } }

/* Lays out the file(s) and writes the headers into temporary files beside `path`. */
TOLA_API TOLA_MUST_CHECK tola_status tola_writer_open(const char *path, const tola_tensor_spec *tensors, size_t count,
                                                      const tola_write_options *options, tola_writer **out,
                                                      tola_error *err);
/* Bytes [offset, offset + bytes) of tensor `index`. Any order, any thread; each byte exactly once. */
TOLA_API TOLA_MUST_CHECK tola_status tola_writer_write(tola_writer *writer, size_t index, uint64_t offset,
                                                       const void *data, size_t bytes, tola_error *err);
/* Adds a small companion file (config.json) to the output folder, with the same all-or-nothing rule. Folders only. */
TOLA_API TOLA_MUST_CHECK tola_status tola_writer_companion(tola_writer *writer, const char *name, const void *data,
                                                           size_t bytes, tola_error *err);
/* Completes checksums, syncs, and renames everything into place. Takes ownership whether it succeeds or not;
 * on failure nothing is left behind. TOLA_E_ARG where bytes are missing. */
TOLA_API TOLA_MUST_CHECK tola_status tola_writer_finish(tola_writer *writer, tola_error *err);
/* Removes what was written. NULL is fine. */
TOLA_API void tola_writer_abort(tola_writer *writer);

#ifdef __cplusplus
}
#endif
#endif
