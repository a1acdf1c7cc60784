/* The best types under a bound: what each type would lose is measured on a sample of the rows of every tensor, and
 * transform/allocate.h shares out the bytes.
 *
 * The sample is the same on every run: rows at equal distances, SAMPLE_ELEMENTS of a tensor. The error of a type is the
 * sum of squared differences over the sample, weighted by importance where there is one, times rows / sampled rows. */
#include "transform/quantize.h"
#include "base/err.h"
#include "base/pool.h"
#include "codecs/codec.h"
#include "transform/allocate.h"
#include "transform/stream.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_ELEMENTS 32768
#define BELOW 0.4 /* types of fewer bits than this share of the bound's are tried where nothing else fits under it */
#define ABOVE 2.5 /* nor are types of more than this many times the bound's, and LEAST_ABOVE */
#define LEAST_ABOVE 4.5
#define TRIES 8 /* until headers and padding are under the bound, too */

/* What one type gives on one tensor's sample. */
typedef struct trial {
    compare_acc plain;
    double weighted; /* sum of importance * square of difference */
} trial;

typedef struct sampling {
    quantize_job *j;
    const tola_dtype *types;
    size_t type_count;
    size_t *tensors; /* of the plan: those that are free */
    size_t count;
    trial *trials; /* (count, type_count) */
    double *scale; /* rows / sampled rows */
    _Atomic uint64_t done;
    _Atomic bool cancelled;
} sampling;

/* ---- types to try ---- */

/* q8_1 and q8_k are made of activations; no file of weights has them. */
static bool may_try(tola_dtype d) {
    if (d == TOLA_DTYPE_F16 || d == TOLA_DTYPE_BF16) return true;
    return tola_dtype_get_kind(d) == TOLA_KIND_BLOCK && codec_encodes(d) && d != TOLA_DTYPE_Q8_1 &&
           d != TOLA_DTYPE_Q8_K;
}

static int by_bits(const void *a, const void *b) {
    tola_dtype x = *(const tola_dtype *)a, y = *(const tola_dtype *)b;
    double difference = tola_dtype_bits(x) - tola_dtype_bits(y);
    return difference < 0 ? -1 : difference > 0 ? 1 : (int)x - (int)y;
}

/* Those between two numbers of bits; and f16, since some rows fill no blocks and would stay f32. */
static size_t list_types(double low, double high, tola_dtype *out) {
    size_t n = 0;
    for (tola_dtype d = (tola_dtype)1; d < TOLA_DTYPE_COUNT; d++) {
        bool within = tola_dtype_bits(d) >= low && tola_dtype_bits(d) <= high;
        if (may_try(d) && (within || d == TOLA_DTYPE_F16)) out[n++] = d;
    }
    qsort(out, n, sizeof *out, by_bits);
    return n;
}

/* ---- one tensor ---- */

static double weigh(const float *row, const float *back, const float *importance, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)row[i] - (double)back[i];
        sum += d * d * (importance ? (double)importance[i] : 1.0);
    }
    return sum;
}

/* Buffers of one row. */
typedef struct row_buffers {
    float *row, *work, *back;
    uint8_t *stored, *blocks;
} row_buffers;

static tola_status try_row(tola_dtype type, const row_buffers *b, size_t n, const float *importance, trial *out) {
    memcpy(b->work, b->row, n * sizeof *b->work);
    if (tola_dtype_get_kind(type) == TOLA_KIND_BLOCK)
        TRY(codec_quantize(type, b->work, b->blocks, n, importance, NULL));
    else
        TRY(codec_convert(TOLA_DTYPE_F32, type, b->work, b->blocks, n, TOLA_OVERFLOW_SATURATE, NULL));
    TRY(codec_convert(type, TOLA_DTYPE_F32, b->blocks, b->back, n, TOLA_OVERFLOW_IEEE, NULL));
    compare_acc one;
    compare_init(&one);
    compare_add_f32(&one, b->work, b->back, n, 0);
    compare_merge(&out->plain, &one);
    out->weighted += weigh(b->work, b->back, importance, n);
    return TOLA_OK;
}

static tola_status sample_rows(sampling *s, size_t k, const row_buffers *b, tola_error *err) {
    const quantize_job *j = s->j;
    size_t i = s->tensors[k];
    const plan_tensor *t = &j->w.plan.tensors[i];
    const plan_encode *e = &j->encodes[i];
    uint64_t columns = plan_columns(t), rows = t->elements / columns;
    uint64_t n = SAMPLE_ELEMENTS / columns ? SAMPLE_ELEMENTS / columns : 1;
    if (n > rows) n = rows;
    s->scale[k] = (double)rows / (double)n;
    for (uint64_t r = 0; r < n; r++) {
        uint64_t row = (uint64_t)((__uint128_t)rows * (2 * r + 1) / (2 * n));
        TRY(stream_read(&j->w.plan, t, row * columns, columns, b->stored, err));
        tola_status status = codec_convert((tola_dtype)t->from, TOLA_DTYPE_F32, b->stored, b->row, (size_t)columns,
                                           TOLA_OVERFLOW_IEEE, NULL);
        uint64_t matrix = e->importance_matrices > 1 ? row / (rows / e->importance_matrices) : 0;
        const float *importance = e->importance ? e->importance + matrix * columns : NULL;
        for (size_t c = 0; c < columns; c++) b->row[c] = isfinite(b->row[c]) ? b->row[c] + (float)t->add : 0;
        for (size_t y = 0; y < s->type_count && status == TOLA_OK; y++)
            if (columns % tola_dtype_block_elements(s->types[y]) == 0)
                status = try_row(s->types[y], b, (size_t)columns, importance, &s->trials[k * s->type_count + y]);
        if (status != TOLA_OK)
            return err_in_tensor(err, err_set(err, status, TOLA_NO_OFFSET, "its rows cannot be tried"), t->source);
    }
    return TOLA_OK;
}

static tola_status sample_task(void *context, size_t k, unsigned worker, tola_error *err) {
    sampling *s = context;
    const plan_tensor *t = &s->j->w.plan.tensors[s->tensors[k]];
    const tola_quantize_options *o = &s->j->options;
    size_t columns = (size_t)plan_columns(t);
    if (atomic_load(&s->cancelled)) return err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "cancelled");
    /* a block takes less than 8 bytes an element, and so does every number */
    uint8_t *memory = mem_alloc_aligned(64, columns * (3 * sizeof(float) + 2 * 8));
    if (!memory) return err_nomem(err, "measuring types");
    row_buffers b = { .row = (float *)(void *)memory };
    b.work = b.row + columns;
    b.back = b.work + columns;
    b.stored = (uint8_t *)(b.back + columns);
    b.blocks = b.stored + columns * 8;
    tola_status status = sample_rows(s, k, &b, err);
    mem_free(memory);
    tola_progress progress = { "measuring types", atomic_fetch_add(&s->done, t->elements) + t->elements,
                               s->j->w.plan.bytes_in };
    if (status == TOLA_OK && worker == 0 && o->progress && !o->progress(o->progress_user, &progress))
        atomic_store(&s->cancelled, true);
    return status;
}

static tola_status sample_all(sampling *s, tola_error *err) {
    quantize_job *j = s->j;
    arena *a = &j->w.plan.arena;
    size_t count = j->w.plan.count ? j->w.plan.count : 1;
    s->tensors = arena_alloc_array(a, count, sizeof *s->tensors);
    s->scale = arena_alloc_array(a, count, sizeof *s->scale);
    if (!s->tensors || !s->scale) return err_nomem(err, "measuring types");
    j->w.plan.bytes_in = 0; /* of this phase: elements */
    for (size_t i = 0; i < j->w.plan.count; i++) {
        if (!j->targets[i].free || plan_columns(&j->w.plan.tensors[i]) > ENCODE_MAX_ROW) continue;
        s->tensors[s->count++] = i;
        j->w.plan.bytes_in += j->w.plan.tensors[i].elements;
    }
    s->trials = arena_alloc_array(a, s->count * s->type_count + 1, sizeof *s->trials);
    if (!s->trials) return err_nomem(err, "measuring types");
    memset(s->trials, 0, (s->count * s->type_count + 1) * sizeof *s->trials);
    for (size_t k = 0; k < s->count * s->type_count; k++) compare_init(&s->trials[k].plain);
    pool *threads = NULL;
    TRY(pool_create(j->options.threads, &threads, err));
    tola_status status = pool_run(threads, s->count, sample_task, s, err);
    pool_free(threads);
    if (status == TOLA_OK && atomic_load(&s->cancelled))
        status = err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "cancelled");
    return status;
}

/* ---- the curve of all types ---- */

static size_t index_of(const sampling *s, tola_dtype type) {
    size_t y = 0;
    while (y < s->type_count && s->types[y] != type) y++;
    return y;
}

/* What type `y` gives on all tensors together, its stand-ins included; false where one was not measured. */
static bool sum_up(const sampling *s, size_t y, tola_quantize_candidate *out) {
    compare_acc all;
    double signal = 0, noise = 0, elements = 0, bytes = 0;
    compare_init(&all);
    for (size_t k = 0; k < s->count; k++) {
        const plan_tensor *t = &s->j->w.plan.tensors[s->tensors[k]];
        tola_dtype type = s->types[y];
        if (tola_dtype_get_kind(type) == TOLA_KIND_BLOCK) type = mixture_fallback(type, plan_columns(t));
        size_t at = index_of(s, type);
        if (at == s->type_count) return false;
        const trial *one = &s->trials[k * s->type_count + at];
        compare_merge(&all, &one->plain);
        signal += one->plain.a2 * s->scale[k];
        noise += one->plain.diff2 * s->scale[k];
        elements += (double)t->elements;
        bytes += (double)t->elements * tola_dtype_bits(type) / 8;
    }
    if (elements == 0) return false;
    *out = (tola_quantize_candidate){ .type = tola_dtype_name(s->types[y]), .bits_per_weight = bytes * 8 / elements };
    out->error = (tola_quantize_error){ .signal = signal,
                                        .noise = noise,
                                        .max_abs = all.max_abs,
                                        .rmse = sqrt(noise / elements),
                                        .snr_db = noise > 0 ? 10 * log10(signal / noise) : INFINITY,
                                        .cosine = noise == 0                 ? 1
                                                  : all.a2 > 0 && all.b2 > 0 ? all.ab / sqrt(all.a2) / sqrt(all.b2)
                                                                             : 0 };
    return true;
}

static int by_cost(const void *a, const void *b) {
    const tola_quantize_candidate *x = a, *y = b;
    if (x->bits_per_weight != y->bits_per_weight) return x->bits_per_weight < y->bits_per_weight ? -1 : 1;
    return strcmp(x->type, y->type);
}

static tola_status keep_candidates(const sampling *s, tola_error *err) {
    quantize_job *j = s->j;
    tola_quantize_candidate *list = arena_alloc_array(&j->w.plan.arena, s->type_count + 1, sizeof *list);
    if (!list) return err_nomem(err, "measuring types");
    for (size_t y = 0; y < s->type_count; y++)
        if (sum_up(s, y, &list[j->candidate_count])) j->candidate_count++;
    qsort(list, j->candidate_count, sizeof *list, by_cost);
    j->candidates = list;
    return TOLA_OK;
}

/* ---- sharing out bytes ---- */

static uint64_t bytes_of(tola_dtype type, uint64_t elements) {
    uint64_t bytes = 0;
    return tola_dtype_size(type, elements, &bytes) == TOLA_OK ? bytes : 0;
}

/* Mean importance of a column over all tensors that have any: the weight of those that have none. */
static double mean_importance(const sampling *s) {
    double weighted = 0, plain = 0;
    for (size_t k = 0; k < s->count; k++) {
        if (!s->j->encodes[s->tensors[k]].importance) continue;
        const trial *t = &s->trials[k * s->type_count]; /* any type that fits tells the ratio */
        for (size_t y = 0; y < s->type_count; y++, t++) {
            weighted += t->weighted;
            plain += t->plain.diff2;
            if (t->plain.count) break;
        }
    }
    return plain > 0 ? weighted / plain : 1;
}

typedef struct shares {
    allocate_tensor *tensors;
    allocate_candidate *candidates; /* (count, type_count + 1): the last keeps the tensor as it is */
    size_t *choice;
    uint64_t padding;
} shares;

/* Candidates of every free tensor; a block is counted with the padding behind it. */
static tola_status list_candidates(const sampling *s, uint64_t alignment, shares *out, tola_error *err) {
    const plan *p = &s->j->w.plan;
    arena *a = &s->j->w.plan.arena;
    size_t per = s->type_count + 1;
    out->tensors = arena_alloc_array(a, s->count + 1, sizeof *out->tensors);
    out->candidates = arena_alloc_array(a, s->count * per + 1, sizeof *out->candidates);
    out->choice = arena_alloc_array(a, s->count + 1, sizeof *out->choice);
    if (!out->tensors || !out->candidates || !out->choice) return err_nomem(err, "choosing types");
    double other = mean_importance(s);
    for (size_t k = 0; k < s->count; k++) {
        const plan_tensor *t = &p->tensors[s->tensors[k]];
        allocate_candidate *list = &out->candidates[k * per];
        size_t n = 0;
        for (size_t y = 0; y < s->type_count; y++) {
            if (plan_columns(t) % tola_dtype_block_elements(s->types[y]) != 0) continue;
            const trial *one = &s->trials[k * s->type_count + y];
            double error = one->weighted * (s->j->encodes[s->tensors[k]].importance ? 1 : other) * s->scale[k];
            list[n++] = (allocate_candidate){ s->types[y], bytes_of(s->types[y], t->elements), error };
        }
        if (s->j->w.format->holds((tola_dtype)t->from))
            list[n++] = (allocate_candidate){ (tola_dtype)t->from, bytes_of((tola_dtype)t->from, t->elements), 0 };
        for (size_t c = 0; c < n; c++) list[c].bytes = (list[c].bytes + alignment - 1) / alignment * alignment;
        out->tensors[k] = (allocate_tensor){ list, n };
        if (n == 0)
            return err_in_tensor(err, err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "no type fits its rows"),
                                 t->source);
    }
    return TOLA_OK;
}

static tola_status take_choice(const sampling *s, const shares *shared, tola_error *err) {
    quantize_job *j = s->j;
    for (size_t k = 0; k < s->count; k++) {
        tola_dtype type = shared->tensors[k].candidates[shared->choice[k]].type;
        quantize_type one = { .name = tola_dtype_name(type), .dtype = type };
        TRY(quantize_assign(j, s->tensors[k], &one, err));
    }
    return TOLA_OK;
}

static uint64_t smallest(const allocate_tensor *t) {
    uint64_t least = t->candidates[0].bytes;
    for (size_t c = 1; c < t->count; c++)
        if (t->candidates[c].bytes < least) least = t->candidates[c].bytes;
    return least;
}

/* What is not free to choose takes in the file: other tensors, headers, padding. */
static tola_status choose_under(sampling *s, uint64_t max_bytes, bool of_files, tola_error *err) {
    quantize_job *j = s->j;
    shares shared = { 0 };
    uint64_t alignment = of_files ? 32 : 1, total = 0, files = 0, fixed = 0, bound = 0;
    TRY(list_candidates(s, alignment, &shared, err));
    memset(shared.choice, 0, (s->count + 1) * sizeof *shared.choice);
    for (int attempt = 0; attempt < TRIES; attempt++) {
        TRY(take_choice(s, &shared, err));
        TRY(quantize_plan(j, &total, &files, err));
        if (!of_files) total = j->w.plan.bytes_out;
        if (attempt && total <= max_bytes) return TOLA_OK;
        if (attempt == 0) {
            uint64_t chosen = 0, least = 0;
            for (size_t k = 0; k < s->count; k++) {
                chosen += shared.tensors[k].candidates[0].bytes;
                least += smallest(&shared.tensors[k]);
            }
            fixed = total - chosen;
            if (fixed + least > max_bytes)
                return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                               "the smallest types, what stays as it is and the headers take %llu bytes; no more than "
                               "%llu were wanted",
                               (unsigned long long)(fixed + least), (unsigned long long)max_bytes);
            bound = max_bytes - fixed;
        } else {
            bound -= total - max_bytes < bound ? total - max_bytes : bound;
        }
        TRY(allocate_choose(shared.tensors, s->count, bound, shared.choice, err));
    }
    return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%llu bytes cannot be met", (unsigned long long)max_bytes);
}

/* Bits of each weight that is free to choose; what is not free takes its part of the bound. */
static double bits_of_free(const quantize_job *j, uint64_t max_bytes) {
    double left = (double)max_bytes, elements = 0;
    for (size_t i = 0; i < j->w.plan.count; i++) {
        const plan_tensor *t = &j->w.plan.tensors[i];
        if (j->targets[i].free)
            elements += (double)t->elements;
        else
            left -= (double)t->elements * tola_dtype_bits((tola_dtype)t->dtype) / 8;
    }
    return elements > 0 && left > 0 ? left * 8 / elements : 0;
}

/* Measures types between two numbers of bits and chooses among them. */
static tola_status bound_between(quantize_job *j, double low, double high, uint64_t max_bytes, tola_error *err) {
    const tola_quantize_options *o = &j->options;
    tola_dtype types[TOLA_DTYPE_COUNT];
    sampling s = { .j = j, .types = types };
    s.type_count = list_types(low, high, types);
    TRY(sample_all(&s, err));
    if (o->candidates) TRY(keep_candidates(&s, err));
    return max_bytes ? choose_under(&s, max_bytes, o->max_bytes != 0, err) : TOLA_OK;
}

tola_status quantize_bound(quantize_job *j, tola_error *err) {
    const tola_quantize_options *o = &j->options;
    bool bound = o->max_bytes || o->bits > 0, gguf = strcmp(j->format.container, "gguf") == 0;
    if (!bound && !(o->candidates && gguf)) return TOLA_OK;
    if (bound && !gguf)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "a bound chooses among the types of GGUF: OUT ends in .gguf, or --format gguf");
    if (!bound) return bound_between(j, 0, 64, 0, err);
    uint64_t elements = 0, max_bytes = o->max_bytes;
    for (size_t i = 0; i < j->w.plan.count; i++) elements += j->w.plan.tensors[i].elements;
    if (!max_bytes) max_bytes = (uint64_t)(o->bits * (double)elements / 8);
    if (!max_bytes) max_bytes = 1; /* too little for anything, which is then said */
    if (o->candidates) return bound_between(j, 0, 64, max_bytes, err);
    double bits = bits_of_free(j, max_bytes), low = bits * BELOW, high = bits * ABOVE;
    if (high < LEAST_ABOVE) high = LEAST_ABOVE;
    tola_status status = bound_between(j, low, high, max_bytes, err);
    return status == TOLA_E_LIMIT ? bound_between(j, 0, high, max_bytes, err) : status;
}
