/* tola comply as people read it. */
#include "comply.h"

#include <math.h>
#include <string.h>

/* Words broken at the terminal's width, each line begun by `indent` spaces. */
static void wrapped(int indent, const char *text) {
    int width = cli.columns > 160 ? 160 : cli.columns, at = 0;
    while (*text) {
        size_t length = strcspn(text, " \n");
        if (at == 0 || at + 1 + (int)length > width) {
            if (at) out_printf("\n");
            out_printf("%*s", indent, "");
            at = indent;
        } else {
            out_printf(" ");
            at++;
        }
        out_printf("%.*s", (int)length, text);
        at += (int)length;
        text += length + strspn(text + length, " \n");
    }
    if (at) out_printf("\n");
}

static bool is_kind(const tola_conclusion *c, const char *kind) { return strcmp(c->kind, kind) == 0; }

static void verdict(const tola_conclusion *c) {
    bool duty = is_kind(c, "duty");
    if (is_kind(c, "question"))
        out_styled(OUT_CYAN, "?       ");
    else if (is_kind(c, "note"))
        out_styled(OUT_DIM, "note    ");
    else if (c->verdict == TOLA_ANSWER_UNKNOWN)
        out_styled(OUT_YELLOW, "unknown ");
    else if (c->verdict == TOLA_ANSWER_NO)
        out_styled(OUT_DIM, "no      ");
    else if (!duty)
        out_styled(OUT_BOLD, "yes     ");
    else if (c->met == TOLA_ANSWER_YES)
        out_styled(OUT_GREEN, "met     ");
    else if (c->met == TOLA_ANSWER_NO)
        out_styled(OUT_RED, "not met ");
    else
        out_styled(OUT_RED, "missing ");
}

static void inputs(const tola_conclusion *c) {
    for (size_t i = 0; i < c->n_inputs; i++) {
        const tola_comply_input *in = &c->inputs[i];
        char line[1200];
        snprintf(line, sizeof line, "%s: %s%s%s%s%s", in->name, in->value ? in->value : "unknown",
                 in->source ? " (" : "", in->source ? in->source : "", in->source ? ")" : "",
                 in->estimate ? ", an estimate" : "");
        wrapped(14, line);
    }
}

static void conclusion(const tola_conclusion *c) {
    out_printf("  ");
    verdict(c);
    out_printf("%s", c->title);
    if (c->estimate) out_styled(OUT_YELLOW, " [estimate]");
    if (!c->in_force && c->until && c->from) out_styled(OUT_DIM, " [in force from %s until %s]", c->from, c->until);
    if (!c->in_force && !c->until && c->from) out_styled(OUT_DIM, " [from %s]", c->from);
    out_printf("\n");
    wrapped(10, c->text);
    out_styled(OUT_DIM, "          %s\n", c->article);
    bool answered = !is_kind(c, "note") && !is_kind(c, "question");
    if (answered) inputs(c);
    for (size_t i = 0; i < c->n_missing; i++) {
        out_printf("              ");
        out_styled(OUT_YELLOW, "needs %s\n", c->missing[i]);
    }
}

static void estimates(const tola_compliance *c) {
    for (size_t i = 0; i < c->n_estimates; i++) {
        const tola_comply_estimate *e = &c->estimates[i];
        char line[2200];
        if (e->lacks)
            snprintf(line, sizeof line, "%s, %s: unknown, needs %s", e->of, e->method, e->lacks);
        else
            snprintf(line, sizeof line, "%s, %s: %s%s", e->of, e->method, e->formula, e->estimate ? " (estimate)" : "");
        wrapped(4, line);
    }
}

/* 3.8e25, without C's plus. */
static const char *flop_text(double value, char text[32]) {
    snprintf(text, 32, "%.4g", value);
    char *plus = strchr(text, '+');
    if (plus) memmove(plus, plus + 1, strlen(plus));
    return text;
}

static void head(const tola_compliance *c) {
    char total[32], active[32], line[2400];
    out_styled(OUT_BOLD, "%s", c->name ? c->name : "model without a name");
    out_printf(", as of %s\n", c->on_date);
    if (c->parameters) {
        out_printf("  parameters        %s", text_count(total, sizeof total, c->parameters));
        if (c->active_parameters && c->active_parameters != c->parameters)
            out_printf(", %s active", text_count(active, sizeof active, c->active_parameters));
        out_printf(" (%s)\n", c->parameters_source);
    }
    if (isnan(c->flop_low))
        out_printf("  training compute  unknown\n");
    else if (c->flop_low < c->flop_high)
        out_printf("  training compute  between %s and %s FLOP: the ways to know it contradict each other\n",
                   flop_text(c->flop_low, total), flop_text(c->flop_high, active));
    else
        out_printf("  training compute  %s FLOP%s\n", flop_text(c->flop_low, total),
                   c->flop_estimate ? " (estimate)" : ", declared");
    estimates(c);
    if (c->flop_apart > 1.0005) out_printf("    the ways are a factor of %.3g apart\n", c->flop_apart);
    if (!isnan(c->cost_usd)) {
        out_printf("  cost              %.2f million USD\n", c->cost_usd / 1e6);
        snprintf(line, sizeof line, "%s", c->cost_formula ? c->cost_formula : "");
        wrapped(4, line);
    }
}

static void findings(const tola_compliance *c) {
    if (!c->n_findings && !c->n_bases) return;
    out_styled(OUT_BOLD, "\nLicence lineage and findings\n");
    if (c->licence) out_printf("  licence  %s\n", c->licence);
    for (size_t i = 0; i < c->n_bases; i++) {
        const tola_comply_base *b = &c->bases[i];
        out_printf("  base     %s: %s, %s (%s)\n", b->name, b->relation ? b->relation : "relation unknown",
                   b->licence ? b->licence : "licence unknown", b->source);
    }
    for (size_t i = 0; i < c->n_findings; i++) {
        const tola_comply_finding *f = &c->findings[i];
        bool note = strcmp(f->kind, "note") == 0;
        out_printf("  ");
        out_styled(note ? OUT_DIM : OUT_RED, "%s\n", f->kind);
        wrapped(10, f->what);
        if (f->where) out_styled(OUT_DIM, "          %s\n", f->where);
    }
}

/* Does a class want this component that is not there? A research paper stands in for the technical report. */
bool comply_lacks(const tola_compliance *c, const tola_comply_component *p, int wanted) {
    if (!p->required || p->mof_class < wanted || strcmp(p->state, "included") == 0) return false;
    if (strcmp(p->name, "technical_report")) return true;
    for (size_t i = 0; i < c->n_components; i++)
        if (strcmp(c->components[i].name, "research_paper") == 0)
            return strcmp(c->components[i].state, "included") != 0;
    return true;
}

void comply_mof_text(const tola_compliance *c) {
    static const char *const names[] = { "unclassified", "Class I, Open Science", "Class II, Open Tooling",
                                         "Class III, Open Model" };
    if (!c->n_components) return;
    out_styled(OUT_BOLD, "\nModel Openness Framework: %s\n", names[c->mof_class & 3]);
    out_printf("  progress  class III %.0f %%, II %.0f %%, I %.0f %%\n", c->mof_progress[3], c->mof_progress[2],
               c->mof_progress[1]);
    int next = c->mof_class == 0 ? 3 : c->mof_class - 1;
    if (next) out_printf("  for class %s it lacks:\n", next == 3 ? "III" : next == 2 ? "II" : "I");
    for (size_t i = 0; next && i < c->n_components; i++) {
        const tola_comply_component *p = &c->components[i];
        if (!comply_lacks(c, p, next)) continue;
        out_printf("    %s: %s%s%s\n", p->title, strcmp(p->state, "invalid") ? p->state : "its licence is not open: ",
                   strcmp(p->state, "invalid") ? "" : p->licence,
                   strcmp(p->state, "unknown") ? "" : " (release.components)");
    }
    for (size_t i = 0; i < c->n_components; i++) {
        const tola_comply_component *p = &c->components[i];
        if (strcmp(p->state, "included") == 0 && !p->appropriate)
            out_printf("    note: %s: %s is open, but not meant for %s\n", p->title, p->licence, p->type);
    }
}

void comply_text(const tola_compliance *c) {
    if (cli.quiet) return;
    head(c);
    const char *jurisdiction = "";
    for (size_t i = 0; i < c->n_conclusions; i++) {
        const tola_conclusion *one = &c->conclusions[i];
        bool idle = one->verdict == TOLA_ANSWER_NOT_ASKED || (is_kind(one, "duty") && one->verdict == TOLA_ANSWER_NO);
        if (idle && !cli.verbose) continue;
        if (strcmp(jurisdiction, one->jurisdiction)) {
            jurisdiction = one->jurisdiction;
            out_styled(OUT_BOLD, "\n%s\n", jurisdiction);
        }
        conclusion(one);
    }
    comply_mof_text(c);
    findings(c);
    if (c->n_missing) {
        out_styled(OUT_BOLD, "\nMissing facts\n");
        for (size_t i = 0; i < c->n_missing; i++) out_printf("  %s\n", c->missing[i]);
    }
    out_printf("\n");
    for (size_t i = 0; i < c->n_files; i++)
        out_styled(OUT_DIM, "rules: %s, version %s, law as of %s\n", c->files[i].name, c->files[i].version,
                   c->files[i].as_of);
    wrapped(0, c->disclaimer);
}
