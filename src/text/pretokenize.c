/* Pre-tokenizers: each step cuts the pieces of the step before, as Hugging Face's tokenizers do (pre_tokenizers/,
 * NormalizedString::split). Pieces go straight to the next step; nothing is listed that need not be. */
#define _GNU_SOURCE 1 /* memmem */
#include "base/utf8.h"
#include "text/tokenizer.h"

#include <string.h>

typedef struct cutter {
    const tola_tokenizer *t;
    tk_scratch *s;
    tk_word_fn word;
    void *user;
} cutter;

typedef struct piece {
    size_t begin, end;
    bool match;
} piece;

typedef struct pieces {
    piece *items;
    size_t count, cap;
} pieces;

static tola_status cut(const cutter *c, size_t step, bool spelled, const char *text, size_t length, bool first,
                       tola_error *err);

/* ---- GPT-2's spelling of bytes: printable ones as themselves, the rest from U+0100 on ---- */

static bool is_plain(unsigned b) { return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae; }

unsigned tk_char_of_byte(uint8_t byte, char out[2]) {
    uint32_t c = byte;
    if (!is_plain(byte)) {
        uint32_t n = 0;
        for (unsigned b = 0; b < byte; b++) n += !is_plain(b);
        c = 256 + n;
    }
    char four[4];
    unsigned length = utf8_put(c, four);
    memcpy(out, four, length);
    return length;
}

int tk_byte_of_char(uint32_t c) {
    if (c < 256) return is_plain(c) ? (int)c : -1;
    uint32_t n = c - 256;
    for (unsigned b = 0; b < 256; b++)
        if (!is_plain(b) && n-- == 0) return (int)b;
    return -1;
}

static tola_status emit(const cutter *c, bool spelled, const char *text, size_t length, tola_error *err) {
    if (!spelled || !c->t->model.bytes) return c->word(c->user, text, length, err);
    buf bytes;
    buf_init(&bytes, 0);
    for (size_t i = 0; i < length;) {
        uint32_t ch;
        i += utf8_next(text + i, &ch);
        int b = tk_byte_of_char(ch);
        if (b >= 0) buf_u8(&bytes, (uint8_t)b);
    }
    tola_status status =
        bytes.failed ? err_nomem(err, "cutting text") : c->word(c->user, (const char *)bytes.data, bytes.length, err);
    buf_free(&bytes);
    return status;
}

/* ---- split ---- */

static tola_status next_match(const cutter *c, size_t step, const char *text, size_t length, size_t from, bool *found,
                              size_t *begin, size_t *end, tola_error *err) {
    const tk_pre *p = &c->t->pres[step];
    if (p->pattern) {
        regex_match **m = &c->s->matches[step];
        if (!*m && !(*m = regex_match_new(p->pattern))) return err_nomem(err, "cutting text");
        return regex_next(p->pattern, *m, text, length, from, found, begin, end, err);
    }
    const char *hit = memmem(text + from, length - from, p->literal.data, p->literal.length);
    *found = hit != NULL;
    if (hit) {
        *begin = (size_t)(hit - text);
        *end = *begin + p->literal.length;
    }
    return TOLA_OK;
}

/* Matches and what lies between them, each on its way at once. */
static tola_status cut_isolated(const cutter *c, size_t step, bool spelled, const char *text, size_t length, bool first,
                                bool matches, bool others, tola_error *err) {
    size_t at = 0, from = 0;
    while (from <= length) {
        bool found;
        size_t begin = length, end = length;
        TRY(next_match(c, step, text, length, from, &found, &begin, &end, err));
        if (!found) break;
        if (others && begin > at) TRY(cut(c, step + 1, spelled, text + at, begin - at, first && at == 0, err));
        if (matches && end > begin) TRY(cut(c, step + 1, spelled, text + begin, end - begin, first && begin == 0, err));
        at = end;
        from = end > begin ? end : end < length ? end + utf8_bytes(text[end]) : length + 1;
    }
    if (others && at < length) TRY(cut(c, step + 1, spelled, text + at, length - at, first && at == 0, err));
    return TOLA_OK;
}

static bool add_piece(pieces *p, size_t begin, size_t end, bool match) {
    if (!mem_grow(&p->items, &p->cap, p->count + 1, sizeof *p->items)) return false;
    p->items[p->count++] = (piece){ begin, end, match };
    return true;
}

static tola_status list_pieces(const cutter *c, size_t step, const char *text, size_t length, pieces *p,
                               tola_error *err) {
    bool invert = c->t->pres[step].invert;
    size_t at = 0, from = 0, last = SIZE_MAX;
    while (from <= length) {
        bool found;
        size_t begin = length, end = length;
        TRY(next_match(c, step, text, length, from, &found, &begin, &end, err));
        if (!found) break;
        bool taken = end > begin || begin != last; /* an empty match keeps what is around it apart */
        if ((begin > at && !add_piece(p, at, begin, invert)) || (taken && !add_piece(p, begin, end, !invert)))
            return err_nomem(err, "cutting text");
        at = last = end;
        from = end > begin ? end : end < length ? end + utf8_bytes(text[end]) : length + 1;
    }
    return at == length || add_piece(p, at, length, invert) ? TOLA_OK : err_nomem(err, "cutting text");
}

/* Joins pieces in place as the behaviour says. */
static void join_pieces(pieces *p, tk_behavior behavior) {
    size_t n = 0;
    if (behavior == TK_MERGED_NEXT) { /* from the right; a match joins what follows it, unless that is a match */
        bool after = false;
        size_t write = p->count;
        for (size_t i = p->count; i-- > 0;) {
            piece here = p->items[i];
            if (here.match && !after && write < p->count)
                p->items[write].begin = here.begin;
            else
                p->items[--write] = here;
            after = here.match;
        }
        memmove(p->items, p->items + write, (p->count - write) * sizeof *p->items);
        p->count -= write;
        return;
    }
    bool before = false;
    for (size_t i = 0; i < p->count; i++) {
        piece here = p->items[i];
        bool join = n > 0 && (behavior == TK_CONTIGUOUS ? here.match == before : here.match && !before);
        if (join)
            p->items[n - 1].end = here.end;
        else
            p->items[n++] = here;
        before = here.match;
    }
    p->count = n;
}

static tola_status cut_joined(const cutter *c, size_t step, bool spelled, const char *text, size_t length, bool first,
                              tola_error *err) {
    pieces p = { 0 };
    tola_status status = list_pieces(c, step, text, length, &p, err);
    if (status == TOLA_OK) join_pieces(&p, (tk_behavior)c->t->pres[step].behavior);
    for (size_t i = 0; i < p.count && status == TOLA_OK; i++)
        status = cut(c, step + 1, spelled, text + p.items[i].begin, p.items[i].end - p.items[i].begin,
                     first && p.items[i].begin == 0, err);
    mem_free(p.items);
    return status;
}

static tola_status cut_split(const cutter *c, size_t step, bool spelled, const char *text, size_t length, bool first,
                             tola_error *err) {
    const tk_pre *p = &c->t->pres[step];
    if (p->behavior == TK_ISOLATED) return cut_isolated(c, step, spelled, text, length, first, true, true, err);
    if (p->behavior == TK_REMOVED)
        return cut_isolated(c, step, spelled, text, length, first, p->invert, !p->invert, err);
    return cut_joined(c, step, spelled, text, length, first, err);
}

/* ---- bytes and spaces ---- */

/* One piece in GPT-2's spelling, for the steps that come after. */
static tola_status cut_spelled(const cutter *c, size_t step, const char *text, size_t length, bool first,
                               tola_error *err) {
    buf own;
    buf_init(&own, 0);
    for (size_t i = 0; i < length; i++) {
        char ch[2];
        buf_append(&own, ch, tk_char_of_byte((uint8_t)text[i], ch));
    }
    tola_status status = own.failed ? err_nomem(err, "cutting text")
                                    : cut(c, step, true, (const char *)own.data, own.length, first, err);
    buf_free(&own);
    return status;
}

static tola_status cut_bytes_and_go_on(const cutter *c, size_t step, const char *text, size_t length, bool first,
                                       tola_error *err) {
    pieces p = { 0 };
    tola_status status = TOLA_OK;
    if (c->t->pres[step].pattern)
        status = list_pieces(c, step, text, length, &p, err);
    else if (!add_piece(&p, 0, length, true))
        status = err_nomem(err, "cutting text");
    for (size_t i = 0; i < p.count && status == TOLA_OK; i++)
        status = cut_spelled(c, step + 1, text + p.items[i].begin, p.items[i].end - p.items[i].begin,
                             first && p.items[i].begin == 0, err);
    mem_free(p.items);
    return status;
}

static tola_status cut_bytes(const cutter *c, size_t step, const char *text, size_t length, bool first,
                             tola_error *err) {
    const tk_pre *p = &c->t->pres[step];
    buf own;
    buf_init(&own, 0);
    bool prefix = p->prefix_space && text[0] != ' ';
    if (prefix) {
        buf_u8(&own, ' ');
        buf_append(&own, text, length);
        text = (const char *)own.data;
        length = own.length;
    }
    tola_status status;
    if (own.failed)
        status = err_nomem(err, "cutting text");
    else if (step + 1 < c->t->pre_count || !c->t->model.bytes)
        status = cut_bytes_and_go_on(c, step, text, length, first, err);
    else if (p->pattern)
        status = cut_isolated(c, step, false, text, length, first, true, true, err);
    else
        status = emit(c, false, text, length, err);
    buf_free(&own);
    return status;
}

static tola_status cut_metaspace(const cutter *c, size_t step, bool spelled, const char *text, size_t length,
                                 bool first, tola_error *err) {
    const tk_pre *p = &c->t->pres[step];
    buf own;
    buf_init(&own, 0);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ')
            buf_append(&own, p->literal.data, p->literal.length);
        else
            buf_u8(&own, (uint8_t)text[i]);
    }
    bool marked = own.length >= p->literal.length && memcmp(own.data, p->literal.data, p->literal.length) == 0;
    if (p->prefix_space && !marked && (first || !p->first_only)) {
        buf with;
        buf_init(&with, 0);
        buf_append(&with, p->literal.data, p->literal.length);
        buf_append(&with, own.data, own.length);
        buf_free(&own);
        own = with;
    }
    tola_status status = own.failed ? err_nomem(err, "cutting text") : TOLA_OK;
    const char *data = (const char *)own.data;
    if (status == TOLA_OK && p->split)
        status = cut_joined(c, step, spelled, data, own.length, first, err);
    else if (status == TOLA_OK)
        status = cut(c, step + 1, spelled, data, own.length, first, err);
    buf_free(&own);
    return status;
}

static tola_status cut(const cutter *c, size_t step, bool spelled, const char *text, size_t length, bool first,
                       tola_error *err) {
    if (length == 0) return TOLA_OK;
    if (step == c->t->pre_count) return emit(c, spelled, text, length, err);
    switch ((tk_pre_kind)c->t->pres[step].kind) {
    case TK_SPLIT: return cut_split(c, step, spelled, text, length, first, err);
    case TK_BYTE_LEVEL: return cut_bytes(c, step, text, length, first, err);
    case TK_METASPACE: return cut_metaspace(c, step, spelled, text, length, first, err);
    }
    return TOLA_OK;
}

tola_status tk_pretokenize(const tola_tokenizer *t, tk_scratch *s, const char *text, size_t length, bool first,
                           tk_word_fn word, void *user, tola_error *err) {
    cutter c = { t, s, word, user };
    return cut(&c, 0, t->model.spelled, text, length, first, err);
}
