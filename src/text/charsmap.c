/* SentencePiece's precompiled_charsmap: u32 bytes of a trie, the trie (Darts' double array, u32 units), then texts that
 * end in NUL. The longest prefix that the trie knows is replaced by its text; tokenizers' Precompiled has a rule of its
 * own, below.
 * https://github.com/google/sentencepiece/blob/master/src/normalizer.cc; units: https://github.com/s-yata/darts-clone.
 */
#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/unicode_tables.h"

#include <string.h>

struct charsmap {
    const uint32_t *units;
    size_t count;
    const char *texts;
    size_t bytes;
};

const charsmap *charsmap_parse(const void *data, size_t bytes, arena *a) {
    uint32_t trie;
    if (bytes < 4) return NULL;
    memcpy(&trie, data, 4);
    if (trie > bytes - 4 || trie % 4 || trie == 0) return NULL;
    charsmap *m = arena_alloc(a, sizeof *m);
    uint32_t *units = arena_alloc(a, trie);
    char *texts = arena_strndup(a, (const char *)data + 4 + trie, bytes - 4 - trie);
    if (!m || !units || !texts) return NULL;
    memcpy(units, (const char *)data + 4, trie);
    *m = (charsmap){ units, trie / 4, texts, bytes - 4 - trie };
    return m;
}

static bool has_leaf(uint32_t unit) { return unit >> 8 & 1; }
static uint32_t value_of(uint32_t unit) { return unit & 0x7fffffff; }
static uint32_t label_of(uint32_t unit) { return unit & 0x800000ff; }
static uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }

/* The replacement of the longest (shortest) prefix of text[0, length) that ends with a character: its place in texts;
 * false where there is none. */
static bool find(const charsmap *m, bool shortest, const char *text, size_t length, size_t *taken, uint32_t *value) {
    bool found = false;
    size_t node = offset_of(m->units[0]);
    for (size_t i = 0; i < length && !(found && shortest); i++) {
        node ^= (uint8_t)text[i];
        if (node >= m->count || label_of(m->units[node]) != (uint8_t)text[i]) break;
        uint32_t unit = m->units[node];
        node ^= offset_of(unit);
        if (!has_leaf(unit)) continue;
        if (node >= m->count) break;
        const bool whole = i + 1 == length || ((uint8_t)text[i + 1] & 0xc0) != 0x80;
        if (!whole || value_of(m->units[node]) >= m->bytes) continue;
        *value = value_of(m->units[node]);
        *taken = i + 1;
        found = true;
    }
    return found;
}

/* Where it lies is the file's word. */
static void put(const charsmap *m, uint32_t value, buf *out) {
    tk_repair(m->texts + value, strlen(m->texts + value), out);
}

void charsmap_apply(const charsmap *m, const char *text, size_t length, buf *out) {
    for (size_t i = 0; i < length && !out->failed;) {
        size_t taken;
        uint32_t value;
        if (find(m, false, text + i, length - i, &taken, &value)) {
            put(m, value, out);
        } else {
            taken = utf8_bytes(text[i]);
            buf_append(out, text + i, taken);
        }
        i += taken;
    }
}

/* ---- Precompiled of tokenizers ---- */

#define SHORT_CLUSTER 6 /* bytes: shorter ones are looked up whole */

static bool extends(uint32_t c) { return unicode_in(unicode_extending, unicode_extending_count, c); }
static bool prepends(uint32_t c) { return unicode_in(unicode_prepending, unicode_prepending_count, c); }
static bool stands_alone(uint32_t c) { return unicode_in(unicode_alone, unicode_alone_count, c); }

/* Bytes of the grapheme cluster (UAX #29) that the text begins with. Rules that only join what has SHORT_CLUSTER bytes
 * already (Hangul, emoji, conjuncts, flags) are left out: such clusters are taken character by character anyway. */
static size_t cluster(const char *text, size_t length) {
    uint32_t c;
    size_t n = utf8_next(text, &c);
    if (c == '\r' && n < length && text[n] == '\n') return 2;
    while (n < length && c >= 0x80 && prepends(c)) {
        size_t more = utf8_next(text + n, &c);
        if (stands_alone(c)) return n;
        n += more;
    }
    if (n == length || (uint8_t)text[n] < 0x80 || stands_alone(c)) return n;
    while (n < length && (uint8_t)text[n] >= 0x80) {
        size_t more = utf8_next(text + n, &c);
        if (!extends(c)) break;
        n += more;
    }
    return n;
}

/* A short cluster becomes, as a whole, what its shortest known prefix stands for; where there is none, and in long ones,
 * each character is looked up alone. https://github.com/huggingface/spm_precompiled */
void charsmap_apply_clusters(const charsmap *m, const char *text, size_t length, buf *out) {
    size_t taken;
    uint32_t value;
    for (size_t i = 0; i < length && !out->failed;) {
        const size_t n = cluster(text + i, length - i);
        if (n < SHORT_CLUSTER && find(m, true, text + i, n, &taken, &value)) {
            put(m, value, out);
            i += n;
            continue;
        }
        for (const size_t end = i + n; i < end;) {
            const size_t bytes = utf8_bytes(text[i]);
            if (find(m, true, text + i, bytes, &taken, &value)) put(m, value, out);
            else buf_append(out, text + i, bytes);
            i += bytes;
        }
    }
}
