/* CycloneDX 1.6 with a model card. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "policy/bom.h"
#include "trust/digest.h"
#include <tola/json.h>

enum { MOST = 1000 }; /* rows of facts */

static void text(tola_json *j, const char *key, const char *value) {
    if (!value || !*value) return;
    tola_json_key(j, key);
    tola_json_string(j, value);
}

static void open_object(tola_json *j, const char *key) {
    tola_json_key(j, key);
    tola_json_begin_object(j);
}

static void open_array(tola_json *j, const char *key) {
    tola_json_key(j, key);
    tola_json_begin_array(j);
}

static void property(tola_json *j, const char *name, const char *value) {
    if (!value) return;
    tola_json_begin_object(j);
    text(j, "name", name);
    text(j, "value", value);
    tola_json_end_object(j);
}

static void property_u64(tola_json *j, const char *name, uint64_t value) {
    char digits[32];
    if (!value) return;
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    property(j, name, digits);
}

static void reference(tola_json *j, char *out, size_t cap, const char *kind, size_t i) {
    snprintf(out, cap, "%s-%zu", kind, i + 1);
    if (j) text(j, "bom-ref", out);
}

static void hash(tola_json *j, const record_file *f) {
    char hex[65];
    if (!f->hashed) return;
    digest_to_hex(f->sha256, 32, hex);
    open_array(j, "hashes");
    tola_json_begin_object(j);
    text(j, "alg", "SHA-256");
    text(j, "content", hex);
    tola_json_end_object(j);
    tola_json_end_array(j);
}

static void licences(tola_json *j, const char *id, bool spdx, const char *url) {
    if (!id) return;
    open_array(j, "licenses");
    tola_json_begin_object(j);
    open_object(j, "license");
    text(j, spdx ? "id" : "name", id);
    text(j, "url", bom_url(url));
    tola_json_end_object(j);
    tola_json_end_object(j);
    tola_json_end_array(j);
}

static void external(tola_json *j, const form *x) {
    static const char *const places[][2] = { { "website", "model.url" },
                                             { "distribution", "model.download_url" },
                                             { "vcs", "model.repository_url" },
                                             { "documentation", "model.paper_url" } };
    bool any = false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *url = bom_url(form_fact(x, places[i][1]));
        if (!url) continue;
        if (!any) open_array(j, "externalReferences");
        any = true;
        tola_json_begin_object(j);
        text(j, "type", places[i][0]);
        text(j, "url", url);
        tola_json_end_object(j);
    }
    if (any) tola_json_end_array(j);
}

static void supplier(tola_json *j, const form *x) {
    const char *name = form_fact(x, "provider.legal_name"), *url = bom_url(form_fact(x, "provider.url"));
    if (!name) return;
    open_object(j, "supplier");
    text(j, "name", name);
    if (url) {
        open_array(j, "url");
        tola_json_string(j, url);
        tola_json_end_array(j);
    }
    const char *contact = form_fact(x, "provider.contact");
    if (contact) {
        open_array(j, "contact");
        tola_json_begin_object(j);
        text(j, "name", contact);
        tola_json_end_object(j);
        tola_json_end_array(j);
    }
    tola_json_end_object(j);
}

static size_t bases(const bom *b) {
    size_t n = b->x.f ? facts_count(b->x.f, "bases") : 0;
    return n ? (n < MOST ? n : MOST) : b->x.r->base_count;
}

static const char *base_name(const bom *b, size_t i) {
    bool told = b->x.f && facts_count(b->x.f, "bases") > 0;
    const char *name = told ? form_row_fact(&b->x, "bases", i, "name") : b->x.r->bases[i].name;
    return name ? name : "unknown";
}

static size_t datasets(const bom *b) {
    size_t n = b->x.f ? facts_count(b->x.f, "data") : 0;
    return n < MOST ? n : MOST;
}

/* ---- the model card ---- */

static void parameters(tola_json *j, const bom *b) {
    const form *x = &b->x;
    open_object(j, "modelParameters");
    text(j, "task", b->task);
    text(j, "architectureFamily", b->family);
    text(j, "modelArchitecture", b->architecture);
    if (datasets(b)) {
        open_array(j, "datasets");
        for (size_t i = 0; i < datasets(b); i++) {
            char ref[32];
            tola_json_begin_object(j);
            reference(NULL, ref, sizeof ref, "data", i);
            text(j, "ref", ref);
            tola_json_end_object(j);
        }
        tola_json_end_array(j);
    }
    static const char *const lists[][2] = { { "inputs", "model.inputs" }, { "outputs", "model.outputs" } };
    for (size_t k = 0; k < 2; k++) {
        size_t n = x->f ? facts_count(x->f, lists[k][1]) : 0;
        bool language = x->r->summary.tokenizer && x->r->summary.context && x->r->summary.vocabulary;
        if (!n && !language) continue;
        open_array(j, lists[k][0]);
        for (size_t i = 0; i < (n ? n : 1) && i < 64; i++) {
            const char *format = n ? form_row_fact(x, lists[k][1], i, "modality") : "text";
            if (!format) continue;
            tola_json_begin_object(j);
            text(j, "format", format);
            tola_json_end_object(j);
        }
        tola_json_end_array(j);
    }
    tola_json_end_object(j);
}

static void metric(tola_json *j, const char *type, const char *value, const char *slice, double low, double high) {
    char digits[40];
    if (!type || !value) return;
    tola_json_begin_object(j);
    text(j, "type", type);
    text(j, "value", value);
    text(j, "slice", slice);
    if (isfinite(low)) {
        open_object(j, "confidenceInterval");
        snprintf(digits, sizeof digits, "%.8g", low);
        text(j, "lowerBound", digits);
        snprintf(digits, sizeof digits, "%.8g", high);
        text(j, "upperBound", digits);
        tola_json_end_object(j);
    }
    tola_json_end_object(j);
}

static void analysis(tola_json *j, const bom *b) {
    const form *x = &b->x;
    size_t n = x->f ? facts_count(x->f, "evaluation") : 0;
    if (!n && !x->r->metric_count) return;
    open_object(j, "quantitativeAnalysis");
    open_array(j, "performanceMetrics");
    for (size_t i = 0; i < n && i < MOST; i++) {
        const char *data = form_row_fact(x, "evaluation", i, "dataset"),
                   *what = form_row_fact(x, "evaluation", i, "metric");
        const char *bench = form_row_fact(x, "evaluation", i, "benchmark");
        metric(j, what ? what : bench, form_row_fact(x, "evaluation", i, "value"), bench ? bench : data, NAN, NAN);
    }
    for (size_t i = 0; i < x->r->metric_count; i++) {
        const record_metric *m = &x->r->metrics[i];
        char digits[40];
        snprintf(digits, sizeof digits, "%.10g", m->value); /* 95 %: 1.96 standard errors either side */
        metric(j, m->name, digits, m->file, m->value - 1.96 * m->error, m->value + 1.96 * m->error);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static void one_text(tola_json *j, const char *key, const char *value) {
    if (!value) return;
    open_array(j, key);
    tola_json_string(j, value);
    tola_json_end_array(j);
}

static void considerations(tola_json *j, const bom *b) {
    const form *x = &b->x;
    double mwh, kg;
    doc_source source;
    bool energy = form_energy(x, &mwh, &source);
    const char *uses = form_fact(x, "use.intended"), *limits = form_fact(x, "use.limitations");
    if (!uses && !limits && !energy) return;
    open_object(j, "considerations");
    one_text(j, "useCases", uses);
    one_text(j, "technicalLimitations", limits);
    if (energy) {
        open_object(j, "environmentalConsiderations");
        open_array(j, "energyConsumptions");
        tola_json_begin_object(j);
        text(j, "activity", "training");
        open_array(j, "energyProviders");
        tola_json_end_array(j);
        open_object(j, "activityEnergyCost");
        tola_json_key(j, "value");
        tola_json_f64(j, mwh * 1000);
        text(j, "unit", "kWh");
        tola_json_end_object(j);
        if (x->f && facts_number(x->f, "training.carbon_kg", &kg)) {
            open_object(j, "co2CostEquivalent");
            tola_json_key(j, "value");
            tola_json_f64(j, kg / 1000);
            text(j, "unit", "tCO2eq");
            tola_json_end_object(j);
        }
        open_array(j, "properties");
        property(j, "tola:source", source == DOC_FACTS ? "facts" : "recorded: RAPL counters of processors and memory");
        tola_json_end_array(j);
        tola_json_end_object(j);
        tola_json_end_array(j);
        tola_json_end_object(j);
    }
    tola_json_end_object(j);
}

/* ---- components ---- */

static void file_components(tola_json *j, const record *r) {
    if (!r->file_count) return;
    open_array(j, "components");
    for (size_t i = 0; i < r->file_count; i++) {
        char ref[32];
        tola_json_begin_object(j);
        text(j, "type", "file");
        reference(j, ref, sizeof ref, "file", i);
        text(j, "name", r->files[i].name);
        hash(j, &r->files[i]);
        open_array(j, "properties");
        char digits[32];
        snprintf(digits, sizeof digits, "%" PRIu64, r->files[i].bytes);
        property(j, "tola:bytes", digits);
        tola_json_end_array(j);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
}

static void pedigree(tola_json *j, const bom *b) {
    if (!bases(b)) return;
    open_object(j, "pedigree");
    open_array(j, "ancestors");
    for (size_t i = 0; i < bases(b); i++) {
        tola_json_begin_object(j);
        text(j, "type", "machine-learning-model");
        text(j, "name", base_name(b, i));
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static void model_properties(tola_json *j, const bom *b) {
    record *r = b->x.r;
    open_array(j, "properties");
    property(j, "tola:digest", r->digest[0] ? r->digest : NULL);
    property_u64(j, "tola:parameters", r->summary.parameters);
    property_u64(j, "tola:activeParameters", r->summary.active);
    property(j, "tola:dtypes", record_dtypes(r));
    property_u64(j, "tola:contextLength", r->summary.context);
    property(j, "tola:quantization", r->summary.quantization);
    property(j, "tola:tokenizer", r->summary.tokenizer);
    property(j, "tola:format", tola_checkpoint_format(r->checkpoint));
    for (size_t i = 0; i < r->quantization_count; i++) {
        char value[120];
        snprintf(value, sizeof value, "%.6g bits a weight, RMSE %.4g", r->quantizations[i].bits,
                 r->quantizations[i].rmse);
        property(j, "tola:quantizationReport", value);
    }
    tola_json_end_array(j);
}

static void model(tola_json *j, const bom *b) {
    const form *x = &b->x;
    tola_json_begin_object(j);
    text(j, "type", "machine-learning-model");
    text(j, "bom-ref", "model");
    supplier(j, x);
    text(j, "name", b->name);
    text(j, "version", b->version);
    text(j, "description", form_fact(x, "model.description"));
    if (x->r->file_count == 1) hash(j, &x->r->files[0]);
    licences(j, b->licence, b->licence_is_spdx, form_fact(x, "licence.url"));
    pedigree(j, b);
    external(j, x);
    file_components(j, x->r);
    open_object(j, "modelCard");
    parameters(j, b);
    analysis(j, b);
    considerations(j, b);
    tola_json_end_object(j);
    model_properties(j, b);
    tola_json_end_object(j);
}

static void dataset(tola_json *j, const bom *b, size_t i) {
    const form *x = &b->x;
    char ref[32];
    const char *name = form_row_fact(x, "data", i, "name"), *licence = form_row_fact(x, "data", i, "licence"),
               *url = bom_url(form_row_fact(x, "data", i, "url")), *spdx = bom_spdx_licence(licence);
    tola_json_begin_object(j);
    text(j, "type", "data");
    reference(j, ref, sizeof ref, "data", i);
    text(j, "name", name ? name : "unknown");
    licences(j, spdx ? spdx : licence, spdx != NULL, NULL);
    open_array(j, "data");
    tola_json_begin_object(j);
    text(j, "type", "dataset");
    text(j, "name", name);
    if (url) {
        open_object(j, "contents");
        text(j, "url", url);
        tola_json_end_object(j);
    }
    text(j, "classification", form_row_fact(x, "data", i, "kind"));
    const char *personal = form_row_fact(x, "data", i, "personal_data");
    if (personal && personal[0] == 'Y') one_text(j, "sensitiveData", "personal data");
    text(j, "description", form_row_fact(x, "data", i, "scope"));
    tola_json_end_object(j);
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static void base(tola_json *j, const bom *b, size_t i) {
    const form *x = &b->x;
    bool told = x->f && facts_count(x->f, "bases") > 0;
    const char *licence = told ? form_row_fact(x, "bases", i, "licence") : NULL, *spdx = bom_spdx_licence(licence);
    const char *url = told ? bom_url(form_row_fact(x, "bases", i, "url")) : NULL;
    char ref[32];
    tola_json_begin_object(j);
    text(j, "type", "machine-learning-model");
    reference(j, ref, sizeof ref, "base", i);
    text(j, "name", base_name(b, i));
    licences(j, spdx ? spdx : licence, spdx != NULL, NULL);
    if (url) {
        open_array(j, "externalReferences");
        tola_json_begin_object(j);
        text(j, "type", "website");
        text(j, "url", url);
        tola_json_end_object(j);
        tola_json_end_array(j);
    }
    tola_json_end_object(j);
}

static void metadata(tola_json *j, const bom *b) {
    open_object(j, "metadata");
    text(j, "timestamp", b->time);
    open_object(j, "tools");
    open_array(j, "components");
    tola_json_begin_object(j);
    text(j, "type", "application");
    text(j, "name", "tola");
    text(j, "version", tola_version());
    tola_json_end_object(j);
    tola_json_end_array(j);
    tola_json_end_object(j);
    open_object(j, "component");
    text(j, "type", "machine-learning-model");
    text(j, "bom-ref", "subject");
    text(j, "name", b->name);
    text(j, "version", b->version);
    tola_json_end_object(j);
    supplier(j, &b->x);
    tola_json_end_object(j);
}

static void dependencies(tola_json *j, const bom *b) {
    open_array(j, "dependencies");
    tola_json_begin_object(j);
    text(j, "ref", "subject");
    one_text(j, "dependsOn", "model");
    tola_json_end_object(j);
    tola_json_begin_object(j);
    text(j, "ref", "model");
    open_array(j, "dependsOn");
    char ref[32];
    for (size_t i = 0; i < bases(b); i++) {
        reference(NULL, ref, sizeof ref, "base", i);
        tola_json_string(j, ref);
    }
    for (size_t i = 0; i < datasets(b); i++) {
        reference(NULL, ref, sizeof ref, "data", i);
        tola_json_string(j, ref);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
    tola_json_end_array(j);
}

tola_status bom_cyclonedx(const bom *b, buf *out, tola_error *err) {
    tola_json j;
    char serial[64];
    tola_json_init(&j, json_to_buf, out, 2);
    tola_json_begin_object(&j);
    text(&j, "$schema", "http://cyclonedx.org/schema/bom-1.6.schema.json");
    text(&j, "bomFormat", "CycloneDX");
    text(&j, "specVersion", "1.6");
    snprintf(serial, sizeof serial, "urn:uuid:%s", b->uuid);
    text(&j, "serialNumber", serial);
    tola_json_key(&j, "version");
    tola_json_u64(&j, 1);
    metadata(&j, b);
    open_array(&j, "components");
    model(&j, b);
    for (size_t i = 0; i < bases(b); i++) base(&j, b, i);
    for (size_t i = 0; i < datasets(b); i++) dataset(&j, b, i);
    tola_json_end_array(&j);
    dependencies(&j, b);
    tola_json_end_object(&j);
    if (!tola_json_finish(&j)) return err_nomem(err, "writing a bill of materials");
    buf_append(out, "\n", 1);
    return out->failed ? err_nomem(err, "writing a bill of materials") : TOLA_OK;
}
