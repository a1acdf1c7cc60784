/* What the benchmarks share: seconds, memory, numbers that are the same in every run. */
#ifndef BENCH_H
#define BENCH_H

#include "base/mem.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double bench_seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Zeros, aligned to 64, on large pages as what the library computes with. */
static inline void *bench_memory(size_t bytes) {
    void *p = mem_alloc_aligned(64, bytes + 64);
    if (!p) abort();
    return memset(p, 0, bytes);
}

static inline uint64_t bench_random(void) { /* xorshift64 (Marsaglia 2003) */
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

#endif
