/* A Feistel network over the numbers below the next power of two, walked until it gives one below `count` (Black and
 * Rogaway, "Ciphers with Arbitrary Finite Domains", https://web.cs.ucdavis.edu/~rogaway/papers/subset.pdf): a
 * permutation without a table. The two halves may differ by one bit. Its round function mixes as splitmix64 does
 * (https://prng.di.unimi.it/splitmix64.c). */
#include "learn/shuffle.h"

#include "base/mix.h"

#include <math.h>

#define ROUNDS 8
#define SPLIT_EPOCH UINT64_MAX /* the permutation that splits is that of no epoch */

/* left has a bits, right b; a round gives (right, left + f(right)) with the lengths exchanged, so after an even number
 * of rounds they are as before. */
static uint64_t feistel(uint64_t x, unsigned bits, uint64_t key) {
    unsigned a = bits / 2, b = bits - a;
    uint64_t left = x >> b, right = x & ((UINT64_C(1) << b) - 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t mask = (UINT64_C(1) << (round % 2 ? b : a)) - 1;
        uint64_t f = mix_u64(right + mix_u64(key + (round + 1) * UINT64_C(0x9e3779b97f4a7c15)));
        uint64_t next = (left ^ f >> 20) & mask;
        left = right;
        right = next;
    }
    return left << b | right;
}

uint64_t shuffle_at(uint64_t count, uint64_t seed, uint64_t epoch, uint64_t i) {
    unsigned bits = 2;
    while (bits < 63 && UINT64_C(1) << bits < count) bits++;
    uint64_t key = mix_u64(mix_u64(seed + UINT64_C(0x9e3779b97f4a7c15)) ^ (epoch + 1) * UINT64_C(0xd1342543de82ef95));
    do i = feistel(i, bits, key);
    while (i >= count);
    return i;
}

uint64_t shuffle_draw(uint64_t count, uint64_t seed, uint64_t draw) {
    return shuffle_at(count, seed, draw / count, draw % count);
}

/* ---- splits ---- */

tola_status data_split_make(uint64_t count, uint64_t number, double share, bool mixed, uint64_t seed, data_split *out,
                            tola_error *err) {
    if (!(share >= 0 && share < 1))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a share of %g for validation is not in 0 .. 1", share);
    if (number == 0 && share > 0) {
        number = (uint64_t)llround((double)count * share);
        if (number == 0) number = 1;
    }
    if (number >= count)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%llu examples for validation leave none of %llu to train on",
                       (unsigned long long)number, (unsigned long long)count);
    *out = (data_split){ .train = count - number, .validation = number, .seed = seed, .mixed = mixed };
    return TOLA_OK;
}

uint64_t data_split_train(const data_split *s, uint64_t i) {
    return s->mixed ? shuffle_at(s->train + s->validation, s->seed, SPLIT_EPOCH, i) : i;
}

uint64_t data_split_validation(const data_split *s, uint64_t i) { return data_split_train(s, s->train + i); }
