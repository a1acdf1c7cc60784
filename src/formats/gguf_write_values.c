/* Writes metadata as GGUF entries.
 *
 * What came from a GGUF keeps its types to the bit. What came from elsewhere is put into the nearest thing that GGUF
 * has: lists of one kind become arrays, whole numbers without a width become 64-bit ones; maps and mixed lists become
 * JSON text; nulls are left out. Nested arrays, which the specification allows but llama.cpp refuses to load, are
 * written only where they were packed arrays before, which is how the GGUF reader delivers them.
 * Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "formats/gguf.h"
#include <tola/json.h>

#define AS_JSON GGUF_VALUE_TYPES /* no type of GGUF holds it */

/* ---- what an array can be ---- */

static gguf_value_type packed_type(const tola_value *v) {
    if (v->element == TOLA_VALUE_STRING) return GGUF_STRING;
    gguf_value_type type = gguf_value_for((tola_value_kind)v->element, (tola_dtype)v->dtype);
    bool exact = gguf_value_describe(type)->kind == v->element && gguf_value_describe(type)->dtype == v->dtype;
    return exact ? type : AS_JSON;
}

/* One type for numbers of several: the same, or i64, u64, f64. */
static gguf_value_type common_number(const tola_value *items, size_t count) {
    bool same = true, floats = false, negative = false, huge = false;
    for (size_t i = 0; i < count; i++) {
        same = same && items[i].kind == items[0].kind && items[i].dtype == items[0].dtype;
        floats = floats || items[i].kind == TOLA_VALUE_FLOAT;
        negative = negative || (items[i].kind == TOLA_VALUE_INT && items[i].as.i64 < 0);
        huge = huge || (items[i].kind == TOLA_VALUE_UINT && items[i].as.u64 > INT64_MAX);
    }
    if (same) return gguf_value_for((tola_value_kind)items[0].kind, (tola_dtype)items[0].dtype);
    if (floats) return GGUF_F64;
    if (!huge) return GGUF_I64;
    return negative ? AS_JSON : GGUF_U64;
}

static bool is_number(const tola_value *v) {
    return v->kind == TOLA_VALUE_INT || v->kind == TOLA_VALUE_UINT || v->kind == TOLA_VALUE_FLOAT;
}

static gguf_value_type element_type(const tola_value *v, int depth);

/* Can it stand inside another array: packed, or a list of such. */
static bool nests(const tola_value *v, int depth) {
    if (v->kind != TOLA_VALUE_ARRAY || depth >= GGUF_MAX_DEPTH) return false;
    return v->element != TOLA_VALUE_NULL ? packed_type(v) != AS_JSON : element_type(v, depth) == GGUF_ARRAY;
}

/* Type of the elements of `v`, AS_JSON where they have none in common. */
static gguf_value_type element_type(const tola_value *v, int depth) {
    if (v->element != TOLA_VALUE_NULL) return packed_type(v);
    const tola_value *items = v->as.array.items;
    size_t count = v->as.array.count, strings = 0, bools = 0, numbers = 0, arrays = 0;
    for (size_t i = 0; i < count; i++) {
        strings += items[i].kind == TOLA_VALUE_STRING;
        bools += items[i].kind == TOLA_VALUE_BOOL;
        numbers += is_number(&items[i]);
        arrays += nests(&items[i], depth + 1);
    }
    if (strings == count) return GGUF_STRING; /* an empty list of unknown kind, too */
    if (bools == count) return GGUF_BOOL;
    if (numbers == count) return common_number(items, count);
    return arrays == count ? GGUF_ARRAY : AS_JSON;
}

/* ---- bytes ---- */

static void put_string(buf *b, const char *text, size_t length) {
    buf_u64le(b, length);
    buf_append(b, text, length);
}

void gguf_write_key(buf *b, const char *key, size_t length, gguf_value_type type) {
    put_string(b, key, length);
    buf_u32le(b, type);
}

static double as_double(const tola_value *v) {
    if (v->kind == TOLA_VALUE_UINT) return (double)v->as.u64;
    return v->kind == TOLA_VALUE_INT ? (double)v->as.i64 : v->as.f64;
}

/* A bool, number or string; i64 and u64 share their bits. */
static void put_scalar(buf *b, gguf_value_type type, const tola_value *v) {
    uint32_t bits32;
    uint64_t bits64;
    float narrow;
    double wide;
    switch (type) {
    case GGUF_BOOL: buf_u8(b, v->as.boolean); break;
    case GGUF_U8:
    case GGUF_I8: buf_u8(b, (uint8_t)v->as.u64); break;
    case GGUF_U16:
    case GGUF_I16: buf_u16le(b, (uint16_t)v->as.u64); break;
    case GGUF_U32:
    case GGUF_I32: buf_u32le(b, (uint32_t)v->as.u64); break;
    case GGUF_U64:
    case GGUF_I64: buf_u64le(b, v->as.u64); break;
    case GGUF_F32:
        narrow = (float)as_double(v);
        memcpy(&bits32, &narrow, sizeof bits32);
        buf_u32le(b, bits32);
        break;
    case GGUF_F64:
        wide = as_double(v);
        memcpy(&bits64, &wide, sizeof bits64);
        buf_u64le(b, bits64);
        break;
    default: put_string(b, v->as.string.data, v->as.string.length); break;
    }
}

static void put_packed(buf *b, const tola_value *v, size_t width) {
    const uint8_t *items = v->as.array.items;
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        if (v->as.array.count) buf_append(b, items, v->as.array.count * width);
        return;
    }
    for (size_t i = 0; i < v->as.array.count; i++, items += width)
        for (size_t k = width; k-- > 0;) buf_u8(b, items[k]);
}

/* Type and length, then the elements; element_type has said that it can be done. */
static void put_array(buf *b, const tola_value *v, int depth) {
    gguf_value_type type = element_type(v, depth);
    buf_u32le(b, type);
    buf_u64le(b, v->as.array.count);
    if (v->element == TOLA_VALUE_STRING) {
        const tola_string *items = v->as.array.items;
        for (size_t i = 0; i < v->as.array.count; i++) put_string(b, items[i].data, items[i].length);
    } else if (v->element != TOLA_VALUE_NULL) {
        put_packed(b, v, gguf_value_describe(type)->bytes);
    } else {
        const tola_value *items = v->as.array.items;
        for (size_t i = 0; i < v->as.array.count; i++) {
            if (type == GGUF_ARRAY)
                put_array(b, &items[i], depth + 1);
            else
                put_scalar(b, type, &items[i]);
        }
    }
}

static tola_status put_json(buf *b, const tola_value *v, tola_error *err) {
    buf text;
    tola_json json;
    buf_init(&text, CK_MAX_HEADER);
    tola_json_init(&json, json_to_buf, &text, 0);
    tola_json_value(&json, v);
    bool done = tola_json_finish(&json), memory = !text.failed || text.full;
    if (done) put_string(b, (const char *)text.data, text.length);
    buf_free(&text);
    if (done) return TOLA_OK;
    if (!memory) return err_nomem(err, "writing metadata");
    return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "metadata too deep or too long to be written as JSON text");
}

/* ---- entries ---- */

static bool key_is(const tola_string *key, const char *name) {
    return strlen(name) == key->length && memcmp(name, key->data, key->length) == 0;
}

static tola_status write_entry(buf *b, const tola_member *m, tola_error *err) {
    const tola_value *v = &m->value;
    gguf_value_type type = gguf_value_for((tola_value_kind)v->kind, (tola_dtype)v->dtype);
    bool json = v->kind == TOLA_VALUE_MAP || (v->kind == TOLA_VALUE_ARRAY && element_type(v, 0) == AS_JSON);
    if (json) type = GGUF_STRING;
    if (key_is(&m->key, "general.alignment")) type = GGUF_U32; /* readers insist; the writer has checked the number */
    gguf_write_key(b, m->key.data, m->key.length, type);
    if (json) return put_json(b, v, err);
    if (type == GGUF_ARRAY)
        put_array(b, v, 0);
    else
        put_scalar(b, type, v);
    return TOLA_OK;
}

/* What a container says about itself does not pass into another; the writer says it anew where it is so. */
static bool describes_container(const tola_member *m) {
    bool number = m->value.kind == TOLA_VALUE_UINT || m->value.kind == TOLA_VALUE_INT;
    return key_is(&m->key, "split.no") || key_is(&m->key, "split.count") || key_is(&m->key, "split.tensors.count") ||
           (key_is(&m->key, "general.alignment") && !number);
}

static tola_status check_key(const tola_string *key, gguf_set *seen, tola_error *err) {
    char quoted[200];
    text_quote(quoted, sizeof quoted, key->data, key->length);
    if (key->length == 0 || key->length > GGUF_MAX_KEY)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "metadata key '%s' has %zu bytes; gguf allows 1 to %d", quoted, key->length, GGUF_MAX_KEY);
    if (!utf8_valid(key->data, key->length) || memchr(key->data, 0, key->length))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "metadata key '%s' is not text", quoted);
    if (!gguf_set_add(seen, key->data, key->length))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "metadata key '%s' occurs twice", quoted);
    return TOLA_OK;
}

static tola_status write_members(buf *b, const tola_value *map, gguf_set *seen, uint64_t *count, tola_error *err) {
    for (size_t i = 0; i < map->as.map.count; i++) {
        const tola_member *m = &map->as.map.members[i];
        if (m->value.kind == TOLA_VALUE_NULL || describes_container(m)) continue;
        TRY(check_key(&m->key, seen, err));
        TRY(write_entry(b, m, err));
        ++*count;
    }
    return TOLA_OK;
}

tola_status gguf_write_values(buf *b, const tola_value *metadata, uint64_t *count, tola_error *err) {
    *count = 0;
    if (!metadata || metadata->kind != TOLA_VALUE_MAP) return TOLA_OK;
    if (metadata->as.map.count > GGUF_MAX_VALUES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%zu metadata entries; at most %u are written",
                       metadata->as.map.count, GGUF_MAX_VALUES);
    gguf_set seen;
    if (!gguf_set_init(&seen, metadata->as.map.count)) return err_nomem(err, "writing metadata");
    tola_status status = write_members(b, metadata, &seen, count, err);
    gguf_set_free(&seen);
    return status;
}
