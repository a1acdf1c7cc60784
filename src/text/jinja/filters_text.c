/* Filters that lay text out: wordwrap (Python's textwrap), pprint (its pprint), urlencode, xmlattr, filesizeformat. */
#include "text/jinja/engine.h"
#include "text/jinja/unicode.h"

#include <math.h>

#define PPRINT_WIDTH 80

/* ---- wordwrap ---- */

/* A text as code points, with where each begins. */
typedef struct points {
    const jstr *s;
    uint32_t *c;
    size_t *at; /* count + 1 */
    size_t count;
} points;

static points points_of(jinja_run *e, const jstr *s) {
    points p = { s, jinja_alloc(e, s->chars + 1, sizeof *p.c), jinja_alloc(e, s->chars + 1, sizeof *p.at), 0 };
    for (size_t at = 0; at < s->length;) {
        p.at[p.count] = at;
        p.c[p.count++] = jstr_next(s, &at);
    }
    p.at[p.count] = s->length;
    return p;
}

static bool is_blank(uint32_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_word(uint32_t c) { return c == '_' || unicode_alnum(c); }
static bool is_letter(uint32_t c) { return is_word(c) && !unicode_is(c, UNICODE_DECIMAL); }
static bool is_punctuated(uint32_t c) { return is_word(c) || (c < 128 && c > 0 && strchr("!\"'&.,?", (int)c)); }

/* Where the dashes at i end, if they stand between words: two or more behind one and before another. 0: they do not. */
static size_t long_dash(const points *p, size_t i) {
    size_t end = i;
    while (end < p->count && p->c[end] == '-') end++;
    return i > 0 && end - i >= 2 && end < p->count && is_punctuated(p->c[i - 1]) && is_word(p->c[end]) ? end : 0;
}

/* Whether a word may be broken behind the hyphen at i: behind and before two letters, which another hyphen may part. */
static bool breaks_behind(const points *p, size_t i) {
    const uint32_t *c = p->c;
    if (c[i] != '-') return false;
    bool letters = i >= 2 && is_letter(c[i - 2]) && is_letter(c[i - 1]);
    bool hyphen = i >= 3 && is_letter(c[i - 3]) && c[i - 2] == '-' && is_letter(c[i - 1]);
    size_t next = i + 2 < p->count && c[i + 2] == '-' ? i + 3 : i + 2;
    return (letters || hyphen) && next < p->count && is_letter(c[i + 1]) && is_letter(c[next]);
}

/* The end of the chunk that begins at i. */
static size_t chunk_end(const points *p, size_t i, bool hyphens) {
    size_t end = i;
    if (is_blank(p->c[i])) {
        while (end < p->count && is_blank(p->c[end])) end++;
        return end;
    }
    if (hyphens && (end = long_dash(p, i)) != 0) return end;
    for (end = i + 1; end < p->count && !is_blank(p->c[end]); end++)
        if (hyphens && breaks_behind(p, end)) return end + 1;
        else if (hyphens && long_dash(p, end)) return end;
    return end;
}

typedef struct chunks {
    size_t *ends; /* each begins where the one before ends */
    size_t count;
} chunks;

static chunks chunks_of(jinja_run *e, const points *p, bool hyphens) {
    chunks c = { jinja_alloc(e, p->count + 1, sizeof *c.ends), 0 };
    for (size_t i = 0; i < p->count; i = c.ends[c.count - 1]) c.ends[c.count++] = chunk_end(p, i, hyphens);
    return c;
}

static bool all_space(const points *p, size_t from, size_t to) {
    while (from < to && unicode_space(p->c[from])) from++;
    return from == to;
}

/* How much of the chunk [from, to), longer than a line, goes where `room` characters are left: up to its last hyphen
 * there, if something else stands before that. */
static size_t cut_of(const points *p, size_t from, size_t to, size_t room, bool hyphens) {
    size_t hyphen = SIZE_MAX;
    if (to - from <= room) return to;
    for (size_t i = from; hyphens && i < from + room; i++)
        if (p->c[i] == '-') hyphen = i;
    bool other = false;
    for (size_t i = from; hyphen != SIZE_MAX && i < hyphen; i++) other = other || p->c[i] != '-';
    return hyphen != SIZE_MAX && hyphen > from && other ? hyphen + 1 : from + room;
}

typedef struct wrapping {
    size_t width;
    bool break_long, hyphens;
    const jstr *between;
} wrapping;

/* A line ends before the chunk that does not fit; white space at its ends is left out, but at the very beginning. What
 * a line holds is one piece of the text, [first, last); `tail` is where the last of its chunks begins. */
static void wrap_line(jinja_run *e, jbuild *b, const jstr *line, const wrapping *w) {
    points p = points_of(e, line);
    chunks c = chunks_of(e, &p, w->hyphens);
    bool lines = false;
    for (size_t n = 0, begin = 0; n < c.count;) {
        if (lines && all_space(&p, begin, c.ends[n])) begin = c.ends[n++];
        size_t first = begin, last = begin, tail = begin;
        bool any = false;
        while (n < c.count && c.ends[n] - first <= w->width) {
            tail = last;
            last = begin = c.ends[n++];
            any = true;
        }
        if (n < c.count && c.ends[n] - begin > w->width && (w->break_long || !any)) {
            tail = last;
            last = begin = w->break_long ? cut_of(&p, begin, c.ends[n], w->width - (last - first), w->hyphens)
                                         : c.ends[n];
            n += last == c.ends[n];
            any = true;
        }
        if (!any) continue;
        bool only = tail == first && first != last;
        if (all_space(&p, tail, last)) last = tail;
        if (only && last == first) continue;
        if (lines) jbuild_add(b, w->between);
        jbuild_cut(b, line, p.at[first], p.at[last]);
        lines = true;
    }
}

jv jinja_wordwrap(jinja_run *e, jv x, const jargs *a) {
    jv v[4];
    jinja_bind_args(e, "wordwrap", a, "width break_long_words wrapstring break_on_hyphens", v);
    int64_t width = jv_given(v[0]) ? jv_need_int(e, v[0], "the width of wordwrap") : 79;
    static const jstr new_line = { "\n", 1, 1, NULL, 0, false, NULL };
    wrapping w = { 0, !jv_given(v[1]) || jv_truth(v[1]), !jv_given(v[3]) || jv_truth(v[3]), &new_line };
    if (jv_given_some(v[2])) w.between = jv_need_str(e, v[2], "the wrapstring of wordwrap");
    if (w.between->safe) jinja_fail(e, TOLA_E_UNSUPPORTED, "wordwrap with a wrapstring that is safe");
    const jstr *s = jv_need_str(e, x, "what is wrapped");
    jv lines = jinja_split_lines(e, s, false);
    if (width <= 0 && lines.as.l->n > 0) jinja_bad(e, "invalid width %lld (must be > 0)", (long long)width);
    w.width = (size_t)width;
    jbuild b;
    jbuild_init(&b, e);
    jinja_charge(e, s->length * 16);
    for (size_t i = 0; i < lines.as.l->n; i++) {
        if (i) jbuild_add(&b, w.between);
        wrap_line(e, &b, lines.as.l->v[i].as.s, &w);
    }
    return jv_str(jstr_safe(e, jbuild_done(&b), false));
}

/* ---- pprint ---- */

/* A tuple of groupby is of a class of its own, which pprint does not know. */
static bool is_group(jv x) { return x.kind == JK_TUPLE && x.sub == 1; }

/* The value with the keys of its dicts in order, as deep as lists, tuples and dicts go. */
static jv sorted_keys(jinja_run *e, jv x) {
    if ((x.kind != JK_LIST && x.kind != JK_TUPLE && x.kind != JK_DICT) || is_group(x)) return x;
    jinja_enter(e);
    jv copy = x.kind == JK_DICT ? jv_dict(e) : x.kind == JK_LIST ? jv_list(e, x.as.l->n) : jv_tuple(e, x.as.l->n);
    copy.mark = x.mark;
    if (x.kind != JK_DICT) {
        for (size_t i = 0; i < x.as.l->n; i++) jv_items(copy)[i] = sorted_keys(e, x.as.l->v[i]);
    } else {
        for (size_t i = 1; i < x.as.d->n; i++)
            if (x.as.d->pairs[i].key.kind != x.as.d->pairs[0].key.kind)
                jinja_fail(e, TOLA_E_UNSUPPORTED, "pprint of a dict whose keys are of several types");
        jv pairs = jinja_sorted_items(e, x);
        for (size_t i = 0; i < pairs.as.l->n; i++) {
            const jv *pair = pairs.as.l->v[i].as.l->v;
            jdict_set(e, copy.as.d, pair[0], sorted_keys(e, pair[1]));
        }
    }
    jinja_leave(e);
    return copy;
}

static const jstr *repr_of(jinja_run *e, jv x) {
    jbuild b;
    jbuild_init(&b, e);
    jv_add_repr(&b, x);
    return jbuild_done(&b);
}

static void new_line(jbuild *b, size_t indent) {
    static const jstr space = { " ", 1, 1, NULL, 0, false, NULL };
    jbuild_text(b, "\n", 0);
    jbuild_repeat(b, &space, indent);
}

static bool fits(const jstr *s, size_t indent, size_t allowance) {
    return s->chars + indent + allowance <= PPRINT_WIDTH;
}

/* A long string as several, one for each line of it, those again parted behind white space. */
static void print_string(jinja_run *e, jbuild *b, const jstr *s, size_t indent, size_t allowance, bool top) {
    jvec parts = { 0 };
    if (top) indent++, allowance++;
    jv lines = jinja_split_lines(e, s, true);
    for (size_t i = 0; i < lines.as.l->n; i++) {
        const jstr *line = lines.as.l->v[i].as.s;
        bool last = i + 1 == lines.as.l->n;
        const jstr *rep = repr_of(e, jv_str(line));
        if (fits(rep, indent, last ? allowance : 0)) {
            jvec_push(e, &parts, jv_str(rep));
            continue;
        }
        points p = points_of(e, line);
        size_t from = 0, to = 0;
        for (size_t at = 0; at < p.count; to = at) {
            while (at < p.count && !unicode_space(p.c[at])) at++;
            while (at < p.count && unicode_space(p.c[at])) at++;
            rep = repr_of(e, jv_str(jstr_cut(e, line, p.at[from], p.at[at])));
            if (fits(rep, indent, last && at == p.count ? allowance : 0)) continue;
            if (to > from) jvec_push(e, &parts, jv_str(repr_of(e, jv_str(jstr_cut(e, line, p.at[from], p.at[to])))));
            from = to;
        }
        jvec_push(e, &parts, jv_str(repr_of(e, jv_str(jstr_cut(e, line, p.at[from], line->length)))));
    }
    bool several = top && parts.n > 1;
    if (several) jbuild_text(b, "(", 0);
    for (size_t i = 0; i < parts.n; i++) {
        if (i) new_line(b, indent);
        jbuild_add(b, parts.v[i].as.s);
    }
    if (several) jbuild_text(b, ")", 0);
}

/* In one line where it fits between `indent` columns and `allowance` that are taken at the end, else an item a line. */
static void print_value(jinja_run *e, jbuild *b, jv x, size_t indent, size_t allowance, bool top) {
    jinja_enter(e);
    const jstr *rep = repr_of(e, x);
    bool list = x.kind == JK_LIST || (x.kind == JK_TUPLE && !is_group(x));
    bool string = x.kind == JK_STRING && !x.as.s->safe;
    size_t n = list ? x.as.l->n : x.kind == JK_DICT ? x.as.d->n : 0;
    if (fits(rep, indent, allowance) || (n == 0 && !string)) {
        jbuild_add(b, rep);
    } else if (string) {
        print_string(e, b, x.as.s, indent, allowance, top);
    } else {
        const char *end = x.kind == JK_LIST ? "]" : x.kind == JK_DICT ? "}" : n == 1 ? ",)" : ")";
        jbuild_text(b, x.kind == JK_LIST ? "[" : x.kind == JK_DICT ? "{" : "(", x.mark);
        for (size_t i = 0; i < n; i++) {
            size_t at = indent + 1, taken = i + 1 == n ? allowance + strlen(end) : 1;
            if (i) jbuild_text(b, ",", x.mark), new_line(b, at);
            if (!list) {
                const jstr *key = repr_of(e, x.as.d->pairs[i].key);
                jbuild_add(b, key);
                jbuild_text(b, ": ", x.mark);
                at += key->chars + 2;
            }
            print_value(e, b, list ? x.as.l->v[i] : x.as.d->pairs[i].value, at, taken, false);
        }
        jbuild_text(b, end, x.mark);
    }
    jinja_leave(e);
}

jv jinja_pprint(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "pprint", a, "", NULL);
    jbuild b;
    jbuild_init(&b, e);
    print_value(e, &b, sorted_keys(e, x), 0, 0, true);
    return jv_str(jbuild_done(&b));
}

/* ---- urlencode ---- */

/* Bytes but letters, digits, _.-~ and those in `safe` as %XX; in a query, a blank is a plus. */
static void quote(jinja_run *e, jbuild *b, jv x, bool query) {
    static const char hex[] = "0123456789ABCDEF";
    const jstr *s = jv_to_str(e, x);
    jinja_charge(e, s->length * 3);
    for (size_t i = 0; i < s->length; i++) {
        uint8_t c = (uint8_t)s->data[i];
        char text[] = { '%', hex[c >> 4], hex[c & 15] };
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr(query ? "_.-~" : "_.-~/", c));
        if (query && c == ' ') jbuild_bytes(b, "+", 1, jstr_mark(s, i));
        else jbuild_bytes(b, plain ? s->data + i : text, plain ? 1 : 3, jstr_mark(s, i));
    }
}

jv jinja_urlencode(jinja_run *e, jv x, const jargs *a) {
    jiter it;
    jbuild b;
    jinja_bind_args(e, "urlencode", a, "", NULL);
    jbuild_init(&b, e);
    if (x.kind == JK_DICT) x = (jv){ .kind = JK_VIEW, .sub = 2, .mark = x.mark, .as.d = x.as.d };
    if (x.kind == JK_STRING || !jiter_begin(e, x, &it)) {
        quote(e, &b, x, false);
        return jv_str(jbuild_done(&b));
    }
    jv item;
    for (bool first = true; jiter_next(e, &it, &item); first = false) {
        jv pair = jv_listed(e, item);
        if (pair.as.l->n != 2)
            jinja_bad(e, pair.as.l->n < 2 ? "not enough values to unpack (expected 2)"
                                          : "too many values to unpack (expected 2)");
        if (!first) jbuild_text(&b, "&", 0);
        quote(e, &b, pair.as.l->v[0], true);
        jbuild_text(&b, "=", 0);
        quote(e, &b, pair.as.l->v[1], true);
    }
    return jv_str(jbuild_done(&b));
}

/* ---- xmlattr ---- */

jv jinja_xmlattr(jinja_run *e, jv x, const jargs *a) {
    jv space;
    jinja_bind_args(e, "xmlattr", a, "autospace", &space);
    jv_need_defined(e, x);
    if (x.kind != JK_DICT) jinja_bad(e, "'%s' object has no attribute 'items'", jv_type(x));
    jbuild b;
    jbuild_init(&b, e);
    for (size_t i = 0; i < x.as.d->n; i++) {
        const jpair *p = &x.as.d->pairs[i];
        if (p->value.kind == JK_NONE || p->value.kind == JK_UNDEFINED) continue;
        const jstr *key = jv_need_str(e, p->key, "a name of xmlattr");
        for (size_t c = 0; c < key->length; c++)
            if (is_blank((uint8_t)key->data[c]) || key->data[c] == '/' || key->data[c] == '>' || key->data[c] == '=')
                jinja_bad(e, "Invalid character in attribute name");
        if (b.length || !jv_given(space) || jv_truth(space)) jbuild_text(&b, " ", 0);
        jbuild_add(&b, jinja_escape_html(e, p->key));
        jbuild_text(&b, "=\"", 0);
        jbuild_add(&b, jinja_escape_html(e, p->value));
        jbuild_text(&b, "\"", 0);
    }
    return jv_str(jstr_safe(e, jbuild_done(&b), false));
}

/* ---- filesizeformat ---- */

/* "%.1f" of Python's. */
static jv size_text(jinja_run *e, double x, const char *unit, uint8_t mark) {
    char format[16] = "%.1f ";
    jv number = jv_float(x);
    number.mark = mark;
    memcpy(format + 5, unit, strlen(unit) + 1);
    return jinja_percent(e, jstr_copy(e, format, strlen(format), 0), number);
}

jv jinja_filesizeformat(jinja_run *e, jv x, const jargs *a) {
    static const char units[] = "kMGTPEZY";
    jv v;
    double bytes = 0;
    jinja_bind_args(e, "filesizeformat", a, "binary", &v);
    bool binary = jv_given(v) && jv_truth(v);
    jv_need_defined(e, x);
    if (x.kind == JK_BIG) jinja_big(e);
    if (jv_number(x)) bytes = jv_double(x);
    else if (x.kind != JK_STRING)
        jinja_bad(e, "float() argument must be a string or a real number, not '%s'", jv_type(x));
    else if (!jinja_parse_float(e, x.as.s, &bytes)) jinja_bad(e, "could not convert string to float");
    uint8_t mark = jinja_number_mark(x);
    const double base = binary ? 1024 : 1000;
    jbuild b;
    jbuild_init(&b, e);
    if (bytes < base) {
        if (!(bytes > -0x1p63)) {
            if (isinf(bytes)) jinja_bad(e, "cannot convert float infinity to integer");
            jinja_big(e);
        }
        jv whole = jv_int((int64_t)bytes);
        whole.mark = mark;
        jv_add_str(&b, whole);
        jbuild_text(&b, bytes == 1 ? " Byte" : " Bytes", 0);
        return jv_str(jbuild_done(&b));
    }
    char unit[] = { 0, 'i', 'B', 0 };
    long double limit = base; /* 1000^9 and 1024^9 are exact in 64 bits of mantissa */
    size_t i = 0;
    for (limit *= base; i < 7 && !((long double)bytes < limit); i++) limit *= base;
    unit[0] = units[i];
    if (binary && i == 0) unit[0] = 'K';
    if (!binary) memcpy(unit + 1, "B", 2);
    return size_text(e, base * bytes / (double)limit, unit, mark);
}
