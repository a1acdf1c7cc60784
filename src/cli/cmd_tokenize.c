/* tola tokenize: text to ids and back. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

typedef struct settings {
    bool special, decode, plain;
} settings;

static const cli_option options[] = {
    { "special", 0, CLI_FLAG, NULL, "Add what the model puts around a text; with --decode, show special tokens",
      offsetof(settings, special), NULL, NULL },
    { "plain", 0, CLI_FLAG, NULL, "Take special tokens that are spelled in the text for ordinary text",
      offsetof(settings, plain), NULL, NULL },
    { "decode", 0, CLI_FLAG, NULL, "TEXT is ids, and their text is printed", offsetof(settings, decode), NULL, NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

/* ---- input ---- */

/* Numbers between spaces and commas. -1 after a message. */
static int parse_ids(const char *text, uint32_t **ids, size_t *count) {
    size_t cap = 0;
    *ids = NULL;
    *count = 0;
    for (const char *p = text; *p;) {
        if (strchr(" \t\r\n,[]", *p)) {
            p++;
            continue;
        }
        char *end;
        errno = 0;
        unsigned long long v = *p >= '0' && *p <= '9' ? strtoull(p, &end, 10) : (end = (char *)(uintptr_t)p, 0ull);
        if (end == p || (*end && !strchr(" \t\r\n,[]", *end)) || errno || v > UINT32_MAX) {
            cli_fail("'%.*s' is no id", (int)strcspn(p, " \t\r\n,"), p);
            return -1;
        }
        if (*count == cap) {
            uint32_t *more = realloc(*ids, (cap = cap ? cap * 2 : 256) * sizeof *more);
            if (!more) {
                cli_fail("out of memory");
                return -1;
            }
            *ids = more;
        }
        (*ids)[(*count)++] = (uint32_t)v;
        p = end;
    }
    return 0;
}

/* ---- output ---- */

static void write_json(const tola_tokenizer *t, const uint32_t *ids, size_t count, const char *text, size_t length) {
    tola_json json;
    out_json_begin(&json);
    tola_json_begin_object(&json);
    tola_json_key(&json, "schema");
    tola_json_string(&json, "tola.tokenize/1");
    if (text) {
        tola_json_key(&json, "text");
        tola_json_string_n(&json, text, length);
    }
    tola_json_key(&json, "ids");
    tola_json_begin_array(&json);
    for (size_t i = 0; i < count; i++) tola_json_u64(&json, ids[i]);
    tola_json_end_array(&json);
    tola_json_key(&json, "tokens");
    tola_json_begin_array(&json);
    for (size_t i = 0; i < count; i++) {
        size_t n = 0;
        const char *token = tola_token_text(t, ids[i], &n, NULL);
        tola_json_string_n(&json, token ? token : "", n);
    }
    tola_json_end_array(&json);
    tola_json_end_object(&json);
    out_json_end(&json);
}

static int encode(const tola_tokenizer *t, const settings *s, const char *text, size_t length) {
    tola_error err = TOLA_ERROR_INIT;
    uint32_t *ids;
    size_t count;
    unsigned flags = (s->special ? TOLA_TOKENIZE_SPECIAL : 0) | (s->plain ? TOLA_TOKENIZE_PLAIN : 0);
    if (tola_tokenize(t, text, length, flags, &ids, &count, &err) != TOLA_OK) return cli_fail_error(&err);
    if (cli.json) {
        write_json(t, ids, count, NULL, 0);
    } else {
        for (size_t i = 0; i < count; i++) out_printf("%s%u", i ? " " : "", ids[i]);
        out_printf("\n");
    }
    tola_free(ids);
    return CLI_YES;
}

static int decode(const tola_tokenizer *t, const settings *s, const char *input) {
    tola_error err = TOLA_ERROR_INIT;
    uint32_t *ids;
    size_t count, length;
    char *text;
    int code = CLI_YES;
    if (parse_ids(input, &ids, &count) != 0) {
        free(ids);
        return CLI_ERROR;
    }
    unsigned flags = s->special ? 0 : TOLA_DETOKENIZE_SKIP_SPECIAL;
    if (tola_detokenize(t, ids, count, flags, &text, &length, &err) != TOLA_OK) {
        code = cli_fail_error(&err);
    } else {
        if (cli.json) write_json(t, ids, count, text, length);
        else out_raw(text, length);
        tola_free(text);
    }
    free(ids);
    return code;
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *s = parsed;
    tola_error err = TOLA_ERROR_INIT;
    tola_tokenizer *t;
    if (tola_tokenizer_open(args[0], &t, &err) != TOLA_OK) return cli_fail_error(&err);
    size_t length = n_args > 1 ? strlen(args[1]) : 0;
    char *input = n_args > 1 ? NULL : cli_read_all("-", SIZE_MAX - 1, &length);
    const char *text = n_args > 1 ? args[1] : input;
    int code = !text ? CLI_ERROR : s->decode ? decode(t, s, text) : encode(t, s, text, length);
    free(input);
    tola_tokenizer_free(t);
    return code;
}

const cli_verb cmd_tokenize = {
    .name = "tokenize",
    .summary = "Turn text into the ids that a model reads, and back",
    .usage = "tola tokenize MODEL [TEXT] [options]",
    .description =
        "Prints the ids of TEXT, or of what stdin holds to its last byte, on one line. MODEL is a tokenizer.json, a "
        "SentencePiece model, tiktoken ranks (*.tiktoken), a GGUF file, or a folder that holds tokenizer.json, "
        "tokenizer.model, or vocab.json and merges.txt.\n"
        "\n"
        "Text alone is taken; --special adds what the model puts around it (<s>, [CLS] ... [SEP]). Special tokens that "
        "the text itself spells become those tokens, unless --plain is given. Bytes that are no valid UTF-8 are read "
        "as U+FFFD.",
    .examples = "tola tokenize model.gguf 'Once upon a time'\tids on one line\n"
                "tola tokenize model/ --json < book.txt\tids and tokens for a program\n"
                "tola tokenize model/ --decode '15496 995'\tthe text of ids",
    .exits = "0\tdone\n2\tMODEL has no tokenizer that is understood, or an id has no text",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 1,
    .max_args = 2,
    .model = true,
    .run = run,
};
