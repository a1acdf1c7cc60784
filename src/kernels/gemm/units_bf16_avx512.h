/* Numbers of f32 into units of two bf16, by the processor's own rounding: what is subnormal becomes zero. */
#ifndef KERNELS_GEMM_UNITS_BF16_AVX512_H
#define KERNELS_GEMM_UNITS_BF16_AVX512_H

#include "kernels/gemm/transpose_avx512.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALWAYS static inline __attribute__((always_inline))

ALWAYS __mmask16 first_lanes(size_t n) { return n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff; }

/* 16 units of a line, of which `left` elements are there; zeros behind them. */
ALWAYS __m512i units_along(const char *p, size_t left) {
    const float *x = (const float *)(const void *)p;
    const __m512 low = _mm512_maskz_loadu_ps(first_lanes(left), x);
    const __m512 high = left > 16 ? _mm512_maskz_loadu_ps(first_lanes(left - 16), x + 16) : _mm512_setzero_ps();
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* A unit of each of `lines` lines: element 0 of all lies at p, element 1 at next (NULL: zeros). */
ALWAYS __m512i units_across(const char *p, const char *next, size_t lines) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __mmask16 mask = first_lanes(lines);
    const __m512 one = _mm512_maskz_loadu_ps(mask, (const float *)(const void *)p);
    const __m512 two = next ? _mm512_maskz_loadu_ps(mask, (const float *)(const void *)next) : _mm512_setzero_ps();
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(two, one));
}

/* Unit u of line i at panel[u * lines + i], whole sixteens of units. Lines that are missing stand for the last one, or
 * are zero. */
ALWAYS void pack_units(bool along, const char *src, size_t row_bytes, size_t width, size_t k, uint32_t *panel,
                       size_t lines) {
    for (size_t first = 0; first < lines && first < width; first += 16) {
        const __mmask16 mask = first_lanes(lines - first);
        uint32_t *to = panel + first;
        for (size_t e = 0; e < k && along; e += 32) {
            _Alignas(64) uint32_t some[16][16];
            const char *line[16];
            __m512 v[16];
            for (size_t i = 0; i < 16; i++) {
                const size_t from = first + i < width ? first + i : width - 1;
                _mm512_store_si512(some[i], units_along(src + from * row_bytes + 4 * e, k - e));
                line[i] = (const char *)some[i];
            }
            transpose_16x16(line, v);
            for (int u = 0; u < 16; u++, to += lines) _mm512_mask_storeu_ps(to, mask, v[u]);
        }
        for (size_t e = 0; e < k && !along; e += 2, to += lines) {
            const char *from = src + e * row_bytes + 4 * first;
            _mm512_mask_storeu_epi32(to, mask, units_across(from, e + 1 < k ? from + row_bytes : NULL, width - first));
        }
        if (!along)
            for (size_t e = (k + 1) / 2 * 2; e % 32 != 0; e += 2, to += lines)
                _mm512_mask_storeu_epi32(to, mask, _mm512_setzero_si512());
    }
}

#endif
