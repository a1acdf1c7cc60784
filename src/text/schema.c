/* The schema compiler: https://json-schema.org/draft/2020-12
 *
 * Works on conjunctions: lists of schemas that must all hold at one place (a schema, what its $ref and allOf add, a
 * branch of its anyOf). Each becomes a rule, remembered by its list, so that schemas which refer to themselves become
 * recursive rules. Rules wait in a queue; nothing recurses as the schema nests. Where no value can fit, a rule has no
 * way through it; ways that would lead there are cut at the end. */
#include "text/schema.h"

#include "base/err.h"
#include "base/json.h"
#include "text/schema_inside.h"
#include <tola/json.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_SCHEMA_BYTES (4u << 20)

/* ---- pieces of JSON ---- */

part schema_never(compiler *c, const char *path) {
    if (!c->never_path) c->never_path = path;
    return ref(c, c->never);
}

static void define_json(compiler *c) {
    grammar_builder *b = &c->b;
    c->never = schema_rule(c, "nothing");
    build_define(b, c->never, ref(c, c->never), TOLA_NO_OFFSET);
    if (c->comparing) { /* how texts are spelled says nothing about whether there is one */
        c->space = c->character = c->string = c->any = c->any_object = schema_rule(c, "anything");
        build_define(b, c->any, build_empty(b), TOLA_NO_OFFSET);
        return;
    }
    c->space = schema_rule(c, "space");
    c->character = schema_rule(c, "character");
    c->string = schema_rule(c, "string");
    c->any = schema_rule(c, "any value");
    c->any_object = schema_rule(c, "any object");
    uint32_t array = schema_rule(c, "any array");
    /* nothing, a blank, or a new line and its indentation: no more, lest a model goes on with white space for ever */
    part indent = build_repeat(b, schema_class(b, "\t\t  "), 0, SCHEMA_MAX_SPACE);
    part line = schema_seq(b, optional(c, text(c, "\r")), text(c, "\n"), indent, PART_NONE);
    build_define(b, c->space, optional(c, schema_alt(b, text(c, " "), line, PART_NONE)), TOLA_NO_OFFSET);
    schema_define_strings(b, c->character, c->string);
    part member = schema_seq(b, ref(c, c->string), colon(c), ref(c, c->any), PART_NONE);
    part more = build_repeat(b, schema_seq(b, comma(c), member, PART_NONE), 0, REPEAT_FOREVER);
    part members = schema_seq(b, space(c), member, more, PART_NONE);
    build_define(b, c->any_object,
                 schema_seq(b, text(c, "{"), optional(c, members), space(c), text(c, "}"), PART_NONE), TOLA_NO_OFFSET);
    part items = schema_seq(b, space(c), ref(c, c->any),
                            build_repeat(b, schema_seq(b, comma(c), ref(c, c->any), PART_NONE), 0, REPEAT_FOREVER),
                            PART_NONE);
    build_define(b, array, schema_seq(b, text(c, "["), optional(c, items), space(c), text(c, "]"), PART_NONE),
                 TOLA_NO_OFFSET);
    build_define(b, c->any,
                 schema_alt(b, ref(c, c->any_object), ref(c, array), ref(c, c->string), schema_any_number(b, false),
                            text(c, "true"), text(c, "false"), text(c, "null"), PART_NONE),
                 TOLA_NO_OFFSET);
}

/* ---- values ---- */

static unsigned type_of_value(const tola_value *v) {
    switch ((tola_value_kind)v->kind) {
    case TOLA_VALUE_NULL: return TYPE_NULL;
    case TOLA_VALUE_BOOL: return TYPE_BOOLEAN;
    case TOLA_VALUE_UINT:
    case TOLA_VALUE_INT: return TYPE_INTEGER;
    case TOLA_VALUE_FLOAT: return v->as.f64 == floor(v->as.f64) ? TYPE_INTEGER : TYPE_NUMBER;
    case TOLA_VALUE_STRING: return TYPE_STRING;
    case TOLA_VALUE_ARRAY: return TYPE_ARRAY;
    default: return TYPE_OBJECT;
    }
}

part schema_value_text(compiler *c, const tola_value *v) {
    grammar_builder *b = &c->b;
    if (v->kind == TOLA_VALUE_STRING) return schema_string_literal(b, v->as.string.data, v->as.string.length);
    size_t length;
    const char *whole = schema_long_number(c->source, v, &length);
    if (whole) return build_literal(b, whole, length);
    bool array = v->kind == TOLA_VALUE_ARRAY, map = v->kind == TOLA_VALUE_MAP;
    if (v->kind == TOLA_VALUE_FLOAT && !isfinite(v->as.f64)) wrong(c, "#", "a value that JSON has not");
    if (!array && !map) {
        buf out;
        buf_init(&out, 0);
        tola_json *j = mem_alloc(sizeof *j);
        if (j) {
            tola_json_init(j, json_to_buf, &out, 0);
            tola_json_value(j, v);
        }
        if (!j || !tola_json_finish(j)) no_memory(c);
        part p = ok(c) ? build_literal(b, (const char *)out.data, out.length) : 0;
        buf_free(&out);
        mem_free(j);
        return p;
    }
    size_t n = array ? v->as.array.count : v->as.map.count, at = 0;
    part *items = mem_alloc((n + 2) * sizeof *items), p = 0;
    if (!items) no_memory(c);
    if (ok(c)) items[at++] = text(c, array ? "[" : "{");
    for (size_t i = 0; i < n && ok(c); i++) {
        tola_value item = array ? tola_value_at(v, i) : v->as.map.members[i].value;
        part gap = i ? comma(c) : space(c), value = schema_value_text(c, &item);
        if (map) {
            tola_string key = v->as.map.members[i].key;
            value = schema_seq(b, schema_string_literal(b, key.data, key.length), colon(c), value, PART_NONE);
        }
        items[at++] = schema_seq(b, gap, value, PART_NONE);
    }
    if (ok(c)) {
        items[at++] = schema_seq(b, space(c), text(c, array ? "]" : "}"), PART_NONE);
        p = build_seq(b, items, at);
    }
    mem_free(items);
    return p;
}

static uint64_t characters_of(tola_string s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s.length; i++) n += (s.data[i] & 0xc0) != 0x80; /* valid UTF-8 */
    return n;
}

static bool counts(const limits *l, uint64_t n) { return n >= l->low && n <= l->high; }

static bool is_excluded(const compiler *c, const meaning *m, const tola_value *v) {
    for (size_t i = 0; i < m->excluded_count; i++)
        if (schema_same_value(c, m->excluded[i], v)) return true;
    return false;
}

/* ---- languages of strings ---- */

tola_string *schema_excluded_strings(compiler *c, const meaning *m, size_t *count) {
    tola_string *names = mem_alloc((m->excluded_count + 1) * sizeof *names);
    if (!names) no_memory(c);
    *count = 0;
    for (size_t i = 0; names && i < m->excluded_count; i++) {
        const tola_value *v = m->excluded[i];
        bool known = !is_string(v) || !counts(&m->length, characters_of(v->as.string));
        for (size_t k = 0; k < *count && !known; k++) known = same_string(names[k], v->as.string);
        if (!known) names[(*count)++] = v->as.string;
    }
    return names;
}

size_t schema_languages(compiler *c, const meaning *m, const char *path, const tola_string *names, size_t count,
                        part *languages, uint64_t *wanted) {
    grammar_builder *b = &c->b;
    size_t n = 0;
    part *texts = mem_alloc((count + 1) * sizeof *texts);
    if (!texts) no_memory(c);
    if (ok(c) && m->pattern)
        languages[n++] = schema_pattern_text(b, m->pattern->as.string.data, m->pattern->as.string.length, path);
    for (size_t i = 0; ok(c) && i < m->alike_count; i++) {
        tola_string p = m->alike[i]->as.string;
        languages[n++] = schema_pattern_text(b, p.data, p.length, m->alike_paths[i]);
    }
    if (ok(c) && m->bounded_text) {
        code_range any = { 0, 0x10ffff };
        uint32_t high = m->length.high == UINT64_MAX ? REPEAT_FOREVER : (uint32_t)m->length.high;
        languages[n++] = build_repeat(b, schema_characters(b, &any, 1), (uint32_t)m->length.low, high);
    }
    *wanted = ((uint64_t)1 << n) - 1;
    for (size_t i = 0; ok(c) && i < count; i++) texts[i] = schema_string_text(b, names[i].data, names[i].length);
    if (ok(c) && count) languages[n++] = build_alt(b, texts, count);
    for (size_t i = 0; ok(c) && i < m->unlike_count; i++) {
        tola_string p = m->unlike[i]->as.string;
        languages[n++] = schema_pattern_text(b, p.data, p.length, m->unlike_path);
    }
    mem_free(texts);
    return n;
}

/* ---- enum and const ---- */

/* Whether a value is within what stands beside it; `sets` tells strings by the patterns: those of `wanted` are. */
static bool allows(compiler *c, const meaning *m, const schema_sets *sets, uint64_t wanted, const tola_value *v) {
    unsigned type = type_of_value(v);
    if (!(type & m->types) || is_excluded(c, m, v)) return false;
    bool text = type == TYPE_STRING, number = (type & (TYPE_INTEGER | TYPE_NUMBER)) != 0;
    bool beside = (text && m->format) || (type == TYPE_OBJECT && m->objects) ||
                  (type == TYPE_ARRAY && (m->elements || m->unique || m->contains));
    __int128 n = 0;
    if (number && (m->low.there || m->high.there || m->multiple.there)) {
        beside = !schema_bound_of(c->source, v, &n);
        if (!beside && ((m->low.there && n < m->low.value) || (m->high.there && n > m->high.value))) return false;
        if (!beside && m->multiple.there && n % m->multiple.value != 0) return false;
    }
    if (beside && !c->comparing)
        unsupported(c, m->choice_path, "enum or const beside keywords that look into its values");
    if (text && sets) {
        part spelled = schema_string_text(&c->b, v->as.string.data, v->as.string.length);
        if (ok(c) && schema_sets_of(sets, spelled) != wanted) return false;
    }
    if (text) return counts(&m->length, characters_of(v->as.string));
    if (type == TYPE_OBJECT) return counts(&m->members, v->as.map.count);
    return type != TYPE_ARRAY || counts(&m->items, v->as.array.count);
}

const tola_value **schema_allowed(compiler *c, const meaning *m, size_t *count) {
    const tola_value **values = arena_alloc_array(&c->memory, m->choice_count + 1, sizeof *values);
    part languages[MAX_LANGUAGES];
    meaning patterns = *m;
    uint64_t wanted = 0;
    schema_sets *sets = NULL;
    *count = 0;
    patterns.bounded_text = false; /* lengths are counted */
    if (!values) no_memory(c);
    if (ok(c) && !c->comparing && (m->pattern || m->unlike_count)) {
        const char *path = m->pattern ? m->pattern_path : m->unlike_path;
        size_t n = schema_languages(c, &patterns, path, NULL, 0, languages, &wanted);
        if (ok(c)) sets = schema_sets_new(&c->b, languages, n, path);
    }
    for (size_t i = 0; ok(c) && i < m->choice_count; i++)
        if (allows(c, m, sets, wanted, &m->choices[i])) values[(*count)++] = &m->choices[i];
    schema_sets_free(sets);
    return values;
}

static part choices(compiler *c, const meaning *m) {
    size_t n = 0;
    const tola_value **values = schema_allowed(c, m, &n);
    part *ways = mem_alloc((n + 1) * sizeof *ways), p = 0;
    if (!ways) no_memory(c);
    for (size_t i = 0; i < n && ok(c); i++) ways[i] = schema_value_text(c, values[i]);
    if (ok(c)) p = n ? build_alt(&c->b, ways, n) : schema_never(c, m->choice_path);
    mem_free(ways);
    return p;
}

/* ---- strings and numbers ---- */

/* Strings that match the pattern, if there is one, and none that they must not, are as long as they may be and none of
 * these names. */
static part chosen_string(compiler *c, const conjunction *k, const meaning *m, const tola_string *names, size_t count) {
    part languages[MAX_LANGUAGES], result = PART_NONE;
    const char *path = m->pattern ? m->pattern_path : k->entries[0].path;
    uint64_t wanted, mask;
    size_t at = 0, n = schema_languages(c, m, path, names, count, languages, &wanted);
    schema_sets *sets = ok(c) ? schema_sets_new(&c->b, languages, n, path) : NULL;
    char name[320];
    snprintf(name, sizeof name, "%.260s, strings (%zu)", k->entries[0].path, c->done);
    while (sets && result == PART_NONE && schema_sets_next(sets, &at, &mask))
        if (mask == wanted) result = schema_sets_string(sets, mask, name);
    schema_sets_free(sets);
    return result;
}

static part other_string(compiler *c, const conjunction *k, const meaning *m, const tola_string *names, size_t count) {
    char name[320];
    if (m->format) unsupported(c, count ? m->excluded_path : m->unlike_path, "excludes strings beside a format");
    if (m->pattern || m->bounded_text || m->unlike_count) return ok(c) ? chosen_string(c, k, m, names, count) : 0;
    snprintf(name, sizeof name, "%.260s, other strings (%zu)", k->entries[0].path, c->done);
    return ok(c) ? schema_other_string(&c->b, names, count, name) : 0;
}

static part string_part(compiler *c, const conjunction *k, const meaning *m) {
    if (c->comparing) return m->length.low > m->length.high ? PART_NONE : ref(c, c->string);
    if (m->length.low > m->length.high) return PART_NONE;
    uint32_t low = (uint32_t)m->length.low, least, most;
    uint32_t high = m->length.high == UINT64_MAX ? REPEAT_FOREVER : (uint32_t)m->length.high;
    if (m->pattern && m->format) {
        unsupported(c, m->pattern_path, "beside another bound on the string");
        return 0;
    }
    size_t count = 0;
    tola_string *names = m->excluded_count ? schema_excluded_strings(c, m, &count) : NULL;
    part other = count || m->unlike_count ? other_string(c, k, m, names, count) : 0;
    mem_free(names);
    if (count || m->unlike_count || !ok(c)) return other;
    if (m->pattern) {
        tola_string p = m->pattern->as.string;
        if (m->alike_count) return chosen_string(c, k, m, NULL, 0);
        if (!m->bounded_text) return schema_pattern(&c->b, p.data, p.length, m->pattern_path);
        bool simple = schema_pattern_within(&c->b, p.data, p.length, m->pattern_path, low, high, &other);
        return simple ? other : chosen_string(c, k, m, NULL, 0);
    }
    if (m->format) {
        schema_format_lengths(string_of(m->format), &least, &most);
        if (low > most || high < least) return PART_NONE;
        if (low > least || high < most) unsupported(c, m->format_path, "beside a length that it may or may not have");
        return schema_format(&c->b, string_of(m->format));
    }
    if (!m->bounded_text) return ref(c, c->string);
    return schema_seq(&c->b, text(c, "\""), build_repeat(&c->b, ref(c, c->character), low, high), text(c, "\""),
                      PART_NONE);
}

static part number_within(compiler *c, const meaning *m, schema_bound low, schema_bound high) {
    bool integer = !(m->types & TYPE_NUMBER);
    if (low.there && high.there && low.value > high.value) return PART_NONE;
    if (m->multiple.there && !c->comparing)
        return schema_multiple_within(&c->b, integer, m->multiple.value, low, high, m->multiple_path);
    if (!low.there && !high.there) return schema_any_number(&c->b, integer);
    return schema_number_within(&c->b, integer, low, high);
}

static int compare_numbers(const void *x, const void *y) {
    const schema_bound *a = x, *b = y;
    return a->value < b->value ? -1 : a->value > b->value;
}

/* Numbers between, before and behind those that are excluded. */
static part number_part(compiler *c, const meaning *m) {
    schema_bound *out = mem_alloc((m->excluded_count + 1) * sizeof *out), low = m->low;
    part *ways = mem_alloc((m->excluded_count + 1) * sizeof *ways), result = PART_NONE;
    size_t count = 0, n = 0;
    if (!out || !ways) no_memory(c);
    for (size_t i = 0; ok(c) && !c->comparing && i < m->excluded_count; i++) {
        if (!is_number(m->excluded[i])) continue;
        out[count].there = true;
        if (!schema_bound_of(c->source, m->excluded[i], &out[count++].value))
            unsupported(c, m->excluded_path, "excluded numbers have at most 15 decimals and 20 digits before them");
    }
    if (ok(c) && count) qsort(out, count, sizeof *out, compare_numbers);
    for (size_t i = 0; ok(c) && i <= count; i++) {
        schema_bound high = m->high;
        if (i < count && (!high.there || out[i].value <= high.value))
            high = (schema_bound){ true, out[i].value - 1 }; /* 10^-15: no number has more decimals */
        part p = number_within(c, m, low, high);
        if (p != PART_NONE) ways[n++] = p;
        if (i < count && (!low.there || out[i].value >= low.value)) low = (schema_bound){ true, out[i].value + 1 };
    }
    if (ok(c) && n) result = build_alt(&c->b, ways, n);
    mem_free(out);
    mem_free(ways);
    return result;
}

/* ---- rules ---- */

static part typed(compiler *c, const conjunction *k, const meaning *m) {
    static const tola_value words[] = { { .kind = TOLA_VALUE_BOOL, .as.boolean = true },
                                        { .kind = TOLA_VALUE_BOOL, .as.boolean = false },
                                        { .kind = TOLA_VALUE_NULL } };
    part ways[8];
    size_t n = 0;
    if (m->types & TYPE_OBJECT)
        ways[n++] = schema_looks_into_objects(m) ? schema_object(c, k, m) : ref(c, c->any_object);
    if (m->types & TYPE_ARRAY) ways[n++] = schema_array(c, k, m);
    if (m->types & TYPE_STRING) ways[n++] = string_part(c, k, m);
    if (m->types & TYPE_INTEGER) ways[n++] = number_part(c, m);
    for (size_t i = 0; i < 3; i++)
        if (m->types & (i < 2 ? TYPE_BOOLEAN : TYPE_NULL) && !is_excluded(c, m, &words[i]))
            ways[n++] = text(c, i == 0 ? "true" : i == 1 ? "false" : "null");
    for (size_t i = 0; i < m->excluded_count && !c->comparing; i++)
        if (m->excluded[i]->kind >= TOLA_VALUE_ARRAY && type_of_value(m->excluded[i]) & m->types)
            unsupported(c, m->excluded_path, "a grammar cannot tell an array or an object from all others");
    size_t possible = 0;
    for (size_t i = 0; i < n; i++)
        if (ways[i] != PART_NONE) ways[possible++] = ways[i];
    if (ok(c) && possible == 0) return schema_never(c, k->entries[0].path);
    return ok(c) ? build_alt(&c->b, ways, possible) : 0;
}

static void define_conjunction(compiler *c, size_t index) {
    const conjunction k = c->known[index]; /* the list may move */
    meaning m;
    schema_read(c, &k, &m);
    if (!ok(c)) return;
    part body = m.group && !c->shallow ? schema_branches(c, &k, &m) : m.choices ? choices(c, &m) : typed(c, &k, &m);
    build_define(&c->b, k.rule, body, TOLA_NO_OFFSET);
}

void schema_define_all(compiler *c) {
    for (; ok(c) && c->done < c->known_count; c->done++) define_conjunction(c, c->done);
}

/* ---- the whole ---- */

static uint32_t rule_for_one(compiler *c, const tola_value *schema, const char *path) {
    entry_list *l = mem_calloc(1, sizeof *l);
    if (!l) {
        no_memory(c);
        return 0;
    }
    schema_list_add(c, l, schema, path, 0, SIZE_MAX);
    uint32_t rule = schema_rule_for(c, l);
    mem_free(l);
    return rule;
}

void schema_begin(compiler *c, bool comparing) {
    memset(c, 0, sizeof *c);
    c->comparing = comparing;
    build_init(&c->b);
    arena_init(&c->memory, 256u << 20);
    define_json(c);
}

void schema_end(compiler *c) {
    build_free(&c->b);
    arena_free(&c->memory);
    mem_free(c->known);
    mem_free(c->buckets);
    mem_free(c->derived);
}

static tola_status finish(compiler *c, uint32_t root, grammar **out, tola_error *err) {
    if (ok(c) && root == RULE_NEVER) wrong(c, "#", "no value fits");
    /* without such a place it is rules that need themselves, which build_finish says */
    if (ok(c) && !build_prune(&c->b, root) && c->never_path) wrong(c, c->never_path, "no value fits");
    tola_status status = build_check(&c->b, err);
    if (status == TOLA_OK) status = build_finish(&c->b, root, out, err);
    schema_end(c);
    return status;
}

tola_status grammar_from_schema(const char *schema, size_t length, grammar **out, tola_error *err) {
    if (length > MAX_SCHEMA_BYTES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a schema of %zu bytes; at most %u are read", length,
                       MAX_SCHEMA_BYTES);
    compiler c;
    schema_begin(&c, false);
    c.source = schema;
    tola_error parse_error = TOLA_ERROR_INIT;
    tola_status status = json_parse(schema, length, &c.memory, &c.root, &parse_error);
    if (status != TOLA_OK) build_fail(&c.b, status, parse_error.offset, "schema: %s", parse_error.message);
    uint32_t root = ok(&c) ? rule_for_one(&c, &c.root, "#") : 0;
    if (root != RULE_NEVER) schema_define_all(&c);
    return finish(&c, root, out, err);
}

tola_status grammar_any_json(bool object, grammar **out, tola_error *err) {
    compiler c;
    schema_begin(&c, false);
    return finish(&c, object ? c.any_object : c.any, out, err);
}
