/* The largest of many 64-bit keys, without sorting the rest. */
#ifndef GENERATE_SAMPLE_SELECT_H
#define GENERATE_SAMPLE_SELECT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Keys order by number, largest first, then by id, lowest first; no two are equal. */
static inline uint64_t select_key(float number, uint32_t id) {
    uint32_t bits;
    number += 0.0f; /* -0 and 0 are one number */
    memcpy(&bits, &number, sizeof bits);
    bits ^= (uint32_t)((int32_t)bits >> 31) | 0x80000000u; /* negative: all bits, else the sign */
    return (uint64_t)bits << 32 | (uint32_t)~id;
}

static inline uint32_t select_id(uint64_t key) { return ~(uint32_t)key; }

static inline float select_number(uint64_t key) {
    uint32_t bits = (uint32_t)(key >> 32);
    bits ^= ((bits >> 31) - 1) | 0x80000000u;
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* Puts the k largest keys first, in no order; linear whatever the keys are. */
void select_largest(uint64_t *keys, size_t count, size_t k);
/* Sorts, largest first; `scratch` holds `count` keys. */
void select_sort(uint64_t *keys, size_t count, uint64_t *scratch);

#endif
