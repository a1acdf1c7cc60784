/* Help on the terminal, made from the tables: `tola`, `tola help VERB`, `tola VERB -h`, `tola VERB --help`. */
#include "frame.h"
#include <string.h>

#define HELP_MAX_COLUMNS 100 /* longer lines are tiring to read, however wide the terminal */
#define HELP_OPTION_COLUMN 26

static int help_columns(void) { return cli.columns < HELP_MAX_COLUMNS ? cli.columns : HELP_MAX_COLUMNS; }

static void spaces(int count) { out_printf("%*s", count > 0 ? count : 0, ""); }

/* Writes words with line breaks; the cursor stands at `column`, later lines begin at `indent`. Ends with a newline. */
static void wrap(const char *text, size_t length, int column, int indent) {
    const char *end = text + length;
    bool first = true;
    while (text < end) {
        while (text < end && (*text == ' ' || *text == '\n')) text++;
        const char *word = text;
        while (text < end && *text != ' ' && *text != '\n') text++;
        if (text == word) break;
        int width = (int)frame_width(word, (size_t)(text - word));
        if (!first && column + 1 + width > help_columns()) {
            out_printf("\n");
            spaces(indent);
            column = indent;
        } else if (!first) {
            out_printf(" ");
            column++;
        }
        out_printf("%.*s", (int)(text - word), word);
        column += width;
        first = false;
    }
    out_printf("\n");
}

const char *help_option_form(const cli_option *o, char *buf, size_t cap) {
    const char *argument = o->argument ? o->argument : "VALUE";
    if (!o->name[0])
        snprintf(buf, cap, "-%c", o->letter);
    else if (o->kind == CLI_FLAG)
        snprintf(buf, cap, "--%s", o->name);
    else if (o->kind == CLI_OPTIONAL)
        snprintf(buf, cap, "--%s[=%s]", o->name, argument);
    else
        snprintf(buf, cap, "--%s %s", o->name, argument);
    return buf;
}

static void option_line(const cli_option *o, bool longer) {
    char form[128], choices[512];
    help_option_form(o, form, sizeof form);
    if (o->letter && o->name[0])
        out_printf("  -%c, ", o->letter);
    else if (o->letter)
        out_printf("  ");
    else
        out_printf("      ");
    out_styled(OUT_BOLD, "%s", form);
    int column = (int)strlen(form) + (o->letter && !o->name[0] ? 2 : 6);
    if (column + 2 > HELP_OPTION_COLUMN) {
        out_printf("\n");
        column = 0;
    }
    spaces(HELP_OPTION_COLUMN - column);
    wrap(o->help, strlen(o->help), HELP_OPTION_COLUMN, HELP_OPTION_COLUMN);
    if (!longer) return;
    if (o->choices) {
        snprintf(choices, sizeof choices, "One of: %s", o->choices);
        spaces(HELP_OPTION_COLUMN);
        wrap(choices, strlen(choices), HELP_OPTION_COLUMN, HELP_OPTION_COLUMN);
    }
    if (o->kind == CLI_LIST) {
        spaces(HELP_OPTION_COLUMN);
        out_printf("May be given more than once\n");
    }
}

static void heading(const char *text) { out_styled(OUT_BOLD, "\n%s\n", text); }

static void paragraphs(const char *text) {
    while (*text) {
        const char *gap = strstr(text, "\n\n");
        size_t length = gap ? (size_t)(gap - text) : strlen(text);
        out_printf("\n");
        wrap(text, length, 0, 0);
        text += length;
        while (*text == '\n') text++;
    }
}

/* Lines "left\tright": the left part on a line of its own where `stacked`, else in a column. */
static void pairs(const char *lines, bool stacked) {
    while (*lines) {
        size_t length = strcspn(lines, "\n"), left = strcspn(lines, "\t\n");
        const char *right = lines + left + (lines[left] == '\t');
        out_printf("  %.*s", (int)left, lines);
        if (stacked) out_printf("\n      ");
        else spaces(6 - 2 - (int)left);
        wrap(right, (size_t)(lines + length - right), 6, 6);
        lines += length;
        if (*lines == '\n') lines++;
    }
}

void help_verb(const cli_verb *verb, bool longer) {
    out_printf("%s\n\n", verb->summary);
    out_styled(OUT_BOLD, "Usage:");
    out_printf(" ");
    for (const char *form = verb->usage; *form;) { /* a line each */
        size_t length = strcspn(form, "\n");
        if (form != verb->usage) spaces(7);
        wrap(form, length, 7, 12);
        form += length;
        form += strspn(form, "\n ");
    }
    if (longer && verb->description) paragraphs(verb->description);
    if (verb->options && verb->options[0].name) {
        heading("Options");
        for (const cli_option *o = verb->options; o->name; o++) option_line(o, longer);
    }
    if (verb->model) {
        heading("Keys to encrypted models");
        for (const cli_option *o = frame_key_options; o->name; o++) option_line(o, longer);
    }
    heading("Common options");
    for (const cli_option *o = frame_common_options; o->name; o++) option_line(o, longer);
    if (!longer) {
        out_printf("\n");
        char more[256];
        snprintf(more, sizeof more, "'tola %s --help' says more.", verb->name);
        wrap(more, strlen(more), 0, 0);
        return;
    }
    if (verb->examples && *verb->examples) {
        heading("Examples");
        pairs(verb->examples, true);
    }
    if (verb->exits && *verb->exits) {
        heading("Exit codes");
        pairs(verb->exits, false);
    }
}

void help_overview(void) {
    static const char model[] = "MODEL is a file, a shard index, a folder in the Hugging Face layout, or a reference "
                                "(https://..., hf://org/name[@revision]).";
    static const char more[] = "'tola help VERB' says how a verb is used, 'tola --version' which version this is.";
    out_printf("tola %s: model weights, opened, inspected, compared and converted\n\n", tola_version());
    out_styled(OUT_BOLD, "Usage:");
    out_printf(" tola VERB [arguments] [options]\n");
    if (cli_verbs[0]) heading("Verbs");
    int widest = 0;
    for (size_t i = 0; cli_verbs[i]; i++)
        if ((int)strlen(cli_verbs[i]->name) > widest) widest = (int)strlen(cli_verbs[i]->name);
    for (size_t i = 0; cli_verbs[i]; i++) {
        out_printf("  ");
        out_styled(OUT_BOLD, "%s", cli_verbs[i]->name);
        spaces(widest - (int)strlen(cli_verbs[i]->name) + 2);
        wrap(cli_verbs[i]->summary, strlen(cli_verbs[i]->summary), widest + 4, widest + 4);
    }
    out_printf("\n");
    wrap(model, sizeof model - 1, 0, 0);
    out_printf("\n");
    wrap(more, sizeof more - 1, 0, 0);
}
