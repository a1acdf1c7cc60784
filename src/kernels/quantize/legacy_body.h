/* q4_0 q4_1 q5_0 q5_1 q8_0 q8_1 q8_k. Compiled once for each instruction set; the file that includes it has chosen the
 * lanes and defines LEGACY_TABLE.
 *
 * Without importance the first five give the bits of gguf-py/gguf/quants.py, the last two those of
 * quantize_row_q8_1_ref and quantize_row_q8_K_ref in ggml-quants.c: scales divided in f32, codes rounded with the scale
 * before it becomes f16. Where 1 / scale is beyond f32, which is left open there, all codes are those of zero. With
 * importance the first four search for scales (search.h); the others have eight bits and nothing to gain. */
#include "kernels/quantize/legacy_kernels.h"
#include "kernels/quantize/search_affine.h"
#include "kernels/quantize/search_scale.h"

enum { BLOCK = 32, SUPER = 256 };

static uint16_t half_bits(float x) {
    return cast_f32_to_f16(cast_f32_bits(x));
}

static float invert(float d) {
    float inverse = fabsf(d) > 0 ? 1 / d : 0;
    return isfinite(inverse) ? inverse : 0;
}

/* The smallest and the largest of n numbers. */
INLINE void extremes(const float *x, int n, float *low, float *high) {
    vf a = v_load(x), b = a;
    for (int k = LANES; k < n; k += LANES) {
        a = v_min(a, v_load(x + k));
        b = v_max(b, v_load(x + k));
    }
    *low = v_lowest(a);
    *high = v_highest(b);
}

/* The smallest; of zeros of both signs the first. */
INLINE float lowest(const float *x, int n, float low) {
    for (int k = 0; k < n && !(fabsf(low) > 0); k++)
        if (!(fabsf(float_at(x, k)) > 0)) return float_at(x, k);
    return low;
}

/* The element of largest magnitude with its sign; of equals the first. */
INLINE float furthest(const float *x, int n) {
    float low, high;
    extremes(x, n, &low, &high);
    if (high > -low) return high;
    if (high < -low) return low;
    for (int k = 0; k < n; k++)
        if (fabsf(float_at(x, k)) >= high) return float_at(x, k);
    return 0;
}

/* ---- packing ---- */

static void pack4(uint8_t *p, const uint8_t *q) {
    for (int k = 0; k < 16; k++) p[k] = (uint8_t)((q[k] & 15) | q[k + 16] << 4);
}

static void pack_fifth(uint8_t *p, const uint8_t *q) {
    for (int i = 0; i < 4; i++, q += 8) { /* bit 4 of eight bytes to one byte */
        uint64_t eight;
        memcpy(&eight, q, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        eight = __builtin_bswap64(eight);
#endif
        p[i] = (uint8_t)(((eight >> 4 & 0x0101010101010101u) * 0x0102040810204080u) >> 56);
    }
}

/* ---- without importance ---- */

typedef struct legacy_type {
    int bits, bytes;
    bool min; /* scale and minimum */
} legacy_type;

static void pack_block(const legacy_type *type, uint8_t *p, uint16_t d, uint16_t m, const uint8_t *q) {
    put16(p, d);
    p += 2;
    if (type->min) {
        put16(p, m);
        p += 2;
    }
    if (type->bits == 5) {
        pack_fifth(p, q);
        p += 4;
    }
    pack4(p, q);
}

INLINE void plain_block(const legacy_type *type, const float *x, uint8_t *out) {
    float top = (float)((1 << type->bits) - 1), zero = (float)(1 << (type->bits - 1)), d, low = 0, high;
    if (type->min) {
        extremes(x, BLOCK, &low, &high);
        d = (high - low) / top;
        low = lowest(x, BLOCK, low);
    } else {
        d = furthest(x, BLOCK) / -zero;
    }
    vf inverse = v_set(invert(d)), from = v_set(low), half = v_set(type->min ? 0.5f : zero + 0.5f);
    uint8_t q[BLOCK];
    for (int k = 0; k < BLOCK; k += LANES) {
        vf y = v_load(x + k);
        if (type->min) y = v_sub(y, from);
        v_store_bytes(q + k, v_min(v_add(v_mul(y, inverse), half), v_set(top))); /* cut off to whole numbers */
    }
    pack_block(type, out, half_bits(d), half_bits(low), q);
}

/* ---- with importance ---- */

static const float starts[] = { 1.0f, 0.95f, 0.9f, 0.85f };
static const float levels_q4[] = { -8.6f, -8.2f, -7.8f, -7.4f, -7.0f, -6.6f, 8.4f, 8.0f, 7.6f, 7.2f, 6.8f, 6.4f };
static const float levels_q5[] = { -16.6f, -16.2f, -15.8f, -15.4f, -15.0f, -14.6f,
                                   16.2f,  15.8f,  15.4f,  15.0f,  14.6f,  14.2f };
static const float whole_q4[] = { -8, 7 }, whole_q5[] = { -16, 15 };
static const scale_plan plan_q4 = {
    .codes = { -8, 7, NULL, NULL }, .even = 0.3f, .levels = levels_q4, .n_levels = 12, .polish = 3,
    .whole = whole_q4, .n_whole = 2, .reach = 8,
};
static const scale_plan plan_q5 = {
    .codes = { -16, 15, NULL, NULL }, .even = 0.22f, .levels = levels_q5, .n_levels = 12, .polish = 3,
    .whole = whole_q5, .n_whole = 2, .reach = 8,
};

INLINE void weighed_lot(const legacy_type *type, const float *src, uint8_t *out, int blocks, const float *importance) {
    const scale_plan *plan = type->bits == 4 ? &plan_q4 : &plan_q5;
    float top = (float)((1 << type->bits) - 1);
    lot t;
    found fit, best;
    lot_fill(&t, src, importance, BLOCK, blocks);
    lot_weigh(&t, true, 1, type->min ? 0.12f : plan->even);
    if (type->min) {
        lot_centre(&t);
        affine_free(&t, top, true, starts, 4, 2, &fit);
        affine_halves(&t, top, &fit, 4, 4, &best);
    } else {
        scale_free(&t, plan, &fit);
        scale_halves(&t, plan, &fit, &best);
    }
    for (int b = 0; b < blocks; b++, src += BLOCK, out += type->bytes) {
        uint16_t d16, m16 = 0;
        float d = half_nearest(best.s[b], &d16), m = type->min ? half_nearest(-best.m[b], &m16) : 0;
        vf inverse = v_set(invert(d)), from = v_set(m), off;
        uint8_t q[BLOCK];
        for (int k = 0; k < BLOCK; k += LANES) {
            vf x = v_load(src + k);
            if (type->min) x = v_round(v_clamp(v_mul(v_sub(x, from), inverse), 0, top));
            else x = v_add(grid_nearest(&plan->codes, x, inverse, &off), v_set(-plan->codes.low));
            v_store_bytes(q + k, x);
        }
        pack_block(type, out, d16, m16, q);
    }
}

INLINE void legacy_row(legacy_type type, const float *src, void *dst, size_t n, const float *importance) {
    uint8_t *out = dst;
    if (!importance) {
        for (size_t at = 0; at < n; at += BLOCK, out += type.bytes) plain_block(&type, src + at, out);
        return;
    }
    for (size_t at = 0; at < n; at += LOT * BLOCK, out += LOT * type.bytes) {
        size_t left = (n - at) / BLOCK;
        weighed_lot(&type, src + at, out, left < LOT ? (int)left : LOT, importance + at);
    }
}

static void q4_0(const float *src, void *dst, size_t n, const float *importance) {
    legacy_row((legacy_type){ 4, 18, false }, src, dst, n, importance);
}
static void q4_1(const float *src, void *dst, size_t n, const float *importance) {
    legacy_row((legacy_type){ 4, 20, true }, src, dst, n, importance);
}
static void q5_0(const float *src, void *dst, size_t n, const float *importance) {
    legacy_row((legacy_type){ 5, 22, false }, src, dst, n, importance);
}
static void q5_1(const float *src, void *dst, size_t n, const float *importance) {
    legacy_row((legacy_type){ 5, 24, true }, src, dst, n, importance);
}

/* ---- eight bits ---- */

/* Halves go away from zero, as roundf's: adding just less than a half and cutting off, for |x| < 2^22. */
INLINE vf round_away(vf x) {
    vf half = v_set(0x1.fffffep-2f);
    return v_add(x, v_pick(v_less(x, v_set(0)), v_sub(v_set(0), half), half));
}

/* The scale; codes go to `out`. */
INLINE float eight_bits(const float *x, uint8_t *out) {
    float low, high;
    extremes(x, BLOCK, &low, &high);
    float d = fabsf(high > -low ? high : low) / 127;
    vf inverse = v_set(invert(d));
    for (int k = 0; k < BLOCK; k += LANES) v_store_bytes(out + k, round_away(v_mul(v_load(x + k), inverse)));
    return d;
}

static void q8_0(const float *src, void *dst, size_t n, const float *importance) {
    (void)importance;
    uint8_t *out = dst;
    for (size_t at = 0; at < n; at += BLOCK, out += 34) put16(out, half_bits(eight_bits(src + at, out + 2)));
}

static int sum_of(const uint8_t *q, int n) {
    int sum = 0;
    for (int k = 0; k < n; k++) sum += (int8_t)q[k];
    return sum;
}

static void q8_1(const float *src, void *dst, size_t n, const float *importance) {
    (void)importance;
    uint8_t *out = dst;
    for (size_t at = 0; at < n; at += BLOCK, out += 36) {
        float d = eight_bits(src + at, out + 4);
        put16(out, half_bits(d));
        put16(out + 2, half_bits((float)sum_of(out + 4, BLOCK) * d));
    }
}

static void q8_k(const float *src, void *dst, size_t n, const float *importance) {
    (void)importance;
    uint8_t *out = dst;
    for (size_t at = 0; at < n; at += SUPER, out += 292) {
        float most = furthest(src + at, SUPER), scale = fabsf(most) > 0 ? -127 / most : 0;
        float d = fabsf(scale) > 0 && isfinite(scale) ? 1 / scale : 0;
        vf by = v_set(isfinite(scale) ? scale : 0);
        memcpy(out, &d, 4);
        for (int k = 0; k < SUPER; k += LANES)
            v_store_bytes(out + 4 + k, v_min(v_round(v_mul(v_load(src + at + k), by)), v_set(127)));
        for (int j = 0; j < 16; j++) put16(out + 260 + 2 * j, (uint16_t)sum_of(out + 4 + 16 * j, 16));
    }
}

const quantize_legacy_set LEGACY_TABLE = { q4_0, q4_1, q5_0, q5_1, q8_0, q8_1, q8_k };
