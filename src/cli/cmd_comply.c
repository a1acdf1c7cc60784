/* tola comply: which rules a release falls under. The work is tola_comply; this is its face. */
#include "comply.h"

#include <stddef.h>
#include <string.h>

typedef struct settings {
    const char *facts, *on_date, *provenance, *notification, *evaluation_record, *mof;
    cli_list rules;
    bool template;
} settings;

static const cli_option options[] = {
    { "facts", 'f', CLI_STRING, "FILE.yaml", "What the weights do not tell; --template prints one to fill in",
      offsetof(settings, facts), NULL, "file" },
    { "on-date", 0, CLI_STRING, "DAY", "The law as of that day, as 2027-08-03; else of today",
      offsetof(settings, on_date), NULL, NULL },
    { "rules", 0, CLI_LIST, "FILE.yaml", "Rules instead of those carried; may be repeated", offsetof(settings, rules),
      NULL, "file" },
    { "provenance", 0, CLI_STRING, "FILE.json", "A statement that convert, quantize or merge wrote: it names bases",
      offsetof(settings, provenance), NULL, "file" },
    { "notification", 0, CLI_STRING, "FILE.md", "Writes a draft of the notification of systemic risk (AI Act, Art. 52)",
      offsetof(settings, notification), NULL, "file" },
    { "evaluation-record", 0, CLI_STRING, "FILE.md", "Writes a record of evaluations (AI Act, Art. 55)",
      offsetof(settings, evaluation_record), NULL, "file" },
    { "template", 0, CLI_FLAG, NULL, "Prints a facts.yaml to fill in, every key with its meaning",
      offsetof(settings, template), NULL, NULL },
    { "mof", 0, CLI_STRING, "FILE.yml", "Classifies a model file of the Model Openness Tool, and nothing else",
      offsetof(settings, mof), NULL, "file" },
    { 0 },
};

static int print_template(void) {
    char *text;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_comply_paper(NULL, "facts", &text, &err) != TOLA_OK) return cli_fail_error(&err);
    out_stream(text, strlen(text));
    tola_free(text);
    return CLI_YES;
}

static int classify(const char *path) {
    tola_compliance *c;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_comply_mof(path, &c, &err) != TOLA_OK) return cli_fail_error(&err);
    if (cli.json) {
        comply_json(c);
    } else if (!cli.quiet) {
        out_styled(OUT_BOLD, "%s", c->name ? c->name : path);
        comply_mof_text(c);
    }
    int code = c->mof_class ? CLI_YES : CLI_NO;
    tola_compliance_free(c);
    return code;
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    tola_error err = TOLA_ERROR_INIT;
    if (set->template) return print_template();
    if (set->mof) return classify(set->mof);
    if (!n_args && !set->facts)
        return cli_fail("a model or --facts FILE.yaml is wanted; --template prints one to fill in");
    tola_comply_options o = TOLA_COMPLY_OPTIONS_INIT;
    o.facts = set->facts;
    o.rules = set->rules.items;
    o.on_date = set->on_date;
    o.provenance = set->provenance;
    tola_compliance *c;
    if (tola_comply(n_args ? args[0] : NULL, &o, &c, &err) != TOLA_OK) return cli_fail_error(&err);
    const struct {
        const char *path, *kind;
    } papers[] = { { set->notification, "notification" }, { set->evaluation_record, "evaluation" } };
    for (size_t i = 0; i < 2; i++) {
        if (!papers[i].path || tola_comply_paper_write(c, papers[i].kind, papers[i].path, cli.force, &err) == TOLA_OK)
            continue;
        tola_compliance_free(c);
        return cli_fail_error(&err);
    }
    if (cli.json)
        comply_json(c);
    else
        comply_text(c);
    int code = c->clean ? CLI_YES : CLI_NO;
    tola_compliance_free(c);
    return code;
}

const cli_verb cmd_comply = {
    .name = "comply",
    .summary = "Which rules a release falls under, what they ask, and what is missing",
    .usage = "tola comply [MODEL] --facts FILE.yaml [options]",
    .description =
        "Holds what the weights tell (parameters, those active for a token, bases named in the folder) and what their "
        "provider knows (--facts) against rules that are data with a version and a day: training compute, the Union's "
        "AI "
        "Act for general-purpose models, California's SB 53, New York's RAISE Act, the Open Source AI Definition, the "
        "Model Openness Framework, and the licences of the models it was made from.\n\n"
        "Every conclusion names its article and its inputs, with the line or the formula that each came from, and is "
        "marked where it rests on an estimate. What is not known stays unknown: missing facts are listed, never "
        "assumed. "
        "Two ways to know the compute that differ by more than a factor of 3 are a contradiction.\n\n"
        "MODEL is a file, a folder, a reference or a config.json; without one the facts alone speak.\n\n"
        "This is no legal advice.",
    .examples = "tola comply --template > facts.yaml\tA file to fill in\n"
                "tola comply llama/ --facts facts.yaml\tWhat follows, today\n"
                "tola comply llama/ --facts facts.yaml --on-date 2027-08-03 --json\tOn another day, for a program\n"
                "tola comply big/ -f facts.yaml --notification notice.md\tWith a draft of the notification\n",
    .exits =
        "0\tnothing is missing and nothing contradicts\n1\tfacts are missing, contradict each other, or do not show a "
        "duty met\n2\terror: no such file, a key that is unknown, a unit that cannot be\n",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 0,
    .max_args = 1,
    .model = true,
    .run = run,
};
