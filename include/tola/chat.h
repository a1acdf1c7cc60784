/* Chat templates: a conversation to the text that a model was trained on.
 *
 * A template is a Jinja program that comes with a model. It is rendered as transformers renders it, byte for byte, and
 * can do nothing but make text from what it is given. What it does not support, and every error of the template, is an
 * error with the template's line.
 *
 * The text comes in spans. A trusted span was written by the template (its own text, and special tokens such as
 * bos_token); an untrusted one came from the conversation: contents, tool arguments, names, ... A tokenizer looks for
 * special tokens in trusted spans only, so that nothing anyone types becomes one. */
#ifndef TOLA_CHAT_H
#define TOLA_CHAT_H

#include <tola/checkpoint.h>
#include <tola/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tola_chat_template tola_chat_template;

/* A template from its source, UTF-8 of at most 4 MiB. Special tokens are set with tola_chat_template_set. */
TOLA_API TOLA_MUST_CHECK tola_status tola_chat_template_open(const char *source, size_t length,
                                                             tola_chat_template **out, tola_error *err);
/* The template of a checkpoint, with its special tokens: chat_template.jinja and additional_chat_templates/, else
 * tokenizer_config.json, else chat_template.json, else GGUF's tokenizer.chat_template. `name` chooses among several
 * ("tool_use"); NULL is "default". TOLA_E_NOT_FOUND where there is none. */
TOLA_API TOLA_MUST_CHECK tola_status tola_chat_template_of(const tola_checkpoint *checkpoint, const char *name,
                                                           tola_chat_template **out, tola_error *err);
TOLA_API void tola_chat_template_close(tola_chat_template *chat_template);
/* The source, as it was read. Lives as long as the template. */
TOLA_API const char *tola_chat_template_source(const tola_chat_template *chat_template, size_t *length);
/* A variable whose text is trusted: "bos_token", ... Replaces an earlier one. Not while another thread renders. */
TOLA_API TOLA_MUST_CHECK tola_status tola_chat_template_set(tola_chat_template *chat_template, const char *name,
                                                            const char *text, size_t length, tola_error *err);

/* A value as JSON text, or where `json` is NULL as a value, or nothing. Borrowed. */
typedef struct tola_chat_value {
    const char *json;
    size_t json_length;
    const tola_value *value;
} tola_chat_value;

typedef struct tola_chat_options {
    size_t size;                /* sizeof(tola_chat_options) */
    bool add_generation_prompt; /* end with what begins the model's answer */
    tola_chat_value tools;      /* an array of schemas; nothing is none */
    tola_chat_value documents;  /* an array of objects; nothing is none */
    tola_chat_value variables;  /* an object; each member is a variable: {"enable_thinking": false} */
    int64_t now;                /* for strftime_now: seconds of the local clock since 1970-01-01 00:00 on it, or
                                   TOLA_CHAT_NOW */
    uint64_t max_steps;         /* 0: 20 million, some seconds */
    uint64_t max_memory;        /* bytes; 0: 256 MiB */
    uint64_t max_output;        /* bytes; 0: 64 MiB */
    uint64_t reserved[6];
} tola_chat_options;

#define TOLA_CHAT_NOW INT64_MIN /* the time it is */
#define TOLA_CHAT_OPTIONS_INIT                                                                               \
    { sizeof(tola_chat_options), false, { NULL, 0, NULL }, { NULL, 0, NULL }, { NULL, 0, NULL },             \
      TOLA_CHAT_NOW, 0, 0, 0, { 0 } }

typedef struct tola_chat_span {
    size_t offset, length; /* bytes of the text */
    bool trusted;          /* special tokens may be recognised in it */
    bool generated;        /* it lies in a {% generation %} block: what an assistant said */
} tola_chat_span;

/* Spans cover the text without gaps; no two neighbours are alike, none is empty. */
typedef struct tola_chat_text {
    char *text; /* NUL-terminated beyond its length */
    size_t length;
    tola_chat_span *spans;
    size_t span_count;
} tola_chat_text;

/* Renders `messages`, an array of objects. `options` may be NULL. Errors: TOLA_E_ARG where the template refuses the
 * conversation (raise_exception), TOLA_E_LIMIT, TOLA_E_UNSAFE where it reaches for what the sandbox hides,
 * TOLA_E_FORMAT for what else fails. Any number of threads may render one template. */
TOLA_API TOLA_MUST_CHECK tola_status tola_chat_render(const tola_chat_template *chat_template,
                                                      tola_chat_value messages, const tola_chat_options *options,
                                                      tola_chat_text *out, tola_error *err);
TOLA_API void tola_chat_text_dispose(tola_chat_text *text);

#ifdef __cplusplus
}
#endif
#endif
