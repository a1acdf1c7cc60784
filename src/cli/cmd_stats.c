/* tola stats: what the numbers in a model look like. */
#include <stddef.h>
#include <stdlib.h>

#include "canvas.h"
#include "frame.h"
#include "stats.h"

static tola_status compute(const tola_checkpoint *ck, const char *glob, tola_stats *out, tola_error *err) {
    tola_job_options options = TOLA_JOB_OPTIONS_INIT;
    options.threads = cli.threads;
    options.glob = glob;
    options.progress = cli_progress;
    cli_catch_interrupts();
    tola_status status = tola_stats_compute(ck, &options, out, err);
    cli_progress_end();
    return status;
}

static int show(const tola_checkpoint *ck, const stats_settings *settings, const char *path, const char *glob) {
    tola_error err = TOLA_ERROR_INIT;
    tola_stats stats;
    if (settings->plot && !canvas_can(settings->plot)) return CLI_ERROR; /* before hours of reading */
    if (compute(ck, glob, &stats, &err) != TOLA_OK) return cli_fail_error(&err);
    stats_view view = { ck, path, &stats };
    int code = CLI_YES;
    if (stats.count == 0 && glob)
        code = stats.skipped ? cli_fail("%s: no tensor that matches '%s' holds numbers", path, glob)
                             : cli_fail("%s: no tensor matches '%s'", path, glob);
    else if (settings->plot && (code = stats_plot(&view, settings->plot)) != CLI_YES)
        ;
    else if (cli.json)
        stats_write_json(&view);
    else if (stats.count == 1)
        stats_print_one(&view);
    else
        stats_print(&view);
    tola_stats_dispose(&stats);
    return code;
}

static int run(const void *settings, char **args, int n_args) {
    tola_checkpoint *ck;
    int code = cli_open_values(args[0], ((const stats_settings *)settings)->stored, &ck);
    if (code != CLI_YES) return code;
    code = show(ck, settings, args[0], n_args > 1 ? args[1] : NULL);
    tola_checkpoint_close(ck);
    return code;
}

static const cli_option options[] = {
    { "plot", 0, CLI_STRING, "FILE", "Draw the histograms of all tensors into FILE (.svg, .png)",
      offsetof(stats_settings, plot), NULL, "file" },
    { "stored", 0, CLI_FLAG, NULL, "Look at the tensors as they are stored: codes and scales of GPTQ, AWQ and their kin",
      offsetof(stats_settings, stored), NULL, NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

const cli_verb cmd_stats = {
    .name = "stats",
    .summary = "Show statistics of the tensors of a model",
    .usage = "tola stats MODEL [GLOB] [options]",
    .description =
        "Reads every tensor of MODEL, or those whose names match GLOB, in one pass on all processors and shows "
        "extremes, mean, standard deviation, kurtosis, zeros, outliers, NaNs and infinities, and a small histogram "
        "over sign and power of two. A single tensor is shown with its whole histogram.\n"
        "\n"
        "All figures but the counts of NaNs and infinities speak of finite elements. The standard deviation divides by "
        "n; kurtosis is m4/m2^2, 3 for a Gaussian; norm is the square root of the sum of squares; outliers are further "
        "than six standard deviations from the mean. Quantized tensors are measured as the numbers they stand for. "
        "The result does not depend on the number of threads.\n"
        "\n"
        "In JSON, counts[i] of the histogram are elements from edges[i] to edges[i+1]. The bin from -2^-64 to 2^-64 "
        "holds zeros alone; smaller elements are counted in the bins beside it, larger ones than 2^64 in the "
        "outermost. Empty bins at the ends are left out, and those beside zero are one wide bin.",
    .examples = "tola stats model.safetensors\tone line for each tensor\n"
                "tola stats model.gguf 'blk.0.*'\tthe first layer\n"
                "tola stats model.safetensors lm_head.weight\ta histogram of one tensor\n"
                "tola stats model.safetensors --plot all.svg\ta picture of all of them\n"
                "tola stats model.pt --json\tall figures for a program",
    .exits = "0\tdone\n2\tMODEL cannot be read, or no tensor matches GLOB",
    .options = options,
    .settings_size = sizeof(stats_settings),
    .min_args = 1,
    .max_args = 2,
    .model = true,
    .run = run,
};
