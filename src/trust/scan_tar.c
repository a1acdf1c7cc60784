/* tar archives: every member, and torch's archives of before 0.1.10 (sys_info, pickle, storages, tensors).
 *
 * Each header is followed as it stands: ustar, GNU and pax, whose longer names do not matter here. Specification: POSIX
 * pax; the layout of torch's: torch/serialization.py, _legacy_load, legacy_load. */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"
#include "trust/scan_pickle.h"

#define RECORD 512u

typedef struct tar_member {
    char name[101];
    char type;
    uint64_t data, size;
} tar_member;

/* Octal, or base 256 where the first bit is set. */
static bool tar_number(const uint8_t *p, size_t n, uint64_t *out) {
    uint64_t v = 0;
    if (p[0] & 0x80) {
        for (size_t i = 0; i < n; i++) {
            if (v >> 56) return false;
            v = v << 8 | (i ? p[i] : p[i] & 0x7f);
        }
        *out = v;
        return true;
    }
    size_t i = 0;
    while (i < n && p[i] == ' ') i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
        if (v >> 60) return false;
        v = v * 8 + (uint64_t)(p[i] - '0');
    }
    *out = v;
    return i == n || p[i] == 0 || p[i] == ' ';
}

static bool read_header(scan_job *job, const scan_part *part, uint64_t at, tar_member *m, bool *end) {
    uint8_t h[RECORD];
    *end = false;
    if (part_bytes(part) - at < RECORD || !part_read(job, part, at, h, sizeof h)) return false;
    bool zero = true;
    for (size_t i = 0; i < RECORD && zero; i++) zero = h[i] == 0;
    if (zero) {
        *end = true;
        return true;
    }
    unsigned sum = 0;
    uint64_t said;
    for (size_t i = 0; i < RECORD; i++) sum += i >= 148 && i < 156 ? ' ' : h[i];
    memcpy(m->name, h, 100);
    m->name[100] = 0;
    m->type = (char)h[156];
    m->data = at + RECORD;
    return tar_number(h + 124, 12, &m->size) && tar_number(h + 148, 8, &said) && said == sum &&
           m->size <= part_bytes(part) - m->data;
}

/* ---- torch's members ---- */

static uint64_t element_bytes(const char *storage) {
    static const struct {
        const char *name;
        uint8_t bytes;
    } types[] = { { "Double", 8 }, { "Float", 4 }, { "Half", 2 }, { "Long", 8 },
                  { "Int", 4 },    { "Short", 2 }, { "Char", 1 }, { "Byte", 1 } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t n = strlen(types[i].name);
        if (strncmp(storage, types[i].name, n) == 0 &&
            (strcmp(storage + n, "Storage") == 0 || strcmp(storage + n, "Tensor") == 0))
            return types[i].bytes;
    }
    return 0;
}

static void lost(scan_job *job, const scan_part *part, uint64_t at, const char *what) {
    scan_find(job, part, TOLA_UNKNOWN, "torch", at - part->start, "%s cannot be followed", what);
}

/* A count, and for each a pickle of a description with numbers behind it: storages (a count of elements and the
 * elements) or tensors (a count of dimensions, shape, strides, offset). */
static void scan_described(scan_job *job, const scan_part *part, bool storages) {
    pickle_machine *m = pm_new(job, part, false);
    pm_outcome out;
    const char *what = storages ? "the list of storages" : "the list of tensors";
    if (!m) return;
    pm_run(m, part->start, &out);
    bool known = out.end == PM_STOPPED && out.top.kind == PM_INT && (int64_t)out.top.x >= 0 && !out.malformed;
    uint64_t count = known ? out.top.x : 0, at = out.next, done = 0;
    pm_commit(m);
    if (!known) lost(job, part, part->start, what);
    for (; known && done < count && scan_running(job); done++) {
        pm_run(m, at, &out);
        const pm_value *type = pm_item(m, &out.top, 2);
        const pm_import *g = pm_import_of(m, type);
        uint64_t item = g && type->kind == PM_IMPORT ? element_bytes(g->name) : 0, bytes = 0;
        uint8_t number[8];
        bool stopped = out.end == PM_STOPPED && !out.malformed;
        at = out.next;
        if (stopped && storages) {
            stopped = item && pm_read(m, at, number, 8);
            stopped = stopped && mul_u64(load_le64(number), item, &bytes) && add_u64(bytes, 8, &bytes);
        } else if (stopped) {
            stopped = pm_read(m, at, number, 4);
            uint64_t n = stopped ? load_le32(number) : 0;
            bytes = 4 + n * 16 + 8;
            if (n > 64) stopped = false;
        }
        pm_commit(m);
        known = stopped && bytes <= part->end - at;
        if (!known) {
            lost(job, part, at, what);
            break;
        }
        at += bytes;
    }
    /* views of storages follow as a pickle */
    while (known && at < part->end && scan_running(job)) {
        uint8_t first;
        if (!pm_read(m, at, &first, 1)) break;
        pm_run(m, at, &out);
        bool fine = out.end == PM_STOPPED && !out.malformed;
        pm_commit(m);
        if (!fine) {
            lost(job, part, at, what);
            break;
        }
        at = out.next;
    }
    pm_free(m);
}

/* ---- members ---- */

/* A longer name, or a pax header: it may lead out of the folder, or give the next member another size, so that readers
 * that know it see other members. */
static void check_extension(scan_job *job, const scan_part *part, bool pax) {
    uint8_t *text = part_load(job, part, 1u << 20, "tar");
    const char *t = (const char *)text;
    bool climbs = t && (strstr(t, "../") || strstr(t, "/..") || (pax ? strstr(t, "path=/") != NULL : t[0] == '/'));
    if (climbs)
        scan_find(job, part, TOLA_DANGEROUS, "tar", 0, "a longer name that would be unpacked outside of its folder");
    if (text && pax && (strstr((const char *)text, " size=") || strstr((const char *)text, "GNU.sparse")))
        scan_find(job, part, TOLA_UNKNOWN, "tar", 0, "an extended header that changes a member's size");
    mem_free(text);
}

static void scan_member(scan_job *job, const scan_part *part, const tar_member *m, bool torch) {
    char name[120];
    text_quote(name, sizeof name, m->name, strlen(m->name));
    if (m->name[0] == '/' || strncmp(m->name, "../", 3) == 0 || strstr(m->name, "/../"))
        scan_find(job, part, TOLA_DANGEROUS, "tar", m->data - RECORD,
                  "member '%s' would be unpacked outside of its folder", name);
    if (m->type >= '1' && m->type <= '6' && m->type != '5')
        scan_find(job, part, TOLA_UNKNOWN, "tar", m->data - RECORD, "member '%s' is a link or a device", name);
    if (m->size == 0) return;
    const char *path = scan_member_path(job, part, m->name), *last = strrchr(m->name, '/');
    if (!path) return;
    scan_part inner = { part->src,
                        part->start + m->data,
                        part->start + m->data + m->size,
                        last ? last + 1 : m->name,
                        path,
                        part->depth + 1,
                        false };
    bool pax = m->type == 'x' || m->type == 'g', longer = m->type == 'L' || m->type == 'K';
    if (pax || longer) check_extension(job, &inner, pax);
    if (pax || longer) inner.name = "(longer name).txt";
    if (torch && strcmp(inner.name, "storages") == 0)
        scan_described(job, &inner, true);
    else if (torch && strcmp(inner.name, "tensors") == 0)
        scan_described(job, &inner, false);
    else
        scan_content(job, &inner);
}

/* Are the members those of an old torch archive? */
static bool is_torch(scan_job *job, const scan_part *part) {
    unsigned seen = 0;
    tar_member m;
    bool end;
    for (uint64_t at = 0; seen != 3 && read_header(job, part, at, &m, &end) && !end;
         at = m.data + (m.size + RECORD - 1) / RECORD * RECORD) {
        const char *last = strrchr(m.name, '/');
        last = last ? last + 1 : m.name;
        if (strcmp(last, "storages") == 0) seen |= 1;
        if (strcmp(last, "pickle") == 0) seen |= 2;
        if (m.data + m.size > part_bytes(part)) break;
    }
    return seen == 3;
}

void scan_tar(scan_job *job, const scan_part *part) {
    bool torch = is_torch(job, part), end = false;
    uint64_t at = 0, count = 0;
    if (torch && !part->member[0]) job->format = "pytorch tar";
    while (scan_running(job) && at < part_bytes(part)) {
        tar_member m;
        if (!read_header(job, part, at, &m, &end)) {
            scan_find(job, part, TOLA_UNKNOWN, "tar", at, "a header that cannot be read");
            return;
        }
        if (end) break;
        if (++count > SCAN_MAX_MEMBERS) {
            scan_find(job, part, TOLA_UNKNOWN, "limit", at, "more than %u members", SCAN_MAX_MEMBERS);
            return;
        }
        scan_member(job, part, &m, torch);
        uint64_t blocks = (m.size + RECORD - 1) / RECORD;
        at = m.data + blocks * RECORD;
    }
    /* behind the end: nothing but zeros */
    uint8_t block[4096];
    for (; end && at < part_bytes(part); at += sizeof block) {
        size_t n = part_bytes(part) - at < sizeof block ? (size_t)(part_bytes(part) - at) : sizeof block;
        if (!part_read(job, part, at, block, n)) return;
        for (size_t i = 0; i < n; i++) {
            if (!block[i]) continue;
            scan_find(job, part, TOLA_UNKNOWN, "tar", at + i, "bytes behind the end of the archive");
            const char *member = scan_member_path(job, part, "(behind the end)");
            uint64_t from = (at + i) / RECORD * RECORD; /* another archive may stand here */
            scan_part rest = { part->src, part->start + from, part->end, "", member, part->depth + 1, false };
            if (member) scan_content(job, &rest);
            return;
        }
    }
}
