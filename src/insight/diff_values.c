/* Comparing the values of pairs.
 *
 * First pass: pairs of one dtype and size are compared as bytes, which is all that equal ones need; a pair known to
 * differ is not read on. Second pass: pairs that differ, and pairs of different dtypes, are compared as numbers.
 * Accumulators of pieces are merged in order, so that the sums do not depend on the number of threads. */
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codecs/codec.h"
#include "insight/diff.h"
#include "kernels/compare/compare.h"

#define BYTES_PIECE (8u << 20)
#define BYTES_BLOCK (256u << 10)
#define VALUES_PIECE (64 * (uint64_t)VALUES_BLOCK)

/* How a pair is compared. */
typedef enum pair_kind {
    PAIR_NONE,    /* cannot be compared */
    PAIR_NUMBERS, /* both turned into `as` */
    PAIR_PARTS,   /* complex numbers: their parts, as numbers of type `as` */
    PAIR_INTEGERS, /* 64-bit integers of one type: f64 would hide differences */
    PAIR_UNITS    /* one type without arithmetic: blocks or bytes that differ are counted */
} pair_kind;

typedef struct match {
    tola_diff_tensor *out;
    const tola_tensor_info *x, *y;
    pair_kind kind;
    tola_dtype as;
    uint64_t size;      /* elements, parts or units */
    int differ;         /* atomic */
    compare_acc *parts; /* of each piece */
} match;

typedef struct comparing {
    diffing *d;
    match *pairs;
    const job_item *items;
    uint8_t *bytes;                       /* first pass: two blocks a worker */
    values_scratch *scratch_a, *scratch_b; /* second pass */
} comparing;

/* ---- as bytes ---- */

static tola_status compare_bytes(void *context, const job_piece *p, tola_error *err) {
    comparing *c = context;
    match *pair = &c->pairs[c->items[p->item].tensor];
    uint8_t *a = c->bytes + (size_t)p->worker * 2 * BYTES_BLOCK, *b = a + BYTES_BLOCK;
    for (uint64_t done = 0; done < p->size;) {
        if (__atomic_load_n(&pair->differ, __ATOMIC_RELAXED)) return job_advance(&c->d->job, 2 * (p->size - done), err);
        uint64_t left = p->size - done;
        size_t n = left < BYTES_BLOCK ? (size_t)left : BYTES_BLOCK;
        TRY(tola_checkpoint_read(c->d->a, pair->out->a, p->offset + done, a, n, err));
        TRY(tola_checkpoint_read(c->d->b, pair->out->b, p->offset + done, b, n, err));
        if (memcmp(a, b, n) != 0) __atomic_store_n(&pair->differ, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&c->d->read, 2 * (uint64_t)n, __ATOMIC_RELAXED);
        TRY(job_advance(&c->d->job, 2 * n, err));
        done += n;
    }
    return TOLA_OK;
}

/* ---- as numbers ---- */

/* 64-bit integers: what f64 rounds away still counts as changed. */
static void compare_integers(compare_acc *acc, tola_dtype type, const void *a, const void *b, size_t n,
                             double tolerance) {
    for (size_t i = 0; i < n; i++) {
        uint64_t x, y;
        memcpy(&x, (const uint8_t *)a + 8 * i, 8);
        memcpy(&y, (const uint8_t *)b + 8 * i, 8);
        bool less = type == TOLA_DTYPE_I64 ? (int64_t)x < (int64_t)y : x < y;
        double d = (double)(less ? y - x : x - y); /* modulo 2^64, so right for both signs */
        double fx = type == TOLA_DTYPE_I64 ? (double)(int64_t)x : (double)x;
        double fy = type == TOLA_DTYPE_I64 ? (double)(int64_t)y : (double)y;
        acc->changed += d > tolerance;
        if (d > acc->max_abs) acc->max_abs = d;
        acc->diff2 += d * d;
        acc->a2 += fx * fx;
        acc->b2 += fy * fy;
        acc->ab += fx * fy;
    }
    acc->count += n;
}

/* Blocks that no arithmetic applies to: each that differs counts with all its elements. */
static tola_status compare_units(comparing *c, const match *pair, const job_piece *p, compare_acc *acc,
                                 tola_error *err) {
    uint64_t unit = pair->x->bytes / (pair->size ? pair->size : 1);
    size_t per_read = VALUES_BLOCK / unit ? VALUES_BLOCK / unit : 1;
    uint8_t *a = c->scratch_a[p->worker].raw, *b = c->scratch_b[p->worker].raw;
    for (uint64_t done = 0; done < p->size;) {
        uint64_t left = p->size - done;
        size_t n = left < per_read ? (size_t)left : per_read;
        TRY(tola_checkpoint_read(c->d->a, pair->out->a, (p->offset + done) * unit, a, n * unit, err));
        TRY(tola_checkpoint_read(c->d->b, pair->out->b, (p->offset + done) * unit, b, n * unit, err));
        for (size_t i = 0; i < n; i++)
            acc->changed += memcmp(a + i * unit, b + i * unit, unit) != 0;
        __atomic_fetch_add(&c->d->read, 2 * n * unit, __ATOMIC_RELAXED);
        TRY(job_advance(&c->d->job, 2 * n * unit, err));
        done += n;
    }
    acc->count += p->size;
    return TOLA_OK;
}

/* Elements [first, first + n) of both sides as numbers of pair->as. The parts of complex numbers lie in memory as
 * twice as many real ones. */
static tola_status read_both(comparing *c, const match *pair, uint64_t first, size_t n, unsigned worker, const void **a,
                             const void **b, tola_error *err) {
    bool parts = pair->kind == PAIR_PARTS;
    tola_dtype to = parts ? (tola_dtype)pair->x->dtype : pair->as;
    if (parts) {
        first /= 2;
        n /= 2;
    }
    TRY(values_read(c->d->a, pair->out->a, first, n, to, &c->scratch_a[worker], a, err));
    return values_read(c->d->b, pair->out->b, first, n, to, &c->scratch_b[worker], b, err);
}

static void compare_block(const match *pair, compare_acc *acc, const void *a, const void *b, size_t n,
                          double tolerance) {
    if (pair->kind == PAIR_INTEGERS)
        compare_integers(acc, pair->as, a, b, n, tolerance);
    else if (pair->as == TOLA_DTYPE_F64)
        compare_add_f64(acc, a, b, n, tolerance);
    else
        compare_add_f32(acc, a, b, n, tolerance);
}

static tola_status compare_values(void *context, const job_piece *p, tola_error *err) {
    comparing *c = context;
    match *pair = &c->pairs[c->items[p->item].tensor];
    compare_acc acc, one;
    compare_init(&acc);
    if (pair->kind == PAIR_UNITS) TRY(compare_units(c, pair, p, &acc, err));
    for (uint64_t done = 0; pair->kind != PAIR_UNITS && done < p->size;) {
        uint64_t left = p->size - done;
        size_t n = left < VALUES_BLOCK ? (size_t)left : VALUES_BLOCK;
        const void *a, *b;
        TRY(read_both(c, pair, p->offset + done, n, p->worker, &a, &b, err));
        compare_init(&one);
        compare_block(pair, &one, a, b, n, c->d->tolerance);
        compare_merge(&acc, &one);
        double bits = tola_dtype_bits((tola_dtype)pair->x->dtype) + tola_dtype_bits((tola_dtype)pair->y->dtype);
        uint64_t bytes = (uint64_t)(bits / 8 * (double)n);
        __atomic_fetch_add(&c->d->read, bytes, __ATOMIC_RELAXED);
        TRY(job_advance(&c->d->job, bytes, err));
        done += n;
    }
    pair->parts[p->piece] = acc;
    return TOLA_OK;
}

/* ---- which way ---- */

static tola_dtype working_type(tola_dtype x, tola_dtype y) {
    bool both = codec_exact(x) == TOLA_DTYPE_F32 && codec_exact(y) == TOLA_DTYPE_F32;
    return both ? TOLA_DTYPE_F32 : TOLA_DTYPE_F64;
}

static void choose_kind(match *p) {
    tola_dtype x = (tola_dtype)p->x->dtype, y = (tola_dtype)p->y->dtype;
    p->size = p->x->elements;
    if (x == y && tola_dtype_get_kind(x) == TOLA_KIND_COMPLEX && x != TOLA_DTYPE_C32) {
        p->kind = PAIR_PARTS;
        p->as = x == TOLA_DTYPE_C64 ? TOLA_DTYPE_F32 : TOLA_DTYPE_F64;
        p->size = 2 * p->x->elements; /* complex elements take 8 bytes and more: no overflow */
    } else if (x == y && (x == TOLA_DTYPE_I64 || x == TOLA_DTYPE_U64)) {
        p->kind = PAIR_INTEGERS;
        p->as = x;
    } else if (codec_exact(x) != TOLA_DTYPE_NONE && codec_exact(y) != TOLA_DTYPE_NONE) {
        p->kind = PAIR_NUMBERS;
        p->as = working_type(x, y);
    } else if (x == y) {
        uint64_t unit = x == TOLA_DTYPE_OPAQUE ? 1 : tola_dtype_block_bytes(x);
        p->kind = p->x->bytes == p->y->bytes && unit ? PAIR_UNITS : PAIR_NONE;
        p->size = unit ? p->x->bytes / unit : 0;
    } else {
        p->kind = PAIR_NONE;
    }
}

/* ---- results ---- */

static void equal_values(tola_diff_tensor *t) {
    t->compared = true;
    t->max_abs = t->rel = 0;
    t->cosine = 1;
}

static void conclude(match *p, size_t pieces) {
    compare_acc all;
    compare_init(&all);
    for (size_t i = 0; i < pieces; i++) compare_merge(&all, &p->parts[i]);
    tola_diff_tensor *t = p->out;
    t->compared = true;
    t->changed_elements = all.changed;
    if (p->kind == PAIR_UNITS) {
        t->changed_elements *= p->x->dtype == TOLA_DTYPE_OPAQUE ? 1 : tola_dtype_block_elements((tola_dtype)p->x->dtype);
        if (all.changed == 0) equal_values(t);
    } else {
        t->max_abs = all.max_abs;
        t->rel = all.infinite ? INFINITY : all.diff2 == 0 ? 0 : sqrt(all.diff2) / sqrt(all.a2);
        t->cosine = all.diff2 == 0 && !all.infinite ? 1 : all.ab / (sqrt(all.a2) * sqrt(all.b2));
    }
    t->values_changed = t->changed_elements > 0;
}

/* ---- passes ---- */

static tola_status first_pass(comparing *c, job_item *items, size_t count, tola_error *err) {
    uint64_t bytes = 0;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        match *p = &c->pairs[i];
        p->differ = p->x->dtype != p->y->dtype || p->x->bytes != p->y->bytes;
        if (p->differ) continue;
        bool cut = job_can_cut(p->x) && job_can_cut(p->y);
        items[n++] = (job_item){ i, p->x->bytes, cut ? BYTES_PIECE : 0 };
        bytes += 2 * p->x->bytes;
    }
    c->bytes = mem_alloc_aligned(64, (size_t)job_threads(&c->d->job) * 2 * BYTES_BLOCK);
    if (!c->bytes) return err_nomem(err, "comparing tensors");
    job_phase(&c->d->job, "comparing", bytes);
    return job_run(&c->d->job, items, n, compare_bytes, c, err);
}

/* Makes items of the pairs that differ and returns their number. Equal ones are concluded. */
static size_t keep_different(comparing *c, job_item *items, size_t count, uint64_t *pieces, uint64_t *bytes) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        match *p = &c->pairs[i];
        if (!p->differ) {
            equal_values(p->out);
            continue;
        }
        choose_kind(p);
        if (p->kind == PAIR_NONE) {
            /* opaque bytes of another number are another value, whatever they mean */
            p->out->values_changed = p->x->dtype == p->y->dtype;
            continue;
        }
        bool cut = job_can_cut(p->x) && job_can_cut(p->y);
        items[n] = (job_item){ i, p->size, cut ? VALUES_PIECE : 0 };
        *pieces += job_pieces(&items[n++]);
        *bytes += p->x->bytes + p->y->bytes;
    }
    return n;
}

static tola_status second_pass(comparing *c, job_item *items, size_t count, tola_error *err) {
    uint64_t pieces = 1, bytes = 0;
    size_t n = keep_different(c, items, count, &pieces, &bytes);
    if (n == 0) return TOLA_OK;
    unsigned workers = job_threads(&c->d->job);
    compare_acc *parts = mem_calloc((size_t)pieces, sizeof *parts), *at = parts;
    c->scratch_a = values_scratch_new(workers);
    c->scratch_b = values_scratch_new(workers);
    tola_status status = TOLA_OK;
    if (!parts || !c->scratch_a || !c->scratch_b) status = err_nomem(err, "comparing tensors");
    for (size_t i = 0; status == TOLA_OK && i < n; i++) {
        c->pairs[items[i].tensor].parts = at;
        at += job_pieces(&items[i]);
    }
    if (status == TOLA_OK) {
        job_phase(&c->d->job, "comparing values", bytes);
        status = job_run(&c->d->job, items, n, compare_values, c, err);
    }
    for (size_t i = 0; status == TOLA_OK && i < n; i++) conclude(&c->pairs[items[i].tensor], (size_t)job_pieces(&items[i]));
    values_scratch_free(c->scratch_a, workers);
    values_scratch_free(c->scratch_b, workers);
    mem_free(parts);
    return status;
}

tola_status diff_values(diffing *d, tola_error *err) {
    size_t count = 0;
    comparing c = { .d = d, .pairs = mem_calloc(d->out->count + 1, sizeof(match)) };
    job_item *items = mem_calloc(d->out->count + 1, sizeof *items);
    for (size_t i = 0; c.pairs && i < d->out->count; i++) {
        tola_diff_tensor *t = &d->out->tensors[i];
        if (t->a == SIZE_MAX || t->b == SIZE_MAX || t->renamed) continue;
        const tola_tensor_info *x = tola_checkpoint_tensor(d->a, t->a), *y = tola_checkpoint_tensor(d->b, t->b);
        if (x->elements == y->elements) c.pairs[count++] = (match){ .out = t, .x = x, .y = y };
    }
    tola_status status = c.pairs && items ? TOLA_OK : err_nomem(err, "comparing tensors");
    c.items = items;
    if (status == TOLA_OK) status = first_pass(&c, items, count, err);
    if (status == TOLA_OK) status = second_pass(&c, items, count, err);
    mem_free(c.bytes);
    mem_free(items);
    mem_free(c.pairs);
    return status;
}
