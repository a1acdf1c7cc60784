/* A child process that reads one descriptor, writes another one, and can do nothing else. */
#ifndef TRUST_SANDBOX_H
#define TRUST_SANDBOX_H

#include <sys/types.h>

#include "base/source.h"

/* Has the system the filter for system calls, and can it be set here? */
bool sandbox_available(void);

/* A child: its number in the parent, 0 in the child, -1 with errno. And the child's end, which runs nothing of the
 * parent's. Only here does the library do either. */
pid_t sandbox_fork(void);
void sandbox_leave(int code) __attribute__((noreturn));

/* In the child, right after fork: limits on memory (bytes), time and everything else, and the filter. `input` is read
 * (-1: none), `output` written and, where `asks`, read. False where the filter could not be set. */
bool sandbox_enter(int input, int output, bool asks, uint64_t memory, uint64_t seconds);

/* ---- sources that are asked for through a socket ---- */

#define SANDBOX_MAX_ASK (1u << 20)

/* In the child: a source whose bytes the parent reads. Each read is {'R', offset u64, bytes u64}, answered by a byte (1
 * = here they are) and the bytes, or (0 = no) and nothing. */
tola_status sandbox_open_asking(int socket, const char *path, uint64_t size, bool remote, source **out,
                                tola_error *err);

#endif
