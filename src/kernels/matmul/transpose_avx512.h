/* Sixteen rows of sixteen dwords, transposed. */
#ifndef KERNELS_MATMUL_TRANSPOSE_AVX512_H
#define KERNELS_MATMUL_TRANSPOSE_AVX512_H

#include <immintrin.h>
#include <string.h>

static inline __attribute__((always_inline)) void transpose(__m512i v[16]) {
    __m512i a[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { /* v[i + c]: dword c of each lane of rows i .. i + 3 */
        v[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (int c = 0; c < 4; c++) {
        __m512i even = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x88), odd = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xdd);
        __m512i even2 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x88);
        __m512i odd2 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xdd);
        a[c] = _mm512_shuffle_i32x4(even, even2, 0x88);
        a[8 + c] = _mm512_shuffle_i32x4(even, even2, 0xdd);
        a[4 + c] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
        a[12 + c] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
    }
    memcpy(v, a, sizeof a);
}

#endif
