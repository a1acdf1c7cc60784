/* Papers of systemic risk in Markdown, filled from the facts; what is unknown is marked and names its key. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/output.h"
#include "policy/comply.h"

typedef struct line {
    const char *label, *path; /* a key of the facts; NULL: a heading, or computed */
    const char *computed;     /* an input of the rules */
} line;

/* What Art. 52(1) and (2) ask: the information that the threshold is met, and arguments against the classification. */
static const line notification_lines[] = {
    { "Provider", NULL, NULL },
    { "Legal name", "provider.legal_name", NULL },
    { "Address", "provider.address", NULL },
    { "Country", "provider.country", NULL },
    { "Contact", "provider.contact", NULL },
    { "Authorised representative in the Union", "provider.eu_representative", NULL },
    { "Model", NULL, NULL },
    { "Name", "model.name", NULL },
    { "Version", "model.version", NULL },
    { "Architecture", "model.architecture", NULL },
    { "Release", "model.release_date", NULL },
    { "Placed on the Union's market", "model.eu_release_date", NULL },
    { "The threshold of Art. 51(2)", NULL, NULL },
    { "Cumulative training compute", NULL, "compute.flop" },
    { "How it was estimated", "training.compute_method", NULL },
    { "Start of the main run", "model.training_start", NULL },
    { "Day on which it was met or known to be met", "safety.threshold_met_date", NULL },
    { "Last day for this notification", NULL, "notification.deadline" },
    { "Day of this notification", "safety.notified_date", NULL },
    { "Systemic risks", NULL, NULL },
    { "Assessment", "safety.risk_assessment", NULL },
    { "Mitigations", "safety.mitigations", NULL },
    { "Adversarial testing", "safety.adversarial_testing", NULL },
    { "Cybersecurity", "safety.cybersecurity", NULL },
    { "Serious incidents", "safety.incident_reporting", NULL },
    { "Published framework", "safety.framework_url", NULL },
    { NULL, NULL, NULL },
};

static const line evaluation_lines[] = {
    { "Model", NULL, NULL },
    { "Name", "model.name", NULL },
    { "Version", "model.version", NULL },
    { "Provider", "provider.legal_name", NULL },
    { "Adversarial testing", NULL, NULL },
    { "What was tested and found", "safety.adversarial_testing", NULL },
    { "Assessments by others", "safety.third_party", NULL },
    { "Risks assessed", "safety.risk_assessment", NULL },
    { "Mitigations", "safety.mitigations", NULL },
    { "Known limits", "use.limitations", NULL },
    { NULL, NULL, NULL },
};

/* Text of people into a line of Markdown: line ends become spaces, what would be markup is escaped. */
static void put_text(buf *b, const char *text) {
    for (; *text; text++) {
        bool control = (unsigned char)*text < 0x20 || *text == 0x7f;
        if (strchr("\\`*_[]<>|#", *text)) buf_u8(b, '\\');
        buf_u8(b, control ? ' ' : (uint8_t)*text);
    }
}

static void put_unknown(buf *b, const char *key) { buf_printf(b, "**unknown** (facts: `%s`)", key); }

static void put_fact(buf *b, const comply_report *r, const char *path) {
    const char *text = facts_text(r->facts, path);
    if (text)
        put_text(b, text);
    else
        put_unknown(b, path);
}

static void put_lines(buf *b, comply_report *r, const line *lines) {
    for (const line *l = lines; l->label; l++) {
        if (!l->path && !l->computed) {
            buf_printf(b, "\n## %s\n\n", l->label);
            continue;
        }
        buf_printf(b, "- %s: ", l->label);
        if (l->path) {
            put_fact(b, r, l->path);
        } else {
            const rule_input *in = rule_set_find(&r->rules, l->computed);
            if (in && in->shown) {
                put_text(b, in->shown);
                buf_printf(b, "%s (", in->estimate ? ", an estimate" : "");
                put_text(b, in->source ? in->source : "");
                buf_printf(b, ")");
            } else {
                put_unknown(b, in && in->needs ? in->needs : l->computed);
            }
        }
        buf_printf(b, "\n");
    }
}

static void put_evaluations(buf *b, const comply_report *r) {
    static const char *const keys[] = { "benchmark", "dataset", "split",     "metric", "value",
                                        "protocol",  "date",    "evaluator", "url" };
    enum { KEYS = sizeof keys / sizeof *keys };
    size_t rows = facts_count(r->facts, "evaluation");
    buf_printf(b, "\n## Evaluations\n\n");
    if (rows == 0) put_unknown(b, "evaluation[]");
    if (rows == 0) buf_printf(b, "\n");
    for (size_t k = 0; rows && k < KEYS; k++) buf_printf(b, "| %s ", keys[k]);
    if (rows) buf_printf(b, "|\n");
    for (size_t k = 0; rows && k < KEYS; k++) buf_printf(b, "|---");
    if (rows) buf_printf(b, "|\n");
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < KEYS; k++) {
            char path[64];
            snprintf(path, sizeof path, "evaluation[%zu].%s", i, keys[k]);
            const char *text = facts_text(r->facts, path);
            buf_printf(b, "| ");
            put_text(b, text ? text : "unknown");
            buf_printf(b, " ");
        }
        buf_printf(b, "|\n");
    }
}

/* What the rules say of one question. */
static void put_conclusion(buf *b, const comply_report *r, const char *id) {
    for (size_t i = 0; i < r->pub.n_conclusions; i++) {
        const tola_conclusion *c = &r->pub.conclusions[i];
        if (strcmp(c->id, id)) continue;
        buf_printf(b, "\n%s: %s%s. ", c->title, tola_answer_name(c->verdict), c->estimate ? ", by an estimate" : "");
        put_text(b, c->text);
        buf_printf(b, " (%s)\n", c->article);
    }
}

static void put_estimates(buf *b, const comply_report *r) {
    buf_printf(b, "\n## Estimates of compute\n\n");
    for (size_t i = 0; i < r->pub.n_estimates; i++) {
        const tola_comply_estimate *e = &r->pub.estimates[i];
        buf_printf(b, "- %s, %s: ", e->of, e->method);
        if (e->lacks)
            put_unknown(b, e->lacks);
        else
            put_text(b, e->formula);
        buf_printf(b, "\n");
    }
    for (size_t i = 0; i < r->pub.n_findings; i++) {
        if (strcmp(r->pub.findings[i].kind, "contradiction")) continue;
        buf_printf(b, "- Contradiction: ");
        put_text(b, r->pub.findings[i].what);
        buf_printf(b, "\n");
    }
}

static tola_status fill(const tola_compliance *c, const char *kind, buf *b, tola_error *err) {
    if (strcmp(kind, "facts") == 0) {
        facts_template(b);
        return TOLA_OK;
    }
    comply_report *r = c->owner;
    if (strcmp(kind, "notification") == 0) {
        buf_printf(
            b,
            "# Notification of a general-purpose AI model with systemic risk\n\n"
            "Draft after Art. 52(1) of Regulation (EU) 2024/1689, made on %s. To be checked, completed and sent by "
            "the provider.\n",
            c->on_date);
        put_conclusion(b, r, "eu.systemic-risk");
        put_lines(b, r, notification_lines);
        put_estimates(b, r);
    } else if (strcmp(kind, "evaluation") == 0) {
        buf_printf(
            b,
            "# Record of model evaluations\n\nDraft after Art. 55(1)(a) and Annex XI, section 2, of Regulation (EU) "
            "2024/1689, made on %s.\n",
            c->on_date);
        put_conclusion(b, r, "eu.duty.evaluation");
        put_lines(b, r, evaluation_lines);
        put_evaluations(b, r);
    } else {
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "there is no paper '%.40s'; notification, evaluation and facts are", kind);
    }
    buf_printf(b, "\n%s\n", c->disclaimer);
    return TOLA_OK;
}

tola_status tola_comply_paper(const tola_compliance *compliance, const char *kind, char **out, tola_error *err) {
    buf b;
    buf_init(&b, (size_t)16 << 20);
    tola_status status = fill(compliance, kind, &b, err);
    buf_u8(&b, 0);
    if (status == TOLA_OK && b.failed) status = err_nomem(err, "writing a paper");
    if (status == TOLA_OK)
        *out = (char *)b.data;
    else
        buf_free(&b);
    return status;
}

tola_status tola_comply_paper_write(const tola_compliance *compliance, const char *kind, const char *path,
                                    bool overwrite, tola_error *err) {
    char *text;
    TRY(tola_comply_paper(compliance, kind, &text, err));
    output_set *set;
    output_file *file;
    tola_status status = output_set_open(overwrite, &set, err);
    if (status == TOLA_OK) {
        status = output_add(set, path, strlen(text), &file, err);
        if (status == TOLA_OK) status = output_write(file, 0, text, strlen(text), err);
        if (status == TOLA_OK)
            status = output_commit(set, err);
        else
            output_abort(set);
    }
    mem_free(text);
    return status;
}
