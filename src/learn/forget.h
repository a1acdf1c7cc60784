/* Forgetting: what a model that learns something new still knows of an anchor text, and what holds it.
 *
 * The anchor's rows are shared out: the first are measured (perplexity, and KL(base || now) per token), the others
 * serve the remedies: mixed into batches (replay), with the base's distribution as their target (KL), or for the Fisher
 * information of EWC (arXiv 1612.00796): lambda/2 sum_i F_i (w_i - w0_i)^2, F_i the mean over tokens of the square of
 * the gradient of a row's log-likelihood, with the half. The base is the model before the first step, also in a run
 * that is resumed: its weights are put back for a moment. */
#ifndef LEARN_FORGET_H
#define LEARN_FORGET_H

#include "learn/data_tokens.h"
#include "learn/learn.h"

#define FORGET_CACHE ((uint64_t)256 << 20) /* bytes of the base's log-probabilities, for measuring and for KL, each */

typedef struct forget forget;

typedef struct forget_options {
    const char *path, *cache; /* cache: a file that keeps the tokens; NULL: memory */
    const tola_tokenizer *tokenizer;
    uint32_t context, vocabulary, tokens;
    bool kl;       /* the graph's loss is graph_divergence with every column's reference */
    double ewc;    /* 0: none */
    bool remedies; /* rows are needed for more than measuring */
    uint64_t seed;
    unsigned threads;
    learn_parameters *parameters;
    size_t logits; /* output of the graph */
    /* Puts the base's weights where the parameters' values are. */
    tola_status (*reset)(void *user, tola_error *err);
    void *user;
} forget_options;

tola_status forget_open(const forget_options *o, forget **out, tola_error *err);
void forget_close(forget *f);              /* NULL is fine */
uint64_t forget_measured(const forget *f); /* tokens */
uint64_t forget_bytes(const forget *f);    /* that it will have in memory */

/* Before the first measurement of a process: what the base makes of the anchor. */
tola_status forget_begin(forget *f, learn_trainer *t, tola_error *err);
/* Perplexity and KL(base || now) in nats per token. */
tola_status forget_measure(forget *f, learn_trainer *t, double *perplexity, double *kl, tola_error *err);
double forget_base_perplexity(const forget *f); /* after forget_begin */
/* learn_task.adjust for EWC. */
tola_status forget_adjust(forget *f, double *loss, tola_error *err);

/* Row `draw` (any number: rows repeat in shuffled order) for remedies: up to `context` tokens; targets and weights as
 * data_rows_read. *reference: the base's log-probabilities of every token, for rows under KL. */
tola_status forget_row(forget *f, uint64_t draw, uint32_t *ids, uint32_t *targets, float *weights, uint32_t *first,
                       uint32_t *target_count, const float **reference, tola_error *err);

#endif
