/* UTF-8, quoting for messages, globs, natural order, base64. */
#include "base/text.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* Length of the well-formed UTF-8 sequence at p (Unicode table 3-7), 0 where there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t left) {
    unsigned c = p[0];
    if (c < 0x80) return 1;
    if (c < 0xc2 || c > 0xf4) return 0;
    size_t n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (left < n) return 0;
    unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

bool utf8_valid(const char *text, size_t length) {
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0;
    while (i < length) {
        uint64_t word;
        if (length - i >= 8) {
            memcpy(&word, p + i, 8);
            if (!(word & 0x8080808080808080u)) {
                i += 8;
                continue;
            }
        }
        size_t n = utf8_sequence(p + i, length - i);
        if (!n) return false;
        i += n;
    }
    return true;
}

const char *text_quote(char *dst, size_t cap, const char *text, size_t length) {
    const unsigned char *p = (const unsigned char *)text;
    size_t out = 0;
    for (size_t i = 0; i < length;) {
        size_t n = utf8_sequence(p + i, length - i);
        /* C0, DEL and C1 controls could drive a terminal */
        bool control = n == 0 || p[i] < 0x20 || p[i] == 0x7f || (n == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0);
        size_t take = n ? n : 1, need = control ? 4 * take : take;
        if (out + need + 4 > cap) { /* keep room for "..." and the NUL */
            for (int dots = 0; dots < 3 && out + 1 < cap; dots++) dst[out++] = '.';
            break;
        }
        for (size_t k = 0; k < take; k++) {
            if (control)
                out += (size_t)snprintf(dst + out, 5, "\\x%02x", p[i + k]);
            else
                dst[out++] = (char)p[i + k];
        }
        i += take;
    }
    dst[out] = 0;
    return dst;
}

bool text_ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

/* ---- glob ---- */

/* [a-z] at p (behind the bracket): does it hold c? Returns the place behind ], NULL where there is none. */
static const char *glob_class(const char *p, const char *end, unsigned char c, bool *hit) {
    bool negate = p < end && (*p == '!' || *p == '^');
    if (negate) p++;
    bool found = false, first = true;
    while (p < end && (*p != ']' || first)) {
        first = false;
        if (*p == '\\' && p + 1 < end) p++;
        unsigned char low = (unsigned char)*p++, high = low;
        if (p + 1 < end && *p == '-' && p[1] != ']') {
            p++;
            if (*p == '\\' && p + 1 < end) p++;
            high = (unsigned char)*p++;
        }
        if (c >= low && c <= high) found = true;
    }
    if (p >= end) return NULL;
    *hit = found != negate;
    return p + 1;
}

/* One alternative without braces. Greedy with one backtracking point: linear in pattern * text. */
static bool glob_plain(const char *p, const char *end, const char *t) {
    const char *star = NULL, *star_text = NULL;
    for (;;) {
        if (p < end && *p == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        bool hit = false;
        const char *next = p;
        if (p < end && *t) {
            if (*p == '?') {
                hit = true;
                next = p + 1;
                while (((unsigned char)t[1] & 0xc0) == 0x80) t++; /* a whole UTF-8 character */
            } else if (*p == '[') {
                const char *behind = glob_class(p + 1, end, (unsigned char)*t, &hit);
                if (!behind) hit = *t == '[';
                next = behind ? behind : p + 1;
            } else {
                const char *literal = *p == '\\' && p + 1 < end ? p + 1 : p;
                hit = *literal == *t;
                next = literal + 1;
            }
        }
        if (hit) {
            p = next;
            t++;
        } else if (p >= end && !*t) {
            return true;
        } else if (star && *star_text) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
}

#define GLOB_LONGEST 1024
#define GLOB_ALTERNATIVES 256

/* Replaces the first {a,b} by each of its words in turn. */
static bool glob_braces(const char *pattern, size_t length, const char *text, int *budget) {
    const char *open = NULL, *end = pattern + length;
    for (const char *p = pattern; p < end; p++) {
        if (*p == '\\' && p + 1 < end) p++;
        else if (*p == '{') {
            open = p;
            break;
        }
    }
    const char *close = NULL;
    int depth = 0;
    for (const char *p = open; p && p < end; p++) {
        if (*p == '\\' && p + 1 < end) p++;
        else if (*p == '{') depth++;
        else if (*p == '}' && --depth == 0) {
            close = p;
            break;
        }
    }
    if (!close) return (*budget)-- > 0 && glob_plain(pattern, end, text);
    const char *word = open + 1;
    depth = 0;
    for (const char *p = open + 1; p <= close; p++) {
        if (*p == '\\' && p + 1 < close) {
            p++;
            continue;
        }
        if (*p == '{') depth++;
        if (*p == '}' && p != close) depth--;
        if ((*p == ',' && depth == 0) || p == close) {
            char joined[GLOB_LONGEST];
            size_t a = (size_t)(open - pattern), b = (size_t)(p - word), c = (size_t)(end - close - 1);
            if (a + b + c > sizeof joined || *budget <= 0) return false;
            memcpy(joined, pattern, a);
            memcpy(joined + a, word, b);
            memcpy(joined + a + b, close + 1, c);
            if (glob_braces(joined, a + b + c, text, budget)) return true;
            word = p + 1;
        }
    }
    return false;
}

bool glob_match(const char *pattern, const char *text) {
    int budget = GLOB_ALTERNATIVES;
    return glob_braces(pattern, strlen(pattern), text, &budget);
}

int text_compare_natural(const char *a, const char *b) {
    const unsigned char *p = (const unsigned char *)a, *q = (const unsigned char *)b;
    while (*p && *q) {
        if (*p >= '0' && *p <= '9' && *q >= '0' && *q <= '9') {
            while (*p == '0') p++;
            while (*q == '0') q++;
            size_t n = 0, m = 0;
            while (p[n] >= '0' && p[n] <= '9') n++;
            while (q[m] >= '0' && q[m] <= '9') m++;
            if (n != m) return n < m ? -1 : 1;
            int order = memcmp(p, q, n);
            if (order) return order;
            p += n;
            q += n;
        } else {
            if (*p != *q) return *p < *q ? -1 : 1;
            p++;
            q++;
        }
    }
    if (*p || *q) return *p ? 1 : -1;
    return strcmp(a, b); /* "1" and "01" differ after all */
}

size_t text_from_base64(const char *text, size_t length, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t window = 0;
    unsigned held = 0;
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit) break;
        window = window << 6 | (uint32_t)(digit - digits);
        held += 6;
        if (held >= 8) out[n++] = (char)(window >> (held -= 8));
    }
    return n;
}

char **text_list(const char *const *items, size_t count) {
    size_t bytes = (count + 1) * sizeof(char *);
    for (size_t i = 0; i < count; i++) bytes += strlen(items[i]) + 1;
    char **list = mem_alloc(bytes);
    if (!list) return NULL;
    char *to = (char *)(list + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(items[i]) + 1;
        list[i] = memcpy(to, items[i], n);
        to += n;
    }
    list[count] = NULL;
    return list;
}
