/* SentencePiece's precompiled_charsmap: u32 bytes of a trie, the trie (Darts' double array, u32 units), then texts that
 * end in NUL. The longest prefix that the trie knows is replaced by its text.
 * https://github.com/google/sentencepiece/blob/master/src/normalizer.cc; units: https://github.com/s-yata/darts-clone.
 */
#include "base/utf8.h"
#include "text/tokenizer.h"

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

/* The replacement of the longest prefix of text[0, length) that ends with a character: its place in texts; false where
 * there is none. */
static bool longest(const charsmap *m, const char *text, size_t length, size_t *taken, uint32_t *value) {
    bool found = false;
    size_t node = offset_of(m->units[0]);
    for (size_t i = 0; i < length; i++) {
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

void charsmap_apply(const charsmap *m, const char *text, size_t length, buf *out) {
    for (size_t i = 0; i < length && !out->failed;) {
        size_t taken;
        uint32_t value;
        if (longest(m, text + i, length - i, &taken, &value)) {
            tk_repair(m->texts + value, strlen(m->texts + value), out); /* its place is the file's word */
        } else {
            taken = utf8_bytes(text[i]);
            buf_append(out, text + i, taken);
        }
        i += taken;
    }
}
