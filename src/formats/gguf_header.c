/* Parses the header of one GGUF file: preamble, metadata, tensor descriptions, and where every tensor's bytes lie.
 *
 * Payloads are not read. Nothing is taken on trust: counts against the bytes left, shapes against overflow and whole
 * blocks, extents against alignment, the end of the file and each other.
 * Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "formats/gguf.h"
#include "tensor/dtype.h"

/* ---- preamble ---- */

static void read_version(reader *r, gguf_part *out) {
    uint8_t magic[4];
    if (!gguf_need(r, 0, 24, "the header")) return;
    reader_bytes(r, magic, sizeof magic);
    if (reader_ok(r) && memcmp(magic, "GGUF", 4) != 0)
        reader_fail(r, TOLA_E_FORMAT, 0, "starts with %02x %02x %02x %02x, not with 'GGUF'", magic[0], magic[1],
                    magic[2], magic[3]);
    uint32_t version = reader_u32(r);
    /* No flag says which byte order a file is in. Versions are small, so the half that is zero tells. */
    if (version != 0 && (version & 0xffff) == 0) {
        r->swap = out->swap = true;
        version = __builtin_bswap32(version);
    }
    out->version = version;
    if (reader_ok(r) && version == 1)
        reader_fail(r, TOLA_E_UNSUPPORTED, 4,
                    "unsupported version 1 of GGUF (32-bit counts, used in August 2023 only)");
    else if (reader_ok(r) && version != 2 && version != 3)
        reader_fail(r, TOLA_E_UNSUPPORTED, 4, "unsupported version %" PRIu32 " of GGUF; 2 and 3 are read", version);
}

static void read_alignment(reader *r, gguf_part *out) {
    out->alignment = GGUF_DEFAULT_ALIGNMENT;
    for (size_t i = 0; reader_ok(r) && i < out->value_count; i++) {
        if (strcmp(out->values[i].key.data, "general.alignment") != 0) continue;
        const tola_value *v = &out->values[i].value;
        uint64_t n = v->as.u64;
        if (v->kind != TOLA_VALUE_UINT || v->dtype != TOLA_DTYPE_U32)
            reader_fail(r, TOLA_E_FORMAT, out->alignment_at,
                        "metadata 'general.alignment': must be a number of type u32");
        else if (n == 0 || (n & (n - 1)) != 0)
            reader_fail(r, TOLA_E_FORMAT, out->alignment_at,
                        "metadata 'general.alignment': is %" PRIu64 ", which is no power of two", n);
        else if (n > GGUF_MAX_ALIGNMENT)
            reader_fail(r, TOLA_E_LIMIT, out->alignment_at,
                        "metadata 'general.alignment': is %" PRIu64 "; at most %u is allowed", n, GGUF_MAX_ALIGNMENT);
        out->alignment = (uint32_t)n;
    }
}

/* ---- tensor descriptions ---- */

static void fail_in_tensor(reader *r, const gguf_tensor *t) {
    if (t->name) err_in_tensor(&r->error, r->status, t->name);
}

/* Dimensions come innermost first; the shape is turned around here and nowhere else. */
static bool read_shape(reader *r, gguf_tensor *t, uint64_t *elements) {
    uint64_t at = r->pos;
    uint32_t n = gguf_need(r, at, 4, "the number of dimensions") ? reader_u32(r) : 0;
    if (n > GGUF_MAX_DIMS) {
        reader_fail(r, TOLA_E_FORMAT, at, "has %" PRIu32 " dimensions; the format allows %d", n, GGUF_MAX_DIMS);
        return false;
    }
    t->n_dims = (uint16_t)n;
    *elements = 1;
    for (uint32_t i = 0; i < n; i++) {
        at = r->pos;
        uint64_t extent = gguf_need(r, at, 8, "a dimension") ? reader_u64(r) : 0;
        if (!reader_ok(r)) return false;
        if (extent == 0 || extent > INT64_MAX) {
            reader_fail(r, TOLA_E_FORMAT, at, "dimension %" PRIu32 " is %" PRId64 "; it must be positive", i,
                        (int64_t)extent);
            return false;
        }
        t->shape[n - 1 - i] = extent;
        if (!mul_u64(*elements, extent, elements) || *elements > INT64_MAX) {
            reader_fail(r, TOLA_E_FORMAT, at, "the product of its dimensions is beyond 2^63");
            return false;
        }
    }
    return reader_ok(r);
}

static bool read_type(reader *r, gguf_tensor *t, uint64_t elements) {
    uint64_t at = r->pos;
    uint32_t id = gguf_need(r, at, 4, "a tensor's type") ? reader_u32(r) : 0;
    if (!reader_ok(r)) return false;
    tola_dtype dtype = dtype_from_ggml(id);
    const char *removed = gguf_removed_type(id);
    if (dtype == TOLA_DTYPE_NONE) {
        if (removed)
            reader_fail(r, TOLA_E_UNSUPPORTED, at, "its type %" PRIu32 " (%s) was removed from the format", id,
                        removed);
        else
            reader_fail(r, TOLA_E_UNSUPPORTED, at, "its type %" PRIu32 " is not known, so its size is not either", id);
        return false;
    }
    t->dtype = (uint16_t)dtype;
    uint64_t row = t->n_dims ? t->shape[t->n_dims - 1] : 1;
    uint32_t block = tola_dtype_block_elements(dtype);
    if (row % block != 0)
        reader_fail(r, TOLA_E_FORMAT, at, "its rows of %" PRIu64 " elements are no multiple of the %" PRIu32
                    " in a block of %s", row, block, tola_dtype_name(dtype));
    else if (tola_dtype_size(dtype, elements, &t->bytes) != TOLA_OK)
        reader_fail(r, TOLA_E_FORMAT, at, "its size in bytes is beyond 2^63");
    return reader_ok(r);
}

static bool read_tensor(reader *r, gguf_text *text, gguf_set *seen, gguf_tensor *t) {
    memset(t, 0, sizeof *t);
    size_t length;
    t->described_at = r->pos;
    const char *name = gguf_read_text(r, text, "tensor name", GGUF_MAX_NAME, &length);
    if (!name) return false;
    t->name = name;
    t->name_length = (uint32_t)length;
    uint64_t elements;
    if (!utf8_valid(name, length) || memchr(name, 0, length))
        reader_fail(r, TOLA_E_FORMAT, t->described_at, "its name is not text");
    else if (!gguf_set_add(seen, name, length))
        reader_fail(r, TOLA_E_FORMAT, t->described_at, "the name occurs twice");
    else if (read_shape(r, t, &elements) && read_type(r, t, elements) && gguf_need(r, r->pos, 8, "a tensor's offset"))
        t->at = reader_u64(r); /* relative to the data section until place_tensors */
    return reader_ok(r);
}

/* Asked before the metadata, which may be long, and again behind it. */
static void check_tensor_count(reader *r, uint64_t count, uint64_t count_at) {
    if (!reader_ok(r)) return;
    if (count > reader_left(r) / GGUF_MIN_TENSOR_BYTES)
        reader_fail(r, TOLA_E_FORMAT, count_at,
                    "the header claims %" PRIu64 " tensors, which cannot fit in the %" PRIu64 " bytes that follow",
                    count, reader_left(r));
}

static void read_tensors(reader *r, arena *scratch, uint64_t count, uint64_t count_at, gguf_part *out) {
    check_tensor_count(r, count, count_at);
    if (!reader_ok(r)) return;
    gguf_set seen;
    gguf_text text = { scratch, NULL, 0 };
    out->tensors = arena_alloc_array(scratch, count ? (size_t)count : 1, sizeof *out->tensors);
    if (!gguf_set_init(&seen, (size_t)count) || !out->tensors)
        reader_fail(r, TOLA_E_NOMEM, count_at, "out of memory for %" PRIu64 " tensors", count);
    while (reader_ok(r) && out->tensor_count < count) {
        gguf_tensor *t = &out->tensors[out->tensor_count];
        if (read_tensor(r, &text, &seen, t))
            out->tensor_count++;
        else
            fail_in_tensor(r, t);
    }
    gguf_set_free(&seen);
}

/* ---- extents ---- */

static int by_place(const void *a, const void *b) {
    const gguf_tensor *x = *(gguf_tensor *const *)a, *y = *(gguf_tensor *const *)b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->described_at < y->described_at ? -1 : x->described_at > y->described_at;
}

static uint64_t round_up(uint64_t n, uint64_t alignment) { return (n + alignment - 1) & ~(alignment - 1); }

/* Turns offsets in the data section into offsets in the file and holds them against the end of the file. */
static void place_tensors(reader *r, gguf_part *out) {
    uint64_t size = r->src->size, furthest = 0;
    const gguf_tensor *beyond = NULL;
    for (size_t i = 0; reader_ok(r) && i < out->tensor_count; i++) {
        gguf_tensor *t = &out->tensors[i];
        uint64_t end;
        if (t->at % out->alignment != 0)
            reader_fail(r, TOLA_E_FORMAT, t->described_at,
                        "its offset %" PRIu64 " is no multiple of the alignment %" PRIu32, t->at, out->alignment);
        else if (!add_u64(t->at, out->data, &t->at) || !add_u64(t->at, t->bytes, &end) || end > INT64_MAX)
            reader_fail(r, TOLA_E_FORMAT, t->described_at, "its offset and size reach beyond 2^63");
        else if (end > size) {
            if (!beyond) beyond = t;
            if (end > furthest) furthest = end;
        }
        if (!reader_ok(r)) fail_in_tensor(r, t);
    }
    if (!reader_ok(r) || !beyond) return;
    reader_fail(r, TOLA_E_FORMAT, beyond->at, "truncated: its bytes %" PRIu64 " to %" PRIu64
                " reach beyond the end of the file at %" PRIu64 " (%" PRIu64 " bytes missing)", beyond->at,
                beyond->at + beyond->bytes, size, furthest - size);
    fail_in_tensor(r, beyond);
}

/* Overlaps are refused; holes, another order and bytes after the last tensor are odd but harmless. */
static void check_extents(tola_checkpoint *ck, reader *r, arena *scratch, const gguf_part *part) {
    size_t n = part->tensor_count;
    gguf_tensor **sorted = arena_alloc_array(scratch, n ? n : 1, sizeof *sorted);
    if (!sorted) {
        reader_fail(r, TOLA_E_NOMEM, part->header_end, "out of memory for %zu tensors", n);
        return;
    }
    for (size_t i = 0; i < n; i++) sorted[i] = &part->tensors[i];
    qsort(sorted, n, sizeof *sorted, by_place);
    uint64_t end = part->data, holes = 0, hole_bytes = 0;
    bool in_order = true;
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = sorted[i];
        if (i && t->at < sorted[i - 1]->at + sorted[i - 1]->bytes) {
            char other[200];
            text_quote(other, sizeof other, sorted[i - 1]->name, sorted[i - 1]->name_length);
            reader_fail(r, TOLA_E_FORMAT, t->at, "its bytes %" PRIu64 " to %" PRIu64 " overlap those of tensor '%s' (%"
                        PRIu64 " to %" PRIu64 ")", t->at, t->at + t->bytes, other, sorted[i - 1]->at,
                        sorted[i - 1]->at + sorted[i - 1]->bytes);
            fail_in_tensor(r, t);
            return;
        }
        if (t->at > end) {
            holes++;
            hole_bytes += t->at - end;
        }
        end = round_up(t->at + t->bytes, part->alignment);
        in_order = in_order && t == &part->tensors[i];
    }
    if (holes)
        ck_warn(ck, "%s: %" PRIu64 " bytes between tensors belong to none (in %" PRIu64
                " place%s); llama.cpp refuses such a file", r->src->path, hole_bytes, holes, holes == 1 ? "" : "s");
    if (!in_order)
        ck_warn(ck, "%s: tensors are not stored in the order in which they are listed; llama.cpp refuses such a file",
                r->src->path);
    if (r->src->size > end)
        ck_warn(ck, "%s: %" PRIu64 " bytes after the last tensor belong to none", r->src->path, r->src->size - end);
}

tola_status gguf_read_header(tola_checkpoint *ck, source *src, arena *keep, arena *scratch, gguf_part *out,
                             tola_error *err) {
    reader r;
    memset(out, 0, sizeof *out);
    reader_init(&r, src, 0, src->size < CK_MAX_HEADER ? src->size : CK_MAX_HEADER);
    read_version(&r, out);
    uint64_t count_at = r.pos, tensors = reader_u64(&r), values = reader_u64(&r);
    check_tensor_count(&r, tensors, count_at);
    gguf_read_values(&r, keep, values, out);
    read_alignment(&r, out);
    read_tensors(&r, scratch, tensors, count_at, out);
    if (reader_ok(&r)) {
        out->header_end = r.pos;
        out->data = round_up(r.pos, out->alignment);
        place_tensors(&r, out);
    }
    if (reader_ok(&r)) check_extents(ck, &r, scratch, out);
    if (reader_ok(&r) && out->alignment % 8 != 0)
        ck_warn(ck, "%s: general.alignment is %" PRIu32 "; the specification asks for a multiple of 8", src->path,
                out->alignment);
    tola_status status = reader_check(&r, err);
    reader_free(&r);
    return status;
}
