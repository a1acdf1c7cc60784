/* The pure part of evaluation: which tokens are scored with what before them, and what is made of the scores. */
#ifndef INSIGHT_EVAL_H
#define INSIGHT_EVAL_H

#include <tola/eval.h>

/* ---- windows of a text ---- */

typedef struct eval_plan {
    tola_protocol protocol;
    uint64_t tokens;          /* of the text */
    uint32_t context, stride; /* stride of chunks: the context */
    uint64_t windows;
} eval_plan;

typedef struct eval_window {
    uint64_t begin, end; /* tokens [begin, end) of the text are read */
    uint64_t score;      /* tokens [score, end) are scored: score > begin */
} eval_window;

/* TOLA_E_LIMIT where the text is too short, TOLA_E_ARG for a context or stride without sense. `limit` 0: all windows.
 */
tola_status eval_plan_make(tola_protocol protocol, uint64_t tokens, uint32_t context, uint32_t stride, uint64_t limit,
                           eval_plan *out, tola_error *err);
eval_window eval_plan_window(const eval_plan *plan, uint64_t index);
/* Tokens that all windows score together. */
uint64_t eval_plan_scored(const eval_plan *plan);

/* ---- one row of logits ---- */

typedef struct eval_row {
    double max, log_sum; /* ln of the sum of exp(x - max): ln p(i) = x[i] - max - log_sum */
    uint32_t top;        /* the largest, the first of several */
} eval_row;

/* `exps` (n doubles, or NULL) receives exp(x - max). */
eval_row eval_row_of(const float *x, uint32_t n, double *exps);
static inline double eval_row_log(const eval_row *row, const float *x, uint32_t id) {
    return (double)x[id] - row->max - row->log_sum;
}
/* sum of p ln(p / q), nats, for p of row a and q of row b; exps as eval_row_of(a) gave them. Never below 0. */
double eval_kl(const eval_row *a, const float *xa, const double *exps, const eval_row *b, const float *xb, uint32_t n);

/* ---- many scores ---- */

/* Mean and its standard error, sqrt(sum((x - mean)^2) / (n - 1) / n). */
tola_estimate eval_mean(const double *x, size_t n);
/* exp of an estimate: the error by its slope. */
tola_estimate eval_exp(tola_estimate e);
/* A share of n: sqrt(p (1 - p) / (n - 1)). */
tola_estimate eval_share(uint64_t hits, uint64_t n);
/* Linear between the two neighbours, x ascending; NaN for none. */
double eval_quantile(const double *x, size_t n, double fraction);

#endif
