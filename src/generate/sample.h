/* From logits to a token: filters, penalties, drawing; probabilities for whoever measures or reports them.
 *
 * Results are the same bits on every machine: exponentials and logarithms are our own, sums are of doubles in a fixed
 * order, and the number drawn at a position is a function of the seed and the position. */
#ifndef GENERATE_SAMPLE_H
#define GENERATE_SAMPLE_H

#include <tola/sampling.h>

typedef struct sampler sampler;

/* What is given to one draw. */
typedef struct sample_input {
    const float *logits;     /* (vocab) */
    const uint32_t *history; /* tokens so far, oldest first; NULL where history_count is 0 */
    size_t history_count;
    const uint32_t *mask;    /* bit id % 32 of word id / 32: the token is allowed; NULL: all are */
    uint64_t position;       /* of the token to be drawn */
} sample_input;

typedef struct sample_candidate {
    uint32_t id;
    double probability;
} sample_candidate;

/* `options` (NULL: the defaults) are checked and copied, the biases too. TOLA_E_ARG names an option out of its range. */
tola_status sampler_create(const tola_sampling *options, uint32_t vocab, sampler **out, tola_error *err);
void sampler_free(sampler *s);
/* One sampler serves one thread at a time; it holds scratch memory and options, no state between draws.
 * TOLA_E_FORMAT counts logits that are no finite numbers; TOLA_E_ARG: the mask allows nothing, the history has an id
 * beyond the vocabulary. */
tola_status sampler_draw(sampler *s, const sample_input *in, uint32_t *id, tola_error *err);
/* The distribution that sampler_draw draws from, in its order; *out is borrowed until the next call. With temperature
 * 0 it is the one token. */
tola_status sampler_distribution(sampler *s, const sample_input *in, const sample_candidate **out, size_t *count,
                                 tola_error *err);

/* In [0, 1): the draw of a position. */
double sample_uniform(uint64_t seed, uint64_t position);

/* ---- probabilities ---- */
/* log(sum(exp(logits))); non-finite logits make it non-finite. */
double sample_log_sum_exp(const float *logits, size_t count);
typedef struct sample_logprob {
    uint32_t id;
    double logprob;
} sample_logprob;
/* The `top` most likely tokens with their log-probabilities (a softmax over all), most likely first, ties by lowest
 * id; *got is the smaller of top and count. */
tola_status sample_top_logprobs(const float *logits, size_t count, size_t top, sample_logprob *out, size_t *got,
                                tola_error *err);
/* e^x (x up to 700; 0 below -700) and ln(x) (x positive and finite) within 1e-15 relative error, the same bits
 * everywhere. */
double sample_exp(double x);
double sample_log(double x);

#endif
