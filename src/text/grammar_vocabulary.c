/* Building the trie of a vocabulary, and summaries that let a walk take a whole branch at once. */
#include "text/grammar_vocabulary.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SUMMARY_FROM 6 /* nodes below: smaller branches are walked sooner than judged */

static void set_bit(uint32_t *mask, uint32_t id) { mask[id / 32] |= 1u << (id % 32); }

/* ---- sorting ---- */

typedef struct entry {
    const uint8_t *bytes;
    uint32_t length, id;
} entry;

static int compare_entries(const void *x, const void *y) {
    const entry *a = x, *b = y;
    int c = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
    if (c) return c;
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

static uint32_t shared_prefix(const entry *a, const entry *b) {
    uint32_t n = a->length < b->length ? a->length : b->length, i = 0;
    while (i < n && a->bytes[i] == b->bytes[i]) i++;
    return i;
}

/* ---- nodes ---- */

static tola_status make_nodes(grammar_vocabulary *v, const entry *e, uint32_t count, tola_error *err) {
    uint64_t total = 1;
    for (uint32_t i = 0; i < count; i++) total += e[i].length - (i ? shared_prefix(&e[i - 1], &e[i]) : 0);
    if (total >= UINT32_MAX) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a vocabulary of too many bytes");
    uint32_t *open = mem_calloc((size_t)v->longest + 1, sizeof *open); /* nodes of the current path */
    v->nodes = mem_calloc(total + 1, sizeof *v->nodes);
    v->sorted = mem_calloc(count, sizeof *v->sorted);
    if (!open || !v->nodes || !v->sorted) {
        mem_free(open);
        return err_nomem(err, "a vocabulary");
    }
    uint32_t n = 1, depth = 0;
    for (uint32_t i = 0; i < count; i++) {
        v->sorted[i] = e[i].id;
        uint32_t same = i ? shared_prefix(&e[i - 1], &e[i]) : 0;
        for (; depth > same; depth--) v->nodes[open[depth]].end = n;
        for (; depth < e[i].length; n++) {
            open[++depth] = n;
            v->nodes[n] = (trie_node){ 0, i, 0, (uint16_t)depth, e[i].bytes[depth - 1] };
        }
    }
    for (; depth > 0; depth--) v->nodes[open[depth]].end = n;
    v->nodes[0].end = n;
    v->nodes[n].first = count;
    v->node_count = n;
    v->sorted_count = count;
    mem_free(open);
    return TOLA_OK;
}

/* ---- summaries ---- */

/* UTF-8 byte by byte: what may follow. */
enum { AT_BOUNDARY, NEED_1, NEED_2, NEED_3, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4, INVALID };

static uint8_t utf8_step(uint8_t state, uint8_t b) {
    switch (state) {
    case AT_BOUNDARY:
        if (b < 0x80) return AT_BOUNDARY;
        if (b < 0xc2 || b > 0xf4) return INVALID;
        if (b < 0xe0) return NEED_1;
        if (b < 0xf0) return b == 0xe0 ? AFTER_E0 : b == 0xed ? AFTER_ED : NEED_2;
        return b == 0xf0 ? AFTER_F0 : b == 0xf4 ? AFTER_F4 : NEED_3;
    case NEED_1: return (b & 0xc0) == 0x80 ? AT_BOUNDARY : INVALID;
    case NEED_2: return (b & 0xc0) == 0x80 ? NEED_1 : INVALID;
    case NEED_3: return (b & 0xc0) == 0x80 ? NEED_2 : INVALID;
    case AFTER_E0: return b >= 0xa0 && b <= 0xbf ? NEED_1 : INVALID;
    case AFTER_ED: return b >= 0x80 && b <= 0x9f ? NEED_1 : INVALID;
    case AFTER_F0: return b >= 0x90 && b <= 0xbf ? NEED_2 : INVALID;
    case AFTER_F4: return b >= 0x80 && b <= 0x8f ? NEED_2 : INVALID;
    default: return INVALID;
    }
}

/* Of one node while summaries are made: how the path to it decodes, and what lies below. */
typedef struct below {
    trie_summary s;      /* longest: counted from the beginning of the path */
    uint16_t points;     /* code points on the path */
    uint8_t utf8;
    bool broken;
    uint32_t parent;
} below;

static tola_status make_summaries(grammar_vocabulary *v, tola_error *err) {
    below *all = mem_calloc(v->node_count, sizeof *all);
    uint32_t *open = mem_calloc((size_t)v->longest + 1, sizeof *open), count = 1;
    if (all && open) {
        for (uint32_t n = 1; n < v->node_count; n++) {
            const trie_node *node = &v->nodes[n];
            open[node->depth] = n;
            below *b = &all[n], *up = &all[open[node->depth - 1]];
            b->parent = open[node->depth - 1];
            b->utf8 = utf8_step(up->utf8, node->byte);
            b->points = (uint16_t)(up->points + (up->utf8 == AT_BOUNDARY));
            b->broken = b->utf8 == INVALID;
            count += node->end - n > SUMMARY_FROM;
        }
        v->summaries = mem_calloc(count, sizeof *v->summaries);
    }
    if (!v->summaries) {
        mem_free(all);
        mem_free(open);
        return err_nomem(err, "a vocabulary");
    }
    v->summary_count = 1;
    for (uint32_t n = v->node_count - 1; n > 0; n--) { /* children lie behind their parents */
        trie_node *node = &v->nodes[n];
        below *b = &all[n], *up = &all[b->parent];
        if (b->points > b->s.longest) b->s.longest = b->points;
        if (node->end - n > SUMMARY_FROM && b->utf8 == AT_BOUNDARY && !b->broken) {
            trie_summary s = b->s;
            s.longest = (uint16_t)(s.longest - b->points);
            node->summary = v->summary_count;
            v->summaries[v->summary_count++] = s;
        }
        if (node->byte < 0x80) b->s.ascii[node->byte / 64] |= (uint64_t)1 << (node->byte % 64);
        else b->s.multibyte = true;
        up->s.ascii[0] |= b->s.ascii[0];
        up->s.ascii[1] |= b->s.ascii[1];
        up->s.multibyte |= b->s.multibyte;
        up->broken |= b->broken;
        if (b->s.longest > up->s.longest) up->s.longest = b->s.longest;
    }
    mem_free(all);
    mem_free(open);
    return TOLA_OK;
}

/* ---- the whole ---- */

static tola_status copy_bytes(grammar_vocabulary *v, const grammar_token *tokens, tola_error *err) {
    uint64_t total = 0;
    v->start = mem_calloc((size_t)v->count + 1, sizeof *v->start);
    if (!v->start) return err_nomem(err, "a vocabulary");
    for (uint32_t i = 0; i < v->count; i++) {
        v->start[i] = total;
        total += tokens[i].length;
    }
    v->start[v->count] = total;
    v->bytes = mem_alloc(total);
    if (!v->bytes) return err_nomem(err, "a vocabulary");
    for (uint32_t i = 0; i < v->count; i++)
        if (tokens[i].length) memcpy(v->bytes + v->start[i], tokens[i].bytes, tokens[i].length);
    return TOLA_OK;
}

static tola_status fill(grammar_vocabulary *v, const grammar_token *tokens, const uint32_t *end_ids, size_t end_count,
                        tola_error *err) {
    v->end_mask = mem_calloc(v->word_count, sizeof *v->end_mask);
    v->text_mask = mem_calloc(v->word_count, sizeof *v->text_mask);
    entry *e = mem_calloc(v->count, sizeof *e);
    if (!v->end_mask || !v->text_mask || !e) {
        mem_free(e);
        return err_nomem(err, "a vocabulary");
    }
    for (size_t i = 0; i < end_count; i++) {
        if (end_ids[i] >= v->count) {
            mem_free(e);
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "end token %u; the vocabulary has %u", end_ids[i],
                           v->count);
        }
        set_bit(v->end_mask, end_ids[i]);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        bool end = v->end_mask[i / 32] >> (i % 32) & 1;
        if (end || tokens[i].special || tokens[i].length == 0 || tokens[i].length > GRAMMAR_MAX_TOKEN) continue;
        set_bit(v->text_mask, i);
        e[n++] = (entry){ tokens[i].bytes, tokens[i].length, i };
        if (tokens[i].length > v->longest) v->longest = tokens[i].length;
    }
    qsort(e, n, sizeof *e, compare_entries);
    tola_status status = make_nodes(v, e, n, err);
    mem_free(e);
    TRY(status);
    TRY(make_summaries(v, err));
    return copy_bytes(v, tokens, err);
}

tola_status grammar_vocabulary_create(const grammar_token *tokens, uint32_t count, const uint32_t *end_ids,
                                      size_t end_count, grammar_vocabulary **out, tola_error *err) {
    grammar_vocabulary *v = mem_calloc(1, sizeof *v);
    if (!v) return err_nomem(err, "a vocabulary");
    v->count = count;
    v->word_count = count / 32 + (count % 32 != 0);
    tola_status status = fill(v, tokens, end_ids, end_count, err);
    if (status != TOLA_OK) {
        grammar_vocabulary_free(v);
        return status;
    }
    *out = v;
    return TOLA_OK;
}

void grammar_vocabulary_free(grammar_vocabulary *v) {
    if (!v) return;
    mem_free(v->nodes);
    mem_free(v->sorted);
    mem_free(v->summaries);
    mem_free(v->end_mask);
    mem_free(v->text_mask);
    mem_free(v->bytes);
    mem_free(v->start);
    mem_free(v);
}
