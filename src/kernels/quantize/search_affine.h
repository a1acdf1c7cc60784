/* The search of search.h for a scale and a minimum: x = s * q - m, q whole, 0..top, s >= 0. */
#ifndef KERNELS_QUANTIZE_SEARCH_AFFINE_H
#define KERNELS_QUANTIZE_SEARCH_AFFINE_H

#include "kernels/quantize/search.h"

/* Takes the mean away, so that little cancels in the sums of sub-blocks far from zero. */
static void lot_centre(lot *t) {
    for (int l = 0; l < LOT; l += LANES) {
        vf mean = v_load(t->mean + l), sxx = v_set(0);
        for (int k = 0; k < t->size; k++) {
            vf x = v_sub(v_load(t->x + k * LOT + l), mean);
            v_store(t->x + k * LOT + l, x);
            sxx = v_fma(v_mul(v_load(t->w + k * LOT + l), x), x, sxx);
        }
        v_store(t->sxx + l, sxx);
    }
}

/* q = nearest of 0..top to x * inverse + shift, and its sums. */
INLINE void affine_sums(const lot *t, int l, vf top, vf inverse, vf shift, vf *sq, vf *sqq, vf *sxq) {
    vf q1 = v_set(0), q2 = q1, xq = q1;
    for (int k = 0; k < t->size; k++) {
        vf x = v_load(t->x + k * LOT + l), w = v_load(t->w + k * LOT + l);
        vf q = v_round(v_min(v_max(v_fma(x, inverse, shift), v_set(0)), top)), wq = v_mul(w, q);
        q1 = v_add(q1, wq);
        q2 = v_fma(wq, q, q2);
        xq = v_fma(wq, x, xq);
    }
    *sq = q1;
    *sqq = q2;
    *sxq = xq;
}

/* The error of s and m (of centred x) for codes with these sums. */
INLINE vf affine_error(vf sxx, vf sw, vf s, vf m, vf sq, vf sqq, vf sxq) {
    vf a = v_sub(v_mul(s, sqq), v_add(v_add(sxq, sxq), v_mul(v_add(m, m), sq)));
    return v_add(sxx, v_fma(s, a, v_mul(v_mul(m, m), sw)));
}

/* Free s >= 0 and m (>= 0 unless of any sign) of every sub-block: a fit after each of `starts`, which say what part of
 * the range from the smallest element to the largest the codes 0..top cover, and `polish` fits from the best. */
INLINE void affine_free(const lot *t, float top, bool any_sign, const float *starts, int n_starts, int polish,
                        found *best) {
    for (int l = 0; l < LOT; l += LANES) {
        vf zero = v_set(0), mean = v_load(t->mean + l), sw = v_load(t->sw + l), sxx = v_load(t->sxx + l);
        vf low = v_load(t->low + l), range;
        if (!any_sign) low = v_min(low, zero);
        range = v_max(v_sub(v_load(t->high + l), low), zero);
        vf best_s = v_div(range, v_set(top)), best_m = v_sub(mean, low), best_error = v_set(INFINITY);
        for (int c = 0; c < n_starts + polish; c++) {
            vf s = best_s, m = best_m;
            if (c < n_starts) {
                s = v_mul(range, v_set(starts[c] / top));
                m = v_sub(mean, v_fma(range, v_set((1 - starts[c]) / 2), low));
                if (!any_sign) m = v_max(m, mean);
            }
            vf inverse = v_invert(s), sq, sqq, sxq;
            affine_sums(t, l, v_set(top), inverse, v_mul(m, inverse), &sq, &sqq, &sxq);
            vf mean_q = v_div(sq, sw), spread = v_sub(sqq, v_mul(sq, mean_q));
            vf fit = v_div(sxq, spread), fit_m = v_mul(fit, mean_q);
            if (!any_sign) {
                vm outside = v_less(fit_m, mean); /* there m would be negative */
                fit = v_pick(outside, v_div(v_fma(mean, sq, sxq), sqq), fit);
                fit_m = v_pick(outside, mean, fit_m);
            }
            vm usable = v_less(v_mul(sqq, v_set(0x1p-16f)), spread); /* more than one code, and not rounding */
            s = v_pick(usable, v_max(fit, zero), s);
            m = v_pick(usable, fit_m, m);
            vf error = affine_error(sxx, sw, s, m, sq, sqq, sxq);
            vm better = v_less(error, best_error);
            best_error = v_pick(better, error, best_error);
            best_s = v_pick(better, s, best_s);
            best_m = v_pick(better, m, best_m);
        }
        v_store(best->s + l, best_s);
        v_store(best->m + l, v_sub(best_m, mean));
        v_store(best->error + l, best_error);
    }
}

/* What s and m (of centred x) give: sum of w (x - s q + m)^2. */
INLINE vf affine_exact(const lot *t, int l, vf top, vf s, vf m) {
    vf inverse = v_invert(s), shift = v_mul(m, inverse), sum = v_set(0);
    for (int k = 0; k < t->size; k++) {
        vf y = v_fma(v_load(t->x + k * LOT + l), inverse, shift);
        vf off = v_sub(y, v_round(v_min(v_max(y, v_set(0)), top)));
        sum = v_fma(v_mul(v_load(t->w + k * LOT + l), off), off, sum);
    }
    vf flat = v_fma(v_mul(m, m), v_load(t->sw + l), v_load(t->sxx + l)); /* all codes zero */
    return v_pick(v_less(v_set(SEARCH_LEAST), s), v_mul(v_mul(s, s), sum), flat);
}

/* Keeps multiples ks and km of d and dmin where they are better than what is in `best`. */
INLINE void affine_try(const lot *t, int l, float top, vf d, vf dmin, vf ks, vf km, found *best) {
    vf m = v_fma(dmin, km, v_load(t->mean + l)), error = affine_exact(t, l, v_set(top), v_mul(d, ks), m);
    vm better = v_less(error, v_load(best->error + l));
    v_store(best->error + l, v_pick(better, error, v_load(best->error + l)));
    v_store(best->s + l, v_pick(better, ks, v_load(best->s + l)));
    v_store(best->m + l, v_pick(better, km, v_load(best->m + l)));
}

INLINE vf v_multiple(vf x, vf inverse, float most) { return v_clamp(v_round(v_mul(x, inverse)), 0, most); }

/* Multiples 0..most of d and dmin (one of each a lane) around what `free` says: `reach` steps of the scale to both
 * sides, and `reach_m` around the minimum that suits it. */
INLINE void affine_multiples(const lot *t, float top, float most, const float *d, const float *dmin, const found *free_,
                             int reach, int reach_m, found *best) {
    for (int l = 0; l < LOT; l += LANES) {
        vf step = v_load(d + l), step_m = v_load(dmin + l), per = v_invert(step), per_m = v_invert(step_m);
        vf mean = v_load(t->mean + l), s = v_load(free_->s + l), m = v_load(free_->m + l);
        vf mean_q = v_mul(v_add(m, mean), v_invert(s)); /* of the codes, where the fit was free */
        v_store(best->error + l, v_set(INFINITY));
        vf near = v_round(v_mul(s, per));
        vf stride = v_max(v_round(v_mul(v_mul(s, v_set(0.12f)), per_m)), v_set(1)); /* where dmin is tiny beside s */
        for (int c = -reach; c <= reach; c++) {
            vf ks = v_clamp(v_add(near, v_set((float)c)), 0, most);
            vf km = v_multiple(v_fma(v_sub(v_mul(ks, step), s), mean_q, m), per_m, most);
            for (int e = -reach_m; e <= reach_m; e++)
                affine_try(t, l, top, step, step_m, ks, v_clamp(v_fma(stride, v_set((float)e), km), 0, most), best);
        }
    }
}

/* s and m that f16 can hold, around what `free_` says: `reach` steps of s / 40 for s, `reach_m` of s / 8 for m,
 * and the m that makes zero a code. */
INLINE void affine_halves(const lot *t, float top, const found *free_, int reach, int reach_m, found *best) {
    for (int l = 0; l < LOT; l += LANES) {
        vf one = v_set(1), mean = v_load(t->mean + l), s = v_load(free_->s + l), m = v_load(free_->m + l);
        vf mean_q = v_mul(v_add(m, mean), v_invert(s));
        v_store(best->error + l, v_set(INFINITY));
        for (int c = -reach; c <= reach; c++) {
            vf near = v_half(v_mul(s, v_set(1 + (float)c / 40))), suits = v_fma(v_sub(near, s), mean_q, m);
            for (int e = -reach_m; e <= reach_m; e++)
                affine_try(t, l, top, one, one, near, v_half(v_fma(s, v_set((float)e / 8), suits)), best);
            vf zero_code = v_round(v_mul(suits, v_invert(near))); /* many weights may be zero: exactly a code */
            affine_try(t, l, top, one, one, near, v_half(v_mul(near, zero_code)), best);
        }
    }
}

#endif
