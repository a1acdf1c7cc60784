/* SHA-256's blocks by the SHA extensions of x86 (Intel SDM vol. 2, SHA256RNDS2, SHA256MSG1, SHA256MSG2). Called only
 * where cpu_get() says so. */
#include "kernels/sha256/sha256.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { AHEAD = 4096 }; /* bytes: the next page is under way while this one is hashed */

/* FIPS 180-4, 4.2.2 */
static const uint32_t k[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* The state as the instructions want it: words a b e f, and c d g h, the first of each on top. */
typedef struct halves {
    __m128i abef, cdgh;
} halves;

static inline __attribute__((always_inline)) halves take_state(const uint32_t h[8]) {
    return (halves){ _mm_set_epi32((int)h[0], (int)h[1], (int)h[4], (int)h[5]),
                     _mm_set_epi32((int)h[2], (int)h[3], (int)h[6], (int)h[7]) };
}

static inline __attribute__((always_inline)) void give_state(halves s, uint32_t h[8]) {
    h[0] = (uint32_t)_mm_extract_epi32(s.abef, 3);
    h[1] = (uint32_t)_mm_extract_epi32(s.abef, 2);
    h[2] = (uint32_t)_mm_extract_epi32(s.cdgh, 3);
    h[3] = (uint32_t)_mm_extract_epi32(s.cdgh, 2);
    h[4] = (uint32_t)_mm_extract_epi32(s.abef, 1);
    h[5] = (uint32_t)_mm_extract_epi32(s.abef, 0);
    h[6] = (uint32_t)_mm_extract_epi32(s.cdgh, 1);
    h[7] = (uint32_t)_mm_extract_epi32(s.cdgh, 0);
}

static inline __attribute__((always_inline)) void load_block(const uint8_t *data, __m128i w[4]) {
    const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    _mm_prefetch((const char *)data + AHEAD, _MM_HINT_T0);
    for (int i = 0; i < 4; i++)
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(data + 16 * i)), big_endian);
}

/* Rounds 4 q .. 4 q + 3; w[q % 4] becomes the four words of 16 rounds later. */
static inline __attribute__((always_inline)) void four_rounds(halves *s, __m128i w[4], int q) {
    __m128i words = _mm_add_epi32(w[q % 4], _mm_load_si128((const void *)(k + 4 * q)));
    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, words);
    s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(words, 0x0e));
    if (q >= 12) return;
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[q % 4], w[(q + 1) % 4]),
                                _mm_alignr_epi8(w[(q + 3) % 4], w[(q + 2) % 4], 4));
    w[q % 4] = _mm_sha256msg2_epu32(sum, w[(q + 3) % 4]);
}

void sha256_one_sha(uint32_t h[8], const uint8_t *data, size_t blocks) {
    halves s = take_state(h);
    for (; blocks > 0; blocks--, data += SHA256_BLOCK) {
        const halves before = s;
        __m128i w[4];
        load_block(data, w);
#pragma GCC unroll 16
        for (int q = 0; q < 16; q++) four_rounds(&s, w, q);
        s.abef = _mm_add_epi32(s.abef, before.abef);
        s.cdgh = _mm_add_epi32(s.cdgh, before.cdgh);
    }
    give_state(s, h);
}

void sha256_two_sha(uint32_t a[8], const uint8_t *data_a, uint32_t b[8], const uint8_t *data_b, size_t blocks) {
    halves s = take_state(a), t = take_state(b);
    for (; blocks > 0; blocks--, data_a += SHA256_BLOCK, data_b += SHA256_BLOCK) {
        const halves s_before = s, t_before = t;
        __m128i v[4], w[4];
        load_block(data_a, v);
        load_block(data_b, w);
#pragma GCC unroll 16
        for (int q = 0; q < 16; q++) {
            four_rounds(&s, v, q);
            four_rounds(&t, w, q);
        }
        s.abef = _mm_add_epi32(s.abef, s_before.abef);
        s.cdgh = _mm_add_epi32(s.cdgh, s_before.cdgh);
        t.abef = _mm_add_epi32(t.abef, t_before.abef);
        t.cdgh = _mm_add_epi32(t.cdgh, t_before.cdgh);
    }
    give_state(s, a);
    give_state(t, b);
}
#else
typedef int sha256_sha_is_for_x86; /* a translation unit may not be empty */
#endif
