/* Items of an open release that stand in papers, and what is looked at in the weights themselves. */
#define _GNU_SOURCE 1 /* memmem */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/path.h"
#include "base/text.h"
#include "policy/check.h"
#include "policy/data.h"
#include "policy/lineage.h"
#include "policy/release.h"
#include "trust/whole.h"
#include <tola/comply.h>
#include <tola/papers.h>
#include <tola/scan.h>
#include <tola/sign.h>
#include <tola/tokenizer.h>

void release_look_weights(release *x, release_answer *to) {
    if (!release_record(x, to)) {
        to->found = x->unread;
        return;
    }
    const char *parameters = record_parameters(&x->r), *dtypes = record_dtypes(&x->r);
    to->good = x->r.summary.parameters > 0 && x->r.summary.missing_tensors == 0;
    to->found = x->r.summary.missing_tensors
                    ? record_text(&x->a, "%" PRIu64 " tensors of the index are not there", x->r.summary.missing_tensors)
                : parameters ? record_text(&x->a, "%s, %s", parameters, dtypes ? dtypes : "of unknown types")
                             : "there are no weights in it";
}

/* ---- licence ---- */

/* Words that the text of a licence has, in the order of how telling they are; others are taken as they are. */
static const struct {
    const char *id, *words;
} licence_words[] = {
    { "apache-2.0", "Apache License" },
    { "mit", "MIT License|Permission is hereby granted" },
    { "bsd-2-clause", "Redistribution and use in source and binary forms" },
    { "bsd-3-clause", "Redistribution and use in source and binary forms" },
    { "gpl-3.0", "GNU GENERAL PUBLIC LICENSE" },
    { "gpl-2.0", "GNU GENERAL PUBLIC LICENSE" },
    { "agpl-3.0", "GNU AFFERO GENERAL PUBLIC LICENSE" },
    { "lgpl-3.0", "GNU LESSER GENERAL PUBLIC LICENSE" },
    { "mpl-2.0", "Mozilla Public License" },
    { "cc0-1.0", "CC0" },
    { "cc-by-4.0", "Creative Commons|CC BY 4.0|CC-BY-4.0" },
    { "cc-by-sa-4.0", "ShareAlike|CC BY-SA 4.0|CC-BY-SA-4.0" },
    { "cc-by-nc-4.0", "NonCommercial|CC BY-NC 4.0|CC-BY-NC-4.0" },
    { "llama2", "Llama 2|LLAMA 2" },
    { "llama3", "Llama 3|LLAMA 3" },
    { "llama3.1", "Llama 3.1|LLAMA 3.1" },
    { "llama3.2", "Llama 3.2|LLAMA 3.2" },
    { "llama3.3", "Llama 3.3|LLAMA 3.3" },
    { "gemma", "Gemma" },
    { "openmdw-1.0", "OpenMDW" },
};

static const char *spdx_name(const char *id) {
    static const struct {
        const char *id, *spdx;
    } rows[] = { { "apache-2.0", "Apache-2.0" },     { "mit", "MIT" },
                 { "bsd-2-clause", "BSD-2-Clause" }, { "bsd-3-clause", "BSD-3-Clause" },
                 { "gpl-3.0", "GPL-3.0-only" },      { "gpl-2.0", "GPL-2.0-only" },
                 { "agpl-3.0", "AGPL-3.0-only" },    { "lgpl-3.0", "LGPL-3.0-only" },
                 { "mpl-2.0", "MPL-2.0" },           { "cc0-1.0", "CC0-1.0" },
                 { "cc-by-4.0", "CC-BY-4.0" },       { "cc-by-sa-4.0", "CC-BY-SA-4.0" },
                 { "cc-by-nc-4.0", "CC-BY-NC-4.0" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcasecmp(rows[i].id, id) == 0) return rows[i].spdx;
    return NULL;
}

/* Is it that licence's text, as far as its words tell? An empty file is none. */
static bool is_licence(const char *id, const buf *text) {
    bool any = false;
    for (size_t i = 0; i < text->length && !any; i++) any = text->data[i] > ' ';
    for (size_t i = 0; any && i < sizeof licence_words / sizeof *licence_words; i++) {
        if (strcasecmp(licence_words[i].id, id) != 0) continue;
        for (const char *w = licence_words[i].words; *w;) {
            size_t n = strcspn(w, "|");
            for (size_t at = 0; at + n <= text->length; at++)
                if (strncasecmp((const char *)text->data + at, w, n) == 0) return true;
            w += n + (w[n] == '|');
        }
        return false;
    }
    return any;
}

static const char *licence_file(release *x, const char **name) {
    static const char *const names[] = { "LICENSE",    "LICENSE.txt", "LICENSE.md",  "LICENCE", "LICENCE.txt",
                                         "LICENCE.md", "COPYING",     "COPYING.txt", "license" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = record_text(&x->a, "%s/%s", x->beside, names[i]);
        if (path && release_readable(path)) {
            *name = names[i];
            return path;
        }
    }
    return NULL;
}

/* Terms of what it was made from, against its own. */
static tola_status check_lineage(release *x, lineage *l, tola_error *err) {
    yaml *licences = NULL, *own = NULL;
    facts *none = NULL;
    const char *name = x->f ? facts_text(x->f, "model.name") : NULL;
    const char *statement = x->p.provenance ? release_place(x, x->p.provenance) : NULL;
    if (!x->f) TRY(facts_parse("facts", "", 0, &none, err));
    const facts *f = x->f ? x->f : none;
    tola_status status = lineage_gather(x->model, x->r.checkpoint, statement, name, f, &x->a, l, err);
    if (status == TOLA_OK) status = data_open("licences.yaml", &licences, err);
    if (status == TOLA_OK && !l->licence) l->licence = x->p.licence;
    if (status == TOLA_OK) status = lineage_check(l, licences, f, name ? name : x->r.name, -1, &x->a, err);
    for (size_t i = 0; status == TOLA_OK && i < l->n_findings; i++)
        l->findings[i].what = release_keep(x, l->findings[i].what);
    for (size_t i = 0; status == TOLA_OK && i < l->count; i++) l->bases[i].name = release_keep(x, l->bases[i].name);
    yaml_free(licences);
    yaml_free(own);
    facts_free(none);
    return status;
}

void release_look_licence(release *x, release_answer *to) {
    tola_error err = TOLA_ERROR_INIT;
    if (!release_record(x, to)) return;
    const char *told = x->f ? facts_text(x->f, "licence.id") : NULL, *name = NULL, *file = licence_file(x, &name);
    const char *ids[] = { x->p.licence, told, x->r.licence }, *who[] = { "the plan", "the facts", "the folder" };
    const char *id = NULL, *by = NULL;
    for (size_t i = 0; i < 3; i++) {
        if (!ids[i]) continue;
        if (id && strcasecmp(id, ids[i])) {
            to->found =
                record_text(&x->a, "%s say%s %s, %s %s", by, strcmp(by, "the facts") ? "s" : "", id, who[i], ids[i]);
            to->mend = i == 1 ? record_text(&x->a, "licence: {id: %s}, in the facts", id)
                              : record_text(&x->a, "tola card %s%s %s/README.md --force", release_shell(x, x->model),
                                            release_facts_option(x), release_shell(x, x->beside));
            return;
        }
        if (!id) id = ids[i], by = who[i];
    }
    buf text;
    const char *spdx = id ? spdx_name(id) : NULL;
    bool right = file && id && release_text(file, RELEASE_PAPER_BYTES, &text);
    if (right) {
        right = is_licence(id, &text);
        whole_wipe(&text);
    }
    if (!id) {
        to->found = "no licence is named";
        to->mend = "licence: apache-2.0, in the plan, or licence: {id: apache-2.0}, in the facts";
        return;
    }
    if (!right) {
        to->found = file ? record_text(&x->a, "%s, but %s is not its text", id, name)
                         : record_text(&x->a, "%s, but its text is not in the folder (LICENSE)", id);
        to->mend = spdx ? record_text(&x->a,
                                      "curl -fo %s/LICENSE https://raw.githubusercontent.com/spdx/license-list-data/"
                                      "main/text/%s.txt",
                                      release_shell(x, x->beside), spdx)
                        : record_text(&x->a, "cp THE-LICENCE %s/LICENSE", release_shell(x, x->beside));
        return;
    }
    lineage l;
    if (check_lineage(x, &l, &err) != TOLA_OK) {
        to->found = release_keep(x, err.message);
        return;
    }
    for (size_t i = 0; i < l.n_findings; i++)
        if (strcmp(l.findings[i].kind, "note")) release_detail(x, to, l.findings[i].what);
    to->good = to->count == 0;
    to->found = to->good && l.count
                    ? record_text(&x->a, "%s (%s), goes with %zu base%s", id, name, l.count, l.count == 1 ? "" : "s")
                : to->good ? record_text(&x->a, "%s (%s)", id, name)
                           : to->details[0];
    if (to->count == 1) to->count = 0;
    if (!to->good)
        to->mend = record_text(&x->a, "tola comply %s%s", release_shell(x, x->model), release_facts_option(x));
}

/* ---- documents ---- */

/* Fields that nobody filled in, as tola card shows them in each of its forms: told, not held against it. */
static size_t count_unknown(const buf *text) {
    static const char *const words[] = { "*unknown*", ">unknown<", "[More Information Needed]", "\"value\": null" };
    size_t n = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *p = (const char *)text->data, *end = p + text->length;
        for (size_t length = strlen(words[i]); (p = memmem(p, (size_t)(end - p), words[i], length)); p += length) n++;
    }
    return n;
}

/* Does it hold against the weights? `must`: words that it has to have; "---": front matter. */
static bool agrees(release *x, const char *path, const char *must, release_answer *to) {
    check_claims c = { .count = 0 };
    tola_error err = TOLA_ERROR_INIT;
    buf text;
    size_t checked = 0, bytes, wrong = 0;
    if (whole_read(path, CHECK_MOST_BYTES, &text, &err) != TOLA_OK) {
        to->found = release_keep(x, err.message);
        return false;
    }
    const char *begin, *name = path_last(path);
    bool good = check_read((const char *)text.data, text.length, &c, &err) == TOLA_OK;
    bool front = strcmp(must, "---") == 0;
    bool right = front ? record_front_matter((const char *)text.data, text.length, &begin, &bytes)
                       : memmem(text.data, text.length, must, strlen(must)) != NULL;
    size_t unknown = count_unknown(&text);
    whole_wipe(&text);
    if (!good) to->found = record_text(&x->a, "%s: %s", name, err.message);
    if (!right)
        to->found = front ? record_text(&x->a, "%s has no front matter", name)
                          : record_text(&x->a, "%s is no \"%s\"", name, must);
    good = good && right;
    for (size_t i = 0; i < c.count && good; i++) {
        check_answer answer = check_judge(&c.items[i], &x->r, &x->a);
        checked += answer.checkable;
        if (!answer.checkable || answer.agrees) continue;
        wrong++;
        const char *is = answer.is ? answer.is : "do not tell";
        release_detail(x, to,
                       c.items[i].kind == CHECK_DIGEST
                           ? record_text(&x->a, "%s: digest: there is now %.200s", name, is)
                           : record_text(&x->a, "%s: %s: it says %.80s, the weights %.80s", name,
                                         check_name(&c.items[i], &x->a), c.items[i].says, is));
    }
    check_free(&c);
    if (!good) return false;
    to->found = wrong     ? to->details[0]
                : checked ? record_text(&x->a, "%s agrees with the weights (%zu claims); %zu marked as unknown", name,
                                        checked, unknown)
                          : record_text(&x->a, "%s says nothing that can be checked", name);
    if (to->count == 1) to->count = 0;
    return !wrong && checked > 0;
}

static void look_document(release *x, release_answer *to, const char *named, const char *usual, const char *key,
                          const char *kind, const char *must) {
    if (!release_record(x, to)) return;
    const char *path = named ? release_place(x, named) : usual ? record_text(&x->a, "%s/%s", x->beside, usual) : NULL;
    bool there = path && release_readable(path);
    const char *out = path ? path : record_text(&x->a, "%s.md", key);
    to->good = there && agrees(x, path, must, to);
    if (!there) to->found = path ? record_text(&x->a, "%s is not there", named ? named : usual) : "the plan names none";
    if (!to->good)
        to->mend = record_text(&x->a, "tola card %s%s%s %s%s%s", release_shell(x, x->model), release_facts_option(x),
                               kind, release_shell(x, out), there ? " --force" : "",
                               path ? "" : record_text(&x->a, "   # and %s: %s.md in the plan", key, key));
}

void release_look_card(release *x, release_answer *to) {
    look_document(x, to, x->p.card, "README.md", "card", "", "---");
}

void release_look_form(release *x, release_answer *to) {
    look_document(x, to, x->p.form, NULL, "form", " --kind eu", "Model Documentation Form");
}

void release_look_summary(release *x, release_answer *to) {
    look_document(x, to, x->p.summary, NULL, "summary", " --kind data", "Public Summary of Training Content");
}

/* "spdx" where the bill that is there is one, or is to be by its name; else "cyclonedx". */
static const char *bom_kind(const char *path) {
    buf text;
    bool spdx = path && strstr(path_last(path), "spdx");
    if (path && release_text(path, RELEASE_PAPER_BYTES, &text)) {
        spdx = memmem(text.data, text.length, "spdx.org/rdf/3", 14) != NULL;
        whole_wipe(&text);
    }
    return spdx ? "spdx" : "cyclonedx";
}

void release_look_bom(release *x, release_answer *to) {
    tola_error err = TOLA_ERROR_INIT;
    tola_paper_options o = TOLA_PAPER_OPTIONS_INIT;
    tola_paper_verdict v;
    const char *path = x->p.bom ? release_place(x, x->p.bom) : NULL;
    bool there = path && release_readable(path);
    o.threads = x->o->threads;
    o.progress = x->o->progress;
    o.progress_user = x->o->progress_user;
    to->found = path ? record_text(&x->a, "%s is not there", x->p.bom) : "the plan names none";
    if (there && tola_paper_check(path, x->model, &o, &v, &err) == TOLA_OK) {
        to->good = v.agrees && v.checked > 0;
        for (size_t i = 0; i < v.count; i++)
            if (!v.claims[i].agrees)
                release_detail(x, to, record_text(&x->a, "%s: %s does not agree", path_last(path), v.claims[i].what));
        to->found = to->good ? record_text(&x->a, "%s agrees with the files (%zu claims)", path_last(path), v.checked)
                    : to->count ? to->details[0]
                                : "it says nothing that can be checked";
        if (to->count == 1) to->count = 0;
        tola_paper_verdict_dispose(&v);
    } else if (there) {
        to->found = release_keep(x, err.message);
    }
    if (!to->good)
        to->mend = record_text(&x->a, "tola bom %s%s --kind %s %s%s%s", release_shell(x, x->model),
                               release_facts_option(x), bom_kind(path), path ? release_shell(x, path) : "bom.json",
                               there ? " --force" : "", path ? "" : "   # and bom: bom.json in the plan");
}

/* ---- the files ---- */

void release_look_scan(release *x, release_answer *to) {
    tola_scan_options o = TOLA_SCAN_OPTIONS_INIT;
    tola_scan_report r;
    tola_error err = TOLA_ERROR_INIT;
    const char *rm = NULL;
    size_t length = strlen(x->model);
    o.threads = x->o->threads;
    o.progress = x->o->progress;
    o.progress_user = x->o->progress_user;
    if (tola_scan(&x->model, 1, &o, &r, &err) != TOLA_OK) {
        to->found = release_keep(x, err.message);
        return;
    }
    for (size_t i = 0; i < r.count; i++) {
        const tola_scan_file *f = &r.files[i];
        if (f->verdict == TOLA_SAFE) continue;
        const char *inside =
            strncmp(f->path, x->model, length) == 0 ? f->path + length + (f->path[length] == '/') : f->path;
        release_detail(x, to,
                       record_text(&x->a, "%s: %s%s%.200s", *inside ? inside : path_last(f->path),
                                   tola_verdict_name(f->verdict), f->finding_count ? ": " : "",
                                   f->finding_count ? f->findings[0].what : ""));
        bool damaged =
            f->verdict == TOLA_UNKNOWN && (text_ends_with(f->path, ".safetensors") || text_ends_with(f->path, ".gguf"));
        if (to->count <= RELEASE_DETAILS && !damaged)
            rm = record_text(&x->a, "%s %s", rm ? rm : "rm", release_shell(x, release_keep(x, f->path)));
    }
    to->good = r.verdict == TOLA_SAFE && r.count > 0;
    to->found = to->good         ? record_text(&x->a, "%zu file%s, safe", r.count, r.count == 1 ? "" : "s")
                : to->count == 0 ? "there are no files"
                : to->count == 1 ? to->details[0]
                                 : record_text(&x->a, "%zu of %zu files are not safe", to->count, r.count);
    if (to->count == 1) to->count = 0;
    to->mend = rm;
    tola_scan_dispose(&r);
}

void release_look_tokenizer(release *x, release_answer *to) {
    tola_tokenizer *t;
    tola_error err = TOLA_ERROR_INIT;
    if (!release_record(x, to)) return;
    const tola_summary *s = &x->r.summary;
    bool language = s->vocabulary || s->tokenizer || (s->model_class && strstr(s->model_class, "ForCausalLM"));
    uint32_t *ids = NULL;
    size_t count = 0;
    to->good = !language;
    to->found = "not a model of language";
    if (!language) return;
    to->mend = record_text(&x->a, "cp BASE/tokenizer* %s/", release_shell(x, x->beside));
    if (tola_tokenizer_from_checkpoint(x->r.checkpoint, &t, &err) != TOLA_OK) {
        to->found = record_text(&x->a, "it does not load: %s", err.message);
        return;
    }
    uint32_t size = tola_tokenizer_size(t);
    if (tola_tokenize(t, "Hello, world", 12, 0, &ids, &count, &err) != TOLA_OK)
        to->found = record_text(&x->a, "it loads, but does not work: %s", err.message);
    else if (count == 0)
        to->found = "it loads, but makes no tokens of a text";
    else if (s->vocabulary && size > s->vocabulary)
        to->found =
            record_text(&x->a, "it has %" PRIu32 " tokens, the embedding only %" PRIu64 " rows", size, s->vocabulary);
    else
        to->good = true, to->found = record_text(&x->a, "loads: %s", s->tokenizer ? s->tokenizer : "unnamed");
    tola_free(ids);
    tola_tokenizer_free(t);
    if (to->good) to->mend = NULL;
}

/* Rows of evaluation[] that have a result. */
static size_t told_results(const release *x) {
    size_t rows = x->f ? facts_count(x->f, "evaluation") : 0, n = 0;
    for (size_t i = 0; i < rows; i++) {
        char path[48];
        double value;
        snprintf(path, sizeof path, "evaluation[%zu].value", i);
        n += facts_number(x->f, path, &value);
    }
    return n;
}

void release_look_evaluation(release *x, release_answer *to) {
    if (!release_record(x, to)) return;
    size_t all = told_results(x) + x->r.metric_count;
    to->good = all > 0;
    to->found = all ? record_text(&x->a, "%zu result%s", all, all == 1 ? "" : "s")
                    : "neither evaluation[].value in the facts nor tola eval --json beside the weights";
    if (all) return;
    const char *out = record_text(&x->a, x->alone ? "%s.eval.json" : "%s/eval.json", x->model);
    to->mend = record_text(&x->a, "tola eval perplexity %s TEXT --json > %s", release_shell(x, x->model),
                           release_shell(x, out));
}

/* ---- rules ---- */

/* Is the conclusion one of the rules that the plan chose ("eu", ...)? */
static bool chosen(const release *x, const char *id) {
    bool any = false;
    for (size_t i = 0; x->p.rules && i < x->p.rules->count; i++) {
        const char *rule = x->p.rules->items[i]->text;
        if (strchr(rule, '.') || strchr(rule, '/')) continue; /* a file */
        any = true;
        size_t n = strlen(rule);
        if (strncmp(id, rule, n) == 0 && (id[n] == '.' || !id[n])) return true;
    }
    return !any;
}

void release_look_comply(release *x, release_answer *to) {
    tola_comply_options o = TOLA_COMPLY_OPTIONS_INIT;
    tola_compliance *c;
    tola_error err = TOLA_ERROR_INIT;
    const char *files[RELEASE_LIST + 1] = { NULL };
    size_t n_files = 0, duties = 0;
    for (size_t i = 0; x->p.rules && i < x->p.rules->count; i++) {
        const char *rule = x->p.rules->items[i]->text;
        if (strchr(rule, '.') || strchr(rule, '/')) files[n_files++] = release_place(x, rule);
    }
    o.facts = x->p.facts ? release_place(x, x->p.facts) : NULL;
    o.rules = n_files ? files : NULL;
    o.on_date = x->p.on_date;
    o.provenance = x->p.provenance ? release_place(x, x->p.provenance) : NULL;
    to->mend = record_text(&x->a, "tola comply %s%s%s%s", release_shell(x, x->model),
                           x->p.facts ? release_facts_option(x)
                                      : " --template > facts.yaml   # filled in, and facts: facts.yaml in the plan",
                           x->p.on_date ? " --on-date " : "", x->p.on_date ? release_shell(x, x->p.on_date) : "");
    if (tola_comply(x->model, &o, &c, &err) != TOLA_OK) {
        to->found = release_keep(x, err.message);
        return;
    }
    for (size_t i = 0; i < c->n_findings; i++)
        if (strcmp(c->findings[i].kind, "note"))
            release_detail(x, to, record_text(&x->a, "%s: %s", c->findings[i].kind, c->findings[i].what));
    for (size_t i = 0; i < c->n_conclusions; i++) {
        const tola_conclusion *k = &c->conclusions[i];
        bool duty = strcmp(k->kind, "duty") == 0;
        if (!k->in_force || !(duty || strcmp(k->kind, "status") == 0) || !chosen(x, k->id)) continue;
        bool applies = duty && k->verdict == TOLA_ANSWER_YES;
        duties += applies;
        bool open = k->verdict == TOLA_ANSWER_UNKNOWN || (applies && k->met == TOLA_ANSWER_UNKNOWN) || k->n_missing;
        if (!(applies && k->met == TOLA_ANSWER_NO) && !open) continue;
        const char *missing = NULL;
        for (size_t m = 0; m < k->n_missing && m < 4; m++)
            missing = record_text(&x->a, "%s%s%s", missing ? missing : "", missing ? ", " : "", k->missing[m]);
        release_detail(x, to,
                       record_text(&x->a, "%s: %s%s%s%s", k->title,
                                   applies && k->met == TOLA_ANSWER_NO ? "not met" : "not known", missing ? ": " : "",
                                   missing ? missing : "", k->n_missing > 4 ? ", ..." : ""));
    }
    to->good = to->count == 0;
    to->found = to->good ? record_text(&x->a, "nothing missing, nothing contradictory as of %s; %zu dut%s", c->on_date,
                                       duties, duties == 1 ? "y" : "ies")
                         : record_text(&x->a, "%zu open, such as %s", to->count, to->details[0]);
    if (to->count == 1) {
        to->found = to->details[0];
        to->count = 0;
    }
    if (to->good) to->mend = NULL;
    tola_compliance_free(c);
}

/* ---- signatures ---- */

static void trust(release *x, tola_verify_options *o, const char **origins, size_t cap) {
    o->public_key = x->p.public_key ? release_place(x, x->p.public_key) : NULL;
    o->trust_root = !o->public_key && x->p.trust_root ? release_place(x, x->p.trust_root) : NULL;
    o->cert_identity = x->p.cert_identity;
    o->cert_issuer = x->p.cert_issuer;
    size_t n = 0;
    for (size_t i = 0; x->p.origins && i < x->p.origins->count && n + 1 < cap; i++)
        origins[n++] = release_place(x, x->p.origins->items[i]->text);
    origins[n] = NULL;
    o->origins = n ? origins : NULL;
    o->threads = x->o->threads;
    o->progress = x->o->progress;
    o->progress_user = x->o->progress_user;
    o->allow_symlinks = true;
}

static const char *sign_command(release *x) {
    char *path = tola_signature_path(x->model);
    const char *command = record_text(&x->a, "tola sign %s --key KEY.pem%s%s%s", release_shell(x, x->model),
                                      x->p.provenance ? " --provenance " : "",
                                      x->p.provenance ? release_shell(x, release_place(x, x->p.provenance)) : "",
                                      path && release_readable(path) ? " --force" : "");
    tola_free(path);
    return command;
}

void release_look_signature(release *x, release_answer *to) {
    tola_verify_options o = TOLA_VERIFY_OPTIONS_INIT;
    tola_verification *v;
    tola_error err = TOLA_ERROR_INIT;
    const char *origins[1];
    trust(x, &o, origins, 1);
    if (!o.public_key && !o.trust_root) {
        to->found = "the plan names neither public_key nor trust_root";
        to->mend = record_text(&x->a,
                               "tola keygen release.pem --kind sign && tola sign %s --key release.pem   # and "
                               "public_key: release.pem.pub in the plan",
                               release_shell(x, x->model));
        return;
    }
    if (o.public_key && !release_readable(o.public_key)) {
        const char *key = text_ends_with(o.public_key, ".pub")
                              ? record_text(&x->a, "%.*s", (int)(strlen(o.public_key) - 4), o.public_key)
                              : "release.pem";
        to->found = record_text(&x->a, "the key %s is not there", x->p.public_key);
        to->mend = record_text(&x->a, "tola keygen %s --kind sign && tola sign %s --key %s", release_shell(x, key),
                               release_shell(x, x->model), release_shell(x, key));
        return;
    }
    if (tola_verify(x->model, &o, &v, &err) != TOLA_OK) {
        to->found = release_keep(x, err.message);
        to->mend = sign_command(x);
        return;
    }
    to->good = v->valid;
    to->found = v->valid
                    ? record_text(&x->a, "valid, by %s%s%s, over %" PRIu64 " files", v->method ? v->method : "a key",
                                  v->identity ? " of " : "", v->identity ? v->identity : "", v->resources)
                    : record_text(&x->a, "%s", v->reason ? v->reason : "not valid");
    const struct {
        const char *what, *const *paths;
        size_t n;
    } lists[] = { { "changed", v->changed, v->n_changed },
                  { "missing", v->missing, v->n_missing },
                  { "added", v->added, v->n_added } };
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < lists[k].n; i++)
            release_detail(x, to, record_text(&x->a, "%s: %s", lists[k].what, lists[k].paths[i]));
    if (!v->valid) to->mend = sign_command(x);
    tola_verification_free(v);
}

void release_look_provenance(release *x, release_answer *to) {
    lineage l;
    tola_verify_options o = TOLA_VERIFY_OPTIONS_INIT;
    tola_verification *v;
    tola_error err = TOLA_ERROR_INIT;
    const char *origins[RELEASE_LIST + 1];
    if (!release_record(x, to)) return;
    if (check_lineage(x, &l, &err) != TOLA_OK) {
        to->found = release_keep(x, err.message);
        return;
    }
    to->good = l.count == 0;
    to->found = "not made from other models";
    if (!l.count) return;
    trust(x, &o, origins, sizeof origins / sizeof *origins);
    o.chain = true;
    to->mend = x->p.provenance ? sign_command(x)
                               : record_text(&x->a, "tola sign %s --key KEY.pem --provenance STATEMENT.json --force",
                                             release_shell(x, x->model));
    if (!o.public_key && !o.trust_root) {
        to->found = record_text(&x->a, "made from %s, and the plan names no key to verify with", l.bases[0].name);
        return;
    }
    if (tola_verify(x->model, &o, &v, &err) != TOLA_OK) {
        to->found = release_keep(x, err.message);
        return;
    }
    bool stated = v->n_chain > 0 && v->chain[0].inputs > 0;
    for (size_t i = 0; i < v->n_chain; i++)
        if (v->chain[i].reason)
            release_detail(x, to, record_text(&x->a, "%s: %s", path_last(v->chain[i].model), v->chain[i].reason));
    to->good = v->valid && stated;
    to->found = to->good ? record_text(&x->a, "%zu links, back to the signed originals", v->n_chain)
                : !v->valid
                    ? record_text(&x->a, "%s", v->reason ? v->reason : "not valid")
                    : record_text(&x->a, "made from %s, but its signature does not say so (tola sign --provenance)",
                                  l.bases[0].name);
    if (to->good)
        to->mend = NULL;
    else if (!v->valid && stated)
        to->mend = "origins: [FOLDER, ...], in the plan: where the originals and their signatures lie";
    tola_verification_free(v);
}
