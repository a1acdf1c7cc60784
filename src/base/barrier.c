#define _GNU_SOURCE 1
#include "base/barrier.h"

#include <linux/futex.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Some 20 microseconds: as long as threads of one product are apart where each has a processor, and not longer, so that
 * where they have not, the one that is waited for gets it. */
#define SPINS 400

void barrier_init(barrier *b, unsigned threads) {
    b->threads = threads;
    atomic_init(&b->arrived, 0);
    atomic_init(&b->round, 0);
    atomic_init(&b->sleeping, 0);
}

static void rest(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void barrier_wait(barrier *b) {
    if (b->threads == 1) return;
    const unsigned round = atomic_load_explicit(&b->round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&b->arrived, 1, memory_order_acq_rel) + 1 == b->threads) {
        atomic_store_explicit(&b->arrived, 0, memory_order_relaxed);
        atomic_store(&b->round, round + 1);
        if (atomic_load(&b->sleeping) > 0) syscall(SYS_futex, &b->round, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        return;
    }
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&b->round, memory_order_acquire) != round) return;
        rest();
    }
    atomic_fetch_add(&b->sleeping, 1);
    while (atomic_load(&b->round) == round) syscall(SYS_futex, &b->round, FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
    atomic_fetch_sub(&b->sleeping, 1);
}
