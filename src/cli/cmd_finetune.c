/* tola finetune: a model, or an adapter over it, learns from examples, and what it forgets is told. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "learning.h"
#include "provenance.h"

typedef struct settings {
    cli_list data;
    const char *validation, *out, *method, *targets, *too_long, *optimizer, *schedule, *precision, *anchor, *provenance;
    uint64_t rank, context, steps, batch, accumulate, seed, validate_every, save_every, keep, anchor_tokens;
    double alpha, dropout, b_rate, epochs, rate, decay, clip, warmup, replay, anchor_kl, ewc, forget_limit;
    bool pack, all, recompute, resume, other, dry;
} settings;

static const settings defaults = { .rank = 8,
                                   .b_rate = 1,
                                   .epochs = 1,
                                   .batch = 4,
                                   .accumulate = 1,
                                   .decay = 0.01,
                                   .clip = 1,
                                   .warmup = 0.03,
                                   .keep = 2,
                                   .anchor_tokens = 4096 };

#define OPTION(name, letter, kind, argument, help, field, choices, complete)                                           \
    { name, letter, kind, argument, help, offsetof(settings, field), choices, complete }
static const cli_option options[] = {
    OPTION("data", 0, CLI_LIST, "FILE", "Learn from these lines of JSON; may be repeated", data, NULL, "file"),
    OPTION("out", 'o', CLI_STRING, "DIR", "Folder of the run", out, NULL, "file"),
    OPTION("validation", 0, CLI_STRING, "FILE", "Measure the loss on these examples, too", validation, NULL, "file"),
    OPTION("method", 0, CLI_CHOICE, "METHOD",
           "Learn an adapter (lora, the default, rslora, dora) or every weight (full)", method, "lora rslora dora full",
           NULL),
    OPTION("rank", 'r', CLI_UINT, "R", "Rank of the adapter's matrices (8)", rank, NULL, NULL),
    OPTION("alpha", 0, CLI_DOUBLE, "A", "Its changes are multiplied by A/R, with rslora by A/sqrt(R) (twice the rank)",
           alpha, NULL, NULL),
    OPTION("dropout", 0, CLI_DOUBLE, "P", "Drop this share of what goes into the adapter (0)", dropout, NULL, NULL),
    OPTION("b-rate", 0, CLI_DOUBLE, "X", "Learn B at X times the rate (LoRA+; 1)", b_rate, NULL, NULL),
    OPTION("targets", 0, CLI_STRING, "NAMES",
           "Adapt these matrices, named as PEFT does and separated by commas (all of attention and feed-forward)",
           targets, NULL, NULL),
    OPTION("context", 'c', CLI_UINT, "N", "Most tokens of an example (512, or the model's where that is less)", context,
           NULL, NULL),
    OPTION("long", 0, CLI_CHOICE, "WHAT", "An example of more tokens is refused (the default), cut, or dropped",
           too_long, "refuse cut drop", NULL),
    OPTION("pack", 0, CLI_FLAG, NULL, "Let several examples share a row of the batch; none sees another", pack, NULL,
           NULL),
    OPTION("all", 0, CLI_FLAG, NULL, "Learn to write the questions, too, not only the answers", all, NULL, NULL),
    OPTION("epochs", 'e', CLI_DOUBLE, "E", "Go through the examples so often (1)", epochs, NULL, NULL),
    OPTION("steps", 0, CLI_UINT, "N", "Make N steps instead", steps, NULL, NULL),
    OPTION("batch", 'b', CLI_UINT, "N", "Rows of a batch (4)", batch, NULL, NULL),
    OPTION("accumulate", 0, CLI_UINT, "N", "Batches of a step (1)", accumulate, NULL, NULL),
    OPTION("lr", 0, CLI_DOUBLE, "X", "Learning rate (2e-4; full: 2e-5)", rate, NULL, NULL),
    OPTION("schedule", 0, CLI_CHOICE, "S", "How the rate falls: linear (the default), cosine, or constant", schedule,
           "linear cosine constant", NULL),
    OPTION("warmup", 0, CLI_DOUBLE, "SHARE", "Let the rate rise over this share of the steps (0.03)", warmup, NULL,
           NULL),
    OPTION("decay", 0, CLI_DOUBLE, "X", "Weight decay (0.01)", decay, NULL, NULL),
    OPTION("clip", 0, CLI_DOUBLE, "X", "Largest norm of the gradient; 0: any (1)", clip, NULL, NULL),
    OPTION("optimizer", 0, CLI_CHOICE, "O", "adamw (the default), adamw8 with moments of 8 bits, or sgd", optimizer,
           "adamw adamw8 sgd", NULL),
    OPTION("precision", 0, CLI_CHOICE, "P", "Products in f32 (the default), bf16, or fp8 (simulated)", precision,
           "f32 bf16 fp8", NULL),
    OPTION("recompute", 0, CLI_FLAG, NULL, "Compute activations again instead of keeping them: less memory", recompute,
           NULL, NULL),
    OPTION("seed", 's', CLI_UINT, "S", "Of order, initial values and dropout (0)", seed, NULL, NULL),
    OPTION("validate-every", 0, CLI_UINT, "N", "Measure validation and anchor every N steps (at the ends)",
           validate_every, NULL, NULL),
    OPTION("save-every", 0, CLI_UINT, "N", "Write a checkpoint every N steps (at the end)", save_every, NULL, NULL),
    OPTION("keep", 0, CLI_UINT, "N", "Keep the last N checkpoints (2)", keep, NULL, NULL),
    OPTION("anchor", 0, CLI_STRING, "FILE", "Measure on this text what is forgotten: perplexity, and KL to the base",
           anchor, NULL, "file"),
    OPTION("anchor-tokens", 0, CLI_UINT, "N", "Measure on at most N of its tokens (4096)", anchor_tokens, NULL, NULL),
    OPTION("replay", 0, CLI_DOUBLE, "SHARE", "Mix anchor text into every batch, this share of its rows", replay, NULL,
           NULL),
    OPTION("anchor-kl", 0, CLI_DOUBLE, "W",
           "Hold the model to the base's distribution on anchor text, with this weight", anchor_kl, NULL, NULL),
    OPTION("ewc", 0, CLI_DOUBLE, "L", "Hold weights that matter to anchor text: L/2 sum F (w - w0)^2", ewc, NULL, NULL),
    OPTION("forget-limit", 0, CLI_DOUBLE, "SHARE", "Stop once the anchor's perplexity has risen by this share",
           forget_limit, NULL, NULL),
    OPTION("resume", 0, CLI_FLAG, NULL, "Go on from the last checkpoint in DIR, where there is one", resume, NULL,
           NULL),
    OPTION("changed", 0, CLI_FLAG, NULL, "With --resume: even though options or data have changed since", other, NULL,
           NULL),
    OPTION("dry-run", 0, CLI_FLAG, NULL, "Read everything, say how much memory it would take, and stop", dry, NULL,
           NULL),
    PROVENANCE_OPTION(offsetof(settings, provenance)),
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

/* ---- reports ---- */

typedef struct showing {
    learning_show show;
    const tola_finetune_summary *summary;
} showing;

static void describe(const tola_finetune_summary *s) {
    char a[48], b[48], c[48], d[48], e[48];
    if (cli.json || cli.quiet) return;
    out_printf("%s, %s of %s parameters are learned; %s examples, %s tokens of answers; %s steps\n", s->network,
               text_grouped(a, sizeof a, s->trained), text_grouped(b, sizeof b, s->parameters),
               text_grouped(c, sizeof c, s->examples), text_grouped(d, sizeof d, s->answers),
               text_grouped(e, sizeof e, s->steps));
    if (s->cut || s->dropped)
        cli_warn("%s examples were too long: %s cut, %s left out", text_grouped(a, sizeof a, s->cut + s->dropped),
                 text_grouped(b, sizeof b, s->cut), text_grouped(c, sizeof c, s->dropped));
}

static bool event(void *user, const tola_learn_event *e) {
    showing *s = user;
    if (e->kind == TOLA_LEARN_BEGIN) describe(s->summary);
    return learning_event(&s->show, e);
}

static void report_forgetting(const tola_finetune_summary *s) {
    char a[48], b[48], c[48], d[48];
    if (s->anchor_tokens == 0 || cli.quiet) return;
    double rise = s->anchor_perplexity_after / s->anchor_perplexity_before - 1;
    out_printf("anchor: perplexity %s, %s before (%s %%), KL to the base %s nats a token\n",
               measure_number(a, sizeof a, s->anchor_perplexity_after, 4),
               measure_number(b, sizeof b, s->anchor_perplexity_before, 4), measure_number(c, sizeof c, 100 * rise, 2),
               measure_number(d, sizeof d, s->anchor_kl_after, 5));
}

static void report_json(const tola_finetune_summary *s, const tola_learn_result *r, const char *out) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.finetune/1");
    out_json_string(&j, "network", s->network);
    out_json_u64(&j, "parameters", s->parameters);
    out_json_u64(&j, "trained", s->trained);
    out_json_u64(&j, "examples", s->examples);
    out_json_u64(&j, "tokens", s->tokens);
    out_json_u64(&j, "answer_tokens", s->answers);
    out_json_u64(&j, "cut", s->cut);
    out_json_u64(&j, "dropped", s->dropped);
    out_json_u64(&j, "rows", s->rows);
    out_json_u64(&j, "steps_wanted", s->steps);
    if (s->anchor_tokens && out) {
        tola_json_key(&j, "anchor");
        tola_json_begin_object(&j);
        out_json_u64(&j, "tokens", s->anchor_tokens);
        out_json_f64(&j, "perplexity_before", s->anchor_perplexity_before);
        out_json_f64(&j, "perplexity_after", s->anchor_perplexity_after);
        out_json_f64(&j, "kl", s->anchor_kl_after);
        tola_json_end_object(&j);
    }
    learning_json(&j, r, out);
    tola_json_end_object(&j);
    out_json_end(&j);
}

/* ---- the verb ---- */

static int check_counts(const settings *s) {
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = { { "rank", s->rank }, { "context", s->context },       { "batch", s->batch },
                   { "keep", s->keep }, { "accumulate", s->accumulate }, { "anchor-tokens", s->anchor_tokens } };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].value > UINT32_MAX)
            return cli_fail("--%s: %llu is too large", counts[i].name, (unsigned long long)counts[i].value);
    if (!s->data.count) return cli_fail("what is to be learned? --data names a file of examples");
    if (!s->out && !s->dry) return cli_fail("where to? --out names a folder");
    if (s->other && !s->resume) return cli_fail("--changed is said beside --resume");
    return CLI_YES;
}

/* "q_proj,v_proj" as a list; freed with free. NULL for NULL. */
static const char **split_targets(const char *text) {
    if (!text) return NULL;
    size_t count = 2, length = strlen(text) + 1;
    for (const char *p = text; *p; p++) count += *p == ',';
    const char **list = frame_alloc(count * sizeof *list + length);
    char *copy = memcpy((char *)(list + count), text, length);
    size_t n = 0;
    for (char *word = strtok_r(copy, ", ", &copy); word; word = strtok_r(NULL, ", ", &copy)) list[n++] = word;
    list[n] = NULL;
    return list;
}

static void fill(const settings *s, const char *const *targets, tola_finetune_options *o) {
    static const char *const methods[] = { "lora", "rslora", "dora", "full" };
    static const char *const longs[] = { "refuse", "cut", "drop" };
    o->data = s->data.items;
    o->validation = s->validation;
    o->out = s->out;
    for (unsigned i = 0; s->method && i < 4; i++)
        if (strcmp(s->method, methods[i]) == 0) o->method = (tola_finetune_method)i;
    for (unsigned i = 0; s->too_long && i < 3; i++)
        if (strcmp(s->too_long, longs[i]) == 0) o->too_long = (tola_finetune_long)i;
    o->rank = (uint32_t)s->rank;
    o->alpha = s->alpha;
    o->dropout = s->dropout;
    o->b_rate = s->b_rate;
    o->targets = targets;
    o->context = (uint32_t)s->context;
    o->pack = s->pack;
    o->all = s->all;
    o->epochs = s->epochs;
    o->steps = s->steps;
    o->batch = (uint32_t)s->batch;
    o->accumulate = (uint32_t)s->accumulate;
    o->rate = s->rate;
    o->decay = s->decay;
    o->clip = s->clip;
    o->optimizer = s->optimizer;
    o->schedule = s->schedule;
    o->warmup = s->warmup;
    o->precision = s->precision;
    o->recompute = s->recompute;
    o->seed = s->seed;
    o->threads = cli.threads;
    o->validate_every = s->validate_every;
    o->save_every = s->save_every;
    o->keep = (uint32_t)s->keep;
    o->anchor = s->anchor;
    o->anchor_tokens = (uint32_t)s->anchor_tokens;
    o->replay = s->replay;
    o->anchor_kl = s->anchor_kl;
    o->ewc = s->ewc;
    o->forget_limit = s->forget_limit;
    o->resume = s->resume;
    o->other_options = s->other;
    o->overwrite = cli.force;
    o->dry_run = s->dry;
}

extern const cli_verb cmd_finetune;

/* Every file of examples; freed with free. */
static const char **data_of(const settings *s) {
    const char **data = frame_alloc((s->data.count + 3) * sizeof *data);
    size_t n = 0;
    for (size_t i = 0; i < s->data.count; i++) data[n++] = s->data.items[i];
    if (s->validation) data[n++] = s->validation;
    if (s->anchor) data[n++] = s->anchor;
    data[n] = NULL;
    return data;
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *s = parsed;
    tola_error err = TOLA_ERROR_INIT;
    tola_finetune_options o = TOLA_FINETUNE_OPTIONS_INIT;
    tola_finetune_summary summary = { .steps = 0 };
    tola_learn_result result = { .steps = 0 };
    (void)n_args;
    if (check_counts(s) != CLI_YES) return CLI_ERROR;
    const char *models[] = { args[0], NULL }, **data = data_of(s);
    const provenance_paths made = { .models = models, .data = data, .out = s->out, .run = true };
    if (!s->dry && provenance_ready(s->provenance, &made) != CLI_YES) {
        free(data);
        return CLI_ERROR;
    }
    const char **targets = split_targets(s->targets);
    fill(s, targets, &o);
    showing show = { .show = { .unit = "tokens" }, .summary = &summary };
    o.event = event;
    o.event_user = &show;
    if (tola_encrypted(args[0])) cli_warn("%s is encrypted, what is learned from it is not", args[0]);
    cli_catch_interrupts();
    tola_status status = tola_finetune(args[0], &o, &summary, &result, &err);
    cli_progress_end();
    free(targets);
    int code = status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
    if (code == CLI_YES && !s->dry) code = learning_provenance(s->provenance, &cmd_finetune, s, &made, &result);
    free(data);
    if (code != CLI_YES) return code;
    if (cli.json) {
        report_json(&summary, &result, s->dry ? NULL : s->out);
    } else if (s->dry) {
        describe(&summary);
        learning_memory(&result.predicted);
    } else {
        report_forgetting(&summary);
        learning_text(&result, s->out);
    }
    return s->dry ? CLI_YES : learning_curves(s->out);
}

const cli_verb cmd_finetune = {
    .name = "finetune",
    .summary = "Teach a model from examples, and tell what it forgot",
    .usage = "tola finetune MODEL --data FILE --out DIR [options]",
    .description =
        "Learns from FILE: lines of JSON with 'messages' (role and content), 'prompt' and 'completion', 'instruction', "
        "'input' and 'output', 'question' and 'answer', or 'text'. Conversations go through the model's own chat "
        "template, "
        "and only answers are learned. MODEL may be of any type: over quantized weights, which stay as they are, an "
        "adapter "
        "is QLoRA.\n\n"
        "DIR gets log.jsonl (a line a step), checkpoints and at the end an adapter in PEFT's format, for 'tola run "
        "--adapter', 'tola merge' and PEFT; with --method full, the model.\n\n"
        "With --anchor, perplexity on a text and the divergence from MODEL (KL, nats a token) are measured before the "
        "first "
        "step, with every validation, and at the end. What holds the model to what it knew: --replay, --anchor-kl, "
        "--ewc, a "
        "lower --rank, and --forget-limit, which ends the run. docs/finetune.md has them measured side by side.\n\n"
        "A run that was stopped with Ctrl-C, or killed, goes on with --resume and ends with the same bits as one that "
        "was "
        "not.",
    .examples = "tola finetune llama/ --data chats.jsonl --out lora/\tAn adapter of rank 8\n"
                "tola finetune llama-q4.gguf --data qa.jsonl --out lora/ --recompute --batch 1\tThe same over 4 bits\n"
                "tola finetune small/ --data qa.jsonl --out new/ --method full --anchor wiki.txt --replay 0.25\t"
                "Every weight, with old text mixed in\n",
    .exits = "0\tthe run is done, or was stopped after a checkpoint\n"
             "2\tan error: the examples, the options, numbers that are none, a full disk\n",
    .options = options,
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .model = true,
    .run = run,
};
