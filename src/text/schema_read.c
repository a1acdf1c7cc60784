/* What schemas say: paths into them, $ref and allOf, and what a conjunction's keywords mean together.
 *
 * Conjunctions are lists of schemas that must all hold at one place; each is remembered by its list (schema.c). */
#include "base/err.h"
#include "text/schema_inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *schema_path(compiler *c, const char *path, const char *key, size_t length) {
    size_t n = strlen(path);
    char *out = arena_alloc(&c->memory, n + 2 * length + 2);
    if (!out) {
        no_memory(c);
        return path;
    }
    memcpy(out, path, n);
    out[n++] = '/';
    for (size_t i = 0; i < length; i++) {
        if (key[i] == '~' || key[i] == '/' || key[i] == '\0') {
            out[n++] = '~';
            out[n++] = key[i] == '~' ? '0' : key[i] == '/' ? '1' : '2';
        } else {
            out[n++] = key[i];
        }
    }
    out[n] = '\0';
    return out;
}

const char *schema_path_at(compiler *c, const char *path, const char *key, size_t index) {
    char number[32];
    snprintf(number, sizeof number, "%zu", index);
    if (key) path = schema_path(c, path, key, strlen(key));
    return schema_path(c, path, number, strlen(number));
}

const tola_value *schema_items(compiler *c, const tola_value *array) {
    if (array->element == TOLA_VALUE_NULL) return array->as.array.items;
    size_t n = array->as.array.count;
    tola_value *items = arena_alloc_array(&c->memory, n + 1, sizeof *items);
    if (!items) no_memory(c);
    for (size_t i = 0; items && i < n; i++) items[i] = tola_value_at(array, i);
    return items;
}

const tola_value *schema_member(const tola_value *map, tola_string name) {
    for (size_t i = 0; map && i < map->as.map.count; i++) {
        const tola_member *m = &map->as.map.members[i];
        if (same_string(m->key, name)) return &m->value;
    }
    return NULL;
}

uint32_t schema_rule(compiler *c, const char *name) {
    return build_rule(&c->b, name, strlen(name), TOLA_NO_OFFSET);
}

/* ---- $ref ---- */

static int hex_digit(int c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

const tola_value *schema_follow(compiler *c, const char *ref_text, const char *path, const char **target_path) {
    const tola_value *v = &c->root;
    const char *p = ref_text;
    *target_path = "#";
    if (*p != '#') {
        unsupported(c, path, "$ref to another document");
        return NULL;
    }
    p++;
    if (*p && *p != '/') {
        unsupported(c, path, "$ref to an anchor; only JSON pointers are followed");
        return NULL;
    }
    char *key = arena_alloc(&c->memory, strlen(p) + 1);
    if (!key) no_memory(c);
    while (ok(c) && *p == '/') {
        size_t n = 0;
        for (p++; *p && *p != '/'; p++) {
            char ch = *p;
            if (ch == '%' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
                ch = (char)(hex_digit(p[1]) * 16 + hex_digit(p[2]));
                p += 2;
            }
            if (ch == '~' && p[1] >= '0' && p[1] <= '2') ch = *++p == '0' ? '~' : *p == '1' ? '/' : '\0';
            key[n++] = ch;
        }
        key[n] = '\0';
        if (is_map(v)) {
            v = schema_member(v, (tola_string){ key, n });
        } else if (is_array(v)) {
            char *end;
            size_t i = strtoull(key, &end, 10);
            bool good = n > 0 && *end == '\0' && key[0] != '-' && key[0] != '+' && i < v->as.array.count;
            const tola_value *items = good ? schema_items(c, v) : NULL;
            v = items ? items + i : NULL;
        } else {
            v = NULL;
        }
        *target_path = schema_path(c, *target_path, key, n);
        if (!v) break;
    }
    if (ok(c) && !v) wrong(c, path, "$ref leads nowhere in this document");
    return ok(c) ? v : NULL;
}

/* ---- keywords ---- */

typedef enum keyword {
    KEY_REMARK,  /* says nothing about values */
    KEY_IGNORED, /* is dealt with by expand and types_of */
    KEY_NOT, KEY_ENUM, KEY_CONST, KEY_ANY_OF, KEY_ONE_OF, KEY_MIN_LENGTH, KEY_MAX_LENGTH, KEY_PATTERN, KEY_FORMAT,
    KEY_MINIMUM, KEY_MAXIMUM, KEY_EXCLUSIVE_MINIMUM, KEY_EXCLUSIVE_MAXIMUM, KEY_PROPERTIES, KEY_REQUIRED,
    KEY_ADDITIONAL, KEY_ITEMS, KEY_PREFIX_ITEMS, KEY_MIN_ITEMS, KEY_MAX_ITEMS, KEY_UNIQUE_ITEMS, KEY_MULTIPLE,
    KEY_MIN_PROPERTIES, KEY_MAX_PROPERTIES, KEY_CONTAINS, KEY_MIN_CONTAINS, KEY_MAX_CONTAINS, KEY_PATTERN_PROPERTIES,
    KEY_PROPERTY_NAMES, KEY_UNEVALUATED_PROPERTIES, KEY_UNEVALUATED_ITEMS,
    KEY_UNKNOWN
} keyword;

static const struct {
    const char *name;
    keyword key;
} KEYWORDS[] = {
    { "$comment", KEY_REMARK },    { "$defs", KEY_REMARK },       { "$id", KEY_REMARK },
    { "$schema", KEY_REMARK },     { "default", KEY_REMARK },     { "definitions", KEY_REMARK },
    { "deprecated", KEY_REMARK },  { "description", KEY_REMARK }, { "examples", KEY_REMARK },
    { "readOnly", KEY_REMARK },    { "title", KEY_REMARK },       { "writeOnly", KEY_REMARK },
    { "$ref", KEY_IGNORED },       { "allOf", KEY_IGNORED },      { "type", KEY_IGNORED },
    { "if", KEY_IGNORED },         { "then", KEY_IGNORED },       { "else", KEY_IGNORED },
    { "dependentRequired", KEY_IGNORED }, { "dependentSchemas", KEY_IGNORED }, { "not", KEY_NOT },
    { "enum", KEY_ENUM },          { "const", KEY_CONST },         { "anyOf", KEY_ANY_OF },
    { "oneOf", KEY_ONE_OF },       { "minLength", KEY_MIN_LENGTH }, { "maxLength", KEY_MAX_LENGTH },
    { "pattern", KEY_PATTERN },    { "format", KEY_FORMAT },       { "minimum", KEY_MINIMUM },
    { "maximum", KEY_MAXIMUM },    { "exclusiveMinimum", KEY_EXCLUSIVE_MINIMUM },
    { "exclusiveMaximum", KEY_EXCLUSIVE_MAXIMUM },                 { "properties", KEY_PROPERTIES },
    { "required", KEY_REQUIRED },  { "additionalProperties", KEY_ADDITIONAL }, { "items", KEY_ITEMS },
    { "prefixItems", KEY_PREFIX_ITEMS }, { "minItems", KEY_MIN_ITEMS }, { "maxItems", KEY_MAX_ITEMS },
    { "uniqueItems", KEY_UNIQUE_ITEMS }, { "multipleOf", KEY_MULTIPLE }, { "minProperties", KEY_MIN_PROPERTIES },
    { "maxProperties", KEY_MAX_PROPERTIES }, { "contains", KEY_CONTAINS }, { "minContains", KEY_MIN_CONTAINS },
    { "maxContains", KEY_MAX_CONTAINS }, { "patternProperties", KEY_PATTERN_PROPERTIES },
    { "propertyNames", KEY_PROPERTY_NAMES }, { "unevaluatedProperties", KEY_UNEVALUATED_PROPERTIES },
    { "unevaluatedItems", KEY_UNEVALUATED_ITEMS },
};

/* KEY_UNKNOWN where there is none of this name. */
static keyword keyword_named(tola_string name) {
    for (size_t i = 0; i < sizeof KEYWORDS / sizeof *KEYWORDS; i++)
        if (strlen(KEYWORDS[i].name) == name.length && memcmp(KEYWORDS[i].name, name.data, name.length) == 0)
            return KEYWORDS[i].key;
    return KEY_UNKNOWN;
}

bool schema_is_remark(tola_string name) { return keyword_named(name) == KEY_REMARK; }

/* ---- conjunctions ---- */

void schema_list_add(compiler *c, entry_list *l, const tola_value *schema, const char *path, unsigned done,
                            size_t parent) {
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].schema != schema) continue;
        l->items[i].done |= done;
        for (size_t up = parent; up != SIZE_MAX; up = l->items[up].parent)
            if (up == i) wrong(c, path, "refers to itself without end");
        return;
    }
    if (l->count == MAX_ENTRIES)
        build_fail(&c->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: more than %d schemas at one place", path,
                   MAX_ENTRIES);
    else l->items[l->count++] = (entry){ schema, path, done, parent };
}

void schema_expand(compiler *c, entry_list *l) {
    for (size_t i = 0; i < l->count && ok(c); i++) {
        entry e = l->items[i];
        if (is_bool(e.schema)) continue;
        if (!is_map(e.schema)) {
            wrong(c, e.path, "a schema is an object, true or false");
            return;
        }
        const tola_value *r = tola_value_get(e.schema, "$ref"), *all = tola_value_get(e.schema, "allOf");
        if (r) {
            const char *target_path, *path = schema_path(c, e.path, "$ref", 4);
            const tola_value *target = schema_follow(c, string_of(r), path, &target_path);
            if (target) schema_list_add(c, l, target, target_path, 0, i);
        }
        const tola_value *derived = ok(c) ? schema_derived(c, &e) : NULL;
        if (derived) schema_list_add(c, l, derived, e.path, 0, i);
        if (!all || !ok(c)) continue;
        if (!is_array(all) || all->as.array.count == 0) {
            wrong(c, schema_path(c, e.path, "allOf", 5), "must be an array of schemas");
            return;
        }
        const tola_value *items = schema_items(c, all);
        for (size_t k = 0; k < all->as.array.count && ok(c); k++)
            schema_list_add(c, l, items + k, schema_path_at(c, e.path, "allOf", k), 0, i);
    }
}

static unsigned type_named(compiler *c, const char *name, const char *path) {
    static const struct {
        const char *name;
        unsigned type;
    } known[] = { { "null", TYPE_NULL },
                  { "boolean", TYPE_BOOLEAN },
                  { "integer", TYPE_INTEGER },
                  { "number", TYPE_INTEGER | TYPE_NUMBER },
                  { "string", TYPE_STRING },
                  { "array", TYPE_ARRAY },
                  { "object", TYPE_OBJECT } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) return known[i].type;
    wrong(c, path, "no such type");
    return 0;
}

static unsigned types_of(compiler *c, const entry *e) {
    const tola_value *t = is_map(e->schema) ? tola_value_get(e->schema, "type") : NULL;
    if (is_bool(e->schema)) return e->schema->as.boolean ? TYPE_ANY : 0;
    if (!t) return TYPE_ANY;
    const char *path = schema_path(c, e->path, "type", 4);
    if (is_string(t)) return type_named(c, string_of(t), path);
    if (!is_array(t) || t->as.array.count == 0) {
        wrong(c, path, "must be a type or an array of types");
        return 0;
    }
    unsigned types = 0;
    for (size_t i = 0; i < t->as.array.count && ok(c); i++) {
        tola_value item = tola_value_at(t, i);
        types |= type_named(c, is_string(&item) ? string_of(&item) : "", path);
    }
    return types;
}

static int compare_entries(const void *x, const void *y) {
    const entry *a = x, *b = y;
    return a->schema < b->schema ? -1 : a->schema > b->schema;
}

static uint64_t hash_entries(const entry *sorted, size_t count) {
    uint64_t h = count;
    for (size_t i = 0; i < count; i++) {
        h = (h ^ (uint64_t)(uintptr_t)sorted[i].schema ^ sorted[i].done) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static bool same_entries(const conjunction *k, const entry *sorted, size_t count) {
    if (k->count != count) return false;
    for (size_t i = 0; i < count; i++)
        if (k->sorted[i].schema != sorted[i].schema || k->sorted[i].done != sorted[i].done) return false;
    return true;
}

static void grow_buckets(compiler *c) {
    if (c->known_count * 2 < c->bucket_count) return;
    size_t count = c->bucket_count ? c->bucket_count * 2 : 256;
    uint32_t *buckets = mem_calloc(count, sizeof *buckets);
    if (!buckets) {
        no_memory(c);
        return;
    }
    for (size_t i = 0; i < c->known_count; i++) {
        size_t at = c->known[i].hash & (count - 1);
        while (buckets[at]) at = (at + 1) & (count - 1);
        buckets[at] = (uint32_t)i + 1;
    }
    mem_free(c->buckets);
    c->buckets = buckets;
    c->bucket_count = count;
}

/* The conjunction of these schemas, new where there is none yet; its rule waits to be defined. */
static uint32_t find_conjunction(compiler *c, const entry *entries, size_t count) {
    entry *own = arena_alloc_array(&c->memory, count, sizeof *own);
    entry *sorted = arena_alloc_array(&c->memory, count, sizeof *sorted);
    if (!own || !sorted) no_memory(c);
    if (ok(c)) grow_buckets(c);
    if (!ok(c)) return 0;
    memcpy(own, entries, count * sizeof *own);
    memcpy(sorted, entries, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_entries);
    uint64_t hash = hash_entries(sorted, count);
    size_t at = hash & (c->bucket_count - 1);
    for (; c->buckets[at]; at = (at + 1) & (c->bucket_count - 1)) {
        const conjunction *k = &c->known[c->buckets[at] - 1];
        if (k->hash == hash && same_entries(k, sorted, count)) return k->rule;
    }
    char name[320];
    snprintf(name, sizeof name, "%.280s (%zu)", own[0].path, c->known_count);
    uint32_t rule = schema_rule(c, name);
    if (!mem_grow(&c->known, &c->known_cap, c->known_count + 1, sizeof *c->known)) {
        no_memory(c);
        return 0;
    }
    c->known[c->known_count++] = (conjunction){ own, sorted, count, hash, rule };
    c->buckets[at] = (uint32_t)c->known_count;
    return rule;
}

/* Whether a schema says nothing but what expand has taken from it. */
static bool says_nothing(const tola_value *schema) {
    for (size_t i = 0; i < schema->as.map.count; i++) {
        tola_string name = schema->as.map.members[i].key;
        keyword key = keyword_named(name);
        if ((key != KEY_REMARK && key != KEY_IGNORED) || strcmp(name.data, "type") == 0) return false;
    }
    return true;
}

uint32_t schema_rule_for(compiler *c, entry_list *l) {
    schema_expand(c, l);
    unsigned types = TYPE_ANY;
    size_t count = 0, moved[MAX_ENTRIES];
    for (size_t i = 0; i < l->count && ok(c); i++) {
        entry e = l->items[i];
        types &= types_of(c, &e);
        if (e.parent != SIZE_MAX) e.parent = moved[e.parent]; /* parents come first */
        bool kept = is_map(e.schema) && !says_nothing(e.schema);
        moved[i] = kept ? count : e.parent;
        if (kept) l->items[count++] = e;
    }
    if (!ok(c)) return 0;
    if (types == 0) return RULE_NEVER;
    if (count == 0) return c->any;
    return find_conjunction(c, l->items, count);
}

/* ---- what a conjunction says ---- */

static void narrow_count(compiler *c, const tola_value *v, const char *path, bool low, limits *l) {
    uint64_t n = tola_value_u64(v, UINT64_MAX);
    if (v->kind == TOLA_VALUE_FLOAT && v->as.f64 >= 0 && v->as.f64 < 1e15 && v->as.f64 == floor(v->as.f64))
        n = (uint64_t)v->as.f64;
    if (n == UINT64_MAX) wrong(c, path, "must be a whole number from 0 up");
    else if (n >= REPEAT_FOREVER)
        build_fail(&c->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: more than anything here counts", path);
    if (low && n > l->low) l->low = n;
    if (!low && n < l->high) l->high = n;
}

static void narrow_bound(compiler *c, const tola_value *v, const char *path, bool low, bool exclusive, meaning *m) {
    __int128 n = 0;
    if (!is_number(v)) {
        wrong(c, path, "must be a number");
        return;
    }
    if (!schema_bound_of(c->source, v, &n)) {
        unsupported(c, path, "bounds have at most 15 decimals and 20 digits before them");
        return;
    }
    if (exclusive) n += low ? 1 : -1; /* 10^-15: numbers within bounds have no more decimals */
    schema_bound *b = low ? &m->low : &m->high;
    if (!b->there || (low ? n > b->value : n < b->value)) *b = (schema_bound){ true, n };
    m->number_path = path;
}

static bool same_number(const compiler *c, const tola_value *a, const tola_value *b) {
    __int128 x, y;
    tola_string long_a, long_b;
    bool exact = schema_bound_of(c->source, a, &x), other = schema_bound_of(c->source, b, &y);
    if (exact || other) return exact && other && x == y;
    long_a.data = schema_long_number(c->source, a, &long_a.length);
    long_b.data = schema_long_number(c->source, b, &long_b.length);
    if (long_a.data && long_b.data) return same_string(long_a, long_b);
    return tola_value_f64(a, NAN) == tola_value_f64(b, NAN);
}

bool schema_same_value(const compiler *c, const tola_value *a, const tola_value *b) {
    if (is_number(a) && is_number(b)) return same_number(c, a, b);
    if (a->kind != b->kind) return false;
    switch ((tola_value_kind)a->kind) {
    case TOLA_VALUE_BOOL: return a->as.boolean == b->as.boolean;
    case TOLA_VALUE_STRING: return same_string(a->as.string, b->as.string);
    case TOLA_VALUE_ARRAY:
        if (a->as.array.count != b->as.array.count) return false;
        for (size_t i = 0; i < a->as.array.count; i++) {
            tola_value x = tola_value_at(a, i), y = tola_value_at(b, i);
            if (!schema_same_value(c, &x, &y)) return false;
        }
        return true;
    case TOLA_VALUE_MAP:
        if (a->as.map.count != b->as.map.count) return false;
        for (size_t i = 0; i < a->as.map.count; i++) {
            const tola_member *m = &a->as.map.members[i];
            const tola_value *other = schema_member(b, m->key);
            if (!other || !schema_same_value(c, &m->value, other)) return false;
        }
        return true;
    default: return true;
    }
}

static void take_multiple(compiler *c, const tola_value *v, const char *path, meaning *m) {
    __int128 n = 0;
    if (!is_number(v) || tola_value_f64(v, 0) <= 0) {
        wrong(c, path, "must be a number above 0");
        return;
    }
    if (!schema_bound_of(c->source, v, &n)) {
        unsupported(c, path, "a step has at most 15 decimals and 20 digits before them");
        return;
    }
    if (m->multiple.there && !schema_common_multiple(m->multiple.value, n, &n))
        unsupported(c, path, "beside another of its kind");
    m->multiple = (schema_bound){ true, n };
    m->multiple_path = path;
}

/* minContains and maxContains count for the `contains` beside them, and say nothing without one. */
static void take_contains(compiler *c, const entry *e, const tola_value *v, const char *path, meaning *m) {
    const tola_value *least = tola_value_get(e->schema, "minContains");
    const tola_value *most = tola_value_get(e->schema, "maxContains");
    limits l = { least ? 0 : 1, UINT64_MAX };
    if (least) narrow_count(c, least, schema_path(c, e->path, "minContains", 11), true, &l);
    if (most) narrow_count(c, most, schema_path(c, e->path, "maxContains", 11), false, &l);
    if (l.low == 0 && l.high == UINT64_MAX) return;
    if (m->contains && !c->comparing) unsupported(c, path, "beside another of its kind");
    m->contains = v;
    m->contained = l;
    m->contains_path = path;
}

/* Of several enums and consts, the values that are in all of them. */
static void take_choices(compiler *c, const tola_value *v, const char *path, bool one, meaning *m) {
    if (!one && (!is_array(v) || v->as.array.count == 0)) {
        wrong(c, path, "must be an array of values");
        return;
    }
    const tola_value *values = one ? v : schema_items(c, v);
    size_t count = one ? 1 : v->as.array.count, n = 0;
    if (m->choices && m->choice_count * count > MAX_COMPARED)
        build_fail(&c->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: too many values beside those of another", path);
    if (!ok(c)) return;
    if (!m->choices) {
        m->choices = values;
        m->choice_count = count;
        m->choice_path = path;
        return;
    }
    tola_value *both = arena_alloc_array(&c->memory, m->choice_count + 1, sizeof *both);
    if (!both) no_memory(c);
    for (size_t i = 0; both && i < m->choice_count; i++)
        for (size_t k = 0; k < count; k++)
            if (schema_same_value(c, &m->choices[i], values + k)) {
                both[n++] = m->choices[i];
                break;
            }
    if (both) m->choices = both;
    m->choice_count = n;
}

static void take_excluded(compiler *c, const tola_value *v, const char *path, meaning *m) {
    const tola_value *one = tola_value_get(v, "const"), *list = tola_value_get(v, "enum");
    const tola_value *pattern = tola_value_get(v, "pattern");
    if (pattern) { /* which anything but a string would match */
        m->types &= TYPE_STRING;
        m->unlike_path = schema_path(c, path, "pattern", 7);
        if (!is_string(pattern)) wrong(c, m->unlike_path, "must be a string");
        else if (m->unlike_count == MAX_UNLIKE) unsupported(c, m->unlike_path, "beside too many of its kind");
        else m->unlike[m->unlike_count++] = pattern;
        return;
    }
    if (!one && !is_array(list)) {
        wrong(c, schema_path(c, path, "enum", 4), "must be an array of values");
        return;
    }
    const tola_value *values = one ? one : schema_items(c, list);
    size_t count = one ? 1 : list->as.array.count;
    const tola_value **all = arena_alloc_array(&c->memory, m->excluded_count + count + 1, sizeof *all);
    if (!all || !values) {
        no_memory(c);
        return;
    }
    if (m->excluded_count) memcpy(all, m->excluded, m->excluded_count * sizeof *all);
    for (size_t i = 0; i < count; i++) all[m->excluded_count + i] = values + i;
    m->excluded = all;
    m->excluded_count += count;
    m->excluded_path = path;
}

static void take_once(compiler *c, const tola_value *v, const char *path, const tola_value **out, const char **where) {
    if (*out && !c->comparing) unsupported(c, path, "beside another of its kind");
    else if (!is_string(v)) wrong(c, path, "must be a string");
    *out = v;
    *where = path;
}

static void take_pattern(compiler *c, const tola_value *v, const char *path, meaning *m) {
    if (!m->pattern) {
        take_once(c, v, path, &m->pattern, &m->pattern_path);
        return;
    }
    if (!is_string(v)) wrong(c, path, "must be a string");
    if (m->alike_count == MAX_UNLIKE && !c->comparing) unsupported(c, path, "beside too many of its kind");
    if (!ok(c) || m->alike_count == MAX_UNLIKE) return;
    m->alike[m->alike_count] = v;
    m->alike_paths[m->alike_count++] = path;
}

static void take_group(compiler *c, const entry *e, size_t index, const tola_value *v, const char *path, unsigned bit,
                       meaning *m) {
    if (!is_array(v) || v->as.array.count == 0) {
        wrong(c, path, "must be an array of schemas");
        return;
    }
    if (e->done & bit) return;
    m->more_groups = m->group != NULL;
    if (m->group) return;
    m->group = v;
    m->group_entry = index;
    m->group_bit = bit;
    m->group_path = path;
}

static void take_keyword(compiler *c, const entry *e, size_t index, keyword key, const tola_value *v, const char *path,
                         meaning *m) {
    switch (key) {
    case KEY_REMARK:
    case KEY_IGNORED:
    case KEY_UNKNOWN: return;
    case KEY_NOT:
        if (schema_excludes_values(v)) take_excluded(c, v, path, m);
        return;
    case KEY_ENUM:
    case KEY_CONST: take_choices(c, v, path, key == KEY_CONST, m); return;
    case KEY_ANY_OF: take_group(c, e, index, v, path, DONE_ANY_OF, m); return;
    case KEY_ONE_OF: take_group(c, e, index, v, path, DONE_ONE_OF, m); return;
    case KEY_MIN_LENGTH:
    case KEY_MAX_LENGTH:
        m->bounded_text = true;
        narrow_count(c, v, path, key == KEY_MIN_LENGTH, &m->length);
        return;
    case KEY_PATTERN: take_pattern(c, v, path, m); return;
    case KEY_FORMAT:
        if (m->format && is_string(v) && schema_formats_differ(string_of(m->format), string_of(v)))
            m->length = (limits){ 1, 0 };
        take_once(c, v, path, &m->format, &m->format_path);
        if (ok(c) && !schema_knows_format(string_of(v))) unsupported(c, path, "a format that nothing here does");
        return;
    case KEY_MINIMUM:
    case KEY_EXCLUSIVE_MINIMUM: narrow_bound(c, v, path, true, key == KEY_EXCLUSIVE_MINIMUM, m); return;
    case KEY_MAXIMUM:
    case KEY_EXCLUSIVE_MAXIMUM: narrow_bound(c, v, path, false, key == KEY_EXCLUSIVE_MAXIMUM, m); return;
    case KEY_PROPERTIES:
    case KEY_PATTERN_PROPERTIES:
        m->objects = true;
        if (!is_map(v)) wrong(c, path, "must be an object");
        return;
    case KEY_REQUIRED:
        m->objects = true;
        if (!is_array(v)) wrong(c, path, "must be an array of names");
        return;
    case KEY_PROPERTY_NAMES:
    case KEY_UNEVALUATED_PROPERTIES:
    case KEY_ADDITIONAL: m->objects = true; return;
    case KEY_UNEVALUATED_ITEMS: m->elements = true; return;
    case KEY_ITEMS:
        m->elements = true;
        if (is_array(v)) unsupported(c, path, "an array of schemas; that is prefixItems now");
        return;
    case KEY_PREFIX_ITEMS:
        m->elements = true;
        if (!is_array(v)) wrong(c, path, "must be an array of schemas");
        return;
    case KEY_MIN_ITEMS:
    case KEY_MAX_ITEMS:
        narrow_count(c, v, path, key == KEY_MIN_ITEMS, &m->items);
        return;
    case KEY_UNIQUE_ITEMS:
        if (!is_bool(v)) wrong(c, path, "must be true or false");
        else if (v->as.boolean) m->unique = true;
        m->unique_path = path;
        return;
    case KEY_MULTIPLE: take_multiple(c, v, path, m); return;
    case KEY_MIN_PROPERTIES:
    case KEY_MAX_PROPERTIES:
        narrow_count(c, v, path, key == KEY_MIN_PROPERTIES, &m->members);
        m->members_path = path;
        return;
    case KEY_CONTAINS: take_contains(c, e, v, path, m); return;
    case KEY_MIN_CONTAINS:
    case KEY_MAX_CONTAINS: return; /* seen by the one before */
    }
}

static void take_entry(compiler *c, const entry *e, size_t index, meaning *m) {
    m->types &= types_of(c, e);
    for (size_t i = 0; i < e->schema->as.map.count && ok(c); i++) {
        const tola_member *member = &e->schema->as.map.members[i];
        const char *path = schema_path(c, e->path, member->key.data, member->key.length);
        keyword key = keyword_named(member->key);
        if (key == KEY_UNKNOWN) unsupported(c, path, "a keyword that nothing here does");
        else if (ok(c)) take_keyword(c, e, index, key, &member->value, path, m);
    }
}

static const meaning nothing_said = {
    .types = TYPE_ANY, .length = { 0, UINT64_MAX }, .items = { 0, UINT64_MAX }, .members = { 0, UINT64_MAX }
};

void schema_read(compiler *c, const conjunction *k, meaning *m) {
    *m = nothing_said;
    for (size_t i = 0; i < k->count && ok(c); i++) take_entry(c, &k->entries[i], i, m);
}

void schema_read_list(compiler *c, entry_list *l, meaning *m) {
    *m = nothing_said;
    schema_expand(c, l);
    for (size_t i = 0; i < l->count && ok(c); i++)
        if (is_bool(l->items[i].schema)) m->types &= types_of(c, &l->items[i]);
        else take_entry(c, &l->items[i], i, m);
}
