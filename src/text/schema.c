/* The schema compiler: https://json-schema.org/draft/2020-12
 *
 * Works on conjunctions: lists of schemas that must all hold at one place (a schema, what its $ref and allOf add, a
 * branch of its anyOf). Each becomes a rule, remembered by its list, so that schemas which refer to themselves become
 * recursive rules. Rules wait in a queue; nothing recurses as the schema nests. Where no value can fit, a rule has no
 * way through it; ways that would lead there are cut at the end. */
#include "text/schema.h"

#include "base/err.h"
#include "base/json.h"
#include "text/schema_build.h"
#include <tola/json.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SCHEMA_BYTES (4u << 20)
#define MAX_ENTRIES 256   /* schemas that hold at one place */
#define MAX_ONE_OF 256    /* branches of a oneOf */
#define MAX_COMPARED (1u << 22) /* parts made, in all, to find out which branches exclude each other */
#define RULE_NEVER UINT32_MAX

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_NUMBER = 8, /* integers too */
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ANY = 127
};

enum { DONE_ANY_OF = 1, DONE_ONE_OF = 2 };

/* A schema that holds here; of its anyOf and oneOf, those in `done` have had a branch chosen. */
typedef struct entry {
    const tola_value *schema;
    const char *path; /* its JSON pointer */
    unsigned done;
    size_t parent; /* the entry whose $ref or allOf led here, SIZE_MAX: none */
} entry;

typedef struct conjunction {
    entry *entries, *sorted; /* in their order, and by address */
    size_t count;
    uint64_t hash;
    uint32_t rule;
} conjunction;

typedef struct compiler {
    grammar_builder b;
    arena memory;
    tola_value root;
    conjunction *known;
    size_t known_count, known_cap, done; /* those before `done` are defined */
    uint32_t *buckets;                   /* of `known`, by hash: index + 1 */
    size_t bucket_count;
    uint32_t any, any_object, string, character, space, never;
    const char *never_path; /* where it was first seen that nothing fits */
    bool comparing;         /* whether anything fits is all that is asked (excludes) */
    size_t compared;        /* parts made to find that out */
} compiler;

static bool ok(const compiler *c) { return c->b.status == TOLA_OK; }

static void no_memory(compiler *c) { build_fail(&c->b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema"); }

static void wrong(compiler *c, const char *path, const char *what) {
    build_fail(&c->b, TOLA_E_FORMAT, TOLA_NO_OFFSET, "schema: %s: %s", path, what);
}

static void unsupported(compiler *c, const char *path, const char *what) {
    build_fail(&c->b, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "schema: %s: %s", path, what);
}

static const char *string_of(const tola_value *v) { return tola_value_str(v, ""); }

static bool is_map(const tola_value *v) { return v && v->kind == TOLA_VALUE_MAP; }
static bool is_bool(const tola_value *v) { return v && v->kind == TOLA_VALUE_BOOL; }
static bool is_array(const tola_value *v) { return v && v->kind == TOLA_VALUE_ARRAY; }
static bool is_string(const tola_value *v) { return v && v->kind == TOLA_VALUE_STRING; }
static bool is_number(const tola_value *v) {
    return v && (v->kind == TOLA_VALUE_UINT || v->kind == TOLA_VALUE_INT || v->kind == TOLA_VALUE_FLOAT);
}

/* path + "/" + key, with ~ and / escaped. */
static const char *path_of(compiler *c, const char *path, const char *key, size_t length) {
    size_t n = strlen(path);
    char *out = arena_alloc(&c->memory, n + 2 * length + 2);
    if (!out) {
        no_memory(c);
        return path;
    }
    memcpy(out, path, n);
    out[n++] = '/';
    for (size_t i = 0; i < length; i++) {
        if (key[i] == '~' || key[i] == '/') {
            out[n++] = '~';
            out[n++] = key[i] == '~' ? '0' : '1';
        } else {
            out[n++] = key[i];
        }
    }
    out[n] = '\0';
    return out;
}

static const char *path_at(compiler *c, const char *path, const char *key, size_t index) {
    char number[32];
    snprintf(number, sizeof number, "%zu", index);
    if (key) path = path_of(c, path, key, strlen(key));
    return path_of(c, path, number, strlen(number));
}

/* The items of an array: its own, or copies where they are packed (which no objects are). */
static const tola_value *items_of(compiler *c, const tola_value *array) {
    if (array->element == TOLA_VALUE_NULL) return array->as.array.items;
    size_t n = array->as.array.count;
    tola_value *items = arena_alloc_array(&c->memory, n + 1, sizeof *items);
    if (!items) no_memory(c);
    for (size_t i = 0; items && i < n; i++) items[i] = tola_value_at(array, i);
    return items;
}

static bool same_string(tola_string a, tola_string b) {
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

static const tola_value *member_named(const tola_value *map, tola_string name) {
    for (size_t i = 0; map && i < map->as.map.count; i++) {
        const tola_member *m = &map->as.map.members[i];
        if (same_string(m->key, name)) return &m->value;
    }
    return NULL;
}

/* ---- pieces of JSON ---- */

static part text(compiler *c, const char *t) { return schema_text(&c->b, t); }
static part ref(compiler *c, uint32_t rule) { return build_rule_ref(&c->b, rule); }
static part never(compiler *c, const char *path) {
    if (!c->never_path) c->never_path = path;
    return ref(c, c->never);
}
static part space(compiler *c) { return ref(c, c->space); }
static part optional(compiler *c, part p) { return build_repeat(&c->b, p, 0, 1); }

static part comma(compiler *c) { return schema_seq(&c->b, space(c), text(c, ","), space(c), PART_NONE); }
static part colon(compiler *c) { return schema_seq(&c->b, space(c), text(c, ":"), space(c), PART_NONE); }

static uint32_t rule_named(compiler *c, const char *name) {
    return build_rule(&c->b, name, strlen(name), TOLA_NO_OFFSET);
}

static void define_json(compiler *c) {
    grammar_builder *b = &c->b;
    c->never = rule_named(c, "nothing");
    build_define(b, c->never, ref(c, c->never), TOLA_NO_OFFSET);
    if (c->comparing) { /* how texts are spelled says nothing about whether there is one */
        c->space = c->character = c->string = c->any = c->any_object = rule_named(c, "anything");
        build_define(b, c->any, build_empty(b), TOLA_NO_OFFSET);
        return;
    }
    c->space = rule_named(c, "space");
    c->character = rule_named(c, "character");
    c->string = rule_named(c, "string");
    c->any = rule_named(c, "any value");
    c->any_object = rule_named(c, "any object");
    uint32_t array = rule_named(c, "any array");
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

/* ---- $ref ---- */

static int hex_digit(int c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* "#/a~1b/0" from the root; NULL where it leads nowhere (the failure is set). */
static const tola_value *follow_ref(compiler *c, const char *ref_text, const char *path, const char **target_path) {
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
            if (ch == '~' && (p[1] == '0' || p[1] == '1')) ch = *++p == '0' ? '~' : '/';
            key[n++] = ch;
        }
        key[n] = '\0';
        if (is_map(v)) {
            v = tola_value_get(v, key);
        } else if (is_array(v)) {
            char *end;
            size_t i = strtoull(key, &end, 10);
            bool good = n > 0 && *end == '\0' && key[0] != '-' && key[0] != '+' && i < v->as.array.count;
            const tola_value *items = good ? items_of(c, v) : NULL;
            v = items ? items + i : NULL;
        } else {
            v = NULL;
        }
        *target_path = path_of(c, *target_path, key, n);
        if (!v) break;
    }
    if (ok(c) && !v) wrong(c, path, "$ref leads nowhere in this document");
    return ok(c) ? v : NULL;
}

/* ---- keywords ---- */

typedef enum keyword {
    KEY_IGNORED, /* says nothing about values, or is dealt with by expand and types_of */
    KEY_ENUM, KEY_CONST, KEY_ANY_OF, KEY_ONE_OF, KEY_MIN_LENGTH, KEY_MAX_LENGTH, KEY_PATTERN, KEY_FORMAT, KEY_MINIMUM,
    KEY_MAXIMUM, KEY_EXCLUSIVE_MINIMUM, KEY_EXCLUSIVE_MAXIMUM, KEY_PROPERTIES, KEY_REQUIRED, KEY_ADDITIONAL, KEY_ITEMS,
    KEY_PREFIX_ITEMS, KEY_MIN_ITEMS, KEY_MAX_ITEMS, KEY_UNIQUE_ITEMS, KEY_UNKNOWN
} keyword;

static const struct {
    const char *name;
    keyword key;
} KEYWORDS[] = {
    { "$comment", KEY_IGNORED },   { "$defs", KEY_IGNORED },       { "$id", KEY_IGNORED },
    { "$ref", KEY_IGNORED },       { "$schema", KEY_IGNORED },     { "allOf", KEY_IGNORED },
    { "default", KEY_IGNORED },    { "definitions", KEY_IGNORED }, { "deprecated", KEY_IGNORED },
    { "description", KEY_IGNORED }, { "examples", KEY_IGNORED },   { "readOnly", KEY_IGNORED },
    { "title", KEY_IGNORED },      { "type", KEY_IGNORED },        { "writeOnly", KEY_IGNORED },
    { "enum", KEY_ENUM },          { "const", KEY_CONST },         { "anyOf", KEY_ANY_OF },
    { "oneOf", KEY_ONE_OF },       { "minLength", KEY_MIN_LENGTH }, { "maxLength", KEY_MAX_LENGTH },
    { "pattern", KEY_PATTERN },    { "format", KEY_FORMAT },       { "minimum", KEY_MINIMUM },
    { "maximum", KEY_MAXIMUM },    { "exclusiveMinimum", KEY_EXCLUSIVE_MINIMUM },
    { "exclusiveMaximum", KEY_EXCLUSIVE_MAXIMUM },                 { "properties", KEY_PROPERTIES },
    { "required", KEY_REQUIRED },  { "additionalProperties", KEY_ADDITIONAL }, { "items", KEY_ITEMS },
    { "prefixItems", KEY_PREFIX_ITEMS }, { "minItems", KEY_MIN_ITEMS }, { "maxItems", KEY_MAX_ITEMS },
    { "uniqueItems", KEY_UNIQUE_ITEMS },
};

/* KEY_UNKNOWN where there is none of this name. */
static keyword keyword_named(tola_string name) {
    for (size_t i = 0; i < sizeof KEYWORDS / sizeof *KEYWORDS; i++)
        if (strlen(KEYWORDS[i].name) == name.length && memcmp(KEYWORDS[i].name, name.data, name.length) == 0)
            return KEYWORDS[i].key;
    return KEY_UNKNOWN;
}

/* ---- conjunctions ---- */

typedef struct entry_list {
    entry items[MAX_ENTRIES];
    size_t count;
} entry_list;

static void list_add(compiler *c, entry_list *l, const tola_value *schema, const char *path, unsigned done,
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

/* Adds what $ref and allOf say, of each entry and of those that are added. */
static void expand(compiler *c, entry_list *l) {
    for (size_t i = 0; i < l->count && ok(c); i++) {
        entry e = l->items[i];
        if (is_bool(e.schema)) continue;
        if (!is_map(e.schema)) {
            wrong(c, e.path, "a schema is an object, true or false");
            return;
        }
        const tola_value *r = tola_value_get(e.schema, "$ref"), *all = tola_value_get(e.schema, "allOf");
        if (r) {
            const char *target_path, *path = path_of(c, e.path, "$ref", 4);
            const tola_value *target = follow_ref(c, string_of(r), path, &target_path);
            if (target) list_add(c, l, target, target_path, 0, i);
        }
        if (!all || !ok(c)) continue;
        if (!is_array(all) || all->as.array.count == 0) {
            wrong(c, path_of(c, e.path, "allOf", 5), "must be an array of schemas");
            return;
        }
        const tola_value *items = items_of(c, all);
        for (size_t k = 0; k < all->as.array.count && ok(c); k++)
            list_add(c, l, items + k, path_at(c, e.path, "allOf", k), 0, i);
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
    const char *path = path_of(c, e->path, "type", 4);
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
    uint32_t rule = rule_named(c, name);
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
        if (keyword_named(name) != KEY_IGNORED || strcmp(name.data, "type") == 0) return false;
    }
    return true;
}

/* The rule of all these schemas together; RULE_NEVER where it is plain that nothing fits. */
static uint32_t rule_for(compiler *c, entry_list *l) {
    expand(c, l);
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

static uint32_t rule_for_one(compiler *c, const tola_value *schema, const char *path) {
    entry_list *l = mem_calloc(1, sizeof *l);
    if (!l) {
        no_memory(c);
        return 0;
    }
    list_add(c, l, schema, path, 0, SIZE_MAX);
    uint32_t rule = rule_for(c, l);
    mem_free(l);
    return rule;
}

/* ---- what a conjunction says ---- */

typedef struct limits {
    uint64_t low, high; /* UINT64_MAX: none */
} limits;

typedef struct meaning {
    unsigned types;
    const tola_value *choices; /* of enum or const */
    size_t choice_count;
    const char *choice_path;
    limits length, items;
    const tola_value *pattern, *format;
    const char *pattern_path, *format_path;
    schema_bound low, high;       /* of numbers */
    bool bounded_text, objects, elements; /* there are keywords of lengths, objects, elements of arrays */
    const char *number_path;
    const tola_value *group;      /* an anyOf or oneOf of which a branch is to be chosen */
    size_t group_entry;
    unsigned group_bit;
    const char *group_path;
} meaning;

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
    if (!schema_bound_of(v, &n)) {
        unsupported(c, path, "bounds have at most 15 decimals and 20 digits before them");
        return;
    }
    if (exclusive) n += low ? 1 : -1; /* 10^-15: numbers within bounds have no more decimals */
    schema_bound *b = low ? &m->low : &m->high;
    if (!b->there || (low ? n > b->value : n < b->value)) *b = (schema_bound){ true, n };
    m->number_path = path;
}

/* As JSON's values are: 1 is 1.0, and members have no order. Recurses as deep as JSON may nest. */
static bool same_value(const tola_value *a, const tola_value *b) {
    if (is_number(a) && is_number(b)) {
        __int128 x, y;
        bool exact = schema_bound_of(a, &x), other = schema_bound_of(b, &y);
        if (exact != other) return false;
        return exact ? x == y : tola_value_f64(a, NAN) == tola_value_f64(b, NAN);
    }
    if (a->kind != b->kind) return false;
    switch ((tola_value_kind)a->kind) {
    case TOLA_VALUE_BOOL: return a->as.boolean == b->as.boolean;
    case TOLA_VALUE_STRING: return same_string(a->as.string, b->as.string);
    case TOLA_VALUE_ARRAY:
        if (a->as.array.count != b->as.array.count) return false;
        for (size_t i = 0; i < a->as.array.count; i++) {
            tola_value x = tola_value_at(a, i), y = tola_value_at(b, i);
            if (!same_value(&x, &y)) return false;
        }
        return true;
    case TOLA_VALUE_MAP:
        if (a->as.map.count != b->as.map.count) return false;
        for (size_t i = 0; i < a->as.map.count; i++) {
            const tola_member *m = &a->as.map.members[i];
            const tola_value *other = member_named(b, m->key);
            if (!other || !same_value(&m->value, other)) return false;
        }
        return true;
    default: return true;
    }
}

/* Of several enums and consts, the values that are in all of them. */
static void take_choices(compiler *c, const tola_value *v, const char *path, bool one, meaning *m) {
    if (!one && (!is_array(v) || v->as.array.count == 0)) {
        wrong(c, path, "must be an array of values");
        return;
    }
    const tola_value *values = one ? v : items_of(c, v);
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
            if (same_value(&m->choices[i], values + k)) {
                both[n++] = m->choices[i];
                break;
            }
    if (both) m->choices = both;
    m->choice_count = n;
}

static void take_once(compiler *c, const tola_value *v, const char *path, const tola_value **out, const char **where) {
    if (*out && !c->comparing) unsupported(c, path, "beside another of its kind");
    else if (!is_string(v)) wrong(c, path, "must be a string");
    *out = v;
    *where = path;
}

static void take_group(compiler *c, const entry *e, size_t index, const tola_value *v, const char *path, unsigned bit,
                       meaning *m) {
    if (!is_array(v) || v->as.array.count == 0) {
        wrong(c, path, "must be an array of schemas");
        return;
    }
    if (m->group || (e->done & bit)) return;
    m->group = v;
    m->group_entry = index;
    m->group_bit = bit;
    m->group_path = path;
}

static void take_keyword(compiler *c, const entry *e, size_t index, keyword key, const tola_value *v, const char *path,
                         meaning *m) {
    switch (key) {
    case KEY_IGNORED:
    case KEY_UNKNOWN: return;
    case KEY_ENUM:
    case KEY_CONST: take_choices(c, v, path, key == KEY_CONST, m); return;
    case KEY_ANY_OF: take_group(c, e, index, v, path, DONE_ANY_OF, m); return;
    case KEY_ONE_OF: take_group(c, e, index, v, path, DONE_ONE_OF, m); return;
    case KEY_MIN_LENGTH:
    case KEY_MAX_LENGTH:
        m->bounded_text = true;
        narrow_count(c, v, path, key == KEY_MIN_LENGTH, &m->length);
        return;
    case KEY_PATTERN: take_once(c, v, path, &m->pattern, &m->pattern_path); return;
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
        m->objects = true;
        if (!is_map(v)) wrong(c, path, "must be an object");
        return;
    case KEY_REQUIRED:
        m->objects = true;
        if (!is_array(v)) wrong(c, path, "must be an array of names");
        return;
    case KEY_ADDITIONAL: m->objects = true; return;
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
        if (!is_bool(v) || v->as.boolean) unsupported(c, path, "a grammar cannot tell that items differ");
        return;
    }
}

static void take_entry(compiler *c, const entry *e, size_t index, meaning *m) {
    m->types &= types_of(c, e);
    for (size_t i = 0; i < e->schema->as.map.count && ok(c); i++) {
        const tola_member *member = &e->schema->as.map.members[i];
        const char *path = path_of(c, e->path, member->key.data, member->key.length);
        keyword key = keyword_named(member->key);
        if (key == KEY_UNKNOWN) unsupported(c, path, "a keyword that nothing here does");
        else if (ok(c)) take_keyword(c, e, index, key, &member->value, path, m);
    }
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
    if (ok(c)) p = n ? build_alt(&c->b, ways, n) : never(c, m->choice_path);
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
            list_add(c, l, items_of(c, prefix) + index, path_at(c, e->path, "prefixItems", index), 0, SIZE_MAX);
        else if (rest) list_add(c, l, rest, path_of(c, e->path, "items", 5), 0, SIZE_MAX);
    }
    uint32_t rule = ok(c) ? rule_for(c, l) : 0;
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
        uint32_t rule = rule_named(c, name);
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
        const tola_value *own = name ? member_named(tola_value_get(e->schema, "properties"), *name) : NULL;
        const tola_value *further = tola_value_get(e->schema, "additionalProperties");
        if (own) {
            const char *path = path_of(c, path_of(c, e->path, "properties", 10), name->data, name->length);
            list_add(c, l, own, path, 0, SIZE_MAX);
        } else if (further) {
            list_add(c, l, further, path_of(c, e->path, "additionalProperties", 20), 0, SIZE_MAX);
        }
    }
    uint32_t rule = ok(c) ? rule_for(c, l) : 0;
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
            else wrong(c, path_at(c, k->entries[i].path, "required", n), "must be a name");
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
    return rule_named(c, name);
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

/* ---- branches of anyOf and oneOf ---- */

/* All that holds in this branch, and `more` where that is not NULL. */
static void list_branch(compiler *c, const conjunction *k, const meaning *m, size_t branch, const tola_value *more,
                        entry_list *l) {
    l->count = 0;
    for (size_t e = 0; e < k->count; e++)
        list_add(c, l, k->entries[e].schema, k->entries[e].path,
                 k->entries[e].done | (e == m->group_entry ? m->group_bit : 0), k->entries[e].parent);
    list_add(c, l, items_of(c, m->group) + branch, path_at(c, m->group_path, NULL, branch), 0, m->group_entry);
    if (more) list_add(c, l, more, m->group_path, 0, SIZE_MAX);
}

/* The branches of a oneOf, and what is added to each so that no other holds with it. */
typedef struct one_of {
    const conjunction *k;
    const meaning *m;
    tola_value *more; /* of each branch: {"properties": {name: false, ...}, perhaps "type": "object"} */
    entry_list *list, *other;
} one_of;

static const tola_value *more_of(const one_of *o, size_t branch) {
    return o->more[branch].as.map.count ? &o->more[branch] : NULL;
}

static void begin(compiler *c, bool comparing);
static void end(compiler *c);
static void define_all(compiler *c);

/* Whether nothing fits branch `a`, with what was added to it, and branch `b` as it is: what both say is compiled as far
 * as values need it. Patterns exclude nothing. */
static bool excludes(compiler *c, const one_of *o, size_t a, size_t b) {
    compiler *both = mem_calloc(1, sizeof *both);
    bool fits = true;
    if (!both) {
        no_memory(c);
        return false;
    }
    begin(both, true);
    both->root = c->root;
    list_branch(both, o->k, o->m, a, more_of(o, a), o->list);
    list_add(both, o->list, items_of(both, o->m->group) + b, path_at(both, o->m->group_path, NULL, b), 0, SIZE_MAX);
    uint32_t rule = ok(both) ? rule_for(both, o->list) : 0;
    define_all(both);
    c->compared += both->b.part_count;
    if (ok(both)) fits = rule != RULE_NEVER && build_prune(&both->b, rule);
    else build_fail(&c->b, both->b.status, TOLA_NO_OFFSET, "%s", both->b.error.message);
    if (c->compared > MAX_COMPARED)
        build_fail(&c->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: too much to compare; anyOf takes any branch",
                   o->m->group_path);
    end(both);
    mem_free(both);
    return !fits;
}

static bool requires(const entry_list *l, tola_string name) {
    for (size_t i = 0; i < l->count; i++) {
        const tola_value *names = is_map(l->items[i].schema) ? tola_value_get(l->items[i].schema, "required") : NULL;
        for (size_t n = 0; is_array(names) && n < names->as.array.count; n++) {
            tola_value v = tola_value_at(names, n);
            if (is_string(&v) && same_string(v.as.string, name)) return true;
        }
    }
    return false;
}

static bool mentions(const entry_list *l, tola_string name) {
    for (size_t i = 0; i < l->count; i++)
        if (is_map(l->items[i].schema) && member_named(tola_value_get(l->items[i].schema, "properties"), name))
            return true;
    return false;
}

/* Forbids a property in branch `a` that `b` requires and `a` does not, best one of which `a` says nothing: then `b`
 * never holds where `a` does. */
static bool keep_out(compiler *c, const one_of *o, size_t a, size_t b) {
    list_branch(c, o->k, o->m, a, more_of(o, a), o->list);
    list_branch(c, o->k, o->m, b, NULL, o->other);
    expand(c, o->list);
    expand(c, o->other);
    tola_string found = { NULL, 0 };
    bool known = true;
    for (size_t i = 0; i < o->other->count && ok(c); i++) {
        const entry *e = &o->other->items[i];
        const tola_value *names = is_map(e->schema) ? tola_value_get(e->schema, "required") : NULL;
        for (size_t n = 0; is_array(names) && n < names->as.array.count && known; n++) {
            tola_value name = tola_value_at(names, n);
            if (!is_string(&name) || requires(o->list, name.as.string)) continue;
            if (found.data && mentions(o->list, name.as.string)) continue;
            found = name.as.string;
            known = mentions(o->list, found);
        }
    }
    if (!ok(c) || !found.data) return false;
    tola_value *all = &o->more[a];
    size_t old = all->as.map.count ? all->as.map.members[0].value.as.map.count : 0;
    tola_member *names = arena_alloc_array(&c->memory, old + 1, sizeof *names);
    tola_member *member = arena_alloc_array(&c->memory, 2, sizeof *member);
    if (!names || !member) {
        no_memory(c);
        return false;
    }
    if (old) memcpy(names, all->as.map.members[0].value.as.map.members, old * sizeof *names);
    memset(names + old, 0, sizeof *names);
    names[old].key = found;
    names[old].value.kind = TOLA_VALUE_BOOL;
    memset(member, 0, 2 * sizeof *member);
    member->key = (tola_string){ "properties", 10 };
    member->value.kind = TOLA_VALUE_MAP;
    member->value.as.map.members = names;
    member->value.as.map.count = old + 1;
    all->kind = TOLA_VALUE_MAP;
    member[1].key = (tola_string){ "type", 4 };
    member[1].value.kind = TOLA_VALUE_STRING;
    member[1].value.as.string = (tola_string){ "object", 6 };
    all->as.map.members = member;
    if (all->as.map.count == 0) all->as.map.count = 1;
    return true;
}

/* Sees to it that of a oneOf exactly one branch holds. */
static void exclude_each_other(compiler *c, const one_of *o, size_t count) {
    for (size_t a = 0; a < count && ok(c); a++) {
        for (size_t b = 0; b < count && ok(c); b++) {
            if (a == b || (b < a && !more_of(o, a) && !more_of(o, b))) continue; /* seen from the other side */
            if (excludes(c, o, a, b) || !ok(c)) continue;
            bool apart = keep_out(c, o, a, b) && excludes(c, o, a, b);
            if (!apart && more_of(o, a)) { /* without a type both hold of anything but an object */
                o->more[a].as.map.count = 2;
                apart = excludes(c, o, a, b);
            }
            if (apart) continue;
            char what[160];
            snprintf(what, sizeof what, "branches %zu and %zu may both hold, which a grammar cannot keep apart; "
                     "anyOf takes any of them", a < b ? a : b, a < b ? b : a);
            unsupported(c, o->m->group_path, what);
        }
    }
}

static part branches(compiler *c, const conjunction *k, const meaning *m) {
    size_t count = m->group->as.array.count, n = 0;
    bool one = m->group_bit == DONE_ONE_OF && !c->comparing;
    part *ways = mem_alloc(count * sizeof *ways), p = 0;
    entry_list *lists = mem_calloc(2, sizeof *lists);
    tola_value *more = arena_alloc_array(&c->memory, count, sizeof *more);
    if (!ways || !lists || !more) no_memory(c);
    if (one && count > MAX_ONE_OF)
        build_fail(&c->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: more than %d branches", m->group_path, MAX_ONE_OF);
    if (ok(c)) {
        memset(more, 0, count * sizeof *more);
        one_of o = { k, m, more, lists, lists + 1 };
        if (one) exclude_each_other(c, &o, count);
        for (size_t i = 0; i < count && ok(c); i++) {
            list_branch(c, k, m, i, more_of(&o, i), lists);
            uint32_t rule = ok(c) ? rule_for(c, lists) : 0;
            if (ok(c) && rule != RULE_NEVER) ways[n++] = ref(c, rule);
        }
    }
    if (ok(c)) p = n ? build_alt(&c->b, ways, n) : never(c, m->group_path);
    mem_free(ways);
    mem_free(lists);
    return p;
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
    if (ok(c) && possible == 0) return never(c, k->entries[0].path);
    return ok(c) ? build_alt(&c->b, ways, possible) : 0;
}

static void define_conjunction(compiler *c, size_t index) {
    const conjunction k = c->known[index]; /* the list may move */
    meaning m = { .types = TYPE_ANY, .length = { 0, UINT64_MAX }, .items = { 0, UINT64_MAX } };
    for (size_t i = 0; i < k.count && ok(c); i++) take_entry(c, &k.entries[i], i, &m);
    if (!ok(c)) return;
    part body = m.group ? branches(c, &k, &m) : m.choices ? choices(c, &m) : typed(c, &k, &m);
    build_define(&c->b, k.rule, body, TOLA_NO_OFFSET);
}

static void define_all(compiler *c) {
    for (; ok(c) && c->done < c->known_count; c->done++) define_conjunction(c, c->done);
}

/* ---- the whole ---- */

static void begin(compiler *c, bool comparing) {
    memset(c, 0, sizeof *c);
    c->comparing = comparing;
    build_init(&c->b);
    arena_init(&c->memory, 256u << 20);
    define_json(c);
}

static void end(compiler *c) {
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
    end(c);
    return status;
}

tola_status grammar_from_schema(const char *schema, size_t length, grammar **out, tola_error *err) {
    if (length > MAX_SCHEMA_BYTES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a schema of %zu bytes; at most %u are read", length,
                       MAX_SCHEMA_BYTES);
    compiler c;
    begin(&c, false);
    tola_error parse_error = TOLA_ERROR_INIT;
    tola_status status = json_parse(schema, length, &c.memory, &c.root, &parse_error);
    if (status != TOLA_OK) build_fail(&c.b, status, parse_error.offset, "schema: %s", parse_error.message);
    uint32_t root = ok(&c) ? rule_for_one(&c, &c.root, "#") : 0;
    if (root != RULE_NEVER) define_all(&c);
    return finish(&c, root, out, err);
}

tola_status grammar_any_json(bool object, grammar **out, tola_error *err) {
    compiler c;
    begin(&c, false);
    return finish(&c, object ? c.any_object : c.any, out, err);
}
