/* json.dumps, as transformers gives it to templates. */
#include "text/jinja/engine.h"

#include <math.h>

typedef struct dump {
    jbuild *b;
    bool ascii, sort;
    const jstr *indent, *item_sep, *key_sep;
} dump;

static void dump_string(dump *d, const jstr *s) {
    jbuild *b = d->b;
    uint8_t around = s->length ? jstr_mark(s, 0) : s->mark;
    char text[16];
    jbuild_text(b, "\"", around);
    size_t from = 0;
    for (size_t at = 0; at < s->length;) {
        size_t here = at;
        uint32_t c = jstr_next(s, &at);
        bool plain = c >= 0x20 && c != '"' && c != '\\' && (c < 0x80 || !d->ascii);
        if (plain) continue;
        jbuild_cut(b, s, from, here);
        from = at;
        static const char known[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
        const char *p = c && c < 0x80 ? strchr(known, (int)c) : NULL;
        if (p) snprintf(text, sizeof text, "\\%c", letters[p - known]);
        else if (c < 0x10000) snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
        else
            snprintf(text, sizeof text, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (c >> 10)),
                     (unsigned)(0xdc00 + (c & 0x3ff)));
        jbuild_text(b, text, jstr_mark(s, here));
    }
    jbuild_cut(b, s, from, s->length);
    jbuild_text(b, "\"", around);
}

static void new_line(dump *d, size_t level, uint8_t mark) {
    if (!d->indent) return;
    jbuild_bytes(d->b, "\n", 1, mark);
    jbuild_repeat(d->b, d->indent, level);
}

static void dump_float(dump *d, double f, uint8_t mark) {
    char text[40];
    jinja_charge(d->b->e, FLOAT_COST);
    if (isnan(f)) jbuild_text(d->b, "NaN", mark);
    else if (isinf(f)) jbuild_text(d->b, f < 0 ? "-Infinity" : "Infinity", mark);
    else jbuild_bytes(d->b, text, jinja_float_repr(text, f), mark);
}

static void dump_value(dump *d, jv x, size_t level);

static void separate(dump *d, const jstr *separator, uint8_t mark) {
    uint8_t own = separator->marks ? JM_USER : separator->mark;
    jbuild_bytes(d->b, separator->data, separator->length, mark | own);
}

static void dump_list(dump *d, jv x, size_t level) {
    const jlist *l = x.as.l;
    jbuild_text(d->b, "[", x.mark);
    for (size_t i = 0; i < l->n; i++) {
        if (i) separate(d, d->item_sep, x.mark);
        new_line(d, level + 1, x.mark);
        dump_value(d, l->v[i], level + 1);
    }
    if (l->n) new_line(d, level, x.mark);
    jbuild_text(d->b, "]", x.mark);
}

/* Members by key, as sorted() puts them. */
static jpair *sorted(jinja_run *e, const jdict *map) {
    jpair *a = jinja_alloc(e, map->n + 1, sizeof *a), *b = jinja_alloc(e, map->n + 1, sizeof *b);
    if (map->n) memcpy(a, map->pairs, map->n * sizeof *a);
    for (size_t run = 1; run < map->n; run *= 2) {
        for (size_t from = 0; from < map->n; from += 2 * run) {
            size_t i = from, middle = from + run < map->n ? from + run : map->n;
            size_t j = middle, end = from + 2 * run < map->n ? from + 2 * run : map->n;
            for (size_t k = from; k < end; k++)
                if (j >= end || (i < middle && jv_compare(e, a[j].key, a[i].key, "<") >= 0)) b[k] = a[i++];
                else b[k] = a[j++];
        }
        jpair *t = a;
        a = b;
        b = t;
    }
    return a;
}

static void dump_key(dump *d, jv key) {
    jbuild *b = d->b;
    switch ((jinja_kind)key.kind) {
    case JK_STRING: dump_string(d, key.as.s); return;
    case JK_NONE:
    case JK_BOOL:
    case JK_INT:
    case JK_BIG:
    case JK_FLOAT:
        jbuild_text(b, "\"", key.mark);
        dump_value(d, key, 0);
        jbuild_text(b, "\"", key.mark);
        return;
    default: jinja_bad(b->e, "keys must be str, int, float, bool or None, not %s", jv_type(key));
    }
}

static void dump_dict(dump *d, jv x, size_t level) {
    const jdict *map = x.as.d;
    const jpair *pairs = d->sort ? sorted(d->b->e, map) : map->pairs;
    jbuild_text(d->b, "{", x.mark);
    for (size_t i = 0; i < map->n; i++) {
        if (i) separate(d, d->item_sep, x.mark);
        new_line(d, level + 1, x.mark);
        dump_key(d, pairs[i].key);
        separate(d, d->key_sep, x.mark);
        dump_value(d, pairs[i].value, level + 1);
    }
    if (map->n) new_line(d, level, x.mark);
    jbuild_text(d->b, "}", x.mark);
}

static void dump_value(dump *d, jv x, size_t level) {
    jbuild *b = d->b;
    char text[32];
    jinja_enter(b->e);
    jinja_charge(b->e, 0);
    switch ((jinja_kind)x.kind) {
    case JK_NONE: jbuild_text(b, "null", x.mark); break;
    case JK_BOOL: jbuild_text(b, x.as.b ? "true" : "false", x.mark); break;
    case JK_INT:
        snprintf(text, sizeof text, "%lld", (long long)x.as.i);
        jbuild_text(b, text, x.mark);
        break;
    case JK_BIG: jbuild_add(b, x.as.s); break;
    case JK_FLOAT: dump_float(d, x.as.f, x.mark); break;
    case JK_STRING: dump_string(d, x.as.s); break;
    case JK_LIST:
    case JK_TUPLE: dump_list(d, x, level); break;
    case JK_DICT: dump_dict(d, x, level); break;
    default: jinja_bad(b->e, "object of type %s is not JSON serializable", jv_type(x));
    }
    jinja_leave(b->e);
}

void jinja_json(jbuild *b, jv x, bool ascii, const jstr *indent, const jstr *item_sep, const jstr *key_sep, bool sort) {
    dump d = { .b = b, .ascii = ascii, .sort = sort, .indent = indent, .item_sep = item_sep, .key_sep = key_sep };
    dump_value(&d, x, 0);
}
