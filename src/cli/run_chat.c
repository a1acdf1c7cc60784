/* A chat on a terminal: messages, answers, /commands. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "line.h"
#include "run.h"

typedef struct chat {
    run *r;
    line_editor *editor;
    bool armed; /* Ctrl-C was pressed: at the prompt it now leaves */
    bool done;
} chat;

/* Signals are caught at the prompt, too, so that what was said is kept when the terminal goes away. */
static void catch_anew(void) {
    cli_release_interrupts();
    cli_catch_interrupts();
}

/* ---- turns ---- */

/* Answers the last message, which is the user's. */
static void answer(chat *c) {
    run *r = c->r;
    tola_error err = TOLA_ERROR_INIT;
    tola_generated g;
    uint32_t *ids;
    size_t count;
    tola_status status = run_prompt(r, NULL, 0, &ids, &count, &err);
    if (status == TOLA_OK) {
        status = run_answer(r, ids, count, &g, &err);
        free(ids);
    }
    c->armed = cli_interrupted();
    c->done = c->armed && frame_interrupt_signal() != SIGINT;
    if (status == TOLA_E_CANCELLED) { /* while the prompt was read */
        out_stream("\n", 1);
    } else if (status != TOLA_OK) {
        cli_fail_error(&err);
        if (status == TOLA_E_LIMIT) cli_warn("/undo takes back an exchange, /reset begins anew");
    }
    if (!c->done) catch_anew();
    if (status != TOLA_OK) {
        talk_cut(&r->talk, r->talk.count - 1);
        return;
    }
    talk_add(&r->talk, "assistant", g.text, g.length);
    run_report(&g);
    if (g.ending == TOLA_ENDING_CONTEXT) {
        char text[160];
        run_context_message(r, &g, text, sizeof text);
        cli_warn("%s", text);
    }
    tola_generated_dispose(&g);
}

static void take_message(chat *c, const char *text) {
    talk_add(&c->r->talk, "user", text, strlen(text));
    answer(c);
}

static bool is_last(const run_talk *t, const char *role) {
    return t->count && strcmp(t->messages[t->count - 1].role, role) == 0;
}

/* ---- commands ---- */

static void do_help(chat *c, const char *argument);

static void do_system(chat *c, const char *argument) {
    talk_system(&c->r->talk, *argument ? argument : NULL);
    out_styled(OUT_DIM, *argument ? "the model is told so from the next message on\n" : "no system message\n");
}

static void do_reset(chat *c, const char *argument) {
    run_talk *t = &c->r->talk;
    (void)argument;
    talk_cut(t, t->count && strcmp(t->messages[0].role, "system") == 0 ? 1 : 0);
    out_styled(OUT_DIM, "everything but the system message is forgotten\n");
}

static void do_save(chat *c, const char *argument) {
    if (!*argument)
        cli_fail("/save needs a file");
    else if (run_save(c->r, argument, cli.force) == CLI_YES)
        out_styled(OUT_DIM, "saved in %s\n", argument);
}

static void do_load(chat *c, const char *argument) {
    if (!*argument)
        cli_fail("/load needs a file");
    else if (run_load(c->r, argument) == CLI_YES)
        out_styled(OUT_DIM, "%zu messages, %zu tokens\n", c->r->talk.count, tola_session_length(c->r->session, 0));
}

static void do_regenerate(chat *c, const char *argument) {
    run_talk *t = &c->r->talk;
    (void)argument;
    if (!is_last(t, "assistant")) {
        cli_fail("there is no answer to make again");
        return;
    }
    talk_cut(t, t->count - 1);
    c->r->seed++; /* the same seed would give the same words */
    answer(c);
}

static void do_undo(chat *c, const char *argument) {
    run_talk *t = &c->r->talk;
    (void)argument;
    if (is_last(t, "assistant")) talk_cut(t, t->count - 1);
    if (!is_last(t, "user")) {
        cli_fail("there is nothing to take back");
        return;
    }
    talk_cut(t, t->count - 1);
    out_styled(OUT_DIM, "the last message and its answer are taken back\n");
}

static void do_tokens(chat *c, const char *argument) {
    (void)argument;
    out_styled(OUT_DIM, "%zu of %u tokens of the context, %zu messages\n", tola_session_length(c->r->session, 0),
               (unsigned)tola_session_context(c->r->session), c->r->talk.count);
}

static const char settable[] = "temp top-k top-p min-p typical repeat-penalty repeat-window frequency-penalty "
                               "presence-penalty seed max-tokens lookup draft-tokens";

static void do_set(chat *c, const char *argument) {
    char name[32], word[32];
    size_t n = strcspn(argument, " =");
    bool known = false;
    snprintf(name, sizeof name, "%.*s", (int)n, argument);
    argument += n + strspn(argument + n, " =");
    for (size_t i = 0; frame_word(settable, i, word, sizeof word); i++) known = known || strcmp(word, name) == 0;
    if (!known || !*argument) {
        cli_fail("/set NAME VALUE, where NAME is one of %s", settable);
        return;
    }
    run_settings before = c->r->set;
    bool good = frame_set_option(&cmd_run, &c->r->set, name, argument) == CLI_YES &&
                run_check_counts(&c->r->set) == CLI_YES && run_check_sampling(c->r) == CLI_YES;
    if (!good) {
        c->r->set = before;
        return;
    }
    if (strcmp(name, "seed") == 0) c->r->seed = c->r->set.seed.value;
    out_styled(OUT_DIM, "%s is %s\n", name, argument);
}

static void do_quit(chat *c, const char *argument) {
    (void)argument;
    c->done = true;
}

static const struct {
    const char *name, *argument, *help;
    void (*run)(chat *c, const char *argument);
} commands[] = {
    { "/help", "", "this list", do_help },
    { "/system", "[TEXT]", "tell the model how to behave; without TEXT, no longer", do_system },
    { "/reset", "", "forget everything but that", do_reset },
    { "/undo", "", "take back the last message and its answer", do_undo },
    { "/regenerate", "", "answer the last message again", do_regenerate },
    { "/set", "NAME VALUE", "temp, top-k, top-p, min-p, seed, max-tokens, ...", do_set },
    { "/tokens", "", "how full the context is", do_tokens },
    { "/save", "FILE", "keep the conversation", do_save },
    { "/load", "FILE", "go on with one that was kept", do_load },
    { "/quit", "", "leave, as Ctrl-D does", do_quit },
};

static void do_help(chat *c, const char *argument) {
    (void)c;
    (void)argument;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char form[48];
        snprintf(form, sizeof form, "%s %s", commands[i].name, commands[i].argument);
        out_printf("  %-18s %s\n", form, commands[i].help);
    }
    out_printf("Alt-Enter or a backslash before Enter begins a new line, Ctrl-C stops an answer, // sends a slash.\n");
}

static void take_command(chat *c, char *text) {
    size_t n = strcspn(text, " \n\t"), end = strlen(text);
    while (end > n && strchr(" \n\t", text[end - 1])) text[--end] = 0;
    const char *argument = text + n + strspn(text + n, " \n\t");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strlen(commands[i].name) == n && memcmp(commands[i].name, text, n) == 0) {
            commands[i].run(c, argument);
            return;
        }
    tola_nearest nearest;
    text[n] = 0;
    tola_nearest_init(&nearest, text);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) tola_nearest_try(&nearest, commands[i].name);
    if (nearest.best)
        cli_fail("unknown command %s; did you mean %s?", text, nearest.best);
    else
        cli_fail("unknown command %s; /help lists them", text);
}

/* ---- the loop ---- */

static void take_line(chat *c, char *text) {
    size_t blank = strspn(text, " \n\t");
    c->armed = false;
    if (!text[blank]) return;
    line_remember(c->editor, text);
    if (text[0] == '/' && text[1] != '/')
        take_command(c, text);
    else
        take_message(c, text[0] == '/' ? text + 1 : text);
}

static void take_interrupt(chat *c) {
    if (c->armed) {
        c->done = true;
        return;
    }
    c->armed = true;
    out_styled(OUT_DIM, "Ctrl-C again leaves, as Ctrl-D does\n");
}

int run_chat(run *r) {
    chat c = { .r = r, .editor = line_open() };
    if (!cli.quiet) {
        const tola_model_info *info = tola_model_about(r->model);
        out_styled(OUT_DIM, "%s, %u layers, context %u; /help lists commands, Ctrl-D leaves\n", info->family,
                   (unsigned)info->layers, (unsigned)tola_session_context(r->session));
    }
    catch_anew();
    while (!c.done) {
        char *text = NULL;
        frame_out_flush();
        cli_progress_end();
        switch (line_read(c.editor, "> ", &text)) {
        case LINE_DONE: take_line(&c, text); break;
        case LINE_CLEARED: c.armed = false; break;
        case LINE_INTERRUPTED: take_interrupt(&c); break;
        case LINE_END: c.done = true; break;
        }
        free(text);
    }
    line_close(c.editor);
    int code = r->set.session && r->talk.count ? run_save(r, r->set.session, cli.force) : CLI_YES;
    return cli_interrupted() ? CLI_ERROR : code;
}
