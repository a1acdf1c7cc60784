/* tola release: is everything there that goes with this release? */
#include "cli.h"

static const char *const states[] = { "ok", "missing", "waived" };

static void report_json(const tola_release_report *r) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    tola_json_key(&j, "schema");
    tola_json_string(&j, "tola.release/1");
    tola_json_key(&j, "model");
    tola_json_string(&j, r->model);
    tola_json_key(&j, "release");
    tola_json_string(&j, r->open ? "open" : "closed");
    tola_json_key(&j, "ready");
    tola_json_bool(&j, r->ready);
    tola_json_key(&j, "items");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < r->count; i++) {
        const tola_release_item *item = &r->items[i];
        tola_json_begin_object(&j);
        tola_json_key(&j, "id");
        tola_json_string(&j, item->id);
        tola_json_key(&j, "title");
        tola_json_string(&j, item->title);
        tola_json_key(&j, "state");
        tola_json_string(&j, states[item->state]);
        tola_json_key(&j, "found");
        tola_json_string(&j, item->found);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void report(const tola_release_report *r) {
    static const out_style styles[] = { OUT_GREEN, OUT_RED, OUT_YELLOW };
    size_t missing = 0;
    for (size_t i = 0; i < r->count; i++) {
        const tola_release_item *item = &r->items[i];
        missing += item->state == TOLA_RELEASE_MISSING;
        out_styled(styles[item->state], "%-7s", states[item->state]);
        out_printf("  %-10s  ", item->id);
        out_text(item->found);
        out_printf("\n");
        if (item->state == TOLA_RELEASE_OK && !cli.verbose) continue;
        out_printf("%-21s(%s)\n", "", item->title);
    }
    out_text(r->model);
    if (missing)
        out_printf(": not ready for %s release, %zu of %zu missing\n", r->open ? "an open" : "a closed", missing,
                   r->count);
    else
        out_printf(": ready for %s release\n", r->open ? "an open" : "a closed");
}

static int run(const void *settings, char **args, int n_args) {
    (void)settings;
    (void)n_args;
    tola_error err = TOLA_ERROR_INIT;
    tola_release_options o = TOLA_RELEASE_OPTIONS_INIT;
    tola_release_report r;
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

static const cli_option options[] = { { 0 } };

const cli_verb cmd_release = {
    .name = "release",
    .summary = "Check a model against the plan of its release, open or closed",
    .usage = "tola release PLAN.yaml [options]",
    .description =
        "Reads a plan (docs/release.md has its keys) and looks at each thing that goes with it. For an open release: "
        "licence, model card, Model Documentation Form, summary of training content, bill of materials (all held "
        "against "
        "the weights), signature, scan, no optimizer state or private metadata left in the folder, tokenizer, "
        "evaluation. For a closed one: encryption, log of accesses, who may read.\n"
        "\n"
        "Nothing is changed. What does not apply is waived in the plan, with a reason that is shown. None of this is "
        "legal advice.",
    .examples = "tola release plan.yaml\twhat is still missing?\n"
                "tola release plan.yaml -q && upload\tfor scripts",
    .exits = "0\tready\n1\tsomething is missing\n2\tthe plan or the model cannot be read",
    .options = options,
    .settings_size = 1,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
