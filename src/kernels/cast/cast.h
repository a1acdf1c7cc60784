/* Conversions of runs between f32 and the other floating-point types.
 *
 * cast.c defines what is right and chooses the instruction set; every set gives the same bits. All runs may be
 * unaligned; source and destination must not overlap. Rounding is to nearest, ties to even, once. A NaN stays a NaN
 * of the same sign and becomes quiet where the conversion rounds (bf16 -> f32 keeps every bit). */
#ifndef KERNELS_CAST_H
#define KERNELS_CAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A floating-point type of at most 8 bits. Codes are right-aligned in a byte; the sign is the highest of `bits`. */
typedef struct cast_small {
    uint8_t bits;        /* 8, 6, 4 */
    uint8_t mantissa;    /* explicit bits */
    uint8_t bias;
    uint8_t max;         /* code of the largest finite magnitude */
    uint8_t over[2];     /* code by sign of what lies beyond the range: infinity, NaN, or the largest */
    uint8_t nan[2];      /* code by sign of a NaN's */
    bool unsigned_zero;  /* -0 becomes +0 (the fnuz types) */
} cast_small;

/* OCP OFP8, the fnuz types of arXiv 2206.02915, OCP MX. NaN in f6 and f4, which have none, gives a zero, as in
 * ml_dtypes. */
extern const cast_small cast_e4m3, cast_e5m2, cast_e4m3fnuz, cast_e5m2fnuz, cast_e2m3, cast_e3m2, cast_e2m1;

/* Returns how many finite inputs became infinite, NaN or were clamped. With `saturate` what lies beyond the range,
 * infinity included, becomes the largest finite number. */
typedef uint64_t (*cast_fn)(const void *src, void *dst, size_t n, bool saturate);
typedef uint64_t (*cast_small_fn)(const cast_small *type, const void *src, void *dst, size_t n, bool saturate);

typedef struct cast_kernels {
    cast_fn bf16_to_f32, f16_to_f32, f64_to_f32, e4m3_to_f32, e5m2_to_f32;
    cast_fn f32_to_bf16, f32_to_f16, f32_to_f64;
    cast_small_fn f32_to_small; /* one byte an element, whatever type->bits */
} cast_kernels;

/* The kernels for this processor. */
const cast_kernels *cast_get(void);
extern const cast_kernels cast_scalar, cast_avx2, cast_avx512, cast_neon; /* the last three where they exist */

/* One byte an element to f32; exact. Kernels exist for e4m3 and e5m2; this one is for all. */
void cast_small_to_f32(const cast_small *type, const void *src, void *dst, size_t n);

/* e8m0 (OCP MX, 5.4.1): a power of two, no sign, no zero. From f32: to the nearest, ties up; below 2^-127 gives
 * 2^-127; zero, negative numbers, infinity and what lies beyond 2^127 give NaN, as in ml_dtypes. With `saturate`:
 * 2^-127 for zero and negative numbers, 2^127 above. */
void cast_e8m0_to_f32(const void *src, void *dst, size_t n);
uint64_t cast_f32_to_e8m0(const void *src, void *dst, size_t n, bool saturate);

/* f64 -> f32 rounded to odd: rounding the result once more, to a type with at most 22 bits of mantissa, gives what
 * rounding the f64 directly would have (Boldo, Melquiond 2008, "Emulation of FMA and correctly rounded sums"). */
void cast_f64_to_f32_odd(const double *src, float *dst, size_t n);

#endif
