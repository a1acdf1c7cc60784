/* tola eval: how well a model predicts a text, and how often it picks the right answer. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#define FILE_LIMIT ((size_t)1 << 30)

typedef struct settings {
    const char *protocol, *reference, *delimiter;
    uint64_t context, stride, limit;
    tola_dtype kv_type;
    cli_list adapter;
} settings;

static const cli_option options[] = {
    { "protocol", 0, CLI_CHOICE, "NAME", "How perplexity cuts the text: chunk (llama.cpp's, the default) or window",
      offsetof(settings, protocol), "chunk window", NULL },
    { "context", 'c', CLI_UINT, "N", "Tokens of a chunk (512) or window; of a question with its choice",
      offsetof(settings, context), NULL, NULL },
    { "stride", 0, CLI_UINT, "N", "Each window begins N tokens behind the one before (half of the context)",
      offsetof(settings, stride), NULL, NULL },
    { "reference", 0, CLI_STRING, "MODEL", "Compare with what MODEL predicts for the same text",
      offsetof(settings, reference), NULL, "model" },
    { "limit", 0, CLI_UINT, "N", "Stop after N chunks, windows or questions", offsetof(settings, limit), NULL, NULL },
    { "delimiter", 0, CLI_STRING, "TEXT", "Between a question and its choices (a space)", offsetof(settings, delimiter),
      NULL, NULL },
    { "kv-type", 0, CLI_DTYPE, "TYPE", "Keep keys and values as f32, f16, bf16, q8_0 or q4_0 (f16)",
      offsetof(settings, kv_type), NULL, "dtype" },
    { "adapter", 0, CLI_LIST, "A[:SCALE]", "Add the LoRA adapter A, a folder or a GGUF file",
      offsetof(settings, adapter), NULL, "file" },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

static void estimate(const char *label, tola_estimate e, int digits, const char *after) {
    char value[48], error[48];
    measure_number(value, sizeof value, e.value, digits);
    measure_number(error, sizeof error, e.error, digits);
    out_printf("%-22s %s ± %s%s\n", label, value, error, after);
}

static void amount(const char *label, uint64_t value, const char *after) {
    char text[48];
    out_printf("%-22s %s%s\n", label, text_grouped(text, sizeof text, value), after);
}

static void speed(uint64_t tokens, double seconds) {
    char text[48];
    out_printf("%-22s %s tokens/s\n", "speed",
               measure_number(text, sizeof text, (double)tokens / (seconds > 0 ? seconds : 1e-9), 1));
}

/* ---- perplexity ---- */

static void perplexity_json(const tola_perplexity_result *r) {
    const tola_divergence *d = &r->divergence;
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.eval/1");
    out_json_string(&j, "task", "perplexity");
    out_json_string(&j, "protocol", tola_protocol_name(r->protocol));
    out_json_u64(&j, "context", r->context);
    if (r->stride) out_json_u64(&j, "stride", r->stride);
    out_json_bool(&j, "bos", r->bos);
    measure_json_estimate(&j, "perplexity", r->perplexity);
    measure_json_estimate(&j, "nll", r->nll);
    out_json_u64(&j, "tokens", r->scored);
    out_json_u64(&j, "text_tokens", r->tokens);
    out_json_u64(&j, "read_tokens", r->read);
    out_json_u64(&j, "windows", r->windows);
    out_json_u64(&j, "windows_total", r->windows_total);
    out_json_bool(&j, "complete", r->complete);
    out_json_f64(&j, "seconds", r->seconds);
    out_json_f64(&j, "tokens_per_s", (double)r->read / (r->seconds > 0 ? r->seconds : 1e-9));
    if (r->compared) {
        measure_json_estimate(&j, "reference_perplexity", d->perplexity);
        measure_json_estimate(&j, "log_ratio", d->log_ratio);
        measure_json_estimate(&j, "kl", d->kl);
        out_json_f64(&j, "kl_median", d->kl_median);
        out_json_f64(&j, "kl_p90", d->kl_90);
        out_json_f64(&j, "kl_p99", d->kl_99);
        out_json_f64(&j, "kl_p999", d->kl_999);
        out_json_f64(&j, "kl_max", d->kl_max);
        measure_json_estimate(&j, "top1_agreement", d->top1);
        out_json_f64(&j, "probability_rms", d->probability_rms);
    } else {
        out_json_f64(&j, "kl", NAN); /* null */
        out_json_f64(&j, "top1_agreement", NAN);
    }
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void divergence_text(const tola_divergence *d) {
    char a[48], b[48], c[48], e[48];
    estimate("reference perplexity", d->perplexity, 4, "");
    estimate("ln of their ratio", d->log_ratio, 6, "");
    estimate("KL divergence", d->kl, 6, " nats a token");
    out_printf("%-22s median %s, 99 %% %s, 99.9 %% %s, max %s\n", "", measure_number(a, sizeof a, d->kl_median, 6),
               measure_number(b, sizeof b, d->kl_99, 6), measure_number(c, sizeof c, d->kl_999, 6),
               measure_number(e, sizeof e, d->kl_max, 6));
    estimate("same likeliest token", (tola_estimate){ 100 * d->top1.value, 100 * d->top1.error }, 3, " %");
    out_printf("%-22s %s %% (root mean square)\n", "change of probability",
               measure_number(a, sizeof a, 100 * d->probability_rms, 3));
}

static void perplexity_text(const tola_perplexity_result *r) {
    char protocol[200];
    const unsigned long long windows = r->windows;
    if (r->protocol == TOLA_PROTOCOL_CHUNK)
        snprintf(protocol, sizeof protocol, "chunk: %llu of %u tokens, the second half of each scored%s", windows,
                 r->context, r->bos ? "" : ", without BOS");
    else
        snprintf(protocol, sizeof protocol, "window: %llu of %u tokens, %u further each", windows, r->context,
                 r->stride);
    estimate("perplexity", r->perplexity, 4, "");
    out_printf("%-22s %s\n", "protocol", protocol);
    amount("tokens scored", r->scored, "");
    amount("tokens of the text", r->tokens, "");
    if (r->compared) divergence_text(&r->divergence);
    speed(r->read, r->seconds);
}

static int run_perplexity(const settings *s, const tola_model *model, const tola_model *reference, const char *path) {
    tola_error err = TOLA_ERROR_INIT;
    tola_perplexity_options o = TOLA_PERPLEXITY_OPTIONS_INIT;
    tola_perplexity_result result;
    size_t length;
    if (measure_u32("context", s->context, &o.context) != CLI_YES) return CLI_ERROR;
    if (measure_u32("stride", s->stride, &o.stride) != CLI_YES) return CLI_ERROR;
    if (s->protocol && strcmp(s->protocol, "window") == 0) o.protocol = TOLA_PROTOCOL_WINDOW;
    o.limit = s->limit;
    o.reference = reference;
    o.key_type = o.value_type = s->kv_type;
    o.threads = cli.threads;
    o.progress = cli_progress;
    char *text = cli_read_all(path, FILE_LIMIT, &length);
    if (!text) return CLI_ERROR;
    cli_catch_interrupts();
    tola_status status = tola_perplexity(model, text, length, &o, &result, &err);
    cli_progress_end();
    free(text);
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (cli.json)
        perplexity_json(&result);
    else
        perplexity_text(&result);
    if (result.complete) return CLI_YES;
    return cli_fail("interrupted after %llu of %llu %ss", (unsigned long long)result.windows,
                    (unsigned long long)result.windows_total, tola_protocol_name(result.protocol));
}

/* ---- choice ---- */

static void choice_json(const tola_choice_result *r) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.eval/1");
    out_json_string(&j, "task", "choice");
    measure_json_estimate(&j, "accuracy", r->accuracy);
    measure_json_estimate(&j, "accuracy_characters", r->accuracy_characters);
    measure_json_estimate(&j, "accuracy_bytes", r->accuracy_bytes);
    out_json_u64(&j, "questions", r->questions);
    out_json_u64(&j, "questions_total", r->questions_total);
    out_json_u64(&j, "tokens", r->tokens);
    out_json_bool(&j, "complete", r->complete);
    out_json_f64(&j, "seconds", r->seconds);
    tola_json_key(&j, "items");
    tola_json_begin_array(&j);
    for (uint64_t i = 0; i < r->questions; i++) {
        const tola_choice_item *item = &r->items[i];
        tola_json_begin_object(&j);
        out_json_u64(&j, "line", item->line);
        out_json_u64(&j, "answer", item->answer);
        out_json_u64(&j, "chosen", item->by_sum);
        out_json_u64(&j, "chosen_characters", item->by_characters);
        out_json_u64(&j, "chosen_bytes", item->by_bytes);
        tola_json_key(&j, "log_likelihood");
        tola_json_begin_array(&j);
        for (uint32_t k = 0; k < item->choices; k++) tola_json_f64(&j, item->log_likelihood[k]);
        tola_json_end_array(&j);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void choice_text(const tola_choice_result *r) {
    amount("questions", r->questions, "");
    estimate("accuracy", r->accuracy, 4, "");
    estimate("  by characters", r->accuracy_characters, 4, "");
    estimate("  by bytes", r->accuracy_bytes, 4, "");
}

static int run_choice(const settings *s, const tola_model *model, const char *path) {
    tola_error err = TOLA_ERROR_INIT;
    tola_choice_options o = TOLA_CHOICE_OPTIONS_INIT;
    tola_choice_result result;
    size_t length;
    if (measure_u32("context", s->context, &o.context) != CLI_YES) return CLI_ERROR;
    o.limit = s->limit;
    o.delimiter = s->delimiter;
    o.key_type = o.value_type = s->kv_type;
    o.threads = cli.threads;
    o.progress = cli_progress;
    char *lines = cli_read_all(path, FILE_LIMIT, &length);
    if (!lines) return CLI_ERROR;
    cli_catch_interrupts();
    tola_status status = tola_choice(model, strcmp(path, "-") == 0 ? "stdin" : path, lines, length, &o, &result, &err);
    cli_progress_end();
    free(lines);
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (cli.json)
        choice_json(&result);
    else
        choice_text(&result);
    const unsigned long long done = result.questions, total = result.questions_total;
    const bool complete = result.complete;
    tola_choice_dispose(&result);
    return complete ? CLI_YES : cli_fail("interrupted after %llu of %llu questions", done, total);
}

/* ---- the verb ---- */

/* Options of the other task would be lost in silence. */
static int check(const settings *s, bool perplexity) {
    const char *foreign = perplexity     ? (s->delimiter ? "delimiter" : NULL)
                          : s->protocol  ? "protocol"
                          : s->stride    ? "stride"
                          : s->reference ? "reference"
                                         : NULL;
    if (foreign) return cli_fail("--%s is of 'tola eval %s'", foreign, perplexity ? "choice" : "perplexity");
    bool window = s->protocol && strcmp(s->protocol, "window") == 0;
    if (s->stride && !window) return cli_fail("--stride goes with --protocol window");
    return CLI_YES;
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *s = parsed;
    tola_model *model = NULL, *reference = NULL;
    (void)n_args;
    const bool perplexity = strcmp(args[0], "perplexity") == 0;
    if (!perplexity && strcmp(args[0], "choice") != 0)
        return cli_fail("there is no task '%s'; perplexity and choice are understood", args[0]);
    int code = check(s, perplexity);
    if (code == CLI_YES) code = measure_open(args[1], &s->adapter, false, s->context, &model);
    if (code == CLI_YES && s->reference) code = measure_open(s->reference, NULL, false, s->context, &reference);
    if (code == CLI_YES)
        code = perplexity ? run_perplexity(s, model, reference, args[2]) : run_choice(s, model, args[2]);
    tola_model_free(reference);
    tola_model_free(model);
    return code;
}

const cli_verb cmd_eval = {
    .name = "eval",
    .summary = "Measure how well a language model predicts a text, or answers questions",
    .usage = "tola eval perplexity|choice MODEL FILE [options]",
    .description =
        "perplexity reads the text in FILE and tells exp of the mean negative log-likelihood of its tokens, with "
        "the standard error. Two protocols are known, whose numbers are not comparable: chunk is llama.cpp's "
        "(llama-perplexity), disjoint chunks of which the second half is scored; window is Hugging Face's sliding "
        "window, where each token is scored once with at least context - stride tokens before it. With --reference "
        "a second model reads the same tokens, and the divergence of MODEL's predictions from its own is told: what "
        "quantizing lost.\n"
        "\n"
        "choice reads questions from FILE, one JSON object a line: \"question\" (or \"context\" or \"prompt\"), "
        "\"choices\", a list of texts, and \"answer\", the index from 0, the letter, or the text of the right one. "
        "Each choice is weighed by the log-likelihood of its tokens behind the question: their sum (acc of "
        "lm-evaluation-harness), and the sum divided by the choice's characters (acc_norm) and bytes (acc_bytes).\n"
        "\n"
        "FILE may be - for stdin. The numbers do not depend on --threads. When interrupted, what was found until "
        "then is printed.",
    .examples =
        "tola eval perplexity model.gguf wiki.test.raw\tas llama-perplexity measures it\n"
        "tola eval perplexity q4.gguf wiki.test.raw --reference f16.gguf\twhat quantizing lost\n"
        "tola eval perplexity model/ book.txt --protocol window --context 1024 --stride 512\tas Hugging Face does\n"
        "tola eval choice model/ questions.jsonl --json\taccuracies, and the weight of each choice",
    .exits = "0\tdone\n2\tMODEL or FILE cannot be read, FILE is too short, or it was interrupted",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 3,
    .max_args = 3,
    .model = true,
    .run = run,
};
