/* Proofs out of a log, and a log's newest checkpoint. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "trust/base64.h"
#include "trust/log_append.h"
#include "trust/log_report.h"
#include "trust/whole.h"

typedef struct proof {
    tola_log_proof p; /* what the caller sees; first */
    arena a;          /* of all text */
} proof;

typedef struct proving {
    log_db db;
    note_key key;
    buf note;
    tree_head head;
    proof *out;
} proving;

/* ---- the newest head ---- */

static tola_status read_head(log_db *db, const note_key *key, buf *note, tree_head *head, tola_error *err) {
    const char *other;
    bool any, found = false;
    int64_t size = 0;
    TRY(log_db_exec(db, "BEGIN", err));
    TRY(log_db_check(db, &other, err));
    if (db->fresh) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no access log: it has no tables");
    TRY(log_db_last(db, LOG_LAST_HEAD, &any, &size, err));
    if (any) TRY(log_db_get(db, LOG_GET_HEAD, size, note, &found, err));
    if (!found) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the log has no signed head");
    tola_status status = log_checkpoint_read(note->data, note->length, key, head, err);
    if (status == TOLA_OK && head->size != (uint64_t)size)
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "speaks of another size");
    return status == TOLA_OK ? status : err_in_file(err, status, "the newest signed head");
}

/* The log's public key: what FILE.pub says, else what entry 0 says. */
static tola_status read_key(log_db *db, note_key *key, tola_error *err) {
    char name[LOG_PATH];
    TRY(log_beside(db->path, ".pub", name, err));
    tola_status status = note_key_read(name, false, "", key, err);
    return status == TOLA_E_NOT_FOUND ? log_key_of(db, key, err) : status;
}

static void root_text(const merkle_hash root, char out[48]) {
    buf b;
    buf_init(&b, 0);
    base64_append(&b, root, MERKLE_BYTES);
    if (!b.failed && b.length < 48) memcpy(out, b.data, b.length);
    out[b.failed ? 0 : b.length] = 0;
    buf_free(&b);
}

static tola_status sign_too(const char *path, buf *note, tola_error *err) {
    note_key key;
    signed_note n;
    buf line;
    tree_head c;
    TRY(note_parse((const char *)note->data, note->length, &n, err));
    TRY(checkpoint_parse(&n, &c, err));
    TRY(note_key_read(path, true, c.origin, &key, err));
    buf_init(&line, 0);
    tola_status status = note_sign(&key, n.text, n.length, &line, err);
    if (status == TOLA_OK) buf_append(note, line.data, line.length);
    buf_free(&line);
    note_key_free(&key);
    return status;
}

tola_status tola_log_newest(const char *log, const char *key, tola_log_checkpoint *out, tola_error *err) {
    log_db db;
    note_key public = { .pkey = NULL };
    tree_head head;
    buf note;
    TRY(log_db_open(log, false, &db, err));
    buf_init(&note, NOTE_MOST);
    tola_status status = read_key(&db, &public, err);
    if (status == TOLA_OK) {
        status = read_head(&db, &public, &note, &head, err);
        if (status != TOLA_OK) err_in_file(err, status, log);
    }
    if (status == TOLA_OK && key) status = sign_too(key, &note, err);
    log_db_close(&db);
    note_key_free(&public);
    if (status == TOLA_OK) {
        tola_log_checkpoint c = { .size = head.size };
        memcpy(c.origin, head.origin, sizeof c.origin);
        root_text(head.root, c.root);
        buf_u8(&note, 0);
        c.note = note.failed ? NULL : mem_strdup((const char *)note.data);
        status = c.note ? TOLA_OK : err_nomem(err, "a checkpoint");
        if (status == TOLA_OK) *out = c;
    }
    buf_free(&note);
    return status;
}

void tola_log_checkpoint_dispose(tola_log_checkpoint *checkpoint) {
    mem_free(checkpoint->note);
    checkpoint->note = NULL;
}

/* ---- proofs ---- */

static tola_status keep_text(proving *v, const void *data, size_t bytes, const char **out, tola_error *err) {
    *out = arena_strndup(&v->out->a, data, bytes);
    return *out ? TOLA_OK : err_nomem(err, "a proof");
}

static tola_status keep_hashes(proving *v, const merkle_hash *list, size_t n, const char *const **out,
                               tola_error *err) {
    const char **texts = arena_alloc_array(&v->out->a, n + 1, sizeof *texts);
    if (!texts) return err_nomem(err, "a proof");
    for (size_t i = 0; i < n; i++) {
        char text[48];
        root_text(list[i], text);
        TRY(keep_text(v, text, strlen(text), &texts[i], err));
    }
    texts[n] = NULL;
    *out = texts;
    return TOLA_OK;
}

static tola_status not_intact(tola_error *err) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                   "the log does not lead to its signed head: see 'tola log verify'");
}

static tola_status prove_entry(proving *v, uint64_t entry, tola_error *err) {
    tola_log_proof *p = &v->out->p;
    merkle_hash path[MERKLE_PATH], leaf, root;
    bool found;
    buf text;
    if (entry >= v->head.size)
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "there is no entry %" PRIu64 ": the log has %" PRIu64,
                       entry, v->head.size);
    buf_init(&text, LOG_ENTRY_MOST + 1);
    tola_status status = log_db_get(&v->db, LOG_GET_ENTRY, (int64_t)entry, &text, &found, err);
    if (status == TOLA_OK && !found) status = not_intact(err);
    if (status == TOLA_OK) status = merkle_leaf(text.data, text.length, leaf, err);
    if (status == TOLA_OK) status = keep_text(v, text.data, text.length, &p->text, err);
    buf_free(&text);
    TRY(status);
    TRY(merkle_path(entry, v->head.size, log_db_node, &v->db, path, &p->n_path, err));
    tola_error why = TOLA_ERROR_INIT;
    bool leads = merkle_path_root(entry, v->head.size, leaf, path, p->n_path, root, &why);
    if (why.status != TOLA_OK) return err_set(err, why.status, TOLA_NO_OFFSET, "%s", why.message);
    if (!leads || !crypto_same(root, v->head.root, MERKLE_BYTES)) return not_intact(err);
    p->entry = entry;
    return keep_hashes(v, path, p->n_path, &p->path, err);
}

static tola_status prove_from(proving *v, const char *from, tola_error *err) {
    tola_log_proof *p = &v->out->p;
    merkle_hash steps[MERKLE_PATH];
    tree_head old;
    bool good;
    tola_error why = TOLA_ERROR_INIT;
    TRY(log_checkpoint_file(from, &v->key, &old, &good, &why, err));
    if (!good) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s %s", from, why.message);
    if (strcmp(old.origin, v->head.origin) != 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s is of another log: %s", from, old.origin);
    if (old.size > v->head.size)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "%s speaks of %" PRIu64 " entries, the log has %" PRIu64 ": it was cut or rolled back", from,
                       old.size, v->head.size);
    if (old.size == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s is of an empty log, with which every log begins", from);
    TRY(merkle_proof(old.size, v->head.size, log_db_node, &v->db, steps, &p->n_steps, err));
    bool begins = merkle_consistent(old.size, v->head.size, old.root, v->head.root, steps, p->n_steps, &why);
    if (why.status != TOLA_OK) return err_set(err, why.status, TOLA_NO_OFFSET, "%s", why.message);
    if (!begins)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "the log does not begin with what %s speaks of: see 'tola log verify'", from);
    p->consistency = true;
    p->old_size = old.size;
    return keep_hashes(v, steps, p->n_steps, &p->steps, err);
}

/* "old N", hashes, an empty line; then the proof of the entry: first line, its text as extra data, index, hashes, an
 * empty line; then the checkpoint. */
static tola_status write_document(proving *v, tola_error *err) {
    tola_log_proof *p = &v->out->p;
    buf b;
    buf_init(&b, 0);
    if (p->consistency) {
        buf_printf(&b, "old %" PRIu64 "\n", p->old_size);
        for (size_t i = 0; i < p->n_steps; i++) buf_printf(&b, "%s\n", p->steps[i]);
        buf_u8(&b, '\n');
    }
    if (p->entry != TOLA_LOG_NO_ENTRY) {
        buf_printf(&b, "c2sp.org/tlog-proof@v1\nextra ");
        base64_append(&b, p->text, strlen(p->text));
        buf_printf(&b, "\nindex %" PRIu64 "\n", p->entry);
        for (size_t i = 0; i < p->n_path; i++) buf_printf(&b, "%s\n", p->path[i]);
        buf_u8(&b, '\n');
    }
    buf_append(&b, v->note.data, v->note.length);
    tola_status status = b.failed ? err_nomem(err, "a proof") : keep_text(v, b.data, b.length, &p->document, err);
    buf_free(&b);
    return status;
}

static tola_status prove(proving *v, uint64_t entry, const char *from, tola_error *err) {
    tola_log_proof *p = &v->out->p;
    char root[48];
    TRY(read_key(&v->db, &v->key, err));
    TRY(read_head(&v->db, &v->key, &v->note, &v->head, err));
    if (entry != TOLA_LOG_NO_ENTRY) TRY(prove_entry(v, entry, err));
    if (from) TRY(prove_from(v, from, err));
    root_text(v->head.root, root);
    p->size = v->head.size;
    TRY(keep_text(v, v->head.origin, strlen(v->head.origin), &p->origin, err));
    TRY(keep_text(v, root, strlen(root), &p->root, err));
    TRY(keep_text(v, v->note.data, v->note.length, &p->checkpoint, err));
    return write_document(v, err);
}

tola_status tola_log_prove(const char *log, uint64_t entry, const char *from, tola_log_proof **out, tola_error *err) {
    proving v = { .key = { .pkey = NULL } };
    if (entry == TOLA_LOG_NO_ENTRY && !from)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "there is nothing to prove");
    TRY(log_db_open(log, false, &v.db, err));
    buf_init(&v.note, NOTE_MOST);
    v.out = mem_calloc(1, sizeof *v.out);
    tola_status status = v.out ? TOLA_OK : err_nomem(err, "a proof");
    if (status == TOLA_OK) {
        arena_init(&v.out->a, 0);
        v.out->p.entry = TOLA_LOG_NO_ENTRY;
        status = prove(&v, entry, from, err);
    }
    log_db_close(&v.db);
    note_key_free(&v.key);
    buf_free(&v.note);
    if (status == TOLA_OK)
        *out = &v.out->p;
    else if (v.out)
        tola_log_proof_free(&v.out->p);
    return status;
}

void tola_log_proof_free(tola_log_proof *p) {
    proof *out = (proof *)(void *)p;
    if (!out) return;
    arena_free(&out->a);
    mem_free(out);
}
