/* Training compute as the Commission's guidelines and the field estimate it, and what it cost.
 *
 *   6 N D      N parameters that a token uses, D tokens seen (Kaplan et al. 2020, arXiv 2001.08361; C(2025) 7719,
 * annex) hardware   device hours x 3600 x peak x utilisation (the same annex; Epoch AI) declared   as the provider says
 *
 * An estimate is made only of what is known: without a utilisation there is no hardware estimate, but there is a limit,
 * which a smaller declared number must not exceed. */
#ifndef POLICY_COMPUTE_H
#define POLICY_COMPUTE_H

#include <tola/comply.h>

#include "policy/facts.h"

#define COMPUTE_APART 3.0 /* estimates that differ by more contradict each other */
#define COMPUTE_MOST 16

typedef struct compute_model {
    double parameters, active; /* NaN: unknown */
    const char *parameters_source, *active_source;
} compute_model;

typedef struct compute_result {
    tola_comply_estimate estimates[COMPUTE_MOST];
    size_t count;
    double training_low, training_high; /* of training.*, with synthetic data and other runs; NaN: unknown */
    double modification_low, modification_high;
    bool training_estimate, modification_estimate;
    const char *training_source, *modification_source;
    double apart; /* the ways to know one compute are a factor of that apart at most; 0: nothing is known */
    double cost;  /* USD; NaN */
    const char *cost_formula;
    bool taken;                         /* training.* was taken as that of the modification */
    const char *findings[COMPUTE_MOST]; /* contradictions */
    size_t n_findings;
} compute_result;

/* `modified`: there are bases of others, and this provider trained on (fine-tune, adapter, ...): where finetuning.* is
 * absent, training.* is the modification's. Texts live in `a`. */
tola_status compute_estimate(const facts *f, const compute_model *m, bool modified, arena *a, compute_result *out,
                             tola_error *err);
/* Of bases[i]: declared, else 6ND; NaN. */
double compute_of_base(const facts *f, size_t i);

#endif
