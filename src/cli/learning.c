#include "learning.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "1:23:45", "4:05" */
static const char *duration(char *buf, size_t n, double seconds) {
    unsigned long s = seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 999999999;
    if (s >= 3600)
        snprintf(buf, n, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, n, "%lu:%02lu", s / 60, s % 60);
    return buf;
}

static const char *number(char *buf, size_t n, double value) {
    measure_number(buf, n, value, fabs(value) >= 100 ? 2 : 4);
    return buf;
}

/* "loss 1.2345, accuracy 97.50 %" */
static void measures_text(char *buf, size_t n, const tola_learn_measures *m) {
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < m->count && used < n; i++) {
        char value[48];
        bool share = strcmp(m->items[i].name, "accuracy") == 0;
        if (share)
            measure_number(value, sizeof value, 100 * m->items[i].value, 2);
        else
            number(value, sizeof value, m->items[i].value);
        int more =
            snprintf(buf + used, n - used, "%s%s %s%s", i ? ", " : "", m->items[i].name, value, share ? " %" : "");
        used += more > 0 ? (size_t)more : 0;
    }
}

static void line(const char *text) {
    cli_progress_end();
    out_stream(text, strlen(text));
}

static void show_step(learning_show *show, const tola_learn_event *e) {
    char loss[48], speed[48], left[48];
    const char *unit = show->unit ? show->unit : show->summary && show->summary->tokens ? "tokens" : "rows";
    if (e->seconds - show->told < 0.1 && e->step != e->steps) return;
    show->told = e->seconds;
    number(loss, sizeof loss, e->loss);
    text_grouped(speed, sizeof speed, (uint64_t)e->tokens_per_s);
    duration(left, sizeof left, e->seconds_left);
    cli_status("step %llu of %llu  loss %s  rate %.3g  %s %s/s  %s left", (unsigned long long)e->step,
               (unsigned long long)e->steps, loss, e->rate, speed, unit, left);
}

bool learning_event(void *user, const tola_learn_event *e) {
    learning_show *show = user;
    char text[600], more[480];
    if (!cli.json && !cli.quiet) {
        if (e->kind == TOLA_LEARN_BEGIN) {
            if (show->describe) show->describe(show->summary);
            learning_memory(e->memory);
            out_stream("", 0);
        } else if (e->kind == TOLA_LEARN_VALIDATION) {
            measures_text(more, sizeof more, e->measures);
            snprintf(text, sizeof text, "step %llu: validation %s\n", (unsigned long long)e->step, more);
            line(text);
        } else if (e->kind == TOLA_LEARN_STEP) {
            show_step(show, e);
        }
    }
    return !cli_interrupted();
}

void learning_memory(const tola_learn_memory *m) {
    const struct {
        const char *what;
        uint64_t bytes;
    } parts[] = { { "weights", m->weights },         { "gradients", m->gradients }, { "optimizer", m->optimizer },
                  { "activations", m->activations }, { "data", m->data },           { "program", m->program } };
    char text[48];
    out_printf("memory %s:", text_bytes(text, sizeof text, m->total));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].bytes)
            out_printf("%s %s %s", i ? "," : "", parts[i].what, text_bytes(text, sizeof text, parts[i].bytes));
    out_printf("\n");
}

void learning_text(const tola_learn_result *r, const char *out) {
    char a[48], b[48], c[48], more[480];
    if (cli.quiet) return;
    if (r->resumed_from) out_printf("resumed after step %s\n", text_grouped(a, sizeof a, r->resumed_from));
    out_printf("%s %s steps in %s s", r->stopped ? "stopped after" : "done:", text_grouped(a, sizeof a, r->steps),
               measure_number(b, sizeof b, r->seconds, 1));
    if (r->steps > r->resumed_from) out_printf(", loss %s", number(c, sizeof c, r->loss));
    if (r->measures.count) {
        measures_text(more, sizeof more, &r->measures);
        out_printf("; validation %s", more);
    }
    out_printf("\n");
    if (r->why[0]) out_printf("%s\n", r->why);
    if (r->peak_bytes)
        out_printf("memory at most %s (%s were predicted)\n", text_bytes(a, sizeof a, r->peak_bytes),
                   text_bytes(b, sizeof b, r->predicted.total));
    if (r->stopped && !r->why[0])
        out_printf("%s holds a checkpoint; --resume goes on with it\n", out);
    else
        out_printf("%s holds the model\n", out);
}

int learning_curves(const char *out) {
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/') length--;
    size_t begin = length;
    while (begin > 0 && out[begin - 1] != '/') begin--;
    char name[4200];
    struct stat st;
    snprintf(name, sizeof name, "%s/log.jsonl", out);
    if (stat(name, &st) == 0 && st.st_size == 0) return CLI_YES; /* stopped before there was anything to draw */
    snprintf(name, sizeof name, "%.*s", (int)(length - begin), out + begin);
    return curves_of_run(out, name, !cli.json && !cli.quiet && isatty(STDOUT_FILENO));
}

void learning_json(tola_json *j, const tola_learn_result *r, const char *out) {
    const tola_learn_memory *m = &r->predicted;
    tola_json_key(j, "memory");
    tola_json_begin_object(j);
    out_json_u64(j, "weights", m->weights);
    out_json_u64(j, "gradients", m->gradients);
    out_json_u64(j, "optimizer", m->optimizer);
    out_json_u64(j, "activations", m->activations);
    out_json_u64(j, "data", m->data);
    out_json_u64(j, "program", m->program);
    out_json_u64(j, "total", m->total);
    if (out && r->peak_bytes) out_json_u64(j, "measured", r->peak_bytes);
    tola_json_end_object(j);
    if (!out) return;
    out_json_string(j, "out", out);
    out_json_u64(j, "steps", r->steps);
    out_json_u64(j, "resumed_from", r->resumed_from);
    out_json_f64(j, "loss", r->steps > r->resumed_from ? r->loss : NAN);
    out_json_f64(j, "seconds", r->seconds);
    out_json_f64(j, "tokens_per_s", r->tokens_per_s);
    out_json_bool(j, "stopped", r->stopped);
    if (r->why[0]) out_json_string(j, "why", r->why);
    tola_json_key(j, "validation");
    tola_json_begin_object(j);
    for (size_t i = 0; i < r->measures.count; i++)
        out_json_f64(j, r->measures.items[i].name, r->measures.items[i].value);
    tola_json_end_object(j);
}

int learning_provenance(const char *file, const cli_verb *verb, const void *settings, const provenance_paths *paths,
                        const tola_learn_result *result) {
    if (!file || !result->stopped) return provenance_write(file, verb, settings, paths);
    cli_warn("the run was stopped before its end: no provenance is written");
    return CLI_YES;
}
