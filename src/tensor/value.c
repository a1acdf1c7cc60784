/* Reading tola_value: elements of packed arrays, members of maps, numbers whatever their width.
 * Never fails: what is not there, or does not fit, becomes the caller's fallback. */
#include <tola/value.h>

#include <string.h>

/* Element i of a packed array of numbers or bools, widened. */
static tola_value packed_number(const void *items, size_t i, tola_dtype dtype, tola_value_kind kind) {
    tola_value v = { .kind = (uint8_t)kind, .dtype = (uint16_t)dtype };
    const unsigned char *p = items;
#define LOAD(type, field)                            \
    do {                                             \
        type x;                                      \
        memcpy(&x, p + i * sizeof x, sizeof x);      \
        v.as.field = x;                              \
        return v;                                    \
    } while (0)
    switch (dtype) {
    case TOLA_DTYPE_BOOL: v.as.boolean = p[i] != 0; return v;
    case TOLA_DTYPE_U8: LOAD(uint8_t, u64);
    case TOLA_DTYPE_U16: LOAD(uint16_t, u64);
    case TOLA_DTYPE_U32: LOAD(uint32_t, u64);
    case TOLA_DTYPE_U64: LOAD(uint64_t, u64);
    case TOLA_DTYPE_I8: LOAD(int8_t, i64);
    case TOLA_DTYPE_I16: LOAD(int16_t, i64);
    case TOLA_DTYPE_I32: LOAD(int32_t, i64);
    case TOLA_DTYPE_I64: LOAD(int64_t, i64);
    case TOLA_DTYPE_F32: LOAD(float, f64);
    case TOLA_DTYPE_F64: LOAD(double, f64);
    default: return (tola_value){ .kind = TOLA_VALUE_NULL };
    }
#undef LOAD
}

tola_value tola_value_at(const tola_value *array, size_t i) {
    tola_value none = { .kind = TOLA_VALUE_NULL };
    if (!array || array->kind != TOLA_VALUE_ARRAY || i >= array->as.array.count) return none;
    const void *items = array->as.array.items;
    switch ((tola_value_kind)array->element) {
    case TOLA_VALUE_NULL: return ((const tola_value *)items)[i];
    case TOLA_VALUE_STRING:
        return (tola_value){ .kind = TOLA_VALUE_STRING, .as.string = ((const tola_string *)items)[i] };
    case TOLA_VALUE_BOOL:
    case TOLA_VALUE_INT:
    case TOLA_VALUE_UINT:
    case TOLA_VALUE_FLOAT:
        return packed_number(items, i, (tola_dtype)array->dtype, (tola_value_kind)array->element);
    default: return none;
    }
}

const tola_value *tola_value_get(const tola_value *map, const char *key) {
    if (!map || map->kind != TOLA_VALUE_MAP) return NULL;
    size_t length = strlen(key);
    for (size_t i = 0; i < map->as.map.count; i++) {
        const tola_member *m = &map->as.map.members[i];
        if (m->key.length == length && memcmp(m->key.data, key, length) == 0) return &m->value;
    }
    return NULL;
}

uint64_t tola_value_u64(const tola_value *value, uint64_t fallback) {
    if (!value) return fallback;
    switch (value->kind) {
    case TOLA_VALUE_UINT: return value->as.u64;
    case TOLA_VALUE_INT: return value->as.i64 >= 0 ? (uint64_t)value->as.i64 : fallback;
    case TOLA_VALUE_FLOAT: {
        double x = value->as.f64; /* 4096.0 says the same as 4096 */
        if (!(x >= 0 && x < 0x1p64)) return fallback;
        return (double)(uint64_t)x == x ? (uint64_t)x : fallback;
    }
    default: return fallback;
    }
}

double tola_value_f64(const tola_value *value, double fallback) {
    if (!value) return fallback;
    switch (value->kind) {
    case TOLA_VALUE_UINT: return (double)value->as.u64;
    case TOLA_VALUE_INT: return (double)value->as.i64;
    case TOLA_VALUE_FLOAT: return value->as.f64;
    default: return fallback;
    }
}

bool tola_value_bool(const tola_value *value, bool fallback) {
    return value && value->kind == TOLA_VALUE_BOOL ? value->as.boolean : fallback;
}

const char *tola_value_str(const tola_value *value, const char *fallback) {
    return value && value->kind == TOLA_VALUE_STRING ? value->as.string.data : fallback;
}
