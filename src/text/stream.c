/* Ids to text as they come, and what one token adds to a text.
 *
 * Decoders work on lists of tokens (decode.c). Those of all models that write text look at one token alone, or at the
 * text's beginning, so they can run token by token; what does not is decoded when the text is complete. Bytes that do
 * not yet make a character are held back. */
#include "text/tokenizer.h"

#include <string.h>

struct tola_detokenizer {
    const tola_tokenizer *t;
    unsigned flags;
    bool local;
    bool begun;        /* a token was taken: the next is not the first */
    bool written;      /* text was given out or is held back */
    uint32_t to_strip; /* copies of a byte that still may go at the beginning */
    bool single;       /* what is held back came as tokens of single bytes */
    buf held;          /* bytes that are no text yet */
    buf text, token, other;
    tk_ids ids; /* where not local */
};

/* Steps that look at one token alone: those before tokens are joined, but for the suffix, which the last token loses;
 * then none but the stripping of single bytes in front. */
static bool is_local(const tola_tokenizer *t) {
    bool joined = false, bytes = false, stripped = false;
    for (size_t i = 0; i < t->decode_count; i++) {
        const tk_decode *d = &t->decodes[i];
        bool strip = d->kind == TK_DECODE_STRIP && d->stop == 0 && d->text.length == 1 && !stripped;
        if (d->kind == TK_DECODE_SUFFIX || d->kind == TK_DECODE_CTC || (bytes && !joined && d->kind != TK_DECODE_FUSE))
            return false;
        if (joined && !strip && d->kind != TK_DECODE_FUSE) return false;
        stripped = stripped || (joined && strip);
        bytes = bytes || d->kind == TK_DECODE_BYTE_FALLBACK;
        joined = joined || d->kind == TK_DECODE_FUSE || d->kind == TK_DECODE_BYTES;
    }
    return true;
}

static const tk_decode *strip_of(const tola_tokenizer *t) {
    bool joined = false;
    for (size_t i = 0; i < t->decode_count; i++) {
        if (joined && t->decodes[i].kind == TK_DECODE_STRIP) return &t->decodes[i];
        joined = joined || t->decodes[i].kind == TK_DECODE_FUSE || t->decodes[i].kind == TK_DECODE_BYTES;
    }
    return NULL;
}

/* A piece of SentencePiece; `first`: no text is before it (sentencepiece_processor.cc, Decode). */
static void piece_output(const tola_tokenizer *t, uint32_t id, bool first, buf *out, bool *byte) {
    const tk_decode *d = &t->decodes[0];
    const char *text = t->tokens[id].text;
    size_t n = t->tokens[id].length;
    int value = t->model.byte_fallback ? token_byte(text, n) : -1;
    *byte = value >= 0;
    if (value >= 0) {
        buf_u8(out, (uint8_t)value);
    } else if (id == t->model.unk) {
        buf_append(out, d->to.data, d->to.length);
    } else if (t->tokens[id].flags & TOLA_TOKEN_SPECIAL) {
        buf_append(out, text, n);
    } else {
        bool mark = n >= d->text.length && memcmp(text, d->text.data, d->text.length) == 0;
        size_t skip = first && mark && (d->drop_first || d->drop_all) ? d->text.length : 0;
        tk_replace(text + skip, n - skip, d->text, (tola_string){ " ", 1 }, out);
    }
}

/* What a token adds to `out`, the first one or a later one; *byte: it is one byte, perhaps of a character. */
static tola_status output_of(const tola_tokenizer *t, uint32_t id, bool first, buf *out, buf *other, bool *byte,
                             tola_error *err) {
    tola_string spelled = tk_decoded(t, id);
    out->length = 0;
    *byte = false;
    if (t->decode_count && t->decodes[0].kind == TK_DECODE_PIECES) {
        piece_output(t, id, first, out, byte);
    } else {
        if (t->decode_count == 0 && !first) buf_u8(out, ' ');
        buf_append(out, spelled.data, spelled.length);
    }
    for (size_t i = 0; i < t->decode_count && !*byte && !out->failed; i++) {
        const tk_decode *d = &t->decodes[i];
        if (d->kind == TK_DECODE_PIECES || d->kind == TK_DECODE_FUSE) break;
        if (d->kind == TK_DECODE_BYTE_FALLBACK) {
            int value = token_byte((const char *)out->data, out->length);
            *byte = value >= 0;
            if (value < 0) continue;
            out->length = 0;
            buf_u8(out, (uint8_t)value);
            break;
        }
        other->length = 0;
        TRY(tk_decode_one(d, first, false, (const char *)out->data, out->length, other, err));
        buf swap = *out;
        *out = *other;
        *other = swap;
        if (d->kind == TK_DECODE_BYTES) break;
    }
    return out->failed ? err_nomem(err, "detokenizing") : TOLA_OK;
}

tola_status tola_token_bytes(const tola_tokenizer *t, uint32_t id, char *bytes, size_t room, size_t *length,
                             tola_error *err) {
    buf out, other;
    bool byte;
    TRY(tk_check_id(t, id, err));
    *length = 0;
    if (t->tokens[id].flags & TOLA_TOKEN_SPECIAL) return TOLA_OK;
    buf_init(&out, 0);
    buf_init(&other, 0);
    tola_status status = output_of(t, id, false, &out, &other, &byte, err);
    if (status == TOLA_OK) {
        *length = out.length;
        if (out.length && room) memcpy(bytes, out.data, out.length < room ? out.length : room);
    }
    buf_free(&out);
    buf_free(&other);
    return status;
}

/* ---- the stream ---- */

static void restart(tola_detokenizer *d) {
    const tk_decode *strip = strip_of(d->t);
    d->begun = d->written = d->single = false;
    d->to_strip = strip ? strip->start : 0;
    d->held.length = 0;
    d->ids.count = 0;
}

tola_status tola_detokenizer_create(const tola_tokenizer *t, unsigned flags, tola_detokenizer **out, tola_error *err) {
    tola_detokenizer *d = mem_calloc(1, sizeof *d);
    if (!d) return err_nomem(err, "detokenizing");
    d->t = t;
    d->flags = flags;
    d->local = is_local(t);
    buf_init(&d->held, TK_MOST_TEXT);
    buf_init(&d->text, TK_MOST_TEXT);
    buf_init(&d->token, TK_MOST_TEXT);
    buf_init(&d->other, TK_MOST_TEXT);
    restart(d);
    *out = d;
    return TOLA_OK;
}

void tk_stream_goes_on(tola_detokenizer *d) {
    d->begun = d->written = true;
    d->to_strip = 0;
}

void tola_detokenizer_free(tola_detokenizer *d) {
    if (!d) return;
    buf_free(&d->held);
    buf_free(&d->text);
    buf_free(&d->token);
    buf_free(&d->other);
    mem_free(d->ids.ids);
    mem_free(d);
}

/* Bytes at the end that begin a character and may still be completed. */
static size_t unfinished(const char *text, size_t length) {
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        uint8_t b = (uint8_t)text[length - back];
        if ((b & 0xc0) == 0x80) continue;
        unsigned want = b >= 0xf0 && b < 0xf5 ? 4 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xc2 && b < 0xe0 ? 2 : 1;
        return back < want && tk_may_go_on(text + length - back, back) ? back : 0;
    }
    return 0;
}

/* Broken bytes become U+FFFD: each of those that came as tokens of single bytes, else each run (tk_repair). */
static void give(tola_detokenizer *d, size_t length) {
    const char *held = (const char *)d->held.data;
    for (size_t i = 0; i < length && d->single;) {
        size_t n = tk_char_length(held + i, length - i);
        buf_append(&d->text, n ? held + i : "\xef\xbf\xbd", n ? n : 3);
        i += n ? n : 1;
    }
    if (!d->single) tk_repair(held, length, &d->text);
    if (d->held.length > length) memmove(d->held.data, held + length, d->held.length - length);
    d->held.length -= length;
}

static void take(tola_detokenizer *d, bool byte) {
    const char *text = (const char *)d->token.data;
    size_t n = d->token.length;
    const tk_decode *strip = d->to_strip ? strip_of(d->t) : NULL;
    for (; strip && n && d->to_strip && *text == strip->text.data[0]; text++, n--) d->to_strip--;
    if (n) d->to_strip = 0;
    if (byte != d->single) { /* bytes and text do not join to characters */
        if (d->held.length) give(d, d->held.length);
        d->single = byte;
    }
    buf_append(&d->held, text, n);
    d->written = d->written || n;
    give(d, d->held.length - unfinished((const char *)d->held.data, d->held.length));
}

static tola_status take_id(tola_detokenizer *d, uint32_t id, tola_error *err) {
    const tola_tokenizer *t = d->t;
    bool byte, pieces = t->decode_count && t->decodes[0].kind == TK_DECODE_PIECES;
    TRY(tk_check_id(t, id, err));
    if ((d->flags & TOLA_DETOKENIZE_SKIP_SPECIAL) && (t->tokens[id].flags & TOLA_TOKEN_SPECIAL)) return TOLA_OK;
    if (!d->local) return tk_put(&d->ids, id) ? TOLA_OK : err_nomem(err, "detokenizing");
    bool first = pieces ? !d->written : !d->begun;
    TRY(output_of(t, id, first, &d->token, &d->other, &byte, err));
    take(d, byte);
    /* One mark alone goes at the beginning, but where SentencePiece collapses spaces, all. */
    if (pieces && !t->decodes[0].drop_all && first && !byte && t->decodes[0].drop_first)
        d->written = d->written || d->token.length < t->tokens[id].length;
    d->begun = true;
    return d->held.failed || d->text.failed ? err_nomem(err, "detokenizing") : TOLA_OK;
}

tola_status tola_detokenizer_push(tola_detokenizer *d, uint32_t id, const char **text, size_t *length,
                                  tola_error *err) {
    d->text.length = 0;
    TRY(take_id(d, id, err));
    *text = d->text.length ? (const char *)d->text.data : "";
    *length = d->text.length;
    return TOLA_OK;
}

tola_status tola_detokenizer_finish(tola_detokenizer *d, const char **text, size_t *length, tola_error *err) {
    d->text.length = 0;
    tola_status status = TOLA_OK;
    if (d->local)
        give(d, d->held.length);
    else
        status = tk_decode_list(d->t, d->ids.ids, d->ids.count, d->flags, &d->text, err);
    restart(d);
    if (status == TOLA_OK && d->text.failed) status = err_nomem(err, "detokenizing");
    TRY(status);
    *text = d->text.length ? (const char *)d->text.data : "";
    *length = d->text.length;
    return TOLA_OK;
}

tola_status tk_decode_pieces(const tola_tokenizer *t, const uint32_t *ids, size_t count, unsigned flags, buf *out,
                             tola_error *err) {
    tola_detokenizer *d;
    TRY(tola_detokenizer_create(t, flags, &d, err));
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < count && status == TOLA_OK; i++) status = take_id(d, ids[i], err);
    if (status == TOLA_OK) {
        give(d, d->held.length);
        buf_append(out, d->text.data, d->text.length);
        if (d->text.failed) status = err_nomem(err, "detokenizing");
    }
    tola_detokenizer_free(d);
    return status;
}
