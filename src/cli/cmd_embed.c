/* tola embed: texts as vectors. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#define INPUT_LIMIT ((size_t)1 << 30)

typedef struct settings {
    const char *pooling, *normalize, *prompt;
    uint64_t context, batch;
    bool lines, truncate;
    cli_list adapter;
} settings;

static const cli_option options[] = {
    { "lines", 0, CLI_FLAG, NULL, "Every line of stdin is a text; else all of it is one", offsetof(settings, lines),
      NULL, NULL },
    { "pooling", 0, CLI_CHOICE, "HOW", "Take the mean of all tokens, the first (cls) or the last (as MODEL says)",
      offsetof(settings, pooling), "model mean cls last", NULL },
    { "normalize", 0, CLI_CHOICE, "WHETHER",
      "Scale vectors to length 1: yes, no, or as MODEL says (model, the default)", offsetof(settings, normalize),
      "model yes no", NULL },
    { "prompt", 0, CLI_STRING, "NAME",
      "Put the prompt that MODEL calls NAME before each text; '' for none (the one that MODEL names as default)",
      offsetof(settings, prompt), NULL, NULL },
    { "truncate", 0, CLI_FLAG, NULL, "Cut texts that are too long; else they are an error",
      offsetof(settings, truncate), NULL, NULL },
    { "context", 'c', CLI_UINT, "N", "Tokens of a text at most (as MODEL says)", offsetof(settings, context), NULL,
      NULL },
    { "batch", 0, CLI_UINT, "N", "Read N tokens at once (512)", offsetof(settings, batch), NULL, NULL },
    { "adapter", 0, CLI_LIST, "A[:SCALE]", "Add the LoRA adapter A, a folder or a GGUF file",
      offsetof(settings, adapter), NULL, "file" },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

/* ---- texts ---- */

typedef struct texts {
    tola_text *items;
    size_t count, cap;
    char *owned; /* what was read from stdin */
} texts;

static int add(texts *t, const char *data, size_t length) {
    if (t->count == t->cap) {
        tola_text *more = realloc(t->items, (t->cap = t->cap ? t->cap * 2 : 64) * sizeof *more);
        if (!more) return cli_fail("out of memory");
        t->items = more;
    }
    t->items[t->count++] = (tola_text){ data, length };
    return CLI_YES;
}

static int gather(const settings *s, char **args, int n_args, texts *t) {
    int code = CLI_YES;
    if (n_args > 0 && s->lines) return cli_fail("--lines reads stdin; texts are given, too");
    for (int i = 0; i < n_args && code == CLI_YES; i++) code = add(t, args[i], strlen(args[i]));
    if (n_args > 0) return code;
    size_t length;
    t->owned = cli_read_all("-", INPUT_LIMIT, &length);
    if (!t->owned) return CLI_ERROR;
    if (!s->lines) return add(t, t->owned, length);
    for (size_t at = 0; at < length && code == CLI_YES;) {
        const char *line = t->owned + at, *end = memchr(line, '\n', length - at);
        size_t n = end ? (size_t)(end - line) : length - at;
        at += n + (end != NULL);
        code = add(t, line, n && line[n - 1] == '\r' ? n - 1 : n);
    }
    if (code == CLI_YES && t->count == 0) return cli_fail("stdin has no line");
    return code;
}

/* ---- output ---- */

/* The shortest decimal that reads back to the same float. */
static double shortest(float value, char *text, size_t n) {
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, n, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    return strtod(text, NULL);
}

static void write_json(const tola_embedder_info *info, const texts *t, const float *vectors, const uint32_t *tokens) {
    char text[48];
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.embed/1");
    out_json_string(&j, "pooling", tola_pooling_name(info->pooling));
    out_json_bool(&j, "normalized", info->normalize);
    if (info->prompt) out_json_string(&j, "prompt", info->prompt);
    out_json_u64(&j, "width", info->width);
    tola_json_key(&j, "tokens");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < t->count; i++) tola_json_u64(&j, tokens[i]);
    tola_json_end_array(&j);
    tola_json_key(&j, "embeddings");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < t->count; i++) {
        tola_json_begin_array(&j);
        for (uint32_t k = 0; k < info->width; k++)
            tola_json_f64(&j, shortest(vectors[i * info->width + k], text, sizeof text));
        tola_json_end_array(&j);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void write_lines(const tola_embedder_info *info, const texts *t, const float *vectors) {
    char text[48];
    for (size_t i = 0; i < t->count; i++)
        for (uint32_t k = 0; k < info->width; k++) {
            shortest(vectors[i * info->width + k], text, sizeof text);
            out_printf("%s%s", text, k + 1 < info->width ? " " : "\n");
        }
}

/* ---- the verb ---- */

static int embed(tola_embedder *e, const texts *t) {
    tola_error err = TOLA_ERROR_INIT;
    const tola_embedder_info *info = tola_embedder_about(e);
    float *vectors = calloc(t->count, (size_t)info->width * sizeof *vectors);
    uint32_t *tokens = calloc(t->count, sizeof *tokens);
    int code = CLI_YES;
    if (!vectors || !tokens) {
        code = cli_fail("out of memory");
    } else {
        cli_catch_interrupts();
        tola_status status = tola_embed(e, t->items, t->count, vectors, tokens, cli_progress, NULL, &err);
        cli_progress_end();
        if (status != TOLA_OK)
            code = cli_fail_error(&err);
        else if (cli.json)
            write_json(info, t, vectors, tokens);
        else
            write_lines(info, t, vectors);
    }
    free(vectors);
    free(tokens);
    return code;
}

static int options_of(const settings *s, tola_embed_options *o) {
    static const char *const poolings[] = { "model", "mean", "cls", "last" };
    for (size_t i = 0; s->pooling && i < sizeof poolings / sizeof *poolings; i++)
        if (strcmp(s->pooling, poolings[i]) == 0) o->pooling = (tola_pooling)i;
    if (s->normalize && strcmp(s->normalize, "yes") == 0) o->normalize = TOLA_NORMALIZE_YES;
    if (s->normalize && strcmp(s->normalize, "no") == 0) o->normalize = TOLA_NORMALIZE_NO;
    o->prompt = s->prompt;
    o->truncate = s->truncate;
    o->threads = cli.threads;
    if (measure_u32("batch", s->batch, &o->batch) != CLI_YES) return CLI_ERROR;
    return measure_u32("context", s->context, &o->context);
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *s = parsed;
    tola_error err = TOLA_ERROR_INIT;
    tola_embed_options o = TOLA_EMBED_OPTIONS_INIT;
    tola_model *model = NULL;
    tola_embedder *embedder = NULL;
    texts t = { 0 };
    int code = options_of(s, &o);
    if (code == CLI_YES) code = measure_open(args[0], &s->adapter, true, s->context, &model);
    if (code == CLI_YES && tola_embedder_create(model, &o, &embedder, &err) != TOLA_OK) code = cli_fail_error(&err);
    if (code == CLI_YES) code = gather(s, args + 1, n_args - 1, &t);
    if (code == CLI_YES) code = embed(embedder, &t);
    free(t.items);
    free(t.owned);
    tola_embedder_free(embedder);
    tola_model_free(model);
    return code;
}

const cli_verb cmd_embed = {
    .name = "embed",
    .summary = "Turn texts into vectors",
    .usage = "tola embed MODEL [TEXT ...] [options]",
    .description =
        "Prints a vector for each TEXT, or for what stdin holds: numbers between spaces, a line for each text. "
        "MODEL is an encoder (BERT and its kin) or a decoder, whose hidden states after the last norm are taken.\n"
        "\n"
        "How the states of a text's tokens become one vector is read from MODEL: from modules.json and the "
        "pooling's config.json of sentence-transformers, or from GGUF's pooling_type; where neither says anything "
        "it is the mean for an encoder and the last token for a decoder. Vectors are scaled to length 1 where "
        "MODEL's modules do so. Modules that do anything else (a dense layer) are an error, unless --pooling and "
        "--normalize both say what is to be done instead.\n"
        "\n"
        "Where MODEL has prompts (config_sentence_transformers.json), the one that it names as default is put before "
        "each text; --prompt takes another.\n"
        "\n"
        "A text that is longer than MODEL takes is an error, unless --truncate is given.",
    .examples = "tola embed model/ 'a text' 'another'\ttwo lines of numbers\n"
                "tola embed model.gguf --lines --json < texts.txt\ta vector for each line\n"
                "tola embed model/ --pooling cls --normalize yes 'a text'\tthe first token's state, of length 1",
    .exits = "0\tdone\n2\tMODEL cannot be run, its modules are not understood, or a text is too long",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 1,
    .max_args = 1000000,
    .model = true,
    .run = run,
};
