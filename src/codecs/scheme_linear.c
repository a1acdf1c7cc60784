/* See scheme_linear.h. The search is weighted least squares over a few clipping ratios, in the spirit of
 * "OCS/MMSE clipping" (Zhao et al. 2019, arXiv 1901.09504) and of the scale search that block formats use: for fixed
 * codes the best scale has a closed form, and codes change only where the ratio of range to scale does. */
#include "codecs/scheme_linear.h"

#include <math.h>
#include <string.h>

#include "codecs/codec.h"
#include "kernels/cast/scalar.h"
#include "kernels/fit/fit.h"

#define MAX_GRIDS 16

typedef struct search {
    const float *x, *w;
    size_t n;
    float low, high;
    fit_grid grids[MAX_GRIDS];
    size_t count;
} search;

/* Ratios of the inverse scale to that of the whole range which are tried, by bits: for few bits most of a bell curve's
 * range is empty. More of them gain less than a thousandth on normal distributions. */
static const struct {
    float first, last;
    uint8_t steps;
} clips[9] = { { 1, 1, 1 },        { 1, 2.2f, 5 },      { 1, 1.9f, 6 },      { 0.97f, 1.5f, 7 }, { 0.96f, 1.22f, 7 },
               { 0.97f, 1.1f, 6 }, { 0.98f, 1.04f, 5 }, { 0.98f, 1.02f, 5 }, { 0.98f, 1.01f, 5 } };

static float clip_at(unsigned bits, unsigned step) {
    return clips[bits].first + (clips[bits].last - clips[bits].first) * (float)step / (float)(clips[bits].steps - 1);
}

#define SMALLEST 0x1p-126f /* of scales in f32 and bf16: 1 / it is a number, too */

static float round_to(float x, tola_dtype dtype) {
    uint32_t u = cast_f32_bits(x), sign = u & 0x80000000;
    if (dtype == TOLA_DTYPE_BF16) {
        uint32_t h = cast_f32_to_bf16(u);
        if ((h & 0x7fff) >= 0x7f80) h = sign >> 16 | 0x7f7f;
        return cast_f32_from_bits(cast_bf16_to_f32((uint16_t)h));
    }
    if (dtype == TOLA_DTYPE_F16) {
        uint32_t h = cast_f32_to_f16(u);
        if ((h & 0x7fff) >= 0x7c00) h = sign >> 16 | 0x7bff;
        return cast_f32_from_bits(cast_f16_to_f32((uint16_t)h));
    }
    return x < -3.4028235e38f ? -3.4028235e38f : x > 3.4028235e38f ? 3.4028235e38f : x;
}

float scale_round(float x, tola_dtype dtype) {
    float r = round_to(x, dtype);
    float least = dtype == TOLA_DTYPE_F16 ? 0x1p-24f : SMALLEST;
    if (r >= least || r <= -least) return r;
    return x < 0 ? -least : least;
}

void scale_store(const float *scales, size_t n, tola_dtype dtype, void *dst) {
    tola_status status = codec_convert(TOLA_DTYPE_F32, dtype, scales, dst, n, TOLA_OVERFLOW_SATURATE, NULL);
    (void)status; /* f32 becomes every number type */
}

static void add_grid(search *s, float inverse, float zero) {
    if (s->count < MAX_GRIDS && isfinite(inverse) && inverse != 0) s->grids[s->count++] = (fit_grid){ inverse, zero };
}

/* Zero in the middle: the value of largest magnitude goes to the lowest code, which lies one further out, or its sign
 * turned round to the highest. */
static void add_symmetric(search *s, unsigned bits, float extreme) {
    for (unsigned k = 0; k < clips[bits].steps; k++) {
        add_grid(s, s->low * clip_at(bits, k) / extreme, 0);
        if (s->high > 0) add_grid(s, (s->high + 0.5f) * clip_at(bits, k) / extreme, 0);
    }
}

/* Zero is any code; the middle of the range is the middle of the codes. */
static void add_asymmetric(search *s, unsigned bits, float least, float most) {
    float span = s->high - s->low, centre = (s->high + s->low) / 2, middle = most / 2 + least / 2;
    for (unsigned k = 0; k < clips[bits].steps; k++) {
        float inverse = span * clip_at(bits, k) / (most - least);
        float zero = centre - middle * inverse, below = floorf(zero);
        for (int up = 0; up < 2; up++) {
            float z = below + (float)up;
            z = z > s->low ? z : s->low;
            z = z < s->high ? z : s->high;
            if (up && z == s->grids[s->count ? s->count - 1 : 0].zero) continue;
            add_grid(s, inverse, z);
        }
    }
}

/* How much of sum(w x x) a scale explains: the larger, the less error. */
static double gain(fit_sums t, double scale) { return scale * (2 * (double)t.xq - scale * (double)t.qq); }

/* The best candidate, its scale rounded as it will be kept, then once more the least-squares scale of the codes that
 * this one gives. false where no candidate explains anything. */
static bool choose(const search *s, tola_dtype dtype, linear_grid *out) {
    const fit_kernels *k = fit_get();
    fit_sums sums[MAX_GRIDS];
    k->sums(s->x, s->w, s->n, s->low, s->high, s->grids, s->count, sums);
    double best = 0;
    size_t at = s->count;
    for (size_t c = 0; c < s->count; c++) {
        double explained = sums[c].qq > 0 ? (double)sums[c].xq * (double)sums[c].xq / (double)sums[c].qq : 0;
        if (explained > best) {
            best = explained;
            at = c;
        }
    }
    if (at == s->count || !isfinite(best)) return false;
    float zero = s->grids[at].zero, scale = scale_round(sums[at].xq / sums[at].qq, dtype);
    double kept = -1;
    for (unsigned turn = 0; turn < 3; turn++) {
        fit_grid g = { 1 / scale, zero };
        fit_sums t;
        if (!isfinite(g.inverse)) break;
        k->sums(s->x, s->w, s->n, s->low, s->high, &g, 1, &t);
        double explained = gain(t, (double)scale);
        if (!(explained > kept)) break;
        kept = explained;
        *out = (linear_grid){ scale, (int8_t)zero };
        if (!(t.qq > 0)) break;
        float next = scale_round(t.xq / t.qq, dtype);
        if (next == scale) break;
        scale = next;
    }
    return kept > 0;
}

/* Where least squares has nothing to say (all zero, weights all zero, numbers beyond its reach): the whole range. */
static linear_grid plain(const search *s, float least, float most, bool symmetric, tola_dtype dtype) {
    float extreme = -least > most ? least : most;
    if (extreme == 0) return (linear_grid){ 1, 0 };
    if (symmetric) return (linear_grid){ scale_round(extreme / s->low, dtype), 0 };
    float scale = scale_round(most / (s->high - s->low) - least / (s->high - s->low), dtype);
    float zero = s->low + rintf(-least / scale);
    return (linear_grid){ scale, (int8_t)(zero < s->high ? zero : s->high) };
}

linear_grid linear_choose(const float *x, const float *weights, size_t n, unsigned bits, bool symmetric,
                          tola_dtype scale) {
    search s = {
        .x = x, .w = weights, .n = n, .low = -(float)(1 << (bits - 1)), .high = (float)((1 << (bits - 1)) - 1)
    };
    float least, most;
    fit_get()->range(x, n, &least, &most);
    linear_grid grid;
    if (symmetric)
        add_symmetric(&s, bits, -least > most ? least : most);
    else
        add_asymmetric(&s, bits, least, most);
    if (!choose(&s, scale, &grid)) grid = plain(&s, least, most, symmetric, scale);
    return grid;
}

void linear_codes(const float *x, size_t n, unsigned bits, linear_grid grid, uint8_t *codes) {
    float low = -(float)(1 << (bits - 1)), high = (float)((1 << (bits - 1)) - 1);
    uint8_t offset = (uint8_t)(1 << (bits - 1));
    fit_grid g = { 1 / grid.scale, (float)grid.zero };
    fit_get()->codes(x, n, low, high, g, (int8_t *)codes);
    for (size_t i = 0; i < n; i++) codes[i] = (uint8_t)(codes[i] + offset);
}
