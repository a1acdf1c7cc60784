/* tola quantize: fewer bits a weight. The work is tola_quantize; this is its face. */
#include "frame.h"
#include "provenance.h"
#include "quantize.h"

#include <string.h>

typedef struct settings {
    const char *to, *format, *per, *imatrix;
    cli_list override, include, exclude, report;
    uint64_t group, max_size, max_shard_size;
    double bits;
    bool asymmetric, double_quant, pure, keep_names, dry_run;
    const char *provenance;
} settings;

static const cli_option options[] = {
    { "to", 't', CLI_STRING, "TYPE", "The type of the weights: Q4_K_M and llama.cpp's other names, int4, nf4, fp8, ...",
      offsetof(settings, to), NULL, "quantize" },
    { "format", 0, CLI_STRING, "FORMAT",
      "Write gguf, gptq, awq, compressed-tensors, bnb or safetensors, whatever OUT is called",
      offsetof(settings, format), NULL, NULL },
    { "group", 'g', CLI_UINT, "N", "Elements that share a scale, for int and fp8 types", offsetof(settings, group),
      NULL, NULL },
    { "per", 0, CLI_CHOICE, "WHAT", "One scale for each tensor, channel or group, for int and fp8 types",
      offsetof(settings, per), "tensor channel group", NULL },
    { "asymmetric", 0, CLI_FLAG, NULL, "Zero points beside the scales, for int types", offsetof(settings, asymmetric),
      NULL, NULL },
    { "double-quant", 0, CLI_FLAG, NULL, "Keep the scales in 8 bits themselves, for nf4 and fp4",
      offsetof(settings, double_quant), NULL, NULL },
    { "pure", 0, CLI_FLAG, NULL, "One type for all matrices instead of the mixture of that name",
      offsetof(settings, pure), NULL, NULL },
    { "override", 0, CLI_LIST, "GLOB=TYPE", "Give the tensors that match a type of their own; the first match wins",
      offsetof(settings, override), NULL, NULL },
    { "imatrix", 0, CLI_STRING, "FILE", "Weigh errors by this importance matrix of llama-imatrix (either format)",
      offsetof(settings, imatrix), NULL, "file" },
    { "max-size", 0, CLI_SIZE, "SIZE", "Choose each tensor's type so that the error is least in files of this size",
      offsetof(settings, max_size), NULL, NULL },
    { "bits", 'b', CLI_DOUBLE, "B", "The same for this many bits per weight", offsetof(settings, bits), NULL, NULL },
    { "report", 'r', CLI_LIST, "FILE", "Measure errors and write them into FILE (.json, .md, .svg, .png)",
      offsetof(settings, report), NULL, "file" },
    { "dry-run", 'n', CLI_FLAG, NULL, "Say how large it would be; read headers only, write nothing",
      offsetof(settings, dry_run), NULL, NULL },
    { "max-shard-size", 0, CLI_SIZE, "SIZE", "Split into files of at most this many bytes of tensors",
      offsetof(settings, max_shard_size), NULL, NULL },
    { "include", 'i', CLI_LIST, "GLOB", "Take only the tensors whose name in IN matches", offsetof(settings, include),
      NULL, NULL },
    { "exclude", 'x', CLI_LIST, "GLOB", "Leave out the tensors whose name in IN matches", offsetof(settings, exclude),
      NULL, NULL },
    { "keep-names", 0, CLI_FLAG, NULL, "From Hugging Face to GGUF, keep names and layout",
      offsetof(settings, keep_names), NULL, NULL },
    PROVENANCE_OPTION(offsetof(settings, provenance)),
    { 0 },
};

/* ---- the verb ---- */

static bool is_picture(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".png") == 0 || strcmp(dot, ".svg") == 0);
}

static void fill(const settings *set, tola_quantize_options *q) {
    q->to = set->to;
    q->format = set->format;
    q->per = set->per;
    q->group = (uint32_t)set->group;
    q->asymmetric = set->asymmetric;
    q->double_quant = set->double_quant;
    q->pure = set->pure;
    q->override = set->override.items;
    q->imatrix = set->imatrix;
    q->max_bytes = set->max_size;
    q->bits = set->bits;
    q->max_shard_size = set->max_shard_size;
    q->include = set->include.items;
    q->exclude = set->exclude.items;
    q->overwrite = cli.force;
    q->keep_names = set->keep_names;
    q->dry_run = set->dry_run;
    q->measure = (cli.json || set->report.count) && !set->dry_run;
    for (size_t i = 0; i < set->report.count; i++)
        q->candidates = q->candidates || (is_picture(set->report.items[i]) && !set->dry_run);
    q->threads = cli.threads;
    q->progress = cli_progress;
    q->warning = cli_collect_warning;
}

static int show(const settings *set, const quantize_view *v) {
    for (size_t i = 0; i < set->report.count; i++) {
        int code = quantize_report(v, set->report.items[i]);
        if (code != CLI_YES) return code;
    }
    if (cli.json) {
        tola_json j;
        out_json_begin(&j);
        quantize_write_json(&j, v);
        out_json_end(&j);
    } else {
        quantize_print(v);
    }
    return CLI_YES;
}

extern const cli_verb cmd_quantize;

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    (void)n_args;
    if (set->group > UINT32_MAX) return cli_fail("--group: a group of %llu elements", (unsigned long long)set->group);
    for (size_t i = 0; i < set->report.count; i++)
        if (!quantize_can_report(set->report.items[i])) return CLI_ERROR; /* before hours of work */
    tola_error err = TOLA_ERROR_INIT;
    tola_open_options open = TOLA_OPEN_OPTIONS_INIT;
    tola_checkpoint *in = NULL;
    open.threads = cli.threads;
    if (tola_checkpoint_open(args[0], &open, &in, &err) != TOLA_OK) return cli_fail_error(&err);

    const char *models[] = { args[0], NULL }, *imatrix[] = { set->imatrix, NULL };
    const provenance_paths made = { .models = models, .data = imatrix, .out = args[1] };
    if (!set->dry_run && provenance_ready(set->provenance, &made) != CLI_YES) {
        tola_checkpoint_close(in);
        return CLI_ERROR;
    }
    cli_warnings collected = { 0 };
    tola_quantize_options quantize = TOLA_QUANTIZE_OPTIONS_INIT;
    tola_quantize_result result = { 0 };
    fill(set, &quantize);
    quantize.warning_user = &collected;
    cli_catch_interrupts();
    tola_status status = tola_quantize(in, args[1], &quantize, &result, &err);
    cli_progress_end();
    int code;
    if (status == TOLA_E_CANCELLED) {
        code = cli_fail("interrupted; nothing was written to %s", args[1]);
    } else if (status != TOLA_OK) {
        code = cli_fail_error(&err);
    } else {
        quantize_view view = { args[0], args[1], &result, collected.lines, collected.count, set->dry_run };
        code = show(set, &view);
        if (code == CLI_YES && !set->dry_run) code = provenance_write(set->provenance, &cmd_quantize, set, &made);
    }
    tola_quantize_result_dispose(&result);
    tola_checkpoint_close(in);
    cli_warnings_free(&collected);
    return code;
}

const cli_verb cmd_quantize = {
    .name = "quantize",
    .summary = "Write a model with fewer bits a weight, and say what that costs",
    .usage = "tola quantize IN OUT --to TYPE [options]",
    .description =
        "Reads IN, a model in any format that Tola reads (quantized ones, too), and writes OUT with its matrices in "
        "TYPE, in one pass.\n\n"
        "For a GGUF file TYPE is one of llama.cpp's names (Q4_K_M, Q8_0, IQ4_XS, ...), which choose a type for each "
        "tensor by what it does, exactly as llama-quantize does; --pure takes the main type for all matrices. A "
        "Hugging "
        "Face folder is translated to GGUF on the way. For a folder or .safetensors file TYPE is int8 .. int1, "
        "f8_e4m3, mxfp4, mxfp6, mxfp8 or nvfp4 (compressed-tensors), fp8 (DeepSeek's blocks), nf4 or fp4 "
        "(bitsandbytes), and --format gptq or awq keeps "
        "integers in those layouts; matrices of linear layers are quantized, embeddings and the output layer are "
        "not.\n\n"
        "--max-size and --bits choose the type of every tensor so that the sum of errors, measured on a sample of "
        "its rows and weighted by the importance matrix where there is one, is least under the bound.\n\n"
        "Vectors and routers keep their type. Where rows do not fill the blocks of a type, a type with smaller blocks "
        "stands in, as in llama.cpp; the report says where. NaN becomes 0 where the type has none, an infinity the "
        "largest number that the type holds; both are counted.\n\n"
        "--report and --json measure what was lost: each block is decoded again and compared while it is written. A "
        "picture (.svg, .png) also shows what every other type would give on a sample of this model's rows. OUT "
        "appears "
        "whole or not at all.",
    .examples = "tola quantize llama/ llama-q4.gguf --to Q4_K_M\tA Hugging Face folder for llama.cpp\n"
                "tola quantize f16.gguf q4.gguf --to Q4_K_M --imatrix imatrix.gguf\tWeighted by activations\n"
                "tola quantize f16.gguf q.gguf --max-size 4GiB --report q.svg\tThe best that fits\n"
                "tola quantize f16.gguf q.gguf --to Q4_K_M --override '*.ffn_down.weight=q6_k'\tOne type by hand\n"
                "tola quantize llama/ llama-int4/ --to int4 --group 128\tFor vLLM and transformers\n"
                "tola quantize llama/ llama.gguf --to Q4_K_M --dry-run\tHow large would it be?\n",
    .exits = "0\tdone\n2\terror; nothing was written\n130\tinterrupted by Ctrl-C; nothing was written\n",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 2,
    .max_args = 2,
    .model = true,
    .run = run,
};
