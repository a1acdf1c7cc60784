/* Zip archives that may lie: every member is looked into, in every way in which a reader may find it.
 *
 * The strict reader of formats/zip.h refuses what two programs could read in two ways. Here that is a finding, and both
 * ways are followed: members of the directory, whatever their flags say, and whatever lies between them. Specification:
 * PKWARE APPNOTE 6.3.10. */
#define _GNU_SOURCE 1
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "trust/scan.h"

#define SIG_LOCAL 0x04034b50u
#define SIG_CENTRAL 0x02014b50u
#define SIG_END 0x06054b50u
#define SIG_END64 0x06064b50u
#define SIG_LOCATOR 0x07064b50u
#define SIG_DESCRIPTOR 0x08074b50u
#define LOCAL_BYTES 30u
#define CENTRAL_BYTES 46u
#define END_BYTES 22u
#define MAX_DIRECTORY ((uint64_t)1 << 30)
#define BLOCK (1u << 20)
#define HEAD_OF_WEIGHTS (1u << 20) /* bytes of packed numbers that are looked at as something else */

typedef struct zmember {
    char *name;
    uint16_t flags, method;
    uint32_t crc;
    uint64_t packed, size, header; /* header: from the part's start */
    uint64_t data, end;            /* of the payload; what follows it */
    bool listed;                   /* in the directory */
} zmember;

typedef struct zscan {
    scan_job *job;
    const scan_part *part;
    uint64_t directory, directory_end; /* from the part's start */
    uint64_t shift;                    /* added to offsets that the directory gives: bytes before the archive */
    zmember *members;
    size_t count, cap;
    arena names;
    uint8_t *block; /* BLOCK bytes, once something was stored */
    bool torch, torchscript;
} zscan;

#define FIND(z, at, ...) scan_find((z)->job, (z)->part, TOLA_UNKNOWN, "zip", at, __VA_ARGS__)

static const char *quoted(const zmember *m, char *dst, size_t cap) {
    return text_quote(dst, cap, m->name, strlen(m->name));
}

/* ---- the directory ---- */

typedef struct zend {
    uint64_t at, count, bytes, offset;
} zend;

/* The end record nearest to the end whose comment fits, as every reader looks for it. */
static bool find_end(zscan *z, zend *e) {
    uint64_t total = part_bytes(z->part), most = END_BYTES + 0xffff;
    size_t bytes = (size_t)(total < most ? total : most);
    uint8_t *tail = mem_alloc(bytes + 1);
    bool found = false;
    if (tail && bytes >= END_BYTES && part_read(z->job, z->part, total - bytes, tail, bytes)) {
        for (size_t i = bytes - END_BYTES + 1; i-- > 0 && !found;) {
            if (load_le32(tail + i) != SIG_END) continue;
            size_t comment = load_le16(tail + i + 20);
            if (comment > bytes - i - END_BYTES) continue;
            *e = (zend){ total - bytes + i, load_le16(tail + i + 10), load_le32(tail + i + 12),
                         load_le32(tail + i + 16) };
            found = true;
            uint64_t behind = total - e->at - END_BYTES - comment;
            if (behind) FIND(z, e->at + END_BYTES + comment, "%" PRIu64 " bytes behind the end of the archive", behind);
            if (load_le16(tail + i + 4) != 0 && load_le16(tail + i + 4) != 0xffff)
                FIND(z, e->at, "one of several disks");
            if (load_le16(tail + i + 8) != load_le16(tail + i + 10))
                FIND(z, e->at, "its end counts members in two ways");
            if (comment > 0 && comment >= 4 && memmem(tail + i + END_BYTES, comment, "PK\5\6", 4))
                FIND(z, e->at, "a second end of the archive in its comment");
        }
    }
    mem_free(tail);
    return found;
}

static void use_end64(zscan *z, zend *e) {
    uint8_t locator[20], record[56];
    if (e->at < sizeof locator || !part_read(z->job, z->part, e->at - sizeof locator, locator, sizeof locator)) return;
    if (load_le32(locator) != SIG_LOCATOR) return;
    uint64_t at = load_le64(locator + 8);
    uint64_t before = e->at - sizeof locator;
    if (at > before || before - at < sizeof record || !part_read(z->job, z->part, at, record, sizeof record) ||
        load_le32(record) != SIG_END64) {
        /* bytes before the archive move it */
        if (before < sizeof record || !part_read(z->job, z->part, before - sizeof record, record, sizeof record) ||
            load_le32(record) != SIG_END64) {
            FIND(z, before, "the locator of the large end record points nowhere");
            return;
        }
        at = before - sizeof record;
    }
    uint64_t count = load_le64(record + 32), bytes = load_le64(record + 40), offset = load_le64(record + 48);
    if ((e->count != 0xffff && e->count != count) || (e->bytes != UINT32_MAX && e->bytes != bytes) ||
        (e->offset != UINT32_MAX && e->offset != offset))
        FIND(z, at, "the two end records disagree");
    *e = (zend){ at, count, bytes, offset };
}

/* Info-ZIP's name in Unicode, which Python from 3.12 on and unzip put in place of the other. */
#define EXTRA_NAME 0x7075u

static bool has_extra(const uint8_t *extra, size_t bytes, unsigned id) {
    for (size_t n; bytes >= 4; extra += 4 + n, bytes -= 4 + n) {
        if (load_le16(extra) == id) return true;
        n = load_le16(extra + 2);
        if (n > bytes - 4) return false;
    }
    return false;
}

static void take_zip64(const uint8_t *extra, size_t bytes, uint64_t *size, uint64_t *packed, uint64_t *header) {
    while (bytes >= 4) {
        size_t id = load_le16(extra), n = load_le16(extra + 2);
        if (n > bytes - 4) return;
        if (id == 1) {
            const uint8_t *p = extra + 4, *end = p + n;
            uint64_t *fields[] = { size, packed, header };
            for (size_t i = 0; i < 3; i++) {
                if (!fields[i] || *fields[i] != UINT32_MAX) continue;
                if (end - p < 8) return;
                *fields[i] = load_le64(p);
                p += 8;
            }
            return;
        }
        extra += 4 + n;
        bytes -= 4 + n;
    }
}

static zmember *add_member(zscan *z, const uint8_t *name, size_t n) {
    if (z->count >= SCAN_MAX_MEMBERS) {
        FIND(z, TOLA_NO_OFFSET, "more than %u members", SCAN_MAX_MEMBERS);
        return NULL;
    }
    char *text = arena_strndup(&z->names, (const char *)name, n);
    if (!text || !mem_grow(&z->members, &z->cap, z->count + 1, sizeof *z->members)) {
        tola_error err = TOLA_ERROR_INIT;
        scan_stop(z->job, err_nomem(&err, "reading a zip directory"), &err);
        return NULL;
    }
    z->members[z->count] = (zmember){ .name = text };
    return &z->members[z->count++];
}

static void check_name(zscan *z, const zmember *m, uint64_t at, size_t n) {
    char name[200];
    if (n == 0 || strlen(m->name) != n) FIND(z, at, "a member whose name is empty or holds a NUL");
    if (m->name[0] == '/' || m->name[0] == '\\' || strncmp(m->name, "../", 3) == 0 || strstr(m->name, "/../") ||
        strstr(m->name, "..\\") || (m->name[0] && m->name[1] == ':'))
        scan_find(z->job, z->part, TOLA_DANGEROUS, "zip", at, "member '%s' would be unpacked outside of its folder",
                  quoted(m, name, sizeof name));
}

static bool read_directory(zscan *z, const zend *e) {
    if (e->bytes > e->at || e->bytes > MAX_DIRECTORY) {
        FIND(z, e->at, "the directory's size cannot be right");
        return false;
    }
    z->directory = e->at - e->bytes;
    z->directory_end = e->at;
    if (e->offset > z->directory) {
        FIND(z, e->at, "the directory is said to lie behind its own end");
    } else {
        z->shift = z->directory - e->offset;
    }
    uint8_t *data = mem_alloc((size_t)e->bytes + 1);
    if (!data || !part_read(z->job, z->part, z->directory, data, (size_t)e->bytes)) {
        tola_error err = TOLA_ERROR_INIT;
        if (!data) scan_stop(z->job, err_nomem(&err, "reading a zip directory"), &err);
        mem_free(data);
        return false;
    }
    uint64_t at = 0;
    while (at < e->bytes && scan_running(z->job)) {
        const uint8_t *p = data + at;
        if (e->bytes - at < CENTRAL_BYTES || load_le32(p) != SIG_CENTRAL) {
            FIND(z, z->directory + at, "no directory entry where one is due");
            break;
        }
        size_t n = load_le16(p + 28), extra = load_le16(p + 30), comment = load_le16(p + 32);
        if (e->bytes - at - CENTRAL_BYTES < n + extra + comment) {
            FIND(z, z->directory + at, "a directory entry that is cut off");
            break;
        }
        zmember *m = add_member(z, p + CENTRAL_BYTES, n);
        if (!m) break;
        m->listed = true;
        m->flags = load_le16(p + 8);
        m->method = load_le16(p + 10);
        m->crc = load_le32(p + 16);
        m->packed = load_le32(p + 20);
        m->size = load_le32(p + 24);
        m->header = load_le32(p + 42);
        take_zip64(p + CENTRAL_BYTES + n, extra, &m->size, &m->packed, &m->header);
        m->header += z->shift;
        check_name(z, m, z->directory + at, n);
        if (has_extra(p + CENTRAL_BYTES + n, extra, EXTRA_NAME))
            FIND(z, z->directory + at, "a member has another name in an extra field, which some programs take instead");
        unsigned kind = load_le16(p + 40) & 0xf000u; /* of Unix' mode */
        char quoted_name[200];
        if (p[5] == 3 && kind && kind != 0x8000 && kind != 0x4000)
            FIND(z, z->directory + at, "member '%s' is a link or a device", quoted(m, quoted_name, sizeof quoted_name));
        at += CENTRAL_BYTES + n + extra + comment;
    }
    if (at == e->bytes && (e->count & 0xffff) != (z->count & 0xffff) && e->count != z->count)
        FIND(z, e->at, "the end counts %" PRIu64 " members, the directory has %zu", e->count, z->count);
    mem_free(data);
    return true;
}

/* ---- local headers ---- */

/* Reads the header at m->header; where the member is not listed, fills it in from there. */
static bool read_local(zscan *z, zmember *m) {
    uint8_t p[LOCAL_BYTES];
    char name[200];
    uint64_t total = part_bytes(z->part);
    if (m->header > total || total - m->header < LOCAL_BYTES ||
        !part_read(z->job, z->part, m->header, p, LOCAL_BYTES) || load_le32(p) != SIG_LOCAL) {
        FIND(z, m->header, "no header where the directory has member '%s'", quoted(m, name, sizeof name));
        return false;
    }
    size_t n = load_le16(p + 26), extra_bytes = load_le16(p + 28);
    uint64_t size = load_le32(p + 22), packed = load_le32(p + 18), at = m->header + LOCAL_BYTES;
    uint8_t *text = mem_alloc(n + extra_bytes + 1);
    bool read = text && part_read(z->job, z->part, at, text, n + extra_bytes);
    if (read) take_zip64(text + n, extra_bytes, &size, &packed, NULL);
    if (read && has_extra(text + n, extra_bytes, EXTRA_NAME))
        FIND(z, m->header, "a header with another name in an extra field, which some programs take instead");
    bool descriptor = load_le16(p + 6) & 8;
    if (read && m->listed) {
        const char *differs = NULL;
        if (strlen(m->name) != n || memcmp(m->name, text, n) != 0) differs = "name";
        if (load_le16(p + 8) != m->method) differs = "method";
        if (load_le16(p + 6) != m->flags) differs = "flag word";
        if (load_le32(p + 14) != m->crc && !(descriptor && load_le32(p + 14) == 0)) differs = "checksum";
        bool empty = descriptor && (size == 0 || size == UINT32_MAX) && (packed == 0 || packed == UINT32_MAX);
        if (!empty && (size != m->size || packed != m->packed)) differs = "size";
        if (differs)
            FIND(z, m->header, "member '%s': the %s in its own header is not that in the directory",
                 quoted(m, name, sizeof name), differs);
        if (n > 0 && n < 1024 && (strlen(m->name) != n || memcmp(m->name, text, n) != 0)) text[n] = 0;
    } else if (read) {
        m->flags = load_le16(p + 6);
        m->method = load_le16(p + 8);
        m->crc = load_le32(p + 14);
        m->size = size;
        m->packed = packed;
        m->name = arena_strndup(&z->names, (const char *)text, n);
        if (!m->name) m->name = (char *)"";
    }
    mem_free(text);
    if (!read) {
        if (scan_running(z->job)) FIND(z, m->header, "a header that is cut off");
        return false;
    }
    m->data = at + n + extra_bytes;
    if (m->data > total) return false;
    if (m->packed > total - m->data) {
        FIND(z, m->header, "member '%s' would end behind the archive", quoted(m, name, sizeof name));
        m->packed = total - m->data;
    }
    m->end = m->data + m->packed;
    return true;
}

/* Bytes of the data descriptor behind a member, if there is one. */
static uint64_t descriptor_bytes(zscan *z, const zmember *m) {
    uint8_t p[24];
    uint64_t left = part_bytes(z->part) - m->end;
    size_t n = left < sizeof p ? (size_t)left : sizeof p;
    if (!(m->flags & 8) || !part_read(z->job, z->part, m->end, p, n)) return 0;
    unsigned at = n >= 4 && load_le32(p) == SIG_DESCRIPTOR ? 4 : 0;
    if (n < at + 12u || load_le32(p + at) != m->crc) return 0;
    if (n >= at + 20u && load_le64(p + at + 4) == m->packed && load_le64(p + at + 12) == m->size) return at + 20;
    return load_le32(p + at + 4) == (uint32_t)m->packed && load_le32(p + at + 8) == (uint32_t)m->size ? at + 12 : 0;
}

/* ---- contents ---- */

/* Numbers: what torch's archives keep as data/0, data/1, ... beside data.pkl. */
static bool is_weights(const zscan *z, const zmember *m) {
    const char *last = strrchr(m->name, '/');
    if (!z->torch || !last || !last[1] || strspn(last + 1, "0123456789") != strlen(last + 1)) return false;
    static const char *const folders[] = { "data", "constants", "tensors" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t n = strlen(folders[i]), before = (size_t)(last - m->name);
        if (before >= n && memcmp(last - n, folders[i], n) == 0 && (before == n || last[-(ptrdiff_t)n - 1] == '/'))
            return true;
    }
    return false;
}

/* Checksum of a stored member. */
static bool stored_crc(zscan *z, const zmember *m, uint32_t *crc) {
    if (!z->block) z->block = mem_alloc(BLOCK);
    bool ok = z->block != NULL;
    *crc = 0;
    for (uint64_t done = 0; ok && done < m->packed;) {
        size_t n = m->packed - done < BLOCK ? (size_t)(m->packed - done) : BLOCK;
        ok = part_read(z->job, z->part, m->data + done, z->block, n);
        if (ok) *crc = crc32_update(*crc, z->block, n);
        done += n;
    }
    if (!z->block) {
        tola_error err = TOLA_ERROR_INIT;
        scan_stop(z->job, err_nomem(&err, "scanning"), &err);
    }
    return ok;
}

typedef struct inflated {
    uint8_t *data;
    size_t length, cap;
    uint64_t total;
    uint32_t crc;
    bool whole, ended, limited; /* all is in data; the stream ended by itself; a limit cut it off */
} inflated;

/* Inflates a member: its first `keep` bytes stay in memory. */
static bool inflate_member(zscan *z, const zmember *m, uint64_t keep, inflated *out) {
    *out = (inflated){ .whole = true };
    uint8_t *in = mem_alloc(BLOCK), *block = mem_alloc(BLOCK);
    z_stream s = { 0 };
    bool ok = in && block && inflateInit2(&s, -15) == Z_OK;
    if (!ok) {
        tola_error err = TOLA_ERROR_INIT;
        scan_stop(z->job, err_nomem(&err, "unpacking"), &err);
        mem_free(in);
        mem_free(block);
        return false;
    }
    int code = Z_OK;
    for (uint64_t done = 0; code == Z_OK && done < m->packed && ok;) {
        size_t n = m->packed - done < BLOCK ? (size_t)(m->packed - done) : BLOCK;
        if (!part_read(z->job, z->part, m->data + done, in, n)) break;
        done += n;
        s.next_in = in;
        s.avail_in = (uInt)n;
        while (code == Z_OK && ok) {
            s.next_out = block;
            s.avail_out = BLOCK;
            code = inflate(&s, Z_NO_FLUSH);
            size_t got = BLOCK - s.avail_out;
            out->crc = crc32_update(out->crc, block, got);
            out->total += got;
            size_t room = out->length < keep ? (size_t)(keep - out->length) : 0, take = got < room ? got : room;
            if (take < got) out->whole = false;
            if (take && !mem_grow(&out->data, &out->cap, out->length + take + 1, 1)) {
                tola_error err = TOLA_ERROR_INIT;
                scan_stop(z->job, err_nomem(&err, "unpacking"), &err);
                ok = false;
            } else if (take) {
                memcpy(out->data + out->length, block, take);
                out->length += take;
            }
            z->job->unpacked += got;
            if (z->job->unpacked > SCAN_MAX_UNPACKED || (!out->whole && keep > HEAD_OF_WEIGHTS)) {
                out->limited = true;
                ok = false;
            }
            if (code == Z_BUF_ERROR) code = Z_OK;
            if (s.avail_out) break;
        }
    }
    out->ended = code == Z_STREAM_END;
    inflateEnd(&s);
    mem_free(in);
    mem_free(block);
    return scan_running(z->job);
}

static void scan_stored(zscan *z, const zmember *m) {
    char name[200];
    uint32_t crc;
    const char *member = scan_member_path(z->job, z->part, m->name);
    if (!member) return;
    const char *last = strrchr(m->name, '/');
    scan_part inner = { z->part->src, z->part->start + m->data, z->part->start + m->end, last ? last + 1 : m->name,
                        member,       z->part->depth + 1,       is_weights(z, m) };
    source *small = NULL;
    if (!z->part->src->remote && stored_crc(z, m, &crc)) {
        if (crc != m->crc && !(m->flags & 1))
            FIND(z, m->header, "member '%s': the checksum is wrong", quoted(m, name, sizeof name));
        /* all of a small one was just read: archives of thousands of small tensors cost one read each */
        if (m->packed <= BLOCK && source_open_memory(member, z->block, (size_t)m->packed, &small, NULL) == TOLA_OK) {
            inner.src = small;
            inner.start = 0;
            inner.end = m->packed;
        }
    }
    scan_content(z->job, &inner);
    source_close(small);
}

static void scan_deflated(zscan *z, const zmember *m) {
    char name[200];
    inflated out;
    bool weights = is_weights(z, m);
    quoted(m, name, sizeof name);
    if (!inflate_member(z, m, weights ? HEAD_OF_WEIGHTS : SCAN_MAX_MEMBER, &out)) {
        mem_free(out.data);
        return;
    }
    if (out.limited)
        FIND(z, m->header, "member '%s' unpacks to more than can be looked into", name);
    else if (!out.ended || out.total != m->size || (out.crc != m->crc && !(m->flags & 1)))
        FIND(z, m->header, "member '%s' %s", name,
             m->flags & 1           ? "is encrypted and cannot be looked into"
             : !out.ended           ? "cannot be unpacked"
             : out.total != m->size ? "unpacks to another size than it says"
                                    : "unpacks to another checksum than it says");
    if (out.length) {
        const char *last = strrchr(m->name, '/');
        scan_part outer = *z->part;
        const char *member = scan_member_path(z->job, z->part, m->name);
        source *src;
        tola_error err = TOLA_ERROR_INIT;
        tola_status status = member ? source_open_memory(member, out.data, out.length, &src, &err) : TOLA_E_NOMEM;
        if (status == TOLA_OK) {
            scan_part inner = { src, 0, out.length, last ? last + 1 : m->name, member, outer.depth + 1, weights };
            scan_content(z->job, &inner);
            source_close(src);
        } else {
            scan_stop(z->job, status, &err);
        }
    }
    mem_free(out.data);
}

static void scan_member(zscan *z, const zmember *m) {
    char name[200];
    size_t n = strlen(m->name);
    z->job->members++;
    if (n && m->name[n - 1] == '/' && m->packed == 0) return; /* a folder */
    if (m->flags & 0x2041 && m->method != 0 && m->method != 8)
        FIND(z, m->header, "member '%s' is encrypted", quoted(m, name, sizeof name));
    else if (m->flags & 0x2041)
        FIND(z, m->header, "member '%s' is said to be encrypted or patched", quoted(m, name, sizeof name));
    if (m->method == 0) {
        if (m->size != m->packed && !(m->flags & 9))
            FIND(z, m->header, "member '%s' is stored with two sizes", quoted(m, name, sizeof name));
        scan_stored(z, m);
    } else if (m->method == 8) {
        scan_deflated(z, m);
    } else {
        scan_zip_other(z->job, z->part, m->name, m->method, m->flags, m->data, m->end, m->size);
    }
}

/* ---- between the members ---- */

/* Bytes that no member claims: padding, or something that another reader finds. */
static void scan_gap(zscan *z, uint64_t from, uint64_t to, const char *where) {
    uint8_t block[4096];
    bool zeros = true;
    for (uint64_t at = from; zeros && at < to;) {
        size_t n = to - at < sizeof block ? (size_t)(to - at) : sizeof block;
        if (!part_read(z->job, z->part, at, block, n)) return;
        for (size_t i = 0; i < n && zeros; i++) zeros = block[i] == 0;
        at += n;
    }
    if (zeros && to - from < 4096) return;
    FIND(z, from, "%" PRIu64 " bytes %s that no member claims", to - from, where);
    if (zeros || to - from < 4) return;
    /* headers that the directory does not list */
    for (uint64_t at = from; at + LOCAL_BYTES < to && scan_running(z->job);) {
        uint8_t p[4];
        if (!part_read(z->job, z->part, at, p, 4)) return;
        if (load_le32(p) != SIG_LOCAL) break;
        zmember hidden = { .name = (char *)"", .header = at };
        if (!read_local(z, &hidden)) break;
        char name[200];
        FIND(z, at, "member '%s' is there, but the directory does not list it", quoted(&hidden, name, sizeof name));
        scan_member(z, &hidden);
        at = hidden.end + descriptor_bytes(z, &hidden);
        if (hidden.packed == 0) break;
    }
    const char *member = scan_member_path(z->job, z->part, "(between members)");
    if (!member) return;
    scan_part inner = {
        z->part->src, z->part->start + from, z->part->start + to, "", member, z->part->depth + 1, true
    };
    scan_content(z->job, &inner);
}

static int compare_places(const void *a, const void *b) {
    const zmember *x = a, *y = b;
    return x->header < y->header ? -1 : x->header > y->header;
}

static int compare_names(const void *a, const void *b) {
    return strcmp((*(zmember *const *)a)->name, (*(zmember *const *)b)->name);
}

static void check_duplicates(zscan *z) {
    zmember **sorted = mem_alloc((z->count + 1) * sizeof *sorted);
    if (!sorted) return;
    for (size_t i = 0; i < z->count; i++) sorted[i] = &z->members[i];
    qsort(sorted, z->count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < z->count; i++) {
        char name[200];
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            FIND(z, sorted[i]->header, "two members are called '%s'", quoted(sorted[i], name, sizeof name));
    }
    mem_free(sorted);
}

static void scan_members(zscan *z) {
    uint64_t at = 0;
    if (z->count) qsort(z->members, z->count, sizeof *z->members, compare_places);
    check_duplicates(z);
    for (size_t i = 0; i < z->count && scan_running(z->job); i++) {
        zmember *m = &z->members[i];
        if (!read_local(z, m)) continue;
        if (m->header < at) {
            char name[200];
            FIND(z, m->header, "member '%s' overlaps another one", quoted(m, name, sizeof name));
        } else if (m->header > at) {
            scan_gap(z, at, m->header, i ? "between members" : "before the first member");
        }
        scan_member(z, m);
        uint64_t end = m->end + descriptor_bytes(z, m);
        if (end > at) at = end;
    }
    if (at < z->directory)
        scan_gap(z, at, z->directory, "before the directory");
    else if (at > z->directory)
        FIND(z, z->directory, "members reach into the directory");
}

/* Without a directory: headers one after another, as programs that repair archives read them. */
static void scan_headers_only(zscan *z) {
    uint64_t at = 0, total = part_bytes(z->part);
    FIND(z, 0, "an archive without its directory");
    while (at + LOCAL_BYTES < total && scan_running(z->job)) {
        uint8_t p[4];
        if (!part_read(z->job, z->part, at, p, 4) || load_le32(p) != SIG_LOCAL) break;
        zmember m = { .name = (char *)"", .header = at };
        if (!read_local(z, &m)) break;
        scan_member(z, &m);
        at = m.end + descriptor_bytes(z, &m);
    }
}

/* What the names tell: a TorchScript program, a model of Keras. */
static void check_names(zscan *z) {
    bool pickles = false, code = false, constants = false;
    for (size_t i = 0; i < z->count; i++) {
        const char *name = z->members[i].name, *last = strrchr(name, '/');
        last = last ? last + 1 : name;
        pickles |= strcmp(last, "data.pkl") == 0;
        constants |= strcmp(last, "constants.pkl") == 0;
        code |= (strstr(name, "/code/") || strncmp(name, "code/", 5) == 0) && text_ends_with(name, ".py");
    }
    z->torch = pickles;
    z->torchscript = constants || (code && pickles);
    if (z->torchscript)
        scan_find(z->job, z->part, TOLA_UNKNOWN, "torchscript", TOLA_NO_OFFSET,
                  "a TorchScript program: torch.jit.load runs code that is in the file");
    if (pickles && !z->part->member[0]) z->job->format = z->torchscript ? "torchscript" : "pytorch zip";
}

/* Are all storages that the pickle speaks of there, beside it, with the very sizes it says? */
static bool claims_hold(zscan *z, const torch_claims *c) {
    const char *pickle = NULL;
    zmember **sorted = mem_alloc((z->count + 1) * sizeof *sorted);
    bool hold = sorted && !c->lost && c->pickles == 1;
    for (size_t i = 0; hold && i < z->count; i++) {
        const char *name = z->members[i].name;
        sorted[i] = &z->members[i];
        size_t n = strlen(name);
        if (n >= 8 && strcmp(name + n - 8, "data.pkl") == 0 && (n == 8 || name[n - 9] == '/')) {
            hold = !pickle;
            pickle = name;
        }
    }
    size_t folder = pickle ? strlen(pickle) - 8 : 0;
    hold = hold && pickle && folder < 400;
    if (hold) qsort(sorted, z->count, sizeof *sorted, compare_names);
    for (size_t i = 0; hold && i < c->count; i++) {
        char name[440];
        snprintf(name, sizeof name, "%.*sdata/%s", (int)folder, pickle, c->list[i].key);
        zmember key = { .name = name }, *wanted = &key;
        zmember **found = bsearch(&wanted, sorted, z->count, sizeof *sorted, compare_names);
        hold = found && (*found)->size == c->list[i].bytes;
    }
    mem_free(sorted);
    return hold;
}

bool scan_ends_as_zip(scan_job *job, const scan_part *part, uint64_t *at) {
    uint64_t total = part_bytes(part), most = END_BYTES + 0xffff;
    size_t bytes = (size_t)(total < most ? total : most);
    uint8_t *tail = mem_alloc(bytes + 1);
    bool found = false;
    if (!tail) {
        tola_error err = TOLA_ERROR_INIT;
        scan_stop(job, err_nomem(&err, "scanning"), &err);
        return false;
    }
    if (bytes >= END_BYTES && part_read(job, part, total - bytes, tail, bytes)) {
        for (size_t i = bytes - END_BYTES + 1; i-- > 0 && !found;) {
            uint8_t first[4];
            if (load_le32(tail + i) != SIG_END) continue;
            *at = total - bytes + i;
            uint64_t directory = load_le32(tail + i + 12);
            if (directory == UINT32_MAX || (directory == 0 && load_le16(tail + i + 10) == 0))
                found = i + END_BYTES + load_le16(tail + i + 20) == bytes;
            else
                found = directory <= *at && part_read(job, part, *at - directory, first, 4) &&
                        load_le32(first) == SIG_CENTRAL;
        }
    }
    mem_free(tail);
    return found;
}

void scan_zip(scan_job *job, const scan_part *outer_part) {
    scan_part buffered = *outer_part, *part = &buffered;
    source *ahead = source_open_ahead(part->src); /* headers and small members come one behind another */
    if (ahead) part->src = ahead;
    zscan z = { .job = job, .part = part };
    zend e;
    arena_init(&z.names, 0);
    if (!part->member[0]) job->format = "zip";
    bool outer = job->torchscript;
    if (!find_end(&z, &e)) {
        if (scan_running(job)) scan_headers_only(&z);
    } else {
        use_end64(&z, &e);
        if (read_directory(&z, &e)) {
            check_names(&z);
            job->torchscript = z.torchscript;
            torch_claims claims = { .depth = part->depth + 1 }, *outer_claims = job->torch;
            job->torch = z.torch && !z.torchscript ? &claims : NULL;
            scan_members(&z);
            job->torch = outer_claims;
            job->torchscript = outer;
            /* do the storages hold what the pickle says of them? A view beyond its storage reads other memory */
            if (z.torch && !z.torchscript && job->verdict == TOLA_SAFE && !claims_hold(&z, &claims))
                scan_structure(job, part);
            mem_free(claims.list);
        } else if (scan_running(job)) {
            scan_headers_only(&z);
        }
    }
    mem_free(z.members);
    mem_free(z.block);
    arena_free(&z.names);
    source_close(ahead);
}
