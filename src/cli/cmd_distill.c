/* tola distill: a smaller model learns from what a larger one makes of texts. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "training.h"

typedef struct settings {
    training_settings training;
    const char *student, *data;
    double temperature, share, rate;
    uint64_t top, steps, batch, context;
} settings;

static const settings defaults = { .temperature = -1, .share = -1 };

static const cli_option options[] = {
    { "student", 0, CLI_STRING, "FILE", "A recipe (.yaml), or a model that goes on learning",
      offsetof(settings, student), NULL, "file" },
    { "data", 0, CLI_STRING, "FILE", "Texts or lines of JSON, in the place of the recipe's", offsetof(settings, data),
      NULL, "file" },
    TRAINING_OPTIONS(settings, training, "Folder of the run"),
    { "temperature", 't', CLI_DOUBLE, "T", "Soften both distributions by this (the recipe's, or 2)",
      offsetof(settings, temperature), NULL, NULL },
    { "share", 0, CLI_DOUBLE, "X", "Share of the loss that is the teacher's (the recipe's, or 0.5)",
      offsetof(settings, share), NULL, NULL },
    { "top", 0, CLI_UINT, "N", "Keep the teacher's N most probable tokens (the recipe's, or 64)",
      offsetof(settings, top), NULL, NULL },
    { "steps", 0, CLI_UINT, "N", "Steps of a student that is a model (one epoch)", offsetof(settings, steps), NULL,
      NULL },
    { "batch", 'b', CLI_UINT, "N", "Its rows of a batch (8)", offsetof(settings, batch), NULL, NULL },
    { "context", 'c', CLI_UINT, "N", "Its tokens of a row (512, or the model's where that is less)",
      offsetof(settings, context), NULL, NULL },
    { "lr", 0, CLI_DOUBLE, "X", "Its learning rate (3e-4)", offsetof(settings, rate), NULL, NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

typedef struct lesson {
    const char *teacher;
    tola_distill_options o;
} lesson;

static tola_status distill(const void *user, const tola_train_options *o, tola_train_summary *summary,
                           tola_learn_result *result, tola_error *err) {
    const lesson *l = user;
    return tola_distill(l->teacher, &l->o, o, summary, result, err);
}

extern const cli_verb cmd_distill;

static bool is_recipe(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* With the files of the student's recipe, where it is one. */
static int teach(const settings *s, const char *teacher, const lesson *l) {
    bool recipe = is_recipe(s->student);
    const char *models[] = { teacher, recipe ? NULL : s->student, NULL };
    char **named = NULL, **files = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (recipe && tola_train_inputs(s->student, &named, &files, &err) != TOLA_OK) {
        if (s->training.provenance) return cli_fail_error(&err);
        named = files = NULL; /* the training itself tells why */
    }
    size_t n = 0;
    while (files && files[n]) n++;
    const char **data = frame_alloc((n + 2) * sizeof *data);
    for (size_t i = 0; i < n; i++) data[i] = files[i];
    data[n] = s->data;
    data[n + 1] = NULL;
    const training_origin origin = { &cmd_distill, s, models, (const char *const *)named, data };
    int code = training_run(&s->training, s->training.out, "tola.distill/1", distill, l, &origin);
    free(data);
    tola_free(named);
    tola_free(files);
    return code;
}

static int run(const void *settings_, char **args, int n_args) {
    const settings *s = settings_;
    (void)n_args;
    if (!s->student) return cli_fail("who learns? --student RECIPE.yaml or --student MODEL");
    if (!s->training.out) return cli_fail("where to? --out DIR");
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = { { "top", s->top }, { "batch", s->batch }, { "context", s->context } };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].value > UINT32_MAX) return cli_fail("--%s: too many", counts[i].name);
    lesson l = { args[0], TOLA_DISTILL_OPTIONS_INIT };
    l.o.student = s->student;
    l.o.data = s->data;
    l.o.temperature = s->temperature;
    l.o.share = s->share;
    l.o.top = (uint32_t)s->top;
    l.o.steps = s->steps;
    l.o.batch = (uint32_t)s->batch;
    l.o.context = (uint32_t)s->context;
    l.o.rate = s->rate;
    return teach(s, args[0], &l);
}

const cli_verb cmd_distill = {
    .name = "distill",
    .summary = "Teach a smaller model what a larger one knows",
    .usage = "tola distill TEACHER --student RECIPE.yaml|MODEL --data FILE --out DIR [options]",
    .description =
        "The student learns the texts of FILE and what TEACHER makes of them: its loss is X times the divergence from "
        "the teacher's distribution, both softened by the temperature, and 1 - X times the cross-entropy of 'tola train'. "
        "TEACHER is any model that 'tola run' opens, of any type. A student that is a recipe takes the teacher's "
        "tokenizer, and its keys hold ('distill' among them); one that is a model goes on from its weights.\n\n"
        "The teacher's most probable tokens at each place are computed once and kept in DIR/teacher.rows. Validation "
        "tells cross-entropy alone, so that it compares with a run without a teacher. All else is as with 'tola train'.",
    .examples = "tola distill large.gguf --student small.yaml --data texts.txt --out small\tA new model\n"
                "tola distill large/ --student small/ --data chats.jsonl --out better --steps 500\tOne that is there",
    .exits = "0\tthe run is done, or was stopped after a checkpoint\n"
             "2\tan error: the recipe, the data, other vocabularies, numbers that are none, a full disk",
    .options = options,
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .model = true,
    .run = run,
};
