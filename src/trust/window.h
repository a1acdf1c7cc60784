/* A file's bytes where they lie, mapped a window at a time, for passes that read each byte once.
 *
 * Copying costs a quarter of SHA-256's speed and half of BLAKE3's. But a mapped file that is cut short kills the process
 * (SIGBUS) when its lost pages are touched; so from the first window on, a handler gives such a window zeros instead
 * and notes it, and window_close is an error. The handler minds windows only: every other SIGBUS goes where it went
 * before. It is taken away with the last window_guard. */
#ifndef TRUST_WINDOW_H
#define TRUST_WINDOW_H

#include "base/source.h"

enum { WINDOW_BYTES = 16 << 20 }; /* of one mapping: mapping and unmapping cost little beside its pages */

/* Begin and end of work with windows, on all threads; counted. */
void window_guard_begin(void);
void window_guard_end(void);

typedef struct window {
    const uint8_t *data;
    void *map; /* NULL: nothing is mapped */
    size_t bytes;
} window;

/* Bytes [offset, offset + bytes) of a file, at most WINDOW_BYTES of them; at most WINDOW_MOST open in a thread. False
 * where they cannot be mapped: read them then. */
enum { WINDOW_MOST = 2 };
bool window_open(window *w, const source *s, uint64_t offset, size_t bytes);
/* False where bytes were missing: what was read there were zeros. */
bool window_close(window *w);

#endif
