/* Hashing the files of a model on all threads.
 *
 * A chain (sha256, blake2b) is one piece of work for one thread, a tree (blake3) one for each branch. Large pieces are
 * handed out first, so that no thread is left alone with one at the end. */
#define _GNU_SOURCE 1 /* qsort_r */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/source.h"
#include "base/text.h"
#include "insight/job.h"
#include "trust/manifest.h"

enum { BLOCK = 256 << 10 }; /* read at once: stays in the second cache between reading and hashing */

typedef uint8_t branch_value[DIGEST_MOST_BYTES];

typedef struct hashing {
    const manifest_files *files;
    const digest_info *info;
    digest_kind hash;
    manifest_resource *items;
    uint64_t *sizes;         /* of each item */
    branch_value **branches; /* of each item that has several; else NULL */
    size_t *order;           /* job item -> item */
    uint8_t *blocks;         /* BLOCK bytes for each worker */
    job j;
} hashing;

static tola_status read_piece(hashing *h, source *s, uint64_t from, uint64_t bytes, unsigned worker, digest_stream *d,
                              tola_error *err) {
    uint8_t *block = h->blocks + (size_t)worker * BLOCK;
    while (bytes > 0) {
        size_t n = bytes < BLOCK ? (size_t)bytes : BLOCK;
        TRY(source_read(s, from, block, n, err));
        TRY(digest_update(d, block, n, err));
        TRY(job_advance(&h->j, n, err));
        from += n;
        bytes -= n;
    }
    return TOLA_OK;
}

static tola_status hash_piece(void *context, const job_piece *piece, tola_error *err) {
    hashing *h = context;
    size_t at = h->order[piece->item];
    manifest_resource *item = &h->items[at];
    buf path;
    buf_init(&path, 0);
    source *s = NULL;
    digest_stream *d = NULL;
    tola_status status = manifest_files_path(h->files, item->path, &path, err);
    const char *name = (const char *)path.data;
    if (status == TOLA_OK) status = source_open_file(name, &s, err);
    if (status == TOLA_OK) {
        status = digest_open(h->hash, piece->piece, !h->branches[at], &d, err);
        if (status == TOLA_OK && s->size < item->start + h->sizes[at])
            status = err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "the file became shorter since it was listed");
        if (status == TOLA_OK && !item->end && s->size > h->sizes[at])
            status = err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "the file became longer since it was listed");
        if (status == TOLA_OK)
            status = read_piece(h, s, item->start + piece->offset, piece->size, piece->worker, d, err);
        if (status != TOLA_OK && status != TOLA_E_CANCELLED) err_in_file(err, status, name);
    }
    if (status == TOLA_OK) {
        status = digest_finish(d, h->branches[at] ? h->branches[at][piece->piece] : item->digest, err);
        d = NULL;
    }
    digest_abort(d);
    source_close(s);
    buf_free(&path);
    return status;
}

static int larger_first(const void *a, const void *b, void *context) {
    const uint64_t *sizes = context;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    if (sizes[x] != sizes[y]) return sizes[x] > sizes[y] ? -1 : 1;
    return (x > y) - (x < y);
}

static void swap_sort(size_t *order, size_t count, uint64_t *sizes) {
    qsort_r(order, count, sizeof *order, larger_first, sizes);
}

static tola_status run_all(hashing *h, size_t count, job_item *work, tola_error *err) {
    for (size_t i = 0; i < count; i++) h->order[i] = i;
    swap_sort(h->order, count, h->sizes);
    for (size_t i = 0; i < count; i++) {
        size_t at = h->order[i];
        work[i] = (job_item){ at, h->sizes[at], h->info->branch };
        uint64_t pieces = job_pieces(&work[i]);
        if (pieces == 1) continue;
        h->branches[at] = mem_alloc((size_t)pieces * sizeof **h->branches);
        if (!h->branches[at]) return err_nomem(err, "hashing files");
    }
    h->blocks = mem_alloc_aligned(64, (size_t)job_threads(&h->j) * BLOCK);
    if (!h->blocks) return err_nomem(err, "hashing files");
    source_expect_files(job_threads(&h->j));
    TRY(job_run(&h->j, work, count, hash_piece, h, err));
    for (size_t i = 0; i < count; i++) {
        size_t at = h->order[i];
        if (h->branches[at])
            digest_join(h->hash, (const branch_value *)h->branches[at], (size_t)job_pieces(&work[i]),
                        h->items[at].digest);
    }
    return TOLA_OK;
}

tola_status manifest_hash(const manifest_files *files, digest_kind hash, manifest_resource *items, size_t count,
                          manifest_work *work, tola_error *err) {
    if (count == 0) return TOLA_OK;
    hashing h = { files, digest_get(hash), hash, items, NULL, NULL, NULL, NULL, { 0 } };
    uint64_t total = 0;
    h.sizes = mem_calloc(count, sizeof *h.sizes);
    h.branches = mem_calloc(count, sizeof *h.branches);
    h.order = mem_calloc(count, sizeof *h.order);
    job_item *pieces = mem_calloc(count, sizeof *pieces);
    tola_status status = h.sizes && h.branches && h.order && pieces ? TOLA_OK : err_nomem(err, "hashing files");
    for (size_t i = 0; status == TOLA_OK && i < count; i++) {
        const manifest_file *f = manifest_files_find(files, items[i].path);
        h.sizes[i] = items[i].end ? items[i].end - items[i].start : f ? f->bytes : 0;
        total += h.sizes[i];
    }
    if (status == TOLA_OK) status = job_open(&h.j, work->threads, work->progress, work->user, "hashing", total, err);
    if (status == TOLA_OK) {
        status = run_all(&h, count, pieces, err);
        job_close(&h.j);
    }
    if (status == TOLA_OK) work->bytes += total;
    for (size_t i = 0; h.branches && i < count; i++) mem_free(h.branches[i]);
    mem_free(h.blocks);
    mem_free(h.branches);
    mem_free(h.sizes);
    mem_free(h.order);
    mem_free(pieces);
    return status;
}

/* ---- all of a model ---- */

tola_status manifest_add_file(manifest *m, const manifest_file *file, tola_error *err) {
    char *path = arena_strndup(&m->a, file->path, strlen(file->path));
    if (!path) return err_nomem(err, "listing files");
    manifest_resource item = { path, 0, 0, { 0 } };
    if (!m->rules.shard_size) return manifest_add(m, &item, err);
    for (uint64_t left = file->bytes; left > 0; left -= item.end - item.start) { /* an empty file has no shard */
        item.start = item.end;
        item.end += left < m->rules.shard_size ? left : m->rules.shard_size;
        TRY(manifest_add(m, &item, err));
    }
    return TOLA_OK;
}

/* Can it be signed? */
static tola_status check_file(const manifest *m, const manifest_file *f, tola_error *err) {
    char quoted[300];
    text_quote(quoted, sizeof quoted, f->path, strlen(f->path));
    switch (f->kind) {
    case MANIFEST_FILE: break;
    case MANIFEST_LINK:
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "%s is a symbolic link: allow links (then the file it leads to is signed), or ignore the path",
                       quoted);
    case MANIFEST_LINK_FOLDER:
        return err_set(
            err, TOLA_E_ARG, TOLA_NO_OFFSET,
            "%s is a symbolic link to a folder or to nothing, which a signature cannot cover: ignore the path", quoted);
    default: return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s is no regular file: ignore the path", quoted);
    }
    if (!utf8_valid(f->path, strlen(f->path)))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the name %s is no UTF-8, which JSON needs", quoted);
    if (m->rules.shard_size && strchr(f->path, ':'))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "the name %s has a ':', which model_signing cannot read in a list of shards: sign whole files",
                       quoted);
    return TOLA_OK;
}

tola_status manifest_make(manifest *m, const manifest_files *files, manifest_work *work, tola_error *err) {
    for (size_t i = 0; i < files->count; i++) {
        TRY(check_file(m, &files->items[i], err));
        TRY(manifest_add_file(m, &files->items[i], err));
    }
    manifest_sort(m);
    return manifest_hash(files, m->rules.hash, m->items, m->count, work, err);
}
