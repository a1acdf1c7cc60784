/* See forget.h. */
#include "learn/forget.h"

#include "base/err.h"
#include "base/mem.h"
#include "learn/shuffle.h"

#include <math.h>
#include <string.h>

struct forget {
    forget_options o;
    data_text *text;
    data_tokens *tokens;
    data_rows *rows;
    uint64_t measured, held, kl_rows; /* rows: measured, for remedies (behind those), with references */
    uint64_t measured_tokens;
    float *base;                   /* log-probabilities of measured rows, [tokens, vocabulary] */
    float *references;             /* of the first kl_rows remedy rows, [context, vocabulary] each */
    double base_nll;               /* sum over measured tokens */
    float *fisher, *anchor_values; /* of all parameters, one behind another */
    bool begun;
    /* one row */
    uint32_t *ids, *targets, *first, *positions, *outputs;
    float *weights, *uniform;
};

void forget_close(forget *f) {
    if (!f) return;
    data_rows_close(f->rows);
    data_tokens_close(f->tokens);
    data_text_close(f->text);
    mem_free(f->base);
    mem_free(f->references);
    mem_free(f->fisher);
    mem_free(f->anchor_values);
    mem_free(f->ids);
    mem_free(f->targets);
    mem_free(f->first);
    mem_free(f->positions);
    mem_free(f->outputs);
    mem_free(f->weights);
    mem_free(f->uniform);
    mem_free(f);
}

uint64_t forget_measured(const forget *f) { return f->measured_tokens; }

uint64_t forget_bytes(const forget *f) {
    uint64_t row = (uint64_t)f->o.context * f->o.vocabulary * sizeof(float);
    return f->measured * row + f->kl_rows * row + (f->o.kl ? row : 0) +
           (f->o.ewc > 0 ? 2 * f->o.parameters->elements * sizeof(float) : 0);
}

double forget_base_perplexity(const forget *f) { return exp(f->base_nll / (double)f->measured_tokens); }

/* ---- opening ---- */

static tola_status share_rows(forget *f, tola_error *err) {
    const uint64_t rows = data_rows_count(f->rows), each = (uint64_t)f->o.context * f->o.vocabulary * sizeof(float);
    uint64_t most = FORGET_CACHE / each, wanted = (f->o.tokens + f->o.context - 1) / f->o.context;
    if (most == 0) most = 1;
    if (wanted == 0) wanted = 1;
    f->measured = wanted < most ? wanted : most;
    uint64_t allowed = f->o.remedies ? rows / 2 : rows;
    if (f->measured > allowed) f->measured = allowed;
    if (f->measured == 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "%s: too short an anchor: %llu rows of %u tokens, but one is measured and another is learned",
                       f->o.path, (unsigned long long)rows, f->o.context);
    f->held = rows - f->measured;
    f->kl_rows = !f->o.kl ? 0 : f->held < most ? f->held : most;
    for (uint64_t i = 0; i < f->measured; i++) {
        uint32_t targets;
        TRY(data_rows_read(f->rows, i, f->ids, f->targets, f->weights, f->first, &targets, err));
        f->measured_tokens += targets;
    }
    return TOLA_OK;
}

static tola_status open_rows(forget *f, tola_error *err) {
    const char *paths[] = { f->o.path };
    data_text_options texts = { 0 };
    data_tokens_options tokens = DATA_TOKENS_OPTIONS_INIT;
    tokens.cache = f->o.cache;
    tokens.vocabulary = f->o.vocabulary;
    tokens.threads = f->o.threads;
    TRY(data_text_open(paths, 1, &texts, &f->text, err));
    TRY(data_tokens_open(f->text, f->o.tokenizer, &tokens, &f->tokens, err));
    TRY(data_rows_open(f->tokens, f->o.context, DATA_ROWS_STREAM, &f->rows, err));
    const size_t n = f->o.context;
    uint32_t **lists[] = { &f->ids, &f->targets, &f->first, &f->positions, &f->outputs };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        *lists[i] = mem_calloc(n, sizeof **lists[i]);
        if (!*lists[i]) return err_nomem(err, "the anchor");
    }
    f->weights = mem_calloc(n, sizeof *f->weights);
    f->uniform = f->o.kl ? mem_calloc(n * f->o.vocabulary, sizeof *f->uniform) : NULL;
    if (!f->weights || (f->o.kl && !f->uniform)) return err_nomem(err, "the anchor");
    for (uint32_t i = 0; i < n; i++) f->positions[i] = f->outputs[i] = i;
    return share_rows(f, err);
}

tola_status forget_open(const forget_options *o, forget **out, tola_error *err) {
    forget *f = mem_calloc(1, sizeof *f);
    if (!f) return err_nomem(err, "the anchor");
    f->o = *o;
    tola_status status = open_rows(f, err);
    if (status != TOLA_OK) {
        forget_close(f);
        return status;
    }
    *out = f;
    return TOLA_OK;
}

/* ---- rows through the model ---- */

static tola_status read_row(forget *f, uint64_t row, uint32_t *targets, tola_error *err) {
    return data_rows_read(f->rows, row, f->ids, f->targets, f->weights, f->first, targets, err);
}

static learn_batch batch_of(const forget *f, uint32_t targets) {
    learn_batch b = { .weight = targets, .tokens = targets };
    b.graph = (graph_batch){ .tokens = f->o.context,
                             .ids = f->ids,
                             .positions = f->positions,
                             .outputs = f->outputs,
                             .output_count = f->o.context };
    b.learn = (graph_learn_batch){
        .first = f->first, .targets = f->targets, .row_weights = f->weights, .reference = f->uniform
    };
    return b;
}

/* Logits of a row to log-probabilities, in place. */
static void log_softmax(const float *logits, size_t n, float *out) {
    float top = logits[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++) top = logits[i] > top ? logits[i] : top;
    for (size_t i = 0; i < n; i++) sum += (double)expf(logits[i] - top);
    const float by = top + (float)log(sum);
    for (size_t i = 0; i < n; i++) out[i] = logits[i] - by;
}

static tola_status evaluate(forget *f, learn_trainer *t, uint64_t row, const float **logits, tola_error *err) {
    uint32_t targets;
    double loss;
    size_t rows, cols;
    TRY(read_row(f, row, &targets, err));
    learn_batch b = batch_of(f, targets);
    TRY(learn_trainer_evaluate(t, &b, &loss, err));
    *logits = plan_output(learn_trainer_plan(t), f->o.logits, &rows, &cols);
    if (rows != f->o.context || cols != f->o.vocabulary)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the anchor's logits have another shape");
    return TOLA_OK;
}

tola_status forget_measure(forget *f, learn_trainer *t, double *perplexity, double *kl, tola_error *err) {
    const size_t n = f->o.vocabulary;
    double nll = 0, divergence = 0;
    float *now = mem_alloc(n * sizeof *now);
    if (!now) return err_nomem(err, "the anchor");
    tola_status status = TOLA_OK;
    for (uint64_t row = 0; row < f->measured && status == TOLA_OK; row++) {
        const float *logits;
        status = evaluate(f, t, row, &logits, err);
        for (uint32_t i = 0; status == TOLA_OK && i < f->o.context; i++) {
            if (!(f->weights[i] > 0)) continue;
            const float *base = f->base + (row * f->o.context + i) * n;
            double sum = 0;
            log_softmax(logits + i * n, n, now);
            for (size_t k = 0; k < n; k++) sum += (double)(expf(base[k]) * (base[k] - now[k]));
            divergence += sum;
            nll -= (double)now[f->targets[i]];
        }
    }
    mem_free(now);
    *perplexity = exp(nll / (double)f->measured_tokens);
    *kl = divergence / (double)f->measured_tokens;
    return status;
}

/* ---- the base ---- */

static tola_status base_of(forget *f, learn_trainer *t, uint64_t row, float *to, double *nll, tola_error *err) {
    const float *logits;
    TRY(evaluate(f, t, row, &logits, err));
    for (uint32_t i = 0; i < f->o.context; i++) {
        float *out = to + (uint64_t)i * f->o.vocabulary;
        log_softmax(logits + (uint64_t)i * f->o.vocabulary, f->o.vocabulary, out);
        if (nll && f->weights[i] > 0) *nll -= (double)out[f->targets[i]];
    }
    return TOLA_OK;
}

static void copy_values(const learn_parameters *p, float *values, bool out) {
    for (size_t i = 0; i < p->count; i++) {
        const learn_parameter *x = &p->items[i];
        uint64_t each = x->weight->rows * x->weight->cols;
        for (uint32_t part = 0; part < x->weight->parts; part++, values += each) {
            if (out)
                memcpy(values, x->values[part], (size_t)each * sizeof *values);
            else
                memcpy(x->values[part], values, (size_t)each * sizeof *values);
        }
    }
}

/* Adds the squares of the gradients that are there. */
static void add_squares(const learn_parameters *p, float *sums) {
    for (size_t i = 0; i < p->count; i++) {
        const learn_parameter *x = &p->items[i];
        uint64_t each = x->weight->rows * x->weight->cols;
        for (uint32_t part = 0; part < x->weight->parts; part++, sums += each)
            for (uint64_t k = 0; k < each; k++) sums[k] += x->gradients[part][k] * x->gradients[part][k];
    }
}

/* Row by row: each gives the square of its summed gradient, divided by all tokens in the end. */
static tola_status find_fisher(forget *f, learn_trainer *t, tola_error *err) {
    learn_parameters *p = f->o.parameters;
    uint64_t rows = f->held < 64 ? f->held : 64, tokens = 0;
    f->fisher = mem_calloc((size_t)p->elements + 1, sizeof *f->fisher);
    f->anchor_values = mem_alloc((size_t)(p->elements + 1) * sizeof *f->anchor_values);
    if (!f->fisher || !f->anchor_values) return err_nomem(err, "Fisher information");
    copy_values(p, f->anchor_values, true);
    for (uint64_t i = 0; i < rows; i++) {
        uint32_t targets;
        TRY(read_row(f, f->measured + i, &targets, err));
        learn_batch b = batch_of(f, targets);
        if (f->o.kl)
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "EWC and KL to the base exclude each other");
        learn_scale_gradients(p, 0, learn_trainer_pool(t));
        b.graph.learn = &b.learn;
        TRY(plan_run(learn_trainer_plan(t), learn_trainer_pool(t), &b.graph, err));
        add_squares(p, f->fisher);
        tokens += targets;
    }
    for (uint64_t k = 0; k < p->elements; k++) f->fisher[k] /= (float)(tokens ? tokens : 1);
    learn_scale_gradients(p, 0, learn_trainer_pool(t));
    return TOLA_OK;
}

static tola_status learn_base(forget *f, learn_trainer *t, tola_error *err) {
    const uint64_t row = (uint64_t)f->o.context * f->o.vocabulary;
    f->base = mem_alloc_aligned(64, (size_t)(f->measured * row) * sizeof *f->base);
    f->references = f->kl_rows ? mem_alloc_aligned(64, (size_t)(f->kl_rows * row) * sizeof *f->references) : NULL;
    if (!f->base || (f->kl_rows && !f->references)) return err_nomem(err, "the anchor");
    for (uint64_t i = 0; i < f->measured; i++) TRY(base_of(f, t, i, f->base + i * row, &f->base_nll, err));
    for (uint64_t i = 0; i < f->kl_rows; i++) TRY(base_of(f, t, f->measured + i, f->references + i * row, NULL, err));
    return f->o.ewc > 0 ? find_fisher(f, t, err) : TOLA_OK;
}

tola_status forget_begin(forget *f, learn_trainer *t, tola_error *err) {
    const learn_parameters *p = f->o.parameters;
    if (f->begun) return TOLA_OK;
    f->begun = true;
    /* a run that is resumed has moved already */
    float *now = mem_alloc((size_t)(p->elements + 1) * sizeof *now);
    if (!now) return err_nomem(err, "the anchor");
    copy_values(p, now, true);
    tola_status status = f->o.reset(f->o.user, err);
    if (status == TOLA_OK) status = learn_base(f, t, err);
    copy_values(p, now, false);
    mem_free(now);
    return status;
}

/* ---- remedies ---- */

tola_status forget_adjust(forget *f, double *loss, tola_error *err) {
    (void)err;
    const learn_parameters *p = f->o.parameters;
    const float *fisher = f->fisher, *w0 = f->anchor_values;
    const float lambda = (float)f->o.ewc;
    double sum = 0;
    if (!fisher) return TOLA_OK;
    for (size_t i = 0; i < p->count; i++) {
        const learn_parameter *x = &p->items[i];
        uint64_t each = x->weight->rows * x->weight->cols;
        for (uint32_t part = 0; part < x->weight->parts; part++, fisher += each, w0 += each)
            for (uint64_t k = 0; k < each; k++) {
                const float moved = x->values[part][k] - w0[k], pull = lambda * fisher[k] * moved;
                x->gradients[part][k] += pull;
                sum += 0.5 * (double)pull * (double)moved;
            }
    }
    *loss += sum;
    return TOLA_OK;
}

tola_status forget_row(forget *f, uint64_t draw, uint32_t *ids, uint32_t *targets, float *weights, uint32_t *first,
                       uint32_t *target_count, const float **reference, tola_error *err) {
    uint64_t rows = f->o.kl ? f->kl_rows : f->held, row = shuffle_draw(rows, f->o.seed ^ 0x616e63686f72u, draw);
    *reference = f->references ? f->references + row * f->o.context * f->o.vocabulary : NULL;
    return data_rows_read(f->rows, f->measured + row, ids, targets, weights, first, target_count, err);
}
