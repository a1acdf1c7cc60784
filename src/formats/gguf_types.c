/* The types of metadata values, and the element types that GGUF once had.
 *
 * Numbers: enum gguf_type and enum ggml_type in ggml/include/gguf.h and ggml.h of
 * https://github.com/ggml-org/llama.cpp. Today's element types are in src/tensor/dtype.c. */
#include "formats/gguf.h"

static const gguf_value_info value_types[GGUF_VALUE_TYPES] = {
    [GGUF_U8] = { "u8", 1, TOLA_VALUE_UINT, TOLA_DTYPE_U8 },
    [GGUF_I8] = { "i8", 1, TOLA_VALUE_INT, TOLA_DTYPE_I8 },
    [GGUF_U16] = { "u16", 2, TOLA_VALUE_UINT, TOLA_DTYPE_U16 },
    [GGUF_I16] = { "i16", 2, TOLA_VALUE_INT, TOLA_DTYPE_I16 },
    [GGUF_U32] = { "u32", 4, TOLA_VALUE_UINT, TOLA_DTYPE_U32 },
    [GGUF_I32] = { "i32", 4, TOLA_VALUE_INT, TOLA_DTYPE_I32 },
    [GGUF_F32] = { "f32", 4, TOLA_VALUE_FLOAT, TOLA_DTYPE_F32 },
    [GGUF_BOOL] = { "bool", 1, TOLA_VALUE_BOOL, TOLA_DTYPE_BOOL },
    [GGUF_STRING] = { "string", 8, TOLA_VALUE_STRING, TOLA_DTYPE_NONE },
    [GGUF_ARRAY] = { "array", 12, TOLA_VALUE_ARRAY, TOLA_DTYPE_NONE },
    [GGUF_U64] = { "u64", 8, TOLA_VALUE_UINT, TOLA_DTYPE_U64 },
    [GGUF_I64] = { "i64", 8, TOLA_VALUE_INT, TOLA_DTYPE_I64 },
    [GGUF_F64] = { "f64", 8, TOLA_VALUE_FLOAT, TOLA_DTYPE_F64 },
};

const gguf_value_info *gguf_value_describe(uint32_t type) {
    return type < GGUF_VALUE_TYPES ? &value_types[type] : NULL;
}

gguf_value_type gguf_value_for(tola_value_kind kind, tola_dtype dtype) {
    if (kind == TOLA_VALUE_BOOL) return GGUF_BOOL;
    for (unsigned i = 0; i < GGUF_VALUE_TYPES; i++)
        if (value_types[i].kind == kind && value_types[i].dtype == dtype) return (gguf_value_type)i;
    switch (kind) {
    case TOLA_VALUE_INT: return GGUF_I64;
    case TOLA_VALUE_UINT: return GGUF_U64;
    case TOLA_VALUE_FLOAT: return GGUF_F64;
    case TOLA_VALUE_ARRAY: return GGUF_ARRAY;
    default: return GGUF_STRING;
    }
}

/* ---- element types ---- */

static const struct {
    uint32_t id;
    const char *name;
} removed_types[] = {
    { 4, "q4_2" },      { 5, "q4_3" },        { 31, "q4_0_4_4" },   { 32, "q4_0_4_8" },
    { 33, "q4_0_8_8" }, { 36, "iq4_nl_4_4" }, { 37, "iq4_nl_4_8" }, { 38, "iq4_nl_8_8" },
};

const char *gguf_removed_type(uint32_t id) {
    for (size_t i = 0; i < sizeof removed_types / sizeof removed_types[0]; i++)
        if (removed_types[i].id == id) return removed_types[i].name;
    return NULL;
}
