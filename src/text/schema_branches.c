/* Branches of anyOf and oneOf: a rule of each, and for oneOf what keeps each from holding beside another. */
#include "base/err.h"
#include "text/schema_inside.h"

#include <stdio.h>

#define MAX_ONE_OF 256 /* branches of a oneOf */

/* All that holds in this branch, and `more` where that is not NULL. */
static void list_branch(compiler *c, const conjunction *k, const meaning *m, size_t branch, const tola_value *more,
                        entry_list *l) {
    l->count = 0;
    for (size_t e = 0; e < k->count; e++)
        schema_list_add(c, l, k->entries[e].schema, k->entries[e].path,
                        k->entries[e].done | (e == m->group_entry ? m->group_bit : 0), k->entries[e].parent);
    schema_list_add(c, l, schema_items(c, m->group) + branch, schema_path_at(c, m->group_path, NULL, branch), 0,
                    m->group_entry);
    if (more) schema_list_add(c, l, more, m->group_path, 0, SIZE_MAX);
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

/* A compiler that only looks; NULL, and said, where there is no memory. */
static compiler *look_begin(compiler *c) {
    compiler *look = mem_calloc(1, sizeof *look);
    if (!look) {
        no_memory(c);
        return NULL;
    }
    schema_begin(look, true);
    look->source = c->source;
    look->root = c->root;
    look->outer = c;
    return look;
}

static void look_end(compiler *look) {
    schema_end(look);
    mem_free(look);
}

/* Whether nothing fits branch `a`, with what was added to it, and branch `b` as it is: what both say is compiled as far
 * as values need it. Patterns exclude nothing. */
static bool excludes(compiler *c, const one_of *o, size_t a, size_t b) {
    compiler *both = look_begin(c);
    bool fits = true;
    if (!both) return false;
    list_branch(both, o->k, o->m, a, more_of(o, a), o->list);
    const char *path = schema_path_at(both, o->m->group_path, NULL, b);
    schema_list_add(both, o->list, schema_items(both, o->m->group) + b, path, 0, SIZE_MAX);
    uint32_t rule = ok(both) ? schema_rule_for(both, o->list) : 0;
    schema_define_all(both);
    c->compared += both->b.part_count;
    if (ok(both)) fits = rule != RULE_NEVER && build_prune(&both->b, rule);
    else build_fail(&c->b, both->b.status, TOLA_NO_OFFSET, "%s", both->b.error.message);
    if (c->compared > MAX_COMPARED)
        build_fail(&c->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: too much to compare; anyOf takes any branch",
                   o->m->group_path);
    look_end(both);
    return !fits;
}

/* Whether it is plain that nothing fits this branch. Where many anyOf and `if` hold at one place, most combinations of
 * their branches contradict each other; found out early, they do not multiply. */
static bool is_empty(compiler *c, const one_of *o, size_t branch) {
    if (c->looked > MAX_LOOKED) return false;
    compiler *look = look_begin(c);
    if (!look) return false;
    look->shallow = true;
    list_branch(look, o->k, o->m, branch, more_of(o, branch), o->list);
    uint32_t rule = ok(look) ? schema_rule_for(look, o->list) : 0;
    schema_define_all(look);
    /* what is wrong with it is said when its rule is made */
    bool empty = ok(look) && (rule == RULE_NEVER || !build_prune(&look->b, rule));
    c->looked += look->b.part_count + o->list->count;
    look_end(look);
    return empty;
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
        if (is_map(l->items[i].schema) && schema_member(tola_value_get(l->items[i].schema, "properties"), name))
            return true;
    return false;
}

/* Forbids a property in branch `a` that `b` requires and `a` does not, best one of which `a` says nothing: then `b`
 * never holds where `a` does. */
static bool keep_out(compiler *c, const one_of *o, size_t a, size_t b) {
    list_branch(c, o->k, o->m, a, more_of(o, a), o->list);
    list_branch(c, o->k, o->m, b, NULL, o->other);
    schema_expand(c, o->list);
    schema_expand(c, o->other);
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

part schema_branches(compiler *c, const conjunction *k, const meaning *m) {
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
            if (m->more_groups && is_empty(c, &o, i)) continue;
            list_branch(c, k, m, i, more_of(&o, i), lists);
            uint32_t rule = ok(c) ? schema_rule_for(c, lists) : 0;
            if (ok(c) && rule != RULE_NEVER) ways[n++] = ref(c, rule);
        }
    }
    if (ok(c)) p = n ? build_alt(&c->b, ways, n) : schema_never(c, m->group_path);
    mem_free(ways);
    mem_free(lists);
    return p;
}
