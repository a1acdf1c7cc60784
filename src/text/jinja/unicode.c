/* Searching the tables of characters. */
#include "text/jinja/unicode.h"

#include "text/jinja/unicode_tables.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

bool unicode_is(uint32_t c, unicode_property property) {
    static const struct {
        const unicode_range *ranges;
        size_t n;
    } tables[] = {
        { unicode_printable, COUNT(unicode_printable) }, { unicode_alpha, COUNT(unicode_alpha) },
        { unicode_decimal, COUNT(unicode_decimal) },     { unicode_digit, COUNT(unicode_digit) },
        { unicode_numeric, COUNT(unicode_numeric) },     { unicode_lower, COUNT(unicode_lower) },
        { unicode_upper, COUNT(unicode_upper) },         { unicode_title, COUNT(unicode_title) },
        { unicode_start, COUNT(unicode_start) },         { unicode_continue, COUNT(unicode_continue) },
        { unicode_ignorable, COUNT(unicode_ignorable) },
    };
    const unicode_range *r = tables[property].ranges;
    size_t low = 0, high = tables[property].n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > r[middle].last) low = middle + 1;
        else high = middle;
    }
    return low < tables[property].n && c >= r[low].first;
}

bool unicode_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool unicode_break(uint32_t c) {
    return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

size_t unicode_convert(uint32_t c, unicode_case to, uint32_t out[3]) {
    static const struct {
        const unicode_map *maps;
        const unicode_special *many;
        size_t n, n_many;
    } tables[] = {
        { unicode_to_upper, unicode_to_upper_many, COUNT(unicode_to_upper), COUNT(unicode_to_upper_many) },
        { unicode_to_lower, unicode_to_lower_many, COUNT(unicode_to_lower), COUNT(unicode_to_lower_many) },
        { unicode_to_title, unicode_to_title_many, COUNT(unicode_to_title), COUNT(unicode_to_title_many) },
        { unicode_to_fold, unicode_to_fold_many, COUNT(unicode_to_fold), COUNT(unicode_to_fold_many) },
    };
    const unicode_map *maps = tables[to].maps;
    size_t low = 0, high = tables[to].n;
    out[0] = c;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > maps[middle].last) low = middle + 1;
        else high = middle;
    }
    if (low < tables[to].n && c >= maps[low].first && (c - maps[low].first) % (uint32_t)maps[low].step == 0) {
        out[0] = (uint32_t)((int64_t)c + maps[low].difference);
        return 1;
    }
    if (c < 0x80) return 1;
    for (size_t i = 0; i < tables[to].n_many; i++) {
        const unicode_special *s = &tables[to].many[i];
        if (s->from != c) continue;
        size_t n = 0;
        for (; n < 3 && s->to[n]; n++) out[n] = s->to[n];
        return n;
    }
    return 1;
}
