/* GBNF text to rules: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
 *
 * Reads what llama.cpp reads, except that a rule defined twice, an empty class and characters that are no code points
 * are errors there is a place for, and that a repetition is never silently made endless. Parentheses nest by a stack of
 * our own. */
#include "base/utf8.h"
#include "text/grammar_build.h"

#include "base/err.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* An open alternation: of a rule, or of a pair of parentheses. */
typedef struct level {
    size_t first_item; /* of the sequence being read, in items */
    size_t first_alt;  /* in alts */
    uint64_t offset;
} level;

typedef struct parser {
    const char *text;
    size_t length, pos;
    grammar_builder b;
    level levels[GRAMMAR_MAX_DEPTH + 1];
    size_t depth;
    part *items, *alts;
    size_t item_count, item_cap, alt_count, alt_cap;
    code_range *ranges;
    size_t range_count, range_cap;
    char *bytes;
    size_t byte_count, byte_cap;
} parser;

static int peek(const parser *p) { return p->pos < p->length ? (uint8_t)p->text[p->pos] : -1; }

static bool ok(const parser *p) { return p->b.status == TOLA_OK; }

static void expected(parser *p, const char *what) {
    int c = peek(p);
    char found[24];
    if (c < 0) snprintf(found, sizeof found, "the end");
    else if (c == '\n' || c == '\r') snprintf(found, sizeof found, "the end of the line");
    else if (c > 0x20 && c < 0x7f) snprintf(found, sizeof found, "'%c'", c);
    else snprintf(found, sizeof found, "byte 0x%02x", (unsigned)c);
    build_fail(&p->b, TOLA_E_FORMAT, p->pos, "grammar: expected %s, found %s", what, found);
}

static void out_of_memory(parser *p) { build_fail(&p->b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a grammar"); }

static void push(parser *p, part **list, size_t *count, size_t *cap, part item) {
    if (!mem_grow(list, cap, *count + 1, sizeof **list)) out_of_memory(p);
    else (*list)[(*count)++] = item;
}

/* ---- words ---- */

static void skip_space(parser *p, bool newlines) {
    for (;;) {
        int c = peek(p);
        if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
            p->pos++;
        } else if (c == '#') {
            while ((c = peek(p)) >= 0 && c != '\n' && c != '\r') p->pos++;
        } else {
            return;
        }
    }
}

static bool is_name(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static size_t take_name(parser *p) {
    size_t at = p->pos;
    while (is_name(peek(p))) p->pos++;
    return p->pos - at;
}

/* A number of at most nine digits. */
static bool take_number(parser *p, uint32_t *out) {
    size_t at = p->pos;
    uint32_t v = 0;
    for (int c; (c = peek(p)) >= '0' && c <= '9'; p->pos++) {
        if (p->pos - at >= 9) {
            build_fail(&p->b, TOLA_E_LIMIT, at, "grammar: a number of more than nine digits");
            return false;
        }
        v = v * 10 + (uint32_t)(c - '0');
    }
    if (p->pos == at) expected(p, "a number");
    *out = v;
    return ok(p);
}

static bool take_hex(parser *p, int digits, uint32_t *out) {
    uint32_t v = 0;
    for (int i = 0; i < digits; i++, p->pos++) {
        int c = peek(p), low = c | 0x20;
        if (c >= '0' && c <= '9') v = v << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f') v = v << 4 | (uint32_t)(low - 'a' + 10);
        else return expected(p, "a hexadecimal digit"), false;
    }
    *out = v;
    return true;
}

/* One character of a literal or a class, escaped or not. */
static bool take_char(parser *p, uint32_t *out) {
    size_t at = p->pos;
    int c = peek(p);
    if (c < 0) return expected(p, "a character"), false;
    p->pos += utf8_next(p->text + p->pos, out); /* the whole text is valid UTF-8 */
    if (c != '\\') return true;
    c = peek(p);
    p->pos += c >= 0;
    switch (c) {
    case 'x': return take_hex(p, 2, out);
    case 'u':
    case 'U':
        if (!take_hex(p, c == 'u' ? 4 : 8, out)) return false;
        if (*out <= 0x10ffff && (*out < 0xd800 || *out > 0xdfff)) return true;
        build_fail(&p->b, TOLA_E_FORMAT, at, "grammar: U+%04X is no character", *out);
        return false;
    case 't': *out = '\t'; return true;
    case 'r': *out = '\r'; return true;
    case 'n': *out = '\n'; return true;
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
        *out = (uint32_t)c;
        return true;
    default:
        build_fail(&p->b, TOLA_E_FORMAT, at,
                   "grammar: an unknown escape; \\x \\u \\U \\t \\r \\n \\\\ \\\" \\[ \\] \\- are known");
        return false;
    }
}

/* ---- items ---- */

static void add_byte(parser *p, uint32_t v) {
    if (!mem_grow(&p->bytes, &p->byte_cap, p->byte_count + 1, 1)) out_of_memory(p);
    else p->bytes[p->byte_count++] = (char)v;
}

static void add_utf8(parser *p, uint32_t c) {
    int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = { 0, 0xc0, 0xe0, 0xf0 };
    add_byte(p, lead[more] | c >> (6 * more));
    while (more--) add_byte(p, 0x80 | (c >> (6 * more) & 0x3f));
}

static part take_literal(parser *p) {
    p->pos++;
    p->byte_count = 0;
    uint32_t c;
    while (ok(p) && peek(p) != '"') {
        if (!take_char(p, &c)) return 0;
        add_utf8(p, c);
    }
    p->pos++;
    return ok(p) ? build_literal(&p->b, p->bytes, p->byte_count) : 0;
}

static part take_class(parser *p) {
    size_t at = p->pos++;
    bool negated = peek(p) == '^';
    p->pos += negated;
    p->range_count = 0;
    while (ok(p) && peek(p) != ']') {
        code_range r;
        if (!take_char(p, &r.low)) return 0;
        r.high = r.low;
        size_t dash = p->pos;
        if (peek(p) == '-' && p->pos + 1 < p->length && p->text[p->pos + 1] != ']') {
            p->pos++;
            if (!take_char(p, &r.high)) return 0;
            if (r.high < r.low) {
                build_fail(&p->b, TOLA_E_FORMAT, dash, "grammar: the range U+%04X-U+%04X is backwards", r.low, r.high);
                return 0;
            }
        }
        if (!mem_grow(&p->ranges, &p->range_cap, p->range_count + 1, sizeof *p->ranges)) out_of_memory(p);
        else p->ranges[p->range_count++] = r;
    }
    p->pos++;
    if (ok(p) && p->range_count == 0)
        build_fail(&p->b, TOLA_E_FORMAT, at, "grammar: an empty class; '.' is any character");
    return ok(p) ? build_class(&p->b, p->ranges, p->range_count, negated, at) : 0;
}

/* <[id]>, <name>, and either after '!'. */
static part take_token(parser *p) {
    bool negated = peek(p) == '!';
    p->pos += negated;
    size_t at = p->pos;
    if (peek(p) != '<') return expected(p, "'<'"), 0;
    p->pos++;
    if (peek(p) == '[') {
        uint32_t id;
        p->pos++;
        if (!take_number(p, &id)) return 0;
        if (p->length - p->pos < 2 || memcmp(p->text + p->pos, "]>", 2) != 0) return expected(p, "']>'"), 0;
        p->pos += 2;
        return build_token(&p->b, NULL, 0, id, negated);
    }
    int c;
    while ((c = peek(p)) >= 0 && c != '>' && c != '\n') p->pos++;
    if (c != '>') return expected(p, "'>'"), 0;
    p->pos++;
    return build_token(&p->b, p->text + at, p->pos - at, 0, negated);
}

static part take_reference(parser *p) {
    size_t at = p->pos, n = take_name(p);
    return build_rule_ref(&p->b, build_rule(&p->b, p->text + at, n, at));
}

/* {m}, {m,}, {m,n} */
static bool take_braces(parser *p, bool newlines, uint32_t *low, uint32_t *high) {
    size_t at = p->pos++;
    skip_space(p, newlines);
    if (!take_number(p, low)) return false;
    *high = *low;
    skip_space(p, newlines);
    if (peek(p) == ',') {
        p->pos++;
        skip_space(p, newlines);
        *high = REPEAT_FOREVER;
        if (peek(p) >= '0' && peek(p) <= '9' && !take_number(p, high)) return false;
        skip_space(p, newlines);
    }
    if (peek(p) != '}') return expected(p, "'}'"), false;
    p->pos++;
    if (*high < *low) build_fail(&p->b, TOLA_E_FORMAT, at, "grammar: {%u,%u} is backwards", *low, *high);
    return ok(p);
}

static void repeat_last(parser *p, uint32_t low, uint32_t high) {
    const level *l = &p->levels[p->depth];
    if (p->item_count == l->first_item) {
        build_fail(&p->b, TOLA_E_FORMAT, p->pos, "grammar: nothing here to repeat");
        return;
    }
    part *last = &p->items[p->item_count - 1];
    *last = build_repeat(&p->b, *last, low, high);
}

/* ---- alternations ---- */

static void open_level(parser *p, uint64_t offset) {
    p->levels[p->depth] = (level){ p->item_count, p->alt_count, offset };
}

/* The sequence that ends here becomes an alternative. */
static void close_sequence(parser *p) {
    level *l = &p->levels[p->depth];
    size_t count = p->item_count - l->first_item;
    part seq = build_seq(&p->b, count ? p->items + l->first_item : NULL, count);
    p->item_count = l->first_item;
    if (ok(p)) push(p, &p->alts, &p->alt_count, &p->alt_cap, seq);
}

static part close_level(parser *p) {
    close_sequence(p);
    level *l = &p->levels[p->depth];
    part alt = ok(p) ? build_alt(&p->b, p->alts + l->first_alt, p->alt_count - l->first_alt) : 0;
    p->alt_count = l->first_alt;
    return alt;
}

/* One step of an alternation; false at its end (whatever no item begins with). */
static bool take_step(parser *p) {
    int c = peek(p);
    bool nested = p->depth > 0;
    part item;
    uint32_t low, high;
    if (c == '"') {
        item = take_literal(p);
    } else if (c == '[') {
        item = take_class(p);
    } else if (c == '<' || c == '!') {
        item = take_token(p);
    } else if (is_name(c)) {
        item = take_reference(p);
    } else if (c == '.') {
        p->pos++;
        item = build_class(&p->b, NULL, 0, true, p->pos - 1);
    } else if (c == '(') {
        if (p->depth >= GRAMMAR_MAX_DEPTH) {
            build_fail(&p->b, TOLA_E_LIMIT, p->pos, "grammar: parentheses nested more than %d levels deep",
                       GRAMMAR_MAX_DEPTH);
            return false;
        }
        p->depth++;
        open_level(p, p->pos++);
        skip_space(p, true);
        return true;
    } else if (c == ')' && nested) {
        p->pos++;
        item = close_level(p);
        p->depth--;
        nested = p->depth > 0;
    } else if (c == '|') {
        p->pos++;
        skip_space(p, true);
        close_sequence(p);
        return ok(p);
    } else if (c == '*' || c == '+' || c == '?' || c == '{') {
        low = c == '+';
        high = c == '?' ? 1 : REPEAT_FOREVER;
        if (c != '{') p->pos++;
        else if (!take_braces(p, nested, &low, &high)) return false;
        repeat_last(p, low, high);
        skip_space(p, nested);
        return ok(p);
    } else {
        return false;
    }
    if (ok(p)) push(p, &p->items, &p->item_count, &p->item_cap, item);
    skip_space(p, nested);
    return ok(p);
}

static void take_rule(parser *p) {
    size_t at = p->pos, n = take_name(p);
    if (n == 0) {
        expected(p, "the name of a rule");
        return;
    }
    uint32_t rule = build_rule(&p->b, p->text + at, n, at);
    skip_space(p, false);
    if (p->length - p->pos < 3 || memcmp(p->text + p->pos, "::=", 3) != 0) {
        expected(p, "'::='");
        return;
    }
    p->pos += 3;
    skip_space(p, true);
    p->depth = 0;
    open_level(p, at);
    while (take_step(p)) {}
    if (!ok(p)) return;
    if (p->depth > 0) {
        expected(p, "')'");
        return;
    }
    build_define(&p->b, rule, close_level(p), at);
    int c = peek(p);
    if (c >= 0 && c != '\n' && c != '\r') expected(p, "the end of the line");
    skip_space(p, true);
}

tola_status grammar_parse(const char *text, size_t length, const char *root, grammar **out, tola_error *err) {
    if (length > GRAMMAR_MAX_TEXT)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a grammar of %zu bytes; at most %u are read", length,
                       GRAMMAR_MAX_TEXT);
    if (!utf8_valid(text, length)) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a grammar that is not UTF-8");
    parser *p = mem_calloc(1, sizeof *p);
    if (!p) return err_nomem(err, "a grammar");
    p->text = text;
    p->length = length;
    build_init(&p->b);
    if (!root) root = "root";
    skip_space(p, true);
    while (ok(p) && p->pos < p->length) take_rule(p);
    uint32_t start = build_rule(&p->b, root, strlen(root), TOLA_NO_OFFSET);
    if (ok(p) && p->b.rules[start].body == PART_NONE)
        build_fail(&p->b, TOLA_E_FORMAT, TOLA_NO_OFFSET, "grammar: there is no rule '%s', which the text would follow",
                   root);
    tola_status status = build_check(&p->b, err);
    if (status == TOLA_OK) status = build_finish(&p->b, start, out, err);
    build_free(&p->b);
    mem_free(p->items);
    mem_free(p->alts);
    mem_free(p->ranges);
    mem_free(p->bytes);
    mem_free(p);
    return status;
}
