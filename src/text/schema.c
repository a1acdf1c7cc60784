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

#define MAX_SCHEMA_BYTES (4u << 20)

/* ---- pieces of JSON ---- */

static part text(compiler *c, const char *t) { return schema_text(&c->b, t); }

part schema_never(compiler *c, const char *path) {
    if (!c->never_path) c->never_path = path;
    return ref(c, c->never);
}

static part space(compiler *c) { return ref(c, c->space); }
static part optional(compiler *c, part p) { return build_repeat(&c->b, p, 0, 1); }

static part comma(compiler *c) { return schema_seq(&c->b, space(c), text(c, ","), space(c), PART_NONE); }
static part colon(compiler *c) { return schema_seq(&c->b, space(c), text(c, ":"), space(c), PART_NONE); }

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

/* The value as JSON, in one spelling. Recurses as deep as JSON may nest (JSON_MAX_DEPTH). */
static part value_text(compiler *c, const tola_value *v) {
    grammar_builder *b = &c->b;
    if (v->kind == TOLA_VALUE_STRING) return schema_string_literal(b, v->as.string.data, v->as.string.length);
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
        part gap = i ? comma(c) : space(c), value = value_text(c, &item);
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

/* Whether a value of enum or const is within what stands beside it. */
static bool allows(compiler *c, const meaning *m, const tola_value *v) {
    unsigned type = type_of_value(v);
    if (!(type & m->types)) return false;
    bool text = type == TYPE_STRING, number = (type & (TYPE_INTEGER | TYPE_NUMBER)) != 0;
    bool beside = (text && (m->pattern || m->format)) || (type == TYPE_OBJECT && m->objects) ||
                  (type == TYPE_ARRAY && m->elements);
    __int128 n = 0;
    if (number && (m->low.there || m->high.there)) {
        beside = !schema_bound_of(v, &n);
        if (!beside && ((m->low.there && n < m->low.value) || (m->high.there && n > m->high.value))) return false;
    }
    if (beside && !c->comparing)
        unsupported(c, m->choice_path, "enum or const beside keywords that look into its values");
    if (text) return counts(&m->length, characters_of(v->as.string));
    return type != TYPE_ARRAY || counts(&m->items, v->as.array.count);
}

static part choices(compiler *c, const meaning *m) {
    part *ways = mem_alloc(m->choice_count * sizeof *ways), p = 0;
    size_t n = 0;
    if (!ways) no_memory(c);
    for (size_t i = 0; i < m->choice_count && ok(c); i++)
        if (allows(c, m, &m->choices[i])) ways[n++] = value_text(c, &m->choices[i]);
    if (ok(c)) p = n ? build_alt(&c->b, ways, n) : schema_never(c, m->choice_path);
    mem_free(ways);
    return p;
}

/* ---- strings and numbers ---- */

static part string_part(compiler *c, const meaning *m) {
    if (c->comparing) return m->length.low > m->length.high ? PART_NONE : ref(c, c->string);
    if (m->length.low > m->length.high) return PART_NONE;
    uint32_t low = (uint32_t)m->length.low, least, most;
    uint32_t high = m->length.high == UINT64_MAX ? REPEAT_FOREVER : (uint32_t)m->length.high;
    if (m->pattern && m->format) {
        unsupported(c, m->pattern_path, "beside another bound on the string");
        return 0;
    }
    if (m->pattern) {
        tola_string p = m->pattern->as.string;
        return m->bounded_text ? schema_pattern_within(&c->b, p.data, p.length, m->pattern_path, low, high)
                               : schema_pattern(&c->b, p.data, p.length, m->pattern_path);
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

static part number_part(compiler *c, const meaning *m) {
    bool integer = !(m->types & TYPE_NUMBER);
    if (!m->low.there && !m->high.there) return schema_any_number(&c->b, integer);
    return schema_number_within(&c->b, integer, m->low, m->high);
}

/* ---- arrays ---- */

/* The rule of element `index`, RULE_NEVER where there may be none. */
static uint32_t element_rule(compiler *c, const conjunction *k, size_t index) {
    entry_list *l = mem_calloc(1, sizeof *l);
    if (!l) {
        no_memory(c);
        return 0;
    }
    for (size_t i = 0; i < k->count && ok(c); i++) {
        const entry *e = &k->entries[i];
        const tola_value *prefix = tola_value_get(e->schema, "prefixItems"), *rest = tola_value_get(e->schema, "items");
        if (prefix && index < prefix->as.array.count)
            schema_list_add(c, l, schema_items(c, prefix) + index, schema_path_at(c, e->path, "prefixItems", index), 0,
                            SIZE_MAX);
        else if (rest) schema_list_add(c, l, rest, schema_path(c, e->path, "items", 5), 0, SIZE_MAX);
    }
    uint32_t rule = ok(c) ? schema_rule_for(c, l) : 0;
    mem_free(l);
    return rule;
}

/* Back to front: what may follow i elements is a rule of its own; nothing nests as deep as the array is long. */
static part array_part(compiler *c, const conjunction *k, const meaning *m) {
    grammar_builder *b = &c->b;
    size_t fixed = 0;
    for (size_t i = 0; i < k->count; i++) {
        const tola_value *prefix = tola_value_get(k->entries[i].schema, "prefixItems");
        if (prefix && prefix->as.array.count > fixed) fixed = prefix->as.array.count;
    }
    uint64_t low = m->items.low, high = m->items.high;
    if (c->comparing && high > low) high = low; /* what must be there decides */
    uint32_t item = high > fixed || !c->comparing ? element_rule(c, k, fixed) : RULE_NEVER;
    if (item == RULE_NEVER && high > fixed) high = fixed;
    for (size_t i = 0; i < fixed && i < high && ok(c); i++)
        if (element_rule(c, k, i) == RULE_NEVER) high = i;
    if (!ok(c) || low > high) return PART_NONE;
    part end = schema_seq(b, space(c), text(c, "]"), PART_NONE), next = end;
    if (high > fixed) {
        uint32_t least = low > fixed ? (uint32_t)(low - fixed) : 0;
        uint32_t most = high == UINT64_MAX ? REPEAT_FOREVER : (uint32_t)(high - fixed);
        part first = schema_seq(b, space(c), ref(c, item), PART_NONE);
        part more = schema_seq(b, comma(c), ref(c, item), PART_NONE);
        if (fixed > 0) {
            next = schema_seq(b, build_repeat(b, more, least, most), end, PART_NONE);
        } else {
            uint32_t rest_most = most == REPEAT_FOREVER ? most : most - 1;
            part list = schema_seq(b, first, build_repeat(b, more, least ? least - 1 : 0, rest_most), PART_NONE);
            return schema_seq(b, text(c, "["), least ? list : optional(c, list), end, PART_NONE);
        }
    }
    for (size_t i = fixed < high ? fixed : (size_t)high; i-- > 0 && ok(c);) {
        part one = schema_seq(b, i ? comma(c) : space(c), ref(c, element_rule(c, k, i)), next, PART_NONE);
        if (i >= low) one = schema_alt(b, one, end, PART_NONE);
        char name[320];
        snprintf(name, sizeof name, "%.260s, from item %zu (%zu)", k->entries[0].path, i, c->done);
        uint32_t rule = schema_rule(c, name);
        build_define(b, rule, one, TOLA_NO_OFFSET);
        next = ref(c, rule);
    }
    return schema_seq(b, text(c, "["), next, PART_NONE);
}

/* ---- objects ---- */

typedef struct property {
    tola_string name;
    uint32_t rule; /* RULE_NEVER: it may not be there */
    bool required;
} property;

typedef struct property_list {
    property *items;
    size_t count, cap;
    uint32_t *buckets; /* by name: index + 1 */
    size_t bucket_count;
} property_list;

static uint64_t hash_name(tola_string s) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.length; i++) h = (h ^ (uint8_t)s.data[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

/* Finds a property by its name, or adds it. */
static property *property_named(compiler *c, property_list *l, tola_string name) {
    if (l->count * 2 >= l->bucket_count) {
        size_t count = l->bucket_count ? l->bucket_count * 2 : 32;
        uint32_t *buckets = mem_calloc(count, sizeof *buckets);
        if (!buckets) {
            no_memory(c);
            return NULL;
        }
        for (size_t i = 0; i < l->count; i++) {
            size_t at = hash_name(l->items[i].name) & (count - 1);
            while (buckets[at]) at = (at + 1) & (count - 1);
            buckets[at] = (uint32_t)i + 1;
        }
        mem_free(l->buckets);
        l->buckets = buckets;
        l->bucket_count = count;
    }
    size_t at = hash_name(name) & (l->bucket_count - 1);
    for (; l->buckets[at]; at = (at + 1) & (l->bucket_count - 1)) {
        property *p = &l->items[l->buckets[at] - 1];
        if (same_string(p->name, name)) return p;
    }
    if (!mem_grow(&l->items, &l->cap, l->count + 1, sizeof *l->items)) {
        no_memory(c);
        return NULL;
    }
    l->items[l->count] = (property){ name, 0, false };
    l->buckets[at] = (uint32_t)++l->count;
    return &l->items[l->count - 1];
}

/* Of each schema what it says of this property, or of further ones where `name` is NULL. */
static uint32_t property_rule(compiler *c, const conjunction *k, const tola_string *name) {
    entry_list *l = mem_calloc(1, sizeof *l);
    if (!l) {
        no_memory(c);
        return 0;
    }
    for (size_t i = 0; i < k->count && ok(c); i++) {
        const entry *e = &k->entries[i];
        const tola_value *own = name ? schema_member(tola_value_get(e->schema, "properties"), *name) : NULL;
        const tola_value *further = tola_value_get(e->schema, "additionalProperties");
        if (own) {
            const char *path = schema_path(c, schema_path(c, e->path, "properties", 10), name->data, name->length);
            schema_list_add(c, l, own, path, 0, SIZE_MAX);
        } else if (further) {
            schema_list_add(c, l, further, schema_path(c, e->path, "additionalProperties", 20), 0, SIZE_MAX);
        }
    }
    uint32_t rule = ok(c) ? schema_rule_for(c, l) : 0;
    mem_free(l);
    return rule;
}

static void collect_properties(compiler *c, const conjunction *k, property_list *l) {
    for (size_t i = 0; i < k->count && ok(c); i++) {
        const tola_value *own = tola_value_get(k->entries[i].schema, "properties");
        for (size_t p = 0; own && p < own->as.map.count && ok(c); p++)
            property_named(c, l, own->as.map.members[p].key);
    }
    for (size_t i = 0; i < k->count && ok(c); i++) {
        const tola_value *names = tola_value_get(k->entries[i].schema, "required");
        for (size_t n = 0; names && n < names->as.array.count && ok(c); n++) {
            tola_value name = tola_value_at(names, n);
            property *p = is_string(&name) ? property_named(c, l, name.as.string) : NULL;
            if (p) p->required = true;
            else wrong(c, schema_path_at(c, k->entries[i].path, "required", n), "must be a name");
        }
    }
    for (size_t i = 0; i < l->count && ok(c); i++) {
        property *p = &l->items[i];
        p->rule = c->comparing && !p->required ? RULE_NEVER : property_rule(c, k, &p->name);
    }
}

static part member_part(compiler *c, const property *p) {
    return schema_seq(&c->b, schema_string_literal(&c->b, p->name.data, p->name.length), colon(c), ref(c, p->rule),
                      PART_NONE);
}

/* A further member, with a name that none of the list has. */
static part further_member(compiler *c, const conjunction *k, const property_list *l, uint32_t rule) {
    part key = ref(c, c->string);
    tola_string *names = mem_alloc(l->count * sizeof *names);
    if (!names) no_memory(c);
    for (size_t i = 0; names && i < l->count; i++) names[i] = l->items[i].name;
    char name[320];
    snprintf(name, sizeof name, "%.280s (%zu)", k->entries[0].path, c->done);
    if (ok(c) && l->count) key = schema_other_string(&c->b, names, l->count, name);
    mem_free(names);
    return schema_seq(&c->b, key, colon(c), ref(c, rule), PART_NONE);
}

static uint32_t object_rule(compiler *c, const conjunction *k, const char *what, size_t i) {
    char name[320];
    snprintf(name, sizeof name, "%.240s, %s property %zu (%zu)", k->entries[0].path, what, i, c->done);
    return schema_rule(c, name);
}

/* Members in their order. Two chains of rules, back to front: `rest[i]` where a member stands already (a comma comes
 * before the next), `first[i]` where none does; both from property i on. */
static part object_part(compiler *c, const conjunction *k) {
    grammar_builder *b = &c->b;
    property_list l = { 0 };
    collect_properties(c, k, &l);
    uint32_t further = ok(c) && !c->comparing ? property_rule(c, k, NULL) : RULE_NEVER;
    part end = schema_seq(b, space(c), text(c, "}"), PART_NONE), rest = end, first = end;
    bool possible = true;
    if (ok(c) && further != RULE_NEVER) {
        part member = further_member(c, k, &l, further);
        part more = build_repeat(b, schema_seq(b, comma(c), member, PART_NONE), 0, REPEAT_FOREVER);
        rest = schema_seq(b, more, end, PART_NONE);
        first = schema_seq(b, optional(c, schema_seq(b, space(c), member, more, PART_NONE)), end, PART_NONE);
    }
    for (size_t i = l.count; i-- > 0 && ok(c);) {
        const property *p = &l.items[i];
        if (p->rule == RULE_NEVER) {
            possible = possible && !p->required;
            continue;
        }
        part member = member_part(c, p);
        uint32_t rest_rule = object_rule(c, k, "after", i);
        build_define(b, rest_rule, rest, TOLA_NO_OFFSET);
        part with_comma = schema_seq(b, comma(c), member, ref(c, rest_rule), PART_NONE);
        part alone = schema_seq(b, space(c), member, ref(c, rest_rule), PART_NONE);
        if (!p->required) {
            uint32_t first_rule = object_rule(c, k, "but", i);
            build_define(b, first_rule, first, TOLA_NO_OFFSET);
            alone = schema_alt(b, alone, ref(c, first_rule), PART_NONE);
            with_comma = schema_alt(b, with_comma, ref(c, rest_rule), PART_NONE);
        }
        rest = with_comma;
        first = alone;
    }
    mem_free(l.items);
    mem_free(l.buckets);
    return possible ? schema_seq(b, text(c, "{"), first, PART_NONE) : PART_NONE;
}

/* ---- rules ---- */

static part typed(compiler *c, const conjunction *k, const meaning *m) {
    part ways[8];
    size_t n = 0;
    if (m->types & TYPE_OBJECT) ways[n++] = m->objects ? object_part(c, k) : ref(c, c->any_object);
    if (m->types & TYPE_ARRAY) ways[n++] = array_part(c, k, m);
    if (m->types & TYPE_STRING) ways[n++] = string_part(c, m);
    if (m->types & TYPE_INTEGER) ways[n++] = number_part(c, m);
    if (m->types & TYPE_BOOLEAN) ways[n++] = schema_alt(&c->b, text(c, "true"), text(c, "false"), PART_NONE);
    if (m->types & TYPE_NULL) ways[n++] = text(c, "null");
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
    part body = m.group ? schema_branches(c, &k, &m) : m.choices ? choices(c, &m) : typed(c, &k, &m);
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
