/* Words to ids: byte-pair encoding, by ranks of merges or by scores of pieces, WordPiece, whole words; and the memory
 * of words seen. Unigram is in unigram.c. */
#include "text/model.h"
#include "base/hash.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
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

/* A pair that may be joined. */
typedef struct pair {
    uint32_t rank; /* smaller first */
    int32_t left;
    uint32_t length; /* of both, in bytes: tells pairs that are no longer there */
    uint32_t id;     /* what they become */
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

typedef struct scored {
    double score;
    uint32_t id;
} scored;

static int by_score(const void *a, const void *b) {
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return x > y ? -1 : x < y;
}

/* Larger scores are joined first: their order, the same for equal ones. */
tola_status tk_rank_scores(tola_tokenizer *t, tola_error *err) {
    scored *list = mem_calloc(t->count, sizeof *list);
    t->model.ranks = arena_alloc_array(&t->arena, t->count, sizeof *t->model.ranks);
    if (!list || !t->model.ranks) {
        mem_free(list);
        return err_nomem(err, "reading the vocabulary");
    }
    for (uint32_t i = 0; i < t->count; i++) {
        double score = t->model.scores[i];
        list[i] = (scored){ score == score ? score : -HUGE_VAL, i };
    }
    qsort(list, t->count, sizeof *list, by_score);
    for (uint32_t i = 0, rank = 0; i < t->count; i++) {
        rank += i && list[i].score != list[i - 1].score;
        t->model.ranks[list[i].id] = rank;
    }
    mem_free(list);
    return TOLA_OK;
}

static bool better(const pair *a, const pair *b) {
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

/* What two neighbours become; false where they are not joined. */
static bool find_pair(const tola_tokenizer *t, const char *word, const symbol *a, const symbol *b, uint32_t *rank,
                      uint32_t *id) {
    const tk_model *m = &t->model;
    if (m->kind == TK_BPE_SCORES) {
        uint32_t length = a->length + b->length;
        if (length > m->longest) return false;
        *id = token_table_find(&t->model_table, word + a->begin, length);
        if (*id == TOLA_NO_TOKEN) return false;
        *rank = m->ranks[*id];
        return true;
    }
    if (a->id == TOLA_NO_TOKEN || b->id == TOLA_NO_TOKEN) return false;
    const tk_merge *merge = &m->merges[merge_slot(m, ((uint64_t)a->id << 32 | b->id) + 1)];
    *rank = merge->rank;
    *id = merge->id;
    return merge->pair != 0;
}

/* Pairs of few symbols: all are looked at for each joining, which is quicker than keeping a heap. */
#define FEW 32

static void join_few(const tola_tokenizer *t, struct tk_symbols *s, const char *word) {
    uint32_t ranks[FEW], ids[FEW];
    symbol *y = s->symbols;
    size_t n = s->count;
    for (size_t i = 0; i + 1 < n; i++)
        if (!find_pair(t, word, &y[i], &y[i + 1], &ranks[i], &ids[i])) ranks[i] = UINT32_MAX;
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == UINT32_MAX) break;
        y[best].id = ids[best];
        y[best].length += y[best + 1].length;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            y[i] = y[i + 1];
            ranks[i - 1] = ranks[i];
            ids[i - 1] = ids[i];
        }
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < n; i++)
            if (!find_pair(t, word, &y[i], &y[i + 1], &ranks[i], &ids[i])) ranks[i] = UINT32_MAX;
    }
    for (size_t i = 0; i < n; i++) y[i].after = i + 1 < n ? (int32_t)i + 1 : -1;
}

/* Pushes the pair of `left` and what is behind it, where it can be joined. */
static bool push_pair(const tola_tokenizer *t, struct tk_symbols *s, const char *word, int32_t left) {
    const symbol *a = &s->symbols[left];
    if (a->after < 0) return true;
    const symbol *b = &s->symbols[a->after];
    pair p = { .left = left, .length = a->length + b->length };
    return !find_pair(t, word, a, b, &p.rank, &p.id) || heap_push(s, p);
}

static tola_status join_pairs(const tola_tokenizer *t, struct tk_symbols *s, const char *word, tola_error *err) {
    if (s->count <= FEW) {
        join_few(t, s, word);
        return TOLA_OK;
    }
    s->heap_count = 0;
    for (size_t i = 0; i + 1 < s->count; i++)
        if (!push_pair(t, s, word, (int32_t)i)) return err_nomem(err, "tokenizing");
    while (s->heap_count) {
        pair p = heap_pop(s);
        symbol *a = &s->symbols[p.left];
        if (a->length == 0 || a->after < 0) continue;
        symbol *b = &s->symbols[a->after];
        uint32_t rank, id;
        if (a->length + b->length != p.length || !find_pair(t, word, a, b, &rank, &id) || id != p.id) continue;
        a->id = p.id;
        a->length += b->length;
        b->length = 0;
        a->after = b->after;
        if (a->after >= 0) s->symbols[a->after].before = p.left;
        if (a->before >= 0 && !push_pair(t, s, word, a->before)) return err_nomem(err, "tokenizing");
        if (!push_pair(t, s, word, p.left)) return err_nomem(err, "tokenizing");
    }
    return TOLA_OK;
}

static bool add_symbol(struct tk_symbols *s, uint32_t id, size_t begin, size_t length) {
    if (!mem_grow(&s->symbols, &s->cap, s->count + 1, sizeof *s->symbols)) return false;
    int32_t here = (int32_t)s->count;
    s->symbols[s->count++] = (symbol){ id, (uint32_t)begin, (uint32_t)length, here - 1, here + 1 };
    return true;
}

#define SPELLED_MOST 256

/* A character as it stands in a word: with the prefix of continuing ones and the suffix of the last. Its bytes in
 * `spelled`; 0 where there are too many. */
static size_t spell(const tk_model *m, const char *text, size_t length, bool first, bool last,
                    char spelled[SPELLED_MOST]) {
    size_t n = 0;
    if (m->prefix.length + length + m->suffix.length > SPELLED_MOST) return 0;
    if (!first) memcpy(spelled, m->prefix.data, n = m->prefix.length);
    memcpy(spelled + n, text, length);
    n += length;
    if (last) memcpy(spelled + n, m->suffix.data, m->suffix.length), n += m->suffix.length;
    return n;
}

/* Unknown characters that are not among the symbols yet. */
typedef struct waiting {
    size_t begin, length; /* 0: none */
} waiting;

static tola_status put_unknown(const tk_model *m, struct tk_symbols *s, waiting *u, tola_error *err) {
    bool good = u->length == 0 || add_symbol(s, m->unk, u->begin, u->length);
    u->length = 0;
    return good ? TOLA_OK : err_nomem(err, "tokenizing");
}

/* A character that no token spells: the bytes of its spelling where there are tokens for them, else the unknown token.
 * That one waits until a known character comes, also behind bytes, as in tokenizers. */
static tola_status add_unknown(const tk_model *m, struct tk_symbols *s, const char *spelled, size_t length, size_t at,
                               size_t n, waiting *u, tola_error *err) {
    if (m->byte_fallback) {
        bool all = length > 0;
        for (size_t i = 0; i < length; i++) all = all && m->byte_ids[(uint8_t)spelled[i]] != TOLA_NO_TOKEN;
        for (size_t i = 0; i < length && all; i++)
            if (!add_symbol(s, m->byte_ids[(uint8_t)spelled[i]], at, 1)) return err_nomem(err, "tokenizing");
        if (all) return TOLA_OK;
    }
    if (m->unk == TOLA_NO_TOKEN) return TOLA_OK; /* dropped */
    if (!m->fuse_unk) TRY(put_unknown(m, s, u, err));
    if (u->length == 0) u->begin = at;
    u->length += n;
    return TOLA_OK;
}

static tola_status bpe_by_ranks(const tola_tokenizer *t, struct tk_symbols *s, const char *word, size_t length,
                                tk_ids *out, tola_error *err) {
    const tk_model *m = &t->model;
    waiting u = { 0, 0 };
    s->count = 0;
    for (size_t i = 0; i < length;) {
        size_t n = m->bytes ? 1 : utf8_bytes(word[i]);
        char spelled[SPELLED_MOST];
        size_t bytes = spell(m, word + i, n, i == 0, i + n == length, spelled);
        uint32_t id = token_table_find(&t->model_table, spelled, bytes);
        if (id != TOLA_NO_TOKEN) {
            TRY(put_unknown(m, s, &u, err));
            if (!add_symbol(s, id, i, n)) return err_nomem(err, "tokenizing");
        } else {
            TRY(add_unknown(m, s, spelled, bytes, i, n, &u, err));
        }
        i += n;
    }
    TRY(put_unknown(m, s, &u, err));
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

static tola_status remembered_word(const tola_tokenizer *t, tk_scratch *s, const char *word, size_t length, tk_ids *out,
                                   tola_error *err) {
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
    size_t count = out->count - before;
    if (count && count < UINT8_MAX) remember(w, slot, hash, word, length, out->ids + before, count);
    return TOLA_OK;
}

/* ---- text without words ---- */

static const char mark[] = "\xe2\x96\x81";

tola_status tk_find_seams(tola_tokenizer *t, tola_error *err) {
    tk_model *m = &t->model;
    bool bpe = m->kind == TK_BPE || m->kind == TK_BPE_SCORES;
    if (!bpe || m->bytes || m->ignore_merges || m->prefix.length || m->suffix.length) return TOLA_OK;
    if (token_table_find(&t->model_table, mark, 3) == TOLA_NO_TOKEN) return TOLA_OK;
    charset before = { 0 };
    for (size_t i = 0; i <= t->model_table.mask; i++) {
        const struct token_slot *token = &t->model_table.slots[i];
        uint32_t c = 0, last = 0;
        for (size_t k = 0; token->text && k < token->length; last = c) {
            size_t n = tk_char_length(token->text + k, token->length - k); /* 0: a broken one, which no text has */
            c = 0;
            if (n) utf8_next(token->text + k, &c);
            k += n ? n : 1;
            if (c == 0x2581 && last != 0x2581 && last) charset_add(&before, last, last);
        }
    }
    charset_settle(&before);
    m->joins_mark = charset_map_new(&before);
    charset_free(&before);
    return m->joins_mark ? TOLA_OK : err_nomem(err, "reading the vocabulary");
}

/* The end of the part of text[0, length) after which a mark stands that no token joins with what is before. */
static size_t seam(const charset_map *joins_mark, const char *text, size_t length) {
    for (size_t i = 1; i + 3 <= length; i++) {
        const char *next = memchr(text + i, mark[0], length - i - 2);
        uint32_t c;
        if (!next) break;
        i = (size_t)(next - text);
        if (next[1] != mark[1] || next[2] != mark[2]) continue;
        size_t begin = i - 1;
        while (begin > 0 && ((uint8_t)text[begin] & 0xc0) == 0x80) begin--;
        utf8_next(text + begin, &c);
        if (c != 0x2581 && !charset_map_has(joins_mark, c)) return i;
    }
    return length;
}

tola_status tk_model_word(const tola_tokenizer *t, tk_scratch *s, const char *word, size_t length, tk_ids *out,
                          tola_error *err) {
    if (length >= INT32_MAX) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a word of %zu bytes", length);
    while (length) {
        size_t n = t->model.joins_mark ? seam(t->model.joins_mark, word, length) : length;
        TRY(remembered_word(t, s, word, n, out, err));
        word += n;
        length -= n;
    }
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
