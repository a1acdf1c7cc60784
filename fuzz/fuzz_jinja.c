/* Chat templates: template, messages and variables, all from the input, a NUL between them. Nothing that the
 * conversation brought may come out trusted, the spans cover the text, every failure has a message. */
#define _GNU_SOURCE 1 /* memmem */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include <tola/chat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define SNOWMAN "\xe2\x98\x83" /* stands for what a conversation brings */

static void check(bool good) {
    if (!good) abort();
}

static bool has(const char *text, size_t length, const char *what) {
    return memmem(text, length, what, strlen(what)) != NULL;
}

/* Up to the next NUL; moves behind it. */
static tola_chat_value part(const char **at, const char *end) {
    tola_chat_value v = { *at, 0, NULL };
    const char *stop = memchr(*at, 0, (size_t)(end - *at));
    v.json_length = (size_t)((stop ? stop : end) - *at);
    *at = stop ? stop + 1 : end;
    return v;
}

static void check_text(const tola_chat_text *text, bool secret) {
    size_t at = 0;
    check(utf8_valid(text->text, text->length) && text->text[text->length] == 0);
    for (size_t i = 0; i < text->span_count; i++) {
        const tola_chat_span *s = &text->spans[i], *before = s - 1;
        check(s->offset == at && s->length > 0 && s->length <= text->length - at);
        check(i == 0 || before->trusted != s->trusted || before->generated != s->generated);
        check(!secret || !s->trusted || !has(text->text + at, s->length, SNOWMAN));
        at += s->length;
    }
    check(at == text->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes > 1 << 16) return 0;
    const char *at = (const char *)data, *end = at + bytes;
    tola_chat_value source = part(&at, end), messages = part(&at, end), variables = part(&at, end);
    tola_error err = TOLA_ERROR_INIT;
    tola_chat_template *t;
    tola_status status = tola_chat_template_open(source.json, source.json_length, &t, &err);
    check((status == TOLA_OK) == (err.message[0] == 0));
    if (status != TOLA_OK) return 0;
    /* a template can spell the character by itself: by an escape, by its number */
    bool secret = !has(source.json, source.json_length, SNOWMAN) && !has(source.json, source.json_length, "\\") &&
                  !has(source.json, source.json_length, "%");
    check(tola_chat_template_set(t, "bos_token", "<s>", 3, NULL) == TOLA_OK);
    tola_chat_options options = TOLA_CHAT_OPTIONS_INIT;
    options.add_generation_prompt = bytes & 1;
    options.now = 1753368307;
    options.max_steps = 300000;
    options.max_memory = 32 << 20;
    options.max_output = 1 << 20;
    options.tools = variables;
    if (variables.json_length == 0) options.tools.json = NULL;
    options.variables = options.tools;
    for (int i = 0; i < 2; i++) { /* the variables as tools, as variables */
        if (i) options.tools.json = NULL;
        else options.variables.json = NULL;
        tola_chat_text text;
        status = tola_chat_render(t, messages, &options, &text, &err);
        check((status == TOLA_OK) == (err.message[0] == 0));
        if (status == TOLA_OK) {
            check_text(&text, secret);
            tola_chat_text_dispose(&text);
        }
        err = (tola_error)TOLA_ERROR_INIT;
        options.variables = variables;
        if (variables.json_length == 0) break;
    }
    tola_chat_template_close(t);
    return 0;
}
