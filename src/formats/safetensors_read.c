/* Reading safetensors: u64le header length, a JSON header, one run of bytes that the tensors fill without holes.
 * https://github.com/huggingface/safetensors (README, "Format"). Refuses what the reference implementation refuses:
 * duplicate keys, holes, overlaps, bytes behind the last tensor. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/safetensors.h"
#include "tensor/dtype.h"

static uint64_t u64le(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static int st_probe(const uint8_t *head, size_t bytes, const char *name, uint64_t size) {
    if (bytes >= 9 && head[8] == '{' && u64le(head) <= SAFETENSORS_MAX_HEADER) return u64le(head) <= size - 8 ? 95 : 60;
    return text_ends_with(name, ".safetensors") ? 20 : 0;
}

typedef struct st_header {
    tola_checkpoint *ck;
    uint32_t file;
    uint64_t data_at; /* where the payload starts in the file */
    uint64_t payload; /* bytes from there to the end of the file */
    uint64_t misaligned;
    const char *misaligned_name;
    const char *cut_name; /* the first tensor that the file is too short for, NULL = none */
    uint64_t cut_at;      /* where the header describes it */
    uint64_t cut_end;     /* where the last byte of any tensor should end, in the payload */
} st_header;

typedef struct st_entry {
    tola_dtype dtype;
    uint64_t shape[TOLA_MAX_DIMS];
    unsigned n_dims;
    uint64_t begin, end;
    bool has_dtype, has_shape, has_offsets;
} st_entry;

/* The numbers of an array whose bracket has been read; false after a failure. */
static bool st_numbers(json_reader *r, uint64_t *numbers, unsigned most, unsigned *count, const char *what) {
    *count = 0;
    for (;;) {
        json_token token = json_next(r);
        if (token == JSON_END_ARRAY) return true;
        if (token == JSON_ERROR) return false;
        if (token != JSON_NUMBER || r->number.kind != TOLA_VALUE_UINT)
            return json_fail(r, "%s holds something that is no non-negative integer", what), false;
        if (*count == most) return json_fail(r, "%s has more than %u entries", what, most), false;
        numbers[(*count)++] = r->number.as.u64;
    }
}

static bool st_dtype(json_reader *r, st_entry *e) {
    if (json_next(r) != JSON_STRING) return json_fail(r, "dtype is no string"), false;
    e->dtype = dtype_from_safetensors(r->text, r->text_length);
    if (e->dtype == TOLA_DTYPE_NONE) {
        char quoted[64];
        json_fail(r, "unknown dtype '%s'", text_quote(quoted, sizeof quoted, r->text, r->text_length));
        return false;
    }
    return true;
}

static bool st_member(json_reader *r, st_entry *e) {
    unsigned count;
    if (json_text_is(r, "dtype")) {
        if (e->has_dtype) return json_fail(r, "dtype appears twice"), false;
        e->has_dtype = true;
        return st_dtype(r, e);
    }
    if (json_text_is(r, "shape")) {
        if (e->has_shape) return json_fail(r, "shape appears twice"), false;
        e->has_shape = true;
        if (json_next(r) != JSON_BEGIN_ARRAY) return json_fail(r, "shape is no array"), false;
        return st_numbers(r, e->shape, TOLA_MAX_DIMS, &e->n_dims, "shape");
    }
    if (json_text_is(r, "data_offsets")) {
        uint64_t offsets[2];
        if (e->has_offsets) return json_fail(r, "data_offsets appears twice"), false;
        e->has_offsets = true;
        if (json_next(r) != JSON_BEGIN_ARRAY) return json_fail(r, "data_offsets is no array"), false;
        if (!st_numbers(r, offsets, 2, &count, "data_offsets")) return false;
        if (count != 2) return json_fail(r, "data_offsets has %u entries instead of 2", count), false;
        e->begin = offsets[0];
        e->end = offsets[1];
        return true;
    }
    char quoted[64];
    json_fail(r, "unknown field '%s'", text_quote(quoted, sizeof quoted, r->text, r->text_length));
    return false;
}

/* Sizes and places of one entry; the message still lacks the tensor's name. */
static tola_status st_check_entry(const st_entry *e, uint64_t at, tola_error *err) {
    uint64_t elements = 1, bits_bytes, size;
    bool overflow = false, empty = false;
    for (unsigned i = 0; i < e->n_dims; i++) {
        if (e->shape[i] == 0) empty = true;
        else if (!mul_u64(elements, e->shape[i], &elements)) overflow = true;
    }
    if (overflow && !empty) return err_set(err, TOLA_E_FORMAT, at, "the product of its shape overflows");
    if (empty) elements = 0;
    if (tola_dtype_size(e->dtype, elements, &bits_bytes) != TOLA_OK)
        return err_set(err, TOLA_E_FORMAT, at, "%" PRIu64 " elements of %s %s", elements, tola_dtype_name(e->dtype),
                       elements % tola_dtype_block_elements(e->dtype) ? "do not fill whole bytes" : "overflow 2^63 bytes");
    if (e->begin > e->end)
        return err_set(err, TOLA_E_FORMAT, at, "data_offsets run backwards, from %" PRIu64 " to %" PRIu64, e->begin,
                       e->end);
    size = e->end - e->begin;
    if (size != bits_bytes)
        return err_set(err, TOLA_E_FORMAT, at,
                       "data_offsets span %" PRIu64 " bytes, but its shape and dtype %s need %" PRIu64, size,
                       tola_dtype_name(e->dtype), bits_bytes);
    return TOLA_OK;
}

/* Remembers that a tensor ends behind the end of the file: how much is missing is known when all have been seen. */
static tola_status st_note_cut(st_header *h, const char *name, size_t length, uint64_t at, uint64_t end,
                               tola_error *err) {
    if (end > h->cut_end) h->cut_end = end;
    if (h->cut_name) return TOLA_OK;
    h->cut_name = arena_strndup(&h->ck->arena, name, length);
    h->cut_at = at;
    return h->cut_name ? TOLA_OK : err_nomem(err, "reading the header");
}

static tola_status st_tensor(st_header *h, json_reader *r, const char *name, size_t name_length, uint64_t at,
                             tola_error *err) {
    st_entry e = { 0 };
    if (json_next(r) != JSON_BEGIN_OBJECT) {
        json_fail(r, "its description is no object");
    } else {
        json_token token;
        while ((token = json_next(r)) == JSON_KEY && st_member(r, &e)) continue;
    }
    TRY(json_check(r, err));
    if (!e.has_dtype || !e.has_shape || !e.has_offsets)
        return err_set(err, TOLA_E_FORMAT, at, "its description lacks %s",
                       !e.has_dtype ? "dtype" : !e.has_shape ? "shape" : "data_offsets");
    TRY(st_check_entry(&e, at, err));
    if (e.end > h->payload) return st_note_cut(h, name, name_length, at, e.end, err);
    uint64_t place = h->data_at + e.begin;
    const dtype_row *row = dtype_get(e.dtype);
    unsigned alignment = row->kind == TOLA_KIND_COMPLEX ? row->block_bytes / 2u : row->block_bytes;
    if (row->block_elements == 1 && place % alignment != 0) h->misaligned++;
    tola_status status = ck_add_tensor(h->ck, &(ck_add){ .name = name, .name_length = name_length, .shape = e.shape,
                                                         .n_dims = e.n_dims, .dtype = e.dtype, .file = h->file,
                                                         .offset = place }, err);
    if (h->misaligned == 1 && !h->misaligned_name && status == TOLA_OK)
        h->misaligned_name = h->ck->tensors[h->ck->tensor_count - 1].info.name;
    return status;
}

static tola_status st_metadata(st_header *h, json_reader *r, tola_error *err) {
    tola_value map;
    uint64_t at = r->base + r->token_at;
    TRY(json_parse_next(r, &h->ck->arena, &map, err));
    if (map.kind != TOLA_VALUE_MAP) return err_set(err, TOLA_E_FORMAT, at, "__metadata__ is no object");
    for (size_t i = 0; i < map.as.map.count; i++)
        if (map.as.map.members[i].value.kind != TOLA_VALUE_STRING)
            return err_set(err, TOLA_E_FORMAT, at, "__metadata__ holds something that is no string");
    h->ck->metadata = map;
    return TOLA_OK;
}

/* The entry whose key is the current token. */
static tola_status st_named_tensor(st_header *h, json_reader *r, uint64_t at, tola_error *err) {
    const char *name = r->text;
    size_t length = r->text_length;
    bool in_place = name >= r->data && name + length <= r->data + r->length;
    /* an unescaped key lies in scratch space that the next token overwrites */
    if (!in_place && !(name = arena_strndup(&h->ck->arena, name, length))) return err_nomem(err, "reading the header");
    tola_status status = st_tensor(h, r, name, length, at, err);
    /* ck_add_tensor has named the tensor already */
    if (status == TOLA_OK || (err && strncmp(err->message, "tensor '", 8) == 0)) return status;
    char shown[160];
    size_t n = length < sizeof shown - 1 ? length : sizeof shown - 1;
    memcpy(shown, name, n);
    shown[n] = 0;
    return err_in_tensor(err, status, shown);
}

static tola_status st_entries(st_header *h, json_reader *r, tola_error *err) {
    bool metadata_seen = false;
    if (json_next(r) != JSON_BEGIN_OBJECT) {
        json_fail(r, "the header is no JSON object");
        return json_check(r, err);
    }
    while (json_next(r) == JSON_KEY) {
        uint64_t at = r->base + r->token_at;
        if (json_text_is(r, "__metadata__")) {
            if (metadata_seen) return err_set(err, TOLA_E_FORMAT, at, "__metadata__ appears twice");
            metadata_seen = true;
            TRY(st_metadata(h, r, err));
            continue;
        }
        tola_status status = st_named_tensor(h, r, at, err);
        if (status != TOLA_OK) return status;
    }
    TRY(json_check(r, err));
    if (json_next(r) != JSON_END) json_fail(r, "text after the end of the header");
    return json_check(r, err);
}

static int by_offset(const void *a, const void *b) {
    const tola_tensor_info *x = &((const ck_tensor *)a)->info, *y = &((const ck_tensor *)b)->info;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1; /* empty ones first */
    return strcmp(x->name, y->name);
}

/* Sorted by place, the tensors must touch each other from the first byte of the payload to the last. */
static tola_status st_check_cover(const st_header *h, size_t first, tola_error *err) {
    tola_checkpoint *ck = h->ck;
    if (ck->tensor_count > first) /* without tensors there is no array to sort */
        qsort(ck->tensors + first, ck->tensor_count - first, sizeof *ck->tensors, by_offset);
    uint64_t at = h->data_at;
    for (size_t i = first; i < ck->tensor_count; i++) {
        const tola_tensor_info *t = &ck->tensors[i].info;
        if (t->offset != at) {
            bool hole = t->offset > at;
            if (hole)
                err_set(err, TOLA_E_FORMAT, at, "%" PRIu64 " bytes before it belong to no tensor", t->offset - at);
            else
                err_set(err, TOLA_E_FORMAT, t->offset, "its bytes overlap those of tensor '%s' by %" PRIu64,
                        i > first ? ck->tensors[i - 1].info.name : "?", at - t->offset);
            return err_in_tensor(err, TOLA_E_FORMAT, t->name);
        }
        at += t->bytes;
    }
    uint64_t end = h->data_at + h->payload;
    if (at != end)
        return err_set(err, TOLA_E_FORMAT, at, "%" PRIu64 " bytes behind the last tensor belong to none", end - at);
    return TOLA_OK;
}

static tola_status st_read_header(st_header *h, const char *text, size_t length, tola_error *err) {
    size_t first = h->ck->tensor_count;
    if (length == 0 || text[0] != '{')
        return err_set(err, TOLA_E_FORMAT, 8, "the header does not start with '{': this is no safetensors file");
    json_reader r;
    json_reader_init(&r, text, length, 8);
    tola_status status = st_entries(h, &r, err);
    json_reader_free(&r);
    if (status == TOLA_OK && h->cut_name) {
        err_set(err, TOLA_E_FORMAT, h->cut_at,
                "the file is truncated: %" PRIu64 " bytes of data are there, %" PRIu64 " are missing", h->payload,
                h->cut_end - h->payload);
        status = err_in_tensor(err, TOLA_E_FORMAT, h->cut_name);
    }
    if (status == TOLA_OK) status = st_check_cover(h, first, err);
    if (status == TOLA_OK && h->misaligned)
        ck_warn(h->ck, "%" PRIu64 " tensors are not aligned to their element size ('%s' first)", h->misaligned,
                h->misaligned_name);
    return status;
}

static tola_status st_read(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    source *src = ck->files[file].src;
    uint8_t length_bytes[8];
    if (src->size < 8)
        return err_set(err, TOLA_E_FORMAT, 0,
                       "truncated: a safetensors file starts with 8 bytes of header length, this one has %" PRIu64
                       " bytes in all",
                       src->size);
    TRY(source_read(src, 0, length_bytes, 8, err));
    uint64_t length = u64le(length_bytes);
    if (length > SAFETENSORS_MAX_HEADER)
        return err_set(err, TOLA_E_LIMIT, 0,
                       "header length %" PRIu64 " is above the limit of %u: this is no safetensors file, or a broken one",
                       length, SAFETENSORS_MAX_HEADER);
    if (length > src->size - 8)
        return err_set(err, TOLA_E_FORMAT, 0,
                       "truncated: the header has %" PRIu64 " bytes but only %" PRIu64 " follow (%" PRIu64 " missing)",
                       length, src->size - 8, length - (src->size - 8));
    char *text = mem_alloc((size_t)length + 1);
    if (!text) return err_nomem(err, "reading the header");
    tola_status status = source_read(src, 8, text, (size_t)length, err);
    if (status == TOLA_OK) {
        st_header h = { .ck = ck, .file = file, .data_at = 8 + length, .payload = src->size - 8 - length };
        status = st_read_header(&h, text, (size_t)length, err);
    }
    mem_free(text);
    return status;
}

const format format_safetensors = { "safetensors", st_probe, st_read };
