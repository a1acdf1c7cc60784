/* tola scan: could opening these files run code? */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cli.h"

typedef struct settings {
    const char *sandbox;
} settings;

static out_style style_of(tola_verdict v) {
    return v == TOLA_SAFE ? OUT_GREEN : v == TOLA_UNKNOWN ? OUT_YELLOW : OUT_RED;
}

/* ---- text ---- */

static void print_finding(const tola_scan_finding *f) {
    out_printf("  ");
    out_styled(style_of(f->verdict), "%s", tola_verdict_name(f->verdict));
    out_printf(": ");
    if (f->member[0]) {
        out_text(f->member);
        out_printf(": ");
    }
    out_text(f->what);
    if (f->offset != TOLA_NO_OFFSET) out_printf(" (offset %" PRIu64 ")", f->offset);
    out_printf("\n");
}

static void print_import(const tola_scan_import *g) {
    out_printf("  %s %s ", tola_verdict_name(g->verdict), g->called ? "calls" : "imports");
    out_text(g->module);
    out_printf(".");
    out_text(g->name);
    out_printf(", offset %" PRIu64, g->offset);
    if (g->count > 1) out_printf(", %" PRIu64 " times", g->count);
    if (g->member[0]) {
        out_printf(", ");
        out_text(g->member);
    }
    out_printf("\n");
}

static void print_report(const tola_scan_report *r) {
    uint64_t counts[3] = { 0 };
    for (size_t i = 0; i < r->count; i++) {
        const tola_scan_file *f = &r->files[i];
        counts[f->verdict]++;
        if (f->verdict == TOLA_SAFE && !cli.verbose && r->count > 1) continue;
        out_styled(style_of(f->verdict), "%s", tola_verdict_name(f->verdict));
        out_printf("  ");
        out_text(f->path);
        out_printf(" (%s)\n", f->format);
        for (size_t k = 0; k < f->finding_count; k++) print_finding(&f->findings[k]);
        for (size_t k = 0; cli.verbose && k < f->import_count; k++)
            if (f->imports[k].verdict == TOLA_SAFE) print_import(&f->imports[k]);
    }
    if (r->count != 1)
        out_printf("%zu files: %" PRIu64 " safe, %" PRIu64 " unknown, %" PRIu64 " dangerous\n", r->count, counts[0],
                   counts[1], counts[2]);
}

/* ---- JSON ---- */

static void json_text(tola_json *j, const char *key, const char *text) {
    tola_json_key(j, key);
    tola_json_string(j, text);
}

static void json_offset(tola_json *j, uint64_t offset) {
    tola_json_key(j, "offset");
    if (offset == TOLA_NO_OFFSET)
        tola_json_null(j);
    else
        tola_json_u64(j, offset);
}

static void json_finding(tola_json *j, const tola_scan_finding *f) {
    tola_json_begin_object(j);
    json_text(j, "verdict", tola_verdict_name(f->verdict));
    json_text(j, "kind", f->kind);
    json_text(j, "what", f->what);
    json_offset(j, f->offset);
    json_text(j, "member", f->member);
    tola_json_end_object(j);
}

static void json_import(tola_json *j, const tola_scan_import *g) {
    tola_json_begin_object(j);
    json_text(j, "verdict", tola_verdict_name(g->verdict));
    json_text(j, "module", g->module);
    json_text(j, "name", g->name);
    json_offset(j, g->offset);
    tola_json_key(j, "count");
    tola_json_u64(j, g->count);
    tola_json_key(j, "called");
    tola_json_bool(j, g->called);
    json_text(j, "member", g->member);
    tola_json_end_object(j);
}

static void write_json(const tola_scan_report *r) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    json_text(&j, "schema", "tola.scan/1");
    json_text(&j, "verdict", tola_verdict_name(r->verdict));
    tola_json_key(&j, "sandboxed");
    tola_json_bool(&j, r->sandboxed);
    tola_json_key(&j, "files");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < r->count; i++) {
        const tola_scan_file *f = &r->files[i];
        tola_json_begin_object(&j);
        json_text(&j, "path", f->path);
        json_text(&j, "verdict", tola_verdict_name(f->verdict));
        json_text(&j, "format", f->format);
        tola_json_key(&j, "bytes");
        tola_json_u64(&j, f->bytes);
        tola_json_key(&j, "findings");
        tola_json_begin_array(&j);
        for (size_t k = 0; k < f->finding_count; k++) json_finding(&j, &f->findings[k]);
        tola_json_end_array(&j);
        tola_json_key(&j, "imports");
        tola_json_begin_array(&j);
        for (size_t k = 0; k < f->import_count; k++) json_import(&j, &f->imports[k]);
        tola_json_end_array(&j);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

/* ---- the verb ---- */

static int run(const void *parsed, char **args, int n_args) {
    const settings *s = parsed;
    tola_error err = TOLA_ERROR_INIT;
    tola_scan_options options = TOLA_SCAN_OPTIONS_INIT;
    tola_scan_report report;
    options.threads = cli.threads;
    options.progress = cli_progress;
    if (strcmp(s->sandbox, "always") == 0) options.sandbox = TOLA_SANDBOX_ALWAYS;
    if (strcmp(s->sandbox, "never") == 0) options.sandbox = TOLA_SANDBOX_NEVER;
    cli_catch_interrupts();
    tola_status status = tola_scan((const char *const *)args, (size_t)n_args, &options, &report, &err);
    cli_progress_end();
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (!report.sandboxed && options.sandbox == TOLA_SANDBOX_AUTO && report.count)
        cli_warn("this system has no filter for system calls: the files were read without a sandbox");
    if (cli.json)
        write_json(&report);
    else if (!cli.quiet)
        print_report(&report);
    int code = report.verdict == TOLA_SAFE ? CLI_YES : CLI_NO;
    tola_scan_dispose(&report);
    return code;
}

static const cli_option options[] = {
    { "sandbox", 0, CLI_CHOICE, "WHEN", "Read each file in a child process that can do nothing else",
      offsetof(settings, sandbox), "auto always never", NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

static const settings defaults = { "auto" };

const cli_verb cmd_scan = {
    .name = "scan",
    .summary = "Look for code in files of weights",
    .usage = "tola scan PATH... [options]",
    .description =
        "Tells whether opening a file could run code or read other files. Nothing is run, imported or unpacked to "
        "disk. A PATH is a file, a folder with everything in it (but .git), or a reference.\n"
        "\n"
        "safe: understood to the last byte, and nothing but data. dangerous: something that is known to run code or "
        "to reach out. unknown: everything else, damaged and encrypted files too.\n"
        "\n"
        "Contents decide, not names: pickles in any container (zip, tar, NumPy, joblib, compressed streams) are "
        "followed opcode by opcode, and whatever they import is held against a list of what weights need; -v lists "
        "the allowed imports, too. Keras models are looked at for layers that hold code, TensorFlow and ONNX graphs "
        "for operations on files, templates for attributes out of reach, configurations for code beside them, "
        "safetensors and GGUF for bytes that no tensor claims.\n"
        "\n"
        "Each file is read in a child process without rights: no files, no network, no processes.",
    .examples = "tola scan model.pt\tone file\n"
                "tola scan --json Downloads/\ta folder, for programs\n"
                "tola scan -q model.safetensors && echo safe\tfor scripts",
    .exits = "0\teverything is safe\n1\tsomething is unknown or dangerous\n2\ta path cannot be read",
    .options = options,
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1u << 20,
    .model = true,
    .run = run,
};
