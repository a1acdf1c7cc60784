/* Many tokens with AMX: block types by TDPBUSD and TDPBSSD, 32 tokens x 16 or 32 rows at a time.
 *
 * A unit is what four tiles of sums hold: of super-blocks, 32 tokens x 16 rows x a block, once for each of two digits
 * of scale x code (a digit is a byte: scale x code = low + 256 high); of small blocks, 32 tokens x 32 rows x a group,
 * four groups to a unit. Sums go through memory to the vector unit, which is as busy as the tiles: while the tiles of a
 * unit are multiplied, the sums of the one before are scaled and added up, a few tokens after every tile product, so
 * that both run at once.
 *
 * Tiles: Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 1, chapter 18. */
#include "kernels/matmul/panel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

enum { TOKENS = 32, GROUPS = 4 /* groups of small blocks in a unit */ };

/* Behind one another in a thread's scratch. */
typedef struct space {
    matmul_panel panel;                                      /* q: codes less their offset, or the low digits */
    _Alignas(64) int8_t high[PANEL_STEP / 4][PANEL_STRIPS][64];
    _Alignas(64) int32_t sums[2][16][16][16];                /* of two units: [tile][token][row] */
} space;

/* What is done with the sums of a unit when its tiles are done; all pointers are at the next token. */
typedef struct rest {
    const int32_t *sums; /* [tile][token][row]: two tiles are 32 tokens */
    size_t left;         /* tokens */
    size_t across, strip, group, groups;
    const float *d, *d_sums; /* d_across, d_sums and pairs */
    const int32_t *pairs;
    float *acc, *y; /* the strip's first row; y is NULL until the last step */
    size_t y_stride;
    __mmask16 some[2];
} rest;

typedef struct shape {
    bool super, minima, two_digits;
    size_t size; /* of groups */
} shape;

/* The tile palette: 0-3 sums, 4-5 activations (tokens rows of `k` bytes), 6-7 weights (k / 4 rows). */
typedef struct palette {
    _Alignas(64) uint8_t id;
    uint8_t start, zero[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} palette;
_Static_assert(sizeof(palette) == 64, "as the processor reads it");

/* gcc's tile intrinsics do not say that they read memory: what they read must have been written before this. */
ALWAYS void settle(void) {
    __asm__ volatile("" ::: "memory");
}

static void configure(size_t tokens, size_t k) {
    palette p;
    memset(&p, 0, sizeof p);
    p.id = 1;
    for (int i = 0; i < 8; i++) {
        size_t second = tokens > 16 ? tokens - 16 : 1; /* rows of the tiles of the second 16 tokens */
        bool of_second = i == 1 || i == 3 || i == 5;
        size_t rows = i >= 6 ? k / 4 : of_second ? second : tokens < 16 ? tokens : 16;
        p.rows[i] = (uint8_t)rows;
        p.bytes[i] = (uint16_t)(i == 4 || i == 5 ? k : 64);
    }
    __asm__ volatile("" : : "r"(&p) : "memory"); /* as settle() */
    _tile_loadconfig(&p);
}

/* ---- after the tiles ---- */

ALWAYS void put(const rest *r, size_t strip, __m512 acc) {
    if (r->y) _mm512_mask_storeu_ps(r->y + 16 * strip, r->some[strip], acc);
    else _mm512_store_ps(r->acc + 16 * strip, acc);
}

ALWAYS void rest_of_super(const rest *r, const matmul_panel *w, shape s) {
    const size_t row = 16 * r->strip;
    __m512i sum = _mm512_load_si512(r->sums);
    if (s.two_digits) sum = _mm512_add_epi32(sum, _mm512_slli_epi32(_mm512_load_si512(r->sums + 512), 8));
    __m512 acc = _mm512_load_ps(r->acc), dx = _mm512_set1_ps(*r->d);
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(_mm512_load_ps(w->d[0] + row), dx), acc);
    if (s.minima) {
        __m512i all = _mm512_setzero_si512();
        for (size_t j = 0; j < PANEL_STEP / s.size / 2; j++)
            all = _mm512_dpwssd_epi32(all, _mm512_load_si512(w->m[j] + row),
                                      _mm512_set1_epi32(r->pairs[j * r->across]));
        acc = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(all), _mm512_mul_ps(_mm512_load_ps(w->min[0] + row), dx), acc);
    }
    put(r, 0, acc);
}

ALWAYS void rest_of_small(const rest *r, const matmul_panel *w, shape s, size_t groups) {
    const size_t row = 16 * r->strip;
    __m512 acc[2];
    for (size_t i = 0; i < 2; i++) acc[i] = _mm512_load_ps(r->acc + 16 * i);
    for (size_t g = 0; g < groups; g++) {
        const size_t at = (s.size == 32 ? g : g / 2) * r->across;
        const float *d = w->d[r->group + g] + row;
        __m512 dx = _mm512_set1_ps(r->d[at]);
        for (size_t i = 0; i < 2; i++) {
            __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(r->sums + 1024 * g + 512 * i));
            acc[i] = _mm512_fmadd_ps(sum, _mm512_mul_ps(_mm512_load_ps(d + 16 * i), dx), acc[i]);
            if (s.minima)
                acc[i] = _mm512_fmadd_ps(_mm512_load_ps(w->min[r->group + g] + row + 16 * i),
                                         _mm512_set1_ps(r->d_sums[at]), acc[i]);
        }
    }
    for (size_t i = 0; i < 2; i++) put(r, i, acc[i]);
}

/* The next two of at most 32 tokens. */
ALWAYS void part_of_rest(rest *r, const matmul_panel *w, shape s) {
    for (int i = 0; i < 2 && r->left > 0; i++, r->left--) {
        if (s.super) rest_of_super(r, w, s);
        else if (r->groups == GROUPS) rest_of_small(r, w, s, GROUPS);
        else rest_of_small(r, w, s, r->groups);
        r->sums += 16;
        r->d++;
        if (s.minima && s.super) r->pairs++;
        if (s.minima && !s.super) r->d_sums++;
        r->acc += PANEL_ROWS;
        if (r->y) r->y += r->y_stride;
    }
}

static void ask_for_y(const rest *r, size_t lines) {
    for (size_t t = 0; r->y && t < r->left; t++)
        for (size_t i = 0; i < lines; i++) __builtin_prefetch(r->y + t * r->y_stride + 16 * i, 1);
}

/* ---- the tiles ---- */

/* A block of 32 tokens x a strip: 16 tile products. x: activations, `stride` from token to token; `second`: there are
 * more than 16 tokens. */
ALWAYS void unit_of_super(space *sp, const int8_t *x, size_t stride, size_t strip, size_t n, bool second,
                          shape s, int32_t (*sums)[16][16], rest *before) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t k = 0; k < n / 64; k++) {
        _tile_loadd(4, x + 64 * k, stride);
        _tile_loadd(6, sp->panel.q[16 * k][strip], PANEL_STRIPS * 64);
        if (s.two_digits) _tile_dpbsud(0, 4, 6);
        else _tile_dpbssd(0, 4, 6);
        part_of_rest(before, &sp->panel, s);
        if (second) {
            _tile_loadd(5, x + 16 * stride + 64 * k, stride);
            if (s.two_digits) _tile_dpbsud(1, 5, 6);
            else _tile_dpbssd(1, 5, 6);
        }
        part_of_rest(before, &sp->panel, s);
        if (s.two_digits) {
            _tile_loadd(7, sp->high[16 * k][strip], PANEL_STRIPS * 64);
            _tile_dpbssd(2, 4, 7);
        }
        part_of_rest(before, &sp->panel, s);
        if (s.two_digits && second) _tile_dpbssd(3, 5, 7);
        part_of_rest(before, &sp->panel, s);
    }
    while (before->left > 0) part_of_rest(before, &sp->panel, s);
    _tile_stored(0, sums[0], 64);
    _tile_stored(1, sums[1], 64);
    if (!s.two_digits) return;
    _tile_stored(2, sums[2], 64);
    _tile_stored(3, sums[3], 64);
}

/* A few groups of 32 tokens x two strips: four tile products each. */
ALWAYS void unit_of_small(space *sp, const int8_t *x, size_t stride, size_t strip, size_t group, size_t groups,
                          bool second, shape s, int32_t (*sums)[16][16], rest *before) {
    for (size_t g = 0; g < groups; g++, sums += 4) {
        const uint8_t *w = sp->panel.q[(group + g) * s.size / 4][strip];
        const int8_t *q = x + (group + g) * s.size;
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        _tile_loadd(4, q, stride);
        _tile_loadd(6, w, PANEL_STRIPS * 64);
        _tile_dpbssd(0, 4, 6);
        part_of_rest(before, &sp->panel, s);
        if (second) {
            _tile_loadd(5, q + 16 * stride, stride);
            _tile_dpbssd(1, 5, 6);
        }
        part_of_rest(before, &sp->panel, s);
        _tile_loadd(7, w + 64, PANEL_STRIPS * 64);
        _tile_dpbssd(2, 4, 7);
        part_of_rest(before, &sp->panel, s);
        if (second) _tile_dpbssd(3, 5, 7);
        part_of_rest(before, &sp->panel, s);
        _tile_stored(0, sums[0], 64);
        _tile_stored(1, sums[1], 64);
        _tile_stored(2, sums[2], 64);
        _tile_stored(3, sums[3], 64);
    }
    while (before->left > 0) part_of_rest(before, &sp->panel, s);
}

/* ---- codes as the tiles want them ---- */

/* Less their offset, in place: signed. */
static void make_signed(matmul_panel *p, size_t n, size_t strips, int offset) {
    const __m512i less = _mm512_set1_epi8((char)offset);
    for (size_t i = 0; i < n / 4; i++)
        for (size_t s = 0; s < strips; s++)
            _mm512_store_si512(p->q[i][s], _mm512_sub_epi8(_mm512_load_si512(p->q[i][s]), less));
}

/* Scale x code in one signed byte, or as low + 256 high. */
ALWAYS void make_digits(space *sp, size_t n, size_t strips, size_t size, int offset, bool two) {
    const __m512i even_bytes = _mm512_set1_epi16(0xff);
    for (size_t g = 0; g < n / size; g++)
        for (size_t s = 0; s < strips; s++) {
            __m512i sc = _mm512_load_si512(sp->panel.sc[g] + 16 * s);
            sc = _mm512_mask_blend_epi16(0xaaaaaaaa, sc, _mm512_slli_epi32(sc, 16));
            const __m512i less = _mm512_mullo_epi16(sc, _mm512_set1_epi16((short)offset));
            for (size_t i = g * size / 4; i < (g + 1) * size / 4; i++) {
                __m512i v = _mm512_load_si512(sp->panel.q[i][s]);
                __m512i even = _mm512_mullo_epi16(_mm512_and_si512(v, even_bytes), sc);
                __m512i odd = _mm512_mullo_epi16(_mm512_srli_epi16(v, 8), sc);
                even = _mm512_sub_epi16(even, less);
                odd = _mm512_sub_epi16(odd, less);
                __m512i low = _mm512_or_si512(_mm512_and_si512(even, even_bytes), _mm512_slli_epi16(odd, 8));
                _mm512_store_si512(sp->panel.q[i][s], low);
                if (!two) continue;
                __m512i high = _mm512_or_si512(_mm512_srli_epi16(even, 8), _mm512_andnot_si512(even_bytes, odd));
                _mm512_store_si512(sp->high[i][s], high);
            }
        }
}

static void make_two_digits(space *sp, const matmul_type *type, size_t n, size_t strips) {
    if (type->group == 16) make_digits(sp, n, strips, 16, type->offset, true);
    else make_digits(sp, n, strips, 32, type->offset, true);
}

static void make_one_digit(space *sp, const matmul_type *type, size_t n, size_t strips) {
    make_digits(sp, n, strips, type->group, type->offset, false);
}

/* ---- a step of a panel with all tokens ---- */

typedef struct step {
    const matmul_acts *x;
    space *sp;
    size_t at, n, n_rows; /* elements [at, at + n) */
    float *acc, *y;       /* of the panel's first row; y is NULL until the last step */
    size_t y_stride;
} step;

static __mmask16 rows_left(size_t count, size_t at) {
    size_t n = count > at ? count - at : 0;
    return n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff;
}

ALWAYS rest rest_of(const step *p, shape s, size_t token, size_t tokens, size_t strip, size_t group, size_t groups) {
    const matmul_acts *x = p->x;
    const size_t at = p->at + group * s.size;
    rest r = { .left = tokens, .across = x->across, .strip = strip, .group = group, .groups = groups };
    r.d = x->d_across + at / x->d_block * x->across + token;
    if (s.minima && s.super) r.pairs = x->pairs + at / s.size / 2 * x->across + token;
    if (s.minima && !s.super) r.d_sums = x->d_sums + at / 32 * x->across + token;
    r.acc = p->acc + token * PANEL_ROWS + 16 * strip;
    if (p->y && group + groups == p->n / s.size) r.y = p->y + token * p->y_stride + 16 * strip;
    r.y_stride = p->y_stride;
    r.some[0] = rows_left(p->n_rows, 16 * strip);
    r.some[1] = rows_left(p->n_rows, 16 * strip + 16);
    return r;
}

ALWAYS void multiply(const step *p, shape s) {
    const size_t k = s.super ? 64 : s.size, tokens = p->x->tokens, stride = p->x->q_stride;
    const size_t all_groups = p->n / s.size, strips = s.super ? 1 : 2, most = s.super ? all_groups : GROUPS;
    rest before = { .left = 0 };
    bool which = false;
    for (size_t token = 0; token < tokens; token += TOKENS) {
        const size_t n = tokens - token < TOKENS ? tokens - token : TOKENS;
        if (token == 0 || n < TOKENS) configure(n, k);
        const int8_t *x = p->x->q + token * stride + p->at;
        for (size_t strip = 0; 16 * strip < p->n_rows; strip += strips)
            for (size_t group = 0; group < all_groups; group += most) {
                size_t groups = all_groups - group < most ? all_groups - group : most;
                rest now = rest_of(p, s, token, n, strip, group, groups);
                ask_for_y(&now, strips);
                int32_t (*sums)[16][16] = p->sp->sums[which];
                if (s.super) unit_of_super(p->sp, x, stride, strip, p->n, n > 16, s, sums, &before);
                else unit_of_small(p->sp, x, stride, strip, group, groups, n > 16, s, sums, &before);
                now.sums = sums[0][0];
                before = now;
                which = !which;
            }
    }
    while (before.left > 0) part_of_rest(&before, &p->sp->panel, s);
    _tile_release();
}

static void small_16(const step *p) { multiply(p, (shape){ .size = 16 }); }
static void small_32(const step *p) { multiply(p, (shape){ .size = 32 }); }
static void small_32_minima(const step *p) { multiply(p, (shape){ .size = 32, .minima = true }); }
static void super_one(const step *p) { multiply(p, (shape){ .super = true, .size = 32 }); }
static void super_one_minima(const step *p) { multiply(p, (shape){ .super = true, .size = 16, .minima = true }); }
static void super_two(const step *p) { multiply(p, (shape){ .super = true, .size = 32, .two_digits = true }); }
static void super_two_minima(const step *p) {
    multiply(p, (shape){ .super = true, .size = 32, .two_digits = true, .minima = true });
}

/* How scale x code of a type fits into bytes: q2_k up to 45, where scales are one the codes themselves. */
typedef struct way {
    void (*multiply)(const step *p);
    void (*digits)(space *sp, const matmul_type *type, size_t n, size_t strips); /* NULL: make_signed */
} way;

static way way_of(tola_dtype weights) {
    const matmul_type *type = matmul_type_get(weights);
    switch (weights) {
    case TOLA_DTYPE_Q1_0:
    case TOLA_DTYPE_Q8_K:
    case TOLA_DTYPE_TQ1_0:
    case TOLA_DTYPE_TQ2_0: return (way){ super_one, NULL };
    case TOLA_DTYPE_Q2_K: return (way){ super_one_minima, make_one_digit };
    default: break;
    }
    if (type->kind == MATMUL_SUPER) return (way){ type->minima ? super_two_minima : super_two, make_two_digits };
    return (way){ type->minima ? small_32_minima : type->group == 16 ? small_16 : small_32, NULL };
}

static size_t scratch_bytes(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k;
    return sizeof(space) + (tokens + TOKENS) * PANEL_ROWS * sizeof(float);
}

static void rows(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                 size_t y_stride, size_t count, void *scratch) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t length = panel_step(weights), length_bytes = length / tola_dtype_block_elements(weights) *
                                                              (size_t)tola_dtype_block_bytes(weights);
    const way use = way_of(weights);
    step p = { .x = x, .sp = scratch, .acc = (float *)((space *)scratch + 1), .y_stride = y_stride };
    for (size_t first = 0; first < count; first += PANEL_ROWS) {
        p.n_rows = count - first < PANEL_ROWS ? count - first : PANEL_ROWS;
        const size_t strips = (p.n_rows + 15) / 16;
        memset(p.acc, 0, x->tokens * PANEL_ROWS * sizeof *p.acc);
        for (p.at = 0; p.at < x->k; p.at += length) {
            p.n = x->k - p.at < length ? x->k - p.at : length;
            p.y = p.at + p.n == x->k ? y + first : NULL;
            matmul_panel_unpack_avx512(weights, w + first * row_bytes + p.at / length * length_bytes, row_bytes,
                                       p.n_rows, p.n, &p.sp->panel);
            if (use.digits) use.digits(p.sp, type, p.n, strips);
            else if (type->offset) make_signed(&p.sp->panel, p.n, strips, type->offset);
            settle();
            use.multiply(&p);
        }
    }
}

const matmul_tile matmul_tile_amx = { scratch_bytes, rows, 0 };
#endif
