/* Items of a closed release: who can open the weights, who did, and how long they take to leave. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "base/secret.h"
#include "base/source.h"
#include "base/text.h"
#include "policy/release.h"
#include "trust/crypt_key.h"
#include "trust/crypt_vault.h"
#include "trust/whole.h"
#include <tola/encrypt.h>
#include <tola/log.h>

enum { PIECE = 4 << 20, LARGE = 16 << 20, YEARS = 10 };

/* ---- encryption ---- */

/* Are these weights, or may they be some? By content where a reader knows it, else by name; a large file that is no
 * text is taken for weights, too. */
static bool is_plain_weights(const manifest_file *f, const char *path) {
    static const char *const names[] = { "*.safetensors", "*.gguf",  "*.ggml",          "*.bin",    "*.pt",
                                         "*.pth",         "*.ckpt",  "*.npz",           "*.npy",    "*.onnx",
                                         "*.h5",          "*.keras", "*.msgpack",       "*.pb",     "*.nemo",
                                         "*.tflite",      "*.pkl",   "*.safetensors.*", "*.gguf.*", NULL };
    for (size_t i = 0; names[i]; i++)
        if (glob_match(names[i], path_last(f->path))) return true;
    tola_checkpoint *ck;
    if (tola_checkpoint_open(path, NULL, &ck, NULL) == TOLA_OK) {
        size_t tensors = tola_checkpoint_tensor_count(ck);
        tola_checkpoint_close(ck);
        if (tensors) return true;
    }
    if (f->bytes < LARGE) return false;
    source *s;
    uint8_t head[4096];
    if (source_open_file(path, &s, NULL) != TOLA_OK) return true;
    bool binary = source_read(s, 0, head, sizeof head, NULL) != TOLA_OK || memchr(head, 0, sizeof head);
    source_close(s);
    return binary;
}

/* Decrypts all of it, which tells whether a byte was changed; nothing is kept. */
static tola_status read_all(vault *v, tola_error *err) {
    const crypt_index *index = vault_index(v);
    uint8_t *piece = secret_map(PIECE);
    if (!piece) return err_nomem(err, "reading an encrypted model");
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < index->member_count && status == TOLA_OK; i++) {
        source *s;
        status = vault_source(v, &index->members[i], index->members[i].name, &s, err);
        if (status != TOLA_OK) break;
        for (uint64_t at = 0; at < s->size && status == TOLA_OK; at += PIECE)
            status = source_read(s, at, piece, s->size - at < PIECE ? (size_t)(s->size - at) : PIECE, err);
        source_close(s);
    }
    secret_unmap(piece, PIECE);
    return status;
}

/* Keys that the plan lists, 32 bytes each; false where one is none, and `to` says which. */
static bool listed_recipients(release *x, buf *keys, release_answer *to) {
    buf_init(keys, 1 << 20);
    for (size_t i = 0; x->p.recipients && i < x->p.recipients->count; i++) {
        const char *text = x->p.recipients->items[i]->text;
        tola_error err = TOLA_ERROR_INIT;
        const char *from = strncmp(text, "tola-public-", 12) == 0 ? text : release_place(x, text);
        if (!from || crypt_add_recipients(from, keys, &err) != TOLA_OK) {
            to->found = record_text(&x->a, "recipient %s: %s", text, err.message);
            return false;
        }
    }
    return true;
}

static bool has_key(const uint8_t *keys, size_t count, const uint8_t key[CRYPT_KEY]) {
    for (size_t i = 0; i < count; i++)
        if (memcmp(keys + i * CRYPT_KEY, key, CRYPT_KEY) == 0) return true;
    return false;
}

static const char *public_name(release *x, const uint8_t key[CRYPT_KEY]) {
    char text[CRYPT_KEY_TEXT];
    return crypt_public_text(key, text, NULL) == TOLA_OK ? release_keep(x, text) : "a key";
}

/* The recipients in the header, whose code the file key vouches for, against the plan's. */
static void compare(release *x, const crypt_header *h, const char *name, const char *path, const buf *keys,
                    release_answer *to) {
    size_t listed = keys->length / CRYPT_KEY;
    const char *rekey = NULL;
    for (size_t i = 0; i < listed; i++) {
        const uint8_t *key = keys->data + i * CRYPT_KEY;
        bool found = false;
        for (size_t k = 0; k < h->count && !found; k++)
            found = h->stanzas[k].kind == CRYPT_X25519 && memcmp(h->stanzas[k].public, key, CRYPT_KEY) == 0;
        if (found) continue;
        const char *who = public_name(x, key);
        release_detail(x, to, record_text(&x->a, "%s: %s cannot open it", name, who));
        rekey = record_text(&x->a, "%s --add-recipient %s", rekey ? rekey : "", who);
    }
    for (size_t k = 0; k < h->count; k++) {
        if (h->stanzas[k].kind == CRYPT_PASSPHRASE) {
            if (x->p.passphrase_file) continue;
            release_detail(x, to, record_text(&x->a, "%s: a passphrase opens it that the plan does not name", name));
            rekey = record_text(&x->a, "%s --remove-passphrases", rekey ? rekey : "");
        } else if (h->stanzas[k].kind == CRYPT_X25519 && !has_key(keys->data, listed, h->stanzas[k].public)) {
            const char *who = public_name(x, h->stanzas[k].public);
            release_detail(x, to, record_text(&x->a, "%s: %s opens it, but is not listed", name, who));
            rekey = record_text(&x->a, "%s --remove-recipient %s", rekey ? rekey : "", who);
        }
    }
    if (rekey && !to->mend)
        to->mend =
            record_text(&x->a, "tola rekey %s%s%s%s", release_shell(x, path), x->p.identity ? " --identity " : "",
                        x->p.identity ? release_shell(x, release_place(x, x->p.identity)) : "", rekey);
}

static void look_container(release *x, const char *name, const char *path, const buf *keys, release_answer *to) {
    source *s;
    vault *v;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = source_open_file(path, &s, &err);
    if (status == TOLA_OK) status = vault_open(s, &v, &err);
    if (status != TOLA_OK) {
        release_detail(x, to, record_text(&x->a, "%s: %s", name, err.message));
        if (!to->mend && status == TOLA_E_ARG && !x->p.identity && !x->p.passphrase_file)
            to->mend = record_text(&x->a, "tola release %s --identity KEY", release_shell(x, yaml_name(x->file)));
        return;
    }
    compare(x, vault_header(v), name, path, keys, to);
    if (read_all(v, &err) != TOLA_OK) release_detail(x, to, record_text(&x->a, "%s: %s", name, err.message));
    vault_close(v);
}

static const char *recipient_options(release *x) {
    const char *all = "";
    for (size_t i = 0; x->p.recipients && i < x->p.recipients->count; i++) {
        const char *text = x->p.recipients->items[i]->text;
        const char *from = strncmp(text, "tola-public-", 12) == 0 ? text : release_place(x, text);
        all = record_text(&x->a, "%s --recipient %s", all, release_shell(x, from));
    }
    return *all ? all : " --recipient KEY.pub";
}

void release_look_encryption(release *x, release_answer *to) {
    buf keys;
    size_t sealed = 0;
    if (!release_files(x, to)) return;
    bool known = listed_recipients(x, &keys, to);
    for (size_t i = 0; known && i < x->files.count; i++) {
        const manifest_file *f = &x->files.items[i];
        const char *path = release_file_path(x, f), *name = strcmp(f->path, ".") ? f->path : path_last(x->model);
        if (!path) continue;
        if (f->kind != MANIFEST_FILE) {
            release_detail(x, to, record_text(&x->a, "%s is no file: what is behind it is not looked at", name));
            if (!to->mend) to->mend = record_text(&x->a, "rm %s", release_shell(x, path));
        } else if (tola_encrypted(path)) {
            sealed++;
            look_container(x, name, path, &keys, to);
        } else if (is_plain_weights(f, path)) {
            release_detail(x, to, record_text(&x->a, "%s lies there in plain", name));
            const char *q = release_shell(x, path);
            if (!to->mend)
                to->mend = record_text(&x->a, "tola encrypt %s %s.enc%s && rm %s", q, q, recipient_options(x), q);
        }
    }
    bool named = keys.length || x->p.passphrase_file;
    buf_free(&keys);
    if (!known) return;
    to->good = sealed && to->count == 0 && named;
    to->found = to->count     ? to->details[0]
                : sealed == 0 ? "there are no encrypted weights"
                : !named      ? "the plan lists no recipients"
                              : record_text(&x->a,
                                            "%zu file%s, opened and read to the end; for the recipients of the plan "
                                                 "and nobody else",
                                            sealed, sealed == 1 ? "" : "s");
    if (to->count == 1) to->count = 0;
    if (sealed == 0 && !to->mend)
        to->mend = record_text(&x->a, "tola encrypt MODEL %s%s", release_shell(x, x->model), recipient_options(x));
}

/* ---- who ---- */

void release_look_access(release *x, release_answer *to) {
    struct stat st;
    bool there = stat(x->model, &st) == 0, owner = there && (st.st_mode & 0077) == 0;
    size_t named = x->p.access ? x->p.access->count : 0;
    to->good = owner && named;
    to->found = !named   ? "the plan names nobody (access)"
                : !there ? "there is no such file"
                : owner  ? record_text(&x->a, "%zu named; mode %03o", named, (unsigned)st.st_mode & 0777u)
                         : record_text(&x->a, "mode %03o lets others read", (unsigned)st.st_mode & 0777u);
    if (!owner)
        to->mend = record_text(&x->a, "chmod -R go= %s", release_shell(x, x->model));
    else if (!named)
        to->mend = "access: [NAME, ...], in the plan";
}

static const char *log_path(release *x) {
    const char *env = getenv("TOLA_LOG");
    return x->p.log ? release_place(x, x->p.log) : env && *env ? release_keep(x, env) : NULL;
}

static void look_key(release *x, const char *path, release_answer *to, const char **chmod, size_t *seen) {
    struct stat st;
    ++*seen;
    if (!path || stat(path, &st) != 0) {
        release_detail(x, to, record_text(&x->a, "%s is not there", path ? path : "a key"));
        return;
    }
    if (st.st_mode & 0077) {
        release_detail(x, to,
                       record_text(&x->a, "%s: mode %03o lets others read it", path, (unsigned)st.st_mode & 0777u));
        *chmod = record_text(&x->a, "%s %s", *chmod ? *chmod : "chmod 600", release_shell(x, path));
    }
}

/* Private keys among the files of the model. */
static void keys_inside(release *x, release_answer *to) {
    static const char *const marks[] = { "PRIVATE KEY-----", "tola-secret-", "PRIVATE+KEY+" };
    for (size_t i = 0; i < x->files.count; i++) {
        const manifest_file *f = &x->files.items[i];
        const char *path = f->kind == MANIFEST_FILE && f->bytes <= 1 << 16 ? release_file_path(x, f) : NULL;
        buf text;
        if (!path || !release_text(path, 1 << 16, &text)) continue;
        bool key = false;
        for (size_t k = 0; k < 3; k++) key = key || (text.data && strstr((const char *)text.data, marks[k]));
        whole_wipe(&text);
        if (!key) continue;
        release_detail(x, to, record_text(&x->a, "%s: a private key lies with the weights", f->path));
        if (!to->mend) to->mend = record_text(&x->a, "mv %s /a/safe/place/", release_shell(x, path));
    }
}

void release_look_keys(release *x, release_answer *to) {
    const char *chmod = NULL, *log = log_path(x);
    const char *log_key = log ? record_text(&x->a, "%s.key", log) : NULL;
    size_t seen = 0;
    for (size_t i = 0; x->p.keys && i < x->p.keys->count; i++)
        look_key(x, release_place(x, x->p.keys->items[i]->text), to, &chmod, &seen);
    if (x->p.identity) look_key(x, release_place(x, x->p.identity), to, &chmod, &seen);
    if (x->p.passphrase_file) look_key(x, release_place(x, x->p.passphrase_file), to, &chmod, &seen);
    if (log_key && release_readable(log_key)) look_key(x, log_key, to, &chmod, &seen);
    if (!release_files(x, to)) return;
    keys_inside(x, to);
    to->good = seen > 0 && to->count == 0;
    to->found = to->count   ? to->details[0]
                : seen == 0 ? "the plan names none (keys, identity)"
                            : record_text(&x->a, "%zu file%s that only the owner can read", seen, seen == 1 ? "" : "s");
    if (to->count == 1) to->count = 0;
    if (chmod) to->mend = chmod;
    if (seen == 0 && !to->mend) to->mend = "keys: [FILE, ...], in the plan";
}

/* ---- log ---- */

void release_look_log(release *x, release_answer *to) {
    tola_log_verify_options o = TOLA_LOG_VERIFY_OPTIONS_INIT;
    tola_log_report *r;
    tola_error err = TOLA_ERROR_INIT;
    const char *log = log_path(x);
    if (!log) {
        to->found = "neither log in the plan nor TOLA_LOG";
        to->mend = "export TOLA_LOG=access.db   # and log: access.db in the plan";
        return;
    }
    const char *checkpoint = x->p.checkpoint ? release_place(x, x->p.checkpoint) : NULL;
    const char *save = record_text(&x->a, "TOLA_LOG=%s tola log checkpoint > %s", release_shell(x, log),
                                   checkpoint ? release_shell(x, checkpoint) : "checkpoint.txt");
    o.public_key = x->p.log_key ? release_place(x, x->p.log_key) : NULL;
    o.checkpoint = checkpoint;
    if (checkpoint && !release_readable(checkpoint)) {
        to->found = record_text(&x->a, "the checkpoint %s is not there", x->p.checkpoint);
        to->mend = save;
        return;
    }
    if (tola_log_verify(log, &o, &r, &err) != TOLA_OK) {
        to->found = release_keep(x, err.message);
        to->mend = record_text(&x->a, "export TOLA_LOG=%s", release_shell(x, log));
        return;
    }
    for (size_t i = 0; i < r->n_problems; i++)
        release_detail(x, to, record_text(&x->a, "%s: %s", r->problems[i].kind, r->problems[i].what));
    to->good = r->valid && r->size > 0 && checkpoint;
    to->found = !r->valid      ? to->count ? to->details[0] : "not valid"
                : r->size == 0 ? "it is empty"
                : !checkpoint
                    ? "valid, but without a checkpoint that lies elsewhere it could be rolled back unseen"
                    : record_text(&x->a, "%" PRIu64 " entries, whole, and begins with the checkpoint", r->size);
    if (!r->valid)
        to->mend = record_text(&x->a, "TOLA_LOG=%s tola log verify", release_shell(x, log));
    else if (!checkpoint)
        to->mend = record_text(&x->a, "%s   # and checkpoint: checkpoint.txt in the plan", save);
    if (to->count == 1) to->count = 0;
    tola_log_report_free(r);
}

/* ---- exposure ---- */

void release_look_exposure(release *x, release_answer *to) {
    tola_error err = TOLA_ERROR_INIT;
    double rate, days;
    uint64_t bytes = 0, sealed = 0;
    if (!x->p.cap) {
        to->found = "the plan states no cap on what leaves (cap)";
        to->mend = "cap: 10MB/s, in the plan";
        return;
    }
    if (!release_files(x, to)) return;
    for (size_t i = 0; i < x->files.count; i++) {
        const char *path = release_file_path(x, &x->files.items[i]);
        bytes += x->files.items[i].bytes;
        if (path && x->files.items[i].kind == MANIFEST_FILE && tola_encrypted(path)) sealed += x->files.items[i].bytes;
    }
    if (sealed) bytes = sealed;
    if (tola_rate_parse(x->p.cap, 2, &rate, &err) != TOLA_OK) {
        to->found = release_keep(x, err.message);
        return;
    }
    days = tola_exposure_seconds(bytes, x->p.compression, rate) / 86400;
    double least = floor((double)bytes / x->p.compression / (x->p.least_days * 86400) * 1e6) / 1e6; /* no rounding up */
    if (least >= 10) least = floor(least);
    to->good = bytes > 0 && days >= x->p.least_days;
    to->found = record_text(&x->a, "%.3g days for %" PRIu64 " bytes at %s%s%s", days, bytes, x->p.cap,
                            to->good || !bytes ? "" : record_text(&x->a, ", less than %g", x->p.least_days),
                            bytes ? "" : ": there is nothing to leave");
    if (bytes && !to->good)
        to->mend = record_text(&x->a, "cap: %.*fB/s, or less, in the plan and on the link", least < 10 ? 6 : 0, least);
}

/* ---- retention ----
 * Documentation is kept for ten years from the day the model was placed on the market: General-Purpose AI Code of
 * Practice (10 July 2025), Transparency, Measure 1.1; Regulation (EU) 2024/1689, Art. 54(3)(b). */

static bool ten_years_after(const char *day, int32_t *out) {
    char text[16];
    int32_t from;
    if (!facts_parse_date(day, &from)) return false;
    facts_date_text(from, text);
    int year = atoi(text);
    if (year < 1 || year > 9989) return false;
    char later[24];
    snprintf(later, sizeof later, "%04d%.6s", year + YEARS, text + 4);
    if (facts_parse_date(later, out)) return true;
    snprintf(later, sizeof later, "%04d-03-01", year + YEARS); /* from a 29 February */
    return facts_parse_date(later, out);
}

static bool same_text(const char *a, const char *b) {
    buf x, y;
    if (!release_text(a, RELEASE_PAPER_BYTES, &x)) return false;
    bool same = release_text(b, RELEASE_PAPER_BYTES, &y);
    if (same) {
        same = x.length == y.length && memcmp(x.data, y.data, x.length) == 0;
        whole_wipe(&y);
    }
    whole_wipe(&x);
    return same;
}

static bool is_form(const char *path) {
    buf text;
    if (!release_text(path, RELEASE_PAPER_BYTES, &text)) return false;
    bool form = text.length && strstr((const char *)text.data, "Model Documentation Form");
    whole_wipe(&text);
    return form;
}

void release_look_retention(release *x, release_answer *to) {
    const struct {
        const char *key, *path;
    } papers[] = { { "form", x->p.form }, { "summary", x->p.summary }, { "card", x->p.card }, { "bom", x->p.bom } };
    static const char *const days[] = { "model.eu_release_date", "model.release_date" };
    const char *released = x->p.released, *archive = x->p.archive ? release_place(x, x->p.archive) : NULL, *copy = NULL;
    int32_t until = 0, due = 0;
    char text[16];
    for (size_t i = 0; i < 2 && !released && x->f; i++) released = facts_text(x->f, days[i]);
    if (!released)
        release_detail(x, to, "the day of the release is not known (released)");
    else if (!ten_years_after(released, &due))
        release_detail(x, to, record_text(&x->a, "released: %s is no day", released));
    else if (!x->p.keep_until)
        release_detail(x, to,
                       record_text(&x->a, "the plan does not say until when (keep_until: %s or later)",
                                   facts_date_text(due, text)));
    else if (!facts_parse_date(x->p.keep_until, &until) || until < due)
        release_detail(x, to,
                       record_text(&x->a, "keep_until: %s is before %s, ten years after the release", x->p.keep_until,
                                   facts_date_text(due, text)));
    if (to->count)
        to->mend = due ? record_text(&x->a, "keep_until: %s, in the plan", facts_date_text(due, text))
                       : "released: DAY, in the plan, or model.release_date in the facts";
    if (!archive) release_detail(x, to, "the plan names no folder where documents are kept (archive)");
    if (!x->p.form)
        release_detail(x, to, "the plan names no Model Documentation Form (form)");
    else if (!is_form(release_place(x, x->p.form)))
        release_detail(x, to, record_text(&x->a, "%s is no Model Documentation Form", x->p.form));
    for (size_t i = 0; archive && i < sizeof papers / sizeof *papers; i++) {
        const char *path = papers[i].path ? release_place(x, papers[i].path) : NULL;
        if (!path) continue;
        const char *kept = record_text(&x->a, "%s/%s", archive, path_last(path));
        if (kept && same_text(path, kept)) continue;
        release_detail(x, to, record_text(&x->a, "%s is not in %s as it is now", papers[i].path, x->p.archive));
        copy = record_text(&x->a, "%s %s", copy ? copy : "cp", release_shell(x, path));
    }
    if (copy)
        to->mend =
            record_text(&x->a, "mkdir -p %s && %s %s/", release_shell(x, archive), copy, release_shell(x, archive));
    if (!x->p.form) to->mend = "tola card MODEL --kind eu form.md --facts facts.yaml   # and form: form.md in the plan";
    to->good = to->count == 0;
    to->found = to->good ? record_text(&x->a, "kept in %s until %s", x->p.archive, x->p.keep_until) : to->details[0];
    if (to->count == 1) to->count = 0;
}
