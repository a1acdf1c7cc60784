/* What the files of kernels/dequantize share: the tables that dequantize.c chooses from, and loading numbers. */
#ifndef KERNELS_DEQUANTIZE_KERNELS_H
#define KERNELS_DEQUANTIZE_KERNELS_H

#include "kernels/cast/scalar.h"
#include "kernels/dequantize/dequantize.h"

/* NULL where a file has nothing for a type. */
typedef struct dequantize_set {
    dequantize_fn of[TOLA_DTYPE_COUNT];
} dequantize_set;

extern const dequantize_set dequantize_legacy, dequantize_k, dequantize_iq, dequantize_small; /* scalar */

static inline uint16_t load_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t load_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline float load_f16(const uint8_t *p) {
    return cast_f32_from_bits(cast_f16_to_f32(load_u16(p)));
}

/* The half of an e8m0 scale, for values that are twice what they stand for; 0xff is no NaN here but 2^127. */
static inline float half_e8m0(uint8_t e) {
    return cast_f32_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* The half of an e4m3 scale without its sign. 0x7f, which e4m3 has for NaN, is 0; 0xff is as if there were a 480. */
static inline float half_ue4m3(uint8_t e) {
    uint32_t a = e & 0x7f;
    if (e == 0x7f) return 0;
    return a < 8 ? (float)a * 0x1p-10f : cast_f32_from_bits((a << 20) + ((127u - 8) << 23));
}

/* Calls `decode` for each block of n elements. Inlined with a constant function, so that the loop is the kernel. */
static inline __attribute__((always_inline)) void each_block(const void *src, float *dst, size_t n, size_t elements,
                                                             size_t bytes, void (*decode)(const uint8_t *, float *)) {
    const uint8_t *from = src;
    float out[256];
    for (size_t at = 0; at < n; at += elements, from += bytes) {
        decode(from, out);
        memcpy((char *)dst + at * sizeof *out, out, elements * sizeof *out);
    }
}

#endif
