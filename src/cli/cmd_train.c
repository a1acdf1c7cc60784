/* tola train: a model from a recipe. */
#include <stddef.h>
#include <stdlib.h>

#include "training.h"

static const cli_option options[] = {
    TRAINING_OPTIONS(struct { training_settings s; }, s, "Folder of the run (the recipe's name without its ending)"),
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

static tola_status train(const void *recipe, const tola_train_options *o, tola_train_summary *summary,
                         tola_learn_result *result, tola_error *err) {
    return tola_train(recipe, o, summary, result, err);
}

extern const cli_verb cmd_train;

static int run(const void *settings_, char **args, int n_args) {
    const training_settings *s = settings_;
    (void)n_args;
    char *own = s->out ? NULL : training_folder(args[0]);
    const char *out = s->out ? s->out : own;
    if (!out) return cli_fail("%s: its name gives no folder; say one with --out DIR", args[0]);
    char **models = NULL, **data = NULL;
    tola_error err = TOLA_ERROR_INIT;
    int code = CLI_YES;
    /* without provenance a recipe that cannot be read is told of by the training itself */
    tola_status status = tola_train_inputs(args[0], &models, &data, &err);
    if (status != TOLA_OK) models = data = NULL;
    if (status != TOLA_OK && s->provenance) code = cli_fail_error(&err);
    const training_origin origin = { &cmd_train, s, (const char *const *)models, NULL, (const char *const *)data };
    if (code == CLI_YES) code = training_run(s, out, "tola.train/1", train, args[0], &origin);
    tola_free(models);
    tola_free(data);
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
    .settings_size = sizeof(training_settings),
    .min_args = 1,
    .max_args = 1,
    .model = true,
    .run = run,
};
