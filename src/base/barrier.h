/* A meeting point of threads that come often and soon: it spins shortly, then sleeps. */
#ifndef BASE_BARRIER_H
#define BASE_BARRIER_H

#include <stdatomic.h>

typedef struct barrier {
    unsigned threads;
    _Atomic unsigned arrived;
    _Atomic unsigned round; /* what sleepers wait on */
    _Atomic unsigned sleeping;
} barrier;

void barrier_init(barrier *b, unsigned threads);
/* Returns when all threads have come. What one wrote before, all see after. */
void barrier_wait(barrier *b);

#endif
