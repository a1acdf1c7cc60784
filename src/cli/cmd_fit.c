/* tola fit: what a model costs and where it runs. The counting is tola_fit_compute; this is its face. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "canvas.h"
#include "fit.h"
#include "frame.h"

typedef struct settings {
    const char *parameters, *config, *active, *dtype, *context, *batch, *prompt, *kv_type, *engine;
    const char *train, *optimizer, *recompute, *precision, *rank, *on, *devices, *plot;
    bool flash, list_devices;
    cli_list price;
    double api_in, api_out, ratio, utilisation;
} settings;

#define FIELD(name) offsetof(settings, name)
static const cli_option options[] = {
    { "params", 0, CLI_STRING, "N", "Count a model of usual shape with this many parameters: 7B, 1.5T",
      FIELD(parameters), NULL, NULL },
    { "config", 0, CLI_STRING, "FILE", "Count the model that this config.json describes", FIELD(config), NULL, "file" },
    { "active", 0, CLI_STRING, "N", "With --params: parameters that one token uses (mixture of experts)", FIELD(active),
      NULL, NULL },
    { "dtype", 0, CLI_STRING, "TYPE", "Weights in this type: fp16, int4, q4_k_m, nvfp4, awq, ... (as stored)",
      FIELD(dtype), NULL, "dtype" },
    { "context", 0, CLI_STRING, "N", "Tokens of a sequence; 8K is 8192 (the model's own, at most 4096)", FIELD(context),
      NULL, NULL },
    { "batch", 0, CLI_STRING, "N", "Sequences at once (1)", FIELD(batch), NULL, NULL },
    { "kv-type", 0, CLI_STRING, "TYPE", "Keep keys and values as f16, bf16, fp8, q8_0, q4_0, ... (f16)", FIELD(kv_type),
      NULL, "dtype" },
    { "prompt", 0, CLI_STRING, "N", "Tokens of the prompt whose rate is told (512)", FIELD(prompt), NULL, NULL },
    { "engine", 0, CLI_CHOICE, "NAME", "Whose buffers: a server's, tola's, llama.cpp's", FIELD(engine),
      "server tola llama", NULL },
    { "train", 0, CLI_CHOICE, "METHOD", "Count training: full, lora or qlora", FIELD(train), "full lora qlora", NULL },
    { "optimizer", 0, CLI_CHOICE, "NAME", "Of training (adamw)", FIELD(optimizer), "adamw adamw8 momentum sgd", NULL },
    { "recompute", 0, CLI_CHOICE, "WHAT", "What the backward computes again instead of keeping it (none)",
      FIELD(recompute), "none attention layers", NULL },
    { "precision", 0, CLI_CHOICE, "NAME", "Of training: 16 bits with f32 masters, or f32 (mixed)", FIELD(precision),
      "mixed f32", NULL },
    { "flash", 0, CLI_FLAG, NULL, "Attention of the training keeps no scores (FlashAttention)", FIELD(flash), NULL,
      NULL },
    { "rank", 0, CLI_STRING, "N", "Rank of adapters (16)", FIELD(rank), NULL, NULL },
    { "on", 0, CLI_STRING, "DEVICE,...", "Devices: h100, 8xh100, rtx4090, m3-max-64, this, all", FIELD(on), NULL,
      NULL },
    { "devices", 0, CLI_STRING, "FILE", "Know these devices, too (YAML, as data/devices.yaml)", FIELD(devices), NULL,
      "file" },
    { "list-devices", 0, CLI_FLAG, NULL, "Show the devices that are known, with their sources", FIELD(list_devices),
      NULL, NULL },
    { "price", 0, CLI_LIST, "DEVICE=USD", "This device costs USD an hour", FIELD(price), NULL, NULL },
    { "api-in", 0, CLI_DOUBLE, "USD", "An API's price per million tokens read: from where on is owning cheaper?",
      FIELD(api_in), NULL, NULL },
    { "api-out", 0, CLI_DOUBLE, "USD", "The same for tokens written", FIELD(api_out), NULL, NULL },
    { "ratio", 0, CLI_DOUBLE, "N", "Tokens read for each one written (3)", FIELD(ratio), NULL, NULL },
    { "utilisation", 0, CLI_DOUBLE, "X", "Share of the time that devices are busy (0.5)", FIELD(utilisation), NULL,
      NULL },
    { "plot", 0, CLI_STRING, "FILE", "Draw the parts as stacked bars against the devices; .svg or .png", FIELD(plot),
      NULL, "file" },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};
#undef FIELD

static int count(const char *text, const char *what, uint64_t kilo, uint64_t most, uint64_t *out) {
    tola_error err = TOLA_ERROR_INIT;
    if (!text) return CLI_YES;
    return tola_fit_count(text, what, kilo, most, out, &err) == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

/* "h100,this" as a list that ends with NULL; freed with free, its first item, too. NULL after a message. */
static const char **split(const char *text) {
    size_t n = 2, length = strlen(text) + 1;
    for (const char *p = text; *p; p++) n += *p == ',';
    char *copy = memcpy(frame_alloc(length), text, length);
    const char **list = frame_alloc(n * sizeof *list);
    n = 0;
    for (char *rest = copy; rest;) {
        char *comma = strchr(rest, ',');
        if (comma) *comma = 0;
        while (*rest == ' ') rest++;
        if (!*rest) {
            cli_fail("--on %s: a name is empty", text);
            free(copy);
            free(list);
            return NULL;
        }
        list[n++] = rest;
        rest = comma ? comma + 1 : NULL;
    }
    list[n] = NULL;
    return list;
}

static int take_numbers(const settings *s, tola_fit_options *o) {
    uint64_t rank = 0;
    int code = count(s->parameters, "--params", 1000, TOLA_FIT_MOST_PARAMETERS, &o->parameters);
    if (code == CLI_YES) code = count(s->active, "--active", 1000, TOLA_FIT_MOST_PARAMETERS, &o->active);
    if (code == CLI_YES) code = count(s->context, "--context", 1024, TOLA_FIT_MOST_CONTEXT, &o->context);
    if (code == CLI_YES) code = count(s->prompt, "--prompt", 1024, TOLA_FIT_MOST_CONTEXT, &o->prompt);
    if (code == CLI_YES) code = count(s->batch, "--batch", 1000, 1000000000, &o->batch);
    if (code == CLI_YES) code = count(s->rank, "--rank", 1000, 1000000, &rank);
    o->rank = (uint32_t)rank;
    return code;
}

static int check(const settings *s, int n_args) {
    int given = (n_args > 0) + (s->parameters != NULL) + (s->config != NULL);
    if (given != 1)
        return cli_fail(given ? "MODEL, --params and --config exclude each other"
                              : "a model is needed: MODEL, --params 7B or --config config.json");
    if (s->active && !s->parameters) return cli_fail("--active goes with --params; a model tells it itself");
    if (!s->train && (s->optimizer || s->recompute || s->precision || s->rank || s->flash))
        return cli_fail("--optimizer, --recompute, --precision, --rank and --flash go with --train");
    if (s->train && s->kv_type) return cli_fail("training keeps no keys and values: --kv-type goes without --train");
    if (s->api_in < 0 || s->api_out < 0 || s->ratio < 0) return cli_fail("prices and ratios are not negative");
    if (s->utilisation < 0 || s->utilisation > 1) return cli_fail("--utilisation is a share from 0 to 1");
    return !s->plot || (frame_may_write(s->plot) && canvas_can(s->plot)) ? CLI_YES : CLI_ERROR;
}

static int list_devices(const settings *s) {
    tola_fit *f;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_fit_devices(s->devices, &f, &err) != TOLA_OK) return cli_fail_error(&err);
    if (cli.json)
        fit_write_devices(f);
    else
        fit_print_devices(f);
    tola_fit_free(f);
    return CLI_YES;
}

static int report(const settings *s, const tola_fit_options *o) {
    tola_fit *f;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_fit_compute(o, &f, &err) != TOLA_OK) return cli_fail_error(&err);
    int code = f->fits ? CLI_YES : CLI_NO;
    if (cli.json)
        fit_write_json(f);
    else if (!cli.quiet)
        fit_print(f);
    if (s->plot && fit_plot(f, s->plot) != CLI_YES) code = CLI_ERROR;
    tola_fit_free(f);
    return code;
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *s = parsed;
    tola_fit_options o = TOLA_FIT_OPTIONS_INIT;
    if (s->list_devices) return list_devices(s);
    int code = check(s, n_args);
    if (code == CLI_YES) code = take_numbers(s, &o);
    if (code != CLI_YES) return code;
    const char **on = s->on ? split(s->on) : NULL;
    if (s->on && !on) return CLI_ERROR;
    o.model = n_args > 0 ? args[0] : s->config;
    o.dtype = s->dtype;
    o.kv_type = s->kv_type;
    o.engine = s->engine;
    o.train = s->train;
    o.optimizer = s->optimizer;
    o.recompute = s->recompute;
    o.precision = s->precision;
    o.flash = s->flash;
    o.on = on;
    o.devices = s->devices;
    o.prices = s->price.items;
    o.api_in = s->api_in;
    o.api_out = s->api_out;
    o.ratio = s->ratio;
    o.utilisation = s->utilisation;
    o.threads = cli.threads;
    code = report(s, &o);
    if (on) free((void *)(uintptr_t)on[0]);
    free(on);
    return code;
}

const cli_verb cmd_fit = {
    .name = "fit",
    .summary = "Bytes by part, devices needed, speed and cost of a model",
    .usage = "tola fit MODEL | --params N | --config FILE [options]",
    .description =
        "Counts what a model takes: weights, cache of keys and values, buffers; with --train gradients, optimizer and "
        "activations. Of MODEL the headers are read and no weights, over the network as well (hf://, https://). "
        "--config takes a config.json alone, --params a number: 7B, 405B, 1T.\n"
        "\n"
        "With --on it says for each device whether the model fits, how many are needed, how fast tokens are read and "
        "written (a roofline: what is read over the bandwidth, operations over the peak, with the shares of both that "
        "are reached: measured for this machine, estimates for others), the longest context and the best type that "
        "fit, what it costs. 'this' is this machine, whose memory and speed are looked up and measured; 8xh100 are "
        "eight; 'all' is the table.\n"
        "\n"
        "With --api-in and --api-out it says how many tokens a month make owning the devices cheaper than such an "
        "API. Prices of the table are examples with a date; --price sets yours.\n"
        "\n"
        "-v shows the formula of every figure with its source. GB is 1e9 bytes, GiB 2^30.",
    .examples = "tola fit model.gguf --on this\tdoes it fit here, and how fast is it?\n"
                "tola fit --params 70B --on h100,2xh100,m3-max-128\twithout a file\n"
                "tola fit hf://meta-llama/Llama-3.1-8B --context 128K --kv-type q8_0 --on rtx4090\tlong contexts\n"
                "tola fit model/ --train lora --batch 4 --context 2048 --on rtx4090\tfine-tuning\n"
                "tola fit --config config.json --on 8xh100 --batch 64 --api-in 0.3 --api-out 0.9\tor an API?\n"
                "tola fit model/ --on rtx4090 --plot fit.svg\ta picture by type\n",
    .exits = "0\tit fits on one of the devices, or none was named\n1\tit fits on none of them\n2\terror\n",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 0,
    .max_args = 1,
    .model = true,
    .run = run,
};
