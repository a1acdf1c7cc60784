#include "policy/compute.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "policy/device.h"
#include "policy/rules.h"

/* One group of keys: training.* or finetuning.*. */
typedef struct group {
    const facts *f;
    const char *prefix, *of;
    const compute_model *m;
    arena *a;
    compute_result *out;
    devices *table; /* opened when it is first asked */
} group;

static bool number(const group *g, const char *key, double *out) {
    char path[96];
    snprintf(path, sizeof path, "%s.%s", g->prefix, key);
    return facts_number(g->f, path, out);
}

static tola_comply_estimate *add(group *g, const char *method) {
    if (g->out->count == COMPUTE_MOST) return NULL;
    tola_comply_estimate *e = &g->out->estimates[g->out->count++];
    *e = (tola_comply_estimate){ .of = g->of, .method = method, .flop = NAN, .estimate = true, .formula = "" };
    return e;
}

static void find(group *g, char *what) {
    if (what && g->out->n_findings < COMPUTE_MOST) g->out->findings[g->out->n_findings++] = what;
}

static const char *shown(double value, char text[static 32]) { return rule_number_text(value, text); }

/* ---- the ways ---- */

static void declared(group *g) {
    double flop;
    if (!number(g, "compute_flop", &flop)) return;
    tola_comply_estimate *e = add(g, "declared");
    if (!e) return;
    char text[32];
    e->flop = flop;
    e->estimate = false;
    e->formula = rule_format(g->a, "%s FLOP", shown(flop, text));
    e->source = rule_format(g->a, "%s.compute_flop", g->prefix);
}

/* Tokens seen: as given, or unique tokens times epochs. */
static bool tokens_seen(group *g, double *tokens) {
    double unique, epochs, seen;
    bool given = number(g, "tokens", &seen),
         product = number(g, "unique_tokens", &unique) && number(g, "epochs", &epochs);
    if (given && product && unique * epochs > 0 && seen > 0 && fabs(log(seen / (unique * epochs))) > log(1.1)) {
        char a[32], b[32], c[32];
        find(g, rule_format(g->a, "%s.tokens is %s, but unique_tokens x epochs is %s x %s", g->prefix, shown(seen, a),
                            shown(unique, b), shown(epochs, c)));
    }
    *tokens = given ? seen : product ? unique * epochs : NAN;
    return given || product;
}

static void six_n_d(group *g) {
    double tokens, n = isnan(g->m->active) ? g->m->parameters : g->m->active;
    bool tokens_known = tokens_seen(g, &tokens);
    if (!tokens_known && isnan(n)) return;
    tola_comply_estimate *e = add(g, "6ND");
    if (!e) return;
    char a[32], b[32], c[32];
    const char *source = isnan(g->m->active) ? g->m->parameters_source : g->m->active_source;
    if (!tokens_known || isnan(n)) {
        e->lacks = tokens_known ? "model.parameters" : rule_format(g->a, "%s.tokens", g->prefix);
        return;
    }
    e->flop = 6 * n * tokens;
    e->formula = rule_format(g->a, "6 x %s %sparameters x %s tokens = %s FLOP", shown(n, a),
                             n < g->m->parameters ? "active " : "", shown(tokens, b), shown(e->flop, c));
    e->source = rule_format(g->a, "parameters: %s; tokens: %s", source ? source : "", g->prefix);
}

/* Hours of all devices; device_hours, else count x hours. */
static bool device_hours(const group *g, size_t i, double *hours) {
    char key[64];
    double count, each, all;
    snprintf(key, sizeof key, "hardware[%zu].count", i);
    bool both = number(g, key, &count);
    snprintf(key, sizeof key, "hardware[%zu].hours", i);
    both = number(g, key, &each) && both;
    snprintf(key, sizeof key, "hardware[%zu].device_hours", i);
    bool total = number(g, key, &all);
    *hours = total ? all : both ? count * each : NAN;
    return total || both;
}

static void check_hours(group *g, size_t i) {
    char key[64], a[32], b[32];
    double count, each, all;
    snprintf(key, sizeof key, "hardware[%zu].count", i);
    if (!number(g, key, &count)) return;
    snprintf(key, sizeof key, "hardware[%zu].hours", i);
    if (!number(g, key, &each)) return;
    snprintf(key, sizeof key, "hardware[%zu].device_hours", i);
    if (!number(g, key, &all) || fabs(log(all / (count * each))) <= log(1.1)) return;
    find(g, rule_format(g->a, "%s.hardware[%zu]: device_hours is %s, but count x hours is %s", g->prefix, i,
                        shown(all, a), shown(count * each, b)));
}

/* The peak of one device in TFLOP/s: as given, else of the table of devices where device and precision are named. */
static bool peak_of(group *g, size_t i, double *peak, const char **source, const char **lacks) {
    static const struct {
        const char *word;
        device_peak peak;
    } words[] = {
        { "fp32", DEVICE_F32 }, { "tf32", DEVICE_TF32 }, { "fp16", DEVICE_F16 }, { "bf16", DEVICE_BF16 },
        { "fp8", DEVICE_F8 },   { "int8", DEVICE_I8 },   { "fp4", DEVICE_F4 },
    };
    char path[64];
    snprintf(path, sizeof path, "hardware[%zu].peak_tflops", i);
    if (number(g, path, peak)) return true;
    *lacks = "peak_tflops";
    snprintf(path, sizeof path, "%s.hardware[%zu].device", g->prefix, i);
    const char *name = facts_text(g->f, path);
    snprintf(path, sizeof path, "%s.hardware[%zu].precision", g->prefix, i);
    const char *precision = facts_text(g->f, path);
    const device *d;
    uint32_t count;
    if (name && !g->table && devices_open(NULL, &g->table, NULL) != TOLA_OK) g->table = NULL;
    if (!name || !g->table || devices_find(g->table, name, &d, &count, NULL) != TOLA_OK || count > 1) return false;
    if (!precision) *lacks = "precision";
    for (size_t k = 0; precision && k < sizeof words / sizeof *words; k++) {
        if (strcmp(words[k].word, precision) || !(d->peaks[words[k].peak] > 0)) continue;
        *peak = d->peaks[words[k].peak] / 1e12;
        *source = rule_format(g->a, "; peak of %s in %s: data/devices.yaml", d->title, precision);
        return true;
    }
    return false;
}

/* hardware[]: hours x peak x utilisation, summed; and the same at full peak, which nothing can exceed. */
static void hardware(group *g, double *limit) {
    char path[64];
    snprintf(path, sizeof path, "%s.hardware", g->prefix);
    size_t rows = facts_count(g->f, path);
    *limit = NAN;
    if (!rows) return;
    double sum = 0, most = 0, hours, peak, share;
    const char *lacks = NULL, *source = NULL;
    buf text;
    buf_init(&text, 2000);
    for (size_t i = 0; i < rows; i++) {
        char key[64], a[32], b[32], c[32];
        check_hours(g, i);
        bool h = device_hours(g, i, &hours);
        const char *peak_lacks = NULL;
        bool p = peak_of(g, i, &peak, &source, &peak_lacks);
        snprintf(key, sizeof key, "hardware[%zu].utilisation", i);
        bool u = number(g, key, &share);
        const char *which = !h ? "device_hours" : !p ? peak_lacks : !u ? "utilisation" : NULL;
        if (which && !lacks) lacks = rule_format(g->a, "%s.hardware[].%s", g->prefix, which);
        most += h && p ? hours * 3600 * peak * 1e12 : NAN;
        if (which) continue;
        sum += hours * 3600 * peak * 1e12 * share;
        buf_printf(&text, "%s%s h x 3600 x %s TFLOP/s x %s", i ? " + " : "", shown(hours, a), shown(peak, b),
                   shown(share, c));
    }
    tola_comply_estimate *e = add(g, "hardware");
    char a[32];
    if (e && lacks) e->lacks = lacks;
    if (e && !lacks) {
        e->flop = sum;
        e->formula = rule_format(g->a, "%.*s%s = %s FLOP", (int)text.length, (const char *)text.data,
                                 text.failed ? " + ..." : "", shown(sum, a));
        e->source = rule_format(g->a, "%s.hardware%s", g->prefix, source ? source : "");
    }
    *limit = most;
    buf_free(&text);
}

/* ---- together ---- */

static void compare(group *g, const tola_comply_estimate *a, const tola_comply_estimate *b) {
    double ratio = a->flop > b->flop ? a->flop / b->flop : b->flop / a->flop;
    if (!(ratio > COMPUTE_APART)) return;
    char x[32], y[32], z[32];
    snprintf(z, sizeof z, "%.3g", ratio);
    find(g, rule_format(g->a, "compute of %s: %s says %s FLOP, %s says %s: a factor of %s apart, more than %g", g->of,
                        a->method, shown(a->flop, x), b->method, shown(b->flop, y), z, COMPUTE_APART));
}

/* All ways of one group; low and high are the same unless they contradict each other. */
static bool together(group *g, double *low, double *high, bool *estimate, const char **source) {
    size_t first = g->out->count, contradictions = g->out->n_findings;
    double limit;
    declared(g);
    six_n_d(g);
    hardware(g, &limit);
    const tola_comply_estimate *best = NULL;
    *low = INFINITY;
    *high = 0;
    for (size_t i = first; i < g->out->count; i++) {
        const tola_comply_estimate *e = &g->out->estimates[i];
        if (isnan(e->flop)) continue;
        if (!best) best = e;
        *low = fmin(*low, e->flop);
        *high = fmax(*high, e->flop);
        for (size_t k = i + 1; k < g->out->count; k++)
            if (!isnan(g->out->estimates[k].flop)) compare(g, e, &g->out->estimates[k]);
        if (e->flop > limit * 1.001 && strcmp(e->method, "hardware")) {
            char x[32], y[32];
            find(g, rule_format(g->a, "compute of %s: %s says %s FLOP, but the hardware at its peak gives at most %s",
                                g->of, e->method, shown(e->flop, x), shown(limit, y)));
        }
    }
    if (!best) {
        *low = *high = NAN;
        return false;
    }
    if (*low > 0) g->out->apart = fmax(g->out->apart, *high / *low);
    if (g->out->n_findings == contradictions || *high <= *low * COMPUTE_APART) *low = *high = best->flop;
    *estimate = best->estimate;
    *source = best->estimate ? best->formula : best->source;
    return true;
}

/* Hours times price of a group, added. */
static void cost_of(group *g, buf *text, double *sum, bool *any) {
    char path[64], key[64], a[32], b[32];
    snprintf(path, sizeof path, "%s.hardware", g->prefix);
    size_t rows = facts_count(g->f, path);
    for (size_t i = 0; i < rows; i++) {
        double hours, price;
        snprintf(key, sizeof key, "hardware[%zu].price_per_hour_usd", i);
        bool known = number(g, key, &price) || number(g, "price_per_device_hour_usd", &price);
        if (!known || !device_hours(g, i, &hours)) continue;
        *sum += hours * price;
        buf_printf(text, "%s%s device hours x %s USD", *any ? " + " : "", shown(hours, a), shown(price, b));
        *any = true;
    }
}

static void cost(group *g, const char *const *prefixes, size_t count) {
    buf text;
    buf_init(&text, 2000);
    double sum = 0, said = 0;
    bool any = false, declared_any = false;
    for (size_t i = 0; i < count; i++) {
        double value;
        g->prefix = prefixes[i];
        cost_of(g, &text, &sum, &any);
        if (number(g, "cost_usd", &value)) said += value, declared_any = true;
    }
    char a[32], b[32];
    g->out->cost = any ? sum : declared_any ? said : NAN;
    if (any)
        g->out->cost_formula =
            rule_format(g->a, "%.*s%s = %s USD", (int)text.length, (const char *)text.data,
                        text.failed ? " + ..." : "", shown(sum, a));
    else if (declared_any)
        g->out->cost_formula = "as declared";
    if (any && declared_any && sum > 0 && said > 0 && fabs(log(sum / said)) > log(COMPUTE_APART))
        find(g, rule_format(g->a, "cost: %s USD is declared, but hours and price give %s USD", shown(said, a),
                            shown(sum, b)));
    buf_free(&text);
}

static bool has_any(const facts *f, const char *prefix) {
    static const char *const keys[] = { "tokens", "compute_flop", "hardware" };
    char path[64];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(path, sizeof path, "%s.%s", prefix, keys[i]);
        if (facts_node(f, path)) return true;
    }
    return false;
}

tola_status compute_estimate(const facts *f, const compute_model *m, bool modified, arena *a, compute_result *out,
                             tola_error *err) {
    memset(out, 0, sizeof *out);
    static const char *const prefixes[] = { "training", "finetuning" };
    group g = { .f = f, .m = m, .a = a, .out = out };
    double extra;
    out->training_low = out->training_high = out->modification_low = out->modification_high = NAN;
    out->taken = modified && !has_any(f, "finetuning") && has_any(f, "training");
    bool trained = !modified || (has_any(f, "finetuning") && has_any(f, "training"));
    if (trained) {
        g.prefix = g.of = "training";
        if (together(&g, &out->training_low, &out->training_high, &out->training_estimate, &out->training_source)) {
            static const char *const more[] = { "training.synthetic_compute_flop", "training.other_compute_flop" };
            for (size_t i = 0; i < 2; i++)
                if (facts_number(f, more[i], &extra)) {
                    out->training_low += extra;
                    out->training_high += extra;
                    out->training_source = rule_format(a, "%s, and %s", out->training_source, more[i]);
                }
        }
    }
    if (modified || has_any(f, "finetuning")) {
        g.prefix = out->taken ? "training" : "finetuning";
        g.of = "modification";
        together(&g, &out->modification_low, &out->modification_high, &out->modification_estimate,
                 &out->modification_source);
    }
    cost(&g, prefixes, 2);
    devices_free(g.table);
    for (size_t i = 0; i < out->count; i++)
        if (!out->estimates[i].formula) return err_nomem(err, "estimating compute");
    return TOLA_OK;
}

double compute_of_base(const facts *f, size_t i) {
    char path[64];
    double flop, n, tokens;
    snprintf(path, sizeof path, "bases[%zu].compute_flop", i);
    if (facts_number(f, path, &flop)) return flop;
    snprintf(path, sizeof path, "bases[%zu].active_parameters", i);
    bool known = facts_number(f, path, &n);
    snprintf(path, sizeof path, "bases[%zu].parameters", i);
    known = known || facts_number(f, path, &n);
    snprintf(path, sizeof path, "bases[%zu].tokens", i);
    return known && facts_number(f, path, &tokens) ? 6 * n * tokens : NAN;
}
