/* The filters of jinja2, and transformers' own tojson.
 *
 * What is a generator in jinja2 (map, select, batch, ...) is made whole here when its first item is wanted, and handed
 * out once, forward. A template sees the difference only where an item that it never looks at makes the filter fail. */
#include "text/jinja/engine.h"
#include "text/jinja/unicode.h"

#include <math.h>

static const jstr *soft(jinja_run *e, jv x) { return x.kind == JK_STRING ? x.as.s : jv_to_str(e, x); }

static jv no_arguments(jinja_run *e, const jargs *a, const char *name) {
    jinja_bind_args(e, name, a, "", NULL);
    return jv_none();
}

/* ---- attributes ---- */

static bool all_digits(const jstr *s) {
    for (size_t at = 0; at < s->length;)
        if (!unicode_is(jstr_next(s, &at), UNICODE_DIGIT)) return false;
    return s->length > 0;
}

/* "a.b.0" of an item; the item itself where `path` is none. */
static jv attribute_of(jinja_run *e, jv item, jv path, jv fallback) {
    if (path.kind == JK_NONE || path.kind == JK_MISSING) return item;
    if (path.kind != JK_STRING) {
        item = jinja_getitem(e, item, path);
        return jv_is_undefined(item) && jv_given_some(fallback) ? fallback : item;
    }
    static const jstr dot = { ".", 1, 1, NULL, 0, false, NULL };
    jv parts = jinja_split(e, path.as.s, &dot, -1);
    for (size_t i = 0; i < parts.as.l->n; i++) {
        jv part = parts.as.l->v[i];
        int64_t number;
        if (all_digits(part.as.s) && jinja_parse_int(e, part.as.s, 10, &number)) part = jv_int(number);
        item = jinja_getitem(e, item, part);
        if (jv_is_undefined(item) && jv_given_some(fallback)) item = fallback;
    }
    return item;
}

static jv fold_case(jinja_run *e, jv x) {
    return x.kind == JK_STRING ? jv_str(jinja_convert(e, x.as.s, UNICODE_TO_LOWER)) : x;
}

/* The key by which sort, unique, ... look at an item. */
static jv key_of(jinja_run *e, jv item, jv attribute, jv sensitive, jv fallback) {
    jv key = attribute_of(e, item, attribute, fallback);
    return jv_given(sensitive) && jv_truth(sensitive) ? key : fold_case(e, key);
}

/* ---- sorting ---- */

/* Stable, by merging. Items and keys move together. */
static void sort_by(jinja_run *e, jv *items, jv *keys, size_t n, bool reverse) {
    jv *to_items = jinja_alloc(e, n + 1, sizeof *to_items), *to_keys = jinja_alloc(e, n + 1, sizeof *to_keys);
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t from = 0; from < n; from += 2 * run) {
            size_t i = from, middle = n - from > run ? from + run : n, j = middle;
            size_t end = n - from > 2 * run ? from + 2 * run : n;
            for (size_t k = from; k < end; k++) {
                bool right = i >= middle;
                if (!right && j < end) {
                    right = (reverse ? jv_compare(e, keys[i], keys[j], "<") : jv_compare(e, keys[j], keys[i], "<")) < 0;
                }
                size_t pick = right ? j++ : i++;
                to_items[k] = items[pick];
                to_keys[k] = keys[pick];
                jinja_charge(e, 0);
            }
        }
        memcpy(items, to_items, n * sizeof *items);
        memcpy(keys, to_keys, n * sizeof *keys);
    }
}

/* An argument that Python wants as an integer and uses as a flag. */
static bool flag(jinja_run *e, jv x, const char *what) { return jv_given(x) && jv_need_int(e, x, what) != 0; }

static jv f_sort(jinja_run *e, jv x, const jargs *a) {
    jv v[3], list = jv_listed(e, x);
    jinja_bind_args(e, "sort", a, "reverse case_sensitive attribute", v);
    size_t n = list.as.l->n;
    jv *keys = jinja_alloc(e, n + 1, sizeof *keys);
    static const jstr comma = { ",", 1, 1, NULL, 0, false, NULL };
    jv paths = v[2].kind == JK_STRING ? jinja_split(e, v[2].as.s, &comma, -1) : jv_kind(JK_MISSING);
    for (size_t i = 0; i < n; i++) {
        if (paths.kind != JK_LIST || paths.as.l->n == 1) {
            keys[i] = key_of(e, list.as.l->v[i], v[2], v[1], jv_none());
            continue;
        }
        keys[i] = jv_list(e, paths.as.l->n);
        for (size_t k = 0; k < paths.as.l->n; k++)
            jv_items(keys[i])[k] = key_of(e, list.as.l->v[i], paths.as.l->v[k], v[1], jv_none());
    }
    sort_by(e, jv_items(list), keys, n, flag(e, v[0], "reverse"));
    return list;
}

jv jinja_sorted_items(jinja_run *e, jv dict) {
    jv list = jv_listed(e, (jv){ .kind = JK_VIEW, .sub = 2, .mark = dict.mark, .as.d = dict.as.d });
    size_t n = list.as.l->n;
    jv *keys = jinja_alloc(e, n + 1, sizeof *keys);
    for (size_t i = 0; i < n; i++) keys[i] = list.as.l->v[i].as.l->v[0];
    sort_by(e, jv_items(list), keys, n, false);
    return list;
}

static jv f_dictsort(jinja_run *e, jv x, const jargs *a) {
    jv v[3];
    jinja_bind_args(e, "dictsort", a, "case_sensitive by reverse", v);
    unsigned by = 0;
    if (jv_given(v[1])) {
        const jstr *word = jv_need_str(e, v[1], "the argument 'by' of dictsort");
        by = jstr_is(word, "value");
        if (!by && !jstr_is(word, "key")) jinja_bad(e, "you can only sort by either \"key\" or \"value\"");
    }
    jv_need_defined(e, x);
    if (x.kind != JK_DICT) jinja_bad(e, "'%s' object has no attribute 'items'", jv_type(x));
    jv list = jv_listed(e, (jv){ .kind = JK_VIEW, .sub = 2, .mark = x.mark, .as.d = x.as.d });
    size_t n = list.as.l->n;
    jv *keys = jinja_alloc(e, n + 1, sizeof *keys);
    for (size_t i = 0; i < n; i++) keys[i] = key_of(e, list.as.l->v[i].as.l->v[by], jv_none(), v[0], jv_none());
    sort_by(e, jv_items(list), keys, n, flag(e, v[2], "reverse"));
    return list;
}

static jv f_groupby(jinja_run *e, jv x, const jargs *a) {
    jv v[3], list = jv_listed(e, x);
    jinja_bind_args(e, "groupby", a, "!attribute default case_sensitive", v);
    size_t n = list.as.l->n;
    jv *keys = jinja_alloc(e, n + 1, sizeof *keys);
    for (size_t i = 0; i < n; i++) keys[i] = key_of(e, list.as.l->v[i], v[0], v[2], v[1]);
    sort_by(e, jv_items(list), keys, n, false);
    jvec groups = { 0 };
    bool sensitive = jv_given(v[2]) && jv_truth(v[2]);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && jv_equal(e, keys[j], keys[i]); j++) continue;
        jv group = jv_list(e, j - i);
        memcpy(jv_items(group), list.as.l->v + i, (j - i) * sizeof(jv));
        jv pair = jv_pair(e, sensitive ? keys[i] : attribute_of(e, list.as.l->v[i], v[0], v[1]), group);
        pair.sub = 1;
        jvec_push(e, &groups, pair);
    }
    return jvec_list(e, &groups);
}

static jv f_unique(jinja_run *e, jv x, const jargs *a) {
    jv v[2], item;
    jinja_bind_args(e, "unique", a, "case_sensitive attribute", v);
    jv list = jv_listed(e, x);
    jvec out = { 0 };
    jdict *seen = jdict_new(e);
    for (size_t i = 0; i < list.as.l->n; i++) {
        item = list.as.l->v[i];
        jv key = key_of(e, item, v[1], v[0], jv_none());
        if (jdict_get(e, seen, key)) continue;
        jdict_set(e, seen, key, jv_none());
        jvec_push(e, &out, item);
    }
    return jv_iter(e, jvec_list(e, &out), false);
}

static jv extreme(jinja_run *e, jv x, const jargs *a, bool most) {
    jv v[2], list = jv_listed(e, x);
    jinja_bind_args(e, most ? "max" : "min", a, "case_sensitive attribute", v);
    if (list.as.l->n == 0) return jv_undefined(e, "no aggregated item, sequence was empty");
    jv best = list.as.l->v[0], best_key = key_of(e, best, v[1], v[0], jv_none());
    for (size_t i = 1; i < list.as.l->n; i++) {
        jv key = key_of(e, list.as.l->v[i], v[1], v[0], jv_none());
        int c = jv_compare(e, key, best_key, most ? ">" : "<");
        if (c == 2 || (most ? c <= 0 : c >= 0)) continue;
        best = list.as.l->v[i];
        best_key = key;
    }
    return best;
}

static jv f_min(jinja_run *e, jv x, const jargs *a) { return extreme(e, x, a, false); }
static jv f_max(jinja_run *e, jv x, const jargs *a) { return extreme(e, x, a, true); }

/* ---- sequences ---- */

static jv f_length(jinja_run *e, jv x, const jargs *a) {
    size_t n;
    no_arguments(e, a, "length");
    if (!jv_length(x, &n)) jinja_bad(e, "object of type '%s' has no len()", jv_type(x));
    return jv_int((int64_t)n);
}

static jv f_first(jinja_run *e, jv x, const jargs *a) {
    jiter it;
    jv item;
    no_arguments(e, a, "first");
    if (!jiter_begin(e, x, &it)) jinja_bad(e, "'%s' object is not iterable", jv_type(x));
    return jiter_next(e, &it, &item) ? item : jv_undefined(e, "no first item, sequence was empty");
}

static jv f_last(jinja_run *e, jv x, const jargs *a) {
    size_t n;
    no_arguments(e, a, "last");
    if (!jv_length(x, &n)) jinja_bad(e, "'%s' object is not reversible", jv_type(x));
    if (n == 0) return jv_undefined(e, "no last item, sequence was empty");
    if (x.kind == JK_DICT || x.kind == JK_VIEW) return jv_listed(e, x).as.l->v[n - 1];
    return jinja_getitem(e, x, jv_int(-1));
}

static jv f_list(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "list");
    return jv_listed(e, x);
}

static jv f_reverse(jinja_run *e, jv x, const jargs *a) {
    size_t n;
    no_arguments(e, a, "reverse");
    if (x.kind == JK_STRING) return jinja_slice(e, x, jv_none(), jv_none(), jv_int(-1));
    jv list = jv_listed(e, x);
    if (jv_length(x, &n)) return jv_iter(e, list, true);
    n = list.as.l->n;
    for (size_t i = 0; i < n / 2; i++) {
        jv t = jv_items(list)[i];
        jv_items(list)[i] = jv_items(list)[n - 1 - i];
        jv_items(list)[n - 1 - i] = t;
    }
    return list;
}

static jv f_items(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "items");
    if (jv_is_undefined(x)) return jv_iter(e, jv_list(e, 0), false);
    if (x.kind != JK_DICT) jinja_bad(e, "can only get item pairs from a mapping");
    return jv_iter(e, (jv){ .kind = JK_VIEW, .sub = 2, .mark = x.mark, .as.d = x.as.d }, false);
}

static jv f_join(jinja_run *e, jv x, const jargs *a) {
    jv v[2];
    jinja_bind_args(e, "join", a, "d attribute", v);
    if (jv_given_some(v[1])) {
        x = jv_listed(e, x);
        for (size_t i = 0; i < x.as.l->n; i++)
            jv_items(x)[i] = attribute_of(e, x.as.l->v[i], v[1], jv_none());
    }
    return jv_str(jinja_join(e, jv_given(v[0]) ? jv_to_str(e, v[0]) : &jstr_empty, x, false));
}

static jv f_batch(jinja_run *e, jv x, const jargs *a) {
    jv v[2], list = jv_listed(e, x);
    jinja_bind_args(e, "batch", a, "!linecount fill_with", v);
    /* compared with a length: what is no number never equals one, and cannot be filled up to */
    int64_t count = v[0].kind == JK_INT || v[0].kind == JK_BOOL ? jv_integer(v[0]) : -1;
    jvec out = { 0 }, row = { 0 };
    for (size_t i = 0; i < list.as.l->n; i++) {
        if ((int64_t)row.n == count) { /* a count of 0: an empty batch, then one of all */
            jvec_push(e, &out, jvec_list(e, &row));
            row = (jvec){ 0 };
        }
        jvec_push(e, &row, list.as.l->v[i]);
    }
    if (row.n) {
        if (jv_given_some(v[1])) jv_need_int(e, v[0], "the argument of batch");
        for (; jv_given_some(v[1]) && (int64_t)row.n < count; jvec_push(e, &row, v[1])) jinja_charge(e, 0);
        jvec_push(e, &out, jvec_list(e, &row));
    }
    return jv_iter(e, jvec_list(e, &out), false);
}

static jv f_slice(jinja_run *e, jv x, const jargs *a) {
    jv v[2], list = jv_listed(e, x);
    jinja_bind_args(e, "slice", a, "!slices fill_with", v);
    int64_t slices = jv_need_int(e, v[0], "the argument of slice");
    if (slices == 0) jinja_bad(e, "division by zero");
    size_t n = list.as.l->n, at = 0;
    jvec out = { 0 };
    for (int64_t i = 0; i < slices; i++) {
        size_t size = n / (size_t)slices + ((size_t)i < n % (size_t)slices);
        jvec row = { 0 };
        for (size_t k = 0; k < size; k++) jvec_push(e, &row, list.as.l->v[at++]);
        if (jv_given_some(v[1]) && (size_t)i >= n % (size_t)slices) jvec_push(e, &row, v[1]);
        jinja_charge(e, 0);
        jvec_push(e, &out, jvec_list(e, &row));
    }
    return jv_iter(e, jvec_list(e, &out), false);
}

static jv f_sum(jinja_run *e, jv x, const jargs *a) {
    jv v[2], list = jv_listed(e, x);
    jinja_bind_args(e, "sum", a, "attribute start", v);
    jv total = jv_given(v[1]) ? v[1] : jv_int(0);
    if (total.kind == JK_STRING) jinja_bad(e, "sum() can't sum strings");
    for (size_t i = 0; i < list.as.l->n; i++)
        total = jinja_binary(e, JT_ADD, total, attribute_of(e, list.as.l->v[i], v[0], jv_none()));
    return total;
}

/* ---- map, select ---- */

static jargs without_first(const jargs *a, size_t n) {
    return (jargs){ a->n > n ? a->v + n : NULL, a->n > n ? a->n - n : 0, a->kw, a->n_kw };
}

static jv f_map(jinja_run *e, jv x, const jargs *a) {
    jv v[2] = { jv_kind(JK_MISSING), jv_kind(JK_MISSING) };
    jvec out = { 0 };
    if (!jv_truth(x)) return jv_iter(e, jvec_list(e, &out), false);
    jv list = jv_listed(e, x);
    bool by_attribute = false;
    for (size_t i = 0; i < a->n_kw; i++) by_attribute = by_attribute || jstr_is(a->kw[i].key.as.s, "attribute");
    if (a->n == 0 && by_attribute) {
        jinja_bind_args(e, "map", a, "attribute default", v);
        for (size_t i = 0; i < list.as.l->n; i++)
            jvec_push(e, &out, attribute_of(e, list.as.l->v[i], v[0], v[1]));
        return jv_iter(e, jvec_list(e, &out), false);
    }
    if (a->n == 0) jinja_bad(e, "map requires a filter argument");
    int id = a->v[0].kind == JK_STRING ? jinja_filter_id(a->v[0].as.s) : -1;
    jargs rest = without_first(a, 1);
    for (size_t i = 0; i < list.as.l->n; i++) {
        if (id < 0) jinja_bad(e, "no such filter for map");
        jvec_push(e, &out, jinja_apply_filter(e, id, list.as.l->v[i], &rest));
    }
    return jv_iter(e, jvec_list(e, &out), false);
}

static jv choose(jinja_run *e, jv x, const jargs *a, bool by_attribute, bool wanted) {
    jvec out = { 0 };
    if (!jv_truth(x)) return jv_iter(e, jvec_list(e, &out), false);
    jv list = jv_listed(e, x);
    size_t used = by_attribute;
    if (a->n < used) jinja_bad(e, "missing parameter for attribute name");
    bool tested = a->n > used;
    int id = tested && a->v[used].kind == JK_STRING ? jinja_test_id(a->v[used].as.s) : -1;
    jargs rest = without_first(a, used + 1);
    for (size_t i = 0; i < list.as.l->n; i++) {
        jv item = list.as.l->v[i], seen = by_attribute ? attribute_of(e, item, a->v[0], jv_none()) : item;
        if (tested && id < 0) jinja_bad(e, "no such test");
        bool good = tested ? jinja_apply_test(e, id, seen, &rest) : jv_truth(seen);
        if (good == wanted) jvec_push(e, &out, item);
    }
    return jv_iter(e, jvec_list(e, &out), false);
}

static jv f_select(jinja_run *e, jv x, const jargs *a) { return choose(e, x, a, false, true); }
static jv f_reject(jinja_run *e, jv x, const jargs *a) { return choose(e, x, a, false, false); }
static jv f_selectattr(jinja_run *e, jv x, const jargs *a) { return choose(e, x, a, true, true); }
static jv f_rejectattr(jinja_run *e, jv x, const jargs *a) { return choose(e, x, a, true, false); }

/* ---- text ---- */

static jv f_upper(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "upper");
    return jv_str(jinja_convert(e, soft(e, x), UNICODE_TO_UPPER));
}

static jv f_lower(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "lower");
    return jv_str(jinja_convert(e, soft(e, x), UNICODE_TO_LOWER));
}

static jv f_capitalize(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "capitalize");
    return jv_str(jinja_capitalize(e, soft(e, x)));
}

static bool splits_words(uint32_t c) {
    return unicode_space(c) || (c && c < 0x80 && strchr("-({[<", (int)c));
}

/* Not str.title: words begin behind white space, hyphens and opening brackets alone. */
static jv f_title(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "title");
    const jstr *s = soft(e, x);
    jbuild b;
    jbuild_init(&b, e);
    for (size_t at = 0; at < s->length;) {
        size_t from = at, next = at;
        jstr_next(s, &at);
        jbuild_add(&b, jinja_convert(e, jstr_cut(e, s, from, at), UNICODE_TO_UPPER));
        size_t first = from;
        bool between = splits_words(jstr_next(s, &first));
        from = next = at;
        while (next < s->length && splits_words(jstr_next(s, &next)) == between) at = next;
        jbuild_add(&b, jinja_convert(e, jstr_cut(e, s, from, at), UNICODE_TO_LOWER));
    }
    return jv_str(jbuild_done(&b));
}

static jv f_trim(jinja_run *e, jv x, const jargs *a) {
    jv chars;
    jinja_bind_args(e, "trim", a, "chars", &chars);
    const jstr *set = jv_given_some(chars) ? jv_need_str(e, chars, "the argument of trim") : NULL;
    return jv_str(jinja_strip(e, soft(e, x), set, true, true));
}

static jv f_string(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "string");
    return jv_str(soft(e, x));
}

static jv f_replace(jinja_run *e, jv x, const jargs *a) {
    jv v[3];
    jinja_bind_args(e, "replace", a, "!old !new count", v);
    int64_t count = jv_given_some(v[2]) ? jv_need_int(e, v[2], "the count of replace") : -1;
    return jv_str(jinja_replace(e, jv_to_str(e, x), jv_to_str(e, v[0]), jv_to_str(e, v[1]), count));
}

static jv f_indent(jinja_run *e, jv x, const jargs *a) {
    jv v[3];
    jinja_bind_args(e, "indent", a, "width first blank", v);
    const jstr *s = jv_need_str(e, x, "what is indented");
    bool first = jv_given(v[1]) && jv_truth(v[1]), blank = jv_given(v[2]) && jv_truth(v[2]);
    const jstr *by;
    if (v[0].kind == JK_STRING) {
        by = v[0].as.s;
    } else {
        static const jstr space = { " ", 1, 1, NULL, 0, false, NULL };
        int64_t width = jv_given(v[0]) ? jv_need_int(e, v[0], "the width of indent") : 4;
        jbuild spaces;
        jbuild_init(&spaces, e);
        jbuild_repeat(&spaces, &space, width > 0 ? (size_t)width : 0);
        by = jbuild_done(&spaces);
    }
    jbuild b;
    jbuild_init(&b, e);
    jbuild_add(&b, s);
    jbuild_text(&b, "\n", 0); /* jinja2's way to keep an empty last line */
    jv lines = jinja_split_lines(e, jbuild_done(&b), false);
    jbuild_init(&b, e);
    if (first) jbuild_add(&b, by);
    for (size_t i = 0; i < lines.as.l->n; i++) {
        const jstr *line = lines.as.l->v[i].as.s;
        if (i) jbuild_text(&b, "\n", 0);
        if (i && (line->length || blank)) jbuild_add(&b, by);
        jbuild_add(&b, line);
    }
    return jv_str(jstr_safe(e, jbuild_done(&b), s->safe));
}

static jv f_center(jinja_run *e, jv x, const jargs *a) {
    jv width;
    jinja_bind_args(e, "center", a, "width", &width);
    int64_t n = jv_given(width) ? jv_need_int(e, width, "the width of center") : 80;
    return jv_str(jinja_center(e, soft(e, x), n, ' ', 0));
}

static jv f_truncate(jinja_run *e, jv x, const jargs *a) {
    jv v[4];
    jinja_bind_args(e, "truncate", a, "length killwords end leeway", v);
    size_t n;
    int64_t length = jv_given(v[0]) ? jv_need_int(e, v[0], "the length of truncate") : 255;
    const jstr *end = jv_given(v[2]) ? jv_need_str(e, v[2], "the end of truncate") : jstr_of(e, "...", 3, 0);
    int64_t leeway = jv_given_some(v[3]) ? jv_need_int(e, v[3], "the leeway of truncate") : 5;
    if (length < (int64_t)end->chars) jinja_bad(e, "truncate: the length is less than that of its end");
    if (leeway < 0) jinja_bad(e, "truncate: the leeway is negative");
    if (jv_length(x, &n) && ((int64_t)n <= length || (int64_t)n - length <= leeway)) return x;
    const jstr *s = jv_need_str(e, x, "what is truncated");
    const jstr *cut = jstr_cut(e, s, 0, jstr_offset(e, s, (size_t)length - end->chars));
    if (!jv_given(v[1]) || !jv_truth(v[1])) {
        static const jstr space = { " ", 1, 1, NULL, 0, false, NULL };
        size_t at = jstr_find_last(e, cut, &space, 0, cut->length);
        if (at != SIZE_MAX) cut = jstr_cut(e, cut, 0, at);
    }
    return jinja_binary(e, JT_ADD, jv_str(cut), jv_str(end));
}

static jv f_wordcount(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "wordcount");
    const jstr *s = soft(e, x);
    int64_t n = 0;
    bool in = false;
    jinja_charge(e, s->length * 16);
    for (size_t at = 0; at < s->length;) {
        uint32_t c = jstr_next(s, &at);
        bool word = c == '_' || unicode_alnum(c);
        n += word && !in;
        in = word;
    }
    return jv_int(n);
}

static jv f_format(jinja_run *e, jv x, const jargs *a) {
    if (a->n && a->n_kw) jinja_bad(e, "can't handle positional and keyword arguments at the same time");
    jv value = jv_tuple(e, a->n);
    if (a->n) memcpy(jv_items(value), a->v, a->n * sizeof(jv));
    if (a->n_kw) {
        value = jv_dict(e);
        for (size_t i = 0; i < a->n_kw; i++) jdict_set(e, value.as.d, a->kw[i].key, a->kw[i].value);
    }
    return jinja_percent(e, soft(e, x), value);
}

static jv f_safe(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "safe");
    return jv_str(jstr_safe(e, soft(e, x), true));
}

static jv f_escape(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "escape");
    return jv_str(jinja_escape_html(e, x));
}

static jv f_forceescape(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "forceescape");
    return jv_str(jinja_escape_html(e, jv_str(jv_to_str(e, x))));
}

static jv f_tojson(jinja_run *e, jv x, const jargs *a) {
    jv v[4];
    jinja_bind_args(e, "tojson", a, "ensure_ascii indent separators sort_keys", v);
    const jstr *indent = NULL, *item_sep = jstr_of(e, ", ", 2, 0), *key_sep = jstr_of(e, ": ", 2, 0);
    if (v[1].kind == JK_STRING) {
        indent = v[1].as.s;
    } else if (jv_given_some(v[1])) {
        static const jstr space = { " ", 1, 1, NULL, 0, false, NULL };
        int64_t n = jv_need_int(e, v[1], "the indent of tojson");
        jbuild b;
        jbuild_init(&b, e);
        jbuild_repeat(&b, &space, n > 0 ? (size_t)n : 0);
        indent = jbuild_done(&b);
    }
    if (indent) item_sep = jstr_of(e, ",", 1, 0);
    if (jv_given_some(v[2])) {
        jv pair = jv_listed(e, v[2]);
        if (pair.as.l->n != 2) jinja_bad(e, "tojson: separators are two texts");
        item_sep = jv_need_str(e, pair.as.l->v[0], "a separator of tojson");
        key_sep = jv_need_str(e, pair.as.l->v[1], "a separator of tojson");
    }
    jbuild b;
    jbuild_init(&b, e);
    jinja_json(&b, x, jv_given(v[0]) && jv_truth(v[0]), indent, item_sep, key_sep, jv_given(v[3]) && jv_truth(v[3]));
    return jv_str(jbuild_done(&b));
}

/* ---- numbers and others ---- */

static jv f_default(jinja_run *e, jv x, const jargs *a) {
    jv v[2];
    jinja_bind_args(e, "default", a, "default_value boolean", v);
    bool any = jv_given(v[1]) && jv_truth(v[1]);
    if (!jv_is_undefined(x) && !(any && !jv_truth(x))) return x;
    return jv_given(v[0]) ? v[0] : jv_str(&jstr_empty);
}

static jv f_abs(jinja_run *e, jv x, const jargs *a) {
    no_arguments(e, a, "abs");
    jv_need_defined(e, x);
    if (x.kind == JK_FLOAT) {
        x.as.f = fabs(x.as.f);
        return x;
    }
    int64_t i = jv_need_int(e, x, "the operand of abs");
    if (i == INT64_MIN) jinja_big(e);
    return (jv){ .kind = JK_INT, .mark = x.mark, .as.i = i < 0 ? -i : i };
}

uint8_t jinja_number_mark(jv x) {
    if (x.kind != JK_STRING) return x.mark;
    return x.as.s->marks ? JM_USER : x.as.s->mark & JM_USER;
}

static jv f_int(jinja_run *e, jv x, const jargs *a) {
    jv v[2];
    jinja_bind_args(e, "int", a, "default base", v);
    jv_need_defined(e, x);
    jv r = jv_given(v[0]) ? v[0] : jv_int(0);
    double f = 0;
    if (x.kind == JK_BIG) return x;
    if (x.kind == JK_INT || x.kind == JK_BOOL) {
        r = jv_int(jv_integer(x));
    } else if (x.kind == JK_FLOAT || x.kind == JK_STRING) {
        bool whole = !jv_given(v[1]) || v[1].kind == JK_INT || v[1].kind == JK_BOOL; /* else int() fails: no error */
        int64_t base = jv_given(v[1]) && whole ? jv_integer(v[1]) : 10, i;
        whole = whole && (base == 0 || (base >= 2 && base <= 36));
        if (x.kind == JK_STRING && whole && jinja_parse_int(e, x.as.s, base, &i)) {
            r = jv_int(i);
        } else {
            if (x.kind == JK_FLOAT) f = x.as.f;
            else if (!jinja_parse_float(e, x.as.s, &f)) f = NAN;
            if (isinf(f) && x.kind == JK_FLOAT) jinja_bad(e, "cannot convert float infinity to integer");
            if (isfinite(f)) {
                if (!(fabs(f) < 0x1p63)) jinja_big(e);
                r = jv_int((int64_t)f);
            }
        }
    }
    r.mark |= jinja_number_mark(x);
    return r;
}

static jv f_float(jinja_run *e, jv x, const jargs *a) {
    jv fallback;
    jinja_bind_args(e, "float", a, "default", &fallback);
    jv_need_defined(e, x);
    if (x.kind == JK_BIG) jinja_big(e);
    jv r = jv_given(fallback) ? fallback : jv_float(0);
    double f;
    if (jv_number(x)) r = jv_float(jv_double(x));
    else if (x.kind == JK_STRING && jinja_parse_float(e, x.as.s, &f)) r = jv_float(f);
    r.mark |= jinja_number_mark(x);
    return r;
}

static jv f_round(jinja_run *e, jv x, const jargs *a) {
    jv v[2], r;
    jinja_bind_args(e, "round", a, "precision method", v);
    bool whole = v[0].kind == JK_NONE; /* round(2.5, None) is an int */
    int64_t digits = jv_given_some(v[0]) ? jv_need_int(e, v[0], "the precision of round") : 0;
    const jstr *method = jv_given(v[1]) ? jv_need_str(e, v[1], "the method of round") : jstr_of(e, "common", 6, 0);
    jv_need_defined(e, x);
    if (x.kind == JK_BIG) jinja_big(e);
    if (!jstr_is(method, "common") && !jstr_is(method, "ceil") && !jstr_is(method, "floor"))
        jinja_bad(e, "method must be common, ceil or floor");
    jinja_charge(e, x.kind == JK_FLOAT ? 8 * FLOAT_COST : 0);
    if (!jv_number(x)) jinja_bad(e, "type %s doesn't define __round__ method", jv_type(x));
    if (whole && !jstr_is(method, "common")) jinja_bad(e, "the precision of round must be an integer, not NoneType");
    if (!jstr_is(method, "common")) {
        double scale = pow(10, (double)digits), scaled = jv_double(x) * scale;
        if (!isfinite(scaled)) jinja_bad(e, "cannot convert float infinity or NaN to integer");
        r = jv_float((jstr_is(method, "ceil") ? ceil(scaled) : floor(scaled)) / scale);
    } else if (x.kind == JK_FLOAT && whole) {
        if (!isfinite(x.as.f)) jinja_bad(e, "cannot convert float infinity or NaN to integer");
        if (!(fabs(x.as.f) < 0x1p63)) jinja_big(e);
        r = jv_int((int64_t)jinja_round(x.as.f, 0));
    } else if (x.kind == JK_FLOAT) {
        r = jv_float(jinja_round(x.as.f, digits));
    } else if (digits >= 0) {
        r = jv_int(jv_integer(x));
    } else { /* half to even at a power of ten */
        int64_t i = jv_integer(x), unit = 1, rest, low;
        for (int64_t k = digits; k < 0 && unit <= INT64_MAX / 20; k++) unit *= 10;
        if (digits < -18) return (jv){ .kind = JK_INT, .mark = x.mark };
        rest = i % unit;
        if (rest < 0) rest += unit;
        low = i - rest;
        bool up = rest * 2 > unit || (rest * 2 == unit && (low / unit) % 2 != 0);
        if (up && __builtin_add_overflow(low, unit, &low)) jinja_big(e);
        r = jv_int(low);
    }
    r.mark = x.mark;
    return r;
}

static jv f_attr(jinja_run *e, jv x, const jargs *a) {
    jv name, out;
    jinja_bind_args(e, "attr", a, "!name", &name);
    const jstr *s = jv_need_str(e, name, "the argument of attr");
    jv_need_defined(e, x);
    if (s->length > 2 && memcmp(s->data, "__", 2) == 0) return jv_unsafe(e, x, s);
    return jinja_attribute(e, x, s, &out) ? out : jv_undefined_name(e, jv_type(x), s);
}

static jv f_unsupported(jinja_run *e, jv x, const jargs *a) {
    (void)x, (void)a;
    jinja_fail(e, TOLA_E_UNSUPPORTED, "this filter is not supported");
}

static const struct {
    const char *name;
    jv (*run)(jinja_run *e, jv x, const jargs *a);
} filters[] = {
    { "abs", f_abs }, { "attr", f_attr }, { "capitalize", f_capitalize }, { "center", f_center },
    { "count", f_length }, { "d", f_default }, { "default", f_default }, { "dictsort", f_dictsort },
    { "e", f_escape }, { "escape", f_escape }, { "filesizeformat", jinja_filesizeformat }, { "first", f_first },
    { "float", f_float }, { "forceescape", f_forceescape }, { "format", f_format }, { "groupby", f_groupby },
    { "indent", f_indent }, { "int", f_int }, { "join", f_join }, { "last", f_last }, { "length", f_length },
    { "list", f_list }, { "lower", f_lower }, { "max", f_max }, { "min", f_min }, { "pprint", jinja_pprint },
    { "random", f_unsupported }, { "replace", f_replace }, { "reverse", f_reverse }, { "round", f_round },
    { "safe", f_safe }, { "sort", f_sort }, { "string", f_string }, { "striptags", f_unsupported }, { "sum", f_sum },
    { "title", f_title }, { "tojson", f_tojson }, { "trim", f_trim }, { "truncate", f_truncate },
    { "upper", f_upper }, { "urlencode", jinja_urlencode }, { "urlize", f_unsupported }, { "wordcount", f_wordcount },
    { "wordwrap", jinja_wordwrap }, { "xmlattr", jinja_xmlattr },
};

/* Those that jinja2 begins to run when their first item is wanted. */
static const struct {
    const char *name;
    jv (*run)(jinja_run *e, jv x, const jargs *a);
    const char *spec; /* what is bound when they are called; NULL: everything is taken */
} generators[] = {
    { "batch", f_batch, "!linecount fill_with" }, { "items", f_items, "" }, { "map", f_map, NULL },
    { "reject", f_reject, NULL }, { "rejectattr", f_rejectattr, NULL }, { "select", f_select, NULL },
    { "selectattr", f_selectattr, NULL }, { "slice", f_slice, "!slices fill_with" },
    { "unique", f_unique, "case_sensitive attribute" },
};

#define FILTERS (sizeof filters / sizeof *filters)
#define GENERATORS (sizeof generators / sizeof *generators)

int jinja_filter_id(const jstr *name) {
    for (size_t i = 0; i < FILTERS; i++)
        if (jstr_is(name, filters[i].name)) return (int)i;
    for (size_t i = 0; i < GENERATORS; i++)
        if (jstr_is(name, generators[i].name)) return (int)(FILTERS + i);
    return -1;
}

jv jinja_apply_filter(jinja_run *e, int id, jv input, const jargs *a) {
    jinja_enter(e);
    jinja_charge(e, 0);
    jv r, bound[2];
    if ((size_t)id < FILTERS) {
        r = filters[id].run(e, input, a);
    } else {
        const char *spec = generators[(size_t)id - FILTERS].spec;
        if (spec) jinja_bind_args(e, generators[(size_t)id - FILTERS].name, a, spec, bound);
        jargs *own = jinja_alloc(e, 1, sizeof *own);
        jiter *it = jinja_alloc(e, 1, sizeof *it);
        *own = *a;
        *it = (jiter){ .over = input, .make = generators[(size_t)id - FILTERS].run, .arguments = own };
        r = (jv){ .kind = JK_ITER, .as.it = it };
    }
    jinja_leave(e);
    return r;
}
