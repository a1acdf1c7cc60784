/* Which tokens mark the beginning and the end: what GGUF's metadata, the files of a folder and the tokens' own names
 * say. */
#include "text/tokenizer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void tk_set_special(tola_tokenizer *t, tola_special which, uint64_t id) {
    if (id < t->count && !(t->tokens[id].flags & TOLA_TOKEN_UNUSED)) t->specials[which] = (uint32_t)id;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

tola_status tk_add_end(tola_tokenizer *t, uint64_t id, tola_error *err) {
    if (id >= t->count || (t->tokens[id].flags & TOLA_TOKEN_UNUSED)) return TOLA_OK;
    for (size_t i = 0; i < t->ends.count; i++)
        if (t->ends.ids[i] == id) return TOLA_OK;
    if (!tk_put(&t->ends, (uint32_t)id)) return err_nomem(err, "reading the tokenizer");
    qsort(t->ends.ids, t->ends.count, sizeof *t->ends.ids, ascending);
    return TOLA_OK;
}

/* ---- tokenizer_config.json, special_tokens_map.json, config.json, generation_config.json ---- */

static const struct {
    const char *name, *id; /* members that hold a spelling, an id */
} members[TOLA_SPECIAL_COUNT] = {
    [TOLA_SPECIAL_BOS] = { "bos_token", "bos_token_id" }, [TOLA_SPECIAL_EOS] = { "eos_token", "eos_token_id" },
    [TOLA_SPECIAL_EOT] = { "eot_token", "eot_token_id" }, [TOLA_SPECIAL_PAD] = { "pad_token", "pad_token_id" },
    [TOLA_SPECIAL_UNK] = { "unk_token", "unk_token_id" }, [TOLA_SPECIAL_SEP] = { "sep_token", "sep_token_id" },
    [TOLA_SPECIAL_CLS] = { "cls_token", "cls_token_id" }, [TOLA_SPECIAL_MASK] = { "mask_token", "mask_token_id" },
};

/* "text", or {"content": "text", ...} */
static uint32_t find_spelled(const tola_tokenizer *t, const tola_value *v) {
    if (v && v->kind == TOLA_VALUE_MAP) v = tola_value_get(v, "content");
    if (!v || v->kind != TOLA_VALUE_STRING) return TOLA_NO_TOKEN;
    return tola_token_find(t, v->as.string.data, v->as.string.length);
}

/* Ids that models name beyond the vocabulary are passed over: small test models have such. */
tola_status tk_use_config(tola_tokenizer *t, const tola_value *config, tola_error *err) {
    for (unsigned k = 0; k < TOLA_SPECIAL_COUNT; k++) {
        const tola_value *ids = tola_value_get(config, members[k].id);
        uint32_t named = find_spelled(t, tola_value_get(config, members[k].name));
        if (named != TOLA_NO_TOKEN) tk_set_special(t, (tola_special)k, named);
        if (!ids) continue;
        size_t count = ids->kind == TOLA_VALUE_ARRAY ? ids->as.array.count : 1;
        for (size_t i = 0; i < count && i < 1000; i++) {
            tola_value one = ids->kind == TOLA_VALUE_ARRAY ? tola_value_at(ids, i) : *ids;
            uint64_t id = tola_value_u64(&one, UINT64_MAX);
            if (t->specials[k] == TOLA_NO_TOKEN) tk_set_special(t, (tola_special)k, id);
            if (k == TOLA_SPECIAL_EOS) TRY(tk_add_end(t, id, err));
        }
    }
    return TOLA_OK;
}

/* ---- GGUF ---- */

tola_status tk_use_gguf_ids(tola_tokenizer *t, const tola_value *metadata, tola_error *err) {
    static const struct {
        const char *key;
        tola_special which;
    } keys[] = {
        { "tokenizer.ggml.bos_token_id", TOLA_SPECIAL_BOS },
        { "tokenizer.ggml.eos_token_id", TOLA_SPECIAL_EOS },
        { "tokenizer.ggml.eot_token_id", TOLA_SPECIAL_EOT },
        { "tokenizer.ggml.eom_token_id", TOLA_SPECIAL_COUNT },
        { "tokenizer.ggml.padding_token_id", TOLA_SPECIAL_PAD },
        { "tokenizer.ggml.unknown_token_id", TOLA_SPECIAL_UNK },
        { "tokenizer.ggml.seperator_token_id", TOLA_SPECIAL_SEP }, /* spelled so */
        { "tokenizer.ggml.cls_token_id", TOLA_SPECIAL_CLS },
        { "tokenizer.ggml.mask_token_id", TOLA_SPECIAL_MASK },
    };
    static const char *const flags[] = { "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token" };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const tola_value *flag = tola_value_get(metadata, flags[i]);
        if (flag && flag->kind != TOLA_VALUE_BOOL)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is neither true nor false", flags[i]);
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const tola_value *v = tola_value_get(metadata, keys[i].key);
        const bool none = v && v->kind == TOLA_VALUE_INT && v->as.i64 == -1; /* 0xffffffff with a sign */
        if (v && !none && v->kind != TOLA_VALUE_UINT && (v->kind != TOLA_VALUE_INT || v->as.i64 < 0))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is no id of a token", keys[i].key);
        uint64_t id = tola_value_u64(v, UINT32_MAX);
        if (id == UINT32_MAX) continue; /* none */
        if (id >= t->count)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is %" PRIu64 ", beyond the %" PRIu32 " tokens",
                           keys[i].key, id, t->count);
        if (keys[i].which < TOLA_SPECIAL_COUNT)
            tk_set_special(t, keys[i].which, id);
        else
            TRY(tk_add_end(t, id, err));
    }
    return TOLA_OK;
}

/* ---- names ---- */

/* Ends of turns and texts as the published models spell them; the former first. */
static const struct {
    const char *text;
    bool turn;
} end_names[] = {
    { "<|eot_id|>", true },
    { "<|im_end|>", true },
    { "<end_of_turn>", true },
    { "<turn|>", true },
    { "<|eot|>", true },
    { "<|return|>", true },
    { "<|end|>", true },
    { "<|end_of_turn|>", true },
    { "<end_of_utterance>", true },
    { "<|END_OF_TURN_TOKEN|>", true },
    { "<EOT>", true },
    { "[EOT]", true },
    { "<|eom_id|>", false },
    { "<|call|>", false },
    { "<|endoftext|>", false },
    { "<|end_of_text|>", false },
    { "<eos>", false },
    { "[EOS]", false },
    { "</s>", false },
    { "<\xef\xbd\x9c"
      "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
      false },
};

static uint32_t find_special(const tola_tokenizer *t, const char *name) {
    uint32_t id = tola_token_find(t, name, strlen(name));
    return id != TOLA_NO_TOKEN && (t->tokens[id].flags & (TOLA_TOKEN_SPECIAL | TOLA_TOKEN_ADDED)) ? id : TOLA_NO_TOKEN;
}

tola_status tk_finish_specials(tola_tokenizer *t, tola_error *err) {
    /* Where a message ends with <|end|> and an answer with <|return|>, the former ends nothing (gpt-oss). */
    bool harmony = find_special(t, "<|return|>") != TOLA_NO_TOKEN && find_special(t, "<|call|>") != TOLA_NO_TOKEN;
    for (size_t i = 0; i < sizeof end_names / sizeof *end_names; i++) {
        uint32_t id = find_special(t, end_names[i].text);
        if (id == TOLA_NO_TOKEN || (harmony && strcmp(end_names[i].text, "<|end|>") == 0)) continue;
        if (end_names[i].turn && t->specials[TOLA_SPECIAL_EOT] == TOLA_NO_TOKEN) t->specials[TOLA_SPECIAL_EOT] = id;
        TRY(tk_add_end(t, id, err));
    }
    if (t->specials[TOLA_SPECIAL_UNK] == TOLA_NO_TOKEN) tk_set_special(t, TOLA_SPECIAL_UNK, t->model.unk);
    if (t->specials[TOLA_SPECIAL_EOT] == TOLA_NO_TOKEN) t->specials[TOLA_SPECIAL_EOT] = t->specials[TOLA_SPECIAL_EOS];
    if (t->specials[TOLA_SPECIAL_EOS] != TOLA_NO_TOKEN) TRY(tk_add_end(t, t->specials[TOLA_SPECIAL_EOS], err));
    if (t->specials[TOLA_SPECIAL_EOT] != TOLA_NO_TOKEN) TRY(tk_add_end(t, t->specials[TOLA_SPECIAL_EOT], err));
    return TOLA_OK;
}

uint32_t tola_tokenizer_special(const tola_tokenizer *t, tola_special which) {
    return (unsigned)which < TOLA_SPECIAL_COUNT ? t->specials[which] : TOLA_NO_TOKEN;
}

size_t tola_tokenizer_ends(const tola_tokenizer *t, const uint32_t **ids) {
    *ids = t->ends.ids;
    return t->ends.count;
}
