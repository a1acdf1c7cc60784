/* Methods of str, dict, list and tuple, as Python has them. What would change a list or dict is hidden, as the sandbox
 * hides it: the attribute is there, and calling it is an error. */
#include "text/jinja/engine.h"
#include "text/jinja/unicode.h"

#include <stdlib.h>

/* ---- white space and characters ---- */

static size_t previous(const jstr *s, size_t at) {
    do at--;
    while (at > 0 && ((unsigned char)s->data[at] & 0xc0) == 0x80);
    return at;
}

static bool among(uint32_t c, const jstr *chars) {
    for (size_t at = 0; at < chars->length;)
        if (jstr_next(chars, &at) == c) return true;
    return false;
}

const jstr *jinja_strip(jinja_run *e, const jstr *s, const jstr *chars, bool left, bool right) {
    size_t from = 0, to = s->length;
    while (left && from < to) {
        size_t next = from;
        uint32_t c = jstr_next(s, &next);
        if (!(chars ? among(c, chars) : unicode_space(c))) break;
        if (chars) jinja_charge(e, chars->length);
        from = next;
    }
    while (right && from < to) {
        size_t last = previous(s, to), next = last;
        uint32_t c = jstr_next(s, &next);
        if (!(chars ? among(c, chars) : unicode_space(c))) break;
        if (chars) jinja_charge(e, chars->length);
        to = last;
    }
    jinja_charge(e, (s->length - (to - from)) * 4);
    return jstr_cut(e, s, from, to);
}

/* ---- case ---- */

/* Σ at [from, to) ends a word: a letter before it, none behind, what is ignorable passed over. */
static bool final_sigma(jinja_run *e, const jstr *s, size_t from, size_t to) {
    bool before = false;
    for (size_t at = from; at > 0;) {
        at = previous(s, at);
        size_t next = at;
        uint32_t c = jstr_next(s, &next);
        jinja_charge(e, 0);
        if (unicode_is(c, UNICODE_IGNORABLE)) continue;
        before = unicode_cased(c);
        break;
    }
    if (!before) return false;
    for (size_t at = to; at < s->length;) {
        uint32_t c = jstr_next(s, &at);
        jinja_charge(e, 0);
        if (!unicode_is(c, UNICODE_IGNORABLE)) return !unicode_cased(c);
    }
    return true;
}

static void convert_char(jbuild *b, const jstr *s, size_t from, size_t to, uint32_t c, int how) {
    uint32_t out[3];
    size_t n = unicode_convert(c, (unicode_case)how, out);
    if (how == UNICODE_TO_LOWER && c == 0x3a3) {
        out[0] = final_sigma(b->e, s, from, to) ? 0x3c2 : 0x3c3;
        n = 1;
    }
    if (n == 1 && out[0] == c) jbuild_cut(b, s, from, to);
    else
        for (size_t i = 0; i < n; i++) jbuild_char(b, out[i], jstr_mark(s, from));
}

const jstr *jinja_convert(jinja_run *e, const jstr *s, int to) {
    jbuild b;
    jbuild_init(&b, e);
    for (size_t at = 0; at < s->length;) {
        size_t from = at;
        uint32_t c = jstr_next(s, &at);
        convert_char(&b, s, from, at, c, to);
    }
    return jstr_safe(e, jbuild_done(&b), s->safe);
}

const jstr *jinja_capitalize(jinja_run *e, const jstr *s) {
    jbuild b;
    jbuild_init(&b, e);
    for (size_t at = 0; at < s->length;) {
        size_t from = at;
        uint32_t c = jstr_next(s, &at);
        convert_char(&b, s, from, at, c, from == 0 ? UNICODE_TO_TITLE : UNICODE_TO_LOWER);
    }
    return jstr_safe(e, jbuild_done(&b), s->safe);
}

static const jstr *title(jinja_run *e, const jstr *s) {
    jbuild b;
    jbuild_init(&b, e);
    bool in_word = false;
    for (size_t at = 0; at < s->length;) {
        size_t from = at;
        uint32_t c = jstr_next(s, &at);
        convert_char(&b, s, from, at, c, in_word ? UNICODE_TO_LOWER : UNICODE_TO_TITLE);
        in_word = unicode_cased(c);
    }
    return jstr_safe(e, jbuild_done(&b), s->safe);
}

static const jstr *swapcase(jinja_run *e, const jstr *s) {
    jbuild b;
    jbuild_init(&b, e);
    for (size_t at = 0; at < s->length;) {
        size_t from = at;
        uint32_t c = jstr_next(s, &at);
        bool upper = unicode_is(c, UNICODE_UPPER);
        if (upper || unicode_is(c, UNICODE_LOWER))
            convert_char(&b, s, from, at, c, upper ? UNICODE_TO_LOWER : UNICODE_TO_UPPER);
        else jbuild_cut(&b, s, from, at);
    }
    return jstr_safe(e, jbuild_done(&b), s->safe);
}

static bool all_cased(jinja_run *e, const jstr *s, unicode_property wanted, unicode_property other) {
    bool any = false;
    jinja_charge(e, s->length * 16);
    for (size_t at = 0; at < s->length;) {
        uint32_t c = jstr_next(s, &at);
        if (unicode_is(c, other) || unicode_is(c, UNICODE_TITLE)) return false;
        any = any || unicode_is(c, wanted);
    }
    return any;
}

bool jinja_all_lower(jinja_run *e, const jstr *s) { return all_cased(e, s, UNICODE_LOWER, UNICODE_UPPER); }
bool jinja_all_upper(jinja_run *e, const jstr *s) { return all_cased(e, s, UNICODE_UPPER, UNICODE_LOWER); }

static bool is_title(const jstr *s) {
    bool any = false, in_word = false;
    for (size_t at = 0; at < s->length;) {
        uint32_t c = jstr_next(s, &at);
        bool up = unicode_is(c, UNICODE_UPPER) || unicode_is(c, UNICODE_TITLE), low = unicode_is(c, UNICODE_LOWER);
        if ((up && in_word) || (low && !in_word)) return false;
        in_word = up || low;
        any = any || in_word;
    }
    return any;
}

/* ---- replacing, joining, splitting ---- */

const jstr *jinja_escape_html(jinja_run *e, jv x) {
    if (x.kind == JK_STRING && x.as.s->safe) return x.as.s;
    const jstr *s = jv_to_str(e, x);
    jbuild b;
    jbuild_init(&b, e);
    size_t from = 0;
    for (size_t at = 0; at < s->length; at++) {
        const char *word;
        switch (s->data[at]) {
        case '&': word = "&amp;"; break;
        case '<': word = "&lt;"; break;
        case '>': word = "&gt;"; break;
        case '"': word = "&#34;"; break;
        case '\'': word = "&#39;"; break;
        default: continue;
        }
        jbuild_cut(&b, s, from, at);
        jbuild_text(&b, word, jstr_mark(s, at));
        from = at + 1;
    }
    jbuild_cut(&b, s, from, s->length);
    return jstr_safe(e, jbuild_done(&b), true);
}

/* What is joined to a Markup is escaped. */
static const jstr *like(jinja_run *e, const jstr *self, const jstr *other) {
    return self->safe && !other->safe ? jinja_escape_html(e, jv_str(other)) : other;
}

const jstr *jinja_replace(jinja_run *e, const jstr *s, const jstr *from, const jstr *to, int64_t count) {
    uint64_t left = count < 0 ? UINT64_MAX : (uint64_t)count;
    jbuild b;
    jbuild_init(&b, e);
    size_t at = 0;
    while (left > 0) {
        size_t found = jstr_find(e, s, from, at, s->length);
        if (found == SIZE_MAX) break;
        left--;
        jbuild_cut(&b, s, at, found);
        jbuild_add(&b, to);
        at = found + from->length;
        if (from->length) continue;
        if (at == s->length) break; /* nothing stands before each character and at the end */
        jstr_next(s, &at);
        jbuild_cut(&b, s, found, at);
    }
    jbuild_cut(&b, s, at, s->length);
    return jstr_safe(e, jbuild_done(&b), s->safe);
}

const jstr *jinja_join(jinja_run *e, const jstr *separator, jv list, bool strict) {
    jiter it;
    if (!jiter_begin(e, list, &it)) jinja_bad(e, "can only join an iterable");
    jbuild b;
    jbuild_init(&b, e);
    jv item;
    for (size_t i = 0; jiter_next(e, &it, &item); i++) {
        if (i) jbuild_add(&b, separator);
        if (strict && separator->safe) item = jv_str(jinja_escape_html(e, item));
        if (strict && item.kind != JK_STRING)
            jinja_bad(e, "sequence item %zu: expected str instance, %s found", i, jv_type(item));
        jv_add_str(&b, item);
    }
    return jstr_safe(e, jbuild_done(&b), strict && separator->safe);
}

static void push_cut(jinja_run *e, jvec *list, const jstr *s, size_t from, size_t to) {
    jvec_push(e, list, jv_str(jstr_cut(e, s, from, to)));
}

jv jinja_split(jinja_run *e, const jstr *s, const jstr *separator, int64_t most) {
    uint64_t left = most < 0 ? UINT64_MAX : (uint64_t)most;
    jvec list = { 0 };
    size_t at = 0;
    if (separator && separator->length == 0) jinja_bad(e, "empty separator");
    if (separator) {
        for (; left > 0; left--) {
            size_t found = jstr_find(e, s, separator, at, s->length);
            if (found == SIZE_MAX) break;
            push_cut(e, &list, s, at, found);
            at = found + separator->length;
        }
        push_cut(e, &list, s, at, s->length);
        return jvec_list(e, &list);
    }
    for (;; left--) { /* words between white space */
        size_t next = at;
        while (at < s->length && unicode_space(jstr_next(s, &next))) at = next;
        if (at >= s->length) break;
        if (left == 0) { /* the rest as it is, white space at its end too */
            push_cut(e, &list, s, at, s->length);
            break;
        }
        size_t from = at;
        for (next = at; at < s->length && !unicode_space(jstr_next(s, &next)); at = next) continue;
        jinja_charge(e, at - from);
        push_cut(e, &list, s, from, at);
    }
    return jvec_list(e, &list);
}

static jv rsplit(jinja_run *e, const jstr *s, const jstr *separator, int64_t most) {
    uint64_t left = most < 0 ? UINT64_MAX : (uint64_t)most;
    jvec list = { 0 };
    size_t to = s->length;
    if (separator && separator->length == 0) jinja_bad(e, "empty separator");
    for (; separator && left > 0; left--) {
        size_t found = jstr_find_last(e, s, separator, 0, to);
        if (found == SIZE_MAX) break;
        push_cut(e, &list, s, found + separator->length, to);
        to = found;
    }
    if (separator) push_cut(e, &list, s, 0, to);
    for (; !separator; left--) {
        while (to > 0) {
            size_t last = previous(s, to), next = last;
            if (!unicode_space(jstr_next(s, &next))) break;
            to = last;
        }
        if (to == 0) break;
        size_t from = to;
        while (left > 0 && from > 0) {
            size_t last = previous(s, from), next = last;
            if (unicode_space(jstr_next(s, &next))) break;
            from = last;
        }
        jinja_charge(e, to - from);
        if (left == 0) {
            push_cut(e, &list, s, 0, to);
            break;
        }
        push_cut(e, &list, s, from, to);
        to = from;
    }
    for (size_t i = 0; i < list.n / 2; i++) {
        jv x = list.v[i];
        list.v[i] = list.v[list.n - 1 - i];
        list.v[list.n - 1 - i] = x;
    }
    return jvec_list(e, &list);
}

jv jinja_split_lines(jinja_run *e, const jstr *s, bool keep) {
    jvec list = { 0 };
    for (size_t at = 0; at < s->length;) {
        size_t from = at, end = at;
        bool found = false;
        while (at < s->length && !found) {
            end = at;
            uint32_t c = jstr_next(s, &at);
            found = unicode_break(c);
            if (c == '\r' && at < s->length && s->data[at] == '\n') at++;
        }
        if (!found) end = at;
        jinja_charge(e, at - from);
        push_cut(e, &list, s, from, keep ? at : end);
    }
    return jvec_list(e, &list);
}

/* ---- padding ---- */

const jstr *jinja_pad(jinja_run *e, const jstr *s, size_t left, size_t right, uint32_t fill, uint8_t mark) {
    if (left > e->output || right > e->output) jinja_too_long(e);
    jbuild b;
    jbuild_init(&b, e);
    for (size_t i = 0; i < left; i++) jbuild_char(&b, fill, mark);
    jbuild_add(&b, s);
    for (size_t i = 0; i < right; i++) jbuild_char(&b, fill, mark);
    return jstr_safe(e, jbuild_done(&b), s->safe);
}

const jstr *jinja_center(jinja_run *e, const jstr *s, int64_t width, uint32_t fill, uint8_t mark) {
    if (width <= (int64_t)s->chars) return s;
    size_t more = (size_t)width - s->chars, left = more / 2 + (more & (size_t)width & 1);
    return jinja_pad(e, s, left, more - left, fill, mark);
}

/* ---- the methods of str ---- */

static const jstr *text_or(jinja_run *e, jv x, const char *what) {
    return jv_given_some(x) ? jv_need_str(e, x, what) : NULL;
}

static int64_t int_or(jinja_run *e, jv x, int64_t fallback, const char *what) {
    return jv_given(x) ? jv_need_int(e, x, what) : fallback;
}

/* start and end of find, count, ... in code points, as bytes; false where nothing can lie between them. */
static bool window(jinja_run *e, const jstr *s, jv start, jv end, size_t *from, size_t *to) {
    int64_t n = (int64_t)s->chars;
    int64_t a = jv_given_some(start) ? jv_need_int(e, start, "start") : 0;
    int64_t b = jv_given_some(end) ? jv_need_int(e, end, "end") : n;
    if (a < 0) a = a + n < 0 ? 0 : a + n;
    if (b < 0) b = b + n < 0 ? 0 : b + n;
    if (b > n) b = n;
    if (a > b) return false;
    *from = jstr_offset(e, s, (size_t)a);
    *to = jstr_offset(e, s, (size_t)b);
    return true;
}

static jv s_strip(jinja_run *e, const jstr *s, const jargs *a, bool left, bool right) {
    jv chars;
    jinja_bind_args(e, "strip", a, "-chars", &chars);
    return jv_str(jinja_strip(e, s, text_or(e, chars, "the argument of strip"), left, right));
}

static jv m_strip(jinja_run *e, jv x, const jargs *a) { return s_strip(e, x.as.s, a, true, true); }
static jv m_lstrip(jinja_run *e, jv x, const jargs *a) { return s_strip(e, x.as.s, a, true, false); }
static jv m_rstrip(jinja_run *e, jv x, const jargs *a) { return s_strip(e, x.as.s, a, false, true); }

static jv m_split(jinja_run *e, jv x, const jargs *a) {
    jv v[2];
    jinja_bind_args(e, "split", a, "sep maxsplit", v);
    return jinja_split(e, x.as.s, text_or(e, v[0], "the separator"), int_or(e, v[1], -1, "maxsplit"));
}

static jv m_rsplit(jinja_run *e, jv x, const jargs *a) {
    jv v[2];
    jinja_bind_args(e, "rsplit", a, "sep maxsplit", v);
    return rsplit(e, x.as.s, text_or(e, v[0], "the separator"), int_or(e, v[1], -1, "maxsplit"));
}

static jv m_splitlines(jinja_run *e, jv x, const jargs *a) {
    jv keep;
    jinja_bind_args(e, "splitlines", a, "keepends", &keep);
    return jinja_split_lines(e, x.as.s, jv_given(keep) && jv_need_int(e, keep, "keepends") != 0);
}

/* startswith, endswith: one text or a tuple of them */
static jv affix(jinja_run *e, jv x, const jargs *a, bool end) {
    jv v[3];
    jinja_bind_args(e, end ? "endswith" : "startswith", a, "!-prefix -start -end", v);
    size_t from, to;
    bool some = window(e, x.as.s, v[1], v[2], &from, &to);
    jv one = jv_tuple(e, 1), list = v[0];
    jv_items(one)[0] = v[0];
    if (list.kind != JK_TUPLE) list = one;
    bool found = false;
    for (size_t i = 0; i < list.as.l->n; i++) {
        const jstr *p = jv_need_str(e, list.as.l->v[i], end ? "the end looked for" : "the beginning looked for");
        jinja_charge(e, p->length);
        if (!some || found || to - from < p->length) continue;
        found = memcmp(x.as.s->data + (end ? to - p->length : from), p->data, p->length) == 0;
    }
    return jv_bool(found);
}

static jv m_startswith(jinja_run *e, jv x, const jargs *a) { return affix(e, x, a, false); }
static jv m_endswith(jinja_run *e, jv x, const jargs *a) { return affix(e, x, a, true); }

static jv m_removeprefix(jinja_run *e, jv x, const jargs *a) {
    jv v;
    jinja_bind_args(e, "removeprefix", a, "!-prefix", &v);
    const jstr *p = jv_need_str(e, v, "the argument of removeprefix"), *s = x.as.s;
    jinja_charge(e, p->length);
    bool there = s->length >= p->length && memcmp(s->data, p->data, p->length) == 0;
    return jv_str(jstr_cut(e, s, there ? p->length : 0, s->length));
}

static jv m_removesuffix(jinja_run *e, jv x, const jargs *a) {
    jv v;
    jinja_bind_args(e, "removesuffix", a, "!-suffix", &v);
    const jstr *p = jv_need_str(e, v, "the argument of removesuffix"), *s = x.as.s;
    jinja_charge(e, p->length);
    bool there = s->length >= p->length && memcmp(s->data + s->length - p->length, p->data, p->length) == 0;
    return jv_str(jstr_cut(e, s, 0, s->length - (there ? p->length : 0)));
}

static jv m_replace(jinja_run *e, jv x, const jargs *a) {
    jv v[3];
    jinja_bind_args(e, "replace", a, "!-old !-new -count", v);
    const jstr *from = jv_need_str(e, v[0], "what is replaced"), *to = jv_need_str(e, v[1], "the replacement");
    return jv_str(jinja_replace(e, x.as.s, from, like(e, x.as.s, to), int_or(e, v[2], -1, "count")));
}

static jv m_join(jinja_run *e, jv x, const jargs *a) {
    jv v;
    jinja_bind_args(e, "join", a, "!-iterable", &v);
    return jv_str(jinja_join(e, x.as.s, v, true));
}

static jv m_upper(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "upper", a, "", NULL);
    return jv_str(jinja_convert(e, x.as.s, UNICODE_TO_UPPER));
}

static jv m_lower(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "lower", a, "", NULL);
    return jv_str(jinja_convert(e, x.as.s, UNICODE_TO_LOWER));
}

static jv m_casefold(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "casefold", a, "", NULL);
    return jv_str(jinja_convert(e, x.as.s, UNICODE_FOLD));
}

static jv m_capitalize(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "capitalize", a, "", NULL);
    return jv_str(jinja_capitalize(e, x.as.s));
}

static jv m_title(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "title", a, "", NULL);
    return jv_str(title(e, x.as.s));
}

static jv m_swapcase(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "swapcase", a, "", NULL);
    return jv_str(swapcase(e, x.as.s));
}

/* Place of a text in code points, -1 where it is not there. */
static int64_t place(jinja_run *e, jv x, const jargs *a, const char *name, bool last) {
    jv v[3];
    jinja_bind_args(e, name, a, "!-sub -start -end", v);
    const jstr *what = jv_need_str(e, v[0], "what is searched"), *s = x.as.s;
    size_t from, to;
    if (!window(e, s, v[1], v[2], &from, &to)) return -1;
    size_t at = last ? jstr_find_last(e, s, what, from, to) : jstr_find(e, s, what, from, to);
    return at == SIZE_MAX ? -1 : (int64_t)jstr_cut(e, s, 0, at)->chars;
}

static jv m_find(jinja_run *e, jv x, const jargs *a) { return jv_int(place(e, x, a, "find", false)); }
static jv m_rfind(jinja_run *e, jv x, const jargs *a) { return jv_int(place(e, x, a, "rfind", true)); }

static jv m_index(jinja_run *e, jv x, const jargs *a) {
    int64_t at = place(e, x, a, "index", false);
    if (at < 0) jinja_bad(e, "substring not found");
    return jv_int(at);
}

static jv m_rindex(jinja_run *e, jv x, const jargs *a) {
    int64_t at = place(e, x, a, "rindex", true);
    if (at < 0) jinja_bad(e, "substring not found");
    return jv_int(at);
}

static jv m_count(jinja_run *e, jv x, const jargs *a) {
    jv v[3];
    jinja_bind_args(e, "count", a, "!-sub -start -end", v);
    const jstr *what = jv_need_str(e, v[0], "what is counted"), *s = x.as.s;
    size_t from, to;
    int64_t n = 0;
    if (!window(e, s, v[1], v[2], &from, &to)) return jv_int(0);
    if (what->length == 0) return jv_int((int64_t)jstr_cut(e, s, from, to)->chars + 1);
    while ((from = jstr_find(e, s, what, from, to)) != SIZE_MAX) {
        from += what->length;
        n++;
    }
    return jv_int(n);
}

static jv partition(jinja_run *e, jv x, const jargs *a, bool last) {
    jv v, out = jv_tuple(e, 3);
    jinja_bind_args(e, last ? "rpartition" : "partition", a, "!-sep", &v);
    const jstr *sep = jv_need_str(e, v, "the separator"), *s = x.as.s;
    if (sep->length == 0) jinja_bad(e, "empty separator");
    size_t at = last ? jstr_find_last(e, s, sep, 0, s->length) : jstr_find(e, s, sep, 0, s->length);
    jv *part = jv_items(out), none = jv_str(jstr_safe(e, &jstr_empty, s->safe));
    part[0] = part[1] = part[2] = none;
    if (at == SIZE_MAX) {
        part[last ? 2 : 0] = x;
        return out;
    }
    part[0] = jv_str(jstr_cut(e, s, 0, at));
    part[1] = jv_str(jstr_cut(e, s, at, at + sep->length));
    part[2] = jv_str(jstr_cut(e, s, at + sep->length, s->length));
    return out;
}

static jv m_partition(jinja_run *e, jv x, const jargs *a) { return partition(e, x, a, false); }
static jv m_rpartition(jinja_run *e, jv x, const jargs *a) { return partition(e, x, a, true); }

static jv justify(jinja_run *e, jv x, const jargs *a, const char *name, int side) {
    jv v[2];
    jinja_bind_args(e, name, a, "!-width -fillchar", v);
    int64_t width = jv_need_int(e, v[0], "width");
    uint32_t fill = ' ';
    uint8_t mark = 0;
    if (jv_given(v[1])) {
        const jstr *f = jv_need_str(e, v[1], "the fill character");
        size_t at = 0;
        if (f->chars != 1) jinja_bad(e, "the fill character must be exactly one character long");
        fill = jstr_next(f, &at);
        mark = jstr_mark(f, 0);
    }
    const jstr *s = x.as.s;
    if (width <= (int64_t)s->chars) return x;
    size_t more = (size_t)width - s->chars;
    if (side == 0) return jv_str(jinja_center(e, s, width, fill, mark));
    return jv_str(jinja_pad(e, s, side > 0 ? more : 0, side > 0 ? 0 : more, fill, mark));
}

static jv m_center(jinja_run *e, jv x, const jargs *a) { return justify(e, x, a, "center", 0); }
static jv m_ljust(jinja_run *e, jv x, const jargs *a) { return justify(e, x, a, "ljust", -1); }
static jv m_rjust(jinja_run *e, jv x, const jargs *a) { return justify(e, x, a, "rjust", 1); }

static jv m_zfill(jinja_run *e, jv x, const jargs *a) {
    jv v;
    jinja_bind_args(e, "zfill", a, "!-width", &v);
    int64_t width = jv_need_int(e, v, "width");
    const jstr *s = x.as.s;
    if (width <= (int64_t)s->chars) return x;
    bool sign = s->length && (s->data[0] == '+' || s->data[0] == '-');
    jbuild b;
    jbuild_init(&b, e);
    if (sign) jbuild_cut(&b, s, 0, 1);
    jbuild_add(&b, jinja_pad(e, jstr_cut(e, s, sign, s->length), (size_t)width - s->chars, 0, '0', 0));
    return jv_str(jbuild_done(&b));
}

static jv m_expandtabs(jinja_run *e, jv x, const jargs *a) {
    jv v;
    jinja_bind_args(e, "expandtabs", a, "tabsize", &v);
    int64_t size = int_or(e, v, 8, "tabsize"), column = 0;
    if (size > 10000) jinja_too_long(e);
    const jstr *s = x.as.s;
    jbuild b;
    jbuild_init(&b, e);
    for (size_t at = 0; at < s->length;) {
        size_t from = at;
        uint32_t c = jstr_next(s, &at);
        if (c == '\t') {
            for (int64_t n = size > 0 ? size - column % size : 0; n > 0; n--, column++)
                jbuild_bytes(&b, " ", 1, jstr_mark(s, from));
            continue;
        }
        column = c == '\n' || c == '\r' ? 0 : column + 1;
        jbuild_cut(&b, s, from, at);
    }
    return jv_str(jbuild_done(&b));
}

static jv m_format(jinja_run *e, jv x, const jargs *a) { return jinja_format(e, x.as.s, a); }

/* isalpha and its kin: every character, and at least one */
static bool alpha(uint32_t c) { return unicode_is(c, UNICODE_ALPHA); }
static bool digit(uint32_t c) { return unicode_is(c, UNICODE_DIGIT); }
static bool decimal(uint32_t c) { return unicode_is(c, UNICODE_DECIMAL); }
static bool numeric(uint32_t c) { return unicode_is(c, UNICODE_NUMERIC); }
static bool printable(uint32_t c) { return unicode_is(c, UNICODE_PRINTABLE); }
static bool ascii(uint32_t c) { return c < 0x80; }

static jv every(jinja_run *e, jv x, const jargs *a, bool (*test)(uint32_t), bool empty) {
    jinja_bind_args(e, "a test of characters", a, "", NULL);
    jinja_charge(e, x.as.s->length * 16);
    bool all = x.as.s->length > 0 || empty;
    for (size_t at = 0; at < x.as.s->length && all;) all = test(jstr_next(x.as.s, &at));
    return jv_bool(all);
}

static jv m_isalpha(jinja_run *e, jv x, const jargs *a) { return every(e, x, a, alpha, false); }
static jv m_isdigit(jinja_run *e, jv x, const jargs *a) { return every(e, x, a, digit, false); }
static jv m_isdecimal(jinja_run *e, jv x, const jargs *a) { return every(e, x, a, decimal, false); }
static jv m_isnumeric(jinja_run *e, jv x, const jargs *a) { return every(e, x, a, numeric, false); }
static jv m_isalnum(jinja_run *e, jv x, const jargs *a) { return every(e, x, a, unicode_alnum, false); }
static jv m_isspace(jinja_run *e, jv x, const jargs *a) { return every(e, x, a, unicode_space, false); }
static jv m_isprintable(jinja_run *e, jv x, const jargs *a) { return every(e, x, a, printable, true); }
static jv m_isascii(jinja_run *e, jv x, const jargs *a) { return every(e, x, a, ascii, true); }

static jv m_islower(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "islower", a, "", NULL);
    return jv_bool(jinja_all_lower(e, x.as.s));
}

static jv m_isupper(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "isupper", a, "", NULL);
    return jv_bool(jinja_all_upper(e, x.as.s));
}

static jv m_istitle(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "istitle", a, "", NULL);
    jinja_charge(e, x.as.s->length * 16);
    return jv_bool(is_title(x.as.s));
}

static jv m_isidentifier(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "isidentifier", a, "", NULL);
    jinja_charge(e, x.as.s->length * 16);
    bool good = x.as.s->length > 0;
    for (size_t at = 0; at < x.as.s->length && good;) {
        bool first = at == 0;
        uint32_t c = jstr_next(x.as.s, &at);
        good = c == '_' || unicode_is(c, first ? UNICODE_START : UNICODE_CONTINUE);
    }
    return jv_bool(good);
}

/* ---- dict ---- */

static jv m_get(jinja_run *e, jv x, const jargs *a) {
    jv v[2];
    jinja_bind_args(e, "get", a, "!-key -default", v);
    const jv *found = jdict_get(e, x.as.d, v[0]);
    return found ? *found : jv_given(v[1]) ? v[1] : jv_none();
}

static jv view(jinja_run *e, jv x, const jargs *a, uint16_t which) {
    jinja_bind_args(e, "a view of a dict", a, "", NULL);
    return (jv){ .kind = JK_VIEW, .mark = x.mark, .sub = which, .as.d = x.as.d };
}

static jv m_keys(jinja_run *e, jv x, const jargs *a) { return view(e, x, a, 0); }
static jv m_values(jinja_run *e, jv x, const jargs *a) { return view(e, x, a, 1); }
static jv m_items(jinja_run *e, jv x, const jargs *a) { return view(e, x, a, 2); }

static jv m_copy(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "copy", a, "", NULL);
    return x; /* nothing can change it */
}

/* ---- list, tuple ---- */

static jv m_list_index(jinja_run *e, jv x, const jargs *a) {
    jv v[3];
    jinja_bind_args(e, "index", a, x.kind == JK_RANGE ? "!-value" : "!-value -start -stop", v);
    if (x.kind == JK_RANGE) {
        x = jv_listed(e, x);
        v[1] = v[2] = jv_kind(JK_MISSING);
    }
    int64_t n = (int64_t)x.as.l->n, from = int_or(e, v[1], 0, "start"), to = int_or(e, v[2], n, "stop");
    if (from < 0) from = from + n < 0 ? 0 : from + n;
    if (to < 0) to += n;
    for (int64_t i = from; i < to && i < n; i++) {
        jinja_charge(e, 0);
        if (jv_equal(e, x.as.l->v[i], v[0])) return jv_int(i);
    }
    jinja_bad(e, "value is not in %s", jv_type(x));
}

static jv m_list_count(jinja_run *e, jv x, const jargs *a) {
    jv v;
    jinja_bind_args(e, "count", a, "!-value", &v);
    int64_t n = 0;
    if (x.kind == JK_RANGE) x = jv_listed(e, x);
    for (size_t i = 0; i < x.as.l->n; i++) {
        jinja_charge(e, 0);
        n += jv_equal(e, x.as.l->v[i], v);
    }
    return jv_int(n);
}

/* ---- loop, cycler, float ---- */

static jv m_cycle(jinja_run *e, jv x, const jargs *a) { return jinja_loop_call(e, x.as.loop, true, a); }
static jv m_changed(jinja_run *e, jv x, const jargs *a) { return jinja_loop_call(e, x.as.loop, false, a); }

static jv m_next(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "next", a, "", NULL);
    jcycler *c = x.as.cycler;
    jv v = c->items->v[c->at];
    c->at = (c->at + 1) % c->items->n;
    return v;
}

static jv m_reset(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "reset", a, "", NULL);
    x.as.cycler->at = 0;
    return jv_none();
}

static jv m_is_integer(jinja_run *e, jv x, const jargs *a) {
    jinja_bind_args(e, "is_integer", a, "", NULL);
    double f = x.as.f;
    return jv_bool(f - f == 0 && (f >= 0x1p53 || f <= -0x1p53 || (double)(int64_t)f == f));
}

static jv m_unsupported(jinja_run *e, jv x, const jargs *a) {
    (void)a;
    jinja_fail(e, TOLA_E_UNSUPPORTED, "a method of '%s' that is not supported", jv_type(x));
}

/* ---- the table ---- */

static const struct {
    uint8_t kind;
    const char *name;
    jv (*run)(jinja_run *e, jv self, const jargs *a); /* NULL: hidden by the sandbox */
} methods[] = {
    { JK_STRING, "strip", m_strip }, { JK_STRING, "lstrip", m_lstrip }, { JK_STRING, "rstrip", m_rstrip },
    { JK_STRING, "split", m_split }, { JK_STRING, "rsplit", m_rsplit }, { JK_STRING, "splitlines", m_splitlines },
    { JK_STRING, "startswith", m_startswith }, { JK_STRING, "endswith", m_endswith },
    { JK_STRING, "removeprefix", m_removeprefix }, { JK_STRING, "removesuffix", m_removesuffix },
    { JK_STRING, "replace", m_replace }, { JK_STRING, "join", m_join }, { JK_STRING, "upper", m_upper },
    { JK_STRING, "lower", m_lower }, { JK_STRING, "casefold", m_casefold }, { JK_STRING, "capitalize", m_capitalize },
    { JK_STRING, "title", m_title }, { JK_STRING, "swapcase", m_swapcase }, { JK_STRING, "find", m_find },
    { JK_STRING, "rfind", m_rfind }, { JK_STRING, "index", m_index }, { JK_STRING, "rindex", m_rindex },
    { JK_STRING, "count", m_count }, { JK_STRING, "partition", m_partition },
    { JK_STRING, "rpartition", m_rpartition }, { JK_STRING, "center", m_center }, { JK_STRING, "ljust", m_ljust },
    { JK_STRING, "rjust", m_rjust }, { JK_STRING, "zfill", m_zfill }, { JK_STRING, "expandtabs", m_expandtabs },
    { JK_STRING, "format", m_format }, { JK_STRING, "isalpha", m_isalpha }, { JK_STRING, "isdigit", m_isdigit },
    { JK_STRING, "isdecimal", m_isdecimal }, { JK_STRING, "isnumeric", m_isnumeric },
    { JK_STRING, "isalnum", m_isalnum }, { JK_STRING, "isspace", m_isspace },
    { JK_STRING, "isprintable", m_isprintable }, { JK_STRING, "isascii", m_isascii },
    { JK_STRING, "islower", m_islower }, { JK_STRING, "isupper", m_isupper }, { JK_STRING, "istitle", m_istitle },
    { JK_STRING, "isidentifier", m_isidentifier }, { JK_STRING, "encode", m_unsupported },
    { JK_STRING, "translate", m_unsupported }, { JK_STRING, "maketrans", m_unsupported },
    { JK_STRING, "format_map", m_unsupported },
    { JK_DICT, "get", m_get }, { JK_DICT, "keys", m_keys }, { JK_DICT, "values", m_values },
    { JK_DICT, "items", m_items }, { JK_DICT, "copy", m_copy }, { JK_DICT, "fromkeys", m_unsupported },
    { JK_DICT, "clear", NULL }, { JK_DICT, "pop", NULL }, { JK_DICT, "popitem", NULL }, { JK_DICT, "setdefault", NULL },
    { JK_DICT, "update", NULL },
    { JK_LIST, "index", m_list_index }, { JK_LIST, "count", m_list_count }, { JK_LIST, "copy", m_copy },
    { JK_LIST, "append", NULL }, { JK_LIST, "clear", NULL }, { JK_LIST, "extend", NULL }, { JK_LIST, "insert", NULL },
    { JK_LIST, "pop", NULL }, { JK_LIST, "remove", NULL }, { JK_LIST, "reverse", NULL }, { JK_LIST, "sort", NULL },
    { JK_RANGE, "index", m_list_index }, { JK_RANGE, "count", m_list_count },
    { JK_TUPLE, "index", m_list_index }, { JK_TUPLE, "count", m_list_count },
    { JK_LOOP, "cycle", m_cycle }, { JK_LOOP, "changed", m_changed },
    { JK_CYCLER, "next", m_next }, { JK_CYCLER, "reset", m_reset },
    { JK_FLOAT, "is_integer", m_is_integer },
};

bool jinja_find_method(jinja_run *e, jv self, const jstr *name, jv *out) {
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (methods[i].kind != self.kind || !jstr_is(name, methods[i].name)) continue;
        if (!methods[i].run) {
            *out = jv_unsafe(e, self, name);
            return true;
        }
        jmethod *m = jinja_alloc(e, 1, sizeof *m);
        *m = (jmethod){ self, (uint16_t)i };
        *out = (jv){ .kind = JK_METHOD, .as.m = m };
        return true;
    }
    return false;
}

jv jinja_call_method(jinja_run *e, const jmethod *m, const jargs *a) { return methods[m->id].run(e, m->self, a); }
