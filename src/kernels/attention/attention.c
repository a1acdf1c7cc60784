/* Pages of attention: how keys and values lie in them, the plain C definition (attention_body.h one float at a time)
 * and the choice of instruction set.
 *
 *   keys      f32 f16 bf16   [dim][64]
 *             q8_0           dim / 32 blocks of { f16 scale[64], i8 code[32][64] }
 *             q4_0           dim / 32 blocks of { f16 scale[64], u8 codes[16][64] }: codes of dimensions r (low half)
 *                            and r + 16 of the block
 *   values    f32 f16 bf16   panels of 64 dimensions and what is left: [64][width] each
 *             q8_0 q4_0      as keys, but codes [64][32] and [64][16] */
#define ATTENTION_TABLE attention_scalar
#include "kernels/attention/attention_body.h"
#include "base/cpu.h"
#include "kernels/cast/cast.h"
#include "kernels/quantize/quantize.h"
#include "kernels/rows/rows.h"

enum { MOST_DIM = 65536, GROUP = 32, MOST_BLOCK = 34 };

static bool is_blocks(tola_dtype type) { return type == TOLA_DTYPE_Q8_0 || type == TOLA_DTYPE_Q4_0; }

static bool is_float(tola_dtype type) {
    return type == TOLA_DTYPE_F32 || type == TOLA_DTYPE_F16 || type == TOLA_DTYPE_BF16;
}

size_t attention_bytes(tola_dtype type, size_t dim) {
    if (dim == 0 || dim > MOST_DIM) return 0;
    if (is_float(type)) return PAGE * dim * tola_dtype_block_bytes(type);
    if (is_blocks(type) && dim % GROUP == 0) return PAGE * (dim / GROUP) * tola_dtype_block_bytes(type);
    return 0;
}

/* ---- putting ---- */

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static void from_floats(tola_dtype type, const float *x, uint8_t *out, size_t n) {
    switch (type) {
    case TOLA_DTYPE_F32: memcpy(out, x, n * sizeof *x); break;
    case TOLA_DTYPE_F16: cast_get()->f32_to_f16(x, out, n, false); break;
    default: cast_get()->f32_to_bf16(x, out, n, false);
    }
}

/* 32 numbers as a block of a file. */
static void put_block(tola_dtype type, uint8_t *block, const float *x) {
    const float most = 65504.0f * (type == TOLA_DTYPE_Q8_0 ? 127 : 8); /* the largest scale that f16 holds */
    bool fits = true;
    for (int i = 0; i < GROUP; i++) fits = fits && fabsf(x[i]) <= most;
    if (fits) {
        quantize_get(type)(x, block, GROUP, NULL);
        return;
    }
    memset(block, 0, tola_dtype_block_bytes(type));
    block[1] = 0x7e;
}

/* One slot of blocks of 32: code i of it lies i * step after its first. */
static void put_blocks(tola_dtype type, size_t dim, uint8_t *p, size_t slot, const float *x, bool keys) {
    const size_t codes = tola_dtype_block_bytes(type) - 2, step = keys ? PAGE : 1, first = keys ? slot : slot * codes;
    for (size_t d = 0; d < dim; d += GROUP, p += PAGE * (2 + codes)) {
        uint8_t block[MOST_BLOCK];
        put_block(type, block, x + d);
        memcpy(p + 2 * slot, block, 2);
        for (size_t i = 0; i < codes; i++) p[2 * PAGE + first + i * step] = block[2 + i];
    }
}

/* The first `width` columns of `count` rows, at most PAGE each, as elements of the type side by side: conversions are
 * quicker in long runs. */
static void gather(tola_dtype type, const float *x, size_t stride, size_t count, size_t width, uint8_t *out) {
    float rows[PAGE * PAGE];
    for (size_t j = 0; j < count; j++) memcpy(rows + j * width, x + j * stride, width * sizeof *x);
    from_floats(type, rows, out, count * width);
}

void attention_put_values(tola_dtype type, size_t dim, void *page, size_t slot, size_t count, const float *values,
                          size_t stride) {
    if (is_blocks(type)) {
        for (size_t j = 0; j < count; j++) put_blocks(type, dim, page, slot + j, values + j * stride, false);
        return;
    }
    for (size_t first = 0; first < dim; first += PAGE) {
        const size_t width = dim - first < PAGE ? dim - first : PAGE;
        uint8_t *to = (uint8_t *)page + (PAGE * first + slot * width) * tola_dtype_block_bytes(type);
        gather(type, values + first, stride, count, width, to);
    }
}

/* `count` rows of `width` elements of so many bytes become columns of rows of PAGE. */
INLINE void turn_over(const uint8_t *from, uint8_t *to, size_t count, size_t width, size_t bytes) {
    for (size_t d = 0; d < width; d++)
        for (size_t j = 0; j < count; j++) memcpy(to + (d * PAGE + j) * bytes, from + (j * width + d) * bytes, bytes);
}

void attention_put_keys(tola_dtype type, size_t dim, void *page, size_t slot, size_t count, const float *keys,
                        size_t stride) {
    if (is_blocks(type)) {
        for (size_t j = 0; j < count; j++) put_blocks(type, dim, page, slot + j, keys + j * stride, true);
        return;
    }
    const size_t bytes = tola_dtype_block_bytes(type);
    uint8_t room[PAGE * PAGE * sizeof(float)];
    for (size_t first = 0; first < dim; first += PAGE) {
        const size_t width = dim - first < PAGE ? dim - first : PAGE;
        uint8_t *to = (uint8_t *)page + (first * PAGE + slot) * bytes;
        gather(type, keys + first, stride, count, width, room);
        if (bytes == 2)
            turn_over(room, to, count, width, 2);
        else
            turn_over(room, to, count, width, 4);
    }
}

/* ---- are they finite ---- */

static bool half_finite(const uint8_t *p) { return (get16(p) & 0x7c00) != 0x7c00; }

static bool floats_finite(tola_dtype type, size_t n, const uint8_t *p) {
    for (size_t i = 0; i < n; i++) {
        if (type == TOLA_DTYPE_F16 && !half_finite(p + 2 * i)) return false;
        if (type == TOLA_DTYPE_BF16 && (get16(p + 2 * i) & 0x7f80) == 0x7f80) return false;
        if (type == TOLA_DTYPE_F32 && (get16(p + 4 * i + 2) & 0x7f80) == 0x7f80) return false;
    }
    return true;
}

bool attention_finite(tola_dtype type, size_t dim, const void *page) {
    const uint8_t *p = page;
    if (!is_blocks(type)) return floats_finite(type, dim * PAGE, p);
    for (size_t d = 0; d < dim; d += GROUP, p += PAGE * tola_dtype_block_bytes(type))
        if (!floats_finite(TOLA_DTYPE_F16, PAGE, p)) return false;
    return true;
}

/* ---- the state and the scratch ---- */

static size_t columns_of(const attention_head *h) { return up16(h->value_dim); }

/* ---- choice ---- */

static const attention_set *set_here(void) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return cpu_get()->amx_bf16 && cpu_allow_amx() ? &attention_amx : &attention_avx512;
    case CPU_AVX2: return &attention_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return &attention_neon;
#endif
    default: return &attention_scalar;
    }
}

size_t attention_room(const attention_head *h, size_t n) {
    const size_t queries = (h->key_dim + 31) / 32 * 32; /* a float, or two bf16, a number */
    return up16(n) * (2 + queries + columns_of(h));
}

attention_state attention_begin_by(const attention_set *set, const attention_head *h, const attention_queries *q,
                                   float *room) {
    const size_t rows = up16(q->n);
    attention_state s = { .n = q->n, .rows = rows, .m = room, .l = room + rows, .o = room + 2 * rows };
    float *const queries = s.o + rows * columns_of(h);
    for (size_t i = 0; i < rows; i++) s.m[i] = -INFINITY;
    memset(s.l, 0, rows * sizeof *s.l);
    memset(s.o, 0, rows * columns_of(h) * sizeof *s.o);
    if (set->tile_page && h->key_type != TOLA_DTYPE_F32 && h->value_type != TOLA_DTYPE_F32) {
        s.tiles = (uint16_t *)queries;
        set->tile_queries(q, h->key_dim, s.tiles);
        return s;
    }
    s.q = queries;
    for (size_t i = 0; i < q->n; i++)
        rows_get()->scale(q->scale, q->x + i / q->heads * q->stride + i % q->heads * h->key_dim, s.q + i * h->key_dim,
                          h->key_dim);
    return s;
}

attention_state attention_begin(const attention_head *h, const attention_queries *q, float *room) {
    return attention_begin_by(set_here(), h, q, room);
}

size_t attention_scratch(const attention_head *h, size_t n) {
    const attention_set *set = set_here();
    const size_t floats = PAGE * PAGE + n * PAGE + up16(n);
    const size_t tiles = set->tile_scratch ? set->tile_scratch(h) / sizeof(float) : 0;
    return floats > tiles ? floats : tiles;
}

/* n numbers of a floating-point type. */
static void to_floats(tola_dtype type, const void *from, float *to, size_t n) {
    switch (type) {
    case TOLA_DTYPE_F32: memcpy(to, from, n * sizeof *to); break;
    case TOLA_DTYPE_F16: cast_get()->f16_to_f32(from, to, n, false); break;
    default: cast_get()->bf16_to_f32(from, to, n, false);
    }
}

/* Parts of a page are turned into floats in one small place, which stays in the first cache: 64 dimensions of the keys,
 * then a panel of the values. Floats are taken where they lie. */
typedef struct part {
    size_t first, count;  /* dimensions */
    size_t offset, bytes; /* in the page's keys or values */
} part;

static bool next_part(tola_dtype type, size_t dim, size_t most, part *p) {
    p->first += p->count;
    p->offset += p->bytes;
    p->count = dim - p->first < most ? dim - p->first : most;
    p->bytes = attention_bytes(type, p->count);
    return p->count > 0;
}

const float *attention_keys_floats(const attention_set *set, tola_dtype type, const void *from, size_t dim,
                                   float *room) {
    switch (type) {
    case TOLA_DTYPE_F32: return from;
    case TOLA_DTYPE_Q8_0: set->q8_0_keys(from, room, dim); break;
    case TOLA_DTYPE_Q4_0: set->q4_0_keys(from, room, dim); break;
    default: to_floats(type, from, room, PAGE * dim);
    }
    return room;
}

const float *attention_values_floats(const attention_set *set, tola_dtype type, const void *from, size_t dim,
                                     float *room) {
    const size_t width = up16(dim), bytes = dim * tola_dtype_block_bytes(type);
    if (width == dim) {
        switch (type) {
        case TOLA_DTYPE_F32: return from;
        case TOLA_DTYPE_Q8_0: set->q8_0_values(from, room, dim); break;
        case TOLA_DTYPE_Q4_0: set->q4_0_values(from, room, dim); break;
        default: to_floats(type, from, room, PAGE * dim);
        }
        return room;
    }
    for (size_t j = 0; j < PAGE; j++) {
        to_floats(type, (const uint8_t *)from + j * bytes, room + j * width, dim);
        memset(room + j * width + dim, 0, (width - dim) * sizeof *room);
    }
    return room;
}

void attention_page_by(const attention_set *set, const attention_head *h, const attention_pages *pages,
                       const uint8_t *first, const uint8_t *last, const attention_state *s, float *scratch) {
    size_t a = 0, n = s->n;
    while (a < n && first[a] == last[a]) a++;
    while (n > a && first[n - 1] == last[n - 1]) n--;
    if (a == n) return;
    if (s->tiles) {
        const attention_call all = { .n = s->n, .first = first, .last = last, .softcap = h->softcap, .m = s->m,
                                     .l = s->l, .o = s->o, .queries = s->rows, .tiles = s->tiles };
        set->tile_page(&all, h, pages, scratch);
        return;
    }
    float *const room = scratch, *const p = scratch + PAGE * PAGE;
    attention_call c = {
        .n = n - a,
        .first = first + a,
        .last = last + a,
        .softcap = h->softcap,
        .m = s->m + a,
        .l = s->l + a,
        .o = s->o,
        .queries = s->rows,
        .from = a,
        .p = p,
        .by = p + (n - a) * PAGE,
    };
    for (size_t i = 0; i < c.n; i++) c.by[i] = 1;
    const size_t most = h->key_type == TOLA_DTYPE_F32 ? h->key_dim : PAGE;
    for (part k = { 0 }; next_part(h->key_type, h->key_dim, most, &k);) {
        const uint8_t *from = (const uint8_t *)pages->keys + k.offset;
        const float *keys = attention_keys_floats(set, h->key_type, from, k.count, room);
        c.ahead = pages->next_keys ? (const uint8_t *)pages->next_keys + k.offset : NULL;
        c.ahead_bytes = k.bytes;
        set->scores(&c, s->q + a * h->key_dim + k.first, h->key_dim, keys, k.count, k.first == 0);
    }
    set->softmax(&c);
    for (part v = { 0 }; next_part(h->value_type, h->value_dim, PAGE, &v);) {
        const float *values =
            attention_values_floats(set, h->value_type, (const uint8_t *)pages->values + v.offset, v.count, room);
        c.ahead = pages->next_values ? (const uint8_t *)pages->next_values + v.offset : NULL;
        c.ahead_bytes = v.bytes;
        set->sums(&c, values, v.first / PAGE, up16(v.count));
    }
}

void attention_page(const attention_head *h, const attention_pages *pages, const uint8_t *first, const uint8_t *last,
                    const attention_state *s, float *scratch) {
    attention_page_by(set_here(), h, pages, first, last, s, scratch);
}

void attention_end_by(const attention_set *set, const attention_head *h, const attention_state *s, size_t from,
                      size_t n, const float *sink, float *y, size_t y_stride) {
    for (size_t i = 0; i < n; i++, y += y_stride) {
        float by[16] = { 0 }, l = s->l[from + i];
        const bool nothing = l == 0; /* the largest score of those seen weighs 1 */
        if (sink) {
            const float before = s->m[from + i], m = sink[i] > before ? sink[i] : before;
            by[0] = before - m;
            by[1] = sink[i] - m;
            set->weights(by, 16);
            l = l * by[0];
            l += by[1];
        } else {
            by[0] = 1;
        }
        for (size_t panel = 0; panel < h->value_dim; panel += PAGE) {
            const size_t left = h->value_dim - panel, width = left < PAGE ? left : PAGE;
            const float *o = s->o + panel * s->rows + (from + i) * (left < PAGE ? up16(left) : PAGE);
            if (nothing) memset(y + panel, 0, width * sizeof *y);
            else set->finish(o, by[0], l, y + panel, width);
        }
    }
}

void attention_end(const attention_head *h, const attention_state *s, size_t from, size_t n, const float *sink,
                   float *y, size_t y_stride) {
    attention_end_by(set_here(), h, s, from, n, sink, y, y_stride);
}
