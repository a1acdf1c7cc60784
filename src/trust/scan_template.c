/* Chat templates: a Jinja program that whoever loads the model renders, often outside of Jinja's sandbox.
 *
 * Only its words are looked at: names and texts in {{ }} and {% %}. A template of weights builds a text from messages;
 * what reaches for Python's insides (names that begin with an underscore), for other files, or builds names out of
 * pieces is told. CVE-2024-34359 is such a template. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "trust/scan.h"

#define MAX_TEMPLATE ((uint64_t)4 << 20)

typedef struct words {
    scan_job *job;
    const scan_part *part;
    const char *where;
    const char *p, *end, *start;
    bool statement; /* in {% %}, and the next name is its tag */
    char last;      /* the last character that counts: '.', '[', '|', or a letter */
} words;

static void tell(const words *w, tola_verdict verdict, const char *at, const char *what, const char *text, size_t n) {
    char quoted[120], where[120] = "";
    if (w->where) snprintf(where, sizeof where, "%.100s: ", w->where);
    scan_find(w->job, w->part, verdict, "template", (uint64_t)(at - w->start), "%s%s '%s'", where, what,
              text_quote(quoted, sizeof quoted, text, n));
}

static bool is_word(const char *text, size_t n, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i]) == n && memcmp(list[i], text, n) == 0) return true;
    return false;
}
#define IN(text, n, list) is_word(text, n, list, sizeof(list) / sizeof *(list))

static void take_name(words *w) {
    static const char *const tags[] = { "include", "import", "extends", "from" };
    static const char *const doors[] = {
        "lipsum", "cycler",     "joiner", "self", "config", "request", "url_for", "environ",  "get_flashed_messages",
        "popen",  "subprocess", "eval",   "exec", "open",   "mro",     "globals", "builtins", "attr"
    };
    const char *from = w->p;
    while (w->p < w->end && (isalnum((uint8_t)*w->p) || *w->p == '_' || (uint8_t)*w->p >= 0x80)) w->p++;
    size_t n = (size_t)(w->p - from);
    if (w->statement) {
        w->statement = false;
        if (IN(from, n, tags)) tell(w, TOLA_UNKNOWN, from, "reads another template:", from, n);
    }
    if (n >= 2 && from[0] == '_' && from[1] == '_')
        tell(w, TOLA_DANGEROUS, from, "reaches for Python's insides:", from, n);
    else if (w->last == '.' && from[0] == '_')
        tell(w, TOLA_DANGEROUS, from, "reaches for a hidden attribute:", from, n);
    else if (IN(from, n, doors)) {
        const char *next = w->p;
        while (next < w->end && isspace((uint8_t)*next)) next++;
        bool key =
            w->last == '.' || w->last == '|' || (next < w->end && (*next == '.' || *next == '(' || *next == '['));
        if (n == 4 && memcmp(from, "attr", 4) == 0 ? w->last == '|' : key && w->last != '.')
            tell(w, TOLA_UNKNOWN, from, "uses", from, n);
        else if (w->last == '.' && (IN(from, n, ((const char *const[]){ "popen", "mro", "environ" }))))
            tell(w, TOLA_DANGEROUS, from, "reaches for", from, n);
    }
    w->last = 'a';
}

/* A text in an expression, its escapes resolved as far as they may hide something. */
static void take_text(words *w) {
    char quote = *w->p, text[512];
    const char *from = w->p++;
    size_t n = 0;
    while (w->p < w->end && *w->p != quote) {
        char c = *w->p++;
        if (c == '\\' && w->p < w->end) {
            c = *w->p++;
            unsigned digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0, v = 0, used = 0;
            if (c >= '0' && c <= '7') {
                for (w->p--; used < 3 && w->p < w->end && *w->p >= '0' && *w->p <= '7'; used++)
                    v = v * 8 + (unsigned)(*w->p++ - '0');
                c = (char)v;
            } else if (digits) {
                for (; used < digits && w->p < w->end && isxdigit((uint8_t)*w->p); used++, w->p++)
                    v = v * 16 + (unsigned)(isdigit((uint8_t)*w->p) ? *w->p - '0' : tolower((uint8_t)*w->p) - 'a' + 10);
                c = v < 128 ? (char)v : '?';
            } else if (c == 'N' && w->p < w->end && *w->p == '{') {
                tell(w, TOLA_UNKNOWN, from, "names a character in", from, (size_t)(w->p - from));
            }
        }
        if (n < sizeof text - 1) text[n++] = c;
    }
    if (w->p < w->end) w->p++;
    text[n] = 0;
    const char *hidden = strstr(text, "__");
    bool letters = hidden && (isalpha((uint8_t)hidden[2]) || (hidden > text && isalpha((uint8_t)hidden[-1])));
    if (hidden && (letters ? hidden == text || !isalnum((uint8_t)hidden[-1]) : w->last == '['))
        tell(w, TOLA_DANGEROUS, from, "names Python's insides:", text, n);
    else if (w->last == '[' && text[0] == '_')
        tell(w, TOLA_DANGEROUS, from, "reaches for a hidden attribute:", text, n);
    w->last = 'a';
}

/* From behind {{ or {% to its end. */
static void take_code(words *w, char closing) {
    w->last = 0;
    while (w->p < w->end) {
        char c = *w->p;
        if (c == closing && w->p + 1 < w->end && w->p[1] == '}') {
            w->p += 2;
            return;
        }
        if (isalpha((uint8_t)c) || c == '_' || (uint8_t)c >= 0x80) {
            take_name(w);
        } else if (c == '\'' || c == '"') {
            take_text(w);
        } else {
            if (!isspace((uint8_t)c) && c != '-' && c != '+') w->last = c;
            if (isdigit((uint8_t)c)) {
                while (w->p < w->end && (isalnum((uint8_t)*w->p) || *w->p == '_')) w->p++;
                continue;
            }
            w->p++;
        }
    }
}

void scan_template_text(scan_job *job, const scan_part *part, const char *where, const char *text, size_t length) {
    words w = { .job = job, .part = part, .where = where, .p = text, .start = text, .end = text + length };
    if (length > MAX_TEMPLATE) {
        tell(&w, TOLA_UNKNOWN, text, "a template that is too large", "", 0);
        return;
    }
    while (w.p + 1 < w.end) {
        if (*w.p != '{') {
            w.p++;
            continue;
        }
        char kind = w.p[1];
        if (kind != '{' && kind != '%' && kind != '#') {
            w.p++;
            continue;
        }
        w.p += 2;
        if (kind == '#') { /* a comment */
            const char *close = w.p;
            while (close + 1 < w.end && !(close[0] == '#' && close[1] == '}')) close++;
            w.p = close + 1 < w.end ? close + 2 : w.end;
            continue;
        }
        w.statement = kind == '%';
        take_code(&w, kind == '{' ? '}' : '%');
    }
}

void scan_template(scan_job *job, const scan_part *part) {
    uint8_t *text = part_load(job, part, MAX_TEMPLATE, "template");
    if (text) scan_template_text(job, part, NULL, (const char *)text, (size_t)part_bytes(part));
    mem_free(text);
}
