/* See carry.h. Names of companions are those that huggingface/transformers and huggingface/tokenizers save. */
#include "transform/carry.h"
#include "base/err.h"
#include "base/json.h"
#include "formats/logical.h"
#include <tola/json.h>

#include <string.h>

/* ---- metadata ---- */

static bool key_is(const tola_member *m, const char *key) {
    return m->key.length == strlen(key) && memcmp(m->key.data, key, m->key.length) == 0;
}

static bool key_starts(const tola_member *m, const char *start) {
    return m->key.length >= strlen(start) && memcmp(m->key.data, start, strlen(start)) == 0;
}

/* Adds the values in `v` to *count, stopping soon after CARRY_MAX_VALUES. Readers bound the depth of what they make. */
static void count_values(const tola_value *v, size_t *count) {
    (*count)++;
    if (v->kind == TOLA_VALUE_ARRAY && v->element != TOLA_VALUE_NULL) *count += v->as.array.count;
    if (v->kind == TOLA_VALUE_ARRAY && v->element == TOLA_VALUE_NULL)
        for (size_t i = 0; i < v->as.array.count && *count <= CARRY_MAX_VALUES; i++)
            count_values((const tola_value *)v->as.array.items + i, count);
    if (v->kind == TOLA_VALUE_MAP)
        for (size_t i = 0; i < v->as.map.count && *count <= CARRY_MAX_VALUES; i++)
            count_values(&v->as.map.members[i].value, count);
}

static bool is_large(const tola_value *v) {
    size_t count = 0;
    count_values(v, &count);
    return count > CARRY_MAX_VALUES;
}

/* general.file_type of a file whose matrices are of `dtype` (enum llama_ftype in llama.cpp's include/llama.h). */
static void follow_file_type(tola_member *m, tola_dtype dtype) {
    if (!key_is(m, "general.file_type") || m->value.kind != TOLA_VALUE_UINT) return;
    if (dtype == TOLA_DTYPE_F32) m->value.as.u64 = 0;
    if (dtype == TOLA_DTYPE_F16) m->value.as.u64 = 1;
    if (dtype == TOLA_DTYPE_BF16) m->value.as.u64 = 32;
}

static tola_value string_value(const char *text) {
    tola_value v = { .kind = TOLA_VALUE_STRING };
    v.as.string = (tola_string){ text, strlen(text) };
    return v;
}

tola_status carry_metadata(const tola_checkpoint *in, const char *to_format, tola_dtype dtype, arena *a,
                           tola_value *out, uint64_t *dropped, tola_error *err) {
    const tola_value *from = tola_checkpoint_metadata(in);
    const char *from_format = tola_checkpoint_format(in);
    size_t count = from && from->kind == TOLA_VALUE_MAP ? from->as.map.count : 0, kept = 0;
    tola_member *members = arena_alloc_array(a, count + 1, sizeof *members);
    if (!members) return err_nomem(err, "carrying metadata over");
    bool safetensors = strcmp(to_format, "safetensors") == 0, gguf = strcmp(to_format, "gguf") == 0;
    bool same = from_format && strcmp(from_format, to_format) == 0, none = strcmp(to_format, "npz") == 0;
    if (safetensors && !same) members[kept++] = (tola_member){ { "format", 6 }, string_value("pt") };
    for (size_t i = 0; i < count; i++) {
        const tola_member *m = &from->as.map.members[i];
        if (gguf && same && key_starts(m, "split.")) continue;
        if (!same && key_is(m, "format")) continue;
        if (!same && (none || is_large(&m->value))) {
            ++*dropped;
            continue;
        }
        members[kept] = *m;
        if (gguf && same) follow_file_type(&members[kept], dtype);
        kept++;
    }
    memset(out, 0, sizeof *out);
    out->kind = TOLA_VALUE_MAP;
    out->as.map.members = members;
    out->as.map.count = kept;
    return TOLA_OK;
}

tola_status carry_quantization(const tola_checkpoint *in, const char *to_format, arena *a, tola_value *metadata,
                               uint64_t *dropped, tola_error *err) {
    static const char key[] = "quantization_config";
    const tola_value *config = logical_config(tola_checkpoint_config(in));
    size_t count = metadata->as.map.count;
    if (!config || tola_value_get(metadata, key)) return TOLA_OK;
    if (strcmp(to_format, "npz") == 0) {
        ++*dropped;
        return TOLA_OK;
    }
    tola_member *members = arena_alloc_array(a, count + 1, sizeof *members);
    if (!members) return err_nomem(err, "carrying metadata over");
    if (count) memcpy(members, metadata->as.map.members, count * sizeof *members);
    buf text;
    tola_json json;
    buf_init(&text, 0);
    tola_json_init(&json, json_to_buf, &text, 0);
    tola_json_value(&json, config);
    bool done = tola_json_finish(&json) && !text.failed;
    char *copy = done ? arena_strndup(a, (const char *)text.data, text.length) : NULL;
    buf_free(&text);
    if (!copy) return err_nomem(err, "carrying metadata over");
    members[count] = (tola_member){ { key, sizeof key - 1 }, string_value(copy) };
    metadata->as.map.members = members;
    metadata->as.map.count = count + 1;
    return TOLA_OK;
}

/* ---- config.json ---- */

/* PyTorch's names, as transformers writes them. */
static const char *torch_name(tola_dtype dtype) {
    switch (dtype) {
    case TOLA_DTYPE_F64: return "float64";
    case TOLA_DTYPE_F32: return "float32";
    case TOLA_DTYPE_F16: return "float16";
    case TOLA_DTYPE_BF16: return "bfloat16";
    case TOLA_DTYPE_F8_E4M3: return "float8_e4m3fn";
    case TOLA_DTYPE_F8_E5M2: return "float8_e5m2";
    default: return NULL;
    }
}

static bool text_is(const json_reader *r, const char *word) {
    return r->text_length == strlen(word) && memcmp(r->text, word, r->text_length) == 0;
}

/* Is this key of the outermost object one whose value describes another part of the same weights? */
static bool is_nested_config(const json_reader *r) {
    static const char tail[] = "_config";
    size_t n = sizeof tail - 1;
    return r->text_length > n && memcmp(r->text + r->text_length - n, tail, n) == 0 &&
           !text_is(r, "quantization_config");
}

/* The next string in the document that says the weights' dtype; false at the end. `*nested` is the walk's memory. */
static bool next_dtype(json_reader *r, bool *nested) {
    bool key_matched = false;
    for (;;) {
        json_token token = json_next(r);
        if (token == JSON_ERROR || token == JSON_END) return false;
        if (token == JSON_KEY) {
            if (r->depth == 1) *nested = is_nested_config(r);
            key_matched =
                (r->depth == 1 || (r->depth == 2 && *nested)) && (text_is(r, "torch_dtype") || text_is(r, "dtype"));
            continue;
        }
        if (key_matched && token == JSON_STRING) return true;
        key_matched = false;
    }
}

tola_status carry_config(const char *text, size_t length, tola_dtype dtype, buf *out, tola_error *err) {
    const char *name = torch_name(dtype);
    size_t start = out->length, done = 0;
    bool nested = false;
    json_reader r;
    json_reader_init(&r, text, length, 0);
    while (name && next_dtype(&r, &nested)) {
        buf_append(out, text + done, r.token_at - done);
        buf_printf(out, "\"%s\"", name);
        done = r.pos;
    }
    if (name && json_check(&r, NULL) != TOLA_OK) {
        out->length = start;
        done = 0;
    }
    buf_append(out, text + done, length - done);
    json_reader_free(&r);
    return out->failed ? err_nomem(err, "writing config.json") : TOLA_OK;
}

/* ---- config.json without its quantization ---- */

static bool is_quantization(const json_reader *r) {
    return text_is(r, "quantization_config") || text_is(r, "compression_config") || text_is(r, "quantization");
}

/* The next such member: [*begin, *end) of the text, from behind what precedes it. False at the end. */
static bool next_quantization(json_reader *r, size_t *begin, size_t *end) {
    bool nested = false; /* of an object that describes another part of the same weights */
    for (;;) {
        size_t before = r->pos;
        json_token token = json_next(r);
        if (token == JSON_ERROR || token == JSON_END) return false;
        if (token != JSON_KEY) continue;
        if (r->depth == 1) nested = is_nested_config(r);
        if (!(r->depth == 1 || (r->depth == 2 && nested)) || !is_quantization(r)) continue;
        *begin = before;
        if (!json_skip(r)) return false;
        *end = r->pos;
        return true;
    }
}

tola_status carry_config_decoded(const char *text, size_t length, buf *out, tola_error *err) {
    size_t start = out->length, done = 0, begin, end;
    json_reader r;
    json_reader_init(&r, text, length, 0);
    r.nonfinite = true;
    while (next_quantization(&r, &begin, &end)) {
        /* the comma before it goes along; behind the brace, or behind a first one that went, the comma after it */
        bool first = begin < done || text[begin - 1] == '{';
        if (begin < done) begin = done;
        if (first) {
            size_t comma = end + strspn(text + end, " \t\r\n");
            if (text[comma] == ',') end = comma + 1;
        }
        buf_append(out, text + done, begin - done);
        done = end;
    }
    if (json_check(&r, NULL) != TOLA_OK) {
        out->length = start;
        done = 0;
    }
    buf_append(out, text + done, length - done);
    json_reader_free(&r);
    return out->failed ? err_nomem(err, "writing config.json") : TOLA_OK;
}

/* ---- config.json with a quantization ---- */

tola_status carry_config_quantized(const char *text, size_t length, const char *quantization, buf *out,
                                   tola_error *err) {
    buf plain;
    buf_init(&plain, 0);
    tola_status status = carry_config_decoded(text, length, &plain, err);
    const char *data = (const char *)plain.data;
    size_t end = plain.length, at;
    while (end && data[end - 1] != '}') end--; /* of the outermost object; behind it is white space */
    at = end ? end - 1 : 0;
    while (at && strchr(" \t\r\n", data[at - 1])) at--;
    if (status == TOLA_OK && at) {
        buf_append(out, data, at);
        buf_printf(out, "%s\n  \"quantization_config\": ", data[at - 1] == '{' ? "" : ",");
        for (const char *p = quantization; *p; p++) buf_append(out, *p == '\n' ? "\n  " : p, *p == '\n' ? 3 : 1);
        buf_append(out, "\n", 1);
        buf_append(out, data + end - 1, plain.length - end + 1);
    } else if (status == TOLA_OK) {
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "config.json is no JSON object");
    }
    buf_free(&plain);
    if (status == TOLA_OK && out->failed) status = err_nomem(err, "writing config.json");
    return status;
}

/* ---- companions ---- */

static const char *const companions[] = {
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "configuration.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "tokenizer.model.v3",
    "spiece.model",
    "sentencepiece.bpe.model",
    "source.spm",
    "target.spm",
    "bpe.codes",
    "tekken.json",
    "qwen.tiktoken",
    "tokenizer.tiktoken",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "README.md",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "NOTICE",
    "NOTICE.txt",
    "Notice.txt",
    "USE_POLICY.md",
};

static tola_status write_config(const char *data, size_t bytes, tola_writer *writer, tola_dtype dtype, bool decoded,
                                const char *quantization, tola_error *err) {
    buf plain, text;
    buf_init(&plain, 0);
    buf_init(&text, 0);
    tola_status status = TOLA_OK;
    if (quantization) status = carry_config_quantized(data, bytes, quantization, &plain, err);
    else if (decoded) status = carry_config_decoded(data, bytes, &plain, err);
    else buf_append(&plain, data, bytes);
    if (status == TOLA_OK && plain.failed) status = err_nomem(err, "writing config.json");
    if (status == TOLA_OK) status = carry_config((const char *)plain.data, plain.length, dtype, &text, err);
    if (status == TOLA_OK) status = tola_writer_companion(writer, "config.json", text.data, text.length, err);
    buf_free(&plain);
    buf_free(&text);
    return status;
}

static tola_status carry_one(const tola_checkpoint *in, const char *name, tola_writer *writer, tola_dtype dtype,
                             bool decoded, const char *quantization, tola_error *err) {
    void *data = NULL;
    size_t bytes = 0;
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = tola_checkpoint_companion(in, name, &data, &bytes, &detail);
    if (status == TOLA_E_NOT_FOUND) return TOLA_OK;
    if (status != TOLA_OK) {
        if (err) *err = detail;
        return status;
    }
    status = strcmp(name, "config.json") == 0 ? write_config(data, bytes, writer, dtype, decoded, quantization, err)
                                              : tola_writer_companion(writer, name, data, bytes, err);
    tola_free(data);
    return status;
}

tola_status carry_companions(const tola_checkpoint *in, tola_writer *writer, tola_dtype dtype, bool decoded,
                             const char *quantization, tola_error *err) {
    for (size_t i = 0; i < sizeof companions / sizeof *companions; i++)
        TRY(carry_one(in, companions[i], writer, dtype, decoded, quantization, err));
    return TOLA_OK;
}
