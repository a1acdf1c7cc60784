/* Builds zip archives in memory, good ones and ones with any field wrong. */
#ifndef ZIP_BUILD_H
#define ZIP_BUILD_H

#include "unit.h"

#include <zlib.h>

#define ZB_MAX 64

typedef struct zb_header { /* what a header says */
    uint16_t method, flags;
    uint32_t crc, packed, size;
    char name[64];
} zb_header;

typedef struct zb {
    uint8_t *data;
    size_t bytes, cap;
    zb_header central[ZB_MAX];
    uint32_t offset[ZB_MAX];
    size_t count;
    uint64_t members_said; /* in the end record; 0 = count */
} zb;

static inline void zb_put(zb *z, const void *data, size_t bytes) {
    if (z->bytes + bytes > z->cap) {
        z->cap = (z->bytes + bytes) * 2;
        z->data = realloc(z->data, z->cap);
        if (!z->data) abort();
    }
    if (bytes) memcpy(z->data + z->bytes, data, bytes);
    z->bytes += bytes;
}
static inline void zb_u16(zb *z, unsigned v) { zb_put(z, (uint8_t[]){ (uint8_t)v, (uint8_t)(v >> 8) }, 2); }
static inline void zb_u32(zb *z, uint32_t v) {
    zb_u16(z, v & 0xffff);
    zb_u16(z, v >> 16);
}

static inline void zb_common(zb *z, const zb_header *h) {
    zb_u16(z, 20);
    zb_u16(z, h->flags);
    zb_u16(z, h->method);
    zb_u32(z, 0x210000);
    zb_u32(z, h->crc);
    zb_u32(z, h->packed);
    zb_u32(z, h->size);
    zb_u16(z, (unsigned)strlen(h->name));
}

/* The header of a member of `bytes` bytes, to be tampered with. */
static inline zb_header zb_describe(const char *name, const void *data, size_t bytes) {
    zb_header h = { .crc = (uint32_t)crc32(0, data, (unsigned)bytes),
                    .packed = (uint32_t)bytes,
                    .size = (uint32_t)bytes };
    snprintf(h.name, sizeof h.name, "%s", name);
    return h;
}

/* Adds a member whose local and central headers may differ. */
static inline void zb_add_raw(zb *z, zb_header local, zb_header central, const void *payload, size_t bytes) {
    z->offset[z->count] = (uint32_t)z->bytes;
    z->central[z->count++] = central;
    zb_u32(z, 0x04034b50);
    zb_common(z, &local);
    zb_u16(z, 0);
    zb_put(z, local.name, strlen(local.name));
    zb_put(z, payload, bytes);
}

static inline void zb_add(zb *z, const char *name, const void *data, size_t bytes) {
    zb_header h = zb_describe(name, data, bytes);
    zb_add_raw(z, h, h, data, bytes);
}

static inline void zb_add_deflated(zb *z, const char *name, const void *data, size_t bytes) {
    zb_header h = zb_describe(name, data, bytes);
    z_stream s = { 0 };
    if (deflateInit2(&s, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
    size_t cap = deflateBound(&s, bytes);
    uint8_t *out = malloc(cap ? cap : 1);
    s.next_in = (Bytef *)(uintptr_t)data;
    s.avail_in = (unsigned)bytes;
    s.next_out = out;
    s.avail_out = (unsigned)cap;
    if (deflate(&s, Z_FINISH) != Z_STREAM_END) abort();
    h.method = 8;
    h.packed = (uint32_t)s.total_out;
    zb_add_raw(z, h, h, out, s.total_out);
    deflateEnd(&s);
    free(out);
}

/* The directory and the end record. */
static inline void zb_finish(zb *z, const char *comment) {
    size_t start = z->bytes;
    for (size_t i = 0; i < z->count; i++) {
        zb_u32(z, 0x02014b50);
        zb_u16(z, 20);
        zb_common(z, &z->central[i]);
        zb_put(z, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
        zb_u32(z, z->offset[i]);
        zb_put(z, z->central[i].name, strlen(z->central[i].name));
    }
    size_t directory = z->bytes - start;
    unsigned said = z->members_said ? (unsigned)z->members_said : (unsigned)z->count;
    zb_u32(z, 0x06054b50);
    zb_u32(z, 0);
    zb_u16(z, said);
    zb_u16(z, said);
    zb_u32(z, (uint32_t)directory);
    zb_u32(z, (uint32_t)start);
    zb_u16(z, (unsigned)strlen(comment));
    zb_put(z, comment, strlen(comment));
}

static inline void zb_free(zb *z) {
    free(z->data);
    *z = (zb){ 0 };
}

#endif
