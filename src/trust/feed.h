/* The bytes of one resource, piece by piece, for the hashes: mapped where that is cheaper than copying, else read. Held
 * against what the walk saw: another file under that name, or one that changed meanwhile, is an error. */
#ifndef TRUST_FEED_H
#define TRUST_FEED_H

#include "trust/manifest.h"
#include "trust/window.h"

enum { FEED_BLOCK = 256 << 10 }; /* read at once: stays in the second cache between reading and hashing */

typedef struct feed {
    const uint8_t *data; /* the bytes at hand; whole blocks of 64, but for the last of all */
    size_t bytes;
    bool mapped;       /* they were not looked at before: prefetch */
    uint64_t at, left; /* in the file, behind those at hand */
    source *s;
    window w;
    uint8_t *block; /* FEED_BLOCK bytes of the caller's */
    manifest_stamp stamp;
} feed;

/* Bytes [from, from + bytes) of the file at `path`, which must be the one that `stamp` is of. */
tola_status feed_open(feed *f, const char *path, const manifest_stamp *stamp, uint64_t from, uint64_t bytes,
                      uint8_t *block, tola_error *err);
/* The next bytes come to hand; none at the end, where the file must still be what it was. */
tola_status feed_next(feed *f, tola_error *err);
void feed_close(feed *f);

#endif
