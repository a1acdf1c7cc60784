/* Packed streams and archives that are not zip or tar: gzip and zlib by zlib, the others through libarchive.
 *
 * What comes out is kept in memory and looked into like a file. Names of Python's loaders that read through these:
 * joblib (zlib, gzip, bz2, xz, lzma, lz4), pandas, numpy, torch's users. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/err.h"
#include "base/text.h"
#include "trust/libarchive.h"
#include "trust/scan.h"

#define BLOCK (1u << 18)

static void no_memory(scan_job *job) {
    tola_error err = TOLA_ERROR_INIT;
    scan_stop(job, err_nomem(&err, "unpacking"), &err);
}

/* What was unpacked so far. */
typedef struct unpacked {
    scan_job *job;
    uint8_t *data;
    size_t length, cap;
    bool limited;
} unpacked;

static bool put(unpacked *u, const void *data, size_t bytes) {
    u->job->unpacked += bytes;
    if (u->length + bytes > SCAN_MAX_MEMBER || u->job->unpacked > SCAN_MAX_UNPACKED) {
        u->limited = true;
        return false;
    }
    if (!mem_grow(&u->data, &u->cap, u->length + bytes + 1, 1)) {
        no_memory(u->job);
        return false;
    }
    if (bytes) memcpy(u->data + u->length, data, bytes);
    u->length += bytes;
    return true;
}

/* ---- gzip and zlib ---- */

/* Inflates streams that follow each other (gzip allows several). `*end` is where the last one ended; false where the
 * data are damaged or cut. */
static bool inflate_all(scan_job *job, const scan_part *part, bool gzip, unpacked *u, uint64_t *end) {
    uint8_t *in = mem_alloc(BLOCK), *block = mem_alloc(BLOCK);
    z_stream s = { 0 };
    if (!in || !block || inflateInit2(&s, gzip ? 31 : 15) != Z_OK) {
        no_memory(job);
        mem_free(in);
        mem_free(block);
        return false;
    }
    uint64_t at = 0, total = part_bytes(part);
    bool fine = true, done = false;
    *end = 0;
    while (fine && !done) {
        if (s.avail_in == 0) {
            size_t n = total - at < BLOCK ? (size_t)(total - at) : BLOCK;
            fine = n > 0 && part_read(job, part, at, in, n);
            s.next_in = in;
            s.avail_in = (uInt)n;
            at += n;
            if (!fine) break;
        }
        s.next_out = block;
        s.avail_out = BLOCK;
        int code = inflate(&s, Z_NO_FLUSH);
        fine = (code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR) && put(u, block, BLOCK - s.avail_out);
        if (code != Z_STREAM_END) continue;
        *end = at - s.avail_in;
        uint8_t next[3];
        done =
            !gzip || total - *end < 18 || !part_read(job, part, *end, next, 3) || memcmp(next, "\x1f\x8b\x08", 3) != 0;
        if (!done && inflateReset(&s) != Z_OK) fine = false;
    }
    inflateEnd(&s);
    mem_free(in);
    mem_free(block);
    return fine;
}

static bool all_zero(scan_job *job, const scan_part *part, uint64_t at) {
    uint8_t block[4096];
    for (; at < part_bytes(part); at += sizeof block) {
        size_t n = part_bytes(part) - at < sizeof block ? (size_t)(part_bytes(part) - at) : sizeof block;
        if (!part_read(job, part, at, block, n)) return false;
        for (size_t i = 0; i < n; i++)
            if (block[i]) return false;
    }
    return true;
}

static void tell(scan_job *job, const scan_part *part, const unpacked *u, const char *format) {
    if (u->limited)
        scan_find(job, part, TOLA_UNKNOWN, "limit", TOLA_NO_OFFSET, "unpacks to more than can be looked into");
    else
        scan_find(job, part, TOLA_UNKNOWN, "packed", TOLA_NO_OFFSET, "a damaged %s stream", format);
}

static bool scan_inflated(scan_job *job, const scan_part *part, bool gzip) {
    unpacked u = { .job = job };
    uint64_t end;
    bool fine = inflate_all(job, part, gzip, &u, &end);
    if (!fine && !gzip && u.length == 0) { /* two bytes by chance */
        mem_free(u.data);
        return false;
    }
    if (scan_running(job)) {
        if (!fine) tell(job, part, &u, gzip ? "gzip" : "zlib");
        char name[256];
        size_t n = strlen(part->name);
        snprintf(name, sizeof name, "%s", n > 3 && strcmp(part->name + n - 3, ".gz") == 0 ? part->name : "(unpacked)");
        if (strcmp(name, "(unpacked)") != 0) name[strlen(name) - 3] = 0;
        scan_bytes(job, part, name, u.data, u.length, false);
        if (fine && end < part_bytes(part) && !all_zero(job, part, end)) {
            scan_find(job, part, TOLA_UNKNOWN, "packed", end, "%" PRIu64 " bytes behind the stream",
                      part_bytes(part) - end);
            const char *member = scan_member_path(job, part, "(behind the stream)");
            scan_part rest = { part->src, part->start + end, part->end, "", member, part->depth + 1, true };
            if (member) scan_content(job, &rest);
        }
    }
    mem_free(u.data);
    return true;
}

/* ---- the others ---- */

typedef struct feed {
    scan_job *job;
    const scan_part *part;
    uint64_t at;
    uint8_t front[16]; /* what the stream lacks at its beginning */
    size_t front_bytes;
    uint8_t block[BLOCK];
} feed;

static ptrdiff_t feed_read(void *archive, void *client, const void **data) {
    feed *f = client;
    (void)archive;
    uint64_t left = part_bytes(f->part) - f->at;
    if (f->front_bytes) {
        size_t front = f->front_bytes;
        *data = f->front;
        f->front_bytes = 0;
        return (ptrdiff_t)front;
    }
    size_t n = left < BLOCK ? (size_t)left : BLOCK;
    if (n && !part_read(f->job, f->part, f->at, f->block, n)) return -1;
    f->at += n;
    *data = f->block;
    return (ptrdiff_t)n;
}

static int64_t feed_seek(void *archive, void *client, int64_t offset, int whence) {
    feed *f = client;
    (void)archive;
    int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)f->at : (int64_t)part_bytes(f->part);
    int64_t at;
    if (__builtin_add_overflow(base, offset, &at) || at < 0 || (uint64_t)at > part_bytes(f->part)) return -30;
    f->at = (uint64_t)at;
    return at;
}

static void read_entry(const libarchive *lib, void *archive, void *entry, feed *f, bool raw, const char *format) {
    unpacked u = { .job = f->job };
    const char *name = raw ? "(unpacked)" : lib->pathname_utf8(entry);
    if (!name) name = lib->pathname(entry);
    if (!name) name = "(a name that cannot be read)";
    uint8_t *block = mem_alloc(BLOCK);
    ptrdiff_t n = 0;
    if (!block) no_memory(f->job);
    while (block && (n = lib->read_data(archive, block, BLOCK)) > 0)
        if (!put(&u, block, (size_t)n)) break;
    mem_free(block);
    if (scan_running(f->job)) {
        char quoted[200];
        if (!raw && lib->entry_encrypted(entry))
            scan_find(f->job, f->part, TOLA_UNKNOWN, "packed", TOLA_NO_OFFSET, "member '%s' is encrypted",
                      text_quote(quoted, sizeof quoted, name, strlen(name)));
        if (n < 0 || u.limited) tell(f->job, f->part, &u, format);
        if (u.length) scan_bytes(f->job, f->part, name, u.data, u.length, false);
    }
    mem_free(u.data);
}

/* Bytes of the part that the stream did not take. */
static void check_rest(const libarchive *lib, void *archive, feed *f, size_t front) {
    int64_t taken = lib->filter_bytes(archive, -1);
    if (taken < (int64_t)front || (uint64_t)taken - front >= part_bytes(f->part)) return;
    uint64_t end = (uint64_t)taken - front;
    if (all_zero(f->job, f->part, end)) return;
    scan_find(f->job, f->part, TOLA_UNKNOWN, "packed", end, "%" PRIu64 " bytes behind the stream",
              part_bytes(f->part) - end);
    const char *member = scan_member_path(f->job, f->part, "(behind the stream)");
    scan_part rest = { f->part->src, f->part->start + end, f->part->end, "", member, f->part->depth + 1, true };
    if (member) scan_content(f->job, &rest);
}

static void read_archive(const libarchive *lib, feed *f, bool raw, const char *format) {
    size_t front = f->front_bytes;
    void *archive = lib->read_new(), *entry;
    if (!archive) {
        no_memory(f->job);
        return;
    }
    lib->filter_all(archive);
    if (raw) {
        lib->format_raw(archive);
    } else {
        lib->format_7zip(archive);
        lib->format_rar(archive);
        lib->format_rar5(archive);
    }
    if (!f->front_bytes) lib->set_seek(archive, feed_seek);
    int code = lib->open(archive, f, NULL, feed_read, NULL);
    uint64_t members = 0;
    while ((code == ARCHIVE_FINE || code == ARCHIVE_WARNED) && scan_running(f->job)) {
        code = lib->next_header(archive, &entry);
        if (code != ARCHIVE_FINE && code != ARCHIVE_WARNED) break;
        if (++members > SCAN_MAX_MEMBERS) break;
        read_entry(lib, archive, entry, f, raw, format);
        if (raw) {
            code = ARCHIVE_DONE;
            check_rest(lib, archive, f, front);
            break;
        }
    }
    if (code != ARCHIVE_DONE && scan_running(f->job)) {
        char why[300];
        const char *said = lib->error_string(archive);
        scan_find(f->job, f->part, TOLA_UNKNOWN, "packed", TOLA_NO_OFFSET, "%s that cannot be unpacked: %s", format,
                  said ? text_quote(why, sizeof why, said, strlen(said)) : "damaged");
    }
    lib->read_free(archive);
}

static void scan_by_libarchive(scan_job *job, const scan_part *part, const char *format, const uint8_t *front,
                               size_t front_bytes) {
    const char *why = NULL;
    if (job->sandboxed && !(job->loaded & SCAN_NEEDS_ARCHIVE)) {
        job->wants |= SCAN_NEEDS_ARCHIVE; /* the parent loads it and asks again */
        scan_find(job, part, TOLA_UNKNOWN, "packed", 0, "%s, which was not looked into", format);
        return;
    }
    const libarchive *lib = libarchive_get(&why);
    if (!lib) {
        scan_find(job, part, TOLA_UNKNOWN, "packed", 0, "%s, which cannot be looked into here: %s", format, why);
        return;
    }
    feed *f = mem_alloc(sizeof *f);
    if (!f) {
        no_memory(job);
        return;
    }
    f->job = job;
    f->part = part;
    f->at = 0;
    f->front_bytes = front_bytes;
    if (front_bytes) memcpy(f->front, front, front_bytes);
    bool members = strcmp(format, "7z") == 0 || strcmp(format, "rar") == 0;
    read_archive(lib, f, !members, format);
    mem_free(f);
}

bool scan_packed(scan_job *job, const scan_part *part, const char *format) {
    bool gzip = strcmp(format, "gzip") == 0;
    if (gzip || strcmp(format, "zlib") == 0) return scan_inflated(job, part, gzip);
    scan_by_libarchive(job, part, format, NULL, 0);
    return true;
}

/* LZMA in a zip archive has a header of its own, version and length of the properties, in front of them; where a file
 * of LZMA has the properties and the size. (APPNOTE 5.8; LZMA SDK, lzma.txt) */
static void scan_zip_lzma(scan_job *job, scan_part *part, bool ended, uint64_t size) {
    uint8_t head[9], front[13];
    if (part_bytes(part) < sizeof head || !part_read(job, part, 0, head, sizeof head) || head[2] != 5 || head[3] != 0) {
        if (scan_running(job)) scan_find(job, part, TOLA_UNKNOWN, "packed", 0, "a damaged lzma stream");
        return;
    }
    memcpy(front, head + 4, 5);
    for (unsigned i = 0; i < 8; i++) front[5 + i] = ended ? 0xff : (uint8_t)(size >> (8 * i));
    part->start += sizeof head;
    scan_by_libarchive(job, part, "lzma", front, sizeof front);
}

/* bzip2, lzma, zstd and xz in zip archives: a bzip2 or xz stream is one as it would be in a file. */
void scan_zip_other(scan_job *job, const scan_part *part, const char *name, unsigned method, unsigned flags,
                    uint64_t data, uint64_t end, uint64_t size) {
    char quoted[200];
    text_quote(quoted, sizeof quoted, name, strlen(name));
    const char *member = scan_member_path(job, part, name);
    if (!member) return;
    scan_part inner = { part->src, part->start + data, part->start + end, name, member, part->depth + 1, false };
    if (method == 14)
        scan_zip_lzma(job, &inner, flags & 2, size);
    else if (method == 12 || method == 93 || method == 95)
        scan_by_libarchive(job, &inner, method == 12 ? "bzip2" : method == 93 ? "zstd" : "xz", NULL, 0);
    else
        scan_find(job, part, TOLA_UNKNOWN, "zip", data,
                  "member '%s' is compressed with method %u, which is not read here", quoted, method);
}
