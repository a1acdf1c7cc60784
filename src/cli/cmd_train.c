/* tola train: a model from a recipe. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "learning.h"

typedef struct settings {
    const char *out;
    bool resume, other, dry;
} settings;

static const cli_option options[] = {
    { "out", 'o', CLI_STRING, "DIR", "Folder of the run (the recipe's name without its ending)",
      offsetof(settings, out), NULL, "file" },
    { "resume", 0, CLI_FLAG, NULL, "Go on from the last checkpoint in DIR, where there is one",
      offsetof(settings, resume), NULL, NULL },
    { "changed", 0, CLI_FLAG, NULL, "With --resume: even though recipe or data have changed since",
      offsetof(settings, other), NULL, NULL },
    { "dry-run", 0, CLI_FLAG, NULL, "Read recipe and data, say how much memory it would take, and stop",
      offsetof(settings, dry), NULL, NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

static void describe(const tola_train_summary *s) {
    char a[48], b[48], c[48], d[48];
    const char *unit = s->tokens ? "tokens" : "rows";
    if (s->steps == 0 || cli.json || cli.quiet) return;
    out_printf("%s, %s parameters; %s %s", s->network, text_grouped(a, sizeof a, s->parameters),
               text_grouped(b, sizeof b, s->examples), unit);
    if (s->validation) out_printf(", %s for validation", text_grouped(c, sizeof c, s->validation));
    out_printf("; %s steps\n", text_grouped(d, sizeof d, s->steps));
}

static void write_json(const tola_train_summary *s, const tola_learn_result *r, const char *out) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    measure_json_string(&j, "schema", "tola.train/1");
    measure_json_string(&j, "network", s->network);
    measure_json_u64(&j, "parameters", s->parameters);
    measure_json_u64(&j, "examples", s->examples);
    measure_json_u64(&j, "validation_examples", s->validation);
    measure_json_string(&j, "unit", s->tokens ? "tokens" : "rows");
    measure_json_u64(&j, "steps_wanted", s->steps);
    learning_json(&j, r, out);
    tola_json_end_object(&j);
    out_json_end(&j);
}

/* "runs/mnist.yaml" -> "mnist" */
static char *default_folder(const char *recipe) {
    const char *slash = strrchr(recipe, '/'), *name = slash ? slash + 1 : recipe;
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".yaml") == 0)
        n -= 5;
    else if (n > 4 && strcmp(name + n - 4, ".yml") == 0)
        n -= 4;
    else
        return NULL;
    return strndup(name, n);
}

static int run(const void *settings_, char **args, int n_args) {
    const settings *s = settings_;
    tola_error err = TOLA_ERROR_INIT;
    tola_train_summary summary = { .steps = 0 };
    tola_learn_result result;
    (void)n_args;
    if (s->other && !s->resume) return cli_fail("--changed is said beside --resume");
    char *own = s->out ? NULL : default_folder(args[0]);
    const char *out = s->out ? s->out : own;
    if (!out) return cli_fail("%s: its name gives no folder; say one with --out DIR", args[0]);
    tola_train_options o = TOLA_TRAIN_OPTIONS_INIT;
    o.out = out;
    o.threads = cli.threads;
    o.resume = s->resume;
    o.other_recipe = s->other;
    o.overwrite = cli.force;
    o.dry_run = s->dry;
    learning_show show = { .unit = NULL, .summary = &summary, .describe = describe };
    o.event = learning_event;
    o.event_user = &show;
    cli_catch_interrupts();
    tola_status status = tola_train(args[0], &o, &summary, &result, &err);
    cli_progress_end();
    int code = CLI_YES;
    const bool tells = tola_train_leads(status != TOLA_OK);
    if (status == TOLA_OK && !s->dry && tells) code = learning_curves(out);
    if (!tells) {
        code = status == TOLA_OK ? CLI_YES : CLI_ERROR; /* another process does */
    } else if (status != TOLA_OK) {
        code = cli_fail_error(&err);
    } else if (cli.json) {
        write_json(&summary, &result, s->dry ? NULL : out);
    } else if (s->dry) {
        describe(&summary);
        learning_memory(&result.predicted);
    } else {
        learning_text(&result, out);
    }
    tola_train_leave(code != CLI_YES);
    free(own);
    return code;
}

const cli_verb cmd_train = {
    .name = "train",
    .summary = "Train a model from a recipe",
    .usage = "tola train RECIPE.yaml [--out DIR] [--resume] [options]",
    .description =
        "Trains what RECIPE says: a network of layers for images (IDX, as MNIST) and tables (CSV), a language model "
        "for "
        "texts and JSONL; docs/train.md lists the keys and has recipes that work. Paths in a recipe begin where the "
        "recipe lies.\n\n"
        "DIR holds log.jsonl (a line a step), checkpoints and, at the end, the model: for language models a folder "
        "that "
        "'tola run' opens. Before the first step the memory of the run is told.\n\n"
        "A run that was stopped with Ctrl-C, or killed, goes on with --resume and ends with the same bits as one that "
        "was not. Where loss or gradients are no numbers any more, nothing is updated and the run ends with the step "
        "and the tensor; the checkpoints stay.",
    .examples = "tola train mnist.yaml\tTrain into the folder mnist\n"
                "tola train shakespeare.yaml --out run1 --dry-run\tSay how much memory that takes\n"
                "tola train shakespeare.yaml --out run1 --resume\tGo on where it was stopped",
    .exits = "0\tthe run is done, or was stopped after a checkpoint\n"
             "2\tan error: the recipe, the data, numbers that are none, a full disk",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
