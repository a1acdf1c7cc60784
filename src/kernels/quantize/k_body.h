/* q2_k .. q6_k: super-blocks of 256, with whole multiples of one or two f16 scales for their sub-blocks. Compiled once
 * for each instruction set; the file that includes it has chosen the lanes and defines K_TABLE.
 *
 * Layouts: ggml-common.h of llama.cpp (block_q2_K ... block_q6_K), written down in tensor/dtype.c and dequantize/. */
#include "kernels/quantize/k_kernels.h"
#include "kernels/quantize/search_affine.h"
#include "kernels/quantize/search_scale.h"

enum { SUPER = 256 };

/* ---- scale and minimum: q2_k, q4_k, q5_k ---- */

typedef struct affine_type {
    float top, most; /* of the codes, of the multiples */
    float even;      /* lot_weigh */
    int size, bytes; /* of a sub-block in elements, of a super-block in bytes */
    void (*pack)(uint8_t *block, uint16_t d, uint16_t dmin, const uint8_t *ks, const uint8_t *km, const uint8_t *q);
} affine_type;

static const float starts[] = { 1.0f, 0.93f, 0.86f };

static float highest(const float *x, int n) {
    float most = x[0];
    for (int j = 1; j < n; j++) most = x[j] > most ? x[j] : most;
    return most;
}

/* A lot of super-blocks: one of 16 sub-blocks or two of 8. */
static void affine_lot(const affine_type *type, const float *src, uint8_t *dst, int blocks, const float *importance) {
    int per = SUPER / type->size;
    lot t;
    found fit, best;
    lot_fill(&t, src, importance, type->size, blocks * per);
    lot_weigh(&t, importance, per, type->even);
    lot_centre(&t);
    affine_free(&t, type->top, false, starts, 3, 2, &fit);
    float d[LOT], dmin[LOT];
    uint16_t d16[2] = { 0 }, dmin16[2] = { 0 };
    for (int b = 0; b * per < LOT; b++) {
        float s = half_step(highest(fit.s + b * per, per) / type->most, &d16[b]);
        float m = half_step(highest(fit.m + b * per, per) / type->most, &dmin16[b]);
        for (int j = 0; j < per; j++) d[b * per + j] = s, dmin[b * per + j] = m;
    }
    /* Where importance differs from column to column there is more to be found. */
    affine_multiples(&t, type->top, type->most, d, dmin, &fit, importance ? 4 : 3, importance ? 3 : 2, &best);
    for (int b = 0; b < blocks; b++) {
        uint8_t q[SUPER], ks[16], km[16];
        for (int j = 0; j < per; j++) {
            int lane = b * per + j;
            vf s = v_set(d[lane] * best.s[lane]), m = v_set(dmin[lane] * best.m[lane]), inverse = v_invert(s);
            vf shift = v_mul(m, inverse);
            for (int k = 0; k < type->size; k += LANES) {
                vf x = v_load(src + b * SUPER + j * type->size + k);
                v_store_bytes(q + j * type->size + k, v_round(v_clamp(v_fma(x, inverse, shift), 0, type->top)));
            }
            ks[j] = (uint8_t)best.s[lane];
            km[j] = (uint8_t)best.m[lane];
        }
        type->pack(dst + b * type->bytes, d16[b], dmin16[b], ks, km, q);
    }
}

INLINE void affine_row(const affine_type *type, const float *src, void *dst, size_t n, const float *importance) {
    int blocks = LOT * type->size / SUPER;
    uint8_t *out = dst;
    for (size_t at = 0; at < n; at += (size_t)blocks * SUPER) {
        int now = n - at < (size_t)blocks * SUPER ? 1 : blocks;
        affine_lot(type, src + at, out, now, importance ? importance + at : NULL);
        out += now * type->bytes;
    }
}

/* Eight pairs of six bits in twelve bytes. */
static void pack_pairs(uint8_t *p, const uint8_t *ks, const uint8_t *km) {
    for (int j = 0; j < 4; j++) {
        p[j] = (uint8_t)(ks[j] | (ks[j + 4] >> 4) << 6);
        p[j + 4] = (uint8_t)(km[j] | (km[j + 4] >> 4) << 6);
        p[j + 8] = (uint8_t)((ks[j + 4] & 15) | (km[j + 4] & 15) << 4);
    }
}

static void pack_q4_k(uint8_t *p, uint16_t d, uint16_t dmin, const uint8_t *ks, const uint8_t *km, const uint8_t *q) {
    put16(p, d);
    put16(p + 2, dmin);
    pack_pairs(p + 4, ks, km);
    for (int j = 0; j < SUPER / 2; j += 32)
        for (int k = 0; k < 32; k++) p[16 + j + k] = (uint8_t)(q[2 * j + k] | q[2 * j + 32 + k] << 4);
}

static void pack_q5_k(uint8_t *p, uint16_t d, uint16_t dmin, const uint8_t *ks, const uint8_t *km, const uint8_t *q) {
    put16(p, d);
    put16(p + 2, dmin);
    pack_pairs(p + 4, ks, km);
    for (int k = 0; k < 32; k++) {
        uint8_t bits = 0;
        for (int j = 0; j < 8; j++) bits = (uint8_t)(bits | (q[32 * j + k] >> 4) << j);
        p[16 + k] = bits;
    }
    for (int j = 0; j < SUPER / 2; j += 32)
        for (int k = 0; k < 32; k++) p[48 + j + k] = (uint8_t)((q[2 * j + k] & 15) | (q[2 * j + 32 + k] & 15) << 4);
}

/* Two bits of 256 codes: four planes of 32 in each half. */
static void pack_crumbs(uint8_t *p, const uint8_t *q) {
    for (int half = 0; half < 2; half++, q += 128, p += 32)
        for (int k = 0; k < 32; k++)
            p[k] = (uint8_t)((q[k] & 3) | (q[k + 32] & 3) << 2 | (q[k + 64] & 3) << 4 | (q[k + 96] & 3) << 6);
}

static void pack_q2_k(uint8_t *p, uint16_t d, uint16_t dmin, const uint8_t *ks, const uint8_t *km, const uint8_t *q) {
    for (int j = 0; j < 16; j++) p[j] = (uint8_t)(ks[j] | km[j] << 4);
    pack_crumbs(p + 16, q);
    put16(p + 80, d);
    put16(p + 82, dmin);
}

static const affine_type type_q2_k = { 3, 15, 0.1f, 16, 84, pack_q2_k };
static const affine_type type_q4_k = { 15, 63, 0.17f, 32, 144, pack_q4_k };
static const affine_type type_q5_k = { 31, 63, 0.15f, 32, 176, pack_q5_k };

/* ---- scale alone: q3_k, q6_k ---- */

typedef struct scale_type {
    scale_plan plan;
    int bytes;
    void (*pack)(uint8_t *block, uint16_t d, const int8_t *ks, const uint8_t *q); /* q from 0 */
} scale_type;

INLINE void scale_row(const scale_type *type, const float *src, void *dst, size_t n, const float *importance) {
    const scale_plan *plan = &type->plan;
    uint8_t *out = dst;
    for (size_t at = 0; at < n; at += SUPER, out += type->bytes) {
        lot t;
        found fit, best;
        float step = 0; /* scale_steps sets both; gcc for aarch64 does not see it */
        uint16_t d16 = 0;
        lot_fill(&t, src + at, importance ? importance + at : NULL, 16, 16);
        lot_weigh(&t, importance, 16, plan->even);
        scale_free(&t, plan, &fit);
        scale_steps(&t, plan, 16, &fit, importance, &step, &d16, &best);
        uint8_t q[SUPER];
        int8_t ks[16];
        for (int j = 0; j < LOT; j++) {
            float s = step * best.s[j];
            vf inverse = v_set(fabsf(s) > 0 ? 1 / s : 0), off, zero = v_set(-plan->codes.low);
            for (int k = 0; k < 16; k += LANES) {
                vf x = v_load(src + at + j * 16 + k);
                v_store_bytes(q + j * 16 + k, v_add(grid_nearest(&plan->codes, x, inverse, &off), zero));
            }
            ks[j] = (int8_t)best.s[j];
        }
        type->pack(out, d16, ks, q);
    }
}

static void pack_q3_k(uint8_t *p, uint16_t d, const int8_t *ks, const uint8_t *q) {
    for (int k = 0; k < 32; k++) {
        uint8_t bits = 0;
        for (int j = 0; j < 8; j++) bits = (uint8_t)(bits | (q[32 * j + k] >> 2) << j);
        p[k] = bits;
    }
    pack_crumbs(p + 32, q);
    uint8_t *scales = p + 96;
    memset(scales, 0, 12);
    for (int j = 0; j < 16; j++) { /* 16 times six bits: four in nibbles, two above in the last four bytes */
        int k = ks[j] + 32;
        scales[j % 8] = (uint8_t)(scales[j % 8] | (k & 15) << (j / 8 * 4));
        scales[8 + j % 4] = (uint8_t)(scales[8 + j % 4] | k >> 4 << (j / 4 * 2));
    }
    put16(p + 108, d);
}

static void pack_q6_k(uint8_t *p, uint16_t d, const int8_t *ks, const uint8_t *q) {
    for (int half = 0; half < 2; half++, q += 128)
        for (int k = 0; k < 32; k++) {
            p[64 * half + k] = (uint8_t)((q[k] & 15) | (q[k + 64] & 15) << 4);
            p[64 * half + 32 + k] = (uint8_t)((q[k + 32] & 15) | (q[k + 96] & 15) << 4);
            p[128 + 32 * half + k] =
                (uint8_t)(q[k] >> 4 | q[k + 32] >> 4 << 2 | q[k + 64] >> 4 << 4 | q[k + 96] >> 4 << 6);
        }
    memcpy(p + 192, ks, 16);
    put16(p + 208, d);
}

static const float levels_q3_k[] = { 4.4f, 4.0f, 3.6f, 3.2f, 2.8f, -4.4f, -4.0f, -3.6f, -3.2f, -2.8f };
static const float levels_q6_k[] = { 31.5f, 30.9f, 30.3f, -32.2f, -31.6f, -31.0f };
static const float whole_q3_k[] = { -4, -3, 3 }, whole_q6_k[] = { -32, 31 };

static const scale_type type_q3_k = {
    .plan = { .codes = { -4, 3, NULL, NULL }, .even = 0.12f, .levels = levels_q3_k, .n_levels = 10, .polish = 2,
              .whole = whole_q3_k, .n_whole = 3, .reach = 4, .more = 10, .least = -32, .most = 31, .ways = 2 },
    .bytes = 110,
    .pack = pack_q3_k,
};
static const scale_type type_q6_k = {
    .plan = { .codes = { -32, 31, NULL, NULL }, .even = 0.1f, .levels = levels_q6_k, .n_levels = 6, .polish = 1,
              .whole = whole_q6_k, .n_whole = 2, .reach = 3, .more = 6, .least = -128, .most = 127, .ways = 1 },
    .bytes = 210,
    .pack = pack_q6_k,
};

static void q3_k(const float *src, void *dst, size_t n, const float *importance) {
    scale_row(&type_q3_k, src, dst, n, importance);
}
static void q6_k(const float *src, void *dst, size_t n, const float *importance) {
    scale_row(&type_q6_k, src, dst, n, importance);
}
static void q4_k(const float *src, void *dst, size_t n, const float *importance) {
    affine_row(&type_q4_k, src, dst, n, importance);
}
static void q5_k(const float *src, void *dst, size_t n, const float *importance) {
    affine_row(&type_q5_k, src, dst, n, importance);
}
static void q2_k(const float *src, void *dst, size_t n, const float *importance) {
    affine_row(&type_q2_k, src, dst, n, importance);
}

const quantize_k_set K_TABLE = { .q2_k = q2_k, .q3_k = q3_k, .q4_k = q4_k, .q5_k = q5_k, .q6_k = q6_k };
