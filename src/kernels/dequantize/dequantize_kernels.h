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
#if defined(__x86_64__)
extern const dequantize_set dequantize_avx2, dequantize_avx512;
#elif defined(__aarch64__)
extern const dequantize_set dequantize_neon;
#endif

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

/* Six bits each for the scales and minima of eight sub-blocks in 12 bytes (q4_k, q5_k): 0 .. 3 lie in the lower bits of
 * bytes 0 .. 3 (scales) and 4 .. 7 (minima), whose upper two bits are those of 4 .. 7; their low nibbles are in bytes
 * 8 .. 11. */
static inline int scale_of(const uint8_t *s, int j) {
    return j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
}

static inline int min_of(const uint8_t *s, int j) {
    return j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
}

/* The six bits of scale j of q3_k's sixteen: the low nibbles of 0 .. 7 and 8 .. 15 in 8 bytes, the upper two in 4 more. */
static inline int scale_q3_k(const uint8_t *s, int j) {
    return (s[j % 8] >> (j / 8 * 4) & 15) | (s[8 + j % 4] >> (j / 4 * 2) & 3) << 4;
}

/* Seven signs (iq2_xxs, iq2_xs, iq3_xxs), and the eighth that makes the number of minuses even. */
static inline unsigned eight_signs(uint32_t seven) {
    seven &= 127;
    return seven | (unsigned)__builtin_parity(seven) << 7;
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
