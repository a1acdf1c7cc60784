#include "policy/document.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include <tola/json.h>

static const char *source_name(doc_source source) {
    static const char *const names[] = { "unknown", "weights", "facts", "recorded", "computed" };
    return (unsigned)source < sizeof names / sizeof *names ? names[source] : "unknown";
}

void document_init(document *d) {
    memset(d, 0, sizeof *d);
    arena_init(&d->a, (size_t)1 << 30);
}

void document_free(document *d) {
    if (!d) return;
    arena_free(&d->a);
    mem_free(d->items);
    memset(d, 0, sizeof *d);
}

tola_status document_add(document *d, const doc_item *item, tola_error *err) {
    if (!mem_grow(&d->items, &d->cap, d->count + 1, sizeof *d->items)) return err_nomem(err, "making a document");
    d->items[d->count] = *item;
    if (!item->section && (!item->value || !*item->value)) {
        d->items[d->count].value = NULL;
        d->items[d->count].source = DOC_UNKNOWN;
    }
    d->count++;
    return TOLA_OK;
}

void document_count(const document *d, size_t *fields, size_t *unknown) {
    *fields = *unknown = 0;
    for (size_t i = 0; i < d->count; i++) {
        const doc_item *f = &d->items[i];
        if (f->section || f->extra || (f->optional && !f->value)) continue;
        ++*fields;
        *unknown += f->value == NULL;
    }
}

static tola_status written(const buf *out, tola_error *err) {
    return out->failed ? err_nomem(err, "writing a document") : TOLA_OK;
}

static void put(buf *out, const char *text) { buf_append(out, text, strlen(text)); }

/* ---- characters ---- */

/* One character of UTF-8 at `text`, its length in `bytes`; what is none is U+FFFD of one byte. */
static uint32_t character(const char *text, size_t *bytes) {
    const unsigned char *s = (const unsigned char *)text;
    static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc0 ? 2 : 0;
    uint32_t c = n == 1 ? *s : n ? *s & (0xffu >> (n + 1)) : 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) { /* the end of the text, too */
            n = 0;
            break;
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    *bytes = n ? n : 1;
    return n == 0 || c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c;
}

/* Control characters, and those that make text run backwards or hide it: shown as U+FFFD. */
static bool invisible(uint32_t c) {
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xfffe || c == 0xffff ||
           (c >= 0xe0000 && c <= 0xe007f);
}

/* Length of the address "http(s)://..." that begins here, of characters that end no syntax; 0 where there is none. */
static size_t address(const char *text) {
    size_t n = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0, begin = n;
    if (!n) return 0;
    while (text[n] && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/?#=%+@:&;,", text[n]))
        n++;
    while (n > begin && strchr(".,;:?", text[n - 1])) n--;
    return n > begin ? n : 0;
}

/* ---- Markdown ---- */

void markdown_text(buf *out, const char *text, bool cell) {
    bool line_start = true;
    for (size_t n; *text; text += n) {
        size_t link = address(text);
        if (link) {
            buf_u8(out, '<');
            buf_append(out, text, link);
            buf_u8(out, '>');
            n = link;
            line_start = false;
            continue;
        }
        uint32_t c = character(text, &n);
        if (c == '\r') continue;
        if (c == '\n') {
            put(out, cell ? "<br>" : "  \n");
            line_start = true;
            continue;
        }
        if (c == '\t') c = ' ';
        if (line_start && c == ' ') continue; /* four of them would be a block of code */
        bool digits = line_start && c >= '0' && c <= '9';
        if (c == 0xfffd || invisible(c))
            put(out, "\xef\xbf\xbd");
        else if (c < 0x80 && strchr("\\`*_{}[]<>#|!~$&", (int)c))
            buf_printf(out, c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : "\\%c", (int)c);
        else if (line_start && (c == '-' || c == '+' || c == '=' || c == ':'))
            buf_printf(out, "\\%c", (int)c);
        else if (c < 0x80)
            buf_u8(out, (uint8_t)c);
        else
            buf_append(out, text, n);
        if (digits) { /* "1." and "1)" begin a list */
            size_t more = strspn(text + n, "0123456789");
            buf_append(out, text + n, more);
            n += more;
            if ((text[n] == '.' || text[n] == ')') && (!text[n + 1] || strchr(" \t\n", text[n + 1]))) {
                buf_printf(out, "\\%c", text[n]);
                n++;
            }
        }
        line_start = false;
    }
}

static void recipients(buf *out, unsigned who) {
    static const char *const names[] = { "AIO", "NCA", "DP" };
    bool more = false;
    for (unsigned i = 0; i < 3; i++) {
        if (!(who & 1u << i)) continue;
        if (more) put(out, ", ");
        put(out, names[i]);
        more = true;
    }
}

static void markdown_source(buf *out, const doc_item *f) {
    put(out, source_name(f->source));
    if (!f->where) return;
    put(out, ": ");
    markdown_text(out, f->where, true);
}

static bool in_table(const doc_item *f) { return !f->section && !f->prose; }

static bool shown(const doc_item *f) { return f->value || !f->optional; }

/* A section of a card in which nothing would be. */
static bool empty(const document *d, size_t i) {
    for (size_t k = i + 1; k < d->count; k++) {
        if (d->items[k].section && d->items[k].depth <= d->items[i].depth) break;
        if (!d->items[k].section && shown(&d->items[k])) return false;
    }
    return true;
}

/* A field of a card: "- **Label:** value", or a heading and its text. */
static void markdown_field(buf *out, const doc_item *f, unsigned depth) {
    if (!f->prose) {
        put(out, "- **");
        put(out, f->label);
        put(out, ":** ");
        if (f->value)
            markdown_text(out, f->value, true);
        else
            put(out, "[More Information Needed]");
        put(out, "\n");
        return;
    }
    put(out, "\n");
    for (unsigned i = 0; i < depth && !f->bare; i++) buf_u8(out, '#');
    if (!f->bare) {
        buf_u8(out, ' ');
        put(out, f->label);
        put(out, "\n\n");
    }
    if (f->ask && !f->value) {
        put(out, "<!-- ");
        html_text(out, f->ask); /* "-->" cannot be in it */
        put(out, " -->\n\n");
    }
    if (f->value && f->code) { /* a fence longer than any inside */
        size_t longest = 2;
        for (const char *p = f->value; *p;) {
            size_t run = strspn(p, "`");
            if (run > longest) longest = run;
            p += run ? run : 1;
        }
        for (size_t i = 0; i <= longest; i++) buf_u8(out, '`');
        put(out, "\n");
        for (size_t n, i = 0; f->value[i]; i += n) {
            uint32_t c = character(f->value + i, &n);
            if (c == 0xfffd || invisible(c))
                put(out, "\xef\xbf\xbd");
            else
                buf_append(out, f->value + i, n);
        }
        put(out, "\n");
        for (size_t i = 0; i <= longest; i++) buf_u8(out, '`');
        put(out, "\n");
    } else if (f->value) {
        markdown_text(out, f->value, false);
        put(out, "\n");
    } else {
        put(out, "[More Information Needed]\n");
    }
}

static void markdown_row(buf *out, const doc_item *f, bool flags) {
    put(out, "| ");
    put(out, f->label);
    put(out, " | ");
    if (f->value)
        markdown_text(out, f->value, true);
    else if (f->optional)
        put(out, "-");
    else
        put(out, "*unknown*");
    put(out, " | ");
    if (f->value) markdown_source(out, f);
    put(out, " |");
    if (flags) {
        buf_u8(out, ' ');
        recipients(out, f->recipients);
        put(out, " |");
    }
    put(out, "\n");
}

static void markdown_end(buf *out, const document *d) {
    size_t fields, unknown;
    document_count(d, &fields, &unknown);
    buf_printf(out, "\n---\n\n%zu of %zu fields unknown.\n", unknown, fields);
    if (d->cite) {
        put(out, "\n");
        markdown_text(out, d->cite, false);
        put(out, "\n");
    }
}

tola_status document_markdown(const document *d, buf *out, tola_error *err) {
    bool card = d->front != NULL, flags = strcmp(d->kind, "eu") == 0, rows = false;
    unsigned depth = 1;
    if (d->front) {
        put(out, d->front);
        put(out, "\n");
    }
    put(out, "# ");
    markdown_text(out, d->title, true);
    put(out, "\n");
    for (size_t i = 0; i < d->count; i++) {
        const doc_item *f = &d->items[i];
        if (f->section) {
            if (card && empty(d, i)) continue;
            depth = f->depth + 1;
            put(out, "\n");
            for (unsigned k = 0; k < depth; k++) buf_u8(out, '#');
            buf_u8(out, ' ');
            put(out, f->label);
            put(out, "\n");
            if (f->ask) {
                put(out, "\n");
                markdown_text(out, f->ask, false);
                put(out, "\n");
            }
            rows = false;
            continue;
        }
        if (card) {
            if (!shown(f)) continue;
            if (in_table(f) && !rows) put(out, "\n");
            rows = in_table(f);
            markdown_field(out, f, depth + 1);
            continue;
        }
        if (i == 0 || d->items[i - 1].section)
            put(out, flags ? "\n| Item | Answer | Source | For |\n|---|---|---|---|\n"
                           : "\n| Item | Answer | Source |\n|---|---|---|\n");
        markdown_row(out, f, flags);
    }
    markdown_end(out, d);
    return written(out, err);
}

/* ---- HTML ---- */

void html_text(buf *out, const char *text) {
    for (size_t n; *text; text += n) {
        uint32_t c = character(text, &n);
        const char *entity = c == '<'    ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '&'  ? "&amp;"
                             : c == '"'  ? "&quot;"
                             : c == '\'' ? "&#39;"
                                         : NULL;
        if (c == 0xfffd || invisible(c))
            put(out, "\xef\xbf\xbd");
        else if (entity)
            put(out, entity);
        else
            buf_append(out, text, n);
    }
}

/* With links, and lines as lines. */
static void html_value(buf *out, const char *text) {
    while (*text) {
        size_t link = address(text), n = link;
        if (link) {
            buf part;
            buf_init(&part, 1u << 20);
            buf_append(&part, text, link);
            buf_u8(&part, 0);
            if (part.failed) {
                out->failed = true;
            } else {
                put(out, "<a rel=\"noopener noreferrer nofollow\" href=\"");
                html_text(out, (const char *)part.data);
                put(out, "\">");
                html_text(out, (const char *)part.data);
                put(out, "</a>");
            }
            buf_free(&part);
            text += n;
            continue;
        }
        if (*text == '\n') {
            put(out, "<br>");
            text++;
            continue;
        }
        char one[5] = { 0 };
        (void)character(text, &n);
        memcpy(one, text, n);
        html_text(out, one);
        text += n;
    }
}

static const char style[] =
    ":root{color-scheme:light dark;--line:#d0d0d0;--soft:#666;--miss:#a40000}\n"
    "@media(prefers-color-scheme:dark){:root{--line:#444;--soft:#aaa;--miss:#ff9a8a}}\n"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\n"
    "table{border-collapse:collapse;width:100%}th,td{border:1px solid var(--line);padding:.4rem .6rem;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}\n"
    "th{width:28%;font-weight:600}td.s,td.r{color:var(--soft);font-size:.85em;width:12%}\n"
    ".unknown{color:var(--miss);font-style:italic}p.ask,.cite{color:var(--soft)}\n"
    "pre{white-space:pre-wrap}@media print{body{max-width:none;margin:0;font-size:10.5pt}tr{break-inside:avoid}}\n";

static void html_row(buf *out, const doc_item *f, bool flags) {
    put(out, "<tr><th scope=\"row\"");
    if (f->ask) {
        put(out, " title=\"");
        html_text(out, f->ask);
        put(out, "\"");
    }
    put(out, ">");
    html_text(out, f->label);
    put(out, "</th><td>");
    if (f->value) {
        if (f->code) put(out, "<pre>");
        html_value(out, f->value);
        if (f->code) put(out, "</pre>");
    } else {
        put(out, f->optional ? "-" : "<span class=\"unknown\">unknown</span>");
    }
    put(out, "</td><td class=\"s\">");
    if (f->value) {
        put(out, source_name(f->source));
        if (f->where) {
            put(out, ": ");
            html_text(out, f->where);
        }
    }
    put(out, "</td>");
    if (flags) {
        put(out, "<td class=\"r\">");
        recipients(out, f->recipients);
        put(out, "</td>");
    }
    put(out, "</tr>\n");
}

tola_status document_html(const document *d, buf *out, tola_error *err) {
    bool flags = strcmp(d->kind, "eu") == 0, open = false;
    size_t fields, unknown;
    document_count(d, &fields, &unknown);
    put(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
             "<meta name=\"viewport\" content=\"width=device-width\"><title>");
    html_text(out, d->title);
    put(out, "</title>\n<style>\n");
    put(out, style);
    put(out, "</style></head><body>\n<h1>");
    html_text(out, d->title);
    put(out, "</h1>\n");
    for (size_t i = 0; i < d->count; i++) {
        const doc_item *f = &d->items[i];
        if (!f->section) {
            if (!open) put(out, "<table>\n");
            open = true;
            html_row(out, f, flags);
            continue;
        }
        if (open) put(out, "</table>\n");
        open = false;
        unsigned depth = f->depth + 1 > 6 ? 6 : f->depth + 1;
        buf_printf(out, "<h%u>", depth);
        html_text(out, f->label);
        buf_printf(out, "</h%u>\n", depth);
        if (f->ask) {
            put(out, "<p class=\"ask\">");
            html_text(out, f->ask);
            put(out, "</p>\n");
        }
    }
    if (open) put(out, "</table>\n");
    buf_printf(out, "<p>%zu of %zu fields unknown.</p>\n", unknown, fields);
    if (d->cite) {
        put(out, "<p class=\"cite\">");
        html_value(out, d->cite);
        put(out, "</p>\n");
    }
    put(out, "</body></html>\n");
    return written(out, err);
}

/* ---- JSON ---- */

static void member(tola_json *j, const char *key, const char *text) {
    tola_json_key(j, key);
    if (text)
        tola_json_string(j, text);
    else
        tola_json_null(j);
}

static void count(tola_json *j, const char *key, uint64_t value) {
    tola_json_key(j, key);
    if (value)
        tola_json_u64(j, value);
    else
        tola_json_null(j);
}

static void json_model(tola_json *j, const doc_model *m) {
    tola_json_key(j, "model");
    tola_json_begin_object(j);
    member(j, "name", m->name);
    member(j, "digest", m->digest);
    member(j, "architecture", m->architecture);
    count(j, "parameters", m->parameters);
    count(j, "active_parameters", m->active);
    member(j, "dtypes", m->dtypes);
    count(j, "context_length", m->context);
    member(j, "licence", m->licence);
    tola_json_end_object(j);
}

static void json_field(tola_json *j, const doc_item *f, bool flags) {
    tola_json_begin_object(j);
    member(j, "id", f->id);
    member(j, "label", f->label);
    member(j, "value", f->value);
    member(j, "source", source_name(f->source));
    member(j, "where", f->where);
    if (!f->value || f->ask) member(j, "question", f->ask ? f->ask : f->label);
    if (flags) {
        static const char *const names[] = { "AIO", "NCA", "DP" };
        tola_json_key(j, "recipients");
        tola_json_begin_array(j);
        for (unsigned k = 0; k < 3; k++)
            if (f->recipients & 1u << k) tola_json_string(j, names[k]);
        tola_json_end_array(j);
    }
    if (f->optional) {
        tola_json_key(j, "optional");
        tola_json_bool(j, true);
    }
    tola_json_end_object(j);
}

tola_status document_json(const document *d, buf *out, tola_error *err) {
    tola_json j;
    size_t fields, unknown;
    bool flags = strcmp(d->kind, "eu") == 0, open = false;
    document_count(d, &fields, &unknown);
    tola_json_init(&j, json_to_buf, out, 2);
    tola_json_begin_object(&j);
    member(&j, "schema", "tola.card/1");
    member(&j, "kind", d->kind);
    member(&j, "title", d->title);
    member(&j, "form", d->cite);
    tola_json_key(&j, "fields");
    tola_json_u64(&j, fields);
    tola_json_key(&j, "unknown");
    tola_json_u64(&j, unknown);
    json_model(&j, &d->model);
    if (d->front) member(&j, "front_matter", d->front);
    tola_json_key(&j, "sections");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < d->count; i++) {
        const doc_item *f = &d->items[i];
        if (f->section || !open) {
            if (open) {
                tola_json_end_array(&j);
                tola_json_end_object(&j);
            }
            tola_json_begin_object(&j);
            member(&j, "title", f->section ? f->label : d->title);
            tola_json_key(&j, "depth");
            tola_json_u64(&j, f->section ? f->depth : 1);
            tola_json_key(&j, "fields");
            tola_json_begin_array(&j);
            open = true;
        }
        if (!f->section) json_field(&j, f, flags);
    }
    if (open) {
        tola_json_end_array(&j);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    if (!tola_json_finish(&j)) return err_nomem(err, "writing a document");
    buf_append(out, "\n", 1);
    return written(out, err);
}

/* ---- YAML ---- */

/* Words that some reader takes for something else than text: YAML 1.1's booleans and nulls, numbers, dates. */
static bool plain(const char *text) {
    static const char *const words[] = { "y",   "n",    "yes", "no",  "true", "false", "on",
                                         "off", "null", "nan", "inf", "none", "nil",   "undefined" };
    bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
    if (!letter || strlen(text) > 200) return false;
    for (const char *p = text; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/+", *p)) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t k = 0;
        while (words[i][k] && (text[k] | 0x20) == words[i][k]) k++;
        if (!words[i][k] && !text[k]) return false;
    }
    return text[strlen(text) - 1] != '.';
}

void yaml_text(buf *out, const char *text) {
    if (plain(text)) {
        put(out, text);
        return;
    }
    buf_u8(out, '"');
    for (size_t n; *text; text += n) {
        uint32_t c = character(text, &n);
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", (int)c);
        else if (c == '\n')
            put(out, "\\n");
        else if (c == '\t')
            put(out, "\\t");
        else if (c == 0xfffd)
            put(out, "\xef\xbf\xbd");
        else if (invisible(c))
            buf_printf(out, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
        else
            buf_append(out, text, n);
    }
    buf_u8(out, '"');
}
