/* In what order examples come, and which of them are kept for validation: pure functions of numbers, so that a step's
 * examples follow from seed and step, and a run that is resumed needs no memory of the ones before. */
#ifndef LEARN_SHUFFLE_H
#define LEARN_SHUFFLE_H

#include "base/err.h"

/* Element `i` of the permutation of 0 .. count-1 that `seed` and `epoch` name. i < count. */
uint64_t shuffle_at(uint64_t count, uint64_t seed, uint64_t epoch, uint64_t i);
/* The example of draw number `draw`, counted from the first step of a run: every `count` draws each comes once.
 * Step s of a batch of b takes the draws s * b .. s * b + b - 1. */
uint64_t shuffle_draw(uint64_t count, uint64_t seed, uint64_t draw);

/* Some of `count` examples are kept for validation. */
typedef struct data_split {
    uint64_t train, validation; /* how many */
    uint64_t seed;
    bool mixed; /* which ones, the seed decides; else they are the last */
} data_split;

/* `number` examples, or where it is 0 a share of them in [0, 1), rounded, but at least one where the share is above 0.
 * TOLA_E_ARG where none is left to train on. */
tola_status data_split_make(uint64_t count, uint64_t number, double share, bool mixed, uint64_t seed, data_split *out,
                            tola_error *err);
/* Example `i` of the part for training (i < train) or for validation (i < validation). */
uint64_t data_split_train(const data_split *s, uint64_t i);
uint64_t data_split_validation(const data_split *s, uint64_t i);

#endif
