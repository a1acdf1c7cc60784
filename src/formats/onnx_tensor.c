/* TensorProto: where the bytes of an ONNX tensor are, and reading the ones that are not plain.
 *
 * raw_data, packed float_data and packed double_data lie in the file as they are wanted. The other fields hold integers
 * of varying length (an f16 as its bits in an int32), which are decoded at each read; a cursor makes reading on cheap.
 * Strings are delivered as their fields stand in the file, tags and lengths included. */
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/text.h"
#include "formats/onnx.h"
#include "tensor/dtype.h"

enum { FLOAT_DATA = 4, INT32_DATA = 5, STRING_DATA = 6, INT64_DATA = 7, DOUBLE_DATA = 10, UINT64_DATA = 11 };
enum { AS_UNSIGNED, AS_SIGNED, AS_EITHER };

/* How TensorProto.DataType maps: our dtype, the field of its values, and the bits that one value of the field gives. */
typedef struct onnx_type {
    uint8_t dtype, field, bits, sign;
} onnx_type;

static const onnx_type types[] = {
    [1] = { TOLA_DTYPE_F32, FLOAT_DATA, 32, AS_EITHER },
    [2] = { TOLA_DTYPE_U8, INT32_DATA, 8, AS_UNSIGNED },
    [3] = { TOLA_DTYPE_I8, INT32_DATA, 8, AS_SIGNED },
    [4] = { TOLA_DTYPE_U16, INT32_DATA, 16, AS_UNSIGNED },
    [5] = { TOLA_DTYPE_I16, INT32_DATA, 16, AS_SIGNED },
    [6] = { TOLA_DTYPE_I32, INT32_DATA, 32, AS_SIGNED },
    [7] = { TOLA_DTYPE_I64, INT64_DATA, 64, AS_EITHER },
    [8] = { TOLA_DTYPE_OPAQUE, STRING_DATA, 0, AS_EITHER },
    [9] = { TOLA_DTYPE_BOOL, INT32_DATA, 8, AS_UNSIGNED },
    [10] = { TOLA_DTYPE_F16, INT32_DATA, 16, AS_UNSIGNED },
    [11] = { TOLA_DTYPE_F64, DOUBLE_DATA, 64, AS_EITHER },
    [12] = { TOLA_DTYPE_U32, UINT64_DATA, 32, AS_UNSIGNED },
    [13] = { TOLA_DTYPE_U64, UINT64_DATA, 64, AS_EITHER },
    [14] = { TOLA_DTYPE_C64, FLOAT_DATA, 32, AS_EITHER },
    [15] = { TOLA_DTYPE_C128, DOUBLE_DATA, 64, AS_EITHER },
    [16] = { TOLA_DTYPE_BF16, INT32_DATA, 16, AS_UNSIGNED },
    [17] = { TOLA_DTYPE_F8_E4M3, INT32_DATA, 8, AS_EITHER },
    [18] = { TOLA_DTYPE_F8_E4M3FNUZ, INT32_DATA, 8, AS_EITHER },
    [19] = { TOLA_DTYPE_F8_E5M2, INT32_DATA, 8, AS_EITHER },
    [20] = { TOLA_DTYPE_F8_E5M2FNUZ, INT32_DATA, 8, AS_EITHER },
    [21] = { TOLA_DTYPE_U4, INT32_DATA, 8, AS_EITHER },
    [22] = { TOLA_DTYPE_I4, INT32_DATA, 8, AS_EITHER },
    [23] = { TOLA_DTYPE_F4, INT32_DATA, 8, AS_EITHER },
    [24] = { TOLA_DTYPE_F8_E8M0, INT32_DATA, 8, AS_EITHER },
    [25] = { TOLA_DTYPE_U2, INT32_DATA, 8, AS_EITHER },
    [26] = { TOLA_DTYPE_I2, INT32_DATA, 8, AS_EITHER },
    [27] = { TOLA_DTYPE_F6_E2M3, INT32_DATA, 6, AS_UNSIGNED },
    [28] = { TOLA_DTYPE_F6_E3M2, INT32_DATA, 6, AS_UNSIGNED },
};

static int wire_of(unsigned field) {
    return field == FLOAT_DATA ? PB_FIXED32 : field == DOUBLE_DATA ? PB_FIXED64 : PB_VARINT;
}

/* ---- parsing ---- */

/* A short bytes field into dst (cap with the NUL); false where it is too long or holds NUL. */
static bool short_text(const pb_message *m, const pb_field *f, char *dst, size_t cap, const char *what) {
    if (!pb_expect(m, f, PB_BYTES)) return false;
    if (f->bytes >= cap) {
        reader_fail(m->r, TOLA_E_LIMIT, f->at, "%s of external data is %" PRIu64 " bytes long, %zu are allowed", what,
                    f->bytes, cap - 1);
        return false;
    }
    reader_seek(m->r, f->start);
    reader_bytes(m->r, dst, (size_t)f->bytes);
    dst[f->bytes] = 0;
    if (!reader_ok(m->r)) return false;
    if (strlen(dst) == f->bytes) return true;
    reader_fail(m->r, TOLA_E_FORMAT, f->at, "%s of external data holds a NUL byte", what);
    return false;
}

static bool parse_decimal(const char *text, uint64_t *value) {
    uint64_t v = 0;
    if (!*text) return false;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || !mul_u64(v, 10, &v) || !add_u64(v, (uint64_t)(*text - '0'), &v)) return false;
    *value = v;
    return true;
}

/* One StringStringEntryProto of external_data. */
static bool parse_external(const pb_message *m, const pb_field *f, onnx_tensor *t) {
    pb_message entry;
    pb_field g;
    char key[64] = "", value[ONNX_MAX_LOCATION + 1] = "";
    if (!pb_enter(m, f, &entry)) return false;
    while (pb_next(&entry, &g)) {
        if (g.number == 1 && !short_text(&entry, &g, key, sizeof key, "a key")) return false;
        if (g.number == 2 && !short_text(&entry, &g, value, sizeof value, "a value")) return false;
    }
    bool good = true;
    if (strcmp(key, "location") == 0) memcpy(t->location, value, sizeof value);
    if (strcmp(key, "offset") == 0) good = parse_decimal(value, &t->offset);
    if (strcmp(key, "length") == 0) good = parse_decimal(value, &t->length);
    if (!good) reader_fail(m->r, TOLA_E_FORMAT, f->at, "the %s of external data is no number", key);
    return reader_ok(m->r);
}

static bool parse_dims(const pb_message *m, const pb_field *f, onnx_tensor *t) {
    pb_numbers n;
    uint64_t extent;
    if (!pb_numbers_begin(m, f, PB_VARINT, &n)) return false;
    while (pb_numbers_next(&n, &extent)) {
        if (extent > INT64_MAX)
            reader_fail(m->r, TOLA_E_FORMAT, f->at, "a dimension is negative (%" PRId64 ")", (int64_t)extent);
        else if (t->n_dims == TOLA_MAX_DIMS)
            reader_fail(m->r, TOLA_E_LIMIT, f->at, "more than %d dimensions", TOLA_MAX_DIMS);
        else
            t->shape[t->n_dims++] = extent;
    }
    return reader_ok(m->r);
}

/* A field of values: only where it lies is kept. */
static bool parse_data(const pb_message *m, const pb_field *f, onnx_tensor *t) {
    if (t->data_field && t->data_field != f->number) {
        reader_fail(m->r, TOLA_E_FORMAT, f->at, "a tensor has values in two fields, %u and %u", t->data_field,
                    f->number);
        return false;
    }
    if (!t->data_field) t->data_at = f->number == STRING_DATA ? f->at : f->start;
    else if (t->data_end != f->at) t->scattered = true;
    t->data_field = f->number;
    t->data_end = m->pos;
    if (f->number == STRING_DATA) {
        t->unpacked++;
        return pb_expect(m, f, PB_BYTES);
    }
    if (f->wire == wire_of(f->number)) {
        t->unpacked++;
        return true;
    }
    t->chunks++;
    t->packed_bytes += f->bytes; /* at most the file's size: fields do not overlap */
    return pb_expect(m, f, PB_BYTES);
}

static bool parse_field(const pb_message *m, const pb_field *f, onnx_tensor *t) {
    switch (f->number) {
    case 1: return parse_dims(m, f, t);
    case 2: t->type = f->value > UINT32_MAX ? UINT32_MAX : (uint32_t)f->value; return pb_expect(m, f, PB_VARINT);
    case 3:
        reader_fail(m->r, TOLA_E_UNSUPPORTED, f->at, "a tensor is stored in segments, which is not understood here");
        return false;
    case FLOAT_DATA:
    case INT32_DATA:
    case STRING_DATA:
    case INT64_DATA:
    case DOUBLE_DATA:
    case UINT64_DATA: return parse_data(m, f, t);
    case 8:
        t->name_at = f->start;
        t->name_bytes = f->bytes;
        return pb_expect(m, f, PB_BYTES);
    case 9:
        t->has_raw = true;
        t->raw_at = f->start;
        t->raw_bytes = f->bytes;
        return pb_expect(m, f, PB_BYTES);
    case 13: return parse_external(m, f, t);
    case 14: t->external = f->value == 1; return pb_expect(m, f, PB_VARINT);
    default: return true; /* doc_string and whatever comes later */
    }
}

bool onnx_parse_tensor(const pb_message *parent, const pb_field *f, onnx_tensor *out) {
    pb_message m;
    pb_field g;
    memset(out, 0, sizeof *out);
    if (!pb_enter(parent, f, &m)) return false;
    out->at = f->at;
    out->start = m.pos;
    out->end = m.end;
    out->length = UINT64_MAX;
    while (pb_next(&m, &g))
        if (!parse_field(&m, &g, out)) return false;
    return reader_ok(m.r);
}

/* ---- values that have to be decoded ---- */

/* Walks the values of one field in order. */
typedef struct walker {
    pb_message m;
    pb_numbers numbers;
    bool inside;    /* numbers has more to give */
    uint64_t index; /* of the value that comes next */
} walker;

typedef struct onnx_values {
    uint64_t start, end; /* the TensorProto */
    uint64_t count;      /* values there must be */
    onnx_type type;
    pthread_mutex_t lock;
    walker cursor;       /* where the last read stopped; under lock */
} onnx_values;

/* raw_data that ends before the last whole block of its type does (six-bit floats). */
typedef struct onnx_short {
    uint64_t at, bytes;
} onnx_short;

static bool walker_next(walker *w, unsigned field, uint64_t *bits) {
    for (;;) {
        if (w->inside && pb_numbers_next(&w->numbers, bits)) {
            w->index++;
            return true;
        }
        w->inside = false;
        pb_field f;
        if (!pb_next(&w->m, &f)) return false;
        if (f.number == field) w->inside = pb_numbers_begin(&w->m, &f, wire_of(field), &w->numbers);
    }
}

/* Does the number fit the type? int32 values are truncated to 32 bits as protobuf says. */
static bool value_fits(const onnx_type *type, uint64_t *bits) {
    if (type->field == INT32_DATA) *bits = (uint64_t)(int64_t)(int32_t)(uint32_t)*bits;
    if (type->field == FLOAT_DATA || type->field == DOUBLE_DATA || type->bits == 64) return true;
    int64_t v = (int64_t)*bits, span = (int64_t)1 << type->bits;
    int64_t least = type->sign == AS_UNSIGNED ? 0 : -span / 2, most = type->sign == AS_SIGNED ? span / 2 - 1 : span - 1;
    if (type->dtype == TOLA_DTYPE_BOOL) most = 1;
    return v >= least && v <= most;
}

/* Puts `bits` bits of value number `index` into dst, which holds bytes [offset, offset + bytes) of the tensor. */
static void put_value(uint8_t *dst, uint64_t offset, size_t bytes, unsigned width, uint64_t index, uint64_t bits) {
    uint64_t at = index * width / 8;
    unsigned shift = (unsigned)(index * width % 8), count = (shift + width + 7) / 8;
    if (width < 64) bits &= ((uint64_t)1 << width) - 1;
    for (unsigned k = 0; k < count; k++) {
        uint64_t part = k == 0 ? bits << shift : bits >> (8 * k - shift);
        if (at + k >= offset && at + k - offset < bytes) dst[at + k - offset] |= (uint8_t)part;
    }
}

/* Decodes values from w->index on until dst is full. */
static tola_status decode(const onnx_values *v, walker *w, uint64_t offset, uint8_t *dst, size_t bytes,
                          tola_error *err) {
    uint64_t bits, end = offset + bytes;
    while (w->index < v->count && w->index * v->type.bits / 8 < end) {
        uint64_t index = w->index, at = w->m.r->pos;
        if (!walker_next(w, v->type.field, &bits)) {
            TRY(reader_check(w->m.r, err));
            return err_set(err, TOLA_E_FORMAT, v->start, "holds %" PRIu64 " values, its shape wants %" PRIu64, index,
                           v->count);
        }
        if (!value_fits(&v->type, &bits))
            return err_set(err, TOLA_E_FORMAT, at, "value %" PRIu64 " is %" PRId64 ", which %s cannot hold", index,
                           (int64_t)bits, tola_dtype_name((tola_dtype)v->type.dtype));
        put_value(dst, offset, bytes, v->type.bits, index, bits);
    }
    if (w->index == v->count && walker_next(w, v->type.field, &bits))
        return err_set(err, TOLA_E_FORMAT, v->start, "holds more values than the %" PRIu64 " that its shape wants",
                       v->count);
    return reader_check(w->m.r, err);
}

static tola_status read_values(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst, size_t bytes,
                               tola_error *err) {
    onnx_values *v = (onnx_values *)(uintptr_t)t->context; /* in ck->arena, its cursor is guarded by its lock */
    reader r;
    walker w = { 0 };
    reader_init(&r, ck->files[t->info.file].src, v->start, v->end);
    memset(dst, 0, bytes);
    pthread_mutex_lock(&v->lock);
    bool resume = v->cursor.index && v->cursor.index * v->type.bits <= offset * 8;
    if (resume) w = v->cursor;
    pthread_mutex_unlock(&v->lock);
    if (!resume) pb_open(&w.m, &r, v->start, v->end);
    w.m.r = w.numbers.r = &r;
    uint64_t bits;
    while ((w.index + 1) * v->type.bits <= offset * 8 && walker_next(&w, v->type.field, &bits)) continue;
    walker begun = w; /* decode may go a value too far for the next block, so the cursor stays at its start */
    tola_status status = decode(v, &w, offset, dst, bytes, err);
    pthread_mutex_lock(&v->lock);
    v->cursor = v->type.bits % 8 == 0 && status == TOLA_OK && w.index < v->count ? w : begun;
    v->cursor.m.r = v->cursor.numbers.r = NULL;
    pthread_mutex_unlock(&v->lock);
    reader_free(&r);
    return status;
}

static tola_status read_short(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst, size_t bytes,
                              tola_error *err) {
    const onnx_short *s = t->context;
    uint64_t left = offset < s->bytes ? s->bytes - offset : 0;
    size_t n = left < bytes ? (size_t)left : bytes;
    memset((uint8_t *)dst + n, 0, bytes - n);
    return source_read(ck->files[t->info.file].src, s->at + offset, dst, n, err);
}

/* ---- adding ---- */

static tola_status count_elements(const onnx_tensor *t, uint64_t *elements, tola_error *err) {
    uint64_t n = 1;
    bool empty = false, overflow = false;
    for (unsigned i = 0; i < t->n_dims; i++) {
        if (t->shape[i] == 0) empty = true;
        else if (!mul_u64(n, t->shape[i], &n)) overflow = true;
    }
    if (overflow && !empty) return err_set(err, TOLA_E_FORMAT, t->at, "the product of its shape overflows");
    *elements = empty ? 0 : n;
    return TOLA_OK;
}

/* Bytes of `elements` elements, the last byte filled up; *bytes is what our types take, *stored what ONNX stores. */
static tola_status measure(const onnx_tensor *t, const onnx_type *type, uint64_t elements, uint64_t *bytes,
                           uint64_t *stored, tola_error *err) {
    const dtype_row *row = dtype_get((tola_dtype)type->dtype);
    uint64_t padded = elements, odd = elements % row->block_elements;
    if (odd && !add_u64(elements, row->block_elements - odd, &padded)) padded = UINT64_MAX;
    if (tola_dtype_size((tola_dtype)type->dtype, padded, bytes) != TOLA_OK)
        return err_set(err, TOLA_E_FORMAT, t->at, "%" PRIu64 " elements of %s overflow 2^63 bytes", elements,
                       row->name);
    unsigned bits_each = row->block_bytes * 8u / row->block_elements;
    *stored = odd ? *bytes - row->block_bytes + (odd * bits_each + 7) / 8 : *bytes;
    return TOLA_OK;
}

static tola_status place_raw(onnx_model *model, const onnx_tensor *t, uint64_t bytes, uint64_t stored, ck_add *add,
                             tola_error *err) {
    if (t->raw_bytes != stored)
        return err_set(err, TOLA_E_FORMAT, t->raw_at,
                       "raw_data has %" PRIu64 " bytes, its shape and type %s need %" PRIu64, t->raw_bytes,
                       tola_dtype_name(add->dtype), stored);
    add->offset = t->raw_at;
    if (stored == bytes) return TOLA_OK;
    onnx_short *s = arena_alloc(&model->ck->arena, sizeof *s);
    if (!s) return err_nomem(err, "reading the list of tensors");
    *s = (onnx_short){ t->raw_at, t->raw_bytes };
    add->read = read_short;
    add->context = s;
    return TOLA_OK;
}

static tola_status place_values(onnx_model *model, const onnx_tensor *t, const onnx_type *type, uint64_t elements,
                                uint64_t bytes, ck_add *add, tola_error *err) {
    if (t->data_field != type->field)
        return err_set(err, TOLA_E_FORMAT, t->at, "its values are in field %u, those of %s belong into field %u",
                       t->data_field, tola_dtype_name(add->dtype), type->field);
    uint64_t count = type->bits == 6 ? elements : bytes / (type->bits / 8u);
    unsigned width = wire_of(type->field) == PB_FIXED32 ? 4 : wire_of(type->field) == PB_FIXED64 ? 8 : 0;
    uint64_t least = t->unpacked + (width ? t->packed_bytes / width : (t->packed_bytes + 9) / 10);
    uint64_t most = t->unpacked + (width ? t->packed_bytes / width : t->packed_bytes);
    if (count < least || count > most)
        return err_set(err, TOLA_E_FORMAT, t->at, "holds %" PRIu64 "%s values, its shape wants %" PRIu64,
                       count < least ? least : most, width ? "" : count < least ? " or more" : " or fewer", count);
    add->offset = t->data_at;
    if (width && t->chunks == 1 && !t->unpacked) return TOLA_OK; /* as they are wanted */
    onnx_values *v = arena_alloc(&model->ck->arena, sizeof *v);
    if (!v) return err_nomem(err, "reading the list of tensors");
    memset(v, 0, sizeof *v);
    v->start = t->start;
    v->end = t->end;
    v->count = count;
    v->type = *type;
    pthread_mutex_init(&v->lock, NULL);
    add->read = read_values;
    add->context = v;
    return TOLA_OK;
}

static tola_status place_strings(const onnx_tensor *t, uint64_t elements, ck_add *add, tola_error *err) {
    if (t->has_raw || (t->data_field && t->data_field != STRING_DATA))
        return err_set(err, TOLA_E_FORMAT, t->at, "its strings are not in string_data");
    if (t->unpacked != elements)
        return err_set(err, TOLA_E_FORMAT, t->at, "holds %" PRIu64 " strings, its shape wants %" PRIu64, t->unpacked,
                       elements);
    if (t->scattered)
        return err_set(err, TOLA_E_UNSUPPORTED, t->at, "its strings do not lie together");
    add->offset = elements ? t->data_at : t->start;
    add->bytes = elements ? t->data_end - t->data_at : 0;
    return TOLA_OK;
}

static tola_status place_external(onnx_model *model, const onnx_tensor *t, uint64_t stored, ck_add *add,
                                  tola_error *err) {
    bool missing = false;
    TRY(onnx_open_external(model, t->location, &add->file, &missing, err));
    if (missing) {
        add->dtype = TOLA_DTYPE_OPAQUE;
        add->flags |= TOLA_TENSOR_MISSING;
        add->n_dims = 0;
        add->offset = 0;
        return TOLA_OK;
    }
    char quoted[200];
    text_quote(quoted, sizeof quoted, t->location, strlen(t->location));
    uint64_t size = model->ck->files[add->file].info.bytes, end;
    if (t->length != UINT64_MAX && t->length != stored)
        return err_set(err, TOLA_E_FORMAT, t->at,
                       "its external data has %" PRIu64 " bytes, its shape and type need %" PRIu64, t->length, stored);
    if (!add_u64(t->offset, stored, &end) || end > size)
        return err_set(err, TOLA_E_FORMAT, t->at,
                       "its %" PRIu64 " bytes at %" PRIu64 " of '%s' reach beyond the end of that file at %" PRIu64,
                       stored, t->offset, quoted, size);
    add->offset = t->offset;
    return TOLA_OK;
}

static tola_status place(onnx_model *model, const onnx_tensor *t, ck_add *add, tola_error *err) {
    if (t->type >= sizeof types / sizeof *types || !types[t->type].dtype)
        return err_set(err, TOLA_E_FORMAT, t->at, "unknown element type %u", t->type);
    const onnx_type *type = &types[t->type];
    uint64_t elements, bytes = 0, stored = 0;
    add->dtype = (tola_dtype)type->dtype;
    TRY(count_elements(t, &elements, err));
    if (t->has_raw && t->data_field)
        return err_set(err, TOLA_E_FORMAT, t->at, "has its values twice, in raw_data and in field %u", t->data_field);
    if (type->dtype == TOLA_DTYPE_OPAQUE) return place_strings(t, elements, add, err);
    TRY(measure(t, type, elements, &bytes, &stored, err));
    if (t->external) return place_external(model, t, stored, add, err);
    if (t->has_raw) return place_raw(model, t, bytes, stored, add, err);
    add->offset = t->start;
    if (!t->data_field && elements == 0) return TOLA_OK;
    if (!t->data_field) return err_set(err, TOLA_E_FORMAT, t->at, "has no values");
    return place_values(model, t, type, elements, bytes, add, err);
}

tola_status onnx_add_tensor(onnx_model *model, const onnx_tensor *t, const char *name, uint32_t flags,
                            tola_error *err) {
    if (model->count >= CK_MAX_TENSORS)
        return err_set(err, TOLA_E_LIMIT, t->at, "the file names more than %u tensors", CK_MAX_TENSORS);
    ck_add add = { .name = name, .name_length = strlen(name), .n_dims = t->n_dims, .file = model->file,
                   .flags = flags };
    tola_status status = place(model, t, &add, err);
    if (status != TOLA_OK) return err_in_tensor(err, status, name);
    uint64_t *shape = arena_alloc_array(&model->ck->arena, t->n_dims + 1, sizeof *shape);
    if (!shape || !mem_grow(&model->pending, &model->cap, model->count + 1, sizeof *model->pending))
        return err_nomem(err, "reading the list of tensors");
    memcpy(shape, t->shape, t->n_dims * sizeof *shape);
    add.shape = shape;
    model->pending[model->count++] = add;
    return TOLA_OK;
}
