/* Sets of strings, told apart: a deterministic automaton over the spelled characters of a string that knows which of
 * several languages the text so far is in (the construction by sets of states, Rabin and Scott 1959). Each combination
 * of languages that occurs is a set of strings, and a rule for each state of the automaton spells it.
 *
 * Every string has one spelling here, as schema_characters gives it. */
#include "text/schema_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES 20000u
#define MAX_STATES 4000u
#define BUCKETS 8192u /* a power of two, twice that */
#define MAX_CLASSES 1000u
#define MAX_WORK 100000000u /* looks at nodes */
#define NO_NODE UINT32_MAX

/* A node of the automaton that is not deterministic: a class that leads to `next`, a fork to both, or an end. */
typedef struct set_node {
    enum { SET_CLASS, SET_FORK, SET_END } kind;
    uint32_t next, other;  /* of an end: its language */
    uint32_t first, count; /* ranges of the builder */
} set_node;

typedef struct set_state {
    uint32_t *nodes; /* sorted: classes and ends */
    uint32_t count;
    uint64_t mask;
    uint32_t *to; /* a state for each class, NO_NODE: none */
} set_state;

struct schema_sets {
    grammar_builder *b;
    const char *path;
    set_node *nodes;
    size_t node_count, node_cap;
    uint32_t *starts; /* first code points of the classes of characters that no node tells apart */
    size_t class_count;
    set_state *states;
    size_t state_count, state_cap;
    uint32_t *buckets;               /* of states, by their nodes: index + 1 */
    uint32_t *found, *stack, *seen;  /* of closing a set; seen in which */
    uint32_t closed;
    uint64_t work;
    uint64_t all; /* the bit of the language of all strings */
};

static bool ok(const schema_sets *s) { return s->b->status == TOLA_OK; }

static void no_memory(const schema_sets *s) {
    build_fail(s->b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
}

static void too_much(const schema_sets *s) {
    build_fail(s->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: telling these strings apart takes too many states",
               s->path);
}

static uint32_t add_node(schema_sets *s, set_node node) {
    if (!ok(s)) return 0;
    if (s->node_count == MAX_NODES) too_much(s);
    else if (!mem_grow(&s->nodes, &s->node_cap, s->node_count + 1, sizeof *s->nodes)) no_memory(s);
    if (!ok(s)) return 0;
    s->nodes[s->node_count++] = node;
    return (uint32_t)s->node_count - 1;
}

/* Nodes of a part that lead on to `next`. Recurses as deep as parts nest. */
static uint32_t make(schema_sets *s, part p, uint32_t next) {
    if (!ok(s)) return 0;
    const part_node n = s->b->parts[p];
    uint32_t at = next;
    switch ((part_kind)n.kind) {
    case PART_EMPTY: return next;
    case PART_CLASS: return add_node(s, (set_node){ SET_CLASS, next, 0, n.first, n.count });
    case PART_SEQ:
        for (uint32_t i = n.count; i-- > 0 && ok(s);) at = make(s, s->b->children[n.first + i], at);
        return at;
    case PART_ALT:
        at = make(s, s->b->children[n.first], next);
        for (uint32_t i = 1; i < n.count && ok(s); i++)
            at = add_node(s, (set_node){ SET_FORK, make(s, s->b->children[n.first + i], next), at, 0, 0 });
        return at;
    case PART_REPEAT:
        if (n.high == REPEAT_FOREVER) {
            at = add_node(s, (set_node){ SET_FORK, next, next, 0, 0 });
            uint32_t again = make(s, n.first, at);
            if (ok(s)) s->nodes[at].other = again;
        } else {
            for (uint32_t i = n.low; i < n.high && ok(s); i++)
                at = add_node(s, (set_node){ SET_FORK, next, make(s, n.first, at), 0, 0 });
        }
        for (uint32_t i = 0; i < n.low && ok(s); i++) at = make(s, n.first, at);
        return at;
    default:
        build_fail(s->b, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "schema: %s: refers to a rule", s->path);
        return 0;
    }
}

static int compare_codes(const void *x, const void *y) {
    const uint32_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

/* Where the ranges of all nodes begin, and what is behind them. */
static void find_classes(schema_sets *s) {
    size_t n = 0, count = 1;
    for (size_t i = 0; i < s->node_count; i++) count += s->nodes[i].kind == SET_CLASS ? 2u * s->nodes[i].count : 0;
    s->starts = mem_alloc(count * sizeof *s->starts);
    if (!s->starts) {
        no_memory(s);
        return;
    }
    for (size_t i = 0; i < s->node_count; i++)
        for (uint32_t r = 0; s->nodes[i].kind == SET_CLASS && r < s->nodes[i].count; r++) {
            const code_range *range = &s->b->ranges[s->nodes[i].first + r];
            s->starts[n++] = range->low;
            s->starts[n++] = range->high + 1;
        }
    if (n) qsort(s->starts, n, sizeof *s->starts, compare_codes);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || s->starts[i] != s->starts[s->class_count - 1]) s->starts[s->class_count++] = s->starts[i];
    if (s->class_count > MAX_CLASSES) too_much(s);
}

static bool in_class(const schema_sets *s, const set_node *n, uint32_t code) {
    for (uint32_t r = 0; r < n->count; r++) {
        const code_range *range = &s->b->ranges[n->first + r];
        if (code >= range->low && code <= range->high) return true;
    }
    return false;
}

/* The state of these nodes and those that forks lead to, new where there is none yet; NO_NODE for none at all. */
static uint32_t state_of(schema_sets *s, size_t stacked) {
    set_state state = { NULL, 0, 0, NULL };
    s->closed++;
    s->work += stacked;
    while (stacked > 0) {
        uint32_t at = s->stack[--stacked];
        if (s->seen[at] == s->closed) continue;
        s->seen[at] = s->closed;
        s->work++;
        const set_node *n = &s->nodes[at];
        if (n->kind == SET_FORK) {
            s->stack[stacked++] = n->other;
            s->stack[stacked++] = n->next;
            continue;
        }
        if (n->kind == SET_END) state.mask |= (uint64_t)1 << n->other;
        s->found[state.count++] = at;
    }
    if (state.count == 0) return NO_NODE;
    qsort(s->found, state.count, sizeof *s->found, compare_codes);
    uint64_t hash = state.count;
    for (uint32_t i = 0; i < state.count; i++) hash = (hash ^ s->found[i]) * 0xff51afd7ed558ccdu;
    size_t at = (hash ^ hash >> 32) % BUCKETS;
    for (; s->buckets[at]; at = (at + 1) % BUCKETS) {
        const set_state *other = &s->states[s->buckets[at] - 1];
        if (other->count == state.count && memcmp(other->nodes, s->found, state.count * sizeof *s->found) == 0)
            return s->buckets[at] - 1;
    }
    if (s->state_count == MAX_STATES || s->work > MAX_WORK) too_much(s);
    state.nodes = mem_alloc(state.count * sizeof *state.nodes);
    state.to = mem_alloc((s->class_count + 1) * sizeof *state.to);
    if (!state.nodes || !state.to || !mem_grow(&s->states, &s->state_cap, s->state_count + 1, sizeof *s->states))
        no_memory(s);
    if (!ok(s)) {
        mem_free(state.nodes);
        mem_free(state.to);
        return NO_NODE;
    }
    memcpy(state.nodes, s->found, state.count * sizeof *s->found);
    s->states[s->state_count++] = state;
    s->buckets[at] = (uint32_t)s->state_count;
    return (uint32_t)s->state_count - 1;
}

static void find_states(schema_sets *s, const uint32_t *starts, size_t count) {
    s->found = mem_alloc((s->node_count + 1) * sizeof *s->found);
    s->stack = mem_alloc((2 * s->node_count + count + 1) * sizeof *s->stack);
    s->seen = mem_calloc(s->node_count + 1, sizeof *s->seen);
    s->buckets = mem_calloc(BUCKETS, sizeof *s->buckets);
    if (!s->found || !s->stack || !s->seen || !s->buckets) {
        no_memory(s);
        return;
    }
    memcpy(s->stack, starts, count * sizeof *starts);
    state_of(s, count);
    for (size_t i = 0; i < s->state_count && ok(s); i++)
        for (size_t c = 0; c < s->class_count && ok(s); c++) {
            size_t stacked = 0;
            s->work += s->states[i].count;
            for (uint32_t k = 0; k < s->states[i].count; k++) {
                const set_node *n = &s->nodes[s->states[i].nodes[k]];
                if (n->kind == SET_CLASS && in_class(s, n, s->starts[c])) s->stack[stacked++] = n->next;
            }
            uint32_t to = state_of(s, stacked);
            s->states[i].to[c] = to;
        }
}

schema_sets *schema_sets_new(grammar_builder *b, const part *languages, size_t count, const char *path) {
    schema_sets *s = mem_calloc(1, sizeof *s);
    uint32_t starts[64];
    if (!s || count > 62) {
        build_fail(b, s ? TOLA_E_LIMIT : TOLA_E_NOMEM, TOLA_NO_OFFSET, "schema: %s: too many sets of strings", path);
        mem_free(s);
        return NULL;
    }
    *s = (schema_sets){ .b = b, .path = path, .all = (uint64_t)1 << count };
    code_range any = { 0, 0x10ffff };
    part all = build_repeat(b, schema_characters(b, &any, 1), 0, REPEAT_FOREVER);
    for (size_t i = 0; i <= count && ok(s); i++) {
        uint32_t end = add_node(s, (set_node){ SET_END, 0, (uint32_t)i, 0, 0 });
        starts[i] = make(s, i < count ? languages[i] : all, end);
    }
    if (ok(s)) find_classes(s);
    if (ok(s)) find_states(s, starts, count + 1);
    if (ok(s)) return s;
    schema_sets_free(s);
    return NULL;
}

void schema_sets_free(schema_sets *s) {
    if (!s) return;
    for (size_t i = 0; i < s->state_count; i++) {
        mem_free(s->states[i].nodes);
        mem_free(s->states[i].to);
    }
    mem_free(s->states);
    mem_free(s->nodes);
    mem_free(s->starts);
    mem_free(s->found);
    mem_free(s->stack);
    mem_free(s->seen);
    mem_free(s->buckets);
    mem_free(s);
}

bool schema_sets_next(const schema_sets *s, size_t *at, uint64_t *mask) {
    for (; *at < s->state_count; (*at)++) {
        bool known = !(s->states[*at].mask & s->all);
        *mask = s->states[*at].mask & ~s->all;
        for (size_t i = 0; i < *at && !known; i++) known = s->states[i].mask == s->states[*at].mask;
        if (known) continue;
        (*at)++;
        return true;
    }
    return false;
}

/* The state behind the characters of a part that is one text. */
static uint32_t follow(const schema_sets *s, part p, uint32_t state) {
    const part_node *n = &s->b->parts[p];
    if (n->kind == PART_SEQ)
        for (uint32_t i = 0; i < n->count && state != NO_NODE; i++)
            state = follow(s, s->b->children[n->first + i], state);
    if (n->kind != PART_CLASS || state == NO_NODE) return state;
    uint32_t code = s->b->ranges[n->first].low;
    size_t c = s->class_count;
    while (c > 0 && s->starts[c - 1] > code) c--;
    return c ? s->states[state].to[c - 1] : NO_NODE;
}

uint64_t schema_sets_of(const schema_sets *s, part text) {
    uint32_t state = follow(s, text, 0);
    return state == NO_NODE ? 0 : s->states[state].mask & ~s->all;
}

static uint32_t state_rule(const schema_sets *s, const char *name, size_t state) {
    char full[400];
    int n = snprintf(full, sizeof full, "%.340s, state %zu", name, state);
    return build_rule(s->b, full, (size_t)n, TOLA_NO_OFFSET);
}

part schema_sets_string(const schema_sets *s, uint64_t mask, const char *name) {
    grammar_builder *b = s->b;
    code_range *ranges = mem_alloc((s->class_count + 1) * sizeof *ranges);
    part *ways = mem_alloc((s->class_count + 2) * sizeof *ways);
    bool *done = mem_alloc((s->class_count + 1) * sizeof *done);
    if (!ranges || !ways || !done) no_memory(s);
    for (size_t i = 0; i < s->state_count && ok(s); i++) {
        const set_state *state = &s->states[i];
        size_t n = 0;
        if (state->mask == (mask | s->all)) ways[n++] = schema_text(b, "\"");
        memset(done, 0, s->class_count * sizeof *done);
        for (size_t c = 0; c < s->class_count; c++) {
            if (done[c] || state->to[c] == NO_NODE) continue;
            size_t count = 0;
            for (size_t k = c; k + 1 < s->class_count; k++) { /* the last one is behind all ranges */
                if (state->to[k] != state->to[c]) continue;
                done[k] = true;
                ranges[count++] = (code_range){ s->starts[k], s->starts[k + 1] - 1 };
            }
            if (count)
                ways[n++] = schema_seq(b, build_class(b, ranges, count, false, TOLA_NO_OFFSET),
                                       build_rule_ref(b, state_rule(s, name, state->to[c])), PART_NONE);
        }
        uint32_t rule = state_rule(s, name, i);
        build_define(b, rule, n ? build_alt(b, ways, n) : build_rule_ref(b, rule), TOLA_NO_OFFSET);
    }
    mem_free(ranges);
    mem_free(ways);
    mem_free(done);
    return ok(s) ? schema_seq(b, schema_text(b, "\""), build_rule_ref(b, state_rule(s, name, 0)), PART_NONE) : 0;
}
