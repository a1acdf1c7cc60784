/* Merging: every word is a row of tokens; for each pair of neighbours there is how often it occurs and in which words,
 * and a heap says which pair comes next. A merge touches the words of its pair alone.
 *
 * Counts in the heap may be out of date: one that is too large is put back with what is true, and a pair whose count
 * has grown is put in again, so the first entry that tells the truth is the greatest. */
#include <string.h>

#include "base/text.h"
#include "text/bpe_train_inside.h"

/* ---- tokens ---- */

void bpe_learned_free(bpe_learned *l) {
    arena_free(&l->arena);
    mem_free(l->tokens);
    mem_free(l->merges);
}

static tola_status add_token(bpe_learned *l, const char *text, size_t length, tola_error *err) {
    if (!mem_grow(&l->tokens, &l->cap, l->count + 1, sizeof *l->tokens)) return err_nomem(err, "learning a tokenizer");
    char *own = arena_strndup(&l->arena, text, length);
    if (!own) return err_nomem(err, "learning a tokenizer");
    l->tokens[l->count++] = (tola_string){ own, length };
    return TOLA_OK;
}

tola_status bpe_learned_begin(bpe_learned *l, const char *const *specials, size_t special_count, tola_error *err) {
    arena_init(&l->arena, 0);
    for (size_t i = 0; i < special_count; i++) {
        bool good = specials[i][0] && utf8_valid(specials[i], strlen(specials[i]));
        for (size_t k = 0; k < i; k++) good = good && strcmp(specials[i], specials[k]) != 0;
        char quoted[80];
        if (!good)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the special token '%s' is empty, no UTF-8, or there twice",
                           text_quote(quoted, sizeof quoted, specials[i], strlen(specials[i])));
        TRY(add_token(l, specials[i], strlen(specials[i]), err));
    }
    l->first_byte = (uint32_t)l->count;
    for (uint32_t c = 0; l->count < l->first_byte + 256; c++) {
        int byte = tk_byte_of_char(c);
        if (byte < 0) continue;
        char text[2];
        l->byte_ids[byte] = (uint32_t)l->count;
        TRY(add_token(l, text, tk_char_of_byte((uint8_t)byte, text), err));
    }
    return TOLA_OK;
}

/* ---- words and pairs ---- */

typedef struct word {
    size_t at; /* of its tokens */
    uint32_t length;
    uint64_t count;
} word;

typedef struct pair {
    uint64_t key; /* left << 32 | right */
    uint64_t count;
    uint32_t *where; /* words in which it occurs, or has occurred; perhaps several times */
    size_t where_count, where_cap;
    uint64_t grown; /* the merge in which it last became more frequent */
} pair;

typedef struct candidate {
    uint64_t count, key;
    uint32_t pair;
} candidate;

typedef struct learner {
    bpe_learned *l;
    word *words;
    size_t word_count;
    uint32_t *symbols;
    pair *pairs;
    size_t pair_count, pair_cap;
    uint32_t *slots; /* 1 + number of a pair; open addressing by key */
    size_t mask;
    candidate *heap;
    size_t heap_count, heap_cap;
    uint32_t *grown; /* pairs that became more frequent in this merge */
    size_t grown_count, grown_cap;
    uint64_t merge;
    token_table names;
    buf spelled;
} learner;

static tola_status no_memory(tola_error *err) { return err_nomem(err, "learning a tokenizer"); }

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static tola_status grow_slots(learner *m, tola_error *err) {
    size_t size = m->slots ? (m->mask + 1) * 2 : 1 << 14;
    uint32_t *slots = mem_calloc(size, sizeof *slots);
    if (!slots) return no_memory(err);
    for (size_t i = 0; i < m->pair_count; i++) {
        size_t at = mix(m->pairs[i].key) & (size - 1);
        while (slots[at]) at = (at + 1) & (size - 1);
        slots[at] = (uint32_t)i + 1;
    }
    mem_free(m->slots);
    m->slots = slots;
    m->mask = size - 1;
    return TOLA_OK;
}

static tola_status find_pair(learner *m, uint32_t left, uint32_t right, uint32_t *out, tola_error *err) {
    if (!m->slots || m->pair_count * 2 > m->mask) TRY(grow_slots(m, err));
    uint64_t key = (uint64_t)left << 32 | right;
    size_t at = mix(key) & m->mask;
    for (; m->slots[at]; at = (at + 1) & m->mask) {
        *out = m->slots[at] - 1;
        if (m->pairs[*out].key == key) return TOLA_OK;
    }
    if (m->pair_count == UINT32_MAX - 1) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "too many pairs of tokens");
    if (!mem_grow(&m->pairs, &m->pair_cap, m->pair_count + 1, sizeof *m->pairs)) return no_memory(err);
    m->pairs[m->pair_count] = (pair){ .key = key, .grown = UINT64_MAX };
    *out = (uint32_t)m->pair_count++;
    m->slots[at] = *out + 1;
    return TOLA_OK;
}

static tola_status more_of(learner *m, uint32_t left, uint32_t right, uint32_t w, tola_error *err) {
    uint32_t at;
    TRY(find_pair(m, left, right, &at, err));
    pair *p = &m->pairs[at];
    p->count += m->words[w].count;
    if (p->where_count == 0 || p->where[p->where_count - 1] != w) {
        if (!mem_grow(&p->where, &p->where_cap, p->where_count + 1, sizeof *p->where)) return no_memory(err);
        p->where[p->where_count++] = w;
    }
    if (p->grown == m->merge) return TOLA_OK;
    p->grown = m->merge;
    if (!mem_grow(&m->grown, &m->grown_cap, m->grown_count + 1, sizeof *m->grown)) return no_memory(err);
    m->grown[m->grown_count++] = at;
    return TOLA_OK;
}

static tola_status fewer_of(learner *m, uint32_t left, uint32_t right, uint32_t w, tola_error *err) {
    uint32_t at;
    TRY(find_pair(m, left, right, &at, err));
    m->pairs[at].count -= m->words[w].count;
    return TOLA_OK;
}

/* ---- the heap ---- */

static bool before(const candidate *a, const candidate *b) {
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static void sift_down(candidate *heap, size_t count, size_t i) {
    candidate moved = heap[i];
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &moved)) break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

static tola_status push(learner *m, uint32_t at, tola_error *err) {
    if (!mem_grow(&m->heap, &m->heap_cap, m->heap_count + 1, sizeof *m->heap)) return no_memory(err);
    candidate c = { m->pairs[at].count, m->pairs[at].key, at };
    size_t i = m->heap_count++;
    for (; i > 0 && before(&c, &m->heap[(i - 1) / 2]); i = (i - 1) / 2) m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = c;
    return TOLA_OK;
}

/* The pair to be merged next; false where none occurs `least` times. */
static bool next_pair(learner *m, uint64_t least, uint32_t *out) {
    while (m->heap_count > 0) {
        candidate *top = &m->heap[0];
        uint64_t count = m->pairs[top->pair].count;
        *out = top->pair;
        bool true_count = count == top->count;
        if (true_count && count < least) return false;
        if (true_count || count == 0)
            m->heap[0] = m->heap[--m->heap_count];
        else
            top->count = count;
        if (m->heap_count) sift_down(m->heap, m->heap_count, 0);
        if (true_count) return count > 0;
    }
    return false;
}

static tola_status push_grown(learner *m, tola_error *err) {
    for (size_t i = 0; i < m->grown_count; i++)
        if (m->pairs[m->grown[i]].count > 0) TRY(push(m, m->grown[i], err));
    m->grown_count = 0;
    return TOLA_OK;
}

/* ---- merging ---- */

static tola_status take_words(learner *m, const bpe_counts *counts, tola_error *err) {
    size_t tokens = 0;
    if (counts->count > UINT32_MAX) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "too many different words");
    m->words = mem_alloc((counts->count + 1) * sizeof *m->words);
    m->symbols = mem_alloc((counts->texts.length + 1) * sizeof *m->symbols);
    if (!m->words || !m->symbols) return no_memory(err);
    for (size_t i = 0; i <= counts->mask; i++) {
        const bpe_word *from = &counts->slots[i];
        if (!from->count) continue;
        uint32_t w = (uint32_t)m->word_count++;
        m->words[w] = (word){ .at = tokens, .length = from->length, .count = from->count };
        for (uint32_t k = 0; k < from->length; k++, tokens++) {
            m->symbols[tokens] = m->l->byte_ids[counts->texts.data[from->text + k]];
            if (k > 0) TRY(more_of(m, m->symbols[tokens - 1], m->symbols[tokens], w, err));
        }
    }
    return push_grown(m, err);
}

/* One word in which left and right become `id`, from left to right. */
static tola_status merge_word(learner *m, uint32_t w, uint32_t left, uint32_t right, uint32_t id, tola_error *err) {
    uint32_t *s = m->symbols + m->words[w].at, n = m->words[w].length, to = 0;
    for (uint32_t i = 0; i < n; to++) {
        if (i + 1 == n || s[i] != left || s[i + 1] != right) {
            s[to] = s[i++];
            continue;
        }
        TRY(fewer_of(m, left, right, w, err));
        if (to > 0) {
            TRY(fewer_of(m, s[to - 1], left, w, err));
            TRY(more_of(m, s[to - 1], id, w, err));
        }
        if (i + 2 < n) {
            TRY(fewer_of(m, right, s[i + 2], w, err));
            TRY(more_of(m, id, s[i + 2], w, err));
        }
        s[to] = id;
        i += 2;
    }
    m->words[w].length = to;
    return TOLA_OK;
}

/* The token that left and right make: a new one, unless another pair has made it already. */
static tola_status joined_token(learner *m, uint32_t left, uint32_t right, uint32_t *id, tola_error *err) {
    const tola_string *a = &m->l->tokens[left], *b = &m->l->tokens[right];
    m->spelled.length = 0;
    buf_append(&m->spelled, a->data, a->length);
    buf_append(&m->spelled, b->data, b->length);
    if (m->spelled.failed) return no_memory(err);
    *id = token_table_find(&m->names, (const char *)m->spelled.data, m->spelled.length);
    if (*id != UINT32_MAX) return TOLA_OK;
    *id = (uint32_t)m->l->count;
    TRY(add_token(m->l, (const char *)m->spelled.data, m->spelled.length, err));
    token_table_add(&m->names, m->l->tokens[*id].data, m->l->tokens[*id].length, *id);
    return TOLA_OK;
}

static tola_status merge_pair(learner *m, uint32_t at, tola_error *err) {
    uint32_t left = (uint32_t)(m->pairs[at].key >> 32), right = (uint32_t)m->pairs[at].key, id;
    TRY(joined_token(m, left, right, &id, err));
    if (!mem_grow(&m->l->merges, &m->l->merge_cap, m->l->merge_count + 1, sizeof *m->l->merges)) return no_memory(err);
    m->l->merges[m->l->merge_count++] = (bpe_merge){ left, right, id };
    m->merge++;
    /* the list is taken away: pairs may move in memory, and what is merged again gets a new one */
    uint32_t *where = m->pairs[at].where;
    size_t count = m->pairs[at].where_count;
    m->pairs[at].where = NULL;
    m->pairs[at].where_count = m->pairs[at].where_cap = 0;
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < count && status == TOLA_OK; i++) status = merge_word(m, where[i], left, right, id, err);
    mem_free(where);
    return status == TOLA_OK ? push_grown(m, err) : status;
}

static tola_status learn(learner *m, const bpe_counts *words, uint32_t vocabulary, uint64_t least, tola_error *err) {
    if (!token_table_init(&m->names, vocabulary)) return no_memory(err);
    for (uint32_t i = 0; i < m->l->count; i++)
        token_table_add(&m->names, m->l->tokens[i].data, m->l->tokens[i].length, i);
    TRY(take_words(m, words, err));
    uint32_t at;
    while (m->l->count < vocabulary && next_pair(m, least, &at)) TRY(merge_pair(m, at, err));
    return TOLA_OK;
}

tola_status bpe_learn(bpe_learned *l, const bpe_counts *words, uint32_t vocabulary, uint64_t least, tola_error *err) {
    learner m = { .l = l };
    buf_init(&m.spelled, 0);
    tola_status status = learn(&m, words, vocabulary, least, err);
    for (size_t i = 0; i < m.pair_count; i++) mem_free(m.pairs[i].where);
    mem_free(m.words);
    mem_free(m.symbols);
    mem_free(m.pairs);
    mem_free(m.slots);
    mem_free(m.heap);
    mem_free(m.grown);
    token_table_free(&m.names);
    buf_free(&m.spelled);
    return status;
}
