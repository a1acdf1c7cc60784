/* The definition of BLAKE3, word by word, the tree over its chunks, and the choice of instruction set. */
#include "kernels/blake3/blake3.h"

#include "base/cpu.h"

typedef uint32_t word;

#include "kernels/blake3/rounds_body.h"

/* One block into the chaining value h. */
static void compress(uint32_t h[8], const uint8_t *block, size_t bytes, uint64_t counter, uint32_t flags) {
    uint32_t m[16] = { 0 }, v[16];
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words and chaining values are hashed as they lie in memory"
#endif
    memcpy(m, block, bytes);
    memcpy(v, h, 8 * sizeof *v);
    memcpy(v + 8, initial, 4 * sizeof *v);
    v[12] = (uint32_t)counter;
    v[13] = (uint32_t)(counter >> 32);
    v[14] = (uint32_t)bytes;
    v[15] = flags;
#pragma GCC unroll 7
    for (int round = 0; round < 7; round++) mix_all(v, m, schedule[round]);
    for (int i = 0; i < 8; i++) h[i] = v[i] ^ v[i + 8];
}

void blake3_many_scalar(const blake3_job *job, uint32_t (*out)[8]) {
    for (size_t i = 0; i < job->count; i++) {
        memcpy(out[i], initial, sizeof initial);
        for (size_t b = 0; b < job->blocks; b++) {
            uint32_t flags =
                job->flags | (b == 0 ? job->first_flags : 0) | (b == job->blocks - 1 ? job->last_flags : 0);
            compress(out[i], job->data + i * job->stride + b * BLAKE3_BLOCK, BLAKE3_BLOCK, job->counter + i * job->step,
                     flags);
        }
    }
}

static void hash_many(const blake3_job *job, uint32_t (*out)[8]) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: blake3_many_avx512(job, out); return;
    case CPU_AVX2: blake3_many_avx2(job, out); return;
#endif
    case CPU_NEON: blake3_many_vector(job, out); return;
    default: blake3_many_scalar(job, out); return;
    }
}

static void to_bytes(const uint32_t h[8], uint8_t *out) {
    memcpy(out, h, BLAKE3_BYTES);
}

static void to_words(const uint8_t *bytes, uint32_t h[8]) {
    memcpy(h, bytes, BLAKE3_BYTES);
}

/* The chaining value of the parent of `left` and `right`, into `right`. */
static void join_two(const uint32_t left[8], uint32_t right[8], uint32_t flags) {
    uint8_t block[BLAKE3_BLOCK];
    to_bytes(left, block);
    to_bytes(right, block + BLAKE3_BYTES);
    memcpy(right, initial, sizeof initial);
    compress(right, block, sizeof block, 0, PARENT | flags);
}

/* ---- the stack of complete subtrees ----
 *
 * Chunks 0 .. n-1 are subtrees of the sizes of n's one bits, the largest first. The newest is not joined with its
 * neighbour before more comes: the last join of all is another one (ROOT). */

static void join_top(blake3_state *s, unsigned depth) {
    for (; s->depth > depth; s->depth--) {
        join_two(s->stack[s->depth - 2], s->stack[s->depth - 1], 0);
        memcpy(s->stack[s->depth - 2], s->stack[s->depth - 1], sizeof s->stack[0]);
    }
}

/* Pushes a subtree over the chunks behind the `done` that are on the stack. */
static void push(blake3_state *s, const uint32_t cv[8], uint64_t done) {
    join_top(s, (unsigned)__builtin_popcountll(done));
    memcpy(s->stack[s->depth++], cv, sizeof s->stack[0]);
}

/* Folds the stack over the last branch `h`. */
static void fold(blake3_state *s, bool root, uint32_t h[8]) {
    while (s->depth > 0) {
        s->depth--;
        join_two(s->stack[s->depth], h, root && s->depth == 0 ? ROOT : 0);
    }
}

/* ---- chunks ---- */

enum { AT_ONCE = 256 }; /* chunks; their chaining values stay in the first cache */

/* The subtree over `chunks` (a power of two, at most AT_ONCE) whole chunks. */
static void subtree(const uint8_t *data, size_t chunks, uint64_t first, uint32_t out[8]) {
    uint32_t a[AT_ONCE][8], b[AT_ONCE / 2][8];
    hash_many(
        &(blake3_job){ data, BLAKE3_CHUNK, chunks, BLAKE3_CHUNK / BLAKE3_BLOCK, first, 1, 0, CHUNK_START, CHUNK_END },
        a);
    uint32_t(*from)[8] = a, (*to)[8] = b;
    for (; chunks > 1; chunks /= 2) {
        hash_many(&(blake3_job){ (const uint8_t *)from, BLAKE3_BLOCK, chunks / 2, 1, 0, 0, PARENT, 0, 0 }, to);
        uint32_t(*swap)[8] = from;
        from = to;
        to = swap;
    }
    memcpy(out, from[0], 8 * sizeof *out);
}

void blake3_begin(blake3_state *s, uint64_t first_chunk) {
    s->depth = 0;
    s->first = first_chunk;
    s->done = 0;
    s->held_bytes = 0;
}

/* How many of the chunks in `bytes` to take as one subtree: a power of two that `done` is a multiple of, and never all
 * of the input, whose last join only the end may make. */
static size_t take(uint64_t done, size_t bytes) {
    size_t n = AT_ONCE;
    while (n > bytes / BLAKE3_CHUNK || (done & (n - 1)) || (done == 0 && n * BLAKE3_CHUNK == bytes)) n /= 2;
    return n;
}

static void add(blake3_state *s, const uint8_t *data, size_t chunks) {
    uint32_t cv[8];
    subtree(data, chunks, s->first + s->done, cv);
    push(s, cv, s->done);
    s->done += chunks;
}

void blake3_update(blake3_state *s, const void *data, size_t bytes) {
    const uint8_t *p = data;
    while (bytes > 0) {
        if (s->held_bytes == 0 && (bytes > BLAKE3_CHUNK || (bytes == BLAKE3_CHUNK && s->done > 0))) {
            size_t n = take(s->done, bytes);
            add(s, p, n);
            p += n * BLAKE3_CHUNK;
            bytes -= n * BLAKE3_CHUNK;
            continue;
        }
        if (s->held_bytes == BLAKE3_CHUNK) { /* it is not alone: more comes */
            add(s, s->held, 1);
            s->held_bytes = 0;
            continue;
        }
        size_t n = BLAKE3_CHUNK - s->held_bytes;
        if (n > bytes) n = bytes;
        memcpy(s->held + s->held_bytes, p, n);
        s->held_bytes += n;
        p += n;
        bytes -= n;
    }
}

/* The chaining value of the chunk that is held: at least one block, which may be empty. */
static void last_chunk(const blake3_state *s, bool root, uint32_t h[8]) {
    memcpy(h, initial, sizeof initial);
    size_t at = 0;
    do {
        size_t n = s->held_bytes - at < BLAKE3_BLOCK ? s->held_bytes - at : BLAKE3_BLOCK;
        bool last = at + n == s->held_bytes;
        uint32_t flags = (at == 0 ? CHUNK_START : 0) | (last ? CHUNK_END : 0);
        if (last && root && s->depth == 0) flags |= ROOT;
        compress(h, s->held + at, n, s->first + s->done, flags);
        at += n;
    } while (at < s->held_bytes);
}

void blake3_finish(blake3_state *s, bool root, uint8_t out[BLAKE3_BYTES]) {
    uint32_t h[8];
    if (s->held_bytes > 0 || s->done == 0) {
        join_top(s, (unsigned)__builtin_popcountll(s->done));
        last_chunk(s, root, h);
    } else {
        memcpy(h, s->stack[--s->depth], sizeof h);
    }
    fold(s, root, h);
    to_bytes(h, out);
}

void blake3_push(blake3_state *s, const uint8_t branch[BLAKE3_BYTES], uint64_t count) {
    uint32_t h[8];
    to_words(branch, h);
    push(s, h, count - 1);
    s->done = count;
}

void blake3_fold(blake3_state *s, const uint8_t last[BLAKE3_BYTES], uint8_t out[BLAKE3_BYTES]) {
    uint32_t h[8];
    join_top(s, (unsigned)__builtin_popcountll(s->done));
    to_words(last, h);
    fold(s, true, h);
    to_bytes(h, out);
}
