/* Chat templates: finding a checkpoint's, its special tokens, and the spans of what the engine renders.
 *
 * Where templates lie: https://huggingface.co/docs/transformers/chat_templating_writing and GGUF's
 * tokenizer.chat_template (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). */
#define _GNU_SOURCE 1 /* tm_gmtoff */
#include <tola/chat.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/json.h"
#include "base/options.h"
#include "text/jinja/jinja.h"

#define DEFAULT_STEPS 20000000u
#define DEFAULT_MEMORY (256u << 20)
#define DEFAULT_OUTPUT (64u << 20)
#define CONFIG_MEMORY (256u << 20)

typedef struct token_variable {
    char *name, *text;
    size_t length;
} token_variable;

struct tola_chat_template {
    jinja_template *program;
    char *source;
    size_t length;
    token_variable *tokens;
    size_t count, cap;
};

/* ---- making ---- */

tola_status tola_chat_template_open(const char *source, size_t length, tola_chat_template **out, tola_error *err) {
    tola_chat_template *t = mem_calloc(1, sizeof *t);
    if (!t) return err_nomem(err, "reading a chat template");
    t->source = mem_alloc(length + 1);
    if (!t->source) {
        tola_chat_template_close(t);
        return err_nomem(err, "reading a chat template");
    }
    if (length) memcpy(t->source, source, length);
    t->source[length] = 0;
    t->length = length;
    tola_status status = jinja_compile(t->source, length, &t->program, err);
    if (status != TOLA_OK) {
        tola_chat_template_close(t);
        if (err) {
            tola_error cause = *err;
            err_set(err, status, TOLA_NO_OFFSET, "chat template: %.900s", cause.message);
        }
        return status;
    }
    *out = t;
    return TOLA_OK;
}

void tola_chat_template_close(tola_chat_template *t) {
    if (!t) return;
    jinja_free(t->program);
    for (size_t i = 0; i < t->count; i++) {
        mem_free(t->tokens[i].name);
        mem_free(t->tokens[i].text);
    }
    mem_free(t->tokens);
    mem_free(t->source);
    mem_free(t);
}

const char *tola_chat_template_source(const tola_chat_template *t, size_t *length) {
    if (length) *length = t->length;
    return t->source;
}

tola_status tola_chat_template_set(tola_chat_template *t, const char *name, const char *text, size_t length,
                                   tola_error *err) {
    char *copy = mem_alloc(length + 1);
    if (!copy) return err_nomem(err, "setting a special token");
    if (length) memcpy(copy, text, length);
    copy[length] = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->tokens[i].name, name) != 0) continue;
        mem_free(t->tokens[i].text);
        t->tokens[i].text = copy;
        t->tokens[i].length = length;
        return TOLA_OK;
    }
    char *own = mem_grow(&t->tokens, &t->cap, t->count + 1, sizeof *t->tokens) ? mem_strdup(name) : NULL;
    if (!own) {
        mem_free(copy);
        return err_nomem(err, "setting a special token");
    }
    t->tokens[t->count++] = (token_variable){ own, copy, length };
    return TOLA_OK;
}

/* ---- of a checkpoint ---- */

/* A companion file parsed, or NULL where it is not there. */
static tola_status read_json(const tola_checkpoint *ck, const char *name, arena *a, tola_value *space,
                             const tola_value **out, tola_error *err) {
    void *data;
    size_t bytes;
    *out = NULL;
    tola_status status = tola_checkpoint_companion(ck, name, &data, &bytes, err);
    if (status == TOLA_E_NOT_FOUND) return TOLA_OK;
    if (status != TOLA_OK) return status;
    status = json_parse(data, bytes, a, space, err);
    tola_free(data);
    if (status != TOLA_OK) return err_in_file(err, status, name);
    *out = space;
    return TOLA_OK;
}

/* A special token is a text, or an object with its "content". */
static const tola_value *token_text(const tola_value *v) {
    if (v && v->kind == TOLA_VALUE_MAP) v = tola_value_get(v, "content");
    return v && v->kind == TOLA_VALUE_STRING ? v : NULL;
}

static bool ends_with(const tola_string *s, const char *end) {
    size_t n = strlen(end);
    return s->length > n && memcmp(s->data + s->length - n, end, n) == 0;
}

static bool has_token(const tola_chat_template *t, const char *name) {
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->tokens[i].name, name) == 0) return true;
    return false;
}

/* Members named *_token (or all, of a map of extra tokens) that are not set yet. */
static tola_status take_tokens(tola_chat_template *t, const tola_value *map, bool all, tola_error *err) {
    for (size_t i = 0; map && map->kind == TOLA_VALUE_MAP && i < map->as.map.count; i++) {
        const tola_member *m = &map->as.map.members[i];
        const tola_value *text = token_text(&m->value);
        if (!text || !(all || ends_with(&m->key, "_token")) || strlen(m->key.data) != m->key.length) continue;
        if (has_token(t, m->key.data)) continue;
        TRY(tola_chat_template_set(t, m->key.data, text->as.string.data, text->as.string.length, err));
    }
    return TOLA_OK;
}

static tola_status folder_tokens(tola_chat_template *t, const tola_checkpoint *ck, const tola_value *config, arena *a,
                                 tola_error *err) {
    static const char *const extra[] = { "extra_special_tokens", "model_specific_special_tokens" };
    TRY(take_tokens(t, config, false, err));
    for (size_t i = 0; i < 2; i++) TRY(take_tokens(t, tola_value_get(config, extra[i]), true, err));
    tola_value space;
    const tola_value *map;
    TRY(read_json(ck, "special_tokens_map.json", a, &space, &map, err));
    return take_tokens(t, map, false, err);
}

static tola_status gguf_tokens(tola_chat_template *t, const tola_value *metadata, tola_error *err) {
    static const struct {
        const char *key, *name;
    } ids[] = {
        { "tokenizer.ggml.bos_token_id", "bos_token" },       { "tokenizer.ggml.eos_token_id", "eos_token" },
        { "tokenizer.ggml.unknown_token_id", "unk_token" },   { "tokenizer.ggml.padding_token_id", "pad_token" },
        { "tokenizer.ggml.seperator_token_id", "sep_token" }, { "tokenizer.ggml.cls_token_id", "cls_token" },
        { "tokenizer.ggml.mask_token_id", "mask_token" },
    };
    const tola_value *tokens = tola_value_get(metadata, "tokenizer.ggml.tokens");
    if (!tokens || tokens->kind != TOLA_VALUE_ARRAY) return TOLA_OK;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        uint64_t id = tola_value_u64(tola_value_get(metadata, ids[i].key), UINT32_MAX);
        if (id == UINT32_MAX) continue; /* none */
        tola_value text = tola_value_at(tokens, (size_t)id);
        if (id >= tokens->as.array.count || text.kind != TOLA_VALUE_STRING)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is %llu, and there are %zu tokens", ids[i].key,
                           (unsigned long long)id, tokens->as.array.count);
        TRY(tola_chat_template_set(t, ids[i].name, text.as.string.data, text.as.string.length, err));
    }
    return TOLA_OK;
}

/* "chat_template" of a configuration: a text, the default, or a list of {"name", "template"}. */
static const tola_value *configured(const tola_value *config, const char *name) {
    const tola_value *v = tola_value_get(config, "chat_template");
    if (!v) return NULL;
    if (v->kind == TOLA_VALUE_STRING) return strcmp(name, "default") == 0 ? v : NULL;
    if (v->kind == TOLA_VALUE_MAP) {
        const tola_value *one = tola_value_get(v, name);
        return one && one->kind == TOLA_VALUE_STRING ? one : NULL;
    }
    for (size_t i = 0; v->kind == TOLA_VALUE_ARRAY && v->element == TOLA_VALUE_NULL && i < v->as.array.count; i++) {
        const tola_value *one = &((const tola_value *)v->as.array.items)[i], *text = tola_value_get(one, "template");
        if (strcmp(tola_value_str(tola_value_get(one, "name"), ""), name) == 0 && text &&
            text->kind == TOLA_VALUE_STRING)
            return text;
    }
    return NULL;
}

/* A template's text, and the file or the key that it is from. */
typedef struct template_source {
    const char *text;
    size_t length;
    char place[300];
} template_source;

/* The template in a file of its own; TOLA_E_NOT_FOUND where there is none. */
static tola_status template_file(const tola_checkpoint *ck, const char *name, template_source *s, void **data,
                                 tola_error *err) {
    strcpy(s->place, "chat_template.jinja");
    if (strcmp(name, "default") != 0) {
        if (strlen(name) > 200 || strchr(name, '/'))
            return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "no chat template has such a name");
        snprintf(s->place, sizeof s->place, "additional_chat_templates/%s.jinja", name);
    }
    return tola_checkpoint_companion(ck, s->place, data, &s->length, err);
}

static tola_status find_source(const tola_checkpoint *ck, const char *name, const tola_value *config, arena *a,
                               template_source *s, tola_error *err) {
    void *data = NULL;
    tola_status status = template_file(ck, name, s, &data, err);
    if (status == TOLA_OK) {
        s->text = arena_strndup(a, data, s->length);
        tola_free(data);
        return s->text ? TOLA_OK : err_nomem(err, "reading a chat template");
    }
    if (status != TOLA_E_NOT_FOUND) return status;
    const tola_value *found = configured(config, name);
    strcpy(s->place, "tokenizer_config.json");
    tola_value *space = arena_alloc(a, sizeof *space);
    const tola_value *legacy = NULL;
    if (!space) return err_nomem(err, "reading a chat template");
    if (!found) TRY(read_json(ck, "chat_template.json", a, space, &legacy, err));
    if (legacy) strcpy(s->place, "chat_template.json");
    if (!found) found = configured(legacy, name);
    if (!found) {
        strcpy(s->place, "tokenizer.chat_template");
        if (strcmp(name, "default") != 0 && strlen(name) < 200) strcat(strcat(s->place, "."), name);
        found = tola_value_get(tola_checkpoint_metadata(ck), s->place);
        if (found && found->kind != TOLA_VALUE_STRING) found = NULL;
    }
    if (!found)
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "the model has no chat template '%.100s'", name);
    s->text = found->as.string.data;
    s->length = found->as.string.length;
    return TOLA_OK;
}

static tola_status template_of(const tola_checkpoint *ck, const char *name, arena *a, tola_chat_template **out,
                               tola_error *err) {
    tola_value space;
    const tola_value *config;
    template_source source;
    TRY(read_json(ck, "tokenizer_config.json", a, &space, &config, err));
    TRY(find_source(ck, name ? name : "default", config, a, &source, err));
    tola_chat_template *t;
    tola_status status = tola_chat_template_open(source.text, source.length, &t, err);
    if (status != TOLA_OK) return err_in_file(err, status, source.place);
    status = folder_tokens(t, ck, config, a, err);
    bool gguf = strcmp(tola_checkpoint_format(ck), "gguf") == 0;
    if (status == TOLA_OK && gguf) status = gguf_tokens(t, tola_checkpoint_metadata(ck), err);
    if (status == TOLA_OK) *out = t;
    else tola_chat_template_close(t);
    return status;
}

tola_status tola_chat_template_of(const tola_checkpoint *checkpoint, const char *name, tola_chat_template **out,
                                  tola_error *err) {
    arena a;
    arena_init(&a, CONFIG_MEMORY);
    tola_status status = template_of(checkpoint, name, &a, out, err);
    arena_free(&a);
    return status;
}

/* ---- rendering ---- */

static int64_t local_now(void) {
    time_t now = time(NULL);
    struct tm t;
    if (!localtime_r(&now, &t)) return now;
    return (int64_t)now + t.tm_gmtoff;
}

static jinja_variable variable(const char *name, const tola_chat_value *v) {
    jinja_variable x = { .name = name, .name_length = strlen(name), .json = v->json, .json_length = v->json_length,
                         .value = v->value };
    if (!v->json && !v->value) {
        x.json = "null";
        x.json_length = 4;
    }
    return x;
}

/* Runs of equal marks. */
static size_t runs(const jstr *s, tola_chat_span *spans) {
    size_t n = 0;
    for (size_t from = 0, to; from < s->length; from = to) {
        uint8_t mark = jstr_mark(s, from);
        to = s->marks ? from + 1 : s->length;
        while (to < s->length && jstr_mark(s, to) == mark) to++;
        if (spans) spans[n] = (tola_chat_span){ from, to - from, !(mark & JM_USER), mark & JM_GENERATED };
        n++;
    }
    return n;
}

static tola_status take_text(const jstr *s, tola_chat_text *out, tola_error *err) {
    size_t n = runs(s, NULL);
    tola_chat_span *spans = mem_calloc(n, sizeof *spans);
    char *text = mem_alloc(s->length + 1);
    if (!spans || !text) {
        mem_free(spans);
        mem_free(text);
        return err_nomem(err, "rendering a conversation");
    }
    runs(s, spans);
    if (s->length) memcpy(text, s->data, s->length);
    text[s->length] = 0;
    *out = (tola_chat_text){ text, s->length, spans, n };
    return TOLA_OK;
}

tola_status tola_chat_render(const tola_chat_template *t, tola_chat_value messages, const tola_chat_options *options,
                             tola_chat_text *out, tola_error *err) {
    tola_chat_options own = TOLA_CHAT_OPTIONS_INIT;
    TRY(options_take(&own, sizeof own, options, err));
    options = &own;
    jinja_variable *list = mem_calloc(t->count + 5, sizeof *list);
    tola_value *tokens = mem_calloc(t->count, sizeof *tokens);
    if (!list || !tokens) {
        mem_free(list);
        mem_free(tokens);
        return err_nomem(err, "rendering a conversation");
    }
    size_t n = 0;
    for (size_t i = 0; i < t->count; i++) {
        tokens[i] = (tola_value){ .kind = TOLA_VALUE_STRING };
        tokens[i].as.string = (tola_string){ t->tokens[i].text, t->tokens[i].length };
        list[n++] = (jinja_variable){ .name = t->tokens[i].name, .name_length = strlen(t->tokens[i].name),
                                      .value = &tokens[i], .trusted = true };
    }
    if (options->variables.json || options->variables.value) {
        list[n] = variable("variables", &options->variables);
        list[n++].spread = true;
    }
    tola_value prompt = { .kind = TOLA_VALUE_BOOL, .as.boolean = options->add_generation_prompt };
    list[n++] = variable("add_generation_prompt", &(tola_chat_value){ NULL, 0, &prompt });
    list[n++] = variable("tools", &options->tools);
    list[n++] = variable("documents", &options->documents);
    list[n] = variable("messages", &messages);
    list[n++].messages = true;
    jinja_options limits = {
        .steps = options->max_steps ? options->max_steps : DEFAULT_STEPS,
        .memory = options->max_memory ? (size_t)options->max_memory : DEFAULT_MEMORY,
        .output = options->max_output ? (size_t)options->max_output : DEFAULT_OUTPUT,
        .now = options->now == TOLA_CHAT_NOW ? local_now() : options->now,
    };
    arena mem;
    const jstr *text;
    tola_status status = jinja_render(t->program, list, n, &limits, &mem, &text, err);
    if (status == TOLA_OK) {
        status = take_text(text, out, err);
    } else if (err) {
        tola_error cause = *err;
        err_set(err, status, TOLA_NO_OFFSET, "chat template: %.900s", cause.message);
    }
    arena_free(&mem);
    mem_free(list);
    mem_free(tokens);
    return status;
}

void tola_chat_text_dispose(tola_chat_text *text) {
    if (!text) return;
    mem_free(text->text);
    mem_free(text->spans);
    *text = (tola_chat_text){ 0 };
}
