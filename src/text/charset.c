/* See charset.h. */
#include "text/charset.h"

#include <stdlib.h>
#include <string.h>

#define LAST 0x10ffffu

void charset_free(charset *s) {
    mem_free(s->items);
    *s = (charset){ 0 };
}

void charset_add(charset *s, uint32_t first, uint32_t last) {
    if (s->count && s->items[s->count - 1].last + 1 == first) {
        s->items[s->count - 1].last = last;
        return;
    }
    if (!mem_grow(&s->items, &s->cap, s->count + 1, sizeof *s->items)) {
        s->failed = true;
        return;
    }
    s->items[s->count++] = (unicode_range){ first, last };
}

void charset_add_ranges(charset *s, const unicode_range *ranges, size_t count) {
    for (size_t i = 0; i < count; i++) charset_add(s, ranges[i].first, ranges[i].last);
}

static int by_first(const void *a, const void *b) {
    uint32_t x = ((const unicode_range *)a)->first, y = ((const unicode_range *)b)->first;
    return x < y ? -1 : x > y;
}

void charset_settle(charset *s) {
    size_t n = 0;
    if (s->count) qsort(s->items, s->count, sizeof *s->items, by_first);
    for (size_t i = 0; i < s->count; i++) {
        unicode_range r = s->items[i];
        if (n && r.first <= s->items[n - 1].last + 1) {
            if (r.last > s->items[n - 1].last) s->items[n - 1].last = r.last;
        } else {
            s->items[n++] = r;
        }
    }
    s->count = n;
}

void charset_negate(charset *s) {
    charset out = { .failed = s->failed };
    uint32_t next = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].first > next) charset_add(&out, next, s->items[i].first - 1);
        next = s->items[i].last + 1;
    }
    if (next <= LAST) charset_add(&out, next, LAST);
    charset_free(s);
    *s = out;
}

void charset_intersect(charset *s, const charset *other) {
    charset out = { .failed = s->failed || other->failed };
    for (size_t i = 0, k = 0; i < s->count && k < other->count;) {
        unicode_range a = s->items[i], b = other->items[k];
        uint32_t first = a.first > b.first ? a.first : b.first, last = a.last < b.last ? a.last : b.last;
        if (first <= last) charset_add(&out, first, last);
        if (a.last < b.last)
            i++;
        else
            k++;
    }
    charset_free(s);
    *s = out;
}

bool charset_overlaps(const charset *a, const charset *b) {
    for (size_t i = 0, k = 0; i < a->count && k < b->count;) {
        if (a->items[i].first <= b->items[k].last && b->items[k].first <= a->items[i].last) return true;
        if (a->items[i].last < b->items[k].last)
            i++;
        else
            k++;
    }
    return false;
}

bool charset_has(const charset *s, uint32_t c) {
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->items[mid].last < c)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->count && s->items[low].first <= c;
}

/* ---- case ---- */

/* Calls `add` for each character and what it is folded to. Two passes over it reach all characters that fold alike. */
static void fold_pass(charset *s, bool up) {
    charset more = { 0 };
    for (size_t i = 0; i < unicode_lower_count; i++) {
        const unicode_case_run *r = &unicode_lower[i];
        for (uint32_t c = r->first; c <= r->last; c += r->stride) {
            uint32_t low = (uint32_t)((int32_t)c + r->add);
            if (charset_has(s, up ? low : c)) charset_add(&more, up ? c : low, up ? c : low);
        }
    }
    for (size_t i = 0; i < unicode_folds_count; i++) {
        uint32_t c = unicode_folds[i].first, low = unicode_folds[i].last;
        if (charset_has(s, up ? low : c)) charset_add(&more, up ? c : low, up ? c : low);
    }
    charset_add_ranges(s, more.items, more.count);
    s->failed = s->failed || more.failed;
    charset_free(&more);
    charset_settle(s);
}

void charset_fold_case(charset *s) {
    fold_pass(s, false);
    fold_pass(s, true);
}

/* ---- properties ---- */

static void add_categories(charset *s, const char *prefix, size_t length) {
    for (size_t i = 0; i < unicode_categories_count; i++) {
        uint32_t here = unicode_categories[i];
        uint32_t end = i + 1 < unicode_categories_count ? unicode_categories[i + 1] >> 8 : LAST + 1;
        if (strncmp(unicode_category_names[here & 0xff], prefix, length) == 0) charset_add(s, here >> 8, end - 1);
    }
}

void charset_add_spaces(charset *s) {
    static const unicode_range spaces[] = { { 9, 13 },          { 0x20, 0x20 },     { 0x85, 0x85 },
                                            { 0xa0, 0xa0 },     { 0x1680, 0x1680 }, { 0x2000, 0x200a },
                                            { 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x205f },
                                            { 0x3000, 0x3000 } };
    charset_add_ranges(s, spaces, sizeof spaces / sizeof *spaces);
}

/* Alphabetic, but for its marks: letters, numbers of letters, and the circled ones (DerivedCoreProperties.txt). */
static void add_alphabetic(charset *s) {
    static const unicode_range circled[] = {
        { 0x24b6, 0x24e9 }, { 0x1f130, 0x1f149 }, { 0x1f150, 0x1f169 }, { 0x1f170, 0x1f189 }
    };
    add_categories(s, "L", 1);
    add_categories(s, "Nl", 2);
    charset_add_ranges(s, circled, sizeof circled / sizeof *circled);
}

void charset_add_word(charset *s, charset_word which) {
    add_alphabetic(s);
    add_categories(s, "M", 1);
    add_categories(s, "Nd", 2);
    add_categories(s, "Pc", 2);
    if (which == WORD_ALONE) {
        charset_add(s, 0xb2, 0xb3);
        charset_add(s, 0xb9, 0xb9);
        charset_add(s, 0xbc, 0xbe);
    } else if (which == WORD_OF_RUST) {
        charset_add(s, 0x200c, 0x200d);
    }
}

static bool same(const char *name, size_t length, const char *other) {
    size_t k = 0; /* spaces, '-' and '_' do not count, nor does case */
    for (size_t i = 0; i < length; i++) {
        if (name[i] == ' ' || name[i] == '-' || name[i] == '_') continue;
        char a = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
        char b = other[k] >= 'A' && other[k] <= 'Z' ? (char)(other[k] + 32) : other[k];
        if (!b || a != b) return false;
        k++;
    }
    return other[k] == 0;
}

static bool add_general(charset *s, const char *name, size_t length) {
    static const char *const longer[][2] = {
        { "Letter", "L" },
        { "Mark", "M" },
        { "Number", "N" },
        { "Punctuation", "P" },
        { "Symbol", "S" },
        { "Separator", "Z" },
        { "Other", "C" },
        { "UppercaseLetter", "Lu" },
        { "LowercaseLetter", "Ll" },
        { "TitlecaseLetter", "Lt" },
        { "ModifierLetter", "Lm" },
        { "OtherLetter", "Lo" },
        { "DecimalNumber", "Nd" },
        { "NonspacingMark", "Mn" },
        { "SpacingMark", "Mc" },
        { "ConnectorPunctuation", "Pc" },
    };
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        if (same(name, length, longer[i][0])) {
            add_categories(s, longer[i][1], strlen(longer[i][1]));
            return true;
        }
    for (unsigned i = 0; i < 30; i++) {
        char one[2] = { unicode_category_names[i][0], 0 };
        if (same(name, length, unicode_category_names[i])) {
            add_categories(s, unicode_category_names[i], 2);
            return true;
        }
        if (same(name, length, one)) {
            add_categories(s, one, 1);
            return true;
        }
    }
    return false;
}

bool charset_add_property(charset *s, const char *name, size_t length) {
    if (add_general(s, name, length)) return true;
    if (same(name, length, "Alpha")) return charset_add_property(s, "Alphabetic", 10);
    for (size_t i = 0; i < unicode_scripts_count; i++)
        if (same(name, length, unicode_scripts[i].name)) {
            charset_add_ranges(s, unicode_script_ranges + unicode_scripts[i].at, unicode_scripts[i].count);
            return true;
        }
    if (same(name, length, "Any")) {
        charset_add(s, 0, LAST);
    } else if (same(name, length, "LC")) {
        add_categories(s, "Lu", 2);
        add_categories(s, "Ll", 2);
        add_categories(s, "Lt", 2);
    } else if (same(name, length, "Space") || same(name, length, "WhiteSpace")) {
        charset_add_spaces(s);
    } else if (same(name, length, "Digit")) {
        add_categories(s, "Nd", 2);
    } else if (same(name, length, "Word")) {
        charset_add_word(s, WORD_ALONE);
    } else if (same(name, length, "TokenizersPunctuation")) { /* ours, as are the next: what single steps know */
        charset_add_ranges(s, unicode_punctuation, unicode_punctuation_count);
    } else if (same(name, length, "TokenizersNumeric")) {
        charset_add_ranges(s, unicode_numeric, unicode_numeric_count);
    } else if (same(name, length, "RustWord")) {
        charset_add_word(s, WORD_OF_RUST);
    } else {
        return false;
    }
    return true;
}

/* ---- looking up ---- */

static size_t block_number(charset_map *m, const uint64_t block[4], bool *failed) {
    for (size_t i = 0; i < m->count; i++)
        if (memcmp(m->blocks[i], block, sizeof *m->blocks) == 0) return i;
    if (!mem_grow(&m->blocks, &m->cap, m->count + 1, sizeof *m->blocks)) {
        *failed = true;
        return 0;
    }
    memcpy(m->blocks[m->count], block, sizeof *m->blocks);
    return m->count++;
}

charset_map *charset_map_new(const charset *s) {
    charset_map *m = s->failed ? NULL : mem_calloc(1, sizeof *m);
    bool failed = m == NULL;
    for (size_t b = 0, at = 0; b < 0x1100 && !failed; b++) {
        uint64_t block[4] = { 0 };
        uint32_t begin = (uint32_t)b << 8, end = begin + 255;
        while (at < s->count && s->items[at].last < begin) at++;
        for (size_t i = at; i < s->count && s->items[i].first <= end; i++) {
            uint32_t first = s->items[i].first > begin ? s->items[i].first : begin;
            uint32_t last = s->items[i].last < end ? s->items[i].last : end;
            for (uint32_t c = first; c <= last; c++) block[c >> 6 & 3] |= (uint64_t)1 << (c & 63);
        }
        m->index[b] = (uint16_t)block_number(m, block, &failed);
        if (b == 0 && !failed) memcpy(m->ascii, block, sizeof m->ascii);
    }
    if (!failed) return m;
    charset_map_free(m);
    return NULL;
}

void charset_map_free(charset_map *m) {
    if (!m) return;
    mem_free(m->blocks);
    mem_free(m);
}
