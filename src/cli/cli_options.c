/* Parsing the arguments of a verb by its option table.
 *
 * Understands --name VALUE, --name=VALUE, -x VALUE, -xVALUE, -x=VALUE, several flags after one dash (-qv), and `--`
 * after which everything is an argument. Options and arguments may be mixed. CLI_OPTIONAL takes its value only with
 * '='. Names are never abbreviated: what is unique today would break a script when an option is added. */
#include "frame.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the common options ---- */

cli_common cli = { .progress = "auto", .columns = 80 };

typedef struct common_settings {
    bool help_short, help_long, json, quiet, verbose, force;
    uint64_t threads;
    const char *progress;
    cli_list identities, passphrase_files;
} common_settings;

/* clang-format off */
const cli_option frame_common_options[] = {
    { "json", 0, CLI_FLAG, NULL, "Write the result as JSON on stdout", offsetof(common_settings, json), NULL, NULL },
    { "quiet", 'q', CLI_FLAG, NULL, "Write no messages except errors", offsetof(common_settings, quiet), NULL, NULL },
    { "verbose", 'v', CLI_FLAG, NULL, "Write more about what is done, on stderr", offsetof(common_settings, verbose),
      NULL, NULL },
    { "threads", 0, CLI_UINT, "N", "Use N threads instead of one for each processor",
      offsetof(common_settings, threads), NULL, NULL },
    { "force", 0, CLI_FLAG, NULL, "Overwrite an output that exists", offsetof(common_settings, force), NULL, NULL },
    { "progress", 0, CLI_CHOICE, "WHEN", "Show progress on stderr; auto means on a terminal",
      offsetof(common_settings, progress), "auto always never", NULL },
    { "", 'h', CLI_FLAG, NULL, "Show a short help", offsetof(common_settings, help_short), NULL, NULL },
    { "help", 0, CLI_FLAG, NULL, "Show the whole help", offsetof(common_settings, help_long), NULL, NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

const cli_option frame_key_options[] = {
    { "identity", 0, CLI_LIST, "KEY", "Open encrypted models with this secret key of tola keygen",
      offsetof(common_settings, identities), NULL, "file" },
    { "passphrase-file", 0, CLI_LIST, "FILE", "Open encrypted models with the first line of FILE; - is stdin",
      offsetof(common_settings, passphrase_files), NULL, "file" },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};
/* clang-format on */

const cli_option *frame_option(const cli_verb *verb, size_t i) {
    const cli_option *const tables[] = { verb->options, verb->model ? frame_key_options : NULL, frame_common_options };
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const cli_option *o = tables[t]; o && o->name; o++)
            if (i-- == 0) return o;
    return NULL;
}

static bool is_common(const cli_option *o) {
    for (const cli_option *c = frame_common_options; c->name; c++)
        if (c == o) return true;
    for (const cli_option *c = frame_key_options; c->name; c++)
        if (c == o) return true;
    return false;
}

bool frame_word(const char *words, size_t i, char *buf, size_t cap) {
    for (;; i--) {
        words += strspn(words, " ");
        size_t length = strcspn(words, " ");
        if (length == 0) return false;
        if (i == 0) {
            if (length >= cap) length = cap - 1;
            memcpy(buf, words, length);
            buf[length] = 0;
            return true;
        }
        words += length;
    }
}

/* ---- values ---- */

/* "--dtype" as the user may write it; for an option without a long name its letter. */
static const char *option_name(const cli_option *o, char buf[64]) {
    if (o->name[0])
        snprintf(buf, 64, "--%s", o->name);
    else
        snprintf(buf, 64, "-%c", o->letter);
    return buf;
}

static int parse_uint(const char *name, const char *text, uint64_t max, uint64_t *out) {
    if (text[0] == '-') return cli_fail("%s: '%s' is negative, a whole number from 0 is needed", name, text);
    if (text[0] < '0' || text[0] > '9') return cli_fail("%s: '%s' is not a whole number", name, text);
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end) return cli_fail("%s: '%s' is not a whole number", name, text);
    if (errno == ERANGE || value > max)
        return cli_fail("%s: %s is too large, the largest is %llu", name, text, (unsigned long long)max);
    *out = value;
    return CLI_YES;
}

/* Units of sizes: K, M, G, T, P, E, with "iB" for powers of 1024 and "B" or nothing for powers of 1000. */
static bool size_unit(const char *unit, double *factor) {
    static const char letters[] = "KMGTPE";
    *factor = 1;
    if (*unit == 0 || strcmp(unit, "B") == 0 || strcmp(unit, "b") == 0) return true;
    char letter = *unit >= 'a' && *unit <= 'z' ? (char)(*unit - 'a' + 'A') : *unit;
    const char *found = strchr(letters, letter);
    if (!found) return false;
    bool binary = unit[1] == 'i';
    const char *rest = unit + (binary ? 2 : 1);
    if (*rest == 'B' || *rest == 'b') rest++;
    if (*rest) return false;
    for (const char *l = letters; l <= found; l++) *factor *= binary ? 1024 : 1000;
    return true;
}

static int parse_size(const char *name, const char *text, uint64_t *out) {
    static const char need[] = "a size like 4GiB, 4GB, 512MiB or a number of bytes is needed";
    if (text[0] == '-') return cli_fail("%s: '%s' is negative, %s", name, text, need);
    size_t digits = strspn(text, "0123456789"), number = digits;
    if (text[digits] == '.') number += 1 + strspn(text + digits + 1, "0123456789");
    double factor;
    if (digits == 0 || number - digits == 1 || number > 40 || !size_unit(text + number, &factor))
        return cli_fail("%s: '%s' is not a size, %s", name, text, need);
    char copy[48];
    memcpy(copy, text, number);
    copy[number] = 0;
    if (number == digits) { /* exact, up to 2^64 - 1 */
        errno = 0;
        uint64_t value = strtoull(copy, NULL, 10), bytes;
        if (errno == ERANGE || __builtin_mul_overflow(value, (uint64_t)factor, &bytes))
            return cli_fail("%s: %s is too large, 64 bits do not hold it", name, text);
        *out = bytes;
        return CLI_YES;
    }
    double value = strtod(copy, NULL) * factor;
    if (value >= 18446744073709551616.0) return cli_fail("%s: %s is too large, 64 bits do not hold it", name, text);
    *out = (uint64_t)value;
    return CLI_YES;
}

static int parse_double(const char *name, const char *text, double *out) {
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end || strpbrk(text, " \t\n")) return cli_fail("%s: '%s' is not a number", name, text);
    if (isnan(value) || isinf(value)) return cli_fail("%s: '%s' is not a finite number", name, text);
    *out = value;
    return CLI_YES;
}

/* `n` digits at *p, which is moved. */
static bool digits(const char **p, int n, int *out) {
    *out = 0;
    for (int i = 0; i < n; i++, ++*p) {
        if (**p < '0' || **p > '9') return false;
        *out = *out * 10 + (**p - '0');
    }
    return true;
}

bool cli_parse_time(const char *text, int64_t *seconds) {
    const char *p = text;
    struct tm tm = { .tm_mday = 1 };
    int hours = 0, minutes = 0, sign = 0;
    if (!digits(&p, 4, &tm.tm_year) || *p++ != '-' || !digits(&p, 2, &tm.tm_mon) || *p++ != '-' ||
        !digits(&p, 2, &tm.tm_mday))
        return false;
    if (*p == 'T' || *p == ' ') {
        p++;
        if (!digits(&p, 2, &tm.tm_hour) || *p++ != ':' || !digits(&p, 2, &tm.tm_min)) return false;
        if (*p == ':' && (p++, !digits(&p, 2, &tm.tm_sec))) return false;
        if (*p == '.') p += 1 + strspn(p + 1, "0123456789");
        if (*p == '+' || *p == '-') {
            sign = *p++ == '+' ? 1 : -1;
            if (!digits(&p, 2, &hours) || (*p == ':' && !*++p) || !digits(&p, 2, &minutes)) return false;
        } else if (*p == 'Z') {
            p++;
        }
    }
    if (*p || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60 || hours > 23 || minutes > 59)
        return false;
    int day = tm.tm_mday;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *seconds = (int64_t)timegm(&tm) - sign * (hours * 3600 + minutes * 60);
    return tm.tm_mday == day; /* no 30th of February */
}

static int parse_dtype(const char *name, const char *text, tola_dtype *out) {
    tola_dtype dtype = tola_dtype_parse(text);
    if (dtype != TOLA_DTYPE_NONE) {
        *out = dtype;
        return CLI_YES;
    }
    tola_nearest nearest;
    tola_nearest_init(&nearest, text);
    for (int i = TOLA_DTYPE_NONE + 1; i < TOLA_DTYPE_COUNT; i++) {
        const char *candidate = tola_dtype_name((tola_dtype)i);
        if (strcmp(candidate, "?") != 0) tola_nearest_try(&nearest, candidate);
    }
    if (nearest.best) return cli_fail("%s: unknown dtype '%s'; did you mean '%s'?", name, text, nearest.best);
    return cli_fail("%s: unknown dtype '%s'; known ones are f32, f16, bf16, f8_e4m3, i8, q8_0 and others", name, text);
}

/* The user's own word is stored; it lives as long as argv. */
static int parse_choice(const char *name, const cli_option *o, const char *text, const char **out) {
    char word[64], list[512];
    size_t used = 0;
    list[0] = 0;
    for (size_t i = 0; frame_word(o->choices, i, word, sizeof word); i++) {
        if (strcmp(word, text) == 0) {
            *out = text;
            return CLI_YES;
        }
        int n = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", word);
        if (n > 0 && (size_t)n < sizeof list - used) used += (size_t)n;
    }
    return cli_fail("%s: '%s' is not one of %s", name, text, list);
}

static void list_append(cli_list *list, const char *value) {
    list->items = frame_realloc(list->items, (list->count + 2) * sizeof *list->items);
    list->items[list->count++] = value;
    list->items[list->count] = NULL;
}

static int parse_given(const char *name, const char *text, cli_given *out) {
    int code = parse_uint(name, text, UINT64_MAX, &out->value);
    out->given = out->given || code == CLI_YES;
    return code;
}

/* `base` is the struct that o->offset counts in; the rows of a table and its struct belong together, which is what
 * makes the conversions below right. */
static int store(const cli_option *o, void *base, const char *value) {
    char name[64];
    void *field = (char *)base + o->offset;
    option_name(o, name);
    switch (o->kind) {
    case CLI_FLAG: *(bool *)field = true; return CLI_YES;
    case CLI_STRING:
    case CLI_OPTIONAL: *(const char **)field = value ? value : ""; return CLI_YES;
    case CLI_LIST: list_append(field, value); return CLI_YES;
    case CLI_UINT: return parse_uint(name, value, UINT64_MAX, field);
    case CLI_GIVEN: return parse_given(name, value, field);
    case CLI_SIZE: return parse_size(name, value, field);
    case CLI_DOUBLE: return parse_double(name, value, field);
    case CLI_DTYPE: return parse_dtype(name, value, field);
    case CLI_CHOICE: return parse_choice(name, o, value, field);
    }
    return CLI_ERROR;
}

/* ---- arguments ---- */

typedef struct parser {
    const cli_verb *verb;
    frame_parsed *out;
    common_settings common;
    int argc, at;
    char **argv;
} parser;

static bool takes_value(const cli_option *o) { return o->kind != CLI_FLAG && o->kind != CLI_OPTIONAL; }

static int set_option(parser *p, const cli_option *o, const char *value) {
    char name[64];
    if (o->kind == CLI_FLAG && value) return cli_fail("%s takes no value", option_name(o, name));
    if (takes_value(o) && !value) {
        if (p->at >= p->argc)
            return cli_fail("%s needs a value: %s %s", option_name(o, name), name, o->argument ? o->argument : "VALUE");
        value = p->argv[p->at++];
    }
    return store(o, is_common(o) ? (void *)&p->common : p->out->settings, value);
}

static int parse_long(parser *p, const char *text) {
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    const cli_option *o;
    for (size_t i = 0; (o = frame_option(p->verb, i)); i++)
        if (strlen(o->name) == length && length && memcmp(o->name, text, length) == 0)
            return set_option(p, o, equals ? equals + 1 : NULL);
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)length, text);
    tola_nearest nearest;
    tola_nearest_init(&nearest, word);
    for (size_t i = 0; (o = frame_option(p->verb, i)); i++) tola_nearest_try(&nearest, o->name);
    if (nearest.best)
        return cli_fail("%s: unknown option --%s; did you mean --%s?", p->verb->name, word, nearest.best);
    return cli_fail("%s: unknown option --%s; 'tola %s -h' lists them", p->verb->name, word, p->verb->name);
}

static int parse_letters(parser *p, const char *text) {
    while (*text) {
        char letter = *text++;
        const cli_option *o;
        for (size_t i = 0; (o = frame_option(p->verb, i)); i++)
            if (o->letter == letter) break;
        if (!o)
            return cli_fail("%s: unknown option -%c; 'tola %s -h' lists them", p->verb->name, letter, p->verb->name);
        const char *value = NULL;
        if (*text == '=')
            value = text + 1;
        else if (*text && takes_value(o))
            value = text;
        int code = set_option(p, o, value);
        if (code != CLI_YES || value) return code;
    }
    return CLI_YES;
}

static int check_count(const parser *p) {
    const cli_verb *verb = p->verb;
    unsigned n = (unsigned)p->out->n_args;
    const int line = (int)strcspn(verb->usage, "\n"); /* a message is one line */
    if (n < verb->min_args)
        return cli_fail("%s: %s missing: %.*s", verb->name,
                        n + 1 == verb->min_args ? "an argument is" : "arguments are", line, verb->usage);
    if (n > verb->max_args)
        return cli_fail("%s: '%s' is one argument too many: %.*s", verb->name, p->out->args[verb->max_args], line,
                        verb->usage);
    return CLI_YES;
}

static int apply_common(parser *p) {
    const common_settings *c = &p->common;
    cli.json = c->json;
    cli.quiet = c->quiet;
    cli.verbose = c->verbose;
    cli.force = c->force;
    if (c->progress) cli.progress = c->progress;
    if (c->threads > CLI_MAX_THREADS)
        return cli_fail("--threads: %llu is too large, the largest is %d", (unsigned long long)c->threads,
                        CLI_MAX_THREADS);
    cli.threads = (unsigned)c->threads;
    return CLI_YES;
}

int frame_parse(const cli_verb *verb, int argc, char **argv, frame_parsed *out) {
    *out = (frame_parsed){ .settings = frame_alloc(verb->settings_size + 1) };
    memset(out->settings, 0, verb->settings_size + 1);
    if (verb->defaults) memcpy(out->settings, verb->defaults, verb->settings_size);
    out->args = frame_alloc(((size_t)argc + 1) * sizeof *out->args);
    parser p = { .verb = verb, .out = out, .argc = argc, .argv = argv };
    bool options = true;
    int code = CLI_YES;
    while (p.at < argc && code == CLI_YES) {
        char *text = argv[p.at++];
        if (!options || text[0] != '-' || text[1] == 0)
            out->args[out->n_args++] = text;
        else if (strcmp(text, "--") == 0)
            options = false;
        else
            code = text[1] == '-' ? parse_long(&p, text + 2) : parse_letters(&p, text + 1);
    }
    out->args[out->n_args] = NULL;
    out->help_short = p.common.help_short;
    out->help_long = p.common.help_long;
    out->identities = p.common.identities;
    out->passphrase_files = p.common.passphrase_files;
    if (code == CLI_YES) code = apply_common(&p);
    if (code == CLI_YES && !out->help_short && !out->help_long) code = check_count(&p);
    return code;
}

int frame_set_option(const cli_verb *verb, void *settings, const char *name, const char *value) {
    for (const cli_option *o = verb->options; o && o->name; o++)
        if (o->kind != CLI_FLAG && strcmp(o->name, name) == 0) return store(o, settings, value);
    return cli_fail("there is no option %s", name);
}

void frame_parsed_free(const cli_verb *verb, frame_parsed *parsed) {
    for (const cli_option *o = verb->options; o && o->name; o++) {
        if (o->kind != CLI_LIST) continue;
        cli_list *list = (cli_list *)(void *)((char *)parsed->settings + o->offset);
        free(list->items);
    }
    free(parsed->identities.items);
    free(parsed->passphrase_files.items);
    free(parsed->settings);
    free(parsed->args);
}
