#include "policy/lineage.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/source.h"
#include "base/text.h"
#include "policy/record.h"
#include "policy/rules.h"
#include "trust/provenance.h"

#define CARD "README.md"
#define MOST_COMPANION ((uint64_t)4 << 20)

static bool contains(const char *text, const char *part) {
    size_t length = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, length) == 0) return true;
    return length == 0;
}

/* ---- terms ---- */

static const yaml_field term_fields[] = {
    { .key = "id", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, id), .required = true },
    { .key = "family", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, family) },
    { .key = "names", .type = YAML_TO_LIST, .offset = offsetof(licence_terms, names) },
    { .key = "models", .type = YAML_TO_LIST, .offset = offsetof(licence_terms, models) },
    { .key = "free", .type = YAML_TO_BOOL, .offset = offsetof(licence_terms, free), .required = true },
    { .key = "commercial", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, commercial), .required = true },
    { .key = "derivatives", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, derivatives), .required = true },
    { .key = "notices", .type = YAML_TO_LIST, .offset = offsetof(licence_terms, notices) },
    { .key = "notice_text", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, notice_text) },
    { .key = "display", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, display) },
    { .key = "display_if_large", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, display_if_large) },
    { .key = "name_begins", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, name_begins) },
    { .key = "users", .type = YAML_TO_NODE, .offset = offsetof(licence_terms, users) },
    { .key = "users_display", .type = YAML_TO_NODE, .offset = offsetof(licence_terms, users_display) },
    { .key = "excludes", .type = YAML_TO_LIST, .offset = offsetof(licence_terms, excludes) },
    { .key = "excludes_what", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, excludes_what) },
    { .key = "incompatible", .type = YAML_TO_LIST, .offset = offsetof(licence_terms, incompatible) },
    { .key = "use_based", .type = YAML_TO_BOOL, .offset = offsetof(licence_terms, use_based) },
    { .key = "copyleft", .type = YAML_TO_BOOL, .offset = offsetof(licence_terms, copyleft) },
    { .key = "improves_others", .type = YAML_TO_BOOL, .offset = offsetof(licence_terms, improves_others) },
    { .key = "note", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, note) },
    { .key = "url", .type = YAML_TO_STRING, .offset = offsetof(licence_terms, url) },
};

static bool is_named(const yaml_node *row, const char *id) {
    const yaml_node *own = yaml_get(row, "id"), *names = yaml_get(row, "names");
    if (own && own->text && strcasecmp(own->text, id) == 0) return true;
    for (size_t i = 0; names && names->kind == YAML_LIST && i < names->count; i++)
        if (names->items[i]->text && strcasecmp(names->items[i]->text, id) == 0) return true;
    return false;
}

tola_status lineage_terms(const yaml *licences, const char *id, licence_terms *out, bool *found, tola_error *err) {
    const yaml_node *list;
    *found = false;
    TRY(yaml_need(yaml_root(licences), "licences", &list, err));
    TRY(yaml_expect(list, YAML_LIST, err));
    for (size_t i = 0; id && i < list->count; i++) {
        if (!is_named(list->items[i], id)) continue;
        memset(out, 0, sizeof *out);
        out->improves_others = true;
        *found = true;
        return yaml_read(list->items[i], term_fields, sizeof term_fields / sizeof *term_fields, out, err);
    }
    return TOLA_OK;
}

/* ---- bases ---- */

static void add_base(lineage *l, arena *a, const char *name, const char *relation, const char *licence,
                     const char *where) {
    if (!name || !name[0] || l->count == LINEAGE_MOST) return;
    for (size_t i = 0; i < l->count; i++) {
        tola_comply_base *b = &l->bases[i];
        if (!b->name || strcasecmp(b->name, name)) continue;
        if (!b->relation) b->relation = relation;
        if (!b->licence && licence) b->licence = rule_format(a, "%s", licence);
        return;
    }
    l->facts_row[l->count] = SIZE_MAX;
    l->bases[l->count++] = (tola_comply_base){ rule_format(a, "%s", name), relation,
                                               licence ? rule_format(a, "%s", licence) : NULL, where };
}

static void find(lineage *l, const char *kind, const char *what, const char *where, const char *article) {
    if (what && l->n_findings < LINEAGE_MOST)
        l->findings[l->n_findings++] = (tola_comply_finding){ kind, what, where, article };
}

static void set_licence(lineage *l, arena *a, const char *licence, const char *where) {
    if (!licence || !licence[0] || strcasecmp(licence, "other") == 0) return;
    if (!l->licence) {
        l->licence = rule_format(a, "%s", licence);
        l->licence_source = where;
    } else if (strcasecmp(l->licence, licence)) {
        find(l, "contradiction",
             rule_format(a, "the licence is %s by %s, but %s by %s", l->licence, l->licence_source, licence, where),
             where, NULL);
    }
}

static void from_facts(const facts *f, arena *a, lineage *l) {
    static const char *const keys[] = { "name", "relation", "licence" };
    size_t rows = facts_count(f, "bases");
    for (size_t i = 0; i < rows && l->count < LINEAGE_MOST; i++) {
        const char *value[3];
        for (size_t k = 0; k < 3; k++) {
            char path[48];
            snprintf(path, sizeof path, "bases[%zu].%s", i, keys[k]);
            value[k] = facts_text(f, path);
        }
        l->facts_row[l->count] = i;
        l->bases[l->count++] = (tola_comply_base){ value[0] ? value[0] : rule_format(a, "bases[%zu]", i), value[1],
                                                   value[2], rule_format(a, "facts, bases[%zu]", i) };
    }
    set_licence(l, a, facts_text(f, "licence.id"), "licence.id of the facts");
}

static void from_card_node(const yaml_node *n, const char *relation, arena *a, lineage *l) {
    if (!n) return;
    if (n->kind == YAML_STRING) add_base(l, a, n->text, relation, NULL, CARD);
    for (size_t i = 0; n->kind == YAML_LIST && i < n->count; i++)
        if (n->items[i]->kind == YAML_STRING) add_base(l, a, n->items[i]->text, relation, NULL, CARD);
}

/* The front matter of README.md: license, base_model, base_model_relation (huggingface.co/docs/hub/model-cards). */
static void from_card(const char *text, size_t length, arena *a, lineage *l) {
    const char *begin;
    size_t bytes;
    yaml *card;
    if (!record_front_matter(text, length, &begin, &bytes)) return;
    if (yaml_parse(CARD, begin, bytes, &card, NULL) != TOLA_OK) return; /* not ours to judge */
    const yaml_node *root = yaml_root(card), *relation = yaml_get(root, "base_model_relation");
    const yaml_node *licence = yaml_get(root, "license"), *name = yaml_get(root, "license_name");
    static const char *const words[][2] = {
        { "finetune", "finetune" }, { "adapter", "adapter" }, { "merge", "merge" }, { "quantized", "quantize" }
    };
    const char *word = NULL;
    for (size_t i = 0; relation && relation->text && i < 4; i++)
        if (strcmp(relation->text, words[i][0]) == 0) word = words[i][1];
    from_card_node(yaml_get(root, "base_model"), word, a, l);
    bool other = licence && licence->text && strcasecmp(licence->text, "other") == 0 && name;
    if (licence && licence->text) set_licence(l, a, other ? name->text : licence->text, CARD);
    yaml_free(card);
}

/* A small file beside the weights or, where there are none, in the folder or beside its config.json. */
static char *companion(const char *path, const tola_checkpoint *ck, const char *name, size_t *length) {
    void *data;
    struct stat st;
    char file[4096];
    if (ck) return tola_checkpoint_companion(ck, name, &data, length, NULL) == TOLA_OK ? data : NULL;
    if (!path || stat(path, &st)) return NULL;
    const char *slash = strrchr(path, '/');
    const char *leaf = slash ? slash + 1 : path;
    bool folder = S_ISDIR(st.st_mode), config = strcmp(leaf, "config.json") == 0;
    if (!folder && !config) return NULL;
    int folder_length = folder ? (int)strlen(path) : (int)(leaf - path);
    int n = snprintf(file, sizeof file, "%.*s%s%s", folder_length, path, folder ? "/" : "", name);
    source *src;
    if (n < 0 || (size_t)n >= sizeof file || source_open_file(file, &src, NULL) != TOLA_OK) return NULL;
    char *text = src->size <= MOST_COMPANION ? mem_alloc((size_t)src->size + 1) : NULL;
    *length = (size_t)src->size;
    if (text && source_read(src, 0, text, *length, NULL) != TOLA_OK) {
        mem_free(text);
        text = NULL;
    }
    source_close(src);
    return text;
}

/* Do two names of models end in the same word? "meta-llama/Llama-3.1-8B" and "Llama-3.1-8B". */
static bool same_model(const char *a, const char *b) {
    const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
    return strcasecmp(x ? x + 1 : a, y ? y + 1 : b) == 0;
}

static void from_json_file(const char *text, size_t length, const char *key, const char *relation, const char *where,
                           arena *a, lineage *l) {
    tola_value v;
    if (json_parse(text, length, a, &v, NULL) != TOLA_OK) return;
    const char *name = tola_value_str(tola_value_get(&v, key), NULL);
    /* a path of somebody's machine, or of the folder itself, names no model */
    if (name && name[0] && name[0] != '/' && name[0] != '.' && strchr(name, '/'))
        add_base(l, a, name, relation, NULL, where);
}

/* general.base_model.count, .0.name, .0.organization, .0.repo_url; general.license (GGUF's specification). */
static void from_gguf(const tola_checkpoint *ck, arena *a, lineage *l) {
    const tola_value *m = tola_checkpoint_metadata(ck);
    uint64_t count = tola_value_u64(tola_value_get(m, "general.base_model.count"), 0);
    for (uint64_t i = 0; i < count && i < LINEAGE_MOST; i++) {
        char key[64];
        snprintf(key, sizeof key, "general.base_model.%d.repo_url", (int)i);
        const char *url = tola_value_str(tola_value_get(m, key), NULL);
        snprintf(key, sizeof key, "general.base_model.%d.name", (int)i);
        const char *name = tola_value_str(tola_value_get(m, key), NULL), *hub = "https://huggingface.co/";
        bool on_hub = url && strncmp(url, hub, strlen(hub)) == 0;
        add_base(l, a,
                 on_hub ? url + strlen(hub)
                 : name ? name
                        : url,
                 NULL, NULL, "general.base_model of the GGUF file");
    }
    const char *name = tola_value_str(tola_value_get(m, "general.license.name"), NULL);
    const char *id = tola_value_str(tola_value_get(m, "general.license"), NULL);
    set_licence(l, a, id && strcasecmp(id, "other") == 0 ? name : id, "general.license of the GGUF file");
}

static void from_merge(const char *text, size_t length, arena *a, lineage *l) {
    yaml *y;
    if (yaml_parse("mergekit_config.yml", text, length, &y, NULL) != TOLA_OK) return;
    const yaml_node *root = yaml_root(y), *models = yaml_get(root, "models"), *base = yaml_get(root, "base_model");
    if (base && base->kind == YAML_STRING) add_base(l, a, base->text, "merge", NULL, "mergekit_config.yml");
    for (size_t i = 0; models && models->kind == YAML_LIST && i < models->count; i++) {
        const yaml_node *m = yaml_get(models->items[i], "model");
        if (m && m->kind == YAML_STRING) add_base(l, a, m->text, "merge", NULL, "mergekit_config.yml");
    }
    yaml_free(y);
}

/* A statement of provenance that Tola wrote: the models whose files went in. */
static tola_status from_provenance(const char *path, arena *a, lineage *l, tola_error *err) {
    const tola_value *statement;
    provenance_file *files;
    size_t count;
    TRY(provenance_read(path, a, &statement, err));
    TRY(provenance_inputs(statement, a, &files, &count, err));
    const tola_value *definition = tola_value_get(tola_value_get(statement, "predicate"), "buildDefinition");
    const char *type = tola_value_str(tola_value_get(definition, "buildType"), "");
    static const char *const verbs[] = { "quantize", "merge", "convert" };
    const char *relation = NULL;
    for (size_t i = 0; i < 3; i++)
        if (contains(type, verbs[i])) relation = verbs[i];
    for (size_t i = 0; i < count; i++) add_base(l, a, files[i].model, relation, NULL, rule_format(a, "%s", path));
    return TOLA_OK;
}

tola_status lineage_gather(const char *path, const tola_checkpoint *ck, const char *provenance, const char *name,
                           const facts *f, arena *a, lineage *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    from_facts(f, a, out);
    if (provenance) TRY(from_provenance(provenance, a, out, err));
    size_t length;
    char *text = companion(path, ck, CARD, &length);
    if (text) from_card(text, length, a, out);
    tola_free(text);
    text = companion(path, ck, "adapter_config.json", &length);
    if (text) from_json_file(text, length, "base_model_name_or_path", "adapter", "adapter_config.json", a, out);
    tola_free(text);
    text = companion(path, ck, "mergekit_config.yml", &length);
    if (text) from_merge(text, length, a, out);
    tola_free(text);
    if (ck && strcmp(tola_checkpoint_format(ck), "gguf") == 0) from_gguf(ck, a, out);
    if (out->count == 0) { /* config.json: written by transformers, says where the weights were loaded from */
        text = companion(path, ck, "config.json", &length);
        if (text) from_json_file(text, length, "_name_or_path", NULL, "_name_or_path of config.json", a, out);
        tola_free(text);
        if (out->count && name && same_model(out->bases[0].name, name)) out->count = 0; /* saved under its own name */
    }
    for (size_t i = 0; i < out->count; i++)
        if (!out->bases[i].name) return err_nomem(err, "gathering bases");
    return TOLA_OK;
}

/* ---- checks ---- */

typedef struct check {
    lineage *l;
    const facts *f;
    arena *a;
    const char *name;
    const licence_terms *own; /* NULL: unknown */
} check;

static bool listed(const yaml_node *list, const char *word) {
    for (size_t i = 0; list && i < list->count; i++)
        if (list->items[i]->text && strcasecmp(list->items[i]->text, word) == 0) return true;
    return false;
}

/* Does licence.notices hold a text or file with this in it? */
static bool has_notice(const facts *f, const char *part) {
    size_t count = facts_count(f, "licence.notices");
    for (size_t i = 0; i < count; i++) {
        char path[48];
        snprintf(path, sizeof path, "licence.notices[%zu]", i);
        const char *text = facts_text(f, path);
        if (text && contains(text, part)) return true;
    }
    const char *file = facts_text(f, "licence.file");
    return file && contains(file, part);
}

/* LICENSE or LICENCE, and COPYING, which say the same. */
static bool has_licence_text(const facts *f) {
    return has_notice(f, "licen") || has_notice(f, "copying") || facts_text(f, "licence.file") ||
           facts_text(f, "licence.url");
}

static void check_notices(check *c, const tola_comply_base *b, const licence_terms *t) {
    for (size_t i = 0; t->notices && i < t->notices->count; i++) {
        const char *want = t->notices->items[i]->text;
        if (!want) continue;
        bool licence = strcasecmp(want, "LICENSE") == 0, attribution = strcasecmp(want, "attribution") == 0;
        /* Apache 2.0, 4(d): a NOTICE goes on only where the original has one, which nothing here tells */
        bool only_if_there = strcmp(want, "NOTICE") == 0;
        bool there = licence       ? has_licence_text(c->f)
                     : attribution ? facts_text(c->f, "licence.attribution") || has_notice(c->f, b->name)
                                   : has_notice(c->f, want);
        if (there || only_if_there) continue;
        find(c->l, "missing",
             rule_format(c->a, "%s (%s) asks for %s with copies and derivatives: licence.notices names none%s%s%s",
                         b->name, t->id,
                         licence       ? "a copy of its licence"
                         : attribution ? "attribution"
                                       : "a notice file",
                         t->notice_text && !licence ? " (\"" : "", t->notice_text && !licence ? t->notice_text : "",
                         t->notice_text && !licence ? "\")" : ""),
             b->source, t->id);
    }
    const char *shown = facts_text(c->f, "licence.attribution");
    if (t->display && !(shown && contains(shown, t->display)))
        find(c->l, "missing",
             rule_format(c->a, "%s (%s): \"%s\" must be displayed; licence.attribution does not say it", b->name, t->id,
                         t->display),
             b->source, t->id);
}

/* A fine-tune or other new model under terms that ask for a name; copies and quantizations keep theirs. */
static void check_name(check *c, const tola_comply_base *b, const licence_terms *t) {
    if (!t->name_begins || !c->name) return;
    const char *base = strrchr(c->name, '/');
    base = base ? base + 1 : c->name;
    if (strncasecmp(base, t->name_begins, strlen(t->name_begins)) == 0) return;
    find(c->l, "contradiction",
         rule_format(c->a, "the name '%s' must begin with \"%s\", as %s (%s) asks of models made from it", base,
                     t->name_begins, b->name, t->id),
         "model.name", t->id);
}

static void check_terms(check *c, const tola_comply_base *b, const licence_terms *t) {
    const licence_terms *own = c->own;
    bool commercial;
    bool is_commercial = facts_bool(c->f, "distribution.commercial", &commercial) && commercial;
    bool monetised;
    is_commercial = is_commercial || (facts_bool(c->f, "licence.monetised", &monetised) && monetised);
    if (is_commercial && strcmp(t->commercial, "no") == 0)
        find(c->l, "contradiction",
             rule_format(c->a, "%s (%s) allows no commercial use, but the facts say that it is commercial", b->name,
                         t->id),
             b->source, t->id);
    if (strcmp(t->derivatives, "none") == 0)
        find(c->l, "contradiction", rule_format(c->a, "%s (%s) allows no derivatives", b->name, t->id), b->source,
             t->id);
    if (!own || strcasecmp(own->id, t->id) == 0) return;
    bool same_family = own->family && t->family && strcmp(own->family, t->family) == 0;
    if (strcmp(t->commercial, "no") == 0 && strcmp(own->commercial, "no"))
        find(c->l, "contradiction",
             rule_format(c->a, "%s is %s, which allows no commercial use; what is made from it cannot be %s", b->name,
                         t->id, own->id),
             b->source, t->id);
    else if (strcmp(t->derivatives, "same") == 0)
        find(c->l, (t->copyleft ? !own->copyleft : strcmp(own->derivatives, "same") != 0) ? "contradiction" : "note",
             rule_format(c->a, "%s is %s: what is made from it comes under the same terms, not %s", b->name, t->id,
                         own->id),
             b->source, t->id);
    else if (strcmp(t->derivatives, "pass") == 0 && !same_family)
        find(c->l, "contradiction",
             rule_format(c->a, "%s is %s: its terms%s go on to what is made from it, and %s does not carry them",
                         b->name, t->id, t->use_based ? " and use restrictions" : "", own->id),
             b->source, t->id);
}

static double plain_number(const yaml_node *n) {
    const char *end;
    double v;
    if (!n || !n->text || !json_decimal_prefix(n->text, &v, &end)) return NAN; /* of ours: digits and a letter */
    return *end == 'M' ? v * 1e6 : *end == 'B' ? v * 1e9 : *end == 'K' ? v * 1e3 : v;
}

static void check_limits(check *c, const char *name, const char *where, const licence_terms *t, int multimodal) {
    double users, most = plain_number(t->users), display = plain_number(t->users_display);
    bool known = facts_number(c->f, "distribution.monthly_users", &users);
    if (known && users > most)
        find(c->l, "contradiction",
             rule_format(c->a, "%s (%s): more than %s monthly users need a licence of their own", name, t->id,
                         t->users->text),
             where, t->id);
    else if (!known && most > 0)
        find(c->l, "note",
             rule_format(c->a, "%s (%s): above %s monthly users a licence of their own is needed", name, t->id,
                         t->users->text),
             where, t->id);
    const char *shown = facts_text(c->f, "licence.attribution");
    if (known && users > display && !(shown && t->display_if_large && contains(shown, t->display_if_large)))
        find(c->l, "missing",
             rule_format(c->a, "%s (%s): above %s monthly users \"%s\" must be displayed", name, t->id,
                         t->users_display->text, t->display_if_large),
             where, t->id);
    if (t->note) find(c->l, "note", rule_format(c->a, "%s (%s): %s", name, t->id, t->note), where, t->id);
    if (!t->excludes) return;
    bool only_multimodal = t->excludes_what && strcmp(t->excludes_what, "multimodal") == 0;
    bool placed = false;
    bool in_eu = (facts_bool(c->f, "model.eu_placed", &placed) && placed) || facts_text(c->f, "model.eu_release_date");
    if (only_multimodal && multimodal == 0) return;
    bool clash = listed(t->excludes, "EU") && in_eu && (!only_multimodal || multimodal == 1);
    buf regions;
    buf_init(&regions, 200);
    for (size_t i = 0; i < t->excludes->count; i++)
        buf_printf(&regions, "%s%s", i ? ", " : "", t->excludes->items[i]->text ? t->excludes->items[i]->text : "");
    find(c->l, clash ? "contradiction" : "note",
         rule_format(c->a, "%s (%s) gives no rights%s to people and companies of: %.*s%s", name, t->id,
                     only_multimodal ? " on multimodal models" : "", (int)regions.length, (const char *)regions.data,
                     clash ? "; the facts say that it is placed on the Union's market" : ""),
         where, t->id);
    buf_free(&regions);
}

/* Two bases whose terms cannot both hold for one work. */
static void check_pair(check *c, const tola_comply_base *a, const licence_terms *s, const tola_comply_base *b,
                       const licence_terms *t) {
    if (strcasecmp(s->id, t->id) == 0) return;
    bool named = listed(s->incompatible, t->id) || listed(t->incompatible, s->id);
    bool s_same = strcmp(s->derivatives, "same") == 0, t_same = strcmp(t->derivatives, "same") == 0;
    bool s_limits = strcmp(s->derivatives, "pass") == 0 || (s_same && strcmp(s->commercial, "no") == 0);
    bool t_limits = strcmp(t->derivatives, "pass") == 0 || (t_same && strcmp(t->commercial, "no") == 0);
    bool both_same = s_same && t_same && !(s->copyleft && t->copyleft && !named);
    if (named || both_same || (s_same && t_limits) || (t_same && s_limits))
        find(c->l, "contradiction",
             rule_format(c->a, "%s is %s and %s is %s: the terms of both cannot hold for one work", a->name, s->id,
                         b->name, t->id),
             b->source, NULL);
}

/* The licence of published models whose maker is known by name: models: [globs] of a row. */
static const char *licence_by_name(const yaml *licences, const char *name) {
    const yaml_node *list = yaml_get(yaml_root(licences), "licences");
    for (size_t i = 0; list && list->kind == YAML_LIST && i < list->count; i++) {
        const yaml_node *models = yaml_get(list->items[i], "models"), *id = yaml_get(list->items[i], "id");
        for (size_t k = 0; id && models && models->kind == YAML_LIST && k < models->count; k++)
            if (models->items[k]->text && glob_match(models->items[k]->text, name)) return id->text;
    }
    return NULL;
}

tola_status lineage_check(lineage *l, const yaml *licences, const facts *f, const char *name, int multimodal, arena *a,
                          tola_error *err) {
    licence_terms own, terms[LINEAGE_MOST];
    bool found, have[LINEAGE_MOST];
    check c = { .l = l, .f = f, .a = a, .name = name };
    TRY(lineage_terms(licences, l->licence, &own, &found, err));
    if (found) {
        c.own = &own;
        check_limits(&c, name ? name : "the model", l->licence_source, &own, multimodal);
    } else if (l->licence) {
        find(l, "note",
             rule_format(a, "the licence '%s' is not in data/licences.yaml: its terms are not checked", l->licence),
             l->licence_source, NULL);
    }
    for (size_t i = 0; i < l->count; i++) {
        tola_comply_base *b = &l->bases[i];
        if (!b->licence && (b->licence = licence_by_name(licences, b->name)))
            find(l, "note",
                 rule_format(a,
                             "%s: the licence %s is taken from data/licences.yaml by its name, unless bases[].licence "
                             "says another",
                             b->name, b->licence),
                 b->source, NULL);
        bool others = !(b->relation && strcmp(b->relation, "distil") == 0);
        TRY(lineage_terms(licences, b->licence, &terms[i], &have[i], err));
        if (!b->licence)
            find(l, "missing", rule_format(a, "the licence of the base %s is not known: bases[].licence", b->name),
                 b->source, NULL);
        else if (!have[i])
            find(l, "note", rule_format(a, "%s: the licence '%s' is not in data/licences.yaml", b->name, b->licence),
                 b->source, NULL);
        if (!have[i]) continue;
        if (!others && !terms[i].improves_others)
            find(l, "contradiction",
                 rule_format(
                     a, "%s (%s) forbids to improve other models with its outputs, but this one is distilled from it",
                     b->name, terms[i].id),
                 b->source, terms[i].id);
        if (others) {
            check_terms(&c, b, &terms[i]);
            check_notices(&c, b, &terms[i]);
        }
        bool new_model =
            !(b->relation && (strcmp(b->relation, "quantize") == 0 || strcmp(b->relation, "convert") == 0));
        if (new_model) check_name(&c, b, &terms[i]);
        check_limits(&c, b->name, b->source, &terms[i], multimodal);
        for (size_t k = 0; k < i; k++)
            if (have[k]) check_pair(&c, &l->bases[k], &terms[k], b, &terms[i]);
    }
    for (size_t i = 0; i < l->n_findings; i++)
        if (!l->findings[i].what) return err_nomem(err, "checking licences");
    return TOLA_OK;
}
