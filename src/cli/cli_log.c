/* The access log: what a verb and its arguments name is told to the log before the verb runs, and its end after it.
 *
 * Without TOLA_LOG this is one look at the environment. With it a verb runs only if its beginning stands in the log. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <tola/log.h>

#include "frame.h"

typedef struct words {
    char **items; /* NULL-terminated */
    size_t count;
} words;

static tola_log_run *current;

/* Takes `word` over. */
static void add(words *list, char *word) {
    list->items = frame_realloc(list->items, (list->count + 2) * sizeof *list->items);
    list->items[list->count++] = word;
    list->items[list->count] = NULL;
}

static char *copy(const char *text, size_t n) {
    char *out = frame_alloc(n + 1);
    memcpy(out, text, n);
    out[n] = 0;
    return out;
}

static void words_free(words *list) {
    for (size_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
}

/* ---- arguments ---- */

/* The name that the usage of the verb gives to argument `i` ("IN", "OUT", "TEXT") into `name`. Of several forms the one
 * whose first word names args[0] counts, else the first. */
static void argument_name(const cli_verb *verb, char **args, int i, char name[64]) {
    const char *line = verb->usage;
    for (const char *p = verb->usage; p && args[0]; p = strchr(p, '\n')) {
        p += strspn(p, "\n ");
        const char *task = p + strcspn(p, " ");
        task = task + strspn(task, " ") + strlen(verb->name);
        task += strspn(task, " ");
        if (strncmp(task, args[0], strlen(args[0])) == 0 && strchr(" |\n", task[strlen(args[0])])) line = p;
    }
    line += strspn(line, " ");
    const char *last = "", *p = line;
    size_t last_length = 0;
    int at = -2; /* "tola" and the verb */
    bool value = false;
    for (; *p && *p != '\n'; p += strspn(p, " ")) {
        size_t n = strcspn(p, " \n");
        bool option = p[0] == '-' || (p[0] == '[' && p[1] == '-') || (p[0] == '(' && p[1] == '-');
        bool argument = !option && !value && strncmp(p, "[options]", n) != 0 && *p != '|';
        value = option && p[n - 1] != ']' && !memchr(p, '=', n);
        if (argument && at++ >= -1) {
            last = p;
            last_length = n;
            if (at - 1 == i) break;
        }
        p += n;
    }
    snprintf(name, 64, "%.*s", (int)(last_length < 60 ? last_length : 60), last);
}

static void take_arguments(const cli_verb *verb, const frame_parsed *parsed, words *in, words *out) {
    for (int i = 0; i < parsed->n_args; i++) {
        char name[64];
        const char *arg = parsed->args[i], *word = name;
        argument_name(verb, parsed->args, i, name);
        word += strspn(name, "[");
        if (strncmp(word, "OUT", 3) == 0)
            add(out, copy(arg, strlen(arg)));
        else if (strncmp(word, "TEXT", 4) != 0 && strncmp(word, "GLOB", 4) != 0 && *word >= 'A' && *word <= 'Z')
            add(in, copy(arg, strlen(arg)));
        if (verb->in_place && i == 0) add(out, copy(arg, strlen(arg)));
    }
}

/* ---- options ---- */

/* A value that cannot hold a secret, into `text`; "" for others. */
static void safe_value(const cli_option *o, const void *at, char text[64]) {
    const char *word = NULL;
    text[0] = 0;
    switch (o->kind) {
    case CLI_UINT:
    case CLI_GIVEN: /* begins with the number */
    case CLI_SIZE: snprintf(text, 64, "=%" PRIu64, *(const uint64_t *)at); break;
    case CLI_DOUBLE: snprintf(text, 64, "=%.17g", *(const double *)at); break;
    case CLI_DTYPE: snprintf(text, 64, "=%s", tola_dtype_name(*(const tola_dtype *)at)); break;
    case CLI_CHOICE:
        memcpy(&word, at, sizeof word);
        if (word) snprintf(text, 64, "=%s", word);
        break;
    default: break;
    }
}

static size_t size_of(cli_kind kind) {
    switch (kind) {
    case CLI_FLAG: return sizeof(bool);
    case CLI_UINT:
    case CLI_SIZE: return sizeof(uint64_t);
    case CLI_GIVEN: return sizeof(cli_given);
    case CLI_DOUBLE: return sizeof(double);
    case CLI_DTYPE: return sizeof(tola_dtype);
    case CLI_LIST: return sizeof(cli_list);
    default: return sizeof(const char *);
    }
}

/* Models that an option names are inputs, folders of runs outputs; every option that was given is named. */
static void take_options(const cli_verb *verb, const void *settings, words *options, words *in, words *out) {
    for (const cli_option *o = verb->options; o && o->name; o++) {
        static const char none[64];
        const char *at = (const char *)settings + o->offset, *path = NULL;
        const char *before = verb->defaults ? (const char *)verb->defaults + o->offset : none;
        char value[64];
        if (memcmp(at, before, size_of(o->kind)) == 0) continue;
        safe_value(o, at, value);
        char *text = frame_alloc(strlen(o->name) + strlen(value) + 3);
        sprintf(text, "--%s%s", o->name, value);
        add(options, text);
        if (o->kind == CLI_STRING) memcpy(&path, at, sizeof path);
        if (path && o->complete && strcmp(o->complete, "model") == 0) add(in, copy(path, strlen(path)));
        if (path && strcmp(o->name, "out") == 0) add(out, copy(path, strlen(path)));
    }
    if (cli.force) add(options, copy("--force", 7));
}

/* ---- begin and end ---- */

int frame_log_begin(const cli_verb *verb, const frame_parsed *parsed) {
    const char *log = getenv("TOLA_LOG"), *key = getenv("TOLA_LOG_KEY");
    if (!log || (verb->unlogged && verb->unlogged(parsed->args))) return CLI_YES;
    if (!*log) return cli_fail("TOLA_LOG is set, but names no file; '%s' was not run", verb->name);
    words in = { NULL, 0 }, out = { NULL, 0 }, options = { NULL, 0 };
    tola_error err = TOLA_ERROR_INIT;
    tola_log_access a = TOLA_LOG_ACCESS_INIT;
    take_options(verb, parsed->settings, &options, &in, &out);
    take_arguments(verb, parsed, &in, &out);
    a.verb = verb->name;
    a.options = (const char *const *)options.items;
    a.inputs = (const char *const *)in.items;
    a.outputs = (const char *const *)out.items;
    a.key = key && *key ? key : NULL;
    a.threads = cli.threads;
    a.progress = cli_progress;
    tola_status status = tola_log_begin(log, &a, &current, &err);
    cli_progress_end();
    words_free(&in);
    words_free(&out);
    words_free(&options);
    if (status == TOLA_OK) return CLI_YES;
    return cli_fail("the access log (TOLA_LOG) takes no entry, so '%s' was not run: %s", verb->name, err.message);
}

int frame_log_end(int code) {
    if (!current) return code;
    tola_error err = TOLA_ERROR_INIT;
    frame_out_flush(); /* what the log calls done has left this program */
    tola_status status = tola_log_end(current, code, frame_interrupt_signal(), &err);
    current = NULL;
    cli_progress_end();
    if (status == TOLA_OK) return code;
    return cli_fail("the access log (TOLA_LOG) could not be told the end: %s", err.message);
}
