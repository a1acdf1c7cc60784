/* Reading with the widest vectors of the file that includes this; READ_ALL is the function's name. */
#include "kernels/peak/peak.h"

typedef uint64_t wide __attribute__((vector_size(64), may_alias));

/* By address: passing vectors wider than the target's own is a matter of calling conventions. */
static inline uint64_t sum_of(const wide *v) {
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++) sum += (*v)[i];
    return sum;
}

/* One stream, four lines at a time; `ahead` bytes before what is read are asked for, if any. */
static uint64_t read_forward(const char *p, size_t bytes, size_t ahead) {
    wide a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
    for (size_t i = 0; i < bytes; i += 256) {
        if (ahead)
            for (size_t l = 0; l < 256; l += 64) __builtin_prefetch(p + i + ahead + l, 0, 2);
        a += *(const wide *)(const void *)(p + i);
        b += *(const wide *)(const void *)(p + i + 64);
        c += *(const wide *)(const void *)(p + i + 128);
        d += *(const wide *)(const void *)(p + i + 192);
    }
    a += b + c + d;
    return sum_of(&a);
}

/* `streams` (a multiple of 4) equal shares, a line of each in turn. */
static uint64_t read_streams(const char *p, size_t bytes, size_t streams, size_t ahead) {
    size_t share = bytes / streams;
    wide a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
    for (size_t i = 0; i < share; i += 64)
        for (size_t s = 0; s < streams; s += 4) {
            const char *at = p + s * share + i;
            for (size_t n = 0; n < 4; n++) __builtin_prefetch(at + n * share + ahead, 0, 2);
            a += *(const wide *)(const void *)at;
            b += *(const wide *)(const void *)(at + share);
            c += *(const wide *)(const void *)(at + 2 * share);
            d += *(const wide *)(const void *)(at + 3 * share);
        }
    a += b + c + d;
    return sum_of(&a);
}

uint64_t READ_ALL(const char *p, size_t bytes, size_t streams, size_t ahead) {
    return streams == 1 ? read_forward(p, bytes, ahead) : read_streams(p, bytes, streams, ahead);
}
