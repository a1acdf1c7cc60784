/* Finding added tokens in a text: a trie of bytes, leftmost match, the longest where several begin there. */
#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#include <string.h>

typedef struct node {
    uint32_t child, sibling; /* 0: none; node 0 is the root */
    uint32_t added;          /* number of the added token + 1; 0: none ends here */
    uint8_t byte;
} node;

struct tk_trie {
    node *nodes;
    size_t count, cap;
    bool starts[256];
};

static uint32_t step(const tk_trie *t, uint32_t at, uint8_t byte) {
    uint32_t n = t->nodes[at].child;
    while (n && t->nodes[n].byte != byte) n = t->nodes[n].sibling;
    return n;
}

static bool insert(tk_trie *t, const tk_added *a, uint32_t number) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < a->length; i++) {
        uint8_t byte = (uint8_t)a->text[i];
        uint32_t next = step(t, at, byte);
        if (!next) {
            if (!mem_grow(&t->nodes, &t->cap, t->count + 1, sizeof *t->nodes)) return false;
            next = (uint32_t)t->count++;
            t->nodes[next] = (node){ .sibling = t->nodes[at].child, .byte = byte };
            t->nodes[at].child = next;
        }
        at = next;
    }
    if (!t->nodes[at].added) t->nodes[at].added = number + 1;
    t->starts[(uint8_t)a->text[0]] = true;
    return true;
}

tk_trie *tk_trie_new(const tola_tokenizer *t, bool normalized) {
    tk_trie *trie = mem_calloc(1, sizeof *trie);
    if (!trie || !mem_grow(&trie->nodes, &trie->cap, 1, sizeof *trie->nodes)) {
        tk_trie_free(trie);
        return NULL;
    }
    trie->nodes[trie->count++] = (node){ 0 };
    for (size_t i = 0; i < t->added_count; i++) {
        const tk_added *a = &t->added[i];
        if (a->normalized != normalized || a->length == 0) continue;
        if (insert(trie, a, (uint32_t)i)) continue;
        tk_trie_free(trie);
        return NULL;
    }
    return trie;
}

void tk_trie_free(tk_trie *trie) {
    if (!trie) return;
    mem_free(trie->nodes);
    mem_free(trie);
}

/* ---- what a match may stand beside ---- */

static uint32_t char_before(const char *text, size_t at, size_t *begin) {
    uint32_t c;
    size_t i = at - 1;
    while (i > 0 && ((uint8_t)text[i] & 0xc0) == 0x80) i--;
    utf8_next(text + i, &c);
    *begin = i;
    return c;
}

static bool stands_alone(const char *text, size_t length, size_t begin, size_t end) {
    uint32_t c;
    size_t ignored;
    if (begin > 0 && unicode_is_word(char_before(text, begin, &ignored))) return false;
    if (end < length) {
        utf8_next(text + end, &c);
        if (unicode_is_word(c)) return false;
    }
    return true;
}

static size_t strip_left(const char *text, size_t taken, size_t begin) {
    size_t before;
    if (begin < taken) return taken;
    while (begin > taken && unicode_is_space(char_before(text, begin, &before))) begin = before;
    return begin;
}

static size_t strip_right(const char *text, size_t length, size_t end) {
    uint32_t c;
    while (end < length) {
        unsigned n = utf8_next(text + end, &c);
        if (!unicode_is_space(c)) break;
        end += n;
    }
    return end;
}

bool tk_runs_touch(const tk_runs *r, size_t begin, size_t end) {
    size_t low = 0, high = r->count; /* the first run that ends behind `begin` */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->runs[middle].offset + r->runs[middle].length > begin)
            high = middle;
        else
            low = middle + 1;
    }
    return low < r->count && r->runs[low].offset < end;
}

/* The longest token that starts at `at`; NULL where there is none. */
static const tk_added *match_at(const tk_trie *trie, const tola_tokenizer *t, const char *text, size_t length,
                                size_t at, const tk_runs *plain) {
    const tk_added *best = NULL;
    uint32_t n = 0;
    for (size_t i = at; i < length && (n = step(trie, n, (uint8_t)text[i])) != 0; i++) {
        if (!trie->nodes[n].added) continue;
        const tk_added *a = &t->added[trie->nodes[n].added - 1];
        if (!a->special || !tk_runs_touch(plain, at, i + 1)) best = a;
    }
    return best;
}

bool tk_trie_find(const tk_trie *trie, const tola_tokenizer *t, const char *text, size_t length, size_t taken,
                  size_t *from, const tk_runs *plain, size_t *begin, size_t *end, const tk_added **token) {
    if (trie->count <= 1) return false;
    for (size_t at = *from; at < length; at++) {
        if (!trie->starts[(uint8_t)text[at]]) continue;
        const tk_added *a = match_at(trie, t, text, length, at, plain);
        if (!a) continue;
        if (a->single_word && !stands_alone(text, length, at, at + a->length)) {
            at += a->length - 1;
            continue;
        }
        *begin = a->left_strip ? strip_left(text, taken, at) : at;
        *from = at + a->length;
        *end = a->right_strip ? strip_right(text, length, *from) : *from;
        if (*begin >= *end) { /* all of it was taken by the one before */
            at = *from - 1;
            continue;
        }
        *token = a;
        return true;
    }
    return false;
}
