/* The GGUF reader: one file or all files of a split model, into a checkpoint.
 *
 * Headers are parsed in gguf_header.c; here are the parts of a split model, named NAME-00001-of-0000N.gguf as
 * llama.cpp's gguf-split writes them: opening any of them opens all. Shapes leave this reader outermost first. Nothing
 * is decoded: block types are delivered as blocks, big-endian ones turned around by payload.c.
 * Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; split files:
 * https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "formats/gguf.h"
#include "formats/open.h"
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
    tola_checkpoint **part; /* by number */
    bool *missing;
    const char *path;       /* of the part that was asked for */
    size_t prefix;
    split split;
} parts;

static tola_status add_all(tola_checkpoint *ck, uint32_t file, const gguf_part *part, tola_error *err) {
    TRY(add_metadata(ck, part, err));
    return add_tensors(ck, file, part, err);
}

static char *part_path(const parts *p, size_t no) {
    size_t room = p->prefix + 64;
    char *path = mem_alloc(room);
    if (path)
        snprintf(path, room, "%.*s-%05zu-of-%05" PRIu64 ".gguf", (int)p->prefix, p->path, no + 1, p->split.count);
    return path;
}

static tola_status read_header_of(const parts *p, size_t no, uint32_t file, arena *scratch, tola_error *err) {
    tola_checkpoint *ck = p->part[no];
    gguf_part part;
    split own;
    TRY(gguf_read_header(ck, ck->files[file].src, &ck->arena, scratch, &part, err));
    TRY(read_split(&part, &own, err));
    if (own.no != no || own.count != p->split.count)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "says that it is part %" PRIu64 " of %" PRIu64 ", its name says part %zu of %" PRIu64,
                       own.no + 1, own.count, no + 1, p->split.count);
    return add_all(ck, file, &part, err);
}

static tola_status open_part(parts *p, size_t no, const char *path, tola_error *err) {
    source *src;
    uint32_t file;
    tola_status status = ck_open_source(path, &src, err);
    if (status == TOLA_E_NOT_FOUND && p->ck->options.tolerant) {
        p->missing[no] = true;
        return TOLA_OK;
    }
    if (status == TOLA_E_NOT_FOUND)
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                       "the model is split into %" PRIu64 " files and part %zu is not there: %s", p->split.count,
                       no + 1, path);
    if (status != TOLA_OK) return status;
    TRY(ck_add_file(p->part[no], path, src, &file, err));
    arena scratch;
    arena_init(&scratch, 0);
    status = read_header_of(p, no, file, &scratch, err);
    arena_free(&scratch);
    if (status == TOLA_OK) return TOLA_OK;
    /* the caller's path, which comes before, is that of another part, and so no place for an offset */
    status = err_in_file(err, status, path);
    if (err) err->offset = TOLA_NO_OFFSET;
    return status;
}

/* A pool_task: one part into a checkpoint of its own. The one that was asked for is there already. */
static tola_status read_part(void *context, size_t no, unsigned worker, tola_error *err) {
    (void)worker;
    parts *p = context;
    if (no == p->split.no) return TOLA_OK;
    TRY(ck_create(&p->ck->options, &p->part[no], err));
    char *path = part_path(p, no);
    tola_status status = path ? open_part(p, no, path, err) : err_nomem(err, "opening the parts of a split model");
    mem_free(path);
    return status;
}

static tola_status run_parts(parts *p, bool remote, tola_error *err) {
    unsigned threads = p->ck->options.threads;
    pool *workers;
    if (threads == 0 && remote) threads = 16; /* they wait for a server, not for a processor */
    if (!remote) source_expect_files((size_t)p->split.count);
    TRY(pool_create(threads, &workers, err));
    tola_status status = pool_run(workers, (size_t)p->split.count, read_part, p, err);
    pool_free(workers);
    return status;
}

/* All parts into the checkpoint, in order. Metadata is that of the first one: gguf-split puts all of it there. */
static tola_status join_parts(parts *p, tola_error *err) {
    size_t first = p->ck->tensor_count, missing = 0;
    for (size_t no = 0; no < p->split.count; no++) {
        if (p->missing[no]) {
            char *path = part_path(p, no);
            ck_warn(p->ck, "part %zu of %" PRIu64 " is not there, its tensors are not listed: %s", no + 1,
                    p->split.count, path ? path : "");
            mem_free(path);
            missing++;
        }
        TRY(ck_append(p->ck, p->part[no], err));
        tola_checkpoint_close(p->part[no]); /* its list is in ck now */
        p->part[no] = NULL;
    }
    size_t tensors = p->ck->tensor_count - first;
    if (p->split.counts_tensors && missing == 0 && tensors != p->split.tensors)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "metadata 'split.tensors.count': is %" PRIu64 ", but the parts hold %zu tensors",
                       p->split.tensors, tensors);
    return TOLA_OK;
}

/* Moves file `file`, the last of ck, into the checkpoint of its part. */
static tola_status take_first(parts *p, uint32_t file, const gguf_part *first, tola_error *err) {
    tola_checkpoint *ck = p->ck, *part;
    uint32_t own;
    TRY(ck_create(&ck->options, &p->part[p->split.no], err));
    part = p->part[p->split.no];
    source *src = ck->files[file].src;
    assert(file + 1 == ck->file_count);
    ck->file_count--;
    TRY(ck_add_file(part, p->path, src, &own, err));
    return add_all(part, own, first, err);
}

static tola_status read_parts(tola_checkpoint *ck, uint32_t file, const gguf_part *first, const split *s, size_t prefix,
                              tola_error *err) {
    size_t n = (size_t)s->count;
    bool remote = ck->files[file].src->remote;
    parts p = { .ck = ck, .path = ck->files[file].info.path, .prefix = prefix, .split = *s };
    p.part = mem_calloc(n, sizeof *p.part);
    p.missing = mem_calloc(n, sizeof *p.missing);
    tola_status status = p.part && p.missing ? TOLA_OK : err_nomem(err, "opening the parts of a split model");
    if (status == TOLA_OK) status = take_first(&p, file, first, err);
    if (status == TOLA_OK) status = run_parts(&p, remote, err);
    if (status == TOLA_OK) status = join_parts(&p, err);
    for (size_t no = 0; p.part && no < n; no++) tola_checkpoint_close(p.part[no]);
    mem_free(p.part);
    mem_free(p.missing);
    return status;
}

static tola_status read_all(tola_checkpoint *ck, uint32_t file, arena *scratch, tola_error *err) {
    gguf_part part;
    split s;
    const ck_file *own = &ck->files[file];
    TRY(gguf_read_header(ck, own->src, &ck->arena, scratch, &part, err));
    TRY(read_split(&part, &s, err));
    if (s.count > 1) {
        size_t prefix = source_in_memory(own->src) ? 0 : split_prefix(own->info.path, &s);
        if (prefix) return read_parts(ck, file, &part, &s, prefix, err);
        if (!ck->options.tolerant)
            return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                           "part %" PRIu64 " of %" PRIu64 " of a split model, but its name does not end in -%05" PRIu64
                           "-of-%05" PRIu64 ".gguf, so the other parts cannot be found", s.no + 1, s.count, s.no + 1,
                           s.count);
        ck_warn(ck, "part %" PRIu64 " of %" PRIu64 " of a split model; the other parts are not listed", s.no + 1,
                s.count);
    }
    return add_all(ck, file, &part, err);
}

static tola_status gguf_read(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    arena scratch;
    arena_init(&scratch, 0);
    tola_status status = read_all(ck, file, &scratch, err);
    arena_free(&scratch);
    return status;
}

const format format_gguf = { "gguf", gguf_probe, gguf_read };
