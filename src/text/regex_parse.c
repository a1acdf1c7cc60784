/* Patterns as Oniguruma's Ruby syntax has them (https://github.com/kkos/oniguruma/blob/master/doc/RE), which Hugging
 * Face's tokenizers use: ^ and $ are of lines, {n,m}+ is not possessive. What tokenizers have no use for (back
 * references, calls, conditions) is refused. */
#include "base/err.h"
#include "base/text.h"
#include "base/utf8.h"
#include "text/regex_tree.h"

#include <string.h>

typedef struct parser {
    regex_tree *t;
    const char *text;
    size_t length, at;
    unsigned depth, classes; /* nested groups and classes; classes alone */
    bool fold, dot_all;
    tola_error *err;
} parser;

static tola_status refuse(const parser *p, const char *why) {
    char quoted[120];
    return err_set(p->err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the pattern '%s' is wrong at byte %zu: %s",
                   text_quote(quoted, sizeof quoted, p->text, p->length), p->at, why);
}

static tola_status out_of_memory(const parser *p) { return err_nomem(p->err, "compiling a pattern"); }

static bool more(const parser *p) { return p->at < p->length; }

static char peek(const parser *p, size_t ahead) { return p->at + ahead < p->length ? p->text[p->at + ahead] : 0; }

static bool take(parser *p, const char *text) {
    size_t n = strlen(text);
    if (p->length - p->at < n || memcmp(p->text + p->at, text, n) != 0) return false;
    p->at += n;
    return true;
}

/* ---- nodes ---- */

static tola_status new_node(parser *p, node_kind kind, node **out) {
    node *n = arena_alloc(&p->t->arena, sizeof *n);
    if (!n) return out_of_memory(p);
    *n = (node){ .kind = (uint8_t)kind };
    *out = n;
    return TOLA_OK;
}

/* Takes the set over. */
static tola_status set_node(parser *p, charset *s, node **out) {
    regex_tree *t = p->t;
    tola_status status = s->failed ? out_of_memory(p) : new_node(p, NODE_SET, out);
    size_t i = 0;
    while (status == TOLA_OK && i < t->set_count &&
           (t->sets[i].count != s->count ||
            (s->count && memcmp(t->sets[i].items, s->items, s->count * sizeof *s->items) != 0)))
        i++;
    if (status == TOLA_OK && i == t->set_count) {
        if (i >= REGEX_MOST_SETS)
            status = refuse(p, "too many classes");
        else if (!mem_grow(&t->sets, &t->set_cap, i + 1, sizeof *t->sets))
            status = out_of_memory(p);
        if (status == TOLA_OK) {
            t->sets[t->set_count++] = *s;
            *s = (charset){ 0 };
        }
    }
    charset_free(s);
    if (status == TOLA_OK) (*out)->set = (uint32_t)i;
    return status;
}

static tola_status char_node(parser *p, uint32_t c, node **out) {
    charset s = { 0 };
    charset_add(&s, c, c);
    if (p->fold) charset_fold_case(&s);
    return set_node(p, &s, out);
}

/* ---- escapes ---- */

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Hexadecimal digits from the place on, at most `most`. */
static uint32_t hex_number(parser *p, unsigned most, unsigned *digits) {
    uint32_t v = 0;
    for (*digits = 0; *digits < most && more(p) && hex(p->text[p->at]) >= 0; ++*digits)
        v = v * 16 + (uint32_t)hex(p->text[p->at++]);
    return v;
}

static tola_status code_point(parser *p, char kind, uint32_t *c) {
    unsigned digits;
    bool braced = kind == 'x' && take(p, "{");
    *c = hex_number(p, braced ? 8 : kind == 'x' ? 2 : 4, &digits);
    if (digits == 0 || (kind == 'u' && digits != 4) || (braced && !take(p, "}")))
        return refuse(p, "the number of a character is not complete");
    if (*c > 0x10ffff || (!braced && kind == 'x' && *c > 0x7f)) return refuse(p, "no such character");
    return TOLA_OK;
}

/* \p{Name}, \P{Name}, \p{^Name}, \pL; after the p. */
static tola_status property(parser *p, bool negative, charset *out) {
    const char *name = p->text + p->at;
    size_t length = 1;
    if (take(p, "{")) {
        if (take(p, "^")) negative = !negative;
        name = p->text + p->at;
        const char *end = memchr(name, '}', p->length - p->at);
        if (!end) return refuse(p, "a property has no }");
        length = (size_t)(end - name);
        p->at += length + 1;
    } else if (!more(p)) {
        return refuse(p, "a property has no name");
    } else {
        p->at++;
    }
    charset s = { 0 };
    bool known = charset_add_property(&s, name, length);
    charset_settle(&s);
    if (negative) charset_negate(&s);
    charset_add_ranges(out, s.items, s.count);
    out->failed = out->failed || s.failed;
    charset_free(&s);
    return known ? TOLA_OK : refuse(p, "a property that is not known");
}

static tola_status add_kind(parser *p, char kind, charset *out) {
    charset s = { 0 };
    switch (kind | 32) {
    case 's': charset_add_spaces(&s); break;
    case 'w': charset_add_word(&s, p->classes ? WORD_IN_CLASS : WORD_ALONE); break;
    case 'd': (void)charset_add_property(&s, "Nd", 2); break;
    default: /* h: hexadecimal digits */
        charset_add(&s, '0', '9');
        charset_add(&s, 'A', 'F');
        charset_add(&s, 'a', 'f');
        break;
    }
    charset_settle(&s);
    if (!(kind & 32)) charset_negate(&s);
    charset_add_ranges(out, s.items, s.count);
    out->failed = out->failed || s.failed;
    charset_free(&s);
    return TOLA_OK;
}

/* After a backslash: a class into `out` (*single stays false), or a character. */
static tola_status escape(parser *p, charset *out, bool *single, uint32_t *c) {
    static const char letters[] = "tnrfvae", values[] = "\t\n\r\f\v\a\x1b";
    *single = false;
    if (!more(p)) return refuse(p, "nothing follows a backslash");
    char k = p->text[p->at];
    if (k == 'p' || k == 'P') {
        p->at++;
        return property(p, k == 'P', out);
    }
    if (strchr("swdhSWDH", k)) {
        p->at++;
        return add_kind(p, k, out);
    }
    *single = true;
    if (k == 'x' || k == 'u') {
        p->at++;
        return code_point(p, k, c);
    }
    const char *letter = strchr(letters, k);
    if (letter) {
        p->at++;
        *c = (uint8_t)values[letter - letters];
        return TOLA_OK;
    }
    if ((k >= 'a' && k <= 'z') || (k >= 'A' && k <= 'Z') || (k >= '1' && k <= '9'))
        return refuse(p, "an escape that is not known");
    if (k == '0') {
        p->at++;
        for (*c = 0; peek(p, 0) >= '0' && peek(p, 0) <= '7' && *c < 8; p->at++)
            *c = *c * 8 + (uint32_t)(p->text[p->at] - '0');
        return TOLA_OK;
    }
    p->at += utf8_next(p->text + p->at, c);
    return TOLA_OK;
}

/* ---- classes ---- */

static tola_status parse_class(parser *p, charset *out);

/* [:alpha:] and its like; false where it is none. */
static tola_status posix(parser *p, charset *out, bool *taken) {
    static const char *const names[][2] = { { "alpha", "Alphabetic" }, { "digit", "Nd" },    { "space", "Space" },
                                            { "upper", "Upper" },      { "lower", "Lower" }, { "word", "" },
                                            { "alnum", "Alnum" },      { "punct", "P" } };
    *taken = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i][0]);
        if (p->length - p->at < n + 4 || memcmp(p->text + p->at, "[:", 2) != 0 ||
            memcmp(p->text + p->at + 2, names[i][0], n) != 0 || memcmp(p->text + p->at + 2 + n, ":]", 2) != 0)
            continue;
        *taken = true;
        p->at += n + 4;
        if (*names[i][1])
            (void)charset_add_property(out, names[i][1], strlen(names[i][1]));
        else
            charset_add_word(out, WORD_IN_CLASS);
        if (strcmp(names[i][0], "punct") == 0) (void)charset_add_property(out, "S", 1);
        return TOLA_OK;
    }
    return peek(p, 0) == '[' && peek(p, 1) == ':' ? refuse(p, "a class that is not known") : TOLA_OK;
}

/* One character, range, escape or class within a class. */
static tola_status class_item(parser *p, charset *out) {
    bool taken, single = true;
    uint32_t first = 0, last;
    TRY(posix(p, out, &taken));
    if (taken) return TOLA_OK;
    if (take(p, "[")) {
        charset inner = { 0 };
        tola_status status = parse_class(p, &inner);
        charset_add_ranges(out, inner.items, inner.count);
        out->failed = out->failed || inner.failed;
        charset_free(&inner);
        return status;
    }
    if (take(p, "\\")) {
        if (take(p, "b"))
            first = 8;
        else
            TRY(escape(p, out, &single, &first));
    } else {
        p->at += utf8_next(p->text + p->at, &first);
    }
    if (!single) return TOLA_OK;
    last = first;
    if (peek(p, 0) == '-' && p->at + 1 < p->length && peek(p, 1) != ']' && peek(p, 1) != '[' &&
        !(peek(p, 1) == '&' && peek(p, 2) == '&')) {
        p->at++;
        if (take(p, "\\"))
            TRY(escape(p, out, &single, &last));
        else
            p->at += utf8_next(p->text + p->at, &last);
        if (!single) return refuse(p, "a class stands at the end of a range");
    }
    if (last < first) return refuse(p, "a range is empty");
    charset_add(out, first, last);
    return TOLA_OK;
}

/* After the [; sets may be joined by && . */
static tola_status parse_class(parser *p, charset *out) {
    if (++p->depth > REGEX_MOST_NESTED) return refuse(p, "nested too deeply");
    p->classes++;
    bool negative = take(p, "^"), more_sets = false, first = true;
    charset part = { 0 };
    tola_status status = TOLA_OK;
    for (; status == TOLA_OK; first = false) {
        bool end = !first && peek(p, 0) == ']' && more(p);
        bool both = more(p) && take(p, "&&");
        if (end || both || !more(p)) {
            charset_settle(&part);
            if (p->fold) charset_fold_case(&part);
            if (more_sets) {
                charset_intersect(out, &part);
                charset_free(&part);
            } else {
                *out = part;
                part = (charset){ 0 };
            }
            more_sets = true;
            if (both) continue;
            if (end) break;
            status = refuse(p, "a class has no ]");
            break;
        }
        status = class_item(p, &part);
    }
    charset_free(&part);
    p->at += status == TOLA_OK;
    if (negative) charset_negate(out);
    p->depth--;
    p->classes--;
    return status;
}

/* ---- what is repeated, and how often ---- */

/* {n}, {n,}, {,m}, {n,m}; false where it is none, and then it is text. */
static bool braces(parser *p, uint32_t *min, uint32_t *max) {
    size_t start = p->at;
    uint32_t n[2] = { 0, 0 };
    bool given[2] = { false, false }, comma = false;
    if (!take(p, "{")) return false;
    for (unsigned i = 0; i < 2; i++) {
        for (; peek(p, 0) >= '0' && peek(p, 0) <= '9'; p->at++, given[i] = true)
            n[i] = n[i] > 100000 ? n[i] : n[i] * 10 + (uint32_t)(p->text[p->at] - '0');
        if (i == 0 && !(comma = take(p, ","))) break;
    }
    if (!take(p, "}") || (!given[0] && !given[1])) {
        p->at = start;
        return false;
    }
    *min = n[0];
    *max = !comma ? n[0] : given[1] ? n[1] : REGEX_FOREVER;
    return true;
}

static tola_status wrap_repeat(parser *p, node **atom, uint32_t min, uint32_t max, repeat_mode mode) {
    node *r;
    if (max < min || min > 100000) return refuse(p, "a repetition that can not be");
    TRY(new_node(p, NODE_REPEAT, &r));
    r->mode = (uint8_t)mode;
    r->min = min;
    r->max = max;
    r->child = *atom;
    *atom = r;
    return TOLA_OK;
}

static tola_status quantifiers(parser *p, node **atom) {
    for (unsigned times = 0;; times++) {
        uint32_t min = 0, max = REGEX_FOREVER;
        if (times > 8) return refuse(p, "repetitions of repetitions");
        if (take(p, "*")) {
        } else if (take(p, "+")) {
            min = 1;
        } else if (take(p, "?")) {
            max = 1;
        } else if (braces(p, &min, &max)) {
            bool exactly = min == max;
            repeat_mode mode = !exactly && take(p, "?") ? REPEAT_LAZY : REPEAT_GREEDY;
            TRY(wrap_repeat(p, atom, min, max, mode));
            continue;
        } else {
            return TOLA_OK;
        }
        repeat_mode mode = take(p, "?") ? REPEAT_LAZY : take(p, "+") ? REPEAT_POSSESSIVE : REPEAT_GREEDY;
        TRY(wrap_repeat(p, atom, min, max, mode));
    }
}

/* ---- the whole ---- */

static tola_status alternatives(parser *p, node **out);

/* (?i), (?i-m:...): sets the flags; *only: nothing but flags, for the rest of the group. */
static tola_status flags(parser *p, bool *only) {
    bool on = true;
    for (; more(p); p->at++) {
        char c = p->text[p->at];
        if (c == '-')
            on = false;
        else if (c == 'i')
            p->fold = on;
        else if (c == 'm')
            p->dot_all = on;
        else
            break;
    }
    *only = peek(p, 0) == ')';
    if (take(p, ")") || take(p, ":")) return TOLA_OK;
    return refuse(p, "an option of a group that is not known");
}

static tola_status group(parser *p, node **out) {
    static const struct {
        const char *sign;
        uint8_t kind, mode;
    } kinds[] = { { "?:", NODE_SEQUENCE, 0 },
                  { "?=", NODE_LOOK, 0 },
                  { "?!", NODE_LOOK, LOOK_NEGATIVE },
                  { "?<=", NODE_LOOK, LOOK_BEHIND },
                  { "?<!", NODE_LOOK, LOOK_BEHIND | LOOK_NEGATIVE },
                  { "?>", NODE_ATOMIC, 0 } };
    if (++p->depth > REGEX_MOST_NESTED) return refuse(p, "nested too deeply");
    bool fold = p->fold, dot_all = p->dot_all, only = false;
    TRY(new_node(p, NODE_SEQUENCE, out));
    size_t i = 0;
    while (i < sizeof kinds / sizeof *kinds && !take(p, kinds[i].sign)) i++;
    if (i < sizeof kinds / sizeof *kinds) {
        (*out)->kind = kinds[i].kind;
        (*out)->mode = kinds[i].mode;
    } else if (take(p, "?")) {
        TRY(flags(p, &only));
    }
    if (only) return refuse(p, "options within a pattern");
    TRY(alternatives(p, &(*out)->child));
    if (!take(p, ")")) return refuse(p, "a group has no )");
    p->fold = fold;
    p->dot_all = dot_all;
    p->depth--;
    return TOLA_OK;
}

static tola_status assertion(parser *p, assert_kind kind, node **out) {
    TRY(new_node(p, NODE_ASSERT, out));
    (*out)->mode = (uint8_t)kind;
    return TOLA_OK;
}

static tola_status backslash(parser *p, node **out) {
    static const char letters[] = "AzZbB";
    static const assert_kind kinds[] = { ASSERT_BEGIN, ASSERT_END, ASSERT_LAST_LINE_END, ASSERT_WORD_EDGE,
                                         ASSERT_NO_WORD_EDGE };
    const char *letter = more(p) ? strchr(letters, p->text[p->at]) : NULL;
    if (letter) {
        p->at++;
        return assertion(p, kinds[letter - letters], out);
    }
    charset s = { 0 };
    bool single;
    uint32_t c = 0;
    tola_status status = escape(p, &s, &single, &c);
    if (status == TOLA_OK && !single) {
        charset_settle(&s);
        return set_node(p, &s, out);
    }
    charset_free(&s);
    TRY(status);
    return char_node(p, c, out);
}

static tola_status atom(parser *p, node **out) {
    if (take(p, "(")) return group(p, out);
    if (take(p, "\\")) return backslash(p, out);
    if (take(p, "^")) return assertion(p, ASSERT_LINE_BEGIN, out);
    if (take(p, "$")) return assertion(p, ASSERT_LINE_END, out);
    if (take(p, "[")) {
        charset s = { 0 };
        tola_status status = parse_class(p, &s);
        if (status == TOLA_OK) return set_node(p, &s, out);
        charset_free(&s);
        return status;
    }
    if (take(p, ".")) {
        charset s = { 0 };
        if (!p->dot_all) charset_add(&s, '\n', '\n');
        charset_negate(&s);
        return set_node(p, &s, out);
    }
    if (strchr("*+?", p->text[p->at])) return refuse(p, "nothing to repeat");
    uint32_t c;
    p->at += utf8_next(p->text + p->at, &c);
    return char_node(p, c, out);
}

static tola_status sequence(parser *p, node **out) {
    TRY(new_node(p, NODE_SEQUENCE, out));
    node **link = &(*out)->child;
    while (more(p) && peek(p, 0) != '|' && peek(p, 0) != ')') {
        TRY(atom(p, link));
        TRY(quantifiers(p, link));
        link = &(*link)->next;
    }
    return TOLA_OK;
}

static tola_status alternatives(parser *p, node **out) {
    node *first;
    TRY(sequence(p, &first));
    *out = first;
    if (peek(p, 0) != '|' || !more(p)) return TOLA_OK;
    TRY(new_node(p, NODE_EITHER, out));
    (*out)->child = first;
    for (node *last = first; take(p, "|"); last = last->next) TRY(sequence(p, &last->next));
    return TOLA_OK;
}

tola_status regex_parse(const char *pattern, size_t length, regex_tree *out, tola_error *err) {
    parser p = { .t = out, .text = pattern, .length = length, .err = err };
    *out = (regex_tree){ 0 };
    arena_init(&out->arena, 0);
    if (!utf8_valid(pattern, length)) return refuse(&p, "it is no UTF-8");
    if (length >= 4 && memcmp(pattern, "(?i)", 4) == 0) {
        p.fold = true;
        p.at = 4;
    }
    TRY(alternatives(&p, &out->root));
    return more(&p) ? refuse(&p, "a ) too many") : TOLA_OK;
}

void regex_tree_free(regex_tree *t) {
    for (size_t i = 0; i < t->set_count; i++) charset_free(&t->sets[i]);
    mem_free(t->sets);
    arena_free(&t->arena);
    *t = (regex_tree){ 0 };
}
