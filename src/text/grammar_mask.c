/* Masks over a vocabulary: which tokens may come next.
 *
 * A state's mask is worked out in two layers, both remembered. The first depends on the state alone, with labels for
 * the frames around it: a walk over the trie gives the tokens that stay inside, and for each label the trie nodes at
 * which the walk returned into that frame. The second continues such a list of nodes from the state behind the frame.
 * Nested text so needs no walk over the whole vocabulary: an object in an object in an array has the masks that it has
 * at the outermost level. (XGrammar, https://arxiv.org/abs/2411.15100, tells such tokens apart as depending on context;
 * LLGuidance walks a trie, too.)
 *
 * A walk takes a whole branch at once where every character below leads round a loop, or along a chain of equal steps:
 * the inside of a string costs little more than the tokens that can end it. */
#include "text/grammar_match.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define RUN_LEAST 16 /* ASCII characters that make it worth while to look for a run */

/* ---- runs ---- */

/* Do all `more` continuation bytes, the first within [low, high], lead to `goal`? */
static bool all_lead(grammar_matcher *m, uint32_t state, uint8_t low, uint8_t high, int more, uint32_t goal) {
    uint32_t last = NONE;
    int last_class = -1;
    for (int b = low; b <= high; b++) {
        int byte_class = m->g->byte_class[b];
        if (byte_class == last_class) continue;
        last_class = byte_class;
        uint32_t next = match_step(m, state, (uint32_t)byte_class);
        if (next == last) continue;
        last = next;
        if (next == DEAD) return false;
        if (more == 1 ? next != goal : !all_lead(m, next, 0x80, 0xbf, more - 1, goal)) return false;
    }
    return true;
}

static bool leads_by_multibyte(grammar_matcher *m, uint32_t state, uint32_t goal) {
    /* Table 3-7 of the Unicode standard: well-formed UTF-8. */
    static const struct {
        uint8_t low, high, second_low, second_high, more;
    } rows[] = { { 0xc2, 0xdf, 0x80, 0xbf, 1 }, { 0xe0, 0xe0, 0xa0, 0xbf, 2 }, { 0xe1, 0xec, 0x80, 0xbf, 2 },
                 { 0xed, 0xed, 0x80, 0x9f, 2 }, { 0xee, 0xef, 0x80, 0xbf, 2 }, { 0xf0, 0xf0, 0x90, 0xbf, 3 },
                 { 0xf1, 0xf3, 0x80, 0xbf, 3 }, { 0xf4, 0xf4, 0x80, 0x8f, 3 } };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        int last_class = -1;
        for (int b = rows[r].low; b <= rows[r].high; b++) {
            int byte_class = m->g->byte_class[b];
            if (byte_class == last_class) continue;
            last_class = byte_class;
            uint32_t next = match_step(m, state, (uint32_t)byte_class);
            if (next == DEAD || !all_lead(m, next, rows[r].second_low, rows[r].second_high, rows[r].more, goal))
                return false;
        }
    }
    return true;
}

/* The next state that most ASCII characters lead to, and which those are. */
static const match_run *run_of(grammar_matcher *m, uint32_t state) {
    if (m->states[state].run != NONE) return &m->runs[m->states[state].run];
    uint32_t next[128], ways[8] = { 0 }, counts[8] = { 0 };
    size_t way_count = 0, best = 0;
    for (int b = 0; b < 128; b++) {
        next[b] = match_step(m, state, m->g->byte_class[b]);
        if (next[b] == DEAD) continue;
        size_t w = 0;
        while (w < way_count && ways[w] != next[b]) w++;
        if (w == 8) continue;
        if (w == way_count) ways[way_count++] = next[b];
        counts[w]++;
    }
    for (size_t w = 1; w < way_count; w++)
        if (counts[w] > counts[best]) best = w;
    uint32_t number = 0; /* that of no run */
    if (way_count && counts[best] >= RUN_LEAST) {
        match_run r = { { 0, 0 }, ways[best], leads_by_multibyte(m, state, ways[best]) };
        for (int b = 0; b < 128; b++)
            if (next[b] == r.next) r.ascii[b / 64] |= (uint64_t)1 << (b % 64);
        number = (uint32_t)m->runs_count;
        MATCH_PUSH(m, runs, r);
    }
    if (!match_ok(m)) return &m->runs[0];
    m->states[state].run = number;
    return &m->runs[number];
}

/* Does everything below fit, whatever it is? */
static bool takes_all(grammar_matcher *m, uint32_t state, const trie_summary *s) {
    for (uint32_t steps = s->longest; steps > 0; steps--) {
        const match_run *r = run_of(m, state);
        if (r->next == DEAD || (s->ascii[0] & ~r->ascii[0]) || (s->ascii[1] & ~r->ascii[1]) ||
            (s->multibyte && !r->multibyte))
            return false;
        if (r->next == state) return true;
        state = r->next;
    }
    return true;
}

/* ---- walks ---- */

static void accept_range(grammar_matcher *m, uint32_t first, uint32_t end) {
    if (first == end) return;
    if (m->ranges_count && m->ranges[m->ranges_count - 1].frame == first) m->ranges[m->ranges_count - 1].frame = end;
    else MATCH_PUSH(m, ranges, (pair){ first, end });
}

/* Collects tokens below trie node `top` that fit after `state`, and where frames with labels are returned to. */
static void walk(grammar_matcher *m, uint32_t top, uint32_t state) {
    const trie_node *nodes = m->v->nodes;
    const trie_summary *summaries = m->v->summaries;
    const uint8_t *byte_class = m->g->byte_class;
    uint32_t end = nodes[top].end, *path = m->path;
    if (nodes[top].summary && takes_all(m, state, &summaries[nodes[top].summary])) {
        accept_range(m, nodes[top + 1].first, nodes[end].first);
        return;
    }
    path[nodes[top].depth] = state;
    for (uint32_t n = top + 1; n < end;) {
        const trie_node *node = &nodes[n];
        match_count_steps(m, 1);
        uint32_t next = match_step(m, path[node->depth - 1], byte_class[node->byte]);
        if (!match_ok(m)) return;
        if (next == DEAD) {
            n = node->end;
            continue;
        }
        if (node->end == n + 1) { /* a leaf */
            accept_range(m, node->first, nodes[n + 1].first);
            n++;
            continue;
        }
        if (node->summary && takes_all(m, next, &summaries[node->summary])) {
            accept_range(m, node->first, nodes[node->end].first);
            n = node->end;
            continue;
        }
        const match_state *s = &m->states[next];
        accept_range(m, node->first, nodes[n + 1].first);
        for (uint64_t pops = s->pops; pops; pops &= pops - 1)
            MATCH_PUSH(m, exits, (pair){ (uint32_t)__builtin_ctzll(pops), n });
        if (s->count == 0) {
            n = node->end;
            continue;
        }
        path[node->depth] = next;
        n++;
    }
}

static uint64_t hash_of_nodes(const uint32_t *nodes, size_t count) {
    uint64_t h = count;
    for (size_t i = 0; i < count; i++) h = match_hash(&(pair){ nodes[i], 0 }, 1, h);
    return h;
}

static uint64_t hash_of_list(grammar_matcher *m, uint32_t l) {
    return hash_of_nodes(m->exit_nodes + m->exit_lists[l].first, m->exit_lists[l].count);
}

/* The number of the list that m->exit_nodes ends with, from `first` on. */
static uint32_t intern_list(grammar_matcher *m, size_t first) {
    hash_index *x = &m->list_index;
    if (!match_ok(m) || !match_index_grow(m, x, hash_of_list)) return 0;
    size_t count = m->exit_nodes_count - first;
    size_t at = hash_of_nodes(m->exit_nodes + first, count) & (x->count - 1);
    for (; x->buckets[at]; at = (at + 1) & (x->count - 1)) {
        const exit_list *l = &m->exit_lists[x->buckets[at] - 1];
        if (l->count != count) continue;
        if (count && memcmp(m->exit_nodes + l->first, m->exit_nodes + first, count * sizeof *m->exit_nodes) != 0)
            continue;
        m->exit_nodes_count = first;
        return x->buckets[at] - 1;
    }
    uint32_t number = (uint32_t)m->exit_lists_count;
    MATCH_PUSH(m, exit_lists, (exit_list){ (uint32_t)first, (uint32_t)count });
    if (!match_ok(m)) return 0;
    x->buckets[at] = number + 1;
    x->used++;
    return number;
}

static int compare_exits(const void *x, const void *y) {
    const pair *a = x, *b = y;
    if (a->node != b->node) return a->node < b->node ? -1 : 1;
    return a->frame < b->frame ? -1 : a->frame > b->frame;
}

/* The exits of a walk as lists, one for each label; returns where their numbers are in `exit_refs`. */
static uint32_t store_exits(grammar_matcher *m, uint32_t labels) {
    uint32_t refs = (uint32_t)m->exit_refs_count;
    size_t i = 0;
    if (m->exits_count) qsort(m->exits, m->exits_count, sizeof *m->exits, compare_exits);
    for (uint32_t l = 0; l < labels; l++) {
        size_t first = m->exit_nodes_count;
        for (; i < m->exits_count && m->exits[i].node == l; i++)
            if (m->exit_nodes_count == first || m->exit_nodes[m->exit_nodes_count - 1] != m->exits[i].frame)
                MATCH_PUSH(m, exit_nodes, m->exits[i].frame);
        uint32_t list = intern_list(m, first);
        MATCH_PUSH(m, exit_refs, list);
    }
    return refs;
}

/* ---- local states ---- */

/* Puts labels in the place of frames, in the order in which they occur. */
static void find_local(grammar_matcher *m, uint32_t state) {
    const match_state s = m->states[state];
    size_t labels = m->label_frames_count;
    m->items_count = 0;
    for (uint32_t i = 0; i < s.count && match_ok(m); i++) {
        pair p = m->pairs[s.first + i];
        if (p.frame != FRAME_ROOT) {
            size_t l = labels;
            while (l < m->label_frames_count && m->label_frames[l] != p.frame) l++;
            if (l == m->label_frames_count) MATCH_PUSH(m, label_frames, p.frame);
            p.frame = (uint32_t)(l - labels) + 1;
        }
        if (m->label_frames_count - labels > MAX_LABELS) { /* no labels: the state stands for itself */
            m->label_frames_count = labels;
            m->states[state].local = state;
            m->states[state].label_count = 0;
            return;
        }
        MATCH_PUSH(m, items, p);
    }
    if (!match_ok(m)) return;
    uint32_t local = match_intern(m, m->items, m->items_count, s.accept, 0);
    m->states[state].local = local;
    m->states[state].labels = (uint32_t)labels;
    m->states[state].label_count = (uint32_t)(m->label_frames_count - labels);
}

static void set_range(uint32_t *bits, const uint32_t *ids, uint32_t first, uint32_t end, bool value) {
    for (uint32_t i = first; i < end; i++) {
        uint32_t bit = 1u << (ids[i] % 32);
        if (value) bits[ids[i] / 32] |= bit;
        else bits[ids[i] / 32] &= ~bit;
    }
}

/* The mask of a local state: what a walk from the root of the trie accepts. */
static uint32_t find_mask(grammar_matcher *m, uint32_t local, uint32_t labels) {
    if (m->states[local].mask != NONE || !match_ok(m)) return m->states[local].mask;
    const grammar_vocabulary *v = m->v;
    m->ranges_count = m->exits_count = 0;
    if (match_has_room(m)) walk(m, 0, local);
    uint32_t *bits = match_ok(m) ? mem_calloc(v->word_count, sizeof *bits) : NULL;
    if (match_ok(m) && !bits) match_fail_memory(m);
    match_mask mask = { bits, match_ok(m) ? store_exits(m, labels) : 0 };
    uint32_t number = (uint32_t)m->masks_count;
    if (match_ok(m)) MATCH_PUSH(m, masks, mask);
    if (!match_ok(m)) {
        mem_free(bits);
        return NONE;
    }
    uint64_t accepted = 0;
    for (size_t i = 0; i < m->ranges_count; i++) accepted += m->ranges[i].frame - m->ranges[i].node;
    if (accepted * 2 > v->sorted_count) { /* all but the gaps */
        memcpy(bits, v->text_mask, v->word_count * sizeof *bits);
        uint32_t at = 0;
        for (size_t i = 0; i < m->ranges_count; i++) {
            set_range(bits, v->sorted, at, m->ranges[i].node, false);
            at = m->ranges[i].frame;
        }
        set_range(bits, v->sorted, at, v->sorted_count, false);
    } else {
        for (size_t i = 0; i < m->ranges_count; i++)
            set_range(bits, v->sorted, m->ranges[i].node, m->ranges[i].frame, true);
    }
    m->states[local].mask = number;
    return number;
}

/* ---- what continues behind a frame ---- */

static uint64_t hash_of_key(uint32_t list, uint32_t local) { return match_hash(&(pair){ list, local }, 1, 2); }

static uint64_t hash_of_continuation(grammar_matcher *m, uint32_t i) {
    return hash_of_key(m->continuations[i].list, m->continuations[i].local);
}

static uint32_t find_continuation(grammar_matcher *m, uint32_t list, uint32_t local, uint32_t labels) {
    hash_index *x = &m->continuation_index;
    if (!match_has_room(m) || !match_index_grow(m, x, hash_of_continuation)) return NONE;
    size_t at = hash_of_key(list, local) & (x->count - 1);
    for (; x->buckets[at]; at = (at + 1) & (x->count - 1)) {
        const continuation *c = &m->continuations[x->buckets[at] - 1];
        if (c->list == list && c->local == local) return x->buckets[at] - 1;
    }
    m->ranges_count = m->exits_count = 0;
    for (uint32_t i = 0; i < m->exit_lists[list].count && match_ok(m); i++)
        walk(m, m->exit_nodes[m->exit_lists[list].first + i], local);
    continuation c = { list, local, (uint32_t)m->continued_count, 0, 0 };
    for (size_t i = 0; i < m->ranges_count && match_ok(m); i++)
        for (uint32_t t = m->ranges[i].node; t < m->ranges[i].frame; t++) MATCH_PUSH(m, continued, m->v->sorted[t]);
    c.count = (uint32_t)(m->continued_count - c.first);
    match_count_steps(m, c.count + m->exits_count);
    if (match_ok(m)) c.exits = store_exits(m, labels);
    uint32_t number = (uint32_t)m->continuations_count;
    if (match_ok(m)) MATCH_PUSH(m, continuations, c);
    if (!match_ok(m)) return NONE;
    x->buckets[at] = number + 1;
    x->used++;
    return number;
}

/* ---- masks ---- */

static void push_exits(grammar_matcher *m, uint32_t state, uint32_t refs) {
    for (uint32_t l = 0; l < m->states[state].label_count; l++) {
        uint32_t list = m->exit_refs[refs + l];
        if (m->exit_lists[list].count)
            match_set_add(m, &m->todo, (pair){ list, m->label_frames[m->states[state].labels + l] });
    }
}

static void add_named_tokens(grammar_matcher *m, uint32_t state, uint32_t *mask) {
    const grammar *g = m->g;
    const grammar_vocabulary *v = m->v;
    for (uint32_t i = 0; i < m->states[state].count; i++) {
        const grammar_node *n = &g->nodes[m->pairs[m->states[state].first + i].node];
        if (n->kind != NODE_TOKEN) continue;
        uint32_t id = m->token_ids[n->first], bit = 1u << (id % 32);
        if (!g->tokens[n->first].negated) {
            mask[id / 32] |= bit;
            continue;
        }
        bool had = mask[id / 32] & bit;
        for (uint32_t w = 0; w < v->word_count; w++) mask[w] = UINT32_MAX;
        if (v->count % 32) mask[v->word_count - 1] = (1u << (v->count % 32)) - 1;
        if (!had) mask[id / 32] &= ~bit;
    }
}

void match_mask_of(grammar_matcher *m, uint32_t state, uint32_t *mask) {
    const grammar_vocabulary *v = m->v;
    if (m->states[state].local == NONE) find_local(m, state);
    if (!match_ok(m)) return;
    uint32_t first = find_mask(m, m->states[state].local, m->states[state].label_count);
    if (!match_ok(m)) return;
    memcpy(mask, m->masks[first].bits, v->word_count * sizeof *mask);
    match_set_clear(&m->todo);
    push_exits(m, state, m->masks[first].exits);
    for (size_t done = 0; done < m->todo.count && match_ok(m); done++) {
        pair next = m->todo.items[done];
        uint32_t behind = match_resume(m, next.frame);
        if (done > MAX_WAYS * 4 && match_ok(m))
            m->status = err_set(&m->error, TOLA_E_LIMIT, TOLA_NO_OFFSET, "grammar: too ambiguous for a mask");
        if (match_ok(m) && m->states[behind].local == NONE) find_local(m, behind);
        if (!match_ok(m)) return;
        uint32_t c = find_continuation(m, next.node, m->states[behind].local, m->states[behind].label_count);
        if (!match_ok(m)) return;
        const continuation *found = &m->continuations[c];
        match_count_steps(m, found->count);
        for (uint32_t i = 0; i < found->count; i++) {
            uint32_t id = m->continued[found->first + i];
            mask[id / 32] |= 1u << (id % 32);
        }
        push_exits(m, behind, found->exits);
    }
    add_named_tokens(m, state, mask);
    for (uint32_t w = 0; w < v->word_count; w++)
        mask[w] = m->states[state].accept ? mask[w] | v->end_mask[w] : mask[w] & ~v->end_mask[w];
}
