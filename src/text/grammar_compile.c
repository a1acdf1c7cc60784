/* From rules to the automaton: checks, the choice of what is called and what is copied in place, bytes for characters.
 *
 * A called rule costs a frame of the stack at run time; a copied one costs nodes. Masks are remembered by what a state
 * is, up to the frames around it, so that a rule is best called where it is a world of its own (a string: loops, and
 * an end that cannot be mistaken) and copied where it is short (a character of a string: a token would go through many
 * frames) or where its end is open (a number, white space). Rules that contain themselves are always called. */
#include "text/grammar_build.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

#define TOO_LARGE 2000  /* nodes from which any rule used twice is called */
#define MAX_NESTING 400 /* parts and copied rules within each other while nodes are made */

typedef struct rule_info {
    bool nullable, productive, reachable, active, done, called, open, loops;
    uint32_t uses, size;
    uint32_t number;    /* of called rules, in the automaton */
} rule_info;

typedef struct part_info {
    bool nullable, productive, measured, open, loops;
    uint32_t size;
    uint32_t stamp; /* the rule + 1 whose walk was here last */
} part_info;

typedef struct compiler {
    const grammar_builder *b;
    rule_info *rules;
    part_info *parts;
    uint32_t *order; /* called rules, callers before what they begin with */
    size_t order_count;
    grammar *g;
    tola_status status;
    tola_error *err;
} compiler;

static bool ok(const compiler *c) { return c->status == TOLA_OK; }

static void fail(compiler *c, uint32_t rule, const char *text) {
    if (ok(c))
        c->status = err_set(c->err, TOLA_E_FORMAT, c->b->rules[rule].offset, "grammar: rule '%s' %s",
                            c->b->rules[rule].name, text);
}

static void fail_memory(compiler *c) {
    if (ok(c)) c->status = err_nomem(c->err, "a grammar");
}

/* ---- which parts may be empty, and which can end ---- */

typedef struct spread {
    uint32_t *first, *parents; /* of part p: parents[first[p] .. first[p + 1]); a rule's body has its references */
    uint32_t *missing;         /* children of a sequence that do not have the property yet */
    uint32_t *queue;
} spread;

static void each_child(const grammar_builder *b, part p, void (*visit)(void *, part child), void *context) {
    const part_node *n = &b->parts[p];
    if (n->kind == PART_SEQ || n->kind == PART_ALT)
        for (uint32_t i = 0; i < n->count; i++) visit(context, b->children[n->first + i]);
    else if (n->kind == PART_REPEAT) visit(context, n->first);
    else if (n->kind == PART_RULE && b->rules[n->first].body != PART_NONE) visit(context, b->rules[n->first].body);
}

static void count_parent(void *context, part child) { ((uint32_t *)context)[child + 1]++; }

typedef struct place {
    uint32_t *at, *parents;
    part parent;
} place;

static void place_parent(void *context, part child) {
    place *p = context;
    p->parents[p->at[child]++] = p->parent;
}

static bool spread_init(spread *s, const grammar_builder *b) {
    size_t n = b->part_count;
    uint32_t *at = mem_calloc(n + 1, sizeof *at);
    memset(s, 0, sizeof *s);
    s->first = mem_calloc(n + 1, sizeof *s->first);
    s->missing = mem_calloc(n, sizeof *s->missing);
    s->queue = mem_calloc(n, sizeof *s->queue);
    bool good = at && s->first && s->missing && s->queue;
    if (good) {
        for (size_t p = 0; p < n; p++) each_child(b, (part)p, count_parent, s->first);
        for (size_t p = 0; p < n; p++) s->first[p + 1] += s->first[p];
        s->parents = mem_calloc(s->first[n], sizeof *s->parents);
        good = s->parents != NULL;
    }
    if (good) {
        memcpy(at, s->first, n * sizeof *at);
        for (size_t p = 0; p < n; p++) each_child(b, (part)p, place_parent, &(place){ at, s->parents, (part)p });
    }
    mem_free(at);
    return good;
}

static void spread_free(spread *s) {
    mem_free(s->first);
    mem_free(s->parents);
    mem_free(s->missing);
    mem_free(s->queue);
}

/* A property that leaves have by kind, sequences by all their children, alternatives by one; in linear time. */
static void spread_property(spread *s, const grammar_builder *b, bool nullable, bool *has) {
    size_t head = 0, tail = 0;
    for (part p = 0; p < b->part_count; p++) {
        const part_node *n = &b->parts[p];
        s->missing[p] = n->kind == PART_SEQ ? n->count : 1;
        bool leaf = n->kind == PART_EMPTY || (n->kind == PART_REPEAT && n->low == 0) ||
                    (!nullable && (n->kind == PART_CLASS || n->kind == PART_TOKEN));
        has[p] = leaf;
        if (leaf) s->queue[tail++] = p;
    }
    while (head < tail) {
        part p = s->queue[head++];
        for (uint32_t i = s->first[p]; i < s->first[p + 1]; i++) {
            part parent = s->parents[i];
            if (has[parent] || --s->missing[parent] > 0) continue;
            has[parent] = true;
            s->queue[tail++] = parent;
        }
    }
}

static void find_properties(compiler *c) {
    spread s;
    bool *has = mem_calloc(c->b->part_count, sizeof *has);
    if (!spread_init(&s, c->b) || !has) {
        fail_memory(c);
    } else {
        spread_property(&s, c->b, true, has);
        for (size_t p = 0; p < c->b->part_count; p++) c->parts[p].nullable = has[p];
        spread_property(&s, c->b, false, has);
        for (size_t p = 0; p < c->b->part_count; p++) c->parts[p].productive = has[p];
        for (size_t r = 0; r < c->b->rule_count; r++) {
            part body = c->b->rules[r].body;
            c->rules[r].nullable = c->parts[body].nullable;
            c->rules[r].productive = c->parts[body].productive;
        }
    }
    spread_free(&s);
    mem_free(has);
}

bool build_prune(grammar_builder *b, uint32_t root) {
    if (b->status != TOLA_OK) return false;
    spread s;
    bool *has = mem_calloc(b->part_count, sizeof *has);
    bool good = spread_init(&s, b) && has;
    if (good) spread_property(&s, b, false, has);
    for (size_t p = 0; good && p < b->part_count; p++) {
        part_node *n = &b->parts[p];
        if (n->kind == PART_REPEAT && n->low == 0 && !has[n->first]) *n = (part_node){ .kind = PART_EMPTY };
        if (n->kind != PART_ALT || !has[p]) continue;
        uint32_t kept = 0;
        for (uint32_t i = 0; i < n->count; i++) {
            part child = b->children[n->first + i];
            if (has[child]) b->children[n->first + kept++] = child;
        }
        n->count = kept;
    }
    bool ends = good && has[b->rules[root].body];
    if (!good) b->status = err_nomem(&b->error, "a grammar");
    spread_free(&s);
    mem_free(has);
    return ends;
}

/* ---- walks over rules without recursion between them ---- */

typedef struct rule_list {
    uint32_t *items;
    size_t count, cap;
} rule_list;

static void list_add(compiler *c, rule_list *l, uint32_t rule) {
    if (!mem_grow(&l->items, &l->cap, l->count + 1, sizeof *l->items)) fail_memory(c);
    else l->items[l->count++] = rule;
}

/* Rules that a part refers to; with `left`, only those that it can begin with. Recursion is bounded by the depth of
 * parts. */
static void collect_rules(compiler *c, part p, bool left, uint32_t stamp, rule_list *out) {
    const part_node *n = &c->b->parts[p];
    if (n->kind == PART_RULE) list_add(c, out, n->first);
    if (c->parts[p].stamp == stamp) return; /* a shared part, seen from this rule already */
    c->parts[p].stamp = stamp;
    if (n->kind == PART_REPEAT) collect_rules(c, n->first, left, stamp, out);
    if (n->kind != PART_SEQ && n->kind != PART_ALT) return;
    for (uint32_t i = 0; i < n->count && ok(c); i++) {
        part child = c->b->children[n->first + i];
        collect_rules(c, child, left, stamp, out);
        if (left && n->kind == PART_SEQ && !c->parts[child].nullable) return;
    }
}

/* One frame of a depth-first walk: a rule, and where its references lie in a shared list. */
typedef struct visit {
    uint32_t rule;
    size_t first, next;
} visit;

typedef struct walk {
    visit *stack;
    size_t count, cap;
    rule_list refs;
} walk;

static void walk_enter(compiler *c, walk *w, uint32_t rule, bool left, uint32_t stamp) {
    c->rules[rule].active = true;
    size_t first = w->refs.count;
    if (!mem_grow(&w->stack, &w->cap, w->count + 1, sizeof *w->stack)) {
        fail_memory(c);
        return;
    }
    w->stack[w->count++] = (visit){ rule, first, first };
    collect_rules(c, c->b->rules[rule].body, left, stamp, &w->refs);
}

/* Everything reachable from the root in post-order: unknown rules, rules that never end, which contain themselves. */
static void walk_references(compiler *c, uint32_t root, uint32_t *post, size_t *post_count) {
    walk w = { 0 };
    c->rules[root].reachable = true;
    walk_enter(c, &w, root, false, root + 1);
    while (ok(c) && w.count > 0) {
        visit *v = &w.stack[w.count - 1];
        if (v->next < w.refs.count) {
            uint32_t r = w.refs.items[v->next++];
            c->rules[r].uses++;
            if (c->rules[r].active) c->rules[r].called = true;
            if (c->rules[r].reachable) continue;
            c->rules[r].reachable = true;
            walk_enter(c, &w, r, false, r + 1);
        } else {
            c->rules[v->rule].active = false;
            post[(*post_count)++] = v->rule;
            w.refs.count = v->first;
            w.count--;
        }
    }
    mem_free(w.stack);
    mem_free(w.refs.items);
}

static void fail_left_recursion(compiler *c, const walk *w, uint32_t rule) {
    char path[256];
    size_t at = 0, i = 0;
    while (w->stack[i].rule != rule) i++;
    path[0] = '\0';
    for (; i < w->count && at < sizeof path; i++) {
        int n = snprintf(path + at, sizeof path - at, "%s -> ", c->b->rules[w->stack[i].rule].name);
        at += n > 0 ? (size_t)n : 0;
    }
    c->status = err_set(c->err, TOLA_E_FORMAT, c->b->rules[rule].offset,
                        "grammar: rule '%s' begins with itself (left recursion): %s%s", c->b->rules[rule].name,
                        at < sizeof path ? path : "... -> ", c->b->rules[rule].name);
}

/* Left recursion is an error; without it, the order "callers before what they begin with" exists. */
static void walk_beginnings(compiler *c, const uint32_t *roots, size_t root_count) {
    walk w = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < c->b->part_count; i++) c->parts[i].stamp = 0;
    for (size_t i = root_count; i-- > 0 && ok(c);) { /* the root first, for the sake of messages */
        if (c->rules[roots[i]].done) continue;
        walk_enter(c, &w, roots[i], true, roots[i] + 1);
        while (ok(c) && w.count > 0) {
            visit *v = &w.stack[w.count - 1];
            if (v->next < w.refs.count) {
                uint32_t r = w.refs.items[v->next++];
                if (c->rules[r].active) fail_left_recursion(c, &w, r);
                else if (!c->rules[r].done) walk_enter(c, &w, r, true, r + 1);
            } else {
                c->rules[v->rule].active = false;
                c->rules[v->rule].done = true;
                c->order[n++] = v->rule;
                w.refs.count = v->first;
                w.count--;
            }
        }
    }
    for (size_t i = 0; i < n / 2; i++) {
        uint32_t swap = c->order[i];
        c->order[i] = c->order[n - 1 - i];
        c->order[n - 1 - i] = swap;
    }
    c->order_count = n;
    mem_free(w.stack);
    mem_free(w.refs.items);
}

/* ---- what is called ---- */

static uint32_t saturate(uint64_t v) { return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v; }

/* Size in nodes, whether there are loops, and whether the end is open: something of the part's own may follow a
 * complete match. Parts of a rule after the rules that it refers to. */
static void measure(compiler *c, part p) {
    part_info *i = &c->parts[p];
    if (i->measured) return;
    i->measured = true;
    const part_node *n = &c->b->parts[p];
    switch (n->kind) {
    case PART_EMPTY: break;
    case PART_CLASS: i->size = saturate(1 + 2 * (uint64_t)n->count); break;
    case PART_TOKEN: i->size = 1; break;
    case PART_RULE: {
        const rule_info *r = &c->rules[n->first];
        i->size = r->called ? 1 : r->size;
        i->loops = !r->called && r->loops;
        i->open = r->open;
        break;
    }
    case PART_REPEAT: {
        measure(c, n->first);
        const part_info *child = &c->parts[n->first];
        bool endless = n->high == REPEAT_FOREVER;
        i->size = saturate(((uint64_t)child->size + 1) * (endless ? n->low + 1u : n->high));
        i->loops = child->loops || endless || n->high - n->low >= 16;
        i->open = child->open || n->low != n->high;
        break;
    }
    default: {
        uint64_t size = 1;
        bool end = true; /* of a sequence: everything behind may be empty */
        for (uint32_t k = n->count; k-- > 0;) {
            part p_child = c->b->children[n->first + k];
            measure(c, p_child);
            const part_info *child = &c->parts[p_child];
            size += child->size;
            i->loops |= child->loops;
            if (n->kind == PART_ALT) {
                i->open |= child->open || child->nullable;
            } else {
                i->open |= end && (child->open || child->nullable);
                end = end && child->nullable;
            }
        }
        i->size = saturate(size);
    }
    }
}

static void measure_rule(compiler *c, uint32_t rule) {
    part body = c->b->rules[rule].body;
    measure(c, body);
    rule_info *r = &c->rules[rule];
    r->size = c->parts[body].size;
    r->loops = c->parts[body].loops;
    r->open = c->parts[body].open;
    if (r->uses > 1 && !r->open && r->loops) r->called = true;
    if (r->uses > 1 && r->size >= TOO_LARGE) r->called = true;
}

/* ---- nodes ---- */

static uint32_t new_node(compiler *c, node_kind kind, uint32_t first, uint32_t count) {
    grammar *g = c->g;
    if (!ok(c)) return 0;
    if (g->node_count >= GRAMMAR_MAX_NODES) {
        c->status = err_set(c->err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                            "grammar: its repetitions multiply out to more than %u nodes", GRAMMAR_MAX_NODES);
        return 0;
    }
    if (!mem_grow(&g->nodes, &g->node_cap, g->node_count + 1, sizeof *g->nodes)) {
        fail_memory(c);
        return 0;
    }
    g->nodes[g->node_count] = (grammar_node){ kind, first, count };
    return (uint32_t)g->node_count++;
}

static uint32_t new_split(compiler *c, const uint32_t *nodes, size_t count) {
    grammar *g = c->g;
    size_t first = g->split_count;
    if (!ok(c)) return 0;
    if (!mem_grow(&g->splits, &g->split_cap, first + count, sizeof *g->splits)) {
        fail_memory(c);
        return 0;
    }
    for (size_t i = 0; i < count; i++) g->splits[first + i] = nodes[i];
    g->split_count += count;
    return new_node(c, NODE_SPLIT, (uint32_t)first, (uint32_t)count);
}

typedef struct edge_list {
    grammar_edge items[256];
    size_t count;
} edge_list;

static uint32_t new_edges(compiler *c, const edge_list *l) {
    grammar *g = c->g;
    size_t first = g->edge_count;
    if (!ok(c)) return 0;
    if (!mem_grow(&g->edges, &g->edge_cap, first + l->count, sizeof *g->edges)) {
        fail_memory(c);
        return 0;
    }
    memcpy(g->edges + first, l->items, l->count * sizeof *l->items);
    g->edge_count += l->count;
    return new_node(c, NODE_EDGES, (uint32_t)first, (uint32_t)l->count);
}

/* Code points from `low` to `high` of some sorted ranges, as one byte of UTF-8 and what follows it. */
typedef struct slice {
    const code_range *ranges;
    size_t count;
    uint32_t low, high;
} slice;

typedef struct utf8_maker {
    compiler *c;
    uint32_t next;
    uint32_t full[4]; /* full[k]: any k continuation bytes, then next; 0: not made yet */
} utf8_maker;

static void add_utf8(utf8_maker *m, slice s, uint32_t origin, uint8_t base, int more, edge_list *out);

static uint32_t full(utf8_maker *m, int more) {
    if (more == 0) return m->next;
    if (!m->full[more]) {
        edge_list l = { .count = 1 };
        l.items[0] = (grammar_edge){ 0x80, 0xbf, full(m, more - 1) };
        m->full[more] = new_edges(m->c, &l);
    }
    return m->full[more];
}

static uint32_t partial(utf8_maker *m, slice s, int more) {
    edge_list l = { .count = 0 };
    add_utf8(m, s, s.low & ~((1u << 6 * more) - 1), 0x80, more - 1, &l);
    return new_edges(m->c, &l);
}

/* Edges for a byte `base` + (code point - origin) / 64^more. Recurses at most three deep, by `more`. */
static void add_utf8(utf8_maker *m, slice s, uint32_t origin, uint8_t base, int more, edge_list *out) {
    uint32_t unit = 1u << (6 * more);
    uint32_t at = s.low; /* what lies before is done */
    for (size_t i = 0; i < s.count && ok(m->c);) {
        uint32_t low = s.ranges[i].low > at ? s.ranges[i].low : at;
        uint32_t high = s.ranges[i].high < s.high ? s.ranges[i].high : s.high;
        if (s.ranges[i].high < at) {
            i++;
            continue;
        }
        if (low > s.high) return;
        uint32_t block = low & ~(unit - 1), end = block | (unit - 1);
        uint8_t byte = (uint8_t)(base + (block - origin) / unit);
        if (low == block && high >= end) {
            uint32_t last = (high + 1) / unit * unit - 1; /* whole blocks up to here */
            out->items[out->count++] = (grammar_edge){ byte, (uint8_t)(base + (last - origin) / unit), full(m, more) };
            at = last + 1;
        } else {
            slice part_of = { s.ranges + i, s.count - i, low, end < s.high ? end : s.high };
            uint32_t node = partial(m, part_of, more);
            out->items[out->count++] = (grammar_edge){ byte, byte, node };
            at = end + 1;
        }
        if (at > s.high) return;
    }
}

static uint32_t make_class(compiler *c, const part_node *n, uint32_t next) {
    static const struct {
        uint32_t low, high;
        uint8_t base;
    } lengths[] = { { 0, 0x7f, 0 }, { 0x80, 0x7ff, 0xc0 }, { 0x800, 0xffff, 0xe0 }, { 0x10000, 0x10ffff, 0xf0 } };
    utf8_maker m = { c, next, { 0 } };
    edge_list l = { .count = 0 };
    for (int more = 0; more < 4; more++) {
        slice s = { c->b->ranges + n->first, n->count, lengths[more].low, lengths[more].high };
        add_utf8(&m, s, 0, lengths[more].base, more, &l);
    }
    return new_edges(c, &l);
}

static uint32_t make(compiler *c, part p, uint32_t next, int depth);

/* Back to front: x{2,4} is x x (x (x)?)?, x{2,} is x, then x in a loop. */
static uint32_t make_repeat(compiler *c, const part_node *n, uint32_t next, int depth) {
    uint32_t copies = n->low;
    if (n->high == REPEAT_FOREVER) {
        uint32_t ways[2] = { 0, next }, loop = new_split(c, ways, 2), entry = make(c, n->first, loop, depth);
        if (!ok(c)) return 0;
        c->g->splits[c->g->nodes[loop].first] = entry;
        next = copies ? entry : loop;
        copies -= copies > 0;
    } else {
        uint32_t end = next;
        for (uint32_t i = n->low; i < n->high && ok(c); i++) {
            uint32_t ways[2] = { make(c, n->first, next, depth), end };
            if (ways[0] == next) return next; /* nothing to repeat */
            next = new_split(c, ways, 2);
        }
    }
    for (uint32_t i = 0; i < copies && ok(c); i++) {
        uint32_t entry = make(c, n->first, next, depth);
        if (entry == next) break;
        next = entry;
    }
    return next;
}

static uint32_t make_alt(compiler *c, const part_node *n, uint32_t next, int depth) {
    uint32_t *ways = mem_alloc(n->count * sizeof *ways), node = 0;
    if (!ways) fail_memory(c);
    for (uint32_t i = 0; ok(c) && i < n->count; i++) ways[i] = make(c, c->b->children[n->first + i], next, depth);
    if (ok(c)) node = new_split(c, ways, n->count);
    mem_free(ways);
    return node;
}

/* The node where `p` begins, after which comes `next`. Depth is bounded: parts by their own limit, copied rules by
 * MAX_NESTING, beyond which they are called. */
static uint32_t make(compiler *c, part p, uint32_t next, int depth) {
    const part_node *n = &c->b->parts[p];
    if (!ok(c)) return 0;
    switch (n->kind) {
    case PART_EMPTY: return next;
    case PART_CLASS: return make_class(c, n, next);
    case PART_TOKEN: return new_node(c, NODE_TOKEN, n->first, next);
    case PART_REPEAT: return make_repeat(c, n, next, depth + 1);
    case PART_ALT: return make_alt(c, n, next, depth + 1);
    case PART_SEQ:
        for (uint32_t i = n->count; i-- > 0 && ok(c);) next = make(c, c->b->children[n->first + i], next, depth + 1);
        return next;
    default:
        if (!c->rules[n->first].called && depth < MAX_NESTING)
            return make(c, c->b->rules[n->first].body, next, depth + 1);
        c->rules[n->first].called = true; /* its own nodes are made in a later round */
        return new_node(c, NODE_CALL, n->first, next);
    }
}

static void make_nodes(compiler *c, uint32_t root) {
    grammar *g = c->g;
    size_t count = c->b->rule_count;
    uint32_t *start = mem_alloc(count * sizeof *start);
    if (!start) {
        fail_memory(c);
        return;
    }
    for (size_t r = 0; r < count; r++) start[r] = UINT32_MAX;
    new_node(c, NODE_RETURN, 0, 0);
    g->start = make(c, c->b->rules[root].body, 0, 0);
    /* Rounds, since a copy that is nested too deep turns into a call of a rule that was not called before. */
    for (bool more = true; more && ok(c);) {
        more = false;
        for (size_t r = 0; r < count && ok(c); r++) {
            if (!c->rules[r].called || !c->rules[r].reachable || start[r] != UINT32_MAX) continue;
            start[r] = make(c, c->b->rules[r].body, 0, 0);
            more = true;
        }
    }
    g->rule_start = mem_calloc(c->order_count, sizeof *g->rule_start);
    g->rule_nullable = mem_calloc(c->order_count, sizeof *g->rule_nullable);
    if (!g->rule_start || !g->rule_nullable) fail_memory(c);
    for (size_t i = 0; ok(c) && i < c->order_count; i++) {
        uint32_t r = c->order[i];
        if (start[r] == UINT32_MAX) continue;
        c->rules[r].number = (uint32_t)g->rule_count;
        g->rule_start[g->rule_count] = start[r];
        g->rule_nullable[g->rule_count++] = c->rules[r].nullable;
    }
    for (size_t i = 0; ok(c) && i < g->node_count; i++)
        if (g->nodes[i].kind == NODE_CALL) g->nodes[i].first = c->rules[g->nodes[i].first].number;
    mem_free(start);
}

static void make_byte_classes(grammar *g) {
    bool boundary[257] = { true };
    for (size_t i = 0; i < g->edge_count; i++) {
        boundary[g->edges[i].low] = true;
        boundary[g->edges[i].high + 1] = true;
    }
    for (int b = 0; b < 256; b++) {
        if (boundary[b]) g->class_byte[g->class_count++] = (uint8_t)b;
        g->byte_class[b] = (uint8_t)(g->class_count - 1);
    }
}

static void copy_tokens(compiler *c) {
    grammar *g = c->g;
    g->tokens = mem_calloc(c->b->token_count, sizeof *g->tokens);
    if (!g->tokens) fail_memory(c);
    for (size_t i = 0; ok(c) && i < c->b->token_count; i++) {
        g->tokens[i] = c->b->tokens[i];
        const char *name = c->b->tokens[i].name;
        if (name && !(g->tokens[i].name = arena_strndup(&g->memory, name, strlen(name)))) fail_memory(c);
        g->token_count = i + 1;
    }
}

/* ---- the whole ---- */

static void compile(compiler *c, uint32_t root) {
    const grammar_builder *b = c->b;
    for (uint32_t r = 0; r < b->rule_count; r++)
        if (b->rules[r].body == PART_NONE) fail(c, r, "is used and never defined");
    if (ok(c)) find_properties(c);
    uint32_t *post = mem_calloc(b->rule_count, sizeof *post);
    size_t post_count = 0;
    if (!post) fail_memory(c);
    if (ok(c)) walk_references(c, root, post, &post_count);
    for (size_t i = 0; ok(c) && i < post_count; i++)
        if (!c->rules[post[i]].productive)
            fail(c, post[i], "can never end: each way through it needs itself again");
    if (ok(c)) walk_beginnings(c, post, post_count);
    for (size_t i = 0; ok(c) && i < post_count; i++) measure_rule(c, post[i]);
    if (ok(c)) make_nodes(c, root);
    if (ok(c)) copy_tokens(c);
    if (ok(c)) make_byte_classes(c->g);
    mem_free(post);
}

tola_status build_finish(const grammar_builder *b, uint32_t root, grammar **out, tola_error *err) {
    TRY(build_check(b, err));
    compiler c = { .b = b, .err = err };
    c.rules = mem_calloc(b->rule_count, sizeof *c.rules);
    c.parts = mem_calloc(b->part_count, sizeof *c.parts);
    c.order = mem_calloc(b->rule_count, sizeof *c.order);
    c.g = mem_calloc(1, sizeof *c.g);
    if (c.g) arena_init(&c.g->memory, 0);
    if (!c.rules || !c.parts || !c.order || !c.g) fail_memory(&c);
    else compile(&c, root);
    mem_free(c.rules);
    mem_free(c.parts);
    mem_free(c.order);
    if (!ok(&c)) {
        grammar_free(c.g);
        return c.status;
    }
    *out = c.g;
    return TOLA_OK;
}

void grammar_free(grammar *g) {
    if (!g) return;
    mem_free(g->nodes);
    mem_free(g->edges);
    mem_free(g->splits);
    mem_free(g->rule_start);
    mem_free(g->rule_nullable);
    mem_free(g->tokens);
    arena_free(&g->memory);
    mem_free(g);
}

size_t grammar_node_count(const grammar *g) { return g->node_count; }
