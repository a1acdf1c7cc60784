/* Answers that need more than one place, and those that the weights and the record give. */
#include "policy/form.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trust/digest.h"

static form_answer told(const char *text, const char *where, doc_source source) {
    return (form_answer){ text, where, text ? source : DOC_UNKNOWN };
}

static form_answer fact(const form *x, const char *path) { return told(form_fact(x, path), path, DOC_FACTS); }

static bool number(const form *x, const char *path, double *out) { return x->f && facts_number(x->f, path, out); }

/* ---- weights ---- */

static form_answer w_name(const form *x) { return told(x->r->name, "name of the file or folder", DOC_WEIGHTS); }

static form_answer w_parameters(const form *x) { return told(record_parameters(x->r), NULL, DOC_WEIGHTS); }

static form_answer w_range(const form *x) { return told(record_range(x->r->summary.parameters), NULL, DOC_WEIGHTS); }

static form_answer w_dtypes(const form *x) { return told(record_dtypes(x->r), NULL, DOC_WEIGHTS); }

static form_answer w_architecture(const form *x) {
    const tola_summary *s = &x->r->summary;
    const char *name = s->model_class ? s->model_class : s->architecture;
    if (!name) return told(NULL, NULL, DOC_WEIGHTS);
    const char *text = s->model_class && s->architecture && strcmp(s->model_class, s->architecture) != 0
                           ? record_text(x->a, "%s (%s)", s->architecture, s->model_class)
                           : record_text(x->a, "%s", name);
    if (text && s->layers && s->width)
        text = record_text(x->a, "%s, %" PRIu64 " layers of width %" PRIu64, text, s->layers, s->width);
    if (text && s->experts)
        text = record_text(x->a, "%s, %" PRIu64 " experts of which %" PRIu64 " are used", text, s->experts,
                           s->experts_used);
    return told(text, NULL, DOC_WEIGHTS);
}

static form_answer w_quantization(const form *x) { return told(x->r->summary.quantization, NULL, DOC_WEIGHTS); }

static form_answer w_context(const form *x) {
    uint64_t n = x->r->summary.context;
    return told(n ? record_text(x->a, "%" PRIu64 " tokens", n) : NULL, NULL, DOC_WEIGHTS);
}

static form_answer w_tokenizer(const form *x) { return told(x->r->summary.tokenizer, NULL, DOC_WEIGHTS); }

static form_answer w_bytes(const form *x) {
    uint64_t n = x->r->bytes;
    const char *text = n >= 1000000000u ? record_text(x->a, "%.2f GB", (double)n / 1e9)
                       : n >= 1000000u  ? record_text(x->a, "%.2f MB", (double)n / 1e6)
                                        : record_text(x->a, "%" PRIu64 " bytes", n);
    return told(text && x->r->file_count > 1 ? record_text(x->a, "%s in %zu files", text, x->r->file_count) : text,
                NULL, DOC_WEIGHTS);
}

static form_answer w_digest(const form *x) {
    return told(x->r->digest[0] ? record_text(x->a, "tola digest %s", x->r->digest) : NULL, "docs/digest.md",
                DOC_WEIGHTS);
}

/* ---- recorded ---- */

static form_answer r_bases(const form *x) {
    const char *text = NULL, *where = NULL;
    for (size_t i = 0; i < x->r->base_count; i++) {
        const record_base *b = &x->r->bases[i];
        text = form_line(x->a, text, b->relation ? record_text(x->a, "%s (%s)", b->name, b->relation) : b->name);
        where = b->where;
    }
    return told(text, where, DOC_RECORDED);
}

static form_answer r_training(const form *x) {
    const record_training *t = &x->r->training;
    if (!t->known) return told(NULL, NULL, DOC_RECORDED);
    const char *text = record_text(x->a, "%" PRIu64 " steps", t->steps);
    if (text && t->tokens) text = record_text(x->a, "%s, %" PRIu64 " tokens or rows", text, t->tokens);
    if (text && !isnan(t->loss)) text = record_text(x->a, "%s, loss %.4g at the end", text, t->loss);
    if (text && !isnan(t->validation_loss))
        text = record_text(x->a, "%s, validation loss %.4g", text, t->validation_loss);
    return told(text, "log.jsonl", DOC_RECORDED);
}

static form_answer r_run(const form *x) {
    const record_training *t = &x->r->training;
    bool timed = t->known && !isnan(t->seconds);
    return told(timed ? record_text(x->a, "%.3g s by the clock", t->seconds) : NULL, "log.jsonl", DOC_RECORDED);
}

static form_answer r_energy_method(const form *x) {
    bool measured = x->r->training.known && !isnan(x->r->training.energy_j);
    return told(measured ? "RAPL counters of processors and memory over the whole run, nothing else of the machine"
                         : NULL,
                "log.jsonl", DOC_RECORDED);
}

static form_answer r_languages(const form *x) { return told(record_card(x->r, "language"), "README.md", DOC_RECORDED); }

static form_answer r_signature(const form *x) {
    return told(x->r->is_signed ? "signed (model.sig); tola verify checks it" : NULL, NULL, DOC_RECORDED);
}

static form_answer r_provenance(const form *x) {
    return told(x->r->made_by ? record_text(x->a, "tola %s", x->r->made_by) : NULL, "statement of provenance",
                DOC_RECORDED);
}

static form_answer r_quantizations(const form *x) {
    const char *text = NULL, *where = NULL;
    for (size_t i = 0; i < x->r->quantization_count; i++) {
        const record_quantization *q = &x->r->quantizations[i];
        const char *line = record_text(x->a, "%s: %.3g bits a weight", q->recipe ? q->recipe : "quantized", q->bits);
        if (line && !isnan(q->rmse)) line = record_text(x->a, "%s, RMSE %.3g", line, q->rmse);
        if (line && !isnan(q->snr_db)) line = record_text(x->a, "%s, SNR %.3g dB", line, q->snr_db);
        text = form_line(x->a, text, line);
        where = q->file;
    }
    return told(text, where, DOC_RECORDED);
}

/* ---- computed ---- */

static form_answer c_date(const form *x) {
    form_answer given = fact(x, "document.date");
    char text[16];
    if (given.text) return given;
    return told(record_text(x->a, "%s", facts_date_text(x->day, text)), "the day it was made", DOC_COMPUTED);
}

form_answer form_name(const form *x) {
    form_answer given = fact(x, "model.name");
    if (given.text) return given;
    if (x->r->summary.name) return told(x->r->summary.name, "metadata", DOC_WEIGHTS);
    return w_name(x);
}

static form_answer c_versioned_name(const form *x) {
    form_answer name = fact(x, "model.name");
    const char *version = form_fact(x, "model.version");
    if (name.text && version && !strstr(name.text, version)) name.text = record_text(x->a, "%s %s", name.text, version);
    return name;
}

static form_answer c_authenticity(const form *x) {
    const record *r = x->r;
    const char *text = r->digest[0] ? record_text(x->a, "tola digest %s", r->digest) : NULL;
    for (size_t i = 0; i < r->file_count && i < 200; i++) {
        char hex[65];
        if (!r->files[i].hashed) continue;
        digest_to_hex(r->files[i].sha256, 32, hex);
        text = form_line(x->a, text, record_text(x->a, "sha256 %s %s", hex, r->files[i].name));
    }
    if (text && r->file_count > 200)
        text = form_line(x->a, text, record_text(x->a, "and %zu further files", r->file_count - 200));
    return told(text, NULL, DOC_WEIGHTS);
}

form_answer form_licence(const form *x) {
    form_answer given = fact(x, "licence.id");
    const char *name = form_fact(x, "licence.name");
    if (given.text && strcmp(given.text, "other") == 0 && name) return told(name, "licence.name", DOC_FACTS);
    if (given.text) return given;
    if (name) return told(name, "licence.name", DOC_FACTS);
    return told(x->r->licence, x->r->licence_where, DOC_RECORDED);
}

static form_answer c_licence_link(const form *x) {
    form_answer id = form_licence(x);
    const char *url = form_fact(x, "licence.url");
    if (!url) return id;
    return told(id.text ? record_text(x->a, "%s: %s", id.text, url) : url, "licence.url", DOC_FACTS);
}

static form_answer c_channels(const form *x) {
    form_answer given = fact(x, "distribution.channels");
    const char *access = form_fact(x, "release.access"), *url = form_fact(x, "model.download_url");
    if (given.text && access) given.text = record_text(x->a, "%s (weights: %s)", given.text, access);
    if (given.text && url) given.text = form_line(x->a, given.text, url);
    return given;
}

static form_answer c_uses(const form *x) {
    form_answer given = fact(x, "use.intended");
    const char *not = form_fact(x, "use.out_of_scope");
    if (!not ) return given;
    return told(form_line(x->a, given.text, record_text(x->a, "Not meant for: %s", not )), "use.intended", DOC_FACTS);
}

static form_answer c_data_modalities(const form *x) {
    static const char *const words[] = { "text", "image", "audio", "video", "code", "table", "other" };
    const char *text = NULL;
    size_t count = x->f ? facts_count(x->f, "data") : 0;
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        for (size_t i = 0; i < count && i < 1000; i++) {
            const char *all = form_row_fact(x, "data", i, "modality");
            if (!all || !strstr(all, words[w])) continue;
            text = text ? record_text(x->a, "%s, %s", text, words[w]) : words[w];
            break;
        }
    return told(text, "data[].modality", DOC_FACTS);
}

static form_answer c_data_languages(const form *x) {
    const char *text = NULL;
    size_t count = x->f ? facts_count(x->f, "data") : 0;
    for (size_t i = 0; i < count && i < 1000; i++) {
        const char *name = form_row_fact(x, "data", i, "name"), *all = form_row_fact(x, "data", i, "languages");
        if (all) text = form_line(x->a, text, name ? record_text(x->a, "%s: %s", name, all) : all);
    }
    return told(text, "data[].languages", DOC_FACTS);
}

static form_answer data_points(const form *x, int figures) {
    const char *text = NULL;
    double value;
    size_t count = x->f ? facts_count(x->f, "data") : 0;
    for (size_t i = 0; i < count && i < 1000; i++) {
        char path[64];
        const char *name = form_row_fact(x, "data", i, "name"), *split = form_row_fact(x, "data", i, "split"),
                   *unit = "tokens";
        snprintf(path, sizeof path, "data[%zu].tokens", i);
        if (!facts_number(x->f, path, &value)) {
            unit = "data points";
            snprintf(path, sizeof path, "data[%zu].points", i);
            if (!facts_number(x->f, path, &value)) continue;
        }
        text = form_line(x->a, text,
                         record_text(x->a, "%s%s%s%s: %s %s", name ? name : "data", split ? " (" : "",
                                     split ? split : "", split ? ")" : "", record_figures(x->a, value, figures), unit));
    }
    if (number(x, "training.tokens", &value))
        text = form_line(x->a, text,
                         record_text(x->a, "training in all: %s tokens", record_figures(x->a, value, figures)));
    else if (x->r->training.known && x->r->training.tokens && !text)
        return told(record_text(x->a, "training: %s tokens or rows",
                                record_figures(x->a, (double)x->r->training.tokens, figures)),
                    "log.jsonl", DOC_RECORDED);
    return told(text, "data, training.tokens", DOC_FACTS);
}

static form_answer c_data_points_one(const form *x) { return data_points(x, 1); }
static form_answer c_data_points_two(const form *x) { return data_points(x, 2); }

static form_answer c_latest_data(const form *x) {
    form_answer given = fact(x, "data_policy.cutoff_date");
    const char *goes_on = form_fact(x, "data_policy.continuous");
    if (given.text && goes_on)
        given.text = record_text(x->a, "%.7s; %s after it", given.text,
                                 goes_on[0] == 'Y' ? "trained continuously on new data" : "not trained on new data");
    return given;
}

static form_answer c_provider(const form *x) {
    form_answer given = fact(x, "provider.legal_name");
    static const char *const more[] = { "provider.address", "provider.contact", "provider.url" };
    for (size_t i = 0; given.text && i < sizeof more / sizeof *more; i++)
        given.text = form_line(x->a, given.text, form_fact(x, more[i]));
    return given;
}

static form_answer c_robots(const form *x) {
    const char *follows = form_fact(x, "data_policy.robots_txt");
    return told(follows ? (follows[0] == 'Y' ? "Crawlers follow robots.txt" : "Crawlers do not follow robots.txt")
                        : NULL,
                "data_policy.robots_txt", DOC_FACTS);
}

/* ---- time, compute, energy ---- */

/* Device hours of a group of facts, those of rows with hours and a count, or told as they are; 0 unknown. */
static double device_hours(const form *x, const char *group) {
    double sum = 0, hours, count;
    size_t rows = x->f ? facts_count(x->f, group) : 0;
    for (size_t i = 0; i < rows && i < 1000; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s[%zu].device_hours", group, i);
        if (facts_number(x->f, path, &hours)) {
            sum += hours;
            continue;
        }
        snprintf(path, sizeof path, "%s[%zu].hours", group, i);
        bool known = facts_number(x->f, path, &hours);
        snprintf(path, sizeof path, "%s[%zu].count", group, i);
        if (!known || !facts_number(x->f, path, &count)) return 0;
        sum += hours * count;
    }
    return sum;
}

/* Hours by the clock: told, else by the first and last day, else of Tola's own run. */
static double wall_hours(const form *x, const char **where, doc_source *source) {
    double hours;
    int32_t first, last;
    *source = DOC_FACTS;
    *where = "training.wall_hours";
    if (number(x, "training.wall_hours", &hours)) return hours;
    *where = "training.start_date, training.end_date";
    if (x->f && facts_date(x->f, "training.start_date", &first) && facts_date(x->f, "training.end_date", &last) &&
        last >= first)
        return 24.0 * (last - first + 1);
    *where = "log.jsonl";
    *source = DOC_RECORDED;
    return x->r->training.known && x->r->training.seconds > 0 ? x->r->training.seconds / 3600 : 0;
}

static form_answer c_training_time_range(const form *x) {
    const char *where;
    doc_source source;
    double days = wall_hours(x, &where, &source) / 24;
    if (!(days > 0)) return told(NULL, NULL, source);
    const char *range = days < 30.5    ? "Less than 1 month"
                        : days <= 91.5 ? "1-3 months"
                        : days <= 183  ? "3-6 months"
                                       : "More than 6 months";
    return told(record_text(x->a, "%s of training by the clock", range), where, source);
}

static form_answer c_training_time(const form *x) {
    const char *where, *text = NULL;
    doc_source source;
    double days = wall_hours(x, &where, &source) / 24, devices = device_hours(x, "training.hardware") / 24;
    if (days > 0) text = record_text(x->a, "%s wall clock days", record_figures(x->a, days, 1));
    if (devices > 0) {
        const char *name = form_row_fact(x, "training.hardware", 0, "device");
        const char *line = record_text(x->a, "%s %s%sdays", record_figures(x->a, devices, 1), name ? name : "hardware",
                                       name ? " " : " ");
        if (!text) {
            where = "training.hardware";
            source = DOC_FACTS;
        }
        text = form_line(x->a, text, line);
    }
    return told(text, where, source);
}

static form_answer c_hours(const form *x) {
    double hours = device_hours(x, "training.hardware"), tuning = device_hours(x, "finetuning.hardware");
    if (hours + tuning > 0)
        return told(record_text(x->a, "%s device hours", record_figures(x->a, hours + tuning, 3)), "training.hardware",
                    DOC_FACTS);
    const char *where;
    doc_source source;
    hours = wall_hours(x, &where, &source);
    return told(hours > 0 ? record_text(x->a, "%s by the clock", record_figures(x->a, hours, 2)) : NULL, where, source);
}

static double active_parameters(const form *x) {
    const tola_summary *s = &x->r->summary;
    return (double)(s->active ? s->active : s->parameters);
}

bool form_compute(const form *x, compute_result *out) {
    const tola_summary *s = &x->r->summary;
    double told;
    compute_model m = { s->parameters ? (double)s->parameters : NAN, s->parameters ? active_parameters(x) : NAN,
                        "weights", "weights" };
    if (!x->f) return false;
    if (number(x, "model.active_parameters", &told)) {
        m.active = told;
        m.active_source = "model.active_parameters";
    }
    bool modified = facts_count(x->f, "bases") > 0 || x->r->base_count > 0;
    return compute_estimate(x->f, &m, modified, x->a, out, NULL) == TOLA_OK;
}

/* What was declared, else 6ND, else hardware hours: of the training, else of the modification. */
static bool training_flop(const form *x, double *flop, const char **how, doc_source *source) {
    static const char *const methods[] = { "declared", "6ND", "hardware" }, *const stages[] = { "training",
                                                                                                "modification" };
    compute_result r;
    *source = DOC_COMPUTED;
    *how = form_fact(x, "training.compute_method");
    if (!form_compute(x, &r)) return false;
    for (size_t stage = 0; stage < 2; stage++)
        for (size_t k = 0; k < sizeof methods / sizeof *methods; k++)
            for (size_t i = 0; i < r.count; i++) {
                const tola_comply_estimate *e = &r.estimates[i];
                if (strcmp(e->of, stages[stage]) != 0 || strcmp(e->method, methods[k]) != 0 || isnan(e->flop)) continue;
                *flop = e->flop;
                *source = k ? DOC_COMPUTED : DOC_FACTS;
                if (!*how && k == 0) *how = "as declared by the provider";
                if (!*how) *how = record_text(x->a, "Estimate: %s, %s", e->method, e->formula);
                return true;
            }
    return false;
}

static form_answer c_flop(const form *x) {
    double flop;
    const char *how;
    doc_source source;
    if (!training_flop(x, &flop, &how, &source)) return told(NULL, NULL, source);
    return told(
        record_text(x->a, "%s FLOP%s", record_figures(x->a, flop, 2), source == DOC_COMPUTED ? " (estimate)" : ""),
        source == DOC_COMPUTED ? "estimate of compute" : "training.compute_flop", source);
}

static form_answer c_flop_order(const form *x) {
    double flop;
    const char *how;
    doc_source source;
    if (!training_flop(x, &flop, &how, &source) || !(flop > 0)) return told(NULL, NULL, source);
    return told(
        record_text(x->a, "10^%d FLOP%s", (int)floor(log10(flop) + 1e-12), source == DOC_COMPUTED ? " (estimate)" : ""),
        source == DOC_COMPUTED ? "estimate of compute" : "training.compute_flop", source);
}

static form_answer c_flop_method(const form *x) {
    double flop;
    const char *how;
    doc_source source;
    if (!training_flop(x, &flop, &how, &source)) return told(NULL, NULL, source);
    return told(how, source == DOC_COMPUTED ? NULL : "training.compute_method", source);
}

bool form_energy(const form *x, double *mwh, doc_source *source) {
    double tuning;
    *source = DOC_FACTS;
    bool known = number(x, "training.energy_mwh", mwh);
    if (number(x, "finetuning.energy_mwh", &tuning)) {
        *mwh = (known ? *mwh : 0) + tuning;
        known = true;
    }
    if (known) return true;
    *source = DOC_RECORDED;
    if (!x->r->training.known || isnan(x->r->training.energy_j)) return false;
    *mwh = x->r->training.energy_j / 3.6e9;
    return true;
}

static form_answer c_energy(const form *x) {
    double mwh;
    doc_source source;
    if (!form_energy(x, &mwh, &source)) return told(NULL, NULL, source);
    const char *text = record_text(x->a, "%s MWh", record_figures(x->a, mwh, 2));
    return told(text, source == DOC_FACTS ? "training.energy_mwh" : "log.jsonl", source);
}

static form_answer c_inference_flop(const form *x) {
    form_answer given = fact(x, "training.inference_flop");
    if (given.text) return given;
    double weights = active_parameters(x);
    if (!(weights > 0) || x->r->summary.context == 0) return told(NULL, NULL, DOC_COMPUTED);
    return told(record_text(x->a, "%s FLOP a token (estimate)", record_figures(x->a, 2 * weights, 2)), "2 N",
                DOC_COMPUTED);
}

static form_answer c_inference_method(const form *x) {
    if (form_fact(x, "training.inference_flop") || !c_inference_flop(x).text) return told(NULL, NULL, DOC_COMPUTED);
    return told("Estimate: two operations for each active parameter and token, attention over the context left out; no "
                "benchmark was run",
                "2 N", DOC_COMPUTED);
}

/* ---- of the card ---- */

static form_answer c_regime(const form *x) {
    const char *precision = form_row_fact(x, "training.hardware", 0, "precision");
    return told(precision, "training.hardware[].precision", DOC_FACTS);
}

static form_answer c_testing(const form *x) {
    const char *text = NULL;
    size_t count = x->f ? facts_count(x->f, "evaluation") : 0;
    for (size_t i = 0; i < count && i < 1000; i++) {
        const char *name = form_row_fact(x, "evaluation", i, "benchmark"),
                   *data = form_row_fact(x, "evaluation", i, "dataset");
        const char *metric = form_row_fact(x, "evaluation", i, "metric"),
                   *how = form_row_fact(x, "evaluation", i, "protocol");
        const char *line = name ? name : data;
        if (line && metric) line = record_text(x->a, "%s: %s", line, metric);
        if (line && how) line = record_text(x->a, "%s, %s", line, how);
        text = form_line(x->a, text, line);
    }
    doc_source source = text ? DOC_FACTS : DOC_RECORDED;
    for (size_t i = 0; i < x->r->metric_count; i++) {
        const record_metric *m = &x->r->metrics[i];
        const char *line = m->protocol ? record_text(x->a, "%s: %s, %s", m->file, m->name, m->protocol)
                                       : record_text(x->a, "%s: %s", m->file, m->name);
        text = form_line(x->a, text, line);
    }
    return told(text, source == DOC_FACTS ? "evaluation" : "tola eval", source);
}

static form_answer c_results(const form *x) {
    const char *text = NULL;
    size_t count = x->f ? facts_count(x->f, "evaluation") : 0;
    for (size_t i = 0; i < count && i < 1000; i++) {
        const char *name = form_row_fact(x, "evaluation", i, "benchmark"),
                   *value = form_row_fact(x, "evaluation", i, "value");
        const char *metric = form_row_fact(x, "evaluation", i, "metric");
        if (!name) name = form_row_fact(x, "evaluation", i, "dataset");
        if (value)
            text = form_line(x->a, text,
                             record_text(x->a, "%s%s%s: %s", name ? name : "", name && metric ? ", " : "",
                                         metric ? metric : "", value));
    }
    doc_source source = text ? DOC_FACTS : DOC_RECORDED;
    for (size_t i = 0; i < x->r->metric_count; i++) {
        const record_metric *m = &x->r->metrics[i];
        const char *line = isnan(m->error)
                               ? record_text(x->a, "%s, %s: %.6g", m->file, m->name, m->value)
                               : record_text(x->a, "%s, %s: %.6g +- %.2g", m->file, m->name, m->value, m->error);
        text = form_line(x->a, text, line);
    }
    return told(text, source == DOC_FACTS ? "evaluation" : "tola eval", source);
}

static form_answer c_start(const form *x) {
    const tola_summary *s = &x->r->summary;
    const char *format = tola_checkpoint_format(x->r->checkpoint), *url = form_fact(x, "model.download_url");
    if (s->context == 0 || !s->tokenizer) return told(NULL, NULL, DOC_COMPUTED);
    for (const char *p = x->r->name; *p; p++) /* what is pasted into a shell holds nothing that a shell understands */
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p)) return told(NULL, NULL, DOC_COMPUTED);
    if (x->r->name[0] == '-') return told(NULL, NULL, DOC_COMPUTED);
    bool slash = format && strcmp(format, "gguf") == 0;
    (void)url;
    return told(record_text(x->a, "tola run %s%s -p \"Hello\"", x->r->name, slash ? "" : "/"), "tola run",
                DOC_COMPUTED);
}

const form_function form_functions[] = {
    { "weights", "name", w_name },
    { "weights", "parameters", w_parameters },
    { "weights", "range", w_range },
    { "weights", "dtypes", w_dtypes },
    { "weights", "architecture", w_architecture },
    { "weights", "quantization", w_quantization },
    { "weights", "context", w_context },
    { "weights", "tokenizer", w_tokenizer },
    { "weights", "bytes", w_bytes },
    { "weights", "digest", w_digest },
    { "recorded", "bases", r_bases },
    { "recorded", "training", r_training },
    { "recorded", "run", r_run },
    { "recorded", "energy_method", r_energy_method },
    { "recorded", "languages", r_languages },
    { "recorded", "signature", r_signature },
    { "recorded", "provenance", r_provenance },
    { "recorded", "quantizations", r_quantizations },
    { "computed", "date", c_date },
    { "computed", "versioned_name", c_versioned_name },
    { "computed", "authenticity", c_authenticity },
    { "computed", "licence", form_licence },
    { "computed", "licence_link", c_licence_link },
    { "computed", "channels", c_channels },
    { "computed", "uses", c_uses },
    { "computed", "data_modalities", c_data_modalities },
    { "computed", "data_languages", c_data_languages },
    { "computed", "data_points_one", c_data_points_one },
    { "computed", "data_points_two", c_data_points_two },
    { "computed", "latest_data", c_latest_data },
    { "computed", "provider", c_provider },
    { "computed", "robots", c_robots },
    { "computed", "training_time_range", c_training_time_range },
    { "computed", "training_time", c_training_time },
    { "computed", "hours", c_hours },
    { "computed", "flop", c_flop },
    { "computed", "flop_order", c_flop_order },
    { "computed", "flop_method", c_flop_method },
    { "computed", "energy", c_energy },
    { "computed", "inference_flop", c_inference_flop },
    { "computed", "inference_method", c_inference_method },
    { "computed", "regime", c_regime },
    { "computed", "testing", c_testing },
    { "computed", "results", c_results },
    { "computed", "start", c_start },
    { NULL, NULL, NULL },
};

void form_model(record *r, const facts *f, doc_model *out) {
    form x = { r, f, 0, &r->a };
    const tola_summary *s = &r->summary;
    *out = (doc_model){ .name = form_name(&x).text,
                        .digest = r->digest[0] ? r->digest : NULL,
                        .architecture = s->architecture ? s->architecture : s->model_class,
                        .dtypes = record_dtypes(r),
                        .licence = form_licence(&x).text,
                        .parameters = s->parameters,
                        .active = s->active,
                        .context = s->context };
}
