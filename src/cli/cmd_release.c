/* tola release: is everything there that goes with this release? The work is tola_release_check; this is its face. */
#include <stddef.h>
#include <string.h>

#include "cli.h"

typedef struct settings {
    const char *template;
} settings;

static const char *const states[] = { "ok", "missing", "waived" };

static void report_json(const tola_release_report *r) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.release/1");
    out_json_string(&j, "model", r->model);
    out_json_string(&j, "release", r->open ? "open" : "closed");
    out_json_bool(&j, "ready", r->ready);
    tola_json_key(&j, "items");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < r->count; i++) {
        const tola_release_item *item = &r->items[i];
        tola_json_begin_object(&j);
        out_json_string(&j, "id", item->id);
        out_json_string(&j, "title", item->title);
        out_json_string(&j, "state", states[item->state]);
        out_json_string(&j, "found", item->found);
        out_json_string(&j, "reason", item->reason);
        out_json_string(&j, "mend", item->mend);
        tola_json_key(&j, "details");
        tola_json_begin_array(&j);
        for (size_t k = 0; k < item->detail_count; k++) tola_json_string(&j, item->details[k]);
        tola_json_end_array(&j);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void below(const char *before, const char *text) {
    out_printf("%-21s%s", "", before);
    out_text(text);
    out_printf("\n");
}

static void report(const tola_release_report *r) {
    static const out_style styles[] = { OUT_GREEN, OUT_RED, OUT_YELLOW };
    size_t missing = 0;
    for (size_t i = 0; i < r->count; i++) {
        const tola_release_item *item = &r->items[i];
        missing += item->state == TOLA_RELEASE_MISSING;
        out_styled(styles[item->state], "%-7s", states[item->state]);
        out_printf("  %-10s  ", item->id);
        out_text(item->state == TOLA_RELEASE_WAIVED ? item->reason : item->found);
        out_printf("\n");
        if (item->state == TOLA_RELEASE_WAIVED) below("found: ", item->found);
        if (item->state == TOLA_RELEASE_OK && item->reason) below("the waiver is not needed: ", item->reason);
        if (cli.verbose) below("", item->title);
        for (size_t k = 0; k < item->detail_count; k++)
            if (strcmp(item->details[k], item->found)) below("- ", item->details[k]);
        if (item->state == TOLA_RELEASE_MISSING && item->mend) below("> ", item->mend);
    }
    out_text(r->model);
    if (missing)
        out_printf(": not ready for %s release, %zu of %zu missing\n", r->open ? "an open" : "a closed", missing,
                   r->count);
    else
        out_printf(": ready for %s release\n", r->open ? "an open" : "a closed");
}

static int print_template(const char *kind) {
    char *text;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_release_template(strcmp(kind, "open") == 0, &text, &err) != TOLA_OK) return cli_fail_error(&err);
    out_stream(text, strlen(text));
    tola_free(text);
    return CLI_YES;
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    tola_error err = TOLA_ERROR_INIT;
    tola_release_options o = TOLA_RELEASE_OPTIONS_INIT;
    tola_release_report r;
    if (set->template) return print_template(set->template);
    if (!n_args) return cli_fail("a plan is wanted; --template open and --template closed print one to fill in");
    o.threads = cli.threads;
    o.progress = cli_progress;
    cli_catch_interrupts();
    tola_status status = tola_release_check(args[0], &o, &r, &err);
    cli_progress_end();
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (cli.json)
        report_json(&r);
    else if (!cli.quiet)
        report(&r);
    int code = r.ready ? CLI_YES : CLI_NO;
    tola_release_report_dispose(&r);
    return code;
}

static const cli_option options[] = {
    { "template", 0, CLI_CHOICE, "KIND", "Prints a plan to fill in, every key with its meaning",
      offsetof(settings, template), "open closed", NULL },
    { 0 },
};

const cli_verb cmd_release = {
    .name = "release",
    .summary = "Check a model against the plan of its release, open or closed",
    .usage = "tola release PLAN.yaml [options]",
    .description =
        "Reads a plan and looks at each thing that goes with it, by what Tola has for it: a file that is only there is "
        "not enough.\n"
        "\n"
        "Of an open release: files that are safe to open, no optimizer state, no private metadata, a tokenizer that "
        "loads, a licence with its text that keeps the terms of what the model was made from, results of evaluation, "
        "nothing missing by the rules of tola comply, model card, Model Documentation Form, summary of training "
        "content "
        "and bill of materials that agree with the weights, a signature that is valid now, provenance back to signed "
        "originals. Of a closed one: weights encrypted for the plan's recipients and nobody else, who may read, keys "
        "that only their owner can read, a log of accesses that begins with a known checkpoint, days until the weights "
        "could be gone at the plan's cap, documents kept for ten years.\n"
        "\n"
        "Below what is missing stands the command that mends it. Nothing is changed. What does not apply is waived in "
        "the plan, with a reason that is shown. None of this is legal advice.",
    .examples = "tola release --template open > plan.yaml\ta plan to fill in\n"
                "tola release plan.yaml\twhat is still missing?\n"
                "tola release plan.yaml -q && upload\tfor scripts",
    .exits = "0\tready\n1\tsomething is missing\n2\tthe plan cannot be read, or there is no such model",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 0,
    .max_args = 1,
    .model = true,
    .run = run,
};
