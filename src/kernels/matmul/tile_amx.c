/* Many tokens with AMX: block types by TDPBSSD and TDPBSUD.
 *
 * A unit is 16 tokens x a step of 32 rows of small blocks, or 32 tokens x a block of 32 rows of super-blocks, or of 16
 * rows, once for each of two digits of scale x code (a digit is a byte: scale x code = low + 256 high, low + 8 high):
 * sixteen tile products. Their sums go through memory to the vector unit, which scales and adds them up. What matters,
 * as measured on Sapphire Rapids:
 *   - Tiles and vectors of floats take turns, a unit each: while tile instructions are under way, the second of two
 *     units for vectors of floats rests.
 *   - A tile is stored two products after its last one. Right after it the store would wait for it and everything else
 *     for the store (29 instead of 18 cycles a product and store).
 *   - Sums stay in the first cache (58 instead of 15 cycles a store), so units are no larger than that. */
#include "kernels/matmul/panel.h"

#if defined(__x86_64__)
#include "kernels/tiles_amx.h"
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

enum { AT_ONCE = 4 /* tokens that are scaled */, FEW = 256 /* tokens whose activations are near anyway */ };
enum { LITTLE = 96 << 10 /* bytes of a panel that stay in the second cache until they are unpacked */ };

/* The tiles of a unit, as they are stored: [16 tokens][16 rows] each. Small blocks: two strips of each group.
 * Super-blocks: two times 16 tokens of the first strip or digit, then of the second. */
typedef int32_t tiles[32][16][16];

/* Behind one another in a thread's scratch. */
typedef struct space {
    matmul_panel panel; /* q: codes less their offset, or the low digits */
    _Alignas(64) uint8_t high[PANEL_STRIPS][PANEL_STEP / 4][64];
    _Alignas(64) tiles sums;
} space;

typedef struct shape {
    bool super, minima, two_digits;
    size_t size; /* of groups */
} shape;

/* The second digit counts 8 and is unsigned, else 256 and signed. */
ALWAYS bool eights(shape s) { return s.two_digits && s.minima; }

/* Tiles 0-3: sums, 4-5: activations (16 tokens x `k` bytes), 6-7: weights (k / 4 rows). */
static void configure(size_t k, size_t tokens, bool super) {
    tiles_palette p = { 0 };
    const size_t first = tokens < 16 ? tokens : 16, second = super && tokens > 16 && tokens < 32 ? tokens - 16 : first;
    for (int i = 0; i < 8; i++) {
        p.rows[i] = (uint8_t)(i >= 6 ? k / 4 : i % 2 == 0 ? first : second);
        p.bytes[i] = i == 4 || i == 5 ? (uint16_t)k : 64;
    }
    tiles_configure(&p);
}

/* ---- after the tiles ---- */

/* What is done with the sums of a unit when its tiles are done; all pointers are at the next token. */
typedef struct rest {
    const int32_t *sums; /* small: [group][2 strips][16 tokens][16 rows]; super: [2 strips or digits][32][16] */
    size_t left;         /* tokens */
    size_t groups, across;
    const float *d, *d_sums; /* d_across, d_sums and pairs */
    const int32_t *pairs;
    const float *d_w, *min_w; /* of the panel, at the strip and group */
    const int16_t *m_w;
    const float *from; /* of the first step: zeros */
    float *to;         /* of the last step: y */
    size_t from_stride, to_stride;
    __mmask16 some[2]; /* rows to store */
} rest;

/* The next n tokens, with strip v of the unit. n is AT_ONCE or one: what lies where there are no more tokens is
 * anything, and floats that are denormal take a hundred times as long. */
ALWAYS void scale_super(const rest *r, shape s, size_t v, size_t n) {
    const __m512 d_w = _mm512_load_ps(r->d_w + 16 * v);
    __m512 acc[AT_ONCE];
    for (size_t i = 0; i < n; i++) {
        __m512i sum = _mm512_load_si512(r->sums + 512 * v + 16 * i);
        const __m512i *second = (const __m512i *)(r->sums + 512 + 16 * i);
        if (s.two_digits) sum = _mm512_add_epi32(sum, _mm512_slli_epi32(_mm512_load_si512(second), eights(s) ? 3 : 8));
        acc[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d_w, _mm512_set1_ps(r->d[i])),
                                 _mm512_load_ps(r->from + i * r->from_stride + 16 * v));
    }
    if (s.minima) {
        const __m512 min = _mm512_load_ps(r->min_w + 16 * v);
        __m512i all[AT_ONCE];
        for (size_t i = 0; i < n; i++) all[i] = _mm512_setzero_si512();
        for (size_t j = 0; j < PANEL_STEP / s.size / 2; j++) {
            const __m512i m = _mm512_load_si512(r->m_w + 2 * PANEL_ROWS * j + 32 * v);
            for (size_t i = 0; i < n; i++)
                all[i] = _mm512_dpwssd_epi32(all[i], m, _mm512_set1_epi32(r->pairs[j * r->across + i]));
        }
        for (size_t i = 0; i < n; i++)
            acc[i] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(all[i]), _mm512_mul_ps(min, _mm512_set1_ps(r->d[i])), acc[i]);
    }
    for (size_t i = 0; i < n; i++) _mm512_mask_storeu_ps(r->to + i * r->to_stride + 16 * v, r->some[v], acc[i]);
}

ALWAYS void scale_small(const rest *r, shape s, size_t groups, size_t n) {
    __m512 acc[AT_ONCE][2];
    for (size_t i = 0; i < n; i++)
        for (size_t v = 0; v < 2; v++) acc[i][v] = _mm512_load_ps(r->from + i * r->from_stride + 16 * v);
    for (size_t g = 0; g < groups; g++) {
        const size_t at = (s.size == 32 ? g : g / 2) * r->across;
        const int32_t *sums = r->sums + 512 * g;
        for (size_t v = 0; v < 2; v++) {
            const __m512 d_w = _mm512_load_ps(r->d_w + PANEL_ROWS * g + 16 * v);
            for (size_t i = 0; i < n; i++)
                acc[i][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + 256 * v + 16 * i)),
                                            _mm512_mul_ps(d_w, _mm512_set1_ps(r->d[at + i])), acc[i][v]);
            if (!s.minima) continue;
            const __m512 min = _mm512_load_ps(r->min_w + PANEL_ROWS * g + 16 * v);
            for (size_t i = 0; i < n; i++)
                acc[i][v] = _mm512_fmadd_ps(min, _mm512_set1_ps(r->d_sums[at + i]), acc[i][v]);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t v = 0; v < 2; v++)
            _mm512_mask_storeu_ps(r->to + i * r->to_stride + 16 * v, r->some[v], acc[i][v]);
}

/* All tokens of a unit. */
ALWAYS void scale(rest r, shape s) {
    const size_t all = PANEL_STEP / s.size;
    while (r.left > 0) {
        const size_t n = r.left < AT_ONCE ? 1 : AT_ONCE;
        for (size_t v = 0; s.super && v < (s.two_digits ? 1 : 2); v++) {
            if (n == AT_ONCE) scale_super(&r, s, v, AT_ONCE);
            else scale_super(&r, s, v, 1);
        }
        if (!s.super && n == AT_ONCE && r.groups == all) scale_small(&r, s, all, AT_ONCE);
        else if (!s.super && n == AT_ONCE) scale_small(&r, s, r.groups, AT_ONCE);
        else if (!s.super) scale_small(&r, s, r.groups, 1);
        r.left -= n;
        r.sums += 16 * n;
        r.d += n;
        if (s.minima && s.super) r.pairs += n;
        if (s.minima && !s.super) r.d_sums += n;
        r.from += r.from_stride * n;
        r.to += r.to_stride * n;
    }
}

/* ---- the tiles ---- */

/* What a unit multiplies: activations as tiles, `next` bytes from 64 elements to the next 64, with two strips or digits
 * of weights. */
typedef struct unit {
    const int8_t *x;
    size_t next;
    const uint8_t (*w[2])[64];
    size_t n;    /* elements */
    bool second; /* there are more than 16 tokens */
} unit;

/* Two groups, each with both strips; the second group only if there is `another`. */
ALWAYS void two_groups(const unit *u, size_t k, size_t size, bool another, int32_t (*sums)[16][16]) {
    const int8_t *x = u->x + k / 64 * u->next + k % 64;
    _tile_zero(0);
    _tile_loadd(4, x, 64);
    _tile_loadd(6, u->w[0][k / 4], 64);
    _tile_dpbssd(0, 4, 6);
    if (k > 0) _tile_stored(2, sums[-2], 64);
    _tile_zero(1);
    _tile_loadd(7, u->w[1][k / 4], 64);
    _tile_dpbssd(1, 4, 7);
    if (k > 0) _tile_stored(3, sums[-1], 64);
    if (another) {
        _tile_zero(2);
        _tile_loadd(5, u->x + (k + size) / 64 * u->next + (k + size) % 64, 64);
        _tile_loadd(6, u->w[0][(k + size) / 4], 64);
        _tile_dpbssd(2, 5, 6);
    }
    _tile_stored(0, sums[0], 64);
    if (another) {
        _tile_zero(3);
        _tile_loadd(7, u->w[1][(k + size) / 4], 64);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_stored(1, sums[1], 64);
}

ALWAYS void multiply_small(const unit *u, size_t size, int32_t (*sums)[16][16]) {
    size_t k = 0;
    for (; k + size < u->n; k += 2 * size, sums += 4) two_groups(u, k, size, true, sums);
    if (k < u->n) {
        two_groups(u, k, size, false, sums);
    } else {
        _tile_stored(2, sums[-2], 64);
        _tile_stored(3, sums[-1], 64);
    }
}

ALWAYS void multiply_super(const unit *u, shape s, int32_t (*sums)[16][16]) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t k = 0; k < u->n; k += 64) {
        const int8_t *x = u->x + k / 64 * u->next;
        _tile_loadd(4, x, 64);
        _tile_loadd(6, u->w[0][k / 4], 64);
        if (s.two_digits) _tile_dpbsud(0, 4, 6);
        else _tile_dpbssd(0, 4, 6);
        if (u->second) {
            _tile_loadd(5, x + 1024, 64);
            if (s.two_digits) _tile_dpbsud(1, 5, 6);
            else _tile_dpbssd(1, 5, 6);
        }
        _tile_loadd(7, u->w[1][k / 4], 64);
        if (eights(s)) _tile_dpbsud(2, 4, 7);
        else _tile_dpbssd(2, 4, 7);
        if (k + 64 == u->n) _tile_stored(0, sums[0], 64);
        if (u->second && eights(s)) _tile_dpbsud(3, 5, 7);
        else if (u->second) _tile_dpbssd(3, 5, 7);
    }
    if (u->second) _tile_stored(1, sums[1], 64);
    _tile_stored(2, sums[2], 64);
    if (u->second) _tile_stored(3, sums[3], 64);
}

/* ---- codes as the tiles want them ---- */

/* Scale x code in one signed byte, or as low + 256 high. Codes are unsigned, scales signed bytes. */
ALWAYS void make_digits(space *sp, size_t s, size_t n, size_t size, int offset, bool two) {
    const __m512i even_bytes = _mm512_set1_epi16(0xff);
    enum { take = 0xca }; /* of the second where the first has ones, else of the third */
    for (size_t g = 0; g < n / size; g++) {
        __m512i sc = _mm512_load_si512(sp->panel.sc[g] + 16 * s);
        sc = _mm512_mask_blend_epi16(0xaaaaaaaa, sc, _mm512_slli_epi32(sc, 16));
        const __m512i less = _mm512_mullo_epi16(sc, _mm512_set1_epi16((short)offset));
        const __m512i of_even = _mm512_and_si512(sc, even_bytes), of_odd = _mm512_slli_epi16(sc, 8);
        for (size_t i = g * size / 4; i < (g + 1) * size / 4; i++) {
            const __m512i v = _mm512_load_si512(sp->panel.q[s][i]);
            __m512i even = _mm512_maddubs_epi16(v, of_even), odd = _mm512_maddubs_epi16(v, of_odd);
            if (offset) {
                even = _mm512_sub_epi16(even, less);
                odd = _mm512_sub_epi16(odd, less);
            }
            _mm512_store_si512(sp->panel.q[s][i],
                               _mm512_ternarylogic_epi64(even_bytes, even, _mm512_slli_epi16(odd, 8), take));
            if (!two) continue;
            _mm512_store_si512(sp->high[s][i],
                               _mm512_ternarylogic_epi64(even_bytes, _mm512_srli_epi16(even, 8), odd, take));
        }
    }
}

static void make_two_digits(space *sp, const matmul_type *type, size_t strip, size_t n) {
    if (type->group == 16) make_digits(sp, strip, n, 16, type->offset, true);
    else make_digits(sp, strip, n, 32, type->offset, true);
}

/* ---- a step of a panel with all tokens ---- */

typedef struct step {
    const matmul_acts *x;
    space *sp;
    size_t at, n, n_rows; /* elements [at, at + n) */
    float *acc, *y;       /* acc: [strips of a unit][tokens][their rows]; y is of the panel */
    size_t y_stride;
    size_t steps_left;    /* after this one */
    panel_ahead next_step, next_panel; /* the panel where it is not large, and for the first one the steps, too */
} step;

static const _Alignas(64) float zeros[32];

static __mmask16 rows_left(size_t count, size_t at) {
    size_t n = count > at ? count - at : 0;
    return n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff;
}

/* Of so many tokens from `token` on. */
ALWAYS rest rest_of(const step *p, shape s, size_t token, size_t tokens, size_t strip) {
    const matmul_acts *x = p->x;
    const matmul_panel *w = &p->sp->panel;
    const size_t at = p->at, wide = s.two_digits ? 16 : 32;
    rest r = { .sums = p->sp->sums[0][0], .left = tokens, .across = x->across, .groups = p->n / s.size };
    r.d = x->d_across + at / x->d_block * x->across + token;
    if (s.minima && s.super) r.pairs = x->pairs + at / s.size / 2 * x->across + token;
    if (s.minima && !s.super) r.d_sums = x->d_sums + at / 32 * x->across + token;
    r.d_w = w->d[0] + 16 * strip;
    if (s.minima) r.min_w = w->min[0] + 16 * strip;
    r.m_w = w->m[0][16 * strip];
    r.from = r.to = p->acc + strip * 16 * x->across + token * wide;
    r.from_stride = r.to_stride = wide;
    if (at == 0) r.from = zeros, r.from_stride = 0;
    if (p->steps_left == 0) r.to = p->y + token * p->y_stride + 16 * strip, r.to_stride = p->y_stride;
    r.some[0] = rows_left(p->n_rows, 16 * strip);
    r.some[1] = rows_left(p->n_rows, 16 * strip + 16);
    return r;
}

/* y of a unit, which is in no cache, each token in a page of its own. Of few tokens a step before it is stored; of many
 * a unit before, as it would be gone again. */
ALWAYS void ask_for_y(const step *p, size_t token, size_t tokens, size_t strip, size_t strips) {
    const bool many = p->x->tokens > FEW;
    if (p->steps_left != (many ? 0 : 1)) return;
    if (many) strip += strips;
    if (16 * strip >= p->n_rows) strip = 0, token += tokens;
    const float *y = p->y + token * p->y_stride + 16 * strip;
    for (size_t t = token; t < token + tokens && t < p->x->tokens; t++, y += p->y_stride)
        for (size_t i = 0; i < strips; i++) __builtin_prefetch(y + 16 * i, 1, 2);
}

/* Tiles of activations for the first cache, where those of a step do not stay in it: the share of unit `which` of so
 * many in those of the next tokens. */
ALWAYS void ask_for_tokens(const step *p, size_t token, size_t tokens, size_t which, size_t units) {
    const matmul_acts *x = p->x;
    if (x->tokens <= FEW || token + tokens >= x->tokens) return;
    const size_t share = (p->n / 64 + units - 1) / units;
    const int8_t *from = x->q_tiles + p->at * x->across + (token + tokens) * 64;
    for (size_t c = which * share; c < (which + 1) * share && 64 * c < p->n; c++)
        for (size_t i = 0; i < tokens; i++) __builtin_prefetch(from + 64 * (c * x->across + i), 0, 3);
}

static void ask_for_weights(step *p) {
    panel_ask(&p->next_step);
    panel_ask(&p->next_panel);
}

/* Tokens of a unit, and strips. */
ALWAYS size_t unit_tokens(bool super) { return super ? 32 : 16; }
ALWAYS size_t unit_strips(bool two_digits) { return two_digits ? 1 : 2; }

/* A step with all tokens: those of two strips, or one, before the next ones. */
ALWAYS void multiply(step *p, shape s) {
    const matmul_acts *x = p->x;
    const size_t most = unit_tokens(s.super), strips = unit_strips(s.two_digits);
    const size_t units = (p->n_rows + 16 * strips - 1) / (16 * strips); /* of the same tokens */
    for (size_t token = 0; token < x->tokens; token += most)
        for (size_t strip = 0; 16 * strip < p->n_rows; strip += strips) {
            const size_t n = x->tokens - token < most ? x->tokens - token : most;
            unit u = { .next = 64 * x->across, .second = n > 16, .n = p->n };
            u.x = x->q_tiles + p->at / 64 * u.next + token * 64;
            u.w[0] = (const uint8_t(*)[64])p->sp->panel.q[strip];
            u.w[1] = s.two_digits ? (const uint8_t(*)[64])p->sp->high[strip] :
                                    (const uint8_t(*)[64])p->sp->panel.q[strip + 1];
            const rest r = rest_of(p, s, token, n, strip);
            ask_for_y(p, token, most, strip, strips);
            ask_for_weights(p);
            if (s.super) multiply_super(&u, s, p->sp->sums);
            else multiply_small(&u, s.size, p->sp->sums);
            if (eights(s)) ask_for_weights(p);
            ask_for_tokens(p, token, most, strip / strips, units);
            scale(r, s);
        }
}

static void small_16(step *p) { multiply(p, (shape){ .size = 16 }); }
static void small_32(step *p) { multiply(p, (shape){ .size = 32 }); }
static void small_32_minima(step *p) { multiply(p, (shape){ .size = 32, .minima = true }); }
static void super_one(step *p) { multiply(p, (shape){ .super = true, .size = 32 }); }
static void super_one_minima(step *p) { multiply(p, (shape){ .super = true, .size = 16, .minima = true }); }
static void super_two(step *p) { multiply(p, (shape){ .super = true, .size = 32, .two_digits = true }); }
static void super_two_minima(step *p) {
    multiply(p, (shape){ .super = true, .size = 32, .two_digits = true, .minima = true });
}

/* How scale x code of a type fits into bytes: q2_k up to 45, where scales are one the codes themselves. */
typedef struct way {
    void (*multiply)(step *p);
    enum { CODES /* less their offset */, ONE_DIGIT, TWO_DIGITS, EIGHTS /* made while unpacking */ } digits;
} way;

static way way_of(tola_dtype weights) {
    const matmul_type *type = matmul_type_get(weights);
    switch (weights) {
    case TOLA_DTYPE_Q1_0:
    case TOLA_DTYPE_Q8_K:
    case TOLA_DTYPE_TQ1_0:
    case TOLA_DTYPE_TQ2_0: return (way){ super_one, CODES };
    case TOLA_DTYPE_Q2_K: return (way){ super_one_minima, ONE_DIGIT };
    default: break;
    }
    if (type->kind == MATMUL_SUPER && type->minima) return (way){ super_two_minima, EIGHTS }; /* q4_k, q5_k */
    if (type->kind == MATMUL_SUPER) return (way){ super_two, TWO_DIGITS };
    return (way){ type->minima ? small_32_minima : type->group == 16 ? small_16 : small_32, CODES };
}

/* How often a step asks for what the next one reads: where there are digits before each strip is unpacked (unpacking
 * alone is slowed by what it waits for) and before it is split into digits, and before each unit; where digits are made
 * while unpacking, before the sums of each unit are scaled, too. */
static size_t pieces_of(const way *use, bool super, size_t rows, size_t tokens) {
    const size_t strips = (rows + 15) / 16, at_once = unit_strips(use->digits >= TWO_DIGITS);
    const size_t units = (strips + at_once - 1) / at_once, most = unit_tokens(super);
    const bool one = use->digits == EIGHTS;
    const size_t unpacking = use->digits == CODES ? 0 : one ? strips : 2 * strips;
    return unpacking + (one ? 2 : 1) * units * ((tokens + most - 1) / most);
}

/* Strip `strip` of the panel that begins at w. */
static void unpack(step *p, tola_dtype weights, const way *use, size_t strip, const uint8_t *w, size_t row_bytes) {
    const matmul_type *type = matmul_type_get(weights);
    matmul_panel *panel = &p->sp->panel;
    if (use->digits != CODES) ask_for_weights(p);
    if (use->digits == EIGHTS) {
        matmul_panel_digits_avx512(weights, w, row_bytes, p->n_rows, strip, panel, p->sp->high[strip]);
        return;
    }
    matmul_panel_unpack_avx512(weights, w, row_bytes, p->n_rows, strip, p->n, use->digits == CODES ? type->offset : 0,
                               panel);
    if (use->digits == CODES) return;
    ask_for_weights(p);
    if (use->digits == TWO_DIGITS) make_two_digits(p->sp, type, strip, p->n);
    else make_digits(p->sp, strip, p->n, type->group, type->offset, false);
}

static size_t scratch_bytes(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k;
    return sizeof(space) + (tokens + 15) * PANEL_ROWS * sizeof(float);
}

/* Fewer rows where few tokens meet them, so that codes, digits, activations and sums stay in the first cache together;
 * of many tokens the activations do not anyway, and more rows share what is read of them. */
static size_t panel_rows(const way *use, bool super, size_t tokens) {
    if (tokens <= 64) return use->digits >= TWO_DIGITS ? PANEL_ROWS / 4 : PANEL_ROWS / 2;
    return super && tokens <= 128 ? PANEL_ROWS / 2 : PANEL_ROWS;
}

static void rows(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                 size_t y_stride, size_t count, void *scratch) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t length = panel_step(weights), length_bytes = length / tola_dtype_block_elements(weights) *
                                                              (size_t)tola_dtype_block_bytes(weights);
    const way use = way_of(weights);
    const bool super = type->kind == MATMUL_SUPER;
    configure(super ? 64 : type->group, x->tokens, super);
    step p = { .x = x, .sp = scratch, .acc = (float *)((space *)scratch + 1), .y_stride = y_stride };
    const size_t panel = panel_rows(&use, super, x->tokens);
    const bool whole = use.digits != CODES && panel * row_bytes <= LITTLE; /* else there are too few shares */
    for (size_t first = 0; first < count; first += panel, w += panel * row_bytes) {
        const size_t left = count - first;
        p.n_rows = left < panel ? left : panel;
        const size_t pieces = pieces_of(&use, super, p.n_rows, x->tokens);
        p.y = y + first;
        p.steps_left = (x->k + length - 1) / length;
        const uint8_t *next = w + panel * row_bytes;
        const size_t next_rows = left - p.n_rows < panel ? left - p.n_rows : panel;
        if (whole) p.next_panel = panel_in_shares(next, next_rows * row_bytes / 64, 1, 64, pieces * p.steps_left);
        for (p.at = 0; p.at < x->k; p.at += length) {
            const uint8_t *here = w + p.at / length * length_bytes;
            p.n = x->k - p.at < length ? x->k - p.at : length;
            p.steps_left--;
            const bool last = p.steps_left == 0, asked = whole && (first > 0 || last);
            p.next_step = panel_in_shares(last ? next : here + length_bytes, asked ? 0 : last ? next_rows : p.n_rows,
                                          length_bytes, row_bytes, pieces);
            for (size_t strip = 0; 16 * strip < p.n_rows; strip++) unpack(&p, weights, &use, strip, here, row_bytes);
            settle();
            use.multiply(&p);
        }
    }
    _tile_release();
}

const matmul_tile matmul_tile_amx = { scratch_bytes, rows, 0 };
#endif
