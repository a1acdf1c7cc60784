/* See regex.h. Patterns are translated: pcre2's \s knows U+180E, which left White_Space in Unicode 6.3, its \w lacks
 * marks and connectors, and its \d is spelled out likewise. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"
#include "base/err.h"
#include "base/mem.h"

#include <pcre2.h>
#include <string.h>

#define MAX_PATTERN 65536
#define MATCH_LIMIT 10000000  /* steps of the interpreter; the compiled form counts alike */
#define STACK_MOST (1u << 20) /* bytes, of the compiled form */

/* White_Space (Unicode, PropList.txt); \w as Oniguruma's tables have it, which below
 * U+0100 count superscripts and fractions. */
#define SPACES "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe"

struct regex {
    pcre2_code *code;
    pcre2_match_context *context;
};

struct regex_match {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static void put(buf *b, const char *text) { buf_append(b, text, strlen(text)); }

/* One escape; returns the bytes of the pattern that it takes. */
static size_t translate_escape(const char *p, size_t left, bool in_class, buf *out) {
    char c = left > 1 ? p[1] : 0;
    switch (c) {
    case 's': put(out, in_class ? SPACES : "[" SPACES "]"); return 2;
    case 'w': put(out, in_class ? WORD : "[" WORD "]"); return 2;
    case 'd': put(out, "\\p{Nd}"); return 2;
    case 'D': put(out, "\\P{Nd}"); return 2;
    case 'S':
        if (in_class) break;
        put(out, "[^" SPACES "]");
        return 2;
    case 'W':
        if (in_class) break;
        put(out, "[^" WORD "]");
        return 2;
    default: break;
    }
    size_t n = left > 1 ? 2 : 1;
    buf_append(out, p, n);
    return n;
}

static tola_status translate(const char *pattern, size_t length, buf *out, tola_error *err) {
    bool in_class = false;
    for (size_t i = 0; i < length;) {
        char c = pattern[i];
        if (c == '\\') {
            i += translate_escape(pattern + i, length - i, in_class, out);
            continue;
        }
        if (in_class && c == '&' && i + 1 < length && pattern[i + 1] == '&')
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                           "the intersection of classes at %zu of a pattern is not understood", i);
        if (c == '[' && !in_class) {
            in_class = true;
            buf_u8(out, '[');
            i++;
            if (i < length && pattern[i] == '^') buf_u8(out, (uint8_t)pattern[i++]);
            if (i < length && pattern[i] == ']') put(out, "\\]"), i++;
            continue;
        }
        if (c == ']') in_class = false;
        buf_u8(out, (uint8_t)c);
        i++;
    }
    return out->failed ? err_nomem(err, "compiling a pattern") : TOLA_OK;
}

static tola_status compile(regex *r, const buf *text, const char *pattern, size_t length, tola_error *err) {
    int code;
    PCRE2_SIZE at;
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    r->code = pcre2_compile(text->data, text->length, options, &code, &at, NULL);
    if (!r->code) {
        uint8_t message[200] = "";
        pcre2_get_error_message(code, message, sizeof message);
        int shown = length < 80 ? (int)length : 80;
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the pattern '%.*s' is wrong: %s", shown, pattern,
                       (const char *)message);
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without it the interpreter serves */
    r->context = pcre2_match_context_create(NULL);
    if (!r->context) return err_nomem(err, "compiling a pattern");
    pcre2_set_match_limit(r->context, MATCH_LIMIT);
    return TOLA_OK;
}

tola_status regex_compile(const char *pattern, size_t length, regex **out, tola_error *err) {
    if (length > MAX_PATTERN)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a pattern of %zu bytes is too long", length);
    regex *r = mem_calloc(1, sizeof *r);
    buf text;
    buf_init(&text, 1u << 24);
    tola_status status = r ? translate(pattern, length, &text, err) : err_nomem(err, "compiling a pattern");
    if (status == TOLA_OK) status = compile(r, &text, pattern, length, err);
    buf_free(&text);
    if (status == TOLA_OK) *out = r;
    else regex_free(r);
    return status;
}

void regex_free(regex *r) {
    if (!r) return;
    pcre2_match_context_free(r->context);
    pcre2_code_free(r->code);
    mem_free(r);
}

regex_match *regex_match_new(const regex *r) {
    regex_match *m = mem_calloc(1, sizeof *m);
    if (!m) return NULL;
    m->data = pcre2_match_data_create(1, NULL); /* groups are not looked at */
    m->context = pcre2_match_context_copy(r->context);
    m->stack = pcre2_jit_stack_create(32768, STACK_MOST, NULL);
    if (m->data && m->context && m->stack) {
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
        return m;
    }
    regex_match_free(m);
    return NULL;
}

void regex_match_free(regex_match *m) {
    if (!m) return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    mem_free(m);
}

tola_status regex_next(const regex *r, regex_match *m, const char *text, size_t length, size_t from, bool *found,
                       size_t *begin, size_t *end, tola_error *err) {
    int n = pcre2_match(r->code, (PCRE2_SPTR)text, length, from, PCRE2_NO_UTF_CHECK, m->data, m->context);
    *found = n >= 0;
    if (n >= 0) {
        const PCRE2_SIZE *place = pcre2_get_ovector_pointer(m->data);
        *begin = place[0];
        *end = place[1];
        return TOLA_OK;
    }
    if (n == PCRE2_ERROR_NOMATCH) return TOLA_OK;
    return err_set(err, TOLA_E_LIMIT, from, "a pattern takes too many steps on this text (pcre2 error %d)", n);
}
