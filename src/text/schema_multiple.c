/* Multiples of a number, digit by digit: what may follow the digits so far depends on their remainder alone.
 *
 * A multiple of m / 10^d is written as the digits of a whole multiple of m, d of them behind the point, where zeros at
 * the end may be missing. With `left` digits to come, remainders that differ by m / gcd(m, 10^left) take the same ones,
 * so that powers of ten and their halves need next to no rules. */
#include "text/schema_build.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_STEP 1000000000000000000u /* of m: ten times a remainder fits easily */
#define MAX_REMAINDERS 1000u          /* that any number of digits may have */
#define MAX_RULES 20000u              /* of one keyword */
#define MAX_DIGITS 128

typedef unsigned __int128 u128;

typedef struct multiples {
    grammar_builder *b;
    uint64_t step;     /* m */
    unsigned decimals; /* d */
    const char *path;
    size_t first_rule; /* how many rules there were before */
} multiples;

static void refuse(const multiples *s) {
    build_fail(s->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: %s: multiples of this number need too many rules", s->path);
}

/* m without what it has in common with 10^left. */
static uint64_t tail_step(const multiples *s, unsigned left) {
    uint64_t m = s->step;
    for (; left > 0 && (m % 2 == 0 || m % 5 == 0); left--) m /= m % 10 == 0 ? 10 : m % 2 == 0 ? 2 : 5;
    return m;
}

static uint64_t shifted(const multiples *s, uint64_t remainder, unsigned left) {
    for (; left > 0 && remainder; left--) remainder = (uint64_t)((u128)remainder * 10 % s->step);
    return remainder;
}

/* Whether `left` more digits can make a multiple of it. */
static bool alive(const multiples *s, uint64_t remainder, unsigned left) {
    uint64_t missing = s->step - shifted(s, remainder, left), power = 1;
    if (missing == s->step) return true;
    for (; left > 0 && power <= missing; left--) power *= 10;
    return missing < power;
}

static part digit_before(const multiples *s, unsigned left, int low, int high, part rest) {
    part digit = schema_digits(s->b, low, high);
    if (left != s->decimals) return schema_seq(s->b, digit, rest, PART_NONE);
    return schema_seq(s->b, schema_text(s->b, "."), digit, rest, PART_NONE);
}

static uint64_t after(const multiples *s, uint64_t remainder, int digit) {
    return (uint64_t)(((u128)remainder * 10 + (unsigned)digit) % s->step);
}

static part loose(const multiples *s, uint64_t remainder, unsigned left);

/* The ways on by digits low .. high, of which any others may follow. */
static size_t loose_digits(const multiples *s, uint64_t remainder, unsigned left, int low, int high, part *ways) {
    size_t n = 0;
    for (int digit = low; digit <= high;) {
        uint64_t next = after(s, remainder, digit), same = tail_step(s, left - 1);
        int last = digit;
        while (last < high && after(s, remainder, last + 1) % same == next % same) last++;
        if (alive(s, next, left - 1)) ways[n++] = digit_before(s, left, digit, last, loose(s, next, left - 1));
        digit = last + 1;
    }
    return n;
}

/* Exactly `left` more digits, but for zeros behind the point. Recurses once a digit. */
static part loose(const multiples *s, uint64_t remainder, unsigned left) {
    grammar_builder *b = s->b;
    if (left == 0) return build_empty(b);
    char name[120];
    remainder %= tail_step(s, left);
    int length = snprintf(name, sizeof name, "multiple of %" PRIu64 " by 10^-%u: %" PRIu64 " and %u digits", s->step,
                          s->decimals, remainder, left);
    size_t count = b->rule_count;
    uint32_t rule = build_rule(b, name, (size_t)length, TOLA_NO_OFFSET);
    if (b->status != TOLA_OK || rule < count) return build_rule_ref(b, rule);
    if (b->rule_count - s->first_rule > MAX_RULES) {
        refuse(s);
        return 0;
    }
    part ways[11];
    size_t n = loose_digits(s, remainder, left, 0, 9, ways);
    if (left <= s->decimals && shifted(s, remainder, left) == 0) ways[n++] = build_empty(b);
    build_define(b, rule, build_alt(b, ways, n), TOLA_NO_OFFSET);
    return build_rule_ref(b, rule);
}

typedef struct span {
    const char *low, *high; /* digits, `length` of them */
    unsigned length;
} span;

static bool zeros(const char *text, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (text[i] != '0') return false;
    return true;
}

/* From digit `at` on, where those so far equal the low bound's (`from`) or the high one's (`to`). PART_NONE: nothing
 * may follow. Recurses once a digit. */
static part tight(const multiples *s, const span *r, unsigned at, uint64_t remainder, bool from, bool to) {
    unsigned left = r->length - at;
    if (!alive(s, remainder, left)) return PART_NONE;
    if (!from && !to) return loose(s, remainder, left);
    if (left == 0) return build_empty(s->b);
    int first = from ? r->low[at] - '0' : 0, last = to ? r->high[at] - '0' : 9;
    part ways[13], rest;
    size_t n = 0;
    if (left <= s->decimals && shifted(s, remainder, left) == 0 && (!from || zeros(r->low + at, left)))
        ways[n++] = build_empty(s->b);
    if (from) {
        rest = tight(s, r, at + 1, after(s, remainder, first), true, to && first == last);
        if (rest != PART_NONE) ways[n++] = digit_before(s, left, first, first, rest);
        first++;
    }
    if (to && first <= last) {
        rest = tight(s, r, at + 1, after(s, remainder, last), false, true);
        if (rest != PART_NONE) ways[n++] = digit_before(s, left, last, last, rest);
        last--;
    }
    n += loose_digits(s, remainder, left, first, last, ways + n);
    return n ? build_alt(s->b, ways, n) : PART_NONE;
}

/* Any number of digits, and `left` more. */
static part endless(const multiples *s, unsigned left) {
    grammar_builder *b = s->b;
    uint64_t step = tail_step(s, left);
    uint32_t rules[MAX_REMAINDERS];
    part ways[11];
    if (step > MAX_REMAINDERS) {
        refuse(s);
        return 0;
    }
    for (uint64_t r = 0; r < step; r++) {
        char name[120];
        int length = snprintf(name, sizeof name, "multiple of %" PRIu64 " by 10^-%u: %" PRIu64 ", more than %u digits",
                              s->step, s->decimals, r, left);
        rules[r] = build_rule(b, name, (size_t)length, TOLA_NO_OFFSET);
    }
    bool known = b->rules[rules[0]].body != PART_NONE; /* from elsewhere in the schema */
    for (uint64_t r = 0; r < step && !known && b->status == TOLA_OK; r++) {
        size_t n = 0;
        for (int digit = 0; digit < 10; digit++) {
            part rest = build_rule_ref(b, rules[(r * 10 + (unsigned)digit) % step]);
            ways[n++] = schema_seq(b, schema_digits(b, digit, digit), rest, PART_NONE);
        }
        ways[n++] = loose(s, r, left);
        build_define(b, rules[r], build_alt(b, ways, n), TOLA_NO_OFFSET);
    }
    for (int digit = 1; digit < 10 && b->status == TOLA_OK; digit++)
        ways[digit - 1] = schema_seq(b, schema_digits(b, digit, digit),
                                     build_rule_ref(b, rules[(unsigned)digit % step]), PART_NONE);
    return b->status == TOLA_OK ? build_alt(b, ways, 9) : 0;
}

static unsigned write_digits(u128 v, unsigned least, char *out) {
    char reversed[48];
    unsigned n = 0;
    for (; v > 0 || n < least; v /= 10) reversed[n++] = (char)('0' + (int)(v % 10));
    for (unsigned i = 0; i < n; i++) out[i] = reversed[n - 1 - i];
    return n;
}

/* low .. high, or from low up, in units of 10^-d; both are multiples. */
static part magnitude(const multiples *s, u128 low, u128 high, bool open) {
    char a[MAX_DIGITS], z[MAX_DIGITS], nines[MAX_DIGITS], least[MAX_DIGITS];
    part ways[MAX_DIGITS];
    size_t n = 0;
    unsigned from = write_digits(low, s->decimals + 1, a), to = from;
    memset(nines, '9', sizeof nines);
    memset(least, '0', sizeof least);
    least[0] = '1';
    if (!open) {
        to = write_digits(high, s->decimals + 1, z);
    } else { /* until more digits before them make no difference, and any remainder can be made good */
        uint64_t power = 1, odd = tail_step(s, 64);
        for (; to == from || power < s->step || tail_step(s, to) != odd; to++) power *= power < s->step ? 10 : 1;
    }
    for (unsigned length = from; length <= to; length++) {
        span r = { length == from ? a : least, length == to && !open ? z : nines, length };
        part p = tight(s, &r, 0, 0, true, true);
        if (p != PART_NONE) ways[n++] = p;
    }
    if (open) ways[n++] = endless(s, to);
    return n && s->b->status == TOLA_OK ? build_alt(s->b, ways, n) : PART_NONE;
}

/* low and high in units of 10^-15, from 0 up. */
static part multiples_within(const multiples *s, u128 low, u128 high, bool open) {
    u128 unit = 1;
    for (unsigned i = s->decimals; i < 15; i++) unit *= 10;
    low = (low + unit - 1) / unit;
    low = (low + s->step - 1) / s->step * s->step;
    high = high / unit / s->step * s->step;
    return open || low <= high ? magnitude(s, low, high, open) : PART_NONE;
}

bool schema_common_multiple(__int128 a, __int128 b, __int128 *out) {
    u128 x = (u128)a, y = (u128)b;
    while (y) {
        u128 rest = x % y;
        x = y;
        y = rest;
    }
    return !__builtin_mul_overflow(a / (__int128)x, b, out);
}

part schema_multiple_within(grammar_builder *b, bool integer, __int128 of, schema_bound low, schema_bound high,
                            const char *path) {
    multiples s = { b, 0, 15, path, b->rule_count };
    bool good = !integer || schema_common_multiple(of, SCHEMA_UNIT, &of);
    for (; good && s.decimals > 0 && of % 10 == 0; s.decimals--) of /= 10;
    if (!good || of > (__int128)MAX_STEP) {
        refuse(&s);
        return 0;
    }
    s.step = (uint64_t)of;
    part ways[2];
    size_t n = 0;
    if (!high.there || high.value >= 0) {
        __int128 from = low.there && low.value > 0 ? low.value : 0;
        part p = multiples_within(&s, (u128)from, high.there ? (u128)high.value : 0, !high.there);
        if (p != PART_NONE) ways[n++] = p;
    }
    if (!low.there || low.value < 0) {
        __int128 from = high.there && high.value < 0 ? -high.value : 0;
        part p = multiples_within(&s, (u128)from, low.there ? (u128)-low.value : 0, !low.there);
        if (p != PART_NONE) ways[n++] = schema_seq(b, schema_text(b, "-"), p, PART_NONE);
    }
    return n ? build_alt(b, ways, n) : PART_NONE;
}
