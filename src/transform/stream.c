/* See stream.h. Terms: a segment is a run of output elements of one tensor, read from one piece of the plan; a task is
 * a run of segments that together make about one block, so that a hundred thousand tiny tensors are a few tasks. */
#include "transform/stream.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "codecs/codec.h"
#include "formats/format.h"
#include "transform/encode.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE_BLOCKS 256     /* every dtype's block divides this many elements */
#define ADD_CHUNK 2048       /* elements of the buffer on the stack in which constants are added */
#define PROGRESS_NS 50000000 /* between two calls of the progress callback */

typedef struct segment {
    uint64_t file_order; /* (file, offset) of the input as one number that sorts */
    uint64_t offset_order;
    uint64_t first, elements; /* of the output tensor */
    uint32_t tensor;          /* of the plan */
    uint32_t piece;
} segment;

typedef struct worker {
    uint8_t *in, *out;
    encode_scratch scratch;
} worker;

/* A tensor that is encoded: what its workers share is there from the first segment to the last. */
typedef struct shared_encoding {
    pthread_mutex_t lock; /* of opening */
    bool opened;
    encoding e;
    _Atomic uint64_t left; /* elements */
} shared_encoding;

typedef struct stream {
    const plan *p;
    tola_writer *writer;
    const stream_options *options;
    size_t block; /* bytes of each worker's buffers */
    segment *segments;
    size_t segment_count, segment_cap;
    size_t *tasks; /* task k is segments [tasks[k], tasks[k+1]) */
    size_t task_count, task_cap;
    worker *workers;
    unsigned worker_count;
    shared_encoding *encodings; /* one a tensor; NULL where nothing is encoded */
    _Atomic uint64_t overflowed, done;
    _Atomic bool cancelled;
    pthread_mutex_t progress_lock;
    uint64_t next_progress; /* ns, under progress_lock */
} stream;

/* ---- progress ---- */

static void report(stream *s, bool last) {
    if (!s->options->progress) return;
    if (last)
        pthread_mutex_lock(&s->progress_lock);
    else if (pthread_mutex_trylock(&s->progress_lock) != 0)
        return; /* another worker is reporting */
    uint64_t now = clock_ns();
    if (last || now >= s->next_progress) {
        tola_progress progress = { s->options->phase, atomic_load(&s->done), s->p->bytes_in };
        if (!s->options->progress(s->options->progress_user, &progress)) atomic_store(&s->cancelled, true);
        s->next_progress = now + PROGRESS_NS;
    }
    pthread_mutex_unlock(&s->progress_lock);
}

static tola_status check_cancelled(stream *s, tola_error *err) {
    if (!atomic_load_explicit(&s->cancelled, memory_order_relaxed)) return TOLA_OK;
    return err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "cancelled");
}

/* ---- one block ---- */

/* Bytes of `elements` elements, which are whole blocks of `dtype`. */
static size_t bytes_of(uint16_t dtype, uint64_t elements) {
    return (size_t)(elements / tola_dtype_block_elements((tola_dtype)dtype) *
                    tola_dtype_block_bytes((tola_dtype)dtype));
}

tola_status stream_read(const plan *p, const plan_tensor *t, uint64_t first, uint64_t count, void *to,
                        tola_error *err) {
    uint8_t *dst = to;
    for (size_t i = 0; i < t->piece_count && count; i++) {
        const plan_piece *piece = &t->pieces[i];
        if (first >= piece->elements) {
            first -= piece->elements;
            continue;
        }
        uint64_t here = piece->elements - first < count ? piece->elements - first : count;
        size_t bytes = bytes_of(t->from, here);
        TRY(tola_checkpoint_read(p->in, piece->tensor, bytes_of(t->from, piece->first + first), dst, bytes, err));
        dst += bytes;
        count -= here;
        first = 0;
    }
    return TOLA_OK;
}

/* Output elements [first, first + count) of a permuted tensor. Reads the rows one by one, except where all of them lie
 * in a span that fits the other buffer. */
static tola_status read_permuted(const stream *s, const plan_tensor *t, uint64_t first, uint64_t count, uint8_t *dst,
                                 uint8_t *span, tola_error *err) {
    uint64_t row_elements = t->row_elements;
    size_t row_bytes = bytes_of(t->from, row_elements);
    uint64_t rows = count / row_elements, row = first / row_elements;
    if (first % row_elements == 0 && count % row_elements == 0 && rows) {
        uint64_t low = UINT64_MAX, high = 0;
        for (uint64_t r = 0; r < rows; r++) {
            uint64_t taken = plan_source_row(t, row + r);
            low = taken < low ? taken : low;
            high = taken > high ? taken : high;
        }
        if (high - low < 2 * rows && high - low < s->block / row_bytes) {
            TRY(stream_read(s->p, t, low * row_elements, (high - low + 1) * row_elements, span, err));
            for (uint64_t r = 0; r < rows; r++)
                memcpy(dst + r * row_bytes, span + (plan_source_row(t, row + r) - low) * row_bytes, row_bytes);
            return TOLA_OK;
        }
    }
    while (count) {
        uint64_t within = first % row_elements;
        uint64_t here = row_elements - within < count ? row_elements - within : count;
        TRY(stream_read(s->p, t, plan_source_row(t, first / row_elements) * row_elements + within, here, dst, err));
        dst += bytes_of(t->from, here);
        first += here;
        count -= here;
    }
    return TOLA_OK;
}

/* dst = cast(src + constant), in the type in which every source value is exact. */
static tola_status add_and_cast(const plan_tensor *t, const uint8_t *src, uint8_t *dst, size_t count,
                                tola_overflow overflow, uint64_t *overflowed) {
    union {
        float f32[ADD_CHUNK];
        double f64[ADD_CHUNK];
    } work;
    bool wide = codec_exact((tola_dtype)t->from) == TOLA_DTYPE_F64;
    tola_dtype exact = wide ? TOLA_DTYPE_F64 : TOLA_DTYPE_F32;
    for (size_t at = 0; at < count; at += ADD_CHUNK) {
        size_t n = count - at < ADD_CHUNK ? count - at : ADD_CHUNK;
        TRY(codec_convert((tola_dtype)t->from, exact, src + bytes_of(t->from, at), &work, n, overflow, NULL));
        if (wide)
            for (size_t i = 0; i < n; i++) work.f64[i] += t->add;
        else
            for (size_t i = 0; i < n; i++) work.f32[i] += (float)t->add;
        TRY(codec_convert(exact, (tola_dtype)t->dtype, &work, dst + bytes_of(t->dtype, at), n, overflow, overflowed));
    }
    return TOLA_OK;
}

/* Gathering strides goes through a map of the file, whose pages would count as ours until the end. */
static void release_map(const stream *s, const plan_tensor *t) {
    for (size_t i = 0; i < t->piece_count; i++) {
        const ck_tensor *from = &s->p->in->tensors[t->pieces[i].tensor];
        if (from->layout != CK_STRIDED) continue;
        source *src = s->p->in->files[from->info.file].src;
        source_release(src, 0, src->size);
    }
}

static tola_status read_block(const stream *s, const plan_tensor *t, uint64_t first, uint64_t count, const worker *w,
                              tola_error *err) {
    if (t->order == PLAN_IN_ORDER) return stream_read(s->p, t, first, count, w->in, err);
    return read_permuted(s, t, first, count, w->in, w->out, err);
}

static tola_status run_block(stream *s, const plan_tensor *t, uint32_t tensor, uint64_t first, uint64_t count,
                             worker *w, tola_error *err) {
    TRY(read_block(s, t, first, count, w, err));
    const uint8_t *result = w->in;
    if (t->encode) {
        TRY(encoding_block(&s->encodings[tensor].e, first, count, w->in, w->out, &w->scratch, err));
        result = w->out;
    } else if (t->from != t->dtype || t->add != 0.0) {
        uint64_t overflowed = 0;
        tola_status status = t->add != 0.0
                                 ? add_and_cast(t, w->in, w->out, (size_t)count, s->options->overflow, &overflowed)
                                 : codec_convert((tola_dtype)t->from, (tola_dtype)t->dtype, w->in, w->out,
                                                 (size_t)count, s->options->overflow, &overflowed);
        if (status != TOLA_OK)
            return err_in_tensor(err,
                                 err_set(err, status, TOLA_NO_OFFSET, "no conversion from %s to %s",
                                         tola_dtype_name((tola_dtype)t->from), tola_dtype_name((tola_dtype)t->dtype)),
                                 t->source);
        if (overflowed) atomic_fetch_add(&s->overflowed, overflowed);
        result = w->out;
    }
    uint64_t offset = bytes_of(t->dtype, first);
    size_t bytes = bytes_of(t->dtype, count);
    TRY(tola_writer_write(s->writer, t->output, offset, result, bytes, err));
    release_map(s, t);
    atomic_fetch_add_explicit(&s->done, bytes_of(t->from, count), memory_order_relaxed);
    return TOLA_OK;
}

/* ---- tasks ---- */

/* Elements of `t` that make one block. */
static uint64_t block_elements(const stream *s, const plan_tensor *t) {
    size_t in = bytes_of(t->from, WHOLE_BLOCKS), out = bytes_of(t->dtype, WHOLE_BLOCKS);
    uint64_t elements = s->block / (in > out ? in : out) * WHOLE_BLOCKS;
    bool permuted = t->order != PLAN_IN_ORDER;
    /* Whole rows; half a block of permuted ones, so that the rows they come from fit a buffer. Huge rows are cut. */
    if (permuted) elements /= 2;
    if (t->encode) return encode_block(t, elements);
    if (!permuted) return elements;
    uint64_t rows = elements / t->row_elements;
    uint32_t unit = tola_dtype_block_elements((tola_dtype)t->dtype);
    return rows && (rows * t->row_elements) % unit == 0 ? rows * t->row_elements : elements * 2;
}

/* ---- schemes: one matrix, several outputs ---- */

typedef struct part_sink {
    const stream *s;
    const plan_encode *encode;
    uint8_t *parts[SCHEME_MAX_PARTS]; /* copies, to compare with; NULL where nothing is measured */
} part_sink;

static tola_status write_part(void *user, unsigned part, uint64_t offset, const void *data, size_t bytes,
                              tola_error *err) {
    const part_sink *sink = user;
    const scheme_part *p = &sink->encode->layout.parts[part];
    if (sink->parts[part] && offset <= p->bytes && bytes <= p->bytes - offset)
        memcpy(sink->parts[part] + offset, data, bytes);
    return tola_writer_write(sink->s->writer, sink->encode->parts[part], offset, data, bytes, err);
}

/* Takes all rows of a segment through one phase. */
static tola_status scheme_pass(stream *s, const segment *g, encode_phase phase, encoding *e, part_sink *sink, worker *w,
                               tola_error *err) {
    const plan_tensor *t = e->t;
    uint64_t step = block_elements(s, t);
    for (uint64_t at = g->first, end = g->first + g->elements; at < end; at += step) {
        uint64_t n = end - at < step ? end - at : step;
        TRY(read_block(s, t, at, n, w, err));
        TRY(encoding_scheme_block(e, phase, at, n, w->in, (const void *const *)sink->parts, write_part, sink,
                                  &w->scratch, err));
        release_map(s, t);
        if (phase == ENCODE_WRITE)
            atomic_fetch_add_explicit(&s->done, bytes_of(t->from, n), memory_order_relaxed);
        report(s, false);
        TRY(check_cancelled(s, err));
    }
    return TOLA_OK;
}

static tola_status keep_parts(part_sink *sink, tola_error *err) {
    for (size_t i = 0; i < SCHEME_MAX_PARTS; i++) {
        const scheme_part *part = &sink->encode->layout.parts[i];
        if (part->dtype == TOLA_DTYPE_NONE) continue;
        sink->parts[i] = mem_alloc(part->bytes ? (size_t)part->bytes : 1);
        if (!sink->parts[i]) return err_nomem(err, "measuring errors");
    }
    return TOLA_OK;
}

/* A segment of a matrix. Where its scheme looks at all rows first, or figures are wanted, the segment is all of it. */
static tola_status run_scheme(stream *s, const segment *g, encoding *e, bool *last, worker *w, tola_error *err) {
    part_sink sink = { .s = s, .encode = e->t->encode };
    tola_status status = e->measure ? keep_parts(&sink, err) : TOLA_OK;
    if (status == TOLA_OK && e->t->encode->layout.two_passes)
        status = scheme_pass(s, g, ENCODE_MEASURE, e, &sink, w, err);
    if (status == TOLA_OK) status = scheme_pass(s, g, ENCODE_WRITE, e, &sink, w, err);
    if (status == TOLA_OK) {
        *last = atomic_fetch_sub(&s->encodings[g->tensor].left, g->elements) == g->elements;
        if (*last) status = encoding_scheme_finish(e, write_part, &sink, err);
    }
    if (status == TOLA_OK && e->measure) status = scheme_pass(s, g, ENCODE_COMPARE, e, &sink, w, err);
    for (size_t i = 0; i < SCHEME_MAX_PARTS; i++) mem_free(sink.parts[i]);
    return status;
}

static tola_status run_blocks(stream *s, const segment *g, worker *w, tola_error *err) {
    const plan_tensor *t = &s->p->tensors[g->tensor];
    uint64_t step = block_elements(s, t);
    for (uint64_t at = 0; at < g->elements; at += step) {
        uint64_t count = g->elements - at < step ? g->elements - at : step;
        TRY(run_block(s, t, g->tensor, g->first + at, count, w, err));
        report(s, false);
        TRY(check_cancelled(s, err));
    }
    return TOLA_OK;
}

static tola_status run_encoded(stream *s, const segment *g, worker *w, tola_error *err) {
    const plan_tensor *t = &s->p->tensors[g->tensor];
    shared_encoding *shared = &s->encodings[g->tensor];
    tola_status status = TOLA_OK;
    bool last = false;
    pthread_mutex_lock(&shared->lock);
    if (!shared->opened) status = encoding_open(&shared->e, t, s->options->measure, err);
    shared->opened = shared->opened || status == TOLA_OK;
    pthread_mutex_unlock(&shared->lock);
    if (status == TOLA_OK && t->encode->scheme) {
        status = run_scheme(s, g, &shared->e, &last, w, err);
    } else if (status == TOLA_OK) {
        status = run_blocks(s, g, w, err);
        if (status == TOLA_OK) last = atomic_fetch_sub(&shared->left, g->elements) == g->elements;
    }
    if (status == TOLA_OK && last) {
        encoding_conclude(&shared->e);
        encoding_free(&shared->e);
    }
    return status;
}

static tola_status run_segment(stream *s, const segment *g, worker *w, tola_error *err) {
    const plan_tensor *t = &s->p->tensors[g->tensor];
    TRY(check_cancelled(s, err));
    if (t->encode) return run_encoded(s, g, w, err);
    if (t->piece_count) return run_blocks(s, g, w, err);
    TRY(tola_writer_write(s->writer, t->output, 0, t->data, (size_t)t->bytes, err));
    atomic_fetch_add_explicit(&s->done, t->bytes, memory_order_relaxed);
    report(s, false);
    return TOLA_OK;
}

static tola_status run_task(void *context, size_t task, unsigned index, tola_error *err) {
    stream *s = context;
    for (size_t i = s->tasks[task]; i < s->tasks[task + 1]; i++)
        TRY(run_segment(s, &s->segments[i], &s->workers[index], err));
    return TOLA_OK;
}

/* ---- laying out segments and tasks ---- */

static tola_status add_segment(stream *s, segment g, tola_error *err) {
    if (!mem_grow(&s->segments, &s->segment_cap, s->segment_count + 1, sizeof g))
        return err_nomem(err, "planning the conversion");
    s->segments[s->segment_count++] = g;
    return TOLA_OK;
}

/* A tensor that is inflated from the front, or permuted, is one segment; all others are cut into blocks, which several
 * workers may take. */
static tola_status cut_piece(stream *s, uint32_t tensor, uint32_t piece, uint64_t first, tola_error *err) {
    const plan_tensor *t = &s->p->tensors[tensor];
    const plan_piece *from = &t->pieces[piece];
    const ck_tensor *input = &s->p->in->tensors[from->tensor];
    uint64_t step = (input->info.flags & TOLA_TENSOR_PACKED) ? from->elements : block_elements(s, t);
    for (uint64_t at = 0; at < from->elements; at += step) {
        uint64_t count = from->elements - at < step ? from->elements - at : step;
        uint64_t offset = input->info.offset;
        if (input->layout == CK_PLAIN) offset += bytes_of(t->from, from->first + at);
        TRY(add_segment(s, (segment){ input->info.file, offset, first + at, count, tensor, piece }, err));
    }
    return TOLA_OK;
}

/* A tensor that is encoded is cut by its own rows, wherever they come from. */
static tola_status cut_encoded(stream *s, uint32_t tensor, tola_error *err) {
    const plan_tensor *t = &s->p->tensors[tensor];
    bool whole = t->encode->scheme && (t->encode->layout.two_passes || s->options->measure);
    for (size_t i = 0; i < t->piece_count; i++)
        whole = whole || (s->p->in->tensors[t->pieces[i].tensor].info.flags & TOLA_TENSOR_PACKED);
    uint64_t step = whole ? t->elements : encode_segment(t, block_elements(s, t), s->options->measure), before = 0;
    size_t piece = 0;
    for (uint64_t at = 0; at < t->elements; at += step) {
        while (piece + 1 < t->piece_count && at - before >= t->pieces[piece].elements)
            before += t->pieces[piece++].elements;
        const ck_tensor *input = &s->p->in->tensors[t->pieces[piece].tensor];
        uint64_t count = t->elements - at < step ? t->elements - at : step, offset = input->info.offset;
        if (input->layout == CK_PLAIN) offset += bytes_of(t->from, t->pieces[piece].first + at - before);
        TRY(add_segment(s, (segment){ input->info.file, offset, at, count, tensor, (uint32_t)piece }, err));
    }
    return TOLA_OK;
}

static tola_status cut_tensor(stream *s, uint32_t tensor, tola_error *err) {
    const plan_tensor *t = &s->p->tensors[tensor];
    if (t->encode) return cut_encoded(s, tensor, err);
    if (t->piece_count == 0) return add_segment(s, (segment){ 0, 0, 0, t->elements, tensor, 0 }, err);
    uint64_t first = 0;
    uint32_t unit = tola_dtype_block_elements((tola_dtype)t->dtype);
    bool together = t->order != PLAN_IN_ORDER && t->piece_count > 1;
    for (uint32_t i = 0; i < t->piece_count; i++) {
        together = together || first % unit != 0;
        first += t->pieces[i].elements;
    }
    if (together) { /* its blocks may take from several pieces: one segment, read through stream_read */
        const tola_tensor_info *info = tola_checkpoint_tensor(s->p->in, t->pieces[0].tensor);
        return add_segment(s, (segment){ info->file, info->offset, 0, t->elements, tensor, 0 }, err);
    }
    first = 0;
    for (uint32_t i = 0; i < t->piece_count; i++) {
        TRY(cut_piece(s, tensor, i, first, err));
        first += t->pieces[i].elements;
    }
    return TOLA_OK;
}

static int compare_segments(const void *a, const void *b) {
    const segment *x = a, *y = b;
    if (x->file_order != y->file_order) return x->file_order < y->file_order ? -1 : 1;
    if (x->offset_order != y->offset_order) return x->offset_order < y->offset_order ? -1 : 1;
    if (x->tensor != y->tensor) return x->tensor < y->tensor ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static tola_status add_task(stream *s, size_t first_segment, tola_error *err) {
    if (!mem_grow(&s->tasks, &s->task_cap, s->task_count + 2, sizeof *s->tasks))
        return err_nomem(err, "planning the conversion");
    s->tasks[s->task_count++] = first_segment;
    return TOLA_OK;
}

static tola_status lay_out(stream *s, tola_error *err) {
    for (size_t i = 0; i < s->p->count; i++) TRY(cut_tensor(s, (uint32_t)i, err));
    if (s->segment_count) qsort(s->segments, s->segment_count, sizeof *s->segments, compare_segments);
    size_t filled = s->block;
    for (size_t i = 0; i < s->segment_count; i++) {
        const plan_tensor *t = &s->p->tensors[s->segments[i].tensor];
        size_t bytes = bytes_of(t->from, s->segments[i].elements);
        if (filled + bytes > s->block) {
            TRY(add_task(s, i, err));
            filled = 0;
        }
        filled += bytes;
    }
    TRY(add_task(s, s->segment_count, err)); /* the end of the last */
    s->task_count--;
    return TOLA_OK;
}

/* ---- the run ---- */

/* Rows of the longest encoded tensors. */
static tola_status make_scratch(const stream *s, encode_scratch *scratch, tola_error *err) {
    size_t elements = 0;
    for (size_t i = 0; i < s->p->count; i++) {
        size_t n = s->p->tensors[i].encode ? encode_scratch_elements(&s->p->tensors[i]) : 0;
        if (n > elements) elements = n;
    }
    if (!elements) return TOLA_OK;
    scratch->rows = mem_alloc_aligned(64, elements * sizeof(float));
    scratch->back = s->options->measure ? mem_alloc_aligned(64, elements * sizeof(float)) : NULL;
    return scratch->rows && (scratch->back || !s->options->measure) ? TOLA_OK : err_nomem(err, "encoding tensors");
}

static tola_status make_encodings(stream *s, tola_error *err) {
    bool any = false;
    for (size_t i = 0; i < s->p->count; i++) any = any || s->p->tensors[i].encode;
    if (!any) return TOLA_OK;
    s->encodings = mem_calloc(s->p->count, sizeof *s->encodings);
    if (!s->encodings) return err_nomem(err, "encoding tensors");
    for (size_t i = 0; i < s->p->count; i++) {
        pthread_mutex_init(&s->encodings[i].lock, NULL);
        atomic_init(&s->encodings[i].left, s->p->tensors[i].elements);
    }
    return TOLA_OK;
}

static tola_status make_workers(stream *s, unsigned threads, tola_error *err) {
    s->workers = mem_calloc(threads, sizeof *s->workers);
    if (!s->workers) return err_nomem(err, "starting the conversion");
    s->worker_count = threads;
    for (unsigned i = 0; i < threads; i++) {
        s->workers[i].in = mem_alloc_aligned(64, s->block);
        s->workers[i].out = mem_alloc_aligned(64, s->block);
        if (!s->workers[i].in || !s->workers[i].out) return err_nomem(err, "starting the conversion");
        TRY(make_scratch(s, &s->workers[i].scratch, err));
    }
    return TOLA_OK;
}

static size_t block_size(unsigned threads) {
    size_t block = STREAM_MEMORY / 2 / threads / 4096 * 4096;
    if (block > STREAM_BLOCK) block = STREAM_BLOCK;
    return block < STREAM_MIN_BLOCK ? STREAM_MIN_BLOCK : block;
}

static tola_status run(stream *s, pool *threads, tola_error *err) {
    s->block = block_size(pool_threads(threads));
    for (size_t i = 0; i < s->p->count; i++) { /* a line of what is encoded must fit */
        const plan_tensor *t = &s->p->tensors[i];
        if (!t->encode) continue;
        uint64_t least = encode_block(t, 0) * (t->order == PLAN_IN_ORDER ? 1 : 2);
        size_t in = bytes_of(t->from, least + WHOLE_BLOCKS), out = bytes_of(t->dtype, least + WHOLE_BLOCKS);
        if (in > s->block) s->block = in;
        if (out > s->block) s->block = out;
    }
    TRY(make_encodings(s, err));
    TRY(lay_out(s, err));
    TRY(make_workers(s, pool_threads(threads), err));
    report(s, true);
    TRY(check_cancelled(s, err));
    TRY(pool_run(threads, s->task_count, run_task, s, err));
    report(s, true);
    return check_cancelled(s, err);
}

tola_status stream_run(const plan *p, tola_writer *writer, const stream_options *options, uint64_t *overflowed,
                       tola_error *err) {
    stream s = { .p = p, .writer = writer, .options = options };
    pool *threads = NULL;
    TRY(pool_create(options->threads, &threads, err));
    pthread_mutex_init(&s.progress_lock, NULL);
    tola_status status = run(&s, threads, err);
    *overflowed += atomic_load(&s.overflowed);
    pool_free(threads);
    pthread_mutex_destroy(&s.progress_lock);
    for (unsigned i = 0; i < s.worker_count; i++) {
        mem_free(s.workers[i].in);
        mem_free(s.workers[i].out);
        mem_free(s.workers[i].scratch.rows);
        mem_free(s.workers[i].scratch.back);
    }
    for (size_t i = 0; s.encodings && i < p->count; i++) {
        encoding_free(&s.encodings[i].e); /* of a pass that failed */
        pthread_mutex_destroy(&s.encodings[i].lock);
    }
    mem_free(s.encodings);
    mem_free(s.workers);
    mem_free(s.segments);
    mem_free(s.tasks);
    return status;
}
