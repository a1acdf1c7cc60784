/* General products: cutting into tasks, blocks and panels, turning operands into f32, the choice of instruction set. */
#include "kernels/gemm/gemm_kernels.h"

#include "base/cpu.h"
#include "kernels/cast/cast.h"
#include "kernels/dequantize/dequantize.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { GROUP = 256 /* elements: every block type's blocks divide it */ };

const gemm_kernel *gemm_kernel_get(gemm_precision precision, bool *rounds) {
    const cpu_features *cpu = cpu_get();
#if defined(__x86_64__)
    *rounds = false;
    if (precision == GEMM_BF16 && cpu->avx512_bf16)
        return cpu->amx_bf16 && cpu_allow_amx() ? &gemm_amx : &gemm_avx512bf16;
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

/* How long all tasks take on so many threads, in multiplications: packing an element is as long as eight of them. */
static double predicted(const gemm_problem *p, const cut *c, unsigned threads) {
    const double m = (double)parts_of(p->m, c->row_parts), steps = (double)parts_of(p->n, c->column_step);
    const double n = ceil(steps / (double)c->column_parts) * (double)c->column_step;
    const double rounds = (double)parts_of(c->row_parts * c->column_parts, threads);
    return rounds * (m * n + 8 * (m + n));
}

static cut cut_of(const gemm_problem *p, unsigned threads) {
    cut best = { .row_parts = 1, .column_parts = 1 };
    best.kernel = gemm_kernel_get(p->precision, &best.rounds);
    const gemm_kernel *k = best.kernel;
    best.column_step = b_in_groups(p) ? GROUP : k->columns;
    best.row_parts = p->m ? parts_of(p->m, k->most_rows) : 1;
    const double work = (double)p->m * (double)p->n * (double)p->k;
    if (threads == 1 || work < 0x1p17) return best;
    /* Several tasks for each thread where that costs little, so that a thread that is held up holds up nobody. */
    const size_t want = work < 0x1p24 ? threads : 4 * (size_t)threads, steps = parts_of(p->n, best.column_step);
    const size_t row_steps = parts_of(p->m, k->row_step);
    double least = INFINITY;
    cut c = best;
    for (size_t some = best.row_parts; some <= best.row_parts * want && some <= row_steps; some += best.row_parts) {
        c.row_parts = some;
        c.column_parts = parts_of(want, some);
        while (c.column_parts * some % threads != 0) c.column_parts++;
        if (c.column_parts > steps) c.column_parts = steps;
        const double time = predicted(p, &c, threads);
        if (time < least) least = time, best = c;
    }
    return best;
}

size_t gemm_tasks(const gemm_problem *p, unsigned threads) {
    if (p->m == 0 || p->n == 0) return 0;
    const cut c = cut_of(p, threads);
    return c.row_parts * c.column_parts;
}

typedef struct rooms {
    size_t a, b, stage_a, bytes; /* offsets of stages and panels in the scratch; A's panels begin it */
} rooms;

static size_t line_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

static rooms rooms_of(const gemm_problem *p, const cut *c) {
    const gemm_kernel *k = c->kernel;
    const size_t panels = parts_of(parts_of(p->m, c->row_parts), k->rows), depth = GEMM_DEPTH * k->unit;
    rooms r;
    r.b = line_up(panels * k->rows * GEMM_DEPTH * 4);
    r.stage_a = r.b + line_up(k->columns * GEMM_DEPTH * 4);
    r.a = r.stage_a;
    r.bytes = r.stage_a;
    const size_t a = stage_floats(&p->a, c->rounds, !p->a.transposed, k->rows, depth);
    const size_t b = stage_floats(&p->b, c->rounds, p->b.transposed, k->columns, depth);
    r.bytes += line_up((a > b ? a : b) * sizeof(float)); /* A's part is packed when B's is unpacked */
    return r;
}

size_t gemm_scratch_bytes(const gemm_problem *p, unsigned threads) {
    if (p->m == 0 || p->n == 0) return 0;
    const cut c = cut_of(p, threads);
    return rooms_of(p, &c).bytes;
}

/* What the scales leave to be done with the sums. */
static float sum_factor(const gemm_operand *o) { return o->round == TOLA_DTYPE_NONE ? o->scale : 1 / o->scale; }

static void clear(const gemm_problem *p, size_t row, size_t rows, size_t col, size_t cols) {
    if (p->accumulate) return;
    for (size_t r = row; r < row + rows; r++) memset(p->c + r * p->c_stride + col, 0, cols * sizeof *p->c);
}

/* Lines [at, at + width) of an operand, elements [e, e + depth) of each, packed. */
static void pack(stage *s, bool along, gemm_pack_fn pack_fn, size_t at, size_t width, size_t e, size_t depth,
                 size_t limit, void *panel) {
    size_t row_bytes;
    const char *src = along ? fetch(s, at, width, e, depth, limit, &row_bytes)
                            : fetch(s, e, depth, at, width, limit, &row_bytes);
    pack_fn(along, src, row_bytes, width, depth, panel);
}

void gemm_run(const gemm_problem *p, unsigned threads, size_t task, void *scratch) {
    const cut c = cut_of(p, threads);
    const gemm_kernel *k = c.kernel;
    const rooms r = rooms_of(p, &c);
    const size_t part = task / c.column_parts, steps = parts_of(p->n, c.column_step);
    const size_t row = part_start(p->m, c.row_parts, part), rows = part_start(p->m, c.row_parts, part + 1) - row;
    const size_t col = part_start(steps, c.column_parts, task % c.column_parts) * c.column_step;
    size_t col_end = part_start(steps, c.column_parts, task % c.column_parts + 1) * c.column_step;
    if (col_end > p->n) col_end = p->n;
    if (p->k == 0) {
        clear(p, row, rows, col, col_end - col);
        return;
    }
    char *const panels = scratch, *const panel_b = panels + r.b;
    float *const room = (float *)(void *)(panels + r.a);
    stage a = { .o = &p->a, .direct = is_direct(&p->a, c.rounds), .rounds = c.rounds, .room = room };
    stage b = { .o = &p->b, .direct = is_direct(&p->b, c.rounds), .rounds = c.rounds, .room = room };
    const size_t row_steps = parts_of(rows, k->row_step), row_panels = parts_of(rows, k->rows);
    gemm_tile t = { .c_stride = p->c_stride, .alpha = sum_factor(&p->a) * sum_factor(&p->b), .add = p->accumulate };
    if (k->begin) k->begin();
    for (size_t e = 0; e < p->k; e += t.k, t.add = true) {
        t.k = p->k - e < GEMM_DEPTH * k->unit ? p->k - e : GEMM_DEPTH * k->unit;
        size_t first = 0;
        a.rows = b.rows = 0; /* they share the room */
        for (size_t i = 0; i < row_panels; i++) {
            size_t end = part_start(row_steps, row_panels, i + 1) * k->row_step;
            if (end > rows) end = rows;
            pack(&a, !p->a.transposed, k->pack_a, row + first, end - first, e, t.k, p->a.transposed ? p->m : p->k,
                 panels + i * k->rows * GEMM_DEPTH * 4);
            first = end;
        }
        for (size_t at = col; at < col_end; at += k->columns) {
            t.columns = col_end - at < k->columns ? col_end - at : k->columns;
            pack(&b, p->b.transposed, k->pack_b, at, t.columns, e, t.k, p->b.transposed ? p->k : p->n, panel_b);
            t.b = panel_b;
            first = 0;
            for (size_t i = 0; i < row_panels; i++) {
                size_t end = part_start(row_steps, row_panels, i + 1) * k->row_step;
                if (end > rows) end = rows;
                t.a = panels + i * k->rows * GEMM_DEPTH * 4;
                t.rows = end - first;
                t.c = p->c + (row + first) * p->c_stride + at;
                k->tile(&t);
                first = end;
            }
        }
    }
    if (k->end) k->end();
}
