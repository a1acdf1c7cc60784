/* See unicode.h. Text is taken in segments that begin at a character before which nothing composes or moves; most are
 * one character and are copied. */
#include "text/unicode.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

bool unicode_in(const unicode_range *ranges, size_t count, uint32_t c) {
    const charset s = { .items = (unicode_range *)(uintptr_t)ranges, .count = count };
    return charset_has(&s, c);
}

bool unicode_is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool unicode_is_word(uint32_t c) {
    size_t low = 0, high = unicode_categories_count;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (unicode_categories[mid] >> 8 <= c)
            low = mid;
        else
            high = mid;
    }
    const char *name = unicode_category_names[unicode_categories[low] & 0xff];
    bool circled = (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
                   (c >= 0x1f170 && c <= 0x1f189); /* Other_Alphabetic that are symbols */
    return name[0] == 'L' || name[0] == 'M' || !strcmp(name, "Nd") || !strcmp(name, "Nl") || !strcmp(name, "Pc") ||
           c == 0x200c || c == 0x200d || circled;
}

uint32_t unicode_to_lower(uint32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    size_t low = 0, high = unicode_lower_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (unicode_lower[mid].last < c)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == unicode_lower_count || unicode_lower[low].first > c) return c;
    const unicode_case_run *r = &unicode_lower[low];
    return (c - r->first) % r->stride ? c : (uint32_t)((int32_t)c + r->add);
}

/* ---- decomposing ---- */

#define HANGUL 0xac00u
#define HANGUL_END 0xd7a4u
#define JAMO_L 0x1100u
#define JAMO_V 0x1161u
#define JAMO_T 0x11a7u
#define L_COUNT 19u
#define V_COUNT 21u
#define T_COUNT 28u

static bool composes(unicode_form form) { return form == UNICODE_NFC || form == UNICODE_NFKC; }
static bool compatible(unicode_form form) { return form == UNICODE_NFKC || form == UNICODE_NFKD; }

static const unicode_decomposition *decomposition_of(uint32_t c) {
    size_t low = 0, high = unicode_decompositions_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (unicode_decompositions[mid].c < c)
            low = mid + 1;
        else
            high = mid;
    }
    return low < unicode_decompositions_count && unicode_decompositions[low].c == c ? &unicode_decompositions[low]
                                                                                    : NULL;
}

static uint8_t class_of(uint32_t c) {
    size_t low = 0, high = unicode_classes_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (unicode_classes[mid].last < c)
            low = mid + 1;
        else
            high = mid;
    }
    return low < unicode_classes_count && unicode_classes[low].first <= c ? unicode_classes[low].value : 0;
}

typedef struct marked {
    uint32_t c;
    uint8_t class;
} marked;

typedef struct segment {
    marked *items, *other;
    size_t count, cap, other_cap;
    bool failed;
} segment;

static void put(segment *s, uint32_t c) {
    if (!mem_grow(&s->items, &s->cap, s->count + 1, sizeof *s->items)) {
        s->failed = true;
        return;
    }
    s->items[s->count++] = (marked){ c, class_of(c) };
}

static void decompose(unicode_form form, uint32_t c, segment *s) {
    if (c >= HANGUL && c < HANGUL_END) {
        uint32_t n = c - HANGUL;
        put(s, JAMO_L + n / (V_COUNT * T_COUNT));
        put(s, JAMO_V + n % (V_COUNT * T_COUNT) / T_COUNT);
        if (n % T_COUNT) put(s, JAMO_T + n % T_COUNT);
        return;
    }
    const unicode_decomposition *d = decomposition_of(c);
    size_t n = !d ? 0 : compatible(form) ? d->compatible_length : d->canonical_length;
    const uint32_t *parts = !d ? NULL : unicode_pool + (compatible(form) ? d->compatible : d->canonical);
    if (n == 0) put(s, c);
    for (size_t i = 0; i < n; i++) put(s, parts[i]);
}

/* Marks by class, equal ones in their order; one pass that counts, however long the run. */
static void order_run(segment *s, size_t begin, size_t end) {
    size_t places[256] = { 0 };
    if (!mem_grow(&s->other, &s->other_cap, end - begin, sizeof *s->other)) {
        s->failed = true;
        return;
    }
    for (size_t i = begin; i < end; i++) places[s->items[i].class]++;
    for (size_t k = 0, sum = 0; k < 256; k++) {
        size_t n = places[k];
        places[k] = sum;
        sum += n;
    }
    for (size_t i = begin; i < end; i++) s->other[places[s->items[i].class]++] = s->items[i];
    memcpy(s->items + begin, s->other, (end - begin) * sizeof *s->items);
}

static void order(segment *s) {
    for (size_t i = 0; i < s->count && !s->failed;) {
        bool sorted = true;
        if (s->items[i].class == 0) {
            i++;
            continue;
        }
        size_t end = i + 1;
        for (; end < s->count && s->items[end].class; end++)
            sorted = sorted && s->items[end - 1].class <= s->items[end].class;
        if (!sorted) order_run(s, i, end);
        i = end;
    }
}

/* ---- composing ---- */

/* What two characters compose to; 0: nothing. */
static uint32_t pair_of(uint32_t a, uint32_t b) {
    if (a >= JAMO_L && a < JAMO_L + L_COUNT && b >= JAMO_V && b < JAMO_V + V_COUNT)
        return HANGUL + ((a - JAMO_L) * V_COUNT + (b - JAMO_V)) * T_COUNT;
    if (a >= HANGUL && a < HANGUL_END && (a - HANGUL) % T_COUNT == 0 && b > JAMO_T && b < JAMO_T + T_COUNT)
        return a + (b - JAMO_T);
    size_t low = 0, high = unicode_pairs_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const unicode_pair *p = &unicode_pairs[mid];
        if (p->first < a || (p->first == a && p->second < b))
            low = mid + 1;
        else
            high = mid;
    }
    const unicode_pair *p = &unicode_pairs[low];
    return low < unicode_pairs_count && p->first == a && p->second == b ? p->joined : 0;
}

/* Each character joins the last starter where nothing between them keeps it from that. */
static void compose(segment *s) {
    size_t starter = SIZE_MAX, n = 0;
    for (size_t i = 0; i < s->count; i++) {
        marked m = s->items[i];
        bool next_to = starter != SIZE_MAX && starter + 1 == n;
        bool free_way = starter != SIZE_MAX && (next_to || (s->items[n - 1].class && s->items[n - 1].class < m.class));
        uint32_t joined = free_way ? pair_of(s->items[starter].c, m.c) : 0;
        if (joined) {
            s->items[starter].c = joined;
            continue;
        }
        if (m.class == 0) starter = n;
        s->items[n++] = m;
    }
    s->count = n;
}

static void give(unicode_form form, segment *s, buf *out) {
    order(s);
    if (composes(form)) compose(s);
    for (size_t i = 0; i < s->count; i++) {
        char text[4];
        buf_append(out, text, utf8_put(s->items[i].c, text));
    }
    s->count = 0;
}

/* ---- the whole ---- */

void unicode_form_touches(unicode_form form, charset *out) {
    for (size_t i = 0; i < unicode_decompositions_count; i++) {
        const unicode_decomposition *d = &unicode_decompositions[i];
        if (compatible(form) || d->canonical_length) charset_add(out, d->c, d->c);
    }
    for (size_t i = 0; i < unicode_classes_count; i++)
        charset_add(out, unicode_classes[i].first, unicode_classes[i].last);
    if (composes(form)) {
        for (size_t i = 0; i < unicode_pairs_count; i++)
            charset_add(out, unicode_pairs[i].second, unicode_pairs[i].second);
        charset_add(out, JAMO_V, JAMO_V + V_COUNT - 1);
        charset_add(out, JAMO_T + 1, JAMO_T + T_COUNT - 1);
    } else {
        charset_add(out, HANGUL, HANGUL_END - 1);
    }
    charset_settle(out);
}

bool unicode_normalize(unicode_form form, const charset_map *touched, const char *text, size_t length, buf *out) {
    segment s = { 0 };
    size_t plain = 0, last = SIZE_MAX; /* plain text not yet copied begins; the last plain character */
    bool open = false;                 /* a segment is being gathered */
    if (length == 0) return true;
    for (size_t i = 0; i < length;) {
        uint32_t c;
        size_t n = utf8_next(text + i, &c);
        bool untouched = c < 0x80 || !charset_map_has(touched, c);
        if (untouched) {
            if (open) {
                give(form, &s, out);
                plain = i;
                open = false;
            }
            last = i;
        } else {
            if (!open) { /* the character before may compose with this one */
                size_t until = last == SIZE_MAX ? i : last;
                buf_append(out, text + plain, until - plain);
                if (until < i) {
                    uint32_t before;
                    utf8_next(text + until, &before);
                    decompose(form, before, &s);
                }
                open = true;
            }
            decompose(form, c, &s);
            last = SIZE_MAX;
        }
        i += n;
    }
    if (open)
        give(form, &s, out);
    else
        buf_append(out, text + plain, length - plain);
    bool good = !s.failed && !out->failed;
    mem_free(s.items);
    mem_free(s.other);
    return good;
}
