/* How well a model predicts a text, alone or beside a reference that reads the same tokens at the same time.
 *
 * A window is read in steps of as many scored rows as memory allows; the rows of a step are scored by all threads, each
 * row by one, and the scores go into arrays in the order of the text. What is summed is summed over those at the end.
 */
#include "insight/eval_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/options.h"

#define CHUNK_CONTEXT 512
#define WINDOW_CONTEXT_MOST 2048

enum { MODEL = 0, REFERENCE, SIDES };

typedef struct run {
    eval_plan plan;
    uint32_t vocabulary, rows_most, most; /* most: tokens of a window */
    unsigned sides;
    tola_session *sessions[SIDES];
    const tola_tokenizer *tokenizer;
    uint32_t *ids, bos;
    size_t count;
    tola_step_token *tokens;   /* of a window */
    const float **rows[SIDES]; /* of a step */
    pool *pool;
    double **exps; /* one for each worker, vocabulary long */
    uint64_t scored, read, windows;
    double *nll[SIDES], *kl, *apart; /* apart: p - p_ref of the token that came */
    uint8_t *same;
    uint64_t at; /* token of the text that row 0 of the step predicts */
    eval_progress progress;
} run;

/* ---- setting up ---- */

static tola_status text_ids(const tola_tokenizer *t, tola_protocol protocol, uint32_t bos, const char *text,
                            size_t length, uint32_t **ids, size_t *count, tola_error *err) {
    if (protocol == TOLA_PROTOCOL_WINDOW) return tola_tokenize(t, text, length, TOLA_TOKENIZE_SPECIAL, ids, count, err);
    TRY(tola_tokenize(t, text, length, TOLA_TOKENIZE_PLAIN, ids, count, err));
    if (bos == TOLA_NO_TOKEN) return TOLA_OK;
    uint32_t *more = mem_realloc_array(*ids, *count + 1, sizeof **ids);
    if (!more) {
        tola_free(*ids);
        return err_nomem(err, "reading the text");
    }
    memmove(more + 1, more, *count * sizeof *more);
    more[0] = bos;
    *ids = more;
    *count += 1;
    return TOLA_OK;
}

/* A reference that takes the text for other tokens cannot be compared with. */
static tola_status check_reference(const run *r, const tola_model *reference, const char *text, size_t length,
                                   tola_error *err) {
    const tola_model_info *info = tola_model_about(reference);
    if (info->hidden || info->vocabulary != r->vocabulary)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the model predicts %u tokens, the reference %u", r->vocabulary,
                       info->hidden ? 0 : info->vocabulary);
    const tola_tokenizer *t = tola_model_tokenizer(reference);
    if (!t) return TOLA_OK;
    uint32_t *ids;
    size_t count;
    TRY(text_ids(t, r->plan.protocol, r->bos, text, length, &ids, &count, err));
    bool same = count == r->count && memcmp(ids, r->ids, count * sizeof *ids) == 0;
    tola_free(ids);
    if (!same) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the reference takes the text for other tokens");
    return TOLA_OK;
}

static tola_status make_room(run *r, tola_error *err) {
    const size_t scored = (size_t)eval_plan_scored(&r->plan);
    r->tokens = mem_calloc(r->most, sizeof *r->tokens);
    r->exps = mem_calloc(pool_threads(r->pool), sizeof *r->exps);
    bool full = r->tokens && r->exps;
    for (unsigned i = 0; full && r->sides > 1 && i < pool_threads(r->pool); i++)
        full = (r->exps[i] = mem_calloc(r->vocabulary, sizeof *r->exps[i])) != NULL;
    for (unsigned s = 0; full && s < r->sides; s++) {
        r->rows[s] = mem_calloc(r->rows_most, sizeof *r->rows[s]);
        r->nll[s] = mem_calloc(scored, sizeof *r->nll[s]);
        full = r->rows[s] && r->nll[s];
    }
    if (full && r->sides > 1) {
        r->kl = mem_calloc(scored, sizeof *r->kl);
        r->apart = mem_calloc(scored, sizeof *r->apart);
        r->same = mem_calloc(scored, sizeof *r->same);
        full = r->kl && r->apart && r->same;
    }
    return full ? TOLA_OK : err_nomem(err, "evaluating");
}

static tola_status prepare(run *r, const tola_model *model, const char *text, size_t length,
                           const tola_perplexity_options *o, tola_error *err) {
    const tola_model_info *info = tola_model_about(model);
    uint32_t context = o->context;
    TRY(eval_model_check(model, err));
    r->tokenizer = tola_model_tokenizer(model);
    r->vocabulary = info->vocabulary;
    if (!context && o->protocol == TOLA_PROTOCOL_CHUNK) context = CHUNK_CONTEXT;
    if (!context) context = info->context && info->context < WINDOW_CONTEXT_MOST ? info->context : WINDOW_CONTEXT_MOST;
    TRY(eval_bos(r->tokenizer, &r->bos, err));
    TRY(text_ids(r->tokenizer, o->protocol, r->bos, text, length, &r->ids, &r->count, err));
    TRY(eval_plan_make(o->protocol, r->count, context, o->stride, o->limit, &r->plan, err));
    r->sides = o->reference ? 2 : 1;
    if (o->reference) TRY(check_reference(r, o->reference, text, length, err));
    r->rows_most = eval_rows_at_once(model, context);
    r->most = r->count < context ? (uint32_t)r->count : context;
    eval_session_options s = { .context = r->most,
                               .sequences = 1,
                               .outputs = r->rows_most,
                               .key_type = o->key_type,
                               .value_type = o->value_type,
                               .threads = o->threads };
    for (unsigned i = 0; i < r->sides; i++)
        TRY(eval_session(i == MODEL ? model : o->reference, &s, &r->sessions[i], err));
    TRY(pool_create(o->threads, &r->pool, err));
    r->progress = (eval_progress){ o->progress, o->progress_user, { "evaluating", 0, length }, false };
    return make_room(r, err);
}

static void clear(run *r) {
    for (unsigned s = 0; s < SIDES; s++) {
        tola_session_free(r->sessions[s]);
        mem_free(r->rows[s]);
        mem_free(r->nll[s]);
    }
    for (unsigned i = 0; r->exps && i < pool_threads(r->pool); i++) mem_free(r->exps[i]);
    mem_free(r->exps);
    pool_free(r->pool);
    mem_free(r->tokens);
    mem_free(r->kl);
    mem_free(r->apart);
    mem_free(r->same);
    tola_free(r->ids);
}

/* ---- scoring ---- */

static tola_status score_row(void *context, size_t row, unsigned worker, tola_error *err) {
    run *r = context;
    (void)err;
    const uint32_t target = r->ids[r->at + row], n = r->vocabulary;
    const size_t at = (size_t)r->scored + row;
    const float *x = r->rows[MODEL][row];
    eval_row q = eval_row_of(x, n, NULL);
    double log_q = eval_row_log(&q, x, target);
    r->nll[MODEL][at] = -log_q;
    if (r->sides == 1) return TOLA_OK;
    const float *reference = r->rows[REFERENCE][row];
    eval_row p = eval_row_of(reference, n, r->exps[worker]);
    double log_p = eval_row_log(&p, reference, target);
    r->nll[REFERENCE][at] = -log_p;
    r->kl[at] = eval_kl(&p, reference, r->exps[worker], &q, x, n);
    r->apart[at] = exp(log_q) - exp(log_p);
    r->same[at] = p.top == q.top;
    return TOLA_OK;
}

/* Tokens [from, to) of the window; their rows from token `first` on predict what is scored. */
static tola_status read_piece(run *r, const eval_window *w, uint64_t from, uint64_t to, tola_error *err) {
    const size_t count = (size_t)(to - from);
    const uint64_t first = w->score - 1 > from ? w->score - 1 : from;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = r->ids[from + i];
        if (r->plan.protocol == TOLA_PROTOCOL_CHUNK && from + i == w->begin && r->bos != TOLA_NO_TOKEN) id = r->bos;
        r->tokens[i] = (tola_step_token){ id, 0, from + i >= first };
    }
    const size_t rows = to > first ? (size_t)(to - first) : 0;
    for (unsigned s = 0; s < r->sides; s++) {
        TRY(tola_session_step(r->sessions[s], r->tokens, count, eval_between_steps, &r->progress, err));
        for (size_t i = 0; i < rows; i++) r->rows[s][i] = tola_session_output(r->sessions[s], i);
    }
    r->at = first + 1;
    TRY(pool_run(r->pool, rows, score_row, r, err));
    r->scored += rows;
    r->read += count;
    return TOLA_OK;
}

static tola_status read_window(run *r, const eval_window *w, tola_error *err) {
    for (unsigned s = 0; s < r->sides; s++) TRY(tola_session_truncate(r->sessions[s], 0, 0, err));
    /* the last token's row would predict what lies beyond the window: it is not read */
    for (uint64_t from = w->begin; from + 1 < w->end;) {
        uint64_t first = w->score - 1 > from ? w->score - 1 : from, to = first + r->rows_most;
        if (to > w->end - 1) to = w->end - 1;
        TRY(read_piece(r, w, from, to, err));
        from = to;
    }
    r->windows++;
    return TOLA_OK;
}

static tola_status read_all(run *r, tola_error *err) {
    const uint64_t total = r->progress.state.total;
    for (uint64_t i = 0; i < r->plan.windows; i++) {
        if (!eval_advance(&r->progress, (uint64_t)((double)total * (double)i / (double)r->plan.windows)))
            return err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "cancelled");
        eval_window w = eval_plan_window(&r->plan, i);
        TRY(read_window(r, &w, err));
    }
    eval_advance(&r->progress, total);
    return TOLA_OK;
}

/* ---- the result ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void conclude_divergence(run *r, tola_divergence *d) {
    const size_t n = (size_t)r->scored;
    uint64_t same = 0;
    double squares = 0;
    d->perplexity = eval_exp(eval_mean(r->nll[REFERENCE], n));
    for (size_t i = 0; i < n; i++) {
        same += r->same[i];
        squares += r->apart[i] * r->apart[i];
        r->nll[REFERENCE][i] = r->nll[MODEL][i] - r->nll[REFERENCE][i]; /* paired: the error of the difference */
    }
    d->log_ratio = eval_mean(r->nll[REFERENCE], n);
    d->top1 = eval_share(same, n);
    d->probability_rms = sqrt(squares / (double)n);
    d->kl = eval_mean(r->kl, n);
    qsort(r->kl, n, sizeof *r->kl, by_value);
    d->kl_median = eval_quantile(r->kl, n, 0.5);
    d->kl_90 = eval_quantile(r->kl, n, 0.9);
    d->kl_99 = eval_quantile(r->kl, n, 0.99);
    d->kl_999 = eval_quantile(r->kl, n, 0.999);
    d->kl_max = r->kl[n - 1];
}

static void conclude(run *r, double seconds, tola_perplexity_result *out) {
    tola_perplexity_result x = { .size = sizeof x,
                                 .protocol = r->plan.protocol,
                                 .context = r->plan.context,
                                 .tokens = r->count,
                                 .windows = r->windows,
                                 .windows_total = r->plan.windows,
                                 .read = r->read,
                                 .scored = r->scored,
                                 .seconds = seconds };
    x.complete = r->windows == r->plan.windows;
    x.compared = r->sides > 1;
    if (x.protocol == TOLA_PROTOCOL_WINDOW) x.stride = r->plan.stride;
    x.bos = r->bos != TOLA_NO_TOKEN;
    x.nll = eval_mean(r->nll[MODEL], (size_t)r->scored);
    x.perplexity = eval_exp(x.nll);
    if (x.compared) conclude_divergence(r, &x.divergence);
    *out = x;
}

tola_status tola_perplexity(const tola_model *model, const char *text, size_t length,
                            const tola_perplexity_options *options, tola_perplexity_result *out, tola_error *err) {
    tola_perplexity_options o = TOLA_PERPLEXITY_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    run r = { .bos = TOLA_NO_TOKEN };
    tola_status status = prepare(&r, model, text, length, &o, err);
    if (status == TOLA_OK) {
        double start = clock_seconds();
        tola_error detail = TOLA_ERROR_INIT;
        status = read_all(&r, &detail);
        if (status == TOLA_E_CANCELLED && r.scored > 0) status = TOLA_OK;
        if (status == TOLA_OK)
            conclude(&r, clock_seconds() - start, out);
        else if (err)
            *err = detail;
    }
    clear(&r);
    return status;
}
