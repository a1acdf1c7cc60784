/* The GGUF writer: version 3, little-endian, one file or several.
 *
 * Lays out the tensors in the order given, each at a multiple of the alignment (32, or what general.alignment of the
 * metadata says), and writes the headers; payloads come later through tola_writer_write. Several files are named
 * NAME-00001-of-0000N.gguf and carry split.no, split.count and split.tensors.count; the metadata is in the first, as
 * llama.cpp's gguf-split has it. Scalars are written with no dimension at all, as gguf-py does (GGUFWriter takes
 * len(shape)); llama.cpp reads them as one element.
 * Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/output.h"
#include "base/text.h"
#include "formats/gguf.h"
#include "tensor/dtype.h"

static bool gguf_holds(tola_dtype dtype) { return dtype_get(dtype)->ggml >= 0; }

/* ---- what GGUF can hold, beyond what tola_writer_open checks for every format ---- */

static tola_status check_shape(const tola_tensor_spec *t, uint64_t *bytes, tola_error *err) {
    uint64_t elements = 1, row = t->n_dims ? t->shape[t->n_dims - 1] : 1;
    uint32_t block = tola_dtype_block_elements((tola_dtype)t->dtype);
    if (t->n_dims > GGUF_MAX_DIMS)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "has %u dimensions; gguf holds at most %d", t->n_dims,
                       GGUF_MAX_DIMS);
    for (unsigned i = 0; i < t->n_dims; i++) {
        if (t->shape[i] == 0)
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "has no elements; gguf cannot hold that");
        elements *= t->shape[i]; /* cannot overflow: checked before */
    }
    if (row % block != 0)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "has rows of %" PRIu64 " elements, no multiple of the %" PRIu32 " in a block of %s", row, block,
                       tola_dtype_name((tola_dtype)t->dtype));
    tola_status status = tola_dtype_size((tola_dtype)t->dtype, elements, bytes);
    return status == TOLA_OK ? status : err_set(err, status, TOLA_NO_OFFSET, "its size in bytes is beyond 2^63");
}

static tola_status check_tensor(const tola_tensor_spec *t, uint64_t *bytes, tola_error *err) {
    size_t length = strlen(t->name);
    if (length == 0 || length >= GGUF_MAX_NAME)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "its name has %zu bytes; names in gguf have 1 to %d, readers refuse longer ones", length,
                       GGUF_MAX_NAME - 1);
    return check_shape(t, bytes, err);
}

/* The alignment that the metadata asks for. Text, which metadata of other formats is made of, is no request. */
static tola_status find_alignment(const tola_value *metadata, uint32_t *alignment, tola_error *err) {
    const tola_value *v = tola_value_get(metadata, "general.alignment");
    *alignment = GGUF_DEFAULT_ALIGNMENT;
    if (!v || (v->kind != TOLA_VALUE_UINT && v->kind != TOLA_VALUE_INT)) return TOLA_OK;
    uint64_t n = tola_value_u64(v, 0);
    if (n == 0 || (n & (n - 1)) != 0 || n > GGUF_MAX_ALIGNMENT)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "metadata 'general.alignment': must be a power of two up to %u, is %" PRId64, GGUF_MAX_ALIGNMENT,
                       v->as.i64);
    *alignment = (uint32_t)n;
    return TOLA_OK;
}

/* ---- layout ---- */

typedef struct layout {
    tola_writer *w;
    const tola_tensor_spec *tensors;
    const tola_value *metadata;
    uint64_t *bytes; /* of each tensor */
    uint32_t *shard; /* of each tensor */
    size_t count;
    uint32_t shards, alignment;
} layout;

static tola_status prepare(layout *l, const tola_write_options *options, tola_error *err) {
    l->bytes = mem_calloc(l->count, sizeof *l->bytes);
    l->shard = mem_calloc(l->count, sizeof *l->shard);
    if (!l->bytes || !l->shard) return err_nomem(err, "laying out tensors");
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < l->count && status == TOLA_OK; i++) {
        const tola_tensor_spec *t = &l->tensors[i];
        status = check_tensor(t, &l->bytes[i], err);
        if (status != TOLA_OK) err_in_tensor(err, status, t->name);
    }
    TRY(status);
    l->shards = l->count ? writer_plan_shards(l->tensors, l->count, options->max_shard_size, l->shard) : 1;
    if (l->shards > GGUF_MAX_PARTS)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%" PRIu32 " files; a split gguf has at most %d", l->shards,
                       GGUF_MAX_PARTS);
    return find_alignment(l->metadata, &l->alignment, err);
}

static uint64_t round_up(uint64_t n, uint64_t alignment) { return (n + alignment - 1) & ~(alignment - 1); }

/* ---- headers ---- */

static void put_u16_entry(buf *b, const char *key, uint16_t value) {
    gguf_write_key(b, key, strlen(key), GGUF_U16);
    buf_u16le(b, value);
}

static void put_u32_entry(buf *b, const char *key, gguf_value_type type, uint32_t value) {
    gguf_write_key(b, key, strlen(key), type);
    buf_u32le(b, value);
}

/* Metadata of shard `no`; the alignment goes into each, because readers look at each file by itself. */
static tola_status put_values(const layout *l, uint32_t no, buf *b, uint64_t *count, tola_error *err) {
    *count = 0;
    if (no == 0) {
        TRY(gguf_write_values(b, l->metadata, count, err));
    } else if (l->alignment != GGUF_DEFAULT_ALIGNMENT) {
        put_u32_entry(b, "general.alignment", GGUF_U32, l->alignment);
        ++*count;
    }
    if (l->shards > 1) {
        put_u16_entry(b, "split.no", (uint16_t)no);
        put_u16_entry(b, "split.count", (uint16_t)l->shards);
        put_u32_entry(b, "split.tensors.count", GGUF_I32, (uint32_t)l->count);
        *count += 3;
    }
    return TOLA_OK;
}

static void put_tensor(buf *b, const tola_tensor_spec *t, uint64_t offset) {
    buf_u64le(b, strlen(t->name));
    buf_append(b, t->name, strlen(t->name));
    buf_u32le(b, t->n_dims);
    for (unsigned i = t->n_dims; i-- > 0;) buf_u64le(b, t->shape[i]);
    buf_u32le(b, (uint32_t)dtype_get((tola_dtype)t->dtype)->ggml);
    buf_u64le(b, offset);
}

/* The header of shard `no` in `b`, padded to where its data section begins; *data_bytes is that section's length. */
static tola_status make_header(const layout *l, uint32_t no, buf *b, uint64_t *data_bytes, tola_error *err) {
    buf values;
    uint64_t value_count, tensor_count = 0;
    buf_init(&values, CK_MAX_HEADER);
    tola_status status = put_values(l, no, &values, &value_count, err);
    for (size_t i = 0; i < l->count; i++) tensor_count += l->shard[i] == no;
    buf_append(b, "GGUF", 4);
    buf_u32le(b, GGUF_VERSION);
    buf_u64le(b, tensor_count);
    buf_u64le(b, value_count);
    buf_append(b, values.data, values.length);
    b->failed = b->failed || values.failed;
    b->full = b->full || values.full;
    buf_free(&values);
    TRY(status);
    *data_bytes = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (l->shard[i] != no) continue;
        put_tensor(b, &l->tensors[i], *data_bytes);
        if (!add_u64(*data_bytes, round_up(l->bytes[i], l->alignment), data_bytes) || *data_bytes > INT64_MAX)
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the file would be longer than 2^63 bytes");
    }
    buf_zeros(b, (size_t)(round_up(b->length, l->alignment) - b->length));
    if (b->full)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "the header would have more than the %u bytes that are allowed", CK_MAX_HEADER);
    if (b->failed) return err_nomem(err, "laying out tensors");
    return TOLA_OK;
}

/* ---- files ---- */

/* "DIR/NAME.gguf", or "DIR/NAME-00002-of-00003.gguf". */
static char *shard_path(const layout *l, uint32_t no, bool folder) {
    const char *path = l->w->path;
    size_t length = strlen(path), room = length + 64;
    char *out = mem_alloc(room);
    if (!out) return NULL;
    while (folder && length > 1 && path[length - 1] == '/') length--;
    const char *inside = folder ? "/model" : "";
    if (!folder && l->shards == 1) {
        snprintf(out, room, "%s", path);
        return out;
    }
    if (!folder && text_ends_with(path, ".gguf")) length -= 5;
    if (l->shards == 1)
        snprintf(out, room, "%.*s%s.gguf", (int)length, path, inside);
    else
        snprintf(out, room, "%.*s%s-%05" PRIu32 "-of-%05" PRIu32 ".gguf", (int)length, path, inside, no + 1, l->shards);
    return out;
}

static tola_status write_shard(const layout *l, uint32_t no, bool folder, const buf *header, uint64_t data_bytes,
                               tola_error *err) {
    tola_writer *w = l->w;
    uint64_t at = header->length;
    uint32_t file;
    char *path = shard_path(l, no, folder);
    tola_status status = path ? writer_add_file(w, path, at + data_bytes, &file, err) : err_nomem(err, "naming a file");
    mem_free(path);
    TRY(status);
    TRY(output_write(w->files[file], 0, header->data, header->length, err));
    TRY(output_truncate(w->files[file], at + data_bytes, err)); /* padding reads as zeros */
    for (size_t i = 0; i < l->count; i++) {
        if (l->shard[i] != no) continue;
        w->slots[i] = (writer_slot){ file, at, l->bytes[i] };
        at += round_up(l->bytes[i], l->alignment);
    }
    return TOLA_OK;
}

static tola_status write_shards(layout *l, const tola_write_options *options, tola_error *err) {
    TRY(prepare(l, options, err));
    for (uint32_t no = 0; no < l->shards; no++) {
        buf header;
        uint64_t data_bytes;
        buf_init(&header, CK_MAX_HEADER);
        tola_status status = make_header(l, no, &header, &data_bytes, err);
        if (status == TOLA_OK) status = write_shard(l, no, options->folder, &header, data_bytes, err);
        buf_free(&header);
        TRY(status);
    }
    return TOLA_OK;
}

static tola_status gguf_open(tola_writer *w, const tola_tensor_spec *tensors, size_t count,
                             const tola_write_options *options, tola_error *err) {
    layout l = { .w = w, .tensors = tensors, .metadata = options->metadata, .count = count };
    tola_status status = write_shards(&l, options, err);
    mem_free(l.bytes);
    mem_free(l.shard);
    return status;
}

const writer_format writer_gguf = {
    .name = "gguf", .extensions = ".gguf", .holds = gguf_holds, .open = gguf_open,
};
