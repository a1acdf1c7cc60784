/* The program `tola`: finds the verb, has its options parsed, runs it, and ends with its exit code.
 *
 * Knows no verb itself; they are in verbs.c. Hidden verbs make man pages and completions from the tables. */
#include "frame.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const cli_verb *frame_find_verb(const char *name) {
    for (size_t i = 0; cli_verbs[i]; i++)
        if (strcmp(cli_verbs[i]->name, name) == 0) return cli_verbs[i];
    return NULL;
}

static int unknown_verb(const char *name) {
    tola_nearest nearest;
    tola_nearest_init(&nearest, name);
    for (size_t i = 0; cli_verbs[i]; i++) tola_nearest_try(&nearest, cli_verbs[i]->name);
    tola_nearest_try(&nearest, "help");
    if (nearest.best) return cli_fail("unknown verb '%s'; did you mean '%s'?", name, nearest.best);
    if (name[0] == '-') return cli_fail("a verb comes first, then its options; 'tola help' lists the verbs");
    return cli_fail("unknown verb '%s'; 'tola help' lists the verbs", name);
}

static void warn_of_key(void *user, const char *message) {
    (void)user;
    cli_warn("%s", message);
}

/* What opens encrypted models goes into the library's ring before a verb opens one. */
static int add_keys(const frame_parsed *parsed) {
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = TOLA_OK;
    tola_keys_on_warning(warn_of_key, NULL);
    for (size_t i = 0; status == TOLA_OK && i < parsed->identities.count; i++)
        status = tola_keys_add_identity(parsed->identities.items[i], &err);
    for (size_t i = 0; status == TOLA_OK && i < parsed->passphrase_files.count; i++)
        status = tola_keys_add_passphrase_file(parsed->passphrase_files.items[i], &err);
    return status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

static int run_verb(const cli_verb *verb, int argc, char **argv) {
    frame_parsed parsed;
    int code = frame_parse(verb, argc, argv, &parsed);
    if (code == CLI_YES) {
        if (parsed.help_long || parsed.help_short)
            help_verb(verb, parsed.help_long);
        else if ((code = add_keys(&parsed)) == CLI_YES && (code = frame_log_begin(verb, &parsed)) == CLI_YES)
            code = frame_log_end(verb->run(parsed.settings, parsed.args, parsed.n_args));
    }
    cli_progress_end();
    tola_keys_forget();
    frame_parsed_free(verb, &parsed);
    return code;
}

static int run_help(int argc, char **argv) {
    if (argc == 0) {
        help_overview();
        return CLI_YES;
    }
    const cli_verb *verb = frame_find_verb(argv[0]);
    if (!verb) return unknown_verb(argv[0]);
    help_verb(verb, true);
    return CLI_YES;
}

/* For the build: `__verbs` lists them, `__man [VERB]` and `__complete-script SHELL` write one document to stdout. */
static int run_hidden(const char *name, int argc, char **argv) {
    if (strcmp(name, "__verbs") == 0) {
        for (size_t i = 0; cli_verbs[i]; i++) out_printf("%s\n", cli_verbs[i]->name);
        return CLI_YES;
    }
    if (strcmp(name, "__man") == 0) {
        const cli_verb *verb = argc > 0 ? frame_find_verb(argv[0]) : NULL;
        if (argc > 0 && !verb) return unknown_verb(argv[0]);
        if (verb)
            doc_man_verb(verb);
        else
            doc_man_overview();
        return CLI_YES;
    }
    if (strcmp(name, "__complete-script") == 0) {
        if (argc == 1 && doc_completions(argv[0])) return CLI_YES;
        return cli_fail("__complete-script takes one of bash, zsh, fish");
    }
    return unknown_verb(name);
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        help_overview();
        return CLI_YES;
    }
    const char *first = argv[1];
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        out_printf("tola %s\n", tola_version());
        return CLI_YES;
    }
    if (strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        return run_help(argc - 2, argv + 2);
    if (strncmp(first, "__", 2) == 0) return run_hidden(first, argc - 2, argv + 2);
    const cli_verb *verb = frame_find_verb(first);
    if (!verb) return unknown_verb(first);
    return run_verb(verb, argc - 2, argv + 2);
}

int main(int argc, char **argv) {
    frame_out_init();
    int code = out_close(run(argc, argv));
    int signal_number = frame_interrupt_signal();
    if (signal_number && code == CLI_ERROR) {
        /* Everything is cleaned up: end as the signal would have, so that shells and make see it. */
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    return code;
}
