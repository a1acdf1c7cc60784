#include "policy/openness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/data.h"
#include "policy/rules.h"

/* Is it one of the words? */
static bool is_word(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; at && *at;) {
        size_t n = strcspn(at, " ");
        if (n == length && strncmp(at, word, n) == 0) return true;
        at += n + strspn(at + n, " ");
    }
    return false;
}

/* "osi fsf code" of an SPDX licence; NULL: it is not open. Letters of either case. */
static const char *licence_words(const yaml *spdx, const char *id) {
    const yaml_node *list = yaml_get(yaml_root(spdx), "licences");
    for (size_t i = 0; list && list->kind == YAML_MAP && i < list->count; i++)
        if (strcasecmp(list->items[i]->key, id) == 0) return list->items[i]->text;
    return NULL;
}

void openness_said_facts(const facts *f, arena *a, openness_said *out) {
    memset(out, 0, sizeof *out);
    size_t rows = facts_count(f, "release.components");
    for (size_t i = 0; i < rows && out->count < 64; i++) {
        char path[64];
        openness_part *p = &out->parts[out->count];
        snprintf(path, sizeof path, "release.components[%zu].component", i);
        p->name = facts_text(f, path);
        snprintf(path, sizeof path, "release.components[%zu].licence", i);
        p->licence = facts_text(f, path);
        snprintf(path, sizeof path, "release.components[%zu].present", i);
        p->said = facts_bool(f, path, &p->present);
        if (!p->said && p->licence) p->said = p->present = true; /* a licence for it says that it is there */
        if (p->name) out->count++;
    }
    out->distribution = facts_text(f, "release.licences.distribution");
    out->code = facts_text(f, "release.licences.code");
    out->data = facts_text(f, "release.licences.data");
    out->document = facts_text(f, "release.licences.document");
    const char *own = facts_text(f, "licence.id"), *access = facts_text(f, "release.access");
    bool listed = false;
    for (size_t i = 0; i < out->count; i++) {
        if (strcmp(out->parts[i].name, "parameters")) continue;
        listed = true;
        if (!out->parts[i].licence) out->parts[i].licence = own; /* licence.id is that of the weights */
    }
    bool is_public, said = facts_bool(f, "licence.parameters_public", &is_public);
    if (!said && access) said = true, is_public = strcmp(access, "open") == 0;
    if (!listed && said && out->count < 64)
        out->parts[out->count++] =
            (openness_part){ .name = "parameters", .licence = own, .said = true, .present = is_public };
    (void)a;
}

/* The name of a licence of the tool's file: a map with a name, or a text; NULL where it is empty. */
static const char *mof_licence(const yaml_node *n) {
    if (n && n->kind == YAML_MAP) n = yaml_get(n, "name");
    return n && n->kind == YAML_STRING && n->text[0] ? n->text : NULL;
}

tola_status openness_said_mof(const yaml *file, openness_said *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    const yaml_node *release = yaml_get(yaml_root(file), "release"), *parts;
    if (!release)
        return yaml_error(yaml_root(file), err, "no release: this is no model file of the Model Openness Tool");
    TRY(yaml_expect(release, YAML_MAP, err));
    const yaml_node *global = yaml_get(release, "license");
    if (global && global->kind == YAML_MAP) {
        out->distribution = mof_licence(yaml_get(global, "distribution"));
        out->code = mof_licence(yaml_get(global, "code"));
        out->data = mof_licence(yaml_get(global, "data"));
        out->document = mof_licence(yaml_get(global, "document"));
    }
    out->complete = true;
    parts = yaml_get(release, "components");
    if (!parts) return TOLA_OK;
    TRY(yaml_expect(parts, YAML_LIST, err));
    for (size_t i = 0; i < parts->count && out->count < 64; i++) {
        const yaml_node *name;
        TRY(yaml_need(parts->items[i], "name", &name, err));
        TRY(yaml_expect(name, YAML_STRING, err));
        const yaml_node *licence = yaml_get(parts->items[i], "license");
        const char *given = mof_licence(licence);
        if (licence && !given) given = "unlicensed"; /* there, but empty */
        out->parts[out->count++] =
            (openness_part){ .name = name->text, .licence = given, .said = true, .present = true };
    }
    return TOLA_OK;
}

typedef struct row {
    const char *name, *title, *type;
    uint32_t first;
    bool required;
} row;

static const yaml_field fields[] = {
    { .key = "name", .type = YAML_TO_STRING, .offset = offsetof(row, name), .required = true },
    { .key = "title", .type = YAML_TO_STRING, .offset = offsetof(row, title), .required = true },
    { .key = "type", .type = YAML_TO_STRING, .offset = offsetof(row, type), .required = true },
    { .key = "class", .type = YAML_TO_U32, .offset = offsetof(row, first), .low = 1, .high = 3, .required = true },
    { .key = "required", .type = YAML_TO_BOOL, .offset = offsetof(row, required), .required = true },
};

static bool nothing(const char *licence) { return !licence || !licence[0] || strcasecmp(licence, "unlicensed") == 0; }

static void judge(const yaml *spdx, const openness_said *said, tola_comply_component *c) {
    const openness_part *p = NULL;
    for (size_t i = 0; i < said->count && !p; i++)
        if (strcmp(said->parts[i].name, c->name) == 0 || strcmp(said->parts[i].name, c->title) == 0)
            p = &said->parts[i];
    c->state = !p && said->complete ? "missing" : !p || !p->said ? "unknown" : !p->present ? "missing" : "included";
    if (strcmp(c->state, "included")) return;
    const char *kind = strcmp(c->type, "code") == 0   ? said->code
                       : strcmp(c->type, "data") == 0 ? said->data
                                                      : said->document;
    const char *licence = p->licence ? p->licence : kind ? kind : said->distribution;
    c->licence = nothing(licence) ? NULL : licence;
    const char *open = c->licence ? licence_words(spdx, c->licence) : NULL;
    c->state = !c->licence ? "unlicensed" : open ? "included" : "invalid";
    c->appropriate = open && is_word(open, c->type);
}

/* Percent of what a class wants, as the tool counts. */
static void progress(openness *out) {
    const tola_comply_component *report = NULL, *paper = NULL;
    for (size_t i = 0; i < out->count; i++) {
        if (strcmp(out->parts[i].name, "technical_report") == 0) report = &out->parts[i];
        if (strcmp(out->parts[i].name, "research_paper") == 0) paper = &out->parts[i];
    }
    bool has_report = report && strcmp(report->state, "included") == 0;
    bool has_paper = paper && strcmp(paper->state, "included") == 0;
    bool reached = true;
    for (int wanted = 3; wanted >= 1; wanted--) {
        int total = 0, included = 0;
        for (size_t i = 0; i < out->count; i++) {
            const tola_comply_component *c = &out->parts[i];
            if (!c->required || c->mof_class < wanted) continue;
            total++;
            included += strcmp(c->state, "included") == 0;
        }
        if (has_paper && !has_report) { /* it stands in for the report, and is not wanted twice */
            if (wanted > 1)
                included++;
            else
                total--;
        }
        double percent = total ? fmin(100.0, 100.0 * included / total) : 0;
        out->progress[wanted] = reached ? percent : 0;
        reached = reached && percent >= 100;
        if (reached) out->mof_class = wanted;
    }
}

tola_status openness_classify(const yaml *rules, const openness_said *said, arena *a, openness *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    const yaml_node *list;
    yaml *spdx = NULL; /* not needed where no component is named */
    TRY(yaml_need(yaml_root(rules), "components", &list, err));
    TRY(yaml_expect(list, YAML_LIST, err));
    if (said->count) TRY(data_open("spdx-open.yaml", &spdx, err));
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < list->count && status == TOLA_OK; i++) {
        row r = { 0 };
        if (out->count == OPENNESS_MOST) status = yaml_error(list, err, "more than %d components", OPENNESS_MOST);
        if (status == TOLA_OK) status = yaml_read(list->items[i], fields, sizeof fields / sizeof *fields, &r, err);
        if (status != TOLA_OK) break;
        tola_comply_component c = {
            .name = r.name, .title = r.title, .type = r.type, .mof_class = (int)r.first, .required = r.required
        };
        judge(spdx, said, &c);
        out->known = out->known || strcmp(c.state, "unknown");
        c.name = rule_format(a, "%s", c.name); /* the file goes */
        c.title = rule_format(a, "%s", c.title);
        c.type = rule_format(a, "%s", c.type);
        c.licence = c.licence ? rule_format(a, "%s", c.licence) : NULL;
        if (!c.name || !c.title || !c.type) status = err_nomem(err, "classifying openness");
        out->parts[out->count++] = c;
    }
    yaml_free(spdx);
    if (status == TOLA_OK) progress(out);
    return status;
}
