/* Normalizers: text to text, as in Hugging Face's tokenizers (normalizers/) and SentencePiece (normalizer.cc,
 * builder.cc). */
#define _GNU_SOURCE 1 /* memmem */
#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#include <string.h>

/* ---- single characters ---- */

static void put_char(buf *out, uint32_t c) {
    char text[4];
    buf_append(out, text, utf8_put(c, text));
}

/* Lower case of one character. Only U+0130 becomes two (SpecialCasing.txt, without conditions). */
static void put_lower(buf *out, uint32_t c) {
    if (c == 0x130) {
        put_char(out, 'i');
        put_char(out, 0x307);
    } else {
        put_char(out, unicode_to_lower(c));
    }
}

static void lowercase(const char *text, size_t length, buf *out) {
    for (size_t i = 0; i < length;) {
        uint32_t c;
        i += utf8_next(text + i, &c);
        put_lower(out, c);
    }
}

static void drop_marks(const char *text, size_t length, buf *out) {
    for (size_t i = 0; i < length;) {
        uint32_t c;
        unsigned n = utf8_next(text + i, &c);
        if (c < 0x300 || !unicode_in(unicode_marks, unicode_marks_count, c)) buf_append(out, text + i, n);
        i += n;
    }
}

/* ---- spaces ---- */

static void strip(const tk_normal *s, const char *text, size_t length, buf *out) {
    size_t begin = 0, end = length;
    uint32_t c;
    while (s->left && begin < end) {
        unsigned n = utf8_next(text + begin, &c);
        if (!unicode_is_space(c)) break;
        begin += n;
    }
    while (s->right && end > begin) {
        size_t at = end - 1;
        while (at > begin && ((uint8_t)text[at] & 0xc0) == 0x80) at--;
        utf8_next(text + at, &c);
        if (!unicode_is_space(c)) break;
        end = at;
    }
    buf_append(out, text + begin, end - begin);
}

/* SentencePiece: runs of spaces become one, those at the ends go, one is put before, all become U+2581. */
static void sentencepiece_spaces(const tk_normal *s, const char *text, size_t length, buf *out) {
    static const char mark[] = "\xe2\x96\x81";
    size_t begin = 0, end = length;
    if (s->collapse) {
        while (begin < end && text[begin] == ' ') begin++;
        if (begin == end) return;
        for (size_t n = 1; n && end > begin; end -= n) /* at the end a mark that the text has counts as a space */
            n = text[end - 1] == ' ' ? 1 : end - begin >= 3 && memcmp(text + end - 3, mark, 3) == 0 ? 3 : 0;
    }
    if (begin == end && !(length && s->as_suffix)) return;
    if (s->dummy_prefix && !s->as_suffix) buf_append(out, mark, 3);
    for (size_t i = begin; i < end; i++) {
        if (text[i] != ' ') {
            buf_u8(out, (uint8_t)text[i]);
            continue;
        }
        if (s->collapse && i > begin && text[i - 1] == ' ') continue;
        buf_append(out, mark, 3);
    }
    if (s->dummy_prefix && s->as_suffix) buf_append(out, mark, 3);
}

/* ---- BERT ---- */

/* NUL, U+FFFD and controls, but for the three that are spaces. */
static bool is_dropped(uint32_t c) {
    if (c < 0x7f) return c < ' ' && c != '\t' && c != '\n' && c != '\r';
    return unicode_in(unicode_dropped, unicode_dropped_count, c);
}

static bool is_chinese(uint32_t c) {
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static tola_status bert(const tk_normal *b, const char *text, size_t length, buf *out, tola_error *err) {
    buf clean, flat;
    buf_init(&clean, 0);
    buf_init(&flat, 0);
    for (size_t i = 0; i < length;) {
        uint32_t c;
        i += utf8_next(text + i, &c);
        if (b->clean && is_dropped(c)) continue;
        if (b->clean && unicode_is_space(c)) c = ' ';
        bool alone = b->chinese && is_chinese(c);
        if (alone) buf_u8(&clean, ' ');
        put_char(&clean, c);
        if (alone) buf_u8(&clean, ' ');
    }
    const buf *last = &clean;
    tola_status status = TOLA_OK;
    if (b->accents) {
        buf apart;
        buf_init(&apart, 0);
        if (!unicode_normalize(UNICODE_NFD, b->touched, (const char *)clean.data, clean.length, &apart))
            flat.failed = true;
        for (size_t i = 0; i < apart.length;) {
            uint32_t c;
            unsigned n = utf8_next((const char *)apart.data + i, &c);
            if (c < 0x300 || !unicode_in(unicode_nonspacing, unicode_nonspacing_count, c))
                buf_append(&flat, apart.data + i, n);
            i += n;
        }
        buf_free(&apart);
        last = &flat;
    }
    if (b->lowercase)
        lowercase((const char *)last->data, last->length, out);
    else
        buf_append(out, last->data, last->length);
    if (status == TOLA_OK && (clean.failed || flat.failed)) status = err_nomem(err, "normalizing text");
    buf_free(&clean);
    buf_free(&flat);
    return status;
}

/* ---- replacing ---- */

static tola_status replace(const tk_normal *r, const char *text, size_t length, buf *out, tola_error *err) {
    size_t at = 0;
    if (!r->pattern) {
        if (r->from.length == 0) {
            buf_append(out, text, length);
            return TOLA_OK;
        }
        while (length - at >= r->from.length) {
            const char *hit = memmem(text + at, length - at, r->from.data, r->from.length);
            if (!hit) break;
            buf_append(out, text + at, (size_t)(hit - text) - at);
            buf_append(out, r->to.data, r->to.length);
            at = (size_t)(hit - text) + r->from.length;
        }
        buf_append(out, text + at, length - at);
        return TOLA_OK;
    }
    regex_match *m = regex_match_new(r->pattern);
    if (!m) return err_nomem(err, "normalizing text");
    tola_status status = TOLA_OK;
    size_t last = SIZE_MAX; /* the end of the match before: an empty one does not follow at once */
    for (size_t from = 0; from <= length;) {
        bool found;
        size_t begin, end;
        status = regex_next(r->pattern, m, text, length, from, &found, &begin, &end, err);
        if (status != TOLA_OK || !found) break;
        buf_append(out, text + at, begin - at);
        if (end > begin || begin != last) buf_append(out, r->to.data, r->to.length);
        at = last = end;
        from = end > begin ? end : end < length ? end + utf8_bytes(text[end]) : length + 1;
    }
    regex_match_free(m);
    buf_append(out, text + at, length - at);
    return status;
}

/* What the "Nmt" normalizer of Hugging Face's tokenizers drops and turns into spaces. */
static void nmt(const char *text, size_t length, buf *out) {
    for (size_t i = 0; i < length;) {
        uint32_t c;
        unsigned n = utf8_next(text + i, &c);
        bool dropped = (c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f;
        bool space = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
                     c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
        if (space)
            buf_u8(out, ' ');
        else if (!dropped)
            buf_append(out, text + i, n);
        i += n;
    }
}

static void spell_bytes(const char *text, size_t length, buf *out) {
    for (size_t i = 0; i < length; i++) {
        char c[2];
        buf_append(out, c, tk_char_of_byte((uint8_t)text[i], c));
    }
}

tola_status tk_normalize_step(const tk_normal *n, const char *text, size_t length, buf *out, tola_error *err) {
    switch ((tk_normal_kind)n->kind) {
    case TK_NFC:
    case TK_NFD:
    case TK_NFKC:
    case TK_NFKD:
        if (!unicode_normalize((unicode_form)(n->kind - TK_NFC), n->touched, text, length, out))
            return err_nomem(err, "normalizing text");
        break;
    case TK_LOWERCASE: lowercase(text, length, out); break;
    case TK_STRIP: strip(n, text, length, out); break;
    case TK_STRIP_ACCENTS: drop_marks(text, length, out); break;
    case TK_PREPEND:
        if (length) buf_append(out, n->to.data, n->to.length);
        buf_append(out, text, length);
        break;
    case TK_REPLACE: TRY(replace(n, text, length, out, err)); break;
    case TK_BERT: TRY(bert(n, text, length, out, err)); break;
    case TK_CHARSMAP: charsmap_apply(n->map, text, length, out); break;
    case TK_CHARSMAP_CLUSTERS: charsmap_apply_clusters(n->map, text, length, out); break;
    case TK_NORMAL_BYTES: spell_bytes(text, length, out); break;
    case TK_NMT: nmt(text, length, out); break;
    case TK_SPACES: sentencepiece_spaces(n, text, length, out); break;
    }
    if (out->full)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the normalizers make more than %zu bytes of this text",
                       out->length);
    return out->failed ? err_nomem(err, "normalizing text") : TOLA_OK;
}

tola_status tk_prepare_normals(tola_tokenizer *t, tola_error *err) {
    for (size_t i = 0; i < t->normal_count; i++) {
        tk_normal *n = &t->normals[i];
        if (n->kind > TK_NFKD && n->kind != TK_BERT) continue;
        charset touched = { 0 };
        unicode_form_touches(n->kind == TK_BERT ? UNICODE_NFD : (unicode_form)(n->kind - TK_NFC), &touched);
        n->touched = charset_map_new(&touched);
        charset_free(&touched);
        if (!n->touched) return err_nomem(err, "reading the tokenizer");
    }
    return TOLA_OK;
}

/* No normalizer of a known tokenizer makes more than 18 times the text (NFKC of U+FDFA); a chain of replacements could
 * make any number of bytes of a single one. */
tola_status tk_normalize(const tola_tokenizer *t, const char *text, size_t length, buf *out, tola_error *err) {
    const size_t limit = length < (size_t)1 << 24 ? 64 * length + ((size_t)1 << 20) : 0;
    out->length = 0;
    out->limit = limit;
    if (t->normal_count == 0) {
        buf_append(out, text, length);
        return out->failed ? err_nomem(err, "normalizing text") : TOLA_OK;
    }
    TRY(tk_normalize_step(&t->normals[0], text, length, out, err));
    for (size_t i = 1; i < t->normal_count; i++) {
        buf next;
        buf_init(&next, limit);
        const char *now = out->length ? (const char *)out->data : "";
        tola_status status = tk_normalize_step(&t->normals[i], now, out->length, &next, err);
        buf swap = *out;
        *out = next;
        buf_free(&swap);
        TRY(status);
    }
    return TOLA_OK;
}
