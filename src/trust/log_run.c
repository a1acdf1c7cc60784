/* What a verb did, from its beginning to its end, and the hooks through which the library tells it. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/options.h"
#include "base/output.h"
#include "formats/open.h"
#include "trust/log_digest.h"
#include <tola/log.h>

typedef struct things {
    log_thing *items;
    size_t count, cap;
} things;

struct tola_log_run {
    pthread_mutex_t lock; /* over everything below, once the hooks are in place */
    log_hasher hasher;
    char *log, *key;
    tola_log_access access; /* borrowed while the beginning is written */
    things inputs, outputs, written;
    uint64_t number; /* of the entry of the beginning */
    double started;
    pid_t pid;
    int exit_code, signal;
};

static tola_log_run *current; /* of the process; NULL in forked children */

static bool add(things *list, const log_thing *t) {
    if (!mem_grow(&list->items, &list->cap, list->count + 1, sizeof *list->items)) return false;
    list->items[list->count++] = *t;
    return true;
}

static bool knows(const things *list, const char *path) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].path, path) == 0) return true;
    return false;
}

/* Is this a version of a remote file of which nothing was written yet? */
static bool is_news(const things *list, const log_thing *t) {
    if (!t->version) return false;
    for (size_t i = 0; i < list->count; i++) {
        const log_thing *of = &list->items[i];
        if (strcmp(of->path, t->path) == 0 && of->version && strcmp(of->version, t->version) == 0) return false;
    }
    return true;
}

/* Does it lie in (or is it) one of these, links resolved? */
static bool covers(const things *list, const char *real) {
    for (size_t i = 0; i < list->count; i++) {
        const char *of = list->items[i].real;
        if (!of) continue;
        size_t n = strlen(of);
        if (strncmp(real, of, n) == 0 && (real[n] == 0 || real[n] == '/')) return true;
    }
    return false;
}

/* ---- members of entries ---- */

static void member(tola_json *j, const char *key, const char *text) {
    tola_json_key(j, key);
    tola_json_string(j, text);
}

static void member_u64(tola_json *j, const char *key, uint64_t value) {
    tola_json_key(j, key);
    tola_json_u64(j, value);
}

static void member_things(tola_json *j, const char *key, const things *list) {
    tola_json_key(j, key);
    tola_json_begin_array(j);
    for (size_t i = 0; i < list->count; i++) log_thing_json(j, &list->items[i]);
    tola_json_end_array(j);
}

/* The user that the kernel's audit remembers, whatever su and sudo did since; false where it knows none. */
static bool login_uid(uint64_t *uid) {
    char text[32];
    unsigned long long n;
    FILE *f = fopen("/proc/self/loginuid", "re");
    if (!f) return false;
    bool good = fgets(text, sizeof text, f) && sscanf(text, "%llu", &n) == 1 && n < UINT32_MAX;
    fclose(f);
    if (good) *uid = n;
    return good;
}

static void member_who(tola_json *j) {
    struct passwd p, *found = NULL;
    struct utsname u;
    char room[4096];
    uint64_t login;
    member_u64(j, "uid", getuid());
    if (geteuid() != getuid()) member_u64(j, "euid", geteuid());
    if (login_uid(&login) && login != getuid()) member_u64(j, "login_uid", login);
    if (getpwuid_r(getuid(), &p, room, sizeof room, &found) == 0 && found) member(j, "user", p.pw_name);
    if (uname(&u) == 0) member(j, "host", u.nodename);
    member_u64(j, "pid", (uint64_t)getpid());
}

/* Where text on stdout goes. */
static void member_stdout(tola_json *j) {
    struct stat st;
    char path[PATH_MAX];
    if (fstat(STDOUT_FILENO, &st) != 0) return;
    tola_json_key(j, "stdout");
    if (S_ISREG(st.st_mode)) {
        ssize_t n = readlink("/proc/self/fd/1", path, sizeof path - 1);
        path[n > 0 ? n : 0] = 0;
        tola_json_string(j, n > 0 ? path : "file");
    } else {
        bool terminal = isatty(STDOUT_FILENO) == 1;
        tola_json_string(j, terminal               ? "terminal"
                            : S_ISFIFO(st.st_mode) ? "pipe"
                            : S_ISSOCK(st.st_mode) ? "socket"
                                                   : "device");
    }
}

static void begin_body(void *user, tola_json *j) {
    const tola_log_run *r = user;
    member(j, "event", "begin");
    member(j, "verb", r->access.verb);
    member(j, "tola", tola_version());
    member_who(j);
    tola_json_key(j, "options");
    tola_json_begin_array(j);
    for (const char *const *o = r->access.options; o && *o; o++) tola_json_string(j, *o);
    tola_json_end_array(j);
    member_things(j, "inputs", &r->inputs);
    tola_json_key(j, "outputs");
    tola_json_begin_array(j);
    for (size_t i = 0; i < r->outputs.count; i++) tola_json_string(j, r->outputs.items[i].path);
    tola_json_end_array(j);
    member_stdout(j);
}

typedef struct opened {
    const tola_log_run *run;
    things list;
} opened;

static void open_body(void *user, tola_json *j) {
    const opened *o = user;
    member(j, "event", "open");
    member_u64(j, "begin", o->run->number);
    member_things(j, "inputs", &o->list);
}

static void end_body(void *user, tola_json *j) {
    const tola_log_run *r = user;
    member(j, "event", "end");
    member_u64(j, "begin", r->number);
    tola_json_key(j, "exit");
    tola_json_i64(j, r->exit_code);
    if (r->signal) member_u64(j, "signal", (uint64_t)r->signal);
    tola_json_key(j, "seconds");
    tola_json_f64(j, (double)(int64_t)((clock_seconds() - r->started) * 1000 + 0.5) / 1000);
    member_things(j, "outputs", &r->written);
}

static tola_status append(tola_log_run *r, log_body_fn body, void *user, uint64_t *number, tola_error *err) {
    tola_status status = log_append(r->log, r->key, body, user, r->hasher.kept, r->hasher.kept_count, number, err);
    if (status == TOLA_OK) r->hasher.kept_count = 0;
    return status;
}

/* ---- hooks ---- */

/* Files of a checkpoint that no input named: shards beside one, models that a recipe names, what a reference led to. */
static tola_status find_opened(tola_log_run *r, const tola_checkpoint *ck, opened *o, tola_error *err) {
    for (size_t i = 0; i < tola_checkpoint_file_count(ck); i++) {
        log_thing t;
        TRY(log_name(&r->hasher, tola_checkpoint_file(ck, i)->path, &t, err));
        if (covers(&r->inputs, t.path) || (t.real && covers(&r->inputs, t.real))) continue;
        const source *src = ck->files[i].src;
        if (src && src->version) {
            t.version = arena_strndup(&r->hasher.a, src->version, strlen(src->version));
            if (!t.version) return err_nomem(err, "the access log");
        }
        if (knows(&o->list, t.path) || (knows(&r->inputs, t.path) && !is_news(&r->inputs, &t))) continue;
        TRY(log_digest(&r->hasher, &t, err));
        if (!add(&o->list, &t)) return err_nomem(err, "the access log");
    }
    return TOLA_OK;
}

static tola_status on_open(void *user, const tola_checkpoint *ck, tola_error *err) {
    tola_log_run *r = user;
    uint64_t number;
    if (!current) return TOLA_OK;
    pthread_mutex_lock(&r->lock);
    opened o = { .run = r };
    tola_status status = find_opened(r, ck, &o, err);
    if (status == TOLA_OK && o.list.count) status = append(r, open_body, &o, &number, err);
    for (size_t i = 0; status == TOLA_OK && i < o.list.count; i++)
        if (!add(&r->inputs, &o.list.items[i])) status = err_nomem(err, "the access log");
    mem_free(o.list.items);
    pthread_mutex_unlock(&r->lock);
    return status;
}

/* A lack of memory here leaves a file out of the entry of the end; the beginning names where output goes. */
static void on_write(void *user, const char *path) {
    tola_log_run *r = user;
    log_thing t;
    if (!current) return;
    pthread_mutex_lock(&r->lock);
    if (log_name(&r->hasher, path, &t, NULL) == TOLA_OK && !knows(&r->written, t.path)) (void)add(&r->written, &t);
    pthread_mutex_unlock(&r->lock);
}

static void in_child(void) { current = NULL; }

static void watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }

/* ---- begin and end ---- */

static tola_status name_all(tola_log_run *r, const char *const *paths, bool digest, things *list, tola_error *err) {
    for (; paths && *paths; paths++) {
        log_thing t;
        TRY(log_name(&r->hasher, *paths, &t, err));
        if (digest) TRY(log_digest(&r->hasher, &t, err));
        if (!add(list, &t)) return err_nomem(err, "the access log");
    }
    return TOLA_OK;
}

static void run_free(tola_log_run *r) {
    mem_free(r->inputs.items);
    mem_free(r->outputs.items);
    mem_free(r->written.items);
    mem_free(r->log);
    mem_free(r->key);
    log_hasher_free(&r->hasher);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

tola_status tola_log_begin(const char *log, const tola_log_access *access, tola_log_run **out, tola_error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    tola_log_access a = TOLA_LOG_ACCESS_INIT;
    TRY(options_take(&a, sizeof a, access, err));
    if (!a.verb) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "an access needs a verb");
    if (current) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "another access is being logged");
    tola_log_run *r = mem_calloc(1, sizeof *r);
    if (!r) return err_nomem(err, "the access log");
    pthread_mutex_init(&r->lock, NULL);
    r->log = mem_strdup(log);
    r->key = a.key ? mem_strdup(a.key) : NULL;
    log_hasher_init(&r->hasher, r->log);
    r->hasher.threads = a.threads;
    r->hasher.progress = a.progress;
    r->hasher.user = a.progress_user;
    r->access = a;
    tola_status status = r->log && (r->key || !a.key) ? TOLA_OK : err_nomem(err, "the access log");
    if (status == TOLA_OK) status = name_all(r, a.inputs, true, &r->inputs, err);
    if (status == TOLA_OK) status = name_all(r, a.outputs, false, &r->outputs, err);
    r->started = clock_seconds();
    if (status == TOLA_OK) status = append(r, begin_body, r, &r->number, err);
    if (status != TOLA_OK) {
        run_free(r);
        return status;
    }
    pthread_once(&once, watch_forks);
    current = r;
    ck_watch(on_open, r);
    output_watch(on_write, r);
    *out = r;
    return TOLA_OK;
}

/* Folders that were named as outputs, then the files that were written elsewhere. */
static tola_status hash_written(tola_log_run *r, tola_error *err) {
    things list = { .count = 0 };
    tola_status status = TOLA_OK;
    bool wrote = r->exit_code == 0 || r->written.count;
    for (size_t i = 0; wrote && status == TOLA_OK && i < r->outputs.count; i++) {
        log_thing t;
        status = log_name(&r->hasher, r->outputs.items[i].path, &t, err);
        if (status == TOLA_OK && strcmp(t.kind, "folder") == 0 && !add(&list, &t))
            status = err_nomem(err, "the access log");
    }
    for (size_t i = 0; status == TOLA_OK && i < r->written.count; i++) {
        log_thing t;
        status = log_name(&r->hasher, r->written.items[i].path, &t, err);
        if (status == TOLA_OK && !(t.real && covers(&list, t.real)) && !add(&list, &t))
            status = err_nomem(err, "the access log");
    }
    for (size_t i = 0; status == TOLA_OK && i < list.count; i++) {
        status = log_digest(&r->hasher, &list.items[i], err);
        if (status == TOLA_E_CANCELLED) {
            list.items[i].why = "interrupted";
            status = TOLA_OK;
        }
    }
    mem_free(r->written.items);
    r->written = list;
    return status;
}

tola_status tola_log_end(tola_log_run *run, int exit_code, int signal, tola_error *err) {
    uint64_t number;
    ck_watch(NULL, NULL);
    output_watch(NULL, NULL);
    current = NULL;
    run->exit_code = exit_code;
    run->signal = signal;
    tola_status status = hash_written(run, err);
    if (status == TOLA_OK) status = append(run, end_body, run, &number, err);
    run_free(run);
    return status;
}
