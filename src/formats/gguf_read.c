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
    gguf_part *part;   /* by number */
    uint32_t *file;    /* UINT32_MAX: missing */
    uint64_t missing;
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

static tola_status open_part(parts *p, uint64_t no, const char *path, tola_error *err) {
    tola_checkpoint *ck = p->ck;
    source *src;
    split own;
    tola_status status = ck_open_source(path, &src, err);
    if (status == TOLA_E_NOT_FOUND) return missing_part(p, no, path, err);
    if (status != TOLA_OK) return status;
    TRY(ck_add_file(ck, path, src, &p->file[no], err));
    status = gguf_read_header(ck, src, &ck->arena, &p->scratch, &p->part[no], err);
    if (status == TOLA_OK) status = read_split(&p->part[no], &own, err);
    if (status == TOLA_OK && (own.no != no || own.count != p->split.count))
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                         "says that it is part %" PRIu64 " of %" PRIu64 ", its name says part %" PRIu64 " of %" PRIu64,
                         own.no + 1, own.count, no + 1, p->split.count);
    return status == TOLA_OK ? TOLA_OK : in_part(err, status, path);
}

static tola_status open_others(parts *p, const char *path, size_t prefix, tola_error *err) {
    size_t room = prefix + 64;
    char *other = arena_alloc(&p->scratch, room);
    if (!other) return err_nomem(err, "opening the parts of a split model");
    for (uint64_t no = 0; no < p->split.count; no++) {
        if (no == p->split.no) continue;
        snprintf(other, room, "%.*s-%05" PRIu64 "-of-%05" PRIu64 ".gguf", (int)prefix, path, no + 1, p->split.count);
        TRY(open_part(p, no, other, err));
    }
    return TOLA_OK;
}

/* Files in the order of their parts, whichever was opened first; before any tensor refers to one. */
static void order_files(parts *p, uint32_t first) {
    tola_checkpoint *ck = p->ck;
    uint32_t place = first;
    for (uint64_t no = 0; no < p->split.count; no++) {
        if (p->file[no] == UINT32_MAX) continue;
        for (uint64_t other = no + 1; other < p->split.count; other++)
            if (p->file[other] == place) p->file[other] = p->file[no];
        ck_file file = ck->files[p->file[no]];
        ck->files[p->file[no]] = ck->files[place];
        ck->files[place] = file;
        p->file[no] = place++;
    }
}

static tola_status add_parts(parts *p, tola_error *err) {
    uint64_t tensors = 0;
    bool described = false; /* gguf-split puts all of the metadata into the first part */
    for (uint64_t no = 0; no < p->split.count; no++) {
        if (p->file[no] == UINT32_MAX) continue;
        if (!described) TRY(add_metadata(p->ck, &p->part[no], err));
        described = true;
        TRY(add_tensors(p->ck, p->file[no], &p->part[no], err));
        tensors += p->part[no].tensor_count;
    }
    if (p->split.counts_tensors && p->missing == 0 && tensors != p->split.tensors)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "metadata 'split.tensors.count': is %" PRIu64 ", but the parts hold %" PRIu64 " tensors",
                       p->split.tensors, tensors);
    return TOLA_OK;
}

static tola_status read_parts(parts *p, uint32_t file, const gguf_part *first, size_t prefix, tola_error *err) {
    size_t n = (size_t)p->split.count;
    p->part = arena_alloc_array(&p->scratch, n, sizeof *p->part);
    p->file = arena_alloc_array(&p->scratch, n, sizeof *p->file);
    if (!p->part || !p->file) return err_nomem(err, "opening the parts of a split model");
    for (size_t i = 0; i < n; i++) p->file[i] = UINT32_MAX;
    p->part[p->split.no] = *first;
    p->file[p->split.no] = file;
    TRY(open_others(p, p->ck->files[file].info.path, prefix, err));
    order_files(p, file);
    return add_parts(p, err);
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
