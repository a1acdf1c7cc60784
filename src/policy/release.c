/* A plan of release, item by item, each looked at by what Tola has for it: scan, verify, the check of documents, the
 * log. */
#define _GNU_SOURCE 1 /* memmem */
#include <tola/release.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/options.h"
#include "base/path.h"
#include "base/text.h"
#include "policy/check.h"
#include "policy/facts.h"
#include "trust/manifest.h"
#include "trust/whole.h"
#include <tola/encrypt.h>
#include <tola/log.h>
#include <tola/scan.h>
#include <tola/sign.h>

typedef struct plan {
    const char *model, *why, *by, *facts, *public_key, *trust_root, *identity, *card, *form, *summary, *bom,
        *evaluation, *log, *log_key;
    uint32_t decision; /* 0 open, 1 closed */
    const yaml_node *access, *waive;
} plan;

typedef struct release {
    arena a;
    yaml *file;
    plan p;
    char *folder; /* of the plan: paths in it begin there */
    facts *f;
    record r;
    bool has_record;
    tola_release_item *items;
    size_t count, cap;
    bool failed; /* memory was short */
    const tola_release_options *o;
} release;

static void free_release(release *x) {
    if (!x) return;
    if (x->has_record) record_dispose(&x->r);
    facts_free(x->f);
    yaml_free(x->file);
    mem_free(x->folder);
    mem_free(x->items);
    arena_free(&x->a);
    mem_free(x);
}

/* ---- items ---- */

static const char *waived(const release *x, const char *id) {
    const yaml_node *n = x->p.waive ? yaml_get(x->p.waive, id) : NULL;
    return n && n->text && *n->text ? n->text : NULL;
}

static void item(release *x, const char *id, const char *title, bool good, const char *found) {
    const char *reason = good ? NULL : waived(x, id);
    tola_release_item one = { id, title,
                              reason  ? reason
                              : found ? found
                                      : "",
                              good     ? TOLA_RELEASE_OK
                              : reason ? TOLA_RELEASE_WAIVED
                                       : TOLA_RELEASE_MISSING };
    if (!mem_grow(&x->items, &x->cap, x->count + 1, sizeof *x->items)) {
        x->failed = true;
        return;
    }
    x->items[x->count++] = one;
}

/* A path of the plan, from the plan's folder on; "" without memory. */
static const char *place(release *x, const char *path) {
    const char *full = path[0] == '/' ? path : record_text(&x->a, "%s/%s", x->folder, path);
    x->failed |= !full;
    return full ? full : "";
}

static const char *keep(release *x, const char *text) { return record_text(&x->a, "%s", text); }

/* A file that the plan names, else one of the model's folder; NULL where it is not there. */
static const char *document(release *x, const char *named, const char *usual) {
    const char *path = named   ? place(x, named)
                       : usual ? record_text(&x->a, "%s/%s", place(x, x->p.model), usual)
                               : NULL;
    return path && access(path, R_OK) == 0 ? path : NULL;
}

/* ---- open ---- */

static void look_licence(release *x) {
    static const char *const names[] = { "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING" };
    const char *told = x->f ? facts_text(x->f, "licence.id") : NULL, *file = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !file; i++)
        if (document(x, NULL, names[i])) file = names[i];
    const char *id = told ? told : x->r.licence;
    bool differ = told && x->r.licence && strcasecmp(told, x->r.licence) != 0;
    const char *found = differ  ? record_text(&x->a, "the facts say %s, the folder %s", told, x->r.licence)
                        : !id   ? "no licence is named"
                        : !file ? record_text(&x->a, "%s, but its text is not in the folder (LICENSE)", id)
                                : record_text(&x->a, "%s (%s)", id, file);
    item(x, "licence", "A licence, and its text in the folder", id && file && !differ, found);
}

/* Does a document hold against the weights? */
static bool agrees(release *x, const char *path, const char *must, const char **found) {
    check_claims c = { .count = 0 };
    tola_error err = TOLA_ERROR_INIT;
    buf text;
    size_t checked = 0;
    if (whole_read(path, CHECK_MOST_BYTES, &text, &err) != TOLA_OK) {
        *found = keep(x, err.message);
        return false;
    }
    bool good = check_read((const char *)text.data, text.length, &c, &err) == TOLA_OK;
    bool right = !must || memmem(text.data, text.length, must, strlen(must));
    whole_wipe(&text);
    if (!good) *found = record_text(&x->a, "%s: %s", path_last(path), err.message);
    if (!right) *found = record_text(&x->a, "%s is no \"%s\"", path_last(path), must);
    good = good && right;
    for (size_t i = 0; i < c.count && good; i++) {
        check_answer answer = check_judge(&c.items[i], &x->r, &x->a);
        checked += answer.checkable;
        if (!answer.checkable || answer.agrees) continue;
        good = false;
        const char *is = answer.is ? answer.is : "do not tell";
        *found = c.items[i].kind == CHECK_DIGEST
                     ? record_text(&x->a, "%s: digest: there is now %.200s", path_last(path), is)
                     : record_text(&x->a, "%s: %s: it says %.80s, the weights %.80s", path_last(path),
                                   check_name(&c.items[i], &x->a), c.items[i].says, is);
    }
    if (good) *found = record_text(&x->a, "%s agrees with the weights (%zu claims)", path_last(path), checked);
    check_free(&c);
    return good && checked > 0;
}

static void look_document(release *x, const char *id, const char *title, const char *named, const char *usual,
                          const char *must) {
    const char *path = document(x, named, usual), *found = NULL;
    bool good = path && agrees(x, path, must, &found);
    if (!path)
        found = named   ? record_text(&x->a, "%s is not there", named)
                : usual ? record_text(&x->a, "%s is not there", usual)
                        : "the plan names none";
    item(x, id, title, good, found);
}

static void look_bom(release *x) {
    tola_error err = TOLA_ERROR_INIT;
    tola_paper_options o = TOLA_PAPER_OPTIONS_INIT;
    tola_paper_verdict v;
    const char *path = x->p.bom ? document(x, x->p.bom, NULL) : NULL, *found = "the plan names none";
    bool good = false;
    o.threads = x->o->threads;
    o.progress = x->o->progress;
    o.progress_user = x->o->progress_user;
    if (x->p.bom && !path) found = record_text(&x->a, "%s is not there", x->p.bom);
    if (path && tola_paper_check(path, place(x, x->p.model), &o, &v, &err) == TOLA_OK) {
        good = v.agrees;
        found = record_text(&x->a, "%s agrees with the files (%zu claims)", path_last(path), v.checked);
        for (size_t i = 0; i < v.count && !good; i++)
            if (!v.claims[i].agrees) {
                found = record_text(&x->a, "%s: %s does not agree", path_last(path), v.claims[i].what);
                break;
            }
        tola_paper_verdict_dispose(&v);
    } else if (path) {
        found = keep(x, err.message);
    }
    item(x, "bom", "A bill of materials that lists these files", good, found);
}

static void look_signature(release *x) {
    tola_verify_options o = TOLA_VERIFY_OPTIONS_INIT;
    tola_verification *v;
    tola_error err = TOLA_ERROR_INIT;
    const char *found = "the plan names neither public_key nor trust_root";
    bool good = false;
    o.public_key = x->p.public_key ? place(x, x->p.public_key) : NULL;
    o.trust_root = !o.public_key && x->p.trust_root ? place(x, x->p.trust_root) : NULL;
    o.cert_identity = x->p.identity;
    o.threads = x->o->threads;
    o.progress = x->o->progress;
    o.progress_user = x->o->progress_user;
    o.allow_symlinks = true;
    if (o.public_key || o.trust_root) {
        if (tola_verify(place(x, x->p.model), &o, &v, &err) == TOLA_OK) {
            good = v->valid;
            found = good ? "valid" : keep(x, v->reason ? v->reason : "not valid");
            tola_verification_free(v);
        } else {
            found = keep(x, err.message);
        }
    }
    item(x, "signature", "A signature over the whole folder", good, found);
}

static void look_scan(release *x) {
    tola_scan_options o = TOLA_SCAN_OPTIONS_INIT;
    tola_scan_report r;
    tola_error err = TOLA_ERROR_INIT;
    const char *paths[] = { place(x, x->p.model) }, *found;
    bool good = false;
    o.threads = x->o->threads;
    o.progress = x->o->progress;
    o.progress_user = x->o->progress_user;
    if (tola_scan(paths, 1, &o, &r, &err) == TOLA_OK) {
        good = r.verdict == TOLA_SAFE;
        found = record_text(&x->a, "%zu files, %s", r.count, tola_verdict_name(r.verdict));
        for (size_t i = 0; i < r.count && !good; i++)
            if (r.files[i].verdict != TOLA_SAFE) {
                found = record_text(&x->a, "%s: %s%s%.200s", path_last(r.files[i].path),
                                    tola_verdict_name(r.files[i].verdict), r.files[i].finding_count ? ": " : "",
                                    r.files[i].finding_count ? r.files[i].findings[0].what : "");
                break;
            }
        tola_scan_dispose(&r);
    } else {
        found = keep(x, err.message);
    }
    item(x, "scan", "No file that runs code when it is opened", good, found);
}

/* ---- what must not go along ---- */

/* Is a name, or the folder it lies in, one of a training run? */
static bool is_state(const char *path) {
    static const char *const names[] = { "optimizer.*",       "optimizer_*",        "scheduler.*",
                                         "rng_state*",        "trainer_state.json", "training_args.bin",
                                         "state.safetensors", "scaler.pt",          "*optim_states*" };
    const char *name = path_last(path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (glob_match(names[i], name)) return true;
    return strncmp(path, "checkpoint-", 11) == 0 || strstr(path, "/checkpoint-") ||
           strncmp(path, "global_step", 11) == 0;
}

static bool is_private(const char *path) {
    static const char *const names[] = { ".env",
                                         ".netrc",
                                         ".git/*",
                                         "*/.git/*",
                                         "id_rsa*",
                                         "id_ed25519*",
                                         "*.key",
                                         "wandb/*",
                                         "*/wandb/*",
                                         "events.out.tfevents*",
                                         ".ipynb_checkpoints/*",
                                         ".ssh/*",
                                         "nohup.out",
                                         ".bash_history",
                                         "*.swp",
                                         ".DS_Store" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (glob_match(names[i], path) || glob_match(names[i], path_last(path))) return true;
    return false;
}

/* What tells whose machine it was, or opens doors: paths of home folders, private keys, tokens. NULL: nothing. */
static const char *private_text(const char *text, size_t length) {
    static const char *const marks[] = { "/home/",          "/Users/",          "/root/",      "C:\\Users\\",
                                         "C:\\\\Users\\\\", "PRIVATE KEY-----", "tola-secret-" };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (memmem(text, length, marks[i], strlen(marks[i]))) return marks[i];
    for (const char *p = text, *end = text + length; (p = memmem(p, (size_t)(end - p), "hf_", 3)); p += 3) {
        size_t n = 3;
        while (p + n < end && isalnum((unsigned char)p[n])) n++;
        if (n >= 33 && (p == text || !isalnum((unsigned char)p[-1]))) return "hf_...";
    }
    return NULL;
}

static bool is_text(const char *name) {
    static const char *const endings[] = { ".json", ".jsonl", ".md",  ".txt",  ".yaml",
                                           ".yml",  ".py",    ".cfg", ".toml", ".pem" };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (text_ends_with(name, endings[i])) return true;
    return false;
}

/* The metadata inside of weights, one level of texts. */
static const char *private_metadata(const release *x) {
    const tola_value *m = tola_checkpoint_metadata(x->r.checkpoint);
    for (size_t i = 0; m && m->kind == TOLA_VALUE_MAP && i < m->as.map.count; i++) {
        const tola_value *v = &m->as.map.members[i].value;
        const char *mark = v->kind == TOLA_VALUE_STRING ? private_text(v->as.string.data, v->as.string.length) : NULL;
        if (mark) return mark;
    }
    return NULL;
}

static void look_leftovers(release *x) {
    manifest_rules rules = { .allow_symlinks = true };
    manifest_files files = { 0 };
    tola_error err = TOLA_ERROR_INIT;
    const char *state = NULL, *private = NULL, *mark = private_metadata(x);
    bool walked = manifest_walk(place(x, x->p.model), &rules, &files, &err) == TOLA_OK;
    if (mark) private = record_text(&x->a, "the weights' metadata hold \"%s\"", mark);
    for (size_t i = 0; walked && i < files.count; i++) {
        const char *name = files.items[i].path;
        buf path, text;
        if (!state && is_state(name)) state = keep(x, name);
        if (!private && is_private(name)) private = keep(x, name);
        if (private || !is_text(name) || files.items[i].bytes > 16 << 20) continue;
        buf_init(&path, 1u << 16);
        if (manifest_files_path(&files, name, &path, &err) == TOLA_OK) buf_u8(&path, 0);
        if (!path.failed && path.length && whole_read((const char *)path.data, 16 << 20, &text, &err) == TOLA_OK) {
            mark = private_text((const char *)text.data, text.length);
            if (mark) private = record_text(&x->a, "%s holds \"%s\"", name, mark);
            whole_wipe(&text);
        }
        buf_free(&path);
    }
    if (walked && !state && x->r.summary.states)
        state = record_text(&x->a, "%" PRIu64 " tensors of an optimizer's state", x->r.summary.states);
    if (!walked) state = private = keep(x, err.message);
    item(x, "state", "No optimizer state, no checkpoints of a run", !state, state ? state : "none");
    item(x, "metadata", "No private metadata: home folders, keys, tokens, logs of trackers", !private,
         private ? private : "none found");
    manifest_files_free(&files);
}

static void look_tokenizer(release *x) {
    const tola_summary *s = &x->r.summary;
    bool language = s->vocabulary || (s->model_class && strstr(s->model_class, "ForCausalLM"));
    item(x, "tokenizer", "A tokenizer, where it is a model of language", !language || s->tokenizer,
         s->tokenizer ? s->tokenizer
         : language   ? "there is none beside the weights"
                      : "not a model of language");
}

static void look_evaluation(release *x) {
    size_t told = x->f ? facts_count(x->f, "evaluation") : 0, all = told + x->r.metric_count;
    item(x, "evaluation", "Results of an evaluation", all > 0,
         all ? record_text(&x->a, "%zu results", all) : "neither facts nor tola eval --json beside the weights");
}

static tola_status look_open(release *x, tola_error *err) {
    const char *evaluations[] = { x->p.evaluation ? place(x, x->p.evaluation) : NULL, NULL };
    const char *ignore[8], *const named[] = { x->p.card, x->p.form, x->p.summary, x->p.bom };
    size_t n = 0;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (named[i]) ignore[n++] = place(x, named[i]);
    ignore[n] = NULL;
    record_options o = { false, evaluations, ignore, x->o->threads, x->o->progress, x->o->progress_user };
    TRY(record_open(place(x, x->p.model), &o, &x->r, err));
    x->has_record = true;
    look_licence(x);
    look_document(x, "card", "A model card that says what the weights are", x->p.card, "README.md", NULL);
    look_document(x, "form", "The Model Documentation Form (tola card --kind eu)", x->p.form, NULL,
                  "Model Documentation Form");
    look_document(x, "summary", "The public summary of training content (tola card --kind data)", x->p.summary, NULL,
                  "Public Summary of Training Content");
    look_bom(x);
    look_signature(x);
    look_scan(x);
    look_leftovers(x);
    look_tokenizer(x);
    look_evaluation(x);
    return TOLA_OK;
}

/* ---- closed ---- */

static void look_closed(release *x) {
    const char *model = place(x, x->p.model), *found;
    struct stat st;
    bool encrypted = tola_encrypted(model), there = stat(model, &st) == 0;
    item(x, "encryption", "The weights are encrypted", encrypted,
         encrypted ? "encrypted"
         : there   ? "they lie there in plain (tola encrypt)"
                   : "there is no such file");
    bool owner = there && (st.st_mode & 0077) == 0;
    item(x, "access", "Who may read is named, and nobody else can", owner && x->p.access && x->p.access->count,
         !x->p.access || !x->p.access->count ? "the plan names nobody (access)"
         : !there                            ? "there is no such file"
         : owner ? record_text(&x->a, "%zu named; mode %03o", x->p.access->count, (unsigned)st.st_mode & 0777u)
                 : record_text(&x->a, "mode %03o lets others read (chmod 600)", (unsigned)st.st_mode & 0777u));
    tola_log_verify_options o = TOLA_LOG_VERIFY_OPTIONS_INIT;
    tola_log_report *log;
    tola_error err = TOLA_ERROR_INIT;
    bool good = false;
    found = "the plan names none";
    if (x->p.log_key) o.public_key = place(x, x->p.log_key);
    if (x->p.log && tola_log_verify(place(x, x->p.log), &o, &log, &err) == TOLA_OK) {
        good = log->valid && log->size > 0;
        found = good ? record_text(&x->a, "%" PRIu64 " entries, whole", log->size)
                     : keep(x, log->n_problems ? log->problems[0].what : "it is empty");
        tola_log_report_free(log);
    } else if (x->p.log) {
        found = keep(x, err.message);
    }
    item(x, "log", "A log of accesses that verifies", good, found);
}

/* ---- the plan ---- */

static tola_status read_plan(release *x, const char *path, tola_error *err) {
    static const char *const decisions[] = { "open", "closed", NULL };
    static const yaml_field fields[] = {
        { "model", YAML_TO_STRING, offsetof(plan, model), 0, 0, NULL, true },
        { "release", YAML_TO_CHOICE, offsetof(plan, decision), 0, 0, decisions, true },
        { "why", YAML_TO_STRING, offsetof(plan, why), 0, 0, NULL, false },
        { "by", YAML_TO_STRING, offsetof(plan, by), 0, 0, NULL, false },
        { "facts", YAML_TO_STRING, offsetof(plan, facts), 0, 0, NULL, false },
        { "public_key", YAML_TO_STRING, offsetof(plan, public_key), 0, 0, NULL, false },
        { "trust_root", YAML_TO_STRING, offsetof(plan, trust_root), 0, 0, NULL, false },
        { "cert_identity", YAML_TO_STRING, offsetof(plan, identity), 0, 0, NULL, false },
        { "card", YAML_TO_STRING, offsetof(plan, card), 0, 0, NULL, false },
        { "form", YAML_TO_STRING, offsetof(plan, form), 0, 0, NULL, false },
        { "summary", YAML_TO_STRING, offsetof(plan, summary), 0, 0, NULL, false },
        { "bom", YAML_TO_STRING, offsetof(plan, bom), 0, 0, NULL, false },
        { "evaluation", YAML_TO_STRING, offsetof(plan, evaluation), 0, 0, NULL, false },
        { "log", YAML_TO_STRING, offsetof(plan, log), 0, 0, NULL, false },
        { "log_key", YAML_TO_STRING, offsetof(plan, log_key), 0, 0, NULL, false },
        { "access", YAML_TO_LIST, offsetof(plan, access), 0, 0, NULL, false },
        { "waive", YAML_TO_MAP, offsetof(plan, waive), 0, 0, NULL, false },
    };
    static const char *const waivable[] = { "licence",    "card",       "form",   "summary",  "bom",
                                            "signature",  "scan",       "state",  "metadata", "tokenizer",
                                            "evaluation", "encryption", "access", "log",      NULL };
    TRY(yaml_open(path, &x->file, err));
    TRY(yaml_read(yaml_root(x->file), fields, sizeof fields / sizeof *fields, &x->p, err));
    if (x->p.waive) TRY(yaml_keys(x->p.waive, waivable, err));
    const char *slash = strrchr(path, '/');
    x->folder = mem_strdup(slash ? path : ".");
    if (!x->folder) return err_nomem(err, "reading a plan");
    if (slash) x->folder[slash == path ? 1 : slash - path] = 0;
    return x->p.facts ? facts_open(place(x, x->p.facts), &x->f, err) : TOLA_OK;
}

static tola_status look(release *x, const char *path, tola_error *err) {
    TRY(read_plan(x, path, err));
    bool decided = x->p.why && *x->p.why && x->p.by && *x->p.by;
    item(x, "decision", "Decided knowingly: why, and by whom", decided,
         decided ? record_text(&x->a, "%s, by %s: %s", x->p.decision ? "closed" : "open", x->p.by, x->p.why)
                 : "the plan says not why, or not by whom");
    if (x->p.decision == 0)
        TRY(look_open(x, err));
    else
        look_closed(x);
    return x->failed ? err_nomem(err, "checking a release") : TOLA_OK;
}

tola_status tola_release_check(const char *plan_path, const tola_release_options *options, tola_release_report *out,
                               tola_error *err) {
    tola_release_options o = TOLA_RELEASE_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    release *x = mem_calloc(1, sizeof *x);
    if (!x) return err_nomem(err, "checking a release");
    arena_init(&x->a, 0);
    x->o = &o;
    tola_status status = look(x, plan_path, err);
    if (status != TOLA_OK) {
        free_release(x);
        return status;
    }
    x->o = NULL;
    tola_release_report report = { sizeof report, x->p.decision == 0, true, path_last(x->p.model),
                                   x->count,      x->items,           x,    { 0 } };
    for (size_t i = 0; i < x->count; i++) report.ready = report.ready && x->items[i].state != TOLA_RELEASE_MISSING;
    *out = report;
    return TOLA_OK;
}

void tola_release_report_dispose(tola_release_report *report) {
    if (!report) return;
    free_release(report->owner);
    memset(report, 0, sizeof *report);
}
