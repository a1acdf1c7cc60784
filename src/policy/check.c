/* Reading claims. */
#include "policy/check.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"

void check_free(check_claims *c) {
    if (!c) return;
    arena_free(&c->a);
    mem_free(c->items);
    memset(c, 0, sizeof *c);
}

/* Is that a way to say that nothing is said? */
static bool says_nothing(const char *text) {
    static const char *const words[] = {
        "", "-", "unknown", "[More Information Needed]", "More Information Needed", "N/A", "NOASSERTION", "none"
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) return true;
    return false;
}

static tola_status add(check_claims *c, check_kind kind, const char *name, const char *says, uint64_t line,
                       tola_error *err) {
    if (!says || says_nothing(says)) return TOLA_OK;
    if (c->count == CHECK_MOST_CLAIMS)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d claims", CHECK_MOST_CLAIMS);
    if (!mem_grow(&c->items, &c->cap, c->count + 1, sizeof *c->items)) return err_nomem(err, "reading a document");
    c->items[c->count++] = (check_claim){ kind, name, says, line };
    return TOLA_OK;
}

/* ---- labels ---- */

/* By letters and digits alone, in lower case. */
static bool kind_of(const char *label, check_kind *out) {
    static const struct {
        const char *label;
        check_kind kind;
    } known[] = {
        { "parameters", CHECK_PARAMETERS },
        { "parametercount", CHECK_PARAMETERS },
        { "numberofparameters", CHECK_PARAMETERS },
        { "totalparameters", CHECK_PARAMETERS },
        { "totalmodelsize", CHECK_PARAMETERS },
        { "modelsize", CHECK_PARAMETERS },
        { "activeparameters", CHECK_ACTIVE },
        { "activeparameter", CHECK_ACTIVE },
        { "activatedparameters", CHECK_ACTIVE },
        { "rangeofthetotalmodelsize", CHECK_RANGE },
        { "fingerprint", CHECK_DIGEST },
        { "digest", CHECK_DIGEST },
        { "toladigest", CHECK_DIGEST },
        { "sha256", CHECK_DIGEST },
        { "checksum", CHECK_DIGEST },
        { "hash", CHECK_DIGEST },
        { "modelauthenticity", CHECK_DIGEST },
        { "tensortypes", CHECK_DTYPE },
        { "tensortype", CHECK_DTYPE },
        { "dtype", CHECK_DTYPE },
        { "dtypes", CHECK_DTYPE },
        { "precision", CHECK_DTYPE },
        { "architecture", CHECK_ARCHITECTURE },
        { "modelarchitecture", CHECK_ARCHITECTURE },
        { "modeltype", CHECK_ARCHITECTURE },
        { "context", CHECK_CONTEXT },
        { "contextlength", CHECK_CONTEXT },
        { "contextwindow", CHECK_CONTEXT },
        { "inputmodalitytextanditsmaximumsize", CHECK_CONTEXT },
        { "license", CHECK_LICENCE },
        { "licence", CHECK_LICENCE },
        { "licensecategory", CHECK_LICENCE },
    };
    char word[64];
    size_t n = 0;
    for (; *label && n + 1 < sizeof word; label++)
        if (isalnum((unsigned char)*label)) word[n++] = (char)tolower((unsigned char)*label);
    word[n] = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(word, known[i].label) == 0) {
            *out = known[i].kind;
            return true;
        }
    return false;
}

static tola_status add_labelled(check_claims *c, const char *label, const char *says, uint64_t line, tola_error *err) {
    check_kind kind;
    return label && kind_of(label, &kind) ? add(c, kind, NULL, says, line, err) : TOLA_OK;
}

/* ---- text as it was before Markdown and HTML ---- */

/* Without backslashes, entities, tags, emphasis; <br> is a line end. */
static const char *plain(arena *a, const char *text, size_t length) {
    static const char *const entities[][2] = { { "&lt;", "<" },    { "&gt;", ">" },  { "&amp;", "&" },
                                               { "&quot;", "\"" }, { "&#39;", "'" }, { "&nbsp;", " " } };
    char *out = arena_alloc(a, length + 1);
    size_t n = 0;
    bool tags = true; /* a '>' may still come */
    if (!out) return NULL;
    for (size_t i = 0; i < length;) {
        size_t left = length - i, skip = 0;
        for (size_t k = 0; k < sizeof entities / sizeof *entities && !skip; k++) {
            size_t e = strlen(entities[k][0]);
            if (left < e || memcmp(text + i, entities[k][0], e) != 0) continue;
            out[n++] = entities[k][1][0];
            skip = e;
        }
        bool address = left > 5 && memcmp(text + i, "<http", 5) == 0;
        if (!skip && text[i] == '<' && tags && !address) {
            const char *close = memchr(text + i, '>', left);
            tags = close != NULL;
            if (close) {
                if (left > 3 && strncasecmp(text + i, "<br", 3) == 0) out[n++] = '\n';
                skip = (size_t)(close - (text + i)) + 1;
            }
        }
        if (!skip && text[i] == '\\' && left > 1 && ispunct((unsigned char)text[i + 1])) {
            out[n++] = text[i + 1];
            skip = 2;
        }
        if (!skip && (text[i] == '`' || (text[i] == '*' && left > 1 && text[i + 1] == '*')))
            skip = text[i] == '`' ? 1 : 2;
        if (!skip) {
            out[n++] = text[i] ? text[i] : ' ';
            skip = 1;
        }
        i += skip;
    }
    while (n && isspace((unsigned char)out[n - 1])) n--;
    size_t begin = 0;
    while (begin < n && isspace((unsigned char)out[begin])) begin++;
    out[n] = 0;
    return out + begin;
}

/* ---- Markdown ---- */

typedef struct markdown {
    check_claims *c;
    const char *heading; /* whose text comes next; NULL */
} markdown;

/* "| label | value | ..." */
static tola_status table_row(markdown *m, const char *line, size_t length, uint64_t number, tola_error *err) {
    const char *cells[2];
    size_t lengths[2], n = 0, begin = 1;
    for (size_t i = 1; i < length && n < 2; i++) {
        if (line[i] == '\\') {
            i++;
            continue;
        }
        if (line[i] != '|') continue;
        cells[n] = line + begin;
        lengths[n++] = i - begin;
        begin = i + 1;
    }
    if (n < 2) return TOLA_OK;
    const char *label = plain(&m->c->a, cells[0], lengths[0]), *says = plain(&m->c->a, cells[1], lengths[1]);
    if (!label || !says) return err_nomem(err, "reading a document");
    if (strcmp(says, "*unknown*") == 0) return TOLA_OK;
    return add_labelled(m->c, label, says, number, err);
}

/* "- **Label:** value", "**Label**: value", "Label: value" */
static tola_status labelled_line(markdown *m, const char *line, size_t length, uint64_t number, tola_error *err) {
    size_t i = 0;
    while (i < length && (line[i] == ' ' || line[i] == '-' || line[i] == '+' || line[i] == '*')) i++;
    const char *colon = memchr(line + i, ':', length - i);
    if (!colon || colon - (line + i) > 80) return TOLA_OK;
    const char *label = plain(&m->c->a, line + i, (size_t)(colon - (line + i)));
    const char *says = plain(&m->c->a, colon + 1, (size_t)(line + length - (colon + 1)));
    if (!label || !says) return err_nomem(err, "reading a document");
    return add_labelled(m->c, label, says, number, err);
}

static tola_status markdown_line(markdown *m, const char *line, size_t length, uint64_t number, tola_error *err) {
    while (length && (line[length - 1] == '\r' || line[length - 1] == ' ')) length--;
    if (length == 0) return TOLA_OK;
    if (line[0] == '#') {
        size_t i = 0;
        while (i < length && (line[i] == '#' || line[i] == ' ')) i++;
        m->heading = plain(&m->c->a, line + i, length - i);
        return m->heading ? TOLA_OK : err_nomem(err, "reading a document");
    }
    const char *heading = m->heading;
    if (line[0] != '<') m->heading = NULL; /* a comment below a heading is not its text */
    if (line[0] == '|') return table_row(m, line, length, number, err);
    size_t before = m->c->count;
    TRY(labelled_line(m, line, length, number, err));
    check_kind kind;
    if (!heading || m->c->count != before || line[0] == '<' || !kind_of(heading, &kind)) return TOLA_OK;
    const char *says = plain(&m->c->a, line, length);
    return says ? add(m->c, kind, NULL, says, number, err) : err_nomem(err, "reading a document");
}

static tola_status read_front(check_claims *c, const char *text, size_t length, tola_error *err) {
    yaml *y;
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = yaml_parse("front matter", text, length, &y, &detail);
    if (status != TOLA_OK) {
        if (err) *err = detail;
        return status;
    }
    const yaml_node *id = yaml_get(yaml_root(y), "license");
    if (id && id->kind == YAML_STRING && strcmp(id->text, "other") != 0) {
        const char *own = arena_strndup(&c->a, id->text, strlen(id->text));
        status = own ? add(c, CHECK_LICENCE, NULL, own, id->line + 1, err) : err_nomem(err, "reading a document");
    }
    yaml_free(y);
    return status;
}

static tola_status read_markdown(check_claims *c, const char *text, size_t length, tola_error *err) {
    const char *begin, *end = text + length, *line = text;
    size_t bytes;
    uint64_t number = 1;
    markdown m = { c, NULL };
    if (record_front_matter(text, length, &begin, &bytes)) {
        TRY(read_front(c, begin, bytes, err));
        for (; line < begin + bytes; line++) number += *line == '\n';
    }
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        TRY(markdown_line(&m, line, (size_t)(stop - line), number++, err));
        line = stop + 1;
    }
    return TOLA_OK;
}

/* ---- HTML ---- */

/* The text of the next element `tag` before `end`; false where there is none. */
static bool element(const char **at, const char *end, const char *tag, const char **text, size_t *length) {
    size_t n = strlen(tag);
    for (const char *p = *at; (p = memchr(p, '<', (size_t)(end - p))); p++) {
        if ((size_t)(end - p) < n + 2 || strncasecmp(p + 1, tag, n) != 0 || isalnum((unsigned char)p[n + 1])) continue;
        const char *open = memchr(p, '>', (size_t)(end - p));
        if (!open) return false;
        for (const char *q = ++open; (q = memchr(q, '<', (size_t)(end - q))); q++) {
            if ((size_t)(end - q) < n + 3 || q[1] != '/' || strncasecmp(q + 2, tag, n) != 0) continue;
            *text = open;
            *length = (size_t)(q - open);
            *at = q + n + 2;
            return true;
        }
        return false;
    }
    return false;
}

static tola_status read_html(check_claims *c, const char *text, size_t length, tola_error *err) {
    const char *at = text, *end = text + length, *row, *cell, *counted = text;
    size_t bytes, n;
    uint64_t line = 1;
    while (element(&at, end, "tr", &row, &bytes)) {
        for (; counted < row; counted++) line += *counted == '\n';
        const char *inside = row, *row_end = row + bytes, *label, *says;
        bool head = element(&inside, row_end, "th", &cell, &n);
        if (!head && !element(&inside, row_end, "td", &cell, &n)) continue;
        label = plain(&c->a, cell, n);
        if (!element(&inside, row_end, "td", &cell, &n)) continue;
        says = plain(&c->a, cell, n);
        if (!label || !says) return err_nomem(err, "reading a document");
        TRY(add_labelled(c, label, says, line, err));
    }
    return TOLA_OK;
}

/* ---- JSON ---- */

static const char *string_of(check_claims *c, const tola_value *map, const char *key) {
    const tola_value *v = tola_value_get(map, key);
    if (!v) return NULL;
    if (v->kind == TOLA_VALUE_STRING) return v->as.string.data; /* lives in the arena of the claims */
    if (v->kind == TOLA_VALUE_UINT) return record_text(&c->a, "%" PRIu64, v->as.u64);
    return NULL;
}

static size_t count_of(const tola_value *list) {
    return list && list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0;
}

static bool is(const char *text, const char *other) { return text && strcmp(text, other) == 0; }

static tola_status read_card(check_claims *c, const tola_value *v, tola_error *err) {
    static const struct {
        const char *key;
        check_kind kind;
    } keys[] = { { "digest", CHECK_DIGEST },         { "architecture", CHECK_ARCHITECTURE },
                 { "parameters", CHECK_PARAMETERS }, { "active_parameters", CHECK_ACTIVE },
                 { "dtypes", CHECK_DTYPE },          { "context_length", CHECK_CONTEXT },
                 { "licence", CHECK_LICENCE } };
    const tola_value *model = tola_value_get(v, "model"), *sections = tola_value_get(v, "sections");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        TRY(add(c, keys[i].kind, NULL, string_of(c, model, keys[i].key), 0, err));
    for (size_t s = 0; s < count_of(sections); s++) {
        tola_value section = tola_value_at(sections, s);
        const tola_value *fields = tola_value_get(&section, "fields");
        for (size_t i = 0; i < count_of(fields); i++) {
            tola_value f = tola_value_at(fields, i);
            TRY(add_labelled(c, string_of(c, &f, "label"), string_of(c, &f, "value"), 0, err));
        }
    }
    return TOLA_OK;
}

/* "tola:activeParameters", "parameters", "context_length" and the like. */
static tola_status add_property(check_claims *c, const char *name, const char *value, tola_error *err) {
    if (!name || !value) return TOLA_OK;
    if (strncmp(name, "tola:", 5) == 0) name += 5;
    return add_labelled(c, name, value, 0, err);
}

static tola_status cyclonedx_licences(check_claims *c, const tola_value *component, tola_error *err) {
    const tola_value *list = tola_value_get(component, "licenses");
    if (count_of(list) != 1) return TOLA_OK;
    tola_value item = tola_value_at(list, 0);
    const tola_value *licence = tola_value_get(&item, "license");
    const char *id = string_of(c, licence, "id");
    if (!id) id = string_of(c, licence, "name");
    if (!id) id = string_of(c, &item, "expression");
    return add(c, CHECK_LICENCE, NULL, id, 0, err);
}

static tola_status cyclonedx_file(check_claims *c, const tola_value *file, tola_error *err) {
    const tola_value *hashes = tola_value_get(file, "hashes");
    const char *name = string_of(c, file, "name");
    for (size_t i = 0; name && i < count_of(hashes); i++) {
        tola_value h = tola_value_at(hashes, i);
        if (is(string_of(c, &h, "alg"), "SHA-256")) TRY(add(c, CHECK_FILE, name, string_of(c, &h, "content"), 0, err));
    }
    return TOLA_OK;
}

static tola_status read_cyclonedx(check_claims *c, const tola_value *v, tola_error *err) {
    const tola_value *components = tola_value_get(v, "components");
    c->lists_files = true;
    for (size_t i = 0; i < count_of(components); i++) {
        tola_value part = tola_value_at(components, i);
        if (is(string_of(c, &part, "type"), "file")) TRY(cyclonedx_file(c, &part, err));
        if (!is(string_of(c, &part, "type"), "machine-learning-model") || !tola_value_get(&part, "modelCard")) continue;
        const tola_value *parameters = tola_value_get(tola_value_get(&part, "modelCard"), "modelParameters");
        const tola_value *properties = tola_value_get(&part, "properties"),
                         *files = tola_value_get(&part, "components");
        TRY(add(c, CHECK_ARCHITECTURE, NULL, string_of(c, parameters, "architectureFamily"), 0, err));
        TRY(add(c, CHECK_ARCHITECTURE, NULL, string_of(c, parameters, "modelArchitecture"), 0, err));
        TRY(cyclonedx_licences(c, &part, err));
        for (size_t k = 0; k < count_of(properties); k++) {
            tola_value p = tola_value_at(properties, k);
            TRY(add_property(c, string_of(c, &p, "name"), string_of(c, &p, "value"), err));
        }
        for (size_t k = 0; k < count_of(files); k++) {
            tola_value f = tola_value_at(files, k);
            TRY(cyclonedx_file(c, &f, err));
        }
    }
    return TOLA_OK;
}

/* The expression of the licence that the model was declared to have. */
static const char *spdx_licence(check_claims *c, const tola_value *graph, const char *model) {
    const char *wanted = NULL;
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count_of(graph); i++) {
            tola_value e = tola_value_at(graph, i);
            if (pass == 0 && is(string_of(c, &e, "relationshipType"), "hasDeclaredLicense") &&
                is(string_of(c, &e, "from"), model)) {
                tola_value to = tola_value_at(tola_value_get(&e, "to"), 0);
                wanted = tola_value_str(&to, NULL);
                if (wanted) wanted = arena_strndup(&c->a, wanted, strlen(wanted));
            }
            if (pass == 1 && wanted && is(string_of(c, &e, "spdxId"), wanted)) {
                const char *name = string_of(c, &e, "comment"); /* of a LicenseRef: what it was called */
                return name ? name : string_of(c, &e, "simplelicensing_licenseExpression");
            }
        }
    return NULL;
}

static tola_status spdx_model(check_claims *c, const tola_value *graph, const tola_value *e, tola_error *err) {
    const tola_value *numbers = tola_value_get(e, "ai_hyperparameter"), *types = tola_value_get(e, "ai_typeOfModel");
    for (size_t k = 0; k < count_of(numbers); k++) {
        tola_value n = tola_value_at(numbers, k);
        TRY(add_property(c, string_of(c, &n, "key"), string_of(c, &n, "value"), err));
    }
    for (size_t k = 0; k < count_of(types); k++) {
        tola_value t = tola_value_at(types, k);
        const char *word = tola_value_str(&t, NULL);
        if (word) TRY(add(c, CHECK_ARCHITECTURE, NULL, arena_strndup(&c->a, word, strlen(word)), 0, err));
    }
    const char *id = string_of(c, e, "spdxId");
    return id ? add(c, CHECK_LICENCE, NULL, spdx_licence(c, graph, id), 0, err) : TOLA_OK;
}

static tola_status read_spdx(check_claims *c, const tola_value *v, tola_error *err) {
    const tola_value *graph = tola_value_get(v, "@graph");
    bool model = false;
    c->lists_files = true;
    for (size_t i = 0; i < count_of(graph); i++) {
        tola_value e = tola_value_at(graph, i);
        const char *type = string_of(c, &e, "type");
        if (is(type, "ai_AIPackage") && !model) { /* the first is the subject, later ones are its bases */
            model = true;
            TRY(spdx_model(c, graph, &e, err));
        }
        const tola_value *hashes = is(type, "software_File") ? tola_value_get(&e, "verifiedUsing") : NULL;
        const char *name = string_of(c, &e, "name");
        for (size_t k = 0; name && k < count_of(hashes); k++) {
            tola_value h = tola_value_at(hashes, k);
            if (is(string_of(c, &h, "algorithm"), "sha256"))
                TRY(add(c, CHECK_FILE, name, string_of(c, &h, "hashValue"), 0, err));
        }
    }
    return TOLA_OK;
}

static tola_status read_json(check_claims *c, const char *text, size_t length, tola_error *err) {
    tola_value *v = arena_alloc(&c->a, sizeof *v);
    if (!v) return err_nomem(err, "reading a document");
    TRY(json_parse(text, length, &c->a, v, err));
    const char *schema = tola_value_str(tola_value_get(v, "schema"), "");
    if (strcmp(schema, "tola.card/1") == 0) return read_card(c, v, err);
    if (is(tola_value_str(tola_value_get(v, "bomFormat"), NULL), "CycloneDX")) return read_cyclonedx(c, v, err);
    if (tola_value_get(v, "@graph")) return read_spdx(c, v, err);
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is neither a card of tola's nor CycloneDX nor SPDX 3");
}

tola_status check_read(const char *text, size_t length, check_claims *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    arena_init(&out->a, (size_t)2 << 30);
    const char *first = text, *end = text + length;
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) first += 3;
    while (first < end && isspace((unsigned char)*first)) first++;
    size_t left = (size_t)(end - first);
    bool html =
        left >= 5 && (strncasecmp(first, "<html", 5) == 0 || (left >= 9 && strncasecmp(first, "<!doctype", 9) == 0));
    tola_status status = left && *first == '{' ? read_json(out, first, left, err)
                         : html                ? read_html(out, first, left, err)
                                               : read_markdown(out, first, left, err);
    if (status == TOLA_OK && out->count == 0)
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "says nothing of the weights that can be checked");
    return status;
}
