/* Man pages and shell completions, made from the same tables as the help.
 *
 * Man pages are written in mdoc (mdoc(7)); section 1, one page for the program and one for each verb. */
#include "frame.h"
#include <ctype.h>
#include <string.h>

#ifndef TOLA_DOC_DATE
#error "the build says which date the man pages carry"
#endif

/* ---- mdoc ---- */

static void roff_word(const char *word, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (word[i] == '\\') out_printf("\\e");
        else if (word[i] == '-') out_printf("\\-");
        else out_printf("%c", word[i]);
    }
}

/* Text outside of macro lines, filled to lines below 80 columns; a sentence ends its line, as mdoc wants it, and no
 * line begins with a control character. */
static void roff_text(const char *text, size_t length) {
    const char *end = text + length;
    size_t column = 0;
    while (text < end) {
        size_t n = 0;
        while (text < end && (*text == ' ' || *text == '\n')) text++;
        while (text + n < end && text[n] != ' ' && text[n] != '\n') n++;
        if (n == 0) break;
        if (column && column + 1 + n > 72) {
            out_printf("\n");
            column = 0;
        }
        if (column) out_printf(" ");
        else if (*text == '.' || *text == '\'') out_printf("\\&");
        roff_word(text, n);
        column += n + (column > 0);
        bool sentence = strchr(".?!", text[n - 1]) && text + n + 1 < end && isupper((unsigned char)text[n + 1]);
        if (sentence || text + n == end) {
            out_printf("\n");
            column = 0;
        }
        text += n;
    }
    if (column) out_printf("\n");
}

/* A row of a table, which has no full stop. */
static void roff_sentence(const char *text) {
    char buf[1024];
    snprintf(buf, sizeof buf, "%s.", text);
    roff_text(buf, strlen(buf));
}

static void roff_paragraphs(const char *text) {
    for (bool first = true; *text; first = false) {
        const char *gap = strstr(text, "\n\n");
        size_t length = gap ? (size_t)(gap - text) : strlen(text);
        if (!first) out_printf(".Pp\n");
        roff_text(text, length);
        text += length;
        while (*text == '\n') text++;
    }
}

/* An argument of a macro: quoted, because "[=GLOB]" or "A|B" would be read as delimiters. */
static void roff_argument(const char *text, size_t length) {
    out_printf("\"");
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"') out_printf("\\(dq");
        else roff_word(text + i, 1);
    }
    out_printf("\"");
}

static void man_option(const cli_option *o) {
    out_printf(".It ");
    if (o->letter && o->name[0]) out_printf("Fl %c , ", o->letter);
    if (!o->name[0]) {
        out_printf("Fl %c\n", o->letter);
    } else {
        out_printf("Fl \\-%s", o->name);
        if (o->kind == CLI_OPTIONAL) out_printf(" Ns Op = Ns Ar %s", o->argument ? o->argument : "VALUE");
        else if (o->kind != CLI_FLAG) out_printf(" Ar %s", o->argument ? o->argument : "VALUE");
        out_printf("\n");
    }
    roff_sentence(o->help);
    if (o->choices) {
        char word[64];
        out_printf("One of");
        for (size_t i = 0; frame_word(o->choices, i, word, sizeof word); i++) out_printf("%s %s", i ? "," : "", word);
        out_printf(".\n");
    }
    if (o->kind == CLI_LIST) out_printf("May be given more than once.\n");
}

static void man_options(const cli_option *o) {
    out_printf(".Bl -tag -width Ds\n");
    for (; o->name; o++) man_option(o);
    out_printf(".El\n");
}

static void upper(char *dst, size_t cap, const char *text) {
    size_t i = 0;
    for (; text[i] && i + 1 < cap; i++) dst[i] = (char)toupper((unsigned char)text[i]);
    dst[i] = 0;
}

static void man_head(const char *title, const char *name, const char *summary) {
    char shout[64];
    upper(shout, sizeof shout, title);
    out_printf(".\\\" Made from the option tables of tola %s; edit those.\n", tola_version());
    out_printf(".Dd %s\n.Dt %s 1\n.Os\n.Sh NAME\n.Nm %s\n.Nd ", TOLA_DOC_DATE, shout, name);
    out_printf("%c%s\n", tolower((unsigned char)summary[0]), summary + 1);
}

static void man_pairs(const char *lines, bool commands) {
    out_printf(".Bl -tag -width Ds\n");
    while (*lines) {
        size_t length = strcspn(lines, "\n"), left = strcspn(lines, "\t\n");
        out_printf(commands ? ".It Ic " : ".It ");
        roff_argument(lines, left);
        out_printf("\n");
        if (left < length) roff_text(lines + left + 1, length - left - 1);
        lines += length;
        if (*lines == '\n') lines++;
    }
    out_printf(".El\n");
}

void doc_man_verb(const cli_verb *verb) {
    char name[64];
    snprintf(name, sizeof name, "tola-%s", verb->name);
    man_head(name, name, verb->summary);
    out_printf(".Sh SYNOPSIS\n");
    roff_text(verb->usage, strlen(verb->usage));
    out_printf(".Sh DESCRIPTION\n");
    if (verb->description) {
        roff_paragraphs(verb->description);
    } else {
        roff_sentence(verb->summary);
    }
    if (verb->options && verb->options[0].name) {
        out_printf(".Pp\nThe options are:\n");
        man_options(verb->options);
    }
    if (verb->model) {
        out_printf(".Pp\nWhat opens encrypted models:\n");
        man_options(frame_key_options);
    }
    out_printf(".Pp\nThe options of every verb are:\n");
    man_options(frame_common_options);
    if (verb->exits && *verb->exits) {
        out_printf(".Sh EXIT STATUS\n");
        man_pairs(verb->exits, false);
    }
    if (verb->examples && *verb->examples) {
        out_printf(".Sh EXAMPLES\n");
        man_pairs(verb->examples, true);
    }
    out_printf(".Sh SEE ALSO\n.Xr tola 1\n");
}

void doc_man_overview(void) {
    man_head("tola", "tola", "model weights, opened, inspected, compared and converted");
    out_printf(".Sh SYNOPSIS\n.Nm\n.Ar verb\n.Op Ar argument ...\n.Op Ar option ...\n");
    out_printf(".Nm\n.Cm help\n.Op Ar verb\n.Nm\n.Fl \\-version\n.Sh DESCRIPTION\n");
    static const char intro[] =
        "A MODEL on the command line is a file, a shard index, a folder in the Hugging Face layout, or a reference: "
        "https://... or hf://org/name[@revision]. Nothing in a file is ever executed, and no network connection is "
        "opened unless a reference names it.";
    roff_text(intro, sizeof intro - 1);
    if (cli_verbs[0]) {
        out_printf(".Pp\nThe verbs are:\n.Bl -tag -width Ds\n");
        for (size_t i = 0; cli_verbs[i]; i++) {
            out_printf(".It Cm %s\n", cli_verbs[i]->name);
            roff_sentence(cli_verbs[i]->summary);
            out_printf("See\n.Xr tola-%s 1 .\n", cli_verbs[i]->name);
        }
        out_printf(".El\n");
    }
    out_printf(".Pp\nThe options of every verb are:\n");
    man_options(frame_common_options);
    out_printf(".Pp\nSizes are written as 4GiB, 4GB, 512MiB, or a plain number of bytes.\n"
               ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
               ".It Ev NO_COLOR\nIf set and not empty, nothing is coloured.\n"
               ".It Ev COLUMNS\nThe width of the terminal.\n"
               ".It Ev TOLA_CPU\nThe highest instruction set that is used, as in scalar;\n"
               "for tests and for reports of errors.\n"
               ".It Ev TOLA_IDENTITY , TOLA_PASSPHRASE_FILE\nWhat opens encrypted models where no option says it:\n"
               "files as --identity and --passphrase-file name them.\n"
               ".It Ev HF_ENDPOINT , HF_TOKEN\nThe server behind hf:// references and the token it is given.\n.El\n"
               ".Sh EXIT STATUS\n.Bl -tag -width Ds\n.It 0\nDone, or the answer is yes.\n"
               ".It 1\nIt ran, and the answer is no: the two differ.\n"
               ".It 2\nAn error; one line on stderr says what, where, and what to do.\n.El\n");
}

/* ---- completions ---- */

static void dtype_words(void) {
    const char *gap = "";
    for (int i = TOLA_DTYPE_OPAQUE + 1; i < TOLA_DTYPE_COUNT; i++) {
        const char *name = tola_dtype_name((tola_dtype)i);
        if (strcmp(name, "?") == 0) continue;
        out_printf("%s%s", gap, name);
        gap = " ";
    }
}

static void type_words(void) {
    for (size_t i = 0; tola_quantize_type_name(i); i++) out_printf("%s%s", i ? " " : "", tola_quantize_type_name(i));
}

static bool hint_is(const cli_option *o, const char *hint) { return o->complete && strcmp(o->complete, hint) == 0; }

static bool wants_dtype(const cli_option *o) { return o->kind == CLI_DTYPE || hint_is(o, "dtype"); }

static bool wants_type(const cli_option *o) { return hint_is(o, "quantize"); }

static bool wants_file(const cli_option *o) { return hint_is(o, "file") || hint_is(o, "model"); }

/* Inside single quotes of a shell. */
static void quoted(const char *text) {
    for (; *text; text++) {
        if (*text == '\'') out_printf("'\\''");
        else out_printf("%c", *text);
    }
}

static void bash_values(const cli_option *o) {
    if (o->kind == CLI_FLAG || o->kind == CLI_OPTIONAL || !o->name[0]) return;
    out_printf("            --%s", o->name);
    if (o->letter) out_printf("|-%c", o->letter);
    out_printf(") ");
    if (o->choices)
        out_printf("COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;\n", o->choices);
    else if (wants_dtype(o))
        out_printf("COMPREPLY=($(compgen -W \"$dtypes\" -- \"$word\")); return ;;\n");
    else if (wants_type(o)) {
        out_printf("COMPREPLY=($(compgen -W '");
        type_words();
        out_printf("' -- \"$word\")); return ;;\n");
    }
    else if (wants_file(o))
        out_printf("compopt -o filenames; COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n");
    else
        out_printf("return ;;\n");
}

static void bash_verb(const cli_verb *verb) {
    const cli_option *o;
    out_printf("    %s)\n        case $before in\n", verb->name);
    for (size_t i = 0; (o = frame_option(verb, i)); i++) bash_values(o);
    out_printf("        esac\n        options='");
    for (size_t i = 0; (o = frame_option(verb, i)); i++) {
        if (o->name[0]) out_printf("%s--%s", i ? " " : "", o->name);
        if (o->letter) out_printf(" -%c", o->letter);
    }
    out_printf("' ;;\n");
}

static void complete_bash(void) {
    out_printf("# bash completion for tola, made from its option tables\n"
               "# shellcheck shell=bash disable=SC2207\n_tola() {\n"
               "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options=''\n"
               "    local dtypes='");
    dtype_words();
    out_printf("'\n    local verbs='");
    for (size_t i = 0; cli_verbs[i]; i++) out_printf("%s ", cli_verbs[i]->name);
    out_printf("help --version'\n"
               "    COMPREPLY=()\n"
               "    if [ \"$COMP_CWORD\" -eq 1 ] || { [ \"$COMP_CWORD\" -eq 2 ] && [ \"$before\" = help ]; }; then\n"
               "        COMPREPLY=($(compgen -W \"$verbs\" -- \"$word\"))\n        return\n    fi\n"
               "    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; cli_verbs[i]; i++) bash_verb(cli_verbs[i]);
    out_printf("    *) return ;;\n    esac\n"
               "    case $word in\n"
               "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
               "    *) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
               "    esac\n}\ncomplete -F _tola tola\n");
}

/* In a specification of _arguments: brackets and colons have a meaning. */
static void zsh_text(const char *text) {
    for (; *text; text++) {
        if (strchr("[]:\\", *text)) out_printf("\\");
        if (*text == '\'') out_printf("'\\''");
        else out_printf("%c", *text);
    }
}

static void zsh_action(const cli_option *o) {
    out_printf("%s:", o->argument ? o->argument : "VALUE");
    if (o->choices) {
        out_printf("(%s)", o->choices);
    } else if (wants_dtype(o)) {
        out_printf("(");
        dtype_words();
        out_printf(")");
    } else if (wants_type(o)) {
        out_printf("(");
        type_words();
        out_printf(")");
    } else if (wants_file(o)) {
        out_printf("_files");
    }
}

static void zsh_option(const cli_option *o) {
    for (int form = 0; form < 2; form++) {
        if (form == 0 ? !o->letter : !o->name[0]) continue;
        out_printf(" \\\n            '%s", o->kind == CLI_LIST ? "*" : "");
        if (form == 0) out_printf("-%c", o->letter);
        else out_printf("--%s", o->name);
        if (o->kind == CLI_OPTIONAL) out_printf("=-");
        else if (o->kind != CLI_FLAG) out_printf(form == 0 ? "+" : "=");
        out_printf("[");
        zsh_text(o->help);
        out_printf("]");
        if (o->kind != CLI_FLAG) {
            out_printf(o->kind == CLI_OPTIONAL ? "::" : ":");
            zsh_action(o);
        }
        out_printf("'");
    }
}

static void complete_zsh(void) {
    out_printf("#compdef tola\n# zsh completion for tola, made from its option tables\n_tola() {\n    local -a verbs\n"
               "    verbs=(\n");
    for (size_t i = 0; cli_verbs[i]; i++) {
        out_printf("        '%s:", cli_verbs[i]->name);
        quoted(cli_verbs[i]->summary);
        out_printf("'\n");
    }
    out_printf("        'help:Show how a verb is used'\n    )\n"
               "    if (( CURRENT == 2 )) || { (( CURRENT == 3 )) && [[ $words[2] == help ]]; }; then\n"
               "        _describe 'verb' verbs\n        return\n    fi\n"
               "    local verb=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $verb in\n");
    for (size_t i = 0; cli_verbs[i]; i++) {
        const cli_option *o;
        out_printf("    %s)\n        _arguments -s", cli_verbs[i]->name);
        for (size_t j = 0; (o = frame_option(cli_verbs[i], j)); j++) zsh_option(o);
        out_printf(" \\\n            '*:file:_files' ;;\n");
    }
    out_printf("    esac\n}\nif [ \"$funcstack[1]\" = _tola ]; then _tola \"$@\"; else compdef _tola tola; fi\n");
}

static void fish_quoted(const char *text) {
    out_printf("'");
    for (const char *c = text; *c; c++) {
        if (*c == '\'' || *c == '\\') out_printf("\\");
        out_printf("%c", *c);
    }
    out_printf("'");
}

static void fish_option(const cli_verb *verb, const cli_option *o) {
    out_printf("complete -c tola -n '__fish_seen_subcommand_from %s'", verb->name);
    if (o->name[0]) out_printf(" -l %s", o->name);
    if (o->letter) out_printf(" -s %c", o->letter);
    if (o->choices) {
        out_printf(" -x -a '%s'", o->choices);
    } else if (o->kind != CLI_FLAG && wants_dtype(o)) {
        out_printf(" -x -a '");
        dtype_words();
        out_printf("'");
    } else if (wants_type(o)) {
        out_printf(" -x -a '");
        type_words();
        out_printf("'");
    } else if (o->kind != CLI_FLAG && o->kind != CLI_OPTIONAL) {
        out_printf(wants_file(o) ? " -r -F" : " -x");
    }
    out_printf(" -d ");
    fish_quoted(o->help);
    out_printf("\n");
}

static void complete_fish(void) {
    out_printf("# fish completion for tola, made from its option tables\nset -l verbs help");
    for (size_t i = 0; cli_verbs[i]; i++) out_printf(" %s", cli_verbs[i]->name);
    out_printf("\ncomplete -c tola -n \"not __fish_seen_subcommand_from $verbs\" -f -l version -d 'Show the version'\n"
               "complete -c tola -n \"not __fish_seen_subcommand_from $verbs\" -f -a help "
               "-d 'Show how a verb is used'\n");
    for (size_t i = 0; cli_verbs[i]; i++) {
        const cli_option *o;
        out_printf("complete -c tola -n \"not __fish_seen_subcommand_from $verbs\" -f -a %s -d ", cli_verbs[i]->name);
        fish_quoted(cli_verbs[i]->summary);
        out_printf("\n");
        for (size_t j = 0; (o = frame_option(cli_verbs[i], j)); j++) fish_option(cli_verbs[i], o);
    }
}

bool doc_completions(const char *shell) {
    if (strcmp(shell, "bash") == 0) complete_bash();
    else if (strcmp(shell, "zsh") == 0) complete_zsh();
    else if (strcmp(shell, "fish") == 0) complete_fish();
    else return false;
    return true;
}
