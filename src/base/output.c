/* Output that appears whole or not at all; see output.h for the rules. */
#define _GNU_SOURCE 1
#include "base/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define TEMP_MARK ".tola-"
#define TEMP_RANDOM 6 /* letters and digits behind the mark */
#define LARGE_PAGE ((uint64_t)2 << 20)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

struct output_file {
    int fd;
    int direct;          /* the same, past the cache; -1: not wanted, or not possible */
    _Atomic bool unable; /* it turned out to be of no use */
    bool private;        /* mode 0600 */
    bool in_place;       /* named as it will be, inside a temporary folder */
    char *path;          /* target */
    char *temporary;     /* where it is now */
    uint64_t bytes;      /* as far as is known: reserved, written or set */
    uint64_t reserved;   /* bytes that are there already, as zeros */
    _Atomic uint64_t *begun; /* a bit for each large page below `reserved`: was it written to? NULL: no such pages */
};

struct output_set {
    bool overwrite;
    bool dry; /* sizes only: nothing is created */
    output_file **files;
    size_t count, cap;
    char *folder;           /* output_set_folder: target, without a slash at the end */
    char *temporary_folder; /* NULL where the folder existed */
    int folder_fd;          /* locked */
    char **folders;         /* made inside, where they are now; parents first */
    size_t folder_count, folder_cap;
};

/* ---- names ---- */

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/* "dir/NAME" -> "dir/.NAME.tola-x7Qk2a" */
static char *temporary_name(const char *path) {
    const char *slash = strrchr(path, '/');
    size_t dir = slash ? (size_t)(slash + 1 - path) : 0, name = strlen(path + dir);
    if (name > 200) name = 200; /* NAME_MAX is 255 */
    char *out = mem_alloc(dir + 1 + name + sizeof TEMP_MARK + TEMP_RANDOM);
    if (!out) return NULL;
    unsigned char random[TEMP_RANDOM] = { 0 };
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) snprintf((char *)random, 6, "%05d", getpid());
    memcpy(out, path, dir);
    out[dir] = '.';
    memcpy(out + dir + 1, path + dir, name);
    char *p = out + dir + 1 + name;
    memcpy(p, TEMP_MARK, sizeof TEMP_MARK - 1);
    p += sizeof TEMP_MARK - 1;
    for (int i = 0; i < TEMP_RANDOM; i++) *p++ = letters[random[i] % (sizeof letters - 1)];
    *p = 0;
    return out;
}

static bool is_temporary_name(const char *name) {
    size_t n = strlen(name), tail = sizeof TEMP_MARK - 1 + TEMP_RANDOM;
    return name[0] == '.' && n > tail + 1 && memcmp(name + n - tail, TEMP_MARK, sizeof TEMP_MARK - 1) == 0 &&
           strspn(name + n - TEMP_RANDOM, letters) == TEMP_RANDOM;
}

/* The folder that holds `path`, opened; "." where path has no slash. */
static int open_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (slash == path) return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* no allocation: this must not fail between a rename and the sync of its folder */
    char dir[PATH_MAX];
    if ((size_t)(slash - path) >= sizeof dir) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = 0;
    return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- what killed processes left ---- */

#define STALE_DEPTH 64 /* of folders in a temporary folder */

/* A temporary folder of ours with what is in it. */
static void remove_folder_at(int parent, const char *name, int fd, int depth) {
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    if (!dir) {
        if (again >= 0) close(again);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (unlinkat(fd, e->d_name, 0) == 0 || depth == STALE_DEPTH) continue;
        int inner = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0) continue;
        remove_folder_at(fd, e->d_name, inner, depth + 1);
        close(inner);
    }
    closedir(dir);
    unlinkat(parent, name, AT_REMOVEDIR);
}

/* Removes temporary files and folders beside `path` that nobody holds a lock on. Best effort. */
static void remove_stale(const char *path) {
    int parent = open_parent(path);
    if (parent < 0) return;
    int again = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    if (!dir) {
        if (again >= 0) close(again);
        close(parent);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        if (!is_temporary_name(e->d_name)) continue;
        int fd = openat(parent, e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) continue;
        struct stat st;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0) {
            if (S_ISREG(st.st_mode)) unlinkat(parent, e->d_name, 0);
            if (S_ISDIR(st.st_mode)) remove_folder_at(parent, e->d_name, fd, 0);
        }
        close(fd);
    }
    closedir(dir);
    close(parent);
}

/* ---- sets ---- */

tola_status output_set_open(bool overwrite, output_set **out, tola_error *err) {
    output_set *set = mem_calloc(1, sizeof *set);
    if (!set) return err_nomem(err, "preparing output");
    set->overwrite = overwrite;
    set->folder_fd = -1;
    *out = set;
    return TOLA_OK;
}

void output_set_dry(output_set *set) { set->dry = true; }

static tola_status exists_error(const char *path, tola_error *err) {
    err_set(err, TOLA_E_EXISTS, TOLA_NO_OFFSET,
            "exists already and is not overwritten without being told to (--force)");
    return err_in_file(err, TOLA_E_EXISTS, path);
}

/* A new folder beside `target`, locked against remove_stale of others. */
static tola_status make_temporary_folder(output_set *set, const char *target, tola_error *err) {
    for (int attempt = 0; attempt < 100; attempt++) {
        char *name = temporary_name(target);
        if (!name) return err_nomem(err, "preparing output");
        if (mkdir(name, 0777) != 0) {
            int reason = errno;
            mem_free(name);
            if (reason == EEXIST) continue;
            return err_errno(err, reason, "cannot create folder", target);
        }
        int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st, now;
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && stat(name, &now) == 0 &&
            st.st_ino == now.st_ino) {
            set->temporary_folder = name;
            set->folder_fd = fd;
            return TOLA_OK;
        }
        if (fd >= 0) close(fd);
        rmdir(name);
        mem_free(name);
    }
    return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "%s: no temporary folder can be made beside it", target);
}

tola_status output_set_folder(output_set *set, const char *path, tola_error *err) {
    if (set->dry) return TOLA_OK;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    char *folder = mem_alloc(n + 1);
    if (!folder) return err_nomem(err, "preparing output");
    memcpy(folder, path, n);
    folder[n] = 0;
    set->folder = folder;
    struct stat st;
    if (stat(folder, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return TOLA_OK;
        err_set(err, TOLA_E_EXISTS, TOLA_NO_OFFSET, "is a file where a folder is wanted");
        return err_in_file(err, TOLA_E_EXISTS, folder);
    }
    remove_stale(folder);
    return make_temporary_folder(set, folder, err);
}

static void file_free(output_file *f) {
    if (!f) return;
    if (f->direct >= 0) close(f->direct);
    if (f->fd >= 0) close(f->fd);
    mem_free(f->begun);
    mem_free(f->path);
    mem_free(f->temporary);
    mem_free(f);
}

/* Opens a fresh file and locks it; the lock tells other runs that it is in use. */
static tola_status create_locked(output_file *f, tola_error *err) {
    for (int attempt = 0; attempt < 100; attempt++) {
        if (!f->in_place) {
            mem_free(f->temporary);
            f->temporary = temporary_name(f->path);
            if (!f->temporary) return err_nomem(err, "preparing output");
        }
        f->fd = fault_hit(FAULT_WRITE) ? (errno = EIO, -1)
                                       : open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                                              f->private ? 0600 : 0666);
        if (f->fd < 0) {
            if (errno == EEXIST && !f->in_place) continue;
            return err_errno(err, errno, "cannot create", f->path);
        }
        struct stat st;
        if (flock(f->fd, LOCK_EX | LOCK_NB) == 0 && fstat(f->fd, &st) == 0 && st.st_nlink > 0) return TOLA_OK;
        close(f->fd); /* another run took it for a leftover just before the lock */
        f->fd = -1;
    }
    return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "%s: no temporary file can be made beside it", f->path);
}

/* A local file system whose files may be cached in large pages. */
static bool has_large_pages(int fd) {
    struct statfs fs;
    return sysconf(_SC_PAGESIZE) == 4096 && fstatfs(fd, &fs) == 0 &&
           (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC);
}

static tola_status reserve(output_file *f, uint64_t bytes, tola_error *err) {
    if (bytes == 0) return TOLA_OK;
    if (fallocate(f->fd, 0, 0, (off_t)bytes) == 0) {
        const uint64_t pages = bytes / LARGE_PAGE;
        if (pages && has_large_pages(f->fd)) f->begun = mem_calloc((size_t)(pages + 63) / 64, sizeof *f->begun);
        f->reserved = bytes;
        return TOLA_OK;
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR) return TOLA_OK; /* a hint where it is not known */
    return err_errno(err, errno, "cannot reserve space for", f->path);
}

/* Where a file of a temporary folder is meanwhile. */
static char *path_in_temporary_folder(const output_set *set, const char *path) {
    size_t n = strlen(set->folder);
    if (strncmp(path, set->folder, n) != 0 || path[n] != '/') return NULL;
    while (path[n] == '/') n++;
    size_t a = strlen(set->temporary_folder), b = strlen(path + n);
    char *out = mem_alloc(a + b + 2);
    if (out) snprintf(out, a + b + 2, "%s/%s", set->temporary_folder, path + n);
    return out;
}

static tola_status file_prepare(output_set *set, output_file *f, uint64_t bytes, tola_error *err) {
    struct stat st;
    bool there = false;
    if (set->temporary_folder) {
        f->in_place = true;
        f->temporary = path_in_temporary_folder(set, f->path);
        if (!f->temporary) return err_nomem(err, "preparing output");
    } else if (lstat(f->path, &st) == 0) {
        there = true;
        if (S_ISDIR(st.st_mode)) {
            err_set(err, TOLA_E_EXISTS, TOLA_NO_OFFSET, "is a folder where a file is to be written");
            return err_in_file(err, TOLA_E_EXISTS, f->path);
        }
        if (!set->overwrite) return exists_error(f->path, err);
        if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
            err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "is neither a file nor a link and is not replaced");
            return err_in_file(err, TOLA_E_ARG, f->path);
        }
    }
    if (!f->in_place && set->count == 0) remove_stale(f->path);
    TRY(create_locked(f, err));
    if (there && !f->private && S_ISREG(st.st_mode) && fchmod(f->fd, st.st_mode & 0777) != 0)
        return err_errno(err, errno, "cannot set the mode of", f->path);
    return reserve(f, bytes, err);
}

tola_status output_add_folder(output_set *set, const char *path, tola_error *err) {
    if (set->dry) return TOLA_OK;
    char *now = set->temporary_folder ? path_in_temporary_folder(set, path) : mem_strdup(path);
    if (!now || !mem_grow(&set->folders, &set->folder_cap, set->folder_count + 1, sizeof *set->folders)) {
        mem_free(now);
        return err_nomem(err, "preparing output");
    }
    if (!fault_hit(FAULT_WRITE) && mkdir(now, 0777) == 0) {
        set->folders[set->folder_count++] = now;
        return TOLA_OK;
    }
    struct stat st;
    int reason = errno;
    bool there = lstat(now, &st) == 0; /* a link would lead elsewhere */
    mem_free(now);
    if (there && S_ISDIR(st.st_mode)) return TOLA_OK;
    if (!there) return err_errno(err, reason, "cannot create folder", path);
    err_set(err, TOLA_E_EXISTS, TOLA_NO_OFFSET, "is no folder, where one is wanted");
    return err_in_file(err, TOLA_E_EXISTS, path);
}

static tola_status add_file(output_set *set, const char *path, uint64_t bytes, bool private, output_file **out,
                            tola_error *err) {
    if (strcmp(path, "-") == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "- is stdout, where this cannot be written; a file of that name is ./-");
    if (!mem_grow(&set->files, &set->cap, set->count + 1, sizeof *set->files))
        return err_nomem(err, "preparing output");
    output_file *f = mem_calloc(1, sizeof *f);
    if (!f) return err_nomem(err, "preparing output");
    f->fd = f->direct = -1;
    f->bytes = bytes;
    f->private = private;
    f->path = mem_strdup(path);
    tola_status status = f->path ? TOLA_OK : err_nomem(err, "preparing output");
    if (status == TOLA_OK && !set->dry) status = file_prepare(set, f, bytes, err);
    if (status != TOLA_OK) {
        if (f->fd >= 0) unlink(f->temporary);
        file_free(f);
        return status;
    }
    set->files[set->count++] = f;
    *out = f;
    return TOLA_OK;
}

tola_status output_add(output_set *set, const char *path, uint64_t bytes, output_file **out, tola_error *err) {
    return add_file(set, path, bytes, false, out, err);
}

tola_status output_add_private(output_set *set, const char *path, uint64_t bytes, output_file **out, tola_error *err) {
    return add_file(set, path, bytes, true, out, err);
}

/* A dry file knows how long it would be. */
static tola_status grow(output_file *f, uint64_t offset, uint64_t bytes) {
    if (offset + bytes > f->bytes) f->bytes = offset + bytes;
    return TOLA_OK;
}

/* The system's cache gets a file in pages as large as the pieces it is written in, and whoever maps the file has these
 * pages as long as they are cached: in small ones reading weights takes up to half as long again. So where a piece is
 * less than a large page, the page is brought into the cache first, by reading what was reserved. */
static void begin_large_pages(const output_file *f, uint64_t offset, size_t bytes) {
    if (bytes == 0 || !f->begun || f->direct >= 0) return;
    for (uint64_t at = offset / LARGE_PAGE; at * LARGE_PAGE < offset + bytes; at++) {
        const uint64_t first = at * LARGE_PAGE, bit = (uint64_t)1 << at % 64;
        if (first + LARGE_PAGE > f->reserved || (atomic_fetch_or(&f->begun[at / 64], bit) & bit)) continue;
        if (offset <= first && offset + bytes >= first + LARGE_PAGE) continue;
        void *page = mmap(NULL, LARGE_PAGE, PROT_READ, MAP_SHARED, f->fd, (off_t)first);
        if (page == MAP_FAILED) return;
        if (madvise(page, LARGE_PAGE, MADV_HUGEPAGE) == 0)
            (void)madvise(page, 1, MADV_POPULATE_READ); /* a hint, as all of this */
        munmap(page, LARGE_PAGE);
    }
}

static tola_status write_cached(const output_file *f, uint64_t offset, const uint8_t *p, size_t bytes,
                                tola_error *err) {
    begin_large_pages(f, offset, bytes);
    while (bytes) {
        ssize_t n = fault_hit(FAULT_WRITE) ? (errno = EIO, -1)
                                           : pwrite(f->fd, p, bytes < (1u << 30) ? bytes : 1u << 30, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(err, errno, "cannot write", f->path);
        p += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return TOLA_OK;
}

#define DIRECT_LEAST ((size_t)64 << 10) /* below, waiting for the disk costs more than copying */

void output_direct(output_file *f) {
    if (f->fd < 0 || f->direct >= 0) return;
    f->direct = open(f->temporary, O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
}

/* Whole blocks past the cache. How many bytes were written; where that is less, the cache's way finds out why. */
static size_t write_direct(output_file *f, uint64_t offset, const uint8_t *p, size_t bytes) {
    ssize_t n;
    bytes -= bytes % OUTPUT_BLOCK;
    do n = pwrite(f->direct, p, bytes < (1u << 30) ? bytes : 1u << 30, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) f->unable = true;
    return n > 0 ? (size_t)n : 0;
}

tola_status output_write(output_file *f, uint64_t offset, const void *data, size_t bytes, tola_error *err) {
    const uint8_t *p = data;
    if (f->fd < 0) return grow(f, offset, bytes);
    if (f->direct >= 0 && !f->unable && bytes >= DIRECT_LEAST && ((uintptr_t)p - offset) % OUTPUT_BLOCK == 0) {
        const size_t before = -(size_t)offset % OUTPUT_BLOCK;
        TRY(write_cached(f, offset, p, before, err));
        size_t done = before + write_direct(f, offset + before, p + before, bytes - before);
        p += done;
        offset += done;
        bytes -= done;
    }
    return write_cached(f, offset, p, bytes, err);
}

tola_status output_truncate(output_file *f, uint64_t bytes, tola_error *err) {
    if (f->fd < 0) return grow(f, 0, bytes);
    if (fault_hit(FAULT_WRITE)) errno = EIO;
    else if (ftruncate(f->fd, (off_t)bytes) == 0) return TOLA_OK;
    return err_errno(err, errno, "cannot set the length of", f->path);
}

void output_flush_hint(output_file *f, uint64_t offset, uint64_t bytes) {
    if (f->direct >= 0 && !f->unable) return;
    sync_file_range(f->fd, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
}

tola_status output_flush_wait(output_file *f, uint64_t offset, uint64_t bytes, tola_error *err) {
    int result = sync_file_range(f->fd, (off_t)offset, (off_t)bytes,
                                 SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    if (fault_hit(FAULT_WRITE)) {
        errno = EIO;
        result = -1;
    }
    /* a file system that has no such call has the final fsync */
    if (result == 0 || errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EINTR) return TOLA_OK;
    return err_errno(err, errno, "cannot sync", f->path);
}

uint64_t output_bytes(const output_file *f) { return f->bytes; }

const char *output_path(const output_file *f) { return f->path; }

/* ---- the end ---- */

static void set_free(output_set *set) {
    for (size_t i = 0; i < set->count; i++) file_free(set->files[i]);
    for (size_t i = 0; i < set->folder_count; i++) mem_free(set->folders[i]);
    if (set->folder_fd >= 0) close(set->folder_fd);
    mem_free(set->folders);
    mem_free(set->files);
    mem_free(set->folder);
    mem_free(set->temporary_folder);
    mem_free(set);
}

void output_abort(output_set *set) {
    if (!set) return;
    for (size_t i = 0; i < set->count; i++)
        if (set->files[i]->temporary) unlink(set->files[i]->temporary);
    for (size_t i = set->folder_count; i-- > 0;) rmdir(set->folders[i]); /* those that hold nothing now */
    if (set->temporary_folder) rmdir(set->temporary_folder);
    set_free(set);
}

static tola_status sync_fd(int fd, const char *path, tola_error *err) {
    if (fault_hit(FAULT_WRITE)) errno = EIO;
    else if (fsync(fd) == 0) return TOLA_OK;
    return err_errno(err, errno, "cannot sync", path);
}

static tola_status sync_parent(const char *path, tola_error *err) {
    int fd = open_parent(path);
    if (fd < 0) return err_errno(err, errno, "cannot open the folder of", path);
    /* some file systems have no fsync for folders; the rename itself has happened */
    int result = fsync(fd), reason = errno;
    close(fd);
    if (result == 0 || reason == EINVAL || reason == ENOTSUP) return TOLA_OK;
    return err_errno(err, reason, "cannot sync the folder of", path);
}

static tola_status rename_to(const char *from, const char *to, bool overwrite, tola_error *err) {
    /* RENAME_NOREPLACE: somebody may have made the target meanwhile */
    int flags = overwrite ? 0 : RENAME_NOREPLACE, result;
    if (fault_hit(FAULT_WRITE)) {
        errno = EIO;
        result = -1;
    } else {
        result = renameat2(AT_FDCWD, from, AT_FDCWD, to, (unsigned)flags);
        if (result != 0 && (errno == EINVAL || errno == ENOSYS)) result = rename(from, to);
    }
    if (result == 0) return TOLA_OK;
    if (errno == EEXIST) return exists_error(to, err);
    return err_errno(err, errno, "cannot rename into place", to);
}

static tola_status sync_folders(const output_set *set, tola_error *err) {
    for (size_t i = 0; i < set->folder_count; i++) {
        int fd = open(set->folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return err_errno(err, errno, "cannot open the folder", set->folders[i]);
        int result = fsync(fd), reason = errno;
        close(fd);
        if (result != 0 && reason != EINVAL && reason != ENOTSUP)
            return err_errno(err, reason, "cannot sync the folder", set->folders[i]);
    }
    return TOLA_OK;
}

static tola_status commit_files(output_set *set, tola_error *err) {
    for (size_t i = 0; i < set->count; i++) TRY(sync_fd(set->files[i]->fd, set->files[i]->path, err));
    if (set->temporary_folder) {
        TRY(sync_folders(set, err));
        TRY(sync_fd(set->folder_fd, set->folder, err));
        TRY(rename_to(set->temporary_folder, set->folder, false, err));
        for (size_t i = 0; i < set->count; i++) set->files[i]->temporary[0] = 0;
        mem_free(set->temporary_folder);
        set->temporary_folder = NULL;
        return sync_parent(set->folder, err);
    }
    for (size_t i = 0; i < set->count; i++) {
        output_file *f = set->files[i];
        TRY(rename_to(f->temporary, f->path, set->overwrite, err));
        f->temporary[0] = 0; /* nothing to remove any more */
    }
    TRY(sync_folders(set, err));
    return set->count ? sync_parent(set->files[0]->path, err) : TOLA_OK;
}

static output_watch_fn watcher;
static void *watcher_user;

void output_watch(output_watch_fn watch, void *user) {
    watcher = watch;
    watcher_user = user;
}

void output_changed(const char *path) {
    if (watcher) watcher(watcher_user, path);
}

tola_status output_commit(output_set *set, tola_error *err) {
    tola_status status = commit_files(set, err);
    if (status != TOLA_OK) {
        output_abort(set);
        return status;
    }
    for (size_t i = 0; watcher && i < set->count; i++) watcher(watcher_user, set->files[i]->path);
    set_free(set);
    return TOLA_OK;
}
