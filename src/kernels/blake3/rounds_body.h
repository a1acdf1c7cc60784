/* What the compression function is made of, for words and for vectors of words alike: constants, the schedule of a
 * message, and a round over `word`, which the file that includes this has defined. BLAKE3, sections 2.2 and 2.3. */
#include <string.h>

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static const uint32_t initial[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

/* Which word of the message comes where in each round: the permutation of table 2, applied round after round. */
static const uint8_t schedule[7][16] = {
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, { 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8 },
    { 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1 }, { 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6 },
    { 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4 }, { 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7 },
    { 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13 },
};

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))

/* Four times G side by side: v[0..3], v[4..7], v[8..11], v[12..15] are a, b, c, d of each, the last three turned by
 * `turn` columns (0: columns of the state, 1: its diagonals). Step by step over all four, so that neighbouring
 * instructions do not wait for each other. */
#define B v[4 + (i + turn) % 4]
#define C v[8 + (i + 2 * turn) % 4]
#define D v[12 + (i + 3 * turn) % 4]
#define EACH _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++)
static inline __attribute__((always_inline)) void mix_four(word v[16], const word m[16], const uint8_t order[8],
                                                           const int turn) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        EACH v[i] += m[order[2 * i + half]];
        EACH v[i] += B;
        EACH D ^= v[i];
        EACH D = ROTATE(D, half ? 8 : 16);
        EACH C += D;
        EACH B ^= C;
        EACH B = ROTATE(B, half ? 7 : 12);
    }
}
#undef B
#undef C
#undef D
#undef EACH

/* One round over the 4x4 state: columns, then diagonals. */
static inline __attribute__((always_inline)) void mix_all(word v[16], const word m[16], const uint8_t order[16]) {
    mix_four(v, m, order, 0);
    mix_four(v, m, order + 8, 1);
}
