/* The public face: a record, facts and a form become a document in memory, then a file. */
#include <tola/papers.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/options.h"
#include "base/output.h"
#include "base/text.h"
#include "policy/bom.h"
#include "policy/card.h"

typedef struct paper_owner {
    record r;
    facts *f;
    document d;
    buf text;
    const char **unknown;
    char **warnings;
    size_t warning_count, warning_cap;
} paper_owner;

static void free_owner(paper_owner *p) {
    if (!p) return;
    record_dispose(&p->r);
    facts_free(p->f);
    document_free(&p->d);
    buf_free(&p->text);
    mem_free(p->unknown);
    mem_free(p->warnings);
    mem_free(p);
}

/* ---- facts against the weights ---- */

static tola_status warn(paper_owner *p, const char *text, tola_error *err) {
    if (!text || !mem_grow(&p->warnings, &p->warning_cap, p->warning_count + 1, sizeof *p->warnings))
        return err_nomem(err, "making a document");
    char *own = arena_strndup(&p->d.a, text, strlen(text));
    if (!own) return err_nomem(err, "making a document");
    p->warnings[p->warning_count++] = own;
    return TOLA_OK;
}

static bool close_to(double a, double b) { return fabs(a - b) <= 0.05 * fabs(b); }

static tola_status contradictions(paper_owner *p, tola_error *err) {
    const tola_summary *s = &p->r.summary;
    const struct {
        const char *path, *what;
        uint64_t is;
        bool exact;
    } numbers[] = { { "model.parameters", "parameters", s->parameters, false },
                    { "model.active_parameters", "active parameters", s->active, false },
                    { "model.context_tokens", "tokens of context", s->context, true } };
    double told;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!numbers[i].is || !facts_number(p->f, numbers[i].path, &told)) continue;
        if (numbers[i].exact ? told == (double)numbers[i].is : close_to(told, (double)numbers[i].is)) continue;
        TRY(warn(p,
                 record_text(&p->d.a, "the facts say %.6g %s (%s), the weights %" PRIu64, told, numbers[i].what,
                             numbers[i].path, numbers[i].is),
                 err));
    }
    form x = { &p->r, p->f, 0, &p->d.a };
    compute_result compute;
    if (form_compute(&x, &compute))
        for (size_t i = 0; i < compute.n_findings; i++) TRY(warn(p, compute.findings[i], err));
    const char *licence = facts_text(p->f, "licence.id");
    if (licence && p->r.licence && strcasecmp(licence, p->r.licence) != 0)
        TRY(warn(p,
                 record_text(&p->d.a, "the facts say licence %s, the model's folder %s (%s)", licence, p->r.licence,
                             p->r.licence_where),
                 err));
    return TOLA_OK;
}

/* ---- making ---- */

static tola_paper_format format_of(const tola_paper_options *o) {
    if (o->kind == TOLA_PAPER_CYCLONEDX || o->kind == TOLA_PAPER_SPDX) return TOLA_PAPER_JSON;
    if (o->format != TOLA_PAPER_BY_NAME) return o->format;
    if (o->out && text_ends_with(o->out, ".json")) return TOLA_PAPER_JSON;
    if (o->out && (text_ends_with(o->out, ".html") || text_ends_with(o->out, ".htm"))) return TOLA_PAPER_HTML;
    return TOLA_PAPER_MARKDOWN;
}

static tola_status list_unknown(paper_owner *p, tola_paper *out, tola_error *err) {
    size_t n = 0;
    document_count(&p->d, &out->fields, &out->unknown);
    p->unknown = mem_calloc(out->unknown + 1, sizeof *p->unknown);
    if (!p->unknown) return err_nomem(err, "making a document");
    for (size_t i = 0; i < p->d.count; i++) {
        const doc_item *f = &p->d.items[i];
        if (!f->section && !f->value && !f->optional && !f->extra) p->unknown[n++] = f->label;
    }
    return TOLA_OK;
}

static tola_status make_document(paper_owner *p, const tola_paper_options *o, int64_t now, tola_paper *out,
                                 tola_error *err) {
    static const char *const forms[] = { "form-hf.yaml", "form-eu.yaml", "form-data.yaml" };
    static const char *const kinds[] = { "hf", "eu", "data" };
    int32_t day = (int32_t)(now / 86400);
    form x = { &p->r, p->f, day, &p->d.a };
    buf front;
    p->d.kind = kinds[o->kind];
    TRY(form_fill(forms[o->kind], &p->r, p->f, day, &p->d, err));
    if (o->kind == TOLA_PAPER_HF) {
        buf_init(&front, 16u << 20);
        card_front_matter(&x, &front);
        p->d.front = front.failed ? NULL : arena_strndup(&p->d.a, (const char *)front.data, front.length);
        buf_free(&front);
        p->d.title = record_text(&p->d.a, "Model Card for %s", form_name(&x).text);
    } else {
        p->d.title = record_text(&p->d.a, "%s: %s", p->d.title, form_name(&x).text);
    }
    if (!p->d.title || (o->kind == TOLA_PAPER_HF && !p->d.front)) return err_nomem(err, "making a document");
    TRY(list_unknown(p, out, err));
    out->title = p->d.title;
    return out->format == TOLA_PAPER_JSON   ? document_json(&p->d, &p->text, err)
           : out->format == TOLA_PAPER_HTML ? document_html(&p->d, &p->text, err)
                                            : document_markdown(&p->d, &p->text, err);
}

static tola_status make_bom(paper_owner *p, const tola_paper_options *o, int64_t now, tola_paper *out,
                            tola_error *err) {
    form x = { &p->r, p->f, (int32_t)(now / 86400), &p->d.a };
    bom b;
    bom_begin(&x, now, &b);
    bool cyclonedx = o->kind == TOLA_PAPER_CYCLONEDX;
    p->unknown = mem_calloc(33, sizeof *p->unknown);
    if (!p->unknown) return err_nomem(err, "writing a bill of materials");
    out->unknown = bom_unknown(&b, p->unknown, &out->fields);
    out->title = record_text(&p->d.a, "%s bill of materials of %s", cyclonedx ? "CycloneDX 1.6" : "SPDX 3.0.1", b.name);
    return bom_write(&b, cyclonedx ? bom_cyclonedx : bom_spdx, &p->text, err);
}

static tola_status make(const char *model, const tola_paper_options *o, paper_owner *p, tola_paper *out,
                        tola_error *err) {
    const char *ignore[] = { o->out && strcmp(o->out, "-") != 0 ? o->out : NULL, NULL };
    record_options how = { o->no_digest, o->evaluations, ignore, o->threads, o->progress, o->progress_user };
    int64_t now = o->time ? o->time : (int64_t)time(NULL);
    if (o->facts) TRY(facts_open(o->facts, &p->f, err));
    TRY(record_open(model, &how, &p->r, err));
    for (size_t i = 0; i < p->r.warning_count; i++) TRY(warn(p, p->r.warnings[i], err));
    if (p->f) TRY(contradictions(p, err));
    out->format = format_of(o);
    TRY(o->kind <= TOLA_PAPER_DATA ? make_document(p, o, now, out, err) : make_bom(p, o, now, out, err));
    buf_u8(&p->text, 0);
    if (p->text.failed || record_failed(&p->d.a) || record_failed(&p->r.a)) return err_nomem(err, "making a document");
    out->text = (const char *)p->text.data;
    out->length = p->text.length - 1;
    out->unknown_fields = p->unknown;
    out->warnings = (const char *const *)p->warnings;
    out->warning_count = p->warning_count;
    return TOLA_OK;
}

tola_status tola_paper_make(const char *model, const tola_paper_options *options, tola_paper *out, tola_error *err) {
    tola_paper_options o = TOLA_PAPER_OPTIONS_INIT;
    tola_paper paper = { .size = sizeof paper };
    TRY(options_take(&o, sizeof o, options, err));
    if (!model || !out || (unsigned)o.kind > TOLA_PAPER_SPDX || (unsigned)o.format > TOLA_PAPER_HTML)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a document needs a model and a kind");
    paper_owner *p = mem_calloc(1, sizeof *p);
    if (!p) return err_nomem(err, "making a document");
    document_init(&p->d);
    buf_init(&p->text, 0);
    tola_status status = make(model, &o, p, &paper, err);
    if (status != TOLA_OK) {
        free_owner(p);
        return status;
    }
    paper.owner = p;
    *out = paper;
    return TOLA_OK;
}

void tola_paper_dispose(tola_paper *paper) {
    if (!paper) return;
    free_owner(paper->owner);
    memset(paper, 0, sizeof *paper);
}

tola_status tola_paper_write(const tola_paper *paper, const char *path, bool overwrite, tola_error *err) {
    output_set *set;
    output_file *file;
    TRY(output_set_open(overwrite, &set, err));
    tola_status status = output_add(set, path, paper->length, &file, err);
    if (status == TOLA_OK) status = output_write(file, 0, paper->text, paper->length, err);
    if (status != TOLA_OK) {
        output_abort(set);
        return status;
    }
    return output_commit(set, err);
}
