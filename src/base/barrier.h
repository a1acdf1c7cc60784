/* A meeting point of threads that come often and soon: who waits spins, then lets others have the processor, then
 * sleeps. */
#ifndef BASE_BARRIER_H
#define BASE_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>

typedef struct barrier {
    unsigned threads;
    _Atomic unsigned arrived;
    _Atomic unsigned round; /* what sleepers wait on */
    _Atomic unsigned sleeping;
} barrier;

void barrier_init(barrier *b, unsigned threads);
/* A thread comes, may do something else until all have come, and waits for that. What one wrote before it came, all see
 * after they waited. */
unsigned barrier_come(barrier *b); /* the round that it came in */
bool barrier_over(const barrier *b, unsigned round);
void barrier_wait(barrier *b, unsigned round);

#endif
