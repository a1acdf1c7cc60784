/* Random access to deflated zip members (RFC 1951), through zlib.
 *
 * Deflate can only be read from its beginning. A set of cursors, each a decompressor somewhere inside a member, makes
 * forward reading linear: a read continues from the nearest cursor before it. A cursor that has to skip ahead leaves a
 * copy of itself behind, because threads that share out the blocks of one tensor come slightly out of order and the
 * skipped block is about to be asked for. All memory is taken when the archive is opened, so that nothing has to be
 * closed. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "formats/zip.h"

#define CURSORS 16          /* threads that may be out of step by a block each */
#define INPUT_BYTES 32768
#define SKIP_BYTES 16384
#define COPY_BYTES 65536     /* shorter skips are not worth a copy of a decompressor */
/* zlib asks for a state (7 KiB in 1.2.13) and a window (32 KiB, a little more in some builds) per stream */
#define SMALL_BYTES 16384
#define LARGE_BYTES 65536

typedef struct cursor {
    const zip_member *member; /* NULL: unused */
    uint64_t pos;             /* next byte it delivers */
    uint64_t target;          /* where it will stand when the call that uses it ends */
    uint64_t input_at;        /* in the source: what is read next */
    uint64_t used;            /* a clock, for eviction */
    bool busy, ready;         /* ready: inflateInit was done */
    uint32_t crc;             /* of [0, pos) */
    z_stream stream;
    uint8_t *input;
} cursor;

struct zip_inflater {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    uint64_t clock;
    cursor cursors[CURSORS];
    pthread_mutex_t block_lock; /* over the block lists: zlib allocates while `lock` is not held */
    void *small, *large;        /* free blocks, linked through their first word */
};

/* ---- zlib's memory ---- */

static void *block_alloc(void *opaque, unsigned count, unsigned size) {
    zip_inflater *f = opaque;
    uint64_t bytes = (uint64_t)count * size;
    if (bytes > LARGE_BYTES) return NULL;
    pthread_mutex_lock(&f->block_lock);
    void **list = bytes <= SMALL_BYTES ? &f->small : &f->large;
    void *block = *list;
    if (block) memcpy(list, block, sizeof *list);
    pthread_mutex_unlock(&f->block_lock);
    return block;
}

static void *block_push(void *list, void *block) {
    memcpy(block, &list, sizeof list);
    return block;
}

/* zlib does not say how large a block was: the small ones lie together, before the large ones. */
static void block_free(void *opaque, void *block) {
    zip_inflater *f = opaque;
    uint8_t *first_large = (uint8_t *)(f + 1) + CURSORS * SMALL_BYTES;
    pthread_mutex_lock(&f->block_lock);
    if ((uint8_t *)block < first_large)
        f->small = block_push(f->small, block);
    else
        f->large = block_push(f->large, block);
    pthread_mutex_unlock(&f->block_lock);
}

zip_inflater *zip_inflater_new(arena *a) {
    size_t blocks = CURSORS * ((size_t)SMALL_BYTES + LARGE_BYTES + INPUT_BYTES);
    zip_inflater *f = arena_alloc(a, sizeof *f + blocks);
    if (!f) return NULL;
    memset(f, 0, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_init(&f->block_lock, NULL);
    pthread_cond_init(&f->freed, NULL);
    uint8_t *p = (uint8_t *)(f + 1);
    for (size_t i = 0; i < CURSORS; i++, p += SMALL_BYTES) f->small = block_push(f->small, p);
    for (size_t i = 0; i < CURSORS; i++, p += LARGE_BYTES) f->large = block_push(f->large, p);
    for (size_t i = 0; i < CURSORS; i++, p += INPUT_BYTES) f->cursors[i].input = p;
    return f;
}

/* ---- cursors ---- */

static void cursor_drop(cursor *c) {
    if (c->ready) inflateEnd(&c->stream);
    c->ready = false;
    c->member = NULL;
}

static bool cursor_start(zip_inflater *f, cursor *c, const zip_member *m) {
    cursor_drop(c);
    memset(&c->stream, 0, sizeof c->stream);
    c->stream.zalloc = block_alloc;
    c->stream.zfree = block_free;
    c->stream.opaque = f;
    if (inflateInit2(&c->stream, -MAX_WBITS) != Z_OK) return false;
    c->ready = true;
    c->member = m;
    c->pos = 0;
    c->input_at = m->data;
    c->crc = 0;
    return true;
}

static bool cursor_copy(cursor *to, cursor *from) {
    cursor_drop(to);
    if (inflateCopy(&to->stream, &from->stream) != Z_OK) return false;
    to->ready = true;
    to->stream.avail_in = 0;
    to->member = from->member;
    to->pos = from->pos;
    to->input_at = from->input_at - from->stream.avail_in;
    to->crc = from->crc;
    return true;
}

/* The least recently used idle cursor, an unused one first; NULL where all are busy. */
static cursor *idle_cursor(zip_inflater *f) {
    cursor *best = NULL;
    for (size_t i = 0; i < CURSORS; i++) {
        cursor *c = &f->cursors[i];
        if (c->busy) continue;
        if (!c->member) return c;
        if (!best || c->used < best->used) best = c;
    }
    return best;
}

/* The cursor that gets to `offset` soonest; it may still be busy with the block before. */
static cursor *nearest_cursor(zip_inflater *f, const zip_member *m, uint64_t offset) {
    cursor *best = NULL;
    for (size_t i = 0; i < CURSORS; i++) {
        cursor *c = &f->cursors[i];
        if (c->member != m || c->target > offset) continue;
        if (!best || c->target > best->target) best = c;
    }
    return best;
}

/* Takes a cursor out of the set that stands at or before `offset`. NULL when zlib has no memory. */
static cursor *take_cursor(zip_inflater *f, const zip_member *m, uint64_t offset, uint64_t end) {
    pthread_mutex_lock(&f->lock);
    cursor *c;
    for (;;) {
        c = nearest_cursor(f, m, offset);
        if (!c) {
            c = idle_cursor(f);
            if (c && !cursor_start(f, c, m)) {
                pthread_mutex_unlock(&f->lock);
                return NULL;
            }
        }
        if (c && !c->busy) break;
        pthread_cond_wait(&f->freed, &f->lock);
    }
    c->busy = true;
    c->target = end;
    c->used = ++f->clock;
    if (c->pos > 0 && offset - c->pos >= COPY_BYTES) {
        cursor *copy = idle_cursor(f);
        if (copy && cursor_copy(copy, c)) {
            copy->target = copy->pos;
            copy->used = ++f->clock;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return c;
}

static void give_cursor(zip_inflater *f, cursor *c, bool good) {
    pthread_mutex_lock(&f->lock);
    c->busy = false;
    c->target = c->pos;
    if (!good || c->pos == c->member->size) cursor_drop(c);
    pthread_cond_broadcast(&f->freed);
    pthread_mutex_unlock(&f->lock);
}

static tola_status broken(const cursor *c, const char *what, tola_error *err) {
    char name[200];
    return err_set(err, TOLA_E_FORMAT, c->input_at - c->stream.avail_in,
                   "zip member '%s': %s after %" PRIu64 " of %" PRIu64 " bytes",
                   text_quote(name, sizeof name, c->member->name, c->member->name_length), what, c->pos,
                   c->member->size);
}

/* Delivers exactly `bytes` bytes. */
static tola_status cursor_read(cursor *c, source *src, uint8_t *dst, size_t bytes, tola_error *err) {
    uint64_t input_end = c->member->data + c->member->packed;
    while (bytes) {
        if (c->stream.avail_in == 0 && c->input_at < input_end) {
            size_t n = input_end - c->input_at < INPUT_BYTES ? (size_t)(input_end - c->input_at) : INPUT_BYTES;
            TRY(source_read(src, c->input_at, c->input, n, err));
            c->stream.next_in = c->input;
            c->stream.avail_in = (unsigned)n;
            c->input_at += n;
        }
        unsigned room = bytes < 1u << 30 ? (unsigned)bytes : 1u << 30;
        c->stream.next_out = dst;
        c->stream.avail_out = room;
        int code = inflate(&c->stream, Z_NO_FLUSH);
        unsigned made = room - c->stream.avail_out;
        c->crc = crc32_update(c->crc, dst, made);
        c->pos += made;
        dst += made;
        bytes -= made;
        if (code == Z_MEM_ERROR) return err_nomem(err, "inflating");
        if (code == Z_STREAM_END && bytes) return broken(c, "the deflated data end", err);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return broken(c, c->stream.msg ? c->stream.msg : "the deflated data are damaged", err);
        if (code == Z_BUF_ERROR && made == 0 && c->input_at >= input_end)
            return broken(c, "the deflated data are cut off", err);
    }
    return TOLA_OK;
}

/* At the end of a member nothing may be left, and the checksum must be right. */
static tola_status cursor_check_end(cursor *c, source *src, tola_error *err) {
    uint8_t extra;
    uint64_t pos = c->pos;
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = cursor_read(c, src, &extra, 1, &detail);
    if (status == TOLA_OK) {
        c->pos = pos;
        return broken(c, "more data follow", err);
    }
    if (status != TOLA_E_FORMAT) { /* the end was not reached: reading failed on the way */
        if (err) *err = detail;
        return status;
    }
    if (c->stream.avail_in || c->input_at < c->member->data + c->member->packed)
        return broken(c, "bytes follow that no decompressor reads", err);
    if (c->crc != c->member->crc) {
        char what[80];
        snprintf(what, sizeof what, "the CRC is %08" PRIx32 ", not %08" PRIx32 ": bytes were changed,", c->crc,
                 c->member->crc);
        return broken(c, what, err);
    }
    return TOLA_OK;
}

tola_status zip_inflate_read(zip_inflater *f, source *src, const zip_member *m, uint64_t offset, void *dst,
                             size_t bytes, tola_error *err) {
    if (bytes == 0) return TOLA_OK;
    cursor *c = take_cursor(f, m, offset, offset + bytes);
    if (!c) return err_nomem(err, "inflating");
    tola_status status = TOLA_OK;
    uint8_t skipped[SKIP_BYTES];
    while (c->pos < offset && status == TOLA_OK) {
        size_t n = offset - c->pos < sizeof skipped ? (size_t)(offset - c->pos) : sizeof skipped;
        status = cursor_read(c, src, skipped, n, err);
    }
    if (status == TOLA_OK) status = cursor_read(c, src, dst, bytes, err);
    if (status == TOLA_OK && c->pos == m->size) status = cursor_check_end(c, src, err);
    give_cursor(f, c, status == TOLA_OK);
    return status;
}
