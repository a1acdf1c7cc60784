/* Reading and checking proofs, without the log they are of. */
#include "trust/log_proof.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/options.h"
#include "trust/base64.h"
#include "trust/log_report.h"
#include "trust/whole.h"

enum { PROOF_FILE = 64 << 20 }; /* an entry in base64, twice */

static tola_status no_proof(tola_error *err, const char *why) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no proof of a log: %s", why);
}

/* ---- text ---- */

typedef struct lines {
    const char *at, *end;
} lines;

/* The next line without its end; false where there is none. */
static bool next_line(lines *l, const char **line, size_t *n) {
    const char *stop = l->at < l->end ? memchr(l->at, '\n', (size_t)(l->end - l->at)) : NULL;
    if (!stop) return false;
    *line = l->at;
    *n = (size_t)(stop - l->at);
    l->at = stop + 1;
    return true;
}

static bool begins(const char *line, size_t n, const char *word) {
    size_t m = strlen(word);
    return n >= m && memcmp(line, word, m) == 0;
}

/* Lines of hashes up to an empty line. */
static tola_status take_hashes(lines *l, merkle_hash list[MERKLE_PATH], size_t *count, tola_error *err) {
    const char *line;
    size_t n;
    for (*count = 0;; ++*count) {
        if (!next_line(l, &line, &n)) return no_proof(err, "it ends among its hashes");
        if (n == 0) return TOLA_OK;
        if (*count == MERKLE_PATH) return no_proof(err, "it has too many hashes");
        if (!note_hash(line, n, list[*count])) return no_proof(err, "one of its hashes is none");
    }
}

static tola_status take_inclusion(lines *l, arena *a, log_proof *p, tola_error *err) {
    const char *line;
    size_t n;
    if (!next_line(l, &line, &n)) return no_proof(err, "it ends after its first line");
    if (begins(line, n, "extra ")) {
        bool short_of_memory = false;
        p->text = (const char *)base64_decode(line + 6, n - 6, a, &p->text_length, &short_of_memory);
        if (short_of_memory) return err_nomem(err, "reading a proof");
        if (!p->text) return no_proof(err, "its extra data is no base64");
        if (!next_line(l, &line, &n)) return no_proof(err, "it has no index");
    }
    if (!begins(line, n, "index ") || !note_number(line + 6, n - 6, &p->index)) return no_proof(err, "it has no index");
    p->entry = true;
    return take_hashes(l, p->path, &p->n_path, err);
}

static tola_status parse_text(const char *data, size_t length, arena *a, log_proof *p, tola_error *err) {
    lines l = { data, data + length };
    const char *line;
    size_t n;
    if (!next_line(&l, &line, &n)) return no_proof(err, "it has no line");
    if (begins(line, n, "old ")) {
        if (!note_number(line + 4, n - 4, &p->old_size)) return no_proof(err, "its old size is no number");
        p->old = true;
        TRY(take_hashes(&l, p->steps, &p->n_steps, err));
        const char *rest = l.at;
        if (!next_line(&l, &line, &n)) return no_proof(err, "it has no checkpoint");
        if (!begins(line, n, "c2sp.org/tlog-proof@")) l.at = rest;
    }
    if (begins(line, n, "c2sp.org/tlog-proof@")) {
        if (n != strlen("c2sp.org/tlog-proof@v1") || line[n - 1] != '1')
            return no_proof(err, "it is of another version");
        TRY(take_inclusion(&l, a, p, err));
    } else if (!p->old) {
        return no_proof(err, "it begins with neither 'c2sp.org/tlog-proof@v1' nor 'old'");
    }
    p->note = l.at;
    p->note_length = (size_t)(l.end - l.at);
    return TOLA_OK;
}

/* ---- JSON ---- */

static bool take_u64(const tola_value *v, const char *key, uint64_t *out) {
    const tola_value *n = tola_value_get(v, key);
    if (!n || n->kind != TOLA_VALUE_UINT) return false;
    *out = n->as.u64;
    return true;
}

static tola_status take_list(const tola_value *list, merkle_hash out[MERKLE_PATH], size_t *count, tola_error *err) {
    *count = list && list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0;
    if (!list || list->kind != TOLA_VALUE_ARRAY || *count > MERKLE_PATH)
        return no_proof(err, "its list of hashes is none, or too long");
    for (size_t i = 0; i < *count; i++) {
        tola_value v = tola_value_at(list, i);
        if (v.kind != TOLA_VALUE_STRING || !note_hash(v.as.string.data, v.as.string.length, out[i]))
            return no_proof(err, "one of its hashes is none");
    }
    return TOLA_OK;
}

static tola_status parse_json(const char *data, size_t length, arena *a, log_proof *p, tola_error *err) {
    tola_value root;
    tola_error why = TOLA_ERROR_INIT;
    tola_status status = json_parse(data, length, a, &root, &why);
    if (status == TOLA_E_NOMEM) return err_nomem(err, "reading a proof");
    if (status != TOLA_OK) return no_proof(err, why.message);
    if (strcmp(tola_value_str(tola_value_get(&root, "schema"), ""), "tola.log.proof/1") != 0)
        return no_proof(err, "it is JSON of another schema");
    const tola_value *text = tola_value_get(&root, "text"), *note = tola_value_get(&root, "checkpoint");
    if (take_u64(&root, "entry", &p->index)) {
        if (!text || text->kind != TOLA_VALUE_STRING) return no_proof(err, "it has no text of the entry");
        p->entry = true;
        p->text = text->as.string.data;
        p->text_length = text->as.string.length;
        TRY(take_list(tola_value_get(&root, "path"), p->path, &p->n_path, err));
    }
    if (take_u64(&root, "old_size", &p->old_size)) {
        p->old = true;
        TRY(take_list(tola_value_get(&root, "steps"), p->steps, &p->n_steps, err));
    }
    if (!p->entry && !p->old) return no_proof(err, "it proves nothing");
    if (!note || note->kind != TOLA_VALUE_STRING) return no_proof(err, "it has no checkpoint");
    p->note = note->as.string.data;
    p->note_length = note->as.string.length;
    return TOLA_OK;
}

tola_status log_proof_parse(const char *data, size_t length, arena *a, log_proof *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    size_t blank = strspn(data, " \t\r\n");
    return blank < length && data[blank] == '{' ? parse_json(data, length, a, out, err)
                                                : parse_text(data, length, a, out, err);
}

/* ---- checking ---- */

static tola_status check_entry(const log_proof *p, const tree_head *c, log_report *out, tola_error *err) {
    merkle_hash leaf, root;
    if (!p->text)
        return log_report_add(out, "proof", p->index, err, "it carries no entry, so there is nothing that it proves");
    TRY(merkle_leaf(p->text, p->text_length, leaf, err));
    out->r.entry = p->index;
    tola_error why = TOLA_ERROR_INIT;
    bool leads = merkle_path_root(p->index, c->size, leaf, p->path, p->n_path, root, &why);
    if (why.status != TOLA_OK) return err_set(err, why.status, TOLA_NO_OFFSET, "%s", why.message);
    if (!leads || !crypto_same(root, c->root, MERKLE_BYTES))
        return log_report_add(out, "proof", p->index, err,
                              "its hashes do not lead from entry %" PRIu64 " to the root of its checkpoint", p->index);
    out->r.text = arena_strndup(&out->a, p->text, p->text_length);
    return out->r.text ? TOLA_OK : err_nomem(err, "verifying a proof");
}

static tola_status check_outside(const log_proof *p, const tree_head *c, const note_key *key, const char *path,
                                 log_report *out, tola_error *err) {
    tree_head given;
    bool good;
    tola_error why = TOLA_ERROR_INIT;
    TRY(log_checkpoint_file(path, key, &given, &good, &why, err));
    if (!good) return log_report_add(out, "checkpoint", TOLA_LOG_NO_ENTRY, err, "%s %s", path, why.message);
    if (strcmp(given.origin, c->origin) != 0)
        return log_report_add(out, "checkpoint", TOLA_LOG_NO_ENTRY, err, "%s is of another log: %s", path,
                              given.origin);
    if (given.size == c->size) {
        if (crypto_same(given.root, c->root, MERKLE_BYTES)) return TOLA_OK;
        return log_report_add(out, "checkpoint", TOLA_LOG_NO_ENTRY, err,
                              "%s and the proof's checkpoint have the same size and different roots", path);
    }
    if (!p->old || p->old_size != given.size)
        return log_report_add(out, "checkpoint", TOLA_LOG_NO_ENTRY, err,
                              "the proof is of a tree of %" PRIu64 " entries, %s of %" PRIu64
                              ", and nothing proves that one begins with the other (prove --from)",
                              c->size, path, given.size);
    if (merkle_consistent(given.size, c->size, given.root, c->root, p->steps, p->n_steps, &why)) return TOLA_OK;
    if (why.status != TOLA_OK) return err_set(err, why.status, TOLA_NO_OFFSET, "%s", why.message);
    return log_report_add(out, "checkpoint", TOLA_LOG_NO_ENTRY, err,
                          "its hashes do not prove that the log begins with what %s speaks of", path);
}

static tola_status check(const log_proof *p, const tola_log_verify_options *o, const note_key *key, log_report *out,
                         tola_error *err) {
    tree_head c;
    tola_error why = TOLA_ERROR_INIT;
    TRY(log_checkpoint_read(p->note, p->note_length, NULL, &c, err));
    if (log_checkpoint_read(p->note, p->note_length, key, &c, &why) != TOLA_OK)
        TRY(log_report_add(out, "checkpoint", TOLA_LOG_NO_ENTRY, err, "its checkpoint %s", why.message));
    else if (strcmp(c.origin, key->name) != 0)
        TRY(log_report_add(out, "checkpoint", TOLA_LOG_NO_ENTRY, err, "its checkpoint is of another log: %s",
                           c.origin));
    if (p->entry) TRY(check_entry(p, &c, out, err));
    if (p->old && !o->checkpoint)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "proves that the log begins with an older checkpoint, which has to be given, too");
    if (o->checkpoint) TRY(check_outside(p, &c, key, o->checkpoint, out, err));
    return log_report_finish(out, key, &c, err);
}

tola_status tola_log_verify_proof(const char *path, const tola_log_verify_options *options, tola_log_report **out,
                                  tola_error *err) {
    tola_log_verify_options o = TOLA_LOG_VERIFY_OPTIONS_INIT;
    note_key key;
    buf text;
    log_report *report;
    TRY(options_take(&o, sizeof o, options, err));
    if (!o.public_key) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a proof is verified with the log's public key");
    TRY(note_key_read(o.public_key, false, "", &key, err));
    log_proof *p = mem_alloc(sizeof *p);
    tola_status status = p ? whole_read(path, PROOF_FILE, &text, err) : err_nomem(err, "verifying a proof");
    if (status == TOLA_OK) {
        status = log_report_new(&report, err);
        if (status == TOLA_OK) {
            bool own = true; /* what is wrong is about the proof, not about the checkpoint that was given */
            status = log_proof_parse((const char *)text.data, text.length, &report->a, p, err);
            if (status == TOLA_OK) {
                status = check(p, &o, &key, report, err);
                own = !o.checkpoint || !err || strncmp(err->message, o.checkpoint, strlen(o.checkpoint)) != 0;
            }
            if (status == TOLA_OK)
                *out = &report->r;
            else
                tola_log_report_free(&report->r);
            if (status != TOLA_OK && own) err_in_file(err, status, path);
        }
        whole_wipe(&text);
    }
    mem_free(p);
    note_key_free(&key);
    return status;
}
