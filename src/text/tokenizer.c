/* The tokenizer itself: its tokens, the tables made of them, and the way of a text through it. */
#include "text/tokenizer.h"
#include "base/text.h"
#include "base/utf8.h"
#include "text/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- life ---- */

tola_status tk_create(tola_tokenizer **out, tola_error *err) {
    tola_tokenizer *t = mem_calloc(1, sizeof *t);
    if (!t) return err_nomem(err, "opening a tokenizer");
    arena_init(&t->arena, 0);
    t->model.unk = TOLA_NO_TOKEN;
    t->model.prefix = t->model.suffix = (tola_string){ "", 0 };
    for (unsigned i = 0; i < 256; i++) t->model.byte_ids[i] = TOLA_NO_TOKEN;
    for (unsigned i = 0; i < TOLA_SPECIAL_COUNT; i++) t->specials[i] = TOLA_NO_TOKEN;
    *out = t;
    return TOLA_OK;
}

void tola_tokenizer_free(tola_tokenizer *t) {
    if (!t) return;
    for (size_t i = 0; i < t->regex_count; i++) regex_free(t->regexes[i]);
    for (size_t i = 0; i < t->normal_count; i++) charset_map_free(t->normals[i].touched);
    mem_free(t->regexes);
    charset_map_free(t->model.joins_mark);
    mem_free(t->ends.ids);
    token_table_free(&t->table);
    token_table_free(&t->model_table);
    tk_trie_free(t->raw);
    tk_trie_free(t->normalized);
    arena_free(&t->arena);
    mem_free(t);
}

tola_status tk_make_tokens(tola_tokenizer *t, uint64_t count, tola_error *err) {
    if (count > TK_MAX_TOKENS)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "ids up to %" PRIu64 " are too many; %u are allowed",
                       count - 1, TK_MAX_TOKENS);
    t->tokens = arena_alloc_array(&t->arena, (size_t)count + 1, sizeof *t->tokens);
    if (!t->tokens) return err_nomem(err, "reading the vocabulary");
    for (size_t i = 0; i < count; i++) t->tokens[i] = (tk_token){ "", 0, TOLA_TOKEN_UNUSED };
    t->count = (uint32_t)count;
    return TOLA_OK;
}

tola_status tk_set_token(tola_tokenizer *t, uint64_t id, const char *text, size_t length, tola_error *err) {
    char quoted[80];
    if (id >= t->count)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "token '%s' has an id that is no number from 0 to %u",
                       text_quote(quoted, sizeof quoted, text, length), t->count - 1);
    if (length > TK_MAX_TOKEN_BYTES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "token %" PRIu64 " has %zu bytes", id, length);
    char *copy = arena_strndup(&t->arena, text, length);
    if (!copy) return err_nomem(err, "reading the vocabulary");
    t->tokens[id] = (tk_token){ copy, (uint32_t)length, 0 };
    return TOLA_OK;
}

tola_status tk_regex(tola_tokenizer *t, const char *pattern, size_t length, regex **out, tola_error *err) {
    if (!mem_grow(&t->regexes, &t->regex_cap, t->regex_count + 1, sizeof *t->regexes))
        return err_nomem(err, "compiling a pattern");
    TRY(regex_compile(pattern, length, out, err));
    t->regexes[t->regex_count++] = *out;
    return TOLA_OK;
}

/* ---- what follows from the vocabulary ---- */

/* GPT-2's spelling undone; false where the token is no spelling of bytes. */
static bool unspell(tola_tokenizer *t, const tk_token *token, const char **out, uint32_t *length) {
    char *bytes = arena_alloc(&t->arena, token->length + 1u);
    uint32_t n = 0;
    if (!bytes) return false;
    for (uint32_t i = 0; i < token->length;) {
        uint32_t c;
        i += utf8_next(token->text + i, &c);
        int b = tk_byte_of_char(c);
        if (b < 0) return false;
        bytes[n++] = (char)b;
    }
    *out = bytes;
    *length = n;
    return true;
}

static tola_status make_model_table(tola_tokenizer *t, tola_error *err) {
    tk_model *m = &t->model;
    if (!token_table_init(&t->model_table, t->count)) return err_nomem(err, "reading the vocabulary");
    double least = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const tk_token *token = &t->tokens[i];
        const char *text = token->text;
        uint32_t length = token->length;
        if ((token->flags & (TOLA_TOKEN_UNUSED | TK_HIDDEN)) || length == 0) continue;
        if (m->scores && m->scores[i] < least) least = m->scores[i];
        if (m->bytes && utf8_valid(text, length) && !unspell(t, token, &text, &length)) continue;
        token_table_add(&t->model_table, text, length, i);
        if (length > m->longest) m->longest = length;
    }
    m->unk_score = least - 10;
    return TOLA_OK;
}

static void find_bytes(tola_tokenizer *t) {
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        int n = snprintf(name, sizeof name, "<0x%02X>", i);
        t->model.byte_ids[i] = token_table_find(&t->table, name, (size_t)n);
    }
}

/* Added tokens that are looked for in normalized text are normalized themselves, and decode so. */
static tola_status normalize_one(tola_tokenizer *t, uint32_t number, tola_error *err) {
    tk_added *a = &t->added[number];
    buf text;
    buf_init(&text, 0);
    tola_status status = tk_normalize(t, a->text, a->length, &text, err);
    char *copy = status == TOLA_OK ? arena_strndup(&t->arena, (const char *)text.data, text.length) : NULL;
    if (copy) {
        a->text = copy;
        a->length = (uint32_t)text.length;
        t->respelled[a->id] = number + 1;
    } else if (status == TOLA_OK) {
        status = err_nomem(err, "reading added tokens");
    }
    buf_free(&text);
    return status;
}

static tola_status normalize_added(tola_tokenizer *t, tola_error *err) {
    if (t->decode_count && t->decodes[0].kind == TK_DECODE_PIECES) return TOLA_OK; /* SentencePiece: as spelled */
    for (size_t i = 0; i < t->added_count && t->normal_count; i++) {
        if (!t->added[i].normalized) continue;
        if (!t->respelled) {
            t->respelled = arena_alloc_array(&t->arena, t->count, sizeof *t->respelled);
            if (!t->respelled) return err_nomem(err, "reading added tokens");
            memset(t->respelled, 0, t->count * sizeof *t->respelled);
        }
        TRY(normalize_one(t, (uint32_t)i, err));
    }
    return TOLA_OK;
}

tola_status tk_finish(tola_tokenizer *t, tola_error *err) {
    token_table_free(&t->table); /* loaders may have made one of part of the tokens */
    if (!token_table_init(&t->table, t->count)) return err_nomem(err, "reading the vocabulary");
    for (uint32_t i = 0; i < t->count; i++)
        if (!(t->tokens[i].flags & TOLA_TOKEN_UNUSED))
            token_table_add(&t->table, t->tokens[i].text, t->tokens[i].length, i);
    TRY(make_model_table(t, err));
    TRY(tk_prepare_normals(t, err));
    if (t->model.kind == TK_BPE_SCORES) TRY(tk_rank_scores(t, err));
    TRY(tk_find_seams(t, err));
    if (t->model.byte_fallback) find_bytes(t);
    if (t->model.kind == TK_UNIGRAM) TRY(unigram_prepare(t, err));
    TRY(normalize_added(t, err));
    t->raw = tk_trie_new(t, false);
    t->normalized = tk_trie_new(t, true);
    return t->raw && t->normalized ? TOLA_OK : err_nomem(err, "reading added tokens");
}

/* ---- looking ---- */

uint32_t tola_tokenizer_size(const tola_tokenizer *t) { return t->count; }

const char *tola_token_text(const tola_tokenizer *t, uint32_t id, size_t *length, unsigned *flags) {
    if (id >= t->count) return NULL;
    *length = t->tokens[id].length;
    if (flags) *flags = t->tokens[id].flags & ~(unsigned)TK_HIDDEN;
    return t->tokens[id].text;
}

uint32_t tola_token_find(const tola_tokenizer *t, const char *text, size_t length) {
    return token_table_find(&t->table, text, length);
}

/* ---- text to ids ---- */

typedef struct encoder {
    const tola_tokenizer *t;
    tk_scratch scratch;
    tk_ids out;
    tk_runs plain; /* of the text as given */
} encoder;

/* Positions in normalized text are not those of the runs: there all of a piece is only text, or nothing. */
static const tola_text_run everything = { 0, SIZE_MAX };
static const tk_runs all_plain = { &everything, 1 }, none_plain = { NULL, 0 };

static tola_status take_word(void *user, const char *word, size_t length, tola_error *err) {
    encoder *e = user;
    return tk_model_word(e->t, &e->scratch, word, length, &e->out, err);
}

static tola_status put_id(encoder *e, uint32_t id, tola_error *err) {
    return tk_put(&e->out, id) ? TOLA_OK : err_nomem(err, "tokenizing");
}

/* Normalized text: the added tokens that are looked for here, and words between them. */
static tola_status encode_normalized(encoder *e, const char *text, size_t length, const tk_runs *plain, bool first,
                                     tola_error *err) {
    size_t at = 0, from = 0, begin, end;
    const tk_added *a;
    while (tk_trie_find(e->t->normalized, e->t, text, length, at, &from, plain, &begin, &end, &a)) {
        if (begin > at)
            TRY(tk_pretokenize(e->t, &e->scratch, text + at, begin - at, first && at == 0, take_word, e, err));
        TRY(put_id(e, a->id, err));
        at = end;
    }
    return tk_pretokenize(e->t, &e->scratch, text + at, length - at, first && at == 0, take_word, e, err);
}

/* text[at, end) between added tokens. */
static tola_status encode_piece(encoder *e, const char *text, size_t at, size_t end, tola_error *err) {
    const tk_runs *plain = tk_runs_touch(&e->plain, at, end) ? &all_plain : &none_plain;
    const bool first = at == 0;
    const size_t length = end - at;
    text += at;
    if (length == 0) return TOLA_OK;
    if (e->t->normal_count == 0) return encode_normalized(e, text, length, plain, first, err);
    buf normal;
    buf_init(&normal, 0);
    tola_status status = tk_normalize(e->t, text, length, &normal, err);
    if (status == TOLA_OK && normal.length)
        status = encode_normalized(e, (const char *)normal.data, normal.length, plain, first, err);
    buf_free(&normal);
    return status;
}

static tola_status encode_text(encoder *e, const char *text, size_t length, tola_error *err) {
    size_t at = 0, from = 0, begin, end;
    const tk_added *a;
    while (tk_trie_find(e->t->raw, e->t, text, length, at, &from, &e->plain, &begin, &end, &a)) {
        if (begin > at) TRY(encode_piece(e, text, at, begin, err));
        TRY(put_id(e, a->id, err));
        at = end;
    }
    return encode_piece(e, text, at, length, err);
}

/* How far text[0, length) follows the rules of a character (at least 1 byte), and how many bytes that has; *want is 0
 * where the first byte begins none (Unicode 16, 3.9, table 3-7). */
static size_t char_part(const char *text, size_t length, size_t *want) {
    uint8_t lead = (uint8_t)text[0];
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    size_t have = 1;
    *want = lead < 0x80                   ? 1
            : lead >= 0xc2 && lead < 0xe0 ? 2
            : lead >= 0xe0 && lead < 0xf0 ? 3
            : lead >= 0xf0 && lead < 0xf5 ? 4
                                          : 0;
    for (; have < *want && have < length; have++, low = 0x80, high = 0xbf)
        if ((uint8_t)text[have] < low || (uint8_t)text[have] > high) break;
    return have;
}

size_t tk_char_length(const char *text, size_t length) {
    size_t want, have = char_part(text, length, &want);
    return have == want ? have : 0;
}

bool tk_may_go_on(const char *text, size_t length) {
    size_t want, have = char_part(text, length, &want);
    return have == length && have < want;
}

/* Maximal parts of broken sequences become one U+FFFD. */
void tk_repair(const char *text, size_t length, buf *out) {
    for (size_t i = 0; i < length;) {
        size_t want, have = char_part(text + i, length - i, &want);
        bool good = have == want;
        buf_append(out, good ? text + i : "\xef\xbf\xbd", good ? have : 3);
        i += have;
    }
}

static tola_status encode_all(encoder *e, const char *text, size_t length, unsigned flags, tola_error *err) {
    const tola_tokenizer *t = e->t;
    if (flags & TOLA_TOKENIZE_SPECIAL)
        for (size_t i = 0; i < t->before_count; i++) TRY(put_id(e, t->before[i], err));
    if (utf8_valid(text, length)) {
        TRY(encode_text(e, text, length, err));
    } else {
        buf fixed;
        buf_init(&fixed, TK_MOST_TEXT);
        tk_repair(text, length, &fixed);
        tola_status status =
            fixed.failed ? err_nomem(err, "tokenizing") : encode_text(e, (const char *)fixed.data, fixed.length, err);
        buf_free(&fixed);
        TRY(status);
    }
    if (flags & TOLA_TOKENIZE_SPECIAL)
        for (size_t i = 0; i < t->after_count; i++) TRY(put_id(e, t->after[i], err));
    return TOLA_OK;
}

static tola_status encode(const tola_tokenizer *t, const char *text, size_t length, unsigned flags, tk_runs plain,
                          uint32_t **ids, size_t *count, tola_error *err) {
    encoder e = { .t = t, .plain = flags & TOLA_TOKENIZE_PLAIN ? all_plain : plain };
    tola_status status = encode_all(&e, text, length, flags, err);
    if (status == TOLA_OK && !mem_grow(&e.out.ids, &e.out.cap, 1, sizeof *e.out.ids))
        status = err_nomem(err, "tokenizing"); /* so that *ids is never NULL */
    tk_scratch_free(&e.scratch);
    if (status != TOLA_OK) {
        mem_free(e.out.ids);
        return status;
    }
    *ids = e.out.ids;
    *count = e.out.count;
    return TOLA_OK;
}

tola_status tola_tokenize(const tola_tokenizer *t, const char *text, size_t length, unsigned flags, uint32_t **ids,
                          size_t *count, tola_error *err) {
    return encode(t, text, length, flags, none_plain, ids, count, err);
}

tola_status tola_tokenize_runs(const tola_tokenizer *t, const char *text, size_t length, unsigned flags,
                               const tola_text_run *plain, size_t plain_count, uint32_t **ids, size_t *count,
                               tola_error *err) {
    size_t at = 0;
    for (size_t i = 0; i < plain_count; i++) {
        if (plain[i].offset < at || plain[i].offset > length || plain[i].length > length - plain[i].offset)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "run %zu is out of order or beyond the text's %zu bytes", i,
                           length);
        at = plain[i].offset + plain[i].length;
    }
    if (!utf8_valid(text, length))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a text with runs must be valid UTF-8");
    return encode(t, text, length, flags, (tk_runs){ plain, plain_count }, ids, count, err);
}
