/* How the next token is chosen from a model's logits. */
#ifndef TOLA_SAMPLING_H
#define TOLA_SAMPLING_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tola_logit_bias {
    uint32_t id;
    float bias; /* added to the token's logit; -INFINITY forbids it */
} tola_logit_bias;

/* Stages run in the order of llama.cpp's default chain: logit_bias, a grammar's mask, the penalties (repetition first,
 * then frequency and presence), top_k, typical_p, top_p, min_p, temperature. Each sees the probabilities (a softmax at
 * temperature 1) of what the stages before it kept. Ties go to the lowest id.
 *
 * The token at position i depends on the seed, i and the logits alone: not on threads, on the machine, or on which
 * tokens were drawn (and thrown away) before. */
typedef struct tola_sampling {
    size_t size;               /* sizeof(tola_sampling) */
    double temperature;        /* 0: the most likely token, whatever follows here but for bias and penalties */
    uint32_t top_k;            /* the k most likely; 0: all */
    double top_p;              /* the fewest most likely ones whose probabilities reach it, at least one; 1: all */
    double min_p;              /* those at least this times as likely as the most likely; 0: all */
    double typical_p;          /* the fewest whose probabilities reach it, nearest to the entropy first; 1: all */
    double repetition_penalty; /* logits of tokens in the window, divided by it where positive, else multiplied */
    double frequency_penalty;  /* taken from the logit for each occurrence in the window; 0: none */
    double presence_penalty;   /* taken once from the logit of a token in the window; 0: none */
    uint32_t penalty_window;   /* the last N tokens, prompt included; 0: none, UINT32_MAX: all */
    uint64_t seed;
    const tola_logit_bias *bias;
    size_t bias_count;
    uint64_t reserved[8];
} tola_sampling;

#define TOLA_SAMPLING_INIT \
    { sizeof(tola_sampling), 0.8, 40, 0.95, 0.05, 1.0, 1.0, 0.0, 0.0, 64, 0, NULL, 0, { 0 } }

/* Can tokens of `vocabulary` be drawn so? TOLA_E_ARG says what is out of range, as drawing would. */
TOLA_API TOLA_MUST_CHECK tola_status tola_sampling_check(const tola_sampling *sampling, uint32_t vocabulary,
                                                         tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
