/* A plan of release, item by item, each looked at by what Tola has for it: scan, verify, the check of documents, the
 * rules, the log. What is asked is the table of items, what a plan may say the table of keys. */
#include "policy/release.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/options.h"
#include "base/path.h"
#include "base/text.h"
#include "trust/whole.h"
#include <tola/encrypt.h>
#include <tola/log.h>

/* ---- for the looks ---- */

const char *release_keep(release *x, const char *text) { return record_text(&x->a, "%s", text ? text : ""); }

const char *release_place(release *x, const char *path) {
    if (path[0] == '/' || strcmp(x->folder, ".") == 0) return path;
    const char *full = record_text(&x->a, "%s/%s", x->folder, path);
    return full ? full : ""; /* look_at tells that memory was short */
}

const char *release_shell(release *x, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/:@%=,";
    if (!text) return "";
    if (*text && *text != '-' && text[strspn(text, plain)] == 0) return text;
    const char *all = *text == '-' ? "./'" : "'";
    for (; *text;
         text += strcspn(text, "'"), all = *text ? record_text(&x->a, "%s'\\''", all) : all, text += *text != 0) {
        all = record_text(&x->a, "%s%.*s", all, (int)strcspn(text, "'"), text);
        if (!all) return "";
    }
    return record_text(&x->a, "%s'", all);
}

const char *release_facts_option(release *x) {
    return x->p.facts ? record_text(&x->a, " --facts %s", release_shell(x, release_place(x, x->p.facts))) : "";
}

void release_detail(release *x, release_answer *to, const char *line) {
    (void)x;
    for (size_t i = 0; line && i < to->count && i < RELEASE_DETAILS; i++)
        if (strcmp(to->details[i], line) == 0) return;
    if (to->count < RELEASE_DETAILS) to->details[to->count] = line ? line : "out of memory";
    to->count++;
}

bool release_readable(const char *path) { return path && access(path, R_OK) == 0; }

bool release_text(const char *path, size_t limit, buf *out) {
    return path && whole_read(path, limit, out, NULL) == TOLA_OK;
}

bool release_record(release *x, release_answer *to) {
    tola_error err = TOLA_ERROR_INIT;
    if (!x->recorded && !x->unread) {
        const char *evaluations[] = { x->p.evaluation ? release_place(x, x->p.evaluation) : NULL, NULL };
        const char *later[5] = { NULL }, *const named[] = { x->p.form, x->p.summary, x->p.bom, x->p.provenance };
        size_t n = 0; /* made after the card, and no part of what it describes */
        for (size_t i = 0; i < sizeof named / sizeof *named; i++)
            if (named[i]) later[n++] = release_place(x, named[i]);
        record_options o = { false, evaluations, later, x->o->threads, x->o->progress, x->o->progress_user };
        x->recorded = record_open(x->model, &o, &x->r, &err) == TOLA_OK;
        if (!x->recorded) x->unread = record_text(&x->a, "the weights cannot be read: %s", err.message);
        if (!x->recorded && !x->unread) x->unread = "out of memory";
    }
    if (!x->recorded) to->found = "the weights cannot be read";
    return x->recorded;
}

bool release_files(release *x, release_answer *to) {
    tola_error err = TOLA_ERROR_INIT;
    manifest_rules rules = { .allow_symlinks = true };
    if (!x->walked && !x->unwalked) {
        x->walked = manifest_walk(x->model, &rules, &x->files, &err) == TOLA_OK;
        if (!x->walked) x->unwalked = release_keep(x, err.message);
        if (!x->walked && !x->unwalked) x->unwalked = "out of memory";
    }
    if (!x->walked) to->found = x->unwalked;
    return x->walked;
}

const char *release_file_path(release *x, const manifest_file *file) {
    return x->files.folder ? record_text(&x->a, "%s/%s", x->model, file->path) : x->model;
}

/* ---- items ---- */

#define BOTH (RELEASE_OPEN | RELEASE_CLOSED)

static void look_decision(release *x, release_answer *to) {
    to->good = x->p.why && *x->p.why && x->p.by && *x->p.by;
    to->found = to->good ? record_text(&x->a, "%s, by %s: %s", x->p.kind ? "closed" : "open", x->p.by, x->p.why)
                         : "the plan says not why, or not by whom";
    if (!to->good) to->mend = "why: ... and by: ..., in the plan";
}

/* In the order in which they are mended: a signature covers what is above it. */
static const release_row rows[] = {
    { "decision", BOTH, false, "Decided knowingly: why, and by whom", look_decision },
    { "weights", RELEASE_OPEN, false, "The weights can be read, and all of them are there", release_look_weights },
    { "scan", RELEASE_OPEN, true, "No file that runs code when it is opened", release_look_scan },
    { "state", RELEASE_OPEN, true, "No optimizer state, no checkpoints of a run", release_look_state },
    { "metadata", RELEASE_OPEN, true, "No private metadata: paths, users, addresses, hosts, keys, logs, notebooks",
      release_look_metadata },
    { "tokenizer", RELEASE_OPEN, true, "A tokenizer that loads, where it is a model of language",
      release_look_tokenizer },
    { "licence", RELEASE_OPEN, true, "A licence, its text in the folder, and the bases' terms kept",
      release_look_licence },
    { "evaluation", RELEASE_OPEN, true, "Results of an evaluation", release_look_evaluation },
    { "comply", RELEASE_OPEN, true, "Nothing missing and nothing contradictory by the rules that the plan chose",
      release_look_comply },
    { "card", RELEASE_OPEN, true, "A model card that says what the weights are", release_look_card },
    { "form", RELEASE_OPEN, true, "The Model Documentation Form (tola card --kind eu)", release_look_form },
    { "summary", RELEASE_OPEN, true, "The public summary of training content (tola card --kind data)",
      release_look_summary },
    { "bom", RELEASE_OPEN, true, "A bill of materials that lists these files", release_look_bom },
    { "signature", RELEASE_OPEN, true, "A signature over the whole folder, valid now", release_look_signature },
    { "provenance", RELEASE_OPEN, true, "Of what was made from other models: a chain back to signed originals",
      release_look_provenance },
    { "encryption", RELEASE_CLOSED, true, "All weights encrypted, for the recipients of the plan and nobody else",
      release_look_encryption },
    { "access", RELEASE_CLOSED, true, "Who may read is named, and nobody else can", release_look_access },
    { "keys", RELEASE_CLOSED, true, "Keys that only their owner can read, none with the weights", release_look_keys },
    { "log", RELEASE_CLOSED, true, "A log of accesses that verifies, and begins with a checkpoint kept elsewhere",
      release_look_log },
    { "exposure", RELEASE_CLOSED, true, "How long the weights take to leave at the cap of the plan",
      release_look_exposure },
    { "retention", RELEASE_CLOSED, true, "Documents kept for ten years from the release", release_look_retention },
};
enum { ROWS = sizeof rows / sizeof *rows };

/* Copies what was found, so that all of it lives as long as the report. */
static tola_status look_at(release *x, const release_row *row, tola_release_item *out, tola_error *err) {
    release_answer a = { false, NULL, NULL, { NULL }, 0 };
    row->look(x, &a);
    const yaml_node *waiver = x->p.waive ? yaml_get(x->p.waive, row->id) : NULL;
    size_t shown = a.count < RELEASE_DETAILS ? a.count : RELEASE_DETAILS;
    const char **details = arena_alloc_array(&x->a, shown + 2, sizeof *details);
    if (!details || record_failed(&x->a)) return err_nomem(err, "checking a release");
    if (a.good) shown = 0;
    for (size_t i = 0; i < shown; i++) details[i] = a.details[i];
    if (a.count > RELEASE_DETAILS && shown)
        details[shown++] = record_text(&x->a, "and %zu more", a.count - RELEASE_DETAILS);
    *out = (tola_release_item){ .id = row->id,
                                .title = row->title,
                                .found = a.found ? a.found : "",
                                .state = a.good   ? TOLA_RELEASE_OK
                                         : waiver ? TOLA_RELEASE_WAIVED
                                                  : TOLA_RELEASE_MISSING,
                                .reason = waiver ? waiver->text : NULL,
                                .mend = a.good ? NULL : a.mend,
                                .details = details,
                                .detail_count = shown };
    return TOLA_OK;
}

/* ---- the plan ---- */

/* A key of a plan: how it is read, and how --template shows it. */
typedef struct plan_key {
    yaml_field field;
    unsigned kinds;      /* of plans whose template has it */
    const char *example; /* NULL: it is not shown */
    bool commented;      /* shown as what can be added */
    const char *help;
} plan_key;

static const char *const kinds[] = { "open", "closed", NULL };

#define KEY(name, type, member)                                                                                        \
    { name, type, offsetof(release_plan, member), 0, 0, NULL, false }
#define TEXT_KEY(name, member) KEY(name, YAML_TO_STRING, member)

static const plan_key plan_keys[] = {
    { { "kind", YAML_TO_CHOICE, offsetof(release_plan, kind), 0, 0, kinds, false }, 0, NULL, false, NULL },
    { { "release", YAML_TO_CHOICE, offsetof(release_plan, kind), 0, 0, kinds, false }, 0, NULL, false, NULL },
    { { "model", YAML_TO_STRING, offsetof(release_plan, model), 0, 0, NULL, true },
      BOTH,
      "model/",
      false,
      "the folder (or file). Paths begin at this plan's folder" },
    { TEXT_KEY("why", why), BOTH, "\"\"", false, "the reason for this decision" },
    { TEXT_KEY("by", by), BOTH, "\"\"", false, "who decided, and when" },
    { TEXT_KEY("facts", facts), BOTH, "facts.yaml", false, "tola comply --template > facts.yaml" },
    { TEXT_KEY("licence", licence), RELEASE_OPEN, "apache-2.0", false, "facts and folder must say the same" },
    { TEXT_KEY("card", card), RELEASE_OPEN, "model/README.md", true, "where it is not README.md in the folder" },
    { TEXT_KEY("form", form), BOTH, "form.md", false, "tola card model/ --facts facts.yaml --kind eu form.md" },
    { TEXT_KEY("summary", summary), RELEASE_OPEN, "summary.md", false,
      "tola card model/ --facts facts.yaml --kind data summary.md" },
    { TEXT_KEY("bom", bom), RELEASE_OPEN, "bom.json", false, "tola bom model/ --facts facts.yaml bom.json" },
    { TEXT_KEY("evaluation", evaluation), RELEASE_OPEN, "eval.json", true,
      "tola eval --json, where it does not lie beside the weights" },
    { KEY("rules", YAML_TO_LIST, rules), RELEASE_OPEN, "[eu, ca, ny, osaid, export]", true,
      "which rules must hold, or files of rules; else all" },
    { TEXT_KEY("on_date", on_date), RELEASE_OPEN, "2026-11-22", true, "the law as of that day; else of today" },
    { TEXT_KEY("public_key", public_key), RELEASE_OPEN, "release.pub", false, "whom tola verify is to trust; or:" },
    { TEXT_KEY("trust_root", trust_root), RELEASE_OPEN, "ca.pem", true, "root certificates, or Sigstore's trust root" },
    { TEXT_KEY("cert_identity", cert_identity), RELEASE_OPEN, "ml@example.org", true,
      "whom the certificate must name" },
    { TEXT_KEY("cert_issuer", cert_issuer), RELEASE_OPEN, "https://accounts.example.org", true, "who vouched for it" },
    { TEXT_KEY("provenance", provenance), RELEASE_OPEN, "provenance.json", true,
      "of a model made from others: what convert, quantize, merge, finetune --provenance wrote" },
    { KEY("origins", YAML_TO_LIST, origins), RELEASE_OPEN, "[originals/]", true,
      "folders with the originals' signatures" },
    { KEY("recipients", YAML_TO_LIST, recipients), RELEASE_CLOSED, "[anna.pub, ben.pub]", false,
      "public keys (tola keygen), or files of them: who can open the weights" },
    { TEXT_KEY("identity", identity), RELEASE_CLOSED, "anna.key", false,
      "a secret key to look inside with; or --identity" },
    { TEXT_KEY("passphrase_file", passphrase_file), RELEASE_CLOSED, "passphrase.txt", true,
      "where a passphrase opens them, too" },
    { KEY("keys", YAML_TO_LIST, keys), RELEASE_CLOSED, "[release.pem]", true, "further private keys, to be looked at" },
    { KEY("access", YAML_TO_LIST, access), RELEASE_CLOSED, "[anna, ben]", false, "who may read" },
    { TEXT_KEY("log", log), RELEASE_CLOSED, "/var/log/tola/access.log", false, "tola log; else TOLA_LOG" },
    { TEXT_KEY("log_key", log_key), RELEASE_CLOSED, "access.log.pub", true, "its public key, from elsewhere" },
    { TEXT_KEY("checkpoint", checkpoint), RELEASE_CLOSED, "monday.ckpt", false,
      "tola log checkpoint > monday.ckpt, kept on another machine" },
    { TEXT_KEY("cap", cap), RELEASE_CLOSED, "10MB/s", false, "the most that can leave: exposure is computed from it" },
    { { "compression", YAML_TO_F64, offsetof(release_plan, compression), 0.01, 1e4, NULL, false },
      RELEASE_CLOSED,
      "2",
      true,
      "how many times smaller the weights may get on the way" },
    { { "least_days", YAML_TO_F64, offsetof(release_plan, least_days), 0, 1e9, NULL, false },
      RELEASE_CLOSED,
      "30",
      true,
      "exposure must be at least that" },
    { TEXT_KEY("released", released), RELEASE_CLOSED, "2026-11-22", true,
      "the day; else model.eu_release_date, model.release_date of the facts" },
    { TEXT_KEY("archive", archive), RELEASE_CLOSED, "archive/", false,
      "a folder with copies of form, summary, card, bom" },
    { TEXT_KEY("keep_until", keep_until), RELEASE_CLOSED, "2036-11-22", false,
      "ten years after the release, or later" },
    { KEY("require", YAML_TO_LIST, require), BOTH, "[log]", true,
      "items of the other kind that are asked for here, too" },
    { KEY("waive", YAML_TO_MAP, waive), BOTH, "{bom: \"why it does not apply\"}", true,
      "items that need not hold, each with its reason" },
};
enum { KEYS = sizeof plan_keys / sizeof *plan_keys };

static tola_status check_texts(const yaml_node *list, tola_error *err) {
    const char *text;
    if (list && list->count > RELEASE_LIST) return yaml_error(list, err, "more than %d", (int)RELEASE_LIST);
    for (size_t i = 0; list && i < list->count; i++) {
        TRY(yaml_string(list->items[i], &text, err));
        if (!*text) return yaml_error(list->items[i], err, "empty");
    }
    return TOLA_OK;
}

static tola_status check_words(const release_plan *p, tola_error *err) {
    static const char *const rules[] = { "eu", "ca", "ny", "osaid", "export", NULL };
    const char *ids[ROWS + 1], *waivable[ROWS + 1], *text;
    size_t n = 0;
    uint32_t which;
    for (size_t i = 0; i < ROWS; i++) {
        ids[i] = rows[i].id;
        if (rows[i].waivable) waivable[n++] = rows[i].id;
    }
    ids[ROWS] = waivable[n] = NULL;
    for (size_t i = 0; p->require && i < p->require->count; i++)
        TRY(yaml_choice(p->require->items[i], ids, &which, err));
    for (size_t i = 0; p->rules && i < p->rules->count; i++)
        if (!strpbrk(p->rules->items[i]->text, "./")) TRY(yaml_choice(p->rules->items[i], rules, &which, err));
    if (!p->waive) return TOLA_OK;
    TRY(yaml_keys(p->waive, waivable, err));
    for (size_t i = 0; i < p->waive->count; i++) {
        TRY(yaml_string(p->waive->items[i], &text, err));
        if (text[strspn(text, " \t\n")] == 0) return yaml_error(p->waive->items[i], err, "a reason is wanted");
    }
    return TOLA_OK;
}

static tola_status read_plan(release *x, const char *path, tola_error *err) {
    yaml_field fields[KEYS];
    struct stat st;
    for (size_t i = 0; i < KEYS; i++) fields[i] = plan_keys[i].field;
    x->p.kind = UINT32_MAX;
    x->p.compression = 1;
    TRY(yaml_open(path, &x->file, err));
    const yaml_node *root = yaml_root(x->file);
    TRY(yaml_read(root, fields, KEYS, &x->p, err));
    if (x->p.kind == UINT32_MAX) return yaml_error(root, err, "'kind' is missing: open or closed");
    if (yaml_get(root, "kind") && yaml_get(root, "release"))
        return yaml_error_at_key(yaml_get(root, "release"), err, "'kind' says that already");
    const yaml_node *const lists[] = {
        x->p.rules, x->p.origins, x->p.recipients, x->p.keys, x->p.access, x->p.require
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) TRY(check_texts(lists[i], err));
    TRY(check_words(&x->p, err));
    double rate;
    tola_error why = TOLA_ERROR_INIT;
    if (x->p.cap && tola_rate_parse(x->p.cap, 2, &rate, &why) != TOLA_OK)
        return yaml_error(yaml_get(root, "cap"), err, "%s", why.message);
    static const char *const days[] = { "on_date", "released", "keep_until" };
    for (size_t i = 0; i < 3; i++) {
        const yaml_node *day = yaml_get(root, days[i]);
        int32_t number;
        if (day && !facts_parse_date(day->text, &number))
            return yaml_error(day, err, "'%.40s' is no day; 2026-11-22 is one", day->text);
    }
    const char *slash = strrchr(path, '/');
    x->folder = mem_strdup(slash ? path : ".");
    if (!x->folder) return err_nomem(err, "reading a plan");
    if (slash) x->folder[slash == path ? 1 : slash - path] = 0;
    char *model = mem_strdup(release_place(x, x->p.model));
    if (!model) return err_nomem(err, "reading a plan");
    for (size_t n = strlen(model); n > 1 && model[n - 1] == '/';) model[--n] = 0;
    x->model = release_keep(x, model);
    mem_free(model);
    if (!x->model) return err_nomem(err, "reading a plan");
    if (stat(x->model, &st) != 0) return yaml_error(yaml_get(root, "model"), err, "there is no %s", x->model);
    x->alone = !S_ISDIR(st.st_mode);
    const char *last = path_last(x->model);
    x->beside = !x->alone              ? x->model
                : last == x->model     ? "."
                : last == x->model + 1 ? "/"
                                       : record_text(&x->a, "%.*s", (int)(last - x->model - 1), x->model);
    if (!x->beside) return err_nomem(err, "reading a plan");
    if (x->p.identity) TRY(tola_keys_add_identity(release_place(x, x->p.identity), err));
    if (x->p.passphrase_file) TRY(tola_keys_add_passphrase_file(release_place(x, x->p.passphrase_file), err));
    return x->p.facts ? facts_open(release_place(x, x->p.facts), &x->f, err) : TOLA_OK;
}

static bool is_asked(const release *x, const release_row *row) {
    if (row->kinds & (x->p.kind == 0 ? RELEASE_OPEN : RELEASE_CLOSED)) return true;
    for (size_t i = 0; x->p.require && i < x->p.require->count; i++)
        if (strcmp(x->p.require->items[i]->text, row->id) == 0) return true;
    return false;
}

/* ---- the public face ---- */

static void free_release(release *x) {
    if (!x) return;
    if (x->recorded) record_dispose(&x->r);
    if (x->walked) manifest_files_free(&x->files);
    facts_free(x->f);
    yaml_free(x->file);
    mem_free(x->folder);
    mem_free(x->items);
    arena_free(&x->a);
    mem_free(x);
}

static tola_status look(release *x, const char *path, size_t *count, tola_error *err) {
    TRY(read_plan(x, path, err));
    x->items = mem_calloc(ROWS, sizeof *x->items);
    if (!x->items) return err_nomem(err, "checking a release");
    for (size_t i = 0; i < ROWS; i++) {
        if (!is_asked(x, &rows[i])) continue;
        TRY(look_at(x, &rows[i], &x->items[*count], err));
        ++*count;
    }
    return TOLA_OK;
}

tola_status tola_release_check(const char *plan_path, const tola_release_options *options, tola_release_report *out,
                               tola_error *err) {
    tola_release_options o = TOLA_RELEASE_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    release *x = mem_calloc(1, sizeof *x);
    size_t count = 0;
    if (!x) return err_nomem(err, "checking a release");
    arena_init(&x->a, 0);
    x->o = &o;
    tola_status status = look(x, plan_path, &count, err);
    if (status != TOLA_OK) {
        free_release(x);
        return status;
    }
    x->o = NULL;
    tola_release_report report = {
        sizeof report, x->p.kind == 0, true, path_last(x->model), count, x->items, x, { 0 }
    };
    for (size_t i = 0; i < count; i++) report.ready = report.ready && x->items[i].state != TOLA_RELEASE_MISSING;
    *out = report;
    return TOLA_OK;
}

void tola_release_report_dispose(tola_release_report *report) {
    if (!report) return;
    free_release(report->owner);
    memset(report, 0, sizeof *report);
}

tola_status tola_release_template(bool open, char **out, tola_error *err) {
    unsigned kind = open ? RELEASE_OPEN : RELEASE_CLOSED;
    buf b;
    buf_init(&b, 1 << 16);
    buf_printf(
        &b,
        "# A plan of %s release, for tola release. Paths begin at this file's folder; what is commented out may be\n"
        "# left away. Asked for are: ",
        open ? "an open" : "a closed");
    size_t column = 27;
    for (size_t i = 0, n = 0; i < ROWS; i++) {
        if (!(rows[i].kinds & kind)) continue;
        size_t width = strlen(rows[i].id) + 2;
        bool wrap = column + width > 100;
        buf_printf(&b, "%s%s%s", n ? "," : "", wrap ? "\n# " : n ? " " : "", rows[i].id);
        n++;
        column = wrap ? width : column + width;
    }
    buf_printf(&b, ".\nkind: %s\n", open ? "open" : "closed");
    for (size_t i = 0; i < KEYS; i++) {
        const plan_key *k = &plan_keys[i];
        char line[128];
        if (!(k->kinds & kind)) continue;
        snprintf(line, sizeof line, "%s%s: %s", k->commented ? "# " : "", k->field.key, k->example);
        buf_printf(&b, "%-38s  # %s\n", line, k->help);
    }
    buf_u8(&b, 0);
    *out = b.failed ? NULL : mem_strdup((const char *)b.data);
    buf_free(&b);
    return *out ? TOLA_OK : err_nomem(err, "writing a plan");
}
