/* Sources: files (pread, mapped on demand) and memory. */
#define _GNU_SOURCE 1
#include "base/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

tola_status source_read(source *s, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    if (bytes == 0) return TOLA_OK;
    if (offset > s->size || bytes > s->size - offset) {
        uint64_t end, missing = UINT64_MAX;
        if (add_u64(offset, bytes, &end)) missing = end - s->size;
        return err_set(err, TOLA_E_FORMAT, offset,
                       "truncated: %zu bytes are wanted here but the file ends at %" PRIu64 " (%" PRIu64
                       " bytes missing)",
                       bytes, s->size, missing);
    }
    return s->ops->read(s, offset, dst, bytes, err);
}

const uint8_t *source_map(source *s) { return s->ops->map ? s->ops->map(s) : NULL; }

void source_release(source *s, uint64_t offset, uint64_t bytes) {
    if (s->ops->release) s->ops->release(s, offset, bytes);
}

void source_close(source *s) {
    if (s) s->ops->close(s);
}

/* ---- files ---- */

typedef struct file_source {
    source base;
    int fd;
    pthread_mutex_t lock; /* over map */
    uint8_t *map;
    bool map_failed;
    char path[];
} file_source;

static tola_status file_read(source *s, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    file_source *f = (file_source *)s;
    uint8_t *p = dst;
    while (bytes) {
        ssize_t n;
        if (fault_hit(FAULT_READ)) {
            errno = EIO;
            n = -1;
        } else {
            n = pread(f->fd, p, bytes < (1u << 30) ? bytes : 1u << 30, (off_t)offset);
        }
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            char reason[128];
            return err_set(err, TOLA_E_IO, offset, "cannot read %zu bytes: %s", bytes,
                           strerror_r(errno, reason, sizeof reason));
        }
        if (n == 0)
            return err_set(err, TOLA_E_IO, offset, "the file became shorter while it was read (%zu bytes missing)",
                           bytes);
        p += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return TOLA_OK;
}

#define HUGE_PAGE ((size_t)2 << 20)

/* At an address where huge pages fit (not every file system sees to that), and with the wish for them: reading weights
 * goes up to a tenth faster where a page table has few entries, and what is not in memory yet is read in large pieces.
 * Without huge pages in the kernel or the file system it is a mapping like any other. */
static void *map_file(int fd, size_t size) {
    void *map = MAP_FAILED;
    if (size >= 2 * HUGE_PAGE && size <= SIZE_MAX - HUGE_PAGE) {
        const size_t whole = size + HUGE_PAGE;
        uint8_t *place = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (place != MAP_FAILED) {
            const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = -(uintptr_t)place % HUGE_PAGE;
            const size_t end = before + (size + page - 1) / page * page;
            map = mmap(place + before, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
            if (map == MAP_FAILED) {
                munmap(place, whole);
            } else {
                if (before > 0) munmap(place, before);
                if (end < whole) munmap(place + end, whole - end);
                madvise(map, size, MADV_HUGEPAGE);
            }
        }
    }
    return map == MAP_FAILED ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : map;
}

static const uint8_t *file_map(source *s) {
    file_source *f = (file_source *)s;
    pthread_mutex_lock(&f->lock);
    if (!f->map && !f->map_failed && s->size > 0 && s->size <= SIZE_MAX) {
        void *map = fault_hit(FAULT_READ) ? MAP_FAILED : map_file(f->fd, (size_t)s->size);
        if (map == MAP_FAILED)
            f->map_failed = true;
        else
            f->map = map;
    }
    pthread_mutex_unlock(&f->lock);
    return f->map;
}

static void file_release(source *s, uint64_t offset, uint64_t bytes) {
    file_source *f = (file_source *)s;
    pthread_mutex_lock(&f->lock);
    uint8_t *map = f->map;
    pthread_mutex_unlock(&f->lock);
    if (!map) return;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t from = (offset + page - 1) & ~(page - 1), to = (offset + bytes) & ~(page - 1);
    if (to > from) madvise(map + from, (size_t)(to - from), MADV_DONTNEED); /* clean pages of a shared file map */
}

static void file_close(source *s) {
    file_source *f = (file_source *)s;
    if (f->map) munmap(f->map, (size_t)s->size);
    close(f->fd);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

static const source_ops file_ops = { file_read, file_map, file_release, file_close };

int source_descriptor(const source *s) { return s->ops == &file_ops ? ((const file_source *)s)->fd : -1; }

static const char *kind_of_file(mode_t mode) {
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISFIFO(mode)) return "a named pipe";
    if (S_ISSOCK(mode)) return "a socket";
    if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
    return "no regular file";
}

tola_status source_open_file(const char *path, source **out, tola_error *err) {
    /* O_NONBLOCK: opening a FIFO must not wait for its writer */
    int fd = fault_hit(FAULT_READ) ? (errno = EIO, -1) : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return err_errno(err, errno, "cannot open", path);
    struct stat st;
    if (fstat(fd, &st) != 0) {
        tola_status status = err_errno(err, errno, "cannot examine", path);
        close(fd);
        return status;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "is %s, not a file of weights", kind_of_file(st.st_mode));
        return err_in_file(err, TOLA_E_ARG, path);
    }
    size_t n = strlen(path) + 1;
    file_source *f = mem_calloc(1, sizeof *f + n);
    if (!f) {
        close(fd);
        return err_nomem(err, "opening a file");
    }
    memcpy(f->path, path, n);
    f->base = (source){ &file_ops, f->path, (uint64_t)st.st_size, false, false, NULL };
    f->fd = fd;
    pthread_mutex_init(&f->lock, NULL);
    *out = &f->base;
    return TOLA_OK;
}

void source_expect_files(size_t count) {
    if (count < 32) return; /* the table has room for 64 from the start */
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    /* a descriptor with a high number makes the table large enough; beyond the limit of the process nothing happens */
    int high = fcntl(fd, F_DUPFD_CLOEXEC, count < 65536 ? (int)count + 64 : 65536);
    if (high >= 0) close(high);
    close(fd);
}

/* ---- memory ---- */

typedef struct memory_source {
    source base;
    const uint8_t *data;
    char name[];
} memory_source;

static tola_status memory_read(source *s, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    if (fault_hit(FAULT_READ)) return err_set(err, TOLA_E_IO, offset, "cannot read %zu bytes: injected failure", bytes);
    memcpy(dst, ((memory_source *)s)->data + offset, bytes);
    return TOLA_OK;
}
static const uint8_t *memory_map(source *s) { return ((memory_source *)s)->data; }
static void memory_close(source *s) { mem_free(s); }
static const source_ops memory_ops = { memory_read, memory_map, NULL, memory_close };

bool source_in_memory(const source *s) { return s->ops == &memory_ops; }

tola_status source_open_memory(const char *name, const void *data, size_t bytes, source **out, tola_error *err) {
    size_t n = strlen(name) + 1;
    memory_source *m = mem_calloc(1, sizeof *m + n);
    if (!m) return err_nomem(err, "opening memory");
    memcpy(m->name, name, n);
    m->base = (source){ &memory_ops, m->name, bytes, false, false, NULL };
    m->data = data;
    *out = &m->base;
    return TOLA_OK;
}

bool source_number(const char *path, uint64_t *out) {
    FILE *f = fopen(path, "re");
    if (!f) return false;
    char line[64], *end = line;
    const bool found = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    if (!found || line[0] < '0' || line[0] > '9') return false;
    *out = strtoull(line, &end, 10);
    return *end == 0 || *end == '\n';
}
