/* One tensor of a pickle: its rebuild call, its storage, its bounds, its bytes. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "formats/torch_state.h"
#include "tensor/dtype.h"

#define SMALL_RECORD 4096 /* bytes of a deflated storage that may be kept in memory, once a tensor */

tola_status torch_fail(const torch_state *s, const pickle_value *v, tola_error *err, tola_status status,
                       const char *message, ...) {
    char text[600];
    va_list args;
    va_start(args, message);
    vsnprintf(text, sizeof text, message, args);
    va_end(args);
    uint64_t at = v && s->pickle_at != TOLA_NO_OFFSET ? s->pickle_at + v->at : TOLA_NO_OFFSET;
    return err_set(err, status, at, "%s", text);
}

unsigned torch_item_bytes(tola_dtype dtype) { return dtype_get(dtype)->block_bytes; }

/* ---- storages ---- */

tola_status torch_parse_storage_id(const torch_state *s, const pickle_value *v, torch_storage_id *out,
                                   tola_error *err) {
    const pickle_value *type = pickle_item(v, 1), *key = pickle_item(v, 2), *count = pickle_item(v, 4);
    size_t n = pickle_count(v);
    if (n < 5 || n > 6 || !pickle_is_text(pickle_item(v, 0), "storage") || pickle_role_of(type) != ROLE_STORAGE ||
        type->kind != PICKLE_GLOBAL || key->kind != PICKLE_STR)
        return torch_fail(s, v, err, TOLA_E_FORMAT, "a persistent id that names no storage");
    *out = (torch_storage_id){ type->as.global, key->as.text.data, key->as.text.length, 0, pickle_item(v, 5) };
    if (!pickle_u64(count, &out->count))
        return torch_fail(s, v, err, TOLA_E_FORMAT, "a storage whose number of elements is none");
    if (out->view && out->view->kind == PICKLE_NONE) out->view = NULL;
    return TOLA_OK;
}

/* Narrows a storage to a legacy view (key, offset, count). */
static tola_status apply_view(const torch_state *s, const pickle_value *view, unsigned item, torch_storage *st,
                              tola_error *err) {
    uint64_t offset, count, end;
    if (pickle_count(view) != 3 || !pickle_u64(pickle_item(view, 1), &offset) ||
        !pickle_u64(pickle_item(view, 2), &count))
        return torch_fail(s, view, err, TOLA_E_FORMAT, "a view of a storage that is damaged");
    if (!add_u64(offset, count, &end) || end > st->bytes / item)
        return torch_fail(s, view, err, TOLA_E_FORMAT, "a view of %" PRIu64 " elements at %" PRIu64
                          " of a storage that has %" PRIu64, count, offset, st->bytes / item);
    st->stored = NULL;
    st->offset += offset * item;
    st->bytes = count * item;
    return TOLA_OK;
}

static tola_status parse_storage(torch_state *s, const pickle_value *v, torch_tensor *t, tola_error *err) {
    /* files written by other programs than torch may hold the tuple itself */
    const pickle_value *tuple = v && v->kind == PICKLE_PERSISTENT ? v->as.object.args : v;
    torch_storage_id id;
    TRY(torch_parse_storage_id(s, tuple, &id, err));
    unsigned item = torch_item_bytes((tola_dtype)id.type->dtype);
    uint64_t bytes;
    if (!mul_u64(id.count, item, &bytes) || bytes > INT64_MAX)
        return torch_fail(s, tuple, err, TOLA_E_FORMAT, "a storage of %" PRIu64 " elements overflows", id.count);
    /* four- and two-bit elements: the count may be of bytes or of elements */
    uint64_t least = dtype_get((tola_dtype)id.type->dtype)->block_elements > 1 ? 0 : bytes;
    tola_status status = s->find(s, &id, least, &t->storage, err);
    if (status != TOLA_OK) {
        if (err && err->offset == TOLA_NO_OFFSET && s->pickle_at != TOLA_NO_OFFSET)
            err->offset = s->pickle_at + tuple->at;
        return status;
    }
    if (least) t->storage.bytes = bytes;
    if (id.view) TRY(apply_view(s, id.view, item, &t->storage, err));
    t->dtype = (tola_dtype)id.type->dtype;
    t->swapped = s->swapped;
    if (id.type->quantized) t->flags |= TOLA_TENSOR_QUANTIZED;
    return TOLA_OK;
}

/* ---- rebuild calls ---- */

tola_status torch_parse_extents(const torch_state *s, const pickle_value *v, uint64_t *out, unsigned *count,
                                tola_error *err) {
    size_t n = pickle_count(v);
    if (!v || (v->kind != PICKLE_TUPLE && v->kind != PICKLE_LIST))
        return torch_fail(s, v, err, TOLA_E_FORMAT, "a shape that is no tuple");
    if (n > TOLA_MAX_DIMS)
        return torch_fail(s, v, err, TOLA_E_LIMIT, "has %zu dimensions, %d are allowed", n, TOLA_MAX_DIMS);
    for (size_t i = 0; i < n; i++)
        if (!pickle_u64(pickle_item(v, i), &out[i]) || out[i] > INT64_MAX)
            return torch_fail(s, v, err, TOLA_E_FORMAT, "an extent or stride that is no whole number from 0 on");
    *count = (unsigned)n;
    return TOLA_OK;
}

tola_status torch_check_bounds(const torch_state *s, const pickle_value *v, const torch_tensor *t, tola_error *err) {
    unsigned item = torch_item_bytes(t->dtype);
    uint64_t last = t->offset, elements = 1, step;
    bool good = true, empty = false;
    for (unsigned d = 0; d < t->n_dims; d++) empty |= t->shape[d] == 0;
    for (unsigned d = 0; d < t->n_dims && good && !empty; d++)
        good = mul_u64(elements, t->shape[d], &elements) && elements <= INT64_MAX &&
               mul_u64(t->shape[d] - 1, (uint64_t)t->strides[d], &step) && add_u64(last, step, &last);
    if (!good) return torch_fail(s, v, err, TOLA_E_FORMAT, "the product of size, stride and offset overflows");
    uint64_t there = item ? t->storage.bytes / item : 0;
    if (dtype_get(t->dtype)->block_elements > 1) there *= dtype_get(t->dtype)->block_elements;
    if (empty) {
        good = t->offset <= there;
        last = t->offset;
    } else {
        good = last < there;
    }
    if (!good)
        return torch_fail(s, v, err, TOLA_E_FORMAT, "size, stride and offset reach element %" PRIu64
                          " of a storage that has %" PRIu64, last, there);
    if (!empty && elements > TORCH_MAX_EXPANDED && elements / TORCH_MAX_REPEAT > there)
        return torch_fail(s, v, err, TOLA_E_LIMIT, "%" PRIu64 " elements are made of a storage that has %" PRIu64,
                          elements, there);
    return TOLA_OK;
}

/* (storage, offset, size, stride): what all rebuild functions begin with. */
static tola_status parse_placed(torch_state *s, const pickle_value *args, torch_tensor *t, tola_error *err) {
    uint64_t strides[TOLA_MAX_DIMS];
    unsigned n;
    if (pickle_count(args) < 4 || args->kind == PICKLE_SET || args->kind == PICKLE_DICT)
        return torch_fail(s, args, err, TOLA_E_FORMAT, "a tensor without storage, offset, size and stride");
    TRY(parse_storage(s, pickle_item(args, 0), t, err));
    if (!pickle_u64(pickle_item(args, 1), &t->offset))
        return torch_fail(s, args, err, TOLA_E_FORMAT, "an offset that is no whole number from 0 on");
    TRY(torch_parse_extents(s, pickle_item(args, 2), t->shape, &t->n_dims, err));
    TRY(torch_parse_extents(s, pickle_item(args, 3), strides, &n, err));
    if (n != t->n_dims)
        return torch_fail(s, args, err, TOLA_E_FORMAT, "%u extents but %u strides", t->n_dims, n);
    for (unsigned d = 0; d < n; d++) t->strides[d] = (int64_t)strides[d];
    return TOLA_OK;
}

/* {"conj": True, "neg": True}: views whose values differ from the storage by a sign. */
static void parse_signs(const pickle_value *metadata, torch_tensor *t) {
    uint64_t set;
    if (pickle_u64(pickle_get(metadata, "conj"), &set)) t->conjugated = set != 0;
    if (pickle_u64(pickle_get(metadata, "neg"), &set)) t->negated = set != 0;
}

/* A storage of bytes is looked at as another type (_rebuild_tensor_v3). */
static tola_status parse_dtype(torch_state *s, const pickle_value *v, torch_tensor *t, tola_error *err) {
    if (!v || v->kind != PICKLE_GLOBAL || v->as.global->role != ROLE_TORCH_DTYPE)
        return torch_fail(s, v, err, TOLA_E_FORMAT, "a tensor whose dtype is none");
    t->dtype = (tola_dtype)v->as.global->dtype;
    if (t->dtype == TOLA_DTYPE_NONE)
        return torch_fail(s, v, err, TOLA_E_UNSUPPORTED, "torch.%s is not understood", v->as.global->name);
    if (v->as.global->quantized) t->flags |= TOLA_TENSOR_QUANTIZED;
    return TOLA_OK;
}

/* One element of torch.float4_e2m1fn_x2 is a pair. */
static tola_status unfold_pairs(torch_state *s, const pickle_value *v, torch_tensor *t, tola_error *err) {
    uint64_t expected = 1;
    for (unsigned d = t->n_dims; d-- > 0;) {
        if (t->shape[d] > 1 && (uint64_t)t->strides[d] != expected)
            return torch_fail(s, v, err, TOLA_E_UNSUPPORTED, "a strided view of four-bit floats");
        if (!mul_u64(expected, t->shape[d] ? t->shape[d] : 1, &expected) || expected > INT64_MAX / 2)
            return torch_fail(s, v, err, TOLA_E_FORMAT, "the product of its shape overflows");
    }
    if (t->n_dims == 0 || !mul_u64(t->offset, 2, &t->offset))
        return torch_fail(s, v, err, TOLA_E_UNSUPPORTED, "a single pair of four-bit floats");
    t->shape[t->n_dims - 1] *= 2;
    uint64_t stride = 1;
    for (unsigned d = t->n_dims; d-- > 0;) {
        t->strides[d] = (int64_t)stride;
        stride *= t->shape[d] ? t->shape[d] : 1;
    }
    return TOLA_OK;
}

/* The tensor inside a parameter, a tensor on another device, ...: NULL where `v` is none of these. */
static const pickle_value *inner_tensor(const pickle_value *v) {
    const pickle_value *state = v->as.object.state;
    switch (pickle_role_of(v)) {
    case ROLE_PARAMETER:
        if (pickle_count(v->as.object.args)) return pickle_item(v->as.object.args, 0);
        return pickle_item(state, 0); /* Parameter() filled in by its state, before torch 0.4 */
    case ROLE_DEVICE_TENSOR: return pickle_item(v->as.object.args, 0);
    default: return NULL;
    }
}

static tola_status parse_call(torch_state *s, const pickle_value *v, pickle_role role, const pickle_value *args,
                              torch_tensor *t, tola_error *err) {
    switch (role) {
    case ROLE_TENSOR: return parse_placed(s, args, t, err);
    case ROLE_TENSOR_V2:
        TRY(parse_placed(s, args, t, err));
        parse_signs(pickle_item(args, 6), t);
        return TOLA_OK;
    case ROLE_TENSOR_V3:
        TRY(parse_placed(s, args, t, err));
        TRY(parse_dtype(s, pickle_item(args, 6), t, err));
        parse_signs(pickle_item(args, 7), t);
        return t->dtype == TOLA_DTYPE_F4 ? unfold_pairs(s, v, t, err) : TOLA_OK;
    case ROLE_QTENSOR:
        TRY(parse_placed(s, args, t, err));
        t->flags |= TOLA_TENSOR_QUANTIZED;
        t->quantizer = pickle_item(args, 4);
        return TOLA_OK;
    case ROLE_TENSOR_CLASS: /* torch.FloatTensor() filled in by its state, before torch 0.2 */
        return parse_placed(s, pickle_count(v->as.object.state) ? v->as.object.state : args, t, err);
    default: return torch_fail(s, v, err, TOLA_E_FORMAT, "no tensor where one is due");
    }
}

bool torch_is_tensor(const torch_state *s, const pickle_value *v) {
    for (int i = 0; v && i < 4; i++) {
        if (v->kind == PICKLE_PERSISTENT) return true;
        if (v->kind != PICKLE_OBJECT) return false;
        switch (pickle_role_of(v)) {
        case ROLE_TENSOR: case ROLE_TENSOR_V2: case ROLE_TENSOR_V3: case ROLE_QTENSOR: return true;
        case ROLE_TENSOR_CLASS: return v->as.object.state != NULL || pickle_count(v->as.object.args) >= 4;
        case ROLE_FROM_TYPE: {
            pickle_role role = pickle_role_of(pickle_item(v->as.object.args, 0));
            return role == ROLE_TENSOR || role == ROLE_TENSOR_V2 || role == ROLE_TENSOR_V3 || role == ROLE_QTENSOR;
        }
        case ROLE_PARAMETER: case ROLE_DEVICE_TENSOR: v = inner_tensor(v); break;
        default: return false;
        }
    }
    (void)s;
    return false;
}

tola_status torch_parse_tensor(torch_state *s, const pickle_value *v, torch_tensor *out, tola_error *err) {
    torch_tensor t = { 0 };
    for (int i = 0; i < 4 && v && v->kind == PICKLE_OBJECT; i++) {
        const pickle_value *inner = inner_tensor(v);
        if (!inner) break;
        if (pickle_role_of(v) == ROLE_PARAMETER) t.flags |= TOLA_TENSOR_PARAMETER;
        v = inner;
    }
    if (v && v->kind == PICKLE_PERSISTENT) {
        bool whole = s->tensor && (v->as.object.args->kind != PICKLE_TUPLE);
        if (whole) {
            uint32_t flags = t.flags;
            TRY(s->tensor(s, v->as.object.args, &t, err));
            t.flags |= flags;
        } else { /* a storage on its own: all of it */
            TRY(parse_storage(s, v, &t, err));
            t.n_dims = 1;
            t.shape[0] = t.storage.bytes / torch_item_bytes(t.dtype);
            t.strides[0] = 1;
        }
    } else if (v && v->kind == PICKLE_OBJECT && pickle_role_of(v) == ROLE_FROM_TYPE) {
        const pickle_value *args = v->as.object.args, *class = pickle_item(args, 1);
        if (pickle_role_of(class) == ROLE_PARAMETER) t.flags |= TOLA_TENSOR_PARAMETER;
        TRY(parse_call(s, v, pickle_role_of(pickle_item(args, 0)), pickle_item(args, 2), &t, err));
    } else if (v && v->kind == PICKLE_OBJECT) {
        TRY(parse_call(s, v, pickle_role_of(v), v->as.object.args, &t, err));
    } else {
        return torch_fail(s, v, err, TOLA_E_FORMAT, "no tensor where one is due");
    }
    TRY(torch_check_bounds(s, v, &t, err));
    *out = t;
    return TOLA_OK;
}

/* ---- bytes ---- */

#define GATHER_MAX ((uint64_t)64 << 20)

/* Storages that a plain or strided layout cannot describe: unpacked, in memory, or with signs to change. */
typedef struct custom {
    zip_archive *zip;
    torch_storage storage;
    uint64_t offset; /* of element 0, in bytes */
    int64_t *strides; /* NULL = contiguous */
    unsigned item;
    bool conjugated, negated, swapped;
} custom;

static tola_status read_storage(const tola_checkpoint *ck, const ck_tensor *t, uint64_t at, void *dst, size_t bytes,
                                tola_error *err) {
    const custom *c = t->context;
    if (c->storage.memory) {
        memcpy(dst, c->storage.memory + at, bytes);
        return TOLA_OK;
    }
    if (c->storage.member) return zip_read(c->zip, c->storage.member, c->storage.offset + at, dst, bytes, err);
    return source_read(ck->files[t->info.file].src, c->storage.offset + at, dst, bytes, err);
}

/* Changes the sign of numbers of `width` bytes, from the first on, every `step`-th. */
static void flip_signs(uint8_t *p, size_t bytes, unsigned width, size_t first, size_t step, bool big_endian) {
    for (size_t i = first * width; i + width <= bytes; i += step * width) p[i + (big_endian ? 0 : width - 1)] ^= 0x80;
}

/* Where element number `element` (row-major) lies, in elements from element 0 on. */
static uint64_t place_of(const ck_tensor *t, const int64_t *strides, uint64_t element) {
    uint64_t place = 0;
    for (unsigned d = t->info.n_dims; d-- > 0; element /= t->info.shape[d])
        place += element % t->info.shape[d] * (uint64_t)strides[d];
    return place;
}

/* Elements [first, first + count) of a strided view. The part of the storage between the lowest and the highest of
 * them is read in one piece where it is not too large: unpacking it again for each element would take forever. */
static tola_status gather(const tola_checkpoint *ck, const ck_tensor *t, uint64_t first, uint64_t count, uint8_t *dst,
                          tola_error *err) {
    const custom *c = t->context;
    uint64_t low = UINT64_MAX, high = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t place = place_of(t, c->strides, first + i);
        if (place < low) low = place;
        if (place > high) high = place;
    }
    uint8_t *span = NULL;
    uint64_t bytes = (high - low + 1) * c->item; /* torch_check_bounds: inside the storage */
    if (!c->storage.memory && count > 1 && bytes <= GATHER_MAX) {
        span = mem_alloc((size_t)bytes);
        if (!span) return err_nomem(err, "reading a strided tensor");
        tola_status status = read_storage(ck, t, c->offset + low * c->item, span, (size_t)bytes, err);
        if (status != TOLA_OK) {
            mem_free(span);
            return status;
        }
    }
    tola_status status = TOLA_OK;
    for (uint64_t i = 0; i < count && status == TOLA_OK; i++) {
        uint64_t place = place_of(t, c->strides, first + i);
        if (span)
            memcpy(dst + i * c->item, span + (place - low) * c->item, c->item);
        else
            status = read_storage(ck, t, c->offset + place * c->item, dst + i * c->item, c->item, err);
    }
    mem_free(span);
    return status;
}

static tola_status read_custom(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst, size_t bytes,
                               tola_error *err) {
    const custom *c = t->context;
    uint8_t *p = dst;
    if (!c->strides)
        TRY(read_storage(ck, t, c->offset + offset, dst, bytes, err));
    else if (bytes >= c->item)
        TRY(gather(ck, t, offset / c->item, bytes / c->item, dst, err));
    bool complex = dtype_get((tola_dtype)t->info.dtype)->kind == TOLA_KIND_COMPLEX;
    unsigned width = complex ? c->item / 2 : c->item;
    if (c->negated) flip_signs(p, bytes, width, 0, 1, c->swapped);
    if (c->conjugated && complex) flip_signs(p, bytes, width, 1, 2, c->swapped);
    return TOLA_OK;
}

static bool is_contiguous(const torch_tensor *t) {
    uint64_t expected = 1;
    for (unsigned d = 0; d < t->n_dims; d++)
        if (t->shape[d] == 0) return true;
    for (unsigned d = t->n_dims; d-- > 0;) {
        if (t->shape[d] != 1 && (uint64_t)t->strides[d] != expected) return false;
        expected *= t->shape[d];
    }
    return true;
}

/* Does a row-major walk of the view ever step back in the storage? */
static bool goes_back(const torch_tensor *t) {
    uint64_t span = 0; /* torch_check_bounds has made these products and sums */
    for (unsigned d = 0; d < t->n_dims; d++)
        if (t->shape[d] == 0) return false;
    for (unsigned d = t->n_dims; d-- > 0;) {
        if (t->shape[d] > 1 && (uint64_t)t->strides[d] < span) return true;
        span += (t->shape[d] - 1) * (uint64_t)t->strides[d];
    }
    return false;
}

static tola_status make_custom(torch_state *s, const torch_tensor *t, bool strided, ck_add *add, tola_error *err) {
    custom *c = arena_alloc(&s->ck->arena, sizeof *c);
    if (!c) return err_nomem(err, "reading tensors");
    unsigned per_byte = dtype_get(t->dtype)->block_elements;
    *c = (custom){ .zip = s->zip, .storage = t->storage, .item = torch_item_bytes(t->dtype),
                   .conjugated = t->conjugated, .negated = t->negated, .swapped = t->swapped };
    c->offset = t->offset / per_byte * c->item;
    if (strided) {
        c->strides = arena_alloc_array(&s->ck->arena, t->n_dims, sizeof *c->strides);
        if (!c->strides) return err_nomem(err, "reading tensors");
        memcpy(c->strides, t->strides, t->n_dims * sizeof *c->strides);
        add->flags |= TOLA_TENSOR_STRIDED;
    }
    add->read = read_custom;
    add->context = c;
    add->offset = TOLA_NO_OFFSET;
    if (t->storage.member) {
        bool packed = t->storage.member->method != ZIP_STORED;
        if (packed) add->flags |= TOLA_TENSOR_PACKED;
        add->offset = t->storage.member->data + (packed ? 0 : t->storage.offset + c->offset);
    } else if (!t->storage.memory) {
        add->offset = t->storage.offset + c->offset;
    }
    return TOLA_OK;
}

static tola_status block_seen(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, const void *data,
                              size_t bytes, tola_error *err) {
    (void)ck;
    return zip_verify_block(t->context, offset, data, bytes, err);
}

/* A tensor that is all of its record in the archive: the record's checksum is compared as the tensor is read. */
static tola_status watch_checksum(torch_state *s, const torch_tensor *t, ck_add *add, tola_error *err) {
    uint64_t elements = 1, bytes;
    for (unsigned d = 0; d < t->n_dims; d++) elements *= t->shape[d]; /* torch_check_bounds has multiplied them */
    if (!t->storage.stored || t->offset || tola_dtype_size(t->dtype, elements, &bytes) != TOLA_OK ||
        bytes != t->storage.stored->size || bytes == 0)
        return TOLA_OK;
    zip_part *part = arena_alloc(&s->ck->arena, sizeof *part);
    if (!part) return err_nomem(err, "reading tensors");
    *part = (zip_part){ s->zip, t->storage.stored, 0, 0 };
    add->seen = block_seen;
    add->context = part;
    return TOLA_OK;
}

/* Deflate is read from its beginning: every step back would unpack the record again. Small records are kept in memory,
 * large ones are refused; torch itself never deflates. */
static tola_status unpack_small(torch_state *s, const torch_tensor *t, const char *name, size_t name_length,
                                torch_tensor *out, tola_error *err) {
    char quoted[200];
    zip_member *m = t->storage.member;
    const uint8_t *data;
    if (m->size > SMALL_RECORD)
        return torch_fail(s, NULL, err, TOLA_E_UNSUPPORTED, "tensor '%s': a transposed or repeated view of a deflated "
                          "record of %" PRIu64 " bytes; save it uncompressed, as torch does",
                          text_quote(quoted, sizeof quoted, name, name_length), m->size);
    TRY(zip_load(s->zip, m, SMALL_RECORD, &s->ck->arena, &data, err));
    *out = *t;
    out->storage.memory = data + t->storage.offset;
    out->storage.member = NULL;
    return TOLA_OK;
}

tola_status torch_add_tensor(torch_state *s, const torch_tensor *t, const char *name, size_t name_length,
                             tola_error *err) {
    const dtype_row *row = dtype_get(t->dtype);
    bool strided = !is_contiguous(t);
    bool signs = (t->negated && (row->kind == TOLA_KIND_FLOAT || row->kind == TOLA_KIND_COMPLEX)) || t->conjugated;
    ck_add add = { .name = name, .name_length = name_length, .shape = t->shape, .n_dims = t->n_dims, .dtype = t->dtype,
                   .file = s->file, .flags = t->flags, .storage = t->storage.id };
    if (row->block_elements > 1 && (strided || t->offset % row->block_elements)) {
        char quoted[200];
        return torch_fail(s, NULL, err, TOLA_E_UNSUPPORTED, "tensor '%s': a strided view of %s",
                          text_quote(quoted, sizeof quoted, name, name_length), row->name);
    }
    if (t->swapped && row->block_bytes > 1) add.flags |= TOLA_TENSOR_SWAPPED;
    torch_tensor unpacked;
    if (strided && t->storage.member && t->storage.member->method != ZIP_STORED && goes_back(t)) {
        TRY(unpack_small(s, t, name, name_length, &unpacked, err));
        add.flags |= TOLA_TENSOR_PACKED;
        t = &unpacked;
    }
    if (t->storage.member || t->storage.memory || signs) {
        TRY(make_custom(s, t, strided, &add, err));
    } else {
        add.offset = t->storage.offset + t->offset / row->block_elements * row->block_bytes;
        if (strided)
            add.strides = t->strides;
        else
            TRY(watch_checksum(s, t, &add, err));
    }
    return ck_add_tensor(s->ck, &add, err);
}
