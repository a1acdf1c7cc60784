/* iq4_nl and iq4_xs: sixteen values from a table, times a scale. Compiled once for each instruction set; the file that
 * includes it has chosen the lanes and defines IQ4_TABLE.
 *
 * Values: kvalues_iq4nl of llama.cpp's ggml-common.h (gguf-py/gguf/quants.py, class IQ4_NL):
 * -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113
 * Layouts: block_iq4_nl, block_iq4_xs there. */
#include "kernels/quantize/iq4_kernels.h"
#include "kernels/quantize/search_scale.h"

enum { BLOCK = 32, SUPER = 256 };

/* For each cell of 8 from -128 on: the value nearest to its lower end, that nearest to its upper end (no cell meets
 * three), and the code of the first. */
static const float lower[32] = {
    -127, -127, -104, -104, -104, -83, -83, -65, -65, -49, -49, -35, -35, -22, -22, -10, 1, 13, 13, 25, 38, 38, 53,
    53, 69, 69, 89, 89, 89, 113, 113, 113,
};
static const float upper[32] = {
    -127, -104, -104, -104, -83, -83, -65, -65, -49, -49, -35, -35, -22, -22, -10, 1, 13, 13, 25, 38, 38, 53, 53, 69,
    69, 89, 89, 89, 113, 113, 113, 113,
};
static const float lower_code[32] = {
    0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 9, 10, 11, 11, 12, 12, 13, 13, 14, 14, 14, 15, 15, 15,
};

/* The codes of a block with scale s: element k beside element k + 16. */
static void pack_codes(uint8_t *p, const float *x, float s) {
    uint8_t q[BLOCK];
    vf inverse = v_set(fabsf(s) > 0 ? 1 / s : 0);
    for (int k = 0; k < BLOCK; k += LANES) {
        vf y = v_mul(v_load(x + k), inverse), place = grid_place(y), low = v_look32(lower, place);
        vm up = v_less(v_abs(v_sub(v_look32(upper, place), y)), v_abs(v_sub(y, low)));
        vf code = v_look32(lower_code, place);
        v_store_bytes(q + k, v_pick(up, v_add(code, v_set(1)), code));
    }
    for (int k = 0; k < 16; k++) p[k] = (uint8_t)(q[k] | q[k + 16] << 4);
}

static const float levels[] = { 135, 125, 115, 105, -135, -125, -115, -105 }, whole[] = { -127, 113 };
static const scale_plan plan_nl = {
    .codes = { 0, 0, lower, upper }, .even = 0.2f, .levels = levels, .n_levels = 8, .polish = 2,
    .whole = whole, .n_whole = 2, .reach = 6, /* halves */
};
static const scale_plan plan_xs = {
    .codes = { 0, 0, lower, upper }, .even = 0.2f, .levels = levels, .n_levels = 8, .polish = 2,
    .whole = whole, .n_whole = 2, .reach = 4, .more = 4, .least = -32, .most = 31, .ways = 2,
};

static void iq4_nl(const float *src, void *dst, size_t n, const float *importance) {
    uint8_t *out = dst;
    for (size_t at = 0; at < n; at += LOT * BLOCK) {
        size_t left = (n - at) / BLOCK;
        int blocks = left < LOT ? (int)left : LOT;
        lot t;
        found fit, best;
        lot_fill(&t, src + at, importance ? importance + at : NULL, BLOCK, blocks);
        lot_weigh(&t, importance, 1, plan_nl.even);
        scale_free(&t, &plan_nl, &fit);
        scale_halves(&t, &plan_nl, &fit, &best);
        for (int b = 0; b < blocks; b++, out += 18) {
            uint16_t d16;
            float d = half_nearest(best.s[b], &d16);
            put16(out, d16);
            pack_codes(out + 2, src + at + b * BLOCK, d);
        }
    }
}

/* Two super-blocks of eight. */
static void xs_lot(const float *src, uint8_t *out, int blocks, const float *importance) {
    lot t;
    found fit, best;
    lot_fill(&t, src, importance, BLOCK, blocks * 8);
    lot_weigh(&t, importance, 8, plan_xs.even);
    scale_free(&t, &plan_xs, &fit);
    float step[2];
    uint16_t d16[2];
    scale_steps(&t, &plan_xs, 8, &fit, importance, step, d16, &best);
    for (int b = 0; b < blocks; b++, out += 136) {
        unsigned above = 0;
        memset(out, 0, 8);
        for (int j = 0; j < 8; j++) { /* six bits: four in nibbles, two above in one u16 */
            int lane = 8 * b + j, k = (int)best.s[lane] + 32;
            above |= (unsigned)k >> 4 << 2 * j;
            out[4 + j / 2] = (uint8_t)(out[4 + j / 2] | (k & 15) << (j % 2 * 4));
            pack_codes(out + 8 + 16 * j, src + lane * BLOCK, step[b] * best.s[lane]);
        }
        put16(out, d16[b]);
        put16(out + 2, (uint16_t)above);
    }
}

static void iq4_xs(const float *src, void *dst, size_t n, const float *importance) {
    uint8_t *out = dst;
    for (size_t at = 0; at < n; at += 2 * SUPER, out += 2 * 136)
        xs_lot(src + at, out, n - at < 2 * SUPER ? 1 : 2, importance ? importance + at : NULL);
}

const quantize_iq4_set IQ4_TABLE = { iq4_nl, iq4_xs };
