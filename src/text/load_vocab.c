/* Tokenizers that are not tokenizer.json: SentencePiece models, GPT-2's two files, tiktoken's ranks, GGUF's metadata.
 */
#include "base/json.h"
#include "base/text.h"
#include "families/sentencepiece.h"
#include "text/tokenizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GPT2_WORDS "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static tola_status one_step(tola_tokenizer *t, void *list_pointer, size_t count, size_t size, tola_error *err) {
    void **list = list_pointer;
    *list = arena_alloc_array(&t->arena, count, size);
    if (!*list) return err_nomem(err, "reading the tokenizer");
    memset(*list, 0, count * size);
    return TOLA_OK;
}

/* One id before or after a text. */
static tola_status put_one(tola_tokenizer *t, uint32_t **list, size_t *count, uint64_t id, tola_error *err) {
    if (id >= t->count) return TOLA_OK; /* 0xffffffff means none */
    TRY(one_step(t, list, 1, sizeof **list, err));
    (*list)[(*count)++] = (uint32_t)id;
    return TOLA_OK;
}

/* ---- pieces with scores and types, of SentencePiece and of GGUF's "llama" and "t5" ---- */

typedef struct piece_rules {
    bool unigram, byte_fallback, dummy_prefix, collapse, as_suffix;
    tola_string charsmap;
    uint64_t unk;
} piece_rules;

/* Control tokens, the unknown one and what users defined are found before anything else; the last in normalized text.
 */
static tola_status add_typed(tola_tokenizer *t, const uint8_t *types, tola_error *err) {
    t->added = arena_alloc_array(&t->arena, t->count + (size_t)1, sizeof *t->added);
    if (!t->added) return err_nomem(err, "reading the vocabulary");
    for (uint32_t i = 0; i < t->count; i++) {
        bool control = types[i] == PIECE_CONTROL, user = types[i] == PIECE_USER_DEFINED;
        if (types[i] != PIECE_NORMAL) t->tokens[i].flags |= TK_HIDDEN;
        if (control) t->tokens[i].flags |= TOLA_TOKEN_SPECIAL;
        if ((!control && !user && types[i] != PIECE_UNKNOWN) || t->tokens[i].length == 0) continue;
        if (!utf8_valid(t->tokens[i].text, t->tokens[i].length)) continue; /* stands in no text */
        t->tokens[i].flags |= TOLA_TOKEN_ADDED;
        t->added[t->added_count++] = (tk_added){
            .text = t->tokens[i].text, .length = t->tokens[i].length, .id = i, .special = !user, .normalized = user
        };
    }
    return TOLA_OK;
}

static tola_status piece_normals(tola_tokenizer *t, const piece_rules *r, tola_error *err) {
    TRY(one_step(t, &t->normals, 2, sizeof *t->normals, err));
    if (r->charsmap.length) {
        const charsmap *map = charsmap_parse(r->charsmap.data, r->charsmap.length, &t->arena);
        if (!map) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "precompiled_charsmap is damaged");
        t->normals[t->normal_count++] = (tk_normal){ .kind = TK_CHARSMAP, .map = map };
    }
    t->normals[t->normal_count++] = (tk_normal){
        .kind = TK_SPACES, .dummy_prefix = r->dummy_prefix, .collapse = r->collapse, .as_suffix = r->as_suffix
    };
    return TOLA_OK;
}

static tola_status piece_decodes(tola_tokenizer *t, const piece_rules *r, tola_error *err) {
    TRY(one_step(t, &t->decodes, 1, sizeof *t->decodes, err));
    t->decodes[t->decode_count++] = (tk_decode){ .kind = TK_DECODE_PIECES,
                                                 .text = { "\xe2\x96\x81", 3 },
                                                 .to = { " \xe2\x81\x87 ", 5 },
                                                 .drop_first = r->dummy_prefix,
                                                 .drop_all = r->collapse };
    return TOLA_OK;
}

static tola_status use_pieces(tola_tokenizer *t, const double *scores, const uint8_t *types, const piece_rules *r,
                              tola_error *err) {
    tk_model *m = &t->model;
    m->kind = r->unigram ? TK_UNIGRAM : TK_BPE_SCORES;
    m->scores = scores;
    m->narrow = true;
    m->fuse_unk = true;
    m->byte_fallback = r->byte_fallback;
    m->unk = r->unk < t->count ? (uint32_t)r->unk : TOLA_NO_TOKEN;
    TRY(add_typed(t, types, err));
    TRY(piece_normals(t, r, err));
    TRY(piece_decodes(t, r, err));
    return tk_finish(t, err);
}

static tola_status sentencepiece_tokens(tola_tokenizer *t, const sentencepiece_model *m, tola_error *err) {
    TRY(tk_make_tokens(t, m->count, err));
    for (size_t i = 0; i < m->count; i++) TRY(tk_set_token(t, i, m->pieces[i].data, m->pieces[i].length, err));
    if (m->model_type != 1 && m->model_type != 2)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "SentencePiece models of words or characters are not "
                       "understood");
    piece_rules rules = { .unigram = m->model_type == 1,
                          .byte_fallback = m->byte_fallback,
                          .dummy_prefix = m->add_dummy_prefix,
                          .collapse = m->remove_extra_whitespaces,
                          .as_suffix = m->whitespace_as_suffix,
                          .charsmap = m->charsmap,
                          .unk = m->unk_id < 0 ? UINT64_MAX : (uint64_t)m->unk_id };
    double *scores = arena_alloc_array(&t->arena, m->count, sizeof *scores);
    if (!scores) return err_nomem(err, "reading the vocabulary");
    for (size_t i = 0; i < m->count; i++) scores[i] = (double)m->scores[i];
    return use_pieces(t, scores, m->types, &rules, err);
}

/* The model says nothing of what goes around a text: Python's classes do. */
tola_status tk_load_sentencepiece(tola_tokenizer *t, const void *data, size_t bytes, const tola_value *config,
                                  tola_error *err) {
    sentencepiece_model m;
    TRY(sentencepiece_parse(data, bytes, &t->arena, &m, err));
    TRY(sentencepiece_tokens(t, &m, err));
    bool t5 = strncmp(tola_value_str(tola_value_get(config, "tokenizer_class"), ""), "T5", 2) == 0;
    if (m.bos_id >= 0) tk_set_special(t, TOLA_SPECIAL_BOS, (uint64_t)m.bos_id);
    if (m.eos_id >= 0) tk_set_special(t, TOLA_SPECIAL_EOS, (uint64_t)m.eos_id);
    if (m.pad_id >= 0) tk_set_special(t, TOLA_SPECIAL_PAD, (uint64_t)m.pad_id);
    if (m.bos_id >= 0 && tola_value_bool(tola_value_get(config, "add_bos_token"), !t5))
        TRY(put_one(t, &t->before, &t->before_count, (uint64_t)m.bos_id, err));
    if (m.eos_id >= 0 && tola_value_bool(tola_value_get(config, "add_eos_token"), t5))
        TRY(put_one(t, &t->after, &t->after_count, (uint64_t)m.eos_id, err));
    return TOLA_OK;
}

/* ---- GPT-2's bytes ---- */

static tola_status byte_steps(tola_tokenizer *t, const char *pattern, tola_error *err) {
    TRY(one_step(t, &t->pres, 1, sizeof *t->pres, err));
    TRY(one_step(t, &t->decodes, 1, sizeof *t->decodes, err));
    t->pres[0] = (tk_pre){ .kind = TK_BYTE_LEVEL, .behavior = TK_ISOLATED };
    TRY(tk_regex(t, pattern, strlen(pattern), &t->pres[0].pattern, err));
    t->decodes[0] = (tk_decode){ .kind = TK_DECODE_BYTES };
    t->pre_count = t->decode_count = 1;
    t->model.bytes = true;
    return TOLA_OK;
}

/* The class of Python that reads the two files, and the rules that it holds. */
static const char *class_rules(const tola_value *config, tola_error *err) {
    static const char *const rows[][2] = {
        { "GPT2", "gpt-2" },    { "CodeGen", "gpt-2" },    { "Whisper", "gpt-2" }, { "Qwen2", "qwen2" },
        { "Roberta", "gpt-2" }, { "Longformer", "gpt-2" }, { "Bart", "gpt-2" },    { "Qwen3", "qwen2" },
    };
    const char *name = tola_value_str(tola_value_get(config, "tokenizer_class"), "GPT2Tokenizer");
    const char *end = strstr(name, "Tokenizer");
    for (size_t i = 0; i < sizeof rows / sizeof *rows && end; i++)
        if (strlen(rows[i][0]) == (size_t)(end - name) && strncmp(name, rows[i][0], (size_t)(end - name)) == 0)
            return rows[i][1];
    (void)err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                  "how a %.60s cuts words is not in vocab.json and merges.txt, "
                  "and not known: a tokenizer.json is needed",
                  name);
    return NULL;
}

static void put_added(tola_json *j, const tola_value *id, const char *key, const tola_value *token) {
    static const char *const flags[] = { "single_word", "lstrip", "rstrip", "normalized", "special" };
    bool plain = !token || token->kind != TOLA_VALUE_MAP; /* added_tokens.json: {"text": id} */
    tola_json_begin_object(j);
    tola_json_key(j, "id");
    tola_json_u64(j, plain ? tola_value_u64(id, UINT64_MAX) : strtoull(key, NULL, 10));
    tola_json_key(j, "content");
    tola_json_string(j, plain ? key : tola_value_str(tola_value_get(token, "content"), ""));
    for (size_t i = 0; i < 5; i++) {
        tola_json_key(j, flags[i]);
        tola_json_bool(j, plain ? i == 4 : tola_value_bool(tola_value_get(token, flags[i]), false));
    }
    tola_json_end_object(j);
}

/* The tokenizer.json that two files of GPT-2's kind stand for, but for its model. */
static bool write_steps(tola_json *j, buf *text, const char *rules, const tola_value *config, const tola_value *added) {
    const tola_value *decoder = tola_value_get(config, "added_tokens_decoder");
    const char *normalizer = NULL;
    bool ignore, known;
    buf_printf(text, "{\"decoder\":{\"type\":\"ByteLevel\"},\"pre_tokenizer\":");
    if (strcmp(rules, "gpt-2") == 0) {
        bool space = tola_value_bool(tola_value_get(config, "add_prefix_space"), false);
        buf_printf(text, "{\"type\":\"ByteLevel\",\"add_prefix_space\":%s}", space ? "true" : "false");
        known = true;
    } else {
        known = pre_to_tokenizer(rules, text, &normalizer, &ignore);
    }
    buf_printf(text, ",\"normalizer\":%s,\"added_tokens\":", normalizer ? normalizer : "null");
    const tola_value *list = decoder && decoder->kind == TOLA_VALUE_MAP ? decoder : added;
    tola_json_init(j, json_to_buf, text, 0);
    tola_json_begin_array(j);
    for (size_t i = 0; list && list->kind == TOLA_VALUE_MAP && i < list->as.map.count; i++)
        put_added(j, &list->as.map.members[i].value, list->as.map.members[i].key.data, &list->as.map.members[i].value);
    tola_json_end_array(j);
    bool good = tola_json_finish(j);
    buf_printf(text, "}");
    return known && good && !text->failed;
}

static tola_status add_lines(tola_value *merges, arena *a, const char *text, size_t bytes, tola_error *err) {
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++) count += text[i] == '\n';
    tola_string *items = arena_alloc_array(a, count + 1, sizeof *items);
    if (!items) return err_nomem(err, "reading merges");
    count = 0;
    for (size_t i = 0; i < bytes;) {
        const char *line = text + i, *end = memchr(line, '\n', bytes - i);
        size_t n = end ? (size_t)(end - line) : bytes - i;
        i += n + 1;
        if (n && line[n - 1] == '\r') n--;
        if (n && !(line == text && n >= 8 && memcmp(line, "#version", 8) == 0))
            items[count++] = (tola_string){ line, n };
    }
    *merges = (tola_value){ .kind = TOLA_VALUE_ARRAY, .element = TOLA_VALUE_STRING };
    merges->as.array.items = items;
    merges->as.array.count = count;
    return TOLA_OK;
}

tola_status tk_load_gpt2(tola_tokenizer *t, const tola_value *vocab, const char *merges, size_t merges_bytes,
                         const tola_value *config, const tola_value *added, tola_error *err) {
    const char *rules = class_rules(config, err);
    if (!rules) return TOLA_E_UNSUPPORTED;
    buf text;
    tola_json j;
    arena a;
    buf_init(&text, 0);
    arena_init(&a, 0);
    tola_value steps, list, type = { .kind = TOLA_VALUE_STRING, .as.string = { "BPE", 3 } };
    tola_status status = write_steps(&j, &text, rules, config, added)
                             ? json_parse((const char *)text.data, text.length, &a, &steps, err)
                             : err_nomem(err, "reading the tokenizer");
    if (status == TOLA_OK) status = add_lines(&list, &a, merges, merges_bytes, err);
    if (status == TOLA_OK) {
        tola_member model_members[] = { { { "type", 4 }, type },
                                        { { "vocab", 5 }, *vocab },
                                        { { "merges", 6 }, list } };
        tola_value model = { .kind = TOLA_VALUE_MAP };
        model.as.map.members = model_members;
        model.as.map.count = 3;
        tola_member all[8];
        size_t n = 0;
        for (; n < steps.as.map.count && n < 7; n++) all[n] = steps.as.map.members[n];
        all[n++] = (tola_member){ { "model", 5 }, model };
        tola_value whole = { .kind = TOLA_VALUE_MAP };
        whole.as.map.members = all;
        whole.as.map.count = n;
        status = tk_load_json(t, &whole, err);
    }
    arena_free(&a);
    buf_free(&text);
    return status;
}

/* ---- BERT's vocab.txt ---- */

static tola_status bert_steps(tola_tokenizer *t, bool lower, bool accents, bool chinese, tola_error *err) {
    TRY(one_step(t, &t->normals, 1, sizeof *t->normals, err));
    TRY(one_step(t, &t->decodes, 1, sizeof *t->decodes, err));
    t->normals[t->normal_count++] =
        (tk_normal){ .kind = TK_BERT, .clean = true, .chinese = chinese, .accents = accents, .lowercase = lower };
    t->decodes[t->decode_count++] = (tk_decode){ .kind = TK_DECODE_WORDPIECE, .text = { "##", 2 }, .cleanup = true };
    t->model.kind = TK_WORDPIECE;
    t->model.prefix = (tola_string){ "##", 2 };
    t->model.max_word_chars = 100;
    return tk_bert_words(t, err);
}

static tola_status read_lines(tola_tokenizer *t, const char *text, size_t bytes, tola_error *err) {
    size_t count = 0, line = 0;
    for (size_t i = 0; i < bytes; i++) count += text[i] == '\n';
    TRY(tk_make_tokens(t, count + (bytes && text[bytes - 1] != '\n'), err));
    for (size_t i = 0; i < bytes; line++) {
        const char *end = memchr(text + i, '\n', bytes - i);
        size_t n = end ? (size_t)(end - text) - i : bytes - i;
        size_t next = i + n + 1;
        while (n && strchr(" \t\r", text[i + n - 1])) n--;
        if (!utf8_valid(text + i, n)) return err_set(err, TOLA_E_FORMAT, i, "line %zu is no UTF-8", line + 1);
        TRY(tk_set_token(t, line, text + i, n, err));
        i = next;
    }
    return TOLA_OK;
}

tola_status tk_load_bert(tola_tokenizer *t, const char *vocab, size_t bytes, const tola_value *config,
                         tola_error *err) {
    static const char *const names[] = { "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]" };
    static const tola_special which[] = { TOLA_SPECIAL_UNK, TOLA_SPECIAL_SEP, TOLA_SPECIAL_PAD, TOLA_SPECIAL_CLS,
                                          TOLA_SPECIAL_MASK };
    TRY(read_lines(t, vocab, bytes, err));
    bool lower = tola_value_bool(tola_value_get(config, "do_lower_case"), true);
    TRY(bert_steps(t, lower, tola_value_bool(tola_value_get(config, "strip_accents"), lower),
                   tola_value_bool(tola_value_get(config, "tokenize_chinese_chars"), true), err));
    t->added = arena_alloc_array(&t->arena, sizeof names / sizeof *names, sizeof *t->added);
    if (!t->added) return err_nomem(err, "reading the vocabulary");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint32_t id = 0;
        while (id < t->count && strcmp(t->tokens[id].text, names[i]) != 0) id++;
        if (id == t->count)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a vocabulary of BERT's kind has %s; this one has not",
                           names[i]);
        t->tokens[id].flags |= TOLA_TOKEN_ADDED | TOLA_TOKEN_SPECIAL;
        t->added[t->added_count++] =
            (tk_added){ .text = names[i], .length = (uint32_t)strlen(names[i]), .id = id, .special = true };
        tk_set_special(t, which[i], id);
    }
    t->model.unk = t->specials[TOLA_SPECIAL_UNK];
    TRY(put_one(t, &t->before, &t->before_count, t->specials[TOLA_SPECIAL_CLS], err));
    TRY(put_one(t, &t->after, &t->after_count, t->specials[TOLA_SPECIAL_SEP], err));
    return tk_finish(t, err);
}

/* ---- tiktoken: "base64 rank" a line; pairs merge where the result has a rank ---- */

#define CL100K_WORDS                                                                                                   \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"         \
    "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define O200K_WORDS                                                                                                    \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"                        \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"                                                                                   \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"                        \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* Which expression goes with ranks is not in the file; its name says so, as tiktoken's registry does. */
static const char *tiktoken_words(const char *name, uint32_t count) {
    if (strstr(name, "o200k")) return O200K_WORDS;
    if (strstr(name, "r50k") || strstr(name, "p50k") || strstr(name, "gpt2")) return GPT2_WORDS;
    return count < 60000 ? GPT2_WORDS : CL100K_WORDS;
}

typedef struct rank_line {
    const char *text;
    size_t length;
    uint64_t rank;
} rank_line;

static bool next_rank(const char *text, size_t bytes, size_t *at, rank_line *out) {
    const char *line = text + *at, *end = memchr(line, '\n', bytes - *at);
    size_t n = end ? (size_t)(end - line) : bytes - *at;
    const char *space = memchr(line, ' ', n);
    *at += n + 1;
    if (!space) return false;
    *out = (rank_line){ line, (size_t)(space - line), 0 };
    for (const char *p = space + 1; p < line + n && *p >= '0' && *p <= '9'; p++)
        if (!mul_u64(out->rank, 10, &out->rank) || !add_u64(out->rank, (uint64_t)(*p - '0'), &out->rank)) return false;
    return true;
}

tola_status tk_load_tiktoken(tola_tokenizer *t, const char *text, size_t bytes, const char *name, tola_error *err) {
    uint64_t most = 0, lines = 0;
    rank_line line;
    for (size_t at = 0; at < bytes;)
        if (next_rank(text, bytes, &at, &line)) {
            most = line.rank > most ? line.rank : most;
            lines++;
        }
    if (lines == 0) return err_set(err, TOLA_E_FORMAT, 0, "no line holds a token in base64 and its rank");
    TRY(tk_make_tokens(t, most + 1, err));
    char token[1024];
    for (size_t at = 0; at < bytes;) {
        if (!next_rank(text, bytes, &at, &line)) continue;
        if (line.length > sizeof token)
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the token of rank %" PRIu64 " is too long", line.rank);
        buf spelled;
        buf_init(&spelled, 0);
        size_t n = text_from_base64(line.text, line.length, token);
        for (size_t i = 0; i < n; i++) {
            char c[2];
            buf_append(&spelled, c, tk_char_of_byte((uint8_t)token[i], c));
        }
        tola_status status = spelled.failed ? err_nomem(err, "reading ranks")
                                            : tk_set_token(t, line.rank, (char *)spelled.data, spelled.length, err);
        buf_free(&spelled);
        TRY(status);
    }
    TRY(byte_steps(t, tiktoken_words(name, t->count), err));
    double *scores = arena_alloc_array(&t->arena, t->count, sizeof *scores);
    if (!scores) return err_nomem(err, "reading ranks");
    for (uint32_t i = 0; i < t->count; i++) scores[i] = -(double)i;
    t->model.kind = TK_BPE_SCORES;
    t->model.scores = scores;
    t->model.ignore_merges = true; /* a word that is a token is that token */
    return tk_finish(t, err);
}

/* ---- GGUF (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Tokenizer") ---- */

static const tola_value *key(const tola_value *metadata, const char *name) {
    char full[80];
    snprintf(full, sizeof full, "tokenizer.ggml.%s", name);
    return tola_value_get(metadata, full);
}

static size_t length_of(const tola_value *array) {
    return array && array->kind == TOLA_VALUE_ARRAY ? array->as.array.count : 0;
}

/* A list with an item for each token: absent, or of that length. */
static tola_status gguf_list(const tola_tokenizer *t, const tola_value *m, const char *name, const tola_value **out,
                             tola_error *err) {
    *out = key(m, name);
    if (*out == NULL || length_of(*out) == t->count) return TOLA_OK;
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tokenizer.ggml.%s has %zu entries, the vocabulary %u", name,
                   length_of(*out), t->count);
}

static tola_status gguf_types(tola_tokenizer *t, const tola_value *m, uint8_t **out, tola_error *err) {
    const tola_value *list;
    TRY(gguf_list(t, m, "token_type", &list, err));
    uint8_t *types = arena_alloc(&t->arena, t->count + (size_t)1);
    if (!types) return err_nomem(err, "reading the vocabulary");
    for (size_t i = 0; i < t->count; i++) {
        tola_value v = tola_value_at(list, i);
        if (list && v.kind != TOLA_VALUE_UINT && v.kind != TOLA_VALUE_INT)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tokenizer.ggml.token_type: entry %zu is no number", i);
        uint64_t type = tola_value_u64(&v, PIECE_NORMAL);
        types[i] = type >= PIECE_NORMAL && type <= PIECE_BYTE ? (uint8_t)type : PIECE_NORMAL;
    }
    *out = types;
    return TOLA_OK;
}

static tola_status gguf_pieces(tola_tokenizer *t, const tola_value *m, bool unigram, tola_error *err) {
    uint8_t *types;
    const tola_value *list;
    TRY(gguf_list(t, m, "scores", &list, err));
    double *scores = arena_alloc_array(&t->arena, t->count + (size_t)1, sizeof *scores);
    if (!scores) return err_nomem(err, "reading the vocabulary");
    for (size_t i = 0; i < t->count; i++) {
        tola_value v = tola_value_at(list, i);
        scores[i] = tola_value_f64(&v, list ? NAN : 0);
        if (isnan(scores[i]))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tokenizer.ggml.scores: entry %zu is no number", i);
    }
    TRY(gguf_types(t, m, &types, err));
    const tola_value *map = key(m, "precompiled_charsmap");
    piece_rules rules = { .unigram = unigram,
                          .byte_fallback = !unigram,
                          .dummy_prefix = tola_value_bool(key(m, "add_space_prefix"), true),
                          .collapse = tola_value_bool(key(m, "remove_extra_whitespaces"), unigram),
                          .unk = tola_value_u64(key(m, "unknown_token_id"), unigram ? 2 : 0) };
    if (map && map->kind == TOLA_VALUE_ARRAY && map->element != TOLA_VALUE_NULL &&
        tola_dtype_block_bytes((tola_dtype)map->dtype) == 1)
        rules.charsmap = (tola_string){ map->as.array.items, map->as.array.count };
    return use_pieces(t, scores, types, &rules, err);
}

/* The steps of a tokenizer.json, and merges over the tokens with their types. */
static tola_status gguf_merged(tola_tokenizer *t, const tola_value *m, const char *json, size_t length,
                               tola_error *err) {
    tola_value steps;
    arena a;
    arena_init(&a, 0);
    tola_status status = json_parse(json, length, &a, &steps, err);
    if (status == TOLA_OK) status = tk_load_steps(t, &steps, err);
    arena_free(&a);
    TRY(status);
    uint8_t *types;
    t->model.kind = TK_BPE;
    TRY(tk_load_merges(t, key(m, "merges"), err));
    TRY(gguf_types(t, m, &types, err));
    TRY(add_typed(t, types, err));
    for (size_t i = 0; i < t->added_count; i++) t->added[i].normalized = false;
    return tk_finish(t, err);
}

/* Tokens and merges under the rules that GGUF names, as the tokenizer.json that they stand for. */
static tola_status gguf_bytes(tola_tokenizer *t, const tola_value *m, tola_error *err) {
    const char *pre = tola_value_str(key(m, "pre"), "gpt-2"), *normalizer = NULL;
    buf text;
    buf_init(&text, 0);
    buf_printf(&text, "{\"decoder\":{\"type\":\"ByteLevel\"},\"pre_tokenizer\":");
    bool known = pre_to_tokenizer(pre, &text, &normalizer, &t->model.ignore_merges);
    buf_printf(&text, ",\"normalizer\":%s}", normalizer ? normalizer : "null");
    tola_status status = TOLA_OK;
    if (!known)
        status = err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "the pre-tokenizer '%.60s' is not understood", pre);
    else if (text.failed)
        status = err_nomem(err, "reading the tokenizer");
    if (status == TOLA_OK) status = gguf_merged(t, m, (const char *)text.data, text.length, err);
    buf_free(&text);
    return status;
}

/* Merges over characters, with bytes for what is no token and U+2581 for blanks (Gemma 4's). */
static bool is_raw(const char *pre) {
    return strcmp(pre, "gemma4") == 0 || strcmp(pre, "granite-embed-multi-311m") == 0 || strcmp(pre, "sarvam-moe") == 0;
}

static tola_status gguf_raw(tola_tokenizer *t, const tola_value *m, tola_error *err) {
    static const char json[] =
        "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"},"
        "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
        "\"\xe2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}}";
    uint64_t unk = tola_value_u64(key(m, "unknown_token_id"), UINT64_MAX);
    t->model.byte_fallback = t->model.fuse_unk = true;
    t->model.unk = unk < t->count ? (uint32_t)unk : TOLA_NO_TOKEN;
    return gguf_merged(t, m, json, sizeof json - 1, err);
}

/* WordPiece, whose words begin with U+2581 here and whose other pieces have no sign. */
static tola_status gguf_wordpiece(tola_tokenizer *t, const tola_value *m, tola_error *err) {
    static const char mark[] = "\xe2\x96\x81";
    uint8_t *types;
    TRY(gguf_types(t, m, &types, err));
    for (uint32_t i = 0; i < t->count; i++) {
        const tk_token *k = &t->tokens[i];
        if (types[i] != PIECE_NORMAL || (k->length && k->text[0] == '[' && k->text[k->length - 1] == ']')) continue;
        bool begins = k->length >= 3 && memcmp(k->text, mark, 3) == 0;
        size_t n = begins ? k->length - 3 : k->length + 2u;
        char *spelled = arena_alloc(&t->arena, n + 1);
        if (!spelled) return err_nomem(err, "reading the vocabulary");
        snprintf(spelled, n + 1, "%s%s", begins ? "" : "##", begins ? k->text + 3 : k->text);
        TRY(tk_set_token(t, i, spelled, n, err));
    }
    bool lower = tola_value_bool(key(m, "normalizer.lowercase"), true);
    TRY(bert_steps(t, lower, tola_value_bool(key(m, "normalizer.strip_accents"), lower), true, err));
    uint64_t unk = tola_value_u64(key(m, "unknown_token_id"), 100);
    t->model.unk = unk < t->count ? (uint32_t)unk : TOLA_NO_TOKEN;
    TRY(add_typed(t, types, err));
    return tk_finish(t, err);
}

tola_status tk_load_gguf(tola_tokenizer *t, const tola_value *m, tola_error *err) {
    const tola_value *tokens = key(m, "tokens");
    const char *model = tola_value_str(key(m, "model"), "none");
    if (length_of(tokens) == 0) return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "the file holds no tokenizer");
    TRY(tk_make_tokens(t, length_of(tokens), err));
    for (size_t i = 0; i < t->count; i++) {
        tola_value v = tola_value_at(tokens, i);
        if (v.kind != TOLA_VALUE_STRING)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tokenizer.ggml.tokens: token %zu is no string", i);
        TRY(tk_set_token(t, i, v.as.string.data, v.as.string.length, err));
    }
    const char *pre = tola_value_str(key(m, "pre"), "");
    bool bert = strcmp(model, "bert") == 0, pieces = strcmp(model, "llama") == 0;
    bool bytes = strcmp(model, "gpt2") == 0, raw = strcmp(model, "gemma4") == 0 || (bytes && is_raw(pre));
    if (pieces)
        TRY(gguf_pieces(t, m, false, err));
    else if (strcmp(model, "t5") == 0)
        TRY(gguf_pieces(t, m, true, err));
    else if (raw)
        TRY(gguf_raw(t, m, err));
    else if (bytes)
        TRY(gguf_bytes(t, m, err));
    else if (bert)
        TRY(gguf_wordpiece(t, m, err));
    else
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "a tokenizer of the kind '%.40s' is not understood",
                       model);
    TRY(tk_use_gguf_ids(t, m, err));
    bool gemma = raw && strcmp(pre, "sarvam-moe") != 0; /* needs <s>, whatever its files say */
    bool bos = bert || pieces || (bytes && pre_adds_bos(pre));
    uint64_t none = UINT64_MAX;
    uint64_t first = tola_value_u64(key(m, bert ? "cls_token_id" : "bos_token_id"), bert ? 101 : none);
    uint64_t last = tola_value_u64(key(m, bert ? "seperator_token_id" : "eos_token_id"), bert ? 102 : none);
    if (gemma || tola_value_bool(key(m, "add_bos_token"), bos))
        TRY(put_one(t, &t->before, &t->before_count, first, err));
    bool eos = bert || strcmp(model, "t5") == 0;
    return tola_value_bool(key(m, "add_eos_token"), eos) ? put_one(t, &t->after, &t->after_count, last, err) : TOLA_OK;
}
