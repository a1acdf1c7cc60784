/* Hashing the files of a model on all threads.
 *
 * A chain (sha256, blake2b) is one piece of work for one thread, a tree (blake3) one for each branch. Large pieces are
 * handed out first, so that no thread is left alone with one at the end. Where the processor has instructions for
 * sha256, a thread takes two files at a time, unless that leaves another thread without one. */
#define _GNU_SOURCE 1 /* qsort_r */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/source.h"
#include "base/text.h"
#include "insight/job.h"
#include "kernels/sha256/sha256.h"
#include "trust/feed.h"
#include "trust/manifest.h"

enum {
    LANES = 2,   /* files that a thread hashes at once */
    STEP = 1024, /* of mapped bytes, by a hash that does not prefetch by itself */
    AHEAD = 4096
};

typedef uint8_t branch_value[DIGEST_MOST_BYTES];

typedef struct hashing {
    const manifest_files *files;
    const digest_info *info;
    digest_kind hash;
    manifest_resource *items;
    size_t count;
    uint64_t *sizes;         /* of each item */
    branch_value **branches; /* of each item that has several; else NULL */
    size_t *order;           /* job item -> item */
    uint8_t *blocks;         /* LANES * FEED_BLOCK bytes for each worker */
    job j;
    pthread_mutex_t lock; /* over what follows */
    size_t next;          /* in `order`: the item to be taken */
    unsigned idle;        /* threads that have none yet */
} hashing;

/* Opens bytes [from, from + bytes) of a resource. */
static tola_status open_feed(hashing *h, const manifest_resource *item, uint64_t from, uint64_t bytes, unsigned worker,
                             unsigned lane, feed *f, tola_error *err) {
    const manifest_file *file = manifest_files_find(h->files, item->path);
    uint8_t *block = h->blocks + ((size_t)worker * LANES + lane) * FEED_BLOCK;
    if (!file) return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "a file that was listed is not any more");
    buf path;
    buf_init(&path, 0);
    tola_status status = manifest_files_path(h->files, item->path, &path, err);
    if (status == TOLA_OK) status = feed_open(f, (const char *)path.data, &file->stamp, from, bytes, block, err);
    buf_free(&path);
    return status;
}

/* What went wrong with a file that is being read, named. */
static tola_status in_feed(const feed *f, tola_status status, tola_error *err) {
    return status == TOLA_OK || status == TOLA_E_CANCELLED ? status : err_in_file(err, status, f->s->path);
}

/* ---- one file at a time ---- */

static tola_status update(const hashing *h, const feed *f, digest_stream *d, tola_error *err) {
    if (!f->mapped || h->info->branch) return digest_update(d, f->data, f->bytes, err);
    for (size_t at = 0; at < f->bytes; at += STEP) {
        size_t n = f->bytes - at < STEP ? f->bytes - at : STEP;
        for (size_t line = 0; line < n; line += 64) __builtin_prefetch(f->data + at + AHEAD + line);
        TRY(digest_update(d, f->data + at, n, err));
    }
    return TOLA_OK;
}

static tola_status hash_feed(hashing *h, feed *f, digest_stream *d, tola_error *err) {
    for (;;) {
        TRY(in_feed(f, feed_next(f, err), err));
        if (f->bytes == 0) return TOLA_OK;
        TRY(update(h, f, d, err));
        TRY(job_advance(&h->j, f->bytes, err));
    }
}

static tola_status hash_piece(void *context, const job_piece *piece, tola_error *err) {
    hashing *h = context;
    size_t at = h->order[piece->item];
    manifest_resource *item = &h->items[at];
    feed f;
    digest_stream *d = NULL;
    TRY(open_feed(h, item, item->start + piece->offset, piece->size, piece->worker, 0, &f, err));
    tola_status status = digest_open(h->hash, piece->piece, !h->branches[at], &d, err);
    if (status == TOLA_OK) status = hash_feed(h, &f, d, err);
    if (status == TOLA_OK) {
        status = digest_finish(d, h->branches[at] ? h->branches[at][piece->piece] : item->digest, err);
        d = NULL;
    }
    digest_abort(d);
    feed_close(&f);
    return status;
}

/* ---- two at a time ---- */

typedef struct lane {
    manifest_resource *item; /* NULL: it has none */
    feed f;
    sha256_lane sha;
} lane;

/* The next item, or NULL. A second one is left to a thread that has none. */
static manifest_resource *take_item(hashing *h, bool first, bool second) {
    manifest_resource *item = NULL;
    pthread_mutex_lock(&h->lock);
    if (first) h->idle--;
    if (h->next < h->count && (!second || h->count - h->next > h->idle)) item = &h->items[h->order[h->next++]];
    pthread_mutex_unlock(&h->lock);
    return item;
}

static tola_status fill_lane(hashing *h, lane *l, unsigned worker, unsigned number, bool first, bool second,
                             tola_error *err) {
    l->item = take_item(h, first, second);
    if (!l->item) return TOLA_OK;
    uint64_t bytes = h->sizes[l->item - h->items];
    sha256_lane_begin(&l->sha);
    tola_status status = open_feed(h, l->item, l->item->start, bytes, worker, number, &l->f, err);
    if (status != TOLA_OK)
        l->item = NULL;
    else
        status = in_feed(&l->f, feed_next(&l->f, err), err);
    return status;
}

static void skip(feed *f, size_t bytes) {
    f->data += bytes;
    f->bytes -= bytes;
}

/* Whole blocks are used up: more bytes, or the end. */
static tola_status refill(hashing *h, lane *l, tola_error *err) {
    feed *f = &l->f;
    if (f->bytes >= SHA256_BLOCK) return TOLA_OK;
    if (f->left > 0) return in_feed(f, feed_next(f, err), err);
    sha256_lane_end(&l->sha, f->data, f->bytes, l->item->digest);
    tola_status status = job_advance(&h->j, f->bytes, err);
    if (status == TOLA_OK) status = in_feed(f, feed_next(f, err), err);
    feed_close(f);
    l->item = NULL;
    return status;
}

static tola_status step(hashing *h, lane lanes[LANES], tola_error *err) {
    lane *a = lanes[0].item ? &lanes[0] : &lanes[1], *b = lanes[0].item && lanes[1].item ? &lanes[1] : NULL;
    size_t blocks = a->f.bytes / SHA256_BLOCK;
    if (b && b->f.bytes / SHA256_BLOCK < blocks) blocks = b->f.bytes / SHA256_BLOCK;
    if (b)
        sha256_lane_two(&a->sha, a->f.data, &b->sha, b->f.data, blocks);
    else
        sha256_lane_one(&a->sha, a->f.data, blocks);
    skip(&a->f, blocks * SHA256_BLOCK);
    if (b) skip(&b->f, blocks * SHA256_BLOCK);
    TRY(job_advance(&h->j, blocks * SHA256_BLOCK * (b ? 2 : 1), err));
    TRY(refill(h, a, err));
    return b ? refill(h, b, err) : TOLA_OK;
}

static tola_status run_lanes(void *context, const job_piece *piece, tola_error *err) {
    hashing *h = context;
    lane lanes[LANES] = { 0 };
    tola_status status = TOLA_OK;
    for (bool first = true; status == TOLA_OK; first = false) {
        for (unsigned i = 0; status == TOLA_OK && i < LANES; i++)
            if (!lanes[i].item)
                status = fill_lane(h, &lanes[i], piece->worker, i, first && i == 0, lanes[!i].item != NULL, err);
        if (status != TOLA_OK || (!lanes[0].item && !lanes[1].item)) break;
        status = step(h, lanes, err);
    }
    for (unsigned i = 0; i < LANES; i++)
        if (lanes[i].item) feed_close(&lanes[i].f);
    return status;
}

/* ---- all ---- */

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
    unsigned threads = job_threads(&h->j);
    h->blocks = mem_alloc_aligned(64, (size_t)threads * LANES * FEED_BLOCK);
    if (!h->blocks) return err_nomem(err, "hashing files");
    source_expect_files((size_t)threads * LANES);
    if (h->hash == DIGEST_SHA256 && sha256_lanes()) {
        for (size_t i = 0; i < count && i < threads; i++) work[i] = (job_item){ i, 0, 0 };
        h->idle = count < threads ? (unsigned)count : threads;
        return job_run(&h->j, work, h->idle, run_lanes, h, err);
    }
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
    hashing h = { .files = files, .info = digest_get(hash), .hash = hash, .items = items, .count = count };
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
        pthread_mutex_init(&h.lock, NULL);
        window_guard_begin();
        status = run_all(&h, count, pieces, err);
        window_guard_end();
        pthread_mutex_destroy(&h.lock);
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
