/* tola card, tola bom: papers of a model, and whether a paper still says what the weights are. */
#include "papers.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

static void report_json(const char *schema, const char *kind, const tola_paper *p, const char *out) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", schema);
    out_json_string(&j, "output", out);
    out_json_string(&j, "kind", kind);
    out_json_string(&j, "title", p->title);
    out_json_u64(&j, "fields", p->fields);
    out_json_u64(&j, "unknown", p->unknown);
    tola_json_key(&j, "unknown_fields");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < p->unknown; i++) tola_json_string(&j, p->unknown_fields[i]);
    tola_json_end_array(&j);
    tola_json_key(&j, "warnings");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < p->warning_count; i++) tola_json_string(&j, p->warnings[i]);
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void report(const tola_paper *p, const char *out) {
    out_text(out);
    out_printf(": ");
    out_text(p->title);
    out_printf("; %zu of %zu fields unknown\n", p->unknown, p->fields);
    for (size_t i = 0; i < p->unknown && cli.verbose; i++) {
        out_printf("  unknown: ");
        out_text(p->unknown_fields[i]);
        out_printf("\n");
    }
}

/* An ending that names another kind of file is a mistake; none at all is Markdown. */
static bool good_ending(const char *out) {
    static const char *const endings[] = { ".md", ".markdown", ".json", ".html", ".htm" };
    const char *slash = strrchr(out, '/'), *name = slash ? slash + 1 : out, *dot = strrchr(name, '.');
    if (!dot || dot == name) return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(dot, endings[i]) == 0) return true;
    return false;
}

static int make(const papers_settings *s, const char *kind, tola_paper_kind paper_kind, const char *model,
                const char *out) {
    tola_error err = TOLA_ERROR_INIT;
    tola_paper_options o = TOLA_PAPER_OPTIONS_INIT;
    tola_paper paper;
    bool to_stdout = strcmp(out, "-") == 0;
    if (paper_kind <= TOLA_PAPER_DATA && !s->format && !to_stdout && !good_ending(out))
        return cli_fail("%s: the ending says no form that a card has: .md, .json or .html (or --format)", out);
    o.kind = paper_kind;
    o.facts = s->facts;
    o.evaluations = s->evaluations.items;
    o.out = to_stdout ? NULL : out;
    o.no_digest = s->no_digest;
    o.threads = cli.threads;
    o.progress = cli_progress;
    if (to_stdout && cli.json) o.format = TOLA_PAPER_JSON;
    if (s->format)
        o.format = strcmp(s->format, "md") == 0     ? TOLA_PAPER_MARKDOWN
                   : strcmp(s->format, "html") == 0 ? TOLA_PAPER_HTML
                                                    : TOLA_PAPER_JSON;
    if (s->date && (strlen(s->date) != 10 || !cli_parse_time(s->date, &o.time) || o.time < 0))
        return cli_fail("--date %s is no day, as 2026-11-22 is", s->date);
    if (s->date && o.time == 0) o.time = 1;
    cli_catch_interrupts();
    tola_status status = tola_paper_make(model, &o, &paper, &err);
    cli_progress_end();
    if (status != TOLA_OK) return cli_fail_error(&err);
    for (size_t i = 0; i < paper.warning_count; i++) cli_warn("%s", paper.warnings[i]);
    int code = CLI_YES;
    if (to_stdout)
        out_raw(paper.text, paper.length);
    else if (tola_paper_write(&paper, out, cli.force, &err) != TOLA_OK)
        code = cli_fail_error(&err);
    else if (cli.json)
        report_json("tola.paper/1", kind, &paper, out);
    else if (!cli.quiet)
        report(&paper, out);
    tola_paper_dispose(&paper);
    return code;
}

/* ---- checking ---- */

static void verdict_json(const tola_paper_verdict *v) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.paper_check/1");
    out_json_bool(&j, "agrees", v->agrees);
    out_json_u64(&j, "checked", v->checked);
    tola_json_key(&j, "claims");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < v->count; i++) {
        const tola_paper_claim *c = &v->claims[i];
        tola_json_begin_object(&j);
        out_json_string(&j, "what", c->what);
        out_json_string(&j, "says", c->says);
        out_json_string(&j, "is", c->is);
        out_json_u64(&j, "line", c->line);
        out_json_bool(&j, "agrees", c->agrees);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void verdict_text(const char *document, const tola_paper_verdict *v) {
    size_t wrong = 0;
    for (size_t i = 0; i < v->count; i++) {
        const tola_paper_claim *c = &v->claims[i];
        wrong += !c->agrees;
        if (c->agrees && !cli.verbose) continue;
        out_text(document);
        if (c->line) out_printf(":%" PRIu64, c->line);
        out_printf(": ");
        out_text(c->what);
        out_printf(": the document says ");
        out_text(c->says);
        out_printf(", the weights ");
        out_text(c->is ? c->is : "do not tell");
        out_printf(c->agrees ? "\n" : " (disagrees)\n");
    }
    out_text(document);
    if (wrong)
        out_printf(": %zu of %zu claims disagree with the weights\n", wrong, v->checked);
    else
        out_printf(": agrees with the weights (%zu claim%s checked)\n", v->checked, v->checked == 1 ? "" : "s");
}

static int check(const papers_settings *s, const char *model) {
    tola_error err = TOLA_ERROR_INIT;
    tola_paper_options o = TOLA_PAPER_OPTIONS_INIT;
    tola_paper_verdict v;
    o.no_digest = s->no_digest;
    o.threads = cli.threads;
    o.progress = cli_progress;
    cli_catch_interrupts();
    tola_status status = tola_paper_check(s->check, model, &o, &v, &err);
    cli_progress_end();
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (cli.json)
        verdict_json(&v);
    else if (!cli.quiet)
        verdict_text(s->check, &v);
    int code = v.agrees ? CLI_YES : CLI_NO;
    tola_paper_verdict_dispose(&v);
    return code;
}

int papers_run(const papers_settings *s, const char *const *kinds, tola_paper_kind first, char **args, int n_args) {
    unsigned k = 0;
    while (kinds[k] && strcmp(kinds[k], s->kind) != 0) k++;
    if (s->check) {
        if (n_args != 1) return cli_fail("with --check DOCUMENT only MODEL is given");
        return check(s, args[0]);
    }
    if (n_args != 2) return cli_fail("OUT is missing: a file (its ending says its form), or - for stdout");
    return make(s, s->kind, (tola_paper_kind)((unsigned)first + k), args[0], args[1]);
}

/* ---- the verb ---- */

static const cli_option options[] = {
    PAPERS_OPTIONS,
    { "kind", 0, CLI_CHOICE, "KIND", "Model card, Model Documentation Form, or training data summary",
      offsetof(papers_settings, kind), "hf eu data", NULL },
    { "format", 0, CLI_CHOICE, "FORM", "Markdown, JSON or HTML, whatever OUT is called",
      offsetof(papers_settings, format), "md json html", NULL },
    { 0 },
};

static const papers_settings defaults = { .kind = "hf" };

static int run(const void *settings, char **args, int n_args) {
    static const char *const kinds[] = { "hf", "eu", "data", NULL };
    return papers_run(settings, kinds, TOLA_PAPER_HF, args, n_args);
}

const cli_verb cmd_card = {
    .name = "card",
    .summary = "Write a model's card or form from its weights and facts, or check one",
    .usage = "tola card MODEL --facts F.yaml [--kind hf|eu|data] OUT\ntola card --check DOCUMENT MODEL",
    .description =
        "Makes a document from what the weights say, what FACTS tells (tola comply --template writes one to fill in), "
        "and "
        "what Tola's other verbs left beside the weights: digests, reports of quantize, results of eval --json, logs "
        "of "
        "training with their energy, provenance, signatures. OUT ends in .md, .json or .html; - is stdout.\n"
        "\n"
        "hf is a model card with the front matter of the Hugging Face Hub; eu the Model Documentation Form of the "
        "General-Purpose AI Code of Practice, each item with its recipients; data the public summary of training "
        "content after the Commission's template.\n"
        "\n"
        "What nobody told is shown as unknown and counted; -v lists it. Each answer names its source: weights, facts, "
        "recorded or computed. Where facts contradict the weights, a warning says so.\n"
        "\n"
        "--check holds a document, edited by hand or not, against the weights: parameters, digests, element types, "
        "architecture, context, licence. It reads bills of materials, too. None of this is legal advice.",
    .examples = "tola card model/ --facts facts.yaml README.md\ta model card\n"
                "tola card model/ --facts facts.yaml --kind eu form.html\tthe form, to print\n"
                "tola card --check README.md model/\tdoes it still say what the weights are?",
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
