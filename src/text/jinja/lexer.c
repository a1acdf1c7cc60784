/* Template text to tokens, as jinja2's lexer with trim_blocks and lstrip_blocks does.
 *
 * Source of the rules: https://jinja.palletsprojects.com/en/stable/templates/#whitespace-control and the behaviour of
 * jinja2 3.1. */
#include "text/jinja/syntax.h"
#include "text/jinja/unicode.h"

#include "base/json.h"

typedef struct lexer {
    jinja_run *e;
    const char *s; /* newlines are \n */
    size_t n, at;
    jtoken *tokens;
    size_t count, cap;
    char open[256]; /* brackets that wait for their other half */
    size_t depth;
    bool line_starting; /* what came last ended with a newline */
} lexer;

static void emit(lexer *x, jtoken_type type, jv value) {
    if (x->count == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 64;
        jtoken *tokens = jinja_alloc(x->e, cap, sizeof *tokens);
        if (x->count) memcpy(tokens, x->tokens, x->count * sizeof *tokens);
        x->tokens = tokens;
        x->cap = cap;
    }
    x->tokens[x->count++] = (jtoken){ (uint8_t)type, x->e->line, value };
}

static bool looking_at(const lexer *x, size_t at, const char *text) {
    size_t n = strlen(text);
    return at <= x->n && x->n - at >= n && memcmp(x->s + at, text, n) == 0;
}

static uint32_t char_at(const lexer *x, size_t at, size_t *next) {
    jstr s = { x->s, x->n, 0, NULL, 0, false, NULL };
    uint32_t c = jstr_next(&s, &at);
    *next = at;
    return c;
}

static size_t skip_space(const lexer *x, size_t at) {
    size_t next;
    while (at < x->n && unicode_space(char_at(x, at, &next))) at = next;
    return at;
}

/* End of [from, to) without the white space at its end. */
static size_t trim_end(const lexer *x, size_t from, size_t to) {
    while (to > from) {
        size_t at = to - 1, next;
        while (at > from && ((unsigned char)x->s[at] & 0xc0) == 0x80) at--;
        if (!unicode_space(char_at(x, at, &next))) break;
        to = at;
    }
    return to;
}

static void pass(lexer *x, size_t to) {
    for (; x->at < to; x->at++) x->e->line += x->s[x->at] == '\n';
}

/* Emits template text [at, to) before a tag with the given sign, and passes it. */
static void emit_data(lexer *x, size_t to, char sign, bool variable) {
    size_t from = x->at, end = to;
    if (sign == '-') {
        end = trim_end(x, from, to);
    } else if (sign != '+' && !variable) {
        size_t line = to;
        while (line > from && x->s[line - 1] != '\n') line--;
        if ((line > from || x->line_starting) && skip_space(x, line) >= to) end = line;
    }
    if (end > from) emit(x, JT_DATA, jv_str(jstr_of(x->e, x->s + from, end - from, 0)));
    pass(x, to);
}

static char sign_at(const lexer *x, size_t at) {
    return at < x->n && (x->s[at] == '-' || x->s[at] == '+') ? x->s[at] : 0;
}

/* Place behind a tag's end at `at` ("+%}", "-%}" and space, "%}" and a newline), 0 where there is none. */
static size_t tag_end(const lexer *x, size_t at, const char *end) {
    char sign = sign_at(x, at);
    if (sign && looking_at(x, at + 1, end)) return sign == '-' ? skip_space(x, at + 3) : at + 3;
    if (!looking_at(x, at, end)) return 0;
    at += 2;
    return at < x->n && x->s[at] == '\n' ? at + 1 : at;
}

static void leave_tag(lexer *x, size_t to) {
    x->line_starting = x->s[to - 1] == '\n';
    pass(x, to);
}

/* ---- comments, raw blocks ---- */

static void comment(lexer *x, size_t from) {
    uint32_t line = x->e->line;
    for (size_t at = from; at < x->n; at++) {
        size_t end = tag_end(x, at, "#}");
        if (!end) continue;
        leave_tag(x, end);
        return;
    }
    x->e->line = line;
    if (from < x->n) jinja_bad(x->e, "a comment is never closed");
    x->at = x->n; /* with nothing behind it jinja2 takes it */
}

/* Is `{% raw %}` at `at`? Returns where its content begins, else 0. */
static size_t raw_begin(const lexer *x, size_t at) {
    at += 2;
    if (sign_at(x, at)) at++;
    at = skip_space(x, at);
    if (!looking_at(x, at, "raw")) return 0;
    at = skip_space(x, at + 3);
    if (looking_at(x, at, "-%}")) return skip_space(x, at + 3);
    return looking_at(x, at, "%}") ? at + 2 : 0;
}

static void raw(lexer *x, size_t from) {
    uint32_t line = x->e->line;
    leave_tag(x, from);
    for (size_t at = from; at < x->n; at++) {
        if (!looking_at(x, at, "{%")) continue;
        size_t p = at + 2;
        char sign = sign_at(x, p);
        p = skip_space(x, sign ? p + 1 : p);
        if (!looking_at(x, p, "endraw")) continue;
        size_t end = tag_end(x, skip_space(x, p + 6), "%}");
        if (!end) continue;
        emit_data(x, at, sign, false);
        leave_tag(x, end);
        return;
    }
    x->e->line = line;
    jinja_bad(x->e, "a raw block is never closed");
}

/* ---- literals ---- */

static unsigned hex(lexer *x, size_t *at, int digits) {
    unsigned v = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        unsigned char c = *at < x->n ? (unsigned char)x->s[*at] : 0;
        unsigned d = c >= '0' && c <= '9'   ? c - 48u
                     : c >= 'a' && c <= 'f' ? c - 'a' + 10u
                     : c >= 'A' && c <= 'F' ? c - 'A' + 10u
                                            : 16u;
        if (d == 16) jinja_bad(x->e, "an escape in a string lacks hexadecimal digits");
        v = v << 4 | d;
    }
    return v;
}

/* The escape behind a backslash at `at`; returns the place behind it. */
static size_t escape(lexer *x, jbuild *b, size_t at) {
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    size_t next;
    uint32_t c = char_at(x, at, &next);
    const char *known = c && c < 0x80 ? strchr(from, (int)c) : NULL;
    if (known) {
        jbuild_char(b, (unsigned char)to[known - from], 0);
    } else if (c == '\n') {
        /* nothing: the line goes on */
    } else if (c >= '0' && c <= '7') {
        unsigned v = 0;
        for (next = at; next < x->n && next < at + 3 && x->s[next] >= '0' && x->s[next] <= '7'; next++)
            v = v * 8 + (unsigned)(x->s[next] - '0');
        jbuild_char(b, v, 0);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        unsigned v = hex(x, &next, c == 'x' ? 2 : c == 'u' ? 4 : 8);
        if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000)) jinja_bad(x->e, "an escape in a string is no character");
        jbuild_char(b, v, 0);
    } else if (c == 'N') {
        jinja_fail(x->e, TOLA_E_UNSUPPORTED, "\\N{...} in a string is not supported");
    } else {
        jbuild_text(b, "\\", 0);
        char word[16];
        word[0] = 0;
        if (c >= 0x80) /* jinja2 escapes these before it unescapes */
            snprintf(word, sizeof word, c < 0x100 ? "x%02x" : c < 0x10000 ? "u%04x" : "U%08x", (unsigned)c);
        if (c >= 0x80) jbuild_text(b, word, 0);
        else jbuild_char(b, c, 0);
    }
    return next;
}

static void string(lexer *x) {
    char quote = x->s[x->at];
    jbuild b;
    jbuild_init(&b, x->e);
    size_t at = x->at + 1, from = at;
    for (;; at++) {
        if (at >= x->n) jinja_bad(x->e, "a string is never closed");
        if (x->s[at] != quote && x->s[at] != '\\') continue;
        jbuild_bytes(&b, x->s + from, at - from, 0);
        if (x->s[at] == quote) break;
        if (at + 1 >= x->n) jinja_bad(x->e, "a string is never closed");
        at = escape(x, &b, at + 1);
        from = at--;
    }
    emit(x, JT_STRING, jv_str(jbuild_done(&b)));
    pass(x, at + 1);
}

static bool is_digit(const lexer *x, size_t at, unsigned base) {
    if (at >= x->n) return false;
    unsigned char c = (unsigned char)x->s[at];
    unsigned d = c >= '0' && c <= '9' ? c - 48u : (c | 32) >= 'a' && (c | 32) <= 'z' ? (c | 32) - 'a' + 10u : 99;
    return d < base;
}

/* Digits with single underscores between them, from `at`. */
static size_t digits(const lexer *x, size_t at, unsigned base) {
    while (is_digit(x, at, base) || (at < x->n && x->s[at] == '_' && is_digit(x, at + 1, base))) at++;
    return at;
}

/* End of a float at x->at, 0 where there is none. */
static size_t float_end(const lexer *x) {
    if (x->at > 0 && x->s[x->at - 1] == '.') return 0;
    size_t whole = digits(x, x->at, 10), at = whole;
    if (at < x->n && x->s[at] == '.' && is_digit(x, at + 1, 10)) at = digits(x, at + 1, 10);
    size_t e = at;
    if (e < x->n && (x->s[e] == 'e' || x->s[e] == 'E')) {
        e++;
        if (e < x->n && (x->s[e] == '+' || x->s[e] == '-')) e++;
        if (is_digit(x, e, 10)) return digits(x, e, 10);
    }
    return at > whole ? at : 0;
}

static void number(lexer *x) {
    char text[400];
    size_t end = float_end(x), n = 0;
    unsigned base = 10;
    size_t from = x->at;
    if (!end) {
        char c = from + 1 < x->n && x->s[from] == '0' ? (char)(x->s[from + 1] | 32) : 0;
        unsigned named = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
        size_t first = from + 2;
        if (named && first < x->n && x->s[first] == '_') first++;
        if (named && is_digit(x, first, named)) {
            base = named;
            end = digits(x, first, base);
            from = first;
        } else {
            end = x->s[from] == '0' ? from + 1 : digits(x, from, 10); /* 012 is the tokens 0 and 12 */
            while (x->s[from] == '0' && end < x->n &&
                   (x->s[end] == '0' || (x->s[end] == '_' && end + 1 < x->n && x->s[end + 1] == '0')))
                end++;
        }
    }
    bool real = base == 10 && float_end(x) != 0;
    for (size_t i = from; i < end; i++) {
        if (x->s[i] == '_') continue;
        if (n + 1 >= sizeof text) jinja_bad(x->e, "a number has too many digits");
        text[n++] = x->s[i];
    }
    text[n] = 0;
    if (real) {
        emit(x, JT_FLOAT, jv_float(json_strtod(text)));
    } else {
        uint64_t v = 0;
        bool big = false;
        for (size_t i = 0; i < n && !big; i++) {
            unsigned d = text[i] <= '9' ? (unsigned)(text[i] - '0') : (unsigned)((text[i] | 32) - 'a') + 10u;
            big = !mul_u64(v, base, &v) || !add_u64(v, d, &v) || v > INT64_MAX;
        }
        if (big && base != 10) jinja_big(x->e);
        jv value = jv_int((int64_t)v);
        if (big) {
            value = jv_str(jstr_copy(x->e, text, n, 0));
            value.kind = JK_BIG;
        }
        emit(x, JT_INTEGER, value);
    }
    pass(x, end);
}

static bool name(lexer *x) {
    size_t at = x->at, next;
    uint32_t first = char_at(x, at, &next);
    for (; at < x->n; at = next) {
        uint32_t c = char_at(x, at, &next);
        if (c != '_' && !unicode_alnum(c)) break;
        if (c != '_' && !unicode_is(c, UNICODE_CONTINUE)) jinja_bad(x->e, "invalid character in an identifier");
    }
    if (at == x->at) return false;
    if (first != '_' && !unicode_is(first, UNICODE_START)) jinja_bad(x->e, "invalid character in an identifier");
    emit(x, JT_NAME, jv_str(jstr_of(x->e, x->s + x->at, at - x->at, 0)));
    pass(x, at);
    return true;
}

/* ---- operators ---- */

static void balance(lexer *x, char c) {
    static const char open[] = "([{", close[] = ")]}";
    const char *p = strchr(open, c);
    if (p) {
        if (x->depth == sizeof x->open) jinja_fail(x->e, TOLA_E_LIMIT, "more than %zu open brackets", x->depth);
        x->open[x->depth++] = close[p - open];
    } else if (strchr(close, c)) {
        if (x->depth == 0) jinja_bad(x->e, "unexpected '%c'", c);
        if (x->open[--x->depth] != c) jinja_bad(x->e, "unexpected '%c', expected '%c'", c, x->open[x->depth]);
    }
}

static void operator(lexer *x) {
    static const struct {
        char text[3];
        uint8_t type;
    } operators[] = {
        { "//", JT_FLOORDIV }, { "**", JT_POW },     { "==", JT_EQ },       { "!=", JT_NE },     { ">=", JT_GTEQ },
        { "<=", JT_LTEQ },     { "+", JT_ADD },      { "-", JT_SUB },       { "*", JT_MUL },     { "/", JT_DIV },
        { "%", JT_MOD },       { "~", JT_TILDE },    { "<", JT_LT },        { ">", JT_GT },      { "=", JT_ASSIGN },
        { ".", JT_DOT },       { ":", JT_COLON },    { ",", JT_COMMA },     { "|", JT_PIPE },    { ";", JT_SEMICOLON },
        { "(", JT_LPAREN },    { ")", JT_RPAREN },   { "[", JT_LBRACKET },  { "]", JT_RBRACKET }, { "{", JT_LBRACE },
        { "}", JT_RBRACE },
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!looking_at(x, x->at, operators[i].text)) continue;
        if (!operators[i].text[1]) balance(x, operators[i].text[0]);
        emit(x, (jtoken_type)operators[i].type, jv_str(jstr_of(x->e, operators[i].text, strlen(operators[i].text), 0)));
        pass(x, x->at + strlen(operators[i].text));
        return;
    }
    jinja_bad(x->e, "unexpected character '%.*s'", (int)(x->n - x->at < 4 ? x->n - x->at : 1), x->s + x->at);
}

/* Inside a tag, to its end. */
static void tag(lexer *x, bool variable) {
    uint32_t line = x->e->line;
    x->depth = 0;
    while (x->at < x->n) {
        if (x->depth == 0) {
            size_t end = 0;
            if (!variable) end = tag_end(x, x->at, "%}");
            else if (looking_at(x, x->at, "-}}")) end = skip_space(x, x->at + 3);
            else if (looking_at(x, x->at, "}}")) end = x->at + 2;
            if (end) {
                emit(x, variable ? JT_VARIABLE_END : JT_BLOCK_END, jv_none());
                leave_tag(x, end);
                return;
            }
        }
        char c = x->s[x->at];
        size_t space = skip_space(x, x->at);
        if (space > x->at) pass(x, space);
        else if (c >= '0' && c <= '9') number(x);
        else if (c == '\'' || c == '"') string(x);
        else if (!name(x)) operator(x);
    }
    x->e->line = line;
    jinja_bad(x->e, "a tag is never closed");
}

/* ---- the whole ---- */

/* \r\n and \r become \n; one newline at the end goes. */
static void normalize(lexer *x, const char *source, size_t length) {
    char *s = jinja_alloc(x->e, length ? length : 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (source[i] == '\r' && i + 1 < length && source[i + 1] == '\n') continue;
        s[n++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (n && s[n - 1] == '\n') n--;
    x->s = s;
    x->n = n;
}

jtoken *jinja_lex(jinja_run *e, const char *source, size_t length) {
    lexer x = { .e = e, .line_starting = true };
    e->line = 1;
    normalize(&x, source, length);
    while (x.at < x.n) {
        size_t open = x.at;
        while (open < x.n && !(x.s[open] == '{' && open + 1 < x.n && strchr("{%#", x.s[open + 1]) && x.s[open + 1]))
            open++;
        if (open == x.n) {
            emit(&x, JT_DATA, jv_str(jstr_of(e, x.s + x.at, x.n - x.at, 0)));
            break;
        }
        char kind = x.s[open + 1], sign = sign_at(&x, open + 2);
        size_t content = open + (sign ? 3 : 2), in_raw = kind == '%' ? raw_begin(&x, open) : 0;
        emit_data(&x, open, sign, kind == '{');
        if (in_raw) {
            raw(&x, in_raw);
        } else if (kind == '#') {
            pass(&x, content);
            comment(&x, content);
        } else {
            emit(&x, kind == '{' ? JT_VARIABLE_BEGIN : JT_BLOCK_BEGIN, jv_none());
            pass(&x, content);
            tag(&x, kind == '{');
        }
    }
    emit(&x, JT_EOF, jv_none());
    return x.tokens;
}
