/* tola_comply: what the weights and the facts tell, as inputs; rules over them; lineage and openness beside. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <tola/comply.h>
#include <tola/insight.h>

#include "base/options.h"
#include "base/text.h"
#include "policy/comply.h"
#include "policy/data.h"
#include "policy/shape.h"

static const char disclaimer[] =
    "This is no legal advice. It holds facts that somebody wrote down against rules that somebody else wrote down as "
    "data; "
    "estimates are marked. Whether a law applies is for a lawyer, an authority or a court to say.";

static const char *const carried[] = { "rules-eu.yaml", "rules-us.yaml", "rules-openness.yaml" };
#define CARRIED (sizeof carried / sizeof *carried)
#define MOST_FILES 16

const char *tola_answer_name(tola_answer answer) {
    static const char *const names[] = { "no", "yes", "unknown", "not asked" };
    return (unsigned)answer < 4 ? names[answer] : "unknown";
}

void tola_compliance_free(tola_compliance *compliance) {
    if (!compliance) return;
    comply_report *r = compliance->owner;
    rule_set_free(&r->rules);
    facts_free(r->facts);
    yaml_free(r->licences);
    mem_free(r->findings);
    mem_free(r);
}

static tola_status add_finding(comply_report *r, tola_comply_finding finding, tola_error *err) {
    if (!finding.what || !mem_grow(&r->findings, &r->cap_findings, r->pub.n_findings + 1, sizeof finding))
        return err_nomem(err, "checking facts");
    r->findings[r->pub.n_findings++] = finding;
    return TOLA_OK;
}

static tola_status contradict(comply_report *r, const char *where, const char *what, tola_error *err) {
    return add_finding(r, (tola_comply_finding){ .kind = "contradiction", .where = where, .what = what }, err);
}

/* ---- the weights ---- */

static bool is_config(const char *path) {
    return text_ends_with(path, ".json") && !text_ends_with(path, ".index.json");
}

static bool generates_text(const char *model_class) {
    return model_class && (text_ends_with(model_class, "ForCausalLM") || text_ends_with(model_class, "LMHeadModel") ||
                           text_ends_with(model_class, "ForConditionalGeneration"));
}

static tola_status look_at_config(comply_report *r, const char *path, const char *source, tola_error *err) {
    model_shape shape;
    TRY(shape_open(path, &shape, err));
    r->weights = (comply_weights){ .known = true,
                                   .parameters = shape.parameters,
                                   .active = shape.active,
                                   .language = shape.language,
                                   .multimodal = shape.modalities && strchr(shape.modalities, ' ') != NULL,
                                   .source = source };
    r->weights.name = rule_format(&r->rules.memory, "%s", shape.name ? shape.name : path);
    shape_dispose(&shape);
    return TOLA_OK;
}

static tola_status look_at_weights(comply_report *r, const char *model, tola_checkpoint **out, tola_error *err) {
    *out = NULL;
    if (is_config(model)) return look_at_config(r, model, "config.json", err);
    tola_checkpoint *ck;
    tola_summary s;
    tola_status status = tola_checkpoint_open(model, NULL, &ck, err);
    if (status == TOLA_E_NOT_FOUND) { /* a folder without its weights, or with some: its configuration */
        char *config = rule_format(&r->rules.memory, "%s/config.json", model);
        if (!config) return err_nomem(err, "checking facts");
        if (look_at_config(r, config, "config.json; the weights are not all there", NULL) != TOLA_OK) return status;
        const char *end = model + strlen(model);
        while (end > model && end[-1] == '/') end--;
        const char *begin = end;
        while (begin > model && begin[-1] != '/') begin--;
        r->weights.name = rule_format(&r->rules.memory, "%.*s", (int)(end - begin), begin);
        return TOLA_OK;
    }
    if (status == TOLA_OK && (status = tola_summarize(ck, &s, NULL, err)) != TOLA_OK) tola_checkpoint_close(ck);
    if (status != TOLA_OK) return status;
    const tola_value *config = tola_checkpoint_config(ck);
    bool gguf = strcmp(tola_checkpoint_format(ck), "gguf") == 0 && s.architecture;
    const char *slash = strrchr(model, '/');
    bool other = tola_value_get(config, "vision_config") || tola_value_get(config, "audio_config");
    r->weights = (comply_weights){ .known = true,
                                   .parameters = s.parameters,
                                   .active = s.active,
                                   .adapter = s.adapter != NULL,
                                   .language = generates_text(s.model_class) || gguf,
                                   .source = "the weights",
                                   .multimodal = other };
    r->weights.name = rule_format(&r->rules.memory, "%s", s.name ? s.name : slash && slash[1] ? slash + 1 : model);
    tola_summary_dispose(&s);
    *out = ck;
    return TOLA_OK;
}

/* N: the weights tell; the facts are held against them. */
static tola_status parameters(comply_report *r, compute_model *m, tola_error *err) {
    static const struct {
        const char *key, *what;
    } keys[] = { { "model.parameters", "parameters" }, { "model.active_parameters", "active parameters" } };
    double *out[] = { &m->parameters, &m->active };
    const char **source[] = { &m->parameters_source, &m->active_source };
    arena *a = &r->rules.memory;
    for (size_t i = 0; i < 2; i++) {
        double fact = NAN, weights = i ? (double)r->weights.active : (double)r->weights.parameters;
        bool said = facts_number(r->facts, keys[i].key, &fact);
        bool seen = r->weights.known && !r->weights.adapter && weights > 0;
        *out[i] = seen ? weights : said ? fact : NAN;
        *source[i] = seen ? r->weights.source : said ? keys[i].key : NULL;
        /* the form asks for two significant figures */
        if (!seen || !said || fabs(log(fact / weights)) <= log(1.06)) continue;
        char x[32], y[32];
        const yaml_node *n = facts_node(r->facts, keys[i].key);
        TRY(contradict(r, rule_format(a, "%s line %u", r->rules.facts_name, n->line),
                       rule_format(a, "the facts say %s %s, %s %s", rule_number_text(fact, x), keys[i].what,
                                   r->weights.source, rule_number_text(weights, y)),
                       err));
    }
    for (size_t i = 0; isnan(m->parameters) && i < r->lineage.count;
         i++) { /* an adapter trains through all of its base */
        char path[48];
        double n;
        size_t row = r->lineage.facts_row[i];
        const char *relation = r->lineage.bases[i].relation;
        if (row == SIZE_MAX || (relation && strcmp(relation, "distil") == 0)) continue;
        snprintf(path, sizeof path, "bases[%zu].parameters", row);
        if (!facts_number(r->facts, path, &n)) continue;
        m->parameters = n;
        m->parameters_source = rule_format(a, "%s", path);
        snprintf(path, sizeof path, "bases[%zu].active_parameters", row);
        if (!facts_number(r->facts, path, &n)) continue;
        m->active = n;
        m->active_source = rule_format(a, "%s", path);
    }
    if (m->active > m->parameters * 1.001)
        TRY(contradict(r, "model.active_parameters", "more parameters are active than there are", err));
    r->pub.parameters = isnan(m->parameters) ? 0 : (uint64_t)m->parameters;
    r->pub.active_parameters = isnan(m->active) ? 0 : (uint64_t)m->active;
    r->pub.parameters_source = m->parameters_source;
    return TOLA_OK;
}

/* ---- where it comes from ---- */

typedef struct origin {
    bool modified; /* made from models of others, not merely taught by them */
    bool trained;  /* on top of that: anything but quantizing and merging */
    bool systemic;
    double flop; /* of all bases; NaN: unknown */
    const char *how;
} origin;

static void find_origin(const comply_report *r, origin *o) {
    *o = (origin){ .flop = NAN };
    double sum = 0;
    bool own_only = true;
    for (size_t i = 0; i < r->lineage.count; i++) {
        const tola_comply_base *b = &r->lineage.bases[i];
        size_t row = r->lineage.facts_row[i];
        char path[48];
        bool own = false, systemic = false;
        if (b->relation && strcmp(b->relation, "distil") == 0) continue;
        if (row != SIZE_MAX) {
            snprintf(path, sizeof path, "bases[%zu].own", row);
            own = facts_bool(r->facts, path, &own) && own;
            snprintf(path, sizeof path, "bases[%zu].systemic_risk", row);
            systemic = facts_bool(r->facts, path, &systemic) && systemic;
        }
        sum += row == SIZE_MAX ? NAN : compute_of_base(r->facts, row);
        own_only = own_only && own;
        bool still = b->relation && (strcmp(b->relation, "quantize") == 0 || strcmp(b->relation, "merge") == 0 ||
                                     strcmp(b->relation, "convert") == 0);
        if (still) o->how = b->relation;
        o->trained = o->trained || !still;
        o->systemic = o->systemic || systemic;
        o->flop = sum;
        o->modified = true;
    }
    o->modified = o->modified && !own_only;
}

static tola_status number_or_unknown(comply_report *r, const char *name, double low, double high, bool estimate,
                                     const char *source, const char *needs, tola_error *err) {
    if (isnan(low) || isnan(high)) return rule_set_unknown(&r->rules, name, needs, err);
    return rule_set_number(&r->rules, name, low, high, "FLOP", estimate, source ? source : "", err);
}

/* Cumulative compute: of a model trained here, all of it; of a modified one, its bases' and the modification's. */
static tola_status cumulative(comply_report *r, const origin *o, const compute_result *c, tola_error *err) {
    arena *a = &r->rules.memory;
    bool finetuned = !isnan(c->modification_low);
    double mod_low = c->modification_low, mod_high = c->modification_high, low, high;
    const char *mod_source = c->modification_source, *source;
    bool mod_estimate = c->modification_estimate, estimate;
    if (o->modified && !finetuned && !o->trained) {
        mod_low = mod_high = 0;
        mod_estimate = true;
        mod_source = rule_format(a, "%s: no training", o->how);
    }
    if (o->modified) {
        low = o->flop + mod_low;
        high = o->flop + mod_high;
        estimate = true;
        source = rule_format(a, "bases and modification (%s)", mod_source ? mod_source : "unknown");
    } else {
        double base = o->flop;
        low = !isnan(c->training_low) ? c->training_low : base;
        high = !isnan(c->training_high) ? c->training_high : base;
        if (finetuned) low += mod_low, high += mod_high;
        estimate = c->training_estimate || isnan(c->training_low);
        source = !isnan(c->training_low) ? c->training_source : "bases";
        if (finetuned) source = rule_format(a, "%s, and finetuning", source);
    }
    if (isnan(low)) low = high = NAN;
    const char *needs = o->modified ? isnan(o->flop) ? "bases[].compute_flop" : "finetuning.tokens" : "training.tokens";
    TRY(number_or_unknown(r, "compute.flop", low, high, estimate, source, needs, err));
    TRY(number_or_unknown(r, "modification.flop", mod_low, mod_high, mod_estimate, mod_source, "finetuning.tokens",
                          err));
    TRY(number_or_unknown(r, "base.flop", o->flop, o->flop, false, "bases[]", "bases[].compute_flop", err));
    TRY(rule_set_bool(&r->rules, "origin.modified", o->modified, false, o->modified ? "bases" : "no bases of others",
                      err));
    TRY(rule_set_bool(&r->rules, "base.systemic", o->systemic, false, "bases[].systemic_risk", err));
    r->pub.flop_low = low;
    r->pub.flop_high = high;
    r->pub.flop_estimate = estimate;
    r->pub.flop_source = source;
    return TOLA_OK;
}

/* ---- other inputs ---- */

static bool has_modality(const facts *f, const char *list, const char *modality) {
    size_t count = facts_count(f, list);
    for (size_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s[%zu].modality", list, i);
        const char *text = facts_text(f, path);
        if (text && strcmp(text, modality) == 0) return true;
    }
    return false;
}

/* Language, or images or video from text (C(2025) 7719, the indicative criterion). */
static tola_status modality(comply_report *r, tola_error *err) {
    rule_set *s = &r->rules;
    const facts *f = r->facts;
    if (facts_count(f, "model.outputs")) {
        bool from_text = has_modality(f, "model.inputs", "text");
        bool language = has_modality(f, "model.outputs", "text") || has_modality(f, "model.outputs", "code") ||
                        has_modality(f, "model.outputs", "speech");
        bool pictures =
            from_text && (has_modality(f, "model.outputs", "image") || has_modality(f, "model.outputs", "video"));
        return rule_set_bool(s, "model.generative", language || pictures, false, "model.outputs of the facts", err);
    }
    if (r->weights.known && r->weights.language)
        return rule_set_bool(s, "model.generative", true, false, "the architecture generates text", err);
    return rule_set_unknown(s, "model.generative", "model.outputs", err);
}

/* Free and open terms: as the facts say, else by the table of licences. */
static tola_status licence_inputs(comply_report *r, tola_error *err) {
    rule_set *s = &r->rules;
    const lineage *l = &r->lineage;
    licence_terms t;
    bool found, said;
    bool any = facts_bool(r->facts, "licence.free", &said);
    TRY(lineage_terms(r->licences, l->licence, &t, &found, err));
    if (found && any && said != t.free)
        TRY(contradict(r, "licence.free",
                       rule_format(&s->memory,
                                   "licence.free is %s, but %s is %s terms free and open in the sense of recital 102",
                                   said ? "true" : "false", t.id, t.free ? "under" : "not under"),
                       err));
    if (found)
        return rule_set_bool(s, "licence.open", t.free, false, rule_format(&s->memory, "data/licences.yaml: %s", t.id),
                             err);
    if (any) return rule_set_bool(s, "licence.open", said, false, "licence.free of the facts", err);
    return rule_set_unknown(s, "licence.open", l->licence ? "licence.free" : "licence.id", err);
}

/* Two weeks from the day the threshold was met, Art. 52(1). */
static tola_status notification(comply_report *r, tola_error *err) {
    rule_set *s = &r->rules;
    int32_t met, notified;
    if (!facts_date(r->facts, "safety.threshold_met_date", &met)) {
        TRY(rule_set_unknown(s, "notification.deadline", "safety.threshold_met_date", err));
        return rule_set_unknown(s, "notification.days", "safety.threshold_met_date", err);
    }
    TRY(rule_set_date(s, "notification.deadline", met + 14, "safety.threshold_met_date + 14 days", err));
    if (!facts_date(r->facts, "safety.notified_date", &notified))
        return rule_set_unknown(s, "notification.days", "safety.notified_date", err);
    return rule_set_number(s, "notification.days", notified - met, notified - met, "days", false,
                           "safety.notified_date - safety.threshold_met_date", err);
}

static tola_status component_inputs(comply_report *r, tola_error *err) {
    char name[80];
    for (size_t i = 0; i < r->openness.count; i++) {
        const tola_comply_component *c = &r->openness.parts[i];
        snprintf(name, sizeof name, "component.%s", c->name);
        if (strcmp(c->state, "unknown") == 0)
            TRY(rule_set_unknown(&r->rules, name, "release.components", err));
        else
            TRY(rule_set_bool(
                &r->rules, name, strcmp(c->state, "included") == 0, false,
                rule_format(&r->rules.memory, "%s%s%s", c->state, c->licence ? ", " : "", c->licence ? c->licence : ""),
                err));
    }
    return rule_set_number(&r->rules, "mof.class", r->openness.mof_class, r->openness.mof_class, "", false,
                           "release.components", err);
}

/* ---- facts that contradict each other ---- */

static tola_status check_dates(comply_report *r, tola_error *err) {
    static const char *const pairs[][2] = {
        { "training.start_date", "training.end_date" },          { "training.start_date", "model.release_date" },
        { "training.start_date", "model.eu_release_date" },      { "data_policy.cutoff_date", "model.release_date" },
    }; /* not safety.threshold_met_date: one may notify before, when "it becomes known that it will be met" */
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        int32_t a, b;
        if (!facts_date(r->facts, pairs[i][0], &a) || !facts_date(r->facts, pairs[i][1], &b) || a <= b) continue;
        TRY(contradict(r, pairs[i][1], rule_format(&r->rules.memory, "%s is after %s", pairs[i][0], pairs[i][1]), err));
    }
    bool placed;
    if (facts_bool(r->facts, "model.eu_placed", &placed) && !placed && facts_node(r->facts, "model.eu_release_date"))
        TRY(contradict(r, "model.eu_placed", "it is not placed on the Union's market, but has a day on which it was",
                       err));
    return TOLA_OK;
}

/* What is public is said in three places. */
static tola_status check_public(comply_report *r, tola_error *err) {
    const char *access = facts_text(r->facts, "release.access");
    bool is_public;
    if (!facts_bool(r->facts, "licence.parameters_public", &is_public)) return TOLA_OK;
    if (access && is_public && (strcmp(access, "api") == 0 || strcmp(access, "closed") == 0))
        TRY(contradict(r, "release.access",
                       "the parameters are public (licence.parameters_public), but access is by API or "
                       "closed",
                       err));
    if (access && !is_public && strcmp(access, "open") == 0)
        TRY(contradict(r, "release.access",
                       "access is open, but the parameters are not public (licence.parameters_public)", err));
    for (size_t i = 0; i < r->openness.count; i++) {
        const tola_comply_component *c = &r->openness.parts[i];
        if (strcmp(c->name, "parameters") || strcmp(c->state, "unknown") == 0) continue;
        if (is_public != (strcmp(c->state, "missing") != 0))
            TRY(contradict(r, "release.components",
                           "licence.parameters_public and the component parameters say differently", err));
    }
    return TOLA_OK;
}

/* A duration by the clock cannot be longer than from the first day to the last. */
static tola_status check_duration(comply_report *r, tola_error *err) {
    int32_t from, to;
    double hours;
    if (!facts_date(r->facts, "training.start_date", &from) || !facts_date(r->facts, "training.end_date", &to) ||
        !facts_number(r->facts, "training.wall_hours", &hours) || from > to || hours <= ((double)to - from + 1) * 24)
        return TOLA_OK;
    char x[32], y[32];
    return contradict(r, "training.wall_hours",
                      rule_format(&r->rules.memory,
                                  "training.wall_hours is %s, but from start_date to end_date are %s hours",
                                  rule_number_text(hours, x), rule_number_text(((double)to - from + 1) * 24, y)),
                      err);
}

/* The sum of a mixture of data cannot be far from what training says. */
static tola_status check_tokens(comply_report *r, tola_error *err) {
    double sum = 0, unique, tokens;
    size_t rows = facts_count(r->facts, "data"), known = 0;
    for (size_t i = 0; i < rows; i++) {
        char path[48];
        snprintf(path, sizeof path, "data[%zu].tokens", i);
        if (facts_number(r->facts, path, &tokens)) sum += tokens, known++;
    }
    if (!rows || known < rows || sum <= 0) return TOLA_OK;
    bool any = facts_number(r->facts, "training.unique_tokens", &unique);
    if (!any && facts_number(r->facts, "training.tokens", &unique)) any = sum > unique; /* epochs may explain less */
    if (!any || unique <= 0 || fabs(log(sum / unique)) <= log(COMPUTE_APART)) return TOLA_OK;
    char x[32], y[32];
    return contradict(r, "data[].tokens",
                      rule_format(&r->rules.memory, "the data sum up to %s tokens, training says %s",
                                  rule_number_text(sum, x), rule_number_text(unique, y)),
                      err);
}

/* ---- all of it ---- */

static tola_status open_rules(const char *const *paths, yaml **files, size_t *count, tola_error *err) {
    *count = 0;
    if (!paths) {
        for (size_t i = 0; i < CARRIED; i++) {
            TRY(data_open(carried[i], &files[i], err));
            *count = i + 1;
        }
        return TOLA_OK;
    }
    for (size_t i = 0; paths[i]; i++) {
        if (i == MOST_FILES)
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d files of rules", MOST_FILES);
        TRY(yaml_open(paths[i], &files[i], err));
        *count = i + 1;
    }
    return TOLA_OK;
}

static tola_status classify(comply_report *r, const yaml *with_components, const openness_said *said, tola_error *err) {
    TRY(openness_classify(with_components, said, &r->rules.memory, &r->openness, err));
    r->pub.components = r->openness.parts;
    r->pub.n_components = r->openness.known ? r->openness.count : 0;
    r->pub.mof_class = r->openness.mof_class;
    memcpy(r->pub.mof_progress, r->openness.progress, sizeof r->pub.mof_progress);
    return TOLA_OK;
}

static tola_status inputs(comply_report *r, const char *model, tola_checkpoint *ck, const char *provenance,
                          tola_error *err) {
    compute_model m = { .parameters = NAN, .active = NAN };
    compute_result *c = arena_alloc(&r->rules.memory, sizeof *c);
    origin o;
    arena *a = &r->rules.memory;
    if (!c) return err_nomem(err, "checking facts");
    TRY(lineage_gather(model, ck, provenance, r->pub.name, r->facts, a, &r->lineage, err));
    TRY(parameters(r, &m, err));
    find_origin(r, &o);
    TRY(compute_estimate(r->facts, &m, o.modified && o.trained, a, c, err));
    for (size_t i = 0; i < c->n_findings; i++)
        TRY(add_finding(r, (tola_comply_finding){ .kind = "contradiction", .what = c->findings[i] }, err));
    r->pub.estimates = c->estimates;
    r->pub.n_estimates = c->count;
    r->pub.flop_apart = c->apart;
    r->pub.cost_usd = c->cost;
    r->pub.cost_formula = c->cost_formula;
    if (c->taken)
        TRY(add_finding(
            r,
            (tola_comply_finding){
                .kind = "note",
                .what = "there are bases and no finetuning.*: training.* is taken as the compute of the modification" },
            err));
    TRY(cumulative(r, &o, c, err));
    TRY(modality(r, err));
    TRY(licence_inputs(r, err));
    TRY(notification(r, err));
    TRY(check_dates(r, err));
    TRY(check_tokens(r, err));
    TRY(check_public(r, err));
    TRY(check_duration(r, err));
    return component_inputs(r, err);
}

static tola_status lineage_findings(comply_report *r, tola_error *err) {
    bool facts_tell = facts_count(r->facts, "model.inputs") || facts_count(r->facts, "model.outputs");
    static const char *const more[] = { "image", "audio", "video" };
    bool multimodal = r->weights.multimodal;
    for (size_t i = 0; i < 3; i++)
        multimodal = multimodal || has_modality(r->facts, "model.inputs", more[i]) ||
                     has_modality(r->facts, "model.outputs", more[i]);
    int known = multimodal ? 1 : facts_tell || r->weights.known ? 0 : -1;
    TRY(lineage_check(&r->lineage, r->licences, r->facts, r->pub.name, known, &r->rules.memory, err));
    for (size_t i = 0; i < r->lineage.n_findings; i++) TRY(add_finding(r, r->lineage.findings[i], err));
    r->pub.bases = r->lineage.bases;
    r->pub.n_bases = r->lineage.count;
    r->pub.licence = r->lineage.licence;
    return TOLA_OK;
}

/* Keys that would decide something, each once; is everything in order? */
static tola_status conclude(comply_report *r, tola_error *err) {
    size_t cap = 0;
    for (size_t i = 0; i < r->rules.n_conclusions; i++) cap += r->rules.conclusions[i].n_missing;
    const char **missing = arena_alloc_array(&r->rules.memory, cap + 1, sizeof *missing);
    if (!missing) return err_nomem(err, "checking facts");
    bool unmet = false;
    for (size_t i = 0; i < r->rules.n_conclusions; i++) {
        const tola_conclusion *c = &r->rules.conclusions[i];
        /* a condition counts through the status that it decides */
        bool counts = strcmp(c->kind, "status") == 0 || strcmp(c->kind, "duty") == 0;
        if (!c->in_force || !counts) continue;
        unmet =
            unmet || (c->verdict == TOLA_ANSWER_YES && c->met == TOLA_ANSWER_NO) || c->verdict == TOLA_ANSWER_UNKNOWN;
        if (c->verdict == TOLA_ANSWER_YES && c->met == TOLA_ANSWER_UNKNOWN) unmet = true;
        for (size_t k = 0; k < c->n_missing; k++) {
            size_t at = 0;
            while (at < r->pub.n_missing && strcmp(missing[at], c->missing[k])) at++;
            if (at == r->pub.n_missing) missing[r->pub.n_missing++] = c->missing[k];
        }
    }
    bool faults = false;
    for (size_t i = 0; i < r->pub.n_findings; i++) faults = faults || strcmp(r->findings[i].kind, "note");
    r->pub.missing = missing;
    r->pub.clean = !unmet && !faults && r->pub.n_missing == 0;
    r->pub.findings = r->findings;
    r->pub.conclusions = r->rules.conclusions;
    r->pub.n_conclusions = r->rules.n_conclusions;
    r->pub.files = r->rules.files;
    r->pub.n_files = r->rules.n_files;
    return TOLA_OK;
}

static tola_status new_report(const char *facts_path, const char *on_date, comply_report **out, tola_error *err) {
    int32_t day = (int32_t)(time(NULL) / 86400);
    char text[16];
    if (on_date && !facts_parse_date(on_date, &day))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "'%.40s' is no day; 2026-11-22 is one", on_date);
    comply_report *r = mem_calloc(1, sizeof *r);
    if (!r) return err_nomem(err, "checking facts");
    rule_set_init(&r->rules, NULL, facts_path ? facts_path : "facts", day);
    const char *slash = facts_path ? strrchr(facts_path, '/') : NULL;
    r->rules.facts_name = rule_format(&r->rules.memory, "%s", slash ? slash + 1 : facts_path ? facts_path : "facts");
    r->pub = (tola_compliance){
        .size = sizeof r->pub, .flop_low = NAN, .flop_high = NAN, .cost_usd = NAN, .owner = r, .disclaimer = disclaimer
    };
    r->pub.on_date = rule_format(&r->rules.memory, "%s", facts_date_text(day, text));
    *out = r;
    if (r->pub.on_date && r->rules.facts_name) return TOLA_OK;
    tola_compliance_free(&r->pub);
    return err_nomem(err, "checking facts");
}

static tola_status run_all(comply_report *r, const char *model, tola_checkpoint *ck, const tola_comply_options *o,
                           yaml *const *files, size_t count, tola_error *err) {
    openness_said said;
    openness_said_facts(r->facts, &r->rules.memory, &said);
    yaml *own = NULL; /* components of the user's rules, else those carried */
    const yaml *components = NULL;
    for (size_t i = 0; i < count; i++)
        if (yaml_get(yaml_root(files[i]), "components")) components = files[i];
    if (!components) TRY(data_open("rules-openness.yaml", &own, err));
    tola_status status = classify(r, components ? components : own, &said, err);
    yaml_free(own);
    if (status != TOLA_OK) return status;
    TRY(inputs(r, model, ck, o->provenance, err));
    for (size_t i = 0; i < count; i++) TRY(rule_set_run(&r->rules, files[i], err));
    TRY(lineage_findings(r, err));
    return conclude(r, err);
}

/* Facts and rules are taken and freed. */
static tola_status answer(comply_report *r, const char *model, const tola_comply_options *o, yaml **files, size_t count,
                          tola_error *err) {
    tola_checkpoint *ck = NULL;
    r->rules.facts = r->facts;
    tola_status status = data_open("licences.yaml", &r->licences, err);
    if (status == TOLA_OK && model) status = look_at_weights(r, model, &ck, err);
    if (status == TOLA_OK) {
        r->pub.name = facts_text(r->facts, "model.name");
        if (!r->pub.name) r->pub.name = r->weights.name;
        status = run_all(r, model, ck, o, files, count, err);
    }
    tola_checkpoint_close(ck);
    return status;
}

static tola_status finish(comply_report *r, tola_status status, yaml **files, size_t count, tola_compliance **out) {
    for (size_t i = 0; i < count; i++) yaml_free(files[i]);
    if (status == TOLA_OK)
        *out = &r->pub;
    else
        tola_compliance_free(&r->pub);
    return status;
}

tola_status tola_comply(const char *model, const tola_comply_options *options, tola_compliance **out, tola_error *err) {
    tola_comply_options o = TOLA_COMPLY_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    comply_report *r;
    TRY(new_report(o.facts, o.on_date, &r, err));
    yaml *files[MOST_FILES];
    size_t count = 0;
    tola_status status = o.facts ? facts_open(o.facts, &r->facts, err) : facts_parse("facts", "", 0, &r->facts, err);
    if (status == TOLA_OK) status = open_rules(o.rules, files, &count, err);
    if (status == TOLA_OK) status = answer(r, model, &o, files, count, err);
    return finish(r, status, files, count, out);
}

tola_status comply_of_text(const char *facts_text, size_t facts_length, const char *rules, size_t rules_length,
                           const char *on_date, tola_compliance **out, tola_error *err) {
    tola_comply_options o = TOLA_COMPLY_OPTIONS_INIT;
    comply_report *r;
    TRY(new_report(NULL, on_date, &r, err));
    yaml *files[MOST_FILES];
    size_t count = 0;
    tola_status status = facts_parse("facts", facts_text, facts_length, &r->facts, err);
    if (status == TOLA_OK && rules) {
        status = yaml_parse("rules", rules, rules_length, &files[0], err);
        count = status == TOLA_OK;
    } else if (status == TOLA_OK) {
        status = open_rules(NULL, files, &count, err);
    }
    if (status == TOLA_OK) status = answer(r, NULL, &o, files, count, err);
    return finish(r, status, files, count, out);
}

tola_status tola_comply_mof(const char *path, tola_compliance **out, tola_error *err) {
    comply_report *r;
    yaml *file = NULL, *rules = NULL;
    openness_said said;
    TRY(new_report(NULL, NULL, &r, err));
    tola_status status = yaml_open(path, &file, err);
    if (status == TOLA_OK) status = openness_said_mof(file, &said, err);
    if (status == TOLA_OK) status = data_open("rules-openness.yaml", &rules, err);
    if (status == TOLA_OK) status = classify(r, rules, &said, err);
    if (status == TOLA_OK) {
        r->openness.known = true;
        r->pub.n_components = r->openness.count;
        const yaml_node *name = yaml_get(yaml_get(yaml_root(file), "release"), "name");
        r->pub.name = name && name->text ? rule_format(&r->rules.memory, "%s", name->text) : NULL;
        status = conclude(r, err);
    }
    yaml_free(file);
    yaml_free(rules);
    if (status == TOLA_OK)
        *out = &r->pub;
    else
        tola_compliance_free(&r->pub);
    return status;
}
