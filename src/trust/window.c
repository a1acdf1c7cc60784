/* Windows, and the handler that outlives a file that is cut short. */
#define _GNU_SOURCE 1 /* MAP_POPULATE, preadv2 */
#include "trust/window.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"

/* What this thread has mapped. A fault comes to the thread that caused it, so no other looks at it. */
typedef struct place {
    uint8_t *from;
    size_t bytes;
    volatile sig_atomic_t lost;
} place;

static _Thread_local place places[WINDOW_MOST];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned guards;
static struct sigaction before;

static void pass_on(int number, siginfo_t *info, void *context) {
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        struct sigaction end = { .sa_handler = SIG_DFL };
        sigemptyset(&end.sa_mask);
        sigaction(number, &end, NULL); /* the instruction runs again, and this time it ends the process */
    }
}

/* mmap is no function that POSIX promises to signal handlers; on Linux it is one system call. */
static void handle(int number, siginfo_t *info, void *context) {
    const uint8_t *at = info->si_addr;
    for (size_t i = 0; info->si_code > 0 && i < WINDOW_MOST; i++) {
        place *p = &places[i];
        if (!p->from || at < p->from || at >= p->from + p->bytes) continue;
        void *zeros = mmap(p->from, p->bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (zeros == MAP_FAILED) break;
        p->lost = 1;
        return;
    }
    pass_on(number, info, context);
}

void window_guard_begin(void) {
    pthread_mutex_lock(&lock);
    if (guards++ == 0) {
        struct sigaction ours = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
        ours.sa_sigaction = handle;
        sigemptyset(&ours.sa_mask);
        sigaction(SIGBUS, &ours, &before);
    }
    pthread_mutex_unlock(&lock);
}

void window_guard_end(void) {
    pthread_mutex_lock(&lock);
    if (--guards == 0) {
        struct sigaction now;
        if (sigaction(SIGBUS, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handle)
            sigaction(SIGBUS, &before, NULL); /* unless somebody has put theirs on top meanwhile */
    }
    pthread_mutex_unlock(&lock);
}

enum { ASK = 128 << 10 }; /* what one request for reading ahead gets at least */

/* Has the kernel read these bytes while others are hashed, where they are not in memory. */
static void read_ahead(int fd, uint64_t offset, uint64_t bytes) {
    char byte;
    struct iovec to = { &byte, 1 };
    if (bytes == 0 || preadv2(fd, &to, 1, (off_t)offset, RWF_NOWAIT) >= 0 || errno != EAGAIN) return;
    for (uint64_t at = 0; at < bytes; at += ASK)
        posix_fadvise(fd, (off_t)(offset + at), bytes - at < ASK ? (off_t)(bytes - at) : ASK, POSIX_FADV_WILLNEED);
}

bool window_open(window *w, const source *s, uint64_t offset, size_t bytes) {
    int fd = source_descriptor(s);
    place *p = NULL;
    memset(w, 0, sizeof *w);
    for (size_t i = 0; i < WINDOW_MOST && !p; i++)
        if (!places[i].from) p = &places[i];
    if (fd < 0 || !p || bytes == 0 || fault_hit(FAULT_READ)) return false;
    size_t skip = (size_t)(offset % (uint64_t)sysconf(_SC_PAGESIZE));
    uint64_t behind = s->size - offset - bytes;
    read_ahead(fd, offset, bytes);
    void *map = mmap(NULL, skip + bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, (off_t)(offset - skip));
    if (map == MAP_FAILED) return false;
    read_ahead(fd, offset + bytes, behind < WINDOW_BYTES ? behind : WINDOW_BYTES);
    *p = (place){ map, skip + bytes, 0 };
    *w = (window){ (const uint8_t *)map + skip, map, skip + bytes };
    return true;
}

bool window_close(window *w) {
    bool good = true;
    if (!w->map) return true;
    for (size_t i = 0; i < WINDOW_MOST; i++)
        if (places[i].from == w->map) {
            good = !places[i].lost;
            places[i].from = NULL;
        }
    munmap(w->map, w->bytes);
    memset(w, 0, sizeof *w);
    return good;
}
