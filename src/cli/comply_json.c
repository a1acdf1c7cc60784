/* tola comply --json: tola.comply/1. */
#include "comply.h"

#include <math.h>

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
    out_json_string(j, "id", c->id);
    out_json_string(j, "jurisdiction", c->jurisdiction);
    out_json_string(j, "title", c->title);
    out_json_string(j, "kind", c->kind);
    out_json_string(j, "verdict", tola_answer_name(c->verdict));
    out_json_string(j, "met", c->met == TOLA_ANSWER_NOT_ASKED ? NULL : tola_answer_name(c->met));
    out_json_bool(j, "in_force", c->in_force);
    out_json_string(j, "from", c->from);
    out_json_string(j, "until", c->until);
    out_json_string(j, "text", c->text);
    out_json_string(j, "article", c->article);
    out_json_string(j, "url", c->url);
    out_json_bool(j, "estimate", c->estimate);
    begin_list(j, "inputs");
    for (size_t i = 0; i < c->n_inputs; i++) {
        tola_json_begin_object(j);
        out_json_string(j, "name", c->inputs[i].name);
        out_json_string(j, "value", c->inputs[i].value);
        out_json_string(j, "source", c->inputs[i].source);
        out_json_bool(j, "estimate", c->inputs[i].estimate);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    texts(j, "missing", c->missing, c->n_missing);
    tola_json_end_object(j);
}

static void compute(tola_json *j, const tola_compliance *c) {
    tola_json_key(j, "compute");
    tola_json_begin_object(j);
    out_json_f64(j, "flop", c->flop_low == c->flop_high ? c->flop_low : NAN);
    out_json_f64(j, "flop_low", c->flop_low);
    out_json_f64(j, "flop_high", c->flop_high);
    out_json_f64(j, "apart", c->flop_apart >= 1 ? c->flop_apart : NAN);
    out_json_bool(j, "estimate", c->flop_estimate);
    out_json_string(j, "source", c->flop_source);
    begin_list(j, "estimates");
    for (size_t i = 0; i < c->n_estimates; i++) {
        const tola_comply_estimate *e = &c->estimates[i];
        tola_json_begin_object(j);
        out_json_string(j, "of", e->of);
        out_json_string(j, "method", e->method);
        out_json_f64(j, "flop", e->flop);
        out_json_string(j, "formula", e->formula);
        out_json_string(j, "source", e->source);
        out_json_string(j, "lacks", e->lacks);
        out_json_bool(j, "estimate", e->estimate);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
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
    out_json_u64(j, "class", (uint64_t)c->mof_class);
    out_json_string(j, "label", labels[c->mof_class & 3]);
    tola_json_key(j, "progress");
    tola_json_begin_object(j);
    out_json_f64(j, "1", c->mof_progress[1]);
    out_json_f64(j, "2", c->mof_progress[2]);
    out_json_f64(j, "3", c->mof_progress[3]);
    tola_json_end_object(j);
    int next = c->mof_class == 0 ? 3 : c->mof_class - 1;
    tola_json_key(j, "next");
    tola_json_begin_object(j);
    out_json_count(j, "class", (uint64_t)next);
    begin_list(j, "lacks");
    for (size_t i = 0; next && i < c->n_components; i++)
        if (comply_lacks(c, &c->components[i], next)) tola_json_string(j, c->components[i].name);
    tola_json_end_array(j);
    tola_json_end_object(j);
    begin_list(j, "components");
    for (size_t i = 0; i < c->n_components; i++) {
        const tola_comply_component *p = &c->components[i];
        tola_json_begin_object(j);
        out_json_string(j, "component", p->name);
        out_json_string(j, "title", p->title);
        out_json_string(j, "type", p->type);
        out_json_u64(j, "class", (uint64_t)p->mof_class);
        out_json_bool(j, "required", p->required);
        out_json_string(j, "state", p->state);
        out_json_string(j, "licence", p->licence);
        out_json_bool(j, "appropriate", p->appropriate);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static void lineage(tola_json *j, const tola_compliance *c) {
    tola_json_key(j, "lineage");
    tola_json_begin_object(j);
    out_json_string(j, "licence", c->licence);
    begin_list(j, "bases");
    for (size_t i = 0; i < c->n_bases; i++) {
        tola_json_begin_object(j);
        out_json_string(j, "name", c->bases[i].name);
        out_json_string(j, "relation", c->bases[i].relation);
        out_json_string(j, "licence", c->bases[i].licence);
        out_json_string(j, "source", c->bases[i].source);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
}

void comply_json(const tola_compliance *c) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.comply/1");
    out_json_string(&j, "name", c->name);
    out_json_string(&j, "on_date", c->on_date);
    out_json_bool(&j, "clean", c->clean);
    out_json_string(&j, "disclaimer", c->disclaimer);
    tola_json_key(&j, "parameters");
    tola_json_begin_object(&j);
    out_json_count(&j, "total", c->parameters);
    out_json_count(&j, "active", c->active_parameters);
    out_json_string(&j, "source", c->parameters_source);
    tola_json_end_object(&j);
    compute(&j, c);
    tola_json_key(&j, "cost");
    tola_json_begin_object(&j);
    out_json_f64(&j, "usd", c->cost_usd);
    out_json_string(&j, "formula", c->cost_formula);
    out_json_bool(&j, "estimate", c->cost_formula && c->cost_usd >= 0);
    tola_json_end_object(&j);
    begin_list(&j, "rules");
    for (size_t i = 0; i < c->n_files; i++) {
        tola_json_begin_object(&j);
        out_json_string(&j, "file", c->files[i].name);
        out_json_string(&j, "title", c->files[i].title);
        out_json_string(&j, "version", c->files[i].version);
        out_json_string(&j, "as_of", c->files[i].as_of);
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
        out_json_string(&j, "kind", c->findings[i].kind);
        out_json_string(&j, "what", c->findings[i].what);
        out_json_string(&j, "where", c->findings[i].where);
        out_json_string(&j, "licence", c->findings[i].article);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    texts(&j, "missing", c->missing, c->n_missing);
    tola_json_end_object(&j);
    out_json_end(&j);
}
