/* The thread pool: threads sleep between loops, the caller works along. */
#define _GNU_SOURCE 1
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define POOL_MAX_THREADS 256

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    pthread_t *threads;
    unsigned started; /* threads besides the caller */
    unsigned wanted;
    /* the loop that is running, all under lock */
    uint64_t round;
    unsigned busy;
    size_t next, count;
    pool_task task;
    void *context;
    bool failed, quit;
    size_t failed_task;
    tola_status status;
    tola_error error;
};

typedef struct worker_start {
    pool *p;
    unsigned index;
} worker_start;

/* Takes tasks until none is left. Called with the lock held, returns with it held. */
static void pool_work(pool *p, unsigned worker) {
    while (p->next < p->count && !p->failed) {
        size_t i = p->next++;
        pool_task task = p->task;
        void *context = p->context;
        pthread_mutex_unlock(&p->lock);
        tola_error error = TOLA_ERROR_INIT;
        tola_status status = task(context, i, worker, &error);
        pthread_mutex_lock(&p->lock);
        if (status != TOLA_OK && (!p->failed || i < p->failed_task)) {
            p->failed = true;
            p->failed_task = i;
            p->status = status;
            p->error = error;
        }
    }
}

static void *pool_thread(void *argument) {
    worker_start start = *(worker_start *)argument;
    mem_free(argument);
    pool *p = start.p;
    pthread_mutex_lock(&p->lock);
    uint64_t seen = 0;
    for (;;) {
        while (!p->quit && p->round == seen) pthread_cond_wait(&p->work, &p->lock);
        if (p->quit) break;
        seen = p->round;
        p->busy++;
        pool_work(p, start.index);
        p->busy--;
        if (p->busy == 0) pthread_cond_signal(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static unsigned processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int n = CPU_COUNT(&set);
        if (n > 0) return (unsigned)n;
    }
    return 1;
}

tola_status pool_create(unsigned threads, pool **out, tola_error *err) {
    if (threads == 0) threads = processors();
    if (threads > POOL_MAX_THREADS) threads = POOL_MAX_THREADS;
    pool *p = mem_calloc(1, sizeof *p);
    if (!p) return err_nomem(err, "starting threads");
    p->wanted = threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->threads = mem_calloc(threads, sizeof *p->threads);
    if (!p->threads) {
        pool_free(p);
        return err_nomem(err, "starting threads");
    }
    /* signals stay with the program's own threads */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 1; i < threads; i++) {
        worker_start *start = mem_alloc(sizeof *start);
        if (!start) break;
        *start = (worker_start){ p, i };
        if (pthread_create(&p->threads[p->started], NULL, pool_thread, start) != 0) {
            mem_free(start);
            break;
        }
        p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    p->wanted = p->started + 1; /* fewer threads than asked for is slower, not wrong */
    *out = p;
    return TOLA_OK;
}

void pool_free(pool *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++) pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->threads);
    mem_free(p);
}

unsigned pool_threads(const pool *p) { return p->wanted; }

tola_status pool_run(pool *p, size_t count, pool_task task, void *context, tola_error *err) {
    pthread_mutex_lock(&p->lock);
    p->next = 0;
    p->count = count;
    p->task = task;
    p->context = context;
    p->failed = false;
    p->status = TOLA_OK;
    p->round++;
    if (count > 1) pthread_cond_broadcast(&p->work);
    pool_work(p, 0);
    while (p->busy) pthread_cond_wait(&p->idle, &p->lock);
    tola_status status = p->failed ? p->status : TOLA_OK;
    if (status != TOLA_OK && err) *err = p->error;
    p->count = p->next = 0; /* a thread that wakes late finds nothing */
    pthread_mutex_unlock(&p->lock);
    return status;
}
