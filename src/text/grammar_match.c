/* The automaton at work: closures, interned states and frames, transitions worked out when first needed, and the
 * collection of what no state in use can reach.
 *
 * A state is the set of all stacks that are possible at a place of the text, as a graph of shared frames (Tomita's
 * graph-structured stack, https://doi.org/10.3115/1075096.1075101), made canonical: a frame is what it returns to, so
 * that equal stacks have equal numbers and a transition is worked out once. A call at the end of a rule reuses the
 * caller's frame; right recursion needs no stack. */
#include "text/grammar_match.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

void match_fail_memory(grammar_matcher *m) {
    if (match_ok(m)) m->status = err_nomem(&m->error, "a grammar's states");
}

static void fail_limit(grammar_matcher *m, const char *what) {
    if (match_ok(m)) m->status = err_set(&m->error, TOLA_E_LIMIT, TOLA_NO_OFFSET, "grammar: %s", what);
}

static size_t memory_used(const grammar_matcher *m) {
    return m->pairs_cap * sizeof *m->pairs + m->states_cap * sizeof *m->states + m->frames_cap * sizeof *m->frames +
           m->rows_cap * sizeof *m->rows + m->label_frames_cap * sizeof *m->label_frames +
           m->runs_cap * sizeof *m->runs + m->masks_count * (sizeof *m->masks + 4ull * m->v->word_count) +
           m->exit_nodes_cap * sizeof *m->exit_nodes + m->exit_refs_cap * sizeof *m->exit_refs +
           m->continuations_cap * sizeof *m->continuations + m->continued_cap * sizeof *m->continued;
}

bool match_has_room(grammar_matcher *m) {
    if (memory_used(m) > m->limit * 2 + (64u << 20)) fail_limit(m, "its states need more memory than they may");
    return match_ok(m);
}

/* ---- interning ---- */

uint64_t match_hash(const pair *items, size_t count, uint64_t start) {
    uint64_t h = start ^ 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < count; i++) {
        h = (h ^ ((uint64_t)items[i].node << 32 | items[i].frame)) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

bool match_index_grow(grammar_matcher *m, hash_index *x, uint64_t (*hash_of)(grammar_matcher *, uint32_t)) {
    if (x->used * 2 < x->count) return true;
    size_t count = x->count ? x->count * 2 : 256;
    uint32_t *buckets = mem_calloc(count, sizeof *buckets);
    if (!buckets) {
        match_fail_memory(m);
        return false;
    }
    for (size_t i = 0; i < x->count; i++) {
        if (!x->buckets[i]) continue;
        size_t at = hash_of(m, x->buckets[i] - 1) & (count - 1);
        while (buckets[at]) at = (at + 1) & (count - 1);
        buckets[at] = x->buckets[i];
    }
    mem_free(x->buckets);
    x->buckets = buckets;
    x->count = count;
    return true;
}

static uint64_t hash_of_state(grammar_matcher *m, uint32_t s) {
    const match_state *t = &m->states[s];
    return match_hash(m->pairs + t->first, t->count, t->pops * 2 + t->accept);
}

static uint64_t hash_of_frame(grammar_matcher *m, uint32_t f) {
    return match_hash(m->pairs + m->frames[f].first, m->frames[f].count, 1);
}

static int compare_pairs(const void *x, const void *y) {
    const pair *a = x, *b = y;
    if (a->node != b->node) return a->node < b->node ? -1 : 1;
    return a->frame < b->frame ? -1 : a->frame > b->frame;
}

/* Sorts and removes what is there twice. */
static size_t sort_pairs(pair *p, size_t count) {
    if (count > 16) {
        qsort(p, count, sizeof *p, compare_pairs);
    } else {
        for (size_t i = 1; i < count; i++) {
            pair x = p[i];
            size_t j = i;
            for (; j > 0 && compare_pairs(&x, &p[j - 1]) < 0; j--) p[j] = p[j - 1];
            p[j] = x;
        }
    }
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (n == 0 || compare_pairs(&p[n - 1], &p[i]) != 0) p[n++] = p[i];
    return n;
}

static bool store_pairs(grammar_matcher *m, const pair *items, size_t count, uint32_t *first) {
    if (!match_has_room(m)) return false;
    if (!mem_grow(&m->pairs, &m->pairs_cap, m->pairs_count + count, sizeof *m->pairs)) {
        match_fail_memory(m);
        return false;
    }
    *first = (uint32_t)m->pairs_count;
    if (count) memcpy(m->pairs + m->pairs_count, items, count * sizeof *items);
    m->pairs_count += count;
    return true;
}

uint32_t match_intern(grammar_matcher *m, pair *items, size_t count, bool accept, uint64_t pops) {
    count = sort_pairs(items, count);
    if (!match_index_grow(m, &m->state_index, hash_of_state)) return DEAD;
    hash_index *x = &m->state_index;
    size_t at = match_hash(items, count, pops * 2 + accept) & (x->count - 1);
    for (; x->buckets[at]; at = (at + 1) & (x->count - 1)) {
        const match_state *t = &m->states[x->buckets[at] - 1];
        if (t->count == count && t->accept == accept && t->pops == pops &&
            (count == 0 || memcmp(m->pairs + t->first, items, count * sizeof *items) == 0))
            return x->buckets[at] - 1;
    }
    match_state s = { .count = (uint32_t)count, .pops = pops, .accept = accept, .row = NONE, .local = NONE,
                      .run = NONE, .mask = NONE };
    if (!store_pairs(m, items, count, &s.first)) return DEAD;
    size_t before = m->states_count;
    MATCH_PUSH(m, states, s);
    if (m->states_count == before) return DEAD;
    x->buckets[at] = (uint32_t)m->states_count;
    x->used++;
    return (uint32_t)before;
}

static uint32_t intern_frame(grammar_matcher *m, pair *items, size_t count) {
    count = sort_pairs(items, count);
    if (!match_index_grow(m, &m->frame_index, hash_of_frame)) return FRAME_ROOT;
    hash_index *x = &m->frame_index;
    size_t at = match_hash(items, count, 1) & (x->count - 1);
    for (; x->buckets[at]; at = (at + 1) & (x->count - 1)) {
        const match_frame *f = &m->frames[x->buckets[at] - 1];
        if (f->count == count && memcmp(m->pairs + f->first, items, count * sizeof *items) == 0)
            return x->buckets[at] - 1;
    }
    match_frame f = { 0, (uint32_t)count, NONE };
    if (!store_pairs(m, items, count, &f.first)) return FRAME_ROOT;
    size_t before = m->frames_count;
    MATCH_PUSH(m, frames, f);
    if (m->frames_count == before) return FRAME_ROOT;
    x->buckets[at] = (uint32_t)m->frames_count;
    x->used++;
    return (uint32_t)before;
}

/* ---- closures ---- */

static bool grow_set(grammar_matcher *m, pair_set *s) {
    if (s->count * 2 < s->slot_count) return true;
    size_t count = s->slot_count ? s->slot_count * 2 : 256;
    uint64_t *slots = mem_calloc(count, sizeof *slots);
    if (!slots) {
        match_fail_memory(m);
        return false;
    }
    mem_free(s->slots);
    s->slots = slots;
    s->slot_count = count;
    for (size_t i = 0; i < s->count; i++) {
        size_t at = match_hash(&s->items[i], 1, 0) & (count - 1);
        while (slots[at]) at = (at + 1) & (count - 1);
        slots[at] = ((uint64_t)s->items[i].node << 32 | s->items[i].frame) + 1;
    }
    return true;
}

void match_set_add(grammar_matcher *m, pair_set *s, pair p) {
    uint64_t key = ((uint64_t)p.node << 32 | p.frame) + 1;
    if (!match_ok(m) || !grow_set(m, s)) return;
    size_t at = match_hash(&p, 1, 0) & (s->slot_count - 1);
    for (; s->slots[at]; at = (at + 1) & (s->slot_count - 1))
        if (s->slots[at] == key) return;
    if (!mem_grow(&s->items, &s->cap, s->count + 1, sizeof *s->items)) {
        match_fail_memory(m);
        return;
    }
    s->slots[at] = key;
    s->items[s->count++] = p;
}

void match_set_clear(pair_set *s) {
    for (size_t i = 0; i < s->count; i++) { /* each lies in the cluster that its hash begins */
        size_t at = match_hash(&s->items[i], 1, 0) & (s->slot_count - 1);
        for (; s->slots[at]; at = (at + 1) & (s->slot_count - 1)) s->slots[at] = 0;
    }
    s->count = 0;
}

void match_visit(grammar_matcher *m, uint32_t node, uint32_t frame) {
    match_set_add(m, &m->work, (pair){ node, frame });
    if (m->work.count > MAX_WAYS * 4) fail_limit(m, "too ambiguous: it can be at too many places at once");
    match_count_steps(m, 1);
}

void match_too_many_steps(grammar_matcher *m) { fail_limit(m, "too ambiguous: too much work for one token"); }

typedef struct closing {
    size_t done; /* of m->work */
    bool accept;
    uint64_t pops;
} closing;

static void call(grammar_matcher *m, uint32_t rule, uint32_t back, uint32_t frame) {
    const grammar *g = m->g;
    if (g->rule_nullable[rule]) match_visit(m, back, frame);
    if (g->nodes[back].kind == NODE_RETURN) match_visit(m, g->rule_start[rule], frame); /* a tail call */
    else MATCH_PUSH(m, pending, (pending_call){ rule, { back, frame } });
}

static void go_through(grammar_matcher *m, closing *c) {
    const grammar *g = m->g;
    for (; c->done < m->work.count && match_ok(m); c->done++) {
        pair p = m->work.items[c->done];
        const grammar_node *n = &g->nodes[p.node];
        switch (n->kind) {
        case NODE_RETURN:
            if (p.frame == FRAME_ROOT) c->accept = true;
            else if (p.frame <= MAX_LABELS) c->pops |= (uint64_t)1 << (p.frame - 1);
            else
                for (uint32_t i = 0; i < m->frames[p.frame].count; i++) {
                    pair back = m->pairs[m->frames[p.frame].first + i];
                    match_visit(m, back.node, back.frame);
                }
            break;
        case NODE_SPLIT:
            for (uint32_t i = 0; i < n->count; i++) match_visit(m, g->splits[n->first + i], p.frame);
            break;
        case NODE_CALL: call(m, n->first, n->count, p.frame); break;
        default: MATCH_PUSH(m, items, p);
        }
    }
}

/* Calls wait until all callers of their rule are known (rules are numbered so that callers come first), and then share
 * one frame. */
static void enter_next_rule(grammar_matcher *m) {
    uint32_t rule = m->pending[0].rule;
    for (size_t i = 1; i < m->pending_count; i++)
        if (m->pending[i].rule < rule) rule = m->pending[i].rule;
    size_t left = 0;
    m->kernel_count = 0;
    for (size_t i = 0; i < m->pending_count; i++) {
        if (m->pending[i].rule == rule) MATCH_PUSH(m, kernel, m->pending[i].back);
        else m->pending[left++] = m->pending[i];
    }
    m->pending_count = left;
    if (!match_ok(m)) return;
    uint32_t frame = intern_frame(m, m->kernel, m->kernel_count);
    if (match_ok(m)) match_visit(m, m->g->rule_start[rule], frame);
}

uint32_t match_close(grammar_matcher *m, const pair *kernel, size_t count) {
    closing c = { 0 };
    m->items_count = m->pending_count = 0;
    for (size_t i = 0; i < count; i++) match_visit(m, kernel[i].node, kernel[i].frame);
    go_through(m, &c);
    while (match_ok(m) && m->pending_count > 0) {
        enter_next_rule(m);
        go_through(m, &c);
    }
    match_set_clear(&m->work);
    if (match_ok(m) && m->items_count > MAX_WAYS) fail_limit(m, "too ambiguous: it can be at too many places at once");
    if (!match_ok(m) || (m->items_count == 0 && !c.accept && !c.pops)) return DEAD;
    return match_intern(m, m->items, m->items_count, c.accept, c.pops);
}

/* ---- transitions ---- */

static uint32_t follow_edge(const grammar *g, const grammar_node *n, uint8_t byte) {
    uint32_t low = 0, high = n->count; /* edges are sorted and disjoint */
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const grammar_edge *e = &g->edges[n->first + middle];
        if (byte < e->low) high = middle;
        else if (byte > e->high) low = middle + 1;
        else return e->next;
    }
    return NONE;
}

uint32_t match_step_slow(grammar_matcher *m, uint32_t state, uint32_t byte_class) {
    const grammar *g = m->g;
    if (!match_ok(m) || state == DEAD) return DEAD;
    if (m->states[state].row == NONE) {
        size_t row = m->rows_count / g->class_count;
        if (!mem_grow(&m->rows, &m->rows_cap, m->rows_count + g->class_count, sizeof *m->rows)) {
            match_fail_memory(m);
            return DEAD;
        }
        for (uint32_t i = 0; i < g->class_count; i++) m->rows[m->rows_count++] = NONE;
        m->states[state].row = (uint32_t)row;
    }
    const match_state s = m->states[state]; /* a copy: the list may move */
    for (uint32_t i = 0; i < s.count; i++) {
        pair p = m->pairs[s.first + i];
        if (g->nodes[p.node].kind != NODE_EDGES) continue;
        uint32_t next = follow_edge(g, &g->nodes[p.node], g->class_byte[byte_class]);
        if (next != NONE) match_visit(m, next, p.frame);
    }
    uint32_t next = match_close(m, NULL, 0); /* of what was visited */
    if (match_ok(m)) m->rows[(size_t)s.row * g->class_count + byte_class] = next;
    return next;
}

uint32_t match_resume(grammar_matcher *m, uint32_t frame) {
    if (m->frames[frame].resume != NONE) return m->frames[frame].resume;
    uint32_t state = match_close(m, &(pair){ 0, frame }, 1);
    if (match_ok(m)) m->frames[frame].resume = state;
    return state;
}

/* ---- the matcher ---- */

static bool has_bit(const uint32_t *mask, uint32_t id) { return mask[id / 32] >> (id % 32) & 1; }

static tola_status resolve_tokens(grammar_matcher *m, tola_error *err) {
    const grammar *g = m->g;
    const grammar_vocabulary *v = m->v;
    m->token_ids = mem_calloc(g->token_count, sizeof *m->token_ids);
    if (!m->token_ids) return err_nomem(err, "a grammar's tokens");
    for (size_t t = 0; t < g->token_count; t++) {
        const char *name = g->tokens[t].name;
        uint32_t id = g->tokens[t].id;
        if (name) {
            size_t length = strlen(name);
            for (id = 0; id < v->count; id++)
                if (v->start[id + 1] - v->start[id] == length && memcmp(v->bytes + v->start[id], name, length) == 0)
                    break;
        }
        if (id >= v->count && name)
            return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                           "grammar: '%s' is no token of the vocabulary, which has %u", name, v->count);
        if (id >= v->count)
            return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                           "grammar: there is no token %u in the vocabulary, which has %u", id, v->count);
        if (!g->tokens[t].negated && has_bit(v->end_mask, id))
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                           "grammar: token %u ends a text: it comes where the grammar ends, and no rule can name it",
                           id);
        m->token_ids[t] = id;
    }
    return TOLA_OK;
}

/* State 0 is dead; frame 0 the root's, then labels: none of these is ever found by its contents. */
static void reset(grammar_matcher *m) {
    for (size_t i = 0; i < m->masks_count; i++) mem_free(m->masks[i].bits);
    m->pairs_count = m->states_count = m->frames_count = m->rows_count = m->label_frames_count = 0;
    m->runs_count = m->masks_count = m->exit_lists_count = m->exit_nodes_count = m->exit_refs_count = 0;
    m->continuations_count = m->continued_count = 0;
    hash_index *all[] = { &m->state_index, &m->frame_index, &m->continuation_index, &m->list_index };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]->count) memset(all[i]->buckets, 0, all[i]->count * sizeof *all[i]->buckets);
        all[i]->used = 0;
    }
    MATCH_PUSH(m, pairs, (pair){ 0, 0 }); /* so that no list of none begins at NULL */
    MATCH_PUSH(m, exit_nodes, 0);
    MATCH_PUSH(m, states, (match_state){ .row = NONE, .local = NONE, .run = NONE, .mask = NONE });
    for (int i = 0; i <= MAX_LABELS; i++) MATCH_PUSH(m, frames, (match_frame){ 0, 0, NONE });
    MATCH_PUSH(m, runs, (match_run){ .next = DEAD });
}

/* Keeps the states in use and the frames that they reach, and begins anew with them. */
static void collect(grammar_matcher *m) {
    size_t frame_count = m->frames_count;
    uint32_t *renamed = mem_calloc(frame_count, sizeof *renamed); /* 1: in use, later the new number */
    pair *old = m->pairs;
    match_frame *old_frames = m->frames;
    match_state *old_states = m->states;
    if (!renamed) {
        match_fail_memory(m);
        return;
    }
    for (const grammar_state *h = m->handles; h; h = h->next)
        for (uint32_t i = 0; i < m->states[h->state].count; i++) renamed[old[m->states[h->state].first + i].frame] = 1;
    for (size_t f = frame_count; f-- > 0;)
        for (uint32_t i = 0; renamed[f] && i < m->frames[f].count; i++) renamed[old[m->frames[f].first + i].frame] = 1;
    m->pairs = NULL;
    m->frames = NULL;
    m->states = NULL;
    m->pairs_cap = m->frames_cap = m->states_cap = 0;
    mem_free(m->rows);
    m->rows = NULL;
    m->rows_cap = 0;
    reset(m);
    for (uint32_t f = 0; f < frame_count && match_ok(m); f++) {
        if (f <= MAX_LABELS || !renamed[f]) {
            renamed[f] = f <= MAX_LABELS ? f : 0;
            continue;
        }
        m->items_count = 0;
        for (uint32_t i = 0; i < old_frames[f].count; i++) {
            pair p = old[old_frames[f].first + i];
            MATCH_PUSH(m, items, (pair){ p.node, renamed[p.frame] });
        }
        if (match_ok(m)) renamed[f] = intern_frame(m, m->items, m->items_count);
    }
    for (grammar_state *h = m->handles; h && match_ok(m); h = h->next) {
        const match_state *s = &old_states[h->state];
        m->items_count = 0;
        for (uint32_t i = 0; i < s->count; i++) {
            pair p = old[s->first + i];
            MATCH_PUSH(m, items, (pair){ p.node, renamed[p.frame] });
        }
        if (match_ok(m)) h->state = match_intern(m, m->items, m->items_count, s->accept, 0);
    }
    mem_free(old);
    mem_free(old_frames);
    mem_free(old_states);
    mem_free(renamed);
}

/* Begins a call: the lock, and room. */
static tola_status begin(grammar_matcher *m, tola_error *err) {
    pthread_mutex_lock(&m->lock);
    m->steps = 0;
    if (!m->broken) m->status = TOLA_OK;
    if (match_ok(m) && memory_used(m) > m->collect_at) {
        collect(m);
        if (!match_ok(m)) m->broken = true; /* states in use may be lost */
        m->collect_at = 2 * memory_used(m) > m->limit ? 2 * memory_used(m) : m->limit;
    }
    if (!match_ok(m) && err) *err = m->error;
    return m->status;
}

static tola_status end(grammar_matcher *m, tola_error *err) {
    tola_status status = m->status;
    if (status != TOLA_OK && err) *err = m->error;
    pthread_mutex_unlock(&m->lock);
    return status;
}

tola_status grammar_matcher_create(const grammar *g, const grammar_vocabulary *v, size_t memory, grammar_matcher **out,
                                   tola_error *err) {
    grammar_matcher *m = mem_calloc(1, sizeof *m);
    if (!m) return err_nomem(err, "a grammar's states");
    m->g = g;
    m->v = v;
    m->limit = m->collect_at = memory ? memory : 256u << 20;
    pthread_mutex_init(&m->lock, NULL);
    reset(m);
    m->path = mem_calloc((size_t)v->longest + 1, sizeof *m->path);
    if (!m->path) match_fail_memory(m);
    if (!match_ok(m) && err) *err = m->error;
    tola_status status = match_ok(m) ? resolve_tokens(m, err) : m->status;
    if (status != TOLA_OK) {
        grammar_matcher_free(m);
        return status;
    }
    *out = m;
    return TOLA_OK;
}

void grammar_matcher_free(grammar_matcher *m) {
    if (!m) return;
    for (size_t i = 0; i < m->masks_count; i++) mem_free(m->masks[i].bits);
    void *all[] = { m->token_ids, m->pairs, m->states, m->frames, m->rows, m->label_frames, m->runs, m->masks,
                    m->exit_lists, m->exit_nodes, m->exit_refs, m->continuations, m->continued, m->kernel, m->items,
                    m->pending, m->ranges, m->exits, m->path, m->work.items, m->work.slots, m->todo.items,
                    m->todo.slots, m->state_index.buckets, m->frame_index.buckets, m->continuation_index.buckets,
                    m->list_index.buckets };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

/* ---- states ---- */

static tola_status new_handle(grammar_matcher *m, uint32_t state, grammar_state **out) {
    grammar_state *s = mem_alloc(sizeof *s);
    if (!s) {
        match_fail_memory(m);
        return m->status;
    }
    *s = (grammar_state){ m, state, NULL, m->handles };
    if (m->handles) m->handles->previous = s;
    m->handles = s;
    *out = s;
    return TOLA_OK;
}

tola_status grammar_state_create(grammar_matcher *m, grammar_state **out, tola_error *err) {
    if (begin(m, err) == TOLA_OK) {
        uint32_t state = match_close(m, &(pair){ m->g->start, FRAME_ROOT }, 1);
        if (match_ok(m)) new_handle(m, state, out);
    }
    return end(m, err);
}

tola_status grammar_state_clone(const grammar_state *s, grammar_state **out, tola_error *err) {
    if (begin(s->m, err) == TOLA_OK) new_handle(s->m, s->state, out);
    return end(s->m, err);
}

void grammar_state_free(grammar_state *s) {
    if (!s) return;
    pthread_mutex_lock(&s->m->lock);
    if (s->previous) s->previous->next = s->next;
    else s->m->handles = s->next;
    if (s->next) s->next->previous = s->previous;
    pthread_mutex_unlock(&s->m->lock);
    mem_free(s);
}

/* DEAD where the bytes do not fit. */
static uint32_t follow(grammar_matcher *m, uint32_t state, const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length && state != DEAD; i++) state = match_step(m, state, m->g->byte_class[bytes[i]]);
    return state;
}

tola_status grammar_state_bytes(grammar_state *s, const void *bytes, size_t length, bool *accepted, tola_error *err) {
    grammar_matcher *m = s->m;
    if (begin(m, err) == TOLA_OK) {
        uint32_t state = follow(m, s->state, bytes, length);
        if (match_ok(m)) {
            *accepted = state != DEAD;
            if (state != DEAD) s->state = state;
        }
    }
    return end(m, err);
}

/* The token's text, or the token itself where the grammar names it. */
static uint32_t follow_token(grammar_matcher *m, uint32_t from, uint32_t id) {
    const grammar *g = m->g;
    const grammar_vocabulary *v = m->v;
    uint32_t by_text = DEAD;
    if (has_bit(v->text_mask, id))
        by_text = follow(m, from, v->bytes + v->start[id], (size_t)(v->start[id + 1] - v->start[id]));
    const match_state s = m->states[from];
    bool named = false;
    for (uint32_t i = 0; i < s.count && match_ok(m); i++) {
        pair p = m->pairs[s.first + i];
        const grammar_node *n = &g->nodes[p.node];
        if (n->kind != NODE_TOKEN || (m->token_ids[n->first] == id) == g->tokens[n->first].negated) continue;
        match_visit(m, n->count, p.frame);
        named = true;
    }
    if (!named) return by_text;
    const match_state t = m->states[by_text];
    for (uint32_t i = 0; i < t.count; i++) match_visit(m, m->pairs[t.first + i].node, m->pairs[t.first + i].frame);
    if (t.accept) match_visit(m, 0, FRAME_ROOT);
    return match_close(m, NULL, 0);
}

tola_status grammar_state_token(grammar_state *s, uint32_t id, bool *accepted, tola_error *err) {
    grammar_matcher *m = s->m;
    if (id >= m->v->count)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "token %u; the vocabulary has %u", id, m->v->count);
    if (begin(m, err) == TOLA_OK) {
        bool end_token = has_bit(m->v->end_mask, id);
        uint32_t state = end_token ? s->state : follow_token(m, s->state, id);
        if (match_ok(m)) {
            *accepted = end_token ? m->states[state].accept : state != DEAD;
            if (*accepted) s->state = state;
        }
    }
    return end(m, err);
}

bool grammar_state_can_end(const grammar_state *s) {
    pthread_mutex_lock(&s->m->lock);
    bool can = !s->m->broken && s->m->states[s->state].accept;
    pthread_mutex_unlock(&s->m->lock);
    return can;
}

bool grammar_state_can_go_on(const grammar_state *s) {
    pthread_mutex_lock(&s->m->lock);
    bool can = !s->m->broken && s->m->states[s->state].count > 0;
    pthread_mutex_unlock(&s->m->lock);
    return can;
}

tola_status grammar_state_mask(grammar_state *s, uint32_t *mask, tola_error *err) {
    if (begin(s->m, err) == TOLA_OK) match_mask_of(s->m, s->state, mask);
    return end(s->m, err);
}
