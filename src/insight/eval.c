/* Windows, rows, and statistics of scores; no model is needed for any of it.
 * Formulas: llama.cpp's tools/perplexity/README.md for the chunks and the error of perplexity;
 * https://huggingface.co/docs/transformers/perplexity for the windows. */
#include "insight/eval.h"

#include <math.h>

#include "base/err.h"

const char *tola_protocol_name(tola_protocol protocol) {
    return protocol == TOLA_PROTOCOL_CHUNK ? "chunk" : protocol == TOLA_PROTOCOL_WINDOW ? "window" : "?";
}

/* ---- windows ---- */

tola_status eval_plan_make(tola_protocol protocol, uint64_t tokens, uint32_t context, uint32_t stride, uint64_t limit,
                           eval_plan *out, tola_error *err) {
    eval_plan p = { .protocol = protocol, .tokens = tokens, .context = context };
    if (protocol != TOLA_PROTOCOL_CHUNK && protocol != TOLA_PROTOCOL_WINDOW)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "there is no protocol %d", (int)protocol);
    if (protocol == TOLA_PROTOCOL_CHUNK) {
        if (stride) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "chunks have no stride; windows have");
        if (context < 4) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "chunks of %u tokens; at least 4", context);
        if (tokens / 2 < context)
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                           "the text has %llu tokens; two chunks of %u are the least that is evaluated",
                           (unsigned long long)tokens, context);
        p.stride = context;
        p.windows = tokens / context;
    } else {
        if (context < 2) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "windows of %u tokens; at least 2", context);
        p.stride = stride ? stride : context / 2;
        if (p.stride > context)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a stride of %u passes over tokens between windows of %u",
                           p.stride, context);
        if (tokens < 2)
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                           "the text has %llu tokens; two are the least that is evaluated", (unsigned long long)tokens);
        p.windows = 1;
        if (tokens > context) p.windows += (tokens - context + p.stride - 1) / p.stride;
    }
    if (limit && limit < p.windows) p.windows = limit;
    *out = p;
    return TOLA_OK;
}

eval_window eval_plan_window(const eval_plan *p, uint64_t index) {
    eval_window w = { .begin = index * p->stride };
    w.end = p->tokens - w.begin < p->context ? p->tokens : w.begin + p->context;
    w.score = w.begin + 1; /* the first token has nothing before it */
    if (p->protocol == TOLA_PROTOCOL_CHUNK) w.score += p->context / 2;
    else if (index && p->stride < p->context) w.score = w.begin - p->stride + p->context;
    return w;
}

uint64_t eval_plan_scored(const eval_plan *p) {
    if (p->protocol == TOLA_PROTOCOL_CHUNK) return p->windows * (p->context - p->context / 2 - 1);
    uint64_t windows_alone = p->stride < p->context ? 1 : p->windows; /* whose first token nobody scores */
    return eval_plan_window(p, p->windows - 1).end - windows_alone;
}

/* ---- rows ---- */

eval_row eval_row_of(const float *x, uint32_t n, double *exps) {
    eval_row row = { .max = n ? x[0] : 0 };
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > row.max) row.max = x[row.top = i];
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        double e = exp((double)x[i] - row.max);
        sum += e;
        if (exps) exps[i] = e;
    }
    row.log_sum = log(sum);
    return row;
}

double eval_kl(const eval_row *a, const float *xa, const double *exps, const eval_row *b, const float *xb, uint32_t n) {
    const double shift = (a->max - b->max) + (a->log_sum - b->log_sum); /* 0 for equal rows */
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        if (exps[i] > 0) sum += exps[i] * ((double)xa[i] - (double)xb[i] - shift);
    sum *= exp(-a->log_sum);
    return sum > 0 ? sum : 0; /* rounding may leave a trace below */
}

/* ---- statistics ---- */

tola_estimate eval_mean(const double *x, size_t n) {
    tola_estimate e = { NAN, NAN };
    double sum = 0, squares = 0;
    if (n == 0) return e;
    for (size_t i = 0; i < n; i++) sum += x[i];
    e.value = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - e.value) * (x[i] - e.value);
    if (n > 1) e.error = sqrt(squares / (double)(n - 1) / (double)n);
    return e;
}

tola_estimate eval_exp(tola_estimate e) {
    double value = exp(e.value);
    return (tola_estimate){ value, value * e.error };
}

tola_estimate eval_share(uint64_t hits, uint64_t n) {
    if (n == 0) return (tola_estimate){ NAN, NAN };
    double p = (double)hits / (double)n;
    return (tola_estimate){ p, n > 1 ? sqrt(p * (1 - p) / (double)(n - 1)) : NAN };
}

double eval_quantile(const double *x, size_t n, double fraction) {
    if (n == 0) return NAN;
    double at = fraction * (double)(n - 1);
    size_t below = (size_t)at;
    if (below + 1 >= n) return x[n - 1];
    double part = at - (double)below;
    return x[below] + part * (x[below + 1] - x[below]);
}
