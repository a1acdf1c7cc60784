/* Values: making, printing, comparing, iterating them as Python does. */
#define _GNU_SOURCE 1 /* memmem */
#include "text/jinja/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"
#include "text/jinja/unicode.h"

/* ---- failing ---- */

void jinja_fail(jinja_run *e, tola_status status, const char *format, ...) {
    char text[900], quoted[900];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    e->status = err_set(e->err, status, TOLA_NO_OFFSET, "line %u: %s", (unsigned)e->line,
                        text_quote(quoted, sizeof quoted, text, length));
    longjmp(e->fail, 1);
}

void jinja_too_deep(jinja_run *e) {
    jinja_fail(e, TOLA_E_LIMIT, "nested deeper than %d levels", JINJA_MAX_DEPTH);
}

void jinja_too_long(jinja_run *e) {
    jinja_fail(e, TOLA_E_LIMIT, "a text becomes longer than %zu bytes", e->output);
}

void jinja_no_steps(jinja_run *e) { jinja_fail(e, TOLA_E_LIMIT, "the template takes too many steps"); }

void jinja_big(jinja_run *e) { jinja_bad(e, "an integer is beyond 64 bits"); }

void jinja_undefined(jinja_run *e, jv x) {
    const jundef *u = x.as.u;
    int n = u->name ? (int)(u->name->length < 200 ? u->name->length : 200) : 0;
    const char *name = u->name ? u->name->data : "";
    if (u->unsafe)
        jinja_fail(e, TOLA_E_UNSAFE, "access to attribute '%.*s' of '%s' object is unsafe", n, name, u->type);
    if (u->hint) jinja_bad(e, "%s", u->hint);
    if (!u->name) jinja_bad(e, "'%s object' has no such element", u->type);
    if (u->type) jinja_bad(e, "'%s object' has no attribute '%.*s'", u->type, n, name);
    jinja_bad(e, "'%.*s' is undefined", n, name);
}

void *jinja_alloc(jinja_run *e, size_t count, size_t size) {
    size_t before = e->mem->total;
    void *p = arena_alloc_array(e->mem, count, size);
    if (p) return p;
    if (e->mem->limit && (size && count > SIZE_MAX / size)) jinja_too_long(e);
    if (e->mem->limit && (count * size > e->mem->limit || before > e->mem->limit - count * size ||
                          before > e->mem->limit / 2))
        jinja_fail(e, TOLA_E_LIMIT, "more than %zu bytes of memory are needed", e->mem->limit);
    jinja_fail(e, TOLA_E_NOMEM, "out of memory");
}

/* ---- making ---- */

static jv undefined(jinja_run *e, jundef what) {
    jundef *u = jinja_alloc(e, 1, sizeof *u);
    *u = what;
    return (jv){ .kind = JK_UNDEFINED, .as.u = u };
}

jv jv_undefined(jinja_run *e, const char *hint) { return undefined(e, (jundef){ .hint = hint }); }

jv jv_undefined_name(jinja_run *e, const char *type, const jstr *name) {
    return undefined(e, (jundef){ .type = type, .name = name });
}

jv jv_unsafe(jinja_run *e, jv object, const jstr *name) {
    return undefined(e, (jundef){ .type = jv_type(object), .name = name, .unsafe = true });
}

static jv sequence(jinja_run *e, jinja_kind kind, size_t n) {
    jlist *l = jinja_alloc(e, 1, sizeof *l);
    *l = (jlist){ n, n ? jinja_alloc(e, n, sizeof *l->v) : NULL };
    return (jv){ .kind = (uint8_t)kind, .as.l = l };
}

jv jv_list(jinja_run *e, size_t n) { return sequence(e, JK_LIST, n); }
jv jv_tuple(jinja_run *e, size_t n) { return sequence(e, JK_TUPLE, n); }

jv jv_pair(jinja_run *e, jv a, jv b) {
    jv t = jv_tuple(e, 2);
    jv_items(t)[0] = a;
    jv_items(t)[1] = b;
    return t;
}

void jvec_push(jinja_run *e, jvec *list, jv item) {
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 8;
        jv *v = jinja_alloc(e, cap, sizeof *v);
        if (list->n) memcpy(v, list->v, list->n * sizeof *v);
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n++] = item;
}

jv jvec_list(jinja_run *e, const jvec *list) {
    jlist *l = jinja_alloc(e, 1, sizeof *l);
    *l = (jlist){ list->n, list->v };
    return (jv){ .kind = JK_LIST, .as.l = l };
}

/* ---- strings ---- */

#define STORED 256 /* bytes from which on a string can be lengthened in place */

const jstr jstr_empty = { "", 0, 0, NULL, 0, false, NULL };

static size_t count_chars(const char *data, size_t length) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++) n += ((unsigned char)data[i] & 0xc0) != 0x80;
    return n;
}

const jstr *jstr_of(jinja_run *e, const char *data, size_t length, uint8_t mark) {
    jstr *s = jinja_alloc(e, 1, sizeof *s);
    *s = (jstr){ data, length, count_chars(data, length), NULL, mark, false, NULL };
    return s;
}

const jstr *jstr_copy(jinja_run *e, const char *data, size_t length, uint8_t mark) {
    char *copy = jinja_alloc(e, length ? length : 1, 1);
    if (length) memcpy(copy, data, length);
    return jstr_of(e, copy, length, mark);
}

const jstr *jstr_cut(jinja_run *e, const jstr *s, size_t from, size_t to) {
    if (from == 0 && to == s->length) return s;
    jstr *cut = jinja_alloc(e, 1, sizeof *cut);
    *cut = (jstr){ s->data + from, to - from, to - from, s->marks ? s->marks + from : NULL, s->mark, s->safe, NULL };
    if (s->chars != s->length) {
        jinja_charge(e, to - from);
        cut->chars = count_chars(cut->data, cut->length);
    }
    return cut;
}

size_t jstr_offset(jinja_run *e, const jstr *s, size_t i) {
    if (s->chars == s->length) return i;
    if (i >= s->chars) return s->length;
    jinja_charge(e, i);
    size_t at = 0;
    for (size_t k = 0; k < i; k++)
        do at++;
        while (((unsigned char)s->data[at] & 0xc0) == 0x80);
    return at;
}

bool jstr_equal(const jstr *a, const jstr *b) {
    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

bool jstr_is(const jstr *s, const char *text) {
    return s->length == strlen(text) && memcmp(s->data, text, s->length) == 0;
}

uint32_t jstr_next(const jstr *s, size_t *at) {
    uint32_t c;
    *at += utf8_next(s->data + *at, &c);
    return c;
}

size_t jstr_find(jinja_run *e, const jstr *s, const jstr *what, size_t from, size_t to) {
    if (from > to || to - from < what->length) return SIZE_MAX;
    if (what->length == 0) return from;
    const char *p = memmem(s->data + from, to - from, what->data, what->length);
    size_t at = p ? (size_t)(p - s->data) : SIZE_MAX;
    jinja_charge(e, what->length + (p ? at : to) - from);
    return at;
}

size_t jstr_find_last(jinja_run *e, const jstr *s, const jstr *what, size_t from, size_t to) {
    if (from > to || to - from < what->length) return SIZE_MAX;
    for (size_t at = to - what->length;; at--) {
        jinja_charge(e, what->length);
        if (what->length == 0 || memcmp(s->data + at, what->data, what->length) == 0) return at;
        if (at == from) return SIZE_MAX;
    }
}

const jstr *jstr_safe(jinja_run *e, const jstr *s, bool safe) {
    if (s->safe == safe) return s;
    jstr *copy = jinja_alloc(e, 1, sizeof *copy);
    *copy = *s;
    copy->safe = safe;
    return copy;
}

void jbuild_init(jbuild *b, jinja_run *e) { *b = (jbuild){ .e = e }; }

void jbuild_begin(jbuild *b, jinja_run *e, const jstr *s) {
    jbuild_init(b, e);
    jstore *store = s->store;
    if (!store || store->data != s->data || store->used != s->length) {
        jbuild_add(b, s);
        return;
    }
    store->used = SIZE_MAX;
    b->store = store;
    b->data = store->data;
    b->cap = store->cap;
    b->length = s->length;
    b->chars = s->chars;
    b->mark = s->mark;
    b->marks = s->marks ? store->marks : NULL;
}

/* Room for `more` bytes, which will have `mark` or, where it differs, marks of their own. */
static void build_room(jbuild *b, size_t more, uint8_t mark, bool mixed) {
    jinja_run *e = b->e;
    if (more > e->output || b->length > e->output - more) jinja_too_long(e);
    jinja_charge(e, more);
    if (b->length == 0 && !mixed) b->mark = mark;
    bool split = !b->marks && (mixed || mark != b->mark);
    if (b->length + more > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 48;
        if (cap < b->length + more) cap = b->length + more;
        char *data = jinja_alloc(e, cap, 1);
        if (b->length) memcpy(data, b->data, b->length);
        b->data = data;
        b->store = NULL;
        if (b->marks) {
            uint8_t *marks = jinja_alloc(e, cap, 1);
            memcpy(marks, b->marks, b->length);
            b->marks = marks;
        }
        b->cap = cap;
    }
    if (split) {
        b->marks = jinja_alloc(e, b->cap, 1);
        memset(b->marks, b->mark, b->length);
    }
}

void jbuild_bytes(jbuild *b, const char *data, size_t length, uint8_t mark) {
    if (length == 0) return;
    build_room(b, length, mark, false);
    memcpy(b->data + b->length, data, length);
    if (b->marks) memset(b->marks + b->length, mark, length);
    b->length += length;
    b->chars += count_chars(data, length);
}

void jbuild_cut(jbuild *b, const jstr *s, size_t from, size_t to) {
    if (from >= to) return;
    if (!s->marks) {
        jbuild_bytes(b, s->data + from, to - from, s->mark);
        return;
    }
    build_room(b, to - from, 0, true);
    memcpy(b->data + b->length, s->data + from, to - from);
    memcpy(b->marks + b->length, s->marks + from, to - from);
    b->length += to - from;
    b->chars += count_chars(s->data + from, to - from);
}

void jbuild_add(jbuild *b, const jstr *s) { jbuild_cut(b, s, 0, s->length); }

void jbuild_text(jbuild *b, const char *text, uint8_t mark) { jbuild_bytes(b, text, strlen(text), mark); }

void jbuild_char(jbuild *b, uint32_t c, uint8_t mark) {
    char utf8[4];
    jbuild_bytes(b, utf8, utf8_put(c, utf8), mark);
}

void jbuild_repeat(jbuild *b, const jstr *s, size_t times) {
    if (s->length && times > b->e->output / s->length) jinja_too_long(b->e);
    if (s->length)
        for (size_t i = 0; i < times; i++) jbuild_add(b, s);
}

const jstr *jbuild_done(jbuild *b) {
    jstr *s = jinja_alloc(b->e, 1, sizeof *s);
    /* constants of a template belong to all its runs: nothing is added behind them */
    bool run = b->e->template != NULL;
    if (!b->store && b->length >= STORED && run) b->store = jinja_alloc(b->e, 1, sizeof *b->store);
    if (b->store) *b->store = (jstore){ b->data, b->marks, b->length, b->cap };
    *s = (jstr){ b->data ? b->data : "", b->length, b->chars, b->marks, b->mark, false, b->store };
    return s;
}

/* ---- types ---- */

const char *jv_type(jv x) {
    static const char *const names[] = { "missing", "Undefined", "NoneType", "bool", "int", "int", "float", "str",
                                         "list", "tuple", "dict", "range", "dict view", "generator", "Namespace",
                                         "Macro", "builtin_function_or_method", "function", "LoopContext", "Cycler",
                                         "Joiner" };
    return x.kind < sizeof names / sizeof *names ? names[x.kind] : "object";
}

int64_t jv_need_int(jinja_run *e, jv x, const char *what) {
    jv_need_defined(e, x);
    if (x.kind == JK_BIG) jinja_big(e);
    if (x.kind != JK_INT && x.kind != JK_BOOL) jinja_bad(e, "%s must be an integer, not %s", what, jv_type(x));
    return jv_integer(x);
}

const jstr *jv_need_str(jinja_run *e, jv x, const char *what) {
    jv_need_defined(e, x);
    if (x.kind != JK_STRING) jinja_bad(e, "%s must be a string, not %s", what, jv_type(x));
    return x.as.s;
}

bool jv_length(jv x, size_t *n) {
    switch ((jinja_kind)x.kind) {
    case JK_UNDEFINED: *n = 0; return true;
    case JK_STRING: *n = x.as.s->chars; return true;
    case JK_LIST:
    case JK_TUPLE: *n = x.as.l->n; return true;
    case JK_DICT:
    case JK_VIEW: *n = x.as.d->n; return true;
    case JK_RANGE: *n = x.as.r->n; return true;
    default: return false;
    }
}

bool jv_truth(jv x) {
    size_t n;
    switch ((jinja_kind)x.kind) {
    case JK_MISSING:
    case JK_UNDEFINED:
    case JK_NONE: return false;
    case JK_BOOL: return x.as.b;
    case JK_INT: return x.as.i != 0;
    case JK_FLOAT: return x.as.f != 0;
    default: return !jv_length(x, &n) || n > 0;
    }
}

/* ---- dicts ---- */

#define SMALL_DICT 8 /* without an index */

static uint64_t hash_double(double f) {
    uint64_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits * 0x9e3779b97f4a7c15u;
}

/* Equal values (1 == True == 1.0) have equal hashes. */
static uint64_t hash_value(jinja_run *e, jv x) {
    uint64_t h = 0xcbf29ce484222325u;
    switch ((jinja_kind)x.kind) {
    case JK_UNDEFINED:
    case JK_NONE: return x.kind;
    case JK_BOOL: return hash_double(x.as.b);
    case JK_INT: return hash_double((double)x.as.i);
    case JK_FLOAT: return hash_double(x.as.f == 0 ? 0 : x.as.f);
    case JK_BIG:
    case JK_STRING:
        jinja_charge(e, x.as.s->length);
        for (size_t i = 0; i < x.as.s->length; i++) h = (h ^ (unsigned char)x.as.s->data[i]) * 0x100000001b3u;
        return h ^ h >> 29;
    case JK_TUPLE:
        jinja_enter(e);
        for (size_t i = 0; i < x.as.l->n; i++) h = (h ^ hash_value(e, x.as.l->v[i])) * 0x100000001b3u;
        jinja_leave(e);
        return h;
    case JK_LIST:
    case JK_DICT: jinja_bad(e, "unhashable type: '%s'", jv_type(x));
    case JK_VIEW: /* that of the values is one by its address */
        if (x.sub != 1) jinja_bad(e, "unhashable type: '%s'", jv_type(x));
        return (uint64_t)(uintptr_t)x.as.d;
    default: return (uint64_t)(uintptr_t)x.as.d;
    }
}

jdict *jdict_new(jinja_run *e) {
    jdict *d = jinja_alloc(e, 1, sizeof *d);
    *d = (jdict){ 0 };
    return d;
}

jv jv_dict(jinja_run *e) { return (jv){ .kind = JK_DICT, .as.d = jdict_new(e) }; }

static uint32_t *index_slot(jinja_run *e, const jdict *d, jv key, uint64_t h) {
    for (size_t i = h & (d->slots - 1);; i = (i + 1) & (d->slots - 1)) {
        uint32_t at = d->index[i];
        if (at == 0 || jv_equal(e, d->pairs[at - 1].key, key)) return &d->index[i];
        jinja_charge(e, 0);
    }
}

static void index_build(jinja_run *e, jdict *d) {
    d->slots = 32;
    while (d->slots < d->cap * 2) d->slots *= 2;
    d->index = jinja_alloc(e, d->slots, sizeof *d->index);
    memset(d->index, 0, d->slots * sizeof *d->index);
    for (size_t i = 0; i < d->n; i++)
        *index_slot(e, d, d->pairs[i].key, hash_value(e, d->pairs[i].key)) = (uint32_t)i + 1;
}

jv *jdict_get(jinja_run *e, const jdict *d, jv key) {
    if (d->index) {
        uint32_t at = *index_slot(e, d, key, hash_value(e, key));
        return at ? &d->pairs[at - 1].value : NULL;
    }
    if (key.kind == JK_LIST || key.kind == JK_DICT || key.kind == JK_TUPLE) (void)hash_value(e, key);
    for (size_t i = 0; i < d->n; i++)
        if (jv_equal(e, d->pairs[i].key, key)) return &d->pairs[i].value;
    return NULL;
}

jv *jdict_text(const jdict *d, const char *key) {
    for (size_t i = 0; i < d->n; i++)
        if (d->pairs[i].key.kind == JK_STRING && jstr_is(d->pairs[i].key.as.s, key)) return &d->pairs[i].value;
    return NULL;
}

void jdict_set(jinja_run *e, jdict *d, jv key, jv value) {
    jv *old = jdict_get(e, d, key);
    if (old) {
        *old = value;
        return;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 4;
        if (cap >= UINT32_MAX) jinja_too_long(e);
        jpair *pairs = jinja_alloc(e, cap, sizeof *pairs);
        if (d->n) memcpy(pairs, d->pairs, d->n * sizeof *pairs);
        d->pairs = pairs;
        d->cap = cap;
        if (cap > SMALL_DICT) index_build(e, d);
    }
    if (d->index) *index_slot(e, d, key, hash_value(e, key)) = (uint32_t)d->n + 1;
    d->pairs[d->n++] = (jpair){ key, value };
}

/* ---- equality and order ---- */

/* An integer against a double, exactly: -1, 0, 1; 2 where the double is NaN. */
static int compare_mixed(int64_t i, double f) {
    if (f != f) return 2;
    if (f >= 0x1p63) return -1;
    if (f < -0x1p63) return 1;
    int64_t whole = (int64_t)f;
    if (i != whole) return i < whole ? -1 : 1;
    double rest = f - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

static int compare_numbers(jv a, jv b) {
    if (a.kind == JK_FLOAT && b.kind == JK_FLOAT)
        return a.as.f < b.as.f ? -1 : a.as.f > b.as.f ? 1 : a.as.f == b.as.f ? 0 : 2;
    if (b.kind == JK_FLOAT) return compare_mixed(jv_integer(a), b.as.f);
    if (a.kind == JK_FLOAT) {
        int c = compare_mixed(jv_integer(b), a.as.f);
        return c == 2 ? 2 : -c;
    }
    int64_t x = jv_integer(a), y = jv_integer(b);
    return x < y ? -1 : x > y;
}

static bool lists_equal(jinja_run *e, const jlist *a, const jlist *b) {
    if (a->n != b->n) return false;
    jinja_enter(e);
    bool same = true;
    for (size_t i = 0; i < a->n && same; i++) {
        jinja_charge(e, 0);
        same = jv_equal(e, a->v[i], b->v[i]);
    }
    jinja_leave(e);
    return same;
}

static bool dicts_equal(jinja_run *e, const jdict *a, const jdict *b) {
    if (a->n != b->n) return false;
    jinja_enter(e);
    bool same = true;
    for (size_t i = 0; i < a->n && same; i++) {
        jinja_charge(e, 0);
        const jv *other = jdict_get(e, b, a->pairs[i].key);
        same = other && jv_equal(e, a->pairs[i].value, *other);
    }
    jinja_leave(e);
    return same;
}

bool jv_equal(jinja_run *e, jv a, jv b) {
    if (jv_number(a) && jv_number(b)) return compare_numbers(a, b) == 0;
    if (a.kind != b.kind) return false;
    switch ((jinja_kind)a.kind) {
    case JK_MISSING:
    case JK_UNDEFINED:
    case JK_NONE: return true;
    case JK_BIG:
    case JK_STRING:
        if (a.as.s->length == b.as.s->length) jinja_charge(e, a.as.s->length);
        return jstr_equal(a.as.s, b.as.s);
    case JK_LIST:
    case JK_TUPLE: return lists_equal(e, a.as.l, b.as.l);
    case JK_DICT: return a.as.d == b.as.d || dicts_equal(e, a.as.d, b.as.d);
    case JK_RANGE:
        return a.as.r->n == b.as.r->n && (a.as.r->n == 0 || (a.as.r->start == b.as.r->start &&
                                                             (a.as.r->n == 1 || a.as.r->step == b.as.r->step)));
    case JK_METHOD: return a.as.m->id == b.as.m->id && a.as.m->self.as.d == b.as.m->self.as.d;
    case JK_FUNCTION: return a.sub == b.sub;
    default: return a.as.d == b.as.d && a.sub == b.sub;
    }
}

static int compare_strings(jinja_run *e, const jstr *a, const jstr *b) {
    size_t n = a->length < b->length ? a->length : b->length;
    jinja_charge(e, n);
    int c = n ? memcmp(a->data, b->data, n) : 0; /* the order of UTF-8 is the order of code points */
    if (c) return c < 0 ? -1 : 1;
    return a->length < b->length ? -1 : a->length > b->length;
}

int jv_compare(jinja_run *e, jv a, jv b, const char *what) {
    jv_need_defined(e, a);
    jv_need_defined(e, b);
    if (a.kind == JK_BIG || b.kind == JK_BIG) jinja_big(e);
    if (jv_number(a) && jv_number(b)) return compare_numbers(a, b);
    if (a.kind == JK_STRING && b.kind == JK_STRING) return compare_strings(e, a.as.s, b.as.s);
    if (a.kind == b.kind && (a.kind == JK_LIST || a.kind == JK_TUPLE)) {
        const jlist *x = a.as.l, *y = b.as.l;
        size_t n = x->n < y->n ? x->n : y->n;
        jinja_enter(e);
        int c = 0;
        for (size_t i = 0; i < n && c == 0; i++) {
            jinja_charge(e, 0);
            if (!jv_equal(e, x->v[i], y->v[i])) {
                c = jv_compare(e, x->v[i], y->v[i], what);
                if (c == 0) c = 2;
            }
        }
        jinja_leave(e);
        return c ? c : x->n < y->n ? -1 : x->n > y->n;
    }
    jinja_bad(e, "'%s' not supported between instances of '%s' and '%s'", what, jv_type(a), jv_type(b));
}

bool jv_contains(jinja_run *e, jv container, jv item) {
    switch ((jinja_kind)container.kind) {
    case JK_STRING: {
        if (jv_is_undefined(item)) jinja_bad(e, "'in <string>' requires string as left operand, not Undefined");
        const jstr *what = jv_need_str(e, item, "the left operand of 'in' with a string");
        return jstr_find(e, container.as.s, what, 0, container.as.s->length) != SIZE_MAX;
    }
    case JK_DICT: return jdict_get(e, container.as.d, item) != NULL;
    case JK_VIEW:
        if (container.sub == 0) return jdict_get(e, container.as.d, item) != NULL;
        break;
    default: break;
    }
    jiter it;
    if (!jiter_begin(e, container, &it)) jinja_bad(e, "argument of type '%s' is not iterable", jv_type(container));
    jv x;
    while (jiter_next(e, &it, &x)) {
        jinja_charge(e, 0);
        if (jv_equal(e, x, item)) return true;
    }
    return false;
}

/* ---- iterating ---- */

int64_t jrange_at(const jrange *r, size_t i) { return r->start + (int64_t)i * r->step; }

bool jiter_begin(jinja_run *e, jv x, jiter *it) {
    (void)e;
    *it = (jiter){ .over = x };
    switch ((jinja_kind)x.kind) {
    case JK_ITER: it->given = true; return true;
    case JK_UNDEFINED:
    case JK_STRING:
    case JK_LIST:
    case JK_TUPLE:
    case JK_DICT:
    case JK_VIEW:
    case JK_RANGE: return true;
    default: return false;
    }
}

static jv view_item(jinja_run *e, const jpair *p, unsigned which, uint8_t mark) {
    if (which == 0) return p->key;
    if (which == 1) return p->value;
    jv pair = jv_pair(e, p->key, p->value);
    pair.mark = mark;
    return pair;
}

bool jiter_next(jinja_run *e, jiter *it, jv *item) {
    jinja_charge(e, 0);
    if (it->make) { /* a generator that nobody asked yet */
        jinja_enter(e);
        jv made = it->make(e, it->over, it->arguments);
        jinja_leave(e);
        *it = *made.as.it;
    }
    if (it->given) return jiter_next(e, it->over.as.it, item);
    size_t n = 0;
    if (!jv_length(it->over, &n) || it->at >= n) return false;
    size_t i = it->backwards ? n - 1 - it->at : it->at;
    it->at++;
    switch ((jinja_kind)it->over.kind) {
    case JK_STRING: {
        size_t from = it->byte;
        jstr_next(it->over.as.s, &it->byte);
        *item = jv_str(jstr_safe(e, jstr_cut(e, it->over.as.s, from, it->byte), false));
        return true;
    }
    case JK_LIST:
    case JK_TUPLE: *item = it->over.as.l->v[i]; return true;
    case JK_DICT: *item = it->over.as.d->pairs[i].key; return true;
    case JK_VIEW: *item = view_item(e, &it->over.as.d->pairs[i], it->over.sub, it->over.mark); return true;
    case JK_RANGE: *item = jv_int(jrange_at(it->over.as.r, i)); return true;
    default: return false;
    }
}

jv jv_listed(jinja_run *e, jv x) {
    jiter it;
    if (!jiter_begin(e, x, &it)) jinja_bad(e, "'%s' object is not iterable", jv_type(x));
    jvec list = { 0 };
    jv item;
    while (jiter_next(e, &it, &item)) jvec_push(e, &list, item);
    jv v = jvec_list(e, &list);
    v.mark = x.mark;
    return v;
}

jv jv_iter(jinja_run *e, jv list, bool backwards) {
    jiter *it = jinja_alloc(e, 1, sizeof *it);
    jiter_begin(e, list, it);
    it->backwards = backwards;
    return (jv){ .kind = JK_ITER, .as.it = it };
}

/* ---- text of values ---- */

size_t jinja_float_repr(char *dst, double x) {
    if (isnan(x)) return (size_t)snprintf(dst, 32, "nan");
    if (isinf(x)) return (size_t)snprintf(dst, 32, x < 0 ? "-inf" : "inf");
    char text[40], digits[20];
    int precision = 0;
    do snprintf(text, sizeof text, "%.*e", precision, x);
    while (json_strtod(text) != x && ++precision < 17);
    /* [-]d[.ddd]e+XX; the decimal point may be another character in other locales */
    const char *p = text;
    size_t n = 0, out = 0;
    if (*p == '-') dst[out++] = *p++;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') digits[n++] = *p;
    int exponent = *p ? (int)strtol(p + 1, NULL, 10) : 0;
    while (n > 1 && digits[n - 1] == '0') n--;
    if (exponent < -4 || exponent >= 16) {
        dst[out++] = digits[0];
        if (n > 1) dst[out++] = '.';
        memcpy(dst + out, digits + 1, n - 1);
        out += n - 1;
        out += (size_t)snprintf(dst + out, 8, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return out;
    }
    if (exponent < 0) {
        dst[out++] = '0';
        dst[out++] = '.';
        for (int i = -1; i > exponent; i--) dst[out++] = '0';
    }
    for (size_t i = 0; i < n; i++) {
        dst[out++] = digits[i];
        if (exponent >= 0 && i == (size_t)exponent) dst[out++] = '.';
    }
    for (int i = (int)n; i <= exponent; i++) dst[out++] = '0';
    if (exponent >= (int)n) dst[out++] = '.';
    if (dst[out - 1] == '.') dst[out++] = '0';
    dst[out] = 0;
    return out;
}

/* repr of a string: quotes, escapes, what is not printable as \x, \u, \U. */
static void add_quoted(jbuild *b, const jstr *s) {
    bool single = memchr(s->data, '\'', s->length) != NULL, twice = memchr(s->data, '"', s->length) != NULL;
    char quote = single && !twice ? '"' : '\'';
    uint8_t around = s->length ? jstr_mark(s, 0) : s->mark;
    jbuild_bytes(b, &quote, 1, around);
    for (size_t at = 0; at < s->length;) {
        size_t from = at;
        uint32_t c = jstr_next(s, &at);
        uint8_t mark = jstr_mark(s, from);
        char text[16];
        if (c == (uint32_t)quote || c == '\\') snprintf(text, sizeof text, "\\%c", (char)c);
        else if (c == '\n') snprintf(text, sizeof text, "\\n");
        else if (c == '\r') snprintf(text, sizeof text, "\\r");
        else if (c == '\t') snprintf(text, sizeof text, "\\t");
        else if (unicode_is(c, UNICODE_PRINTABLE)) {
            jbuild_cut(b, s, from, at);
            continue;
        } else if (c < 0x100) snprintf(text, sizeof text, "\\x%02x", (unsigned)c);
        else if (c < 0x10000) snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
        else snprintf(text, sizeof text, "\\U%08x", (unsigned)c);
        jbuild_text(b, text, mark);
    }
    jbuild_bytes(b, &quote, 1, around);
}

static void add_items(jbuild *b, jv x, const char *open, const char *close) {
    jbuild_text(b, open, x.mark);
    for (size_t i = 0; i < x.as.l->n; i++) {
        if (i) jbuild_text(b, ", ", x.mark);
        jv_add_repr(b, x.as.l->v[i]);
    }
    if (x.kind == JK_TUPLE && x.as.l->n == 1) jbuild_text(b, ",", x.mark);
    jbuild_text(b, close, x.mark);
}

static void add_dict(jbuild *b, jv x) {
    jbuild_text(b, "{", x.mark);
    for (size_t i = 0; i < x.as.d->n; i++) {
        if (i) jbuild_text(b, ", ", x.mark);
        jv_add_repr(b, x.as.d->pairs[i].key);
        jbuild_text(b, ": ", x.mark);
        jv_add_repr(b, x.as.d->pairs[i].value);
    }
    jbuild_text(b, "}", x.mark);
}

static void add_view(jbuild *b, jv x) {
    static const char *const names[] = { "dict_keys(", "dict_values(", "dict_items(" };
    jbuild_text(b, names[x.sub], x.mark);
    jv list = jv_listed(b->e, x);
    add_items(b, list, "[", "]");
    jbuild_text(b, ")", x.mark);
}

void jv_add_repr(jbuild *b, jv x) {
    jinja_run *e = b->e;
    char text[64];
    jinja_enter(e);
    jinja_charge(e, 0);
    switch ((jinja_kind)x.kind) {
    case JK_UNDEFINED: jbuild_text(b, "Undefined", 0); break;
    case JK_NONE: jbuild_text(b, "None", x.mark); break;
    case JK_BOOL: jbuild_text(b, x.as.b ? "True" : "False", x.mark); break;
    case JK_INT:
        snprintf(text, sizeof text, "%lld", (long long)x.as.i);
        jbuild_text(b, text, x.mark);
        break;
    case JK_BIG: jbuild_add(b, x.as.s); break;
    case JK_FLOAT:
        jinja_charge(e, FLOAT_COST);
        jbuild_bytes(b, text, jinja_float_repr(text, x.as.f), x.mark);
        break;
    case JK_STRING:
        if (x.as.s->safe) jbuild_text(b, "Markup(", 0);
        add_quoted(b, x.as.s);
        if (x.as.s->safe) jbuild_text(b, ")", 0);
        break;
    case JK_LIST: add_items(b, x, "[", "]"); break;
    case JK_TUPLE: add_items(b, x, "(", ")"); break;
    case JK_DICT: add_dict(b, x); break;
    case JK_VIEW: add_view(b, x); break;
    case JK_RANGE:
        if (x.as.r->step == 1)
            snprintf(text, sizeof text, "range(%lld, %lld)", (long long)x.as.r->start, (long long)x.as.r->stop);
        else
            snprintf(text, sizeof text, "range(%lld, %lld, %lld)", (long long)x.as.r->start, (long long)x.as.r->stop,
                     (long long)x.as.r->step);
        jbuild_text(b, text, x.mark);
        break;
    case JK_NAMESPACE:
        jbuild_text(b, "<Namespace ", 0);
        add_dict(b, x);
        jbuild_text(b, ">", 0);
        break;
    default:
        /* Python would print an address: a text that no two runs have alike */
        jinja_bad(e, "a %s is printed, which has no text", jv_type(x));
    }
    jinja_leave(e);
}

void jv_add_str(jbuild *b, jv x) {
    if (x.kind == JK_STRING) jbuild_add(b, x.as.s);
    else if (x.kind != JK_UNDEFINED) jv_add_repr(b, x);
}

const jstr *jv_to_str(jinja_run *e, jv x) {
    if (x.kind == JK_STRING) return jstr_safe(e, x.as.s, false);
    if (x.kind == JK_UNDEFINED) return &jstr_empty;
    jbuild b;
    jbuild_init(&b, e);
    jv_add_repr(&b, x);
    return jbuild_done(&b);
}
