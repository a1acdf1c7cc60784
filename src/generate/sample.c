/* The stages of sampling, in llama.cpp's default order, over 64-bit keys that hold a logit and an id.
 *
 * Sources: top-k (Fan et al. 2018), top-p (Holtzman et al. 2019, https://arxiv.org/abs/1904.09751), typical (Meister et
 * al. 2022, https://arxiv.org/abs/2202.00666), min-p (Nguyen et al. 2024, https://arxiv.org/abs/2407.01082), repetition
 * penalty (Keskar et al. 2019, https://arxiv.org/abs/1909.05858), frequency and presence penalties as the OpenAI API
 * defines them. */
#include "generate/sample.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/mix.h"
#include "base/options.h"
#include "generate/sample_math.h"
#include "generate/sample_select.h"

#include <float.h>

#define BLOCK 32 /* logits looked at together; the array is padded to whole blocks */

struct sampler {
    tola_sampling options;
    uint32_t vocab;
    tola_logit_bias *bias;        /* (options.bias_count) */
    float *logits;                /* (vocab) with bias and penalties; -INFINITY: excluded */
    uint64_t *keys, *scratch;     /* (vocab) candidates */
    double *weights;              /* (vocab) beside keys: e^(logit - max) */
    sample_candidate *candidates; /* (vocab) */
    uint32_t *counts;             /* (vocab) occurrences in the window, zero between draws */
    size_t count;                 /* of candidates in keys */
    bool sorted;                  /* keys are */
};

/* ---- options ---- */

static tola_status out_of_range(tola_error *err, const char *name, double value, const char *range) {
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "sampling: %s is %g; it must be %s", name, value, range);
}

static tola_status check_options(const tola_sampling *o, uint32_t vocab, tola_error *err) {
    if (!(o->temperature >= 0 && o->temperature <= 1e6))
        return out_of_range(err, "temperature", o->temperature, "between 0 and 1e6");
    if (!(o->top_p >= 0 && o->top_p <= 1)) return out_of_range(err, "top_p", o->top_p, "between 0 and 1");
    if (!(o->min_p >= 0 && o->min_p <= 1)) return out_of_range(err, "min_p", o->min_p, "between 0 and 1");
    if (!(o->typical_p > 0 && o->typical_p <= 1))
        return out_of_range(err, "typical_p", o->typical_p, "above 0 and at most 1");
    if (!(o->repetition_penalty > 0 && o->repetition_penalty <= 1e6))
        return out_of_range(err, "repetition_penalty", o->repetition_penalty, "above 0 and at most 1e6");
    if (!(fabs(o->frequency_penalty) <= 1e6))
        return out_of_range(err, "frequency_penalty", o->frequency_penalty, "between -1e6 and 1e6");
    if (!(fabs(o->presence_penalty) <= 1e6))
        return out_of_range(err, "presence_penalty", o->presence_penalty, "between -1e6 and 1e6");
    if (o->bias_count && !o->bias)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "sampling: %zu biases, but no array of them", o->bias_count);
    for (size_t i = 0; i < o->bias_count; i++) {
        if (o->bias[i].id >= vocab)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "sampling: a bias for token %u; the vocabulary has %u",
                           o->bias[i].id, vocab);
        if (!isfinite(o->bias[i].bias) && !(o->bias[i].bias < 0))
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "sampling: the bias of token %u is no number",
                           o->bias[i].id);
    }
    return TOLA_OK;
}

static tola_status take_options(const tola_sampling *options, uint32_t vocab, tola_sampling *out, tola_error *err) {
    *out = (tola_sampling)TOLA_SAMPLING_INIT;
    TRY(options_take(out, sizeof *out, options, err));
    if (vocab == 0) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "sampling: an empty vocabulary");
    return check_options(out, vocab, err);
}

tola_status tola_sampling_check(const tola_sampling *sampling, uint32_t vocabulary, tola_error *err) {
    tola_sampling o;
    return take_options(sampling, vocabulary, &o, err);
}

tola_status sampler_create(const tola_sampling *options, uint32_t vocab, sampler **out, tola_error *err) {
    tola_sampling o;
    TRY(take_options(options, vocab, &o, err));
    sampler *s = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(err, "sampling");
    s->options = o;
    s->vocab = vocab;
    s->bias = mem_calloc(o.bias_count, sizeof *s->bias);
    size_t padded = ((size_t)vocab + BLOCK - 1) / BLOCK * BLOCK;
    s->logits = mem_calloc(padded, sizeof *s->logits);
    s->keys = mem_calloc(vocab, sizeof *s->keys);
    s->scratch = mem_calloc(vocab, sizeof *s->scratch);
    s->weights = mem_calloc(vocab, sizeof *s->weights);
    s->candidates = mem_calloc(vocab, sizeof *s->candidates);
    s->counts = mem_calloc(vocab, sizeof *s->counts);
    if (!s->bias || !s->logits || !s->keys || !s->scratch || !s->weights || !s->candidates || !s->counts) {
        sampler_free(s);
        return err_nomem(err, "sampling");
    }
    for (size_t i = vocab; i < padded; i++) s->logits[i] = -INFINITY;
    if (o.bias_count) memcpy(s->bias, o.bias, o.bias_count * sizeof *s->bias);
    *out = s;
    return TOLA_OK;
}

void sampler_free(sampler *s) {
    if (!s) return;
    mem_free(s->bias);
    mem_free(s->logits);
    mem_free(s->keys);
    mem_free(s->scratch);
    mem_free(s->weights);
    mem_free(s->candidates);
    mem_free(s->counts);
    mem_free(s);
}

/* ---- logits ---- */

static bool is_finite_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

static tola_status check_finite(const float *logits, size_t count, tola_error *err) {
    size_t bad = 0;
    for (size_t i = 0; i < count; i++) bad += !is_finite_bits(logits[i]);
    if (bad == 0) return TOLA_OK;
    size_t nans = 0;
    for (size_t i = 0; i < count; i++) nans += isnan(logits[i]) != 0;
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                   "of %zu logits %zu are NaN and %zu infinite; no token can be chosen from them", count, nans,
                   bad - nans);
}

/* A finite number remains one, so that no token is forbidden or certain by overflow. */
static float bounded(float v) { return v < -FLT_MAX ? -FLT_MAX : v > FLT_MAX ? FLT_MAX : v; }

static tola_status penalize(sampler *s, const sample_input *in, tola_error *err) {
    const tola_sampling *o = &s->options;
    size_t window = o->penalty_window == UINT32_MAX ? in->history_count : o->penalty_window;
    if (window > in->history_count) window = in->history_count;
    if (o->repetition_penalty == 1 && o->frequency_penalty == 0 && o->presence_penalty == 0) return TOLA_OK;
    const uint32_t *last = window ? in->history + (in->history_count - window) : NULL;
    for (size_t i = 0; i < window; i++)
        if (last[i] >= s->vocab)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "sampling: token %u in the history; the vocabulary has %u",
                           last[i], s->vocab);
    for (size_t i = 0; i < window; i++) s->counts[last[i]]++;
    float repetition = (float)o->repetition_penalty;
    for (size_t i = 0; i < window; i++) {
        uint32_t id = last[i], n = s->counts[id];
        if (n == 0) continue; /* done at its first occurrence */
        s->counts[id] = 0;
        float v = s->logits[id];
        if (v == -INFINITY) continue; /* forbidden by its bias */
        v = bounded(v > 0 ? v / repetition : v * repetition);
        s->logits[id] = bounded((float)(v - (n * o->frequency_penalty + o->presence_penalty)));
    }
    return TOLA_OK;
}

/* Bias, penalties and mask: what is forbidden becomes -INFINITY. */
static tola_status begin(sampler *s, const sample_input *in, tola_error *err) {
    TRY(check_finite(in->logits, s->vocab, err));
    memcpy(s->logits, in->logits, s->vocab * sizeof *s->logits);
    for (size_t i = 0; i < s->options.bias_count; i++) {
        float *v = &s->logits[s->bias[i].id];
        *v = isfinite(s->bias[i].bias) ? bounded(*v + s->bias[i].bias) : -INFINITY;
    }
    TRY(penalize(s, in, err));
    for (uint32_t id = 0; in->mask && id < s->vocab; id++)
        s->logits[id] = in->mask[id / 32] >> (id % 32) & 1 ? s->logits[id] : -INFINITY;
    return TOLA_OK;
}

/* All candidates, in the order of ids. */
static void take_all(sampler *s) {
    size_t n = 0;
    for (uint32_t id = 0; id < s->vocab; id++) {
        s->keys[n] = select_key(s->logits[id], id);
        n += s->logits[id] > -INFINITY;
    }
    s->count = n;
    s->sorted = false;
}

#define SMALL_TOP 256 /* the largest k that a rising bound pays for */

static float block_max(const float *logits) {
    float most[8]; /* side by side, which a compiler can turn into vectors */
    memcpy(most, logits, sizeof most);
    for (int i = 8; i < BLOCK; i += 8)
        for (int j = 0; j < 8; j++) most[j] = logits[i + j] > most[j] ? logits[i + j] : most[j];
    for (int j = 1; j < 8; j++) most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

/* The largest k alone, likeliest first, in one pass: a block of logits below the bound is passed over; when twice k
 * stand above it, k of them stay and the bound rises to the least. */
static void take_top(sampler *s, size_t k) {
    float bound = -INFINITY; /* later logits equal to it lose to the lower ids that are there */
    size_t n = 0;
    for (uint32_t first = 0; first < s->vocab; first += BLOCK) {
        if (!(block_max(s->logits + first) > bound)) continue;
        for (uint32_t id = first; id < first + BLOCK; id++) {
            if (!(s->logits[id] > bound)) continue;
            s->keys[n++] = select_key(s->logits[id], id);
            if (n < 2 * k) continue;
            select_largest(s->keys, n, k);
            n = k;
            uint64_t least = s->keys[0];
            for (size_t i = 1; i < k; i++) least = s->keys[i] < least ? s->keys[i] : least;
            bound = select_number(least);
        }
    }
    select_largest(s->keys, n, k);
    s->count = n < k ? n : k;
    select_sort(s->keys, s->count, s->scratch);
    s->sorted = true;
}

static uint64_t largest(const uint64_t *keys, size_t count) {
    uint64_t best = keys[0];
    for (size_t i = 1; i < count; i++) best = keys[i] > best ? keys[i] : best;
    return best;
}

/* ---- filters ---- */

/* weights[i] = e^((logit_i - max) / temperature); returns their sum, added in order. */
static double weigh(sampler *s, double temperature) {
    double max = select_number(largest(s->keys, s->count)), sum = 0;
    for (size_t i = 0; i < s->count; i++) s->weights[i] = (select_number(s->keys[i]) - max) / temperature;
    exp_all(s->weights, s->count);
    for (size_t i = 0; i < s->count; i++) sum += s->weights[i];
    return sum;
}

/* Sorts ever longer beginnings of `keys` until weights (of a key's id; beside keys sorted with them) reach `goal`;
 * returns how many keys that takes, at least one. */
static size_t reach(uint64_t *keys, size_t count, bool sorted, double goal, double (*weight)(void *, uint64_t),
                    void *context, uint64_t *scratch) {
    double sum = 0;
    size_t at = 0;
    for (size_t batch = sorted ? count : 256; at < count; batch *= 8) {
        size_t end = count - at < batch ? count : at + batch;
        if (!sorted) {
            select_largest(keys + at, count - at, end - at);
            select_sort(keys + at, end - at, scratch);
        }
        for (; at < end; at++) {
            sum += weight(context, keys[at]);
            if (sum >= goal) return at + 1;
        }
    }
    return count;
}

static double weight_by_logit(void *max, uint64_t key) {
    return exp_portable(select_number(key) - *(double *)max);
}

static void keep_top_p(sampler *s, double p) {
    if (p >= 1) return;
    double max = select_number(largest(s->keys, s->count));
    s->count = reach(s->keys, s->count, s->sorted, p * weigh(s, 1), weight_by_logit, &max, s->scratch);
    s->sorted = true;
}

typedef struct typical_context {
    const float *logits;
    double max;
} typical_context;

static double weight_by_id(void *context, uint64_t key) {
    typical_context *c = context;
    return exp_portable(c->logits[select_id(key)] - c->max);
}

/* By distance of the surprise -ln p from its mean, the entropy. */
static void keep_typical(sampler *s, double p) {
    if (p >= 1) return;
    typical_context c = { s->logits, select_number(largest(s->keys, s->count)) };
    double sum = weigh(s, 1), log_sum = log_portable(sum), entropy = 0;
    for (size_t i = 0; i < s->count; i++)
        entropy += s->weights[i] / sum * (log_sum - (select_number(s->keys[i]) - c.max));
    for (size_t i = 0; i < s->count; i++) {
        double surprise = log_sum - (select_number(s->keys[i]) - c.max);
        s->keys[i] = select_key((float)-fabs(surprise - entropy), select_id(s->keys[i]));
    }
    s->count = reach(s->keys, s->count, false, p * sum, weight_by_id, &c, s->scratch);
    for (size_t i = 0; i < s->count; i++) {
        uint32_t id = select_id(s->keys[i]);
        s->keys[i] = select_key(s->logits[id], id);
    }
    select_sort(s->keys, s->count, s->scratch);
    s->sorted = true;
}

static void keep_min_p(sampler *s, double p) {
    if (p <= 0) return;
    double max = select_number(largest(s->keys, s->count));
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        s->keys[n] = s->keys[i];
        n += exp_portable(select_number(s->keys[i]) - max) >= p;
    }
    s->count = n;
}

/* ---- the whole ---- */

/* Leaves the candidates in keys and their weights, and returns the sum of these. */
static tola_status filter(sampler *s, const sample_input *in, double *sum, tola_error *err) {
    const tola_sampling *o = &s->options;
    TRY(begin(s, in, err));
    uint32_t k = o->temperature == 0 ? 1 : o->top_k;
    if (k > 0 && k <= SMALL_TOP) {
        take_top(s, k);
    } else {
        take_all(s);
        if (k > 0 && k < s->count) {
            select_largest(s->keys, s->count, k);
            select_sort(s->keys, k, s->scratch);
            s->count = k;
            s->sorted = true;
        }
    }
    if (s->count == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "sampling: no token of %u is allowed by the %s", s->vocab,
                       in->mask ? "grammar" : "biases");
    if (o->temperature == 0) {
        *sum = s->weights[0] = 1;
        return TOLA_OK;
    }
    keep_typical(s, o->typical_p);
    keep_top_p(s, o->top_p);
    keep_min_p(s, o->min_p);
    *sum = weigh(s, o->temperature);
    return TOLA_OK;
}

double sample_uniform(uint64_t seed, uint64_t position) {
    /* The seed is mixed first, so that the sequences of two seeds are not one sequence shifted. */
    uint64_t start = mix_u64(seed + 0x9e3779b97f4a7c15u);
    return (double)(mix_u64(start + (position + 1) * 0x9e3779b97f4a7c15u) >> 11) * 0x1p-53;
}

tola_status sampler_draw(sampler *s, const sample_input *in, uint32_t *id, tola_error *err) {
    double sum;
    TRY(filter(s, in, &sum, err));
    double goal = sample_uniform(s->options.seed, in->position) * sum, reached = 0;
    size_t at = 0;
    while (at + 1 < s->count && (reached += s->weights[at]) <= goal) at++;
    *id = select_id(s->keys[at]);
    return TOLA_OK;
}

tola_status sampler_distribution(sampler *s, const sample_input *in, const sample_candidate **out, size_t *count,
                                 tola_error *err) {
    double sum;
    TRY(filter(s, in, &sum, err));
    for (size_t i = 0; i < s->count; i++)
        s->candidates[i] = (sample_candidate){ select_id(s->keys[i]), s->weights[i] / sum };
    *out = s->candidates;
    *count = s->count;
    return TOLA_OK;
}

/* ---- probabilities ---- */

double sample_exp(double x) { return exp_portable(x); }

double sample_log(double x) { return log_portable(x); }

double sample_log_sum_exp(const float *logits, size_t count) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_finite_bits(logits[i])) return NAN;
        max = logits[i] > max ? logits[i] : max;
    }
    for (size_t i = 0; i < count; i += 256) { /* a piece at a time, added in order */
        double piece[256];
        size_t n = count - i < 256 ? count - i : 256;
        for (size_t j = 0; j < n; j++) piece[j] = logits[i + j] - max;
        exp_all(piece, n);
        for (size_t j = 0; j < n; j++) sum += piece[j];
    }
    return count ? max + log_portable(sum) : -INFINITY;
}

tola_status sample_top_logprobs(const float *logits, size_t count, size_t top, sample_logprob *out, size_t *got,
                                tola_error *err) {
    if (count > UINT32_MAX) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a vocabulary of %zu tokens", count);
    TRY(check_finite(logits, count, err));
    if (top > count) top = count;
    uint64_t *keys = mem_alloc(count * sizeof *keys), *scratch = mem_alloc(top * sizeof *scratch);
    if (!keys || !scratch) {
        mem_free(keys);
        mem_free(scratch);
        return err_nomem(err, "probabilities");
    }
    double log_sum = sample_log_sum_exp(logits, count);
    for (size_t i = 0; i < count; i++) keys[i] = select_key(logits[i], (uint32_t)i);
    select_largest(keys, count, top);
    select_sort(keys, top, scratch);
    for (size_t i = 0; i < top; i++)
        out[i] = (sample_logprob){ select_id(keys[i]), select_number(keys[i]) - log_sum };
    *got = top;
    mem_free(keys);
    mem_free(scratch);
    return TOLA_OK;
}
