/* What a statement of provenance is told: the files that were read, the options that were given. */
#include "provenance.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tola/sign.h>

#include "frame.h"

enum { MOST_TEXT = 4096 };

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int provenance_ready(const char *file, const tola_checkpoint *in, const char *in_path) {
    struct stat st;
    if (!file) return CLI_YES;
    if (!frame_may_write(file)) return CLI_ERROR;
    if (is_folder(in_path)) return CLI_YES;
    for (size_t i = 0; i < tola_checkpoint_file_count(in); i++)
        if (stat(tola_checkpoint_file(in, i)->path, &st) != 0)
            return cli_fail("--provenance: %s is not on this machine, so it cannot be hashed",
                            tola_checkpoint_file(in, i)->path);
    return CLI_YES;
}

/* ---- options as "name=value" ---- */

/* A file is named by its last component: the statement goes to others. */
static const char *shown(const cli_option *o, const char *value) {
    bool file = o->complete && (strcmp(o->complete, "file") == 0 || strcmp(o->complete, "model") == 0);
    const char *name = value;
    for (const char *p = value; file && *p; p++)
        if (p[0] == '/' && p[1] && p[1] != '/' && p[1] != ':')
            name = p + 1; /* "lora/:0.5" is "lora/" at half strength */
    return name;
}

static void append(char *text, const char *piece) {
    size_t n = strlen(text), m = strlen(piece);
    if (n + m < MOST_TEXT) memcpy(text + n, piece, m + 1);
}

/* The value of an option into `text`; false where it was not given. */
static bool value_of(const cli_option *o, const void *settings, char *text) {
    const char *at = (const char *)settings + o->offset;
    const char *word = NULL;
    char number[64] = "";
    switch (o->kind) {
    case CLI_FLAG:
        if (!*(const bool *)(const void *)at) return false;
        word = "true";
        break;
    case CLI_STRING:
    case CLI_OPTIONAL:
    case CLI_CHOICE:
        memcpy(&word, at, sizeof word);
        if (!word) return false;
        word = shown(o, word);
        break;
    case CLI_UINT:
    case CLI_SIZE:
        if (*(const uint64_t *)(const void *)at == 0) return false;
        snprintf(number, sizeof number, "%" PRIu64, *(const uint64_t *)(const void *)at);
        break;
    case CLI_DOUBLE:
        if (*(const double *)(const void *)at == 0) return false;
        snprintf(number, sizeof number, "%.17g", *(const double *)(const void *)at);
        break;
    case CLI_DTYPE:
        if (*(const tola_dtype *)(const void *)at == TOLA_DTYPE_NONE) return false;
        word = tola_dtype_name(*(const tola_dtype *)(const void *)at);
        break;
    case CLI_LIST: {
        const cli_list *list = (const cli_list *)(const void *)at;
        for (size_t i = 0; i < list->count; i++) {
            if (i) append(text, ",");
            append(text, shown(o, list->items[i]));
        }
        return list->count > 0;
    }
    }
    append(text, word ? word : number);
    return true;
}

/* All that were given, NULL-terminated; freed by free_texts. */
static char **options_given(const cli_verb *verb, const void *settings) {
    size_t n = 0, rows = 0;
    while (verb->options[rows].name) rows++;
    char **texts = frame_alloc((rows + 1) * sizeof *texts);
    for (const cli_option *o = verb->options; o->name; o++) {
        char value[MOST_TEXT] = "";
        bool told = strcmp(o->name, "provenance") == 0 || strcmp(o->name, "report") == 0;
        if (told || !value_of(o, settings, value)) continue;
        size_t room = strlen(o->name) + strlen(value) + 2;
        texts[n] = frame_alloc(room);
        snprintf(texts[n++], room, "%s=%s", o->name, value);
    }
    texts[n] = NULL;
    return texts;
}

/* ---- models ---- */

/* A folder is one model; else each file that was read, and the index that named them, is. */
static const char **inputs_of(const tola_checkpoint *in, const char *in_path, const char *const *more) {
    size_t files = tola_checkpoint_file_count(in), others = 0, n = 0;
    while (more && more[others]) others++;
    const char **inputs = frame_alloc((files + others + 2) * sizeof *inputs);
    bool whole = is_folder(in_path), named = whole;
    for (size_t i = 0; !whole && i < files; i++) {
        inputs[n] = tola_checkpoint_file(in, i)->path;
        named |= strcmp(inputs[n++], in_path) == 0;
    }
    if (whole || !named) inputs[n++] = in_path;
    for (size_t i = 0; i < others; i++) inputs[n++] = more[i];
    inputs[n] = NULL;
    return inputs;
}

int provenance_write(const char *file, const cli_verb *verb, const void *settings, const tola_checkpoint *in,
                     const char *in_path, const char *const *more, const char *out) {
    if (!file) return CLI_YES;
    const char *outputs[] = { out, NULL };
    const char **inputs = inputs_of(in, in_path, more);
    char **parameters = options_given(verb, settings);
    tola_provenance p = TOLA_PROVENANCE_INIT;
    tola_error err = TOLA_ERROR_INIT;
    p.verb = verb->name;
    p.inputs = inputs;
    p.outputs = outputs;
    p.parameters = (const char *const *)parameters;
    p.threads = cli.threads;
    p.progress = cli_progress;
    tola_status status = tola_provenance_write(file, &p, cli.force, &err);
    cli_progress_end();
    for (size_t i = 0; parameters[i]; i++) free(parameters[i]);
    free(parameters);
    free(inputs);
    if (status == TOLA_OK) return CLI_YES;
    return cli_fail("%s was written, its provenance was not: %s", out, err.message);
}
