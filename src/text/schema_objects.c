/* Objects: members in the order of the schema, and further ones behind them, counted where there are bounds; names by
 * the patterns that they match. */
#include "base/err.h"
#include "text/schema_inside.h"

#include <stdio.h>

#define MAX_PATTERNS 32 /* of patternProperties at one place */

typedef struct property {
    tola_string name;
    uint32_t rule; /* RULE_NEVER: it may not be there */
    bool required;
    bool named; /* by an enum of propertyNames */
} property;

typedef struct property_list {
    property *items;
    size_t count, cap;
    uint32_t *buckets; /* by name: index + 1 */
    size_t bucket_count;
} property_list;

/* The unevaluatedProperties of an entry, and which entries say something of members before it does. */
typedef struct leftover {
    size_t entry;
    bool *before;
} leftover;

/* What names may be, which patterns they match, and what is left to unevaluatedProperties. */
typedef struct name_sets {
    schema_sets *sets;      /* NULL: nothing is asked of names */
    uint64_t asked, wanted; /* behind patternProperties: the languages of propertyNames, and those that names are in */
    uint64_t listed;        /* the bit of names in the list */
    bool finite;            /* no name may be there but those that an enum names */
    leftover *left;
    size_t left_count;
} name_sets;

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
    l->items[l->count] = (property){ .name = name };
    l->buckets[at] = (uint32_t)++l->count;
    return &l->items[l->count - 1];
}

/* What propertyNames says, with the names of its enums in the list. False where it says nothing. */
static bool read_names(compiler *c, const conjunction *k, meaning *m, property_list *l, name_sets *names) {
    entry_list *schemas = mem_calloc(1, sizeof *schemas);
    if (!schemas) no_memory(c);
    for (size_t i = 0; i < k->count && ok(c); i++) {
        const tola_value *own = tola_value_get(k->entries[i].schema, "propertyNames");
        if (own) schema_list_add(c, schemas, own, schema_path(c, k->entries[i].path, "propertyNames", 13), 0, SIZE_MAX);
    }
    bool there = ok(c) && schemas->count != 0;
    if (there) schema_read_list(c, schemas, m);
    mem_free(schemas);
    if (!ok(c) || !there) return false;
    if (m->group) unsupported(c, m->group_path, "names are not told apart by branches");
    if (m->format) unsupported(c, m->format_path, "names are not told apart by formats");
    names->finite = m->choices || !(m->types & TYPE_STRING) || m->length.low > m->length.high;
    size_t count = 0;
    const tola_value **values = m->choices && ok(c) ? schema_allowed(c, m, &count) : NULL;
    for (size_t i = 0; i < count && ok(c); i++) {
        property *p = is_string(values[i]) ? property_named(c, l, values[i]->as.string) : NULL;
        if (p) p->named = true;
    }
    return ok(c);
}

/* The patterns of a conjunction's patternProperties, entry by entry, what propertyNames (NULL: nothing) says, and the
 * names in the list. */
static void make_sets(compiler *c, const conjunction *k, const property_list *l, const meaning *m, name_sets *names) {
    grammar_builder *b = &c->b;
    part languages[MAX_PATTERNS + MAX_LANGUAGES + 1];
    size_t n = 0;
    for (size_t i = 0; i < k->count && ok(c); i++) {
        const tola_value *map = tola_value_get(k->entries[i].schema, "patternProperties");
        const char *path = map ? schema_path(c, k->entries[i].path, "patternProperties", 17) : NULL;
        for (size_t p = 0; map && p < map->as.map.count && ok(c); p++) {
            tola_string text = map->as.map.members[p].key;
            if (n == MAX_PATTERNS)
                build_fail(b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: more than %d patterns", path, MAX_PATTERNS);
            else languages[n++] = schema_pattern_text(b, text.data, text.length,
                                                      schema_path(c, path, text.data, text.length));
        }
    }
    if (m && !names->finite && ok(c)) {
        size_t count = 0;
        tola_string *excluded = schema_excluded_strings(c, m, &count);
        const char *path = m->pattern ? m->pattern_path : k->entries[0].path;
        size_t more = schema_languages(c, m, path, excluded, count, languages + n, &names->wanted);
        mem_free(excluded);
        names->asked = (((uint64_t)1 << more) - 1) << n;
        names->wanted <<= n;
        n += more;
    }
    if (n == 0 || !ok(c)) return;
    part *texts = mem_alloc((l->count + 1) * sizeof *texts);
    if (!texts) no_memory(c);
    for (size_t i = 0; texts && i < l->count; i++)
        texts[i] = schema_string_text(b, l->items[i].name.data, l->items[i].name.length);
    if (texts && l->count) {
        names->listed = (uint64_t)1 << n;
        languages[n++] = build_alt(b, texts, l->count);
    }
    mem_free(texts);
    if (ok(c)) names->sets = schema_sets_new(b, languages, n, k->entries[0].path);
}

static void find_left(compiler *c, const conjunction *k, name_sets *names) {
    entry_list *sure = NULL;
    size_t first;
    for (size_t i = 0; i < k->count && ok(c); i++) {
        if (!tola_value_get(k->entries[i].schema, "unevaluatedProperties")) continue;
        if (!sure) sure = mem_calloc(1, sizeof *sure);
        if (!names->left) names->left = arena_alloc_array(&c->memory, k->count, sizeof *names->left);
        bool *before = arena_alloc_array(&c->memory, k->count, sizeof *before);
        if (!sure || !names->left || !before) {
            no_memory(c);
            break;
        }
        if (!schema_left(c, &k->entries[i], false, sure, &first)) continue;
        for (size_t e = 0; e < k->count; e++) {
            before[e] = false;
            for (size_t s = 0; s < sure->count; s++) before[e] |= sure->items[s].schema == k->entries[e].schema;
        }
        names->left[names->left_count++] = (leftover){ i, before };
    }
    mem_free(sure);
}

/* Of each schema what it says of this property, or of further ones where `name` is NULL; bits of `matched` are patterns
 * of all schemas, one after the other, that its name matches. */
static uint32_t property_rule(compiler *c, const conjunction *k, const name_sets *names, const tola_string *name,
                              uint64_t matched) {
    entry_list *l = mem_calloc(1, sizeof *l);
    size_t pattern = 0;
    bool said[MAX_ENTRIES] = { false };
    if (!l) {
        no_memory(c);
        return 0;
    }
    for (size_t i = 0; i < k->count && ok(c); i++) {
        const entry *e = &k->entries[i];
        const tola_value *own = name ? schema_member(tola_value_get(e->schema, "properties"), *name) : NULL;
        const tola_value *further = tola_value_get(e->schema, "additionalProperties");
        const tola_value *map = tola_value_get(e->schema, "patternProperties");
        if (own) {
            const char *path = schema_path(c, schema_path(c, e->path, "properties", 10), name->data, name->length);
            schema_list_add(c, l, own, path, 0, SIZE_MAX);
            further = NULL;
            said[i] = true;
        }
        if (map && c->comparing) { /* whether one matches is not known then: less is said, not more */
            further = NULL;
            said[i] = true;
        }
        for (size_t p = 0; map && !c->comparing && p < map->as.map.count && ok(c); p++, pattern++) {
            const tola_member *m = &map->as.map.members[p];
            if (!(matched >> pattern & 1)) continue;
            const char *path = schema_path(c, e->path, "patternProperties", 17);
            schema_list_add(c, l, &m->value, schema_path(c, path, m->key.data, m->key.length), 0, SIZE_MAX);
            further = NULL;
            said[i] = true;
        }
        if (further)
            schema_list_add(c, l, further, schema_path(c, e->path, "additionalProperties", 20), 0, SIZE_MAX);
    }
    for (size_t i = 0; i < names->left_count && ok(c); i++) {
        const leftover *left = &names->left[i];
        const entry *e = &k->entries[left->entry];
        bool evaluated = false;
        for (size_t other = 0; other < k->count; other++) evaluated |= left->before[other] && said[other];
        if (!evaluated)
            schema_list_add(c, l, tola_value_get(e->schema, "unevaluatedProperties"),
                            schema_path(c, e->path, "unevaluatedProperties", 21), 0, SIZE_MAX);
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
}

static void collect_required(compiler *c, const conjunction *k, property_list *l) {
    for (size_t i = 0; i < k->count && ok(c); i++) {
        const tola_value *names = tola_value_get(k->entries[i].schema, "required");
        for (size_t n = 0; names && n < names->as.array.count && ok(c); n++) {
            tola_value name = tola_value_at(names, n);
            property *p = is_string(&name) ? property_named(c, l, name.as.string) : NULL;
            if (p) p->required = true;
            else wrong(c, schema_path_at(c, k->entries[i].path, "required", n), "must be a name");
        }
    }
}

static void rule_properties(compiler *c, const conjunction *k, property_list *l, const name_sets *names) {
    for (size_t i = 0; i < l->count && ok(c); i++) {
        property *p = &l->items[i];
        part text = names->sets ? schema_string_text(&c->b, p->name.data, p->name.length) : 0;
        uint64_t matched = names->sets && ok(c) ? schema_sets_of(names->sets, text) : 0;
        bool taken = names->finite ? p->named : (matched & names->asked) == names->wanted;
        p->rule = !taken || (c->comparing && !p->required) ? RULE_NEVER : property_rule(c, k, names, &p->name, matched);
    }
}

static part member_part(compiler *c, const property *p) {
    return schema_seq(&c->b, schema_string_literal(&c->b, p->name.data, p->name.length), colon(c), ref(c, p->rule),
                      PART_NONE);
}

/* Further members by which patterns their names match, with names that none of the list has. PART_NONE: there are
 * none. */
static part matched_member(compiler *c, const conjunction *k, const name_sets *names) {
    part *ways = NULL, result = PART_NONE;
    size_t count = 0, cap = 0, at = 0;
    uint64_t mask;
    while (ok(c) && schema_sets_next(names->sets, &at, &mask)) {
        if (mask & names->listed || (mask & names->asked) != names->wanted) continue;
        uint32_t rule = property_rule(c, k, names, NULL, mask);
        if (!ok(c) || rule == RULE_NEVER) continue;
        char name[320];
        snprintf(name, sizeof name, "%.240s, names %llx (%zu)", k->entries[0].path, (unsigned long long)mask, c->done);
        part key = schema_sets_string(names->sets, mask, name);
        if (!mem_grow(&ways, &cap, count + 1, sizeof *ways)) no_memory(c);
        if (ok(c)) ways[count++] = schema_seq(&c->b, key, colon(c), ref(c, rule), PART_NONE);
    }
    if (ok(c) && count) result = build_alt(&c->b, ways, count);
    mem_free(ways);
    return result;
}

/* A further member, with a name that none of the list has. PART_NONE: there is none. */
static part further_member(compiler *c, const conjunction *k, const property_list *l, const name_sets *names) {
    uint32_t rule = property_rule(c, k, names, NULL, 0);
    if (!ok(c) || rule == RULE_NEVER) return PART_NONE;
    part key = ref(c, c->string);
    tola_string *list = mem_alloc(l->count * sizeof *list);
    if (!list) no_memory(c);
    for (size_t i = 0; list && i < l->count; i++) list[i] = l->items[i].name;
    char name[320];
    snprintf(name, sizeof name, "%.280s (%zu)", k->entries[0].path, c->done);
    if (ok(c) && l->count) key = schema_other_string(&c->b, list, l->count, name);
    mem_free(list);
    return schema_seq(&c->b, key, colon(c), ref(c, rule), PART_NONE);
}

static uint32_t object_rule(compiler *c, const conjunction *k, size_t i, size_t before) {
    char name[320];
    snprintf(name, sizeof name, "%.240s, %zu members, property %zu (%zu)", k->entries[0].path, before, i, c->done);
    return schema_rule(c, name);
}

/* Further members and the end, where `count` members stand before. */
static part further_part(compiler *c, const conjunction *k, part member, const limits *count, size_t before) {
    grammar_builder *b = &c->b;
    part end = schema_seq(b, space(c), text(c, "}"), PART_NONE);
    uint64_t low = count->low > before ? count->low - before : 0, high = count->high - before;
    if (member == PART_NONE || high == 0) return low ? schema_never(c, k->entries[0].path) : end;
    uint32_t least = low > 0, most = count->high == UINT64_MAX ? REPEAT_FOREVER : (uint32_t)high;
    part next = schema_seq(b, comma(c), member, PART_NONE);
    if (before > 0) return schema_seq(b, build_repeat(b, next, least, most), end, PART_NONE);
    part list = schema_seq(b, space(c), member,
                           build_repeat(b, next, 0, most == REPEAT_FOREVER ? most : most - 1), PART_NONE);
    return schema_seq(b, least ? list : optional(c, list), end, PART_NONE);
}

/* Members in their order, back to front: `chain[n]` is what may follow from property i on where n members stand already
 * (of n >= last, none is told from another). Each of them that more than one way leads to is a rule. */
static part chain_part(compiler *c, const conjunction *k, const property_list *l, part further, const limits *count,
                       size_t last) {
    grammar_builder *b = &c->b;
    part *chain = mem_alloc((last + 1) * sizeof *chain), result = PART_NONE;
    if (!chain) no_memory(c);
    for (size_t n = 0; chain && n <= last; n++) chain[n] = further_part(c, k, further, count, n);
    for (size_t i = l->count; chain && i-- > 0 && ok(c);) {
        const property *p = &l->items[i];
        if (p->rule == RULE_NEVER) continue;
        part member = member_part(c, p);
        for (size_t n = p->required; n <= last && n <= i + 1 && ok(c); n++) {
            uint32_t rule = object_rule(c, k, i, n);
            build_define(b, rule, chain[n], TOLA_NO_OFFSET);
            chain[n] = ref(c, rule);
        }
        for (size_t n = 0; n <= last && n <= i && ok(c); n++) {
            size_t next = n < last ? n + 1 : last;
            part with = n < count->high
                            ? schema_seq(b, n ? comma(c) : space(c), member, chain[next], PART_NONE) : PART_NONE;
            if (!p->required) chain[n] = with == PART_NONE ? chain[n] : schema_alt(b, with, chain[n], PART_NONE);
            else chain[n] = with == PART_NONE ? schema_never(c, k->entries[0].path) : with;
        }
    }
    if (ok(c)) result = schema_seq(b, text(c, "{"), chain[0], PART_NONE);
    mem_free(chain);
    return result;
}

bool schema_looks_into_objects(const meaning *m) {
    return m->objects || m->members.low > 0 || m->members.high != UINT64_MAX;
}

/* How many members there may be, where the grammar can count them. The same name may come twice among further ones, so
 * that of those at most one counts for sure. PART_NONE: there is no such number. */
static bool count_members(compiler *c, const meaning *m, const property_list *l, bool further, limits *count,
                          size_t *last) {
    size_t required = 0, possible = 0;
    bool missing = false;
    for (size_t i = 0; i < l->count; i++) {
        required += l->items[i].required;
        possible += l->items[i].rule != RULE_NEVER;
        missing = missing || (l->items[i].required && l->items[i].rule == RULE_NEVER);
    }
    *count = m->members;
    if (c->comparing) count->low = 0; /* only what must be there is looked at */
    if (count->low <= required) count->low = 0;
    if (!further && count->high >= possible) count->high = UINT64_MAX;
    *last = possible > 0;
    if (missing || m->members.high < required || m->members.high < m->members.low) return false;
    if (!further && count->low > possible) return false;
    if (further && count->low > required + 1)
        unsupported(c, m->members_path, "a grammar cannot tell that names differ which are not in properties");
    if (count->high != UINT64_MAX && possible > 0) *last = count->high < possible ? (size_t)count->high : possible;
    else if (count->low > 1) *last = count->low < possible ? (size_t)count->low : possible;
    if (*last > 1 && *last * l->count > MAX_COUNTED)
        build_fail(&c->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: too many properties to count", m->members_path);
    return true;
}

part schema_object(compiler *c, const conjunction *k, const meaning *m) {
    property_list l = { 0 };
    name_sets names = { 0 };
    meaning said;
    limits count;
    size_t last = 1;
    part result = PART_NONE, further = PART_NONE;
    collect_properties(c, k, &l);
    /* when comparing, names exclude nothing: less is said, not more */
    bool asked = ok(c) && !c->comparing && read_names(c, k, &said, &l, &names);
    collect_required(c, k, &l);
    if (ok(c) && !c->comparing) make_sets(c, k, &l, asked ? &said : NULL, &names);
    if (ok(c)) find_left(c, k, &names);
    rule_properties(c, k, &l, &names);
    if (ok(c) && !c->comparing && !names.finite)
        further = names.sets ? matched_member(c, k, &names) : further_member(c, k, &l, &names);
    if (ok(c) && count_members(c, m, &l, further != PART_NONE, &count, &last))
        result = chain_part(c, k, &l, further, &count, last);
    schema_sets_free(names.sets);
    mem_free(l.items);
    mem_free(l.buckets);
    return result;
}
