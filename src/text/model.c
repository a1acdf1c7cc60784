/* Words to ids: byte-pair encoding, by ranks of merges or by scores of pieces, WordPiece, whole words; and the memory
 * of words seen. Unigram is in unigram.c. */
#include "text/model.h"
#include "base/hash.h"
#include "text/utf8.h"

#include <string.h>

/* ---- lists of ids ---- */

bool tk_put(tk_ids *out, uint32_t id) {
    if (!mem_grow(&out->ids, &out->cap, out->count + 1, sizeof *out->ids)) return false;
    out->ids[out->count++] = id;
    return true;
}

static tola_status put(tk_ids *out, uint32_t id, tola_error *err) {
    return tk_put(out, id) ? TOLA_OK : err_nomem(err, "tokenizing");
}

/* ---- words seen ---- */

#define WORDS_MOST 65536 /* then all are forgotten */
#define WORD_LONGEST 64  /* bytes of a word worth remembering */
#define WORD_SLOTS (2 * WORDS_MOST)

struct tk_words {
    struct {
        uint64_t hash;
        uint32_t text, ids; /* places in the lists below */
        uint8_t length, count;
    } slots[WORD_SLOTS];
    size_t count;
    buf text;
    tk_ids ids;
};

static void forget(struct tk_words *w) {
    memset(w->slots, 0, sizeof w->slots);
    w->count = 0;
    w->text.length = 0;
    w->ids.count = 0;
}

static size_t word_slot(const struct tk_words *w, uint64_t hash, const char *word, size_t length) {
    size_t i = (size_t)hash & (WORD_SLOTS - 1);
    for (; w->slots[i].hash; i = (i + 1) & (WORD_SLOTS - 1))
        if (w->slots[i].hash == hash && w->slots[i].length == length &&
            memcmp(w->text.data + w->slots[i].text, word, length) == 0)
            break;
    return i;
}

static void remember(struct tk_words *w, size_t slot, uint64_t hash, const char *word, size_t length,
                     const uint32_t *ids, size_t count) {
    size_t text = w->text.length, first = w->ids.count;
    buf_append(&w->text, word, length);
    bool kept = !w->text.failed;
    for (size_t i = 0; i < count && kept; i++) kept = tk_put(&w->ids, ids[i]);
    if (!kept) {
        buf_free(&w->text); /* out of memory: do without */
        buf_init(&w->text, 0);
        forget(w);
        return;
    }
    w->slots[slot].hash = hash;
    w->slots[slot].text = (uint32_t)text;
    w->slots[slot].ids = (uint32_t)first;
    w->slots[slot].length = (uint8_t)length;
    w->slots[slot].count = (uint8_t)count;
    w->count++;
}

/* ---- byte-pair encoding ---- */

typedef struct symbol {
    uint32_t id; /* TOLA_NO_TOKEN: not in the vocabulary (by scores) */
    uint32_t begin, length;
    int32_t before, after; /* -1: none */
} symbol;

/* A pair that may be joined: at `left`, whose neighbour was `right` bytes longer when it was found. */
typedef struct pair {
    double score;  /* of pieces; larger first */
    uint32_t rank; /* of merges; smaller first */
    int32_t left;
    uint32_t length; /* of both, in bytes: tells pairs that are no longer there */
    uint32_t id;
} pair;

struct tk_symbols {
    symbol *symbols;
    pair *heap;
    size_t count, cap, heap_count, heap_cap;
    unigram_scratch unigram;
};

static uint64_t mix(uint64_t x) {
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

tola_status tk_merges_init(tola_tokenizer *t, size_t count, tola_error *err) {
    size_t cap = 16;
    while (cap < count * 2) cap *= 2;
    t->model.merges = arena_alloc_array(&t->arena, cap, sizeof *t->model.merges);
    if (!t->model.merges) return err_nomem(err, "reading merges");
    memset(t->model.merges, 0, cap * sizeof *t->model.merges);
    t->model.merge_mask = cap - 1;
    return TOLA_OK;
}

static size_t merge_slot(const tk_model *m, uint64_t key) {
    size_t i = (size_t)mix(key) & m->merge_mask;
    while (m->merges[i].pair && m->merges[i].pair != key) i = (i + 1) & m->merge_mask;
    return i;
}

void tk_merges_add(tola_tokenizer *t, uint32_t left, uint32_t right, uint32_t rank, uint32_t id) {
    uint64_t key = ((uint64_t)left << 32 | right) + 1;
    tk_merge *slot = &t->model.merges[merge_slot(&t->model, key)];
    if (!slot->pair) *slot = (tk_merge){ key, rank, id };
}

static bool better(const pair *a, const pair *b) {
    if (a->score != b->score) return a->score > b->score;
    if (a->rank != b->rank) return a->rank < b->rank;
    return a->left < b->left;
}

static bool heap_push(struct tk_symbols *s, pair p) {
    if (!mem_grow(&s->heap, &s->heap_cap, s->heap_count + 1, sizeof *s->heap)) return false;
    size_t i = s->heap_count++;
    for (size_t up; i && better(&p, &s->heap[up = (i - 1) / 2]); i = up) s->heap[i] = s->heap[up];
    s->heap[i] = p;
    return true;
}

static pair heap_pop(struct tk_symbols *s) {
    pair top = s->heap[0], last = s->heap[--s->heap_count];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < s->heap_count; i = down) {
        if (down + 1 < s->heap_count && better(&s->heap[down + 1], &s->heap[down])) down++;
        if (!better(&s->heap[down], &last)) break;
        s->heap[i] = s->heap[down];
    }
    s->heap[i] = last;
    return top;
}

/* Can symbol `left` be joined with the one behind it? */
static bool find_pair(const tola_tokenizer *t, const struct tk_symbols *s, const char *word, int32_t left, pair *out) {
    const tk_model *m = &t->model;
    const symbol *a = &s->symbols[left];
    if (a->after < 0) return false;
    const symbol *b = &s->symbols[a->after];
    *out = (pair){ .left = left, .length = a->length + b->length };
    if (m->kind == TK_BPE_SCORES) {
        if (out->length > m->longest) return false;
        out->id = token_table_find(&t->model_table, word + a->begin, out->length);
        if (out->id == TOLA_NO_TOKEN) return false;
        out->score = m->scores[out->id];
        return true;
    }
    if (a->id == TOLA_NO_TOKEN || b->id == TOLA_NO_TOKEN) return false;
    const tk_merge *merge = &m->merges[merge_slot(m, ((uint64_t)a->id << 32 | b->id) + 1)];
    if (!merge->pair) return false;
    out->rank = merge->rank;
    out->id = merge->id;
    return true;
}

static tola_status join_pairs(const tola_tokenizer *t, struct tk_symbols *s, const char *word, tola_error *err) {
    pair p;
    s->heap_count = 0;
    for (size_t i = 0; i + 1 < s->count; i++)
        if (find_pair(t, s, word, (int32_t)i, &p) && !heap_push(s, p)) return err_nomem(err, "tokenizing");
    while (s->heap_count) {
        p = heap_pop(s);
        symbol *a = &s->symbols[p.left];
        if (a->length == 0 || a->after < 0) continue;
        symbol *b = &s->symbols[a->after];
        pair now;
        if (a->length + b->length != p.length || !find_pair(t, s, word, p.left, &now) || now.id != p.id) continue;
        a->id = p.id;
        a->length += b->length;
        b->length = 0;
        a->after = b->after;
        if (a->after >= 0) s->symbols[a->after].before = p.left;
        if (a->before >= 0 && find_pair(t, s, word, a->before, &p) && !heap_push(s, p))
            return err_nomem(err, "tokenizing");
        if (find_pair(t, s, word, (int32_t)(a - s->symbols), &p) && !heap_push(s, p))
            return err_nomem(err, "tokenizing");
    }
    return TOLA_OK;
}

static bool add_symbol(struct tk_symbols *s, uint32_t id, size_t begin, size_t length) {
    if (!mem_grow(&s->symbols, &s->cap, s->count + 1, sizeof *s->symbols)) return false;
    int32_t here = (int32_t)s->count;
    s->symbols[s->count++] = (symbol){ id, (uint32_t)begin, (uint32_t)length, here - 1, here + 1 };
    return true;
}

/* The id of a character as it stands in a word: with the prefix of continuing ones and the suffix of the last. */
static uint32_t spelled_id(const tola_tokenizer *t, const char *text, size_t length, bool first, bool last) {
    const tk_model *m = &t->model;
    bool prefix = !first && m->prefix.length, suffix = last && m->suffix.length;
    if (!prefix && !suffix) return token_table_find(&t->model_table, text, length);
    char spelled[256];
    size_t n = 0;
    if (m->prefix.length + length + m->suffix.length > sizeof spelled) return TOLA_NO_TOKEN;
    if (prefix) memcpy(spelled, m->prefix.data, n = m->prefix.length);
    memcpy(spelled + n, text, length);
    n += length;
    if (suffix) memcpy(spelled + n, m->suffix.data, m->suffix.length), n += m->suffix.length;
    return token_table_find(&t->model_table, spelled, n);
}

/* A character that no token spells: its bytes where there are tokens for them, else the unknown token. */
static tola_status add_unknown(const tola_tokenizer *t, struct tk_symbols *s, const char *word, size_t at, size_t n,
                               tola_error *err) {
    const tk_model *m = &t->model;
    if (m->byte_fallback) {
        bool all = true;
        for (size_t i = 0; i < n; i++) all = all && m->byte_ids[(uint8_t)word[at + i]] != TOLA_NO_TOKEN;
        for (size_t i = 0; i < n && all; i++)
            if (!add_symbol(s, m->byte_ids[(uint8_t)word[at + i]], at + i, 1)) return err_nomem(err, "tokenizing");
        if (all) return TOLA_OK;
    }
    if (m->unk == TOLA_NO_TOKEN) return TOLA_OK; /* dropped */
    if (m->fuse_unk && s->count && s->symbols[s->count - 1].id == m->unk &&
        s->symbols[s->count - 1].begin + s->symbols[s->count - 1].length == at) {
        s->symbols[s->count - 1].length += (uint32_t)n;
        return TOLA_OK;
    }
    return add_symbol(s, m->unk, at, n) ? TOLA_OK : err_nomem(err, "tokenizing");
}

static tola_status bpe_by_ranks(const tola_tokenizer *t, struct tk_symbols *s, const char *word, size_t length,
                                tk_ids *out, tola_error *err) {
    s->count = 0;
    for (size_t i = 0; i < length;) {
        size_t n = t->model.bytes ? 1 : utf8_bytes(word[i]);
        uint32_t id = spelled_id(t, word + i, n, i == 0, i + n == length);
        if (id != TOLA_NO_TOKEN) {
            if (!add_symbol(s, id, i, n)) return err_nomem(err, "tokenizing");
        } else {
            TRY(add_unknown(t, s, word, i, n, err));
        }
        i += n;
    }
    if (s->count == 0) return TOLA_OK;
    s->symbols[s->count - 1].after = -1;
    TRY(join_pairs(t, s, word, err));
    for (int32_t i = 0; i >= 0; i = s->symbols[i].after) TRY(put(out, s->symbols[i].id, err));
    return TOLA_OK;
}

/* SentencePiece's: pieces join by score; what is no piece at the end is spelled in bytes or unknown. */
static tola_status bpe_by_scores(const tola_tokenizer *t, struct tk_symbols *s, const char *word, size_t length,
                                 tk_ids *out, tola_error *err) {
    const tk_model *m = &t->model;
    s->count = 0;
    for (size_t i = 0; i < length;) {
        size_t n = t->model.bytes ? 1 : utf8_bytes(word[i]);
        if (!add_symbol(s, token_table_find(&t->model_table, word + i, n), i, n)) return err_nomem(err, "tokenizing");
        i += n;
    }
    s->symbols[s->count - 1].after = -1;
    TRY(join_pairs(t, s, word, err));
    bool unknown = false;
    for (int32_t i = 0; i >= 0; i = s->symbols[i].after) {
        const symbol *y = &s->symbols[i];
        if (y->id != TOLA_NO_TOKEN) {
            TRY(put(out, y->id, err));
            unknown = false;
            continue;
        }
        if (!m->byte_fallback) {
            if (!unknown && m->unk != TOLA_NO_TOKEN) TRY(put(out, m->unk, err));
            unknown = true;
            continue;
        }
        for (uint32_t k = 0; k < y->length; k++) {
            uint32_t id = m->byte_ids[(uint8_t)word[y->begin + k]];
            if (id == TOLA_NO_TOKEN) id = m->unk;
            if (id != TOLA_NO_TOKEN) TRY(put(out, id, err));
        }
    }
    return TOLA_OK;
}

/* ---- WordPiece (Wu et al. 2016, arXiv 1609.08144): the longest piece from the left, again and again ---- */

static tola_status wordpiece(const tola_tokenizer *t, const char *word, size_t length, tk_ids *out, tola_error *err) {
    const tk_model *m = &t->model;
    size_t chars = 0, start = out->count;
    for (size_t i = 0; i < length; i += utf8_bytes(word[i])) chars++;
    bool fits = chars <= m->max_word_chars;
    char spelled[1024];
    for (size_t at = 0; at < length && fits;) {
        size_t end = length, prefix = at ? m->prefix.length : 0;
        uint32_t id = TOLA_NO_TOKEN;
        if (end - at > m->longest) {
            end = at + m->longest;
            while (end > at && ((uint8_t)word[end] & 0xc0) == 0x80) end--;
        }
        while (end > at) {
            if (prefix + (end - at) <= sizeof spelled) {
                memcpy(spelled, m->prefix.data, prefix);
                memcpy(spelled + prefix, word + at, end - at);
                id = token_table_find(&t->model_table, spelled, prefix + (end - at));
            }
            if (id != TOLA_NO_TOKEN) break;
            do end--;
            while (end > at && ((uint8_t)word[end] & 0xc0) == 0x80);
        }
        fits = id != TOLA_NO_TOKEN;
        if (fits) TRY(put(out, id, err));
        at = end;
    }
    if (fits) return TOLA_OK;
    out->count = start;
    return m->unk != TOLA_NO_TOKEN ? put(out, m->unk, err) : TOLA_OK;
}

/* ---- one word ---- */

static tola_status encode(const tola_tokenizer *t, struct tk_symbols *s, const char *word, size_t length, tk_ids *out,
                          tola_error *err) {
    const tk_model *m = &t->model;
    if (m->ignore_merges || m->kind == TK_WORDLEVEL) {
        uint32_t id = token_table_find(&t->model_table, word, length);
        if (id == TOLA_NO_TOKEN && m->kind == TK_WORDLEVEL) id = m->unk;
        if (id != TOLA_NO_TOKEN) return put(out, id, err);
        if (m->kind == TK_WORDLEVEL) return TOLA_OK;
    }
    switch ((tk_model_kind)m->kind) {
    case TK_BPE: return bpe_by_ranks(t, s, word, length, out, err);
    case TK_BPE_SCORES: return bpe_by_scores(t, s, word, length, out, err);
    case TK_UNIGRAM: return unigram_word(t, &s->unigram, word, length, out, err);
    case TK_WORDPIECE: return wordpiece(t, word, length, out, err);
    case TK_WORDLEVEL: break;
    }
    return TOLA_OK;
}

tola_status tk_model_word(const tola_tokenizer *t, tk_scratch *s, const char *word, size_t length, tk_ids *out,
                          tola_error *err) {
    if (length == 0) return TOLA_OK;
    if (length >= INT32_MAX) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a word of %zu bytes", length);
    if (!s->symbols && !(s->symbols = mem_calloc(1, sizeof *s->symbols))) return err_nomem(err, "tokenizing");
    if (length > WORD_LONGEST) return encode(t, s->symbols, word, length, out, err);
    if (!s->words) {
        s->words = mem_calloc(1, sizeof *s->words);
        if (!s->words) return err_nomem(err, "tokenizing");
        buf_init(&s->words->text, 0);
    }
    struct tk_words *w = s->words;
    if (w->count >= WORDS_MOST) forget(w);
    uint64_t hash = hash_string(word, length) | 1;
    size_t slot = word_slot(w, hash, word, length);
    if (w->slots[slot].hash) {
        for (unsigned i = 0; i < w->slots[slot].count; i++) TRY(put(out, w->ids.ids[w->slots[slot].ids + i], err));
        return TOLA_OK;
    }
    size_t before = out->count;
    TRY(encode(t, s->symbols, word, length, out, err));
    if (out->count - before < UINT8_MAX) remember(w, slot, hash, word, length, out->ids + before, out->count - before);
    return TOLA_OK;
}

void tk_scratch_free(tk_scratch *s) {
    for (size_t i = 0; i < TK_MAX_STEPS; i++) regex_match_free(s->matches[i]);
    if (s->symbols) {
        mem_free(s->symbols->symbols);
        mem_free(s->symbols->heap);
        unigram_scratch_free(&s->symbols->unigram);
    }
    if (s->words) {
        buf_free(&s->words->text);
        mem_free(s->words->ids.ids);
    }
    mem_free(s->symbols);
    mem_free(s->words);
    *s = (tk_scratch){ 0 };
}
