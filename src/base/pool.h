/* A thread pool for loops over independent tasks. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <tola/base.h>

typedef struct pool pool;

/* threads 0 = processors this process may run on. The calling thread works too: threads 1 starts none. */
tola_status pool_create(unsigned threads, pool **out, tola_error *err);
void pool_free(pool *p);
unsigned pool_threads(const pool *p);

/* One task; `worker` is 0 .. pool_threads-1 and never runs twice at once (index of scratch space). */
typedef tola_status (*pool_task)(void *context, size_t task, unsigned worker, tola_error *err);
/* Runs tasks 0 .. count-1, handed out in order. The first failure stops the handing out and is returned
 * (of several, that of the lowest task). */
tola_status pool_run(pool *p, size_t count, pool_task task, void *context, tola_error *err);

#endif
