/* SPDX 3.0.1 as JSON-LD: an AIPackage with its files, DatasetPackages, licences and relationships. What the AI and
 * dataset profiles require and nobody told is there with a comment that says so. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "policy/bom.h"
#include "trust/digest.h"
#include <tola/json.h>

enum { MOST = 1000 };

typedef struct spdx {
    tola_json j;
    const bom *b;
    const char *licences[MOST + 4]; /* expressions, by the number of their element */
    size_t n_licences, n_relations;
} spdx;

static void text(spdx *s, const char *key, const char *value) {
    if (!value || !*value) return;
    tola_json_key(&s->j, key);
    tola_json_string(&s->j, value);
}

static void open_array(spdx *s, const char *key) {
    tola_json_key(&s->j, key);
    tola_json_begin_array(&s->j);
}

static void one(spdx *s, const char *key, const char *value) {
    if (!value) return;
    open_array(s, key);
    tola_json_string(&s->j, value);
    tola_json_end_array(&s->j);
}

/* "urn:uuid:...#model"; `i` SIZE_MAX: without a number. */
static const char *id_of(const spdx *s, const char *kind, size_t i, char *out, size_t cap) {
    if (i == SIZE_MAX)
        snprintf(out, cap, "urn:uuid:%s#%s", s->b->uuid, kind);
    else
        snprintf(out, cap, "urn:uuid:%s#%s-%zu", s->b->uuid, kind, i + 1);
    return out;
}

static void begin(spdx *s, const char *type, const char *kind, size_t i) {
    char id[96];
    tola_json_begin_object(&s->j);
    text(s, "type", type);
    text(s, "spdxId", id_of(s, kind, i, id, sizeof id));
    text(s, "creationInfo", "_:creation");
}

static void end(spdx *s) { tola_json_end_object(&s->j); }

static void relate(spdx *s, const char *from, const char *type, const char *to) {
    begin(s, "Relationship", "relation", s->n_relations++);
    text(s, "from", from);
    text(s, "relationshipType", type);
    one(s, "to", to);
    end(s);
}

/* The number of the element of a licence. */
static size_t licence(spdx *s, const char *id) {
    const char *known = bom_spdx_licence(id), *expression = known ? known : "NOASSERTION";
    if (id && !known) { /* one of its own: letters, digits, dots and dashes */
        char own[120] = "LicenseRef-";
        size_t n = strlen(own);
        for (const char *p = id; *p && n + 1 < sizeof own; p++) {
            bool good = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '.';
            if (good || own[n - 1] != '-') own[n++] = good ? *p : '-';
        }
        own[n] = 0;
        expression = n > strlen("LicenseRef-") ? record_text(s->b->x.a, "%s", own) : "NOASSERTION";
        if (!expression) expression = "NOASSERTION";
    }
    for (size_t i = 0; i < s->n_licences; i++)
        if (strcmp(s->licences[i], expression) == 0) return i;
    if (s->n_licences == sizeof s->licences / sizeof *s->licences) return 0;
    begin(s, "simplelicensing_LicenseExpression", "licence", s->n_licences);
    text(s, "simplelicensing_licenseExpression", expression);
    if (id && !known) text(s, "comment", id);
    end(s);
    s->licences[s->n_licences] = expression;
    return s->n_licences++;
}

static void licensed(spdx *s, const char *from, const char *id) {
    char to[96], to_none[96];
    size_t n = licence(s, id), none = licence(s, NULL);
    relate(s, from, "hasDeclaredLicense", id_of(s, "licence", n, to, sizeof to));
    /* what was declared was not held against the contents by anybody */
    relate(s, from, "hasConcludedLicense", id_of(s, "licence", none, to_none, sizeof to_none));
}

static void entry(spdx *s, const char *key, const char *value) {
    if (!value) return;
    tola_json_begin_object(&s->j);
    text(s, "type", "DictionaryEntry");
    text(s, "key", key);
    text(s, "value", value);
    tola_json_end_object(&s->j);
}

static void entry_u64(spdx *s, const char *key, uint64_t value) {
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    if (value) entry(s, key, digits);
}

static void sha256_hash(spdx *s, const uint8_t digest[32]) {
    char hex[65];
    digest_to_hex(digest, 32, hex);
    open_array(s, "verifiedUsing");
    tola_json_begin_object(&s->j);
    text(s, "type", "Hash");
    text(s, "algorithm", "sha256");
    text(s, "hashValue", hex);
    tola_json_end_object(&s->j);
    tola_json_end_array(&s->j);
}

/* ---- the model ---- */

static void hyperparameters(spdx *s) {
    record *r = s->b->x.r;
    const tola_summary *m = &r->summary;
    open_array(s, "ai_hyperparameter");
    entry_u64(s, "parameters", m->parameters);
    entry_u64(s, "active_parameters", m->active);
    entry_u64(s, "layers", m->layers);
    entry_u64(s, "width", m->width);
    entry_u64(s, "heads", m->heads);
    entry_u64(s, "kv_heads", m->kv_heads);
    entry_u64(s, "experts", m->experts);
    entry_u64(s, "experts_used", m->experts_used);
    entry_u64(s, "vocabulary", m->vocabulary);
    entry_u64(s, "context_length", m->context);
    entry(s, "dtypes", record_dtypes(r));
    entry(s, "quantization", m->quantization);
    entry(s, "tokenizer", m->tokenizer);
    entry(s, "tola_digest", r->digest[0] ? r->digest : NULL);
    tola_json_end_array(&s->j);
}

static void metrics(spdx *s) {
    const form *x = &s->b->x;
    size_t n = x->f ? facts_count(x->f, "evaluation") : 0;
    if (!n && !x->r->metric_count) return;
    open_array(s, "ai_metric");
    for (size_t i = 0; i < n && i < MOST; i++) {
        const char *name = form_row_fact(x, "evaluation", i, "benchmark"),
                   *what = form_row_fact(x, "evaluation", i, "metric");
        if (!name) name = form_row_fact(x, "evaluation", i, "dataset");
        const char *key = name && what ? record_text(x->a, "%s, %s", name, what) : name ? name : what;
        if (key) entry(s, key, form_row_fact(x, "evaluation", i, "value"));
    }
    for (size_t i = 0; i < x->r->metric_count; i++) {
        const record_metric *m = &x->r->metrics[i];
        entry(s, record_text(x->a, "%s, %s", m->file, m->name), record_text(x->a, "%.10g", m->value));
    }
    tola_json_end_array(&s->j);
}

static void energy(spdx *s) {
    double mwh;
    doc_source source;
    if (!form_energy(&s->b->x, &mwh, &source)) return;
    tola_json_key(&s->j, "ai_energyConsumption");
    tola_json_begin_object(&s->j);
    text(s, "type", "ai_EnergyConsumption");
    open_array(s, "ai_trainingEnergyConsumption");
    tola_json_begin_object(&s->j);
    text(s, "type", "ai_EnergyConsumptionDescription");
    text(s, "ai_energyQuantity", record_text(s->b->x.a, "%.9f", mwh * 1000)); /* a decimal has no exponent */
    text(s, "ai_energyUnit", "kilowattHour");
    tola_json_end_object(&s->j);
    tola_json_end_array(&s->j);
    tola_json_end_object(&s->j);
}

/* A day of the facts as a time; NULL. */
static const char *day_of(const form *x, const char *path) {
    const char *day = form_fact(x, path);
    return day ? record_text(x->a, "%sT00:00:00Z", day) : NULL;
}

static void model(spdx *s) {
    const bom *b = s->b;
    const form *x = &b->x;
    char id[96];
    const char *released = day_of(x, "model.release_date"), *where = bom_url(form_fact(x, "model.download_url"));
    const char *supplier = form_fact(x, "provider.legal_name"), *missing = NULL;
    if (!supplier) missing = form_line(x->a, missing, "The supplier is unknown.");
    if (!released)
        missing = form_line(x->a, missing, "The release date is unknown: releaseTime is that of this document.");
    if (!where) missing = form_line(x->a, missing, "The download location is unknown.");
    if (!b->version) missing = form_line(x->a, missing, "The version is unknown.");
    begin(s, "ai_AIPackage", "model", SIZE_MAX);
    text(s, "name", b->name);
    text(s, "comment", missing);
    text(s, "description", form_fact(x, "model.description"));
    text(s, "suppliedBy", id_of(s, "supplier", SIZE_MAX, id, sizeof id));
    text(s, "releaseTime", released ? released : b->time);
    text(s, "software_downloadLocation", where ? where : "NOASSERTION");
    text(s, "software_homePage", bom_url(form_fact(x, "model.url")));
    text(s, "software_packageVersion", b->version ? b->version : "NOASSERTION");
    text(s, "software_primaryPurpose", "model");
    if (x->r->file_count == 1 && x->r->files[0].hashed) sha256_hash(s, x->r->files[0].sha256);
    if (b->family || b->architecture) one(s, "ai_typeOfModel", b->family ? b->family : b->architecture);
    one(s, "ai_domain", b->task);
    text(s, "ai_informationAboutTraining", form_fact(x, "training.method"));
    text(s, "ai_informationAboutApplication", form_fact(x, "use.intended"));
    text(s, "ai_limitation", form_fact(x, "use.limitations"));
    hyperparameters(s);
    metrics(s);
    energy(s);
    end(s);
}

static const char *purpose_of(const char *name) {
    static const char *const endings[][2] = { { ".safetensors", "model" },   { ".gguf", "model" },
                                              { ".bin", "model" },           { ".pt", "model" },
                                              { ".pth", "model" },           { ".onnx", "model" },
                                              { ".npz", "model" },           { ".json", "configuration" },
                                              { ".md", "documentation" },    { ".txt", "documentation" },
                                              { "LICENSE", "documentation" } };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (text_ends_with(name, endings[i][0])) return endings[i][1];
    return "file";
}

static void files(spdx *s) {
    const record *r = s->b->x.r;
    char model_id[96], id[96];
    for (size_t i = 0; i < r->file_count; i++) {
        begin(s, "software_File", "file", i);
        text(s, "name", r->files[i].name);
        if (r->files[i].hashed) sha256_hash(s, r->files[i].sha256);
        text(s, "software_primaryPurpose", purpose_of(r->files[i].name));
        end(s);
    }
    if (!r->file_count) return;
    begin(s, "Relationship", "relation", s->n_relations++);
    text(s, "from", id_of(s, "model", SIZE_MAX, model_id, sizeof model_id));
    text(s, "relationshipType", "contains");
    open_array(s, "to");
    for (size_t i = 0; i < r->file_count; i++) tola_json_string(&s->j, id_of(s, "file", i, id, sizeof id));
    tola_json_end_array(&s->j);
    end(s);
}

/* ---- bases and data ---- */

static size_t base_count(const spdx *s) {
    const form *x = &s->b->x;
    size_t n = x->f ? facts_count(x->f, "bases") : 0;
    return n ? (n < MOST ? n : MOST) : x->r->base_count;
}

static size_t data_count(const spdx *s) {
    const form *x = &s->b->x;
    size_t n = x->f ? facts_count(x->f, "data") : 0;
    return n < MOST ? n : MOST;
}

static void base(spdx *s, size_t i) {
    const form *x = &s->b->x;
    bool told = x->f && facts_count(x->f, "bases") > 0;
    const char *name = told ? form_row_fact(x, "bases", i, "name") : x->r->bases[i].name,
               *url = told ? bom_url(form_row_fact(x, "bases", i, "url")) : NULL;
    char id[96], own[96];
    begin(s, "ai_AIPackage", "base", i);
    text(s, "name", name ? name : "unknown");
    text(s, "comment",
         "A model that this one was made from; its supplier, version and release date are not told here: "
         "releaseTime is that of this document.");
    text(s, "suppliedBy", id_of(s, "unknown", SIZE_MAX, id, sizeof id));
    text(s, "releaseTime", s->b->time);
    text(s, "software_downloadLocation", url ? url : "NOASSERTION");
    text(s, "software_packageVersion", "NOASSERTION");
    text(s, "software_primaryPurpose", "model");
    end(s);
    id_of(s, "base", i, own, sizeof own);
    licensed(s, own, told ? form_row_fact(x, "bases", i, "licence") : NULL);
    relate(s, id_of(s, "model", SIZE_MAX, id, sizeof id), "descendantOf", own);
}

static void dataset_types(spdx *s, size_t i) {
    static const char *const words[][2] = { { "text", "text" },   { "image", "image" },      { "audio", "audio" },
                                            { "video", "video" }, { "table", "structured" }, { "code", "syntactic" },
                                            { "other", "other" } };
    const char *all = form_row_fact(&s->b->x, "data", i, "modality");
    bool any = false;
    open_array(s, "dataset_datasetType");
    for (size_t k = 0; all && k < sizeof words / sizeof *words; k++) {
        if (!strstr(all, words[k][0])) continue;
        tola_json_string(&s->j, words[k][1]);
        any = true;
    }
    if (!any) tola_json_string(&s->j, "noAssertion");
    tola_json_end_array(&s->j);
}

static void dataset(spdx *s, size_t i) {
    const form *x = &s->b->x;
    char path[64], own[96], id[96];
    const char *name = form_row_fact(x, "data", i, "name"), *url = bom_url(form_row_fact(x, "data", i, "url"));
    const char *personal = form_row_fact(x, "data", i, "personal_data"), *split = form_row_fact(x, "data", i, "split");
    snprintf(path, sizeof path, "data[%zu].collected_to", i);
    const char *built = day_of(x, path);
    double size;
    begin(s, "dataset_DatasetPackage", "data", i);
    text(s, "name", name ? name : "unknown");
    text(s, "comment",
         built ? "When it was released is not told here: releaseTime is the last day of its collection."
               : "When it was built and released is not told here: both times are that of this document.");
    one(s, "originatedBy", id_of(s, "unknown", SIZE_MAX, id, sizeof id));
    text(s, "builtTime", built ? built : s->b->time);
    text(s, "releaseTime", built ? built : s->b->time);
    text(s, "software_downloadLocation", url ? url : "NOASSERTION");
    text(s, "software_primaryPurpose", "data");
    dataset_types(s, i);
    text(s, "dataset_dataCollectionProcess", form_row_fact(x, "data", i, "obtained"));
    one(s, "dataset_dataPreprocessing", form_row_fact(x, "data", i, "curation"));
    one(s, "dataset_knownBias", form_row_fact(x, "data", i, "bias"));
    text(s, "dataset_intendedUse", split ? split : "training");
    if (personal) text(s, "dataset_hasSensitivePersonalInformation", "noAssertion");
    snprintf(path, sizeof path, "data[%zu].size", i);
    if (facts_number(x->f, path, &size) && size >= 0 && size < 0x1p63) {
        tola_json_key(&s->j, "dataset_datasetSize");
        tola_json_u64(&s->j, (uint64_t)size);
    }
    end(s);
    id_of(s, "data", i, own, sizeof own);
    licensed(s, own, form_row_fact(x, "data", i, "licence"));
    bool test = split && strcmp(split, "training") != 0;
    relate(s, id_of(s, "model", SIZE_MAX, id, sizeof id), test ? "testedOn" : "trainedOn", own);
}

/* ---- the document ---- */

static void creation(spdx *s) {
    char id[96];
    tola_json_begin_object(&s->j);
    text(s, "type", "CreationInfo");
    text(s, "@id", "_:creation");
    text(s, "specVersion", "3.0.1");
    text(s, "created", s->b->time);
    one(s, "createdBy", id_of(s, "maker", SIZE_MAX, id, sizeof id));
    one(s, "createdUsing", id_of(s, "tola", SIZE_MAX, id, sizeof id));
    tola_json_end_object(&s->j);
    begin(s, "SoftwareAgent", "maker", SIZE_MAX);
    text(s, "name", "tola");
    end(s);
    begin(s, "Tool", "tola", SIZE_MAX);
    text(s, "name", record_text(s->b->x.a, "tola-%s", tola_version()));
    end(s);
    const char *supplier = form_fact(&s->b->x, "provider.legal_name");
    begin(s, "Organization", "supplier", SIZE_MAX);
    text(s, "name", supplier ? supplier : "NOASSERTION");
    end(s);
    begin(s, "Organization", "unknown", SIZE_MAX);
    text(s, "name", "NOASSERTION");
    end(s);
}

static void whole_document(spdx *s) {
    static const char *const profiles[] = { "core", "software", "ai", "dataset", "simpleLicensing" };
    char id[96];
    size_t data = licence(s, "CC0-1.0"); /* before the document, which refers to it */
    begin(s, "SpdxDocument", "document", SIZE_MAX);
    text(s, "name", record_text(s->b->x.a, "Bill of materials of %s", s->b->name));
    text(s, "dataLicense", id_of(s, "licence", data, id, sizeof id));
    open_array(s, "profileConformance");
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) tola_json_string(&s->j, profiles[i]);
    tola_json_end_array(&s->j);
    one(s, "rootElement", id_of(s, "model", SIZE_MAX, id, sizeof id));
    open_array(s, "element");
    tola_json_string(&s->j, id_of(s, "model", SIZE_MAX, id, sizeof id));
    tola_json_string(&s->j, id_of(s, "supplier", SIZE_MAX, id, sizeof id));
    tola_json_string(&s->j, id_of(s, "unknown", SIZE_MAX, id, sizeof id));
    tola_json_string(&s->j, id_of(s, "maker", SIZE_MAX, id, sizeof id));
    tola_json_string(&s->j, id_of(s, "tola", SIZE_MAX, id, sizeof id));
    const struct {
        const char *kind;
        size_t count;
    } many[] = { { "file", s->b->x.r->file_count },
                 { "base", base_count(s) },
                 { "data", data_count(s) },
                 { "licence", s->n_licences },
                 { "relation", s->n_relations } };
    for (size_t k = 0; k < sizeof many / sizeof *many; k++)
        for (size_t i = 0; i < many[k].count; i++) tola_json_string(&s->j, id_of(s, many[k].kind, i, id, sizeof id));
    tola_json_end_array(&s->j);
    end(s);
}

tola_status bom_spdx(const bom *b, buf *out, tola_error *err) {
    spdx *s = mem_calloc(1, sizeof *s);
    char id[96];
    if (!s) return err_nomem(err, "writing a bill of materials");
    s->b = b;
    tola_json_init(&s->j, json_to_buf, out, 2);
    tola_json_begin_object(&s->j);
    text(s, "@context", "https://spdx.org/rdf/3.0.1/spdx-context.jsonld");
    open_array(s, "@graph");
    creation(s);
    model(s);
    licensed(s, id_of(s, "model", SIZE_MAX, id, sizeof id), b->licence);
    files(s);
    for (size_t i = 0; i < base_count(s); i++) base(s, i);
    for (size_t i = 0; i < data_count(s); i++) dataset(s, i);
    whole_document(s);
    tola_json_end_array(&s->j);
    tola_json_end_object(&s->j);
    bool made = tola_json_finish(&s->j);
    mem_free(s);
    buf_append(out, "\n", 1);
    return made && !out->failed ? TOLA_OK : err_nomem(err, "writing a bill of materials");
}
