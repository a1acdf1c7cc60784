/* tola convert: from any readable format to any written one. The work is tola_convert; this is its face. */
#include "convert.h"
#include "provenance.h"

#include <inttypes.h>
#include <string.h>

typedef struct settings {
    const char *format;
    tola_dtype dtype;
    const char *overflow;
    uint64_t max_shard_size;
    cli_list include, exclude, rename, dtype_override;
    bool keep_names;
    const char *model;
    const char *provenance;
} settings;

static const cli_option options[] = {
    { "format", 0, CLI_STRING, "FORMAT", "Write safetensors, gguf, pytorch or npz, whatever OUT is called",
      offsetof(settings, format), NULL, NULL },
    { "dtype", 'd', CLI_DTYPE, "DTYPE", "Cast floating-point tensors; integers and booleans stay as they are",
      offsetof(settings, dtype), NULL, "dtype" },
    { "dtype-override", 0, CLI_LIST, "GLOB=DTYPE",
      "Give the tensors that match a dtype of their own; the first match wins over --dtype",
      offsetof(settings, dtype_override), NULL, NULL },
    { "overflow", 0, CLI_CHOICE, "RULE",
      "What a number beyond the new range becomes: infinity (ieee) or the largest number (saturate)",
      offsetof(settings, overflow), "ieee saturate", NULL },
    { "max-shard-size", 0, CLI_SIZE, "SIZE", "Split into files of at most this many bytes of tensors, with an index",
      offsetof(settings, max_shard_size), NULL, NULL },
    { "include", 'i', CLI_LIST, "GLOB", "Take only the tensors whose name in IN matches", offsetof(settings, include),
      NULL, NULL },
    { "exclude", 'x', CLI_LIST, "GLOB", "Leave out the tensors whose name in IN matches", offsetof(settings, exclude),
      NULL, NULL },
    { "rename", 0, CLI_LIST, "FROM=TO", "Rename tensors: each * in FROM captures, each * in TO inserts",
      offsetof(settings, rename), NULL, NULL },
    { "keep-names", 0, CLI_FLAG, NULL,
      "Between Hugging Face and GGUF, change the container alone, not names and layout", offsetof(settings, keep_names),
      NULL, NULL },
    { "model", 0, CLI_STRING, "MODEL", "IN is a LoRA adapter of MODEL: from PEFT's folder to llama.cpp's file, or back",
      offsetof(settings, model), NULL, "model" },
    PROVENANCE_OPTION(offsetof(settings, provenance)),
    { 0 },
};

/* ---- reports ---- */

static void report_json(const char *schema, const char *out, const tola_convert_summary *s, const cli_warnings *w) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    tola_json_key(&j, "schema");
    tola_json_string(&j, schema);
    tola_json_key(&j, "output");
    tola_json_string(&j, out);
    tola_json_key(&j, "tensors");
    tola_json_u64(&j, s->tensors);
    tola_json_key(&j, "files");
    tola_json_u64(&j, s->files);
    tola_json_key(&j, "bytes");
    tola_json_begin_object(&j);
    tola_json_key(&j, "in");
    tola_json_u64(&j, s->bytes_in);
    tola_json_key(&j, "out");
    tola_json_u64(&j, s->bytes_out);
    tola_json_end_object(&j);
    tola_json_key(&j, "overflowed");
    tola_json_u64(&j, s->overflowed);
    tola_json_key(&j, "seconds");
    tola_json_f64(&j, s->seconds);
    tola_json_key(&j, "warnings");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < w->count; i++) tola_json_string(&j, w->lines[i]);
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void report_text(const char *out, const tola_convert_summary *s, const cli_warnings *w) {
    char tensors[32], in[32], to[32], rate[32], count[32];
    double seconds = s->seconds > 1e-6 ? s->seconds : 1e-6;
    text_grouped(tensors, sizeof tensors, s->tensors);
    text_bytes(in, sizeof in, s->bytes_in);
    text_bytes(to, sizeof to, s->bytes_out);
    text_bytes(rate, sizeof rate, (uint64_t)((double)(s->bytes_in + s->bytes_out) / 2 / seconds));
    if (!cli.quiet) {
        out_text(out);
        out_printf(": %s tensor%s, ", tensors, s->tensors == 1 ? "" : "s");
        if (s->bytes_in == s->bytes_out)
            out_printf("%s", to);
        else
            out_printf("%s from %s", to, in);
        if (s->files > 1) out_printf(" in %" PRIu64 " files", s->files);
        out_printf(", %.1f s, %s/s\n", s->seconds, rate);
    }
    for (size_t i = 0; i < w->count; i++) cli_warn("%s", w->lines[i]);
    if (s->overflowed)
        cli_warn("%s number%s left the range of the new dtype", text_grouped(count, sizeof count, s->overflowed),
                 s->overflowed == 1 ? "" : "s");
}

int convert_report(const char *schema, const char *out, tola_status status, const tola_error *err,
                   const tola_convert_summary *summary, cli_warnings *w) {
    int code = CLI_YES;
    if (status == TOLA_E_CANCELLED)
        code = cli_fail("interrupted; nothing was written to %s", out);
    else if (status != TOLA_OK)
        code = cli_fail_error(err);
    else if (cli.json)
        report_json(schema, out, summary, w);
    else
        report_text(out, summary, w);
    cli_warnings_free(w);
    return code;
}

/* ---- adapters ---- */

static int convert_adapter(const settings *set, const tola_checkpoint *in, const char *out) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *model;
    if (set->format || set->dtype || set->max_shard_size || set->include.count || set->exclude.count ||
        set->rename.count || set->dtype_override.count || set->keep_names)
        return cli_fail("--model converts an adapter as a whole: no other choices belong to it");
    if (tola_checkpoint_open(set->model, NULL, &model, &err) != TOLA_OK) return cli_fail_error(&err);
    tola_status status = tola_convert_adapter(in, model, out, cli.force, &err);
    tola_checkpoint_close(model);
    return status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

/* ---- the verb ---- */

extern const cli_verb cmd_convert;

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    (void)n_args;
    tola_error err = TOLA_ERROR_INIT;
    tola_open_options open = TOLA_OPEN_OPTIONS_INIT;
    tola_checkpoint *in = NULL;
    cli_warnings collected = { 0 };
    open.threads = cli.threads;
    if (tola_checkpoint_open(args[0], &open, &in, &err) != TOLA_OK) return cli_fail_error(&err);

    const char *models[] = { args[0], set->model, NULL };
    const provenance_paths made = { .models = models, .out = args[1] };
    if (set->model) {
        int code = provenance_ready(set->provenance, &made);
        if (code == CLI_YES) code = convert_adapter(set, in, args[1]);
        if (code == CLI_YES) code = provenance_write(set->provenance, &cmd_convert, set, &made);
        tola_checkpoint_close(in);
        return code;
    }
    if (provenance_ready(set->provenance, &made) != CLI_YES) {
        tola_checkpoint_close(in);
        return CLI_ERROR;
    }
    tola_convert_options convert = TOLA_CONVERT_OPTIONS_INIT;
    convert.format = set->format;
    convert.dtype = set->dtype;
    if (set->overflow && strcmp(set->overflow, "saturate") == 0) convert.overflow = TOLA_OVERFLOW_SATURATE;
    convert.max_shard_size = set->max_shard_size;
    convert.include = set->include.items;
    convert.exclude = set->exclude.items;
    convert.rename = set->rename.items;
    convert.dtype_override = set->dtype_override.items;
    convert.overwrite = cli.force;
    convert.keep_names = set->keep_names;
    convert.threads = cli.threads;
    convert.progress = cli_progress;
    convert.warning = cli_collect_warning;
    convert.warning_user = &collected;

    tola_convert_summary summary = { 0 };
    cli_catch_interrupts();
    tola_status status = tola_convert(in, args[1], &convert, &summary, &err);
    cli_progress_end();
    int code = convert_report("tola.convert/1", args[1], status, &err, &summary, &collected);
    if (code == CLI_YES) code = provenance_write(set->provenance, &cmd_convert, set, &made);
    tola_checkpoint_close(in);
    return code;
}

const cli_verb cmd_convert = {
    .name = "convert",
    .summary = "Write a model in another format, dtype, sharding or naming",
    .usage = "tola convert IN OUT [options]",
    .description =
        "Reads IN, a file, a shard index, a folder or a reference, and writes OUT. The extension of OUT chooses the "
        "format: .safetensors, .gguf, .pt, .pth, .bin or .npz. An OUT that ends in '/' or is a folder gets the "
        "Hugging Face layout: weights, configuration, tokenizer, chat template and licence.\n\n"
        "From a Hugging Face folder to GGUF and back, names, layout and configuration are translated for the families "
        "that Tola knows; --keep-names changes the container alone. With --model, IN is a LoRA adapter of that model and "
        "becomes one of the other layout.\n\n"
        "--dtype casts floating-point tensors with one rounding to nearest, ties to even. Tensors that share storage "
        "are written once for each name. A dtype that the format cannot hold is an error.\n\n"
        "The model streams through in blocks of a few megabytes, so memory does not grow with it. OUT appears whole or "
        "not at all: after an error or Ctrl-C nothing is left. A killed process leaves at most a hidden temporary "
        "file, which the next run removes.",
    .examples = "tola convert model.safetensors model.gguf\tChange the container\n"
                "tola convert llama/ llama.gguf --dtype bf16\tA Hugging Face folder for llama.cpp\n"
                "tola convert model.gguf llama/\tAnd back\n"
                "tola convert big.bin big/ --max-shard-size 4GB\tShards of at most 4 GB and an index\n"
                "tola convert a.safetensors b.safetensors --rename 'model.*=*'\tDrop a prefix\n"
                "tola convert lora/ lora.gguf --model llama/\tAn adapter for llama.cpp\n",
    .exits = "0\tdone\n2\terror; nothing was written\n130\tinterrupted by Ctrl-C; nothing was written\n",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 2,
    .max_args = 2,
    .model = true,
    .run = run,
};
