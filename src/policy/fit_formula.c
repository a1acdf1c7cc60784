/* Where each figure comes from: the formula with its numbers, and its source. */
#include <stdio.h>
#include <string.h>

#include "policy/fit_inside.h"

#define KAPLAN "https://arxiv.org/abs/2001.08361"
#define KORTHIKANTI "https://arxiv.org/abs/2205.05198"
#define RAJBHANDARI "https://arxiv.org/abs/1910.02054"
#define ROOFLINE "https://doi.org/10.1145/1498765.1498785"
#define ATTENTION "https://arxiv.org/abs/2305.13245"

typedef struct lines {
    fit_job *job;
    tola_fit_formula *items;
    size_t count, cap;
} lines;

static tola_status add(lines *l, const char *what, const char *source, bool estimate, const char *text,
                       tola_error *err) {
    if (!what || !text || l->count == l->cap) return err_nomem(err, "counting what fits");
    l->items[l->count++] = (tola_fit_formula){ what, text, source, estimate };
    return TOLA_OK;
}

static double gb(uint64_t bytes) { return (double)bytes / 1e9; }

static tola_status inference(lines *l, const memory_bytes *b, tola_error *err) {
    fit_job *j = l->job;
    const tola_fit *f = j->fit;
    TRY(add(l, "weights", NULL, false,
            fit_text(j, "%llu parameters x %.4g bits / 8 = %.3f GB (%s)", (unsigned long long)f->parameters,
                     f->parameters ? (double)b->weights * 8 / (double)f->parameters : 0, gb(b->weights),
                     b->basis ? b->basis : "scales included"),
            err));
    if (f->language)
        TRY(add(l, "kv", ATTENTION, false,
                fit_text(j,
                         "%llu sequences x sum over layers of min(%llu tokens, window) x (key + value elements) x "
                         "bytes = %.3f GB; a further token %.0f bytes",
                         (unsigned long long)f->batch, (unsigned long long)f->context, gb(b->kv), f->kv_token),
                err));
    return add(l, "compute", NULL, true,
               fit_text(j, "rows of a step alive at once, scores and logits = %.3f GB", gb(b->compute)), err);
}

static tola_status training(lines *l, const memory_bytes *b, tola_error *err) {
    fit_job *j = l->job;
    const unsigned long long trained = (unsigned long long)j->fit->trained;
    TRY(add(l, "weights", NULL, false,
            fit_text(j, "%llu parameters of which %llu are trained = %.3f GB (%s)",
                     (unsigned long long)j->fit->parameters, trained, gb(b->weights),
                     b->basis ? b->basis : "no scales"),
            err));
    TRY(add(l, "gradients", RAJBHANDARI, false,
            fit_text(j, "%llu x %.4g bytes = %.3f GB", trained, trained ? (double)b->gradients / (double)trained : 0,
                     gb(b->gradients)),
            err));
    TRY(add(l, "optimizer", RAJBHANDARI, false,
            fit_text(j, "%llu x %.4g bytes = %.3f GB", trained, trained ? (double)b->optimizer / (double)trained : 0,
                     gb(b->optimizer)),
            err));
    return add(l, "activations", KORTHIKANTI, true,
               fit_text(j, "kept for the backward: %llu x %llu tokens = %.3f GB", (unsigned long long)j->fit->batch,
                        (unsigned long long)j->fit->context, gb(b->activations)),
               err);
}

static tola_status rate(lines *l, const tola_fit_device *d, const char *which, const tola_fit_rate *r, double tokens,
                        double share, tola_error *err) {
    fit_job *j = l->job;
    const char *unit = j->fit->language ? "tokens" : "examples";
    if (!(r->tokens_per_s > 0)) return TOLA_OK;
    return add(
        l, fit_text(j, "%s, %s", d->name, which), d->own ? "bench/bench_fit.py" : ROOFLINE, true,
        fit_text(
            j,
            "%g %s / (max(%.4g GB / %.4g GB/s, %.4g GOP / %.4g TOP/s [%s]) + %.2g s between layers and devices)"
            " = %.4g %s/s, of bandwidth and peak %.2f and %.2f reached",
            tokens, unit, r->bytes / 1e9, r->bandwidth / 1e9, r->operations / 1e9, r->peak / 1e12, d->peak,
            r->link_s + r->wait_s, r->tokens_per_s, unit, d->decode_share, share),
        err);
}

static tola_status of_device(lines *l, const tola_fit_device *d, tola_error *err) {
    fit_job *j = l->job;
    TRY(add(l, fit_text(j, "%s, count", d->name), d->source, true,
            fit_text(j, "the least n with (weights + kv%s) / n + compute + %.2f GB overhead <= %.2f GB: %u",
                     j->training ? " + gradients + optimizer + activations" : "", gb(d->overhead), gb(d->usable),
                     d->count),
            err));
    TRY(rate(l, d, "decode", &d->decode, (double)j->fit->batch, d->prefill_share, err));
    TRY(rate(l, d, "prefill", &d->prefill, (double)(j->fit->language ? j->fit->prompt : j->fit->batch),
             d->prefill_share, err));
    if (d->step_s > 0)
        TRY(add(l, fit_text(j, "%s, step", d->name), KAPLAN, true,
                fit_text(j,
                         "6 (full) or 4 (adapters), 2 more with layers recomputed, x active weights x tokens / peak "
                         "= %.4g s",
                         d->step_s),
                err));
    if (!(d->usd_mtok > 0)) return TOLA_OK;
    return add(l, fit_text(j, "%s, price", d->name), d->price_source, true,
               fit_text(j, "%.2f USD/h / (3600 s x %.2f busy x tokens/s): %.3g USD per million read, %.3g written%s",
                        d->usd_hour, j->fit->utilisation, d->usd_mtok_in, d->usd_mtok_out,
                        d->bought ? "; an hour is price / years of use + electricity" : ""),
               err);
}

tola_status fit_formulas(fit_job *j, tola_error *err) {
    tola_fit *f = j->fit;
    memory_bytes b;
    lines l = { .job = j, .cap = 8 + 5 * f->device_count };
    l.items = arena_alloc_array(&j->arena, l.cap, sizeof *l.items);
    if (!l.items) return err_nomem(err, "counting what fits");
    TRY(fit_bytes(j, &j->run, &j->train, &b, err));
    TRY(j->training ? training(&l, &b, err) : inference(&l, &b, err));
    for (size_t i = 0; i < f->device_count; i++) TRY(of_device(&l, &f->devices[i], err));
    f->formulas = l.items;
    f->formula_count = l.count;
    return TOLA_OK;
}
