/* NumPy arrays: the header's parser and builder, and .npy files.
 *
 * The header is a Python dictionary literal; a parser of just that reads it, nothing is evaluated. Object arrays are
 * pickles and are refused. Specification: numpy/lib/format.py and NEP 1. */
#include "formats/npy.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/text.h"

static const uint8_t npy_magic[6] = { 0x93, 'N', 'U', 'M', 'P', 'Y' };

/* ---- element types ---- */

static const struct {
    char kind;
    uint8_t bytes;
    uint8_t dtype;
    char descr[5];
} npy_types[] = {
    { 'b', 1, TOLA_DTYPE_BOOL, "|b1" },  { 'i', 1, TOLA_DTYPE_I8, "|i1" },    { 'u', 1, TOLA_DTYPE_U8, "|u1" },
    { 'i', 2, TOLA_DTYPE_I16, "<i2" },   { 'u', 2, TOLA_DTYPE_U16, "<u2" },   { 'i', 4, TOLA_DTYPE_I32, "<i4" },
    { 'u', 4, TOLA_DTYPE_U32, "<u4" },   { 'i', 8, TOLA_DTYPE_I64, "<i8" },   { 'u', 8, TOLA_DTYPE_U64, "<u8" },
    { 'f', 2, TOLA_DTYPE_F16, "<f2" },   { 'f', 4, TOLA_DTYPE_F32, "<f4" },   { 'f', 8, TOLA_DTYPE_F64, "<f8" },
    { 'c', 8, TOLA_DTYPE_C64, "<c8" },   { 'c', 16, TOLA_DTYPE_C128, "<c16" },
};
#define NPY_TYPES (sizeof npy_types / sizeof *npy_types)

const char *npy_descr(tola_dtype dtype) {
    for (size_t i = 0; i < NPY_TYPES; i++)
        if (npy_types[i].dtype == dtype) return npy_types[i].descr;
    return NULL;
}

static tola_status unknown_type(const char *text, size_t length, tola_error *err) {
    char name[80];
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "unknown numpy element type '%s'",
                   text_quote(name, sizeof name, text, length));
}

tola_status npy_parse_type(const char *text, size_t length, npy_type *out, tola_error *err) {
    const char *p = text, *end = text + length;
    char order = '=';
    if (p < end && strchr("<>=|", *p) && *p) order = *p++;
    if (p == end) return unknown_type(text, length, err);
    char kind = *p++;
    if (kind == 'O')
        return err_set(err, TOLA_E_UNSAFE, TOLA_NO_OFFSET,
                       "an array of Python objects: its data are a pickle, which is not read");
    uint64_t count = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        count = count * 10 + (uint64_t)(*p - '0');
        if (count > INT32_MAX) return unknown_type(text, length, err);
    }
    bool date = kind == 'M' || kind == 'm';
    if (p < end && !(date && *p == '[' && end[-1] == ']')) return unknown_type(text, length, err);
    npy_type type = { TOLA_DTYPE_OPAQUE, count, false };
    switch (kind) {
    case 'U': type.item_bytes = count * 4; break; /* UCS-4 */
    case 'S': case 'a': case 'V': break;
    case 'M': case 'm': break;
    case 'b': case 'i': case 'u': case 'f': case 'c':
        for (size_t i = 0; i < NPY_TYPES; i++)
            if (npy_types[i].kind == kind && npy_types[i].bytes == count) type.dtype = npy_types[i].dtype;
        /* long doubles and their complex pairs */
        if (type.dtype == TOLA_DTYPE_OPAQUE && !(kind == 'f' && (count == 12 || count == 16)) &&
            !(kind == 'c' && (count == 24 || count == 32)))
            return unknown_type(text, length, err);
        if (order == '>' && count > 1 && type.dtype != TOLA_DTYPE_OPAQUE)
            type.swapped = true;
        break;
    default: return unknown_type(text, length, err);
    }
    if (type.item_bytes > INT32_MAX) return unknown_type(text, length, err);
    *out = type;
    return TOLA_OK;
}

/* ---- the dictionary literal ---- */

typedef struct literal {
    const char *text;
    size_t length, pos;
    uint64_t base;
    tola_error *err;
} literal;

static tola_status bad_header(literal *l, const char *what) {
    return err_set(l->err, TOLA_E_FORMAT, l->base + l->pos, "the array's header is no dictionary that numpy writes: %s",
                   what);
}

static char peek(literal *l) {
    while (l->pos < l->length && strchr(" \t\n\r", l->text[l->pos]) && l->text[l->pos]) l->pos++;
    return l->pos < l->length ? l->text[l->pos] : 0;
}

static bool accept(literal *l, char c) {
    if (peek(l) != c) return false;
    l->pos++;
    return true;
}

static bool accept_word(literal *l, const char *word) {
    size_t n = strlen(word);
    peek(l);
    if (l->length - l->pos < n || memcmp(l->text + l->pos, word, n) != 0) return false;
    l->pos += n;
    return true;
}

/* A string without escapes, which is all that numpy puts into a type. Field names of records may have escapes: those
 * are passed over. */
static tola_status parse_string(literal *l, const char **text, size_t *length) {
    char quote = peek(l);
    if (quote == 'u' || quote == 'b') { /* Python 2 wrote u'...' now and then */
        l->pos++;
        quote = l->pos < l->length ? l->text[l->pos] : 0;
    }
    if (quote != '\'' && quote != '"') return bad_header(l, "a string is missing");
    size_t start = ++l->pos;
    while (l->pos < l->length && l->text[l->pos] != quote) l->pos += l->text[l->pos] == '\\' ? 2 : 1;
    if (l->pos >= l->length) return bad_header(l, "a string does not end");
    *text = l->text + start;
    *length = l->pos - start;
    l->pos++;
    return TOLA_OK;
}

static tola_status parse_u64(literal *l, uint64_t *out) {
    char c = peek(l);
    if (c < '0' || c > '9') return bad_header(l, "a number is missing (extents are whole and not negative)");
    uint64_t v = 0;
    for (; l->pos < l->length && l->text[l->pos] >= '0' && l->text[l->pos] <= '9'; l->pos++)
        if (!mul_u64(v, 10, &v) || !add_u64(v, (uint64_t)(l->text[l->pos] - '0'), &v))
            return bad_header(l, "a number is too large");
    if (l->pos < l->length && l->text[l->pos] == 'L') l->pos++; /* Python 2's long */
    *out = v;
    return TOLA_OK;
}

static tola_status parse_shape(literal *l, uint64_t *shape, unsigned *n_dims) {
    unsigned n = 0;
    if (!accept(l, '(')) return bad_header(l, "a shape is missing");
    while (!accept(l, ')')) {
        if (n == TOLA_MAX_DIMS) return bad_header(l, "more than 64 dimensions");
        TRY(parse_u64(l, &shape[n++]));
        if (accept(l, ',')) continue;
        if (peek(l) != ')') return bad_header(l, "a shape does not end");
    }
    *n_dims = n;
    return TOLA_OK;
}

static tola_status parse_descr(literal *l, int depth, npy_type *out);

/* [('name', type), ('name', type, shape), ...] or (('title', 'name'), ...): only the sizes matter here. */
static tola_status parse_record(literal *l, int depth, npy_type *out) {
    uint64_t total = 0;
    l->pos++;
    while (!accept(l, ']')) {
        npy_type field;
        uint64_t shape[TOLA_MAX_DIMS], bytes;
        unsigned n_dims = 0;
        const char *name;
        size_t length;
        if (!accept(l, '(')) return bad_header(l, "a field of a record is missing");
        bool titled = accept(l, '(');
        TRY(parse_string(l, &name, &length));
        if (titled) {
            if (!accept(l, ',')) return bad_header(l, "a field's title is damaged");
            TRY(parse_string(l, &name, &length));
            if (!accept(l, ')')) return bad_header(l, "a field's title is damaged");
        }
        if (!accept(l, ',')) return bad_header(l, "a field has no type");
        TRY(parse_descr(l, depth + 1, &field));
        if (accept(l, ',') && peek(l) == '(') TRY(parse_shape(l, shape, &n_dims));
        accept(l, ',');
        if (!accept(l, ')')) return bad_header(l, "a field does not end");
        bytes = field.item_bytes;
        for (unsigned i = 0; i < n_dims; i++)
            if (!mul_u64(bytes, shape[i], &bytes)) return bad_header(l, "a field is too large");
        if (!add_u64(total, bytes, &total) || total > INT32_MAX) return bad_header(l, "a record is too large");
        if (!accept(l, ',') && peek(l) != ']') return bad_header(l, "a record does not end");
    }
    *out = (npy_type){ TOLA_DTYPE_OPAQUE, total, false };
    return TOLA_OK;
}

static tola_status parse_descr(literal *l, int depth, npy_type *out) {
    const char *text;
    size_t length;
    if (depth > NPY_MAX_DEPTH)
        return err_set(l->err, TOLA_E_LIMIT, l->base + l->pos, "records nested more than %d deep", NPY_MAX_DEPTH);
    if (peek(l) == '[') return parse_record(l, depth, out);
    size_t at = l->pos;
    TRY(parse_string(l, &text, &length));
    tola_status status = npy_parse_type(text, length, out, l->err);
    if (status != TOLA_OK && l->err) l->err->offset = l->base + at;
    return status;
}

static tola_status parse_dictionary(literal *l, npy_header *h) {
    enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
    unsigned seen = 0;
    if (!accept(l, '{')) return bad_header(l, "no '{' at its start");
    while (!accept(l, '}')) {
        const char *key;
        size_t length;
        unsigned which = 0;
        TRY(parse_string(l, &key, &length));
        if (!accept(l, ':')) return bad_header(l, "no ':' after a key");
        if (length == 5 && memcmp(key, "descr", 5) == 0) {
            which = DESCR;
            TRY(parse_descr(l, 0, &h->type));
        } else if (length == 13 && memcmp(key, "fortran_order", 13) == 0) {
            which = ORDER;
            h->fortran = accept_word(l, "True");
            if (!h->fortran && !accept_word(l, "False")) return bad_header(l, "fortran_order is no boolean");
        } else if (length == 5 && memcmp(key, "shape", 5) == 0) {
            which = SHAPE;
            TRY(parse_shape(l, h->shape, &h->n_dims));
        }
        if (!which || (seen & which)) return bad_header(l, "a key that is unknown or there twice");
        seen |= which;
        if (!accept(l, ',') && peek(l) != '}') return bad_header(l, "no ',' between its members");
    }
    if (seen != (DESCR | ORDER | SHAPE)) return bad_header(l, "descr, fortran_order or shape is missing");
    if (peek(l) != 0) return bad_header(l, "text after it");
    return TOLA_OK;
}

tola_status npy_header_bytes(const uint8_t prefix[NPY_PREFIX], size_t available, uint64_t *bytes, tola_error *err) {
    if (available < 10 || memcmp(prefix, npy_magic, sizeof npy_magic) != 0)
        return err_set(err, TOLA_E_FORMAT, 0, "no .npy array: the magic number is missing");
    unsigned major = prefix[6], minor = prefix[7];
    if (major < 1 || major > 3 || minor != 0)
        return err_set(err, TOLA_E_UNSUPPORTED, 6, ".npy version %u.%u; 1.0, 2.0 and 3.0 are known", major, minor);
    if (major == 1) {
        *bytes = 10 + load_le16(prefix + 8);
        return TOLA_OK;
    }
    if (available < NPY_PREFIX) return err_set(err, TOLA_E_FORMAT, available, "truncated inside the array's header");
    uint64_t length = load_le32(prefix + 8);
    if (length > NPY_MAX_HEADER)
        return err_set(err, TOLA_E_LIMIT, 8, "an array header of %" PRIu64 " bytes; at most %u are read", length,
                       NPY_MAX_HEADER);
    *bytes = NPY_PREFIX + length;
    return TOLA_OK;
}

tola_status npy_parse_header(const uint8_t *data, uint64_t bytes, npy_header *out, tola_error *err) {
    uint64_t expected;
    TRY(npy_header_bytes(data, bytes < NPY_PREFIX ? (size_t)bytes : NPY_PREFIX, &expected, err));
    if (expected != bytes) return err_set(err, TOLA_E_FORMAT, bytes, "truncated inside the array's header");
    size_t start = data[6] == 1 ? 10 : NPY_PREFIX;
    npy_header h = { .bytes = bytes };
    literal l = { (const char *)data + start, (size_t)bytes - start, 0, start, err };
    TRY(parse_dictionary(&l, &h));
    *out = h;
    return TOLA_OK;
}

tola_status npy_data_bytes(const npy_header *h, uint64_t *bytes, tola_error *err) {
    uint64_t total = h->type.item_bytes;
    bool empty = false;
    for (unsigned i = 0; i < h->n_dims; i++) empty |= h->shape[i] == 0;
    for (unsigned i = 0; i < h->n_dims && !empty; i++)
        if (!mul_u64(total, h->shape[i], &total) || total > INT64_MAX)
            return err_set(err, TOLA_E_FORMAT, 0, "the product of the array's shape overflows");
    *bytes = empty ? 0 : total;
    return TOLA_OK;
}

bool npy_is_strided(const npy_header *h) {
    unsigned long_dims = 0;
    for (unsigned i = 0; i < h->n_dims; i++) long_dims += h->shape[i] > 1;
    return h->fortran && long_dims > 1;
}

void npy_fortran_strides(const npy_header *h, int64_t strides[TOLA_MAX_DIMS]) {
    uint64_t stride = 1; /* npy_data_bytes has checked the product of a shape without zeros */
    for (unsigned i = 0; i < h->n_dims; i++) {
        strides[i] = (int64_t)stride;
        if (!mul_u64(stride, h->shape[i] ? h->shape[i] : 1, &stride) || stride > INT64_MAX) stride = 1;
    }
}

void npy_describe(const npy_header *h, uint64_t bytes, ck_add *add) {
    add->shape = h->shape;
    add->n_dims = h->n_dims;
    add->dtype = h->type.dtype;
    if (h->type.dtype == TOLA_DTYPE_OPAQUE) add->bytes = bytes;
    if (h->type.swapped) add->flags |= TOLA_TENSOR_SWAPPED;
}

void npy_build_header(buf *out, tola_dtype dtype, const uint64_t *shape, unsigned n_dims) {
    buf text;
    buf_init(&text, NPY_MAX_HEADER);
    buf_printf(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (", npy_descr(dtype));
    for (unsigned i = 0; i < n_dims; i++)
        buf_printf(&text, "%s%" PRIu64 "%s", i ? " " : "", shape[i], i + 1 < n_dims || n_dims == 1 ? "," : "");
    buf_printf(&text, "), }");
    size_t prefix = text.length > 65000 ? NPY_PREFIX : 10;
    size_t total = (prefix + text.length + 1 + 63) & ~(size_t)63;
    while (!text.failed && prefix + text.length + 1 < total) buf_u8(&text, ' ');
    buf_u8(&text, '\n');
    buf_append(out, npy_magic, sizeof npy_magic);
    buf_u8(out, prefix == 10 ? 1 : 2);
    buf_u8(out, 0);
    if (prefix == 10)
        buf_u16le(out, (uint16_t)text.length);
    else
        buf_u32le(out, (uint32_t)text.length);
    buf_append(out, text.data, text.length);
    if (text.failed) out->failed = true;
    buf_free(&text);
}

/* ---- .npy files ---- */

static tola_status read_header(source *src, uint64_t start, uint64_t end, npy_header *h, uint32_t *crc,
                               tola_error *err) {
    uint8_t prefix[NPY_PREFIX] = { 0 };
    size_t available = end - start < sizeof prefix ? (size_t)(end - start) : sizeof prefix;
    uint64_t bytes;
    TRY(source_read(src, start, prefix, available, err));
    TRY(npy_header_bytes(prefix, available, &bytes, err));
    if (bytes > end - start)
        return err_set(err, TOLA_E_FORMAT, 0, "truncated: the array's header has %" PRIu64 " bytes, %" PRIu64
                       " are there", bytes, end - start);
    uint8_t *data = mem_alloc((size_t)bytes);
    if (!data) return err_nomem(err, "reading an array's header");
    tola_status status = source_read(src, start, data, (size_t)bytes, err);
    if (status == TOLA_OK) status = npy_parse_header(data, bytes, h, err);
    if (status == TOLA_OK) *crc = crc32_update(0, data, (size_t)bytes);
    mem_free(data);
    return status;
}

static tola_status block_seen(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, const void *data,
                              size_t bytes, tola_error *err) {
    (void)ck;
    return zip_verify_block(t->context, offset, data, bytes, err);
}

tola_status npy_add(tola_checkpoint *ck, uint32_t file, uint64_t start, uint64_t end, const char *name,
                    size_t name_length, const zip_archive *zip, const zip_member *member, tola_error *err) {
    npy_header h;
    uint64_t bytes;
    uint32_t crc = 0;
    tola_status status = read_header(ck->files[file].src, start, end, &h, &crc, err);
    if (status == TOLA_OK) status = npy_data_bytes(&h, &bytes, err);
    if (status != TOLA_OK) {
        if (err && status != TOLA_E_IO && err->offset != TOLA_NO_OFFSET) err->offset += start;
        return status;
    }
    uint64_t there = end - start - h.bytes;
    if (bytes > there)
        return err_set(err, TOLA_E_FORMAT, start + h.bytes, "truncated: the array has %" PRIu64 " bytes, %" PRIu64
                       " are there (%" PRIu64 " missing)", bytes, there, bytes - there);
    char quoted[200];
    if (bytes < there)
        ck_warn(ck, "%" PRIu64 " bytes after the data of array '%s'", there - bytes,
                text_quote(quoted, sizeof quoted, name, name_length));
    ck_add add = { .name = name, .name_length = name_length, .file = file, .offset = start + h.bytes };
    npy_describe(&h, bytes, &add);
    int64_t strides[TOLA_MAX_DIMS];
    bool strided = npy_is_strided(&h) && bytes;
    if (member && !strided && bytes == there) {
        zip_part *part = arena_alloc(&ck->arena, sizeof *part);
        if (!part) return err_nomem(err, "reading an array");
        *part = (zip_part){ zip, member, h.bytes, crc };
        add.seen = block_seen;
        add.context = part;
    }
    if (strided) {
        if (h.type.dtype == TOLA_DTYPE_OPAQUE)
            return err_set(err, TOLA_E_UNSUPPORTED, start, "a Fortran-ordered array of elements that are no numbers");
        npy_fortran_strides(&h, strides);
        add.strides = strides;
        add.flags |= TOLA_TENSOR_STRIDED;
    }
    return ck_add_tensor(ck, &add, err);
}

static int npy_probe(const uint8_t *head, size_t bytes, const char *name, uint64_t file_bytes) {
    (void)name;
    (void)file_bytes;
    return bytes >= sizeof npy_magic && memcmp(head, npy_magic, sizeof npy_magic) == 0 ? 100 : 0;
}

static tola_status npy_read(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    return npy_add(ck, file, 0, ck->files[file].src->size, NPY_NAME, strlen(NPY_NAME), NULL, NULL, err);
}

const format format_npy = { "npy", npy_probe, npy_read };
