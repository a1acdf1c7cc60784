/* `not`, `if` with `then` and `else`, dependentRequired and dependentSchemas, said in other keywords.
 *
 * A grammar has no complement, but most keywords have an opposite: what is not at least 3 is less than 3 or no number;
 * where not all of several hold, one does not. So the opposite of a schema is an anyOf of the opposites of what it
 * says, and `if` is an anyOf of two branches. What has no opposite here is an error. What `not` excludes by enum, const
 * or pattern is left to schema_read.c. Schemas of the user's are referred to by $ref: messages name their place. */
#include "base/json.h"
#include "text/schema_inside.h"

#define MAX_DERIVED 4096

/* ---- making schemas ---- */

static tola_value word(const char *text) {
    return (tola_value){ .kind = TOLA_VALUE_STRING, .as.string = { text, strlen(text) } };
}

static tola_value boolean(bool b) { return (tola_value){ .kind = TOLA_VALUE_BOOL, .as.boolean = b }; }

static tola_value list_of(compiler *c, const tola_value *items, size_t count) {
    tola_value *own = arena_alloc_array(&c->memory, count + 1, sizeof *own), list = { .kind = TOLA_VALUE_ARRAY };
    if (!own) {
        no_memory(c);
        return list;
    }
    if (count) memcpy(own, items, count * sizeof *own);
    list.as.array.items = own;
    list.as.array.count = count;
    return list;
}

/* {key: value}, and what `more` has, which is such a map. */
static tola_value with(compiler *c, tola_string key, tola_value value, const tola_value *more) {
    size_t count = more ? more->as.map.count : 0;
    tola_member *members = arena_alloc_array(&c->memory, count + 1, sizeof *members);
    tola_value map = { .kind = TOLA_VALUE_MAP };
    if (!members) {
        no_memory(c);
        return map;
    }
    if (count) memcpy(members, more->as.map.members, count * sizeof *members);
    members[count] = (tola_member){ key, value };
    map.as.map.members = members;
    map.as.map.count = count + 1;
    return map;
}

static tola_value says(compiler *c, const char *key, tola_value value, const tola_value *more) {
    return with(c, (tola_string){ key, strlen(key) }, value, more);
}

/* {"type": type, key: value} */
static tola_value typed(compiler *c, const char *type, const char *key, tola_value value) {
    tola_value map = says(c, "type", word(type), NULL);
    return says(c, key, value, &map);
}

/* A place of the user's document. */
static tola_value referring(compiler *c, const char *path) {
    char *text = arena_alloc(&c->memory, 3 * strlen(path) + 1), *p = text;
    if (!text) {
        no_memory(c);
        return boolean(true);
    }
    for (; *path; path++) {
        *p++ = *path;
        if (*path != '%') continue;
        *p++ = '2'; /* "%25" */
        *p++ = '5';
    }
    *p = '\0';
    return says(c, "$ref", word(text), NULL);
}

/* ---- opposites ---- */

typedef struct ways {
    tola_value *items;
    size_t count, cap;
} ways;

static void add(compiler *c, ways *w, tola_value schema) {
    if (!mem_grow(&w->items, &w->cap, w->count + 1, sizeof *w->items)) no_memory(c);
    else w->items[w->count++] = schema;
}

static tola_value any_of(compiler *c, ways *w) {
    tola_value result = boolean(false);
    if (ok(c) && w->count == 1) result = w->items[0];
    else if (ok(c) && w->count > 1) result = says(c, "anyOf", list_of(c, w->items, w->count), NULL);
    mem_free(w->items);
    return result;
}

static tola_value opposite(compiler *c, const tola_value *schema, const char *path);

static void opposite_types(compiler *c, ways *w, const tola_value *types, const char *path) {
    static const char *const names[] = { "null", "boolean", "number", "string", "array", "object" };
    tola_value others[6];
    size_t n = 0, count = is_array(types) ? types->as.array.count : 1;
    unsigned seen = 0;
    bool known = true;
    for (size_t i = 0; i < count; i++) {
        tola_value type = is_array(types) ? tola_value_at(types, i) : *types;
        unsigned one = strcmp(string_of(&type), "integer") == 0 ? 64 : 0;
        for (size_t k = 0; k < 6; k++) one |= strcmp(string_of(&type), names[k]) == 0 ? 1u << k : 0;
        known = known && one;
        seen |= one;
    }
    if (!known || count == 0 || (seen & 64 && !(seen & 4))) {
        unsupported(c, path, "has no opposite that a grammar can say");
        return;
    }
    for (size_t k = 0; k < 6; k++)
        if (!(seen >> k & 1)) others[n++] = word(names[k]);
    if (n) add(c, w, says(c, "type", list_of(c, others, n), NULL));
}

/* One more than it, or one less; there is none below 0. */
static void opposite_count(compiler *c, ways *w, const char *type, const char *key, const tola_value *v, bool more) {
    uint64_t n = tola_value_u64(v, UINT64_MAX);
    if (n == 0 && !more) return;
    tola_value count = { .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U64, .as.u64 = more ? n + 1 : n - 1 };
    add(c, w, typed(c, type, key, count));
}

static void opposite_required(compiler *c, ways *w, const tola_value *names, const char *path) {
    for (size_t i = 0; is_array(names) && i < names->as.array.count && ok(c); i++) {
        tola_value name = tola_value_at(names, i);
        if (!is_string(&name)) wrong(c, schema_path_at(c, path, NULL, i), "must be a name");
        else add(c, w, typed(c, "object", "properties", with(c, name.as.string, boolean(false), NULL)));
    }
}

static void opposite_properties(compiler *c, ways *w, const tola_value *properties, const char *path) {
    for (size_t i = 0; is_map(properties) && i < properties->as.map.count && ok(c); i++) {
        const tola_member *m = &properties->as.map.members[i];
        tola_value name = { .kind = TOLA_VALUE_STRING, .as.string = m->key };
        tola_value own = opposite(c, &m->value, schema_path(c, path, m->key.data, m->key.length));
        tola_value map = typed(c, "object", "properties", with(c, m->key, own, NULL));
        add(c, w, says(c, "required", list_of(c, &name, 1), &map));
    }
}

/* Of a list of schemas: not all of them, or none. */
static void opposite_list(compiler *c, ways *w, const tola_value *list, const char *path, bool none) {
    const tola_value *items = is_array(list) ? schema_items(c, list) : NULL;
    ways all = { 0 };
    for (size_t i = 0; items && i < list->as.array.count && ok(c); i++)
        add(c, none ? &all : w, opposite(c, items + i, schema_path_at(c, path, NULL, i)));
    if (none && ok(c)) add(c, w, says(c, "allOf", list_of(c, all.items, all.count), NULL));
    mem_free(all.items);
}

static void opposite_keyword(compiler *c, ways *w, const tola_member *m, const char *path) {
    static const struct {
        const char *key, *type, *other;
    } bounds[] = { { "minimum", "number", "exclusiveMaximum" },   { "maximum", "number", "exclusiveMinimum" },
                   { "exclusiveMinimum", "number", "maximum" },   { "exclusiveMaximum", "number", "minimum" } },
      counts[] = { { "minLength", "string", "maxLength" },         { "maxLength", "string", "minLength" },
                   { "minItems", "array", "maxItems" },            { "maxItems", "array", "minItems" },
                   { "minProperties", "object", "maxProperties" }, { "maxProperties", "object", "minProperties" } };
    const char *key = m->key.data;
    const tola_value *v = &m->value;
    if (strlen(key) != m->key.length) key = "";
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (strcmp(key, bounds[i].key) == 0) {
            add(c, w, typed(c, bounds[i].type, bounds[i].other, *v));
            return;
        }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (strcmp(key, counts[i].key) == 0 && tola_value_u64(v, UINT64_MAX) < REPEAT_FOREVER) {
            opposite_count(c, w, counts[i].type, counts[i].other, v, key[1] == 'a'); /* max */
            return;
        }
    tola_value own = says(c, key, *v, NULL);
    if (strcmp(key, "type") == 0) opposite_types(c, w, v, path);
    else if (strcmp(key, "enum") == 0 || strcmp(key, "const") == 0 || strcmp(key, "pattern") == 0)
        add(c, w, says(c, "not", own, NULL));
    else if (strcmp(key, "required") == 0 && is_array(v)) opposite_required(c, w, v, path);
    else if (strcmp(key, "properties") == 0 && is_map(v)) opposite_properties(c, w, v, path);
    else if (strcmp(key, "allOf") == 0 && is_array(v)) opposite_list(c, w, v, path, false);
    else if (strcmp(key, "anyOf") == 0 && is_array(v)) opposite_list(c, w, v, path, true);
    else if (strcmp(key, "items") == 0) add(c, w, typed(c, "array", "contains", opposite(c, v, path)));
    else if (strcmp(key, "contains") == 0) add(c, w, typed(c, "array", "items", opposite(c, v, path)));
    else if (strcmp(key, "not") == 0) add(c, w, referring(c, path));
    /* prefixItems, minContains, additionalProperties, ... end here, which change what those beside them mean */
    else unsupported(c, path, "has no opposite that a grammar can say");
}

/* A schema of all values that this one does not take. Recurses as deep as JSON may nest. */
static tola_value opposite(compiler *c, const tola_value *schema, const char *path) {
    ways w = { 0 };
    if (is_bool(schema)) return boolean(!schema->as.boolean);
    if (!is_map(schema)) wrong(c, path, "a schema is an object, true or false");
    for (size_t i = 0; ok(c) && i < schema->as.map.count; i++) {
        const tola_member *m = &schema->as.map.members[i];
        if (schema_is_remark(m->key)) continue;
        opposite_keyword(c, &w, m, schema_path(c, path, m->key.data, m->key.length));
    }
    return any_of(c, &w);
}

/* ---- what is said instead ---- */

bool schema_excludes_values(const tola_value *schema) {
    size_t n = 0;
    for (size_t i = 0; is_map(schema) && i < schema->as.map.count; i++) {
        const char *key = schema->as.map.members[i].key.data;
        if (schema_is_remark(schema->as.map.members[i].key)) continue;
        if (strcmp(key, "enum") != 0 && strcmp(key, "const") != 0 && strcmp(key, "pattern") != 0) return false;
        n++;
    }
    return n == 1;
}

static tola_value both(compiler *c, tola_value a, tola_value b) {
    tola_value all[2] = { a, b };
    return says(c, "allOf", list_of(c, all, 2), NULL);
}

static void derive_if(compiler *c, ways *all, const entry *e, const tola_value *condition) {
    const tola_value *then = tola_value_get(e->schema, "then"), *other = tola_value_get(e->schema, "else");
    const char *path = schema_path(c, e->path, "if", 2);
    ways w = { 0 };
    if (!then && !other) return;
    tola_value yes = referring(c, path), no = opposite(c, condition, path);
    if (then) yes = both(c, yes, referring(c, schema_path(c, e->path, "then", 4)));
    if (other) no = both(c, no, referring(c, schema_path(c, e->path, "else", 4)));
    add(c, &w, yes);
    add(c, &w, no);
    add(c, all, any_of(c, &w));
}

/* Where the property is there, so are those, or that schema holds. */
static void derive_dependent(compiler *c, ways *all, const entry *e, const char *keyword, bool schemas) {
    const tola_value *map = tola_value_get(e->schema, keyword);
    const char *path = schema_path(c, e->path, keyword, strlen(keyword));
    if (map && !is_map(map)) wrong(c, path, "must be an object");
    for (size_t i = 0; ok(c) && map && i < map->as.map.count; i++) {
        const tola_member *m = &map->as.map.members[i];
        const char *place = schema_path(c, path, m->key.data, m->key.length);
        tola_value name = { .kind = TOLA_VALUE_STRING, .as.string = m->key };
        ways w = { 0 };
        add(c, &w, says(c, "properties", with(c, m->key, boolean(false), NULL), NULL));
        tola_value there = says(c, "required", list_of(c, &name, 1), NULL);
        if (!schemas && !is_array(&m->value)) wrong(c, place, "must be an array of names");
        add(c, &w, both(c, there, schemas ? referring(c, place) : says(c, "required", m->value, NULL)));
        add(c, all, any_of(c, &w));
    }
}

static const tola_value *find_derived(const compiler *c, const tola_value *from, bool opposite) {
    for (; c; c = c->outer)
        for (size_t i = 0; i < c->derived_count; i++)
            if (c->derived[i].from == from && c->derived[i].opposite == opposite) return c->derived[i].schema;
    return NULL;
}

/* NULL where there is no memory. */
static const tola_value *keep_derived(compiler *c, const tola_value *from, bool opposite, tola_value made) {
    tola_value *schema = arena_alloc(&c->memory, sizeof *schema);
    if (!schema || !mem_grow(&c->derived, &c->derived_cap, c->derived_count + 1, sizeof *c->derived)) no_memory(c);
    if (!ok(c)) return NULL;
    *schema = made;
    c->derived[c->derived_count++] = (derived_schema){ from, schema, opposite };
    return schema;
}

static void check_derived(compiler *c, const char *path) {
    if (c->derived_count == MAX_DERIVED)
        build_fail(&c->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: more than %d schemas with not or if", path,
                   MAX_DERIVED);
}

const tola_value *schema_derived(compiler *c, const entry *e) {
    const tola_value *negated = tola_value_get(e->schema, "not"), *condition = tola_value_get(e->schema, "if");
    if (schema_excludes_values(negated)) negated = NULL;
    if (!negated && !condition && !tola_value_get(e->schema, "dependentRequired") &&
        !tola_value_get(e->schema, "dependentSchemas"))
        return NULL;
    const tola_value *known = find_derived(c, e->schema, false);
    if (known) return known;
    check_derived(c, e->path);
    ways all = { 0 };
    if (negated && ok(c)) add(c, &all, opposite(c, negated, schema_path(c, e->path, "not", 3)));
    if (condition && ok(c)) derive_if(c, &all, e, condition);
    if (ok(c)) derive_dependent(c, &all, e, "dependentRequired", false);
    if (ok(c)) derive_dependent(c, &all, e, "dependentSchemas", true);
    tola_value made = all.count ? says(c, "allOf", list_of(c, all.items, all.count), NULL) : boolean(true);
    mem_free(all.items);
    return keep_derived(c, e->schema, false, made);
}

const tola_value *schema_opposite(compiler *c, const tola_value *schema, const char *path) {
    const tola_value *known = find_derived(c, schema, true);
    if (known) return known;
    check_derived(c, path);
    return ok(c) ? keep_derived(c, schema, true, opposite(c, schema, path)) : NULL;
}
