/* What the files of the frame share with each other; verbs see only cli.h. */
#ifndef CLI_FRAME_H
#define CLI_FRAME_H

#include "cli.h"
#include <stdarg.h>

#define CLI_MAX_THREADS 1024 /* more than any machine has processors; a larger number is a slip of the keyboard */

/* ---- memory: the frame cannot go on without it, so these end the process where there is none ---- */
void *frame_alloc(size_t bytes);
void *frame_realloc(void *block, size_t bytes);
char *frame_format(const char *format, va_list args) __attribute__((format(printf, 1, 0))); /* freed with free */

/* ---- verbs and options ---- */
const cli_verb *frame_find_verb(const char *name);
extern const cli_option frame_common_options[]; /* ends with a row whose name is NULL */
extern const cli_option frame_key_options[];    /* of verbs that open models; ends likewise */
/* Row i of the verb's options followed by those of keys and the common ones; NULL beyond the end. */
const cli_option *frame_option(const cli_verb *verb, size_t i);
/* Word i of a space-separated list copied into buf; false beyond the end. */
bool frame_word(const char *words, size_t i, char *buf, size_t cap);

typedef struct frame_parsed {
    void *settings;
    char **args; /* the arguments that are no options; NULL-terminated */
    int n_args;
    cli_list identities, passphrase_files; /* what opens encrypted models */
    bool help_short, help_long;
} frame_parsed;
/* Parses argv[0 .. argc-1] (what follows the verb) into out and into `cli`. CLI_YES, or CLI_ERROR after a message. */
int frame_parse(const cli_verb *verb, int argc, char **argv, frame_parsed *out);
void frame_parsed_free(const cli_verb *verb, frame_parsed *parsed);
/* Sets an option that takes a value as --name VALUE does. CLI_YES, or CLI_ERROR after a message. */
int frame_set_option(const cli_verb *verb, void *settings, const char *name, const char *value);

/* ---- help and documents made from the tables ---- */
void help_overview(void);
void help_verb(const cli_verb *verb, bool longer);
/* "--dtype DTYPE", "--tensors[=GLOB]" into buf. */
const char *help_option_form(const cli_option *o, char *buf, size_t cap);
void doc_man_overview(void);
void doc_man_verb(const cli_verb *verb);
bool doc_completions(const char *shell); /* false for an unknown shell */

/* ---- the access log: TOLA_LOG ---- */
/* Tells it that the verb begins; CLI_ERROR after a message where it cannot be told: the verb must not run. */
int frame_log_begin(const cli_verb *verb, const frame_parsed *parsed);
/* Tells it how the verb ended; `code`, or CLI_ERROR after a message. */
int frame_log_end(int code);

/* ---- output ---- */
void frame_out_init(void); /* colours, width, closed descriptors */
void frame_out_flush(void);
bool frame_out_gone(void); /* nothing more can be written: the reader has gone, or a write failed */
void frame_progress_clear(void); /* before anything else is written to stderr */
int frame_interrupt_signal(void); /* the signal that came, 0 for none */
/* Appends `text` with control bytes, escape sequences, bidirectional overrides and bad UTF-8 made visible; keeps
 * newlines and tabs where `keep_lines`. The result is freed with free. */
char *frame_quote(const char *text, size_t length, bool keep_lines);
/* Cells of a terminal that `length` bytes of UTF-8 take. */
size_t frame_width(const char *text, size_t length);
/* May a file of that name be written: is it new, or was --force given? A message where not. */
bool frame_may_write(const char *path);
/* A file that appears whole or not at all, replacing one of that name; CLI_ERROR after a message. */
int frame_write_file(const char *path, const char *data, size_t length);

#endif
