/* tola merge: models merged by a recipe, or adapters folded into the weights of one. The work is tola_merge's and
 * tola_merge_adapters'; this is their face. */
#include "convert.h"
#include "provenance.h"

#include <stdlib.h>
#include <string.h>

typedef struct settings {
    cli_list adapter;
    const char *format;
    tola_dtype dtype;
    uint64_t max_shard_size;
    const char *provenance;
    uint64_t seed;
} settings;

static const cli_option options[] = {
    { "adapter", 'a', CLI_LIST, "A[:SCALE]", "Fold in the LoRA adapter A, a folder or a GGUF file",
      offsetof(settings, adapter), NULL, "file" },
    { "format", 0, CLI_STRING, "FORMAT", "Write safetensors, gguf, pytorch or npz, whatever OUT is called",
      offsetof(settings, format), NULL, NULL },
    { "dtype", 'd', CLI_DTYPE, "DTYPE", "Cast floating-point tensors; without it every tensor keeps its type",
      offsetof(settings, dtype), NULL, "dtype" },
    { "max-shard-size", 0, CLI_SIZE, "SIZE", "Split into files of at most this many bytes of tensors, with an index",
      offsetof(settings, max_shard_size), NULL, NULL },
    PROVENANCE_OPTION(offsetof(settings, provenance)),
    { "seed", 0, CLI_UINT, "N", "Of a recipe: decides what DARE drops", offsetof(settings, seed), NULL, NULL },
    { 0 },
};

extern const cli_verb cmd_merge;

static bool is_recipe(const char *path) {
    size_t n = strlen(path);
    return (n > 5 && strcmp(path + n - 5, ".yaml") == 0) || (n > 4 && strcmp(path + n - 4, ".yml") == 0);
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    (void)n_args;
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *model = NULL;
    cli_warnings collected = { 0 };
    tola_convert_summary summary = { 0 };
    tola_open_options open = TOLA_OPEN_OPTIONS_INIT;
    open.threads = cli.threads;
    bool recipe = is_recipe(args[0]);
    if (recipe && set->adapter.count)
        return cli_fail("a recipe merges models; adapters are folded into one of them before");
    if (!recipe && set->adapter.count == 0)
        return cli_fail("what is to be merged? --adapter names it, or a recipe that ends in .yaml");
    if (!recipe && tola_checkpoint_open(args[0], &open, &model, &err) != TOLA_OK) return cli_fail_error(&err);
    tola_convert_options convert = TOLA_CONVERT_OPTIONS_INIT;
    convert.format = set->format;
    convert.dtype = set->dtype;
    convert.max_shard_size = set->max_shard_size;
    convert.overwrite = cli.force;
    convert.threads = cli.threads;
    convert.progress = cli_progress;
    convert.warning = cli_collect_warning;
    convert.warning_user = &collected;
    const char *own[] = { args[0], NULL };
    char **named = NULL;
    if (recipe && set->provenance && tola_merge_inputs(args[0], &named, &err) != TOLA_OK) return cli_fail_error(&err);
    tola_adapter *adapters = cli_adapters(&set->adapter);
    const char **more = calloc(set->adapter.count + 1, sizeof *more);
    for (size_t i = 0; more && i < set->adapter.count; i++) more[i] = adapters[i].path;
    const provenance_paths made = { .models = recipe ? (const char *const *)named : own,
                                    .more = more,
                                    .data = recipe ? own : NULL,
                                    .out = args[1] };
    if (provenance_ready(set->provenance, &made) != CLI_YES) {
        free(more);
        free(adapters);
        tola_free(named);
        tola_checkpoint_close(model);
        return CLI_ERROR;
    }
    cli_catch_interrupts();
    tola_status status =
        recipe ? tola_merge(args[0], args[1], set->seed, &convert, &summary, &err)
               : tola_merge_adapters(model, adapters, set->adapter.count, args[1], &convert, &summary, &err);
    cli_progress_end();
    int code = convert_report("tola.merge/1", args[1], status, &err, &summary, &collected);
    if (code == CLI_YES && !more) code = cli_fail("out of memory");
    if (code == CLI_YES) code = provenance_write(set->provenance, &cmd_merge, set, &made);
    tola_free(named);
    free(more);
    free(adapters);
    tola_checkpoint_close(model);
    return code;
}

const cli_verb cmd_merge = {
    .name = "merge",
    .summary = "Merge models by a recipe, or fold adapters into one",
    .usage = "tola merge RECIPE.yaml OUT [options]\n       tola merge MODEL --adapter A[:SCALE] OUT [options]",
    .description =
        "A recipe says in mergekit's words which models are merged and how: linear, slerp, task_arithmetic, ties, "
        "dare_linear, dare_ties, model_stock or passthrough, over whole models or slices of their layers, with "
        "parameters that are numbers, gradients over layers, or differ by the tensor's name. docs/merge.md has the "
        "keys. Paths in it begin where the recipe lies. Models stream through in blocks, so memory does not grow with "
        "them.\n\n"
        "With --adapter, "
        "adds what LoRA adapters change to the weights of MODEL and writes OUT, which then runs without them: "
        "w + SCALE alpha/rank B A for each weight that an adapter has a pair for, with DoRA's magnitudes where it has "
        "those. Adapters are PEFT's folders or llama.cpp's GGUF files; either fits a model of either layout. Several "
        "are "
        "added one after the other.\n\n"
        "With --adapter, sums are made in f64 and rounded once to the type of the tensor. Tensors of block types "
        "(q4_k, ...) are decoded, changed and encoded again as the same type. Matrices that GPTQ and its kin keep in "
        "several tensors are written decoded.\n\n"
        "OUT is as in 'tola convert': its extension chooses the format, and an OUT that ends in '/' or is a folder "
        "gets "
        "the Hugging Face layout. The model streams through in blocks, so memory does not grow with it; the adapters "
        "are "
        "held in memory.",
    .examples = "tola merge recipe.yaml merged/\tModels merged as the recipe says\n"
                "tola merge llama/ --adapter lora/ merged/\tA folder that needs no adapter any more\n"
                "tola merge llama-q4.gguf --adapter lora/:0.5 merged.gguf\tAt half its strength, into q4_k weights\n"
                "tola merge llama/ -a style/ -a facts/ merged.gguf --dtype bf16\tTwo, and to GGUF\n",
    .exits = "0\tdone\n2\terror; nothing was written\n130\tinterrupted by Ctrl-C; nothing was written\n",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 2,
    .max_args = 2,
    .model = true,
    .run = run,
};
