#define _GNU_SOURCE 1
#include "base/barrier.h"

#include <linux/futex.h>
#include <limits.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Some 20 microseconds: as long as threads of one product are apart where each has a processor. */
#define SPINS 400
/* Then some milliseconds, more than threads are apart while another program disturbs one of them. Waking who sleeps
 * takes longer than most operations on one token, and one that yields leaves its processor to who is waited for. */
#define YIELDS 4000

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

unsigned barrier_come(barrier *b) {
    const unsigned round = atomic_load_explicit(&b->round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&b->arrived, 1, memory_order_acq_rel) + 1 == b->threads) {
        atomic_store_explicit(&b->arrived, 0, memory_order_relaxed);
        atomic_store(&b->round, round + 1);
        if (atomic_load(&b->sleeping) > 0) syscall(SYS_futex, &b->round, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
    return round;
}

bool barrier_over(const barrier *b, unsigned round) {
    return atomic_load_explicit(&b->round, memory_order_acquire) != round;
}

void barrier_wait(barrier *b, unsigned round) {
    for (int i = 0; i < SPINS + YIELDS; i++) {
        if (barrier_over(b, round)) return;
        if (i < SPINS) rest();
        else sched_yield();
    }
    atomic_fetch_add(&b->sleeping, 1);
    while (atomic_load(&b->round) == round) syscall(SYS_futex, &b->round, FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
    atomic_fetch_sub(&b->sleeping, 1);
}
