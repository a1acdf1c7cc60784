/* Writing safetensors: one file, or shards with an index.
 *
 * Like the reference implementation the header is padded with spaces to 8 bytes and tensors of wide types come first,
 * so that every payload is aligned; within one width the order given is kept. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/output.h"
#include "base/path.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/safetensors.h"
#include "tensor/dtype.h"
#include <tola/json.h>

static bool st_holds(tola_dtype dtype) { return dtype_get(dtype)->safetensors != NULL; }

typedef struct st_layout {
    const tola_tensor_spec *tensors;
    size_t count;
    uint32_t *shard;  /* one a tensor */
    uint32_t shards;
    const tola_value *metadata;
} st_layout;

static unsigned alignment_of(const tola_tensor_spec *t) {
    const dtype_row *row = dtype_get((tola_dtype)t->dtype);
    if (row->block_elements > 1) return 1;
    return row->kind == TOLA_KIND_COMPLEX ? row->block_bytes / 2u : row->block_bytes;
}

/* Offsets relative to the payload of the tensor's shard, widest types first. Returns the bytes of the payload. */
static uint64_t place_shard(const st_layout *l, uint32_t shard, writer_slot *slots) {
    uint64_t at = 0;
    for (unsigned alignment = 8; alignment >= 1; alignment /= 2)
        for (size_t i = 0; i < l->count; i++) {
            const tola_tensor_spec *t = &l->tensors[i];
            if (l->shard[i] != shard || alignment_of(t) != alignment) continue;
            uint64_t elements = 1, bytes = 0;
            for (unsigned d = 0; d < t->n_dims; d++) elements *= t->shape[d];
            /* the caller has checked every size */
            if (tola_dtype_size((tola_dtype)t->dtype, elements, &bytes) != TOLA_OK) continue;
            slots[i] = (writer_slot){ shard, at, bytes };
            at += bytes;
        }
    return at;
}

static void put_metadata(tola_json *j, const tola_value *metadata) {
    if (!metadata || metadata->kind != TOLA_VALUE_MAP || metadata->as.map.count == 0) return;
    tola_json_key(j, "__metadata__");
    tola_json_begin_object(j);
    for (size_t i = 0; i < metadata->as.map.count; i++) {
        const tola_member *m = &metadata->as.map.members[i];
        tola_json_key_n(j, m->key.data, m->key.length);
        if (m->value.kind == TOLA_VALUE_STRING) {
            tola_json_string_n(j, m->value.as.string.data, m->value.as.string.length);
        } else { /* the format holds strings only: everything else as JSON text */
            buf text;
            tola_json inner;
            buf_init(&text, SAFETENSORS_MAX_HEADER);
            tola_json_init(&inner, json_to_buf, &text, 0);
            tola_json_value(&inner, &m->value);
            if (!tola_json_finish(&inner)) j->failed = true;
            tola_json_string_n(j, text.data ? (const char *)text.data : "", text.length);
            buf_free(&text);
        }
    }
    tola_json_end_object(j);
}

static void put_tensor(tola_json *j, const tola_tensor_spec *t, const writer_slot *slot) {
    tola_json_key(j, t->name);
    tola_json_begin_object(j);
    tola_json_key(j, "dtype");
    tola_json_string(j, dtype_get((tola_dtype)t->dtype)->safetensors);
    tola_json_key(j, "shape");
    tola_json_begin_array(j);
    for (unsigned d = 0; d < t->n_dims; d++) tola_json_u64(j, t->shape[d]);
    tola_json_end_array(j);
    tola_json_key(j, "data_offsets");
    tola_json_begin_array(j);
    tola_json_u64(j, slot->offset);
    tola_json_u64(j, slot->offset + slot->bytes);
    tola_json_end_array(j);
    tola_json_end_object(j);
}

/* Length, JSON, spaces: all that comes before the payload. */
static tola_status make_header(const st_layout *l, uint32_t shard, const writer_slot *slots, buf *out,
                               tola_error *err) {
    tola_json j;
    buf_u64le(out, 0);
    tola_json_init(&j, json_to_buf, out, 0);
    tola_json_begin_object(&j);
    put_metadata(&j, l->metadata);
    for (unsigned alignment = 8; alignment >= 1; alignment /= 2) /* in the order of the payload */
        for (size_t i = 0; i < l->count; i++)
            if (l->shard[i] == shard && alignment_of(&l->tensors[i]) == alignment)
                put_tensor(&j, &l->tensors[i], &slots[i]);
    tola_json_end_object(&j);
    bool done = tola_json_finish(&j);
    while (out->length % 8 && !out->failed) buf_u8(out, ' ');
    if (!done || out->failed)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "the header would be larger than the format allows (%u bytes) or than memory",
                       SAFETENSORS_MAX_HEADER);
    uint64_t length = out->length - 8;
    for (int i = 0; i < 8; i++) out->data[i] = (uint8_t)(length >> (8 * i));
    return TOLA_OK;
}

/* ---- names ---- */

/* "dir/model.safetensors" -> "dir/model-00002-of-00005.safetensors"; for one shard the name itself. */
static char *shard_path(const char *path, uint32_t shard, uint32_t shards) {
    if (shards == 1) return mem_strdup(path);
    size_t n = strlen(path), stem = text_ends_with(path, ".safetensors") ? n - strlen(".safetensors") : n;
    char *out = mem_alloc(n + 48);
    if (out)
        snprintf(out, n + 48, "%.*s-%05u-of-%05u.safetensors", (int)stem, path, shard + 1, shards);
    return out;
}

static tola_status open_shard(tola_writer *w, const st_layout *l, const char *path, uint32_t shard, tola_error *err) {
    buf header;
    buf_init(&header, SAFETENSORS_MAX_HEADER + 8);
    uint64_t payload = place_shard(l, shard, w->slots);
    tola_status status = make_header(l, shard, w->slots, &header, err);
    char *name = shard_path(path, shard, l->shards);
    uint32_t file = 0;
    if (status == TOLA_OK && !name) status = err_nomem(err, "preparing output");
    if (status == TOLA_OK) status = writer_add_file(w, name, header.length + payload, &file, err);
    if (status == TOLA_OK) status = output_truncate(w->files[file], header.length + payload, err);
    if (status == TOLA_OK) status = output_write(w->files[file], 0, header.data, header.length, err);
    for (size_t i = 0; i < l->count && status == TOLA_OK; i++)
        if (l->shard[i] == shard) {
            w->slots[i].offset += header.length;
            w->slots[i].file = file;
        }
    mem_free(name);
    buf_free(&header);
    return status;
}

static tola_status st_open(tola_writer *w, const tola_tensor_spec *tensors, size_t count,
                           const tola_write_options *options, tola_error *err) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(tensors[i].name, "__metadata__") == 0)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "safetensors cannot hold a tensor called __metadata__");
    st_layout l = { tensors, count, mem_calloc(count, sizeof(uint32_t)), 1, options->metadata };
    char *path = options->folder ? path_join(w->path, "model.safetensors") : mem_strdup(w->path);
    tola_status status = l.shard && path ? TOLA_OK : err_nomem(err, "preparing output");
    if (status == TOLA_OK) l.shards = writer_plan_shards(tensors, count, options->max_shard_size, l.shard);
    if (status == TOLA_OK) status = writer_check_shards(l.shards, err);
    for (uint32_t s = 0; s < l.shards && status == TOLA_OK; s++) status = open_shard(w, &l, path, s, err);
    if (status == TOLA_OK && l.shards > 1) status = writer_add_index(w, tensors, path, err);
    mem_free(l.shard);
    mem_free(path);
    return status;
}

const writer_format writer_safetensors = {
    .name = "safetensors", .extensions = ".safetensors", .holds = st_holds, .open = st_open,
};
