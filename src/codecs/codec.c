/* Any number type to any other: decode to a working type, encode from it, a block at a time on the stack; pairs with a
 * kernel of their own skip the blocks. The rules stand in codec.h, the floating-point arithmetic in kernels/cast. */
#include "codecs/codec.h"
#include "kernels/cast/cast.h"
#include "kernels/cast/scalar.h"
#include "kernels/dequantize/dequantize.h"
#include "kernels/quantize/quantize.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define BLOCK 1024 /* elements; a multiple of every block_elements */

/* In what a decoded block lies. Each is exact for the types that decode to it. */
typedef enum work { WORK_F32, WORK_F64, WORK_I64, WORK_U64 } work;

typedef union block {
    float f32[BLOCK];
    double f64[BLOCK];
    int64_t i64[BLOCK];
    uint64_t u64[BLOCK];
} block;

static const cast_small *small_type(tola_dtype dtype) {
    switch (dtype) {
    case TOLA_DTYPE_F8_E4M3: return &cast_e4m3;
    case TOLA_DTYPE_F8_E5M2: return &cast_e5m2;
    case TOLA_DTYPE_F8_E4M3FNUZ: return &cast_e4m3fnuz;
    case TOLA_DTYPE_F8_E5M2FNUZ: return &cast_e5m2fnuz;
    case TOLA_DTYPE_F6_E2M3: return &cast_e2m3;
    case TOLA_DTYPE_F6_E3M2: return &cast_e3m2;
    case TOLA_DTYPE_F4: return &cast_e2m1;
    default: return NULL;
    }
}

/* ---- elements smaller than a byte ---- */

static unsigned element_bits(tola_dtype dtype) {
    switch (dtype) {
    case TOLA_DTYPE_U4:
    case TOLA_DTYPE_I4:
    case TOLA_DTYPE_F4: return 4;
    case TOLA_DTYPE_U2:
    case TOLA_DTYPE_I2: return 2;
    case TOLA_DTYPE_F6_E2M3:
    case TOLA_DTYPE_F6_E3M2: return 6;
    default: return 8;
    }
}

/* Codes of `bits` bits, least significant first, to one a byte. n fills whole bytes. */
static void unpack(unsigned bits, const uint8_t *src, uint8_t *dst, size_t n) {
    if (bits == 6) { /* four in three bytes */
        for (size_t i = 0; i + 4 <= n; i += 4, src += 3) {
            uint32_t v = src[0] | (uint32_t)src[1] << 8 | (uint32_t)src[2] << 16;
            for (unsigned k = 0; k < 4; k++) dst[i + k] = v >> (6 * k) & 0x3f;
        }
        return;
    }
    unsigned per_byte = 8 / bits, mask = (1u << bits) - 1;
    for (size_t i = 0; i + per_byte <= n; i += per_byte, src++)
        for (unsigned k = 0; k < per_byte; k++) dst[i + k] = (uint8_t)(*src >> (bits * k) & mask);
}

static void pack(unsigned bits, const uint8_t *src, uint8_t *dst, size_t n) {
    if (bits == 6) {
        for (size_t i = 0; i + 4 <= n; i += 4, dst += 3) {
            uint32_t v = 0;
            for (unsigned k = 0; k < 4; k++) v |= (uint32_t)(src[i + k] & 0x3f) << (6 * k);
            dst[0] = (uint8_t)v;
            dst[1] = (uint8_t)(v >> 8);
            dst[2] = (uint8_t)(v >> 16);
        }
        return;
    }
    unsigned per_byte = 8 / bits, mask = (1u << bits) - 1;
    for (size_t i = 0; i + per_byte <= n; i += per_byte, dst++) {
        unsigned v = 0;
        for (unsigned k = 0; k < per_byte; k++) v |= (src[i + k] & mask) << (bits * k);
        *dst = (uint8_t)v;
    }
}

/* ---- decoding ---- */

static work decode_integers(tola_dtype from, const uint8_t *src, block *out, size_t n) {
    uint8_t codes[BLOCK];
    int64_t *to = out->i64;
    unsigned bits = element_bits(from);
#define WIDEN(type)                                                  \
    do {                                                             \
        for (size_t i = 0; i < n; i++) {                             \
            type x;                                                  \
            memcpy(&x, src + i * sizeof x, sizeof x);                \
            to[i] = (int64_t)x;                                      \
        }                                                            \
        return WORK_I64;                                             \
    } while (0)
    switch (from) {
    case TOLA_DTYPE_BOOL:
        for (size_t i = 0; i < n; i++) to[i] = src[i] != 0;
        return WORK_I64;
    case TOLA_DTYPE_U8: WIDEN(uint8_t);
    case TOLA_DTYPE_I8: WIDEN(int8_t);
    case TOLA_DTYPE_U16: WIDEN(uint16_t);
    case TOLA_DTYPE_I16: WIDEN(int16_t);
    case TOLA_DTYPE_U32: WIDEN(uint32_t);
    case TOLA_DTYPE_I32: WIDEN(int32_t);
    case TOLA_DTYPE_I64: memcpy(to, src, n * 8); return WORK_I64;
    case TOLA_DTYPE_U64: memcpy(to, src, n * 8); return WORK_U64;
    case TOLA_DTYPE_U4:
    case TOLA_DTYPE_U2:
        unpack(bits, src, codes, n);
        for (size_t i = 0; i < n; i++) to[i] = codes[i];
        return WORK_I64;
    default: /* I4, I2 */
        unpack(bits, src, codes, n);
        for (size_t i = 0; i < n; i++) to[i] = codes[i] >> (bits - 1) ? codes[i] - (1 << bits) : codes[i];
        return WORK_I64;
    }
#undef WIDEN
}

static work decode(tola_dtype from, const uint8_t *src, block *out, size_t n) {
    const cast_kernels *k = cast_get();
    const cast_small *small = small_type(from);
    uint8_t codes[BLOCK];
    dequantize_fn dequantize = dequantize_get(from);
    if (dequantize) {
        dequantize(src, out->f32, n);
        return WORK_F32;
    }
    switch (from) {
    case TOLA_DTYPE_F64: memcpy(out->f64, src, n * 8); return WORK_F64;
    case TOLA_DTYPE_F32: memcpy(out->f32, src, n * 4); return WORK_F32;
    case TOLA_DTYPE_F16: k->f16_to_f32(src, out->f32, n, false); return WORK_F32;
    case TOLA_DTYPE_BF16: k->bf16_to_f32(src, out->f32, n, false); return WORK_F32;
    case TOLA_DTYPE_F8_E4M3: k->e4m3_to_f32(src, out->f32, n, false); return WORK_F32;
    case TOLA_DTYPE_F8_E5M2: k->e5m2_to_f32(src, out->f32, n, false); return WORK_F32;
    case TOLA_DTYPE_F8_E8M0: cast_e8m0_to_f32(src, out->f32, n); return WORK_F32;
    default: break;
    }
    if (!small) return decode_integers(from, src, out, n);
    if (small->bits < 8) {
        unpack(small->bits, src, codes, n);
        src = codes;
    }
    cast_small_to_f32(small, src, out->f32, n);
    return WORK_F32;
}

/* ---- encoding floats ---- */

/* Rounded to odd (see cast.h), so that a second rounding to at most 51 bits gives what one alone would. */
static double u64_to_f64_odd(uint64_t x) {
    unsigned drop = x >> 53 ? 11u - (unsigned)__builtin_clzll(x) : 0;
    uint64_t kept = x >> drop << drop;
    if (kept != x) kept |= UINT64_C(1) << drop;
    return (double)kept;
}

static double i64_to_f64_odd(int64_t x) {
    return x < 0 ? -u64_to_f64_odd(0 - (uint64_t)x) : u64_to_f64_odd((uint64_t)x);
}

/* The block as f32 for a type narrower than f32; in place, except that f32 is there already. */
static const float *to_f32_odd(work w, const block *in, block *out, size_t n) {
    if (w == WORK_F32) return in->f32;
    block wide;
    const double *x = in->f64;
    if (w == WORK_I64) {
        for (size_t i = 0; i < n; i++) wide.f64[i] = i64_to_f64_odd(in->i64[i]);
        x = wide.f64;
    } else if (w == WORK_U64) {
        for (size_t i = 0; i < n; i++) wide.f64[i] = u64_to_f64_odd(in->u64[i]);
        x = wide.f64;
    }
    cast_f64_to_f32_odd(x, out->f32, n);
    return out->f32;
}

static uint64_t encode_f32(work w, const block *in, uint8_t *dst, size_t n, bool saturate) {
    block out;
    switch (w) {
    case WORK_F32: memcpy(dst, in->f32, n * 4); return 0;
    case WORK_F64: return cast_get()->f64_to_f32(in->f64, dst, n, saturate);
    case WORK_I64:
        for (size_t i = 0; i < n; i++) out.f32[i] = (float)in->i64[i];
        break;
    default:
        for (size_t i = 0; i < n; i++) out.f32[i] = (float)in->u64[i];
        break;
    }
    memcpy(dst, out.f32, n * 4);
    return 0;
}

static void encode_f64(work w, const block *in, uint8_t *dst, size_t n) {
    block out;
    switch (w) {
    case WORK_F32: cast_get()->f32_to_f64(in->f32, dst, n, false); return;
    case WORK_F64: memcpy(dst, in->f64, n * 8); return;
    case WORK_I64:
        for (size_t i = 0; i < n; i++) out.f64[i] = (double)in->i64[i];
        break;
    default:
        for (size_t i = 0; i < n; i++) out.f64[i] = (double)in->u64[i];
        break;
    }
    memcpy(dst, out.f64, n * 8);
}

static uint64_t encode_narrow(tola_dtype to, work w, const block *in, uint8_t *dst, size_t n, bool saturate) {
    block odd;
    uint8_t codes[BLOCK];
    const cast_kernels *k = cast_get();
    const float *x = to_f32_odd(w, in, &odd, n);
    if (to == TOLA_DTYPE_F16) return k->f32_to_f16(x, dst, n, saturate);
    if (to == TOLA_DTYPE_BF16) return k->f32_to_bf16(x, dst, n, saturate);
    if (to == TOLA_DTYPE_F8_E8M0) return cast_f32_to_e8m0(x, dst, n, saturate);
    const cast_small *small = small_type(to);
    if (small->bits == 8) return k->f32_to_small(small, x, dst, n, saturate);
    uint64_t overflowed = k->f32_to_small(small, x, codes, n, saturate);
    pack(small->bits, codes, dst, n);
    return overflowed;
}

/* ---- encoding integers ---- */

typedef struct range {
    int64_t low;
    uint64_t high;
} range;

static range range_of(tola_dtype dtype) {
    switch (dtype) {
    case TOLA_DTYPE_U8: return (range){ 0, UINT8_MAX };
    case TOLA_DTYPE_I8: return (range){ INT8_MIN, INT8_MAX };
    case TOLA_DTYPE_U16: return (range){ 0, UINT16_MAX };
    case TOLA_DTYPE_I16: return (range){ INT16_MIN, INT16_MAX };
    case TOLA_DTYPE_U32: return (range){ 0, UINT32_MAX };
    case TOLA_DTYPE_I32: return (range){ INT32_MIN, INT32_MAX };
    case TOLA_DTYPE_U64: return (range){ 0, UINT64_MAX };
    case TOLA_DTYPE_I64: return (range){ INT64_MIN, INT64_MAX };
    case TOLA_DTYPE_U4: return (range){ 0, 15 };
    case TOLA_DTYPE_I4: return (range){ -8, 7 };
    case TOLA_DTYPE_U2: return (range){ 0, 3 };
    default: return (range){ -2, 1 }; /* I2 */
    }
}

/* x rounded and clamped to r, in two's complement. */
static uint64_t clamp_float(double x, range r, uint64_t *overflowed) {
    if (x != x) return 0;
    double whole = rint(x); /* to even, in the rounding mode that C starts with */
    /* 2^63 - 1 and 2^64 - 1 are no doubles: what reaches the power above them is beyond. */
    bool above = r.high > INT64_MAX - 1 ? whole >= (r.high == UINT64_MAX ? 0x1p64 : 0x1p63) : whole > (double)r.high;
    bool below = whole < (double)r.low;
    if (above || below) {
        *overflowed += fabs(x) < INFINITY;
        return above ? r.high : (uint64_t)r.low;
    }
    return whole < 0 ? (uint64_t)(int64_t)whole : (uint64_t)whole;
}

static uint64_t clamp_i64(int64_t x, range r, uint64_t *overflowed) {
    bool above = x > 0 && (uint64_t)x > r.high, below = x < r.low;
    *overflowed += above || below;
    return above ? r.high : below ? (uint64_t)r.low : (uint64_t)x;
}

static uint64_t clamp_u64(uint64_t x, range r, uint64_t *overflowed) {
    bool above = x > r.high;
    *overflowed += above;
    return above ? r.high : x;
}

static uint64_t clamp_block(work w, const block *in, range r, uint64_t *out, size_t n) {
    uint64_t overflowed = 0;
    switch (w) {
    case WORK_F32:
        for (size_t i = 0; i < n; i++) out[i] = clamp_float((double)in->f32[i], r, &overflowed);
        break;
    case WORK_F64:
        for (size_t i = 0; i < n; i++) out[i] = clamp_float(in->f64[i], r, &overflowed);
        break;
    case WORK_I64:
        for (size_t i = 0; i < n; i++) out[i] = clamp_i64(in->i64[i], r, &overflowed);
        break;
    default:
        for (size_t i = 0; i < n; i++) out[i] = clamp_u64(in->u64[i], r, &overflowed);
        break;
    }
    return overflowed;
}

static void encode_bool(work w, const block *in, uint8_t *dst, size_t n) {
    if (w == WORK_F32) {
        for (size_t i = 0; i < n; i++) dst[i] = in->f32[i] != 0;
    } else if (w == WORK_F64) {
        for (size_t i = 0; i < n; i++) dst[i] = in->f64[i] != 0;
    } else {
        for (size_t i = 0; i < n; i++) dst[i] = in->u64[i] != 0;
    }
}

static uint64_t encode_integers(tola_dtype to, work w, const block *in, uint8_t *dst, size_t n) {
    uint64_t clamped[BLOCK];
    uint8_t codes[BLOCK];
    uint64_t overflowed = clamp_block(w, in, range_of(to), clamped, n);
    unsigned bits = element_bits(to);
    if (bits < 8) {
        for (size_t i = 0; i < n; i++) codes[i] = (uint8_t)clamped[i];
        pack(bits, codes, dst, n);
        return overflowed;
    }
    size_t width = tola_dtype_block_bytes(to);
#define NARROW(type)                                                   \
    for (size_t i = 0; i < n; i++) {                                   \
        type x = (type)clamped[i];                                     \
        memcpy(dst + i * sizeof x, &x, sizeof x);                      \
    }
    if (width == 1) {
        NARROW(uint8_t)
    } else if (width == 2) {
        NARROW(uint16_t)
    } else if (width == 4) {
        NARROW(uint32_t)
    } else {
        NARROW(uint64_t)
    }
#undef NARROW
    return overflowed;
}

static uint64_t encode(tola_dtype to, work w, const block *in, uint8_t *dst, size_t n, bool saturate) {
    switch (tola_dtype_get_kind(to)) {
    case TOLA_KIND_BOOL: encode_bool(w, in, dst, n); return 0;
    case TOLA_KIND_INT:
    case TOLA_KIND_UINT: return encode_integers(to, w, in, dst, n);
    default: break;
    }
    if (to == TOLA_DTYPE_F32) return encode_f32(w, in, dst, n, saturate);
    if (to != TOLA_DTYPE_F64) return encode_narrow(to, w, in, dst, n, saturate);
    encode_f64(w, in, dst, n);
    return 0;
}

/* ---- encoding blocks ---- */

#define F16_MAX 65504.0f

/* Magnitudes that scales hold: the largest f16 times the largest multiple of it that a block can stand for. Where an
 * encoder searches for scales and minima, the half of that, so that what it tries holds, too. */
float codec_range(tola_dtype to) {
    if (!quantize_get(to)) return 0;
    switch (to) {
    case TOLA_DTYPE_Q4_0: return 8 * F16_MAX;
    case TOLA_DTYPE_Q5_0: return 16 * F16_MAX;
    case TOLA_DTYPE_Q8_0: return 127 * F16_MAX;
    case TOLA_DTYPE_Q8_1: return F16_MAX / 32; /* the sum of 32 is an f16 */
    case TOLA_DTYPE_Q8_K: return 0x1.fffffp127f; /* 127 times a rounded 127th of it is an f32 */
    case TOLA_DTYPE_MXFP4: return 6 * 0x1p125f; /* with larger ones the scale becomes 2^126, and 4 of it is no f32 */
    case TOLA_DTYPE_NVFP4: return 6 * 448;
    case TOLA_DTYPE_Q2_K: return 15 * F16_MAX / 2; /* its minimum, 15 dmin */
    case TOLA_DTYPE_Q3_K: return 32 * 4 * F16_MAX / 2;
    case TOLA_DTYPE_Q4_K:
    case TOLA_DTYPE_Q5_K: return 63 * F16_MAX / 2;
    case TOLA_DTYPE_Q6_K: return 128 * 32 * F16_MAX / 2;
    case TOLA_DTYPE_IQ4_NL: return 113 * F16_MAX / 2;
    case TOLA_DTYPE_IQ4_XS: return 31 * 113 * F16_MAX / 2;
    case TOLA_DTYPE_IQ2_XXS:
    case TOLA_DTYPE_IQ2_XS:
    case TOLA_DTYPE_IQ2_S: return 15.5f / 4 * 43 * F16_MAX / 2;
    case TOLA_DTYPE_IQ3_XXS: return 15.5f / 2 * 62 * F16_MAX / 2;
    case TOLA_DTYPE_IQ3_S: return 31 * 15 * F16_MAX / 2;
    case TOLA_DTYPE_IQ1_S:
    case TOLA_DTYPE_IQ1_M: return 15 * F16_MAX / 2;
    default: return F16_MAX; /* q4_1, q5_1: the minimum; q1_0, q2_0, tq1_0, tq2_0: the scale */
    }
}

static void make_fit(float *row, size_t n, float most, codec_faults *faults) {
    const uint32_t limit = cast_f32_bits(most);
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++) any |= (cast_f32_bits(row[i]) & 0x7fffffff) > limit;
    if (!any) return;
    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = cast_f32_bits(row[i]) & 0x7fffffff;
        if (magnitude <= limit) continue;
        if (magnitude > 0x7f800000) {
            row[i] = 0;
            faults->nans++;
        } else {
            row[i] = copysignf(most, row[i]);
            if (magnitude == 0x7f800000) faults->infinities++;
            else faults->clamped++;
        }
    }
}

tola_status codec_quantize(tola_dtype to, float *row, void *dst, size_t n, const float *importance,
                           codec_faults *faults) {
    quantize_fn quantize = quantize_get(to);
    codec_faults unwanted = { 0, 0, 0 };
    if (!quantize) return TOLA_E_UNSUPPORTED;
    if (n % tola_dtype_block_elements(to) != 0) return TOLA_E_ARG;
    make_fit(row, n, codec_range(to), faults ? faults : &unwanted);
    quantize(row, dst, n, importance);
    return TOLA_OK;
}

/* Values that are finite and were clamped, on the way to f32 or after it. */
static uint64_t encode_blocks(tola_dtype to, work w, block *in, uint8_t *dst, size_t n) {
    block single;
    codec_faults faults = { 0, 0, 0 };
    uint64_t overflowed = 0;
    float *row = in->f32;
    if (w != WORK_F32) {
        overflowed = encode_f32(w, in, (uint8_t *)single.f32, n, false);
        row = single.f32;
    }
    make_fit(row, n, codec_range(to), &faults);
    quantize_get(to)(row, dst, n, NULL);
    return faults.clamped + overflowed;
}

/* ---- the interface ---- */

bool codec_decodes(tola_dtype dtype) {
    switch (tola_dtype_get_kind(dtype)) {
    case TOLA_KIND_BOOL:
    case TOLA_KIND_INT:
    case TOLA_KIND_UINT:
    case TOLA_KIND_FLOAT:
    case TOLA_KIND_COMPLEX: return true;
    case TOLA_KIND_BLOCK: return dequantize_get(dtype) != NULL;
    default: return false;
    }
}

bool codec_encodes(tola_dtype dtype) {
    return tola_dtype_get_kind(dtype) == TOLA_KIND_BLOCK ? quantize_get(dtype) != NULL : codec_decodes(dtype);
}

tola_dtype codec_exact(tola_dtype dtype) {
    switch (dtype) {
    case TOLA_DTYPE_F64:
    case TOLA_DTYPE_I32:
    case TOLA_DTYPE_U32:
    case TOLA_DTYPE_I64:
    case TOLA_DTYPE_U64: return TOLA_DTYPE_F64;
    default: break;
    }
    return codec_decodes(dtype) && tola_dtype_get_kind(dtype) != TOLA_KIND_COMPLEX ? TOLA_DTYPE_F32 : TOLA_DTYPE_NONE;
}

/* The type of a complex number's two parts. */
static tola_dtype part_of(tola_dtype complex) {
    return complex == TOLA_DTYPE_C32 ? TOLA_DTYPE_F16 : complex == TOLA_DTYPE_C64 ? TOLA_DTYPE_F32 : TOLA_DTYPE_F64;
}

/* A kernel that does the whole pair, or NULL. */
static cast_fn direct(tola_dtype from, tola_dtype to) {
    const cast_kernels *k = cast_get();
    if (to == TOLA_DTYPE_F32) {
        switch (from) {
        case TOLA_DTYPE_BF16: return k->bf16_to_f32;
        case TOLA_DTYPE_F16: return k->f16_to_f32;
        case TOLA_DTYPE_F64: return k->f64_to_f32;
        case TOLA_DTYPE_F8_E4M3: return k->e4m3_to_f32;
        case TOLA_DTYPE_F8_E5M2: return k->e5m2_to_f32;
        default: return NULL;
        }
    }
    if (from != TOLA_DTYPE_F32) return NULL;
    switch (to) {
    case TOLA_DTYPE_BF16: return k->f32_to_bf16;
    case TOLA_DTYPE_F16: return k->f32_to_f16;
    case TOLA_DTYPE_F64: return k->f32_to_f64;
    default: return NULL;
    }
}

static uint64_t convert_blocks(tola_dtype from, tola_dtype to, const uint8_t *src, uint8_t *dst, size_t elements,
                               bool saturate) {
    size_t from_step = (size_t)BLOCK / tola_dtype_block_elements(from) * tola_dtype_block_bytes(from);
    size_t to_step = (size_t)BLOCK / tola_dtype_block_elements(to) * tola_dtype_block_bytes(to);
    uint64_t overflowed = 0;
    block b;
    for (size_t at = 0; at < elements; at += BLOCK, src += from_step, dst += to_step) {
        size_t n = elements - at < BLOCK ? elements - at : BLOCK;
        work w = decode(from, src, &b, n);
        overflowed += quantize_get(to) ? encode_blocks(to, w, &b, dst, n) : encode(to, w, &b, dst, n, saturate);
    }
    return overflowed;
}

tola_status codec_convert(tola_dtype from, tola_dtype to, const void *src, void *dst, size_t elements,
                          tola_overflow overflow, uint64_t *overflowed) {
    uint64_t bytes = 0, bytes_to = 0, count = 0;
    if (tola_dtype_size(from, elements, &bytes) != TOLA_OK) return TOLA_E_ARG;
    if (from == to) {
        if (bytes > 0) memcpy(dst, src, bytes);
        return TOLA_OK;
    }
    bool complex = tola_dtype_get_kind(from) == TOLA_KIND_COMPLEX;
    if (!codec_decodes(from) || !codec_encodes(to) || complex != (tola_dtype_get_kind(to) == TOLA_KIND_COMPLEX))
        return TOLA_E_UNSUPPORTED;
    if (tola_dtype_size(to, elements, &bytes_to) != TOLA_OK) return TOLA_E_ARG;
    dequantize_fn dequantize = dequantize_get(from);
    if (dequantize && to == TOLA_DTYPE_F32) { /* no block between */
        dequantize(src, dst, elements);
        return TOLA_OK;
    }
    if (complex) {
        from = part_of(from);
        to = part_of(to);
        elements *= 2;
    }
    bool saturate = overflow == TOLA_OVERFLOW_SATURATE;
    cast_fn kernel = direct(from, to);
    count = kernel ? kernel(src, dst, elements, saturate) : convert_blocks(from, to, src, dst, elements, saturate);
    if (overflowed) *overflowed += count;
    return TOLA_OK;
}
