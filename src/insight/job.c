/* Cutting tensors into pieces and running them on the pool. */
#include "insight/job.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

/* Between two calls of the progress callback; it draws at most a few times a second anyway. */
#define JOB_PROGRESS_BYTES (4u << 20)

tola_status job_open(job *j, unsigned threads, tola_progress_fn progress, void *user, const char *phase,
                     uint64_t total, tola_error *err) {
    memset(j, 0, sizeof *j);
    TRY(pool_create(threads, &j->pool, err));
    pthread_mutex_init(&j->lock, NULL);
    j->progress = progress;
    j->user = user;
    j->state.phase = phase;
    j->state.total = total;
    return TOLA_OK;
}

void job_close(job *j) {
    if (!j->pool) return;
    pool_free(j->pool);
    pthread_mutex_destroy(&j->lock);
    j->pool = NULL;
}

unsigned job_threads(const job *j) { return pool_threads(j->pool); }

void job_phase(job *j, const char *phase, uint64_t total) {
    j->state.phase = phase;
    j->state.done = 0;
    j->state.total = total;
    j->shown = 0;
}

uint64_t job_pieces(const job_item *item) {
    if (item->piece == 0 || item->size <= item->piece) return 1;
    return item->size / item->piece + (item->size % item->piece != 0);
}

typedef struct job_loop {
    const job_item *items;
    uint64_t *first; /* first[i]: number of item i's first piece; first[count]: all pieces */
    size_t count;
    job_fn fn;
    void *context;
} job_loop;

static tola_status run_piece(void *context, size_t task, unsigned worker, tola_error *err) {
    const job_loop *loop = context;
    size_t low = 0, high = loop->count;
    while (high - low > 1) { /* the last item whose first piece is not beyond `task` */
        size_t middle = low + (high - low) / 2;
        if (loop->first[middle] <= task)
            low = middle;
        else
            high = middle;
    }
    const job_item *item = &loop->items[low];
    job_piece p = { low, (size_t)(task - loop->first[low]), 0, item->size, worker };
    if (item->piece) {
        p.offset = p.piece * item->piece;
        uint64_t left = item->size - p.offset;
        p.size = left < item->piece ? left : item->piece;
    }
    return loop->fn(loop->context, &p, err);
}

tola_status job_run(job *j, const job_item *items, size_t count, job_fn fn, void *context, tola_error *err) {
    if (count == 0) return TOLA_OK;
    uint64_t *first = mem_alloc((count + 1) * sizeof *first);
    if (!first) return err_nomem(err, "cutting the work into pieces");
    first[0] = 0;
    for (size_t i = 0; i < count; i++) first[i + 1] = first[i] + job_pieces(&items[i]);
    job_loop loop = { items, first, count, fn, context };
    tola_status status = pool_run(j->pool, (size_t)first[count], run_piece, &loop, err);
    mem_free(first);
    return status;
}

tola_status job_advance(job *j, uint64_t bytes, tola_error *err) {
    if (!j->progress) return TOLA_OK;
    pthread_mutex_lock(&j->lock);
    j->state.done += bytes;
    if (!j->cancelled && (j->state.done - j->shown >= JOB_PROGRESS_BYTES || j->state.done == j->state.total)) {
        j->shown = j->state.done;
        if (!j->progress(j->user, &j->state)) j->cancelled = true;
    }
    bool cancelled = j->cancelled;
    pthread_mutex_unlock(&j->lock);
    return cancelled ? err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "cancelled") : TOLA_OK;
}

bool job_can_cut(const tola_tensor_info *t) { return (t->flags & TOLA_TENSOR_PACKED) == 0; }

tola_status job_need_all(const tola_checkpoint *ck, tola_error *err) {
    size_t count = tola_checkpoint_tensor_count(ck), missing = 0;
    const char *name = NULL;
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
        if (!(t->flags & TOLA_TENSOR_MISSING)) continue;
        if (missing++ == 0) name = t->name;
    }
    if (missing == 0) return TOLA_OK;
    return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                   "the shards that hold %zu of %zu tensors are missing; the first is tensor '%s'", missing, count,
                   name);
}
