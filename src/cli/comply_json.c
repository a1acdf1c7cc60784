/* tola comply --json: tola.comply/1. */
#include "comply.h"

#include <math.h>

static void text(tola_json *j, const char *key, const char *value) {
    tola_json_key(j, key);
    if (value)
        tola_json_string(j, value);
    else
        tola_json_null(j);
}

static void number(tola_json *j, const char *key, double value) {
    tola_json_key(j, key);
    tola_json_f64(j, value); /* NaN comes out as null */
}

static void flag(tola_json *j, const char *key, bool value) {
    tola_json_key(j, key);
    tola_json_bool(j, value);
}

static void begin_list(tola_json *j, const char *key) {
    tola_json_key(j, key);
    tola_json_begin_array(j);
}

static void texts(tola_json *j, const char *key, const char *const *items, size_t count) {
    begin_list(j, key);
    for (size_t i = 0; i < count; i++) tola_json_string(j, items[i]);
    tola_json_end_array(j);
}

static void conclusion(tola_json *j, const tola_conclusion *c) {
    tola_json_begin_object(j);
    text(j, "id", c->id);
    text(j, "jurisdiction", c->jurisdiction);
    text(j, "title", c->title);
    text(j, "kind", c->kind);
    text(j, "verdict", tola_answer_name(c->verdict));
    text(j, "met", c->met == TOLA_ANSWER_NOT_ASKED ? NULL : tola_answer_name(c->met));
    flag(j, "in_force", c->in_force);
    text(j, "from", c->from);
    text(j, "until", c->until);
    text(j, "text", c->text);
    text(j, "article", c->article);
    text(j, "url", c->url);
    flag(j, "estimate", c->estimate);
    begin_list(j, "inputs");
    for (size_t i = 0; i < c->n_inputs; i++) {
        tola_json_begin_object(j);
        text(j, "name", c->inputs[i].name);
        text(j, "value", c->inputs[i].value);
        text(j, "source", c->inputs[i].source);
        flag(j, "estimate", c->inputs[i].estimate);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    texts(j, "missing", c->missing, c->n_missing);
    tola_json_end_object(j);
}

static void compute(tola_json *j, const tola_compliance *c) {
    tola_json_key(j, "compute");
    tola_json_begin_object(j);
    number(j, "flop", c->flop_low == c->flop_high ? c->flop_low : NAN);
    number(j, "flop_low", c->flop_low);
    number(j, "flop_high", c->flop_high);
    number(j, "apart", c->flop_apart >= 1 ? c->flop_apart : NAN);
    flag(j, "estimate", c->flop_estimate);
    text(j, "source", c->flop_source);
    begin_list(j, "estimates");
    for (size_t i = 0; i < c->n_estimates; i++) {
        const tola_comply_estimate *e = &c->estimates[i];
        tola_json_begin_object(j);
        text(j, "of", e->of);
        text(j, "method", e->method);
        number(j, "flop", e->flop);
        text(j, "formula", e->formula);
        text(j, "source", e->source);
        text(j, "lacks", e->lacks);
        flag(j, "estimate", e->estimate);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static void count_or_null(tola_json *j, const char *key, uint64_t value) {
    tola_json_key(j, key);
    if (value)
        tola_json_u64(j, value);
    else
        tola_json_null(j);
}

static void openness(tola_json *j, const tola_compliance *c) {
    static const char *const labels[] = { "Unclassified", "Class I - Open Science Model",
                                          "Class II - Open Tooling Model", "Class III - Open Model" };
    tola_json_key(j, "mof");
    if (!c->n_components) {
        tola_json_null(j);
        return;
    }
    tola_json_begin_object(j);
    tola_json_key(j, "class");
    tola_json_u64(j, (uint64_t)c->mof_class);
    text(j, "label", labels[c->mof_class & 3]);
    tola_json_key(j, "progress");
    tola_json_begin_object(j);
    number(j, "1", c->mof_progress[1]);
    number(j, "2", c->mof_progress[2]);
    number(j, "3", c->mof_progress[3]);
    tola_json_end_object(j);
    int next = c->mof_class == 0 ? 3 : c->mof_class - 1;
    tola_json_key(j, "next");
    tola_json_begin_object(j);
    count_or_null(j, "class", (uint64_t)next);
    begin_list(j, "lacks");
    for (size_t i = 0; next && i < c->n_components; i++)
        if (comply_lacks(c, &c->components[i], next)) tola_json_string(j, c->components[i].name);
    tola_json_end_array(j);
    tola_json_end_object(j);
    begin_list(j, "components");
    for (size_t i = 0; i < c->n_components; i++) {
        const tola_comply_component *p = &c->components[i];
        tola_json_begin_object(j);
        text(j, "component", p->name);
        text(j, "title", p->title);
        text(j, "type", p->type);
        tola_json_key(j, "class");
        tola_json_u64(j, (uint64_t)p->mof_class);
        flag(j, "required", p->required);
        text(j, "state", p->state);
        text(j, "licence", p->licence);
        flag(j, "appropriate", p->appropriate);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static void lineage(tola_json *j, const tola_compliance *c) {
    tola_json_key(j, "lineage");
    tola_json_begin_object(j);
    text(j, "licence", c->licence);
    begin_list(j, "bases");
    for (size_t i = 0; i < c->n_bases; i++) {
        tola_json_begin_object(j);
        text(j, "name", c->bases[i].name);
        text(j, "relation", c->bases[i].relation);
        text(j, "licence", c->bases[i].licence);
        text(j, "source", c->bases[i].source);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
}

void comply_json(const tola_compliance *c) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    text(&j, "schema", "tola.comply/1");
    text(&j, "name", c->name);
    text(&j, "on_date", c->on_date);
    flag(&j, "clean", c->clean);
    text(&j, "disclaimer", c->disclaimer);
    tola_json_key(&j, "parameters");
    tola_json_begin_object(&j);
    count_or_null(&j, "total", c->parameters);
    count_or_null(&j, "active", c->active_parameters);
    text(&j, "source", c->parameters_source);
    tola_json_end_object(&j);
    compute(&j, c);
    tola_json_key(&j, "cost");
    tola_json_begin_object(&j);
    number(&j, "usd", c->cost_usd);
    text(&j, "formula", c->cost_formula);
    flag(&j, "estimate", c->cost_formula && c->cost_usd >= 0);
    tola_json_end_object(&j);
    begin_list(&j, "rules");
    for (size_t i = 0; i < c->n_files; i++) {
        tola_json_begin_object(&j);
        text(&j, "file", c->files[i].name);
        text(&j, "title", c->files[i].title);
        text(&j, "version", c->files[i].version);
        text(&j, "as_of", c->files[i].as_of);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    begin_list(&j, "conclusions");
    for (size_t i = 0; i < c->n_conclusions; i++) conclusion(&j, &c->conclusions[i]);
    tola_json_end_array(&j);
    lineage(&j, c);
    openness(&j, c);
    begin_list(&j, "findings");
    for (size_t i = 0; i < c->n_findings; i++) {
        tola_json_begin_object(&j);
        text(&j, "kind", c->findings[i].kind);
        text(&j, "what", c->findings[i].what);
        text(&j, "where", c->findings[i].where);
        text(&j, "licence", c->findings[i].article);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    texts(&j, "missing", c->missing, c->n_missing);
    tola_json_end_object(&j);
    out_json_end(&j);
}
