/* A long pass over tensors: pieces of fixed size on the pool, progress, cancellation.
 *
 * The pieces do not depend on the number of threads, so that what is merged in their order does not either. */
#ifndef INSIGHT_JOB_H
#define INSIGHT_JOB_H

#include "base/pool.h"
#include <tola/checkpoint.h>

#include <pthread.h>

/* One tensor to go through. */
typedef struct job_item {
    size_t tensor;  /* for the one who runs the job */
    uint64_t size;  /* in bytes, elements, or whatever the job counts */
    uint64_t piece; /* it is cut into pieces of this size; 0 = not at all. What is empty has one empty piece */
} job_item;

typedef struct job {
    pool *pool;
    tola_progress_fn progress;
    void *user;
    pthread_mutex_t lock;
    tola_progress state;
    uint64_t shown; /* bytes at the last call of progress */
    bool cancelled;
} job;

/* `total`: bytes that job_advance will be told of, 0 = unknown. */
tola_status job_open(job *j, unsigned threads, tola_progress_fn progress, void *user, const char *phase,
                     uint64_t total, tola_error *err);
void job_close(job *j);
unsigned job_threads(const job *j);
/* A new phase of the same job. */
void job_phase(job *j, const char *phase, uint64_t total);

/* Piece `piece` of items[item]: [offset, offset + size). */
typedef struct job_piece {
    size_t item, piece;
    uint64_t offset, size;
    unsigned worker;
} job_piece;
typedef tola_status (*job_fn)(void *context, const job_piece *piece, tola_error *err);

/* Pieces an item is cut into. */
uint64_t job_pieces(const job_item *item);
/* Runs fn over all pieces of all items, handed out in order. The first failure ends it. */
tola_status job_run(job *j, const job_item *items, size_t count, job_fn fn, void *context, tola_error *err);
/* Tells how far it is, from any worker; TOLA_E_CANCELLED once the callback said stop. */
tola_status job_advance(job *j, uint64_t bytes, tola_error *err);

/* May the tensor be read in pieces by several threads? What is inflated is read from front to back by one. */
bool job_can_cut(const tola_tensor_info *t);
/* TOLA_E_NOT_FOUND where a tensor's shard is missing: nothing that reads values can go on. */
tola_status job_need_all(const tola_checkpoint *ck, tola_error *err);

#endif
