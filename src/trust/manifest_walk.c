/* Which files make up a model: a walk over folders with a list of what is still to be entered, never through a link. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "trust/manifest.h"

typedef struct walk {
    const manifest_rules *rules;
    manifest_files *out;
    const char **folders; /* still to be entered, relative; "" is the model */
    size_t count, cap;
    buf path;
} walk;

tola_status manifest_files_path(const manifest_files *f, const char *path, buf *out, tola_error *err) {
    out->length = 0;
    size_t n = strlen(f->model);
    buf_append(out, f->model, n);
    if (f->folder && *path) {
        if (n && f->model[n - 1] != '/') buf_u8(out, '/');
        buf_append(out, path, strlen(path));
    }
    buf_u8(out, 0);
    return out->failed ? err_nomem(err, "naming a file") : TOLA_OK;
}

manifest_stamp manifest_stamp_of(const struct stat *st) {
    return (manifest_stamp){ (uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size,
                             (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                             (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec };
}

static tola_status add_file(walk *w, const char *path, const struct stat *st, manifest_kind kind, tola_error *err) {
    manifest_files *f = w->out;
    if (f->count >= MANIFEST_MOST_FILES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d files", (int)MANIFEST_MOST_FILES);
    if (!mem_grow(&f->items, &f->cap, f->count + 1, sizeof *f->items)) return err_nomem(err, "listing files");
    manifest_file item = { .path = path, .kind = kind };
    if (st) item.bytes = (uint64_t)st->st_size;
    if (st) item.stamp = manifest_stamp_of(st);
    f->items[f->count++] = item;
    return TOLA_OK;
}

static tola_status add_folder(walk *w, const char *path, tola_error *err) {
    size_t depth = 1;
    for (const char *p = path; *p; p++) depth += *p == '/';
    if (depth > MANIFEST_DEPTH)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "folders nest deeper than %d", (int)MANIFEST_DEPTH);
    if (!mem_grow(&w->folders, &w->cap, w->count + 1, sizeof *w->folders)) return err_nomem(err, "listing folders");
    w->folders[w->count++] = path;
    return TOLA_OK;
}

/* What `name` in the folder behind `fd` is, and where it goes. `path` is its place in the model. */
static tola_status take(walk *w, int fd, const char *name, const char *path, tola_error *err) {
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return err_errno(err, errno, "cannot examine", path);
    if (S_ISDIR(st.st_mode)) return add_folder(w, path, err);
    if (S_ISREG(st.st_mode)) return add_file(w, path, &st, MANIFEST_FILE, err);
    if (!S_ISLNK(st.st_mode)) return add_file(w, path, NULL, MANIFEST_OTHER, err);
    if (fstatat(fd, name, &st, 0) != 0 || S_ISDIR(st.st_mode))
        return add_file(w, path, NULL, MANIFEST_LINK_FOLDER, err);
    if (!S_ISREG(st.st_mode)) return add_file(w, path, NULL, MANIFEST_OTHER, err);
    return add_file(w, path, &st, w->rules->allow_symlinks ? MANIFEST_FILE : MANIFEST_LINK, err);
}

static tola_status leave_out(manifest_files *f, const char *path, tola_error *err) {
    if (f->n_left_out == MANIFEST_MOST_LEFT_OUT) return TOLA_OK;
    if (!mem_grow(&f->left_out, &f->left_out_cap, f->n_left_out + 1, sizeof *f->left_out))
        return err_nomem(err, "listing files");
    f->left_out[f->n_left_out++] = path;
    return TOLA_OK;
}

static tola_status take_all(walk *w, DIR *dir, const char *folder, tola_error *err) {
    size_t n = strlen(folder);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) return errno ? err_errno(err, errno, "cannot list", folder) : TOLA_OK;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        size_t length = strlen(name);
        char *path = arena_alloc(&w->out->a, n + length + 2);
        if (!path) return err_nomem(err, "listing files");
        memcpy(path, folder, n);
        if (n) path[n] = '/';
        memcpy(path + n + (n > 0), name, length + 1);
        if (manifest_ignored(w->rules, path))
            TRY(leave_out(w->out, path, err));
        else
            TRY(take(w, dirfd(dir), name, path, err));
    }
}

static tola_status enter(walk *w, const char *folder, tola_error *err) {
    TRY(manifest_files_path(w->out, folder, &w->path, err));
    const char *full = (const char *)w->path.data;
    int fd = fault_hit(FAULT_READ) ? (errno = EIO, -1)
                                   : open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (*folder ? O_NOFOLLOW : 0));
    if (fd < 0) return err_errno(err, errno, "cannot list", full);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        tola_status status = err_errno(err, errno, "cannot list", full);
        close(fd);
        return status;
    }
    tola_status status = take_all(w, dir, folder, err);
    closedir(dir);
    return status;
}

static int by_path(const void *a, const void *b) {
    return manifest_compare_paths(((const manifest_file *)a)->path, ((const manifest_file *)b)->path);
}

static tola_status walk_all(walk *w, const char *model, tola_error *err) {
    struct stat st;
    if (stat(model, &st) != 0) return err_errno(err, errno, "cannot open", model);
    w->out->folder = S_ISDIR(st.st_mode);
    if (S_ISREG(st.st_mode)) return add_file(w, ".", &st, MANIFEST_FILE, err);
    if (!w->out->folder) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s is neither a file nor a folder", model);
    TRY(add_folder(w, "", err));
    while (w->count > 0) TRY(enter(w, w->folders[--w->count], err));
    return TOLA_OK;
}

tola_status manifest_walk(const char *model, const manifest_rules *rules, manifest_files *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    arena_init(&out->a, 0);
    out->model = model;
    walk w = { rules, out, NULL, 0, 0, { 0 } };
    buf_init(&w.path, 0);
    tola_status status = walk_all(&w, model, err);
    buf_free(&w.path);
    mem_free(w.folders);
    if (status != TOLA_OK)
        manifest_files_free(out);
    else if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, by_path);
    return status;
}

void manifest_files_free(manifest_files *f) {
    mem_free(f->items);
    mem_free(f->left_out);
    arena_free(&f->a);
    memset(f, 0, sizeof *f);
}

const manifest_file *manifest_files_find(const manifest_files *f, const char *path) {
    if (f->count == 0) return NULL;
    manifest_file key = { .path = path };
    return bsearch(&key, f->items, f->count, sizeof *f->items, by_path);
}
