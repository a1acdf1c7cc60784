/* Files of weights whose structure the readers judge: whatever they refuse is unknown, and bytes that no tensor claims
 * are looked into. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "formats/gguf.h"
#include "formats/npy.h"
#include "formats/open.h"
#include "trust/scan_keras.h"

static void refuse(scan_job *job, const scan_part *part, tola_status status, const tola_error *err) {
    if (status == TOLA_E_NOMEM || status == TOLA_E_IO) {
        scan_stop(job, status, err);
        return;
    }
    const char *message = strncmp(err->message, "file: ", 6) == 0 ? err->message + 6 : err->message;
    scan_find(job, part, TOLA_UNKNOWN, "structure", err->offset, "the reader refuses it: %s", message);
    /* what it stumbled over may be something else */
    if (err->offset >= part_bytes(part)) return;
    const char *member = scan_member_path(job, part, "(what the reader refuses)");
    scan_part rest = { part->src, part->start + err->offset, part->end, "", member, part->depth + 1, true };
    if (member && err->offset) scan_content(job, &rest);
}

/* Reads the part as a checkpoint; NULL with a finding where its reader refuses. */
static tola_checkpoint *open_part(scan_job *job, const scan_part *part) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck = NULL;
    source *src = NULL;
    tola_status status = source_open_range(part->src, part->start, part->end, &src, &err);
    if (status == TOLA_OK) status = ck_create(NULL, &ck, &err);
    if (status != TOLA_OK) {
        source_close(src);
        scan_stop(job, status, &err);
        return NULL;
    }
    status = ck_read_source(ck, "file", src, &err); /* owns src */
    if (status == TOLA_OK) status = ck_finish(ck, &err);
    if (status == TOLA_OK) return ck;
    tola_checkpoint_close(ck);
    refuse(job, part, status, &err);
    return NULL;
}

void scan_structure(scan_job *job, const scan_part *part) {
    if (part->src->remote) return;
    tola_checkpoint *ck = open_part(job, part);
    for (size_t i = 0; ck && i < ck->warning_count; i++)
        if (strstr(ck->warnings[i], "bytes after") || strstr(ck->warnings[i], "does not mention"))
            scan_find(job, part, TOLA_UNKNOWN, "structure", TOLA_NO_OFFSET, "%s", ck->warnings[i]);
    tola_checkpoint_close(ck);
}

typedef struct extent {
    uint64_t at, end;
} extent;

static int compare_extents(const void *a, const void *b) {
    const extent *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void look_into(scan_job *job, const scan_part *part, uint64_t from, uint64_t to) {
    uint8_t block[4096];
    bool zeros = true;
    for (uint64_t at = from; zeros && at < to;) {
        size_t n = to - at < sizeof block ? (size_t)(to - at) : sizeof block;
        if (!part_read(job, part, at, block, n)) return;
        for (size_t i = 0; i < n && zeros; i++) zeros = block[i] == 0;
        at += n;
    }
    if (zeros) return;
    scan_find(job, part, TOLA_UNKNOWN, "extent", from, "%" PRIu64 " bytes that no tensor claims", to - from);
    const char *member = scan_member_path(job, part, "(outside of tensors)");
    if (!member) return;
    scan_part inner = { part->src, part->start + from, part->start + to, "", member, part->depth + 1, true };
    scan_content(job, &inner);
}

/* Bytes of [from, end of the part) that are in no extent. */
static void check_extents(scan_job *job, const scan_part *part, extent *extents, size_t count, uint64_t from) {
    uint64_t at = from;
    qsort(extents, count, sizeof *extents, compare_extents);
    for (size_t i = 0; i < count && scan_running(job); i++) {
        if (extents[i].at > at) look_into(job, part, at, extents[i].at);
        if (extents[i].end > at) at = extents[i].end;
    }
    if (at < part_bytes(part)) look_into(job, part, at, part_bytes(part));
}

/* A tensor's bytes that end in a whole zip archive: a file that is two things. */
static void check_tail(scan_job *job, const scan_part *part) {
    uint64_t at;
    if (!scan_ends_as_zip(job, part, &at)) return;
    scan_find(job, part, TOLA_UNKNOWN, "polyglot", at, "ends as a zip archive does");
    scan_zip(job, part);
}

static uint64_t little_u64(const uint8_t *p) {
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

void scan_safetensors(scan_job *job, const scan_part *part) {
    uint8_t length[8];
    tola_checkpoint *ck = open_part(job, part);
    extent *extents = ck ? mem_alloc((ck->tensor_count + 1) * sizeof *extents) : NULL;
    for (size_t i = 0; extents && i < ck->tensor_count; i++) {
        const tola_tensor_info *t = &ck->tensors[i].info;
        extents[i] = (extent){ t->offset, t->offset + t->bytes };
    }
    if (extents && part_read(job, part, 0, length, 8))
        check_extents(job, part, extents, ck->tensor_count, 8 + little_u64(length));
    mem_free(extents);
    if (ck && ck->metadata.kind == TOLA_VALUE_MAP) scan_json_tree(job, part, &ck->metadata);
    tola_checkpoint_close(ck);
    check_tail(job, part);
}

static void check_gguf_texts(scan_job *job, const scan_part *part, const gguf_part *g) {
    for (size_t i = 0; i < g->value_count; i++) {
        const tola_member *m = &g->values[i];
        if (!strstr(m->key.data, "chat_template") && !strstr(m->key.data, "chat.template")) continue;
        size_t texts = m->value.kind == TOLA_VALUE_ARRAY ? m->value.as.array.count : 1;
        for (size_t k = 0; k < texts && scan_running(job); k++) {
            tola_value v = m->value.kind == TOLA_VALUE_ARRAY ? tola_value_at(&m->value, k) : m->value;
            if (v.kind == TOLA_VALUE_STRING)
                scan_template_text(job, part, m->key.data, v.as.string.data, v.as.string.length);
        }
    }
}

/* Only this file's header: the other parts of a split model are files of their own. */
void scan_gguf(scan_job *job, const scan_part *part) {
    arena keep, scratch;
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck = NULL;
    source *src = NULL;
    gguf_part g = { 0 };
    arena_init(&keep, 0);
    arena_init(&scratch, 0);
    tola_status status = source_open_range(part->src, part->start, part->end, &src, &err);
    if (status == TOLA_OK) status = ck_create(NULL, &ck, &err);
    if (status == TOLA_OK) status = gguf_read_header(ck, src, &keep, &scratch, &g, &err);
    if (status == TOLA_OK) {
        check_gguf_texts(job, part, &g);
        extent *extents = mem_alloc((g.tensor_count + 1) * sizeof *extents);
        for (size_t i = 0; extents && i < g.tensor_count; i++)
            extents[i] = (extent){ g.tensors[i].at, g.tensors[i].at + g.tensors[i].bytes };
        if (extents) check_extents(job, part, extents, g.tensor_count, g.tensor_count ? g.data : g.header_end);
        mem_free(extents);
    } else {
        refuse(job, part, status, &err);
    }
    tola_checkpoint_close(ck);
    source_close(src);
    arena_free(&keep);
    arena_free(&scratch);
    check_tail(job, part);
}

/* ---- npy ---- */

void scan_npy(scan_job *job, const scan_part *part) {
    uint8_t prefix[NPY_PREFIX];
    tola_error err = TOLA_ERROR_INIT;
    size_t n = part_bytes(part) < sizeof prefix ? (size_t)part_bytes(part) : sizeof prefix;
    uint64_t header_bytes = 0, bytes = 0;
    npy_header h;
    if (!part_read(job, part, 0, prefix, n)) return;
    tola_status status = npy_header_bytes(prefix, n, &header_bytes, &err);
    uint8_t *header = NULL;
    if (status == TOLA_OK && header_bytes > part_bytes(part))
        status = err_set(&err, TOLA_E_FORMAT, 0, "a header of %" PRIu64 " bytes in a file of %" PRIu64, header_bytes,
                         part_bytes(part));
    if (status == TOLA_OK) {
        scan_part head = *part;
        head.end = part->start + header_bytes;
        header = part_load(job, &head, NPY_MAX_HEADER + 64, "npy");
        if (!header) return;
        status = npy_parse_header(header, header_bytes, &h, &err);
    }
    mem_free(header);
    if (status == TOLA_OK) status = npy_data_bytes(&h, &bytes, &err);
    if (status == TOLA_OK && bytes != part_bytes(part) - header_bytes)
        status =
            err_set(&err, TOLA_E_FORMAT, header_bytes, "the array has %" PRIu64 " bytes, %" PRIu64 " follow its header",
                    bytes, part_bytes(part) - header_bytes);
    if (status == TOLA_E_NOMEM) {
        scan_stop(job, status, &err);
        return;
    }
    if (status == TOLA_OK) return;
    bool objects = status == TOLA_E_UNSAFE;
    if (!objects) scan_find(job, part, TOLA_UNKNOWN, "npy", err.offset, "%s", err.message);
    /* whatever the header says, numpy unpickles what follows when it finds objects in the type */
    if (header_bytes == 0 || header_bytes >= part_bytes(part)) return;
    scan_part inner = *part;
    inner.start += header_bytes;
    if (objects) {
        scan_pickles(job, &inner);
    } else {
        scan_try_pickle(job, &inner);
    }
}
