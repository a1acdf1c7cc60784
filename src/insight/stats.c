/* Statistics of tensors in one streaming pass on all threads.
 *
 * A tensor is cut into pieces of fixed size, and those into blocks; accumulators of blocks are merged in order within a
 * piece, pieces in order within the tensor, so that the result does not depend on the number of threads.
 *
 * Outliers are known only when mean and deviation of the whole tensor are. While a block is in the cache, the elements
 * far from the block's own mean are noted: where that limit turns out to lie inside the tensor's, the outliers are among
 * them. Only blocks that spread much wider than their tensor, or hold too many far elements, are read again. Either way
 * the count is exact. Memory: two blocks a worker, and for tensors in work some 50 bytes a block and what was noted. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "codecs/codec.h"
#include "insight/job.h"
#include "insight/values.h"
#include "kernels/stats/stats.h"
#include <tola/insight.h>

#define PIECE (64 * (uint64_t)VALUES_BLOCK)
#define OUTLIER_DEVIATIONS 6.0
#define FAR_DEVIATIONS 5.0 /* of the block: noted. Few Gaussian blocks have any, heavy tails a hundred */
#define FAR_MOST 512       /* of one block */

/* What a block keeps until its tensor is measured. */
typedef struct note {
    double min, max;  /* of the block */
    double low, high; /* elements beyond are in `far` */
    double *far;
    uint32_t count;   /* of `far`; FAR_MOST + 1: more than were noted */
} note;

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
    note *notes;       /* of each block; NULL before the first piece and after the last */
    uint32_t *again;   /* blocks to be read a second time */
    size_t again_count;
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
    const job_item *items;
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

static uint64_t collect(tola_dtype type, const void *data, size_t n, double low, double high, double *out,
                        size_t cap) {
    switch (type) {
    case TOLA_DTYPE_F64: return stats_collect_f64(data, n, low, high, out, cap);
    case TOLA_DTYPE_F16: return stats_collect_f16(data, n, low, high, out, cap);
    case TOLA_DTYPE_BF16: return stats_collect_bf16(data, n, low, high, out, cap);
    default: return stats_collect_f32(data, n, low, high, out, cap);
    }
}

/* ---- first look ---- */

/* Notes the extremes of a block and its elements that are far from its mean. */
static tola_status take_note(note *out, tola_dtype type, const void *data, size_t n, const stats_acc *acc,
                             tola_error *err) {
    double far[FAR_MOST], deviation = stats_derive(acc).std;
    *out = (note){ .min = acc->min, .max = acc->max, .low = acc->mean - FAR_DEVIATIONS * deviation,
                   .high = acc->mean + FAR_DEVIATIONS * deviation };
    if (!(out->min < out->low || out->max > out->high)) return TOLA_OK; /* nothing far, or nothing finite */
    uint64_t count = collect(type, data, n, out->low, out->high, far, FAR_MOST);
    out->count = count > FAR_MOST ? FAR_MOST + 1 : (uint32_t)count;
    if (count > FAR_MOST || count == 0) return TOLA_OK;
    out->far = mem_alloc((size_t)count * sizeof *far);
    if (!out->far) return err_nomem(err, "collecting statistics");
    memcpy(out->far, far, (size_t)count * sizeof *far);
    return TOLA_OK;
}

static void free_notes(subject *s) {
    for (uint64_t i = 0; s->notes && i < s->blocks; i++) mem_free(s->notes[i].far);
    mem_free(s->notes);
    s->notes = NULL;
}

/* Counts outliers from the notes; false where the block has to be read again. */
static bool count_from_note(subject *s, const note *n) {
    if (!(n->min < s->low || n->max > s->high)) return true;
    if (n->low < s->low || n->high > s->high || n->count > FAR_MOST) return false;
    for (uint32_t i = 0; i < n->count; i++) s->out->outliers += n->far[i] < s->low || n->far[i] > s->high;
    return true;
}

/* Outliers as far as the notes tell; the other blocks go into s->again. */
static bool settle_outliers(subject *s) {
    size_t cap = 0;
    for (uint64_t i = 0; i < s->blocks; i++) {
        if (count_from_note(s, &s->notes[i])) continue;
        if (!mem_grow(&s->again, &cap, s->again_count + 1, sizeof *s->again)) return false;
        s->again[s->again_count++] = (uint32_t)i; /* 2^32 blocks are 2^49 elements */
    }
    free_notes(s);
    return true;
}

/* All pieces are merged: what the sums say. */
static bool conclude(subject *s) {
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
    return settle_outliers(s);
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
    if (memory && s->merged == s->pieces) memory = conclude(s);
    pthread_mutex_unlock(&m->lock);
    return memory ? TOLA_OK : err_nomem(err, "collecting statistics");
}

/* Makes room for the notes of a tensor when its first piece begins. */
static tola_status start_notes(measuring *m, subject *s, tola_error *err) {
    pthread_mutex_lock(&m->lock);
    if (!s->notes) s->notes = mem_calloc(s->blocks ? (size_t)s->blocks : 1, sizeof *s->notes);
    bool memory = s->notes != NULL;
    pthread_mutex_unlock(&m->lock);
    return memory ? TOLA_OK : err_nomem(err, "collecting statistics");
}

static tola_status measure_piece(void *context, const job_piece *p, tola_error *err) {
    measuring *m = context;
    subject *s = &m->subjects[p->item];
    stats_acc total, one;
    stats_init(&total);
    TRY(start_notes(m, s, err));
    for (uint64_t done = 0; done < p->size;) {
        uint64_t left = p->size - done, first = p->offset + done;
        size_t n = left < VALUES_BLOCK ? (size_t)left : VALUES_BLOCK;
        const void *data;
        TRY(values_read(m->ck, s->out->tensor, first, n, s->as, &m->scratch[p->worker], &data, err));
        stats_init(&one);
        add(&one, s->as, data, n);
        TRY(take_note(&s->notes[first / VALUES_BLOCK], s->as, data, n, &one, err));
        stats_merge(&total, &one);
        const tola_tensor_info *t = tola_checkpoint_tensor(m->ck, s->out->tensor);
        TRY(job_advance(m->j, (uint64_t)(tola_dtype_bits((tola_dtype)t->dtype) / 8 * (double)n), err));
        done += n;
    }
    return hand_in(m, s, p->piece, &total, err);
}

/* ---- second look ---- */

/* A piece is a run of s->again. */
static tola_status count_outliers(void *context, const job_piece *p, tola_error *err) {
    measuring *m = context;
    subject *s = &m->subjects[m->items[p->item].tensor];
    const tola_tensor_info *t = tola_checkpoint_tensor(m->ck, s->out->tensor);
    uint64_t found = 0;
    for (uint64_t i = 0; i < p->size; i++) {
        uint64_t first = (uint64_t)s->again[p->offset + i] * VALUES_BLOCK, left = t->elements - first;
        size_t n = left < VALUES_BLOCK ? (size_t)left : VALUES_BLOCK;
        const void *data;
        TRY(values_read(m->ck, s->out->tensor, first, n, s->as, &m->scratch[p->worker], &data, err));
        found += collect(s->as, data, n, s->low, s->high, NULL, 0);
        TRY(job_advance(m->j, 0, err));
    }
    __atomic_fetch_add(&s->out->outliers, found, __ATOMIC_RELAXED);
    return TOLA_OK;
}

/* ---- setting up ---- */

static tola_status run(measuring *m, job_item *items, size_t count, tola_error *err) {
    for (size_t i = 0; i < count; i++) m->subjects[i].pieces = (size_t)job_pieces(&items[i]);
    TRY(job_run(m->j, items, count, measure_piece, m, err));
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        bool cut = items[i].piece != 0;
        if (m->subjects[i].again_count) items[n++] = (job_item){ i, m->subjects[i].again_count, cut ? 16 : 0 };
    }
    job_phase(m->j, "counting outliers", 0);
    return job_run(m->j, items, n, count_outliers, m, err);
}

static void free_subjects(subject *subjects, size_t count) {
    for (size_t i = 0; subjects && i < count; i++) {
        for (waiting *w = subjects[i].waiting; w;) {
            waiting *next = w->next;
            mem_free(w);
            w = next;
        }
        mem_free(subjects[i].acc);
        mem_free(subjects[i].again);
        free_notes(&subjects[i]);
    }
}

/* Fills `tensors[0 .. count)`, whose `tensor` is set. */
static tola_status measure(const tola_checkpoint *ck, const tola_job_options *options, tola_tensor_stats *tensors,
                           size_t count, uint64_t bytes, tola_error *err) {
    job j;
    TRY(job_open(&j, options->threads, options->progress, options->progress_user, "measuring", bytes, err));
    subject *subjects = mem_calloc(count + 1, sizeof *subjects);
    job_item *items = mem_calloc(count + 1, sizeof *items);
    for (size_t i = 0; subjects && items && i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, tensors[i].tensor);
        subjects[i].out = &tensors[i];
        subjects[i].as = kernel_type((tola_dtype)t->dtype);
        subjects[i].blocks = t->elements / VALUES_BLOCK + (t->elements % VALUES_BLOCK != 0);
        items[i] = (job_item){ i, t->elements, job_can_cut(t) ? PIECE : 0 };
    }
    measuring m = { &j, ck, subjects, items, values_scratch_new(job_threads(&j)), PTHREAD_MUTEX_INITIALIZER };
    tola_status status;
    if (!subjects || !items || !m.scratch)
        status = err_nomem(err, "collecting statistics");
    else
        status = run(&m, items, count, err);
    values_scratch_free(m.scratch, job_threads(&j));
    free_subjects(subjects, count);
    mem_free(items);
    mem_free(subjects);
    job_close(&j);
    return status;
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
    tola_job_options all = TOLA_JOB_OPTIONS_INIT;
    TRY(options_take(&all, sizeof all, options, err));
    TRY(job_need_all(checkpoint, err));
    double started = clock_seconds();
    tola_stats result = { .size = sizeof result };
    result.count = select_tensors(checkpoint, all.glob, NULL, NULL);
    result.tensors = mem_calloc(result.count + 1, sizeof *result.tensors);
    if (!result.tensors) return err_nomem(err, "collecting statistics");
    select_tensors(checkpoint, all.glob, result.tensors, &result);
    tola_status status = measure(checkpoint, &all, result.tensors, result.count, result.bytes, err);
    if (status != TOLA_OK) {
        mem_free(result.tensors);
        return status;
    }
    result.seconds = clock_seconds() - started;
    *out = result;
    return TOLA_OK;
}

void tola_stats_dispose(tola_stats *stats) {
    if (!stats) return;
    mem_free(stats->tensors);
    stats->tensors = NULL;
    stats->count = 0;
}
