/* Renders chat templates for chat_oracle.py: lines of JSON on stdin, {"template", "tokens": {name: text}, "messages",
 * "tools", "documents", "variables", "prompt", "now"}, and for each a line on stdout: {"text", "spans"} or {"error",
 * "status"}. Values pass as JSON texts within the JSON, so that they reach the library as they are. */
#include <tola/tola.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static bool put(void *user, const char *text, size_t length) {
    return fwrite(text, 1, length, user) == length;
}

static tola_chat_value json_of(const tola_value *request, const char *key) {
    const tola_value *v = tola_value_get(request, key);
    tola_chat_value out = { NULL, 0, NULL };
    if (v && v->kind == TOLA_VALUE_STRING) {
        out.json = v->as.string.data;
        out.json_length = v->as.string.length;
    }
    return out;
}

static tola_status answer(const tola_value *request, tola_chat_text *text, tola_error *err) {
    const tola_value *source = tola_value_get(request, "template"), *tokens = tola_value_get(request, "tokens");
    tola_chat_template *t;
    tola_status status = tola_chat_template_open(source->as.string.data, source->as.string.length, &t, err);
    if (status != TOLA_OK) return status;
    for (size_t i = 0; tokens && i < tokens->as.map.count && status == TOLA_OK; i++) {
        const tola_member *m = &tokens->as.map.members[i];
        status = tola_chat_template_set(t, m->key.data, m->value.as.string.data, m->value.as.string.length, err);
    }
    tola_chat_options options = TOLA_CHAT_OPTIONS_INIT;
    options.tools = json_of(request, "tools");
    options.documents = json_of(request, "documents");
    options.variables = json_of(request, "variables");
    options.add_generation_prompt = tola_value_bool(tola_value_get(request, "prompt"), false);
    options.now = (int64_t)tola_value_u64(tola_value_get(request, "now"), 0);
    if (status == TOLA_OK) status = tola_chat_render(t, json_of(request, "messages"), &options, text, err);
    tola_chat_template_close(t);
    return status;
}

static void write_answer(tola_status status, const tola_chat_text *text, const tola_error *err) {
    tola_json j;
    tola_json_init(&j, put, stdout, 0);
    tola_json_begin_object(&j);
    if (status != TOLA_OK) {
        tola_json_key(&j, "error");
        tola_json_string(&j, err->message);
        tola_json_key(&j, "status");
        tola_json_string(&j, tola_status_name(status));
    } else {
        tola_json_key(&j, "text");
        tola_json_string_n(&j, text->text, text->length);
        tola_json_key(&j, "spans");
        tola_json_begin_array(&j);
        for (size_t i = 0; i < text->span_count; i++) {
            const tola_chat_span *s = &text->spans[i];
            tola_json_begin_array(&j);
            tola_json_u64(&j, s->offset);
            tola_json_u64(&j, s->length);
            tola_json_u64(&j, (s->trusted ? 0u : 1u) | (s->generated ? 2u : 0u));
            tola_json_end_array(&j);
        }
        tola_json_end_array(&j);
    }
    tola_json_end_object(&j);
    if (!tola_json_finish(&j)) exit(2);
    putchar('\n');
}

int main(void) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        arena a;
        arena_init(&a, 0);
        tola_value request;
        tola_error err = TOLA_ERROR_INIT;
        tola_chat_text text = { 0 };
        tola_status status = json_parse(line, (size_t)n, &a, &request, &err);
        if (status == TOLA_OK) status = answer(&request, &text, &err);
        write_answer(status, &text, &err);
        tola_chat_text_dispose(&text);
        arena_free(&a);
    }
    free(line);
    return 0;
}
