/* Reading the small files beside the weights, and GGUF's key-values, for what a person wants to know first. */
#define _GNU_SOURCE 1
#include "insight/describe.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "insight/companion.h"

char *describe_text(arena *a, const char *pattern, ...) {
    char text[1024];
    va_list args;
    va_start(args, pattern);
    int n = vsnprintf(text, sizeof text, pattern, args);
    va_end(args);
    if (n < 0) n = 0;
    return arena_strndup(a, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

static const char *member_text(const tola_value *map, const char *key) {
    const char *text = tola_value_str(tola_value_get(map, key), NULL);
    return text && *text ? text : NULL;
}

const char *describe_file_type(uint64_t file_type) {
    static const char *const names[] = {
        [2] = "Q4_0", [3] = "Q4_1", [7] = "Q8_0", [8] = "Q5_0", [9] = "Q5_1", [10] = "Q2_K", [11] = "Q3_K - Small",
        [12] = "Q3_K - Medium", [13] = "Q3_K - Large", [14] = "Q4_K - Small", [15] = "Q4_K - Medium",
        [16] = "Q5_K - Small", [17] = "Q5_K - Medium", [18] = "Q6_K", [19] = "IQ2_XXS", [20] = "IQ2_XS",
        [21] = "Q2_K - Small", [22] = "IQ3_XS", [23] = "IQ3_XXS", [24] = "IQ1_S", [25] = "IQ4_NL", [26] = "IQ3_S",
        [27] = "IQ3_M", [28] = "IQ2_S", [29] = "IQ2_M", [30] = "IQ4_XS", [31] = "IQ1_M", [36] = "TQ1_0",
        [37] = "TQ2_0", [38] = "MXFP4 experts", [39] = "NVFP4", [40] = "Q1_0",
    };
    return file_type < sizeof names / sizeof *names ? names[file_type] : NULL;
}

/* ---- tokenizer ---- */

/* Beyond this a tokenizer.json is only looked into, not counted: inspect has to answer at once. */
#define TOKENIZER_WHOLE (4u << 20)

typedef struct tokenizer_facts {
    char type[32];   /* "BPE", "Unigram", "WordPiece", "WordLevel" */
    uint64_t tokens; /* 0 = not counted */
} tokenizer_facts;

/* Counts the members of the object or array that starts at the next token. */
static uint64_t count_members(json_reader *r) {
    uint64_t n = 0;
    json_token open = json_next(r);
    if (open == JSON_BEGIN_OBJECT) {
        for (json_token t = json_next(r); t == JSON_KEY; t = json_next(r), n++)
            if (!json_skip(r)) return 0;
    } else if (open == JSON_BEGIN_ARRAY) {
        int depth = r->depth;
        for (json_token t = json_next(r); t != JSON_ERROR && t != JSON_END && r->depth >= depth; t = json_next(r)) {
            bool item = r->depth == depth + (t == JSON_BEGIN_ARRAY || t == JSON_BEGIN_OBJECT);
            if (item && t != JSON_END_ARRAY && t != JSON_END_OBJECT) n++;
        }
    }
    return n;
}

/* "model": {"type": "BPE", "vocab": {...}, ...}: the type comes first in what the tokenizers library writes. */
static void read_tokenizer_model(json_reader *r, bool whole, tokenizer_facts *out) {
    if (json_next(r) != JSON_BEGIN_OBJECT) return;
    bool merges = false;
    for (json_token t = json_next(r); t == JSON_KEY; t = json_next(r)) {
        if (json_text_is(r, "type")) {
            if (json_next(r) != JSON_STRING) return;
            text_quote(out->type, sizeof out->type, r->text, r->text_length);
            if (!whole) return;
        } else if (json_text_is(r, "vocab") && whole) {
            out->tokens = count_members(r);
        } else {
            if (json_text_is(r, "merges")) merges = true;
            if (!json_skip(r)) return;
        }
    }
    if (!out->type[0] && merges) strcpy(out->type, "BPE"); /* files from before the type was written */
}

/* `data` is all of tokenizer.json, or its beginning where not `whole`. */
static void read_tokenizer_json(const char *data, size_t bytes, bool whole, tokenizer_facts *out) {
    json_reader r;
    json_reader_init(&r, data, bytes, 0);
    if (companion_find(&r, "model")) read_tokenizer_model(&r, whole, out);
    json_reader_free(&r);
}

static uint64_t count_lines(const char *data, size_t bytes) {
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += data[i] == '\n';
    return n + (bytes && data[bytes - 1] != '\n');
}

/* What the files of a folder say, surest first. */
static void tokenizer_from_files(const companions *c, tokenizer_facts *out) {
    companion file;
    if (companion_read(c, "tokenizer.json", TOKENIZER_WHOLE, &file)) {
        read_tokenizer_json(file.data, file.bytes, file.whole, out);
        companion_free(&file);
        if (out->type[0]) return;
    }
    if (c->remote) return; /* each further guess would be a round trip */
    if (companion_read(c, "tokenizer.model", 16, &file)) {
        strcpy(out->type, "SentencePiece");
        companion_free(&file);
    } else if (companion_read(c, "merges.txt", 16, &file)) {
        strcpy(out->type, "BPE");
        companion_free(&file);
        if (!companion_read(c, "vocab.json", TOKENIZER_WHOLE, &file)) return;
        json_reader r;
        json_reader_init(&r, file.data, file.bytes, 0);
        out->tokens = count_members(&r);
        json_reader_free(&r);
        companion_free(&file);
    } else if (companion_read(c, "vocab.txt", TOKENIZER_WHOLE, &file)) {
        strcpy(out->type, "WordPiece");
        if (file.whole) out->tokens = count_lines(file.data, file.bytes);
        companion_free(&file);
    } else if (companion_read(c, "tekken.json", 16, &file)) {
        strcpy(out->type, "Tekken");
        companion_free(&file);
    }
}

/* tokenizer.ggml.model in the words of the tokenizers library. */
static const char *gguf_tokenizer(const char *model) {
    static const char *const pairs[][2] = { { "llama", "SentencePiece" }, { "gpt2", "BPE" },  { "bert", "WordPiece" },
                                            { "t5", "Unigram" },          { "rwkv", "RWKV" }, { "plamo2", "PLaMo-2" } };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strcmp(model, pairs[i][0]) == 0) return pairs[i][1];
    return model;
}

static void describe_tokenizer_gguf(const tola_value *metadata, arena *a, tola_summary *s) {
    const char *model = member_text(metadata, "tokenizer.ggml.model");
    const tola_value *tokens = tola_value_get(metadata, "tokenizer.ggml.tokens");
    const char *pre = member_text(metadata, "tokenizer.ggml.pre");
    s->chat_template = member_text(metadata, "tokenizer.chat_template") != NULL;
    if (!model || strcmp(model, "none") == 0 || strcmp(model, "no_vocab") == 0) return;
    uint64_t count = tokens && tokens->kind == TOLA_VALUE_ARRAY ? tokens->as.array.count : 0;
    bool named = pre && strcmp(pre, "default") != 0;
    s->tokenizer = describe_text(a, "%s, %" PRIu64 " tokens%s%.200s%s", gguf_tokenizer(model), count,
                                 named ? " (" : "", named ? pre : "", named ? ")" : "");
}

/* tokenizer_config.json names a class and often holds the chat template; both names are written by transformers. */
static void describe_tokenizer_files(const companions *c, arena *a, tola_summary *s) {
    tokenizer_facts facts = { { 0 }, 0 };
    char class_name[96] = "";
    companion file;
    tola_value tree;
    if (companion_json(c, "tokenizer_config.json", a, &tree)) {
        const char *name = member_text(&tree, "tokenizer_class");
        if (name) text_quote(class_name, sizeof class_name, name, strlen(name));
        const tola_value *template = tola_value_get(&tree, "chat_template");
        s->chat_template = template && template->kind != TOLA_VALUE_NULL;
    }
    static const char *const templates[] = { "chat_template.jinja", "chat_template.json" };
    for (size_t i = 0; i < 2 && !s->chat_template && !c->remote; i++) {
        s->chat_template = companion_read(c, templates[i], 16, &file);
        if (s->chat_template) companion_free(&file);
    }
    tokenizer_from_files(c, &facts);
    const char *type = facts.type[0] ? facts.type : class_name;
    if (!*type) return;
    bool both = facts.type[0] && class_name[0];
    uint64_t tokens = facts.tokens ? facts.tokens : s->vocabulary;
    if (tokens)
        s->tokenizer = describe_text(a, "%s, %" PRIu64 " tokens%s%s%s", type, tokens, both ? " (" : "",
                                     both ? class_name : "", both ? ")" : "");
    else
        s->tokenizer = describe_text(a, "%s%s%s%s", type, both ? " (" : "", both ? class_name : "", both ? ")" : "");
}

/* ---- licence ---- */

/* "license: mit" between the two lines "---" that open a model card. */
static const char *licence_of_card(const char *text, size_t bytes, arena *a) {
    if (bytes < 4 || memcmp(text, "---", 3) != 0) return NULL;
    const char *end = text + bytes, *other = NULL;
    for (const char *line = memchr(text, '\n', bytes); line && ++line < end; line = memchr(line, '\n', (size_t)(end - line))) {
        size_t left = (size_t)(end - line);
        if (left >= 3 && memcmp(line, "---", 3) == 0) break;
        bool named = left > 13 && memcmp(line, "license_name:", 13) == 0;
        if (!named && !(left > 8 && memcmp(line, "license:", 8) == 0)) continue;
        const char *value = line + (named ? 13 : 8), *stop = memchr(value, '\n', (size_t)(end - value));
        if (!stop) stop = end;
        while (value < stop && (*value == ' ' || *value == '"' || *value == '\'')) value++;
        while (stop > value && strchr(" \r\"'", stop[-1])) stop--;
        if (stop == value) continue;
        char quoted[128];
        text_quote(quoted, sizeof quoted, value, (size_t)(stop - value));
        if (named) return arena_strndup(a, quoted, strlen(quoted));
        other = arena_strndup(a, quoted, strlen(quoted));
        if (strcmp(quoted, "other") != 0) return other;
    }
    return other;
}

/* The licences that begin with their own name. */
static const char *licence_of_text(const char *text, size_t bytes) {
    static const char *const known[][2] = {
        { "Apache License", "apache-2.0 (LICENSE)" },         { "MIT License", "mit (LICENSE)" },
        { "LLAMA 2 COMMUNITY", "llama2 (LICENSE)" },          { "META LLAMA 3 COMMUNITY", "llama3 (LICENSE)" },
        { "LLAMA 3.1 COMMUNITY", "llama3.1 (LICENSE)" },      { "LLAMA 3.2 COMMUNITY", "llama3.2 (LICENSE)" },
        { "LLAMA 3.3 COMMUNITY", "llama3.3 (LICENSE)" },      { "BSD 3-Clause", "bsd-3-clause (LICENSE)" },
        { "GNU GENERAL PUBLIC LICENSE", "gpl (LICENSE)" },    { "GNU AFFERO", "agpl-3.0 (LICENSE)" },
        { "Gemma Terms of Use", "gemma (LICENSE)" },          { "Mozilla Public License", "mpl-2.0 (LICENSE)" },
        { "Attribution-NonCommercial", "cc-by-nc (LICENSE)" } };
    size_t head = bytes < 600 ? bytes : 600;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (memmem(text, head, known[i][0], strlen(known[i][0]))) return known[i][1];
    return NULL;
}

static const char *licence_of_files(const companions *c, arena *a) {
    companion file;
    const char *licence = NULL;
    if (companion_read(c, "README.md", 64 << 10, &file)) {
        licence = licence_of_card(file.data, file.bytes, a);
        companion_free(&file);
    }
    static const char *const names[] = { "LICENSE", "LICENSE.txt", "LICENSE.md" };
    for (size_t i = 0; i < 3 && !licence && !c->remote; i++) {
        if (!companion_read(c, names[i], 4096, &file)) continue;
        licence = licence_of_text(file.data, file.bytes);
        companion_free(&file);
    }
    return licence;
}

static const char *licence_of(const tola_checkpoint *ck, const companions *c, arena *a) {
    static const char *const keys[] = { "general.license.name", "general.license", "license", "modelspec.license" };
    const tola_value *metadata = tola_checkpoint_metadata(ck);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = member_text(metadata, keys[i]);
        if (text) return text;
    }
    const char *text = licence_of_files(c, a);
    return text ? text : member_text(tola_checkpoint_config(ck), "license");
}

/* ---- adapter ---- */

static const char *adapter_of_config(const tola_value *config, arena *a) {
    const char *type = member_text(config, "peft_type"), *base = member_text(config, "base_model_name_or_path");
    if (!type) return NULL;
    char numbers[96] = "";
    uint64_t r = tola_value_u64(tola_value_get(config, "r"), 0);
    double alpha = tola_value_f64(tola_value_get(config, "lora_alpha"), -1);
    if (alpha < 0) alpha = tola_value_f64(tola_value_get(config, "alpha"), -1);
    if (r && alpha >= 0)
        snprintf(numbers, sizeof numbers, " r=%" PRIu64 " alpha=%g", r, alpha);
    else if (r)
        snprintf(numbers, sizeof numbers, " r=%" PRIu64, r);
    bool lora = strcmp(type, "LORA") == 0;
    const char *kind = !lora                                                          ? type
                       : tola_value_bool(tola_value_get(config, "use_dora"), false)   ? "DoRA"
                       : tola_value_bool(tola_value_get(config, "use_rslora"), false) ? "rsLoRA"
                                                                                      : "LoRA";
    return describe_text(a, "%.100s%s%s%.300s", kind, numbers, base ? " on " : "", base ? base : "");
}

static const char *adapter_of_gguf(const tola_value *metadata, arena *a) {
    const char *type = member_text(metadata, "general.type");
    if (!type || strcmp(type, "adapter") != 0) return NULL;
    const char *kind = member_text(metadata, "adapter.type");
    double alpha = tola_value_f64(tola_value_get(metadata, "adapter.lora.alpha"), -1);
    if (kind && strcmp(kind, "lora") == 0) kind = "LoRA";
    if (alpha >= 0) return describe_text(a, "%.100s alpha=%g", kind ? kind : "adapter", alpha);
    return describe_text(a, "%.100s", kind ? kind : "adapter");
}

/* No configuration: the inner extent of the first pair of factors is the rank. */
static const char *adapter_of_tensors(const tola_checkpoint *ck, arena *a) {
    size_t count = tola_checkpoint_tensor_count(ck), pairs = 0;
    uint64_t rank = 0;
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
        bool down = strstr(t->name, "lora_A") || strstr(t->name, "lora_down") || text_ends_with(t->name, ".lora_a");
        if (!down || t->n_dims < 2) continue;
        pairs++;
        if (!rank) rank = t->shape[0] < t->shape[1] ? t->shape[0] : t->shape[1];
    }
    return pairs ? describe_text(a, "LoRA r=%" PRIu64 " in %zu places", rank, pairs) : NULL;
}

static const char *adapter_of(const tola_checkpoint *ck, const companions *c, arena *a, bool tensors) {
    const char *text = adapter_of_config(tola_checkpoint_config(ck), a);
    if (!text) text = adapter_of_gguf(tola_checkpoint_metadata(ck), a);
    if (!text && tensors) text = adapter_of_tensors(ck, a);
    tola_value tree;
    if (!text && !c->remote && companion_json(c, "adapter_config.json", a, &tree)) text = adapter_of_config(&tree, a);
    return text;
}

/* ---- all of it ---- */

static const char *name_of(const tola_checkpoint *ck) {
    const tola_value *metadata = tola_checkpoint_metadata(ck);
    static const char *const keys[] = { "general.name", "modelspec.title", "ss_output_name" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = member_text(metadata, keys[i]);
        if (text) return text;
    }
    return NULL;
}

void describe(const tola_checkpoint *ck, arena *a, tola_summary *s) {
    companions c;
    companions_init(&c, ck);
    s->name = name_of(ck);
    describe_tokenizer_gguf(tola_checkpoint_metadata(ck), a, s);
    if (!s->tokenizer) describe_tokenizer_files(&c, a, s);
    s->licence = licence_of(ck, &c, a);
    s->adapter = adapter_of(ck, &c, a, s->by_role[TOLA_ROLE_ADAPTER] != 0);
}
