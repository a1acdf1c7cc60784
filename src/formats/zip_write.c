/* ZIP archives, writing: layout first, checksums in any order, headers last. See zip.h.
 *
 * Members are stored; sizes are known before the first byte, so there are no data descriptors. A field of padding in
 * the local header puts each payload at its alignment (the field is torch's: id "FB"). ZIP64 fields appear where a
 * size or offset needs them. Every date is 1980-01-01, so that equal contents give equal files. */
#include <pthread.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/output.h"
#include "formats/zip.h"

#define PAD_ID 0x4246u /* "FB", as torch writes it */
#define LOCAL_BYTES 30u
#define FLAG_UTF8 0x0800u
#define DOS_DATE 0x21u /* 1980-01-01 */

typedef struct written {
    char *name;
    uint32_t name_length, pad; /* pad: bytes of the padding field, its head of 4 included */
    bool zip64;
    uint64_t size, header, data;
    zip_run *runs; /* sorted, no two adjacent */
    size_t run_count, run_cap;
} written;

struct zip_writer {
    written *members;
    size_t count, cap;
    uint64_t end;       /* of the last payload */
    uint64_t directory; /* bytes of the central directory, ZIP64 fields included */
    pthread_mutex_t lock; /* over the runs */
};

tola_status zip_writer_new(zip_writer **out, tola_error *err) {
    zip_writer *z = mem_calloc(1, sizeof *z);
    if (!z) return err_nomem(err, "writing a zip archive");
    pthread_mutex_init(&z->lock, NULL);
    *out = z;
    return TOLA_OK;
}

void zip_writer_free(zip_writer *z) {
    if (!z) return;
    for (size_t i = 0; i < z->count; i++) {
        mem_free(z->members[i].name);
        mem_free(z->members[i].runs);
    }
    mem_free(z->members);
    pthread_mutex_destroy(&z->lock);
    mem_free(z);
}

static size_t central_extra(const written *m) {
    size_t fields = (m->size >= UINT32_MAX ? 16 : 0) + (m->header >= UINT32_MAX ? 8 : 0);
    return fields ? 4 + fields : 0;
}

tola_status zip_writer_add(zip_writer *z, const char *name, uint64_t size, unsigned alignment, size_t *member,
                           tola_error *err) {
    size_t length = strlen(name);
    if (length == 0 || length > UINT16_MAX)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a zip member's name of %zu bytes", length);
    if (z->count == ZIP_MAX_MEMBERS)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %u zip members", ZIP_MAX_MEMBERS);
    if (!mem_grow(&z->members, &z->cap, z->count + 1, sizeof *z->members))
        return err_nomem(err, "writing a zip archive");
    written m = { .name = mem_strdup(name), .name_length = (uint32_t)length, .size = size, .header = z->end };
    if (!m.name) return err_nomem(err, "writing a zip archive");
    m.zip64 = size >= UINT32_MAX;
    uint64_t least = z->end + LOCAL_BYTES + length + (m.zip64 ? 20 : 0);
    uint64_t over = least & (alignment - 1);
    /* the padding field has a head of 4 bytes, so that a gap of 1 to 3 bytes becomes one longer by the alignment */
    if (over) m.pad = (uint32_t)(alignment - over);
    while (m.pad && m.pad < 4) m.pad += alignment;
    m.data = least + m.pad;
    if (!add_u64(m.data, size, &z->end) || z->end > INT64_MAX) {
        mem_free(m.name);
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the zip archive would exceed 2^63 bytes");
    }
    z->directory += 46 + length + central_extra(&m);
    *member = z->count;
    z->members[z->count++] = m;
    return TOLA_OK;
}

uint64_t zip_writer_data(const zip_writer *z, size_t member) { return z->members[member].data; }

static bool needs_end64(const zip_writer *z) {
    return z->count >= UINT16_MAX || z->directory >= UINT32_MAX || z->end >= UINT32_MAX;
}

uint64_t zip_writer_total(const zip_writer *z) { return z->end + z->directory + (needs_end64(z) ? 56 + 20 : 0) + 22; }

/* ---- checksums ---- */

static tola_status add_run(written *m, zip_run r, tola_error *err) {
    if (!mem_grow(&m->runs, &m->run_cap, m->run_count + 1, sizeof *m->runs))
        return err_nomem(err, "writing a zip archive");
    if (zip_run_add(m->runs, &m->run_count, m->run_cap, r) == ZIP_RUN_ADDED) return TOLA_OK;
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "bytes of '%s' are written twice", m->name);
}

tola_status zip_writer_block(zip_writer *z, size_t member, uint64_t offset, const void *data, size_t bytes,
                             tola_error *err) {
    written *m = &z->members[member];
    if (bytes == 0) return TOLA_OK;
    if (offset > m->size || bytes > m->size - offset)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "bytes beyond the end of '%s'", m->name);
    zip_run r = { offset, bytes, crc32_update(0, data, bytes) };
    pthread_mutex_lock(&z->lock);
    tola_status status = add_run(m, r, err);
    pthread_mutex_unlock(&z->lock);
    return status;
}

/* ---- headers ---- */

static uint32_t low32(uint64_t v) { return v >= UINT32_MAX ? UINT32_MAX : (uint32_t)v; }
static uint32_t crc_of(const written *m) { return m->size ? m->runs[0].crc : 0; }

/* Fields that local headers and directory entries share: flags, method, time, date, CRC, sizes. */
static void put_common(buf *b, const written *m) {
    buf_u16le(b, FLAG_UTF8);
    buf_u16le(b, ZIP_STORED);
    buf_u16le(b, 0);
    buf_u16le(b, DOS_DATE);
    buf_u32le(b, crc_of(m));
    buf_u32le(b, low32(m->size));
    buf_u32le(b, low32(m->size));
    buf_u16le(b, (uint16_t)m->name_length);
}

static void put_local(buf *b, const written *m) {
    buf_u32le(b, 0x04034b50);
    buf_u16le(b, m->zip64 ? 45 : 20);
    put_common(b, m);
    buf_u16le(b, (uint16_t)((m->zip64 ? 20 : 0) + m->pad));
    buf_append(b, m->name, m->name_length);
    if (m->zip64) {
        buf_u16le(b, 1);
        buf_u16le(b, 16);
        buf_u64le(b, m->size);
        buf_u64le(b, m->size);
    }
    if (m->pad) {
        buf_u16le(b, PAD_ID);
        buf_u16le(b, (uint16_t)(m->pad - 4));
        buf_zeros(b, m->pad - 4);
    }
}

static void put_central(buf *b, const written *m) {
    size_t extra = central_extra(m);
    buf_u32le(b, 0x02014b50);
    buf_u16le(b, 45);
    buf_u16le(b, extra ? 45 : 20);
    put_common(b, m);
    buf_u16le(b, (uint16_t)extra);
    buf_zeros(b, 2 + 2 + 2 + 4); /* comment, disk, attributes */
    buf_u32le(b, low32(m->header));
    buf_append(b, m->name, m->name_length);
    if (!extra) return;
    buf_u16le(b, 1);
    buf_u16le(b, (uint16_t)(extra - 4));
    if (m->size >= UINT32_MAX) {
        buf_u64le(b, m->size);
        buf_u64le(b, m->size);
    }
    if (m->header >= UINT32_MAX) buf_u64le(b, m->header);
}

static void put_end(buf *b, const zip_writer *z) {
    if (needs_end64(z)) {
        buf_u32le(b, 0x06064b50);
        buf_u64le(b, 44);
        buf_u16le(b, 45);
        buf_u16le(b, 45);
        buf_zeros(b, 8); /* disks */
        buf_u64le(b, z->count);
        buf_u64le(b, z->count);
        buf_u64le(b, z->directory);
        buf_u64le(b, z->end);
        buf_u32le(b, 0x07064b50);
        buf_u32le(b, 0);
        buf_u64le(b, z->end + z->directory);
        buf_u32le(b, 1);
    }
    uint16_t count = z->count >= UINT16_MAX ? UINT16_MAX : (uint16_t)z->count;
    buf_u32le(b, 0x06054b50);
    buf_zeros(b, 4);
    buf_u16le(b, count);
    buf_u16le(b, count);
    buf_u32le(b, low32(z->directory));
    buf_u32le(b, low32(z->end));
    buf_u16le(b, 0);
}

static tola_status write_all(const zip_writer *z, output_file *file, buf *b, tola_error *err) {
    for (size_t i = 0; i < z->count; i++) {
        const written *m = &z->members[i];
        b->length = 0;
        put_local(b, m);
        if (b->failed) return err_nomem(err, "writing zip headers");
        TRY(output_write(file, m->header, b->data, b->length, err));
    }
    b->length = 0;
    uint64_t at = z->end;
    for (size_t i = 0; i <= z->count; i++) {
        if (i < z->count)
            put_central(b, &z->members[i]);
        else
            put_end(b, z);
        if (b->failed) return err_nomem(err, "writing a zip directory");
        if (b->length < 65536 && i < z->count) continue;
        TRY(output_write(file, at, b->data, b->length, err));
        at += b->length;
        b->length = 0;
    }
    return TOLA_OK;
}

tola_status zip_writer_finish(zip_writer *z, output_file *file, tola_error *err) {
    for (size_t i = 0; i < z->count; i++) {
        const written *m = &z->members[i];
        bool complete = m->size == 0 || (m->run_count == 1 && m->runs[0].bytes == m->size);
        if (!complete) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "'%s' was not written completely", m->name);
    }
    buf b;
    buf_init(&b, 0);
    tola_status status = write_all(z, file, &b, err);
    buf_free(&b);
    return status;
}
