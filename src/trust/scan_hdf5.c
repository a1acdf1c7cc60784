/* Keras' HDF5 files: the JSON documents inside, wherever they stand.
 *
 * HDF5 itself holds no code. A model's configuration is JSON text in attributes (model_config, training_config), which
 * HDF5 keeps in one piece, so documents are looked for in the file's bytes rather than through its trees: that finds
 * them in every version of the format and in damaged files, too. Whatever says class_name and stands in no document
 * that could be read is told. Specification: HDF5 File Format Specification 3.0. */
#define _GNU_SOURCE 1
#include <string.h>

#include "base/err.h"
#include "base/json.h"
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
} document_search;

/* Does '{' stand before a key, as every object of JSON does? */
static bool may_begin(const document_search *d, size_t i) {
    size_t k = i + 1;
    while (k < d->bytes && k < i + 16 &&
           (d->data[k] == ' ' || d->data[k] == '\n' || d->data[k] == '\r' || d->data[k] == '\t'))
        k++;
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

void scan_hdf5(scan_job *job, const scan_part *part) {
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
                              .allowed = TRIES_PER_BYTE * (uint64_t)bytes };
        search(&d, last ? bytes : WINDOW - OVERLAP);
        mem_free(data);
        if (last) return;
    }
}
