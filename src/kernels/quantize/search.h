/* The search for scales that the encoders share: sixteen sub-blocks side by side, one a lane.
 *
 * A sub-block x[0..size) with weights w is to be written as s * q (q whole, in a range, or from a table) or as
 * s * q - m (q whole, 0..n). For given codes the best s and m are a weighted least-squares fit, and its error follows
 * from three sums over the sub-block:
 *
 *     sum w (x - s q + m)^2 = Sxx - 2 s Sxq + s^2 Sqq + 2 m Sx - 2 s m Sq + m^2 Sw
 *
 * so that one pass over x tells how good a candidate is and a better one near it (Lloyd 1982, "Least squares
 * quantization in PCM", with a uniform grid). Formats keep s and m as small whole multiples of a scale of the
 * super-block: candidates are those multiples, so that nothing is lost in rounding afterwards.
 *
 * Loops run over lanes in steps of LANES and never add across lanes but in plain C in a fixed order: all instruction
 * sets choose the same candidates. */
#ifndef KERNELS_QUANTIZE_SEARCH_H
#define KERNELS_QUANTIZE_SEARCH_H

#include "kernels/quantize/lanes.h"

enum { LOT = 16, MOST = 32 };

/* Sixteen sub-blocks; x[k * LOT + j] is element k of sub-block j. */
typedef struct lot {
    int size;            /* elements of a sub-block */
    float x[MOST * LOT]; /* search_affine takes their mean away */
    float w[MOST * LOT];
    float low[LOT], high[LOT], mean[LOT];
    float sw[LOT], sxx[LOT]; /* sums of w and w x^2 */
} lot;

/* What a search found for each sub-block. */
typedef struct found {
    float s[LOT], m[LOT]; /* scale and minimum, or multiples of the super-block's */
    float error[LOT];     /* sum of w (x - decoded)^2 */
} found;

/* 1 / s, and 0 for an s of no use: zero, negative, or so far below f16 that its inverse might not be finite. */
#define SEARCH_LEAST 0x1p-100f

INLINE vf v_invert(vf s) {
    return v_pick(v_less(v_set(SEARCH_LEAST), s), v_div(v_set(1), s), v_set(0));
}

/* ---- filling ---- */

/* Sub-blocks 0..count of src, and of importance where given; the rest are zeros. */
static void lot_fill(lot *t, const float *src, const float *importance, int size, int count) {
    t->size = size;
    for (int j = 0; j < LOT; j++)
        for (int k = 0; k < size; k++) {
            int at = j * size + k;
            t->x[k * LOT + j] = j < count ? float_at(src, at) : 0;
            t->w[k * LOT + j] = j < count ? importance ? float_at(importance, at) : 1 : 0;
        }
}

/* Weights from importance: w = (i / mean + even) * (1 + LEAN * |x| / rms), the mean over the lot, rms over the `per`
 * sub-blocks that share a scale. `even` keeps columns without importance from being given up, as they cost nothing; it
 * is as large as leaves the weighed error no more than llama-quantize's, which lowers the plain error most. LEAN gives
 * large elements a little more than their share, which plain squares hardly notice. */
#define SEARCH_LEAN 0.5f

static void lot_weigh(lot *t, bool importance, int per, float even) {
    float square[LOT], sum_w[LOT], inverse[LOT], all = 0;
    for (int l = 0; l < LOT; l += LANES) {
        vf sum = v_set(0), low = v_load(t->x + l), high = low, total = v_set(0);
        for (int k = 0; k < t->size; k++) {
            vf x = v_load(t->x + k * LOT + l);
            sum = v_fma(x, x, sum);
            low = v_min(low, x);
            high = v_max(high, x);
            total = v_add(total, v_load(t->w + k * LOT + l));
        }
        v_store(square + l, sum);
        v_store(sum_w + l, total);
        v_store(t->low + l, low);
        v_store(t->high + l, high);
    }
    for (int j = 0; j < LOT; j++) all += sum_w[j] / (float)(LOT * t->size);
    for (int at = 0; at < LOT; at += per) {
        float sum = 0;
        for (int j = 0; j < per; j++) sum += square[at + j];
        float rms = sqrtf(sum / (float)(per * t->size));
        for (int j = 0; j < per; j++) inverse[at + j] = rms > 0 ? SEARCH_LEAN / rms : 0;
    }
    bool some = importance && all > 0 && isfinite(all);
    vf unit = v_set(some ? 1 / all : 0), least = v_set(some ? even : 1);
    for (int l = 0; l < LOT; l += LANES) {
        vf sw = v_set(0), sx = sw, sxx = sw, by = v_load(inverse + l);
        for (int k = 0; k < t->size; k++) {
            vf x = v_load(t->x + k * LOT + l), w = v_fma(v_load(t->w + k * LOT + l), unit, least);
            w = v_fma(v_mul(w, v_abs(x)), by, w);
            v_store(t->w + k * LOT + l, w);
            vf wx = v_mul(w, x);
            sw = v_add(sw, w);
            sx = v_add(sx, wx);
            sxx = v_fma(wx, x, sxx);
        }
        v_store(t->sw + l, sw);
        v_store(t->sxx + l, sxx);
        v_store(t->mean + l, v_div(sx, sw));
    }
}

/* ---- f16 ---- */

/* The nearest finite f16, as bits and as what they mean. */
static float half_nearest(float x, uint16_t *bits) {
    uint16_t h = cast_f32_to_f16(cast_f32_bits(x));
    if ((h & 0x7fff) > 0x7bff) h = (uint16_t)((h & 0x8000) | 0x7bff);
    *bits = h;
    return cast_f32_from_bits(cast_f16_to_f32(h));
}

/* An f16 for multiples of what is near x, never 0 unless x is: the smallest may serve where x itself is too small. */
INLINE float half_step(float x, uint16_t *bits) {
    float step = half_nearest(x, bits);
    if (fabsf(step) > 0 || !(fabsf(x) > 0)) return step;
    *bits = 1;
    return 0x1p-24f;
}

static void put16(uint8_t *p, uint16_t x) {
    p[0] = (uint8_t)x;
    p[1] = (uint8_t)(x >> 8);
}

#endif
