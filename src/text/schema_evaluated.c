/* What is left to unevaluatedProperties and unevaluatedItems (draft 2020-12, core, 11): members and elements of which
 * neither the schema beside them says anything nor those that its $ref and allOf lead to.
 *
 * What branches say (anyOf, oneOf, if, dependentSchemas) counts where they hold, which a grammar of one branch cannot
 * know of the others: it is taken where it changes nothing, else it is an error. */
#include "text/schema_inside.h"

/* Adds what always holds where those in the list do. */
static void add_sure(compiler *c, entry_list *l, size_t from) {
    for (size_t i = from; i < l->count && ok(c); i++) {
        const entry e = l->items[i];
        const tola_value *r = tola_value_get(e.schema, "$ref"), *all = tola_value_get(e.schema, "allOf");
        const char *path;
        const tola_value *target = r ? schema_follow(c, string_of(r), e.path, &path) : NULL;
        if (target) schema_list_add(c, l, target, path, 0, SIZE_MAX);
        const tola_value *items = is_array(all) ? schema_items(c, all) : NULL;
        for (size_t k = 0; items && k < all->as.array.count && ok(c); k++)
            schema_list_add(c, l, items + k, schema_path_at(c, e.path, "allOf", k), 0, SIZE_MAX);
    }
}

/* Adds what may hold where this schema does. */
static void add_branches(compiler *c, const entry *e, entry_list *l) {
    static const char *const lists[] = { "anyOf", "oneOf" }, *const single[] = { "if", "then", "else" };
    for (size_t i = 0; i < 2; i++) {
        const tola_value *list = tola_value_get(e->schema, lists[i]);
        const tola_value *items = is_array(list) ? schema_items(c, list) : NULL;
        for (size_t k = 0; items && k < list->as.array.count && ok(c); k++)
            schema_list_add(c, l, items + k, e->path, 0, SIZE_MAX);
    }
    for (size_t i = 0; i < 3 && ok(c); i++) {
        const tola_value *v = tola_value_get(e->schema, single[i]);
        if (v) schema_list_add(c, l, v, e->path, 0, SIZE_MAX);
    }
    const tola_value *map = tola_value_get(e->schema, "dependentSchemas");
    for (size_t i = 0; is_map(map) && i < map->as.map.count && ok(c); i++)
        schema_list_add(c, l, &map->as.map.members[i].value, e->path, 0, SIZE_MAX);
}

/* Whether one of the schemas has each of these members under the same keyword. */
static bool all_named(const entry_list *l, const char *keyword, const tola_value *map) {
    for (size_t i = 0; is_map(map) && i < map->as.map.count; i++) {
        bool known = false;
        for (size_t k = 0; k < l->count && !known; k++) {
            const tola_value *own = tola_value_get(l->items[k].schema, keyword);
            known = is_map(own) && schema_member(own, map->as.map.members[i].key);
        }
        if (!known) return false;
    }
    return true;
}

static size_t places(const tola_value *schema) {
    const tola_value *prefix = tola_value_get(schema, "prefixItems");
    return is_array(prefix) ? prefix->as.array.count : 0;
}

/* Whether this schema says nothing of members or elements that those in the list do not evaluate. */
static bool adds_nothing(const entry_list *l, const tola_value *schema, bool items, size_t known) {
    if (items)
        return places(schema) <= known && !tola_value_get(schema, "items") && !tola_value_get(schema, "contains") &&
               !tola_value_get(schema, "unevaluatedItems");
    return all_named(l, "properties", tola_value_get(schema, "properties")) &&
           all_named(l, "patternProperties", tola_value_get(schema, "patternProperties")) &&
           !tola_value_get(schema, "additionalProperties") && !tola_value_get(schema, "unevaluatedProperties");
}

static void check_branches(compiler *c, const entry_list *l, const char *path, bool items, size_t known) {
    entry_list *branches = mem_calloc(1, sizeof *branches);
    if (!branches) no_memory(c);
    for (size_t i = 0; i < l->count && ok(c); i++) add_branches(c, &l->items[i], branches);
    for (size_t i = 0; ok(c) && i < branches->count; i++) {
        const entry e = branches->items[i];
        if (!adds_nothing(l, e.schema, items, known)) unsupported(c, path, "what is left to it depends on branches");
        add_sure(c, branches, i);
        add_branches(c, &e, branches);
    }
    mem_free(branches);
}

bool schema_left(compiler *c, const entry *e, bool items, entry_list *l, size_t *first) {
    const char *word = items ? "unevaluatedItems" : "unevaluatedProperties";
    const char *path = schema_path(c, e->path, word, strlen(word));
    *first = 0;
    l->count = 0;
    schema_list_add(c, l, e->schema, e->path, 0, SIZE_MAX);
    add_sure(c, l, 0);
    for (size_t i = 0; i < l->count && ok(c); i++) {
        const tola_value *schema = l->items[i].schema;
        if (tola_value_get(schema, items ? "items" : "additionalProperties")) return false;
        if (i > 0 && tola_value_get(schema, word)) return false;
        if (items && tola_value_get(schema, "contains")) unsupported(c, path, "beside contains");
        if (places(schema) > *first) *first = places(schema);
    }
    if (ok(c)) check_branches(c, l, path, items, *first);
    return ok(c);
}
