#include "policy/form.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "policy/data.h"

enum { MOST_ROWS = 1000 }; /* of a list of facts that are shown */

const char *form_line(arena *a, const char *text, const char *more) {
    if (!more || !*more) return text;
    return text ? record_text(a, "%s\n%s", text, more) : more;
}

/* ---- facts as text ---- */

static const char *number_text(arena *a, double value, const char *unit) {
    bool whole = value == floor(value) && fabs(value) < 1e7;
    char text[64];
    if (whole || (fabs(value) >= 0.001 && fabs(value) < 1e7)) {
        snprintf(text, sizeof text, "%.*g", whole ? 7 : 6, value);
    } else {
        snprintf(text, sizeof text, "%.6g", value);
        char *e = strchr(text, 'e');
        if (e) {
            int power = 0;
            sscanf(e + 1, "%d", &power);
            snprintf(e, sizeof text - (size_t)(e - text), "*10^%d", power);
        }
    }
    bool bare = !unit || strcmp(unit, "value") == 0 || strcmp(unit, "ratio") == 0 || strcmp(unit, "share") == 0;
    return bare ? record_text(a, "%s", text) : record_text(a, "%s %s", text, unit);
}

const char *form_fact(const form *x, const char *path) {
    const facts_row *row = x->f ? facts_row_of(path) : NULL;
    if (!row) return NULL;
    double number;
    bool yes;
    int32_t days;
    char text[16];
    switch (row->type) {
    case FACT_NUMBER: return facts_number(x->f, path, &number) ? number_text(x->a, number, row->unit) : NULL;
    case FACT_BOOL: return facts_bool(x->f, path, &yes) ? (yes ? "Yes" : "No") : NULL;
    case FACT_DATE: return facts_date(x->f, path, &days) ? record_text(x->a, "%s", facts_date_text(days, text)) : NULL;
    case FACT_LIST: {
        const char *all = NULL;
        size_t count = facts_count(x->f, path);
        for (size_t i = 0; i < count && i < MOST_ROWS; i++) {
            const char *own = record_text(x->a, "%s[%zu]", path, i), *item = own ? facts_text(x->f, own) : NULL;
            if (!item && count == 1) item = facts_text(x->f, path);
            if (item) all = all ? record_text(x->a, "%s, %s", all, item) : item;
        }
        return all;
    }
    case FACT_ROWS: return NULL;
    default: return facts_text(x->f, path);
    }
}

const char *form_row_fact(const form *x, const char *list, size_t i, const char *key) {
    char path[200];
    snprintf(path, sizeof path, "%s[%zu].%s", list, i, key);
    return form_fact(x, path);
}

/* ---- words of a place ---- */

/* Cuts the next word off; "" at the end. */
static const char *next_word(const char **rest, char *word, size_t cap) {
    while (**rest == ' ') ++*rest;
    size_t n = strcspn(*rest, " "), kept = n < cap ? n : cap - 1;
    memcpy(word, *rest, kept);
    word[kept] = 0;
    *rest += n;
    return word;
}

/* Is `word` one of "a,b,c"? */
static bool one_of(const char *word, const char *words) {
    size_t n = strlen(word);
    for (const char *p = words; *p;) {
        size_t length = strcspn(p, ",");
        if (length == n && memcmp(p, word, n) == 0) return true;
        p += length + (p[length] == ',');
    }
    return false;
}

/* Does row i of the list meet "-" or "key=a,b"? */
static bool meets(const form *x, const char *list, size_t i, const char *where) {
    const char *equal = strchr(where, '=');
    char key[64];
    if (!equal) return true;
    snprintf(key, sizeof key, "%.*s", (int)(equal - where), where);
    const char *value = form_row_fact(x, list, i, key);
    if (value && strcmp(equal + 1, "true") == 0) return strcmp(value, "Yes") == 0;
    return value && one_of(value, equal + 1);
}

static const char *row_text(const form *x, const char *list, size_t i, const char *keys) {
    const char *head = NULL, *tail = NULL;
    char key[64];
    while (*next_word(&keys, key, sizeof key)) {
        const char *value = form_row_fact(x, list, i, key);
        if (!value) continue;
        char from[16], to[16];
        int32_t day;
        char path[200];
        snprintf(path, sizeof path, "%s[%zu].%s", list, i, key);
        if (facts_date(x->f, path, &day)) { /* which end of a period it is */
            snprintf(from, sizeof from, "%s", strstr(key, "from") ? "from " : strstr(key, "to") ? "to " : "");
            snprintf(to, sizeof to, "%s", value);
            value = record_text(x->a, "%s%s", from, to);
        }
        if (!head)
            head = value;
        else
            tail = tail ? record_text(x->a, "%s; %s", tail, value) : value;
    }
    return head && tail ? record_text(x->a, "%s (%s)", head, tail) : head;
}

static form_answer from_rows(const form *x, const char *rest) {
    char list[64], where[64], first[64];
    form_answer out = { NULL, NULL, DOC_FACTS };
    next_word(&rest, list, sizeof list);
    next_word(&rest, where, sizeof where);
    const char *keys = rest;
    next_word(&rest, first, sizeof first);
    bool named = strcmp(first, "name") == 0; /* names alone answer only where nothing else is asked */
    size_t count = x->f ? facts_count(x->f, list) : 0, more = 0;
    for (size_t i = 0; i < count && i < MOST_ROWS; i++) {
        if (!meets(x, list, i, where)) continue;
        const char *line = row_text(x, list, i, keys), *name = named ? form_row_fact(x, list, i, "name") : NULL;
        if (line && (!name || strcmp(line, name) != 0)) more++;
        out.text = form_line(x->a, out.text, line);
    }
    bool details = named && (strstr(keys, " obtained") || strstr(keys, " curation") || strstr(keys, " harmful") ||
                             strstr(keys, " bias") || strstr(keys, " scope"));
    if (details && more == 0) out.text = NULL;
    if (out.text) out.where = record_text(x->a, "%s", list);
    return out;
}

/* 1 there is one, 0 there is none, -1 unknown */
static int any_row(const form *x, const char *list, const char *where) {
    size_t count = x->f ? facts_count(x->f, list) : 0;
    bool complete = false;
    for (size_t i = 0; i < count && i < MOST_ROWS; i++)
        if (meets(x, list, i, where)) return 1;
    return x->f && facts_bool(x->f, "data_policy.sources_complete", &complete) && complete && count ? 0 : -1;
}

static form_answer from_any(const form *x, const char *rest, bool absent) {
    char list[64], where[64];
    next_word(&rest, list, sizeof list);
    next_word(&rest, where, sizeof where);
    int any = any_row(x, list, where);
    const char *text = any < 0 ? NULL : absent ? (any ? NULL : "Not applicable") : any ? "Yes" : "No";
    return (form_answer){ text, any > 0 ? record_text(x->a, "%s", list) : "data_policy.sources_complete", DOC_FACTS };
}

static bool has_modality(const form *x, size_t i, const char *words) {
    char path[64];
    snprintf(path, sizeof path, "data[%zu].modality", i);
    size_t count = facts_count(x->f, path);
    for (size_t k = 0; k < count && k < 16; k++) {
        char item[80];
        snprintf(item, sizeof item, "%s[%zu]", path, k);
        const char *word = facts_text(x->f, item);
        if (!word && count == 1) word = facts_text(x->f, path);
        if (word && one_of(word, words)) return true;
    }
    return false;
}

static form_answer from_modalities(const form *x, const char *rest) {
    static const char *const words[] = { "text", "image", "audio", "video", "code", "table", "other" };
    char list[64], where[64];
    form_answer out = { NULL, "data", DOC_FACTS };
    next_word(&rest, list, sizeof list);
    next_word(&rest, where, sizeof where);
    size_t count = x->f ? facts_count(x->f, list) : 0;
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        for (size_t i = 0; i < count && i < MOST_ROWS; i++) {
            if (!meets(x, list, i, where) || !has_modality(x, i, words[w])) continue;
            out.text = out.text ? record_text(x->a, "%s, %s", out.text, words[w]) : words[w];
            break;
        }
    return out;
}

/* What the facts list; else, of language models, that text goes in and out and how much of it. */
static form_answer from_modality(const form *x, const char *rest) {
    char list[64], words[64], path[80];
    form_answer out = { NULL, NULL, DOC_FACTS };
    next_word(&rest, list, sizeof list);
    next_word(&rest, words, sizeof words);
    snprintf(path, sizeof path, "model.%s", list);
    size_t count = x->f ? facts_count(x->f, path) : 0;
    for (size_t i = 0; i < count && i < 64; i++) {
        const char *word = form_row_fact(x, path, i, "modality"), *most = form_row_fact(x, path, i, "maximum");
        if (!word || !one_of(word, words)) continue;
        const char *named = strchr(words, ',') ? word : "Yes";
        out.text = form_line(x->a, out.text,
                             most ? record_text(x->a, "%s, at most %s", named, most)
                                  : record_text(x->a, "%s, maximum N/A", named));
    }
    if (count && !out.text) out.text = "No";
    if (count) out.where = record_text(x->a, "%s", path);
    const tola_summary *s = &x->r->summary;
    if (!count && s->context && s->tokenizer && strcmp(words, "text") == 0) {
        out.source = DOC_WEIGHTS;
        out.where = "context length";
        out.text = record_text(x->a, "Yes, at most %" PRIu64 " tokens%s", s->context,
                               strcmp(list, "outputs") == 0 ? " with the input" : "");
    }
    return out;
}

/* Ranges of the Commission's template. */
static form_answer from_size(const form *x, const char *words) {
    bool text = strcmp(words, "text") == 0, image = strcmp(words, "image") == 0;
    bool hours = strcmp(words, "audio") == 0 || strcmp(words, "video") == 0;
    form_answer out = { NULL, "data", DOC_FACTS };
    size_t count = x->f ? facts_count(x->f, "data") : 0, rows = 0, known = 0;
    double sum = 0, all;
    for (size_t i = 0; i < count && i < MOST_ROWS; i++) {
        char path[64];
        double value;
        if (!has_modality(x, i, words) && !(text && has_modality(x, i, "code"))) continue;
        rows++;
        snprintf(path, sizeof path, "data[%zu].%s", i, text ? "tokens" : "points");
        if (!facts_number(x->f, path, &value)) continue;
        known++;
        sum += value;
    }
    if (text && x->f && facts_number(x->f, "training.unique_tokens", &all)) {
        sum = all;
        rows = known = 1;
        out.where = "training.unique_tokens";
    }
    bool complete;
    if (!rows && count && facts_bool(x->f, "data_policy.sources_complete", &complete) && complete)
        out.text = "Not applicable";
    if (!rows || known < rows) return out;
    const char *amount = record_figures(x->a, sum, 2);
    const char *range = text    ? (sum < 1e9     ? "Less than 1 billion tokens"
                                   : sum <= 1e13 ? "1 billion to 10 trillion tokens"
                                                 : "More than 10 trillion tokens")
                        : image ? (sum < 1e6    ? "Less than 1 million images"
                                   : sum <= 1e9 ? "1 million to 1 billion images"
                                                : "More than 1 billion images")
                        : hours ? (sum < 1e4    ? "Less than 10,000 hours"
                                   : sum <= 1e6 ? "10,000 to 1 million hours"
                                                : "More than 1 million hours")
                                : NULL;
    if (range && amount)
        out.text = record_text(x->a, "%s (%s %s)", range, amount, text ? "tokens" : image ? "images" : "hours");
    else if (amount)
        out.text = record_text(x->a, "%s data points", amount);
    return out;
}

/* ---- a form ---- */

static tola_status answer_from(const form *x, const yaml_node *place, form_answer *out, tola_error *err) {
    const char *rest, *text;
    char verb[32];
    TRY(yaml_string(place, &text, err));
    rest = text;
    next_word(&rest, verb, sizeof verb);
    while (*rest == ' ') rest++;
    *out = (form_answer){ NULL, NULL, DOC_UNKNOWN };
    if (strcmp(verb, "facts") == 0) {
        if (!facts_row_of(rest)) return yaml_error(place, err, "facts.yaml has no key '%s'", rest);
        *out = (form_answer){ form_fact(x, rest), rest, DOC_FACTS };
    } else if (strcmp(verb, "rows") == 0) {
        *out = from_rows(x, rest);
    } else if (strcmp(verb, "any") == 0 || strcmp(verb, "not") == 0) {
        *out = from_any(x, rest, verb[0] == 'n');
    } else if (strcmp(verb, "modalities") == 0) {
        *out = from_modalities(x, rest);
    } else if (strcmp(verb, "modality") == 0) {
        *out = from_modality(x, rest);
    } else if (strcmp(verb, "size") == 0) {
        *out = from_size(x, rest);
    } else {
        const form_function *f = form_functions;
        while (f->name && (strcmp(f->place, verb) != 0 || strcmp(f->name, rest) != 0)) f++;
        if (!f->name) return yaml_error(place, err, "there is no '%s'", text);
        *out = f->answer(x);
        if (out->source == DOC_UNKNOWN)
            out->source = verb[0] == 'w' ? DOC_WEIGHTS : verb[0] == 'r' ? DOC_RECORDED : DOC_COMPUTED;
    }
    return TOLA_OK;
}

static unsigned recipients_of(const yaml_node *field) {
    const yaml_node *n = yaml_get(field, "for");
    unsigned who = 0;
    if (!n) return 0;
    if (strstr(n->text, "aio")) who |= DOC_AIO;
    if (strstr(n->text, "nca")) who |= DOC_NCA;
    if (strstr(n->text, "dp")) who |= DOC_DP;
    return who;
}

static const char *text_of(const yaml_node *map, const char *key) {
    const yaml_node *n = yaml_get(map, key);
    return n ? n->text : NULL;
}

static const char *keep(arena *a, const char *text) { return text ? arena_strndup(a, text, strlen(text)) : NULL; }

static tola_status fill_field(const form *x, const yaml_node *field, document *out, tola_error *err) {
    const yaml_node *from, *optional = yaml_get(field, "optional"), *extra = yaml_get(field, "extra");
    const char *style = text_of(field, "style");
    doc_item item = { .id = keep(x->a, text_of(field, "id")),
                      .label = keep(x->a, text_of(field, "label")),
                      .ask = keep(x->a, text_of(field, "ask")),
                      .recipients = recipients_of(field),
                      .optional = optional && optional->boolean,
                      .extra = extra && extra->boolean,
                      .prose = style && strcmp(style, "row") != 0,
                      .bare = style && strcmp(style, "text") == 0,
                      .code = style && strcmp(style, "code") == 0 };
    if (!item.id || !item.label) return yaml_error(field, err, "a field needs id and label");
    TRY(yaml_need(field, "from", &from, err));
    for (size_t i = 0; i < from->count && !item.value; i++) {
        form_answer a;
        TRY(answer_from(x, from->items[i], &a, err));
        item.value = a.text && *a.text ? a.text : NULL;
        item.source = a.source;
        item.where = a.text ? keep(x->a, a.where) : NULL;
    }
    return document_add(out, &item, err);
}

static tola_status fill_section(const form *x, const yaml_node *section, document *out, tola_error *err) {
    const yaml_node *fields = yaml_get(section, "fields"), *depth = yaml_get(section, "depth");
    doc_item item = { .section = true,
                      .depth = depth ? (unsigned)depth->magnitude : 1,
                      .label = keep(x->a, text_of(section, "title")) };
    if (!item.label) return yaml_error(section, err, "a section needs a title");
    TRY(document_add(out, &item, err));
    for (size_t i = 0; fields && i < fields->count; i++) TRY(fill_field(x, fields->items[i], out, err));
    return TOLA_OK;
}

tola_status form_fill(const char *name, record *r, const facts *f, int32_t day, document *out, tola_error *err) {
    yaml *y;
    const yaml_node *sections;
    TRY(data_open(name, &y, err));
    form x = { r, f, day, &out->a };
    out->title = keep(&out->a, text_of(yaml_root(y), "title"));
    out->cite = keep(&out->a, text_of(yaml_root(y), "cite"));
    tola_status status = yaml_need(yaml_root(y), "sections", &sections, err);
    for (size_t i = 0; status == TOLA_OK && i < sections->count; i++)
        status = fill_section(&x, sections->items[i], out, err);
    yaml_free(y);
    if (status == TOLA_OK) form_model(r, f, &out->model);
    if (status == TOLA_OK && out->a.limit && !out->title) status = err_nomem(err, "making a document");
    return status;
}
