/* Strings of JSON (RFC 8259, section 7) as parts of a grammar: their characters, names that are taken, formats. */
#include "base/utf8.h"
#include "text/schema_build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- small things ---- */

part schema_text(grammar_builder *b, const char *ascii) { return build_literal(b, ascii, strlen(ascii)); }

part schema_class(grammar_builder *b, const char *ascii_pairs) {
    code_range r[16];
    size_t n = 0;
    for (; ascii_pairs[2 * n] && n < 16; n++)
        r[n] = (code_range){ (uint8_t)ascii_pairs[2 * n], (uint8_t)ascii_pairs[2 * n + 1] };
    return build_class(b, r, n, false, TOLA_NO_OFFSET);
}

part schema_digits(grammar_builder *b, int low, int high) {
    code_range r = { (uint32_t)('0' + low), (uint32_t)('0' + high) };
    return build_class(b, &r, 1, false, TOLA_NO_OFFSET);
}

static size_t take_list(va_list args, part *items, size_t cap) {
    size_t n = 0;
    for (part p; (p = va_arg(args, part)) != PART_NONE && n < cap;) items[n++] = p;
    return n;
}

part schema_seq(grammar_builder *b, ...) {
    part items[16];
    va_list args;
    va_start(args, b);
    size_t n = take_list(args, items, 16);
    va_end(args);
    return build_seq(b, items, n);
}

part schema_alt(grammar_builder *b, ...) {
    part items[16];
    va_list args;
    va_start(args, b);
    size_t n = take_list(args, items, 16);
    va_end(args);
    return build_alt(b, items, n);
}

/* ---- characters ---- */

static part hex(grammar_builder *b, uint32_t count) { return build_repeat(b, schema_class(b, "09afAF"), count, count); }

/* \uXXXX that is a character, or two of them that are one. */
static part unicode_escape(grammar_builder *b) {
    part plain = schema_alt(b, schema_seq(b, schema_class(b, "09acefACEF"), hex(b, 3), PART_NONE),
                            schema_seq(b, schema_class(b, "ddDD"), schema_class(b, "07"), hex(b, 2), PART_NONE),
                            PART_NONE);
    part pair = schema_seq(b, schema_class(b, "ddDD"), schema_class(b, "89abAB"), hex(b, 2), schema_text(b, "\\u"),
                           schema_class(b, "ddDD"), schema_class(b, "cfCF"), hex(b, 2), PART_NONE);
    return schema_seq(b, schema_text(b, "u"), schema_alt(b, plain, pair, PART_NONE), PART_NONE);
}

void schema_define_strings(grammar_builder *b, uint32_t character, uint32_t string) {
    code_range out[] = { { 0, 0x1f }, { '"', '"' }, { '\\', '\\' } };
    part plain = build_class(b, out, 3, true, TOLA_NO_OFFSET);
    part escape = schema_seq(b, schema_text(b, "\\"),
                             schema_alt(b, schema_class(b, "\"\"\\\\//bbffnnrrtt"), unicode_escape(b), PART_NONE),
                             PART_NONE);
    build_define(b, character, schema_alt(b, plain, escape, PART_NONE), TOLA_NO_OFFSET);
    build_define(b, string,
                 schema_seq(b, schema_text(b, "\""), build_repeat(b, build_rule_ref(b, character), 0, REPEAT_FOREVER),
                            schema_text(b, "\""), PART_NONE),
                 TOLA_NO_OFFSET);
}

static part spelled(grammar_builder *b, uint32_t c) {
    static const struct {
        uint32_t code;
        const char *text;
    } known[] = { { '"', "\\\"" }, { '\\', "\\\\" }, { '\b', "\\b" }, { '\f', "\\f" },
                  { '\n', "\\n" }, { '\r', "\\r" },  { '\t', "\\t" } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].code == c) return schema_text(b, known[i].text);
    char text[8];
    snprintf(text, sizeof text, "\\u%04x", c);
    return schema_text(b, text);
}

static bool needs_escape(uint32_t c) { return c < 0x20 || c == '"' || c == '\\'; }

part schema_characters(grammar_builder *b, const code_range *ranges, size_t count) {
    part ways[40];
    size_t n = 0, plain_count = 0;
    code_range *plain = mem_alloc((count * 3 + 1) * sizeof *plain);
    if (!plain) {
        build_fail(b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
        return 0;
    }
    bool escaped[128] = { false };
    for (size_t i = 0; i < count; i++) {
        uint32_t at = ranges[i].low;
        for (uint32_t c = at; c <= ranges[i].high && c < 128; c++) {
            if (!needs_escape(c)) continue;
            escaped[c] = true;
            if (c > at) plain[plain_count++] = (code_range){ at, c - 1 };
            at = c + 1;
        }
        if (at <= ranges[i].high) plain[plain_count++] = (code_range){ at, ranges[i].high };
    }
    if (plain_count) ways[n++] = build_class(b, plain, plain_count, false, TOLA_NO_OFFSET);
    for (uint32_t c = 0; c < 128; c++)
        if (escaped[c]) ways[n++] = spelled(b, c);
    mem_free(plain);
    return build_alt(b, ways, n);
}

/* The next character of valid UTF-8. */
static uint32_t next_code(const char *text, size_t *at) {
    uint32_t code;
    *at += utf8_next(text + *at, &code);
    return code;
}

part schema_string_text(grammar_builder *b, const char *text, size_t length) {
    part *items = mem_alloc((length + 1) * sizeof *items), p = 0;
    size_t n = 0;
    if (!items) {
        build_fail(b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
        return 0;
    }
    for (size_t at = 0; at < length;) {
        uint32_t c = next_code(text, &at);
        items[n++] = needs_escape(c) ? spelled(b, c)
                                     : build_class(b, &(code_range){ c, c }, 1, false, TOLA_NO_OFFSET);
    }
    p = build_seq(b, items, n);
    mem_free(items);
    return p;
}

part schema_string_literal(grammar_builder *b, const char *text, size_t length) {
    part inside = schema_string_text(b, text, length);
    return schema_seq(b, schema_text(b, "\""), inside, schema_text(b, "\""), PART_NONE);
}

/* ---- strings that are none of some names ---- */

typedef struct names {
    const tola_string *list;
    const char *rule_name;
    part any;           /* a character */
    part rest;          /* any characters, and the quote */
    uint32_t rule_count;
} names;

static int compare_names(const void *x, const void *y) {
    const tola_string *a = x, *b = y;
    int c = memcmp(a->data, b->data, a->length < b->length ? a->length : b->length);
    return c ? c : a->length < b->length ? -1 : a->length > b->length;
}

/* One branch of the tree of names: names first .. end share `at` bytes. */
typedef struct branch {
    size_t first, end, at;
    uint32_t rule;
} branch;

static uint32_t branch_rule(grammar_builder *b, names *n) {
    char name[320];
    snprintf(name, sizeof name, "%.280s, other names %u", n->rule_name, n->rule_count++);
    return build_rule(b, name, strlen(name), TOLA_NO_OFFSET);
}

/* What may follow here: the end unless a name ends here, a character that no name has here and then anything, or a
 * character of names and the branch behind it. */
static void define_branch(grammar_builder *b, names *n, branch here, branch **todo, size_t *count, size_t *cap) {
    size_t room = here.end - here.first + 1, way_count = 0, used = 0;
    part *ways = mem_alloc((room + 2) * sizeof *ways);
    code_range *taken = mem_alloc(room * sizeof *taken), *free_ones = mem_alloc((room + 1) * sizeof *free_ones);
    if (!ways || !taken || !free_ones) build_fail(b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
    size_t i = here.first;
    bool ends = false;
    for (; b->status == TOLA_OK && i < here.end && n->list[i].length == here.at; i++) ends = true;
    while (b->status == TOLA_OK && i < here.end) {
        branch next = { i, i, here.at, 0 };
        uint32_t c = next_code(n->list[i].data, &next.at);
        for (; next.end < here.end && memcmp(n->list[next.end].data, n->list[i].data, next.at) == 0; next.end++) {}
        next.rule = branch_rule(b, n);
        taken[used++] = (code_range){ c, c };
        ways[way_count++] = schema_seq(b, schema_characters(b, &(code_range){ c, c }, 1), build_rule_ref(b, next.rule),
                                       PART_NONE);
        if (!mem_grow(todo, cap, *count + 1, sizeof **todo))
            build_fail(b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
        else (*todo)[(*count)++] = next;
        i = next.end;
    }
    if (b->status == TOLA_OK) {
        uint32_t at = 0;
        size_t gaps = 0;
        for (size_t k = 0; k < used; k++) { /* UTF-8 sorts as code points do */
            if (taken[k].low > at) free_ones[gaps++] = (code_range){ at, taken[k].low - 1 };
            at = taken[k].low + 1;
        }
        if (at <= 0x10ffff) free_ones[gaps++] = (code_range){ at, 0x10ffff };
        ways[way_count++] = schema_seq(b, schema_characters(b, free_ones, gaps), n->rest, PART_NONE);
        if (!ends) ways[way_count++] = schema_text(b, "\"");
        build_define(b, here.rule, build_alt(b, ways, way_count), TOLA_NO_OFFSET);
    }
    mem_free(ways);
    mem_free(taken);
    mem_free(free_ones);
}

part schema_other_string(grammar_builder *b, const tola_string *list, size_t count, const char *rule_name) {
    tola_string *sorted = mem_alloc(count * sizeof *sorted);
    if (!sorted) {
        build_fail(b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
        return 0;
    }
    if (count) memcpy(sorted, list, count * sizeof *sorted);
    if (count) qsort(sorted, count, sizeof *sorted, compare_names);
    code_range all = { 0, 0x10ffff };
    names n = { sorted, rule_name, schema_characters(b, &all, 1), 0, 0 };
    n.rest = schema_seq(b, build_repeat(b, n.any, 0, REPEAT_FOREVER), schema_text(b, "\""), PART_NONE);
    branch *todo = NULL;
    size_t todo_count = 0, cap = 0;
    branch root = { 0, count, 0, branch_rule(b, &n) };
    define_branch(b, &n, root, &todo, &todo_count, &cap);
    while (todo_count > 0 && b->status == TOLA_OK) {
        branch next = todo[--todo_count];
        define_branch(b, &n, next, &todo, &todo_count, &cap);
    }
    mem_free(todo);
    mem_free(sorted);
    return schema_seq(b, schema_text(b, "\""), build_rule_ref(b, root.rule), PART_NONE);
}

/* ---- formats ---- */

static part digits(grammar_builder *b, uint32_t count) {
    return build_repeat(b, schema_digits(b, 0, 9), count, count);
}

/* "0104061212" and the like: a list of two-digit numbers. */
static part two_digits(grammar_builder *b, int low, int high) {
    part ways[100];
    size_t n = 0;
    for (int tens = low / 10; tens <= high / 10; tens++) {
        int first = tens == low / 10 ? low % 10 : 0, last = tens == high / 10 ? high % 10 : 9;
        ways[n++] = schema_seq(b, schema_digits(b, tens, tens), schema_digits(b, first, last), PART_NONE);
    }
    return build_alt(b, ways, n);
}

/* Years 0001 to 9999 of the Gregorian calendar and their days (RFC 3339, full-date). */
static part date(grammar_builder *b) {
    part year_rest = schema_alt(b, schema_seq(b, schema_text(b, "000"), schema_digits(b, 1, 9), PART_NONE),
                                schema_seq(b, schema_text(b, "00"), schema_digits(b, 1, 9), digits(b, 1), PART_NONE),
                                schema_seq(b, schema_text(b, "0"), schema_digits(b, 1, 9), digits(b, 2), PART_NONE),
                                schema_seq(b, schema_digits(b, 1, 9), digits(b, 3), PART_NONE), PART_NONE);
    /* Two digits that four divides, but 00. */
    part fourth = schema_alt(b, schema_seq(b, schema_text(b, "0"), schema_class(b, "4488"), PART_NONE),
                             schema_seq(b, schema_class(b, "22446688"), schema_class(b, "004488"), PART_NONE),
                             schema_seq(b, schema_class(b, "1133557799"), schema_class(b, "2266"), PART_NONE),
                             PART_NONE);
    part leap = schema_alt(b, schema_seq(b, digits(b, 2), fourth, PART_NONE),
                           schema_seq(b, fourth, schema_text(b, "00"), PART_NONE), PART_NONE);
    part thirty_one = schema_alt(b, schema_seq(b, schema_text(b, "0"), schema_class(b, "1133557788"), PART_NONE),
                                 schema_seq(b, schema_text(b, "1"), schema_class(b, "0022"), PART_NONE), PART_NONE);
    part thirty = schema_alt(b, schema_seq(b, schema_text(b, "0"), schema_class(b, "446699"), PART_NONE),
                             schema_text(b, "11"), PART_NONE);
    part day = schema_alt(b, schema_seq(b, thirty_one, schema_text(b, "-"), two_digits(b, 1, 31), PART_NONE),
                          schema_seq(b, thirty, schema_text(b, "-"), two_digits(b, 1, 30), PART_NONE),
                          schema_seq(b, schema_text(b, "02-"), two_digits(b, 1, 28), PART_NONE), PART_NONE);
    return schema_alt(b, schema_seq(b, year_rest, schema_text(b, "-"), day, PART_NONE),
                      schema_seq(b, leap, schema_text(b, "-02-29"), PART_NONE), PART_NONE);
}

/* RFC 3339, full-time, without leap seconds. */
static part time_of_day(grammar_builder *b) {
    part fraction = build_repeat(
        b, schema_seq(b, schema_text(b, "."), build_repeat(b, schema_digits(b, 0, 9), 1, 9), PART_NONE), 0, 1);
    part offset = schema_alt(b, schema_text(b, "Z"),
                             schema_seq(b, schema_class(b, "++--"), two_digits(b, 0, 23), schema_text(b, ":"),
                                        two_digits(b, 0, 59), PART_NONE),
                             PART_NONE);
    return schema_seq(b, two_digits(b, 0, 23), schema_text(b, ":"), two_digits(b, 0, 59), schema_text(b, ":"),
                      two_digits(b, 0, 59), fraction, offset, PART_NONE);
}

static part uuid(grammar_builder *b) {
    return schema_seq(b, hex(b, 8), schema_text(b, "-"), hex(b, 4), schema_text(b, "-"), hex(b, 4),
                      schema_text(b, "-"), hex(b, 4), schema_text(b, "-"), hex(b, 12), PART_NONE);
}

static part ipv4(grammar_builder *b) {
    part byte = schema_alt(b, schema_digits(b, 0, 9), two_digits(b, 10, 99),
                           schema_seq(b, schema_text(b, "1"), digits(b, 2), PART_NONE),
                           schema_seq(b, schema_text(b, "2"), schema_digits(b, 0, 4), digits(b, 1), PART_NONE),
                           schema_seq(b, schema_text(b, "25"), schema_digits(b, 0, 5), PART_NONE), PART_NONE);
    part rest = build_repeat(b, schema_seq(b, schema_text(b, "."), byte, PART_NONE), 3, 3);
    return schema_seq(b, byte, rest, PART_NONE);
}

static part date_time(grammar_builder *b) {
    return schema_seq(b, date(b), schema_text(b, "T"), time_of_day(b), PART_NONE);
}

/* RFC 1123 with at most three labels; RFC 5321, 4.1.2 with plain local parts; RFC 4291, 2.2 without an IPv4 address at
 * the end; RFC 3339, appendix A; RFC 3986 with a host. */
#define LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define LOCAL "[A-Za-z0-9_%+-]{1,30}"
#define QUAD "[0-9A-Fa-f]{1,4}"
#define COUNT "[0-9]{1,6}"
#define HOURS "(" COUNT "H(" COUNT "M(" COUNT "S)?)?|" COUNT "M(" COUNT "S)?|" COUNT "S)"
#define DAYS "(" COUNT "Y(" COUNT "M(" COUNT "D)?)?|" COUNT "M(" COUNT "D)?|" COUNT "D)"
#define PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"

static const struct {
    const char *name;
    part (*make)(grammar_builder *b); /* no text that it makes is of another such format */
    const char *pattern;              /* where there is no such function */
    uint16_t least, most;             /* characters */
} FORMATS[] = {
    { "date", date, NULL, 10, 10 },
    { "time", time_of_day, NULL, 9, 24 },
    { "date-time", date_time, NULL, 20, 35 },
    { "uuid", uuid, NULL, 36, 36 },
    { "ipv4", ipv4, NULL, 7, 15 },
    { "hostname", NULL, "^" LABEL "(\\." LABEL "){0,2}$", 1, 191 },
    { "email", NULL, "^" LOCAL "(\\." LOCAL ")?@" LABEL "(\\." LABEL "){1,2}$", 5, 253 },
    { "ipv6", NULL,
      "^((" QUAD ":){7}" QUAD "|(" QUAD ":){1,7}:|(" QUAD ":){1,6}:" QUAD "|(" QUAD ":){1,5}(:" QUAD "){1,2}|(" QUAD
      ":){1,4}(:" QUAD "){1,3}|(" QUAD ":){1,3}(:" QUAD "){1,4}|(" QUAD ":){1,2}(:" QUAD "){1,5}|" QUAD ":(:" QUAD
      "){1,6}|:(:" QUAD "){1,7}|::)$",
      2, 39 },
    { "duration", NULL, "^P(" COUNT "W|" DAYS "(T" HOURS ")?|T" HOURS ")$", 3, 44 },
    { "uri", NULL,
      "^[A-Za-z][A-Za-z0-9+.-]{0,15}://" LABEL "(\\." LABEL "){0,3}(:[0-9]{1,5})?(/" PCHAR "{0,32}){0,8}(\\?(" PCHAR
      "|[/?]){0,128})?(#(" PCHAR "|[/?]){0,32})?$",
      5, 1538 },
};

static size_t find_format(const char *name) {
    size_t i = 0;
    while (i < sizeof FORMATS / sizeof *FORMATS && strcmp(FORMATS[i].name, name) != 0) i++;
    return i;
}

bool schema_knows_format(const char *name) { return find_format(name) < sizeof FORMATS / sizeof *FORMATS; }

bool schema_formats_differ(const char *one, const char *other) {
    size_t a = find_format(one), b = find_format(other), count = sizeof FORMATS / sizeof *FORMATS;
    return a != b && a < count && b < count && FORMATS[a].make && FORMATS[b].make;
}

void schema_format_lengths(const char *name, uint32_t *least, uint32_t *most) {
    size_t i = find_format(name);
    *least = FORMATS[i].least;
    *most = FORMATS[i].most;
}

part schema_format(grammar_builder *b, const char *name) {
    size_t i = find_format(name);
    if (!FORMATS[i].make) return schema_pattern(b, FORMATS[i].pattern, strlen(FORMATS[i].pattern), FORMATS[i].name);
    return schema_seq(b, schema_text(b, "\""), FORMATS[i].make(b), schema_text(b, "\""), PART_NONE);
}
