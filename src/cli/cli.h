/* The frame of the command line: one option table per verb, one output sink, one exit. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>
#include <tola/tola.h>

/* Exit codes. */
enum { CLI_YES = 0, CLI_NO = 1, CLI_ERROR = 2 };

typedef enum cli_kind {
    CLI_FLAG,     /* bool */
    CLI_STRING,   /* const char * */
    CLI_OPTIONAL, /* const char *: --tensors or --tensors=GLOB; "" where no value is given */
    CLI_LIST,     /* may be repeated: cli_list */
    CLI_UINT,     /* uint64_t */
    CLI_GIVEN,    /* cli_given: such a number of which every value means something */
    CLI_SIZE,     /* uint64_t, "4GiB" */
    CLI_DOUBLE,   /* double */
    CLI_DTYPE,    /* tola_dtype */
    CLI_CHOICE    /* const char *, one of the words in `choices` */
} cli_kind;

typedef struct cli_list {
    const char **items; /* NULL-terminated; NULL where the option was not given */
    size_t count;
} cli_list;

typedef struct cli_given {
    uint64_t value;
    bool given;
} cli_given;

/* One row: parsing, -h, --help, the man page and the completions all come from it. */
typedef struct cli_option {
    const char *name;     /* "dtype" for --dtype */
    char letter;          /* 'q' for -q, 0 for none */
    cli_kind kind;
    const char *argument; /* "GLOB", shown in help */
    const char *help;     /* one line, a full sentence without a full stop */
    size_t offset;        /* offsetof in the verb's struct */
    const char *choices;  /* CLI_CHOICE: space-separated */
    const char *complete; /* "file", "model", "dtype" or NULL: hint for completions */
} cli_option;

typedef struct cli_verb {
    const char *name;        /* "inspect" */
    const char *summary;     /* one line */
    const char *usage;       /* "tola inspect MODEL [options]" */
    const char *description; /* paragraphs for --help and the man page, separated by empty lines */
    const char *examples;    /* lines "command\twhat it does" */
    const char *exits;       /* lines "0\tdone" */
    const cli_option *options; /* ends with a row whose name is NULL; the common ones are added by the frame */
    size_t settings_size;    /* of the verb's struct, zeroed before parsing */
    const void *defaults;    /* such a struct to begin with instead of zeros; NULL */
    unsigned min_args, max_args;
    bool model;              /* it opens models, which may be encrypted: --identity and --passphrase-file */
    bool in_place;           /* it changes the file that its first argument names: the log names that as written, too */
    int (*run)(const void *settings, char **args, int n_args); /* returns an exit code */
    bool (*unlogged)(char **args); /* is this use of the verb none that TOLA_LOG is told of? NULL: it never is */
} cli_verb;

extern const cli_verb *const cli_verbs[]; /* NULL-terminated, in the order of the help */

/* ---- common options, valid while a verb runs ---- */
typedef struct cli_common {
    bool json, quiet, verbose, force;
    unsigned threads;
    const char *progress; /* "auto", "always", "never" */
    bool colour;          /* stdout is a terminal, no NO_COLOR, TERM not dumb */
    int columns;          /* width of the terminal, 80 where unknown */
} cli_common;
extern cli_common cli;

/* ---- output ---- */
/* "tola: message" on stderr, one line, control bytes quoted; returns CLI_ERROR. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Opens MODEL to look at its values: matrices that GPTQ and its kin keep as several tensors are seen decoded, unless
 * `stored`. A kind of quantization that is not understood is a warning, and its tensors are seen as stored. Returns
 * CLI_YES, or the exit code after the message. */
int cli_open_values(const char *path, bool stored, tola_checkpoint **out);
/* Opens MODEL to run it, with LoRA adapters ("path" or "path:SCALE"; NULL: none), and warns where it has tensors that
 * are no part of what runs. Returns as above. */
int cli_open_model(const char *path, const cli_list *adapters, tola_model_options *options, tola_model **out);
/* The adapters of --adapter; freed with free. */
tola_adapter *cli_adapters(const cli_list *list);
int cli_fail_error(const tola_error *err);
/* "2026-11-22", "2026-11-22T01:02", "...:03", "...Z", "...+01:00" as seconds since 1970; without a zone it is UTC. False
 * for anything else. */
bool cli_parse_time(const char *text, int64_t *seconds);
/* All of a file, or of stdin where `path` is "-", with a NUL behind it; freed with free. NULL after a message. */
char *cli_read_all(const char *path, size_t limit, size_t *length);
void cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Warnings of a job, kept until it is done, so that a failure is told in one line. */
typedef struct cli_warnings {
    char **lines;
    size_t count;
} cli_warnings;
void cli_collect_warning(void *user, const char *message); /* a tola_warning_fn; user: cli_warnings, zeroed at first */
void cli_warnings_free(cli_warnings *w);
/* Everything on stdout goes through these, so that EPIPE is quiet and a full disk is an error. */
void out_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Text from files: control bytes made visible, never raw escape sequences. */
void out_text(const char *text);
/* Text that is the result itself: every byte as it is, but on a terminal like out_printf, with a line end. */
void out_raw(const char *text, size_t length);
/* The same without a line end, and seen at once: text that comes piece by piece, each of whole characters. */
void out_stream(const char *text, size_t length);
typedef enum { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_RED, OUT_GREEN, OUT_YELLOW, OUT_BLUE, OUT_MAGENTA, OUT_CYAN } out_style;
void out_styled(out_style style, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An emitter to stdout (2 spaces of indentation), for --json. */
void out_json_begin(tola_json *json);
void out_json_end(tola_json *json);
/* One member of the object that is open. A text that is NULL and a number that is NaN are null. */
void out_json_string(tola_json *json, const char *key, const char *value);
void out_json_u64(tola_json *json, const char *key, uint64_t value);
void out_json_count(tola_json *json, const char *key, uint64_t value); /* of which 0 says that it is unknown: null */
void out_json_f64(tola_json *json, const char *key, double value);
void out_json_bool(tola_json *json, const char *key, bool value);
/* Flushes; CLI_ERROR where stdout could not take everything, else `code`. */
int out_close(int code);

/* A table: columns are aligned when it is printed. Cells are copied. Numbers right, text left. */
typedef struct out_table out_table;
out_table *out_table_new(int columns, const char *alignment /* "lrrl" */, const char *const *headings);
void out_table_cell(out_table *t, out_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
void out_table_print(out_table *t); /* frees it */

/* "7.24 G" style counts, "13.5 GB (12.6 GiB)" style sizes; into buf. */
const char *text_count(char *buf, size_t n, uint64_t value);      /* 7241732096 -> "7.24 B" */
const char *text_bytes(char *buf, size_t n, uint64_t bytes);      /* "14.48 GB" (1e9) */
const char *text_grouped(char *buf, size_t n, uint64_t value);    /* "7,241,732,096" */

/* ---- long work ---- */
/* A tola_progress_fn: draws phase, bar, rate, time left on stderr; returns false after SIGINT or SIGTERM. */
bool cli_progress(void *user, const tola_progress *progress);
void cli_progress_end(void); /* clears the line */
/* SIGINT/SIGTERM are caught from here on: the first asks the job to stop, the second ends the process. */
void cli_catch_interrupts(void);
bool cli_interrupted(void);
/* What came is forgotten, and signals do again what they did before cli_catch_interrupts. */
void cli_release_interrupts(void);
/* A line on stderr, where that is a terminal, which the next one replaces and cli_progress_end clears. */
void cli_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
