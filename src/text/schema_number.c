/* Numbers of JSON within bounds, digit by digit. Bounds are whole numbers of 10^-15; every comparison is exact. */
#include "text/schema_build.h"

#include <tola/json.h>

#include <string.h>

#define DECIMALS 15

typedef struct number_text {
    char text[64];
    size_t length;
} number_text;

static bool append(void *user, const char *more, size_t length) {
    number_text *t = user;
    if (length >= sizeof t->text - t->length) return false;
    memcpy(t->text + t->length, more, length);
    t->length += length;
    return true;
}

const char *schema_long_number(const char *source, const tola_value *number, size_t *length) {
    if (number->kind != TOLA_VALUE_FLOAT || number->reserved == 0) return NULL;
    const char *text = source + number->reserved - 1;
    size_t n = 1; /* the sign, or a digit; behind a number within a schema there is more, but perhaps no NUL at the end */
    while (text[n] >= '0' && text[n] <= '9') n++;
    *length = n;
    return text;
}

bool schema_bound_of(const char *source, const tola_value *number, __int128 *out) {
    number_text written = { { 0 }, 0 };
    size_t length;
    const char *text = schema_long_number(source, number, &length);
    tola_json j;
    tola_json_init(&j, append, &written, 0);
    if (!text) tola_json_value(&j, number);
    bool good = (text ? append(&written, text, length) : tola_json_finish(&j)) && written.length > 0;
    /* sign, digits, perhaps a point and more, perhaps an exponent */
    const char *p = written.text;
    bool negative = *p == '-';
    p += negative;
    __int128 value = 0;
    int scale = 0, exponent = 0;
    bool point = false;
    for (; good && ((*p >= '0' && *p <= '9') || *p == '.'); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        value = value * 10 + (*p - '0');
        scale += point;
        good = value < (__int128)1 << 100;
    }
    if (good && (*p == 'e' || *p == 'E')) {
        p++;
        bool below = *p == '-';
        p += *p == '-' || *p == '+';
        for (; *p >= '0' && *p <= '9' && exponent < 1000; p++) exponent = exponent * 10 + (*p - '0');
        if (below) exponent = -exponent;
    }
    good = good && *p == '\0';
    int shift = DECIMALS - scale + exponent;
    for (; good && shift > 0 && value; shift--) {
        value *= 10;
        good = value < (__int128)1 << 118; /* 10^35 and a bit */
    }
    for (; good && shift < 0 && value; shift++) {
        good = value % 10 == 0;
        value /= 10;
    }
    *out = negative ? -value : value;
    return good;
}

/* ---- digits ---- */

typedef struct digit_range {
    grammar_builder *b;
    const char *low, *high; /* digits, `length` of them */
    int length;
    bool whole;             /* all digits must be there; else what is missing is zeros */
} digit_range;

static bool zeros(const char *text, int count) {
    for (int i = 0; i < count; i++)
        if (text[i] != '0') return false;
    return true;
}

static part more_digits(const digit_range *r, int at) {
    uint32_t left = (uint32_t)(r->length - at);
    return build_repeat(r->b, schema_digits(r->b, 0, 9), r->whole ? left : 0, left);
}

/* What may follow from digit `at` on, where the digits so far equal those of the low bound (`from`) or of the high one
 * (`to`). PART_NONE: nothing may. Recurses once a digit. */
static part digits_from(const digit_range *r, int at, bool from, bool to) {
    if (!from && !to) return more_digits(r, at);
    if (at == r->length) return build_empty(r->b);
    int first = from ? r->low[at] - '0' : 0, last = to ? r->high[at] - '0' : 9;
    part ways[4];
    size_t n = 0;
    /* An end here stands for zeros: not above the high bound, and not below the low one where that has only zeros. */
    if (!r->whole && (!from || zeros(r->low + at, r->length - at))) ways[n++] = build_empty(r->b);
    if (from && to && first == last) {
        part rest = digits_from(r, at + 1, true, true);
        if (rest != PART_NONE) ways[n++] = schema_seq(r->b, schema_digits(r->b, first, first), rest, PART_NONE);
        return n ? build_alt(r->b, ways, n) : PART_NONE;
    }
    if (from) {
        part rest = digits_from(r, at + 1, true, false);
        if (rest != PART_NONE) ways[n++] = schema_seq(r->b, schema_digits(r->b, first, first), rest, PART_NONE);
        first++;
    }
    if (to) {
        part rest = digits_from(r, at + 1, false, true);
        if (rest != PART_NONE) ways[n++] = schema_seq(r->b, schema_digits(r->b, last, last), rest, PART_NONE);
        last--;
    }
    if (first <= last)
        ways[n++] = schema_seq(r->b, schema_digits(r->b, first, last), more_digits(r, at + 1), PART_NONE);
    return n ? build_alt(r->b, ways, n) : PART_NONE;
}

/* ---- whole numbers from 0 up ---- */

typedef unsigned __int128 u128;

static int write_digits(u128 v, char *out) {
    char reversed[48];
    int n = 0;
    do reversed[n++] = (char)('0' + (int)(v % 10));
    while ((v /= 10) > 0);
    for (int i = 0; i < n; i++) out[i] = reversed[n - 1 - i];
    return n;
}

/* low .. high, without leading zeros; `endless`: from low up. At most one alternative for each length. */
static part whole_within(grammar_builder *b, u128 low, u128 high, bool endless) {
    char a[48], z[48], nines[48], least[48];
    part ways[48];
    size_t n = 0;
    int from = write_digits(low, a), to = endless ? from : write_digits(high, z);
    memset(nines, '9', sizeof nines);
    memset(least, '0', sizeof least);
    least[0] = '1';
    for (int length = from; length <= to; length++) {
        digit_range r = { b, length == from ? a : least, length == to && !endless ? z : nines, length, true };
        part p = digits_from(&r, 0, true, true);
        if (p != PART_NONE) ways[n++] = p;
    }
    if (endless)
        ways[n++] = schema_seq(b, schema_digits(b, 1, 9),
                               build_repeat(b, schema_digits(b, 0, 9), (uint32_t)from, REPEAT_FOREVER), PART_NONE);
    return build_alt(b, ways, n);
}

/* ---- decimals from 0 up ---- */

static void write_decimals(u128 v, char *out) {
    for (int i = DECIMALS; i-- > 0; v /= 10) out[i] = (char)('0' + (int)(v % 10));
}

/* The point and what follows, within the bounds; nothing stands for zeros. PART_NONE: there is none. */
static part decimals_within(grammar_builder *b, const char *low, const char *high) {
    digit_range r = { b, low, high, DECIMALS, false };
    part ways[24];
    size_t n = 0;
    if (zeros(low, DECIMALS)) ways[n++] = build_empty(b);
    /* At least one digit follows a point. */
    for (int d = low[0] - '0'; d <= high[0] - '0'; d++) {
        part rest = digits_from(&r, 1, d == low[0] - '0', d == high[0] - '0');
        if (rest != PART_NONE)
            ways[n++] = schema_seq(b, schema_text(b, "."), schema_digits(b, d, d), rest, PART_NONE);
    }
    return n ? build_alt(b, ways, n) : PART_NONE;
}

static void add_decimals(grammar_builder *b, part whole, const char *low, const char *high, part *ways, size_t *n) {
    part p = decimals_within(b, low, high);
    if (p != PART_NONE) ways[(*n)++] = schema_seq(b, whole, p, PART_NONE);
}

static part decimal_within(grammar_builder *b, u128 low, u128 high, bool endless) {
    char first[DECIMALS], last[DECIMALS], none[DECIMALS], all[DECIMALS];
    memset(none, '0', DECIMALS);
    memset(all, '9', DECIMALS);
    u128 unit = (u128)SCHEMA_UNIT, a = low / unit, z = high / unit;
    write_decimals(low % unit, first);
    write_decimals(high % unit, last);
    part ways[3];
    size_t n = 0;
    if (!endless && a == z) {
        add_decimals(b, whole_within(b, a, a, false), first, last, ways, &n);
        return n ? ways[0] : PART_NONE;
    }
    add_decimals(b, whole_within(b, a, a, false), first, all, ways, &n);
    if (endless) add_decimals(b, whole_within(b, a + 1, 0, true), none, all, ways, &n);
    else if (z - a > 1) add_decimals(b, whole_within(b, a + 1, z - 1, false), none, all, ways, &n);
    if (!endless) add_decimals(b, whole_within(b, z, z, false), none, last, ways, &n);
    return n ? build_alt(b, ways, n) : PART_NONE;
}

/* ---- signs ---- */

static part magnitude_within(grammar_builder *b, bool integer, __int128 low, __int128 high, bool endless) {
    if (!integer) return decimal_within(b, (u128)low, endless ? 0 : (u128)high, endless);
    __int128 first = (low + SCHEMA_UNIT - 1) / SCHEMA_UNIT, last = high / SCHEMA_UNIT;
    if (!endless && first > last) return PART_NONE;
    return whole_within(b, (u128)first, endless ? 0 : (u128)last, endless);
}

part schema_number_within(grammar_builder *b, bool integer, schema_bound low, schema_bound high) {
    part ways[2];
    size_t n = 0;
    if (low.there && high.there && low.value > high.value) return PART_NONE;
    if (!high.there || high.value >= 0) {
        part p = magnitude_within(b, integer, low.there && low.value > 0 ? low.value : 0, high.value, !high.there);
        if (p != PART_NONE) ways[n++] = p;
    }
    if (!low.there || low.value < 0) {
        part p = magnitude_within(b, integer, high.there && high.value < 0 ? -high.value : 0, -low.value, !low.there);
        if (p != PART_NONE) ways[n++] = schema_seq(b, schema_text(b, "-"), p, PART_NONE);
    }
    return n ? build_alt(b, ways, n) : PART_NONE;
}

part schema_any_number(grammar_builder *b, bool integer) {
    part whole = schema_alt(b, schema_text(b, "0"),
                            schema_seq(b, schema_digits(b, 1, 9),
                                       build_repeat(b, schema_digits(b, 0, 9), 0, REPEAT_FOREVER), PART_NONE),
                            PART_NONE);
    part minus = build_repeat(b, schema_text(b, "-"), 0, 1);
    if (integer) return schema_seq(b, minus, whole, PART_NONE);
    part digits = build_repeat(b, schema_digits(b, 0, 9), 1, REPEAT_FOREVER);
    part fraction = build_repeat(b, schema_seq(b, schema_text(b, "."), digits, PART_NONE), 0, 1);
    part sign = build_repeat(b, schema_class(b, "++--"), 0, 1);
    part exponent = build_repeat(b, schema_seq(b, schema_class(b, "eeEE"), sign, digits, PART_NONE), 0, 1);
    return schema_seq(b, minus, whole, fraction, exponent, PART_NONE);
}
