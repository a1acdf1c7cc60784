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

/* What to try for a type. */
typedef struct scale_plan {
    grid codes;
    float even;          /* lot_weigh */
    const float *levels; /* where scale_free puts the largest element */
    const float *whole;  /* codes that the element of largest magnitude is brought to; the first is the outermost */
    int n_levels, n_whole, polish, reach, more; /* more: reach with importance */
    float least, most;   /* multiples, where scales are */
    int ways;            /* steps tried, 1 or 2 */
} scale_plan;

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

/* The largest magnitude. */
INLINE vf scale_top(const lot *t, int l) {
    return v_max(v_load(t->high + l), v_sub(v_set(0), v_load(t->low + l)));
}

/* The element of largest magnitude. */
INLINE vf scale_furthest(const lot *t, int l) {
    vf high = v_load(t->high + l), low = v_load(t->low + l);
    return v_pick(v_less(high, v_sub(v_set(0), low)), low, high);
}

/* The best s of every sub-block where nothing but codes limits it: the largest element tried at each level, fitted,
 * and `polish` fits from the best. */
INLINE void scale_free(const lot *t, const scale_plan *plan, found *best) {
    for (int l = 0; l < LOT; l += LANES) {
        vf zero = v_set(0), top = scale_top(t, l), best_s = zero, best_gain = zero;
        for (int c = 0; c < plan->n_levels + plan->polish; c++) {
            vf s = c < plan->n_levels ? v_div(top, v_set(plan->levels[c])) : best_s, inverse, off;
            inverse = v_pick(v_less(v_set(SEARCH_LEAST), v_abs(s)), v_div(v_set(1), s), zero);
            vf sqq = zero, sxq = zero;
            for (int k = 0; k < t->size; k++) {
                vf x = v_load(t->x + k * LOT + l), q = grid_nearest(&plan->codes, x, inverse, &off);
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

/* The best multiples of d (one a lane): those within `reach` of what `free_` says, and those that bring the element of
 * largest magnitude nearest to the codes `whole`. */
INLINE void scale_multiples(const lot *t, const scale_plan *plan, const float *d, const found *free_, int reach,
                            found *best) {
    for (int l = 0; l < LOT; l += LANES) {
        vf step = v_load(d + l), per = v_div(v_set(1), step), near = v_round(v_mul(v_load(free_->s + l), per));
        vf best_k = v_set(0), best_error = v_load(t->sxx + l), furthest = scale_furthest(t, l);
        for (int c = -reach; c <= reach + plan->n_whole; c++) {
            vf k = v_add(near, v_set((float)c));
            if (c > reach) k = v_round(v_mul(v_div(furthest, v_set(plan->whole[c - reach - 1])), per));
            k = v_clamp(k, plan->least, plan->most);
            vf error = scale_error(t, &plan->codes, l, v_mul(step, k));
            vm better = v_less(error, best_error);
            best_error = v_pick(better, error, best_error);
            best_k = v_pick(better, k, best_k);
        }
        v_store(best->s + l, best_k);
        v_store(best->error + l, best_error);
    }
}

/* The best scales that f16 can hold: `reach` steps of a sixty-fourth to both sides of what `free_` says, and those that
 * bring the element of largest magnitude to the codes `whole`. */
INLINE void scale_halves(const lot *t, const scale_plan *plan, const found *free_, found *best) {
    for (int l = 0; l < LOT; l += LANES) {
        vf s = v_load(free_->s + l), best_s = v_set(0), best_error = v_set(INFINITY);
        vf furthest = scale_furthest(t, l);
        for (int c = -plan->reach; c <= plan->reach + plan->n_whole; c++) {
            vf near = v_mul(s, v_set(1 + (float)c / 64));
            if (c > plan->reach) near = v_div(furthest, v_set(plan->whole[c - plan->reach - 1]));
            near = v_half(near);
            vf error = scale_error(t, &plan->codes, l, near);
            vm better = v_less(error, best_error);
            best_error = v_pick(better, error, best_error);
            best_s = v_pick(better, near, best_s);
        }
        v_store(best->s + l, best_s);
        v_store(best->error + l, best_error);
    }
}

/* The scale that a super-block's step is made for: the largest found, or that which brings the element of largest
 * magnitude to the outermost code. */
INLINE float scale_widest(const lot *t, const scale_plan *plan, const found *free_, int at, int per, bool whole) {
    float widest = 0;
    for (int j = at; j < at + per; j++) {
        float s = fabsf(free_->s[j]);
        if (whole) s = (-t->low[j] > t->high[j] ? t->low[j] : t->high[j]) / plan->whole[0];
        if (fabsf(s) > fabsf(widest)) widest = s;
    }
    return widest;
}

/* Multiples of an f16 step for each `per` sub-blocks that share one. The largest scale found becomes `most` steps, or,
 * where that is better and two ways are wanted, the whole one `least`: negative multiples go one further. */
INLINE void scale_steps(const lot *t, const scale_plan *plan, int per, const found *free_, bool importance, float *step,
                        uint16_t *bits, found *best) {
    for (int way = 0; way < plan->ways; way++) {
        float d[LOT];
        uint16_t now_bits[LOT];
        found now;
        for (int at = 0; at < LOT; at += per) {
            float widest = scale_widest(t, plan, free_, at, per, way == 1);
            d[at] = half_step(widest / (way ? plan->least : plan->most), &now_bits[at / per]);
            for (int j = at + 1; j < at + per; j++) d[j] = d[at];
        }
        scale_multiples(t, plan, d, free_, importance ? plan->more : plan->reach, &now);
        for (int at = 0; at < LOT; at += per) {
            float sum[2] = { 0, 0 };
            for (int j = at; way && j < at + per; j++) sum[0] += best->error[j], sum[1] += now.error[j];
            if (way && !(sum[1] < sum[0])) continue;
            step[at / per] = d[at];
            bits[at / per] = now_bits[at / per];
            memcpy(best->s + at, now.s + at, sizeof *d * (size_t)per);
            memcpy(best->error + at, now.error + at, sizeof *d * (size_t)per);
        }
    }
}

#endif
