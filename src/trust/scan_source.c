/* Parts of a file as sources, and reading them. */
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "trust/scan.h"

/* ---- a range of another source ---- */

typedef struct range_source {
    source base;
    source *from;
    uint64_t start;
    char path[];
} range_source;

static tola_status range_read(source *s, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    range_source *r = (range_source *)s;
    return source_read(r->from, r->start + offset, dst, bytes, err);
}

static void range_close(source *s) { mem_free(s); }

static const source_ops range_ops = { .read = range_read, .close = range_close };

tola_status source_open_range(source *from, uint64_t start, uint64_t end, source **out, tola_error *err) {
    size_t n = strlen(from->path) + 1;
    range_source *r = mem_calloc(1, sizeof *r + n);
    if (!r) return err_nomem(err, "opening part of a file");
    memcpy(r->path, from->path, n);
    r->base = (source){ &range_ops, r->path, end - start, from->remote, from->secret, from->version };
    r->from = from;
    r->start = start;
    *out = &r->base;
    return TOLA_OK;
}

/* ---- small reads, one behind another, served from one large read ---- */

#define AHEAD_BYTES ((size_t)256 << 10)
#define AHEAD_SMALL ((size_t)32 << 10) /* larger reads go past it */

typedef struct ahead_source {
    source base;
    source *from;
    uint64_t at;
    size_t bytes;
    uint8_t data[AHEAD_BYTES];
} ahead_source;

static tola_status ahead_read(source *s, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    ahead_source *a = (ahead_source *)s;
    if (bytes > AHEAD_SMALL) return source_read(a->from, offset, dst, bytes, err);
    if (offset < a->at || offset - a->at > a->bytes || a->bytes - (offset - a->at) < bytes) {
        uint64_t left = s->size - offset;
        size_t n = left < AHEAD_BYTES ? (size_t)left : AHEAD_BYTES;
        a->bytes = 0;
        TRY(source_read(a->from, offset, a->data, n, err));
        a->at = offset;
        a->bytes = n;
    }
    memcpy(dst, a->data + (offset - a->at), bytes);
    return TOLA_OK;
}

static void ahead_close(source *s) { mem_free(s); }

static const source_ops ahead_ops = { .read = ahead_read, .close = ahead_close };

source *source_open_ahead(source *from) {
    ahead_source *a = from->remote ? NULL : mem_alloc(sizeof *a);
    if (!a) return NULL;
    a->base = (source){ &ahead_ops, from->path, from->size, false, from->secret, from->version };
    a->from = from;
    a->at = a->bytes = 0;
    return &a->base;
}

/* ---- reading parts ---- */

bool part_read(scan_job *job, const scan_part *part, uint64_t offset, void *dst, size_t bytes) {
    if (!scan_running(job) || offset > part_bytes(part) || bytes > part_bytes(part) - offset) return false;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = source_read(part->src, part->start + offset, dst, bytes, &err);
    if (status != TOLA_OK) scan_stop(job, status, &err);
    return status == TOLA_OK;
}

uint8_t *part_load(scan_job *job, const scan_part *part, uint64_t limit, const char *kind) {
    uint64_t bytes = part_bytes(part);
    if (bytes > limit) {
        scan_find(job, part, TOLA_UNKNOWN, kind, TOLA_NO_OFFSET,
                  "too large to be looked into: %llu bytes, the limit is %llu", (unsigned long long)bytes,
                  (unsigned long long)limit);
        return NULL;
    }
    uint8_t *data = mem_alloc((size_t)bytes + 1);
    if (!data) {
        tola_error err = TOLA_ERROR_INIT;
        scan_stop(job, err_nomem(&err, "scanning"), &err);
        return NULL;
    }
    if (!part_read(job, part, 0, data, (size_t)bytes)) {
        mem_free(data);
        return NULL;
    }
    data[bytes] = 0;
    return data;
}

void scan_bytes(scan_job *job, const scan_part *parent, const char *name, const uint8_t *data, size_t bytes,
                bool weights) {
    tola_error err = TOLA_ERROR_INIT;
    source *src;
    const char *member = scan_member_path(job, parent, name);
    if (!member) return;
    tola_status status = source_open_memory(name, data, bytes, &src, &err);
    if (status != TOLA_OK) {
        scan_stop(job, status, &err);
        return;
    }
    scan_part part = { src, 0, bytes, name, member, parent->depth + 1, weights };
    scan_content(job, &part);
    source_close(src);
}
