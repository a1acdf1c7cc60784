/* A learned tokenizer as the files that Hugging Face's libraries and our reader open
 * (https://huggingface.co/docs/tokenizers, https://huggingface.co/docs/transformers). */
#include <string.h>

#include "base/json.h"
#include "text/bpe_train_inside.h"
#include <tola/json.h>

static void write_added(tola_json *j, const bpe_train_options *o) {
    static const char *const no[] = { "single_word", "lstrip", "rstrip", "normalized" };
    tola_json_key(j, "added_tokens");
    tola_json_begin_array(j);
    for (size_t i = 0; i < o->special_count; i++) {
        tola_json_begin_object(j);
        tola_json_key(j, "id");
        tola_json_u64(j, i);
        tola_json_key(j, "content");
        tola_json_string(j, o->specials[i]);
        for (size_t k = 0; k < sizeof no / sizeof *no; k++) {
            tola_json_key(j, no[k]);
            tola_json_bool(j, false);
        }
        tola_json_key(j, "special");
        tola_json_bool(j, true);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
}

static void write_byte_level(tola_json *j, const char *key) {
    tola_json_key(j, key);
    tola_json_begin_object(j);
    tola_json_key(j, "type");
    tola_json_string(j, "ByteLevel");
    tola_json_key(j, "add_prefix_space");
    tola_json_bool(j, false);
    tola_json_key(j, "trim_offsets");
    tola_json_bool(j, true);
    tola_json_key(j, "use_regex");
    tola_json_bool(j, true);
    tola_json_end_object(j);
}

static void write_nulls(tola_json *j, const char *const *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        tola_json_key(j, keys[i]);
        tola_json_null(j);
    }
}

static void write_model(tola_json *j, const bpe_learned *l, bool ignore_merges) {
    static const char *const none[] = { "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix" };
    tola_json_key(j, "model");
    tola_json_begin_object(j);
    tola_json_key(j, "type");
    tola_json_string(j, "BPE");
    write_nulls(j, none, sizeof none / sizeof *none);
    tola_json_key(j, "fuse_unk");
    tola_json_bool(j, false);
    tola_json_key(j, "byte_fallback");
    tola_json_bool(j, false);
    tola_json_key(j, "ignore_merges");
    tola_json_bool(j, ignore_merges);
    tola_json_key(j, "vocab");
    tola_json_begin_object(j);
    for (size_t i = 0; i < l->count; i++) {
        tola_json_key_n(j, l->tokens[i].data, l->tokens[i].length);
        tola_json_u64(j, i);
    }
    tola_json_end_object(j);
    tola_json_key(j, "merges");
    tola_json_begin_array(j);
    for (size_t i = 0; i < l->merge_count; i++) {
        const tola_string *a = &l->tokens[l->merges[i].left], *b = &l->tokens[l->merges[i].right];
        tola_json_begin_array(j);
        tola_json_string_n(j, a->data, a->length);
        tola_json_string_n(j, b->data, b->length);
        tola_json_end_array(j);
    }
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static tola_status write_tokenizer(const bpe_learned *l, const bpe_train_options *o, const tola_value *words,
                                   bool ignore_merges, buf *out, tola_error *err) {
    static const char *const none[] = { "truncation", "padding" }, *const normalizer[] = { "normalizer" };
    tola_json j;
    tola_json_init(&j, json_to_buf, out, 1);
    tola_json_begin_object(&j);
    tola_json_key(&j, "version");
    tola_json_string(&j, "1.0");
    write_nulls(&j, none, 2);
    write_added(&j, o);
    write_nulls(&j, normalizer, 1);
    tola_json_key(&j, "pre_tokenizer");
    tola_json_value(&j, words);
    write_byte_level(&j, "post_processor");
    write_byte_level(&j, "decoder");
    write_model(&j, l, ignore_merges);
    tola_json_end_object(&j);
    return tola_json_finish(&j) ? TOLA_OK : err_nomem(err, "writing a tokenizer");
}

static tola_status write_config(const bpe_train_options *o, buf *out, tola_error *err) {
    static const char *const names[] = { "bos_token", "eos_token", "pad_token" };
    const char *const tokens[] = { o->begin, o->end, o->pad };
    tola_json j;
    tola_json_init(&j, json_to_buf, out, 2);
    tola_json_begin_object(&j);
    tola_json_key(&j, "tokenizer_class");
    tola_json_string(&j, "PreTrainedTokenizerFast");
    for (size_t i = 0; i < 3; i++) {
        if (!tokens[i]) continue;
        tola_json_key(&j, names[i]);
        tola_json_string(&j, tokens[i]);
    }
    tola_json_key(&j, "add_prefix_space");
    tola_json_bool(&j, false);
    tola_json_key(&j, "clean_up_tokenization_spaces");
    tola_json_bool(&j, false);
    if (o->context) {
        tola_json_key(&j, "model_max_length");
        tola_json_u64(&j, o->context);
    }
    tola_json_end_object(&j);
    return tola_json_finish(&j) ? TOLA_OK : err_nomem(err, "writing a tokenizer");
}

tola_status bpe_write(const bpe_learned *l, const bpe_train_options *o, buf *tokenizer, buf *config, tola_error *err) {
    buf text;
    arena a;
    tola_value words;
    const char *normalizer;
    bool ignore_merges;
    buf_init(&text, 0);
    arena_init(&a, 0);
    /* the words of families/: known under these names in GGUF, too */
    bool known =
        pre_to_tokenizer(o->words == BPE_WORDS_LLAMA3 ? "llama-bpe" : "gpt-2", &text, &normalizer, &ignore_merges);
    tola_status status = known && !text.failed ? TOLA_OK : err_nomem(err, "writing a tokenizer");
    if (status == TOLA_OK) status = json_parse((const char *)text.data, text.length, &a, &words, err);
    if (status == TOLA_OK) status = write_tokenizer(l, o, &words, ignore_merges, tokenizer, err);
    if (status == TOLA_OK) status = write_config(o, config, err);
    arena_free(&a);
    buf_free(&text);
    return status;
}
