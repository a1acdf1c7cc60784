/* The definition of the casts, one element at a time, and the choice of instruction set. Rules: see cast.h. */
#include "kernels/cast/cast.h"
#include "base/cpu.h"
#include "kernels/cast/scalar.h"
#include <pthread.h>
#include <string.h>

/* ---- f32, f64 and the 16-bit types ---- */

static uint64_t bf16_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    (void)saturate;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, (const char *)src + 2 * i, 2);
        uint32_t u = cast_bf16_to_f32(h);
        memcpy((char *)dst + 4 * i, &u, 4);
    }
    return 0;
}

static uint64_t f16_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    (void)saturate;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, (const char *)src + 2 * i, 2);
        uint32_t u = cast_f16_to_f32(h);
        memcpy((char *)dst + 4 * i, &u, 4);
    }
    return 0;
}

static uint64_t f32_to_f64(const void *src, void *dst, size_t n, bool saturate) {
    (void)saturate;
    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, (const char *)src + 4 * i, 4);
        double y = (double)x;
        memcpy((char *)dst + 8 * i, &y, 8);
    }
    return 0;
}

static uint64_t f64_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    uint64_t overflowed = 0;
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, (const char *)src + 8 * i, 8);
        uint32_t u = cast_f32_bits((float)x);
        if ((u & 0x7fffffff) == 0x7f800000) {
            overflowed += (cast_f64_bits(x) & INT64_MAX) != UINT64_C(0x7ff0000000000000);
            if (saturate) u--; /* the largest finite number precedes infinity */
        }
        memcpy((char *)dst + 4 * i, &u, 4);
    }
    return overflowed;
}

/* What a 16-bit result needs where it is infinite: a count if the input was not, the largest finite if asked for. */
static inline uint16_t beyond(uint16_t h, uint16_t infinity, uint32_t u, bool saturate, uint64_t *overflowed) {
    if ((h & 0x7fff) != infinity) return h;
    *overflowed += (u & 0x7fffffff) != 0x7f800000;
    return saturate ? h - 1 : h;
}

static uint64_t f32_to_bf16(const void *src, void *dst, size_t n, bool saturate) {
    uint64_t overflowed = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, (const char *)src + 4 * i, 4);
        uint16_t h = beyond(cast_f32_to_bf16(u), 0x7f80, u, saturate, &overflowed);
        memcpy((char *)dst + 2 * i, &h, 2);
    }
    return overflowed;
}

static uint64_t f32_to_f16(const void *src, void *dst, size_t n, bool saturate) {
    uint64_t overflowed = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, (const char *)src + 4 * i, 4);
        uint16_t h = beyond(cast_f32_to_f16(u), 0x7c00, u, saturate, &overflowed);
        memcpy((char *)dst + 2 * i, &h, 2);
    }
    return overflowed;
}

void cast_f64_to_f32_odd(const double *src, float *dst, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float nearest = (float)src[i];
        uint32_t u = cast_f32_bits(nearest);
        double back = (double)nearest;
        if (back != src[i] && src[i] == src[i]) {
            /* Inexact: towards zero, then the last bit set. Beyond the range that is the largest f32. */
            double a = cast_f64_from_bits(cast_f64_bits(src[i]) & INT64_MAX);
            double b = cast_f64_from_bits(cast_f64_bits(back) & INT64_MAX);
            u = (b > a ? u - 1 : u) | 1;
        }
        dst[i] = cast_f32_from_bits(u);
    }
}

/* ---- types of at most 8 bits ---- */

const cast_small cast_e4m3 = { 8, 3, 7, 0x7e, { 0x7f, 0xff }, { 0x7f, 0xff }, false };
const cast_small cast_e5m2 = { 8, 2, 15, 0x7b, { 0x7c, 0xfc }, { 0x7e, 0xfe }, false };
const cast_small cast_e4m3fnuz = { 8, 3, 8, 0x7f, { 0x80, 0x80 }, { 0x80, 0x80 }, true };
const cast_small cast_e5m2fnuz = { 8, 2, 16, 0x7f, { 0x80, 0x80 }, { 0x80, 0x80 }, true };
const cast_small cast_e2m3 = { 6, 3, 1, 0x1f, { 0x1f, 0x3f }, { 0x20, 0x00 }, false };
const cast_small cast_e3m2 = { 6, 2, 3, 0x1f, { 0x1f, 0x3f }, { 0x20, 0x00 }, false };
const cast_small cast_e2m1 = { 4, 1, 1, 0x07, { 0x07, 0x0f }, { 0x08, 0x00 }, false };

static uint8_t encode_small(const cast_small *t, uint32_t u, bool saturate, uint64_t *overflowed) {
    unsigned negative = u >> 31;
    uint32_t a = u & 0x7fffffff, code;
    uint8_t sign = (uint8_t)(negative << (t->bits - 1));
    if (a > 0x7f800000) return t->nan[negative];
    uint32_t smallest_normal = (uint32_t)(128 - t->bias) << 23;
    if (a >= smallest_normal) {
        unsigned shift = 23u - t->mantissa;
        uint32_t r = a - ((uint32_t)(127 - t->bias) << 23);
        code = (r + (1u << (shift - 1)) - 1 + (r >> shift & 1)) >> shift;
    } else {
        /* Adding 2^23 quanta (a quantum is 2^(1 - bias - mantissa)) leaves the rounded count in the low bits. */
        uint32_t magic = (uint32_t)(127 + 23 + 1 - t->bias - t->mantissa) << 23;
        code = cast_f32_bits(cast_f32_from_bits(a) + cast_f32_from_bits(magic)) - magic;
    }
    if (code > t->max) {
        *overflowed += a != 0x7f800000;
        return saturate ? (uint8_t)(t->max | sign) : t->over[negative];
    }
    return code == 0 && t->unsigned_zero ? 0 : (uint8_t)(code | sign);
}

static uint64_t f32_to_small(const cast_small *type, const void *src, void *dst, size_t n, bool saturate) {
    uint64_t overflowed = 0;
    uint8_t *to = dst;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, (const char *)src + 4 * i, 4);
        to[i] = encode_small(type, u, saturate, &overflowed);
    }
    return overflowed;
}

static uint32_t decode_small(const cast_small *t, unsigned code) {
    unsigned negative = code >> (t->bits - 1) & 1, a = code & ((1u << (t->bits - 1)) - 1);
    uint32_t sign = negative << 31;
    if (t->unsigned_zero && code == 0x80) return 0x7fc00000;
    if (t == &cast_e5m2) return cast_f16_to_f32((uint16_t)(code << 8)); /* the upper byte of an f16 */
    if (t->bits == 8 && a > t->max) return sign | 0x7fc00000;
    unsigned exponent = a >> t->mantissa, m = a & ((1u << t->mantissa) - 1);
    if (exponent == 0) { /* m quanta */
        uint32_t quantum = (uint32_t)(127 + 1 - t->bias - t->mantissa) << 23;
        return sign | cast_f32_bits((float)m * cast_f32_from_bits(quantum));
    }
    return sign | (exponent + 127 - t->bias) << 23 | m << (23 - t->mantissa);
}

/* Every code's value, made at the first use. */
enum { SMALL_TYPES = 7 };
static const cast_small *const small_types[SMALL_TYPES] = { &cast_e4m3, &cast_e5m2, &cast_e4m3fnuz, &cast_e5m2fnuz,
                                                            &cast_e2m3, &cast_e3m2, &cast_e2m1 };
static uint32_t small_values[SMALL_TYPES][256];
static pthread_once_t small_once = PTHREAD_ONCE_INIT;

static void make_small_values(void) {
    for (int t = 0; t < SMALL_TYPES; t++)
        for (unsigned code = 0; code < 256; code++) small_values[t][code] = decode_small(small_types[t], code);
}

void cast_small_to_f32(const cast_small *type, const void *src, void *dst, size_t n) {
    pthread_once(&small_once, make_small_values);
    int t = 0;
    while (small_types[t] != type) t++;
    const uint8_t *from = src;
    const uint32_t *values = small_values[t];
    for (size_t i = 0; i < n; i++) memcpy((char *)dst + 4 * i, &values[from[i]], 4);
}

static uint64_t e4m3_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    (void)saturate;
    cast_small_to_f32(&cast_e4m3, src, dst, n);
    return 0;
}

static uint64_t e5m2_to_f32(const void *src, void *dst, size_t n, bool saturate) {
    (void)saturate;
    cast_small_to_f32(&cast_e5m2, src, dst, n);
    return 0;
}

/* ---- e8m0 ---- */

void cast_e8m0_to_f32(const void *src, void *dst, size_t n) {
    const uint8_t *from = src;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = from[i] == 0xff ? 0x7fc00000 : from[i] == 0 ? 0x00400000 : (uint32_t)from[i] << 23;
        memcpy((char *)dst + 4 * i, &u, 4);
    }
}

static uint8_t encode_e8m0(uint32_t u, bool saturate, uint64_t *overflowed) {
    uint32_t a = u & 0x7fffffff;
    if (a > 0x7f800000) return 0xff;
    if (a == 0 || u >> 31) {
        *overflowed += a != 0x7f800000;
        return saturate ? 0x00 : 0xff;
    }
    uint32_t code = (a + 0x400000) >> 23; /* exponent, one more from 1.5 up */
    if (a < 0x00800000) code = a >= 0x00600000; /* subnormal: the tie between 2^-127 and 2^-126 */
    if (code >= 0xff) {
        *overflowed += a != 0x7f800000;
        return saturate ? 0xfe : 0xff;
    }
    return (uint8_t)code;
}

uint64_t cast_f32_to_e8m0(const void *src, void *dst, size_t n, bool saturate) {
    uint64_t overflowed = 0;
    uint8_t *to = dst;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, (const char *)src + 4 * i, 4);
        to[i] = encode_e8m0(u, saturate, &overflowed);
    }
    return overflowed;
}

/* ---- choice ---- */

const cast_kernels cast_scalar = { bf16_to_f32, f16_to_f32,  f64_to_f32, e4m3_to_f32, e5m2_to_f32,
                                   f32_to_bf16, f32_to_f16, f32_to_f64, f32_to_small };

const cast_kernels *cast_get(void) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &cast_avx512;
    case CPU_AVX2: return &cast_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return &cast_neon;
#endif
    default: return &cast_scalar;
    }
}
