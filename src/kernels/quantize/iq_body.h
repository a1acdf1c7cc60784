/* The search of iq.c, written for a vector of LANES groups side by side, so that each instruction set is this text
 * compiled with its flags. Every lane is computed alone and in the same order, hence the same bits everywhere. */
#include "kernels/cast/scalar.h"
#include "kernels/quantize/iq_kernels.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* ---- vectors ---- */
#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#else
#define LANES 4
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif
#endif
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef int32_t vi_unaligned __attribute__((vector_size(4 * LANES), aligned(4)));

INLINE vf set_f(float a) { return (vf){ 0 } + a; }
INLINE vi set_i(int32_t a) { return (vi){ 0 } + a; }
INLINE vf load_f(const float *p) { return *(const vf *)(const void *)p; }
INLINE void store_f(float *p, vf a) { *(vf *)(void *)p = a; }
INLINE void store_i(int32_t *p, vi a) { *(vi *)(void *)p = a; }

#if defined(__AVX512F__)
typedef __mmask16 vm;
INLINE vi min_i(vi a, vi b) { return (vi)_mm512_min_epi32((__m512i)a, (__m512i)b); }
INLINE vm less_i(vi a, vi b) { return _mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b); }
INLINE vm less_f(vf a, vf b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
INLINE vi pick_i(vm m, vi a, vi b) { return (vi)_mm512_mask_mov_epi32((__m512i)b, m, (__m512i)a); }
INLINE vf pick_f(vm m, vf a, vf b) { return (vf)_mm512_mask_mov_ps((__m512)b, m, (__m512)a); }
#else
typedef vi vm;
#if defined(__AVX2__)
INLINE vi min_i(vi a, vi b) { return (vi)_mm256_min_epi32((__m256i)a, (__m256i)b); }
INLINE vi pick_i(vm m, vi a, vi b) { return (vi)_mm256_blendv_epi8((__m256i)b, (__m256i)a, (__m256i)m); }
#else
INLINE vi pick_i(vm m, vi a, vi b) { return (a & m) | (b & ~m); }
#if defined(__ARM_NEON)
INLINE vi min_i(vi a, vi b) { return (vi)vminq_s32((int32x4_t)a, (int32x4_t)b); }
#else
INLINE vi min_i(vi a, vi b) { return pick_i(a < b, a, b); }
#endif
#endif
INLINE vm less_i(vi a, vi b) { return a < b; }
INLINE vm less_f(vf a, vf b) { return a < b; }
INLINE vf pick_f(vm m, vf a, vf b) { return (vf)pick_i(m, (vi)a, (vi)b); }
#endif
/* The smaller of two costs: the bits of f32 >= 0, which are in the order of their values. */
#if LANES == 4 && defined(__SSE2__)
INLINE vi min_cost(vi a, vi b) { return (vi)_mm_min_ps((__m128)a, (__m128)b); }
#else
INLINE vi min_cost(vi a, vi b) { return min_i(a, b); }
#endif

typedef struct iq_tables {
    vi a[IQ_HALVES][2], b[IQ_HALVES][2]; /* cost of each first and second half, for two cells */
} iq_tables;

INLINE float level_of(const iq_kind *k, int l) {
    if (k->shifted) return (float)(l - 1);
    if (k->dims == 8) return (float)(8 + 17 * l + (l >> 1));
    return k->type == IQ3_XXS ? (float)(4 + 8 * l + (l + 1) / 8 * 2) : (float)(1 + 2 * l);
}

INLINE vf levels_of(const iq_kind *k, vi l) {
    vi q = k->shifted           ? l - 1
           : k->dims == 8       ? 8 + 17 * l + (l >> 1)
           : k->type == IQ3_XXS ? 4 + 8 * l + ((l + 1) >> 3) * 2
                                : 1 + 2 * l;
    return __builtin_convertvector(q, vf);
}

/* The costs h (x - q)^2 of all first or second halves of a cell, for the levels q at the groups' scales: of four values
 * of three levels, and of two of eight. `keep` are the bits of a cost that stay; the others tell the levels, so that
 * the least cost tells whose it is. */
static __attribute__((noinline)) void half_costs_of_3(const float *x, const float *h, size_t stride, const vf *levels,
                                                      vi keep, vi (*out)[2]) {
    static const uint8_t codes[9] = { 0, 1, 2, 4, 5, 6, 8, 9, 10 };
    vf f[4][3], pairs[2][9];
    for (size_t i = 0; i < 4; i++)
        for (size_t l = 0; l < 3; l++) {
            vf e = load_f(x + i * stride) - levels[l];
            f[i][l] = load_f(h + i * stride) * e * e;
        }
    for (size_t p = 0; p < 2; p++)
        for (size_t n = 0; n < 9; n++) pairs[p][n] = f[2 * p][n % 3] + f[2 * p + 1][n / 3];
    for (size_t m = 0; m < 9; m++)
        for (size_t n = 0; n < 9; n++) {
            vi cost = (vi)(pairs[0][n] + pairs[1][m]);
            out[9 * m + n][0] = (cost & keep) | ((codes[n] | codes[m] << 4) & ~keep);
        }
}

static __attribute__((noinline)) void half_costs_of_8(const float *x, const float *h, size_t stride, const vf *levels,
                                                      vi keep, vi (*out)[2]) {
    vf f[2][8];
    for (size_t i = 0; i < 2; i++)
        for (size_t l = 0; l < 8; l++) {
            vf e = load_f(x + i * stride) - levels[l];
            f[i][l] = load_f(h + i * stride) * e * e;
        }
    for (size_t m = 0; m < 8; m++)
        for (size_t n = 0; n < 8; n++) {
            vi cost = (vi)(f[0][n] + f[1][m]);
            out[8 * m + n][0] = (cost & keep) | ((int)(8 * m + n) & ~keep);
        }
}

/* Both halves of a cell. */
INLINE void cell_costs(const iq_kind *k, const float *x, const float *h, size_t stride, vf scale, float shift,
                       iq_tables *t, int cell) {
    vf levels[8];
    for (int l = 0; l < (k->dims == 8 ? 3 : 8); l++) levels[l] = scale * (level_of(k, l) + shift);
    size_t mid = (size_t)(k->dims / 2) * stride;
    vi (*a)[2] = (vi(*)[2])(void *)&t->a[0][cell], (*b)[2] = (vi(*)[2])(void *)&t->b[0][cell];
    if (k->dims == 8) {
        half_costs_of_3(x, h, stride, levels, set_i(-1), a);
        half_costs_of_3(x + mid, h + mid, stride, levels, set_i(~255), b);
    } else {
        half_costs_of_8(x, h, stride, levels, set_i(-1), a);
        half_costs_of_8(x + mid, h + mid, stride, levels, set_i(~255), b);
    }
}

/* Both cells' costs of a half, by its offset in the lists of a grid. */
INLINE const vi *costs_at(const vi table[][2], uint16_t offset) {
    return (const vi *)(const void *)((const char *)table + (size_t)offset * (LANES / 4));
}

/* The cheapest entry for each of two cells: cost and first half, second half. */
static __attribute__((noinline)) void walk(const iq_grid *g, const iq_tables *t, vi first[2], vi second[2]) {
    vi best0 = set_i(INT32_MAX), best1 = best0, b0 = best0, b1 = best0;
    const uint16_t *s = g->second;
    for (uint32_t u = 0; u < g->firsts; u++) {
        const uint16_t *end = g->second + g->end[u];
        const vi *p = costs_at(t->b, s[0]), *q = costs_at(t->b, s[1]);
        vi m0 = min_cost(p[0], q[0]), m1 = min_cost(p[1], q[1]);
        for (s += 2; s < end; s += 2) {
            p = costs_at(t->b, s[0]), q = costs_at(t->b, s[1]);
            m0 = min_cost(min_cost(m0, p[0]), q[0]), m1 = min_cost(min_cost(m1, p[1]), q[1]);
        }
        p = costs_at(t->a, g->first[u]);
        int32_t code = g->code[u];
        vi sum0 = ((vi)((vf)p[0] + (vf)m0) & ~255) | code;
        vi sum1 = ((vi)((vf)p[1] + (vf)m1) & ~255) | code;
        vm less0 = less_i(sum0, best0), less1 = less_i(sum1, best1);
        best0 = min_i(sum0, best0), best1 = min_i(sum1, best1);
        b0 = pick_i(less0, m0, b0), b1 = pick_i(less1, m1, b1);
    }
    first[0] = best0, first[1] = best1, second[0] = b0, second[1] = b1;
}

/* Adds h x q and h q^2 of a cell whose halves are coded in a and b. */
INLINE void add_cell(const iq_kind *k, const float *x, const float *h, size_t stride, vi a, vi b, float shift, vf *num,
                     vf *den) {
    int bits = k->dims == 8 ? 2 : 3;
    for (int i = 0; i < k->dims; i++) {
        vi half = i < k->dims / 2 ? a : b;
        vf q = levels_of(k, half >> (i % (k->dims / 2) * bits) & ((1 << bits) - 1));
        if (k->shifted) q += shift;
        vf hq = load_f(h + (size_t)i * stride) * q;
        *num += load_f(x + (size_t)i * stride) * hq;
        *den += hq * q;
    }
}

/* For LANES groups and a scale for each: the codes that cost least, and their sums. */
INLINE void encode(const iq_kind *k, const iq_grid *g, const float *x, const float *h, vf scale, vf *num, vf *den,
                   vi *code) {
    const size_t stride = (size_t)(CHUNK / k->group);
    const int cells = k->group / k->dims;
    iq_tables t;
    vi first[2], second[2];
    vf none = set_f(0);
    *num = *den = none;
    if (!k->shifted) {
        for (int c = 0; c < cells; c += 2) {
            for (int j = 0; j < 2; j++) {
                size_t at = (size_t)((c + j) * k->dims) * stride;
                cell_costs(k, x + at, h + at, stride, scale, 0, &t, j);
            }
            walk(g, &t, first, second);
            for (int j = 0; j < 2; j++) {
                size_t at = (size_t)((c + j) * k->dims) * stride;
                vi a = first[j] & 255, b = second[j] & 255;
                add_cell(k, x + at, h + at, stride, a, b, 0, num, den);
                code[c + j] = a | b << 8;
            }
        }
        return;
    }
    vf nums[2] = { none, none }, dens[2] = { none, none };
    vi codes[2][4];
    for (int c = 0; c < cells; c++) {
        size_t at = (size_t)(c * k->dims) * stride;
        for (int j = 0; j < 2; j++) cell_costs(k, x + at, h + at, stride, scale, j ? -0.125f : 0.125f, &t, j);
        walk(g, &t, first, second);
        if (k->type == IQ1_M) nums[0] = nums[1] = dens[0] = dens[1] = none;
        for (int j = 0; j < 2; j++) {
            vi a = first[j] & 255, b = second[j] & 255;
            add_cell(k, x + at, h + at, stride, a, b, j ? -0.125f : 0.125f, &nums[j], &dens[j]);
            codes[j][c] = a | b << 8 | j << 16;
        }
        if (k->type == IQ1_M) {
            vm minus = less_i(first[1], first[0]);
            *num += pick_f(minus, nums[1], nums[0]);
            *den += pick_f(minus, dens[1], dens[0]);
            code[c] = pick_i(minus, codes[1][c], codes[0][c]);
        }
    }
    if (k->type == IQ1_S) { /* one shift for the group: costs at this scale, less what they have in common */
        vm minus = less_f(scale * (scale * dens[1] - 2 * nums[1]), scale * (scale * dens[0] - 2 * nums[0]));
        *num = pick_f(minus, nums[1], nums[0]);
        *den = pick_f(minus, dens[1], dens[0]);
        for (int c = 0; c < cells; c++) code[c] = pick_i(minus, codes[1][c], codes[0][c]);
    }
}

/* What a group costs at a scale if any value could be any level, whatever the codebook has. */
INLINE vf free_cost(const iq_kind *k, const float *x, const float *h, vf scale) {
    const size_t stride = (size_t)(CHUNK / k->group);
    vf none = set_f(0), sum = none, sums[2] = { none, none };
    for (int i = 0; i < k->group; i++) {
        vf v = load_f(x + (size_t)i * stride), w = load_f(h + (size_t)i * stride);
        for (int j = 0; j < 2; j++) {
            vf least = set_f(INFINITY), shifted = v + scale * (j ? 0.125f : -0.125f);
            for (int l = 0; l < 3; l++) {
                vf e = shifted - scale * level_of(k, l);
                e *= e;
                least = pick_f(less_f(e, least), e, least);
            }
            sums[j] += w * least;
        }
        if ((k->type == IQ1_M && i % 8 == 7) || i == k->group - 1) { /* what has one shift */
            sum += pick_f(less_f(sums[0], sums[1]), sums[0], sums[1]);
            sums[0] = sums[1] = none;
        }
    }
    return sum;
}

typedef void encode_fn(const iq_grid *g, const float *x, const float *h, vf scale, vf *num, vf *den, vi *code);

/* The scale of each group when nothing else binds it: codes for several starts, and the scale that fits the best of
 * them. The codebook of the shifted types is so large that the best scale without it is the only start. */
INLINE void free_scales(const iq_kind *k, const iq_grid *g, encode_fn *codes_for, iq_chunk *c, size_t lane) {
    enum { STARTS = 5, FREE = 16 };
    const size_t stride = (size_t)(CHUNK / k->group);
    const float *x = c->x + lane, *h = c->h + lane;
    vf top = set_f(0x1p-30f);
    for (size_t i = 0; i < (size_t)k->group; i++) {
        vf v = (vf)((vi)load_f(x + i * stride) & INT32_MAX);
        top = pick_f(less_f(top, v), v, top);
    }
    vf scales[STARTS] = { top };
    if (k->shifted) {
        vf least = set_f(INFINITY);
        for (int i = 0; i < FREE; i++) {
            vf scale = top * (0.3f + 0.85f / (FREE - 1) * (float)i), cost = free_cost(k, x, h, scale);
            vm better = less_f(cost, least);
            least = pick_f(better, cost, least);
            scales[0] = pick_f(better, scale, scales[0]);
        }
    } else {
        float largest = level_of(k, k->dims == 8 ? 2 : 7);
        for (int i = 0; i < STARTS; i++) scales[i] = top * ((0.4f + 0.7f / (STARTS - 1) * (float)i) / largest);
    }
    vf best = set_f(1), num = set_f(0), den = set_f(1);
    for (int s = 0; s < (k->shifted ? 1 : STARTS); s++) {
        vf n, m;
        vi code[8];
        codes_for(g, x, h, scales[s], &n, &m, code);
        vf cost = -n * n / m; /* with the best scale for these codes, less sum h x^2 */
        vm better = less_f(cost, best);
        best = pick_f(better, cost, best);
        num = pick_f(better, n, num);
        den = pick_f(better, m, den);
    }
    vf scale = num / den;
    store_f(c->scale + lane, pick_f(less_f(scale, set_f(0)), set_f(0), scale));
    store_f(c->num + lane, num);
    store_f(c->den + lane, den);
}

/* The step whose odd multiple of the unit is nearest, for a scale over twice the unit. */
INLINE vi nearest_steps(const iq_kind *k, vf half) {
    vf most = set_f((float)(k->steps - 1));
    half = pick_f(less_f(half, most), half, most);
    half = pick_f(less_f(set_f(0), half), half, set_f(0)); /* of groups without a scale, too */
    return __builtin_convertvector(half, vi);
}

/* d of a super-block: the one of several whose steps cost least with the codes at hand. */
INLINE void choose_unit(const iq_kind *k, iq_chunk *c, size_t super) {
    enum { TRIES = 64 };
    const size_t groups = (size_t)(SUPER / k->group), at = super * groups;
    _Alignas(64) float units[TRIES], costs[TRIES];
    float most = 0;
    for (size_t i = 0; i < groups; i++) most = most < c->scale[at + i] ? c->scale[at + i] : most;
    most = most < 0x1p-40f ? 0x1p-40f : most;
    for (int t = 0; t < TRIES; t++)
        units[t] = most / (float)(2 * k->steps - 1) * (0.8f + 1.2f / TRIES * (float)t);
    for (size_t t = 0; t < TRIES; t += LANES) {
        vf unit = load_f(units + t), half = set_f(0.5f) / unit, cost = set_f(0);
        for (size_t i = 0; i < groups; i++) {
            vf s = unit * __builtin_convertvector(2 * nearest_steps(k, c->scale[at + i] * half) + 1, vf);
            cost += s * (s * c->den[at + i] - 2 * c->num[at + i]);
        }
        store_f(costs + t, cost);
    }
    size_t best = 0;
    for (size_t t = 1; t < TRIES; t++) best = costs[t] < costs[best] ? t : best;
    uint16_t d = 0;
    if (c->top[super] > 0) {
        d = cast_f32_to_f16(cast_f32_bits(units[best] / k->unit * c->top[super]));
        d = d > 0x7bff ? 0x7bff : d < 1 ? 1 : d;
    }
    c->d[super] = d;
    c->unit[super] = d ? cast_f32_from_bits(cast_f16_to_f32(d)) * k->unit / c->top[super] : 0;
}

/* The codes for scales that the format can hold: the step chosen and its neighbours. */
INLINE void final_codes(const iq_kind *k, const iq_grid *g, encode_fn *codes_for, iq_chunk *c, size_t lane) {
    const size_t stride = (size_t)(CHUNK / k->group), groups = (size_t)(SUPER / k->group);
    const int cells = k->group / k->dims;
    vf unit;
    for (size_t i = 0; i < LANES; i++) unit[i] = c->unit[(lane + i) / groups];
    vi step = nearest_steps(k, load_f(c->scale + lane) / (2 * unit)), best_step = step;
    vf best = set_f(INFINITY), num = set_f(0), den = num;
    vi best_code[8] = { set_i(0) }, code[8];
    for (int n = -1; n <= 1; n++) {
        vi s = step + n;
        s = min_i(s, set_i(k->steps - 1));
        s = -min_i(-s, set_i(0));
        vf a, b, scale = unit * __builtin_convertvector(2 * s + 1, vf);
        codes_for(g, c->x + lane, c->h + lane, scale, &a, &b, code);
        vf cost = scale * (scale * b - 2 * a);
        vm better = less_f(cost, best);
        best = pick_f(better, cost, best);
        num = pick_f(better, a, num);
        den = pick_f(better, b, den);
        best_step = pick_i(better, s, best_step);
        for (int i = 0; i < cells; i++) best_code[i] = pick_i(better, code[i], best_code[i]);
    }
    for (int i = 0; i < cells; i++) store_i(c->code + (size_t)i * stride + lane, best_code[i]);
    store_i(c->step + lane, best_step);
    store_f(c->num + lane, num);
    store_f(c->den + lane, den);
}

/* d once more, for the codes and steps that came out. A block that is worse than zeros becomes zeros. */
static void refine_unit(const iq_kind *k, iq_chunk *c, size_t super) {
    const size_t groups = (size_t)(SUPER / k->group), at = super * groups;
    float num = 0, den = 0;
    for (size_t i = 0; i < groups; i++) {
        float m = (float)(2 * c->step[at + i] + 1);
        num += m * c->num[at + i];
        den += m * m * c->den[at + i];
    }
    uint16_t options[2] = { c->d[super], 0 };
    float best_cost = 0;
    c->d[super] = 0;
    if (num > 0) options[1] = cast_f32_to_f16(cast_f32_bits(num / den / k->unit * c->top[super]));
    for (int i = 0; i < 2; i++) {
        if (options[i] > 0x7bff || !options[i]) continue;
        float unit = cast_f32_from_bits(cast_f16_to_f32(options[i])) * k->unit / c->top[super];
        float cost = unit * (unit * den - 2 * num);
        if (cost < best_cost) best_cost = cost, c->d[super] = options[i];
    }
}

/* The bits of the largest magnitude; those of magnitudes are in their order. */
static uint32_t largest_bits(const float *x) {
    uint32_t most = 0;
    for (int i = 0; i < SUPER; i++) {
        uint32_t bits = cast_f32_bits(x[i]) & 0x7fffffff;
        most = most < bits ? bits : most;
    }
    return most;
}

/* One super-block into its lanes. w NULL: nothing (there is no second one). Weights too small for any scale are none.
 * A fifth of its mean is added to the importance. */
INLINE void load(const iq_kind *k, iq_chunk *c, size_t super, const void *w, const void *importance) {
    const size_t stride = (size_t)(CHUNK / k->group), groups = (size_t)(SUPER / k->group), at = super * groups;
    const size_t group = (size_t)k->group;
    float x[SUPER] = { 0 }, h[SUPER] = { 0 };
    if (w) memcpy(x, w, sizeof x);
    float top = cast_f32_from_bits(largest_bits(x)), inverse = top < 0x1p-60f ? 0 : 1 / top;
    c->top[super] = inverse > 0 ? top : 0;
    for (size_t g = 0; g < groups; g++)
        for (size_t e = 0; e < group; e++) c->x[e * stride + at + g] = x[g * group + e] * inverse;
    if (w && importance) memcpy(h, importance, sizeof h);
    float most = cast_f32_from_bits(largest_bits(h)), sums[8] = { 0 }, base = 1;
    inverse = most < 0x1p-100f ? 0 : 1 / most;
    if (inverse > 0) {
        for (int i = 0; i < SUPER; i++) h[i] *= inverse, sums[i % 8] += h[i];
        for (int i = 1; i < 8; i++) sums[0] += sums[i];
        base = sums[0] * (0.2f / SUPER);
    } else {
        memset(h, 0, sizeof h);
    }
    for (size_t g = 0; g < groups; g++)
        for (size_t e = 0; e < group; e++) c->h[e * stride + at + g] = h[g * group + e] + base;
}

/* Signs apart from magnitudes. Where eight must have an even number of minuses and have not, the weight that matters
 * least gets the wrong one: its magnitude is negative then. */
INLINE void part_signs(const iq_kind *k, iq_chunk *c, size_t lane) {
    const size_t stride = (size_t)(CHUNK / k->group);
    for (size_t e = 0; e < (size_t)k->group; e += 8) {
        float *x = c->x + e * stride + lane;
        const float *h = c->h + e * stride + lane;
        vi minus = set_i(0), parity = minus, least = set_i(INT32_MAX), sign = set_i(INT32_MIN);
        vf mean = set_f(0);
        for (size_t i = 0; i < 8; i++) {
            vi v = (vi)load_f(x + i * stride), negative = v >> 31, magnitude = v & ~sign;
            minus |= negative & 1 << i;
            parity ^= negative;
            store_f(x + i * stride, (vf)magnitude);
            mean += (vf)magnitude * 0.125f;
        }
        if (k->parity) {
            for (size_t i = 0; i < 8; i++) {
                vf v = load_f(x + i * stride);
                v = load_f(h + i * stride) * v * (v + mean);
                least = min_i(least, ((vi)v & ~7) | (int)i);
            }
            least = (1 << (least & 7)) & parity;
            minus ^= least;
            for (size_t i = 0; i < 8; i++)
                store_f(x + i * stride, (vf)((vi)load_f(x + i * stride) ^ (least << (31 - i) & sign)));
        }
        store_i(c->minus + e / 8 * stride + lane, minus);
    }
}

INLINE void quantize_row(const iq_kind *k, const float *src, uint8_t *dst, size_t n, const float *importance,
                         size_t block_bytes, encode_fn *codes_for, iq_pack *pack) {
    const iq_grid *g = iq_grid_get(k->type);
    const size_t groups = (size_t)(SUPER / k->group);
    iq_chunk c;
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t supers = n - at < CHUNK ? 1 : 2;
        const size_t lanes = (supers * groups + LANES - 1) / LANES * LANES;
        for (size_t s = 0; s < 2; s++) {
            const char *w = (const char *)src + 4 * (at + s * SUPER);
            const char *h = importance ? (const char *)importance + 4 * (at + s * SUPER) : NULL;
            load(k, &c, s, s < supers ? w : NULL, h);
        }
        for (size_t l = 0; l < lanes; l += LANES) {
            if (!k->shifted) part_signs(k, &c, l);
            free_scales(k, g, codes_for, &c, l);
        }
        for (size_t s = 0; s < 2; s++) choose_unit(k, &c, s);
        for (size_t l = 0; l < lanes; l += LANES) final_codes(k, g, codes_for, &c, l);
        for (size_t s = 0; s < supers; s++, dst += block_bytes) {
            refine_unit(k, &c, s);
            pack(g, &c, s, dst);
        }
    }
}

/* ---- the types ---- */
#define ROW(name, TYPE, GROUP, DIMS, STEPS, UNIT, PARITY, SHIFTED, BYTES)                                              \
    static const iq_kind name##_kind = { TYPE, GROUP, DIMS, STEPS, UNIT, PARITY, SHIFTED };                           \
    static __attribute__((noinline)) void name##_codes(const iq_grid *g, const float *x, const float *h, vf scale,    \
                                                       vf *num, vf *den, vi *code) {                                  \
        encode(&name##_kind, g, x, h, scale, num, den, code);                                                         \
    }                                                                                                                 \
    static void name(const float *src, void *dst, size_t n, const float *importance) {                                \
        quantize_row(&name##_kind, src, dst, n, importance, BYTES, name##_codes, iq_pack_##name);                     \
    }
ROW(iq1_s, IQ1_S, 32, 8, 8, 1, false, true, 50)
ROW(iq1_m, IQ1_M, 16, 8, 8, 1, false, true, 56)
ROW(iq2_xxs, IQ2_XXS, 32, 8, 16, 0.125f, true, false, 66)
ROW(iq2_xs, IQ2_XS, 16, 8, 16, 0.125f, true, false, 74)
ROW(iq2_s, IQ2_S, 16, 8, 16, 0.125f, false, false, 82)
ROW(iq3_xxs, IQ3_XXS, 32, 4, 16, 0.25f, true, false, 98)
ROW(iq3_s, IQ3_S, 32, 4, 16, 1, false, false, 110)

const iq_set IQ_TABLE = { .of = { iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s } };
