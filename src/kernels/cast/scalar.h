/* Single conversions between f32 and the 16-bit floats, on bit patterns: what every instruction set must reproduce.
 *
 * Rounding is to nearest, ties to even (IEEE 754-2019, 4.3.1); a NaN stays a NaN of the same sign and becomes quiet,
 * keeping the payload bits that fit, as F16C and AVX-512 do. */
#ifndef KERNELS_CAST_SCALAR_H
#define KERNELS_CAST_SCALAR_H

#include <stdint.h>
#include <string.h>

static inline uint32_t cast_f32_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float cast_f32_from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint64_t cast_f64_bits(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double cast_f64_from_bits(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Exact. */
static inline uint32_t cast_bf16_to_f32(uint16_t h) {
    return (uint32_t)h << 16;
}

/* Exact. */
static inline uint32_t cast_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 0x1f, mantissa = h & 0x3ff;
    if (exponent == 0x1f) return sign | 0x7f800000 | mantissa << 13 | (mantissa ? 0x400000 : 0);
    if (exponent != 0) return sign | (exponent + 112) << 23 | mantissa << 13;
    if (mantissa == 0) return sign;
    int shift = __builtin_clz(mantissa) - 21; /* brings the leading one to bit 10 */
    return sign | (uint32_t)(113 - shift) << 23 | (mantissa << shift & 0x3ff) << 13;
}

static inline uint16_t cast_f32_to_bf16(uint32_t u) {
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline uint16_t cast_f32_to_f16(uint32_t u) {
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    uint32_t a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) return sign | 0x7c00; /* 65520, halfway to 2^16, and beyond */
    if (a >= 0x38800000) {                     /* normal: 2^-14 and up */
        uint32_t r = a - 0x38000000;
        return (uint16_t)(sign | (r + 0xfff + (r >> 13 & 1)) >> 13);
    }
    if (a <= 0x33000000) return sign; /* 2^-25, a tie with zero, and below */
    uint32_t shift = 126 - (a >> 23), m = (a & 0x7fffff) | 0x800000; /* counted in units of 2^-24 */
    uint32_t half = 1u << (shift - 1), q = m >> shift, rest = m & ((1u << shift) - 1);
    q += rest > half || (rest == half && (q & 1));
    return (uint16_t)(sign | q);
}

#endif
