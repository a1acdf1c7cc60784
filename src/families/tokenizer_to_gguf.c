/* The tokenizer of a Hugging Face folder as GGUF's tokenizer.* keys.
 *
 * Two kinds: byte-level BPE ("gpt2") from tokenizer.json or vocab.json + merges.txt, and SentencePiece-style BPE
 * ("llama") from tokenizer.model or a tokenizer.json that replaces spaces by U+2581. Other kinds (Unigram, WordPiece)
 * are refused: no family with a name map has them. Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 * What GGUF has no key for (normalizer, pre_tokenizer, decoder, added tokens, ...) is kept under tola.tokenizer.*, so
 * that the way back yields the same tokenizer. */
#include "base/err.h"
#include "families/sentencepiece.h"
#include "families/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDED_SCORE (-1000.0f)  /* what llama.cpp's converter gives tokens that no merge makes */
#define UNUSED_SCORE (-10000.0f)

typedef struct vocab {
    builder *b;
    size_t count;
    tola_string *tokens;
    float *scores;
    int32_t *types;
    token_table ids;
    size_t left_out;          /* tokens beyond the rows of the embedding */
    uint64_t first_left_out;
    tola_value tokenizer, config, special, generation; /* the files, parsed; NULL values where they are not there */
} vocab;

static tola_string text_of(const tola_value *v) {
    if (v != NULL && v->kind == TOLA_VALUE_STRING) return v->as.string;
    if (v != NULL && v->kind == TOLA_VALUE_MAP) return text_of(tola_value_get(v, "content"));
    return (tola_string){ NULL, 0 };
}

static bool starts_ends(tola_string t, const char *start, const char *end) {
    size_t n = strlen(start), m = strlen(end);
    return t.length >= n + m && memcmp(t.data, start, n) == 0 && memcmp(t.data + t.length - m, end, m) == 0;
}

/* Tokens that models use as control tokens though they are not marked as such (Gemma, DeepSeek, Command-R). */
static bool looks_special(tola_string t) {
    static const char *const words[] = { "<pad>", "<mask>", "<2mass>", "[@BOS@]" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (t.length == strlen(words[i]) && memcmp(t.data, words[i], t.length) == 0) return true;
    return starts_ends(t, "<|", "|>") || starts_ends(t, "<｜", "｜>") || starts_ends(t, "<unused", ">");
}

static void set_token(vocab *v, uint64_t id, tola_string text, float score, int type) {
    if (id >= v->count) {
        if (v->left_out++ == 0) v->first_left_out = id;
        return;
    }
    v->tokens[id] = text;
    v->scores[id] = score;
    v->types[id] = type;
}

/* llama.cpp compares user-defined tokens with plain text: U+2581 stands for a space there. */
static tola_string with_spaces(builder *b, tola_string t) {
    static const char block[] = "\xe2\x96\x81";
    char *copy = arena_strndup(&b->plan->arena, t.data, t.length);
    if (copy == NULL) {
        b->failed = true;
        return t;
    }
    size_t n = 0;
    for (size_t i = 0; i < t.length;) {
        if (t.length - i >= 3 && memcmp(t.data + i, block, 3) == 0) {
            copy[n++] = ' ';
            i += 3;
        } else {
            copy[n++] = t.data[i++];
        }
    }
    copy[n] = '\0';
    return (tola_string){ copy, n };
}

static void add_token(vocab *v, uint64_t id, tola_string text, bool special) {
    if (text.data == NULL) return;
    bool control = special || looks_special(text);
    set_token(v, id, control ? text : with_spaces(v->b, text), ADDED_SCORE,
              control ? PIECE_CONTROL : PIECE_USER_DEFINED);
}

static bool is_map(const tola_value *v) {
    return v != NULL && v->kind == TOLA_VALUE_MAP;
}

/* What of tokenizer.json's texts has which id. */
typedef struct id_table {
    token_table table;
    tola_string *texts; /* by id, without one: none */
    uint64_t *added;    /* the ids of added tokens */
    size_t count;
} id_table;

static tola_status note_id(id_table *t, const char *of, uint64_t id, tola_string text, tola_error *err) {
    if (id >= t->count) return TOLA_OK;
    if (t->texts[id].data != NULL) return token_id_twice(of, id, t->texts[id], text, err);
    t->texts[id] = text;
    token_table_add(&t->table, text.data, text.length, (uint32_t)id);
    return TOLA_OK;
}

/* As where a model runs (text/load_json.c): no id has two texts, and an added token keeps the id that its text has. */
static tola_status note_ids(id_table *t, const tola_value *vocabulary, const tola_value *list, tola_error *err) {
    char of[60];
    for (size_t i = 0; is_map(vocabulary) && i < vocabulary->as.map.count; i++) {
        const tola_member *m = &vocabulary->as.map.members[i];
        TRY(note_id(t, "tokenizer.json: ", tola_value_u64(&m->value, UINT64_MAX), m->key, err));
    }
    for (size_t i = 0; i < list->as.array.count; i++) {
        tola_value token = tola_value_at(list, i);
        tola_string text = text_of(&token);
        t->added[i] = tola_value_u64(tola_value_get(&token, "id"), UINT64_MAX);
        uint32_t known = text.data != NULL ? token_table_find(&t->table, text.data, text.length) : UINT32_MAX;
        if (known != UINT32_MAX) t->added[i] = known;
        if (text.data == NULL || known != UINT32_MAX) continue;
        (void)snprintf(of, sizeof of, "tokenizer.json: added token %zu: ", i);
        TRY(note_id(t, of, t->added[i], text, err));
    }
    return TOLA_OK;
}

static tola_status add_listed(vocab *v, const tola_value *list, tola_error *err) {
    const tola_value *vocabulary = tola_value_get(tola_value_get(&v->tokenizer, "model"), "vocab");
    size_t words = is_map(vocabulary) ? vocabulary->as.map.count : 0, n = list->as.array.count;
    id_table t = { .count = v->count };
    t.texts = mem_calloc(v->count + 1, sizeof *t.texts);
    t.added = mem_calloc(n + 1, sizeof *t.added);
    bool room = token_table_init(&t.table, words + n) && t.texts != NULL && t.added != NULL;
    tola_status status = room ? note_ids(&t, vocabulary, list, err) : err_nomem(err, "the vocabulary");
    for (size_t i = 0; i < n && status == TOLA_OK; i++) {
        tola_value token = tola_value_at(list, i);
        add_token(v, t.added[i], text_of(&token), tola_value_bool(tola_value_get(&token, "special"), false));
    }
    token_table_free(&t.table);
    mem_free(t.texts);
    mem_free(t.added);
    return status;
}

/* added_tokens.json, added_tokens_decoder of tokenizer_config.json, added_tokens of tokenizer.json. */
static tola_status read_added(vocab *v, tola_error *err) {
    tola_value added;
    TRY(build_read_json(v->b, "added_tokens.json", &added, err));
    for (size_t i = 0; added.kind == TOLA_VALUE_MAP && i < added.as.map.count; i++) {
        const tola_member *m = &added.as.map.members[i];
        add_token(v, tola_value_u64(&m->value, UINT64_MAX), m->key, false);
    }
    const tola_value *decoder = tola_value_get(&v->config, "added_tokens_decoder");
    for (size_t i = 0; decoder != NULL && decoder->kind == TOLA_VALUE_MAP && i < decoder->as.map.count; i++) {
        const tola_member *m = &decoder->as.map.members[i];
        char *end;
        unsigned long long id = strtoull(m->key.data, &end, 10);
        if (end == m->key.data || *end != '\0')
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                           "tokenizer_config.json: added_tokens_decoder has the key '%.40s', expected a number",
                           m->key.data);
        add_token(v, id, text_of(&m->value), tola_value_bool(tola_value_get(&m->value, "special"), false));
    }
    const tola_value *list = tola_value_get(&v->tokenizer, "added_tokens"), none = { .kind = TOLA_VALUE_ARRAY };
    return add_listed(v, list != NULL && list->kind == TOLA_VALUE_ARRAY ? list : &none, err);
}

/* ---- vocabularies ---- */

static tola_status read_pieces(vocab *v, const char *data, size_t length, bool *space_prefix, tola_error *err) {
    sentencepiece_model model;
    tola_status status = sentencepiece_parse(data, length, &v->b->plan->arena, &model, err);
    if (status != TOLA_OK) return err_in_file(err, status, "tokenizer.model");
    if (model.model_type != 2)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "tokenizer.model: a SentencePiece model of type %u; only BPE (type 2) has a counterpart",
                       model.model_type);
    for (size_t i = 0; i < model.count; i++) set_token(v, i, model.pieces[i], model.scores[i], model.types[i]);
    *space_prefix = model.add_dummy_prefix;
    if (model.unk_id >= 0) build_u32(v->b, "tokenizer.ggml.unknown_token_id", (uint64_t)model.unk_id);
    return TOLA_OK;
}

static tola_status read_vocab_map(vocab *v, const tola_value *map, bool bytes_as_type, tola_error *err) {
    if (map == NULL || map->kind != TOLA_VALUE_MAP)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the tokenizer has no vocabulary (a map of tokens to ids)");
    for (size_t i = 0; i < map->as.map.count; i++) {
        const tola_member *m = &map->as.map.members[i];
        uint64_t id = tola_value_u64(&m->value, UINT64_MAX);
        bool byte = bytes_as_type && token_byte(m->key.data, m->key.length) >= 0;
        set_token(v, id, m->key, UNUSED_SCORE, byte ? PIECE_BYTE : PIECE_NORMAL);
    }
    return TOLA_OK;
}

/* A merge is "left right" or ["left", "right"]. False where it is neither. */
static bool split_merge(const tola_value *merge, tola_string *left, tola_string *right) {
    if (merge->kind == TOLA_VALUE_STRING) {
        const char *data = merge->as.string.data;
        const char *space = merge->as.string.length > 1 ? memchr(data + 1, ' ', merge->as.string.length - 1) : NULL;
        if (space == NULL) return false;
        *left = (tola_string){ data, (size_t)(space - data) };
        *right = (tola_string){ space + 1, merge->as.string.length - left->length - 1 };
        return true;
    }
    if (merge->kind != TOLA_VALUE_ARRAY || merge->as.array.count != 2) return false;
    tola_value a = tola_value_at(merge, 0), b = tola_value_at(merge, 1);
    if (a.kind != TOLA_VALUE_STRING || b.kind != TOLA_VALUE_STRING) return false;
    *left = a.as.string;
    *right = b.as.string;
    return true;
}

/* GGUF writes a merge as "left right"; spaces inside either part become U+0120, as llama.cpp's converter does. */
static tola_string merge_text(builder *b, tola_string left, tola_string right) {
    size_t spaces = 0;
    for (size_t i = 0; i < left.length; i++) spaces += left.data[i] == ' ';
    for (size_t i = 0; i < right.length; i++) spaces += right.data[i] == ' ';
    char *text = build_alloc(b, left.length + right.length + spaces + 2, 1);
    size_t n = 0;
    if (text == NULL) return (tola_string){ "", 0 };
    for (int side = 0; side < 2; side++) {
        tola_string part = side == 0 ? left : right;
        if (side == 1) text[n++] = ' ';
        for (size_t i = 0; i < part.length; i++) {
            if (part.data[i] == ' ') {
                text[n++] = '\xc4';
                text[n++] = '\xa0';
            } else {
                text[n++] = part.data[i];
            }
        }
    }
    text[n] = '\0';
    return (tola_string){ text, n };
}

static tola_status read_merges(vocab *v, const tola_value *merges, tola_string **out, size_t *count, tola_error *err) {
    size_t n = merges != NULL && merges->kind == TOLA_VALUE_ARRAY ? merges->as.array.count : 0;
    tola_string *list = build_alloc(v->b, n + 1, sizeof *list);
    if (list == NULL) return err_nomem(err, "merges");
    for (size_t i = 0; i < n; i++) {
        tola_value merge = tola_value_at(merges, i);
        tola_string left, right;
        if (!split_merge(&merge, &left, &right))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tokenizer.json: merge %zu is no pair of tokens", i);
        list[i] = merge_text(v->b, left, right);
    }
    *out = list;
    *count = n;
    return TOLA_OK;
}

/* merges.txt: a line "left right" each, the first may be a comment. */
static tola_status read_merges_text(vocab *v, const char *text, size_t length, tola_string **out, size_t *count,
                                    tola_error *err) {
    size_t lines = 1, n = 0;
    for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
    tola_string *list = build_alloc(v->b, lines, sizeof *list);
    if (list == NULL) return err_nomem(err, "merges");
    for (const char *p = text, *end = text + length; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (stop == NULL) stop = end;
        size_t bytes = (size_t)(stop - p);
        if (bytes > 0 && p[bytes - 1] == '\r') bytes--;
        if (bytes > 0 && !(p == text && p[0] == '#')) {
            char *line = arena_strndup(&v->b->plan->arena, p, bytes);
            if (line == NULL) return err_nomem(err, "merges");
            list[n++] = (tola_string){ line, bytes };
        }
        p = stop + 1;
    }
    *out = list;
    *count = n;
    return TOLA_OK;
}

static tola_status index_tokens(vocab *v, tola_error *err) {
    if (v->ids.slots != NULL) token_table_free(&v->ids);
    if (!token_table_init(&v->ids, v->count)) return err_nomem(err, "the vocabulary");
    for (size_t i = 0; i < v->count; i++) token_table_add(&v->ids, v->tokens[i].data, v->tokens[i].length, (uint32_t)i);
    return TOLA_OK;
}

/* SentencePiece merges the pair whose result has the highest score, BPE the pair that comes first in the list: minus
 * the rank of the first merge that makes a token is a score that gives the same order. */
static tola_status scores_from_merges(vocab *v, const tola_value *merges, tola_error *err) {
    size_t n = merges != NULL && merges->kind == TOLA_VALUE_ARRAY ? merges->as.array.count : 0;
    for (size_t i = 0; i < v->count; i++)
        if (v->types[i] == PIECE_NORMAL) v->scores[i] = -(float)n;
    for (size_t i = n; i-- > 0;) {
        tola_value merge = tola_value_at(merges, i);
        tola_string left, right;
        char joined[1024];
        if (!split_merge(&merge, &left, &right))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tokenizer.json: merge %zu is no pair of tokens", i);
        if (left.length + right.length > sizeof joined) continue;
        memcpy(joined, left.data, left.length);
        memcpy(joined + left.length, right.data, right.length);
        uint32_t id = token_table_find(&v->ids, joined, left.length + right.length);
        if (id != UINT32_MAX) v->scores[id] = -(float)i;
    }
    return TOLA_OK;
}

/* Phi-3's special tokens swallow the white space behind them (rstrip). GGUF has no key for that: llama.cpp does it
 * where general.name says Phi-3, and then insists on these tokens. */
static void name_phi3(vocab *v) {
    static const char *const needed[] = { "<unk>", "<s>", "</s>", "<|endoftext|>" };
    bool strips = false;
    const tola_value *list = tola_value_get(&v->tokenizer, "added_tokens");
    for (size_t i = 0; list != NULL && list->kind == TOLA_VALUE_ARRAY && i < list->as.array.count; i++) {
        tola_value t = tola_value_at(list, i);
        strips |= tola_value_bool(tola_value_get(&t, "rstrip"), false);
    }
    const tola_value *decoder = tola_value_get(&v->config, "added_tokens_decoder");
    for (size_t i = 0; decoder != NULL && decoder->kind == TOLA_VALUE_MAP && i < decoder->as.map.count; i++)
        strips |= tola_value_bool(tola_value_get(&decoder->as.map.members[i].value, "rstrip"), false);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        strips = strips && token_table_find(&v->ids, needed[i], strlen(needed[i])) != UINT32_MAX;
    if (strips) build_string(v->b, "general.name", "Phi-3");
}

/* ---- special tokens ---- */

static uint64_t id_of_text(const vocab *v, tola_string text) {
    if (text.data == NULL) return UINT64_MAX;
    uint32_t id = token_table_find(&v->ids, text.data, text.length);
    return id == UINT32_MAX ? UINT64_MAX : id;
}

/* An id of config.json or generation_config.json: a number, or the first of a list. */
static uint64_t id_of_config(const tola_value *value) {
    if (value == NULL) return UINT64_MAX;
    if (value->kind != TOLA_VALUE_ARRAY) return tola_value_u64(value, UINT64_MAX);
    tola_value first = tola_value_at(value, 0);
    return tola_value_u64(&first, UINT64_MAX);
}

static uint64_t add_special_id(vocab *v, const char *what, const char *key) {
    char name[64];
    snprintf(name, sizeof name, "%s_token", what);
    uint64_t id = id_of_text(v, text_of(tola_value_get(&v->config, name)));
    if (id == UINT64_MAX) id = id_of_text(v, text_of(tola_value_get(&v->special, name)));
    snprintf(name, sizeof name, "%s_token_id", what);
    if (id == UINT64_MAX) id = id_of_config(tola_value_get(v->b->hyper.text, name));
    if (id == UINT64_MAX) id = id_of_config(tola_value_get(tola_checkpoint_config(v->b->ck), name));
    if (id == UINT64_MAX) id = id_of_config(tola_value_get(&v->generation, name));
    if (id < v->count && !build_has(v->b, key)) build_u32(v->b, key, id);
    return id;
}

/* Does the template of tokenizer.json's post_processor put `id` first (or last) around a text? */
static bool template_has(const vocab *v, const tola_value *processor, uint64_t id, bool last) {
    const char *type = tola_value_str(tola_value_get(processor, "type"), "");
    if (strcmp(type, "Sequence") == 0) {
        const tola_value *list = tola_value_get(processor, "processors");
        for (size_t i = 0; list != NULL && list->kind == TOLA_VALUE_ARRAY && i < list->as.array.count; i++) {
            tola_value inner = tola_value_at(list, i);
            /* One level: tokenizers does not nest sequences deeper either. */
            if (strcmp(tola_value_str(tola_value_get(&inner, "type"), ""), "TemplateProcessing") == 0 &&
                template_has(v, &inner, id, last))
                return true;
        }
        return false;
    }
    const tola_value *single = tola_value_get(processor, "single");
    if (strcmp(type, "TemplateProcessing") != 0 || single == NULL || single->kind != TOLA_VALUE_ARRAY ||
        single->as.array.count < 2)
        return false;
    tola_value edge = tola_value_at(single, last ? single->as.array.count - 1 : 0);
    tola_string text = text_of(tola_value_get(tola_value_get(&edge, "SpecialToken"), "id"));
    return id != UINT64_MAX && text.data != NULL && id_of_text(v, text) == id;
}

static void add_edges(vocab *v, uint64_t bos, uint64_t eos, bool sentencepiece) {
    const tola_value *processor = tola_value_get(&v->tokenizer, "post_processor");
    bool has_file = v->tokenizer.kind == TOLA_VALUE_MAP;
    bool add_bos = has_file ? template_has(v, processor, bos, false) : sentencepiece;
    bool add_eos = has_file && template_has(v, processor, eos, true);
    add_bos = tola_value_bool(tola_value_get(&v->config, "add_bos_token"), add_bos);
    add_eos = tola_value_bool(tola_value_get(&v->config, "add_eos_token"), add_eos);
    build_bool(v->b, "tokenizer.ggml.add_bos_token", add_bos);
    build_bool(v->b, "tokenizer.ggml.add_eos_token", add_eos);
}

/* tokenizer_config.json's chat_template (text, or a list of named ones), else chat_template.jinja or .json. */
static tola_status add_chat_template(vocab *v, tola_error *err) {
    const tola_value *template = tola_value_get(&v->config, "chat_template");
    tola_value file;
    if (template == NULL) {
        const char *text;
        size_t length;
        TRY(build_read_text(v->b, "chat_template.jinja", &text, &length, err));
        if (text != NULL) {
            build_string_n(v->b, "tokenizer.chat_template", text, length);
            return TOLA_OK;
        }
        TRY(build_read_json(v->b, "chat_template.json", &file, err));
        template = tola_value_get(&file, "chat_template");
    }
    if (template == NULL) return TOLA_OK;
    if (template->kind == TOLA_VALUE_STRING) {
        build_string_n(v->b, "tokenizer.chat_template", template->as.string.data, template->as.string.length);
        return TOLA_OK;
    }
    for (size_t i = 0; template->kind == TOLA_VALUE_ARRAY && i < template->as.array.count; i++) {
        tola_value entry = tola_value_at(template, i);
        const char *name = tola_value_str(tola_value_get(&entry, "name"), NULL);
        const char *text = tola_value_str(tola_value_get(&entry, "template"), NULL);
        if (name == NULL || text == NULL || strlen(name) > 64) continue;
        char *key = strcmp(name, "default") == 0 ? build_text(v->b, "tokenizer.chat_template")
                                                 : build_printf(v->b, "tokenizer.chat_template.%s", name);
        if (key != NULL) build_string(v->b, key, text);
    }
    return TOLA_OK;
}

/* ---- what only the way back needs ---- */

static void put_without(tola_json *j, const tola_value *map, const char *a, const char *b) {
    tola_json_begin_object(j);
    for (size_t i = 0; i < map->as.map.count; i++) {
        const tola_member *m = &map->as.map.members[i];
        if (strcmp(m->key.data, a) == 0 || strcmp(m->key.data, b) == 0) continue;
        tola_json_key_n(j, m->key.data, m->key.length);
        if (strcmp(m->key.data, "model") == 0 && m->value.kind == TOLA_VALUE_MAP)
            put_without(j, &m->value, "vocab", "merges");
        else
            tola_json_value(j, &m->value);
    }
    tola_json_end_object(j);
}

static tola_status keep_file(vocab *v, const char *key, const tola_value *file, const char *without,
                             const char *and_without, tola_error *err) {
    if (file->kind != TOLA_VALUE_MAP) return TOLA_OK;
    build_json j;
    build_json_begin(&j, 0);
    put_without(&j.json, file, without, and_without);
    tola_status status = build_json_end(&j, key, err);
    if (status == TOLA_OK) build_string_n(v->b, key, (const char *)j.text.data, j.text.length);
    build_json_free(&j);
    return status;
}

static tola_status keep_files(vocab *v, tola_error *err) {
    TRY(keep_file(v, "tola.tokenizer.json", &v->tokenizer, "", "", err));
    const tola_value *vocabulary = tola_value_get(tola_value_get(&v->tokenizer, "model"), "vocab");
    size_t count = vocabulary != NULL && vocabulary->kind == TOLA_VALUE_MAP ? vocabulary->as.map.count : 0;
    uint64_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t id = tola_value_u64(&vocabulary->as.map.members[i].value, 0);
        if (id > largest) largest = id;
    }
    /* Where its ids have no holes, the number of tokens tells which added tokens are part of it. */
    if (count != 0 && largest == count - 1) build_u32(v->b, "tola.tokenizer.vocab", count);
    TRY(keep_file(v, "tola.tokenizer_config.json", &v->config, "chat_template", "name_or_path", err));
    TRY(keep_file(v, "tola.special_tokens_map.json", &v->special, "", "", err));
    return keep_file(v, "tola.generation_config.json", &v->generation, "_from_model_config", "", err);
}

/* ---- the whole ---- */

static bool is_byte_level(const tola_value *tokenizer) {
    const tola_value *pre = tola_value_get(tokenizer, "pre_tokenizer");
    if (strcmp(tola_value_str(tola_value_get(pre, "type"), ""), "ByteLevel") == 0) return true;
    const tola_value *list = tola_value_get(pre, "pretokenizers");
    for (size_t i = 0; list != NULL && list->kind == TOLA_VALUE_ARRAY && i < list->as.array.count; i++) {
        tola_value step = tola_value_at(list, i);
        if (strcmp(tola_value_str(tola_value_get(&step, "type"), ""), "ByteLevel") == 0) return true;
    }
    return false;
}

/* Is U+2581 put before a text? By a Prepend normalizer or a Metaspace pre_tokenizer. */
static bool prepends_space(const tola_value *tokenizer) {
    const tola_value *pre = tola_value_get(tokenizer, "pre_tokenizer");
    if (strcmp(tola_value_str(tola_value_get(pre, "type"), ""), "Metaspace") == 0) {
        const char *scheme = tola_value_str(tola_value_get(pre, "prepend_scheme"), NULL);
        if (scheme != NULL) return strcmp(scheme, "never") != 0;
        return tola_value_bool(tola_value_get(pre, "add_prefix_space"), true);
    }
    const tola_value *normalizer = tola_value_get(tokenizer, "normalizer");
    if (strcmp(tola_value_str(tola_value_get(normalizer, "type"), ""), "Prepend") == 0) return true;
    const tola_value *list = tola_value_get(normalizer, "normalizers");
    for (size_t i = 0; list != NULL && list->kind == TOLA_VALUE_ARRAY && i < list->as.array.count; i++) {
        tola_value step = tola_value_at(list, i);
        if (strcmp(tola_value_str(tola_value_get(&step, "type"), ""), "Prepend") == 0) return true;
    }
    return false;
}

static void add_lists(vocab *v, const char *model, const char *pre, bool scores) {
    build_string(v->b, "tokenizer.ggml.model", model);
    build_string(v->b, "tokenizer.ggml.pre", pre);
    build_strings(v->b, "tokenizer.ggml.tokens", v->tokens, v->count);
    if (scores) build_numbers(v->b, "tokenizer.ggml.scores", TOLA_DTYPE_F32, v->scores, v->count);
    build_numbers(v->b, "tokenizer.ggml.token_type", TOLA_DTYPE_I32, v->types, v->count);
}

static tola_status spm_to_gguf(vocab *v, const char *model, size_t model_bytes, tola_error *err) {
    const tola_value *bpe = tola_value_get(&v->tokenizer, "model");
    const tola_value *merges = tola_value_get(bpe, "merges");
    bool space_prefix = prepends_space(&v->tokenizer);
    if (model != NULL) {
        bool model_prefix;
        TRY(read_pieces(v, model, model_bytes, &model_prefix, err));
        if (v->tokenizer.kind == TOLA_VALUE_NULL) space_prefix = model_prefix;
    } else {
        TRY(read_vocab_map(v, tola_value_get(bpe, "vocab"), true, err));
        TRY(index_tokens(v, err));
        TRY(scores_from_merges(v, merges, err));
        uint64_t unknown = id_of_text(v, text_of(tola_value_get(bpe, "unk_token")));
        if (unknown < v->count) v->types[unknown] = PIECE_UNKNOWN;
        if (unknown < v->count) build_u32(v->b, "tokenizer.ggml.unknown_token_id", unknown);
    }
    TRY(read_added(v, err));
    TRY(index_tokens(v, err));
    add_lists(v, "llama", "default", true);
    build_bool(v->b, "tokenizer.ggml.add_space_prefix", space_prefix);
    if (v->tokenizer.kind == TOLA_VALUE_NULL) return TOLA_OK;
    /* Scores give the order of merges, but not which of them exist. */
    tola_string *list;
    size_t count;
    TRY(read_merges(v, merges, &list, &count, err));
    build_strings(v->b, "tola.tokenizer.merges", list, count);
    return TOLA_OK;
}

static const char *pre_of(vocab *v) {
    const char *pre = NULL;
    if (v->tokenizer.kind == TOLA_VALUE_MAP && !pre_from_tokenizer(&v->tokenizer, &pre)) v->b->failed = true;
    if (pre != NULL) return pre;
    family_map map = v->b->plan->family->map;
    pre = "gpt-2";
    if (map == FAMILY_MAP_QWEN2 || map == FAMILY_MAP_QWEN3) pre = "qwen2";
    if (map == FAMILY_MAP_LLAMA) pre = "llama-bpe";
    if (v->tokenizer.kind == TOLA_VALUE_MAP)
        build_warn(v->b, "tokenizer.json cuts text by rules that llama.cpp has no name for; '%s' is written, so some "
                         "texts may tokenize differently", pre);
    return pre;
}

static tola_status bpe_to_gguf(vocab *v, tola_error *err) {
    tola_string *merges;
    size_t count;
    if (v->tokenizer.kind == TOLA_VALUE_MAP) {
        const tola_value *bpe = tola_value_get(&v->tokenizer, "model");
        TRY(read_vocab_map(v, tola_value_get(bpe, "vocab"), false, err));
        TRY(read_merges(v, tola_value_get(bpe, "merges"), &merges, &count, err));
    } else {
        tola_value map;
        const char *text;
        size_t length;
        TRY(build_read_json(v->b, "vocab.json", &map, err));
        TRY(read_vocab_map(v, &map, false, err));
        TRY(build_read_text(v->b, "merges.txt", &text, &length, err));
        if (text == NULL)
            return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "vocab.json is there, but merges.txt is not");
        TRY(read_merges_text(v, text, length, &merges, &count, err));
    }
    TRY(read_added(v, err));
    TRY(index_tokens(v, err));
    add_lists(v, "gpt2", pre_of(v), false);
    build_strings(v->b, "tokenizer.ggml.merges", merges, count);
    return TOLA_OK;
}

static tola_status read_files(vocab *v, tola_error *err) {
    TRY(build_read_json(v->b, "tokenizer.json", &v->tokenizer, err));
    TRY(build_read_json(v->b, "tokenizer_config.json", &v->config, err));
    TRY(build_read_json(v->b, "special_tokens_map.json", &v->special, err));
    return build_read_json(v->b, "generation_config.json", &v->generation, err);
}

static tola_status make_room(vocab *v, uint64_t count, tola_error *err) {
    if (count > SENTENCEPIECE_MAX_PIECES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%llu tokens, at most %u are read",
                       (unsigned long long)count, SENTENCEPIECE_MAX_PIECES);
    v->count = (size_t)count;
    v->tokens = build_alloc(v->b, v->count, sizeof *v->tokens);
    v->scores = build_alloc(v->b, v->count, sizeof *v->scores);
    v->types = build_alloc(v->b, v->count, sizeof *v->types);
    if (v->b->failed) return err_nomem(err, "the vocabulary");
    for (size_t i = 0; i < v->count; i++) {
        char *text = build_printf(v->b, "[PAD%zu]", i);
        if (text == NULL) return err_nomem(err, "the vocabulary");
        v->tokens[i] = (tola_string){ text, strlen(text) };
        v->scores[i] = UNUSED_SCORE;
        v->types[i] = PIECE_UNUSED;
    }
    return TOLA_OK;
}

static tola_status convert(vocab *v, uint64_t vocabulary, tola_error *err) {
    const char *pieces, *words;
    size_t pieces_bytes, words_bytes;
    TRY(read_files(v, err));
    TRY(make_room(v, vocabulary, err));
    TRY(build_read_text(v->b, "tokenizer.model", &pieces, &pieces_bytes, err));
    bool sentencepiece = false;
    if (v->tokenizer.kind == TOLA_VALUE_MAP) {
        const tola_value *bpe = tola_value_get(&v->tokenizer, "model");
        /* Old files leave the type out where it is BPE: merges tell. */
        const char *guess = tola_value_get(bpe, "merges") != NULL ? "BPE" : "unknown";
        const char *type = tola_value_str(tola_value_get(bpe, "type"), guess);
        if (strcmp(type, "BPE") != 0)
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "tokenizer.json: a model of type %s has no "
                           "counterpart in GGUF's %s; only BPE has", type, v->b->arch);
        sentencepiece = !is_byte_level(&v->tokenizer);
        TRY(sentencepiece ? spm_to_gguf(v, pieces, pieces_bytes, err) : bpe_to_gguf(v, err));
    } else if (pieces != NULL) {
        sentencepiece = true;
        TRY(spm_to_gguf(v, pieces, pieces_bytes, err));
    } else {
        TRY(build_read_text(v->b, "vocab.json", &words, &words_bytes, err));
        if (words == NULL) {
            build_warn(v->b, "no tokenizer (tokenizer.json, tokenizer.model or vocab.json): the file will not run");
            build_string(v->b, "tokenizer.ggml.model", "none");
            return TOLA_OK;
        }
        TRY(bpe_to_gguf(v, err));
    }
    if (v->b->plan->family->map == FAMILY_MAP_PHI3) name_phi3(v);
    uint64_t bos = add_special_id(v, "bos", "tokenizer.ggml.bos_token_id");
    uint64_t eos = add_special_id(v, "eos", "tokenizer.ggml.eos_token_id");
    add_special_id(v, "unk", "tokenizer.ggml.unknown_token_id");
    add_special_id(v, "pad", "tokenizer.ggml.padding_token_id");
    add_special_id(v, "sep", "tokenizer.ggml.seperator_token_id"); /* spelt so in the specification */
    add_special_id(v, "cls", "tokenizer.ggml.cls_token_id");
    add_special_id(v, "mask", "tokenizer.ggml.mask_token_id");
    add_edges(v, bos, eos, sentencepiece);
    TRY(add_chat_template(v, err));
    return keep_files(v, err);
}

tola_status tokenizer_to_gguf(builder *b, uint64_t vocabulary, tola_error *err) {
    vocab v = { .b = b };
    tola_status status = convert(&v, vocabulary, err);
    if (v.left_out != 0)
        build_warn(b, "%zu tokens, the first with id %llu, lie beyond the %zu rows of the embedding and are left out",
                   v.left_out, (unsigned long long)v.first_left_out, v.count);
    token_table_free(&v.ids);
    return status;
}
