/* The search of search.h for a scale alone: x = s * q, q whole or from a table, s of any sign. */
#ifndef KERNELS_QUANTIZE_SEARCH_SCALE_H
#define KERNELS_QUANTIZE_SEARCH_SCALE_H

#include "kernels/quantize/search.h"

/* The codes that a scale multiplies: whole numbers low..high, or the values of a table, given by the two values nearest
 * to any number in the cell of width 8 that starts at -128 + 8 i. */
typedef struct grid {
    float low, high;
    const float *lower, *upper; /* of the 32 cells; NULL: whole numbers */
} grid;

/* Where a table has the cell of y. */
INLINE vf grid_place(vf y) {
    return v_add(v_clamp(v_fma(y, v_set(0.125f), v_set(15.5f)), 0, 31), v_set(LANES_ROUND));
}

/* The code nearest to x * inverse, and how far that is. */
INLINE vf grid_nearest(const grid *g, vf x, vf inverse, vf *off) {
    if (!g->lower) {
        vf q = v_fma(x, inverse, v_set(LANES_ROUND));
        q = v_sub(v_clamp(q, LANES_ROUND + g->low, LANES_ROUND + g->high), v_set(LANES_ROUND));
        *off = v_fma(x, inverse, v_sub(v_set(0), q));
        return q;
    }
    vf y = v_mul(x, inverse), place = grid_place(y);
    vf lower = v_look32(g->lower, place), upper = v_look32(g->upper, place);
    vf above = v_sub(y, lower), below = v_sub(upper, y);
    vm up = v_less(v_abs(below), v_abs(above));
    *off = v_pick(up, below, above);
    return v_pick(up, upper, lower);
}

/* The best s of every sub-block where nothing but codes limits it: the largest element tried at each of `levels`, of
 * both signs, fitted, and `polish` fits from the best. */
INLINE void scale_free(const lot *t, const grid *g, const float *levels, int n_levels, int polish, found *best) {
    for (int l = 0; l < LOT; l += LANES) {
        vf zero = v_set(0), high = v_load(t->high + l), low = v_sub(zero, v_load(t->low + l));
        vf top = v_max(high, low), best_s = zero, best_gain = zero;
        for (int c = 0; c < n_levels + polish; c++) {
            vf s = c < n_levels ? v_div(top, v_set(levels[c])) : best_s, inverse, off;
            inverse = v_pick(v_less(v_set(SEARCH_LEAST), v_abs(s)), v_div(v_set(1), s), zero);
            vf sqq = zero, sxq = zero;
            for (int k = 0; k < t->size; k++) {
                vf x = v_load(t->x + k * LOT + l), q = grid_nearest(g, x, inverse, &off);
                vf wq = v_mul(v_load(t->w + k * LOT + l), q);
                sqq = v_fma(wq, q, sqq);
                sxq = v_fma(wq, x, sxq);
            }
            vf fit = v_pick(v_less(zero, sqq), v_div(sxq, sqq), zero), gain = v_mul(fit, sxq);
            vm better = v_less(best_gain, gain);
            best_gain = v_pick(better, gain, best_gain);
            best_s = v_pick(better, fit, best_s);
        }
        v_store(best->s + l, best_s);
        v_store(best->error + l, v_sub(v_load(t->sxx + l), best_gain));
    }
}

/* What the scale s gives: sum of w (x - s q)^2. */
INLINE vf scale_error(const lot *t, const grid *g, int l, vf s) {
    vm usable = v_less(v_set(SEARCH_LEAST), v_abs(s));
    vf inverse = v_pick(usable, v_div(v_set(1), s), v_set(0)), sum = v_set(0), off;
    for (int k = 0; k < t->size; k++) {
        grid_nearest(g, v_load(t->x + k * LOT + l), inverse, &off);
        sum = v_fma(v_mul(v_load(t->w + k * LOT + l), off), off, sum);
    }
    return v_pick(usable, v_mul(v_mul(s, s), sum), v_load(t->sxx + l));
}

/* Multiples least..most of d (one a lane): within `reach` of what `free_` says, and those that bring the largest
 * element nearest to the codes `whole`. */
INLINE void scale_multiples(const lot *t, const grid *g, float least, float most, const float *d, const found *free_,
                            int reach, const float *whole, int n_whole, found *best) {
    for (int l = 0; l < LOT; l += LANES) {
        vf step = v_load(d + l), near = v_round(v_mul(v_load(free_->s + l), v_invert(step)));
        vf best_k = v_set(0), best_error = v_load(t->sxx + l);
        vf top = v_max(v_load(t->high + l), v_sub(v_set(0), v_load(t->low + l)));
        for (int c = -reach; c <= reach + n_whole; c++) {
            vf k = v_add(near, v_set((float)c));
            if (c > reach) k = v_round(v_mul(v_div(top, v_set(whole[c - reach - 1])), v_invert(step)));
            k = v_clamp(k, least, most);
            vf error = scale_error(t, g, l, v_mul(step, k));
            vm better = v_less(error, best_error);
            best_error = v_pick(better, error, best_error);
            best_k = v_pick(better, k, best_k);
        }
        v_store(best->s + l, best_k);
        v_store(best->error + l, best_error);
    }
}

/* Scales that f16 can hold, `reach` steps of a sixty-fourth to both sides of what `free_` says. */
INLINE void scale_halves(const lot *t, const grid *g, const found *free_, int reach, found *best) {
    for (int l = 0; l < LOT; l += LANES) {
        vf s = v_load(free_->s + l), best_s = v_set(0), best_error = v_set(INFINITY);
        for (int c = -reach; c <= reach; c++) {
            vf near = v_half(v_mul(s, v_set(1 + (float)c / 64))), error = scale_error(t, g, l, near);
            vm better = v_less(error, best_error);
            best_error = v_pick(better, error, best_error);
            best_s = v_pick(better, near, best_s);
        }
        v_store(best->s + l, best_s);
        v_store(best->error + l, best_error);
    }
}

#endif
