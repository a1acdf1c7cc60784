/* tola inspect: what a model is, from its headers. */
#include <stddef.h>
#include <stdlib.h>

#include "frame.h"
#include "inspect.h"

static bool any_match(const tola_checkpoint *ck, const char *glob) {
    if (!glob || !*glob) return true;
    size_t count = tola_checkpoint_tensor_count(ck);
    for (size_t i = 0; i < count; i++)
        if (tola_glob_match(glob, tola_checkpoint_tensor(ck, i)->name)) return true;
    return false;
}

static tola_status digest_of(const tola_checkpoint *ck, char out[65], tola_error *err) {
    tola_job_options options = TOLA_JOB_OPTIONS_INIT;
    options.threads = cli.threads;
    options.progress = cli_progress;
    cli_catch_interrupts();
    tola_status status = tola_digest(ck, &options, out, err);
    cli_progress_end();
    return status;
}

static int show(const tola_checkpoint *ck, const inspect_settings *settings, const char *path) {
    tola_error err = TOLA_ERROR_INIT;
    tola_summary summary;
    char digest[65];
    if (!any_match(ck, settings->tensors)) return cli_fail("%s: no tensor matches '%s'", path, settings->tensors);
    if (settings->digest && digest_of(ck, digest, &err) != TOLA_OK) return cli_fail_error(&err);
    uint8_t *roles = frame_alloc(tola_checkpoint_tensor_count(ck) + 1);
    if (tola_summarize(ck, &summary, roles, &err) != TOLA_OK) {
        free(roles);
        return cli_fail_error(&err);
    }
    inspection in = { ck, &summary, roles, path, settings->digest ? digest : NULL };
    if (cli.json)
        inspect_write_json(&in, settings);
    else
        inspect_print(&in, settings);
    tola_summary_dispose(&summary);
    free(roles);
    return CLI_YES;
}

static int run(const void *settings, char **args, int n_args) {
    (void)n_args;
    tola_error err = TOLA_ERROR_INIT;
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.threads = cli.threads;
    options.tolerant = true; /* a download that is not complete can still be looked at */
    tola_checkpoint *ck;
    if (tola_checkpoint_open(args[0], &options, &ck, &err) != TOLA_OK) return cli_fail_error(&err);
    int code = show(ck, settings, args[0]);
    tola_checkpoint_close(ck);
    return code;
}

static const cli_option options[] = {
    { "tensors", 0, CLI_OPTIONAL, "GLOB", "List the tensors (those that match GLOB), repeated layers folded",
      offsetof(inspect_settings, tensors), NULL, NULL },
    { "metadata", 0, CLI_FLAG, NULL, "Show the metadata stored in the file", offsetof(inspect_settings, metadata), NULL,
      NULL },
    { "digest", 0, CLI_FLAG, NULL, "Read all tensors and show their fingerprint", offsetof(inspect_settings, digest),
      NULL, NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

const cli_verb cmd_inspect = {
    .name = "inspect",
    .summary = "Show what a model is",
    .usage = "tola inspect MODEL [options]",
    .description =
        "Reads the headers of MODEL (a file, a shard index, a folder, or a reference) and shows its format, "
        "architecture, parameters in total, active for one token and by role, element types, bits per weight, shape, "
        "tokenizer, licence, and whatever is odd about it. Payloads are not read, except with --digest.\n"
        "\n"
        "Parameters are weights: tensors that share their storage count once, packed quantized tensors count as the "
        "weights they stand for, and integers, running statistics, quantization scales and optimizer states are "
        "counted apart. Active parameters leave out the experts that a token is not routed to, and layers that "
        "predict tokens further ahead.\n"
        "\n"
        "Names that differ only in numbers are folded into one line, with ranges in braces. With --json every tensor "
        "is listed (or those that match); arrays of more than 64 entries in the metadata are given by their length "
        "unless --metadata asks for them.\n"
        "\n"
        "The fingerprint depends on the names, dtypes, shapes and bytes of the tensors and on nothing else: it is the "
        "same in any container and any sharding. docs/digest.md defines it.",
    .examples = "tola inspect model.gguf\tshow what is in a file\n"
                "tola inspect Mixtral-8x7B-v0.1/ --tensors\tlist the tensors of a folder, layers folded\n"
                "tola inspect model.safetensors --tensors='*norm*'\tlist the norms\n"
                "tola inspect model.pt --json --digest\tall facts for a program",
    .exits = "0\tdone\n2\tMODEL cannot be read, or no tensor matches GLOB",
    .options = options,
    .settings_size = sizeof(inspect_settings),
    .min_args = 1,
    .max_args = 1,
    .model = true,
    .run = run,
};
