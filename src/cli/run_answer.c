/* One answer: generated, shown while it comes, measured; and the session that remembers it. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"

/* ---- while it comes ---- */

typedef struct display {
    bool chat;  /* white space in front of an answer is not shown */
    bool begun;
} display;

static bool on_token(void *user, uint32_t id, const char *text, size_t length) {
    display *d = user;
    (void)id;
    if (cli.json) return !cli_interrupted();
    while (d->chat && !d->begun && length && isspace((unsigned char)*text)) {
        text++;
        length--;
    }
    d->begun = d->begun || length;
    if (length) out_stream(text, length);
    return !cli_interrupted() && !frame_out_gone();
}

static bool on_prompt(void *user, size_t done, size_t total) {
    (void)user;
    if (done < total && isatty(STDERR_FILENO))
        cli_status("reading the prompt: %zu of %zu tokens", done, total);
    else
        cli_progress_end();
    return !cli_interrupted();
}

static void fill_sampling(const run *r, tola_sampling *s) {
    const run_settings *set = &r->set;
    s->temperature = set->temp;
    s->top_k = (uint32_t)set->top_k;
    s->top_p = set->top_p;
    s->min_p = set->min_p;
    s->typical_p = set->typical;
    s->repetition_penalty = set->repeat_penalty;
    s->frequency_penalty = set->frequency_penalty;
    s->presence_penalty = set->presence_penalty;
    s->penalty_window = set->repeat_window < UINT32_MAX ? (uint32_t)set->repeat_window : UINT32_MAX;
    s->seed = r->seed;
    s->bias = r->bias;
    s->bias_count = set->logit_bias.count;
}

int run_check_sampling(const run *r) {
    tola_error err = TOLA_ERROR_INIT;
    tola_sampling sampling = TOLA_SAMPLING_INIT;
    fill_sampling(r, &sampling);
    tola_status status = tola_sampling_check(&sampling, tola_model_about(r->model)->vocabulary, &err);
    return status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

tola_status run_answer(run *r, const uint32_t *ids, size_t count, tola_generated *out, tola_error *err) {
    tola_sampling sampling = TOLA_SAMPLING_INIT;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    display d = { .chat = !r->talk.raw };
    fill_sampling(r, &sampling);
    o.sampling = &sampling;
    o.max_tokens = r->set.max_tokens;
    o.stop = r->set.stop.items;
    o.ignore_end = r->set.ignore_end;
    o.keep_special = r->set.special;
    o.grammar = r->grammar;
    o.json_schema = r->schema;
    o.rules_file = r->set.grammar ? r->set.grammar : r->set.json_schema;
    o.lookup = (uint32_t)r->set.lookup;
    o.draft = r->draft;
    o.draft_tokens = (uint32_t)r->set.draft_tokens;
    o.token = on_token;
    o.token_user = &d;
    o.progress = on_prompt;
    cli_catch_interrupts();
    tola_status status = tola_generate(r->session, 0, ids, count, &o, out, err);
    cli_progress_end();
    if (status != TOLA_OK) return status;
    if (!cli.json && (out->length == 0 || out->text[out->length - 1] != '\n')) out_stream("\n", 1);
    return TOLA_OK;
}

/* ---- afterwards ---- */

static double rate(uint64_t tokens, double ms) { return ms > 0 ? (double)tokens * 1e3 / ms : 0; }

void run_report(const tola_generated *g) {
    if (cli.quiet || cli.json || !(cli.verbose || isatty(STDERR_FILENO))) return;
    char reused[64] = "", drafted[80] = "";
    if (g->reused) snprintf(reused, sizeof reused, " and %llu at hand", (unsigned long long)g->reused);
    if (g->drafted)
        snprintf(drafted, sizeof drafted, ", %llu of %llu guesses right", (unsigned long long)g->accepted,
                 (unsigned long long)g->drafted);
    uint64_t read = g->prompt_tokens - g->reused;
    fprintf(stderr, "[prompt: %llu tokens read, %.1f/s%s; answer: %zu tokens, %.1f/s%s]\n", (unsigned long long)read,
            rate(read, g->prompt_ms), reused, g->count, rate(g->count, g->generated_ms), drafted);
}

void run_context_message(const run *r, const tola_generated *g, char *buf, size_t cap) {
    snprintf(buf, cap, "the context of %u tokens is full: %llu of the prompt and %zu of the answer",
             (unsigned)tola_session_context(r->session), (unsigned long long)g->prompt_tokens, g->count);
}

/* ---- the session's file ---- */

static void remember_file(run *r, const char *path) {
    if (r->own_session && strcmp(r->own_session, path) == 0) return;
    free(r->own_session);
    r->own_session = frame_alloc(strlen(path) + 1);
    strcpy(r->own_session, path);
}

int run_save(run *r, const char *path, bool overwrite) {
    tola_error err = TOLA_ERROR_INIT;
    size_t length;
    overwrite = overwrite || (r->own_session && strcmp(path, r->own_session) == 0) ||
                (r->resumed && strcmp(path, r->set.session) == 0);
    char *note = talk_write(&r->talk, &length);
    char *file = overwrite ? realpath(path, NULL) : NULL; /* what a link leads to is replaced, not the link */
    mode_t mask = umask(077);                             /* what is said is nobody else's */
    tola_status status = tola_session_save(r->session, 0, file ? file : path, overwrite, note, length, &err);
    umask(mask);
    free(file);
    free(note);
    if (status != TOLA_OK) return cli_fail_error(&err);
    remember_file(r, path);
    return CLI_YES;
}

int run_load(run *r, const char *path) {
    tola_error err = TOLA_ERROR_INIT;
    void *note;
    size_t length;
    if (tola_session_load(r->session, 0, path, &note, &length, &err) != TOLA_OK) return cli_fail_error(&err);
    bool good = talk_read(&r->talk, note, length);
    tola_free(note);
    if (!good)
        return cli_fail("%s: a session, but not of %s", path,
                        r->talk.raw ? "a text, as --raw makes" : "a chat; perhaps of --raw");
    remember_file(r, path);
    return CLI_YES;
}
