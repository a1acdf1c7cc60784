#include "policy/card.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Identifiers that the Hub knows; another licence is `other` with its name. */
static const char licences[] =
    " apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m "
    "afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 "
    "cc-by-2.5 "
    "cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 "
    "cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 "
    "cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl "
    "gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr "
    "mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr "
    "deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 "
    "grok2-community gemma unknown ";

static void put(buf *out, const char *text) { buf_append(out, text, strlen(text)); }

static void text(buf *out, const char *key, const char *value) {
    if (!value || !*value) return;
    put(out, key);
    put(out, ": ");
    yaml_text(out, value);
    put(out, "\n");
}

static void item(buf *out, const char *key, size_t *count, const char *value) {
    if (!value || !*value) return;
    if ((*count)++ == 0) {
        put(out, key);
        put(out, ":\n");
    }
    put(out, "- ");
    yaml_text(out, value);
    put(out, "\n");
}

/* A slug of at most `cap` - 1 characters: a-z, 0-9, - and _. */
static const char *slug(const char *name, char *out, size_t cap) {
    size_t n = 0;
    for (; *name && n + 1 < cap; name++) {
        bool word = isalnum((unsigned char)*name) || *name == '-' || *name == '_';
        if (word)
            out[n++] = (char)tolower((unsigned char)*name);
        else if (n && out[n - 1] != '_')
            out[n++] = '_';
    }
    while (n && out[n - 1] == '_') n--;
    out[n] = 0;
    return out;
}

/* "org/name" or "name" as the Hub has them. */
static bool hub_name(const char *name) {
    size_t slashes = 0;
    for (const char *p = name; *p; p++) {
        if (*p == '/')
            slashes++;
        else if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
            return false;
    }
    return *name && *name != '/' && slashes <= 1 && name[strlen(name) - 1] != '/';
}

/* A list of facts, else what the folder's own card says. */
static void list(const form *x, buf *out, const char *key, const char *path) {
    size_t count = 0, n = x->f && path ? facts_count(x->f, path) : 0;
    for (size_t i = 0; i < n && i < 1000; i++) {
        const char *own = record_text(x->a, "%s[%zu]", path, i), *value = own ? facts_text(x->f, own) : NULL;
        if (!value && n == 1) value = facts_text(x->f, path);
        item(out, key, &count, value);
    }
    const yaml_node *card = n || !x->r->card ? NULL : yaml_get(yaml_root(x->r->card), key);
    if (!card) return;
    if (card->kind == YAML_STRING) item(out, key, &count, card->text);
    for (size_t i = 0; card->kind == YAML_LIST && i < card->count && i < 1000; i++)
        if (card->items[i]->kind == YAML_STRING) item(out, key, &count, card->items[i]->text);
}

static void licence(const form *x, buf *out) {
    const char *id = form_licence(x).text, *url = form_fact(x, "licence.url"), *name = form_fact(x, "licence.name");
    char lower[80];
    if (!id) return;
    snprintf(lower, sizeof lower, " %.70s ", id);
    for (char *p = lower; *p; p++) *p = (char)tolower((unsigned char)*p);
    if (strlen(id) <= 70 && !strchr(id, ' ') && strstr(licences, lower)) {
        lower[strlen(lower) - 1] = 0;
        text(out, "license", lower + 1);
        return;
    }
    text(out, "license", "other");
    text(out, "license_name", name ? name : strcmp(id, "other") != 0 ? id : record_card(x->r, "license_name"));
    text(out, "license_link", url ? url : record_card(x->r, "license_link"));
}

static void bases(const form *x, buf *out) {
    static const char *const words[][2] = { { "finetune", "finetune" },
                                            { "continue", "finetune" },
                                            { "adapter", "adapter" },
                                            { "merge", "merge" },
                                            { "quantize", "quantized" } };
    size_t n = x->f ? facts_count(x->f, "bases") : 0, count = 0;
    const char *relation = NULL;
    for (size_t i = 0; i < n && i < 64; i++) {
        const char *name = form_row_fact(x, "bases", i, "name"), *how = form_row_fact(x, "bases", i, "relation");
        if (!name || !hub_name(name)) continue;
        item(out, "base_model", &count, name);
        for (size_t k = 0; how && k < sizeof words / sizeof *words; k++)
            if (strcmp(how, words[k][0]) == 0) relation = words[k][1];
    }
    for (size_t i = 0; n == 0 && i < x->r->base_count; i++) {
        const record_base *b = &x->r->bases[i];
        if (!hub_name(b->name)) continue;
        item(out, "base_model", &count, b->name);
        if (b->relation) relation = b->relation;
    }
    if (count && relation && strstr(" finetune adapter merge quantized ", relation))
        text(out, "base_model_relation", relation);
}

static void datasets(const form *x, buf *out) {
    static const char at[] = "huggingface.co/datasets/";
    size_t n = x->f ? facts_count(x->f, "data") : 0, count = 0;
    for (size_t i = 0; i < n && i < 1000; i++) {
        const char *name = form_row_fact(x, "data", i, "name"), *url = form_row_fact(x, "data", i, "url");
        const char *found = url ? strstr(url, at) : NULL;
        if (found) {
            found += sizeof at - 1;
            size_t length = strcspn(found, "?#"), slashes = 0, end = 0;
            while (end < length && (found[end] != '/' || ++slashes < 2)) end++;
            found = record_text(x->a, "%.*s", (int)(end < 200 ? end : 200), found);
        } else if (name && strchr(name, '/')) {
            found = name;
        }
        if (found && hub_name(found)) item(out, "datasets", &count, found);
    }
    if (n == 0) list(x, out, "datasets", NULL);
}

static const char *task(const form *x) {
    const char *given = form_fact(x, "model.task"), *class = x->r->summary.model_class;
    if (!given) given = record_card(x->r, "pipeline_tag");
    if (given) return given;
    return class && strstr(class, "ForCausalLM") ? "text-generation" : NULL;
}

static const char *library(const form *x) {
    const char *given = form_fact(x, "model.library"), *format = tola_checkpoint_format(x->r->checkpoint);
    if (!given) given = record_card(x->r, "library_name");
    if (given) return given;
    if (x->r->summary.adapter && tola_checkpoint_config(x->r->checkpoint)) return "peft";
    if (format && strcmp(format, "gguf") == 0) return "gguf";
    return x->r->summary.model_class ? "transformers" : NULL;
}

/* A number that YAML 1.1 reads as one, too: "1.0e-05". */
static void number(buf *out, double value) {
    char digits[40];
    snprintf(digits, sizeof digits, "%.10g", value);
    char *e = strchr(digits, 'e');
    if (e && !strchr(digits, '.'))
        buf_printf(out, "%.*s.0%s", (int)(e - digits), digits, e);
    else
        put(out, digits);
}

typedef struct result {
    const char *dataset, *type, *split, *metric, *url, *protocol;
    double value;
} result;

static void result_item(const form *x, buf *out, size_t *count, const result *r) {
    char id[100], metric[100];
    const char *kind = task(x);
    slug(r->type, id, sizeof id);
    slug(r->metric, metric, sizeof metric);
    if (!*id || !*metric || !isfinite(r->value)) return;
    if ((*count)++ == 0) {
        put(out, "model-index:\n- name: ");
        yaml_text(out, form_name(x).text);
        put(out, "\n  results:\n");
    }
    put(out, "  - task:\n      type: ");
    yaml_text(out, kind ? kind : "other");
    put(out, "\n    dataset:\n      name: ");
    yaml_text(out, r->dataset);
    put(out, "\n      type: ");
    yaml_text(out, id);
    if (r->split) {
        put(out, "\n      split: ");
        yaml_text(out, r->split);
    }
    put(out, "\n    metrics:\n    - type: ");
    yaml_text(out, metric);
    put(out, "\n      value: ");
    number(out, r->value);
    put(out, "\n      name: ");
    yaml_text(out, r->protocol ? record_text(x->a, "%s (%s)", r->metric, r->protocol) : r->metric);
    put(out, "\n");
    if (!r->url) return;
    put(out, "    source:\n      url: ");
    yaml_text(out, r->url);
    put(out, "\n");
}

static void results(const form *x, buf *out) {
    size_t n = x->f ? facts_count(x->f, "evaluation") : 0, count = 0;
    for (size_t i = 0; i < n && i < 1000; i++) {
        char path[64];
        result r = { form_row_fact(x, "evaluation", i, "dataset"),
                     NULL,
                     form_row_fact(x, "evaluation", i, "split"),
                     form_row_fact(x, "evaluation", i, "metric"),
                     form_row_fact(x, "evaluation", i, "url"),
                     form_row_fact(x, "evaluation", i, "protocol"),
                     0 };
        const char *benchmark = form_row_fact(x, "evaluation", i, "benchmark");
        if (!r.dataset) r.dataset = benchmark;
        r.type = r.dataset;
        snprintf(path, sizeof path, "evaluation[%zu].value", i);
        if (r.dataset && r.metric && facts_number(x->f, path, &r.value)) result_item(x, out, &count, &r);
    }
    for (size_t i = 0; i < x->r->metric_count; i++) {
        const record_metric *m = &x->r->metrics[i];
        result r = {
            record_text(x->a, "unknown, see %s", m->file), "unknown", NULL, m->name, NULL, m->protocol, m->value
        };
        if (r.dataset) result_item(x, out, &count, &r);
    }
}

static void metrics(const form *x, buf *out) {
    size_t n = x->f ? facts_count(x->f, "evaluation") : 0, count = 0;
    char seen[20][64];
    for (size_t i = 0; i < n + x->r->metric_count && i < 1000 && count < 20; i++) {
        const char *name = i < n ? form_row_fact(x, "evaluation", i, "metric") : x->r->metrics[i - n].name;
        char own[64];
        bool there = !name || !*slug(name, own, sizeof own);
        for (size_t k = 0; !there && k < count; k++) there = strcmp(seen[k], own) == 0;
        if (there) continue;
        memcpy(seen[count], own, sizeof own);
        item(out, "metrics", &count, own);
    }
    if (count == 0) list(x, out, "metrics", NULL);
}

void card_front_matter(const form *x, buf *out) {
    put(out, "---\n");
    list(x, out, "language", "model.languages");
    licence(x, out);
    text(out, "library_name", library(x));
    text(out, "pipeline_tag", task(x));
    list(x, out, "tags", "model.tags");
    bases(x, out);
    datasets(x, out);
    metrics(x, out);
    results(x, out);
    put(out, "---\n");
}
