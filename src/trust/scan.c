/* tola_scan: from paths to files, from files to verdicts. */
#define _GNU_SOURCE 1
#include "trust/scan.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/options.h"
#include "base/path.h"
#include "base/text.h"
#include "formats/format.h"
#include "trust/libarchive.h"
#include "trust/sandbox.h"
#include <tola/encrypt.h>

#define MAX_FILES (1u << 20)
#define MAX_PATH_BYTES 4096

const char *tola_verdict_name(tola_verdict verdict) {
    return verdict == TOLA_SAFE ? "safe" : verdict == TOLA_UNKNOWN ? "unknown" : "dangerous";
}

typedef struct report_owner {
    arena a;
    tola_scan_file *files;
    size_t count, cap;
} report_owner;

/* ---- which files ---- */

static tola_status add_file(report_owner *o, const char *path, uint64_t bytes, tola_error *err) {
    if (o->count >= MAX_FILES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %u files to scan", MAX_FILES);
    char *kept = arena_strndup(&o->a, path, strlen(path));
    if (!kept || !mem_grow(&o->files, &o->cap, o->count + 1, sizeof *o->files)) return err_nomem(err, "listing files");
    o->files[o->count++] = (tola_scan_file){ .path = kept, .bytes = bytes };
    return TOLA_OK;
}

static int compare_paths(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

typedef struct name_list {
    char **names;
    size_t count, cap;
} name_list;

static void free_names(name_list *l) {
    for (size_t i = 0; i < l->count; i++) mem_free(l->names[i]);
    mem_free(l->names);
    *l = (name_list){ 0 };
}

static tola_status add_name(name_list *l, char *name, tola_error *err) {
    if (name && mem_grow(&l->names, &l->cap, l->count + 1, sizeof *l->names)) {
        l->names[l->count++] = name;
        return TOLA_OK;
    }
    mem_free(name);
    return err_nomem(err, "listing a folder");
}

static tola_status read_folder(const char *path, name_list *out, tola_error *err) {
    DIR *d = opendir(path);
    if (!d) return err_errno(err, errno, "cannot open the folder", path);
    tola_status status = TOLA_OK;
    struct dirent *entry;
    while (status == TOLA_OK) {
        errno = 0;
        if (!(entry = readdir(d))) {
            if (errno) status = err_errno(err, errno, "cannot read the folder", path);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, ".git") == 0)
            continue;
        status = add_name(out, path_join(path, entry->d_name), err);
    }
    closedir(d);
    if (status == TOLA_OK && out->count) qsort(out->names, out->count, sizeof *out->names, compare_paths);
    return status;
}

typedef struct folder_id {
    dev_t device;
    ino_t number;
} folder_id;

/* Was this folder seen before? Links may lead in circles, and to the same place twice. */
static bool seen_before(folder_id **seen, size_t *count, size_t *cap, const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) return false;
    for (size_t i = 0; i < *count; i++)
        if ((*seen)[i].device == st.st_dev && (*seen)[i].number == st.st_ino) return true;
    if (mem_grow(seen, cap, *count + 1, sizeof **seen)) (*seen)[(*count)++] = (folder_id){ st.st_dev, st.st_ino };
    return false;
}

/* A folder with everything below it, links followed as loaders do. */
static tola_status add_folder(report_owner *o, const char *path, tola_error *err) {
    name_list waiting = { 0 };
    folder_id *seen = NULL;
    size_t seen_count = 0, seen_cap = 0;
    tola_status status = add_name(&waiting, mem_strdup(path), err);
    while (status == TOLA_OK && waiting.count) {
        char *folder = waiting.names[--waiting.count];
        name_list names = { 0 };
        if (!seen_before(&seen, &seen_count, &seen_cap, folder)) status = read_folder(folder, &names, err);
        for (size_t i = 0; i < names.count && status == TOLA_OK; i++) {
            struct stat st;
            if (strlen(names.names[i]) >= MAX_PATH_BYTES) {
                status = err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "folders in folders, too deep for a path");
            } else if (stat(names.names[i], &st) != 0) {
                status = err_errno(err, errno, "cannot examine", names.names[i]);
            } else if (S_ISDIR(st.st_mode)) {
                status = add_name(&waiting, mem_strdup(names.names[i]), err);
            } else if (S_ISREG(st.st_mode)) {
                status = add_file(o, names.names[i], (uint64_t)st.st_size, err);
            }
        }
        free_names(&names);
        mem_free(folder);
    }
    free_names(&waiting);
    mem_free(seen);
    return status;
}

static int compare_files(const void *a, const void *b) {
    return text_compare_natural(((const tola_scan_file *)a)->path, ((const tola_scan_file *)b)->path);
}

static tola_status add_local(report_owner *o, const char *path, tola_error *err) {
    struct stat st;
    if (stat(path, &st) != 0) return err_errno(err, errno, "cannot open", path);
    if (!S_ISDIR(st.st_mode)) return add_file(o, path, (uint64_t)st.st_size, err);
    size_t before = o->count;
    TRY(add_folder(o, path, err));
    if (o->count > before) qsort(o->files + before, o->count - before, sizeof *o->files, compare_files);
    return TOLA_OK;
}

/* A file, or every file of a model on a hub. */
static tola_status add_reference(report_owner *o, const opener *how, const char *ref, tola_error *err) {
    char **refs = NULL;
    size_t count = 0;
    if (how->list) TRY(how->list(ref, &o->a, &refs, &count, err));
    tola_status status = refs ? TOLA_OK : add_file(o, ref, 0, err);
    for (size_t i = 0; i < count && status == TOLA_OK; i++)
        status = opener_find(refs[i]) ? add_file(o, refs[i], 0, err) : add_local(o, refs[i], err);
    mem_free(refs);
    return status;
}

/* The files of an encrypted folder, where a key to it was given; *found false for anything else. */
static tola_status add_encrypted(report_owner *o, const char *path, bool *found, tola_error *err) {
    void *opened = NULL;
    tola_status status = TOLA_OK;
    *found = ck_open_container(path, &opened, NULL) == TOLA_OK && opened && container_encrypted.folder(opened);
    size_t at = 0;
    for (const char *name; *found && status == TOLA_OK && (name = container_encrypted.next(opened, &at));) {
        char *inside = path_join(path, name);
        status = inside ? add_file(o, inside, 0, err) : err_nomem(err, "listing files");
        mem_free(inside);
    }
    ck_close_container(opened);
    return status;
}

static tola_status add_path(report_owner *o, const char *path, tola_error *err) {
    const opener *how = opener_find(path);
    bool found;
    if (how) return add_reference(o, how, path, err);
    TRY(add_encrypted(o, path, &found, err));
    return found ? TOLA_OK : add_local(o, path, err);
}

/* What is encrypted for somebody else, or damaged, is scanned as the bytes it is: it may be anything, and so is not
 * safe. */
static tola_status open_to_scan(const char *path, source **out, tola_error *err) {
    tola_error why = TOLA_ERROR_INIT;
    tola_status status = ck_open_source(path, out, &why);
    if (status != TOLA_OK && tola_encrypted(path)) return source_open_file(path, out, err);
    if (status != TOLA_OK && err) *err = why;
    return status;
}

/* ---- one file ---- */

static void scan_source(scan_job *job, source *src, const char *path) {
    scan_part part = { src, 0, src->size, path_last(path), "", 0, false };
    scan_content(job, &part);
}

/* In this process. */
static tola_status scan_here(source *src, arena *a, tola_scan_file *file, tola_error *err) {
    scan_job job;
    scan_job_init(&job, a);
    scan_source(&job, src, file->path);
    tola_status status = job.status;
    if (status == TOLA_OK)
        status = scan_finish(&job, file, err);
    else if (err)
        *err = job.error;
    scan_job_free(&job);
    return status;
}

typedef struct progress {
    const tola_scan_options *options;
    uint64_t done, total;
} progress;

static bool tell(progress *p, uint64_t bytes) {
    p->done += bytes;
    tola_progress now = { "scanning", p->done, p->total };
    return !p->options->progress || p->options->progress(p->options->progress_user, &now);
}

static tola_status scan_all_here(report_owner *o, progress *p, tola_error *err) {
    for (size_t i = 0; i < o->count; i++) {
        source *src;
        TRY(open_to_scan(o->files[i].path, &src, err));
        o->files[i].bytes = src->size;
        tola_status status = scan_here(src, &o->a, &o->files[i], err);
        source_close(src);
        if (status != TOLA_OK) return err_in_file(err, status, o->files[i].path);
        if (!tell(p, o->files[i].bytes)) return err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "stopped");
    }
    return TOLA_OK;
}

/* ---- in children ---- */

#define CHILD_MEMORY ((uint64_t)6 << 30) /* a member of 1 GiB, and a tree of JSON beside it */
#define CHILD_SECONDS 60u                /* of processor time, and one more for each 50 MB */
#define CHILD_SILENT 300.0               /* of wall time without a word, and one more for each 10 MB */
#define CHILD_REPORT ((size_t)256 << 20) /* bytes; texts of all findings and imports at their limits take half */

typedef struct child {
    pid_t pid;
    int fd; /* our end; -1 where the place is free */
    size_t file;
    source *src;
    buf report;
    bool asks;
    double heard; /* when it last said something */
    uint8_t ask[17]; /* a question that has not come whole */
    size_t asked;
    unsigned loaded;
} child;

typedef struct children {
    report_owner *o;
    const tola_scan_options *options;
    progress p;
    child *places;
    size_t count, running;
} children;

static bool write_report(int fd, const buf *b, bool framed) {
    uint8_t head[9] = { 'D' };
    for (unsigned i = 0; i < 8; i++) head[1 + i] = (uint8_t)((uint64_t)b->length >> (8 * i));
    for (int part = framed ? 0 : 1; part < 2; part++) {
        const uint8_t *p = part ? b->data : head;
        for (size_t n = part ? b->length : sizeof head; n;) {
            ssize_t done = write(fd, p, n);
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) return false;
            p += done;
            n -= (size_t)done;
        }
    }
    return true;
}

/* All that the child does; never returns. */
static void be_child(source *src, const char *path, int fd, bool asks, unsigned loaded) {
    scan_job job;
    arena a;
    buf out;
    tola_error err = TOLA_ERROR_INIT;
    uint64_t size = src->size;
    int input = source_descriptor(src);
    if (asks && sandbox_open_asking(fd, path, size, src->remote, &src, &err) != TOLA_OK) sandbox_leave(1);
    if (!sandbox_enter(input, fd, asks, CHILD_MEMORY, CHILD_SECONDS + size / 50000000)) sandbox_leave(1);
    arena_init(&a, 0);
    buf_init(&out, CHILD_REPORT);
    scan_job_init(&job, &a);
    job.sandboxed = true;
    job.loaded = loaded;
    scan_source(&job, src, path);
    if (scan_encode(&job, &out, &err) != TOLA_OK || !write_report(fd, &out, asks)) sandbox_leave(1);
    sandbox_leave(0);
}

static tola_status start_child(children *c, child *place, size_t file, source *src, unsigned loaded, tola_error *err) {
    int ends[2];
    bool asks = source_descriptor(src) < 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_errno(err, errno, "cannot make a pipe for", c->o->files[file].path);
    if (loaded & SCAN_NEEDS_ARCHIVE) libarchive_get(NULL);
    pid_t pid = sandbox_fork();
    if (pid == 0) {
        close(ends[0]);
        be_child(src, c->o->files[file].path, ends[1], asks, loaded);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return err_errno(err, errno, "cannot start a process for", c->o->files[file].path);
    }
    *place = (child){ .pid = pid, .fd = ends[0], .file = file, .src = src, .asks = asks, .loaded = loaded,
                      .heard = clock_seconds() };
    (void)setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){ .tv_sec = 30 }, sizeof(struct timeval));
    buf_init(&place->report, CHILD_REPORT);
    c->running++;
    return TOLA_OK;
}

/* One that has closed its end is at its own end already, where a signal changes nothing, or it lies. */
static int end_child(children *c, child *place) {
    int state = 0;
    kill(place->pid, SIGKILL);
    close(place->fd);
    while (waitpid(place->pid, &state, 0) < 0 && errno == EINTR) {
    }
    place->fd = -1;
    c->running--;
    return state;
}

static void free_child(child *place) {
    buf_free(&place->report);
    source_close(place->src);
    place->src = NULL;
}

/* A file that could not be looked into: unknown, and why. */
static tola_status give_up(children *c, tola_scan_file *file, const char *why, tola_error *err) {
    scan_job job;
    scan_job_init(&job, &c->o->a);
    scan_part part = { .member = "" };
    scan_find(&job, &part, TOLA_UNKNOWN, "died", TOLA_NO_OFFSET, "%s", why);
    tola_status status = job.status == TOLA_OK ? scan_finish(&job, file, err) : TOLA_E_NOMEM;
    scan_job_free(&job);
    return status;
}

/* The child has closed its end. */
static tola_status take_report(children *c, child *place, tola_error *err) {
    tola_scan_file *file = &c->o->files[place->file];
    char why[200];
    unsigned wants = 0;
    int state = end_child(c, place);
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0 || place->report.failed) {
        if (WIFSIGNALED(state))
            snprintf(why, sizeof why, "cannot be read: the process that looked into it was ended by signal %d (%s)",
                     WTERMSIG(state), strsignal(WTERMSIG(state)));
        else
            snprintf(why, sizeof why, "cannot be read: the process that looked into it failed");
        return give_up(c, file, why, err);
    }
    tola_error inner = TOLA_ERROR_INIT;
    tola_status status = scan_decode(place->report.data, place->report.length, &c->o->a, file, &wants, &inner);
    if (status == TOLA_OK && (wants & ~place->loaded)) { /* once more, with what it needs */
        source *src = place->src;
        unsigned loaded = place->loaded | (wants & SCAN_NEEDS_ARCHIVE);
        size_t index = place->file;
        buf_free(&place->report);
        place->src = NULL;
        status = start_child(c, place, index, src, loaded, err);
        if (status != TOLA_OK) source_close(src);
        return status;
    }
    if (status == TOLA_OK) return status;
    if (status == TOLA_E_IO) {
        if (err) *err = inner;
        return err_in_file(err, status, file->path);
    }
    snprintf(why, sizeof why, "cannot be read: %.150s", inner.message);
    return give_up(c, file, why, err);
}

/* A question of a child without a descriptor: bytes of its source. */
static void answer(child *place) {
    uint64_t offset = 0, bytes = 0;
    uint8_t *data, yes = 1;
    for (unsigned i = 0; i < 8; i++) {
        offset |= (uint64_t)place->ask[1 + i] << (8 * i);
        bytes |= (uint64_t)place->ask[9 + i] << (8 * i);
    }
    data = bytes <= SANDBOX_MAX_ASK ? mem_alloc((size_t)bytes + 1) : NULL;
    if (!data || source_read(place->src, offset, data + 1, (size_t)bytes, NULL) != TOLA_OK) {
        yes = 0;
        bytes = 0;
    }
    if (data) {
        data[0] = yes;
        for (size_t done = 0; done < bytes + 1;) { /* one that does not listen has half a minute */
            ssize_t n = send(place->fd, data + done, (size_t)bytes + 1 - done, MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) break;
            done += (size_t)n;
        }
    } else {
        (void)!send(place->fd, &yes, 1, MSG_NOSIGNAL);
    }
    mem_free(data);
}

/* What a child wrote; false at its end. */
static bool listen_to(child *place) {
    uint8_t block[65536];
    ssize_t n = recv(place->fd, block, sizeof block, 0);
    if (n < 0 && errno == EINTR) return true;
    if (n <= 0) return false;
    place->heard = clock_seconds();
    for (ssize_t i = 0; i < n;) {
        bool reporting = !place->asks || (place->asked >= 9 && place->ask[0] == 'D');
        if (reporting) {
            buf_append(&place->report, block + i, (size_t)(n - i));
            break;
        }
        place->ask[place->asked++] = block[i++];
        if (place->ask[0] != 'R' && place->ask[0] != 'D') return false;
        if (place->ask[0] == 'R' && place->asked == sizeof place->ask) {
            answer(place);
            place->asked = 0;
        }
    }
    return !place->report.failed;
}

static tola_status fill_places(children *c, size_t *next, tola_error *err) {
    for (size_t i = 0; i < c->count && *next < c->o->count; i++) {
        child *place = &c->places[i];
        source *src;
        if (place->fd >= 0) continue;
        size_t file = (*next)++;
        TRY(open_to_scan(c->o->files[file].path, &src, err));
        c->o->files[file].bytes = src->size;
        tola_status status = start_child(c, place, file, src, 0, err);
        if (status != TOLA_OK) {
            source_close(src);
            return status;
        }
    }
    return TOLA_OK;
}

/* Processor time has a limit of its own; a child that waits for ever uses none. */
static void end_silent(const child *place) {
    if (place->fd < 0) return;
    if (clock_seconds() - place->heard > CHILD_SILENT + (double)place->src->size / 1e7) kill(place->pid, SIGKILL);
}

static tola_status serve_children(children *c, tola_error *err) {
    struct pollfd *wait = mem_calloc(c->count, sizeof *wait);
    size_t next = 0;
    tola_status status = wait ? TOLA_OK : err_nomem(err, "scanning");
    while (status == TOLA_OK && (c->running || next < c->o->count)) {
        status = fill_places(c, &next, err);
        for (size_t i = 0; i < c->count; i++) wait[i] = (struct pollfd){ .fd = c->places[i].fd, .events = POLLIN };
        if (status != TOLA_OK) break;
        int ready = poll(wait, (nfds_t)c->count, 200);
        if (ready < 0 && errno != EINTR) status = err_errno(err, errno, "cannot wait for", "a child");
        for (size_t i = 0; i < c->count; i++) end_silent(&c->places[i]);
        for (size_t i = 0; i < c->count && ready > 0 && status == TOLA_OK; i++) {
            child *place = &c->places[i];
            if (!wait[i].revents || listen_to(place)) continue;
            size_t file = place->file;
            status = take_report(c, place, err);
            if (place->fd >= 0) continue; /* started once more */
            free_child(place);
            if (status == TOLA_OK && !tell(&c->p, c->o->files[file].bytes))
                status = err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "stopped");
        }
        if (status == TOLA_OK && ready == 0 && !tell(&c->p, 0))
            status = err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "stopped");
    }
    for (size_t i = 0; i < c->count; i++) {
        if (c->places[i].fd >= 0) end_child(c, &c->places[i]);
        free_child(&c->places[i]);
    }
    mem_free(wait);
    return status;
}

static tola_status scan_in_children(report_owner *o, const tola_scan_options *options, progress *p, bool *sandboxed,
                                    tola_error *err) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    children c = { .o = o, .options = options, .p = *p };
    c.count = options->threads ? options->threads : processors > 0 ? (size_t)processors : 1;
    if (c.count > o->count) c.count = o->count ? o->count : 1;
    if (c.count > 64) c.count = 64;
    c.places = mem_calloc(c.count, sizeof *c.places);
    if (!c.places) return err_nomem(err, "scanning");
    for (size_t i = 0; i < c.count; i++) c.places[i].fd = -1;
    (void)hash_string("", 0); /* makes the key that children share */
    *sandboxed = true;
    tola_status status = serve_children(&c, err);
    mem_free(c.places);
    return status;
}

static void roll_up(report_owner *o, bool sandboxed, tola_scan_report *out) {
    *out = (tola_scan_report){
        .size = sizeof *out, .count = o->count, .files = o->files, .owner = o, .sandboxed = sandboxed
    };
    for (size_t i = 0; i < o->count; i++) {
        if (o->files[i].verdict > out->verdict) out->verdict = o->files[i].verdict;
        out->bytes += o->files[i].bytes;
    }
}

static void free_owner(report_owner *o) {
    if (!o) return;
    arena_free(&o->a);
    mem_free(o->files);
    mem_free(o);
}

static report_owner *new_owner(tola_error *err) {
    report_owner *o = mem_calloc(1, sizeof *o);
    if (o)
        arena_init(&o->a, 0);
    else
        (void)err_nomem(err, "scanning");
    return o;
}

tola_status tola_scan(const char *const *paths, size_t count, const tola_scan_options *options, tola_scan_report *out,
                      tola_error *err) {
    tola_scan_options all = TOLA_SCAN_OPTIONS_INIT;
    TRY(options_take(&all, sizeof all, options, err));
    options = &all;
    report_owner *o = new_owner(err);
    if (!o) return TOLA_E_NOMEM;
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < count && status == TOLA_OK; i++) status = add_path(o, paths[i], err);
    progress p = { options, 0, 0 };
    for (size_t i = 0; i < o->count; i++) p.total += o->files[i].bytes;
    bool sandboxed = false, able = options->sandbox != TOLA_SANDBOX_NEVER && sandbox_available();
    if (status == TOLA_OK && options->sandbox == TOLA_SANDBOX_ALWAYS && !able)
        status = err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "this system has no filter for system calls");
    if (status == TOLA_OK)
        status = able ? scan_in_children(o, options, &p, &sandboxed, err) : scan_all_here(o, &p, err);
    if (status == TOLA_OK)
        roll_up(o, sandboxed, out);
    else
        free_owner(o);
    return status;
}

tola_status tola_scan_memory(const char *name, const void *data, size_t bytes, tola_scan_report *out, tola_error *err) {
    report_owner *o = new_owner(err);
    if (!o) return TOLA_E_NOMEM;
    source *src = NULL;
    tola_status status = add_file(o, name, bytes, err);
    if (status == TOLA_OK) status = source_open_memory(name, data, bytes, &src, err);
    if (status == TOLA_OK) {
        o->files[0].bytes = bytes;
        status = scan_here(src, &o->a, &o->files[0], err);
    }
    source_close(src);
    if (status == TOLA_OK)
        roll_up(o, false, out);
    else
        free_owner(o);
    return status;
}

void tola_scan_dispose(tola_scan_report *report) {
    if (!report) return;
    free_owner(report->owner);
    *report = (tola_scan_report){ 0 };
}
