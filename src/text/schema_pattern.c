/* Regular expressions (ECMA-262, https://tc39.es/ecma262/#sec-patterns) that a string must contain, as parts.
 *
 * Does characters, classes, groups, alternatives, quantifiers, and ^ and $ at the ends of the whole or of its outermost
 * alternatives. Does not: look-around, \b, back references, names of groups, properties (\p), flags. */
#include "base/utf8.h"
#include "text/schema_build.h"

#include <stdlib.h>
#include <string.h>

#define MAX_GROUPS 60 /* nested */
#define MAX_RANGES 512
#define LAST_CODE 0x10ffffu

typedef struct pattern {
    grammar_builder *b;
    const char *text;
    size_t length, pos;
    const char *path;
    int depth;
} pattern;

static bool ok(const pattern *p) { return p->b->status == TOLA_OK; }

static int peek(const pattern *p) { return p->pos < p->length ? (uint8_t)p->text[p->pos] : -1; }

static bool take(pattern *p, char c) {
    if (peek(p) != (uint8_t)c) return false;
    p->pos++;
    return true;
}

static part refuse(pattern *p, tola_status status, const char *what) {
    build_fail(p->b, status, TOLA_NO_OFFSET, "schema: %s: %s at character %zu of the pattern", p->path, what, p->pos);
    return 0;
}

static part unsupported(pattern *p, const char *what) { return refuse(p, TOLA_E_UNSUPPORTED, what); }

/* ---- characters ---- */

typedef struct char_set {
    code_range ranges[MAX_RANGES];
    size_t count;
} char_set;

static void add(pattern *p, char_set *s, uint32_t low, uint32_t high) {
    if (s->count == MAX_RANGES) refuse(p, TOLA_E_LIMIT, "a class of too many ranges");
    else s->ranges[s->count++] = (code_range){ low, high };
}

/* Sorted ranges that do not overlap, or all that lies between them. */
static void add_known(pattern *p, char_set *s, const code_range *known, size_t count, bool negated) {
    uint32_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (!negated) add(p, s, known[i].low, known[i].high);
        else if (known[i].low > at) add(p, s, at, known[i].low - 1);
        at = known[i].high + 1;
    }
    if (negated && at <= LAST_CODE) add(p, s, at, LAST_CODE);
}

static bool add_class_escape(pattern *p, char_set *s, int c) {
    static const code_range digits[] = { { '0', '9' } };
    static const code_range words[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
    static const code_range spaces[] = { { 9, 13 }, { 32, 32 }, { 0xa0, 0xa0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200a },
                                         { 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 },
                                         { 0xfeff, 0xfeff } };
    switch (c) {
    case 'd':
    case 'D': add_known(p, s, digits, 1, c == 'D'); return true;
    case 'w':
    case 'W': add_known(p, s, words, 4, c == 'W'); return true;
    case 's':
    case 'S': add_known(p, s, spaces, sizeof spaces / sizeof *spaces, c == 'S'); return true;
    default: return false;
    }
}

static uint32_t take_hex(pattern *p, int digits) {
    uint32_t v = 0;
    for (int i = 0; i < digits; i++, p->pos++) {
        int c = peek(p), low = c | 0x20;
        if (c >= '0' && c <= '9') v = v << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f') v = v << 4 | (uint32_t)(low - 'a' + 10);
        else return refuse(p, TOLA_E_FORMAT, "a hexadecimal digit is missing");
    }
    return v;
}

static uint32_t take_unicode(pattern *p) {
    if (!take(p, '{')) {
        uint32_t v = take_hex(p, 4);
        if (v < 0xd800 || v > 0xdfff) return v;
        return refuse(p, TOLA_E_UNSUPPORTED, "half a surrogate pair; write \\u{...}");
    }
    uint32_t v = 0;
    int c;
    while (ok(p) && (c = peek(p)) != '}') {
        if (v > LAST_CODE >> 4) return refuse(p, TOLA_E_FORMAT, "no code point");
        v = v << 4 | take_hex(p, 1);
    }
    p->pos++;
    if (v > LAST_CODE || (v >= 0xd800 && v <= 0xdfff)) return refuse(p, TOLA_E_FORMAT, "no code point");
    return v;
}

/* After a backslash: one character. */
static uint32_t take_escape(pattern *p) {
    int c = peek(p);
    p->pos += c >= 0;
    switch (c) {
    case 't': return '\t';
    case 'n': return '\n';
    case 'r': return '\r';
    case 'f': return '\f';
    case 'v': return 0x0b;
    case 'x': return take_hex(p, 2);
    case 'u': return take_unicode(p);
    case '0':
        if (peek(p) < '0' || peek(p) > '9') return 0;
        return unsupported(p, "an octal escape");
    default:
        /* Characters with a meaning, escaped; others are errors, so that none is taken for what it is not. */
        if (c > 0 && strchr("^$\\.*+?()[]{}|/-", c)) return (uint32_t)c;
        return unsupported(p, "an escape that nothing here does");
    }
}

static uint32_t take_code(pattern *p) {
    uint32_t code;
    p->pos += utf8_next(p->text + p->pos, &code); /* the schema is valid UTF-8 */
    return code;
}

static part characters(pattern *p, const char_set *s) {
    if (!ok(p)) return 0;
    if (s->count == 0) return refuse(p, TOLA_E_FORMAT, "a class of no characters");
    return schema_characters(p->b, s->ranges, s->count);
}

static int compare_lows(const void *x, const void *y) {
    const code_range *a = x, *b = y;
    return a->low < b->low ? -1 : a->low > b->low;
}

static void negate(pattern *p, char_set *s) {
    char_set *given = mem_alloc(sizeof *given);
    if (!given) {
        build_fail(p->b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
        return;
    }
    *given = *s;
    s->count = 0;
    if (given->count) qsort(given->ranges, given->count, sizeof *given->ranges, compare_lows);
    uint32_t at = 0;
    for (size_t i = 0; i < given->count; i++) {
        if (given->ranges[i].low > at) add(p, s, at, given->ranges[i].low - 1);
        if (given->ranges[i].high + 1 > at) at = given->ranges[i].high + 1;
    }
    if (at <= LAST_CODE) add(p, s, at, LAST_CODE);
    mem_free(given);
}

/* One member of a class: a character, or a set such as \d, which begins no range. */
static bool take_member(pattern *p, char_set *s, uint32_t *code) {
    if (take(p, '\\')) {
        int c = peek(p);
        if (c == 'b') {
            p->pos++;
            *code = '\b';
            return true;
        }
        if (c > 0 && add_class_escape(p, s, c)) {
            p->pos++;
            return false;
        }
        *code = take_escape(p);
        return true;
    }
    *code = take_code(p);
    return true;
}

static part take_class(pattern *p) {
    char_set *s = mem_calloc(1, sizeof *s);
    if (!s) {
        build_fail(p->b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
        return 0;
    }
    bool negated = take(p, '^');
    while (ok(p) && peek(p) != ']') {
        uint32_t low = 0, high = 0;
        if (peek(p) < 0) {
            refuse(p, TOLA_E_FORMAT, "']' is missing");
            break;
        }
        if (!take_member(p, s, &low)) continue;
        high = low;
        if (peek(p) == '-' && p->pos + 1 < p->length && p->text[p->pos + 1] != ']') {
            p->pos++;
            if (!take_member(p, s, &high)) refuse(p, TOLA_E_FORMAT, "a range to a set of characters");
            else if (high < low) refuse(p, TOLA_E_FORMAT, "a range that is backwards");
        }
        if (ok(p)) add(p, s, low, high);
    }
    p->pos++;
    if (ok(p) && negated) negate(p, s);
    part result = characters(p, s);
    mem_free(s);
    return result;
}

/* ---- structure ---- */

static part take_alternatives(pattern *p);

static part take_group(pattern *p) {
    if (take(p, '?') && !take(p, ':')) return unsupported(p, "look-around, or a group with a name or flags");
    if (++p->depth > MAX_GROUPS) return refuse(p, TOLA_E_LIMIT, "groups nested too deep");
    part inside = take_alternatives(p);
    p->depth--;
    if (ok(p) && !take(p, ')')) return refuse(p, TOLA_E_FORMAT, "')' is missing");
    return inside;
}

static part take_atom(pattern *p) {
    char_set s = { .count = 0 };
    int c = peek(p);
    if (take(p, '(')) return take_group(p);
    if (take(p, '[')) return take_class(p);
    if (take(p, '.')) {
        static const code_range ends[] = { { '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 } };
        add_known(p, &s, ends, 3, true);
        return characters(p, &s);
    }
    if (c == '^' || c == '$') return unsupported(p, "^ or $ elsewhere than at an end of the whole");
    if (c == '*' || c == '+' || c == '?' || c == '{') return refuse(p, TOLA_E_FORMAT, "nothing to repeat");
    if (take(p, '\\')) {
        c = peek(p);
        if (c > 0 && add_class_escape(p, &s, c)) {
            p->pos++;
            return characters(p, &s);
        }
        if (c == 'b' || c == 'B') return unsupported(p, "a word boundary");
        uint32_t code = take_escape(p);
        add(p, &s, code, code);
        return characters(p, &s);
    }
    uint32_t code = take_code(p);
    add(p, &s, code, code);
    return characters(p, &s);
}

static bool take_count(pattern *p, uint32_t *out) {
    size_t at = p->pos;
    uint32_t v = 0;
    for (int c; (c = peek(p)) >= '0' && c <= '9' && p->pos - at < 8; p->pos++) v = v * 10 + (uint32_t)(c - '0');
    *out = v;
    return p->pos > at;
}

static void take_times(pattern *p, uint32_t *low, uint32_t *high) {
    *low = 0;
    *high = REPEAT_FOREVER;
    if (take(p, '+')) {
        *low = 1;
    } else if (take(p, '?')) {
        *high = 1;
    } else if (take(p, '{')) {
        bool good = take_count(p, low);
        *high = *low;
        if (good && take(p, ',') && !take_count(p, high)) *high = REPEAT_FOREVER;
        if (!good || !take(p, '}') || *high < *low) refuse(p, TOLA_E_FORMAT, "a quantifier that is none");
    } else if (!take(p, '*')) {
        *low = *high = 1;
        return;
    }
    take(p, '?'); /* lazy: the same strings */
}

static part take_quantifier(pattern *p, part atom) {
    uint32_t low, high;
    take_times(p, &low, &high);
    return ok(p) ? build_repeat(p->b, atom, low, high) : 0;
}

static part anything(pattern *p) {
    code_range all = { 0, LAST_CODE };
    return build_repeat(p->b, schema_characters(p->b, &all, 1), 0, REPEAT_FOREVER);
}

static part take_sequence(pattern *p) {
    part *items = NULL, result = 0;
    size_t count = 0, cap = 0;
    bool outermost = p->depth == 0, open = outermost && !take(p, '^'), closed = false;
    while (ok(p) && peek(p) >= 0 && peek(p) != '|' && peek(p) != ')') {
        if (outermost && peek(p) == '$' && (p->pos + 1 == p->length || p->text[p->pos + 1] == '|')) {
            p->pos++;
            closed = true;
            break;
        }
        part item = take_atom(p);
        if (ok(p)) item = take_quantifier(p, item);
        if (ok(p) && !mem_grow(&items, &cap, count + 1, sizeof *items))
            build_fail(p->b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
        if (ok(p)) items[count++] = item;
    }
    if (ok(p)) result = build_seq(p->b, items, count);
    mem_free(items);
    if (open && ok(p)) result = schema_seq(p->b, anything(p), result, PART_NONE);
    if (outermost && !closed && ok(p)) result = schema_seq(p->b, result, anything(p), PART_NONE);
    return result;
}

static part take_alternatives(pattern *p) {
    part *ways = NULL, result = 0;
    size_t count = 0, cap = 0;
    do {
        part way = take_sequence(p);
        if (ok(p) && !mem_grow(&ways, &cap, count + 1, sizeof *ways))
            build_fail(p->b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
        if (ok(p)) ways[count++] = way;
    } while (ok(p) && take(p, '|'));
    if (ok(p)) result = build_alt(p->b, ways, count);
    mem_free(ways);
    return result;
}

bool schema_pattern_within(grammar_builder *b, const char *text, size_t length, const char *path, uint32_t low,
                           uint32_t high, part *out) {
    pattern p = { b, text, length, 0, path, 0 };
    uint32_t least, most;
    if (!take(&p, '^') || peek(&p) <= 0 || strchr("($|)", peek(&p))) return false;
    part atom = take_atom(&p);
    if (ok(&p)) take_times(&p, &least, &most);
    *out = 0;
    if (!ok(&p)) return true;
    if (!take(&p, '$') || p.pos < length) return false;
    if (least > low) low = least;
    if (most < high) high = most;
    *out = PART_NONE;
    if (low <= high)
        *out = schema_seq(b, schema_text(b, "\""), build_repeat(b, atom, low, high), schema_text(b, "\""), PART_NONE);
    return true;
}

part schema_pattern_text(grammar_builder *b, const char *text, size_t length, const char *path) {
    pattern p = { b, text, length, 0, path, 0 };
    part inside = take_alternatives(&p);
    if (ok(&p) && p.pos < length) refuse(&p, TOLA_E_FORMAT, "')' without '('");
    return ok(&p) ? inside : 0;
}

part schema_pattern(grammar_builder *b, const char *text, size_t length, const char *path) {
    part inside = schema_pattern_text(b, text, length, path);
    return schema_seq(b, schema_text(b, "\""), inside, schema_text(b, "\""), PART_NONE);
}
