/* Appending, in one transaction that no other process can be in: the newest head is held against the tree, the entry,
 * the nodes that it completes and the new signed head are written, and all of it is on the disk before anybody is told.
 */
#define _GNU_SOURCE 1 /* getentropy */
#include "trust/log_append.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "trust/digest.h"
#include "trust/whole.h"

typedef struct appending {
    log_db db;
    note_key key;
    char key_path[LOG_PATH];
    merkle_edge edge;
    tree_head head;
    buf text; /* of the newest head */
} appending;

static tola_status tampered(tola_error *err, const char *what) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s; nothing is appended: see 'tola log verify'", what);
}

/* ---- a log that begins ---- */

/* "HOST/tola-log/16 digits": a name of its own for each log. */
static tola_status make_origin(char origin[NOTE_NAME], tola_error *err) {
    struct utsname u;
    uint8_t random[8];
    char hex[DIGEST_HEX];
    const char *host = uname(&u) == 0 ? u.nodename : "";
    if (getentropy(random, sizeof random) != 0) return err_errno(err, errno, "no random bytes for", "a log");
    digest_to_hex(random, sizeof random, hex);
    size_t n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
    if (n == 0 || host[n] || n > 100) host = "localhost";
    snprintf(origin, NOTE_NAME, "%s/tola-log/%s", host, hex);
    return TOLA_OK;
}

/* FILE.pub; one that is there already must be of the same key. */
static tola_status write_public(const appending *a, tola_error *err) {
    char name[LOG_PATH];
    TRY(log_beside(a->db.path, ".pub", name, err));
    struct stat st;
    if (stat(name, &st) == 0) {
        note_key there;
        TRY(note_key_read(name, false, a->key.name, &there, err));
        bool same = note_key_same(&there, &a->key);
        note_key_free(&there);
        if (same) return TOLA_OK;
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s is there already, of another key than %s", name,
                       a->key_path);
    }
    buf text;
    buf_init(&text, 0);
    note_key_text(&a->key, &text);
    buf_u8(&text, '\n');
    tola_status status = text.failed ? err_nomem(err, "writing a key") : whole_write(name, &text, false, err);
    buf_free(&text);
    return status;
}

/* A key is made only for a log that has no entries: one that lost its key is not silently gone on with. */
static tola_status get_key(appending *a, tola_error *err) {
    struct stat st;
    char origin[NOTE_NAME];
    TRY(make_origin(origin, err));
    if (lstat(a->key_path, &st) != 0 && errno == ENOENT) {
        if (!a->db.fresh)
            return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "the log's private key is missing: %s", a->key_path);
        return note_key_create(a->key_path, origin, &a->key, err);
    }
    return note_key_read(a->key_path, true, origin, &a->key, err);
}

/* ---- one that goes on ---- */

static tola_status read_newest(appending *a, tola_error *err) {
    bool any, found = false;
    int64_t size = 0, last = 0;
    TRY(log_db_last(&a->db, LOG_LAST_HEAD, &any, &size, err));
    if (any) TRY(log_db_get(&a->db, LOG_GET_HEAD, size, &a->text, &found, err));
    if (!found || size <= 0) return tampered(err, "the newest signed head is missing");
    tola_error why = TOLA_ERROR_INIT;
    if (log_checkpoint_read(a->text.data, a->text.length, &a->key, &a->head, &why) != TOLA_OK) {
        char what[600];
        snprintf(what, sizeof what, "the newest head %.500s", why.message);
        return tampered(err, what);
    }
    TRY(log_db_last(&a->db, LOG_LAST_ENTRY, &any, &last, err));
    if (a->head.size != (uint64_t)size || !any || last != size - 1)
        return tampered(err, "the newest signed head is of another number of entries than there are");
    return TOLA_OK;
}

static tola_status read_edge(appending *a, tola_error *err) {
    uint64_t at = 0;
    merkle_hash root;
    a->edge.size = a->head.size;
    for (unsigned level = MERKLE_LEVELS; level-- > 0;) {
        if (!(a->edge.size >> level & 1)) continue;
        TRY(log_db_node(&a->db, level, at >> level, a->edge.peaks[level], err));
        at += (uint64_t)1 << level;
    }
    TRY(merkle_root(&a->edge, root, err));
    return crypto_same(root, a->head.root, MERKLE_BYTES)
               ? TOLA_OK
               : tampered(err, "the tree of the log has another root than its newest signed head");
}

/* The checkpoint beside the log may be older, after a kill, but never newer, of another tree, or away: it was there
 * before the first entry. */
static tola_status check_beside(appending *a, tola_error *err) {
    buf text;
    bool found;
    tree_head c;
    buf_init(&text, 1 << 16);
    tola_error why = TOLA_ERROR_INIT;
    tola_status status = log_head_read(a->db.path, &text, &found, err);
    const bool empty = status == TOLA_OK && (!found || text.length == 0);
    if (empty && !a->db.fresh) {
        status = tampered(err, "the signed head beside the log (.head) is missing, so entries may have been cut off");
    } else if (status == TOLA_OK && !empty) {
        if (log_checkpoint_read(text.data, text.length, &a->key, &c, &why) != TOLA_OK)
            status = tampered(err, "the signed head beside the log (.head) is not the log's");
        else if (c.size > a->head.size)
            status = tampered(err, "the signed head beside the log (.head) is of more entries than there are: the log "
                                   "was cut or rolled back");
        else if (c.size == a->head.size && !a->db.fresh && !crypto_same(c.root, a->head.root, MERKLE_BYTES))
            status = tampered(err, "the signed head beside the log (.head) is of other entries");
    }
    buf_free(&text);
    return status;
}

/* ---- appending ---- */

static tola_status put_node(void *user, unsigned level, uint64_t index, const merkle_hash hash, tola_error *err) {
    appending *a = user;
    return log_db_put(&a->db, LOG_PUT_NODE, log_node_id(level, index), hash, MERKLE_BYTES, false, err);
}

/* {"n":7,"time":"2026-11-22T01:02:03.004Z",...}: the one line that is hashed and kept. */
static tola_status make_body(uint64_t number, log_body_fn body, void *user, buf *out, tola_error *err) {
    struct timespec t;
    struct tm tm;
    char when[64];
    clock_gettime(CLOCK_REALTIME, &t);
    if (!gmtime_r(&t.tv_sec, &tm)) return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "the clock tells no date");
    size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof when - n, ".%03dZ", (int)(t.tv_nsec / 1000000));
    tola_json j;
    tola_json_init(&j, json_to_buf, out, 0);
    tola_json_begin_object(&j);
    tola_json_key(&j, "n");
    tola_json_u64(&j, number);
    tola_json_key(&j, "time");
    tola_json_string(&j, when);
    body(user, &j);
    tola_json_end_object(&j);
    if (!tola_json_finish(&j) || out->failed)
        return out->full ? err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "an entry has more than 16 MiB")
                         : err_nomem(err, "an entry of the log");
    return TOLA_OK;
}

static tola_status append_one(appending *a, log_body_fn body, void *user, uint64_t *number, tola_error *err) {
    buf text;
    merkle_hash leaf;
    buf_init(&text, LOG_ENTRY_MOST);
    *number = a->edge.size;
    tola_status status = make_body(*number, body, user, &text, err);
    if (status == TOLA_OK) status = merkle_leaf(text.data, text.length, leaf, err);
    if (status == TOLA_OK) status = merkle_append(&a->edge, leaf, put_node, a, err);
    if (status == TOLA_OK)
        status = log_db_put(&a->db, LOG_PUT_ENTRY, (int64_t)*number, text.data, text.length, true, err);
    buf_free(&text);
    TRY(status);
    a->head.size = a->edge.size;
    TRY(merkle_root(&a->edge, a->head.root, err));
    a->text.length = 0;
    TRY(checkpoint_sign(&a->head, &a->key, &a->text, err));
    return log_db_put(&a->db, LOG_PUT_HEAD, (int64_t)a->head.size, a->text.data, a->text.length, true, err);
}

/* Entry 0 names the key, inside the tree. */
static void first_body(void *user, tola_json *j) {
    const appending *a = user;
    buf text;
    buf_init(&text, 0);
    note_key_text(&a->key, &text);
    tola_json_key(j, "event");
    tola_json_string(j, "log");
    tola_json_key(j, "origin");
    tola_json_string(j, a->head.origin);
    tola_json_key(j, "key");
    tola_json_string_n(j, (const char *)text.data, text.length);
    tola_json_key(j, "tola");
    tola_json_string(j, tola_version());
    buf_free(&text);
}

/* The signed head of no entries lies beside the log before the first one is in it: where there is none later, somebody
 * took it away. */
static tola_status begin_log(appending *a, tola_error *err) {
    uint64_t zero;
    TRY(write_public(a, err));
    TRY(log_db_make(&a->db, err));
    memcpy(a->head.origin, a->key.name, sizeof a->head.origin);
    TRY(merkle_root(&a->edge, a->head.root, err));
    a->text.length = 0;
    TRY(checkpoint_sign(&a->head, &a->key, &a->text, err));
    TRY(log_head_write(a->db.path, 0, &a->text, err));
    return append_one(a, first_body, a, &zero, err);
}

static tola_status append_all(appending *a, log_body_fn body, void *user, const log_kept *kept, size_t kept_count,
                              uint64_t *number, tola_error *err) {
    const char *other = NULL;
    TRY(log_db_check(&a->db, &other, err));
    if (other) return tampered(err, other);
    TRY(get_key(a, err));
    if (!a->db.fresh) {
        TRY(read_newest(a, err));
        TRY(read_edge(a, err));
    }
    TRY(check_beside(a, err));
    if (a->db.fresh) TRY(begin_log(a, err));
    TRY(append_one(a, body, user, number, err));
    for (size_t i = 0; i < kept_count; i++) TRY(log_db_keep_digest(&a->db, kept[i].identity, kept[i].digest, err));
    return TOLA_OK;
}

tola_status log_append(const char *path, const char *key, log_body_fn body, void *user, const log_kept *kept,
                       size_t kept_count, uint64_t *number, tola_error *err) {
    appending a = { .edge = { .size = 0 } };
    if (key)
        TRY(log_beside(key, "", a.key_path, err));
    else
        TRY(log_beside(path, ".key", a.key_path, err));
    TRY(log_db_open(path, true, &a.db, err));
    buf_init(&a.text, 1 << 16);
    tola_status status = log_db_exec(&a.db, "BEGIN IMMEDIATE", err);
    if (status == TOLA_OK) {
        status = append_all(&a, body, user, kept, kept_count, number, err);
        if (status == TOLA_OK) status = log_db_exec(&a.db, "COMMIT", err);
        if (status != TOLA_OK) (void)log_db_exec(&a.db, "ROLLBACK", NULL); /* closing would do the same */
    }
    if (status == TOLA_OK) status = log_head_write(path, a.head.size, &a.text, err);
    log_db_close(&a.db);
    note_key_free(&a.key);
    buf_free(&a.text);
    return status == TOLA_OK ? status : err_in_file(err, status, path);
}

/* ---- the key that the log names ---- */

tola_status log_key_of(log_db *db, note_key *out, tola_error *err) {
    buf text;
    arena a;
    tola_value root;
    bool found = false;
    buf_init(&text, 0);
    arena_init(&a, 16 << 20);
    tola_status status = log_db_get(db, LOG_GET_ENTRY, 0, &text, &found, err);
    if (status == TOLA_OK) {
        const char *key = NULL;
        if (found) status = json_parse((const char *)text.data, text.length, &a, &root, NULL);
        if (found && status == TOLA_OK) key = tola_value_str(tola_value_get(&root, "key"), NULL);
        if (status == TOLA_E_NOMEM)
            err_nomem(err, "the access log");
        else
            status = key ? note_key_parse(key, strlen(key), out, err)
                         : err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "entry 0 names no key");
    }
    arena_free(&a);
    buf_free(&text);
    return status;
}
