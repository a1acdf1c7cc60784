/* Bits that look random and are the same in every process: draws that a seed and a place decide, keys of names. */
#ifndef BASE_MIX_H
#define BASE_MIX_H

#include <stdint.h>

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014, https://doi.org/10.1145/2714064.2660195). */
static inline uint64_t mix_u64(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* FNV-1a, going on from `h`; MIX_NAME to begin with. */
#define MIX_NAME UINT64_C(0xcbf29ce484222325)
static inline uint64_t mix_name(const char *name, uint64_t h) {
    for (; *name; name++) h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return h;
}

#endif
