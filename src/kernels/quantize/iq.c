/* iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s: groups under a scale whose values come from a codebook, eight
 * or four at a time (ggml-common.h, https://github.com/ggml-org/ggml).
 *
 * Minimized is sum h (w - w')^2, h the importance and a fifth of its mean over the super-block: it was measured on some
 * text, and columns that this text does without would else be free to go anywhere. (With it the plain error is no
 * larger than ggml's, too, which weighs columns by h sqrt(w^2 + mean w^2).) For a scale the cheapest codes are found
 * among all: the cost of an entry is the sum of the costs of its halves, of which there are 81 (of 64) each, so that
 * the search adds tables instead of multiplying vectors, many groups at a time. For given codes the best scale has a
 * closed form. Several scales are tried for each group; then d for the super-block, of which a group's scale is an odd
 * multiple; then codes again for that multiple and its neighbours; last d again.
 *
 * This file has the codebooks, the layouts and the choice of an instruction set; iq_body.h has the search. */
#define IQ_TABLE iq_scalar
#include "kernels/quantize/iq_body.h"

#include "base/cpu.h"
#include "kernels/dequantize/grids.h"

#include <pthread.h>

/* ---- codebooks ---- */
static iq_grid grids[6];
static const uint8_t grid_of[IQ_TYPES] = { 0, 0, 1, 2, 3, 4, 5 };

/* Entries of eight or four bytes, each `base + step x level`, or the level above that. */
static void make_grid(iq_grid *g, const uint64_t *eights, const uint32_t *fours, size_t count, int base, int step) {
    const unsigned dims = eights ? 8 : 4, levels = eights ? 3 : 8, bits = eights ? 2 : 3;
    const unsigned halves = eights ? 81 : 64;
    memset(g->index, 0xff, sizeof g->index);
    for (size_t i = 0; i < count; i++) {
        unsigned half[2] = { 0, 0 };
        for (unsigned e = dims; e-- > 0;) {
            int value = (int8_t)((eights ? eights[i] : fours[i]) >> 8 * e);
            unsigned *part = &half[e / (dims / 2)];
            *part = *part * levels + (unsigned)((value - base) / step);
        }
        g->index[half[0] * IQ_HALVES + half[1]] = (uint16_t)i;
    }
    unsigned at = 0;
    for (unsigned a = 0; a < halves; a++) {
        unsigned begin = at, code = 0;
        for (unsigned e = 0, rest = a; e < dims / 2; e++, rest /= levels) code |= rest % levels << bits * e;
        g->number[code] = (uint8_t)a;
        for (unsigned b = 0; b < halves; b++)
            if (g->index[a * IQ_HALVES + b] != 0xffff) g->second[at++] = (uint16_t)(b * IQ_OFFSET);
        if (at == begin) continue;
        if (at & 1) g->second[at] = g->second[at - 1], at++;
        g->end[g->firsts] = (uint16_t)at;
        g->first[g->firsts] = (uint16_t)(a * IQ_OFFSET);
        g->code[g->firsts++] = (uint8_t)code;
    }
}

static void make_grids(void) {
    make_grid(&grids[0], grid_iq1, NULL, 2048, -1, 1);
    make_grid(&grids[1], grid_iq2_xxs, NULL, 256, 8, 17);
    make_grid(&grids[2], grid_iq2_xs, NULL, 512, 8, 17);
    make_grid(&grids[3], grid_iq2_s, NULL, 1024, 8, 17);
    make_grid(&grids[4], NULL, grid_iq3_xxs, 256, 4, 8);
    make_grid(&grids[5], NULL, grid_iq3_s, 512, 1, 2);
}

const iq_grid *iq_grid_get(iq_type type) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_grids);
    return &grids[grid_of[type]];
}

/* ---- layouts: kernels/dequantize/iq.c draws them ---- */
static void put_u16(uint8_t *p, unsigned v) {
    p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8);
}

static void put_u32(uint8_t *p, uint32_t v) {
    put_u16(p, v & 0xffff), put_u16(p + 2, v >> 16);
}

/* What a super-block came to, in the order of its elements. */
typedef struct iq_result {
    uint16_t index[64]; /* of each cell */
    uint8_t minus[32];  /* of eight elements: bit i is the sign of the i-th */
    uint8_t shift[32];
    uint8_t step[16]; /* of each group */
} iq_result;

static iq_result gather(const iq_grid *g, const iq_chunk *c, size_t super, size_t group, size_t dims) {
    const size_t stride = CHUNK / group, groups = SUPER / group;
    iq_result r = { 0 };
    for (size_t i = 0; i < groups; i++) {
        size_t at = super * groups + i;
        r.step[i] = (uint8_t)c->step[at];
        for (size_t e = 0; e < group; e += dims) {
            uint32_t code = (uint32_t)c->code[e / dims * stride + at];
            size_t cell = (i * group + e) / dims;
            r.index[cell] = g->index[g->number[code & 255] * IQ_HALVES + g->number[code >> 8 & 255]];
            r.shift[cell / (8 / dims)] = code >> 16 & 1;
        }
        for (size_t e = 0; e < group; e += 8) r.minus[(i * group + e) / 8] = (uint8_t)c->minus[e / 8 * stride + at];
    }
    return r;
}

void iq_pack_iq1_s(const iq_grid *g, const iq_chunk *c, size_t super, uint8_t *out) {
    iq_result r = gather(g, c, super, 32, 8);
    put_u16(out, c->d[super]);
    for (int i = 0; i < 8; i++) {
        unsigned qh = (unsigned)r.step[i] << 12 | (unsigned)r.shift[4 * i] << 15;
        for (int l = 0; l < 4; l++) {
            out[2 + 4 * i + l] = (uint8_t)r.index[4 * i + l];
            qh |= (unsigned)r.index[4 * i + l] >> 8 << 3 * l;
        }
        put_u16(out + 34 + 2 * i, qh);
    }
}

void iq_pack_iq1_m(const iq_grid *g, const iq_chunk *c, size_t super, uint8_t *out) {
    iq_result r = gather(g, c, super, 16, 8);
    for (int l = 0; l < 32; l++) out[l] = (uint8_t)r.index[l];
    for (int l = 0; l < 16; l++) {
        unsigned qh = 0;
        for (int i = 0; i < 2; i++) qh |= (unsigned)(r.index[2 * l + i] >> 8 | r.shift[2 * l + i] << 3) << 4 * i;
        out[32 + l] = (uint8_t)qh;
    }
    for (int q = 0; q < 4; q++) {
        unsigned s = (c->d[super] >> 4 * q & 15u) << 12;
        for (int l = 0; l < 4; l++) s |= (unsigned)r.step[4 * q + l] << 3 * l;
        put_u16(out + 48 + 2 * q, s);
    }
}

/* Four times seven signs and a step. */
static uint32_t signs_and_step(const iq_result *r, int group) {
    uint32_t v = (uint32_t)r->step[group] << 28;
    for (int l = 0; l < 4; l++) v |= (r->minus[4 * group + l] & 127u) << 7 * l;
    return v;
}

void iq_pack_iq2_xxs(const iq_grid *g, const iq_chunk *c, size_t super, uint8_t *out) {
    iq_result r = gather(g, c, super, 32, 8);
    put_u16(out, c->d[super]);
    for (int i = 0; i < 8; i++) {
        for (int l = 0; l < 4; l++) out[2 + 8 * i + l] = (uint8_t)r.index[4 * i + l];
        put_u32(out + 6 + 8 * i, signs_and_step(&r, i));
    }
}

void iq_pack_iq2_xs(const iq_grid *g, const iq_chunk *c, size_t super, uint8_t *out) {
    iq_result r = gather(g, c, super, 16, 8);
    put_u16(out, c->d[super]);
    for (int l = 0; l < 32; l++) put_u16(out + 2 + 2 * l, r.index[l] | (r.minus[l] & 127u) << 9);
    for (int l = 0; l < 8; l++) out[66 + l] = (uint8_t)(r.step[2 * l] | r.step[2 * l + 1] << 4);
}

void iq_pack_iq2_s(const iq_grid *g, const iq_chunk *c, size_t super, uint8_t *out) {
    iq_result r = gather(g, c, super, 16, 8);
    put_u16(out, c->d[super]);
    memset(out + 66, 0, 8);
    for (int l = 0; l < 32; l++) {
        out[2 + l] = (uint8_t)r.index[l];
        out[34 + l] = r.minus[l];
        out[66 + l / 4] |= (uint8_t)(r.index[l] >> 8 << l % 4 * 2);
    }
    for (int l = 0; l < 8; l++) out[74 + l] = (uint8_t)(r.step[2 * l] | r.step[2 * l + 1] << 4);
}

void iq_pack_iq3_xxs(const iq_grid *g, const iq_chunk *c, size_t super, uint8_t *out) {
    iq_result r = gather(g, c, super, 32, 4);
    put_u16(out, c->d[super]);
    for (int l = 0; l < 64; l++) out[2 + l] = (uint8_t)r.index[l];
    for (int i = 0; i < 8; i++) put_u32(out + 66 + 4 * i, signs_and_step(&r, i));
}

void iq_pack_iq3_s(const iq_grid *g, const iq_chunk *c, size_t super, uint8_t *out) {
    iq_result r = gather(g, c, super, 32, 4);
    put_u16(out, c->d[super]);
    memset(out + 66, 0, 8);
    for (int l = 0; l < 64; l++) {
        out[2 + l] = (uint8_t)r.index[l];
        out[66 + l / 8] |= (uint8_t)(r.index[l] >> 8 << l % 8);
    }
    memcpy(out + 74, r.minus, 32);
    for (int l = 0; l < 4; l++) out[106 + l] = (uint8_t)(r.step[2 * l] | r.step[2 * l + 1] << 4);
}

/* ---- choice ---- */
static const iq_set *best(void) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &iq_avx512;
    case CPU_AVX2: return &iq_avx2;
#endif
    default: return &iq_scalar;
    }
}

quantize_fn quantize_iq_get(tola_dtype dtype, bool scalar) {
    const iq_set *set = scalar ? &iq_scalar : best();
    switch (dtype) {
    case TOLA_DTYPE_IQ1_S: return set->of[IQ1_S];
    case TOLA_DTYPE_IQ1_M: return set->of[IQ1_M];
    case TOLA_DTYPE_IQ2_XXS: return set->of[IQ2_XXS];
    case TOLA_DTYPE_IQ2_XS: return set->of[IQ2_XS];
    case TOLA_DTYPE_IQ2_S: return set->of[IQ2_S];
    case TOLA_DTYPE_IQ3_XXS: return set->of[IQ3_XXS];
    case TOLA_DTYPE_IQ3_S: return set->of[IQ3_S];
    default: return NULL;
    }
}
