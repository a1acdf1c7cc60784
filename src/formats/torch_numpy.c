/* numpy arrays and scalars inside pickles (numpy/core/src/multiarray/methods.c: array_reduce, array_setstate).
 *
 * Arrays of numbers are tensors; scalars, and arrays of anything else, are metadata. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/torch_state.h"
#include "tensor/dtype.h"

bool torch_is_numpy(const pickle_value *v) {
    switch (pickle_role_of(v)) {
    case ROLE_NDARRAY: case ROLE_NUMPY_DTYPE: case ROLE_NUMPY_SCALAR: case ROLE_FROM_BUFFER: return true;
    default: return false;
    }
}

/* numpy.dtype("f4", False, True) with the state (3, "<", None, None, None, -1, -1, 0): "<f4". */
static bool dtype_text(const pickle_value *v, char dst[64]) {
    if (!v || v->kind != PICKLE_OBJECT || pickle_role_of(v) != ROLE_NUMPY_DTYPE) return false;
    const pickle_value *name = pickle_item(v->as.object.args, 0), *state = v->as.object.state;
    const pickle_value *order = pickle_item(state, 1), *fields = pickle_item(state, 3);
    if (!name || (name->kind != PICKLE_STR && name->kind != PICKLE_BYTES) || name->as.text.length > 50) return false;
    const char *prefix = "";
    if (pickle_is_text(order, ">")) prefix = ">";
    else if (pickle_is_text(order, "<")) prefix = "<";
    if (fields && fields->kind != PICKLE_NONE) return false; /* a record */
    snprintf(dst, 64, "%s%.*s", prefix, (int)name->as.text.length, name->as.text.data);
    return true;
}

static tola_status text_value(torch_state *s, const char *text, tola_value *out, tola_error *err) {
    char *copy = arena_strndup(&s->ck->arena, text, strlen(text));
    if (!copy) return err_nomem(err, "reading metadata");
    *out = (tola_value){ .kind = TOLA_VALUE_STRING, .as.string = { copy, strlen(text) } };
    return TOLA_OK;
}

static bool is_data(const pickle_value *v) {
    return v && (v->kind == PICKLE_BYTES || (v->kind == PICKLE_STR && v->old));
}

static double half_value(uint16_t bits) {
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double v = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31) v = mantissa ? (double)NAN : (double)INFINITY;
    return bits & 0x8000 ? -v : v;
}

/* A little-endian number as a value. */
static tola_status number_value(torch_state *s, tola_dtype dtype, const uint8_t *item, tola_value *out,
                                tola_error *err) {
    unsigned width = dtype_get(dtype)->block_bytes;
    uint64_t bits = 0;
    float single;
    tola_value v = { .dtype = (uint16_t)dtype };
    for (unsigned i = 0; i < width && i < 8; i++) bits |= (uint64_t)item[i] << (8 * i);
    switch (dtype_get(dtype)->kind) {
    case TOLA_KIND_BOOL:
        v.kind = TOLA_VALUE_BOOL;
        v.as.boolean = bits != 0;
        break;
    case TOLA_KIND_UINT:
        v.kind = TOLA_VALUE_UINT;
        v.as.u64 = bits;
        break;
    case TOLA_KIND_INT:
        v.kind = TOLA_VALUE_INT;
        v.as.i64 = (int64_t)(bits << (64 - 8 * width)) >> (64 - 8 * width);
        break;
    case TOLA_KIND_FLOAT: {
        uint32_t low = (uint32_t)bits;
        v.kind = TOLA_VALUE_FLOAT;
        v.dtype = width == 8 ? TOLA_DTYPE_F64 : TOLA_DTYPE_F32;
        memcpy(&single, &low, sizeof single);
        if (width == 8) memcpy(&v.as.f64, &bits, sizeof bits);
        else v.as.f64 = width == 4 ? (double)single : half_value((uint16_t)bits);
        break;
    }
    default: return text_value(s, "a complex number", out, err);
    }
    *out = v;
    return TOLA_OK;
}

/* numpy.core.multiarray.scalar(dtype, bytes). */
static tola_status parse_scalar(torch_state *s, const pickle_value *v, tola_value *out, tola_error *err) {
    const pickle_value *data = pickle_item(v->as.object.args, 1);
    char text[64];
    npy_type type;
    if (!dtype_text(pickle_item(v->as.object.args, 0), text) ||
        npy_parse_type(text, strlen(text), &type, NULL) != TOLA_OK || !is_data(data) ||
        data->as.text.length != type.item_bytes)
        return text_value(s, "a numpy scalar", out, err);
    if (type.dtype == TOLA_DTYPE_OPAQUE) {
        *out = (tola_value){ .kind = TOLA_VALUE_STRING, .as.string = { data->as.text.data, data->as.text.length } };
        return TOLA_OK;
    }
    uint8_t item[16];
    memcpy(item, data->as.text.data, data->as.text.length);
    if (type.swapped) dtype_swap(type.dtype, item, data->as.text.length);
    return number_value(s, type.dtype, item, out, err);
}

/* An array of strings, records or objects: its type and shape. */
static tola_status describe_array(torch_state *s, const char *type, tola_value *out, tola_error *err) {
    char text[100];
    snprintf(text, sizeof text, "a numpy array of %.60s", type);
    return text_value(s, text, out, err);
}

static tola_status place_array(torch_state *s, const pickle_value *v, const npy_header *h, const pickle_value *data,
                               torch_tensor *t, tola_error *err) {
    uint64_t bytes, stride = 1;
    TRY(npy_data_bytes(h, &bytes, err));
    if (data->as.text.length != bytes)
        return torch_fail(s, v, err, TOLA_E_FORMAT, "a numpy array of %" PRIu64 " bytes with %zu bytes of data", bytes,
                          data->as.text.length);
    *t = (torch_tensor){ .dtype = h->type.dtype, .n_dims = h->n_dims, .swapped = h->type.swapped };
    t->storage.bytes = bytes;
    if (data->shared && s->pickle_at != TOLA_NO_OFFSET)
        t->storage.offset = s->pickle_at + data->at;
    else
        t->storage.memory = (const uint8_t *)data->as.text.data;
    memcpy(t->shape, h->shape, h->n_dims * sizeof *t->shape);
    if (h->fortran) npy_fortran_strides(h, t->strides);
    for (unsigned d = h->n_dims; d-- > 0 && !h->fortran;) {
        t->strides[d] = (int64_t)stride;
        if (bytes) stride *= h->shape[d];
    }
    return torch_check_bounds(s, v, t, err);
}

tola_status torch_parse_numpy(torch_state *s, const pickle_value *v, torch_tensor *tensor, tola_value *value,
                              bool *is_tensor, tola_error *err) {
    const pickle_value *args = v->as.object.args, *state = v->as.object.state, *type, *shape, *data;
    char text[64];
    npy_header h = { 0 };
    uint64_t fortran = 0;
    *is_tensor = false;
    switch (pickle_role_of(v)) {
    case ROLE_NUMPY_SCALAR: return parse_scalar(s, v, value, err);
    case ROLE_NUMPY_DTYPE: return text_value(s, dtype_text(v, text) ? text : "a numpy record type", value, err);
    case ROLE_FROM_BUFFER: /* (bytes, dtype, shape, "C" or "F") */
        data = pickle_item(args, 0);
        type = pickle_item(args, 1);
        shape = pickle_item(args, 2);
        fortran = pickle_is_text(pickle_item(args, 3), "F");
        break;
    default: /* the state (version, shape, dtype, is Fortran, bytes) */
        shape = pickle_item(state, 1);
        type = pickle_item(state, 2);
        data = pickle_item(state, 4);
        if (!pickle_u64(pickle_item(state, 3), &fortran)) return describe_array(s, "unknown kind", value, err);
        break;
    }
    if (!dtype_text(type, text)) return describe_array(s, "records", value, err);
    bool numbers = npy_parse_type(text, strlen(text), &h.type, NULL) == TOLA_OK && h.type.dtype != TOLA_DTYPE_OPAQUE;
    if (!numbers || !is_data(data)) return describe_array(s, text, value, err);
    TRY(torch_parse_extents(s, shape, h.shape, &h.n_dims, err));
    h.fortran = fortran != 0;
    *is_tensor = true;
    return place_array(s, v, &h, data, tensor, err);
}
