/* tola bom: a bill of materials. */
#include <stddef.h>

#include "papers.h"

static const cli_option options[] = {
    PAPERS_OPTIONS,
    { "kind", 0, CLI_CHOICE, "KIND", "CycloneDX 1.6, or SPDX 3.0.1 with its AI profile",
      offsetof(papers_settings, kind), "cyclonedx spdx", NULL },
    { 0 },
};

static const papers_settings defaults = { .kind = "cyclonedx" };

static int run(const void *settings, char **args, int n_args) {
    static const char *const kinds[] = { "cyclonedx", "spdx", NULL };
    return papers_run(settings, kinds, TOLA_PAPER_CYCLONEDX, args, n_args);
}

const cli_verb cmd_bom = {
    .name = "bom",
    .summary = "Write a machine learning bill of materials of a model, or check one",
    .usage = "tola bom MODEL [--kind cyclonedx|spdx] OUT\ntola bom --check DOCUMENT MODEL",
    .description =
        "Writes JSON that names the model, each of its files with its SHA-256, its licence, what it was made from, its "
        "training data, evaluations and energy: as CycloneDX 1.6 with a model card, or as SPDX 3.0.1 with the AI and "
        "dataset profiles. What the weights do not tell comes from --facts. OUT may be - for stdout.\n"
        "\n"
        "The identifier is made of the content: with --date, the same model and facts give the same bytes. There are "
        "no "
        "host names, user names or paths in it. What SPDX requires and nobody told says so in a comment.\n"
        "\n"
        "--check holds a bill (or a card) against the weights.",
    .examples = "tola bom model/ model.cdx.json\tCycloneDX\n"
                "tola bom model.gguf --kind spdx --facts facts.yaml model.spdx.json\tSPDX with facts\n"
                "tola bom --check model.cdx.json model/\tdoes it still describe these files?",
    .exits =
        "0\tdone, or the document agrees with the weights\n1\tit disagrees\n2\tsomething cannot be read or written",
    .options = options,
    .settings_size = sizeof(papers_settings),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 2,
    .model = true,
    .run = run,
};
