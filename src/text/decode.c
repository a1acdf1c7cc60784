/* Ids back to text: decoders change a list of strings, one a token, which are then joined (Hugging Face's tokenizers,
 * decoders/). */
#include "base/text.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

#include <inttypes.h>
#include <string.h>

typedef struct strings {
    buf bytes; /* of all, one after the other */
    size_t *ends;
    size_t count, cap;
} strings;

static bool close_string(strings *s) {
    if (!mem_grow(&s->ends, &s->cap, s->count + 1, sizeof *s->ends)) return false;
    s->ends[s->count++] = s->bytes.length;
    return !s->bytes.failed;
}

static void strings_init(strings *s) {
    *s = (strings){ 0 };
    buf_init(&s->bytes, 0);
}

static void strings_free(strings *s) {
    buf_free(&s->bytes);
    mem_free(s->ends);
}

static const char *at(const strings *s, size_t i, size_t *length) {
    size_t begin = i ? s->ends[i - 1] : 0;
    *length = s->ends[i] - begin;
    return (const char *)s->bytes.data + begin;
}

static bool put_string(strings *s, const char *text, size_t length) {
    buf_append(&s->bytes, text, length);
    return close_string(s);
}

/* ---- decoders ---- */

void tk_replace(const char *text, size_t length, tola_string from, tola_string to, buf *out) {
    for (size_t i = 0; i < length;) {
        if (from.length && length - i >= from.length && memcmp(text + i, from.data, from.length) == 0) {
            buf_append(out, to.data, to.length);
            i += from.length;
        } else {
            buf_u8(out, (uint8_t)text[i++]);
        }
    }
}

static tola_status replace_pattern(const tk_decode *d, const char *text, size_t length, buf *out, tola_error *err) {
    tk_normal n = { .kind = TK_REPLACE, .pattern = d->pattern, .to = d->to };
    if (utf8_valid(text, length)) return tk_normalize_step(&n, text, length, out, err);
    buf repaired; /* bytes that a decoder before has put together need not be text */
    buf_init(&repaired, TK_MOST_TEXT);
    tk_repair(text, length, &repaired);
    tola_status status = repaired.failed ? err_nomem(err, "detokenizing")
                                         : tk_normalize_step(&n, (char *)repaired.data, repaired.length, out, err);
    buf_free(&repaired);
    return status;
}

/* Runs of byte tokens become text where they are valid UTF-8, else one token U+FFFD a byte. */
static bool byte_fallback(const strings *in, strings *out) {
    for (size_t i = 0; i < in->count;) {
        size_t n;
        const char *text = at(in, i, &n);
        if (token_byte(text, n) < 0) {
            if (!put_string(out, text, n)) return false;
            i++;
            continue;
        }
        size_t begin = out->bytes.length, first = i;
        for (; i < in->count; i++) {
            text = at(in, i, &n);
            int b = token_byte(text, n);
            if (b < 0) break;
            buf_u8(&out->bytes, (uint8_t)b);
        }
        if (out->bytes.failed) return false;
        if (!utf8_valid((const char *)out->bytes.data + begin, out->bytes.length - begin)) {
            out->bytes.length = begin;
            for (size_t k = first; k < i; k++)
                if (!put_string(out, "\xef\xbf\xbd", 3)) return false;
            continue;
        }
        if (!close_string(out)) return false;
    }
    return true;
}

/* The bytes that a token's characters stand for; a token with others keeps its own bytes. */
static void spelled_bytes(const char *text, size_t length, buf *out) {
    size_t start = out->length;
    for (size_t i = 0; i < length;) {
        uint32_t c;
        bool character = tk_char_length(text + i, length - i) > 0; /* tokens of GGUF and SentencePiece are any bytes */
        if (character) i += utf8_next(text + i, &c);
        int b = character ? tk_byte_of_char(c) : -1;
        if (b < 0) {
            out->length = start;
            buf_append(out, text, length);
            return;
        }
        buf_u8(out, (uint8_t)b);
    }
}

static void metaspace(const tk_decode *d, bool first, const char *text, size_t length, buf *out) {
    tola_string space = { " ", first && d->drop_first ? 0 : 1 }; /* of the first token all go */
    tk_replace(text, length, d->text, space, out);
}

/* The clean-up that BERT's decoder does, replacement after replacement. */
static bool clean_up(buf *piece) {
    static const char *const pairs[][2] = { { " .", "." },     { " ?", "?" },           { " !", "!" },
                                            { " ,", "," },     { " ' ", "'" },          { " n't", "n't" },
                                            { " 'm", "'m" },   { " do not", " don't" }, { " 's", "'s" },
                                            { " 've", "'ve" }, { " 're", "'re" } };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        buf next;
        buf_init(&next, 0);
        tk_replace((const char *)piece->data, piece->length, (tola_string){ pairs[i][0], strlen(pairs[i][0]) },
                   (tola_string){ pairs[i][1], strlen(pairs[i][1]) }, &next);
        buf old = *piece;
        *piece = next;
        buf_free(&old);
    }
    return !piece->failed;
}

static bool wordpiece(const tk_decode *d, bool first, const char *text, size_t length, buf *out) {
    buf piece;
    buf_init(&piece, 0);
    bool goes_on = length >= d->text.length && memcmp(text, d->text.data, d->text.length) == 0;
    if (!first && goes_on) {
        buf_append(&piece, text + d->text.length, length - d->text.length);
    } else {
        if (!first) buf_u8(&piece, ' ');
        buf_append(&piece, text, length);
    }
    bool good = !d->cleanup || clean_up(&piece);
    buf_append(out, piece.data, piece.length);
    buf_free(&piece);
    return good;
}

/* Of equal tokens in a row one stays, without what stands for nothing (Graves et al. 2006). */
static bool ctc(const tk_decode *d, const strings *in, strings *out) {
    for (size_t i = 0; i < in->count; i++) {
        size_t n, before = 0;
        const char *text = at(in, i, &n), *last = i ? at(in, i - 1, &before) : "";
        if (i && n == before && memcmp(text, last, n) == 0) continue;
        buf piece;
        buf_init(&piece, 0);
        tk_replace(text, n, d->text, (tola_string){ "", 0 }, &piece);
        bool good = !d->cleanup || clean_up(&piece);
        size_t start = out->bytes.length;
        tola_string space = d->cleanup ? d->to : (tola_string){ "", 0 };
        tk_replace((const char *)piece.data, piece.length, space, (tola_string){ " ", 1 }, &out->bytes);
        good = good && !piece.failed;
        buf_free(&piece);
        if (!good || (out->bytes.length > start && !close_string(out))) return false;
    }
    return !out->bytes.failed;
}

static void suffix(const tk_decode *d, bool last, const char *text, size_t length, buf *out) {
    tola_string to = { " ", last ? 0 : 1 };
    tk_replace(text, length, d->text, to, out);
}

static void strip(const tk_decode *d, const char *text, size_t length, buf *out) {
    size_t begin = 0, n = d->text.length;
    for (uint32_t i = 0; n && i < d->start && length - begin >= n && memcmp(text + begin, d->text.data, n) == 0; i++)
        begin += n;
    for (uint32_t i = 0; n && i < d->stop && length - begin >= n && memcmp(text + length - n, d->text.data, n) == 0;
         i++)
        length -= n;
    buf_append(out, text + begin, length - begin);
}

tola_status tk_decode_one(const tk_decode *d, bool first, bool last, const char *text, size_t n, buf *out,
                          tola_error *err) {
    bool good = true;
    switch ((tk_decode_kind)d->kind) {
    case TK_DECODE_BYTES: spelled_bytes(text, n, out); break;
    case TK_DECODE_METASPACE: metaspace(d, first, text, n, out); break;
    case TK_DECODE_WORDPIECE: good = wordpiece(d, first, text, n, out); break;
    case TK_DECODE_SUFFIX: suffix(d, last, text, n, out); break;
    case TK_DECODE_STRIP: strip(d, text, n, out); break;
    case TK_DECODE_REPLACE:
        if (d->pattern)
            TRY(replace_pattern(d, text, n, out, err));
        else
            tk_replace(text, n, d->text, d->to, out);
        break;
    default: buf_append(out, text, n); break;
    }
    return good && !out->failed ? TOLA_OK : err_nomem(err, "detokenizing");
}

static tola_status decode_step(const tk_decode *d, const strings *in, strings *out, tola_error *err) {
    if (d->kind == TK_DECODE_BYTE_FALLBACK) return byte_fallback(in, out) ? TOLA_OK : err_nomem(err, "detokenizing");
    if (d->kind == TK_DECODE_CTC) return ctc(d, in, out) ? TOLA_OK : err_nomem(err, "detokenizing");
    bool fuse = d->kind == TK_DECODE_FUSE || d->kind == TK_DECODE_BYTES;
    for (size_t i = 0; i < in->count; i++) {
        size_t n;
        const char *text = at(in, i, &n);
        TRY(tk_decode_one(d, i == 0, i + 1 == in->count, text, n, &out->bytes, err));
        if (!fuse && !close_string(out)) return err_nomem(err, "detokenizing");
    }
    return !fuse || in->count == 0 || close_string(out) ? TOLA_OK : err_nomem(err, "detokenizing");
}

/* ---- the whole ---- */

tola_string tk_decoded(const tola_tokenizer *t, uint32_t id) {
    uint32_t number = t->respelled ? t->respelled[id] : 0;
    if (number) return (tola_string){ t->added[number - 1].text, t->added[number - 1].length };
    return (tola_string){ t->tokens[id].text, t->tokens[id].length };
}

tola_status tk_check_id(const tola_tokenizer *t, uint32_t id, tola_error *err) {
    if (id < t->count && !(t->tokens[id].flags & TOLA_TOKEN_UNUSED)) return TOLA_OK;
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "id %" PRIu32 " has no text; the vocabulary has %" PRIu32, id,
                   t->count);
}

static tola_status list_tokens(const tola_tokenizer *t, const uint32_t *ids, size_t count, unsigned flags, strings *out,
                               tola_error *err) {
    bool no_decoder = t->decode_count == 0, more = false;
    for (size_t i = 0; i < count; i++) {
        TRY(tk_check_id(t, ids[i], err));
        const tk_token *token = &t->tokens[ids[i]];
        if ((flags & TOLA_DETOKENIZE_SKIP_SPECIAL) && (token->flags & TOLA_TOKEN_SPECIAL)) continue;
        if (no_decoder && more) buf_u8(&out->bytes, ' ');
        more = true;
        if (!put_string(out, tk_decoded(t, ids[i]).data, tk_decoded(t, ids[i]).length))
            return err_nomem(err, "detokenizing");
    }
    return TOLA_OK;
}

tola_status tk_decode_list(const tola_tokenizer *t, const uint32_t *ids, size_t count, unsigned flags, buf *out,
                           tola_error *err) {
    strings now, next;
    strings_init(&now);
    tola_status status = list_tokens(t, ids, count, flags, &now, err);
    for (size_t i = 0; i < t->decode_count && status == TOLA_OK; i++) {
        strings_init(&next);
        status = decode_step(&t->decodes[i], &now, &next, err);
        strings_free(&now);
        now = next;
    }
    if (status == TOLA_OK) tk_repair((const char *)now.bytes.data, now.bytes.length, out);
    strings_free(&now);
    return status;
}

tola_status tola_detokenize(const tola_tokenizer *t, const uint32_t *ids, size_t count, unsigned flags, char **text,
                            size_t *length, tola_error *err) {
    buf out;
    buf_init(&out, TK_MOST_TEXT);
    tola_status status = TOLA_OK;
    if (t->decode_count == 1 && t->decodes[0].kind == TK_DECODE_PIECES)
        status = tk_decode_pieces(t, ids, count, flags, &out, err);
    else
        status = tk_decode_list(t, ids, count, flags, &out, err);
    if (status == TOLA_OK) {
        *length = out.length;
        buf_u8(&out, 0);
        if (out.failed) status = err_nomem(err, "detokenizing");
    }
    if (status == TOLA_OK)
        *text = (char *)out.data;
    else
        buf_free(&out);
    return status;
}
