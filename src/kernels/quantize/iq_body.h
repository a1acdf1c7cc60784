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
INLINE vi min_i(vi a, vi b) { return pick_i(a < b, a, b); }
#endif
INLINE vm less_i(vi a, vi b) { return a < b; }
INLINE vm less_f(vf a, vf b) { return a < b; }
INLINE vf pick_f(vm m, vf a, vf b) { return (vf)pick_i(m, (vi)a, (vi)b); }
#endif

typedef struct iq_tables {
    vi a[2][IQ_HALVES], b[2][IQ_HALVES]; /* cost of each first and second half, for two cells */
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

/* The costs h (x - shift - scale q)^2 of all first or second halves. Coded: the levels replace the low eight bits, so
 * that the least cost tells whose it is. */
INLINE void half_costs(const iq_kind *k, const float *x, const float *h, size_t stride, vf scale, vf shift, bool coded,
                       vi *out) {
    if (k->dims == 8) {
        vf f[4][3], low[9], high[9];
        for (int i = 0; i < 4; i++)
            for (int l = 0; l < 3; l++) {
                vf e = load_f(x + (size_t)i * stride) - shift - scale * level_of(k, l);
                f[i][l] = load_f(h + (size_t)i * stride) * e * e;
            }
        for (int n = 0; n < 9; n++) low[n] = f[0][n % 3] + f[1][n / 3], high[n] = f[2][n % 3] + f[3][n / 3];
        for (int m = 0; m < 9; m++)
            for (int n = 0; n < 9; n++) {
                vi t = (vi)(low[n] + high[m]);
                int code = n % 3 | n / 3 << 2 | m % 3 << 4 | m / 3 << 6;
                out[9 * m + n] = coded ? (t & ~255) | code : t;
            }
    } else {
        vf f[2][8];
        for (int i = 0; i < 2; i++)
            for (int l = 0; l < 8; l++) {
                vf e = load_f(x + (size_t)i * stride) - shift - scale * level_of(k, l);
                f[i][l] = load_f(h + (size_t)i * stride) * e * e;
            }
        for (int m = 0; m < 8; m++)
            for (int n = 0; n < 8; n++) {
                vi t = (vi)(f[0][n] + f[1][m]);
                out[8 * m + n] = coded ? (t & ~255) | (8 * m + n) : t;
            }
    }
}

/* The cheapest entry for each of two cells: cost and first half, second half. */
static void walk(const iq_grid *g, const iq_tables *t, vi first[2], vi second[2]) {
    vi best0 = set_i(INT32_MAX), best1 = best0, b0 = best0, b1 = best0;
    for (uint32_t u = 0; u < g->firsts; u++) {
        const uint8_t *s = g->second + g->start[u], *end = g->second + g->start[u + 1];
        vi m0 = t->b[0][*s], m1 = t->b[1][*s];
        while (++s < end) m0 = min_i(m0, t->b[0][*s]), m1 = min_i(m1, t->b[1][*s]);
        int32_t code = g->code[u];
        vi sum0 = ((vi)((vf)t->a[0][g->first[u]] + (vf)m0) & ~255) | code;
        vi sum1 = ((vi)((vf)t->a[1][g->first[u]] + (vf)m1) & ~255) | code;
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
                size_t at = (size_t)((c + j) * k->dims) * stride, mid = at + (size_t)(k->dims / 2) * stride;
                half_costs(k, x + at, h + at, stride, scale, none, false, t.a[j]);
                half_costs(k, x + mid, h + mid, stride, scale, none, true, t.b[j]);
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
        size_t at = (size_t)(c * k->dims) * stride, mid = at + (size_t)(k->dims / 2) * stride;
        for (int j = 0; j < 2; j++) {
            vf shift = scale * (j ? -0.125f : 0.125f);
            half_costs(k, x + at, h + at, stride, scale, shift, false, t.a[j]);
            half_costs(k, x + mid, h + mid, stride, scale, shift, true, t.b[j]);
        }
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

/* The scale of each group when nothing else binds it: codes for several starts, and the scale that fits the best of
 * them. */
INLINE void free_scales(const iq_kind *k, const iq_grid *g, iq_chunk *c, size_t lane) {
    const size_t stride = (size_t)(CHUNK / k->group);
    const float *x = c->x + lane, *h = c->h + lane;
    vf top = set_f(0);
    for (size_t i = 0; i < (size_t)k->group; i++) {
        vf v = load_f(x + i * stride);
        v = pick_f(less_f(v, set_f(0)), -v, v);
        top = pick_f(less_f(top, v), v, top);
    }
    float largest = k->shifted ? 1 : level_of(k, k->dims == 8 ? 2 : 7);
    vf best = set_f(1), num = set_f(0), den = set_f(1);
    static const float starts[] = { 0.4f, 0.575f, 0.75f, 0.925f, 1.1f }; /* of the largest magnitude */
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        vf n, m, scale = top * (starts[s] / largest);
        vi code[8];
        encode(k, g, x, h, pick_f(less_f(scale, set_f(0x1p-40f)), set_f(0x1p-40f), scale), &n, &m, code);
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

INLINE int nearest_step(const iq_kind *k, float scale, float unit) {
    float s = (scale / unit - 1) * 0.5f + 0.5f;
    return s < 0 ? 0 : s >= (float)(k->steps - 1) ? k->steps - 1 : (int)s;
}

/* d of a super-block: the one of several whose steps cost least with the codes at hand. */
static void choose_unit(const iq_kind *k, iq_chunk *c, size_t super) {
    const size_t groups = (size_t)(SUPER / k->group), at = super * groups;
    float most = 0, best = 0, best_cost = 1;
    for (size_t i = 0; i < groups; i++) most = most < c->scale[at + i] ? c->scale[at + i] : most;
    int tries = 64;
    for (int t = 0; t < tries && most > 0; t++) {
        float unit = most / (float)(2 * k->steps - 1) * (0.8f + 1.2f * (float)t / (float)tries), cost = 0;
        for (size_t i = 0; i < groups; i++) {
            float s = unit * (float)(2 * nearest_step(k, c->scale[at + i], unit) + 1);
            cost += s * (s * c->den[at + i] - 2 * c->num[at + i]);
        }
        if (cost < best_cost) best_cost = cost, best = unit;
    }
    uint16_t d = cast_f32_to_f16(cast_f32_bits(best / k->unit * c->top[super]));
    if (d > 0x7bff) d = 0x7bff;
    if (d == 0 && best > 0) d = 1;
    c->d[super] = d;
    c->unit[super] = c->top[super] > 0 ? cast_f32_from_bits(cast_f16_to_f32(d)) * k->unit / c->top[super] : 0;
    for (size_t i = 0; i < groups; i++)
        c->step[at + i] = d ? nearest_step(k, c->scale[at + i], c->unit[super]) : 0;
}

/* The codes for scales that the format can hold: the step chosen and its neighbours. */
INLINE void final_codes(const iq_kind *k, const iq_grid *g, iq_chunk *c, size_t lane) {
    const size_t stride = (size_t)(CHUNK / k->group), groups = (size_t)(SUPER / k->group);
    const int cells = k->group / k->dims;
    vf unit;
    vi step = *(const vi *)(const void *)(c->step + lane), best_step = step;
    for (size_t i = 0; i < LANES; i++) ((float *)&unit)[i] = c->unit[(lane + i) / groups];
    vf best = set_f(INFINITY), num = set_f(0), den = num;
    vi best_code[8] = { set_i(0) }, code[8];
    for (int n = -1; n <= 1; n++) {
        vi s = step + n;
        s = min_i(s, set_i(k->steps - 1));
        s = -min_i(-s, set_i(0));
        vf a, b, scale = unit * __builtin_convertvector(2 * s + 1, vf);
        encode(k, g, c->x + lane, c->h + lane, scale, &a, &b, code);
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

/* One super-block into its lanes. w NULL: nothing (there is no second one). */
static void load(const iq_kind *k, iq_chunk *c, size_t super, const void *w, const void *importance) {
    const size_t stride = (size_t)(CHUNK / k->group), groups = (size_t)(SUPER / k->group), at = super * groups;
    float x[SUPER], h[SUPER], top = 0, most = 0;
    if (w) memcpy(x, w, sizeof x);
    else memset(x, 0, sizeof x);
    if (w && importance) memcpy(h, importance, sizeof h);
    else
        for (int i = 0; i < SUPER; i++) h[i] = 1;
    for (int i = 0; i < SUPER; i++) {
        float m = x[i] < 0 ? -x[i] : x[i];
        top = top < m ? m : top;
        most = most < h[i] ? h[i] : most;
    }
    c->top[super] = top;
    for (int i = 0; i < SUPER; i++) {
        h[i] = most > 0 ? h[i] / most : 1;
        h[i] = h[i] < 0x1p-20f ? 0x1p-20f : h[i];
        x[i] = top > 0 ? x[i] / top : 0;
    }
    for (size_t g = 0; g < groups; g++)
        for (size_t e = 0; e < (size_t)k->group; e += 8) {
            unsigned minus = 0, least = 0;
            const float *from = x + g * (size_t)k->group + e, *weight = h + g * (size_t)k->group + e;
            float part[8];
            for (unsigned i = 0; i < 8; i++) {
                part[i] = from[i];
                if (k->shifted) continue;
                minus |= (unsigned)(from[i] < 0) << i;
                part[i] = from[i] < 0 ? -from[i] : from[i];
                if (weight[i] * part[i] < weight[least] * part[least]) least = i;
            }
            if (k->parity && __builtin_parity(minus)) minus ^= 1u << least, part[least] = -part[least];
            c->minus[e / 8 * stride + at + g] = (uint8_t)minus;
            for (size_t i = 0; i < 8; i++)
                c->x[(e + i) * stride + at + g] = part[i], c->h[(e + i) * stride + at + g] = weight[i];
        }
}

INLINE void quantize_row(const iq_kind *k, const float *src, uint8_t *dst, size_t n, const float *importance,
                         size_t block_bytes, iq_pack *pack) {
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
        for (size_t l = 0; l < lanes; l += LANES) free_scales(k, g, &c, l);
        for (size_t s = 0; s < 2; s++) choose_unit(k, &c, s);
        for (size_t l = 0; l < lanes; l += LANES) final_codes(k, g, &c, l);
        for (size_t s = 0; s < supers; s++, dst += block_bytes) {
            refine_unit(k, &c, s);
            pack(g, &c, s, dst);
        }
    }
}

/* ---- the types ---- */
#define ROW(name, TYPE, GROUP, DIMS, STEPS, UNIT, PARITY, SHIFTED, BYTES)               \
    static void name(const float *src, void *dst, size_t n, const float *importance) { \
        static const iq_kind kind = { TYPE, GROUP, DIMS, STEPS, UNIT, PARITY, SHIFTED }; \
        quantize_row(&kind, src, dst, n, importance, BYTES, iq_pack_##name);            \
    }
ROW(iq1_s, IQ1_S, 32, 8, 8, 1, false, true, 50)
ROW(iq1_m, IQ1_M, 16, 8, 8, 1, false, true, 56)
ROW(iq2_xxs, IQ2_XXS, 32, 8, 16, 0.125f, true, false, 66)
ROW(iq2_xs, IQ2_XS, 16, 8, 16, 0.125f, true, false, 74)
ROW(iq2_s, IQ2_S, 16, 8, 16, 0.125f, false, false, 82)
ROW(iq3_xxs, IQ3_XXS, 32, 4, 16, 0.25f, true, false, 98)
ROW(iq3_s, IQ3_S, 32, 4, 16, 1, false, false, 110)

const iq_set IQ_TABLE = { .of = { iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s } };
