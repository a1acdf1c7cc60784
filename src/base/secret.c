/* Locked pages, and no core dumps while they are in use. */
#define _GNU_SOURCE 1 /* mlock2, explicit_bzero */
#include "base/secret.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"

#define HEAD 64 /* bytes before what is handed out, which hold the length of the mapping */

static size_t whole_pages(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return bytes > SIZE_MAX - page ? 0 : (bytes + page - 1) / page * page;
}

/* The soft limit alone: whoever wants dumps of the children can raise it again. */
static void dump_no_core(void) {
    struct rlimit limit;
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur != 0) {
        limit.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &limit);
    }
}

static void *map_pages(size_t bytes) {
    if (bytes == 0 || fault_hit(FAULT_ALLOC)) return NULL;
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return NULL;
    madvise(block, bytes, MADV_DONTDUMP);
    return block;
}

void *secret_alloc(size_t bytes) {
    const size_t all = bytes > SIZE_MAX - HEAD ? 0 : whole_pages(bytes + HEAD);
    dump_no_core();
    uint8_t *block = map_pages(all);
    if (!block) return NULL;
    madvise(block, all, MADV_WIPEONFORK);
    if (mlock(block, all) != 0) {
        munmap(block, all);
        return NULL;
    }
    memcpy(block, &all, sizeof all);
    return block + HEAD;
}

void secret_free(void *block) {
    if (!block) return;
    uint8_t *start = (uint8_t *)block - HEAD;
    size_t all;
    memcpy(&all, start, sizeof all);
    explicit_bzero(start, all);
    munmap(start, all);
}

void *secret_map(size_t bytes) {
    const size_t all = whole_pages(bytes ? bytes : 1);
    void *block = map_pages(all);
    struct rlimit limit;
    if (!block) return NULL;
    if (all >= (size_t)4 << 20) madvise(block, all, MADV_HUGEPAGE);
    /* under a limit, weights would take the place that keys need */
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) mlock2(block, all, MLOCK_ONFAULT);
    return block;
}

void secret_unmap(void *block, size_t bytes) {
    if (block) munmap(block, whole_pages(bytes ? bytes : 1));
}
