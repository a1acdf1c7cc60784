/* What tola quantize says: a short table on the terminal, JSON, Markdown. */
#include "frame.h"
#include "quantize.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON: schema tola.quantize/1 ---- */

static void json_error(tola_json *j, const tola_quantize_error *e, bool measured) {
    out_json_f64(j, "rmse", measured ? e->rmse : NAN); /* null */
    out_json_f64(j, "snr_db", measured ? e->snr_db : NAN);
    out_json_f64(j, "max_abs", measured ? e->max_abs : NAN);
    out_json_f64(j, "cosine", measured ? e->cosine : NAN);
}

static void json_tensor(tola_json *j, const tola_quantize_tensor *t, bool measured) {
    static const tola_quantize_error none = { .snr_db = INFINITY, .cosine = 1 }; /* copied as it is */
    tola_json_begin_object(j);
    out_json_string(j, "name", t->name);
    if (strcmp(t->name, t->source) != 0) out_json_string(j, "source", t->source);
    out_json_string(j, "type", t->type);
    if (t->wanted) out_json_string(j, "fallback_from", t->wanted);
    out_json_u64(j, "elements", t->elements);
    out_json_u64(j, "bytes", t->bytes);
    out_json_f64(j, "bits_per_weight", t->bits_per_weight);
    json_error(j, t->measured ? &t->error : &none, measured);
    if (t->overridden) {
        tola_json_key(j, "overridden");
        tola_json_bool(j, true);
    }
    if (t->important) {
        tola_json_key(j, "importance");
        tola_json_bool(j, true);
    }
    if (t->nans) out_json_u64(j, "nan", t->nans);
    if (t->infinities) out_json_u64(j, "inf", t->infinities);
    if (t->clamped) out_json_u64(j, "clamped", t->clamped);
    tola_json_end_object(j);
}

void quantize_write_json(tola_json *j, const quantize_view *v) {
    const tola_quantize_result *r = v->result;
    tola_json_begin_object(j);
    out_json_string(j, "schema", "tola.quantize/1");
    out_json_string(j, "output", v->out);
    out_json_string(j, "format", r->format);
    out_json_string(j, "recipe", r->recipe);
    tola_json_key(j, "dry_run");
    tola_json_bool(j, v->dry_run);
    out_json_f64(j, "bits_per_weight", r->bits_per_weight);
    out_json_u64(j, "bytes", r->file_bytes);
    out_json_u64(j, "tensor_bytes", r->bytes);
    out_json_u64(j, "files", r->files);
    json_error(j, &r->error, r->measured);
    out_json_u64(j, "fallbacks", r->fallbacks);
    out_json_u64(j, "nan", r->nans);
    out_json_u64(j, "inf", r->infinities);
    out_json_u64(j, "clamped", r->clamped);
    tola_json_key(j, "types");
    tola_json_begin_array(j);
    for (size_t i = 0; i < r->type_count; i++) {
        tola_json_begin_object(j);
        out_json_string(j, "type", r->types[i].type);
        out_json_u64(j, "tensors", r->types[i].tensors);
        out_json_u64(j, "elements", r->types[i].elements);
        out_json_u64(j, "bytes", r->types[i].bytes);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    tola_json_key(j, "tensors");
    tola_json_begin_array(j);
    for (size_t i = 0; i < r->count; i++) json_tensor(j, &r->tensors[i], r->measured);
    tola_json_end_array(j);
    if (r->candidate_count) {
        tola_json_key(j, "candidates");
        tola_json_begin_array(j);
        for (size_t i = 0; i < r->candidate_count; i++) {
            tola_json_begin_object(j);
            out_json_string(j, "type", r->candidates[i].type);
            out_json_f64(j, "bits_per_weight", r->candidates[i].bits_per_weight);
            json_error(j, &r->candidates[i].error, true);
            tola_json_end_object(j);
        }
        tola_json_end_array(j);
    }
    out_json_f64(j, "seconds", r->seconds);
    tola_json_key(j, "warnings");
    tola_json_begin_array(j);
    for (size_t i = 0; i < v->warning_count; i++) tola_json_string(j, v->warnings[i]);
    tola_json_end_array(j);
    tola_json_end_object(j);
}

/* ---- the terminal ---- */

static const char *decibels(char *buf, size_t n, const tola_quantize_error *e) {
    if (isinf(e->snr_db))
        snprintf(buf, n, "exact");
    else
        snprintf(buf, n, "%.2f dB", e->snr_db);
    return buf;
}

static double bits(uint64_t bytes, uint64_t elements) { return elements ? 8.0 * (double)bytes / (double)elements : 0; }

static void print_types(const tola_quantize_result *r) {
    static const char *const headings[] = { "type", "tensors", "bits", "bytes" };
    out_table *t = out_table_new(4, "lrrr", headings);
    char buf[32];
    for (size_t i = 0; i < r->type_count; i++) {
        const tola_quantize_type *k = &r->types[i];
        out_table_cell(t, OUT_PLAIN, "%s", k->type);
        out_table_cell(t, OUT_PLAIN, "%" PRIu64, k->tensors);
        out_table_cell(t, OUT_PLAIN, "%.2f", bits(k->bytes, k->elements));
        out_table_cell(t, OUT_PLAIN, "%s", text_bytes(buf, sizeof buf, k->bytes));
    }
    out_table_cell(t, OUT_BOLD, "total");
    out_table_cell(t, OUT_BOLD, "%zu", r->count);
    out_table_cell(t, OUT_BOLD, "%.2f", r->bits_per_weight);
    out_table_cell(t, OUT_BOLD, "%s", text_bytes(buf, sizeof buf, r->bytes));
    out_table_print(t);
}

static void print_tensors(const tola_quantize_result *r) {
    static const char *const headings[] = { "tensor", "type", "bits", "bytes", "rmse", "snr", "largest", "cosine" };
    out_table *t = out_table_new(r->measured ? 8 : 4, r->measured ? "llrrrrrr" : "llrr", headings);
    for (size_t i = 0; i < r->count; i++) {
        const tola_quantize_tensor *k = &r->tensors[i];
        char buf[32];
        out_table_cell(t, OUT_PLAIN, "%s", k->name);
        out_table_cell(t,
                       k->overridden ? OUT_CYAN
                       : k->wanted   ? OUT_YELLOW
                                     : OUT_PLAIN,
                       "%s%s", k->type, k->wanted ? "*" : "");
        out_table_cell(t, OUT_PLAIN, "%.2f", k->bits_per_weight);
        out_table_cell(t, OUT_PLAIN, "%s", text_bytes(buf, sizeof buf, k->bytes));
        if (!r->measured) continue;
        if (k->measured) {
            out_table_cell(t, OUT_PLAIN, "%.3e", k->error.rmse);
            out_table_cell(t, OUT_PLAIN, "%s", decibels(buf, sizeof buf, &k->error));
            out_table_cell(t, OUT_PLAIN, "%.3e", k->error.max_abs);
            out_table_cell(t, OUT_PLAIN, "%.6f", k->error.cosine);
        } else {
            for (int c = 0; c < 4; c++) out_table_cell(t, OUT_DIM, "%s", c == 1 ? "exact" : "-");
        }
    }
    out_table_print(t);
    if (r->fallbacks) out_styled(OUT_DIM, "  * stands in for a type whose blocks the rows do not fill\n");
    out_printf("\n");
}

static void print_summary(const quantize_view *v) {
    const tola_quantize_result *r = v->result;
    char in[32], to[32], rate[32], snr[32];
    double seconds = r->seconds > 1e-6 ? r->seconds : 1e-6;
    out_text(v->out);
    out_printf(": %zu tensor%s, %s from %s, %.2f bits per weight", r->count, r->count == 1 ? "" : "s",
               text_bytes(to, sizeof to, r->file_bytes), text_bytes(in, sizeof in, r->bytes_in), r->bits_per_weight);
    if (r->files > 1) out_printf(" in %" PRIu64 " files", r->files);
    if (r->measured) out_printf(", %s", decibels(snr, sizeof snr, &r->error));
    if (v->dry_run)
        out_printf("; nothing was written\n");
    else
        out_printf(", %.1f s, %s/s\n", r->seconds,
                   text_bytes(rate, sizeof rate, (uint64_t)((double)r->bytes_in / seconds)));
}

static const char *plural(uint64_t n, const char *one, const char *many) { return n == 1 ? one : many; }

/* One line for each thing that went well enough but not perfectly. */
static void warn_all(const quantize_view *v) {
    const tola_quantize_result *r = v->result;
    char n[32];
    for (size_t i = 0; i < v->warning_count; i++) cli_warn("%s", v->warnings[i]);
    if (r->fallbacks)
        cli_warn("%" PRIu64 " tensor%s another type than asked for: their rows or shapes do not fit it", r->fallbacks,
                 plural(r->fallbacks, " has", "s have"));
    if (r->nans) cli_warn("%s NaN%s became 0", text_grouped(n, sizeof n, r->nans), plural(r->nans, "", "s"));
    if (r->infinities)
        cli_warn("%s infinit%s became the largest number of the type", text_grouped(n, sizeof n, r->infinities),
                 plural(r->infinities, "y", "ies"));
    if (r->clamped)
        cli_warn("%s number%s beyond the range of the type %s clamped", text_grouped(n, sizeof n, r->clamped),
                 plural(r->clamped, "", "s"), plural(r->clamped, "was", "were"));
}

void quantize_print(const quantize_view *v) {
    if (!cli.quiet) {
        if (cli.verbose) print_tensors(v->result);
        print_summary(v);
        print_types(v->result);
    }
    warn_all(v);
}

/* ---- files ---- */

typedef struct file_text {
    char *data;
    size_t length, cap;
} file_text;

static bool append(void *user, const char *data, size_t length) {
    file_text *f = user;
    while (f->length + length > f->cap) {
        f->cap = f->cap ? f->cap * 2 : 1 << 14;
        f->data = frame_realloc(f->data, f->cap);
    }
    memcpy(f->data + f->length, data, length);
    f->length += length;
    return true;
}

static void print(file_text *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(file_text *f, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *line = frame_format(format, args);
    va_end(args);
    append(f, line, strlen(line));
    free(line);
}

/* A name inside a table of Markdown. */
static void print_name(file_text *f, const char *name) {
    char *quoted = frame_quote(name, strlen(name), false);
    print(f, "| `");
    for (const char *p = quoted; *p; p++) {
        if (*p == '|') append(f, "\\", 1);
        append(f, *p == '`' ? "'" : p, 1);
    }
    print(f, "` ");
    free(quoted);
}

static void markdown_error(file_text *f, const tola_quantize_error *e) {
    if (isinf(e->snr_db))
        print(f, "| 0 | exact | 0 | 1 ");
    else
        print(f, "| %.4g | %.2f | %.4g | %.7f ", e->rmse, e->snr_db, e->max_abs, e->cosine);
}

static void markdown(file_text *f, const quantize_view *v) {
    static const tola_quantize_error none = { .snr_db = INFINITY, .cosine = 1 };
    const tola_quantize_result *r = v->result;
    char in[32], to[32];
    const char *slash = strrchr(v->out, '/');
    char *name =
        frame_quote(slash && slash[1] ? slash + 1 : v->out, strlen(slash && slash[1] ? slash + 1 : v->out), false);
    print(f, "# %s\n\n%s from %s, %.3f bits per weight", name, text_bytes(to, sizeof to, r->file_bytes),
          text_bytes(in, sizeof in, r->bytes_in), r->bits_per_weight);
    free(name);
    if (r->recipe) print(f, ", %s", r->recipe);
    if (r->measured && !isinf(r->error.snr_db))
        print(f, ", RMSE %.4g, SNR %.2f dB, largest error %.4g, cosine %.7f", r->error.rmse, r->error.snr_db,
              r->error.max_abs, r->error.cosine);
    print(f, ".\n");
    if (r->nans || r->infinities || r->clamped)
        print(f, "\nNaN: %" PRIu64 ", infinities: %" PRIu64 ", clamped: %" PRIu64 ".\n", r->nans, r->infinities,
              r->clamped);
    for (size_t i = 0; i < v->warning_count; i++) print(f, "\n%s.\n", v->warnings[i]);
    print(f, "\n| type | tensors | elements | bits | bytes |\n|---|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < r->type_count; i++)
        print(f, "| %s | %" PRIu64 " | %" PRIu64 " | %.4g | %" PRIu64 " |\n", r->types[i].type, r->types[i].tensors,
              r->types[i].elements, bits(r->types[i].bytes, r->types[i].elements), r->types[i].bytes);
    print(f, "\n| tensor | type | bits%s |\n|---|---|--:%s|\n",
          r->measured ? " | RMSE | SNR, dB | largest error | cosine" : "", r->measured ? "|--:|--:|--:|--:" : "");
    for (size_t i = 0; i < r->count; i++) {
        const tola_quantize_tensor *t = &r->tensors[i];
        print_name(f, t->name);
        print(f, "| %s", t->type);
        if (t->wanted) print(f, " for %s", t->wanted);
        print(f, " | %.4g ", t->bits_per_weight);
        if (r->measured) markdown_error(f, t->measured ? &t->error : &none);
        print(f, "|\n");
    }
    if (!r->candidate_count) return;
    print(f, "\n| candidate | bits | RMSE | SNR, dB | largest error | cosine |\n|---|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < r->candidate_count; i++) {
        print(f, "| %s | %.4g ", r->candidates[i].type, r->candidates[i].bits_per_weight);
        markdown_error(f, &r->candidates[i].error);
        print(f, "|\n");
    }
}

static bool ends_with(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n > m && strcmp(path + n - m, ending) == 0;
}

int quantize_report(const quantize_view *v, const char *path) {
    if (!ends_with(path, ".json") && !ends_with(path, ".md")) return quantize_plot(v, path);
    file_text f = { 0 };
    if (ends_with(path, ".json")) {
        tola_json j;
        tola_json_init(&j, append, &f, 2);
        quantize_write_json(&j, v);
        if (!tola_json_finish(&j)) return cli_fail("cannot write %s", path);
        append(&f, "\n", 1);
    } else {
        markdown(&f, v);
    }
    int code = frame_write_file(path, f.data, f.length);
    free(f.data);
    return code;
}
