/* tola fit as text: parts, types as stacked bars, devices, money; with -v every formula. */
#include <math.h>
#include <string.h>

#include "cli_chart.h"
#include "fit.h"
#include "measure.h"

const fit_part fit_parts[FIT_PARTS] = {
    { "weights", 0x0072b2, OUT_BLUE, "█", "#" },    { "kv cache", 0xe69f00, OUT_YELLOW, "▓", "k" },
    { "gradients", 0x009e73, OUT_GREEN, "▒", "g" }, { "optimizer", 0xcc79a7, OUT_MAGENTA, "▚", "o" },
    { "activations", 0xd55e00, OUT_RED, "░", "a" }, { "buffers", 0x56b4e9, OUT_CYAN, "▒", "b" },
};

uint64_t fit_part_bytes(const tola_fit_bytes *b, int part) {
    const uint64_t parts[FIT_PARTS] = { b->weights, b->kv, b->gradients, b->optimizer, b->activations, b->compute };
    return parts[part];
}

double fit_scale(const tola_fit *f) {
    double most = 0, chosen = 0, line = 0;
    for (size_t i = 0; i < f->type_count; i++) {
        double total = (double)f->types[i].bytes.total;
        if (total > most) most = total;
        if (f->types[i].chosen) chosen = total;
    }
    for (size_t i = 0; i < f->device_count; i++) {
        double usable = (double)f->devices[i].usable * f->devices[i].asked;
        if (usable < 4 * most && usable > line) line = usable;
    }
    if (line > most) most = line;
    double cut = 4 * line > chosen ? 4 * line : chosen;
    return line > 0 && most > cut ? cut : most > 0 ? most : 1;
}

const char *fit_shown(const tola_fit *f) {
    const char *name = f->name && *f->name ? f->name : "a model of usual shape", *last = name;
    for (const char *p = name; *p; p++)
        if (*p == '/' && p[1]) last = p + 1;
    return last;
}

static const char *rate_text(char *buf, size_t n, double rate) {
    if (!(rate > 0))
        snprintf(buf, n, "-");
    else
        measure_number(buf, n, rate, rate < 100 ? 1 : 0);
    return buf;
}

static const char *usd_text(char *buf, size_t n, double usd) {
    if (!(usd > 0))
        snprintf(buf, n, "-");
    else
        snprintf(buf, n, usd < 0.1 ? "%.4f" : "%.2f", usd);
    return buf;
}

/* ---- the head ---- */

static void print_head(const tola_fit *f) {
    char a[32], b[32];
    out_styled(OUT_BOLD, "%s", fit_shown(f));
    out_printf(": %s parameters", text_count(a, sizeof a, f->parameters));
    if (f->active && f->active != f->parameters) out_printf(", %s active", text_count(b, sizeof b, f->active));
    if (f->family) out_printf(", %s", f->family);
    if (f->layers) out_printf(", %llu layer%s", (unsigned long long)f->layers, f->layers == 1 ? "" : "s");
    out_printf("\n");
    if (f->train) {
        out_printf("training %s: %s parameters change, batch %llu", f->train, text_count(a, sizeof a, f->trained),
                   (unsigned long long)f->batch);
        if (f->language) out_printf(" x %llu tokens", (unsigned long long)f->context);
        out_printf("\n\n");
        return;
    }
    const bool stored = strcmp(f->dtype, "stored") == 0;
    out_printf("weights %s", stored ? (f->stored ? f->stored : "fp16, as how they are kept is unknown") : f->dtype);
    if (stored && f->stored) out_printf(" (as stored)");
    out_printf(", %.4g bits each", f->bits);
    if (f->language) {
        out_printf("; context %llu", (unsigned long long)f->context);
        if (f->own_context) out_printf(" of %llu", (unsigned long long)f->own_context);
    }
    out_printf(", batch %llu\n\n", (unsigned long long)f->batch);
}

static void print_parts(const tola_fit *f) {
    static const char *const headings[] = { "part", "bytes", "", "" };
    char bytes[32], grouped[40], bar[256];
    out_table *t = out_table_new(4, "lrrl", headings);
    for (int i = 0; i < FIT_PARTS; i++) {
        uint64_t n = fit_part_bytes(&f->bytes, i);
        if (!n) continue;
        out_table_cell(t, OUT_PLAIN, "%s", fit_parts[i].name);
        out_table_cell(t, OUT_BOLD, "%s", text_bytes(bytes, sizeof bytes, n));
        out_table_cell(t, OUT_DIM, "%s", text_grouped(grouped, sizeof grouped, n));
        out_table_cell(t, fit_parts[i].style, "%s", chart_bar(bar, sizeof bar, (double)n / (double)f->bytes.total, 30));
    }
    out_table_cell(t, OUT_PLAIN, "total");
    out_table_cell(t, OUT_BOLD, "%s", text_bytes(bytes, sizeof bytes, f->bytes.total));
    out_table_cell(t, OUT_DIM, "%s", text_grouped(grouped, sizeof grouped, f->bytes.total));
    out_table_cell(t, OUT_PLAIN, "%s", "");
    out_table_print(t);
}

/* ---- types as stacked bars ---- */

enum { LINES = 4 }; /* of devices in the picture */

/* Where the devices' memory ends, in cells. */
typedef struct ruler {
    int width, at[LINES];
    const tola_fit_device *device[LINES];
    int count;
    double scale;
} ruler;

static ruler ruler_of(const tola_fit *f, int width) {
    ruler r = { .width = width, .scale = fit_scale(f) };
    for (size_t i = 0; i < f->device_count && r.count < LINES; i++) {
        const tola_fit_device *d = &f->devices[i];
        double end = (double)d->usable * d->asked / r.scale * width;
        if (end > width) continue;
        r.at[r.count] = (int)floor(end);
        if (r.at[r.count] >= width) r.at[r.count] = width - 1;
        r.device[r.count++] = d;
    }
    return r;
}

static bool is_line(const ruler *r, int cell) {
    for (int i = 0; i < r->count; i++)
        if (r->at[i] == cell) return true;
    return false;
}

static int part_at(const tola_fit_bytes *b, double bytes) {
    double end = 0;
    for (int i = 0; i < FIT_PARTS; i++) {
        end += (double)fit_part_bytes(b, i);
        if (bytes < end) return i;
    }
    return -1;
}

static void print_bar(const ruler *r, const tola_fit_bytes *b) {
    const bool unicode = chart_unicode();
    for (int cell = 0; cell < r->width; cell++) {
        int part = part_at(b, (cell + 0.5) / r->width * r->scale);
        if (cell == 0 && part < 0) part = 0;
        if (is_line(r, cell))
            out_styled(OUT_BOLD, "%s", unicode ? "│" : "|");
        else if (part < 0)
            out_printf(" ");
        else
            out_styled(fit_parts[part].style, "%s", unicode ? fit_parts[part].fill : fit_parts[part].plain);
    }
    if ((double)b->total > r->scale * 1.0001) out_printf("%s", unicode ? "▶" : ">");
}

static void print_legend(const tola_fit *f, const ruler *r, int indent) {
    char bytes[32];
    const bool unicode = chart_unicode();
    out_printf("%*s", indent, "");
    for (int i = 0; i < FIT_PARTS; i++) {
        bool used = false;
        for (size_t k = 0; k < f->type_count; k++) used = used || fit_part_bytes(&f->types[k].bytes, i) > 0;
        if (!used) continue;
        out_styled(fit_parts[i].style, "%s", unicode ? fit_parts[i].fill : fit_parts[i].plain);
        out_printf(" %s  ", fit_parts[i].name);
    }
    for (int i = 0; i < r->count; i++) {
        out_printf("%s ", unicode ? "│" : "|");
        if (r->device[i]->asked > 1) out_printf("%ux", r->device[i]->asked);
        out_text(r->device[i]->name);
        out_printf(" %s  ", text_bytes(bytes, sizeof bytes, r->device[i]->usable * r->device[i]->asked));
    }
    out_printf("\n");
}

static void print_types(const tola_fit *f) {
    char bytes[32], bits[32], needed[32];
    const size_t shown = f->device_count < 3 ? f->device_count : 3;
    const int left = 20 + 8 + 12 + (int)shown * 10, room = cli.columns - left - 2;
    const ruler r = ruler_of(f, room < 20 ? 20 : room > 60 ? 60 : room);
    out_printf("\n%-20s%7s%12s", f->train ? "method" : "type", f->train ? "" : "bits", "total");
    for (size_t i = 0; i < shown; i++) {
        const tola_fit_device *d = &f->devices[i];
        char name[96];
        if (d->asked > 1)
            snprintf(name, sizeof name, "%ux%.60s", d->asked, d->name);
        else
            snprintf(name, sizeof name, "%.60s", d->name);
        out_printf(" %9.9s", name);
    }
    out_printf("\n");
    for (size_t i = 0; i < f->type_count; i++) {
        const tola_fit_type *t = &f->types[i];
        bits[0] = 0;
        if (t->bits > 0) measure_number(bits, sizeof bits, t->bits, 2);
        out_styled(t->chosen ? OUT_BOLD : OUT_PLAIN, "%s%-18.18s", t->chosen ? "* " : "  ", t->name);
        out_printf("%7s%12s", bits, text_bytes(bytes, sizeof bytes, t->bytes.total));
        for (size_t k = 0; k < shown; k++) {
            const uint32_t n = t->counts[k];
            if (!n)
                snprintf(needed, sizeof needed, "never");
            else if (n <= f->devices[k].asked)
                snprintf(needed, sizeof needed, "fits");
            else
                snprintf(needed, sizeof needed, "%u needed", n);
            out_printf(" ");
            out_styled(n && n <= f->devices[k].asked ? OUT_GREEN : OUT_DIM, "%9s", needed);
        }
        out_printf("  ");
        print_bar(&r, &t->bytes);
        out_printf("\n");
    }
    print_legend(f, &r, 2);
}

/* ---- devices ---- */

/* `answer`: with the column that says whether it fits. */
static void print_device_table(const tola_fit *f, const tola_fit_device *list, size_t n, bool answer) {
    const char *names[9] = { "device" };
    const char *written = f->train ? "s a step" : f->language ? "decode t/s" : "";
    const char *read = f->train ? "tokens/s" : f->language ? "prefill t/s" : "examples/s";
    const char *const rest[] = { "fits", "needed", "each holds", "of", written, read, "bound by", "USD/h" };
    char a[32], b[32];
    memcpy(names + 1, rest + (answer ? 0 : 1), (answer ? 8 : 7) * sizeof *names);
    out_table *t = out_table_new(answer ? 9 : 8, answer ? "llrrrrrlr" : "lrrrrrlr", names);
    for (size_t i = 0; i < n; i++) {
        const tola_fit_device *d = &list[i];
        if (d->asked > 1)
            out_table_cell(t, OUT_BOLD, "%ux%s", d->asked, d->name);
        else
            out_table_cell(t, OUT_BOLD, "%s", d->name);
        if (answer) out_table_cell(t, d->fits ? OUT_GREEN : OUT_RED, "%s", d->fits ? "yes" : "no");
        if (d->count)
            out_table_cell(t, OUT_PLAIN, "%u", d->count);
        else
            out_table_cell(t, OUT_PLAIN, "never");
        out_table_cell(t, OUT_PLAIN, "%s", text_bytes(a, sizeof a, d->needed));
        out_table_cell(t, OUT_PLAIN, "%s", text_bytes(b, sizeof b, d->usable));
        if (f->train) {
            out_table_cell(t, OUT_PLAIN, "%s", d->step_s > 0 ? measure_number(a, sizeof a, d->step_s, 2) : "-");
            out_table_cell(t, OUT_PLAIN, "%s",
                           d->step_s > 0 ? rate_text(b, sizeof b, (double)(f->batch * f->context) / d->step_s) : "-");
        } else {
            out_table_cell(t, OUT_PLAIN, "%s", rate_text(a, sizeof a, d->decode.tokens_per_s));
            out_table_cell(t, OUT_PLAIN, "%s", rate_text(b, sizeof b, d->prefill.tokens_per_s));
        }
        out_table_cell(t, OUT_DIM, "%s",
                       f->train                      ? "operations"
                       : d->decode.tokens_per_s > 0  ? d->decode.bound
                       : d->prefill.tokens_per_s > 0 ? d->prefill.bound
                                                     : "-");
        out_table_cell(t, OUT_PLAIN, "%s", usd_text(a, sizeof a, d->usd_hour));
    }
    out_table_print(t);
}

static void print_answers(const tola_fit *f, const tola_fit_device *d) {
    char a[32];
    if (f->train) return;
    out_printf("  ");
    if (d->asked > 1) out_printf("%u x ", d->asked);
    out_text(d->title);
    out_printf(": ");
    if (d->best_type)
        out_printf("best type that fits %s (%.4g bits)", d->best_type, d->best_bits);
    else
        out_printf("no type fits");
    if (f->language && d->largest_context) {
        out_printf("; longest context %llu", (unsigned long long)d->largest_context);
        if (d->largest_context == f->own_context) out_printf(" (the model's own)");
    } else if (f->language) {
        out_printf("; no context fits in this type");
    }
    if (d->count > 1 && d->parallel && d->parallel != d->count)
        out_printf("; tensor parallelism takes %u, which divides the heads", d->parallel);
    if (d->measured) out_printf("; %s free now", text_bytes(a, sizeof a, d->available));
    out_printf("\n");
}

static void print_devices(const tola_fit *f) {
    bool estimates = false, own = false;
    out_printf("\n");
    print_device_table(f, f->devices, f->device_count, true);
    for (size_t i = 0; i < f->device_count; i++) {
        if (f->device_count <= 12) print_answers(f, &f->devices[i]);
        estimates = estimates || !f->devices[i].own;
        own = own || f->devices[i].own;
    }
    if (f->language && !f->train)
        out_styled(OUT_DIM, "  prefill: %llu tokens at once; decode: behind %llu tokens\n",
                   (unsigned long long)f->prompt, (unsigned long long)f->behind);
    if (estimates)
        out_styled(OUT_DIM, "  rates are estimates: shares of bandwidth and peak that devices of a kind reach\n");
    if (own)
        out_styled(OUT_DIM, "  rates of this machine: its limits measured now, of which tola's kernels reach a "
                            "measured share\n");
}

static void print_money(const tola_fit *f) {
    char a[32], b[32], c[32], text[32];
    for (size_t i = 0; i < f->device_count; i++) {
        const tola_fit_device *d = &f->devices[i];
        if (!(d->usd_mtok > 0) || f->device_count > 12) continue;
        out_printf("  %u x ", d->count > d->asked ? d->count : d->asked);
        out_text(d->name);
        out_printf(": %s USD per million tokens read, %s written, batch %llu, busy "
                   "%.0f %% of the time",
                   usd_text(a, sizeof a, d->usd_mtok_in), usd_text(b, sizeof b, d->usd_mtok_out),
                   (unsigned long long)f->batch, 100 * f->utilisation);
        if (f->api_mtok > 0 && d->break_even > 0)
            out_printf("; cheaper than the API (%s for %g read to 1 written) from %s tokens a month on",
                       usd_text(c, sizeof c, f->api_mtok), f->ratio,
                       text_count(text, sizeof text, (uint64_t)d->break_even));
        else if (f->api_mtok > 0)
            out_printf("; never cheaper than the API (%s for %g read to 1 written): at most %s tokens a month, at %s "
                       "per million",
                       usd_text(c, sizeof c, f->api_mtok), f->ratio,
                       text_count(text, sizeof text, (uint64_t)d->capacity), usd_text(a, sizeof a, d->usd_mtok));
        out_printf("\n");
    }
    if (!f->cheapest_count || f->device_count > 12) return;
    out_printf("\ncheapest that hold it, up to 16 of one kind, by prices with a date (--list-devices)\n");
    print_device_table(f, f->cheapest, f->cheapest_count, false);
}

static void print_formulas(const tola_fit *f) {
    out_printf("\n");
    for (size_t i = 0; i < f->formula_count; i++) {
        const tola_fit_formula *x = &f->formulas[i];
        out_styled(OUT_BOLD, "%s", x->what);
        out_printf(": ");
        out_text(x->formula);
        if (x->estimate) out_styled(OUT_DIM, " [estimate]");
        if (x->source) {
            out_printf(" <");
            out_text(x->source);
            out_printf(">");
        }
        out_printf("\n");
    }
}

void fit_print(const tola_fit *f) {
    print_head(f);
    print_parts(f);
    print_types(f);
    if (f->device_count) print_devices(f);
    print_money(f);
    for (size_t i = 0; i < f->note_count; i++) {
        out_printf(i ? "note: " : "\nnote: ");
        out_text(f->notes[i]);
        out_printf("\n");
    }
    if (cli.verbose) print_formulas(f);
}

void fit_print_devices(const tola_fit *f) {
    static const char *const headings[] = { "device", "what", "memory", "GB/s", "W", "USD/h", "price of", "source" };
    char a[32], b[32];
    out_table *t = out_table_new(8, "llrrrrll", headings);
    for (size_t i = 0; i < f->device_count; i++) {
        const tola_fit_device *d = &f->devices[i];
        out_table_cell(t, OUT_BOLD, "%s", d->name);
        out_table_cell(t, OUT_PLAIN, "%s", d->title);
        out_table_cell(t, OUT_PLAIN, "%s", text_bytes(a, sizeof a, d->memory));
        out_table_cell(t, OUT_PLAIN, "%s", measure_number(b, sizeof b, d->bandwidth / 1e9, 0));
        if (d->watts > 0)
            out_table_cell(t, OUT_PLAIN, "%g", d->watts);
        else
            out_table_cell(t, OUT_PLAIN, "-");
        out_table_cell(t, OUT_PLAIN, "%s", usd_text(a, sizeof a, d->usd_hour));
        out_table_cell(t, OUT_DIM, "%s%s", d->price_date ? d->price_date : "", d->bought ? ", bought" : "");
        out_table_cell(t, OUT_DIM, "%s", d->source);
    }
    out_table_print(t);
}
