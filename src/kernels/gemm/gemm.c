/* General products: cutting into tasks, blocks and panels, turning operands into f32, the choice of instruction set. */
#include "kernels/gemm/gemm_kernels.h"

#include "base/cpu.h"
#include "kernels/cast/cast.h"
#include "kernels/dequantize/dequantize.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    GROUP = 256,        /* elements: every block type's blocks divide it */
    NEAR = 256 * 1024,  /* bytes of panels of an operand that are used again and again: a part of a second-level cache,
                           and of what is translated without walking tables */
    KEPT = 4 * NEAR,    /* bytes of panels of A that are kept for all k, so that a part of C is finished at once */
    MOST_ROWS = 1024    /* of a task */
};

const gemm_kernel *gemm_kernel_get(gemm_precision precision, bool *rounds) {
    const cpu_features *cpu = cpu_get();
#if defined(__x86_64__)
    *rounds = false;
    if (precision == GEMM_BF16 && cpu->amx_bf16 && cpu_allow_amx()) return &gemm_amx;
    if (precision == GEMM_BF16 && cpu->avx512_bf16 && !cpu->slow_bf16) return &gemm_avx512bf16;
#endif
    *rounds = precision == GEMM_BF16;
    switch (cpu->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &gemm_avx512;
    case CPU_AVX2: return &gemm_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return &gemm_neon;
#endif
    default: return &gemm_scalar;
    }
}

/* ---- elements ---- */

static const cast_small *small_type(tola_dtype dtype) {
    switch (dtype) {
    case TOLA_DTYPE_F8_E4M3: return &cast_e4m3;
    case TOLA_DTYPE_F8_E5M2: return &cast_e5m2;
    case TOLA_DTYPE_F8_E4M3FNUZ: return &cast_e4m3fnuz;
    case TOLA_DTYPE_F8_E5M2FNUZ: return &cast_e5m2fnuz;
    default: return NULL;
    }
}

static cast_fn to_f32(tola_dtype dtype) {
    switch (dtype) {
    case TOLA_DTYPE_F64: return cast_get()->f64_to_f32;
    case TOLA_DTYPE_F16: return cast_get()->f16_to_f32;
    case TOLA_DTYPE_BF16: return cast_get()->bf16_to_f32;
    case TOLA_DTYPE_F8_E4M3: return cast_get()->e4m3_to_f32;
    case TOLA_DTYPE_F8_E5M2: return cast_get()->e5m2_to_f32;
    default: return NULL;
    }
}

bool gemm_supports(tola_dtype dtype) {
    return dtype == TOLA_DTYPE_F32 || to_f32(dtype) || small_type(dtype) || dequantize_get(dtype);
}

static void unpack(tola_dtype dtype, const char *src, float *dst, size_t n) {
    const cast_fn cast = to_f32(dtype);
    const cast_small *small = small_type(dtype);
    if (dtype == TOLA_DTYPE_F32) memcpy(dst, src, n * sizeof *dst);
    else if (cast) cast(src, dst, n, false);
    else if (small) cast_small_to_f32(small, src, dst, n);
    else dequantize_get(dtype)(src, dst, n);
}

/* x becomes round(x * scale), still as f32. */
static void round_small(tola_dtype type, float scale, float *x, size_t n) {
    uint8_t codes[GROUP];
    for (size_t at = 0; at < n; at += GROUP, x += GROUP) {
        const size_t some = n - at < GROUP ? n - at : GROUP;
        for (size_t i = 0; i < some; i++) x[i] *= scale;
        cast_get()->f32_to_small(small_type(type), x, codes, some, true);
        unpack(type, (const char *)codes, x, some);
    }
}

static void round_bf16(float *x, size_t n) {
    uint16_t codes[GROUP];
    for (size_t at = 0; at < n; at += GROUP, x += GROUP) {
        const size_t some = n - at < GROUP ? n - at : GROUP;
        cast_get()->f32_to_bf16(x, codes, some, false);
        cast_get()->bf16_to_f32(codes, x, some, false);
    }
}

/* ---- an operand's part as f32 rows: where it lies, or in a room of the scratch ---- */

typedef struct stage {
    const gemm_operand *o;
    bool direct, rounds;
    float *room;
    size_t row, rows, col, cols; /* what is in the room */
} stage;

static bool is_direct(const gemm_operand *o, bool rounds) {
    return o->dtype == TOLA_DTYPE_F32 && o->round == TOLA_DTYPE_NONE && !rounds;
}

/* Columns [*col, *col + *cols) widened to whole blocks. */
static void widen(const gemm_operand *o, size_t *col, size_t *cols) {
    const size_t block = tola_dtype_block_elements(o->dtype) > 1 ? GROUP : 1, end = *col + *cols;
    *col = *col / block * block;
    *cols = (end + block - 1) / block * block - *col;
}

/* Floats of the room for blocks `lines` wide and `depth` deep. */
static size_t stage_floats(const gemm_operand *o, bool rounds, bool along, size_t lines, size_t depth) {
    if (is_direct(o, rounds)) return 0;
    const bool blocks = tola_dtype_block_elements(o->dtype) > 1;
    return depth * (blocks && !along ? (lines + 2 * GROUP - 2) / GROUP * GROUP : lines);
}

/* Rows [row, row + rows), columns [col, col + cols); `limit`: columns that the operand has. */
static const char *fetch(stage *s, size_t row, size_t rows, size_t col, size_t cols, size_t limit, size_t *row_bytes) {
    const gemm_operand *o = s->o;
    const char *data = o->data;
    if (s->direct) {
        *row_bytes = o->row_bytes;
        return data + row * o->row_bytes + col * sizeof(float);
    }
    size_t first = col, wide = cols;
    widen(o, &first, &wide);
    if (s->row != row || s->rows != rows || first < s->col || first + wide > s->col + s->cols) {
        const size_t block = tola_dtype_block_elements(o->dtype);
        const size_t there = (limit - first + block - 1) / block * block, n = there < wide ? there : wide;
        for (size_t r = 0; r < rows; r++) {
            float *to = s->room + r * wide;
            unpack(o->dtype, data + (row + r) * o->row_bytes + first / block * tola_dtype_block_bytes(o->dtype), to, n);
            if (o->round != TOLA_DTYPE_NONE) round_small(o->round, o->scale, to, n);
            if (s->rounds) round_bf16(to, n);
        }
        s->row = row, s->rows = rows, s->col = first, s->cols = wide;
    }
    *row_bytes = s->cols * sizeof(float);
    return (const char *)(s->room + (col - s->col));
}

/* ---- tasks ---- */

/* The product's rows in `row_parts`, its columns in `column_parts`, as even as `column_step` lets them be. */
typedef struct cut {
    const gemm_kernel *kernel;
    bool rounds;
    size_t row_parts, column_parts, column_step;
} cut;

static size_t parts_of(size_t n, size_t most) { return n ? (n - 1) / most + 1 : 0; }
/* Where part i of `parts` of n things begins. */
static size_t part_start(size_t n, size_t parts, size_t i) { return n / parts * i + (n % parts * i) / parts; }

static bool b_in_groups(const gemm_problem *p) {
    return !p->b.transposed && tola_dtype_block_elements(p->b.dtype) > 1;
}

/* How long all tasks take on so many threads, in multiplications: packing an element is as long as sixteen of them, and
 * a tenth of a task is what a thread may be held up by. */
static double predicted(const gemm_problem *p, const cut *c, unsigned threads) {
    const double m = (double)parts_of(p->m, c->row_parts), steps = (double)parts_of(p->n, c->column_step);
    const double n = ceil(steps / (double)c->column_parts) * (double)c->column_step;
    const double rounds = (double)parts_of(c->row_parts * c->column_parts, threads);
    return (rounds + 0.1) * (m * n + 16 * (m + n));
}

static cut cut_of(const gemm_problem *p, unsigned threads) {
    cut best = { .column_parts = 1 };
    best.kernel = gemm_kernel_get(p->precision, &best.rounds);
    best.column_step = b_in_groups(p) ? GROUP : best.kernel->columns;
    best.row_parts = p->m ? parts_of(p->m, MOST_ROWS) : 1;
    const double work = (double)p->m * (double)p->n * (double)p->k;
    if (threads == 1 || work < 0x1p17) return best;
    const size_t steps = parts_of(p->n, best.column_step), row_steps = parts_of(p->m, best.kernel->row_step);
    const size_t most = work < 0x1p24 ? threads : 4 * (size_t)threads;
    double shortest = INFINITY;
    cut c = best;
    for (size_t tasks = threads; tasks <= most; tasks *= 2)
        for (size_t parts = 1; parts <= tasks && parts * best.row_parts <= row_steps; parts *= 2) {
            cut now = best;
            now.row_parts *= parts;
            now.column_parts = parts_of(tasks, now.row_parts);
            if (now.column_parts > steps) now.column_parts = steps;
            const double time = predicted(p, &now, threads);
            if (time < shortest) shortest = time, c = now;
        }
    return c;
}

size_t gemm_tasks(const gemm_problem *p, unsigned threads) {
    if (p->m == 0 || p->n == 0) return 0;
    const cut c = cut_of(p, threads);
    return c.row_parts * c.column_parts;
}

/* How a task's panels lie in its scratch. */
typedef struct rooms {
    size_t panel_a, panel_b;    /* bytes of one */
    size_t near_a, near_b;      /* panels that are used again and again */
    size_t blocks;              /* of k, of which A's panels are kept */
    size_t columns, room, bytes; /* where the panels of B begin, where what is unpacked, where all ends */
} rooms;

static size_t line_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

static rooms rooms_of(const gemm_problem *p, const cut *c) {
    const gemm_kernel *k = c->kernel;
    rooms r = { .panel_a = k->rows * GEMM_DEPTH * 4, .panel_b = k->columns * GEMM_DEPTH * 4 };
    const size_t panels = parts_of(parts_of(p->m, c->row_parts), k->rows), depth = GEMM_DEPTH * k->unit;
    r.near_a = parts_of(NEAR, r.panel_a);
    r.blocks = p->k > depth ? parts_of(p->k, depth) : 1;
    if (r.blocks > KEPT / (panels * r.panel_a)) r.blocks = 1;
    r.near_b = panels > r.near_a || r.blocks > 1 ? parts_of(NEAR, r.panel_b) : 1;
    r.columns = line_up(r.blocks * panels * r.panel_a);
    r.room = r.columns + line_up(r.near_b * r.panel_b);
    const size_t a = stage_floats(&p->a, c->rounds, !p->a.transposed, k->rows, depth);
    const size_t b = stage_floats(&p->b, c->rounds, p->b.transposed, k->columns, depth);
    r.bytes = r.room + line_up((a > b ? a : b) * sizeof(float)); /* A's part is packed when B's is unpacked */
    return r;
}

/* As rooms_of, with every part as large as it can be for m and k up to these: a smaller product may keep more of A. */
size_t gemm_scratch_bytes(const gemm_problem *p, unsigned threads) {
    if (p->m == 0 || p->n == 0) return 0;
    const cut c = cut_of(p, threads);
    const gemm_kernel *k = c.kernel;
    const rooms r = rooms_of(p, &c);
    const size_t panels = parts_of(p->m < MOST_ROWS ? p->m : MOST_ROWS, k->rows), a = panels * r.panel_a;
    return line_up(a > KEPT ? a : KEPT) + line_up(parts_of(NEAR, r.panel_b) * r.panel_b) + (r.bytes - r.room);
}

/* ---- a task ---- */

typedef struct work {
    const gemm_problem *p;
    const gemm_kernel *k;
    rooms r;
    char *scratch;
    size_t row, rows, row_panels; /* of C: its part, in panels as even as the kernel lets them be */
    uint16_t panel_row[MOST_ROWS + 1]; /* where each begins, and the last ends */
    size_t col, col_end;
    stage a, b;
    gemm_ahead ahead[2]; /* for A, for B */
} work;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* What the scales leave to be done with the sums. */
static float sum_factor(const gemm_operand *o) { return o->round == TOLA_DTYPE_NONE ? o->scale : 1 / o->scale; }

static void clear(const work *w) {
    for (size_t r = 0; r < w->rows && !w->p->accumulate; r++)
        memset(w->p->c + (w->row + r) * w->p->c_stride + w->col, 0, (w->col_end - w->col) * sizeof *w->p->c);
}

/* Lines [at, at + width) of an operand, elements [e, e + depth) of each, packed. */
static void pack(stage *s, bool along, gemm_pack_fn pack_fn, size_t at, size_t width, size_t e, size_t depth,
                 size_t limit, void *panel) {
    size_t row_bytes;
    const char *src = along ? fetch(s, at, width, e, depth, limit, &row_bytes)
                            : fetch(s, e, depth, at, width, limit, &row_bytes);
    pack_fn(along, src, row_bytes, width, depth, panel);
}

/* The task's rows of A: panels of a block of k. */
static char *panels_of(const work *w, size_t e) {
    const size_t block = w->r.blocks > 1 ? e / (GEMM_DEPTH * w->k->unit) : 0;
    return w->scratch + block * w->row_panels * w->r.panel_a;
}

static void pack_rows(work *w, size_t e, size_t depth) {
    const gemm_problem *p = w->p;
    char *const panels = panels_of(w, e);
    for (size_t i = 0; i < w->row_panels; i++) {
        const size_t from = w->panel_row[i], width = w->panel_row[i + 1] - from;
        pack(&w->a, !p->a.transposed, w->k->pack_a, w->row + from, width, e, depth, p->a.transposed ? p->m : p->k,
             panels + i * w->r.panel_a);
    }
}

/* Columns [at, end) of C. */
static void pack_columns(work *w, size_t at, size_t end, size_t e, size_t depth) {
    const gemm_problem *p = w->p;
    char *panel = w->scratch + w->r.columns;
    for (; at < end; at += w->k->columns, panel += w->r.panel_b)
        pack(&w->b, p->b.transposed, w->k->pack_b, at, least(end - at, w->k->columns), e, depth,
             p->b.transposed ? p->k : p->n, panel);
}

static void multiply(work *w, size_t at, size_t end, size_t e, size_t depth) {
    const gemm_problem *p = w->p;
    gemm_tile t = { .k = depth, .c_stride = p->c_stride, .add = p->accumulate || e > 0, .ahead = w->ahead,
                    .alpha = sum_factor(&p->a) * sum_factor(&p->b) };
    const char *const panels = panels_of(w, e);
    for (size_t first = 0; first < w->row_panels; first += w->r.near_a) {
        const char *panel = w->scratch + w->r.columns;
        const size_t stop = least(first + w->r.near_a, w->row_panels);
        for (size_t j = at; j < end; j += w->k->columns, panel += w->r.panel_b)
            for (size_t i = first; i < stop; i++) {
                const size_t from = w->panel_row[i];
                t.a = panels + i * w->r.panel_a, t.b = panel;
                t.rows = w->panel_row[i + 1] - from, t.columns = least(end - j, w->k->columns);
                t.c = p->c + (w->row + from) * p->c_stride + j;
                t.next = i + 1 < stop ? t.c + t.rows * p->c_stride : t.c;
                w->k->tile(&t);
            }
    }
}

/* Prepares for asking for lines [at, at + width), elements [e, e + depth) of an operand, while `tiles` tiles with `now`
 * elements of k are multiplied. */
static void look_ahead(gemm_ahead *a, const gemm_operand *o, bool along, size_t at, size_t width, size_t e,
                       size_t depth, size_t tiles, size_t now) {
    const size_t block = tola_dtype_block_elements(o->dtype), block_bytes = tola_dtype_block_bytes(o->dtype);
    const size_t row = along ? at : e, col = along ? e : at, cols = along ? depth : width;
    const uintptr_t from = (uintptr_t)o->data + row * o->row_bytes + col / block * block_bytes;
    a->each = 0;
    a->rows = along ? width : depth;
    if (a->rows == 0 || cols == 0) return;
    a->at = (const char *)(from / 64 * 64);
    a->row_lines = a->left = parts_of(from % 64 + parts_of(cols, block) * block_bytes, 64);
    a->skip = o->row_bytes - 64 * a->row_lines;
    a->each = parts_of(a->rows * a->row_lines, tiles * (now / GEMM_CHUNK + 1));
}

/* A step of a task: columns [at, end) of C, elements [e, e + depth) of k. */
typedef struct stride {
    size_t at, end, e, depth;
} stride;

/* The task's step number i: all of k for some columns where A's panels are kept, else all columns for some of k. */
static stride stride_of(const work *w, size_t i) {
    const size_t wide = w->r.near_b * w->k->columns, deep = GEMM_DEPTH * w->k->unit;
    const size_t groups = parts_of(w->col_end - w->col, wide), blocks = parts_of(w->p->k, deep);
    const size_t group = w->r.blocks > 1 ? i / blocks : i % groups, block = w->r.blocks > 1 ? i % blocks : i / groups;
    stride s = { .at = w->col + group * wide, .e = block * deep };
    s.end = least(s.at + wide, w->col_end);
    s.depth = least(w->p->k - s.e, deep);
    return s;
}

static void run_steps(work *w) {
    const gemm_problem *p = w->p;
    const size_t wide = w->r.near_b * w->k->columns, deep = GEMM_DEPTH * w->k->unit;
    const size_t groups = parts_of(w->col_end - w->col, wide), steps = groups * parts_of(p->k, deep);
    for (size_t i = 0; i < steps; i++) {
        const stride s = stride_of(w, i);
        const size_t tiles = w->row_panels * parts_of(s.end - s.at, w->k->columns), e_next = s.e + s.depth;
        if (s.at == w->col) {
            w->a.rows = w->b.rows = 0; /* they share the room */
            pack_rows(w, s.e, s.depth);
            look_ahead(&w->ahead[0], &p->a, !p->a.transposed, w->row, w->rows, e_next, least(p->k - e_next, deep),
                       w->r.blocks > 1 ? tiles : groups * tiles, s.depth);
        }
        pack_columns(w, s.at, s.end, s.e, s.depth);
        w->ahead[1].each = 0;
        if (i + 1 < steps) {
            const stride next = stride_of(w, i + 1);
            look_ahead(&w->ahead[1], &p->b, p->b.transposed, next.at, next.end - next.at, next.e, next.depth, tiles,
                       s.depth);
        }
        multiply(w, s.at, s.end, s.e, s.depth);
    }
}

void gemm_run(const gemm_problem *p, unsigned threads, size_t task, void *scratch) {
    const cut c = cut_of(p, threads);
    const size_t part = task / c.column_parts, place = task % c.column_parts, steps = parts_of(p->n, c.column_step);
    work w;
    w.p = p, w.k = c.kernel, w.r = rooms_of(p, &c), w.scratch = scratch;
    w.row = part_start(p->m, c.row_parts, part);
    w.rows = part_start(p->m, c.row_parts, part + 1) - w.row;
    w.row_panels = parts_of(w.rows, w.k->rows);
    for (size_t i = 0, units = parts_of(w.rows, w.k->row_step); i <= w.row_panels; i++)
        w.panel_row[i] = (uint16_t)least(part_start(units, w.row_panels, i) * w.k->row_step, w.rows);
    w.col = part_start(steps, c.column_parts, place) * c.column_step;
    w.col_end = least(part_start(steps, c.column_parts, place + 1) * c.column_step, p->n);
    if (p->k == 0) {
        clear(&w);
        return;
    }
    float *const room = (float *)(void *)(w.scratch + w.r.room);
    w.a = (stage){ .o = &p->a, .direct = is_direct(&p->a, c.rounds), .rounds = c.rounds, .room = room };
    w.b = (stage){ .o = &p->b, .direct = is_direct(&p->b, c.rounds), .rounds = c.rounds, .room = room };
    if (w.k->begin) w.k->begin();
    run_steps(&w);
    if (w.k->end) w.k->end();
}
