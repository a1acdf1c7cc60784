/* BLAKE3: a hash that is a tree, so that lanes of a vector and threads each take branches of their own.
 *
 * Plain hashing only: no keys, no derivation, 32 bytes of output. Every instruction set gives the same digest.
 * Specification: https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf */
#ifndef KERNELS_BLAKE3_H
#define KERNELS_BLAKE3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BLAKE3_BYTES = 32,
    BLAKE3_CHUNK = 1024, /* bytes of a leaf */
    BLAKE3_BLOCK = 64,
    BLAKE3_DEPTH = 55 /* of a tree over 2^64 bytes, the newest subtree apart */
};

/* A run of whole chunks as it comes in, from chunk `first` of the input on. */
typedef struct blake3_state {
    uint32_t stack[BLAKE3_DEPTH][8]; /* chaining values of complete subtrees, the largest first */
    unsigned depth;
    uint64_t first, done;       /* chunks */
    uint8_t held[BLAKE3_CHUNK]; /* bytes that fill no chunk yet, or the only chunk so far */
    size_t held_bytes;
} blake3_state;

/* `first_chunk`: of a branch that is hashed on its own, a multiple of its (power of two) chunks; else 0. */
void blake3_begin(blake3_state *s, uint64_t first_chunk);
void blake3_update(blake3_state *s, const void *data, size_t bytes);
/* The digest of everything where `root`, else the chaining value of the branch. */
void blake3_finish(blake3_state *s, bool root, uint8_t out[BLAKE3_BYTES]);
/* The digest of an input that was cut into several branches of the same power of two of chunks, of which the last may
 * be shorter: after blake3_begin, all but the last in their order, `count` being how many there are then; then the
 * last. */
void blake3_push(blake3_state *s, const uint8_t branch[BLAKE3_BYTES], uint64_t count);
void blake3_fold(blake3_state *s, const uint8_t last[BLAKE3_BYTES], uint8_t out[BLAKE3_BYTES]);

/* ---- instruction sets ---- */
/* `count` inputs of `blocks` blocks each, `stride` bytes (of a chunk or a block) apart -> their chaining values, behind each other. `counter`
 * is that of the first, `step` its difference to the next; `first_flags` and `last_flags` are added to those blocks. */
typedef struct blake3_job {
    const uint8_t *data;
    size_t stride, count, blocks;
    uint64_t counter, step;
    uint32_t flags, first_flags, last_flags;
} blake3_job;
typedef void (*blake3_many)(const blake3_job *job, uint32_t (*out)[8]);

void blake3_many_scalar(const blake3_job *job, uint32_t (*out)[8]); /* the definition */
void blake3_many_vector(const blake3_job *job, uint32_t (*out)[8]); /* 4 lanes: SSE2, NEON */
void blake3_many_avx2(const blake3_job *job, uint32_t (*out)[8]);
void blake3_many_avx512(const blake3_job *job, uint32_t (*out)[8]);

#endif
