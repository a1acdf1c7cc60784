/* From a recipe to a task: what tables and texts have in common. */
#ifndef LEARN_TRAIN_H
#define LEARN_TRAIN_H

#include "learn/learn.h"
#include "learn/recipe.h"

#define TRAIN_DIGEST 64 /* hexadecimal digits of a SHA-256 */

typedef struct training {
    recipe *r;
    const tola_train_options *o;
    learn_parameters *parameters;
    graph *graph;
    learn_task task;
    uint64_t examples, validation; /* as the summary counts them */
    uint64_t rows;                 /* that an epoch draws; a step draws batch * accumulate of them */
    char network[32];
    char digest[TRAIN_DIGEST + 1]; /* of the data */
    void *own;
    void (*close)(void *own);
} training;

/* Fill in all of the above but `r` and `o`. */
tola_status train_on_table(training *t, tola_error *err);
tola_status train_on_text(training *t, tola_error *err);

void train_digest_text(const uint8_t digest[32], char text[TRAIN_DIGEST + 1]);
/* How many batches of `batch` hold `rows`, at most `limit` where it is not 0. */
uint32_t train_batches(uint64_t rows, uint32_t batch, uint32_t limit);

#endif
