/* See encode.h. */
#include "transform/encode.h"
#include "base/err.h"
#include "codecs/codec.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define CHUNK 32768    /* elements of f32 rows that are worked on at once: 128 KiB, and as much again to compare */
#define UNIT 65536     /* elements of the smallest unit of figures */
#define MOST_UNITS 256 /* of one tensor, so that their sums take little memory */

static uint64_t ceil_to(uint64_t n, uint64_t step) { return (n + step - 1) / step * step; }

encode_cut encode_cut_of(const plan_tensor *t) {
    encode_cut c = { .columns = plan_columns(t) };
    if (c.columns == 0) c.columns = 1; /* no elements at all */
    c.line = c.columns;
    if (c.columns > ENCODE_MAX_ROW) {
        c.line = ENCODE_MAX_ROW;
        if (t->elements != c.columns) {
            c.unit = c.columns; /* pieces begin anew with each row */
            return c;
        }
    }
    uint64_t least = t->elements / MOST_UNITS + 1;
    c.unit = ceil_to(least > UNIT ? least : UNIT, c.line);
    return c;
}

/* Rows that are encoded together. */
static uint64_t unit_rows(const plan_tensor *t) { return t->encode->scheme ? t->encode->layout.row_unit : 1; }

/* Elements that are worked on at once: lines that make up about CHUNK, in the scheme's favourite multiples. */
static size_t chunk_of(const plan_tensor *t, const encode_cut *c) {
    uint64_t lines = CHUNK / c->line ? CHUNK / c->line : 1;
    lines = ceil_to(lines, unit_rows(t));
    return (size_t)(lines * c->line);
}

size_t encode_scratch_elements(const plan_tensor *t) {
    encode_cut c = encode_cut_of(t);
    return chunk_of(t, &c);
}

uint64_t encode_block(const plan_tensor *t, uint64_t wanted) {
    encode_cut c = encode_cut_of(t);
    uint64_t least = c.line * unit_rows(t);
    if (c.line < c.columns || wanted < least) return least;
    return wanted / least * least;
}

uint64_t encode_segment(const plan_tensor *t, uint64_t block, bool measure) {
    encode_cut c = encode_cut_of(t);
    if (c.line < c.columns && t->elements != c.columns) return c.columns;
    return measure ? ceil_to(block, c.unit) : block;
}

/* ---- opening and closing ---- */

tola_status encoding_open(encoding *e, const plan_tensor *t, bool measure, tola_error *err) {
    memset(e, 0, sizeof *e);
    e->t = t;
    e->cut = encode_cut_of(t);
    e->measure = measure;
    if (measure) {
        e->unit_count = (size_t)((t->elements + e->cut.unit - 1) / e->cut.unit);
        e->units = mem_calloc(e->unit_count ? e->unit_count : 1, sizeof *e->units);
        if (!e->units) return err_nomem(err, "measuring errors");
        for (size_t i = 0; i < e->unit_count; i++) compare_init(&e->units[i]);
    }
    const plan_encode *p = t->encode;
    size_t bytes = p->scheme && p->scheme->state_bytes ? p->scheme->state_bytes(&p->layout) : 0;
    if (bytes) {
        e->state = mem_calloc(1, bytes);
        if (!e->state) return err_nomem(err, "encoding a tensor");
    }
    return TOLA_OK;
}

void encoding_free(encoding *e) {
    mem_free(e->units);
    mem_free(e->state);
    e->units = NULL;
    e->state = NULL;
}

void encoding_conclude(encoding *e) {
    plan_figures *f = &e->t->encode->figures;
    f->measured = e->measure;
    compare_init(&f->errors);
    for (size_t i = 0; i < e->unit_count; i++) compare_merge(&f->errors, &e->units[i]);
    f->nans = e->nans;
    f->infinities = e->infinities;
    f->clamped = e->clamped;
}

/* ---- a few rows ---- */

static size_t bytes_of(uint16_t dtype, uint64_t elements) {
    return (size_t)(elements / tola_dtype_block_elements((tola_dtype)dtype) *
                    tola_dtype_block_bytes((tola_dtype)dtype));
}

/* The end of what may be worked on together with element `at`: one chunk, one matrix (which has its own importance),
 * one unit of figures. */
static uint64_t reach(const encoding *e, size_t chunk, uint64_t at, uint64_t end) {
    uint64_t limit = at + chunk;
    if (e->cut.line < e->cut.columns) limit = at - at % e->cut.columns % e->cut.line + e->cut.line;
    if (e->cut.line < e->cut.columns && limit > at - at % e->cut.columns + e->cut.columns)
        limit = at - at % e->cut.columns + e->cut.columns;
    uint64_t matrices = e->t->encode->importance_matrices;
    if (matrices > 1) {
        uint64_t matrix = e->t->elements / matrices, next = (at / matrix + 1) * matrix;
        if (next < limit) limit = next;
    }
    if (e->measure) {
        uint64_t next = (at / e->cut.unit + 1) * e->cut.unit;
        if (next < limit) limit = next;
    }
    return limit < end ? limit : end;
}

/* The importance of the columns from element `at` on; NULL where there is none. */
static const float *importance_at(const encoding *e, uint64_t at) {
    const plan_encode *p = e->t->encode;
    if (!p->importance) return NULL;
    uint64_t matrix = p->importance_matrices > 1 ? at / (e->t->elements / p->importance_matrices) : 0;
    return p->importance + matrix * e->cut.columns + at % e->cut.columns;
}

/* *overflowed (may be NULL) grows by the finite numbers that f32 has as infinity. */
static tola_status to_f32(const plan_tensor *t, const uint8_t *src, float *dst, size_t n, uint64_t *overflowed,
                          tola_error *err) {
    tola_status status =
        codec_convert((tola_dtype)t->from, TOLA_DTYPE_F32, src, dst, n, TOLA_OVERFLOW_IEEE, overflowed);
    if (status != TOLA_OK)
        return err_in_tensor(
            err, err_set(err, status, TOLA_NO_OFFSET, "%s cannot be decoded", tola_dtype_name((tola_dtype)t->from)),
            t->source);
    if (t->add != 0.0)
        for (size_t i = 0; i < n; i++) dst[i] += (float)t->add;
    return TOLA_OK;
}

static void count(encoding *e, const codec_faults *c) {
    if (c->nans) __atomic_add_fetch(&e->nans, c->nans, __ATOMIC_RELAXED);
    if (c->infinities) __atomic_add_fetch(&e->infinities, c->infinities, __ATOMIC_RELAXED);
    if (c->clamped) __atomic_add_fetch(&e->clamped, c->clamped, __ATOMIC_RELAXED);
}

/* Adds n numbers from element `at` on to the figures: row by row, so that sums do not depend on how rows came. */
static void compare_rows(encoding *e, uint64_t at, const float *rows, const float *back, size_t n) {
    compare_acc *unit = &e->units[at / e->cut.unit];
    for (size_t done = 0; done < n;) {
        uint64_t left = e->cut.columns - (at + done) % e->cut.columns;
        size_t here = left < n - done ? (size_t)left : n - done;
        compare_acc row;
        compare_init(&row);
        compare_add_f32(&row, rows + done, back + done, here, 0);
        compare_merge(unit, &row);
        done += here;
    }
}

/* Rows of f32 to blocks, row by row: importance belongs to columns. */
static tola_status to_blocks(const encoding *e, uint64_t at, float *rows, uint8_t *dst, size_t n,
                             codec_faults *counts) {
    const plan_tensor *t = e->t;
    for (size_t done = 0; done < n;) {
        uint64_t left = e->cut.columns - (at + done) % e->cut.columns;
        size_t here = left < n - done ? (size_t)left : n - done;
        TRY(codec_quantize((tola_dtype)t->dtype, rows + done, dst + bytes_of(t->dtype, done), here,
                           importance_at(e, at + done), counts));
        done += here;
    }
    return TOLA_OK;
}

/* Figures speak of finite numbers: what had no place in the type counts as what stands for it (codec_quantize put that
 * into the rows). */
static tola_status measure(encoding *e, uint64_t at, const uint8_t *dst, size_t n, encode_scratch *scratch) {
    tola_dtype to = (tola_dtype)e->t->dtype;
    bool blocks = tola_dtype_get_kind(to) == TOLA_KIND_BLOCK;
    TRY(codec_convert(to, TOLA_DTYPE_F32, dst, scratch->back, n, TOLA_OVERFLOW_IEEE, NULL));
    for (size_t i = 0; !blocks && i < n; i++)
        if (!isfinite(scratch->rows[i])) scratch->rows[i] = scratch->back[i];
    compare_rows(e, at, scratch->rows, scratch->back, n);
    return TOLA_OK;
}

/* Infinities of the source that saturation makes finite; codec_convert counts finite numbers alone. `overflowed` of the
 * rows' infinities were finite. */
static uint64_t count_infinities(const plan_tensor *t, const float *rows, size_t n, uint64_t overflowed) {
    uint64_t all = 0;
    if (t->dtype == TOLA_DTYPE_F64 || (t->dtype == TOLA_DTYPE_F32 && t->from != TOLA_DTYPE_F64)) return 0; /* kept */
    for (size_t i = 0; i < n; i++) all += fabsf(rows[i]) > FLT_MAX;
    return all - overflowed;
}

static tola_status chunk(encoding *e, uint64_t at, size_t n, const uint8_t *src, uint8_t *dst, encode_scratch *scratch,
                         tola_error *err) {
    const plan_tensor *t = e->t;
    tola_dtype to = (tola_dtype)t->dtype;
    bool blocks = tola_dtype_get_kind(to) == TOLA_KIND_BLOCK;
    codec_faults counts = { 0 };
    uint64_t overflowed = 0;
    TRY(to_f32(t, src, scratch->rows, n, &overflowed, err));
    if (!blocks) counts.infinities = count_infinities(t, scratch->rows, n, overflowed);
    tola_status status = TOLA_OK;
    if (blocks)
        status = to_blocks(e, at, scratch->rows, dst, n, &counts);
    else if (t->add != 0.0)
        status = codec_convert(TOLA_DTYPE_F32, to, scratch->rows, dst, n, TOLA_OVERFLOW_SATURATE, &counts.clamped);
    else
        status = codec_convert((tola_dtype)t->from, to, src, dst, n, TOLA_OVERFLOW_SATURATE, &counts.clamped);
    count(e, &counts);
    if (status == TOLA_OK && e->measure) status = measure(e, at, dst, n, scratch);
    if (status == TOLA_OK) return TOLA_OK;
    return err_in_tensor(err,
                         err_set(err, status, TOLA_NO_OFFSET, "%s cannot become %s",
                                 tola_dtype_name((tola_dtype)t->from), tola_dtype_name(to)),
                         t->source);
}

tola_status encoding_block(encoding *e, uint64_t first, uint64_t count, const uint8_t *src, uint8_t *dst,
                           encode_scratch *scratch, tola_error *err) {
    const plan_tensor *t = e->t;
    size_t most = chunk_of(t, &e->cut);
    for (uint64_t at = first, end = first + count; at < end;) {
        size_t n = (size_t)(reach(e, most, at, end) - at);
        TRY(chunk(e, at, n, src + bytes_of(t->from, at - first), dst + bytes_of(t->dtype, at - first), scratch, err));
        at += n;
    }
    return TOLA_OK;
}

/* ---- schemes ---- */

/* NaN becomes 0; an infinity the largest finite magnitude of its row, so that it does not take the scale with it. */
static void make_finite(float *rows, size_t count_rows, size_t columns, codec_faults *faults) {
    for (size_t r = 0; r < count_rows; r++, rows += columns) {
        float largest = 0;
        bool all = true;
        for (size_t i = 0; i < columns; i++) {
            float x = fabsf(rows[i]);
            bool finite = x <= FLT_MAX;
            all &= finite;
            largest = finite && x > largest ? x : largest;
        }
        for (size_t i = 0; !all && i < columns; i++) {
            if (isfinite(rows[i])) continue;
            if (isnan(rows[i]))
                faults->nans++;
            else
                faults->infinities++;
            rows[i] = isnan(rows[i]) ? 0 : copysignf(largest, rows[i]);
        }
    }
}

tola_status encoding_scheme_block(encoding *e, encode_phase phase, uint64_t first, uint64_t count_all,
                                  const uint8_t *src, const void *const parts[SCHEME_MAX_PARTS], scheme_sink sink,
                                  void *user, encode_scratch *scratch, tola_error *err) {
    const plan_tensor *t = e->t;
    const plan_encode *p = t->encode;
    size_t most = chunk_of(t, &e->cut);
    for (uint64_t at = first, end = first + count_all; at < end;) {
        uint64_t limit = at + most < end ? at + most : end;
        uint64_t row = at / e->cut.columns, rows = (limit - at) / e->cut.columns;
        size_t n = (size_t)(limit - at);
        codec_faults counts = { 0 };
        TRY(to_f32(t, src + bytes_of(t->from, at - first), scratch->rows, n, NULL, err));
        make_finite(scratch->rows, (size_t)rows, (size_t)e->cut.columns, &counts);
        tola_status status;
        if (phase == ENCODE_MEASURE) {
            status = p->scheme->measure(&p->layout, e->state, scratch->rows, row, rows, err);
        } else if (phase == ENCODE_WRITE) {
            count(e, &counts);
            status = p->scheme->encode(&p->layout, e->state, scratch->rows, row, rows, p->importance, sink, user, err);
        } else {
            status = p->scheme->decode(&p->layout, parts, row, rows, scratch->back, err);
            if (status == TOLA_OK) /* chunks reach over units: row by row */
                for (uint64_t r = 0; r < rows; r++)
                    compare_rows(e, at + r * e->cut.columns, scratch->rows + r * e->cut.columns,
                                 scratch->back + r * e->cut.columns, (size_t)e->cut.columns);
        }
        if (status != TOLA_OK) return err_in_tensor(err, status, t->source);
        at = limit;
    }
    return TOLA_OK;
}

tola_status encoding_scheme_finish(encoding *e, scheme_sink sink, void *user, tola_error *err) {
    const plan_encode *p = e->t->encode;
    if (!p->scheme->finish) return TOLA_OK;
    tola_status status = p->scheme->finish(&p->layout, e->state, sink, user, err);
    return status == TOLA_OK ? status : err_in_tensor(err, status, e->t->source);
}
