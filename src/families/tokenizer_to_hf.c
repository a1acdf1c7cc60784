/* GGUF's tokenizer.* keys as tokenizer.json, tokenizer_config.json and generation_config.json.
 *
 * tokenizer.json is what transformers' PreTrainedTokenizerFast loads
 * (https://github.com/huggingface/tokenizers). Files that Tola wrote carry everything of it but the vocabulary
 * (tola.tokenizer.*); for others it is made from the kind of tokenizer and tokenizer.ggml.pre. */
#define _GNU_SOURCE /* strcasestr */
#include "base/err.h"
#include "families/sentencepiece.h"
#include "families/tokens.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SPLIT_BYTES 128u /* longer tokens are not looked at for merges: the work grows with the square. The longest
                                that merges make in real models are runs of 31 U+2581, 93 bytes */

typedef struct maker {
    builder *b;
    const tola_value *metadata;
    const tola_value *tokens, *types, *scores;
    size_t count;
    size_t vocab_end;    /* ids below are in model.vocab */
    tola_string *text;   /* of each token, as tokenizer.json has it */
    uint8_t *type;
    token_table ids;
    bool sentencepiece;
    bool space_prefix, add_bos, add_eos;
    bool strips;         /* special tokens swallow white space behind them */
    uint64_t bos, eos, unk, pad; /* UINT64_MAX: none */
    tola_value skeleton; /* tola.tokenizer.json, parsed */
    build_json j;
} maker;

static const tola_value *key(const maker *m, const char *name) { return tola_value_get(m->metadata, name); }

static tola_value stored_json(maker *m, const char *name) {
    const tola_value *text = key(m, name);
    tola_value none = { 0 };
    if (text == NULL || text->kind != TOLA_VALUE_STRING) return none;
    tola_value parsed = build_parse(m->b, text->as.string.data, text->as.string.length);
    if (parsed.kind == TOLA_VALUE_MAP) return parsed;
    build_warn(m->b, "%s is no JSON object and is passed over", name);
    return none;
}

static uint64_t special(const maker *m, const char *name) {
    uint64_t id = tola_value_u64(key(m, name), UINT64_MAX);
    return id < m->count ? id : UINT64_MAX;
}

/* ---- reading ---- */

static tola_status read_tokens(maker *m, tola_error *err) {
    m->count = m->tokens->as.array.count;
    if (m->count == 0 || m->count > SENTENCEPIECE_MAX_PIECES)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tokenizer.ggml.tokens has %zu tokens, expected 1 to %u",
                       m->count, SENTENCEPIECE_MAX_PIECES);
    m->types = key(m, "tokenizer.ggml.token_type");
    m->scores = key(m, "tokenizer.ggml.scores");
    m->text = build_alloc(m->b, m->count, sizeof *m->text);
    m->type = build_alloc(m->b, m->count, sizeof *m->type);
    if (m->b->failed || !token_table_init(&m->ids, m->count)) return err_nomem(err, "the vocabulary");
    for (size_t i = 0; i < m->count; i++) {
        tola_value token = tola_value_at(m->tokens, i);
        if (token.kind != TOLA_VALUE_STRING)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tokenizer.ggml.tokens: token %zu is no string", i);
        tola_value type = m->types != NULL ? tola_value_at(m->types, i) : (tola_value){ 0 };
        uint64_t number = tola_value_u64(&type, PIECE_NORMAL);
        m->text[i] = token.as.string;
        m->type[i] = number >= PIECE_NORMAL && number <= PIECE_BYTE ? (uint8_t)number : PIECE_NORMAL;
    }
    return TOLA_OK;
}

/* The stored tokenizer.json has the texts of added tokens as they were. */
static void restore_added(maker *m) {
    const tola_value *list = tola_value_get(&m->skeleton, "added_tokens");
    for (size_t i = 0; list != NULL && list->kind == TOLA_VALUE_ARRAY && i < list->as.array.count; i++) {
        tola_value t = tola_value_at(list, i);
        uint64_t id = tola_value_u64(tola_value_get(&t, "id"), UINT64_MAX);
        const tola_value *content = tola_value_get(&t, "content");
        if (id < m->count && content != NULL && content->kind == TOLA_VALUE_STRING) m->text[id] = content->as.string;
    }
}

static bool is_added(const maker *m, size_t id) {
    return m->type[id] == PIECE_CONTROL || m->type[id] == PIECE_USER_DEFINED ||
           (m->type[id] == PIECE_UNKNOWN && m->sentencepiece);
}

/* Added tokens get their ids by position, from the end of the vocabulary on: as long as none is missing there, they
 * stay out of it. */
static void find_vocab_end(maker *m) {
    uint64_t stored = tola_value_u64(key(m, "tola.tokenizer.vocab"), 0);
    if (m->skeleton.kind == TOLA_VALUE_MAP && stored != 0 && stored <= m->count) {
        m->vocab_end = (size_t)stored;
        return;
    }
    size_t end = 0, last = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (!is_added(m, i) && m->type[i] != PIECE_UNUSED) end = i + 1;
        if (is_added(m, i)) last = i + 1;
    }
    for (size_t i = end; i < last; i++)
        if (!is_added(m, i)) end = last;
    m->vocab_end = end;
}

/* ---- merges from scores ---- */

typedef struct merge {
    float score;
    uint32_t id, left, right; /* tokens */
    uint32_t left_chars, right_chars, split;
} merge;

/* Highest score first, then longer parts first, then as the tokens come: the order in which transformers'
 * convert_slow_tokenizer lists merges. */
static int by_priority(const void *pa, const void *pb) {
    const merge *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->left_chars != b->left_chars) return a->left_chars > b->left_chars ? -1 : 1;
    if (a->right_chars != b->right_chars) return a->right_chars > b->right_chars ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    if (a->left != b->left) return a->left > b->left ? -1 : 1;
    return a->right > b->right ? -1 : a->right < b->right;
}

static bool splits_of(maker *m, size_t id, merge **list, size_t *count, size_t *cap) {
    tola_string t = m->text[id];
    uint32_t chars = 0, before = 0;
    tola_value score = m->scores != NULL ? tola_value_at(m->scores, id) : (tola_value){ 0 };
    if (t.length > MAX_SPLIT_BYTES) return true;
    for (size_t i = 0; i < t.length; i++) chars += (t.data[i] & 0xc0) != 0x80;
    for (size_t i = 1; i < t.length; i++) {
        before += (t.data[i - 1] & 0xc0) != 0x80;
        if ((t.data[i] & 0xc0) == 0x80) continue;
        uint32_t left = token_table_find(&m->ids, t.data, i);
        uint32_t right = left != UINT32_MAX ? token_table_find(&m->ids, t.data + i, t.length - i) : UINT32_MAX;
        if (right == UINT32_MAX) continue;
        if (!mem_grow(list, cap, *count + 1, sizeof **list)) return false;
        (*list)[(*count)++] = (merge){ (float)tola_value_f64(&score, 0), (uint32_t)id, left, right, before,
                                       chars - before, (uint32_t)i };
    }
    return true;
}

/* NaN would leave the order undefined. */
static void put_merges_from_scores(maker *m) {
    merge *list = NULL;
    size_t count = 0, cap = 0;
    for (size_t id = 0; id < m->vocab_end && !m->b->failed; id++)
        if ((m->type[id] == PIECE_NORMAL || m->type[id] == PIECE_USER_DEFINED) &&
            !splits_of(m, id, &list, &count, &cap))
            m->b->failed = true;
    for (size_t i = 0; i < count; i++)
        if (list[i].score != list[i].score) list[i].score = 0;
    if (count > 0) qsort(list, count, sizeof *list, by_priority);
    for (size_t i = 0; i < count; i++) {
        tola_string t = m->text[list[i].id];
        tola_json_begin_array(&m->j.json);
        tola_json_string_n(&m->j.json, t.data, list[i].split);
        tola_json_string_n(&m->j.json, t.data + list[i].split, t.length - list[i].split);
        tola_json_end_array(&m->j.json);
    }
    mem_free(list);
}

/* ---- tokenizer.json ---- */

static void put_vocab(maker *m) {
    tola_json *j = &m->j.json;
    tola_json_key(j, "vocab");
    tola_json_begin_object(j);
    for (size_t i = 0; i < m->vocab_end; i++) {
        if (token_table_find(&m->ids, m->text[i].data, m->text[i].length) != i) continue; /* a text only once */
        tola_json_key_n(j, m->text[i].data, m->text[i].length);
        tola_json_u64(j, i);
    }
    tola_json_end_object(j);
    tola_json_key(j, "merges");
    tola_json_begin_array(j);
    const tola_value *list = key(m, m->sentencepiece ? "tola.tokenizer.merges" : "tokenizer.ggml.merges");
    if (list == NULL || list->kind != TOLA_VALUE_ARRAY) {
        if (m->sentencepiece) put_merges_from_scores(m);
    } else {
        for (size_t i = 0; i < list->as.array.count; i++) {
            tola_value line = tola_value_at(list, i);
            if (line.kind == TOLA_VALUE_STRING) tola_json_string_n(j, line.as.string.data, line.as.string.length);
        }
    }
    tola_json_end_array(j);
}

/* Text that is JSON already, at the place of a value. */
static void put_json_text(maker *m, const char *text, size_t length) {
    tola_value v = build_parse(m->b, text, length);
    tola_json_value(&m->j.json, &v);
}

static void put_text(maker *m, const char *name, const char *json) {
    tola_json_key(&m->j.json, name);
    put_json_text(m, json, strlen(json));
}

/* llama.cpp lets Phi-3's special tokens, but these, swallow the white space behind them. */
static bool strips_right(const maker *m, size_t id) {
    static const char *const plain[] = { "<unk>", "<s>", "<|endoftext|>" };
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (m->text[id].length == strlen(plain[i]) && memcmp(m->text[id].data, plain[i], m->text[id].length) == 0)
            return false;
    return m->type[id] == PIECE_CONTROL;
}

static void put_added(maker *m) {
    tola_json *j = &m->j.json;
    tola_json_key(j, "added_tokens");
    tola_json_begin_array(j);
    for (size_t i = 0; i < m->count; i++) {
        if (!is_added(m, i)) continue;
        tola_json_begin_object(j);
        tola_json_key(j, "id");
        tola_json_u64(j, i);
        tola_json_key(j, "content");
        tola_json_string_n(j, m->text[i].data, m->text[i].length);
        put_text(m, "single_word", "false");
        put_text(m, "lstrip", "false");
        put_text(m, "rstrip", m->strips && strips_right(m, i) ? "true" : "false");
        put_text(m, "normalized", "false");
        tola_json_key(j, "special");
        tola_json_bool(j, m->type[i] != PIECE_USER_DEFINED);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
}

static void put_template_part(maker *m, const char *kind, const char *id, size_t length, int type) {
    tola_json *j = &m->j.json;
    tola_json_begin_object(j);
    tola_json_key(j, kind);
    tola_json_begin_object(j);
    tola_json_key(j, "id");
    tola_json_string_n(j, id, length);
    tola_json_key(j, "type_id");
    tola_json_u64(j, (uint64_t)type);
    tola_json_end_object(j);
    tola_json_end_object(j);
}

static void put_template_side(maker *m, const char *sequence, int type) {
    if (m->add_bos) put_template_part(m, "SpecialToken", m->text[m->bos].data, m->text[m->bos].length, type);
    put_template_part(m, "Sequence", sequence, 1, type);
    if (m->add_eos) put_template_part(m, "SpecialToken", m->text[m->eos].data, m->text[m->eos].length, type);
}

static void put_template_token(maker *m, uint64_t id) {
    tola_json *j = &m->j.json;
    tola_string t = m->text[id];
    tola_json_key_n(j, t.data, t.length);
    tola_json_begin_object(j);
    tola_json_key(j, "id");
    tola_json_string_n(j, t.data, t.length);
    tola_json_key(j, "ids");
    tola_json_begin_array(j);
    tola_json_u64(j, id);
    tola_json_end_array(j);
    tola_json_key(j, "tokens");
    tola_json_begin_array(j);
    tola_json_string_n(j, t.data, t.length);
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static void put_post_processor(maker *m) {
    tola_json *j = &m->j.json;
    if (!m->add_bos && !m->add_eos) {
        put_text(m, "post_processor",
                 m->sentencepiece
                     ? "null"
                     : "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":false,\"use_regex\":true}");
        return;
    }
    tola_json_key(j, "post_processor");
    tola_json_begin_object(j);
    tola_json_key(j, "type");
    tola_json_string(j, "TemplateProcessing");
    tola_json_key(j, "single");
    tola_json_begin_array(j);
    put_template_side(m, "A", 0);
    tola_json_end_array(j);
    tola_json_key(j, "pair");
    tola_json_begin_array(j);
    put_template_side(m, "A", 0);
    put_template_side(m, "B", 1);
    tola_json_end_array(j);
    tola_json_key(j, "special_tokens");
    tola_json_begin_object(j);
    if (m->add_bos) put_template_token(m, m->bos);
    if (m->add_eos && !(m->add_bos && m->eos == m->bos)) put_template_token(m, m->eos);
    tola_json_end_object(j);
    tola_json_end_object(j);
}

#define BLOCK "\xe2\x96\x81" /* U+2581 */

static void put_spm_rules(maker *m) {
    put_text(m, "normalizer",
             m->space_prefix ? "{\"type\":\"Sequence\",\"normalizers\":["
                               "{\"type\":\"Prepend\",\"prepend\":\"" BLOCK "\"},"
                               "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" BLOCK "\"}]}"
                             : "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" BLOCK "\"}");
    put_text(m, "pre_tokenizer", "null");
    put_text(m, "decoder",
             m->space_prefix
                 ? "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"" BLOCK
                   "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
                   "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"
                 : "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"" BLOCK
                   "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}");
}

static void put_bpe_rules(maker *m, bool *ignore_merges) {
    const char *pre = tola_value_str(key(m, "tokenizer.ggml.pre"), "gpt-2");
    const char *normalizer = NULL;
    buf rules;
    buf_init(&rules, 1u << 16);
    if (!pre_to_tokenizer(pre, &rules, &normalizer, ignore_merges)) {
        build_warn(m->b, "tokenizer.ggml.pre '%.60s' is not known; GPT-2's rules are written, so some texts may "
                         "tokenize differently", pre);
        if (!pre_to_tokenizer("gpt-2", &rules, &normalizer, ignore_merges)) m->b->failed = true;
    }
    put_text(m, "normalizer", normalizer != NULL ? normalizer : "null");
    if (rules.failed) m->b->failed = true;
    tola_json_key(&m->j.json, "pre_tokenizer");
    put_json_text(m, (const char *)rules.data, rules.length);
    put_text(m, "decoder",
             "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}");
    buf_free(&rules);
}

static void put_model(maker *m, bool ignore_merges) {
    tola_json *j = &m->j.json;
    bool bytes = false;
    for (size_t i = 0; i < m->count && !bytes; i++) bytes = m->type[i] == PIECE_BYTE;
    tola_json_key(j, "model");
    tola_json_begin_object(j);
    put_text(m, "type", "\"BPE\"");
    put_text(m, "dropout", "null");
    tola_json_key(j, "unk_token");
    if (m->sentencepiece && m->unk != UINT64_MAX)
        tola_json_string_n(j, m->text[m->unk].data, m->text[m->unk].length);
    else
        tola_json_null(j);
    put_text(m, "continuing_subword_prefix", "null");
    put_text(m, "end_of_word_suffix", "null");
    put_text(m, "fuse_unk", m->sentencepiece ? "true" : "false");
    put_text(m, "byte_fallback", bytes ? "true" : "false");
    put_text(m, "ignore_merges", ignore_merges ? "true" : "false");
    put_vocab(m);
    tola_json_end_object(j);
}

static void put_made(maker *m) {
    bool ignore_merges = false;
    tola_json_begin_object(&m->j.json);
    put_text(m, "version", "\"1.0\"");
    put_text(m, "truncation", "null");
    put_text(m, "padding", "null");
    put_added(m);
    if (m->sentencepiece)
        put_spm_rules(m);
    else
        put_bpe_rules(m, &ignore_merges);
    put_post_processor(m);
    put_model(m, ignore_merges);
    tola_json_end_object(&m->j.json);
}

static void put_stored(maker *m) {
    tola_json *j = &m->j.json;
    tola_json_begin_object(j);
    for (size_t i = 0; i < m->skeleton.as.map.count; i++) {
        const tola_member *member = &m->skeleton.as.map.members[i];
        tola_json_key_n(j, member->key.data, member->key.length);
        if (strcmp(member->key.data, "model") != 0 || member->value.kind != TOLA_VALUE_MAP) {
            tola_json_value(j, &member->value);
            continue;
        }
        tola_json_begin_object(j);
        for (size_t k = 0; k < member->value.as.map.count; k++) {
            const tola_member *inner = &member->value.as.map.members[k];
            tola_json_key_n(j, inner->key.data, inner->key.length);
            tola_json_value(j, &inner->value);
        }
        put_vocab(m);
        tola_json_end_object(j);
    }
    tola_json_end_object(j);
}

static tola_status end_file(maker *m, const char *name, tola_error *err) {
    tola_status status = build_json_end(&m->j, name, err);
    if (status == TOLA_OK) build_companion(m->b, name, m->j.text.data, m->j.text.length);
    build_json_free(&m->j);
    return status;
}

/* ---- the other files ---- */

static void put_token_text(maker *m, const char *name, uint64_t id) {
    if (id == UINT64_MAX) return;
    tola_json_key(&m->j.json, name);
    tola_json_string_n(&m->j.json, m->text[id].data, m->text[id].length);
}

/* One template as text, several as a list of names and texts. */
static void put_chat_template(maker *m) {
    static const char prefix[] = "tokenizer.chat_template.";
    tola_json *j = &m->j.json;
    const tola_value *main = key(m, "tokenizer.chat_template");
    size_t named = 0;
    for (size_t i = 0; i < m->metadata->as.map.count; i++)
        named += strncmp(m->metadata->as.map.members[i].key.data, prefix, sizeof prefix - 1) == 0;
    if (main == NULL && named == 0) return;
    tola_json_key(j, "chat_template");
    if (named == 0) {
        tola_json_value(j, main);
        return;
    }
    tola_json_begin_array(j);
    for (size_t i = 0; i < m->metadata->as.map.count; i++) {
        const tola_member *member = &m->metadata->as.map.members[i];
        bool is_main = strcmp(member->key.data, "tokenizer.chat_template") == 0;
        if (!is_main && strncmp(member->key.data, prefix, sizeof prefix - 1) != 0) continue;
        tola_json_begin_object(j);
        tola_json_key(j, "name");
        tola_json_string(j, is_main ? "default" : member->key.data + sizeof prefix - 1);
        tola_json_key(j, "template");
        tola_json_value(j, &member->value);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
}

static tola_status write_config(maker *m, tola_error *err) {
    tola_value stored = stored_json(m, "tola.tokenizer_config.json");
    tola_json *j = &m->j.json;
    build_json_begin(&m->j, 2);
    tola_json_begin_object(j);
    for (size_t i = 0; stored.kind == TOLA_VALUE_MAP && i < stored.as.map.count; i++) {
        const tola_member *member = &stored.as.map.members[i];
        bool later = strcmp(member->key.data, "tokenizer_class") == 0 || strcmp(member->key.data, "chat_template") == 0;
        if (later) continue;
        tola_json_key_n(j, member->key.data, member->key.length);
        tola_json_value(j, &member->value);
    }
    if (stored.kind != TOLA_VALUE_MAP) {
        put_token_text(m, "bos_token", m->bos);
        put_token_text(m, "eos_token", m->eos);
        put_token_text(m, "unk_token", m->unk);
        put_token_text(m, "pad_token", m->pad);
        tola_json_key(j, "add_bos_token");
        tola_json_bool(j, m->add_bos);
        tola_json_key(j, "add_eos_token");
        tola_json_bool(j, m->add_eos);
        tola_json_key(j, "clean_up_tokenization_spaces");
        tola_json_bool(j, false);
    }
    /* A family's own class may read vocab.json or tokenizer.model, which are not written. */
    const char *class_name = m->skeleton.kind == TOLA_VALUE_MAP
                                 ? tola_value_str(tola_value_get(&stored, "tokenizer_class"), NULL)
                                 : NULL;
    tola_json_key(j, "tokenizer_class");
    tola_json_string(j, class_name != NULL ? class_name : "PreTrainedTokenizerFast");
    put_chat_template(m);
    tola_json_end_object(j);
    return end_file(m, "tokenizer_config.json", err);
}

static tola_status write_generation(maker *m, tola_error *err) {
    tola_value stored = stored_json(m, "tola.generation_config.json");
    tola_json *j = &m->j.json;
    build_json_begin(&m->j, 2);
    if (stored.kind == TOLA_VALUE_MAP) {
        tola_json_value(j, &stored);
        return end_file(m, "generation_config.json", err);
    }
    const struct {
        const char *name;
        uint64_t id;
    } ids[] = { { "bos_token_id", m->bos }, { "eos_token_id", m->eos }, { "pad_token_id", m->pad } };
    tola_json_begin_object(j);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (ids[i].id == UINT64_MAX) continue;
        tola_json_key(j, ids[i].name);
        tola_json_u64(j, ids[i].id);
    }
    tola_json_end_object(j);
    return end_file(m, "generation_config.json", err);
}

static tola_status write_special(maker *m, tola_error *err) {
    tola_value stored = stored_json(m, "tola.special_tokens_map.json");
    if (stored.kind != TOLA_VALUE_MAP) return TOLA_OK;
    build_json_begin(&m->j, 2);
    tola_json_value(&m->j.json, &stored);
    return end_file(m, "special_tokens_map.json", err);
}

static void read_settings(maker *m) {
    m->bos = special(m, "tokenizer.ggml.bos_token_id");
    m->eos = special(m, "tokenizer.ggml.eos_token_id");
    m->unk = special(m, "tokenizer.ggml.unknown_token_id");
    m->pad = special(m, "tokenizer.ggml.padding_token_id");
    /* Defaults are llama.cpp's. */
    const char *pre = tola_value_str(key(m, "tokenizer.ggml.pre"), "");
    bool bos = m->sentencepiece || strncmp(pre, "llama", 5) == 0 || strcmp(pre, "tekken") == 0;
    m->add_bos = tola_value_bool(key(m, "tokenizer.ggml.add_bos_token"), bos) && m->bos != UINT64_MAX;
    m->add_eos = tola_value_bool(key(m, "tokenizer.ggml.add_eos_token"), false) && m->eos != UINT64_MAX;
    const char *name = tola_value_str(key(m, "general.name"), "");
    m->strips = strcasestr(name, "phi-3") != NULL || strcasestr(name, "phi3") != NULL;
    m->space_prefix = tola_value_bool(key(m, "tokenizer.ggml.add_space_prefix"), true);
}

static tola_status make(maker *m, tola_error *err) {
    TRY(read_tokens(m, err));
    read_settings(m);
    m->skeleton = stored_json(m, "tola.tokenizer.json");
    restore_added(m);
    for (size_t i = 0; i < m->count; i++) token_table_add(&m->ids, m->text[i].data, m->text[i].length, (uint32_t)i);
    find_vocab_end(m);
    build_json_begin(&m->j, 0);
    if (m->skeleton.kind == TOLA_VALUE_MAP)
        put_stored(m);
    else
        put_made(m);
    TRY(end_file(m, "tokenizer.json", err));
    TRY(write_config(m, err));
    TRY(write_special(m, err));
    return write_generation(m, err);
}

tola_status tokenizer_to_hf(builder *b, tola_error *err) {
    maker m = { .b = b, .metadata = tola_checkpoint_metadata(b->ck) };
    const char *model = tola_value_str(key(&m, "tokenizer.ggml.model"), "none");
    m.tokens = key(&m, "tokenizer.ggml.tokens");
    m.sentencepiece = strcmp(model, "llama") == 0;
    if ((!m.sentencepiece && strcmp(model, "gpt2") != 0) || m.tokens == NULL || m.tokens->kind != TOLA_VALUE_ARRAY) {
        build_warn(b, "the tokenizer (%.40s) is not written: only byte-level and SentencePiece-style BPE are", model);
        return TOLA_OK;
    }
    tola_status status = make(&m, err);
    token_table_free(&m.ids);
    return status;
}
