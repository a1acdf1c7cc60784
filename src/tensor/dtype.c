/* The table of element types.
 *
 * Scalars: names and sizes of safetensors (https://github.com/huggingface/safetensors, "format") and of the OCP
 * Microscaling specification v1.0. Block types: the struct sizes of ggml-common.h
 * (https://github.com/ggml-org/ggml); ids as in the GGUF specification's ggml_type. */
#include "tensor/dtype.h"

#include <string.h>

#define SCALAR(n, k, bytes, st, gg) { n, k, 1, 1, bytes, st, gg, { { bytes, 1, 0 } } }
#define PACKED(n, k, elements, bytes, st) { n, k, 1, elements, bytes, st, -1, { { 0, 0, 0 } } }
#define BLOCK(n, elements, bytes, gg, ...) { n, TOLA_KIND_BLOCK, 1, elements, bytes, NULL, gg, { __VA_ARGS__ } }
/* Blocks of which no byte order but little-endian is defined, see below. */
#define LITTLE(n, elements, bytes, gg) { n, TOLA_KIND_BLOCK, 0, elements, bytes, NULL, gg, { NOTHING } }
#define NO_TYPE { "?", TOLA_KIND_NONE, 0, 1, 0, NULL, -1, { NOTHING } }
#define F16_AT(offset) { 2, 1, offset }
#define NOTHING { 0, 0, 0 }

/* Byte order of blocks: what ggml's own code makes of the structs. Half-precision scales are 16-bit words; qh of q5_0 and
 * q5_1, declared as bytes, is written and read as one 32-bit word (ggml-quants.c). The iq1, iq2 and iq3 types have no
 * big-endian form: their values come from tables of 64- and 32-bit words that ggml reads byte by byte, so that a
 * big-endian machine would write them in one order and read them in another; gguf-py's gguf_convert_endian.py refuses
 * them, too. */
static const dtype_row rows[TOLA_DTYPE_COUNT] = {
    [TOLA_DTYPE_NONE] = NO_TYPE,
    [TOLA_DTYPE_OPAQUE] = { "opaque", TOLA_KIND_OPAQUE, 0, 1, 1, NULL, -1, { NOTHING } },
    [TOLA_DTYPE_BOOL] = SCALAR("bool", TOLA_KIND_BOOL, 1, "BOOL", -1),
    [TOLA_DTYPE_U8] = SCALAR("u8", TOLA_KIND_UINT, 1, "U8", -1),
    [TOLA_DTYPE_I8] = SCALAR("i8", TOLA_KIND_INT, 1, "I8", 24),
    [TOLA_DTYPE_U16] = SCALAR("u16", TOLA_KIND_UINT, 2, "U16", -1),
    [TOLA_DTYPE_I16] = SCALAR("i16", TOLA_KIND_INT, 2, "I16", 25),
    [TOLA_DTYPE_U32] = SCALAR("u32", TOLA_KIND_UINT, 4, "U32", -1),
    [TOLA_DTYPE_I32] = SCALAR("i32", TOLA_KIND_INT, 4, "I32", 26),
    [TOLA_DTYPE_U64] = SCALAR("u64", TOLA_KIND_UINT, 8, "U64", -1),
    [TOLA_DTYPE_I64] = SCALAR("i64", TOLA_KIND_INT, 8, "I64", 27),
    [TOLA_DTYPE_U4] = PACKED("u4", TOLA_KIND_UINT, 2, 1, NULL),
    [TOLA_DTYPE_I4] = PACKED("i4", TOLA_KIND_INT, 2, 1, NULL),
    [TOLA_DTYPE_U2] = PACKED("u2", TOLA_KIND_UINT, 4, 1, NULL),
    [TOLA_DTYPE_I2] = PACKED("i2", TOLA_KIND_INT, 4, 1, NULL),
    [15] = NO_TYPE,
    [TOLA_DTYPE_F64] = SCALAR("f64", TOLA_KIND_FLOAT, 8, "F64", 28),
    [TOLA_DTYPE_F32] = SCALAR("f32", TOLA_KIND_FLOAT, 4, "F32", 0),
    [TOLA_DTYPE_F16] = SCALAR("f16", TOLA_KIND_FLOAT, 2, "F16", 1),
    [TOLA_DTYPE_BF16] = SCALAR("bf16", TOLA_KIND_FLOAT, 2, "BF16", 30),
    [TOLA_DTYPE_F8_E4M3] = SCALAR("f8_e4m3", TOLA_KIND_FLOAT, 1, "F8_E4M3", -1),
    [TOLA_DTYPE_F8_E5M2] = SCALAR("f8_e5m2", TOLA_KIND_FLOAT, 1, "F8_E5M2", -1),
    [TOLA_DTYPE_F8_E4M3FNUZ] = SCALAR("f8_e4m3fnuz", TOLA_KIND_FLOAT, 1, "F8_E4M3FNUZ", -1),
    [TOLA_DTYPE_F8_E5M2FNUZ] = SCALAR("f8_e5m2fnuz", TOLA_KIND_FLOAT, 1, "F8_E5M2FNUZ", -1),
    [TOLA_DTYPE_F8_E8M0] = SCALAR("f8_e8m0", TOLA_KIND_FLOAT, 1, "F8_E8M0", -1),
    [TOLA_DTYPE_F6_E2M3] = PACKED("f6_e2m3", TOLA_KIND_FLOAT, 4, 3, "F6_E2M3"),
    [TOLA_DTYPE_F6_E3M2] = PACKED("f6_e3m2", TOLA_KIND_FLOAT, 4, 3, "F6_E3M2"),
    [TOLA_DTYPE_F4] = PACKED("f4", TOLA_KIND_FLOAT, 2, 1, "F4"),
    [TOLA_DTYPE_C32] = { "c32", TOLA_KIND_COMPLEX, 1, 1, 4, NULL, -1, { { 2, 2, 0 } } },
    [TOLA_DTYPE_C64] = { "c64", TOLA_KIND_COMPLEX, 1, 1, 8, "C64", -1, { { 4, 2, 0 } } },
    [TOLA_DTYPE_C128] = { "c128", TOLA_KIND_COMPLEX, 1, 1, 16, NULL, -1, { { 8, 2, 0 } } },
    [31] = NO_TYPE,
    [TOLA_DTYPE_Q4_0] = BLOCK("q4_0", 32, 18, 2, F16_AT(0)),            /* d, qs[16] */
    [TOLA_DTYPE_Q4_1] = BLOCK("q4_1", 32, 20, 3, { 2, 2, 0 }),          /* d, m, qs[16] */
    [TOLA_DTYPE_Q5_0] = BLOCK("q5_0", 32, 22, 6, F16_AT(0), { 4, 1, 2 }),   /* d, qh (32 bits), qs[16] */
    [TOLA_DTYPE_Q5_1] = BLOCK("q5_1", 32, 24, 7, { 2, 2, 0 }, { 4, 1, 4 }), /* d, m, qh (32 bits), qs[16] */
    [TOLA_DTYPE_Q8_0] = BLOCK("q8_0", 32, 34, 8, F16_AT(0)),            /* d, qs[32] */
    [TOLA_DTYPE_Q8_1] = BLOCK("q8_1", 32, 36, 9, { 2, 2, 0 }),          /* d, s, qs[32] */
    [TOLA_DTYPE_Q2_K] = BLOCK("q2_k", 256, 84, 10, { 2, 2, 80 }),       /* scales[16], qs[64], d, dmin */
    [TOLA_DTYPE_Q3_K] = BLOCK("q3_k", 256, 110, 11, F16_AT(108)),       /* hmask[32], qs[64], scales[12], d */
    [TOLA_DTYPE_Q4_K] = BLOCK("q4_k", 256, 144, 12, { 2, 2, 0 }),       /* d, dmin, scales[12], qs[128] */
    [TOLA_DTYPE_Q5_K] = BLOCK("q5_k", 256, 176, 13, { 2, 2, 0 }),       /* d, dmin, scales[12], qh[32], qs[128] */
    [TOLA_DTYPE_Q6_K] = BLOCK("q6_k", 256, 210, 14, F16_AT(208)),       /* ql[128], qh[64], scales[16], d */
    [TOLA_DTYPE_Q8_K] = BLOCK("q8_k", 256, 292, 15, { 4, 1, 0 }, { 2, 16, 260 }), /* f32 d, qs[256], i16 bsums[16] */
    [TOLA_DTYPE_IQ2_XXS] = LITTLE("iq2_xxs", 256, 66, 16),              /* d, u16 qs[32] */
    [TOLA_DTYPE_IQ2_XS] = LITTLE("iq2_xs", 256, 74, 17),                /* d, u16 qs[32], scales[8] */
    [TOLA_DTYPE_IQ3_XXS] = LITTLE("iq3_xxs", 256, 98, 18),              /* d, qs[96] */
    [TOLA_DTYPE_IQ1_S] = LITTLE("iq1_s", 256, 50, 19),                  /* d, qs[32], u16 qh[8] */
    [TOLA_DTYPE_IQ4_NL] = BLOCK("iq4_nl", 32, 18, 20, F16_AT(0)),       /* d, qs[16] */
    [TOLA_DTYPE_IQ3_S] = LITTLE("iq3_s", 256, 110, 21),                 /* d, qs[64], qh[8], signs[32], scales[4] */
    [TOLA_DTYPE_IQ2_S] = LITTLE("iq2_s", 256, 82, 22),                  /* d, qs[64], qh[8], scales[8] */
    [TOLA_DTYPE_IQ4_XS] = BLOCK("iq4_xs", 256, 136, 23, { 2, 2, 0 }),   /* d, u16 scales_h, scales_l[4], qs[128] */
    [TOLA_DTYPE_IQ1_M] = LITTLE("iq1_m", 256, 56, 29),                  /* qs[32], qh[16], scales[8], all bytes */
    [TOLA_DTYPE_TQ1_0] = BLOCK("tq1_0", 256, 54, 34, F16_AT(52)),       /* qs[48], qh[4], d */
    [TOLA_DTYPE_TQ2_0] = BLOCK("tq2_0", 256, 66, 35, F16_AT(64)),       /* qs[64], d */
    [TOLA_DTYPE_MXFP4] = BLOCK("mxfp4", 32, 17, 39, NOTHING),           /* e8m0 e, qs[16] */
    [TOLA_DTYPE_NVFP4] = BLOCK("nvfp4", 64, 36, 40, NOTHING),           /* ue4m3 d[4], qs[32] */
    [TOLA_DTYPE_Q1_0] = BLOCK("q1_0", 128, 18, 41, F16_AT(0)),          /* d, qs[16] */
    [TOLA_DTYPE_Q2_0] = BLOCK("q2_0", 64, 18, 42, F16_AT(0)),           /* d, qs[16] */
};

const dtype_row *dtype_get(tola_dtype dtype) {
    return &rows[(unsigned)dtype < TOLA_DTYPE_COUNT ? dtype : TOLA_DTYPE_NONE];
}

const char *tola_dtype_name(tola_dtype dtype) { return dtype_get(dtype)->name; }
tola_dtype_kind tola_dtype_get_kind(tola_dtype dtype) { return (tola_dtype_kind)dtype_get(dtype)->kind; }
uint32_t tola_dtype_block_elements(tola_dtype dtype) { return dtype_get(dtype)->block_elements; }
uint32_t tola_dtype_block_bytes(tola_dtype dtype) { return dtype_get(dtype)->block_bytes; }

double tola_dtype_bits(tola_dtype dtype) {
    const dtype_row *row = dtype_get(dtype);
    return row->block_bytes * 8.0 / row->block_elements;
}

tola_status tola_dtype_size(tola_dtype dtype, uint64_t elements, uint64_t *bytes) {
    const dtype_row *row = dtype_get(dtype);
    if (row->kind == TOLA_KIND_NONE || elements % row->block_elements != 0) return TOLA_E_FORMAT;
    uint64_t size;
    if (__builtin_mul_overflow(elements / row->block_elements, (uint64_t)row->block_bytes, &size) || size > INT64_MAX)
        return TOLA_E_LIMIT;
    *bytes = size;
    return TOLA_OK;
}

tola_dtype dtype_from_safetensors(const char *name, size_t length) {
    for (unsigned i = 0; i < TOLA_DTYPE_COUNT; i++) {
        const char *known = rows[i].safetensors;
        if (known && strlen(known) == length && memcmp(known, name, length) == 0) return (tola_dtype)i;
    }
    return TOLA_DTYPE_NONE;
}

tola_dtype dtype_from_ggml(uint32_t id) {
    for (unsigned i = 0; i < TOLA_DTYPE_COUNT; i++)
        if (rows[i].ggml >= 0 && (uint32_t)rows[i].ggml == id) return (tola_dtype)i;
    return TOLA_DTYPE_NONE;
}

tola_dtype tola_dtype_parse(const char *name) {
    static const struct { const char *name; uint8_t dtype; } others[] = {
        { "fp64", TOLA_DTYPE_F64 }, { "float64", TOLA_DTYPE_F64 }, { "double", TOLA_DTYPE_F64 },
        { "fp32", TOLA_DTYPE_F32 }, { "float32", TOLA_DTYPE_F32 }, { "float", TOLA_DTYPE_F32 },
        { "fp16", TOLA_DTYPE_F16 }, { "float16", TOLA_DTYPE_F16 }, { "half", TOLA_DTYPE_F16 },
        { "bfloat16", TOLA_DTYPE_BF16 }, { "fp8", TOLA_DTYPE_F8_E4M3 }, { "f8", TOLA_DTYPE_F8_E4M3 },
        { "fp8_e4m3", TOLA_DTYPE_F8_E4M3 }, { "float8_e4m3fn", TOLA_DTYPE_F8_E4M3 },
        { "f8_e4m3fn", TOLA_DTYPE_F8_E4M3 }, { "e4m3", TOLA_DTYPE_F8_E4M3 }, { "e4m3fn", TOLA_DTYPE_F8_E4M3 },
        { "fp8_e5m2", TOLA_DTYPE_F8_E5M2 }, { "float8_e5m2", TOLA_DTYPE_F8_E5M2 }, { "e5m2", TOLA_DTYPE_F8_E5M2 },
        { "float8_e4m3fnuz", TOLA_DTYPE_F8_E4M3FNUZ }, { "float8_e5m2fnuz", TOLA_DTYPE_F8_E5M2FNUZ },
        { "float8_e8m0fnu", TOLA_DTYPE_F8_E8M0 }, { "e8m0", TOLA_DTYPE_F8_E8M0 },
        { "float6_e2m3fn", TOLA_DTYPE_F6_E2M3 }, { "float6_e3m2fn", TOLA_DTYPE_F6_E3M2 },
        { "fp4", TOLA_DTYPE_F4 }, { "f4_e2m1", TOLA_DTYPE_F4 }, { "float4_e2m1fn", TOLA_DTYPE_F4 },
        { "int8", TOLA_DTYPE_I8 }, { "int16", TOLA_DTYPE_I16 }, { "short", TOLA_DTYPE_I16 },
        { "int32", TOLA_DTYPE_I32 }, { "int", TOLA_DTYPE_I32 }, { "int64", TOLA_DTYPE_I64 },
        { "long", TOLA_DTYPE_I64 }, { "uint8", TOLA_DTYPE_U8 }, { "byte", TOLA_DTYPE_U8 },
        { "uint16", TOLA_DTYPE_U16 }, { "uint32", TOLA_DTYPE_U32 }, { "uint64", TOLA_DTYPE_U64 },
        { "int4", TOLA_DTYPE_I4 }, { "uint4", TOLA_DTYPE_U4 }, { "int2", TOLA_DTYPE_I2 }, { "uint2", TOLA_DTYPE_U2 },
        { "boolean", TOLA_DTYPE_BOOL }, { "complex64", TOLA_DTYPE_C64 }, { "complex128", TOLA_DTYPE_C128 },
        { "complex32", TOLA_DTYPE_C32 },
    };
    char lower[24];
    size_t n = strlen(name);
    if (n == 0 || n >= sizeof lower) return TOLA_DTYPE_NONE;
    for (size_t i = 0; i <= n; i++) lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    const char *p = strncmp(lower, "torch.", 6) == 0 ? lower + 6 : lower;
    for (unsigned i = 1; i < TOLA_DTYPE_COUNT; i++)
        if (rows[i].kind != TOLA_KIND_NONE && strcmp(rows[i].name, p) == 0) return (tola_dtype)i;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].name, p) == 0) return (tola_dtype)others[i].dtype;
    return TOLA_DTYPE_NONE;
}

static void reverse(uint8_t *p, unsigned width) {
    for (unsigned i = 0, j = width - 1; i < j; i++, j--) {
        uint8_t t = p[i];
        p[i] = p[j];
        p[j] = t;
    }
}

bool dtype_swap(tola_dtype dtype, void *data, size_t bytes) {
    const dtype_row *row = dtype_get(dtype);
    if (!row->swap_known || row->block_bytes == 0 || bytes % row->block_bytes != 0) return false;
    uint8_t *end = (uint8_t *)data + bytes;
    for (uint8_t *block = data; block < end; block += row->block_bytes)
        for (size_t f = 0; f < sizeof row->fields / sizeof *row->fields; f++)
            for (unsigned k = 0; k < row->fields[f].count && row->fields[f].width > 1; k++)
                reverse(block + row->fields[f].offset + k * row->fields[f].width, row->fields[f].width);
    return true;
}
