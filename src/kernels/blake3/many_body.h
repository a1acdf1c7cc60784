/* LANES inputs at once, one in each lane of a vector, by gcc's and clang's vectors: LANES, MANY (the function's name)
 * and REST (who takes fewer inputs than lanes) are defined by the file that includes this. */
#include "kernels/blake3/blake3.h"

typedef uint32_t word __attribute__((vector_size(4 * LANES)));
typedef uint64_t pair __attribute__((vector_size(4 * LANES)));

#include "kernels/blake3/rounds_body.h"

/* Words within each quarter of a vector, and quarters of vectors: shuffles that need no table in a register. */
#if LANES == 16
#define WORDS_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define WORDS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define PAIRS_LOW(a, b) (word) __builtin_shufflevector((pair)(a), (pair)(b), 0, 8, 2, 10, 4, 12, 6, 14)
#define PAIRS_HIGH(a, b) (word) __builtin_shufflevector((pair)(a), (pair)(b), 1, 9, 3, 11, 5, 13, 7, 15)
#define QUARTERS_EVEN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define QUARTERS_ODD(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#elif LANES == 8
#define WORDS_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define WORDS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define PAIRS_LOW(a, b) (word) __builtin_shufflevector((pair)(a), (pair)(b), 0, 4, 2, 6)
#define PAIRS_HIGH(a, b) (word) __builtin_shufflevector((pair)(a), (pair)(b), 1, 5, 3, 7)
#define QUARTERS_EVEN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define QUARTERS_ODD(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#else
#define WORDS_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define WORDS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define PAIRS_LOW(a, b) (word) __builtin_shufflevector((pair)(a), (pair)(b), 0, 2)
#define PAIRS_HIGH(a, b) (word) __builtin_shufflevector((pair)(a), (pair)(b), 1, 3)
#endif

/* Rows become columns: first within each block of 4 x 4 words, then the blocks. */
static inline __attribute__((always_inline)) void transpose(word rows[LANES]) {
    word next[LANES];
    for (int i = 0; i < LANES; i += 4) {
        word a = WORDS_LOW(rows[i], rows[i + 1]), b = WORDS_HIGH(rows[i], rows[i + 1]);
        word c = WORDS_LOW(rows[i + 2], rows[i + 3]), d = WORDS_HIGH(rows[i + 2], rows[i + 3]);
        next[i] = PAIRS_LOW(a, c);
        next[i + 1] = PAIRS_HIGH(a, c);
        next[i + 2] = PAIRS_LOW(b, d);
        next[i + 3] = PAIRS_HIGH(b, d);
    }
#if LANES > 4
    /* next[4 r + k] holds, in quarter q, word 4 q + k of lanes 4 r .. 4 r + 3 */
    for (int k = 0; k < 4; k++) {
#if LANES == 8
        rows[k] = QUARTERS_EVEN(next[k], next[4 + k]);
        rows[4 + k] = QUARTERS_ODD(next[k], next[4 + k]);
#else
        word a = QUARTERS_EVEN(next[k], next[4 + k]), b = QUARTERS_EVEN(next[8 + k], next[12 + k]);
        word c = QUARTERS_ODD(next[k], next[4 + k]), d = QUARTERS_ODD(next[8 + k], next[12 + k]);
        rows[k] = QUARTERS_EVEN(a, b);
        rows[8 + k] = QUARTERS_ODD(a, b);
        rows[4 + k] = QUARTERS_EVEN(c, d);
        rows[12 + k] = QUARTERS_ODD(c, d);
#endif
    }
#else
    memcpy(rows, next, sizeof next);
#endif
}

static inline __attribute__((always_inline)) void compress_lanes(const blake3_job *j, size_t stride,
                                                                 const uint8_t *data, size_t block,
                                                                 const word counter[2], word h[8]) {
    word m[16], v[16];
    if (stride == BLAKE3_CHUNK) /* a chunk of the next lanes: in order, as memory likes it */
        for (int line = 0; line < LANES; line++)
            __builtin_prefetch(data + LANES * stride + block * (LANES * BLAKE3_BLOCK) + line * BLAKE3_BLOCK);
    for (int part = 0; part < 16; part += LANES) { /* words part .. part + LANES - 1 of the block, of every lane */
        for (int lane = 0; lane < LANES; lane++)
            memcpy(&m[part + lane], data + (size_t)lane * stride + block * BLAKE3_BLOCK + 4 * (size_t)part,
                   sizeof m[0]);
        transpose(m + part);
    }
    __asm__("" : "+m"(m)); /* the words stay in memory, where additions take them from: registers hold the state */
    uint32_t flags = j->flags | (block == 0 ? j->first_flags : 0) | (block == j->blocks - 1 ? j->last_flags : 0);
    for (int i = 0; i < 8; i++) v[i] = h[i];
    for (int i = 0; i < 4; i++) v[8 + i] = (word){ 0 } + initial[i];
    v[12] = counter[0];
    v[13] = counter[1];
    v[14] = (word){ 0 } + (uint32_t)BLAKE3_BLOCK;
    v[15] = (word){ 0 } + flags;
#pragma GCC unroll 7
    for (int round = 0; round < 7; round++) mix_all(v, m, schedule[round]);
    for (int i = 0; i < 8; i++) h[i] = v[i] ^ v[i + 8];
}

/* `stride` is a constant, so that addresses are offsets. */
static inline __attribute__((always_inline)) void hash_lanes(const blake3_job *j, size_t stride, uint32_t (*out)[8]) {
    word h[8], counter[2];
    uint32_t low[LANES], high[LANES];
    for (int i = 0; i < 8; i++) h[i] = (word){ 0 } + initial[i];
    for (int lane = 0; lane < LANES; lane++) {
        uint64_t c = j->counter + (uint64_t)lane * j->step;
        low[lane] = (uint32_t)c;
        high[lane] = (uint32_t)(c >> 32);
    }
    memcpy(&counter[0], low, sizeof low);
    memcpy(&counter[1], high, sizeof high);
    for (size_t block = 0; block < j->blocks; block++) compress_lanes(j, stride, j->data, block, counter, h);
    word rows[16] = { h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7] };
    for (int part = 0; part < 8; part += LANES) transpose(rows + part);
    for (int lane = 0; lane < LANES; lane++) {
#if LANES == 4
        memcpy(out[lane], &rows[lane], sizeof rows[0]);
        memcpy(out[lane] + 4, &rows[4 + lane], sizeof rows[0]);
#else
        memcpy(out[lane], &rows[lane], sizeof out[0]);
#endif
    }
}

void MANY(const blake3_job *job, uint32_t (*out)[8]) {
    blake3_job rest = *job;
    for (; rest.count >= LANES; rest.count -= LANES) {
        if (rest.stride == BLAKE3_CHUNK)
            hash_lanes(&rest, BLAKE3_CHUNK, out);
        else
            hash_lanes(&rest, BLAKE3_BLOCK, out);
        rest.data += LANES * rest.stride;
        rest.counter += LANES * rest.step;
        out += LANES;
    }
    if (rest.count > 0) REST(&rest, out);
}
