/* Unigram language model (Kudo 2018, arXiv 1804.10959): the segmentation with the largest sum of scores, found from
 * left to right. Between equal sums the one found first stays, as in Hugging Face's tokenizers and SentencePiece's
 * "optimized" encoder. A character that no piece covers costs the lowest score less 10. */
#include "base/utf8.h"
#include "text/model.h"

#include <math.h>
#include <string.h>

void unigram_scratch_free(unigram_scratch *s) {
    mem_free(s->nodes);
    mem_free(s->ends.ids);
    *s = (unigram_scratch){ 0 };
}

static void reach(const tk_model *m, struct unigram_node *node, double score, size_t begin, uint32_t id) {
    if (m->narrow) score = (double)(float)score;
    if (node->reached && score <= node->score) return;
    *node = (struct unigram_node){ score, (uint32_t)begin, id, true };
}

/* ---- the pieces as a trie: (node, byte) -> node, in a hash table ---- */

struct tk_prefix {
    uint64_t key; /* parent << 8 | byte, plus 1; 0 = free */
    uint32_t node, id;
};

static size_t prefix_slot(const tk_model *m, uint32_t parent, uint8_t byte) {
    uint64_t key = ((uint64_t)parent << 8 | byte) + 1, x = key * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(x ^ x >> 32) & m->prefix_mask;
    while (m->prefixes[i].key && m->prefixes[i].key != key) i = (i + 1) & m->prefix_mask;
    return i;
}

tola_status unigram_prepare(tola_tokenizer *t, tola_error *err) {
    tk_model *m = &t->model;
    size_t bytes = 0, cap = 16;
    for (size_t i = 0; i <= t->model_table.mask; i++) bytes += t->model_table.slots[i].length;
    while (cap < bytes * 2) cap *= 2;
    m->prefixes = arena_alloc_array(&t->arena, cap, sizeof *m->prefixes);
    if (!m->prefixes) return err_nomem(err, "reading the vocabulary");
    memset(m->prefixes, 0, cap * sizeof *m->prefixes);
    m->prefix_mask = cap - 1;
    uint32_t nodes = 1; /* 0 is the root */
    for (size_t i = 0; i <= t->model_table.mask; i++) {
        const struct token_slot *piece = &t->model_table.slots[i];
        struct tk_prefix *at = NULL;
        for (uint32_t k = 0, node = 0; k < piece->length; k++, node = at->node) {
            uint8_t byte = (uint8_t)piece->text[k];
            at = &m->prefixes[prefix_slot(m, node, byte)];
            if (!at->key) *at = (struct tk_prefix){ ((uint64_t)node << 8 | byte) + 1, nodes++, TOLA_NO_TOKEN };
        }
        if (at) at->id = piece->id;
    }
    return TOLA_OK;
}

/* Pieces that begin at `at`; where the longest ends. */
static size_t extend(const tk_model *m, struct unigram_node *nodes, const char *word, size_t length, size_t at) {
    size_t one = utf8_bytes(word[at]);
    bool single = false;
    double base = nodes[at].score;
    uint32_t node = 0;
    size_t reached = at;
    for (size_t end = at; end < length;) {
        const struct tk_prefix *p = &m->prefixes[prefix_slot(m, node, (uint8_t)word[end])];
        if (!p->key) break;
        node = p->node;
        end++;
        if (p->id == TOLA_NO_TOKEN) continue;
        single = single || end == at + one;
        reach(m, &nodes[end], base + m->scores[p->id], at, p->id);
        reached = end;
    }
    if (!single) reach(m, &nodes[at + one], base + m->unk_score, at, m->unk);
    return !single && at + one > reached ? at + one : reached;
}

/* SentencePiece keeps sums as f32 and starts them again from 0 when they pass 100000, which moves ties. */
static void start_again(struct unigram_node *nodes, size_t at, size_t furthest) {
    double offset = nodes[at].score;
    for (size_t i = at; i <= furthest; i++)
        if (i == at || nodes[i].reached) nodes[i].score = (double)(float)(nodes[i].score - offset);
}

/* An unknown stretch, in bytes where there are tokens for them. */
static bool put_unknown(const tola_tokenizer *t, const char *text, size_t length, tk_ids *out) {
    const tk_model *m = &t->model;
    bool bytes = m->byte_fallback;
    for (size_t i = 0; i < length && bytes; i++) bytes = m->byte_ids[(uint8_t)text[i]] != TOLA_NO_TOKEN;
    if (!bytes) return m->unk == TOLA_NO_TOKEN || tk_put(out, m->unk);
    for (size_t i = 0; i < length; i++)
        if (!tk_put(out, m->byte_ids[(uint8_t)text[i]])) return false;
    return true;
}

/* The pieces that end at ends[count - 1], ..., ends[0]. */
static bool put_path(const tola_tokenizer *t, const unigram_scratch *s, const char *word, tk_ids *out) {
    const tk_model *m = &t->model;
    for (size_t i = s->ends.count; i-- > 0;) {
        const struct unigram_node *n = &s->nodes[s->ends.ids[i]];
        if (n->id != m->unk) {
            if (!tk_put(out, n->id)) return false;
            continue;
        }
        size_t begin = n->begin;
        while (m->fuse_unk && i > 0 && s->nodes[s->ends.ids[i - 1]].id == m->unk) i--;
        if (!put_unknown(t, word + begin, s->ends.ids[i] - begin, out)) return false;
    }
    return true;
}

tola_status unigram_word(const tola_tokenizer *t, unigram_scratch *s, const char *word, size_t length, tk_ids *out,
                         tola_error *err) {
    if (!mem_grow(&s->nodes, &s->cap, length + 1, sizeof *s->nodes)) return err_nomem(err, "tokenizing");
    memset(s->nodes, 0, (length + 1) * sizeof *s->nodes);
    size_t furthest = 0;
    for (size_t at = 0; at < length; at += utf8_bytes(word[at])) {
        if (at && !s->nodes[at].reached) continue;
        if (t->model.narrow && fabs(s->nodes[at].score) > 100000) start_again(s->nodes, at, furthest);
        size_t reached = extend(&t->model, s->nodes, word, length, at);
        if (reached > furthest) furthest = reached;
    }
    s->ends.count = 0;
    for (size_t at = length; at > 0; at = s->nodes[at].begin)
        if (!tk_put(&s->ends, (uint32_t)at)) return err_nomem(err, "tokenizing");
    return put_path(t, s, word, out) ? TOLA_OK : err_nomem(err, "tokenizing");
}
