/* Keras' HDF5 files: the JSON documents inside, wherever they stand.
 *
 * HDF5 itself holds no code, but links and datasets may lead to other files: such messages are looked for, too. A
 * model's configuration is JSON text in attributes (model_config, training_config), which HDF5 keeps in one piece, so
 * documents are looked for in the file's bytes rather than through its trees: that finds them in every version of the
 * format and in damaged files, too. Whatever says class_name and stands in no document that could be read is told.
 * Specification: HDF5 File Format Specification 3.0. */
#define _GNU_SOURCE 1
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "trust/scan_keras.h"

#define WINDOW ((size_t)128 << 20)
#define OVERLAP ((size_t)16 << 20) /* the longest document; configurations of large models have 2 MB */
#define TRIES_PER_BYTE 16u         /* bytes of documents that may be tried for each byte of the file */

typedef struct document_search {
    scan_job *job;
    const scan_part *part;
    const uint8_t *data;
    size_t bytes;
    uint64_t at; /* of data in the part */
    uint64_t tried, allowed;
    uint64_t base;         /* addresses count from here */
    unsigned offset_bytes; /* of an address; 0 where the superblock does not tell */
} document_search;

/* Does '{' stand before a key, as every object of JSON does? */
static bool may_begin(const document_search *d, size_t i) {
    size_t k = i + 1;
    while (k < d->bytes && (d->data[k] == ' ' || d->data[k] == '\n' || d->data[k] == '\r' || d->data[k] == '\t')) k++;
    return k < d->bytes && d->data[k] == '"' && k + 1 < d->bytes && d->data[k + 1] >= 0x20 && d->data[k + 1] < 0x7f;
}

/* Reads the document at i; the bytes it takes, 0 where it is none. */
static size_t read_document(document_search *d, size_t i) {
    json_reader r;
    arena a;
    tola_value v;
    tola_error err = TOLA_ERROR_INIT;
    arena_init(&a, (size_t)1 << 30);
    json_reader_init(&r, (const char *)d->data + i, d->bytes - i, 0);
    r.nonfinite = true;
    tola_status status = json_parse_next(&r, &a, &v, &err);
    size_t taken = r.pos;
    d->tried += taken;
    if (status == TOLA_OK) scan_json_tree(d->job, d->part, &v);
    if (status == TOLA_E_NOMEM) scan_stop(d->job, status, &err);
    json_reader_free(&r);
    arena_free(&a);
    return status == TOLA_OK ? taken : 0;
}

#define LONG_TEXT 40u /* bytes that numbers do not look like a document for */

/* What cannot be read and is text for so long that no numbers look like it. */
static bool is_long_text(const document_search *d, size_t i) {
    const uint8_t *p = d->data + i;
    size_t n = LONG_TEXT;
    if (d->bytes - i < n) return false;
    for (size_t k = 0; k < n; k++)
        if (p[k] == 0x7f || (p[k] < 0x20 && p[k] != '\t' && p[k] != '\n' && p[k] != '\r')) return false;
    for (unsigned cut = 0; cut <= 3; cut++)
        if (utf8_valid((const char *)p, n - cut)) return true;
    return false;
}

static bool mentions_class(const uint8_t *p, size_t n) { return memmem(p, n, "class_name", 10) != NULL; }

/* Documents that begin in the first `until` bytes. */
static void search(document_search *d, size_t until) {
    size_t i = 0, checked = 0;
    while (i < until && scan_running(d->job)) {
        const uint8_t *open = memchr(d->data + i, '{', until - i);
        size_t at = open ? (size_t)(open - d->data) : until, taken = 0;
        if (open && may_begin(d, at)) {
            if (d->tried > d->allowed) {
                scan_find(d->job, d->part, TOLA_UNKNOWN, "limit", d->at + at, "too many pieces of JSON to be read");
                return;
            }
            taken = read_document(d, at);
            if (!taken && is_long_text(d, at))
                scan_find(d->job, d->part, TOLA_UNKNOWN, "hdf5", d->at + at, "a JSON document that cannot be read");
        }
        if (taken) { /* what stands before it belongs to none */
            if (mentions_class(d->data + checked, at - checked))
                scan_find(d->job, d->part, TOLA_UNKNOWN, "keras", d->at + checked,
                          "a configuration that cannot be read");
            checked = at + taken;
        }
        i = at + (taken ? taken : 1);
    }
    if (checked < until && mentions_class(d->data + checked, until - checked))
        scan_find(d->job, d->part, TOLA_UNKNOWN, "keras", d->at + checked, "a configuration that cannot be read");
}

/* ---- other files ---- */

static uint64_t little(const uint8_t *p, unsigned n) {
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* A text that ends in a NUL; its length with the NUL, 0 where it is none. */
static size_t text_bytes(const uint8_t *p, size_t n) {
    const uint8_t *end = memchr(p, 0, n);
    return end && end > p ? (size_t)(end - p) + 1 : 0;
}

/* A link message of type 64 whose type byte stands at `at` (IV.A.2.g): version 1, flags, type, [order], [character
 * set], name, and behind it a file's name and a path in that file. */
static void check_external_link(const document_search *d, size_t at) {
    const uint8_t *p = d->data;
    if (at < 2 || p[at - 2] != 1 || !(p[at - 1] & 8) || p[at - 1] & 0xe0) return;
    unsigned flags = p[at - 1], width = 1u << (flags & 3);
    size_t k = at + 1 + (flags & 4 ? 8 : 0) + (flags & 16 ? 1 : 0);
    if (k + width > d->bytes) return;
    uint64_t name = little(p + k, width);
    k += width;
    if (name == 0 || name > UINT16_MAX || d->bytes - k < name + 3) return; /* no message is longer */
    k += (size_t)name;
    size_t info = (size_t)little(p + k, 2);
    k += 2;
    if (info < 5 || info > d->bytes - k || p[k] != 0) return;
    size_t file = text_bytes(p + k + 1, info - 1), path = file ? text_bytes(p + k + 1 + file, info - 1 - file) : 0;
    char quoted[200];
    if (!path || 1 + file + path != info) return;
    scan_find(d->job, d->part, TOLA_DANGEROUS, "hdf5", d->at + at, "a link into another file: '%s'",
              text_quote(quoted, sizeof quoted, (const char *)p + k + 1, file - 1));
}

/* Does the address at `at` in the data lead to a block of this signature? */
static bool leads_to(const document_search *d, size_t at, const char *signature) {
    uint8_t there[4];
    uint64_t total = part_bytes(d->part);
    if (d->offset_bytes == 0 || d->bytes - at < d->offset_bytes) return false;
    for (unsigned i = 8; i < d->offset_bytes; i++)
        if (d->data[at + i]) return false;
    uint64_t address = little(d->data + at, d->offset_bytes < 8 ? d->offset_bytes : 8);
    if (address > total || d->base + address < address || total < 4 || d->base + address > total - 4) return false;
    return part_read(d->job, d->part, d->base + address, there, 4) && memcmp(there, signature, 4) == 0;
}

/* A message of external data files (IV.A.2.h): version 1, three zeros, slots allocated and used, and the address of the
 * heap of their names. */
static void check_external_data(const document_search *d, size_t at) {
    const uint8_t *p = d->data + at;
    if (d->bytes - at < 8 || p[0] != 1 || p[1] || p[2] || p[3]) return;
    uint64_t allocated = little(p + 4, 2), used = little(p + 6, 2);
    if (used == 0 || used > allocated || !leads_to(d, at + 8, "HEAP")) return;
    scan_find(d->job, d->part, TOLA_DANGEROUS, "hdf5", d->at + at, "a dataset whose values lie in other files");
}

/* A message of a dataset's layout (IV.A.2.i): version 4 or 5, class 3, and the address of the heap with the datasets,
 * in other files perhaps, that it is put together of. */
static void check_virtual_data(const document_search *d, size_t at) {
    if (at == 0 || (d->data[at - 1] != 4 && d->data[at - 1] != 5) || !leads_to(d, at + 1, "GCOL")) return;
    scan_find(d->job, d->part, TOLA_DANGEROUS, "hdf5", d->at + at - 1,
              "a dataset whose values lie in other datasets, which may be those of other files");
}

/* A heap of names or attributes whose blocks are packed (III.G: "FRHP", version 0, bytes of an id, of the filters):
 * documents in it are not seen. */
static void check_heap(const document_search *d, size_t at) {
    const uint8_t *p = d->data + at;
    if (d->bytes - at < 9 || p[4] != 0 || little(p + 7, 2) == 0) return;
    scan_find(d->job, d->part, TOLA_UNKNOWN, "hdf5", d->at + at, "a heap whose blocks are packed");
}

static void search_messages(const document_search *d, size_t until) {
    static const uint8_t external_data[4] = { 1, 0, 0, 0 };
    const uint8_t *end = d->data + until, *p;
    for (p = d->data; (p = memchr(p, 64, (size_t)(end - p))) && scan_running(d->job); p++)
        check_external_link(d, (size_t)(p - d->data));
    for (p = d->data; (p = memmem(p, (size_t)(end - p), external_data, 4)) && scan_running(d->job); p++)
        check_external_data(d, (size_t)(p - d->data));
    for (p = d->data; (p = memchr(p, 3, (size_t)(end - p))) && scan_running(d->job); p++)
        check_virtual_data(d, (size_t)(p - d->data));
    for (p = d->data; (p = memmem(p, (size_t)(end - p), "FRHP", 4)) && scan_running(d->job); p++)
        check_heap(d, (size_t)(p - d->data));
}

/* The superblock (II): at 0 or behind a user block. Addresses count from its own base address, which is where it stands
 * unless somebody moved it; both are tried by their readers, so they have to agree. False where it cannot be read. */
static bool read_superblock(scan_job *job, const scan_part *part, uint64_t *base, unsigned *offset_bytes) {
    uint8_t p[64];
    for (uint64_t at = 0; at <= 2048; at = at ? at * 2 : 512) {
        if (part_bytes(part) < at + sizeof p) return false;
        if (!part_read(job, part, at, p, sizeof p) || memcmp(p, "\x89HDF\r\n\x1a\n", 8) != 0) continue;
        unsigned width = p[8] < 2 ? p[13] : p[9], lengths = p[8] < 2 ? p[14] : p[10];
        size_t said = p[8] == 0 ? 24 : p[8] == 1 ? 28 : 12;
        if (p[8] > 3 || (width != 2 && width != 4 && width != 8 && width != 16 && width != 32) || lengths > 32)
            return false;
        *base = at;
        *offset_bytes = width;
        return little(p + said, width < 8 ? width : 8) == at;
    }
    return false;
}

void scan_hdf5(scan_job *job, const scan_part *part) {
    uint64_t base = 0;
    unsigned offset_bytes = 0;
    if (!read_superblock(job, part, &base, &offset_bytes) && scan_running(job))
        scan_find(job, part, TOLA_UNKNOWN, "hdf5", base, "a superblock that cannot be followed");
    for (uint64_t at = 0; at < part_bytes(part) && scan_running(job); at += WINDOW - OVERLAP) {
        scan_part piece = *part;
        bool last = part_bytes(part) - at <= WINDOW;
        piece.start = part->start + at;
        if (!last) piece.end = piece.start + WINDOW;
        uint8_t *data = part_load(job, &piece, WINDOW, "hdf5");
        if (!data) return;
        size_t bytes = (size_t)part_bytes(&piece);
        document_search d = { .job = job,
                              .part = part,
                              .data = data,
                              .bytes = bytes,
                              .at = at,
                              .base = base,
                              .offset_bytes = offset_bytes,
                              .allowed = TRIES_PER_BYTE * (uint64_t)bytes };
        search(&d, last ? bytes : WINDOW - OVERLAP);
        search_messages(&d, last ? bytes : WINDOW - OVERLAP);
        mem_free(data);
        if (last) return;
    }
}
