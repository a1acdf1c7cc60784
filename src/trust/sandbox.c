/* The sandbox: rlimits and a seccomp filter of our own, written out as BPF.
 *
 * What may be called is a list; whatever opens something fails with ENOENT, for libraries that look for their data;
 * everything else ends the child. Descriptors are compared, memory is never executable. Specification: seccomp(2),
 * Documentation/userspace-api/seccomp_filter.rst of Linux. */
#define _GNU_SOURCE 1
#include "trust/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN 1
#endif
#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#endif

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(UNDER_TSAN)

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/wait.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#define MAX_CALL 0x3fffffffu /* above: the x32 way of calling */
#else
#define ARCH AUDIT_ARCH_AARCH64
#define MAX_CALL 0xffffffffu
#endif

/* A child tries it that reads no file, so that what it says is not a file's word. */
bool sandbox_available(void) {
    /* without a filter: EFAULT where filters are known, EINVAL where not */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) != -1 || errno != EFAULT) return false;
    pid_t pid = sandbox_fork();
    int state = 1;
    if (pid == 0) sandbox_leave(sandbox_enter(-1, 2, false, (uint64_t)1 << 30, 10) ? 0 : 1);
    while (pid > 0 && waitpid(pid, &state, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(state) && WEXITSTATUS(state) == 0;
}

/* ---- the filter ---- */

#define MAX_FILTER 160

typedef struct program {
    struct sock_filter code[MAX_FILTER];
    unsigned short n;
} program;

static void add(program *p, uint16_t code, uint8_t yes, uint8_t no, uint32_t k) {
    if (p->n < MAX_FILTER) p->code[p->n++] = (struct sock_filter){ code, yes, no, k };
}

#define LOAD(p, field) add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offsetof(struct seccomp_data, field))
#define RETURN(p, what) add(p, BPF_RET | BPF_K, 0, 0, what)

/* The low half of an argument, where the numbers are little-endian. */
static void load_argument(program *p, unsigned i) {
    add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * i));
}

static void allow(program *p, uint32_t call, uint32_t what) {
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, call);
    RETURN(p, what);
}

/* Only with this descriptor as the first argument. */
static void allow_on(program *p, uint32_t call, int fd) {
    if (fd < 0) return;
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, call);
    load_argument(p, 0);
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)fd);
    RETURN(p, SECCOMP_RET_ALLOW);
    LOAD(p, nr);
}

/* Only without the right to be executed; `anonymous`: and without a file. */
static void allow_memory(program *p, uint32_t call, bool anonymous) {
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, anonymous ? 6 : 4, call);
    load_argument(p, 2);
    if (anonymous) {
        add(p, BPF_JMP | BPF_JSET | BPF_K, 3, 0, PROT_EXEC);
        load_argument(p, 3);
        add(p, BPF_JMP | BPF_JSET | BPF_K, 0, 1, MAP_ANONYMOUS);
    } else {
        add(p, BPF_JMP | BPF_JSET | BPF_K, 1, 0, PROT_EXEC);
    }
    RETURN(p, SECCOMP_RET_ALLOW);
    LOAD(p, nr);
}

static const uint32_t harmless[] = {
    SYS_munmap,
    SYS_mremap,
    SYS_brk,
    SYS_madvise,
    SYS_futex,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigreturn,
    SYS_restart_syscall,
    SYS_clock_gettime,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_getpid,
    SYS_gettid,
    SYS_sched_yield,
    SYS_rt_sigprocmask,
    SYS_sigaltstack,
    SYS_close,
    SYS_sched_getaffinity,
    SYS_sysinfo, /* glibc's qsort asks how much memory there is */
};

static const uint32_t absent[] = {
    SYS_openat,     SYS_newfstatat, SYS_faccessat, SYS_readlinkat, SYS_fstat,    SYS_getcwd,
#ifdef SYS_open
    SYS_open,       SYS_stat,       SYS_lstat,     SYS_access,     SYS_readlink,
#endif
#ifdef SYS_statx
    SYS_statx,
#endif
#ifdef SYS_faccessat2
    SYS_faccessat2,
#endif
};

static bool set_filter(int input, int output, bool asks) {
    program p = { .n = 0 };
    LOAD(&p, arch);
    add(&p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCH);
    RETURN(&p, SECCOMP_RET_KILL_PROCESS);
    LOAD(&p, nr);
    add(&p, BPF_JMP | BPF_JGT | BPF_K, 0, 1, MAX_CALL);
    RETURN(&p, SECCOMP_RET_KILL_PROCESS);
    allow_on(&p, SYS_pread64, input);
    allow_on(&p, SYS_write, output);
    if (asks) allow_on(&p, SYS_read, output);
#ifdef UNDER_ASAN
    allow_on(&p, SYS_write, 2); /* its reports */
#endif
    allow_memory(&p, SYS_mmap, true);
    allow_memory(&p, SYS_mprotect, false);
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) allow(&p, harmless[i], SECCOMP_RET_ALLOW);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) allow(&p, absent[i], SECCOMP_RET_ERRNO | ENOENT);
    RETURN(&p, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog all = { p.n, p.code };
    return p.n < MAX_FILTER && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all, 0, 0) == 0;
}

/* ---- limits ---- */

static void limit(int what, uint64_t most) {
    struct rlimit now, wanted = { most, most };
    if (getrlimit((__rlimit_resource_t)what, &now) == 0 && now.rlim_max < most)
        wanted.rlim_cur = wanted.rlim_max = now.rlim_max;
    setrlimit((__rlimit_resource_t)what, &wanted);
}

static void close_range_or_each(unsigned from, unsigned to) {
    if (from > to) return;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, from, to, 0) == 0) return;
#endif
    for (unsigned fd = from; fd <= to && fd < 65536; fd++) close((int)fd);
}

static void close_others(int a, int b) {
    unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);
    if (a < 0) low = high = (unsigned)b;
    if (low > 3) close_range_or_each(3, low - 1);
    if (high > low + 1) close_range_or_each(low + 1, high - 1);
    close_range_or_each(high + 1, ~0u);
}

bool sandbox_enter(int input, int output, bool asks, uint64_t memory, uint64_t seconds) {
    close_others(input, output);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NOFILE, 0);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_CPU, seconds);
#ifndef UNDER_ASAN
    limit(RLIMIT_DATA, memory);
#else
    (void)memory; /* its shadow takes terabytes of addresses */
#endif
    return set_filter(input, output, asks);
}

#else

bool sandbox_available(void) { return false; }

bool sandbox_enter(int input, int output, bool asks, uint64_t memory, uint64_t seconds) {
    (void)input, (void)output, (void)asks, (void)memory, (void)seconds;
    return false;
}

#endif

pid_t sandbox_fork(void) { return fork(); }
void sandbox_leave(int code) { _exit(code); }

/* ---- sources that are asked for ---- */

typedef struct asking_source {
    source base;
    int socket;
    char path[];
} asking_source;

static bool write_all(int fd, const void *data, size_t n) {
    for (const uint8_t *p = data; n;) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t n) {
    for (uint8_t *p = data; n;) {
        ssize_t done = read(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static tola_status asking_read(source *s, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    asking_source *a = (asking_source *)s;
    for (uint8_t *p = dst; bytes;) {
        size_t n = bytes < SANDBOX_MAX_ASK ? bytes : SANDBOX_MAX_ASK;
        uint8_t ask[17] = { 'R' }, answer = 0;
        for (unsigned i = 0; i < 8; i++)
            ask[1 + i] = (uint8_t)(offset >> (8 * i)), ask[9 + i] = (uint8_t)((uint64_t)n >> (8 * i));
        if (!write_all(a->socket, ask, sizeof ask) || !read_all(a->socket, &answer, 1) || answer != 1 ||
            !read_all(a->socket, p, n))
            return err_set(err, TOLA_E_IO, offset, "cannot read %zu bytes", n);
        p += n;
        offset += n;
        bytes -= n;
    }
    return TOLA_OK;
}

static void asking_close(source *s) { mem_free(s); }

static const source_ops asking_ops = { .read = asking_read, .close = asking_close };

tola_status sandbox_open_asking(int socket, const char *path, uint64_t size, bool remote, source **out,
                                tola_error *err) {
    size_t n = strlen(path) + 1;
    asking_source *a = mem_calloc(1, sizeof *a + n);
    if (!a) return err_nomem(err, "opening a file");
    memcpy(a->path, path, n);
    a->base = (source){ &asking_ops, a->path, size, remote, false, NULL };
    a->socket = socket;
    *out = &a->base;
    return TOLA_OK;
}
