/* Statistics of tensors in one streaming pass on all threads.
 *
 * A tensor is cut into pieces of fixed size, and those into blocks; accumulators of blocks are merged in order within a
 * piece, pieces in order within the tensor, so that the result does not depend on the number of threads. Outliers are
 * known only when mean and deviation are: blocks whose extremes reach beyond six deviations are then looked at again,
 * all others have none. Memory: two blocks a worker, eight bytes for each block of all tensors, and a few accumulators
 * that wait for their turn. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "codecs/codec.h"
#include "insight/job.h"
#include "insight/values.h"
#include "kernels/stats/stats.h"
#include <tola/insight.h>

#define PIECE (64 * (uint64_t)VALUES_BLOCK)
#define OUTLIER_DEVIATIONS 6.0

/* The extremes of a block, rounded outwards. */
typedef struct reach {
    float low, high;
} reach;

/* An accumulator that waits for the pieces before it. */
typedef struct waiting {
    struct waiting *next;
    size_t piece;
    stats_acc acc;
} waiting;

typedef struct subject {
    tola_tensor_stats *out;
    tola_dtype as;     /* the type that the kernels get */
    uint64_t blocks;
    reach *reaches;    /* of each block */
    size_t merged;     /* pieces that are in `acc` */
    size_t pieces;
    stats_acc *acc;    /* NULL before the first piece and after the last */
    waiting *waiting;  /* in order of pieces */
    double low, high;  /* beyond these are outliers */
} subject;

typedef struct measuring {
    job *j;
    const tola_checkpoint *ck;
    subject *subjects;
    values_scratch *scratch;
    pthread_mutex_t lock; /* over everything that is merged */
} measuring;

/* ---- kernels by type ---- */

/* The types that the kernels take as they are; others are converted to f32 or f64, whichever holds them exactly. */
static tola_dtype kernel_type(tola_dtype dtype) {
    switch (dtype) {
    case TOLA_DTYPE_F32:
    case TOLA_DTYPE_F64:
    case TOLA_DTYPE_F16:
    case TOLA_DTYPE_BF16: return dtype;
    case TOLA_DTYPE_I64:
    case TOLA_DTYPE_U64: return TOLA_DTYPE_F64; /* rounded beyond 2^53 */
    default: return codec_exact(dtype) == TOLA_DTYPE_F64 ? TOLA_DTYPE_F64 : TOLA_DTYPE_F32;
    }
}

static void add(stats_acc *acc, tola_dtype type, const void *data, size_t n) {
    switch (type) {
    case TOLA_DTYPE_F64: stats_add_f64(acc, data, n); break;
    case TOLA_DTYPE_F16: stats_add_f16(acc, data, n); break;
    case TOLA_DTYPE_BF16: stats_add_bf16(acc, data, n); break;
    default: stats_add_f32(acc, data, n); break;
    }
}

static uint64_t outside(tola_dtype type, const void *data, size_t n, double low, double high) {
    switch (type) {
    case TOLA_DTYPE_F64: return stats_outside_f64(data, n, low, high);
    case TOLA_DTYPE_F16: return stats_outside_f16(data, n, low, high);
    case TOLA_DTYPE_BF16: return stats_outside_bf16(data, n, low, high);
    default: return stats_outside_f32(data, n, low, high);
    }
}

/* ---- first look ---- */

static reach reach_of(const stats_acc *acc) {
    float low = (float)acc->min, high = (float)acc->max;
    return (reach){ (double)low > acc->min ? nextafterf(low, -INFINITY) : low,
                    (double)high < acc->max ? nextafterf(high, INFINITY) : high };
}

static bool has_outliers(const subject *s, reach r) { return (double)r.low < s->low || (double)r.high > s->high; }

/* All pieces are merged: what the sums say. */
static void conclude(subject *s) {
    const stats_acc *acc = s->acc;
    tola_tensor_stats *out = s->out;
    stats_derived derived = stats_derive(acc);
    out->count = acc->count;
    out->zeros = acc->zeros;
    out->nans = acc->nans;
    out->infinities = acc->infinities;
    out->min = acc->finite ? acc->min : NAN;
    out->max = acc->finite ? acc->max : NAN;
    out->mean = acc->finite ? acc->mean : NAN;
    out->std = derived.std;
    out->norm = derived.norm;
    out->kurtosis = derived.kurtosis;
    memcpy(out->histogram, acc->histogram, sizeof out->histogram);
    s->low = acc->mean - OUTLIER_DEVIATIONS * derived.std;
    s->high = acc->mean + OUTLIER_DEVIATIONS * derived.std;
    mem_free(s->acc);
    s->acc = NULL;
}

/* Merges a piece, or lets it wait for those before it. */
static tola_status hand_in(measuring *m, subject *s, size_t piece, const stats_acc *acc, tola_error *err) {
    waiting *mine = mem_alloc(sizeof *mine);
    if (!mine) return err_nomem(err, "collecting statistics");
    mine->piece = piece;
    mine->acc = *acc;
    pthread_mutex_lock(&m->lock);
    waiting **at = &s->waiting;
    while (*at && (*at)->piece < piece) at = &(*at)->next;
    mine->next = *at;
    *at = mine;
    if (!s->acc) {
        s->acc = mem_alloc(sizeof *s->acc);
        if (s->acc) stats_init(s->acc);
    }
    bool memory = s->acc != NULL;
    while (memory && s->waiting && s->waiting->piece == s->merged) {
        waiting *first = s->waiting;
        stats_merge(s->acc, &first->acc);
        s->waiting = first->next;
        s->merged++;
        mem_free(first);
    }
    if (memory && s->merged == s->pieces) conclude(s);
    pthread_mutex_unlock(&m->lock);
    return memory ? TOLA_OK : err_nomem(err, "collecting statistics");
}

static tola_status measure_piece(void *context, const job_piece *p, tola_error *err) {
    measuring *m = context;
    subject *s = &m->subjects[p->item];
    stats_acc total, one;
    stats_init(&total);
    for (uint64_t done = 0; done < p->size;) {
        uint64_t left = p->size - done, first = p->offset + done;
        size_t n = left < VALUES_BLOCK ? (size_t)left : VALUES_BLOCK;
        const void *data;
        TRY(values_read(m->ck, s->out->tensor, first, n, s->as, &m->scratch[p->worker], &data, err));
        stats_init(&one);
        add(&one, s->as, data, n);
        s->reaches[first / VALUES_BLOCK] = reach_of(&one);
        stats_merge(&total, &one);
        const tola_tensor_info *t = tola_checkpoint_tensor(m->ck, s->out->tensor);
        TRY(job_advance(m->j, (uint64_t)(tola_dtype_bits((tola_dtype)t->dtype) / 8 * (double)n), err));
        done += n;
    }
    return hand_in(m, s, p->piece, &total, err);
}

/* ---- second look ---- */

static tola_status count_outliers(void *context, const job_piece *p, tola_error *err) {
    measuring *m = context;
    subject *s = &m->subjects[p->item];
    uint64_t found = 0;
    for (uint64_t done = 0; done < p->size; done += VALUES_BLOCK) {
        uint64_t left = p->size - done, first = p->offset + done;
        size_t n = left < VALUES_BLOCK ? (size_t)left : VALUES_BLOCK;
        const void *data;
        if (!has_outliers(s, s->reaches[first / VALUES_BLOCK])) continue;
        TRY(values_read(m->ck, s->out->tensor, first, n, s->as, &m->scratch[p->worker], &data, err));
        found += outside(s->as, data, n, s->low, s->high);
        TRY(job_advance(m->j, 0, err));
    }
    __atomic_fetch_add(&s->out->outliers, found, __ATOMIC_RELAXED);
    return TOLA_OK;
}

/* ---- setting up ---- */

static tola_status run(measuring *m, job_item *items, size_t count, reach *reaches, tola_error *err) {
    for (size_t i = 0; i < count; i++) {
        subject *s = &m->subjects[i];
        s->reaches = reaches;
        reaches += s->blocks;
        s->pieces = (size_t)job_pieces(&items[i]);
    }
    TRY(job_run(m->j, items, count, measure_piece, m, err));
    job_phase(m->j, "counting outliers", 0);
    return job_run(m->j, items, count, count_outliers, m, err);
}

static void free_waiting(subject *subjects, size_t count) {
    for (size_t i = 0; subjects && i < count; i++) {
        for (waiting *w = subjects[i].waiting; w;) {
            waiting *next = w->next;
            mem_free(w);
            w = next;
        }
        mem_free(subjects[i].acc);
    }
}

/* Fills `tensors[0 .. count)`, whose `tensor` is set. */
static tola_status measure(const tola_checkpoint *ck, const tola_job_options *options, tola_tensor_stats *tensors,
                           size_t count, uint64_t bytes, tola_error *err) {
    job j;
    TRY(job_open(&j, options->threads, options->progress, options->progress_user, "measuring", bytes, err));
    subject *subjects = mem_calloc(count + 1, sizeof *subjects);
    job_item *items = mem_calloc(count + 1, sizeof *items);
    uint64_t blocks = 1;
    for (size_t i = 0; subjects && items && i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, tensors[i].tensor);
        subjects[i].out = &tensors[i];
        subjects[i].as = kernel_type((tola_dtype)t->dtype);
        subjects[i].blocks = t->elements / VALUES_BLOCK + (t->elements % VALUES_BLOCK != 0);
        items[i] = (job_item){ i, t->elements, job_can_cut(t) ? PIECE : 0 };
        blocks += subjects[i].blocks;
    }
    reach *reaches = mem_calloc((size_t)blocks, sizeof *reaches);
    measuring m = { &j, ck, subjects, values_scratch_new(job_threads(&j)), PTHREAD_MUTEX_INITIALIZER };
    tola_status status;
    if (!subjects || !items || !reaches || !m.scratch)
        status = err_nomem(err, "collecting statistics");
    else
        status = run(&m, items, count, reaches, err);
    values_scratch_free(m.scratch, job_threads(&j));
    free_waiting(subjects, count);
    mem_free(reaches);
    mem_free(items);
    mem_free(subjects);
    job_close(&j);
    return status;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Number of tensors that match and hold numbers; where `tensors` is not NULL they are written there and what else is
 * known before reading goes into `result`. */
static size_t select_tensors(const tola_checkpoint *ck, const char *glob, tola_tensor_stats *tensors,
                             tola_stats *result) {
    size_t count = tola_checkpoint_tensor_count(ck), n = 0;
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
        if (glob && !glob_match(glob, t->name)) continue;
        bool numbers = codec_exact((tola_dtype)t->dtype) != TOLA_DTYPE_NONE; /* real numbers */
        if (tensors && numbers) tensors[n].tensor = i;
        if (tensors) result->skipped += !numbers;
        if (tensors && numbers) result->bytes += t->bytes;
        n += numbers;
    }
    return n;
}

tola_status tola_stats_compute(const tola_checkpoint *checkpoint, const tola_job_options *options, tola_stats *out,
                               tola_error *err) {
    static const tola_job_options defaults = TOLA_JOB_OPTIONS_INIT;
    if (!options) options = &defaults;
    TRY(job_need_all(checkpoint, err));
    double started = now();
    tola_stats result = { .size = sizeof result };
    result.count = select_tensors(checkpoint, options->glob, NULL, NULL);
    result.tensors = mem_calloc(result.count + 1, sizeof *result.tensors);
    if (!result.tensors) return err_nomem(err, "collecting statistics");
    select_tensors(checkpoint, options->glob, result.tensors, &result);
    tola_status status = measure(checkpoint, options, result.tensors, result.count, result.bytes, err);
    if (status != TOLA_OK) {
        mem_free(result.tensors);
        return status;
    }
    result.seconds = now() - started;
    *out = result;
    return TOLA_OK;
}

void tola_stats_dispose(tola_stats *stats) {
    if (!stats) return;
    mem_free(stats->tensors);
    stats->tensors = NULL;
    stats->count = 0;
}
