/* A program's tests once more for each lower set of instructions, each in a process of its own. */
#ifndef UNIT_PROCESSORS_H
#define UNIT_PROCESSORS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Is this the one that differs from another in its products of bf16 alone? */
static inline bool unit_only_bf16(void) {
    const char *name = getenv("TOLA_CPU");
    return name && strcmp(name, "avx512bf16") == 0;
}

/* Returns in each of these processes, with TOLA_CPU set, and in the first one at the end: how many of the others
 * failed. To be called before anything asks for the processor; nothing happens where TOLA_CPU is set. */
static inline int unit_on_every_processor(void) {
#if defined(__x86_64__)
    static const char *const names[] = { "scalar", "avx2", "avx512", "avx512vnni", "avx512bf16" };
#else
    static const char *const names[] = { "scalar" };
#endif
    int failed = 0;
    if (getenv("TOLA_CPU")) return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            setenv("TOLA_CPU", names[i], 1);
            return 0;
        }
        int status = -1;
        const bool ended = child > 0 && waitpid(child, &status, 0) == child;
        if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        fprintf(stderr, "with TOLA_CPU=%s\n", names[i]);
        failed++;
    }
    return failed;
}

#endif
