/* Arrays: elements by their places and behind them, counted where `contains` asks for some, each another where they are
 * of a few values. */
#include "base/err.h"
#include "text/schema_inside.h"

#include <stdio.h>

#define MAX_DIFFERENT 10 /* values of unique items */

/* Adds unevaluatedItems where this element is left to it. */
static void add_left(compiler *c, const entry *e, size_t index, entry_list *l) {
    const tola_value *left = tola_value_get(e->schema, "unevaluatedItems");
    entry_list *sure = left ? mem_calloc(1, sizeof *sure) : NULL;
    size_t first;
    if (left && !sure) no_memory(c);
    if (sure && schema_left(c, e, true, sure, &first) && index >= first)
        schema_list_add(c, l, left, schema_path(c, e->path, "unevaluatedItems", 16), 0, SIZE_MAX);
    mem_free(sure);
}

/* The rule of element `index`, RULE_NEVER where there may be none; of one that is `more`, too, unless that is NULL. */
static uint32_t element_rule(compiler *c, const conjunction *k, size_t index, const tola_value *more,
                             const char *more_path) {
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
        if (ok(c)) add_left(c, e, index, l);
    }
    if (more && ok(c)) schema_list_add(c, l, more, more_path, 0, SIZE_MAX);
    uint32_t rule = ok(c) ? schema_rule_for(c, l) : 0;
    mem_free(l);
    return rule;
}

static size_t fixed_items(const conjunction *k) {
    size_t fixed = 0;
    for (size_t i = 0; i < k->count; i++) {
        const tola_value *prefix = tola_value_get(k->entries[i].schema, "prefixItems");
        if (prefix && prefix->as.array.count > fixed) fixed = prefix->as.array.count;
    }
    return fixed;
}

static uint32_t array_rule(compiler *c, const conjunction *k, const char *what, size_t i, size_t n) {
    char name[320];
    snprintf(name, sizeof name, "%.240s, %s %zu, %zu (%zu)", k->entries[0].path, what, i, n, c->done);
    return schema_rule(c, name);
}

/* The values that every item is one of, each once; 0 where that is not said. */
static size_t finite_items(compiler *c, const conjunction *k, const tola_value **out) {
    uint32_t rule = element_rule(c, k, 0, NULL, NULL);
    size_t n = 0;
    for (size_t i = 0; ok(c) && i < c->known_count; i++) {
        if (c->known[i].rule != rule) continue;
        meaning m;
        const conjunction items = c->known[i];
        schema_read(c, &items, &m);
        size_t count = 0;
        const tola_value **values = m.group || !ok(c) ? NULL : schema_allowed(c, &m, &count);
        for (size_t v = 0; ok(c) && v < count; v++) {
            bool known = false;
            for (size_t other = 0; other < n && !known; other++) known = schema_same_value(c, out[other], values[v]);
            if (!known && n == MAX_DIFFERENT) return 0;
            if (!known) out[n++] = values[v];
        }
    }
    return n;
}

/* Items of which each is another of a few values: a rule for each set of those that are left. */
static part unique_part(compiler *c, const conjunction *k, const meaning *m, size_t fixed) {
    grammar_builder *b = &c->b;
    const tola_value *values[MAX_DIFFERENT];
    part ways[MAX_DIFFERENT + 1], end = schema_seq(b, space(c), text(c, "]"), PART_NONE);
    uint32_t rules[1u << MAX_DIFFERENT], value_rules[MAX_DIFFERENT];
    size_t n = fixed || m->contains ? 0 : finite_items(c, k, values);
    if (ok(c) && n == 0) unsupported(c, m->unique_path, "a grammar tells only up to 10 values of an enum apart");
    if (!ok(c) || m->items.low > n || m->items.low > m->items.high) return PART_NONE;
    for (size_t i = 0; i < n; i++) {
        value_rules[i] = array_rule(c, k, "value", i, n);
        build_define(b, value_rules[i], schema_value_text(c, values[i]), TOLA_NO_OFFSET);
    }
    for (unsigned used = 0; used < 1u << n; used++) rules[used] = array_rule(c, k, "values used", used, n);
    for (unsigned used = 0; used < 1u << n && ok(c); used++) {
        size_t count = (size_t)__builtin_popcount(used), possible = 0;
        if (count >= m->items.low) ways[possible++] = end;
        for (size_t i = 0; i < n && count < m->items.high; i++)
            if (!(used >> i & 1))
                ways[possible++] = schema_seq(b, count ? comma(c) : space(c), ref(c, value_rules[i]),
                                              ref(c, rules[used | 1u << i]), PART_NONE);
        build_define(b, rules[used], possible ? build_alt(b, ways, possible) : schema_never(c, m->unique_path),
                     TOLA_NO_OFFSET);
    }
    return schema_seq(b, text(c, "["), ref(c, rules[0]), PART_NONE);
}

/* Arrays with so many items that are what `contains` says: which of them, the grammar may choose, unless there are at
 * most some: then all others are what it does not say. A rule for each number of items that stand (from `last` on, none
 * is told from another) and of those found among them (where there is no most, nor from the least on). */
static part containing_part(compiler *c, const conjunction *k, const meaning *m, size_t fixed) {
    grammar_builder *b = &c->b;
    const limits *found = &m->contained;
    uint64_t low = m->items.low, high = m->items.high, last = high, most = found->high;
    bool bounded = most != UINT64_MAX;
    if (high == UINT64_MAX) last = low > fixed ? low : fixed;
    if (last == 0 && high > 0) last = 1; /* before the first item stands no comma */
    if (low > high || found->low > high || found->low > most) return PART_NONE;
    if (!bounded) most = found->low;
    else if (most > high) most = high;
    if (last > MAX_COUNTED || most > MAX_COUNTED || (last + 1) * (most + 1) > MAX_COUNTED)
        build_fail(b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: too many items to count", m->contains_path);
    const tola_value *other = ok(c) && bounded ? schema_opposite(c, m->contains, m->contains_path) : NULL;
    for (size_t i = 0; i <= last && ok(c); i++) {
        size_t next = i < last ? i + 1 : i;
        uint32_t item = i < high ? element_rule(c, k, i, other, m->contains_path) : RULE_NEVER;
        uint32_t match = i < high ? element_rule(c, k, i, m->contains, m->contains_path) : RULE_NEVER;
        if (match == RULE_NEVER && !c->never_path) c->never_path = m->contains_path;
        for (size_t n = 0; n <= most && ok(c); n++) {
            part ways[3], before = i ? comma(c) : space(c);
            size_t count = 0;
            if (n >= found->low && i >= low) ways[count++] = schema_seq(b, space(c), text(c, "]"), PART_NONE);
            if (item != RULE_NEVER)
                ways[count++] = schema_seq(b, before, ref(c, item), ref(c, array_rule(c, k, "items", next, n)),
                                           PART_NONE);
            if (n < most && match != RULE_NEVER)
                ways[count++] = schema_seq(b, before, ref(c, match), ref(c, array_rule(c, k, "items", next, n + 1)),
                                           PART_NONE);
            build_define(b, array_rule(c, k, "items", i, n),
                         count ? build_alt(b, ways, count) : schema_never(c, m->contains_path), TOLA_NO_OFFSET);
        }
    }
    return schema_seq(b, text(c, "["), ref(c, array_rule(c, k, "items", 0, 0)), PART_NONE);
}

/* Back to front: what may follow i elements is a rule of its own; nothing nests as deep as the array is long. */
part schema_array(compiler *c, const conjunction *k, const meaning *m) {
    grammar_builder *b = &c->b;
    size_t fixed = fixed_items(k);
    if (m->unique && m->items.high > 1 && !c->comparing) return unique_part(c, k, m, fixed);
    if (m->contains && !c->comparing) return containing_part(c, k, m, fixed);
    uint64_t low = m->items.low, high = m->items.high;
    if (c->comparing && high > low) high = low; /* what must be there decides */
    uint32_t item = high > fixed || !c->comparing ? element_rule(c, k, fixed, NULL, NULL) : RULE_NEVER;
    if (item == RULE_NEVER && high > fixed) high = fixed;
    for (size_t i = 0; i < fixed && i < high && ok(c); i++)
        if (element_rule(c, k, i, NULL, NULL) == RULE_NEVER) high = i;
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
        part one = schema_seq(b, i ? comma(c) : space(c), ref(c, element_rule(c, k, i, NULL, NULL)), next, PART_NONE);
        if (i >= low) one = schema_alt(b, one, end, PART_NONE);
        char name[320];
        snprintf(name, sizeof name, "%.260s, from item %zu (%zu)", k->entries[0].path, i, c->done);
        uint32_t rule = schema_rule(c, name);
        build_define(b, rule, one, TOLA_NO_OFFSET);
        next = ref(c, rule);
    }
    return schema_seq(b, text(c, "["), next, PART_NONE);
}
