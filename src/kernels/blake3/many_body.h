/* LANES inputs at once, one in each lane of a vector, by gcc's and clang's vectors: LANES, MANY (the function's name)
 * and REST (who takes fewer inputs than lanes) are defined by the file that includes this. */
#include "kernels/blake3/blake3.h"

typedef uint32_t word __attribute__((vector_size(4 * LANES)));

#include "kernels/blake3/rounds_body.h"

#if LANES == 16
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif LANES == 8
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* Rows become columns: log2(LANES) times, the first half of the rows is interleaved with the second. */
static inline __attribute__((always_inline)) void transpose(word rows[LANES]) {
    word next[LANES];
    for (int width = 1; width < LANES; width *= 2) {
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = LOW(rows[i], rows[i + LANES / 2]);
            next[2 * i + 1] = HIGH(rows[i], rows[i + LANES / 2]);
        }
        memcpy(rows, next, sizeof next);
    }
}

static inline __attribute__((always_inline)) void compress_lanes(const blake3_job *j, const uint8_t *data, size_t block,
                                                                 const word counter[2], word h[8]) {
    word m[16], v[16];
    for (int part = 0; part < 16; part += LANES) { /* words part .. part + LANES - 1 of the block, of every lane */
        for (int lane = 0; lane < LANES; lane++)
            memcpy(&m[part + lane], data + (size_t)lane * j->stride + block * BLAKE3_BLOCK + 4 * (size_t)part,
                   sizeof m[0]);
        transpose(m + part);
    }
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

static void hash_lanes(const blake3_job *j, const uint8_t *data, uint64_t first, uint32_t (*out)[8]) {
    word h[8], counter[2];
    for (int i = 0; i < 8; i++) h[i] = (word){ 0 } + initial[i];
    for (int lane = 0; lane < LANES; lane++) {
        uint64_t c = first + (uint64_t)lane * j->step;
        counter[0][lane] = (uint32_t)c;
        counter[1][lane] = (uint32_t)(c >> 32);
    }
    for (size_t block = 0; block < j->blocks; block++) compress_lanes(j, data, block, counter, h);
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < 8; i++) out[lane][i] = h[i][lane];
}

void MANY(const blake3_job *job, uint32_t (*out)[8]) {
    blake3_job rest = *job;
    for (; rest.count >= LANES; rest.count -= LANES) {
        hash_lanes(&rest, rest.data, rest.counter, out);
        rest.data += LANES * rest.stride;
        rest.counter += LANES * rest.step;
        out += LANES;
    }
    if (rest.count > 0) REST(&rest, out);
}
