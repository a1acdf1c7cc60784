/* Verifying a log: every root is made from the entries and held against the head that was signed when the log had that
 * size. Kept leaves are looked at only where that fails: those that lead to the signed roots tell which entries are not
 * what they were. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/options.h"
#include "trust/base64.h"
#include "trust/log_append.h"
#include "trust/log_report.h"
#include "trust/whole.h"

enum { MOST_ENTRIES = 64 << 20 };

typedef struct leaf {
    merkle_hash hash;
    bool present;
} leaf;

typedef struct moved {
    merkle_hash hash;
    uint64_t place;
} moved;

typedef struct verifying {
    log_db db;
    note_key key;
    log_report *out;
    leaf *bodies, *kept, *roots; /* of entries as they are; as they were hashed; signed, by size */
    size_t cap_bodies, cap_kept, cap_roots;
    uint64_t limit;             /* no more entries than that fit into the file */
    uint64_t rows, signed_size; /* largest number of a row + 1; entries that the newest head speaks of */
    moved *sorted;              /* leaves of rows, by hash */
    size_t n_sorted;
    uint64_t begins, ends;
    buf beside; /* the checkpoint in FILE.head */
    bool has_beside;
    uint64_t heads_end; /* the size behind the last head in the database */
    bool other_nodes;   /* a kept leaf is not that of an entry that is as it was signed */
    tree_head newest;
} verifying;

/* ---- reports ---- */

tola_status log_report_new(log_report **out, tola_error *err) {
    log_report *r = mem_calloc(1, sizeof *r);
    if (!r) return err_nomem(err, "verifying a log");
    arena_init(&r->a, 0);
    r->r.entry = TOLA_LOG_NO_ENTRY;
    r->r.origin = r->r.key = "";
    *out = r;
    return TOLA_OK;
}

void tola_log_report_free(tola_log_report *report) {
    log_report *r = (log_report *)(void *)report;
    if (!r) return;
    mem_free(r->problems);
    arena_free(&r->a);
    mem_free(r);
}

tola_status log_report_add(log_report *r, const char *kind, uint64_t entry, tola_error *err, const char *format, ...) {
    char text[1200];
    va_list args;
    if (r->r.n_problems >= LOG_MOST_PROBLEMS) {
        r->left_out++;
        return TOLA_OK;
    }
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    const char *copy = arena_strndup(&r->a, text, length);
    if (!copy || !mem_grow(&r->problems, &r->cap, r->r.n_problems + 2, sizeof *r->problems))
        return err_nomem(err, "verifying a log");
    r->problems[r->r.n_problems++] = (tola_log_problem){ kind, entry, copy };
    return TOLA_OK;
}

tola_status log_report_finish(log_report *r, const note_key *key, const tree_head *head, tola_error *err) {
    buf b;
    buf_init(&b, 0);
    note_key_text(key, &b);
    r->r.key = arena_strndup(&r->a, (const char *)b.data, b.length);
    r->r.origin = arena_strndup(&r->a, head->origin, strlen(head->origin));
    b.length = 0;
    base64_append(&b, head->root, MERKLE_BYTES);
    bool good = !b.failed && b.length < sizeof r->r.root && r->r.key && r->r.origin;
    if (good) memcpy(r->r.root, b.data, b.length);
    buf_free(&b);
    if (!good) return err_nomem(err, "verifying a log");
    r->r.size = head->size;
    r->r.valid = r->r.n_problems == 0;
    r->r.problems = r->problems;
    if (r->left_out) {
        char text[64];
        snprintf(text, sizeof text, "%zu further problems are left out", r->left_out);
        const char *copy = arena_strndup(&r->a, text, strlen(text));
        if (!copy) return err_nomem(err, "verifying a log");
        r->problems[r->r.n_problems++] = (tola_log_problem){ "more", TOLA_LOG_NO_ENTRY, copy };
    }
    return TOLA_OK;
}

tola_status log_checkpoint_file(const char *path, const note_key *key, tree_head *out, bool *good, tola_error *why,
                                tola_error *err) {
    buf text;
    TRY(whole_read(path, NOTE_MOST, &text, err));
    tola_status status = log_checkpoint_read(text.data, text.length, NULL, out, err);
    if (status != TOLA_OK)
        err_in_file(err, status, path);
    else
        *good = log_checkpoint_read(text.data, text.length, key, out, why) == TOLA_OK;
    whole_wipe(&text);
    return status;
}

/* ---- reading all of it ---- */

static tola_status put(leaf **list, size_t *cap, uint64_t at, const merkle_hash hash, tola_error *err) {
    size_t old = *cap;
    if (at >= MOST_ENTRIES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d entries", (int)MOST_ENTRIES);
    if (!mem_grow(list, cap, (size_t)at + 1, sizeof **list)) return err_nomem(err, "verifying a log");
    if (*cap > old) memset(*list + old, 0, (*cap - old) * sizeof **list);
    memcpy((*list)[at].hash, hash, MERKLE_BYTES);
    (*list)[at].present = true;
    return TOLA_OK;
}

static bool has(const leaf *list, size_t cap, uint64_t at) { return at < cap && list[at].present; }

/* Beginnings and ends are counted by what entries say at the place where all of them say it. */
static void count_event(verifying *v, const char *text, size_t bytes) {
    static const char mark[] = "\",\"event\":\"";
    const char *end = text + bytes, *p = text;
    for (; p + sizeof mark + 6 < end && p < text + 100; p++) {
        if (memcmp(p, mark, sizeof mark - 1) != 0) continue;
        p += sizeof mark - 1;
        v->begins += memcmp(p, "begin\"", 6) == 0;
        v->ends += memcmp(p, "end\"", 4) == 0;
        return;
    }
}

static tola_status read_entries(verifying *v, tola_error *err) {
    log_rows rows;
    bool more;
    int64_t number;
    const void *data;
    size_t bytes;
    TRY(log_rows_open(&v->db, "SELECT n, body FROM entries ORDER BY n", &rows, err));
    tola_status status;
    while ((status = log_rows_next(&rows, &more, &number, &data, &bytes, err)) == TOLA_OK && more) {
        merkle_hash h;
        if (number < 0 || (uint64_t)number >= v->limit) {
            status =
                log_report_add(v->out, "added", TOLA_LOG_NO_ENTRY, err, "an entry has the number %" PRId64, number);
            if (status != TOLA_OK) break;
            continue;
        }
        status = merkle_leaf(data, bytes, h, err);
        if (status == TOLA_OK) status = put(&v->bodies, &v->cap_bodies, (uint64_t)number, h, err);
        if (status != TOLA_OK) break;
        v->rows = (uint64_t)number + 1;
        count_event(v, data, bytes);
    }
    log_rows_close(&rows);
    return status;
}

static tola_status read_kept(verifying *v, tola_error *err) {
    log_rows rows;
    bool more;
    int64_t number;
    const void *data;
    size_t bytes;
    TRY(log_rows_open(&v->db, "SELECT id, hash FROM nodes WHERE id >= 0 AND id < (1 << 56) ORDER BY id", &rows, err));
    tola_status status;
    while ((status = log_rows_next(&rows, &more, &number, &data, &bytes, err)) == TOLA_OK && more)
        if (bytes == MERKLE_BYTES && (uint64_t)number < v->limit)
            if ((status = put(&v->kept, &v->cap_kept, (uint64_t)number, data, err)) != TOLA_OK) break;
    log_rows_close(&rows);
    return status;
}

/* Takes a signed root in; another one of that size is a problem. */
static tola_status take_root(verifying *v, const tree_head *c, const char *kind, const char *what, tola_error *err) {
    if (strcmp(c->origin, v->key.name) != 0)
        return log_report_add(v->out, kind, TOLA_LOG_NO_ENTRY, err, "%s is of another log: its origin is %s, not %s",
                              what, c->origin, v->key.name);
    if (c->size == 0) return TOLA_OK;
    if (has(v->roots, v->cap_roots, c->size)) {
        if (crypto_same(v->roots[c->size].hash, c->root, MERKLE_BYTES)) return TOLA_OK;
        return log_report_add(v->out, kind, c->size - 1, err,
                              "%s and the log's own head of that size, %" PRIu64
                              " entries, have different roots: two histories were signed",
                              what, c->size);
    }
    if (c->size > v->signed_size) {
        v->signed_size = c->size;
        v->newest = *c;
    }
    return put(&v->roots, &v->cap_roots, c->size, c->root, err);
}

/* One head of the database. */
static tola_status take_head(verifying *v, int64_t number, const void *note, size_t bytes, int64_t expected,
                             tola_error *err) {
    tree_head c;
    char name[64];
    tola_error why = TOLA_ERROR_INIT;
    uint64_t entry = number > 0 ? (uint64_t)number - 1 : TOLA_LOG_NO_ENTRY;
    if (number > expected)
        TRY(log_report_add(v->out, "head", (uint64_t)expected - 1, err,
                           "the signed heads of %" PRId64 " to %" PRId64 " entries are missing", expected, number - 1));
    snprintf(name, sizeof name, "the signed head of %" PRId64 " entries", number);
    if (log_checkpoint_read(note, bytes, &v->key, &c, &why) != TOLA_OK)
        return log_report_add(v->out, "head", entry, err, "%s %s", name, why.message);
    if (number < 0 || c.size != (uint64_t)number)
        return log_report_add(v->out, "head", entry, err, "%s speaks of %" PRIu64, name, c.size);
    return take_root(v, &c, "head", name, err);
}

/* Heads up to `last`, some at a time: verifying signatures takes a while, in which others may append. */
static tola_status read_heads(verifying *v, int64_t last, tola_error *err) {
    static const char sql[] = "SELECT size, note FROM heads WHERE size >= ?1 AND size <= ?2 ORDER BY size LIMIT 1000";
    int64_t next = INT64_MIN, expected = 1;
    bool more = true;
    tola_status status = TOLA_OK;
    while (more && status == TOLA_OK) {
        log_rows rows;
        const void *data;
        size_t bytes, n = 0;
        int64_t number = 0;
        TRY(log_rows_open(&v->db, sql, &rows, err));
        v->db.sql->bind_int64(rows.statement, 1, next);
        v->db.sql->bind_int64(rows.statement, 2, last);
        while ((status = log_rows_next(&rows, &more, &number, &data, &bytes, err)) == TOLA_OK && more) {
            status = take_head(v, number, data, bytes, expected, err);
            if (status != TOLA_OK) break;
            if (number >= expected && number < INT64_MAX) expected = number + 1;
            n++;
            next = number + (number < INT64_MAX);
        }
        log_rows_close(&rows);
        more = n == 1000;
    }
    v->heads_end = (uint64_t)expected;
    return status;
}

/* ---- which entry ---- */

static int by_hash(const void *a, const void *b) { return memcmp(a, b, MERKLE_BYTES); }

static tola_status sort_bodies(verifying *v, tola_error *err) {
    v->sorted = mem_alloc(((size_t)v->rows + 1) * sizeof *v->sorted);
    if (!v->sorted) return err_nomem(err, "verifying a log");
    for (uint64_t i = 0; i < v->rows; i++) {
        if (!v->bodies[i].present) continue;
        memcpy(v->sorted[v->n_sorted].hash, v->bodies[i].hash, MERKLE_BYTES);
        v->sorted[v->n_sorted++].place = i;
    }
    qsort(v->sorted, v->n_sorted, sizeof *v->sorted, by_hash);
    return TOLA_OK;
}

/* Was what stands at place i an entry of the log, at whatever place? Those are few, so all kept leaves are gone
 * through. */
static bool is_other(const verifying *v, uint64_t i) {
    if (!has(v->bodies, v->cap_bodies, i)) return false;
    for (uint64_t k = 0; k < v->cap_kept; k++)
        if (k != i && v->kept[k].present && memcmp(v->kept[k].hash, v->bodies[i].hash, MERKLE_BYTES) == 0) return true;
    return false;
}

/* Entry i is not what was signed; v->kept[i] is. */
static tola_status name_entry(verifying *v, uint64_t i, tola_error *err) {
    if (v->out->r.n_problems >= LOG_MOST_PROBLEMS) {
        v->out->left_out++;
        return TOLA_OK;
    }
    if (!v->sorted) TRY(sort_bodies(v, err));
    const moved *m = bsearch(v->kept[i].hash, v->sorted, v->n_sorted, sizeof *v->sorted, by_hash);
    if (m)
        return log_report_add(v->out, "reordered", i, err,
                              "entry %" PRIu64 " is reordered: it stands at place %" PRIu64, i, m->place);
    if (!has(v->bodies, v->cap_bodies, i) || is_other(v, i))
        return log_report_add(v->out, "dropped", i, err, "entry %" PRIu64 " is dropped", i);
    return log_report_add(v->out, "edited", i, err, "entry %" PRIu64 " is edited: it is not what was signed", i);
}

/* Entries [from, to) do not lead to the root that was signed for `to`, and kept leaves do not, either. */
static tola_status name_range(verifying *v, uint64_t from, uint64_t to, tola_error *err) {
    uint64_t gone = 0, first = 0;
    for (uint64_t i = from; i < to; i++) {
        if (has(v->bodies, v->cap_bodies, i)) continue;
        if (gone++ == 0) first = i;
    }
    if (gone == 1) return log_report_add(v->out, "dropped", first, err, "entry %" PRIu64 " is dropped", first);
    if (gone)
        return log_report_add(v->out, "dropped", first, err,
                              "%" PRIu64 " entries are dropped, from entry %" PRIu64 " on, up to %" PRIu64, gone, first,
                              to - 1);
    if (from + 1 == to)
        return log_report_add(v->out, "edited", from, err, "entry %" PRIu64 " is edited: it is not what was signed",
                              from);
    return log_report_add(
        v->out, "edited", from, err,
        "among entries %" PRIu64 " to %" PRIu64 " one or more are edited: they are not what was signed", from, to - 1);
}

/* Grows `edge` by leaves [edge->size, to) of `list`; *all is false where one is missing. */
static tola_status grow(merkle_edge *edge, const leaf *list, size_t cap, uint64_t to, bool *all, merkle_hash root,
                        tola_error *err) {
    *all = true;
    for (uint64_t i = edge->size; i < to && *all; i++) {
        *all = has(list, cap, i);
        if (*all) TRY(merkle_append(edge, list[i].hash, NULL, NULL, err));
    }
    return *all ? merkle_root(edge, root, err) : TOLA_OK;
}

/* Entries are judged without kept nodes; but the next append and proofs need them. */
static tola_status check_nodes(verifying *v, const merkle_edge *edge, tola_error *err) {
    uint64_t at = 0;
    bool same = !v->other_nodes;
    for (unsigned level = MERKLE_LEVELS; level-- > 0;) {
        merkle_hash h;
        if (!(edge->size >> level & 1)) continue;
        tola_status status = log_db_node(&v->db, level, at >> level, h, NULL);
        if (status == TOLA_E_NOMEM) return err_nomem(err, "verifying a log");
        same &= status == TOLA_OK && memcmp(h, edge->peaks[level], MERKLE_BYTES) == 0;
        at += (uint64_t)1 << level;
    }
    if (same) return TOLA_OK;
    return log_report_add(v->out, "damaged", TOLA_LOG_NO_ENTRY, err,
                          "kept nodes of the tree are not those of the entries");
}

static tola_status check_tree(verifying *v, tola_error *err) {
    merkle_edge good = { .size = 0 };
    for (uint64_t size = 1; size <= v->signed_size; size++) {
        if (!has(v->roots, v->cap_roots, size)) continue;
        merkle_edge edge = good;
        merkle_hash root;
        bool all;
        uint64_t from = good.size;
        TRY(grow(&edge, v->bodies, v->cap_bodies, size, &all, root, err));
        if (!all || !crypto_same(root, v->roots[size].hash, MERKLE_BYTES)) {
            edge = good;
            TRY(grow(&edge, v->kept, v->cap_kept, size, &all, root, err));
            if (!all || !crypto_same(root, v->roots[size].hash, MERKLE_BYTES)) {
                TRY(name_range(v, from, size, err));
                if (size < v->signed_size)
                    TRY(log_report_add(v->out, "damaged", TOLA_LOG_NO_ENTRY, err,
                                       "nothing is left that tells which entries behind %" PRIu64 " are as they were",
                                       size - 1));
                return TOLA_OK;
            }
            for (uint64_t i = from; i < size; i++)
                if (!has(v->bodies, v->cap_bodies, i) || memcmp(v->bodies[i].hash, v->kept[i].hash, MERKLE_BYTES) != 0)
                    TRY(name_entry(v, i, err));
        } else {
            for (uint64_t i = from; i < size; i++)
                if (!has(v->kept, v->cap_kept, i) || memcmp(v->bodies[i].hash, v->kept[i].hash, MERKLE_BYTES) != 0)
                    v->other_nodes = true;
        }
        good = edge;
    }
    TRY(check_nodes(v, &good, err));
    for (uint64_t i = v->signed_size; i < v->rows; i++)
        if (has(v->bodies, v->cap_bodies, i))
            TRY(log_report_add(v->out, "added", i, err, "entry %" PRIu64 " is in no signed head", i));
    return TOLA_OK;
}

/* ---- what lies beside it ---- */

static tola_status check_head_file(verifying *v, const char *path, bool outside, tola_error *err) {
    tree_head c;
    tola_error why = TOLA_ERROR_INIT;
    if (!v->has_beside && outside) return TOLA_OK;
    if (!v->has_beside)
        return log_report_add(v->out, "head", TOLA_LOG_NO_ENTRY, err,
                              "the newest signed head is not beside the log (%s.head), so entries may be missing at "
                              "the end; a checkpoint that was saved elsewhere can take its place",
                              path);
    if (log_checkpoint_read(v->beside.data, v->beside.length, &v->key, &c, &why) != TOLA_OK)
        return log_report_add(v->out, "head", TOLA_LOG_NO_ENTRY, err, "the newest head (%s.head) %s", path,
                              why.message);
    return take_root(v, &c, "head", "the newest head beside the log", err);
}

static tola_status check_outside(verifying *v, const char *path, tola_error *err) {
    tree_head c;
    bool good;
    tola_error why = TOLA_ERROR_INIT;
    TRY(log_checkpoint_file(path, &v->key, &c, &good, &why, err));
    if (!good) return log_report_add(v->out, "checkpoint", TOLA_LOG_NO_ENTRY, err, "%s %s", path, why.message);
    if (strcmp(c.origin, v->key.name) == 0 && c.size > v->signed_size)
        return log_report_add(v->out, "checkpoint", v->signed_size, err,
                              "%s speaks of %" PRIu64 " entries, the log has %" PRIu64
                              ": it was cut or rolled back to an older copy",
                              path, c.size, v->signed_size);
    return take_root(v, &c, "checkpoint", path, err);
}

static tola_status check_key(verifying *v, tola_error *err) {
    note_key first;
    tola_error why = TOLA_ERROR_INIT;
    tola_status status = log_key_of(&v->db, &first, &why);
    if (status == TOLA_E_NOMEM) return err_nomem(err, "verifying a log");
    if (status != TOLA_OK) return log_report_add(v->out, "key", 0, err, "%s", why.message);
    bool same = note_key_same(&first, &v->key);
    tola_status added = TOLA_OK;
    if (!same)
        added = log_report_add(v->out, "key", 0, err,
                               "entry 0 names another key, of %s: the key or the log was swapped", first.name);
    note_key_free(&first);
    return added;
}

static int see_check(void *user, int columns, char **values, char **names) {
    char *text = user;
    (void)names;
    if (columns == 1 && values[0] && !*text) snprintf(text, 300, "%s", values[0]);
    return 0;
}

static tola_status check_file(verifying *v, tola_error *err) {
    const char *other = NULL;
    char text[300] = "";
    TRY(log_db_check(&v->db, &other, err));
    if (v->db.fresh) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no access log: it has no tables");
    struct stat st;
    v->limit = stat(v->db.path, &st) == 0 ? (uint64_t)st.st_size / 16 + 1 : 0;
    if (v->limit > MOST_ENTRIES) v->limit = MOST_ENTRIES;
    if (other) TRY(log_report_add(v->out, "schema", TOLA_LOG_NO_ENTRY, err, "%s", other));
    int code = v->db.sql->exec(v->db.db, "PRAGMA integrity_check(1)", see_check, text, NULL);
    if (code == SQL_OK && strcmp(text, "ok") == 0) return TOLA_OK;
    return log_report_add(v->out, "damaged", TOLA_LOG_NO_ENTRY, err, "the database is damaged: %s", text);
}

/* ---- all of it ---- */

/* What has to be of one moment; nobody can append meanwhile. */
static tola_status read_moment(verifying *v, const char *path, int64_t *last, tola_error *err) {
    bool any;
    TRY(log_db_exec(&v->db, "BEGIN", err));
    TRY(check_file(v, err));
    TRY(check_key(v, err));
    TRY(log_db_last(&v->db, LOG_LAST_HEAD, &any, last, err));
    TRY(log_head_read(path, &v->beside, &v->has_beside, err));
    TRY(read_entries(v, err));
    TRY(read_kept(v, err));
    return log_db_exec(&v->db, "COMMIT", err);
}

static tola_status verify_open(verifying *v, const char *path, const tola_log_verify_options *o, tola_error *err) {
    int64_t last;
    TRY(read_moment(v, path, &last, err));
    TRY(read_heads(v, last, err));
    TRY(check_head_file(v, path, o->checkpoint != NULL, err));
    if (o->checkpoint) TRY(check_outside(v, o->checkpoint, err));
    if (v->heads_end <= v->signed_size && v->heads_end <= v->rows)
        TRY(log_report_add(v->out, "head", v->heads_end - 1, err,
                           "the signed heads of %" PRIu64 " and more entries are missing", v->heads_end));
    if (v->signed_size == 0)
        TRY(log_report_add(v->out, "head", TOLA_LOG_NO_ENTRY, err, "the log has no head that %s signed", v->key.name));
    return check_tree(v, err);
}

static tola_status verify_all(verifying *v, const char *path, const tola_log_verify_options *o, tola_error *err) {
    char name[LOG_PATH];
    TRY(log_beside(path, ".pub", name, err));
    tola_status status = log_db_open(path, false, &v->db, err);
    if (status == TOLA_E_FORMAT && !log_db_claims(path)) return status; /* no log at all */
    if (status != TOLA_OK && status != TOLA_E_FORMAT) return status;
    TRY(note_key_read(o->public_key ? o->public_key : name, false, "", &v->key, err));
    TRY(log_report_new(&v->out, err));
    tola_error why = TOLA_ERROR_INIT;
    if (status == TOLA_OK) {
        status = verify_open(v, path, o, &why);
        if (status == TOLA_E_FORMAT && v->db.fresh)
            return err_set(err, status, TOLA_NO_OFFSET, "%s %s", path, why.message);
    } else if (err) {
        why = *err;
    }
    /* what SQLite cannot read is a finding about a file that says it is a log */
    if (status == TOLA_E_FORMAT && !(o->checkpoint && strncmp(why.message, o->checkpoint, strlen(o->checkpoint)) == 0))
        status = log_report_add(v->out, "damaged", TOLA_LOG_NO_ENTRY, err, "%s", why.message);
    else if (status != TOLA_OK && err)
        *err = why;
    TRY(status);
    memcpy(v->newest.origin, v->key.name, sizeof v->newest.origin);
    v->out->r.unfinished = v->begins > v->ends ? v->begins - v->ends : 0;
    return log_report_finish(v->out, &v->key, &v->newest, err);
}

tola_status tola_log_verify(const char *log, const tola_log_verify_options *options, tola_log_report **out,
                            tola_error *err) {
    tola_log_verify_options o = TOLA_LOG_VERIFY_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    verifying v = { .rows = 0 };
    buf_init(&v.beside, 1 << 16);
    tola_status status = verify_all(&v, log, &o, err);
    log_db_close(&v.db);
    note_key_free(&v.key);
    buf_free(&v.beside);
    mem_free(v.bodies);
    mem_free(v.kept);
    mem_free(v.roots);
    mem_free(v.sorted);
    if (status == TOLA_OK)
        *out = &v.out->r;
    else if (v.out)
        tola_log_report_free(&v.out->r);
    return status;
}
