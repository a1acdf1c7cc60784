/* ZIP archives, reading: end records, central directory, local headers. See zip.h. */
#include "formats/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/reader.h"
#include "base/text.h"

#define SIG_LOCAL 0x04034b50u
#define SIG_CENTRAL 0x02014b50u
#define SIG_END 0x06054b50u
#define SIG_END64 0x06064b50u
#define SIG_LOCATOR 0x07064b50u
#define LOCAL_BYTES 30u
#define CENTRAL_BYTES 46u
#define END_BYTES 22u
#define END64_BYTES 56u
#define LOCATOR_BYTES 20u
#define EXTRA_ZIP64 1u

#define FLAG_DESCRIPTOR 0x0008u /* sizes and CRC follow the payload */
#define FLAGS_KNOWN 0x080eu     /* descriptor, deflate's level hints, UTF-8 names */

typedef struct end_record {
    uint64_t at;    /* of the (first) end record, absolute: where the directory must end */
    uint64_t count, bytes, offset; /* of the directory; offset is absolute */
} end_record;

/* ---- the end of the archive ---- */

/* Finds the end record in the last bytes: the last signature whose comment reaches exactly to the end, otherwise the
 * last whose comment fits (something was appended). SIZE_MAX where there is none. */
static size_t find_end(const uint8_t *tail, size_t bytes, uint64_t *trailing) {
    size_t found = SIZE_MAX;
    for (size_t i = bytes >= END_BYTES ? bytes - END_BYTES + 1 : 0; i-- > 0;) {
        if (load_le32(tail + i) != SIG_END) continue;
        size_t end = i + END_BYTES + load_le16(tail + i + 20);
        if (end == bytes) {
            *trailing = 0;
            return i;
        }
        if (end < bytes && found == SIZE_MAX) {
            found = i;
            *trailing = bytes - end;
        }
    }
    return found;
}

/* The ZIP64 end record, which the locator before the plain one points to. */
static tola_status read_end64(const zip_archive *z, const uint8_t *locator, uint64_t locator_at, end_record *e,
                              tola_error *err) {
    uint8_t b[END64_BYTES];
    uint64_t offset = load_le64(locator + 8);
    if (load_le32(locator + 4) != 0 || load_le32(locator + 16) > 1)
        return err_set(err, TOLA_E_UNSUPPORTED, locator_at, "a zip archive over several disks");
    if (offset > locator_at - z->start || locator_at - z->start - offset < END64_BYTES)
        return err_set(err, TOLA_E_FORMAT, locator_at, "the ZIP64 end record is said to lie at %" PRIu64
                       ", outside the archive", offset);
    uint64_t at = z->start + offset;
    TRY(source_read(z->src, at, b, sizeof b, err));
    if (load_le32(b) != SIG_END64)
        return err_set(err, TOLA_E_FORMAT, at, "there is no ZIP64 end record here, where its locator points");
    if (load_le64(b + 4) < END64_BYTES - 12 || load_le64(b + 4) != locator_at - at - 12)
        return err_set(err, TOLA_E_FORMAT, at, "the ZIP64 end record claims %" PRIu64 " bytes, %" PRIu64
                       " lie before its locator", load_le64(b + 4), locator_at - at - 12);
    if (load_le32(b + 16) != 0 || load_le32(b + 20) != 0 || load_le64(b + 24) != load_le64(b + 32))
        return err_set(err, TOLA_E_UNSUPPORTED, at, "a zip archive over several disks");
    e->at = at;
    e->count = load_le64(b + 32);
    e->bytes = load_le64(b + 40);
    e->offset = load_le64(b + 48);
    return TOLA_OK;
}

static tola_status check_end(const zip_archive *z, end_record *e, tola_error *err) {
    if (e->offset > e->at - z->start || e->bytes > e->at - z->start - e->offset)
        return err_set(err, TOLA_E_FORMAT, e->at, "the zip directory (%" PRIu64 " bytes at %" PRIu64
                       ") does not lie before its end record", e->bytes, e->offset);
    if (z->start + e->offset + e->bytes != e->at)
        return err_set(err, TOLA_E_FORMAT, e->at, "the zip directory ends at %" PRIu64 " but its end record lies here: "
                       "%" PRIu64 " bytes belong to nothing", z->start + e->offset + e->bytes,
                       e->at - (z->start + e->offset + e->bytes));
    if (e->count > ZIP_MAX_MEMBERS)
        return err_set(err, TOLA_E_LIMIT, e->at, "%" PRIu64 " zip members; at most %u are read", e->count,
                       ZIP_MAX_MEMBERS);
    if (e->bytes > ZIP_MAX_DIRECTORY)
        return err_set(err, TOLA_E_LIMIT, e->at, "a zip directory of %" PRIu64 " bytes; at most %u are read", e->bytes,
                       ZIP_MAX_DIRECTORY);
    if (e->count > e->bytes / CENTRAL_BYTES)
        return err_set(err, TOLA_E_FORMAT, e->at, "%" PRIu64 " zip members do not fit into a directory of %" PRIu64
                       " bytes", e->count, e->bytes);
    e->offset += z->start;
    return TOLA_OK;
}

static tola_status parse_end(zip_archive *z, const uint8_t *tail, size_t bytes, end_record *e, tola_error *err) {
    size_t i = find_end(tail, bytes, &z->trailing);
    if (i == SIZE_MAX)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "truncated: a zip archive without its directory, which stands at the end of the file");
    const uint8_t *p = tail + i;
    uint64_t at = z->end - bytes + i;
    bool has_locator = i >= LOCATOR_BYTES && load_le32(p - LOCATOR_BYTES) == SIG_LOCATOR;
    uint16_t disk = load_le16(p + 4), first_disk = load_le16(p + 6), here = load_le16(p + 8), total = load_le16(p + 10);
    if (has_locator) {
        TRY(read_end64(z, p - LOCATOR_BYTES, at - LOCATOR_BYTES, e, err));
        /* what the short record does not leave to the long one has to agree with it */
        uint32_t size32 = load_le32(p + 12), offset32 = load_le32(p + 16);
        if ((total != 0xffff && total != e->count) || (size32 != UINT32_MAX && size32 != e->bytes) ||
            (offset32 != UINT32_MAX && offset32 != e->offset))
            return err_set(err, TOLA_E_FORMAT, at, "the two end records of the zip archive disagree");
    } else {
        if ((disk != 0 && disk != 0xffff) || (first_disk != 0 && first_disk != 0xffff) || here != total)
            return err_set(err, TOLA_E_UNSUPPORTED, at, "a zip archive over several disks");
        *e = (end_record){ at, total, load_le32(p + 12), load_le32(p + 16) };
    }
    return check_end(z, e, err);
}

/* The last bytes of [start, end), as many as an end record with the longest comment takes. */
static tola_status read_tail(source *src, uint64_t start, uint64_t end, uint8_t **tail, size_t *bytes,
                             tola_error *err) {
    size_t most = LOCATOR_BYTES + END_BYTES + 0xffff;
    *bytes = end - start < most ? (size_t)(end - start) : most;
    *tail = mem_alloc(*bytes);
    if (!*tail) return err_nomem(err, "reading a zip archive");
    tola_status status = source_read(src, end - *bytes, *tail, *bytes, err);
    if (status != TOLA_OK) mem_free(*tail);
    return status;
}

static tola_status read_end(zip_archive *z, end_record *e, tola_error *err) {
    uint8_t *tail;
    size_t bytes;
    TRY(read_tail(z->src, z->start, z->end, &tail, &bytes, err));
    tola_status status = parse_end(z, tail, bytes, e, err);
    mem_free(tail);
    return status;
}

bool zip_is_cut(source *src, uint64_t start, uint64_t end) {
    uint8_t *tail;
    size_t bytes;
    uint64_t trailing;
    if (read_tail(src, start, end, &tail, &bytes, NULL) != TOLA_OK) return false;
    bool cut = find_end(tail, bytes, &trailing) == SIZE_MAX;
    mem_free(tail);
    return cut;
}

/* ---- the central directory ---- */

/* Fields that are all ones in a header stand in its ZIP64 extra field, in this order. */
static bool take_zip64(const uint8_t *extra, size_t bytes, uint64_t *size, uint64_t *packed, uint64_t *header) {
    while (bytes >= 4) {
        size_t id = load_le16(extra), length = load_le16(extra + 2);
        if (length > bytes - 4) return false;
        if (id == EXTRA_ZIP64) {
            const uint8_t *p = extra + 4, *end = p + length;
            uint64_t *fields[] = { size, packed, header };
            for (size_t i = 0; i < 3; i++) {
                if (!fields[i] || *fields[i] != UINT32_MAX) continue;
                if (end - p < 8) return false;
                *fields[i] = load_le64(p);
                p += 8;
            }
            return true;
        }
        extra += 4 + length;
        bytes -= 4 + length;
    }
    return false;
}

static tola_status refuse_member(const zip_member *m, uint64_t at, tola_error *err) {
    char name[200];
    text_quote(name, sizeof name, m->name, m->name_length);
    if (m->flags & 0x2041)
        return err_set(err, TOLA_E_UNSUPPORTED, at, "zip member '%s' is encrypted", name);
    if (m->flags & ~FLAGS_KNOWN)
        return err_set(err, TOLA_E_UNSUPPORTED, at, "zip member '%s' has the unknown flags 0x%04x", name, m->flags);
    if (m->method != ZIP_STORED && m->method != ZIP_DEFLATED)
        return err_set(err, TOLA_E_UNSUPPORTED, at, "zip member '%s' is compressed with method %u; stored (0) and "
                       "deflated (8) ones are read", name, m->method);
    if (m->method == ZIP_STORED && m->size != m->packed)
        return err_set(err, TOLA_E_FORMAT, at, "zip member '%s' is stored, but %" PRIu64 " bytes are said to take %"
                       PRIu64, name, m->size, m->packed);
    if (m->method == ZIP_DEFLATED &&
        (m->packed > UINT64_MAX / 2048 || m->size > m->packed * ZIP_MAX_RATIO + ZIP_RATIO_SLACK))
        return err_set(err, TOLA_E_LIMIT, at, "zip member '%s' claims %" PRIu64 " bytes from %" PRIu64
                       ", more than deflate can do (%u:1)", name, m->size, m->packed, ZIP_MAX_RATIO);
    return TOLA_OK;
}

static tola_status read_entry(const zip_archive *z, reader *r, const end_record *e, arena *a, zip_member *m,
                              tola_error *err) {
    uint64_t at = r->pos;
    const uint8_t *p = reader_take(r, CENTRAL_BYTES);
    if (!p) return reader_check(r, err);
    if (load_le32(p) != SIG_CENTRAL)
        return err_set(err, TOLA_E_FORMAT, at, "no zip directory entry where one is due");
    uint16_t extra_length = load_le16(p + 30), comment_length = load_le16(p + 32), disk = load_le16(p + 34);
    *m = (zip_member){ .flags = load_le16(p + 8),
                       .method = load_le16(p + 10),
                       .crc = load_le32(p + 16),
                       .packed = load_le32(p + 20),
                       .size = load_le32(p + 24),
                       .name_length = load_le16(p + 28),
                       .header = load_le32(p + 42) };
    const uint8_t *name = reader_take(r, m->name_length);
    if (!name) return reader_check(r, err);
    m->name = arena_strndup(a, (const char *)name, m->name_length);
    if (!m->name) return err_nomem(err, "reading a zip directory");
    if (m->name_length == 0 || memchr(m->name, 0, m->name_length))
        return err_set(err, TOLA_E_FORMAT, at, "a zip member whose name is empty or contains a NUL");
    const uint8_t *extra = reader_take(r, extra_length);
    if (!extra) return reader_check(r, err);
    if ((m->size == UINT32_MAX || m->packed == UINT32_MAX || m->header == UINT32_MAX) &&
        !take_zip64(extra, extra_length, &m->size, &m->packed, &m->header))
        return err_set(err, TOLA_E_FORMAT, at, "a zip directory entry that needs a ZIP64 field and lacks it");
    if (disk != 0 && disk != 0xffff) return err_set(err, TOLA_E_UNSUPPORTED, at, "a zip archive over several disks");
    reader_skip(r, comment_length);
    TRY(reader_check(r, err));
    TRY(refuse_member(m, at, err));
    uint64_t room = e->offset - z->start; /* members lie before the directory */
    uint64_t head = LOCAL_BYTES + m->name_length;
    if (m->header > room || room - m->header < head || room - m->header - head < m->packed) {
        char quoted[200];
        return err_set(err, TOLA_E_FORMAT, at, "zip member '%s' (%" PRIu64 " bytes at %" PRIu64
                       ") does not lie before the directory at %" PRIu64,
                       text_quote(quoted, sizeof quoted, m->name, m->name_length), m->packed, m->header, room);
    }
    m->header += z->start;
    return TOLA_OK;
}

static tola_status read_directory(zip_archive *z, const end_record *e, arena *a, tola_error *err) {
    z->count = (size_t)e->count;
    z->members = arena_alloc_array(a, z->count, sizeof *z->members);
    z->by_name = arena_alloc_array(a, z->count, sizeof *z->by_name);
    if (!z->members || !z->by_name) return err_nomem(err, "reading a zip directory");
    reader r;
    reader_init(&r, z->src, e->offset, e->offset + e->bytes);
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < z->count && status == TOLA_OK; i++) status = read_entry(z, &r, e, a, &z->members[i], err);
    if (status == TOLA_OK && reader_left(&r) != 0)
        status = err_set(err, TOLA_E_FORMAT, r.pos, "%" PRIu64 " bytes of the zip directory belong to no member",
                         reader_left(&r));
    reader_free(&r);
    return status;
}

static int compare_names(const void *a, const void *b) {
    return strcmp((*(zip_member *const *)a)->name, (*(zip_member *const *)b)->name);
}

static int compare_places(const void *a, const void *b) {
    uint64_t x = (*(zip_member *const *)a)->header, y = (*(zip_member *const *)b)->header;
    return x < y ? -1 : x > y;
}

static tola_status check_names(zip_archive *z, tola_error *err) {
    for (size_t i = 0; i < z->count; i++) z->by_name[i] = &z->members[i];
    qsort(z->by_name, z->count, sizeof *z->by_name, compare_names);
    for (size_t i = 1; i < z->count; i++) {
        if (strcmp(z->by_name[i - 1]->name, z->by_name[i]->name) != 0) continue;
        char name[200];
        return err_set(err, TOLA_E_FORMAT, z->by_name[i]->header, "two zip members are called '%s'",
                       text_quote(name, sizeof name, z->by_name[i]->name, z->by_name[i]->name_length));
    }
    return TOLA_OK;
}

zip_member *zip_find(const zip_archive *z, const char *name) {
    size_t low = 0, high = z->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(z->by_name[middle]->name, name);
        if (order == 0) return z->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- local headers ---- */

static tola_status disagree(const zip_member *m, const char *what, tola_error *err) {
    char name[200];
    return err_set(err, TOLA_E_FORMAT, m->header, "zip member '%s': the %s in its own header differs from the one in "
                   "the directory", text_quote(name, sizeof name, m->name, m->name_length), what);
}

/* Sizes of the local header; those that a data descriptor repeats may be left empty in it. */
static tola_status compare_sizes(const zip_archive *z, const zip_member *m, const uint8_t *p, tola_error *err) {
    uint64_t packed = load_le32(p + 18), size = load_le32(p + 22);
    uint16_t extra_length = load_le16(p + 28);
    bool descriptor = m->flags & FLAG_DESCRIPTOR;
    if ((packed == UINT32_MAX || size == UINT32_MAX) && extra_length) {
        uint8_t *extra = mem_alloc(extra_length);
        if (!extra) return err_nomem(err, "reading a zip header");
        tola_status status = source_read(z->src, m->header + LOCAL_BYTES + m->name_length, extra, extra_length, err);
        if (status == TOLA_OK) take_zip64(extra, extra_length, &size, &packed, NULL);
        mem_free(extra);
        TRY(status);
    }
    bool empty = descriptor && (size == 0 || size == UINT32_MAX) && (packed == 0 || packed == UINT32_MAX);
    if (!empty && (size != m->size || packed != m->packed)) return disagree(m, "size", err);
    uint32_t crc = load_le32(p + 14);
    if (crc != m->crc && !(descriptor && crc == 0)) return disagree(m, "CRC", err);
    return TOLA_OK;
}

static tola_status check_local(const zip_archive *z, zip_member *m, uint8_t *p, tola_error *err) {
    TRY(source_read(z->src, m->header, p, LOCAL_BYTES + m->name_length, err));
    if (load_le32(p) != SIG_LOCAL) {
        char name[200];
        return err_set(err, TOLA_E_FORMAT, m->header, "no zip header here, where the directory has '%s'",
                       text_quote(name, sizeof name, m->name, m->name_length));
    }
    if (load_le16(p + 6) != m->flags) return disagree(m, "flag word", err);
    if (load_le16(p + 8) != m->method) return disagree(m, "method", err);
    if (load_le16(p + 26) != m->name_length || memcmp(p + LOCAL_BYTES, m->name, m->name_length) != 0)
        return disagree(m, "name", err);
    TRY(compare_sizes(z, m, p, err));
    uint64_t data = m->header + LOCAL_BYTES + m->name_length + load_le16(p + 28);
    if (data > z->end || z->end - data < m->packed) return disagree(m, "extra field", err);
    if (!z->src->remote)
        m->data = data;
    else if (data != m->data)
        return disagree(m, "place", err);
    __atomic_store_n(&m->checked, 1, __ATOMIC_RELEASE);
    return TOLA_OK;
}

tola_status zip_check_member(const zip_archive *z, zip_member *m, tola_error *err) {
    if (__atomic_load_n(&m->checked, __ATOMIC_ACQUIRE)) return TOLA_OK;
    uint8_t *buffer = mem_alloc(LOCAL_BYTES + m->name_length);
    if (!buffer) return err_nomem(err, "reading a zip header");
    tola_status status = check_local(z, m, buffer, err);
    mem_free(buffer);
    return status;
}

static tola_status overlap(const zip_member *m, const zip_member *next, tola_error *err) {
    char name[200], other[200];
    text_quote(name, sizeof name, m->name, m->name_length);
    if (!next) return err_set(err, TOLA_E_FORMAT, m->header, "zip member '%s' reaches into the directory", name);
    return err_set(err, TOLA_E_FORMAT, next->header, "zip members '%s' and '%s' overlap", name,
                   text_quote(other, sizeof other, next->name, next->name_length));
}

/* Where a payload lies follows from the place of the next header, in archives without gaps: that spares a remote
 * archive one read per member. zip_check_member compares before the first byte is used. */
static tola_status place_remote(const zip_member *next, uint64_t limit, zip_member *m, tola_error *err) {
    uint64_t descriptor = 0, least = m->header + LOCAL_BYTES + m->name_length;
    if (m->flags & FLAG_DESCRIPTOR) descriptor = m->size >= UINT32_MAX || m->packed >= UINT32_MAX ? 24 : 16;
    if (limit - least < m->packed || limit - least - m->packed < descriptor) return overlap(m, next, err);
    m->data = limit - descriptor - m->packed;
    return TOLA_OK;
}

static tola_status check_places(const zip_archive *z, zip_member **order, uint64_t directory, tola_error *err) {
    for (size_t i = 0; i < z->count; i++) order[i] = &z->members[i];
    qsort(order, z->count, sizeof *order, compare_places);
    if (z->count && order[0]->header != z->start)
        return err_set(err, TOLA_E_FORMAT, z->start, "%" PRIu64 " bytes before the first zip member belong to nothing",
                       order[0]->header - z->start);
    uint8_t *buffer = mem_alloc(LOCAL_BYTES + UINT16_MAX);
    if (!buffer) return err_nomem(err, "reading zip headers");
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < z->count && status == TOLA_OK; i++) {
        zip_member *m = order[i], *next = i + 1 < z->count ? order[i + 1] : NULL;
        uint64_t limit = next ? next->header : directory;
        if (limit - m->header < LOCAL_BYTES + m->name_length)
            status = overlap(m, next, err);
        else if (z->src->remote)
            status = place_remote(next, limit, m, err);
        else
            status = check_local(z, m, buffer, err);
        if (status == TOLA_OK && (m->data > limit || limit - m->data < m->packed)) status = overlap(m, next, err);
    }
    mem_free(buffer);
    return status;
}

tola_status zip_open(source *src, uint64_t start, uint64_t end, arena *a, zip_archive **out, tola_error *err) {
    zip_archive *z = arena_alloc(a, sizeof *z);
    if (!z) return err_nomem(err, "reading a zip archive");
    *z = (zip_archive){ .src = src, .start = start, .end = end };
    end_record e;
    TRY(read_end(z, &e, err));
    TRY(read_directory(z, &e, a, err));
    TRY(check_names(z, err));
    zip_member **order = mem_realloc_array(NULL, z->count ? z->count : 1, sizeof *order);
    if (!order) return err_nomem(err, "reading a zip archive");
    tola_status status = check_places(z, order, e.offset, err);
    mem_free(order);
    TRY(status);
    z->verifier = zip_verifier_new(a);
    if (!z->verifier) return err_nomem(err, "reading a zip archive");
    for (size_t i = 0; i < z->count && !z->inflater; i++)
        if (z->members[i].method == ZIP_DEFLATED && !(z->inflater = zip_inflater_new(a)))
            return err_nomem(err, "reading a zip archive");
    *out = z;
    return TOLA_OK;
}

/* ---- payloads ---- */

tola_status zip_read(const zip_archive *z, zip_member *m, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    TRY(zip_check_member(z, m, err));
    if (offset > m->size || bytes > m->size - offset)
        return err_set(err, TOLA_E_FORMAT, m->data, "%zu bytes at %" PRIu64 " of a zip member of %" PRIu64, bytes,
                       offset, m->size);
    if (m->method == ZIP_STORED) return source_read(z->src, m->data + offset, dst, bytes, err);
    return zip_inflate_read(z->inflater, z->src, m, offset, dst, bytes, err);
}

tola_status zip_load(const zip_archive *z, zip_member *m, uint64_t limit, arena *a, const uint8_t **data,
                     tola_error *err) {
    char name[200];
    text_quote(name, sizeof name, m->name, m->name_length);
    if (m->size > limit)
        return err_set(err, TOLA_E_LIMIT, m->header, "zip member '%s' has %" PRIu64 " bytes; at most %" PRIu64
                       " are read", name, m->size, limit);
    /* a deflated member may claim a thousand times what is there: it is unpacked before the arena keeps it */
    uint8_t *bytes = mem_alloc((size_t)m->size);
    if (!bytes) return err_nomem(err, "reading a zip member");
    tola_status status = zip_read(z, m, 0, bytes, (size_t)m->size, err);
    if (status == TOLA_OK && crc32_update(0, bytes, (size_t)m->size) != m->crc)
        status = err_set(err, TOLA_E_FORMAT, m->data, "the CRC of zip member '%s' is %08" PRIx32 ", not %08" PRIx32
                         ": its bytes were changed", name, crc32_update(0, bytes, (size_t)m->size), m->crc);
    if (status == TOLA_OK) {
        *data = (const uint8_t *)arena_strndup(a, (const char *)bytes, (size_t)m->size);
        if (!*data) status = err_nomem(err, "reading a zip member");
    }
    mem_free(bytes);
    return status;
}
