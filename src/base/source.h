/* A source: read-only bytes at offsets, wherever they are: a file, memory, a server. Threads may share one. */
#ifndef BASE_SOURCE_H
#define BASE_SOURCE_H

#include <tola/base.h>

typedef struct source source;

typedef struct source_ops {
    /* Exactly `bytes` bytes at `offset`; the caller has checked the range against size. */
    tola_status (*read)(source *s, uint64_t offset, void *dst, size_t bytes, tola_error *err);
    /* The whole source mapped into memory, or NULL where that cannot be done. Stays valid until close. */
    const uint8_t *(*map)(source *s);
    /* A hint that [offset, offset+bytes) will not be wanted again soon. May be NULL. */
    void (*release)(source *s, uint64_t offset, uint64_t bytes);
    void (*close)(source *s);
} source_ops;

/* The first member of every implementation. */
struct source {
    const source_ops *ops;
    const char *path; /* for messages; owned by the implementation */
    uint64_t size;
    bool remote; /* reads are round trips: fetch headers in few large pieces */
    bool secret; /* what is read must not reach a disk: it was decrypted */
    const char *version; /* what a server calls these bytes (ETag, or a date); NULL for others; owned likewise */
};

/* Regular files only (a FIFO, a device, a directory is TOLA_E_ARG with a message). */
tola_status source_open_file(const char *path, source **out, tola_error *err);
/* A hint before `count` files are opened, best while no other thread runs: the kernel grows a table of descriptors that
 * threads share only after all processors have passed a quiescent state, 10 ms each time it doubles. */
void source_expect_files(size_t count);
/* Bytes in memory, borrowed until close. */
tola_status source_open_memory(const char *name, const void *data, size_t bytes, source **out, tola_error *err);
/* The descriptor of a file, which stays the source's own; -1 for other sources. */
int source_descriptor(const source *s);
/* Is it bytes in memory, whose path is only a name for messages? Then no file lies beside it. */
bool source_in_memory(const source *s);
/* Range-checked read: beyond the end is TOLA_E_FORMAT "truncated: ... N bytes missing". Error carries no path. */
tola_status source_read(source *s, uint64_t offset, void *dst, size_t bytes, tola_error *err);
const uint8_t *source_map(source *s); /* NULL where it cannot be mapped */
void source_release(source *s, uint64_t offset, uint64_t bytes);
void source_close(source *s); /* NULL is fine */

/* A file of the system that is one number on one line (/sys, control groups). False: no such file, or something else
 * ("max"). */
bool source_number(const char *path, uint64_t *out);

#endif
