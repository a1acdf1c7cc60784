/* The GGUF reader: one file or all files of a split model, into a checkpoint.
 *
 * Headers are parsed in gguf_header.c; here are the parts of a split model, named NAME-00001-of-0000N.gguf as
 * llama.cpp's gguf-split writes them: opening any of them opens all. Shapes leave this reader outermost first. Nothing
 * is decoded: block types are delivered as blocks, big-endian ones turned around by payload.c.
 * Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; split files:
 * https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/gguf.h"
#include "tensor/dtype.h"

static int gguf_probe(const uint8_t *head, size_t bytes, const char *name, uint64_t file_bytes) {
    (void)name;
    (void)file_bytes;
    return bytes >= 4 && memcmp(head, "GGUF", 4) == 0 ? 100 : 0;
}

/* ---- tensors ---- */

/* Types made of single bytes are the same in both byte orders. */
static bool differs_by_order(tola_dtype dtype) {
    const dtype_row *row = dtype_get(dtype);
    return !row->swap_known || row->fields[0].width > 1;
}

static tola_status add_tensors(tola_checkpoint *ck, uint32_t file, const gguf_part *part, tola_error *err) {
    for (size_t i = 0; i < part->tensor_count; i++) {
        const gguf_tensor *t = &part->tensors[i];
        ck_add add = { .name = t->name, .name_length = t->name_length, .shape = t->shape, .n_dims = t->n_dims,
                       .dtype = (tola_dtype)t->dtype, .file = file, .offset = t->at };
        if (part->swap && differs_by_order(add.dtype)) add.flags |= TOLA_TENSOR_SWAPPED;
        TRY(ck_add_tensor(ck, &add, err));
    }
    return TOLA_OK;
}

static tola_status add_metadata(tola_checkpoint *ck, const gguf_part *part, tola_error *err) {
    for (size_t i = 0; i < part->value_count; i++)
        TRY(ck_add_metadata(ck, part->values[i].key.data, part->values[i].value, err));
    return TOLA_OK;
}

/* ---- split models ---- */

typedef struct split {
    uint64_t no, count, tensors;
    bool counts_tensors;
} split;

static const tola_value *find_value(const gguf_part *part, const char *key) {
    for (size_t i = 0; i < part->value_count; i++)
        if (strcmp(part->values[i].key.data, key) == 0) return &part->values[i].value;
    return NULL;
}

/* split.count absent, 0 or 1: a file of its own. */
static tola_status read_split(const gguf_part *part, split *out, tola_error *err) {
    const tola_value *total = find_value(part, "split.tensors.count");
    *out = (split){ .count = tola_value_u64(find_value(part, "split.count"), 0) };
    if (out->count <= 1) return TOLA_OK;
    out->no = tola_value_u64(find_value(part, "split.no"), UINT64_MAX);
    out->tensors = tola_value_u64(total, 0);
    out->counts_tensors = total != NULL;
    if (out->count > GGUF_MAX_PARTS)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "metadata 'split.count': the model has %" PRIu64 " parts; at most %d are read", out->count,
                       GGUF_MAX_PARTS);
    if (out->no >= out->count)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "metadata 'split.no': absent or not below 'split.count', which is %" PRIu64, out->count);
    return TOLA_OK;
}

/* "DIR/NAME" of "DIR/NAME-00002-of-00003.gguf": its length; 0 where the name is another. */
static size_t split_prefix(const char *path, const split *s) {
    char tail[64];
    int n = snprintf(tail, sizeof tail, "-%05" PRIu64 "-of-%05" PRIu64 ".gguf", s->no + 1, s->count);
    size_t length = strlen(path), tail_length = (size_t)n;
    bool named = length > tail_length && memcmp(path + length - tail_length, tail, tail_length) == 0;
    return named ? length - tail_length : 0;
}

typedef struct parts {
    tola_checkpoint *ck;
    arena scratch;
    uint32_t *file; /* by number; UINT32_MAX: missing */
    uint64_t missing, tensors;
    bool described; /* metadata is there: gguf-split puts all of it into the first part */
    split split;
} parts;

/* Errors in another file than the one asked for name that file themselves; the caller's path comes before. */
static tola_status in_part(tola_error *err, tola_status status, const char *path) {
    status = err_in_file(err, status, path);
    if (err) err->offset = TOLA_NO_OFFSET;
    return status;
}

static tola_status missing_part(parts *p, uint64_t no, const char *path, tola_error *err) {
    if (!p->ck->options.tolerant)
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                       "the model is split into %" PRIu64 " files and part %" PRIu64 " is not there: %s",
                       p->split.count, no + 1, path);
    p->missing++;
    ck_warn(p->ck, "part %" PRIu64 " of %" PRIu64 " is not there, its tensors are not listed: %s", no + 1,
            p->split.count, path);
    return TOLA_OK;
}

static tola_status add_part(parts *p, uint64_t no, const gguf_part *part, tola_error *err) {
    if (!p->described) TRY(add_metadata(p->ck, part, err));
    p->described = true;
    p->tensors += part->tensor_count;
    return add_tensors(p->ck, p->file[no], part, err);
}

static tola_status read_other(parts *p, uint64_t no, source *src, arena *scratch, tola_error *err) {
    gguf_part part;
    split own;
    TRY(gguf_read_header(p->ck, src, &p->ck->arena, scratch, &part, err));
    TRY(read_split(&part, &own, err));
    if (own.no != no || own.count != p->split.count)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "says that it is part %" PRIu64 " of %" PRIu64 ", its name says part %" PRIu64 " of %" PRIu64,
                       own.no + 1, own.count, no + 1, p->split.count);
    return add_part(p, no, &part, err);
}

static tola_status open_other(parts *p, uint64_t no, const char *path, tola_error *err) {
    source *src;
    tola_status status = ck_open_source(path, &src, err);
    if (status == TOLA_E_NOT_FOUND) return missing_part(p, no, path, err);
    if (status != TOLA_OK) return status;
    TRY(ck_add_file(p->ck, path, src, &p->file[no], err));
    arena scratch; /* of this part only, so that memory does not grow with their number */
    arena_init(&scratch, 0);
    status = read_other(p, no, src, &scratch, err);
    arena_free(&scratch);
    return status == TOLA_OK ? TOLA_OK : in_part(err, status, path);
}

/* Puts the files into the order of their parts, whichever was opened first. */
static tola_status order_files(parts *p, uint32_t first, size_t first_tensor, tola_error *err) {
    tola_checkpoint *ck = p->ck;
    size_t count = ck->file_count - first;
    uint32_t *place = arena_alloc_array(&p->scratch, count, sizeof *place), next = 0;
    ck_file *files = arena_alloc_array(&p->scratch, count, sizeof *files);
    if (!place || !files) return err_nomem(err, "opening the parts of a split model");
    for (uint64_t no = 0; no < p->split.count; no++) {
        if (p->file[no] == UINT32_MAX) continue;
        files[next] = ck->files[p->file[no]];
        place[p->file[no] - first] = first + next++;
    }
    memcpy(ck->files + first, files, count * sizeof *files);
    for (size_t i = first_tensor; i < ck->tensor_count; i++)
        ck->tensors[i].info.file = place[ck->tensors[i].info.file - first];
    return TOLA_OK;
}

static tola_status read_parts(parts *p, uint32_t file, const gguf_part *first, size_t prefix, tola_error *err) {
    size_t n = (size_t)p->split.count, room = prefix + 64, first_tensor = p->ck->tensor_count;
    const char *path = p->ck->files[file].info.path;
    char *other = arena_alloc(&p->scratch, room);
    p->file = arena_alloc_array(&p->scratch, n, sizeof *p->file);
    if (!other || !p->file) return err_nomem(err, "opening the parts of a split model");
    for (size_t no = 0; no < n; no++) p->file[no] = UINT32_MAX;
    p->file[p->split.no] = file;
    for (size_t no = 0; no < n; no++) {
        snprintf(other, room, "%.*s-%05zu-of-%05zu.gguf", (int)prefix, path, no + 1, n);
        TRY(no == p->split.no ? add_part(p, no, first, err) : open_other(p, no, other, err));
    }
    if (p->split.counts_tensors && p->missing == 0 && p->tensors != p->split.tensors)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "metadata 'split.tensors.count': is %" PRIu64 ", but the parts hold %" PRIu64 " tensors",
                       p->split.tensors, p->tensors);
    return order_files(p, file, first_tensor, err);
}

static tola_status read_all(parts *p, uint32_t file, tola_error *err) {
    tola_checkpoint *ck = p->ck;
    gguf_part part;
    TRY(gguf_read_header(ck, ck->files[file].src, &ck->arena, &p->scratch, &part, err));
    TRY(read_split(&part, &p->split, err));
    if (p->split.count > 1) {
        const ck_file *own = &ck->files[file];
        size_t prefix = source_in_memory(own->src) ? 0 : split_prefix(own->info.path, &p->split);
        if (prefix) return read_parts(p, file, &part, prefix, err);
        if (!ck->options.tolerant)
            return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                           "part %" PRIu64 " of %" PRIu64 " of a split model, but its name does not end in -%05" PRIu64
                           "-of-%05" PRIu64 ".gguf, so the other parts cannot be found", p->split.no + 1,
                           p->split.count, p->split.no + 1, p->split.count);
        ck_warn(ck, "part %" PRIu64 " of %" PRIu64 " of a split model; the other parts are not listed",
                p->split.no + 1, p->split.count);
    }
    TRY(add_metadata(ck, &part, err));
    return add_tensors(ck, file, &part, err);
}

static tola_status gguf_read(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    parts p = { .ck = ck };
    arena_init(&p.scratch, 0);
    tola_status status = read_all(&p, file, err);
    arena_free(&p.scratch);
    return status;
}

const format format_gguf = { "gguf", gguf_probe, gguf_read };
