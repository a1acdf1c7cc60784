/* Digests for the log, cached by what a file system says about a file. */
#define _GNU_SOURCE 1
#include "trust/log_digest.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/path.h"
#include "base/text.h"
#include "trust/manifest.h"

#define GRAIN 0.1        /* seconds: kernels step file times by 10 ms at most, */
#define COARSE_GRAIN 2.1 /* but some file systems keep whole seconds, FAT every second one */
#define WORTH_WAITING ((uint64_t)16 << 20)

void log_hasher_init(log_hasher *h, const char *log) {
    *h = (log_hasher){ .log = log };
    arena_init(&h->a, 0);
}

void log_hasher_free(log_hasher *h) {
    mem_free(h->kept);
    arena_free(&h->a);
}

/* ---- names ---- */

/* "https://user:secret@host/path?token#x" as "https://host/path": what may be a secret is left out. The '@' before a
 * revision ("hf://org/name@main") is behind the first slash. */
static char *clean_reference(arena *a, const char *ref) {
    const char *authority = strstr(ref, "://") + 3;
    size_t length = strcspn(ref, "?#"), front = (size_t)(authority - ref);
    if (front > length) front = length;
    const char *host = ref + front;
    size_t n = strcspn(host, "/?#");
    for (size_t i = 0; i < n; i++)
        if (ref[front + i] == '@') host = ref + front + i + 1;
    size_t rest = (size_t)(ref + length - host);
    char *out = arena_alloc(a, front + rest + 1);
    if (!out) return NULL;
    memcpy(out, ref, front);
    memcpy(out + front, host, rest);
    out[front + rest] = 0;
    return out;
}

/* The absolute path with its last component as it is: a link keeps its name. */
static char *absolute(arena *a, const char *path) {
    char folder[PATH_MAX], real[PATH_MAX];
    struct stat st;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    if (n == 0 || n >= sizeof folder) return arena_strndup(a, path, strlen(path));
    memcpy(folder, path, n);
    folder[n] = 0;
    bool link = lstat(folder, &st) == 0 && S_ISLNK(st.st_mode);
    if (!link && realpath(folder, real)) return arena_strndup(a, real, strlen(real));
    char *slash = strrchr(folder, '/');
    const char *name = slash ? slash + 1 : folder;
    char shown[2 * PATH_MAX];
    if (slash) *slash = 0;
    if (!realpath(!slash ? "." : *folder ? folder : "/", real)) return arena_strndup(a, path, strlen(path));
    int length = snprintf(shown, sizeof shown, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
    return arena_strndup(a, shown, (size_t)length);
}

tola_status log_name(log_hasher *h, const char *path, log_thing *out, tola_error *err) {
    log_thing t = { .kind = "missing" };
    struct stat st;
    char real[PATH_MAX];
    if (strstr(path, "://")) {
        t.kind = "remote";
        t.path = clean_reference(&h->a, path);
    } else if (strcmp(path, "-") == 0) {
        t.kind = "stdin";
        t.path = path;
    } else {
        t.path = absolute(&h->a, path);
        if (stat(path, &st) == 0) t.kind = S_ISDIR(st.st_mode) ? "folder" : S_ISREG(st.st_mode) ? "file" : "other";
        if (realpath(path, real)) t.real = arena_strndup(&h->a, real, strlen(real));
    }
    if (!t.path) return err_nomem(err, "naming what is read");
    *out = t;
    return TOLA_OK;
}

/* ---- identities ---- */

typedef struct identity {
    char text[160];
    struct timespec changed;
} identity;

static bool identify(const char *path, identity *out) {
    struct stat st;
    if (stat(path, &st) != 0) return false;
    snprintf(out->text, sizeof out->text, "%llx:%llx:%lld:%lld.%09ld:%lld.%09ld", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
             (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    out->changed = st.st_ctim;
    return true;
}

static double seconds(struct timespec t) { return (double)t.tv_sec + (double)t.tv_nsec * 1e-9; }

/* Would any later change show in the file's ctime, if reading begins now? */
static bool settled(const identity *id) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return seconds(id->changed) + (id->changed.tv_nsec ? GRAIN : COARSE_GRAIN) < seconds(now);
}

/* A large file that was written just now: rather wait a little than hash it twice. */
static void wait_settled(const identity *id, uint64_t bytes) {
    if (bytes >= WORTH_WAITING && id->changed.tv_nsec && !settled(id))
        nanosleep(&(struct timespec){ 0, (long)(GRAIN * 1.1e9) }, NULL);
}

/* ---- hashing ---- */

typedef struct hashing {
    log_hasher *h;
    manifest m;
    manifest_files files;
    identity *ids;           /* of each file */
    bool *keep;              /* its digest may be kept */
    manifest_resource *todo; /* those that no cache knows */
    size_t *place;           /* of each of them */
    size_t n_todo;
    buf path;
} hashing;

/* The log itself is no part of a folder that it lies in: it changes while the folder is looked at. */
static tola_status ignore_log(hashing *x, const char *path, tola_error *err) {
    static const char *const endings[] = { "", ".key", ".pub", ".head", "-journal" };
    const char *log = absolute(&x->m.a, x->h->log);
    char name[LOG_PATH];
    if (!log) return err_nomem(err, "hashing for the log");
    for (size_t i = 0; log[0] == '/' && i < sizeof endings / sizeof *endings; i++) {
        TRY(log_beside(log, endings[i], name, err));
        TRY(manifest_ignore(&x->m, path, name, err));
    }
    return TOLA_OK;
}

static tola_status list(hashing *x, const char *path, tola_error *err) {
    static const char *const ignored[] = { ".git", ".gitattributes", ".github", ".gitignore", "model.sig" };
    x->m.rules.allow_symlinks = true;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) TRY(manifest_ignore(&x->m, path, ignored[i], err));
    TRY(ignore_log(x, path, err));
    TRY(manifest_walk(path, &x->m.rules, &x->files, err));
    for (size_t i = 0; i < x->files.count; i++) {
        char quoted[300];
        const manifest_file *f = &x->files.items[i];
        if (f->kind != MANIFEST_FILE)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s is no regular file",
                           text_quote(quoted, sizeof quoted, f->path, strlen(f->path)));
        TRY(manifest_add_file(&x->m, f, err));
    }
    return TOLA_OK;
}

static tola_status file_path(hashing *x, size_t i, const char **out, tola_error *err) {
    TRY(manifest_files_path(&x->files, x->files.items[i].path, &x->path, err));
    *out = (const char *)x->path.data;
    return TOLA_OK;
}

/* What the cache knows, into the manifest; the rest into `todo`. */
static tola_status look_up(hashing *x, tola_error *err) {
    size_t n = x->m.count;
    log_db db;
    x->ids = arena_alloc_array(&x->m.a, n + 1, sizeof *x->ids);
    x->keep = arena_alloc_array(&x->m.a, n + 1, sizeof *x->keep);
    x->todo = arena_alloc_array(&x->m.a, n + 1, sizeof *x->todo);
    x->place = arena_alloc_array(&x->m.a, n + 1, sizeof *x->place);
    if (!x->ids || !x->keep || !x->todo || !x->place) return err_nomem(err, "hashing for the log");
    bool cache = log_db_open(x->h->log, false, &db, NULL) == TOLA_OK; /* a log that does not exist yet has none */
    tola_status status = TOLA_OK;
    for (size_t i = 0; status == TOLA_OK && i < n; i++) {
        const char *path;
        bool found = false;
        status = file_path(x, i, &path, err);
        if (status != TOLA_OK) break;
        bool known = identify(path, &x->ids[i]);
        if (cache && known && log_db_digest(&db, x->ids[i].text, x->m.items[i].digest, &found, NULL) != TOLA_OK)
            found = false;
        if (found) continue;
        if (known) wait_settled(&x->ids[i], x->files.items[i].bytes);
        x->keep[x->n_todo] = known && settled(&x->ids[i]);
        x->place[x->n_todo] = i;
        x->todo[x->n_todo++] = x->m.items[i];
    }
    if (cache) log_db_close(&db);
    return status;
}

static tola_status keep(hashing *x, tola_error *err) {
    log_hasher *h = x->h;
    for (size_t k = 0; k < x->n_todo; k++) {
        size_t i = x->place[k];
        identity now;
        const char *path;
        memcpy(x->m.items[i].digest, x->todo[k].digest, 32);
        TRY(file_path(x, i, &path, err));
        if (!x->keep[k] || !identify(path, &now) || strcmp(now.text, x->ids[i].text) != 0) continue;
        if (!mem_grow(&h->kept, &h->kept_cap, h->kept_count + 1, sizeof *h->kept))
            return err_nomem(err, "hashing for the log");
        log_kept *kept = &h->kept[h->kept_count];
        kept->identity = arena_strndup(&h->a, now.text, strlen(now.text));
        if (!kept->identity) return err_nomem(err, "hashing for the log");
        memcpy(kept->digest, x->todo[k].digest, 32);
        h->kept_count++;
    }
    return TOLA_OK;
}

static tola_status hash(hashing *x, log_thing *t, tola_error *err) {
    manifest_work work = { x->h->threads, x->h->progress, x->h->user, 0 };
    TRY(list(x, t->real ? t->real : t->path, err));
    TRY(look_up(x, err));
    if (x->n_todo) TRY(manifest_hash(&x->files, DIGEST_SHA256, x->todo, x->n_todo, &work, err));
    TRY(keep(x, err));
    t->cached = x->n_todo == 0 && x->m.count > 0;
    t->files = x->m.count;
    for (size_t i = 0; i < x->files.count; i++) t->bytes += x->files.items[i].bytes;
    if (!x->files.folder) {
        memcpy(t->digest, x->m.items[0].digest, 32);
    } else {
        manifest_sort(&x->m);
        TRY(manifest_root(&x->m, t->digest, err));
    }
    t->digested = true;
    return TOLA_OK;
}

tola_status log_digest(log_hasher *h, log_thing *thing, tola_error *err) {
    if (strcmp(thing->kind, "file") != 0 && strcmp(thing->kind, "folder") != 0) return TOLA_OK;
    hashing x = { .h = h };
    tola_error why = TOLA_ERROR_INIT;
    log_thing t = *thing;
    manifest_init(&x.m);
    buf_init(&x.path, 0);
    tola_status status = hash(&x, &t, &why);
    manifest_files_free(&x.files);
    manifest_free(&x.m);
    buf_free(&x.path);
    if (status == TOLA_E_NOMEM || status == TOLA_E_CANCELLED) {
        if (err) *err = why;
        return status;
    }
    if (status != TOLA_OK) { /* it is named all the same, and the verb will say for itself what it cannot read */
        t = *thing;
        t.why = arena_strndup(&h->a, why.message, strlen(why.message));
        if (!t.why) return err_nomem(err, "hashing for the log");
    }
    *thing = t;
    return TOLA_OK;
}

void log_thing_json(tola_json *j, const log_thing *t) {
    char text[80] = "sha256:";
    tola_json_begin_object(j);
    tola_json_key(j, "path");
    tola_json_string(j, t->path);
    tola_json_key(j, "kind");
    tola_json_string(j, t->kind);
    if (t->version) {
        tola_json_key(j, "version");
        tola_json_string(j, t->version);
    }
    if (t->digested) {
        digest_to_hex(t->digest, 32, text + 7);
        tola_json_key(j, "digest");
        tola_json_string(j, text);
        tola_json_key(j, "bytes");
        tola_json_u64(j, t->bytes);
        if (strcmp(t->kind, "folder") == 0) {
            tola_json_key(j, "files");
            tola_json_u64(j, t->files);
        }
        if (t->cached) {
            tola_json_key(j, "cached");
            tola_json_bool(j, true);
        }
    }
    if (t->why) {
        tola_json_key(j, "why");
        tola_json_string(j, t->why);
    }
    tola_json_end_object(j);
}
