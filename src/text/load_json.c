/* tokenizer.json of Hugging Face's tokenizers. What it asks for and is not known here is an error, never left out. */
#include "base/text.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const tola_value *get(const tola_value *map, const char *key) {
    const tola_value *v = tola_value_get(map, key);
    return v && v->kind == TOLA_VALUE_NULL ? NULL : v;
}

static bool get_bool(const tola_value *map, const char *key, bool fallback) {
    return tola_value_bool(get(map, key), fallback);
}

static const char *type_of(const tola_value *step) { return tola_value_str(get(step, "type"), ""); }

static bool is(const tola_value *step, const char *type) { return strcmp(type_of(step), type) == 0; }

static size_t length_of(const tola_value *array) {
    return array && array->kind == TOLA_VALUE_ARRAY ? array->as.array.count : 0;
}

/* A string member, copied; empty where it is absent. */
static tola_status get_text(tola_tokenizer *t, const tola_value *map, const char *key, tola_string *out,
                            tola_error *err) {
    const tola_value *v = get(map, key);
    *out = (tola_string){ "", 0 };
    if (!v || v->kind != TOLA_VALUE_STRING) return TOLA_OK;
    char *copy = arena_strndup(&t->arena, v->as.string.data, v->as.string.length);
    if (!copy) return err_nomem(err, "reading the tokenizer");
    *out = (tola_string){ copy, v->as.string.length };
    return TOLA_OK;
}

/* Words whose values are of one kind wherever they stand: one of another kind would count as absent. */
static tola_status check_kinds(const tola_value *v, tola_error *err) {
    static const struct {
        const char *word;
        tola_value_kind kind;
    } words[] = {
        { "type", TOLA_VALUE_STRING },
        { "content", TOLA_VALUE_STRING },
        { "String", TOLA_VALUE_STRING },
        { "Regex", TOLA_VALUE_STRING },
        { "prepend", TOLA_VALUE_STRING },
        { "prepend_scheme", TOLA_VALUE_STRING },
        { "replacement", TOLA_VALUE_STRING },
        { "behavior", TOLA_VALUE_STRING },
        { "delimiter", TOLA_VALUE_STRING },
        { "prefix", TOLA_VALUE_STRING },
        { "suffix", TOLA_VALUE_STRING },
        { "unk_token", TOLA_VALUE_STRING },
        { "continuing_subword_prefix", TOLA_VALUE_STRING },
        { "end_of_word_suffix", TOLA_VALUE_STRING },
        { "precompiled_charsmap", TOLA_VALUE_STRING },
        { "special", TOLA_VALUE_BOOL },
        { "single_word", TOLA_VALUE_BOOL },
        { "lstrip", TOLA_VALUE_BOOL },
        { "rstrip", TOLA_VALUE_BOOL },
        { "normalized", TOLA_VALUE_BOOL },
        { "strip_left", TOLA_VALUE_BOOL },
        { "strip_right", TOLA_VALUE_BOOL },
        { "clean_text", TOLA_VALUE_BOOL },
        { "handle_chinese_chars", TOLA_VALUE_BOOL },
        { "strip_accents", TOLA_VALUE_BOOL },
        { "lowercase", TOLA_VALUE_BOOL },
        { "add_prefix_space", TOLA_VALUE_BOOL },
        { "use_regex", TOLA_VALUE_BOOL },
        { "split", TOLA_VALUE_BOOL },
        { "invert", TOLA_VALUE_BOOL },
        { "individual_digits", TOLA_VALUE_BOOL },
        { "cleanup", TOLA_VALUE_BOOL },
        { "byte_fallback", TOLA_VALUE_BOOL },
        { "fuse_unk", TOLA_VALUE_BOOL },
        { "ignore_merges", TOLA_VALUE_BOOL },
        { "added_tokens", TOLA_VALUE_ARRAY },
        { "normalizers", TOLA_VALUE_ARRAY },
        { "pretokenizers", TOLA_VALUE_ARRAY },
        { "decoders", TOLA_VALUE_ARRAY },
        { "processors", TOLA_VALUE_ARRAY },
        { "single", TOLA_VALUE_ARRAY },
        { "pattern", TOLA_VALUE_MAP },
        { "special_tokens", TOLA_VALUE_MAP },
    };
    for (size_t i = 0; i < length_of(v); i++) {
        tola_value item = tola_value_at(v, i);
        TRY(check_kinds(&item, err));
    }
    for (size_t i = 0; v->kind == TOLA_VALUE_MAP && i < v->as.map.count; i++) {
        const tola_member *m = &v->as.map.members[i];
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            if (strcmp(m->key.data, words[k].word) == 0 && m->value.kind != TOLA_VALUE_NULL &&
                m->value.kind != words[k].kind)
                return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is of the wrong kind", words[k].word);
        bool names = strcmp(m->key.data, "vocab") == 0 || strcmp(m->key.data, "merges") == 0 ||
                     strcmp(m->key.data, "special_tokens") == 0; /* whose words are tokens */
        if (!names) TRY(check_kinds(&m->value, err));
    }
    return TOLA_OK;
}

static tola_status unknown(tola_error *err, const char *what, const tola_value *step) {
    char quoted[80];
    const char *type = type_of(step);
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "the %s '%s' is not understood", what,
                   text_quote(quoted, sizeof quoted, type, strlen(type)));
}

/* {"String": s} or {"Regex": r}: a literal, or a pattern. */
static tola_status get_pattern(tola_tokenizer *t, const tola_value *step, tola_string *literal, regex **pattern,
                               tola_error *err) {
    const tola_value *p = get(step, "pattern"), *r = get(p, "Regex");
    *pattern = NULL;
    if (r && r->kind == TOLA_VALUE_STRING) return tk_regex(t, r->as.string.data, r->as.string.length, pattern, err);
    if (!get(p, "String")) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a %s has no pattern", type_of(step));
    return get_text(t, p, "String", literal, err);
}

/* Steps of a Sequence (its member `key`), or the step itself; NULL gives none. Sequences may be nested. */
typedef tola_status (*step_fn)(tola_tokenizer *t, const tola_value *step, tola_error *err);

static tola_status each_step(tola_tokenizer *t, const tola_value *step, const char *key, unsigned depth, step_fn fn,
                             tola_error *err) {
    if (!step) return TOLA_OK;
    if (!is(step, "Sequence")) return fn(t, step, err);
    if (depth > 8) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "sequences of %s are nested too deeply", key);
    const tola_value *list = get(step, key);
    for (size_t i = 0; i < length_of(list); i++) {
        tola_value item = tola_value_at(list, i);
        TRY(each_step(t, &item, key, depth + 1, fn, err));
    }
    return TOLA_OK;
}

static tola_status room(tola_tokenizer *t, void *list_pointer, size_t count, size_t size, tola_error *err) {
    void **list = list_pointer;
    if (count >= TK_MAX_STEPS) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d steps", TK_MAX_STEPS);
    if (*list) return TOLA_OK;
    *list = arena_alloc_array(&t->arena, TK_MAX_STEPS, size);
    return *list ? TOLA_OK : err_nomem(err, "reading the tokenizer");
}

/* ---- normalizers ---- */

static tola_status get_charsmap(tola_tokenizer *t, const tola_value *step, const charsmap **out, tola_error *err) {
    const tola_value *v = get(step, "precompiled_charsmap");
    *out = NULL;
    if (!v || v->kind != TOLA_VALUE_STRING || v->as.string.length == 0) return TOLA_OK;
    char *bytes = mem_alloc(v->as.string.length);
    if (!bytes) return err_nomem(err, "reading the tokenizer");
    size_t n = text_from_base64(v->as.string.data, v->as.string.length, bytes);
    if (n) *out = charsmap_parse((const uint8_t *)bytes, n, &t->arena);
    mem_free(bytes);
    if (n == 0 || *out) return TOLA_OK;
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "precompiled_charsmap is damaged");
}

static tola_status add_normal(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    static const struct {
        const char *type;
        uint8_t kind;
    } plain[] = { { "NFC", TK_NFC },
                  { "NFD", TK_NFD },
                  { "NFKC", TK_NFKC },
                  { "NFKD", TK_NFKD },
                  { "Lowercase", TK_LOWERCASE },
                  { "StripAccents", TK_STRIP_ACCENTS },
                  { "Nmt", TK_NMT },
                  { "ByteLevel", TK_NORMAL_BYTES } };
    TRY(room(t, &t->normals, t->normal_count, sizeof *t->normals, err));
    tk_normal n = { .kind = UINT8_MAX };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (is(step, plain[i].type)) n.kind = plain[i].kind;
    if (n.kind == TK_NORMAL_BYTES) t->model.bytes = t->model.spelled = true;
    if (is(step, "Strip")) {
        n = (tk_normal){ .kind = TK_STRIP,
                         .left = get_bool(step, "strip_left", true),
                         .right = get_bool(step, "strip_right", true) };
    } else if (is(step, "Prepend")) {
        n.kind = TK_PREPEND;
        TRY(get_text(t, step, "prepend", &n.to, err));
    } else if (is(step, "Replace")) {
        n.kind = TK_REPLACE;
        TRY(get_pattern(t, step, &n.from, &n.pattern, err));
        TRY(get_text(t, step, "content", &n.to, err));
    } else if (is(step, "BertNormalizer")) {
        n = (tk_normal){ .kind = TK_BERT,
                         .clean = get_bool(step, "clean_text", true),
                         .chinese = get_bool(step, "handle_chinese_chars", true),
                         .lowercase = get_bool(step, "lowercase", true) };
        n.accents = get_bool(step, "strip_accents", n.lowercase);
    } else if (is(step, "Precompiled")) {
        n.kind = TK_CHARSMAP_CLUSTERS;
        TRY(get_charsmap(t, step, &n.map, err));
        if (!n.map) return TOLA_OK; /* an empty one changes nothing */
    }
    if (n.kind == UINT8_MAX) return unknown(err, "normalizer", step);
    t->normals[t->normal_count++] = n;
    return TOLA_OK;
}

/* ---- pre-tokenizers ---- */

#define GPT2_WORDS "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
/* \w+|[^\w\s]+, and what single steps take for punctuation and for numbers. */
#define RUST_WORDS "\\p{RustWord}+|[^\\s\\p{RustWord}]+"
#define PUNCTUATION "\\p{TokenizersPunctuation}"
#define NUMERIC "\\p{TokenizersNumeric}"

static tola_status put_split(tola_tokenizer *t, const char *pattern, tk_behavior behavior, bool invert,
                             tola_error *err) {
    TRY(room(t, &t->pres, t->pre_count, sizeof *t->pres, err));
    tk_pre p = { .kind = TK_SPLIT, .behavior = (uint8_t)behavior, .invert = invert };
    TRY(tk_regex(t, pattern, strlen(pattern), &p.pattern, err));
    t->pres[t->pre_count++] = p;
    return TOLA_OK;
}

tola_status tk_bert_words(tola_tokenizer *t, tola_error *err) {
    TRY(put_split(t, "\\s", TK_REMOVED, false, err));
    return put_split(t, PUNCTUATION, TK_ISOLATED, false, err);
}

static tola_status get_behavior(const tola_value *step, uint8_t *out, tola_error *err) {
    static const char *const names[] = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous" };
    const char *name = tola_value_str(get(step, "behavior"), "Isolated");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (uint8_t)i;
            return TOLA_OK;
        }
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "the behavior '%.40s' of a split is not understood", name);
}

static tola_status add_byte_level(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    tk_pre p = { .kind = TK_BYTE_LEVEL,
                 .behavior = TK_ISOLATED,
                 .prefix_space = get_bool(step, "add_prefix_space", true) };
    if (get_bool(step, "use_regex", true)) TRY(tk_regex(t, GPT2_WORDS, strlen(GPT2_WORDS), &p.pattern, err));
    t->model.bytes = true;
    t->pres[t->pre_count++] = p;
    return TOLA_OK;
}

static tola_status add_metaspace(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    tk_pre p = { .kind = TK_METASPACE, .behavior = TK_MERGED_NEXT, .split = get_bool(step, "split", true) };
    const char *scheme = tola_value_str(get(step, "prepend_scheme"), NULL);
    if (!scheme) scheme = get_bool(step, "add_prefix_space", true) ? "always" : "never";
    p.prefix_space = strcmp(scheme, "never") != 0;
    p.first_only = strcmp(scheme, "first") == 0;
    TRY(get_text(t, step, "replacement", &p.literal, err));
    if (p.literal.length == 0) p.literal = (tola_string){ "\xe2\x96\x81", 3 };
    t->pres[t->pre_count++] = p;
    return TOLA_OK;
}

static tola_status add_split(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    tk_pre p = { .kind = TK_SPLIT, .invert = get_bool(step, "invert", false) };
    TRY(get_behavior(step, &p.behavior, err));
    TRY(get_pattern(t, step, &p.literal, &p.pattern, err));
    if (!p.pattern && p.literal.length == 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a Split has no pattern");
    t->pres[t->pre_count++] = p;
    return TOLA_OK;
}

/* Pieces of so many characters; the last one may be shorter. */
static tola_status add_fixed(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    char pattern[32];
    uint64_t length = tola_value_u64(get(step, "length"), 5);
    if (length == 0 || length > 10000)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "a FixedLength of %" PRIu64 " characters", length);
    snprintf(pattern, sizeof pattern, "(?m:.{1,%" PRIu64 "})", length);
    return put_split(t, pattern, TK_ISOLATED, false, err);
}

static tola_status add_pre(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    TRY(room(t, &t->pres, t->pre_count, sizeof *t->pres, err));
    if (is(step, "ByteLevel")) return add_byte_level(t, step, err);
    if (is(step, "Metaspace")) return add_metaspace(t, step, err);
    if (is(step, "Split")) return add_split(t, step, err);
    if (is(step, "Whitespace")) return put_split(t, RUST_WORDS, TK_REMOVED, true, err);
    if (is(step, "WhitespaceSplit")) return put_split(t, "\\s", TK_REMOVED, false, err);
    if (is(step, "Digits")) {
        bool each = get_bool(step, "individual_digits", false);
        return put_split(t, NUMERIC, each ? TK_ISOLATED : TK_CONTIGUOUS, false, err);
    }
    if (is(step, "Punctuation")) {
        uint8_t behavior;
        TRY(get_behavior(step, &behavior, err));
        return put_split(t, PUNCTUATION, (tk_behavior)behavior, false, err);
    }
    if (is(step, "BertPreTokenizer")) return tk_bert_words(t, err);
    if (is(step, "FixedLength")) return add_fixed(t, step, err);
    if (is(step, "CharDelimiterSplit")) {
        tk_pre p = { .kind = TK_SPLIT, .behavior = TK_REMOVED };
        TRY(get_text(t, step, "delimiter", &p.literal, err));
        if (p.literal.length == 0) return unknown(err, "pre-tokenizer", step);
        t->pres[t->pre_count++] = p;
        return TOLA_OK;
    }
    return unknown(err, "pre-tokenizer", step);
}

/* ---- decoders ---- */

static tola_status add_decode(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    TRY(room(t, &t->decodes, t->decode_count, sizeof *t->decodes, err));
    tk_decode d = { .kind = UINT8_MAX };
    if (is(step, "ByteLevel")) d.kind = TK_DECODE_BYTES;
    if (is(step, "ByteFallback")) d.kind = TK_DECODE_BYTE_FALLBACK;
    if (is(step, "Fuse")) d.kind = TK_DECODE_FUSE;
    if (is(step, "WordPiece")) {
        d.kind = TK_DECODE_WORDPIECE;
        d.cleanup = get_bool(step, "cleanup", true);
        TRY(get_text(t, step, "prefix", &d.text, err));
    } else if (is(step, "CTC")) {
        d.kind = TK_DECODE_CTC;
        d.cleanup = get_bool(step, "cleanup", true);
        TRY(get_text(t, step, "pad_token", &d.text, err));
        TRY(get_text(t, step, "word_delimiter_token", &d.to, err));
    } else if (is(step, "BPEDecoder")) {
        d.kind = TK_DECODE_SUFFIX;
        TRY(get_text(t, step, "suffix", &d.text, err));
    } else if (is(step, "Metaspace")) {
        const char *scheme = tola_value_str(get(step, "prepend_scheme"), NULL);
        d.kind = TK_DECODE_METASPACE;
        d.drop_first = scheme ? strcmp(scheme, "never") != 0 : get_bool(step, "add_prefix_space", true);
        TRY(get_text(t, step, "replacement", &d.text, err));
        if (d.text.length == 0) d.text = (tola_string){ "\xe2\x96\x81", 3 };
    } else if (is(step, "Strip")) {
        d.kind = TK_DECODE_STRIP;
        TRY(get_text(t, step, "content", &d.text, err));
        d.start = (uint32_t)tola_value_u64(get(step, "start"), 0);
        d.stop = (uint32_t)tola_value_u64(get(step, "stop"), 0);
    } else if (is(step, "Replace")) {
        d.kind = TK_DECODE_REPLACE;
        TRY(get_pattern(t, step, &d.text, &d.pattern, err));
        TRY(get_text(t, step, "content", &d.to, err));
    }
    if (d.kind == UINT8_MAX) return unknown(err, "decoder", step);
    t->decodes[t->decode_count++] = d;
    return TOLA_OK;
}

/* ---- vocabulary ---- */

/* {"text": id, ...} */
static tola_status read_map(tola_tokenizer *t, const tola_value *vocab, tola_error *err) {
    for (size_t i = 0; i < vocab->as.map.count; i++) {
        const tola_member *m = &vocab->as.map.members[i];
        uint64_t id = tola_value_u64(&m->value, UINT64_MAX);
        if (id < t->count && !(t->tokens[id].flags & TOLA_TOKEN_UNUSED))
            return token_id_twice("", id, (tola_string){ t->tokens[id].text, t->tokens[id].length }, m->key, err);
        TRY(tk_set_token(t, id, m->key.data, m->key.length, err));
    }
    return TOLA_OK;
}

/* [["text", score], ...] */
static tola_status read_pieces(tola_tokenizer *t, const tola_value *vocab, double *scores, tola_error *err) {
    for (size_t i = 0; i < length_of(vocab); i++) {
        tola_value pair = tola_value_at(vocab, i);
        tola_value text = tola_value_at(&pair, 0), score = tola_value_at(&pair, 1);
        if (text.kind != TOLA_VALUE_STRING)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "piece %zu of the vocabulary has no text", i);
        TRY(tk_set_token(t, i, text.as.string.data, text.as.string.length, err));
        scores[i] = tola_value_f64(&score, NAN);
        if (isnan(scores[i]))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the score of token %zu is no number", i);
    }
    return TOLA_OK;
}

static uint64_t largest_id(const tola_value *vocab, const tola_value *added) {
    uint64_t most = 0;
    if (vocab && vocab->kind == TOLA_VALUE_MAP)
        for (size_t i = 0; i < vocab->as.map.count; i++) {
            uint64_t id = tola_value_u64(&vocab->as.map.members[i].value, 0);
            most = id > most ? id : most;
        }
    if (length_of(vocab) > most + 1) most = length_of(vocab) - 1;
    for (size_t i = 0; i < length_of(added); i++) {
        tola_value item = tola_value_at(added, i);
        uint64_t id = tola_value_u64(get(&item, "id"), 0);
        most = id > most ? id : most;
    }
    return most;
}

/* Spellings, for looking merges up. */
static tola_status index_spellings(tola_tokenizer *t, tola_error *err) {
    if (!token_table_init(&t->table, t->count)) return err_nomem(err, "reading the vocabulary");
    for (uint32_t i = 0; i < t->count; i++)
        if (!(t->tokens[i].flags & TOLA_TOKEN_UNUSED))
            token_table_add(&t->table, t->tokens[i].text, t->tokens[i].length, i);
    return TOLA_OK;
}

static tola_status read_merge(tola_tokenizer *t, tola_string left, tola_string right, size_t rank, tola_error *err) {
    char joined[2048], quoted[100];
    size_t prefix = t->model.prefix.length;
    if (right.length < prefix || memcmp(right.data, t->model.prefix.data, prefix) != 0) prefix = 0;
    uint32_t a = token_table_find(&t->table, left.data, left.length);
    uint32_t b = token_table_find(&t->table, right.data, right.length), c = TOLA_NO_TOKEN;
    size_t n = left.length + right.length - prefix;
    if (n <= sizeof joined) {
        memcpy(joined, left.data, left.length);
        memcpy(joined + left.length, right.data + prefix, right.length - prefix);
        c = token_table_find(&t->table, joined, n);
    }
    if (a == TOLA_NO_TOKEN || b == TOLA_NO_TOKEN || c == TOLA_NO_TOKEN)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "merge %zu ('%s' and what follows) makes no token of the "
                       "vocabulary",
                       rank, text_quote(quoted, sizeof quoted, left.data, left.length));
    tk_merges_add(t, a, b, (uint32_t)rank, c);
    return TOLA_OK;
}

tola_status tk_load_merges(tola_tokenizer *t, const tola_value *merges, tola_error *err) {
    size_t count = length_of(merges);
    if (!merges || merges->kind != TOLA_VALUE_ARRAY)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "there is no list of merges");
    if (!t->table.slots) TRY(index_spellings(t, err));
    TRY(tk_merges_init(t, count, err));
    for (size_t i = 0; i < count; i++) {
        tola_value m = tola_value_at(merges, i);
        tola_string left = { "", 0 }, right = left;
        if (m.kind == TOLA_VALUE_STRING) {
            const char *space = memchr(m.as.string.data, ' ', m.as.string.length);
            if (!space) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "merge %zu is no pair", i);
            left = (tola_string){ m.as.string.data, (size_t)(space - m.as.string.data) };
            right = (tola_string){ space + 1, m.as.string.length - left.length - 1 };
        } else if (length_of(&m) == 2) {
            tola_value a = tola_value_at(&m, 0), b = tola_value_at(&m, 1);
            if (a.kind == TOLA_VALUE_STRING) left = a.as.string;
            if (b.kind == TOLA_VALUE_STRING) right = b.as.string;
        }
        TRY(read_merge(t, left, right, i, err));
    }
    return TOLA_OK;
}

/* The id of an added token: as tokenizers does it, a text that is there already keeps the id it has, whatever is said
 * here. An id that another text has is an error (tokenizers counts on from the last one, against what the file says). */
static tola_status added_id(const tola_tokenizer *t, size_t i, tola_string text, uint64_t *id, tola_error *err) {
    char of[60];
    uint32_t known = token_table_find(&t->table, text.data, text.length);
    if (known != TOLA_NO_TOKEN) *id = known;
    if (known != TOLA_NO_TOKEN || *id >= t->count || (t->tokens[*id].flags & TOLA_TOKEN_UNUSED)) return TOLA_OK;
    (void)snprintf(of, sizeof of, "added token %zu: ", i);
    return token_id_twice(of, *id, (tola_string){ t->tokens[*id].text, t->tokens[*id].length }, text, err);
}

static tola_status read_added(tola_tokenizer *t, const tola_value *list, tola_error *err) {
    size_t count = length_of(list);
    t->added = arena_alloc_array(&t->arena, count + 1, sizeof *t->added);
    if (!t->added) return err_nomem(err, "reading the tokenizer");
    for (size_t i = 0; i < count; i++) {
        tola_value item = tola_value_at(list, i);
        const tola_value *content = get(&item, "content");
        uint64_t id = tola_value_u64(get(&item, "id"), UINT64_MAX);
        if (!content || content->kind != TOLA_VALUE_STRING)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "added token %zu has no text", i);
        if (get(&item, "id") && id == UINT64_MAX)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the id of added token %zu is no whole number", i);
        tola_string text = content->as.string;
        TRY(added_id(t, i, text, &id, err));
        bool known = id < t->count && !(t->tokens[id].flags & TOLA_TOKEN_UNUSED); /* else the model does not know it */
        if (text.length == 0 || (known && (t->tokens[id].flags & TOLA_TOKEN_ADDED))) continue;
        TRY(tk_set_token(t, id, text.data, text.length, err));
        if (!known) token_table_add(&t->table, t->tokens[id].text, t->tokens[id].length, (uint32_t)id);
        tk_added a = { t->tokens[id].text, t->tokens[id].length, (uint32_t)id, false, false, false, false, false };
        a.special = get_bool(&item, "special", false);
        a.single_word = get_bool(&item, "single_word", false);
        a.left_strip = get_bool(&item, "lstrip", false);
        a.right_strip = get_bool(&item, "rstrip", false);
        a.normalized = get_bool(&item, "normalized", !a.special);
        t->tokens[id].flags =
            (uint8_t)(TOLA_TOKEN_ADDED | (a.special ? TOLA_TOKEN_SPECIAL : 0) | (known ? 0 : TK_HIDDEN));
        t->added[t->added_count++] = a;
    }
    return TOLA_OK;
}

static tola_status find_unknown(tola_tokenizer *t, const tola_value *model, tola_error *err) {
    const tola_value *unk = get(model, "unk_token");
    t->model.unk = TOLA_NO_TOKEN;
    if (unk && unk->kind == TOLA_VALUE_STRING)
        t->model.unk = token_table_find(&t->table, unk->as.string.data, unk->as.string.length);
    const tola_value *id = get(model, "unk_id");
    if (id) {
        uint64_t number = tola_value_u64(id, UINT64_MAX);
        if (number >= t->count)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "unk_id %" PRIu64 " is beyond the vocabulary", number);
        t->model.unk = (uint32_t)number;
    }
    return TOLA_OK;
}

/* Words are bytes where every token is a spelling of them; elsewhere they are spelled in GPT-2's characters, too. */
static void settle_bytes(tola_tokenizer *t) {
    tk_model *m = &t->model;
    m->bytes = m->bytes && m->kind == TK_BPE && !m->byte_fallback && !m->prefix.length && !m->suffix.length;
    /* What may put other characters among the spelled bytes. */
    for (size_t i = 0; i < t->pre_count; i++)
        if (t->pres[i].kind == TK_METASPACE) m->bytes = false;
    if (m->spelled && t->normals[t->normal_count - 1].kind != TK_NORMAL_BYTES) m->bytes = false;
}

static tola_status read_model(tola_tokenizer *t, const tola_value *model, const tola_value *added, tola_error *err) {
    tk_model *m = &t->model;
    const tola_value *vocab = get(model, "vocab");
    const char *type = type_of(model);
    bool list = vocab && vocab->kind == TOLA_VALUE_ARRAY;
    if (!*type) type = list ? "Unigram" : get(model, "merges") ? "BPE" : "WordPiece"; /* files of version 0 */
    if (!vocab || (vocab->kind != TOLA_VALUE_MAP && !list))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the tokenizer has no vocabulary");
    TRY(tk_make_tokens(t, largest_id(vocab, added) + 1, err));
    if (list) {
        double *scores = arena_alloc_array(&t->arena, t->count, sizeof *scores);
        if (!scores) return err_nomem(err, "reading the vocabulary");
        memset(scores, 0, t->count * sizeof *scores);
        TRY(read_pieces(t, vocab, scores, err));
        m->scores = scores;
    } else {
        TRY(read_map(t, vocab, err));
    }
    TRY(index_spellings(t, err));
    TRY(find_unknown(t, model, err));
    TRY(get_text(t, model, "continuing_subword_prefix", &m->prefix, err));
    TRY(get_text(t, model, "end_of_word_suffix", &m->suffix, err));
    m->byte_fallback = get_bool(model, "byte_fallback", false);
    m->fuse_unk = get_bool(model, "fuse_unk", false);
    m->ignore_merges = get_bool(model, "ignore_merges", false);
    if (strcmp(type, "BPE") == 0) {
        m->kind = TK_BPE;
        return tk_load_merges(t, get(model, "merges"), err);
    }
    if (strcmp(type, "Unigram") == 0 && list) {
        m->kind = TK_UNIGRAM;
        m->fuse_unk = true;
    } else if (strcmp(type, "WordPiece") == 0 && !list) {
        m->kind = TK_WORDPIECE;
        m->max_word_chars = (uint32_t)tola_value_u64(get(model, "max_input_chars_per_word"), 100);
        if (!get(model, "continuing_subword_prefix")) m->prefix = (tola_string){ "##", 2 };
    } else if (strcmp(type, "WordLevel") == 0 && !list) {
        m->kind = TK_WORDLEVEL;
    } else {
        return unknown(err, "model", model);
    }
    return TOLA_OK;
}

/* ---- what is put around a text ---- */

static tola_status put_around(tola_tokenizer *t, bool after, uint64_t id, tola_error *err) {
    uint32_t **list = after ? &t->after : &t->before;
    size_t *count = after ? &t->after_count : &t->before_count;
    TRY(room(t, list, *count, sizeof **list, err));
    if (id >= t->count)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "the post-processor puts id %" PRIu64 ", beyond the "
                       "vocabulary",
                       id);
    (*list)[(*count)++] = (uint32_t)id;
    return TOLA_OK;
}

static tola_status read_template(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    const tola_value *single = get(step, "single"), *specials = get(step, "special_tokens");
    bool after = false;
    for (size_t i = 0; i < length_of(single); i++) {
        tola_value item = tola_value_at(single, i);
        if (get(&item, "Sequence")) {
            after = true;
            continue;
        }
        const char *name = tola_value_str(get(get(&item, "SpecialToken"), "id"), "");
        const tola_value *ids = get(get(specials, name), "ids");
        if (!ids || ids->kind != TOLA_VALUE_ARRAY)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the post-processor's token '%.60s' has no ids", name);
        for (size_t k = 0; k < length_of(ids); k++) {
            tola_value id = tola_value_at(ids, k);
            TRY(put_around(t, after, tola_value_u64(&id, UINT64_MAX), err));
        }
    }
    return TOLA_OK;
}

static tola_status put_processor(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    if (is(step, "ByteLevel")) return TOLA_OK; /* moves offsets only */
    if (is(step, "TemplateProcessing")) return read_template(t, step, err);
    if (is(step, "BertProcessing") || is(step, "RobertaProcessing")) {
        tola_value cls = tola_value_at(get(step, "cls"), 1), sep = tola_value_at(get(step, "sep"), 1);
        TRY(put_around(t, false, tola_value_u64(&cls, UINT64_MAX), err));
        return put_around(t, true, tola_value_u64(&sep, UINT64_MAX), err);
    }
    return unknown(err, "post-processor", step);
}

/* What a processor puts before a text goes before that of the processors before it. */
static tola_status add_post(tola_tokenizer *t, const tola_value *step, tola_error *err) {
    const size_t old = t->before_count;
    uint32_t earlier[TK_MAX_STEPS];
    if (old) memcpy(earlier, t->before, old * sizeof *earlier);
    TRY(put_processor(t, step, err));
    const size_t added = t->before_count - old;
    if (old && added) {
        memmove(t->before, t->before + old, added * sizeof *earlier);
        memcpy(t->before + added, earlier, old * sizeof *earlier);
    }
    return TOLA_OK;
}

tola_status tk_load_steps(tola_tokenizer *t, const tola_value *json, tola_error *err) {
    TRY(check_kinds(json, err));
    TRY(each_step(t, get(json, "normalizer"), "normalizers", 0, add_normal, err));
    TRY(each_step(t, get(json, "pre_tokenizer"), "pretokenizers", 0, add_pre, err));
    return each_step(t, get(json, "decoder"), "decoders", 0, add_decode, err);
}

tola_status tk_load_json(tola_tokenizer *t, const tola_value *json, tola_error *err) {
    const tola_value *added = get(json, "added_tokens");
    if (json->kind != TOLA_VALUE_MAP || !get(json, "model"))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "this is no tokenizer.json: it has no model");
    TRY(tk_load_steps(t, json, err));
    TRY(read_model(t, get(json, "model"), added, err));
    settle_bytes(t);
    TRY(read_added(t, added, err));
    TRY(each_step(t, get(json, "post_processor"), "processors", 0, add_post, err));
    return tk_finish(t, err);
}
