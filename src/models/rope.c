/* Frequencies of rotary positions (arXiv 2104.09864) under the scalings that models are published with.
 *
 * The formulas are those of the papers, in the precision and order in which transformers' modeling_rope_utils.py takes
 * them (f32 where it has tensors, f64 where it has Python's numbers), since a last bit of a frequency is a visible
 * angle at position 100000: linear (kaiokendev), dynamic NTK (bloc97, emozilla), YaRN (arXiv 2309.00071), Llama 3
 * (github.com/meta-llama/llama-models, apply_scaling), LongRoPE (arXiv 2402.13753). */
#include "base/err.h"
#include "models/models.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static double mscale_of(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1; }

double rope_attention_factor(const rope_options *o) {
    if (o->kind != FAMILY_ROPE_YARN || o->mscale_all == 0) return 1;
    double m = mscale_of(o->factor, o->mscale_all);
    return m * m;
}

/* base^(2i / rotated), as tensors have it. */
static float power(double base, const rope_options *o, uint32_t i) {
    return powf((float)base, (float)(2 * i) / (float)o->rotated);
}

static void yarn(const rope_options *o, float *frequency) {
    double dim = o->rotated;
    double fast = o->beta_fast > 0 ? o->beta_fast : 32, slow = o->beta_slow > 0 ? o->beta_slow : 1;
    double low = dim * log((double)o->original / (fast * 2 * pi)) / (2 * log(o->theta));
    double high = dim * log((double)o->original / (slow * 2 * pi)) / (2 * log(o->theta));
    if (o->whole_steps) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, dim - 1);
    if (low == high) high += 0.001;
    for (uint32_t i = 0; i < o->rotated / 2; i++) {
        float ramp = ((float)i - (float)low) / (float)(high - low);
        float keep = 1.0f - fminf(fmaxf(ramp, 0), 1);
        float p = power(o->theta, o, i);
        frequency[i] = 1.0f / ((float)o->factor * p) * (1.0f - keep) + 1.0f / p * keep;
    }
}

static void llama3(const rope_options *o, float *frequency) {
    float low_wave = (float)((double)o->original / o->low), high_wave = (float)((double)o->original / o->high);
    for (uint32_t i = 0; i < o->rotated / 2; i++) {
        float plain = 1.0f / power(o->theta, o, i);
        float wave = (float)(2 * pi) / plain;
        float scaled = wave > low_wave ? plain / (float)o->factor : plain;
        float smooth = ((float)o->original / wave - (float)o->low) / (float)(o->high - o->low);
        bool medium = !(wave < high_wave) && !(wave > low_wave);
        frequency[i] = medium ? (1.0f - smooth) * scaled / (float)o->factor + smooth * scaled : scaled;
    }
}

static double dynamic_base(const rope_options *o) {
    double length = (double)(o->context > o->trained ? o->context : o->trained), dim = o->rotated;
    return o->theta * pow(o->factor * length / (double)o->trained - (o->factor - 1), dim / (dim - 2));
}

static tola_status check(const rope_options *o, tola_error *err) {
    if (o->rotated < 2 || o->rotated % 2 != 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "rope: %u columns of a head turn, expected an even number",
                       o->rotated);
    if (!(o->theta > 0) || !isfinite(o->theta))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "rope: base %g, expected a positive number", o->theta);
    bool scaled = o->kind == FAMILY_ROPE_LINEAR || o->kind == FAMILY_ROPE_DYNAMIC || o->kind == FAMILY_ROPE_YARN ||
                  o->kind == FAMILY_ROPE_LLAMA3;
    if (scaled && (!(o->factor > 0) || !isfinite(o->factor)))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "rope: scaled by %g, expected a positive number", o->factor);
    if ((o->kind == FAMILY_ROPE_YARN || o->kind == FAMILY_ROPE_LLAMA3) && (o->original == 0 || o->theta == 1))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "rope: base %g and a context of %llu before scaling make no sense", o->theta,
                       (unsigned long long)o->original);
    if (o->kind == FAMILY_ROPE_LLAMA3 && !(o->low > 0 && o->high >= o->low))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "rope: low_freq_factor %g and high_freq_factor %g, expected 0 < low <= high", o->low, o->high);
    if (o->kind == FAMILY_ROPE_DYNAMIC && (o->trained == 0 || o->rotated == 2))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "rope: dynamic scaling needs a context and heads wider than 2");
    return TOLA_OK;
}

tola_status rope_frequencies(const rope_options *o, float *frequency, float *magnitude, tola_error *err) {
    TRY(check(o, err));
    double size = 1;
    if (o->kind == FAMILY_ROPE_YARN) {
        yarn(o, frequency);
        size = o->mscale != 0 && o->mscale_all != 0
                   ? mscale_of(o->factor, o->mscale) / mscale_of(o->factor, o->mscale_all)
                   : mscale_of(o->factor, 1);
    } else if (o->kind == FAMILY_ROPE_LLAMA3) {
        llama3(o, frequency);
    } else {
        double base = o->kind == FAMILY_ROPE_DYNAMIC ? dynamic_base(o) : o->theta;
        for (uint32_t i = 0; i < o->rotated / 2; i++) {
            float p = power(base, o, i);
            frequency[i] = o->divisors != NULL ? 1.0f / (o->divisors[i] * p) : 1.0f / p;
            if (o->kind == FAMILY_ROPE_LINEAR) frequency[i] /= (float)o->factor;
        }
        double longer = o->kind == FAMILY_ROPE_LONGROPE ? o->factor : 1;
        if (longer > 1) size = sqrt(1 + log(longer) / log((double)o->original));
    }
    *magnitude = (float)(o->magnitude > 0 ? o->magnitude : size);
    bool good = isfinite(*magnitude) && *magnitude > 0;
    /* the largest angle, too, must be a number */
    double last = (double)(o->context > o->trained ? o->context : o->trained);
    for (uint32_t i = 0; i < o->rotated / 2 && good; i++)
        good = isfinite(frequency[i]) && isfinite((float)((double)frequency[i] * last));
    if (!good)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "rope: base %g, scaled by %g, gives angles that are no numbers", o->theta, o->factor);
    return TOLA_OK;
}
