/* What a statement of provenance is told: the files that were read, the options that were given. */
#include "provenance.h"

#include <dirent.h>
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

/* Texts that are freed together. */
typedef struct texts {
    char **items; /* NULL behind the last; NULL where there is none */
    size_t count;
} texts;

static void add_text(texts *t, const char *text) {
    char **more = realloc(t->items, (t->count + 2) * sizeof *more), *copy = more ? strdup(text) : NULL;
    if (!copy) abort(); /* as frame_alloc */
    t->items = more;
    t->items[t->count++] = copy;
    t->items[t->count] = NULL;
}

static void free_texts(texts *t) {
    for (size_t i = 0; i < t->count; i++) free(t->items[i]);
    free(t->items);
}

/* ---- models ---- */

/* A folder is one model; else each file that it is read from, and the index that names them, is. */
static void add_model(texts *t, const char *path) {
    tola_open_options open = TOLA_OPEN_OPTIONS_INIT;
    tola_checkpoint *in = NULL;
    bool named = false;
    if (!is_folder(path) && tola_checkpoint_open(path, &open, &in, NULL) == TOLA_OK)
        for (size_t i = 0; i < tola_checkpoint_file_count(in); i++) {
            const char *part = tola_checkpoint_file(in, i)->path;
            add_text(t, part);
            named |= strcmp(part, path) == 0;
        }
    tola_checkpoint_close(in);
    if (!named) add_text(t, path);
}

static texts inputs_of(const provenance_paths *p) {
    texts t = { 0 };
    for (size_t i = 0; p->models && p->models[i]; i++) add_model(&t, p->models[i]);
    for (size_t i = 0; p->more && p->more[i]; i++) add_text(&t, p->more[i]);
    return t;
}

int provenance_ready(const char *file, const provenance_paths *paths) {
    struct stat st;
    int code = CLI_YES;
    if (!file) return CLI_YES;
    if (!frame_may_write(file)) return CLI_ERROR;
    texts inputs = inputs_of(paths);
    for (size_t i = 0; code == CLI_YES && i < inputs.count; i++)
        if (stat(inputs.items[i], &st) != 0)
            code = cli_fail("--provenance: %s is not on this machine, so it cannot be hashed", inputs.items[i]);
    free_texts(&inputs);
    return code;
}

/* What a run writes beside its model. */
static texts left_out(const provenance_paths *p) {
    static const char *const own[] = { "log.jsonl", "loss.png", "anchor.tokens", "teacher.rows" };
    texts t = { 0 };
    if (!p->run) return t;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) add_text(&t, own[i]);
    DIR *dir = opendir(p->out);
    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (strncmp(e->d_name, "checkpoint-", 11) == 0) add_text(&t, e->d_name);
    if (dir) closedir(dir);
    return t;
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
    case CLI_GIVEN:
        if (!((const cli_given *)(const void *)at)->given) return false;
        snprintf(number, sizeof number, "%" PRIu64, ((const cli_given *)(const void *)at)->value);
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

/* All that were given. */
static texts options_given(const cli_verb *verb, const void *settings) {
    texts t = { 0 };
    for (const cli_option *o = verb->options; o->name; o++) {
        char value[MOST_TEXT] = "", text[MOST_TEXT + 64];
        bool told = strcmp(o->name, "provenance") == 0 || strcmp(o->name, "report") == 0;
        if (told || !value_of(o, settings, value)) continue;
        snprintf(text, sizeof text, "%s=%s", o->name, value);
        add_text(&t, text);
    }
    return t;
}

int provenance_write(const char *file, const cli_verb *verb, const void *settings, const provenance_paths *paths) {
    if (!file) return CLI_YES;
    const char *outputs[] = { paths->out, NULL }, *none[] = { NULL };
    texts inputs = inputs_of(paths), parameters = options_given(verb, settings), others = left_out(paths);
    tola_provenance p = TOLA_PROVENANCE_INIT;
    tola_error err = TOLA_ERROR_INIT;
    p.verb = verb->name;
    p.inputs = inputs.items ? (const char *const *)inputs.items : none;
    p.outputs = outputs;
    p.parameters = (const char *const *)parameters.items;
    p.data = paths->data;
    p.left_out = (const char *const *)others.items;
    p.threads = cli.threads;
    p.progress = cli_progress;
    tola_status status = tola_provenance_write(file, &p, cli.force, &err);
    cli_progress_end();
    free_texts(&inputs);
    free_texts(&parameters);
    free_texts(&others);
    if (status == TOLA_OK) return CLI_YES;
    return cli_fail("%s was written, its provenance was not: %s", paths->out, err.message);
}
