/* Loads every tensor of a checkpoint and touches every byte: `bench_load FILE [THREADS]`.
 * Prints bytes, seconds, GB/s and a checksum (the sum of all 64-bit words), so that two programs can be seen to have
 * done the same work. The peer is bench/load_peer.py. */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tola/tola.h>

#define MAX_THREADS 64

static tola_checkpoint *checkpoint;
static atomic_size_t next_tensor;
static atomic_uint_fast64_t total_bytes, total_sum;

/* Many sums, so that the compiler may use whole vectors; as numpy does, one version an instruction set. */
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t sum_words(const uint8_t *p, size_t bytes) {
    uint64_t sum[32] = { 0 }, word[32], total = 0;
    size_t i = 0;
    for (; i + sizeof word <= bytes; i += sizeof word) {
        memcpy(word, p + i, sizeof word);
        for (int k = 0; k < 32; k++) sum[k] += word[k];
    }
    for (; i < bytes; i += 8) {
        word[0] = 0;
        memcpy(word, p + i, bytes - i < 8 ? bytes - i : 8);
        sum[0] += word[0];
    }
    for (int k = 0; k < 32; k++) total += sum[k];
    return total;
}

static void *work(void *unused) {
    (void)unused;
    for (size_t i; (i = atomic_fetch_add(&next_tensor, 1)) < tola_checkpoint_tensor_count(checkpoint);) {
        tola_view view;
        tola_error err = TOLA_ERROR_INIT;
        if (tola_checkpoint_acquire(checkpoint, i, &view, &err) != TOLA_OK) {
            fprintf(stderr, "%s\n", err.message);
            exit(2);
        }
        atomic_fetch_add(&total_bytes, view.bytes);
        atomic_fetch_add(&total_sum, sum_words(view.data, view.bytes));
        tola_view_release(&view);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: bench_load FILE [THREADS]\n");
        return 2;
    }
    long threads = argc > 2 ? strtol(argv[2], NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    if (threads < 1 || threads > MAX_THREADS) threads = MAX_THREADS;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open(argv[1], NULL, &checkpoint, &err) != TOLA_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    pthread_t ids[MAX_THREADS];
    for (long t = 1; t < threads; t++)
        if (pthread_create(&ids[t], NULL, work, NULL) != 0) return 2;
    work(NULL);
    for (long t = 1; t < threads; t++) pthread_join(ids[t], NULL);
    tola_checkpoint_close(checkpoint);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
    printf("%llu bytes in %.4f s: %.2f GB/s, sum %016llx\n", (unsigned long long)total_bytes, seconds,
           (double)total_bytes / seconds / 1e9, (unsigned long long)total_sum);
    return 0;
}
