/* Counting words: text in pieces, a table for each thread, all added up at the end.
 *
 * A long text is cut where both expressions cut anyway: behind one line feed that follows something else than a space
 * and comes before an ASCII letter. What comes before ends in the line feed, alone or with punctuation, and the letter
 * begins a word of its own. */
#include "text/bpe_train.h"

#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/pool.h"
#include "base/text.h"
#include "text/bpe_train_inside.h"

#define PIECE ((size_t)256 << 10)
#define BATCH ((size_t)4 << 20)
#define MOST_TEXT ((size_t)1 << 40)

typedef struct piece {
    const char *text; /* NULL: at `begin` of the batch */
    size_t begin, length;
} piece;

struct bpe_trainer {
    arena arena;
    bpe_train_options options;
    tola_tokenizer *cutter; /* bytes without merges: its pre-tokenizer is what is wanted */
    pool *threads;
    bpe_counts *counts; /* of each thread */
    tk_scratch *scratches;
    buf batch;
    piece *pieces;
    size_t piece_count, piece_cap;
};

/* ---- tables of words ---- */

void bpe_counts_free(bpe_counts *c) {
    mem_free(c->slots);
    buf_free(&c->texts);
    memset(c, 0, sizeof *c);
}

static tola_status grow_counts(bpe_counts *c, tola_error *err) {
    size_t size = c->slots ? (c->mask + 1) * 2 : 4096;
    bpe_word *slots = mem_calloc(size, sizeof *slots);
    if (!slots) return err_nomem(err, "counting words");
    for (size_t i = 0; c->slots && i <= c->mask; i++) {
        if (!c->slots[i].count) continue;
        size_t at = c->slots[i].hash & (size - 1);
        while (slots[at].count) at = (at + 1) & (size - 1);
        slots[at] = c->slots[i];
    }
    if (!c->slots) buf_init(&c->texts, MOST_TEXT);
    mem_free(c->slots);
    c->slots = slots;
    c->mask = size - 1;
    return TOLA_OK;
}

tola_status bpe_count_word(bpe_counts *c, const char *word, size_t length, uint64_t times, tola_error *err) {
    if (!c->slots || c->count * 2 > c->mask) TRY(grow_counts(c, err));
    uint64_t hash = hash_string(word, length);
    size_t at = hash & c->mask;
    for (; c->slots[at].count; at = (at + 1) & c->mask) {
        bpe_word *w = &c->slots[at];
        if (w->hash != hash || w->length != length || memcmp(c->texts.data + w->text, word, length) != 0) continue;
        w->count += times;
        return TOLA_OK;
    }
    if (length > UINT32_MAX) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a word of %zu bytes", length);
    c->slots[at] = (bpe_word){ .hash = hash, .text = c->texts.length, .length = (uint32_t)length, .count = times };
    c->count++;
    buf_append(&c->texts, word, length);
    return c->texts.failed ? err_nomem(err, "counting words") : TOLA_OK;
}

/* ---- texts ---- */

static tola_status take_word(void *user, const char *word, size_t length, tola_error *err) {
    return bpe_count_word(user, word, length, 1, err);
}

static tola_status count_piece(void *context, size_t task, unsigned worker, tola_error *err) {
    bpe_trainer *t = context;
    const piece *p = &t->pieces[task];
    const char *text = p->text ? p->text : (const char *)t->batch.data + p->begin;
    if (utf8_valid(text, p->length))
        return tk_pretokenize(t->cutter, &t->scratches[worker], text, p->length, true, take_word, &t->counts[worker],
                              err);
    buf fixed;
    buf_init(&fixed, MOST_TEXT);
    tk_repair(text, p->length, &fixed);
    tola_status status = fixed.failed ? err_nomem(err, "counting words")
                                      : tk_pretokenize(t->cutter, &t->scratches[worker], (const char *)fixed.data,
                                                       fixed.length, true, take_word, &t->counts[worker], err);
    buf_free(&fixed);
    return status;
}

static tola_status count_batch(bpe_trainer *t, tola_error *err) {
    tola_status status = pool_run(t->threads, t->piece_count, count_piece, t, err);
    t->piece_count = t->batch.length = 0;
    return status;
}

static tola_status add_piece(bpe_trainer *t, piece p, tola_error *err) {
    if (!mem_grow(&t->pieces, &t->piece_cap, t->piece_count + 1, sizeof *t->pieces))
        return err_nomem(err, "counting words");
    t->pieces[t->piece_count++] = p;
    return TOLA_OK;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_letter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

/* Where the piece that begins text[0, length) ends. A byte of a character beyond ASCII may be a space's: no cut there.
 */
static size_t piece_end(const char *text, size_t length) {
    for (size_t i = PIECE; i < length; i++)
        if (text[i - 1] == '\n' && is_letter(text[i]) && !is_blank(text[i - 2]) && !(text[i - 2] & 0x80)) return i;
    return length;
}

tola_status bpe_train_add(bpe_trainer *t, const char *text, size_t length, tola_error *err) {
    if (length < PIECE) {
        TRY(add_piece(t, (piece){ .begin = t->batch.length, .length = length }, err));
        buf_append(&t->batch, text, length);
        if (t->batch.failed) return err_nomem(err, "counting words");
        return t->batch.length < BATCH && t->piece_count < BATCH / 64 ? TOLA_OK : count_batch(t, err);
    }
    for (size_t at = 0; at < length;) {
        size_t n = piece_end(text + at, length - at);
        TRY(add_piece(t, (piece){ .text = text + at, .length = n }, err));
        at += n;
    }
    return count_batch(t, err);
}

/* ---- the trainer ---- */

static const char *copy(bpe_trainer *t, const char *text, bool *good) {
    const char *own = text ? arena_strndup(&t->arena, text, strlen(text)) : NULL;
    *good = *good && (own || !text);
    return own;
}

static tola_status copy_options(bpe_trainer *t, const bpe_train_options *o, tola_error *err) {
    bool good = true;
    const char **specials = arena_alloc_array(&t->arena, o->special_count + 1, sizeof *specials);
    t->options = *o;
    for (size_t i = 0; specials && i < o->special_count; i++) specials[i] = copy(t, o->specials[i], &good);
    t->options.specials = specials;
    t->options.begin = copy(t, o->begin, &good);
    t->options.end = copy(t, o->end, &good);
    t->options.pad = copy(t, o->pad, &good);
    if (t->options.least == 0) t->options.least = 1;
    return specials && good ? TOLA_OK : err_nomem(err, "learning a tokenizer");
}

static tola_status check_options(const bpe_train_options *o, tola_error *err) {
    if (o->special_count > BPE_MOST_TOKENS || o->vocabulary > BPE_MOST_TOKENS)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %u tokens", BPE_MOST_TOKENS);
    if (o->vocabulary < 256 + o->special_count)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "a vocabulary of %u has no room for 256 bytes and %zu special tokens", o->vocabulary,
                       o->special_count);
    const char *const named[] = { o->begin, o->end, o->pad };
    for (size_t k = 0; k < 3; k++) {
        bool found = !named[k];
        for (size_t i = 0; i < o->special_count; i++) found = found || strcmp(named[k], o->specials[i]) == 0;
        char quoted[80];
        if (!found)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "'%s' is none of the special tokens",
                           text_quote(quoted, sizeof quoted, named[k], strlen(named[k])));
    }
    return TOLA_OK;
}

/* A tokenizer of bytes, for its pre-tokenizer. */
static tola_status make_cutter(bpe_trainer *t, tola_error *err) {
    bpe_learned bytes = { 0 };
    buf json, config;
    buf_init(&json, 0);
    buf_init(&config, 0);
    tola_status status = bpe_learned_begin(&bytes, NULL, 0, err);
    bpe_train_options plain = { .words = t->options.words };
    if (status == TOLA_OK) status = bpe_write(&bytes, &plain, &json, &config, err);
    arena a;
    arena_init(&a, 0);
    tola_value tree;
    if (status == TOLA_OK) status = json_parse((const char *)json.data, json.length, &a, &tree, err);
    if (status == TOLA_OK) status = tk_create(&t->cutter, err);
    if (status == TOLA_OK) status = tk_load_json(t->cutter, &tree, err);
    arena_free(&a);
    buf_free(&json);
    buf_free(&config);
    bpe_learned_free(&bytes);
    return status;
}

static tola_status create(bpe_trainer *t, const bpe_train_options *options, tola_error *err) {
    TRY(check_options(options, err));
    TRY(copy_options(t, options, err));
    bpe_learned all = { 0 };
    tola_status status = bpe_learned_begin(&all, options->specials, options->special_count, err); /* are they good? */
    bpe_learned_free(&all);
    TRY(status);
    TRY(make_cutter(t, err));
    TRY(pool_create(options->threads, &t->threads, err));
    t->counts = mem_calloc(pool_threads(t->threads), sizeof *t->counts);
    t->scratches = mem_calloc(pool_threads(t->threads), sizeof *t->scratches);
    return t->counts && t->scratches ? TOLA_OK : err_nomem(err, "learning a tokenizer");
}

tola_status bpe_train_create(const bpe_train_options *options, bpe_trainer **out, tola_error *err) {
    bpe_trainer *t = mem_calloc(1, sizeof *t);
    if (!t) return err_nomem(err, "learning a tokenizer");
    arena_init(&t->arena, 0);
    buf_init(&t->batch, MOST_TEXT);
    tola_status status = create(t, options, err);
    if (status == TOLA_OK)
        *out = t;
    else
        bpe_train_free(t);
    return status;
}

void bpe_train_free(bpe_trainer *t) {
    if (!t) return;
    unsigned threads = t->threads ? pool_threads(t->threads) : 0;
    for (unsigned i = 0; t->counts && i < threads; i++) bpe_counts_free(&t->counts[i]);
    for (unsigned i = 0; t->scratches && i < threads; i++) tk_scratch_free(&t->scratches[i]);
    mem_free(t->counts);
    mem_free(t->scratches);
    pool_free(t->threads);
    tola_tokenizer_free(t->cutter);
    buf_free(&t->batch);
    mem_free(t->pieces);
    arena_free(&t->arena);
    mem_free(t);
}

/* All tables added to the first. */
static tola_status join_counts(bpe_trainer *t, tola_error *err) {
    for (unsigned i = 1; i < pool_threads(t->threads); i++) {
        bpe_counts *c = &t->counts[i];
        for (size_t k = 0; c->slots && k <= c->mask; k++) {
            const bpe_word *w = &c->slots[k];
            if (w->count)
                TRY(bpe_count_word(&t->counts[0], (const char *)c->texts.data + w->text, w->length, w->count, err));
        }
        bpe_counts_free(c);
    }
    return TOLA_OK;
}

tola_status bpe_train_finish(bpe_trainer *t, buf *tokenizer, buf *config, uint32_t *tokens, tola_error *err) {
    TRY(count_batch(t, err));
    TRY(join_counts(t, err));
    if (t->counts[0].count == 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "there is no text to learn a tokenizer from");
    bpe_learned learned = { 0 };
    tola_status status = bpe_learned_begin(&learned, t->options.specials, t->options.special_count, err);
    if (status == TOLA_OK) status = bpe_learn(&learned, &t->counts[0], t->options.vocabulary, t->options.least, err);
    if (status == TOLA_OK) status = bpe_write(&learned, &t->options, tokenizer, config, err);
    if (status == TOLA_OK && tokens) *tokens = (uint32_t)learned.count;
    bpe_learned_free(&learned);
    return status;
}
